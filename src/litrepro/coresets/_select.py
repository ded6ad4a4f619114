"""Selection per class and per batch, and the random baseline."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate
from litrepro.coresets._coreset import Coreset, check_generator, check_gradients, check_k, equal_weights
from litrepro.coresets._facility import craig, weighted_glister
from litrepro.coresets._glister import glister
from litrepro.coresets._pursuit import grad_match

SELECTORS: dict[str, Callable[..., Coreset]] = {
    "craig": craig,
    "glister": glister,
    "weighted-glister": weighted_glister,
    "grad-match": grad_match,
}
METHODS = (*SELECTORS, "random")


def random(gradients: torch.Tensor, k: int, *, generator: torch.Generator | int) -> Coreset:
    """k examples uniformly without replacement, each with weight n/k.

    Parameters
    ----------
    gradients
        (..., n, p); only the shape matters.
    k
        1..n.
    generator
        Generator on the CPU, or a seed.

    Returns
    -------
    Coreset; every problem of a batch has its own draw.

    Raises
    ------
    ValueError
        As the other selectors; no generator.

    Examples
    --------
    >>> random(torch.ones(10, 2), 4, generator=0).weights.tolist()
    [2.5, 2.5, 2.5, 2.5]
    """
    gradients = check_gradients(gradients)
    n = gradients.shape[-2]
    k = check_k(k, n)
    generator = check_generator(generator)
    draws = torch.rand(gradients.shape[:-1], generator=generator, device=generator.device, dtype=torch.float64)
    indices = draws.argsort(-1)[..., :k].to(gradients.device)
    return equal_weights(indices, n, gradients)


def class_quotas(labels: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """How many of k examples each class gets: its share rounded down, at least 1, the rest to the largest fractions.

    Parameters
    ----------
    labels
        (n,) int64.
    k
        From the number of classes present to n.

    Returns
    -------
    classes (C,), sorted, and quotas (C,) int64: they sum to k, none exceeds its class. An excess from the minimum of 1
    is taken from the largest quotas.

    Raises
    ------
    ValueError
        Labels that are not (n,) int64, k below the number of classes or above n.

    Examples
    --------
    >>> labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    >>> class_quotas(labels, 20)[1].tolist()
    [12, 6, 2]
    """
    if not isinstance(labels, torch.Tensor) or labels.ndim != 1 or labels.dtype != torch.int64 or len(labels) < 1:
        raise ValueError(f"labels must be int64 (n,), got {getattr(labels, 'shape', type(labels).__name__)}")
    n = len(labels)
    k = check_k(k, n)
    classes, sizes = labels.unique(return_counts=True)
    if k < len(classes):
        raise ValueError(f"k must be at least the number of classes {len(classes)}, got {k}")
    shares = [k * size for size in sizes.tolist()]  # in units of 1/n: exact
    quotas = [max(1, share // n) for share in shares]
    order = range(len(quotas))
    while sum(quotas) < k:
        quotas[max(order, key=lambda c: shares[c] - n * quotas[c])] += 1
    while sum(quotas) > k:
        quotas[max(order, key=lambda c: (quotas[c], n * quotas[c] - shares[c]))] -= 1
    return classes, torch.tensor(quotas, dtype=torch.int64, device=labels.device)


def select(
    gradients: torch.Tensor,
    labels: torch.Tensor,
    k: int,
    *,
    method: str,
    per_class: bool = True,
    generator: torch.Generator | int | None = None,
    **options: Any,
) -> Coreset:
    """A coreset by the name of its method, of all examples at once or class by class.

    Parameters
    ----------
    gradients
        (n, p).
    labels
        (n,) int64.
    k
        1..n; with ``per_class`` at least the number of classes.
    method
        ``"craig"``, ``"glister"``, ``"weighted-glister"``, ``"grad-match"`` or ``"random"``.
    per_class
        Each class has its share of k, see ``class_quotas``, and is matched to the sum of its own gradients. Classes of
        equal size are one batch.
    generator
        For ``"random"``.
    options
        Passed to the selector. ``target``, one vector (p,), and ``refresh`` are of all examples: they need
        ``per_class=False``.

    Returns
    -------
    Coreset (k,); class by class with ``per_class``.

    Raises
    ------
    ValueError
        Unknown method or option, ``target`` or ``refresh`` with ``per_class``, lengths that differ, k out of range, and
        what the selector raises.

    Notes
    -----
    Source: Killamsetty et al., arXiv:2103.00123, section 4 (per-class approximation).

    Examples
    --------
    >>> g, labels = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> chosen = select(g, labels, 2, method="craig")
    >>> labels[chosen.indices].tolist(), chosen.weights.tolist()
    ([0, 1], [2.0, 2.0])
    """
    _validate.choice("method", method, METHODS)
    gradients = check_gradients(gradients)
    n = _one_problem(gradients)
    if not isinstance(labels, torch.Tensor) or labels.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), got {getattr(labels, 'shape', type(labels).__name__)}")
    k = check_k(k, n)
    one = _selector(method, generator, options)
    if not per_class:
        return one(gradients, k)
    check_per_class(options)
    classes, quotas = class_quotas(labels, k)
    members = [(labels == c).nonzero()[:, 0] for c in classes.tolist()]
    alike: dict[tuple[int, int], list[int]] = {}
    for c, (where, quota) in enumerate(zip(members, quotas.tolist())):
        alike.setdefault((len(where), quota), []).append(c)
    found: dict[int, Coreset] = {}
    for (_, quota), group in alike.items():
        where = torch.stack([members[c] for c in group])
        chosen = one(gradients[where], quota)
        indices = where.gather(1, chosen.indices)
        found.update((c, Coreset(indices[i], chosen.weights[i])) for i, c in enumerate(group))
    return Coreset(*(torch.cat([found[c][part] for c in range(len(members))]) for part in (0, 1)))


def select_batches(
    gradients: torch.Tensor,
    k: int,
    *,
    batch_size: int,
    method: str,
    generator: torch.Generator | int,
    **options: Any,
) -> Coreset:
    """Choose whole batches of a random partition by their summed gradients.

    Parameters
    ----------
    gradients
        (n, p).
    k, batch_size
        k examples in k / batch_size batches; both n and k are multiples of batch_size.
    method, options
        As in ``select``.
    generator
        Of the partition (and of ``"random"``).

    Returns
    -------
    Coreset (k,), batch by batch; every member has its batch's weight.

    Raises
    ------
    ValueError
        k or n not a multiple of batch_size, and as ``select``.

    Notes
    -----
    Source: Killamsetty et al., arXiv:2103.00123, section 4 (per-batch approximation, GRAD-MATCHPB).

    Examples
    --------
    >>> select_batches(torch.eye(6), 4, batch_size=2, method="craig", generator=0).weights.sum().item()
    6.0
    """
    _validate.choice("method", method, METHODS)
    gradients = check_gradients(gradients)
    n = _one_problem(gradients)
    k, batch_size = check_k(k, n), _validate.positive_int("batch_size", batch_size)
    if n % batch_size or k % batch_size:
        raise ValueError(f"n and k must be multiples of batch_size {batch_size}, got {n} and {k}")
    generator = check_generator(generator)
    order = torch.randperm(n, generator=generator, device=generator.device)
    order = order.reshape(-1, batch_size).to(gradients.device)
    chosen = _selector(method, generator, options)(gradients[order].sum(1), k // batch_size)
    return Coreset(order[chosen.indices].flatten(), chosen.weights.repeat_interleave(batch_size))


def _one_problem(gradients: torch.Tensor) -> int:
    if gradients.ndim != 2:
        raise ValueError(f"gradients must have shape (n, p) beside labels or batches, got {tuple(gradients.shape)}")
    return len(gradients)


def check_options(method: str, options: dict[str, Any]) -> None:
    """Raise ``ValueError`` for options that the method does not know, and for values that it refuses."""
    one = random if method == "random" else SELECTORS[method]
    known = set(inspect.signature(one).parameters) - {"gradients", "k", "generator"}
    unknown = [name for name in options if name not in known]
    if unknown:
        takes = f"takes {', '.join(sorted(known))}" if known else "takes none"
        raise ValueError(f"unknown options for {method}: {', '.join(unknown)}; it {takes}")
    if getattr(options.get("target"), "ndim", 1) > 1:
        raise ValueError(f"target must be one vector (p,) here, got {tuple(options['target'].shape)}")
    values = {name: value for name, value in options.items() if name not in ("target", "refresh")}
    if values:  # refused now, not after the epochs before the first selection
        one(torch.ones(1, 1, device="cpu"), 1, **values)


def check_per_class(options: dict[str, Any]) -> None:
    """Raise ``ValueError`` for options that are of all examples, where each class is matched to its own sum."""
    for name in ("target", "refresh"):
        if options.get(name) is not None:
            raise ValueError(f"{name} is of all examples, and a class is matched to its own sum: pass per_class=False")


def _selector(method: str, generator: Any, options: dict[str, Any]) -> Callable[[torch.Tensor, int], Coreset]:
    check_options(method, options)
    if method == "random":
        generator = check_generator(generator)
        return lambda gradients, k: random(gradients, k, generator=generator, **options)
    return lambda gradients, k: SELECTORS[method](gradients, k, **options)
