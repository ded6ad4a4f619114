# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training on coresets
#
# The review's main experiment: LeNet on 10 % of the digits, chosen anew every five epochs, against random choice and against all data;
# batches of 20, momentum, cosine. Its figures say: Full is best, GRAD-MATCH is the best of the rest, CRAIG and GLISTER are alike,
# weights improve GLISTER.
#
# "GLISTER" can be two things. As printed, its objective is modular and its choice a sort (`glister`); as published, the target is renewed
# after every choice (`glister-online`). "Weighted GLISTER" is as printed, with raw inner products, and with cosine similarities. The quick
# run has 1,000 digits, so a coreset is five steps. It is trained long enough for that to be visible in the loss: after a third of these epochs the
# ranking is another one.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import numpy as np
import pandas as pd

from litrepro import Chapter
from litrepro.coresets import last_layer_gradients, select, train_on_coresets
from litrepro.data import cifar10, fashion_mnist, mnist
from litrepro.nets import lenet, resnet18

ch = Chapter("16-coresets", notebook="training-comparison", profile=profile, seed=seed, full_minutes=8)
n_train = ch.pick(quick=1000, full=10_000, smoke=300)
n_test = ch.pick(quick=1000, full=10_000, smoke=200)
epochs = ch.pick(quick=60, full=40, smoke=4)
full_epochs = ch.pick(quick=12, full=10, smoke=2)
seeds = ch.pick(quick=5, full=3, smoke=2)
datasets = ch.pick(quick=["mnist"], full=["mnist", "fashion"], smoke=["mnist"])
cifar = ch.pick(quick=None, full={"n": 10_000, "epochs": 20, "seeds": 3}, smoke={"n": 200, "epochs": 1, "seeds": 1})
settings = {"fraction": 0.1, "every": 5, "batch_size": 20, "lr": 0.05, "momentum": 0.9}
methods = {
    "Random": ("random", {}),
    "CRAIG": ("craig", {}),
    "GRAD-MATCH": ("grad-match", {}),
    "GLISTER, printed": ("glister", {}),
    "GLISTER, online": ("glister-online", {"step": 0.5}),
    "weighted GLISTER": ("weighted-glister", {}),
    "weighted GLISTER, cosine": ("weighted-glister", {"similarity": "cosine"}),
    "Full": ("full", {}),
}
loaders = {"mnist": mnist, "fashion": fashion_mnist, "cifar": cifar10}


# %%
def load(name, n):
    """Training and test images with labels, on the device."""
    source = "full" if ch.full and not ch.smoke else "bundled"
    train = loaders[name]("train", n=n, balanced=True, source=source, seed=seed)
    test = loaders[name]("test", n=n_test, source=source, seed=seed)
    return tuple((part.images.to(ch.device), part.labels.to(ch.device)) for part in (train, test))


def runs(name, n, build, length, length_full, repeats, **more):
    """Every method and seed on one data set: histories and selections."""
    train, test = load(name, n)
    found = []
    for (label, (method, options)), s in ch.progress([(m, s) for s in range(repeats) for m in methods.items()], name):
        many = label == "Full"
        history, chosen = train_on_coresets(
            build(seed + s), train, method=method, epochs=length_full if many else length, seed=s,
            evaluate_on={"test": test}, eval_every=2 if many else 10, **settings, **options, **more,
        )  # fmt: skip
        found.append((history.assign(data=name, method=label, run=s), chosen.assign(data=name, method=label, run=s)))
    return [pd.concat(part, ignore_index=True) for part in zip(*found)]


parts = [runs(name, n_train, lambda s: lenet(seed=s), epochs, full_epochs, seeds) for name in datasets]
history, chosen = (pd.concat(part, ignore_index=True) for part in zip(*parts))
ch.save("training", history)
ch.save("selections", chosen)
recorded = ch.paper("training")
digits = history[history.data == "mnist"]

# %% [markdown]
# ## Loss, accuracy, and the error of the gradient

# %%
names = list(methods)
ends = digits[digits.epoch == digits.groupby("method").epoch.transform("max")]
final = {
    (split, metric): ends[(ends.split == split) & (ends.metric == metric)].pivot_table(
        index="run", columns="method", values="value"
    )[names]
    for split, metric in (("train", "loss"), ("train", "accuracy"), ("test", "accuracy"))
}
loss, accuracy = final["train", "loss"], final["train", "accuracy"]
clock = (
    ends[(ends.split == "train") & (ends.metric == "loss")].groupby("method")[["seconds", "selection_seconds"]].mean()
)

# %% tags=["hide-input"]
summary = pd.DataFrame({" ".join(key): table.mean() for key, table in final.items()})
summary["two s.e. of the loss"] = 2 * loss.sem()
summary.round(3)

# %% mystnb={"figure": {"name": "fig-16-training", "caption": "Training loss against seconds of training and selection, and test accuracy against epochs (bands: two standard errors over seeds)."}, "image": {"alt": "Left, losses on a logarithmic axis against seconds: Full falls fastest at first; GRAD-MATCH ends lowest of the coresets, then CRAIG, then Random, weighted GLISTER with raw inner products last. Right, accuracy: Full above all, CRAIG and GRAD-MATCH next, plain GLISTER below random."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves, figure

    def draw(table):
        _, axes = figure(1, 2, height=4.2)
        part = table[(table.split == "train") & (table.metric == "loss") & (table.epoch > 0)]
        for name in names:
            mean = part[part.method == name].groupby("epoch")[["seconds", "value"]].mean()
            axes[0].plot(mean.seconds, mean.value, marker=".", label=name)
        axes[0].set(yscale="log", xscale="log", xlabel="seconds (training and selection)", ylabel="training loss")
        axes[0].legend(fontsize=7)
        part = table[(table.split == "test") & (table.metric == "accuracy") & (table.epoch > 0)]
        curves(part, "epoch", "value", "method", ax=axes[1], order=names, markers=True)
        axes[1].set(xlabel="epoch", ylabel="test accuracy", ylim=(0.4, 1))

    draw(digits)

# %% mystnb={"figure": {"name": "fig-16-errors", "caption": "Relative error of the coreset's gradient at every selection, medians over seeds."}, "image": {"alt": "Relative gradient error against the epoch on a logarithmic axis: GRAD-MATCH near 0.1 throughout, CRAIG rising to about 0.5, the others near or above 1."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.4)
    shown = chosen[(chosen.data == "mnist") & (chosen.gradient_error.astype(float) > 0)]
    shown = shown.assign(gradient_error=shown.gradient_error.astype(float))
    curves(
        shown,
        "epoch",
        "gradient_error",
        "method",
        ax=ax,
        error="quartiles",
        order=[n for n in names if n != "Full"],
        logy=True,
    )
    ax.set(xlabel="epoch of the selection", ylabel=r"$\|\sum_j w_j g_j - b\|\,/\,\|b\|$")
    ax.legend(fontsize=7, ncols=2)

# %% mystnb={"figure": {"name": "fig-16-training-full", "caption": "The same at the larger scale, where it has been recorded."}, "image": {"alt": "Loss against seconds and accuracy against epochs at the larger scale, or an empty frame that says that no such run is recorded."}} tags=["hide-input"]
if ch.plots:
    if recorded is None:
        fig, ax = figure(height=1.2)
        ax.text(0.5, 0.5, "no full-scale run is recorded", ha="center", va="center", color="0.4")
        ax.axis("off")
    else:
        draw(recorded[recorded.data == "mnist"])


# %% [markdown]
# ## Verdicts
#
# All methods see the same starts and seeds, so differences are paired; a difference counts if it exceeds two standard errors.


# %%
def lower(table, a, b):
    """Mean of b - a over paired seeds, and its standard error."""
    difference = table[b] - table[a]
    return difference.mean(), difference.sem()


def clear(table, a, b):
    """Whether a is below b by two standard errors."""
    mean, error = lower(table, a, b)
    return bool(mean > 2 * error)


losing = ["Random", "GLISTER, printed"]
beats = all(clear(loss, "GRAD-MATCH", m) and clear(-accuracy, "GRAD-MATCH", m) for m in losing)
craig_behind = (
    loss["GRAD-MATCH"].mean() < loss["CRAIG"].mean() and accuracy["GRAD-MATCH"].mean() > accuracy["CRAIG"].mean()
)
gap, noise = lower(loss, "GRAD-MATCH", "CRAIG")
level = abs(gap) <= 2 * noise
apart = {  # the larger of two mean losses over the smaller: a difference says little once all of them are small
    m: max(loss[m].mean(), loss["CRAIG"].mean()) / min(loss[m].mean(), loss["CRAIG"].mean())
    for m in ("GLISTER, printed", "GLISTER, online")
}
train_loss = digits[(digits.split == "train") & (digits.metric == "loss")].pivot_table(
    index=["method", "run", "epoch"], values=["seconds", "value"]
)


def full_at(method):
    """Mean loss of Full, interpolated at the seconds that each run of a method took."""
    found = []
    for run in range(seeds):
        path, other = train_loss.loc[("Full", run)], train_loss.loc[(method, run)]
        found.append(np.exp(np.interp(other.seconds.iloc[-1], path.seconds, np.log(path.value))))
    return float(np.mean(found))


at_equal_time = {m: full_at(m) for m in names if m != "Full"}
won = [at_equal_time[m] < loss[m].mean() / 2 for m in at_equal_time]  # seconds differ from machine to machine
selecting = clock.selection_seconds
steps = digits.groupby("method").step.max()

# %% tags=["nbval-check-output"]
ch.claim(
    "gradmatch-best-coreset",
    value={m: loss[m].mean() for m in names},
    holds=True if beats and craig_behind and not level else "partly" if beats else False,
)
ch.claim("craig-glister-similar", value=apart, holds=min(apart.values()) < 1.5)
ch.claim(
    "weighted-glister-improves",
    value={"weighted": loss["weighted GLISTER"].mean(), "plain": loss["GLISTER, printed"].mean()},
    holds=clear(loss, "weighted GLISTER", "GLISTER, printed"),
)
ch.claim(
    "weighted-glister-cosine",
    value={"weighted": loss["weighted GLISTER, cosine"].mean(), "plain": loss["GLISTER, printed"].mean()},
    holds=clear(loss, "weighted GLISTER, cosine", "GLISTER, printed"),
)
ch.claim(
    "weighted-glister-below-gradmatch",
    value=lower(loss, "GRAD-MATCH", "weighted GLISTER")[0],
    holds=clear(loss, "GRAD-MATCH", "weighted GLISTER"),
)
ch.claim("full-beats-coresets", value=at_equal_time, holds=True if all(won) else "partly" if any(won) else False)
ch.claim(
    "steps-ratio",
    value=steps["Full"] / full_epochs / (steps["CRAIG"] / epochs),
    holds=bool(steps["Full"] * epochs == 10 * steps["CRAIG"] * full_epochs),
)
times = {m: selecting["GLISTER, online"] / selecting[m] for m in ("CRAIG", "weighted GLISTER")}
ch.claim("glister-slow", value=times["CRAIG"], holds=bool(times["CRAIG"] > 1.5))
ch.claim("weighted-glister-faster", value=times["weighted GLISTER"], holds=bool(times["weighted GLISTER"] > 1.5))

# %% [markdown]
# ## ResNet18 on CIFAR-10
#
# Only the full profile trains it.

# %%
if ch.full:
    big, _ = (
        runs("cifar", cifar["n"], lambda s: resnet18(seed=s), cifar["epochs"], 4, cifar["seeds"])
        if not ch.smoke
        else (history, chosen)
    )
    ch.save("cifar", big)
else:
    big = ch.paper("cifar")

# %% tags=["nbval-check-output"]
if big is None:
    ch.not_run("cifar10-ordering", "the full-scale table cifar is not recorded")
else:
    tail = big[
        (big.split == "train") & (big.metric == "loss") & (big.epoch == big.groupby("method").epoch.transform("max"))
    ]
    by_method = tail.groupby("method").value.mean()
    rivals = by_method[["Random", "CRAIG", "GLISTER, printed"]]
    ch.claim(
        "cifar10-ordering", value=by_method.to_dict(), holds=bool(by_method["GRAD-MATCH"] < rivals.min()), table="cifar"
    )

# %% [markdown]
# ## Does a lower gradient error make a better network?
#
# Between methods, roughly. Within a method hardly: below, every run with its mean error over all selections.

# %% mystnb={"figure": {"name": "fig-16-scatter", "caption": "Mean relative gradient error of a run against its final test accuracy."}, "image": {"alt": "Scatter plot, error on a logarithmic axis. GRAD-MATCH at the left, CRAIG to its right at the same height, Random further right and somewhat lower, weighted GLISTER with raw inner products at the lower right."}} tags=["hide-input"]
mean_error = chosen[chosen.data == "mnist"].groupby(["method", "run"]).gradient_error.mean().rename("error")
cloud = (
    final["test", "accuracy"]
    .stack()
    .rename("accuracy")
    .reorder_levels(["method", "run"])
    .to_frame()
    .join(mean_error, how="inner")
    .reset_index()
)
if ch.plots:
    fig, ax = figure(height=3.4)
    for name in names[:-1]:
        spots = cloud[cloud.method == name]
        ax.scatter(spots.error, spots.accuracy, label=name, s=28)
    ax.set(xscale="log", xlabel="mean relative gradient error of the run", ylabel="final test accuracy")
    ax.legend(fontsize=7)

# %% [markdown]
# ## Which digits are chosen
#
# GRAD-MATCH's twelve heaviest examples, by epoch; above each its weight (the mean is 1).

# %% tags=["hide-input"]
if ch.plots:
    from IPython.display import display

    from litrepro.plotting import frames

    train, _ = load("mnist", n_train)
    pages, model = {}, lenet(seed=seed)
    for done in (0, 5, 10, 15):
        found = select(last_layer_gradients(model, *train), train[1], n_train // 10, method="grad-match")
        weights = found.weights / found.weights.mean()
        fig, axes = figure(1, 12, height=1.4)
        for ax, j in zip(axes, weights.argsort(descending=True)):
            ax.imshow(train[0][found.indices[j], 0].cpu(), cmap="gray_r")
            ax.set_title(f"{weights[j]:.1f}", fontsize=8)
            ax.axis("off")
        pages[f"{done} epochs"] = fig
        train_on_coresets(model, train, method="grad-match", epochs=5, eval_every=5, seed=done, **settings)
    alt = "Twelve digits with their weights: clean ones of all kinds at the start, odd ones later."
    display(frames(pages, label="after", alt=alt, name="chosen-digits"))

# %% [markdown]
# *The weights are far from equal: a few examples stand for most of their class.*
#
# ## Takeaway
#
# With enough steps GRAD-MATCH does end with the lowest training loss of the coreset methods, as the review found, while CRAIG's network tests
# as well. "CRAIG and GLISTER are similar" is true of GLISTER with a renewed target; as printed it is worse than drawing lots. Weights
# help that one only once the length of the gradients is divided out. And all data is hard to beat where a selection costs as much as
# the steps that it saves.
