# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Multi-block ADMM
#
# The review's last argument is about algorithms: ADMM with two blocks converges, even for some nonconvex problems (the
# review cites {cite:t}`wang2019global` for two blocks; their conditions cover several), but its direct extension to
# three or more may diverge {cite}`chen2016direct`, and several norms seem to need several blocks. The worry is about
# the nonconvex program; the example of divergence is a convex one. We reproduce the divergence, ask how typical it is,
# and then show that convex sums of norms never needed several blocks. ADMM for the nonconvex program is not run.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.recovery import linear_measurements, measure, norm_geometry, sparse_low_rank, structured_recovery
from litrepro.solvers import multiblock_admm, multiblock_admm_operator

ch = Chapter("12-structured-recovery", notebook="multiblock-admm", profile=profile, seed=seed, full_minutes=1)
instances = ch.pick(quick=1000, full=1_000_000, smoke=100)
trials = ch.pick(quick=50, full=1000, smoke=5)


def radius(blocks):
    """Spectral radius of one sweep: above 1 the method diverges from almost every start."""
    return torch.linalg.eigvals(multiblock_admm_operator(blocks)).abs().amax(-1)


# %% [markdown]
# ## The counterexample
#
# Minimize nothing subject to $A_1x_1 + A_2x_2 + A_3x_3 = 0$ with three columns in $\mathbb R^3$. The only solution is zero.
# One Gauss-Seidel sweep over the blocks and the multiplier is a linear map, and its spectral radius exceeds one.
#
# Two cures. *Regrouping* treats the second and third column as one block. *Consensus* works for any number of blocks: every
# block gets a copy $y_i$ of its contribution $A_ix_i$, and the constraint $\sum_i y_i = 0$ is kept by the copies, which are
# the second block. Written as $y = Nv$ with a basis $N$ of the vectors that sum to zero, it is again a problem for the same
# function, with two blocks.

# %%
columns = torch.tensor([[1, 1, 1], [1, 1, 2], [1, 2, 2]], dtype=torch.float64)


def consensus(A):
    """Two blocks for A (..., 3, 3): all x_i, and copies of the A_i x_i that sum to zero."""
    own = A.new_zeros(*A.shape[:-2], 9, 3)
    for i in range(3):
        own[..., 3 * i : 3 * i + 3, i] = A[..., i]
    free = torch.linalg.svd(torch.eye(3, dtype=A.dtype).repeat(1, 3)).Vh[3:].mT
    return [own, -free.expand(*A.shape[:-2], 9, 6)]


three = [columns[:, [i]] for i in range(3)]
two = [columns[:, :1], columns[:, 1:]]
zero = torch.zeros(3, dtype=torch.float64)
traces = {
    "three blocks": multiblock_admm(three, zero, [torch.ones(1, dtype=torch.float64)] * 3, iterations=400),
    "blocks 1 | 2, 3": multiblock_admm(
        two, zero, [torch.ones(1, dtype=torch.float64), torch.ones(2, dtype=torch.float64)], iterations=400
    ),
    "consensus": multiblock_admm(
        consensus(columns), torch.zeros(9, dtype=torch.float64),
        [torch.ones(3, dtype=torch.float64), torch.ones(6, dtype=torch.float64)], iterations=400,
    ),
}  # fmt: skip
radii = {
    "three blocks": radius(three).item(),
    "two blocks": radius(two).item(),
    "consensus": radius(consensus(columns)).item(),
}
pd.Series(radii, name="spectral radius").to_frame().round(4)

# %% tags=["nbval-check-output"]
ch.claim(
    "admm-three-block-diverges",
    value={
        "radii": radii,
        "last over first residual": (traces["three blocks"].residuals[-1] / traces["three blocks"].residuals[0]).item(),
    },
    holds=1.0277 <= radii["three blocks"] <= 1.0279 and traces["three blocks"].diverged,
)

# %% [markdown]
# ## How typical is it?
#
# The counterexample was found on purpose. Here are random $3\times 3$ matrices, all at once: the operator of every instance
# is one entry of a batch.

# %%
source = ch.generator(1)
ensembles = {
    "uniform": torch.rand(instances, 3, 3, generator=source, dtype=torch.float64),
    "Gaussian": torch.randn(instances, 3, 3, generator=source, dtype=torch.float64),
}
spectra = {name: radius([A[..., [i]] for i in range(3)]) for name, A in ensembles.items()}
share = {name: (r > 1 + 1e-9).double().mean().item() for name, r in spectra.items()}
worst = {name: r.max().item() for name, r in spectra.items()}
cured = {name: radius(consensus(A)) for name, A in ensembles.items()}
# Of those that diverge in three blocks.
former = max(torch.where(spectra[name] > 1 + 1e-9, cured[name], 0.0).max().item() for name in ensembles)
diverging = sum(int((r > 1 + 1e-9).sum()) for r in spectra.values())
copies = traces["consensus"].residuals

# %% tags=["nbval-check-output"]
ch.claim(
    "divergence-is-rare",
    value={"share": share, "largest": worst},
    holds=0 < share["uniform"] < 0.05 and share["Gaussian"] < 0.01 and radii["three blocks"] > 1,
)
ch.claim(
    "consensus-cures",
    value={
        "counterexample": radii["consensus"],
        "last over first residual": (copies[-1] / copies[0]).item(),
        "instances that diverged": diverging,
        "largest of those": former,
    },
    holds=radii["consensus"] < 0.999
    and bool(copies[-1] < 0.5 * copies[0])
    and diverging >= 10
    and former < 0.9999
    and all(bool((r < 1 + 1e-9).all()) for r in cured.values()),
)

# %% [markdown]
# ## Several norms are not several blocks
#
# Give every norm a copy $Z_i$ of the matrix and require $X = Z_i$. Given $X$, the copies do not interact: all of them *together*
# are the second block, and $X$ with the measurements is the first. That is ADMM with two blocks, whose convergence is
# a theorem. It is what `structured_recovery` does, and what cured the counterexample above.
#
# We solve random problems with two and three norms, with and without semidefiniteness, from too few to enough measurements.

# %%
mixtures = [
    ({"l12": 1.0, "nuclear": 1.0}, True),
    ({"l1": 0.8, "nuclear": 2.0}, True),
    ({"l12": 1.0, "l12_rows": 1.0, "nuclear": 1.0}, False),
    ({"l1": 0.3, "l12": 1.0, "nuclear": 1.0}, True),
]
finished, steps, misfit, cost = {}, {}, {}, {}


def total(X, weights):
    """Weighted sum of norms of X (trials, 14, 14)."""
    return torch.linalg.matrix_norm(X) * sum(w * norm_geometry(X, name).value for name, w in weights.items())


for number, (weights, psd) in enumerate(mixtures):
    generator = ch.generator(10 + number)
    X0 = sparse_low_rank(14, 5, psd=psd, batch=(trials,), generator=generator)
    A = linear_measurements(14, 80, batch=(trials,), generator=generator)
    m = 10 + torch.arange(trials) % 71  # every problem has its own number of measurements: the other rows are zero
    A = A * (torch.arange(80)[None] < m[:, None])[..., None, None]
    A, X0 = A.to(ch.device), X0.to(ch.device)
    result = structured_recovery(A, measure(A, X0), weights, psd=psd, tol=1e-6, max_iter=20_000)
    name, b = " + ".join(weights), measure(A, X0)
    finished[name] = result.converged.double().mean().item()
    steps[name] = int(result.iterations.max())
    # What a flag cannot say: the measurements are met, and by no more than the signal costs, which meets them too.
    misfit[name] = ((measure(A, result.X) - b).norm(dim=-1) / b.norm(dim=-1)).max().item()
    cost[name] = (total(result.X, weights) / total(X0, weights)).max().item()

# %% [markdown]
# For the residuals we follow one problem by hand: the solver is run again and again with a smaller tolerance.

# %%
tolerances = [10.0 ** (-i / 2) for i in range(2, 17)]
curve = {}
for name, weights in (("l12 + nuclear", {"l12": 1.0, "nuclear": 1.0}), ("l1 + nuclear", {"l1": 0.8, "nuclear": 2.0})):
    generator = ch.generator(20)
    X0 = sparse_low_rank(14, 5, batch=(1,), generator=generator)
    A = linear_measurements(14, 50, batch=(1,), generator=generator)
    b = measure(A, X0)
    runs = [structured_recovery(A, b, weights, psd=True, tol=tol, max_iter=20_000) for tol in tolerances]
    curve[name] = [(int(run.iterations), float(run.residual)) for run in runs]

# %% mystnb={"figure": {"name": "fig-12-admm", "caption": "Left: constraint residual of ADMM on the counterexample, with three blocks, regrouped into two, and in consensus form. Right: residual of two-block consensus ADMM on recovery problems with two norms."}, "image": {"alt": "Left: three oscillating curves, one growing and two falling exponentially, the regrouped one faster. Right: two curves that fall to about 1e-8 within 150 iterations."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, (left, right) = figure(1, 2, height=3.4)
    for name, trace in traces.items():
        left.semilogy(trace.residuals.clamp(min=1e-16), label=name)
    left.set(xlabel="sweep", ylabel="constraint residual")
    left.legend()
    for name, points in curve.items():
        right.semilogy(*zip(*points), "o-", ms=3.5, label=name)
    right.set(xlabel="iteration", ylabel="relative residual")
    right.legend()

# %% tags=["nbval-check-output"]
all_finished = min(finished.values()) == 1.0 and max(misfit.values()) < 1e-4 and max(cost.values()) < 1.001
ch.claim(
    "consensus-converges",
    value={
        "share converged": finished,
        "most iterations": steps,
        "largest misfit": misfit,
        "largest cost over the signal's": cost,
        "radius of two blocks": radii["two blocks"],
    },
    holds=all_finished and radii["two blocks"] < 0.98,
)

# %% [markdown]
# ## Takeaway
#
# Three-block ADMM diverges on the counterexample, at about three percent per sweep, and on about one random instance
# in fifty of the positive kind; in consensus form none of these instances diverges. None of it concerns convex sums of
# norms: with one copy per norm they are a problem with two blocks, and every problem above converged. For a nonconvex
# program the same two blocks can be written down. The theorem for convex problems does not cover them, and the
# conditions of {cite:t}`wang2019global` for nonconvex ones, in two blocks or several, are not checked, so that the
# question stays open here.
