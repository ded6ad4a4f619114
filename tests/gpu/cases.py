"""The register of cases, calls that must give the same on every device, and the inputs that they share."""

from __future__ import annotations

import dataclasses

import torch

CASES = {}  # name -> f(device) -> a tensor, or a tuple of tensors
NETWORKS = set()  # cases that make something on the default device by right, such as the network that is trained
DRAWS = set()  # cases whose random numbers are drawn on the device of the input, and differ from device to device
TEXT = "to be or not to be, that is the question " * 4
f64 = torch.float64


def case(function):
    """Register a call under its name."""
    if CASES.get(function.__name__, function) is not function:
        raise ValueError(f"there is a case {function.__name__} already")
    CASES[function.__name__] = function
    return function


def network(function):
    """Register a call that makes a network, or something else, on the default device."""
    NETWORKS.add(function.__name__)
    return case(function)


def recent(function):
    """Register a call in which an old torch makes tensors on the default device: Adam's step counts, jacfwd's basis."""
    return (case if torch.__version__ >= (2, 13) else network)(function)


def draws(function):
    """Register a call that draws where its input lies: only that it runs, and where, can be compared."""
    DRAWS.add(function.__name__)
    return case(function)


def built(make, device="cpu"):
    """A module, or data, that ``make`` makes on the CPU, whatever the default device is, moved to ``device``."""
    with torch.device("cpu"):
        made = make()
    return made.to(device)


def randn(*shape, seed=0, dtype=f64, device="cpu"):
    """The same numbers on every device."""
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=dtype, device="cpu").to(device)


def symmetric(*shape, seed=0, device="cpu"):
    """Symmetric matrices (..., n, n)."""
    A = randn(*shape, seed=seed, device=device)
    return (A + A.mT) / 2


def times(A):
    """The product with A as a function of vectors (..., d)."""
    return lambda v: (A @ v[..., None])[..., 0]


def places(*numbers, device):
    """Integers on the device."""
    return torch.tensor(numbers, device="cpu").to(device)


def images(n, size, device, seed=0):
    """Random images (n, 1, size, size) in [0, 1] with labels of three classes."""
    x = torch.rand(n, 1, size, size, generator=torch.Generator("cpu").manual_seed(seed), device="cpu").to(device)
    y = (torch.arange(n, device="cpu") % 3).to(device)
    return x, y


def labelled(n, d, device, classes=3, dtype=torch.float32):
    """Features (n, d) and labels (n,) of the classes 0, 1, ..., which depend on them."""
    x = randn(n, d, seed=5, dtype=dtype, device=device)
    return x, x[:, :classes].argmax(1)


def signed(n, d, device):
    """Features (n, d) and labels (n,) of +-1, which depend on them up to noise."""
    x = randn(n, d, device=device)
    return x, torch.where(x[:, 0] + 0.3 * randn(n, seed=1, device=device) > 0, 1.0, -1.0).double()


def perceptron(widths, device, seed=0):
    """A ReLU network of these widths, inputs and outputs included, on the device."""
    from litrepro.nets import mlp

    return built(lambda: mlp(widths[0], widths[1:-1], widths[-1], seed=seed), device)


def saddle(x):
    """A saddle at 0 with minima at (0, +-1)."""
    return x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4


def numbers(column, dtype=torch.float32):
    """A column of a table as a tensor, in the precision of the computation behind it."""
    return torch.tensor(column.to_numpy(), dtype=dtype, device="cpu")


def flat(*found, dtype=f64):
    """All tensors in nested results, as a tuple: complex numbers as pairs, nan as -1.

    Tables count by their numbers; these and plain numbers are put in ``dtype``, the precision of the computation.
    """
    parts = []
    for one in found:
        if isinstance(one, torch.Tensor):
            one = torch.view_as_real(one.resolve_conj()) if one.is_complex() else one.detach()
            parts.append(one.nan_to_num(-1.0, torch.inf, -torch.inf) if one.is_floating_point() else one)
        elif isinstance(one, dict):
            parts.extend(flat(*one.values(), dtype=dtype))
        elif isinstance(one, list | tuple):
            parts.extend(flat(*one, dtype=dtype))
        elif dataclasses.is_dataclass(one):
            parts.extend(flat(*(getattr(one, field.name) for field in dataclasses.fields(one)), dtype=dtype))
        elif isinstance(one, int | float):
            parts.extend(flat(torch.tensor(float(one), dtype=dtype, device="cpu")))
        elif hasattr(one, "select_dtypes"):
            parts.extend(flat(torch.tensor(one.select_dtypes("number").to_numpy(float), dtype=dtype, device="cpu")))
        elif one is not None and not isinstance(one, str) and not callable(one):
            raise TypeError(f"a result holds a {type(one).__name__}")
    return tuple(parts)
