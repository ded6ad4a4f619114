# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Attacks: the worst case from below
#
# An attack is a search for a perturbation $\delta$, $\lVert\delta\rVert \le \epsilon$, that raises the loss. Whatever it finds is a
# lower bound of the worst loss. The review starts from two observations: perturbations that fool a network carry over
# to other networks, and an attacker needs to know little about the network. That random noise of the same size hardly
# fools it is our comparison. Then the review walks through the methods: one signed gradient step, many projected
# steps, the smallest change.
#
# Everything here is measured on perceptrons with one hidden layer of 256 units, trained on images of digits, over
# several seeds.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.robustness import (
    carlini_wagner,
    deepfool,
    fgsm,
    linearized_margins,
    member_network,
    pgd,
    project_ball,
    smallest_radius,
    train_robust,
)

ch = Chapter("17-certified-defenses", notebook="attacks", profile=profile, seed=seed, full_minutes=4)
seeds = ch.pick(quick=3, full=10, smoke=2)
# Networks on which noise is measured: its effect is small, and cheap to see
n_noise = ch.pick(quick=8, full=20, smoke=2)
n_train = ch.pick(quick=4000, full=60_000, smoke=400)
n_test = ch.pick(quick=1000, full=10_000, smoke=100)
n_few = ch.pick(quick=200, full=2000, smoke=20)  # for the attacks that take many steps
epochs = ch.pick(quick=10, full=20, smoke=2)

# %%
source = "full" if ch.full and not ch.smoke else "bundled"
train, test = (mnist(split, n=n, source=source, seed=seed) for split, n in (("train", n_train), ("test", n_test)))
x, y = train.images.flatten(1).to(ch.device), train.labels.to(ch.device)
x_test, y_test = test.images.flatten(1).to(ch.device), test.labels.to(ch.device)
attacked = len(x_test) if ch.full else len(x_test) // 2  # images that are attacked step by step
x_some, y_some = x_test[:attacked], y_test[:attacked]


def networks(x, y, numbers):
    """Plainly trained networks with the given seeds, trained as one stack."""
    settings = {"method": "standard", "eps": [0.0] * len(numbers), "seeds": numbers, "epochs": epochs}
    stack = train_robust((x, y), (784, 256, 10), **settings)
    return [member_network(stack, k) for k in range(len(numbers))]


def accuracy(model, inputs, labels=None):
    """Share of examples that a model classifies as ``labels`` (default: those of the test set)."""
    labels = y_test[: len(inputs)] if labels is None else labels
    with torch.no_grad():
        return (model(inputs).argmax(1) == labels).double().mean().item()


def sign_noise(inputs, eps, offset=0):
    """A random corner of the ball, clipped to valid images."""
    signs = torch.randint(0, 2, inputs.shape, generator=ch.generator(50 + offset)).to(inputs) * 2 - 1
    return (inputs + eps * signs).clamp(0, 1)


# %%
crowd = networks(x, y, list(range(seed, seed + max(n_noise, seeds))))
models = crowd[:seeds]

# %% [markdown]
# ## Chosen perturbations and noise
#
# A random corner of the $\ell_\infty$ ball is as large as any attack's perturbation, and nearly harmless: it costs two to three points
# of accuracy where a chosen one costs more than eighty. That noise does not fool a network is true to that extent.
# PGD steps along the sign of the gradient, which is the steepest direction in this norm. The review prints the step with the
# raw gradient and leaves its size open. At the step size of the signed step the raw one is a much weaker attack, because most entries of the
# gradient are far below one; a step so large that the projection cuts off nearly every entry is a signed one again.


# %%
def raw_gradient_pgd(model, inputs, labels, eps, steps):
    """The step as printed, of the signed step's size: delta <- P(delta + eps grad), without the sign."""
    delta = torch.zeros_like(inputs)
    for _ in range(steps):
        delta.requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(model(inputs + delta), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = project_ball((delta + eps * gradient).detach(), eps)
        delta = (inputs + delta).clamp(0, 1) - inputs
    return inputs + delta


# %%
steps = ch.pick(quick=15, full=40, smoke=3)
radii = [0.02, 0.05, 0.1]
attacks = {
    "clean": lambda m, eps: x_some,
    "noise": lambda m, eps: sign_noise(x_some, eps),
    "FGSM": lambda m, eps: fgsm(m, x_some, y_some, eps),
    "PGD": lambda m, eps: pgd(m, x_some, y_some, eps, steps=steps),
    "raw-gradient PGD": lambda m, eps: raw_gradient_pgd(m, x_some, y_some, eps, steps),
}
strength = pd.DataFrame(
    [
        {"seed": k, "eps": eps, "attack": name, "accuracy": accuracy(model, attack(model, eps))}
        for k, model in enumerate(ch.progress(models, "networks"))
        for eps in radii
        for name, attack in attacks.items()
    ]
)
ch.save("attack-strength", strength.round(4))
recorded = ch.paper("attack-strength")
mean = strength.groupby(["attack", "eps"])["accuracy"].mean()


# %%
def lost_by_noise(k, model):
    """What noise costs a network, mean over four draws of its own."""
    under = [accuracy(model, sign_noise(x_test, 0.1, 10 + 4 * k + r)) for r in range(4)]
    return accuracy(model, x_test) - sum(under) / 4


lost = pd.Series([lost_by_noise(k, model) for k, model in enumerate(crowd)])

# %% tags=["hide-input"]
cost = mean["clean", 0.1] - mean["PGD", 0.1]
summary = {
    "by noise": [lost.mean(), lost.sem()],
    "by PGD": [cost, strength[strength.eps == 0.1].query("attack == 'PGD'")["accuracy"].sem()],
}
pd.DataFrame(summary, index=["accuracy lost at radius 0.1", "standard error"]).round(4)

# %% tags=["nbval-check-output"]
at = {name: mean[name, 0.1] for name in attacks}
harmless = lost.mean() + 2 * lost.sem() < 0.02
small = lost.mean() + 2 * lost.sem() < cost / 10
ch.claim(
    "adversarial-not-noise",
    value=at | {"lost by noise": [lost.mean(), lost.sem()]},
    holds=False if at["PGD"] >= 0.3 else True if harmless else "partly" if small else False,
)

# %% [markdown]
# Of two attacks the stronger one leaves less accuracy. An attack that does nothing is the weaker one of any two: both of the weaker ones must do more than noise.

# %% tags=["nbval-check-output"]
stronger = {str(eps): mean["FGSM", eps] - mean["PGD", eps] for eps in radii}
attacking = {name: at["noise"] - at[name] for name in ("FGSM", "raw-gradient PGD")}
ch.claim(
    "pgd-stronger",
    value=stronger | {"FGSM below noise by": attacking["FGSM"]},
    holds=min(stronger.values()) >= 0 and stronger["0.1"] > 0.01 and attacking["FGSM"] > 0.2,
)
ch.claim(
    "raw-gradient-step",
    value={"raw gradient": at["raw-gradient PGD"], "signed": at["PGD"], "noise": at["noise"]},
    holds=at["raw-gradient PGD"] > at["PGD"] + 0.2 and attacking["raw-gradient PGD"] > 0.1,
)

# %% mystnb={"figure": {"name": "fig-17-strength", "caption": "Accuracy against the radius of the perturbation, mean over networks with two standard errors. Noise of the same size costs a point or two; the raw gradient step, taken here at the step size of the signed one, is the weakest of the attacks."}, "image": {"alt": "Accuracy over epsilon from 0.02 to 0.1. Clean stays flat at 0.93 and noise almost so; raw-gradient PGD falls to about 0.65; FGSM and PGD fall together, to about 0.14 and 0.1."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves, figure

    fig, ax = figure()
    curves(strength, "eps", "accuracy", "attack", ax=ax, markers=True)
    ax.set(xlabel=r"radius $\epsilon$ ($\ell_\infty$, pixels in [0, 1])", ylabel="test accuracy", ylim=(0, 1))
    ax.legend()

# %% mystnb={"figure": {"name": "fig-17-grid", "caption": "Ten digits, and below each the same image with noise, with an FGSM and with a PGD perturbation of radius 0.1. Above every image the class that the network reads in it."}, "image": {"alt": "A grid of four rows of ten digits. Nearly all labels of the first two rows agree with the digits; most labels of the last two rows do not, although the digits look alike apart from a faint texture."}} tags=["hide-input"]
if ch.plots:
    rows = {name: attacks[name](models[0], 0.1) for name in ("clean", "noise", "FGSM", "PGD")}
    chosen = [int((y_some == digit).nonzero()[0]) for digit in range(10)]
    fig, axes = figure(4, 10, height=0.85)
    for line, (name, images) in zip(axes, rows.items()):
        for ax, index in zip(line, chosen):
            ax.imshow(images[index].reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            read = int(models[0](images[index : index + 1]).argmax())
            ax.set_title(str(read), fontsize=8, color="C1" if read != int(y_some[index]) else "0.2", pad=2)
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8)

# %% [markdown]
# ## Three norms
#
# Radii of different norms do not compare: a corner of the $\ell_\infty$ ball of radius 0.05 has an $\ell_2$ length of 1.4 in 784
# dimensions. Each norm gets its own axis. In $\ell_1$ the steepest step moves one pixel at a time, one that is
# not yet black or white.

# %% mystnb={"figure": {"name": "fig-17-norms", "caption": "Accuracy under PGD in three norms against the radius, first network, a fifth of the test images."}, "image": {"alt": "Three panels of falling accuracy: over epsilon up to 0.15 in the maximum norm, up to 3 in the Euclidean norm, up to 24 in the one-norm."}} tags=["hide-input"]
if ch.plots:
    grids = {"linf": [0.0, 0.025, 0.05, 0.1, 0.15], "l2": [0.0, 0.5, 1.0, 2.0, 3.0], "l1": [0.0, 3.0, 6.0, 12.0, 24.0]}
    fig, axes = figure(1, 3, height=2.6, sharey=True)
    for ax, (norm, grid) in zip(axes, grids.items()):
        values = [
            accuracy(models[0], pgd(models[0], x_test[:n_few], y_test[:n_few], eps, norm=norm, steps=steps))
            for eps in grid
        ]
        ax.plot(grid, values, marker="o", ms=4)
        ax.set(xlabel=rf"radius in $\ell_{norm[1:].replace('inf', chr(92) + 'infty')}$", ylim=(0, 1))
    axes[0].set_ylabel("test accuracy")

# %% [markdown]
# ## Transfer, and attacks on a black box
#
# Two networks are trained on disjoint halves of the data. Images that PGD computes on the first are shown to the second. For
# the black box, the attacker does not even have labels: it asks the target for the
# class of a thousand unseen images, trains a substitute on the answers, and attacks that.

# %%
half = len(x) // 2
queries = x[half : half + ch.pick(quick=1000, full=1000, smoke=100)]
numbers = range(seed, seed + seeds)
first_half = networks(x[:half], y[:half], [*numbers, *(200 + s for s in numbers)])
sources, targets = first_half[:seeds], first_half[seeds:]
others = networks(x[half:], y[half:], [100 + s for s in numbers])

# %%
shift = []
for s, (source_net, other, target) in enumerate(zip(sources, others, targets)):
    with torch.no_grad():
        answers = target(queries).argmax(1)
    substitute = networks(queries, answers, [seed + 300 + s])[0]
    moved = pgd(source_net, x_some, y_some, 0.1, steps=steps)
    stolen = pgd(substitute, x_some, y_some, 0.1, steps=steps)
    shift.append(
        {
            "source": accuracy(source_net, moved),
            "transferred": accuracy(other, moved),
            "noise on the other": accuracy(other, sign_noise(x_some, 0.1, s)),
            "black box": accuracy(target, stolen),
            "noise on the target": accuracy(target, sign_noise(x_some, 0.1, s)),
        }
    )
shift = pd.DataFrame(shift)

# %% tags=["hide-input"]
shift.mean().to_frame("accuracy").round(3)

# %% tags=["nbval-check-output"]
# Shown to the network that it was computed on, every attack "transfers": what is lost on the way tells them apart.
lost_on_the_way = (shift[["transferred", "black box"]].mean() - shift["source"].mean()) > 0.05
transfer_drop = shift["noise on the other"] - shift["transferred"]
ch.claim(
    "transfer",
    value=shift.mean().to_dict(),
    holds=bool(transfer_drop.min() >= 0.2 and lost_on_the_way["transferred"]),
)
box_drop = shift["noise on the target"] - shift["black box"]
ch.claim(
    "black-box",
    value=shift.mean().to_dict(),
    holds=bool(box_drop.min() >= 0.2 and lost_on_the_way["black box"]),
)

# %% [markdown]
# ## What one step can do
#
# For a linear model the worst perturbation is $-\epsilon \operatorname{sign}(w)$ and FGSM finds it: the margin falls by
# $\epsilon \lVert w\rVert_1$ exactly. A targeted attack that maximizes the difference of two losses maximizes the
# difference of two logits: the normalizer cancels. We look for the maximizer of either among all points of a grid on the ball, and
# compare gradients, for small random networks.

# %% tags=["nbval-check-output"]
generator = ch.generator(1)
w = torch.randn(20, 30, generator=generator, dtype=torch.float64)
points = torch.rand(20, 30, generator=generator, dtype=torch.float64)
errors = []
for row, point in zip(w, points):
    model = lambda z, row=row: torch.stack([z @ row, -z @ row], 1) / 2  # noqa: E731
    label = torch.tensor([0])
    fallen = (point - fgsm(model, point[None], label, 0.1, box=None)[0]) @ row
    errors.append(abs(fallen.item() - 0.1 * row.abs().sum().item()))
ch.claim("fgsm-linear-exact", value=max(errors), holds=max(errors) < 1e-10)


# %%
offsets = 0.3 * torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0]).double()] * 6)  # 729 points of the ball
nudges = 1e-5 * torch.cat([torch.eye(6), -torch.eye(6)]).double()


def maximizers(net, point):
    """Which point of the grid is best for the difference of losses, of logits, and for the label's loss (label 0, target 1)."""
    scores = net(point + offsets)
    probability = scores.exp() / scores.exp().sum(1, keepdim=True)
    of_losses = (probability[:, 1].log() - probability[:, 0].log()).argmax()
    return int(of_losses), int((scores[:, 1] - scores[:, 0]).argmax()), int(probability[:, 0].argmin())


def slope_error(net, point):
    """Largest entry of the gradient of the difference of losses minus finite differences of that of the logits."""
    z = point[None].clone().requires_grad_()
    loss = [torch.nn.functional.cross_entropy(net(z), torch.tensor([k])) for k in (0, 1)]
    (slope,) = torch.autograd.grad(loss[0] - loss[1], z)
    up, down = net(point + nudges).split(6)
    return (slope[0] - ((up - down)[:, 1] - (up - down)[:, 0]) / 2e-5).abs().max().item()


# %%
same, alone, off = 0, 0, []
small = ch.generator(8)
for _ in range(20):
    first, last = (torch.randn(*shape, generator=small, dtype=torch.float64) for shape in ((8, 6), (4, 8)))
    net = lambda z, first=first, last=last: torch.tanh(z @ first.T) @ last.T  # noqa: E731
    point = torch.randn(6, generator=small, dtype=torch.float64)
    of_losses, of_logits, of_the_label = maximizers(net, point)
    same += of_losses == of_logits
    alone += of_losses == of_the_label
    off.append(slope_error(net, point))

# %% tags=["nbval-check-output"]
ch.claim(
    "targeted-identity",
    value={"same maximizer": same, "of": 20, "that of the label's loss alone": alone, "gradients differ by": max(off)},
    holds=same == 20 and alone < 20 and max(off) < 1e-6,
)

# %% [markdown]
# One step is not a bound, though. To first order the gap of a rival, $g_j = f_j - f_y$, can grow to
# $g_j(x) + \max_{\delta} \nabla g_j(x)^\top\delta$, with the maximum over the ball and the valid pixels. If the largest
# of these were an upper bound, no attack could exceed it.


# %%
def margin(logits, labels):
    """max_{j != y} f_j - f_y: positive where the example is misclassified."""
    true = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], -torch.inf).amax(1) - true


def first_order_exceeded(model, eps):
    """Share of images on which PGD raises the margin above every rival's linearization; share of the rise that this allows."""
    bound = linearized_margins(model, x_some, y_some, eps)
    start = margin(model(x_some), y_some).detach()
    reached = margin(model(pgd(model, x_some, y_some, eps, steps=steps, loss="margin")), y_some).detach()
    share = (reached > bound + 1e-4).double().mean()
    return torch.stack([share, ((bound - start).mean() / (reached - start).mean()).to(share)])


first_order = {str(eps): (sum(first_order_exceeded(m, eps) for m in models) / len(models)).tolist() for eps in radii}

# %% tags=["nbval-check-output"]
# A linearization that foresees nothing is exceeded everywhere: this one must allow at least half of the rise.
exceeded, allowed = first_order["0.05"]
ch.claim("first-order-invalid", value=first_order, holds=exceeded > 0.2 and allowed > 0.5)

# %% [markdown]
# ## Momentum in an attack
#
# The review suggests Nesterov's acceleration. Ten gradients per image, $\ell_2$ ball of radius 1.5, margin loss, the same start:
# does the accelerated attack reach a worse margin than the plain one? The difference is paired, image by image, and
# its sign may depend on the step size, so that three are tried.

# %%
nesterov = []
for a in (0.15, 0.375, 0.75):
    reached = []
    for momentum in (0.0, 0.9):
        found = pgd(
            models[0], x_test[:1000], y_test[:1000], 1.5, norm="l2", steps=10, step_size=a, momentum=momentum,
            loss="margin", generator=ch.generator(7),
        )  # fmt: skip
        reached.append(-margin(models[0](found), y_test[:1000]).detach().double())
    gain = reached[0] - reached[1]  # how much lower the accelerated attack pushed f_y - max f_j
    error = (gain.std() / len(gain) ** 0.5).item()
    nesterov.append({"step size": a, "plain": reached[0].mean().item(), "gain": gain.mean().item(), "s.e.": error})
nesterov = pd.DataFrame(nesterov).set_index("step size")

# %% tags=["hide-input"]
nesterov.round(3)

# %% tags=["nbval-check-output"]
# The plain attack must be one: its mean margin is below zero, where the images are misclassified.
better = (nesterov["gain"] > 2 * nesterov["s.e."]) & (nesterov["plain"] < 0)
ch.claim(
    "nesterov-attack",
    value={str(a): [row["gain"], row["s.e."], row["plain"]] for a, row in nesterov.iterrows()},
    holds=True if better.all() else "partly" if better.any() else False,
)

# %% [markdown]
# ## The smallest change
#
# DeepFool walks to the nearest of all linearized class boundaries; it is not projected gradient descent with
# another goal. On affine classifiers it is exact up to its overshoot of 2%. Carlini and Wagner minimize the length
# itself and pay hundreds of steps. As a yardstick, the smallest radius at which $\ell_2$-PGD succeeds, by bisection, image by
# image, with and without the bounds of valid pixels.

# %%
W = torch.randn(10, 30, generator=generator, dtype=torch.float64)
affine = lambda z: z @ W.T  # noqa: E731
label = affine(points).argmax(1)
values = affine(points)
every = (values[torch.arange(20), label][:, None] - values) / (W[label][:, None] - W).norm(dim=2)
exact = every.scatter(1, label[:, None], torch.inf).amin(1)
affine_error = ((deepfool(affine, points) - points).norm(dim=1) / exact - 1.02).abs().max().item()

# %%
right = (models[0](x_test).argmax(1) == y_test).nonzero()[:n_few, 0]
inputs, labels = x_test[right], y_test[right]
walked = deepfool(models[0], inputs)
crossed = (models[0](walked).argmax(1) != labels).double().mean().item()
lengths = pd.DataFrame(
    {
        "DeepFool": (walked - inputs).norm(dim=1).cpu(),
        "DeepFool, clipped": (deepfool(models[0], inputs, box=(0.0, 1.0)) - inputs).norm(dim=1).cpu(),
        "PGD": smallest_radius(models[0], inputs, labels, box=None).cpu(),
        "PGD, clipped": smallest_radius(models[0], inputs, labels).cpu(),
    }
)
slow = slice(0, ch.pick(quick=50, full=1000, smoke=10))
found = carlini_wagner(models[0], inputs[slow], labels[slow], steps=100, binary_steps=5, lr=0.05)
carlini = (found - inputs[slow]).norm(dim=1).cpu()
succeeded = (models[0](found).argmax(1) != labels[slow]).double().mean().item()

# %% tags=["nbval-check-output"]
medians = lengths.median().to_dict() | {"Carlini-Wagner": carlini.median().item(), "its successes": succeeded}
# Not the shortest is one thing, not working another: it changes the class, by a change of about the same length.
works = crossed > 0.95 and medians["DeepFool"] < 1.1 * medians["PGD"]
gains = {name: lengths[f"PGD{name}"] - lengths[f"DeepFool{name}"] for name in ("", ", clipped")}
shorter = all(gain.mean() > 2 * gain.sem() for gain in gains.values())
ch.claim(
    "deepfool-min",
    value=medians
    | {"affine error": affine_error, "class changed": crossed, "gains": [[g.mean(), g.sem()] for g in gains.values()]},
    holds=bool(affine_error < 1e-9 and works) and (True if shorter else "partly"),
)

# %% mystnb={"figure": {"name": "fig-17-lengths", "caption": "Length of the smallest change found, over correctly classified images. Without clipping DeepFool uses pixels that no image has; with it, it is compared on equal terms."}, "image": {"alt": "Box plots of Euclidean lengths for DeepFool and PGD, each without and with clipping, and Carlini-Wagner; medians between 0.7 and 1."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3)
    columns = [lengths[name] for name in lengths] + [pd.Series(carlini)]
    ax.boxplot(columns, tick_labels=[*lengths, "Carlini-Wagner"], flierprops={"ms": 2})
    ax.set(ylabel=r"$\ell_2$ length of the change", ylim=(0, None))

# %% [markdown]
# ## Which class into which
#
# A targeted attack picks the class. Ones are hard to reach, twos and threes are not, and the matrix is far from
# symmetric: a one is easily turned into a two, a two hardly ever into a one.


# %%
def target_rates():
    """(10, 10), share of the images of a class that a targeted attack turns into another; nan on the diagonal."""
    rates = torch.full((10, 10), torch.nan)
    for aim in range(10):
        goal = torch.full_like(labels, aim)
        hit = models[0](pgd(models[0], inputs, goal, 0.1, steps=steps, targeted=True)).argmax(1) == aim
        for digit in range(10):
            if digit != aim:
                rates[digit, aim] = hit[labels == digit].double().mean()
    return rates


# %% mystnb={"figure": {"name": "fig-17-targets", "caption": "Share of the correctly classified images of a class (rows) that a targeted attack of radius 0.1 turns into another (columns), first network."}, "image": {"alt": "A ten by ten heat map of success rates with an empty diagonal; rates vary between zero and one."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import SEQUENTIAL

    rates = target_rates()
    fig, ax = figure(height=4, width=5)
    mesh = ax.imshow(rates, vmin=0, vmax=1, cmap=SEQUENTIAL)
    ax.set(xlabel="class aimed at", ylabel="true class", xticks=range(10), yticks=range(10))
    ax.grid(False)
    fig.colorbar(mesh, label="success rate")

# %% mystnb={"figure": {"name": "fig-17-strength-full", "caption": "Attack strength at full scale."}, "image": {"alt": "Accuracy over epsilon for all attacks at full scale."}} tags=["hide-input"]
if ch.plots and recorded is not None:
    fig, ax = figure(height=3.2)
    curves(recorded, "eps", "accuracy", "attack", ax=ax, markers=True)
    ax.set(xlabel=r"radius $\epsilon$", ylabel="test accuracy", ylim=(0, 1))
    ax.legend()

# %% [markdown]
# ## Takeaway
#
# What the review says about the danger holds, nearly all of it by wide margins: a perturbation of a tenth of the pixel
# range takes an accuracy of 0.93 to about 0.1, two thirds of the damage carries over to a network that has seen other data, and
# labels alone are enough to attack. Of the methods, the raw gradient step needs a step size of its own, and the linearized
# bound is none: attacks break it on well over half of the images.
