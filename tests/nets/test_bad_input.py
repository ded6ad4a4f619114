"""What the networks refuse before any weight is drawn."""

import pytest
import torch
from torch import nn

from litrepro import nets


@pytest.mark.parametrize(
    "call",
    [
        lambda: nets.StackedMLP(5),
        lambda: nets.StackedMLP("32"),
        lambda: nets.StackedMLP((2, 3, 2), activation=None),
        lambda: nets.StackedMLP((2, 3, 2), dropout=None),
        lambda: nets.StackedMLP((2, 3, 2), dropout="x"),
        lambda: nets.StackedMLP((2, 2), generator="x"),
        lambda: nets.StackedMLP((2, 2), mask_groups=5),
        lambda: nets.allconv_resnet(1, widths=5),
        lambda: nets.allconv_resnet(1, widths=()),
        lambda: nets.count_parameters(None),
        lambda: nets.count_parameters(torch.ones(2)),
        lambda: nets.grouped(5),
        lambda: nets.grouped([]),
        lambda: nets.grouped(["x"]),
        lambda: nets.mlp(2, None, 2),
        lambda: nets.mnist_convnet(5),
        lambda: nets.shufflenetv2([1.0]),
        lambda: nets.vgg3(None),
        lambda: nets.vgg3(dropout=0.5),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match=r"must|needs"):
        call()


def test_a_seed_is_a_generator():
    drawn = nets.StackedMLP((2, 3), generator=torch.Generator().manual_seed(4))
    seeded = nets.StackedMLP([2, 3], generator=4)
    assert torch.equal(drawn.weights[0], seeded.weights[0])
    assert nets.count_parameters(nn.Linear(3, 2)) == 8
