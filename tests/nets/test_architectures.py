"""The networks written out layer by layer, with the functions of torch and the parameters of the modules."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro import nets


def images(n, channels, size):
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def modules(model, kind):
    return [module for module in model.modules() if isinstance(module, kind)]


def normed(x, norm):
    """Batch norm with the statistics of the batch, and a weight and bias that show where it stands."""
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
        norm.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(2))
    return functional.batch_norm(x, None, None, norm.weight, norm.bias, training=True)


def test_lenet():
    model, x = nets.lenet(4, in_channels=2, size=16), images(5, 2, 16)
    first, second = modules(model, nn.Conv2d)
    z = functional.max_pool2d(functional.conv2d(x, first.weight, first.bias, padding=2).relu(), 2)
    z = functional.max_pool2d(functional.conv2d(z, second.weight, second.bias).relu(), 2).flatten(1)
    for dense in modules(model, nn.Linear)[:2]:
        z = (z @ dense.weight.T + dense.bias).relu()
    torch.testing.assert_close(model(x), z @ model.head.weight.T + model.head.bias)


@pytest.mark.parametrize("size", [16, 32])
def test_cnn5(size):
    model, x = nets.cnn5(2, size=size), images(6, 3, size)
    z = x
    layers = zip(modules(model, nn.Conv2d), modules(model, nn.BatchNorm2d), (1, 2, 2, size // 4))
    for conv, norm, pool in layers:
        z = normed(functional.conv2d(z, conv.weight, padding=1), norm).relu()
        z = z if pool == 1 else functional.max_pool2d(z, pool)
    torch.testing.assert_close(model.train()(x), z.flatten(1) @ model.head.weight.T + model.head.bias)


def test_resnet18():
    model, x = nets.resnet18(2, size=16), images(6, 3, 16)
    z = functional.conv2d(x, model.stem.weight, padding=1)
    for index, block in enumerate(model.blocks):
        stride = 2 if index in (2, 4, 6) else 1
        before = normed(z, block.bn1).relu()
        inner = functional.conv2d(before, block.conv1.weight, stride=stride, padding=1)
        inner = functional.conv2d(normed(inner, block.bn2).relu(), block.conv2.weight, padding=1)
        assert (block.shortcut is None) == (stride == 1)
        kept = z if block.shortcut is None else functional.conv2d(before, block.shortcut.weight, stride=stride)
        z = kept + inner
    expected = z.mean((2, 3)) @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model.train()(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg3(batch_norm):
    model, x = nets.vgg3((2, 3, 4), batch_norm, size=8, dropout=(0, 0, 0, 0), num_classes=5), images(6, 3, 8)
    convolutions, norms = modules(model, nn.Conv2d), modules(model, nn.BatchNorm2d)
    z = x
    for index, conv in enumerate(convolutions):
        z = functional.conv2d(z, conv.weight, conv.bias, padding=1).relu()
        z = normed(z, norms[index]) if batch_norm else z
        z = functional.max_pool2d(z, 2) if index % 2 else z
    dense = modules(model, nn.Linear)[0]
    z = (z.flatten(1) @ dense.weight.T + dense.bias).relu()
    torch.testing.assert_close(model.train()(x), z @ model.head.weight.T + model.head.bias, rtol=1e-4, atol=1e-5)


def test_vgg3_drops_what_it_is_told_and_starts_like_he():
    model = nets.vgg3(dropout=(0.1, 0.2, 0.3, 0.4), batch_norm=False)
    assert nets.count_parameters(model) == 550_570  # 287,008 in the convolutions, 263,562 in the dense layers
    kinds = (nn.MaxPool2d, nn.Linear, nn.Dropout)
    order = [layer.p if isinstance(layer, nn.Dropout) else type(layer) for layer in modules(model.body, kinds)]
    pool = nn.MaxPool2d
    assert order == [pool, 0.1, pool, 0.2, pool, 0.3, nn.Linear, 0.4]
    for layer in modules(model, nn.Conv2d | nn.Linear):
        bound = (6 / layer.weight[0].numel()) ** 0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()


def test_shufflenet_alternates_the_channels_of_its_halves():
    model = nets.shufflenetv2(0.5, num_classes=4).eval()
    seen = []
    for unit in model.body:
        if hasattr(unit, "right"):
            unit.register_forward_hook(lambda unit, inputs, output: seen.append((unit, inputs[0], output)))
    with torch.no_grad():
        model(images(2, 3, 32))
        halvings = [unit.left is not None for unit, _, _ in seen]
        assert halvings == list(itertools.chain(*([True] + [False] * (count - 1) for count in (4, 8, 4))))
        for unit, x, output in seen:
            half = output.shape[1] // 2
            left, right = (x[:, :half], x[:, half:]) if unit.left is None else (unit.left(x), x)
            torch.testing.assert_close(output[:, ::2], left)
            torch.testing.assert_close(output[:, 1::2], unit.right(right))
    assert seen[-1][2].shape[2:] == (4, 4)  # three halvings, none before or after them
