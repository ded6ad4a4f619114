"""What is no model, no table, no generator or no real number is refused before any work."""

import pandas as pd
import pytest
import torch

import litrepro.distillation as ld
from litrepro.nets import mlp

Z, Y = torch.zeros(2, 3), torch.tensor([0, 2])
NET = mlp(2, [], 3)
X = torch.ones(2, 2)


OPTIONS = {"alpha": 0.5, "temperature": 2.0, "epochs": 1}


class Pair(torch.nn.Module):
    def forward(self, x):
        return x, x


def per_row(outputs, y):
    return -outputs.log_softmax(-1)[:, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: ld.soft_cross_entropy(Z, Z * 1j),
        lambda: ld.kl_divergence(Z, Z * 1j),
        lambda: ld.regularized_loss(Z, Y, Z * 1j),
        lambda: ld.ranked_targets(Y, Z * 1j, torch.ones(3) / 3),
        lambda: ld.ranked_targets(Y, Z, torch.ones(3) * 1j),
        lambda: ld.random_shift(torch.zeros(1, 1, 3, 3), "seed"),
        lambda: ld.plane_through_means(torch.eye(3).half(), torch.arange(3), (0, 1, 2)),
        lambda: ld.gradient_noise(None, X, (Y,), per_row),
        lambda: ld.gradient_noise(NET, None, (Y,), per_row),
        lambda: ld.gradient_noise(NET, X.double(), (Y,), per_row),
        lambda: ld.gradient_noise(NET, X[:, :1], (Y,), per_row),
        lambda: ld.gradient_noise(NET, X, None, per_row),
        lambda: ld.gradient_noise(NET, X, (Y[:1],), per_row),
        lambda: ld.gradient_noise(NET, X, (Y,), None),
        lambda: ld.gradient_noise(NET, X, (Y,), lambda z, y: z.sum()),
        lambda: ld.distill(NET, mlp(5, [], 3), (X, Y), **OPTIONS),
        lambda: ld.distill(NET, mlp(2, [], 3).double(), (X, Y), **OPTIONS),
        lambda: ld.distill(NET, Pair(), (X, Y), **OPTIONS),
        lambda: ld.distill(Pair(), NET, (X, Y), **OPTIONS),
        lambda: ld.distill(NET, torch.nn.Flatten(0), (X, Y), **OPTIONS),
        lambda: ld.distill(NET, NET, (X, Y), evaluate_on=(X, Y), **OPTIONS),
        lambda: ld.distill(NET, NET, (X, Y), evaluate_on=X, **OPTIONS),
        lambda: ld.distill(NET, NET, (X, Y), alpha=torch.tensor([0.1, 0.2]), temperature=2.0, epochs=1),
        lambda: ld.distill(NET, NET, (X, Y), alpha=0.1, temperature=torch.tensor([1.0, 2.0]), epochs=1),
        lambda: ld.distill_chain(NET, (X, Y), **OPTIONS),
        lambda: ld.distill_chain(5, (X, Y), **OPTIONS),
        lambda: ld.last_values(None),
        lambda: ld.last_values(pd.DataFrame({"epoch": [1]})),
        lambda: ld.paired_gains("x", "a"),
        lambda: ld.train_students(None, [0], (X, Y), {"hard": ld.SoftTargets()}, epochs=1),
        lambda: ld.train_students(lambda seed: NET, 5, (X, Y), {"hard": ld.SoftTargets()}, epochs=1),
        lambda: ld.train_students(lambda seed: NET, [0], (X, Y), {"hard": ld.SoftTargets()}, epochs=None),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_every_part_of_a_teacher_keeps_its_mode():
    teacher = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout())
    teacher.train()
    teacher[1].eval()
    before = [module.training for module in teacher.modules()]
    ld.distill(mlp(2, [], 3), teacher, (X, Y), **OPTIONS)
    ld.gradient_noise(teacher[:1], X, (Y,), per_row)
    assert [module.training for module in teacher.modules()] == before


def test_a_chain_is_any_iterable_of_models():
    nets = [mlp(2, [width], 3) for width in (4, 3, 2)]
    for chain in (nets, torch.nn.ModuleList(nets), (net for net in nets)):
        assert ld.distill_chain(chain, (X, Y), **OPTIONS).stage.unique().tolist() == [1, 2]


def test_a_seed_is_a_generator():
    image = torch.eye(5)[None, None]
    moved = ld.random_shift(image, 3)
    torch.testing.assert_close(moved, ld.random_shift(image, torch.Generator().manual_seed(3)))
    torch.testing.assert_close(ld.random_shift(image), ld.random_shift(image, 0))
