# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Accelerated methods for non-convex optimization
#
# *X. Long, Y. Ren and P. Yang, Accelerated methods for non-convex optimization in machine learning, 2021*
# {cite}`long2021accelerated`
#
# Momentum is worth a square root of the condition number on convex functions. What is it worth on others? The review reads
# two papers. {cite:t}`carmon2018accelerated` reach second-order stationary points of any smooth function in about
# $\epsilon^{-7/4}$ gradients, where gradient descent needs $\epsilon^{-2}$ for a small gradient alone.
# {cite:t}`wang2021modular` prove that Polyak's momentum {cite}`polyak1964some` trains two kinds of network at a rate in
# $\sqrt\kappa$. The review has no experiments; this chapter measures every lemma.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("04-accelerated-nonconvex", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The first paper: structure where there is none
#
# $f$ has an $L_1$-Lipschitz gradient and an $L_2$-Lipschitz Hessian, and starts $\Delta_f$ above its infimum. At any
# point one of two things is true. Either there is a direction of curvature $c\le-\alpha/2$; then a step of
# $2|c|/L_2$ along it gains $\alpha^3/(12L_2^2)$ at least. Or there is none; then $f$ is *almost convex* nearby, and
# Nesterov's method on $f+\gamma\,\|\cdot-z\|^2$ makes progress at an accelerated rate.
#
# ```{prf:algorithm} Accelerated method for non-convex functions
# :label: alg-accelerated-nonconvex
# :nonumber:
# With $\alpha=\min\{L_1,\max\{\epsilon^2/\Delta_f,\sqrt{\epsilon L_2}\}\}$, for $k=1,2,\dots$
# 1. Follow directions of negative curvature (found by Lanczos) from $x_k$ until there is none below $-\alpha/2$: $\hat x_k$.
# 2. Stop if $\|\nabla f(\hat x_k)\|\le\epsilon$.
# 3. Set $f_k(x)=f(x)+L_1\big[\|x-\hat x_k\|-\alpha/L_2\big]_+^2$, which is $3\alpha$-almost convex and $5L_1$-smooth.
# 4. Run proximal accelerated descent on $f_k$ from $\hat x_k$ until its gradient is below $\epsilon/2$: $x_{k+1}$.
# ```
#
# ```{prf:theorem} Carmon, Duchi, Hinder and Sidford, theorem 2.5 of the review
# :label: thm-accelerated-nonconvex
# :nonumber:
# With probability at least $1-\delta$ the method ends at $\|\nabla f\|\le\epsilon$ and
# $\lambda_{\min}(\nabla^2f)\ge-2\sqrt{\epsilon L_2}$ after
#
# $$
# O\Big(\big(\Delta_fL_1^{1/2}L_2^{1/4}\epsilon^{-7/4}+\Delta_f^{1/2}L_1^{1/2}\epsilon^{-1}+1\big)\log\tau\Big)
# $$
#
# gradients and Hessian-vector products, where $\tau$ is polynomial in all constants.
# ```
#
# All of it is one call, batched over starts:
#
# ```python
# from litrepro.optim.accelerated import accelerated_nonconvex
#
# end = accelerated_nonconvex(f, x, smoothness=1.0, hessian_lipschitz=1.0,
#                             gap=10.0, tol=1e-2)
# end.x, end.grad_norm, end.curvature, end.oracle_calls, end.converged
# ```
#
# The rates that it is compared with, without logarithms ($R$, which the review's table uses and does not define, is the
# distance to the minimizers):

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("gradient descent", "L1 gap eps^-2", "yes", "gradient", "no"),
        ("gradient descent, convex", "R L1 eps^-1", "yes", "gradient", "yes"),
        ("accelerated descent, convex", "(R L1)^1/2 eps^-1/2", "yes", "gradient", "yes"),
        ("cubic-regularized Newton", "gap L2^1/2 eps^-3/2", "no", "Hessian", "no"),
        ("algorithm 4", "gap L1^1/2 L2^1/4 eps^-7/4", "yes", "gradient and Hessian", "no"),
    ],
    columns=["method", "iterations", "Hessian-free", "Lipschitz", "convex f"],
).set_index("method")

# %% [markdown]
# ## The second paper: a network that is nearly a quadratic
#
# A wide ReLU network with one trained layer, and a deep linear network from an orthogonal start, have residuals that follow
# $\xi_{t+1}\approx(I-\eta H)\,\xi_t$ with a Gram matrix $H$ that hardly moves. With momentum the recursion has two terms,
# and its roots, of modulus $\sqrt\beta$, do the acceleration: $1-\Theta(1/\sqrt\kappa)$ per step instead of
# $1-\Theta(1/\kappa)$. The theorems control what is left over, at widths that are polynomial in everything.
#
# ## What is checked, and where
#
# - {doc}`building-blocks`: Lanczos {cite}`kuczynski1992estimating`, negative-curvature descent, accelerated and almost convex
#   accelerated descent, the penalty.
# - {doc}`accelerated-method`: second-order points, calls against $\epsilon$, table 1, and the two simpler methods that came
#   after: "convex until proven guilty" {cite}`carmon2017convex` and perturbed accelerated descent {cite}`jin2018accelerated`.
# - {doc}`relu-momentum`: theorem 3.1 and the Gram matrix {cite}`du2019gradient`.
# - {doc}`deep-linear-momentum`: theorem 3.2, depth {cite}`hu2020provable,du2019width`.
#
# That momentum leaves saddles faster is measured in {doc}`../03-escaping-saddle-points/saddles`. FastCubic
# {cite}`agarwal2017finding`, Katyusha, MiFGD for quantum tomography and the regret bounds of Adam-type methods are cited by
# the review and not run here.
#
# ## Errata
#
# Most are claims of the ledger, because a number decides them. The others are editorial. The review calls the bound of
# almost convexity $\gamma>0$ where it means $-\gamma$. The loop of algorithm 1 runs over $i$ and indexes by $j$. In
# algorithm 4, $\|\Delta_f(\hat x_k)\|$ stands for $\|\nabla f(\hat x_k)\|$, the last line must set $x_{k+1}$ and not
# $\hat x_{k+1}$, and $\alpha$ is an input although the theorem fixes it. Table 1 calls the method algorithm 1. In (8) and
# (10), $\|\xi_t,\xi_{t-1}\|$ is the norm of the stacked vector, with $\xi_{-1}=\xi_0$. One thing that looks like an erratum
# is none: if $\alpha=\epsilon^2/\Delta_f$ the method certifies only $-2\alpha$, but the stated curvature holds all the same.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# Both papers stand, in every lemma that we could measure. They are worth different things. Polyak's momentum with two
# constants from a spectrum gives a deep linear network the full square root, and a wide ReLU network a factor of 1.3 to
# 2 over well-tuned gradient descent on ill-conditioned data, at widths that the proof does not reach. The accelerated
# method gives a better exponent at the price of constants that no tolerance in use can repay; its idea survived in simpler
# methods.
