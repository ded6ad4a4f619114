# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Fastfood: frequencies without a matrix
#
# Fastfood {cite}`le2013fastfood` replaces the dense matrix of frequencies by blocks
#
# $$
# V = \frac{1}{\sigma\sqrt p}\; S\, H\, G\, \Pi\, H\, B,
# $$
#
# with random signs $B$, a permutation $\Pi$, normal numbers $G$, row lengths $S$ on the diagonals, and the Walsh-Hadamard
# matrix $H$ of order $p$, a power of two. $Hx$ takes $p \log p$ additions, so $D$ projections of a point in $d$
# dimensions cost $O(D \log d)$ instead of $O(Dd)$. The review claims speed and storage, and mentions no loss. We time it, weigh it,
# and look at what comes out.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.features import (
    fastfood_matrix,
    fastfood_project,
    hadamard_transform,
    kernel_estimates,
    paley_hadamard,
    sample_fastfood,
)

ch = Chapter("14-random-features", notebook="fastfood", profile=profile, seed=seed, full_minutes=2)
draws = ch.pick(quick=20_000, full=500_000, smoke=500)
powers = ch.pick(quick=[6, 7, 8, 9, 10, 11, 12], full=[6, 7, 8, 9, 10, 11, 12, 13, 14, 15], smoke=[6, 7])
n_points = ch.pick(quick=100, full=1000, smoke=10)
ch.require(min(powers) <= 12, f"powers must have one of at most 12, by which the speed is judged, got {powers}")
f64 = torch.float64

# %% [markdown]
# ## Is it a Gaussian kernel?
#
# The mean over 20,000 draws at four distances, and the lengths of the rows of $V$: with $S$ they are distributed as those
# of a Gaussian matrix, $\chi(d)$. Without $S$ all rows of a block have one and the same length.

# %%
distances = torch.tensor([0.3, 0.8, 1.5, 2.5], dtype=f64)
direction = torch.randn(16, generator=ch.generator(1), dtype=f64)
point = torch.randn(16, generator=ch.generator(2), dtype=f64)
others = point + distances[:, None] * direction / direction.norm()
estimates = {
    method: kernel_estimates(
        method, point.to(ch.device), others.to(ch.device), 64, draws, generator=ch.generator(3)
    ).cpu()
    for method in ("phase", "fastfood")
}
exact = torch.exp(-(distances**2) / 2)
errors = (estimates["fastfood"].mean(0) - exact) / (estimates["fastfood"].std(0) / math.sqrt(draws))
variance = {method: (64 * values.var(0)).tolist() for method, values in estimates.items()}

d_rows = 64
draw = sample_fastfood(d_rows, d_rows, batch=(200,), generator=ch.generator(4))
lengths = fastfood_matrix(draw).norm(dim=-1)
bare = lengths / draw.S[:, 0]  # every row of H G Pi H B / sqrt(p) is as long as the vector of G
spread = {
    "with S": (lengths.std(-1) / lengths.mean(-1)).mean().item(),
    "without S": (bare.std(-1) / bare.mean(-1)).max().item(),
}
mean_square = lengths.square().mean().item() / d_rows

# %% tags=["nbval-check-output"]
missed = (estimates["fastfood"].mean(0) - exact).abs().max().item()
unbiased = errors.abs().max().item() < 5 and missed < 0.01  # five standard errors of any size would be easy
ch.claim(
    "fastfood-unbiased",
    value={
        "standard errors off": errors.tolist(),
        "largest mean error": missed,
        "mean squared row length / d": mean_square,
        "D variance at k = 0.33": {method: values[2] for method, values in variance.items()},
    },
    # Fastfood's rows depend on each other: without the larger variance these would be plain features.
    holds=unbiased and abs(mean_square - 1) < 0.02 and variance["fastfood"][2] > 1.1 * variance["phase"][2],
)

# %% mystnb={"figure": {"name": "fig-14-rows", "caption": "Lengths of the rows of Fastfood's matrix, d = 64, over 200 draws: with the diagonal S they follow the chi distribution with 64 degrees of freedom; without it every row of a block is as long as any other."}, "image": {"alt": "A bell-shaped histogram around 8 under the chi density, and a dashed vertical line at about 7.2, the one length of all rows without S."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, ax = figure()
    r = torch.linspace(5, 11, 300, dtype=f64)
    log_chi = (d_rows - 1) * r.log() - r**2 / 2 - (d_rows / 2 - 1) * math.log(2) - math.lgamma(d_rows / 2)
    ax.hist(lengths.flatten(), bins=60, range=(5, 11), density=True, color=PALETTE[4], alpha=0.6, label="with S")
    ax.plot(r, log_chi.exp(), color=PALETTE[0], label=r"density of $\chi(64)$")
    ax.axvline(bare[0].mean(), color=PALETTE[1], ls="--", label="without S, all rows of one block")
    ax.set(xlabel="length of a row", ylabel="density")
    ax.legend()

# %% [markdown]
# The estimate is unbiased. It is not the same as a dense draw, though: the rows of a block share their signs and their
# permutation, and at $k = 0.33$ the variance is a good quarter above that of independent frequencies.
#
# ## Speed
#
# Single precision, 100 points, $D = 4d$, best of several runs. Our transform writes $H_p$ as a Kronecker product of
# Hadamard matrices of order at most 64, that is as a few small matrix products; a butterfly of additions does fewer
# operations, in more passes over the data.


# %%
def time_projections(d, n_features):
    """Seconds of the dense and of the Fastfood projection."""
    source = torch.Generator(ch.device).manual_seed(seed)
    x = torch.randn(n_points, d, generator=source, device=ch.device)
    omega = torch.randn(n_features, d, generator=source, device=ch.device)
    f = sample_fastfood(d, n_features, generator=source)
    calls = min(50, max(1, 2_000_000 // (n_points * n_features)))
    repeats = 7 if d <= 1024 else 2
    projections = {"dense": lambda: x @ omega.mT, "Fastfood": lambda: fastfood_project(x, f)}
    many = {name: lambda p=project: [p() for _ in range(calls)] for name, project in projections.items()}
    return {name: taken / calls for name, taken in ch.race(many, repeats).items()}


sizes = [2**power for power in powers]
timed = {d: time_projections(d, 4 * d) for d in ch.progress(sizes, "dimensions")}
timings = pd.DataFrame(
    [
        {"method": method, "d": d, "D": 4 * d, "metric": "seconds", "value": value}
        for d, row in timed.items()
        for method, value in row.items()
    ]
)
recorded_timings = ch.table("fastfood-timings", timings)

# %% tags=["nbval-check-output"]
faster = {d: row["dense"] / row["Fastfood"] > 1 for d, row in timed.items() if d <= 4096}
speedup = {str(d): row["dense"] / row["Fastfood"] for d, row in timed.items()}
ch.claim(
    "fastfood-faster",
    value=speedup,
    holds=True if all(faster.values()) else "partly" if faster[max(faster)] else False,
)

# %% tags=["hide-input"]
ratios = pd.Series({d: row["dense"] / row["Fastfood"] for d, row in timed.items()}, name="dense time / Fastfood time")
ratios.rename_axis("d").to_frame().round(2)

# %% mystnb={"figure": {"name": "fig-14-fastfood-time", "caption": "Time of the projection of all points onto D = 4d frequencies against the dimension, dense and by Fastfood; the dotted line marks the last crossover, interpolated between powers of two. Left 100 points on the machine that made this page; right, where it is recorded, the full scale, 1,000 points and dimensions up to 32,768, on the device that the line above names."}, "image": {"alt": "Two panels of two rising lines on logarithmic axes; the dense one starts lower, crosses the Fastfood line at two to four hundred dimensions and ends an order of magnitude above it."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import sweep

    def draw_times(ax, table):
        """Seconds of both methods, and the dimension from which on Fastfood is faster."""
        sweep(table, "d", "value", "method", ax=ax, logy=True)
        seconds = table.pivot(index="d", columns="method", values="value")
        logs = [(d, math.log(ratio)) for d, ratio in (seconds["dense"] / seconds["Fastfood"]).items()]
        crossed = [pair for pair in itertools.pairwise(logs) if pair[0][1] < 0 <= pair[1][1]]
        for (d0, r0), (d1, r1) in crossed[-1:]:
            place = d0 * (d1 / d0) ** (-r0 / (r1 - r0))
            ax.axvline(place, color="0.4", ls=":", label=f"crossover, d = {place:.0f}")
        ax.set(xlabel="dimension $d$")
        ax.legend()

    shown = ch.scales(timings, recorded_timings)
    fig, axes = figure(1, len(shown), height=3.6, squeeze=False)
    points = {"quick": f"quick, {n_points:,} points"}
    points["full scale"] = f"full scale, {n_points if ch.full else 1000:,} points"
    for ax, (scale, table) in zip(axes[0], shown.items()):
        draw_times(ax, table)
        ax.set(title=points[scale], ylabel="")
    axes[0, 0].set_ylabel("seconds")

# %% [markdown]
# Faster, from a few hundred dimensions on: that is where Fastfood really starts to win, whatever the operation counts
# say. Below it a dense product is hard to beat: it does more arithmetic and moves less memory. Above it the gain of the
# quick run grows with $d$, by a factor of 1.5 to 2 per doubling. With ten times the points, on the recorded CPU, it
# stays between 2 and 2.8 from 512 to 4,096 and then grows to 10 at 32,768, where a dense projection takes 37 seconds
# and Fastfood's 3.7.
#
# ## Storage
#
# A draw holds four numbers per frequency ($B$, $\Pi$, $G$, $S$), the dense matrix $d$. So the saving is $d/4$, and the
# storage grows with $D$: each of the $D/p$ blocks has its own diagonals. The review's $O(m)$ (its $m$ is our $d$) is
# the storage of one block.
#
# One block is also what the review writes down, a square matrix of order $D$ with the scale $1/(\sigma\sqrt D)$. For it
# that is right, since $p = D$. The check below shows what $p$ means where blocks are stacked and points padded: in 40
# dimensions, padded to 64, rows have the length of Gaussian ones with $\sqrt p$, and not with $\sqrt d$.

# %%
held = []
for d in (64, 256, 1024, 4096):
    for n_features in (d, 4 * d):
        f = sample_fastfood(d, n_features, generator=ch.generator(5))
        held.append((d, n_features, sum(t.numel() * t.element_size() for t in (f.B, f.perm, f.G, f.S))))
storage = pd.DataFrame(held, columns=["d", "D", "bytes"])
storage["dense bytes"] = 8 * storage.d * storage.D
storage["saving"] = storage["dense bytes"] / storage.bytes
by_size = storage.set_index(["d", "D"]).bytes
growth = [math.log(by_size[d, 4 * d] / by_size[d, d]) / math.log(4) for d in (64, 256, 1024, 4096)]

# %% tags=["hide-input"]
storage.round(0).astype(int)

# %% tags=["nbval-check-output"]
proportional = all(abs(g - 1) < 1e-9 for g in growth)
saves = bool((storage.saving >= storage.d / 8).all())
ch.claim(
    "fastfood-storage",
    value={"slope in D": growth, "saving over d": (storage.saving / storage.d).tolist()},
    holds=False if not saves else "partly" if proportional else True,
)
padded = sample_fastfood(40, 64, batch=(400,), generator=ch.generator(6))
with_p = fastfood_matrix(padded).square().sum(-1).mean().item() / 40
ch.claim(
    "erratum-fastfood-cost",
    value={
        "storage slope in D": growth,
        "relative spread of row lengths": spread,
        "mean squared length / d with sqrt(p), and with sqrt(d)": [with_p, with_p * 64 / 40],
    },
    holds=proportional
    and spread["without S"] < 1e-9
    and 0.05 < spread["with S"] < 0.12
    and abs(with_p - 1) < 0.02
    and abs(with_p * 64 / 40 - 1) > 0.5,
)

# %% [markdown]
# ## Hadamard matrices of other orders
#
# That all Hadamard matrices have order $2^k$ holds for Sylvester's, which the transform needs. Others exist: Paley
# built one of order 12 from the quadratic residues modulo 11. (Whether there is one for every multiple of 4 is open.)

# %% tags=["nbval-check-output"]
paley = paley_hadamard(11)
off_diagonal = (paley @ paley.mT - 12 * torch.eye(12, dtype=f64)).abs().max().item()
ch.claim(
    "erratum-hadamard-orders",
    value={"order": 12, "H H' - 12 I": off_diagonal},
    holds=off_diagonal == 0 and bool((paley.abs() == 1).all()),
)

# %% mystnb={"figure": {"name": "fig-14-hadamard", "caption": "Two Hadamard matrices: Sylvester's of order 16, which has a fast transform, and Paley's of order 12, which is no power of two. Dark is -1."}, "image": {"alt": "Two square patterns of dark and light cells; the left one is self-similar, the right one has circulant stripes."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.2)
    shown = {"Sylvester, order 16": hadamard_transform(torch.eye(16)), "Paley, order 12": paley}
    for ax, (title, matrix) in zip(axes, shown.items()):
        ax.imshow(matrix, cmap="cividis", vmin=-1.2, vmax=1.2)
        ax.set(title=title, xlabel="column", ylabel="row")
        ax.grid(False)

# %% [markdown]
# ## Takeaway
#
# Fastfood does what it promises where the dimension is large, and its promise has to be read with the right letters:
# $O(D \log d)$ time and $O(D)$ storage. Below a few hundred dimensions the dense product wins.
