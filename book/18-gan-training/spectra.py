# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Spectra: how fast, and what momentum and consensus do to it
#
# Near an equilibrium the game is linear, and the whole question is where $1-\eta\lambda$ goes as the step size grows, for every
# eigenvalue $\lambda$ of the field's Jacobian. All of the review's theory (sections 4 and 5) is about this picture. Each formula is
# checked here against brute force on thousands of random spectra at once.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, game_field, ring_mixture, train_gans
from litrepro.optim import (
    consensus_matrix,
    field_jacobian,
    gradient_rate,
    momentum_eigenvalues,
    momentum_interval,
    momentum_rate,
    optimal_momentum,
    optimal_step_size,
    search_momentum,
    step_size_bounds,
)

# %%
ch = Chapter("18-gan-training", notebook="spectra", profile=profile, seed=seed, full_minutes=1)
count = ch.pick(quick=2000, full=200_000, smoke=500)
f64 = torch.float64


def draw(*shape, offset, low=0.02, high=0.98):
    """Eigenvalues of modulus 0.2 to 3.2 and angle between low and high times a right angle, either sign."""
    u, v, side = torch.rand(3, *shape, generator=ch.generator(offset), dtype=f64)
    return torch.polar(0.2 + 3 * u, (low + (high - low) * v) * math.pi / 2 * torch.where(side < 0.5, -1.0, 1.0))


# %% [markdown]
# ## The best step size
#
# $\max_k |1-\eta\lambda_k|^2$ is a maximum of convex parabolas in $\eta$. The minimum is the vertex of one (one limiting eigenvalue) or a crossing
# of two. `optimal_step_size` tries all of them, exactly; the bounds of equations 2 to 4 hold around it.

# %%
eigs = draw(count, 5, offset=1)
eta, rate = optimal_step_size(eigs)
bounds = step_size_bounds(eigs)
violation = {
    "rate, lower": (bounds["rate2_lower"] - rate**2).max().item(),
    "rate, upper": (rate**2 - bounds["rate2_upper"]).max().item(),
    "step, lower": (bounds["eta_lower"] - eta).max().item(),
    "step, upper": (eta - bounds["eta_upper"]).max().item(),
}
# An independent look: no step size on a fine grid does better.
few = slice(0, 500)
grid = torch.linspace(0.01, 1.5, 600, dtype=f64)[:, None] * bounds["eta_upper"][few]
missed = (rate[few] - gradient_rate(eigs[few], grid).amin(0)).max().item()
single = draw(200, 1, offset=2)
pair = torch.cat((single, single.conj()), -1)
attained = (optimal_step_size(pair)[1] ** 2 - step_size_bounds(pair)["rate2_lower"]).abs().max().item()

# %% tags=["nbval-check-output"]
ch.claim(
    "eq-2-bounds",
    value=violation | {"grid search better by": missed, "pair": attained},
    holds=max(violation["rate, lower"], violation["rate, upper"], attained, missed) < 1e-12
    and violation["rate, upper"] > -1e-9
    and bool((rate < 1).all() and (bounds["rate2_upper"] < 1).all()),
)
# An interval that contains everything is not violated either: its ends are reached, the upper one nearly.
ch.claim(
    "eq-4-step",
    value=violation,
    holds=max(violation["step, lower"], violation["step, upper"]) < 1e-12
    and violation["step, lower"] > -1e-9
    and violation["step, upper"] > -0.05,
)

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    angles = torch.linspace(0, 2 * math.pi, 200)

    def trajectories(ax, values):
        """Paths of 1 - eta lambda and of its conjugate up to twice the best step size, and the circle of the best rate."""
        best, radius = optimal_step_size(values)
        ax.plot(angles.cos(), angles.sin(), "k", lw=1)
        ax.plot(radius * angles.cos(), radius * angles.sin(), color="#c00000", lw=1)
        for k, value in enumerate(values):
            for conjugate in (value, value.conj()):
                line = 1 - torch.linspace(0, 2 * best.item(), 50) * conjugate
                ax.plot(line.real, line.imag, color=f"C{k}", lw=1)
                at = 1 - best * conjugate
                ax.plot(at.real, at.imag, "o", color=f"C{k}", ms=5)
        return radius


# %% mystnb={"figure": {"name": "fig-18-circles", "caption": "Trajectories of 1 minus eta lambda for growing step size, dots at the best one. Left: the circle of the best rate (red) touches one trajectory, which alone limits it. Right: it passes through two; a larger step would push one out, a smaller one the other."}, "image": {"alt": "Two complex planes with a black unit circle, a red circle and three pairs of rays from the point 1. Left the red circle is tangent to one pair of rays; right the dots of two pairs lie on it."}} tags=["hide-input"]
if ch.plots:
    cases = {
        "one limiting eigenvalue": [0.8 + 1.1j, 1.1 + 0.3j, 0.7 + 0.15j],
        "a crossing": [0.3 + 0.15j, 2.4 + 0.9j, 1.6 + 0.3j],
    }
    fig, axes = figure(1, 2, height=3.5)
    for ax, (name, values) in zip(axes, cases.items()):
        radius = trajectories(ax, torch.tensor(values, dtype=torch.complex128))
        ax.set(title=f"{name}: rate {radius:.2f}", xlabel="Re", ylabel="Im", aspect="equal")
        ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))

# %% mystnb={"figure": {"name": "fig-18-bounds", "caption": "Random spectra of five eigenvalues: the squared rate at the best step between its bounds, and the best step over Re(1/lambda_1), between 1 and 2."}, "image": {"alt": "Left, two clouds of points on either side of the diagonal: lower bounds below it, upper bounds above. Right, a histogram of ratios between 1 and 2, about half of them at 1 and the rest spread evenly."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.1)
    axes[0].plot(rate[:2000] ** 2, bounds["rate2_lower"][:2000], ".", ms=2, label="lower bound", rasterized=True)
    axes[0].plot(rate[:2000] ** 2, bounds["rate2_upper"][:2000], ".", ms=2, label="upper bound", rasterized=True)
    axes[0].plot([0, 1], [0, 1], "k", lw=0.8)
    axes[0].set(xlabel=r"squared rate at the best step", ylabel="bound")
    axes[0].legend(markerscale=5)
    axes[1].hist(eta / bounds["eta_lower"], bins=40)
    axes[1].set(xlabel=r"best step over $\Re(1/\lambda_1)$", ylabel="spectra", xlim=(0.95, 2.05))

# %% [markdown]
# ## Momentum moves eigenvalues
#
# With momentum each $\lambda$ gives two eigenvalues, the roots of $\mu^2 - (1-\eta\lambda+\beta)\mu + \beta = 0$. For small $\beta$ they are
#
# $$
# \mu_+ \approx 1-\eta\lambda - \beta\,\frac{\eta\lambda}{1-\eta\lambda},\qquad \mu_- \approx \frac{\beta}{1-\eta\lambda} .
# $$
#
# The remainder should fall by four when $\beta$ is halved.

# %%
lam = draw(500, 1, offset=3)
step = 0.9 * lam.real[:, 0] / lam.abs()[:, 0] ** 2
base = 1 - step[:, None] * lam
taylor = {}
for sign in (-1, 1):
    errors = []
    for beta in (2e-4 * sign, 1e-4 * sign):
        plus, minus = momentum_eigenvalues(lam, step, beta)
        errors.append(torch.stack((plus - base + beta * (1 - base) / base, minus - beta / base)).abs())
    ratio = (errors[0] / errors[1]).median(1).values
    taylor |= {f"plus branch, beta {sign:+d}": ratio[0].item(), f"minus branch, beta {sign:+d}": ratio[1].item()}

# %% [markdown]
# Does a little momentum help? At a random step size, the slope of the rate in $\beta$ at 0 changes its sign at the ends of $I(\lambda)$.

# %%
lam = draw(5000, offset=4)
low, high = momentum_interval(lam)
step = torch.rand(5000, generator=ch.generator(5), dtype=f64) * 1.5 * high
small = 1e-7 * (lam.real / lam.abs()) ** 2 * (1 - step * lam).abs() ** 2  # far below the angle squared
slope = momentum_rate(lam[:, None], step, small) - momentum_rate(lam[:, None], step, -small)
clear = ((step / low - 1).abs() > 1e-3) & ((step / high - 1).abs() > 1e-3)
mismatches = (((slope > 0) != ((step > low) & (step < high))) & clear).sum().item()

# %% tags=["nbval-check-output"]
ch.claim("momentum-eigs-taylor", value=taylor, holds=all(3.5 < value < 4.5 for value in taylor.values()))
ch.claim(
    "interval-lambda",
    value={"mismatches": mismatches, "draws": int(clear.sum()), "inside": int(((step > low) & (step < high)).sum())},
    holds=mismatches == 0 and int(clear.sum()) > 4000,
)

# %% [markdown]
# The best pair of step size and momentum, by a grid that is refined around its best point. For one complex eigenvalue it must end at
# the closed form of {doc}`games`, with $\beta<0$; for a real spectrum at Polyak's parameters, with $\beta > 0$ where all eigenvalues of the
# method have just become complex.


# %%
angles = torch.linspace(0.15, 1.4, 8, dtype=f64)
single = torch.polar(torch.full_like(angles, 1.3), angles)
found = [search_momentum(value[None], eta=(1.5, 1.49), beta=(0.0, 0.99)) for value in single]
closed = torch.stack(optimal_momentum(single), -1)
searched = torch.tensor(found, dtype=f64)

# %%
real = {}
for kappa in (10.0, 100.0):
    spectrum = torch.linspace(1, kappa, 21, dtype=f64)
    root = math.sqrt(kappa)
    polyak = 4 / (root + 1) ** 2, ((root - 1) / (root + 1)) ** 2
    plus, minus = momentum_eigenvalues(spectrum, *polyak)
    spread = (torch.cat((plus.abs(), minus.abs())) - math.sqrt(polyak[1])).abs().max().item()
    _, beta, best = search_momentum(spectrum, eta=(2 / kappa, 1.99 / kappa), beta=(0.4, 0.59), rounds=12)
    real[kappa] = {"best": best, "Polyak": math.sqrt(polyak[1]), "beta": beta, "spread": spread}
pd.DataFrame(
    {"psi": angles, "search": searched[:, 2], "closed form": closed[:, 2], "beta": closed[:, 1], "plain": angles.sin()}
).round(4)

# %% tags=["nbval-check-output"]
off = (searched[:, 2] - closed[:, 2]).abs().max().item()
ch.claim(
    "negative-momentum-optimal",
    value={"largest difference of rates": off, "largest beta": searched[:, 1].max().item()},
    holds=off < 1e-3
    and bool((searched[:, 1] < 0).all())
    and bool((searched[:, 0] > single.real / single.abs() ** 2).all()),
)
# sqrt(beta) to 1e-6: at the ends of the spectrum the roots are double, and rounding of 1e-16 becomes 1e-8.
ch.claim(
    "momentum-real-to-complex",
    value={f"kappa {kappa:g}, {name}": value for kappa, row in real.items() for name, value in row.items()},
    holds=all(
        abs(row["best"] - row["Polyak"]) < 1e-2 and row["beta"] > 0 and row["spread"] < 1e-6 for row in real.values()
    ),
)

# %% [markdown]
# ## Four corrections
#
# *The branch.* Where $\Delta$ has a negative real part but is not a negative number, $i\sqrt{-\Delta}$ may be the root with a negative real
# part: then the printed $\mu_+$ is the smaller of the two.
# *The derivative* of the squared modulus is $2\Re(\lambda)\Re(1/\lambda)$ at $\eta=\Re(1/\lambda)$, not everywhere.
# *The second condition.* Where two eigenvalues limit the rate, a little negative momentum helps at the best step size if that lies in both of their
# intervals. The printed intersection is one of the eigenvalues, and two different numbers have nothing in common. The largest step that
# equation 4 allows, $2\Re(1/\lambda)$, lies in $I(\lambda)$ from an angle of $\pi/6$ on; the review's $\pi/4$ is enough but not sharp.
# *Real eigenvalues* need no momentum: $\eta=1/\lambda$ ends in one step.

# %%
lam, step = draw(20_000, 1, offset=6), 3 * torch.rand(20_000, generator=ch.generator(7), dtype=f64)
beta = 2 * torch.rand(20_000, generator=ch.generator(8), dtype=f64) - 1
s = 1 - step[:, None] * lam + beta[:, None]
Delta = 1 - 4 * beta[:, None] / s**2
case = ((Delta.real < 0) & (Delta.imag.abs() > 1e-6))[:, 0].nonzero()[:2000, 0]
corrected = momentum_eigenvalues(lam[case], step[case], beta[case])[0].abs()[:, 0]
as_printed = (s * (1 + 1j * torch.sqrt(-Delta)) / 2).abs()[case, 0]
modulus = beta[case].abs().sqrt()
branch = {
    "draws": len(case),
    "corrected is the larger": (corrected >= modulus - 1e-12).double().mean().item(),
    "printed is the smaller": (as_printed < modulus - 1e-9).double().mean().item(),
}

# %%
at = single.real / single.abs() ** 2  # Re(1/lambda)
h = 1e-6
derivative = {
    factor: (momentum_rate(single[:, None], factor * at, h) ** 2 - momentum_rate(single[:, None], factor * at, -h) ** 2)
    / (2 * h)
    for factor in (1.0, 0.5)
}
formula = 2 * single.real * at
relative = {factor: (value / formula - 1).abs() for factor, value in derivative.items()}

# %%
# The smallest angle at which the largest step of equation 4 lies in the interval, by bisection.
lower, upper = 0.1, 1.2
for _ in range(60):
    angle = (lower + upper) / 2
    value = torch.polar(torch.ones((), dtype=f64), torch.tensor(angle, dtype=f64))
    inside = 2 * value.real <= momentum_interval(value)[1]
    lower, upper = (lower, angle) if inside else (angle, upper)

# %%
# The random spectra from above, those with two limiting eigenvalues: is the rate lower at beta = -1e-8, and is the step in the intervals?
moduli = (1 - eta[:, None] * eigs).abs()
limiting = (rate[:, None] - moduli).abs() < 1e-9
two = (limiting.sum(1) == 2) & (moduli.where(~limiting, 0.0).amax(1) < rate - 1e-4)
low, high = (ends[two][limiting[two]].reshape(-1, 2) for ends in momentum_interval(eigs))
within = (eta[two, None] > low) & (eta[two, None] < high)
edge = torch.minimum((eta[two, None] / low - 1).abs(), (eta[two, None] / high - 1).abs()).amin(1) < 1e-3
helps = momentum_rate(eigs[two], eta[two], -1e-8) < rate[two]
second = {
    "spectra": int((~edge).sum()),
    "momentum helps": int(helps[~edge].sum()),
    "not as both intervals say": int((helps != within.all(1))[~edge].sum()),
    "not as one interval says": int((helps != within.any(1))[~edge].sum()),
}

# %%
negative = torch.linspace(-0.99, -0.01, 100, dtype=f64)
one = torch.ones(1, dtype=f64)
real_rates = momentum_rate(one, torch.linspace(0.01, 3, 1000, dtype=f64)[:, None], negative).amin(0)

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-branch",
    value=branch,
    holds=len(case) == 2000 and branch["corrected is the larger"] == 1 and branch["printed is the smaller"] > 0.1,
)
ch.claim(
    "erratum-rho-derivative",
    value={"at Re(1/lambda)": relative[1.0].max().item(), "at half of it": relative[0.5].min().item()},
    holds=relative[1.0].max().item() < 1e-5 and relative[0.5].min().item() > 0.1,
)

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-condition-2",
    value=second | {"smallest angle / pi": upper / math.pi},
    holds=abs(upper - math.pi / 6) < 1e-6
    and second["spectra"] > 250
    and second["not as both intervals say"] == 0
    and min(second["momentum helps"], second["not as one interval says"]) > 50,
)
ch.claim(
    "erratum-real-eigenvalue",
    value={"no momentum": momentum_rate(one, 1.0, 0.0).item(), "best negative": real_rates.min().item()},
    holds=momentum_rate(one, 1.0, 0.0).item() == 0 and real_rates.min().item() > 1e-3,
)

# %% [markdown]
# ## Consensus turns the spectrum
#
# For a normal Jacobian, $J^\top J$ shares the eigenvectors, and $\lambda$ becomes $\lambda + \gamma|\lambda|^2$: the imaginary part stays, the real one
# grows. The bound on the step size of plain play, into which the ratio of the two enters, is printed with $\Re\lambda$ for $|\Re\lambda|$ and for the
# largest eigenvalue only; both matter.
# (In the review's ascent convention stable eigenvalues have negative real parts.)

# %%
n, d = 200, 6
gammas = [0.0, 0.01, 0.1, 1.0, 10.0]
pairs = draw(n, d // 2, offset=9)
blocks = torch.zeros(n, d, d, dtype=f64)
for k in range(d // 2):
    re, im = pairs[:, k].real, pairs[:, k].imag
    blocks[:, 2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = torch.stack((re, im, -im, re), -1).reshape(n, 2, 2)
turn = torch.linalg.qr(torch.randn(n, d, d, generator=ch.generator(10), dtype=f64)).Q
normal = turn @ blocks @ turn.mT
ratios = []
for gamma in gammas:
    values = torch.linalg.eigvals(consensus_matrix(normal, gamma))
    ratios.append((values.imag / values.real).abs().amax(-1))
ratios = torch.stack(ratios, 1)

# %%
stable = torch.tensor([-10, -0.1 + 5j, -0.1 - 5j], dtype=torch.complex128)
limit = 2 / (stable.real.abs() * (1 + (stable.imag / stable.real) ** 2))
printed_limit = 2 / (stable.real * (1 + (stable.imag / stable.real) ** 2))
h = limit.min().item()
around = [(1 + factor * h * stable).abs().max().item() for factor in (0.99, 1.01)]

# %% tags=["nbval-check-output"]
falls = (ratios[:, 1:] < ratios[:, :-1]).all(1)
moved = torch.stack([(pairs.imag / (pairs.real + c * pairs.abs() ** 2)).abs().amax(-1) for c in gammas], 1)
off = (ratios - moved).abs().max().item()
ch.claim(
    "consensus-ratio",
    value={"medians": ratios.median(0).values.tolist(), "off the eigenvalues' formula": off},
    holds=bool(falls.all()) and off < 1e-9,
)
ch.claim(
    "erratum-consensus-step",
    value={"printed": printed_limit.real.tolist(), "largest eigenvalue": limit[0].item(), "all": h},
    holds=bool((printed_limit.real < 0).all()) and around[0] < 1 < around[1] and limit[0].item() > 20 * h,
)

# %% mystnb={"figure": {"name": "fig-18-consensus-ratio", "caption": "The largest ratio of imaginary to real part against the weight of the consensus term, 200 normal Jacobians: median and quartiles."}, "image": {"alt": "A falling line on logarithmic axes, from a ratio of about 3 at gamma 0.001 to about 0.1 at 10."}} tags=["hide-input"]
if ch.plots:
    weights = torch.logspace(-3, 1, 25, dtype=f64)
    spread = torch.stack([torch.linalg.eigvals(consensus_matrix(normal, g)) for g in weights])
    spread = (spread.imag / spread.real).abs().amax(-1)
    low, middle, high = (spread.quantile(q, dim=1) for q in (0.25, 0.5, 0.75))
    fig, ax = figure(height=2.9)
    ax.loglog(weights, middle)
    ax.fill_between(weights, low, high, alpha=0.2)
    ax.set(xlabel=r"$\gamma$", ylabel=r"$\max\,|\Im\lambda/\Re\lambda|$")

# %% [markdown]
# With a slider: a spectrum of four eigenvalues under each method as the step size grows. Momentum and optimism have two
# eigenvalues for each of the game's.

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.optim import optimistic_eigenvalues
    from litrepro.plotting import frames

    shown = torch.tensor([0.1 + 1j, 0.1 - 1j, 0.5 + 0.4j, 0.5 - 0.4j], dtype=torch.complex128)
    turned = shown + 0.5 * shown.abs() ** 2

    def spectra(step):
        """The four spectra at one step size, beside each other, in the unit circle or not."""
        views = {
            "plain": 1 - step * shown,
            r"momentum $\beta=-0.4$": torch.cat(momentum_eigenvalues(shown, step, -0.4)),
            "optimistic": torch.cat(optimistic_eigenvalues(shown, step)),
            r"consensus $\gamma=0.5$": 1 - step * turned,
        }
        fig, axes = figure(1, 4, height=2.9, sharey=True)
        circle = torch.linspace(0, 2 * math.pi, 200)
        for ax, (name, values) in zip(axes, views.items()):
            ax.plot(circle.cos(), circle.sin(), "k", lw=0.9)
            inside = values.abs().max().item() < 1
            ax.plot(values.real, values.imag, "o", color="C2" if inside else "C1", ms=5)
            ax.set(title=f"{name}\n{values.abs().max():.2f}", xlabel="Re", aspect="equal")
            ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
            ax.title.set_fontsize(9)
        axes[0].set_ylabel("Im")
        return fig


# %% tags=["hide-input"]
if ch.plots:
    pictures = {step: spectra(step) for step in [round(0.2 * k, 1) for k in range(1, 9)]}
    slider = frames(
        pictures, label="step size", name="slider-18-spectra",
        alt="Eigenvalues of one step of four methods against the unit circle.",
    )  # fmt: skip
slider if ch.plots else None

# %% [markdown]
# ## The spectrum of a GAN
#
# Does any of this describe networks? A small GAN on the ring of eight Gaussians has a few hundred parameters, and its Jacobian at
# the point where training stops can be had exactly, on a fixed minibatch of 512. Beside it stands what consensus would make of it.

# %%
ring, _ = ring_mixture(2000, std=0.1, generator=ch.generator(11))
gans = train_gans(
    lambda: MLPGenerator(2, 10, (2,)), lambda: MLPDiscriminator((2,), 10), ring,
    [Variant("GAN", loss="saturating", lr=2e-3)], steps=ch.pick(quick=800, full=10_000, smoke=20), batch=128,
)  # fmt: skip
noise = torch.randn(512, 2, generator=ch.generator(12))
trained_field, point = game_field(gans, 0, ring[:512], noise)
gan_jacobian = field_jacobian(trained_field, point).double()
gan_eigs = torch.linalg.eigvals(gan_jacobian)
large = gan_eigs[gan_eigs.abs() > 1e-3 * gan_eigs.abs().max()]
about = {
    "parameters": len(point),
    "eigenvalues above a thousandth of the largest": len(large),
    "of these with an imaginary part": int((large.imag.abs() > 1e-6 * large.abs()).sum()),
    "of these with a negative real part": int((large.real < 0).sum()),
}
pd.Series(about, name="a small GAN").to_frame()

# %% mystnb={"figure": {"name": "fig-18-gan-spectrum", "caption": "Eigenvalues of a small trained GAN's Jacobian (left) and of its consensus matrix at weight 1 (right). Real and complex ones are mixed, and some have a negative real part: where training stops is no stable equilibrium of this minibatch's game."}, "image": {"alt": "Two scatter plots in the complex plane, axes logarithmic away from zero. Left points on the real axis and conjugate pairs on both sides of zero; right nearly as many to the left of zero, but the largest at smaller angles."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.0)
    for ax, gamma in zip(axes, (0.0, 1.0)):
        values = torch.linalg.eigvals(consensus_matrix(gan_jacobian, gamma))
        ax.plot(values.real, values.imag, ".", ms=5)
        ax.axvline(0, color="0.5", lw=0.8)
        ax.set(title=rf"$\gamma = {gamma:g}$", xlabel="Re", ylabel="Im")
        ax.set_xscale("symlog", linthresh=1e-3)
        ax.set_yscale("symlog", linthresh=1e-3)
        ticks = [sign * size for sign in (-1, 1) for size in (1e-2, 1)]
        ax.set_xticks([0, *ticks], ["0", *(f"{tick:g}" for tick in ticks)])
        ax.tick_params(labelsize=7)

# %% [markdown]
# ## Takeaway
#
# The theory stands: no bound is violated, the interval $I(\lambda)$ is exact, and what was a numerical observation has a closed form. Five
# details of the text do not: the branch of the root, a derivative quoted without its step size, eigenvalues intersected for their intervals, "any" eigenvalue
# where real ones need no momentum, and a step-size bound that is negative as printed. All of it is about equilibria that attract. The small GAN is
# at no such point when training stops: many of its larger eigenvalues have a negative real part.
