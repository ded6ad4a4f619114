# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Momentum on a deep linear network
#
# $N(x)=\frac1{\sqrt{m^{L-1}d_y}}\,W_L\cdots W_1x$ is linear in $x$ and not convex in its weights. From an *orthogonal* start
# {cite}`hu2020provable` the Gram matrix of its gradients is $\frac L{d_y}X^\top X\otimes I$, exactly and at any depth; a wide
# network keeps it nearly so {cite}`du2019width`. Theorem 3.2 of {cite:t}`wang2021modular`: Polyak's momentum then converges at
# $1-\Theta(1/\sqrt\kappa)$, with $\kappa=\sigma_{\max}^2(X)/\sigma_{\min}^2(X)$, whatever the depth.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.linearnets import end_to_end, orthogonal_factors, train_factors
from litrepro.optim.accelerated import polyak_bound_holds

ch = Chapter("04-accelerated-nonconvex", notebook="deep-linear-momentum", profile=profile, seed=seed, full_minutes=3)
d_x, d_y, samples, seeds = 10, 3, 20, 5
width = ch.pick(quick=64, full=512, smoke=16)
depths = ch.pick(quick=[5, 10, 20], full=[5, 10, 20, 50], smoke=[5, 10])
kappas = ch.pick(quick=[10, 100], full=[10, 100, 1000], smoke=[10, 100])
steps = ch.pick(quick={10: 150, 100: 300}, full={10: 300, 100: 1000, 1000: 3000}, smoke={10: 30, 100: 30})
f64 = {"dtype": torch.float64, "device": ch.device}
ch.require(
    {5, 10} <= {*depths} and {10, 100} <= {*kappas} <= {*steps},
    "depths needs 5 and 10, kappas needs 10 and 100, which are judged, steps needs a number for each of kappas",
)

# %% [markdown]
# ## The start
#
# The Gram matrix of the Jacobian, by autograd, against the formula. (Equation 9 of the review sets $d_l=m$ for
# $l\ne1,L$, which leaves the size of layer 1 open and makes layer 0 as wide as the network; its text has $W_1$ as
# $m\times d$. It must be $l\ne0,L$.)

# %%
x_small = torch.randn(4, 6, generator=ch.generator(1), dtype=torch.float64)
deviation, agree = {}, {}
for depth in (2, 3, 5):
    factors = orthogonal_factors(4, 2, 8, depth, generator=ch.generator(2))
    scale = (8 ** (depth - 1) * 2) ** -0.5

    def network(*weights, scale=scale):
        """All outputs, sample by sample."""
        return scale * (end_to_end(weights) @ x_small).T.flatten()

    jacobian = torch.cat([j.flatten(1) for j in torch.func.jacrev(network, tuple(range(depth)))(*factors)], 1)
    expected = depth / 2 * torch.kron(x_small.T @ x_small, torch.eye(2, dtype=torch.float64))
    deviation[depth] = (jacobian @ jacobian.T - expected).abs().max().item()
    text = [tuple(f.shape) for f in factors]  # (d_l, d_{l-1}) for l = 1 ... L
    sizes = {
        "corrected": [4 if l == 0 else 2 if l == depth else 8 for l in range(depth + 1)],
        "printed": [4 if l == 1 else 2 if l == depth else 8 for l in range(depth + 1)],
    }
    agree[depth] = {name: [(d[l], d[l - 1]) for l in range(1, depth + 1)] == text for name, d in sizes.items()}

# %% tags=["nbval-check-output"]
ch.claim("orthogonal-gram", value={"largest deviation by depth": deviation}, holds=max(deviation.values()) < 1e-10)
ch.claim("erratum-layer-sizes", value=agree, holds=all(a["corrected"] and not a["printed"] for a in agree.values()))

# %% [markdown]
# ## Training
#
# Inputs of dimension 10 with geometrically spaced singular values, targets $W^*X$ in 3 dimensions. Four runs side by side:
# gradient descent with the step of {cite:t}`hu2020provable`, $\eta=d_y/(2L\sigma_{\max}^2)$, and with twice that; the heavy
# ball with $\beta=\big(1-\frac1{2\sqrt\kappa}\big)^2$ and both steps. Five seeds of the start.

# %%
runs = pd.DataFrame(
    [("GD", 0.5, False), ("GD, double step", 1.0, False), ("Polyak, printed step", 0.5, True), ("Polyak", 1.0, True)],
    columns=["run", "step", "momentum"],
)


def regression(kappa, offset):
    """X (d_x, samples) with sigma_max = 1 and the condition number sqrt(kappa), and Y = W* X."""
    g = ch.generator(offset)
    u = torch.linalg.qr(torch.randn(d_x, d_x, generator=g, dtype=torch.float64))[0]
    v = torch.linalg.qr(torch.randn(samples, d_x, generator=g, dtype=torch.float64))[0]
    x = (u * torch.logspace(-0.5 * math.log10(kappa), 0, d_x, dtype=torch.float64)) @ v.T
    target = torch.randn(d_y, d_x, generator=g, dtype=torch.float64) / math.sqrt(d_x)
    return x.to(ch.device), (target @ x).to(ch.device)


def residuals(depth, kappa):
    """||xi_t|| over ||xi_0||, (steps + 1, seeds, runs)."""
    x, y = regression(kappa, 10 + kappa)
    scale = (width ** (depth - 1) * d_y) ** -0.5
    factors = orthogonal_factors(d_x, d_y, width, depth, generator=ch.generator(1000 + depth), batch=(seeds, 1))
    factors = [f.to(ch.device).expand(seeds, len(runs), *f.shape[-2:]) for f in factors]
    lr = torch.tensor(runs.step.to_numpy() * d_y / depth, **f64)  # sigma_max = 1
    beta = torch.tensor(runs.momentum.to_numpy() * (1 - 1 / (2 * math.sqrt(kappa))) ** 2, **f64)
    path, _ = train_factors(
        lambda w: scale * (scale * w @ x - y) @ x.mT, factors, lr=lr, momentum=beta, steps=steps[kappa]
    )
    norms = torch.linalg.matrix_norm(scale * path @ x - y)
    return (norms / norms[0]).cpu()


# %%
problems = list(itertools.product(depths, kappas))
norms = {problem: residuals(*problem) for problem in ch.progress(problems, "training")}


# %%
def contraction(relative, low=1e-10, high=1e-2):
    """Per-step contraction between residuals ``high`` and ``low`` of the start (or the end of the run), per seed."""
    rates = []
    for line in relative.T:
        inside = (line <= high) & (line >= low)
        where = inside.nonzero()[:, 0]
        if len(where) < 5:  # not that far yet: the last tenth of the run
            where = torch.arange(len(line) - max(5, len(line) // 10), len(line))
        rates.append(((line[where[-1]].log() - line[where[0]].log()) / (where[-1] - where[0])).exp().item())
    return torch.tensor(rates)


rows = []
for (depth, kappa), relative in norms.items():
    for i, run in enumerate(runs.run):
        rows += [(depth, kappa, run, s, rate) for s, rate in enumerate(contraction(relative[..., i]).tolist())]
table = pd.DataFrame(rows, columns=["depth", "kappa", "run", "seed", "contraction"])
recorded = ch.table("deep-linear-rates", table)
rate = table.groupby(["run", "kappa", "depth"]).contraction.mean()
table.pivot_table(index=["kappa", "depth"], columns="run", values="contraction").round(4)

# %% [markdown]
# The bound (10) is that of theorem 3.1 with $\kappa$ for $\hat\kappa$.

# %%
polyak = len(runs) - 1
kept = {
    (depth, kappa): polyak_bound_holds(norms[depth, kappa][..., polyak], kappa).tolist()
    for depth in depths
    for kappa in kappas
}

# %% tags=["nbval-check-output"]
ch.claim(
    "deep-linear-bound",
    value={f"depth {d}, kappa {k}": v for (d, k), v in kept.items()},
    holds=all(all(v) for v in kept.values()),
)

# %% [markdown]
# Gradient descent: what the *loss* loses per step, in units of $1/\kappa$. And how far all four runs are at $\kappa=100$
# after 300 steps.

# %%
loss_rate = {(depth, kappa): (1 - rate["GD", kappa, depth]) * 2 * kappa for depth in (5, 10) for kappa in (10, 100)}
ends = {depth: norms[depth, 100][min(300, steps[100])].mean(0).tolist() for depth in (5, 10)}

# %% tags=["nbval-check-output"]
ch.claim(
    "gd-deep-linear",
    value={f"depth {d}, kappa {k}": v for (d, k), v in loss_rate.items()},
    holds="partly" if all(0.8 <= v <= 1.5 for v in loss_rate.values()) else False,
)
ch.claim(
    "deep-linear-acceleration",
    value={f"depth {d}": dict(zip(runs.run, v)) for d, v in ends.items()},
    holds=all(v[3] < 1e-2 * min(v[0], v[1]) and max(v[0], v[1]) < 0.1 for v in ends.values()),
)

# %% [markdown]
# Depth: the contraction of the heavy ball at depth 20 beside that at depth 5. Networks that do not train at any depth would have
# equal contractions too; the theorem's rate is the mark. Then the step: $\beta$ belongs to the doubled one, and late in the run
# the printed one is behind.

# %%
deepest = max(depth for depth in depths if depth <= 20)
spread = {kappa: rate["Polyak", kappa, deepest] - rate["Polyak", kappa, 5] for kappa in (10, 100)}
trains = all(rate["Polyak", k, depth] <= 1 - 1 / (4 * math.sqrt(k)) for k in (10, 100) for depth in (5, deepest))
beta = (1 - 1 / (2 * math.sqrt(100))) ** 2
missed = {run: abs((1 - math.sqrt(step / 100) / 2) ** 2 - beta) for run, step in (("printed", 0.5), ("doubled", 1.0))}
late = {depth: norms[depth, 100][min(200, steps[100] // 2) :].amax(0) for depth in (5, 10)}  # (seeds, runs)
slower = {depth: (v[:, 2] / v[:, 3]).log().mean().exp().item() for depth, v in late.items()}

# %% tags=["nbval-check-output"]
ch.claim(
    "depth-harmless",
    value={"difference of contractions": spread},
    holds=trains and all(abs(v) <= 0.03 for v in spread.values()),
)
ch.claim(
    "erratum-deep-linear-step",
    value={"beta missed by": missed, "late residual, printed over doubled": slower},
    holds=missed["doubled"] < 1e-12 and missed["printed"] > 0.01 and all(v > 1.2 for v in slower.values()),
)

# %% mystnb={"figure": {"name": "fig-04-deep-linear", "caption": "Residual relative to its start at depth 10, five seeds, for two condition numbers, with the bound of theorem 3.2 (dashed). Gradient descent with both steps, the heavy ball with both steps. The heavy ball oscillates around its rate 1 - 1/(2 sqrt(kappa))."}, "image": {"alt": "Two panels of residuals against step on a logarithmic axis. At kappa 10 all four fall steeply, the heavy ball fastest, with both of its steps on top of one another. At kappa 100 gradient descent has lost two digits after 300 steps, the heavy ball five to seven, well below the bound."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, axes = figure(1, 2, height=3.2, sharey=True)
    for ax, kappa in zip(axes, (10, 100)):
        relative = norms[10, kappa]
        for i, run in enumerate(runs.run):
            ax.plot(relative[..., i].clamp(min=1e-14), color=f"C{i}", lw=0.8, alpha=0.8)
            ax.plot([], [], color=f"C{i}", label=run)
        t = torch.arange(len(relative))
        ax.plot(t, (1 - 1 / (4 * math.sqrt(kappa))) ** t * 8 * math.sqrt(kappa), "--", color="0.35", label="bound")
        ax.set(xlabel="step", yscale="log", ylim=(1e-13, 1e3), title=f"kappa = {kappa}")
    axes[0].set_ylabel("residual / its start")
    axes[0].legend()

# %% mystnb={"figure": {"name": "fig-04-deep-rates", "caption": "What a step loses, 1 - contraction of the residual, against the condition number, for depths 5, 10 and 20 (markers, set apart sideways; open markers from the full-scale table where it is recorded). Lines: 1/(2 kappa) and 1/(2 sqrt(kappa))."}, "image": {"alt": "Log-log plot: points of gradient descent near the steep line 1 over 2 kappa, points of the heavy ball near the flatter line 1 over 2 root kappa; the three depths lie close together."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure()
    for frame, fill in ((table, None), (recorded, "none")):
        if frame is None:
            continue
        for i, run in enumerate(("GD", "Polyak")):
            for j, depth in enumerate(depths):
                part = frame[(frame.run == run) & (frame.depth == depth)].groupby("kappa").contraction.mean()
                label = f"{run}, depth {depth}" if fill is None else None
                ax.plot(
                    part.index * 1.06 ** (j - 1),
                    1 - part,
                    "osD^"[j],
                    color=f"C{i}",
                    mfc=fill or f"C{i}",
                    ms=6,
                    label=label,
                )
    grid = [min(kappas), max(kappas)]
    ax.plot(grid, [1 / (2 * k) for k in grid], "--", color="0.35", label="1/(2 kappa)")
    ax.plot(grid, [1 / (2 * math.sqrt(k)) for k in grid], ":", color="0.35", label="1/(2 sqrt(kappa))")
    ax.set(xscale="log", yscale="log", xlabel="condition number kappa", ylabel="1 - contraction per step")
    ax.legend(ncols=2)

# %% [markdown]
# ## Takeaway
#
# The theorem holds on every seed and at every depth that we ran, and depth indeed does no harm: with the step divided by
# the depth, ten and twenty layers train like five. Gradient descent is as slow as promised, if one reads $(1-1/\kappa)^t$
# as the rate of the loss. The momentum of the theorem belongs to twice the printed step; both converge, with the same
# asymptotic rate on a quadratic, and from step 200 to 300 the largest residual of the doubled step is about half that of the printed one.
