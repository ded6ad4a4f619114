# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Non-convex optimization
#
# A chapter on V. Cevher's lecture {cite:p}`cevher2018nonconvex`. It walks from linear classifiers to the training of
# networks: what networks can represent, why their risk is not convex, how its gradient is computed, what stochastic
# gradients guarantee, which obstacles there are (saddle points, ill-conditioning), and which methods meet them, up to one
# formula that contains them all. It closes with remarks from experience: wide networks generalize, sharp minima may not,
# adaptive methods may not either. The textbook behind it is {cite:t}`goodfellow2016deep`.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("01-nonconvex-optimization", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# **Represent.** Linear classifiers fail on rings; a lift or a kernel repairs that by hand, a hidden layer by learning.
# One hidden layer approximates every continuous function, with any activation that is not a polynomial
# {cite}`cybenko1989approximation,leshno1993multilayer`, but perhaps with very many units, and depth can save
# exponentially many {cite}`telgarsky2016benefits`. *Checked in* {doc}`approximation`.
#
# **Minimize.** The empirical risk of a network is not convex, not even with two weights and no activation. It has
# plateaus, local minima, saddle points and long valleys {cite}`haeffele2017global`. *Checked in* {doc}`landscape`.
#
# **Differentiate.** The gradient comes from one backward sweep whose cost is that of a few forward passes.
# *Checked in* {doc}`backpropagation`.
#
# **Descend.** SGD makes the average squared gradient vanish like $1/\sqrt N$ {cite}`bernstein2018signsgd`; noise leaves strict
# saddles {cite}`ge2015escaping`; momentum and adaptive steps {cite}`duchi2011adaptive,tieleman2012lecture,kingma2014adam`
# fit into one recursion {cite}`wilson2017marginal`. *Checked in* {doc}`optimizers`; continued in
# {doc}`../02-momentum/review` and {doc}`../03-escaping-saddle-points/review`.
#
# **Generalize.** Test error falls with the width although the training error is zero {cite}`neyshabur2017geometry`;
# flat minima should generalize better than sharp ones {cite}`keskar2016large`, and adaptive methods tend to end in
# sharp ones; sharpness is not invariant {cite}`dinh2017sharp`; adaptive methods can generalize worse
# {cite}`wilson2017marginal`. *Checked in* {doc}`generalization` and {doc}`at-scale`.
#
# ## Three obstacles, three answers
#
# The lecture pairs them, and each pair has a limit that the notebooks make visible.

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("many dimensions", "first-order methods", "forward and backward together cost three forward passes"),
        (
            "non-convexity",
            "stochasticity and momentum",
            "leave strict saddles, not every poor minimum",
        ),
        ("ill-conditioning", "adaptive steps", "cures it along the axes and not across them"),
    ],
    columns=["obstacle", "answer", "what was found"],
).set_index("obstacle")

# %% [markdown]
# ## The uniform framework, corrected
#
# $$\theta_{t+1} = \theta_t - \alpha_t H_t^{-1} g_t + \beta_t H_t^{-1}H_{t-1}(\theta_t - \theta_{t-1})$$
#
# $$G_t = a_t G_{t-1} + b_t\, g_t\odot g_t, \qquad H_t = \sqrt{G_t} + \delta, \qquad q_t = \gamma_t/\gamma_{t-1}$$
#
# A moving average of the gradient (SGDM) is added to the lecture's five columns. The factors $q_t$ and $1-\beta_2^{t-1}$
# are ours: without them the recursion is not the method.

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("SGD", "γ", "0", "1", "0"),
        ("heavy ball", "γ", "ρ q", "1", "0"),
        ("SGDM", "γ (1 - β₁)", "β₁ q", "1", "0"),
        ("AdaGrad", "γ", "0", "1", "1"),
        ("RMSProp", "γ", "0", "τ", "1 - τ"),
        ("Adam", "γ (1 - β₁) / B₁(t)", "q β₁ B₁(t-1) / B₁(t)", "β₂ B₂(t-1) / B₂(t)", "(1 - β₂) / B₂(t)"),
    ],
    columns=["method", "α", "β", "a", "b"],
).set_index("method")

# %% [markdown]
# with $B_i(t) = 1 - \beta_i^t$. For methods without second moment $H = 1$.
#
# ## Errata
#
# Five are claims of the ledger, because a number decides them: the bound (12) on SGD, Adam's $G_t$, the factor $q_t$, the
# rule for saddles, and the cost of bias gradients. The others are slips of notation: $W$ of a hidden layer is $m\times d$;
# the unit cube $I_n$ is $n$-dimensional; $b_1 \in \mathbb R^h$; (9) is an inequality; continuity makes local boundedness
# superfluous in the theorem on activations; and "converges to a critical point" says more than the theorem on SGD, in
# which the average squared gradient vanishes.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The mathematics of the lecture stands, up to two formulas that would break an implementation. Its remarks from experience
# need a second look: the one on width holds, those on sharpness and adaptivity depend on the step sizes compared.
