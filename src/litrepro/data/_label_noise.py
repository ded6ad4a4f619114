"""Wrong labels, on purpose."""

from __future__ import annotations

import torch

from litrepro import _validate


def with_label_noise(
    labels: torch.Tensor, p: float, *, num_classes: int, generator: torch.Generator | int
) -> torch.Tensor:
    """Replace every label with probability ``p`` by a uniformly random other one.

    With generators in one state, the labels changed at a smaller p are among those changed at a larger one.

    Parameters
    ----------
    labels
        Integers in 0..num_classes-1, any shape.
    p
        Probability in [0, 1] of a wrong label.
    num_classes
        Number of classes; at least 2 if p > 0.
    generator
        Source of randomness, or a seed (0 for None; the same draws on every device).

    Returns
    -------
    A new tensor like ``labels``.

    Raises
    ------
    ValueError
        p outside [0, 1], a label outside 0..num_classes-1, one class and p > 0, labels that are not integers or of a
        dtype that does not hold num_classes-1, a generator that is neither one nor a seed.

    Source: Nakkiran et al. 2019, arXiv:1912.02292, section 4.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> with_label_noise(torch.tensor([0, 1, 1]), 1.0, num_classes=2, generator=generator).tolist()
    [1, 0, 0]
    """
    if not isinstance(labels, torch.Tensor) or labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise ValueError(f"labels must be an integer tensor, got {getattr(labels, 'dtype', type(labels).__name__)}")
    p, num_classes = _validate.real("p", p, 0, 1), _validate.positive_int("num_classes", num_classes)
    if labels.dtype == torch.bool:
        raise ValueError(f"labels must be an integer tensor, got {labels.dtype}")
    generator = _validate.random_source("generator", generator, "cpu")
    if num_classes - 1 > torch.iinfo(labels.dtype).max:
        raise ValueError(f"labels must have a dtype that holds 0..{num_classes - 1}, got {labels.dtype}")
    values = labels.long()  # torch has no minimum of unsigned integers of more than eight bits
    if labels.numel() and (int(values.min()) < 0 or int(values.max()) >= num_classes):
        got = f"{int(values.min())} to {int(values.max())}"
        raise ValueError(f"labels must lie in 0..{num_classes - 1}, got {got}")
    if num_classes == 1:
        if p > 0:
            raise ValueError("num_classes must be at least 2 for a wrong label to exist, got 1")
        return labels.clone()
    where = {"generator": generator, "device": generator.device}
    wrong = torch.rand(labels.shape, **where) < p
    shift = torch.randint(1, num_classes, labels.shape, **where)
    wrong, shift = wrong.to(labels.device), shift.to(labels.device)
    return torch.where(wrong, ((values + shift) % num_classes).to(labels.dtype), labels)
