# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problems without bad minima
#
# Escaping saddles is worth little if the minima behind them are bad. For several problems of machine learning every
# second-order stationary point is a global minimum: orthogonal tensor decomposition {cite}`ge2015escaping`, low-rank
# factorization, phase retrieval, matrix completion and sensing, dictionary learning. Two of them are run here: the tensor,
# with the two noisy methods that the review compares, and low-rank factorization from 64 starts near its saddle.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import torch

from litrepro import Chapter
from litrepro.landscape import hessian, sampled_tensor_gradient, tensor_decomposition
from litrepro.optim import descend, noisy_descent

ch = Chapter("03-escaping-saddle-points", notebook="tensor", profile=profile, seed=seed, full_minutes=1)
d, components = 10, 10
runs = ch.pick(quick=8, full=256, smoke=2)
steps = ch.pick(quick=6000, full=20_000, smoke=200)
starts = ch.pick(quick=64, full=4096, smoke=8)
f64 = {"dtype": torch.float64, "device": ch.device}

# %% [markdown]
# ## Orthogonal tensor decomposition, online
#
# $T = \sum_l a_l^{\otimes 4}$ with orthonormal $a_l \in \mathbb{R}^{10}$. We look for all ten components at once by
# minimizing $\sum_{i \ne j} T(u_i, u_i, u_j, u_j)$ over unit vectors; every step sees ten randomly drawn terms of the
# tensor. Noisy gradient descent adds noise to the gradient; Saddle-NGD {cite}`levy2016power` walks a fixed length per
# step and adds noise only now and then.

# %%
basis = torch.linalg.qr(torch.randn(d, d, generator=ch.generator(1), dtype=torch.float64))[0].to(ch.device)


def error(x):
    """Objective at the normalized components, (..., k d) -> (...): 0 exactly at a decomposition."""
    u = torch.nn.functional.normalize(x.reshape(*x.shape[:-1], components, d), dim=-1)
    return tensor_decomposition(u.reshape(x.shape), basis)


x0 = torch.randn(runs, components, d, generator=ch.generator(3), dtype=torch.float64)
x0 = torch.nn.functional.normalize(x0, dim=-1).reshape(runs, -1).to(ch.device)

# %%
gradient = sampled_tensor_gradient(basis, 10, generator=ch.generator(2))
common = {"steps": steps, "grad": gradient, "record_every": 20}
rare = {"radius": 0.5, "kind": "gaussian", "every": 50}
rates = (0.01, 0.03, 0.1)
lr = torch.tensor(rates, **f64)
begin = x0.expand(len(rates), -1, -1)  # all step sizes at once
noisy = noisy_descent(error, begin, lr=lr, radius=0.1, generator=ch.generator(4), **common)
ngd = noisy_descent(error, begin, lr=lr / 10, generator=ch.generator(5), normalize=True, **rare, **common)
# The same long path of small steps without the normalization, to see what that does.
plain = noisy_descent(error, x0, lr=0.003, generator=ch.generator(5), **rare, **common)

# %%
median = {("not normalized", 0.03): plain.f.median(1).values.cpu()}
for name, path in (("noisy GD", noisy), ("Saddle-NGD", ngd)):
    median |= {(name, rate): path.f[:, k].median(1).values.cpu() for k, rate in enumerate(rates)}
t = noisy.t
early = {key: values[t == 200].item() for key, values in median.items()}
late = {key: values[t >= 0.9 * steps].mean().item() for key, values in median.items()}
slow, low = ({rate: part["Saddle-NGD", rate] / part["noisy GD", rate] for rate in rates} for part in (early, late))
as_claimed = [slow[rate] > 1 > low[rate] for rate in rates]
control = early["not normalized", 0.03] / early["noisy GD", 0.03], late["not normalized", 0.03] / late["noisy GD", 0.03]

# %% tags=["nbval-check-output"]
ch.claim(
    "ngd-slow-then-fast",
    value={"error over noisy GD's, after 200 steps": slow, "last tenth": low, "not normalized, 0.03": list(control)},
    holds=True if all(as_claimed) else "partly" if any(as_claimed) else False,
)

# %% mystnb={"figure": {"name": "fig-03-tensor", "caption": "Online tensor decomposition: median error of the runs against the step, for three step sizes (normalized steps are a tenth as long). Normalized descent starts slower; where each method ends depends on the noise that it keeps adding."}, "image": {"alt": "Error on a logarithmic axis against step in three panels by step size, in each a curve for noisy gradient descent that falls at once and one for Saddle-NGD that falls later, below it at 0.03 and 0.1, and has not come down after 6,000 steps at 0.01."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, axes = figure(1, 3, height=3.2, sharey=True)
    for ax, rate in zip(axes, rates):
        for name in ("noisy GD", "Saddle-NGD"):
            ax.plot(t, median[name, rate].clamp(min=1e-8), label=name)
        ax.set(title=f"step size {rate:g}", xlabel="step", yscale="log")
    axes[0].set_ylabel("median error")
    axes[0].legend()

# %% [markdown]
# ## Low-rank factorization
#
# $\|UU^\top - M\|_F^2$ with $M$ of rank 3 in dimension 20. $U = 0$ is stationary, with a negative eigenvalue; from 64
# starts of norm $10^{-3}$ around it gradient descent always finds a global minimum.

# %%
n, rank = 20, 3
factor = torch.linalg.qr(torch.randn(n, rank, generator=ch.generator(6), dtype=torch.float64))[0].to(ch.device)
target = factor @ torch.diag(torch.tensor([1.0, 0.8, 0.6], **f64)) @ factor.T


def factorization(x):
    """(..., 60) -> (...)."""
    u = x.reshape(*x.shape[:-1], n, rank)
    return (u @ u.mT - target).square().sum((-2, -1))


begin = torch.randn(starts, n * rank, generator=ch.generator(7), dtype=torch.float64).to(ch.device)
begin = 1e-3 * begin / begin.norm(dim=-1, keepdim=True)

# %%
low_rank = descend(factorization, begin, "sgd", 0.1, ch.pick(quick=800, full=800, smoke=800), record_every=100)
relative = (low_rank.f[-1] / low_rank.f[0]).cpu()
lowest = torch.linalg.eigvalsh(hessian(factorization, torch.zeros(n * rank, **f64)))[0].item()
share = (relative < 1e-6).double().mean().item()
tensor_end = median["noisy GD", 0.01][-1].item()
settled = (noisy.f[t >= 0.9 * steps, 0].min(0).values < 1e-2).double().mean().item()

# %% tags=["nbval-check-output"]
ch.claim(
    "all-minima-global",
    value={"low rank solved": share, "lowest eigenvalue at 0": lowest, "tensor runs solved": settled},
    holds=share == 1 and lowest < 0 and settled == 1,
)

# %% [markdown]
# ## Takeaway
#
# On both problems every run of noisy or plain gradient descent ends at a global minimum, whatever saddles it passed.
# The comparison of the two noisy methods is one of constants: a normalized step cannot be fast far from the solution,
# and does not shrink near it by itself.
