"""A character model of a text by stacked perceptrons: which optimizer gives the lower perplexity on unseen text?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro.nets import StackedMLP
from litrepro.optim import Rule, Uniform
from litrepro.training._arguments import layer_widths

if TYPE_CHECKING:
    import pandas as pd


def train_characters(
    text: str,
    rules: Mapping[str, tuple[Rule | str, Sequence[float]]],
    *,
    context: int,
    hidden: Sequence[int],
    batch: int,
    steps: int,
    eval_every: int,
    seed: int = 0,
    held_out: float = 0.1,
    device: torch.device | str = "cpu",
    progress: Any = iter,
) -> pd.DataFrame:
    """Predict the next character from the last ``context`` ones, all step sizes of an optimizer at once.

    The members of a stack see the same batches and start from the same weights, so only the rule and its step size
    differ.

    Parameters
    ----------
    text
        The last ``held_out`` of it is the development set.
    rules
        From a name to the rule and its step sizes.
    hidden
        Widths of the hidden layers (ReLU).
    batch, steps
        Positions per step, drawn uniformly; number of steps.
    eval_every
        Perplexities are recorded at step 0, every so many steps, and at the end, on at most 20,000 positions.

    Returns
    -------
    DataFrame ``rule, lr, step, train_perplexity, dev_perplexity`` (exponential of the mean cross-entropy per
    character; inf once a run diverged).

    Raises ``ValueError`` for a text too short, rules that are no pairs by name, a rule without step
    sizes, held_out outside (0, 1), and sizes < 1.

    Examples
    --------
    >>> text = "abcdefgh" * 100  # the next character follows from the last one
    >>> options = {"context": 1, "hidden": [16], "batch": 32, "steps": 60, "eval_every": 60}
    >>> table = train_characters(text, {"Adam": ("adam", [0.05])}, **options)
    >>> table["step"].tolist(), bool(table["dev_perplexity"].iloc[-1] < 2)  # of 8 characters
    ([0, 60], True)
    """
    import pandas as pd

    context, batch = _validate.positive_int("context", context), _validate.positive_int("batch", batch)
    steps, eval_every = _validate.positive_int("steps", steps), _validate.positive_int("eval_every", eval_every)
    held_out = _validate.real("held_out", held_out, 0, 1, open_low=True, open_high=True)
    seed, device = _validate.seed("seed", seed), _validate.device("device", device)
    _validate.function("progress", progress)
    _validate.instance("text", text, str)
    rules = {name: _checked_rule(name, value) for name, value in _validate.instance("rules", rules, Mapping).items()}
    if not rules:
        raise ValueError("rules must hold at least one rule, got none")
    cut = int(len(text) * (1 - held_out))
    if min(cut, len(text) - cut) <= context:
        raise ValueError(f"the text of {len(text)} characters is too short for a context of {context}")
    alphabet = sorted(set(text))
    index = {character: number for number, character in enumerate(alphabet)}
    codes = torch.tensor([index[character] for character in text], device=device)
    parts = {"train": codes[:cut], "dev": codes[cut:]}
    hidden = _validate.sequence("hidden", hidden, 0)
    widths = layer_widths((context * len(alphabet), *hidden, len(alphabet)))
    rows = []
    for name, (rule, step_sizes) in rules.items():
        lr = torch.tensor(step_sizes, device=device)
        model = _equal_members(widths, len(lr), seed).to(device)
        optimizer = Uniform(model.parameters(), rule, lr, batch_dims=1)
        draws = torch.Generator().manual_seed(seed)
        for step in progress(range(steps + 1)):
            if step % eval_every == 0 or step == steps:
                found = {part: _perplexity(model, parts[part], context) for part in parts}
                rows += [
                    {"rule": name, "lr": value, "step": step, "train_perplexity": a, "dev_perplexity": b}
                    for value, a, b in zip(lr.tolist(), found["train"], found["dev"])
                ]
            if step < steps:
                at = torch.randint(context, cut, (batch,), generator=draws, device="cpu").to(device)
                optimizer.step(_closure(model, optimizer, *_windows(parts["train"], at, context, widths[-1])))
    return pd.DataFrame(rows)


def _checked_rule(name: str, value: Any) -> tuple[Rule | str, list[float]]:
    parts = _validate.sequence(f"rules[{name!r}]", value)
    if len(parts) != 2:
        raise ValueError(f"rules[{name!r}] must be a pair (rule, step sizes), got {len(parts)} item(s)")
    sizes = _validate.sequence(f"step sizes of {name!r}", parts[1])
    return parts[0], [_validate.real(f"step sizes of {name!r}", size) for size in sizes]


def _equal_members(widths: tuple[int, ...], copies: int, seed: int) -> StackedMLP:
    single = StackedMLP(widths, generator=torch.Generator().manual_seed(seed))
    model = StackedMLP(widths, trials=copies)
    for target, source in zip(model.parameters(), single.parameters()):
        target.data = source.data.repeat(copies, *(1,) * (source.ndim - 1))
    return model


def _windows(codes: torch.Tensor, at: torch.Tensor, context: int, letters: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places (k, context) of the ones in one-hot contexts before positions ``at`` (k,), and the characters there."""
    before = codes[at[:, None] + torch.arange(-context, 0, device=at.device)]
    return before + letters * torch.arange(context, device=at.device), codes[at]


def _losses(model: StackedMLP, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    scores = model.from_ones(x)
    labels = y.expand(scores.shape[:2])
    return functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1)


def _closure(model: StackedMLP, optimizer: Uniform, x: torch.Tensor, y: torch.Tensor):
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = _losses(model, x, y).sum()
        total.backward()
        return total

    return closure


@torch.no_grad()
def _perplexity(model: StackedMLP, codes: torch.Tensor, context: int) -> list[float]:
    """Perplexity of every member over (at most 20,000, evenly spread) positions."""
    count = min(20_000, len(codes) - context)
    at = torch.linspace(context, len(codes) - 1, count, device=codes.device).round().long()
    total = 0.0
    for part in at.split(2000):
        total = total + len(part) * _losses(model, *_windows(codes, part, context, model.widths[-1]))
    return [math.exp(v) if math.isfinite(v) and v < 700 else math.inf for v in (total / count).tolist()]
