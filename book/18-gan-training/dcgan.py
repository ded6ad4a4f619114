# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DCGAN and clipped WGAN: the rest of table 1
#
# The second and third columns of the review's table 1. On the DCGAN the three variants of Adam score alike in the review, and the clipped WGAN is hardly
# legible. Table 2 is that of {doc}`consensus`.
#
# The quick profile trains convolutional networks of width 8 for 150 steps in batches of 32 at $\eta = 10^{-3}$, five times the review's step size, on
# 4,000 digits. That is enough to see what begins to learn at all, not to judge differences of a tenth or what happens after a hundred epochs: the claims
# about variants of Adam and about the WGAN need the full profile. What quick shows of the WGAN is a first look, on perceptrons, with its own numbers. The
# full profile has batches of 200: the WGAN for 60 of the review's 200 epochs, the DCGAN at width 64 for three, which is what a reference for the WGAN
# needs. A command ends after seven minutes, and the next one goes on where it stopped.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools

import pandas as pd

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.gans import (
    DCDiscriminator,
    DCGenerator,
    MLPDiscriminator,
    MLPGenerator,
    Variant,
    draw_thumbnails,
    score_course,
    score_summary,
    score_table,
    thumbnails,
    train_score_net,
    trained_ensemble,
)

ch = Chapter("18-gan-training", notebook="dcgan", profile=profile, seed=seed, full_minutes=8)
steps = ch.pick(quick=150, full=900, smoke=4)  # full: 300 batches of 200 are an epoch
seeds = ch.pick(quick=3, full=3, smoke=2)
width, latent = ch.pick(quick=(8, 32), full=(64, 100), smoke=(2, 8))
batch = ch.pick(quick=32, full=200, smoke=8)
source = "full" if ch.full and not ch.smoke else "bundled"
train = mnist("train", source=source)
images = (train.images * 2 - 1).to(ch.device)
net = train_score_net(images, train.labels.to(ch.device), epochs=ch.pick(quick=6, full=3, smoke=1), seed=ch.seed)
reference = net.embed(images[:10_000])

# %% [markdown]
# ## DCGAN
#
# SGD with negative momentum has two step sizes, the review's 0.001 and the 0.1 of {doc}`mnist-gans`. In the quick run SGD with momentum 0.9 and the one
# with 0.001 have a single seed.

# %%
lr = ch.pick(quick=1e-3, full=2e-4)
adams = [Variant("Adam", lr=lr), Variant("OAdam", lr=lr, optimism=1.0), Variant("AdamNM", lr=lr, beta1=-0.5)]
sgds = [
    Variant("SGD", optimizer="sgd", lr=ch.pick(quick=1e-2, full=1e-3), beta1=0.9),
    Variant("SGDNM", optimizer="sgd", lr=1e-3, beta1=-0.5),
]
sgdnm = Variant("SGDNM, 0.1", optimizer="sgd", lr=0.1, beta1=-0.5)
marks = sorted({max(1, steps * k // 4) for k in (range(1, 5) if ch.full else (2, 4))})
convolutional = lambda: DCGenerator(latent, width), lambda: DCDiscriminator(width)
shared = {"steps": steps, "batch": batch, "snapshots": marks}
dcgans = trained_ensemble(ch, "dcgan", *convolutional, images, [*adams, sgdnm], seeds=seeds, **shared)
with_sgd = trained_ensemble(ch, "dcgan-sgd", *convolutional, images, sgds, seeds=ch.pick(quick=1, full=1), **shared)
course = score_course((dcgans, with_sgd), net, reference, marks)
dc_samples = pd.concat([thumbnails(dcgans), thumbnails(with_sgd)])
ch.save("dcgan-samples", dc_samples)
ch.save("dcgan-scores", course.round(4))
recorded = ch.paper("dcgan-scores")
final = course[course["step"] == steps]
table1 = {"Adam": 2.412, "OAdam": 2.453, "AdamNM": 2.427, "SGD": 2.208, "SGDNM": 1.1}
score_summary(final).assign(**{"IS in table 1": pd.Series(table1)}).map("{:.2f}".format).replace("nan", "-")

# %% mystnb={"figure": {"name": "fig-18-dcgan-samples", "caption": "Samples of the DCGAN of width 8 after the quick run's 150 steps, first seed, the same noise in every row."}, "image": {"alt": "Six rows of twelve small images, one row per optimizer. The three Adam rows show blurred smudges, that of SGD with negative momentum at step size 0.1 bright strokes, some like digits; SGD with momentum 0.9 shows one pattern of dots, that with negative momentum at the small step size grey noise."}} tags=["hide-input"]
if ch.plots:
    draw_thumbnails(dc_samples)

# %% tags=["hide-input"]
dcgan_recorded = ch.paper("dcgan-samples")

# %% mystnb={"figure": {"name": "fig-18-dcgan-samples-full", "caption": "The same after three epochs at width 64, recorded; without SGD with negative momentum at 0.001, which draws spots of noise."}, "image": {"alt": "Five rows of twelve digits, one per optimizer. The three Adam rows and that of SGD with negative momentum at step size 0.1 show digits, from clear to ragged; that of SGD with momentum 0.9 shows a pattern of dots."}} tags=["hide-input"]
if ch.plots and dcgan_recorded is not None:
    draw_thumbnails(dcgan_recorded[dcgan_recorded.variant != "SGDNM"])

# %% mystnb={"figure": {"name": "fig-18-dcgan-course", "caption": "Inception Score and Frechet distance of the DCGAN during training, mean over seeds and two standard errors. Adam's variants, and SGD with negative momentum at 0.1, end within about a tenth of each other; of the two SGDs at small step sizes momentum 0.9 stays near 1. Recorded, three epochs at width 64."}, "image": {"alt": "Two panels over training steps. Four lines of score rise close together, with overlapping bands, to between 4.6 and 4.8, SGD with negative momentum at a small step to 2.4; their distances fall. The line of SGD with momentum 0.9 stays near 1 in the left panel and far above the others in the right one."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves, figure

    data = recorded if recorded is not None else course
    fig, axes = figure(1, 2, height=3.0)
    for ax, name in zip(axes, ("IS", "FD")):
        curves(data, "step", name, "variant", ax=ax, order=list(data["variant"].unique()), markers=True)
        ax.set(xlabel="step", ylabel={"IS": "Inception Score", "FD": "Frechet distance"}[name])
    fig.legend(*axes[0].get_legend_handles_labels(), ncols=6, loc="outside lower center", fontsize=8)

# %% tags=["nbval-check-output"]
adam_like = ["Adam", "OAdam", "AdamNM"]
by_seed = final.pivot(index="seed", columns="variant", values="IS")
# After 150 steps three seeds of a narrow network differ by the tenth in question and more: judged by the recorded table.
if recorded is None:
    ch.not_run("dcgan-variants-close", "the full-scale table dcgan-scores is not recorded")
else:
    ends = recorded[recorded["step"] == recorded["step"].max()].pivot(index="seed", columns="variant", values="IS")
    three = ends[adam_like].mean()
    spread = (three.max() - three.min()) / three.mean()
    # Variants whose parameter is ignored would score not alike but the same, there or in this run.
    differ = min(
        (runs[a] - runs[b]).abs().mean() for runs in (ends, by_seed) for a, b in itertools.combinations(adam_like, 2)
    )
    measured = three.to_dict() | {f"{name} in this run": by_seed[name].mean() for name in adam_like}
    ch.claim(
        "dcgan-variants-close",
        value=measured | {"spread": spread, "least mean difference on a seed": differ},
        holds=False if spread >= 0.1 or differ < 1e-3 else True if three.min() > 2 else "partly",
        table="dcgan-scores",
    )

# %% tags=["nbval-check-output"]
mean = by_seed.mean()
ratio = by_seed["SGDNM, 0.1"] / by_seed["Adam"]
learnt = by_seed["Adam"].min() > 2  # what has learnt nothing scores 1, and keeps up with its like
ch.claim(
    "sgdnm-step-size",
    value={"each seed": ratio.tolist(), "step size 0.001": mean["SGDNM"] / mean["Adam"]},
    holds=bool(learnt and (ratio > 0.8).all() and (ch.full or mean["SGDNM"] < 0.6 * mean["Adam"])),
)

# %% [markdown]
# One row is a surprise. The review has a score of 1.1 for SGD with negative momentum on the DCGAN, and concludes that tuning does not
# help. It names one step size, 0.001. At 0.1 the same method, without any adaptation of its step, draws strokes that score
# at least as high as Adam's smudges, on every seed, and digits in the recorded run; on perceptrons it stays far behind, at the best of five step sizes ({doc}`mnist-gans`).

# %% [markdown]
# ## The clipped WGAN
#
# Perceptrons, five critic steps for one of the generator, parameters of the critic clipped at 0.01, step size $5\cdot10^{-5}$. Clipping bounds the slope of
# the critic by a product of tiny matrices, so that the generator hardly moves: the penalty on the gradient
# {cite}`gulrajani2017improved` was invented for this reason.

# %%
wgan_steps = ch.pick(quick=20, full=3_600, smoke=4)  # full: five batches of 200 each, 60 epochs
wgan_width = ch.pick(quick=64, full=256, smoke=8)
settings = {"loss": "wasserstein", "clip": 0.01}
wasserstein = [
    Variant("WGAN", lr=5e-5, **settings),
    Variant("WGAN OAdam", lr=5e-5, optimism=1.0, **settings),
    Variant("WGAN AdamNM", lr=5e-5, beta1=-0.5, **settings),
    Variant("WGAN SGD", optimizer="sgd", lr=1e-3, beta1=0.9, **settings),
    Variant("WGAN SGDNM", optimizer="sgd", lr=1e-3, beta1=-0.5, **settings),
]
perceptrons = (
    lambda: MLPGenerator(latent, wgan_width, (1, 28, 28)),
    lambda: MLPDiscriminator((1, 28, 28), wgan_width),
)
shared = {"steps": wgan_steps, "batch": batch, "seeds": ch.pick(quick=1, full=5, smoke=1), "critic_steps": 5}
scores, samples = [], []
for name, variants in (("wgan", wasserstein[:3]), ("wgan-sgd", wasserstein[3:])):  # a table after each, Adam's first
    wgans = trained_ensemble(ch, name, *perceptrons, images, variants, **shared)
    scores, samples = [*scores, score_table(wgans, net, reference)], [*samples, thumbnails(wgans)]
    wgan_final, wgan_samples = pd.concat(scores, ignore_index=True), pd.concat(samples)
    ch.save("wgan-scores", wgan_final.round(4))
    ch.save("wgan-samples", wgan_samples)
wgan_recorded = ch.paper("wgan-scores")
wgan_table = {"WGAN": 2.355, "WGAN OAdam": 2.026, "WGAN AdamNM": 2.459, "WGAN SGD": 1.007, "WGAN SGDNM": 1.018}
score_summary(wgan_final)[["IS", "FD", "classes"]].assign(**{"IS in table 1": pd.Series(wgan_table)}).round(2)

# %% tags=["hide-input"]
wgan_drawn = ch.paper("wgan-samples")

# %% mystnb={"figure": {"name": "fig-18-wgan-samples-full", "caption": "Samples of the clipped WGAN at full scale, 60 epochs at width 256, first seed. After the quick run all five are grey noise."}, "image": {"alt": "Five rows of twelve images. The first two, plain Adam and optimism, show digit-like shapes, few and repeated; with negative momentum one blurred blob; with SGD grey noise in a disc; with SGD and negative momentum the same faint shape everywhere."}} tags=["hide-input"]
if ch.plots and wgan_drawn is not None:
    draw_thumbnails(wgan_drawn)

# %% tags=["nbval-check-output"]
order = ["WGAN AdamNM", "WGAN", "WGAN OAdam"]
if wgan_recorded is None:
    ch.not_run("wgan-adamnm-best", "the full-scale table wgan-scores is not recorded")
else:
    wgan_mean, wgan_error = (getattr(wgan_recorded.groupby("variant")["IS"], kind)() for kind in ("mean", "sem"))
    wgan_worst = wgan_recorded.groupby("variant")["IS"].min()
    ch.require(wgan_mean[order].nunique() == 3, f"two of the WGANs are one: {wgan_mean.to_dict()}")
    if (wgan_worst[order] > 2).all():  # as for the plain GAN: below 2 there is no order yet
        gaps = [wgan_mean[a] - wgan_mean[b] - max(wgan_error[a], wgan_error[b]) for a, b in itertools.pairwise(order)]
        ch.claim("wgan-adamnm-best", value=wgan_mean[order].to_dict(), holds=bool(min(gaps) > 0), table="wgan-scores")
    else:
        ch.not_run("wgan-adamnm-best", "some networks of each variant are still below 2 after the recorded epochs")
if wgan_recorded is None or "WGAN SGD" not in wgan_mean or recorded is None:
    ch.not_run("wgan-weak", "its full-scale scores, or those of the DCGAN, are not recorded")
else:
    last = recorded[(recorded["variant"] == "Adam") & (recorded["step"] == recorded["step"].max())]["IS"].mean()
    starts = bool(wgan_mean["WGAN"] > 1.2 and wgan_mean["WGAN SGD"] < 1.2)
    level = bool(wgan_worst["WGAN"] > 2 and abs(wgan_mean["WGAN"] / last - 1) < 0.1)
    ch.claim(
        "wgan-weak",
        value=wgan_mean.to_dict() | {"DCGAN": last},
        holds=starts and (level or "partly"),
        table="wgan-scores",
    )

# %% [markdown]
# Recorded on 60 of the review's 200 epochs, five seeds: with SGD nothing starts (1.00 and 1.01, as in the review). Of the three Adams the plain one has 2.0
# +- 0.2, optimism 1.5 +- 0.3, negative momentum, best in the review, 1.2 +- 0.1. That is no order yet: of each of the three some seeds are below 2,
# the mark above which variants are compared here ({doc}`mnist-gans`), with negative momentum three of five still draw what scores 1.00, as a network does
# before it has learnt anything. So their order is not judged. Nor is it said whether the WGAN comes to the height of the DCGAN, where the review's table has it:
# the DCGAN scores 4.8 after three epochs, and the WGAN is on its way.

# %% [markdown]
# ## Takeaway
#
# On the DCGAN the variants of Adam score alike after three epochs, as in the review after 200, and SGD with negative
# momentum joins them once its step size is large enough. How they compare after 200 epochs is open. The clipped WGAN on
# perceptrons has only begun to learn after 60 epochs, with SGD it has not. How Adam's variants compare on it takes
# longer training to say.
