# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Shortcuts, and where to start
#
# Two results on residual networks, one shallow with ReLUs {cite}`li2017relu` and one deep and linear
# {cite}`hardt2017identity`, and the review's statements on initialization, with networks trained on the digits that come
# with scikit-learn {cite}`glorot2010understanding,he2015delving`.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import itertools
import math

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import digits, mnist
from litrepro.shallow import depth_study, population_descent, population_gradient, population_loss, residual_linear

ch = Chapter("10-shallow-networks", notebook="residual-and-init", profile=profile, seed=seed, full_minutes=4)
d = ch.pick(quick=30, full=100, smoke=10)
iterations = ch.pick(quick=400, full=2000, smoke=400)
draws = ch.pick(quick=2000, full=100_000, smoke=100)
deep, width = ch.pick(quick=(20, 32), full=(50, 128), smoke=(4, 8))
epochs = ch.pick(quick=10, full=10, smoke=1)
norm_sizes = ch.pick(quick=[50, 200, 800], full=[50, 200, 800, 3200], smoke=[50, 200])
f64 = torch.float64

# %% [markdown]
# ## Two phases
#
# The student is $f(x) = \sum_i \mathrm{relu}\langle e_i + w_i, x\rangle$, the teacher the same with $w^*_i$, and the loss
# $\mathbb E\,(f - f^*)^2$. Both weight matrices have spectral norm at most $\gamma$. Li and Yuan show that the potential
# $g = \sum_i (\lVert e_i + w^*_i\rVert - \lVert e_i + w_i\rVert)$ falls first, while $W$ hardly moves towards $W^*$; once it
# is small, the loss is one-point convex and $W$ converges.
#
# The review writes $\langle w_i + w_i, x\rangle$ for the student (equation 30). With that, the teacher does not fit
# itself. And its gradient lacks a factor $1/\pi$ and closes the sum over $i$ before the sine term. Both show in numbers:

# %%
eye = torch.eye(d, dtype=f64, device=ch.device)


def matrices(offset, gamma=0.3):
    """Teacher (positive semidefinite, so that g starts large) and start, both of spectral norm gamma."""
    g = ch.generator(offset)
    A, B = (torch.randn(d, d, generator=g, dtype=f64).to(ch.device) for _ in range(2))
    A = A @ A.mT
    return gamma * A / torch.linalg.matrix_norm(A, 2), gamma * B / torch.linalg.matrix_norm(B, 2)


def residual_gradient_formula(W, W_star, *, inside=True, factor=1 / math.pi):
    """The review's formula for the gradient of the residual loss; with the sine term inside the sum, or only i = j."""
    total = torch.zeros_like(W)
    unit = torch.nn.functional.normalize(eye + W, dim=-1)
    for V, sign in ((eye + W_star, 1), (eye + W, -1)):
        cosine = (torch.nn.functional.normalize(V, dim=-1) @ unit.mT).clamp(-1, 1)  # (i, j)
        theta = cosine.arccos()
        total += sign * ((math.pi - theta).mT @ V)
        sine = V.norm(dim=-1)[:, None] * theta.sin()
        total += sign * (sine.sum(0) if inside else sine.diagonal())[:, None] * unit
    return -factor * total


W_star, W0 = matrices(1)
h, some = 1e-5, [(0, 0), (0, 1), (3, 2), (d - 1, 5)]
numerical = []
for i, j in some:
    shift = torch.zeros_like(W0)
    shift[i, j] = h
    up, down = (2 * population_loss(eye + W0 + s * shift, eye + W_star) for s in (1, -1))
    numerical.append(((up - down) / (2 * h)).item())
right = residual_gradient_formula(W0, W_star)
gap = max(abs(right[i, j].item() - value) for (i, j), value in zip(some, numerical))
exact = 2 * population_gradient(eye + W0, eye + W_star)
printed = residual_gradient_formula(W0, W_star, inside=False, factor=1.0)
off = ((printed - exact).norm() / exact.norm()).item()
best = (printed * exact).sum() / printed.square().sum()  # no factor can repair the sum
off_rescaled = ((best * printed - exact).norm() / exact.norm()).item()

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-residual-loss",
    value={
        "corrected, at W*": 2 * population_loss(eye + W_star, eye + W_star).item(),
        "printed, at W*": 2 * population_loss(2 * W_star, eye + W_star).item(),
    },
    holds=population_loss(eye + W_star, eye + W_star).item() < 1e-12
    and 2 * population_loss(2 * W_star, eye + W_star).item() > 0.1,
)
ch.claim(
    "erratum-li-yuan-gradient",
    value={"corrected, largest gap": gap, "printed, relative": off, "printed and rescaled": off_rescaled},
    holds=gap < 1e-6 and off > 0.1 and off_rescaled > 0.1,
)

# %% [markdown]
# (Here the printed formula is read with its sine term at $i=j$, the only reading of an index outside its sum.) Now the
# descent, $\gamma = 0.3$, step $4/d$, four seeds.

# %%
pairs = [matrices(10 + s) for s in range(4)]
W_star, W0 = (torch.stack(part) for part in zip(*pairs))
path = population_descent(eye + W0, eye + W_star, step=4 / d, iterations=iterations)
g = ((eye + W_star).norm(dim=-1).sum(-1) - path.norm(dim=-1).sum(-1)).cpu()
distance = (path - eye - W_star).norm(dim=(-2, -1)).cpu()
distance = distance / distance[0]
phases = pd.DataFrame({"step": range(len(g)), "g": g.mean(-1), "distance": distance.mean(-1)})
recorded_phases = ch.table("two-phases", phases)
first = [(g[:, s].abs() <= 0.3 * g[0, s].abs()).nonzero()[0, 0].item() for s in range(4)]
at_first = [distance[first[s], s].item() for s in range(4)]
stays = all((g[first[s] :, s].abs() <= 0.3 * g[0, s].abs()).all() for s in range(4))

# %% tags=["nbval-check-output"]
ch.claim(
    "li-yuan-phases",
    value={
        "step": first,
        "distance there": at_first,
        "distance at the end": distance[-1].tolist(),
        "g at 0": g[0].tolist(),
    },
    holds=min(at_first) >= 0.7 and stays and distance[-1].max().item() < 0.05,
)

# %% mystnb={"figure": {"name": "fig-10-two-phases", "caption": "Gradient descent on a residual ReLU network, population loss, mean over four seeds: the potential |g| and the distance to the teacher, both relative to their start, on one axis. The potential collapses within two or three steps, while the distance has hardly changed; only then does the distance fall. Left the quick run in 30 dimensions with its seeds as thin lines; right, where it is recorded, the full scale in 100 dimensions."}, "image": {"alt": "Two panels, nearly alike, with two curves against the logarithm of the step. The potential drops to a tenth by step three, the distance stays near 0.9 there and falls below a hundredth at the end, step 400 on the left and 2,000 on the right."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import PALETTE, figure

    def draw_phases(ax, table, **line):
        """Potential and distance relative to their start, over the step."""
        steps, potential = table["step"] + 1, table["g"].abs() / abs(table["g"].iloc[0])
        ax.loglog(steps, potential, color=PALETTE[1], **line, label="potential |g|")
        ax.loglog(steps, table["distance"], color=PALETTE[0], **line, label=r"distance $\|W - W^*\|_F$")

    shown = ch.scales(phases, recorded_phases)
    fig, axes = figure(1, len(shown), height=3.6, sharey=True, squeeze=False)
    for ax, (scale, table) in zip(axes[0], shown.items()):
        draw_phases(ax, table)
        ax.axhline(0.3, color="0.5", ls=":", lw=1)
        dimension = d if ch.full or scale == "quick" else 100
        ax.set(title=f"{scale}, d = {dimension}", xlabel="step + 1")
    axes[0, 0].legend()
    for s in range(4):
        draw_phases(axes[0, 0], phases.assign(g=g[:, s], distance=distance[:, s]), lw=0.7, alpha=0.4)
    axes[0, 0].set_ylabel("relative to the start")

# %% [markdown]
# In 100 dimensions the potential is down to 2% of its start after four steps, where the distance is at 92%; that takes 2,000 steps to
# fall to 0.06%.
#
# (A general $W^*$, without the positive semidefinite shape used here, has a potential near zero from the start, and then
# there is no first phase to see.)
#
# ## Is the identity essential?
#
# The review sets residual networks apart from others. Is the identity needed? The network without it can be the same
# function, with weights $I + W$, and the gradient does not know the difference: descent from $I + W_0$ takes the same
# path, step by step. What the identity provides is the start. Without it one would start at $W_0$ itself, or at
# entries of variance $1/d$. These are farther away, so each gets the best of four steps, and 3,000 of them.

# %%
W, plain = W0[0], eye + W0[0]
for _ in range(50):  # with the identity, by the review's formula as corrected, and without it
    W = W - 2 / d * residual_gradient_formula(W, W_star[0])
    plain = plain - 4 / d * population_gradient(plain, eye + W_star[0])
apart = (eye + W - plain).abs().max().item()
wide = torch.stack([torch.randn(d, d, generator=ch.generator(30 + s), dtype=f64) for s in range(4)]).to(ch.device)
starts = torch.stack([W0, wide / d**0.5])  # (start, seed, d, d)
steps = torch.tensor([2.0, 4.0, 6.0, 8.0], dtype=f64, device=ch.device)[:, None, None] / d
tried = population_descent(starts, eye + W_star, step=steps, iterations=200, every=200)[-1]
tried = population_loss(tried, eye + W_star).nan_to_num(torch.inf).mean(-1)  # (step, start)
bare = population_descent(starts, eye + W_star, step=steps[tried.argmin(0), 0], iterations=3000, every=1500)
losses = {"I + W0": population_loss(path[[0, -1, -1]], eye + W_star).cpu()}
for k, name in enumerate(("W0", "N(0, 1/d)")):
    losses[name] = population_loss(bare[:, k], eye + W_star).cpu()
arrived = {name: (loss[-1] < 1e-4).double().mean().item() for name, loss in losses.items()}
pd.DataFrame(
    {
        name: {"loss at the start": loss[0].mean().item(), "largest at the end": loss[-1].max().item()}
        | {"arrived": arrived[name]}
        for name, loss in losses.items()
    }
).T.map("{:.2g}".format)

# %% tags=["nbval-check-output"]
ch.require(apart < 1e-9, f"descent with and without the identity differ by {apart}")
others = (arrived["W0"] + arrived["N(0, 1/d)"]) / 2
ch.claim(
    "li-yuan-no-skip",
    value={
        "with and without, from I + W0, apart": apart,
        "arrived": arrived,
        "steps times d": (steps[tried.argmin(0), 0, 0] * d).tolist(),
        "losses": {name: loss[-1].tolist() for name, loss in losses.items()},
        "half way": {name: loss[1].tolist() for name, loss in losses.items()},
    },
    # Without the identity nothing arrives; or from I + W0, and seldom from elsewhere; or from elsewhere as well.
    holds=True if max(arrived.values()) == 0 else "partly" if arrived["I + W0"] == 1 and others <= 0.5 else False,
)

# %% [markdown]
# From $I + W_0$ the two descents agree to rounding errors. From the other starts, whose loss is 15 to 100 times as large, one run in eight
# arrives. It is at a permutation of the teacher's neurons, which the identity would have kept apart. The others stop at losses of
# 0.02 to 0.1: followed to 10,000 steps, none of the seven falls by more than a percent after the first 5,000. So the identity is essential as a
# start, next to the teacher, and not as a part of the network.
#
# ## Gradients that dominate
#
# For $f(A)$, the population risk of $(I+A_l)\cdots(I+A_1)$ against a target $R$, Hardt and Ma prove
#
# $$
# \lVert\nabla f\rVert_F^2 \;\ge\; 4\,l\,(1-\tau)^{2l-2}\,\sigma_{\min}(\Sigma)\,\big(f - C_{opt}\big),
# \qquad \tau = \max_i \lVert A_i\rVert,
# $$
#
# with the maximum over all $l$ blocks (the review's runs to $j$): every critical point with $\tau<1$ is a global minimum.
# Random draws over depths and norms, and a scalar family in which the bound is exact.

# %%
rows = []
for depth, tau in itertools.product((1, 2, 3, 5, 10), (0.1, 0.3, 0.6, 0.9)):
    gen = ch.generator(100 * depth + round(10 * tau))
    A = torch.randn(draws // 20, depth, 6, 6, generator=gen, dtype=f64)
    A = tau * A / torch.linalg.matrix_norm(A, 2)[..., None, None]
    R, half = (torch.randn(draws // 20, 6, 6, generator=gen, dtype=f64) for _ in range(2))
    Sigma = half @ half.mT / 6 + 0.1 * torch.eye(6, dtype=f64)
    excess, gradient = residual_linear(A, R, Sigma)
    bound = 4 * depth * (1 - tau) ** (2 * depth - 2) * torch.linalg.eigvalsh(Sigma)[:, 0] * excess
    size = gradient.square().sum((-3, -2, -1))
    rows.append(pd.DataFrame({"depth": depth, "tau": tau, "bound": bound.numpy(), "gradient": size.numpy()}))
domination = pd.concat(rows, ignore_index=True)
ratio = (domination.gradient / domination.bound).min()
tau, depth, unit = 0.4, 5, torch.eye(6, dtype=f64)
excess, gradient = residual_linear(-tau * unit.expand(depth, 6, 6), 0.5 * unit, unit)
tight = (gradient.square().sum() / (4 * depth * (1 - tau) ** (2 * depth - 2) * excess)).item()
ch.save("gradient-domination", domination.groupby(["depth", "tau"]).median().reset_index())

# %% tags=["nbval-check-output"]
ch.claim(
    "hardt-ma-31",
    value={"smallest ratio": ratio, "scalar family": tight, "draws": len(domination)},
    holds=bool(ratio >= 1 and abs(tight - 1) < 1e-9),
)

# %% mystnb={"figure": {"name": "fig-10-domination", "caption": "Squared gradient against its lower bound, 2,000 random linear residual networks with 1 to 10 blocks of norms 0.1 to 0.9. No point lies below the diagonal; the bound grows loose quickly with depth and norm."}, "image": {"alt": "A log-log scatter plot entirely above the diagonal, in clouds coloured by depth that stretch far to the left for deep networks."}} tags=["hide-input"]
if ch.plots:
    fig, ax = figure(height=3.6)
    for color, (depth, part) in zip(PALETTE, domination.groupby("depth")):
        ax.loglog(
            part.bound,
            part.gradient,
            "o",
            ms=2,
            alpha=0.5,
            color=color,
            label=f"{depth} block{'s' if depth > 1 else ''}",
        )
    ends = [domination.bound.min(), domination.gradient.max()]
    ax.plot(ends, ends, "k--", lw=1)
    ax.set(xlabel="lower bound", ylabel=r"$\|\nabla f\|_F^2$")
    ax.legend(markerscale=3, ncol=2)

# %% [markdown]
# ## Zero, Xavier, He
#
# Zero weights leave all neurons alike. Random weights of variance $1/d$ have a spectral norm of about 2 in every dimension,
# which is what Li and Yuan use. He's initialization has weight variance $2/n_{in}$, Xavier's $2/(n_{in}+n_{out})$; the review
# calls the difference trivial, and adds that He works better with residual connections. We train ReLU networks with 2 and 20
# layers of weights, plain and with shortcuts over pairs of layers, on digits; all initializations, rates and seeds are
# members of one batch.

# %%
norms = {
    n: [
        torch.linalg.matrix_norm(torch.randn(n, n, generator=ch.generator(200 + s)) / n**0.5, 2).item()
        for s in range(3)
    ]
    for n in norm_sizes
}

# %%
load = mnist if ch.full and not ch.smoke else digits
options = {"n": 10_000} if ch.full and not ch.smoke else {"source": "bundled"}
train, test = (
    load(split, **(options if split == "train" or "source" in options else {})) for split in ("train", "test")
)
train, test = ((part.images.flatten(1).to(ch.device), part.labels.to(ch.device)) for part in (train, test))
rates = {2: (0.03, 0.1, 0.3, 1.0), deep: (0.003, 0.01, 0.03, 0.1)}
tables, moments = [], {}
for depth in (2, deep):
    members = list(itertools.product(("he", "xavier"), (False, True), rates[depth], range(5)))
    members += [("zero", residual, rates[depth][-1], 0) for residual in (False, True)]
    if depth == deep:  # a small signal may want longer steps
        members += itertools.product(("xavier",), (False,), (0.3, 1.0, 3.0), range(5))
    study = depth_study(train, test, members, depth=depth, width=width, epochs=epochs)
    table = pd.DataFrame(members, columns=["init", "residual", "rate", "seed"])
    tables.append(table.assign(depth=depth, accuracy=study.accuracy[-1].cpu(), last=study.second_moment[-1].cpu()))
    for init, residual in itertools.product(("he", "xavier"), (False, True)):
        chosen = torch.tensor(((table.init == init) & (table.residual == residual)).to_numpy())
        moments[depth, init, residual] = study.second_moment[:, chosen.to(ch.device)].mean(-1).cpu()

# %%
trained = pd.concat(tables, ignore_index=True)
ch.save("initializations", trained)
recorded = ch.paper("initializations")
means = trained.groupby(["depth", "residual", "init", "rate"])["accuracy"].agg(["mean", "std"])
best_rate = means["mean"].groupby(["depth", "residual", "init"]).idxmax()
chosen = means.loc[best_rate].reset_index()
chosen["residual"] = chosen.residual.map({True: "yes", False: "no"})
spelled = {"he": "He", "xavier": "Xavier"}
chosen["init"] = chosen.init.replace(spelled)
chosen.set_index(["depth", "residual", "init", "rate"]).map("{:.3f}".format).replace("nan", "-")

# %% tags=["nbval-check-output"]
ch.claim(
    "random-spectral-norm",
    value={str(n): values for n, values in norms.items()},
    holds=all(1.8 <= value <= 2.1 for values in norms.values() for value in values),
)
zero = trained[trained.init == "zero"].accuracy
# At either depth the network learns from random weights: zeros are to blame, and nothing else.
random = trained[trained.init != "zero"].groupby(["depth", "init", "residual", "rate"]).accuracy.mean()
learned = random.groupby("depth").max()
ch.claim(
    "zero-init-stuck",
    value={"largest accuracy": zero.max(), "from random weights": {str(k): v for k, v in learned.items()}},
    holds=bool(zero.max() < 0.15 and learned.min() > 0.5),
)

signal = trained[~trained.residual].groupby(["depth", "init"])["last"].mean()
signal_ratio = {depth: signal[depth, "xavier"] / signal[depth, "he"] for depth in (2, deep)}
plain = {init: means["mean"][deep, False, init].max() for init in ("he", "xavier")}
# With two layers the two are alike, and He's signal arrives at any depth: what is lost is lost by depth.
ch.require(
    0.2 < signal_ratio[2] < 5 and signal[deep, "he"] > 1e-3 and plain["he"] > 0.2,
    f"signals are lost without depth: {signal_ratio}, {signal[deep, 'he']}, {plain}",
)
ch.claim(
    "he-xavier-trivial",
    value={"ratio of last signals": {str(k): v for k, v in signal_ratio.items()}, "accuracy, deep and plain": plain},
    holds=all(value > 0.1 for value in signal_ratio.values()),
)
he, xavier = (means.loc[best_rate[deep, True, init]] for init in ("he", "xavier"))
gain, error = he["mean"] - xavier["mean"], math.sqrt((he["std"] ** 2 + xavier["std"] ** 2) / 5)
ch.require(
    min(he["mean"], xavier["mean"]) >= 0.4, f"a residual network has not learned: {he['mean']}, {xavier['mean']}"
)
ch.claim(
    "he-better-residual",
    value={"He": he["mean"], "Xavier": xavier["mean"], "gain": gain, "standard error": error},
    holds=bool(gain > 2 * error),
)

# %% mystnb={"figure": {"name": "fig-10-signal", "caption": "Left: mean square of each layer's output at the start, 20 layers. Right, in the same colors: accuracy after ten epochs against the rate, mean and two standard errors over five seeds. Plain networks lose Xavier's signal and with it the ability to learn, at rates up to 3; with shortcuts He's signal grows layer by layer, and its rate has to shrink: at 0.1 its runs diverge, which counts as accuracy 0."}, "image": {"alt": "Left: plain He is flat near 0.2, plain Xavier falls to 1e-6, residual Xavier grows slowly, residual He grows ten-thousandfold. Right: plain Xavier stays at chance, also at three larger rates that only it has; residual Xavier is the highest curve and rises with the rate, residual He falls to zero at its largest rate."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import curves

    fig, axes = figure(1, 2, height=3.5)
    order = [f"{init}, {kind}" for kind in ("plain", "residual") for init in spelled.values()]
    styles = {
        (init, residual): PALETTE[i + 2 * residual] for i, init in enumerate(("he", "xavier")) for residual in (0, 1)
    }
    for (depth, init, residual), values in moments.items():
        if depth == deep:
            axes[0].semilogy(
                range(1, deep + 1),
                values,
                color=styles[init, residual],
                label=f"{spelled[init]}, {'residual' if residual else 'plain'}",
            )
    axes[0].set(xlabel="layer", ylabel="mean square of the output")
    axes[0].legend(fontsize=8)
    kind = trained.residual.map({True: "residual", False: "plain"})
    named = trained.assign(kind=trained.init.replace(spelled) + ", " + kind)
    curves(named[named.depth == deep], "rate", "accuracy", "kind", ax=axes[1], order=order, markers=True, logx=True)
    axes[1].set(xlabel="rate", ylabel="test accuracy", ylim=(0, 1))

# %% [markdown]
# With two layers the two initializations are one. With twenty they differ by six orders of magnitude in the signal that
# reaches the output: the factor of two per layer is the point of He's paper. Longer steps do not make up for it: at rates of 0.3, 1 and 3
# the plain network with Xavier's weights stays at chance. Shortcuts change the picture once more.
# Each block adds its own output to its input, so what is needed there is less signal per layer, not more. Without batch
# normalization Xavier's weights train at ten times the rate that He's tolerate, and end no worse.
#
# ## Takeaway
#
# Both residual theorems hold as stated, apart from their misprints, and the two phases are as clear as a figure can
# show them. The identity is essential for where descent starts. Of the remarks on initialization those on zeros and on
# the spectral norm hold. The two on Xavier and He do not: depth turns a trivial difference into an essential one, and
# with shortcuts He's start is no longer the better of the two.
