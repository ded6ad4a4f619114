# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Deep linear networks: balance, rank, linear convergence
#
# The middle part of the review follows two papers on products of matrices. {cite:t}`arora2018optimization`: balanced
# factors stay balanced, and the product then follows a preconditioned gradient flow (lemma 6 to corollary 9).
# {cite:t}`arora2019convergence`: with whitened data, approximate balance and a *deficiency margin*, gradient descent
# converges linearly (theorem 13), which generalizes what {cite:t}`bartlett2019gradient` show for identity starts. The first
# is the subject of {doc}`../06-implicit-acceleration/theory`; here are the parts that this review adds, and its misprints.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.linearnets import (
    balance_gap,
    balanced_factors,
    deficiency_margin,
    emulation_errors,
    end_to_end,
    induced_direction,
    preconditioner,
    train_factors,
)
from litrepro.plotting import counted
from litrepro.solvers import power_law

ch = Chapter("07-double-acceleration", notebook="linear-convergence", profile=profile, seed=seed, full_minutes=2)
steps = ch.pick(quick=3000, full=30_000, smoke=300)
draws = ch.pick(quick=100_000, full=1_000_000, smoke=2000)
neighbours = ch.pick(quick=10_000, full=1_000_000, smoke=1000)
directions = ch.pick(quick=20, full=1000, smoke=5)
etas = [1e-2, 1e-3, 1e-4] if not ch.smoke else [1e-2, 1e-3]


def normal(*shape, offset):
    """Standard normal entries, float64."""
    return torch.randn(shape, generator=ch.generator(offset), dtype=torch.float64)


# %% [markdown]
# ## Balance, and the rule for the product
#
# One unit of flow time, three step sizes: gap and emulation error should both be proportional to the step, so that they
# vanish for the flow that the theorems speak of. (The review says that balanced weights stay balanced under gradient
# *descent*. They drift.) Equation (24) prints $WW^\top$ on both sides of the gradient: for $k\neq d$ that product does not
# exist, and for square matrices it emulates something else.

# %%
goal, start = normal(3, 3, offset=1), 0.6 * normal(3, 3, offset=2)


def flow_gradient(w):
    """Gradient of half the squared distance to the goal."""
    return w - goal


def printed_direction(w, g, depth):
    """Equation (24) as printed: [W W^T] on both sides."""
    values, vectors = torch.linalg.eigh(w @ w.mT)

    def power(exponent):
        return (vectors * values.clamp(min=0) ** exponent) @ vectors.mT

    return sum(power((j - 1) / depth) @ g @ power((depth - j) / depth) for j in range(1, depth + 1))


def printed_end(eta, time=1.0):
    """Where the printed rule of depth 3 arrives after one unit of time."""
    w = start
    for _ in range(round(time / eta)):
        w = w - eta * printed_direction(w, flow_gradient(w), 3)
    return w


# %%
errors = emulation_errors(flow_gradient, start, 3, lrs=etas)
gaps, distances = errors.gap.tolist(), errors.distance.tolist()
gap_slope, distance_slope = (power_law(etas, values).exponent.item() for values in (gaps, distances))
printed = [
    ((end - printed_end(eta)).norm() / end.norm()).item() for eta, end in zip(etas, errors.trained) if eta >= 1e-3
]

# %% [markdown]
# The rule preconditions the gradient. In vectorized form the preconditioner is a Kronecker sum, and for one output a
# length and a projection; it has no negative eigenvalue.


# %%
def kronecker_sum(w, depth):
    """The preconditioner from a singular value decomposition of W (3, 4), term by term."""
    u, s, vh = torch.linalg.svd(w)
    roots = torch.cat([s, torch.zeros(1, dtype=s.dtype)])
    total = 0
    for j in range(1, depth + 1):
        right = (vh.mT * roots ** (2 * (depth - j) / depth)) @ vh
        left = (u * s ** (2 * (j - 1) / depth)) @ u.mT
        total = total + torch.kron(right, left)
    return total


def single_output(row, slant, depth):
    """Length and projection: what the rule does to the gradient ``slant`` of one output."""
    projected = (slant * row).sum() / (row**2).sum() * row
    return row.norm() ** (2 - 2 / depth) * (slant + (depth - 1) * projected)


w, g = normal(3, 4, offset=3), normal(3, 4, offset=4)
kron, least, single = 0.0, math.inf, 0.0
for depth in (2, 3, 5):
    p = preconditioner(w, depth)
    spectrum = torch.linalg.eigvalsh(p)
    least = min(least, (spectrum[0] / spectrum[-1]).item())
    kron = max(kron, ((p - kronecker_sum(w, depth)).norm() / p.norm()).item())
    row, slant = w[:1], g[:1]
    closed = single_output(row, slant, depth)
    by_matrix = (preconditioner(row, depth) @ slant[0])[None]
    by_rule = induced_direction(row, slant, depth)
    single = max(single, (closed - by_matrix).norm().item(), (closed - by_rule).norm().item())

# %% tags=["nbval-check-output"]
ch.claim("balancedness-conserved", value={"gap": gaps, "slope": gap_slope}, holds=abs(gap_slope - 1) < 0.1)
ch.claim(
    "end-to-end-flow",
    value={
        "distance": distances,
        "slope": distance_slope,
        "Kronecker": kron,
        "least eigenvalue": least,
        "k = 1": single,
    },
    holds=abs(distance_slope - 1) < 0.1 and max(kron, single) < 1e-10 and least > -1e-12,
)
ch.claim(
    "erratum-right-factor",
    value={"correct": distances, "as printed, relative": printed},
    holds=abs(distance_slope - 1) < 0.1 and min(printed) > 0.01,
)

# %% [markdown]
# The order of the factors matters as well, the drift from balance is proportional to the step, and identity factors,
# square or not, are balanced exactly.

# %%
square = normal(3, 3, offset=5)
factors = balanced_factors(square, 3)
backwards = factors[0] @ factors[1] @ factors[2]
order = {
    "W_N ... W_1": (end_to_end(factors) - square).norm().item(),
    "W_1 ... W_N": ((backwards - square).norm() / square.norm()).item(),
}
ratios = [a / b for a, b in itertools.pairwise(gaps)]
initial_gap = balance_gap(balanced_factors(start, 3)).item()
identities = [[torch.eye(3, 5), *[torch.eye(3)] * (depth - 2), torch.eye(4, 3)] for depth in range(2, 6)]
identities += [[torch.eye(4)] * depth for depth in range(2, 6)]
identity_gap = max(balance_gap(each).item() for each in identities)

# %% tags=["nbval-check-output"]
ch.claim("erratum-product-order", value=order, holds=order["W_N ... W_1"] < 1e-10 and order["W_1 ... W_N"] > 0.1)
ch.claim(
    "erratum-balance-drifts",
    value={"start": initial_gap, "gap": gaps, "ratios": ratios},
    holds=initial_gap < 1e-12
    and gaps[0] > 1e-3
    and all(abs(ratio / (a / b) - 1) < 0.1 for ratio, a, b in zip(ratios, etas, etas[1:])),
)
ch.claim("identity-init-balanced", value=identity_gap, holds=identity_gap == 0)

# %% [markdown]
# ## Whitened data, and what a margin buys
#
# If $\frac1m XX^\top = I$ the loss is $\frac12\|W-\Phi\|_F^2$ plus a constant. A matrix $W$ has *deficiency margin* $c$ if
# $\|W-\Phi\|_F\le\sigma_{\min}(\Phi)-c$. Then every matrix at most as far from $\Phi$ has
# $\sigma_{\min}\ge c$: descent, which only gets closer, can never lose rank. The review speaks of a ball of radius
# $c$ without rank-deficient matrices. That is true, since $c\le\sigma_{\min}(\Phi)$, but it is not what the margin
# gives. The ball that matters has radius $\sigma_{\min}(\Phi)-c$, and all singular values in it are at least $c$. In a
# ball of radius $c$ they may be smaller.

# %%
x, y = normal(4, 60, offset=6), normal(3, 60, offset=7)
white = torch.linalg.solve_triangular(torch.linalg.cholesky(x @ x.mT / 60), x, upper=False)
trial = normal(100, 3, 4, offset=8)


def constant(data):
    """Spread over W of (27) minus half the squared distance to Phi = Y X^T / m."""
    phi = y @ data.mT / 60
    loss = (trial @ data - y).square().sum((1, 2)) / 120
    difference = loss - (trial - phi).square().sum((1, 2)) / 2
    return (difference.max() - difference.min()).item()


# %%
phi = normal(3, 4, offset=9)
u, s, vh = torch.linalg.svd(phi, full_matrices=False)
smallest = s[-1].item()


def ball(radius, count, offset):
    """Random matrices at most ``radius`` from phi, half of them on the sphere."""
    z = normal(count, 3, 4, offset=offset)
    z = z / z.flatten(1).norm(dim=1)[:, None, None]
    share = torch.rand(count, generator=ch.generator(offset + 1), dtype=torch.float64).mul(2).clamp(max=1)
    return phi + radius * share[:, None, None] * z


def shrunk(by):
    """The target with its last singular value smaller by ``by``."""
    return (u * torch.cat([s[:-1], s[-1:] - by])) @ vh


# %%
c = 0.8 * smallest
inside = torch.linalg.svdvals(ball(smallest - c, neighbours, 20))[:, -1].min().item()
worst = torch.linalg.svdvals(shrunk(smallest - c))[-1].item()
in_radius_c = torch.linalg.svdvals(shrunk(c))[-1].item()
deficient = normal(1000, 3, 2, offset=22) @ normal(1000, 2, 4, offset=23)
best_deficient = min(
    ((shrunk(smallest) - phi).square().sum() / 2).item(), ((deficient - phi).square().sum((1, 2)) / 2).min().item()
)
some = ball(1.2 * smallest, 1000, 24)
agrees = bool(((deficiency_margin(some, phi) > 0) == ((some - phi).square().sum((1, 2)) / 2 < smallest**2 / 2)).all())

# %% tags=["nbval-check-output"]
ch.claim(
    "whitened-loss",
    value={"whitened": constant(white), "not whitened": constant(x)},
    holds=constant(white) < 1e-10 and constant(x) > 1e-2,
)
ch.claim(
    "margin-keeps-rank",
    value={"c": c, "least of random": inside, "worst": worst, "best rank-deficient loss": best_deficient},
    holds=inside >= c - 1e-10
    and abs(worst - c) < 1e-10
    and abs(best_deficient / (smallest**2 / 2) - 1) < 1e-9
    and agrees,
)
ch.claim(
    "erratum-margin-radius",
    value={"within sigma_min - c": min(inside, worst) / c, "within c": in_radius_c / c},
    holds=min(inside, worst) >= c - 1e-10 and in_radius_c < 0.5 * c,
)

# %% [markdown]
# ## Theorem 13
#
# The theorem prescribes a step $\eta\le c^{(4N-2)/N}/(6144 N^3\|\Phi\|_F^{(6N-4)/N})$ and promises
# $\ell(t)\le\ell(0)\,e^{-\eta c^{2(N-1)/N}t}$. At that step nothing happens in any number of steps that one could wait for:
# to reach $10^{-6}$ it promises to need more than $10^8$ of them. So we also multiply it by 100, 1000 and 5000, outside of what is
# proven, and ask whether the promise is still kept.

# %%
multiples = torch.tensor([1.0, 100.0, 1000.0, 5000.0], dtype=torch.float64)


def descent_from_margin(k, d, depth):
    """Losses (t, 4) from a start with half the largest margin, and steps and promised rates (4)."""
    target = normal(k, d, offset=30 + 10 * depth + d)
    least = torch.linalg.svdvals(target)[-1].item()
    away = normal(k, d, offset=31 + 10 * depth + d)
    c = least / 2
    w0 = target + (least - c) * away / away.norm()
    bound = c ** ((4 * depth - 2) / depth) / (6144 * depth**3 * target.norm().item() ** ((6 * depth - 4) / depth))
    lr = (bound * multiples).to(ch.device)
    aim = target.to(ch.device)
    initial = [f.expand(4, *f.shape) for f in balanced_factors(w0.to(ch.device), depth)]
    path, _ = train_factors(lambda w: w - aim, initial, lr=lr, steps=steps)
    return (path - aim).square().sum((-2, -1)) / 2, lr, lr * c ** (2 * (depth - 1) / depth)


# %%
t = torch.arange(steps + 1, dtype=torch.float64, device=ch.device)[:, None]
rows, kept, shown = [], [], []
for k, d, depth in ((3, 3, 2), (3, 3, 3), (4, 6, 4)):
    loss, lr, promise = descent_from_margin(k, d, depth)
    kept.append(bool((loss <= loss[0] * torch.exp(-promise * t) * (1 + 1e-12)).all()))
    measured = -(loss[-1] / loss[0]).log() / steps
    for i, multiple in enumerate(multiples.tolist()):
        row = {"k": k, "d": d, "N": depth, "multiple": multiple, "step": lr[i].item()}
        row |= {"rate / promised": (measured[i] / promise[i]).item()}
        rows.append(row | {"steps to 1e-6, promised": math.log(1e6) / promise[i].item()})
    shown.append((f"({k}, {d}), N = {depth}", promise.cpu() * t.cpu(), -(loss / loss[0]).log().cpu()))
theorem = pd.DataFrame(rows)
ch.save("theorem13", theorem)

# %%
styles = {"step": "{:.1e}", "multiple": "{:.0f}", "steps to 1e-6, promised": "{:.1e}", "rate / promised": "{:.1f}"}


def brief(table):
    """The promised step and a multiple of 5,000, with few digits."""
    part = table[table.multiple.isin([1, 5000])]
    return part.assign(**{name: part[name].map(style.format) for name, style in styles.items()}).set_index(
        ["k", "d", "N"]
    )


brief(theorem)

# %% [markdown]
# The recorded full run, where there is one:

# %% tags=["hide-input"]
large = ch.paper("theorem13")
None if large is None else brief(large)

# %% tags=["nbval-check-output"]
ch.claim(
    "linear-convergence-13",
    value={"rate over promised": theorem["rate / promised"].tolist(), "steps promised": theorem.iloc[::4, -1].tolist()},
    holds=all(kept) and theorem["rate / promised"].min() > 1,
)

# %% mystnb={"figure": {"name": "fig-07-theorem", "caption": "Measured decrease of the logarithm of the loss over the decrease that theorem 13 promises by then, for three shapes and depths. A line is a run; the mark at its end tells how many times the prescribed step it took. Dashed: promise kept exactly; above it the loss falls faster than promised."}, "image": {"alt": "Nearly level lines of three colours on logarithmic axes, the ratio being between about 10 and 80, far above the dashed line at 1, over ten decades of promised decrease; the four runs of a colour continue one another."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure(height=3.2)
    for index, (name, promised, fallen) in enumerate(shown):
        for i in range(len(multiples)):
            ratio = fallen[1:, i] / promised[1:, i]
            ax.plot(promised[1:, i], ratio, color=f"C{index}", lw=1.6, label=name if i == 0 else None)
            ax.plot(promised[-1, i], ratio[-1], "os^D"[i], color=f"C{index}", ms=6)
    for marker, multiple in zip("os^D", multiples.tolist()):
        ax.plot([], [], marker, color="0.4", label=f"{multiple:g} times the step")
    ax.axhline(1, color="0.4", ls="--", lw=1, label="promise")
    ax.set(xscale="log", yscale="log", ylim=(0.7, 1000))
    ax.set(xlabel="promised decrease of log loss", ylabel="measured / promised")
    ax.legend(ncols=3, loc="upper left", fontsize=8)

# %% [markdown]
# The promise is kept with room to spare, even 5000 times beyond the step it was made for. It is a worst-case bound and
# says little about actual speed.
#
# It is also a statement about *full-batch* descent; the review announces it for SGD. With noisy labels, one sample per
# step and the same start and step size, the loss stops at a floor that no linear rate passes.

# %%
runs, m = 8, 60
white_t = white.mT  # (m, 4)
# Singular values that are far from zero: otherwise the start, half the smallest away, may be nearer to the aim than the noise.
clear = u @ torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64).diag() @ vh
noisy = clear @ white + 0.3 * normal(3, m, offset=60)
aim = noisy @ white_t / m
w0 = aim + 0.5 * torch.linalg.svdvals(aim)[-1] * normal(3, 4, offset=61) / normal(3, 4, offset=61).norm()
least = torch.linalg.svdvals(aim)[-1].item()
initial = [f.expand(runs, *f.shape) for f in balanced_factors(w0, 2)]
lr = 0.02 / aim.norm().item()
picks = iter(torch.randint(m, (steps, runs), generator=ch.generator(62)))


def one_sample(w):
    """Gradient from one sample per run."""
    index = next(picks)
    xi, yi = white_t[index], noisy[:, index].mT
    return ((w @ xi[..., None])[..., 0] - yi)[..., None] * xi[:, None]


# %%
sampled, _ = train_factors(one_sample, initial, lr=lr, steps=steps)
whole, _ = train_factors(lambda w: w - aim, initial, lr=lr, steps=steps)
floors, descent = ((path - aim).square().sum((-2, -1)) for path in (sampled, whole))
promise = lr * (least / 2) * torch.arange(steps + 1, dtype=torch.float64)[:, None]
bound = descent[0] * torch.exp(-promise)
# Down to 1e-8 of the start: far below, the descent ends at what rounding leaves, and the bound does not.
below = bool(((descent <= bound * (1 + 1e-12)) | (bound < 1e-8 * descent[0])).all())
tail = floors[-steps // 5 :].mean(0) / floors[0]

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-full-batch",
    value={"full batch": (descent[-1] / descent[0]).max(), "one sample": tail.tolist()},
    holds=below
    and (descent[-1] / descent[0]).max().item() < 1e-8
    and 1e-4 < tail.min().item() <= tail.max().item() < 0.5,  # it has learned, and then stopped
)

# %% [markdown]
# ## Does a larger margin converge faster?
#
# Equation (33) says so, of the bound. We start at $\|W_0-\Phi\|_F=\sigma_{\min}-c$ in random directions, or in the worst one
# (the last singular value shrunk), with one step size for all, and count steps until the loss is $10^{-6}$ of its start.

# %%
square = normal(4, 4, offset=42)
u, s, vh = torch.linalg.svd(square)
square = (u * torch.tensor([2.0, 1.6, 1.3, 1.0], dtype=torch.float64)) @ vh
shares = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
noise = normal(directions, 4, 4, offset=43)
noise = noise / noise.flatten(1).norm(dim=1)[:, None, None]
down = -(u[:, -1:] @ vh[-1:])
ways = torch.cat([noise, down[None]])
w0 = square + (1 - shares)[:, None, None, None] * ways
needed = {}
for depth in (2, 3):
    path, _ = train_factors(lambda w: w - square, balanced_factors(w0, depth), lr=0.02, steps=1000)
    loss = (path - square).square().sum((-2, -1))
    first = (loss > 1e-6 * loss[0]).sum(0)  # the loss falls monotonically
    for name, part in (("random", first[:, :-1].double().median(1).values), ("worst", first[:, -1].double())):
        needed[f"{name}, N = {depth}"] = part.tolist()
counted(pd.DataFrame(needed, index=[f"c = {share:.1f} sigma_min" for share in shares.tolist()]))

# %% tags=["nbval-check-output"]
faster = {name: v[-1] <= 0.9 * v[0] and all(b <= a for a, b in itertools.pairwise(v)) for name, v in needed.items()}
arrived = all(max(v) <= 1000 for v in needed.values())  # a count that does not move is one only if it is reached
ch.claim(
    "margin-speeds-up",
    value=needed,
    holds=arrived
    and (True if all(faster.values()) else "partly" if faster["worst, N = 2"] and faster["worst, N = 3"] else False),
)

# %% [markdown]
# From random directions the count hardly moves: loss is measured against its start, and most directions have little of
# the one that matters. From the worst direction the margin does what (33) says, though by far less.
#
# ## The variance of the start
#
# For one output, $w = w_N\cdots w_1$ with entries $\mathcal N(0,\sigma^2)$, $\|\Phi\|=1$: when is there a margin? For tiny
# $\sigma$ it is a question of the half space, hence the probability 1/2. For larger $\sigma$ it is rarer, and larger.

# %%
stds = [1e-3, 0.01, 0.1, 0.3, 0.6, 1.0]
unit = torch.zeros(1, 5, dtype=torch.float64)
unit[0, 0] = 1
chance = []
for depth in (2, 3):
    z = normal(draws, 4 + depth, offset=50 + depth)
    direction = z[:, :5] * z[:, 5:].prod(1, keepdim=True)
    for std in stds:
        margin = deficiency_margin((std**depth * direction)[:, None], unit)
        yes = margin > 0
        entry = {
            "depth": depth,
            "std": std,
            "frequency": yes.double().mean().item(),
            "mean c": margin[yes].mean().item(),
        }
        chance.append(entry)
chance = pd.DataFrame(chance)
chance.pivot(index="std", columns="depth", values=["frequency", "mean c"]).round(4)

# %% tags=["nbval-check-output"]
error = 4 * 0.5 / draws**0.5
good = []
for depth in (2, 3):
    part = chance[chance.depth == depth].set_index("std")
    good.append(abs(part.frequency[1e-3] - 0.5) < error)
    good += [part.frequency[std] < 0.5 - error for std in (0.3, 0.6, 1.0)]
    good.append(bool(part["mean c"].is_monotonic_increasing))
ch.claim(
    "init-tradeoff",
    value={f"N = {n}": chance[chance.depth == n].set_index("std")["frequency"].round(4).tolist() for n in (2, 3)},
    holds=all(good),
)

# %% mystnb={"figure": {"name": "fig-07-margin", "caption": "One output, five inputs, target of length 1: probability of a deficiency margin over the standard deviation of a Gaussian start (left), and the mean margin where there is one (right), depth 2 and 3."}, "image": {"alt": "Left: both curves start at one half and fall for standard deviations above 0.1. Right: the mean margin rises from nearly zero over several decades."}} tags=["hide-input"]
if ch.plots:
    fig, (left, right) = figure(1, 2, height=2.9)
    for index, (depth, part) in enumerate(chance.groupby("depth")):
        left.plot(part["std"], part.frequency, marker="os"[index], label=f"depth {depth}")
        right.plot(part["std"], part["mean c"], marker="os"[index], label=f"depth {depth}")
    left.set(xscale="log", xlabel="standard deviation", ylabel="probability of a margin", ylim=(0, 0.55))
    right.set(xscale="log", yscale="log", xlabel="standard deviation", ylabel="mean margin")
    left.legend()

# %% [markdown]
# ## Takeaway
#
# Every theorem of this part holds, once (24) has its right factor back and SGD is read as full-batch descent. What
# they bound is far from what happens: theorem 13's step is thousands of times too small, its rate about ten to seventy
# times too slow, and a larger margin, which it rewards, hardly matters from a random direction.
