# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What an untrained network does to a signal
#
# Hardt and Ma start their network with weights of standard deviation $1/(9c)$ in the 3x3 convolutions, $c$ the number of
# output channels, and with a random last layer that is never trained. The authors of the review thought neither change
# worth the effort and took Xavier's uniform weights {cite}`glorot2010understanding` and a trained last layer. This page looks
# at the consequences before any training, and shortly after its start.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import pandas as pd
import torch
from torch import nn

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.nets import allconv_resnet, fixup_
from litrepro.training import train_side_by_side

ch = Chapter("08-residual-networks", notebook="signal-at-init", profile=profile, seed=seed, full_minutes=5)
sizes = ch.pick(quick=(2, 5, 9), full=(2, 3, 5, 7, 9, 14), smoke=(2, 3))
depths = ch.pick(quick=(2, 5, 9), full=(2, 5, 9, 14), smoke=(2, 9))
repeats = ch.pick(quick=3, full=20, smoke=2)
stages = ch.pick(quick=(1, 8), full=(1, 3, 8, 16), smoke=(1, 8))
step_sizes = ch.pick(
    quick=(0.017, 0.05, 0.1),
    full=(0.003, 0.005, 0.01, 0.017, 0.03, 0.05, 0.1, 0.17, 0.3),
    smoke=(0.003, 0.1),
)
epochs = ch.pick(quick=12, full=40, smoke=8)
networks = ch.pick(quick=3, full=5, smoke=1)


def digits(size, n, **options):
    """n digits, balanced over the classes, scaled to [-1, 1]."""
    source = "auto" if ch.full and not ch.smoke else "bundled"
    images, labels = mnist(source=source, size=size, n=n, balanced=True, **options)
    return (2 * images - 1).to(ch.device), labels.to(ch.device)


# %% [markdown]
# ## Features and loss at the true sizes
#
# Every Xavier block adds to the variance of the stream what its own path keeps of it, and after 27 blocks that has
# multiplied. Small weights leave the stream as the stem made it, at any depth. Eight digits, resized to 32 x 32 and
# repeated in three channels; the networks are the review's, up to 13.6 million parameters.

# %%
images, labels = (part[:8] for part in digits(32, 10))
images = images.expand(-1, 3, -1, -1)
variants = {
    "Xavier": {"init": "xavier"},
    "small": {"init": "small"},
    "small, fixed head": {"init": "small", "head": "fixed"},
}
rows = []
with torch.no_grad():
    for blocks in sizes:
        for name, options in variants.items():
            network = allconv_resnet(blocks, seed=seed, **options).to(ch.device)
            if "head" not in options:  # a fixed head sits on the same body
                features = network.features(images)
            logits = network.head(features)
            measured = {
                "features": features.square().mean().sqrt().item(),
                "logits": logits.square().mean().sqrt().item(),
                "loss": nn.functional.cross_entropy(logits, labels).item(),
            }
            rows += [{"variant": name, "blocks": blocks, "metric": k, "value": v} for k, v in measured.items()]
signal = pd.DataFrame(rows)
ch.save("signal", signal)

# %% mystnb={"figure": {"name": "fig-08-signal", "caption": "Root mean square of the features, of the logits, and the initial cross-entropy against the number of blocks per width, for the review's initialization (Xavier), for small weights, and for Hardt and Ma's (small weights and a fixed head; the features are those of small weights); one network each, eight digits. The dotted line is log 10."}, "image": {"alt": "Three panels on logarithmic axes: Xavier's features grow exponentially with the number of blocks, its logits and loss by a decade or more but unevenly; the two others are flat or nearly so."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves, figure

    fig, axes = figure(1, 3, height=2.9)
    for ax, metric in zip(axes, ("features", "logits", "loss")):
        part = signal[signal.metric == metric]
        curves(part, "blocks", "value", "variant", ax=ax, markers=True, logy=True, error="none")
        ax.set(xlabel="blocks per width", ylabel={"loss": "cross-entropy"}.get(metric, f"RMS of {metric}"))
    axes[2].axhline(math.log(10), color="0.35", ls=":")
    axes[2].set_yticks([2, 5, 10, 20, 40], ["2", "5", "10", "20", "40"])
    axes[2].minorticks_off()
    axes[0].set_ylim(top=300)
    axes[0].legend(loc="upper left")

# %% [markdown]
# ## Do shortcuts keep the gradient alive?
#
# The norm of the first block's gradient at the start, with and without the shortcuts, for networks of channels 8, 16, 32 on
# 64 digits of 14 x 14. A plain network and its residual twin start from the same 3x3 weights. Plain networks with small
# weights run in double precision: single precision loses numbers as small as theirs.

# %%
many, their_labels = digits(14, 640)
x, y = many[:64], their_labels[:64]
rows = []
for init in ("xavier", "small", "he"):
    for shortcuts in (True, False):
        inputs = x.double() if init == "small" and not shortcuts else x
        for blocks in depths:
            for repeat in range(repeats):
                network = allconv_resnet(
                    blocks, widths=(8, 16, 32), in_channels=1, init=init, residual=shortcuts, seed=seed + repeat
                ).to(inputs)
                network.to(memory_format=torch.channels_last)  # faster on a CPU with so few channels
                error = nn.functional.cross_entropy(network(inputs), y)
                first = torch.autograd.grad(error, list(network.blocks[0].parameters()))
                squares = sum(g.double().square().sum() for g in first).item()
                rows.append({"init": init, "shortcuts": shortcuts, "blocks": blocks, "log10": math.log10(squares) / 2})
gradients = pd.DataFrame(rows)
ch.save("gradients", gradients)
mean = gradients.pivot_table(index=["init", "shortcuts"], columns="blocks", values="log10")
change = (mean[depths[-1]] - mean[depths[0]]).abs()
helped = {init: bool(change[init, True] < change[init, False]) for init in ("xavier", "small", "he")}

# %% tags=["nbval-check-output"]
changes = {f"{init}, {'residual' if kept else 'plain'}": value for (init, kept), value in change.items()}
verdict = True if all(helped.values()) else "partly" if any(helped.values()) else False
ch.claim("gradient-path", value=changes, holds=verdict)

# %% mystnb={"figure": {"name": "fig-08-gradients", "caption": "Norm of the first block's gradient at the start against the number of blocks per width (mean of the decimal logarithm over seeds, two standard errors), with shortcuts (solid) and without (dashed)."}, "image": {"alt": "Three pairs of lines. Xavier: plain falls by four to five decades, residual rises by two. Small: plain falls by fifty decades, residual is flat. He: plain rises by about one decade, residual by four."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 3, height=3.0)
    titles = {"xavier": "Xavier", "small": "small", "he": "He"}
    for ax, init in zip(axes, titles):
        for index, (shortcuts, style, label) in enumerate(((True, "-", "with shortcuts"), (False, "--", "without"))):
            part = gradients[(gradients["init"] == init) & (gradients.shortcuts == shortcuts)]
            group = part.groupby("blocks")["log10"]
            ax.errorbar(
                group.mean().index, group.mean(), 2 * group.sem(), fmt=style, marker="os"[index], ms=4, label=label
            )
        ax.set(xlabel="blocks per width", title=titles[init])
    axes[0].set_ylabel("log10 of gradient norm")
    axes[1].legend(handlelength=3, loc="upper right", bbox_to_anchor=(1.0, 0.93))

# %% [markdown]
# ## Learning the identity
#
# The abstract's starting point: symmetric random weights make it hard for a convolutional block to become the identity. A
# block of two convolutions with 8 channels is trained to return its input, once as it is and once with a shortcut, by SGD
# with five step sizes. And what would the right answer be? Not weights that all "tend to 1", as the review says, but a Dirac
# kernel: 1 at the centre, from a channel to itself, 0 elsewhere.


# %%
class Block(nn.Module):
    """Two 3x3 convolutions around a ReLU, Xavier weights; with or without a shortcut; output flattened."""

    def __init__(self, shortcut, seed):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        self.shortcut = shortcut

    def forward(self, x):
        inner = self.second(torch.relu(self.first(x)))
        return (inner + x if self.shortcut else inner).flatten(1)


# %%
def squared_error(pixels, targets):
    """Mean over the pixels (B, M) of images that come as (B, M pixels)."""
    return (pixels.view(targets.shape) - targets).square().mean(-1)


# %%
pictures = (many[:160] + 1) / 2
grid = (0.01, 0.03, 0.1, 0.3, 1.0)
members = pd.DataFrame([(lr, seed + s) for lr in grid for s in range(5)], columns=["lr", "seed"])
rows = []
for shortcut in (True, False):
    models = [Block(shortcut, s) for s in members.seed]
    last = train_side_by_side(
        models, (pictures, pictures.flatten(1)), seeds=members.seed, lr=members.lr, loss=squared_error, epochs=10,
        batch_size=8, record_every=10,
    )[-1]  # fmt: skip
    rows.append(members.assign(shortcut=shortcut, value=last.tolist()))
identity = pd.concat(rows).replace(math.inf, math.nan)
ends = identity.groupby(["shortcut", "lr"])["value"].agg(["mean", "sem", "count"])
ends = ends[ends["count"] == 5]  # a step size at which a seed diverges is not judged by the others
best = {shortcut: ends.loc[shortcut].sort_values("mean").iloc[0] for shortcut in (True, False)}
common = (ends.loc[False, "mean"] / ends.loc[True, "mean"]).dropna()
conv = nn.functional.conv2d
dirac = torch.zeros(1, 1, 3, 3)
dirac[0, 0, 1, 1] = 1
misses = {name: (conv(pictures, kernel.to(pictures), padding=1) - pictures).norm().item() / pictures.norm().item()
          for name, kernel in (("Dirac", dirac), ("ones", torch.ones(1, 1, 3, 3)))}  # fmt: skip

# %% tags=["nbval-check-output"]
residual, plain = best[True], best[False]
lower = plain["mean"] - residual["mean"] > 2 * math.hypot(plain["sem"], residual["sem"])
ch.claim(
    "identity-is-hard",
    value={
        "residual": residual["mean"],
        "plain": plain["mean"],
        "plain/residual at the same rate": {f"{lr:g}": value for lr, value in common.items()},
    },
    holds=True if residual["mean"] <= 0.1 * plain["mean"] else "partly" if lower else False,
)
ch.claim("erratum-dirac-kernel", value=misses, holds=misses["Dirac"] == 0 and misses["ones"] > 1)

# %% [markdown]
# ## Which step sizes train which depth
#
# The review blames the step size: 0.05 fails for nine blocks, 0.01 works. A map of step sizes against depth for four
# ways to start says more. Small networks (channels 4, 8, 16) on 110 digits of 7 x 7 (full: 200), momentum 0.9: Xavier, small
# weights, Fixup {cite}`zhang2019fixup` (the second convolution of every block and the head at zero; its scalar
# parameters are left out), and Xavier with batch norm {cite}`ioffe2015batch`. With Xavier weights the usable step size
# falls with depth. With small weights and Fixup it does not: 0.1, the largest of the three, trains at every depth.
# Batch norm tolerates them all, and is the fastest by a factor of about two: at its best step size it comes to half
# the loss of guessing in three to five epochs at both depths. Of the three starts without it Xavier's is the fastest,
# in seven to eight, at steps that fall with depth. Small weights and Fixup begin slowly: about a third of the networks
# with small weights get there, after ten epochs or more; with Fixup none does within the twelve, at any depth.

# %%
tiny = digits(7, 200 if ch.full else 110)
settings = {"epochs": epochs, "batch_size": 32 if ch.full else 16, "momentum": 0.9}


def start(kind, blocks, seed):
    """A network of one of the four kinds."""
    options = {"widths": (4, 8, 16), "stem": 4, "in_channels": 1, "seed": seed, "batchnorm": kind == "batch norm"}
    network = allconv_resnet(blocks, init="small" if kind == "small" else "xavier", **options)
    return fixup_(network, seed) if kind == "Fixup" else network


members = pd.DataFrame([(s, lr) for s in range(seed, seed + networks) for lr in step_sizes], columns=["network", "lr"])
rows = []
for kinds in (("Xavier", "small", "Fixup"), ("batch norm",)):  # three share a structure, and run side by side
    group = pd.concat([members.assign(kind=kind) for kind in kinds], ignore_index=True)
    for blocks in stages:
        fresh = {(kind, s): start(kind, blocks, s) for kind in kinds for s in range(seed, seed + networks)}
        models = [fresh[key] for key in zip(group.kind, group.network)]
        run = train_side_by_side(models, tiny, seeds=group.network, lr=group.lr, **settings)
        rows += [group.assign(blocks=blocks, epoch=e, value=losses.tolist()) for e, losses in enumerate(run)]
phase = pd.concat(rows)[["kind", "blocks", "network", "lr", "epoch", "value"]]
ch.save("phase", phase)

# %%
which = ["kind", "blocks", "network"]
# tail, not last: a run that diverged ends with a nan, which last would skip.
last = phase.groupby([*which, "lr"]).tail(1).set_index([*which, "lr"])["value"].fillna(math.inf)
limits = last[last < 0.95 * math.log(10)].reset_index().groupby(which)["lr"].max()
cells = pd.MultiIndex.from_product([phase.kind.unique(), stages, members.network.unique()], names=which)
limits = limits.reindex(cells, fill_value=0.0).groupby(["kind", "blocks"], sort=False).median()
usable = {kind: limits[kind].tolist() for kind in phase.kind.unique()}
# One more than all epochs where no step size gets there.
halfway = phase[phase.value < 0.5 * math.log(10)].groupby(which)["epoch"].min().reindex(cells, fill_value=epochs + 1)
quickest = {kind: halfway[kind].groupby("blocks", sort=False).mean().tolist() for kind in phase.kind.unique()}
# By depth, the fastest of the three starts without batch norm.
rival = [min(values) for values in zip(*(quickest[kind] for kind in ("Xavier", "small", "Fixup")))]

# %% tags=["nbval-check-output"]
deep, shallow = {k: v[-1] for k, v in usable.items()}, {k: v[0] for k, v in usable.items()}
ch.claim(
    "phase-diagram",
    value=usable,
    holds=0 < deep["Xavier"] < shallow["Xavier"] / 1.5
    and all(deep[kind] > 1.5 * deep["Xavier"] for kind in ("small", "Fixup")),
)
ch.claim(
    "erratum-bn-time",
    value=quickest,
    # Without batch norm some start gets there at every depth.
    holds=sum(quickest["batch norm"]) <= 0.75 * sum(rival) and max(rival) <= epochs,
)

# %% mystnb={"figure": {"name": "fig-08-phase", "caption": "Training loss after twelve epochs against step size and blocks per width for four ways to start (median of three networks, digits of 7 x 7): bright is low, the darkest colour is the loss of guessing or worse; white cells with a cross are step sizes at which most diverge."}, "image": {"alt": "Four heat maps. Xavier: the bright region moves to smaller step sizes as blocks are added, with crosses to its right. Small and Fixup: dark at small step sizes, brighter towards 0.1, at every depth. Batch norm: bright nearly everywhere, darker at 0.1 with eight blocks."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 4, height=2.9, sharey=True)
    for ax, kind in zip(axes, usable):
        table = last[kind].groupby(["blocks", "lr"]).median().unstack("lr")
        mesh = ax.imshow(
            table.where(table < math.inf).clip(upper=math.log(10)),
            vmin=0,
            vmax=math.log(10),
            cmap="viridis_r",
            origin="lower",
            aspect="auto",
        )
        for row, blocks in enumerate(table.index):
            for column, lr in enumerate(table.columns):
                if not math.isfinite(table.loc[blocks, lr]):
                    ax.plot(column, row, "x", color="0.75")
        ax.set(title=kind, xlabel="step size", xticks=range(len(table.columns)), yticks=range(len(table.index)))
        ax.set_xticklabels([f"{lr:g}" for lr in table.columns], rotation=60)
        ax.set_yticklabels(table.index)
        ax.grid(False)
    axes[0].set_ylabel("blocks per width")
    fig.colorbar(mesh, ax=axes, label="training loss")

# %% [markdown]
# ## Takeaway
#
# Shortcuts do keep gradients from vanishing. They do not keep signals from growing, which is what Xavier weights in a network
# without normalization suffer from: the loss at the start multiplies with depth, and the step size has to pay for it. Small
# weights, zeroed branches and batch norm are three cures for this, and the review's replication removed the one that the original
# had.
