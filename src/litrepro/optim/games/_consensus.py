"""Gradients of consensus optimization for networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from litrepro import _validate
from litrepro._recording import recording


def consensus_gradients(
    losses: Sequence[torch.Tensor], groups: Sequence[Iterable[torch.Tensor]], gamma: float
) -> list[list[torch.Tensor]]:
    """Each player's gradient plus ``gamma`` times its gradient of the joint field's energy ``|v|^2/2``.

    Parameters
    ----------
    losses
        One scalar per player, computed where autograd records; they may share a graph, which is kept.
    groups
        One iterable of parameters per player.
    gamma
        Weight of the consensus term, finite and >= 0; with 0 no second derivative is taken.

    Returns
    -------
    Per player, a detached gradient for each of its parameters:
    ``grad_i L_i + gamma grad_i (1/2)|v|^2``, ``v = (grad_1 L_1, ..., grad_P L_P)`` (Mescheder et al. 2017, algorithm
    2). A parameter that a loss does not reach counts as zero.

    Raises
    ------
    ValueError
        Not as many losses as groups, losses that are not scalars, groups that do not hold tensors with a gradient (a
        bare tensor is no group), gamma that is negative or not finite.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    >>> gradients = consensus_gradients([x * y, -x * y], [[x], [y]], gamma=0.5)
    >>> [gradient.item() for player in gradients for gradient in player]
    [2.5, 0.0]
    """
    gamma = _validate.real("gamma", gamma, 0)
    losses = _validate.sequence("losses", losses, 0)
    parameters = [_group(group) for group in _validate.sequence("groups", groups, 0)]
    if len(losses) != len(parameters):
        raise ValueError(f"losses and groups must have one entry per player, got {len(losses)} and {len(parameters)}")
    for loss in losses:
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise ValueError(f"each loss must be a scalar tensor, got {getattr(loss, 'shape', loss)}")
    with recording():  # under no_grad the energy would have no graph
        plain = [_gradients(loss, group, gamma != 0) for loss, group in zip(losses, parameters)]
        if gamma == 0:
            return [[g.detach() for g in group] for group in plain]
        energy = sum(g.square().sum() for group in plain for g in group) / 2
        return [
            [g.detach() + gamma * e for g, e in zip(group, _gradients(energy, of, False))]
            for group, of in zip(plain, parameters)
        ]


def _group(group: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """One player's parameters; the rows of a bare tensor would be new tensors, which no loss reaches."""
    if isinstance(group, torch.Tensor):
        raise ValueError(f"groups must be lists of parameters, got a tensor of shape {tuple(group.shape)}")
    found = _validate.sequence("groups", group, 0)
    for each in found:
        if not isinstance(each, torch.Tensor) or not each.requires_grad:
            got = "one without" if isinstance(each, torch.Tensor) else type(each).__name__
            raise ValueError(f"groups must hold tensors that require a gradient, got {got}")
    return found


def _gradients(value: torch.Tensor, parameters: list[torch.Tensor], differentiable: bool) -> list[torch.Tensor]:
    """Gradients of a scalar, zero for what it does not reach; the graph is kept."""
    if not parameters or not value.requires_grad:
        return [torch.zeros_like(p) for p in parameters]
    found = torch.autograd.grad(
        value.reshape(()), parameters, create_graph=differentiable, retain_graph=True, allow_unused=True
    )
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found)]
