"""One way to train a GAN."""

from __future__ import annotations

import dataclasses

from litrepro import _validate
from litrepro.gans._losses import KINDS


@dataclasses.dataclass(frozen=True)
class Variant:
    """Loss and optimizer of a member of an ensemble; both players use the same optimizer.

    Parameters
    ----------
    name
        For tables.
    loss
        A kind of ``gan_losses``.
    optimizer
        ``"adam"`` or ``"sgd"``.
    lr
        Step size > 0.
    beta1
        First decay of Adam, momentum of SGD; in (-1, 1).
    beta2
        Second decay of Adam, in [0, 1).
    optimism
        k of ``litrepro.optim.GameAdam`` and ``GameSGD``; 1 is optimistic.
    gamma
        Weight of the consensus term, >= 0.
    clip
        Bound on the modulus of the discriminator's parameters after each of its updates (Arjovsky et al. 2017), or
        None.

    Raises
    ------
    ValueError
        A name that is no text, unknown loss or optimizer, a number out of range.

    Examples
    --------
    >>> Variant("AdamNM", beta1=-0.5).lr
    0.0002
    """

    name: str
    loss: str = "nonsaturating"
    optimizer: str = "adam"
    lr: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    optimism: float = 0.0
    gamma: float = 0.0
    clip: float | None = None

    def __post_init__(self):
        if not isinstance(self.name, str):
            raise ValueError(f"name must be text, got {self.name!r}")
        _validate.choice("loss", self.loss, KINDS)
        _validate.choice("optimizer", self.optimizer, ("adam", "sgd"))
        _validate.real("lr", self.lr, 0, open_low=True)
        _validate.real("beta1", self.beta1, -1, 1, open_low=True, open_high=True)
        _validate.real("beta2", self.beta2, 0, 1, open_high=True)
        _validate.real("optimism", self.optimism)
        _validate.real("gamma", self.gamma, 0)
        if self.clip is not None:
            _validate.real("clip", self.clip, 0, open_low=True)
