# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Adversarial examples and certified defenses
#
# *M. Ding and W. Wu, Adversarial machine learning and certified defenses against adversarial examples*
# {cite}`ding2020adversarial`
#
# Images that differ from a correctly classified one by less than the eye notices, and are classified as something else
# {cite}`szegedy2013intriguing`: is there a defense that holds against every attack of a given size, including those not
# yet invented? The review sorts the literature by one question, how the inner maximum of a min-max problem is handled, and has no
# experiments. This chapter runs nearly all of its methods, on small networks. Where they are small enough, the exact
# answer stands beside them.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("17-certified-defenses", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# Robust training is
#
# $$
# \min_\theta\ \frac1n \sum_{i} \max_{\lVert\delta\rVert\le\epsilon} \ell\big(h_\theta(x_i+\delta), y_i\big) .
# $$
#
# The inner maximum has no closed form, and three answers. From **below**, an attack: whatever perturbation a search finds.
# **Exactly**, a mixed-integer program: one binary variable for every unit whose sign is open. From **above**, a certificate: the
# maximum over a larger, convex set. An attack shows that a network is not robust and never that it is; a certificate the
# other way round.
#
# ```{prf:theorem} Interval bounds
# :label: thm-17-intervals
# :nonumber:
# If $l \le z \le u$, then $W z + b$ lies within $W\frac{l+u}2 + b \pm |W|\frac{u-l}2$. Layer by layer this bounds every
# unit, and for $c = W_d^\top(e_y - e_j)$ the margin $f_y - f_j$ is at least
# $\max(c,0)^\top l + \min(c,0)^\top u + b_y - b_j$ on the box of the last hidden layer.
# ```
#
# Tighter is the triangle: a unit with $l<0<u$ lies above $0$ and $z$ and below the chord. That is a linear program, whose dual can be
# written as one backward pass {cite}`wong2018provable`; no choice within this family gets past the program's value
# {cite}`salman2019barrier`. For one hidden layer there is a semidefinite program {cite}`raghunathan2018certified`.
#
# In the library all examples, classes and restarts are entries of one batch:
#
# ```python
# from litrepro.robustness import dual_margins, exact_margins, ibp_margins, pgd
#
# adversarial = pgd(model, x, y, eps=0.1, restarts=5)            # x: (n, *shape)
# low = ibp_margins(model, x, y, 0.1)                            # (n, K): lower bounds of f_y - f_j
# better = dual_margins(model, x, y, 0.1, steps=150)             # slopes optimized per example, class and unit
# truth = exact_margins(model, x, y, 0.1).margin
# ```

# %% tags=["hide-input"]
methods = [
    ("FGSM", "below", "one signed gradient step", "fgsm"),
    ("PGD", "below", "projected steps, three norms, restarts", "pgd"),
    ("DeepFool, Carlini-Wagner", "below", "the smallest change", "deepfool, carlini_wagner"),
    ("mixed-integer program", "exact", "a binary variable per unstable unit", "exact_margins"),
    ("enumeration of patterns", "exact", "a linear program per pattern, tiny networks", "activation_pattern_minimum"),
    ("interval bounds", "above", "centre and radius of every layer", "ibp_margins"),
    ("triangle relaxation", "above", "a linear program", "lp_margins"),
    ("its dual", "above", "one backward pass, slopes fixed or optimized", "dual_margins"),
    ("semidefinite program", "above", "gradient norm of one hidden layer", "sdp_margins"),
    ("adversarial, interval training", "below, above", "stacks of seeds, radii and schedules", "train_robust"),
]
pd.DataFrame(methods, columns=["method", "bound", "how", "in the library"]).set_index("method")

# %% [markdown]
# The attacks are those of {cite:t}`goodfellow2014explaining` (FGSM), {cite:t}`madry2017towards` (PGD),
# {cite:t}`moosavi2016deepfool` and {cite:t}`carlini2017towards`; black-box attacks were shown by
# {cite:t}`papernot2017practical`. Exact programs are those of {cite:t}`tjeng2017evaluating` and {cite:t}`cheng2017maximum`;
# solvers over theories {cite}`katz2017reluplex,huang2017safety` are represented by plain enumeration. Interval training is that of
# {cite:t}`gowal2018effectiveness`, optimized slopes those of {cite:t}`xu2021fast`. The papers on
# distillation {cite}`papernot2016distillation` and on ensembles {cite}`tramer2017ensemble` as defenses are only cited
# in the review. Poisoning, inversion and extraction of models it mentions as other attacks. None of these is run here.
#
# ## What is checked, and where
#
# - {doc}`attacks`: are adversarial perturbations special, do they transfer, what do iterations and momentum add?
# - {doc}`certificates`: the ladder from intervals to the exact value, image by image; Danskin's theorem; prices.
# - {doc}`sdp`: the semidefinite certificate, corrected, and training with it; all bounds beside each other on every test image.
# - {doc}`training`: training on lower and upper bounds, catastrophic overfitting, schedules.
#
# ## Errata
#
# Five can be told by a number and are claims in the ledger: the SDP matrix pairs its linear term with the wrong block, so that the
# printed certificate is invalid; parentheses are missing in the SDP objective; trivial bounds are $[-10^{100},
# 10^{100}]$; the bias of the last layer is counted twice; and Danskin's gradient needs a unique maximizer.
#
# The rest is editorial. The relaxed objective is $\langle M, P\rangle$, not $\langle M, yy^\top\rangle$, and a "$\le$" is missing after the integral
# form. In the inner maximum the $\delta$ is missing and the ball is closed. The two-layer certificate comes from
# {cite:t}`raghunathan2018certified`, not from the paper on interval bounds. DeepFool is not a variant of PGD: it linearizes all
# class boundaries. The exchange of maximum and minimum is conic duality, not that of linear programs, and $\lambda_{\max}$ does not
# increase in $c$, it need not decrease.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# As a map of bounds the review stands: on every image that we tried, interval, program, exact value and attack come in that order, and
# its warnings (transfer, black boxes, one-step training, schedules) hold. What does not stand is the
# formula at its heart: the printed semidefinite matrix gives "bounds" below the truth.
