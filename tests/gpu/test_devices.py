"""Solvers and training loops follow the device of their inputs and compute the same there as on the CPU.

On a machine without CUDA a device that only says it is another one takes its place (``elsewhere``): what would lie on
two sides fails. Where PyTorch has no means for that, nothing may at least be made on the default device, which is the
meta device then.
"""

import pytest
import torch

from tests.gpu import (  # noqa: F401
    cases_applications,
    cases_layers,
    cases_linear,
    cases_networks,
    cases_optim,
    cases_solvers,
    cases_theory,
    elsewhere,
)
from tests.gpu.cases import CASES, DRAWS, NETWORKS

# A few iterations are enough to compare.
pytestmark = pytest.mark.filterwarnings("ignore::litrepro.ConvergenceWarning")
TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-3}


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


@pytest.mark.skipif(not elsewhere.AVAILABLE, reason="this torch has no backends written in Python")
@pytest.mark.parametrize("name", CASES)
def test_another_device_computes_what_the_cpu_computes(name):
    with elsewhere.elsewhere() as device:
        there = [elsewhere.here(part) for part in tensors(name, device)]
    compare(name, there, tensors(name, "cpu"))


@pytest.mark.skipif(not elsewhere.AVAILABLE, reason="this torch has no backends written in Python")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, device: x + torch.ones(3),
        lambda x, device: torch.ones(3) * x.sum(),
        lambda x, device: torch.cat([x, torch.ones(3)]),
        lambda x, device: torch.nn.Linear(3, 2)(x),
        lambda x, device: x.numpy(),
        lambda x, device: torch.rand(3, generator=torch.Generator().manual_seed(0), device=device),
        lambda x, device: torch.randperm(3, generator=torch.Generator(device), device="cpu"),
        lambda x, device: x.normal_(generator=torch.Generator()),
    ],
)
def test_what_a_gpu_refuses_is_refused(wrong):
    with elsewhere.elsewhere() as device, pytest.raises((elsewhere.MixedDevices, RuntimeError)):
        wrong(torch.ones(3).to(device), device)


@pytest.mark.skipif(elsewhere.AVAILABLE, reason="every case runs on another device")
@pytest.mark.parametrize("name", [name for name in CASES if name not in NETWORKS])
def test_nothing_is_made_on_the_default_device(name):
    expected = tensors(name, "cpu")
    with torch.device("meta"):
        found = tensors(name, "cpu")
    for one, other in zip(found, expected, strict=True):
        assert one.device.type == "cpu"
        assert torch.equal(one, other) or torch.allclose(one.double(), other.double(), rtol=1e-9, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_computes_what_the_cpu_computes(name):
    compare(name, tensors(name, "cuda"), tensors(name, "cpu"))
