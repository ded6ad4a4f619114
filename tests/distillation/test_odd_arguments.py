"""What is no model, no table, no generator or no real number is refused before any work."""

import pandas as pd
import pytest
import torch

import litrepro.distillation as ld
from litrepro.nets import mlp

Z, Y = torch.zeros(2, 3), torch.tensor([0, 2])
NET = mlp(2, [], 3)
X = torch.ones(2, 2)


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


def test_a_seed_is_a_generator():
    image = torch.eye(5)[None, None]
    moved = ld.random_shift(image, 3)
    torch.testing.assert_close(moved, ld.random_shift(image, torch.Generator().manual_seed(3)))
    torch.testing.assert_close(ld.random_shift(image), ld.random_shift(image, 0))
