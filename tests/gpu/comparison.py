"""A case on two devices, side by side; as a script, all cases of a module on the stand-in for another device.

The script is a process of its own, since autograd counts the devices at its first backward pass.
"""

from __future__ import annotations

import importlib
import sys
import traceback
import warnings

import torch

from litrepro import ConvergenceWarning
from tests.gpu import elsewhere
from tests.gpu.cases import CASES, DRAWS

TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-3}
MODULES = [f"cases_{name}" for name in ("applications", "layers", "linear", "networks", "optim", "solvers", "theory")]
WRONG = {
    "a sum": lambda x, device: x + torch.ones(3),
    "a number of the device and a vector of the CPU": lambda x, device: torch.ones(3) * x.sum(),
    "a concatenation": lambda x, device: torch.cat([x, torch.ones(3)]),
    "a network on the CPU": lambda x, device: torch.nn.Linear(3, 2)(x),
    "numpy": lambda x, device: x.numpy(),
    "a generator of the CPU": lambda x, device: torch.rand(3, generator=torch.Generator("cpu"), device=device),
    "a generator of the device": lambda x, device: torch.randperm(3, generator=torch.Generator(device), device="cpu"),
    "a generator of the CPU, in place": lambda x, device: x.normal_(generator=torch.Generator()),
}


def tensors(name, device):
    """What a case returns, all of it tensors."""
    found = CASES[name](device)
    found = found if isinstance(found, tuple) else (found,)
    others = [type(part).__name__ for part in found if not isinstance(part, torch.Tensor)]
    if others or not found:
        raise TypeError(f"the case {name} must return tensors, not {', '.join(others) or 'nothing'}")
    return found


def compare(name, there, here):
    """Equal up to rounding, unless what is drawn on the device differs by right."""
    for one, other in zip(there, here, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        tolerance = TOLERANCE.get(other.dtype, 0.0)
        close = torch.allclose(one.cpu().double(), other.double(), rtol=tolerance, atol=tolerance)
        assert close or name in DRAWS, name


def compare_elsewhere(name):
    """A case on the stand-in and on the CPU."""
    with elsewhere.elsewhere() as device:
        there = [elsewhere.here(part) for part in tensors(name, device)]
    compare(name, there, tensors(name, "cpu"))


def check_refused(name):
    """What a GPU refuses has to be refused, and for that reason: NumPy alone is refused by PyTorch itself."""
    refusal = RuntimeError if name == "numpy" else elsewhere.MixedDevices
    with elsewhere.elsewhere() as device:
        try:
            WRONG[name](torch.ones(3).to(device), device)
        except refusal:
            return
    raise AssertionError(f"{name} was not refused")


def main(*modules: str) -> int:
    """Run the cases of some modules, and ``refusals`` if it is among them; the number of failures."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # a few iterations are enough to compare
    for module in modules:
        if module != "refusals":
            importlib.import_module(f"tests.gpu.{module}")
    checks = [(compare_elsewhere, name) for name in CASES]
    checks += [(check_refused, name) for name in WRONG if "refusals" in modules]
    failures = 0
    for check, name in checks:
        try:
            check(name)
        except Exception:
            failures += 1
            print(f"{name}: {traceback.format_exc(limit=-4)}")
    print(f"{len(checks)} cases, {failures} failures")
    return failures if checks else 1


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))
