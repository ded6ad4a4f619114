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
        and (support["before"] > 100).all()
        and support["prediction"].max() < 1e-8
        and (support["norm ratio"] <= 1 + 1e-9).all()
    ),
)

# %% [markdown]
# ## Few samples per step
#
# With a batch of samples the oracle sees part of the gradient. A constant batch of three leaves an error that does not shrink; a batch
# that grows with the step removes it. The review has the Lipschitz constants of function and gradient exchanged in its rule for
# the growth.

# %%
repeats = ch.pick(quick=6, full=50, smoke=2)
rules = {"b = 3": lambda t: 3, "b = 2 + t/4": lambda t: 2 + t // 4, "all samples": None}
stochastic = []
for s in range(repeats):
    g = ch.generator(100 + s)
    A_s = whitened(1, 20, 25, g)[0]
    y_s = planted(A_s, 10, g)
    y_s = y_s / y_s.norm() * 2
    size = 0.8 * (y_s.clamp(min=0).norm() + y_s.clamp(max=0).norm()).item()
    best = (project_gamma1(y_s, size) - y_s).square().sum().item()
    for name, rule in rules.items():
        losses = frank_wolfe(A_s, y_s, size, iterations=200, batch_size=rule, generator=s).loss
        start = y_s.square().sum().item() - best
        stochastic += [
            {"seed": s, "batch": name, "t": k + 1, "excess": (v - best) / start} for k, v in enumerate(losses.tolist())
        ]
stochastic = pd.DataFrame(stochastic)

# %% tags=["nbval-check-output"]
last = stochastic[stochastic.t > 190].groupby("batch")["excess"].mean()
ch.claim(
    "sfw-growing-batch",
    value={name: last[name] for name in rules},
    holds=bool(last["b = 2 + t/4"] < 0.02 and last["b = 3"] > 0.2),
)

# %% mystnb={"figure": {"name": "fig-11-sfw", "caption": "Stochastic Frank-Wolfe: excess relative to the start, mean (thick) and single seeds (thin). A constant batch of three out of twenty stalls, a growing one goes on falling, behind the full gradient. One run with all samples is below the picture: its targets are of one sign, and it is at the optimum after a step."}, "image": {"alt": "Three bundles of falling curves on logarithmic axes; that of the constant batch levels off high above the other two, of which that of all samples ends far lower."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves

    fig, ax = figure(height=3)
    for color, name in zip(PALETTE, rules):
        single = stochastic[stochastic.batch == name].pivot_table(index="t", columns="seed", values="excess")
        ax.plot(single.index, single.clip(lower=1e-12), color=color, lw=0.6, alpha=0.5)
    curves(stochastic, "t", "excess", "batch", ax=ax, error="none", order=list(rules))
    ax.set(xscale="log", yscale="log", xlabel="step $t$", ylabel="excess / excess at start", ylim=(5e-6, 4))
    ax.legend()

# %% [markdown]
# ## Without whitening, and wider problems
#
# For any other data the oracle is a search: many starts, subgradient ascent, all as one batch. The review concludes from the paper's
# toy runs that overparameterized networks are inherently easier to train. We vary the data: ten planted neurons, $\delta$ twice the planted
# norm, loss relative to $\|y\|^2$ after 200 steps.

# %%
seeds = ch.pick(quick=3, full=20, smoke=1)
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
median = shape_table.groupby(["n", "d"])["loss"].median()
# The loss starts at 1, and equal losses of runs that failed are no result.
ch.require(median.max() < 0.05, f"Frank-Wolfe did not train on every shape: {median.to_dict()}")

# %% tags=["nbval-check-output"]
ch.claim(
    "fw-overparameterized",
    value={f"({n}, {d})": median[n, d] for n, d in shapes},
    holds=bool(median[20, 60] <= 0.5 * median[60, 5]),
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
# Twenty draws at full scale make the verdict firmer: the median loss of 20 samples in 60 dimensions (0.0036) is about that of 60 samples in
# five (0.0040), the two shapes between them do better, and within a shape the draws differ by a factor of ten and more.
#
# ## Takeaway
#
# The rate, the gap and the growing batches are as claimed; the constant of the rate is not. At a known optimum one sees how loose the
# bounds are after the first steps.
