# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # More data can hurt: linear regression
#
# The smallest model with a double descent, and the only one in the review whose curve is known exactly. Inputs are
# $x \sim N(0, I_d)$, targets $y = \langle x, \beta\rangle + N(0, \sigma^2)$, and the estimate is
# $\hat\beta = X^\dagger y$: of all least-squares solutions the shortest {cite}`nakkiran2019more`. With $\gamma = n/d$ its
# bias and variance are, for $n < d - 1$,
#
# $$
# B_n = (1-\gamma)^2 \|\beta\|^2, \qquad
# V_n = \gamma(1-\gamma)\|\beta\|^2 + \sigma^2\,\frac{n}{d-n-1},
# $$
#
# and for $n > d + 1$ they are $0$ and $\sigma^2 d/(n-d-1)$. Between them the expectation is infinite. We simulate at the
# review's noise $\sigma = 0.1$ with $\|\beta\| = 1$, compare with these formulas and with the review's limits of them
# {cite}`hastie2022surprises`, and watch gradient descent find $X^\dagger y$.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import numpy as np
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.interpolation import bias_variance, gradient_descent_path, linear_risk, min_norm, sample_wise_curve

ch = Chapter("09-double-descent", notebook="linear-sample-wise", profile=profile, seed=seed, full_minutes=4)
d = ch.pick(quick=50, full=1000)
trials = ch.pick(quick=400, full=100, smoke=30)
shares = ch.pick(
    quick=[0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.96, 1.0, 1.04, 1.1, 1.2, 1.5, 2.0],
    full=[*np.linspace(0.1, 0.8, 8).round(2).tolist(), 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0,
          1.01, 1.02, 1.03, 1.04, 1.06, 1.1, 1.15, 1.2, 1.5, 2.0, 2.5, 3.0],
    smoke=[0.5, 0.8, 0.9, 1.0, 1.1, 1.2, 2.0],
)  # fmt: skip
sigma = 0.1
sizes = sorted({round(share * d) for share in {*shares, 0.8, 1.0}})


def source(offset):
    """A generator on the device of the run."""
    return torch.Generator(ch.device).manual_seed(1000 * ch.seed + offset)


# %% [markdown]
# ## The curve
#
# All trials of one sample size are one batch. Near $n = d$ single trials carry the mean (it does not exist), so
# medians and quartiles are drawn beside it. The other method, ridge regression with $\lambda = d\sigma^2/\|\beta\|^2$, is
# optimal for every $n$ at once {cite}`nakkiran2021optimal`.

# %%
frames = [
    sample_wise_curve(sizes, d, trials=trials, noise=sigma, generator=source(1), ridge=ridge).assign(method=name)
    for name, ridge in (("minimum norm", 0.0), ("optimal ridge", d * sigma**2))
]
linear = pd.concat(frames, ignore_index=True)
summary = linear.groupby(["method", "n"]).excess_risk.agg(["mean", "sem", "median"]).reset_index()
lower, upper = (linear.groupby(["method", "n"]).excess_risk.quantile(q).to_numpy() for q in (0.25, 0.75))
summary = summary.assign(lower=lower, upper=upper)
recorded = ch.table("linear", summary)

# %%
tensor_of = torch.tensor(sizes)
plain = summary[summary.method == "minimum norm"].set_index("n")
table = plain[["median", "mean", "sem"]].assign(
    exact=linear_risk(tensor_of, d, noise=sigma).risk.tolist(),
    limit=linear_risk(tensor_of, d, noise=sigma, asymptotic=True).risk.tolist(),
)

# %% tags=["hide-input"]
table.round(3)

# %% tags=["nbval-check-output"]
away = [n for n in sizes if n <= 0.8 * d or n >= 1.2 * d]
errors = (table.loc[away, "mean"] - table.loc[away, "exact"]).abs() / table.loc[away, "sem"]
ch.claim("linear-peak", value=int(table["median"].idxmax()), holds=bool(table["median"].idxmax() == d))

# %% [markdown]
# ## More data, larger error
#
# From $n = 0.8\,d$ the median error falls a little further, and at $n = d$ it is several times as large. The uncertainty of a
# median comes from 500 bootstrap samples.


# %%
def median_with_error(n):
    """Median excess risk of minimum-norm regression, and its bootstrap standard error."""
    part = linear[(linear.method == "minimum norm") & (linear.n == n)].excess_risk.to_numpy()
    draws = np.random.default_rng(seed).choice(part, (500, len(part)))
    return np.median(part), np.median(draws, axis=1).std()


few, at = median_with_error(round(0.8 * d)), median_with_error(d)
ridge_mean = summary[summary.method == "optimal ridge"].set_index("n")["mean"]
ridge_error = summary[summary.method == "optimal ridge"].set_index("n")["sem"]
steps = ridge_mean.diff().dropna() - 2 * (ridge_error + ridge_error.shift()).dropna()

# %% tags=["nbval-check-output"]
ch.claim(
    "more-data-hurts",
    value={"median at 0.8 d": list(few), "median at d": list(at)},
    holds=bool(at[0] - few[0] > 3 * (at[1] ** 2 + few[1] ** 2) ** 0.5),
)
ch.claim(
    "ridge-removes-peak",
    value={"at 0.8 d": ridge_mean.loc[round(0.8 * d)], "at d": ridge_mean.loc[d]},
    holds=bool((steps < 0).all() and ridge_mean.loc[d] < ridge_mean.loc[round(0.8 * d)]),
)

# %% [markdown]
# ## Bias and variance, apart
#
# The review says that below the threshold the variance first decreases. It cannot: without samples there is none. It
# rises from 0 at once, with slope $\|\beta\|^2 + \sigma^2$ in $\gamma$. What falls first is the risk, whose limit
# $(1-\gamma)\|\beta\|^2 + \sigma^2\gamma/(1-\gamma)$ is least at $\gamma = 1 - \sigma/\|\beta\|$, here 0.9.

# %%
repeats = ch.pick(quick=1000, full=1000, smoke=200)
small = 50  # bias and variance separately: always at d = 50, where a thousand trials cost nothing
points = [1, 5, 10, 20, 30, 40, 60, 75, 100]
beta = torch.randn(small, generator=ch.generator(2), dtype=torch.float64)
beta = beta / beta.norm()


def apart(n):
    """Simulated squared bias and variance at d = 50, and the standard error of the variance."""
    x = torch.randn(repeats, n, small, generator=ch.generator(100 + n), dtype=torch.float64)
    noise = torch.randn(repeats, n, generator=ch.generator(200 + n), dtype=torch.float64)
    estimates = min_norm(x, x @ beta + sigma * noise)
    found = bias_variance(estimates, beta)
    spread = (estimates - estimates.mean(0)).square().sum(-1)
    return {"n": n, "bias": found.bias.item(), "variance": found.variance.item(),
            "error": spread.std().item() / repeats**0.5}  # fmt: skip


# %%
parts = pd.DataFrame([apart(n) for n in points]).set_index("n")
exact = linear_risk(torch.tensor(points), small, noise=sigma)
parts = parts.assign(exact_bias=exact.bias.tolist(), exact_variance=exact.variance.tolist())
off_variance = (parts.variance - parts.exact_variance).abs() / parts.error
# The mean of the estimates is off by a variance over their number, and the bias is the square of its distance.
noise = parts.exact_variance / repeats
off_bias = (parts.bias - parts.exact_bias).abs() / (2 * (parts.exact_bias * noise).pow(0.5) + noise)

# %% tags=["nbval-check-output"]
ch.claim(
    "linear-bias-variance",
    value={"risk, SE off": errors.max(), "variance, SE off": off_variance.max(), "bias, SE off": off_bias.max()},
    holds=bool((errors < 4).all() and (off_variance < 4).all() and (off_bias < 4).all()),
)

# %%
grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
limit_risk = (1 - grid) + sigma**2 * grid / (1 - grid)
noise_only = sample_wise_curve([44, 56], 50, trials=4000, noise=1.0, signal=0.0, generator=ch.generator(3))
noise_only = noise_only.groupby("n").excess_risk.agg(["mean", "sem"])
formulas = {
    name: linear_risk(torch.tensor([44, 56]), 50, noise=1.0, signal=0.0, asymptotic=limit).risk.numpy()
    for name, limit in (("exact", False), ("limit", True))
}
off = {name: (noise_only["mean"] - value).abs() / noise_only["sem"] for name, value in formulas.items()}

# %% tags=["nbval-check-output"]
rising = parts.variance.loc[[1, 5, 10, 20]]
climbs = bool((rising.diff().dropna() > 4 * parts.error.loc[[5, 10, 20]]).all())
least = grid[limit_risk.argmin()].item()
ch.claim(
    "erratum-variance-decreases",
    value={"variance at n = 1, 5, 10, 20": rising.tolist(), "risk least at n/d": least},
    holds=climbs and abs(least - (1 - sigma)) < 2e-3,
)
ch.claim(
    "erratum-asymptotic-denominators",
    value={"deviation of the limit in SE": off["limit"].tolist(), "of the exact one": off["exact"].tolist()},
    holds=bool((off["exact"] < 4).all() and (off["limit"] > 4).all()),
)

# %% [markdown]
# ## What gradient descent finds, and when
#
# From a start at 0 gradient descent never leaves the row space of $X$, so its limit is $X^\dagger y$; from any other
# start it keeps what lies outside. In the basis of singular vectors the iterate after $t$ steps is known in closed form, so a
# billion steps cost as much as one. At $n = d$ about a million are needed, hundreds of times as many as at $n = 40$ or 60: the number
# grows like the square of the condition number. This is the likely reason why the review's peak was "not as high" after an hour. Its guess, that
# the error would approach infinity if the run went on, is not right. Every sample has its finite limit. What is infinite is the average over samples.

# %%
counts = [round(10**power) for power in np.arange(0, 9.01, 0.5)]
problems = {}
for n in (40, 50, 60):
    x = torch.randn(10, n, small, generator=ch.generator(300 + n), dtype=torch.float64)
    y = x @ beta + sigma * torch.randn(10, n, generator=ch.generator(400 + n), dtype=torch.float64)
    shortest = min_norm(x, y)
    path = gradient_descent_path(x, y, counts)
    apart_from_limit = (path - shortest[:, None]).norm(dim=-1) / shortest.norm(dim=-1, keepdim=True)
    problems[n] = {"x": x, "y": y, "shortest": shortest, "distance": apart_from_limit}

# %%
wide = problems[40]
kernel = torch.eye(small, dtype=torch.float64) - torch.linalg.pinv(wide["x"]) @ wide["x"]
start = torch.randn(10, small, generator=ch.generator(5), dtype=torch.float64)
outside = (kernel @ start[..., None])[..., 0]
others = wide["shortest"] + outside  # further interpolants
fits = ((wide["x"] @ others[..., None])[..., 0] - wide["y"]).abs().max().item()
residual = wide["y"] - (wide["x"] @ start[..., None])[..., 0]
elsewhere = start + gradient_descent_path(wide["x"], residual, [10**9])[:, 0]
last = {n: values["distance"][:, -1].max().item() for n, values in problems.items()}
soon = {n: values["distance"][:, 0].min().item() for n, values in problems.items()}  # after one step it is far away

# %%
# The closed form, in which a billion steps cost as much as one, against a hundred steps one by one.
length = 1 / wide["x"].square().sum((-1, -2))
by_steps = torch.zeros_like(start)
for _ in range(100):
    gap = (wide["x"] @ by_steps[..., None])[..., 0] - wide["y"]
    by_steps = by_steps - length[:, None] * (wide["x"].mT @ gap[..., None])[..., 0]
at_once = gradient_descent_path(wide["x"], wide["y"], [100], step=length)[:, 0]
stepwise = ((at_once - by_steps).norm() / by_steps.norm()).item()

# %% tags=["nbval-check-output"]
shorter = bool((others.norm(dim=-1) < wide["shortest"].norm(dim=-1)).any())
moved = torch.allclose(elsewhere, others, atol=1e-5) and bool(outside.norm(dim=-1).min() > 0.1)
ch.claim(
    "gd-finds-min-norm",
    value={
        "distance at 1e9 steps": {str(n): v for n, v in last.items()},
        "after one": {str(n): v for n, v in soon.items()},
        "residual of other interpolants": fits,
        "100 steps one by one": stepwise,
    },
    holds=max(last.values()) < 1e-4
    and min(soon.values()) > 0.3
    and fits < 1e-8
    and not shorter
    and moved
    and stepwise < 1e-10,
)
median_at_d = table.loc[d, "median"]
ch.claim(
    "erratum-approaches-infinity",
    value={"median at n = d": median_at_d, "distance to the finite limit": last[50]},
    holds=bool(last[50] < 1e-4 and median_at_d < 20 and torch.isinf(linear_risk(d, d, noise=sigma).risk)),
)

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, band, figure

    def draw(ax, frame, dim):
        part = frame[frame.method == "minimum norm"]
        band(part.n, part["median"], part.lower, part.upper, ax=ax, label="median, quartiles", marker="o", ms=4)
        ax.plot(part.n, part["mean"], "x", color=PALETTE[1], label="mean")
        dense = torch.arange(round(0.05 * dim), int(part.n.max()) + 1)
        curves = {limit: linear_risk(dense, dim, noise=sigma, asymptotic=limit).risk for limit in (False, True)}
        ax.plot(dense, curves[False].where(curves[False].isfinite(), torch.nan), color="0.2", lw=1.2, label="exact")
        ax.plot(dense, curves[True], ":", color="0.45", lw=1.4, label="limit")
        ridge = frame[frame.method == "optimal ridge"]
        ax.plot(ridge.n, ridge["mean"], "s-", ms=3.5, color=PALETTE[2], label="optimal ridge")
        ax.axvline(dim, color="0.7", lw=0.8)
        ax.set(yscale="log", ylim=(3e-3, 30), xlabel="samples $n$", ylabel="excess risk", title=f"$d$ = {dim}")
        ax.legend(ncol=2, fontsize=8)


# %% mystnb={"figure": {"name": "fig-09-linear", "caption": "Top: excess risk against the number of samples; median with quartiles and mean of the simulation, the exact expectation and its limit, and optimal ridge regression. Bottom left: squared bias and variance at d = 50, lines exact, markers simulated. Bottom right: relative distance of gradient descent from its limit, median over ten problems."}, "image": {"alt": "Top: the risk falls from 1, rises to a peak at n = d, and falls again; the thin exact curve runs through the simulated means; the ridge curve has no peak. Bottom left: bias falls to zero at n = 50, variance rises from zero over a low hump, peaks at 50 and falls. Bottom right: for n = 40 and 60 the distance vanishes within a few thousand steps, for n = 50 it takes about a million."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(2, 2, height=3.1)
    grid_spec = axes[0, 0].get_gridspec()
    for ax in axes[0]:
        ax.remove()
    draw(fig.add_subplot(grid_spec[0, :]), summary, d)
    ax = axes[1, 0]
    dense = torch.arange(0, 101)
    theory = linear_risk(dense, small, noise=sigma)
    for index, name in enumerate(("bias", "variance")):
        line = getattr(theory, name)
        ax.plot(dense, line.where(line.isfinite(), torch.nan), color=PALETTE[index], label=name)
        ax.plot(parts.index, parts[name], "o", ms=4, color=PALETTE[index])
    ax.set(ylim=(-0.02, 1.02), xlabel="samples $n$, $d = 50$", ylabel="contribution to the risk")
    ax.legend()
    ax = axes[1, 1]
    for n, values in problems.items():
        ax.loglog(counts, values["distance"].median(0).values.clamp(min=1e-12), label=f"$n$ = {n}")
    ax.set(xlabel="steps of gradient descent", ylabel="distance to the limit", ylim=(1e-9, 3))
    ax.legend()

# %% mystnb={"figure": {"name": "fig-09-linear-full", "caption": "The upper panel at the review's scale, d = 1000: exact expectation and limit can no longer be told apart."}, "image": {"alt": "Excess risk against the number of samples at d = 1000: it falls from 0.9, rises from 900 samples to a narrow peak above ten at 1000, and falls again; the curve of ridge regression has no peak."}} tags=["hide-input"]
if ch.plots and recorded is not None:
    fig, ax = figure(height=3.4)
    draw(ax, recorded, 1000)

# %% [markdown]
# ## Takeaway
#
# The peak sits at $n = d$ and the exact formulas describe everything around it: within four standard errors wherever a mean
# exists. The review's formulas are limits, and two of its sentences need mending: the variance does not first decrease, and nothing
# diverges in a single run. And the peak is a property of the missing regularization, not of the data. The right ridge removes it.
