# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The teacher's size, and assistants
#
# Is a larger teacher a better one? {cite:t}`mirzadeh2020improved` found that a student gets worse when the teacher becomes too large, and that a network of
# intermediate size, distilled from the teacher, helps as an assistant. {cite:t}`yuan2020revisiting` found that poor and small teachers help as well, which
# is the review's main argument that distillation regularizes. And how much weight, at what temperature?
#
# Teachers of one hidden layer see shifted copies of 1,000 digits, or they would know them by heart and teach hard labels. Students of 30 units (*narrow*)
# and 60 (*wide*) train for 100 epochs on the digits as they are; after a fifth of that soft targets lose nearly everywhere, because they take longer to
# fit. Five seeds, everything paired; all kinds of targets and all seeds of a width train as one batch.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.distillation import SoftTargets, paired_gains, random_shift, train_students
from litrepro.nets import mlp
from litrepro.training import cosine, fit_ensemble, paired_difference

ch = Chapter("15-distillation", notebook="teacher-size", profile=profile, seed=seed, full_minutes=6)
n_train = ch.pick(quick=1000, full=20_000, smoke=100)
side = ch.pick(quick=14, full=28, smoke=14)
epochs = ch.pick(quick=100, full=100, smoke=1)
teacher_epochs = ch.pick(quick=40, full=60, smoke=1)
seeds = ch.pick(quick=5, full=5, smoke=2)
sizes = ch.pick(
    quick=[5, 20, 50, 100, 200, 400], full=[5, 20, 50, 100, 200, 400, 800, 1600], smoke=[5, 20, 50, 100, 200, 400]
)
numbers = list(range(seed, seed + seeds))
K, T, alpha = 10, 4.0, 0.9  # alpha: weight of the soft term

source = "full" if ch.full and not ch.smoke else "bundled"
(x, y), test = (
    (part.images.to(ch.device), part.labels.to(ch.device))
    for part in (
        mnist("train", n=n_train, balanced=True, source=source, size=side, seed=seed),
        mnist("test", source=source, size=side, seed=seed),
    )
)
batch = ch.pick(quick=50, full=500, smoke=50)
options = {
    "batch_size": batch,
    "optimizer": "adam",
    "schedule": cosine,
    "eval_every": 10_000,
    "evaluate_on": {"test": test},
}


def network(width):
    """Build networks of one hidden layer."""
    return lambda seed: mlp(side**2, [width], K, seed=seed)


def soft(logits, tau=T, weight=alpha):
    """Distillation from logits (S, n, K)."""
    return SoftTargets((logits / tau).softmax(-1), weight, tau)


def students(width, variants, length=epochs):
    """Histories of all variants and seeds."""
    return train_students(network(width), numbers, (x, y), variants, epochs=length, lr=5e-3, **options).history


def accuracy(history):
    """Mean final test accuracy."""
    last = history[(history.split == "test") & (history.metric == "accuracy") & (history.epoch == history.epoch.max())]
    return last["value"].mean()


# %%
def teach(width, length=teacher_epochs, lr=2e-3, augment=random_shift):
    """Logits (S, n, K) of trained teachers, and their mean test accuracy."""
    found = fit_ensemble(
        network(width), [s + 1000 for s in numbers], (x, y), epochs=length, lr=lr, augment=augment, **options
    )  # fmt: skip
    return found(x), accuracy(found.history)


teachers = {width: teach(width) for width in ch.progress(sizes, "teachers")}
# Bad teachers are trained on the digits as they are: a network of 20 units cannot cope with shifts.
small, small_accuracy = teach(20, augment=None)
poor, poor_accuracy = teach(400, 1, 2e-4, augment=None)
largest, smallest = max(sizes), min(sizes)


# %% [markdown]
# Assistants of four sizes are distilled from the largest teacher. Then one batch of students per width: for every teacher, for two bad ones (20 units; every example seen once at a tenth of the step), for every assistant, and for every weight and temperature with the largest teacher. (For single networks a chain
# through assistants is `distill_chain`; here five seeds pass through each stage together.)

# %%
middle = ch.pick(quick=[20, 50, 100, 200], full=[50, 100, 200, 400], smoke=[20, 50, 100, 200])
weights, temperatures = [0.0, 0.1, 0.5, 0.9, 1.0], [1.0, 2.0, 4.0, 8.0, 20.0, 50.0]  # of the hard labels; T
best_logits = teachers[largest][0]


def assistant(width):
    """(logits, accuracy) of assistants distilled from the largest teacher."""
    found = train_students(
        network(width), [s + 2000 for s in numbers], (x, y), {"distilled": soft(best_logits)}, epochs=teacher_epochs,
        lr=5e-3, **options,
    )  # fmt: skip
    return found(x), accuracy(found.history)


assistants = {width: assistant(width) for width in ch.progress(middle, "assistants")}
hard, usual = "alpha = 1", "alpha = 0.1"  # at T = 4
sweep_kinds = {hard: SoftTargets()} | {f"alpha = {a:g}": soft(best_logits, T, 1 - a) for a in weights[:-1]}
sweep_kinds |= {f"T = {t:g}": soft(best_logits, t) for t in temperatures if t != T}
sized = {w: usual if w == largest else f"teacher {w}" for w in sizes}
size_kinds = {name: soft(teachers[w][0]) for w, name in sized.items() if w != largest}
bad_kinds = {"small": soft(small), "poor": soft(poor)}
chain_kinds = {f"by {w}": soft(assistants[w][0]) for w in middle}
histories = {
    "narrow": students(30, sweep_kinds | size_kinds | chain_kinds | bad_kinds),
    "wide": students(60, {k: v for k, v in sweep_kinds.items() if k not in ("T = 2", "T = 8", "T = 50")} | bad_kinds),
}
narrow, wide = histories["narrow"], histories["wide"]
runs = pd.concat([history.assign(student=name) for name, history in histories.items()], ignore_index=True)
ch.save("teacher-size", runs[runs.split == "test"].drop(columns="seconds"))
recorded = ch.paper("teacher-size")

# %% [markdown]
# ## A larger teacher

# %%
by_size = paired_gains(narrow, hard)
for_wide = paired_gains(wide, hard)

# %% mystnb={"figure": {"name": "fig-15-teacher-size", "caption": "Gain of a student of 30 units over hard labels against its teacher's hidden units (two standard errors over five paired seeds), and the teachers' own accuracy."}, "image": {"alt": "Error bars on a logarithmic axis from 5 to 400 units: the gain is strongly negative for the teacher of 5 units and rises with the size. A dashed line for the teachers' accuracy rises as well."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure(height=3.4)
    names = list(sized.values())
    ax.errorbar(sizes, 100 * by_size.gain[names], yerr=200 * by_size.error[names], marker="o", label="student's gain")
    ax.axhline(0, color="0.6", lw=1)
    ax.set(xscale="log", xlabel="hidden units of the teacher", ylabel="gain of the student (points)")
    other = ax.twinx()
    other.plot(sizes, [teachers[w][1] for w in sizes], "s--", color="0.4", ms=4, label="teacher's accuracy (right)")
    other.set(ylabel="test accuracy of the teacher")
    other.grid(False)
    handles = [h for part in (ax, other) for h in part.get_legend_handles_labels()[0]]
    ax.legend(handles=handles, loc="lower right", fontsize=8)


# %%
def difference(history, first, second):
    """Paired difference of two variants at the end, and its standard error."""
    rows = history[(history.split == "test") & (history.metric == "accuracy") & (history.epoch == history.epoch.max())]
    return paired_difference(rows, "value", {"variant": first}, {"variant": second})


top = by_size["mean"][list(sized.values())].idxmax()
ends = {w: difference(narrow, top, sized[w]) for w in (smallest, largest) if top != sized[w]}
peak = len(ends) == 2 and all(gap > error for gap, error in ends.values())
small_teacher = difference(wide, "small", hard)
poorly = {
    "narrow": (by_size.gain["poor"], by_size.error["poor"]),
    "wide": (for_wide.gain["poor"], for_wide.error["poor"]),
}
helped = [gain > 2 * error for gain, error in poorly.values()]

# %% tags=["nbval-check-output"]
ch.claim("teacher-gap", value={str(w): 100 * by_size.gain[name] for w, name in sized.items()}, holds=bool(peak))
ch.claim(
    "re-kd-helps",
    value={"gain": 100 * small_teacher[0], "s.e.": 100 * small_teacher[1]},
    holds=small_teacher[0] > 2 * small_teacher[1],
)
ch.claim(
    "de-kd-helps",
    value={name: 100 * gain for name, (gain, _) in poorly.items()},
    holds=True if all(helped) else "partly" if any(helped) else False,
)

# %% [markdown]
# The gain grows with the teacher over the whole range; there is no size beyond which it falls, and the small ones, who cannot cope with the shifts, do harm. So do the bad
# teachers: the small one costs a student of three times its size more than a point, and the poor one, whose targets are uniform for all purposes, costs both.
#
# ## Assistants
#
# From the largest teacher to the narrow student by way of one assistant, of 20, 50, 100 or 200 units, either distilled from the
# teacher or trained from the labels; the latter are the teachers of the section above.

# %%
by_teacher = paired_gains(narrow, usual)
names = [hard, usual, *chain_kinds, *(sized[w] for w in middle)]
table = by_teacher.loc[names]
table["assistant's accuracy"] = pd.Series(
    {f"by {w}": assistants[w][1] for w in middle} | {sized[w]: teachers[w][1] for w in middle}
)
labels = {hard: "hard labels", usual: "direct"} | {sized[w]: f"by {w}, from labels" for w in middle}
(100 * table).round(1).rename(
    index=labels, columns={"mean": "accuracy (%)", "gain": "gain over direct", "error": "s.e."}
)

# %%
best = max(middle, key=lambda w: table["mean"][f"by {w}"])
rest = [w for w in middle if w != best]
next_best = max(rest, key=lambda w: table["mean"][f"by {w}"])
gain, error = table.gain[f"by {best}"], table.error[f"by {best}"]
target = (teachers[largest][1] + table["mean"][hard]) / 2
nearest = min(middle, key=lambda w: abs(assistants[w][1] - target))
lead = difference(narrow, f"by {best}", f"by {next_best}")
last = narrow[(narrow.split == "test") & (narrow.metric == "accuracy") & (narrow.epoch == narrow.epoch.max())]
by_seed = last.pivot_table(index="seed", columns="variant", values="value")
paired = sum(by_seed[f"by {w}"] - by_seed[sized[w]] for w in middle) / len(middle)

# %% tags=["nbval-check-output"]
# The best of four: its gain must be larger than that of one chosen beforehand.
ch.claim("assistant-helps", value={"by": best, "gain": 100 * gain, "s.e.": 100 * error}, holds=bool(gain > 2.4 * error))
ch.claim(
    "assistant-mid-accuracy",
    value={"best": best, "nearest": nearest, "lead": 100 * lead[0]},
    holds=bool(best == nearest and lead[0] > lead[1]),
)
ch.claim(
    "assistant-distilled",
    value={"difference": 100 * paired.mean(), "s.e.": 100 * paired.sem()},
    holds=bool(paired.mean() > 2 * paired.sem()),
)

# %% [markdown]
# An assistant is the better, the nearer it is to the teacher, and none is clearly better than the teacher itself. That distilled assistants beat those trained from labels is plain
# here: small networks learn to imitate a teacher who has seen shifts, but not to cope with shifts themselves.
#
# ## Weight and temperature
#
# The teacher of the largest size; $\alpha$ is here, as in section 3 of the review, the weight of the *hard* labels.

# %%
at_weight = {a: f"alpha = {a:g}" for a in weights}
at_temperature = {t: usual if t == T else f"T = {t:g}" for t in temperatures}
sweep = {name: paired_gains(history, hard) for name, history in histories.items()}

# %% mystnb={"figure": {"name": "fig-15-sweeps", "caption": "Gain over hard labels by the weight of the hard labels at T = 4 (left), and by the temperature at weight 0.1 (right), for students of 30 and of 60 units; two standard errors over five paired seeds."}, "image": {"alt": "Left: for both students the gain rises from weight zero to one half and falls to zero at weight one. Right: the narrow student gains most at temperatures 2 and 4 and loses at 20 and 50; the wide one gains at all of them."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.2)
    for name, gains in sweep.items():
        rows = gains.loc[list(at_weight.values())]
        axes[0].errorbar(weights, 100 * rows.gain, yerr=200 * rows.error, marker="o", capsize=2, label=name)
        shown = [t for t in temperatures if at_temperature[t] in gains.index]
        rows = gains.loc[[at_temperature[t] for t in shown]]
        axes[1].errorbar(shown, 100 * rows.gain, yerr=200 * rows.error, marker="o", capsize=2, label=name)
    axes[0].set(xlabel=r"$\alpha$, weight of the hard labels", ylabel="gain (points)")
    axes[1].set(xscale="log", xlabel="temperature", ylabel="gain (points)")
    axes[1].legend(title="student", fontsize=8)


# %%
def small_alpha(name):
    """Whether the best weight is at most 0.1, and two standard errors better than 0.9."""
    first = sweep[name]["mean"][list(at_weight.values())].idxmax()
    if first not in ("alpha = 0", "alpha = 0.1"):
        return False
    gap, error = difference(histories[name], first, "alpha = 0.9")
    return gap > 2 * error


warmest = sweep["narrow"]["mean"][list(at_temperature.values())].idxmax()
from_ends = [difference(narrow, warmest, end) for end in ("T = 1", "T = 50") if end != warmest]
interior = len(from_ends) == 2 and all(gap > error for gap, error in from_ends)
low = [small_alpha(name) for name in sweep]

# %% tags=["nbval-check-output"]
ch.claim(
    "small-alpha-best",
    value={name: {f"{a:g}": 100 * gains.gain[key] for a, key in at_weight.items()} for name, gains in sweep.items()},
    holds=True if all(low) else "partly" if any(low) else False,
)
ch.claim(
    "intermediate-t-best",
    value={f"T = {t:g}": 100 * sweep["narrow"].gain[key] for t, key in at_temperature.items()},
    holds=bool(interior),
)

# %% [markdown]
# ## Takeaway
#
# The teacher's quality carries over: larger teachers are better, smaller and poorer ones worse, and the way through an assistant gains nothing. That speaks against the
# reading of distillation as mere regularization, for which a poor teacher should do. Both students want half of their weight on the labels, the
# narrow one a moderate temperature. Ten times longer training (once, outside this page; see the notes in the ledger) makes the gains larger and changes none of these signs.
