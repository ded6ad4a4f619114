"""Training on the semidefinite certificate: its dual point is a parameter beside the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.nets import mlp
from litrepro.robustness._sdp import gradient_sdp_matrix, sdp_dual_value


class CertifiedMLP(nn.Module):
    """A perceptron with one hidden layer for two classes, and the dual point of its certificate.

    Parameters
    ----------
    inputs, hidden
        d inputs and m hidden units.
    seed
        Of the weights: those of ``mlp(inputs, [hidden], 2, seed=seed)``, which is ``net``.

    Notes
    -----
    ``c (1+d+m,)`` starts at Gershgorin's point, where no eigenvalue is left to pay for. Source: Raghunathan, Steinhardt
    and Liang 2018, section 4.

    Raises ``ValueError`` for sizes < 1 and a bad seed.

    Examples
    --------
    >>> model = CertifiedMLP(4, 3)
    >>> model(torch.ones(2, 4)).shape, model.c.shape, model.dual().shape
    (torch.Size([2, 2]), torch.Size([8]), torch.Size([]))
    """

    def __init__(self, inputs: int, hidden: int, *, seed: int = 0):
        super().__init__()
        inputs, hidden = (_validate.positive_int(n, v) for n, v in (("inputs", inputs), ("hidden", hidden)))
        self.net = mlp(inputs, [hidden], 2, seed=_validate.seed("seed", seed))
        v, W = (part.detach() for part in self._pair())
        self.c = nn.Parameter(gradient_sdp_matrix(v, W).abs().sum(-1))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, d) to (B, m)."""
        return self.net.features(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, d) to scores (B, 2)."""
        return self.net(x)

    def dual(self) -> torch.Tensor:
        """The certified bound (), of the gradient's l1 norm of f_0 - f_1; differentiable in the weights and in c."""
        return sdp_dual_value(*self._pair(), self.c)

    def _pair(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Output weights (m,) of one class minus the other's, and the first layer (m, d)."""
        head = self.net.head.weight
        return head[0] - head[1], self.net.body[0].weight


def sdp_objective(radius: float) -> Callable[..., torch.Tensor]:
    r"""Cross-entropy of the certified margins, an ``objective`` for ``litrepro.training.fit`` of a ``CertifiedMLP``.

    The margin of an example falls by the radius times the model's ``dual()``; the radius grows from 0 over the first
    half of the run.

    Parameters
    ----------
    radius
        :math:`\epsilon \ge 0` of the l_inf ball, in the units of the inputs.

    Returns
    -------
    ``objective(model, x (B, d), y (B,), t, generator) -> ()``, t in [0, 1) the share of the run that is over.

    Raises ``ValueError`` for a radius that is negative or not finite, and in training for a model without a dual point.

    Notes
    -----
    Source: Raghunathan, Steinhardt and Liang 2018, section 4, with the certificate inside of the loss instead of beside
    it.

    Examples
    --------
    >>> model, x = CertifiedMLP(4, 3), torch.ones(2, 4)
    >>> y = torch.tensor([0, 1])
    >>> losses = [sdp_objective(radius)(model, x, y, 0.5, None).item() for radius in (0.0, 0.1)]
    >>> losses[0] < losses[1]
    True
    """
    radius = _validate.real("radius", radius, 0)

    def objective(model: Any, x: torch.Tensor, y: torch.Tensor, t: float, generator: Any) -> torch.Tensor:
        _validate.instance("model", model, CertifiedMLP)
        scores = model(x)
        gap = scores.gather(1, y[:, None]) - scores
        reach = radius * min(1.0, 2 * t) * model.dual()
        others = 1 - functional.one_hot(y, 2)
        return functional.cross_entropy(-(gap - reach * others), y)

    return objective
