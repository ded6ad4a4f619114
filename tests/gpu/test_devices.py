"""Solvers and training loops follow the device of their inputs and compute the same there as on the CPU.

On a machine without CUDA two things can be checked all the same: that every case runs, and that nothing inside draws a
tensor on the default device. For the latter the default is the meta device, on which a forgotten ``device=`` fails.
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


@pytest.mark.parametrize("name", [name for name in CASES if name not in NETWORKS])
def test_nothing_is_made_on_the_default_device(name):
    expected = tensors(name, "cpu")
    with torch.device("meta"):
        found = tensors(name, "cpu")
    for one, other in zip(found, expected, strict=True):
        assert one.device.type == "cpu"
        assert torch.equal(one, other) or torch.allclose(one.double(), other.double(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_case_with_a_network_runs(name):
    assert all(part.device.type == "cpu" for part in tensors(name, "cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_computes_what_the_cpu_computes(name):
    for there, here in zip(tensors(name, "cuda"), tensors(name, "cpu"), strict=True):
        assert (there.shape, there.dtype) == (here.shape, here.dtype)
        tolerance = TOLERANCE.get(here.dtype, 0.0)
        close = torch.allclose(there.cpu().double(), here.double(), rtol=tolerance, atol=tolerance)
        assert close or name in DRAWS, name
