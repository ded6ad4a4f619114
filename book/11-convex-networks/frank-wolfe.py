# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Frank-Wolfe on networks of infinite width
#
# A network of infinite width is a measure on neurons, and its variation norm the least sum of absolute output weights. On the
# ball $\gamma_1 \le \delta$ of that norm, Frank-Wolfe adds one neuron per step {cite}`daspremont2020global,jaggi2013revisiting`. The
# work is in the linear oracle $\max_\theta |\sum_i g_i (a_i^\top\theta)_+|$. On whitened data, $AA^\top = I$, it has a closed form, and
# so have the norm, $\gamma_1(z) = \|z_+\| + \|z_-\|$, and the projection on its ball. So the true optimum is known, and every
# bound can be tested at every step.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import functools

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.convexnets import frank_wolfe, project_gamma1, relu_lmo_search, sparsify_weights
from litrepro.solvers import l1_ball_least_squares

ch = Chapter("11-convex-networks", notebook="frank-wolfe", profile=profile, seed=seed, full_minutes=1)
f64 = torch.float64
T = ch.pick(quick=300, full=2000, smoke=50)
draws = ch.pick(quick=20, full=200, smoke=4)


def whitened(count, n, d, generator):
    """Gaussian data (count, n, d) with rows made orthonormal."""
    return torch.linalg.qr(torch.randn(count, d, n, generator=generator, dtype=f64)).Q.mT.contiguous()


def planted(A, neurons, generator):
    """Targets of a network with Gaussian neurons and signs."""
    theta = torch.randn(*A.shape[:-2], neurons, A.shape[-1], generator=generator, dtype=f64)
    weights = torch.randn(*A.shape[:-2], neurons, generator=generator, dtype=f64)
    return ((A @ theta.mT).clamp(min=0) @ weights[..., None])[..., 0]


# %% [markdown]
# ## Rate and gap
#
# $(n, d) = (20, 25)$, ten planted neurons, 20 draws; $\delta$ is half, one and two times $\gamma_1(y)$. A third of the draws is given
# targets of one sign, the case in which the printed constant is in danger. All 60 runs are one batch.

# %%
g = ch.generator(1)
A = whitened(draws, 20, 25, g)
y = planted(A, 10, g)
y = y / y.norm(dim=-1, keepdim=True)
y[: draws // 3] = y[: draws // 3].abs()
gauge = y.clamp(min=0).norm(dim=-1) + y.clamp(max=0).norm(dim=-1)
factors = torch.tensor([0.5, 1.0, 2.0], dtype=f64)
delta = factors[:, None] * gauge
run = frank_wolfe(A, y, delta, iterations=T)
optimum = (project_gamma1(y, delta) - y).square().sum(-1)
excess = run.loss - optimum[..., None]
before = torch.cat([y.square().sum(-1).expand(3, -1)[..., None], run.loss[..., :-1]], -1) - optimum[..., None]
t = torch.arange(1, T + 1, dtype=f64)
ours = 16 * delta[..., None] ** 2 / (t + 2)
printed = 4 * delta[..., None] ** 2 / (t + 1)  # R = 1 on whitened data

# %% tags=["nbval-check-output"]
exceeding = (excess > printed * (1 + 1e-9)).any(-1)
worst = (excess / printed).amax(-1)
slope = (excess[1, :, T - 1].median() / excess[1, :, T // 10 - 1].median()).log() / torch.tensor(10.0).log()
ch.claim(
    "fw-rate",
    value={
        "largest share of 16/(T+2)": (excess / ours).max().item(),
        "runs above the printed bound": int(exceeding.sum()),
        "of": exceeding.numel(),
        "largest excess over it": worst.max().item(),
        "slope at delta = gauge": slope.item(),
    },
    holds=False if bool((excess > ours + 1e-12).any()) else "partly" if bool(exceeding.any()) else True,
)
fallen = (run.gap[..., -1] / run.gap[..., 0]).median().item()  # a constant would be a bound as well
ch.claim(
    "fw-gap",
    value={"smallest gap - suboptimality": (run.gap - before).min().item(), "last over first gap, median": fallen},
    holds=(run.gap - before).min().item() >= -1e-9 and fallen < 0.1,
)

# %% mystnb={"figure": {"name": "fig-11-fw", "caption": "Suboptimality (median and largest of all draws), Frank-Wolfe gap (median) and the two bounds against the step, for three radii; values below 1e-7 are left out. With half the gauge as radius more than half of the runs are at the optimum after one step, and have no line. With the radius at the gauge the first steps touch the printed bound; later all runs are far below either."}, "image": {"alt": "Three panels on logarithmic axes with two parallel lines that approach slope minus one. At the two larger radii the median loss falls below a curve of the gap, and the largest loss between them; at the smallest only the largest loss is seen, two decades below the bounds at the end."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, axes = figure(1, 3, height=3.2, sharey=True)
    for j, ax in enumerate(axes):
        lines = {"suboptimality, largest": excess[j].amax(0), "median": excess[j].median(0).values}
        lines["gap, median"] = run.gap[j].median(0).values
        for color, (name, line) in zip((PALETTE[5], PALETTE[0], PALETTE[1]), lines.items()):
            ax.plot(t, line.where(line > 1e-7, torch.nan), color=color, lw=1.2, label=name)
        ax.plot(t, ours[j].median(0).values, color="0.4", ls="--", label=r"$16\delta^2/(t+2)$")
        ax.plot(t, printed[j].median(0).values, color="0.4", ls=":", label=r"$4\delta^2/(t+1)$")
        ax.set(
            xscale="log",
            yscale="log",
            ylim=(1e-7, 100),
            xlabel="step $t$",
            title=rf"$\delta$ = {factors[j]:g} $\gamma_1(y)$",
        )
    axes[0].set_ylabel(r"$\|z - y\|^2$ above optimum")
    axes[0].text(0.95, 0.06, "medians: zero after step 1", transform=axes[0].transAxes, ha="right", fontsize=8)
    axes[1].legend(fontsize=7, loc="lower left")

# %% [markdown]
# The printed constant would follow from atoms within $R\delta$ of each other. Two opposite atoms are $2R\delta$ apart. When the
# second iterate is optimal already, the step $2/3$ that the schedule then takes leads to a far vertex, and the loss exceeds the printed
# bound.
#
# ## How many neurons
#
# After 300 steps the network has 300 neurons. Any prediction of $n$ numbers in the ball needs only $n + 2$: a linear program
# that keeps the prediction and minimizes the sum of weights has a basic solution with at most $n$ of them. On whitened data
# two neurons suffice for anything, which proves little; here the data are Gaussian and the oracle is a search.

# %%
support = []
for k in range(3):
    g = ch.generator(50 + k)
    data = torch.randn(20, 25, generator=g, dtype=f64) / 5
    target = planted(data, 10, g)
    oracle = functools.partial(relu_lmo_search, restarts=12, iterations=15, generator=k)
    radius = 0.5 * target.norm().item()
    theta, weights = frank_wolfe(data, target, radius, iterations=T, lmo=oracle)[:2]
    atoms = (data @ theta.T).clamp(min=0)
    sparse = sparsify_weights(atoms, weights)
    support.append(
        {
            "before": len(torch.unique(atoms.T.round(decimals=8), dim=0)),
            "after": int((sparse.abs() > 1e-10).sum()),
            "prediction": (atoms @ (sparse - weights)).abs().max().item(),
            "norm ratio": (sparse.abs().sum() / weights.abs().sum()).item(),
        }
    )
support = pd.DataFrame(support)

# %% tags=["nbval-check-output"]
ch.claim(
    "finite-support",
    value={
        "neurons": support["after"].tolist(),
        "of": support["before"].tolist(),
        "error": support["prediction"].max(),
    },
    holds=bool(
        (support["after"] <= 22).all()
        and (support["before"] > min(100, T // 3)).all()
        and support["prediction"].max() < 1e-8
        and (support["norm ratio"] <= 1 + 1e-9).all()
    ),
)

# %% [markdown]
# ## Few samples per step
#
# With a batch of samples the oracle sees part of the gradient. The review says that batches which grow with the step make up for it
# (its rule for the growth has the Lipschitz constants of function and gradient exchanged). A growing batch that has reached all samples
# is no longer stochastic: with 20 samples, $b = 2 + t/4$ has them all from step 72 on. So we use more samples than the batch
# reaches, and compare with a constant batch that sees the same number of samples in all.
#
# Two kinds of data. On whitened data, 200 points in 205 dimensions, a neuron can be fitted to the batch and be silent elsewhere. In the
# plane, 1,000 points with noisy targets, a batch is like the rest; the oracle tries 60 neurons on a circle, and the optimum over
# these is found by projected gradient.

# %%
repeats = ch.pick(quick=4, full=50, smoke=2)
turn = torch.arange(60, dtype=f64) * (torch.pi / 30)
circle = torch.stack([turn.cos(), turn.sin()], -1)


def circle_lmo(A, g):
    """The best neuron on the circle, with its sign."""
    value = torch.einsum("...n,...nk->...k", g, (A @ circle.T).clamp(min=0))
    best = value.abs().argmax(-1)
    return circle[best], value.gather(-1, best[..., None])[..., 0].sign()


# %%
def whitened_problem(n):
    """Data, planted targets, radius and optimum."""
    g = ch.generator(100 + n)
    A = whitened(repeats, n, n + 5, g)
    y = torch.nn.functional.normalize(planted(A, 10, g), dim=-1)
    size = 0.8 * (y.clamp(min=0).norm(dim=-1) + y.clamp(max=0).norm(dim=-1))
    return A, y, size, (project_gamma1(y, size) - y).square().sum(-1)


# %%
g = ch.generator(100)
A_s = torch.randn(repeats, 1000, 2, generator=g, dtype=f64)
y_s, noise = planted(A_s, 10, g), torch.randn(repeats, 1000, generator=g, dtype=f64)
y_s = torch.nn.functional.normalize(y_s, dim=-1) + torch.nn.functional.normalize(noise, dim=-1)
size = 0.8 * y_s.norm(dim=-1) / (A_s @ circle.T).clamp(min=0).norm(dim=-2).mean(-1)
_, best, uncertain = l1_ball_least_squares((A_s @ circle.T).clamp(min=0), y_s, size)
ch.require((uncertain / best).max() < 1e-3, f"the optimum in the plane is known to {uncertain} only")
problems = {"whitened": whitened_problem(200), "plane": (A_s, y_s, size, best)}

# %%
lengths = {"whitened": 1000, "plane": 1600}
growing = {"whitened": lambda t: max(1, 200 * t // (t + 20)), "plane": lambda t: 2 + t // 4}
excess, batches = {}, {}
for data, (A_s, y_s, size, best) in problems.items():
    drawn = [growing[data](t) for t in range(1, lengths[data] + 1)]
    same = round(sum(drawn) / len(drawn))
    rules = {"growing": growing[data], "same in all": lambda t, b=same: b, "b = 3": lambda t: 3}
    batches[data] = {"last": drawn[-1], "same in all": same, "of": y_s.shape[-1]}
    for k, (name, rule) in enumerate(rules.items()):
        options = {"lmo": circle_lmo if data == "plane" else None, "generator": ch.generator(110 + k)}
        losses = frank_wolfe(A_s, y_s, size, iterations=lengths[data], batch_size=rule, **options).loss
        excess[data, name] = (losses - best[:, None]) / (y_s.square().sum(-1) - best)[:, None]

# Twenty points, where the growing batch soon has them all.
A_s, y_s, size, best = whitened_problem(20)
for name, rule in {"b = 2 + t/4": growing["plane"], "b = 3": lambda t: 3}.items():
    losses = frank_wolfe(A_s, y_s, size, iterations=200, batch_size=rule, generator=ch.generator(120)).loss
    excess["20 points", name] = (losses - best[:, None]) / (y_s.square().sum(-1) - best)[:, None]


# %%
def around(data, name, share=1.0):
    """Excess of every draw over the 20 steps up to a share of the run."""
    end = round(share * excess[data, name].shape[-1])
    return excess[data, name][:, end - 20 : end].mean(-1)


parts = {"a quarter of the steps": 0.25, "half": 0.5, "all": 1.0}
pd.DataFrame({name: {part: around(*name, share).mean().item() for part, share in parts.items()} for name in excess}).T

# %% tags=["nbval-check-output"]
arms = [(data, name) for data in problems for name in ("growing", "same in all")]
falls = {key: (around(*key).mean() / around(*key, 0.5).mean()).item() for key in arms}
against = {data: (around(data, "growing").mean() / around(data, "same in all").mean()).item() for data in problems}
few = {name: around("20 points", name).mean().item() for name in ("b = 2 + t/4", "b = 3")}
converges = all(falls[data, "growing"] < 0.7 and against[data] < 0.85 for data in problems)
stalls = all(falls[data, "same in all"] > 0.85 for data in problems)
partial = all(batches[data]["last"] < batches[data]["of"] for data in problems)
ch.claim(
    "sfw-growing-batch",
    value={
        "end over half way": {f"{data}, {name}": fall for (data, name), fall in falls.items()},
        "growing over same in all": against,
        "batches": batches,
        "20 points, step 200": few,
    },
    holds=converges and stalls and partial and few["b = 2 + t/4"] < 0.02 and few["b = 3"] > 0.2,
)

# %% mystnb={"figure": {"name": "fig-11-sfw", "caption": "Stochastic Frank-Wolfe on whitened data (left) and in the plane (right): excess relative to the start, mean (thick) and single draws (thin). A constant batch that sees as many samples in all as the growing one is ahead at first, and stalls; the growing one, which never has all samples, goes on falling and ends below it."}, "image": {"alt": "Two panels on logarithmic axes with three bundles of curves each. Batches of three level off high up. The constant batch of the same total falls first and levels off; the growing one falls in a straight line and crosses it towards the end."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3, sharey=True)
    for ax, data in zip(axes, problems):
        labels = {"growing": f"growing to {batches[data]['last']}", "b = 3": "3"}
        labels["same in all"] = f"{batches[data]['same in all']}, the same in all"
        for color, (name, label) in zip(PALETTE, labels.items()):
            steps = range(1, excess[data, name].shape[-1] + 1)
            ax.plot(steps, excess[data, name].T, color=color, lw=0.5, alpha=0.4)
            ax.plot(steps, excess[data, name].mean(0), color=color, label=label)
        ax.set(xscale="log", yscale="log", xlabel="step $t$", title=f"{data}, {batches[data]['of']} points")
        ax.set(ylim=(2e-3, 4))
        ax.legend(title="batch", fontsize=7)
    axes[0].set_ylabel("excess / excess at start")

# %% [markdown]
# Growing batches converge: over the second half of the steps the excess halves on both data, while constant batches with the same number
# of samples in all stay where they are. The price is in the first steps, where the constant batch is ahead. How large a batch has to be is a
# matter of the data. In the plane 200 samples of 1,000 leave an excess of about 2%; on whitened data, where a neuron sees
# only the samples it was fitted to, 184 of 200 are needed for 1%.
#
# ## Without whitening, and wider problems
#
# For any other data the oracle is a search: many starts, subgradient ascent, all as one batch. The review concludes
# from the paper's toy runs that training gets easier with overparameterization. We vary the data: ten planted neurons,
# $\delta$ twice the planted norm, loss relative to $\|y\|^2$ after 200 steps. It is judged at full scale, 20 draws per
# shape.

# %%
seeds = ch.pick(quick=2, full=20, smoke=1)
search_steps = ch.pick(quick=200, full=200, smoke=10)
shapes = [(60, 5), (60, 20), (25, 20), (20, 60)]
rows = []
for n, d in shapes:
    for s in range(seeds):
        g = ch.generator(200 + s)
        A_s = torch.randn(n, d, generator=g, dtype=f64) / d**0.5
        theta = torch.nn.functional.normalize(torch.randn(10, d, generator=g, dtype=f64), dim=1)
        w = torch.randn(10, generator=g, dtype=f64)
        y_s = (A_s @ theta.T).clamp(min=0) @ w
        oracle = functools.partial(relu_lmo_search, restarts=24, iterations=25, generator=s)
        losses = frank_wolfe(A_s, y_s, w.abs().sum().item(), iterations=search_steps, lmo=oracle).loss
        rows.append({"n": n, "d": d, "seed": s, "loss": (losses[-1] / y_s.square().sum()).item()})
shape_table = pd.DataFrame(rows)
recorded_shapes = ch.table("frank-wolfe-shapes", shape_table)
judged = shape_table if recorded_shapes is None else recorded_shapes
here, median = (each.groupby(["n", "d"])["loss"].median() for each in (shape_table, judged))
# The loss starts at 1, and equal losses of runs that failed are no result.
for medians in (here, median):
    ch.require(medians.max() < 0.05, f"Frank-Wolfe did not train on every shape: {medians.to_dict()}")

# %% tags=["nbval-check-output"]
ch.claim(
    "fw-overparameterized",
    value={f"({n}, {d})": median[n, d] for n, d in shapes},
    holds=bool(median[20, 60] <= 0.5 * median[60, 5]),
    table="frank-wolfe-shapes",
)

# %% tags=["hide-input"]
losses = {
    scale: table.groupby(["n", "d"], sort=False)["loss"].agg(
        draws="size", smallest="min", median="median", largest="max"
    )
    for scale, table in ch.scales(shape_table, recorded_shapes).items()
}
pd.concat(losses, axis=1).round(4)

# %% [markdown]
# The median loss of 20 samples in 60 dimensions (0.0036) is about that of 60 samples in five (0.0040), and the two shapes between them do
# better. Within a shape the draws differ by a factor of ten and more, so that two draws, as in the quick run, decide nothing.
#
# ## Takeaway
#
# The rate, the gap and the growing batches are as claimed; the constant of the rate is not. At a known optimum one sees how loose the
# bounds are after the first steps.
