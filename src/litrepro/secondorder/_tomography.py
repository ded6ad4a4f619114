"""Seismic inversion as supervised learning: from the seismograms on the surface to the velocities below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.func import vmap

from litrepro import _validate
from litrepro.data import acoustic_shots, layered_velocity
from litrepro.secondorder import _arguments
from litrepro.secondorder._problems import FlatProblem, perceptron, squared_loss

VMIN, VMAX = 1.5, 4.5  # km/s
DX = 0.05  # km


class Survey(NamedTuple):
    """``velocity (N, n, n)`` in km/s and ``shots (N, shots, samples, n)``, raw pressure; ``dt`` s between samples."""

    velocity: torch.Tensor
    shots: torch.Tensor
    dt: float


def seismic_survey(
    count: int,
    *,
    size: int = 24,
    shots: int = 2,
    steps: int = 200,
    keep: int = 8,
    seed: int = 0,
    chunk: int = 100,
    device: torch.device | str = "cpu",
) -> Survey:
    """Simulate what a line of receivers records above ``count`` random layered models (cells of 50 m, 8 Hz).

    Models are simulated ``chunk`` at a time. Raises ``ValueError`` for counts < 1 and size < 8.

    Examples
    --------
    >>> seismic_survey(2, size=8, steps=16).shots.shape
    torch.Size([2, 2, 2, 8])
    """
    chunk = _validate.positive_int("chunk", chunk)
    velocity = layered_velocity(count, size=size, seed=seed, vmin=VMIN, vmax=VMAX).to(device)
    with torch.no_grad():
        parts = [acoustic_shots(v, shots=shots, steps=steps, dx=DX, keep=keep) for v in velocity.split(chunk)]
    return Survey(velocity, torch.cat(parts), keep * 0.5 * DX / VMAX)


def gained(shots: torch.Tensor) -> torch.Tensor:
    """Seismograms as a network can use them: asinh of a multiple of the typical late amplitude.

    Without it the direct wave is all there is: it is orders of magnitude stronger than what reflectors send back.
    """
    late = shots[..., shots.shape[-2] // 2 :, :].square().mean().sqrt()
    return torch.asinh(shots / late)


def tomography_problem(
    survey: Survey, train: int, *, hidden: int = 48, model: str = "perceptron", statistics: int | None = None
) -> FlatProblem:
    """Predict velocities (as differences from the mean training model, km/s) from seismograms with gain.

    Inputs are standardized with the training models' mean and deviation. The score is minus the logarithm of the RMS
    error on a set, so that a difference of 0.02 is 2%.

    Parameters
    ----------
    survey
        The first ``train`` models are learnt from, the others held out.
    hidden
        Width of the tanh perceptron's one hidden layer, or of the convolutional net's first.
    model
        ``"perceptron"`` or ``"convnet"`` (see ``inversion_convnet``).
    statistics
        Standardize with so many training models (all if None).

    Raises ``ValueError`` for an unknown model and for train outside 1..N-1.

    Examples
    --------
    >>> problem = tomography_problem(seismic_survey(4, size=8, steps=16), 3, hidden=5)
    >>> problem.model(problem.start([0])[0], problem.test[0]).shape
    torch.Size([1, 64])
    """
    _validate.choice("model", model, ("perceptron", "convnet"))
    train, hidden = _held_out(survey, train), _validate.positive_int("hidden", hidden)
    if statistics is not None:
        statistics = _validate.positive_int("statistics", statistics)
    size = survey.velocity.shape[-1]
    x = gained(survey.shots)
    known = x[:train][:statistics]
    x = (x - known.mean(0)) / (known.std(0) + 1e-3) if len(known) > 1 else x
    y = (survey.velocity - survey.velocity[:train].mean(0)).flatten(1)
    if model == "perceptron":
        x = x.flatten(1)
        run, start = perceptron((x.shape[1], hidden, size * size), x.device)
    else:
        from litrepro.secondorder._convnet import inversion_convnet

        run, start = inversion_convnet(survey.shots.shape[1:], size, width=hidden, device=x.device)

    def score(w: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            outputs = vmap(run, in_dims=(0, None))(w.reshape(-1, w.shape[-1]), inputs)
        error = (outputs - targets).square().mean((-1, -2)).sqrt()
        return -error.log().reshape(w.shape[:-1])

    return FlatProblem("tomography", run, squared_loss, start, (x[:train], y[:train]), (x[train:], y[train:]), score)


def _held_out(survey: Survey, train: int) -> int:
    """How many models of a survey are learnt from, at least one and not all."""
    if not isinstance(survey, Survey):
        raise ValueError(f"survey must be a Survey, got {type(survey).__name__}")
    train, count = _validate.positive_int("train", train), len(survey.velocity)
    if train >= count:
        raise ValueError(f"train must be in 1..{count - 1}, got {train}")
    return train


def ssim(a: torch.Tensor, b: torch.Tensor, *, data_range: float = VMAX - VMIN, window: int = 7) -> torch.Tensor:
    """Mean structural similarity of images (Wang et al. 2004), uniform window, constants 0.01 and 0.03.

    Parameters
    ----------
    a, b
        (..., h, w).
    data_range
        Difference of the largest and the smallest possible value.
    window
        Odd number of pixels; only windows inside the image count, with the unbiased covariance, as in scikit-image.

    Returns
    -------
    (...). Raises ``ValueError`` for shapes that differ, images smaller than the window, an even window.

    Examples
    --------
    >>> image = torch.arange(64.0).reshape(8, 8)
    >>> round(ssim(image, image, data_range=63.0).item(), 6)
    1.0
    """
    _validate.float_tensor("a", a, 2)
    window = _validate.positive_int("window", window)
    data_range = _validate.real("data_range", data_range, 0, open_low=True)
    if (
        not isinstance(b, torch.Tensor)
        or a.dtype != b.dtype
        or a.shape != b.shape
        or window % 2 == 0
        or min(a.shape[-2:]) < window
    ):
        found = tuple(b.shape) if isinstance(b, torch.Tensor) else type(b).__name__
        raise ValueError(f"need two images of one shape, not below an odd window {window}: {tuple(a.shape)}, {found}")
    flat = [image.reshape(-1, *image.shape[-2:]) for image in (a, b)]
    # Means over windows as products with banded matrices: for small images, several times as fast as pooling.
    down, across = (
        torch.ones(size, size - window + 1, dtype=a.dtype, device=a.device).tril().triu(1 - window) / window
        for size in a.shape[-2:]
    )

    def local(image: torch.Tensor) -> torch.Tensor:
        return down.mT @ (image @ across)

    first, second = local(flat[0]), local(flat[1])
    sample = window**2 / (window**2 - 1) if window > 1 else 1.0
    v1 = sample * (local(flat[0] ** 2) - first**2)
    v2 = sample * (local(flat[1] ** 2) - second**2)
    cross = sample * (local(flat[0] * flat[1]) - first * second)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    value = (2 * first * second + c1) * (2 * cross + c2) / ((first**2 + second**2 + c1) * (v1 + v2 + c2))
    return value.mean((-1, -2)).reshape(a.shape[:-2])


def total_variation(image: torch.Tensor) -> torch.Tensor:
    """Sum of the absolute differences between neighbours, (..., h, w) to (...): small for few, sharp edges.

    Examples
    --------
    >>> total_variation(torch.tensor([[0.0, 1.0], [0.0, 1.0]])).item()
    2.0
    """
    _validate.float_tensor("image", image, 2)
    return image.diff(dim=-1).abs().sum((-1, -2)) + image.diff(dim=-2).abs().sum((-1, -2))


def predictions(problem: FlatProblem, survey: Survey, train: int, w: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    """Velocities (..., len(rows), n, n) in km/s that weights (..., d) predict for held-out models ``rows``.

    Raises ``ValueError`` for weights, rows or a survey that do not fit the problem.
    """
    train = _held_out(survey, train)
    if not isinstance(problem, FlatProblem):
        raise ValueError(f"problem must be a FlatProblem, got {type(problem).__name__}")
    rows, held = [_validate.positive_int("a row", row, 0) for row in _validate.sequence("rows", rows)], problem.test[0]
    if len(held) != len(survey.velocity) - train:
        left = len(survey.velocity) - train
        raise ValueError(f"train must leave the {len(held)} models of the problem's test set, got {train}: {left} left")
    if max(rows) >= len(held):
        raise ValueError(f"rows must be below the {len(held)} models of the problem's test set, got {max(rows)}")
    flat = _arguments.trials(w, "w").reshape(-1, w.shape[-1])
    size = survey.velocity.shape[-1]
    with torch.no_grad():
        outputs = _validate.answer(
            "the problem's model", lambda at: vmap(problem.model, in_dims=(0, None))(at, held[rows]), flat
        )
    images = outputs.reshape(*w.shape[:-1], len(rows), size, size)
    return images + survey.velocity[:train].mean(0)


class InversionQuality(NamedTuple):
    """``images (..., m, n, n)`` in km/s of the m held-out models; the rest are means over them, (...).

    ``loss`` is half the squared error summed over cells, as in training; ``ssim`` the structural similarity;
    ``variation`` the total variation over the truth's.
    """

    images: torch.Tensor
    loss: torch.Tensor
    ssim: torch.Tensor
    variation: torch.Tensor


def inversion_quality(problem: FlatProblem, survey: Survey, train: int, w: torch.Tensor) -> InversionQuality:
    """How well weights (..., d) reconstruct the models of ``survey`` after the first ``train``.

    Raises ``ValueError`` as ``predictions``.

    Examples
    --------
    >>> survey = seismic_survey(5, size=8, steps=16)
    >>> problem = tomography_problem(survey, 3, hidden=5)
    >>> quality = inversion_quality(problem, survey, 3, problem.start([0, 1]))
    >>> quality.images.shape, quality.ssim.shape
    (torch.Size([2, 2, 8, 8]), torch.Size([2]))
    """
    train = _held_out(survey, train)
    truth = survey.velocity[train:]
    images = predictions(problem, survey, train, w, range(len(truth)))
    return InversionQuality(
        images,
        (images - truth).square().sum((-1, -2)).mean(-1) / 2,
        ssim(images, truth.expand_as(images)).mean(-1),
        (total_variation(images) / total_variation(truth)).mean(-1),
    )
