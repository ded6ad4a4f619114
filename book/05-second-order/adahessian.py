# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # AdaHessian: a diagonal from random signs
#
# AdaHessian {cite}`yao2021adahessian` is Adam with another denominator: in place of the squared gradient the squared diagonal of the
# Hessian, estimated by one product with random signs per step {cite}`bekas2007estimator`, averaged over time and over blocks of
# parameters. We check the estimator and the descent guarantee, then which of the averages matter, what a step costs, and what happens
# to the generalization gap. Its robustness to the learning rate has a notebook of its own, {doc}`robustness`.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import breast_cancer
from litrepro.optim.curvature import hessian_power_step, hutchinson_diagonal
from litrepro.secondorder import digits_problem, gap_at_level, logistic_loss, logistic_newton, train_flat

ch = Chapter("05-second-order", notebook="adahessian", profile=profile, seed=seed, full_minutes=2)
seeds = list(range(ch.pick(quick=10, full=50, smoke=2)))
f64 = torch.float64

# %% [markdown]
# ## Hutchinson's diagonal
#
# The matrix is the Hessian of logistic regression on the breast-cancer data. For signs $z$ the mean of $z\odot Hz$ is the
# diagonal, with variance $\sum_{j\ne i}H_{ij}^2$ in entry $i$. The review averages $w = Hz$ itself, whose mean is zero.

# %%
table = breast_cancer()
x = table.features.double()
x = (x - x.mean(0)) / x.std(0)
y = 2.0 * table.labels.double() - 1
H = torch.func.jacrev(torch.func.grad(logistic_loss(0.01)))(logistic_newton(x, y, 0.01, steps=20)[-1], x, y)
exact = H.diagonal()

# %%
draws = hutchinson_diagonal(lambda z: z @ H, torch.zeros(20_000, 30, dtype=f64), generator=ch.generator(1))
off_diagonal = (H.square().sum(1) - exact**2).sqrt()
spread = (draws.std(0) / off_diagonal - 1).abs().max().item()
counts = [4**k for k in range(6)]
errors = {}
for count in counts:
    estimate = hutchinson_diagonal(
        lambda z: z @ H, torch.zeros(200, 30, dtype=f64), samples=count, generator=ch.generator(2 + count)
    )
    errors[count] = ((estimate - exact).norm(dim=1) / exact.norm()).square().mean().sqrt().item()
logs = torch.tensor([[math.log(count), math.log(error)] for count, error in errors.items()])
centred = logs - logs.mean(0)
slope = (centred.prod(1).sum() / centred[:, 0].square().sum()).item()

# %%
signs = 2.0 * torch.randint(2, (20_000, 30), generator=ch.generator(9)).double() - 1
products = signs @ H
mean_of_products = (products.mean(0) / (products.std(0) / math.sqrt(20_000))).abs().max().item()
diagonal_error = ((draws.mean(0) - exact) / (draws.std(0) / math.sqrt(20_000))).abs().max().item()
missed = (products.mean(0).norm() / exact.norm()).item()

# %% tags=["nbval-check-output"]
ch.claim(
    "hutchinson-diagonal", value={"slope": slope, "se off by": spread}, holds=abs(slope + 0.5) < 0.1 and spread < 0.05
)
ch.claim(
    "erratum-hutchinson-mean",
    value={
        "mean of Hz, in se": mean_of_products,
        "its norm over the diagonal's": missed,
        "mean of z Hz, in se": diagonal_error,
    },
    holds=mean_of_products < 5 and missed < 0.1 and diagonal_error < 5,
)

# %% mystnb={"figure": {"name": "fig-05-hutchinson", "caption": "Left: relative error of the estimated diagonal against the number of products, 200 repetitions, with the slope -1/2. Right: the diagonal entries (black) and what one product gives for each (mean and standard deviation): the noise of one vector is of the size of the signal, which is why AdaHessian averages."}, "image": {"alt": "Left a straight line falling with slope one half on logarithmic axes. Right thirty black dots at different heights with error bars as long as the dots are high, some reaching below zero."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure, reference_slope

    fig, axes = figure(1, 2)
    axes[0].loglog(counts, list(errors.values()), "o-", color=PALETTE[0], label="measured")
    reference_slope(axes[0], (1, 1024), errors[1] * 1.3, -0.5, "slope -1/2")
    axes[0].set(xlabel="random vectors", ylabel="relative error of the diagonal")
    axes[0].legend()
    axes[1].errorbar(
        range(30), draws.mean(0), draws.std(0), fmt="none", color=PALETTE[1], alpha=0.7, label="one product"
    )
    axes[1].plot(range(30), exact, "k.", label="diagonal")
    axes[1].set(xlabel="parameter", ylabel="second derivative")
    axes[1].legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=2)

# %% [markdown]
# ## The descent guarantee
#
# With $\alpha I\preceq\nabla^2 f\preceq\beta I$, the step $-\frac{\alpha^k}{\beta}H^{-k}g$ should lower $f$ by at least $\frac{\alpha^k}{2\beta^{1+k}}\lVert g\rVert^2$,
# (11), and so should the step with the diagonal of $H$ in place of $H$. On quadratics both can be checked exactly: 1,000 random ones in ten dimensions
# with condition number 100.

# %%
count, d, alpha, beta = 1000, 10, 0.1, 10.0
generator = ch.generator(20)
Q = torch.linalg.qr(torch.randn(count, d, d, generator=generator, dtype=f64)).Q
values = alpha * (beta / alpha) ** torch.rand(count, d, generator=generator, dtype=f64)
values[:, 0], values[:, 1] = alpha, beta
A = Q @ torch.diag_embed(values) @ Q.mT
A = (A + A.mT) / 2
g = torch.randn(count, d, generator=generator, dtype=f64)
diagonal = A.diagonal(dim1=-2, dim2=-1)
inside = bool(((diagonal >= alpha - 1e-12) & (diagonal <= beta + 1e-12)).all())
slack = {"full": {}, "diagonal": {}}
for k in (0.0, 0.25, 0.5, 1.0):
    rate = alpha**k / beta
    steps = {"full": hessian_power_step(A, g, power=k, lr=rate), "diagonal": -rate * diagonal**-k * g}
    bound = -(alpha**k) / (2 * beta ** (1 + k)) * g.square().sum(-1)
    for name, step in steps.items():
        decrease = (g * step).sum(-1) + torch.einsum("ni,nij,nj->n", step, A, step) / 2
        slack[name][str(k)] = (decrease / bound).min().item()  # at least 1: the bound holds

# %% tags=["nbval-check-output"]
ch.claim("hessian-power-descent", value=slack["full"], holds=min(slack["full"].values()) >= 1 - 1e-9)
ch.claim(
    "diagonal-power-descent",
    value=slack["diagonal"],
    holds=inside and min(slack["diagonal"].values()) >= 1 - 1e-9,
)

# %% [markdown]
# ## Adam's moments, as printed
#
# The review evaluates every gradient of the moving averages at $x_t$ and leaves out $\epsilon$. They belong at $x_j$, one each. Without noise
# the printed averages collapse: $m_t = \nabla f(x_t)$, $v_t = |\nabla f(x_t)|$, and the step is the sign. `torch.optim.Adam` tells the two
# apart.


# %%
def adam_by_hand(printed, steps=30, lr=0.05):
    """Adam on a quadratic with its sums written out; printed: every gradient at x_t, and no epsilon."""
    w = torch.tensor([1.0, -2.0], dtype=f64)
    scale, past = torch.tensor([1.0, 20.0], dtype=f64), []
    for t in range(1, steps + 1):
        past.append(scale * w)
        each = [scale * w] * t if printed else past
        m = sum(0.1 * 0.9 ** (t - j) * each[j - 1] for j in range(1, t + 1)) / (1 - 0.9**t)
        v = sum(0.001 * 0.999 ** (t - j) * each[j - 1] ** 2 for j in range(1, t + 1)) / (1 - 0.999**t)
        w = w - lr * m / (v.sqrt() + (0 if printed else 1e-8))
    return w


# %%
p = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=f64))
peer = torch.optim.Adam([p], lr=0.05)
for _ in range(30):
    peer.zero_grad()
    (torch.tensor([1.0, 20.0], dtype=f64) * p**2).sum().div(2).backward()
    peer.step()
gap = {name: (adam_by_hand(name == "printed") - p.detach()).abs().max().item() for name in ("corrected", "printed")}

# %% tags=["nbval-check-output"]
ch.claim("erratum-adam-iterates", value=gap, holds=gap["corrected"] < 1e-12 and gap["printed"] > 0.01)

# %% [markdown]
# ## Which averages matter?
#
# Digits, tanh perceptron 64-64-64-10, five epochs of batches of 32, the same ten seeds (initial weights and order of samples) for
# everyone: all seeds and rates are one batch. (Six weights that do nothing pad each network to a multiple of 8, so that blocks are whole.) For each variant we take its best of several rates: AdamW {cite}`loshchilov2019decoupled`, AdaHessian with and
# without the average over time ($\beta_2 = 0$), with spatial blocks of 8, and with a curvature that is renewed only every fifth step.

# %%
problem = digits_problem(device=ch.device)
epochs, used = 5, problem.start([0]).shape[-1]
padding = -used % 8


def padded_model(w, inputs):
    """The network, blind to the weights that pad it."""
    return problem.model(w[..., :used], inputs)


def best_rate(method, rates, order=0, **options):
    """(test accuracies (S,) at the best rate, that rate); the order of the minibatches is one for all seeds."""
    start = torch.nn.functional.pad(problem.start(seeds), (0, padding))
    w0 = start.expand(len(rates), *start.shape)
    lr = torch.tensor(rates, device=ch.device)[:, None].expand(-1, len(seeds))
    options |= {"lr": lr, "epochs": epochs, "batch": 32, "seed": seed + order, "every_epoch": False}
    run = train_flat(method, padded_model, problem.loss, w0, problem.train, **options)
    accuracy = problem.score(run.w[..., :used], *problem.test).cpu()
    pick = accuracy.mean(1).argmax().item()
    return accuracy[pick], rates[pick]


# %%
variants = {
    "AdamW": ("adamw", [0.003, 0.006, 0.01, 0.02], {"weight_decay": 0.01}),
    "AdaHessian": ("adahessian", [0.03, 0.06, 0.1, 0.2], {}),
    "no average over time": ("adahessian", [1e-3, 3e-3, 0.01], {"betas": (0.9, 0.0)}),
    "blocks of 8": ("adahessian", [0.03, 0.06, 0.1, 0.2], {"block": 8}),
    "curvature every 5 steps": ("adahessian", [0.02, 0.03, 0.04, 0.05, 0.06], {"update_every": 5}),
}
found = {name: best_rate(method, rates, **options) for name, (method, rates, options) in ch.progress(variants.items())}
accuracy = {name: values for name, (values, _) in found.items()}


def paired(a, b):
    """(mean difference of accuracies over seeds, its standard error)."""
    difference = accuracy[a] - accuracy[b]
    return difference.mean().item(), (difference.std() / math.sqrt(len(difference))).item()


# %% tags=["hide-input"]
def with_error(values):
    """Mean and standard error as text."""
    return f"{values.mean():.3f} ± {values.std() / math.sqrt(len(values)):.3f}"


pd.DataFrame(
    [{"variant": name, "accuracy": with_error(values), "rate": rate} for name, (values, rate) in found.items()]
).set_index("variant")

# %% tags=["nbval-check-output"]
time_gain, time_se = paired("AdaHessian", "no average over time")
block_gain, block_se = paired("blocks of 8", "AdaHessian")
# Networks that learn nothing (accuracy 0.1) would be on par, and one that cannot be trained is no loss of averaging.
learnt = {name: values.mean().item() > 0.8 for name, values in accuracy.items()}
ch.claim(
    "curvature-averaging",
    value={"over time": [time_gain, time_se], "blocks of 8": [block_gain, block_se]},
    holds=time_gain > 2 * time_se and learnt["no average over time"],
)
ch.claim(
    "adahessian-on-par",
    value=paired("AdaHessian", "AdamW"),
    holds=paired("AdaHessian", "AdamW")[0] > -0.01 and learnt["AdamW"] and learnt["AdaHessian"],
)

# %% [markdown]
# The average over time is worth points of accuracy: with one random vector and no memory the denominator is often near zero, and
# only a tiny rate survives that. The average over blocks of 8 makes little difference here; its blocks mean more in a convolution.
#
# ## What a step costs
#
# One network at a time, as one would train it, CPU seconds per epoch, median of several rounds. It has two hidden layers of 256, so that
# arithmetic weighs more than calls. What the delayed curvature costs in accuracy is measured in two more orders of the minibatches, at the rates found above.


# %%
wide = digits_problem(widths=(64, 256, 256, 10), device=ch.device)
kinds = {
    "AdamW": ("adamw", {"weight_decay": 0.01}),
    "AdaHessian": ("adahessian", {}),
    "curvature every 5 steps": ("adahessian", {"update_every": 5}),
}


def epoch_seconds(method, options):
    """CPU seconds of an epoch of one network."""
    settings = {"lr": 0.01, "epochs": 1, "batch": 32, "every_epoch": False} | options
    return train_flat(method, wide.model, wide.loss, wide.start([0]), wide.train, **settings).seconds


# Side by side, round by round, so that a busy machine slows all of a round; the first round warms up.
rounds = [{name: epoch_seconds(*kind) for name, kind in kinds.items()} for _ in range(6)][1:]
ratio = {name: sorted(times[name] / times["AdamW"] for times in rounds)[2] for name in kinds}


# %%
def gain_of_delay(order):
    """Accuracy with a curvature of every fifth step minus that of every step, (S,), for an order of the minibatches."""
    delayed, always = (
        best_rate(variants[name][0], [found[name][1]], order=order, **variants[name][2])[0]
        for name in ("curvature every 5 steps", "AdaHessian")
    )
    return delayed - always


orders = ch.pick(quick=3, full=3, smoke=2)
first = accuracy["curvature every 5 steps"] - accuracy["AdaHessian"]  # order 0 has been trained above
delay = torch.stack([first, *map(gain_of_delay, range(1, orders))]).mean(1)
delay_gap, delay_se = delay.mean().item(), (delay.std() / math.sqrt(orders)).item()

# %% tags=["nbval-check-output"]
ch.claim("adahessian-cost", value=ratio["AdaHessian"], holds=1.5 <= ratio["AdaHessian"] <= 4)
ch.claim(
    "delayed-curvature",
    value={"accuracy": delay_gap, "se": delay_se, "time": ratio["curvature every 5 steps"]},
    holds=delay_gap > -0.02 and ratio["curvature every 5 steps"] < 1.6 and learnt["AdaHessian"],
)

# %% [markdown]
# ## Does curvature overfit?
#
# The discussion warns that second-order methods lower the training loss so well that they may overfit. The fair comparison is at equal training
# loss: on 1,000 digits we follow every run until its training loss first falls below 0.05, and there compare the gap between test and training loss
# (ten paired seeds, AdamW and AdaHessian at their best rates above, SGD at 0.05 with momentum 0.9).

# %%
small = digits_problem(n=1000, device=ch.device)
equal = {"level": 0.05, "epochs": 12, "batch": 32, "seed": seed}
tuned = {
    "SGD": ("sgd", {"lr": 0.05}),
    "AdamW": ("adamw", {"lr": found["AdamW"][1], "weight_decay": 0.01}),
    "AdaHessian": ("adahessian", {"lr": found["AdaHessian"][1]}),
}
gaps = {name: gap_at_level(method, small, seeds, **equal, **options).cpu() for name, (method, options) in tuned.items()}

# %%
reached = all(bool(values.isfinite().all()) for values in gaps.values())
# That no gap is larger than another means something where all three overfit, each in its own way.
overfit = min(values.mean().item() for values in gaps.values()) > 0.1
distinct = all(bool((gaps[a] != gaps[b]).all()) for a, b in itertools.combinations(gaps, 2))
ch.require(reached and overfit and distinct, f"the three optimizers did not overfit in three ways: {gaps}")
larger = max(("SGD", "AdamW"), key=lambda name: gaps[name].mean().item())
excess = gaps["AdaHessian"] - gaps[larger]
excess_mean, excess_se = excess.mean().item(), (excess.std() / math.sqrt(len(excess))).item()

# %% tags=["nbval-check-output"]
ch.claim(
    "generalization",
    value={name: values.mean().item() for name, values in gaps.items()} | {"excess": excess_mean, "se": excess_se},
    holds=reached and excess_mean > 2 * excess_se,
)

# %% mystnb={"figure": {"name": "fig-05-gap", "caption": "Left: test accuracy of the variants at their best rate, ten seeds each. Right: gap between test and training loss at the first epoch with training loss below 0.05, ten seeds each; black bars are means."}, "image": {"alt": "Left, dots of five variants; those of the variant without an average over time lie clearly lower. Right, dots for SGD, AdamW and AdaHessian with overlapping ranges."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.2)
    for ax, groups in zip(axes, (accuracy, gaps)):
        for row, values in enumerate(groups.values()):
            ax.plot(values, [row] * len(values), "o", color=PALETTE[row], alpha=0.45, ms=5)
            ax.plot([values.mean()] * 2, [row - 0.25, row + 0.25], color="k", lw=2)
        ax.set_yticks(range(len(groups)), groups)
        ax.invert_yaxis()
    axes[0].set(xlabel="test accuracy")
    axes[1].set(xlabel="test loss minus training loss")

# %% [markdown]
# ## Takeaway
#
# The estimator, the bound (11) and the advice to average over time hold. At its best rate AdaHessian is level with AdamW, for about twice the
# time; renewing the curvature every fifth step takes most of that away and costs half a point to a point of accuracy, more or less with the order of the minibatches, once its rate is tuned as well.
# At equal training loss no method overfits more than another. What is left to justify the price is robustness, the subject of the next notebook.
