# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Infinitely many samples: the population gradient
#
# Under Gaussian inputs the expected loss of a ReLU network is a function of lengths and angles alone. Tian
# {cite}`tian2017analytical` writes its gradient down,
#
# $$
# \nabla_{w_j} = \sum_{j'} f(w_j, w_{j'}) - \sum_{j'} f(w_j, w^*_{j'}),
# $$
#
# $$
# f(u, v) = \frac{1}{2\pi}\Big[(\pi - \theta)\, v + \lVert v\rVert \sin\theta\, \frac{u}{\lVert u\rVert}\Big],
# $$
#
# $\theta$ the angle between $u$ and $v$, and proves that one neuron, started at random in a small ball, finds its teacher
# with a probability close to one half. We check the formula, run the dynamics for one neuron, and draw them for two.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.shallow import population_descent, population_gradient, population_loss, relu_network

ch = Chapter("10-shallow-networks", notebook="population-gradient", profile=profile, seed=seed, full_minutes=0.5)
starts = ch.pick(quick=400, full=10_000, smoke=40)
dims = sorted({*ch.pick(quick=[2, 10, 50], full=[2, 10, 50, 500], smoke=[2, 10]), 2})  # the plane is drawn
f64 = torch.float64

# %% [markdown]
# ## The formula
#
# Against central differences of the loss, and the loss itself against a mean over samples.

# %% tags=["nbval-check-output"]
g = ch.generator(1)
W, W_star = torch.randn(3, 5, generator=g, dtype=f64), torch.randn(4, 5, generator=g, dtype=f64)
h = 1e-5
shifts = h * torch.eye(15, dtype=f64).reshape(15, 3, 5)
numerical = (population_loss(W + shifts, W_star) - population_loss(W - shifts, W_star)).reshape(3, 5) / (2 * h)
gap = (numerical - population_gradient(W, W_star)).abs().max().item()
x = torch.randn(200_000, 5, generator=g, dtype=f64)
sampled = (relu_network(x, W) - relu_network(x, W_star)).square() / 2
off = (sampled.mean() - population_loss(W, W_star)).abs().item() / (sampled.std().item() / len(x) ** 0.5)
ch.claim("tian-gradient", value={"largest gap": gap, "standard errors": off}, holds=gap < 1e-6 and off < 5)

# %% [markdown]
# ## One neuron
#
# 400 starts on spheres of five radii around the origin, a teacher of length one. The theorem needs the start inside the
# ball of radius $\lVert w^*\rVert$ around the teacher, which a random start meets with a probability of about one half if it is small
# enough, and more rarely in many dimensions.

# %%
radii = [0.1, 0.3, 0.7, 1.2, 2.0]
rows, paths = [], {}
for d in dims:
    g = ch.generator(10 + d)
    w_star = torch.zeros(1, d, dtype=f64, device=ch.device)
    w_star[0, 0] = 1
    directions = torch.randn(starts, 1, d, generator=g, dtype=f64)
    directions = (directions / directions.norm(dim=-1, keepdim=True)).to(ch.device)
    errors = []
    for part in directions.split(500):  # ten thousand paths in 500 dimensions would take 20 GB
        W0 = torch.tensor(radii, dtype=f64, device=ch.device)[:, None, None, None] * part
        path = population_descent(W0, w_star, step=0.5, iterations=400, every=4)
        errors.append((path - w_star).norm(dim=(-2, -1)))
        if d == 2:
            paths.setdefault(d, path[..., 0, :].cpu())  # those of the first portion are drawn
    error = torch.cat(errors, -1)
    inside, reached = (error[0] < 1).cpu(), (error[-1] < 1e-6).cpu()
    for i, radius in enumerate(radii):
        rows.append(
            {
                "d": d,
                "radius": radius,
                "inside": inside[i].double().mean().item(),
                "reached": reached[i].double().mean().item(),
                "reached from inside": (reached[i] | ~inside[i]).double().mean().item(),
                "slowest": (error[:, i] > 1e-6).sum(0).max().item() * 4,
            }
        )
basins = pd.DataFrame(rows)
ch.save("one-neuron", basins)
basins.round(2)

# %% tags=["nbval-check-output"]
ch.claim(
    "tian-one-neuron",
    value={
        "smallest fraction reached": basins.reached.min(),
        "from inside the ball": basins["reached from inside"].min(),
        "fraction inside at radius 0.1": basins[basins.radius == 0.1].inside.mean(),
    },
    holds=bool(basins.reached.min() == 1 and basins["reached from inside"].min() == 1),
)

# %% mystnb={"figure": {"name": "fig-10-one-neuron", "caption": "One neuron in the plane: 60 of the 400 paths from each of two radii (dots: starts; star: teacher; circle: the ball of the theorem; blue: starts inside it, orange: outside). Starts outside the ball reach the teacher as well."}, "image": {"alt": "Curved paths from two rings of starts around the origin, all ending at the point (1, 0); about half of the inner ring lies inside the drawn circle."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    fig, axes = figure(1, 2, height=3.6)
    turn = torch.linspace(0, 6.2832, 200, dtype=f64)
    for ax, i in zip(axes, (1, 4)):
        ax.plot(1 + turn.cos(), turn.sin(), color="0.6", lw=1)
        chosen = paths[2][:, i, :60]
        inside = (chosen[0] - torch.tensor([1.0, 0.0], dtype=f64)).norm(dim=-1) < 1
        for k in range(chosen.shape[1]):
            ax.plot(chosen[:, k, 0], chosen[:, k, 1], color=PALETTE[0 if inside[k] else 1], lw=0.7)
        ax.scatter(chosen[0, :, 0], chosen[0, :, 1], s=8, c=[PALETTE[0 if each else 1] for each in inside])
        ax.plot(1, 0, "*", color="k", ms=11)
        ax.set(title=f"starts of length {radii[i]:g}", xlabel="$w_1$", aspect="equal")
    axes[0].set(xlim=(-0.5, 2.1), ylim=(-1.3, 1.3))
    axes[0].set_ylabel("$w_2$")

# %% [markdown]
# The probability of one half is that of the proof. The only obstacles are the origin, where the loss has a kink, and the
# ray opposite to the teacher, which has probability zero.
#
# ## Two neurons
#
# With orthonormal teachers and a start $w_1 = x\,w^*_1 + y\,w^*_2$, $w_2 = y\,w^*_1 + x\,w^*_2$ the dynamics stay in that
# plane. Its diagonal $x=y$ holds two identical neurons, which the gradient cannot tell apart: it ends in a saddle.

# %%
teacher = torch.eye(2, dtype=f64)


def pair(x, y):
    """Neurons (..., 2, 2) of the symmetric family."""
    return torch.stack([torch.stack([x, y], -1), torch.stack([y, x], -1)], -2)


axis = torch.linspace(-0.4, 1.2, 25, dtype=f64)
gx, gy = torch.meshgrid(axis, axis, indexing="xy")
field = -population_gradient(pair(gx, gy), teacher)[..., 0, :]
loss = population_loss(pair(gx, gy), teacher)
diagonal = population_descent(pair(*torch.tensor([[0.6], [0.6]], dtype=f64)), teacher, step=0.5, iterations=2000)[-1, 0]
saddle = diagonal[0, 0].item()
near = torch.tensor([[0.6, 0.1, 0.5], [0.59, 0.3, -0.3]], dtype=f64)
trajectories = population_descent(pair(*near), teacher, step=0.5, iterations=300)[..., 0, :]
# The Hessian at the saddle: along the diagonal and across it.
along, across = (torch.tensor(v, dtype=f64) / 2**0.5 for v in ([1.0, 1.0], [1.0, -1.0]))
curvature = []
for v in (along, across):
    points = saddle + 1e-3 * torch.stack([-v, torch.zeros(2, dtype=f64), v])
    below, here, above = population_loss(pair(points[:, 0], points[:, 1]), teacher)
    curvature.append(((below - 2 * here + above) / 1e-6).item())
pd.Series({"saddle at x = y": saddle, "curvature along": curvature[0], "curvature across": curvature[1]}).round(
    3
).to_frame("value")

# %% mystnb={"figure": {"name": "fig-10-two-neurons", "caption": "Two neurons, orthonormal teachers, in the symmetric family: flow of the population gradient over the logarithm of the loss, three trajectories, the two copies of the teacher (stars) and the saddle on the diagonal (cross)."}, "image": {"alt": "A vector field symmetric about the diagonal. Arrows lead to the points (1, 0) and (0, 1); on the diagonal they lead to a cross near (0.53, 0.53), where a trajectory lingers before it turns to one side."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=4.4, width=5.6)
    mesh = ax.pcolormesh(axis, axis, (loss + 1e-4).log10(), cmap="viridis", shading="gouraud")
    unit = field / field.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    ax.quiver(gx, gy, unit[..., 0], unit[..., 1], color="w", scale=34, width=0.003)
    for k in range(3):
        ax.plot(trajectories[:, k, 0], trajectories[:, k, 1], color=PALETTE[1], lw=1.8)
        ax.plot(*trajectories[0, k], "o", color=PALETTE[1], ms=5)
    ax.plot([1, 0], [0, 1], "*", color="k", ms=12, ls="")
    ax.plot(saddle, saddle, "X", color="k", ms=9)
    ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=(-0.4, 1.2), ylim=(-0.4, 1.2))
    ax.grid(False)
    fig.colorbar(mesh, label=r"$\log_{10}$ loss")

# %% [markdown]
# The valley along the diagonal attracts, and at the cross it turns downhill to both sides. Identical starts therefore
# never separate, which is the review's symmetry problem in its purest form, and any asymmetry grows.
#
# ## Takeaway
#
# The closed form is exact, and it is what makes experiments with infinitely many samples possible in the rest of this
# chapter. For one neuron gradient descent always arrives; the probability in the theorem measures the proof. For several
# neurons saddles appear where neurons coincide. How often random starts get stuck is measured in
# {doc}`tensor-initialization`.
