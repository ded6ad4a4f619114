# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Leaving a saddle
#
# In high dimension nearly every stationary point is a saddle. Gradient descent does not stop at saddles, in theory;
# started exactly on one it does not move at all, and near one it is slow. The review collects methods that leave saddles
# provably and fast. Here each of them starts *on* a saddle, 64 trials at once.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import functools
import itertools
import math

import torch

from litrepro import Chapter
from litrepro.landscape import gradient, hessian, monkey_saddle, quartic_saddle
from litrepro.optim import (
    descend,
    negative_curvature,
    newton_descent,
    noisy_descent,
    pagd_constants,
    perturbed_agd,
    perturbed_gd,
    psgd_constants,
)
from litrepro.solvers import power_law

ch = Chapter("03-escaping-saddle-points", notebook="saddles", profile=profile, seed=seed, full_minutes=2)
trials = ch.pick(quick=64, full=4096, smoke=8)
draws = ch.pick(quick=200_000, full=20_000_000, smoke=20_000)
dimensions = ch.pick(quick=[10, 100, 1000, 10_000], full=[10, 100, 1000, 10_000, 100_000], smoke=[10, 100])
ch.require(len(set(dimensions)) > 1, "dimensions needs two of them: a slope is fitted")
f64 = {"dtype": torch.float64, "device": ch.device}


def first_step(path, reached):
    """Step of the first record at which ``reached (K, ...)`` holds, inf where it never does."""
    step = path.t[reached.int().argmax(0).cpu()].double()
    return torch.where(reached.any(0).cpu(), step, torch.inf)


# %% [markdown]
# ## Saddles are everywhere
#
# The Hessian at a random stationary point, in the simplest model, is a random symmetric matrix. The probability that all
# its eigenvalues are positive is known for small sizes: $1/2$, $(2-\sqrt 2)/4$, $(\pi - 2\sqrt 2)/(4\pi)$. It falls even
# faster than exponentially, like $3^{-n^2/4}$.

# %%
exact = {1: 1 / 2, 2: (2 - math.sqrt(2)) / 4, 3: (math.pi - 2 * math.sqrt(2)) / (4 * math.pi)}
sizes = [1, 2, 3, 4, 5]
positive = {}
for n in sizes:
    g = torch.randn(draws // 2, n, n, generator=ch.generator(n), dtype=torch.float64).to(ch.device)
    # Eigenvalues have the signs of the pivots of Gaussian elimination (Sylvester's law of inertia).
    rest, pivots = (g + g.mT) / 2, []
    for _ in range(n):
        pivots.append(rest[:, 0, 0])
        rest = rest[:, 1:, 1:] - rest[:, 1:, :1] * rest[:, :1, 1:] / rest[:, :1, :1]
    signs = torch.stack(pivots).sign().mean(0)
    # Both a matrix and its negative are draws of the ensemble: two draws for one.
    positive[n] = (signs.abs() == 1).double().mean().item() / 2
rate = {n: -math.log(p) / n**2 for n, p in positive.items() if p > 0}

# %% tags=["nbval-check-output"]
near = max(abs(positive[n] - exact[n]) for n in exact)
falling = all(rate[a] > rate[b] for a, b in itertools.pairwise(sizes) if b in rate)
ch.claim(
    "saddles-proliferate",
    value={"P(all positive)": positive, "-log P / n^2": rate},
    holds=near < 0.003 and falling and min(rate.values()) > math.log(3) / 4,
)

# %% [markdown]
# ## Gradient descent on the stable manifold, and off it
#
# Gradient descent converges to a saddle only from its stable manifold, a set of measure zero {cite}`lee2016gradient`. The
# test function $\tfrac12\sum_{j<d} x_j^2 - \tfrac12 x_d^2 + \tfrac14 x_d^4$ has its saddle at 0, its minima at
# $x_d = \pm 1$ with value $-1/4$, and $x_d = 0$ as stable manifold. (The review has it the other way round: it says that
# a component *outside* the positive eigenspace makes gradient descent converge to the saddle.)

# %%
d = 5
starts = torch.randn(trials, d, generator=ch.generator(10), dtype=torch.float64).to(ch.device)
on_manifold = starts.clone()
on_manifold[:, -1] = 0.0
hair = on_manifold.clone()
hair[:, -1] = 1e-12
together = descend(quartic_saddle, torch.stack([starts, on_manifold, hair]), "sgd", 0.1, 600, record_every=600).x[-1]
ends = dict(zip(("random start", "on the manifold", "1e-12 off it"), together))
minimum = torch.eye(d, **f64)[-1]  # and its mirror image
left = {name: ((x.abs() - minimum).norm(dim=-1) < 1e-6).double().mean().item() for name, x in ends.items()}
settled = (ends["on the manifold"].norm(dim=-1) < 1e-6).double().mean().item()

# %% tags=["nbval-check-output"]
shares = {"at a minimum": left, "on the manifold, at the saddle": settled}
ch.claim("gd-avoids-saddles", value=shares, holds=left["random start"] == 1 and settled == 1)
ch.claim("erratum-stable-manifold", value=shares, holds=left["1e-12 off it"] == 1 and settled == 1)

# %% [markdown]
# ## Who leaves, and how fast
#
# All methods from the exact saddle, 500 steps.

# %%
saddle = torch.zeros(trials, d, **f64)
common = {"lr": 0.1, "steps": 500, "generator": ch.generator(11)}
runs = {
    "gradient descent": descend(quartic_saddle, saddle, "sgd", 0.1, 500),
    "noisy GD": noisy_descent(quartic_saddle, saddle, radius=0.01, **common),
    "PSGD": noisy_descent(quartic_saddle, saddle, radius=0.01, kind="gaussian", **common),
    "PGD": perturbed_gd(quartic_saddle, saddle, radius=0.01, g_thres=0.01, t_thres=100, **common),
    "PAGD": perturbed_agd(
        quartic_saddle, saddle, radius=0.01, g_thres=0.01, t_thres=100, theta=0.2, gamma=0.4, s=0.1, **common
    ),
    "Saddle-NGD": noisy_descent(
        quartic_saddle, saddle, radius=0.5, kind="gaussian", every=20, normalize=True, **(common | {"lr": 0.01})
    ),
}
escaped = {name: (path.f.min(0).values <= -0.24).double().mean().item() for name, path in runs.items()}
when = {name: first_step(path, path.f <= -0.2).median().item() for name, path in runs.items()}

# %% tags=["nbval-check-output"]
ch.claim(
    "noise-escapes",
    value=escaped,
    holds=escaped["gradient descent"] == 0
    and all(p >= 0.95 for name, p in escaped.items() if name != "gradient descent"),
)

# %% mystnb={"figure": {"name": "fig-03-leave", "caption": "Median objective of 64 trials that start exactly on a saddle; bands between quartiles. Gradient descent never moves; a little noise is enough for the others (noisy GD lies under PSGD), and momentum (PAGD) gets away several times earlier."}, "image": {"alt": "Objective against step: a flat line at zero for gradient descent; five falling curves that reach the minimum -0.25, PAGD first."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import band, figure

    fig, ax = figure()
    for name, path in runs.items():
        low, middle, high = torch.quantile(path.f, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64), dim=1)
        band(path.t, middle, low, high, ax=ax, label=name)
    ax.set(xlabel="step", ylabel="objective", xlim=(0, 400))
    ax.legend()

# %% [markdown]
# ## The escape time hardly depends on the dimension
#
# Uniform noise in a ball puts only $r/\sqrt d$ into the one direction that matters, and the gradient amplifies it
# exponentially: the time grows like $\log d$ {cite}`jin2017escape`.

# %%
by_dimension = {}
for size in dimensions:
    x = torch.zeros(16, size, **f64)
    path = perturbed_gd(
        quartic_saddle,
        x,
        lr=0.1,
        steps=200,
        radius=0.01,
        g_thres=0.01,
        t_thres=300,
        generator=ch.generator(12),
        record_every=2,
    )
    by_dimension[size] = first_step(path, path.f <= -0.2).median().item()
logs = [(math.log(a), math.log(b)) for a, b in by_dimension.items()]
slope_d = (logs[-1][1] - logs[0][1]) / (logs[-1][0] - logs[0][0])

# %% tags=["nbval-check-output"]
# Noise of size r in every coordinate would leave in the same time in any dimension: the logarithm has to show.
ch.claim("pgd-dimension-free", value={"median steps": by_dimension, "slope": slope_d}, holds=0.02 <= slope_d < 0.15)

# %% [markdown]
# The draws from which descent is stuck form a thin band around the stable manifold. Its thickness halves every
# $\log 2/\log(1+\eta\gamma)$ steps, so that waiting twice as long makes the stuck part of the ball far smaller.

# %%
ball = 0.1 * torch.nn.functional.normalize(
    torch.randn(4096, 10, generator=ch.generator(13), dtype=torch.float64), dim=-1
)
ball = (ball * torch.rand(4096, 1, generator=ch.generator(14), dtype=torch.float64) ** 0.1).to(ch.device)
from_ball = descend(quartic_saddle, ball, "sgd", 0.1, 80, record_every=40)
stuck = {int(t): (f > -0.1).double().mean().item() for t, f in zip(from_ball.t, from_ball.f)}

# %% tags=["nbval-check-output"]
thinner = stuck[40] / max(stuck[80], 1e-9) / 1.1**40  # against 40 steps of growth by 1 + lr gamma
ch.claim("pgd-stuck-band", value=stuck, holds=stuck[0] == 1 and 0.5 < thinner < 2)

# %% mystnb={"figure": {"name": "fig-03-band", "caption": "Steps that gradient descent needs to leave the neighbourhood of a saddle, by starting point in the plane of one stable and the unstable direction. The stuck region is a band along the stable manifold; the circle is the ball from which a perturbation is drawn."}, "image": {"alt": "Heat map of escape times: a narrow bright horizontal band of long times in the middle, short times above and below; a circle drawn around the centre."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import SEQUENTIAL

    axis = torch.linspace(-0.15, 0.15, 121, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).to(ch.device)
    path = descend(quartic_saddle, grid, "sgd", 0.1, 80)
    times = first_step(path, path.f <= -0.1).clamp(max=80)
    fig, ax = figure(height=4.2)
    mesh = ax.pcolormesh(axis, axis, times, cmap=SEQUENTIAL, shading="nearest")
    angle = torch.linspace(0, 2 * math.pi, 200)
    ax.plot(0.1 * angle.cos(), 0.1 * angle.sin(), color="white", lw=1.5)
    ax.set(xlabel="stable direction", ylabel="unstable direction", aspect="equal")
    ax.grid(False)
    fig.colorbar(mesh, ax=ax, label="steps until f < -0.1 (80: longer)")

# %% [markdown]
# ## Momentum
#
# Away from a saddle of curvature $-\gamma$ gradient descent grows like $(1+\eta\gamma)^t$, the heavy ball like the larger
# root of $z^2 - (1+\beta+\eta\gamma) z + \beta$. The flatter the saddle, the larger the gain. Both have step 0.1; with
# $\beta = 0.9$ the heavy ball's effective step is ten times as long, and that is where the gain ends. Gradient descent with
# a tenfold step would be faster still here: 35, 145 and 698 steps at curvature 0.5, 0.1 and 0.02, the heavy ball needs 78,
# 226 and 811.
#
# Perturbed accelerated descent {cite}`jin2018accelerated` adds a step that exploits negative curvature when its energy
# $f + |v|^2/(2\eta)$ could rise. Its theorem has the step size $1/(4L)$, that of perturbed gradient descent is of order $1/L$. Each
# therefore gets a step size of its own, in that proportion, and both the same perturbations ($L=1$ around the saddle).

# %%
lr, curvatures = 0.1, (0.5, 0.1, 0.02)
steps_needed, closed = {c: {} for c in curvatures}, {}
for curvature in curvatures:
    root = 1.9 + lr * curvature
    fast = (root + math.sqrt(root**2 - 3.6)) / 2
    closed[curvature] = {"GD": math.log(1e6) / math.log(1 + lr * curvature), "HB": math.log(1e6) / math.log(fast)}
pull = torch.tensor(curvatures, **f64)[:, None]
for name, method, step, most in (
    ("GD", "sgd", lr, 8000),
    ("HB", "heavy-ball", lr, 2000),
    ("GD, tenfold step", "sgd", 10 * lr, 2000),
):
    path = descend(None, torch.full((len(pull), 1), 1e-6, **f64), method, step, most, grad=lambda x, t: -pull * x)
    steps_needed |= {
        c: steps_needed[c] | {name: count}
        for c, count in zip(curvatures, first_step(path, path.x[..., 0].abs() >= 1).tolist())
    }
gain = {c: row["GD"] / row["HB"] for c, row in steps_needed.items()}
as_fast = any(row["GD, tenfold step"] <= row["HB"] for row in steps_needed.values())
off = max(abs(steps_needed[c][m] / closed[c][m] - 1) for c in closed for m in ("GD", "HB"))


# %%
def leaving(curvature, slow, fast):
    """Median steps of PGD with step size ``slow`` and PAGD with ``fast`` to leave a saddle, same perturbations."""
    steps, theta = min(int(4 / (fast * curvature)), 500), math.sqrt(curvature) / 4
    options = {"steps": steps, "t_thres": steps, "radius": 0.01, "g_thres": 0.005}
    momentum = {"theta": theta, "gamma": theta**2 / fast, "s": theta**2 / fast / 4}
    bowl, x = functools.partial(quartic_saddle, curvature=curvature), torch.zeros(128, d, **f64)
    paths = {
        "PGD": perturbed_gd(bowl, x, lr=slow, generator=ch.generator(15), **options),
        "PAGD": perturbed_agd(bowl, x, lr=fast, generator=ch.generator(15), **momentum, **options),
    }
    return {name: first_step(path, path.f <= -0.2 * curvature**2).median().item() for name, path in paths.items()}


own = ((0.5, 0.125), (1.0, 0.25))  # the smoothness is 1
escape = {steps: {curvature: leaving(curvature, *steps) for curvature in (0.5, 0.1, 0.02)} for steps in own}
ratio = {steps: {c: row["PGD"] / row["PAGD"] for c, row in rows.items()} for steps, rows in escape.items()}

# %% tags=["nbval-check-output"]
ch.claim(
    "heavy-ball-faster",
    value={"steps": steps_needed, "largest deviation from the closed form": off},
    holds=gain[0.5] > 3 and gain[0.1] > 5 and gain[0.02] > 7 and off < 0.06 and ("partly" if as_fast else True),
)

# %% [markdown]
# The ratio of perturbed descent to its accelerated version, for both pairs of step sizes:

# %% tags=["nbval-check-output"]
grows = all(row[0.1] > 1.2 * row[0.5] and row[0.02] > max(1.2 * row[0.1], 1) for row in ratio.values())
ahead = all(min(row.values()) > 1 for row in ratio.values())
ch.claim(
    "pagd-faster",
    value={f"step sizes {steps}": {"median steps": escape[steps], "ratio": ratio[steps]} for steps in own},
    holds=grows and (ahead or "partly"),
)

# %% [markdown]
# PAGD's lead over PGD grows as the saddle flattens, from curvature 0.5 over 0.1 to 0.02: with step sizes 0.5 and 0.125 PGD takes
# 1.1, 1.6 and 2.6 times the steps. With 1 and 1/4, that is $1/L$ and $1/(4L)$, it takes 0.6, 0.9 and 1.2 times: there
# PAGD is ahead at the flattest saddle alone.

# %%
constants = pagd_constants(smoothness=4.0, hessian_lipschitz=6.0, eps=0.05, delta=0.1, gap=1.0, dim=d)
energy_rise = {}
for name, x0 in (("near the saddle", 0.05 * starts[:16]), ("far away", starts[:16].clamp(-1.1, 1.1))):
    named = {key: constants[key] for key in ("lr", "theta", "gamma", "s", "t_thres")}
    path = perturbed_agd(quartic_saddle, x0, steps=400, radius=0.0, g_thres=0.05, **named)
    v = path.x.diff(dim=0) * ~path.events["resets"][..., None]
    energy = path.f[1:] + v.square().sum(-1) / (2 * constants["lr"])
    before = torch.cat([path.f[:1], energy[:-1]])
    energy_rise[name] = {
        "largest rise": (energy - before).max().item(),
        "resets": int(path.events["exploitations"].sum()),
        "smallest descent": (path.f[0] - path.f[-1]).min().item(),
    }

# %% tags=["nbval-check-output"]
ch.claim(
    "hamiltonian",
    value=energy_rise,
    holds=all(row["largest rise"] < 1e-12 for row in energy_rise.values())
    and any(row["resets"] > 0 for row in energy_rise.values())
    and all(row["smallest descent"] > 0 for row in energy_rise.values()),
)

# %% [markdown]
# The pseudo-code of the exploitation step prints the argmin over the *interval* between $x \pm \delta$ and resets the
# velocity in one branch only. On the concave segment the minimum over the interval is at an end point, so that the first
# slip does no harm where the step applies. The second does: a trial that is fast enough ($|v| \ge s$) keeps its point, and
# as printed its velocity is not reset. The velocity settles, and the point never moves again.


# %%
def accelerated(x, reset, *, lr=0.1, theta=0.2, gamma=0.4, s=0.01, steps=600):
    """Accelerated descent with the branch |v| >= s of the exploitation step alone, the velocity reset there or kept."""
    v = torch.zeros_like(x)
    for _ in range(steps):
        y = x + (1 - theta) * v
        slope = gradient(quartic_saddle, y)
        tangent = quartic_saddle(y) + (slope * (x - y)).sum(-1)
        concave = quartic_saddle(x) <= tangent - gamma / 2 * (x - y).square().sum(-1)
        keep = (concave & (v.norm(dim=-1) >= s))[..., None]
        new = y - lr * slope
        v, x = torch.where(keep, 0 * v if reset else v, new - x), torch.where(keep, x, new)
    return quartic_saddle(x)


ends_lower = {name: accelerated(0.05 * starts, reset) for name, reset in (("reset", True), ("as printed", False))}
span = {name: [f.min().item(), f.max().item()] for name, f in ends_lower.items()}

# %% tags=["nbval-check-output"]
ch.claim("erratum-exploitation", value=span, holds=span["reset"][1] < -0.2499 and span["as printed"][0] > -0.1)

# %% [markdown]
# ## Where the bracket belongs
#
# Equations 2 and 3 print $\ell f(x_0) - f^*$ in the numerator of the number of steps, equation 1 has the bracket.
# Multiply the objective by $c$, its tolerance too, and divide the step by $c$; or add a constant: descent visits the
# same points, and a bound has to stay what it is. With the bracket, $\ell\,(f(x_0) - f^*)/\epsilon^2$, it does.

# %%
bound = {}
for name, c, shift in (("as it is", 1.0, 0.0), ("times 100", 100.0, 0.0), ("plus 10", 1.0, 10.0)):

    def changed(x, c=c, shift=shift):
        """The same landscape in other units, or lifted."""
        return c * quartic_saddle(x) + shift

    path = descend(changed, starts.clamp(-1, 1), "sgd", 0.1 / c, 300)
    slopes = gradient(changed, path.x).norm(dim=-1)
    smooth, value, lowest_value, eps = 2 * c, path.f[0].mean().item(), shift - c / 4, 0.01 * c
    bound[name] = {
        "median steps": first_step(path, slopes <= eps).median().item(),
        "printed": (smooth * value - lowest_value) / eps**2,
        "with the bracket": smooth * (value - lowest_value) / eps**2,
    }

# %% tags=["nbval-check-output"]
spread = {key: max(r[key] for r in bound.values()) / min(r[key] for r in bound.values()) for key in bound["as it is"]}
ch.claim(
    "erratum-bracket",
    value=bound,
    holds=spread["median steps"] == 1 and spread["with the bracket"] < 1 + 1e-9 and spread["printed"] > 2,
)

# %% [markdown]
# ## Stochastic gradients
#
# The rate $\epsilon^{-4}$ for SGD to reach a small gradient is an upper bound: a measurement can refute it, not confirm
# it. We count the iterations until the running mean of $|\nabla f|^2$ is below $\epsilon^2$.


# %%
def iterations(eps, sigma=0.25, most=100_000):
    """Median over trials of the steps that SGD needs on a bumpy function of two variables (smoothness 1)."""
    noise_source, chunk = ch.generator(16), 100
    x = torch.full((trials, 2), 1.0, dtype=torch.float64)
    step = 1 / (1 + sigma**2 / eps**2)
    total, reached = torch.zeros(trials, dtype=torch.float64), torch.full((trials,), torch.inf, dtype=torch.float64)
    slopes = torch.empty(chunk, trials, 2, dtype=torch.float64)
    for done in range(0, most, chunk):
        kicks = sigma / math.sqrt(2) * torch.randn(slopes.shape, generator=noise_source, dtype=torch.float64)
        for slope, kick in zip(slopes, kicks):
            torch.sin(x, out=slope)
            x = x - step * (slope + kick)
        totals = total + slopes.square().sum(-1).cumsum(0)
        count = torch.arange(done + 1, done + chunk + 1, dtype=torch.float64)
        small = totals / count[:, None] <= eps**2
        total = totals[-1]
        reached = torch.where(small.any(0), reached.minimum(count[small.int().argmax(0)]), reached)
        if int(torch.isfinite(reached).sum()) > trials // 2:  # the median is known
            break
    return reached.median().item()


# %%
tolerances = [0.5 * 10 ** (-k / 5) for k in range(6)]
needed = {eps: iterations(eps) for eps in ch.progress(tolerances, "tolerances")}
slope_eps = power_law([1 / eps for eps in needed], list(needed.values())).exponent.item()

# %% tags=["nbval-check-output"]
ch.claim(
    "sgd-first-order",
    value={"iterations": needed, "slope": slope_eps},
    holds=2 < slope_eps <= 4.3,
)

# %% [markdown]
# A small gradient may be that of a saddle. With noise that never leaves the stable manifold SGD stays at the saddle; the
# perturbation of PSGD, of the size that its theorem asks for, brings it down.

# %%
c2 = psgd_constants(smoothness=2.0, hessian_lipschitz=6.0, eps=0.1, sigma=0.3, dim=d)
kick = ch.generator(17)


def one_sided(x, t):
    """The gradient with noise in the first coordinate only: it never leaves the stable manifold."""
    g = torch.cat([x[..., :-1], -x[..., -1:] + x[..., -1:] ** 3], -1)
    g[..., 0] += 0.3 * torch.randn(x.shape[:-1], generator=kick, dtype=torch.float64).to(x)
    return g


# %%
stochastic = {
    name: noisy_descent(
        quartic_saddle, saddle, lr=c2["lr"], steps=2000, radius=radius, kind="gaussian", grad=one_sided,
        generator=ch.generator(18), record_every=2000,
    )
    for name, radius in (("SGD", 0.0), ("PSGD", c2["radius"]))
}  # fmt: skip
on_axis = (stochastic["SGD"].x[-1, :, -1] == 0).double().mean().item()
shaken = (stochastic["SGD"].x[-1, :, 0] != 0).double().mean().item()  # a run that does not move stays there as well
down = (
    quartic_saddle(torch.cat([torch.zeros_like(saddle[:, :-1]), stochastic["PSGD"].x[-1, :, -1:]], -1)) <= -0.2
).double()

# %% tags=["nbval-check-output"]
ch.claim(
    "psgd-second-order",
    value={"SGD still on the axis": on_axis, "SGD moved by its noise": shaken, "PSGD at a minimum": down.mean().item()},
    holds=on_axis == 1 and shaken == 1 and down.mean().item() >= 0.95,
)

# %% [markdown]
# ## Curvature, and what it does not see
#
# Newton's method is attracted by saddles; dividing by $|\lambda|$ instead of $\lambda$ turns them into repellers
# {cite}`dauphin2014identifying`. Gradient differences alone find a direction of negative curvature
# {cite}`xu2018first`. But at a degenerate saddle, such as the monkey saddle, the Hessian is zero and all of this is
# blind.

# %%
tilted = torch.full((4, 2), 0.1, **f64)
newton = newton_descent(quartic_saddle, tilted, 20, kind="newton")
free = newton_descent(quartic_saddle, tilted, 20)
ends_at = {"Newton": newton.x[-1].norm(dim=-1).max().item(), "saddle-free": free.f[-1].max().item()}

n = 30
raw = torch.randn(8, n, n, generator=ch.generator(19), dtype=torch.float64).to(ch.device)
goe = (raw + raw.mT) / (2 * math.sqrt(n))
lowest = torch.linalg.eigvalsh(goe)[:, 0]
_, found = negative_curvature(
    lambda x: 0.5 * torch.einsum("ki,kij,kj->k", x, goe, x), torch.zeros(8, n, **f64), radius=0.01, steps=200, lr=0.5,
    generator=ch.generator(20),
)  # fmt: skip
neon_error = ((found - lowest) / lowest).abs().max().item()

# %% tags=["nbval-check-output"]
ch.claim("saddle-free-newton", value=ends_at, holds=ends_at["Newton"] < 1e-9 and ends_at["saddle-free"] < -0.2499)
ch.claim("neon-first-order", value=neon_error, holds=neon_error < 0.01)

# %% [markdown]
# At the origin of the monkey saddle nobody moves; the direction of its largest third derivative leads down, and noise
# leaves it later than a strict saddle.

# %%
origin = torch.zeros(1, 2, **f64)
flat_hessian = hessian(monkey_saddle, origin).abs().max().item()
still = [
    newton_descent(monkey_saddle, origin, 5, kind=kind, damping=1e-3).x[-1].abs().max().item()
    for kind in ("newton", "saddle-free")
]
_, monkey_curvature = negative_curvature(monkey_saddle, origin, radius=1e-3, steps=50, lr=0.1)
angles = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)[:-1]
directions = torch.stack([angles.cos(), angles.sin()], -1)
best = directions[(-monkey_saddle(directions)).argmax()]  # a cubic form: it is its own third derivative
drop = monkey_saddle(1e-2 * best).item()
away = {}
for name, fun in (("monkey", monkey_saddle), ("quartic", quartic_saddle)):
    path = noisy_descent(
        fun, torch.zeros(trials, 2, **f64), lr=0.1, steps=1000, radius=0.02, generator=ch.generator(21)
    )
    away[name] = first_step(path, path.x.norm(dim=-1) >= 0.3).median().item()

# %% tags=["nbval-check-output"]
blind = flat_hessian == 0 and still == [0, 0] and monkey_curvature.abs().max().item() < 1e-3
ch.claim(
    "third-order-needed",
    value={"f along the third-order direction": drop, "median steps to leave": away},
    holds=blind and drop < 0 and away["monkey"] > 3 * away["quartic"],
)

# %% [markdown]
# ## Takeaway
#
# A little noise is all it takes to leave a strict saddle, in a time that hardly depends on the dimension, and momentum
# shortens it further where the saddle is flat enough. The guarantees are about strict saddles: where the Hessian vanishes,
# second-order methods see nothing, and noise takes several times longer.
