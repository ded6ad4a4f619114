"""Tables of an ensemble: scores of all members, and samples small enough to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from litrepro import _validate
from litrepro.gans._members import GANEnsemble, check_ensemble
from litrepro.gans._score_net import ScoreNet
from litrepro.gans._scores import class_coverage, frechet_distance, inception_score

if TYPE_CHECKING:
    import pandas as pd

LEVELS = 16  # of grey, a hexadecimal digit each


def _check_judge(net: Any, reference: Any) -> None:
    """A classifier and features (m, d) of its kind."""
    if not isinstance(net, ScoreNet):
        raise ValueError(f"net must be a ScoreNet, got {type(net).__name__}")
    if _validate.float_tensor("reference", reference).ndim != 2 or reference.shape[1] != net.head.in_features:
        raise ValueError(f"reference must be (m, {net.head.in_features}), got shape {tuple(reference.shape)}")


@torch.no_grad()
def score_samples(net: ScoreNet, samples: torch.Tensor, reference: torch.Tensor) -> pd.DataFrame:
    """Inception Score, Frechet distance and class coverage of samples, from one pass through the classifier.

    Parameters
    ----------
    net
        The classifier.
    samples
        (members, n, 1, 28, 28), n >= 10.
    reference
        (m, 64), features of real images.

    Returns
    -------
    DataFrame, a row per member: ``IS``, ``IS spread`` (over ten splits), ``FD``, ``classes``. A member whose samples
    are not finite has the worst scores: 1, 0, inf and 0.

    Raises
    ------
    ValueError
        A net that is no ``ScoreNet``, samples of another shape, dtype or device, and what the scores raise.

    Examples
    --------
    >>> import torch
    >>> table = score_samples(ScoreNet(), torch.zeros(2, 20, 1, 28, 28), torch.zeros(9, 64))
    >>> table["IS"].round(3).tolist(), table["classes"].tolist()
    ([1.0, 1.0], [1, 1])
    """
    import pandas as pd

    _check_judge(net, reference)
    _validate.float_tensor("samples", samples, 1)
    if samples.ndim != 5 or samples.shape[2:] != (1, 28, 28) or not len(samples):
        raise ValueError(f"samples must be (members, n, 1, 28, 28), got {tuple(samples.shape)}")
    _validate.same_kind(samples=samples, parameters=net.head.weight)
    finite = torch.isfinite(samples).flatten(1).all(1)
    if not bool(finite.all()):
        samples = torch.where(finite[:, None, None, None, None], samples, 0.0)
    features = net.embed(samples)
    probs = net.head(features).softmax(-1)
    score, spread = inception_score(probs)
    columns = {
        "IS": torch.where(finite, score, 1.0),
        "IS spread": torch.where(finite, spread, 0.0),
        "FD": torch.where(finite, frechet_distance(features, reference), torch.inf),
        "classes": torch.where(finite, class_coverage(probs), 0),
    }
    return pd.DataFrame({name: value.cpu().numpy() for name, value in columns.items()})


def score_table(
    gans: GANEnsemble, net: ScoreNet, reference: torch.Tensor, *, n: int = 1000, seed: int = 1, step: int | None = None
) -> pd.DataFrame:
    """``score_samples`` of all members, with their seeds and names in front.

    Parameters
    ----------
    gans
        Generators of 28 x 28 images.
    net, reference
        As in ``score_samples``.
    n, seed
        Samples per member, and the seed of their noise.
    step
        A snapshot; the end by default.

    Returns
    -------
    DataFrame ``seed, variant, IS, IS spread, FD, classes``. Raises ``ValueError`` as ``score_samples`` does.

    Examples
    --------
    >>> import torch
    >>> from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, train_gans
    >>> players = (lambda: MLPGenerator(1, 2, (1, 28, 28)), lambda: MLPDiscriminator((1, 28, 28), 2))
    >>> gans = train_gans(*players, torch.zeros(9, 1, 28, 28), [Variant("a")], steps=1, seeds=(0, 5))
    >>> score_table(gans, ScoreNet(), torch.zeros(9, 64), n=10)["seed"].tolist()
    [0, 5]
    """
    import pandas as pd

    check_ensemble("gans", gans), _check_judge(net, reference)
    n = _validate.positive_int("n", n, 10)
    names = pd.DataFrame([{"seed": s, "variant": variant.name} for s, variant in gans.members])
    return pd.concat((names, score_samples(net, gans.sample(n, seed, step=step), reference)), axis=1)


def score_course(
    ensembles: GANEnsemble | Sequence[GANEnsemble],
    net: ScoreNet,
    reference: torch.Tensor,
    steps: Sequence[int],
    *,
    n: int = 1000,
    seed: int = 1,
) -> pd.DataFrame:
    """``score_table`` at several snapshots, with the column ``step`` at the end.

    Parameters
    ----------
    ensembles
        One, or several that have the same snapshots; their rows follow each other within a step.
    net, reference, n, seed
        As in ``score_table``.
    steps
        Snapshots, at least one.

    Returns
    -------
    DataFrame ``seed, variant, IS, IS spread, FD, classes, step``.

    Raises
    ------
    ValueError
        No ensembles or steps, a step without a snapshot, and what ``score_table`` raises.

    Examples
    --------
    >>> import torch
    >>> from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, train_gans
    >>> players = (lambda: MLPGenerator(1, 2, (1, 28, 28)), lambda: MLPDiscriminator((1, 28, 28), 2))
    >>> gans = train_gans(*players, torch.zeros(9, 1, 28, 28), [Variant("a")], steps=2, snapshots=(1,))
    >>> score_course(gans, ScoreNet(), torch.zeros(9, 64), (1, 2), n=10)["step"].tolist()
    [1, 2]
    """
    import pandas as pd

    ensembles = [ensembles] if isinstance(ensembles, GANEnsemble) else _validate.sequence("ensembles", ensembles)
    steps = _validate.sequence("steps", steps)
    for gans in ensembles:
        missing = [step for step in steps if step not in list(check_ensemble("an ensemble", gans).snapshots)]
        if missing:
            raise ValueError(f"steps must be among the snapshots {sorted(gans.snapshots)}, got {missing}")
    parts = [
        score_table(gans, net, reference, n=n, seed=seed, step=step).assign(step=step)
        for step in steps
        for gans in ensembles
    ]
    return pd.concat(parts)


def score_summary(scores: pd.DataFrame, by: str = "variant") -> pd.DataFrame:
    """Mean over seeds and its standard error, of the scores at one step.

    Parameters
    ----------
    scores
        Rows of ``score_table``.
    by
        Column that names the members.

    Returns
    -------
    DataFrame ``IS, IS +-, FD, FD +-, classes, classes +-`` in order of appearance; nan errors for a single seed.
    Raises ``ValueError`` if a column is missing or holds no numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"variant": ["a", "a"], "IS": [1.0, 3.0], "FD": [5.0, 5.0], "classes": [9, 9]})
    >>> score_summary(scores).loc["a", ["IS", "IS +-", "FD +-"]].tolist()
    [2.0, 1.0, 0.0]
    """
    names = ["IS", "FD", "classes"]
    _validate.table("scores", scores, (by,), numeric=names)
    found = scores.groupby(by, sort=False)[names].agg(["mean", "sem"])
    return found.set_axis([f"{name}{' +-' if kind == 'sem' else ''}" for name, kind in found.columns], axis=1)


def thumbnails(gans: GANEnsemble, count: int = 64, *, seed: int = 2) -> pd.DataFrame:
    """Samples of the first seed's members as text: 16 levels of grey, one hexadecimal digit per pixel.

    Parameters
    ----------
    gans
        Generators of 28 x 28 images in [-1, 1].
    count
        Per variant.
    seed
        Of the noise, the same for every variant.

    Returns
    -------
    DataFrame ``variant, image, pixels``, for ``thumbnail_images``. Raises ``ValueError`` for other shapes, count < 1.

    Examples
    --------
    >>> import torch
    >>> from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, train_gans
    >>> players = (lambda: MLPGenerator(1, 2, (1, 28, 28)), lambda: MLPDiscriminator((1, 28, 28), 2))
    >>> gans = train_gans(*players, torch.zeros(9, 1, 28, 28), [Variant("a")], steps=1)
    >>> thumbnail_images(thumbnails(gans, 3))["a"].shape
    torch.Size([3, 28, 28])
    """
    import pandas as pd

    drawn = check_ensemble("gans", gans).sample(count, seed)[: len(gans.variants)]
    if drawn.shape[2:] != (1, 28, 28):
        raise ValueError(f"thumbnails needs generators of (1, 28, 28) images, got {tuple(drawn.shape[2:])}")
    levels = ((drawn.nan_to_num(-1.0) + 1) / 2 * (LEVELS - 1)).round().clamp(0, LEVELS - 1).long().flatten(2)
    codes = torch.tensor(list(b"0123456789abcdef"), device=levels.device)[levels].tolist()
    rows = [
        (variant.name, k, bytes(image).decode("ascii"))
        for variant, images in zip(gans.variants, codes)
        for k, image in enumerate(images)
    ]
    return pd.DataFrame(rows, columns=["variant", "image", "pixels"])


def thumbnail_images(table: pd.DataFrame) -> dict[str, torch.Tensor]:
    """The images of ``thumbnails`` by variant, (count, 28, 28) in [-1, 1]; also after a way through a CSV file.

    Raises ``ValueError`` for other tables.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"variant": ["a"], "image": [0], "pixels": ["f" * 784]})
    >>> thumbnail_images(table)["a"].mean().item()
    1.0
    """
    found = {}
    _validate.table("table", table, ("variant", "pixels"))
    texts = table["pixels"].astype(str)
    wrong = texts[~texts.str.fullmatch("[0-9a-f]{784}")]
    if len(wrong):
        raise ValueError(f"pixels must be 784 hexadecimal digits, got {wrong.iloc[0][:20]!r}")
    for name, part in table.groupby("variant", sort=False):
        levels = [[int(digit, LEVELS) for digit in pixels] for pixels in part["pixels"].astype(str)]
        levels = torch.tensor(levels, device="cpu")
        found[name] = (levels / (LEVELS - 1) * 2 - 1).reshape(-1, 28, 28)
    return found
