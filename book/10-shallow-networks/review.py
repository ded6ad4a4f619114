# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Provable shallow networks
#
# *H. Guo and Y. Liu, Different theory techniques for shallow neural networks* {cite}`guo2020shallow`
#
# Training even three neurons is NP-complete in the worst case {cite}`blum1989training`. Theory has answered with networks that
# are small, teachers that exist, and inputs that are Gaussian, and has proved for these that particular algorithms find the
# teacher. The review sorts such results by optimizer, by architecture and by assumption. It contains no experiment;
# every theorem it cites can be one, and this chapter runs them.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.shallow import ALGORITHMS, learnability_map

ch = Chapter("10-shallow-networks", notebook="review", profile=profile, seed=seed, full_minutes=1)
map_samples = ch.pick(
    quick=[24, 48, 96, 192, 384, 768], full=[24, 48, 96, 192, 384, 768, 1536, 3072, 6144], smoke=[24, 96]
)
map_conditions = ch.pick(
    quick=[1.0, 2.0, 4.0, 8.0], full=[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0], smoke=[1.0, 8.0]
)
map_trials = ch.pick(quick=10, full=100, smoke=2)

# %% [markdown]
# ## The argument
#
# All of it is about recovery. Data come from a planted network, $y = \sum_k \sigma(\langle w^*_k, x\rangle)$, and the question is
# whether an algorithm finds $W^*$, from how many samples, and from which start.

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("projected gradient", "one ReLU, in a set", "zero", "n > c n0", "factor 1/2 per step"),
        ("population gradient", "ReLU neurons", "small random", "infinitely many", "one neuron recovered"),
        ("alternating minimization", "K ReLU neurons", "near W*", "order K d", "linear"),
        ("EP-ROM, AP-ROM", "r quadratic neurons", "zero", "order p r, fresh", "linear"),
        ("tensor start, then gradient", "K ReLU neurons", "from moments", "polynomial", "linear"),
        ("Convotron", "one filter, any patches", "zero", "polynomial", "by the eigenvalues of P"),
        (
            "gradient, output weights",
            "one filter, disjoint patches",
            "random",
            "infinitely many",
            "constant probability",
        ),
        ("gradient, residual", "I + W with ReLU", "small norm", "stochastic", "two phases"),
        ("gradient, residual", "deep and linear", "norms below 1", "infinitely many", "gradient dominates"),
    ],
    columns=["algorithm", "network", "start", "samples", "guarantee"],
).set_index("algorithm")

# %% [markdown]
# In the library each is a function that returns its path, the first iterate included, with trials in the leading batch
# dimensions:
#
# ```python
# from litrepro.shallow import alternating_minimization, permutation_distance
#
# path = alternating_minimization(X, y, W0, iterations=30)     # (31, ..., K, d)
# error = permutation_distance(path, W_star)                   # (31, ...)
# ```
#
# ## What makes a teacher learnable?
#
# One experiment that the review does not have: the same planted teachers and the same inputs for all. $K=3$ neurons in eight
# dimensions, with condition numbers $\sigma_1/\sigma_K$ from 1 to 8 (to 16 in the recorded run), six algorithms, and one budget of samples. "Low rank"
# sees the teacher through quadratic activations. Success is a relative error below one hundredth.

# %%
runs = learnability_map(map_samples, map_conditions, trials=map_trials, generator=ch.generator(1), device=ch.device)
cells = runs.groupby(["algorithm", "condition", "n"], as_index=False)
table = cells.agg(success=("success", "mean"), error=("error", "median"), trials=("trial", "size"))
ch.save("learnability", table)
recorded = ch.paper("learnability")
success = table.pivot(index=["algorithm", "condition"], columns="n", values="success")

# %% tags=["nbval-check-output"]
most = success[768] if 768 in success else success.iloc[:, -1]
lost = {name: most[name, 1.0] - most[name, 8.0] for name in ("gradient descent", "tensor + gradient")}
alternating = most["alternating", 8.0]
ch.claim(
    "what-makes-it-learnable",
    value={"success lost from condition 1 to 8": lost, "alternating at condition 8": alternating},
    holds=bool(min(lost.values()) > 0.4 and alternating > 0.6),
)

# %% mystnb={"figure": {"name": "fig-10-learnability", "caption": "Success of six algorithms over the number of samples and the condition number of the teacher (300 gradient steps, 60 alternations, 120 low-rank steps; a hundred trials per cell, ten where there is no recorded run). Within its steps gradient descent needs a well-conditioned teacher from either start; alternating minimization minds much less; low-rank recovery needs the most samples and does not mind at all."}, "image": {"alt": "Six heat maps, samples across and condition upwards. The two of gradient descent are bright only in the lower right; the three of alternating minimization are bright in the whole right half, a little less at the top; the low-rank one is bright from 768 samples on, at all conditions."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure, heatmap

    shown = table if recorded is None else recorded
    n_levels, c_levels = sorted(shown.n.unique()), sorted(shown.condition.unique())
    shown = shown.assign(x=shown.n.map(n_levels.index), y=shown.condition.map(c_levels.index))
    fig, axes = figure(2, 3, height=2.5, sharex=True, sharey=True)
    for ax, name in zip(axes.flat, ALGORITHMS):
        mesh = heatmap(shown[shown.algorithm == name], "x", "y", "success", ax=ax, colorbar=False)
        ax.set_title(name)
        ax.set_xticks(range(len(n_levels)), [str(n) for n in n_levels], rotation=60)
        ax.set_yticks(range(len(c_levels)), [f"{c:g}" for c in c_levels])
        ax.set(xlabel="samples n" if ax in axes[1] else "", ylabel="condition" if ax in axes[:, 0] else "")
    fig.colorbar(mesh, ax=axes, label="success rate")

# %% [markdown]
# The two starts, to which the theory pays most attention, make little difference here: at 768 samples the fourth moment is so noisy that
# the tensor start is about as far from the teacher as zero is. A start within a tenth of the teacher would arrive in eight of ten trials at
# condition 8, one within three tenths in six (once, outside this page). What slows gradient descent is the curvature of the loss
# around the teacher, which the condition number controls. Least squares does not feel it.
#
# ## What is checked, and where
#
# - {doc}`projected-gradient`: the factor 1/2, samples against dimension and sparsity, the step.
# - {doc}`population-gradient`: the closed form, one neuron's basin, two neurons' phase portrait.
# - {doc}`alternating-minimization`: its basin, and the identity as a start.
# - {doc}`quadratic-low-rank`: the rate, the sign, fresh samples, exact against Krylov projections.
# - {doc}`tensor-initialization`: moments, and whether random starts do as well.
# - {doc}`one-convolution`: overlap, correlation, output weights, adversarial inputs.
# - {doc}`residual-and-init`: two phases, gradient domination, zero, Xavier and He.
#
# ## Errata
#
# Most are claims of the notebooks above. One more is a line of arithmetic. Definition 2.11 squares the difference of
# two *means* over the samples. That loss does not determine the weights: it vanishes for any direction, at the right
# length.

# %% tags=["nbval-check-output"]
g = ch.generator(2)
X, w_star, v = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((200, 5), (5,), (5,)))
w = v * (X @ w_star).relu().mean() / (X @ v).relu().mean()
outputs, targets = (X @ w).relu(), (X @ w_star).relu()
as_printed = ((outputs.mean() - targets.mean()) ** 2 / 2).item()
mean_square = ((outputs - targets) ** 2).mean().item() / 2
apart = ((w - w_star).norm() / w_star.norm()).item()
ch.claim(
    "erratum-empirical-loss",
    value={"printed loss": as_printed, "mean squared error": mean_square, "distance": apart},
    holds=as_printed < 1e-20 and mean_square > 0.01 and apart > 0.5,
)

# %% [markdown]
# The rest is editorial. Distances are minima over *permutations* of the neurons, not "perturbations". The sample gradient of
# the fully connected network belongs to a loss whose teacher acts on $X$, not on $W$. Convergence is at a linear *rate*, not
# in "linear time". A minimizer of the loss does not have the "highest score". Equation 5 defines ReLU as a neuron; equation
# 31's maximum runs over the $l$ blocks. Equation 1 has
# outputs in $\mathbb R$ and inputs $x_i$, not $z_i$.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The theorems hold, with constants that experiments can see: twelve to sixty-four samples per dimension where four
# suffice with another step, a probability of one half where it is one. That of the $\ell_1$ ball holds in part: it
# takes four to six times the number that the review calls nearly enough. What does not hold is what the review adds or
# suggests: that the identity is a good start, that initializations differ trivially. Nor does descent need the tensor
# start that its proof uses, while neurons are few. That every step needs fresh data is half true. So is the speed of
# correlated patches: of a factor of nine the best step for each case leaves three. In a residual network the identity
# turns out to matter as its start, and not as a part of it. The hard cases are elsewhere: overlapping patches,
# ill-conditioned teachers, as many neurons as dimensions, and inputs from an adversary.
