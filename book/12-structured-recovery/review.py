# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Recovery of structured matrices
#
# *A. Chang, Review of: Simultaneously structured models with application to sparse and low-rank matrices*
# {cite}`chang2020simultaneously`
#
# A signal can be simple in two ways at once: a matrix with few nonzero entries that also has low rank. One norm promotes one
# structure ({cite:t}`candes2006robust` for sparsity, {cite:t}`candes2011tight` for low rank), so that the sum of both norms
# should promote both, and need fewer measurements than either. {cite:t}`oymak2015simultaneously` show that it does not, by
# more than a constant: the best single norm sets the order. A program that counts instead of summing would need as many
# measurements as there are parameters, but it is not convex. The review retells the theory, shows two phase diagrams, and
# doubts that a general algorithm for the nonconvex program can be found. (Separating a sum of a sparse and a low-rank matrix
# {cite}`wright2013compressive`, single norms made for two structures {cite}`chandrasekaran2012convex` and tensors
# {cite}`grasedyck2013literature` are other problems, which the review only mentions.)

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import math
import warnings

import pandas as pd
import torch

from litrepro import Chapter, ConvergenceWarning
from litrepro.recovery import (
    linear_measurements,
    measure,
    sparse_low_rank,
    structured_iht,
    structured_recovery,
)

ch = Chapter("12-structured-recovery", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# Let $x_0$ be a signal and $f = \sum_i\lambda_i\|\cdot\|_{(i)}$. From measurements $A x_0$ one hopes to get it back as
#
# $$
# \hat x = \arg\min_x f(x) \quad\text{subject to}\quad Ax = Ax_0 .
# $$
#
# Write $\bar x_0 = x_0/\|x_0\|_2$, let $L_i$ be the length of the longest subgradient of the $i$-th norm, and
# $\kappa_i = \|\bar x_0\|_{(i)}/L_i$.
#
# ```{prf:theorem} Failure is certain
# :label: thm-12-failure
# :nonumber:
# The signal $x_0$ is not a minimizer, if every subgradient $g\in\partial f(x_0)$ satisfies
#
# $$
# \frac{|\langle\bar x_0, g\rangle|}{\|g\|_2} > \frac{\|A\bar x_0\|_2}{\sigma_{\min}(A^\top)} .
# $$
# ```
#
# The left side is at least $\sum_i\bar\lambda_i\kappa_i \ge \kappa_{\min}$, whatever the weights, with
# $\bar\lambda_i \propto \lambda_i L_i$. The right side is of the order $\sqrt{m/n}$ for Gaussian measurements, with high probability
# and $m$ up to about $n/4$. Together:
# recovery fails below a multiple of $n\kappa_{\min}^2$, the number that the best single norm would need. For a
# $d\times d$ matrix of rank $r$ with a $k\times k$ block of nonzeros these numbers are at most $k^2$ for $\ell_1$, $kd$ for
# $\ell_{1,2}$ and $rd$ for the nuclear norm; the parameters number only $O(rk)$.
#
# ## The methods
#
# One call solves any number of such problems, of different sizes, on any device. Each norm is a weight by name.
#
# ```python
# from litrepro.recovery import structured_recovery, structured_iht
#
# found = structured_recovery(A, b, {"l1": 0.7, "nuclear": 2.0}, psd=True)    # A (..., m, d, d), b (..., m)
# found = structured_iht(A, b, k=8, rank=1, psd=True)                         # told the structure instead
# ```
#
# The convex solver is consensus ADMM with two blocks, the matrix on one side and all copies on the other. The picture shows
# one signal and four attempts at it from 40 measurements; the nuclear norm alone spreads, the sum with $\ell_{1,2}$ is no better,
# the sum with $\ell_1$ comes close, and the method that knows the structure is exact.

# %% mystnb={"figure": {"name": "fig-12-signal", "caption": "A semidefinite 24 x 24 matrix of rank 1 with an 8 x 8 block of nonzeros (sorted to the corner), and what four methods recover from 40 Gaussian measurements, with their errors. One color scale."}, "image": {"alt": "Five small matrices. The signal fills the upper left third; the estimates of the nuclear norm and of its sum with l1,2 are blurred over the whole square, that of l1 plus nuclear is close to the signal, hard thresholding equals it."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import DIVERGING, figure

    d, k, m = 24, 8, 40
    generator = ch.generator(3)
    X0 = sparse_low_rank(d, k, generator=generator)
    A = linear_measurements(d, m, generator=generator)
    b = measure(A, X0)
    order = (X0.abs().sum(0)).argsort(descending=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimates = {
            "nuclear": structured_recovery(A, b, {"nuclear": 1.0}, psd=True, tol=1e-5).X,
            "l1,2 + nuclear": structured_recovery(A, b, {"l12": 1.0, "nuclear": 1.0}, psd=True, tol=1e-5).X,
            "l1 + nuclear": structured_recovery(
                A,
                b,
                {"l1": 0.5 * math.sqrt(math.log(math.e * d / k)), "nuclear": 0.5 * math.sqrt(d)},
                psd=True,
                tol=1e-5,
            ).X,
            "hard thresholding": structured_iht(A, b, k, psd=True).X,
        }
    fig, axes = figure(1, 5, height=1.9, sharex=True, sharey=True)
    limit = X0.abs().max().item() * 0.7
    for ax, (name, X) in zip(axes, {"signal": X0, **estimates}.items()):
        mesh = ax.imshow(X[order][:, order], cmap=DIVERGING, vmin=-limit, vmax=limit)
        error = torch.linalg.matrix_norm(X - X0).item()
        ax.set_title(name if name == "signal" else f"{name}\nerror {error:.2f}", fontsize=8)
        ax.set(xlabel="column")
        ax.grid(False)
    axes[0].set_ylabel("row")
    fig.colorbar(mesh, ax=axes, label="entry")

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`phase-transitions`: both figures and four more, as batched computations; which norm decides, what a sum gains,
#   a number that predicts the line, a slider for the weights, and the batch timed against a loop over cvxpy.
# - {doc}`failure-theory`: the failure test, its ingredients, the upper bounds, table 1 and table 2, and most errata.
# - {doc}`nonconvex`: iterative hard thresholding against the convex programs, for Gaussian and quadratic measurements.
# - {doc}`multiblock-admm`: the divergence of three-block ADMM, its rarity, and why sums of norms do not run into it.
#
# ## Results at a glance

# %% tags=["hide-input"]
pd.set_option("display.max_colwidth", None)
pd.DataFrame(
    [
        ("figure 1: l1,2 + nuclear grows linearly", "yes, on the line of the nuclear norm"),
        ("figure 2: l1 + nuclear bends", "yes, and for large d it needs fewer than either norm"),
        ("adding norms gains no order", "yes"),
        ("the failure test", "never wrong, certifies only far below"),
        ("nonconvex recovery grows like log d", "yes, with hard thresholding"),
        ("an algorithm may be hard to find", "not for Gaussian measurements; no lead is left for quadratic ones"),
        ("three-block ADMM may diverge", "yes, rarely; convex sums of norms are unaffected"),
    ],
    columns=["the review", "measured"],
).set_index("the review")

# %% [markdown]
# ## Errata
#
# Where a number can decide, the erratum is in the ledger: the definitions of $\rho$ and $\kappa$, the strict inequality of
# proposition 3.1, the missing square in theorem 3.2 and the missing root in proposition 4.1, the index of proposition 4.3, the
# weights of theorem 5.1, the signs of proposition 5.1, the shape of $A$, the Frobenius norm of the discussion, proximal
# steps called projections, and the norm of theorem 3.3 C. The rest is editorial: theorem 5.1 and proposition 5.1 bound the
# number of measurements from above, not the correlation; section 3.1 concludes from the lower bound that a second norm saves no
# measurements, where it only excludes more than a constant factor, which the $\ell_1$ norm does save; theorem 3.2 needs a closed
# convex *cone*; what the review calls the best case complexity $\Omega$ is a lower bound for every signal of the class.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The theory holds and the figures can be redone. Sums of norms are bounded by their best member up to constants; the constant
# can be worth having. The pessimism about algorithms is borne out in part: convex sums of norms are a two-block
# problem, and the nonconvex program is solved by a simple iteration where measurements are Gaussian, but not better than the convex one
# where they are quadratic.
