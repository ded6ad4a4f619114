"""Solvers and training loops follow the device of their inputs and compute the same there as on the CPU.

On a machine without CUDA a device that only says it is another one takes its place (``elsewhere``): what would lie on
two sides fails. Where PyTorch has no means for that, nothing may at least be made on the default device, which is the
meta device then.
"""

import subprocess
import sys
from pathlib import Path

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
from tests.gpu.cases import CASES, NETWORKS
from tests.gpu.comparison import MODULES, compare, tensors

# A few iterations are enough to compare.
pytestmark = pytest.mark.filterwarnings("ignore::litrepro.ConvergenceWarning")


def test_all_cases_are_in_the_modules():
    assert {function.__module__.rsplit(".", 1)[1] for function in CASES.values()} == set(MODULES)


@pytest.mark.skipif(not elsewhere.AVAILABLE, reason="this torch has no backends written in Python")
@pytest.mark.parametrize("modules", [MODULES[:4], [*MODULES[4:], "refusals"]], ids=["half", "rest"])
def test_another_device_computes_what_the_cpu_computes(modules):
    command = [sys.executable, "-m", "tests.gpu.comparison", *modules]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


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
