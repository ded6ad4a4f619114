"""Losses with soft targets: one value per example, differentiable, fit for ``torch.func.vmap``."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.distillation import _arguments

Number = float | torch.Tensor


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, *, temperature: Number = 1.0) -> torch.Tensor:
    """Cross-entropy -sum_i t_i log softmax(z/T)_i.

    Source: Hinton, Vinyals and Dean, arXiv:1503.02531, section 2.

    Parameters
    ----------
    logits
        (..., K).
    targets
        Distributions over the classes, (..., K) or of a shape that broadcasts to it.
    temperature
        T > 0: a number, or a tensor, 0-dim or (...) with one for each example, whose values are not checked.

    Returns
    -------
    (...). Raises ``ValueError`` for T <= 0, a tensor of another shape and another number of classes.

    Examples
    --------
    >>> import torch
    >>> round(soft_cross_entropy(torch.zeros(4), torch.full((4,), 0.25)).item(), 4)  # log 4
    1.3863
    """
    T = _arguments.temperature(temperature)
    _arguments.same_classes(logits, targets, "targets")
    T = _arguments.per_example("temperature", T, logits.shape[:-1])
    scores = (logits / _arguments.along_classes(T)).log_softmax(-1)
    return -(targets.to(scores.dtype) * scores).sum(-1)


def kl_divergence(logits: torch.Tensor, targets: torch.Tensor, *, temperature: Number = 1.0) -> torch.Tensor:
    """KL(t || softmax(z/T)): ``soft_cross_entropy`` less the entropy of the targets, with 0 log 0 = 0.

    Arguments, result and errors as ``soft_cross_entropy``.

    Examples
    --------
    >>> import torch
    >>> round(kl_divergence(torch.zeros(4), torch.tensor([1.0, 0, 0, 0])).item(), 4)
    1.3863
    """
    cross = soft_cross_entropy(logits, targets, temperature=temperature)
    return cross + _negative_entropy(targets.to(cross.dtype))


def mimic_loss(logits: torch.Tensor, teacher_logits: torch.Tensor, *, center: bool = False) -> torch.Tensor:
    """Half the squared distance of the logits, 1/2 |z - v|^2.

    Source: Ba and Caruana, arXiv:1312.6184, equation 1.

    Parameters
    ----------
    logits, teacher_logits
        (..., K), of one shape.
    center
        Subtract each row's mean from both: a softmax does not see it.

    Returns
    -------
    (...). Raises ``ValueError`` for unequal shapes.

    Examples
    --------
    >>> import torch
    >>> mimic_loss(torch.ones(3), torch.zeros(3)).item(), mimic_loss(torch.ones(3), torch.zeros(3), center=True).item()
    (1.5, 0.0)
    """
    _same_shape(logits, teacher_logits)
    difference = logits - teacher_logits
    if center:
        difference = difference - difference.mean(-1, keepdim=True)
    return difference.square().sum(-1) / 2


def distillation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    teacher_logits: torch.Tensor,
    *,
    alpha: Number = 0.1,
    temperature: Number = 4.0,
) -> torch.Tensor:
    """alpha CE(y, softmax(z)) + (1 - alpha) T^2 CE(softmax(v/T), softmax(z/T)).

    The factor T^2 keeps the gradient of the soft term at one scale for all T. Here, as in section 3 of the review,
    alpha weighs the *hard* term; ``regularized_loss`` has it on the soft one.

    Source: Hinton, Vinyals and Dean, arXiv:1503.02531, section 2.

    Parameters
    ----------
    logits, teacher_logits
        (..., K), of one shape. Gradients flow to both.
    labels
        (...) integers in 0..K-1.
    alpha, temperature
        In [0, 1]; > 0. Numbers, or tensors, 0-dim or (...) with one for each example, whose values are not checked.

    Returns
    -------
    (...). Raises ``ValueError`` for values out of range (labels are looked at on the CPU, and not under ``vmap``) and
    shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> z, v, y = torch.zeros(2, 5), torch.randn(2, 5), torch.tensor([0, 4])
    >>> distillation_loss(z, y, v, alpha=1.0).numpy().round(4)  # log 5
    array([1.6094, 1.6094], dtype=float32)
    """
    alpha, T = _arguments.weight("alpha", alpha), _arguments.temperature(temperature)
    _same_shape(logits, teacher_logits)
    _arguments.matching_labels(logits, labels)
    alpha, T = (_arguments.per_example(*each, labels.shape) for each in (("alpha", alpha), ("temperature", T)))
    soft = soft_cross_entropy(logits, (teacher_logits / _arguments.along_classes(T)).softmax(-1), temperature=T)
    return alpha * hard_cross_entropy(logits, labels) + (1 - alpha) * T**2 * soft


def regularized_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    targets: torch.Tensor,
    *,
    alpha: Number = 0.1,
    temperature: Number = 1.0,
    scale: Number = 1.0,
) -> torch.Tensor:
    """(1 - alpha) CE(y, softmax(z)) + alpha scale KL(targets || softmax(z/T)).

    Label smoothing at T = 1 with uniform targets (up to a constant); teacher-free distillation at T > 1 with scale T^2;
    distillation with a teacher's tempered softmax as targets. alpha weighs the *soft* term.

    Source: Yuan et al., arXiv:1909.11723, equations 2, 3 and 9.

    Parameters
    ----------
    logits
        (..., K).
    labels
        (...) integers in 0..K-1.
    targets
        Distributions, (..., K) or broadcasting to it.
    alpha, temperature, scale
        In [0, 1]; > 0; >= 0. Numbers, or tensors, 0-dim or (...) with one for each example, whose values are not
        checked.

    Returns
    -------
    (...). Raises ``ValueError`` for values out of range (labels are looked at on the CPU, and not under ``vmap``) and
    shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> z, y = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    >>> smooth = torch.nn.functional.cross_entropy(z, y, label_smoothing=0.1).item()
    >>> ours = regularized_loss(z, y, torch.full((3,), 1 / 3)).item()
    >>> round(smooth - ours, 4)  # 0.1 log 3
    0.1099
    """
    alpha, T = _arguments.weight("alpha", alpha), _arguments.temperature(temperature)
    if not isinstance(scale, torch.Tensor):
        scale = _validate.real("scale", scale, 0)
    _arguments.same_classes(logits, targets, "targets")
    _arguments.matching_labels(logits, labels)
    given = (("alpha", alpha), ("temperature", T), ("scale", scale))
    alpha, T, scale = (_arguments.per_example(*each, labels.shape) for each in given)
    scores = logits.log_softmax(-1)
    hard = -scores.gather(-1, labels.long()[..., None])[..., 0]
    if isinstance(T, torch.Tensor) or T != 1:  # at T = 1 both terms share one softmax
        scores = (logits / _arguments.along_classes(T)).log_softmax(-1)
    targets = targets.to(scores.dtype)
    soft = _negative_entropy(targets) - (targets * scores).sum(-1)
    return (1 - alpha) * hard + alpha * scale * soft


def hard_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log softmax(z) at the label, (...)."""
    return -logits.log_softmax(-1).gather(-1, labels.long()[..., None])[..., 0]


def _negative_entropy(targets: torch.Tensor) -> torch.Tensor:
    """sum_i t_i log t_i, with log 1 where the target is 0: neither the value nor the gradient becomes nan."""
    return (targets * torch.where(targets > 0, targets, 1).log()).sum(-1)


def _same_shape(logits: torch.Tensor, teacher_logits: torch.Tensor) -> None:
    _validate.float_tensor("logits", logits, 1)
    _validate.float_tensor("teacher_logits", teacher_logits, 1)
    if logits.shape != teacher_logits.shape:
        raise ValueError(
            f"teacher_logits must have the shape of logits, {tuple(logits.shape)}, got {tuple(teacher_logits.shape)}"
        )
