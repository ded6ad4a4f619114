"""Robust training of many perceptrons at once: seeds, radii and schedules are members of one stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.nets import StackedMLP
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._gradient_attacks import pgd_from, signed_step
from litrepro.robustness._intervals import propagate
from litrepro.training import batches

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("standard", "fgsm", "pgd", "ibp")


def train_robust(
    train: tuple[torch.Tensor, torch.Tensor],
    widths: Sequence[int],
    *,
    method: str,
    eps: Sequence[float],
    seeds: Sequence[int],
    ramps: Sequence[tuple[float, float]] | None = None,
    epochs: int,
    batch_size: int = 100,
    lr: float = 1e-3,
    attack_steps: int = 7,
    kappa: float = 0.5,
    callback: Callable[[int, StackedMLP], Any] | None = None,
    progress: Any = iter,
) -> StackedMLP:
    """Train M perceptrons against l_inf perturbations of inputs in [0, 1], with Adam, all in one stack.

    Parameters
    ----------
    train
        (x (n, d) in [0, 1], y (n,)) on the device of the run.
    widths
        d, hidden widths, number of classes.
    method
        ``"standard"``; ``"fgsm"`` and ``"pgd"`` take the gradient at attacked inputs (the latter ``attack_steps`` steps
        from a random start, Madry et al. 2017); ``"ibp"`` minimizes kappa CE + (1 - kappa) CE of the interval margins
        (Gowal et al. 2018).
    eps, seeds
        M radii and M seeds: a seed gives a member's weights, its order of examples and the random starts of "pgd".
    ramps
        M pairs (start, end) in fractions of the run between which the radius grows from 0 to eps; (0, 0) trains at
        eps at once. Default: (0, 0.5) for all. With "ibp" the weight of the plain loss falls from 1 to kappa along.
    callback
        ``callback(epoch, model)`` after every epoch.

    Returns
    -------
    StackedMLP of M members; each is what it would be alone, up to rounding.

    Raises
    ------
    ValueError
        Unknown method, lengths that differ, eps < 0, ramps outside [0, 1], sizes < 1, lr <= 0, x outside [0, 1].

    Examples
    --------
    >>> x, y = torch.rand(20, 4), torch.arange(20) % 2
    >>> train_robust((x, y), (4, 3, 2), method="pgd", eps=[0.1, 0.2], seeds=[0, 0], epochs=1).trials
    2
    """
    x, y = arguments.pair("train", train)
    x = arguments.images(x, (0.0, 1.0)).flatten(1)
    y = arguments.labels(y, x)
    widths = _validate.sequence("widths", widths, 2)
    eps, seeds = _validate.sequence("eps", eps, 0), _validate.sequence("seeds", seeds, 0)
    seeds = [_validate.positive_int("a seed", seed, 0) for seed in seeds]
    _validate.choice("method", method, METHODS)
    epochs, attack_steps = _validate.positive_int("epochs", epochs), _validate.positive_int("steps", attack_steps)
    kappa, lr = _validate.real("kappa", kappa, 0, 1), _validate.real("lr", lr, 0, open_low=True)
    batch_size = _validate.positive_int("batch_size", batch_size)
    members = len(seeds)
    ramps = [(0.0, 0.5)] * members if ramps is None else _validate.sequence("ramps", ramps)
    if members == 0 or len(eps) != members or len(ramps) != members:
        raise ValueError(f"need one radius, seed and ramp per member, got {len(eps)}, {members} and {len(ramps)}")
    target = torch.tensor([_validate.real("eps", each, 0) for each in eps], dtype=x.dtype, device=x.device)
    for start, end in ramps:
        _validate.real("ramp", start, 0, _validate.real("ramp", end, 0, 1))
    model = stack([StackedMLP(widths, generator=torch.Generator().manual_seed(seed)) for seed in seeds]).to(x)
    # On a CPU the separate operations of Adam take a quarter of a step.
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=x.device.type in ("cpu", "cuda"))
    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    total, step = epochs * -(-len(x) // batch_size), 0
    for epoch in progress(range(epochs)):
        orders = [torch.stack(rows) for rows in zip(*(batches(len(x), batch_size, seed, epoch) for seed in seeds))]
        for rows in orders:
            share = _shares(ramps, step / total, x)
            inputs, labels = x[rows.to(x.device)], y[rows.to(x.device)]
            starts = _starts(noise, inputs) if method == "pgd" else None
            loss = _loss(model, inputs, labels, method, share * target, share, attack_steps, kappa, starts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        if callback is not None:
            callback(epoch + 1, model)
    return model


def stack(models: Sequence[StackedMLP]) -> StackedMLP:
    """One stack of all members of ``models``, which share their widths."""
    whole = StackedMLP(models[0].widths, trials=sum(model.trials for model in models))
    for target, *parts in zip(whole.parameters(), *(model.parameters() for model in models)):
        target.data = torch.cat([part.data for part in parts])
    return whole


def member_layers(model: StackedMLP, member: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """One member of a stack as the ``[(W (h', h), b (h'))]`` that certificates take, float64, detached.

    Raises ``ValueError`` for what is no stack and a member that is not there.

    Examples
    --------
    >>> [tuple(W.shape) for W, b in member_layers(StackedMLP((4, 3, 2), trials=5), 0)]
    [(3, 4), (2, 3)]
    """
    if _validate.positive_int("member", member, 0) >= _stacked(model).trials:
        raise ValueError(f"member must lie in 0..{model.trials - 1}, got {member}")
    pairs = zip(model.weights, model.biases)
    return [(W.detach()[member].mT.double(), b.detach()[member, 0].double()) for W, b in pairs]


def _stacked(model: Any) -> StackedMLP:
    if not isinstance(model, StackedMLP):
        raise ValueError(f"model must be a StackedMLP, got {type(model).__name__}")
    return model


def member_network(model: StackedMLP, member: int) -> nn.Sequential:
    """One member of a stack as ``nn.Sequential`` of Flatten, Linear and ReLU, its weights copied.

    Raises ``ValueError`` for what is no stack and a member that is not there.

    Examples
    --------
    >>> member_network(StackedMLP((4, 3, 2), trials=5), 0)(torch.rand(7, 2, 2)).shape
    torch.Size([7, 2])
    """
    modules: list[nn.Module] = [nn.Flatten()]
    for number, (W, b) in enumerate(member_layers(model, member)):
        modules += [nn.ReLU()] if number else []
        linear = nn.Linear(W.shape[1], W.shape[0], device=W.device, dtype=model.weights[0].dtype)
        linear.weight.data.copy_(W)
        linear.bias.data.copy_(b)
        modules.append(linear)
    return nn.Sequential(*modules)


def robust_accuracy(
    model: StackedMLP,
    data: tuple[torch.Tensor, torch.Tensor],
    eps: float | Sequence[float],
    *,
    metrics: Sequence[str] = ("clean", "fgsm", "pgd", "verified"),
    attack_steps: int = 40,
    chunk: int = 1000,
) -> pd.DataFrame:
    """Accuracy of every member under attack, and the share of examples that intervals certify.

    Parameters
    ----------
    model
        Stack of M members.
    data
        (x (n, d) in [0, 1], y (n,)).
    eps
        l_inf radius, one for all members or M.
    metrics
        Of ``"clean"``, ``"fgsm"``, ``"pgd"`` (``attack_steps`` steps from a random start, for an example the same
        point of the ball of every member) and ``"verified"`` (interval margins, a lower bound of the accuracy under any
        attack).
    chunk
        Examples that are attacked at once; the values do not depend on it, up to rounding.

    Returns
    -------
    DataFrame ``member, eps, metric, value``.

    Raises
    ------
    ValueError
        Unknown metrics, radii that do not fit or are negative, x outside [0, 1].

    Examples
    --------
    >>> data = torch.rand(10, 4), torch.arange(10) % 2
    >>> robust_accuracy(StackedMLP((4, 3, 2), trials=2), data, 0.1, attack_steps=1).shape
    (8, 4)
    """
    import pandas as pd

    _stacked(model)
    x, y = arguments.pair("data", data)
    x = arguments.images(x, (0.0, 1.0)).flatten(1)
    y = arguments.labels(y, x)
    metrics = _validate.sequence("metrics", metrics)
    attack_steps, chunk = (
        _validate.positive_int(name, value) for name, value in (("attack_steps", attack_steps), ("chunk", chunk))
    )
    if not len(x):
        raise ValueError("data must hold at least one example")
    radii = arguments.radius(eps, x.new_empty(model.trials))
    for metric in metrics:
        _validate.choice("metric", metric, ("clean", "fgsm", "pgd", "verified"))
    right = {metric: torch.zeros(model.trials, device="cpu") for metric in metrics}
    noise = [torch.Generator().manual_seed(0)]
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk].expand(model.trials, -1, -1)
        labels = y[start : start + chunk].expand(model.trials, -1)
        starts = _starts(noise, part[:1]) if "pgd" in right else None
        for metric in right:
            right[metric] += _correct(model, part, labels, radii, metric, attack_steps, starts).sum(1).cpu()
    rows = [
        (member, float(radii[member]), metric, float(count[member]) / len(x))
        for metric, count in right.items()
        for member in range(model.trials)
    ]
    return pd.DataFrame(rows, columns=["member", "eps", "metric", "value"])


# --- a stack seen as one model over M n examples -------------------------------------------------------------------


def _flat(model: StackedMLP) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda z: model(z.reshape(model.trials, -1, z.shape[-1])).flatten(0, 1)


def _starts(generators: Sequence[torch.Generator], x: torch.Tensor) -> torch.Tensor:
    """Uniform points of [-1, 1]^d for x (M, n, d), those of a member from its own generator."""
    unit = torch.empty(x.shape, dtype=x.dtype, device="cpu")
    for rows, generator in zip(unit, generators, strict=True):
        rows.uniform_(generator=generator)
    return 2 * unit.to(x.device) - 1


def _attacked(model, x, y, eps, method, steps, starts) -> torch.Tensor:
    """x (M, n, d) attacked member by member with radii (M,), as one batch; starts (M or 1, n, d) in units of them."""
    radii = eps.repeat_interleave(x.shape[1])
    if method == "fgsm":
        found = signed_step(_flat(model), x.flatten(0, 1), y.flatten(), radii)
    else:
        start = (starts * eps[:, None, None]).flatten(0, 1)
        found = pgd_from(start, _flat(model), x.flatten(0, 1), y.flatten(), radii, steps)
    return found.reshape(x.shape)


def _loss(model, x, y, method, eps, share, steps, kappa, starts) -> torch.Tensor:
    """Sum over members of their batch losses; members share no parameter, so that it gives each its own gradient."""
    if method in ("fgsm", "pgd"):
        x = _attacked(model, x, y, eps, method, steps, starts)
    if method != "ibp":
        return _cross_entropy(model(x), y).mean(1).sum()
    plain = 1 - share * (1 - kappa)
    worst = _cross_entropy(-stacked_margins(model, x, y, eps), y).mean(1)
    return (plain * _cross_entropy(model(x), y).mean(1) + (1 - plain) * worst).sum()


def _cross_entropy(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(scores.flatten(0, 1), y.flatten(), reduction="none").reshape(y.shape)


def stacked_margins(model: StackedMLP, x: torch.Tensor, y: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """``ibp_margins`` of every member: x (M, n, d), y (M, n), eps (M,) to (M, n, K)."""
    radius = eps[:, None, None]
    low, high = (x - radius).clamp(0, 1), (x + radius).clamp(0, 1)
    layers = [(weight.mT, bias) for weight, bias in zip(model.weights, model.biases)]
    if len(layers) > 1:
        low, high = (bound.relu() for bound in propagate(layers[:-1], low, high)[-1])
    weight, bias = layers[-1]
    middle, spread = (low + high) / 2, (high - low) / 2
    logits = middle @ weight.mT + bias
    columns = weight.mT  # (M, h, K): for every pair of classes, of which each example takes those of its label
    gaps = (columns[..., :, None] - columns[..., None, :]).abs().flatten(2)
    reach = (spread @ gaps).unflatten(2, (weight.shape[1], -1))  # (M, n, K, K)
    reach = reach.gather(2, y[..., None, None].expand(-1, -1, 1, weight.shape[1]))[:, :, 0]
    return logits.gather(2, y[..., None]) - logits - reach


def _shares(ramps: Sequence[tuple[float, float]], t: float, x: torch.Tensor) -> torch.Tensor:
    shares = [1.0 if t >= end else max(0.0, t - start) / (end - start) for start, end in ramps]
    return torch.tensor(shares, dtype=x.dtype, device=x.device)


def _correct(model, x, y, eps, metric, steps, starts) -> torch.Tensor:
    if metric == "verified":
        with torch.no_grad():
            margins = stacked_margins(model, x, y, eps)
        return (margins > 0).scatter(2, y[..., None], True).all(2)
    if metric != "clean":
        x = _attacked(model, x, y, eps, metric, steps, starts)
    with torch.no_grad():
        return model(x).argmax(2) == y
