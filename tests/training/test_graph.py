"""Recorded training steps; what only a GPU can show is in tests/gpu."""

import pytest
import torch

from litrepro.nets import mlp
from litrepro.training import CudaGraph, constant, cosine, fit
from litrepro.training._graph import make_recordable
from litrepro.training._optimizers import Scheduled, make_optimizer

DATA = (torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3)


def test_without_a_gpu_the_function_runs_as_it_is():
    seen = []
    step = CudaGraph(lambda x, y: seen.append((x, y)) or x + y)
    for number in range(6):
        assert step(torch.tensor(number), torch.ones(number)).shape == (number,)
    assert len(seen) == 6


def test_only_a_function_can_be_recorded():
    with pytest.raises(ValueError, match="function"):
        CudaGraph(3)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_fit_gives_the_same_with_and_without(optimizer):
    tables = [
        fit(mlp(2, (4,), 3, seed=1), DATA, epochs=3, batch_size=16, optimizer=optimizer, lr=0.05, cuda_graph=graph)
        for graph in (False, True)
    ]
    assert tables[0].drop(columns="seconds").equals(tables[1].drop(columns="seconds"))


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": lambda model, x, y, t, generator: model(x).square().mean()},
        {"optimizer": lambda parameters: torch.optim.SGD(parameters, 0.1)},
    ],
)
def test_a_recorded_step_needs_a_loss_and_an_optimizer_by_name(settings):
    with pytest.raises(ValueError, match="cuda_graph"):
        fit(mlp(2, (4,), 3), DATA, epochs=1, cuda_graph=True, **settings)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("schedule", [constant, cosine])
def test_a_schedule_moves_the_step_size_that_a_recorded_step_reads(name, schedule):
    plain, recorded = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizers = [make_optimizer(name, [p], 0.3, 0.0, 0.0) for p in (plain, recorded)]
    rates = [Scheduled(optimizer, schedule) for optimizer in optimizers]
    make_recordable(optimizers[1], torch.device("cpu"))
    kept = optimizers[1].param_groups[0]["lr"]
    for t in (0.0, 0.5, 0.9):
        for rate in rates:
            rate.set(t)
        assert optimizers[1].param_groups[0]["lr"] is kept
        assert float(kept) == pytest.approx(float(optimizers[0].param_groups[0]["lr"]), rel=1e-6)
