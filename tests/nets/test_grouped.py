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
    with pytest.raises(ValueError, match="BatchNorm1d"):
        grouped([nn.Sequential(nn.BatchNorm1d(2, affine=False, track_running_stats=False))])
    with pytest.raises(ValueError, match="parametrizations"):
        grouped([nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))])


def small(*layers, seed=0, size=36):
    """A convolution, layers on its channels, and a head."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 2, 3), *layers, nn.Flatten(), nn.Linear(size, 3)).double()


PIXELS = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def check_outputs(models):
    together = grouped(models)
    torch.testing.assert_close(together(PIXELS), torch.stack([model(PIXELS) for model in models], 1))
    return together


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        ([nn.Softmax(1)], 72),
        ([nn.LogSoftmax(-1)], 72),
        ([nn.Softmax2d(), nn.ReLU()], 72),
        ([nn.GLU(1)], 36),
        ([nn.LocalResponseNorm(2)], 72),
        ([nn.GroupNorm(1, 2, affine=False)], 72),
        ([nn.InstanceNorm2d(2)], 72),
        ([nn.BatchNorm2d(2, affine=False, track_running_stats=False)], 72),
        ([nn.Sequential(), nn.MaxPool2d(2), nn.ELU()], 18),
    ],
)
def test_layers_without_parameters_see_one_member_at_a_time(layers, size):
    check_outputs([small(*layers, seed=s, size=size) for s in range(3)])


def test_layers_behind_the_head_and_one_layer_in_two_places():
    for extra in (
        nn.LogSoftmax(1),
        nn.Softmax(-1),
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double(),
    ):
        check_outputs([nn.Sequential(small(seed=s, size=72), extra) for s in range(2)])
    shared = [nn.Conv2d(1, 1, 3, padding=1).double() for _ in range(2)]
    check_outputs([nn.Sequential(layer, nn.ReLU(), layer, nn.Flatten(), nn.Linear(64, 2).double()) for layer in shared])


def test_frozen_parameters_and_modes_are_kept():
    models = [small(nn.BatchNorm2d(2), seed=s, size=72) for s in range(2)]
    for model in models:
        model[0].weight.requires_grad_(False)
        model[1].bias.requires_grad_(False)
        model[3].requires_grad_(False)
        model[1].eval()
    together = check_outputs(models)
    trained = {name: p.requires_grad for name, p in models[0].named_parameters()}
    assert {name: p.requires_grad for name, p in together.body.named_parameters()} == trained
    assert [module.training for module in together.body] == [True, False, True, True]


def test_the_global_generator_is_left_alone():
    models, state = [cnn5(2, size=8)], torch.random.get_rng_state()
    grouped(models)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (small(nn.ReLU(), size=72), small(nn.Tanh(), size=72)),
        (small(nn.BatchNorm2d(2), size=72), small(nn.BatchNorm2d(2, eps=0.1), size=72)),
        (small(size=72), small(size=72).requires_grad_(False)),
    ],
)
def test_structures_that_differ(one, other):
    with pytest.raises(ValueError, match="models must be of one structure"):
        grouped([one, other])


def test_a_layer_between_features_sees_one_member_at_a_time():
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        layers = (nn.Conv2d(1, 3, 1), nn.Flatten(2), nn.Softmax(1), nn.Flatten(1), nn.Linear(48, 2))
        models.append(nn.Sequential(*layers))
    x = torch.randn(5, 1, 4, 4)
    torch.testing.assert_close(grouped(models)(x), torch.stack([model(x) for model in models], 1))


def test_layers_that_share_a_parameter_are_refused():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    with pytest.raises(ValueError, match="share"):
        grouped([Tied(), Tied()])
