# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Random features for kernel approximation
#
# *B. Deng and E. Liu, A brief survey of random features for kernel approximations* {cite}`deng2021random`
#
# Kernel methods compare every point with every other: $n^2$ numbers to store and $n^3$ operations to solve for. Rahimi
# and Recht {cite}`rahimi2007random` replaced the kernel by the inner product of $D$ random features, after which a linear
# model in $D$ dimensions does. The review explains why that works and compares four variations of it, two that ignore the
# data and two that look at it. It has no experiments of its own; this chapter supplies them.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.features import feature_map, gaussian_kernel

ch = Chapter("14-random-features", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# ```{prf:theorem} Bochner
# :label: thm-bochner
# :nonumber:
# A continuous function $k(x - y)$ on $\mathbb R^d$ is positive definite if and only if it is the Fourier transform of a
# finite nonnegative measure. If $k(0) = 1$, that is a probability measure $p$, and
# $k(x-y) = \mathbb E_{\omega\sim p}\, e^{i\omega^\top(x-y)}$.
# ```
#
# Taking real parts, with a phase $b \sim U[0, 2\pi]$ or with cosine and sine side by side,
#
# $$
# \begin{gathered}
# z(x) = \sqrt{\tfrac{2}{D}}\,\big(\cos(\omega_j^\top x + b_j)\big)_{j\le D} \qquad\text{or} \\
# z(x) = \sqrt{\tfrac{2}{D}}\,\big(\cos \omega_j^\top x,\ \sin\omega_j^\top x\big)_{j \le D/2},
# \end{gathered}
# $$
#
# has $\mathbb E\, z(x)^\top z(y) = k(x, y)$. General texts on kernels are {cite:t}`hofmann2008kernel` and the survey of
# {cite:t}`liu2021random`; before random features, columns of the kernel matrix were sampled {cite}`drineas2005nystrom`.
#
# ## The methods

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("phase", "N(0, 1/sigma^2)", "O(n D d)", "O(D d)", "the original"),
        ("paired", "N(0, 1/sigma^2)", "O(n D d)", "O(D d)", "unit norm for free"),
        ("normalized", "N(0, 1/sigma^2)", "O(n D d)", "O(D d)", "lower variance"),
        ("fastfood", "structured", "O(n D log d)", "O(D)", "speed and storage"),
        ("orthogonal", "orthogonal blocks", "O(n D d)", "O(D d)", "lower variance"),
        ("leverage", "leverage scores", "+ O(n P^2 + P^3), pool P", "O(D d)", "fewer features"),
        ("nystroem", "columns K_xc", "O(n D d + n D^2)", "O(D d + D^2)", "adapts to the data"),
        ("kitchen sinks", "any p(omega)", "O(n D d)", "O(D d)", "no kernel needed"),
    ],
    columns=["method", "frequencies", "time of features", "storage of the map", "bought with it"],
).set_index("method")

# %% [markdown]
# In the library every method is a function of the training points, so that comparing them is a loop:
#
# ```python
# from litrepro.features import feature_map, feature_ridge
#
# z = feature_map("fastfood", x, 1024, sigma=7.0, generator=generator)   # any of the first seven rows
# weights = feature_ridge(z(x), y, lam=1e-4)
# ```
#
# The sources are {cite:t}`le2013fastfood` (Fastfood), {cite:t}`li2017linearized` (normalization),
# {cite:t}`yu2016orthogonal` (orthogonal blocks, which the review does not cover), {cite:t}`alaoui2015fast`,
# {cite:t}`avron2017random` and {cite:t}`li2021unified` (leverage scores), {cite:t}`rahimi2009weighted` (kitchen sinks).
# How close they come at equal dimension, on points in the plane:

# %% mystnb={"figure": {"name": "fig-14-methods", "caption": "A Gaussian kernel around one point in the plane, width 1, and its approximation by 128 features of each kind, all from one seed. Nystroem's columns are drawn from 400 points scattered around it."}, "image": {"alt": "Eight panels with a round bump in the middle: the exact kernel is clean, the Fourier approximations have ripples around the bump of a tenth to a fifth of its height, Nystroem's panel is nearly clean."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import SEQUENTIAL, figure

    axis = torch.linspace(-4, 4, 81, dtype=torch.float64)
    plane = torch.cartesian_prod(axis, axis)
    centre = torch.zeros(1, 2, dtype=torch.float64)
    disc = 2 * torch.randn(400, 2, generator=ch.generator(1), dtype=torch.float64)
    images = {"exact": gaussian_kernel(centre, plane)}
    for method in ("phase", "paired", "normalized", "fastfood", "orthogonal", "leverage", "nystroem"):
        z = feature_map(method, disc, 128, sigma=1.0, lam=1e-3, generator=ch.generator(2))
        images[method] = z(centre) @ z(plane).mT
    fig, axes = figure(2, 4, height=2.0, sharex=True, sharey=True)
    for ax, (title, values) in zip(axes.flat, images.items()):
        mesh = ax.imshow(
            values.reshape(81, 81).T, vmin=-0.3, vmax=1, cmap=SEQUENTIAL, origin="lower", extent=(-4, 4, -4, 4)
        )
        ax.set_title(title)
        ax.grid(False)
    for ax in axes[-1]:
        ax.set_xlabel("$x_1$")
    for ax in axes[:, 0]:
        ax.set_ylabel("$x_2$")
    fig.colorbar(mesh, ax=axes, label="kernel value")

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`kernels-and-variance`: Gram matrices, Bochner's theorem and its constants, the representer theorem, importance
#   sampling; mean and variance of the feature maps, and why pairing beats normalizing.
# - {doc}`fastfood`: unbiasedness, time, storage, and Hadamard matrices whose order is no power of two.
# - {doc}`learning`: accuracy on digits for all methods, and the cost of each.
# - {doc}`leverage-scores`: the formula with its inverse, fewer features, and a map of when they pay.
# - {doc}`kitchen-sinks`: random functions against AdaBoost, the box, the rate.
#
# ## Errata
#
# What a number can decide is in the ledger: the inverse missing from equation 9, the sums of the sampling algorithm, the
# constant of the inverse Fourier transform, time and space swapped, the cost of Fastfood, Hadamard orders, the
# box of the kitchen sinks, the mass of Bochner's measure, what importance sampling estimates, and the definition of a
# kernel. The rest is editorial. Equation 4 should integrate over $x$, not $\xi$. The sampling algorithm uses $k$ for two
# things, writes $m$ for the number of points, and costs $O(nD^2 + D^3)$ for the whole data set and not per point. The
# rate of the kitchen sinks is $1/\sqrt n + 1/\sqrt k$: samples, where the review has its dimension $m$. The letter $m$ is
# the dimension in most formulas and the number of samples in some.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# Of the review's four variations each improves something, and less than it says. Fastfood is faster from a few hundred
# dimensions on. Normalizing gains what cosine-sine pairs have for free, and a little less. Leverage scores serve the
# kernel matrix and pay in accuracy only for targets outside the bulk of the spectrum. Kitchen sinks outrun boosting,
# not Fourier features. And what the review only names in its introduction, as an inspiration of random features,
# sampling columns of the kernel matrix, predicts better than all of them at the same dimension, up to about a thousand.
