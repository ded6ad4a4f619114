# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Double acceleration
#
# *M. T. Toghani and D. Pirhayatifard, Double acceleration: effects of using momentum-based methods on overparameterized
# models* {cite}`toghani2019double`
#
# Two things accelerate gradient descent without anybody asking them to. Workers that do not wait for each other turn it,
# on average, into descent with momentum {cite}`mitliagkas2016asynchrony`. And a linear model written as a product of factors
# follows a preconditioned gradient {cite}`arora2018optimization`. What happens if *explicit* momentum comes on top? For
# asynchrony the answer is known: too much is too much, and the best explicit momentum becomes negative. The review carries
# the idea over to products of factors, derives the heavy-ball step of such a model, and reports that its best
# momentum is $-0.3$.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("07-double-acceleration", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# ```{prf:theorem} Asynchrony begets momentum
# :label: thm-07-momentum
# :nonumber:
# Let updates use gradients at $w_{t-\tau}$ with independent $\tau$, $P(\tau=l)=(1-\mu)\mu^l$, and explicit momentum $\beta$.
# Then $\Delta_t = \mathbb E(w_t-w_{t-1})$ obeys
# $\Delta_{t+1} = (\beta+\mu)\Delta_t - \beta\mu\,\Delta_{t-1} - (1-\mu)\,\eta\,\mathbb E\nabla f(w_t)$.
# ```
#
# For $M$ memoryless workers $\mu = 1-1/M$. On a quadratic the rate is the largest root of a cubic, so that the best
# $\beta$ for each $\mu$ is a search over a grid.
#
# ```{prf:theorem} Linear convergence of deep linear networks
# :label: thm-07-linear
# :nonumber:
# With whitened data, factors that are balanced up to a small $\delta$, deficiency margin $c$ and a small enough step,
# $\ell(t)\le\ell(0)\,e^{-\eta\,c^{2(N-1)/N}\,t}$ for full-batch gradient descent.
# ```
#
# For $w = w_1w_2$ the review expands one step of heavy ball on both factors,
#
# $$
# w^{+} = w - \eta_{\text{eff}}\nabla f(w) + \beta_{\text{eff}}\,(w-w') + \alpha\,(w+w') + \dots,
# $$
#
# and reads $\beta_{\text{eff}}\neq\beta$ as a second momentum. This is where we part. The difference is of the order of the
# step and vanishes at the minimizer; what stays is a change of the *step*.
#
# ```python
# from litrepro.asynchrony import async_descent, best_momentum, worker_staleness
# from litrepro.linearnets import momentum_sweep, reparameterized_step
#
# delays = worker_staleness(8, 60, trials=20_000)          # a queue of 8 workers, 20,000 times
# path = async_descent(grad, w0, delays, lr=0.3)           # (61, 20000, d)
# best_momentum(eigenvalues, staleness=mu, momenta=betas, lrs=etas).momentum
# ```

# %% tags=["hide-input"]
methods = [
    ("queue of workers", "who finishes when, and how stale his gradient is", "worker_staleness, geometric_staleness"),
    ("asynchronous heavy ball", "stale gradients, all runs at once", "async_descent, expected_descent"),
    ("mean dynamics", "the recursion and its rate (convergence_rate)", "momentum_recursion, best_momentum"),
    ("second moments", "what the mean hides", "mean_square_limit, sampled_momentum_rate"),
    ("w = w1 w2", "one heavy-ball step, exact and expanded", "reparameterized_step"),
    ("momentum sweep", "steps x momenta x depths x seeds in one batch", "momentum_sweep, train_chains"),
    ("deep linear networks", "factors, balance, margin", "train_factors, deficiency_margin"),
]
pd.DataFrame(methods, columns=["method", "what it does", "in the library"]).set_index("method")

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`asynchrony`: theorems 1 to 4 by an event simulation; why memoryless workers need no independence; what the mean
#   hides. (section 2.1)
# - {doc}`optimal-momentum`: theorem 5, and the best explicit momentum crossing zero at Polyak's optimum
#   {cite}`polyak1964some`. (figures 1 and 2)
# - {doc}`reparameterization`: equations 14 to 17 and 34 to 52, figures 3 and 4.
# - {doc}`linear-convergence`: lemma 6 to theorem 13.
# - {doc}`momentum-interval`: figure 5, at every step size.
#
# ## Errata
#
# Nine are claims in the ledger, each with a number that tells the printed statement from the right one. The rest is
# editorial. "$Q = 5, 20$" in the text on figure 2 clashes with the
# law $Q$ of (3) and is read as the condition number. After (18) a linear network is said to have "a non-linear layer"
# between any two linear ones, which is what it does not have. And "equation 7" and "equation 8" in section 2.2.3 stand for
# theorem 7 and claim 8.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The literature that the review restates holds up, with one caution: the momentum of asynchrony is that of the mean, and
# single runs are far from it. The review's own conclusion does not. Reparameterization changes the effective step; with
# full gradients no negative momentum is ever best, and with the step tuned all models want positive momentum. The
# negative optimum of figure 5 can be had, with single samples and a step near the limit, from the reparameterized model
# and from the plain one alike.
