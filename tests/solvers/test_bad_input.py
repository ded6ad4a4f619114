"""What the solvers refuse before any work, and an entry of a batch that is not finite."""

import math

import pytest
import torch

from litrepro import ConvergenceWarning, solvers

F64 = {"dtype": torch.float64}
H = torch.tensor([3.0, -2.0, 5.0], **F64)
ONES = torch.ones(3, **F64)
BLOCKS = [torch.eye(2, **F64)[:, :1], torch.ones(2, 1, **F64)]


def product(v):
    return H * v


@pytest.mark.parametrize(
    "call",
    [
        lambda: solvers.hvp(None, ONES, ONES),
        lambda: solvers.hvp(lambda x: x.sum(-1), ONES, ONES * 1j),
        lambda: solvers.lanczos(5, ONES, 2),
        lambda: solvers.lanczos(lambda v: 3.0, ONES, 2),
        lambda: solvers.lanczos(lambda v: v[..., :2], ONES, 2),
        lambda: solvers.lanczos(product, ONES.float(), 2),
        lambda: solvers.extreme_eigenvalues(product, ONES.half(), 2),
        lambda: solvers.lanczos_extreme(None, ONES),
        lambda: solvers.lanczos_extreme(product, torch.full((3,), math.inf, **F64)),
        lambda: solvers.lanczos_quadrature(product, ONES.half(), 2),
        lambda: solvers.least_squares(torch.full((3, 2), math.nan), torch.ones(3)),
        lambda: solvers.least_squares(torch.ones(3, 2), ONES),
        lambda: solvers.least_squares(torch.ones(3, 2).half(), torch.ones(3).half()),
        lambda: solvers.multiblock_admm(None, ONES, []),
        lambda: solvers.multiblock_admm(BLOCKS, torch.ones(2, **F64), 5),
        lambda: solvers.multiblock_admm(BLOCKS, torch.ones(2), [torch.ones(1), torch.ones(1)]),
        lambda: solvers.multiblock_admm_operator(5),
        lambda: solvers.multiblock_admm_operator([BLOCKS[0], BLOCKS[1] * math.nan]),
        lambda: solvers.project_l1_ball(torch.ones(2, 0), 1.0),
        lambda: solvers.soft_threshold(ONES, ONES * 1j),
        lambda: solvers.singular_value_threshold(torch.ones(2, 2).half(), 1.0),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_an_operator_that_is_not_finite_gives_nan_to_its_own_entry_alone():
    scale = torch.tensor([[1.0], [math.nan]], **F64)
    v0 = torch.tensor([1.0, 2.0, 1.5], **F64).expand(2, 3)
    with pytest.warns(ConvergenceWarning, match="1 of 2"):
        found = solvers.lanczos_extreme(lambda v: scale * H * v, v0)
    alone = solvers.lanczos_extreme(product, v0[0])
    assert found.value[0] == alone.value
    assert found.value[1].isnan()
    assert found.converged.tolist() == [True, False]
    nodes, weights = solvers.lanczos_quadrature(lambda v: scale * H * v, v0, 3)
    assert nodes[0].isfinite().all()
    assert torch.stack([nodes, weights])[:, 1].isnan().all()
    empty = solvers.lanczos_extreme(product, v0[:0])
    assert empty.vector.shape == (0, 3)
