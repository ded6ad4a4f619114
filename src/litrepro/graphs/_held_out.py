"""Real data, where no true graph is known: estimates are judged by the likelihood of samples that were held out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from litrepro import _validate
from litrepro.graphs import _arguments
from litrepro.graphs._classic import classic_graphical_lasso
from litrepro.graphs._operators import laplacian, laplacian_adjoint
from litrepro.graphs._signals import contrast_loss, sample_covariance
from litrepro.graphs._spectral_lasso import spectral_graphical_lasso

if TYPE_CHECKING:
    import pandas as pd


def common_scale(S: torch.Tensor, weight: float = 1 / 3) -> torch.Tensor:
    """The factor c (...) by which to multiply a covariance so that its best complete graph has edges of ``weight``.

    The relaxation of objective (1) is not free of units: beta weighs squared eigenvalues against their logarithms. With
    weights of the size that the graphs of the experiments have, one beta serves all data.

    Raises ``ValueError`` where S (..., p, p) is not square, symmetric and finite, or weight <= 0.

    Examples
    --------
    >>> import torch
    >>> S = torch.eye(4, dtype=torch.float64)
    >>> bool((common_scale(10 * S) - common_scale(S) / 10).abs() < 1e-9)  # it takes the units out
    True
    """
    _arguments.symmetric("S", S)
    weight = _validate.real("weight", weight, 0, open_low=True)
    return (S.shape[-1] - 1) / laplacian_adjoint(S).sum(-1) / weight


def nested_covariances(groups: Sequence[torch.Tensor], sizes: Sequence[int]) -> torch.Tensor:
    """Covariances (N, T, p, p) of the first n samples of each of T groups (., p), for N sizes n.

    Raises ``ValueError`` where a group has fewer samples than the largest size, for groups that are not matrices of one
    width and dtype, and where there is no group or no size.

    Examples
    --------
    >>> import torch
    >>> samples = torch.randn(20, 3, dtype=torch.float64)
    >>> S = nested_covariances([samples, samples], [10, 20])
    >>> S.shape, torch.allclose(S[1, 0], samples.mT @ samples / 20)
    (torch.Size([2, 2, 3, 3]), True)
    """
    sizes = [_validate.positive_int("sizes", n) for n in _validate.sequence("sizes", sizes)]
    groups = [_validate.float_tensor("group", group, 2) for group in _validate.sequence("groups", groups)]
    shapes = [tuple(group.shape) for group in groups]
    if any(len(shape) != 2 or shape[1] != shapes[0][1] for shape in shapes):
        raise ValueError(f"groups must be matrices (., p) of one width p, got shapes {shapes}")
    _validate.same_kind(**{f"group {k}": group for k, group in enumerate(groups)})
    short = min(len(group) for group in groups)
    if short < max(sizes):
        raise ValueError(f"every group needs {max(sizes)} samples, the smallest has {short}")
    return torch.stack([torch.stack([sample_covariance(group[:n]) for group in groups]) for n in sizes])


def held_out_sweep(
    train: torch.Tensor,
    sizes: Sequence[int],
    held: Mapping[str, torch.Tensor],
    settings: Sequence[Mapping[str, Any]],
    *,
    classic: Sequence[float] = (),
    **options: Any,
) -> pd.DataFrame:
    """Fit every setting to every covariance and report the ``contrast_loss`` on held-out ones; a tidy table.

    Parameters
    ----------
    train, sizes
        Covariances (N, T, p, p) of N sample sizes and T groups, and the sizes.
    held
        From a name (``"validation"``, ``"test"``) to covariances (T, p, p); one column of losses each.
    settings
        As in ``spectral_sweep``: ``prior``, ``mu`` (p,) or (T, p), ``gamma``, ``alpha``, ``beta``.
    classic
        Penalties of the classic lasso with a free level, relative to the mean variance.
    options
        For ``spectral_graphical_lasso``; a missed tolerance does not warn, the residual is in the table.

    Returns
    -------
    Columns n, trial, method, prior, alpha, gamma, residual, and one per entry of ``held``.

    Raises ``ValueError`` for covariances that are not symmetric, finite float32 or float64 of these shapes and of one
    dtype, settings without mu or with weights that are no numbers, neither settings nor penalties.

    Examples
    --------
    >>> import torch
    >>> X = torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> S = nested_covariances([X], [50, 200])
    >>> mu = torch.arange(4, dtype=torch.float64)
    >>> settings = [{"prior": "line", "mu": mu, "gamma": 0.0, "alpha": 0.0, "beta": 1.0}]
    >>> table = held_out_sweep(S, [50, 200], {"test": S[1]}, settings, max_iter=50)
    >>> len(table), table["n"].tolist()
    (2, [50, 200])
    """
    import pandas as pd

    _arguments.covariances("train", train, 4)
    p, trials = train.shape[-1], train.shape[1]
    sizes = [_validate.positive_int("sizes", n) for n in _validate.sequence("sizes", sizes)]
    if len(sizes) != len(train):
        raise ValueError(f"sizes must be the {len(train)} of train (N, T, p, p), got {len(sizes)}")
    if not isinstance(held, Mapping):
        raise ValueError(f"held must map names to covariances, got {type(held).__name__}")
    for name, S in held.items():
        _arguments.covariances(f"held[{name!r}]", S, 3)
        if S.shape != train.shape[1:]:
            raise ValueError(f"held[{name!r}] must have shape {tuple(train.shape[1:])}, got {tuple(S.shape)}")
        _validate.same_kind(train=train, **{f"held[{name!r}]": S})
    settings = _arguments.settings("settings", settings, (), trials, p, 0)
    classic = _arguments.positive("classic", classic, 0)
    if not settings and not classic:
        raise ValueError("settings and classic must name at least one estimate, got none")
    every = [{"alpha": 0.0, "beta": 0.5, "gamma": 0.0} | each for each in settings]
    fitted = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if every:  # all settings in one batch
            mu = torch.stack([each["mu"].to(train).expand(trials, p) for each in every])[:, None]
            column = {
                name: train.new_tensor([float(each[name]) for each in every])[:, None, None]
                for name in ("alpha", "beta", "gamma")
            }
            found = spectral_graphical_lasso(train, mu, **column, **options)
            for each, w, residual in zip(every, found.w, found.residual):
                kind = "laplacian" if options.get("edges") is None else "iht"
                names = {"method": kind} | {key: value for key, value in each.items() if key != "mu"}
                fitted.append((names, laplacian(w), residual))
        scale = train.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        for alpha in classic:
            found = classic_graphical_lasso(train / scale + 10.0 / p, alpha, tol=1e-4)
            names = {"method": "classic", "prior": "none", "alpha": alpha, "beta": 0.0, "gamma": 0.0}
            fitted.append((names, found.precision / scale, found.residual))
    index = {"n": [n for n in sizes for _ in range(trials)], "trial": list(range(trials)) * len(sizes)}
    frames = []
    for names, precision, residual in fitted:
        losses = {name: contrast_loss(precision, S).flatten().tolist() for name, S in held.items()}
        frame = pd.DataFrame(index | {"residual": residual.flatten().tolist()} | losses)
        frames.append(frame.assign(**names))
    return pd.concat(frames, ignore_index=True)
