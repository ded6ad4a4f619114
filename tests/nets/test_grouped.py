"""Networks merged by grouped convolutions against the same networks one by one, in outputs and in training."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro.nets import cnn5, grouped, resnet18

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("build", [cnn5, resnet18])
def test_members_train_as_they_would_alone(build):
    labels = torch.randint(10, (6, 3), generator=torch.Generator().manual_seed(1))
    models = [build(2, size=8, seed=s).double() for s in range(3)]
    together = grouped(models)
    assert sum(p.numel() for p in together.parameters()) == 3 * sum(p.numel() for p in models[0].parameters())
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3) for model in [together, *models]]
    for _ in range(3):
        scores = together(IMAGES)
        alone = torch.stack([model(IMAGES) for model in models], 1)
        torch.testing.assert_close(scores, alone, rtol=1e-6, atol=1e-8)
        losses = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none").view(6, 3)
        losses.sum(1).mean().backward()
        sum(functional.cross_entropy(alone[:, m], labels[:, m]) for m in range(3)).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    for model in [together, *models]:
        model.eval()
    with torch.no_grad():
        expected = torch.stack([model(IMAGES) for model in models], 1)
        torch.testing.assert_close(together(IMAGES), expected, rtol=1e-6, atol=1e-8)


def test_what_cannot_be_merged():
    with pytest.raises(ValueError, match="at least one"):
        grouped([])
    with pytest.raises(ValueError, match="structure"):
        grouped([cnn5(2, size=8), cnn5(3, size=8)])
    with pytest.raises(ValueError, match="GroupNorm"):
        grouped([nn.Sequential(nn.GroupNorm(1, 2))])
    with pytest.raises(ValueError, match="groups"):
        grouped([nn.Conv2d(2, 2, 1, groups=2)])
