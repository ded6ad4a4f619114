"""Training that is longer than one command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from litrepro import _validate
from litrepro.gans._members import GANEnsemble
from litrepro.gans._train import train_gans
from litrepro.gans._variant import Variant

if TYPE_CHECKING:
    from litrepro import Chapter


def trained_ensemble(
    chapter: Chapter,
    name: str,
    make_generator: Callable[[], nn.Module],
    make_discriminator: Callable[[], nn.Module],
    data: torch.Tensor,
    variants: Sequence[Variant],
    *,
    steps: int,
    seeds: int,
    minutes: float = 7.0,
    **settings: Any,
) -> GANEnsemble:
    """``train_gans`` in as many commands as it takes: at full scale the same command goes on where the last one ended.

    Parameters
    ----------
    chapter
        Whose profile, seed, clock and scratch folder are used. In quick there is no checkpoint and no limit, in a
        smoke run neither.
    name
        Of the ensemble, one word; the checkpoint is ``name-steps.pt``.
    make_generator, make_discriminator, data, variants, steps
        As in ``train_gans``.
    seeds
        Number of members per variant, >= 1; their seeds are 0, 1, ...
    minutes
        After which the command ends, counted from the opening of the chapter: all ensembles of a notebook share them.
    **settings
        More of ``train_gans``.

    Returns
    -------
    The trained ensemble. Once the time is up the state is saved, a line says so, and ``Chapter.pause`` ends it.

    Raises
    ------
    ValueError
        What is no chapter, a name that is no word, no seeds, minutes that are not positive, and what ``train_gans``
        raises.

    Examples
    --------
    >>> import torch
    >>> from litrepro import Chapter
    >>> from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant
    >>> players = (lambda: MLPGenerator(1, 2, (2,)), lambda: MLPDiscriminator((2,), 2))
    >>> chapter = Chapter("18-gan-training")
    >>> trained_ensemble(chapter, "tiny", *players, torch.zeros(9, 2), [Variant("a")], steps=2, seeds=3).seeds
    (0, 1, 2)
    """
    from litrepro import Chapter

    if not isinstance(chapter, Chapter):
        raise ValueError(f"chapter must be a Chapter, got {type(chapter).__name__}")
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"name must be one word, got {name!r}")
    seeds = _validate.positive_int("seeds", seeds)
    minutes = _validate.real("minutes", minutes, 0, open_low=True)
    keep: dict[str, Any] = {}
    if chapter.full and not chapter.smoke:  # a smoke run makes everything anew, as ``Chapter.kept`` does
        keep = {"checkpoint": chapter.scratch(f"{name}-{steps}.pt"), "stop": lambda: chapter.out_of_time(minutes)}
    found = train_gans(
        make_generator, make_discriminator, data, variants, steps=steps, seeds=range(seeds), seed=chapter.seed,
        **settings, **keep,
    )  # fmt: skip
    if found is None:
        chapter.pause()
    return found
