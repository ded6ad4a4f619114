# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Second-order methods for machine learning
#
# *A. Sekar, A review of some second order optimization methods for machine learning, 2020* {cite}`sekar2020review`
#
# How can curvature be used when every gradient is a sample? The review reads three answers: LiSSA {cite}`agarwal2017second` sums a
# Neumann series of sampled Hessians, AdaHessian {cite}`yao2021adahessian` estimates the Hessian's diagonal with random signs, and SQGN
# {cite}`thiele2020deep` feeds Gauss-Newton products to a stochastic L-BFGS and inverts seismograms with it. None of them forms a
# Hessian. The review's thesis is that what they share is not a better optimum but robustness to the learning rate.
# This chapter checks every formula, runs all three methods, and measures the thesis where it can fail.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd
import torch

from litrepro import Chapter

ch = Chapter("05-second-order", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## Why curvature
#
# In a valley the gradient crosses and overshoots. Newton's method {cite}`nocedal2006numerical` multiplies it by the inverse
# Hessian,
#
# $$
# x_{t+1} = x_t - \eta_t B(x_t)\,\nabla f(x_t), \qquad B = \big[\nabla^2 f\big]^{-1} ,
# $$
#
# and on a quadratic that points straight at the minimum. The review's first figure, for $x^2+y^2/5$:

# %%
matrix = torch.tensor([[2.0, 0.0], [0.0, 0.4]], dtype=torch.float64)
start = torch.tensor([1.0, 2.0], dtype=torch.float64)
steepest = -matrix @ start
newton = -torch.linalg.solve(matrix, matrix @ start)


def towards_minimum(direction):
    """Cosine of the angle between a direction and the one to the minimum, which is at 0."""
    return (direction @ -start / (direction.norm() * start.norm())).item()


cosines = {"gradient": towards_minimum(steepest), "Newton": towards_minimum(newton)}

# %% tags=["nbval-check-output"]
ch.claim("newton-points-to-centre", value=cosines, holds=cosines["Newton"] > 1 - 1e-12 and cosines["gradient"] < 0.95)

# %% mystnb={"figure": {"name": "fig-05-valley", "caption": "Contours of x^2 + y^2/5 and two directions from (1, 2), drawn with equal length: the negative gradient crosses the valley, the direction preconditioned with the inverse Hessian points at the minimum. The review's figure 1."}, "image": {"alt": "Ellipses around the origin, long in y. From the upper right one arrow points left and a little down, across the valley, the other down and left to the centre."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, ax = figure(height=3.6)
    u, v = torch.meshgrid(torch.linspace(-2.2, 2.2, 121), torch.linspace(-2.8, 2.8, 121), indexing="xy")
    ax.contour(u, v, u**2 + v**2 / 5, levels=[0.05, 0.2, 0.5, 1, 1.8, 3, 4.5], colors="0.65", linewidths=1)
    for direction, color, name in ((steepest, "black", "negative gradient"), (newton, PALETTE[1], "Newton")):
        arrow = 1.6 * direction / direction.norm()
        ax.annotate(
            "",
            xytext=start.tolist(),
            xy=(start + arrow).tolist(),
            arrowprops={"color": color, "width": 1.5, "headwidth": 8},
        )
        ax.plot([], [], color=color, lw=2, label=name)
    ax.plot(0, 0, "k+", ms=9, label="minimum")
    ax.set(xlabel="x", ylabel="y", aspect="equal")
    ax.grid(False)
    ax.legend(loc="lower left")

# %% [markdown]
# ## Three ways to sample it
#
# **LiSSA.** $\nabla^2f_i$ is an unbiased sample of the Hessian, its inverse is none of the inverse. But a product of independent
# samples has the product of the means as its mean, and the inverse is a sum of such products:
#
# ```{prf:algorithm} One step of LiSSA
# :label: alg-05-lissa
# :nonumber:
# With the full gradient $g$ at $x$, a scale $\beta$ above all samples' curvature, a depth $S_2$ and a number of directions $S_1$:
# 1. For each direction set $y_0=g/\beta$; for $j=1,\dots,S_2$ draw a sample $i_j$ and set
#    $y_j = g/\beta + \big(I-\nabla^2f_{i_j}(x)/\beta\big)\,y_{j-1}$.
# 2. Replace $x$ by $x$ minus the mean of the $S_1$ vectors $y_{S_2}$.
# ```
#
# ```{prf:theorem} Agarwal, Bullins and Hazan, theorem 2.1 of the review
# :label: thm-05-lissa
# :nonumber:
# For a strongly convex generalized linear model with samples scaled to $\nabla^2 f_i\preceq I$, near enough to the optimum, with
# $S_1=O\big((\hat\kappa_l^{\max})^2\ln(d/\delta)\big)$ and $S_2\ge2\hat\kappa_l\ln(4\hat\kappa_l)$, a step halves the distance to the
# optimum with probability at least $1-\delta$.
# ```
#
# **AdaHessian.** For a vector $z$ of random signs $\mathbb E\,[z\odot Hz]=\operatorname{diag}H$ {cite}`bekas2007estimator`. AdaHessian puts the
# absolute value of that, smoothed over blocks of parameters and over time, where Adam has the gradient's magnitude.
#
# **SQGN.** For $f=\ell\circ h$ the Gauss-Newton matrix $J^\top\nabla^2\ell\,J$ is the Hessian without the term that can be negative.
# Its products {cite}`martens2011learning` give L-BFGS curvature pairs $(s, y)$ with $s^\top y>0$, where differences of minibatch
# gradients give noise {cite}`byrd2016stochastic,liu2019accelerating`; gradients are variance-reduced {cite}`johnson2013accelerating`.
#
# Each is one call, batched over trials:
#
# ```python
# from litrepro.optim.curvature import AdaHessian, lissa, sqgn
#
# run = lissa(loss, w0, (x, y), s2=39, steps=12, scale=0.3)
# run.w                     # (steps + 1, ..., d)
# run.oracle_calls          # gradients and products of single samples
#
# optimizer = AdaHessian(model.parameters(), lr=0.1)
# loss = optimizer.step(lambda: criterion(model(x), y))   # no backward()
#
# fit = sqgn(model, loss, w0, (x, y), lr=0.1, epochs=30)
# fit.losses, fit.pairs
# ```

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("Newton", "H", "d products per sample", "lr 1"),
        ("LiSSA", "series of sampled H", "S1 S2 products", "S1, S2, scale"),
        ("AdaHessian", "diagonal of H", "1 product", "lr, betas, eps, block"),
        ("SQGN", "low-rank, Gauss-Newton", "1 product every few steps", "lr, memory, damping"),
    ],
    columns=["method", "curvature", "price of a step beyond the gradient", "to choose"],
).set_index("method")

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`lissa`: the estimator and its bias, Newton near and far, theorem 2.1, equal numbers of oracle calls, the price of a product.
# - {doc}`adahessian`: Hutchinson's estimator, the descent guarantee (11), which averages matter, cost, generalization.
# - {doc}`robustness`: the table of learning rates with error bars, and the width of the good interval for four optimizers on three problems;
#   for AdamW and AdaHessian also on a small transformer, from a recorded run.
# - {doc}`quasi-gauss-newton`: Gauss-Newton against the Hessian, curvature pairs, and SQGN against Adam on a seismic inversion with our own
#   acoustic simulator; crosstalk.
#
# Newton's method at saddle points and negative curvature are in {doc}`../03-escaping-saddle-points/saddles` and
# {doc}`../04-accelerated-nonconvex/building-blocks`. Left out: LiSSA's sketching and accelerated inner solver, which the review
# leaves out too, and real seismic data. Tiny Shakespeare stands in for translation.
#
# ## Errata
#
# Those that a number tells apart are claims of the ledger. The others are editorial. The review refers to its table of learning rates as
# figure 5; it is figure 3. The quadratic model $Q_t$ mixes the indices $t$ and $t-1$. Theorem 2.1 assumes a generalized
# linear model and prints $O(md+(\hat\kappa_l^{\max})^2\hat\kappa_l\,d^2)$ for a step. For such a model it is $d$ in
# place of $d^2$, since a Hessian-vector product costs as much as a gradient, and the total time printed next to it has
# $d$. The probability is *at least* $1-\delta$. The definition of AdaHessian's $v_t$ calls the averaged estimate
# unbiased; what it averages is the square of an estimate, which is not.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The formulas hold once put right, and the estimators do what they promise. Of the thesis little is left: measured from each optimizer's own best rate,
# neither of two problems shows a wider interval of good rates for second-order methods than for AdamW or SGD with momentum, beyond what chance
# explains. On a small transformer AdaHessian's interval is narrower than AdamW's, but the bootstrap intervals of the
# two overlap, and the weight decay was not equal. Curvature pays over gradient descent where the problem is one of
# conditioning, a little on regularized regression and much on coupled parameters; but the best first-order methods,
# SVRG for the one and conjugate gradients for the other, do as well.
