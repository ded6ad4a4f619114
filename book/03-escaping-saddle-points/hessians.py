# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What the Hessian of a network looks like
#
# The theory is about strict saddles, at which some curvature is negative. Are the saddles of networks strict? For linear
# networks the answer is known: with one hidden layer yes, with more layers the origin is degenerate {cite}`kawaguchi2016deep`. For trained networks
# {cite:t}`sankar2018saddle` report that the spectrum piles up at zero. A network small enough for its exact Hessian (610
# weights, on scikit-learn's digits) shows what that means.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import cifar10, digits, mnist
from litrepro.landscape import gradient, hessian
from litrepro.nets import StackedMLP
from litrepro.optim import descend
from litrepro.solvers import hvp, lanczos_quadrature
from litrepro.training import flat_weights, mlp_objective

ch = Chapter("03-escaping-saddle-points", notebook="hessians", profile=profile, seed=seed, full_minutes=2)
seeds = ch.pick(quick=3, full=20, smoke=1)
samples = ch.pick(quick=400, full=1437, smoke=50)
steps = ch.pick(quick=1500, full=20_000, smoke=20)
f64 = {"dtype": torch.float64, "device": ch.device}

# %% [markdown]
# ## Linear networks at the origin

# %%
g = ch.generator(1)
inputs, outputs = (torch.randn(3, 40, generator=g, dtype=torch.float64).to(ch.device) for _ in range(2))


def linear_net(depth):
    """Squared loss of a product of ``depth`` 3 x 3 matrices as a function of all entries, (..., 9 depth) -> (...)."""

    def loss(w):
        product = torch.eye(3, **f64).expand(*w.shape[:-1], 3, 3)
        for factor in w.reshape(*w.shape[:-1], depth, 3, 3).unbind(-3):
            product = factor @ product
        return (product @ inputs - outputs).square().mean((-2, -1)) / 2

    return loss


at_zero = {depth: hessian(linear_net(depth), torch.zeros(9 * depth, **f64)) for depth in (2, 3, 4)}
lowest = torch.linalg.eigvalsh(at_zero[2])[0].item()
norms = {depth: at_zero[depth].norm().item() for depth in (3, 4)}
# For two factors the Hessian at zero is the cross-moment, off the diagonal: its eigenvalues are plus and minus the singular values.
moment = torch.linalg.matrix_norm(outputs @ inputs.mT / outputs.numel(), 2).item()

# %% tags=["nbval-check-output"]
ch.claim("linear-strict-shallow", value={"lambda_min, 2 matrices": lowest, "norm of the Hessian": norms},
         holds=abs(lowest + moment) < 1e-10 and moment > 1e-3 and max(norms.values()) < 1e-12)  # fmt: skip

# %% [markdown]
# "Every local minimum is global" is a theorem about deep *linear* networks; the review states it for deep networks. One
# ReLU network is enough to tell the two apart. Let all its hidden units be off on the data and its output bias be the mean
# of the targets: whatever is changed a little, the loss does not fall, and a linear fit, which the same network can
# represent, is better.


# %%
def relu_net(w):
    """Squared loss of a 3-3-3 ReLU network with biases as a function of its 24 weights, (..., 24) -> (...)."""
    first, shift, second, bias = w.split([9, 3, 9, 3], -1)
    hidden = torch.relu(first.unflatten(-1, (3, 3)) @ inputs + shift[..., None])
    return (second.unflatten(-1, (3, 3)) @ hidden + bias[..., None] - outputs).square().mean((-2, -1)) / 2


off = torch.cat([torch.ones(9, **f64), torch.full((3,), -20.0, **f64), torch.ones(9, **f64), outputs.mean(1)])
nearby = off + 0.1 * torch.randn(2000, 24, generator=g, dtype=torch.float64).to(ch.device)
design = torch.cat([inputs, torch.ones_like(inputs[:1])]).mT
residual = outputs.mT - design @ torch.linalg.lstsq(design, outputs.mT).solution
dead = {
    "gradient": gradient(relu_net, off).norm().item(),
    "lowest rise nearby": (relu_net(nearby) - relu_net(off)).min().item(),
    "loss": relu_net(off).item(),
    "loss of a linear fit": (residual.square().mean() / 2).item(),
}

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-linear-only",
    value=dead,
    holds=dead["gradient"] < 1e-12
    and dead["lowest rise nearby"] > -1e-12
    and dead["loss of a linear fit"] < 0.99 * dead["loss"],
)

# %% [markdown]
# ## A trained network
#
# Full-batch heavy ball on the cross-entropy, several seeds at once, for a network with one hidden layer and one with
# three. Then the whole spectrum.

# %%
data = digits(n=samples, balanced=samples % 10 == 0, seed=seed)
x, y = data.images.flatten(1).to(**f64), data.labels.to(ch.device)


def network(widths):
    """Cross-entropy (tanh hidden units) as a function of all weights, (..., P) -> (...); and P."""
    shapes = [(a + 1, b) for a, b in itertools.pairwise(widths)]
    sizes = [a * b for a, b in shapes]

    def loss(w, rows=slice(None)):
        values = x[rows]
        for layer, part in enumerate(w.split(sizes, -1)):
            matrix = part.reshape(*part.shape[:-1], *shapes[layer])
            values = values @ matrix[..., :-1, :] + matrix[..., -1:, :]
            values = torch.tanh(values) if layer < len(sizes) - 1 else values
        return -torch.log_softmax(values, -1).gather(-1, y[rows].expand(values.shape[:-1])[..., None]).mean((-2, -1))

    return loss, sum(sizes)


def initial(count, widths, offset):
    """(seeds, P) weights, uniform in +-1/sqrt(fan-in)."""
    source = ch.generator(offset)
    parts = [
        (2 * torch.rand(count, (a + 1) * b, generator=source, dtype=torch.float64) - 1) / a**0.5
        for a, b in itertools.pairwise(widths)
    ]
    return torch.cat(parts, -1).to(ch.device)


nets = {"one hidden layer": (64, 8, 10), "three hidden layers": (64, 8, 8, 8, 10)}
spectra, slopes, weights, learnt = {}, {}, {}, {}
for index, (name, widths) in enumerate(nets.items()):
    loss, size = network(widths)
    path = descend(loss, initial(seeds, widths, 10 + index), "heavy-ball", 0.05, steps, record_every=steps)
    weights[name] = path.x[-1]
    learnt[name] = bool((path.f[-1] < 0.1 * path.f[0]).all())  # at the start the spectra are degenerate as well
    slopes[name] = gradient(loss, path.x[-1]).norm(dim=-1).tolist()
    spectra[name] = torch.stack([torch.linalg.eigvalsh(hessian(loss, w)) for w in path.x[-1]]).cpu()
small = {name: (s.abs() < 1e-3 * s[:, -1:]).double().mean(1).tolist() for name, s in spectra.items()}
negative = {name: s[:, 0].tolist() for name, s in spectra.items()}

# %% tags=["nbval-check-output"]
one, three = "one hidden layer", "three hidden layers"
degenerate = min(small[one]) > 0.5 and max(negative[one]) < 0
stationary = max(slopes[one]) < 1e-3
# What is not below -sqrt(rho eps) passes as second-order stationary: eps the norm of the gradient, rho = 1.
saddle = all(low < -(slope**0.5) for low, slope in zip(negative[one], slopes[one]))
ch.claim(
    "trained-degenerate",
    value={"share of small eigenvalues": small[one], "lambda_min": negative[one], "gradient norm": slopes[one]},
    holds=learnt[one] and (True if degenerate and stationary and saddle else "partly" if degenerate else False),
)
ch.claim(
    "depth-raises-degeneracy",
    value={"share of small eigenvalues": small},
    holds=all(learnt.values()) and all(deep > shallow for deep, shallow in zip(small[three], small[one])),
)

# %% mystnb={"figure": {"name": "fig-03-spectrum", "caption": "Eigenvalues of the Hessian of two trained networks, one line per seed, ordered, on a symmetric logarithmic axis. Most directions are flat to a thousandth of the steepest; a few negative eigenvalues remain."}, "image": {"alt": "Two panels of ordered eigenvalues: a long plateau near zero, a steep rise at the right end and a short negative tail at the left end."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, axes = figure(1, 2, height=3.2, sharey=True)
    for ax, (name, values) in zip(axes, spectra.items()):
        for line in values:
            ax.plot(torch.linspace(0, 1, len(line)), line, lw=1.2)
        ax.set(title=name, xlabel="quantile", yscale="symlog")
        ax.set_yscale("symlog", linthresh=1e-4)
    axes[0].set_ylabel("eigenvalue")

# %% [markdown]
# ## Does gradient noise point along negative curvature?
#
# If SGD's own noise were strong where the Hessian is negative, artificial noise would be superfluous
# {cite}`daneshmand2018escaping`. The variance of single-sample gradients along the lowest eigenvector, over the mean
# variance of a coordinate, at the start and during training:

# %%
loss, size = network(nets[one])
along, risk, curvatures = {}, {}, []
for checkpoint in (0, 30, 300):
    w = initial(seeds, nets[one], 20)
    if checkpoint:
        w = descend(loss, w, "sgd", 0.1, checkpoint, record_every=checkpoint).x[-1]
    shares, risk[checkpoint] = [], loss(w).mean().item()
    for member in w:
        values, vectors = torch.linalg.eigh(hessian(loss, member))
        each = torch.func.vmap(torch.func.grad(lambda v, i: loss(v, i[None])), (None, 0))(
            member, torch.arange(len(x), device=x.device)
        )
        curvatures.append(values[0].item())
        centred = each - each.mean(0)
        shares.append(((centred @ vectors[:, 0]).square().mean() / centred.square().mean()).item())
    along[checkpoint] = sum(shares) / len(shares)

# %% tags=["nbval-check-output"]
strong = [value > 1 for value in along.values()]
falling = risk[0] > risk[30] > risk[300]
ch.claim(
    "noise-along-curvature",
    value={"variance ratio by step": along, "loss by step": risk, "highest of the lowest eigenvalues": max(curvatures)},
    holds=falling and max(curvatures) < 0 and (True if all(strong) else "partly" if any(strong) else False),
)

# %% [markdown]
# ## Larger networks, without their Hessians
#
# A Hessian of 400,000 rows does not fit anywhere, but its spectrum can be sampled: Lanczos runs from random vectors give
# quadratures of the spectral density {cite}`ghorbani2019investigation`. On the small network the estimate can be held
# against the exact spectrum while it trains. The full profile does the same with a perceptron of the review's size (tanh
# units, no dropout) on 2,000 images of CIFAR-10.

# %%
probes, ritz = ch.pick(quick=(8, 40), full=(8, 80), smoke=(2, 6))
checkpoints = ch.pick(quick=[0, 100, 1000], full=[0, 300, 3000], smoke=[0, 5])
spectrum_rows = ch.pick(quick=400, full=2000, smoke=40)
if ch.full:
    images = mnist(n=spectrum_rows, source="bundled", size=8) if ch.smoke else cifar10(n=spectrum_rows, seed=seed)
    big_x, big_y = images.images.flatten(1).to(**f64), images.labels.to(ch.device)
    big = (big_x.shape[1], 128, 32, 10) if not ch.smoke else (64, 8, 10)
else:
    big_x, big_y, big = x, y, nets[one]
objective = mlp_objective(big, big_x, big_y, activation="tanh")
w = flat_weights(StackedMLP(big, generator=ch.generator(30))).to(**f64)[0]
quadratures, exact = [], {}
for before, now in zip([0, *checkpoints], checkpoints):
    if now > before:
        w = descend(objective, w, "heavy-ball", 0.05, now - before, record_every=now - before).x[-1]
    start = torch.randn(probes, len(w), generator=ch.generator(31), dtype=torch.float64).to(ch.device)
    nodes, shares = lanczos_quadrature(lambda v, w=w: hvp(objective, w.expand_as(v), v), start, ritz)
    quadratures.append(
        pd.DataFrame({"step": now, "node": nodes.flatten().tolist(), "weight": (shares / probes).flatten().tolist()})
    )
    if not ch.full:
        exact[now] = torch.linalg.eigvalsh(hessian(objective, w)).cpu()
quadratures = pd.concat(quadratures)
recorded = ch.table("spectra", quadratures.round(8))
agreement = pd.DataFrame(
    [
        {"step": step, "largest, exact": values[-1].item(), "largest, Lanczos": part.node[part.weight > 1e-9].max(),
         "share above 1% of it, exact": (values > 0.01 * values[-1]).double().mean().item(),
         "share, Lanczos": part.weight[part.node > 0.01 * values[-1].item()].sum()}
        for step, values in exact.items()
        for part in [quadratures[quadratures.step == step]]
    ]
)  # fmt: skip
agreement.round(3)

# %% mystnb={"figure": {"name": "fig-03-quadrature", "caption": "Share of the Hessian's eigenvalues below a value, at three points of the training: exact (lines) and by Lanczos quadrature from random vectors (dashed); right, where it has been recorded, the quadrature for the perceptron on CIFAR-10: the share of larger eigenvalues among the positive (lines) and of smaller ones among the negative (dashed). The quadrature follows the tails and the outliers closely, and the pile at zero in coarse steps."}, "image": {"alt": "Cumulative curves on a symmetric logarithmic axis, rising steeply at zero; the estimated staircases follow the exact curves in both tails and are coarse around zero. Right, on two logarithmic axes: shares of ten to the minus three fall to ten to the minus seven at eigenvalues of 15 before and 80 after training; the dashed lines of negative ones end at 3 before and 0.2 after it."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 1 if recorded is None else 2, height=3.3, squeeze=False)
    ax = axes[0, 0]
    for index, (step, part) in enumerate(quadratures.groupby("step")):
        part = part.sort_values("node")
        ax.step(part.node, part.weight.cumsum(), where="post", ls="--", color=f"C{index}", lw=1.2)
        if step in exact:
            ax.plot(exact[step], torch.linspace(0, 1, len(exact[step])), color=f"C{index}", label=f"step {step}")
    ax.set_xscale("symlog", linthresh=1e-3)
    ax.set(xlabel="eigenvalue", ylabel="share of eigenvalues below", xticks=[-1, -0.01, 0, 0.01, 1])
    ax.legend(fontsize=8)
    for index, (step, part) in enumerate([] if recorded is None else recorded.groupby("step")):
        part = part[part.weight > 1e-9].sort_values("node", ascending=False)
        for sign, style in ((1, "-"), (-1, "--")):
            side = part[sign * part.node > 0][::sign]
            label = f"step {step}" if sign == 1 else None
            axes[0, 1].step(side.node.abs(), side.weight.cumsum(), style, color=f"C{index}", lw=1.2, label=label)
    if recorded is not None:
        axes[0, 1].set(xscale="log", yscale="log", xlim=(1e-3, None), xlabel="size of the eigenvalue",
                       ylabel="share of larger ones")  # fmt: skip
        axes[0, 1].legend(fontsize=8, loc="lower left")

# %% [markdown]
# At the review's size (right, recorded: CIFAR-10, 398,000 weights) the picture is more extreme: at the start two thousandths of
# the spectrum lie beyond one per cent of the largest eigenvalue, half of them on the negative side, and training thins them out to a
# twentieth.

# %%
large = quadratures if recorded is None else recorded
seen = large[large.weight > 1e-9]
edge = seen.groupby("step").node.max()
outside = seen[seen.node.abs() > 0.01 * seen.step.map(edge)]
pd.DataFrame(
    {"largest": edge, "smallest": seen.groupby("step").node.min(),
     "share beyond 1% of the largest": outside.groupby("step").weight.sum()}
).map("{:.3g}".format)  # fmt: skip

# %% [markdown]
# ## Takeaway
#
# Most directions of the trained networks are flat: they are degenerate, as reported. That they sit at saddles is not
# shown. Some curvature is negative, but slightly: about 0.001 in size here, a tenth of that or less at full scale. The
# tolerance $\sqrt{\rho\epsilon}$ is 0.02 to 0.07 if $\epsilon$ is the norm of the gradient and $\rho$ about 1, so
# that the theory lets these points pass as second-order stationary, as it does minima. And the gradient is not zero: methods that wait
# until it vanishes before they perturb would wait for a long time. Its norm is 0.004 after 1,500 steps and, at full
# scale, 0.0004 after 20,000.
