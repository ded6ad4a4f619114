"""Cross-validation by composition, precision at the top of a ranking, conformal lower bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from litrepro import _validate
from litrepro.materials import _arguments


def grouped_folds(groups: Sequence[Any], folds: int = 5, *, seed: int = 0) -> torch.Tensor:
    """A fold 0 .. folds - 1 for each of N rows, so that rows of one group share a fold: (N,) int64.

    Groups are dealt in random order, each to the fold with the fewest rows, so folds are about equal in size.
    Raises ``ValueError`` for fewer groups than folds, fewer than two folds, and groups that cannot be told apart (nan,
    NA).

    Examples
    --------
    >>> groups = ["a", "a", "b", "c", "c", "d"]
    >>> folds = grouped_folds(groups, 2)
    >>> bool(folds[0] == folds[1]), bool(folds[3] == folds[4]), folds.unique().tolist()
    (True, True, [0, 1])
    """
    folds = _validate.positive_int("folds", folds, 2)
    # Elements of a tensor are equal without hashing alike: each would be a group of its own.
    groups = _validate.sequence("groups", groups.tolist() if hasattr(groups, "tolist") else groups)
    rows: dict[Any, list[int]] = {}
    for row, group in enumerate(groups):
        if not _names_itself(group):
            raise ValueError(f"groups must hold names or numbers, got {group!r}")
        rows.setdefault(group, []).append(row)
    if len(rows) < folds:
        raise ValueError(f"there must be at least as many groups as folds, got {len(rows)} groups, {folds} folds")
    generator = torch.Generator("cpu").manual_seed(_validate.seed("seed", seed))
    members = list(rows.values())
    sizes, fold = [0] * folds, torch.zeros(sum(map(len, members)), dtype=torch.int64, device="cpu")
    for place in torch.randperm(len(members), generator=generator, device="cpu").tolist():
        target = sizes.index(min(sizes))
        fold[members[place]] = target
        sizes[target] += len(members[place])
    return fold


def _names_itself(group: Any) -> bool:
    try:
        hash(group)
        return bool(group == group)
    except (TypeError, ValueError):  # a list, pandas' NA
        return False


def grouped_predictions(
    fit: Callable[[Any, Any], Callable[[Any], Any]], x: torch.Tensor, y: torch.Tensor, folds: torch.Tensor
) -> torch.Tensor:
    """Out-of-fold predictions: each row is predicted by a model fitted to the other folds.

    Parameters
    ----------
    fit
        From numpy arrays (x, y) of the training rows to a function that predicts, x -> y.
    x, y, folds
        (N, d), (N,) and (N,) int64.

    Returns
    -------
    (N,) in the dtype of y. Raises ``ValueError`` if the lengths differ, for a single fold, y that is not floating,
    tensors that numpy cannot hold (bfloat16, on a GPU), and a model that does not predict one number per row.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.zeros(4, 1), torch.tensor([1.0, 1.0, 3.0, 3.0])
    >>> mean = lambda x, y: lambda new: 0 * new[:, 0] + y.mean()
    >>> grouped_predictions(mean, x, y, torch.tensor([0, 0, 1, 1]))  # from the mean of the other fold
    tensor([3., 3., 1., 1.])
    """
    _validate.function("fit", fit)
    if not isinstance(x, torch.Tensor) or _arguments.numbers("x", x).ndim < 1:
        raise ValueError(f"x must be a tensor (N, d), got {type(x).__name__}")
    _validate.float_tensor("y", y, 1)
    _validate.integer_tensor("folds", folds, 1)
    if y.ndim != 1 or not len(x) == len(y) or folds.shape != y.shape:
        raise ValueError(f"x, y and folds must have one length, got {len(x)}, {tuple(y.shape)}, {tuple(folds.shape)}")
    if len(folds.unique()) < 2:
        raise ValueError("folds must name at least two folds, else nothing is left to fit to")
    try:
        inputs, targets = x.detach().numpy(), y.detach().numpy()
    except TypeError as error:
        raise ValueError(f"x and y must be tensors that numpy can hold, got {x.dtype} and {y.dtype}: {error}") from None
    predicted = torch.full_like(y, torch.nan, requires_grad=False)
    for fold in folds.unique():
        held = folds == fold
        rest, own = (~held).numpy(), held.numpy()
        model = _validate.function("what fit returns", fit(inputs[rest], targets[rest]))
        found = torch.as_tensor(model(inputs[own]), dtype=y.dtype, device=y.device)
        if found.shape != y[held].shape:
            raise ValueError(f"the model must predict {tuple(y[held].shape)} numbers, got shape {tuple(found.shape)}")
        predicted[held] = found
    return predicted


def top_precision(score: torch.Tensor, true: torch.Tensor, top: int, share: float = 0.05) -> float:
    """Share of the ``top`` highest scores whose true value is among the highest ``share`` of all true values.

    ``score`` and ``true`` are (N,); ties at the quantile count as high. Raises ``ValueError`` for lengths that differ,
    nan, top > N or a share outside (0, 1).

    Examples
    --------
    >>> import torch
    >>> true = torch.arange(20.0)
    >>> top_precision(true, true, 2, share=0.1), top_precision(-true, true, 2, share=0.1)
    (1.0, 0.0)
    """
    top, share = _validate.positive_int("top", top), _validate.real("share", share, 0, 1, open_low=True, open_high=True)
    _arguments.vector("score", score), _arguments.vector("true", true)
    if len(score) != len(true) or top > len(true):
        raise ValueError(f"score and true must have one length >= top = {top}, got {len(score)} and {len(true)}")
    high = max(1, round(share * len(true)))
    level = true.sort(descending=True).values[high - 1]
    chosen = score.argsort(descending=True, stable=True)[:top]
    return (true[chosen] >= level).double().mean().item()


def conformal_lower(residual: torch.Tensor, predicted: torch.Tensor, level: float = 0.9) -> torch.Tensor:
    """Lower bounds that new values exceed with probability >= ``level`` if rows are exchangeable: (M,).

    Parameters
    ----------
    residual
        (N,) true minus predicted values of calibration rows that the model had not seen; either a margin that is
        constant, or residuals divided by a scale.
    predicted
        (M,) predictions; the bound is ``predicted`` plus the k-th smallest residual, k = floor((1 - level)(N + 1)), and
        -inf if there are too few residuals for the level.

    Raises ``ValueError`` for a level outside (0, 1), no residuals, nan among them, and dtypes that differ.

    Source: Vovk, Gammerman and Shafer 2005 (split conformal prediction, one side).

    Examples
    --------
    >>> import torch
    >>> residual = torch.arange(-5.0, 5.0)  # ten of them
    >>> conformal_lower(residual, torch.tensor([100.0, 200.0]), level=0.75)  # the second smallest
    tensor([ 96., 196.])
    """
    level = _validate.real("level", level, 0, 1, open_low=True, open_high=True)
    _validate.float_tensor("predicted", predicted)
    if not len(_arguments.vector("residual", _validate.float_tensor("residual", residual))):
        raise ValueError("residual must be a vector (N,) with N >= 1, got N = 0")
    _validate.same_kind(residual=residual, predicted=predicted)
    k = math.floor((1 - level) * (len(residual) + 1) + 1e-9)
    if k < 1:
        return torch.full_like(predicted, -torch.inf)
    return predicted + residual.sort().values[k - 1]
