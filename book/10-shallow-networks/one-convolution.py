# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One convolutional filter
#
# A filter $w$ slides over an input and its rectified responses are averaged. How hard it is to learn $w$ depends on how the
# patches relate. This notebook goes through the review's cases: overlapping patches and the matrix $P$ that governs them
# {cite}`goel2018overlapping`, correlated patches {cite}`du2018filter`, output weights that are learned as well
# {cite}`du2018spurious`, and inputs chosen by an adversary {cite}`brutzkus2017gaussian`.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import functools
import itertools
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import correlated_patches
from litrepro.shallow import (
    convotron,
    cross_patch_moments,
    extract_patches,
    patch_descent,
    patch_gram,
    set_splitting_inputs,
)

ch = Chapter("10-shallow-networks", notebook="one-convolution", profile=profile, seed=seed, full_minutes=2)
conv_trials = ch.pick(quick=16, full=200, smoke=4)
conv_samples = ch.pick(quick=2000, full=20_000, smoke=200)
patch_inputs = ch.pick(quick=500, full=5000, smoke=100)
conv_dims = ch.pick(quick=[4, 8, 16, 32], full=[4, 8, 16, 32, 64, 128], smoke=[4, 8])
output_starts = ch.pick(quick=12, full=500, smoke=4)
output_steps = ch.pick(quick=1500, full=5000, smoke=50)
split_starts = ch.pick(quick=100, full=2000, smoke=10)
f64 = torch.float64


def mean_output(Z, w):
    """The average over patches, (..., n)."""
    return torch.einsum("...nkr,...r->...nk", Z, w).relu().mean(-1)


# %% [markdown]
# ## Where the patches are
#
# Three formulas of the review's section 3.2.2 need repair. The matrix that cuts patch $i$ out of a signal (equation 26) has
# $(i-1)d$ columns of zeros on the left, not one more. In two dimensions (equation 28) patch $(i,j)$ starts at
# column $(j-1)d_2$, not $j d_2$. And the entries of $P=\sum_{ij}P_iP_j^\top$ (equation 27) stop at zero.

# %%
n, r, stride = 20, 5, 3
signal = torch.randn(n, generator=ch.generator(1), dtype=f64)
cut = extract_patches(signal, r, stride)
right_1d, printed_columns = [], []
for i in range(1, len(cut) + 1):
    left, rest = (i - 1) * stride, n - r - (i - 1) * stride
    P_i = torch.cat([torch.zeros(r, left), torch.eye(r), torch.zeros(r, rest)], dim=1).to(f64)
    right_1d.append(P_i.shape[1] == n and torch.equal(P_i @ signal, cut[i - 1]))
    printed_columns.append(left + 1 + r + rest)

# %%
n1, n2, (r1, r2), (d1, d2) = 7, 9, (2, 3), (2, 2)
image = torch.randn(n1, n2, generator=ch.generator(2), dtype=f64)
patches = extract_patches(image, (r1, r2), (d1, d2))
k1, k2 = (n1 - r1) // d1 + 1, (n2 - r2) // d2 + 1
right_2d, wrong_2d = [], []
for i, j in itertools.product(range(1, k1 + 1), range(1, k2 + 1)):
    inside = itertools.product(range(r1), range(r2))
    b = torch.tensor([((i - 1) * d1 + p) * n2 + (j - 1) * d2 + q for p, q in inside])
    patch = patches[(i - 1) * k2 + j - 1]
    right_2d.append(torch.equal(image.flatten()[b], patch))
    shifted = b + d2
    wrong_2d.append(bool(shifted.max() >= n1 * n2) or not torch.equal(image.flatten()[shifted], patch))

# %%
cuts = extract_patches(torch.eye(10, dtype=f64), 8, 1).permute(1, 2, 0)  # P_i for n = 10, r = 8
gram = torch.einsum("iab,jcb->ac", cuts, cuts)
gap = (torch.arange(8)[:, None] - torch.arange(8)).abs()
printed_gram = (3 - gap).to(f64)

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-patch-matrix",
    value={"columns as printed": printed_columns[0], "n": n, "patches": len(cut)},
    holds=all(right_1d) and all(columns == n + 1 for columns in printed_columns),
)
ch.claim(
    "erratum-patch-2d",
    value={"patches": len(patches), "right": sum(right_2d), "missed as printed": sum(wrong_2d)},
    holds=all(right_2d) and all(wrong_2d),
)
ch.claim(
    "erratum-patch-gram",
    value={"smallest entry as printed": printed_gram.min().item(), "of the sum": gram.min().item()},
    holds=torch.equal(gram, patch_gram(10, 8, 1)) and printed_gram.min().item() < 0,
)

# %% [markdown]
# ## Eigenvalues of P
#
# With $k$ patches of $p = \lceil r/s\rceil$ overlapping neighbours the theory bounds $P$ between a constant and $pk$. All
# one-dimensional cases up to $n = 40$, and two-dimensional ones.


# %%
@functools.cache
def extremes(k, r, s):
    """Extreme eigenvalues of P, which is the same for all signals that hold k patches."""
    values = torch.linalg.eigvalsh(patch_gram(r + (k - 1) * s, r, s)) if k > 1 else torch.ones(1, dtype=f64)
    return values[0].item(), values[-1].item()


rows = []
for n, r, s in itertools.product(range(2, 41), range(1, 41), range(1, 41)):
    if r > n or s > n:
        continue
    k, p = (n - r) // s + 1, math.ceil(r / s)
    rows.append((n, r, s, k, p, *extremes(k, r, s)))
cases = pd.DataFrame(rows, columns=["n", "r", "stride", "k", "p", "smallest", "largest"])
many = cases[cases.k >= cases.p]
few = cases[cases.k < cases.p]

# %% tags=["nbval-check-output"]
ch.claim(
    "patch-eigen",
    value={
        "cases": len(many),
        "smallest eigenvalue": many.smallest.min(),
        "largest over p k": (many.largest / (many.p * many.k)).max(),
        "smallest where k < p": few.smallest.min(),
    },
    holds=bool(many.smallest.min() >= 0.5 and (many.largest <= many.p * many.k * (1 + 1e-9)).all()),
)

# %% mystnb={"figure": {"name": "fig-10-patch-eigenvalues", "caption": "Extreme eigenvalues of P against the stride, patches of size 8 in signals of length 64 (left) and of size 4 x 4 in images 16 x 16 (right). Dotted: the number of patches k; dashed: p k. Once the stride reaches the patch size, P is k times the identity."}, "image": {"alt": "In both panels the largest eigenvalue falls with the stride, close to p k, and the smallest stays between a third and one; they meet at strides 8 and 4, where patches no longer overlap."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, axes = figure(1, 2, height=3.3)
    for ax, (size, patch, title) in zip(axes, ((64, 8, "1D"), (16, 4, "2D"))):
        strides = list(range(1, patch + 3))
        two = title == "2D"
        spectra = [
            torch.linalg.eigvalsh(
                patch_gram((size, size), (patch, patch), (s, s)) if two else patch_gram(size, patch, s)
            )
            for s in strides
        ]
        k = [((size - patch) // s + 1) ** (1 + two) for s in strides]
        pk = [math.ceil(patch / s) ** (1 + two) * each for s, each in zip(strides, k)]
        ax.semilogy(strides, [v[-1] for v in spectra], "o-", color=PALETTE[1], label=r"$\lambda_{\max}$")
        ax.semilogy(strides, [v[0] for v in spectra], "s-", color=PALETTE[0], label=r"$\lambda_{\min}$")
        ax.semilogy(strides, k, ":", color="0.4", label="k")
        ax.semilogy(strides, pk, "--", color="0.4", label="p k")
        ax.set(title=title, xlabel="stride")
    axes[0].set_ylabel("eigenvalue")
    axes[0].legend(ncol=2)

# %% [markdown]
# ## Convotron
#
# Convotron moves the filter by the error times the *sum* of the patches, as if there were no ReLU:
# $w \leftarrow w + \eta\,(y - \frac1k\sum_i \mathrm{relu}\langle w, z_i\rangle)\sum_i z_i$. In expectation it contracts by the
# eigenvalues of $P$, so that its step is limited by the largest and its time set by their ratio. Filters of length 8 in
# signals of length 32, one pass over 2,000 samples, step $0.3/\lambda_{\max}$.

# %%
lengths = {}
for stride in range(1, 9):
    g = ch.generator(20 + stride)
    X = torch.randn(conv_trials, conv_samples, 32, generator=g, dtype=f64).to(ch.device)
    w = torch.randn(conv_trials, 8, generator=g, dtype=f64).to(ch.device)
    Z = extract_patches(X, 8, stride)
    spectrum = torch.linalg.eigvalsh(patch_gram(32, 8, stride))
    path = convotron(Z, mean_output(Z, w), step=0.3 / spectrum[-1].item())
    error = ((path - w).norm(dim=-1) / w.norm(dim=-1)).cpu()
    lengths[stride] = error.median(-1).values, (spectrum[-1] / spectrum[0]).item(), spectrum
conv_table = pd.DataFrame(
    [{"stride": s, "condition of P": c, "median error": e[-1].item()} for s, (e, c, _) in lengths.items()]
)
recorded_lengths = ch.table("convotron", conv_table)

# %% tags=["hide-input"]
errors = {"condition of P": conv_table.set_index("stride")["condition of P"].map("{:.3g}".format)} | {
    f"median error, {scale}": table.set_index("stride")["median error"].map("{:.1e}".format)
    for scale, table in ch.scales(conv_table, recorded_lengths).items()
}
pd.DataFrame(errors)

# %% [markdown]
# The full scale passes over 20,000 samples, ten times as many: enough for every filter with a stride of 4 or more, the condition
# number of $P$ at most 13, to arrive at rounding errors. At stride 1, with a condition number of 345, the error is still 45%.

# %% [markdown]
# The network that the algorithm assumes averages over patches; the review's equation 4 sums, and says that it leaves the
# average out. So the algorithm, unchanged, finds a filter $k$ times as long.

# %%
g = ch.generator(30)
X, w = torch.randn(4, 3000, 12, generator=g, dtype=f64), torch.randn(4, 3, generator=g, dtype=f64)
Z = extract_patches(X, 3, 3)
averaged = convotron(Z, mean_output(Z, w), step=0.05)[-1]
summed = convotron(Z, 4 * mean_output(Z, w), step=0.05)[-1]

# %% tags=["nbval-check-output"]
ch.claim(
    "no-overlap-easier",
    value={f"stride {s}": e[-1].item() for s, (e, _, _) in lengths.items()},
    # At stride 1 it learns, slowly: an error of 1 would be that of the start.
    holds=lengths[8][0][-1].item() < 1e-8 and 0.1 < lengths[1][0][-1].item() < 0.95,
)
ch.claim(
    "convolution-sum",
    value={"averaged": (averaged - w).norm().item(), "summed, to 4 w": (summed - 4 * w).norm().item()},
    holds=(averaged - w).norm().item() < 1e-6 and (summed - 4 * w).norm().item() < 1e-6,
)

# %% [markdown]
# The slider goes from full overlap to none: the spectrum of $P$ on the left, Convotron's error on the right.

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import frames

    figures = {}
    for stride, (error, condition, spectrum) in lengths.items():
        fig, (left, right) = figure(1, 2, height=3.0)
        left.bar(range(1, 9), spectrum.flip(0), color=PALETTE[0])
        left.set(yscale="log", ylim=(0.3, 400), xlabel="index", ylabel="eigenvalue of P")
        left.set_title(f"condition {condition:.3g}")
        for curve, _, _ in lengths.values():
            right.plot(curve.clamp(min=1e-16), color="0.85", lw=1)
        right.plot(error.clamp(min=1e-16), color=PALETTE[1])
        right.set(yscale="log", ylim=(1e-16, 3), xlabel="samples seen", ylabel="relative error")
        right.set_title(f"stride {stride}")
        figures[stride] = fig
    slider = frames(
        figures,
        label="stride",
        alt="Left, a bar chart of the eigenvalues of P, flatter the larger the stride; right, Convotron's error, falling faster.",
        name="slider-10-patches",
    )
slider if ch.plots else None

# %% [markdown]
# How many samples does a filter take? Three patches that do not overlap, step $1/(\lambda_{\max}\, r)$, for several lengths
# $r$. The first $T$ samples of a pass are a pass of length $T$, and filters padded with zeros are one batch, so one call gives
# the whole diagram. In $T/r$ the boundary is the same at every length: samples grow in proportion to the dimension.

# %%
widest, levels = conv_dims[-1], [5, 10, 20, 30, 40, 50, 60, 75]
Z = torch.zeros(len(conv_dims), 16, 75 * widest, 3, widest, dtype=f64)
w = torch.zeros(len(conv_dims), 16, widest, dtype=f64)
for i, r in enumerate(conv_dims):
    g = ch.generator(40 + r)
    Z[i, ..., :r] = torch.randn(*Z.shape[1:4], r, generator=g, dtype=f64)
    w[i, :, :r] = torch.nn.functional.normalize(torch.randn(16, r, generator=g, dtype=f64), dim=-1)
Z, w, sizes = Z.to(ch.device), w.to(ch.device), torch.tensor(conv_dims, device=ch.device)
distance = (convotron(Z, mean_output(Z, w), step=1 / (3 * sizes[:, None].to(f64))) - w).norm(dim=-1)
seen = sizes[:, None] * torch.tensor(levels, device=ch.device)
success = (distance[seen, torch.arange(len(sizes), device=ch.device)[:, None]] < 1e-2).double().mean(-1).cpu()
cells = itertools.product(enumerate(conv_dims), enumerate(levels))
conv_map = pd.DataFrame([{"r": r, "T/r": c, "success": success[i, j].item()} for (i, r), (j, c) in cells])
recorded_map = ch.table("convotron-phase-diagram", conv_map)

# %% mystnb={"figure": {"name": "fig-10-convotron-phase", "caption": "Convotron within 1e-2 of a unit filter (16 trials per cell), samples per unknown against the length of the filter. A recorded full-scale run is drawn on the right where there is one."}, "image": {"alt": "Heat maps with a horizontal boundary between 30 and 40 samples per unknown at all lengths, blurred for the shortest."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import heatmap

    shown = ch.scales(conv_map, recorded_map)
    fig, axes = figure(1, len(shown), height=3.2, sharey=True, squeeze=False)
    for ax, (scale, frame) in zip(axes[0], shown.items()):
        placed = frame.assign(level=frame["T/r"].map(levels.index))
        mesh = heatmap(placed, "r", "level", "success", ax=ax, colorbar=False)
        ax.set_yticks(range(len(levels)), [str(level) for level in levels])
        ax.set(title=scale, xlabel="length r of the filter", ylabel="samples T/r")
    fig.colorbar(mesh, ax=axes[0], label="success rate")

# %% [markdown]
# ## Correlated patches
#
# Du, Lee and Tian assume nothing like independence. If all patches of an input lie within a small angle of each
# other, they fall on the same side of $w$ and of $w^*$, and the products of averages over different events, whose norm is
# $L_{cross}$, nearly vanish. Here $z_i \propto u + \tan(\alpha)\, e_i$ with a common direction $u$: from $\alpha = 0.05$,
# nearly parallel, to $1.56$, unrelated. Gradient descent on 500 inputs of 8 patches in 10 dimensions; at full scale on 5,000,
# which lowers the counts a little and leaves their order. One step for all angles first, and then the best step for each: the
# average over unrelated patches is short, so that its loss is flat and bears a longer step.

# %%
angles, corr_seeds, most = [0.05, 0.3, 0.7, 1.2, 1.56], 4, 300
eighth = torch.full((8,), 1 / 8, dtype=f64, device=ch.device)


def teacher_and_starts(g):
    """A unit filter, four starts, and 20 directions at an angle of 0.7 from it."""
    w = torch.nn.functional.normalize(torch.randn(10, generator=g, dtype=f64), dim=0)
    w0 = 0.3 * torch.randn(4, 10, generator=g, dtype=f64)
    side = torch.randn(20, 10, generator=g, dtype=f64)
    side = torch.nn.functional.normalize(side - (side @ w)[:, None] * w, dim=-1)
    return w, w0, math.cos(0.7) * w + math.sin(0.7) * side


# %%
def steps_to_teacher(Z, w, w0, step, iterations):
    """Gradient steps until the filter is within 1e-2 of the teacher, median over starts; divergence takes all."""
    y, path = mean_output(Z, w), w0[None]
    while len(path) <= iterations and not bool(((path[-1] - w).norm(dim=-1) <= 1e-2).all()):
        run = patch_descent(Z, y, path[-1], eighth, step=step, iterations=min(30, iterations), train_output=False)
        path = torch.cat([path, run.w[1:]])
    near = (path - w).norm(dim=-1) <= 1e-2  # false for nan as well
    return (~near).sum(0).double().median().item()


# %%
steps_needed, cross, inputs = {}, {}, {}
for s, angle in itertools.product(range(corr_seeds), angles):
    g = ch.generator(40 + s)
    w, w0, directions = teacher_and_starts(g)
    Z = correlated_patches(4 * patch_inputs, 8, 10, angle, generator=g)
    cross[s, angle] = cross_patch_moments(Z, directions, w).max().item()
    inputs[s, angle] = Z[:patch_inputs].to(ch.device), w.to(ch.device), w0.to(ch.device)
    steps_needed[s, angle] = steps_to_teacher(*inputs[s, angle], 1.0, most)
needed = pd.Series(steps_needed).unstack()
cross = pd.Series(cross).unstack()
correlated = needed.melt(var_name="angle", value_name="steps").assign(cross=cross.melt()["value"])
recorded_correlated = ch.table("correlated", correlated)
by_angle = {
    scale: table.groupby("angle").mean().rename(columns={"steps": "steps to 1e-2", "cross": "cross moments"}).round(3)
    for scale, table in ch.scales(correlated, recorded_correlated).items()
}
pd.concat(by_angle, axis=1)

# %%
step_grid = (2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
tuned = pd.DataFrame(
    [
        {"seed": s, "angle": angle, "step": step, "steps": steps_to_teacher(*inputs[s, angle], step, 60)}
        for (s, angle), step in itertools.product(inputs, step_grid)
    ]
)
best_steps = tuned.groupby(["angle", "seed"])["steps"].min().unstack(0)  # seeds down, angles across
tuned.groupby(["angle", "step"])["steps"].median().unstack().round(1)

# %% tags=["nbval-check-output"]
monotone = bool((needed.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None))
# Equal counts are in order, too: every run has to arrive, and the angle to make a difference.
differs = bool((needed < most).all(axis=None) and (needed[1.56] > 2 * needed[0.05]).all())
slowdown = {name: (counts[1.56] / counts[0.05]).median() for name, counts in (("one", needed), ("best", best_steps))}
# With the best step for every angle the order has to stay, and at least half of the slowdown.
stays = bool((best_steps.mean().diff().iloc[1:] >= -0.5).all() and slowdown["best"] >= 0.5 * slowdown["one"])
ch.claim(
    "correlated-faster",
    value={
        "one step": {f"angle {a:g}": needed[a].tolist() for a in angles},
        "best step": {f"angle {a:g}": best_steps[a].tolist() for a in angles},
        "slowdown": slowdown,
    },
    holds=False if not (monotone and differs) else True if stays else "partly",
)
ratio = cross[0.05] / cross[0.7]
ch.claim("lcross-small", value={f"angle {a:g}": cross[a].mean() for a in angles}, holds=bool((ratio <= 0.5).all()))

# %% [markdown]
# With one step for all angles unrelated patches take nine times as many steps as nearly parallel ones. That is mostly the length of the
# average: parallel patches diverge at a step of 4, which is short for unrelated ones. With the best step for each angle the order stays,
# from 4 or 5 steps to 11 or 12, and a factor of less than three.
#
# ## Output weights as well
#
# $f = \sum_j a_j\,\mathrm{relu}\langle w, z_j\rangle$ with disjoint Gaussian patches, both $w$ and $a$ trained from random
# starts. The theory says that the run ends at the teacher with constant probability, and otherwise at a spurious minimum with
# the filter turned away.

# %%
angles_end, relative, turning = [], [], {}
for s in range(4):
    g = ch.generator(60 + s)
    Z = torch.randn(800, 6, 8, generator=g, dtype=f64).to(ch.device)
    w = torch.randn(8, generator=g, dtype=f64).to(ch.device)
    w, a = w / w.norm(), torch.randn(6, generator=g, dtype=f64).to(ch.device)
    y = ((Z @ w).relu() * a).sum(-1)
    w0 = torch.randn(output_starts, 8, generator=g, dtype=f64).to(ch.device) / 8**0.5
    a0 = torch.randn(output_starts, 6, generator=g, dtype=f64).to(ch.device) / 6**0.5
    run = patch_descent(Z, y, w0, a0, step=0.1, iterations=output_steps)
    turning[s] = (run.w @ w / run.w.norm(dim=-1)).clamp(-1, 1).arccos().cpu()
    angles_end.append(turning[s][-1])
    relative.append((run.loss[-1] / (y.square().mean() / 2)).cpu())
solved = torch.stack(relative) < 1e-6
ends = pd.DataFrame({"relative loss": torch.cat(relative).numpy(), "angle": torch.cat(angles_end).numpy()})
ch.save("output-weights", ends)

# %% tags=["nbval-check-output"]
by_teacher = solved.double().mean(-1)
overall = by_teacher.mean().item()
turned = (torch.stack(angles_end) > 2.7).double().mean().item()
ch.claim(
    "conv-random-init",
    value={"solved": overall, "by teacher": by_teacher.tolist(), "angle above 2.7": turned},
    holds=0.25 <= overall < 1 and by_teacher.min().item() >= 0.25,
)

# %% mystnb={"figure": {"name": "fig-10-output-weights", "caption": "The angle between the learned filter and the true one along gradient descent on filter and output weights, 12 random starts for each of two of the four teachers. Runs that solve the problem (blue) turn towards the filter, whatever side they start on; the others (orange) settle at an angle of more than two radians, with two thirds of the loss left."}, "image": {"alt": "Two panels of curves against the logarithm of the step. Most curves fall to zero within a few hundred steps, some level off between 2.2 and 2.8 radians."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.2, sharey=True)
    for ax, s in zip(axes, (0, 3)):
        for k in range(output_starts):
            ax.semilogx(range(1, output_steps + 2), turning[s][:, k], color=PALETTE[0 if solved[s, k] else 1], lw=0.9)
        ax.axhline(math.pi, color="0.5", ls=":", lw=1)
        ax.set(title=f"teacher {s + 1}", xlabel="step + 1", ylim=(0, 3.3))
    axes[0].set_ylabel("angle to the true filter")

# %% [markdown]
# ## Gaussian and adversarial inputs
#
# Two disjoint patches, outputs added. Learning this network on arbitrary inputs contains set splitting, an NP-complete
# problem like the ones of {cite:t}`blum1989training`: the inputs encode subsets of three elements, the second patch is minus
# the first, all outputs are one, and $w$ has zero loss only if its signs split every subset. A solution is planted.

# %%
rows, endings = [], {}
one = torch.ones(2, dtype=f64, device=ch.device)
for instance in range(3):
    Z, y, signs = set_splitting_inputs(20, 40, seed=100 * seed + instance)
    g = ch.generator(80 + instance)
    w0 = torch.randn(split_starts, 20, generator=g, dtype=f64).to(ch.device)
    hard = patch_descent(
        Z.to(ch.device), y.to(ch.device), w0, one, step=0.5, iterations=1000, train_output=False
    ).loss.cpu()
    planted = ((Z @ signs).relu().sum(-1) - y).square().mean().item()
    Z = torch.randn(200, 2, 20, generator=g, dtype=f64).to(ch.device)
    w = torch.randn(20, generator=g, dtype=f64).to(ch.device)
    easy = patch_descent(Z, (Z @ w).relu().sum(-1), w0, one, step=0.3, iterations=400, train_output=False).loss.cpu()
    endings[instance] = hard, easy
    for inputs, loss in (("set splitting", hard), ("Gaussian", easy)):
        rate = (loss[-1] < 1e-6).double().mean().item()
        rows.append(
            {
                "inputs": inputs,
                "instance": instance,
                "solved": rate,
                "planted loss": planted if inputs != "Gaussian" else 0.0,
                "loss / initial": (loss[-1] / loss[0]).median().item(),
            }
        )
trapped = pd.DataFrame(rows)
ch.save("set-splitting", trapped)
trapped.groupby("inputs")[["solved", "planted loss", "loss / initial"]].mean()

# %% tags=["nbval-check-output"]
solved_by = trapped.groupby("inputs")["solved"]
# Trapped means that there is a solution, that descent moves, and that it stops short.
posed, moves = (trapped["planted loss"] < 1e-12).all(), (trapped["loss / initial"] < 0.5).all()
ch.claim(
    "gaussian-vs-discrete",
    value={
        "Gaussian, worst": solved_by.min()["Gaussian"],
        "set splitting, best": solved_by.max()["set splitting"],
        "loss over that of the start": trapped.groupby("inputs")["loss / initial"].max().to_dict(),
    },
    holds=bool(posed and moves and solved_by.min()["Gaussian"] >= 0.95 and solved_by.max()["set splitting"] <= 0.05),
)

# %% mystnb={"figure": {"name": "fig-10-trapped", "caption": "Loss of 40 of 100 random starts, first of three instances, on Gaussian inputs (left) and on set-splitting inputs (right), for which a zero of the loss is planted: every start stops at a loss above 0.03."}, "image": {"alt": "Left: all curves fall straight to 1e-16. Right: all curves level off between 0.05 and 0.15."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.1)
    for ax, curve, title in zip(axes, endings[0][::-1], ("Gaussian inputs", "set splitting")):
        ax.semilogy(curve[:, :40].clamp(min=1e-16), color=PALETTE[0], lw=0.6, alpha=0.6)
        ax.set(title=title, xlabel="gradient step")
    axes[0].set_ylabel("loss")

# %% [markdown]
# ## Takeaway
#
# One filter is learned fast when patches are disjoint or nearly parallel, and slowly when they overlap; $P$ says how slowly. Correlation
# as such is worth less than it seems as long as all cases share one step. In one
# dimension its smallest eigenvalue never falls below one half as long as there are enough patches, so overlap costs time and not
# learnability. Adversarial inputs cost learnability: with the same network, the same loss and a solution that exists,
# not one of the random starts finds it.
