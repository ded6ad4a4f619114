# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How robust are second-order methods to the learning rate?
#
# The review's thesis: what second-order methods buy is not final accuracy but robustness to the learning rate. Its evidence is one table of translation
# scores, in which AdamW collapses at five times its rate and AdaHessian does not. Such a table depends on its first column: if AdamW's
# base rate sits just below its cliff, and AdaHessian's does not, the table says more about the base rates than about the optimizers.
# We therefore measure the *width*, in decades, of the interval of rates in which an optimizer is nearly as good as at its own best.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import warnings
from functools import partial

import numpy as np
import pandas as pd

from litrepro import Chapter, ConvergenceWarning
from litrepro.secondorder import (
    breast_cancer_problem,
    digits_problem,
    rate_width,
    seismic_survey,
    sweep_rates,
    tomography_problem,
)

ch = Chapter("05-second-order", notebook="robustness", profile=profile, seed=seed, full_minutes=8)
n_seeds = ch.pick(quick=5, full=20, smoke=2)
ch.require(n_seeds > 1, "n_seeds must be at least 2: the seeds are resampled")
resamples = ch.pick(quick=1000, full=2000, smoke=50)
warnings.simplefilter("ignore", ConvergenceWarning)  # divergence at large rates is the subject

# %% [markdown]
# ## Set-up
#
# Digits with a tanh perceptron 64-64-64-10, five epochs of batches of 32. Tanh, because in a ReLU network the curvature within a layer
# is zero almost everywhere. First a logarithmic grid of rates, whose best mean accuracy defines each optimizer's base rate; then the published
# multiples of that base, and 10 and 20 times it. Four rates at a time, with all seeds, are one stacked run. Epochs, batches and initial weights are the same
# for all; AdamW and AdaHessian have weight decay 0.01, SGD has momentum 0.9. The decay is decoupled, that is, multiplied by the rate: where an
# optimizer works at larger rates, as AdaHessian does, the same 0.01 shrinks the weights more, and SGD and SQGN have none. Part of what
# limits AdaHessian's rates may therefore be its decay.


# %%
def matrix(frame):
    """(rates, scores (R, S)); a diverged run has the score -inf."""
    table = frame.pivot_table(index="lr", columns="seed", values="score", dropna=False)
    return table.index.to_numpy(), table.to_numpy()


def geometric(low, high, per_decade=4):
    """Rates from low to high, evenly spaced in their logarithm."""
    count = round(per_decade * np.log10(high / low)) + 1
    return [float(rate) for rate in np.geomspace(low, high, count)]


# %%
names = {"sgd": "SGD", "adamw": "AdamW", "adahessian": "AdaHessian", "sqgn": "SQGN"}
decays = {"sgd": {}, "adamw": {"weight_decay": 0.01}, "adahessian": {"weight_decay": 0.01}, "sqgn": {}}
seeds = list(range(n_seeds))
digits = digits_problem(device=ch.device)
top = None if ch.full else 8  # what is far above the base is looked at below
grids = {
    "sgd": geometric(3e-3, 1.0)[:top],
    "adamw": geometric(3e-4, 0.1)[:top],
    "adahessian": geometric(0.01, 3.0)[:top],
    "sqgn": geometric(1e-3, 0.3)[:top],
}


def on_digits(method, rates):
    """Every rate from every seed on digits, four rates a stack."""
    return sweep_rates(method, digits, rates, seeds, epochs=5, batch=32, chunk=4, **decays[method])


coarse = pd.concat([on_digits(method, grids[method]) for method in ch.progress(names, "rates")])

# %%
scales = [0.5, 1, 2, 3, 4, 5, 10, 20]
base = {method: rate_width(*matrix(coarse[coarse.method == method]), tolerance=0.02)["best_rate"] for method in names}
scaled = ("adamw", "adahessian", "sgd")
multiples = pd.concat([on_digits(method, [base[method] * scale for scale in scales]) for method in scaled])
steps = multiples.lr / multiples.method.map(base)
multiples["scale"] = [scales[int(np.argmin(np.abs(np.array(scales) - step)))] for step in steps]

# %% [markdown]
# ## The table, with error bars
#
# Test accuracy (percent, mean and standard error over seeds) when the rate is a multiple of each optimizer's own best rate. The
# review's rows for translation read: AdamW 35.48, 35.60, 35.28, 34.78, 13.75, 0.50; AdaHessian 35.36, 35.87, 35.12, 34.95, 34.11, 33.32 (BLEU at 0.5
# to 5).

# %% tags=["hide-input"]
cells = multiples.groupby(["method", "scale"]).score.agg(["mean", "sem"]) * 100
entry = lambda m, scale: "{:.1f} ± {:.1f}".format(*cells.loc[(m, scale), ["mean", "sem"]])  # noqa: E731
pd.DataFrame(
    {f"x {scale:g}": [entry(m, scale) for m in scaled] for scale in scales},
    index=[f"{names[m]} ({base[m]:.3g})" for m in scaled],
)

# %%
runs = pd.concat([coarse, multiples.drop(columns="scale")])
both = runs.groupby(["problem", "method", "lr", "seed"], as_index=False).mean()


def width_of(frame, tolerance):
    """Width of the interval of good rates, in decades, with the ends of its bootstrap interval."""
    return rate_width(*matrix(frame), tolerance=tolerance, bootstrap=resamples, seed=seed)


widths = {("digits", method): width_of(both[both.method == method], 0.02) for method in names}


def wider(one, other):
    """Whether an interval of rates is wider than another beyond the 95% bootstrap intervals of both widths."""
    return bool(one["low"] > other["high"])


# %%
# Optimizers that learn nothing at any rate would have equal intervals, and so would scores that do not fall with it.
works = all(
    widths["digits", method]["best"] > 0.8
    and widths["digits", method]["censored"] == 0
    and cells.loc[(method, 20), "mean"] < 50
    for method in ("adamw", "adahessian")
)
ch.require(works, f"the sweeps of rates show no interval: {widths}")
collapse = {
    method: cells.loc[(method, 5), "mean"] - cells.loc[(method, 1), "mean"] for method in ("adamw", "adahessian")
}

# %% tags=["nbval-check-output"]
ch.claim(
    "lr-robustness",
    value={names[m]: [widths["digits", m][key] for key in ("width", "low", "high")] for m in scaled}
    | {"points lost at x 5": {names[m]: -value for m, value in collapse.items()}},
    holds=wider(widths["digits", "adahessian"], widths["digits", "adamw"]),
)

# %% mystnb={"figure": {"name": "fig-05-rates", "caption": "Test accuracy on digits against the rate divided by each optimizer's own best rate; mean and two standard errors over five seeds. The grey band is within 0.02 of the highest accuracy of all four."}, "image": {"alt": "Four curves on a logarithmic axis, rising slowly up to one and falling right of it. SQGN falls first, with a wide band, then SGD and AdaHessian between two and six times the best rate, AdamW last, at ten times."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, curves, figure

    shown = both.assign(relative=[r.lr / base[r.method] for r in both.itertuples()])
    fig, ax = figure()
    curves(shown, "relative", "score", "method", ax=ax, order=list(names), labels=names, logx=True, markers=True)
    top = max(widths["digits", method]["best"] for method in names)
    ax.axhspan(top - 0.02, top, color="0.85", zorder=0)
    ax.set(xlabel="learning rate / own best rate", ylabel="test accuracy", xlim=(0.01, 100))
    ax.legend()

# %% [markdown]
# Neither AdamW nor AdaHessian survives a factor of twenty, and AdaHessian is not the more robust of the two. Nor should one read more than that from such a row:
# left of their cliffs the curves are flat, so that chance decides which of several equally good rates is called the best, and every multiple moves with
# it. The width of the interval does not depend on that choice. Its bootstrap intervals are wide all the same: five seeds say little about where
# a mean falls by 0.02.
#
# ## Three problems, four optimizers
#
# One problem is one problem. The same measurement, with three rates per decade, on softmax regression for the breast-cancer data (ten epochs,
# no weight decay for anyone; convex and nearly separable, so that large rates do no harm) and on a small version of the seismic inversion of {doc}`quasi-gauss-newton` (200 models, 16
# hidden units, 20 epochs; the score is minus the logarithm of the held-out RMS error, so that a tolerance of 0.02 is 2 %). Intervals are from 1,000
# bootstrap resamples of the seeds.

# %%
cancer = breast_cancer_problem(device=ch.device)
survey = seismic_survey(ch.pick(quick=240, full=2000, smoke=30), device=ch.device, seed=seed + 1)
tomography = tomography_problem(survey, len(survey.velocity) * 5 // 6, hidden=ch.pick(quick=16, full=48, smoke=24))
tasks = [
    (cancer, 10, 32, {"sgd": (1e-3, 100), "adamw": (3e-4, 30), "adahessian": (1e-3, 100), "sqgn": (1e-3, 3)}),
    (tomography, 20, 50, {"sgd": (1e-4, 3e-3), "adamw": (1e-4, 3e-3), "adahessian": (3e-3, 0.1), "sqgn": (0.03, 3)}),
]
per_decade = ch.pick(quick=3, full=4, smoke=1)

# %%
frames = [both]
for problem, epochs, batch, ranges in ch.progress(tasks, "problems"):
    for method, (low, high) in ranges.items():
        rates, chunk = geometric(low, high, per_decade), 5 if problem is tomography else None
        decay = {} if problem is cancer else decays[method]  # nothing but a decay would limit the rates there
        frame = sweep_rates(method, problem, rates, seeds, epochs=epochs, batch=batch, chunk=chunk, **decay)
        frames.append(frame)
        widths[problem.name, method] = width_of(frame, 0.02)
everything = pd.concat(frames)

# %%
rows = [
    {"problem": name, "method": names[method], **{key: found[key] for key in ("best_rate", "best", "width", "low", "high")},
     "open ends": found["censored"]}
    for (name, method), found in widths.items()
]  # fmt: skip
forest = pd.DataFrame(rows)

# %% [markdown]
# Best rate and best mean score of every optimizer, the width of its interval in decades with the 2.5 % and 97.5 % points of the bootstrap (low, high), and how many of
# the interval's two ends are those of the grid.

# %% tags=["hide-input"]
shown = forest.set_index(["problem", "method"])
for name in shown.columns.drop("open ends"):
    shown[name] = shown[name].map(
        ("{:.2g}" if name == "best_rate" else "{:.3f}" if name == "best" else "{:.2f}").format
    )
shown.rename(columns={"best_rate": "best rate"})

# %% mystnb={"figure": {"name": "fig-05-forest", "caption": "Width, in decades of the learning rate, of the interval in which the mean score is within 0.02 of the optimizer's best (2% of the RMS error for tomography), with 95% bootstrap intervals over seeds. Hollow: the interval reaches the end of the grid, so that the width is a lower bound."}, "image": {"alt": "Three groups of four dots with horizontal error bars: on digits, breast cancer and tomography. In no group do AdaHessian and SQGN both lie right of AdamW and SGD."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=4.0)
    for row, r in enumerate(forest.to_dict("records")):
        place = row + row // 4
        color = PALETTE[list(names.values()).index(r["method"])]
        error = [[max(r["width"] - r["low"], 0)], [max(r["high"] - r["width"], 0)]]
        face = "white" if r["open ends"] else color
        ax.errorbar(r["width"], place, xerr=error, fmt="o", color=color, mfc=face, capsize=3)
    places = [row + row // 4 for row in range(len(forest))]
    ax.set_yticks(places, [f"{r.problem}: {r.method}" for r in forest.itertuples()])
    ax.invert_yaxis()
    ax.set(xlabel="width of the good interval (decades)", xlim=(0, None))

# %%
bounded = all(found["censored"] < 2 for found in widths.values())  # none is as wide as its grid
good = all(found["best"] > {"digits": 0.8, "breast cancer": 0.9}.get(name, 0) for (name, _), found in widths.items())
ch.require(bounded and good, f"an optimizer did not learn, or its rate did not matter: {widths}")
wins, gains = {}, {}
for name in ("digits", "tomography"):  # on breast cancer no rate of the grids does harm
    first = max((widths[name, method] for method in ("sgd", "adamw")), key=lambda found: found["width"])
    second = max((widths[name, method] for method in ("adahessian", "sqgn")), key=lambda found: found["width"])
    gains[name], wins[name] = second["width"] - first["width"], wider(second, first)

# %% tags=["nbval-check-output"]
ch.claim(
    "robustness-is-the-advantage",
    value=gains,
    holds=all(wins.values()) or ("partly" if any(wins.values()) else False),
)

# %%
recorded = ch.table(
    "lr-robustness",
    everything.assign(score=everything.score.clip(lower=-1e3), train_loss=everything.train_loss.clip(upper=1e9)),
)

# %% [markdown]
# On digits the widest interval is that of a first-order method. On tomography it is AdamW's, though five seeds do not tell: the bootstrap interval of
# SQGN's width, from 0.3 to 0.7 decades, overlaps AdamW's, from 0.45 to 0.7. On breast cancer nothing is decided: without decay no optimizer collapses up to the end of its grid. At
# the largest rates all have accuracies of 0.95 to 0.97, about 0.02 below the best, which is the tolerance, and chance decides where an interval ends.
#
# ## On a transformer
#
# The published table is for a transformer. At full scale: four layers of width 128 on tiny Shakespeare, 1,000 steps on batches of 16 windows of 64
# characters, four seeds, three rates per decade over two and a half decades for AdamW and AdaHessian, both with weight decay 0.01. The claims are judged
# on the recorded table; without one they are open.

# %%
size = ch.pick(
    quick={}, full={"context": 64, "width": 128, "layers": 4, "train": 16_000, "test": 500},
    smoke={"context": 16, "width": 16, "layers": 1, "train": 32, "test": 8},
)  # fmt: skip
members = list(range(ch.pick(quick=1, full=4, smoke=2)))
ranges = {"adamw": (1e-4, 3e-2), "adahessian": (3e-3, 1.0)}


def transformer_runs(problem, method, rate):
    """All seeds of one optimizer at one rate, as one stack; a diverged run gets the score -1000."""
    frame = sweep_rates(method, problem, [rate], members, epochs=1, batch=16, evaluate_rows=500, **decays[method])
    clipped = {"score": frame.score.fillna(-1e3).clip(lower=-1e3), "train_loss": frame.train_loss.fillna(1e9)}
    return frame.assign(**clipped)


# %%
if ch.full:
    from litrepro.data import tiny_shakespeare
    from litrepro.secondorder import character_problem

    shakespeare = character_problem(tiny_shakespeare(), device=ch.device, **size)
    runs = [
        ch.kept(f"{method}-{rate:.2g}", partial(transformer_runs, shakespeare, method, rate))
        for method, ends in ranges.items()
        for rate in geometric(*ends, 3)[: 2 if ch.smoke else None]
    ]
    ch.save("transformer-rates", pd.concat(runs, ignore_index=True))
transformer = ch.paper("transformer-rates")


# %%
def intervals(frame):
    """Per optimizer the width of its interval of good rates, its losses at the best rate, and whether it learnt."""
    width, final, learnt = {}, {}, []
    for method, part in frame.groupby("method"):
        tolerance = 0.05 * -part.groupby("lr").score.mean().max()  # 5% of the best validation loss
        found = rate_width(*matrix(part), tolerance=tolerance)
        width[method] = found["width"]
        learnt.append(found["best"] > -3 and found["censored"] < 2)  # with 65 characters the loss is 4.2 at the start
        final[method] = part[part.lr == part.groupby("lr").train_loss.mean().idxmin()].train_loss
    return width, final, learnt


# %% tags=["nbval-check-output"]
if transformer is None:
    for claim in ("lr-robustness-transformer", "adahessian-curves"):
        ch.not_run(claim, "the full-scale table transformer-rates is not recorded")
else:
    transformer_widths, final, learnt = intervals(transformer)
    low = max(losses.mean() for losses in final.values()) < 3
    ch.require(all(learnt) and low, f"a transformer did not learn, or its rate did not matter: {transformer_widths}")
    ch.claim(
        "lr-robustness-transformer",
        value=transformer_widths,
        holds=transformer_widths["adahessian"] > transformer_widths["adamw"],
        table="transformer-rates",
    )
    difference = final["adahessian"].mean() - final["adamw"].mean()
    se = (final["adahessian"].sem() ** 2 + final["adamw"].sem() ** 2) ** 0.5
    ch.claim("adahessian-curves", value=[difference, se], holds=difference <= 2 * se, table="transformer-rates")

# %% [markdown]
# The recorded run, on a CPU: AdamW's interval is 0.80 decades wide, AdaHessian's 0.63, with bootstrap intervals that
# overlap (0.75 to 0.82, 0.47 to 0.80). AdamW ends lower at its best rate, a training loss of 1.72 against 1.80 with
# errors of 0.01, and on a perceptron an epoch of AdaHessian takes about twice as long ({doc}`adahessian`). The training
# is short; over a longer one the order may be another. And the decay is not the same for both: multiplied by the best
# rates, 0.055 for AdaHessian and 0.0012 for AdamW, it shrinks AdaHessian's weights 48 times as fast. How much of the
# difference in loss and in width is due to that, the recorded run does not tell.
#
# ## Takeaway
#
# Measured from each optimizer's own best rate, on digits and on tomography, the second-order methods have no wider interval of good rates than AdamW and
# SGD with momentum have, as far as five seeds can tell, nor on a small transformer, with the weight decay that we gave both. The published table can still be right for its own; what does
# not follow from it is that robustness is a property of second-order methods in general.
