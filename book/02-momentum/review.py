# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Momentum in stochastic methods
#
# *B. Geordie and W. Wu, The use of momentum in stochastic methods, 2020* {cite}`geordie2020momentum`
#
# Optimizers of neural networks come with their own notation, which hides how much they share. The review writes eight of
# them as instances of one scheme and uses it to trace what each has borrowed from momentum. It then trains a small
# network on the iris flowers with seven of them, and ends with two methods that hold momentum back.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter
from litrepro.optim import RULES, first_weights, rule

ch = Chapter("02-momentum", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The framework
#
# At step $t$, element by element:
#
# $$
# \begin{gathered}
# g_t = \nabla \ell(\zeta_t), \qquad m_t = \phi(g_1, \dots, g_t), \\
# V_t = \psi(g_1^2, \dots, g_t^2), \qquad w_{t+1} = w_t - \frac{\alpha}{\sqrt{V_t}}\, m_t .
# \end{gathered}
# $$
#
# Four choices make a method: where the gradient is taken ($\zeta$), how gradients become a first moment ($\phi$), how
# their squares become a second one ($\psi$), and what happens to the step. In the library a method *is* these choices:
#
# ```python
# from litrepro.optim import descend, rule
#
# path = descend(fun, x0, rule("adam", beta1=0.95), lr=0.01, steps=500)   # fun: (..., d) -> (...), all trials at once
# ```
#
# and `litrepro.optim.Uniform` is the same as a `torch.optim.Optimizer`, for one network or for an ensemble with a step
# size per member.

# %% tags=["hide-input"]
moments = {"gradient": "g_t", "sum": "decaying sum", "average": "moving average"}
squares = {"one": "1", "sum": "sum of squares", "average": "average of squares", "max": "decaying maximum"}
rows = []
for name in RULES:
    r = rule(name, **({"total_steps": 100} if name == "demon" else {}))
    extra = [
        f"beta1 {r.beta1:g}" * (r.first != "gradient"),
        f"beta2 {r.beta2:g}" * (r.second in ("average", "max")),
        f"nu {r.nu:g}" * (r.nu < 1),
        "debiased" * r.debias,
        "step in units of w" * r.delta,
        "beta1 decays" * (r.total_steps is not None),
    ]
    point = "w - lr beta1 m" if r.lookahead else "w, mixed ahead" if r.nesterov else "w"
    rows.append((name, point, moments[r.first], squares[r.second], ", ".join(filter(None, extra))))
pd.DataFrame(rows, columns=["method", "gradient at", "first moment", "second moment", "else"]).set_index("method")

# %% [markdown]
# The methods come from {cite:t}`qian1999momentum` and {cite:t}`rumelhart1986learning` (momentum),
# {cite:t}`nesterov1983method`, {cite:t}`duchi2011adaptive` (AdaGrad), {cite:t}`zeiler2012adadelta` (AdaDelta),
# {cite:t}`tieleman2012lecture` (RMSProp), {cite:t}`kingma2014adam` (Adam, AdaMax), {cite:t}`dozat2016incorporating`
# (NAdam), {cite:t}`ma2018quasi` (QHM) and {cite:t}`chen2019decaying` (DEMON); {cite:t}`ruder2016overview` surveys most
# of them. That no optimizer suits every problem is the review's reading of {cite:t}`wilson2017marginal`, who find that
# adaptive methods can generalize worse; how momentum behaves with noise is analysed by
# {cite:t}`gitman2019understanding`, {cite:t}`kidambi2018insufficiency`, {cite:t}`loizou2017linearly` and
# {cite:t}`liu2020improved`.
#
# ## What each method borrows
#
# AdaGrad collects past gradients as momentum does, but squared, and uses the collection to slow coordinates down rather
# than to speed them up. RMSProp and AdaDelta add momentum's exponential forgetting. Adam adds momentum itself. The
# figure shows the shared ingredient: how much a gradient still counts when it is some steps old.

# %% mystnb={"figure": {"name": "fig-02-heat", "caption": "Weight of the gradient of step i in the first moment of step t (logarithmic colours). Columns of a decaying sum and of an average fade alike; debiasing lifts the first rows; DEMON's memory shortens to the last gradient as the run ends."}, "image": {"alt": "Four triangular heat maps over step t and gradient index i. In the first three the weight decays with distance from the diagonal; in DEMON's map the band narrows to the diagonal at the last steps."}} tags=["hide-input"]
if ch.plots:
    import torch
    from matplotlib.colors import LogNorm

    from litrepro.plotting import SEQUENTIAL, figure

    shown = {
        "sum": rule("heavy-ball"),
        "average": rule("sgdm"),
        "debiased": rule("adam"),
        "DEMON": rule("demon", total_steps=40),
    }
    fig, axes = figure(2, 2, height=2.9, sharex=True, sharey=True)
    for ax, (label, r) in zip(axes.flat, shown.items()):
        table = torch.zeros(40, 40)
        for t in range(1, 41):
            table[t - 1, :t] = first_weights(r, t)
        mesh = ax.imshow(
            table.clamp(min=1e-12),
            cmap=SEQUENTIAL,
            norm=LogNorm(1e-3, 1),
            origin="lower",
            extent=(0.5, 40.5, 0.5, 40.5),
        )
        ax.set_title(label)
        ax.grid(False)
    for ax in axes[-1]:
        ax.set_xlabel("gradient i")
    for ax in axes[:, 0]:
        ax.set_ylabel("step t")
    fig.colorbar(mesh, ax=axes, label="weight", shrink=0.8)

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`iris` repeats the review's experiment over step sizes and seeds, and judges its four observations.
# - {doc}`role-of-momentum` checks the formulas, the statements about sparse data, noise and long memories, and the two
#   methods that curb momentum.
#
# ## Errata
#
# Five formulas can be told from the right ones by a number; each is a claim in the ledger below. The rest is editorial:
# the notation list swaps multiplication and division, DEMON is given in the averaged form of SGDM although its authors
# decay the undamped sum (in the library: `rule("demon", first="sum", total_steps=T)`), and the second author of DEMON
# is A. Kyrillidis.
#
# Where PyTorch differs from the formulas here: its SGD with dampening does not damp the first step, its NAdam warms its
# momentum up, and its Adamax adds $\epsilon$ inside the maximum.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# As a map the framework is right, and useful: twelve methods are twelve rows of a table. As evidence the experiment is
# thin. One run per optimizer at unstated step sizes cannot rank optimizers, and when it is repeated over seeds and step
# sizes half of what was read off its curves changes.
