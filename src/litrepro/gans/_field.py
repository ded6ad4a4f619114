"""A trained GAN as a smooth game: the field of one member on a fixed minibatch."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.gans._losses import gan_losses
from litrepro.gans._members import GANEnsemble, check_ensemble
from litrepro.optim.games._fields import Field


def game_field(gans: GANEnsemble, member: int, real: torch.Tensor, noise: torch.Tensor) -> tuple[Field, torch.Tensor]:
    """The vector field that both players of one member follow, and the point where training ended.

    Parameters
    ----------
    gans
        A trained ensemble.
    member
        Index of a member, in the order of ``gans.members``.
    real
        (n, ...), a minibatch of data.
    noise
        (n, latent), of the generator.

    Returns
    -------
    (field, w): ``field(w (P + Q,)) -> (P + Q,)`` is ``(grad_theta L_G, grad_phi L_D)``, in descent convention; w (P +
    Q,) holds the generator's parameters, then the discriminator's. For ``litrepro.optim.field_jacobian``.

    Raises
    ------
    ValueError
        What is no ensemble, a member out of range, noise of another dimension, data and noise of two dtypes or devices
        or without rows.

    Examples
    --------
    >>> import torch
    >>> from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, train_gans
    >>> players = (lambda: MLPGenerator(1, 2, (2,)), lambda: MLPDiscriminator((2,), 2))
    >>> gans = train_gans(*players, torch.randn(9, 2), [Variant("a")], steps=1)
    >>> field, w = game_field(gans, 0, torch.randn(9, 2), torch.randn(9, 1))
    >>> field(w).shape == w.shape
    True
    """
    check_ensemble("gans", gans)
    member = _validate.positive_int("member", member, 0)
    if member >= len(gans.members):
        raise ValueError(f"member must be below {len(gans.members)}, got {member}")
    generate, judge = gans.players
    _validate.float_tensor("real", real, 2), _validate.float_tensor("noise", noise)
    _validate.same_kind(real=real, noise=noise)
    if noise.ndim != 2 or noise.shape[1] != generate.latent or not len(noise) or not len(real):
        raise ValueError(f"noise must be (n, {generate.latent}), got {tuple(noise.shape)}")
    kind = gans.members[member][1].loss
    theta, phi = gans.snapshots[max(gans.snapshots)][member], gans.discriminators[member]
    P = len(theta)

    def losses(theta: torch.Tensor, phi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return gan_losses(judge(phi, real), judge(phi, generate(theta, noise)), kind)

    def field(w: torch.Tensor) -> torch.Tensor:
        of_g = torch.func.grad(lambda theta: losses(theta, w[P:])[1])(w[:P])
        of_d = torch.func.grad(lambda phi: losses(w[:P], phi)[0])(w[P:])
        return torch.cat((of_g, of_d))

    return field, torch.cat((theta, phi))
