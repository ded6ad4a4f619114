# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Convex neural networks, one unit at a time
#
# Take **all** half planes as hidden units and penalize the output weights by $\lambda\|w\|_1$. Training the output layer is then
# a linear program with as many columns as there are ways to split the data by a line. Bengio and others
# {cite}`bengio2005convex` generate the columns as they are needed: the dual says which examples still matter, and a linear
# classifier for these weights is the next unit. If it is the best one, and still not good enough, the network is optimal.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import warnings

import numpy as np
import pandas as pd
import torch
from scipy.optimize import linprog

from litrepro import Chapter, ConvergenceWarning
from litrepro.convexnets import (
    activation_patterns,
    best_halfplane,
    convex_nn,
    convex_nn_bound,
    convex_nn_predict,
    fit_output_weights,
)
from litrepro.data import double_moon

ch = Chapter("11-convex-networks", notebook="convex-nn", profile=profile, seed=seed, full_minutes=3)
n = ch.pick(quick=80, full=200, smoke=30)
seeds = ch.pick(quick=8, full=30, smoke=2)
most = ch.pick(quick=40, full=200, smoke=40)  # units
lams = [0.3, 1.0]
warnings.simplefilter("ignore", ConvergenceWarning)  # the approximate oracles often do not meet the stopping rule


def moons(count, offset):
    """Interlocking half rings, wide enough to touch."""
    return double_moon(count, width=0.8, distance=-0.3, generator=ch.generator(offset))


# %% [markdown]
# ## The exact oracle is globally optimal
#
# For points in the plane the best half plane can be found exactly, by rotating a line about every point: $O(n^2\log n)$, where the review
# counts $O(n^3)$. For 16 points we can also write down the linear program over **all** half planes (a few hundred), give it to another
# solver and compare. Three labels are flipped and two larger penalties added: with a small one every point is fitted, and the hinge loss
# is zero.


# %%
def all_halfplanes(planes, y, lam):
    """The least lam |w|_1 + hinge loss over weights of all half planes (n, m), by scipy."""
    n, m = planes.shape
    signed = (y[:, None] * planes).numpy()
    cost = np.concatenate([np.full(2 * m, lam), np.ones(n)])  # two signs of every weight, then the slacks
    return linprog(cost, A_ub=-np.hstack([signed, -signed, np.eye(n)]), b_ub=-np.ones(n)).fun


# %%
program_rows = []
for s in range(4):
    x, y = moons(16, 100 + s)
    x = x + 0.3 * torch.randn(x.shape, generator=ch.generator(150 + s), dtype=x.dtype)
    y[torch.randperm(16, generator=ch.generator(170 + s))[:3]] *= -1
    planes = activation_patterns(torch.cat([x, torch.ones(16, 1, dtype=x.dtype)], 1)).T.double() * 2 - 1
    for lam in (*lams, 2.0, 3.0):
        net = convex_nn(x, y, lam)
        hinge = (1 - y * convex_nn_predict(net.V, net.w, x)).clamp(min=0).sum().item()
        own = hinge + lam * net.w.abs().sum().item()  # of the network, whatever its program says
        optimum = all_halfplanes(planes, y, lam)
        error = max(abs(value - optimum) for value in (own, net.objective))
        program_rows.append({"optimum": optimum, "hinge": hinge, "error": error})
programs = pd.DataFrame(program_rows)

# %% tags=["nbval-check-output"]
difference, active = programs["error"].max(), int((programs["hinge"] > 0.1).sum())
ch.claim(
    "cnn-global",
    value={
        "largest difference": difference,
        "half planes": planes.shape[1],
        "optima": programs["optimum"].tolist(),
        "with hinge loss": active,
    },
    holds=bool(difference < 1e-4 and active >= 4),
)

# %% [markdown]
