# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Double descent
#
# *T. Pan and R. Zhang, Deep double descent* {cite}`pan2021deep`
#
# The textbook curve of test error against complexity is a U: too simple a model misses the signal, too complex a model fits
# the noise. Networks with far more parameters than data do not care. Belkin and colleagues {cite}`belkin2019reconciling` drew both in
# one picture: the U ends in a peak where the model can just fit all of its data, and beyond the peak the error descends
# a second time, often lower than before. The review reruns their examples and those of Nakkiran and colleagues
# {cite}`nakkiran2020deep`, in which the peak is also crossed by training longer, or by adding data.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import torch

from litrepro import Chapter
from litrepro.interpolation import linear_risk

ch = Chapter("09-double-descent", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# Take the model with the simplest algebra: least squares with $p$ features and $n$ samples, and of all minimizers the
# shortest,
#
# $$
# \hat\beta = X^\dagger y .
# $$
#
# With $p < n$ there is one minimizer. With $p > n$ there are many that fit the data exactly, and the shortest gets shorter with
# every further feature to choose from. At $p = n$ there is exactly one interpolant and no choice at all. Noise is divided by
# the smallest singular value of a square random matrix, which is close to zero. That is the peak. It can be approached by
# changing $p$ (*model-wise*) or by changing $n$ (*sample-wise*): then more data hurt.
#
# For procedures that are not least squares the review takes over a definition.
#
# ```{prf:definition} Effective model complexity
# :label: def-emc
# :nonumber:
# The effective model complexity $\mathrm{EMC}_\epsilon(T)$ of a training procedure $T$ on a distribution is the largest $n$
# for which the mean training error of $T$ on $n$ samples is at most $\epsilon$.
# ```
#
# Training longer raises it and label noise lowers it, so that a peak at $\mathrm{EMC} = n$ is met in *epochs* as well. In
# the one case in which all is known, linear regression on Gaussian inputs, the first two ways to the peak look like this.

# %% mystnb={"figure": {"name": "fig-09-ways", "caption": "Expected excess risk of minimum-norm regression in closed form, noise 0.1 and |beta| = 1. Left: against the number of samples, for three dimensions; the gaps are where it is infinite. Right: over samples and dimension; the ridge is n = d."}, "image": {"alt": "Left: three curves that fall from one, peak where n equals the dimension (25, 50, 100), and fall again. Right: a map with a bright diagonal."}} tags=["hide-input"]
if ch.plots:
    from matplotlib.colors import LogNorm

    from litrepro.plotting import SEQUENTIAL, figure

    fig, axes = figure(1, 2, height=3.4)
    samples = torch.arange(1, 151)
    for dimension in (25, 50, 100):
        risk = linear_risk(samples, dimension, noise=0.1).risk
        axes[0].plot(samples, risk.where(risk.isfinite(), torch.nan), label=f"$d$ = {dimension}")
    axes[0].set(yscale="log", xlabel="samples $n$", ylabel="expected excess risk")
    axes[0].legend()
    plane = torch.stack([linear_risk(samples, dimension, noise=0.1).risk for dimension in range(2, 151)])
    image = axes[1].imshow(plane.clamp(max=1.5), origin="lower", cmap=SEQUENTIAL, norm=LogNorm(3e-4, 1.5),
                           extent=(0.5, 150.5, 1.5, 150.5), aspect="auto")  # fmt: skip
    axes[1].set(xlabel="samples $n$", ylabel="dimension $d$")
    axes[1].grid(False)
    fig.colorbar(image, ax=axes[1], label="expected excess risk")

# %% [markdown]
# In the library each curve is one call, all trials or seeds of a point in one batch:
#
# ```python
# from litrepro.interpolation import linear_risk, rff_curve, sample_wise_curve, two_layer_curve
#
# sample_wise_curve([25, 50, 100], d=50, trials=400, noise=0.1, generator=0)
# linear_risk(25, 50, noise=0.1)                                   # exact
# rff_curve(train, test, [100, 200, 400], bandwidth=5.0)
# two_layer_curve(train, test, [8, 27, 150], reuse=False, epochs=1200, seeds=range(10))
# ```
#
# ## What is checked, and where
#
# - {doc}`linear-sample-wise`: bias and variance against their formulas, the peak at $n = d$, what gradient descent converges to,
#   and the ridge that removes the peak.
# - {doc}`random-features`: MNIST with random Fourier features, complex and real; label noise; the plane of samples and
#   features; a theory without fitted parameters.
# - {doc}`two-layer`: the peak at $nK$ parameters, with and without weight reuse.
# - {doc}`width-and-epochs`: epoch-wise double descent with a formula, effective complexity, and the review's convolutional
#   networks at a smaller scale: 4,000 images, 200 epochs, one run per width, at each of the narrowest widths three.
#
# Figure 11 of the review, a Transformer on translation, is quoted there and not rerun here; random features and the linear
# model show the same effect of more data.
#
# ## Older than its name
#
# The peak of minimum-norm classifiers was seen by {cite:t}`vallet1989linear` and derived by {cite:t}`opper1990ability`, both for
# artificial data; {cite:t}`watkin1993statistical` review that line of work, and {cite:t}`duin2000classifiers` found the curve on
# real data. What was new in 2019 was to see it in models that people use, and to say that the right-hand side is where they
# live.
#
# ## Errata
#
# What a number can decide is in the ledger: the variance that does not decrease first, the peak that is not the end of
# a long enough run, cosine-sine pairs, sizes of the networks, the padding. The rest is editorial. The caption of
# figure 6 is that of figure 3, random Fourier features with $n = 10^4$, where the text describes the two-layer
# network; the caption of figure 1 is that of figure 13. The text of section 2.2 refers to figure 1 for what figure 2
# shows. And equation 1 covers $n = d$ in its first line and is discussed in both.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# Where it can be computed, double descent is understood: the peak is where a model has just enough freedom to fit its
# data, counted in coefficients of the kind that is fitted: $N$ complex ones, $2N$ real ones for pairs. The small print
# matters: a two-layer network has no peak after a short training (with clean labels none was trained longer), and the
# right ridge removes that of linear regression. The sweeps of convolutional networks are judged on 4,000 images and
# 200 epochs, three runs at each of the narrowest widths and one beyond. At that size the peak of the CNN over the
# width is small and lies before the network begins to fit, ResNet18 has none that stands out from the scatter of its
# runs, and the second descent in time is absent in the widest networks.
