# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Table 3: targets with and without a teacher
#
# The review trains one small network with hand-made targets (uniform, geometric, a reduced gap) and with a teacher's, and finds
# all of them better than hard labels, the geometric one nearly as good as the teacher. Its table has one run per row. Differences of
# 0.1 to 0.5 points lie within the spread over seeds, so here every row is a difference over **paired** seeds: equal initial weights,
# equal order of the examples. On the digits every seed has a sample of its own.
#
# At full scale the networks are the review's, ShuffleNetV2 {cite}`ma2018shufflenet` (of half the width) and ResNet-18 {cite}`he2016deep`, on
# 10,000 images of CIFAR-10, trained for 20 epochs in batches of 50, with momentum 0.9 and weight decay $5\cdot10^{-4}$ (the review uses Adam
# and all images); one ResNet-18 teaches all students there. The quick
# run has five times 1,000 digits of 14 x 14 pixels and perceptrons. **What it cannot show**: anything about the review's numbers. What it can show is
# which targets help *a* student, how much seeds matter, and what in the targets does the work.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import cifar10
from litrepro.distillation import (
    SoftTargets, digit_sets, gap_profile, geometric_profile, mimic_loss, paired_gains, perceptrons, random_shift,
    ranked_targets, regularized_loss, shuffle_wrong_classes, target_information, train_students, uniform_targets,
)  # fmt: skip
from litrepro.nets import resnet18, shufflenetv2
from litrepro.training import Rounded, cosine, fit, fit_ensemble, train_in_turn

# %%
ch = Chapter("15-distillation", notebook="targets", profile=profile, seed=seed, full_minutes=8)
digit_sizes = ch.pick(
    quick={"n_train": 1000, "n_test": 1000, "epochs": 100, "seeds": 5},
    full={"n_train": 1000, "n_test": 1000, "epochs": 100, "seeds": 5},
    smoke={"n_train": 40, "n_test": 20, "epochs": 1, "seeds": 2},
)
cifar_sizes = ch.pick(
    quick=None,
    full={"n_train": 10_000, "n_test": 10_000, "epochs": 20, "seeds": 3, "batch_size": 50, "lr": 0.05, "width": 0.5},
    smoke={"n_train": 40, "n_test": 20, "epochs": 1, "seeds": 2, "batch_size": 20, "lr": 0.01, "width": 0.5},
)
alpha = ch.pick(quick=0.9, full=0.9)  # weight of the soft term
T = ch.pick(quick=4.0, full=4.0)
K = 10
torch.set_flush_denormal(True)  # a CPU takes long over numbers below 1e-38, which units that have died leave in Adam

# %% [markdown]
# ## The targets
#
# Every kind enters one loss, with the weight of the soft term $\alpha = 0.9$:
#
# $$
# (1-\alpha)\,\mathrm{CE}(y, p) + \alpha T^2\,\mathrm{KL}\big(t \,\|\, \mathrm{softmax}(z/T)\big) .
# $$
#
# The review does not say how its geometric and reduced-gap targets order the wrong classes. We take the order of the student's own logits after an
# earlier training, the only similarity that is at hand without a teacher. Self-KD uses those logits as a teacher's; virtual-KD
# {cite}`yuan2020revisiting` a made-up one that puts 0.99 on the true class, at $T=20$.
#
# Two controls are ours. *Shuffled* keeps every target's probabilities and permutes those of the wrong classes at random, example by example;
# *flat* keeps the probability of the true class and spreads the rest evenly. Both have no idea which class resembles which. Flat targets keep the
# regularization and the teacher's view of which examples are hard; shuffled ones have the entropy of the teacher's, too. On the digits a third control, *hard, shifts*, has
# the labels and the shifted copies that the teachers see and the other students do not.


# %%
def made_by_hand(y, own):
    """Targets without a teacher: a profile over the classes, uniform or ranked by the logits (S, n, K) of an earlier self."""
    labels = y.expand(own.shape[:-1])
    profiles = {
        "geometric 0.90": geometric_profile(K, 0.9), "geometric 0.99": geometric_profile(K, 0.99),
        "reduced gap": gap_profile(K, 0.9, 0.82),
    }  # fmt: skip
    virtual = (uniform_targets(y, K, peak=0.99).log() / 20).softmax(-1)
    return {
        "self-KD": SoftTargets((own / T).softmax(-1), alpha, T),
        "virtual-KD": SoftTargets(virtual, alpha, 20.0),
        "uniform 0.90": SoftTargets(uniform_targets(y, K, peak=0.9), alpha),
        "uniform 0.99": SoftTargets(uniform_targets(y, K, peak=0.99), alpha),
    } | {name: SoftTargets(ranked_targets(labels, own, p).float(), alpha) for name, p in profiles.items()}


def kinds(y, teacher, own, generator):
    """Targets by name, for the logits (S, n, K) of the teachers and of the student's earlier self."""
    labels, soft = y.expand(own.shape[:-1]), (teacher / T).softmax(-1)
    top = soft.gather(-1, labels[..., None])
    true = labels[..., None] == torch.arange(K, device=y.device)
    return {
        "hard": SoftTargets(),
        "KD, T = 1": SoftTargets(teacher.softmax(-1), alpha),
        "KD": SoftTargets(soft, alpha, T),
        "KD, T = 20": SoftTargets((teacher / 20).softmax(-1), alpha, 20.0),
        **made_by_hand(y, own),
        "shuffled KD": SoftTargets(shuffle_wrong_classes(soft, labels, generator=generator), alpha, T),
        "flat KD": SoftTargets(torch.where(true, top, (1 - top) / (K - 1)), alpha, T),
    }


# %% [markdown]
# On the digits all kinds and all seeds are one ensemble. Teachers see shifted copies, or they would be certain of every example.


# %%
epochs, numbers = digit_sizes["epochs"], range(seed, seed + digit_sizes["seeds"])
student = perceptrons(14, 50)


def digit_teachers(x, y, options):
    """The teachers of all seeds, and the students' earlier selves."""
    labels = {"labels": SoftTargets()}
    teachers = train_students(
        perceptrons(14, 400, 400), numbers, (x, y), labels, epochs=max(1, epochs * 3 // 10), lr=2e-3, augment=random_shift, **options
    )  # fmt: skip
    again = [s + 100 for s in numbers]
    earlier = train_students(student, again, (x, y), labels, epochs=max(1, epochs * 4 // 10), lr=5e-3, **options)
    return teachers, earlier


def mimicking(x, logits, test, options):
    """Test accuracies of students that mimic the teachers' logits, as rows of a history."""
    mimics = fit_ensemble(
        student, numbers, (x, logits), loss=lambda z, v: mimic_loss(z, v, center=True) / K, metrics=[], epochs=epochs,
        lr=5e-3, per_member=("x", "y"), **{**options, "evaluate_on": {}},
    )  # fmt: skip
    right = (mimics(test[0]).argmax(-1) == test[1]).double().mean(1).tolist()
    rows = [("mimic", s, epochs, "test", "accuracy", a) for s, a in zip(numbers, right)]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "split", "metric", "value"])


# %%
def digits():
    """Histories of all kinds and seeds, the targets, the labels, and the teachers' mean accuracy."""
    (x, y), test = digit_sets(digit_sizes["n_train"], device=ch.device, seed=numbers)
    options = {"batch_size": 50, "optimizer": "adam", "schedule": cosine, "evaluate_on": {"test": test}}
    options |= {"eval_every": epochs}
    teachers, earlier = digit_teachers(x, y, options)
    logits = teachers(x, per_member=True)
    targets = kinds(y, logits, earlier(x, per_member=True), ch.generator(1))
    train = {"epochs": epochs, "lr": 5e-3, **options}
    students = train_students(student, numbers, (x, y), targets, **train).history
    shifted = {"hard, shifts": SoftTargets()}
    control = train_students(student, numbers, (x, y), shifted, augment=random_shift, **train).history
    table = pd.concat([students, control, mimicking(x, logits, test, options)])
    above = teachers.history.query("split == 'test' and metric == 'accuracy'").groupby("member")["value"].last()
    return table, targets, y, float(above.mean())


# %% [markdown]
# At full scale networks train one by one, each resumed from its last epoch; a command stops after seven minutes and the next one goes on. Their
# order is that of the questions: hard labels and the teacher's first, then the student's own and a made-up teacher's, then the hand-made
# targets, controls last. After every command the table holds what is complete over all seeds, and what can be judged from it is judged.
# The student's earlier self is the one that was trained on hard labels from the next seed. The targets of a network are its answers to the images as
# they are, taken once, while the students see crops and mirror images of them.


# %%
plan = [
    "hard", "KD", "virtual-KD", "self-KD", "geometric 0.99", "uniform 0.99", "reduced gap", "geometric 0.90", "uniform 0.90",
    "shuffled KD", "flat KD", "KD, T = 1", "KD, T = 20",
]  # fmt: skip


# %%
def images(split):
    """Images of CIFAR-10 in [-1, 1] with labels, on the device."""
    part = cifar10(split, n=cifar_sizes[f"n_{split}"], balanced=ch.smoke, seed=seed)
    return (part.images * 2 - 1).to(ch.device), part.labels.to(ch.device)


def train_one(name, s, kind, train, test, epochs=None):
    """The network and its history, or None if time ran out before its end."""
    if name == "teacher":
        model = Rounded(resnet18(seed=s), cpu=True)
    else:  # in bfloat16 depthwise convolutions are slower on a CPU
        model = Rounded(shufflenetv2(cifar_sizes["width"], seed=s))
    epochs, (x, y) = epochs or cifar_sizes["epochs"], train
    soft = torch.full((1, len(y), K), 1 / K, device=y.device) if kind.targets is None else kind.targets
    alpha, T = (0.0, 1.0) if kind.targets is None else (kind.alpha, kind.temperature)

    def loss(z, targets):
        return regularized_loss(z, *targets, alpha=alpha, temperature=T, scale=T**2)

    history = fit(
        model, (x, (y, soft.reshape(-1, len(y), K)[0])), epochs=epochs, batch_size=cifar_sizes["batch_size"],
        momentum=0.9, weight_decay=5e-4, lr=cifar_sizes["lr"], schedule=cosine, loss=loss, seed=s, evaluate_on={"test": test}, metrics=["accuracy"],
        eval_every=epochs, augment=lambda x, g: random_shift(x, g, pixels=4, mirror=True),
        checkpoint=ch.scratch(f"{name}-{s}-{epochs}-{cifar_sizes['batch_size']}.pt"), callback=lambda *_: ch.out_of_time(),
        cuda_graph=True,
    )  # fmt: skip
    return (model, history.assign(variant=name, seed=s)) if history.epoch.max() == epochs else None


# %%
def joined(histories):
    """One table of them; an empty one where no run is finished."""
    none = pd.DataFrame({"variant": [], "seed": []})
    return pd.concat(histories, ignore_index=True).drop(columns="seconds") if histories else none


@torch.no_grad()
def answers(model, x):
    """Logits (1, n, K) of a network in eval mode."""
    return torch.cat([model(part) for part in x.split(1000)])[None]


# %%
def cifar():
    """Histories of the teacher and of every kind that is complete over all seeds, and whether all are."""
    train, test = images("train"), images("test")
    numbers, logits = list(range(seed, seed + cifar_sizes["seeds"])), {}

    def one(run):
        name, s = run
        kind = SoftTargets()
        if name not in ("teacher", "hard"):
            own = logits["hard", numbers[(numbers.index(s) + 1) % len(numbers)]]
            kind = kinds(train[1], logits["teacher", seed], own, ch.generator(100 + s))[name]
        model, history = train_one(name, s, kind, train, test) or (None, None)
        if model and name in ("teacher", "hard"):
            logits[run] = answers(model, train[0])
        return history

    runs = [("teacher", seed)] + [(name, s) for name in plan for s in numbers]
    rows, finished = train_in_turn(runs, one, stop=ch.out_of_time, progress=lambda runs: ch.progress(runs, "runs"))
    table = joined(rows)
    complete = table.groupby("variant").seed.transform("nunique") == len(numbers)
    return table[complete | (table.variant == "teacher")], finished


# %%
recorded = None
if ch.full:
    recorded, finished = cifar()
    if "KD" in set(recorded.variant):
        ch.save("table3", recorded)
    if not finished:
        ch.pause()  # what the table holds is judged when the page is executed
history, targets, labels, teacher_accuracy = digits()
if not ch.full:
    ch.save("table3", history)
    recorded = ch.paper("table3")
small = paired_gains(history, "hard")
gains = None if recorded is None else paired_gains(recorded[recorded.variant != "teacher"], "hard")

# %% [markdown]
# Targets that lose may only be slow to fit, and a teacher that has trained for as long may have more to say. The
# review's kinds, without our controls, are therefore trained again, three times as long: distillation with a ResNet-18
# that was trained three times as long, too; the hand-made targets as they were, ranked by the student after the short
# training; and self-KD from the other seed's network after the long one, since an earlier self that is ten points
# behind holds the student back. There are two seeds, so that one standard error serves all kinds: the root of the mean
# square of theirs.


# %%
def longer(names, seeds, epochs):
    """Histories of hard labels, a teacher and the kinds of ``names`` after so many epochs, and whether all are finished."""
    train, test = images("train"), images("test")
    numbers, logits = [seed + s for s in range(seeds)], {}

    def earlier(s):
        """The next seed's logits after the short training, or None if time ran out."""
        found = train_one("hard", seed + (s - seed + 1) % cifar_sizes["seeds"], SoftTargets(), train, test)
        return found and answers(found[0], train[0])

    def targets_of(name, s):
        """The targets of a kind, or None if time ran out before what they are made of was trained."""
        if name in ("teacher", "hard"):
            return SoftTargets()
        if name == "KD":
            own = teacher = logits["teacher", seed]
        else:
            own = logits["hard", numbers[(numbers.index(s) + 1) % seeds]] if name == "self-KD" else earlier(s)
            teacher = own
        return None if own is None else kinds(train[1], teacher, own, ch.generator(100 + s))[name]

    def one(run):
        kind = targets_of(*run)
        model, history = (kind and train_one(*run, kind, train, test, epochs)) or (None, None)
        if model and run[0] in ("teacher", "hard"):
            logits[run] = answers(model, train[0])
        return history

    runs = [("teacher", seed)] + [(name, s) for name in ["hard", *names] for s in numbers]
    rows, finished = train_in_turn(runs, one, stop=ch.out_of_time, progress=lambda runs: ch.progress(runs, "longer"))
    return joined(rows), finished


# %%
compared = [
    "KD", "geometric 0.99", "self-KD", "virtual-KD", "uniform 0.99", "reduced gap", "geometric 0.90", "uniform 0.90",
]  # fmt: skip
again = ch.pick(
    quick=None,
    full={"names": compared, "seeds": 2, "epochs": 60},
    smoke={"names": compared[:3], "seeds": 2, "epochs": 2},
)
if ch.full:
    thrice, finished = longer(**again)
    if not finished:
        ch.pause()
    ch.save("table3-longer", thrice)
else:
    thrice = ch.paper("table3-longer")
late = None
if thrice is not None:
    late = paired_gains(thrice[thrice.variant != "teacher"], "hard")
    late["error"] = late.error[late.index != "hard"].pow(2).mean() ** 0.5

# %% [markdown]
# ## Gains over hard labels
#
# In points of test accuracy, beside the review's (its differences to 91.74).

# %% tags=["hide-input"]
reported = {
    "KD": 1.12, "uniform 0.90": 0.47, "geometric 0.90": 0.56, "uniform 0.99": 0.77, "reduced gap": 0.81, "geometric 0.99": 0.97,
}  # fmt: skip
shown = pd.DataFrame(
    {
        "accuracy (%)": 100 * small["mean"],
        "gain": 100 * small.gain,
        "two s.e.": 200 * small.error,
        "the review, CIFAR-10": pd.Series(reported),
    }
).loc[small.index]
(shown.round(1) + 0.0).map("{:.1f}".format).replace("nan", "-")

# %% mystnb={"figure": {"name": "fig-15-targets", "caption": "Paired gains over hard labels with two standard errors: the quick run on digits, the review's differences on CIFAR-10 (single runs), and the recorded full-scale runs."}, "image": {"alt": "Horizontal error bars, one per kind of targets. On the digits KD at T = 4 and 20, hard labels with shifted copies and mimicking gain most, flat KD and virtual-KD less; geometric and reduced-gap targets lie to the left of zero. On CIFAR-10 after 20 epochs only KD lies to the right of zero, self-KD farthest to the left; after 60 KD gains nearly a point, self-KD half a point, and all hand-made targets lie within half a point of zero. The review's crosses all lie between 0.4 and 1.2 points."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    order = [name for name in small.sort_values("gain", ascending=False).index if name != "hard"]
    fig, ax = figure(height=4.6)

    def errorbars(ax, table, offset, label, colour):
        rows = [name for name in order if name in table.index]
        places, style = [order.index(name) + offset for name in rows], {"fmt": "o", "ms": 4, "color": colour}
        ax.errorbar(100 * table.gain[rows], places, xerr=200 * table.error[rows], label=label, **style)

    errorbars(ax, small, 0.0, "digits, quick run", "C0")
    if gains is not None:
        errorbars(ax, gains, 0.22, f"CIFAR-10, {recorded.epoch.max()} epochs (recorded)", "C2")
    if late is not None:
        errorbars(ax, late.drop("hard"), 0.44, f"CIFAR-10, {thrice.epoch.max()} epochs (recorded)", "C3")
    crosses = [name for name in order if name in reported]
    heights = [order.index(name) for name in crosses]
    ax.plot([reported[name] for name in crosses], heights, "x", color="C1", label="the review (one run)")
    ax.axvline(0, color="0.6", lw=1)
    ax.set(yticks=range(len(order)), yticklabels=order, xlabel="gain in test accuracy (points)")
    ax.invert_yaxis()
    ax.legend(fontsize=8, loc="lower right")

# %% [markdown]
# On the digits two things decide. *Training time*: after 20 epochs (not shown) distillation at $T\ge4$ costs two to
# four points, because a teacher's answers are harder to fit; after 100 the order is reversed (with 30 hidden units
# instead of 50, not shown either, only at $T=4$: the smaller the student, the longer it takes). *Who says which class
# comes second*: a ranking by the student's own logits, repeated for every example with the same sizes, is confidently
# wrong too often, and the more mass it moves the more it costs. Targets that rank nothing (flat, virtual-KD) gain one
# to two points, the uniform ones up to one.
#
# ## The verdicts of table 3
#
# They belong to the review's networks, and the recorded run judges them: 10,000 images, 20 epochs, three seeds. It is a
# short training. With hard labels the student ends with 78% of the training images right and 71% of the test images,
# far from the review's 92%; the teacher with 86% and 77%. There the teacher's answers help, 1.3 points (standard error
# 0.5). Nothing made without a teacher does: the five hand-made targets and a made-up teacher lose 0.4 to 1.3 points
# (standard errors of 0.2 to 0.6), a network's own earlier logits 1.4 (0.1). The answers of the two networks are harder
# to fit (77% of the training images right with the teacher's, 73% with the earlier self's). The targets made without a
# network are not (78%), and lose all the same. Longer training turns some of these losses into gains, as it does for
# the temperature on the digits. The verdicts are therefore those of three times the training, shown in the next
# section; that distillation helps must hold after both.


# %%
def clear(table, name, times=2.0):
    """Whether a gain exceeds so many standard errors."""
    return bool(table.gain[name] > times * table.error[name])


def against(history, name, other):
    """Paired difference of two kinds and its standard error."""
    row = paired_gains(history[history.variant.isin([name, other])], other).loc[name]
    return row.gain, row.error


def judge(claim, names, verdict):
    """Judge a claim by (value, holds) of the recorded tables, where both hold the kinds that the claim is about."""
    tables = {"table3": gains, "table3-longer": late}
    missing = [title for title, found in tables.items() if found is None or not set(names) <= set(found.index)]
    if missing:
        ch.not_run(claim, f"{', '.join(names)}: not recorded in {', '.join(missing)}")
    else:
        value, holds = verdict()
        ch.claim(claim, value=value, holds=holds, table="table3-longer")


# %% [markdown]
# Each claim has a function that returns its value and its verdict: first those of the hand-made targets, then those that need a teacher.


# %%
made = ["uniform 0.90", "uniform 0.99", "geometric 0.90", "geometric 0.99", "reduced gap"]


def points(*names):
    """Gains in points of accuracy, after the short training and after the long one."""
    tables = {length: table for length, table in (("short", gains), ("long", late)) if table is not None}
    return {
        f"{name}, {length}": 100 * table.gain[name] for length, table in tables.items() for name in names if name in table.index
    }  # fmt: skip


def all_made():
    """Whether all hand-made targets gain, three of them clearly; partly if one gains clearly."""
    clearly = sum(clear(late, name) for name in made)
    everywhere = bool((late.gain[made] > 0).all())
    return points(*made), True if everywhere and clearly >= 3 else "partly" if clearly else False


def geometric():
    """Whether the geometric target with peak 0.99 is ahead of the next by more than the standard error of all gains."""
    best, second = late["mean"][made].nlargest(2).index
    ahead = late["mean"][best] - late["mean"][second]
    return points(*made), bool(best == "geometric 0.99" and ahead > late.error[best])


# %%
def distilled():
    """Whether the teacher's targets gain clearly after the short and after the long training; partly if after one of them."""
    times = clear(gains, "KD") + clear(late, "KD")
    return points("KD"), (False, "partly", True)[times]


def teacher_ahead():
    """Whether the teacher leads, by less than half a point."""
    lead = late["mean"]["KD"] - late["mean"][made].max()
    return points("KD", *made), True if 0 < lead < 0.005 else "partly" if lead > 0 else False


def without(name):
    """Whether this kind and the teacher gain clearly, level within half a point and two standard errors; partly if it gains."""
    level = clear(late, "KD") and abs(late.gain[name] - late.gain["KD"]) < min(0.005, 2 * late.error[name])
    return points(name, "KD"), (True if level else "partly") if clear(late, name) else False


# %% tags=["nbval-check-output"]
for runs in (recorded, thrice):
    if runs is None:
        continue
    ends = runs[(runs.split == "test") & (runs.epoch > 0)].groupby("variant")["value"].mean()
    # With Adam and 15 epochs the ResNet-18 was behind its students, and they lost five points by its answers.
    ch.require(ends["teacher"] > ends["hard"], f"a teacher is to be ahead of its students: {ends.to_dict()}")
    # A kind that loses is to lose by its targets: one whose targets are broken does not come near hard labels.
    ch.require(ends.min() > ends["hard"] - 0.05, f"every kind is to train like hard labels: {ends.to_dict()}")
judge("kd-helps", ["KD"], distilled)
judge("soft-targets-help", made, all_made)
judge("geometric-best", made, geometric)
judge("teacher-still-best", ["KD", *made], teacher_ahead)
judge("self-kd", ["KD", "self-KD"], lambda: without("self-KD"))
judge("virtual-kd", ["KD", "virtual-KD"], lambda: without("virtual-KD"))

# %% [markdown]
# ## Three times the training
#
# After 60 epochs, two seeds, the teacher has 85.7% of the test images right, and the student with hard labels has 96% of the training images right and 80.6% of the test images, ten points
# more than after 20. Much of the losses of the short training was time: a network's earlier self, one that has trained as long, helps by half a point now, and the uniform targets,
# which had lost most, are the best of the hand-made ones, a little above hard labels (by no more than two standard errors). The ranked ones stay below.

# %% tags=["hide-input"]
if thrice is None or recorded is None:
    shown = pd.DataFrame({"state": ["not recorded"]}, index=["table3-longer"])
else:
    kept = recorded.variant.isin(late.index) & recorded.seed.isin(thrice.seed.unique())
    lengths = {}
    for part, table in ((recorded, paired_gains(recorded[kept], "hard")), (thrice, late)):
        row = 100 * table.set_axis(["accuracy (%)", "gain (points)", "s.e."], axis=1)
        lengths[f"{part.epoch.max()} epochs"] = row
    shown = pd.concat(lengths, axis=1).rename_axis("targets").round(2)
    shown.loc["hard", (slice(None), "s.e.")] = 0.0
shown

# %% [markdown]
# Distillation gains at both lengths, 0.9 points after the long one (standard error 0.16), and stays ahead: of self-KD by 0.4 points, of the best hand-made
# target by 0.6. Self-KD loses in a short training and gains in a long one, as the high temperature did on the digits: half of what the teacher gives.
# Both may have more to give, since their answers belong to images that the students never see as they are, and the teacher, who
# has 99.9% of them right by then, is surer of them than of others. Virtual-KD is tried at one weight, 0.9, and one temperature, 20.
# The geometric target, the review's favourite, wins at neither length: whoever the student took for the next class is not worth telling it.
#
# ## Regularizer or dark knowledge?
#
# The review's thesis: distillation regularizes, and a well-chosen target does as well without a teacher. The controls test it. If
# the gain came from softness alone, flat targets would keep all of it and shuffled ones most of it.

# %%
differences = {name: against(history, "KD", name) for name in ("flat KD", "shuffled KD", "virtual-KD")}
regularizer = clear(small, "KD") and (clear(small, "flat KD") or clear(small, "virtual-KD"))
teacher_part, shuffled = targets["KD"].targets, targets["shuffled KD"].targets
same = [torch.allclose(a, b) for a, b in (
    (teacher_part.sort(-1).values, shuffled.sort(-1).values),
    *((teacher_part[labels == c, c], shuffled[labels == c, c]) for c in range(K)),
)]  # fmt: skip
ch.require(
    all(same) and not torch.allclose(teacher_part, shuffled),
    "shuffled targets must be the teacher's, with the same true class and the wrong ones moved",
)
everything = all(gap < 2 * error for gap, error in differences.values())

# %% tags=["nbval-check-output"]
helps = clear(small, "mimic") and bool(small["mean"]["hard"] > 0.8)
over_shifts, its_error = against(history, "mimic", "hard, shifts")
ch.claim(
    "mimic-helps",
    value={
        "gain": 100 * small.gain["mimic"],
        "over hard labels with shifts": 100 * over_shifts,
        "s.e.": 100 * its_error,
    },
    holds=helps and (bool(over_shifts > 2 * its_error) or "partly"),
)
ch.claim(
    "kd-is-regularization",
    value={name: 100 * small.gain[name] for name in ("KD", *differences)},
    holds=True if regularizer and everything else "partly" if regularizer else False,
)

# %% [markdown]
# One more reading of the teacher's gain is left. The teachers see shifted copies of the digits, their students do not, and labels with those copies alone gain 2.3 points
# (standard error 0.3), as much as distillation and mimicking. So a good part of what a teacher passes on here may be what it has seen. Where
# teacher and students see the same crops, on CIFAR-10, it gains less, and still gains.
#
# A plane makes it visible. Across: the entropy of the targets, how strongly they regularize. Up: how many nats the wrong-class part of a target
# says about *which example it is*, beyond its class (the mean divergence from the average target of the class, over wrong classes
# alone). A pure regularizer lies on the floor. Colour: the gain.


# %%
def coordinates(kind):
    """(entropy, information of the wrong-class part about the example given its class), in nats."""
    return [value.mean().item() for value in target_information(kind.targets, labels)]


plane = pd.DataFrame({name: coordinates(kind) for name, kind in targets.items() if kind.targets is not None}).T
plane.columns = ["entropy", "information"]

# %% mystnb={"figure": {"name": "fig-15-plane", "caption": "All targets on one plane: entropy against what their wrong-class part says about the single example, coloured by the gain over hard labels (points of test accuracy, quick run)."}, "image": {"alt": "Scatter plot of twelve kinds of targets. Uniform, flat and virtual targets lie at zero information, at entropies from 0.1 to 2.3, with gains of 0.2 to 1.7 points; the teacher's targets at T = 4 and 20 lie a little above them with the largest gains; geometric and reduced-gap targets lie high at small entropy with losses, and the teacher's at T = 1 below them with a gain."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=4.4)
    strength = 100 * small.gain[plane.index]
    bound = strength.abs().max()
    dots = ax.scatter(
        plane.entropy, plane.information, c=strength, cmap="RdBu", vmin=-bound, vmax=bound, s=70, ec="0.3"
    )
    for k, (name, row) in enumerate(plane.sort_values(["information", "entropy"]).iterrows()):
        below = name == "self-KD"  # beside its dot the name would read as that of the next
        place = {"xytext": (0, -16), "ha": "center"} if below else {"xytext": (5, (7, -12)[k % 2])}
        ax.annotate(name, row, textcoords="offset points", fontsize=8, **place)
    fig.colorbar(dots, label="gain (points)")
    ax.set(
        xlim=(-0.1, 2.8),
        ylim=(-0.15, 1.45),
        xlabel="entropy of the targets (nats)",
        ylabel="information about the example (nats)",
    )

# %% [markdown]
# High is not good by itself: shuffled and self-made rankings say much about the example, and what they say is noise. The same height with a
# teacher's numbers is dark knowledge.
#
# ## At full scale

# %% tags=["hide-input"]
if gains is None:
    shown = pd.DataFrame({"state": ["not recorded"]}, index=["table3"])
else:
    shown = (100 * gains).rename(columns={"mean": "accuracy (%)", "gain": "gain (points)", "error": "s.e."}).round(2)
shown

# %% [markdown]
# ## Takeaway
#
# On a small scale the weak form of the thesis holds: targets that know nothing of similar classes (flat, virtual-KD) help. The strong form fails: the teacher's own
# targets, shuffled, lose the gain, and distillation stays ahead of every target made without a teacher, though not of labels with the shifted copies that the
# teacher has seen. The review's favourite, a geometric decay by
# rank, harms here. The review's own networks, trained for 20 epochs on a fifth of CIFAR-10, agree on the teacher, who comes first; of what is made without one
# some helps on the digits and nothing there. With three times the training the teacher stays first, a network's earlier self helps by half a point, and of the hand-made targets those
# that rank nothing come first, level with hard labels or a little above: a short training says little about soft targets, and a longer one does not bear out the ranking.
