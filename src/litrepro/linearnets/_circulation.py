"""Line integrals around closed polygons: zero for every gradient field."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate


def circulation(
    field: Callable[[torch.Tensor], torch.Tensor], vertices: torch.Tensor, *, points: int = 2000
) -> torch.Tensor:
    """Line integral of <field(W), dW> around a closed polygon.

    Parameters
    ----------
    field
        ``(n, k, d) -> (n, k, d)``.
    vertices
        (K, k, d), K >= 3, in order; the last is joined to the first.
    points
        Evaluations per edge: the two-point Gauss rule on points/2 panels, the midpoint rule if odd.

    Returns
    -------
    (). Zero, up to the error of the rule, if the field is a gradient.

    Raises
    ------
    ValueError
        K < 3, points < 1, vertices that are empty or not finite, a field of another shape.

    Source: the gradient theorem, as used by Arora, Cohen and Hazan 2018, theorem 2.

    Examples
    --------
    >>> import torch
    >>> square = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 1.0]]], dtype=torch.float64)
    >>> turn = lambda w: torch.stack([-w[..., 1], w[..., 0]], -1)
    >>> round(circulation(turn, square).item(), 6), round(abs(circulation(lambda w: w, square).item()), 6)
    (2.0, 0.0)
    """
    _validate.float_tensor("vertices", vertices)
    if vertices.ndim != 3 or vertices.shape[0] < 3 or 0 in vertices.shape:
        raise ValueError(f"vertices must be (K, k, d) with K >= 3 and k, d >= 1, got shape {tuple(vertices.shape)}")
    if not bool(torch.isfinite(vertices).all()):
        raise ValueError("vertices must be finite")
    points = _validate.positive_int("points", points)
    vertices = vertices.detach()
    edges = vertices.roll(-1, 0) - vertices
    at = _nodes(points, vertices)
    w = (vertices[:, None] + at[None, :, None, None] * edges[:, None]).flatten(0, 1)
    values = _validate.answer("field", field, w)
    if not isinstance(values, torch.Tensor) or values.shape != w.shape:
        got = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise ValueError(f"field must return shape {tuple(w.shape)}, got {got}")
    values = values.detach().unflatten(0, (len(edges), points))
    return (values.mean(1) * edges).sum()


def _nodes(points: int, like: torch.Tensor) -> torch.Tensor:
    """Nodes in (0, 1), all of weight 1/points."""
    if points % 2:
        return (torch.arange(points, dtype=like.dtype, device=like.device) + 0.5) / points
    middle = (torch.arange(points // 2, dtype=like.dtype, device=like.device) + 0.5) / (points // 2)
    half = 1.0 / (points * 3**0.5)
    return torch.stack([middle - half, middle + half], 1).flatten()
