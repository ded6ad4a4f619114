# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What networks can represent
#
# The lecture starts from linear classifiers. They fail on rings; a lift or a kernel helps, and so does a hidden layer. Two
# theorems say what a hidden layer can do: {cite:t}`cybenko1989approximation` that one is enough (of sigmoidal units),
# {cite:t}`leshno1993multilayer` that any activation will do that is not a polynomial. Neither says how many units it
# takes, and a third {cite}`telgarsky2016benefits` says that depth can save exponentially many. Every one of them can be
# watched at work.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools
import math

import torch

from litrepro import Chapter
from litrepro.landscape import fit_random_features, relu_interpolant, sawtooth, sawtooth_lower_bound
from litrepro.landscape.backprop import forward
from litrepro.optim import descend

ch = Chapter("01-nonconvex-optimization", notebook="approximation", profile=profile, seed=seed, full_minutes=2)
draws = ch.pick(quick=20, full=1000, smoke=3)
seeds = ch.pick(quick=5, full=20, smoke=2)
points = ch.pick(quick=2000, full=2000, smoke=300)
f64 = {"dtype": torch.float64}

# %% [markdown]
# ## Rings
#
# Two noisy rings of radius 1 and 2. Logistic regression in the plane can only draw a line; with the radius as a third
# coordinate a plane between the rings separates them.


# %%
def rings(count, n, offset):
    """``count`` draws of n points: x (count, n, 2), y (count, n) in {-1, 1}; inner ring +1."""
    source = ch.generator(offset)
    y = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).to(torch.float64).expand(count, n)
    radius = torch.where(y > 0, 1.0, 2.0) + 0.1 * torch.randn(count, n, generator=source, **f64)
    angle = 2 * math.pi * torch.rand(count, n, generator=source, **f64)
    return radius[..., None] * torch.stack([angle.cos(), angle.sin()], -1), y


def lifted(x):
    """The plane's points with their radius: (..., 2) -> (..., 3)."""
    return torch.cat([x, x.norm(dim=-1, keepdim=True)], -1)


def logistic_accuracy(x, y, x_new, y_new):
    """Held-out accuracy of logistic regression with intercept, all draws at once."""
    design, new = (torch.nn.functional.pad(z, (0, 1), value=1.0) for z in (x, x_new))

    def loss(w):
        return torch.nn.functional.softplus(-y * torch.einsum("knd,kd->kn", design, w)).mean(-1)

    w = descend(loss, torch.zeros(len(x), design.shape[-1], **f64), "heavy-ball", 0.2, 400, record_every=400).x[-1]
    return (torch.einsum("knd,kd->kn", new, w).sign() == y_new).double().mean(-1)


x, y = rings(draws, 400, 1)
x_new, y_new = rings(draws, 400, 2)
flat, lift = logistic_accuracy(x, y, x_new, y_new), logistic_accuracy(lifted(x), y, lifted(x_new), y_new)

# %% tags=["nbval-check-output"]
ch.claim(
    "lift-separates",
    value={"plane, best draw": flat.max().item(), "lifted, worst draw": lift.min().item()},
    holds=flat.max().item() < 0.7 and lift.min().item() > 0.99,
)

# %% [markdown]
# A kernel does the same without naming the lift: the support vector machine sees the points of the plane and a Gaussian
# kernel.

# %% tags=["nbval-check-output"]
try:
    from sklearn.svm import SVC

    machine = [
        SVC(kernel="rbf", gamma=1.0).fit(a.numpy(), b.numpy()).score(c.numpy(), d.numpy())
        for a, b, c, d in zip(x[:5], y[:5], x_new[:5], y_new[:5])
    ]
    ch.claim("kernel-instead-of-lift", value=machine, holds=min(machine) > 0.99)
except ImportError:
    ch.not_run("kernel-instead-of-lift", "scikit-learn is not installed")

# %% mystnb={"figure": {"name": "fig-01-rings", "caption": "Two rings in the plane (left), where no line separates them, and lifted by their radius (right), where the plane at height 1.5 does."}, "image": {"alt": "Left: two concentric rings of points. Right: the same points in space, the inner ring low, the outer ring high, a grey plane between them."}} tags=["hide-input"]
if ch.plots:
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(7.2, 3.3), layout="constrained")
    ax, space = fig.add_subplot(1, 2, 1), fig.add_subplot(1, 2, 2, projection="3d")
    for label, colour, name in ((1, "C0", "inner"), (-1, "C1", "outer")):
        part = x[0][y[0] == label]
        ax.plot(*part.T, "o", ms=2.5, color=colour, label=name)
        space.plot(*lifted(part).T, "o", ms=2, color=colour)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.legend(loc="center")
    side = torch.tensor([-2.2, 2.2])
    grid = torch.meshgrid(side, side, indexing="xy")
    space.plot_surface(grid[0].numpy(), grid[1].numpy(), torch.full((2, 2), 1.5).numpy(), alpha=0.3, color="0.5")
    space.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="radius")

# %% [markdown]
# ## Which activations are universal?
#
# A hidden layer drawn at random, output weights by least squares, for the target $\sin(6\pi x)\,e^{-x}$. Polynomial
# activations of degree $q$ span the polynomials of degree $q$ and no more, whatever the width.

# %%
activations = {"relu": torch.relu, "tanh": torch.tanh, "x": lambda u: u, "x^2": lambda u: u**2, "x^3": lambda u: u**3}
widths = [8, 16, 32, 64, 128, 256]


def wave(x):
    """The target on [0, 1], (...) -> (...)."""
    return torch.sin(6 * math.pi * x) * torch.exp(-x)


train_grid, test_grid = torch.linspace(0, 1, 4000, **f64), torch.linspace(0, 1, 5003, **f64)
sup = {
    name: torch.tensor(
        [
            [
                (
                    fit_random_features(
                        train_grid[:, None], wave(train_grid), width, s, generator=ch.generator(100 + k), scale=20.0
                    )(test_grid[:, None])
                    - wave(test_grid)
                )
                .abs()
                .max()
                .item()
                for k in range(seeds)
            ]
            for width in widths
        ]
    )
    for name, s in activations.items()
}

# %% tags=["nbval-check-output"]
worst, best = ({name: fold(e[-1]).item() for name, e in sup.items()} for fold in (torch.max, torch.min))
ch.claim(
    "universal-nonpolynomial",
    value={"worst": worst, "best": best},
    holds=worst["relu"] < 0.05 and worst["tanh"] < 1e-3 and min(best[name] for name in ("x", "x^2", "x^3")) > 0.5,
)

# %% mystnb={"figure": {"name": "fig-01-universal", "caption": "Sup error of a random hidden layer against its width (median and range over seeds). Polynomial activations stay where they are; tanh falls until rounding stops it, relu more slowly because of its kinks."}, "image": {"alt": "Log-log plot: three flat lines between 0.8 and 1 for the polynomials, a falling line for relu, a steeply falling one for tanh."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import band, figure

    fig, ax = figure()
    for index, (name, errors) in enumerate(sup.items()):
        band(widths, errors.median(1).values, errors.amin(1), errors.amax(1), ax=ax, label=name, marker="os^Dv"[index])
    ax.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="sup error on [0, 1]")
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.legend()

# %% [markdown]
# ## How many units?
#
# For a smooth function of one variable the answer is explicit: the ReLU network that interpolates on a grid of $m$ cells
# has error $\max|g''|/(8m^2)$ in the limit.

# %%
cells = [2**k for k in range(2, 10)]
fine = torch.linspace(0, 1, 20_001, **f64)
interpolation = {}
for m in cells:
    beta0, beta, knots = relu_interpolant(wave(torch.linspace(0, 1, m + 1, **f64)))
    network = beta0 + torch.relu(fine[:, None] - knots) @ beta
    interpolation[m] = (network - wave(fine)).abs().max().item()
at = fine.clone().requires_grad_(True)
(first,) = torch.autograd.grad(wave(at).sum(), at, create_graph=True)
(second,) = torch.autograd.grad(first.sum(), at)
limit = second.abs().max().item() / 8
constant = {m: error * m**2 for m, error in interpolation.items()}

# %% tags=["nbval-check-output"]
ch.claim(
    "interpolant-rate",
    value={"error m^2": constant, "max |g''|/8": limit},
    holds=all(abs(constant[m] / limit - 1) < 0.1 for m in cells if m >= 32),
)

# %% [markdown]
# In more variables it takes many more. For $\prod_j \sin(2\pi x_j)$ we look for the smallest width (a power of
# $\sqrt 2$) at which a random hidden layer has held-out rms error below 0.05.


# %%
def error_at(d, name, power, k):
    """Held-out rms error of 2^(power/2) random features in d variables, seed k."""
    source = ch.generator(1000 * d + k)
    x = torch.rand(2 * points, d, generator=source, **f64)
    y = torch.sin(2 * math.pi * x).prod(-1)
    width = round(2 ** (power / 2))
    net = fit_random_features(x[:points], y[:points], width, activations[name], generator=source)
    return (net(x[points:]) - y[points:]).square().mean().sqrt().item()


def smallest_width(d, name, k, guess):
    """The power of sqrt 2 at which the error first falls below 0.05, by walking from a guess."""
    power = guess
    while power < 20 and error_at(d, name, power, k) >= 0.05:
        power += 1
    while power == guess and guess > 0 and error_at(d, name, guess - 1, k) < 0.05:
        guess = power = guess - 1
    return power


needed = {}
for name in ("tanh", "relu"):
    guess = 6
    for d in ch.pick(quick=[1, 2, 3], full=[1, 2, 3], smoke=[1, 2]):
        found = []
        for k in range(5 if not ch.smoke else 1):
            found.append(smallest_width(d, name, k, guess if k == 0 else found[-1]))
        needed[name, d] = round(2 ** (torch.tensor(found, dtype=torch.float64).median().item() / 2))
        guess = found[-1] + 4
growth = {name: [b / a for a, b in itertools.pairwise([w for (n, _), w in needed.items() if n == name])] for name in
          ("tanh", "relu")}  # fmt: skip

# %% tags=["nbval-check-output"]
# The search ends at 1,024 units, found or not: a width counts only below that.
ch.claim(
    "many-nodes-caveat",
    value={f"{name}, d = {d}": width for (name, d), width in needed.items()},
    holds=min(min(ratios) for ratios in growth.values()) >= 3 and max(needed.values()) < 1024,
)

# %% mystnb={"figure": {"name": "fig-01-units", "caption": "Left: sup error of the interpolating ReLU network against the number of cells, with the predicted line (dashed) and that of the sine without its damping (dotted). Right: units needed for an rms error of 0.05 on a product of sines, in one, two and three variables (median of 5 seeds)."}, "image": {"alt": "Left: points that approach a log-log line of slope minus two. Right: bars on a logarithmic axis that grow four- to eightfold with each dimension, relu above tanh."}} tags=["hide-input"]
if ch.plots:
    fig, (left, right) = figure(1, 2, height=3.1)
    left.plot(cells, list(interpolation.values()), "o", label="measured")
    left.plot(cells, [limit / m**2 for m in cells], "--", color="0.35", label="max |g''| / (8 m²)")
    left.plot(cells, [(6 * math.pi) ** 2 / 8 / m**2 for m in cells], ":", color="0.6", label="(6π)² / (8 m²)")
    left.set(xscale="log", yscale="log", xlabel="cells m", ylabel="sup error")
    left.legend()
    for shift, name in ((-0.2, "tanh"), (0.2, "relu")):
        ws = {d: w for (n, d), w in needed.items() if n == name}
        right.bar([d + shift for d in ws], ws.values(), width=0.38, label=name)
    right.set(xlabel="variables d", ylabel="units needed", yscale="log", xticks=[1, 2, 3])
    right.legend()

# %% [markdown]
# ## What depth adds
#
# The tent map $2\,\mathrm{relu}(x) - 4\,\mathrm{relu}(x - \tfrac12)$ composed $n$ times is a network of $n$ layers with
# two units each and has $2^n$ linear pieces. A shallow network with $p$ units has at most $p + 1$ pieces, and whatever
# they are it misses most of the teeth. A lower bound counts crossings of the level 1/2; least-squares splines with $p$
# pieces show how good competitors actually are.


# %%
def spline_distance(depth, pieces):
    """Mean absolute distance on [0, 1] of the least-squares spline with equal pieces to the sawtooth."""
    x = (torch.arange(2 ** (depth + 4), **f64) + 0.5) / 2 ** (depth + 4)
    position = (x * pieces)[:, None]
    hats = (1 - (position - torch.arange(pieces + 1, **f64)).abs()).clamp(min=0)
    target = sawtooth(x, depth)
    weights = torch.linalg.solve(hats.T @ hats, hats.T @ target)
    return (hats @ weights - target).abs().mean().item()


distances = {
    (depth, p): (spline_distance(depth, p), sawtooth_lower_bound(depth, p))
    for depth in (6, 8, 10)
    for p in [2**k for k in range(0, depth - 1)]
}
enough = spline_distance(8, 2**8)  # with as many pieces as the sawtooth has, the same fit is exact
on_grid = {n: sawtooth(torch.arange(2**n + 1, **f64) / 2**n, n) for n in (6, 8, 10)}
alternates = all(torch.equal(v, torch.arange(len(v)).remainder(2).double()) for v in on_grid.values())

# %% tags=["nbval-check-output"]
ch.claim(
    "depth-separation",
    value={
        "distance, bound at depth 8, 16 pieces": distances[8, 16],
        "distance at 256 pieces": enough,
        "deep network exact": alternates,
    },
    holds=alternates and all(d >= max(bound, 1 / 64) for d, bound in distances.values()) and enough < 1e-6,
)

# %% mystnb={"figure": {"name": "fig-01-depth", "caption": "Mean distance to the sawtooth of depth 8 (256 pieces, 16 units) of least-squares splines, and the lower bound for every continuous piecewise-linear function. Until the spline has as many pieces as the sawtooth it hardly improves on the constant 1/2."}, "image": {"alt": "Distance against number of pieces: flat at 0.25 up to 128 pieces, zero at 256; below it the lower bound that falls to zero near 128; a dotted line at 1/64."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure()
    ps = [2**k for k in range(9)]
    ax.plot(ps, [spline_distance(8, p) for p in ps], "o-", label="least-squares spline")
    ax.plot(ps, [sawtooth_lower_bound(8, p) for p in ps], "s--", label="lower bound")
    ax.axhline(1 / 64, color="0.5", ls=":", label="1/64")
    ax.set(xscale="log", xlabel="linear pieces", ylabel="L1 distance on [0, 1]")
    ax.set_xticks(ps, [str(p) for p in ps])
    ax.legend(loc="center left", bbox_to_anchor=(0, 0.62))

# %% [markdown]
# ## And what the identity does not add
#
# Without a non-linearity, layers collapse: $W_2(W_1x+b_1)+b_2$ is one affine map.

# %%
source = ch.generator(9)
collapse = {}
for k in range(1, 7):
    W = [torch.randn(4, 4, generator=source, **f64) / 2 for _ in range(k)]
    b = [torch.randn(4, generator=source, **f64) for _ in range(k)]
    inputs = torch.randn(100, 4, generator=source, **f64)
    whole, offset = torch.eye(4, **f64), torch.zeros(4, **f64)
    for weight, bias in zip(W, b):
        whole, offset = weight @ whole, weight @ offset + bias
    collapse[k] = (forward(W, b, inputs, "identity")[1][-1] - (inputs @ whole.T + offset)).abs().max().item()

# %% tags=["nbval-check-output"]
ch.claim("linear-activation-affine", value=collapse, holds=max(collapse.values()) < 1e-12)

# %% [markdown]
# ## Takeaway
#
# Universality is cheap: almost any activation has it. What differs is the price. It is mild for smooth functions of one
# variable, it grows by a factor of four to eight per variable here, and for functions that oscillate like the sawtooth only
# depth pays it.
