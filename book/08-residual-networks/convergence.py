# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Gradient descent from zero
#
# That the landscape is good does not say that gradient descent is fast. Zou, Long and Gu {cite}`zou2020global` put the
# blocks between two fixed maps, $B\,(I+A_L)\cdots(I+A_1)\,A$, start at $A_i = 0$ and prove a linear rate that does not
# deteriorate with depth. Du and Hu {cite}`du2019width` had a rate for plain networks from Gaussian weights, whose width
# has to grow with depth: the factor $\kappa L$ that the review quotes compares these two conditions on the width. It does
# not compare with a plain network that starts at zero. Such a network does not move.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math
import warnings

import pandas as pd
import torch

from litrepro import Chapter, ConvergenceWarning
from litrepro.linearnets import linear_resnet_descent, train_factors, zou_rate
from litrepro.plotting import counted

warnings.simplefilter("ignore", ConvergenceWarning)
ch = Chapter("08-residual-networks", notebook="convergence", profile=profile, seed=seed, full_minutes=2)
width = ch.pick(quick=16, full=64, smoke=8)
trials = ch.pick(quick=10, full=50, smoke=3)
depths = ch.pick(quick=(1, 4, 16, 64), full=(1, 4, 16, 64, 256), smoke=(1, 4))
iterations = 200
d, n = 6, 30
f64 = torch.float64


def normal(*shape, offset=0):
    """Standard normal numbers, one stream per offset."""
    return torch.randn(*shape, generator=ch.generator(offset), dtype=f64).to(ch.device)


x = normal(trials, d, n, offset=1)
y = normal(trials, d, d, offset=2) @ x / d**0.5
maps = {"input_map": normal(trials, width, d, offset=3), "output_map": normal(trials, d, width, offset=4)}
scale = torch.stack([torch.linalg.matrix_norm(value, 2) for value in (x, *maps.values())]).prod(0) ** 2


def descend(depth, step, **options):
    """Loss (..., iterations + 1) of all trials; step in units of 1/(L |A|^2 |B|^2 |X|^2)."""
    return linear_resnet_descent(
        x, y, depth, step=step / (depth * scale), iterations=iterations, **maps, **options
    ).loss


# %% [markdown]
# ## The proved rate
#
# The targets are linear in the inputs and can be reached, so the minimal loss is 0. Above every curve must lie the envelope
#
# $$
# \big(1 - \eta L\,\sigma_{\min}(A)^2\,\sigma_{\min}(B)^2\,\sigma_r(X)^2/e\big)^t .
# $$
#
# It does, by far: the loss falls dozens of times faster than is proved.

# %%
losses = {depth: descend(depth, 0.5) for depth in depths}
time = torch.arange(iterations + 1, dtype=f64, device=ch.device)
inside, faster, rows = {}, {}, []
for depth, loss in losses.items():
    rate = zou_rate(x, *maps.values(), depth, 0.5 / (depth * scale))
    envelope = rate[:, None] ** time * loss[:, :1]
    inside[depth] = bool((loss <= envelope * (1 + 1e-9)).all())
    faster[depth] = ((loss[:, -1] / loss[:, 0]).log() / (rate.log() * iterations)).median().item()
    middle = (loss / loss[:, :1]).median(0).values
    rows += [{"L": depth, "iteration": t, "loss": v} for t, v in enumerate(middle.tolist()) if t % 5 == 0]
curves_table = pd.DataFrame(rows)
recorded = ch.table("zou", curves_table)

# %% tags=["nbval-check-output"]
ch.claim(
    "zou-rate",
    value={f"L = {depth}": {"inside": inside[depth], "exponent, times the bound's": faster[depth]} for depth in depths},
    holds=all(inside.values()),
)

# %% [markdown]
# ## Depth
#
# At 64 layers the residual network from zero, a plain network with Gaussian weights of variance one over the width, and a
# plain network from zero, the first two each with its best step size of eight for every trial. The step sizes are in the theorem's
# units, and those fit a residual network: it is best at 3 or 10. The product of 64 Gaussian matrices has a scale of its own, another
# one in every trial; there 10 is best for some, 100 for most, and 1000 diverges for all. So the grid is wide, and the best has to
# lie inside it.

# %%
deepest = depths[-1]
grid = torch.tensor([0.03, 0.3, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0], dtype=f64, device=ch.device)[:, None]
gaussian = normal(trials, deepest, width, width, offset=5) / width**0.5
starts = {
    "residual, zero": {},
    "plain, Gaussian": {"initial": gaussian, "residual": False},
    "plain, zero": {"residual": False},
}
deep, place = {}, {}
for name, options in starts.items():
    # A plain network at zero has gradient zero: with any step size it stays, and one is enough.
    loss = descend(deepest, grid if name != "plain, zero" else grid[-1:], **options)
    relative = (loss / loss[..., :1]).nan_to_num(nan=math.inf)
    best = place[name] = relative[..., -1].argmin(0)
    deep[name] = relative[best, torch.arange(trials)]
final = {name: loss[:, -1].median().item() for name, loss in deep.items()}
stuck = {}
for depth in (2, 8, 64):
    moved = linear_resnet_descent(x, y, depth, step=1.0, iterations=1, residual=False, **maps).blocks.abs().max().item()
    stuck[depth] = (
        moved,
        linear_resnet_descent(x, y, depth, step=1e-6, iterations=1, **maps).blocks.abs().max().item(),
    )

# %% tags=["nbval-check-output"]
for name in ("residual, zero", "plain, Gaussian"):
    inner = ((place[name] > 0) & (place[name] < len(grid) - 1)).double().mean().item()
    ch.require(inner >= 0.9, f"{name}: the best step sizes lie at the edge of the grid, {place[name].tolist()}")
ch.claim(
    "zou-depth-robust",
    value=final,
    # The Gaussian network has to have trained: against one that stands still anything wins.
    holds=final["residual, zero"] <= 0.1 * final["plain, Gaussian"]
    and final["plain, Gaussian"] < 0.5
    and abs(final["plain, zero"] - 1) < 1e-12,
)
ch.claim(
    "erratum-width-condition",
    value={f"L = {depth}": list(pair) for depth, pair in stuck.items()},
    holds=all(plain == 0 and residual > 0 for plain, residual in stuck.values()),
)

# %% mystnb={"figure": {"name": "fig-08-convergence", "caption": "Left: loss relative to the start for residual networks from zero (median of the trials, one step size in the theorem's units), which hardly depends on the depth once there are a few layers; the dashed line is the proved envelope for the median rate of the quick run, at 16 layers. Middle, where it is recorded: the same at full scale, width 64 instead of 16, up to 256 layers, 50 trials. Right: the quick run with 64 layers, three starts, each at its best of eight step sizes for every trial (the plain network from zero moves at none), medians."}, "image": {"alt": "Left: four falling curves under a dashed line that hardly falls; that of a single layer is lowest, the others nearly coincide. Middle: five such curves, closer together and lower, without the dashed line. Right: the residual curve falls by many decades, the plain Gaussian one by about one, the plain zero one is flat."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    shown = ch.scales(curves_table, recorded)
    fig, axes = figure(1, len(shown) + 1, height=3.4)
    for ax, (name, table) in zip(axes, shown.items()):
        for depth, part in table.groupby("L"):
            ax.plot(part["iteration"], part["loss"], label=f"L = {depth}")
        ax.set_title(name)
    rate = zou_rate(x, *maps.values(), 16, 0.5 / (16 * scale)).median().item()
    axes[0].plot([0, iterations], [1, rate**iterations], color="0.35", ls="--", label="envelope")
    for name, loss in deep.items():
        axes[-1].plot(loss.median(0).values.cpu(), label=name)
    for ax in axes:
        ax.set(yscale="log", xlabel="iteration")
        ax.set_ylim(bottom=ax.get_ylim()[0] ** 1.6)  # room for the legend below the curves
        ax.legend(loc="lower left", fontsize=8)
    axes[0].set_ylabel("loss / initial loss")
    axes[-1].set_title(f"L = {deepest}")

# %% [markdown]
# At full scale the curves of 16, 64 and 256 layers end within 3% of each other, at $4\cdot10^{-7}$ of the loss at the start, and a
# single layer at $1.2\cdot10^{-7}$.
#
# ## Does depth near the identity accelerate?
#
# Arora, Cohen and Hazan {cite}`arora2018optimization` saw depth speed up regression with an $\ell_p$ loss, $p>2$, from
# starts near zero; chapter 06 measures it. The review adds that starts near the identity profit as well. Here inputs in
# eight dimensions with standard deviations from 1 to 0.1, random targets, $p = 4$, factors that start at $I$: depth 1, 2, 3,
# each with the best of 31 step sizes.


# %%
def steps_to(depth, levels, steps=400):
    """Steps to reach parts of the initial loss, (levels, trials), at the best step size for each trial and level."""
    lrs = torch.logspace(-3.5, 0.5, 31, dtype=f64)
    spread = torch.logspace(0, -1, 8, dtype=f64)[:, None]
    inputs = torch.linalg.qr(normal(5, 1, 8, 8, offset=20).cpu()).Q @ (spread * normal(5, 1, 8, 200, offset=21).cpu())
    outputs = normal(5, 1, 8, 8, offset=22).cpu() @ inputs
    start = [torch.eye(8, dtype=f64).expand(5, 31, 8, 8).clone() for _ in range(depth)]
    path, _ = train_factors(lambda w: (w @ inputs - outputs) ** 3 @ inputs.mT / 200, start, lr=lrs, steps=steps)
    loss = torch.stack([(w @ inputs - outputs).square().square().sum((-2, -1)) for w in path])
    relative = (loss / loss[0]).nan_to_num(nan=math.inf)
    counts = [(relative <= level).double() for level in levels]
    first = [torch.where(c.amax(0) > 0, c.argmax(0).double(), math.inf).amin(-1) for c in counts]
    return torch.stack(first)


levels = (0.1, 0.01, 0.001)
needed = {depth: steps_to(depth, levels).median(-1).values.tolist() for depth in (1, 2, 3)}

# %% tags=["nbval-check-output"]
# Judged at a thousandth: to a tenth a single layer needs one step, which nothing can halve.
to_thousandth = {depth: counts[-1] for depth, counts in needed.items()}
ch.require(
    to_thousandth[1] >= 10 and max(to_thousandth.values()) < math.inf,
    f"a depth does not arrive, or there is nothing to halve: {needed}",
)
halved = all(to_thousandth[depth] <= 0.5 * to_thousandth[1] for depth in (2, 3))
ch.claim("arora-lp", value={f"depth {k}": v for k, v in needed.items()}, holds=halved)

# %% tags=["hide-input"]
counted(
    pd.DataFrame(needed, index=[f"to {level:g} of the initial loss" for level in levels]).rename_axis(
        columns="median steps at depth"
    )
)

# %% [markdown]
# ## Residual factors for matrix completion
#
# The review closes with a question: would factors $I + A$ help deep matrix factorization, since superfluous factors could
# become the identity? Take a $12\times12$ matrix of rank 2, show gradient descent half of its entries, and let it fill in
# the rest. Plain factors that start small are known to prefer low rank, which is what fills the gaps. The
# effective rank is $\exp$ of the entropy of the singular values.


# %%
def complete(starts, lr, steps):
    """Completed matrices (starts, trials, 12, 12), the truth and the mask of what was seen."""
    truth = normal(10, 12, 2, offset=30).cpu() @ normal(10, 2, 12, offset=31).cpu() / 2
    mask = (torch.rand(10, 12, 12, generator=ch.generator(32), dtype=f64) < 0.5).double()
    path, _ = train_factors(lambda w: mask * (w - truth), starts, lr=lr, steps=steps, every=steps)
    return path[-1], truth, mask


def completion(found, truth, mask):
    """Relative error on the unseen entries and on the seen ones, and effective rank, per start and trial."""
    error, fit = (
        ((part * (found - truth)).square().sum((-2, -1)) / (part * truth).square().sum((-2, -1))).sqrt()
        for part in (1 - mask, mask)
    )
    p = torch.linalg.svdvals(found)
    p = p / p.sum(-1, keepdim=True)
    return error, fit, (-(p * p.clamp(min=1e-300).log()).sum(-1)).exp()


identity = torch.eye(12, dtype=f64).expand(10, 12, 12)
small = [0.15 * normal(10, 12, 12, offset=40 + j).cpu() for j in range(3)]
both = [torch.stack([factor, identity]) for factor in small]
error, fit, rank = (value.median(-1).values.tolist() for value in completion(*complete(both, 0.02, 6000)))
completed = pd.DataFrame(
    {"error on seen": fit, "error on unseen": error, "effective rank": rank},
    index=pd.Index(["plain, small start", "I + A, from zero"], name="factors"),
)

# %% tags=["nbval-check-output"]
plain, residual = completed["error on unseen"]
# Both have to fit what they see, and the plain one has to fill in something, or nothing is compared.
ch.require(
    completed["error on seen"].max() < 0.1 and plain < 0.9, f"a factorization has not trained: {completed.to_dict()}"
)
ch.claim("residual-factorization", value={"plain": plain, "residual": residual}, holds=residual < plain)

# %% tags=["hide-input"]
completed.round(2)

# %% [markdown]
# ## Takeaway
#
# From zero blocks a residual network of 64 layers trains like one of a single layer; a plain one needs luck with its
# Gaussian start or does not start at all. That is a statement about *getting started*. Faster than a single layer it
# is not, and where the bias of small factors is wanted, as in completion, the identity takes it away.
