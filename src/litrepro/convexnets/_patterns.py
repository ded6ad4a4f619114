"""Activation patterns of ReLU neurons on a data set: the cells of an arrangement of hyperplanes."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.convexnets import _arguments

ON_PLANE = 1e-10  # relative to the lengths of row and ray
EPS = torch.finfo(torch.float64).eps


def activation_patterns(
    X: Tensor, count: int | None = None, *, generator: torch.Generator | int | None = None
) -> Tensor:
    """The distinct patterns 1{X u >= 0} of ``X (n, d)`` as a bool tensor (P, n).

    Parameters
    ----------
    count
        Number of Gaussian draws u; patterns in the order in which they were first drawn. None: all cells, for d <= 4,
        from the rays where d - 1 of the hyperplanes meet; in general position there are 2 sum_{k<d} C(n-1, k). Rows in
        special position (parallel, or more than d - 1 through one ray) are resolved in the quotient by the ray. On
        a plane is what is there up to 1e-10, or up to rounding times the condition of X with rows and columns of unit
        length.

    Raises
    ------
    ValueError
        d > 4 without count, count < 1, X that is not a finite floating-point matrix.

    Examples
    --------
    >>> import torch
    >>> X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> activation_patterns(X).shape
    torch.Size([6, 3])
    """
    X = _arguments.double("X", X, 2)
    if X.ndim != 2 or min(X.shape) < 1:
        raise ValueError(f"X must be (n, d) with n, d >= 1, got {tuple(X.shape)}")
    if count is not None:
        count = _validate.positive_int("count", count)
        source = _validate.random_source("generator", generator)
        draws = torch.randn(count, X.shape[1], generator=source, dtype=X.dtype, device=source.device).to(X.device)
        return first_occurrences(draws @ X.T >= 0)
    if X.shape[1] > 4:
        raise ValueError(f"all patterns are enumerated for d <= 4; got d = {X.shape[1]}, pass count to sample")
    return _cells(*_balanced(X))


def first_occurrences(rows: Tensor) -> Tensor:
    """The distinct rows of a matrix in the order in which they first occur."""
    unique, inverse = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((len(unique),), len(rows), dtype=torch.long, device=rows.device)
    first.scatter_reduce_(0, inverse, torch.arange(len(rows), device=rows.device), "amin")
    return unique[first.argsort()]


def _balanced(X: Tensor) -> tuple[Tensor, float]:
    """Rows (n, rank) with the same patterns, in an orthonormal basis of the columns, and their rounding.

    Patterns depend on the space of the columns alone, angles between rows on the basis: an offset in a column makes
    all rows nearly parallel.
    """
    X = X / binary_scale(X, 1)  # the squares of a tiny row would vanish
    X = X / X.norm(dim=1, keepdim=True).clamp(min=torch.finfo(X.dtype).tiny)
    X = X / X.norm(dim=0).clamp(min=torch.finfo(X.dtype).tiny)
    _, s, Vh = torch.linalg.svd(X, full_matrices=False)
    kept = s > ON_PLANE * s[0]
    condition = (s[0] / s[kept].min()).item() if bool(kept.any()) else 1.0
    return X @ (Vh[kept].T / s[kept]), 16 * EPS * condition


def _cells(X: Tensor, rounding: float) -> Tensor:
    """All open cells; a zero row is on in all of them. ``rounding`` is that of the rows, relative to their lengths."""
    norms = X.norm(dim=1)
    live = norms > 0
    if not bool(live.all()):
        full = torch.ones(1, len(X), dtype=torch.bool, device=X.device)
        if not bool(live.any()):
            return full
        inner = _cells(X[live], rounding)
        full = full.repeat(len(inner), 1)
        full[:, live] = inner
        return full
    X = X / norms[:, None]
    _, s, Vh = torch.linalg.svd(X, full_matrices=False)
    tolerance = max(ON_PLANE, rounding)
    rank = int((s > tolerance * s[0]).sum())
    if rank < X.shape[1]:
        return _cells(X @ Vh[:rank].T, rounding)
    d = X.shape[1]
    if d == 1:
        on = X[:, 0] > 0
        return torch.stack([on, ~on])
    subsets = torch.tensor(list(itertools.combinations(range(len(X)), d - 1)), device=X.device)
    rays = _normal(X[subsets])
    lengths = rays.norm(dim=1, keepdim=True)
    clear = lengths[:, 0] > tolerance
    rays, lengths, subsets = rays[clear] / lengths[clear], lengths[clear], subsets[clear]
    products = rays @ X.T
    # The ray of nearly parallel planes is short and its direction uncertain; it is on those that it was made from.
    on_plane = (products.abs() <= (rounding / lengths).clamp(min=ON_PLANE)).scatter(1, subsets, True)
    simple = on_plane.sum(1) == d - 1
    special = _special(X, rays[~simple], products[~simple], on_plane[~simple], rounding)
    return torch.unique(torch.cat([_simple(products[simple], on_plane[simple], d), *special]), dim=0)


def _normal(rows: Tensor) -> Tensor:
    """A vector (S, d) orthogonal to d - 1 rows (S, d-1, d): signed minors, zero if the rows are dependent."""
    d = rows.shape[-1]
    minors = [torch.linalg.det(rows[..., [j for j in range(d) if j != k]]) for k in range(d)]
    return torch.stack([(-1) ** k * minor for k, minor in enumerate(minors)], -1)


def _simple(products: Tensor, on_plane: Tensor, d: int) -> Tensor:
    """Around a ray and its negative on exactly d - 1 planes: all signs of those planes."""
    signs = torch.tensor(list(itertools.product((False, True), repeat=d - 1)), device=products.device)
    patterns = torch.cat([products > 0, products < 0])[:, None, :].repeat(1, len(signs), 1)
    where = torch.cat([on_plane, on_plane])[:, None, :].expand_as(patterns)
    # Boolean assignment runs through ray, sign vector, row: d - 1 rows for every sign vector.
    patterns[where] = signs.flatten().repeat(len(patterns))
    return patterns.flatten(0, 1)


def _special(X: Tensor, rays: Tensor, products: Tensor, on_plane: Tensor, rounding: float) -> list[Tensor]:
    """Around a ray on more than d - 1 planes: the cells of their arrangement in the quotient by the ray."""
    found = []
    _, first = torch.unique(on_plane, dim=0, return_inverse=True)
    for group in first.unique():
        k = int((first == group).nonzero()[0])
        planes = on_plane[k]
        basis = torch.linalg.svd(rays[k][None]).Vh[1:]
        local = _cells(X[planes] @ basis.T, rounding)
        for side in (products[k] > 0, products[k] < 0):
            pattern = side.repeat(len(local), 1)
            pattern[:, planes] = local
            found.append(pattern)
    return found


def subnetwork_patterns(
    X: Tensor, hidden: int, count: int, *, generator: torch.Generator | int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Patterns of three-layer sub-networks ((X U)_+ u)_+ from ``count`` Gaussian draws of (U, u).

    Returns ``first (P, n, m1)`` = 1{X U >= 0}, ``signs (P, m1)`` = sign(u) in the dtype of X and ``second (P, n)`` =
    1{(X U)_+ u >= 0}: distinct, in the order in which they were first drawn, neurons sorted so that sub-networks that
    differ in the order of their neurons count once. Raises ``ValueError`` for hidden or count < 1 and X that is not
    (n, d).

    Examples
    --------
    >>> import torch
    >>> first, signs, second = subnetwork_patterns(torch.eye(2, dtype=torch.float64), 3, 10, generator=0)
    >>> first.shape[1:], signs.shape[1:], second.shape[1:]
    (torch.Size([2, 3]), torch.Size([3]), torch.Size([2]))
    """
    X = _arguments.double("X", X, 2)
    if X.ndim != 2 or min(X.shape) < 1:
        raise ValueError(f"X must be (n, d) with n, d >= 1, got {tuple(X.shape)}")
    hidden, count = _validate.positive_int("hidden", hidden), _validate.positive_int("count", count)
    source = _validate.random_source("generator", generator)
    n, d = X.shape
    draws = torch.randn(count, hidden, d + 1, generator=source, dtype=X.dtype, device=source.device).to(X.device)
    product = draws[..., :d] @ X.T  # (count, m1, n)
    second = (product.clamp(min=0) * draws[..., d:]).sum(1) >= 0
    neurons = torch.cat([draws[..., d:] >= 0, product >= 0], -1)  # (count, m1, 1 + n)
    order = torch.arange(hidden, device=X.device).expand(count, -1)
    for bits in neurons.split(50, -1):  # as many as float64 holds exactly; the last count most
        place = 2.0 ** torch.arange(bits.shape[-1], dtype=X.dtype, device=X.device)
        number = (bits * place).sum(-1).gather(1, order)
        order = order.gather(1, number.argsort(dim=1, stable=True))
    neurons = neurons.gather(1, order[..., None].expand_as(neurons))
    rows = first_occurrences(torch.cat([neurons.flatten(1), second], 1))
    neurons = rows[:, : hidden * (n + 1)].unflatten(1, (hidden, n + 1))
    signs = torch.where(neurons[..., 0], 1.0, -1.0).to(X.dtype)
    return neurons[..., 1:].mT.contiguous(), signs, rows[:, hidden * (n + 1) :]
