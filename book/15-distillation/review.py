# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Knowledge distillation and label smoothing
#
# *A. Desai and A. Chowdhury, Exploring label smoothing regularisation as an alternative to knowledge distillation*
# {cite}`desai2019exploring`
#
# A small network learns better from a large network's probabilities than from the labels. Why? Because the probabilities say which classes resemble
# which, or only because they are soft? The review follows the second answer: if distillation is regularization, then a target made by
# hand may do as well, and the teacher can be dispensed with. Its own table compares five such targets.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("15-distillation", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# Let $z$ be the student's logits, $v$ the teacher's, $y$ the label. **Mimicking** {cite}`ba2014deep` regresses one on the other,
# $\frac12\lVert z-v\rVert^2$. **Distillation** {cite}`hinton2015distilling` compares tempered probabilities,
#
# $$
# L = \alpha\,\mathrm{CE}\big(y, \sigma(z)\big) + (1-\alpha)\,T^2\,\mathrm{CE}\big(\sigma(v/T), \sigma(z/T)\big),
# \qquad \sigma = \mathrm{softmax} .
# $$
#
# ```{prf:theorem} High temperature
# :label: thm-15-limit
# :nonumber:
# For centred logits, $\sum_i z_i=\sum_i v_i=0$, and $N$ classes, the gradient of the second cross-entropy satisfies
# $T^2\,\partial C/\partial z \to (z-v)/N$ as $T\to\infty$, with a relative error of order $1/T$: distillation becomes mimicking.
# ```
#
# **Label smoothing** {cite}`szegedy2016rethinking` replaces the label $e_y$ by $(1-\epsilon)e_y + \epsilon u$. Its loss is
#
# $$
# (1-\epsilon)\,\mathrm{CE}(y, p) + \epsilon\,\mathrm{KL}(u \,\|\, p) + \text{const},
# $$
#
# which is distillation at $T=1$ from a teacher who always answers $u$. From this comes the thesis {cite}`yuan2020revisiting`: distillation is smoothing
# with a learned $u$, smoothing is distillation from an ignorant teacher. The evidence: poor teachers help (De-KD), small teachers help large
# students (Re-KD), a network can teach itself (self-KD), and so can a made-up distribution (virtual-KD).
#
# Against it stands that smoothed networks are bad teachers {cite}`muller2019when`, because their examples cluster, and that students can learn of classes that
# they never saw. Between teacher and student there may be a gap to bridge {cite}`mirzadeh2020improved`, and a network can
# learn its own residual labels {cite}`ding2019adaptive`.
#
# ```python
# from litrepro.distillation import distill, geometric_profile, ranked_targets, regularized_loss
# from litrepro.nets import resnet18, shufflenetv2
#
# history = distill(shufflenetv2(), teacher, (x, y), alpha=0.1, temperature=4.0, epochs=60)     # alpha: hard labels
# targets = ranked_targets(y, scores, geometric_profile(10, 0.99))                             # (n, 10), no teacher
# loss = regularized_loss(logits, y, targets, alpha=0.9)                                       # alpha: soft targets
# ```

# %% tags=["hide-input"]
methods = [
    ("mimicking", "match logits", "mimic_loss"),
    ("distillation", "match tempered probabilities", "distillation_loss, distill"),
    ("teacher assistants", "distil along a chain", "distill_chain"),
    ("label smoothing", "mix with a fixed distribution", "smooth_labels, regularized_loss"),
    ("virtual teacher", "a peak, the rest even", "uniform_targets"),
    ("geometric, reduced gap", "a profile over ranked classes", "ranked_targets, geometric_profile, gap_profile"),
    ("adaptive labels", "learn a row of wrong classes per class", "AdaptiveLabels"),
    ("seeds x kinds of targets", "one batched training, paired gains", "train_students, paired_gains"),
]
pd.DataFrame(methods, columns=["method", "idea", "in the library"]).set_index("method")

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`loss-identities`: the limit to machine precision, smoothing as distillation, the stationary point, variance of gradients.
# - {doc}`targets`: table 3 with seeds and error bars, two controls, and a plane on which regularizers and dark knowledge part.
# - {doc}`dark-knowledge`: a class that the student never saw, little data, noisy labels; a target behind a slider.
# - {doc}`teacher-size`: large, small and poor teachers, assistants, weight and temperature.
# - {doc}`label-smoothing`: clusters in the penultimate layer, information in the logits, students of smoothed teachers.
# - {doc}`adaptive-labels`: a matrix of residual labels.
#
# The review's numbers are for CIFAR-10 and CIFAR-100 with deep networks. Claims on these tables are judged by recorded
# runs of such networks, on 10,000 images of CIFAR-10 ({doc}`targets`). What is said in general is judged on digits
# where they can tell, with perceptrons, over five paired seeds, most of them with a sample of digits for every seed.
# Training time matters throughout: a teacher's answers take longer to fit, and after 20 epochs distillation loses
# nearly everywhere that it wins after 100.
#
# Full runs on MNIST itself are recorded for {doc}`dark-knowledge`, {doc}`teacher-size`, {doc}`label-smoothing` and
# {doc}`adaptive-labels`, and shown there beside or below the quick ones. What five samples of a thousand digits cannot
# settle is judged by them. Three things turn in the review's favour at full scale: little weight on the labels is best,
# the information in smoothed logits clearly falls, and smoothed teachers are clearly the worse ones; and the teacher's
# size at last stops helping. Two turn against it: soft targets with little data (in both recorded settings of weight
# and temperature, but for one of them at a hundred digits), and distilled assistants.
#
# ## Errata
#
# Six are claims in the ledger: the stationary point of the composite loss belongs to another loss; its soft part contains another softmax than its
# hard part; smoothing leaves a part of $\epsilon$ on the true class; the geometric target with peak 0.99 is nearly one-hot and not smooth; $\alpha$
# changes sides between sections; the 14 errors are among 1,010 threes.
#
# Of virtual-KD the review says that it becomes label smoothing as $T$ grows; that depends on whether the student is tempered, and is a claim by itself. The
# normalization $\sum_j$ of the tempered softmax runs over $j$, and the update of the residual matrix uses the predictions of each
# example's class, not "of a mini-batch".
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# As formulas both halves of the thesis stand: high temperature is mimicking, label smoothing is distillation from a teacher who knows nothing. As an explanation
# regularization is half of the story. On digits soft targets without any similarity help, but the teacher's help more, shuffled ones do not, and a
# student recognizes threes that it never saw. Some of what teachers pass on there is only what they had: shifted copies, and an early stop before noise is learned, serve a student
# of hard labels as well. Poor and small teachers, the review's main witnesses, do not help here, at either scale, with nine tenths of
# the weight on their answers; at one tenth a teacher who knows nothing is label smoothing, which helps. The review's own table, differences of tenths of
# a point between single runs, needs seeds before it can be read.
