# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Width, sharpness, adaptivity
#
# The lecture ends with three remarks from experience: test error keeps falling with the width although the training error
# is zero already; flat minima should generalize better than sharp ones, and adaptive methods tend to find sharp ones;
# adaptive methods may generalize worse. All three are easy to get wrong: a comparison of optimizers depends on when one
# stops and on how each was tuned. Here optimizers are compared at the same training loss, and each gets a grid of step sizes.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import warnings

import pandas as pd
import torch

from litrepro import Chapter, ConvergenceWarning
from litrepro.data import cifar10, digits, mnist, wilson_example
from litrepro.landscape import rescale_relu
from litrepro.nets import StackedMLP
from litrepro.optim import descend
from litrepro.training import (
    flat_weights,
    mlp_objective,
    mlp_scores,
    sharpness,
    train_to_level,
    train_widths,
)

ch = Chapter("01-nonconvex-optimization", notebook="generalization", profile=profile, seed=seed, full_minutes=7)
repeats = ch.pick(quick=5, full=8, smoke=2)
train_size = ch.pick(quick=800, full=4000, smoke=200)
pool_size = ch.pick(quick=1797, full=8000, smoke=300)
hidden = ch.pick(quick=32, full=64, smoke=8)
level = ch.pick(quick=0.02, full=0.02, smoke=0.8)
most_steps = ch.pick(quick=4000, full=8000, smoke=200)
width_steps = ch.pick(quick=1500, full=8000, smoke=20)
widths = ch.pick(quick=[4, 8, 16, 32, 128], full=[4, 16, 64, 256, 1024, 4096, 8192], smoke=[4, 16, 32])

# %% [markdown]
# **Quick**: scikit-learn's 1,797 digits; each of five repetitions has its own random split (800 to train), its own
# initial weights and batches. **Full**: all of MNIST and CIFAR-10 for the widths, 8,000 images of MNIST at 14 x 14 for
# the optimizers.

# %%
if ch.full:
    pool = mnist(n=pool_size, size=14, source="bundled" if ch.smoke else "auto", seed=seed)
    images, labels = pool.images.flatten(1), pool.labels
else:
    parts = [digits(split) for split in ("train", "test")]
    images = torch.cat([part.images for part in parts]).flatten(1)
    labels = torch.cat([part.labels for part in parts])
images, labels = images.to(ch.device), labels.to(ch.device)
order = torch.stack([torch.randperm(len(labels), generator=ch.generator(k)) for k in range(repeats)]).to(ch.device)
train_rows, test_rows = order[:, :train_size], order[:, train_size:]
own_train, own_test = ((images[rows], labels[rows]) for rows in (train_rows, test_rows))

# %% [markdown]
# ## Width
#
# One hidden layer, SGD. From width 8 or 16 on the training error is zero (or one sample in a thousand); the test error
# goes on falling {cite}`neyshabur2017geometry`.


# %%
def step_size(width):
    """Narrow networks do not train at 0.5."""
    return 0.2 if width <= 4 else 0.5


def sweep():
    """Errors by width: digits in quick; MNIST and CIFAR-10 in full."""
    settings = {"lr": step_size, "steps": width_steps, "progress": lambda w: ch.progress(w, "widths")}
    if not ch.full or ch.smoke:
        found = train_widths(own_train, own_test, widths, seeds=range(repeats), batch=50, **settings)
        return found.assign(data="digits")
    frames = []
    for name, load, rate in (("mnist", mnist, 0.2), ("cifar-10", cifar10, 0.05)):
        sets = [load(split) for split in ("train", "test")]
        train, test = ((s.images.flatten(1).to(ch.device), s.labels.to(ch.device)) for s in sets)
        options = settings | {"lr": lambda width, rate=rate: rate}
        found = train_widths(train, test, widths, seeds=range(5), batch=500, **options)
        frames.append(found.assign(data=name))
    return pd.concat(frames)


# %%
by_width = sweep()
recorded = ch.table("width-sweep", by_width.round(6))
first = by_width[by_width.data == by_width.data.iloc[0]]
means = first.groupby("width")[["train_error", "test_error"]].mean()
per_seed = first.pivot(index="seed", columns="width", values="test_error")
fitted = [w for w in widths if means.train_error[w] < 1e-3] or widths[-1:]  # the narrowest is 8 or 16 on the digits
drop = per_seed[fitted[0]] - per_seed[widths[-1]]
drop_error = drop.std() / len(drop) ** 0.5

# %% tags=["nbval-check-output"]
wide = means[means.index >= 8]
ch.claim(
    "generalization-gap",
    value={str(w): list(row) for w, row in wide.iterrows()},
    holds=bool((wide.test_error > wide.train_error).all() and wide.train_error.max() < 0.1),
)
ch.claim(
    "overparam-helps",
    value={"narrowest that fits": fitted[0], "drop": drop.mean(), "standard error": drop_error},
    holds=bool(drop.mean() > 2 * drop_error and means.train_error[widths[-1]] < 1e-3),
)

# %% mystnb={"figure": {"name": "fig-01-width", "caption": "Training and test error against the width of the hidden layer, means over repetitions with two standard errors. Quick: digits; the recorded run, where there is one: MNIST and CIFAR-10."}, "image": {"alt": "Error against width on logarithmic axes; training error drops to zero near width 8, test error keeps falling."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves, figure

    tables = [by_width] if recorded is None or ch.full else [by_width, recorded]
    whole = pd.concat(tables)
    names = list(dict.fromkeys(whole.data))
    fig, axes = figure(1, len(names), height=3.2, squeeze=False)
    for ax, name in zip(axes[0], names):
        long = whole[whole.data == name].melt(
            ["width"], ["train_error", "test_error"], var_name="set", value_name="error"
        )
        kinds = {"train_error": "training", "test_error": "test"}
        curves(long, "width", "error", "set", ax=ax, labels=kinds, markers=True, logx=True)
        ax.set_yscale("symlog", linthresh=0.01)
        ax.set(xlabel="hidden units", ylabel="error", title=name, ylim=(-0.001, 1))
        ax.set_xticks(sorted(set(long.width)), [str(w) for w in sorted(set(long.width))], fontsize=8)
    axes[0, 0].legend()

# %% [markdown]
# ## Sharpness
#
# The sharpness of a minimum is the largest eigenvalue of the Hessian of the training loss, found by Lanczos iteration on
# Hessian-vector products. Every run stops when its training loss is 0.02. First the batch size, at the same step size:
# that large batches find sharp minima is the finding of the paper from which the lecture takes its picture
# {cite}`keskar2016large`. Then the optimizer.

# %%
shape = (images.shape[1], hidden, 10)
start = StackedMLP(shape, trials=repeats, generator=ch.generator(50))
large = min(500, train_size)
grids = {
    ("SGD", 16): ("sgd", [0.5]),
    ("SGD", large): ("sgd", [0.5]),
    ("SGD", 50): ("sgd", [0.2, 0.5, 1.0]),
    ("Adam", 50): ("adam", [0.003, 0.01, 0.03]),
    ("RMSProp", 50): ("rmsprop", [0.003, 0.01]),
    ("AdaGrad", 50): ("adagrad", [0.1, 0.2]),
}


# %%
def trained_to_level(name, batch):
    """An optimizer on its grid of step sizes, all repetitions at once: step sizes in turn, repetitions within."""
    kind, rates = grids[name, batch]
    copies = len(rates)
    model = StackedMLP(shape, trials=copies * repeats).to(ch.device)
    for target, source in zip(model.parameters(), start.parameters()):
        target.data = source.data.repeat(copies, 1, 1).to(ch.device)
    lr = torch.tensor(rates, device=ch.device).repeat_interleave(repeats)
    x, y = own_train[0].repeat(copies, 1, 1), own_train[1].repeat(copies, 1)
    options = {"target": level, "batch": batch, "max_steps": most_steps, "seeds": list(range(repeats)) * copies}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the column `reached` says it
        return train_to_level(model, x, y, kind, lr, **options)


def at_level(name, batch):
    """Sharpness and test error of every run at the level, and the weights (step sizes, repetitions, ...)."""
    found, rates = trained_to_level(name, batch), grids[name, batch][1]
    w = found.weights.double().reshape(len(rates), repeats, -1)
    rows = []
    for k in range(repeats):
        risk = mlp_objective(shape, own_train[0][k].double(), own_train[1][k])
        sharp = sharpness(risk, w[:, k], steps=15, generator=ch.generator(60))
        wrong = mlp_scores(shape, w[:, k], own_test[0][k].double()).argmax(-1) != own_test[1][k]
        for i, rate in enumerate(rates):
            row = {"optimizer": name, "batch": batch, "lr": rate, "repeat": k}
            row |= {"sharpness": sharp[i].item(), "test_error": wrong[i].double().mean().item()}
            place = i * repeats + k
            rows.append(row | {"steps": int(found.steps[place]), "reached": bool(found.reached[place])})
    return rows, w


# %%
minima, weights = [], {}
for name, batch in ch.progress(list(grids), "optimizers"):
    rows, weights[name, batch] = at_level(name, batch)
    minima += rows
minima = pd.DataFrame(minima)
recorded_minima = ch.table("sharpness", minima.round(6))

# %%
summary = minima.groupby(["optimizer", "batch", "lr"])[["sharpness", "test_error", "steps", "reached"]].agg(
    {"sharpness": ["mean", "sem"], "test_error": ["mean", "sem"], "steps": "mean", "reached": "min"}
)
summary.rename(columns={"test_error": "test error"}).round(4).astype({("steps", "mean"): int})

# %% [markdown]
# Large batches do find sharper minima at this step size. But look down the column: for SGD, Adam and RMSProp alike, the
# sharpness falls by a factor of 1.3 to 2.4 over a grid that spans a factor of 3 to 10. Which method is the sharper one
# depends on the step sizes compared, while the mean test errors all lie within about two standard errors of one
# another.

# %% tags=["nbval-check-output"]
sharp = minima.pivot_table(index="repeat", columns=["optimizer", "batch", "lr"], values="sharpness")
small_batch, large_batch = sharp["SGD", 16, 0.5], sharp["SGD", large, 0.5]
ch.claim(
    "large-batch-sharper",
    value={"batch 16": small_batch.mean(), f"batch {large}": large_batch.mean(), "seeds": len(small_batch)},
    holds=bool((large_batch > small_batch).all()) and bool(minima[minima.optimizer == "SGD"].reached.all()),
)

# %% [markdown]
# Now the optimizers at batch 50: each adaptive method at every step size against SGD at every step size, and each at the
# one of lowest test error. Noise would be above and below as well: so every run has to arrive, and each method's sharpness
# has to follow its step size.

# %%
errors = minima[minima.batch == 50].pivot_table(index="repeat", columns=["optimizer", "lr"], values="test_error")
best = {name: errors[name].mean().idxmin() for name in ("SGD", "Adam", "RMSProp", "AdaGrad")}


def margin(one, other):
    """Mean paired difference over two standard errors of it: above 1 is a clear excess."""
    difference = one - other
    return difference.mean() / (2 * difference.std() / len(difference) ** 0.5)


pairs = {
    name: [margin(sharp[name, 50, a], sharp["SGD", 50, b]) for a in errors[name] for b in errors["SGD"]]
    for name in ("Adam", "RMSProp")
}
at_best = {name: margin(sharp[name, 50, best[name]], sharp["SGD", 50, best["SGD"]]) for name in pairs}
ends = {name: (min(errors[name]), max(errors[name])) for name in ("SGD", "Adam", "RMSProp")}
follows = all(margin(sharp[name, 50, low], sharp[name, 50, high]) > 1 for name, (low, high) in ends.items())
trained = bool(minima.reached.all() and errors.max().max() < 0.2)

# %% tags=["nbval-check-output"]
always = all(min(values) > 1 for values in pairs.values())
sometimes = any(max(values) > 1 for values in pairs.values())
ch.claim(
    "adaptive-sharper",
    value={
        "step sizes of lowest test error": best,
        "margin there": at_best,
        "margins, lowest and highest": {name: [min(v), max(v)] for name, v in pairs.items()},
    },
    holds=trained and follows and (True if always else "partly" if sometimes else False),
)

# %% tags=["nbval-check-output"]
behind = errors["Adam", best["Adam"]] - errors["SGD", best["SGD"]]
# Two methods that learn nothing, or are one method, would be level too.
apart = bool((sharp["Adam", 50, best["Adam"]] != sharp["SGD", 50, best["SGD"]]).all())
ch.require(trained and apart, "Adam and SGD have not been trained to the same level in two different ways")
ch.claim(
    "adaptive-overfits-digits",
    value={
        "SGD": errors["SGD", best["SGD"]].mean(),
        "Adam": errors["Adam", best["Adam"]].mean(),
        "difference": behind.mean(),
        "standard error": behind.std() / len(behind) ** 0.5,
    },
    holds=bool(behind.mean() > 2 * behind.std() / len(behind) ** 0.5),
)

# %% mystnb={"figure": {"name": "fig-01-sharpness", "caption": "Sharpness at a training loss of 0.02 against the step size (left; relative to the smallest of each grid) and test error against sharpness (right; one point per method and step size, bars two standard errors). For SGD, Adam and RMSProp sharpness falls as the step size grows; the differences in test error are within the bars."}, "image": {"alt": "Left: four lines, three that fall clearly and AdaGrad's nearly level one. Right: points in a narrow band of test errors with bars that overlap."}} tags=["hide-input"]
if ch.plots:
    fig, (left, cloud) = figure(1, 2, height=3.3)
    stats = minima[minima.batch == 50].groupby(["optimizer", "lr"])[["sharpness", "test_error"]].agg(["mean", "sem"])
    for index, name in enumerate(best):
        part = stats.loc[name]
        rates = part.index / part.index[0]
        style = {"marker": "os^D"[index], "color": f"C{index}", "label": name}
        left.errorbar(rates, part["sharpness", "mean"], yerr=2 * part["sharpness", "sem"], lw=1.5, **style)
        cloud.errorbar(
            part["sharpness", "mean"], part["test_error", "mean"], yerr=2 * part["test_error", "sem"], ls="", **style
        )
    left.set(
        xscale="log", xlabel="step size / smallest of the grid", ylabel="largest Hessian eigenvalue", ylim=(0, None)
    )
    left.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    left.minorticks_off()
    cloud.set(xlabel="largest Hessian eigenvalue", ylabel="test error", ylim=(0, 0.06))
    cloud.legend()

# %% [markdown]
# ## Sharpness is not a property of the function
#
# {cite:t}`dinh2017sharp` point out why the question is open: multiply the first layer of a ReLU network by 10 and divide the
# second by 10. The function is the same, on every input, and the sharpness is not.

# %%
w = weights["SGD", 50][0, 0].cpu()
d, h, c = shape
x0, y0 = own_train[0][0].double().cpu(), own_train[1][0].cpu()
W1, b1, W2, b2 = w.split([d * h, h, h * c, c])
layers = ([W1.reshape(d, h).T, W2.reshape(h, c).T], [b1, b2])
scaled = rescale_relu(*layers, 10.0)
moved = torch.cat([scaled[0][0].T.flatten(), scaled[1][0], scaled[0][1].T.flatten(), scaled[1][1]])
risk = mlp_objective(shape, x0, y0)
pair = torch.stack([w, moved])
before, after = sharpness(risk, pair, steps=40, generator=ch.generator(61)).tolist()
outputs = mlp_scores(shape, pair, x0)
change = (outputs[0] - outputs[1]).abs().max().item()

# %% tags=["nbval-check-output"]
ch.claim(
    "sharpness-reparametrized",
    value={"sharpness before": before, "after": after, "largest change of an output": change},
    holds=after > 10 * before and change < 1e-9,
)

# %% [markdown]
# ## Where adaptive methods must fail
#
# {cite:t}`wilson2017marginal` build data on which it can be proved. The first coordinate is the label; two are constant;
# and every sample has a few coordinates of its own, which no unseen sample shares. Gradient descent finds the
# minimum-norm solution, which leans on the first coordinate. Methods that normalize coordinate by coordinate move all of
# them by the same amount, so that the constant ones outvote the label: they fit the training set and call every
# unseen negative sample positive.

# %%
samples, answers = wilson_example(60, 0.7, generator=ch.generator(70))


def slope(w, t):
    """Gradient of half the mean squared error of linear prediction, (..., d) -> (..., d)."""
    return (w @ samples.T - answers) @ samples / len(samples)


zero = torch.zeros(samples.shape[1], dtype=torch.float64)
runs = {  # step size, steps
    "sgd": (0.1, 2500),
    "heavy-ball": (0.02, 2500),
    "adagrad": (0.1, 2000),
    "rmsprop": (5e-4, 4000),
    "adam": (5e-4, 4000),
}
unseen = {}
for name, (rate, steps) in runs.items():
    v = descend(None, zero, name, rate, steps, grad=slope, record_every=steps).x[-1]
    fits = bool(((samples @ v).sign() == answers).all())
    unseen[name] = {"positive": (v[0] + v[1] + v[2]).item(), "negative": (-v[0] + v[1] + v[2]).item(), "fits": fits}
adaptive, plain = ("adagrad", "rmsprop", "adam"), ("sgd", "heavy-ball")

# %% tags=["nbval-check-output"]
ch.claim(
    "adaptive-can-fail",
    value={name: [row["positive"], row["negative"]] for name, row in unseen.items()},
    holds=all(row["fits"] for row in unseen.values())
    and all(abs(unseen[n]["positive"] - 0.75) < 1e-3 and abs(unseen[n]["negative"] - 0.25) < 1e-3 for n in adaptive)
    and all(unseen[n]["positive"] > 0 > unseen[n]["negative"] for n in plain),
)

# %%
pd.DataFrame(unseen).T.rename_axis("method").assign(
    positive=lambda f: f.positive.astype(float).round(2), negative=lambda f: f.negative.astype(float).round(2)
)

# %% [markdown]
# ## Beyond the review: the step size chooses the sharpness
#
# Why should the step size decide? With the full batch there is a reason that can be measured: gradient descent cannot
# stay where the sharpness exceeds $2/\eta$, and on networks it drives the sharpness up until it is there, and
# keeps it there while the loss goes on falling {cite}`cohen2021gradient`. Squared loss, tanh units, 200 digits:

# %%
few = ch.pick(quick=200, full=1000, smoke=50)
gd_steps = ch.pick(quick=1500, full=20_000, smoke=40)
points, classes = images[:few].double(), labels[:few]
edge_shape = (images.shape[1], 16, 10)
edge_risk = mlp_objective(edge_shape, points, classes, activation="tanh", loss="mse")
etas = torch.tensor([0.15, 0.2, 0.3, 0.4], dtype=torch.float64, device=ch.device)
begin = flat_weights(StackedMLP(edge_shape, generator=ch.generator(80))).double().to(ch.device).expand(len(etas), -1)
path = descend(edge_risk, begin, "sgd", etas, gd_steps, record_every=max(1, gd_steps // 20))
edge = torch.stack([sharpness(edge_risk, x, steps=20, generator=ch.generator(81)) for x in path.x])
pd.DataFrame(
    {"step size": etas.tolist(), "2 / step size": (2 / etas).tolist(), "sharpness at the end": edge[-1].tolist(),
     "loss at the end": path.f[-1].tolist()}
).round(2)  # fmt: skip

# %% mystnb={"figure": {"name": "fig-01-edge", "caption": "Sharpness of full-batch gradient descent against the step, for four step sizes; dashed: 2 over the step size. The sharpness rises or falls to that value and stays there, whatever the step size."}, "image": {"alt": "Four curves that rise or fall to four dashed horizontal lines and then follow them."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.3)
    for index, eta in enumerate(etas.tolist()):
        ax.plot(path.t, edge[:, index].cpu(), color=f"C{index}", label=f"step size {eta:g}")
        ax.axhline(2 / eta, color=f"C{index}", ls="--", lw=1)
    ax.set(xlabel="step", ylabel="largest Hessian eigenvalue", ylim=(0, None))
    ax.legend(ncols=2)

# %% [markdown]
# ## Takeaway
#
# Width helps beyond the point where the data are fitted, as reported. Sharpness is real, reproducible, and a consequence
# of the step size before it is one of the method; a comparison of optimizers that fixes one step size for each says
# little about them. Adaptive methods fail where they provably must, and not on these digits.
