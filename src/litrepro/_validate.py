"""Checks of arguments that every room needs: each returns its value, or says what it got and what it expected."""

from __future__ import annotations

import math
from typing import Any


def positive_int(name: str, value: Any, minimum: int = 1) -> int:
    """An integer of at least ``minimum`` (numpy's and 0-dim torch's too; a bool is none)."""
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        try:
            number = value.__index__()
        except TypeError:
            number = None
        if number is not None and number >= minimum:
            return number
    raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")


def real(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, open_low=False, open_high=False
) -> float:
    """A finite number between ``low`` and ``high``; the ends are excluded where they are open."""
    number = None
    if not isinstance(value, bool | str | complex):
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            number = None
    inside = (
        number is not None
        and math.isfinite(number)
        and (number > low if open_low else number >= low)
        and (number < high if open_high else number <= high)
    )
    if not inside:
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise ValueError(f"{name} must be a finite number in {interval}, got {value!r}")
    return number


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """One of ``options``."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}; got {value!r}")
    return value


def _with_dims(name: str, value: Any, minimum_dims: int) -> Any:
    if value.ndim < minimum_dims:
        raise ValueError(f"{name} must have at least {minimum_dims} dimension(s), got shape {tuple(value.shape)}")
    return value


def float_tensor(name: str, value: Any, minimum_dims: int = 0) -> Any:
    """A floating-point tensor with at least ``minimum_dims`` dimensions."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if not value.dtype.is_floating_point:
        raise ValueError(f"{name} must have a floating-point dtype, got {value.dtype}")
    return _with_dims(name, value, minimum_dims)


def integers_as(name: str, value: Any, dtype: Any, *, booleans: bool = False) -> Any:
    """Integers (with ``booleans``, bool too) in a floating-point dtype; what else it may be is for others to check."""
    import torch

    if not isinstance(value, torch.Tensor) or value.dtype.is_floating_point or value.is_complex():
        return value
    return (value if booleans else integer_tensor(name, value)).to(dtype)


def floating_dtype(name: str, value: Any) -> Any:
    """A floating-point torch.dtype."""
    import torch

    if not isinstance(value, torch.dtype) or not value.is_floating_point:
        raise ValueError(f"{name} must be a floating-point torch.dtype, got {value!r}")
    return value


def integer_tensor(name: str, value: Any, minimum_dims: int = 0) -> Any:
    """A tensor of integers (bool is none) with at least ``minimum_dims`` dimensions."""
    import torch

    kind = getattr(value, "dtype", type(value).__name__)
    if kind not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        raise ValueError(f"{name} must be an integer tensor, got {kind}")
    return _with_dims(name, value, minimum_dims)


def boolean_tensor(name: str, value: Any, minimum_dims: int = 0) -> Any:
    """A bool tensor with at least ``minimum_dims`` dimensions."""
    import torch

    kind = getattr(value, "dtype", type(value).__name__)
    if kind != torch.bool:
        raise ValueError(f"{name} must be a bool tensor, got {kind}")
    return _with_dims(name, value, minimum_dims)


def broadcast(**shapes: Any) -> Any:
    """The common shape of batch dimensions."""
    import numpy as np
    import torch

    try:  # torch's own function loads a library for symbolic algebra first
        return torch.Size(np.broadcast_shapes(*(tuple(shape) for shape in shapes.values())))
    except ValueError:
        got = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ValueError(f"batch dimensions must broadcast, got {got}") from None


def decomposable(name: str, value: Any, minimum_dims: int = 2) -> Any:
    """A float32 or float64 tensor without nan or inf, as decompositions of matrices need it."""
    import torch

    float_tensor(name, value, minimum_dims)
    if value.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {value.dtype}")
    finite(**{name: value})
    return value


def same_kind(**tensors: Any) -> None:
    """Tensors of one dtype on one device."""
    if len({(tensor.dtype, tensor.device) for tensor in tensors.values()}) > 1:
        got = ", ".join(f"{name} {tensor.dtype} on {tensor.device}" for name, tensor in tensors.items())
        raise ValueError(f"{' and '.join(tensors)} must have one dtype and one device, got {got}")


def instance(name: str, value: Any, kind: type) -> Any:
    """A ``kind``, such as what one function returns and another takes."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
    return value


def function(name: str, value: Any) -> Any:
    """Something that can be called."""
    if not callable(value):
        raise ValueError(f"{name} must be callable, got {type(value).__name__}")
    return value


def optional_path(name: str, value: Any) -> Any:
    """A ``Path`` of a string or path, or None."""
    from pathlib import Path

    if value is not None and not isinstance(value, str | Path):
        raise ValueError(f"{name} must be a path, got {value!r}")
    return None if value is None else Path(value)


def answer(name: str, model: Any, x: Any) -> Any:
    """``model(x)``; what the model cannot take is an argument that does not fit."""
    try:
        return function(name, model)(x)
    except (RuntimeError, TypeError, IndexError) as error:
        if "memory" in str(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        got = f"{x.dtype} {tuple(x.shape)}: {reason}"
        raise ValueError(f"{name} must accept what it is given, got {got}") from error


def examples(name: str, value: Any) -> tuple[Any, Any]:
    """(x, y), tensors of one length >= 1."""
    import torch

    parts = list(value) if isinstance(value, list | tuple) else [value]
    shapes = [tuple(part.shape) if isinstance(part, torch.Tensor) else type(part).__name__ for part in parts]
    fits = len(parts) == 2 and all(isinstance(shape, tuple) and shape for shape in shapes)
    if not fits or len(parts[0]) != len(parts[1]) or len(parts[0]) == 0:
        raise ValueError(f"{name} must be two tensors x and y of one length >= 1, got {shapes}")
    return parts[0], parts[1]


def seed(name: str, value: Any) -> int:
    """An integer from 0 to 2^64 - 1, what torch takes for a seed."""
    number = positive_int(name, value, 0)
    if number >= 2**64:
        raise ValueError(f"{name} must be below 2^64, got {number}")
    return number


def random_source(name: str, value: Any, device: Any = None) -> Any:
    """The generator itself, one on ``device`` with the given seed, or one with seed 0 for None."""
    import torch

    if isinstance(value, torch.Generator):
        return value
    try:
        start = 0 if value is None else positive_int(name, value, 0)
    except ValueError:
        raise ValueError(f"{name} must be an integer >= 0 (a seed), a torch.Generator or None, got {value!r}") from None
    return torch.Generator(device or "cpu").manual_seed(seed(name, start))


def sequence(name: str, value: Any, minimum: int = 1) -> list[Any]:
    """The items of a list, a tuple or another iterable that is no text, at least ``minimum`` of them."""
    try:
        items = None if isinstance(value, str | bytes) else list(value)
    except TypeError:
        items = None
    if items is None or len(items) < minimum:
        got = type(value).__name__ if items is None else f"{len(items)}"
        raise ValueError(f"{name} must be a sequence of at least {minimum} item(s), got {got}")
    return items


def known(condition: Any) -> bool | None:
    """The truth of a 0-dim tensor; None under ``torch.func.vmap``, where there are no values to look at."""
    try:
        return bool(condition)
    except RuntimeError:
        return None


def finite(**tensors: Any) -> None:
    """Tensors without nan or inf."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} must be finite everywhere")


def table(name: str, value: Any, columns: Any = (), numeric: Any = ()) -> Any:
    """A DataFrame that has ``columns`` and ``numeric`` columns, the latter of numbers."""
    import pandas as pd

    if not isinstance(value, pd.DataFrame):
        raise ValueError(f"{name} must be a DataFrame, got {type(value).__name__}")
    missing = [column for column in (*columns, *numeric) if column not in value.columns]
    if missing:
        raise ValueError(f"{name} must have the columns {[*columns, *numeric]}, got none named {missing}")
    words = [column for column in numeric if not pd.api.types.is_numeric_dtype(value[column])]
    if words:
        raise ValueError(f"{name} must hold numbers in {list(numeric)}, got {value[words[0]].dtype} in {words[0]!r}")
    return value


def device(name: str, value: Any) -> Any:
    """A torch device, or its name."""
    import torch

    try:
        return torch.device(value)
    except (RuntimeError, TypeError):
        raise ValueError(f"{name} must be a torch device such as 'cpu' or 'cuda', got {value!r}") from None
