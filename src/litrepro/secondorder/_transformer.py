"""A small character transformer of one flat weight vector, and its next-character problem."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro.secondorder._problems import FlatProblem


def character_problem(
    text: str,
    *,
    context: int = 64,
    width: int = 256,
    layers: int = 4,
    heads: int = 4,
    train: int = 16_000,
    test: int = 500,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> FlatProblem:
    """Predict each next character of windows of ``text`` with a causal transformer (layer norm first, GELU).

    Windows of ``context`` characters are drawn at random from the first nine tenths of the text for training and from
    the rest for testing. Attention is written out: it has to be differentiated twice. The score is minus the mean loss.

    Raises ``ValueError`` for a text that is too short, a width that heads do not divide, and counts < 1.

    Examples
    --------
    >>> problem = character_problem("to be or not to be " * 9, context=8, width=8, layers=1, heads=2, train=5, test=2)
    >>> problem.model(problem.start([0])[0], problem.train[0]).shape
    torch.Size([5, 8, 7])
    """
    for name, value in (("context", context), ("width", width), ("layers", layers), ("heads", heads),
                        ("train", train), ("test", test)):  # fmt: skip
        _validate.positive_int(name, value)
    if width % heads:
        raise ValueError(f"heads must divide width, got {heads} and {width}")
    if not isinstance(text, str):
        raise ValueError(f"text must be a str, got {type(text).__name__}")
    if len(text) < 10 * (context + 1):
        raise ValueError(f"the text must have at least {10 * (context + 1)} characters, got {len(text)}")
    alphabet = sorted(set(text))
    position = {character: index for index, character in enumerate(alphabet)}
    codes = torch.tensor([position[character] for character in text], device=device)
    cut = len(codes) * 9 // 10
    generator = torch.Generator().manual_seed(seed)
    sets = []
    for part, count in ((codes[:cut], train), (codes[cut:], test)):
        starts = torch.randint(len(part) - context, (count, 1), generator=generator, device="cpu").to(device)
        rows = part[starts + torch.arange(context + 1, device=device)]
        sets.append((rows[:, :-1], rows[:, 1:]))
    model, start = _transformer(len(alphabet), context, width, layers, heads, device)

    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (torch.logsumexp(outputs, -1) - outputs.gather(-1, y[..., None])[..., 0]).mean()

    def score(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            values = [-loss(model(each, x), y) for each in w.reshape(-1, w.shape[-1])]
        return torch.stack(values).reshape(w.shape[:-1])

    return FlatProblem("tiny Shakespeare", model, loss, start, *sets, score)


def _transformer(symbols: int, context: int, width: int, layers: int, heads: int, device):
    shapes = [(symbols, width), (context, width)]
    for _ in range(layers):
        shapes += [(width, 3 * width), (width, width), (width, 4 * width), (4 * width,), (4 * width, width), (width,)]
    shapes += [(width, symbols)]
    sizes = [math.prod(shape) for shape in shapes]

    def model(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        parts = [piece.reshape(shape) for piece, shape in zip(w.split(sizes), shapes)]
        length = x.shape[-1]
        mask = torch.ones(length, length, dtype=torch.bool, device=w.device).triu(1)
        u = parts[0][x] + parts[1][:length]
        for layer in range(layers):
            qkv, mix, rise, rise_bias, fall, fall_bias = parts[2 + 6 * layer : 8 + 6 * layer]
            normal = functional.layer_norm(u, (width,))
            q, k, v = (part.unflatten(-1, (heads, -1)).transpose(-2, -3) for part in (normal @ qkv).chunk(3, -1))
            scores = (q @ k.mT / math.sqrt(width // heads)).masked_fill(mask, -1e9)
            u = u + (scores.softmax(-1) @ v).transpose(-2, -3).flatten(-2) @ mix
            hidden = functional.gelu(functional.layer_norm(u, (width,)) @ rise + rise_bias, approximate="tanh")
            u = u + hidden @ fall + fall_bias
        return functional.layer_norm(u, (width,)) @ parts[-1]

    def start(seeds: Sequence[int]) -> torch.Tensor:
        members = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            pieces = []
            for shape in shapes:
                scale = 0.5 / math.sqrt(shape[0]) if len(shape) > 1 else 0.0
                pieces.append(torch.randn(shape, generator=generator, device="cpu") * scale)
            pieces[0], pieces[1] = (0.1 * torch.randn(shape, generator=generator, device="cpu") for shape in shapes[:2])
            members.append(torch.cat([piece.flatten() for piece in pieces]))
        return torch.stack(members).to(device)

    return model, start
