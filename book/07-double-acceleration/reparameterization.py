# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Momentum on a reparameterized model
#
# Write $w = w_2\,w_1$, a number times a vector, and train both. The review argues in two steps. Without momentum, the
# product moves *as if* it had an adaptive step and a momentum-like term (equations 14 to 17, after
# {cite:t}`arora2018optimization`). With heavy ball on the factors, the product should then be accelerated twice
# (equations 34 to 52, the review's own). We check the expansions against the exact step, and then the two figures that
# show the effect without momentum.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.linearnets import reparameterized_step, steps_to, train_chains
from litrepro.plotting import counted

ch = Chapter("07-double-acceleration", notebook="reparameterization", profile=profile, seed=seed, full_minutes=2)
seeds = ch.pick(quick=8, full=256, smoke=3)
steps = ch.pick(quick=3000, full=20_000, smoke=200)
d, n = 5, 50


def normal(*shape, offset):
    """Standard normal entries, float64."""
    return torch.randn(shape, generator=ch.generator(offset), dtype=torch.float64)


# %% [markdown]
# ## The expansions
#
# With $G=\nabla f(w)$, $g_2=\langle G, w_1\rangle$ and primes for previous values, one heavy-ball step on the factors is
#
# $$
# \begin{aligned}
# w^+ = w &- \eta_{\text{eff}}\,G + \beta_{\text{eff}}\,(w-w') + \alpha\,(w+w') \\
# &+ \beta(1+\beta)\,v_1v_2 + \eta^2\, w_2\, g_2\, G ,
# \end{aligned}
# $$
#
# exactly, with velocities $v_i = w_i-w_i'$, the step $\eta_{\text{eff}} = \eta\,w_2\big((1+\beta)\,w_2-\beta\,w_2'\big)$,
# $\beta_{\text{eff}} = \beta-\tfrac\eta2 g_2\big(\tfrac{1+\beta}{w_2}+\tfrac{\beta}{w_2'}\big)$ and
# $\alpha = \tfrac\eta2 g_2\big(\tfrac{\beta}{w_2'}-\tfrac{1+\beta}{w_2}\big)$. Equation (44)
# drops the last term, (52) the last two, and (16) has no momentum. We take a random point of a regression with an
# $l_4$ loss, scale the step (and for (52) the velocities with it), and look at the remainders.

# %%
x, target = normal(n, d, offset=1), normal(d, offset=2)


def gradient(w):
    """Gradient of the mean of (x^T (w - target))^4 / 4."""
    r = (w - target) @ x.mT
    return r**3 @ x / n


w1, w2 = normal(d, offset=3), torch.tensor(1.3, dtype=torch.float64)
u1, u2 = normal(d, offset=4), torch.tensor(0.7, dtype=torch.float64)
beta, etas = 0.7, [1e-2, 1e-3, 1e-4]


def remainders(eta):
    """Errors of (16), (44) and (52); velocities are eta times fixed directions."""
    still = reparameterized_step(w1, w2, 0 * u1, 0 * u2, gradient, lr=eta, momentum=0.0)
    moving = reparameterized_step(w1, w2, eta * u1, eta * u2, gradient, lr=eta, momentum=beta)
    fixed = reparameterized_step(w1, w2, 0.1 * u1, 0.1 * u2, gradient, lr=eta, momentum=beta)
    return {
        "(16)": (still.exact - still.first_order).norm().item(),
        "(44)": (fixed.exact - fixed.eq44).norm().item(),
        "(52), velocities of order eta": (moving.exact - moving.eq52).norm().item(),
        "(52), velocities 0.1": (fixed.exact - fixed.eq52).norm().item(),
        "shift of the momentum": abs(fixed.momentum_eff.item() - beta),
    }


# %%
table = pd.DataFrame([{"step": eta} | remainders(eta) for eta in [1e-1, 3e-2, *etas]]).set_index("step")
ch.save("order-of-expansions", table.reset_index())


def spread(name):
    """Relative spread of remainder / eta^2 over two decades."""
    constant = table.loc[etas, name] / table.loc[etas].index.to_numpy() ** 2
    return float(constant.max() / constant.min() - 1)


shift = table.loc[etas, "shift of the momentum"].to_numpy()
decades = (shift[:-1] / shift[1:]).tolist()

# %% tags=["nbval-check-output"]
ch.claim("reparam-first-order", value={"spread": spread("(16)")}, holds=spread("(16)") < 0.01)
orders = {name: spread(name) for name in ("(44)", "(52), velocities of order eta")}
ch.claim("hb-expansion", value=orders, holds=max(orders.values()) < 0.01)
ch.claim(
    "hb-effective-momentum",
    value={"shift": shift.tolist(), "ratio per decade": decades},
    holds=not all(abs(ratio / (a / b) - 1) < 0.05 for ratio, a, b in zip(decades, etas, etas[1:])),
)

# %% mystnb={"figure": {"name": "fig-07-orders", "caption": "Error of the review's expansions of one step against the step size, at a random point, and the shift of the momentum value by reparameterization. Errors of (16) and (44) coincide and fall with the square of the step; so does that of (52) if the velocities shrink with the step, while for given velocities it stays. The shift of the momentum is proportional to the step."}, "image": {"alt": "Log-log plot. Three lines of slope two, one line of slope one for the shift of the momentum, and one horizontal line for equation 52 with fixed velocities."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure(height=3.6)
    for index, name in enumerate(table.columns):
        style = "--" if name.startswith("shift") else "-"
        ax.plot(table.index, table[name], marker="os^Dv"[index], ms=(11, 8, 4, 5, 5)[index], ls=style, label=name)
    ax.set(xscale="log", yscale="log", xlabel="step size", ylabel="distance from the exact step; shift")
    ax.legend(fontsize=8)

# %% [markdown]
# The expansions are right. The conclusion that the review draws from (52), that reparameterization adds momentum, is not
# in them: $\beta_{\text{eff}}-\beta$ is proportional to $\eta g_2$. It vanishes with the step, and it vanishes at the
# minimizer where $g_2=0$. What remains there is $\eta_{\text{eff}}\approx\eta w_2^2$ and, in the direction of $w_1$, the
# $\alpha$-term: a preconditioned *step*, with the momentum untouched.
#
# ## Idea 1, and what the derivation loses on the way
#
# The first route of the review chooses the step so that two coefficients agree (46), then reads (47) as heavy ball with an
# extra momentum term. Three things go wrong: equations (41) to (43) lose the prefactors of the terms they expand (44 has
# them again); the chosen step is not small, whatever the velocities; and the extra term is
# $\approx-2\beta(1+\beta)\,w$, there to cancel what the choice of $\beta'$ put in. First the prefactors, at velocities of
# a tenth.

# %%
v1, v2, eta = 0.1 * u1, 0.1 * u2, 0.01
w, g = w2 * w1, gradient(w2 * w1)
g2, old1, old2 = g @ w1, w1 - v1, w2 - v2
e40 = w - eta * w2**2 * g - eta * g2 * w1
e41 = w - w1 * old2 - eta * w2**2 * g + eta * old2 * w2 * g
e42 = w - old1 * w2 - eta * g2 * w1 + eta * g2 * old1
e43 = w - old1 * w2 - w1 * old2 + old1 * old2
step = reparameterized_step(w1, w2, v1, v2, gradient, lr=eta, momentum=beta)
with_factors = (e40 + beta * e41 + beta * e42 + beta**2 * e43 - step.eq44).norm().item()
without = ((e40 + e41 + e42 + e43 - step.exact).norm() / (step.exact - w).norm()).item()

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-prefactors", value={"with": with_factors, "without": without}, holds=with_factors < 1e-12 and without > 0.1
)

# %% [markdown]
# The step of (46), the increment of (47) beside the exact one, and the extra term, for three sizes of the velocities at 64
# random points.

# %%
small = [1e-2, 1e-3, 1e-4]


def idea_one(size, w1, w2, u1, u2):
    """Step of (46), relative error of the increment of (47), and the extra term against -2 beta (1 + beta) w."""
    v1, v2 = size * u1, size * u2
    old1, old2 = w1 - v1, w2 - v2
    w, old = w2 * w1, old2 * old1
    g = gradient(w)
    g2 = g @ w1
    eta = 2 * beta * (1 + beta) / (((1 + beta) / w2 - beta / old2) * g2)
    prime = -eta * beta * g2 / old2 - beta**2
    extra = -beta * (beta + 1) * (w1 * old2 + old1 * w2)
    by_47 = w + prime * (w - old) - eta * w2 * ((1 + beta) * w2 - beta * old2) * g + extra
    exact = (w1 - eta * w2 * g + beta * v1) * (w2 - eta * g2 + beta * v2)
    cancels = (extra + 2 * beta * (1 + beta) * w).norm() / extra.norm()
    return eta.item(), ((by_47 - exact).norm() / (exact - w).norm()).item(), cancels.item()


points = list(zip(normal(64, d, offset=5), normal(64, offset=6), normal(64, d, offset=7), normal(64, offset=8)))
found = torch.tensor([[idea_one(size, *point) for size in small] for point in points])  # (points, sizes, 3)
chosen, missed, cancelled = found[..., 0], *found[..., 1:].median(0).values.T.tolist()
stays = ((chosen[:, 0] / chosen[:, 2] - 1).abs() < 0.1).double().mean().item()
median_step = chosen.abs().median(0).values.tolist()

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-idea-one",
    value={"share of points where the step stays": stays, "median step of (46)": median_step, "error of (47)": missed},
    holds=stays > 0.8 and median_step[2] > 10 * small[2] and min(missed) > 0.1,
)
ch.claim("erratum-extra-term", value=cancelled, holds=max(cancelled[1:]) < 0.01)

# %% [markdown]
# A velocity is a sum of past gradients, $v_t = -\eta\sum_{i<t}\beta^{t-1-i}\,\nabla_i$. As printed, the sum has one power
# of $\beta$ too many and reaches into the present. Heavy ball on the factors from rest, with everything recorded:


# %%
def recorded_run(count, lr):
    """Gradients and velocities of the vector w1 along heavy ball on both factors from rest."""
    a, b = w1, w2
    va, vb = 0 * w1, torch.zeros((), dtype=torch.float64)
    gradients, velocities = [], []
    for _ in range(count):
        g = gradient(b * a)
        gradients.append(b * g)
        velocities.append(va)
        va, vb = beta * va - lr * b * g, beta * vb - lr * (g @ a)
        a, b = a + va, b + vb
    return gradients, velocities


gradients, velocities = recorded_run(20, 0.01)
sums = {"corrected": 0.0, "printed": 0.0}
for t in range(1, 20):
    right = -0.01 * sum(beta ** (t - 1 - i) * gradients[i] for i in range(t))
    as_printed = -0.01 * sum(beta ** (t - i) * gradients[i] for i in range(t + 1))
    for name, value in (("corrected", right), ("printed", as_printed)):
        sums[name] = max(sums[name], ((value - velocities[t]).norm() / velocities[t].norm()).item())

# %% tags=["nbval-check-output"]
ch.claim("erratum-velocity-index", value=sums, holds=sums["corrected"] < 1e-12 and sums["printed"] > 0.1)

# %% [markdown]
# That sum also says how large a velocity is: under a constant gradient it grows to $\eta/(1-\beta)$ times the gradient.
# So $v_1v_2$ is of order $\eta^2$ for a fixed $\beta<1$, as (51) has it, with a constant that grows as $1/(1-\beta)^2$.
# And the $l_p$ loss of an odd $p$ needs an absolute value, or it has no minimum. We follow the cubic one along a ray.

# %%
rates = torch.tensor([0.0, 0.5, 0.9, 0.99], dtype=torch.float64)
speed = torch.zeros_like(rates)
for _ in range(3000):
    speed = rates * speed - 1.0  # in units of eta times a constant gradient
product = speed**2
scaled = product * (1 - rates) ** 2

rays = torch.logspace(0, 2, 9, dtype=torch.float64)
tilt = (x @ target) ** 3
ray = -target * tilt.mean().sign()
residual = (target + rays[:, None] * ray) @ x.mT - x @ target
printed_loss, right_loss = (residual**3).mean(1) / 3, (residual.abs() ** 3).mean(1) / 3

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-velocity-size",
    value={"v1 v2 / eta^2": product.tolist()},
    holds=(scaled.max() / scaled.min() - 1).item() < 0.01 and (product[-1] / product[0]).item() > 1000,
)
ch.claim(
    "erratum-odd-power",
    value={"printed": printed_loss[-1], "with absolute value": right_loss[-1]},
    holds=printed_loss[-1].item() < -100 and bool((printed_loss.diff() < 0).all()) and bool((right_loss > 0).all()),
)

# %% [markdown]
# ## Does $w_1w_2$ beat $w$? (figure 3)
#
# Noiseless regression with Gaussian data, $d = 5$, $w^*\sim\mathcal N(0, I)$, and the $l_2$ or $l_4$ loss. All start from
# the same $w$ of length 0.01 with the same step, a tenth of the largest at which the plain model converges. How $w$ is
# factored at the start is not said in the review. We try $w_2 = 1$, and a balanced start.

# %%
xs, goals = normal(seeds, n, d, offset=10).to(ch.device), normal(seeds, d, offset=11).to(ch.device)
w0 = normal(seeds, d, offset=12).to(ch.device)
w0 = 0.01 * w0 / w0.norm(dim=1, keepdim=True)


def regression(p):
    """Gradient and loss of the l_p regressions of all seeds, for weights (seeds, ..., d)."""

    def residual(v):
        flat = (v - goals.reshape(seeds, *[1] * (v.ndim - 2), d)).reshape(seeds, -1, d)
        return flat @ xs.mT

    return (
        lambda v: ((residual(v) ** (p - 1)) @ xs / n).reshape(v.shape),
        lambda v: (residual(v) ** p).mean(-1).reshape(v.shape[:-1]) / p,
    )


def run(p, w, scalars, depth, lr, count, every=1):
    """Median-ready run of chains: loss (K, ...)."""
    grad, loss = regression(p)
    done = train_chains(grad, loss, w, scalars, depth, lr=lr, steps=count, every=every)
    return done.t, torch.nan_to_num(done.loss, nan=torch.inf)


# %%
def stable_limits(p):
    """Largest step size of a grid with which the plain model of every seed still converges."""
    grid = torch.logspace(-3.5, 0.5, 41, dtype=torch.float64, device=ch.device)
    ones = torch.ones(seeds, 41, 1, dtype=torch.float64, device=ch.device)
    start = w0[:, None].expand(seeds, 41, d)
    _, loss = run(p, start, ones, ones[..., 0].long(), grid.expand(seeds, 41), 300, 300)
    return torch.where(loss[-1] < 0.1 * loss[0], grid, 0.0).amax(1)


# %%
starts = ["plain", "w2 = 1", "balanced"]
w = torch.stack([w0, w0, 10 * w0], 1)
scalars = torch.tensor([1.0, 1.0, 0.1], dtype=torch.float64, device=ch.device).expand(seeds, 3)[..., None]
depth = torch.tensor([1, 2, 2], device=ch.device).expand(seeds, 3)
reached, curves = {}, {}
for p in (2, 4):
    lr = (stable_limits(p) / 10)[:, None].expand(seeds, 3)
    t, loss = run(p, w, scalars, depth, lr, steps)
    reached[p] = steps_to(t, loss, 1e-3 * loss[0], stay=True).median(0).values.tolist()
    curves[p] = (t, (loss / loss[0]).median(1).values.cpu())
# The plain model has to arrive as well: nobody is faster than a run that stands still.
faster = {
    name: all(reached[p][i] < reached[p][0] < float("inf") for p in (2, 4))
    for i, name in ((1, "w2 = 1"), (2, "balanced"))
}
counted(pd.DataFrame(reached, index=starts).rename(columns={2: "l_2 loss", 4: "l_4 loss"}))

# %% tags=["nbval-check-output"]
ch.claim(
    "reparam-lp-speed",
    value={f"l_{p}": dict(zip(starts, [min(v, 1e9) for v in reached[p]])) for p in (2, 4)},
    holds=True if all(faster.values()) else "partly" if any(faster.values()) else False,
)

# %% mystnb={"figure": {"name": "fig-07-lp", "caption": "Excess loss over its start against the step, at equal step size (a tenth of the plain model's limit), for the plain model and w1 w2 from two factorings of the same start; medians of 8 seeds."}, "image": {"alt": "Two panels. With the l_2 loss the start with w2 = 1 is fastest and the balanced one waits before it falls; with the l_4 loss the order is the same at first, with a wider gap."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.0, sharey=True)
    for ax, p in zip(axes, (2, 4)):
        t, loss = curves[p]
        for index, name in enumerate(starts):
            ax.plot(t[1:], loss[1:, index], label=name)
        ax.axhline(1e-3, color="0.4", lw=1, ls="--")
        ax.set(xscale="log", yscale="log", ylim=(1e-6, 2), xlabel="step", title=f"$l_{p}$ loss")
    axes[0].set_ylabel("excess loss / initial")
    axes[0].legend()

# %% [markdown]
# ## Depth and the start (figure 4)
#
# $w = w_1w_2\cdots w_N$ for $N = 1$ to $4$, the $l_2$ loss, the same step for every depth. Left: all entries
# $\mathcal N(0, 0.1^2)$. Right: ones on the diagonal, zeros elsewhere, so that $w_1 = e_1$ and the numbers are 1, a
# balanced start.

# %%
depth_steps, depths = steps // 3, torch.tensor([1, 2, 3, 4], device=ch.device)
counts, shapes = {}, {}
identity = torch.zeros(seeds, 4, d, dtype=torch.float64, device=ch.device)
identity[..., 0] = 1
near_zero = (0.1 * normal(seeds, 1, d + 3, offset=13)).expand(seeds, 4, d + 3).to(ch.device)
for name, w, scalars in (
    ("random near zero", near_zero[..., :d], near_zero[..., d:]),
    ("identity-diagonal", identity, torch.ones(seeds, 4, 3, dtype=torch.float64, device=ch.device)),
):
    lr = torch.full((seeds, 4), 0.01, dtype=torch.float64, device=ch.device)
    t, loss = run(2, w, scalars, depths.expand(seeds, 4), lr, depth_steps)
    counts[name] = steps_to(t, loss, 1e-3 * loss[0], stay=True).median(0).values.tolist()
    shapes[name] = (t, (loss / loss[0]).median(1).values.cpu())
counted(pd.DataFrame(counts, index=[f"depth {k}" for k in range(1, 5)]))

# %% tags=["nbval-check-output"]
decreasing = {name: all(b < a for a, b in itertools.pairwise(v)) for name, v in counts.items()}
# Depth 1 and 2 train from both starts, or the order of the counts would mean nothing.
trains = all(max(v[:2]) < float("inf") for v in counts.values())
ch.claim(
    "depth-needs-balance",
    value={name: [min(v, 1e9) for v in values] for name, values in counts.items()},
    holds=trains and decreasing["identity-diagonal"] and not decreasing["random near zero"],
)

# %% mystnb={"figure": {"name": "fig-07-depth", "caption": "Loss over its start against the step for depth 1 to 4 at a common step size of 0.01: random start near zero (left) and identity-diagonal start (right); medians of 8 seeds."}, "image": {"alt": "Left: deeper networks stay on a plateau, the longer the deeper. Right: deeper networks fall faster."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.0, sharey=True)
    for ax, (name, (t, loss)) in zip(axes, shapes.items()):
        for index in range(4):
            ax.plot(t, loss[:, index], label=f"depth {index + 1}")
        ax.set(yscale="log", ylim=(1e-6, 3), xlim=(0, depth_steps), xlabel="step", title=name)
    axes[0].set_ylabel("loss / initial")
    axes[1].legend()

# %% [markdown]
# ## Takeaway
#
# The expansions of the heavy-ball step are correct once their prefactors are put back, and they say something other than
# the review concludes: reparameterization rescales the step and leaves the momentum as it is. Whether the product is
# faster at an equal step is a matter of the start, because the start and the goal decide by how much the step is
# rescaled.
