"""What makes a teacher learnable: one teacher, one budget of samples, six algorithms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from litrepro import _validate
from litrepro.shallow._alternating import alternating_minimization
from litrepro.shallow._descent import relu_gradient_descent
from litrepro.shallow._low_rank import rank_one_recovery
from litrepro.shallow._matching import permutation_distance
from litrepro.shallow._teachers import planted_teacher, relu_network
from litrepro.shallow._tensor import _estimate

if TYPE_CHECKING:
    import pandas as pd

ALGORITHMS = (
    "gradient descent",
    "tensor + gradient",
    "alternating",
    "identity + alternating",
    "tensor + alternating",
    "low rank",
)


def learnability_map(
    samples: Sequence[int],
    conditions: Sequence[float],
    *,
    neurons: int = 3,
    d: int = 8,
    trials: int = 8,
    iterations: int = 300,
    tolerance: float = 1e-2,
    generator: Any = None,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Run all six algorithms on planted teachers of given condition numbers with given numbers of samples.

    Parameters
    ----------
    samples, conditions
        Numbers n of samples, and condition numbers sigma_1 / sigma_K of the teacher; one batch runs over
        conditions and trials. ``"low rank"`` sees the same teacher and inputs through quadratic activations.
    iterations
        Gradient steps; a fifth of them for the alternations, two fifths for the low-rank steps.
    tolerance
        Success is a distance (of neurons up to order, or of the low-rank matrices) below this fraction of the teacher.

    Returns
    -------
    Tidy table: algorithm, n, condition, trial, error, success.

    Raises
    ------
    ValueError
        Fewer than one sample, condition or trial; neurons > d; a negative tolerance.

    Examples
    --------
    >>> table = learnability_map([20, 100], [1.0], neurons=2, d=3, trials=2, iterations=10)
    >>> len(table), table["algorithm"].nunique()  # 2 sample sizes, 2 trials, 6 algorithms
    (24, 6)
    """
    import pandas as pd

    for name, values in (("samples", samples), ("conditions", conditions)):
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ValueError(f"{name} must be a sequence of numbers, got {values!r}")
    samples = [_validate.positive_int("samples", n) for n in samples]
    if not samples or not conditions:
        raise ValueError(f"samples and conditions must not be empty, got {samples} and {list(conditions)}")
    source = _validate.random_source("generator", generator)
    trials = _validate.positive_int("trials", trials)
    iterations = _validate.positive_int("iterations", iterations, 0)
    tolerance = _validate.real("tolerance", tolerance, 0)
    f64, frames = torch.float64, []
    teacher = torch.stack(
        [planted_teacher(neurons, d, condition=c, batch=(trials,), generator=source) for c in conditions]
    ).to(device)
    inputs = torch.randn(trials, max(samples), d, generator=source, dtype=f64, device=source.device).to(device)
    start = torch.randn(trials, neurons, d, generator=source, dtype=f64, device=source.device).to(device) / d**0.5
    for n in samples:
        X = inputs[:, :n].expand(len(conditions), trials, n, d)
        errors = _run_all(X, teacher, start.expand_as(teacher), iterations, source)
        for algorithm, error in errors.items():
            error = error.nan_to_num(nan=1e3, posinf=1e3).clamp(max=1e3)
            rows = pd.DataFrame(error.cpu().numpy(), index=pd.Index(conditions, name="condition"))
            rows = rows.melt(var_name="trial", value_name="error", ignore_index=False).reset_index()
            frames.append(rows.assign(algorithm=algorithm, n=n))
    table = pd.concat(frames, ignore_index=True)
    table = table.assign(success=(table.error < tolerance).astype(int))
    return table[["algorithm", "n", "condition", "trial", "error", "success"]]


def _run_all(
    X: torch.Tensor, teacher: torch.Tensor, start: torch.Tensor, iterations: int, source: torch.Generator
) -> dict[str, torch.Tensor]:
    """Relative errors of every algorithm, of the batch shape of the teachers."""
    neurons, d = teacher.shape[-2:]
    y = relu_network(X, teacher)
    size = teacher.norm(dim=(-2, -1))
    tensor_start, eigenvalues = _estimate(X, y, neurons, 100, 10, source)
    usable = (eigenvalues > 0).all(-1)[..., None, None]
    tensor_start = torch.where(usable & tensor_start.isfinite(), tensor_start, 0.0)
    identity = torch.eye(neurons, d, dtype=X.dtype, device=X.device).expand_as(teacher)
    found = {}
    for name, W0 in (("gradient descent", start), ("tensor + gradient", tensor_start)):
        found[name] = relu_gradient_descent(X, y, W0, step=2.0 / neurons, iterations=iterations)[-1]
    for name, W0 in (
        ("alternating", start),
        ("identity + alternating", identity),
        ("tensor + alternating", tensor_start),
    ):
        found[name] = alternating_minimization(X, y, W0, iterations=iterations // 5)[-1]
    errors = {name: permutation_distance(W, teacher) / size for name, W in found.items()}
    L = teacher.mT @ teacher
    quadratic = ((X @ L) * X).sum(-1)
    path = rank_one_recovery(lambda t: (X, quadratic), d, neurons, iterations=2 * iterations // 5)
    errors["low rank"] = (path[-1] - L).norm(dim=(-2, -1)) / L.norm(dim=(-2, -1))
    return errors
