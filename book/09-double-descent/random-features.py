# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Random Fourier features
#
# Belkin and colleagues' first example {cite}`belkin2019reconciling`: regress one-hot labels of MNIST on $N$ features
# $e^{i\langle v_k, x\rangle}$, $v_k \sim N(0, I/s^2)$, and of all minimizers take the one with the smallest coefficients. The
# review finds a peak at $N = n$. We use 200 training digits in place of 10,000, so that a curve takes a fraction of a second and five of
# them show what varies; the full profile has the review's size.
#
# Frequencies are nested, singular values down to $10^{-12}$ of the largest are kept, and all is in double precision: in single precision
# the peak is blunted.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
from functools import partial

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import mnist, with_label_noise
from litrepro.features import gaussian_kernel
from litrepro.interpolation import random_feature_risk, rff_curve

ch = Chapter("09-double-descent", notebook="random-features", profile=profile, seed=seed, full_minutes=5)
n = ch.pick(quick=200, full=10_000, smoke=100)
half = (n + 1) // 2  # pairs that fit n samples
fixed = ch.pick(quick=200, full=200, smoke=100)  # of the experiments below, whatever the scale of the curves
shares = [0.1, 0.175, 0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 2.0, 4.0]
real_shares = [0.1, 0.175, 0.25, 0.35, 0.45, 0.5, 0.55, 0.75, 1.0, 2.0, 4.0]
ch.require(
    1.0 in shares and 0.5 in real_shares and min(sum(s <= 0.5 for s in shares), sum(s >= 2 for s in shares)) > 1,
    "shares needs 1.0, two up to 0.5 and two from 2.0, and real_shares needs 0.5",
)
seeds = ch.pick(quick=5, full=1, smoke=2)
bandwidth = 5.0  # of pixels in [0, 1]
source = "full" if ch.full and not ch.smoke else "bundled"
pool, test = mnist("train", source=source), mnist("test", source=source)
held_out = (test.images.to(ch.device), test.labels.to(ch.device))


def sample(count, s, p=0.0):
    """A training set drawn with seed s, a share p of its labels wrong."""
    chosen = torch.randperm(len(pool), generator=ch.generator(s))[:count]
    labels = with_label_noise(pool.labels[chosen], p, num_classes=10, generator=ch.generator(50 + s))
    return pool.images[chosen].to(ch.device), labels.to(ch.device)


def curve(count, widths, s, kind="complex", p=0.0):
    """``rff_curve`` with what was varied in further columns."""
    frame = rff_curve(sample(count, s, p), held_out, widths, bandwidth=bandwidth, kind=kind, seed=1000 * seed + s)
    return frame.assign(kind=kind, n=count, p=p, seed=s)


def checkpointed(count, widths, s, kind):
    """A curve; in the full profile width by width, each kept until the table is complete."""
    if not ch.full:
        return curve(count, widths, s, kind)
    parts = [(f"{kind}-{count}-{width}-{s}", partial(curve, count, [width], s, kind)) for width in widths]
    return pd.concat([ch.kept(*part) for part in parts])


# %% [markdown]
# ## The peak

# %%
plan = {"complex": [round(share * n) for share in shares]}
plan["real"] = [half if share == 0.5 else round(share * n) for share in real_shares]
curves = [checkpointed(n, plan[kind], s, kind) for kind in plan for s in ch.progress(range(seeds), kind)]
rff = pd.concat(curves, ignore_index=True)
ch.save("rff", rff)
recorded = ch.paper("rff")
mean = rff.groupby(["kind", "width"])[["train_mse", "test_mse", "test_error", "norm"]].mean()

# %% tags=["hide-input"]
mean.loc["complex"].round(3)

# %% tags=["nbval-check-output"]
complex_mean = mean.loc["complex"]
peaks = {name: int(complex_mean[name].idxmax()) for name in ("test_mse", "test_error", "norm")}
ch.claim("rff-peak", value=peaks, holds=set(peaks.values()) == {n})


def best(side, column):
    """Lowest value of each seed on one side of the threshold, complex coefficients."""
    part = rff[(rff.kind == "complex") & (rff.width < n if side == "below" else rff.width > n)]
    return part.groupby("seed")[column].min()


gaps = {column: (best("below", column) - best("above", column)).min() for column in ("test_mse", "test_error")}
ch.claim("rff-second-descent-wins", value=gaps, holds=min(gaps.values()) > 0)
lower, upper = complex_mean.test_mse[complex_mean.index <= n / 2], complex_mean.test_mse[complex_mean.index >= 2 * n]
error = rff[rff.kind == "complex"].groupby("width").test_mse.sem().fillna(0)  # one seed at full scale
falls = [
    bool((side.diff() < -2 * (error[side.index] ** 2 + error[side.index].shift() ** 2) ** 0.5).iloc[1:].all())
    for side in (lower, upper)
]
ch.claim(
    "regimes",
    value={"below": lower.tolist(), "above": upper.tolist()},
    holds=True if all(falls) else ("partly" if any(falls) else False),
)

# %% [markdown]
# ## Complex or real?
#
# With $N$ complex coefficients there are $n$ complex equations, and the threshold is $N = n$. The library that the
# review links fits cosines and sines with real coefficients: $2N$ of them. Then it is $N = n/2$.

# %% tags=["nbval-check-output"]
found = {}
for kind, frame in mean.groupby(level="kind"):
    frame = frame.droplevel("kind")
    found[kind] = {"peak": int(frame.test_mse.idxmax()), "fits from": int(frame.index[frame.train_mse < 1e-9].min())}
ch.claim(
    "erratum-real-threshold",
    value=found,
    holds=found == {"complex": {"peak": n, "fits from": n}, "real": {"peak": half, "fits from": half}},
)

# %% [markdown]
# ## The curve that theory draws
#
# For random features there is an exact curve in the limit of large $n$ and $N$ {cite}`mei2022generalization`, and a form of it that
# holds for real data {cite}`simon2024more`: it needs the eigenvalues of the Gaussian kernel on the
# digits, and how much of the labels lies along each eigenvector, and nothing else. We take both from the Gram matrix of 3,000 of the bundled
# training digits, in single precision. No parameter is fitted.

# %%
base = ch.pick(quick=3000, full=4000, smoke=2000)
few = torch.randperm(len(pool), generator=ch.generator(99))[:base]
small = rff[rff.kind == "real"]
if n != fixed:
    small = pd.concat([curve(fixed, [round(share * fixed) for share in real_shares], s, "real") for s in range(5)])
points = pool.images[few].flatten(1).to(ch.device)
eigenvalues, vectors = torch.linalg.eigh(gaussian_kernel(points, points, sigma=bandwidth) / base)
targets = torch.nn.functional.one_hot(pool.labels[few], 10).to(vectors)
spectrum, power = eigenvalues.clamp(min=0).cpu(), ((vectors.mT @ targets).square().sum(1) / base).cpu()
del points, vectors


def theory(samples, frequencies):
    """Expected test MSE with cosine-sine pairs."""
    return random_feature_risk(spectrum, power, torch.as_tensor(samples), 2 * torch.as_tensor(frequencies))


measured = small.groupby("width").test_mse.mean()
measured = measured[(2 * measured.index / fixed - 1).map(abs) >= 0.25]
ratio = measured / theory(fixed, measured.index.tolist()).numpy()

# %% tags=["nbval-check-output"]
ch.claim(
    "rff-theory",
    value={str(width): value for width, value in ratio.items()},
    holds=bool((ratio - 1).abs().max() < 0.15),
)

# %% mystnb={"figure": {"name": "fig-09-rff", "caption": "Random Fourier features on 200 digits: test MSE, test error, norm of the coefficients and training MSE against the number N of frequencies, five seeds (mean, band: range); training MSE is cut off at 1e-12. Vertical lines at N = n/2 and N = n. The dashed line is theory for cosine-sine pairs, from the spectrum of the kernel."}, "image": {"alt": "Four panels on logarithmic axes. Complex coefficients peak sharply at 200, cosine-sine pairs at 100, in test MSE, test error and norm; training MSE drops to rounding level there. The dashed theory curve runs four to eleven per cent below the points of the pairs and peaks at 100 as well."}} tags=["hide-input"]
if ch.plots:
    import numpy as np
    from matplotlib.ticker import NullLocator

    from litrepro.plotting import PALETTE, curves as lines, figure

    names = {"test_mse": "test MSE", "test_error": "test error", "norm": r"norm $\|a\|$", "train_mse": "training MSE"}
    labels = {"complex": "complex", "real": "cosine-sine pairs"}

    def draw(frame, count):
        fig, axes = figure(2, 2, height=2.9, sharex=True)
        frame = frame.assign(train_mse=frame.train_mse.clip(lower=1e-12))
        for ax, (column, name) in zip(axes.flat, names.items()):
            lines(frame, "width", column, "kind", ax=ax, error="range", order=list(labels), labels=labels, markers=True,
                  logx=True, logy=column != "test_error")  # fmt: skip
            for place in (count / 2, count):
                ax.axvline(place, color="0.7", lw=0.8, zorder=0)
            ax.set_ylabel(name)
        for ax in axes[1]:
            ax.set_xlabel("frequencies $N$")
            ax.set_xticks([count // 10, count // 4, count // 2, count, 2 * count, 4 * count])
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_locator(NullLocator())
        return fig, axes

    fig, axes = draw(rff, n)
    if n == fixed:
        dense = np.unique(np.round(np.geomspace(n / 10, 4 * n, 160)).astype(int))
        line = theory(n, dense.tolist())
        axes[0, 0].plot(dense, line.where(line < 2e4, torch.nan), "--", color="0.2", lw=1.2, label="theory, pairs")
    axes[0, 0].set_ylim(0.2, 3e3)
    axes[0, 0].legend(fontsize=8)

# %% [markdown]
# ## More samples, wrong labels
#
# A fixed model of 200 features has its threshold at 200 samples, so that going from 50 samples to 200, four times as many, is
# the worst thing to do. And wrong labels raise the error on both sides of the peak. The peak itself is heavy-tailed:
# its height depends on the smallest of 200 singular values more than on the labels.

# %%
grown = pd.concat([curve(count, [fixed], s) for count in (fixed // 4, fixed // 2, fixed, 2 * fixed) for s in range(5)])
by_size = grown.groupby("n").test_error.agg(["mean", "sem"])
wrong = pd.concat(
    [curve(fixed, [fixed // 2, 2 * fixed], s, p=p) for p in (0.0, 0.1, 0.2) for s in range(5)], ignore_index=True
)
by_noise = wrong.pivot_table(index=["width", "seed"], columns="p", values="test_mse")
growth = by_noise.diff(axis=1).iloc[:, 1:]

# %% tags=["hide-input"]
pd.concat({"test error against n": by_size["mean"], "standard error": by_size["sem"]}, axis=1).round(3)

# %% tags=["nbval-check-output"]
quarter, threshold, double = (by_size.loc[count] for count in (fixed // 4, fixed, 2 * fixed))
hurts = threshold["mean"] - quarter["mean"] > 2 * (threshold["sem"] ** 2 + quarter["sem"] ** 2) ** 0.5
ch.claim(
    "more-data-hurts-rff",
    value={str(count): value for count, value in by_size["mean"].items()},
    holds=bool(hurts and double["mean"] < min(quarter["mean"], threshold["mean"])),
)
ch.claim("rff-noise-raises", value={"smallest increase": growth.min().min()}, holds=bool((growth > 0).all().all()))

# %% [markdown]
# ## The whole plane
#
# Model-wise and sample-wise double descent are the rows and columns of one picture. The ridge runs along $n = 2N$ (pairs), and theory
# puts it in the same place.

# %%
sizes = [25, 50, 75, 100, 150, 200, 300, 400]
frequencies = [12, 25, 38, 50, 75, 100, 150, 200]
planes = {}
for p in (0.0, 0.2):
    rows = [curve(count, frequencies, s, "real", p) for count in sizes for s in range(2)]
    planes[f"measured, {p:.0%} wrong labels"] = pd.concat(rows).groupby(["n", "width"]).test_mse.mean().unstack()
expected = theory(torch.tensor(sizes)[:, None], torch.tensor(frequencies))
planes["theory, no wrong labels"] = pd.DataFrame(expected.numpy(), sizes, frequencies)

# %% tags=["hide-input"]
if ch.plots:
    from matplotlib.colors import LogNorm

    from litrepro.plotting import SEQUENTIAL, frames

    pages = {}
    for title, plane in planes.items():
        fig, ax = figure(height=4.2)
        image = ax.imshow(plane.clip(upper=10), origin="lower", cmap=SEQUENTIAL, norm=LogNorm(0.35, 10), aspect="auto")
        ax.set(xlabel="frequencies $N$", ylabel="samples $n$", title=title)
        ax.set_xticks(range(len(frequencies)), frequencies)
        ax.set_yticks(range(len(sizes)), sizes)
        ax.grid(False)
        fig.colorbar(image, ax=ax, label="test MSE (10 and more: brightest)")
        pages[title] = fig
    view = frames(pages, label="Picture", name="rff-plane",
                  alt="Heat map of the test MSE over samples and frequencies, with a bright ridge along n = 2 N.")  # fmt: skip
else:
    view = None
view

# %% mystnb={"figure": {"name": "fig-09-rff-cuts", "caption": "Cuts through the plane, cosine-sine pairs, no wrong labels: test MSE against samples for fixed frequencies (left, more data hurt) and against frequencies for fixed samples (right). Dots: measured, mean of two seeds; lines: theory, from the spectrum of the kernel; vertical lines: n = 2 N, where the points measured lie above the frame."}, "image": {"alt": "Left: two curves that peak at 100 and 200 samples. Right: two curves that peak at 50 and 100 frequencies. Dots follow the theory lines."}} tags=["hide-input"]
if ch.plots:
    measured_plane = planes["measured, 0% wrong labels"]
    fig, (left, right) = figure(1, 2, height=3.3, sharey=True)
    for index, (width, count) in enumerate(((50, 100), (100, 200))):
        style = {"color": PALETTE[index], "lw": 1.4}
        for ax, grid, line, dots, label, threshold in (
            (left, np.arange(25, 401), lambda g, w=width: theory(g, w), measured_plane[width], f"N = {width}", 2 * width),
            (right, np.arange(12, 201), lambda g, c=count: theory(c, g), measured_plane.loc[count], f"n = {count}", count / 2),
        ):  # fmt: skip
            values = line(torch.as_tensor(grid))
            ax.plot(grid, values.where(values.isfinite(), torch.nan), label=label, **style)
            ax.plot(dots.index, dots, "os"[index], ms=4.5, color=PALETTE[index])
            ax.axvline(threshold, color="0.75", lw=0.8, zorder=0)
            ax.legend(fontsize=8)
    left.set(yscale="log", ylim=(0.3, 300), xlabel="samples $n$", ylabel="test MSE")
    right.set(xlabel="frequencies $N$")

# %% mystnb={"figure": {"name": "fig-09-rff-full", "caption": "The four panels at the review's scale, n = 10,000."}, "image": {"alt": "The same four panels at n = 10,000."}} tags=["hide-input"]
if ch.plots and recorded is not None:
    draw(recorded, 10_000)

# %% [markdown]
# ## Takeaway
#
# Everything the review shows for random features holds at a fiftieth of its size, in the mean of five seeds, with one
# repair: count coefficients of the kind that is fitted, $N$ complex ones or, for pairs, $2N$ real ones. The textbook's
# U-shaped curve is there as well, below the threshold, which is why it is half true that larger is better on both
# sides. That the peak, its place and both descents come out of a spectrum, with nothing fitted, says that there is no
# mystery left in this example.
