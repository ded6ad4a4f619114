# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Convex programs whose optimum is a network
#
# A ReLU neuron splits $n$ data points into those it sees and those it does not. There are finitely many such patterns
# $D_i = \mathrm{diag}(1\{Xu \ge 0\})$, and with the pattern fixed a neuron is linear. Pilanci and Ergen turned this into a
# program {cite}`pilanci2020neural,ergen2021global` in which every pattern gets two vectors:
#
# $$
# \begin{gathered}
# \min_{v, u}\ \tfrac12\Big\|\sum_i D_i X (v_i - u_i) - y\Big\|^2 + \beta \sum_i \big(\|v_i\| + \|u_i\|\big) \\
# \text{subject to}\quad (2D_i - I) X v_i \ge 0,\quad (2D_i - I) X u_i \ge 0 .
# \end{gathered}
# $$
#
# It is convex, and its optimum is that of a two-layer network with weight decay $\beta$, provided that the network is wide
# enough. Here we check this against hundreds of trained networks, look at narrow ones, at sampled patterns, at three
# layers, and turn the dual into a proof of how good one trained network is.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math
import warnings
from functools import partial

import pandas as pd
import torch

from litrepro import Chapter, ConvergenceWarning
from litrepro.convexnets import (
    activation_patterns,
    convex_relu_program,
    convex_relu_program3,
    gated_relu_program,
    optimality_gap,
    relu_networks,
    subnetwork_patterns,
    subnetworks,
    to_network,
)

ch = Chapter("11-convex-networks", notebook="convex-programs", profile=profile, seed=seed, full_minutes=6)
f64 = torch.float64

# %% [markdown]
# ## One problem, four data sets
#
# Twenty points in three dimensions, targets from five planted neurons plus noise, $\beta = 0.1$. In general position there
# are $2\sum_{k<3}\binom{19}{k} = 382$ patterns, all of which we enumerate from the rays where two planes meet. Random
# directions find fewer: some cells are thin.

# %%
draws, n, d, beta = 4, 20, 3, 0.1
there_are = 2 * sum(math.comb(n - 1, k) for k in range(d))  # patterns in general position
g = ch.generator(1)
X = torch.randn(draws, n, d, generator=g, dtype=f64)
planted = torch.randn(draws, 5, d, generator=g, dtype=f64)
signs = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=f64)
y = (X @ planted.mT).clamp(min=0) @ signs + 0.3 * torch.randn(draws, n, generator=g, dtype=f64)
patterns = torch.stack([activation_patterns(x) for x in X])
sampled = [len(activation_patterns(x, 3000, generator=ch.generator(2))) for x in X]
program = convex_relu_program(X, y, beta, patterns, tol=1e-7)
networks = [to_network(v, u) for v, u in zip(program.v, program.u)]


# %%
def distinct(W, a):
    """Number of different neurons: the solver splits one neuron among patterns that touch, which changes nothing."""
    size = W.norm(dim=1) * a.abs()
    rows = torch.cat([W / W.norm(dim=1, keepdim=True), a.sign()[:, None]], 1)[size > 1e-3 * size.sum()]
    return len((rows @ rows.T > 1.999).double().argmax(1).unique())


needed = [distinct(W, a) for W, a in networks]
pd.DataFrame(
    {
        "patterns": patterns.shape[1],
        "found by 3000 draws": sampled,
        "optimum": program.objective,
        "distinct neurons": needed,
        "constraint violation": program.violation,
        "iterations": program.iterations,
    },
    index=pd.Index(range(1, draws + 1), name="data set"),
).round(6)

# %% [markdown]
# The solver is an interior-point method written for this structure: its linear systems are one small matrix per pattern,
# factorized as one batch, and one matrix of the size of the data. The reported duality gap is certified, and the four
# problems above were solved together.
#
# Now the networks: 30 random starts for each width and data set, trained by Adam on all points until they settle. The solutions
# above have about ten distinct neurons, so that networks of two or five are too narrow for the optimum. Whether they get *stuck* is
# another question: a start is stuck if it ends more than one percent above the best start of the same width.

# %%
widths = [2, 5, 20, 60]
starts = ch.pick(quick=30, full=200, smoke=10)
steps = ch.pick(quick=3000, full=5000, smoke=200)
trained = {
    m: relu_networks(X, y, beta, m, starts, steps=steps, generator=ch.generator(10 + m)) for m in ch.progress(widths)
}
excess = {m: trained[m][2] / program.objective[:, None] - 1 for m in widths}
reached = {m: (excess[m] < 0.01).double().mean().item() for m in widths}
free = {m: (v < 1.01 * v.amin(1, keepdim=True)).double().mean().item() for m, (_, _, v) in trained.items()}
best_excess = {m: excess[m].amin(1).median().item() for m in widths}
pd.DataFrame(
    {
        "best start over the optimum, median": best_excess,
        "within 1% of the best of its width": free,
        "within 1% of the optimum": reached,
    }
).rename_axis("width").round(2)

# %% tags=["nbval-check-output"]
rebuilt = []
for k, (W, a) in enumerate(networks):
    fit = (X[k] @ W.mT).clamp(min=0) @ a
    value = (fit - y[k]).square().sum() / 2 + beta / 2 * (W.square().sum() + a.square().sum())
    rebuilt.append((value / program.objective[k] - 1).abs().item())
lowest = torch.stack([excess[m].amin(1) for m in widths]).amin(0)
ch.claim(
    "cvx2-equals-nn",
    value={"network of the program": max(rebuilt), "best trained excess": lowest.tolist()},
    holds=max(rebuilt) < 1e-3 and lowest.min().item() > -1e-5 and lowest.max().item() < 1e-3,
)

# %% tags=["nbval-check-output"]
ch.claim(
    "cvx2-width",
    value={
        "share within 1% of the best of its width": {str(m): free[m] for m in widths},
        "of the optimum": {str(m): reached[m] for m in widths},
        "distinct neurons of the program": needed,
    },
    holds=free[2] < 0.5 and free[5] < 0.5 and reached[20] > 0.6 and max(needed) <= 20,
)

# %% [markdown]
# ## Fewer patterns, fewer neurons
#
# The exact program has two vectors for each of 382 patterns; in ten dimensions there would be far too many. Sampling
# patterns gives an upper bound that falls as the sample grows (nested samples, so it can only fall). The width of a trained
# network plays a similar part, with one difference: a convex program with few patterns is solved, a narrow network may
# get stuck. Both are drawn on one axis; the slider chooses the data set.

# %%
counts = [*(count for count in (2, 5, 10, 20, 50, 100, 200) if count < there_are), there_are]
nested = []
for k in range(draws):
    drawn = activation_patterns(X[k], 3000, generator=ch.generator(30 + k))
    unseen = patterns[k][~(patterns[k][:, None] == drawn).all(-1).any(1)]
    nested.append(torch.cat([drawn, unseen]))
nested = torch.stack(nested)
curves = []
for count in counts:
    values = convex_relu_program(X, y, beta, nested[:, :count], tol=1e-7).objective.tolist()
    curves += [{"data set": k + 1, "patterns": count, "objective": value} for k, value in enumerate(values)]
curves = pd.DataFrame(curves).sort_values(["data set", "patterns"], ignore_index=True)
curves["excess"] = curves["objective"] / curves["data set"].map(lambda k: program.objective[k - 1].item()) - 1

# %% tags=["nbval-check-output"]
steps_down = curves.groupby("data set")["objective"].diff().dropna()
found = curves.pivot(index="data set", columns="patterns", values="excess")
ch.claim(
    "cvx2-sampling",
    value={
        "largest rise": steps_down.max(),
        "patterns": patterns.shape[1],
        "found by 3000 draws": sampled,
        "excess": {str(c): found[c].mean() for c in counts},
    },
    holds=bool(
        steps_down.max() < 1e-5
        and patterns.shape[1] == there_are
        and all(len(torch.unique(p, dim=0)) == there_are for p in patterns)
        and max(sampled) < there_are
        and found[counts[-2]].max() < 0.01
    ),
)

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure, frames

    pages = {}
    for k in range(draws):
        fig, ax = figure(height=3.4)
        part = curves[curves["data set"] == k + 1]
        ax.plot(part["patterns"], part["excess"].clip(lower=1e-7), "o-", color=PALETTE[0], label="program, sampled")
        for m in widths:
            low, middle, high = excess[m][k].quantile(torch.tensor([0.1, 0.5, 0.9], dtype=f64)).clamp(min=1e-7).tolist()
            ax.plot([m, m], [low, high], color=PALETTE[1], lw=3, alpha=0.5)
            ax.plot(m, middle, "s", color=PALETTE[1], label="networks, median and 10-90%" if m == 2 else None)
        ax.axhline(0.01, color="0.5", ls=":", lw=1)
        ax.set(xscale="log", yscale="log", ylim=(5e-8, 30), xlabel="patterns, or neurons")
        ax.set_ylabel("excess over the optimum")
        ax.legend()
        pages[f"data set {k + 1}"] = fig
    alt = "A falling curve for sampled patterns and vertical bars for networks by width on logarithmic axes."
    display(frames(pages, label="data", alt=alt, name="convex-gap"))

# %% [markdown]
# *Excess over the optimum (values below 1e-7 are drawn there): the program on nested samples of patterns, and trained
# networks by width. Dotted: one percent.*
#
# ## A proof for one trained network
#
# The dual of the program is $\max_v v^\top y - \tfrac12\|v\|^2$ over $v$ with $|v^\top(Xu)_+| \le \beta$ for all unit vectors
# $u$. The residual of any network, scaled until it satisfies this, gives a lower bound for all networks of all widths.
# For our small data the constraint can be evaluated exactly, cell by cell. So a trained network carries its own
# certificate, without the program being solved.

# %%
rows = []
for m in widths:
    W, a, _ = trained[m]
    for k in range(draws):
        found = optimality_gap(X[k], y[k], beta, W[k, :10], a[k, :10], patterns[k])
        columns = {
            "true": found.objective / program.objective[k] - 1,
            "excess": found.objective / found.lower - 1,  # over the lower bound, where that above is over the optimum
            "proven": found.gap / found.objective,
            "valid": found.lower <= program.objective[k] * (1 + 1e-7),
        }
        rows.append(pd.DataFrame({name: column.tolist() for name, column in columns.items()}).assign(width=m))
certificates = pd.concat(rows, ignore_index=True)

# %% tags=["nbval-check-output"]
proven = certificates.groupby("width")["proven"].median()
best_proven = certificates.groupby("width")["proven"].min()
ch.claim(
    "nn-certificate",
    value={
        "median": {str(m): proven[m] for m in widths},
        "best": {str(m): best_proven[m] for m in widths},
        "all valid": bool(certificates["valid"].all()),
    },
    holds=bool(certificates["valid"].all() and proven[20] < 0.2 * proven[2] and best_proven[60] < 0.05),
)

# %% mystnb={"figure": {"name": "fig-11-certificates", "caption": "The excess over the optimum that the dual proves (objective over lower bound, minus one) against the true one (objective over optimum, minus one), ten networks for each width and data set. A perfect certificate would be on the diagonal; all points lie above it. Networks of 60 neurons are typically proven to be within about a percent of the best network of any width."}, "image": {"alt": "Scatter plot on logarithmic axes: points of four colours. Wide networks are at the lower left, above the diagonal; those of two and five neurons at the upper right, nearer to the diagonal."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.4)
    for color, (m, part) in zip(PALETTE, certificates.groupby("width")):
        ax.plot(part["true"].clip(lower=1e-6), part["excess"], "o", ms=4, color=color, label=f"{m} neurons")
    ax.plot([1e-6, 100], [1e-6, 100], color="0.5", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="true excess over the optimum", ylabel="proven excess")
    ax.legend()

# %% [markdown]
# ## Three layers
#
# A sub-network $((XW_1)_+ w_2)_+ w_3$ with three hidden neurons has a pattern for every neuron, a sign for every neuron,
# and a pattern of its output; all of them fixed, it is linear again. The review's sizes: five points in the plane,
# $K = 2, 5, 15$ sub-networks. Patterns are sampled from a few thousand random sub-networks, and the program is solved on
# nested samples.

# %%
small_n, hidden, small_beta = 5, 3, 0.1
samples = ch.pick(quick=[15, 60, 240], full=[15, 60, 240, 1000, 4000], smoke=[15, 60])
Ks = [2, 5, 15]
starts3 = ch.pick(quick=40, full=400, smoke=5)
steps3 = ch.pick(quick=3000, full=5000, smoke=200)

# %%
three = []
for k in range(draws):
    g = ch.generator(50 + k)
    x3 = torch.randn(small_n, 2, generator=g, dtype=f64)
    y3 = torch.randn(small_n, generator=g, dtype=f64)
    cells = subnetwork_patterns(x3, hidden, 5000, generator=g)
    for count in samples:
        value = convex_relu_program3(x3, y3, small_beta, *(part[:count] for part in cells)).objective
        three.append({"data set": k + 1, "kind": "program", "size": count, "objective": value})
    for K in Ks:
        value = subnetworks(x3, y3, small_beta, hidden, K, starts3, steps=steps3, generator=ch.generator(70 + K))
        three += [{"data set": k + 1, "kind": "network", "size": K, "objective": v} for v in value.tolist()]
three = pd.DataFrame(three)

# %%
best = three.groupby(["kind", "size", "data set"])["objective"].min()
optimum = best["program"].groupby("data set").min()
relative = {K: (best["network", K] / optimum - 1) for K in Ks}
rises = three[three.kind == "program"].groupby("data set")["objective"].diff().dropna().max()
single = three[three.kind == "network"]
above = single["objective"] / single["data set"].map(optimum) - 1
stuck = (above > 0.01).groupby([single["size"], single["data set"]]).mean().unstack()

# %% [markdown]
# The share of single starts that end more than 1% above the program:

# %% tags=["hide-input"]
stuck.assign(mean=stuck.mean(axis=1)).rename_axis("sub-networks").round(2)

# %% tags=["nbval-check-output"]
# Narrow networks are judged beside wide ones that train.
worked = bool((relative[15].abs() < 0.005).mean() >= 0.75) and rises < 1e-5
ch.require(worked, f"no comparison: excess of the wide networks {relative[15].tolist()}, rise {rises}")
more = stuck.loc[2] - stuck.loc[15]
ch.claim(
    "cvx3-equals-sgd",
    value={
        "share of starts above the program by 1%": {str(K): stuck.loc[K].tolist() for K in Ks},
        "excess of the best network": {str(K): relative[K].tolist() for K in Ks},
        "largest rise": rises,
    },
    holds=(True if more.mean() > 0.2 and (more > 0.05).mean() >= 0.75 else "partly")
    if stuck.loc[15].mean() < 0.15 and rises < 1e-5
    else False,
)

# %% mystnb={"figure": {"name": "fig-11-three-layers", "caption": "Three layers, one panel per data set: final objectives of 40 trained networks by the number K of sub-networks (points), and the convex program on 15, 60 and 240 sampled patterns (lines, darker for more; they coincide on the first two)."}, "image": {"alt": "Four panels with columns of points at K = 2, 5 and 15 and horizontal lines. On three data sets every column starts at the lowest line and the spread shrinks with K; on the fourth only K = 15 comes near it."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, draws, height=3.2, squeeze=False)
    for k, ax in enumerate(axes[0]):
        part = three[three["data set"] == k + 1]
        for j, K in enumerate(Ks):
            values = part[(part.kind == "network") & (part["size"] == K)]["objective"]
            ax.plot([j] * len(values), values, "o", ms=3, alpha=0.4, color=PALETTE[1])
        for j, count in enumerate(samples):
            level = part[(part.kind == "program") & (part["size"] == count)]["objective"].item()
            ax.axhline(level, color=PALETTE[0], lw=1, alpha=0.3 + 0.7 * (j + 1) / len(samples))
        ax.set(xticks=range(len(Ks)), xticklabels=Ks, xlabel="sub-networks $K$", title=f"data set {k + 1}")
    axes[0, 0].set_ylabel("objective")

# %% [markdown]
# The review speaks of single runs, and for these it is right: with two sub-networks half of the starts get stuck more than 1% above
# the program, with five a fifth, with fifteen one in twenty. For the best of many it is not: on three data sets the best of 40 starts meets the
# program with two sub-networks already, on the fourth only with fifteen (with five as well among the 400 starts of the full profile).
#
# ## Accuracy on images
#
# The review reports that the convex program beats stochastic gradient descent on Fashion-MNIST and CIFAR-10. At that scale
# the cone constraints are dropped, which leaves gated neurons {cite}`mishkin2022fast`: a group lasso over sampled patterns
# with ten outputs. The network has as many neurons as there are patterns and the same squared loss. Both see the first 200
# principal components of the training images (95% of their variance), and both are tuned on images held out of training:
# the program over five values of beta, SGD over four rates (large ones: inputs have norm one) and four weight decays. An
# untuned rival would lose to either. Ridge regression on the same features, with a constant and tuned in the same way, shows what a linear
# model reaches. This needs the full profile.

# %%
sizes = ch.pick(
    quick={"n": 0, "components": 0, "P": 0, "epochs": 0, "seeds": 0},
    full={"n": 10_000, "components": 200, "P": 200, "epochs": 60, "seeds": 3},
    smoke={"n": 200, "components": 10, "P": 10, "epochs": 2, "seeds": 2},
)
betas = ch.pick(quick=[], full=[2.0, 4.0, 8.0, 16.0, 32.0], smoke=[1.0, 3.0])
rates = ch.pick(quick=[], full=[0.3, 1.0, 3.0, 10.0], smoke=[0.3])
decays = ch.pick(quick=[], full=[0.0, 1e-5, 1e-4, 1e-3], smoke=[1e-4])


def image_sets(load, s):
    """Principal components of unit variance in all, and labels: training, validation (a fifth) and test images."""
    parts = [load("train", n=sizes["n"], seed=seed + s), load("test", n=min(10_000, sizes["n"]), seed=seed + s)]
    train, test = (part.images.flatten(1).to(ch.device, f64) for part in parts)
    held = len(train) // 5
    shift = train[held:].mean(0)
    centred = train[held:] - shift
    axes = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, -sizes["components"] :]
    axes = axes / centred.square().sum(1).mean().sqrt()
    (x, z), labels = (((each - shift) @ axes).float() for each in (train, test)), parts[0].labels.to(ch.device)
    return {
        "train": (x[held:], labels[held:]),
        "validation": (x[:held], labels[:held]),
        "test": (z, parts[1].labels.to(ch.device)),
    }


# %%
def accuracies(scores, sets):
    """Share of images whose largest score is the right one, on the two sets that are not trained on."""
    with torch.no_grad():
        return {name: (scores(x).argmax(1) == y).double().mean().item() for name, (x, y) in list(sets.items())[1:]}


# %%
def convex_rows(sets, s):
    """Accuracies of the gated program for every beta."""
    x, labels = sets["train"]
    directions = torch.randn(sizes["P"], x.shape[1], generator=ch.generator(200 + s), dtype=f64).to(x)
    targets = torch.nn.functional.one_hot(labels, 10).to(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the accuracy settles long before the last digits do
        for strength in betas:
            V = gated_relu_program(x, targets, strength, directions @ x.T >= 0, max_iter=20 if ch.smoke else 300).V

            def scores(inputs, V=V):
                return sum((D >= 0).to(x)[:, None] * (inputs @ W) for D, W in zip(directions @ inputs.T, V))

            yield {"method": "convex", "beta": strength} | accuracies(scores, sets)


# %%
def sgd_rows(sets, s):
    """Accuracies of the network trained by SGD, for every rate and weight decay."""
    from litrepro.nets import mlp
    from litrepro.training import cosine, fit

    settings = {"epochs": sizes["epochs"], "eval_every": sizes["epochs"], "schedule": cosine, "momentum": 0.9}
    for lr in rates:
        for decay in decays:
            net = mlp(sets["train"][0].shape[1], [sizes["P"]], 10, seed=seed + s).to(ch.device)
            fit(net, sets["train"], lr=lr, weight_decay=decay, loss="mse", seed=seed + s, **settings)
            yield {"method": "SGD", "rate": lr, "decay": decay} | accuracies(net, sets)


def linear_rows(sets, s):
    """Accuracies of ridge regression on the same features, for six strengths."""
    x, labels = sets["train"]
    lift = lambda z: torch.cat([z, torch.ones_like(z[:, :1])], 1).double()  # noqa: E731
    A, Y = lift(x), torch.nn.functional.one_hot(labels, 10).double()
    for strength in (0.001, 0.01, 0.1, 1.0, 10.0, 100.0):
        B = torch.linalg.solve(A.T @ A + strength * torch.eye(A.shape[1]).to(A), A.T @ Y)
        yield {"method": "linear", "beta": strength} | accuracies(lambda z, B=B: lift(z) @ B, sets)


# %%
def image_rows(load, s, kinds):
    """One row for every setting of the methods on one data set and seed."""
    sets = image_sets(load, s)
    return pd.DataFrame([row for kind in kinds for row in kind(sets, s)])


def image_table(name, kinds):
    """One row for every setting of the methods, both data sets and all seeds; kept between interrupted runs."""
    from litrepro.data import cifar10, fashion_mnist

    tables = []
    for data, load in (("Fashion-MNIST", fashion_mnist), ("CIFAR-10", cifar10)):
        for s in range(sizes["seeds"]):
            part = ch.kept(f"{name}-{data}-{s}", partial(image_rows, load, s, kinds))
            tables.append(part.assign(data=data, seed=s))
    return pd.concat(tables, ignore_index=True)


# %%
if ch.full:
    linear = image_table("linear", [linear_rows])
    ch.save("image-linear", linear.round(5))
    images = image_table("images", [convex_rows, sgd_rows])
    ch.save("image-accuracy", images.round(5))
else:
    linear, images = ch.paper("image-linear"), ch.paper("image-accuracy")

# %% tags=["nbval-check-output"]
if images is None:
    ch.not_run("cvx-accuracy", "the full-scale table image-accuracy is not recorded")
else:
    chosen = images.loc[images.groupby(["data", "seed", "method"])["validation"].idxmax()]
    top = chosen.set_index(["data", "seed", "method"])["test"].unstack()
    difference = top["convex"] - top["SGD"]
    summary = difference.groupby("data").agg(["mean", "sem"])
    # Chance is 0.1: a method that failed decides nothing.
    ch.require(top.min(axis=None) > 0.3, f"a method did not learn: {top.to_dict('index')}")
    ch.claim(
        "cvx-accuracy",
        value={name: row.to_dict() for name, row in summary.iterrows()},
        holds=bool((summary["mean"] >= 2 * summary["sem"]).all()),
        table="image-accuracy",
    )

# %% tags=["hide-input"]
if ch.plots and images is not None:
    shown = chosen
    if linear is not None:
        shown = pd.concat([chosen, linear.loc[linear.groupby(["data", "seed"])["validation"].idxmax()]])
    settings = shown.groupby(["data", "method"])[["beta", "rate", "decay"]].agg(lambda column: ", ".join(
        f"{value:g}" for value in sorted(set(column.dropna())))).replace("", "-")  # fmt: skip
    accuracy = shown.groupby(["data", "method"])["test"].agg(["mean", "std"]).map("{:.3f}".format)
    display(accuracy.join(settings).rename(columns={"mean": "test accuracy", "std": "s.d.", "decay": "weight decay"}))

# %% [markdown]
# Tuned, SGD is ahead on both, by 1.4 points on CIFAR-10 and by 0.9 on Fashion-MNIST. There the smallest beta, the end of the grid, has
# the best mean validation accuracy (86.6%, with 86.5% and 86.4% at the next two). Smaller ones gain nothing: with 1 and 0.5 (run once,
# outside this page, on the same three seeds) it is 86.6% again, and the test accuracy 86.0%. Either method is well ahead
# of the linear model (80% and 38%), so that the comparison is one of networks. At a rate of 0.3, which is large for most
# networks and small here, SGD is behind the program on both; nothing else has to change for the opposite conclusion. What the convex
# program is better at is what it is made for, the training objective, as on the twenty points above.
#
# One thing is unequal. The network has biases in both layers, as networks do; the program, as the review writes it, has no constant:
# its gates pass through the origin, its blocks have no intercept, and the ten targets, whose mean is a tenth, are not centred.
# That is no handicap here. With a constant of one in every block, at the same strength and on one seed (150 iterations), the program comes to
# 44.3% on CIFAR-10, where it has 45.2% without, and to 84.7% on Fashion-MNIST, where the table has 86.2%; with gates that have one too, to
# 43.9% on CIFAR-10. The strength was not tuned again.
#
# ## Takeaway
#
# The program's optimum is the network's, to the last digit that we can compute, and no trained network went below it. Width
# decides whether gradient descent gets there: five neurons are too few, and most starts do not even reach what five can do; twenty usually
# get there. Sampled patterns suffice as well, but
# it takes about a hundred of the 382 to come within one percent on average, where twenty trained neurons usually do: a
# network moves its patterns, a sample does not. And the dual is useful on its own: it proves, for one trained network, how
# little any other network of any width could improve. A lower training objective is no higher test accuracy: on CIFAR-10 the
# tuned network wins.
