# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Five optimizers on the plain GAN: table 1, left
#
# The review trains a perceptron GAN on MNIST with Adam, Optimistic Adam, Adam with negative momentum, and SGD with momentum
# $0.9$ and $-0.5$, and scores the samples with an Inception network. We train the table as one ensemble: the members are
# seeds times optimizers, all on the same minibatches and noise, variants of one seed from the same initial weights.
#
# What differs in the quick profile: 4,000 digits for 60,000, narrower networks, an eighteenth of the steps of the recorded run (which itself has 60 of
# the review's 200 epochs), in batches of 32, at five times the step size ($10^{-3}$; SGD $10^{-2}$ and $10^{-1}$ for $10^{-3}$). The scores are
# those of our own digit classifier, so that they live between 1 and 10: orderings can be compared with the review's table, values cannot.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.gans import (
    MLPDiscriminator,
    MLPGenerator,
    Variant,
    draw_thumbnails,
    mode_coverage,
    ring_mixture,
    score_course,
    score_samples,
    score_summary,
    thumbnails,
    train_score_net,
    trained_ensemble,
)

# %%
ch = Chapter("18-gan-training", notebook="mnist-gans", profile=profile, seed=seed, full_minutes=8)
steps = ch.pick(quick=1000, full=18_000, smoke=20)
checkpoints = ch.pick(quick=[200, 400, 600, 800, 1000], full=list(range(6000, 18_001, 3000)), smoke=[10, 20])
record = ch.pick(quick=7, full=150, smoke=1)
seeds = ch.pick(quick=3, full=5, smoke=2)
width, latent = ch.pick(quick=(64, 32), full=(256, 100), smoke=(16, 8))
batch = ch.pick(quick=32, full=200, smoke=16)  # full: 18,000 batches of 200 are 60 of 200 epochs
lr = ch.pick(quick=1e-3, full=2e-4)
sgd_lr = ch.pick(quick=(1e-2, 1e-1), full=(1e-3, 1e-3))
checkpoints = sorted({*(step for step in checkpoints if step < steps), steps})
ch.require(seeds > 1, "seeds must be at least 2: differences are compared with their standard errors")

# %%
source = "full" if ch.full and not ch.smoke else "bundled"
train, test = mnist("train", source=source), mnist("test", source=source)
images = (train.images * 2 - 1).to(ch.device)
held_out = (test.images * 2 - 1).to(ch.device)
# The files are sorted by class, and the score is taken over contiguous splits.
mixed = torch.randperm(len(test), generator=ch.generator(1))[:1000].to(ch.device)

# %% [markdown]
# ## The ruler
#
# A small convolutional network, trained on the training digits. Before it judges samples we look at what it says about real
# digits and about noise. Two more numbers come from it: the Frechet distance between its features of real and generated images,
# which sees blur and lack of variety alike, and the number of digits that at least 1% of the samples are read as.


# %%
net = train_score_net(images, train.labels.to(ch.device), epochs=ch.pick(quick=6, full=3, smoke=1), seed=ch.seed)
accuracy = (net.probabilities(held_out).argmax(-1).cpu() == test.labels).double().mean().item()
reference = net.embed(images[:10_000])
noise = torch.rand(1000, 1, 28, 28, generator=ch.generator(2)).to(ch.device) * 2 - 1
ruler = score_samples(net, torch.stack((held_out[mixed], noise)), reference).set_axis(["real digits", "uniform noise"])
print(f"held-out accuracy above 0.93: {accuracy > 0.93}")
ruler.round(2)

# %% [markdown]
# ## The ensemble

# %%
variants = [
    Variant("Adam", lr=lr),
    Variant("OAdam", lr=lr, optimism=1.0),
    Variant("AdamNM", lr=lr, beta1=-0.5),
    Variant("SGD", optimizer="sgd", lr=sgd_lr[0], beta1=0.9),
    Variant("SGDNM", optimizer="sgd", lr=sgd_lr[1], beta1=-0.5),
]

gans = trained_ensemble(
    ch, "mlp", lambda: MLPGenerator(latent, width, (1, 28, 28)), lambda: MLPDiscriminator((1, 28, 28), width), images, variants,
    steps=steps, seeds=seeds, batch=batch, record=record, snapshots=checkpoints,
)  # fmt: skip

# %%
course = score_course(gans, net, reference, checkpoints).rename(columns={"variant": "optimizer"})
ch.save("gan-scores", course.round(4))
ch.save("gan-samples", thumbnails(gans))
recorded = ch.paper("gan-scores")
final = course[course["step"] == steps]

# %%
losses = pd.DataFrame(
    [
        {"step": int(at), "seed": s, "optimizer": v.name, "discriminator": d, "generator": g}
        for (s, v), rows in zip(gans.members, gans.history.permute(1, 0, 2))
        for at, (d, g) in zip(gans.steps_recorded, rows.tolist())
    ]
)
ch.save("gan-losses", losses.round(4))

# %%
table1 = {"Adam": 1.878, "OAdam": 3.085, "AdamNM": 3.148, "SGD": 2.691, "SGDNM": 1.547}
score_summary(final, "optimizer").assign(**{"IS in table 1": pd.Series(table1)}).round(2)

# %% mystnb={"figure": {"name": "fig-18-mlp-samples", "caption": "Samples of the plain GAN, first seed, one row per optimizer, the same noise in every row. After the quick run's 1,000 steps Adam draws smudges, its variants strokes that are half digits; SGD draws one pattern of specks for all noise, with negative momentum the blurred shape of a one or of a zero."}, "image": {"alt": "Five rows of twelve small grey images. The first row shows smudges, the next two digit-like strokes, the fourth row repeats one pattern of specks, the fifth a blurred streak and a blurred loop."}} tags=["hide-input"]
if ch.plots:
    draw_thumbnails(thumbnails(gans, 12))

# %% tags=["hide-input"]
samples_recorded = ch.paper("gan-samples")

# %% mystnb={"figure": {"name": "fig-18-mlp-samples-full", "caption": "The same after 60 epochs at the review's size."}, "image": {"alt": "Five rows of twelve small images. Adam's three variants draw digits, some of them broken; SGD mostly strokes like ones; SGD with negative momentum the same grey cloud of specks every time."}} tags=["hide-input"]
if ch.plots and samples_recorded is not None:
    draw_thumbnails(samples_recorded)

# %% mystnb={"figure": {"name": "fig-18-mlp-course", "caption": "Inception Score and Frechet distance during the recorded run, 18,000 steps at the review's size: mean over five seeds, bands of two standard errors."}, "image": {"alt": "Two panels over training steps. Scores of OAdam and AdamNM are ahead of Adam's until 12,000 steps; all three meet at 15,000 near 6, and Adam ends highest. SGD rises to 3.3 and falls again, SGDNM stays at 1. The Frechet distance shows the same in reverse."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves, figure

    data = (recorded if recorded is not None else course).eval("step = step / 1000")
    fig, axes = figure(1, 2, height=3.1)
    for ax, name in zip(axes, ("IS", "FD")):
        curves(data, "step", name, "optimizer", ax=ax, markers=True)
        ax.set(xlabel="thousands of steps", ylabel={"IS": "Inception Score", "FD": "Frechet distance"}[name])
        ax.set_xticks(sorted(set(data["step"])))
    fig.legend(*axes[0].get_legend_handles_labels(), fontsize=8, ncols=5, loc="outside lower center")

# %% mystnb={"figure": {"name": "fig-18-mlp-losses", "caption": "Losses of both players in the quick run, first seed. A discriminator loss at 0 with a generator loss that leaves the frame (SGD with momentum 0.9) means that the discriminator has won."}, "image": {"alt": "Five small panels with two lines each over training steps. For Adam's variants both losses fluctuate around 1; for SGD the generator loss leaves the frame while the discriminator's falls to zero; for SGDNM the generator loss has an early peak and the discriminator's a later one, then both fluctuate around 1."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, len(variants), height=2.3, sharey=True)
    for ax, (name, part) in zip(axes, losses[losses["seed"] == 0].groupby("optimizer", sort=False)):
        ax.plot(part["step"], part["discriminator"], lw=0.9, label="discriminator")
        ax.plot(part["step"], part["generator"], lw=0.9, label="generator")
        ax.set(title=name, xlabel="step", ylim=(0, 6))
    axes[0].set_ylabel("loss")
    axes[0].legend(fontsize=7)

# %% [markdown]
# ## What the table says
#
# A comparison is paired: the members of one seed share initial weights, minibatches and noise. With three seeds the standard errors are themselves
# uncertain, so that most of the claims below count seeds. Whether optimism beats plain Adam depends on when one looks: in the quick run it is ahead, and so
# it is in the recorded one for the first 12,000 steps. The verdict is that of the end of the recorded run.
#
# A method that is said to fail deserves its best step size. For SGD with negative momentum that is the 0.1 of the quick run: of 0.01, 0.03, 0.1, 0.3 and 1 (once,
# outside this page, three seeds each) no other scores above 1.6 after 1,500 steps. The recorded run has the review's 0.001 alone.

# %%
by_seed = final.pivot(index="seed", columns="optimizer")
IS = by_seed["IS"]
able = course[course["IS"] > 2]  # by what they draw, whenever that is
collapsed = able[able["classes"] < 8]

# %% tags=["nbval-check-output"]
# Networks that draw nothing score 1 and are level, and so is Adam with itself.
drawn = bool((IS[["Adam", "OAdam", "AdamNM"]] > 2).all(axis=None) and (IS["OAdam"] != IS["Adam"]).all())
ch.require(drawn, f"Adam or a variant of it has learned nothing, or not by itself: {IS.to_dict('index')}")
# A lead after 1,000 steps is not yet one at the end: judged by the table of the larger run.
if recorded is None:
    ch.not_run("oadam-beats-adam-gan", "the full-scale table gan-scores is not recorded")
else:
    ends = recorded[recorded["step"] == recorded["step"].max()].pivot(index="seed", columns="optimizer")
    higher = bool(ends["IS"]["OAdam"].mean() > ends["IS"]["Adam"].mean())
    closer = (ends["FD"]["OAdam"] < ends["FD"]["Adam"]).mean()
    if (ends["IS"][["Adam", "OAdam", "AdamNM"]] > 2).all(axis=None):
        value = {name: ends["IS"][name].mean() for name in ("Adam", "OAdam")}
        value |= {f"{name} in this run": IS[name].mean() for name in ("Adam", "OAdam")}
        value["share of seeds with smaller distance"] = closer
        holds = True if higher and closer >= 2 / 3 else "partly" if higher or closer >= 2 / 3 else False
        ch.claim("oadam-beats-adam-gan", value=value, holds=holds, table="gan-scores")
    else:
        ch.not_run("oadam-beats-adam-gan", "in the recorded run Adam or a variant of it has learned nothing")

# %% tags=["nbval-check-output"]
ratio = IS["SGDNM"] / IS["AdamNM"]
if IS["SGDNM"].min() > 1.2:
    ch.claim("sgdnm-fails", value=ratio.tolist(), holds=bool((ratio < 0.65).all()))
else:
    ch.not_run("sgdnm-fails", "stochastic gradient descent has not trained at all")

# %% [markdown]
# The rest needs the review's scale; the quick run shows the recorded verdict or none.

# %% tags=["nbval-check-output"]
ranks = IS.mean().sort_values(ascending=False)
ch.claim(
    "adamnm-best-gan",
    value=ranks.to_dict(),
    holds=bool(ranks.index[0] == "AdamNM" and ranks.iloc[0] - ranks.iloc[1] > IS.sem()["AdamNM"]),
)
# Two statements about SGD in one: where that about the plain GAN fails, the DCGAN need not be trained for it.
trains = bool(IS["SGD"].mean() > 2 and IS["SGD"].mean() > IS["Adam"].mean())
if ch.full and trains:
    ch.not_run("sgd-positive-momentum", "it holds for the plain GAN, and the DCGAN has not been trained with SGD")
else:
    best = course[course["optimizer"] == "SGD"].groupby("step")["IS"].mean().max()
    value = {"SGD": IS["SGD"].mean(), "SGD at its best checkpoint": best, "Adam": IS["Adam"].mean()}
    ch.claim("sgd-positive-momentum", value=value, holds=trains)

# %% [markdown]
# Two claims about the way there: after how many steps OAdam reaches Adam's final score, and how rough the discriminator's losses are, as the
# deviation from their own running mean.

# %% tags=["nbval-check-output"]
reached = {}
for s in range(seeds):
    own = course[course["seed"] == s]
    target = IS.loc[s, "Adam"]
    good = own[(own["optimizer"] == "OAdam") & (own["IS"] >= target)]
    reached[s] = int(good["step"].min()) if len(good) else 2 * steps
ch.claim("oadam-faster", value=list(reached.values()), holds=sum(v < steps for v in reached.values()) >= 0.8 * seeds)

# %% tags=["nbval-check-output"]
rough = (
    losses.sort_values("step")
    .groupby(["seed", "optimizer"])["discriminator"]
    .apply(lambda loss: (loss - loss.rolling(9, center=True, min_periods=1).mean()).std())
    .unstack()
)
ch.claim(
    "smoother-losses",
    value={name: rough[name].tolist() for name in ("Adam", "AdamNM")},
    holds=bool((rough["AdamNM"] < rough["Adam"]).mean() >= 0.6 and rough["AdamNM"].min() > 0),
)

# %% [markdown]
# ## Modes
#
# Does a GAN miss modes? On the digits we count classes, at every checkpoint at which the Inception Score is above 2. On a ring of eight narrow
# Gaussians modes are known exactly, and two counts must be kept apart: by *nearest centre*, few modes means collapse; within *three standard
# deviations*, few modes may only mean that the samples are not sharp.

# %%
ring, centers = ring_mixture(5000, generator=ch.generator(3))
ring_steps = ch.pick(quick=600, full=10_000, smoke=20)
ring_marks = [max(1, ring_steps // 10), ring_steps // 2, ring_steps]
ring_lr = ch.pick(quick=1e-3, full=2e-4)
ring_variants = [
    Variant("Adam", lr=ring_lr),
    Variant("OAdam", lr=ring_lr, optimism=1.0),
    Variant("AdamNM", lr=ring_lr, beta1=-0.5),
]
rings = trained_ensemble(
    ch, "ring", lambda: MLPGenerator(8, 64, (2,)), lambda: MLPDiscriminator((2,), 64), ring.to(ch.device), ring_variants,
    steps=ring_steps, seeds=ch.pick(quick=3, full=25, smoke=2), snapshots=ring_marks,
)  # fmt: skip

# %%
rows = []
for mark in ring_marks:
    drawn = rings.sample(1000, seed=1, step=mark).cpu()
    nearest, _ = mode_coverage(drawn, centers, 0.02, radius=float("inf"))
    sharp, share = mode_coverage(drawn, centers, 0.02)
    rows += [
        {"step": mark, "seed": s, "optimizer": v.name, "nearest": int(a), "within 3 std": int(b), "share": float(c)}
        for (s, v), a, b, c in zip(rings.members, nearest, sharp, share)
    ]
modes = pd.DataFrame(rows)
ch.save("ring-modes", modes.round(4))
modes.groupby(["step", "optimizer"], sort=False)[["nearest", "within 3 std", "share"]].mean().round(2)

# %% tags=["nbval-check-output"]
missing = modes[(modes["step"] == ring_steps)]["nearest"].min()
on_digits, on_ring = len(collapsed) > 0, missing < 8
ch.claim(
    "mode-collapse",
    value={"instances below 8 classes": len(collapsed), "of them at the end": int((collapsed["step"] == steps).sum()),
           "ring, fewest modes": int(missing)},
    holds=True if on_digits and on_ring else "partly" if on_digits or on_ring else False,
)  # fmt: skip

# %% mystnb={"figure": {"name": "fig-18-ring", "caption": "A thousand samples of the first seed's members on the ring, early, half way and at the end, with the eight centres. All modes are reached; what is lacking is precision: after the quick run the generators draw the circle, not yet its eight points."}, "image": {"alt": "Three by three scatter plots. Early and half way a shapeless cloud, at the end a ring through all eight centres, with some samples inside."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(len(ring_variants), 3, height=2.2, sharex=True, sharey=True)
    for column, mark in enumerate(ring_marks):
        for row, variant in enumerate(ring_variants):
            ax, drawn = axes[row, column], rings.sample(1000, seed=1, step=mark)[row].cpu()
            ax.plot(drawn[:, 0], drawn[:, 1], ".", ms=2, alpha=0.5, rasterized=True)
            ax.plot(centers[:, 0], centers[:, 1], "k+", ms=7)
            ax.set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3))
            axes[0, column].set_title(f"step {mark}")
            axes[row, 0].set_ylabel(f"{variant.name}\n$x_2$")
        axes[-1, column].set_xlabel("$x_1$")

# %% [markdown]
# ## Takeaway
#
# Of the review's first column the order of Adam's variants is there early: for the first forty of sixty epochs at the review's size optimism and
# negative momentum are ahead of plain Adam (so they are in the quick run), and SGD with negative momentum learns little, at its best step size in the
# quick run as at the review's in the recorded one. The lead does not last. In
# the end plain Adam scores 6.5, optimism 6.2 and negative momentum 6.0 (five seeds, standard errors 0.1, 0.2 and 0.5); SGD with momentum rises to
# 3.3 and falls again. Digits are missing while the networks learn, and most are found later; on the ring no mode is empty by nearest centre, a count
# that a shapeless cloud passes as well; within three standard deviations the recorded run finds 3.4 to 5.4 of the eight
# after 10,000 steps on average, by optimizer, and single networks find two to seven.
