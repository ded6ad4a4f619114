# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Identities of the losses
#
# What the review derives on paper, in float64: the limit of high temperature, label smoothing as distillation, the stationary point of the composite
# loss, and what soft targets do to a gradient. Five of its statements need a correction, and one a condition.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.distillation import (
    composite_optimum, distillation_loss, geometric_profile, gradient_noise, kl_divergence, mimic_loss, random_shift,
    regularized_loss, soft_cross_entropy, uniform_targets,
)  # fmt: skip
from litrepro.nets import mlp
from litrepro.training import cosine, fit

ch = Chapter("15-distillation", notebook="loss-identities", profile=profile, seed=seed, full_minutes=1)
rows = ch.pick(quick=200, full=2000, smoke=20)
K = 10
generator = ch.generator()


def draw(*shape):
    """Random logits, float64, every row with mean zero."""
    z = 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return z - z.mean(-1, keepdim=True)


def gradient(loss, z):
    """Gradient of the sum of a loss with respect to the logits."""
    z = z.clone().requires_grad_()
    return torch.autograd.grad(loss(z).sum(), z)[0]


def off(a, b):
    """Relative difference |a - b| / |b|."""
    return ((a - b).norm() / b.norm()).item()


z, v = draw(rows, K), draw(rows, K)
y = torch.randint(K, (rows,), generator=generator)
hot = F.one_hot(y, K).double()

# %% [markdown]
# ## The limit of high temperature
#
# The soft term $C=\mathrm{CE}(\mathrm{softmax}(v/T), \mathrm{softmax}(z/T))$ has the gradient
# $\frac1T(\mathrm{softmax}(z/T)-\mathrm{softmax}(v/T))$. With centred logits $\mathrm{softmax}(z/T) = \frac1N\big(1 + \frac zT + \frac{z^2 -
# \overline{z^2}}{2T^2}+O(T^{-3})\big)$, so
#
# $$
# \frac{\partial C}{\partial z} = \frac{z-v}{N T^2} + \frac{(z^2-\overline{z^2}) - (v^2-\overline{v^2})}{2 N T^3} + O(T^{-4}) .
# $$
#
# The review prints the first term. Its relative error must fall like $1/T$, with the second term like $1/T^2$, until rounding takes over: the
# two softmaxes differ by $O(1/T)$, so about $T$ times the machine precision is lost.

# %%
temperatures = np.logspace(0, 6, 25)
square = lambda u: u.square() - u.square().mean(-1, keepdim=True)  # noqa: E731


def errors(T, dtype=torch.float64):
    """Relative errors of the exact formula, of one term and of two."""
    a, b = z.to(dtype), v.to(dtype)
    g = gradient(lambda u: soft_cross_entropy(u, (b / T).softmax(-1), temperature=T), a).double()
    exact = ((z / T).softmax(-1) - (v / T).softmax(-1)) / T
    one = (z - v) / (K * T**2)
    two = one + (square(z) - square(v)) / (2 * K * T**3)
    return off(g, exact), off(one, g), off(two, g)


course = pd.DataFrame([errors(T) for T in temperatures], columns=["exact", "one", "two"], index=temperatures)
single = pd.Series([errors(T, torch.float32)[1] for T in temperatures], index=temperatures)
fitted = {
    name: np.polyfit(np.log(temperatures[m]), np.log(course[name][m]), 1)[0]
    for name, m in (("one", temperatures > 30), ("two", (temperatures > 30) & (temperatures < 3000)))
}
at = errors(1e4)

# %% mystnb={"figure": {"name": "fig-15-limit", "caption": "Relative error of formulas for the gradient of the soft term against the temperature: one term of the expansion (the review's), two terms, and the exact difference of softmaxes; in float32 the review's limit is lost to rounding."}, "image": {"alt": "Log-log plot over T from 1 to a million. One term falls with slope -1, two terms with slope -2 down to a rising rounding floor; the exact formula lies on that floor, which starts at machine precision; the float32 curve turns upwards near T = 10,000."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure(height=3.6)
    ax.loglog(course.index, course.one, "o-", ms=3, label="$(z-v)/NT^2$")
    ax.loglog(course.index, course.two, "s-", ms=3, label="two terms")
    ax.loglog(course.index, course.exact.clip(lower=1e-18), "^-", ms=3, label="difference of softmaxes")
    ax.loglog(single.index, single, "x--", ms=4, label="$(z-v)/NT^2$ against a float32 gradient")
    ax.loglog(course.index, 2.2e-16 * course.index, ":", color="0.4", label="$T$ times machine precision")
    ax.set(xlabel="temperature T", ylabel="relative error")
    ax.legend(fontsize=7)

# %% tags=["nbval-check-output"]
ch.claim(
    "high-t-limit",
    value={"error at 1e4": at[1], "two terms": at[2], "exact": at[0], "slopes": fitted},
    holds=bool(at[1] < 1e-3 and abs(fitted["one"] + 1) < 0.1 and abs(fitted["two"] + 2) < 0.2 and at[0] < 1e-10),
)

# %% [markdown]
# Logit matching is therefore the limit of the loss with the factor $T^2$, times $N$; a softmax does not see the rows' means, so the logits must be
# centred. In float32 rounding wins beyond a temperature of ten thousand.
#
# ## Distillation as label smoothing

# %%
eps = 0.1
ours = lambda u: regularized_loss(u, y, torch.full((K,), 1 / K, dtype=torch.float64), alpha=eps)  # noqa: E731
smoothing = lambda u: F.cross_entropy(u, y, label_smoothing=eps, reduction="none")  # noqa: E731
constant = (smoothing(z) - ours(z)).aminmax()
prior = v.softmax(-1)  # a learned u, one per example
distilled = lambda weight, T=1.0: lambda u: distillation_loss(u, y, v, alpha=weight, temperature=T)  # noqa: E731
learned = lambda u: regularized_loss(u, y, prior, alpha=eps)  # noqa: E731
lsr = {
    "uniform": off(gradient(ours, z), gradient(smoothing, z)),
    "constant": max(abs(value.item() - eps * np.log(K)) for value in constant),
    "teacher": off(gradient(distilled(1 - eps), z), gradient(learned, z)),
    # What both calls must give, so that no function is compared with itself.
    "by hand": off(gradient(learned, z), z.softmax(-1) - (1 - eps) * hot - eps * prior),
}
sides = off(gradient(distilled(eps), z), gradient(learned, z))

# %% tags=["nbval-check-output"]
ch.claim("kd-is-lsr", value=lsr, holds=max(lsr.values()) < 1e-8)
ch.claim(
    "erratum-alpha-sides",
    value={"same alpha": sides, "1 - alpha": lsr["teacher"]},
    holds=bool(lsr["teacher"] < 1e-8 and lsr["by hand"] < 1e-8 and sides > 0.1),
)

# %% [markdown]
# The second of the two is a trap rather than a mistake: section 3 puts $\alpha$ on the hard term, section 6 on the soft one, so "small $\alpha$ is best"
# and "$\alpha$ small" mean opposite things.
#
# The virtual teacher puts $a = 0.99$ on the true class. The review says that virtual-KD becomes label smoothing as $T$ grows. That depends on
# a detail: is the student's softmax tempered as well?

# %%
virtual = hot * np.log(0.99) + (1 - hot) * np.log(0.01 / (K - 1))
warm = (virtual / 1e3).softmax(-1)
smooth = gradient(lambda u: F.cross_entropy(u, y, label_smoothing=0.9, reduction="none"), z)
plain = gradient(lambda u: regularized_loss(u, y, warm, alpha=0.9), z)
tempered = gradient(lambda u: regularized_loss(u, y, warm, alpha=0.9, temperature=1e3, scale=1e6), z)
matching = gradient(
    lambda u: 0.1 * F.cross_entropy(u, y, reduction="none") + 0.9 * mimic_loss(u, virtual, center=True) / K, z
)
limit = {
    "not tempered, to smoothing": off(plain, smooth),
    "tempered, to smoothing": off(tempered, smooth),
    "tempered, to matching": off(tempered, matching),
}

# %% tags=["nbval-check-output"]
to_smoothing = [limit[f"{name}, to smoothing"] < 0.01 for name in ("not tempered", "tempered")]
elsewhere = limit["tempered, to matching"] < 0.01  # where the tempered one goes, if not to smoothing
ch.claim(
    "virtual-kd-limit",
    value=limit,
    holds=True if all(to_smoothing) else "partly" if to_smoothing[0] and elsewhere else False,
)

# %% tags=["hide-input"]
pd.Series(limit, name="relative difference of the gradients").to_frame().rename_axis("student's softmax").map(
    "{:.0e}".format
)

# %% [markdown]
# With a tempered student and the factor $T^2$ it becomes a regression on the virtual teacher's logits, another thing.
#
# ## The stationary point
#
# Section 8 sets the gradient of $(1-\alpha)\mathrm{CE}(q,p)+\alpha\,\mathrm{CE}(q^{soft}, p)$ to zero, with $p - q$ for the hard part and
# $\frac1T(p-q^{soft})$ for the soft one. From these two
#
# $$
# p = \frac{T(1-\alpha)\,q + \alpha\,q^{soft}}{T(1-\alpha)+\alpha} .
# $$
#
# The review prints $((1-\alpha)q+\alpha T q^{soft})/(1-\alpha+\alpha T)$, which belongs to the loss with $T^2$. And the two gradients contain different
# distributions: $\mathrm{softmax}(z)$ in the hard part, $\mathrm{softmax}(z/T)$ in the soft one.

# %%
T, weight = 4.0, 0.5
soft = (v / T).softmax(-1)
points = {name: composite_optimum(y, soft, alpha=weight, temperature=T, squared=squared)
          for name, squared in (("corrected", False), ("printed", True))}  # fmt: skip
residual = {name: ((1 - weight) * (p - hot) + weight * (p - soft) / T).abs().max().item() for name, p in points.items()}
g = gradient(lambda u: soft_cross_entropy(u, soft, temperature=T), z)
tempering = {"softmax(z/T)": off(((z / T).softmax(-1) - soft) / T, g), "softmax(z)": off((z.softmax(-1) - soft) / T, g)}

# %% tags=["nbval-check-output"]
ch.claim("erratum-stationary-point", value=residual, holds=residual["corrected"] < 1e-12 and residual["printed"] > 0.1)
ch.claim(
    "erratum-tempered-softmax",
    value=tempering,
    holds=tempering["softmax(z/T)"] < 1e-12 and tempering["softmax(z)"] > 0.1,
)

# %% [markdown]
# How far each formula is from solving the equation, and each gradient from the one computed automatically (relative):

# %% tags=["hide-input"]
pd.concat({"stationary point": pd.Series(residual), "gradient of the soft part": pd.Series(tempering)}).to_frame(
    "error"
).map("{:.0e}".format)

# %% [markdown]
# So neither formula is where training ends: no $z$ makes both softmaxes equal to $p$ unless $T = 1$.
#
# ## Two remarks on targets
#
# Smoothing by $\epsilon$ leaves $1-\epsilon+\epsilon/K$ on the true class; moving $\epsilon$ to the *false* classes leaves $1-\epsilon$. The two differ by a
# factor $K/(K-1)$ in $\epsilon$. And with a peak of 0.99 the geometric profile is 0.99, 0.0099, 0.0001, ...: nearer to one-hot than the uniform target of the
# same peak, not smoother.

# %%
entropy = lambda p: -(p * p.clamp_min(1e-300).log()).sum().item()  # noqa: E731
first = torch.tensor([0])
even = uniform_targets(first, K, peak=0.99)[0].double()
decay = {"geometric": entropy(geometric_profile(K, 0.99)), "uniform": entropy(even)}
score = torch.linspace(-2, 2, K, dtype=torch.float64)[None]


def smoothed(epsilon):
    """-sum_i t_i log p_i of torch's label smoothing."""
    return F.cross_entropy(score, first, label_smoothing=epsilon).item()


false_classes = soft_cross_entropy(score, uniform_targets(first, K, peak=0.9)).item()
factor = {
    "same epsilon": abs(smoothed(0.1) - false_classes),
    "times K/(K-1)": abs(smoothed(0.1 * K / (K - 1)) - false_classes),
}

# %% tags=["nbval-check-output"]
ch.claim("erratum-false-classes", value=factor, holds=factor["times K/(K-1)"] < 1e-6 and factor["same epsilon"] > 1e-3)
ch.claim("erratum-geometric-smoother", value=decay, holds=decay["geometric"] < 0.9 * decay["uniform"])

# %% [markdown]
# ## With trained networks
#
# Three teachers on 1,000 digits: a good one (two layers of 400 units), a small one (20 units), a poor one (one epoch at a small step). What is in
# their targets, and in the gradients that follow from them?

# %%
n = ch.pick(quick=1000, full=4000, smoke=200)
data = mnist("train", n=n, balanced=True, size=14, source="bundled", seed=seed)
x, labels = data.images, data.labels
options = {"batch_size": 50, "optimizer": "adam", "eval_every": 100, "schedule": cosine}


def trained(hidden, epochs=25, lr=2e-3, s=0, augment=random_shift):
    """Logits of a network trained on shifted copies."""
    model = mlp(196, hidden, K, seed=s)
    fit(model, (x, labels), epochs=epochs, lr=lr, augment=augment, seed=s, **options)
    with torch.no_grad():
        return model(x).double()


good, small, poor = (trained(*how) for how in (([400, 400],), ([20],), ([400, 400], 1, 2e-4)))
divergence = {
    name: [kl_divergence(torch.zeros_like(w), (w / t).softmax(-1)).mean().item() for t in (1.0, 4.0, 20.0)]
    for name, w in (("good", good), ("small", small), ("poor", poor))
}

# %% [markdown]
# ### Bad teachers teach uniformity
#
# Mean divergence of the teacher's targets from the uniform distribution, in nats.

# %%
pd.DataFrame(divergence, index=pd.Index([1, 4, 20], name="T")).round(3)

# %% tags=["nbval-check-output"]
falling = all(a > b > c for a, b, c in divergence.values())
near = max(values[2] for values in divergence.values()) < 0.2
ch.claim(
    "bad-teachers-near-uniform",
    value=divergence,
    holds=bool(falling and near and divergence["poor"][2] < divergence["good"][2]),
)

# %% [markdown]
# ### What a low temperature ignores
#
# The lowest logit of every teacher row drops by ten. By how much does the gradient of the soft term change? For a teacher trained without
# shifts, who is certain of every example, and for the good one above.

# %%
student = trained([20], epochs=10, s=1)


def pull(teacher, t):
    """Gradient of the soft term at a student's logits."""
    return gradient(lambda u: soft_cross_entropy(u, (teacher / t).softmax(-1), temperature=t), student)


def change(teacher):
    """Relative change of the gradient by temperature."""
    ten = torch.full((n, 1), -10.0, dtype=torch.float64)
    sunk = teacher.scatter_add(1, teacher.argmin(1, keepdim=True), ten)
    return {t: off(pull(sunk, t), pull(teacher, t)) for t in (1.0, 2.0, 4.0, 8.0, 20.0, 50.0)}


changes = {"certain": change(trained([400, 400], augment=None)), "good": change(good)}
pd.DataFrame(changes).rename_axis("T").map("{:.1e}".format)

# %% tags=["nbval-check-output"]
ch.claim(
    "low-t-ignores-negatives",
    value={f"{name}, T = {t:g}": c for name, row in changes.items() for t, c in row.items()},
    holds=changes["certain"][1.0] < 1e-4 and changes["certain"][20.0] > 0.1,
)

# %% [markdown]
# ### Variance of the gradient
#
# Variance of the per-example gradients over the squared norm of their mean, which does not depend on the scale of a loss: for hard labels and
# for the soft term, at the start and after five epochs of training with hard labels.

# %%
seeds = ch.pick(quick=3, full=5, smoke=1)
few = ch.pick(quick=500, full=2000, smoke=50)


def noises(s):
    """Noise per signal by (time, kind) for one student."""
    model = mlp(196, [20], K, seed=s)
    for when in ("start", "after 5 epochs"):
        if when != "start":
            fit(model, (x, labels), epochs=5, lr=2e-3, seed=s, **options)
        hard = gradient_noise(model, x[:few], (labels[:few],), lambda u, t: F.cross_entropy(u, t, reduction="none"))
        yield s, when, "hard", hard
        for t in (1.0, 4.0, 20.0):
            soft_loss = lambda u, w, t=t: soft_cross_entropy(u, (w / t).softmax(-1), temperature=t)  # noqa: E731
            yield s, when, f"T = {t:g}", gradient_noise(model, x[:few], (good[:few].float(),), soft_loss)


noise = pd.DataFrame([row for s in range(seeds) for row in noises(seed + s)], columns=["seed", "when", "kind", "noise"])
wide = noise.pivot_table(index=["when", "seed"], columns="kind", values="noise")
kinds = ["hard", "T = 1", "T = 4", "T = 20"]
wide.groupby("when")[kinds].mean().loc[["start", "after 5 epochs"]].astype(int)

# %% tags=["nbval-check-output"]
lower = {kind: bool((wide[kind] < wide["hard"]).all()) for kind in kinds[1:]}
ch.claim(
    "soft-gradient-variance",
    value={f"{when}, {kind}": wide.loc[when, kind].mean() for when in ("start", "after 5 epochs") for kind in wide},
    holds=True if lower["T = 4"] and lower["T = 20"] else "partly" if lower["T = 20"] else False,
)

# %% [markdown]
# Relative to the signal the noise falls with the temperature, several times at $T = 20$. At $T = 1$ little is gained: there the teacher is nearly as certain as
# the labels.
#
# ## Takeaway
#
# The two limits the review builds on are right: high temperature is logit matching, distillation at $T=1$ is smoothing with a learned prior. Its step from
# there to "virtual-KD becomes label smoothing" needs an untempered student, and the stationary point of section 8 belongs to another loss.
