# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which edges are there?
#
# The other half of a graph estimate is its support. The review contrasts two sparsity penalties and leaves one of them,
# $\ell_0$ by iterative hard thresholding, as future work: after every step on $w$, keep the $k$ largest weights. We build
# it and compare three ways to find edges: the $\ell_1$ penalty, hard thresholding, and the classic graphical lasso.
#
# A first remark saves trouble. The constraint $w \ge 0$ alone makes estimates sparse, and the $\ell_1$ penalty changes the
# number of zeros little. So we score rankings (average precision of the true edges when sorted by weight) and, where $k$ is
# given, the F1 of the $k$ chosen edges.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import warnings

import pandas as pd
import torch

from litrepro import Chapter, ConvergenceWarning
from litrepro.graphs import (
    classic_graphical_lasso,
    classic_sweep,
    graphon,
    largest,
    paired_gain,
    recovery_trials,
    spectral_graphical_lasso,
    spectral_prior,
    spectral_sweep,
    support_f1,
)

ch = Chapter("13-graphon-lasso", notebook="sparsity", profile=profile, seed=seed, full_minutes=3)
p, beta = 30, 0.5
sizes = ch.pick(quick=[20, 80, 160, 640], full=[10, 20, 40, 80, 160, 320, 640, 1280], smoke=[80, 640])
ch.require({80, 640} <= set(sizes), f"sizes must have 80 and 640, which are judged, got {sizes}")
graphs = ch.pick(quick=16, full=100, smoke=3)
options = {"inner": 8, "max_iter": ch.pick(quick=1500, full=2500, smoke=150), "tol": 5e-3}
warnings.simplefilter("ignore", ConvergenceWarning)  # hard thresholding creeps; its residuals are in the table
f64, W = torch.float64, graphon("quadratic")
trials = recovery_trials(W, p, graphs, sizes, generator=ch.generator(1), device=ch.device)
mu = spectral_prior(W, p).to(ch.device)

# %% [markdown]
# ## Ranking edges: structured against classic
#
# The classic lasso is given every advantage: its covariance is scaled, its penalty is the best of five at each $n$, and its
# edges are ranked by $-\hat\Theta_{ij}$, since Laplacians have no positive entries off the diagonal. As on {doc}`the page
# before <recovery>` it appears twice: as it comes, and with a free level. Our own solver for it agrees with
# scikit-learn's:

# %%
try:
    from sklearn.covariance import graphical_lasso

    S0 = trials.covariances[sizes.index(80), 0].cpu()
    S0 = S0 / S0.diagonal().mean()
    with warnings.catch_warnings(action="ignore"):  # it stops at the last digits of its duality gap
        theirs = torch.tensor(graphical_lasso(S0.numpy(), 0.1, tol=1e-6, max_iter=500)[1])
    ours = classic_graphical_lasso(S0, 0.1, tol=1e-7, max_iter=5000).precision
    agree = ((ours - theirs).norm() / theirs.norm()).item() < 1e-3
except ImportError:
    agree = "not checked, scikit-learn is not installed"
print("agrees with scikit-learn to 0.1%:", agree)

# %%
penalties = [0.003, 0.01, 0.03, 0.1, 0.3]
alphas = ch.pick(quick=[0.03, 0.1, 0.3], full=[0.01, 0.03, 0.1, 0.3, 1.0], smoke=[0.1])
settings = [{"prior": "none", "mu": mu, "gamma": 0.0, "beta": beta, "alpha": a} for a in (0.0, *alphas)]
settings += [{"prior": "graphon", "mu": mu, "gamma": 0.1, "beta": beta}]
structured = spectral_sweep(trials, settings, **options)
classic = [classic_sweep(trials, penalties, level=level, tol=1e-4, max_iter=600) for level in (0.0, 10.0)]
ranking = pd.concat([structured, *classic], ignore_index=True)


def best_penalties(frame):
    """Every line at the penalty with the best mean average precision for each n; the Laplacian without l1."""
    line = frame["method"].where(frame["method"] != "laplacian", "Laplacian, " + frame["prior"])
    line = line.replace({"Laplacian, none": "Laplacian", "Laplacian, graphon": "Laplacian, prior"})
    plain = frame.assign(line=line)[(line != "Laplacian") | (frame.alpha == 0)]
    best = plain.groupby(["line", "n", "alpha"])["ap"].mean().groupby(level=["line", "n"]).idxmax()
    return plain.set_index(["line", "n", "alpha"]).loc[best.tolist()].reset_index()


tuned = best_penalties(ranking)
recorded = ch.table("ranking", tuned[["line", "n", "graph", "alpha", "ap"]].round(5))
tuned.pivot_table(index="n", columns="line", values="ap").round(3)

# %% mystnb={"figure": {"name": "fig-13-ap", "caption": "Average precision of the true edges against the number of signals, relative to the Laplacian estimate without prior: mean paired difference over 16 graphs, bands of two standard errors. The classic lasso has its best penalty at every n. Where a full-scale run is recorded, it is drawn beside."}, "image": {"alt": "Differences between minus 0.03 and plus 0.03. The Laplacian with prior is above zero by one to two hundredths up to 160 signals and at zero at 640. The classic lasso is below zero, the classic lasso with a free level above it, at one hundredth with 20 signals and near zero from 80 on. At full scale the order is the same up to 320 signals, and at 640 and 1,280 the prior is one and three thousandths below zero."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves, figure

    shown = ch.scales(tuned, recorded)
    fig, axes = figure(1, len(shown), sharey=True, squeeze=False)
    order = ["Laplacian, prior", "classic", "classic, free level"]
    for ax, (scale, frame) in zip(axes[0], shown.items()):
        base = frame[frame.line == "Laplacian"].set_index(["n", "graph"])["ap"]
        lines = frame[frame.line != "Laplacian"].copy()
        lines["difference"] = lines["ap"] - base.loc[list(zip(lines["n"], lines["graph"]))].to_numpy()
        curves(lines, "n", "difference", "line", ax=ax, order=order, logx=True, markers=True)
        ax.axhline(0, color="0.35", ls="--", lw=1.2, label="Laplacian, no prior")
        ax.set(xlabel="signals $n$", title="" if len(shown) == 1 else scale)
        ticks = sorted(frame["n"].unique())
        ax.set_xticks(ticks, [str(n) for n in ticks])
        ax.minorticks_off()
    axes[0, 0].set_ylabel("difference in average precision")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)

# %% tags=["nbval-check-output"]
against = {name: paired_gain(tuned, {"line": name}, {"line": "Laplacian, prior"}, "ap").loc[[80, 640]]
           for name in ("classic", "classic, free level", "Laplacian")}  # fmt: skip
ahead = {name: bool((rows["z"] > 2).all()) for name, rows in against.items()}
value = {name: rows[["better", "worse", "z"]].to_dict("index") for name, rows in against.items()}
fair = all(rows.loc[640, "better"] > 0.8 for rows in against.values())  # an edge in three is true: rivals that work
verdict = (True if ahead["classic, free level"] else "partly") if ahead["classic"] and fair else False
ch.claim("beats-glasso", value=value, holds=verdict)

# %% [markdown]
# Against the classic lasso as it comes, the structured one wins at every $n$. Little of that is due to structure. Told that
# the level is free, the classic lasso stays within a hundredth and a half of the Laplacian estimate with its prior, and
# is level with it at 640 signals (at full scale three thousandths ahead); nobody had to tell it a graphon.
#
# ## Hard thresholding
#
# $k$ is the true number of edges of each graph, or 30% less or more. Two starts: the complete graph, as for everything else
# here, and the dense solution. The yardstick is free of any iteration: the $k$ largest weights of the dense solution in
# the table, those of the best $\ell_1$ solution in the verdict.

# %%
some = [n for n in (20, 80, 640) if n in sizes]
rows = [sizes.index(n) for n in some]
S, truth = trials.covariances[rows], trials.weights
true_k = (truth > 0).sum(-1)
dense = spectral_graphical_lasso(S, mu, beta=beta, **options)
records, objective, refit = [], {}, {}
for share in (0.7, 1.0, 1.3):
    k = (share * true_k).round().long()
    for start, w0 in (("complete graph", None), ("dense solution", dense.w)):
        found = spectral_graphical_lasso(
            S, mu, beta=beta, edges=k, w0=w0, inner=1, max_iter=ch.pick(quick=120, full=3000, smoke=50), tol=1e-4
        )
        f1 = support_f1(found.w, truth)
        objective[start, share] = found.objective
        records += [
            {"n": n, "graph": g, "k": f"{share:.0%} of the edges", "start": start, "f1": f1[i, g].item(),
             "residual": found.residual[i, g].item()}
            for i, n in enumerate(some) for g in range(graphs)
        ]  # fmt: skip
    cut = largest(dense.w, k)
    refit[share] = (found.w - cut).norm(dim=-1) / cut.norm(dim=-1)  # found is the one from the dense solution
    f1 = support_f1(cut, truth)
    records += [
        {"n": n, "graph": g, "k": f"{share:.0%} of the edges", "start": "k largest, no iteration", "f1": f1[i, g].item(),
         "residual": 0.0}
        for i, n in enumerate(some) for g in range(graphs)
    ]  # fmt: skip
hard = pd.DataFrame(records)
recorded = ch.table("hard-thresholding", hard)
hard.pivot_table(index=["k", "n"], columns="start", values="f1", sort=False).round(3)

# %% mystnb={"figure": {"name": "fig-13-iht", "caption": "F1 of the chosen edges against the number of signals, for k = 70%, 100% and 130% of the true number of edges; mean over 16 graphs, bands of two standard errors. Where a full-scale run is recorded, it is drawn below."}, "image": {"alt": "Three panels. From the complete graph F1 stays between 0.5 and 0.7 however many signals there are; from the dense solution, and for the k largest weights without iteration, the two lines nearly coincide and rise from between 0.4 and 0.5 to about 0.9, or 0.8 where k is wrong. They cross near 80 signals. At full scale the line from the complete graph is steeper: 0.5 with 20 signals, 0.6 to 0.8 with 640."}} tags=["hide-input"]
if ch.plots:
    shown = ch.scales(hard, recorded)
    fig, grid = figure(len(shown), 3, height=3.0, sharey=True, squeeze=False)
    for axes, (scale, frame) in zip(grid, shown.items()):
        for ax, (k, part) in zip(axes, frame.groupby("k", sort=False)):
            curves(part, "n", "f1", "start", ax=ax, logx=True, markers=True)
            ax.set(title=f"$k$: {k}", xlabel="signals $n$")
            ax.set_xticks(some, [str(n) for n in some])
            ax.minorticks_off()
        axes[0].set_ylabel("F1 of the support" if len(shown) == 1 else f"F1 of the support, {scale}")
        axes[1].legend(fontsize=7)

# %% tags=["nbval-check-output"]
l1 = structured[(structured.prior == "none") & structured.n.isin(some)]
top = l1.groupby(["n", "alpha"])["f1"].mean().groupby(level="n").idxmax()
yard = l1.set_index(["n", "alpha"]).loc[top.tolist()].reset_index().assign(line="l1")
exact = hard[hard.k == "100% of the edges"]
iht = exact[exact.start == "complete graph"].assign(line="iht")
compared = paired_gain(pd.concat([yard, iht]), {"line": "l1"}, {"line": "iht"}, "f1").loc[[80, 640]]
above, level = compared["z"] > 2, compared["z"].abs() <= 2
useful = bool((compared[["better", "worse"]] > 0.5).all(axis=None))  # F1 of a random choice is about one third
ch.claim(
    "iht-works",
    value=compared.rename(columns={"better": "l1", "worse": "iht"}).to_dict("index"),
    holds=(True if above.all() else "partly" if (above | level).any() else False) if useful else False,
)
by_start = exact.pivot_table(index=["n", "graph"], columns="start", values="f1").loc[640]
gained = (by_start["dense solution"] - by_start["complete graph"]).mean()
kept = (by_start["dense solution"] - by_start["k largest, no iteration"]).abs().mean()
last = some.index(640)
lower = bool((objective["dense solution", 1.0][last] < objective["complete graph", 1.0][last]).all())
moved = refit[1.0][last].min().item()  # the support stays, the weights must not: else nothing was run
ch.claim(
    "iht-needs-a-start",
    value={
        "gain of the start": gained,
        "change against the k largest": kept,
        "objective lower": float(lower),
        "weights moved by": moved,
    },
    holds=gained > 0.1 and lower and kept < 0.02 and moved > 0.01,
)

# %% [markdown]
# From the complete graph the first steps decide everything. All weights are equal there, so the first support is a ranking
# by $\mathcal L^*S$, that is by variances of differences; later steps of length $1/(2p)$ are too short for an edge outside
# the support to overtake one inside. With 20 signals for 30 nodes that is a virtue: variances of differences are better
# estimated than anything that involves an inverse, and hard thresholding wins clearly. But more signals help little,
# because what they add, the inverse, never gets to act. From the dense solution, when signals are many, the support is that
# of the $k$ largest weights, and stays what it was: the iteration then does no selection, it only refits. With 20 signals
# it does select, and a little worse. The full-scale run takes 3,000 steps instead of 120, and there the first support is left after all, slowly: with 30% too
# many edges and 640 signals F1 is 0.80 instead of 0.68, with 20 signals and the true number 0.51 instead of 0.59.

# %% [markdown]
# ## Takeaway
#
# For the ranking of edges, no penalty matters as much as a correct model of the level. The spectral prior adds one or two
# hundredths of average precision at small samples. Hard thresholding is the best selector for the fewest signals and the
# worst for many, because it hardly leaves its first choice.
