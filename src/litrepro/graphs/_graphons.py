"""Graphons, the graphs drawn from them, and the Laplacian spectrum that they predict (the review's section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from litrepro import _validate
from litrepro.graphs import _arguments

Graphon = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
KINDS = ("quadratic", "constant", "blocks", "band")


class GraphSample(NamedTuple):
    """Adjacency matrices (*batch, p, p) of zeros and ones, and the nodes' latent positions (*batch, p).

    Examples
    --------
    >>> A, latents = sample_graph(graphon("constant", prob=0.5), 6, batch=(3,))
    >>> A.shape, latents.shape, bool((A == A.mT).all())
    (torch.Size([3, 6, 6]), torch.Size([3, 6]), True)
    """

    adjacency: torch.Tensor
    latents: torch.Tensor


def graphon(kind: str, **params: Any) -> Graphon:
    """A graphon W(x, y) as a callable that broadcasts over tensors with entries in [0, 1]; integers count as float64.

    Parameters
    ----------
    kind
        ``"quadratic"``: (x^2 + y^2) / 2, the one of the review's experiments; ``"constant"``: ``prob``; ``"blocks"``:
        ``boundaries`` (K increasing points inside (0, 1); blocks contain their left end) and ``probs``, a symmetric
        (K + 1) x (K + 1) table in [0, 1]; ``"band"``: exp(-phi (x - y)^2) with ``phi`` >= 0.

    Raises
    ------
    ValueError
        Unknown kind, missing or superfluous parameters, probabilities that are asymmetric or outside [0, 1].

    Examples
    --------
    >>> import torch
    >>> W = graphon("quadratic")
    >>> W(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0]))
    tensor([0.5000, 1.0000])
    >>> graphon("band", phi=1.0)(torch.tensor(0.0), torch.tensor([0.0, 1.0]))
    tensor([1.0000, 0.3679])
    """
    _validate.choice("kind", kind, KINDS)
    expected = {"quadratic": (), "constant": ("prob",), "blocks": ("boundaries", "probs"), "band": ("phi",)}[kind]
    if set(params) != set(expected):
        raise ValueError(f"graphon {kind!r} takes {', '.join(expected) or 'no parameters'}; got {', '.join(params)}")
    if kind == "quadratic":
        return _broadcasting(lambda x, y: (x**2 + y**2) / 2)
    if kind == "constant":
        prob = _validate.real("prob", params["prob"], 0, 1)
        return _broadcasting(lambda x, y: torch.full_like(x + y, prob))
    if kind == "band":
        phi = _validate.real("phi", params["phi"], 0)
        return _broadcasting(lambda x, y: torch.exp(-phi * (x - y) ** 2))
    return _blocks(params["boundaries"], params["probs"])


def _broadcasting(rule: Graphon) -> Graphon:
    """``rule`` that also takes numbers and integer tensors: both are float64."""

    def W(x: Any, y: Any) -> torch.Tensor:
        x, y = (v if isinstance(v, torch.Tensor) else torch.as_tensor(v, dtype=torch.float64) for v in (x, y))
        x, y = (_validate.integers_as("x and y", v, torch.float64, booleans=True) for v in (x, y))
        return rule(x, y)

    return W


def _blocks(boundaries: Sequence[float], probs: Sequence[Sequence[float]]) -> Graphon:
    edges, table = _table("boundaries", boundaries), _table("probs", probs)
    inside = edges.ndim == 1 and bool(((edges > 0) & (edges < 1)).all()) and bool((edges.diff() > 0).all())
    if not inside:
        raise ValueError(f"boundaries must increase strictly inside (0, 1), got {boundaries!r}")
    size = len(edges) + 1
    if table.shape != (size, size):
        raise ValueError(f"probs must be {size} x {size} for {len(edges)} boundaries, got shape {tuple(table.shape)}")
    if not torch.equal(table, table.mT) or not bool(((table >= 0) & (table <= 1)).all()):
        raise ValueError(f"probs must be symmetric with entries in [0, 1], got {probs!r}")

    def rule(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        rows = torch.bucketize(x.contiguous(), edges.to(x), right=True)
        columns = torch.bucketize(y.contiguous(), edges.to(y), right=True)
        return table.to(x)[rows, columns]

    return _broadcasting(rule)


def _table(name: str, value: Any) -> torch.Tensor:
    """Real numbers as a float64 tensor."""
    try:
        if isinstance(value, torch.Tensor) and value.is_complex():
            raise TypeError(value.dtype)
        device = value.device if isinstance(value, torch.Tensor) else "cpu"
        return torch.as_tensor(value, dtype=torch.float64, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must hold real numbers, got {value!r}") from None


def _callable(W: Any) -> Graphon:
    if not callable(W):
        raise ValueError(f"W must be a callable W(x, y), got {type(W).__name__}")
    return W


def degree_function(W: Graphon, x: torch.Tensor, *, nodes: int = 2048) -> torch.Tensor:
    """The degree function d(x), the integral of W(x, y) over y in [0, 1], by the midpoint rule with ``nodes`` points.

    Returns the shape of x. Raises ``ValueError`` for a W that is not callable or returns another shape, x that is not a
    floating-point tensor, or nodes < 1.

    Examples
    --------
    >>> import torch
    >>> degree_function(graphon("quadratic"), torch.tensor([0.0, 1.0]))  # x^2 / 2 + 1 / 6
    tensor([0.1667, 0.6667])
    """
    _callable(W)
    _validate.float_tensor("x", x)
    y = midpoints(_validate.positive_int("nodes", nodes), x)
    flat = x.reshape(-1, 1)
    rows = max(1, (1 << 22) // nodes)  # a few million values of W at once
    parts = [_values(W, part, y[None]).mean(-1) for part in flat.split(rows)]
    return torch.cat(parts).reshape(x.shape) if parts else torch.empty_like(x)


def midpoints(count: int, like: torch.Tensor) -> torch.Tensor:
    """The centres of ``count`` equal cells of [0, 1]."""
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count


def _values(W: Graphon, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """W(x, y) at its full shape, whether W broadcasts by itself or returns a number."""
    shape = torch.broadcast_shapes(x.shape, y.shape)
    try:
        values = W(x, y)
        if isinstance(values, torch.Tensor) and values.is_complex():
            raise TypeError("complex values")
        return torch.as_tensor(values, dtype=x.dtype, device=x.device).expand(shape)
    except (TypeError, ValueError, RuntimeError) as error:
        if "memory" in str(error):
            raise
        expected = f"x {tuple(x.shape)} and y {tuple(y.shape)} and return real values that broadcast to {tuple(shape)}"
        raise ValueError(f"W must accept {expected}, got {str(error).splitlines()[0]}") from error


def sample_graph(
    W: Graphon,
    p: int,
    *,
    batch: Sequence[int] = (),
    generator: torch.Generator | int | None = None,
    latents: torch.Tensor | None = None,
) -> GraphSample:
    """Graphs with p nodes drawn from a graphon (equations 2a and 2b, over pairs i < j: no self-loops).

    Parameters
    ----------
    generator
        Source of randomness, or its seed (0 if None).
    latents
        Positions (*batch, p) of the nodes in [0, 1], or fewer that broadcast to it; uniform if not given. If ``batch``
        is empty, theirs is used.

    Returns
    -------
    ``GraphSample(adjacency, latents)``: float64 zeros and ones, symmetric, zero diagonal, on the device of the
    generator, or of the latents where none is given.

    Raises
    ------
    ValueError
        p < 1, latents that do not broadcast to their shape or are outside [0, 1], or a W with values that are
        asymmetric or outside [0, 1].

    Examples
    --------
    >>> sample_graph(graphon("constant", prob=1.0), 3).adjacency  # the complete graph
    tensor([[0., 1., 1.],
            [1., 0., 1.],
            [1., 1., 0.]], dtype=torch.float64)
    """
    _callable(W)
    p = _validate.positive_int("p", p)
    batch = tuple(_validate.positive_int("batch", size, 0) for size in _validate.sequence("batch", batch, 0))
    if latents is not None:
        latents = _positions(latents, batch, p)
    generator = _validate.random_source("generator", generator, None if latents is None else latents.device)
    device = generator.device
    if latents is None:
        latents = torch.rand(*batch, p, generator=generator, dtype=torch.float64, device=device)
    latents = latents.to(device)
    probability = _values(W, latents[..., :, None], latents[..., None, :])
    if not bool(((probability >= 0) & (probability <= 1)).all()):
        raise ValueError(f"W must have values in [0, 1], got {probability.min():.4g} to {probability.max():.4g}")
    if not torch.allclose(probability, probability.mT):
        raise ValueError("W must be symmetric, got W(x, y) different from W(y, x)")
    draw = torch.rand(probability.shape, generator=generator, dtype=torch.float64, device=device)
    upper = (draw < probability).to(torch.float64).triu(1)
    return GraphSample(upper + upper.mT, latents)


def _positions(latents: Any, batch: tuple[int, ...], p: int) -> torch.Tensor:
    _validate.float_tensor("latents", latents, 1)
    wanted = torch.Size((*(batch or latents.shape[:-1]), p))
    given = latents.shape
    # One position for all p nodes would be a broadcast, too, but hardly meant.
    if given[-1] != p or len(given) > len(wanted) or any(a not in (1, b) for a, b in zip(given[::-1], wanted[::-1])):
        raise ValueError(f"latents must have shape {tuple(wanted)} or broadcast to it, got {tuple(given)}")
    if not bool(((latents >= 0) & (latents <= 1)).all()):
        raise ValueError("latents must lie in [0, 1]")
    return latents.to(torch.float64).expand(wanted)


def spectral_prior(W: Graphon, p: int) -> torch.Tensor:
    """The Laplacian spectrum (p,) that W predicts for p nodes: p d((i - 1/2) / p), ascending, the first set to 0.

    ``d`` is the degree function; theorem 1 says lambda_i / p, the review's mu needs the factor p. float64.
    Raises ``ValueError`` for a W that is not callable, or p < 1.

    Examples
    --------
    >>> spectral_prior(graphon("constant", prob=0.5), 4)
    tensor([0., 2., 2., 2.], dtype=torch.float64)
    """
    p = _validate.positive_int("p", p)
    mu = (p * degree_function(W, midpoints(p, torch.empty(0, dtype=torch.float64)))).sort().values
    mu[0] = 0.0
    return mu


def spectrum_distance(A: torch.Tensor, W: Graphon, *, cells: int = 8) -> torch.Tensor:
    """Distance (...) in L2[0, 1] between the Laplacian spectrum of A and the sorted degree function (theorem 1).

    The spectrum is the step function lambda_i / p on cell i of p; the degree function is sorted on p * cells midpoints.

    A (..., p, p) is float32 or float64, or integer or bool, which counts as float64.

    Raises ``ValueError`` where A is not square, symmetric and finite, or is in half precision or complex, or cells < 1.

    Examples
    --------
    >>> import torch
    >>> A = 1 - torch.eye(50, dtype=torch.float64)  # eigenvalues 0 and 49 times 50
    >>> round(spectrum_distance(A, graphon("constant", prob=1.0)).item() ** 2, 4)  # 1 / 50
    0.02
    """
    A = _arguments.decomposed("A", _validate.integers_as("A", A, torch.float64, booleans=True))
    _callable(W)
    cells, p = _validate.positive_int("cells", cells), A.shape[-1]
    steps = torch.linalg.eigvalsh(torch.diag_embed(A.sum(-1)) - A) / p
    degree = degree_function(W, midpoints(p * cells, A)).sort().values.reshape(p, cells)
    return (steps[..., None] - degree).square().mean((-1, -2)).sqrt()
