# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The end-to-end rule, checked
#
# Write the weight of a linear model as a product, $W = W_N \cdots W_1$, and run gradient descent on the factors. What
# happens to $W$? The review derives a rule for it, rewrites it as a preconditioner, specializes it to one output, and
# shows that no regularizer could have the same effect. Here every formula is confronted with the factors themselves.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import math

import torch

from litrepro import Chapter
from litrepro.linearnets import (
    balanced_factors,
    circulation,
    emulate,
    emulation_errors,
    end_to_end,
    factor_gradients,
    induced_direction,
    power_loss_grad,
    preconditioner,
    train_factors,
)
from litrepro.solvers import power_law

ch = Chapter("06-implicit-acceleration", notebook="theory", profile=profile, seed=seed, full_minutes=1)
matrices = ch.pick(quick=100, full=1000, smoke=10)
etas = ch.pick(quick=[1e-2, 1e-3, 3e-4], full=[1e-2, 1e-3, 1e-4], smoke=[1e-2, 1e-3])


def normal(*shape, offset):
    """Standard normal entries, float64."""
    return torch.randn(*shape, generator=ch.generator(offset), dtype=torch.float64)


# %% [markdown]
# ## Factors and their product
#
# The gradient with respect to a factor is $(W_N\cdots W_{j+1})^\top G\,(W_{j-1}\cdots W_1)^\top$, with $G$ the gradient
# at the product. We compare it, and one step with weight decay, with automatic differentiation.

# %%
factors = [normal(3, 4, offset=1), normal(5, 3, offset=2), normal(2, 5, offset=3)]
target, lr, decay = normal(2, 4, offset=4), 0.01, 0.1
leaves = [factor.clone().requires_grad_() for factor in factors]
loss = ((leaves[2] @ leaves[1] @ leaves[0] - target) ** 4).sum() / 4
loss.backward()
by_formula = factor_gradients(factors, (end_to_end(factors) - target) ** 3)
stepped = [(1 - lr * decay) * w - lr * g for w, g in zip(factors, by_formula)]
_, trained = train_factors(lambda w: (w - target) ** 3, factors, lr=lr, steps=1, weight_decay=decay)
chain_rule = {
    "gradients": max((a - b.grad).abs().max().item() for a, b in zip(by_formula, leaves)),
    "a step": max((a - b).abs().max().item() for a, b in zip(stepped, trained)),
}

# %% tags=["nbval-check-output"]
ch.claim("factor-chain-rule", value=chain_rule, holds=max(chain_rule.values()) < 1e-10)

# %% [markdown]
# Is every matrix a product of factors? Yes if the hidden width is at least $\min(k, d)$; below that, the best product misses
# $W$ by the singular values that have no room. So we factorize random matrices, and we train factors of depth 2 and 3 to
# become random $4\times5$ matrices with singular values 2, 1.5, 1 and 0.5: with a hidden width of 4 gradient descent has to
# arrive, with 1, 2 and 3 it has to end where the theorem of Eckart and Young says, in the Frobenius norm.

# %%
misses = []
for index in range(matrices):
    k, d = (int(n) for n in torch.randint(1, 7, (2,), generator=ch.generator(1000 + index)))
    w = normal(k, d, offset=2000 + index)
    misses += [(end_to_end(balanced_factors(w, depth)) - w).abs().max().item() for depth in range(2, 6)]

values = torch.tensor([2.0, 1.5, 1.0, 0.5], dtype=torch.float64)
left, right = torch.linalg.qr(normal(10, 4, 4, offset=70)).Q, torch.linalg.qr(normal(10, 5, 4, offset=71)).Q
targets = (left * values) @ right.mT
no_room = values.square().flip(0).cumsum(0).flip(0)[1:].sqrt()  # norm of what is left beyond rank 1, 2, 3


# %%
def trained_miss(depth):
    """Norm of what training leaves of ten targets, (hidden widths 1 to 4, targets); narrow factors are padded by zeros."""
    room = (torch.arange(4) < torch.arange(1, 5)[:, None]).double()[:, None]
    first = 0.4 * normal(10, 4, 5, offset=72) * room[..., None]
    inner = [0.4 * normal(10, 4, 4, offset=73 + j) * room[..., None, :] for j in range(depth - 1)]
    factors = [first] + [w * room[..., None] for w in inner[:-1]] + inner[-1:]
    path, _ = train_factors(lambda w: w - targets, factors, lr=0.1, steps=3000, every=3000)
    return torch.linalg.matrix_norm(path[-1] - targets)


# %%
left_over = {depth: trained_miss(depth) for depth in (2, 3)}
wide = max(miss[3].max().item() for miss in left_over.values()) / values.norm().item()
ratios = torch.stack([miss[:3] / no_room[:, None] for miss in left_over.values()])

# %% tags=["nbval-check-output"]
ch.claim(
    "expressiveness-unchanged",
    value={
        "worst error of balanced factors": max(misses),
        "error after training, wide": wide,
        "miss over singular values without room, narrow": [ratios.min().item(), ratios.max().item()],
    },
    holds=max(misses) < 1e-10 and wide < 1e-6 and ratios.min().item() > 1 - 1e-9 and ratios.max().item() < 1.01,
)

# %% [markdown]
# ## Balanced factors stay balanced, and then the rule holds
#
# For infinitesimal steps $W_{j+1}^\top W_{j+1} = W_j W_j^\top$ is preserved, and the product follows
#
# $$
# W \leftarrow (1-\eta\lambda N)\,W - \eta \sum_{j=1}^{N} [WW^\top]^{\frac{j-1}{N}}\, \nabla L(W)\, [W^\top W]^{\frac{N-j}{N}} .
# $$
#
# Steps are finite, so both hold up to an error. It should be proportional to the step size, at equal time
# $\eta t = 1$: we fit the slope of log error against log step size, for a $3\times4$ regression.

# %%
x, y = normal(30, 4, offset=5), normal(3, 30, offset=6)
start = 0.5 * normal(3, 4, offset=7)


def gradient(w):
    """Gradient of the loss at the product."""
    return power_loss_grad(w, x, y)


def ruled(depth, decay):
    """Where the rule ends after one unit of time, with the largest step."""
    steps = round(1 / etas[0])
    keep = {"lr": etas[0], "steps": steps, "every": steps, "weight_decay": decay}
    return emulate(gradient, start, depth=depth, **keep)[-1]


plain = emulation_errors(gradient, start, 3, lrs=etas)
gap_slope, distance_slope = (power_law(etas, error).exponent.item() for error in (plain.gap, plain.distance))
decayed = {depth: emulation_errors(gradient, start, depth, lrs=etas, weight_decay=0.1).distance for depth in (2, 3)}
# A test of the decay says something only if the decay moves the end.
moved = {depth: (ruled(depth, 0.1) - ruled(depth, 0.0)).norm().item() for depth in decayed}

# %% tags=["nbval-check-output"]
ch.claim(
    "balance-preserved",
    value={"gap": plain.gap.tolist(), "slope": gap_slope},
    holds=abs(gap_slope - 1) < 0.1,
)
ch.claim(
    "end-to-end-rule",
    value={"distance": plain.distance.tolist(), "slope": distance_slope},
    holds=abs(distance_slope - 1) < 0.1,
)
slopes = {f"N = {depth}": power_law(etas, values).exponent.item() for depth, values in decayed.items()}
ch.claim(
    "weight-decay-rule",
    value={"slopes": slopes, "what decay moves": {f"N = {depth}": value for depth, value in moved.items()}},
    holds=all(abs(value - 1) < 0.1 for value in slopes.values())
    and all(moved[depth] > 5 * decayed[depth][0].item() for depth in moved),
)

# %% [markdown]
# ## The preconditioner
#
# In vectorized form (columns stacked) the step is $-\eta P\,\mathrm{vec}(\nabla L)$ with
#
# $$
# \begin{gathered}
# P = \sum_{j=1}^{N} [W^\top W]^{\frac{N-j}{N}} \otimes [WW^\top]^{\frac{j-1}{N}}, \\
# P\,\mathrm{vec}(u_r v_{r'}^\top) = \Big(\sum_{j=1}^N \sigma_r^{\frac{2(j-1)}{N}} \sigma_{r'}^{\frac{2(N-j)}{N}}\Big)
# \mathrm{vec}(u_r v_{r'}^\top) .
# \end{gathered}
# $$
#
# The slide omits the exponents' denominator and prints $\odot$ for $\otimes$; it applies $P$ to the matrix
# $\nabla L$ instead of its vectorization; and its eigenvalues, the same sum in reverse order, carry $2(j-2)/N$ on
# $\sigma_{r'}$ instead of $2(j-1)/N$. As printed they are infinite where $\sigma_{r'}=0$, here for $r'=4$, and these
# three pairs are left out of the comparison.

# %%
w, g = normal(3, 4, offset=8), normal(3, 4, offset=9)
u, s, vh = torch.linalg.svd(w, full_matrices=True)
rows, columns = s, torch.cat([s, torch.zeros(1, dtype=s.dtype)])


def spectrum(depth, shift=1):
    """Eigenvalues over (r, r'), in the slide's order; ``shift`` 2 is the printed exponent, infinite at sigma_r' = 0."""
    return sum(
        rows[:, None] ** (2 * (depth - j) / depth) * columns[None] ** (2 * (j - shift) / depth)
        for j in range(1, depth + 1)
    )


# The pairs of singular directions, vectorized, one per column.
vectors = torch.stack([torch.outer(u[:, r], vh[c]).T.flatten() for r in range(3) for c in range(4)], 1)


def stretches(depth):
    """What the preconditioner makes of the length of each pair, (r, r')."""
    return (vectors * (preconditioner(w, depth) @ vectors)).sum(0).reshape(3, 4)


def residual(depth, shift=1):
    """Largest entry of P E - E diag(C), relative to the largest eigenvalue of P; as printed, of the finite columns."""
    p = preconditioner(w, depth)
    c = spectrum(depth, shift).flatten()
    kept = slice(None) if shift == 1 else c.isfinite()
    return ((p @ vectors - vectors * c)[:, kept].abs().max() / spectrum(depth).max()).item()


# %%
def power(m, exponent):
    """Power of a symmetric positive semidefinite matrix, M^0 = I."""
    values, vectors = torch.linalg.eigh(m)
    values = torch.where(values > 1e-12 * values.max(), values, 0.0)
    return (vectors * values**exponent) @ vectors.T


def kronecker(depth, denominator):
    """The Kronecker sum with exponents over N, or as printed over 1."""
    return sum(
        torch.kron(power(w.T @ w, (depth - j) / denominator), power(w @ w.T, (j - 1) / denominator))
        for j in range(1, depth + 1)
    )


# %%
depths = (2, 3, 5)
eigen = {depth: residual(depth) for depth in depths}
printed_eigen = {depth: residual(depth, 2) for depth in depths}
exact = {depth: preconditioner(w, depth) for depth in depths}
vec = {
    depth: (exact[depth] @ g.T.flatten() - induced_direction(w, g, depth).T.flatten()).abs().max().item()
    for depth in depths
}
sums = {
    name: {n: ((kronecker(n, over or n) - p).norm() / p.norm()).item() for n, p in exact.items()}
    for name, over in (("exponents over N", None), ("as printed", 1))
}
small = torch.tensor([1e-3, 1e-6], dtype=torch.float64)
diverging = (small ** (2 * (1 - 2) / 3)).tolist()
# How much the preconditioner stretches each pair of singular directions, the largest singular values first.
ordered = {depth: stretches(depth) for depth in depths}
increasing = all(bool((c.diff(dim=0) < -1e-6).all() and (c.diff(dim=1) < -1e-6).all()) for c in ordered.values())

# %%
row_w, row_g = normal(50, 1, 6, offset=10), normal(50, 1, 6, offset=11)


def single_output_gap(n):
    """The rule at k = 1 against the matrix formula, through the preconditioner, which decomposes W."""
    by_matrix = torch.einsum("nij,nj->ni", preconditioner(row_w, n), row_g[:, 0])
    return (by_matrix - induced_direction(row_w, row_g, n)[:, 0]).abs().max().item()


single = max(single_output_gap(n) for n in (1, 2, 3, 5))

# %% tags=["nbval-check-output"]
ch.claim("precond-eigen", value=eigen, holds=max(eigen.values()) < 1e-10)
ch.claim("favours-travelled", value={"largest": {n: c[0, 0] for n, c in ordered.items()}}, holds=increasing)
ch.claim("single-output-rule", value=single, holds=single < 1e-12)

# %% [markdown]
# The three misprints, each beside its correction:

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-kronecker",
    value=sums,
    holds=max(sums["exponents over N"].values()) < 1e-9 and min(sums["as printed"].values()) > 0.1,
)
ch.claim(
    "erratum-vec",
    value={"error with vec": vec, "columns of P": preconditioner(w, 3).shape[1], "rows of the gradient": g.shape[0]},
    holds=max(vec.values()) < 1e-10 and preconditioner(w, 3).shape[1] != g.shape[0],
)
ch.claim(
    "erratum-eigenvalue-exponent",
    value={"correct": eigen, "printed, finite ones": printed_eigen, "printed first term at 1e-3, 1e-6": diverging},
    holds=max(eigen.values()) < 1e-10 and min(printed_eigen.values()) > 0.01 and diverging[1] > 50 * diverging[0],
)

# %% mystnb={"figure": {"name": "fig-06-spectrum", "caption": "Eigenvalues of the preconditioner of a 3 x 4 matrix over the pairs (r, r') of its left and right singular vectors, relative to the largest. Depth spreads the spectrum: directions with large singular values on both sides gain."}, "image": {"alt": "Bars for twelve pairs of singular vectors at depths 2, 3 and 5. The first pair is 1 everywhere; bars fall with both indices, faster at larger depth, and stay above zero at r' = 4, where the singular value is zero."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, ax = figure()
    labels = [f"{r + 1},{c + 1}" for r in range(3) for c in range(4)]
    for index, depth in enumerate(depths):
        values = (spectrum(depth) / spectrum(depth).max()).flatten()
        ax.bar([i + 0.27 * (index - 1) for i in range(12)], values, width=0.25, label=f"N = {depth}")
    ax.set_xticks(range(12), labels)
    ax.set(xlabel="pair (r, r')", ylabel="eigenvalue / largest")
    ax.legend()

# %% [markdown]
# ## One output
#
# For one output the rule is an adaptive step $\lVert W\rVert^{2-2/N}$ times the gradient plus $N-1$ times its projection
# on $W$. Step 4 of the code walk-through prints `grad*(N-1)*...` where the function itself has `grad + (N-1)*...`. With
# the product, a network of depth 1 would never move.

# %% tags=["nbval-check-output"]
one_w, one_g = row_w[0], row_g[0]
projected = (one_g * one_w).sum() / (one_w**2).sum() * one_w
printed_step = {n: (one_g * (n - 1) * projected).norm().item() for n in (1, 3)}
correct_step = {
    n: (one_w.norm() ** (2 - 2 / n) * (one_g + (n - 1) * projected) - induced_direction(one_w, one_g, n)).norm().item()
    for n in (1, 3)
}
ch.claim(
    "erratum-step-four",
    value={"length of the printed step": printed_step, "error of the sum": correct_step, "gradient": one_g.norm()},
    holds=printed_step[1] == 0 and one_g.norm().item() > 0.1 and max(correct_step.values()) < 1e-10,
)

# %% [markdown]
# ## Not a gradient
#
# If the induced field were the gradient of some regularized loss, its line integral around every closed curve would
# vanish. For a regression with $d$ features we integrate around a square in the plane of the first two weights. The
# integral is judged against its own change when the number of points doubles.

# %%
loops, change = {}, {}
for d in (2, 5):
    xs, ys = normal(50, d, offset=20 + d), normal(1, 50, offset=30 + d)
    corners = torch.zeros(4, 1, d, dtype=torch.float64)
    corners[:, 0, :2] = torch.tensor([[0.1, 0.1], [0.7, 0.1], [0.7, 0.7], [0.1, 0.7]])
    for p in (2, 4):

        def field(w, n, xs=xs, ys=ys, p=p):
            """The induced field at a batch of weights."""
            return induced_direction(w, power_loss_grad(w, xs, ys, p), n)

        for n in (1, 2, 3, 5):
            coarse, fine = (circulation(lambda w, n=n: field(w, n), corners, points=m).item() for m in (2000, 4000))
            loops[d, p, n], change[d, p, n] = fine, abs(fine - coarse)
tested = [key for key in loops if key[2] in (3, 5)]

# %% tags=["nbval-check-output"]
ch.claim(
    "not-a-gradient-field",
    value={f"d = {d}, p = {p}, N = {n}": value for (d, p, n), value in loops.items()},
    holds=all(abs(loops[key]) > 20 * change[key] and abs(loops[key]) > 1e-4 for key in tested)
    and all(abs(loops[key]) < 1e-4 for key in loops if key[2] == 1),
)

# %% [markdown]
# Two losses whose field is a gradient all the same. A linear one, $\langle c, W\rangle$, at $N = 2$: around the half annulus
# of the proof the integral has a closed form, which vanishes at that depth.

# %%
linear = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
angles = torch.linspace(0, math.pi, 1441, dtype=torch.float64)
arc = torch.stack([angles.cos(), angles.sin()], 1)[:, None]
annulus = torch.cat([0.5 * arc, 0.1 * arc.flip(0)])


def closed_form(n, r=0.1, big=0.5):
    """Circulation of the field of a linear loss around the half annulus."""
    a = 2 - 2 / n
    return 2 * (n / (a + 1) - 1) * (big ** (a + 1) - r ** (a + 1))


half = {
    n: abs(circulation(lambda w, n=n: induced_direction(w, linear.expand_as(w), n), annulus, points=20).item())
    for n in (2, 3, 5)
}
by_potential = torch.func.vmap(torch.func.grad(lambda v: v.norm() * v[0]))(annulus[:, 0])  # of ||W|| <c, W>
by_rule = induced_direction(annulus, linear.expand_as(annulus), 2)[:, 0]

# %% [markdown]
# And $\tfrac12\lVert W\rVert^2$, which has no slope at zero: its field $N\lVert W\rVert^{2-2/N}\,W$ is radial, a gradient at
# every depth.

# %%
rectangle = torch.tensor([[0.1, 0.2], [0.9, 0.2], [0.9, 0.6], [0.1, 0.6]], dtype=torch.float64)[:, None]
radial, by_radial = {}, {}
for n in (2, 3, 5):
    radial[n] = abs(circulation(lambda w, n=n: induced_direction(w, w, n), rectangle, points=4000).item())
    potential_of = torch.func.grad(lambda v, a=4 - 2 / n, n=n: n * v.norm() ** a / a)
    field_of = induced_direction(annulus, annulus, n)[:, 0]
    by_radial[n] = (field_of - torch.func.vmap(potential_of)(annulus[:, 0])).abs().max().item()

# %% tags=["nbval-check-output"]
ch.claim(
    "erratum-gradient-field",
    value={
        "half annulus": half,
        "closed form": {n: closed_form(n) for n in half},
        "field minus gradient of |W|<c,W>": (by_rule - by_potential).abs().max(),
        "N = 2, p = 4": loops[2, 4, 2],
        "around a rectangle, |W|^2/2": radial,
        "its field minus gradient": by_radial,
    },
    holds=half[2] < 1e-6
    and max(radial.values()) < 1e-6
    and max(by_radial.values()) < 1e-12
    and all(abs(half[n] - abs(closed_form(n))) < 1e-4 for n in half)
    and (by_rule - by_potential).abs().max().item() < 1e-12
    and abs(loops[2, 4, 2]) > 1e-4,
)

# %% [markdown]
# The theorem needs two conditions that the slide leaves out. With $N = 2$ and a linear loss $\langle c, W\rangle$ the field
# *is* a gradient, that of $\lVert W\rVert\langle c, W\rangle$; around the half annulus of the proof the integral is
# $2\big(\tfrac{N}{a+1}-1\big)(R^{a+1}-r^{a+1})$ with $a = 2-2/N$, which vanishes at $N = 2$ and is $0.111$ at $N = 3$.
# {cite:t}`arora2018optimization` state $N > 2$, and a gradient of the loss that does not vanish at $W = 0$. Without it there
# are counterexamples at every depth: the loss $\tfrac12\lVert W\rVert^2$ has the field $N\lVert W\rVert^{2-2/N}\,W$, which
# points away from the origin and is the gradient of a power of $\lVert W\rVert$. For a loss that is not linear $N = 2$ is
# generically enough.

# %% mystnb={"figure": {"name": "fig-06-field", "caption": "Left: the negative of the induced field, the direction of descent, of an l_2 regression at N = 3 in the plane (arrows scaled to equal length) with the square around which it is integrated. Right: size of the integral against depth, for l_2, l_4 and a linear loss (the linear one around the half annulus; at N = 1, and for the linear loss at N = 2, it vanishes)."}, "image": {"alt": "Arrow plot of a planar vector field with a square; and three rising curves of circulation against depth 1 to 5."}} tags=["hide-input"]
if ch.plots:
    fig, (left, right) = figure(1, 2, height=3.4)
    ticks = torch.linspace(-0.2, 1.0, 13, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks)[:, None]
    xs, ys = normal(50, 2, offset=22), normal(1, 50, offset=32)
    arrows = -induced_direction(grid, power_loss_grad(grid, xs, ys), 3)[:, 0]
    arrows = arrows / arrows.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    left.quiver(*grid[:, 0].T, *arrows.T, color="0.45", width=0.005)
    box = torch.tensor([[0.1, 0.1], [0.7, 0.1], [0.7, 0.7], [0.1, 0.7], [0.1, 0.1]])
    left.plot(*box.T, color="C1")
    left.set(xlabel="$w_1$", ylabel="$w_2$")
    for p, style in ((2, "o"), (4, "s")):
        right.plot((1, 2, 3, 5), [abs(loops[2, p, n]) for n in (1, 2, 3, 5)], marker=style, label=f"$l_{p}$ loss")
    right.plot((1, 2, 3, 5), [0.0, half[2], half[3], half[5]], marker="^", label="linear loss")
    right.set(xlabel="depth N", ylabel="|line integral|")
    right.legend()

# %% [markdown]
# ## Beyond the review: the curve in closed form
#
# With whitened data and the $l_2$ loss the rule decouples into singular directions, $\dot s = N s^{2-2/N}(s^* - s)$
# {cite}`saxe2013exact`. Depth 1 relaxes exponentially; deeper networks wait, then switch, the larger
# direction first. The dots are the trained factors, the lines the closed form.

# %% mystnb={"figure": {"name": "fig-06-saxe", "caption": "Singular values of the end-to-end matrix while a network of depth N learns a matrix with singular values 3 and 1 from a start of 0.05: trained factors (dots) and the closed form (lines)."}, "image": {"alt": "Three panels, depth 1, 2 and 3. In the first both values rise at once and saturate exponentially; in the others they follow sigmoids, the larger one first, and at depth 3 more abruptly. Dots lie on the lines."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 3, height=2.9, sharey=True)
    goal = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
    for ax, depth in zip(axes, (1, 2, 3)):
        origin = balanced_factors(0.05 * torch.eye(2, dtype=torch.float64), depth)
        end = (4, 4, 8)[depth - 1]
        path, _ = train_factors(lambda w: w - goal, origin, lr=0.002, steps=round(end / 0.002), every=100)
        time = torch.arange(len(path)) * 0.2
        for index, aim in enumerate((3.0, 1.0)):
            ax.plot(time, path[:, index, index], ".", ms=5, color=f"C{index}")
            s_line = 0.05 + (aim - 0.05) * (1 - torch.logspace(0, -4, 4000, dtype=torch.float64))
            speed = depth * s_line ** (2 - 2 / depth) * (aim - s_line)
            moment = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(1 / speed, s_line)])
            ax.plot(moment[moment < end], s_line[moment < end], color=f"C{index}", lw=1.2, label=f"$s^*$ = {aim:g}")
        ax.set(xlabel=r"time $\eta t$", title=f"N = {depth}")
    axes[0].set_ylabel("singular value")
    axes[2].legend()

# %% [markdown]
# ## Takeaway
#
# The rule is right, first order in the step size, with weight decay as well; its preconditioner and eigenvalues are
# right once three misprints are repaired. That no regularizer has the same effect holds for every depth above two if the
# loss has a slope at zero ($\tfrac12\lVert W\rVert^2$, which has none, is a counterexample), and for depth two
# generically as soon as the loss is not linear.
