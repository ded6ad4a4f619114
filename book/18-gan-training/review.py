# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training GANs as a game
#
# *B. Ghanekar, C. Little and L. Liu, Empirical review of GAN training* {cite}`ghanekar2022empirical`
#
# A generative adversarial network {cite}`goodfellow2014generative` is trained by playing a game, and gradient play on games may
# cycle {cite}`mertikopoulos2018cycles`. The review explains why, through the eigenvalues of the field that both players follow,
# and compares three remedies on MNIST: optimism, negative momentum and consensus optimization. This chapter plays the games exactly,
# checks the formulas on thousands of spectra, and trains the tables again as ensembles of seeds by optimizers.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("18-gan-training", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# The generator $G$ and the discriminator $D$ play
#
# $$
# \min_G \max_D\ \mathbb E_x \log D(x) + \mathbb E_z \log\big(1 - D(G(z))\big) .
# $$
#
# Write $w$ for the parameters of both and $v(w)$ for the two gradients, each of its own player's loss. Plain play is
# $w \leftarrow w - \eta\,v(w)$. Unlike a gradient, $v$ may have a Jacobian with complex eigenvalues $\lambda = re^{i\psi}$, and near an
# equilibrium only they matter.
#
# ```{prf:theorem} Gradient play near an equilibrium
# :label: thm-18-rate
# :nonumber:
# With step size $\eta$ the distance shrinks in the long run by the factor $\max_k|1-\eta\lambda_k|$ per step. If all
# $\Re\lambda_k>0$ some $\eta$ makes it smaller than 1, but never smaller than $\max_k|\sin\psi_k|$.
# ```
#
# On the imaginary axis, where zero-sum games without curvature live, plain play diverges for every $\eta$. The remedies change the map.
# **Optimism** {cite}`daskalakis2017training,rakhlin2013optimization` extrapolates the last change of the field. **Negative momentum**
# {cite}`gidel2019negative` pulls back along the last step. **Consensus** {cite}`mescheder2017numerics` adds
# $\gamma\nabla\tfrac12\lVert v\rVert^2$, which moves eigenvalues to the right.
#
# ```{prf:theorem} The best heavy ball for one eigenvalue
# :label: thm-18-momentum
# :nonumber:
# For $\lambda=re^{i\psi}$, $|\psi|<\pi/2$, the rate of momentum is smallest at $\beta=-\tan^2(\psi/2)$,
# $\eta = 1/(r\cos^2(\psi/2))$, where it is $\tan(|\psi|/2)$ instead of $\sin|\psi|$.
# ```
#
# The review finds this optimum numerically; the closed form is ours, and {doc}`spectra` checks it by search.
#
# In the library an ensemble is one call:
#
# ```python
# from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, train_gans
#
# variants = [Variant("Adam"), Variant("OAdam", optimism=1.0), Variant("AdamNM", beta1=-0.5)]
# gans = train_gans(
#     lambda: MLPGenerator(32, 64, (1, 28, 28)), lambda: MLPDiscriminator((1, 28, 28), 64),
#     images, variants, steps=1000, seeds=range(3),
# )
# gans.sample(16)                       # (members, 16, 1, 28, 28), all from the same noise
# ```

# %% tags=["hide-input"]
methods = [
    ("gradient play", "1 - eta lam", "play", "gradient_rate, optimal_step_size"),
    (
        "momentum, either sign",
        "roots of a quadratic",
        "play(beta=), GameSGD, GameAdam",
        "momentum_rate, optimal_momentum",
    ),
    ("optimism", "roots of a quadratic", 'play("optimistic"), GameAdam', "optimistic_eigenvalues"),
    ("extragradient", "1 - eta lam + (eta lam)^2", 'play("extragradient")', ""),
    ("consensus", "lam + gamma |lam|^2 (normal)", 'play("consensus"), consensus_gradients', "consensus_matrix"),
]
pd.DataFrame(methods, columns=["method", "eigenvalues of a step", "play and train", "theory"]).set_index("method")

# %% [markdown]
# The networks are a perceptron GAN, a DCGAN {cite}`radford2015unsupervised` and a clipped Wasserstein GAN
# {cite}`arjovsky2017wasserstein`. Samples are judged by the Inception Score {cite}`salimans2016improved` and the Frechet distance
# {cite}`heusel2017gans` of a digit classifier trained here, and by how many digits they cover.
#
# ## What is checked, and where
#
# - {doc}`games`: trajectories of all methods on the bilinear game with the spectra of their steps; the closed-form optimum.
# - {doc}`spectra`: bounds 2 to 4, the interval $I(\lambda)$, momentum and consensus on random spectra.
# - {doc}`mnist-gans`: table 1 for the plain GAN, five optimizers, several seeds; modes on digits and on a ring of Gaussians.
# - {doc}`dcgan`: table 1 for DCGAN and WGAN.
# - {doc}`consensus`: table 2.
#
# The quick profile trains for a thousand steps or fewer where the review has 200 epochs. It shows orderings of
# optimizers that appear early; it cannot show how training ends. For the plain GAN and the WGAN that is recorded over
# 60 epochs, too few to order Adam's variants on the WGAN, for consensus over 30,000 steps, which are 32 epochs; for the
# DCGAN, recorded over three epochs, how a long training ends is open.
#
# ## Errata
#
# Those that a number can tell apart are claims in the ledger: the Wasserstein objective adds where it must subtract; the generator's
# updates have the wrong sign; a branch of a square root; a
# derivative quoted without its step size; eigenvalues intersected for their intervals; real eigenvalues
# need no momentum; a step-size bound without its modulus; gradients that vanish by saturation, not depth; entropies of the Inception Score
# the wrong way round.
#
# The rest is editorial. The rate $O(1/T)$ of the last optimistic iterate is not sharp on bilinear games, where it is
# linear, and too good for convex-concave games in general, where it is $O(1/\sqrt T)$ {cite}`golowich2020tight`.
# Figure 2, Optimistic Adam, is from {cite:t}`daskalakis2017training`. Consensus subtracts $\gamma\nabla L$ from an
# ascent direction. Table 2's score before the collapse, 2.453 $\pm$ 0.018, repeats that of DCGAN with Optimistic Adam
# in table 1 to the digit. Figure 3 (values of momentum in the literature), legibility by eye and the averaged predictor
# of optimism are not reproduced.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The theory of the review is right up to details of print, and sharper than it says: linear rates and closed forms where it has $O(1/T)$ and a
# numerical search. Of its tables a part of the order shows within minutes: on the plain GAN negative momentum and
# optimism are ahead of plain Adam, as in the review. SGD with momentum, third there, learns nothing in the quick run.
# In the recorded one it reaches 3.3 after 12,000 of 18,000 steps, below plain Adam's 5.6, and falls again. Fine
# differences between variants of Adam are of the size of the differences between seeds, which the review's error bars,
# presumably taken over parts of one sample, do not show, and the lead of both on the plain GAN is gone after fifty
# epochs. One row of the table is a matter of the step size: SGD with negative momentum, given up in the review at
# 0.001, draws digits on the DCGAN at 0.1.
