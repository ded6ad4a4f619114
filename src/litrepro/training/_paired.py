"""PSGD against SGD in pairs: the same initial weights, batches and dropout masks, only the noise differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro._resume import check_same_run, summary, write_state
from litrepro.nets import StackedMLP
from litrepro.optim import PSGD
from litrepro.training._arguments import labelled, seed_list

if TYPE_CHECKING:
    import pandas as pd


def train_paired_psgd(
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    conditions: Sequence[tuple[str, float]],
    *,
    seeds: Sequence[int],
    hidden: Sequence[int] = (128, 32),
    activation: Sequence[str] = ("sigmoid", "relu"),
    dropout: Sequence[float] = (0.25, 0.0),
    lr: float,
    batch: int,
    steps: int,
    eval_every: int,
    checkpoint: Path | None = None,
    progress: Any = iter,
) -> pd.DataFrame:
    """Train one perceptron per seed and condition, all stacked (cross-entropy, Glorot initialization).

    Parameters
    ----------
    train, test
        (x (n, d), y (n,)) on the device of the run.
    conditions
        (kind, r): ``("none", 0)``, ``("gaussian", r)`` for noise N(0, r^2/D I) over all D parameters, or
        ``("coordinate", r)`` for N(0, r^2 I).
    seeds
        Weights, batches, dropout masks and the direction of the noise derive from these alone; within a seed all
        conditions share them.
    steps, eval_every
        Length of the run; losses and accuracies are recorded at step 0, every so many steps, and at the end.
    checkpoint
        File that is written at every record and read back if it fits: an interrupted run continues.

    Returns
    -------
    DataFrame ``kind, r, seed, step, train_loss, test_loss, test_accuracy, gradient_norm``; the norm is that of the
    mini-batch gradient before the step at which the record was made (nan at step 0).

    Raises ``ValueError`` for data that do not fit, no conditions or seeds, an unknown kind, r < 0, sizes < 1, and a
    checkpoint of another run or other data.

    Examples
    --------
    >>> import torch
    >>> data = torch.rand(20, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    >>> options = {"seeds": [0, 1], "hidden": (3, 3), "lr": 0.1, "batch": 5, "steps": 4, "eval_every": 2}
    >>> table = train_paired_psgd(data, data, [("none", 0), ("gaussian", 0.1)], **options)
    >>> len(table), table["step"].unique().tolist()  # 2 conditions, 2 seeds, 3 records
    (12, [0, 2, 4])
    """
    conditions = [_condition(value) for value in _validate.sequence("conditions", conditions)]
    seeds, hidden = seed_list(seeds), _validate.sequence("hidden", hidden, 0)
    train = labelled("train", train)
    test = labelled("test", test, features=train[0].shape[1], classes=int(train[1].max()) + 1)
    _validate.same_kind(train=train[0], test=test[0])
    _validate.function("progress", progress)
    checkpoint = _validate.optional_path("checkpoint", checkpoint)
    _validate.positive_int("steps", steps)
    _validate.positive_int("eval_every", eval_every)
    batch = min(_validate.positive_int("batch", batch), len(train[0]))
    model, optimizer = _setup(train, conditions, seeds, hidden, activation, dropout, lr)
    sizes = {"steps": int(steps), "batch": int(batch), "eval_every": int(eval_every), "lr": float(lr)}
    nets = {"hidden": [int(width) for width in hidden], "activation": activation, "dropout": dropout}
    about = {} if checkpoint is None else _describe(train, test, conditions, seeds, sizes | nets)
    rows, first = _resume(model, optimizer, checkpoint, about)
    batches = _Batches(len(train[0]), seeds, batch, train[0].device)
    norm = torch.full((model.trials,), torch.nan, device="cpu")
    copies = len(conditions)
    for step in progress(range(first, steps + 1)):
        recorded = bool(rows) and rows[-1]["step"] == step  # that of the checkpoint, gradient's norm included
        if (step % eval_every == 0 or step == steps) and not recorded:
            rows.append(_measure(model, train, test) | {"step": step, "gradient_norm": norm.tolist()})
            _save(model, optimizer, checkpoint, rows, step, about)
        if step < steps:
            _step(model, optimizer, train, batches.at(step), copies)
            if (step + 1) % eval_every == 0 or step + 1 == steps:
                norm = _gradient_norm(model)
    return _tidy(rows, conditions, seeds)


def _condition(value: Any) -> tuple[str, float]:
    parts = _validate.sequence("conditions", value)
    if len(parts) != 2:
        raise ValueError(f"conditions must be pairs (kind, r), got {value!r}")
    _validate.real("r", parts[1], 0)
    return _validate.choice("kind", parts[0], ("none", "gaussian", "coordinate")), parts[1]


def _setup(train, conditions, seeds, hidden, activation, dropout, lr):
    """One stacked network per (condition, seed), equal weights and masks per seed, and its optimizer."""
    classes = int(train[1].max()) + 1
    widths = (train[0].shape[1], *hidden, classes)
    copies = len(conditions)
    settings = {"activation": activation, "dropout": dropout, "init": "glorot"}
    masks = torch.Generator().manual_seed(sum(seeds))
    model = StackedMLP(
        widths, trials=copies * len(seeds), mask_groups=list(seeds) * copies, generator=masks, **settings
    )
    singles = [StackedMLP(widths, generator=torch.Generator().manual_seed(seed), **settings) for seed in seeds]
    for target, *sources in zip(model.parameters(), *(single.parameters() for single in singles)):
        target.data = torch.cat([source.data for source in sources]).repeat(copies, *(1,) * (target.ndim - 1))
    model.to(train[0])
    count = sum(parameter[0].numel() for parameter in model.parameters())
    radii = [r * (count**0.5 if kind == "coordinate" else 1.0) for kind, r in conditions]
    radius = torch.tensor(radii, device=train[0].device).repeat_interleave(len(seeds))
    noise_source = torch.Generator(train[0].device).manual_seed(sum(seeds) + 1)
    groups = list(range(len(seeds))) * copies
    return model, PSGD(model.parameters(), lr, radius, batch_dims=1, generator=noise_source, noise_groups=groups)


class _Batches:
    """Mini-batches of every seed, epoch after epoch; the permutations of one epoch are kept."""

    def __init__(self, n: int, seeds: Sequence[int], batch: int, device: torch.device):
        self._n, self._seeds, self._batch, self._device = n, seeds, batch, device
        self._epoch, self._order = -1, torch.empty(0, device="cpu")

    def at(self, step: int) -> torch.Tensor:
        """Sample indices (S, batch) of a step."""
        epoch, place = divmod(step, self._n // self._batch)
        if epoch != self._epoch:
            sources = (torch.Generator().manual_seed(seed * 100_003 + epoch) for seed in self._seeds)
            orders = [torch.randperm(self._n, generator=source, device="cpu") for source in sources]
            self._epoch, self._order = epoch, torch.stack(orders).to(self._device)
        return self._order[:, place * self._batch : (place + 1) * self._batch]


def _step(model: StackedMLP, optimizer: PSGD, train: tuple, chosen: torch.Tensor, copies: int) -> None:
    """One step of every member on its seed's batch; ``chosen`` are indices (seeds, batch), used by all conditions."""
    x, y = train
    model.train()
    optimizer.zero_grad()
    scores = model(x[chosen].repeat(copies, 1, 1))
    each = functional.cross_entropy(scores.flatten(0, 1), y[chosen].repeat(copies, 1).flatten(), reduction="none")
    (each.sum() / chosen.shape[1]).backward()
    optimizer.step()


def _gradient_norm(model: StackedMLP) -> torch.Tensor:
    """Norm of every member's last gradient, (trials,)."""
    return sum(parameter.grad.flatten(1).square().sum(1) for parameter in model.parameters()).sqrt().detach()


@torch.no_grad()
def _measure(model: StackedMLP, train: tuple, test: tuple) -> dict[str, list[float]]:
    """Loss on both sets and test accuracy of every member, without dropout."""
    model.eval()
    found: dict[str, list[float]] = {}
    for name, (x, y) in (("train", train), ("test", test)):
        loss, right = torch.zeros(model.trials, device=x.device), torch.zeros(model.trials, device=x.device)
        for part in torch.arange(len(x), device=x.device).split(2000):
            scores = model(x[part])
            labels = y[part].expand(model.trials, -1)
            each = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none")
            loss += each.reshape(labels.shape).sum(1)
            right += (scores.argmax(-1) == labels).sum(1)
        found[f"{name}_loss"] = (loss / len(x)).tolist()
        if name == "test":
            found["test_accuracy"] = (right / len(x)).tolist()
    return found


def _describe(train: tuple, test: tuple, conditions: list, seeds: list, settings: dict[str, Any]) -> dict[str, Any]:
    """What two runs must share to be one run."""
    about = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    about |= {"conditions": [[kind, float(r)] for kind, r in conditions], "seeds": [int(seed) for seed in seeds]}
    shapes = {f"shape of {name}": list(x.shape) for name, (x, _) in (("train", train), ("test", test))}
    return about | shapes | {"data": [summary(part) for part in (*train, *test)]}


def _save(
    model: StackedMLP, optimizer: PSGD, checkpoint: Path | None, rows: list, step: int, about: dict[str, Any]
) -> None:
    if checkpoint is None:
        return
    state = {
        "model": model.state_dict(),
        "dropout": model.noise_state(),
        "noise": optimizer.generator.get_state(),
        "rows": rows,
        "step": step,
        "run": about,
    }
    write_state(checkpoint, state)


def _resume(model: StackedMLP, optimizer: PSGD, checkpoint: Path | None, about: dict[str, Any]) -> tuple[list, int]:
    """Rows recorded so far and the step to go on with; nothing and 0 without a checkpoint of the same run."""
    if checkpoint is None or not checkpoint.exists():
        return [], 0
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    # Older files know their number of steps and their shapes alone.
    check_same_run(checkpoint, state.get("run", {"steps": state.get("steps")}), about)
    shapes = {name: value.shape for name, value in state["model"].items()}
    if shapes != {name: value.shape for name, value in model.state_dict().items()}:
        raise ValueError(
            f"{checkpoint} must belong to this run, but its networks have other shapes: delete it to start afresh"
        )
    model.load_state_dict(state["model"])
    model.set_noise_state(state["dropout"])
    optimizer.generator.set_state(state["noise"])
    return state["rows"], state["step"]


def _tidy(rows: list[dict], conditions: Sequence[tuple[str, float]], seeds: Sequence[int]) -> pd.DataFrame:
    import pandas as pd

    members = [(kind, float(r), int(seed)) for kind, r in conditions for seed in seeds]
    frames = []
    for row in rows:
        frame = pd.DataFrame(members, columns=["kind", "r", "seed"]).assign(step=row["step"])
        names = ("train_loss", "test_loss", "test_accuracy", "gradient_norm")
        frames.append(frame.assign(**{name: row[name] for name in names}))
    return pd.concat(frames, ignore_index=True)
