# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What label smoothing leaves behind
#
# Label smoothing {cite}`szegedy2016rethinking` helps a network and, say {cite:t}`muller2019when`, spoils it as a teacher: it draws the examples of a class together in
# the penultimate layer, so that the logits no longer tell how one 3 differs from another. Three links of a chain: clusters, information, worse
# students. Networks of two hidden layers of 100 units on 2,000 digits, smoothing $\epsilon = 0, 0.1, 0.3$, five paired seeds, each with a sample of its own
# (drawn from 4,000, so that two of them share half; at full scale from 60,000).

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.distillation import (
    SoftTargets, cluster_tightness, digit_sets, last_values, logit_information, paired_gains, perceptrons,
    plane_through_means, random_shift, train_students,
)  # fmt: skip
from litrepro.training import cosine

ch = Chapter("15-distillation", notebook="label-smoothing", profile=profile, seed=seed, full_minutes=5)
n_train = ch.pick(quick=2000, full=20_000, smoke=100)
side = ch.pick(quick=14, full=28, smoke=14)
epochs = ch.pick(quick=40, full=100, smoke=2)
student_epochs = ch.pick(quick=300, full=300, smoke=1)
seeds = ch.pick(quick=5, full=5, smoke=2)
batch = ch.pick(quick=50, full=200, smoke=50)
numbers = list(range(seed, seed + seeds))
K = 10
levels = [0.0, 0.1, 0.3]
torch.set_flush_denormal(True)  # a CPU takes long over numbers below 1e-38, which units that have died leave in Adam

# %%
source = "full" if ch.full and not ch.smoke else "bundled"
(x, y), test = digit_sets(n_train, size=side, source=source, device=ch.device, seed=numbers)
options = {"batch_size": batch, "optimizer": "adam", "schedule": cosine, "evaluate_on": {"test": test}}
flat = torch.full((n_train, K), 1 / K)
smoothing = {str(e): SoftTargets(flat, e) if e else SoftTargets() for e in levels}


# %%
def by_level(stack):
    """(M, ...) of all members as (levels, seeds, ...)."""
    return stack.unflatten(0, (len(levels), seeds))


def hidden(ensemble, images):
    """Penultimate layers (levels, seeds, n, q) of images (n, ...), or (seeds, n, ...)."""
    images = images.expand(seeds, *images.shape[-4:])
    with torch.no_grad():
        return by_level(torch.stack([ensemble.member(m).features(images[m % seeds]) for m in range(len(ensemble))]))


def tightness_of(ensemble, images, labels):
    """Cluster tightness (levels, seeds); seeds may have their own labels."""
    features, labels = hidden(ensemble, images), labels.expand(seeds, labels.shape[-1])
    return torch.stack([cluster_tightness(features[:, i], labels[i]) for i in range(seeds)], 1)


# %% [markdown]
# While they train we look at test images of pairs of similar classes, each image in 16 shifted copies. The information of one scalar, the difference of the two
# logits, about *which image it is* is estimated as in {cite:t}`muller2019when`: copies of one image are a Gaussian around their mean. Mean of four pairs.

# %%
pairs = [(4, 9), (3, 5), (3, 8), (7, 9)]
each = ch.pick(quick=100, full=500, smoke=10)
generator = torch.Generator(device=ch.device).manual_seed(seed)
copies = {}
for pair in pairs:
    chosen = torch.cat([(test[1] == c).nonzero()[:each, 0] for c in pair])
    copies[pair] = torch.cat([random_shift(test[0][chosen], generator) for _ in range(16)])


# %%
watched = []
checkpoints = ch.pick(
    quick=[1, 2, 4, 8, 16, 28, 40], full=[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 50, 75, 100], smoke=[1, 2]
)
checkpoints = sorted({*(epoch for epoch in checkpoints if epoch < epochs), epochs})


def known(ensemble, pair):
    """Information of z_a - z_b about the image, (levels, seeds)."""
    with torch.no_grad():
        z = ensemble(copies[pair])
    scalar = (z[..., pair[0]] - z[..., pair[1]]).unflatten(1, (16, -1)).transpose(1, 2)
    return by_level(logit_information(scalar))


def watch(epoch, ensemble):
    """Information and tightness after an epoch."""
    if epoch not in checkpoints:
        return
    information = sum(known(ensemble, pair) for pair in pairs) / len(pairs)
    tight = {name: tightness_of(ensemble, *part) for name, part in (("train", (x, y)), ("test", test))}
    for i, e in enumerate(levels):
        for j, s in enumerate(numbers):
            row = {"epoch": epoch, "eps": e, "seed": s, "information": information[i, j].item()}
            watched.append(row | {name: value[i, j].item() for name, value in tight.items()})


# %%
teachers = train_students(
    perceptrons(side, 100, 100), numbers, (x, y), smoothing, epochs=epochs, lr=2e-3, callback=watch, eval_every=epochs,
    **options,
)  # fmt: skip
course = pd.DataFrame(watched)
recorded = ch.table("label-smoothing", course.round(5))
scales = ch.scales(course, recorded)
helps = paired_gains(teachers.history, "0.0")

# %% tags=["hide-input"]
(100 * helps).round(1).rename(columns={"mean": "accuracy (%)", "error": "s.e."}).rename_axis("eps")

# %% tags=["nbval-check-output"]
ch.claim(
    "ls-helps",
    value={"gain": 100 * helps.gain["0.1"], "s.e.": 100 * helps.error["0.1"]},
    holds=bool(helps.gain["0.1"] > 2 * helps.error["0.1"] and helps["mean"]["0.0"] > 0.85),
)

# %% [markdown]
# ## Clusters
#
# Penultimate layers of three classes on the plane through their means, as in the original figures: training images above, test images below.

# %% mystnb={"figure": {"name": "fig-15-clusters", "caption": "Penultimate layer of the digits 4, 7 and 9 on the plane through the three class means, without smoothing and with epsilon 0.1 and 0.3; training images above, test images below. Axes are scaled by the distance of the means."}, "image": {"alt": "Six scatter plots with three clouds each. Without smoothing the clouds are broad and touch each other; with smoothing they shrink and draw apart towards the corners of a triangle, on training images cleanly, on test images with stragglers."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    classes = (4, 7, 9)
    fig, axes = figure(2, 3, height=2.7)
    for row, (name, (images, labels)) in zip(axes, (("training", (x, y)), ("test", test))):
        features, labels = hidden(teachers, images)[:, 0].cpu(), labels.expand(seeds, labels.shape[-1])[0]
        three = torch.isin(labels, torch.tensor(classes, device=labels.device)).cpu()
        for ax, e, points in zip(row, levels, features):
            flat_points = plane_through_means(points[three], labels.cpu()[three], classes)
            own = [labels.cpu()[three] == c for c in classes]
            scale = torch.stack([flat_points[mask].mean(0) for mask in own]).norm(dim=1).mean()
            for c, mask in zip(classes, own):
                ax.scatter(*(flat_points[mask] / scale).T, s=5, alpha=0.6, label=c)
            ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
            ax.set_title(f"{name}, eps = {e:g}", fontsize=9)
    axes[0, 0].legend(title="digit", fontsize=7, markerscale=2)

# %% [markdown]
# As a number: the mean squared distance to the own class mean, over that of the class means to their centre.


# %%
def tightness(table):
    """Ratios after the last epoch: a row per seed, columns (part, eps)."""
    last = table[table.epoch == table.epoch.max()]
    return last.pivot_table(index="seed", columns="eps", values=["train", "test"])


final = tightness(course)
pd.concat({name: tightness(table).mean().unstack() for name, table in scales.items()}).round(2)

# %% tags=["nbval-check-output"]
tighter = [bool((final[part][0.1] < 0.95 * final[part][0.0]).all()) for part in ("train", "test")]
ch.claim(
    "ls-clusters",
    value={f"{part}, eps = {e}": final[part][e].mean() for part in ("train", "test") for e in levels},
    holds=True if all(tighter) else "partly" if any(tighter) else False,
)

# %% [markdown]
# ## Information

# %% mystnb={"figure": {"name": "fig-15-information", "caption": "Left: information of the difference of two logits about which test image it comes from, during training; band: two standard errors over five seeds. Right: tightness of the clusters of the training images. Above: the quick run; below: the recorded full run, on 20,000 digits of 28 x 28 pixels, with more test images to tell apart."}, "image": {"alt": "Left, against epochs on a logarithmic axis: all three curves rise at first; with smoothing they peak and fall, by a little in the quick run and by a quarter in the full one, where the curve without smoothing stays nearly level to the end. Right: the tightness ratio falls far with smoothing, and little without."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves

    def draw(axes, table, name):
        for ax, what, label in zip(axes, ("information", "train"), ("information (nats)", "tightness ratio")):
            curves(table, "epoch", what, "eps", ax=ax, order=levels, markers=True, logx=True)
            ax.set(xlabel="epoch", ylabel=label)
            ax.set_title(name, fontsize=9)

    _, axes = figure(len(scales), 2, height=2.9, squeeze=False)
    for row, (name, table) in zip(axes, scales.items()):
        draw(row, table, name)
    axes[0, 1].legend(title=r"$\epsilon$", fontsize=8)


# %%
def fall(table, e):
    """Information at its maximum minus that at the end: paired mean and standard error.

    Where the maximum lies, the mean curve of the other seeds says: chosen by a seed's own noise it would fall anyway.
    """
    bits = table[table.eps == e].pivot_table(index="seed", columns="epoch", values="information")
    others = {s: bits.drop(s) if len(bits) > 1 else bits for s in bits.index}
    lost = pd.Series({s: bits.loc[s, rest.mean().idxmax()] for s, rest in others.items()}) - bits[bits.columns[-1]]
    return lost.mean(), lost.sem()


def rise(table, e):
    """Information at the maximum of the mean curve minus that at the first checkpoint: paired mean and standard error."""
    bits = table[table.eps == e].pivot_table(index="seed", columns="epoch", values="information")
    won = bits[bits.mean().idxmax()] - bits[bits.columns[0]]
    return won.mean(), won.sem()


# %% tags=["nbval-check-output"]
if recorded is None:
    ch.not_run("ls-information-drops", "the full-scale table label-smoothing is not recorded")
else:
    falls, won = {e: fall(recorded, e) for e in levels}, rise(recorded, 0.1)
    rises = bool(won[0] > 2 * won[1] and won[0] > 0)
    drops = {e: bool(mean > 2 * error and mean > 0) for e, (mean, error) in falls.items()}
    spent = {f"eps = {e}": {"fall": mean, "s.e.": 0.0 if pd.isna(se) else se} for e, (mean, se) in falls.items()}
    ch.claim(
        "ls-information-drops",
        value=spent | {"rise at eps = 0.1": won[0]},
        holds=(True if not drops[0.0] else "partly") if rises and drops[0.1] else False,
        table="label-smoothing",
    )

# %% [markdown]
# The falls in nats, with standard errors:

# %% tags=["hide-input"]
lost = {name: {f"eps = {e:g}": fall(table, e) for e in levels} for name, table in scales.items()}
pd.DataFrame(lost).map(lambda pair: f"{pair[0]:.3f} ± {pair[1]:.3f}")

# %% [markdown]
# In the quick run only the fall at $\epsilon=0.1$ can be told, and it is small. The full run, by which the claim is judged, trains longer, on ten times the digits: with
# smoothing about a quarter of the information is lost from the peak on, steadily, while the clusters go on contracting. Without smoothing the clusters stay and
# the information falls as well, by less than two hundredths; small as this is, it is twice its error, just enough to say that the claim holds in part.
#
# ## Students of smoothed teachers
#
# The same student of 20 units, distilled at $T = 4$ and weight 0.9 from the plain and from the smoothed teachers, for 300 epochs at both scales. It takes long:
# with the teachers' batches of 50, after 100 epochs the difference is half a point with an error nearly as large, after 1,000 more than two points (once, outside this page).
# And it takes many digits: with 2,000 the samples differ by as much as the teachers, so the full run judges.

# %%
with torch.no_grad():
    logits = by_level(teachers(x.repeat(len(levels), 1, 1, 1, 1), per_member=True))
taught = ch.pick(quick=levels[:2], full=levels)
steps = ch.pick(quick={"batch_size": 100, "lr": 8e-3}, full={"batch_size": 200, "lr": 5e-3})
variants = {f"eps = {e:g}": SoftTargets.from_logits(logits[levels.index(e)], temperature=4.0) for e in taught}
history = train_students(
    perceptrons(side, 20, shift=500), numbers, (x, y), variants, epochs=student_epochs, eval_every=student_epochs,
    **(options | steps),
).history  # fmt: skip
named = teachers.history.assign(variant="eps = " + teachers.history.variant).replace("eps = 0.0", "eps = 0")
ends = pd.concat([last_values(part).assign(role=role) for role, part in (("teacher", named), ("student", history))])
at_scale = ch.table("smoothed-teachers", ends.drop(columns="seconds"))
scales = ch.scales(ends, at_scale)


# %% tags=["hide-input"]
def roles(table):
    """Accuracies in percent, and gains over no smoothing in points, of the teachers and of their students."""
    gains = {role: 100 * paired_gains(part, "eps = 0") for role, part in table.groupby("role", sort=False)}
    return pd.concat(gains, names=["network"]).rename(columns={"mean": "accuracy (%)", "error": "s.e."})


pd.concat({name: roles(table) for name, table in scales.items()}).round(2) + 0.0

# %% tags=["nbval-check-output"]
if at_scale is None:
    ch.not_run("ls-teacher-worse", "the full-scale table smoothed-teachers is not recorded")
else:
    worse = {name: roles(table).xs("eps = 0.1", level="variant") for name, table in scales.items()}
    found = worse["full scale"]
    # The smoothed teachers are no worse themselves, and their students learn, at every scale that is shown.
    sound = all(bool(t.gain["teacher"] >= 0 and t["accuracy (%)"]["student"] > 80) for t in worse.values())
    ch.claim(
        "ls-teacher-worse",
        value={name: part.loc["student", ["gain", "s.e."]].to_dict() for name, part in worse.items()},
        holds=bool(-found.gain["student"] > 2 * found["s.e."]["student"]) and sound,
        table="smoothed-teachers",
    )

# %% [markdown]
# One temperature need not be fair to both kinds of teachers. The logits of smoothed ones lie closer together, so that at $T=4$ their targets are nearly uniform (mean probability of
# the true class 0.26, entropy 2.19 of at most 2.30 nats, in the quick run), where those of plain teachers name the digit (0.68 and 1.10). So students of
# the smoothed teachers were also distilled at lower temperatures (once, outside this page, on the digits of the quick run, for 600 epochs, three of its seeds). They stay behind those of the plain teachers at $T=4$: by
# 0.5 ± 0.5 points at 2, 0.6 ± 0.3 at 1.5 and 1.5 ± 0.8 at 1, against 1.1 ± 0.5 at 4. The sign does not turn, but about half of the difference may be a matter of temperature, and
# at 2, which suits the plain teachers less (0.7 ± 0.3 behind their own 4), the two are level. At full scale only 4 is recorded.
#
# ## Takeaway
#
# The first link of the chain holds clearly: the ratio falls by more than a third on training images and by a fifth on
# test images; at full scale by a half and by more than two fifths. The second holds in part, at full scale: the loss is
# about eighteen times that of the plain networks, but these should have lost nothing. The third, the worse student, is
# plain there at $T=4$: 1.4 points, from teachers that are themselves better than the plain ones by 0.3.
