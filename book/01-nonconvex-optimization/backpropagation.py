# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Losses, gradients, and what they cost
#
# A classifier with several outputs needs a loss, the loss needs a gradient, and the gradient of a deep network can be
# computed in a cheap or in an expensive order. The lecture writes down all three; here they are checked against automatic
# differentiation, by counting, and with a clock.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.landscape.backprop import backward, backward_naive, forward, multiplications

ch = Chapter("01-nonconvex-optimization", notebook="backpropagation", profile=profile, seed=seed, full_minutes=1)
repeats = ch.pick(quick=20, full=100, smoke=3)
f64 = {"dtype": torch.float64}

# %% [markdown]
# ## Cross-entropy
#
# Scores become probabilities by soft-max, and the loss is the relative entropy of the label's unit vector, that is
# $-\log q_y$. The lecture's example has four scores.


# %%
def soft_max(z):
    """(..., c) -> (..., c), shifted by the largest score so that nothing overflows."""
    e = (z - z.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def relative_entropy(p, q):
    """-sum_j p_j log(q_j / p_j), with 0 log 0 = 0, (..., c) -> (...)."""
    return -torch.where(p > 0, p * (q / p.clamp(min=1e-300)).log(), 0.0).sum(-1)


scores = torch.tensor([0.1, -0.8, 1.4, 1.1], **f64)
unit = torch.eye(4, **f64)
losses = {label: relative_entropy(unit[label - 1], soft_max(scores)).item() for label in (2, 3)}
chosen = int(scores.argmax()) + 1  # classes are counted from 1

# %% tags=["nbval-check-output"]
ch.claim(
    "cross-entropy-example",
    value={"class": chosen, "losses": losses},
    holds=chosen == 3 and round(losses[2], 2) == 2.95 and round(losses[3], 2) == 0.75,
)

# %% [markdown]
# With two classes and scores $(z/2, -z/2)$ it is the logistic loss of the margin $yz$. And it is a loss: the relative
# entropy is never negative.

# %%
source = ch.generator(1)
z = torch.linspace(-30, 30, 601, **f64)
two = soft_max(torch.stack([z / 2, -z / 2], -1))
logistic = {y: torch.logaddexp(torch.zeros_like(z), -y * z) for y in (1, -1)}
gap = max((-two[:, 0 if y == 1 else 1].log() - logistic[y]).abs().max().item() for y in (1, -1))
p, q = (soft_max(3 * torch.randn(1000, 5, generator=source, **f64)) for _ in range(2))
divergence = relative_entropy(p, q)

# %% tags=["nbval-check-output"]
total = max((soft_max(100 * torch.randn(1000, 5, generator=source, **f64)).sum(-1) - 1).abs().max().item(), 0.0)
ch.claim(
    "cross-entropy-logistic",
    value={"difference": gap, "sum of soft-max - 1": total, "smallest relative entropy": divergence.min().item()},
    holds=gap < 1e-12 and total < 1e-12 and divergence.min().item() >= 0,
)

# %% [markdown]
# ## Backward
#
# For layers $u_l = W_l x_{l-1} + b_l$, $x_l = \sigma(u_l)$, the derivatives of a loss run backwards:
#
# $$\frac{\partial L}{\partial u_l} = \frac{\partial L}{\partial x_l} \odot \sigma'(u_l), \qquad
# \frac{\partial L}{\partial W_l} = \frac{\partial L}{\partial u_l}\, x_{l-1}^\top, \qquad
# \frac{\partial L}{\partial b_l} = \frac{\partial L}{\partial u_l},$$
#
# $$\frac{\partial L}{\partial x_{l-1}} = W_l^\top \frac{\partial L}{\partial u_l}.$$
#
# `backward` does that; `backward_naive` starts again from the output for every layer. Both against autograd, and the
# lecture's formulas (3) and (4) for $(y - \beta^\top\sigma(Wx))^2$ as well.

# %%
gaps = {"backward": [], "naive": [], "(3) and (4)": []}
for activation, depth in itertools.product(("identity", "relu", "tanh", "sigmoid"), (1, 3, 8)):
    widths = [3] + [5] * (depth - 1) + [2]
    W = [torch.randn(b, a, generator=source, **f64).requires_grad_(True) for a, b in itertools.pairwise(widths)]
    b = [torch.randn(n, generator=source, **f64).requires_grad_(True) for n in widths[1:]]
    x = torch.randn(7, 3, generator=source, **f64)
    target = torch.randn(7, 2, generator=source, **f64)
    us, xs = forward(W, b, x, activation)
    truth = torch.autograd.grad((xs[-1] - target).square().sum(), (*W, *b))
    plain = [[v.detach() for v in values] for values in (W, us, xs)]
    for name, method in (("backward", backward), ("naive", backward_naive)):
        gW, gb, _ = method(*plain, 2 * (plain[2][-1] - target), activation)
        found = [g.sum(0) for g in (*gW, *gb)]
        gaps[name] += [(a - b).abs().max() / (1 + b.abs().max()) for a, b in zip(found, truth)]

slopes = {  # activation and derivative, for the formulas that name sigma'
    "identity": (lambda u: u, torch.ones_like),
    "relu": (torch.relu, lambda u: (u > 0).to(u.dtype)),
    "tanh": (torch.tanh, lambda u: 1 - u.tanh() ** 2),
    "sigmoid": (torch.sigmoid, lambda u: u.sigmoid() * (1 - u.sigmoid())),
}
for s, slope in slopes.values():
    W, beta = (torch.randn(shape, generator=source, **f64).requires_grad_(True) for shape in ((6, 4), (6,)))
    x, y = torch.randn(4, generator=source, **f64), 0.7
    u = W @ x
    truth = torch.autograd.grad((y - beta @ s(u)) ** 2, (beta, W))
    residual = -2 * (y - beta @ s(u))
    formulas = (residual * s(u), residual * torch.outer(beta * slope(u), x))
    gaps["(3) and (4)"] += [(a - b).abs().max() for a, b in zip(formulas, truth)]
difference = {name: torch.stack(values).max().item() for name, values in gaps.items()}  # nan, if one of them is

# %% tags=["nbval-check-output"]
ch.claim("backprop-correct", value=difference, holds=max(difference.values()) < 1e-10)

# %% [markdown]
# ## Cost
#
# Counting multiplications for $k$ layers of width $H$: forward and backward together cost three times the forward
# pass, whatever $k$; the naive order costs more than that by a factor that grows with $k$. The clock agrees in kind,
# although at this size it measures the number of calls more than the products in them.

# %%
depths = [4, 8, 16, 32, 64]
count = {k: {m: multiplications([32] * (k + 1), m) for m in ("forward", "backprop", "naive")} for k in depths}
ratio = {k: row["naive"] / row["backprop"] for k, row in count.items()}


def backward_passes(depth, width=64):
    """Both backward passes for one sample, as functions to be timed."""
    W = [torch.randn(width, width, generator=ch.generator(2)) / width**0.5 for _ in range(depth)]
    b = [torch.zeros(width) for _ in range(depth)]
    us, xs = forward(W, b, torch.randn(1, width, generator=ch.generator(3)))
    methods = {"backprop": backward, "naive": backward_naive}
    return {
        (name, depth): lambda f=method: [f(W, us, xs, xs[-1]) for _ in range(3)] for name, method in methods.items()
    }


timed_depths = (2, 8, 64)
times = ch.race({key: call for k in timed_depths for key, call in backward_passes(k).items()}, repeats)
timed = {k: times["naive", k] / times["backprop", k] for k in timed_depths}

# %% tags=["nbval-check-output"]
growth = ratio[64] / ratio[32]
ch.claim(
    "backprop-cost",
    value={"ratio of counts": ratio, "ratio of CPU times": timed},
    holds=1.5 <= growth <= 2.1 and timed[64] > 2 * timed[8],
)

# %% mystnb={"figure": {"name": "fig-01-cost", "caption": "Multiplications for one input against the depth, H = 32: the forward pass and backpropagation are proportional to k, the naive order tends to its square (dashed)."}, "image": {"alt": "Log-log plot of three lines against depth; two parallel lines of slope one and a third, steeper, that tends to a dashed line of slope two."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure, reference_slope

    fig, ax = figure(height=3.2)
    labels = {"forward": "forward pass", "backprop": "backpropagation", "naive": "naive derivative"}
    for name, label in labels.items():
        ax.plot(depths, [count[k][name] for k in depths], "o-", label=label)
    reference_slope(ax, (8, 64), 0.8 * count[8]["naive"], 2, "slope 2")
    ax.set(xscale="log", yscale="log", xlabel="layers k", ylabel="multiplications")
    ax.set_xticks(depths, [str(k) for k in depths])
    ax.minorticks_off()
    ax.legend()

# %%
pd.DataFrame(count).T.assign(ratio={k: round(v, 2) for k, v in ratio.items()}).rename_axis("layers")

# %% [markdown]
# One entry of the lecture's cost table is off: the gradient with respect to a bias *is* $\partial L/\partial u_l$, a vector
# of $H$ numbers, so it costs $O(H)$ (to copy, or to sum over a batch), not $O(1)$. It does not change the total.

# %%
entries = {}
for width in (16, 32, 64):
    W = [torch.randn(width, width, generator=source, **f64) / width**0.5]
    b = [torch.randn(width, generator=source, **f64)]
    us, xs = forward(W, b, torch.randn(width, generator=source, **f64))
    bias_gradient = backward(W, us, xs, torch.randn(width, generator=source, **f64))[1][0]
    entries[width] = len(bias_gradient.unique())

# %% tags=["nbval-check-output"]
ch.claim("erratum-bias-gradient", value=entries, holds=all(found == width for width, found in entries.items()))

# %% [markdown]
# Other slips concern dimensions and one assumption. In the definition of a hidden layer $W$ is $m \times d$, not
# $m \times n$; the unit cube in the approximation theorems is $n$-dimensional; the bias $b_1$ of the network with several
# outputs is in $\mathbb R^h$; and "continuous and locally bounded" says one thing twice (the original theorem asks for
# local boundedness and a small set of discontinuities instead of continuity).
#
# ## Takeaway
#
# The formulas are right. The order of evaluation is what makes deep networks trainable at all: at 64 layers the naive
# order costs about twelve times as much as backpropagation.
