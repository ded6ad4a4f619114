"""SGD whose every step is perturbed, as an optimizer of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from litrepro import _validate
from litrepro.optim._groups import known_settings, plain
from litrepro.optim._noise import KINDS, check_radius, noise
from litrepro.optim._steps import expand_lr


class PSGD(torch.optim.Optimizer):
    """Perturbed SGD for networks: p <- p - lr (g + xi), one joint noise vector per trial over a group's parameters.

    Parameters
    ----------
    params
        Parameters or groups; with ``batch_dims`` leading dimensions that count trials.
    lr, radius
        Numbers, or tensors of at most ``batch_dims`` dimensions: per trial. Trials of radius 0 draw nothing, so the
        noise of one depends on how many with a positive radius there are, and which of them it is. A schedule may take
        lr to 0.
    kind
        As in ``noise``; d is the number of a trial's parameters in the group, frozen and gradient-less ones left out.
    generator
        Source of the noise; one seeded with 0 if None. Where it stands is part of the state: a restored one continues
        the same run.
    noise_groups
        One number per trial (``batch_dims=1``): trials with equal numbers get the same noise up to their radius, so
        that radii compare on equal terms. None: every trial its own.

    Raises ``ValueError`` for an unknown kind, lr and radius out of range or of the wrong shape, another setting of a
    group, a group's parameters of different batch dimensions, and ``noise_groups`` that are not one per trial.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> (w.square().sum() / 2).backward()
    >>> PSGD([w], lr=0.5, radius=2.0, kind="sphere").step()
    >>> round((w.detach() - 0.5).norm().item(), 4)  # the noise times lr
    1.0
    """

    def __init__(
        self,
        params: Any,
        lr: float | torch.Tensor,
        radius: float | torch.Tensor,
        *,
        kind: str = "gaussian",
        batch_dims: int = 0,
        generator: torch.Generator | int | None = None,
        noise_groups: Sequence[int] | None = None,
    ):
        self.batch_dims = _validate.positive_int("batch_dims", batch_dims, 0)
        self.generator = _validate.random_source("generator", generator)
        self._members: torch.Tensor | None = None  # the noise vector of every trial, where they are shared
        self._groups = 0  # how many such vectors there are
        if noise_groups is not None:
            groups = _validate.sequence("noise_groups", noise_groups)
            if self.batch_dims != 1:
                raise ValueError(f"noise_groups needs batch_dims=1, got {batch_dims}")
            order = {group: index for index, group in enumerate(dict.fromkeys(groups))}
            self._members, self._groups = torch.tensor([order[group] for group in groups], device="cpu"), len(order)
        self._rows: dict[int, tuple[torch.Tensor, int, torch.Tensor | None]] = {}  # the last radius of every group
        super().__init__(params, {"lr": lr, "radius": radius, "kind": kind})

    def __getstate__(self) -> dict[str, Any]:  # of a copy; torch's own leaves out what is ours
        own = {name: getattr(self, name) for name in ("batch_dims", "generator", "_members", "_groups")}
        return super().__getstate__() | own | {"_rows": {}}

    def state_dict(self) -> dict[str, Any]:
        """The state of torch's optimizers, and that of the generator, a byte tensor on the CPU."""
        return super().state_dict() | {"generator": self.generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state; one that holds no generator leaves the generator as it is.

        Raises ``ValueError`` where the generator belongs to another kind of device, whose states are different.
        """
        source = state_dict.get("generator")
        if source is not None:
            source = source.cpu()  # wherever the file was loaded to
            try:
                torch.Generator(self.generator.device).set_state(source)  # a trial: nothing is half restored
            except RuntimeError as error:
                device = self.generator.device
                raise ValueError(f"generator must be on the device of the saved one, got one on {device}") from error
        super().load_state_dict(state_dict)
        if source is not None:
            self.generator.set_state(source)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, which may have its own lr, radius and kind; they are checked."""
        known_settings(param_group, ("lr", "radius", "kind"))
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        group.update(lr=plain(group["lr"]), radius=plain(group["radius"]))
        try:
            self._check_group(group)
        except ValueError:
            self.param_groups.pop()
            raise

    def _check_group(self, group: dict[str, Any]) -> None:
        _validate.choice("kind", group["kind"], KINDS)
        batches = [tuple(parameter.shape[: self.batch_dims]) for parameter in group["params"]]
        for parameter, batch in zip(group["params"], batches):
            if len(batch) < self.batch_dims:
                raise ValueError(f"a parameter must have {self.batch_dims} batch dimensions, got shape {batch}")
            expand_lr(group["lr"], parameter, self.batch_dims)
            check_radius(group["radius"], (*batch, 1), parameter.dtype, parameter.device)
            if self._members is not None and len(self._members) != batch[0]:
                raise ValueError(f"noise_groups needs one entry per trial ({batch[0]}), got {len(self._members)}")
        if len(set(batches)) > 1:
            raise ValueError(f"parameters of a group must have the same batch dimensions, got {sorted(set(batches))}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``closure`` is called once and its value returned."""
        value = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            self._step_group(group)
        return value

    def _step_group(self, group: dict[str, Any]) -> None:
        active = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not active:
            return
        first = active[0]
        sizes = [math.prod(parameter.shape[self.batch_dims :]) for parameter in active]
        shape = (*first.shape[: self.batch_dims], sum(sizes))
        rows = None if self._members is not None else self._noisy(group, shape, first.device)
        joint = self._joint(group["kind"], shape if rows is None else (len(rows), shape[-1]), first)
        for parameter, part in zip(active, joint.split(sizes, dim=-1)):
            step_size = expand_lr(group["lr"], parameter, self.batch_dims, check=False)
            scale = _scale(group["radius"], parameter.shape, first) * step_size
            if isinstance(step_size, torch.Tensor):
                parameter.sub_(step_size * parameter.grad)
            else:
                parameter.sub_(parameter.grad, alpha=step_size)
            if rows is None:
                parameter.sub_(scale * part.reshape(parameter.shape))
                continue
            inner = parameter.shape[self.batch_dims :]
            scale = scale.expand(*parameter.shape[: self.batch_dims], *(1,) * len(inner)).reshape(-1)[rows]
            flat = parameter.reshape(-1, *inner)  # a copy only where strides leave no other way
            flat.index_add_(0, rows, (part * -scale[:, None]).reshape(-1, *inner))
            if flat.data_ptr() != parameter.data_ptr():
                parameter.copy_(flat.view_as(parameter))

    def _joint(self, kind: str, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """Noise of size one, (..., d); trials of one of ``noise_groups`` get the same."""
        drawn = shape if self._members is None else (self._groups, shape[-1])
        joint = noise(kind, drawn, 1.0, generator=self.generator, dtype=like.dtype, device=like.device)
        if self._members is None:
            return joint
        if len(joint) == 1:
            return joint.expand(shape)  # indexing would copy it for every trial
        self._members = self._members.to(like.device)
        return joint[self._members]

    def _noisy(self, group: dict[str, Any], shape: tuple[int, ...], device: torch.device) -> torch.Tensor | None:
        """Flat indices of the trials with a positive radius, looked up once per radius; None where all have one.

        Half of a paired comparison is plain SGD, and drawing noise costs as much as the gradient of a small network.
        """
        radius = group["radius"]
        if not isinstance(radius, torch.Tensor) or radius.ndim == 0 or self.batch_dims == 0:
            return None
        known = self._rows.get(id(group))
        if known is None or known[0] is not radius or known[1] != radius._version:
            full = _scale(radius, shape, radius).expand(*shape[:-1], 1).reshape(-1)
            rows = full.nonzero().flatten().to(device)
            known = self._rows[id(group)] = radius, radius._version, None if len(rows) == len(full) else rows
        return None if known[2] is None else known[2].to(device)


def _scale(radius: float | torch.Tensor, shape: tuple[int, ...], like: torch.Tensor) -> float | torch.Tensor:
    """The radius against (..., d), already validated."""
    if not isinstance(radius, torch.Tensor) or radius.ndim == 0:
        return radius
    return radius.to(like).reshape(radius.shape + (1,) * (len(shape) - radius.ndim))
