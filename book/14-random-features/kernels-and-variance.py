# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Kernels, Bochner's theorem, and the variance of a feature map
#
# Random Fourier features rest on three statements: a kernel is a function whose Gram matrices are positive
# semidefinite; a continuous shift-invariant one with $k(0) = 1$ is the Fourier transform of a probability measure; so
# cosines at frequencies drawn from that measure have the kernel as their mean inner product. We check each, then what
# the review says about variance, where its normalized features meet a simpler competitor.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.features import (
    feature_map,
    feature_ridge,
    feature_variance,
    fourier_features,
    gaussian_kernel,
    importance_estimate,
    is_positive_semidefinite,
    kernel_estimates,
    kernel_ridge,
    laplace_kernel,
    polynomial_kernel,
    sample_frequencies,
)
from litrepro.solvers import power_law

ch = Chapter("14-random-features", notebook="kernels-and-variance", profile=profile, seed=seed, full_minutes=1)
draws = ch.pick(quick=20_000, full=500_000, smoke=500)
ball_draws = ch.pick(quick=20, full=200, smoke=3)
widths = ch.pick(quick=[64, 128, 256, 512, 1024], full=[64, 128, 256, 512, 1024, 2048, 4096], smoke=[64, 128])
f64 = torch.float64

# %% [markdown]
# ## What a kernel is
#
# Three sets of 30 random points; the Gram matrices of two kernels, and of two popular similarity functions that are not:
# $\tanh(x^\top y - 1)$ and $-|x-y|$.

# %%
x30 = torch.randn(3, 30, 2, generator=ch.generator(1), dtype=f64)
grams = {
    "Gaussian": gaussian_kernel(x30, x30),
    "polynomial": polynomial_kernel(x30, x30, degree=3),
    "tanh": torch.tanh(x30 @ x30.mT - 1),
    "minus distance": -torch.cdist(x30, x30),
}
semidefinite = {name: is_positive_semidefinite(K).tolist() for name, K in grams.items()}

# %% tags=["nbval-check-output"]
valid = all(semidefinite["Gaussian"] + semidefinite["polynomial"])
invalid = not any(semidefinite["tanh"] + semidefinite["minus distance"])
ch.claim("kernel-psd-gram", value={name: sum(v) for name, v in semidefinite.items()}, holds=valid and invalid)

# %% [markdown]
# The review's definition asks for $c^\top K c \ge 0$ alone and calls the Gram matrix positive definite. Both need a
# repair. The matrix $\left(\begin{smallmatrix}1&1\\-1&1\end{smallmatrix}\right)$ has $c^\top K c = |c|^2$, and yet no
# inner product gives it: it is not symmetric. And two equal points make any Gram matrix singular, so it is only
# *semi*definite.

# %% tags=["nbval-check-output"]
skewed = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=f64)
c = torch.randn(100, 2, generator=ch.generator(2), dtype=f64)
form_gap = (torch.einsum("ni,ij,nj->n", c, skewed, c) - c.square().sum(-1)).abs().max().item()
twice = torch.cat([x30[0, :5], x30[0, :1]])
smallest = torch.linalg.eigvalsh(gaussian_kernel(twice, twice))[0].item()
ch.claim(
    "erratum-definition",
    value={"c'Kc - |c|^2": form_gap, "K - K'": (skewed - skewed.mT).abs().max(), "eigenvalue, equal points": smallest},
    holds=form_gap < 1e-12 and not torch.equal(skewed, skewed.mT) and abs(smallest) < 1e-12,
)

# %% [markdown]
# ## Bochner's theorem
#
# In one dimension we compute $p(\omega) = \frac{1}{2\pi}\int k(\delta)\, e^{-i\delta\omega}\, d\delta$ by FFT, check that
# it is a probability density, and compare the sampled frequencies to it with a Kolmogorov-Smirnov test.

# %%
step, length = 0.002, 1 << 17
delta = step * (torch.arange(length, dtype=f64) - length // 2)
frequency = 2 * math.pi * torch.fft.fftshift(torch.fft.fftfreq(length, step, dtype=f64))
spacing = (frequency[1] - frequency[0]).item()


def spectral_density(values):
    """(1 / 2 pi) times the transform of a kernel sampled at ``delta``."""
    return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(values))).real * step / (2 * math.pi)


def kolmogorov_p(sample, density):
    """Asymptotic p-value of the Kolmogorov-Smirnov test of a sample against a tabulated density."""
    cumulative = (density.cumsum(0) - density / 2) * spacing  # at the grid points, to second order
    place = ((sample.sort().values - frequency[0]) / spacing).clamp(0, length - 1.001)
    low = place.floor().long()
    level = cumulative[low] + (place - low) * (cumulative[low + 1] - cumulative[low])
    n = len(sample)
    rank = torch.arange(n, dtype=f64)
    distance = torch.maximum(level - rank / n, (rank + 1) / n - level).max().item()
    terms = [(-1) ** (j - 1) * math.exp(-2 * j * j * n * distance**2) for j in range(1, 101)]
    return min(1.0, max(0.0, 2 * sum(terms)))


# %%
origin, places = torch.zeros(1, 1, dtype=f64), delta[:, None]
density, bochner, first = {}, {}, {}
for name, kernel in (("gaussian", gaussian_kernel), ("laplace", laplace_kernel)):
    density[name] = spectral_density(kernel(origin, places)[0])
    sampled = [sample_frequencies(1, 4000, kernel=name, generator=ch.generator(10 + s)).omega[:, 0] for s in range(3)]
    bochner[name] = {
        "minimum": density[name].min().item(),
        "integral": density[name][frequency.abs() < 1000].sum().item() * spacing,
        "p-values": [kolmogorov_p(each, density[name]) for each in sampled],
    }
    first[name] = sampled[0]
for name, other in (("gaussian", "laplace"), ("laplace", "gaussian")):  # a test that everything passes tests nothing
    bochner[name]["p-value against the other density"] = kolmogorov_p(first[name], density[other])

# A box, which is no kernel: three points show it, and so does its transform.
box = 2 * math.pi * spectral_density((places[:, 0].abs() <= 1).to(f64))
three = torch.tensor([[0.0], [0.8], [1.6]], dtype=f64)
box_gram = (torch.cdist(three, three) <= 1).to(f64)

# %% tags=["nbval-check-output"]
densities = all(
    row["minimum"] >= -1e-8
    and abs(row["integral"] - 1) <= 1e-3
    and min(row["p-values"]) > 1e-3
    and row["p-value against the other density"] < 1e-6
    for row in bochner.values()
)
no_kernel = box.min().item() < -0.4 and not is_positive_semidefinite(box_gram)
ch.claim("bochner", value=bochner | {"box minimum": box.min().item()}, holds=densities and no_kernel)

# %% mystnb={"figure": {"name": "fig-14-bochner", "caption": "Left and middle: sampled frequencies of the Gaussian and the Laplace kernel (histograms) and the transforms of the kernels (lines). Right: the transform of a box is negative in places, so the box is no kernel."}, "image": {"alt": "Two histograms that follow a bell curve and a heavy-tailed Cauchy curve, and a sinc curve that dips below zero to minus 0.43."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, axes = figure(1, 3)
    for ax, name in zip(axes, density):
        omega = sample_frequencies(1, 20_000, kernel=name, generator=ch.generator(10)).omega[:, 0]
        inside = frequency.abs() < 6
        ax.hist(omega, bins=60, range=(-6, 6), weights=torch.full((20_000,), 5 / 20_000), color=PALETTE[4], alpha=0.6)
        ax.plot(frequency[inside], density[name][inside], color=PALETTE[0])
        ax.set(title=f"{name.capitalize()} kernel", xlabel=r"frequency $\omega$")
    axes[0].set_ylabel("density")
    inside = frequency.abs() < 20
    axes[2].plot(frequency[inside], box[inside], color=PALETTE[1])
    axes[2].axhline(0, color="0.4", lw=1)
    axes[2].set(title="box (no kernel)", xlabel=r"frequency $\omega$", ylabel="transform")

# %% [markdown]
# ### Constants
#
# The review's algorithm divides by $2\pi$ *and* keeps $2\pi$ in the exponent. With $e^{-2\pi i\delta\omega}$ the factor
# is 1, with $e^{-i\delta\omega}$ it is $(2\pi)^{-m}$; mixed, the "density" integrates to 0.159. The features
# $\cos(\omega^\top x + b)$ of its equation 7 use the second convention: with frequencies of the first one they
# approximate another kernel. Nor does the theorem give a probability without $k(0)=1$ (the measure has mass $k(0)$), and
# the frequencies come from a Gaussian *density* of width $1/\sigma$.

# %%
line = torch.tensor([[0.0], [1.5]], dtype=f64)
plain = sample_frequencies(1, 200_000, generator=ch.generator(14))
wide = sample_frequencies(1, 200_000, sigma=2.0, generator=ch.generator(15))


def estimate(omega, phase):
    """The kernel at distance 1.5 by phase features."""
    z = fourier_features(line, omega, phase)
    return (z[0] @ z[1]).item()


convention = {
    "exact": math.exp(-(1.5**2) / 2),
    "angular frequencies": estimate(plain.omega, plain.phase),
    "cyclic frequencies": estimate(plain.omega / (2 * math.pi), plain.phase),
}
# The cyclic transform by a sum of its own; one that comes out of an inverse transform would integrate to k(0) anyway.
frequencies, apart = torch.linspace(-3, 3, 601, dtype=f64), (places[1] - places[0]).item()
waves = torch.cos(2 * math.pi * frequencies[:, None] * places[:, 0])
cyclic = (waves * gaussian_kernel(origin, places)[0]).sum(-1) * apart
constants = {
    "exp(-i d w) / 2 pi": density["gaussian"].sum().item() * spacing,
    "exp(-2 pi i d w)": cyclic.sum().item() * 0.01,
    "as printed": density["gaussian"].sum().item() * spacing / (2 * math.pi),
}
mass = {
    "of 3 k": spectral_density(3 * gaussian_kernel(origin, places)[0]).sum().item() * spacing,
    "width 2, exact": math.exp(-(1.5**2) / 8),
    "width 2, inverse width": estimate(wide.omega, wide.phase),
    "width 2, same width": estimate(wide.omega * 4, wide.phase),
}

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-fourier-constant",
    value={"integral": constants, "kernel at 1.5": convention},
    holds=abs(constants["exp(-i d w) / 2 pi"] - 1) < 1e-6
    and abs(constants["exp(-2 pi i d w)"] - 1) < 1e-6
    and abs(constants["as printed"] - 1 / (2 * math.pi)) < 1e-6
    and abs(convention["angular frequencies"] - convention["exact"]) < 0.01
    and abs(convention["cyclic frequencies"] - convention["exact"]) > 0.5,
)
ch.claim(
    "erratum-bochner-measure",
    value=mass,
    holds=abs(mass["of 3 k"] - 3) < 1e-6
    and abs(mass["width 2, inverse width"] - mass["width 2, exact"]) < 0.01
    and abs(mass["width 2, same width"] - mass["width 2, exact"]) > 0.5,
)

# %% [markdown]
# ## The representer theorem
#
# The minimizer of a regularized loss is a combination of $k(\cdot, x_i)$. For features this says: ridge regression in
# the $D$ weights (primal) and kernel ridge regression with $K = zz^\top$ (dual) predict the same.

# %% tags=["nbval-check-output"]
x_all = torch.randn(160, 3, generator=ch.generator(20), dtype=f64)
y_train = torch.sin(x_all[:100].sum(-1, keepdim=True))
gaps, largest = {}, {}
for width in (40, 400):
    z = fourier_features(x_all, *sample_frequencies(3, width, generator=ch.generator(21)))
    primal = z[100:] @ feature_ridge(z[:100], y_train, 1e-4)
    dual = z[100:] @ z[:100].mT @ kernel_ridge(z[:100] @ z[:100].mT, y_train, 1e-4)
    gaps[f"D = {width}"] = (primal - dual).abs().max().item()
    largest[f"largest prediction, D = {width}"] = primal.abs().max().item()  # zeros agree as well
ch.claim("representer", value=gaps | largest, holds=max(gaps.values()) < 1e-8 and min(largest.values()) > 0.1)

# %% [markdown]
# ## Importance sampling
#
# The probability that a standard normal exceeds 4 is $3.2\cdot 10^{-5}$; a hundred thousand plain samples see it about
# three times. Samples of $N(4,1)$, each weighted by the ratio of densities, see it every other time. What they estimate
# without bias is $\mathbb E_p[f]$; the review writes $f(x)$.

# %% tags=["nbval-check-output"]
exact_tail = math.erfc(4 / math.sqrt(2)) / 2
samples = 4 + torch.randn(100_000, generator=ch.generator(22), dtype=f64)
tail = importance_estimate(lambda t: t > 4, samples, lambda t: -(t**2) / 2, lambda t: -((t - 4) ** 2) / 2)
mean, stderr = tail.mean.item(), tail.stderr.item()
ratio = exact_tail * (1 - exact_tail) / (100_000 * stderr**2)
off = abs(mean - exact_tail) / stderr
ch.claim("importance-unbiased", value={"s.e. off": off, "variance ratio": ratio}, holds=off < 4 and ratio > 100)
from_values = min(abs(mean - 0), abs(mean - 1)) / stderr  # f takes the values 0 and 1 only
ch.claim(
    "erratum-importance",
    value={"s.e. from E_p[f]": off, "s.e. from any f(x)": from_values},
    holds=off < 4 and from_values > 50,
)

# %% [markdown]
# ## Mean and variance of five maps
#
# Now the features. At equal output dimension $D = 64$, 20,000 draws each: how far is $z(x)^\top z(y)$ from $k(x, y)$ on
# average, and how much does it scatter? The closed forms for one value $k$ of the Gaussian kernel (they use that its value at twice the
# distance is $k^4$) are
#
# $$
# D\,\mathrm{Var} = \underbrace{1 + \tfrac{k^4}{2} - k^2}_{\text{phase}}, \qquad
# \underbrace{(1-k^2)^2}_{\text{paired}}, \qquad
# \underbrace{(1-k^2)^2\,(1 + \tfrac{k^2}{4})}_{\text{normalized, first order}} .
# $$

# %%
D = 64
distances = torch.tensor([0.1, 0.3, 0.5, 0.8, 1.0, 1.2, 1.5, 1.8, 2.1, 2.5], dtype=f64)
direction = torch.randn(16, generator=ch.generator(30), dtype=f64)
direction /= direction.norm()
point = torch.randn(16, generator=ch.generator(31), dtype=f64).to(ch.device)
others = point + (distances[:, None] * direction).to(ch.device)
exact = torch.exp(-(distances**2) / 2)
rows = []
for offset, method in enumerate(("phase", "paired", "normalized", "fastfood", "orthogonal")):
    values = kernel_estimates(method, point, others, D, draws, generator=ch.generator(40 + offset)).cpu()
    for j, k in enumerate(exact.tolist()):
        row = {"method": method, "D": D, "distance": distances[j].item(), "k": k}
        mean_error, variance = values[:, j].mean().item() - k, values[:, j].var().item()
        rows.append(row | {"metric": "mean error", "value": mean_error})
        rows.append(row | {"metric": "D variance", "value": D * variance})
        rows.append(row | {"metric": "standard errors off", "value": mean_error / math.sqrt(variance / draws)})
moments = pd.DataFrame(rows)
recorded_moments = ch.table("moments", moments)
scatter = moments[moments.metric == "D variance"].pivot_table(index="distance", columns="method", values="value")
off_by = moments[moments.metric == "standard errors off"].pivot_table(
    index="distance", columns="method", values="value"
)

# %% tags=["nbval-check-output"]
four = [0.3, 0.8, 1.5, 2.5]
bias = {f"distance {r}": off_by.loc[r, "phase"] for r in four}
missed = moments[(moments.metric == "mean error") & (moments.method == "phase") & moments.distance.isin(four)]["value"]
ch.claim(
    "rff-unbiased",
    value=bias | {"largest mean error": missed.abs().max()},
    holds=max(abs(v) for v in bias.values()) < 5 and missed.abs().max() < 0.01,  # 5 errors of any size would be easy
)

# %% [markdown]
# Normalizing: the variance should follow its first-order formula, gain where points are near and nothing where they are far.

# %% tags=["nbval-check-output"]
theory = {r: D * feature_variance(math.exp(-(r**2) / 2), D, "normalized").item() for r in four}
excess = {r: scatter.loc[r, "normalized"] / theory[r] - 1 for r in four}
gain = {r: scatter.loc[r, "normalized"] / scatter.loc[r, "phase"] for r in four}
fits, near, far = max(map(abs, excess.values())) < 0.1, gain[0.3] < 0.1, gain[2.5] > 0.9
ch.claim(
    "nrff-variance",
    value={"variance over phase": {str(r): v for r, v in gain.items()}, "over theory": max(excess.values())},
    holds=("partly" if far else True) if fits and near else False,
)

# %% [markdown]
# Against pairs of cosine and sine at the same output dimension, with the difference of the two formulas as the yardstick:

# %% tags=["nbval-check-output"]
# Each variance has a relative standard error of sqrt(2 / draws), their ratio of sqrt(4 / draws).
beats = (scatter["paired"] < scatter["normalized"] * (1 + 4 * math.sqrt(4 / draws))).all()
gap = [(scatter.loc[r, "normalized"] - scatter.loc[r, "paired"]) for r in (0.5, 0.8, 1.0)]
at = [math.exp(-(r**2)) for r in (0.5, 0.8, 1.0)]  # k squared
near_gap = all(abs(g - u * (1 - u) ** 2 / 4) < 0.02 for g, u in zip(gap, at))
ch.claim("paired-beats-normalized", value=gap, holds=bool(beats) and near_gap and all(g > 0.005 for g in gap))

# %% mystnb={"figure": {"name": "fig-14-variance", "caption": "D times the variance of the estimated kernel value against that value, 64 output coordinates; points are simulations, lines closed forms. Normalizing helps only where points are similar, and the plain paired map does at least as well everywhere. Left 20,000 draws; right, where it is recorded, the full scale with 500,000."}, "image": {"alt": "Two panels that look the same, each with five sets of points over the kernel value from 0 to 1: phase features fall from 1 to 0.5, normalized and paired features fall to 0 with the paired ones a little lower, Fastfood lies above phase and meets it near 1, orthogonal features lie lowest."}} tags=["hide-input"]
if ch.plots:

    def draw_variance(ax, table):
        """Simulated variances and, where there are any, the closed forms."""
        k = torch.linspace(0, 1, 200, dtype=f64)
        simulated = table[table.metric == "D variance"]
        for color, marker, method in zip(PALETTE, "os^Dv", ("phase", "paired", "normalized", "fastfood", "orthogonal")):
            if method in ("phase", "paired", "normalized"):
                ax.plot(k, D * feature_variance(k, D, method), color=color)
            part = simulated[simulated.method == method]
            ax.plot(part.k, part["value"], marker, color=color, ms=5, label=method)
        ax.set(xlabel="kernel value $k(x, y)$", ylim=(0, None))

    shown = ch.scales(moments, recorded_moments)
    fig, axes = figure(1, len(shown), height=3.6, sharey=True, squeeze=False)
    for ax, (scale, table) in zip(axes[0], shown.items()):
        draw_variance(ax, table)
        ax.set_title(scale)
    axes[0, 0].set_ylabel(r"$D \times$ variance")
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=5, fontsize=8)

# %% [markdown]
# Normalized features {cite}`li2017linearized` do cut the variance where $k$ is near 1, fifty-fold at $k = 0.956$, and
# change nothing where $k$ is small. But most of the gain comes for free: cosine and sine of the same frequency already
# have unit norm. For the Gaussian kernel the difference of the two closed forms is
#
# $$
# D\,(\mathrm{Var}_{\text{normalized}} - \mathrm{Var}_{\text{paired}}) = \tfrac14 k^2 (1-k^2)^2 \;\ge\; 0,
# $$
#
# so at equal output dimension the paired map is never worse there than the normalized one to first order in $1/D$, and it is
# unbiased, which a ratio is not. {cite:t}`sutherland2015error` make the same case against phases. Frequencies in
# orthogonal blocks {cite}`yu2016orthogonal` lower it again, without any normalization.
#
# ## Error against the number of features
#
# Every family on the same axes: root mean square error of a Gram matrix of 200 points in 16 dimensions, at equal output dimension. The scores that
# choose the leverage frequencies, out of a pool of $4D$, and Nyström's centres come from 1,800 more points of the same kind. Whatever the
# constant, the error of an average of $D$ random features can only fall like $D^{-1/2}$: the families differ by a constant, orthogonal frequencies by a factor of two. Nyström's approximation is no
# average and falls faster. Beside it, the largest error over a ball of radius 3.

# %%
families = ("phase", "paired", "normalized", "fastfood", "orthogonal", "leverage", "nystroem")
more = ch.pick(quick=1800, full=8000, smoke=300)
cloud = torch.randn(200, 16, generator=ch.generator(50), dtype=f64).to(ch.device)
rest = torch.randn(more, 16, generator=ch.generator(53), dtype=f64).to(ch.device)
inside = torch.randn(400, 4, generator=ch.generator(51), dtype=f64)
inside = 3 * inside / inside.norm(dim=-1, keepdim=True) * torch.rand(400, 1, generator=ch.generator(52), dtype=f64)
inside = inside.to(ch.device)
zero = torch.zeros(4, dtype=f64, device=ch.device)
K_cloud = gaussian_kernel(cloud, cloud, sigma=4.0)
k_ball = torch.exp(-inside.square().sum(-1) / 2)


# %%
def gram_errors(method, width, repeats):
    """RMS errors of the Gram matrix of the 200 points by independent draws of a map."""
    options = {"sigma": 4.0, "lam": 1e-3}
    for s in range(repeats):
        z = feature_map(method, rest, width, generator=ch.generator(1000 * s + width), **options)(cloud)
        yield (z @ z.mT - K_cloud).square().mean().sqrt().item()


# %%
rows = []
for width in widths:
    for method in families:
        repeats = 2 if method == "leverage" and width > 256 else 5  # its pool is what costs time
        values = gram_errors(method, width, repeats)
        rows += [
            {"method": method, "D": width, "seed": s, "metric": "RMS, Gram matrix", "value": v}
            for s, v in enumerate(values)
        ]
    balls = kernel_estimates("paired", zero, inside, width, ball_draws, generator=ch.generator(width), chunk=10)
    worst = (balls - k_ball).abs().amax(-1).tolist()
    rows += [
        {"method": "paired", "D": width, "seed": s, "metric": "largest, ball", "value": v} for s, v in enumerate(worst)
    ]
rates = pd.DataFrame(rows)
recorded_rates = ch.table("rates", rates)


# %%
def log_slope(table):
    """Least-squares slope of log value against log D."""
    mean = table.groupby("D")["value"].mean()
    return power_law(mean.index, mean).exponent.item()


def fitted_slopes(table):
    """Slope of every family, and of the largest error over the ball."""
    rms = table[table.metric == "RMS, Gram matrix"]
    found = {method: log_slope(rms[rms.method == method]) for method in families}
    return found | {"largest, ball": log_slope(table[table.metric == "largest, ball"])}


slopes = fitted_slopes(rates)

# %% tags=["nbval-check-output"]
averages = {method: slope for method, slope in slopes.items() if method != "nystroem"}
ch.claim("rff-rate", value=slopes, holds=all(-0.6 <= slope <= -0.4 for slope in averages.values()))

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import reference_slope, sweep

    def draw_rates(left, right, table):
        """Errors of all families (left) and over the ball (right), with their slopes."""
        slope = fitted_slopes(table)
        gram = table[table.metric == "RMS, Gram matrix"]
        ball = table[table.metric == "largest, ball"]
        labels = {method: f"{method} ({slope[method]:.2f})" for method in families}
        sweep(gram, "D", "value", "method", ax=left, order=list(families), labels=labels, logy=True)
        labels = {"largest, ball": f"paired ({slope['largest, ball']:.2f})"}
        sweep(ball, "D", "value", "metric", ax=right, labels=labels, logy=True)
        for ax, part in ((left, gram[gram.method == "phase"]), (right, ball)):
            first, last = part["D"].min(), part["D"].max()
            top = 1.35 * part[part["D"] == first]["value"].mean()
            reference_slope(ax, (first, last), top, -0.5, "slope -1/2")
            ax.set(xlabel="output coordinates $D$")
            ax.legend(fontsize=7)
        left.set_ylim(bottom=gram["value"].min() / 5)  # room for the legend below the lines
        left.get_legend().set_loc("lower left")
        left.set_ylabel("RMS error, Gram matrix")
        right.set_ylabel("largest error, ball")


# %% mystnb={"figure": {"name": "fig-14-rates", "caption": "Error of the approximated kernel against the number of output coordinates; fitted slopes in the legends, the dashed lines fall like the inverse square root. Left: root mean square over the Gram matrix of 200 points, every family. Right: largest error over a ball of radius 3, paired features. Above the quick run; below, where it is recorded, the full scale, up to 4,096 coordinates, with Nystroem's centres and the leverage scores from 8,000 points and 200 draws for the ball."}, "image": {"alt": "Left: seven falling lines on logarithmic axes; six run parallel to a dashed line of slope minus one half, orthogonal features half as high as the other five; Nystroem's lies below all and falls faster. Right: one line parallel to the dashed one. The full scale below continues the lines to 4,096."}} tags=["hide-input"]
if ch.plots:
    shown = ch.scales(rates, recorded_rates)
    fig, axes = figure(len(shown), 2, height=4.0, width_ratios=(3, 2), squeeze=False)
    for (left, right), (scale, table) in zip(axes, shown.items()):
        draw_rates(left, right, table)
        left.set_title(scale)
        right.set_title(scale)

# %% [markdown]
# Up to 4,096 coordinates, at full scale, the averages go on falling with slopes from -0.48 to -0.51, and Nyström's approximation
# with -0.74.
#
# ## Takeaway
#
# The theory that carries random features stands, once the constants are put right: cosines at frequencies from the
# kernel's own density estimate it without bias, at the Monte Carlo rate. Normalizing the features is a cure for a problem
# that pairing cosines with sines does not have.
