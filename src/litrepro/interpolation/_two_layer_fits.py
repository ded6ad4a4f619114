"""How well two-layer networks fit examples of their own within some numbers of epochs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.interpolation import _arguments
from litrepro.interpolation._two_layer_run import NAMES, train_members
from litrepro.nets import mlp


def two_layer_training_errors(
    x: torch.Tensor,
    labels: torch.Tensor,
    hidden: int,
    epochs: Sequence[int],
    *,
    seeds: Sequence[int],
    lr: float = 0.03,
    momentum: float = 0.9,
    batch_size: int = 10,
    num_classes: int = 10,
) -> torch.Tensor:
    """Share of its own examples that each of M two-layer ReLU networks gets wrong, after several numbers of epochs.

    All are trained at once on the cross-entropy. On a grid of n this is what ``effective_model_complexity`` needs.

    Parameters
    ----------
    x
        (M, n, d) examples of every network, float32 or float64.
    labels
        (M, n) integers in 0..num_classes-1.
    hidden
        Hidden units.
    epochs
        T increasing numbers >= 1; the last is the length of the run.
    seeds
        M, of initial weights and order of the examples; networks may share one.
    lr, momentum, batch_size
        As in ``training.fit``.

    Returns
    -------
    (M, T) float64; nan for a network that has diverged.

    Raises
    ------
    ValueError
        Shapes that do not fit, examples that are not finite or of another dtype, labels outside the range, epochs that
        do not increase, sizes < 1.

    Warns
    -----
    ConvergenceWarning
        Networks that diverged.

    Source: Nakkiran et al. 2019, arXiv:1912.02292, definition 1 (the training procedure).

    Examples
    --------
    >>> x = torch.tensor([[[-1.0], [1.0]]])
    >>> two_layer_training_errors(x, torch.tensor([[0, 1]]), 4, [1, 200], seeds=[0], num_classes=2)[0, 1].item()
    0.0
    """
    hidden, num_classes = _validate.positive_int("hidden", hidden), _validate.positive_int("num_classes", num_classes)
    batch_size = _validate.positive_int("batch_size", batch_size)
    lengths = _lengths(epochs)
    seeds = [_validate.seed("seeds", value) for value in _validate.sequence("seeds", seeds)]
    lr, momentum = _validate.real("lr", lr, 0), _validate.real("momentum", momentum, 0)
    labels = _examples(x, labels, len(seeds), num_classes)
    models = [mlp(x.shape[-1], [hidden], num_classes, seed=seed) for seed in seeds]
    weights = [torch.stack([model.get_parameter(name).detach() for model in models]).to(x) for name in NAMES]
    hot = functional.one_hot(labels, num_classes).to(x)
    found = torch.full((len(seeds), len(lengths)), torch.nan, dtype=torch.float64, device=x.device)
    training = train_members(
        weights, x, hot, seeds, epochs=lengths[-1], batch_size=batch_size, lr=lr, momentum=momentum, schedule=None,
        loss="cross_entropy",
    )  # fmt: skip
    bad: list[int] = []
    for epoch, lost in enumerate(training, 1):
        bad += lost
        if epoch in lengths:
            found[:, lengths.index(epoch)] = _errors(weights, x, labels)
            found[bad, lengths.index(epoch)] = torch.nan
    bad = found[:, -1].isnan().nonzero()[:, 0].tolist()  # the last step of all may be the one that diverges
    if bad:
        warnings.warn(f"loss not finite: member {', '.join(map(str, bad))} stops", ConvergenceWarning, 2)
    return found


def _errors(weights: list[torch.Tensor], x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Share of wrong answers (M,); nan where outputs are."""
    inner, inner_bias, outer, outer_bias = weights
    hidden = torch.baddbmm(inner_bias[:, None], x, inner.mT).relu_()
    scores = torch.baddbmm(outer_bias[:, None], hidden, outer.mT)
    wrong = (scores.argmax(-1) != labels).double()
    return wrong.masked_fill(~scores.isfinite().all(-1), torch.nan).mean(1)


def _lengths(epochs: Sequence[int]) -> list[int]:
    """Numbers of epochs, increasing."""
    found = _arguments.integers("epochs", epochs, 1).tolist()
    if not found or sorted(set(found)) != found:
        raise ValueError(f"epochs must be at least one number, increasing, got {found}")
    return found


def _examples(x: torch.Tensor, labels: torch.Tensor, members: int, num_classes: int) -> torch.Tensor:
    """The labels as int64, if they and the examples are what M networks can be trained on."""
    _validate.float_tensor("x", x, 3)
    _arguments.precision(x.dtype)
    _validate.integer_tensor("labels", labels, 2)
    if x.ndim != 3 or x.shape[:2] != labels.shape or len(x) != members or 0 in x.shape:
        expected = f"x (M, n, d) and labels (M, n) must fit the {members} seeds"
        raise ValueError(f"{expected}, got {tuple(x.shape)} and {tuple(labels.shape)}")
    _validate.finite(x=x)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels must lie in 0..{num_classes - 1}, got {low} to {high}")
    return labels.long().to(x.device)
