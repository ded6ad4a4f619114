"""Training a network to replace the grain-growth simulator, and scores of boundary maps."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning

if TYPE_CHECKING:
    import pandas as pd

Adversarial = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def train_surrogate(
    net: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    iterations: int,
    batch: int = 16,
    lr: float = 2e-3,
    discriminator: nn.Module | None = None,
    adversarial: Adversarial | None = None,
    weight: float = 0.01,
    seed: int | torch.Generator = 0,
) -> pd.DataFrame:
    """Fit ``net`` to map boundary maps before growth to those after it, in place.

    The loss is binary cross entropy; with a discriminator, plus ``weight`` times the generator's loss of
    ``adversarial(real, fake) -> (loss_d, loss_g)`` on the discriminator's logits of (input, output) pairs, such as
    ``gans.gan_losses`` of some kind; losses per image are averaged. Each iteration then makes one step of the
    discriminator before that of the network. Adam, the rate annealed to zero by a cosine.

    Parameters
    ----------
    net
        (b, 1, n, n) -> logits (b, 1, n, n), on the device of the data.
    x, y
        (N, 1, n, n) floating, 0 or 1.
    iterations, batch
        Steps, and pairs per step (drawn without replacement within an epoch).
    seed
        Of the order of the pairs.

    Returns
    -------
    DataFrame ``member, epoch, step, split, metric, value, seconds``: the mean losses (``cross entropy``, ``generator``,
    ``discriminator``) of every twentieth of the run, max(1, iterations // 20) steps each; steps after the last whole
    one have no row. ``epoch`` counts how often as many pairs as there are were drawn, step batch / N rounded down.

    Raises
    ------
    ValueError
        Shapes, dtypes or devices that differ, maps outside [0, 1], a net that is no module, a discriminator without a
        loss or the reverse, an ``adversarial`` that gives no pair of tensors, numbers out of range.

    Warns
    -----
    ConvergenceWarning
        A recorded loss that is not finite: training stops there. Weights that are not finite at the end.

    Examples
    --------
    >>> import torch
    >>> from litrepro.materials import GrainUNet
    >>> x = (torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    >>> table = train_surrogate(GrainUNet(4, 2, generator=0), x, x, iterations=60, batch=4, lr=0.02)
    >>> bool(table["value"].iloc[-1] < table["value"].iloc[0])  # it learns to copy
    True
    """
    for name, value in (("x", x), ("y", y)):
        _validate.float_tensor(name, value)
        if value.ndim != 4 or value.shape[1] != 1 or value.shape != x.shape or not len(value):
            raise ValueError(f"{name} must have shape (N, 1, n, n) like x {tuple(x.shape)}, got {tuple(value.shape)}")
        if not bool(((value >= 0) & (value <= 1)).all()):
            raise ValueError(f"{name} must lie in [0, 1], got {float(value.min()):g} .. {float(value.max()):g}")
    if (discriminator is None) != (adversarial is None):
        raise ValueError("discriminator and adversarial go together, got only one of them")
    for name, module in (("net", net), ("discriminator", discriminator)):
        if not isinstance(module, nn.Module) and not (name == "discriminator" and module is None):
            raise ValueError(f"{name} must be a torch module, got {type(module).__name__}")
    if adversarial is not None:
        _validate.function("adversarial", adversarial)
    _validate.same_kind(x=x, y=y, parameters=next(net.parameters(), x))
    iterations = _validate.positive_int("iterations", iterations)
    batch = min(_validate.positive_int("batch", batch), len(x))
    lr = _validate.real("lr", lr, 0, open_low=True)
    weight = _validate.real("weight", weight, 0)
    trainer = _Trainer(net, discriminator, adversarial, lr, weight, iterations)
    order = _batches(len(x), batch, _validate.random_source("seed", seed), x.device)
    rows, started, every = [], time.perf_counter(), max(1, iterations // 20)
    sums: dict[str, torch.Tensor] = {}
    net.train()
    for step in range(1, iterations + 1):
        chosen = next(order)
        for metric, value in trainer.step(x[chosen], y[chosen]).items():
            sums[metric] = sums.get(metric, 0.0) + value
        if step % every == 0:
            place = {"member": 0, "epoch": step * batch // len(x), "step": step, "split": "train"}
            seconds = time.perf_counter() - started
            means = {metric: (total / every).item() for metric, total in sums.items()}
            rows += [place | {"metric": metric, "value": mean, "seconds": seconds} for metric, mean in means.items()]
            if not all(map(math.isfinite, means.values())):
                message = f"a loss is not finite in the {every} step(s) up to {step}: training stops"
                warnings.warn(message, ConvergenceWarning, 2)
                break
            sums = {}
    else:
        if not all(bool(weights.isfinite().all()) for weights in net.parameters()):
            warnings.warn("the weights are not finite at the end", ConvergenceWarning, 2)
    net.eval()
    import pandas as pd

    return pd.DataFrame(rows, columns=["member", "epoch", "step", "split", "metric", "value", "seconds"])


class _Trainer:
    """One network, its optimizer, and a discriminator with its own if there is one."""

    def __init__(self, net, discriminator, adversarial, lr: float, weight: float, iterations: int):
        self.net, self.discriminator, self.adversarial, self.weight = net, discriminator, adversarial, weight
        # One operation for all weights: one for each takes half as long as a convolution.
        fused = {"fused": all(weight.device.type in ("cpu", "cuda") for weight in net.parameters())}
        self.optimizer = torch.optim.Adam(net.parameters(), lr, **fused)
        self.learning = [weight for weight in net.parameters() if weight.requires_grad]
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, iterations)
        if discriminator is not None:
            self.opponent = torch.optim.Adam(discriminator.parameters(), lr, betas=(0.5, 0.999), **fused)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        loss = functional.binary_cross_entropy_with_logits(logits, y)
        losses = {"cross entropy": loss.detach()}
        if self.discriminator is not None:
            fake = torch.cat([x, logits.sigmoid()], 1)
            real = self.discriminator(torch.cat([x, y], 1))
            loss_d = self._losses(real, self.discriminator(fake.detach()))[0]
            self.opponent.zero_grad()
            loss_d.backward()
            self.opponent.step()
            loss_g = self._losses(real.detach(), self.discriminator(fake))[1]
            loss = loss + self.weight * loss_g
            losses |= {"discriminator": loss_d.detach(), "generator": loss_g.detach()}
        self.optimizer.zero_grad()
        loss.backward(inputs=self.learning)  # the discriminator's weights are on the way, and stay as they are
        self.optimizer.step()
        self.schedule.step()
        return losses

    def _losses(self, real: torch.Tensor, fake: torch.Tensor) -> list[torch.Tensor]:
        """Means of the two losses: those of ``gans.gan_losses`` come one per image."""
        found = self.adversarial(real, fake)
        pair = isinstance(found, tuple | list) and len(found) == 2
        if not pair or not all(isinstance(loss, torch.Tensor) for loss in found):
            got = f"{len(found)} items" if isinstance(found, tuple | list) else type(found).__name__
            raise ValueError(f"adversarial must give a pair of tensors (loss_d, loss_g), got {got}")
        return [loss.mean() for loss in found]


def _batches(count: int, batch: int, source: torch.Generator, device: torch.device):
    """Index batches on a device, epoch after epoch."""
    while True:
        order = torch.randperm(count, generator=source, device=source.device).to(device)
        for first in range(0, count - batch + 1, batch):
            yield order[first : first + batch]


def boundary_f1(pred: torch.Tensor, target: torch.Tensor, *, tolerance: int = 0) -> torch.Tensor:
    """F1 of boundary pixels: bool (..., n, n) and (..., n, n) -> (...) float32; 1 where both are empty.

    With ``tolerance`` > 0 a pixel counts as found if the other map has one within so many pixels (in both directions,
    on the torus); F1 is then the harmonic mean of that precision and recall.

    Raises ``ValueError`` for maps that are not bool, shapes that differ, a negative tolerance.

    Examples
    --------
    >>> import torch
    >>> pred, target = torch.zeros(2, 6, 6, dtype=torch.bool)
    >>> pred[:, 2], target[:, 3] = True, True
    >>> boundary_f1(pred, target).item(), boundary_f1(pred, target, tolerance=1).item()
    (0.0, 1.0)
    """
    for name, value in (("pred", pred), ("target", target)):
        _validate.boolean_tensor(name, value, 2)
    if pred.shape[-2:] != target.shape[-2:]:
        raise ValueError(f"pred and target differ in size: {tuple(pred.shape)} and {tuple(target.shape)}")
    _validate.broadcast(pred=pred.shape[:-2], target=target.shape[:-2])
    tolerance = _validate.positive_int("tolerance", tolerance, 0)
    axes = (-2, -1)
    claimed, real = pred.sum(axes).float(), target.sum(axes).float()
    precise = (pred & _dilated(target, tolerance)).sum(axes) / claimed.clamp(min=1)
    recalled = (target & _dilated(pred, tolerance)).sum(axes) / real.clamp(min=1)
    f1 = 2 * precise * recalled / (precise + recalled).clamp(min=1e-12)
    return torch.where(claimed + real == 0, 1.0, f1)


def _dilated(maps: torch.Tensor, tolerance: int) -> torch.Tensor:
    """True within ``tolerance`` pixels (a square) of a True pixel, on the torus."""
    for axis in (-2, -1):
        reach = min(tolerance, maps.shape[axis] // 2)  # further shifts come round again
        maps = torch.stack([maps.roll(step, axis) for step in range(-reach, reach + 1)]).any(0)
    return maps


def best_cut(logits: torch.Tensor, target: torch.Tensor) -> float:
    """The logit above which to call a pixel boundary, of -2, -1.9 ... 1, that maximizes the mean F1 on these maps.

    ``logits (..., n, n)`` and bool ``target`` of one shape, not empty, else ``ValueError``. Choose it on maps that are
    neither trained nor tested on.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[[-1.0, -1.0], [0.5, -1.0]]])
    >>> cut = best_cut(logits, logits > 0)
    >>> -1.0 <= cut < 0.5
    True
    """
    _validate.float_tensor("logits", logits, 2)
    if logits.shape != _validate.boolean_tensor("target", target, 2).shape or not logits.numel():
        raise ValueError(f"logits and target must have one shape, got {tuple(logits.shape)} and {tuple(target.shape)}")
    cuts = [step / 10 for step in range(-20, 11)]
    return max(cuts, key=lambda cut: boundary_f1(logits > cut, target).mean().item())


def boundary_sharpness(probability: torch.Tensor) -> torch.Tensor:
    """Gradient energy of maps in [0, 1]: the mean of squared differences of neighbours, (..., n, n) -> (...).

    Raises ``ValueError`` for maps that are not floating or have no pixels.

    Examples
    --------
    >>> import torch
    >>> crisp, grey = torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.full((2, 2), 0.5)
    >>> bool(boundary_sharpness(crisp) > boundary_sharpness(grey)), boundary_sharpness(grey).item()
    (True, 0.0)
    """
    _validate.float_tensor("probability", probability, 2)
    if 0 in probability.shape[-2:]:
        raise ValueError(f"probability must have pixels, got shape {tuple(probability.shape)}")
    return sum((probability - probability.roll(1, axis)).square().mean((-2, -1)) for axis in (-2, -1))
