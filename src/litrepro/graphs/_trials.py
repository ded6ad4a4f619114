"""Recovery experiments: graphs, their covariances at several sample sizes, and every solver on all of them at once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from litrepro import _validate
from litrepro.graphs import _arguments
from litrepro.graphs._classic import classic_graphical_lasso
from litrepro.graphs._graphons import Graphon, sample_graph
from litrepro.graphs._metrics import edge_average_precision, support_f1
from litrepro.graphs._operators import edge_weights, relative_error
from litrepro.graphs._signals import sample_covariance, sample_signals
from litrepro.graphs._spectral_lasso import spectral_graphical_lasso

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 20_000  # problems in one batched call


class Trials(NamedTuple):
    """Graphs with everything that an experiment needs; G graphs, N sample sizes.

    weights (G, m) true edge weights, covariances (N, G, p, p), sizes (the N sample sizes), degrees (G, p) the sorted
    degrees of a sibling of each graph and eigenvalues (G, p) its own Laplacian spectrum, both with first entry 0 so
    that they can serve as priors; isolated: how many disconnected graphs were drawn on the way.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import graphon
    >>> W = graphon("constant", prob=0.7)
    >>> trials = recovery_trials(W, 5, 3, [10, 100], generator=torch.Generator().manual_seed(0))
    >>> trials.weights.shape, trials.covariances.shape, trials.sizes
    (torch.Size([3, 10]), torch.Size([2, 3, 5, 5]), (10, 100))
    """

    weights: torch.Tensor
    covariances: torch.Tensor
    sizes: tuple[int, ...]
    degrees: torch.Tensor
    eigenvalues: torch.Tensor
    isolated: int


def recovery_trials(
    W: Graphon,
    p: int,
    graphs: int,
    sizes: Sequence[int],
    *,
    generator: torch.Generator | int | None,
    connected: bool = True,
    device: torch.device | str = "cpu",
) -> Trials:
    """Draw graphs from a graphon, a sibling for each, and nested samples of Gaussian signals (section 6).

    The samples of one graph are nested: the first n of one stream. With ``connected`` disconnected graphs are left out,
    since objective (1) has one zero eigenvalue; without it all graphs are kept. float64. ``generator`` is the source of
    randomness, or its seed (0 if None).

    Raises ``ValueError`` for p < 2, sizes that are not positive integers, or if 20 rounds of drawing do not yield
    enough.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import graphon
    >>> W = graphon("constant", prob=0.7)
    >>> trials = recovery_trials(W, 5, 3, [10, 100], generator=torch.Generator().manual_seed(0))
    >>> trials.degrees[:, 0].tolist(), bool((trials.eigenvalues[:, 1] > 1e-9).all())  # connected graphs
    ([0.0, 0.0, 0.0], True)
    """
    graphs = _validate.positive_int("graphs", graphs)
    p = _validate.positive_int("p", p, 2)
    sizes = tuple(_validate.positive_int("sizes", n) for n in _validate.sequence("sizes", sizes))
    generator = _validate.random_source("generator", generator)
    device = _validate.device("device", device)
    found, isolated, count = [], 0, 0
    for _ in range(20):
        A = sample_graph(W, p, batch=(graphs,), generator=generator).adjacency
        whole = torch.linalg.eigvalsh(torch.diag_embed(A.sum(-1)) - A)[:, min(1, p - 1)] > 1e-9
        isolated += int((~whole).sum())
        found.append(A[whole] if connected else A)
        count += len(found[-1])
        if count >= graphs:
            break
    else:
        raise ValueError(f"only {count} of {graphs} connected graphs in 20 rounds: W is too sparse for p = {p}")
    A = torch.cat(found)[:graphs].to(device)
    L = torch.diag_embed(A.sum(-1)) - A
    sibling = sample_graph(W, p, batch=(graphs,), generator=generator).adjacency.sum(-1).sort(-1).values.to(device)
    signals = sample_signals(L, max(sizes), generator=generator)
    covariances = torch.stack([sample_covariance(signals[:, :n]) for n in sizes])
    spectrum = torch.linalg.eigvalsh(L)
    for prior in (sibling, spectrum):
        prior[:, 0] = 0.0
    return Trials(edge_weights(L), covariances, sizes, sibling, spectrum, isolated)


def spectral_sweep(trials: Trials, settings: Sequence[Mapping[str, Any]], **options: Any) -> pd.DataFrame:
    """The structured lasso with every setting on every graph and sample size, as one batch; a tidy table.

    Parameters
    ----------
    settings
        Mappings with ``prior`` (a name), ``mu`` (p,) or (G, p), ``gamma``, and if wanted ``alpha`` (default 0) and
        ``beta`` (default 0.5).
    options
        For ``spectral_graphical_lasso``. Problems that miss the tolerance do not warn: their residual is in the table.

    Returns
    -------
    Columns p, graph, n, alpha, beta, gamma, prior, method ("laplacian", with ``edges`` "iht"), error (relative,
    Frobenius), ap (average precision of the edges), f1 (of as many largest weights as there are edges), iterations,
    residual.

    Raises ``ValueError`` for trials that are no ``Trials``, no settings, settings without prior, mu and gamma or with
    weights that are no numbers.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import graphon
    >>> W = graphon("constant", prob=0.7)
    >>> trials = recovery_trials(W, 5, 3, [10, 100], generator=torch.Generator().manual_seed(0))
    >>> settings = [{"prior": "own", "mu": trials.eigenvalues, "gamma": gamma} for gamma in (0.0, 0.1)]
    >>> len(spectral_sweep(trials, settings, max_iter=50))  # 3 graphs, 2 sample sizes, 2 settings
    12
    """
    import pandas as pd

    _validate.instance("trials", trials, Trials)
    settings = _arguments.settings("settings", settings, ("prior", "gamma"), *trials.degrees.shape, 1)
    per_call = max(1, CHUNK // trials.covariances[..., 0, 0].numel())
    frames = []
    for first in range(0, len(settings), per_call):
        part = [{"alpha": 0.0, "beta": 0.5} | each for each in settings[first : first + per_call]]
        p = trials.degrees.shape[-1]
        mu = torch.stack([each["mu"].to(trials.degrees).expand_as(trials.degrees) for each in part])
        column = {
            name: mu.new_tensor([float(each[name]) for each in part])[:, None, None]
            for name in ("alpha", "beta", "gamma")
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = spectral_graphical_lasso(
                trials.covariances, mu[:, None], **column, **({"method": "accelerated"} | options)
            )
        scores = _scores(found.w, trials.weights) | {"residual": found.residual}
        for k, each in enumerate(part):
            names = {name: each[name] for name in ("prior", "alpha", "beta", "gamma")}
            frame = _frame({name: value[k] for name, value in scores.items()}, trials.sizes)
            frames.append(frame.assign(p=p, method="laplacian" if options.get("edges") is None else "iht", **names))
            frames[-1]["iterations"] = found.iterations
    return pd.concat(frames, ignore_index=True)


def classic_sweep(trials: Trials, alphas: Sequence[float], *, level: float = 0.0, **options: Any) -> pd.DataFrame:
    """The classic lasso with every alpha on every graph and sample size; the columns of ``spectral_sweep``.

    Covariances are scaled to a mean diagonal of 1. ``level`` is added to them as a variance along the constant vector:
    signals on a graph have none there, which tells the classic lasso that their common level is known exactly, while a
    large value tells it that the level carries no information. Edges are scored by minus the precision's entries.
    Raises ``ValueError`` for trials that are no ``Trials``, no alphas or alphas <= 0, level < 0.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import graphon
    >>> W = graphon("constant", prob=0.7)
    >>> trials = recovery_trials(W, 5, 3, [10, 100], generator=torch.Generator().manual_seed(0))
    >>> table = classic_sweep(trials, [0.1], level=1.0)
    >>> len(table), table["method"].unique().tolist()
    (6, ['classic, free level'])
    """
    import pandas as pd

    _validate.instance("trials", trials, Trials)
    alphas, level = _arguments.positive("alphas", alphas, 1), _validate.real("level", level, 0)
    p = trials.degrees.shape[-1]
    scale = trials.covariances.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    penalties = scale.new_tensor(alphas)[:, None, None]
    found = classic_graphical_lasso(trials.covariances / scale + level / p, penalties, **options)
    scores = _scores(edge_weights(found.precision / scale), trials.weights) | {"residual": found.residual}
    frames = []
    for k, alpha in enumerate(alphas):
        frame = _frame({name: value[k] for name, value in scores.items()}, trials.sizes)
        method = "classic, free level" if level else "classic"
        frames.append(frame.assign(p=p, alpha=alpha, beta=0.0, gamma=0.0, prior="none", method=method))
        frames[-1]["iterations"] = found.iterations
    return pd.concat(frames, ignore_index=True)


def largest(w: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The ``count`` (...) largest of the weights (..., m), the others 0; chosen ones that are 0 become tiny.

    Raises ``ValueError`` for weights that are not floating point, a count that is no integer tensor or does not fit.

    Examples
    --------
    >>> import torch
    >>> largest(torch.tensor([0.1, 0.5, 0.3]), torch.tensor(2))
    tensor([0.0000, 0.5000, 0.3000])
    """
    _validate.float_tensor("w", w, 1)
    _validate.integer_tensor("count", count)
    _validate.broadcast(w=w.shape[:-1], count=count.shape)
    rank = w.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return torch.where(rank < count[..., None], w.clamp_min(torch.finfo(w.dtype).tiny), 0.0)


def _scores(w: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "error": relative_error(w, truth),
        "ap": edge_average_precision(w, truth),
        "f1": support_f1(largest(w, (truth > 0).sum(-1)), truth),
    }


def _frame(scores: Mapping[str, torch.Tensor], sizes: Sequence[int]) -> pd.DataFrame:
    """Scores (N, G) as rows with their n and graph."""
    import pandas as pd

    graphs = next(iter(scores.values())).shape[-1]
    index = {"n": [n for n in sizes for _ in range(graphs)], "graph": list(range(graphs)) * len(sizes)}
    return pd.DataFrame(index | {name: value.flatten().tolist() for name, value in scores.items()})


def paired_gain(frame: pd.DataFrame, better: Mapping[str, Any], worse: Mapping[str, Any], value: str) -> pd.DataFrame:
    """By n: mean of ``value`` for two settings, their paired difference over graphs (worse - better), and its z-score.

    ``better`` and ``worse`` are equalities that select rows, such as ``{"prior": "graphon", "gamma": 0.1}``. z is the
    mean difference over its standard error; for a score that should be high it is negative where ``better`` wins.
    Raises ``ValueError`` for a table without the columns that are asked for, and where no row is selected.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"n": 10, "graph": [0, 0, 1, 1], "gamma": [0.0, 1.0] * 2, "error": [3.0, 2.0, 4.0, 1.0]})
    >>> gain = paired_gain(frame, {"gamma": 1.0}, {"gamma": 0.0}, "error")
    >>> gain.columns.tolist(), len(gain)
    (['better', 'worse', 'gain', 'z'], 1)
    """
    import pandas as pd

    for name, rule in (("better", better), ("worse", worse)):
        if not isinstance(rule, Mapping):
            raise ValueError(f"{name} must map columns to values, got {type(rule).__name__}")
    _validate.table("frame", frame, ("n", "graph", *better, *worse), (value,))

    def pick(rule: Mapping[str, Any]) -> pd.DataFrame:
        rows = frame
        for name, wanted in rule.items():
            rows = rows[rows[name] == wanted]
        if rows.empty:
            raise ValueError(f"no rows with {dict(rule)}")
        return rows.pivot_table(index="n", columns="graph", values=value)

    a, b = pick(better), pick(worse)
    gain = b - a
    error = gain.std(axis=1) / gain.shape[1] ** 0.5
    return pd.DataFrame(
        {"better": a.mean(axis=1), "worse": b.mean(axis=1), "gain": gain.mean(axis=1), "z": gain.mean(axis=1) / error}
    )
