# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Asynchrony begets momentum
#
# $M$ workers share a parameter. Each reads it, spends some time on a gradient, applies the gradient to whatever the
# parameter is by then, and reads again. So every update uses a stale gradient:
#
# $$
# w_{t+1} = w_t - \eta\,\nabla f(w_{t-\tau_t}) .
# $$
#
# {cite:t}`mitliagkas2016asynchrony` claim that on average this is SGD *with momentum*. The review restates their theorems
# 1 to 4. We simulate the queue of workers, event by event, in tens of thousands of runs at once, and compare its mean
# with the recursion that the theorems promise.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.asynchrony import (
    async_descent,
    expected_descent,
    geometric_staleness,
    mean_square_limit,
    mean_square_path,
    momentum_recursion,
    staleness_law,
    worker_staleness,
)

ch = Chapter("07-double-acceleration", notebook="asynchrony", profile=profile, seed=seed, full_minutes=1)
trials = ch.pick(quick=20_000, full=1_000_000, smoke=2_000)
law_trials = ch.pick(quick=4_000, full=200_000, smoke=400)
steps = ch.pick(quick=60, full=60, smoke=20)
workers = ch.pick(quick=[2, 4, 8], full=[2, 4, 8, 16, 32], smoke=[2, 4])
ch.require(min(workers) <= 4, "workers needs a number up to 4: the verdicts are those of at most four workers")
curvatures = torch.tensor([1.0, 0.3, 0.05], dtype=torch.float64, device=ch.device)
w0 = torch.ones_like(curvatures)


def grad(w):
    """Gradient of a quadratic with curvatures 1, 0.3 and 0.05 and its minimum at 0."""
    return curvatures * w


# %% [markdown]
# ## The law of the mean, without randomness
#
# For independent delays with law $q_l$ the mean of a linear gradient is a convolution,
# $\mathbb E\,\nabla f(w_{t-\tau}) = \sum_l q_l\,\nabla f(\mathbb E\, w_{t-l})$, where reads before time 0 return
# $w_0$. `expected_descent` computes that and knows nothing of momentum. Theorem 1 subtracts two consecutive updates and
# must hold for *any* law:
#
# $$
# \begin{gathered}
# \Delta_{t+1} = \Delta_t - \eta q_0 g_t + \eta \sum_{l\ge0} (q_l - q_{l+1})\, g_{t-l-1}, \\
# \Delta_t = \mathbb E\,(w_t - w_{t-1}),\quad g_t = \mathbb E\,\nabla f(w_t) .
# \end{gathered}
# $$
#
# For the geometric law $q_l = (1-\mu)\mu^l$ the sum telescopes, and what is left is momentum $\mu$ with step $(1-\mu)\eta$
# (corollary 2). The very first step is a full one, since everybody still holds $w_0$. With explicit momentum $\beta$ two
# momenta meet in a third-order recursion (theorem 4).

# %%
random_law = torch.rand(40, generator=ch.generator(1), dtype=torch.float64)
laws = {
    "geometric": geometric_staleness(0.75, 400),
    "uniform": torch.full((10,), 0.1, dtype=torch.float64),
    "random": random_law / random_law.sum(),
}
lr, residuals, travelled = 1.0, {}, {}
for name, law in laws.items():
    path = expected_descent(grad, w0, law, lr=lr, steps=steps)
    q = torch.nn.functional.pad(law, (0, max(0, steps + 2 - len(law)))).to(w0)
    worst = 0.0
    for t in range(1, steps):
        past = [grad(path[max(t - n - 1, 0)]) for n in range(steps)]
        change = sum((q[n] - q[n + 1]) * past[n] for n in range(steps)) + q[steps] * past[-1]
        predicted = path[t] - path[t - 1] - lr * q[0] * grad(path[t]) + lr * change
        worst = max(worst, (path[t + 1] - path[t] - predicted).abs().max().item())
    residuals[name] = worst
    travelled[name] = (path[-1] - w0).norm().item()  # a path that stays at w_0 would satisfy (5) as well

mus, betas = (0.5, 0.75, 0.875), (-0.3, 0.3, 0.6)


def distance(mu, beta):
    """Largest difference between the convolution and the recursion."""
    mean = expected_descent(grad, w0, geometric_staleness(mu, 400), lr=0.5, momentum=beta, steps=steps)
    recursion = momentum_recursion(grad, w0, lr=0.5, staleness=mu, momentum=beta, steps=steps)
    return (mean - recursion).abs().max().item()


def apart(first, second):
    """Largest difference between the convolutions of two settings (mu, beta): neither may be without effect."""
    paths = [
        expected_descent(grad, w0, geometric_staleness(mu, 400), lr=0.5, momentum=beta, steps=steps)
        for mu, beta in (first, second)
    ]
    return (paths[0] - paths[1]).abs().max().item()


effect = {"staleness": apart((0.5, 0.0), (0.875, 0.0)), "momentum": apart((0.75, -0.3), (0.75, 0.6))}
implicit = {f"mu = {mu}": distance(mu, 0.0) for mu in mus}
both = {f"mu = {mu}, beta = {beta}": distance(mu, beta) for mu in mus for beta in betas}

# %% tags=["nbval-check-output"]
ch.claim(
    "staleness-mean-recursion",
    value={"residuals": residuals, "travelled": travelled},
    holds=max(residuals.values()) < 1e-12 and min(travelled.values()) > 0.1,
)
ch.claim(
    "geometric-begets-momentum",
    value=implicit | {"effect of mu": effect["staleness"]},
    holds=max(implicit.values()) < 1e-10 and effect["staleness"] > 0.1,
)
ch.claim(
    "explicit-plus-implicit",
    value=both | {"effect of beta": effect["momentum"]},
    holds=max(both.values()) < 1e-10 and effect["momentum"] > 0.1,
)

# %% [markdown]
# ## Who is how late
#
# Now the queue. With exponential service times each worker is equally likely to finish next, so a worker waits a geometric
# number of updates for its turn: $q_l = \frac1M\left(1-\frac1M\right)^l$. With equal service times the workers take turns
# and every delay is $M-1$, the same mean staleness.

# %%
laws_seen, constant_delays = {}, {}
for m in workers:
    delays = worker_staleness(m, 250, trials=law_trials, generator=ch.generator(100 + m))
    laws_seen[m] = staleness_law(delays, 200, skip=150)
    fixed = worker_staleness(m, 50, trials=20, service="constant", generator=ch.generator(200 + m))
    constant_delays[m] = bool((fixed[:, m:] == m - 1).all())
predicted = {m: geometric_staleness(1 - 1 / m, 200) for m in workers}
law_error = {f"M = {m}": (laws_seen[m] - predicted[m]).abs().max().item() for m in workers}

# %% tags=["nbval-check-output"]
ch.claim("workers-are-geometric", value=law_error, holds=max(law_error.values()) < 0.003)

# %% mystnb={"figure": {"name": "fig-07-law", "caption": "Staleness of M asynchronous workers after a warm-up: frequencies in simulated queues with exponential service times (bars) and the geometric law (dots). The dashed line is where all delays fall when service times are equal."}, "image": {"alt": "Three bar charts for 2, 4 and 8 workers. Bars decay geometrically from 1/M and the dots sit on their tops; dashed vertical lines at 1, 3 and 7."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, (axes,) = figure(1, len(workers[:3]), height=2.7, squeeze=False)
    for ax, m in zip(axes, workers[:3]):
        n = 4 * m
        ax.bar(range(n), laws_seen[m][:n], width=0.8, color="C4", label="simulated")
        ax.plot(range(n), predicted[m][:n], "o", ms=3.5, color="C1", label="geometric")
        ax.axvline(m - 1, ls="--", lw=1, color="0.4", label="equal service times")
        ax.set(title=f"M = {m}", xlabel="staleness (updates)")
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("frequency")
    axes[0].legend(fontsize=8, loc="upper right", handlelength=1.2)

# %% [markdown]
# ## Momentum out of a queue
#
# One queue, $M$ workers, step $\eta$, no momentum anywhere in the code. The mean over runs should be the recursion with
# momentum $1-1/M$. This is not the model of theorem 1: the delays of a real queue depend on each other. It holds all the
# same, and for memoryless workers the proof takes three lines. Let $R_t$ be the gradient held by the worker who
# finishes at time $t$, averaged over what is known at time $t$: the mean over all workers of what they hold. With
# probability $1/M$ a given worker was the one that has just read $w_{t+1}$, so
#
# $$
# \mathbb E R_{t+1} = \left(1-\tfrac1M\right)\mathbb E R_t + \tfrac1M\,\mathbb E\,\nabla f(w_{t+1}) ,
# \qquad \mathbb E\,(w_{t+1}-w_t) = -\eta\,\mathbb E R_t .
# $$
#
# Put the second into the first: momentum $1-1/M$ and step $\eta/M$, with no assumption of independence and, since the
# argument never uses linearity, for the mean gradient of any $f$. The step sizes here are small enough for single runs to
# behave; more on that below.

# %%
lrs = {m: 0.7 if m == 2 else 1.6 / m for m in workers}  # as large as single runs bear


def simulate(m, service="exponential"):
    """Path (T+1, trials, 3) of a queue of m workers."""
    delays = worker_staleness(m, steps, trials=trials, service=service, generator=ch.generator(300 + m))
    return async_descent(grad, w0, delays.to(ch.device), lr=lrs[m])


def recursion(m, shift=0.0):
    """The promised mean, (T+1, 3), or one with another momentum."""
    return momentum_recursion(grad, w0, lr=lrs[m], staleness=1 - 1 / m + shift, steps=steps)


sigmas, wrong, counter, fans, rows = {}, {}, {}, {}, []
for m in workers:
    path = simulate(m)
    mean = path.mean(1)
    error = (path.std(1) / trials**0.5).clamp(min=1e-12)
    sigmas[m] = ((mean - recursion(m)).abs() / error)[2:].max().item()
    wrong[m] = ((mean - recursion(m, -0.1)).abs() / error)[2:].max().item()
    levels = torch.tensor([0.05, 0.25, 0.75, 0.95], dtype=torch.float64, device=ch.device)
    sample = path[:, :20_000, 0]
    fans[m] = (mean[:, 0].cpu(), torch.quantile(sample, levels, dim=1).cpu(), sample[:, 0].cpu())
    regular = async_descent(grad, w0, worker_staleness(m, steps, service="constant").to(ch.device), lr=lrs[m])[:, 0]
    counter[m] = (regular - recursion(m)).abs().max().item()
    for t in range(steps + 1):
        row = {"workers": m, "step": t, "mean": mean[t, 0].item(), "recursion": recursion(m)[t, 0].item()}
        rows.append(row | {"se": error[t, 0].item(), "constant": regular[t, 0].item()})
    del path
law = pd.DataFrame(rows)
recorded = ch.table("staleness-law", law)

# %% tags=["nbval-check-output"]
judged = [m for m in workers if m <= 4]
ch.claim(
    "queue-mean-is-momentum",
    value={"largest deviation in standard errors": sigmas, "with momentum lower by 0.1": wrong},
    holds=all(sigmas[m] < 5 < wrong[m] for m in judged),
)
ch.claim(
    "constant-service-breaks-it",
    value={"distance from the recursion": counter},
    holds=all(constant_delays[m] and counter[m] > 0.1 for m in judged),
)

# %% mystnb={"figure": {"name": "fig-07-fan", "caption": "The steepest coordinate of a quadratic under M asynchronous workers. Black: mean of the simulated runs; orange dashes: the recursion with momentum 1 - 1/M; bands: the middle 50% and 90% of single runs; grey: one run; green: equal service times; dots: the mean of the recorded full run, with more runs."}, "image": {"alt": "Three panels for 2, 4 and 8 workers. The mean oscillates like a damped heavy ball and the dashed line lies on it; the bands of single runs around it are as wide as its swings at 4 and 8 workers; the curve with equal service times swings wider and in another rhythm."}} tags=["hide-input"]
if ch.plots:
    fig, (axes,) = figure(1, len(workers[:3]), height=3.0, squeeze=False)
    for ax, m in zip(axes, workers[:3]):
        mean, bands, one = fans[m]
        t = range(steps + 1)
        ax.fill_between(t, bands[0], bands[3], color="C0", alpha=0.15, lw=0, label="90% of runs")
        ax.fill_between(t, bands[1], bands[2], color="C0", alpha=0.3, lw=0, label="50% of runs")
        ax.plot(t, one, color="0.55", lw=0.8, label="one run")
        ax.plot(t, law[law.workers == m].constant, color="C2", lw=1, label="equal service times")
        ax.plot(t, mean, color="k", lw=2, label="mean of runs")
        if recorded is not None:
            large = recorded[(recorded.workers == m) & (recorded.step <= steps)]
            ax.plot(large.step, large["mean"], "o", ms=2.2, color="C4", label="mean, full run")
        ax.plot(t, recursion(m)[:, 0].cpu(), color="C1", lw=1.6, ls="--", label="recursion")
        ax.set(title=f"M = {m}, step {lrs[m]}", xlabel="update", ylim=(-1.6, 1.4))
    axes[0].set_ylabel("coordinate")
    axes[0].legend(fontsize=7, loc="lower right")

# %% [markdown]
# The oscillation is momentum, made by a queue. It takes memoryless workers: with equal service times the mean staleness is
# the same, but the iterates follow a delay equation with another rhythm.
#
# ## Beyond the review: what the mean hides
#
# The mean of 8 workers converges for every step up to $2(2M-1) = 30$ over the curvature. Single runs do not. The
# queue is simple enough for exact second moments. With $v_i$ what worker $i$ has read, the workers are
# exchangeable and $\mathbb E w^2$, $\mathbb E w v_i$, $\mathbb E v_i^2$, $\mathbb E v_i v_j$ close on themselves: a
# $4\times4$ matrix whose spectral radius says which steps are stable in mean square.

# %%
counts = [1, 2, 4, 8, 16, 32]
limits = pd.DataFrame(
    {"mean": [2.0 * (2 * m - 1) for m in counts], "mean square": [mean_square_limit(m) for m in counts]}, index=counts
).rename_axis("workers")
deviations = {}
for m, step in ((2, 0.8), (4, 0.5), (8, 0.3)):
    delays = worker_staleness(m, 15, trials=trials, generator=ch.generator(400 + m))
    squares = async_descent(lambda w: w, torch.ones(1, dtype=torch.float64), delays, lr=step)[..., 0] ** 2
    error = (squares.std(1) / trials**0.5).clamp(min=1e-12)
    deviations[m] = ((squares.mean(1) - mean_square_path(m, step, 15)).abs() / error)[2:].max().item()
limits.round(2)

# %% tags=["nbval-check-output"]
ch.claim(
    "mean-hides-variance",
    value={"mean square": limits["mean square"].tolist(), "simulated, in standard errors": deviations},
    holds=bool((limits["mean"].diff()[1:] > 0).all())
    and bool((limits["mean square"].diff()[1:] < 0).all())
    and max(deviations.values()) < 5,
)

# %% mystnb={"figure": {"name": "fig-07-limits", "caption": "Largest stable step size times curvature against the number of workers: for the mean of the runs (theorem 5 without explicit momentum) and for their mean square (exact second moments). Between the lines the mean converges and single runs blow up."}, "image": {"alt": "Two lines from 2 at one worker on logarithmic axes. One rises in proportion to the number of workers to 126 at 32; the other falls to about 0.27."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.2)
    ax.fill_between(counts, limits["mean square"], limits["mean"], color="0.9")
    ax.plot(counts, limits["mean"], marker="o", label="mean")
    ax.plot(counts, limits["mean square"], marker="s", label="mean square")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(counts, counts)
    ax.set(xlabel="workers M", ylabel="largest stable step x curvature")
    ax.legend()

# %% [markdown]
# ## Takeaway
#
# Asynchrony begets momentum, exactly, if workers are memoryless: a queue without a line of momentum in it has the mean of a
# heavy ball. But it is the mean of runs that are far apart. More workers let the mean take larger steps and force single
# runs to smaller ones, and in practice it is the single run that one gets.
