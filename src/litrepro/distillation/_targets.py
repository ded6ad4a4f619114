"""Soft targets without a teacher, and what a composite loss pulls towards."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.distillation import _arguments
from litrepro.distillation._profiles import check_peak


def smooth_labels(
    labels: torch.Tensor, num_classes: int, *, epsilon: float, prior: torch.Tensor | None = None
) -> torch.Tensor:
    """(1 - eps) e_y + eps u: label smoothing.

    Source: Szegedy et al., arXiv:1512.00567, section 7.

    Parameters
    ----------
    labels
        (...) integers in 0..K-1.
    num_classes
        K >= 2.
    epsilon
        In [0, 1]: a number, or a tensor, 0-dim or (...) with one for each label, whose values are not checked.
    prior
        The distribution u, (K,); None: uniform.

    Returns
    -------
    (..., K) float32. Raises ``ValueError`` for values out of range (where they can be looked at: not under ``vmap``),
    an epsilon that does not fit the labels and a prior that is no distribution over K classes.

    Examples
    --------
    >>> import torch
    >>> smooth_labels(torch.tensor([1]), 4, epsilon=0.2)
    tensor([[0.0500, 0.8500, 0.0500, 0.0500]])
    """
    num_classes = _validate.positive_int("num_classes", num_classes, 2)
    epsilon = _arguments.weight("epsilon", epsilon)
    _arguments.integer_labels(labels, num_classes)
    epsilon = _arguments.along_classes(_arguments.per_example("epsilon", epsilon, labels.shape))
    if prior is None:
        prior = torch.full((num_classes,), 1 / num_classes, dtype=torch.float64, device=labels.device)
    try:
        prior = torch.as_tensor(prior, device=labels.device).double()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"prior must be a distribution over {num_classes} classes, got {prior!r}") from None
    if prior.shape != (num_classes,):
        raise ValueError(f"prior must have shape ({num_classes},), got {tuple(prior.shape)}")
    if _validate.known((prior >= 0).all() & ((prior.sum() - 1).abs() <= 1e-5)) is False:
        raise ValueError(f"prior must be a distribution, got minimum {prior.min():g} and sum {prior.sum():g}")
    hot = _arguments.one_hot(labels, num_classes).double()
    if isinstance(epsilon, torch.Tensor):
        epsilon = epsilon.double()
    return ((1 - epsilon) * hot + epsilon * prior).float()


def uniform_targets(labels: torch.Tensor, num_classes: int, *, peak: float) -> torch.Tensor:
    """``peak`` on the true class, (1 - peak)/(K - 1) on every other: ``smooth_labels`` with (1 - peak) K/(K - 1).

    Source: Yuan et al., arXiv:1909.11723, equation 8 (the "virtual teacher").

    Parameters
    ----------
    labels
        (...) integers in 0..K-1.
    num_classes
        K >= 2.
    peak
        In [1/K, 1]: a number, or a tensor, 0-dim or (...) with one for each label, whose values are not checked.

    Returns
    -------
    (..., K) float32. Raises ``ValueError`` for values out of range (where they can be looked at: not under ``vmap``)
    and a peak that does not fit the labels.

    Examples
    --------
    >>> import torch
    >>> uniform_targets(torch.tensor([0]), 3, peak=0.9)
    tensor([[0.9000, 0.0500, 0.0500]])
    """
    if isinstance(peak, torch.Tensor):
        num_classes, peak = _validate.positive_int("num_classes", num_classes, 2), peak.double()
    else:
        num_classes, peak = check_peak(num_classes, peak)
    epsilon = (1 - peak) * num_classes / (num_classes - 1)
    epsilon = epsilon.clamp(max=1.0) if isinstance(epsilon, torch.Tensor) else min(epsilon, 1.0)
    return smooth_labels(labels, num_classes, epsilon=epsilon)


def ranked_targets(labels: torch.Tensor, scores: torch.Tensor, profile: torch.Tensor) -> torch.Tensor:
    """A profile laid over the classes: the true class first, the others by decreasing score.

    Parameters
    ----------
    labels
        (...) integers in 0..K-1.
    scores
        (..., K), or broadcasting to it: logits of an earlier run, similarities of classes, minus the class's number.
        Among equal scores the lower class comes first.
    profile
        (K,) probabilities by rank, see ``geometric_profile`` and ``gap_profile``.

    Returns
    -------
    (..., K) in the profile's dtype. Raises ``ValueError`` for a profile or scores of another length, and, where values
    can be looked at (not under ``vmap``), NaN among the scores and labels outside 0..K-1.

    Examples
    --------
    >>> import torch
    >>> ranked_targets(torch.tensor([2]), torch.tensor([[0.1, 0.7, 5.0]]), torch.tensor([0.8, 0.15, 0.05]))
    tensor([[0.0500, 0.1500, 0.8000]])
    """
    if not isinstance(scores, torch.Tensor) or scores.is_complex() or scores.ndim < 1:
        raise ValueError(
            f"scores must be a real tensor (..., K), got {getattr(scores, 'dtype', type(scores).__name__)}"
        )
    K = scores.shape[-1]
    if _validate.known(scores.isnan().any()):
        raise ValueError("scores must have an order, got NaN")
    if not isinstance(profile, torch.Tensor) or profile.is_complex() or profile.shape != (K,):
        raise ValueError(f"profile must have shape ({K},), got {getattr(profile, 'shape', type(profile).__name__)}")
    _arguments.integer_labels(labels, K)
    try:
        scores = scores.expand(*labels.shape, K)
    except RuntimeError:
        expected = tuple(labels.shape) + (K,)
        raise ValueError(f"scores must broadcast to {expected}, got {tuple(scores.shape)}") from None
    order = scores.argsort(dim=-1, descending=True, stable=True)
    # A second stable sort brings the label to the front, whatever its score (an infinite one of another class too).
    front = (order != labels[..., None]).to(torch.uint8).argsort(dim=-1, stable=True)
    order = order.gather(-1, front)
    values = profile.to(labels.device).expand(order.shape)
    return torch.zeros_like(values).scatter(-1, order, values)


def shuffle_wrong_classes(values: torch.Tensor, labels: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Permute the entries of the wrong classes at random, row by row; the entry of the label stays.

    The control for dark knowledge: the targets keep their entropy and their peak, and lose which class resembles which.

    Parameters
    ----------
    values
        (..., K) probabilities or logits.
    labels
        (...) integers in 0..K-1.
    generator
        Source of the permutations, on the CPU.

    Returns
    -------
    (..., K). Raises ``ValueError`` for unequal shapes, labels outside 0..K-1, and no generator.

    Examples
    --------
    >>> import torch
    >>> t = torch.tensor([[0.7, 0.2, 0.1, 0.0]])
    >>> mixed = shuffle_wrong_classes(t, torch.tensor([0]), generator=torch.Generator().manual_seed(0))
    >>> bool(mixed[0, 0] == t[0, 0]), bool((mixed.sort()[0] == t.sort()[0]).all())
    (True, True)
    """
    _validate.float_tensor("values", values, 1)
    _arguments.matching_labels(values, labels)
    _arguments.integer_labels(labels, values.shape[-1])
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {generator!r}")
    K = values.shape[-1]
    own = _arguments.one_hot(labels, K)
    keys = torch.rand(values.shape, generator=generator, device=generator.device)
    keys = keys.to(values.device).masked_fill(own, -1.0)
    taken = keys.argsort(-1)  # the label first, the others in random order
    placed = (~own).to(torch.uint8).argsort(dim=-1, stable=True)  # the label first, the others in their order
    return torch.zeros_like(values).scatter(-1, placed, values.gather(-1, taken))


def composite_optimum(
    labels: torch.Tensor, soft: torch.Tensor, *, alpha: float, temperature: float, squared: bool = False
) -> torch.Tensor:
    """The p at which (1 - alpha)(p - q) + alpha c (p - q_soft) vanishes: c = 1/T, or T if the loss carries T^2.

    With c = 1/T it is (T (1 - alpha) q + alpha q_soft)/(T (1 - alpha) + alpha); the review (section 8) prints the form
    of c = T. Both take the student's tempered softmax for p, as the review does.

    Source: the review, section 8, corrected; Ding et al., arXiv:1908.05474, section 3.

    Parameters
    ----------
    labels
        (...) integers in 0..K-1.
    soft
        q_soft (..., K), or of a shape that broadcasts to it, such as (K,).
    alpha, temperature
        In [0, 1] (weight of the soft term); > 0. Numbers, or tensors, 0-dim or (...) with one for each label, whose
        values are not checked.

    Returns
    -------
    (..., K) in the dtype of ``soft``. Raises ``ValueError`` for values out of range (labels are not looked at under
    ``vmap``) and shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> composite_optimum(torch.tensor([0]), torch.tensor([[0.5, 0.5]]), alpha=0.5, temperature=1.0)
    tensor([[0.7500, 0.2500]])
    """
    alpha, T = _arguments.weight("alpha", alpha), _arguments.temperature(temperature)
    _validate.float_tensor("soft", soft, 1)
    K = soft.shape[-1]
    _arguments.integer_labels(labels, K)
    try:
        soft = soft.expand(*labels.shape, K)
    except RuntimeError:
        raise ValueError(f"soft must broadcast to {(*labels.shape, K)}, got {tuple(soft.shape)}") from None
    alpha, T = (_arguments.per_example(*each, labels.shape) for each in (("alpha", alpha), ("temperature", T)))
    alpha, T = _arguments.along_classes(alpha), _arguments.along_classes(T)
    c = T if squared else 1 / T
    hot = _arguments.one_hot(labels, K).to(soft.dtype)
    return (((1 - alpha) * hot + alpha * c * soft) / (1 - alpha + alpha * c)).to(soft.dtype)
