# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The landscape near the identity
#
# Hardt and Ma {cite}`hardt2017identity` look at the simplest residual network, a product
# $P = (I+A_L)\cdots(I+A_1)$ that is to match a matrix $R$. With $\Sigma$ the covariance of the inputs its excess risk is
#
# $$
# f(A) - f_{\min} = \operatorname{tr}\,(P-R)\,\Sigma\,(P-R)^\top.
# $$
#
# They prove two things: near zero every critical point is global, and for a large depth there is a global optimum near zero. The second
# needs $\det R > 0$, which the review does not mention. At the end come their ReLU networks, which fit any labels.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math
import warnings

import pandas as pd
import torch

from litrepro import Chapter, ConvergenceWarning
from litrepro.landscape import interpolating_resnet
from litrepro.linearnets import (
    gradient_lower_bound,
    identity_factorization,
    linear_resnet_descent,
    residual_gradient,
    residual_risk,
)
from litrepro.nets import count_parameters, mlp
from litrepro.training import fit_ensemble

warnings.simplefilter("ignore", ConvergenceWarning)
ch = Chapter("08-residual-networks", notebook="linear-landscape", profile=profile, seed=seed, full_minutes=1)
instances = ch.pick(quick=1000, full=100_000, smoke=100)
depths = ch.pick(quick=(4, 8, 16, 32, 64, 128, 256), full=(4, 8, 16, 32, 64, 128, 256, 512), smoke=(4, 16))
f64 = torch.float64


def normal(*shape, offset=0):
    """Standard normal numbers, one stream per offset."""
    return torch.randn(*shape, generator=ch.generator(offset), dtype=f64)


# %% [markdown]
# ## No bad critical points in the ball
#
# With $\tau = \max_i \|A_i\|_2 < 1$,
#
# $$
# \|\nabla f\|_F^2 \;\ge\; 4L\,(1-\tau)^{2L-2}\,\sigma_{\min}(\Sigma)\,\big(f - f_{\min}\big).
# $$
#
# Most random networks stay far above this bound, more so with depth; a few with small blocks come within some percent
# of it. It is the best possible: for $A_i = -\tau I$ and $R = cI$ it is an equality. The review of chapter 10 prints it
# as its equation 31, with the first power of $\sigma_{\min}$. That is right, a square would be false: multiply $\Sigma$
# by 100.


# %%
def random_networks(depth, d, offset):
    """Blocks of norms up to 0.9, targets and covariances."""
    blocks = normal(instances, depth, d, d, offset=offset)
    size = torch.rand(instances, depth, 1, 1, generator=ch.generator(offset + 1), dtype=f64)
    largest = 0.9 * torch.rand(instances, 1, 1, 1, generator=ch.generator(offset + 2), dtype=f64)
    blocks = blocks / torch.linalg.matrix_norm(blocks, 2)[..., None, None] * size * largest
    root = normal(instances, d, d, offset=offset + 3)
    return blocks, normal(instances, d, d, offset=offset + 4), root @ root.mT / d


rows = []
for depth in (2, 3, 5, 8):
    for d in (2, 5):
        blocks, target, sigma = random_networks(depth, d, 100 * depth + 10 * d)
        squared = residual_gradient(blocks, target, sigma).square().sum((-3, -2, -1))
        bound = gradient_lower_bound(blocks, target, sigma)
        # The same with 100 Sigma: the gradient grows 10,000 times, the risk 100 times, and so does sigma_min.
        large = residual_gradient(blocks, target, 100 * sigma).square().sum((-3, -2, -1))
        first = gradient_lower_bound(blocks, target, 100 * sigma)
        second = first * torch.linalg.svdvals(100 * sigma)[:, -1]
        frame = {"squared gradient": squared, "bound": bound, "first power": large / first, "square": large / second}
        rows.append(pd.DataFrame({k: v.numpy() for k, v in frame.items()}).assign(L=depth, d=d))
scatter = pd.concat(rows, ignore_index=True)
ratio = scatter["squared gradient"] / scatter["bound"]
eye = torch.eye(3, dtype=f64)
tight = []
for tau, depth, c in ((0.1, 2, 0.5), (0.3, 4, 0.9), (0.6, 8, -2.0)):
    blocks = (-tau * eye).expand(depth, 3, 3)
    tight.append((residual_gradient(blocks, c * eye).square().sum() / gradient_lower_bound(blocks, c * eye)).item())

# %% tags=["nbval-check-output"]
ch.claim(
    "no-spurious-optima",
    value={"instances": len(scatter), "smallest ratio": ratio.min(), "ratios of the tight family": tight},
    holds=bool((ratio >= 1 - 1e-9).all()) and all(abs(value - 1) < 1e-9 for value in tight),
)
ch.claim(
    "first-power-of-sigma",
    value={"first power, smallest": scatter["first power"].min(), "square, smallest": scatter["square"].min()},
    holds=bool((scatter["first power"] >= 1 - 1e-9).all()) and bool((scatter["square"] < 1).any()),
)

# %% mystnb={"figure": {"name": "fig-08-bound", "caption": "Squared gradient against its lower bound for 2,000 of the random networks, as many of each depth and size; those with a bound below 1e-12, some of the deepest, lie left of the frame. The dashed line is equality, on which the family A_i = -tau I lies."}, "image": {"alt": "A cloud of points above the diagonal of a log-log plot; the deeper the network, the further above. A few crosses lie exactly on the diagonal."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure(height=3.8)
    few = scatter.groupby(["L", "d"]).head(250)
    for depth, part in few.groupby("L"):
        (dots,) = ax.plot(part["bound"], part["squared gradient"], ".", ms=3, alpha=0.6)
        ax.plot([], [], "o", color=dots.get_color(), label=f"L = {depth}")
    exact = [(-tau * eye).expand(4, 3, 3) for tau in (0.05, 0.3, 0.6, 0.8)]
    ends = [gradient_lower_bound(blocks, 0.9 * eye).item() for blocks in exact]
    ax.plot(ends, [residual_gradient(b, 0.9 * eye).square().sum().item() for b in exact], "kx", label="$A_i=-\\tau I$")
    line = [1e-12, 1e4]
    ax.plot(line, line, color="0.35", ls="--", lw=1.2, label="equality")
    ax.set(xscale="log", yscale="log", xlim=(1e-12, 1e4), ylim=(1e-6, 1e6))
    ax.set(xlabel="lower bound", ylabel="squared gradient norm")
    ax.legend(ncol=2, loc="lower left")

# %% [markdown]
# Outside the ball the statement fails at once. With $A_1 = A_2 = -I$ both factors are zero, so is the gradient, and the
# risk is that of predicting nothing.

# %% tags=["nbval-check-output"]
outside = -eye.expand(2, 3, 3)
size, risk = residual_gradient(outside, eye).abs().max().item(), residual_risk(outside, eye).item()
ch.claim("critical-outside", value={"gradient": size, "excess risk": risk}, holds=size == 0 and risk > 0.1)

# %% [markdown]
# ## An optimum near zero
#
# Write $R = UP$ with a rotation and a stretch, and take roots of both: a rotation's $\ell$-th root turns every plane by an
# $\ell$-th of its angle. The norms of the factors minus the identity fall like $1/L$; the constant of the theorem,
# $2(\sqrt\pi+\sqrt{3\gamma})^2$, is generous.

# %%
targets = normal(80, 5, 5, offset=7)
targets = targets[torch.linalg.det(targets) > 0][:30]
gamma = torch.linalg.svdvals(targets).log().abs().amax(-1)
rows = []
for depth in depths:
    blocks = identity_factorization(targets, depth)
    gap = (residual_risk(blocks, targets) ** 0.5).max().item()
    bounds = 2 * (math.pi**0.5 + (3 * gamma) ** 0.5) ** 2 / depth
    for norm, limit, g in zip(torch.linalg.matrix_norm(blocks, 2).amax(-1), bounds, gamma):
        rows.append({"L": depth, "norm": norm.item(), "bound": limit.item(), "applies": depth >= 3 * g, "gap": gap})
factors = pd.DataFrame(rows).astype({"applies": bool})
share = (factors["norm"] / factors["bound"])[factors["applies"]]
recorded = ch.table("factors", factors)

# %% tags=["nbval-check-output"]
ch.claim(
    "small-norm-optimum",
    value={"largest share of the bound": share.max(), "error of the product": factors["gap"].max()},
    holds=bool((share <= 1).all()) and factors["gap"].max() < 1e-12,
)

# %% [markdown]
# ## Half of all targets cannot be reached
#
# Small real factors $I + A_i$ have positive determinants, so their product cannot approach an $R$ with $\det R < 0$: at
# any depth the optimum in the ball is missing, and gradient descent from zero ends at a positive risk, up to a lucky overshoot (Bartlett,
# Helmbold and Long {cite}`bartlett2018gradient` turn this into a theorem for symmetric targets). "No spurious local
# optima" is a statement about a ball that may contain no optimum. A network of depth one or two has large factors
# within reach, and escapes.

# %%
pool = normal(300, 3, 3, offset=11)
pool = torch.stack([pool[torch.linalg.det(pool) * sign > 0][:60] for sign in (1, -1)])
pool = 2 * pool / torch.linalg.matrix_norm(pool, 2)[..., None, None]
rows = {}
for depth in (1, 2, 5, 10):
    run = linear_resnet_descent(eye, pool, depth, step=0.15 / depth, iterations=2500)
    rows[depth] = (run.loss[..., -1] < 1e-4 * run.loss[..., 0]).double().mean(-1).tolist()
reached = pd.DataFrame(rows, index=["positive", "negative"]).T

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-determinant",
    value={"positive": reached.loc[5, "positive"], "negative": reached.loc[5, "negative"]},
    holds=reached.loc[5, "positive"] > 0.8 and reached.loc[5, "negative"] < 0.1,
)

# %% mystnb={"figure": {"name": "fig-08-factors", "caption": "Left: largest norm of the small factors of 30 random targets (median and range; from the recorded full run, which goes to depth 512, where there is one), with slope -1, and the theorem's bound for the median target, from the depth on at which the theorem applies to it. Right: share of 60 targets reached by gradient descent from zero."}, "image": {"alt": "Left: norms fall along the line of slope minus one, far below the bound. Right: success near one for positive determinants, near zero at depths five and ten for negative ones."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import band, reference_slope

    fig, axes = figure(1, 2, height=3.2)
    drawn = factors if recorded is None else recorded
    group = drawn.groupby("L")["norm"]
    band(group.median().index, group.median(), group.min(), group.max(), ax=axes[0], label="norm of factors")
    reference_slope(axes[0], (drawn["L"].min(), drawn["L"].max()), group.median().iloc[0], -1, "slope -1")
    middle = drawn.groupby("L")[["bound", "applies"]].median()
    axes[0].plot(middle["bound"][middle["applies"] == 1], color="C1", label="bound")
    axes[0].set(xscale="log", yscale="log", xlabel="depth L", ylabel="largest norm")
    axes[0].legend(loc="lower left")
    for name, style in (("positive", "o-"), ("negative", "s--")):
        axes[1].plot(reached.index, reached[name], style, label=f"{name} det")
    axes[1].set(xlabel="depth L", ylabel="share of targets reached", ylim=(-0.05, 1.05), xticks=(1, 2, 5, 10))
    axes[1].legend()

# %% [markdown]
# ## From zero to the optimum
#
# Theorem and construction together, on the straight way from zero blocks to the small factors of one target, 16 layers.
# With all blocks zero the bound is an equality. From there on the gradient stays far above it, and both reach zero only
# where the risk does. Move the slider along the way.

# %%
target = targets[int(gamma.argmin())]
end = identity_factorization(target, 16)
way = torch.cat([torch.linspace(0, 0.95, 39, dtype=f64), 1 - torch.logspace(-1.4, -3, 12, dtype=f64)])
blocks = way[:, None, None, None] * end
along = pd.DataFrame({
    "squared gradient": residual_gradient(blocks, target).square().sum((-3, -2, -1)).numpy(),
    "its lower bound": gradient_lower_bound(blocks, target).numpy(),
    "excess risk": residual_risk(blocks, target).numpy(),
    "largest norm": torch.linalg.matrix_norm(blocks, 2).amax(-1).numpy(),
}, index=way.numpy())  # fmt: skip

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import frames

    pages = {}
    for place in (0, 8, 16, 24, 32, 38, 44, 50):
        fig, (left, right) = figure(1, 2, height=3.2)
        here = along.iloc[place]
        for index, name in enumerate(along.columns[:3]):
            left.plot(along.index, along[name], color=f"C{index}", label=name)
            left.plot(way[place], here[name], "o", color=f"C{index}", ms=6)
        left.set(yscale="log", ylim=(1e-7, 1e5), xlabel="position on the path", ylabel="value")
        left.legend(loc="lower left")
        right.plot(along["its lower bound"], along["squared gradient"], color="0.6", lw=1.2)
        right.plot(here["its lower bound"], here["squared gradient"], "o", color="C0", ms=7)
        right.plot([1e-7, 1e5], [1e-7, 1e5], color="0.35", ls="--", lw=1.2, label="equality")
        right.set(xscale="log", yscale="log", xlim=(1e-7, 1e5), ylim=(1e-7, 1e5), xlabel="lower bound",
                  ylabel="squared gradient", title=f"largest norm of a block: {here['largest norm']:.3f}")  # fmt: skip
        right.legend(loc="lower right")
        pages[f"{way[place].item():.3f}"] = fig
    view = frames(pages, label="Position on the path", name="path-to-the-optimum",
                  alt="Left: squared gradient, lower bound and excess risk along the path, all falling to zero at its end, with the position marked. Right: the squared gradient against its bound, on the line of equality at the start and above it from there on.")  # fmt: skip
else:
    view = None
view

# %% [markdown]
# ## With ReLUs: any labels
#
# For classification the claim is about expressive power: enough residual blocks $u + V\,\mathrm{relu}(Uu+s)$ of constant
# width give every example its label. The construction is short: project the examples to a line, and let three units make
# a bump around each. The review turns the condition around ("if the sample size is large compared to the number of
# parameters"). It is the parameters that must outnumber the examples.

# %%
errors, largest = 0, []
for draw in range(20):
    x = normal(100, 5, offset=200 + draw)
    y = torch.randint(10, (100,), generator=ch.generator(300 + draw))
    network = interpolating_resnet(x, y, 10, seed=draw)
    errors += int((network(x).argmax(1) != y).sum())
    largest.append(max(p.abs().max().item() for p in network.parameters()))
rows = []
for n in (10, 30, 100, 300):
    y = torch.randint(10, (n,), generator=ch.generator(400 + n))
    network = interpolating_resnet(normal(n, 5, offset=500 + n), y, 10, seed=seed)
    rows.append({"n": n, "parameters": count_parameters(network), "blocks": len(network.blocks)})
sizes = pd.DataFrame(rows).set_index("n")

# %% tags=["nbval-check-output"]
ch.claim(
    "expressivity",
    value={
        "errors": errors,
        "parameters at n = 100": int(sizes.loc[100, "parameters"]),
        "largest weight": max(largest),
    },
    holds=errors == 0,
)

# %% [markdown]
# The other way round is impossible. A network of fixed size, about 500 parameters, is trained on random labels:
# it memorizes a handful, and cannot memorize thousands.

# %%
capacity = {}
for n in (20, 2000):
    x = normal(n, 20, offset=600 + n).float()
    y = torch.randint(10, (3, n), generator=ch.generator(700 + n))
    trained = fit_ensemble(
        lambda seed: mlp(20, [16], 10, seed=seed), [seed, seed + 1, seed + 2], (x, y), epochs=300 if n == 20 else 60,
        batch_size=20 if n == 20 else 100, optimizer="adam", lr=0.01, per_member=["y"], eval_every=1000,
    ).history  # fmt: skip
    last = trained[(trained.epoch == trained.epoch.max()) & (trained.metric == "accuracy")]
    capacity[n] = (1 - last.value).tolist()
count = count_parameters(mlp(20, [16], 10))

# %% tags=["nbval-check-output"]
enough = bool((sizes["parameters"] > sizes.index).all())
ch.claim(
    "erratum-expressivity-reversed",
    value={"parameters": count, "error at n = 20": capacity[20], "error at n = 2000": capacity[2000]},
    holds=enough and max(capacity[20]) == 0 and min(capacity[2000]) > 0.4,
)

# %% [markdown]
# ## Takeaway
#
# Both theorems hold, and say less than the review reads into them. The bound on the gradient is far below what most
# random networks show, more so with depth, though a few with small blocks come within some percent; the optimum near
# zero exists for half of all targets only; and a ReLU network that fits any labels exists with weights of $10^5$.
