# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When recovery must fail, and when it must succeed
#
# The paper's theory brackets the phase transition from both sides. From below: a deterministic test that certifies failure,
# whatever the combination of norms, and from which it follows that the *best* single norm decides. From above: Gaussian
# distances that say how many measurements suffice. We run the test on random problems, measure all quantities in it, and
# place both bounds on one picture with what actually happens. The theorems here are about general matrices: except for the
# nuclear norm's row of table 1, no program in this notebook uses positive semidefiniteness, which would add a cone to every
# subdifferential.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.recovery import (
    descent_dimension,
    deterministic_failure,
    gaussian_distance_sq,
    linear_measurements,
    measure,
    norm_geometry,
    phase_diagram,
    random_subgradient,
    sparse_low_rank,
    statistical_dimension,
    structured_recovery,
    success_threshold,
    sufficient_measurements,
)
from litrepro.solvers import group_soft_threshold, project_l1_ball, singular_value_threshold, soft_threshold

ch = Chapter("12-structured-recovery", notebook="failure-theory", profile=profile, seed=seed, full_minutes=4)
trials = ch.pick(quick=20, full=100, smoke=4)
grid_trials = ch.pick(quick=3, full=20, smoke=1)
draws = ch.pick(quick=50, full=1000, smoke=10)
chunk = ch.pick(quick=2**27, full=2**33)
both = {"l12": 1.0, "nuclear": 1.0}


def general(d, k, rank, count, offset):
    """Signals without semidefiniteness, on the chapter's device."""
    return sparse_low_rank(d, k, rank, psd=False, batch=(count,), generator=ch.generator(offset)).to(ch.device)


def solve(d, m, X0, weights, offset, tol=1e-5):
    """Gaussian measurements of every signal, and whether the program recovers it."""
    A = linear_measurements(d, m, batch=X0.shape[:1], generator=ch.generator(offset)).to(ch.device)
    found = structured_recovery(A, measure(A, X0), weights, tol=tol, max_iter=10_000)
    return A, torch.linalg.matrix_norm(found.X - X0) < 1e-3


# %% [markdown]
# ## How pronounced is a structure?
#
# For a norm $f$ let $L$ be the length of its longest subgradient and $\kappa = f(\bar x)/L$ with the *normalized* signal
# $\bar x$. Signals of a simple structure have small $\kappa$, and $n\kappa^2$ is about the number of their parameters. That
# is table 2 of the review, with $n = d^2$ and $k^2$ nonzero entries for $\ell_1$.

# %%
d, k = 16, 8
signals = general(d, k, 1, draws, 1)
bounds = {"l1": k * k, "l12": k * d, "nuclear": d}
table2 = {}
for name, bound in bounds.items():
    geometry = norm_geometry(signals, name)
    longest = torch.linalg.matrix_norm(random_subgradient(signals, name, extreme=True, generator=ch.generator(2)))
    table2[name] = {
        "L": geometry.lipschitz,
        "longest subgradient drawn": longest.max().item(),
        "n kappa^2, mean": d * d * geometry.kappa.square().mean().item(),
        "n kappa^2, largest": d * d * geometry.kappa.square().max().item(),
        "bound": bound,
    }
pd.DataFrame(table2).T.round(3)

# %% tags=["nbval-check-output"]
ch.claim(
    "table2-values",
    value=table2,
    holds=all(
        abs(row["longest subgradient drawn"] - row["L"]) < 1e-9 and row["n kappa^2, largest"] <= row["bound"] + 1e-9
        for row in table2.values()
    ),
)

# %% [markdown]
# Proposition 3.1 says what happens to a weighted sum: its subgradients are correlated with $\bar x$ by at least the
# weighted mean of the $\kappa_i$, with weights $\bar\lambda_i = \lambda_i L_i/\sum_j\lambda_j L_j$. So no mixture gets below
# the smallest $\kappa$. We draw 200 random sums and 20 subgradients of each.

# %%
x = general(12, 4, 2, 200, 3)
lam = torch.rand(4, 200, generator=ch.generator(4), dtype=torch.float64).to(ch.device)
names = ("l1", "l12", "l12_rows", "nuclear")
stack = x.expand(20, *x.shape)
subgradient = sum(
    weight[:, None, None] * random_subgradient(stack, name, extreme=i == 3, generator=ch.generator(5 + i))
    for i, (name, weight) in enumerate(zip(names, lam))
)
correlation = ((subgradient * x).sum((-2, -1)) / torch.linalg.matrix_norm(subgradient)).abs()
geometry = {name: norm_geometry(x, name) for name in names}
weight = torch.stack([lam[i] * geometry[name].lipschitz for i, name in enumerate(names)])
kappas = torch.stack([geometry[name].kappa for name in names])
mean_kappa = (weight * kappas).sum(0) / weight.sum(0)
signs = random_subgradient(x, "l1", extreme=True, generator=ch.generator(9))
equality = (signs * x).sum((-2, -1)) / torch.linalg.matrix_norm(signs) - geometry["l1"].kappa

# %% tags=["nbval-check-output"]
slack = (correlation - mean_kappa).min().item()
equal = equality.abs().max().item()
above = (mean_kappa - kappas.amin(0)).min().item()
ch.claim(
    "kappa-min-bound",
    value={"smallest slack": slack, "mean over smallest kappa": above, "deviation from equality": equal},
    holds=slack >= 0 and above >= -1e-12 and equal < 1e-9,
)
ch.claim("erratum-prop31-equality", value=equal, holds=equal < 1e-9)

# %% [markdown]
# The review defines $\rho(x, S)$ by the formula that is its *value* for one $S$, and $\kappa$ with the signal as it is.

# %%
one = general(12, 4, 2, 1, 10)[0]
pool = random_subgradient(one.expand(2000, 12, 12), "nuclear", generator=ch.generator(11))
smallest = ((pool * one).sum((-2, -1)) / torch.linalg.matrix_norm(pool)).min().item()
printed = {
    name: (norm_geometry(one, name).value / norm_geometry(one, "nuclear").lipschitz).item()
    for name in ("nuclear", "l1")
}
as_printed = {
    scale: (torch.linalg.svdvals(scale * one).sum() / norm_geometry(one, "nuclear").lipschitz).item()
    for scale in (1, 10)
}
normalized = {scale: norm_geometry(scale * one, "nuclear").kappa.item() for scale in (1, 10)}

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-rho-minimum",
    value={"minimum over draws": smallest, "printed formula": printed},
    holds=printed["nuclear"] <= smallest + 1e-9 and printed["l1"] > smallest,
)
ch.claim(
    "erratum-kappa-normalized",
    value={"printed": as_printed, "normalized": normalized},
    holds=abs(as_printed[10] / as_printed[1] - 10) < 1e-9
    and as_printed[10] > 1
    and abs(normalized[10] - normalized[1]) < 1e-9,
)

# %% [markdown]
# ## The test, on random problems
#
# If every subgradient is too well aligned with $\bar x$, compared with $\|A\bar x\|/\sigma_{\min}(A^\top)$, then none lies in the
# row space of $A$ and $x$ is no minimizer (theorem 3.1). The test is deterministic: one contradiction would refute it. We
# certify and solve $\ell_{1,2}$ plus nuclear problems from very few to enough measurements, and, because the test is far
# from tight there, the nuclear norm on matrices of high rank, where $\kappa$ is large.

# %%
cases = [(12, 4, 1, both, m) for m in (4, 8, 12, 16, 20, 28, 36, 44, 52, 60, 70, 80)]
cases += [(12, 12, rank, {"nuclear": 1.0}, m) for rank in (2, 6, 12) for m in (20, 40, 60, 80, 100, 120, 136, 142)]
certified = []
for number, (d, k, rank, weights, m) in enumerate(cases):
    X0 = general(d, k, rank, max(3, trials // 2), 100 + number)
    A, success = solve(d, m, X0, weights, 200 + number)
    test = deterministic_failure(A, X0, weights)
    for c, r, s in zip(test.correlation.tolist(), test.ratio.tolist(), success.tolist()):
        certified.append({"rank": rank, "m": m, "correlation": c, "ratio": r, "success": s, "certified": c > r})
certified = pd.DataFrame(certified)
margin = (certified.ratio / certified.correlation)[certified.success].min()

# %% tags=["nbval-check-output"]
wrong = int((certified.certified & certified.success).sum())
ch.claim(
    "failure-test-sound",
    value={"problems": len(certified), "certified": int(certified.certified.sum()), "contradictions": wrong,
           "ratio over correlation where recovery succeeds": margin},
    holds=wrong == 0 and certified.certified.sum() >= 20 and len(certified) >= 100 and 1 < margin < 5,
)  # fmt: skip

# %% mystnb={"figure": {"name": "fig-12-certified", "caption": "Share of problems whose failure is certified by theorem 3.1 (dashed) and share that actually fail (solid). 12 x 12 matrices; l1,2 plus nuclear norm on 4 x 4-sparse matrices of rank 1, and the nuclear norm on dense matrices."}, "image": {"alt": "Pairs of curves against the number of measurements. The certified share is zero from 40 measurements on, for rank 2 everywhere; the failing share stays at one for longer, the more so the higher the rank, and never drops for rank 12."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, ax = figure(height=3.6)
    labels = {1: "sparse, rank 1", 2: "nuclear, rank 2", 6: "nuclear, rank 6", 12: "nuclear, rank 12"}
    for color, (rank, part) in zip(PALETTE, certified.groupby("rank")):
        share = part.groupby("m")[["certified", "success"]].mean()
        ax.plot(share.index, share.certified, "--", color=color)
        ax.plot(share.index, 1 - share.success, color=color, label=labels[rank])
    ax.plot([], [], "--", color="0.4", label="certified")
    ax.set(xlabel="measurements m (of 144)", ylabel="share of problems")
    ax.legend(loc="center", bbox_to_anchor=(0.69, 0.5))

# %% [markdown]
# ## The right-hand side of the test
#
# For Gaussian $A$ with $m$ up to about $n/4$ the ratio is at most $2\sqrt{m/n}$ with high probability (proposition 4.1; towards $m = n$
# it grows far beyond). The review prints $2m/n$, which is wrong by a square root: every measured mean exceeds it. For quadratic
# measurements $z_i^\top X z_i$ the order is $\sqrt m\,\log d/d$ (proposition 4.3).

# %%
gaussian = []
for m in (20, 50, 100):
    X0 = general(20, 8, 1, 2 * trials, 300 + m)
    A = linear_measurements(20, m, batch=(2 * trials,), generator=ch.generator(301 + m)).to(ch.device)
    ratio = deterministic_failure(A, X0, both).ratio
    gaussian.append({"m": m, "mean ratio": ratio.mean().item(), "se": ratio.std().item() / math.sqrt(2 * trials),
                     "2 sqrt(m/n)": 2 * math.sqrt(m / 400), "2 m/n": 2 * m / 400})  # fmt: skip
quadratic = []
for d in (20, 40):
    for m in (d // 4, d // 2, d):
        X0 = sparse_low_rank(d, 8, batch=(2 * trials,), generator=ch.generator(400 + m)).to(ch.device)
        A = linear_measurements(d, m, "quadratic", batch=(2 * trials,), generator=ch.generator(401 + m)).to(ch.device)
        ratio = deterministic_failure(A, X0, both).ratio.mean().item()
        quadratic.append({"d": d, "m": m, "mean ratio": ratio, "sqrt(m) log(d)/d": math.sqrt(m) * math.log(d) / d})
gaussian, quadratic = pd.DataFrame(gaussian), pd.DataFrame(quadratic)
gaussian.round(3)

# %%
quadratic.round(3)

# %% tags=["nbval-check-output"]
order = quadratic["mean ratio"] / quadratic["sqrt(m) log(d)/d"]
ratio = gaussian["mean ratio"]
ch.claim(
    "prop41-ratio",
    value=dict(zip(map(str, gaussian.m), ratio)),
    holds=bool(((ratio <= gaussian["2 sqrt(m/n)"]) & (ratio > gaussian["2 m/n"])).all()),
)
ch.claim(
    "erratum-prop41-root",
    value={"excess in standard errors": ((ratio - gaussian["2 m/n"]) / gaussian.se).min()},
    holds=bool((ratio - 5 * gaussian.se > gaussian["2 m/n"]).all()),
)
ch.claim(
    "prop43-quadratic", value={"smallest": order.min(), "largest": order.max()}, holds=bool(order.between(0.5, 2).all())
)

# %% [markdown]
# Two slips about shapes. A quadratic measurement is one number, $z_i^\top X z_i$, which for $X = yy^\top$ is $\langle z_i, y\rangle^2$;
# the print gives it a second index, and the array that this makes has rank one and says nothing more. And $A$ has $m$ rows of
# $n = d^2$ numbers, where the print has $n = d$: the smallest singular value of $A^\top$, by which the theorem divides, is zero
# only beyond $m = d^2$.

# %%
y = torch.randn(8, generator=ch.generator(12), dtype=torch.float64)
z = torch.randn(15, 8, generator=ch.generator(13), dtype=torch.float64)
off = (measure(z[:, :, None] * z[:, None, :], torch.outer(y, y)) - (z @ y).square()).abs().max().item()
array_rank = int(torch.linalg.matrix_rank(torch.outer(z @ y, z @ y)))
shape = {
    m: deterministic_failure(
        linear_measurements(4, m, generator=ch.generator(14)), torch.eye(4).double(), both
    ).ratio.item()
    for m in (16, 17)
}

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-prop43-index",
    value={"difference": off, "rank of the array": array_rank},
    holds=off < 1e-9 and array_rank == 1,
)
ch.claim(
    "erratum-shape-of-a", value={"ratio at m = n": shape[16]}, holds=math.isfinite(shape[16]) and math.isinf(shape[17])
)

# %% [markdown]
# ## Failure with high probability
#
# Theorem 3.2 turns the test into a number, $m_{\text{low}} = n\kappa_{\min}^2/100$ for programs without a cone. (The review
# omits the square. At $d = 10^6$ its version would prove failure where proposition 5.1 proves success.) The constant makes it
# nearly empty at sizes that one can simulate: here only $m = 1$ lies below, so that we also try $m = 60$, far above, where everything still
# fails. By table 2 $n\kappa_{\min}^2$ is at most $rd$, hence $m_{\text{low}}$ at most $rd/100$; without the square it is not.

# %%
d, k, rank = 40, 20, 4
X0 = general(d, k, rank, trials, 20)
kappas = [norm_geometry(X0, name).kappa for name in both]
m_low, printed = (d * d * min(kappa.pow(p).mean().item() for kappa in kappas) / 100 for p in (2, 1))
tried = (*range(1, math.floor(m_low) + 1), 60)
failing = {m: 1 - solve(d, m, X0, both, 21 + m, tol=1e-4)[1].double().mean().item() for m in tried}
huge = 10**6
claims_32 = {"printed": huge**2 * huge**-0.5 / 100, "corrected": huge**2 / huge / 100,
             "sufficient": sufficient_measurements(huge, 1, 1, 0.0)}  # fmt: skip

# %% tags=["nbval-check-output"]
below = [share for m, share in failing.items() if m <= m_low]
recovered = int(certified.success.sum())  # by the same solver above: one that never succeeds would fail here as well
ch.claim(
    "thm32-failure",
    value={
        "m_low": m_low,
        "as printed": printed,
        "share failing": failing,
        "recovered in the section above": recovered,
    },
    holds=len(below) > 0 and min(below) == 1.0 and m_low <= d * rank / 100 < printed and recovered >= 20,
)
ch.claim(
    "erratum-thm32-square",
    value=claims_32,
    holds=claims_32["printed"] > claims_32["sufficient"] > claims_32["corrected"],
)

# %% [markdown]
# ## Gaussian distances
#
# The bounds from above are made of one quantity: how far a Gaussian matrix is, on average, from $t$ times the subdifferential
# of a norm. It has a closed form for each norm (an integral over singular values for the nuclear one), and its minimum over
# $t$ bounds the statistical dimension from above, closely. We check the formulas by drawing matrices. Off the structure the distance is what the
# norm's proximal map leaves of the matrix; on it, subgradients are fixed.

# %%
d, k = 24, 8
G = torch.randn(10 * trials, d, d, generator=ch.generator(80), dtype=torch.float64)
unit = torch.full((d, 1), d**-0.5, dtype=torch.float64)
inside = torch.zeros(d, d).bool()
inside[:k, :k] = True


def simulated(name, t):
    """Squared distances (draws,) of G from t times the subdifferential at a signal with its structure in the corner."""
    if name == "l1":
        return torch.where(inside, G - t, soft_threshold(G, t)).square().sum((-2, -1))
    if name == "l12":
        on, off = G[..., :k] - t * unit, group_soft_threshold(G[..., k:], t, dim=-2)
        return on.square().sum((-2, -1)) + off.square().sum((-2, -1))
    corner = G[:, :1, :1] - t
    edges = G[:, :1, 1:].square().sum((-2, -1)) + G[:, 1:, :1].square().sum((-2, -1))
    return corner.square().sum((-2, -1)) + edges + singular_value_threshold(G[:, 1:, 1:], t).square().sum((-2, -1))


structure = {"l1": {"k": k}, "l12": {"k": k}, "nuclear": {"rank": 1, "samples": 1000}}
points = []
for name, size in structure.items():
    for t in (0.0, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0):
        draw = simulated(name, t)
        exact = gaussian_distance_sq(name, d, t, **size, generator=ch.generator(81))
        points.append({"norm": name, "t": t, "formula": exact, "simulated": draw.mean().item(),
                       "se": draw.std().item() / math.sqrt(len(draw))})  # fmt: skip
points = pd.DataFrame(points)
lowest = {name: statistical_dimension(name, d, **size) for name, size in structure.items()}

# %% mystnb={"figure": {"name": "fig-12-distances", "caption": "Expected squared distance of a 24 x 24 Gaussian matrix from t times the subdifferential of three norms (8 x 8 nonzero entries, 8 nonzero columns, rank 1): formula (lines) and 200 draws (dots, with two standard errors). Dotted: the minimum, a close upper bound of the norm's statistical dimension."}, "image": {"alt": "Three curves that start at 576 for t = 0, fall to a minimum and rise again, with dots on them. The l1 curve has its minimum near t = 1 and rises fastest, the l1,2 curve near 3, the nuclear curve, with the lowest minimum, near 6.5."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, ax = figure(height=3.6)
    for color, (name, part) in zip(PALETTE, points.groupby("norm", sort=False)):
        scales = [i / 8 for i in range(1, 84)]
        line = [gaussian_distance_sq(name, d, t, **structure[name] | ({"samples": 20} if name == "nuclear" else {}))
                for t in scales]  # fmt: skip
        ax.plot(scales, line, color=color, label=f"{name}, least {lowest[name]:.0f}")
        ax.errorbar(part.t, part.simulated, 2 * part.se, fmt="o", ms=4, color=color)
        ax.axhline(lowest[name], color=color, ls=":", lw=1)
    ax.set(xlabel="scale t", ylabel="squared distance", ylim=(0, 1000))
    ax.legend(loc=(0.4, 0.62))

# %% tags=["nbval-check-output"]
deviation = ((points.formula - points.simulated).abs() / points.simulated).max()
ch.claim(
    "gaussian-distance-formulas",
    value={"largest relative deviation": deviation, "statistical dimensions": lowest},
    holds=deviation < 0.05 and all((points[points["norm"] == n].formula >= v - 1).all() for n, v in lowest.items()),
)

# %% [markdown]
# ## Success with high probability
#
# From above, theorem 5.1 adds Gaussian distances: with scales $\alpha_i$,
# $m_{\text{up}} = \big(\sum_i\bar\lambda_i\,D(\alpha_i\,\partial f_i)\big)^2$. With $\lambda_i = \alpha_i$ at the scales that
# minimize the distances, both weights $\bar\lambda_i$ are one half.

# %%
d, k, t = 16, 4, 2.0
scales = {}
for name, size in (("l12", {"k": k}), ("nuclear", {"rank": 1})):
    distance = {s / 10: gaussian_distance_sq(name, d, s / 10, **size) for s in range(101)}
    scales[name] = min(distance.items(), key=lambda pair: pair[1])
m_up = (0.5 * sum(math.sqrt(square) for _, square in scales.values())) ** 2
m_51 = math.ceil((math.sqrt(m_up) + t) ** 2 + 1)
X0 = general(d, k, 1, trials, 30)
success_51 = solve(d, m_51, X0, {name: scale for name, (scale, _) in scales.items()}, 31)[1].double().mean().item()
success_p51 = {}
for beta in (0.0, 0.5):
    m = math.ceil(sufficient_measurements(d, k, 1, beta, t))
    mix = {"l1": beta * math.sqrt(math.log(d / k)), "nuclear": (1 - beta) * math.sqrt(d)}
    success_p51[beta] = {"m": m, "success": solve(d, m, X0, mix, 32)[1].double().mean().item()}

lam_alpha = [(1.0, 2.0), (1.0, 3.0)]  # pairs (lambda, alpha) with distances 1 and 2


def m_up_of(pairs, factor, corrected):
    """m_up for weights factor * lambda, as printed in the review or corrected."""
    weights = [factor * lam / alpha for lam, alpha in pairs]
    total = sum(weights) if corrected else sum(1 / alpha for _, alpha in pairs)
    return sum(w / total * distance for w, distance in zip(weights, (1.0, 2.0))) ** 2


change = {kind: m_up_of(lam_alpha, 10, kind) / m_up_of(lam_alpha, 1, kind) for kind in (True, False)}
delta_48 = statistical_dimension("nuclear", 48, rank=1)

# %% tags=["nbval-check-output"]
ch.claim(
    "thm51-upper", value={"m": m_51, "m_up": m_up, "success": success_51}, holds=success_51 == 1.0 and m_51 < d * d
)
ch.claim(
    "prop51-upper",
    value=success_p51,
    holds=all(row["success"] == 1.0 and row["m"] < d * d for row in success_p51.values()),
)
ch.claim(
    "erratum-thm51-weights",
    value={"corrected": change[True], "printed": change[False]},
    holds=abs(change[True] - 1) < 1e-9 and abs(change[False] - 100) < 1e-6,
)
ch.claim(
    "erratum-prop51-sign",
    value={"printed probability": 1 - 2 * math.exp(t * t / 2), "statistical dimension": delta_48},
    holds=1 - 2 * math.exp(t * t / 2) < 0 and 4 * 48 < delta_48 < 8 * 48,
)

# %% [markdown]
# ## The bracket
#
# One program, the nuclear norm on general rank-1 matrices, and everything the theory says about it: the line below which
# the test certifies failure for half of the problems, the statistical dimension, and proposition 5.1 with $\beta = 0$.

# %%
sizes = ch.pick(quick=[8, 12, 16, 20], full=[8, 12, 16, 20, 24, 28], smoke=[8, 12])
ms = ch.pick(quick=list(range(8, 105, 12)), full=list(range(8, 161, 4)), smoke=[20, 60])
source = torch.Generator(ch.device).manual_seed(ch.seed + 40)
frame = phase_diagram(sizes, ms, 8, trials=grid_trials, weights=lambda d: {"nuclear": 1.0}, psd=False, max_iter=1000,
                      generator=source, chunk_bytes=chunk)  # fmt: skip
certified_m = {}
for d in sizes:
    X0 = general(d, 8, 1, trials, 50 + d)
    A = linear_measurements(d, 2 * d, batch=(trials,), generator=ch.generator(51 + d)).to(ch.device)
    certified_m[d] = max(
        m for m in range(1, 2 * d)
        if deterministic_failure(A[:, :m], X0, {"nuclear": 1.0}).fails.double().mean() >= 0.5
    )  # fmt: skip
bracket = pd.DataFrame(
    {
        "failure certified": certified_m,
        "m50 measured": success_threshold(frame),
        "statistical dimension": {d: statistical_dimension("nuclear", d, rank=1) for d in sizes},
        "success proved": {d: sufficient_measurements(d, 1, 1, 0.0, t) for d in sizes},
    }
)
ch.save("bracket", bracket.reset_index(names="d"))
recorded = ch.paper("bracket")

# %% mystnb={"figure": {"name": "fig-12-bracket", "caption": "Theory from below and from above around the measured threshold of the nuclear norm (general matrices of rank 1). The statistical dimension passes through the measurements; the certificates are off by factors."}, "image": {"alt": "Two panels, quick and full scale, each with four lines against d: certified failure lowest, measured m50 and the statistical dimension together in the middle, at full scale one on the other, proved success highest."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    shown = [("quick run", bracket)] + ([] if recorded is None else [("full scale", recorded.set_index("d"))])
    fig, axes = figure(1, len(shown), height=3.6, squeeze=False, sharey=True)
    for ax, (title, table) in zip(axes[0], shown):
        for name, style in zip(table, ("v--", "o-", "s:", "^--")):
            ax.plot(table.index, table[name], style, label=name)
        ax.set(xlabel="size d", ylabel="measurements m", yscale="log", title=title)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)

# %% [markdown]
# ## Two more orders
#
# Theorem 3.3 A sums three norms (columns, rows, nuclear) on general matrices and says that the line does not bend. And table 1
# quotes the orders of single structures.

# %%
source = torch.Generator(ch.device).manual_seed(ch.seed + 60)
two_sided = phase_diagram([12, 24], ch.pick(quick=list(range(50, 231, 20)), full=list(range(20, 251, 10)), smoke=[60, 160]),
                          8, trials=grid_trials, weights=lambda d: {"l12": 1.0, "l12_rows": 1.0, "nuclear": 1.0}, psd=False,
                          max_iter=1000, generator=source, chunk_bytes=chunk)  # fmt: skip
three = success_threshold(two_sided)
orders = {"l1": {}, "nuclear": {}}
for k in (2, 3, 4, 6):
    frame = phase_diagram([16], ch.pick(quick=list(range(10, 161, 15)), full=list(range(5, 201, 5)), smoke=[20, 90]), k,
                          trials=grid_trials, weights=lambda d: {"l1": 1.0}, psd=False, max_iter=1000, generator=source,
                          chunk_bytes=chunk)  # fmt: skip
    orders["l1"][k] = success_threshold(frame)[16] / (k * k * math.log(256 / k**2))
for rank in (1, 2, 3):
    frame = phase_diagram([10, 16, 24], ch.pick(quick=[*range(8, 73, 8), *range(84, 133, 12)], full=list(range(6, 201, 6)), smoke=[20, 90]),
                          8, rank=rank, trials=grid_trials, weights=lambda d: {"nuclear": 1.0}, max_iter=1000,
                          generator=source, chunk_bytes=chunk)  # fmt: skip
    for d, middle in success_threshold(frame).items():
        orders["nuclear"][f"d={d} r={rank}"] = middle / (rank * d)

exact = {}  # the statistical dimension of the semidefinite program, which owes nothing to these runs
for d in (10, 16, 24):
    for r in (1, 2, 3):
        X0 = sparse_low_rank(d, 8, r, batch=(10,), generator=ch.generator(90 + r))
        found = descent_dimension(X0, {"nuclear": 1.0}, psd=True, samples=10, generator=ch.generator(95))
        exact[f"d={d} r={r}"] = found.mean().item() / (r * d)


def spread(values):
    """Largest factor between a value and the constant that fits best (the geometric middle of the extremes)."""
    return math.sqrt(max(values) / min(values))


# The nuclear norm's thresholds must be near what geometry predicts: else their spread is that of a failing solver.
predicted = {name: exact[name] / orders["nuclear"][name] for name in exact}
ch.require(
    all(0.6 < ratio < 1.6 for ratio in predicted.values()),
    f"thresholds are not where the statistical dimension has them: {predicted}",
)

# %% tags=["nbval-check-output"]
ch.claim("thm33a-two-sided", value={"m50": three.to_dict()}, holds=three[24] / three[12] >= 1.5)
factors = {name: spread(values.values()) for name, values in orders.items()}
# The factor of the exact dimension, 1.3, is what the nuclear norm must have: a limit there would be decided by chance.
kept = [factors["l1"] <= 1.5, factors["nuclear"] <= 1.2]
ch.claim(
    "table1-orders",
    value={"constants": orders, "factors": factors, "factor of the exact dimension": spread(exact.values())},
    holds="partly" if any(kept) and not all(kept) else all(kept),
)

# %% [markdown]
# The $\ell_1$ norm keeps its order well. For the nuclear norm $rd$ is a rough measure at these sizes: the statistical
# dimension of the program over $rd$, which owes nothing to our runs, varies by about as much, since a semidefinite matrix of rank 3 and
# size 10 has 27 degrees of freedom in a space of 55 dimensions.
#
# ## Small corrections
#
# The discussion calls the penalty of sparse plus low-rank models {cite}`chandrasekaran2010latent` an $\ell_1$ norm plus a
# *Frobenius* norm; section 2 calls proximal operators projected gradient descent; theorem 3.3 C weights a number of columns
# by $1/k^2$.

# %%
noisy = general(10, 10, 2, 20, 70) + 0.01 * torch.randn(20, 10, 10, generator=ch.generator(71), dtype=torch.float64).to(
    ch.device
)
ranks = {
    "Frobenius": torch.linalg.matrix_rank(group_soft_threshold(noisy.flatten(1), 0.1).view_as(noisy), rtol=1e-9),
    "nuclear": torch.linalg.matrix_rank(singular_value_threshold(noisy, 0.1), rtol=1e-9),
}
v = torch.randn(10, 30, generator=ch.generator(72), dtype=torch.float64)
twice = {
    "projection": (project_l1_ball(project_l1_ball(v, 3.0), 3.0) - project_l1_ball(v, 3.0)).abs().max().item(),
    "proximal map": (soft_threshold(soft_threshold(v, 0.5), 0.5) - soft_threshold(v, 0.5)).abs().max().item(),
}
k = 8
X0 = sparse_low_rank(24, k, generator=ch.generator(73))
weighted = {"entries / k^2": int((X0 != 0).sum()) / k**2, "columns / k^2": int((X0 != 0).any(0).sum()) / k**2}

# %% tags=["nbval-check-output"]
found = {name: sorted(set(value.tolist())) for name, value in ranks.items()}
ch.claim("erratum-frobenius", value=found, holds=found == {"Frobenius": [10], "nuclear": [2]})
ch.claim("erratum-prox-no-projection", value=twice, holds=twice["projection"] < 1e-12 and twice["proximal map"] > 0.1)
ch.claim(
    "erratum-thm33c-norm", value=weighted, holds=weighted["entries / k^2"] == 1 and weighted["columns / k^2"] == 1 / k
)

# %% [markdown]
# ## Takeaway
#
# The failure theory is right in its orders and generous in its constants: the test is never wrong, and it certifies failure
# only far below the place where recovery begins. What predicts that place, without any free constant, is the statistical
# dimension; the paper has it for single norms and a bracket for sums, {doc}`phase-transitions` computes it for sums as
# well. Several of the review's formulas are misprinted, two of them (the missing square and the missing root) with
# consequences.
