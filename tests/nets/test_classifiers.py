"""Classifiers: the protocol, their published sizes, their seeds; the residual network against a hand-written one."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro import nets

SMALL = {
    "mlp": (lambda seed=0: nets.mlp(3 * 16 * 16, [7, 5], 4, seed=seed), 5),
    "linear": (lambda seed=0: nets.mlp(3 * 16 * 16, [], 4, seed=seed), 3 * 16 * 16),
    "lenet": (lambda seed=0: nets.lenet(4, in_channels=3, size=16, seed=seed), 84),
    "cnn5": (lambda seed=0: nets.cnn5(2, size=16, num_classes=4, seed=seed), 16),
    "resnet18": (lambda seed=0: nets.resnet18(2, size=16, num_classes=4, seed=seed), 16),
    "shufflenetv2": (lambda seed=0: nets.shufflenetv2(0.5, num_classes=4, seed=seed), 1024),
    "vgg3": (lambda seed=0: nets.vgg3((2, 3, 4), size=16, num_classes=4, seed=seed), 128),
    "allconv": (lambda seed=0: nets.allconv_resnet(2, widths=(4, 6), stem=3, num_classes=4, seed=seed), 6),
}


@pytest.mark.parametrize("name", SMALL)
def test_features_head_and_seed(name):
    build, width = SMALL[name]
    state = torch.random.get_rng_state()
    model, same, other = build(seed=1), build(seed=1), build(seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model.eval(), same.eval(), other.eval()
    assert isinstance(model.head, nn.Linear)
    assert model.features(x).shape == (3, width)
    assert torch.equal(model(x), model.head(model.features(x)))
    assert model(x).shape == (3, 4)
    assert torch.equal(model(x), same(x))
    assert not torch.allclose(model(x), other(x))


def test_published_sizes():
    assert nets.count_parameters(nets.cnn5(12)) == 56_086
    assert abs(nets.count_parameters(nets.cnn5(64)) - 1.56e6) < 0.01e6
    assert nets.count_parameters(nets.resnet18(12)) == 394_822
    assert nets.count_parameters(nets.resnet18()) == 11_171_146
    # torchvision's width 1.0 has 2,278,604 with a head for 1,000 classes.
    assert nets.count_parameters(nets.shufflenetv2()) == 2_278_604 - 1025 * 1000 + 1025 * 10
    assert nets.count_parameters(nets.lenet()) == 61_706  # LeNet-5 with a fully connected second convolution
    assert len([m for m in nets.vgg3().body if not isinstance(m, nn.ReLU)]) + 1 == 22
    assert sum(isinstance(m, nn.BatchNorm2d) for m in nets.vgg3(batch_norm=False).modules()) == 0


@pytest.mark.parametrize(("blocks", "count", "convolutions"), [(2, 2_746_170, 13), (9, 13_587_322, 55)])
def test_allconv_size(blocks, count, convolutions):
    model = nets.allconv_resnet(blocks)
    assert nets.count_parameters(model) == count
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in model.modules()) == convolutions


def test_allconv_is_the_written_network():
    model = nets.allconv_resnet(2, widths=(4, 6), stem=4, in_channels=2, num_classes=3, seed=3)
    with torch.no_grad():
        for block in model.blocks:
            block.conv1.bias.normal_()
    x = torch.randn(5, 2, 9, 9)
    z = functional.conv2d(x, model.stem.weight, padding=1)
    for index, block in enumerate(model.blocks):
        stride = 2 if index == 2 else 1
        inner = functional.conv2d(z, block.conv1.weight, block.conv1.bias, stride, 1)
        inner = functional.conv2d(inner.clamp(min=0), block.conv2.weight, None, 1, 1)
        assert (block.projection is None) == (index != 2)
        z = inner + (z if block.projection is None else functional.conv2d(z, block.projection.weight, None, stride))
    expected = z.clamp(min=0).flatten(2).mean(2) @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(x), expected)


def test_allconv_initializations():
    model = nets.allconv_resnet(1, widths=(64, 128), init="small", head="fixed", seed=1)
    for block in model.blocks:
        for conv in (block.conv1, block.conv2):
            assert conv.weight.std().item() == pytest.approx(1 / (9 * conv.out_channels), rel=0.03)
    bound = (6 / (9 * (3 + 16))) ** 0.5
    assert model.stem.weight.abs().max() <= bound
    assert model.stem.weight.abs().max() > 0.95 * bound
    assert model.head.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    assert not model.head.bias.any()
    assert not any(p.requires_grad for p in model.head.parameters())
    frozen = sum(p.numel() for p in model.head.parameters())
    assert nets.count_parameters(model, trainable=False) - nets.count_parameters(model) == frozen
    he = nets.allconv_resnet(1, widths=(64, 128), init="he", seed=1)
    assert he.blocks[1].conv2.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.03)
    assert not any(block.conv1.bias.any() for block in he.blocks)


def test_variants_share_what_they_have_in_common():
    residual = nets.allconv_resnet(2, widths=(4, 6), seed=5)
    plain = nets.allconv_resnet(2, widths=(4, 6), residual=False, seed=5)
    fixed = nets.allconv_resnet(2, widths=(4, 6), head="fixed", seed=5)
    normed = nets.allconv_resnet(2, widths=(4, 6), batchnorm=True, seed=5)
    assert not any("projection" in name for name, _ in plain.named_parameters())
    for name, value in plain.named_parameters():
        assert torch.equal(value, residual.get_parameter(name))
    for name, value in residual.named_parameters():
        assert torch.equal(value, normed.get_parameter(name))
        assert name.startswith("head") or torch.equal(value, fixed.get_parameter(name))
    assert nets.count_parameters(normed) - nets.count_parameters(residual) == 2 * 2 * (2 * 4 + 2 * 6)


def test_fixup():
    model = nets.fixup_(nets.allconv_resnet(3, widths=(8, 16), seed=2), seed=1)
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not model(x).any()
    z = model.stem(x)
    for block in model.blocks:
        z = z if block.projection is None else block.projection(z)
    torch.testing.assert_close(model.features(x), z.clamp(min=0).mean((2, 3)))
    assert model.blocks[1].conv1.weight.std().item() == pytest.approx((2 / (9 * 8) / 6) ** 0.5, rel=0.1)
    with pytest.raises(ValueError, match="allconv_resnet"):
        nets.fixup_(nets.mlp(3, [], 2))


def test_sigmoid_and_tanh_perceptrons():
    x = torch.randn(6, 3)
    for name, function in (("tanh", torch.tanh), ("sigmoid", torch.sigmoid)):
        model = nets.mlp(3, [4], 2, activation=name)
        hidden = function(x @ model.body[0].weight.T + model.body[0].bias)
        torch.testing.assert_close(model(x), hidden @ model.head.weight.T + model.head.bias)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: nets.mlp(0, [3], 2),
        lambda: nets.mlp(3, [0], 2),
        lambda: nets.mlp(3, [3], 2, activation="gelu"),
        lambda: nets.mlp(3, [3], 2, seed=-1),
        lambda: nets.lenet(0),
        lambda: nets.lenet(size=8),
        lambda: nets.cnn5(0),
        lambda: nets.cnn5(4, size=2),
        lambda: nets.resnet18(0),
        lambda: nets.shufflenetv2(0.7),
        lambda: nets.vgg3((32, 64)),
        lambda: nets.vgg3(dropout=(0.1, 0.1, 0.1, 1.0)),
        lambda: nets.allconv_resnet(0),
        lambda: nets.allconv_resnet(1, widths=()),
        lambda: nets.allconv_resnet(1, init="zero"),
        lambda: nets.allconv_resnet(1, head="none"),
    ],
)
def test_bad_input(bad):
    with pytest.raises(ValueError, match=r"must|expected"):
        bad()


def test_shufflenet_keeps_channels_last_through_its_shuffle():
    plain, last = (nets.shufflenetv2(0.5, num_classes=4, seed=3).eval() for _ in range(2))
    last.to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    layouts = []
    for unit in last.body:
        unit.register_forward_hook(
            lambda module, inputs, output: layouts.append(output.is_contiguous(memory_format=torch.channels_last))
        )
    assert torch.allclose(plain(x), last(x.contiguous(memory_format=torch.channels_last)), atol=1e-5)
    assert all(layouts)


def test_shufflenet_has_the_same_gradients_in_channels_last():
    x, y = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3])
    plain, last = (nets.shufflenetv2(0.5, num_classes=4, seed=3).double() for _ in range(2))
    last.to(memory_format=torch.channels_last)
    for net in (plain, last):
        functional.cross_entropy(net(x.double()), y).backward()
    for one, other in zip(plain.parameters(), last.parameters()):
        torch.testing.assert_close(one.grad, other.grad)
