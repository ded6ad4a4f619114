# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Labels that a network makes for itself
#
# {cite:t}`ding2019adaptive` keep a matrix: row $y$ says which wrong classes the network takes examples of class $y$ for. A residual loss pulls the network's own
# wrong-class distribution towards that row, an update loss pulls the row towards the network,
#
# $$
# L_{res} = -\tfrac1{K-1}\sum_{i\ne y} Q_{yi}\log p^{res}_i ,\qquad L_{upd} = -\tfrac1{K-1}\sum_{i\ne y} p^{res}_i\log Q_{yi} .
# $$
#
# No teacher, no temperature, and, says the review, no parameter to be set by hand: the weight of the residual loss is 1. We vary it.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import numpy as np
import pandas as pd
import torch
from torch import nn

from litrepro import Chapter
from litrepro.distillation import AdaptiveLabels, adaptive_objective, digit_sets, last_values, perceptrons
from litrepro.training import cosine, fit_ensemble

ch = Chapter("15-distillation", notebook="adaptive-labels", profile=profile, seed=seed, full_minutes=4)
n_train = ch.pick(quick=2000, full=20_000, smoke=100)
side = ch.pick(quick=14, full=28, smoke=14)
epochs = ch.pick(quick=40, full=60, smoke=1)
seeds = ch.pick(quick=5, full=5, smoke=2)
batch = ch.pick(quick=100, full=200, smoke=50)
widths = ch.pick(quick=[20, 100], full=[20, 100, 400], smoke=[20, 100])
numbers = list(range(seed, seed + seeds))
plan = [(width, weight) for width in widths for weight in (0.0, 1.0, 10.0) if width > 20 or weight < 10]
K = 10

source = "full" if ch.full and not ch.smoke else "bundled"
train, test = digit_sets(n_train, size=side, source=source, device=ch.device, seed=seed)
options = {"batch_size": batch, "optimizer": "adam", "lr": 4e-3, "schedule": cosine, "epochs": epochs}
options |= {"eval_every": epochs, "evaluate_on": {"test": test}}


class Adaptive(nn.Module):
    """A network and its matrix of residual labels."""

    def __init__(self, width, seed):
        super().__init__()
        self.net = perceptrons(side, width)(seed=seed)
        self.labels = AdaptiveLabels(K)

    def forward(self, x):
        return self.net(x)


def trained(width, weight):
    """Networks of all seeds; weight 0 is plain cross-entropy (the residual and update losses vanish)."""
    return fit_ensemble(
        lambda seed: Adaptive(width, seed), numbers, train, objective=adaptive_objective(weight), vectorize=True, **options
    )  # fmt: skip


found = {(width, weight): trained(width, weight) for width, weight in plan}
parts = [e.history.assign(width=width, weight=weight) for (width, weight), e in found.items()]
runs = pd.concat(parts, ignore_index=True)
ch.save("adaptive-labels", runs.drop(columns="seconds"))
recorded = ch.paper("adaptive-labels")

# %%
last = pd.concat([last_values(part) for part in parts])
wide = last.pivot_table(index="member", columns=["width", "weight"], values="value")
paired = pd.DataFrame({(width, weight): wide[width, weight] - wide[width, 0.0] for width, weight in plan if weight})
table = pd.DataFrame({"gain (points)": 100 * paired.mean(), "s.e.": 100 * paired.sem()}).rename_axis(
    ["hidden units", "weight"]
)
table.round(2)

# %% tags=["nbval-check-output"]
plain = {width: wide[width, 0.0].mean() for width in (20, 100)}  # a rival that fails is easily beaten
helped = [bool(paired[width, 1.0].mean() > 2 * paired[width, 1.0].sem() and plain[width] > 0.8) for width in (20, 100)]
ch.claim(
    "alr-helps",
    value={f"{width} units, weight {weight:g}": 100 * paired[width, weight].mean() for width, weight in paired},
    holds=True if all(helped) else "partly" if any(helped) else False,
)

# %% [markdown]
# ## What the matrix learns
#
# Beside the confusion matrix of the test set (its off-diagonal part, rows scaled to one), mean of five networks of 100 units, weight 1.

# %%
models = found[100, 1.0]
with torch.no_grad():
    learned = torch.stack([models.member(m).labels.matrix for m in range(len(models))]).mean(0).cpu().numpy()
    answers = models(test[0]).argmax(-1).cpu()
truth = test[1].cpu().expand_as(answers)
errors = torch.zeros(K, K).index_put((truth.flatten(), answers.flatten()), torch.ones(answers.numel()), accumulate=True)
errors = errors.fill_diagonal_(0).numpy()
confusion = errors / errors.sum(1, keepdims=True).clip(min=1)
away = ~np.eye(K, dtype=bool)
agreement = np.corrcoef(learned[away], confusion[away])[0, 1]

# %% mystnb={"figure": {"name": "fig-15-adaptive", "caption": "The learned matrix of residual labels, and the confusions of the test set with rows scaled to one. Rows: the true digit."}, "image": {"alt": "Two heat maps of ten by ten with empty diagonals. Bright cells agree: 4 with 9, 3 with 5 and 8, 7 with 9; the learned matrix is softer."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, axes = figure(1, 2, height=3.4)
    top = max(learned.max(), confusion.max())
    for ax, values, name in zip(axes, (learned, confusion), ("learned matrix", "confusions")):
        shown = ax.imshow(np.where(away, values, np.nan), cmap="viridis", vmin=0, vmax=top)
        ax.set(title=name, xlabel="wrong class", ylabel="true class", xticks=range(K), yticks=range(K))
        ax.grid(False)
    fig.colorbar(shown, ax=axes, label="probability", shrink=0.8)

# %% tags=["hide-input"]
pd.DataFrame({"correlation of the two, off the diagonal": [agreement]}).round(2)

# %% [markdown]
# ## Takeaway
#
# Learned residual labels help the wide network by about half a point; for the narrow one no gain can be told. Ten times the
# weight changes little, so in this range the missing parameter is not missed. And the matrix does learn what it is meant to: the confusions of digits that
# the network has not seen.
