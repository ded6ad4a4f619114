# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The role of momentum, checked
#
# The review's formulas, one by one: are the methods really members of one framework, do the moments weigh past gradients
# as stated, and what do the printed formulas compute where they differ from the methods they describe? Then the
# statements about what moments are good for: sparse data, noise, long memories.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.optim import (
    adam_moment_as_printed,
    average_as_printed,
    beta1_at,
    descend,
    effective_rates,
    first_weights,
    logistic_problem,
    logistic_sweep,
    nadam_as_printed,
    quadratic_dynamics,
    rule,
    second_weights,
    spectral_radius,
    stationary_variance,
    steps_to_shrink,
)

ch = Chapter("02-momentum", notebook="role-of-momentum", profile=profile, seed=seed, full_minutes=1)
seeds = ch.pick(quick=20, full=200, smoke=4)
trials = ch.pick(quick=1024, full=65536, smoke=64)
scales = torch.tensor([1.0, 10.0, 0.3], dtype=torch.float64)


def bumpy(z):
    """A smooth non-convex objective with unequal curvatures, (..., 3) -> (...)."""
    return 0.5 * (scales * z**2).sum(-1) + 0.1 * torch.cos(3 * z).sum(-1)


def bumpy_gradient(z):
    """Its gradient."""
    return scales * z - 0.3 * torch.sin(3 * z)


start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

# %% [markdown]
# ## One framework
#
# Seven methods, each once through the framework and once by an independent implementation: `torch.optim` where it has the
# method in the review's form, a loop of three lines where it has not (PyTorch's SGD does not damp its first momentum
# step, so it is not the review's SGDM).

# %%
torch_forms = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-10),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.05, rho=0.9, eps=1e-6),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05, alpha=0.99, eps=1e-8),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05),
}


def by_torch(make, steps=80):
    """The last iterate of an optimizer of torch."""
    z = start.clone().requires_grad_(True)
    optimizer = make([z])
    for _ in range(steps):
        optimizer.zero_grad()
        bumpy(z).backward()
        optimizer.step()
    return z.detach()


def by_hand(lookahead, steps=80):
    """SGDM and NAG as plain loops."""
    z, m = start.clone(), torch.zeros(3, dtype=torch.float64)
    for _ in range(steps):
        m = 0.9 * m + 0.1 * bumpy_gradient(z - 0.05 * 0.9 * m if lookahead else z)
        z = z - 0.05 * m
    return z


independent = {name: by_torch(make) for name, make in torch_forms.items()}
independent |= {"sgdm": by_hand(False), "nag": by_hand(True)}
difference = {
    name: (descend(bumpy, start, name, 0.05, 80).x[-1] - z).abs().max().item() for name, z in independent.items()
}

# %% tags=["nbval-check-output"]
ch.claim("framework-contains-all", value=difference, holds=max(difference.values()) < 1e-9)

# %% [markdown]
# ## What the moments weigh
#
# The recursions unrolled are weighted sums of past gradients; `first_weights` and `second_weights` are the review's
# $\phi$ and $\psi$. We send random gradients through the recursion and through the sum.


# %%
def by_recursion(r, g):
    """First and second moment at the last step by the recursion."""
    m = v = torch.zeros_like(g[0])
    decay = 1.0
    for t in range(1, len(g) + 1):
        b = beta1_at(r, t)
        decay *= b
        m = {"gradient": g[t - 1], "sum": b * m + g[t - 1], "average": b * m + (1 - b) * g[t - 1]}[r.first]
        v = v + g[t - 1] ** 2 if r.second == "sum" else r.beta2 * v + (1 - r.beta2) * g[t - 1] ** 2
    bias = (1 - decay, 1 - r.beta2 ** len(g)) if r.debias else (1.0, 1.0)
    return m / bias[0], v / bias[1]


gradients = torch.randn(60, 50, generator=ch.generator(1), dtype=torch.float64)
unrolled = {}
for name in ("sgd", "heavy-ball", "sgdm", "demon", "adagrad", "rmsprop", "adam"):
    r = rule(name, **({"total_steps": 60} if name == "demon" else {}))
    m, v = by_recursion(r, gradients)
    errors = [(first_weights(r, 60) @ gradients - m).abs().max().item()]
    if r.second != "one":
        errors.append(((second_weights(r, 60) @ gradients**2 - v).abs() / v).max().item())
    unrolled[name] = max(errors)

weights = first_weights(rule("sgdm"), 400)
window = {
    "in the last 10": weights[-10:].sum().item(),
    "mean age": (weights @ torch.arange(399.0, -1, -1).double()).item(),
}

# %% tags=["nbval-check-output"]
ch.claim("moments-closed-form", value=unrolled, holds=max(unrolled.values()) < 1e-12)
in_window = abs(window["in the last 10"] - (1 - 0.9**10)) < 1e-3 and abs(window["in the last 10"] - 0.651) < 1e-3
ch.claim("average-window", value=window, holds=in_window and abs(window["mean age"] - 9) < 0.01)

# %% [markdown]
# So the last $1/(1-\beta_1) = 10$ gradients hold 65% of the weight; the mean age of a gradient in the
# average is $\beta_1/(1-\beta_1) = 9$ steps.
#
# ### Two misprints
#
# Section 3.2 divides by $1-\beta^t$ *inside* the recursion, so the division compounds; the sum printed below it is
# right and contradicts it. Section 4 writes $\beta^{t-1}$ for $\beta^{t-i}$ in five places (and $g_i^2$ for $g_i$ in
# Adam's $\phi$), which makes every past gradient count the same.

# %% tags=["nbval-check-output"]
ones = torch.ones(10, dtype=torch.float64)
printed, correct = adam_moment_as_printed(ones, 0.9), first_weights(rule("adam"), 10) @ ones
ch.claim(
    "erratum-adam-recursion",
    value={"printed": printed, "correct": correct},
    holds=abs(correct.item() - 1) < 1e-12 and printed[-1].item() > 1000,
)
m = by_recursion(rule("sgdm"), gradients)[0]
exponents = {
    "t - i": (first_weights(rule("sgdm"), 60) @ gradients - m).norm().item() / m.norm().item(),
    "t - 1, as printed": (average_as_printed(gradients, 0.9) - m).norm().item() / m.norm().item(),
    "squares, as printed": (first_weights(rule("sgdm"), 60) @ gradients**2 - m).norm().item() / m.norm().item(),
}
ch.claim(
    "erratum-exponent",
    value=exponents,
    holds=exponents["t - i"] < 1e-12
    and exponents["t - 1, as printed"] > 0.5
    and exponents["squares, as printed"] > 0.5,
)

# %% mystnb={"figure": {"name": "fig-02-weights", "caption": "Weights of past gradients in the first moment after 40 steps: a decaying sum (heavy ball), a moving average, the debiased average (the three coincide), and DEMON over 40 steps. The printed exponent gives every gradient the same weight."}, "image": {"alt": "Five curves of weight against the age of a gradient: one line of exponential decay for sum, average and debiased average, a much steeper fall for DEMON, a flat line near 0.002 for the printed formula."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure()
    shown = {
        "sum (divided by 10)": first_weights(rule("heavy-ball"), 40) / 10,
        "average": first_weights(rule("sgdm"), 40),
        "debiased average": first_weights(rule("adam"), 40),
        "DEMON over 40 steps": first_weights(rule("demon", total_steps=40), 40),
        "average as printed": torch.full((40,), 0.9**39 * 0.1),
    }
    for label, line in shown.items():
        ax.plot(range(39, -1, -1), line, label=label, marker="o", ms=2.5)
    ax.set(xlabel="age of the gradient (steps)", ylabel="weight", yscale="log", ylim=(1e-4, 1.2))
    ax.legend(ncols=2)

# %% [markdown]
# ## Where Nesterov looks
#
# The review takes the gradient at $w - \alpha m_{t-1}$; Nesterov's method takes it at $w - \alpha\beta_1 m_{t-1}$,
# where the coming step will lead if the new gradient is zero. On a quadratic with curvature $\lambda$ the recursion of
# $(w, m)$ is linear, and its spectral radius decides: the correct form is stable up to
# $\alpha\lambda = 2(1+\beta)/((1+2\beta)(1-\beta)) = 13.57$ at $\beta = 0.9$, the printed one up to
# $2(1+\beta)/(3(1-\beta)) = 12.67$. In between, at 13, one converges and the other diverges.

# %%
limit = 2 * 1.9 / ((1 + 1.8) * 0.1)
products = torch.linspace(0.05, 15, 2991, dtype=torch.float64)
radius = {
    name: spectral_radius(quadratic_dynamics(rule("nag"), 1.0, products, lookahead_factor=factor).transition)
    for name, factor in (("correct", None), ("printed", 1.0))
}
stable_to = {name: products[values < 1].max().item() for name, values in radius.items()}
at_13 = {
    name: spectral_radius(quadratic_dynamics(rule("nag"), 1.0, 13.0, lookahead_factor=factor).transition).item()
    for name, factor in (("correct", None), ("printed", 1.0))
}
run_13 = descend(lambda z: 0.5 * (z**2).sum(-1), torch.ones(1, dtype=torch.float64), "nag", 13.0, 400).f[-1].item()

# Nesterov's sequence in its textbook form: y_{t+1} = x_t - s grad(x_t), x_{t+1} = y_{t+1} + beta (y_{t+1} - y_t), where
# x is the point of the gradient, s = lr (1 - beta).
y_t = x_t = start.clone()
nesterov = []
for _ in range(60):
    nesterov.append(x_t)
    y_next = x_t - 0.05 * 0.1 * bumpy_gradient(x_t)
    x_t, y_t = y_next + 0.9 * (y_next - y_t), y_next
looked_at = []
descend(None, start, "nag", 0.05, 60, grad=lambda z, t: (looked_at.append(z.clone()), bumpy_gradient(z))[1])
same_sequence = (torch.stack(looked_at) - torch.stack(nesterov)).abs().max().item()

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-nag-lookahead",
    value={"stable up to": stable_to, "limit": limit, "radius at 13": at_13, "Nesterov's sequence": same_sequence},
    holds=same_sequence < 1e-12
    and abs(stable_to["correct"] - limit) < 0.01
    and at_13["correct"] < 1 < at_13["printed"]
    and run_13 < 0.5,
)

# %% mystnb={"figure": {"name": "fig-02-nag", "caption": "Spectral radius of Nesterov's recursion on a quadratic against step size times curvature, beta 0.9: with the factor beta1 in the look-ahead, and as printed without it. Above 1 the method diverges."}, "image": {"alt": "Two curves of spectral radius; both fall, then rise; the printed one crosses 1 at 12.67, the correct one at 13.57."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure()
    for name, values in radius.items():
        ax.plot(products, values, label=name)
    ax.axhline(1.0, color="0.4", lw=1, ls="--")
    ax.set(xlabel=r"step size $\times$ curvature, $\alpha\lambda$", ylabel="spectral radius")
    ax.legend()

# %% [markdown]
# ## AdaDelta is not RMSProp, and NAdam is not Adam that looks ahead
#
# The review gives AdaDelta and RMSProp one formula. But AdaDelta's step is
# $\mathrm{RMS}(\Delta x)/\mathrm{RMS}(g)\cdot g$, which has the units of a parameter {cite}`zeiler2012adadelta`: measure
# the parameters in units $c$ times smaller and its path is rescaled exactly, whereas RMSProp takes about the same
# absolute steps as before.
#
# NAdam as printed looks ahead by $m/V$ without the square root (and without $\beta_1$), so its look-ahead depends on the
# scale of the loss; Dozat's NAdam {cite}`dozat2016incorporating` evaluates no gradient at a shifted point at all.

# %%
c = 100.0
paths, length = {}, {}
for name in ("adadelta", "rmsprop"):
    plain = descend(bumpy, start, name, 1.0 if name == "adadelta" else 0.01, 80)
    options = {"eps": rule(name).eps / c**2}
    if name == "adadelta":
        options["eps_delta"] = rule(name).eps * c**2
    else:
        options["eps"] = rule(name).eps / c  # added to a root, so it scales like the gradient
    scaled = descend(lambda z: bumpy(z / c), start * c, rule(name, **options), 1.0 if name == "adadelta" else 0.01, 80)
    moved, expected = scaled.x[-1] / c - start, plain.x[-1] - start
    paths[name] = ((moved - expected).norm() / expected.norm()).item()
    length[name] = (c * moved.norm() / expected.norm()).item()  # in the units of each run's own parameters

louder = 37.0
dozat = descend(bumpy, start, "nadam", 0.05, 60).x[-1]
way = (dozat - start).abs().max().item()  # a method that stays where it is does not depend on the scale either
loss_scaling = {
    "Dozat's": (dozat - descend(lambda z: louder * bumpy(z), start, "nadam", 0.05, 60).x[-1]).abs().max().item(),
    "printed": (
        nadam_as_printed(bumpy_gradient, start, 0.05, 60)[-1]
        - nadam_as_printed(lambda z: louder * bumpy_gradient(z), start, 0.05, 60)[-1]
    ).abs().max().item(),
}  # fmt: skip

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-adadelta",
    value={"relative change of the rescaled path": paths, "length of the path in its own units": length},
    holds=paths["adadelta"] < 1e-10 and paths["rmsprop"] > 0.9 and 0.25 < length["rmsprop"] < 4,
)
ch.claim(
    "erratum-nadam",
    value=loss_scaling | {"way of Dozat's": way},
    holds=loss_scaling["Dozat's"] < 1e-5 and loss_scaling["printed"] > 1e-3 and way > 0.5,
)

# %% [markdown]
# ## Does the learning rate vanish?
#
# AdaGrad's effective step size $\alpha/\sqrt{V_t}$ only falls, and to zero if the gradients do not fade: like $1/\sqrt t$
# under gradients of constant size. The moving average of RMSProp forgets, so its step size settles.

# %%
constant = torch.ones(10_000, 1, dtype=torch.float64)
rate = {name: effective_rates(rule(name), constant)[:, 0] for name in ("adagrad", "rmsprop")}
varied = effective_rates(rule("adagrad"), torch.randn(2000, 20, generator=ch.generator(2), dtype=torch.float64))
t = torch.arange(1, 10_001, dtype=torch.float64)
scaled_rate = rate["adagrad"] * t.sqrt()
kept = {name: (values[9999] / values[999]).item() for name, values in rate.items()}

# %% tags=["nbval-check-output"]
spread = (scaled_rate.max() / scaled_rate.min() - 1).item()
falls = bool((varied.diff(dim=0) <= 1e-15).all())
settles = (rate["rmsprop"][0] / rate["rmsprop"][-1]).item()  # a step size that never changed would not vanish either
ch.claim(
    "adagrad-step-vanishes", value={"spread of rate sqrt(t)": spread, "monotone": falls}, holds=falls and spread < 0.05
)
ch.claim(
    "rmsprop-keeps-learning",
    value={"rate at 10,000 over rate at 1,000": kept, "first rate of RMSProp over its last": settles},
    holds=0.99 < kept["rmsprop"] < 1.01 and settles > 5 and abs(kept["adagrad"] - math.sqrt(0.1)) < 0.01,
)

# %% [markdown]
# ## Sparse data
#
# AdaGrad is said to excel on sparse data. Logistic regression with 200 features, feature $j$ present with probability
# $1/j$, against the same with dense features; every method at its best step size, all step sizes and seeds at once.
# AdaGrad does two things: it adapts each coordinate, and it slows down like $1/\sqrt t$. To tell them apart, SGD competes
# both with a constant step size and with that same schedule.

# %%
grids = {
    ("sgd", False): [0.3, 1, 3, 10, 30, 100],
    ("sgd", True): [3, 10, 30, 100, 300],
    ("adagrad", False): [0.3, 1, 3, 10],
    ("heavy-ball", False): [0.1, 0.3, 1, 3],
    ("adam", False): [0.03, 0.1, 0.3, 1],
}
kinds = {"sparse": True, "dense": False}
problems = {
    kind: logistic_problem(400, 200, range(seed, seed + seeds), sparse=sparse, signal=0.5)
    for kind, sparse in kinds.items()
}
# Half a decade is coarse for a narrow valley: a few step sizes more around the best ones.
finer = {
    ("sgd", False): [5.5, 7],
    ("sgd", True): [55],
    ("adagrad", False): [0.55, 1.7],
    ("heavy-ball", False): [0.7],
    ("adam", False): [0.17],
}
coarse, between = [], []
for kind, problem in problems.items():
    for (name, decay), grid in grids.items():
        table = logistic_sweep(problem, rule(name), grid + finer[name, decay], decay=decay)
        table = table.assign(method=name + decay * " decaying", data=kind)
        coarse.append(table[table.lr.isin(grid)])
        between.append(table[~table.lr.isin(grid)])
recorded = ch.table("sparse-logistic", pd.concat(coarse, ignore_index=True))
sparse_table = pd.concat(coarse + between, ignore_index=True)
mean = sparse_table.groupby(["data", "method", "lr"])["loss"].mean()
at_best = {key: mean[key].min() for key in mean.index.droplevel("lr").unique()}
tuned_rows = sparse_table[
    [mean[d, m, lr] == at_best[d, m] for d, m, lr in zip(sparse_table.data, sparse_table.method, sparse_table.lr)]
]
tuned = tuned_rows.pivot_table(index=["data", "seed"], columns="method", values="loss")
ratios = {
    kind: {m: tuned.loc[kind]["adagrad"].mean() / tuned.loc[kind][m].mean() for m in ("sgd", "sgd decaying")}
    for kind in kinds
}

# %% mystnb={"figure": {"name": "fig-02-sparse", "caption": "Training loss of logistic regression after 400 mini-batches against step size, mean over seeds with two standard errors: sparse and dense features; top the quick run, 20 seeds, bottom, where it is recorded, the full scale, 200 seeds. Step sizes at which runs begin to diverge leave the frame, which ends a little above the loss at the start, log 2. The gain of AdaGrad over SGD with AdaGrad's own schedule is there on sparse features only."}, "image": {"alt": "Panels of valley-shaped curves, sparse features left and dense ones right, alike at both scales. On sparse features AdaGrad's valley is lowest, Adam's next, and those of SGD clearly higher; on dense features the minima of AdaGrad and decaying SGD are about equal."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import sweep as draw_sweep

    labels = {"sgd": "SGD", "sgd decaying": "SGD, decaying", "adagrad": "AdaGrad", "heavy-ball": "heavy ball",
              "adam": "Adam"}  # fmt: skip
    scales_drawn = ch.scales(sparse_table, recorded)
    fig, axes = figure(len(scales_drawn), 2, height=3.0, sharex=True, sharey=True, squeeze=False)
    for row, (scale, table) in zip(axes, scales_drawn.items()):
        for ax, kind in zip(row, kinds):
            draw_sweep(table[table.data == kind], "lr", "loss", "method", ax=ax, labels=labels, order=labels)
            ax.set(title=f"{kind} features, {scale}", ylim=(0.1, 0.8))
        row[0].set_ylabel("training loss (nats)")
    for ax in axes[-1]:
        ax.set_xlabel("step size")
    axes[0, 0].legend(fontsize=8)

# %%
features = problems["sparse"].x[0]
order = torch.randint(len(features), (400, 10), generator=ch.generator(3))
w = torch.zeros(200, dtype=torch.float64)
history = []
for batch in order:
    margin = problems["sparse"].y[0, batch] * (features[batch] @ w)
    g = -(torch.sigmoid(-margin) * problems["sparse"].y[0, batch] / 10) @ features[batch]
    history.append(g)
    w = w - 3.0 * g / torch.stack(history).square().sum(0).sqrt().clamp(min=1e-10)
squares = torch.stack(history).square().sum(0)
seen = squares > 0
frequency = pd.Series(features.mean(0)[seen].numpy())
spearman = frequency.corr(pd.Series(squares[seen].rsqrt().numpy()), method="spearman")

# %% tags=["nbval-check-output"]
wins_on_sparse = all(value < 0.85 for value in ratios["sparse"].values())
no_gain_on_dense = ratios["dense"]["sgd decaying"] > 0.9
learnt = tuned.groupby("data").mean().max().max() < 0.7 * math.log(2)  # log 2 is the loss at the start
ch.claim(
    "sparse-adagrad",
    value={"loss of AdaGrad over SGD": ratios, "Spearman of frequency and step size": spearman},
    holds=bool(learnt and wins_on_sparse and no_gain_on_dense and spearman < -0.8),
)

# %% [markdown]
# The same runs answer whether one optimizer is best everywhere. Adam and the heavy ball, both tuned, trade places
# between the two kinds of data, by a wide margin on sparse features and a narrow one on dense.

# %% tags=["nbval-check-output"]
lead = {}
for kind in kinds:
    gaps = tuned.loc[kind]["adam"] - tuned.loc[kind]["heavy-ball"]
    lead[kind] = {"Adam - heavy ball": gaps.mean(), "standard_error": gaps.sem()}
t_values = {kind: row["Adam - heavy ball"] / row["standard_error"] for kind, row in lead.items()}
ch.claim("no-free-lunch", value=lead, holds=t_values["sparse"] < -2 and t_values["dense"] > 2)

# %% [markdown]
# ## Quasi-hyperbolic momentum
#
# QHM's step is $\nu m_t + (1-\nu) g_t$. It contains SGD ($\nu=0$), SGDM ($\nu=1$) and, in look-ahead coordinates, NAG
# ($\nu=\beta_1$) {cite}`ma2018quasi`. Its purpose is a long memory without its bias: on a noisy quadratic (curvature 1,
# step size 1/2, unit noise) the stationary variance solves a Lyapunov equation, and the simulation has to agree. SGD
# competes at that step size and at smaller ones, among them $(1-\nu)/2 = 0.15$, the share of QHM's step that is not
# averaged.


# %%
def qhm(nu, lr=0.05, steps=60, name="qhm"):
    """Iterates of QHM with beta1 = 0.9."""
    return descend(bumpy, start, rule(name, beta1=0.9, nu=nu), lr, steps).x


interpolation = {
    "nu = 0 is SGD": (qhm(0.0) - descend(bumpy, start, "sgd", 0.05, 60).x).abs().max().item(),
    "nu = 1 is SGDM": (qhm(1.0) - descend(bumpy, start, "sgdm", 0.05, 60).x).abs().max().item(),
    # QHM's iterates with nu = beta are the points at which NAG takes its gradients.
    "nu = beta1 is NAG": (qhm(0.9)[:-1] - torch.stack(looked_at)).abs().max().item(),
}

cases = {"SGD": rule("sgd"), "SGDM 0.999": rule("sgdm", beta1=0.999), "QHM 0.999, 0.7": rule("qhm")}
exact = {name: quadratic_dynamics(r, 1.0, 0.5) for name, r in cases.items()}
variance = {name: stationary_variance(each).item() for name, each in exact.items()}
shrink = {name: steps_to_shrink(each, 1e-3).item() for name, each in exact.items()}
small_steps = torch.tensor([0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5], dtype=torch.float64)
plain = quadratic_dynamics(rule("sgd"), 1.0, small_steps)
plain_variance, plain_shrink = stationary_variance(plain), steps_to_shrink(plain, 1e-3)
noise = ch.generator(4)
simulated = descend(
    None,
    torch.zeros(trials, 1, dtype=torch.float64),
    "qhm",
    0.5,
    3000,
    grad=lambda z, t: z + torch.randn(z.shape, generator=noise, dtype=torch.float64),
    record_every=100,
).x[20:].square().mean().item()  # fmt: skip

# %% tags=["nbval-check-output"]
ch.claim("qhm-interpolates", value=interpolation, holds=max(interpolation.values()) < 1e-9)
agrees = abs(simulated / variance["QHM 0.999, 0.7"] - 1) < 0.1
cures = variance["QHM 0.999, 0.7"] < 0.5 * variance["SGD"] and shrink["QHM 0.999, 0.7"] < 0.5 * shrink["SGDM 0.999"]
less_noise, sooner = plain_variance < 0.9 * variance["QHM 0.999, 0.7"], plain_shrink < 0.9 * shrink["QHM 0.999, 0.7"]
beaten = bool((less_noise & sooner).any())  # by plain SGD with a smaller step
ch.claim(
    "qhm-variance",
    value={"stationary variance": variance, "simulated": simulated, "steps to shrink the mean by 1000": shrink,
           "SGD, step size: variance, steps": {
               f"{a:g}": [v, s] for a, v, s in zip(*(x.tolist() for x in (small_steps, plain_variance, plain_shrink)))
           }},
    holds=("partly" if beaten else True) if agrees and cures else False,
)  # fmt: skip

# %% [markdown]
# The variance is that of the share that is not averaged: SGD with the step 0.15 has 0.081, QHM 0.082, and SGD needs 43
# steps where QHM needs 828. On this problem QHM cures SGDM's wait; it does not beat a smaller step.
#
# ## DEMON's schedule
#
# With $u = 1 - (t-1)/T$ (the review has $t/T$, which is the same with steps counted from 0) the schedule makes the odds
# $\beta/(1-\beta)$, the total weight of a gradient's future contributions, fall linearly to zero
# {cite}`chen2019decaying`. (The original decays the *undamped* momentum; the review
# describes it for its averaged SGDM. The library has both.)

# %% tags=["nbval-check-output"]
demon = rule("demon", beta1=0.9, total_steps=200)
steps_checked = [1, 41, 101, 161, 201]
odds = [beta1_at(demon, k) / (1 - beta1_at(demon, k)) for k in steps_checked]
linear = [9.0 * (1 - (k - 1) / 200) for k in steps_checked]
worst = max(abs(a - b) for a, b in zip(odds, linear))
ch.claim(
    "demon-schedule",
    value={"odds": odds, "largest deviation": worst},
    holds=worst < 1e-12 and beta1_at(demon, 201) == 0,
)

# %% mystnb={"figure": {"name": "fig-02-variance", "caption": "What a long memory costs and brings on a noisy quadratic (curvature 1): stationary variance against the number of steps that shrink the mean a thousandfold, for SGDM and QHM with beta from 0.5 to 0.999 (step size 0.5), and for SGD with step sizes from 0.5 (star) down to 0.01. QHM ends SGDM's long wait; SGD with a smaller step has less variance in as many steps as either."}, "image": {"alt": "Three curves over a logarithmic axis of steps; SGDM moves right with beta at almost constant variance, QHM moves down in variance at far fewer steps, and SGD with smaller steps falls faster and lies below both."}} tags=["hide-input"]
if ch.plots:
    betas = [0.5, 0.7, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999]
    fig, ax = figure()
    for label, nu, marker in (("SGDM", 1.0, "o"), ("QHM, nu 0.7", 0.7, "s")):
        each = [quadratic_dynamics(rule("qhm", beta1=b, nu=nu), 1.0, 0.5) for b in betas]
        ax.plot(
            [steps_to_shrink(d, 1e-3) for d in each],
            [stationary_variance(d) for d in each],
            marker,
            ls="-",
            label=label,
        )
    ax.plot(plain_shrink, plain_variance, "^", ls="--", ms=4, label="SGD, smaller steps")
    ax.plot(shrink["SGD"], variance["SGD"], "*", ms=11, label="SGD, step 0.5")
    ax.set(xscale="log", xlabel="steps to shrink the mean a thousandfold", ylabel="stationary variance", ylim=(0, None))
    ax.legend()

# %% [markdown]
# ## Takeaway
#
# The framework is sound: every method is a member, to machine precision (AdaDelta with a $V$ that holds an accumulator
# of squared steps, which the review's formula lacks). Of the printed formulas five are not what they
# are meant to be, and each is told apart by a number: NAG's look-ahead lacks $\beta_1$, Adam's recursion divides too
# often, the exponents of section 4 forget which gradient they belong to, AdaDelta is more than RMSProp, and NAdam does
# not look ahead. Sparsity is where adaptation pays. On the noisy quadratic a long memory, curbed or not, buys nothing that
# a smaller step does not.
