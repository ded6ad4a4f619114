"""ReLU regression with one or several neurons, its relaxation, and the modified gradient (Ergen and Pilanci 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from litrepro import _validate
from litrepro.convexnets import _arguments


def _neurons(A: Tensor, y: Tensor, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    A, y = _arguments.data(A, y, names=("A", "y"))
    X = _arguments.double("X", X, 2)
    if X.shape[-1] != A.shape[-1]:
        raise ValueError(f"X must be (..., m, {A.shape[-1]}) for A {tuple(A.shape)}, got {tuple(X.shape)}")
    _validate.broadcast(A=A.shape[:-2], y=y.shape[:-1], X=X.shape[:-2])
    return A, y, X


def relu_loss(A: Tensor, y: Tensor, X: Tensor) -> Tensor:
    """||sum_j (A x_j)_+ - y||^2 (no 1/2), of batch shape: the review's equations 15 and 19 times two.

    ``A (..., n, d)``, ``y (..., n)``, ``X (..., m, d)``. Raises ``ValueError`` for shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> relu_loss(torch.eye(2), torch.tensor([1.0, 0.0]), torch.tensor([[3.0, -1.0]])).item()
    4.0
    """
    A, y, X = _neurons(A, y, X)
    return ((A @ X.mT).clamp(min=0).sum(-1) - y).square().sum(-1)


def relaxed_loss(A: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """f_r(x) = ||(A x)_+||^2 - 2 y'A x + ||y||^2 (equation 17), convex in ``x (..., d)`` whatever y is.

    f_r - f = 2 y'(-A x)_+, so that f_r is an upper bound of ``relu_loss`` where y >= 0. Raises ``ValueError`` for
    shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> relaxed_loss(torch.eye(2), torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 2.0])).item()
    7.0
    """
    x = _arguments.double("x", x, 1)
    A, y, X = _neurons(A, y, x[..., None, :])
    product = (A @ X.mT)[..., 0]
    return product.clamp(min=0).square().sum(-1) - 2 * (y * product).sum(-1) + y.square().sum(-1)


def modified_loss(A: Tensor, y: Tensor, X: Tensor) -> Tensor:
    """f_mp(X) = ||sum_j (A x_j)_+ - y||^2 - 2 y' prod_j (I - D_j) A sum_j x_j (equation 22), D_j = 1{A x_j >= 0}.

    Its gradient, where it has one, is the modified gradient. It jumps where the last neuron of a sample is switched off
    and, for m >= 2, it is not convex. Shapes and errors as ``relu_loss``.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1)
    >>> [modified_loss(one, one[0], torch.tensor(X)).item() for X in ([[-2.0], [0.0]], [[-1.0], [-1.0]])]
    [1.0, 5.0]
    """
    A, y, X = _neurons(A, y, X)
    product = A @ X.mT
    dead = (product < 0).all(-1)
    return (product.clamp(min=0).sum(-1) - y).square().sum(-1) - 2 * (y * dead * product.sum(-1)).sum(-1)


def modified_gradient(A: Tensor, y: Tensor, X: Tensor, modified: bool = True) -> Tensor:
    """2 A'D_j r, plus 2 A' prod_k (I - D_k) r for the modified gradient (equations 20 and 21), (..., m, d).

    r = sum_j (A x_j)_+ - y and D_j = 1{A x_j >= 0}. A sample that no neuron sees moves all of them, so that on n <= d
    independent samples the modified gradient vanishes only at r = 0. Shapes and errors as ``relu_loss``.

    Examples
    --------
    >>> import torch
    >>> A, y, X = torch.eye(2), torch.tensor([1.0, 1.0]), torch.tensor([[2.0, -1.0]])
    >>> modified_gradient(A, y, X).tolist(), modified_gradient(A, y, X, modified=False).tolist()
    ([[2.0, -2.0]], [[2.0, 0.0]])
    """
    A, y, X = _neurons(A, y, X)
    return _gradient(A, y, X, modified)[0]


def _gradient(A: Tensor, y: Tensor, X: Tensor, modified: bool) -> tuple[Tensor, Tensor]:
    """The (modified) gradient and the loss, without checks."""
    product = X @ A.mT  # (..., m, n): faster on a CPU than its transpose
    r = product.clamp(min=0).sum(-2) - y
    weights = (product >= 0).to(r.dtype)
    if modified:
        weights = weights + (product < 0).all(-2, keepdim=True).to(r.dtype)
    return 2 * (weights * r[..., None, :]) @ A, r.square().sum(-1)


def descend_relu(A: Tensor, y: Tensor, X: Tensor, *, modified: bool, lr: float, steps: int) -> tuple[Tensor, Tensor]:
    """Gradient descent with the plain or the modified gradient on a batch of problems and starts.

    Returns the final ``X (..., m, d)`` and the history (steps + 1, ...) of the loss. Raises ``ValueError`` for steps
    < 1, lr <= 0 and shapes as ``relu_loss``.

    Examples
    --------
    >>> import torch
    >>> A, y = torch.eye(2), torch.tensor([1.0, 1.0])
    >>> X, history = descend_relu(A, y, torch.tensor([[-1.0, 2.0]]), modified=True, lr=0.1, steps=100)
    >>> history.shape, bool(history[-1] < 1e-6)
    (torch.Size([101]), True)
    """
    A, y, X = _neurons(A, y, X)
    lr, steps = _validate.real("lr", lr, 0, open_low=True), _validate.positive_int("steps", steps)
    history = []
    for _ in range(steps):
        gradient, loss = _gradient(A, y, X, modified)
        history.append(loss)
        X = X - lr * gradient
    history.append(_gradient(A, y, X, modified)[1])
    return X, torch.stack(history)
