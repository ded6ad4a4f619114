# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Two-layer networks
#
# With $K$ classes and squared loss there are $nK$ numbers to fit, and $H$ hidden units have $(d+1)H + (H+1)K$ parameters. The
# review reports a peak of the test error where the two are equal, for a network that was trained on 4,000 digits, after Belkin and
# colleagues {cite}`belkin2019reconciling`. It also says what weight reuse is for: a network that starts from the solution of the next narrower
# one has a sharper transition, and depends less on its random start.
#
# We train on 200 of the bundled $8 \times 8$ digits, a fifth of their labels wrong, at a constant step size (momentum 0.95). The ten seeds of
# a width are one batch. The full profile takes the review's digits and widths.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
from functools import partial

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import digits, mnist, with_label_noise
from litrepro.interpolation import threshold_width, two_layer_curve, two_layer_parameters

ch = Chapter("09-double-descent", notebook="two-layer", profile=profile, seed=seed, full_minutes=25)
widths = ch.pick(
    quick=[4, 8, 10, 13, 20, 27, 50, 100],
    full=[5, 20, 40, 50, 60, 80, 150, 400, 1000],
    smoke=[4, 10, 20, 27, 50],
)
each = ch.pick(quick=200, full=1500, smoke=4)  # epochs per width with reuse
total = ch.pick(quick=1200, full=6000, smoke=16)  # epochs of a fresh network
batch = ch.pick(quick=50, full=500, smoke=50)
lr = ch.pick(quick=0.02, full=0.01)
n = ch.pick(quick=200, full=4000, smoke=100)
noise = ch.pick(quick=0.2, full=0.0, smoke=0.2)
members = range(seed, seed + ch.pick(quick=10, full=5, smoke=2))
clean_widths = ch.pick(quick=[8, 13, 20, 50, 150], full=[20, 40, 50, 80, 400], smoke=[8, 20])

# %%
if ch.full and not ch.smoke:
    pool, test = mnist("train", source="full"), mnist("test", source="full")
else:
    pool, test = digits("train"), digits("test")
chosen = torch.randperm(len(pool), generator=ch.generator(1))[:n]
x, labels = pool.images[chosen].to(ch.device), pool.labels[chosen]
noisy = with_label_noise(labels, noise, num_classes=10, generator=ch.generator(2)).to(ch.device)
labels = labels.to(ch.device)
held_out = (test.images.to(ch.device), test.labels.to(ch.device))
d = x[0].numel()
threshold, target = threshold_width(n, d, 10), 10 * n
# The width nearest the threshold that reuse reaches within the epochs of a fresh network.
matched = min(range(min(len(widths), total // each)), key=lambda i: abs(widths[i] - threshold), default=0)
ch.require(
    matched > 0,
    f"widths must begin below the threshold, {threshold:g}, and total be {2 * each} epochs: reuse needs two",
)
common = {"lr": lr, "momentum": 0.95, "batch_size": batch, "seeds": members}


# %%
def fresh(width):
    """Networks of one width from their random start, recorded every ``each`` epochs."""
    return two_layer_curve((x, noisy), held_out, [width], reuse=False, epochs=total, eval_every=each, **common)


alone = pd.concat([ch.kept(f"fresh-{width}", partial(fresh, width)) for width in ch.progress(widths, "widths")])
# Errors of the untrained network do not belong on a curve over widths.
alone = alone[alone.epoch > 0].assign(run="fresh")
chained = two_layer_curve((x, noisy), held_out, widths, reuse=True, epochs=each, **common)
clean = two_layer_curve(
    (x, labels), held_out, clean_widths, reuse=False, epochs=each, schedule=lambda t: 1 - t, **common
)
runs = pd.concat(
    [alone, chained.assign(run="reuse", epoch=each), clean.assign(run="clean", epoch=each)], ignore_index=True
)
recorded = ch.table("two-layer", runs)


# %%
def curve(run, epoch, column="test_mse"):
    """Mean, standard error and standard deviation over seeds, by width."""
    part = runs[(runs.run == run) & (runs.epoch == epoch)]
    return part.groupby("width")[column].agg(["mean", "sem", "std"])


def bump(frame):
    """Width of the largest mean beyond the narrowest network, its height over the minimum before it, standard error."""
    top = frame["mean"].iloc[1:].idxmax()
    bottom = frame["mean"].loc[:top].iloc[:-1].idxmin()
    error = (frame["sem"].loc[top] ** 2 + frame["sem"].loc[bottom] ** 2) ** 0.5
    return top, frame["mean"].loc[top] - frame["mean"].loc[bottom], error


# %%
late, early = curve("fresh", total), curve("fresh", each)
reused, unspoiled = curve("reuse", each), curve("clean", each)
overview = pd.concat(
    {"parameters": pd.Series({width: two_layer_parameters(d, width, 10) for width in widths}),
     f"fresh, {each} epochs": early["mean"], f"fresh, {total}": late["mean"], "standard error": late["sem"],
     f"reuse, {each} each": reused["mean"]}, axis=1,
)  # fmt: skip

# %% tags=["hide-input"]
overview.round(3)

# %% [markdown]
# ## Where is the peak?
#
# The long run has it within one width of $nK$ = 2000 parameters (26 or 27 hidden units). It grows with training: after 200
# epochs there is none yet, and networks near the threshold go on getting worse while the widest has nearly settled. With
# clean labels and a step size that decays to zero within these 200 epochs the error falls from width to width.

# %% tags=["nbval-check-output"]
top, height, error = bump(late)
ratio = two_layer_parameters(d, top, 10) / target
significant = height > 2 * error
near = max(ratio, 1 / ratio)
ch.claim(
    "nn-threshold",
    value={"H": int(top), "parameters over nK": ratio, "height": height, "standard error": error},
    holds=bool(significant and near < 1.5) or ("partly" if significant and near < 3 else False),
)
ch.claim(
    "nn-clean-no-peak", value=unspoiled["mean"].tolist(), holds=bool((unspoiled["mean"].diff().iloc[1:] < 0).all())
)

# %% [markdown]
# ## What weight reuse does
#
# With the same number of epochs per width, the error rises far higher when every width starts from the one before. But
# the network with 27 hidden units then stands on the shoulders of five others, 1,200 epochs in all. Give a fresh network as many, and it
# is no better. Nor does the error come down again: with reuse at every width there is no second
# descent. In Belkin's figure, and in the review's copy of it, reuse stops at the threshold, where random starts take over
# (the caption says so). The steep fall behind the peak is the exchange of one procedure for the other.
#
# Nor does reuse make the outcome less random by much. Next to fresh networks with the same epochs per width its seeds differ far more, but
# here too the reason is training time: the longer such a network is trained on wrong labels, the further its seeds part. Against fresh
# networks with as many epochs in total the spreads are about level. They are pooled over the widths up to that nearest the threshold,
# all but the narrowest, which has nothing to reuse.

# %%
places = range(1, matched + 1)  # the narrowest network has nothing to reuse


def falls(frame):
    """Whether the mean falls by two standard errors beyond the threshold."""
    beyond = frame[frame.index >= 0.7 * threshold]
    first, last = beyond["mean"].idxmax(), beyond.index[-1]
    gap = beyond["mean"].loc[first] - beyond["mean"].loc[last]
    return bool(gap > 2 * (beyond["sem"].loc[first] ** 2 + beyond["sem"].loc[last] ** 2) ** 0.5)


def pooled(frame):
    """Standard deviation over seeds, pooled over the widths up to that nearest the threshold; one frame, or one a width."""
    frames = frame if isinstance(frame, list) else [frame] * len(places)
    return (sum(part["std"].iloc[i] ** 2 for part, i in zip(frames, places)) / len(places)) ** 0.5


# %%
at = widths[matched]
same_total = curve("fresh", (matched + 1) * each)["mean"].loc[at]
left = (reused["mean"].loc[at] - same_total) / (reused["mean"].loc[at] - early["mean"].loc[at])
with_reuse, without = bump(reused), bump(early)
# Networks that diverge show no second descent either: with reuse the training error has to fall with the width.
fits = curve("reuse", each, "train_mse")["mean"]
fitted = bool(fits.iloc[-1] < 0.5 * fits.iloc[0])
# And there has to be a difference for training time to explain.
gap_error = (reused["sem"].loc[at] ** 2 + early["sem"].loc[at] ** 2) ** 0.5
explained = bool(reused["mean"].loc[at] - early["mean"].loc[at] > 2 * gap_error)
spreads = {
    "reuse": pooled(reused),
    "fresh, the same epochs per width": pooled(early),
    "fresh, the same epochs in total": pooled([curve("fresh", (i + 1) * each) for i in places]),
}

# %% tags=["hide-input"]
pd.Series(spreads, name="standard deviation over seeds, test MSE").to_frame().rename_axis("networks").round(3)

# %% tags=["nbval-check-output"]
ch.claim(
    "reuse-sharpens",
    value={"reuse": list(with_reuse[1:]), "fresh": list(without[1:])},
    holds=fitted and bool(with_reuse[1] - without[1] > 2 * (with_reuse[2] ** 2 + without[2] ** 2) ** 0.5),
)
ch.claim(
    "reuse-is-training-time",
    value={"H": at, "share left": left},
    holds=explained and (True if left < 0.5 else ("partly" if left < 0.75 else False)),
)
ch.claim(
    "reuse-no-second-descent",
    value={"reuse falls": str(falls(reused)), "fresh falls": str(falls(late)), "training MSE, reuse": fits.tolist()},
    holds=fitted and falls(late) and not falls(reused),
)

# %% [markdown]
# Does reuse make the outcome depend less on the start?

# %% tags=["nbval-check-output"]
ch.require(fitted, f"networks that reuse weights have not trained: {fits.tolist()}")
ch.claim(
    "reuse-stabilizes",
    value=spreads,
    holds=spreads["fresh, the same epochs in total"] / spreads["reuse"] > 1.5,
)

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, band, figure

    def draw(table):
        fig, axes = figure(1, 3, height=3.4)
        last, first = table[table.run == "fresh"].epoch.max(), table[table.run == "reuse"].epoch.max()
        shown = {f"fresh, {last} epochs": ("fresh", last), f"fresh, {first}": ("fresh", first),
                 f"reuse, {first} each": ("reuse", first), "clean, decaying": ("clean", first)}  # fmt: skip
        for ax, column in zip(axes, ("test_mse", "train_mse")):
            for index, (label, (run, epoch)) in enumerate(shown.items()):
                groups = table[(table.run == run) & (table.epoch == epoch)].groupby("parameters")[column]
                middle, spread = groups.mean(), 2 * groups.sem()
                style = {"color": PALETTE[index], "marker": "o^sD"[index], "ms": 3.5}
                band(middle.index, middle, middle - spread, middle + spread, ax=ax, label=label, **style)
            ax.set(xscale="log", xlabel="parameters", ylabel=column.replace("_mse", " MSE"))
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncol=2)
        return fig, axes


# %% mystnb={"figure": {"name": "fig-09-two-layer", "caption": "Two-layer networks on 200 digits, a fifth of the labels wrong; mean of ten seeds, bands of two standard errors. Test MSE and training MSE against the number of parameters (vertical line: nK), test MSE against epochs for fresh networks of eight and more hidden units."}, "image": {"alt": "Left: test MSE of fresh networks after 1200 epochs has a peak near 2000 parameters and falls for wide networks; after 200 epochs there is hardly one; with reuse the error rises and stays high; clean labels fall throughout. Middle: training MSE falls with the number of parameters. Right: the test MSE of networks near the threshold rises most during training."}} tags=["hide-input"]
if ch.plots:
    fig, axes = draw(runs)
    for ax in axes[:2]:
        ax.axvline(target, color="0.6", lw=0.8, zorder=0)
    axes[1].set_yscale("log")
    for index, width in enumerate(widths[1:]):
        line = alone[alone.width == width].groupby("epoch").test_mse.mean()
        axes[2].plot(line.index, line, color=PALETTE[index % len(PALETTE)], marker="o", ms=3, label=f"{width}")
    axes[2].set(xlabel="epochs", ylabel="test MSE, fresh")
    axes[2].set_ylim(top=2.0)  # room for the legend above the lines
    axes[2].legend(title="hidden units", fontsize=7, ncol=3, loc="upper left")

# %% mystnb={"figure": {"name": "fig-09-two-layer-full", "caption": "The first two panels at the review's scale (4,000 MNIST digits)."}, "image": {"alt": "Test and training MSE against the number of parameters at full scale."}} tags=["hide-input"]
if ch.plots and recorded is not None:
    fig, axes = draw(recorded)
    axes[2].axis("off")

# %% [markdown]
# ## Takeaway
#
# The peak is where counting parameters puts it, here with noisy labels and long training. What the review says of weight reuse
# holds for the height of the peak, for a reason that it does not give, and not for the sensitivity to the start.
