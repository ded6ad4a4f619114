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
# The theory is about strict saddles. Are the saddles of networks strict? For linear networks the answer is known: with
# one hidden layer yes, with more layers the origin is degenerate {cite}`kawaguchi2016deep`. For trained networks
# {cite:t}`sankar2018saddle` report that the spectrum piles up at zero. A network small enough for its exact Hessian (610
# weights, on scikit-learn's digits) shows what that means.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools

import torch

from litrepro import Chapter
from litrepro.data import digits
from litrepro.landscape import gradient, hessian
from litrepro.optim import descend

ch = Chapter("03-escaping-saddle-points", notebook="hessians", profile=profile, seed=seed, full_minutes=2)
seeds = ch.pick(quick=3, full=20, smoke=1)
samples = ch.pick(quick=400, full=1437, smoke=50)
steps = ch.pick(quick=3000, full=20_000, smoke=20)
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

# %% tags=["nbval-check-output"]
ch.claim("linear-strict-shallow", value={"lambda_min, 2 matrices": lowest, "norm of the Hessian": norms},
         holds=lowest < -0.05 and max(norms.values()) < 1e-12)  # fmt: skip

# %% [markdown]
# ("Every local minimum is global" is a theorem about deep *linear* networks; the review states it for deep networks.)
#
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
        values = x[rows].expand(*w.shape[:-1], *x[rows].shape)
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
spectra, slopes, weights = {}, {}, {}
for index, (name, widths) in enumerate(nets.items()):
    loss, size = network(widths)
    path = descend(loss, initial(seeds, widths, 10 + index), "heavy-ball", 0.05, steps, record_every=steps)
    weights[name] = path.x[-1]
    slopes[name] = gradient(loss, path.x[-1]).norm(dim=-1).tolist()
    spectra[name] = torch.stack([torch.linalg.eigvalsh(hessian(loss, w)) for w in path.x[-1]]).cpu()
small = {name: (s.abs() < 1e-3 * s[:, -1:]).double().mean(1).tolist() for name, s in spectra.items()}
negative = {name: s[:, 0].tolist() for name, s in spectra.items()}

# %% tags=["nbval-check-output"]
one, three = "one hidden layer", "three hidden layers"
degenerate = min(small[one]) > 0.5 and max(negative[one]) < 0
stationary = max(slopes[one]) < 1e-3
ch.claim(
    "trained-degenerate",
    value={"share of small eigenvalues": small[one], "lambda_min": negative[one], "gradient norm": slopes[one]},
    holds=True if degenerate and stationary else "partly" if degenerate else False,
)
ch.claim(
    "depth-raises-degeneracy",
    value={"share of small eigenvalues": small},
    holds=all(deep > shallow for deep, shallow in zip(small[three], small[one])),
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
along = {}
for checkpoint in (0, 30, 300):
    w = initial(seeds, nets[one], 20)
    if checkpoint:
        w = descend(loss, w, "sgd", 0.1, checkpoint, record_every=checkpoint).x[-1]
    shares = []
    for member in w:
        values, vectors = torch.linalg.eigh(hessian(loss, member))
        each = torch.func.vmap(torch.func.grad(lambda v, i: loss(v, i[None])), (None, 0))(
            member, torch.arange(len(x), device=x.device)
        )
        centred = each - each.mean(0)
        shares.append(((centred @ vectors[:, 0]).square().mean() / centred.square().mean()).item())
    along[checkpoint] = sum(shares) / len(shares)

# %% tags=["nbval-check-output"]
strong = [value > 1 for value in along.values()]
ch.claim("noise-along-curvature", value={"variance ratio by step": along},
         holds=True if all(strong) else "partly" if any(strong) else False)  # fmt: skip

# %% [markdown]
# ## Takeaway
#
# Trained networks do not sit at the strict saddles of the theory. Most of their directions are flat, the few negative
# curvatures are slight, and the gradient is not zero either. Methods that wait for a vanishing gradient before they
# perturb would wait for a long time.
