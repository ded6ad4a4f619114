# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Clustering the noise out of a tomogram
#
# A neutron tomogram is reconstructed from projections that count particles, and counts are noisy. {cite:t}`hui2018volumetric`
# treat the voxels above a low intensity as points in space and cluster them by density with DBSCAN {cite}`ester1996density`:
# a voxel with enough neighbours within $\varepsilon$ is *core*, one near a core voxel is *reachable*, the rest is *noise*. Their
# addition is to let the number of neighbours that a voxel needs depend on its intensity. The review calls that the
# innovation, reports significantly less noise and finer features, and names the cost of conventional filters as a
# reason. It does not say what that gains over a fixed number.
#
# The neutron data are not public. We make a sample whose truth we know (a tube with rods and spheres), project it with our own
# parallel-beam transform, count particles behind it (Beer and Lambert, Poisson noise and read-out noise), and
# reconstruct it from few projections. Every method is tuned on one sample and judged on three others.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from litrepro import Chapter
from litrepro.materials import (
    dbscan,
    density_sweep,
    detection_scores,
    intensity_min_samples,
    median_filter,
    phantom,
    reconstruct,
    voxel_roles,
    voxel_thresholds,
)

# %%
ch = Chapter("20-materials", notebook="tomography", profile=profile, seed=seed, full_minutes=4)
n, depth, projections = ch.pick(quick=(64, 24, 24), full=(256, 256, 90), smoke=(32, 12, 12))
seeds = ch.pick(quick=3, full=10, smoke=1)
doses = ch.pick(quick=[50, 200, 800], full=[25, 50, 100, 200, 400, 800], smoke=[50, 200])
absorption = 3.2 / n  # the same optical depth at every size
main = ("ramp", 200)

# %% [markdown]
# ## The sample and what is left of it

# %%
samples = [phantom(n, depth, seed=1000 * seed + 10 + s).to(ch.device) for s in range(seeds + 1)]
truths = [sample > 0 for sample in samples]


def measured(sample, dose, filter, offset):
    """One noisy reconstruction."""
    g = torch.Generator(ch.device).manual_seed(1_000_003 * seed + 100 + offset)
    return reconstruct(sample, projections, dose=dose, filter=filter, absorption=absorption, generator=g)


volumes = {
    (filter, dose): [measured(sample, dose, filter, s) for s, sample in enumerate(samples)]
    for filter in ("ramp", "hann")
    for dose in doses
}

# %% [markdown]
# ## Four methods, equally tuned
#
# - **threshold**: voxels above a cut, 35 cuts;
# - **median**: the same after a $3^3$ median filter;
# - **fixed DBSCAN**: voxels above a low cut (7 cuts), radius 1, 1.5 or 1.8 voxels, 13 neighbour thresholds, and whether to keep
#   core voxels only or reachable ones too;
# - **adaptive DBSCAN**: the same, the neighbour threshold falling from `high` at the cut to `low` at the brightness of the
#   material, `round(high - (high - low) x^gamma)`, 30 rules.
#
# Each picks its hyper-parameters by F1 on the first sample, and is scored on the others. On a voxel grid the roles of DBSCAN
# for many hyper-parameters are sums of shifted masks, which makes the sweep cheap; that they equal those of `dbscan` on the
# points is checked below.

# %%
cuts = [round(0.1 + 0.02 * step, 2) for step in range(35)]
grid = {"cuts": [0.15, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5], "radii": [1.0, 1.5, 1.8], "bright": 1.0}
fixed = [(k, k, 1.0) for k in (2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 22)]
adaptive = [
    (low, high, gamma) for low in (1, 3, 6, 9) for high in (7, 12, 16, 20) for gamma in (0.5, 1.0) if low < high
]
bar = torch.tensor(cuts, device=ch.device)[:, None, None, None]


def best_cut(volume, truth):
    """The cut with the best F1."""
    f1 = torch.cat([detection_scores(volume > part, truth)["f1"] for part in bar.split(8)])
    return cuts[int(f1.argmax())]


def cluster(volume, row):
    """The mask that one line of a sweep stands for."""
    needed = voxel_thresholds(volume, row.cut, grid["bright"], int(row.low), int(row.high), row.gamma)
    roles = voxel_roles(volume > row.cut, row.eps, needed)
    return roles == 2 if row.keep == "core" else roles > 0


# %%
def tuned(table, raw, smooth, truth):
    """What each method picks by F1 on the first sample: a line of the sweep, or a cut."""
    return {
        "fixed DBSCAN": table.loc[table[table.low == table.high].f1.idxmax()],
        "adaptive DBSCAN": table.loc[table[table.low < table.high].f1.idxmax()],
        "threshold": best_cut(raw, truth),
        "median": best_cut(smooth, truth),
    }


def masks_of(best, raw, smooth):
    """What the tuned methods call material."""
    return {
        "threshold": raw > best["threshold"],
        "median": smooth > best["median"],
        "fixed DBSCAN": cluster(raw, best["fixed DBSCAN"]),
        "adaptive DBSCAN": cluster(raw, best["adaptive DBSCAN"]),
    }


def scored(mask, sample):
    """Scores of a mask, and its recall of the spheres."""
    small = (sample == 1.2) | (sample == 0.5)  # the spheres
    found = {name: value.item() for name, value in detection_scores(mask, sample > 0).items()}
    return found | {"spheres": (mask & small).sum().item() / small.sum().item()}


# %%
rows, chosen, sweeps, masks = [], {}, {}, {}
for condition, stack in ch.progress(volumes.items(), "conditions", total=len(volumes)):
    smooth = [median_filter(volume) for volume in stack]
    sweeps[condition] = table = density_sweep(stack[0], truths[0], samples=fixed + adaptive, **grid)
    chosen[condition] = best = tuned(table, stack[0], smooth[0], truths[0])
    for s in range(1, seeds + 1):
        found = masks_of(best, stack[s], smooth[s])
        if condition == main and s == 1:
            masks = found
        about = {"filter": condition[0], "dose": condition[1], "seed": s}
        rows += [about | {"method": method} | scored(mask, samples[s]) for method, mask in found.items()]
scores = pd.DataFrame(rows)
ch.save("dose-scores", scores)
f1 = scores.pivot_table(index=["filter", "dose", "seed"], columns="method", values="f1")

# %% tags=["hide-input"]
scores[(scores["filter"] == main[0]) & (scores.dose == main[1])].groupby("method")[
    ["precision", "recall", "f1", "false", "spheres"]
].mean().round({"precision": 3, "recall": 3, "f1": 3, "false": 0, "spheres": 3}).astype({"false": int})

# %% [markdown]
# The table is for the plain ramp filter at a dose of 200 counts per detector bin; `spheres` is the recall of the small spheres
# alone. In pictures, one slice of a sample that no method was tuned on:


# %% tags=["hide-input"]
def coloured(mask, truth):
    """Right in blue, false in red, missed in grey, air in white: (..., 3)."""
    image = torch.ones(*mask.shape, 3)
    for where, colour in (
        (mask & truth, (0.0, 0.45, 0.7)),
        (mask & ~truth, (0.85, 0.2, 0.1)),
        (~mask & truth, (0.7,) * 3),
    ):
        image[where.cpu()] = torch.tensor(colour)
    return image


# %% mystnb={"figure": {"name": "fig-20-slices", "caption": "One slice of a test sample: truth, reconstruction from 24 projections at 200 counts per bin (ramp filter), and what four tuned methods call material. Blue is right, red false, grey missed. P and R are precision and recall over the volume."}, "image": {"alt": "Six panels. A ring with a few spots; a speckled reconstruction of it; a threshold mask full of red specks; median, fixed and adaptive clustering masks with few red specks at the ring's edge and some grey at thin parts."}} tags=["hide-input"]
if ch.plots and main in volumes:
    from litrepro.plotting import figure

    middle = depth // 2
    shown = (scores["filter"] == main[0]) & (scores.dose == main[1]) & (scores.seed == 1)
    by_method = scores[shown].set_index("method")
    fig, axes = figure(2, 3, height=2.7)
    axes[0, 0].imshow(samples[1][middle].cpu(), cmap="gray_r", vmin=0, vmax=1.6)
    axes[0, 0].set_title("truth")
    axes[0, 1].imshow(volumes[main][1][middle].cpu(), cmap="gray_r", vmin=-0.3, vmax=1.6)
    axes[0, 1].set_title("reconstruction")
    for ax, (method, mask) in zip(axes.flat[2:], masks.items()):
        line = by_method.loc[method]
        ax.imshow(coloured(mask[middle], truths[1][middle]))
        ax.set_title(f"{method}\nP {line.precision:.2f}, R {line.recall:.2f}", fontsize=10)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)

# %% mystnb={"figure": {"name": "fig-20-volume", "caption": "The same volume rendered: the voxels above a tuned threshold (left), the core voxels of adaptive DBSCAN (middle), the truth (right); the front half of the tube is cut away. Red voxels are false."}, "image": {"alt": "Three renderings of a half-open tube with rods and spheres inside. In the left one a cloud of red specks fills the tube; the middle one is nearly free of them; the right one is clean."}} tags=["hide-input"]
if ch.plots and main in volumes:
    from litrepro.materials import render_volume

    open_tube = (torch.arange(n)[:, None] < 0.55 * n).expand(n, n)  # cut the half that faces the viewer
    fig, axes = figure(1, 3, height=2.7)
    shown = {"threshold": masks["threshold"], "adaptive DBSCAN": masks["adaptive DBSCAN"], "truth": truths[1]}
    for ax, (title, mask) in zip(axes, shown.items()):
        colours = coloured(mask, truths[1]).permute(3, 0, 1, 2)
        solid = (mask.cpu() & open_tube).float() * 0.8
        ax.imshow(render_volume(solid, colours, azimuth=20, elevation=35, size=240).clamp(0, 1))
        ax.set_title(title)
        ax.axis("off")

# %% [markdown]
# ## Is it DBSCAN, and on the same voxels?
#
# The definition, pair by pair, on 300 points with a threshold of their own each; and the grid's roles against `dbscan` on the
# coordinates of the voxels that the tuned adaptive method looks at.

# %%
points = torch.rand(300, 3, generator=ch.generator(1), dtype=torch.float64)
needed = torch.randint(1, 9, (300,), generator=ch.generator(2))
labels, kind = dbscan(points, 0.16, needed)
near = (points[:, None] - points).square().sum(-1).sqrt() <= 0.16
core = near.sum(1) >= needed
by_definition = torch.where(core, 2, (near & core).any(1).long())
joined = near & core & core[:, None]  # core points within eps of each other: their closure is the partition
for _ in range(9):
    joined = joined | ((joined.float() @ joined.float()) > 0)
same_cluster = labels[core][:, None] == labels[core]
roles_equal = bool((kind == by_definition).all()) and bool((same_cluster == joined[core][:, core]).all())

# %%
line, volume = next(iter(chosen.values()))["adaptive DBSCAN"], next(iter(volumes.values()))[1]
mask = volume > line.cut
needed = voxel_thresholds(volume, line.cut, grid["bright"], int(line.low), int(line.high), line.gamma)
labels, voxel_kind = dbscan(mask.nonzero().double(), line.eps, needed[mask])
grid_equal = bool((voxel_roles(mask, line.eps, needed)[mask].long() == voxel_kind).all())

# %% tags=["nbval-check-output"]
ch.claim(
    "dbscan-roles",
    value={"core": int((kind == 2).sum()), "reachable": int((kind == 1).sum()), "noise": int((kind == 0).sum())},
    holds=roles_equal and grid_equal and len(kind.unique()) == 3,
)

# %% [markdown]
# ## Does it denoise, and is the adaptive threshold the gain?
#
# Two filters (the bare ramp, and the ramp under a Hann window, which any reconstruction program offers) and several doses.
# First against the single threshold; then adaptive against fixed; then against the best of the conventional ways,
# a median filter or a smoother reconstruction filter.


# %% tags=["hide-input"]
def draw_doses(scores):
    """F1 against the dose, a panel for each reconstruction filter."""
    from litrepro.plotting import curves, figure

    _, axes = figure(1, 2, height=3.2, sharey=True)
    order = ["threshold", "median", "fixed DBSCAN", "adaptive DBSCAN"]
    for ax, (filter, part) in zip(axes, scores.groupby("filter", sort=False)):
        curves(part, "dose", "f1", "method", ax=ax, error="range", order=order, markers=True, logx=True)
        ticks = sorted(part.dose.unique())
        ax.set(xlabel="dose (counts per bin)", title=f"{filter} filter")
        ax.set_xticks(ticks, labels=[str(dose) for dose in ticks])
        ax.minorticks_off()
    axes[0].set_ylabel("F1")
    axes[0].legend()


# %% mystnb={"figure": {"name": "fig-20-dose", "caption": "F1 on test samples against the dose, for a reconstruction with the ramp filter (left) and with a Hann window (right). Bands are the range over samples."}, "image": {"alt": "Two panels of four rising curves. Left: the threshold starts far below the others and joins them at the highest dose, the median filter is highest at low dose. Right: the curves lie close together but for the threshold at the lowest dose, all above their left counterparts there."}} tags=["hide-input"]
if ch.plots:
    draw_doses(scores)


# %%
def at_equal_recall(condition):
    """False voxels over the threshold's, and recall short of its own, on the worst sample: of all lines of the sweep
    with at least its recall on the tuning sample, the most precise.
    """
    stack, table, cut = volumes[condition], sweeps[condition], chosen[condition]["threshold"]
    base = detection_scores(stack[0] > cut, truths[0])
    eligible = table[(table.low < table.high) & (table.recall >= base["recall"].item())]
    ratios, short = [], []
    for volume, truth in zip(stack[1:], truths[1:]):
        plain = ours = detection_scores(volume > cut, truth)
        if len(eligible):
            ours = detection_scores(cluster(volume, eligible.loc[eligible.precision.idxmax()]), truth)
        ratios.append((ours["false"] / plain["false"].clamp(min=1)).item())
        short.append((plain["recall"] - ours["recall"]).item())
    return {"false": max(ratios), "recall short": max(short)}


def judged(each):
    """True if it holds under every condition, partly if under some."""
    return True if bool(each.all()) else "partly" if bool(each.any()) else False


# %%
over_threshold = (f1["adaptive DBSCAN"] - f1["threshold"]).groupby(["filter", "dose"])
better = over_threshold.min() > 0.005
equal = pd.DataFrame({condition: at_equal_recall(condition) for condition in volumes}).T.reindex(better.index)
# A mask with nothing in it has no false voxels: the recall must be the threshold's where it was not tuned as well.
denoised = better & equal["false"].le(0.5) & equal["recall short"].le(0.02)
gain = (f1["adaptive DBSCAN"] - f1["fixed DBSCAN"]).groupby(["filter", "dose"]).mean()
# "No gain" means something of methods that work and are two: both clear up the noisiest volume, and not in the same way.
noisiest = f1.loc[("ramp", min(doses))]
cleared = (noisiest[["adaptive DBSCAN", "fixed DBSCAN"]].min(axis=1) - noisiest["threshold"]).min() > 0.05
works = bool(cleared and gain.abs().max() > 1e-3)

# %%
# Against every conventional way at the same dose, with either filter; ours may choose its filter as well.
by_dose = f1.groupby(["dose", "filter"]).mean()
ours = by_dose["adaptive DBSCAN"].groupby("dose").max()
conventional = by_dose[["threshold", "median"]].max(axis=1).groupby("dose").max()
margin = ours - conventional
spheres = scores[scores["filter"] == main[0]].groupby(["dose", "method"]).spheres.mean().unstack()
finer = spheres["adaptive DBSCAN"] - spheres["median"]
# A mask that is full everywhere recalls everything.
precise = scores[(scores["filter"] == main[0]) & (scores.method == "adaptive DBSCAN")].groupby("dose").precision.mean()

# %% tags=["hide-input"]
pd.DataFrame(
    {
        "adaptive - threshold": over_threshold.mean(),
        "false voxels, of the threshold's": equal["false"],
        "adaptive - fixed": gain,
    }
).rename_axis(["filter", "dose"]).round(3)

# %% tags=["nbval-check-output"]
ch.claim(
    "dbscan-denoises",
    value={
        "F1 gain": {f"{a} {b}": v for (a, b), v in over_threshold.min().items()},
        "false voxels": {f"{a} {b}": v for (a, b), v in equal["false"].items()},
        "recall short of the threshold's, at most": equal["recall short"].max(),
    },
    holds=judged(denoised),
)

# %% tags=["nbval-check-output"]
if works:
    ch.claim(
        "adaptive-better",
        value={f"{a} {b}": v for (a, b), v in gain.items()} | {"mean": gain.mean()},
        holds=bool(gain.mean() > 0.01),
    )
    ch.claim("better-than-typical", value={str(dose): v for dose, v in margin.items()}, holds=judged(margin > 0.01))
else:
    for name in ("adaptive-better", "better-than-typical"):
        ch.not_run(name, "DBSCAN does not clear up the noisiest volume, or its two forms are one")

# %% tags=["nbval-check-output"]
ch.claim(
    "finer-features",
    value={str(dose): [v, precise[dose]] for dose, v in finer.items()},
    holds=judged((finer >= 0.1) & (precise >= 0.8)),
)

# %% [markdown]
# The mean F1 of all four:

# %% tags=["hide-input"]
scores.groupby(["filter", "dose", "method"]).f1.mean().unstack().round(3)

# %% [markdown]
# The recall of the small spheres with the ramp filter:

# %% tags=["hide-input"]
spheres.round(2)

# %% [markdown]
# And the settings that adaptive DBSCAN was tuned to:

# %% tags=["hide-input"]
pd.DataFrame({condition: best["adaptive DBSCAN"] for condition, best in chosen.items()}).T.rename_axis(
    ["filter", "dose"]
)[["cut", "eps", "low", "high", "gamma", "keep"]]

# %% [markdown]
# Clustering rescues a reconstruction that is all noise: with the ramp filter at the middle dose it leaves, at the threshold's own recall, less than a
# tenth of the threshold's false voxels, and a third as tuned. Where the reconstruction filter has already smoothed, less is left to gain, and nothing at the
# highest dose. Core voxels alone are kept in the tuned settings: the reachable shell, which the definition counts as part
# of a cluster, is where the remaining noise sits. The adaptive threshold adds half a
# hundredth of F1 on average over the conditions, a little over one hundredth in the best and less than nothing in the worst. A plain median filter
# is better at low dose, and a Hann window, which costs nothing, brings a mere threshold to within a hundredth at high dose. What
# the median filter does lose is what the review mentions: small spheres, of which clustering keeps clearly more unless
# the counts are very few. It keeps no more of them than a plain threshold at the middle and the highest dose, but that one has several times the false voxels.
#
# ## Which way round?
#
# The text says that the threshold varies with intensity, not in which direction. Bright voxels must need *fewer* neighbours;
# reversed, thin bright rods vanish.

# %%
stack = volumes[main if main in volumes else next(iter(volumes))]
line = chosen[main if main in volumes else next(iter(volumes))]["adaptive DBSCAN"]
lost = []
for s in range(1, seeds + 1):
    volume, thin = stack[s], samples[s] == 1.5
    scaled = volume.clamp(line.cut, grid["bright"]).flatten()
    recall = []
    for brightness in (scaled, -scaled):
        need = intensity_min_samples(brightness, int(line.low), int(line.high), gamma=line.gamma).reshape(volume.shape)
        found = voxel_roles(volume > line.cut, line.eps, need) == 2
        recall.append((found & thin).sum().item() / thin.sum().item())
    lost.append(recall)
lost = torch.tensor(lost)

# %% tags=["nbval-check-output"]
ch.claim(
    "threshold-direction",
    value={"recall of thin bright rods": lost[:, 0].tolist(), "reversed": lost[:, 1].tolist()},
    holds=bool((lost[:, 0] > lost[:, 1] + 0.1).all()),
)

# %% [markdown]
# ## What a filter costs
#
# The review counts $O(xyk^2)$ operations for a kernel of size $k$ on an image, and $O(xyzk^2)$ for a volume. A kernel in three
# dimensions has $k^3$ entries. We count the multiplications of a convolution three ways: the
# full kernel, slice by slice, and as three one-dimensional passes, which a separable kernel such as a Gaussian allows.

# %%
box = ch.pick(quick=(24, 48, 48), full=(128, 256, 256))
volume = torch.randn(1, 1, *box, generator=ch.generator(3)).to(ch.device)
kernels = {
    "full kernel": lambda k: [(k, k, k)],
    "slice by slice": lambda k: [(1, k, k)],
    "separable": lambda k: [(k, 1, 1), (1, k, 1), (1, 1, k)],
}


def convolve(weights):
    """One or more convolutions of the volume, edges padded with zeros."""
    return [functional.conv3d(volume, w, padding=[size // 2 for size in w.shape[2:]]) for w in weights]


# %%
costs = []
for way, shapes in kernels.items():
    for k in (3, 5, 7, 9):
        weights = [torch.ones(1, 1, *shape, device=ch.device) for shape in shapes(k)]
        with FlopCounterMode(display=False) as counter:
            convolve(weights)
        # PyTorch counts a multiplication and an addition as two.
        costs.append({"way": way, "k": k, "multiplications": counter.get_total_flops() / 2 / volume.numel()})
costs = pd.DataFrame(costs)
ch.save("filter-cost", costs)


# %%
def exponent(part):
    """Slope in log-log."""
    x, y = torch.tensor(part[["k", "multiplications"]].to_numpy()).double().log().T
    return ((x - x.mean()) * y).sum().item() / (x - x.mean()).square().sum().item()


exponents = {way: exponent(part) for way, part in costs.groupby("way")}
costs.pivot(index="way", columns="k", values="multiplications").round(0).astype(int)

# %% tags=["nbval-check-output"]
# The two other ways show that the count is one: their exponents are 2 and 1.
if abs(exponents["slice by slice"] - 2) < 0.25 and abs(exponents["separable"] - 1) < 0.25:
    ch.claim("filter-cost", value=exponents, holds=abs(exponents["full kernel"] - 2) < 0.25)
else:
    ch.not_run("filter-cost", "the multiplications are not counted")

# %% [markdown]
# The exponent is three. It is two when every slice is filtered alone, which ignores the third dimension, and one for a
# separable kernel. DBSCAN on a grid counts neighbours in a ball, so its cost is that of a full kernel as well.

# %% [markdown]
# ## At full scale
#
# The same figure for a volume of $256^3$ voxels from 90 projections, where it was recorded.

# %%
recorded = ch.paper("dose-scores")

# %% mystnb={"figure": {"name": "fig-20-dose-full", "caption": "F1 on test samples against the dose, as above, for volumes of 256 x 256 x 256 voxels from 90 projections."}, "image": {"alt": "Two panels of curves of F1 against the dose, one line per method."}} tags=["hide-input"]
if ch.plots and recorded is not None:
    draw_doses(recorded)

# %% [markdown]
# ## Takeaway
#
# Density clustering removes speckle from a noisy reconstruction as promised, if only core voxels are kept and every parameter
# is tuned. The intensity-dependent threshold is a small refinement, the direction of which matters. The comparison that the
# review does not make, with a median filter or a smoother filter in the reconstruction itself, takes away most of the advantage.
