"""One convolutional layer: Convotron, descent with output weights, inputs that are hard, correlated patches."""

from __future__ import annotations

from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.shallow import _arguments


class PatchDescent(NamedTuple):
    """Paths (iterations + 1, ...) of the filters ``w`` (..., r), output weights ``a`` (..., k) and ``loss`` (...).

    Examples
    --------
    >>> import torch
    >>> Z, y = torch.rand(6, 2, 3), torch.rand(6)
    >>> run = patch_descent(Z, y, torch.ones(3), torch.ones(2), step=0.01, iterations=5)
    >>> run.w.shape, run.a.shape, run.loss.shape
    (torch.Size([6, 3]), torch.Size([6, 2]), torch.Size([6]))
    """

    w: torch.Tensor
    a: torch.Tensor
    loss: torch.Tensor


class SplittingInputs(NamedTuple):
    """Inputs ``Z`` (d + subsets, 2, d), targets ``y`` (d + subsets,) and the hidden splitting ``signs`` (d,).

    Examples
    --------
    >>> set_splitting_inputs(3, 0, seed=0).y.tolist()
    [1.0, 1.0, 1.0]
    """

    Z: torch.Tensor
    y: torch.Tensor
    signs: torch.Tensor


@torch.no_grad()
def convotron(
    Z: torch.Tensor,
    y: torch.Tensor,
    *,
    step: float | torch.Tensor,
    w0: torch.Tensor | None = None,
    leak: float = 0.0,
    batch: int = 1,
) -> torch.Tensor:
    """Learn the filter of y = (1/k) sum_i s(<w, z_i>): w <- w + step (y_t - (1/k) sum_i s(<w, z_i>)) sum_i z_i.

    Parameters
    ----------
    Z, y
        Patches (..., T, k, r) and targets (..., T), used once and in order.
    step
        Not negative, a number or of batch shape; about 0.1 to 0.3 over the largest eigenvalue of ``patch_gram``.
    w0
        Start (..., r); zero by default.
    leak
        Slope of s below zero, in [0, 1].
    batch
        Samples per step, whose updates are averaged; T must be divisible by it.

    Returns
    -------
    Path (T / batch + 1, ..., r), the start included.

    Raises
    ------
    ValueError
        Shapes or dtypes that do not match, T not divisible by ``batch``, leak outside [0, 1].

    Source: Goel, Klivans and Meka 2018, algorithm 1. The output is the average over patches; the review's equation 4
    drops it, and the step assumes it.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([1.0, -1.0])
    >>> Z = torch.randn(500, 3, 2, generator=torch.Generator().manual_seed(0))
    >>> path = convotron(Z, (Z @ w).relu().mean(-1), step=0.1)
    >>> path.shape, bool((path[-1] - w).norm() < 0.01)
    (torch.Size([501, 2]), True)
    """
    _validate.float_tensor("Z", Z, 3)
    _validate.float_tensor("y", y, 1)
    count, k, r = Z.shape[-3:]
    if y.shape[-1] != count or min(k, r) < 1:
        raise ValueError(f"Z (..., T, k, r) and y (..., T) must share T, got {tuple(Z.shape)} and {tuple(y.shape)}")
    _validate.same_kind(Z=Z, y=y)
    batch = _validate.positive_int("batch", batch)
    if count % batch:
        raise ValueError(f"batch must divide the number of samples {count}, got {batch}")
    leak = _validate.real("leak", leak, 0, 1)
    shape = _validate.broadcast(Z=Z.shape[:-3], y=y.shape[:-1])
    if w0 is not None:
        _validate.float_tensor("w0", w0, 1)
        if w0.shape[-1] != r:
            raise ValueError(f"w0 must have shape (..., {r}), got {tuple(w0.shape)}")
        shape = _validate.broadcast(data=shape, w0=w0.shape[:-1])
    if isinstance(step, torch.Tensor):
        shape = _validate.broadcast(data=shape, step=step.shape)
    size = _arguments.step_size("step", step, shape, Z)
    path = Z.new_zeros(count // batch + 1, *shape, r)
    if w0 is not None:
        path[0] = w0
    w = path[0].clone()
    # The samples of a step are one matrix, and the sums of their patches are formed at once, step size included.
    rows, targets = Z.unflatten(-3, (-1, batch)).flatten(-3, -2), y.unflatten(-1, (-1, batch))
    moves = (size if isinstance(size, float) else size[..., None]) * Z.sum(-2) / batch
    moves = moves.unflatten(-2, (-1, batch))
    for t in range(count // batch):
        score = (rows[..., t, :, :] @ w[..., None])[..., 0].unflatten(-1, (batch, k))
        if leak:
            error = targets[..., t, :] - torch.where(score > 0, score, leak * score).mean(-1)
        else:
            error = targets[..., t, :] - score.relu_().mean(-1)
        if batch == 1:
            w = torch.addcmul(w, error, moves[..., t, 0, :])
        else:
            w = w + (error[..., None, :] @ moves[..., t, :, :])[..., 0, :]
        path[t + 1] = w
    return path


def patch_descent(
    Z: torch.Tensor,
    y: torch.Tensor,
    w0: torch.Tensor,
    a0: torch.Tensor,
    *,
    step: float,
    iterations: int,
    train_output: bool = True,
) -> PatchDescent:
    """Gradient descent on (1/2n) sum (f - y)^2 for f = sum_j a_j relu(<w, z_j>), one filter with output weights.

    Parameters
    ----------
    Z, y
        Patches (..., n, k, r) and targets (..., n).
    w0, a0
        Starts (..., r) and (..., k); those that share their inputs share one matrix product.
    train_output
        Whether ``a`` moves as well.

    Raises
    ------
    ValueError
        Shapes or dtypes that do not match.

    Source: Du, Lee, Tian, Poczos and Singh 2018, algorithm 1; Brutzkus and Globerson 2017 (fixed output weights).

    Examples
    --------
    >>> import torch
    >>> Z = torch.randn(100, 2, 3, generator=torch.Generator().manual_seed(0))
    >>> y = (Z @ torch.tensor([1.0, 0.0, 0.0])).relu().sum(-1)
    >>> run = patch_descent(Z, y, torch.tensor([0.5, 0.5, 0.0]), torch.ones(2), step=0.1, iterations=300)
    >>> bool(run.loss[-1] < 1e-3 * run.loss[0])
    True
    """
    _validate.float_tensor("Z", Z, 3)
    n, k, r = Z.shape[-3:]
    for name, value, size in (("y", y, n), ("w0", w0, r), ("a0", a0, k)):
        _validate.float_tensor(name, value, 1)
        if value.shape[-1] != size:
            raise ValueError(f"{name} must have shape (..., {size}), got {tuple(value.shape)}")
    _validate.same_kind(Z=Z, y=y, w0=w0, a0=a0)
    shape = _validate.broadcast(Z=Z.shape[:-3], y=y.shape[:-1], w0=w0.shape[:-1], a0=a0.shape[:-1])
    step, iterations = _validate.real("step", step), _validate.positive_int("iterations", iterations, 0)
    w, a = w0.expand(*shape, r), a0.expand(*shape, k)
    shared = Z.ndim == 3
    flat = Z.flatten(-3, -2) if shared else None
    # Small results that are kept one by one between large temporary ones would tear holes into the memory.
    losses, filters, outputs = (w.new_empty(iterations + 1, *shape, *size) for size in ((), (r,), (k,)))
    for t in range(iterations + 1):
        # Rows times the one matrix that all starts share: several times faster on a CPU than what einsum makes of it.
        score = (w @ flat.mT).unflatten(-1, (n, k)) if shared else torch.einsum("...nkr,...r->...nk", Z, w)
        hidden = score.relu_()
        error = (a[..., None, :] @ hidden.mT)[..., 0, :] - y
        losses[t], filters[t], outputs[t] = error.square().mean(-1) / 2, w, a
        if t < iterations:
            back = (error / n)[..., None] * a[..., None, :]
            back *= hidden.sign()
            w = w - step * (back.flatten(-2) @ flat if shared else torch.einsum("...nk,...nkr->...r", back, Z))
            if train_output:
                a = a - step * (error[..., None, :] @ hidden)[..., 0, :] / n
    return PatchDescent(filters, outputs, losses)


def set_splitting_inputs(d: int, subsets: int, *, seed: int) -> SplittingInputs:
    """Inputs on which fitting relu(<w, z_1>) + relu(<w, z_2>) = 1 is a set splitting problem.

    Parameters
    ----------
    d
        Number of elements >= 3.
    subsets
        Number >= 0 of random subsets of three elements, none of which the hidden splitting leaves on one side.
    seed
        Seed of signs and subsets.

    Returns
    -------
    ``SplittingInputs``: Z (d + subsets, 2, d), y (d + subsets,) of ones, and the splitting: signs (d,) in {-1, 1}, both
    kinds; float64. The first patch of an input is e_i, or the indicator of a subset, the second its negative, so that
    the output is |<w, z_1>|: the loss is zero at ``signs``, and at zero loss w is a splitting.

    Raises
    ------
    ValueError
        d < 3 or a negative number of subsets.

    Source: Brutzkus and Globerson 2017, section 4; section 3.3.1 of the review.

    Examples
    --------
    >>> import torch
    >>> Z, y, signs = set_splitting_inputs(4, 2, seed=0)
    >>> Z.shape, torch.equal((Z @ signs).relu().sum(-1), y)  # zero loss at the hidden splitting
    (torch.Size([6, 2, 4]), True)
    """
    d, subsets = _validate.positive_int("d", d, 3), _validate.positive_int("subsets", subsets, 0)
    source = torch.Generator().manual_seed(_validate.seed("seed", seed))
    signs = torch.randint(0, 2, (d,), generator=source, device="cpu").double() * 2 - 1
    two = torch.randperm(d, generator=source, device="cpu")[:2]
    signs[two] = torch.tensor([1.0, -1.0], dtype=torch.float64, device="cpu")  # both kinds, whatever was drawn
    first = torch.cat(
        [torch.eye(d, dtype=torch.float64, device="cpu"), torch.zeros(subsets, d, dtype=torch.float64, device="cpu")]
    )
    for row in range(subsets):
        chosen = torch.randperm(d, generator=source, device="cpu")[:3]
        while signs[chosen].sum().abs() == 3:
            chosen = torch.randperm(d, generator=source, device="cpu")[:3]
        first[d + row, chosen] = 1
    y = torch.ones(d + subsets, dtype=torch.float64, device="cpu")
    return SplittingInputs(torch.stack([first, -first], dim=1), y, signs)


def cross_patch_moments(Z: torch.Tensor, w: torch.Tensor, w_star: torch.Tensor) -> torch.Tensor:
    """The sum whose maximum over directions w is L_cross: spectral norms of E[Z_S Z_T'] for three pairs of events.

    Z_S is the average over patches of z_i 1{z_i in S}; the events are S(w, w*), S(w, -w*), S(-w, w*) with
    S(u, v) = {z: <u, z> >= 0, <v, z> >= 0}.

    Parameters
    ----------
    Z, w, w_star
        Patches (n, k, d), directions (..., d), teacher (d,).

    Returns
    -------
    (...). Raises ``ValueError`` for shapes or dtypes that do not match, values that are not finite.

    Source: Du, Lee and Tian 2018, assumption 3.2 and equation 29 of the review.

    Examples
    --------
    >>> import torch
    >>> Z = torch.randn(1000, 2, 3, generator=torch.Generator().manual_seed(0))
    >>> w, w_star = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    >>> cross_patch_moments(Z[:, :1], w, w_star).item()  # one patch is in one event at a time
    0.0
    >>> bool(cross_patch_moments(Z, w, w_star) > 0), bool(cross_patch_moments(Z, w_star, w_star) == 0)
    (True, True)
    """
    _validate.float_tensor("Z", Z, 3)
    _validate.float_tensor("w", w, 1)
    _validate.float_tensor("w_star", w_star, 1)
    if Z.ndim != 3 or min(Z.shape) < 1:
        raise ValueError(f"Z must have shape (n, k, d) with n, k, d >= 1, got {tuple(Z.shape)}")
    if w.shape[-1] != Z.shape[-1] or tuple(w_star.shape) != tuple(Z.shape[-1:]):
        raise ValueError(
            f"w (..., d) and w_star (d,) must match Z {tuple(Z.shape)}, got {tuple(w.shape)}, {tuple(w_star.shape)}"
        )
    _validate.same_kind(Z=Z, w=w, w_star=w_star)
    _arguments.decomposable("Z", Z)
    _validate.finite(Z=Z, w=w, w_star=w_star)
    ahead, truth = torch.einsum("nkd,...d->...nk", Z, w) >= 0, torch.einsum("nkd,d->nk", Z, w_star) >= 0
    events = (ahead & truth, ahead & ~truth, ~ahead & truth)
    average = [torch.einsum("...nk,nkd->...nd", event.to(Z), Z) / Z.shape[1] for event in events]
    pairs = ((0, 1), (0, 2), (1, 2))
    return sum(torch.linalg.matrix_norm(average[i].mT @ average[j] / len(Z), 2) for i, j in pairs)
