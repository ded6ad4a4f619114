# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Escaping saddle points
#
# *S. Farrell and C. Quintero Peña, Can theoretical algorithms efficiently escape saddle points in deep learning?, 2019*
# {cite}`farrell2019saddle`
#
# Non-convex problems in high dimension are full of saddle points. The review follows the methods that leave them with a
# guarantee, from noise on the gradient to acceleration and curvature, and then asks whether the simplest of them, noise
# added to SGD, helps to train a network.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("03-escaping-saddle-points", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## What is asked for
#
# A point is *second-order stationary* up to $\epsilon$ if $|\nabla f| \le \epsilon$ and
# $\lambda_{\min}(\nabla^2 f) \ge -\sqrt{\rho\epsilon}$, with $\rho$ the Lipschitz constant of the Hessian. At a *strict*
# saddle some eigenvalue is negative, so such points exclude it. How many gradients (or Hessian-vector products) does it
# take to find one?

# %% tags=["hide-input"]
ladder = [
    ("noisy gradient descent", "Ge et al. 2015", "poly(d, 1/eps)", "gradients"),
    ("perturbed gradient descent", "Jin et al. 2017", "eps^-2", "gradients"),
    ("perturbed accelerated descent", "Jin et al. 2018", "eps^-7/4", "gradients"),
    ("Saddle-NGD", "Levy 2016", "d^3 eps^-4", "stochastic gradients"),
    ("perturbed SGD", "Jin et al. 2019", "eps^-4", "stochastic, Lipschitz gradients"),
    ("FastCubic, Carmon et al.", "Agarwal et al. 2017, Carmon et al. 2018", "eps^-7/4", "Hessian-vector products"),
    ("Natasha2", "Allen-Zhu 2018", "eps^-3.25", "stochastic, Hessian-vector products"),
    ("SPIDER", "Fang et al. 2018", "eps^-3", "stochastic, variance reduction"),
]
pd.DataFrame(ladder, columns=["method", "source", "oracle calls", "uses"]).set_index("method")

# %% [markdown]
# The logarithms are left out. The rates are taken from the literature, and the lower part of the ladder is not run. (The
# review has $d^4\,\mathrm{poly}(1/\epsilon)$ for noisy gradient descent and $\eta^{-2}$, in terms of its step size, for
# Saddle-NGD. It also quotes $\epsilon^{-4}$ and $\epsilon^{-3.5}$ for NEON and NEON2, and $\epsilon^{-3.5}$ for SGD with
# dispersive noise, Fang et al. 2019.) Two remarks on the numbers: $\epsilon^{-3}$ needs variance reduction, so it is not
# the rate of a method of SGD's kind; and the $1/\sqrt\epsilon$ of accelerated descent that the review sets beside $\epsilon^{-2}$ is a
# *convex* rate for the objective, while for non-convex stationary points gradient descent's $\epsilon^{-2}$ stands.
#
# ## What is checked, and where
#
# - {doc}`saddles`: who leaves an exact saddle, how fast, and what decides it: dimension, momentum, curvature, degeneracy.
#   Perturbed descent {cite}`jin2017escape`, its acceleration {cite}`jin2018accelerated`, saddle-free Newton
#   {cite}`dauphin2014identifying`, negative curvature from gradients {cite}`xu2018first`.
# - {doc}`octopus`: the function on which gradient descent needs exponentially long {cite}`du2017gradient`.
# - {doc}`tensor`: problems whose second-order points are all global {cite}`ge2015escaping`, noisy descent against
#   normalized descent {cite}`levy2016power`.
# - {doc}`hessians`: the curvature of networks at the origin {cite}`kawaguchi2016deep`, after training
#   {cite}`sankar2018saddle`, and under the noise of SGD {cite}`daneshmand2018escaping`.
# - {doc}`neural-networks`: the review's experiment, with paired seeds and both readings of the noise
#   {cite}`jin2019nonconvex`.
# - {doc}`convolutional-networks`: the same for VGG3.
#
# The update rules belong to the framework of {doc}`../02-momentum/review`.
#
# ## Errata
#
# Five are claims of the ledger, because a number decides them: who converges to a saddle, the size of the noise, the
# bracket of equations 2 and 3, the reset of the exploitation step, and the kind of network whose minima are all
# global. The others are of words: the two rates remarked on above; perturbed gradient descent is by Jin et al. 2017; the
# input of VGG3 is 32 x 32 x 3; and the loss of a soft-max classifier is called $\ell_2$.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# No theorem is contradicted; what is said about speed holds in part, for it depends on the step sizes compared and on
# how flat the saddle is. The theory is about strict saddles and vanishing gradients. The networks measured here keep
# some negative curvature. But trained to the end it is so slight (below 0.001) that the theory lets such a point pass
# as second-order stationary, and the gradient is small only after tens of thousands of steps. The review's own
# experiment does not test the theory: repeated at its scale with paired seeds, its noise is less than a seventieth of
# the gradient and makes no difference.
