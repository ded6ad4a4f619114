# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Neural networks and convex optimization
#
# *D. H. Lina and Y. Yang, Literature review for neural network training and convex optimization* {cite}`lina2021literature`
#
# Training a network is not a convex problem in its weights. It can be one in something else: in a measure over
# neurons, in an upper bound of the loss, in the dual variables, or in two vectors per activation pattern. The review
# follows this idea through five papers, from boosting-like networks {cite}`bengio2005convex` over Frank-Wolfe
# {cite}`daspremont2020global`, a modified objective {cite}`ergen2019convex` and closed forms
# {cite}`ergen2020revealing` to exact convex programs {cite}`pilanci2020neural,ergen2021global`. Each states a theorem
# that a small experiment can refute. One, as the review has it, is refuted, and several of the comparisons that are
# drawn from them do not come back.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.convexnets import activation_patterns, convex_relu_program, relu_networks, to_network

ch = Chapter("11-convex-networks", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# A network with one hidden layer is $f(x) = \int \sigma(\theta^\top x)\, d\mu(\theta)$, linear in the measure $\mu$. With a penalty on
# the mass of $\mu$ the problem is convex, and has a solution with finitely many neurons. For ReLU networks the mass is weight decay
# in disguise: rescaling a neuron so that $\|w_j\| = |a_j|$ turns $\tfrac12(\|W\|^2 + \|a\|^2)$ into $\sum_j \|w_j\||a_j|$. What
# remains is to handle the infinite set of neurons.
#
# ```{prf:theorem} Pilanci and Ergen
# :label: thm-convex-program
# :nonumber:
# Let $D_1, \dots, D_P$ be all activation patterns of $X$. If the width is at least the number of nonzero blocks of a solution of
# the convex program of {doc}`convex-programs`, then that program and the two-layer ReLU network with weight decay have the same
# optimum, and a solution of one gives a solution of the other.
# ```
#
# ## The methods

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("convex network", "all half planes", "linear program, column generation", "global, exact oracle"),
        ("Frank-Wolfe", "all ReLU neurons, norm <= delta", "one neuron per step", "O(1/t), gap"),
        ("modified gradient", "one or a few neurons", "gradient steps", "no lost samples"),
        ("duality", "deep linear; whitened ReLU", "closed form", "global"),
        ("convex program", "two vectors per pattern", "interior point", "global, certified gap"),
    ],
    columns=["method", "unknowns", "how", "guarantee"],
).set_index("method")

# %% [markdown]
# ## In one picture
#
# Ten points on a line (with a constant input), a target, and three fits with the same weight decay: the convex program, whose optimum
# is global, and trained networks with two and with thirty neurons.

# %% mystnb={"figure": {"name": "fig-11-line", "caption": "Ten points (dots) fitted with weight decay 0.02: by the convex program over all patterns, by the median of twenty trained networks of two neurons and by that of thirty neurons; the legend gives the objectives."}, "image": {"alt": "Ten dots on a wave and three piecewise linear curves: program and wide network coincide, the network of two neurons is flat where the wave has its two inner bends."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    t = torch.linspace(-1, 1, 10, dtype=torch.float64)
    X, y = torch.stack([t, torch.ones_like(t)], 1), torch.sin(4 * t)
    program = convex_relu_program(X, y, 0.02, activation_patterns(X))
    grid = torch.linspace(-1.2, 1.2, 241, dtype=torch.float64)
    plane = torch.stack([grid, torch.ones_like(grid)], 1)
    fig, ax = figure(height=3.2)
    ax.plot(t, y, "o", color="0.2", label="data")
    W, a = to_network(program.v, program.u)
    label = f"convex program: {program.objective:.3f}"
    ax.plot(grid, (plane @ W.T).clamp(min=0) @ a, color=PALETTE[0], lw=3, alpha=0.6, label=label)
    for color, m in ((PALETTE[1], 2), (PALETTE[2], 30)):
        W, a, value = relu_networks(X, y, 0.02, m, 20, steps=1500, generator=ch.generator(m))
        k = int(value.argsort()[10])
        fit = (plane @ W[k].T).clamp(min=0) @ a[k]
        ax.plot(grid, fit, "--", color=color, label=f"{m} neurons, trained: {value[k]:.3f}")
    ax.set(xlabel="$t$", ylabel="$f(t)$", ylim=(-1.6, 2.6))
    ax.legend(loc="upper center", ncol=2)

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`convex-nn`: half planes as units, exact and approximate oracles, certificates.
# - {doc}`frank-wolfe`: rate, gap, batches, the number of neurons that are needed.
# - {doc}`relaxation`: the single-neuron objective, the modified gradient, and the counterexample to its convexity.
# - {doc}`duality`: closed forms of deep linear and of whitened ReLU networks against gradient descent.
# - {doc}`convex-programs`: two and three layers, sampled patterns, narrow networks, a proof of near-optimality for one network.
#
# In the library:
#
# ```python
# from litrepro.convexnets import activation_patterns, convex_relu_program, to_network
#
# found = convex_relu_program(X, y, beta=0.1, patterns=activation_patterns(X))   # beta may be a whole path
# W, a = to_network(found.v, found.u)                                            # the optimal network
# ```
#
# ## Errata
#
# What a number can decide is in the ledger: what the relaxation relaxes, the constant of Frank-Wolfe, the last layer of theorem 4,
# residual blocks, the convexity of equation 22. The rest is editorial. Exact half-plane search takes $O(n^2\log n)$ in the plane, not
# $O(n^3)$. Algorithm 1 needs $-Q'$ or an absolute value, algorithm 2 uses the gradient before computing it and picks the sign without
# one. In the stochastic variant the constants of function and gradient are exchanged. Equation 5 is convex in the measure and not in
# the weights. Equation 16 lacks the factor 2 of equation 20. A convex objective has one minimal value, not one minimizer: with fewer
# samples than dimensions the planted neurons do not come back. Equation 25 is twice equation 26; equation 30 needs a half and
# $\beta\|w_2\|_1$; $W_2$ is $m\times K$; under equation 33 it is the projection of $Y$ that is multiplied by $X$. Theorems 1 and 2
# answer equations 34 and 35. $P_1$ counts patterns, not positive signs, and is polynomial in $n$ for fixed rank only. The constraint
# of equation 42 on the second layer needs the signs of the neurons.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# Four of the five ideas stand: networks are convex problems seen from the wrong coordinates, and small ones can be
# solved to a certified optimum. The fifth, a convex objective for several neurons, does not exist in that form; its
# gradient is useful for another reason. The comparisons fare worse: the logistic oracle tests better than the exact
# one with smooth units and joint tuning only, Frank-Wolfe is no faster on the most overparameterized shape than on the
# least, and on CIFAR-10 tuned SGD is ahead of the convex program.
