# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The landscape of the empirical risk
#
# Two weights are enough to lose convexity. This notebook looks at small functions whose stationary points are known:
# which kinds there are, what the Hessian says about them, when it says nothing, and what gradient steps with and without
# momentum do on them.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import torch

from litrepro import Chapter
from litrepro.landscape import (
    KINDS,
    classify,
    gradient,
    hessian,
    monkey_saddle,
    product_loss,
    quadratic,
    strict_saddle,
)
from litrepro.optim import descend, rule

ch = Chapter("01-nonconvex-optimization", notebook="landscape", profile=profile, seed=seed, full_minutes=1)
samples = ch.pick(quick=20_000, full=2_000_000, smoke=500)
f64 = {"dtype": torch.float64}


def vector(*values):
    """A float64 point."""
    return torch.tensor(values, **f64)


# %% [markdown]
# ## One hidden unit
#
# A linear network with one hidden unit, one sample $(1, 1)$ and squared error has the loss $(1 - w_1w_2)^2$. At the
# origin its Hessian has eigenvalues $-2$ and $2$. The chord between $(1,1)$ and $(-1,-1)$ runs below the function's
# value in the middle, the chord between $(1,-1)$ and $(-1,1)$ above: neither convex nor concave.

# %%
at_zero = torch.linalg.eigvalsh(hessian(product_loss, vector(0, 0)))
middle = product_loss(vector(0, 0)).item()
chords = {str(d): product_loss(torch.stack([vector(*d), -vector(*d)])).mean().item() for d in ((1, 1), (1, -1))}

# %% tags=["nbval-check-output"]
ch.claim(
    "product-nonconvex",
    value={"eigenvalues": at_zero.tolist(), "middle": middle, "chords": chords},
    holds=(at_zero - vector(-2, 2)).abs().max().item() < 1e-12 and chords["(1, 1)"] < middle < chords["(1, -1)"],
)

# %% [markdown]
# All minima lie on the hyperbola $w_1w_2 = 1$, and along it the sharpness is $2(w_1^2+w_2^2)$: the same zero loss, more
# or less steeply walled in. The other eigenvalue is zero everywhere on the curve, so no minimum is isolated, none has a
# strongly convex neighbourhood, and the function is *not* strict saddle in the sense of {cite:t}`ge2015escaping`, harmless
# as it is.

# %%
t = torch.linspace(-1.5, 1.5, 201, **f64).exp()
hyperbola = torch.stack([t, 1 / t], -1)
conditions = strict_saddle(
    product_loss, hyperbola, eps=1e-3, gamma=1e-3, alpha=1e-3, minima=hyperbola[::20], delta=0.05
)
lowest = torch.linalg.eigvalsh(hessian(product_loss, hyperbola))[:, 0].abs().max().item()
elsewhere = strict_saddle(product_loss, vector(0, 0), eps=1e-3, gamma=1e-3)
# Each condition can be met: on a bowl the first one away from its minimum, the third one near it.
bowl_minimum, bowl_point = vector(0, 0)[None], vector(0.01, 1).diag()
on_bowl = strict_saddle(
    lambda x: quadratic(x, [1.0, 1.0]), bowl_point, eps=0.1, gamma=1e-3, alpha=1e-3, minima=bowl_minimum, delta=0.05
)

# %% tags=["nbval-check-output"]
ch.claim(
    "product-not-strict",
    value={"conditions met on the curve": int(conditions.sum()), "largest |lowest eigenvalue|": lowest},
    holds=not bool(conditions.any())
    and bool(elsewhere[1])
    and on_bowl.tolist() == [[False, False, True], [True, False, False]],
)

# %% mystnb={"figure": {"name": "fig-01-product", "caption": "The loss of two weights. Left: contours with the two Hessian eigenvectors at the saddle and the hyperbola of minima, coloured by sharpness. Right: the surface along the diagonals through the saddle."}, "image": {"alt": "Left: contour plot with two curved valleys in opposite quadrants, arrows at the centre. Right: one curve that bends down from the centre to zero at plus and minus one, and one that bends up."}} tags=["hide-input"]
if ch.plots:
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    from litrepro.plotting import SEQUENTIAL, figure

    fig, (ax, cut) = figure(1, 2, height=3.4)
    axis = torch.linspace(-2.2, 2.2, 161, **f64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    ax.contourf(axis, axis, product_loss(grid).clamp(max=9), levels=24, cmap="Greys")
    ax.grid(False)
    for sign in (1, -1):
        inside = hyperbola[(hyperbola < 2.2).all(-1)]
        marks = ax.scatter(*(sign * inside.T), c=2 * inside.square().sum(-1), s=7, cmap=SEQUENTIAL)
    fig.colorbar(marks, ax=ax, label="sharpness on the curve", location="bottom", shrink=0.8)
    for direction, colour in ((vector(1, 1), "C1"), (vector(1, -1), "C0")):
        ax.annotate("", (direction / 1.6).tolist(), (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 2})
    ax.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal")
    s = torch.linspace(-1.6, 1.6, 101, **f64)
    cut.plot(s, product_loss(torch.stack([s, s], -1)), color="C1", label="along (1, 1)")
    cut.plot(s, product_loss(torch.stack([s, -s], -1)), color="C0", label="along (1, -1)")
    cut.set(xlabel="position on the diagonal", ylabel="loss", ylim=(0, 5))
    cut.legend()

# %% [markdown]
# ## One curve with everything on it
#
# The lecture draws a function with two plateaus, two global minima, two local minima and two local maxima between them.
# Here is such a curve, glued together from cubic pieces between its eight stationary points so that first derivatives
# agree; on the plateaus the second derivative vanishes. (The letters in the figure
# run from left to right; they are not the lecture's.)

# %%
named = [  # position, value, what it is drawn as
    (0.0, 1.0, "inconclusive"),
    (1.0, 0.0, "minimum"),
    (2.0, 0.8, "maximum"),
    (3.0, 0.3, "minimum"),
    (4.0, 0.9, "maximum"),
    (5.0, 0.3, "minimum"),
    (6.0, 1.1, "inconclusive"),
    (7.0, 0.0, "minimum"),
]
knots, heights = (torch.tensor([row[i] for row in named], **f64) for i in (0, 1))


def terrain(x):
    """The drawn function of one variable, (..., 1) -> (...): plateaus of width 1/2 around positions 0 and 6."""
    z = x[..., 0]
    flat = ((z.abs() < 0.25) | ((z - 6).abs() < 0.25)).detach()
    place = torch.searchsorted(knots, z.detach().contiguous()).clamp(1, len(knots) - 1)
    left, right = knots[place - 1], knots[place]
    left = torch.where((left == 0) | (left == 6), left + 0.25, left)
    right = torch.where(right == 6, right - 0.25, right)
    s = (z - left) / (right - left)
    ends = heights[place - 1], heights[place]
    curve = ends[0] + (ends[1] - ends[0]) * s**2 * (3 - 2 * s)
    level = torch.where(z.detach() < 3, heights[0], heights[6])
    return torch.where(flat, level + 0 * z, curve)


eps = 1e-7  # a kink in the second derivative at the knots: look on both sides
sides = knots[:, None, None] + vector(-eps, eps)[:, None]
sides[0], sides[-1] = sides[0].abs(), 7 - (sides[-1] - 7).abs()
slopes = gradient(terrain, sides).abs().max().item()
labels = [[KINDS[k] for k in row] for row in classify(torch.linalg.eigvalsh(hessian(terrain, sides)))]
right = [set(found) == {drawn} for found, (_, _, drawn) in zip(labels, named)]

# %% tags=["nbval-check-output"]
lows = [height for _, height, kind in named if kind == "minimum"]
ch.claim(
    "landscape-shapes",
    value={"labels": [row[0] for row in labels], "largest slope": slopes},
    holds=slopes < 1e-5 and all(right) and sorted(lows) == [0.0, 0.0, 0.3, 0.3],
)

# %% mystnb={"figure": {"name": "fig-01-terrain", "caption": "A function of one variable with plateaus, global and local minima and local maxima; the labels are those that the second derivative gives."}, "image": {"alt": "A curve with a flat stretch at its left end and one before the last minimum, two deep and two shallow minima, and two maxima, each marked with its kind."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.0)
    line = torch.linspace(0, 7.5, 800, **f64)
    values = torch.where(line > 7, terrain((14 - line)[:, None]), terrain(line[:, None]))
    ax.plot(line, values, color="0.3")
    for letter, (x, height, _), row in zip("abcdefgh", named, labels):
        ax.plot([x], [height], "o", color=f"C{KINDS.index(row[0])}")
        ax.annotate(
            f"({letter}) {row[0]}",
            (x, height),
            (x, height + (-0.13 if row[0] == "minimum" else 0.06)),
            ha="center" if x else "left",
            fontsize=8,
        )
    ax.set(xlabel="x", ylabel="f(x)", ylim=(-0.2, 1.3))

# %% [markdown]
# ## What the eigenvalues decide
#
# The lecture's rule: all eigenvalues of the Hessian positive, a minimum; all negative, a maximum; both signs *and none
# zero*, a saddle; otherwise inconclusive. We compare with what the functions do: the signs of $f - f(0)$ on small balls
# around the point.


# %%
cases = {
    "x^2 + 2 y^2": (lambda x: quadratic(x, [2.0, 4.0]), 2, "minimum"),
    "-x^2 - 2 y^2": (lambda x: quadratic(x, [-2.0, -4.0]), 2, "maximum"),
    "x^2 - y^2": (lambda x: quadratic(x, [2.0, -2.0]), 2, "saddle"),
    "x^2 + y^4": (lambda x: x[..., 0] ** 2 + x[..., 1] ** 4, 2, "inconclusive"),
    "x^2 + y^3": (lambda x: x[..., 0] ** 2 + x[..., 1] ** 3, 2, "inconclusive"),
    "x^2 - y^2 + z^4": (lambda x: quadratic(x[..., :2], [2.0, -2.0]) + x[..., 2] ** 4, 3, "degenerate saddle"),
    "x^2 + z^4": (lambda x: x[..., 0] ** 2 + x[..., 2] ** 4, 3, "inconclusive"),
}
kind, truth = {}, {}
for name, (fun, d, _) in cases.items():
    kind[name] = KINDS[classify(torch.linalg.eigvalsh(hessian(fun, torch.zeros(d, **f64))))]
    signs = []
    for radius in (1e-1, 1e-3, 1e-6):
        direction = torch.randn(samples // 10, d, generator=ch.generator(3), **f64)
        ball = radius * torch.nn.functional.normalize(direction, dim=-1)
        ball = torch.cat([ball, radius * torch.eye(d, **f64), -radius * torch.eye(d, **f64)])
        values = fun(ball)
        signs.append((bool((values > 0).any()), bool((values < 0).any())))
    truth[name] = "minimum" if all(s == (True, False) for s in signs) else "maximum" if all(
        s == (False, True) for s in signs) else "saddle"  # fmt: skip
decided = {name: kind[name] == truth[name] for name in ("x^2 + 2 y^2", "-x^2 - 2 y^2", "x^2 - y^2")}
# "Inconclusive" is right where two functions with these signs of eigenvalues differ in kind: x^2 + y^4 and x^2 + y^3.
open_case = kind["x^2 + y^4"] == kind["x^2 + y^3"] == "inconclusive" and truth["x^2 + y^4"] != truth["x^2 + y^3"]
# The printed fourth case also covers both signs with a zero between: there the kind is never in doubt.
too_wide = truth["x^2 - y^2 + z^4"] == "saddle"

# %% tags=["nbval-check-output"]
ch.claim(
    "saddle-classification",
    value={"by eigenvalues": kind, "by the function": truth},
    holds=(all(decided.values()) and open_case) and ("partly" if too_wide else True),
)
spectrum = torch.linalg.eigvalsh(hessian(cases["x^2 - y^2 + z^4"][0], torch.zeros(3, **f64)))
ch.claim(
    "erratum-saddle-rule",
    value={"eigenvalues": spectrum.tolist(), "kinds": [truth["x^2 - y^2 + z^4"], truth["x^2 + z^4"]]},
    holds=torch.allclose(spectrum, vector(-2, 0, 2)) and too_wide and truth["x^2 + z^4"] == "minimum",
)

# %% [markdown]
# The condition "and none zero" is superfluous: along the two eigenvectors of opposite sign the function goes up and down,
# whatever it does elsewhere. `classify` calls such a point a degenerate saddle. The monkey saddle $x^3-3xy^2$, on the other
# hand, has no curvature at all; three valleys leave it, and only third derivatives see them.

# %%
angle = (torch.arange(720, **f64) + 0.5) * 2 * math.pi / 720
circle = 1e-3 * torch.stack([angle.cos(), angle.sin()], -1)
around = monkey_saddle(circle)
changes = int((around.sign() != around.roll(1).sign()).sum())
monkey_hessian = hessian(monkey_saddle, vector(0, 0))
monkey_kind = KINDS[classify(torch.linalg.eigvalsh(monkey_hessian))]

# %% tags=["nbval-check-output"]
ch.claim(
    "monkey-inconclusive",
    value={"norm of the Hessian": monkey_hessian.norm().item(), "sign changes on a circle": changes},
    holds=monkey_hessian.norm().item() == 0 and monkey_kind == "inconclusive" and changes == 6,
)

# %% mystnb={"figure": {"name": "fig-01-saddles", "caption": "A saddle with curvatures of both signs (left) and the monkey saddle (right), where the Hessian vanishes. Purple above zero, orange below."}, "image": {"alt": "Two surfaces: a riding saddle with two valleys and a monkey saddle with three valleys and three ridges."}} tags=["hide-input"]
if ch.plots:
    fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained", subplot_kw={"projection": "3d"})
    axis = torch.linspace(-1, 1, 41, **f64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    surfaces = (("$x_1^2 - x_2^2$", lambda x: quadratic(x, [2.0, -2.0])), ("$x_1^3 - 3 x_1 x_2^2$", monkey_saddle))
    for ax, (title, fun) in zip(axes, surfaces):
        ax.plot_surface(
            grid[..., 0].numpy(),
            grid[..., 1].numpy(),
            fun(grid).numpy(),
            cmap="PuOr",
            rstride=1,
            cstride=1,
            edgecolor="none",
        )
        ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", zlabel="f", xticks=[-1, 0, 1], yticks=[-1, 0, 1])

# %% [markdown]
# ## Ill-conditioning
#
# On a long valley a gradient step that is safe for the steep direction is small for the flat one. With step sizes just
# below the limit $2/L$ the steep coordinate changes sign at every step: the zigzag of the lecture's picture. The
# lecture's remedy is a step size of its own for each direction: it helps if the valley lies along the axes.

# %%
scales = vector(1.0, 100.0)
turn = vector(1.0, -1.0, 1.0, 1.0).reshape(2, 2) / math.sqrt(2)


def steps_needed(matrix, scale, *rates):
    """Fewest iterations of x <- x - lr scale * grad until |gradient| < 1e-6 on the quadratic of a matrix."""

    def scaled(x, t):
        return (x @ matrix) * scale

    path = descend(None, torch.ones(len(rates), 2, **f64), "sgd", vector(*rates), 4000, grad=scaled).x
    small = (path @ matrix).norm(dim=-1) < 1e-6
    return int(torch.where(small.any(0), small.int().argmax(0), 4000).min())


straight, turned = torch.diag(scales), turn @ torch.diag(scales) @ turn.T
counts = {}
for name, matrix in (("aligned", straight), ("rotated", turned)):
    plain = steps_needed(matrix, vector(1.0, 1.0), *(c / 100 for c in (1.0, 1.5, 1.9, 1.98)))
    diagonal = 1 / matrix.diagonal()
    stable = 2 / torch.linalg.eigvals(torch.diag(diagonal) @ matrix).real.max().item()
    counts[name] = {"plain": plain, "diagonal": steps_needed(matrix, diagonal, 0.9, 0.99 * stable)}
zigzag = descend(lambda x: quadratic(x, scales), vector(1.0, 1.0), "sgd", 1.9 / 100, 200).x[:, 1]
flips = (zigzag[1:] * zigzag[:-1] < 0).double().mean().item()
gain = {name: row["plain"] / row["diagonal"] for name, row in counts.items()}
# 4,000 stands for a run that never arrived; and signs flip in a run that blows up as well.
arrived = max(max(row.values()) for row in counts.values()) < 4000 and zigzag[-1].abs().item() < 1e-6

# %% tags=["nbval-check-output"]
ch.claim(
    "conditioning-zigzag",
    value={"sign changes": flips, "iterations": counts},
    holds=(arrived and flips > 0.9 and gain["aligned"] > 10) and (True if gain["rotated"] > 10 else "partly"),
)

# %% mystnb={"figure": {"name": "fig-01-zigzag", "caption": "Gradient descent (step size 1.9/L) and diagonally scaled steps on a quadratic of condition number 20, aligned with the axes (left) and rotated by 45 degrees (right), where the diagonal is blind."}, "image": {"alt": "Two contour plots with elongated ellipses; zigzag paths of gradient descent; the scaled path goes straight to the centre on the left and zigzags on the right."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.3)
    mild = torch.diag(vector(1.0, 20.0))
    for ax, (name, matrix) in zip(axes, (("aligned", mild), ("rotated", turn @ mild @ turn.T))):
        axis = torch.linspace(-1.3, 1.3, 121, **f64)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
        ax.contour(axis, axis, ((grid @ matrix) * grid).sum(-1) / 2, levels=12, cmap="Greys")
        first = vector(1.2, 0.35) if name == "aligned" else turn @ vector(1.2, 0.35)
        for label, scale, lr in (("gradient", vector(1.0, 1.0), 1.9 / 20), ("diagonal", 1 / matrix.diagonal(), 0.9)):
            path = descend(None, first, "sgd", lr, 25, grad=lambda x, t, m=matrix, s=scale: (x @ m) * s).x
            ax.plot(*path.T, "o-", ms=3, lw=1.2, label=label)
        ax.set(title=name, xlabel="$x_1$", ylabel="$x_2$", aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        ax.grid(False)
    axes[0].legend(loc="lower right", frameon=True)

# %% [markdown]
# ## Momentum
#
# A heavy ball rolls through a shallow well that stops gradient descent with the same step size $\eta = 0.05$. In the long run the ball's step
# is $\eta/(1-\rho)$, ten times as long for $\rho = 0.9$; gradient descent with that step size, 0.5, jumps over the well too. So
# momentum is one way out, and a longer step is another. The ball also rolls past minima that it should stop in: the excursion grows
# with $\rho$, and with $\rho = 0.95$ the ball crosses into the better well and comes back.


# %%
def two_wells(x):
    """(x^2 - 1)^2/4 + 0.15 x, (..., 1) -> (...): local minimum at 0.914, global at -1.068."""
    return ((x**2 - 1) ** 2 / 4 + 0.15 * x)[..., 0]


balls = {
    r: descend(two_wells, vector(1.8), rule("heavy-ball", beta1=r) if r else "sgd", 0.05, 1000).x[:, 0]
    for r in (0, 0.9, 0.95)
}
ends = {r: path[-1].item() for r, path in balls.items()}
long_step = descend(two_wells, vector(1.8), "sgd", 0.05 / (1 - 0.9), 1000).x[:, 0]  # the ball's step in the long run
excursion = {}
for r in (0, 0.5, 0.9, 0.99):
    bowl = descend(lambda x: quadratic(x, [1.0]), vector(1.0), rule("heavy-ball", beta1=r) if r else "sgd", 0.05, 500)
    excursion[r] = max(0.0, -bowl.x.min().item())

# %% tags=["nbval-check-output"]
escapes = abs(ends[0] - 0.914) < 0.01 and abs(ends[0.9] + 1.068) < 0.01
without = abs(long_step[-1].item() + 1.068) < 0.01
ch.claim(
    "momentum-escapes",
    value={"end, step 0.05, by rho": ends, "end of gradient descent, step 0.5": long_step[-1].item()},
    holds=("partly" if without else True) if escapes else False,
)
rises = excursion[0] == 0 and excursion[0] <= excursion[0.5] + 1e-6 < excursion[0.9] < excursion[0.99]
returns = balls[0.95].min().item() < -0.9 and abs(ends[0.95] - 0.914) < 0.01
ch.claim("momentum-overshoots", value={"excursion": excursion, "end": ends[0.95]}, holds=rises and returns)

# %% mystnb={"figure": {"name": "fig-01-wells", "caption": "Position against step on a function with two wells, from the same start, step size 0.05 unless said otherwise: gradient descent stops in the nearer, shallower one; the heavy ball with 0.9 reaches the deeper one, as gradient descent with step size 0.5 does; with 0.95 it overshoots both ways and ends where gradient descent with the short step does."}, "image": {"alt": "Four curves of position against step, with dotted lines at the two minima; the one of gradient descent with the long step is at the deeper minimum almost at once."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure()
    for r, path in balls.items():
        ax.plot(path[:250], label=f"rho = {r}" if r else "gradient descent")
    ax.plot(long_step[:250], ls="--", label="gradient descent, step 0.5")
    for level in (0.914, -1.068):
        ax.axhline(level, color="0.6", ls=":", lw=1)
    ax.set(xlabel="step", ylabel="position x")
    ax.legend(loc="upper right", ncols=2)
    ax.set_ylim(-2.0, 2.8)

# %% [markdown]
# ## Beyond the review: which minimum does an optimizer choose?
#
# All points of the hyperbola have the same loss and different sharpness $2(w_1^2+w_2^2)$. Six rules start at the same
# point; the figure shows where each ends. Gradient descent conserves $w_1^2 - w_2^2$ in the limit of small steps, so
# it cannot move along the valley. The heavy ball swings across it and loses the difference, SGDM half of it; rules that scale the two
# coordinates separately take roughly equal steps in both. Heavy ball runs at a fifth of the step size.
# The slider changes the step size, and at its end adds noise to the gradient; in JupyterLab, call `draw` with other
# values.


# %%
def final_paths(rates=(0.02,), noises=(0.0,), steps=2000):
    """Paths (steps + 1, K, 2) of six rules on the product loss from (2.8, 1.6), for K step sizes and noises."""
    found, lr, noise = {}, vector(*rates), vector(*noises)[:, None]
    for name in ("sgd", "heavy-ball", "sgdm", "adagrad", "rmsprop", "adam"):
        source = ch.generator(20)

        def grad(x, t, source=source):
            slope = -2 * (1 - x.prod(-1, keepdim=True)) * x.flip(-1)
            return slope + noise * torch.randn(2, generator=source, **f64)

        small = lr / 5 if name == "heavy-ball" else lr
        found[name] = descend(None, vector(2.8, 1.6).expand(len(lr), 2), name, small, steps, grad=grad).x
    return found


def draw(lr=0.02, noise=0.0, paths=None):
    """Trajectories on the contours, end points coloured by sharpness."""
    fig, ax = figure(height=4.4)
    axis_x, axis_y = torch.linspace(-0.4, 3.2, 161, **f64), torch.linspace(-0.6, 2.4, 161, **f64)
    grid = torch.stack(torch.meshgrid(axis_x, axis_y, indexing="xy"), -1)
    ax.contourf(axis_x, axis_y, product_loss(grid).clamp(max=6), levels=24, cmap="Greys")
    ax.grid(False)
    final = {}
    for name, path in (paths or {n: x[:, 0] for n, x in final_paths((lr,), (noise,)).items()}).items():
        ax.plot(*path.T, lw=1.4, label=name)
        final[name] = path[-1]
    where = torch.stack(list(final.values()))
    colours = 2 * where.square().sum(-1)
    norm = LogNorm(4, 32)
    marks = ax.scatter(*where.T, c=colours, s=70, cmap=SEQUENTIAL, norm=norm, edgecolor="white", zorder=3)
    bar = fig.colorbar(marks, ax=ax, label="sharpness at the end")
    bar.set_ticks([4, 6, 8, 12, 16, 24, 32], labels=["4", "6", "8", "12", "16", "24", "32"])
    bar.minorticks_off()
    ax.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal", xlim=(-0.4, 3.2), ylim=(-0.6, 2.4))
    ax.legend(loc="lower left", frameon=True, fontsize=8)
    return fig


settings = {f"{lr:g}": (lr, 0.0) for lr in (0.02, 0.05, 0.1)} | {"0.02 with unit noise": (0.02, 1.0)}
paths = final_paths(*zip(*settings.values()))
ended = {name: x[-1, 0] for name, x in paths.items()}
sharp = {name: round(2 * x.square().sum().item(), 2) for name, x in ended.items()}

# %% tags=["hide-input"]
if ch.plots:
    from IPython.display import display

    from litrepro.plotting import frames

    alt = (
        "Contours with a curved valley and six paths from one start to different places along it, end points coloured."
    )
    shown = {
        key: draw(*each, {name: x[:, k] for name, x in paths.items()}) for k, (key, each) in enumerate(settings.items())
    }
    display(frames(shown, label="step size", alt=alt, name="choice-of-minimum"))

# %% [markdown]
# *Six rules from one start on the loss of two weights. They reach different points of zero loss: the sharpness at the
# end is a property of the optimizer, not of the loss. At 0.1 the heavy ball leaves the frame and ends in the opposite
# valley.*

# %%
import pandas as pd

pd.DataFrame(
    {
        "sharpness at the end": sharp,
        "w1^2 - w2^2 at the end": {n: round((x[0] ** 2 - x[1] ** 2).item(), 2) for n, x in ended.items()},
    }
)

# %% [markdown]
# ## Takeaway
#
# Saddles are where curvatures have both signs, and a zero among the others changes nothing. Valleys of equal loss are not
# isolated minima, so theorems on strict saddles leave out even this smallest of networks. Momentum trades one failure
# (stopping too early) for another (not stopping), as a longer step does, and the cure for ill-conditioning by step sizes per coordinate depends
# on the coordinates.
