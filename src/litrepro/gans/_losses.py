"""The two players' losses as functions of the discriminator's logits."""

from __future__ import annotations

import torch
from torch.nn.functional import softplus

from litrepro import _validate

KINDS = ("saturating", "nonsaturating", "wasserstein")


def gan_losses(real: torch.Tensor, fake: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What the discriminator and the generator minimize.

    Parameters
    ----------
    real, fake
        (..., n), logits on data and on generated samples.
    kind
        ``"saturating"``: the zero-sum game of Goodfellow et al. 2014, ``E softplus(-r) + E softplus(f)`` and
        ``-E softplus(f)``; ``"nonsaturating"``: the generator minimizes ``E softplus(-f)`` instead; ``"wasserstein"``:
        ``E f - E r`` and ``-E f`` (Arjovsky et al. 2017), a *difference*: the sum that the review prints has no
        optimum.

    Returns
    -------
    (loss_d, loss_g), each (...), means over the last dimension; finite where the sum of the logits'
    magnitudes is.

    Raises
    ------
    ValueError
        Unknown kind, logits that are not floating, of two dtypes, or none at all, leading dimensions that do not
        broadcast.

    Examples
    --------
    >>> import torch
    >>> loss_d, loss_g = gan_losses(torch.zeros(4), torch.zeros(4), "nonsaturating")
    >>> round(loss_d.item(), 4), round(loss_g.item(), 4)
    (1.3863, 0.6931)
    """
    _validate.choice("kind", kind, KINDS)
    _validate.float_tensor("real", real, 1), _validate.float_tensor("fake", fake, 1)
    if not real.shape[-1] or not fake.shape[-1]:
        raise ValueError(f"real and fake must hold logits, got shapes {tuple(real.shape)} and {tuple(fake.shape)}")
    if real.dtype != fake.dtype:
        _validate.same_kind(real=real, fake=fake)
    shape = _validate.broadcast(real=real.shape[:-1], fake=fake.shape[:-1])
    if kind == "wasserstein":
        loss_d, loss_g = fake.mean(-1) - real.mean(-1), -fake.mean(-1)
    else:
        loss_d = softplus(-real).mean(-1) + softplus(fake).mean(-1)
        loss_g = (-softplus(fake) if kind == "saturating" else softplus(-fake)).mean(-1)
    return loss_d, loss_g.expand(shape)
