# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Making selection affordable
#
# A coreset that costs more to find than it saves is useless. The review lists four remedies: gradients of the last layer only, selection
# per class or per batch, a warm start, and selecting every $R$ epochs; and, from the literature, selection by a small proxy network. Each is
# run here with GRAD-MATCH and LeNet on 10 % of the digits, in batches of 10.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import time

import numpy as np
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.coresets import (
    gradient_error,
    last_layer_gradients,
    per_sample_gradients,
    rank_correlation,
    select,
    select_batches,
    train_on_coresets,
)
from litrepro.data import mnist
from litrepro.nets import lenet, mlp
from litrepro.training import cosine, evaluate, fit

ch = Chapter("16-coresets", notebook="speed-ups", profile=profile, seed=seed, full_minutes=6)
n = ch.pick(quick=500, full=2000, smoke=200)
n_test = ch.pick(quick=1000, full=10_000, smoke=200)
epochs = ch.pick(quick=40, full=60, smoke=20)
every = ch.pick(quick=10, full=5, smoke=10)
few = ch.pick(quick=3, full=10, smoke=2)
many = ch.pick(quick=5, full=10, smoke=2)
source = "full" if ch.full and not ch.smoke else "bundled"
parts = [
    mnist("train", n=n, balanced=True, source=source, seed=seed),
    mnist("test", n=n_test, source=source, seed=seed),
]
train, test = (tuple(t.to(ch.device) for t in (part.images, part.labels)) for part in parts)
x, y = train
settings = {"method": "grad-match", "fraction": 0.1, "batch_size": 10, "lr": 0.05, "momentum": 0.9}


def run(s, length, **changes):
    """One run from seed s: final training loss and test accuracy, history, selections."""
    history, chosen = train_on_coresets(
        lenet(seed=seed + s), train, epochs=length, seed=s, evaluate_on={"test": test},
        **({"eval_every": 5, "every": every} | settings | changes),
    )  # fmt: skip
    end = history[history.epoch == history.epoch.max()].set_index(["split", "metric"]).value
    return end["train", "loss"], end["test", "accuracy"], history, chosen


def study(name, variants, repeats):
    """Every variant (changes, length) from every seed, as one tidy table."""
    rows = []
    for (label, (changes, length)), s in ch.progress([(v, s) for v in variants.items() for s in range(repeats)], name):
        loss, accuracy, history, chosen = run(s, length, **changes)
        row = {"study": name, "variant": label, "run": s, "train loss": loss, "test accuracy": accuracy}
        row |= {"seconds": history.seconds.iloc[-1], "selection": history.selection_seconds.iloc[-1]}
        row |= {"gradient error": chosen.gradient_error.mean(), "first error": chosen.gradient_error.iloc[0]}
        rows.append(row)
        paths[name, label, s] = history[(history.split == "train") & (history.metric == "loss")]
    return pd.DataFrame(rows)


paths = {}


def wide(table, column):
    """Runs x variants."""
    return table.pivot_table(index="run", columns="variant", values=column)


def gain(table, column, a, b):
    """Mean of b - a over paired runs, and its standard error."""
    difference = wide(table, column)[b] - wide(table, column)[a]
    return difference.mean(), difference.sem()


# %% [markdown]
# ## The last layer instead of all
#
# LeNet has 61,706 parameters, 850 of them in the head. Do the head's gradients know what all know? Compared are the norms of the gradients of
# single examples and the distances between pairs, before training and after three epochs.

# %%
rows, warmed = [], []
for s in range(min(few, 3)):
    model = lenet(seed=seed + s).to(ch.device)
    for after in (0, 3):
        if after:
            fit(
                model,
                train,
                epochs=after,
                batch_size=10,
                lr=0.05,
                momentum=0.9,
                schedule=cosine,
                eval_every=after,
                seed=s,
            )
            warmed.append(model)
        every_layer, last = per_sample_gradients(model, x, y), last_layer_gradients(model, x, y)
        pair = [torch.pdist(g.double() if g.shape[1] < 1000 else g) for g in (every_layer, last)]
        share = last.square().sum() / every_layer.square().sum()
        norms = rank_correlation(every_layer.norm(dim=1).cpu(), last.norm(dim=1).cpu())
        distances = rank_correlation(pair[0].double().cpu(), pair[1].cpu())
        rows.append(
            {"epochs": after, "run": s, "norms": float(norms), "distances": float(distances), "share": float(share)}
        )
layers = pd.DataFrame(rows)
by_epoch = layers.groupby("epochs")[["norms", "distances", "share"]].agg(["mean", "min", "max"])

# %% tags=["hide-input"]
layers.groupby("epochs")[["norms", "distances", "share"]].mean().rename(
    columns={"share": "share of the squared norm"}
).round(2)

# %% mystnb={"figure": {"name": "fig-16-layers", "caption": "Norm of an example's gradient in all layers against that in the last layer, one network after three epochs."}, "image": {"alt": "Scatter plot on logarithmic axes: the points lie close to a rising line, with the all-layer norm about two to three times the last layer's."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    _, ax = figure(height=3.2)
    ax.scatter(last.norm(dim=1).cpu(), every_layer.norm(dim=1).cpu(), s=6, alpha=0.5)
    ax.set(xscale="log", yscale="log", xlabel="gradient norm, last layer", ylabel="gradient norm, all layers")

# %% tags=["nbval-check-output"]
low = by_epoch.xs("min", axis=1, level=1)
good = [bool((low.loc[after, ["norms", "distances"]] > 0.8).all()) for after in (0, 3)]
values = {
    f"{name}, {after} epochs": by_epoch.loc[after, (name, "mean")]
    for name in ("norms", "distances", "share")
    for after in (0, 3)
}
ch.claim("last-layer-captures", value=values, holds=True if all(good) else "partly" if any(good) else False)
ch.claim(
    "erratum-last-layer-share",
    value=values,
    holds=bool(by_epoch.loc[3, ("share", "max")] < 0.5 and low.loc[3, "norms"] > 0.8),
)

# %% [markdown]
# What remains is the price, and what it buys. The run with the last layer may take three times as many epochs: it is still the shorter one.


# %%
def seconds_of_selection(gradients):
    """Seconds of gradients and selection, the better of two, and bytes of the gradients."""
    times = []
    for _ in range(2):
        started = time.process_time() if ch.device.type == "cpu" else time.perf_counter()
        g = gradients(warmed[0], x, y)
        select(g, y, n // 10, method="grad-match").weights.sum().item()
        times.append((time.process_time() if ch.device.type == "cpu" else time.perf_counter()) - started)
    return min(times), g.numel() * g.element_size()


price = {name: seconds_of_selection(f) for name, f in (("all", per_sample_gradients), ("last", last_layer_gradients))}
ratios = [price["all"][i] / price["last"][i] for i in (0, 1)]
variants = {
    "all layers": ({"gradients": "all"}, epochs),
    "last layer": ({}, epochs),
    "last layer, longer": ({}, 3 * epochs),
}
by_layer = study("layers", variants, few)
same_time = []
for s in range(few):
    slow, quick = paths["layers", "all layers", s], paths["layers", "last layer, longer", s]
    there = np.exp(np.interp(slow.seconds.iloc[-1], quick.seconds, np.log(quick.value)))
    same_time.append(slow.value.iloc[-1] - there)
ahead, error = np.mean(same_time), np.std(same_time, ddof=1) / np.sqrt(few)

# %% tags=["hide-input"]
by_layer.groupby("variant", sort=False)[
    ["train loss", "test accuracy", "seconds", "selection", "gradient error"]
].mean().round(3)

# %% mystnb={"figure": {"name": "fig-16-last-all", "caption": "Training loss against seconds of training and selection, every run a line."}, "image": {"alt": "Runs with the last layer's gradients reach low losses within about a second; those with all layers take several times as long for a similar loss."}} tags=["hide-input"]
if ch.plots:
    _, ax = figure(height=3.4)
    for colour, label in enumerate(variants):
        for s in range(few):
            path = paths["layers", label, s]
            ax.plot(
                path.seconds.clip(lower=1e-3),
                path.value,
                color=f"C{colour}",
                marker=".",
                label=label if s == 0 else None,
            )
    ax.set(
        xscale="log", yscale="log", xlim=(0.02, None), xlabel="seconds (training and selection)", ylabel="training loss"
    )
    ax.legend(fontsize=8)

# %% tags=["nbval-check-output"]
ch.claim(
    "last-layer-practical", value={"time": ratios[0], "bytes": ratios[1]}, holds=ratios[0] >= 5 and ratios[1] >= 20
)
ch.claim(
    "last-layer-faster-training",
    value={"gain": float(ahead), "standard error": float(error)},
    holds=True if ahead > 2 * error else "partly" if ahead > -2 * error else False,
)

# %% [markdown]
# ## Class by class
#
# Selecting per class is said to save memory. It does more. Without it GRAD-MATCH matches the sum over all classes better, and leaves classes
# with hardly an example, as the count of the rarest class shows. Whole batches of a random partition (sorted by nothing) are coarser, and keep the classes.

# %%
by_class = study("classes", {"per class": ({}, epochs), "all at once": ({"per_class": False}, epochs)}, few)
rows = []
for s, model in enumerate(warmed):
    g = last_layer_gradients(model, x, y)
    picks = {
        "per class": select(g, y, n // 10, method="grad-match"),
        "all at once": select(g, y, n // 10, method="grad-match", per_class=False),
        "batches of 5": select_batches(g, n // 10, batch_size=5, method="grad-match", generator=ch.generator(s)),
    }
    for name, found in picks.items():
        counts = y[found.indices].bincount(minlength=10)
        rows.append(
            {
                "selection": name,
                "relative error": float(gradient_error(g, found) / g.sum(0).norm()),
                "rarest class": int(counts.min()),
                "weights above 0": int((found.weights > 0).sum()),
            }
        )
counts = pd.DataFrame(rows).groupby("selection", sort=False).mean()

# %% tags=["hide-input"]
pd.concat([counts, by_class.groupby("variant")[["train loss", "test accuracy"]].mean()], axis=1).round(3)

# %% tags=["nbval-check-output"]
accuracies = wide(by_class, "test accuracy").mean()
ch.claim(
    "per-class-needed",
    value=accuracies.to_dict(),
    holds=bool(accuracies["per class"] >= accuracies["all at once"] - 0.01),
)

# %% [markdown]
# ## Warm start, and how often to select
#
# A warm epoch costs ten coreset epochs, so the runs compared have equal numbers of steps.

# %%
length = 3 * epochs // 2
warm = study(
    "warm",
    {
        f"warm {w}": ({"warm_start": w, "eval_every": length}, w + length - 10 * w)
        for w in ch.pick(quick=(0, 2, 5), full=(0, 2, 5), smoke=(0, 2))
    },
    many,
)
often = study("every", {f"R = {r}": ({"every": r, "eval_every": epochs}, epochs) for r in (1, 5, 10, 20)}, few)

# %% tags=["hide-input"]
pd.concat([warm, often]).groupby(["study", "variant"], sort=False)[
    ["train loss", "test accuracy", "seconds", "selection", "first error", "gradient error"]
].mean().round(3)

# %% tags=["nbval-check-output"]
better, unsure = gain(warm, "train loss", "warm 2", "warm 0")
first = wide(warm, "first error").mean()
checks = [bool(better > 2 * unsure), bool(first["warm 2"] < first["warm 0"])]
ch.claim(
    "warm-start-helps",
    value={
        "gain in loss": better,
        "standard error": unsure,
        "first error, warm": first["warm 2"],
        "first error, cold": first["warm 0"],
    },
    holds=True if all(checks) else "partly" if any(checks) else False,
)

# %% [markdown]
# ## Selection by a proxy
#
# A perceptron with 32 hidden units, trained for three epochs like LeNet, chooses once; then a fresh LeNet is trained on its choice, on LeNet's own, and
# on a random one.

# %%
rows = []
for s, model in enumerate(warmed):
    proxy = mlp(784, [32], 10, seed=seed + s).to(ch.device)
    fit(proxy, train, epochs=3, batch_size=10, lr=0.05, momentum=0.9, schedule=cosine, eval_every=3, seed=s)
    gs = {"own": last_layer_gradients(model, x, y), "proxy": last_layer_gradients(proxy, x, y)}
    row = {"run": s, "correlation": float(rank_correlation(*(g.norm(dim=1).cpu() for g in gs.values())))}
    for name, g in {**gs, "random": gs["own"]}.items():
        kind = "random" if name == "random" else "grad-match"
        found = select(g, y, n // 10, method=kind, generator=ch.generator(30 + s))
        weights = found.weights / found.weights.mean()
        student = lenet(seed=seed + 50 + s)
        fit(
            student,
            (x[found.indices], y[found.indices]),
            epochs=epochs,
            batch_size=10,
            lr=0.05,
            momentum=0.9,
            schedule=cosine,
            weights=weights,
            eval_every=epochs,
            seed=s,
        )
        row[name] = evaluate(student, test)["accuracy"]
    rows.append(row)
proxies = pd.DataFrame(rows)

# %% tags=["hide-input"]
proxies.set_index("run").round(3)

# %% tags=["nbval-check-output"]
ranks, as_well = bool((proxies.correlation > 0.7).all()), bool(proxies.proxy.mean() > proxies.own.mean() - 0.03)
ch.claim(
    "proxy-correlation",
    value={"Spearman": proxies.correlation.mean(), "own": proxies.own.mean(), "proxy": proxies.proxy.mean()},
    holds=True if ranks and as_well else "partly" if ranks or as_well else False,
)

# %% [markdown]
# ## When do coresets pay?
#
# Seconds of training and selection to a training accuracy of 90 %, by fraction and interval; all data beside them.

# %%
rows = []
for fraction in (0.1, 0.2, 0.4, 1.0):
    for interval in (5, 20) if fraction < 1 else (epochs,):
        changes = {"fraction": fraction, "every": interval, "eval_every": 1}
        _, _, path, _ = run(
            0,
            epochs if fraction < 1 else max(epochs // 4, 1),
            **changes,
            **({} if fraction < 1 else {"method": "full"}),
        )
        path = path[(path.split == "train") & (path.metric == "accuracy")]
        there = path[path.value >= 0.9]
        rows.append(
            {
                "fraction": fraction,
                "R": interval if fraction < 1 else "-",
                "seconds": there.seconds.min() if len(there) else np.nan,
            }
        )
pays = pd.DataFrame(rows)
speedups = pd.concat([by_layer, by_class, warm, often], ignore_index=True)
table = ch.table("speedups", speedups)

# %% tags=["hide-input"]
pays.round(2)

# %% [markdown]
# ## Stability
#
# That the last layer's gradients make training steadier was judged in the review by eye, from single runs. It needs many seeds; this claim waits for the full profile.

# %% tags=["nbval-check-output"]
if table is None:
    ch.not_run("last-layer-stabler", "the full-scale table speedups is not recorded")
else:
    spread = wide(table[table.study == "layers"], "train loss").std()
    ch.claim(
        "last-layer-stabler",
        value=spread.to_dict(),
        holds=bool(spread["last layer"] < spread["all layers"]),
        table="speedups",
    )

# %% [markdown]
# ## Takeaway
#
# The last layer is the speed-up that counts: a small part of the gradient, almost the same ranking of examples once the network has begun to
# learn, at a small fraction of time and memory. Per-class selection is no approximation but a correction. At this size none of the
# savings makes a coreset the faster way to 90 %.
