"""The Laplacian operator, its adjoint, their product; the generalized determinant (Kumar et al. 2020, section 3)."""

from __future__ import annotations

import functools

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale, root
from litrepro.graphs import _arguments


def edge_pairs(p: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes (i, j), 0-based with i > j, of the p (p - 1) / 2 edges in the order of every weight vector.

    The order runs down the columns of the lower triangle: with 1-based nodes, edge (i, j) is number
    i - j + (j - 1)(2 p - j) / 2. Both tensors have shape (m,) and dtype int64.

    Raises ``ValueError`` unless p is an integer >= 2.

    Examples
    --------
    >>> i, j = edge_pairs(4)
    >>> i.tolist(), j.tolist()
    ([1, 2, 3, 2, 3, 3], [0, 0, 0, 1, 1, 2])
    """
    rows, columns = _pairs(_validate.positive_int("p", p, 2), torch.device("cpu"))
    return rows.clone(), columns.clone()


@functools.lru_cache(maxsize=32)
def _pairs(p: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    # The upper triangle row by row is the lower triangle column by column with the roles of the nodes exchanged.
    with torch.inference_mode(False):  # cached in inference mode, it could not serve a gradient later
        columns, rows = torch.triu_indices(p, p, 1, device=device)
    return rows, columns


@functools.lru_cache(maxsize=32)
def _place(p: int, device: torch.device) -> torch.Tensor:
    """(p, p) map from a pair of nodes to its edge; the diagonal points behind the last edge."""
    rows, columns = _pairs(p, device)
    with torch.inference_mode(False):
        place = torch.full((p, p), len(rows), device=device)
        place[rows, columns] = place[columns, rows] = torch.arange(len(rows), device=device)
    return place


def laplacian(w: torch.Tensor) -> torch.Tensor:
    """The graph Laplacian L w (..., p, p) of edge weights w (..., m), m = p (p - 1) / 2 (the review's section 2).

    Off the diagonal -w, on it the weighted degrees; weights may be negative. Linear and differentiable.

    Raises ``ValueError`` where the length of w is not triangular.

    Examples
    --------
    >>> import torch
    >>> laplacian(torch.tensor([1.0, 2.0, 0.0]))  # a path 1 - 0 - 2
    tensor([[ 3., -1., -2.],
            [-1.,  1.,  0.],
            [-2.,  0.,  2.]])
    """
    _, p = _arguments.weights("w", w)
    adjacency = torch.nn.functional.pad(w, (0, 1))[..., _place(p, w.device)]
    return torch.diag_embed(adjacency.sum(-1)) - adjacency


def edge_weights(M: torch.Tensor) -> torch.Tensor:
    """Minus the entries M_ij, i > j, of a matrix (..., p, p) in the order of ``edge_pairs``: (..., m).

    The inverse of ``laplacian`` on Laplacians. Raises ``ValueError`` where M is not square.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([1.0, 2.0, 3.0])
    >>> torch.equal(edge_weights(laplacian(w)), w)
    True
    """
    rows, columns = _pairs(_arguments.square("M", M).shape[-1], M.device)
    return -M[..., rows, columns]


def laplacian_adjoint(Y: torch.Tensor) -> torch.Tensor:
    """The adjoint L* Y (..., m) of ``laplacian``: Y_ii - Y_ij - Y_ji + Y_jj for any square Y (..., p, p).

    Raises ``ValueError`` where Y is not square.

    Examples
    --------
    >>> import torch
    >>> w, Y = torch.rand(6, dtype=torch.float64), torch.rand(4, 4, dtype=torch.float64)
    >>> torch.allclose((laplacian(w) * Y).sum(), (w * laplacian_adjoint(Y)).sum())
    True
    """
    rows, columns = _pairs(_arguments.square("Y", Y).shape[-1], Y.device)
    diagonal = Y.diagonal(dim1=-2, dim2=-1)
    return diagonal[..., rows] + diagonal[..., columns] - Y[..., rows, columns] - Y[..., columns, rows]


def laplacian_gram(w: torch.Tensor) -> torch.Tensor:
    """L* L w = 2 w_k + deg_i + deg_j (..., m) in O(p^2), without a matrix; half precision is summed in float32.

    L* L has the eigenvalues 2 (p (p - 3) / 2 times), p (p - 1 times) and 2 p (once); so the norm of L is sqrt(2 p).

    Raises ``ValueError`` where the length of w is not triangular.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([1.0, 2.0, 3.0])
    >>> laplacian_gram(w), torch.equal(laplacian_gram(w), laplacian_adjoint(laplacian(w)))
    (tensor([ 9., 12., 15.]), True)
    """
    _, p = _arguments.weights("w", w)
    rows, columns = _pairs(p, w.device)
    dtype, w = w.dtype, _summable(w)
    degree = w.new_zeros(*w.shape[:-1], p).index_add(-1, rows, w).index_add(-1, columns, w)
    return (2 * w + degree[..., rows] + degree[..., columns]).to(dtype)


def _summable(w: torch.Tensor) -> torch.Tensor:
    """Half precision, in which ``index_add`` stops counting at a few hundred, as float32."""
    return w.float() if w.dtype in (torch.float16, torch.bfloat16) else w


def log_gdet(M: torch.Tensor, tol: float = 1e-9) -> torch.Tensor:
    """Logarithm of the generalized determinant (...): the sum of the logs of the eigenvalues above tol * lambda_max.

    M (..., p, p) is symmetric positive semidefinite; an all-zero matrix has an empty product, so 0. Eigenvalues are
    found in float64; for float32, whose rounding is as large, a ``tol`` below 5e-7 counts as 5e-7.

    Raises ``ValueError`` where M is not square, not symmetric or not finite, neither float32 nor float64, or tol is
    outside [0, 1).

    Examples
    --------
    >>> import torch
    >>> log_gdet(torch.diag(torch.tensor([0.0, 1.0, 4.0])))  # log 4
    tensor(1.3863)
    """
    _arguments.decomposed("M", M)
    _validate.real("tol", tol, 0, 1, open_high=True)
    values = torch.linalg.eigvalsh(M.double())
    counted = (values > _arguments.rounding(tol, M) * values[..., -1:]) & (values > 0)
    return torch.where(counted, values, 1.0).log().sum(-1).to(M.dtype)


def relative_error(w_hat: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """The relative error (...) of estimated weights in Frobenius norm: |L(w_hat - w)| over |L w|.

    Where w is zero it is inf, and nan if w_hat is zero, too. The scale of the weights plays no part, and half precision
    is computed in float32. Its gradient where it is 0 is 0.

    Raises ``ValueError`` where a length is not triangular, lengths or dtypes differ, or batches do not broadcast.

    Examples
    --------
    >>> import torch
    >>> relative_error(torch.tensor([2.0, 2.0, 2.0]), torch.tensor([1.0, 1.0, 1.0]))
    tensor(1.)
    """
    _, p = _arguments.weights("w_hat", w_hat)
    if _arguments.weights("w", w)[1] != p:
        raise ValueError(f"w_hat and w must have one length, got {w_hat.shape[-1]} and {w.shape[-1]}")
    _validate.same_kind(w_hat=w_hat, w=w)
    _validate.broadcast(w_hat=w_hat.shape[:-1], w=w.shape[:-1])
    dtype, w_hat, w = w.dtype, _summable(w_hat), _summable(w)
    scale = torch.maximum(binary_scale(w_hat, -1), binary_scale(w, -1))  # the difference itself might overflow
    (off, size_off), (norm, size) = _norm(w_hat / scale - w / scale), _norm(w)
    return (off / norm * (size_off * (scale / size))[..., 0]).to(dtype)


def _norm(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Frobenius norm of L w, from <w, L* L w>, in units of a power of two (..., 1), which is the second result."""
    scale = binary_scale(w, -1)
    w = w / scale
    return root((w * laplacian_gram(w)).sum(-1).clamp_min(0)), scale
