# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why gradient play cycles, and four ways out
#
# Two players, one number each, $\min_x \max_y\, xy$. The equilibrium is the origin, and gradient play goes around it. This notebook
# plays that game with every method of the review, next to the eigenvalues that explain what one sees, and checks on the way
# the statements about the game of GANs that need no network.
#
# All fields are written for descent, $w \leftarrow w - \eta\, v(w)$ with $v = (\nabla_x L_1, \nabla_y L_2)$. For the game
# above $v(w) = Jw$ with $J = \begin{pmatrix} 0 & 1\\ -1 & 0\end{pmatrix}$, whose eigenvalues are $\pm i$.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.gans import gan_losses, inception_score
from litrepro.optim import (
    bilinear_game,
    field_jacobian,
    momentum_rate,
    optimal_momentum,
    optimistic_eigenvalues,
    play,
    play_matrix,
    quadratic_game,
)

ch = Chapter("18-gan-training", notebook="games", profile=profile, seed=seed, full_minutes=1)
points = ch.pick(quick=121, full=500, smoke=40)
f64 = torch.float64
field = bilinear_game(torch.eye(1, dtype=f64))
start = torch.tensor([1.0, 1.0], dtype=f64)
J = field_jacobian(field, start)
spectrum = torch.linalg.eigvals(J)

# %% [markdown]
# ## Trajectories and spectra
#
# One step of any of these methods is a linear map of the state (for momentum and optimism: of two consecutive states). The path
# converges exactly if the eigenvalues of that map lie inside the unit circle, and the largest modulus is the factor per step.

# %%
eta, steps = 0.4, 500
methods = {
    "simultaneous": {"method": "simultaneous"},
    "negative momentum": {"method": "simultaneous", "beta": -0.5},
    "alternating": {"method": "alternating", "split": 1},
    "alternating, negative momentum": {"method": "alternating", "split": 1, "beta": -0.5},
    "optimistic": {"method": "optimistic"},
    "extragradient": {"method": "extragradient"},
    "consensus": {"method": "consensus", "gamma": 0.5},
}
paths = {name: play(field, start, steps, eta=eta, **keywords) for name, keywords in methods.items()}
multipliers = {name: torch.linalg.eigvals(play_matrix(J, eta=eta, **keywords)) for name, keywords in methods.items()}
distance = {name: path.norm(dim=-1) for name, path in paths.items()}


# %%
def measured_rate(name, low=200):
    """Geometric mean factor per step of the distance, from step low to the end or to rounding."""
    values = distance[name]
    high = int((values > 1e-13).nonzero().max())
    return (values[high] / values[min(low, high // 2)]).item() ** (1 / (high - min(low, high // 2)))


rates = pd.DataFrame(
    {
        "largest modulus": {name: values.abs().max().item() for name, values in multipliers.items()},
        "measured factor per step": {name: measured_rate(name) for name in methods},
    }
)
rates.round(4)

# %% mystnb={"figure": {"name": "fig-18-trajectories", "caption": "Forty steps of the bilinear game from (1, 1) at step size 0.4 (above), and the eigenvalues of one step (below; the unit circle in black, the circle of the largest modulus in red). Outside the unit circle: a spiral outwards. On it: a closed orbit. Inside: convergence."}, "image": {"alt": "Five pairs of panels. Simultaneous play spirals out of the frame, with multipliers outside the unit circle; alternating play orbits, multipliers on the circle; alternation with negative momentum, optimism and consensus spiral in, multipliers inside."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    shown = ["simultaneous", "alternating", "alternating, negative momentum", "optimistic", "consensus"]
    fig, axes = figure(2, len(shown), height=2.0)
    angles = torch.linspace(0, 2 * math.pi, 200)
    for k, name in enumerate(shown):
        path, values = paths[name][:41], multipliers[name]
        axes[0, k].plot(path[:, 0], path[:, 1], ".-", color=f"C{k}", lw=1, ms=4)
        axes[0, k].plot(0, 0, "k+", ms=9)
        axes[0, k].set(
            title=name.replace(", negative ", ",\nnegative\n"), xlabel="$x$", aspect="equal", xlim=(-3, 3), ylim=(-3, 3)
        )
        axes[1, k].plot(angles.cos(), angles.sin(), "k", lw=0.9)
        radius = values.abs().max()
        axes[1, k].plot(radius * angles.cos(), radius * angles.sin(), color="#c00000", lw=0.9)
        axes[1, k].plot(values.real, values.imag, "o", color=f"C{k}", ms=5)
        axes[1, k].set(xlabel=r"Re $\mu$", aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        axes[0, k].title.set_fontsize(8)
        for ax in axes[:, k]:
            ax.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("$y$")
    axes[1, 0].set_ylabel(r"Im $\mu$")

# %% mystnb={"figure": {"name": "fig-18-distance", "caption": "Distance to the equilibrium. Straight lines on this axis are linear rates: optimism and consensus (one line here), extragradient, and alternation with negative momentum converge, and none of them like 1/T."}, "image": {"alt": "Distance on a logarithmic axis over 500 steps. Two lines rise, alternating play stays flat, four lines fall straight, consensus and optimism steepest and on top of each other."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.6)
    for k, (name, values) in enumerate(distance.items()):
        ax.semilogy(values, label=name, color=f"C{k}", ls="-" if k < 4 else "--")
    ax.set(xlabel="step", ylabel="distance to the equilibrium", ylim=(1e-12, 1e12))
    fig.legend(*ax.get_legend_handles_labels(), ncols=4, loc="outside upper center", fontsize=8)

# %% [markdown]
# On $\sigma xy$ simultaneous play grows by $\sqrt{1+\eta^2\sigma^2}$ per step, whatever the step size. Optimism turns the factor below one: with
# $\eta\lambda = ia$, $|a|\le\tfrac12$, its squared modulus is $(1+\sqrt{1-4a^2})/2$. The review gives $O(1/T)$ for the
# last iterate. As a bound that is true here and not sharp: the last iterate is linear, and the average is the slow one.
# In general convex-concave games $O(1/T)$ is the rate of the *average*, and the last iterate has $O(1/\sqrt T)$
# {cite}`golowich2020tight`. That is cited, not tested.

# %% tags=["nbval-check-output"]
growth = {}
for step, sigma in ((0.1, 1.0), (0.4, 1.7)):
    path = play(bilinear_game(sigma * torch.eye(1, dtype=f64)), start, 200, eta=step).norm(dim=-1)
    factor = math.sqrt(1 + (step * sigma) ** 2)
    growth[f"eta {step}, sigma {sigma}"] = (path[1:] / path[:-1] - factor).abs().max().item()
ch.claim("simultaneous-diverges", value=growth, holds=max(growth.values()) < 1e-9)

# %% tags=["nbval-check-output"]
optimism = {}
for step in (0.1, 0.4):
    path = play(field, start, 800, eta=step, method="optimistic").norm(dim=-1)
    spectral = max(mu.abs().max().item() for mu in optimistic_eigenvalues(spectrum, step))
    optimism[step] = {"measured": (path[250] / path[50]).item() ** (1 / 200), "spectral": spectral}
ch.claim(
    "omd-last-iterate",
    value={str(step): row["measured"] for step, row in optimism.items()},
    holds=all(row["measured"] < 1 and abs(row["measured"] - row["spectral"]) < 1e-3 for row in optimism.values()),
)
T = 500
average = paths["optimistic"][1:].cumsum(0)[-1].norm().item() / T
last = distance["optimistic"][-1].item()
ch.claim(
    "erratum-last-iterate-rate",
    value={"last": last, "average times T": average * T},
    holds=last < 1e-20 and 0.2 < average * T < 10,
)

# %% [markdown]
# With negative momentum the order of the players decides. At once, no $\beta$ helps; in turn, it does.

# %% tags=["nbval-check-output"]
betas = torch.linspace(-0.99, 0.99, 199, dtype=f64)
simultaneous = momentum_rate(spectrum, 0.4, betas)
modulus = rates["largest modulus"]
off = abs(measured_rate("negative momentum") - modulus["negative momentum"])
ch.claim(
    "alternating-negative-momentum",
    value={"alternating": modulus["alternating"], "with beta -0.5": modulus["alternating, negative momentum"],
           "simultaneous, best beta": simultaneous.min().item()},
    holds=abs(measured_rate("alternating") - 1) < 1e-3
    and max(measured_rate("alternating, negative momentum"), modulus["alternating, negative momentum"]) < 0.99
    and simultaneous.min().item() > 1
    and off < 1e-3,
)  # fmt: skip

# %% [markdown]
# What converges is *alternating* play with
# negative momentum, the main theorem of {cite:t}`gidel2019negative`, and GANs are trained in turn.
#
# ## Signs
#
# As printed, both players of the review's gradient play ascend, and so do both of its optimistic ones. Then there is no game: the two
# climb one function together, and on $xy$ they run off along the diagonal. On
# $L = \tfrac12x^2 + xy - \tfrac12y^2$ the corrected rules reach the equilibrium; with the printed ones the generator climbs its loss.

# %%
M = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=f64)  # v = (L_x, -L_y): both descend
printed = torch.diag(torch.tensor([-1.0, 1.0], dtype=f64)) @ M  # x ascends L too
signs = {
    (rule, method): play(quadratic_game(matrix), start, 300, eta=0.1, method=method)[-1].norm().item()
    for rule, matrix in (("corrected", M), ("printed", printed))
    for method in ("simultaneous", "optimistic")
}

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-descent-sign",
    value={f"{rule}, {method}": value for (rule, method), value in signs.items()},
    holds=all(value < 1e-6 if rule == "corrected" else value > 1e3 for (rule, _), value in signs.items()),
)

# %% [markdown]
# ## Consensus, and the norm of the field alone
#
# Consensus adds $\gamma\,\nabla\tfrac12\lVert v\rVert^2 = \gamma\, v'(w)^\top v$ to the field. Descending on the norm alone would find any zero of $v$,
# also an unstable one. The pair of games $v = (R \mp 1)\,w$, with $R$ the rotation generator, tells the two apart.

# %%
one = torch.eye(2, dtype=f64)
ends = {}
for name, matrix in (("unstable, R - 1", J - one), ("stable, R + 1", J + one)):
    ends["norm alone", name] = play(quadratic_game(matrix.T @ matrix), start, 400, eta=0.1)[-1].norm().item()
    ends["consensus", name] = (
        play(quadratic_game(matrix), start, 400, eta=0.1, method="consensus", gamma=0.1)[-1].norm().item()
    )

# %% tags=["nbval-check-output"]
ch.claim(
    "norm-descent-blind",
    value={f"{rule}, {name}": value for (rule, name), value in ends.items()},
    holds=max(ends["norm alone", name] for name in ("unstable, R - 1", "stable, R + 1")) < 1e-6
    and ends["consensus", "unstable, R - 1"] > 10
    and ends["consensus", "stable, R + 1"] < 1e-6,
)

# %% [markdown]
# Too much of it blurs that distinction: with $J = R - 1$ the consensus matrix $J + \gamma J^\top J$ has eigenvalues
# $-1 + 2\gamma \pm i$. Beyond $\gamma = 1/2$ the unstable point attracts. {doc}`consensus` tries large weights on images.
#
# ## When which method wins
#
# One eigenvalue $\lambda = re^{i\psi}$, all step sizes, all $\beta$. Plain play reaches $\sin\psi$ at best. The best heavy ball has
# a closed form that the review, which optimizes numerically, does not have:
#
# $$
# \beta = -\tan^2\tfrac\psi2,\qquad \eta = \frac1{r\cos^2(\psi/2)},\qquad \text{rate } \tan\tfrac\psi2 .
# $$
#
# There both roots of the characteristic polynomial meet.

# %%
psi = torch.linspace(0.02, math.pi / 2 - 0.005, 60, dtype=f64)
lam = torch.polar(torch.ones_like(psi), psi)
grid = torch.linspace(0.01, 2, 800, dtype=f64)[:, None]
best = pd.DataFrame(
    {
        "psi": psi / math.pi,
        "gradient": psi.sin(),
        "best momentum": optimal_momentum(lam)[2],
        "optimistic": torch.stack([mu.abs() for mu in optimistic_eigenvalues(lam[:, None], grid)])
        .amax(0)[..., 0]
        .amin(0),
        "extragradient": (1 - grid * lam + (grid * lam) ** 2).abs().amin(0),
    }
)
best.iloc[::12].round(3)

# %% mystnb={"figure": {"name": "fig-18-best-rates", "caption": "The best rate of four methods for one eigenvalue of angle psi, each at its best parameters. The best heavy ball beats plain play at every angle. Extragradient ends in one step at a third of pi; optimism has the same rate, 0.71, at every angle. Near the imaginary axis only these two stay away from 1."}, "image": {"alt": "Four curves of rate over the angle from 0 to half pi. Gradient rises as the sine to 1, momentum as the tangent of half the angle to 1; optimistic is flat at 0.71, extragradient falls from 0.75 to zero at a third of pi and ends at 0.87."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.3)
    for k, name in enumerate(best.columns[1:]):
        ax.plot(best["psi"], best[name], label=name, color=f"C{k}", ls=("-", "-", "--", ":")[k])
    ax.set(xlabel=r"angle $\psi/\pi$ of the eigenvalue", ylabel="best factor per step", ylim=(0, 1.02))
    ax.legend()

# %% mystnb={"figure": {"name": "fig-18-phase", "caption": "Logarithm of the rate over step size and momentum for one eigenvalue of modulus 1. Dashed lines: the interval I of step sizes in which a little negative momentum helps (at the two larger angles it ends beyond the frame). Circle: the best plain step. Star: the closed-form optimum."}, "image": {"alt": "Three maps at angles 0.15, 0.3 and 0.45 pi. The dark valley lies at beta below zero and moves down and right as the angle grows; the star sits at its deepest point."}} tags=["hide-input"]
if ch.plots:
    from litrepro.optim import momentum_interval

    fig, axes = figure(1, 3, height=2.9, sharey=True)
    etas, betas = torch.linspace(0.02, 3, points, dtype=f64), torch.linspace(-0.98, 0.6, points, dtype=f64)
    for ax, part in zip(axes, (0.15, 0.3, 0.45)):
        value = torch.polar(torch.ones(1, dtype=f64), torch.tensor([part * math.pi], dtype=f64))
        log_rate = momentum_rate(value, etas, betas[:, None]).log().clamp(-1.5, 0.5)
        image = ax.pcolormesh(etas, betas, log_rate, cmap="PuOr", vmin=-1.2, vmax=1.2, rasterized=True)
        ax.contour(etas, betas, log_rate, [0.0], colors="k", linewidths=0.8)
        for end in momentum_interval(value):
            ax.axvline(end.item(), color="0.2", lw=1.0, ls="--")
        eta_star, beta_star, _ = optimal_momentum(value)
        ax.plot(eta_star, beta_star, "*", color="k", ms=11)
        ax.plot(value.real, 0, "o", color="k", mfc="none")
        ax.set(title=rf"$\psi = {part}\pi$", xlabel=r"step size $\eta$", xlim=(0.02, 3))
    axes[0].set_ylabel(r"momentum $\beta$")
    fig.colorbar(image, ax=axes, label="log rate (black line: 0)")

# %% [markdown]
# ## The game of GANs without networks
#
# Four statements about the objective can be checked on numbers alone. With the best discriminator $D^* = p/(p+q)$ the value is
# $2\,\mathrm{JSD}(p,q) - \log 4$: we climb it numerically on two laws over twelve points. The objective printed for Wasserstein GANs adds where it
# must subtract, and leaves out the Lipschitz constraint. The gradient of the generator vanishes because the
# discriminator is sure, at any depth. And the Inception Score is large for predictions of *low* entropy with a mean of *high* entropy.

# %%
p, q = torch.rand(2, 12, generator=ch.generator(1), dtype=f64).add(0.05)
p, q = p / p.sum(), q / q.sum()
logit = torch.zeros(12, dtype=f64, requires_grad=True)
optimizer = torch.optim.LBFGS(
    [logit], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn="strong_wolfe"
)


def negative_value():
    """-V(D) of the discriminator with these logits."""
    optimizer.zero_grad()
    loss = -(p * torch.nn.functional.logsigmoid(logit) + q * torch.nn.functional.logsigmoid(-logit)).sum()
    loss.backward()
    return loss


# %%
optimizer.step(negative_value)
middle = (p + q) / 2
jsd = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
gap = abs(-negative_value().item() - (2 * jsd.item() - math.log(4)))

# %%
real, fake = torch.randn(2, 500, generator=ch.generator(2), dtype=f64)
correct = -gan_losses(real, fake, "wasserstein")[0]
shift = {
    "sum": (real + 100 + fake + 100).mean().item() - (real + fake).mean().item(),
    "difference": abs(-gan_losses(real + 100, fake + 100, "wasserstein")[0] - correct).item(),
    "scaled": abs(-gan_losses(100 * real, 100 * fake, "wasserstein")[0] / correct - 100).item(),
}
rejected = torch.tensor([1e-1, 1e-2, 1e-4, 1e-6], dtype=f64)
judged = torch.logit(rejected).requires_grad_()
slopes = {
    kind: torch.autograd.grad(gan_losses(judged[:, None], judged[:, None], kind)[1].sum(), judged)[0].abs()
    for kind in ("saturating", "nonsaturating")
}
onehot = torch.eye(10, dtype=f64)
scores = {
    "confident, balanced": inception_score(onehot.repeat(20, 1))[0].item(),
    "confident, one class": inception_score(onehot[:1].repeat(200, 1))[0].item(),
    "uniform": inception_score(torch.full((200, 10), 0.1, dtype=f64))[0].item(),
}

# %% tags=["nbval-check-output"]
ch.claim("optimal-discriminator", value=gap, holds=gap < 1e-6)

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-wgan-loss",
    value=shift,
    holds=abs(shift["sum"] - 200) < 1e-3 and shift["difference"] < 1e-3 and shift["scaled"] < 1e-6,
)
errors = {
    "minimax": (slopes["saturating"] - rejected).abs().max().item(),
    "other": (slopes["nonsaturating"] - (1 - rejected)).abs().max().item(),
}
ch.claim("erratum-saturation", value=errors, holds=max(errors.values()) < 1e-9)

# %% tags=["nbval-check-output"]
wanted = {"confident, balanced": 10, "confident, one class": 1, "uniform": 1}
ch.claim(
    "erratum-inception-score",
    value=scores,
    holds=max(abs(scores[name] - value) for name, value in wanted.items()) < 1e-9,
)

# %% [markdown]
# ## Takeaway
#
# What the review says about cycling and its cures holds on the bilinear game, to rounding, once a sign is put right.
# Two things it leaves out matter: the players' *order* (on the imaginary axis negative momentum works in alternating
# play only), and the angle of the spectrum (small angles belong to
# the best heavy ball, whose parameters have a closed form, those around a third of $\pi$ to extragradient, the imaginary axis to optimism).
