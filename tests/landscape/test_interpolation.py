"""The written-down residual network fits any labels, and is what its docstring says."""

import pytest
import torch

from litrepro.landscape import interpolating_resnet


@pytest.mark.parametrize(("n", "hidden"), [(1, 3), (7, 3), (40, 12), (41, 14), (100, 12)])
def test_any_labels(n, hidden):
    generator = torch.Generator().manual_seed(n)
    x, y = torch.randn(n, 5, generator=generator), torch.randint(10, (n,), generator=generator)
    model = interpolating_resnet(x, y, 10, hidden=hidden, seed=1)
    scores = model(x)
    expected = (y[:, None] == torch.arange(10)).double()
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=0)
    assert len(model.blocks) == -(-n // (hidden // 3))
    torch.testing.assert_close(model.head(model.features(x)), scores)
    assert scores.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32])
def test_labels_in_small_integers(dtype):
    x, y = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 4
    assert torch.equal(interpolating_resnet(x, y.to(dtype), 4)(x), interpolating_resnet(x, y, 4)(x))


def test_the_block_is_a_residual_block():
    x, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    model = interpolating_resnet(x, y, 2, hidden=6)
    u = x.double() @ model.stem.weight.T
    for block in model.blocks:
        u = u + torch.relu(u @ block.inner.weight.T + block.inner.bias) @ block.outer.weight.T
        assert block.inner.weight.shape[0] == 6
    torch.testing.assert_close(u @ model.head.weight.T + model.head.bias, model(x))
    assert not torch.equal(model.stem.weight, interpolating_resnet(x, y, 2, hidden=6, seed=5).stem.weight)


def test_the_global_generator_is_left_alone():
    x, y = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 4
    before = torch.get_rng_state()
    interpolating_resnet(x, y, 4)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "bad",
    [
        lambda x, y: interpolating_resnet(torch.cat([x, x[:1]]), torch.cat([y, y[:1]]), 2),
        lambda x, y: interpolating_resnet(x, y, 2, hidden=2),
        lambda x, y: interpolating_resnet(x, y, 1),
        lambda x, y: interpolating_resnet(x, y, 2, seed=2**64),
        lambda x, y: interpolating_resnet(x, y - 1, 2),
        lambda x, y: interpolating_resnet(x, y[:-1], 2),
        lambda x, y: interpolating_resnet(x, y.float(), 2),
        lambda x, y: interpolating_resnet(x * torch.inf, y, 2),
    ],
)
def test_bad_input(bad):
    with pytest.raises(ValueError, match="must"):
        bad(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2)


def test_examples_far_from_zero_are_told_apart():
    x, y = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).double() + 1e12, torch.arange(9) % 4
    model = interpolating_resnet(x, y, 4)
    torch.testing.assert_close(model(x), (y[:, None] == torch.arange(4)).double(), atol=1e-6, rtol=0)
    assert (interpolating_resnet(x - 1e12, y, 4).centre == 0).all()  # taken as they are
