# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Random kitchen sinks against boosting
#
# Forget the kernel: draw $k$ random functions $\phi(x, \omega_i)$ of any kind and learn only their weights
# {cite}`rahimi2009weighted`,
#
# $$
# \min_\alpha\ \frac1n \sum_j \Big(\sum_i \alpha_i \phi(x_j, \omega_i) - y_j\Big)^2
# \quad\text{subject to}\quad \|\alpha\|_\infty \le \frac Ck .
# $$
#
# The review says: ten to a thousand times faster than AdaBoost {cite}`freund1997decision` at a similar error, as accurate
# as kernels, much faster than random Fourier features, and an excess risk of order $1/\sqrt n + 1/\sqrt k$. The task here
# is to tell even digits from odd ones.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math
import time
import warnings

import numpy as np
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.features import (
    feature_ridge,
    fourier_features,
    gaussian_kernel,
    kernel_ridge,
    kitchen_sinks,
    random_stumps,
    sample_frequencies,
    stump_features,
)
from litrepro.solvers import power_law

ch = Chapter("14-random-features", notebook="kitchen-sinks", profile=profile, seed=seed, full_minutes=6)
n_train = ch.pick(quick=1200, full=60_000, smoke=300)
n_exact = ch.pick(quick=2000, full=20_000, smoke=300)
n_rate = ch.pick(quick=3000, full=3000, smoke=300)
rounds = ch.pick(quick=200, full=200, smoke=5)
seeds = ch.pick(quick=3, full=10, smoke=2)
rate_seeds = ch.pick(quick=5, full=50, smoke=2)
shapes = ch.pick(quick=[(3200, 123)], full=[(3200, 123), (200_000, 223), (500_000, 127)], smoke=[(300, 20)])
bounds = ch.pick(quick=[1, 5, 20, 100], full=[1, 2, 5, 10, 20, 50, 100, 200], smoke=[5, 20])
n_sweep = ch.pick(quick=[150, 300, 600, 1200, 2400], full=[300, 1000, 3000, 10_000, 30_000, 60_000], smoke=[100, 200])
n_exact = min(n_exact, n_train)
ks = [25, 50, 100, 200, 400, 800]
k_main = 500

# %%
source = "full" if ch.full and not ch.smoke else "bundled"
train = mnist("train", n=max(n_train, n_rate, *n_sweep), source=source, balanced=source == "bundled", seed=seed)
test = mnist("test", n=None if source == "full" else 1000, source=source, seed=seed)
x_all, x_test = (part.images.flatten(1).to(ch.device) for part in (train, test))
y_all, y_test = (1.0 - 2.0 * (part.labels % 2).float().to(ch.device) for part in (train, test))
x, y = x_all[:n_train], y_all[:n_train]
sigma = 0.7 * torch.pdist(x[:500]).median().item()


# %%
def sinks(kind, k, repeats, offset=0):
    """A batch of draws of k functions: points (n, d) -> features (repeats, n, k), all within [-1, 1]."""
    g = ch.generator(1000 * offset + k)
    if kind == "cosines":
        draw = sample_frequencies(784, k, sigma=sigma, batch=(repeats,), generator=g, dtype=torch.float32)
        omega, phase = (part.to(ch.device) for part in draw)
        return lambda points: fourier_features(points, omega, phase) * math.sqrt(k / 2)
    index, threshold = (part.to(ch.device) for part in random_stumps(784, k, batch=(repeats,), generator=g))
    return lambda points: stump_features(points, index, threshold)


def fit(z, targets, bound):
    """Weights of the sinks; the tolerance is that of statistics, and whether it is met is returned, not printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kitchen_sinks(z, targets, bound=bound, tol=1e-2)


def judge(scores, targets):
    """Share of wrong signs and mean square, over the last axis."""
    return ((scores > 0) != (targets > 0)).double().mean(-1), (scores - targets).double().square().mean(-1)


# %% [markdown]
# ## How tight a box?
#
# 500 cosines (of Gaussian frequencies) or 500 stumps (random pixel, random threshold), three draws, four bounds $C$;
# beside them ridge regression on random Fourier features and with the exact Gaussian kernel.


# %%
def sinks_rows(kind, z, z_test):
    """Test error and mean square of one kind of functions in each box, one row per draw."""
    rows = []
    for bound in bounds:
        solution = fit(z, y, bound)
        wrong, square = judge((z_test @ solution.weights[..., None])[..., 0], y_test)
        for s in range(seeds):
            base = {"method": f"RKS {kind}", "k": k_main, "bound": bound, "seed": s}
            rows.append(base | {"metric": "error", "value": wrong[s].item()})
            rows.append(base | {"metric": "mean square", "value": square[s].item()})
    return rows


def ridge_rows(z, z_test):
    """Test error of ridge regression on the same cosines, which their scale makes random Fourier features."""
    scale = math.sqrt(2 / k_main)
    ridge = feature_ridge(z * scale, y[:, None], 1e-4)
    wrong, _ = judge((z_test @ ridge)[..., 0] * scale, y_test)
    return [
        {"method": "RFF ridge", "k": k_main, "bound": 0, "seed": s, "metric": "error", "value": value}
        for s, value in enumerate(wrong.tolist())
    ]


def exact_judged(points, targets):
    """Test error and mean square of ridge regression with the exact kernel."""
    alpha = kernel_ridge(gaussian_kernel(points, points, sigma=sigma), targets[:, None], 1e-4)
    wrong, square = judge((gaussian_kernel(x_test, points, sigma=sigma) @ alpha)[:, 0], y_test)
    return wrong.item(), square.item()


# %%
rows = []
for kind in ("cosines", "stumps"):
    functions = sinks(kind, k_main, seeds)
    z, z_test = functions(x), functions(x_test)
    rows += sinks_rows(kind, z, z_test)
    if kind == "cosines":
        rows += ridge_rows(z, z_test)
del z, z_test
wrong, _ = exact_judged(x[:n_exact], y[:n_exact])
rows.append({"method": "exact kernel", "k": n_exact, "bound": 0, "seed": 0, "metric": "error", "value": wrong})
sweep_table = pd.DataFrame(rows)
recorded = ch.table("sinks-bounds", sweep_table)
error = sweep_table[sweep_table.metric == "error"].groupby(["method", "bound"])["value"].mean()
best = error.groupby("method").min()
best_bound = int(error["RKS cosines"].idxmin())

# %% tags=["hide-input"]
best.rename("test error").to_frame().round(3)

# %% tags=["nbval-check-output"]
as_rff = {kind: best[f"RKS {kind}"] <= best["RFF ridge"] + 0.02 for kind in ("cosines", "stumps")}
as_exact = {kind: best[f"RKS {kind}"] <= best["exact kernel"] + 0.02 for kind in ("cosines", "stumps")}
everything = [*as_rff.values(), *as_exact.values()]
ch.claim(
    "rks-comparable",
    value={"error": best.to_dict(), "best bound": best_bound},
    holds=(True if all(everything) else "partly" if any(everything) else False) if best.max() < 0.25 else False,
)

# %% mystnb={"figure": {"name": "fig-14-bounds", "caption": "Test error of kitchen sinks (500 functions, even against odd digits) against the bound C of the box; bands are two standard errors over draws. Too tight a box underfits, a loose one is the unconstrained fit. Where a full-scale run is recorded (60,000 digits), it is drawn beside."}, "image": {"alt": "Two curves that fall and then flatten or rise slightly, the cosines' near the dashed line of Fourier features with ridge, the stumps' above; the line of the exact kernel lies far below. At full scale the same, with lower errors: the curves are flat from a bound of 50 on, the cosines at 0.065, the stumps at 0.12."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure, sweep

    shown = ch.scales(sweep_table, recorded)
    fig, axes = figure(1, len(shown), sharey=True, squeeze=False)
    for ax, (scale, frame) in zip(axes[0], shown.items()):
        errors = frame[frame.metric == "error"]
        sweep(errors[errors.bound > 0], "bound", "value", "method", ax=ax)
        for color, method in ((PALETTE[2], "RFF ridge"), (PALETTE[6], "exact kernel")):
            ax.axhline(errors[errors.method == method]["value"].mean(), ls="--", color=color, label=method)
        ax.set(xlabel="bound $C$", ylabel="", title=scale if len(shown) > 1 else "")
        ax.legend(fontsize=8)
    axes[0, 0].set(ylabel="test error", ylim=(0, None))

# %% [markdown]
# The kernel's own cosines are as good as ridge regression on Fourier features, which they nearly are. Stumps on single
# pixels are not; and five hundred random functions of either kind stay well behind the exact kernel. Fifty times as many digits change
# none of this: at full scale the errors are 6.5% for both kinds of cosines, 12% for stumps, 2.4% for the exact kernel (on 20,000 digits).
#
# ## Against AdaBoost
#
# Error against time: kitchen sinks of growing size at the best bound, AdaBoost (scikit-learn, depth-one trees) round by
# round.

# %%
try:
    from sklearn.ensemble import AdaBoostClassifier
except ImportError:
    AdaBoostClassifier = None


def boost(points, targets, n_rounds):
    """A boosted ensemble of stumps and the CPU seconds it took."""
    points = np.asfortranarray(points)  # trees read one coordinate of all points after the other
    started = time.process_time()
    model = AdaBoostClassifier(n_estimators=n_rounds, random_state=seed).fit(points, targets)
    return model, time.process_time() - started


# %%
race = []
for kind in ("cosines", "stumps"):
    for k in (50, 100, 200, 500):
        functions, found = sinks(kind, k, 1, offset=1), []
        took = ch.seconds(lambda f=functions, found=found: found.append(fit(f(x), y, best_bound)), 1)
        wrong = judge((functions(x_test) @ found[-1].weights[..., None])[..., 0], y_test)[0].item()
        race.append({"method": f"RKS {kind}", "size": k, "seconds": took, "error": wrong})

if AdaBoostClassifier is not None:
    few = min(n_train, 10_000)  # one core would boost 60,000 images for minutes
    model, took = boost(x[:few].cpu().numpy(), y[:few].cpu().numpy(), rounds)
    staged = [1 - s for s in model.staged_score(x_test.cpu().numpy(), y_test.cpu().numpy())]
    for size in sorted({rounds // 20, rounds // 8, rounds // 4, rounds // 2, rounds} - {0}):
        race.append({"method": "AdaBoost", "size": size, "seconds": took * size / rounds, "error": staged[size - 1]})
race = pd.DataFrame(race)
recorded_race = ch.table("race", race)

# %% [markdown]
# Then synthetic data of a shape that the review quotes (at full scale also the next larger one, and a tenth of the
# largest), 200 rounds of boosting against 500 cosines.


# %%
def synthetic(n, d):
    """Points in the unit cube with labels from a noisy curved boundary; as many again, at most 10,000, for a test."""
    g = ch.generator(n)
    points = torch.rand(n + min(n, 10_000), d, generator=g)
    score = (points - 0.5) @ torch.randn(d, generator=g) / (d / 12) ** 0.5 + 4 * ((points[:, :5] - 0.5) ** 2).sum(-1)
    targets = torch.where(score > score.median(), 1.0, -1.0)
    return (points[:n], targets[:n]), (points[n:], targets[n:])


def race_on_shape(n, d):
    """Seconds and test errors of both methods on synthetic data of one shape."""
    learn, check = synthetic(n, d)
    draw = sample_frequencies(d, k_main, sigma=math.sqrt(d / 6), generator=ch.generator(n + 1), dtype=torch.float32)
    points, targets, check_points, omega, phase = (part.to(ch.device) for part in (*learn, check[0], *draw))

    def fitted():
        return fit(torch.cos(points @ omega.mT + phase), targets, 100.0)

    found = []
    took_sinks = ch.seconds(lambda: found.append(fitted()), 1)
    scores = torch.cos(check_points @ omega.mT + phase) @ found[-1].weights
    few = min(n, 10_000)  # boosting is linear in n; one core would take many minutes for all
    model, took = boost(learn[0][:few].numpy(), learn[1][:few].numpy(), rounds)
    return {
        "shape": f"{n} x {d}",
        "RKS seconds": took_sinks,
        "AdaBoost seconds": took * n / few,
        "RKS error": judge(scores.cpu(), check[1])[0].item(),
        "AdaBoost error": 1 - model.score(check[0].numpy(), check[1].numpy()),
    }


# %%
shape_rows = [race_on_shape(n, d) for n, d in shapes] if AdaBoostClassifier is not None else []
shape_table = pd.DataFrame(shape_rows)
recorded_shapes = ch.table("race-shapes", shape_table) if shape_rows else None

# %% tags=["hide-input"]
shown = ch.scales(shape_table, recorded_shapes)
pd.concat({scale: frame.set_index("shape") for scale, frame in shown.items()}).round(3) if shape_rows else None

# %% tags=["nbval-check-output"]
if AdaBoostClassifier is None:
    ch.not_run("rks-vs-adaboost", "scikit-learn is not installed")
else:
    last = race.groupby("method").last()
    similar = bool(last.loc["RKS cosines", "error"] <= last.loc["AdaBoost", "error"] + 0.01)
    times_faster = last.loc["AdaBoost", "seconds"] / last.loc["RKS cosines", "seconds"]
    similar_too = bool((shape_table["RKS error"] <= shape_table["AdaBoost error"] + 0.01).all())
    shapes_faster = shape_table["AdaBoost seconds"] / shape_table["RKS seconds"]
    boosted = max(last.loc["AdaBoost", "error"], shape_table["AdaBoost error"].max()) < 0.25  # chance is one half
    quickly = bool(boosted and times_faster > 10 and (shapes_faster > 10).all())
    ch.claim(
        "rks-vs-adaboost",
        value={
            "error": last.error.to_dict(),
            "seconds": last.seconds.to_dict(),
            "AdaBoost / RKS": times_faster,
            "on the review's shapes": shape_table.set_index("shape").T.to_dict(),
        },
        holds=quickly and (True if similar and similar_too else "partly" if similar or similar_too else False),
    )

# %% mystnb={"figure": {"name": "fig-14-race", "caption": "Test error against CPU time for fits of growing size (50 to 500 random functions; 10 to 200 rounds of boosting). Random cosines reach AdaBoost's error in a small fraction of its time. Random stumps do not, except at full scale, where they learn from 60,000 digits and AdaBoost from 10,000. Where a full-scale run is recorded, it is drawn beside."}, "image": {"alt": "Three falling curves over time on a logarithmic axis; the cosines' and the stumps' at the left, the cosines' lower, AdaBoost's one to two orders of magnitude to the right. At full scale the stumps end at AdaBoost's level, the cosines at about half of it."}} tags=["hide-input"]
if ch.plots:
    shown = ch.scales(race, recorded_race)
    fig, axes = figure(1, len(shown), sharey=True, squeeze=False)
    for ax, (scale, frame) in zip(axes[0], shown.items()):
        for color, marker, (method, part) in zip(PALETTE, "os^", frame.groupby("method", sort=False)):
            ax.plot(part.seconds, part.error, marker, ls="-", color=color, label=method, ms=5)
        ax.set(xscale="log", xlabel="CPU seconds", title=scale if len(shown) > 1 else "")
        ax.legend(fontsize=8)
    axes[0, 0].set(ylabel="test error", ylim=(0, None))

# %% [markdown]
# On digits the comparison is won by the cosines, which see whole images, against stumps, which see a pixel each. Random
# stumps against chosen stumps, the comparison between *randomizing* and *optimizing* proper, goes the other way in
# error. And on the synthetic data, where a hundred weak coordinates add up to the label, the cosines are a hundred
# times faster and clearly worse: the speed is general, the similar error is not. On the larger shapes (200,000 and
# 500,000 rows) boosting takes 351 and 244 times as long, and its error stays the smaller one by five hundredths, though
# AdaBoost is trained and timed on 10,000 of the rows (its time is scaled up in proportion). Width and bound are not
# tuned there; cosines of a kernel four times as wide have an error of 0.20 (once, outside this page), which is still
# behind.
#
# ## Faster than random Fourier features?
#
# With cosines the two methods are one: the same features, and, with the same solver, the same time.

# %%
functions = sample_frequencies(784, 1024, sigma=sigma, generator=ch.generator(3), dtype=torch.float32)
functions = [part.to(ch.device) for part in functions]
few = x[:2000]
took = ch.race(
    {
        "RFF": lambda: feature_ridge(fourier_features(few, *functions), y[:2000, None], 1e-4),
        "RKS": lambda: feature_ridge(torch.cos(few @ functions[0].mT + functions[1]), y[:2000, None], 1e-4),
    }
)
same = torch.allclose(
    fourier_features(few, *functions) * 512**0.5, torch.cos(few @ functions[0].mT + functions[1]), atol=1e-4
)
ch.require(same, "the two methods must have the same features up to their scale, sqrt(2 / D)")

# %% tags=["nbval-check-output"]
ch.claim("rks-faster-than-rff", value=took["RFF"] / took["RKS"], holds=took["RFF"] / took["RKS"] > 2)

# %% [markdown]
# ## The rate
#
# The theorem bounds the excess risk over the best function of the box's class by $O(1/\sqrt n + 1/\sqrt k)$ for a fixed
# bound $C$ (the review's $1/\sqrt m$ is a slip: $m$ is its dimension, the rate is in samples). We measure mean squares at
# $n = 3000$, $C = 20$, and subtract that of exact kernel ridge regression as the floor.

# %%
x3, y3 = x_all[:n_rate], y_all[:n_rate]
_, floor = exact_judged(x3, y3)
rows = []
for k in ks:
    functions = sinks("cosines", k, rate_seeds, offset=2)
    solution = fit(functions(x3), y3, 20.0)
    square = judge((functions(x_test) @ solution.weights[..., None])[..., 0], y_test)[1]
    rows += [{"k": k, "seed": s, "metric": "mean square", "value": v} for s, v in enumerate(square.tolist())]
rate = pd.DataFrame(rows).assign(floor=floor)
recorded_rate = ch.table("rate", rate)


def draws_of(frame):
    """Mean squares (draws, sizes)."""
    return torch.tensor(frame.pivot_table(index="seed", columns="k", values="value").to_numpy())


by_seed = draws_of(rate)

functions = sinks("cosines", k_main, seeds, offset=3)
z, z_test = functions(x_all[: max(n_sweep)]), functions(x_test)
by_n = []
for n in n_sweep:
    solution = fit(z[:, :n], y_all[:n], 20.0)
    by_n.append(judge((z_test @ solution.weights[..., None])[..., 0], y_test)[1].cpu())
del z, z_test
by_n = torch.stack(by_n, 1)  # (seeds, sizes)

# %% [markdown]
# Two readings of the decay in $k$: the slope on logarithmic axes of what lies above the floor, for each draw, and the fit
# of a line $a + b/\sqrt k$ to the mean, with the slope above its limit $a$.


# %%
def inverse_root_line(values, sizes):
    """1 / sqrt(size), the coefficients (a, b) of the fit a + b / sqrt(size), and the share it leaves unexplained."""
    places = torch.tensor(sizes, dtype=torch.float64).rsqrt()
    design = torch.stack([torch.ones_like(places), places], 1)
    line = torch.linalg.lstsq(design, values[:, None]).solution[:, 0]
    left = (values - design @ line).square().sum() / (values - values.mean()).square().sum()
    return places, line, left.item()


slopes = power_law(ks, by_seed - floor).exponent
slope, slope_error = slopes.mean().item(), (slopes.std() / math.sqrt(len(slopes))).item()
average = by_seed.mean(0)
root_k, line, unexplained = inverse_root_line(average, ks)
to_limit = power_law(ks, average - line[0]).exponent.item()
root_n, line_n, _ = inverse_root_line(by_n.mean(0), n_sweep)

# %% tags=["nbval-check-output"]
steep = slope + 2 * slope_error <= -0.4
straight = 1 - unexplained > 0.95 and line[1].item() > 0  # and it falls with k
ch.claim(
    "rks-rate",
    value={
        "slope": slope,
        "standard error": slope_error,
        "floor": floor,
        "mean square": average.tolist(),
        "R^2 of a + b / sqrt(k)": 1 - unexplained,
        "a": line[0].item(),
        "slope above a": to_limit,
    },
    holds=True if steep else "partly" if straight else False,
)

# %% mystnb={"figure": {"name": "fig-14-rate", "caption": "Mean square error on the test digits, bound 20. Left: against the inverse root of the number of random functions (3,000 training digits). Right: against the inverse root of the number of digits (500 functions). Lines are fits of a + b / sqrt; the dashed line is exact kernel ridge regression, which lies below the intercept on the left: in their box more functions alone do not reach the kernel. Where a full-scale run is recorded (ten times as many draws and test digits), it is drawn beside."}, "image": {"alt": "Left: points on a straight rising line over 1 over root k, from 0.31 to 0.75, whose intercept is above a dashed line at 0.17, and the same at full scale. Right: points over 1 over root n along a rising line."}} tags=["hide-input"]
if ch.plots:
    panels = []
    for scale, frame in ch.scales(rate, recorded_rate).items():
        values = draws_of(frame)
        places, coefficients, _ = inverse_root_line(values.mean(0), ks)
        panels.append((scale, "k", places, values, coefficients, frame.floor.iloc[0]))
    panels.append(("", "n", root_n, by_n, line_n, None))
    fig, axes = figure(1, len(panels), height=3.4, sharey=True)
    for ax, (scale, name, places, values, coefficients, least) in zip(axes, panels):
        ax.plot(places, values.T, "o", color=PALETTE[4], ms=3)
        ends = torch.tensor([0.0, 1.05 * places.max().item()])
        ax.plot(ends, coefficients[0] + coefficients[1] * ends, color=PALETTE[0], label=rf"$a + b/\sqrt{{{name}}}$")
        if least is not None:
            ax.axhline(least, ls="--", color=PALETTE[6], label="exact kernel ridge")
        ax.set(xlabel=rf"$1/\sqrt{{{name}}}$", title=scale if len(panels) > 2 else "")
        ax.legend(loc="upper left", fontsize=8)
    axes[0].set(ylabel="mean square error (test)", ylim=(0, None))

# %% [markdown]
# The mean square is a straight line in $1/\sqrt k$: the theorem's shape. Where that line ends is another matter, and it decides
# the verdict. The theorem's floor is the best function of the box's class, which we do not know. Above the exact kernel's error (0.17) the slope
# is -0.39, just short of the criterion; above the limit of the fitted line (0.25) it is -0.56, in agreement with the theorem. The latter is
# nearly built in, since that limit supposes a line in $1/\sqrt k$; six sizes do not determine floor and exponent together. At full scale, fifty
# draws and 10,000 test digits, the slope is $-0.408\pm 0.004$: on the criterion's edge.
#
# ## Units
#
# The review bounds $|\alpha_i|$ by $C\,p(\omega_i)$, which is how the class of functions is defined in the paper. The
# *algorithm* bounds $\|\alpha\|_\infty$ by $C/k$, and it must: $p$ is a density, in inverse units of $\omega$. Measure
# $x$ in units ten times smaller, and frequencies and density change while every feature stays the same.

# %%
g = ch.generator(4)
points = torch.randn(400, 2, generator=g, dtype=torch.float64)
goal = torch.sin(2 * points[:, 0]) + points[:, 1].cos()
omega, phase = sample_frequencies(2, 100, generator=g)


def two_boxes(unit):
    """Mean squares of both constraints when x is measured in other units."""
    z = torch.cos((points * unit) @ (omega / unit).mT + phase)
    density = torch.exp(-omega.square().sum(-1) / 2) / (2 * math.pi) * unit**2  # of omega / unit
    # |alpha_i| <= C p_i is a box of equal sides in beta_i = alpha_i / p_i
    return {"C / k": fit(z, goal, 5.0).objective.item(), "C p": fit(z * density, goal, 5.0).objective.item()}


units = {unit: two_boxes(unit) for unit in (1.0, 10.0)}

# %% tags=["nbval-check-output"]
change = {name: abs(units[10.0][name] - units[1.0][name]) / units[1.0][name] for name in ("C / k", "C p")}
ch.claim("erratum-sinks-box", value=change, holds=change["C / k"] < 1e-3 and change["C p"] > 0.2)

# %% [markdown]
# ## Takeaway
#
# Randomizing what others optimize is a bargain in time: tens of times faster than boosting at a lower error, if the random
# functions suit the data. With cosines it *is* random Fourier features with a box in place of a ridge, neither faster nor
# better.
