# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Certificates: the worst case from above, and exactly
#
# Four numbers for one question: how far can the margin $f_y - f_j$ fall when every pixel moves by at most $\epsilon$? Interval
# bound propagation answers with a few products, a linear program with a relaxation, a mixed-integer program exactly, and an
# attack from the other side. They must be ordered,
#
# $$
# \text{interval} \;\le\; \text{linear program} \;\le\; \text{exact} \;\le\; \text{attack},
# $$
#
# for every image, class and radius. The networks are small enough to be solved exactly: images of 14 x 14 pixels, two hidden
# layers of 24 units. Three of them, trained plainly, against PGD and on interval bounds, show what training does to the gaps.
# ({doc}`sdp` repeats the exercise on every test image of a smaller network, with the semidefinite bound beside it.)

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools
import time

import pandas as pd
import torch
from scipy.optimize import linprog

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.robustness import (
    activation_pattern_minimum,
    attack_margins,
    dual_bounds,
    dual_margins,
    exact_margins,
    ibp_margins,
    interval_bounds,
    layer_logits,
    lp_margins,
    member_layers,
    robust_accuracy,
    train_robust,
)

ch = Chapter("17-certified-defenses", notebook="certificates", profile=profile, seed=seed, full_minutes=6)
n_train = ch.pick(quick=4000, full=60_000, smoke=400)
n_ladder = ch.pick(quick=4, full=60, smoke=2)
epochs = ch.pick(quick=20, full=20, smoke=2)
radii = [0.02, 0.05]

# %%
source = "full" if ch.full and not ch.smoke else "bundled"
train = mnist("train", n=n_train, size=14, source=source, seed=seed)
test = mnist("test", n=ch.pick(quick=1000, full=10_000, smoke=100), size=14, source=source, seed=seed)
x, y = train.images.flatten(1), train.labels
x_test, y_test = test.images.flatten(1), test.labels

# %%
widths = (196, 24, 24, 10)
methods = {"standard": "standard", "PGD-trained": "pgd", "IBP-trained": "ibp"}
stacks = {
    name: train_robust((x, y), widths, method=method, eps=[0.1], seeds=[seed], epochs=epochs)
    for name, method in ch.progress(methods.items(), "training")
}
nets = {name: member_layers(stack, 0) for name, stack in stacks.items()}

# %% tags=["hide-input"]
pd.concat(
    [
        robust_accuracy(stack, (x_test, y_test), 0.1).pivot(index="member", columns="metric", values="value")
        for stack in stacks.values()
    ]
).set_axis(pd.Index(nets, name="accuracy, radius 0.1")).rename_axis(columns=None).round(3)

# %% [markdown]
# ## The ladder
#
# Four images that all three networks classify correctly, two radii. The exact margin is solved for the runner-up class, the
# one an attack reaches first; the pre-activation bounds that it starts from are tightened with the dual, which halves
# the price, as the section on the exact program shows. The fixed dual takes its slopes from the bounds, the optimized one searches
# them for each image and class.


# %%
def ladder(net, images, labels, eps):
    """Margins of all classes by five methods and the exact one for the runner-up class, and which class that is."""
    runner_up = layer_logits(net, images).scatter(1, labels[:, None], -torch.inf).argmax(1)
    tight = dual_bounds(net, images, eps)  # for the exact program only: the relaxations keep the textbook's intervals
    margins = {
        "IBP": ibp_margins(net, images, labels, eps),
        "fixed dual": dual_margins(net, images, labels, eps),
        "optimized dual": dual_margins(net, images, labels, eps, steps=150),
        "LP": lp_margins(net, images, labels, eps),
        "exact": exact_margins(net, images, labels, eps, bounds=tight, classes=runner_up).margin,
        "PGD": attack_margins(net, images, labels, eps, classes=runner_up, steps=20, restarts=2),
    }
    return margins, runner_up


def rungs_of(name, net, eps):
    """The ladder of a network at a radius as rows, one per method, image and class other than the label."""
    found, runner_up = ladder(net, images, labels, eps)
    return [
        {"net": name, "eps": eps, "image": i, "class": j, "runner-up": bool(runner_up[i] == j), "method": method,
         "margin": table[i, j].item()}
        for method, table in found.items()
        for i, j in itertools.product(range(len(images)), range(10))
        if j != int(labels[i]) and (method != "exact" or runner_up[i] == j)
    ]  # fmt: skip


# %%
correct = torch.stack([layer_logits(net, x_test).argmax(1) == y_test for net in nets.values()]).all(0)
images, labels = x_test[correct][:n_ladder].double(), y_test[correct][:n_ladder]
steps_of_ladder = [
    row
    for (name, net), eps in ch.progress(list(itertools.product(nets.items(), radii)), "ladder")
    for row in rungs_of(name, net, eps)
]
margins = pd.DataFrame(steps_of_ladder)
wide = margins.pivot_table(index=["net", "eps", "image", "class", "runner-up"], columns="method", values="margin")
recorded = ch.table("margin-ladder", wide.round(5))
wide = wide.reset_index("runner-up")
runner = wide[wide["runner-up"]]

# %% tags=["nbval-check-output"]
# Bounds that ignored the radius would be equal, and in order: there must be steps between them, and a low one at the top.
rungs = {
    "LP - IBP": (wide["LP"] - wide["IBP"]).mean(),
    "exact - LP": (runner["exact"] - runner["LP"]).mean(),
    "PGD - exact": (runner["PGD"] - runner["exact"]).mean(),
}
complete = bool(wide.drop(columns="exact").notna().all(axis=None) and runner.notna().all(axis=None))
apart = rungs["LP - IBP"] > 0.1 and rungs["exact - LP"] > 0.1 and rungs["PGD - exact"] < 0.1
violations = {
    "IBP above LP": (wide["IBP"] - wide["LP"]).max(),
    "LP above exact": (runner["LP"] - runner["exact"]).max(),
    "exact above PGD": (runner["exact"] - runner["PGD"]).max(),
    "LP above PGD": (wide["LP"] - wide["PGD"]).max(),
}
ch.claim("ordering", value=violations | rungs, holds=bool(complete and apart and max(violations.values()) <= 1e-6))

# %% [markdown]
# The dual reaches the program's value if its slopes are searched, and misses it with slopes from the bounds. At the radius of training, on more images: how often
# do intervals beat the dual with fixed slopes?

# %% tags=["nbval-check-output"]
dual_gap, fixed_gap = ((wide["LP"] - wide[f"{kind} dual"]).abs().max() for kind in ("optimized", "fixed"))
ch.claim(
    "dual-equals-lp",
    value={"optimized slopes": dual_gap, "fixed slopes": fixed_gap},
    holds=bool(complete and dual_gap < 1e-2 and fixed_gap > 0.1),
)
more, more_labels = x_test[:200].double(), y_test[:200]
fixed = dual_margins(nets["IBP-trained"], more, more_labels, 0.1)
interval = ibp_margins(nets["IBP-trained"], more, more_labels, 0.1)
lost = (interval - fixed > 1e-6).double().sum().item() / (9 * len(more))
ch.claim(
    "fixed-dual-below-intervals",
    value={"share where intervals win": lost, "LP minus intervals, smallest": (wide["LP"] - wide["IBP"]).min()},
    holds=bool(complete and 0.03 < lost < 0.9 and (wide["IBP"] - wide["LP"]).max() <= 1e-6),
)

# %% mystnb={"figure": {"name": "fig-17-ladder", "caption": "One vertical line per image: the margin of the runner-up class between the interval bound (bottom) and the attack (top) at radius 0.05. Training buys tightness, not only margin: on the plain network the interval bounds lie far below the picture (filled triangles on its lower edge); on the IBP-trained one the whole ladder shrinks to a point."}, "image": {"alt": "Three panels with four vertical lines each. Markers for fixed dual, optimized dual, LP, exact and PGD are spread widely for the standard network, whose IBP markers all lie at the lower edge, less for the PGD-trained one, and coincide, IBP included, for the IBP-trained one."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    order = ["IBP", "fixed dual", "optimized dual", "LP", "exact", "PGD"]
    marks = dict(zip(order, ("v", "1", "2", "_", "o", "x")))
    fig, axes = figure(1, 3, height=3.4, sharey=True)
    floor = -6
    for ax, name in zip(axes, nets):
        part = runner.loc[name, 0.05].reset_index()
        ax.vlines(part.index, part["IBP"].clip(lower=floor), part["PGD"], color="0.8", lw=1)
        below = part["IBP"] < floor
        ax.plot(part.index[below], [floor] * below.sum(), "v", color="C0", ms=6)
        part["IBP"] = part["IBP"].mask(below)
        for k, method in enumerate(order):
            ax.plot(part.index, part[method], marks[method], label=method, color=f"C{k}", ms=6, mfc="none")
        ax.axhline(0, color="0.4", lw=0.8)
        ax.set(title=name, xlabel="image", xticks=range(len(part)), ylim=(floor - 0.5, 3.5))
    axes[0].set_ylabel("margin of the runner-up class")
    fig.legend(*axes[0].get_legend_handles_labels(), ncols=6, loc="outside upper center", fontsize=8)

# %% [markdown]
# The gap that no choice of slopes closes is that between the linear program and the exact value, the *convex relaxation
# barrier* {cite}`salman2019barrier`. The gap between the fixed dual and the program does close. Longer training on all digits
# widens what interval training does not hold together: at full scale the barrier of the other two networks is five to
# twelve times as high.


# %%
def gaps_of(frame):
    """What each step of the ladder leaves to the one above it, for the runner-up class: mean by network and radius."""
    frame = frame[frame["runner-up"]].set_index(["net", "eps"])
    steps = [("exact", "LP"), ("LP", "optimized dual"), ("LP", "fixed dual"), ("LP", "IBP"), ("PGD", "exact")]
    return pd.DataFrame({f"{a} - {b}": frame[a] - frame[b] for a, b in steps}).groupby(["net", "eps"]).mean()


# %% tags=["hide-input"]
parts = {scale: gaps_of(frame) for scale, frame in ch.scales(wide.reset_index(), recorded).items()}
pd.concat(parts, names=["scale"]).round(3) + 0.0

# %% [markdown]
# With a slider over the radius, on one image: how the cheap bounds part from the attack as the ball grows, network by
# network.


# %%
def cheap_margins(net, eps):
    """Margins of all classes by what costs little: three bounds and the attack."""
    return {
        "IBP": ibp_margins(net, images, labels, eps),
        "fixed dual": dual_margins(net, images, labels, eps),
        "optimized dual": dual_margins(net, images, labels, eps, steps=15),
        "PGD": attack_margins(net, images, labels, eps, steps=15),
    }


def draw_ladder(eps):
    """One picture of the slider: every image's worst margin by method, a network per panel."""
    fig, axes = figure(1, 3, height=2.8, sharey=True)
    for ax, (name, net) in zip(axes, nets.items()):
        for k, (kind, table) in enumerate(cheap_margins(net, eps).items()):
            worst = table.scatter(1, labels[:, None], torch.inf).amin(1)
            ax.plot(worst, ["v", "1", "2", "x"][k], color=f"C{k}", label=kind, mfc="none")
        ax.axhline(0, color="0.4", lw=0.8)
        ax.set(title=name, xlabel="image", ylim=(-12, 5))
    axes[0].set_ylabel("worst margin")
    fig.legend(*axes[0].get_legend_handles_labels(), ncols=4, loc="outside lower center", fontsize=8)
    return fig


# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import frames

    pictures = {eps: draw_ladder(eps) for eps in (0.01, 0.02, 0.04, 0.06, 0.08, 0.1)}
    slider = frames(
        pictures, label="radius", name="slider-17-ladder",
        alt="Worst margins of four images by four methods for three networks; the methods part as the radius grows.",
    )  # fmt: skip
slider if ch.plots else None

# %% [markdown]
# ## The relaxation's solution need not be an adversarial example
#
# Where the linear program's value is negative, its minimizer is a valid image. Does the network misclassify it? The
# review says that such a solution gives no adversarial example any more. We put it through the true network and look at
# the margin of the class for which it was computed. In this run 62% of 37 solutions are harmless, at full scale 64% of
# 1,058. The others, more than a third, are adversarial examples.

# %%
net = nets["standard"]
many = slice(0, (2 if ch.full else 3) * n_ladder)
values, points = lp_margins(net, x_test[correct][many], y_test[correct][many], 0.05, return_x=True)
logits = layer_logits(net, points.flatten(0, 1)).reshape(*values.shape, -1)
answers = y_test[correct][many, None, None].expand(-1, 10, 1)
true = logits.gather(2, answers)[..., 0] - logits.diagonal(dim1=1, dim2=2)
clean = layer_logits(net, x_test[correct][many])
clean = clean.gather(1, answers[:, 0]) - clean
negative = values < -1e-6

# %% tags=["nbval-check-output"]
# The image itself would be harmless, too: the solution must have moved the margin down.
harmless = (true[negative] > 0).double().mean().item()
lowered = (true < clean)[negative].double().mean().item()
ch.claim(
    "relaxation-no-example",
    value={"negative margins": int(negative.sum()), "share harmless": harmless, "share lowered": lowered},
    holds=harmless > 0.5 and lowered > 0.9,
)

# %% [markdown]
# ## The exact program
#
# The mixed-integer program has one binary variable per unit whose sign is open. On a tiny network it can be checked against
# all $2^8$ activation patterns, each of which leaves a linear program. Its solution is an image that attains the value.

# %%
generator = ch.generator(1)
tiny = [
    (torch.randn(8, 5, generator=generator, dtype=torch.float64), torch.randn(8, generator=generator).double() * 0.3),
    (torch.randn(3, 8, generator=generator, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)),
]
point = torch.rand(1, 5, generator=generator, dtype=torch.float64)
solved = exact_margins(tiny, point, torch.tensor([0]), 0.3)
enumerated = [activation_pattern_minimum(tiny, point[0], 0, j, 0.3) for j in (1, 2)]
attained = layer_logits(tiny, solved.x_adv[0])
attained = (attained[:, 0] - attained.diagonal())[1:]

# %% tags=["nbval-check-output"]
pattern_error = (solved.margin[0, 1:] - torch.tensor(enumerated)).abs().max().item()
witness_error = (solved.margin[0, 1:] - attained).abs().max().item()
ch.claim(
    "milp-exact",
    value={"against enumeration": pattern_error, "witness": witness_error},
    holds=max(pattern_error, witness_error) < 1e-5,
)

# %% [markdown]
# Its price grows with the radius, because more units become unstable, and with loose bounds, because their big-M constants
# grow. Times are those of the same solves, runner-up class, plain network; the ratio is what counts.


# %%
def price(eps, bounds_of):
    """CPU seconds of the exact solves of the first images, and the mean number of unstable units."""
    bounds = bounds_of(eps)
    unstable = sum(((lower < 0) & (upper > 0)).double().sum(1).mean().item() for lower, upper in bounds[:-1])
    runner_up = layer_logits(net, few).scatter(1, few_labels[:, None], -torch.inf).argmax(1)
    seconds = []
    while len(seconds) < 2 and sum(seconds) < 1:  # a long run averages over its neighbours by itself
        started = time.process_time()
        exact_margins(net, few, few_labels, eps, bounds=bounds, classes=runner_up)
        seconds.append(time.process_time() - started)
    return {"unstable": unstable, "seconds": min(seconds)}


# %%
few, few_labels = images[: ch.pick(quick=4, full=20, smoke=2)], labels[: ch.pick(quick=4, full=20, smoke=2)]
sources = {"interval": lambda eps: interval_bounds(net, few, eps), "dual": lambda eps: dual_bounds(net, few, eps)}
prices = pd.DataFrame(
    [
        {"eps": eps, "bounds": kind} | price(eps, sources[kind])
        for kind in ch.progress(sources, "prices")
        for eps in (0.01, 0.02, 0.05)
    ]
)

# %% tags=["nbval-check-output"]
seconds = prices.set_index(["bounds", "eps"])["seconds"]
growth = [seconds["interval", b] / seconds["interval", a] for a, b in ((0.01, 0.02), (0.02, 0.05))]
saving = seconds["interval", 0.05] / seconds["dual", 0.05]
ch.claim(
    "milp-hard",
    value={"seconds": prices.to_dict("records"), "growth": growth, "interval over dual": saving},
    holds=min(growth) >= 1.5 and saving >= 1.2,
)

# %% mystnb={"figure": {"name": "fig-17-price", "caption": "CPU seconds of the exact solves against the mean number of unstable units, for intermediate bounds from intervals and from the dual. Times are those of the machine that built this page."}, "image": {"alt": "Two rising lines on logarithmic time; the one for dual bounds lies lower and further left."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3)
    for k, (kind, part) in enumerate(prices.groupby("bounds")):
        ax.plot(part.unstable, part.seconds, marker="os"[k], label=f"{kind} bounds")
        for row in part.itertuples():
            place = {"textcoords": "offset points", "xytext": (0, 7 if kind == "interval" else -14), "ha": "center"}
            ax.annotate(rf"$\epsilon$ = {row.eps:g}", (row.unstable, row.seconds), size=8, **place)
    ax.set(xlabel="unstable units (of 48)", ylabel="CPU seconds", yscale="log")
    ax.margins(0.1, 0.25)
    ax.legend()

# %% [markdown]
# ## Intervals
#
# An interval forgets that units move together, and each layer forgets again. On random networks (64 inputs, width 32) we
# compare the width of the output intervals with the range that sampling sees.


# %%
def looseness(depth, s):
    """Mean width of the output intervals over the range of 2,000 sampled outputs."""
    generator = ch.generator(1000 + 10 * depth + s)
    sizes = [64] + [32] * (depth - 1) + [10]
    layers = [
        (torch.randn(b, a, generator=generator, dtype=torch.float64) * (2 / a) ** 0.5, torch.zeros(b).double())
        for a, b in itertools.pairwise(sizes)
    ]
    point = torch.rand(1, 64, generator=generator, dtype=torch.float64)
    lower, upper = interval_bounds(layers, point, 0.05)[-1]
    noise = (2 * torch.rand(2000, 64, generator=generator, dtype=torch.float64) - 1) * 0.05
    outputs = layer_logits(layers, (point + noise).clamp(0, 1))
    return ((upper - lower)[0] / (outputs.amax(0) - outputs.amin(0))).mean().item()


depths = pd.DataFrame([{"depth": d, "seed": s, "ratio": looseness(d, s)} for d in (2, 4, 6, 8) for s in range(5)])

# %% tags=["nbval-check-output"]
rising = depths.groupby("depth")["ratio"].mean()
ch.claim(
    "ibp-loosens",
    value={str(k): v for k, v in rising.items()},
    holds=bool((rising.diff().dropna() > rising.iloc[:-1].to_numpy()).all()),
)

# %% [markdown]
# The last layer need not lose anything: the difference of two logits is an affine map itself, and its interval is tighter than the difference of two intervals.

# %% tags=["nbval-check-output"]
split, merged = (
    torch.stack([ibp_margins(net, images, labels, 0.05, merge_last=flag) for net in nets.values()])
    for flag in (False, True)
)
others = torch.nn.functional.one_hot(labels, 10).bool().logical_not().expand_as(split)
gain = (merged - split)[others]
ch.claim(
    "last-layer",
    value={"smallest gain": gain.min().item(), "share strict": (gain > 1e-9).double().mean().item()},
    holds=gain.min().item() >= -1e-9 and (gain > 1e-9).double().mean().item() > 0.5,
)

# %% mystnb={"figure": {"name": "fig-17-depth", "caption": "Width of the interval of an output over the range that sampling sees, against depth, He-initialized networks, radius 0.05, five seeds (band: range)."}, "image": {"alt": "A line rising steeply on a logarithmic axis, from about ten at depth two to above ten thousand at depth eight."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves

    fig, ax = figure(height=2.8)
    curves(depths, "depth", "ratio", ax=ax, error="range", logy=True, markers=True)
    ax.set(xlabel="affine layers", ylabel="interval width / sampled range", xticks=[2, 4, 6, 8])

# %% [markdown]
# Two misprints belong here. Trivial bounds of a pre-activation are given as $[10^{-100}, 10^{100}]$, which says
# that every unit is active: the program would exclude every image that switches off a single
# unit, most of them. And the closed form
# of the last layer counts the bias twice on its left side.

# %% tags=["nbval-check-output"]
outside = {}
for name, net in nets.items():
    hidden = x_test.double() @ net[0][0].mT + net[0][1]
    dead = hidden < 1e-100
    outside[name] = {"units": dead.double().mean().item(), "images": dead.any(1).double().mean().item()}
    outside[name]["beyond 1e100"] = int((hidden.abs() >= 1e100).sum())
excluded = all(row["images"] > 0 and row["beyond 1e100"] == 0 for row in outside.values())
ch.claim("erratum-big-bounds", value=outside, holds=excluded)

# %% tags=["nbval-check-output"]
net = nets["standard"]
W, b = nets["standard"][-1]
c = torch.randn(10, generator=generator, dtype=torch.float64)
low, high = (bound.relu() for bound in interval_bounds(nets["standard"], images, 0.05)[-2])
cost = W.mT @ c
closed = low @ cost.clamp(min=0) + high @ cost.clamp(max=0) + c @ b
boxes = torch.stack([low, high], 2).numpy()
minimizers = torch.stack([torch.from_numpy(linprog(cost.numpy(), bounds=box).x) for box in boxes])
correct_side = (minimizers @ W.mT + b) @ c  # the minimum over the box of every image, found by a linear program
errors = {"corrected": (closed - correct_side).abs(), "printed": (closed - (correct_side + c @ b)).abs()}
ch.claim(
    "erratum-last-layer",
    value={"corrected": errors["corrected"].max().item(), "printed": errors["printed"].min().item()},
    holds=errors["corrected"].max().item() < 1e-10 and errors["printed"].min().item() > 1e-3,
)

# %% [markdown]
# ## Danskin
#
# The gradient of the worst margin with respect to the weights is the gradient of the margin at the worst image, provided
# that this is unique. The exact program delivers both sides: its value at two neighbouring sets of weights, and its solution.
# At a tie the statement fails: for a linear classifier with a weight of zero images that differ in that pixel are equally bad, their gradients
# differ, and the worst margin has a kink.

# %%
j = 1 if int(labels[0]) != 1 else 2
direction = [(torch.randn(W.shape, generator=generator).double(), torch.randn(b.shape, generator=generator).double())
             for W, b in net]  # fmt: skip


def moved(t):
    """The network moved by t along the direction."""
    return [(W + t * dW, b + t * db) for (W, b), (dW, db) in zip(net, direction)]


one, its_class = images[:1], torch.tensor([j])
worst = exact_margins(net, one, labels[:1], 0.02, classes=its_class).x_adv[0, j]
h = 1e-5
ends = [exact_margins(moved(t), one, labels[:1], 0.02, classes=its_class).margin[0, j].item() for t in (h, -h)]
central = (ends[0] - ends[1]) / (2 * h)
at_worst = [layer_logits(moved(t), worst[None])[0] for t in (h, -h)]
danskin = ((at_worst[0] - at_worst[1])[labels[0]] - (at_worst[0] - at_worst[1])[j]).item() / (2 * h)

# %% tags=["nbval-check-output"]
relative = abs(central - danskin) / abs(central)
ch.claim("danskin", value={"difference": central, "Danskin": danskin, "relative": relative}, holds=relative < 1e-4)


# %%
def linear(w):
    """A linear classifier of two pixels with the margin 0.3 x_1 + w x_2, as a network of one layer."""
    zeros = torch.zeros(2, dtype=torch.float64)
    return [(torch.stack([torch.stack([torch.full_like(w, 0.3), w]), zeros]), zeros)]


eps, t = 0.1, 1e-3
grey, zero = torch.full((1, 2), 0.5, dtype=torch.float64), torch.zeros((), dtype=torch.float64, requires_grad=True)
up, at_tie, down = (
    exact_margins(linear(zero.detach() + s), grey, torch.tensor([0]), eps).margin[0, 1].item() for s in (t, 0, -t)
)
slopes = [(up - at_tie) / t, (at_tie - down) / t]
maximizers = grey + eps * torch.tensor([[-1, -1], [-1, 1]]).double()  # the second pixel at either end
reached = [logits[0] - logits[1] for logits in layer_logits(linear(zero), maximizers)]
at_maximizers = [torch.autograd.grad(margin, zero, retain_graph=True)[0].item() for margin in reached]

# %% tags=["nbval-check-output"]
tied = all(abs(margin.item() - at_tie) < 1e-9 for margin in reached)
misses = [sorted(abs(slope - predicted) for slope in slopes) for predicted in at_maximizers]
ch.claim(
    "erratum-danskin-unique",
    value={"one-sided slopes": slopes, "gradients": at_maximizers},
    holds=tied
    and abs(abs(slopes[0] - slopes[1]) - 2 * eps) < 1e-6
    and all(right < 1e-6 and abs(wrong - 2 * eps) < 1e-6 for right, wrong in misses),
)

# %% [markdown]
# ## Takeaway
#
# The four answers are ordered on every image, the dual reaches the primal once its slopes are optimized, and the exact
# program is exact, at a price that grows fast with the radius. A fixed-slope dual is not above intervals everywhere. What
# certified training changes is the ladder itself: on a network trained on intervals the cheapest bound is nearly exact.
