# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A convolutional network with factored dense layers
#
# The last experiment leaves linear networks: in TensorFlow's old MNIST network the hidden layer's weight becomes a
# product with a square matrix, the output layer's too, and training is said to be faster.
#
# There is a trap. With truncated normal factors of standard deviation 0.1, the product has another scale than a
# single matrix: an extra $h\times h$ factor multiplies it by about $0.09\sqrt h$ (1 at $h = 128$, 2 at $h = 512$), the
# $10\times10$ factor by 0.3. Any gain or loss may just be that. So there is a *control*: the plain network, started
# from the product of the factors. It computes the same function as the factored network at the start; whatever
# separates the two later is depth.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.linearnets import train_convnets
from litrepro.training import paired_difference

ch = Chapter("06-implicit-acceleration", notebook="convnet", profile=profile, seed=seed, full_minutes=6)
channels = ch.pick(quick=(4, 8), full=(32, 64), smoke=(2, 3))
hidden = ch.pick(quick=128, full=512, smoke=16)
steps = ch.pick(quick=62, full=2811, smoke=62)  # full: 3 epochs of 937 batches
count = ch.pick(quick=3, full=10, smoke=2)
batch = ch.pick(quick=32, full=64, smoke=8)
rates = ch.pick(quick=(0.01, 0.03, 0.1), full=(0.01, 0.03, 0.1), smoke=(0.01,))
every = 31
ch.require(steps >= 2 * every, f"steps must be at least {2 * every}: the second window of {every} is judged")
seeds = range(seed, seed + count)

# %% [markdown]
# **Quick**: 4,000 MNIST digits, 4 and 8 channels, 128 hidden units, 62 batches of 32. **Full**: all 60,000, 32 and 64 channels,
# 512 hidden units, three epochs, batches of 64. Three seeds (full: ten), three step sizes. Momentum 0.9, dropout 0.5; weights and batches are shared within a seed.

# %%
source = {"source": "full"} if ch.full and not ch.smoke else {"source": "bundled"}
sets = [mnist(split, **source) for split in ("train", "test")]
train, test = ((images.images.to(ch.device), images.labels.to(ch.device)) for images in sets)
runs = pd.concat(
    [
        train_convnets(
            variant, train, test, channels=channels, hidden=hidden, lr=lr, seeds=seeds, steps=steps, every=every,
            batch=batch, progress=lambda loop: ch.progress(loop, "training", total=steps),
        )
        for variant in ("original", "factored", "control")
        for lr in rates
    ],
    ignore_index=True,
)  # fmt: skip
recorded = ch.table("convnet-curves", runs.round(6))


def best_rates(frame):
    """Per variant the step size with the lowest mean loss over steps 32 to 62, and that loss's rows."""
    early = frame[frame.step == 2 * every]
    mean = early.groupby(["variant", "lr"])["train_loss"].mean()
    return {name: float(mean[name].idxmin()) for name in ("original", "factored", "control")}, early


# %% mystnb={"figure": {"name": "fig-06-convnet", "caption": "Training loss (means over 31 steps, dropout active) of the original, the factored and the control network, each at its best step size; points are seeds, set apart sideways, lines means. Quick run."}, "image": {"alt": "Loss at steps 31 and 62 for three networks: the factored one is above the other two at both."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure()
    rate, _ = best_rates(runs)
    for index, (name, lr) in enumerate(rate.items()):
        part = runs[(runs.variant == name) & (runs.lr == lr)]
        ax.plot(part.step + 1.2 * (index - 1), part.train_loss, "os^"[index], ms=4, alpha=0.5, color=f"C{index}")
        mean = part.groupby("step")["train_loss"].mean()
        ax.plot(mean.index, mean, color=f"C{index}", label=f"{name}, step size {lr:g}")
    ax.set(xlabel=f"step (end of a window of {every})", ylabel="training loss")
    ax.legend()

# %%
ends = runs[runs.step == runs.step.max()]
ends.groupby(["variant", "lr"])[["train_loss", "test_loss", "test_accuracy"]].mean().round(3)


# %% tags=["nbval-check-output"]
def compared(frame, first, second):
    """Mean difference of the loss over steps 32 to 62 and its standard error, each at its best step size."""
    rate, early = best_rates(frame)
    return paired_difference(early, "train_loss", {"variant": first, "lr": rate[first]},
                             {"variant": second, "lr": rate[second]})  # fmt: skip


gain, depth = compared(runs, "factored", "original"), compared(runs, "factored", "control")
faster, by_depth = gain[0] < -2 * gain[1], depth[0] < -2 * depth[1]
# A comparison of networks that learn nothing would come out the same.
rate, _ = best_rates(runs)
reached = ends.groupby(["variant", "lr"])["test_accuracy"].mean()
learned = {name: float(reached[name, lr]) for name, lr in rate.items()}
ch.require(min(learned.values()) >= 0.5, f"a network has not learned: test accuracies {learned}")
# Nor would networks that are one and the same be ahead of one another.
ch.require(gain[0] != 0 and depth[0] != 0, "the factored network trains exactly like another one")
ch.claim(
    "convnet-gains",
    value={"factored - original": gain, "factored - control": depth, "test accuracy": learned},
    holds=True if faster and by_depth else "partly" if faster else False,
)

# %% [markdown]
# Where a full run is recorded, the mean difference of the same loss and its standard error follow:

# %%
None if recorded is None else pd.DataFrame(
    {f"factored - {other}": compared(recorded, "factored", other) for other in ("original", "control")},
    index=["difference", "standard error"],
).round(3)

# %% [markdown]
# ## Takeaway
#
# At this size factoring slows the network down, and the control shows that the scale of the start is not to blame:
# started from the same function, the plain network is faster. At the review's size the extra factor doubles the
# scale of the hidden layer, and a comparison without the control could not tell the two apart.
