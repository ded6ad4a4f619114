"""Entropy and information of soft targets."""

import math

import pytest
import torch

from litrepro.distillation import target_information, uniform_targets

GENERATOR = torch.Generator().manual_seed(0)
TARGETS = torch.randn(2, 30, 4, generator=GENERATOR, dtype=torch.float64).softmax(-1)
LABELS = torch.randint(3, (2, 30), generator=GENERATOR)  # class 3 is absent


def by_hand(targets, labels):
    """Plain loops over examples and classes."""
    n, K = targets.shape
    entropy = -sum(p * math.log(p) for row in targets.tolist() for p in row) / n
    parts = []
    for row, label in zip(targets.tolist(), labels.tolist()):
        rest = 1 - row[label]
        parts.append([0.0 if k == label else row[k] / rest for k in range(K)])
    information = 0.0
    for part, label in zip(parts, labels.tolist()):
        same = [other for other, c in zip(parts, labels.tolist()) if c == label]
        mean = [sum(column) / len(same) for column in zip(*same)]
        information += sum(p * math.log(p / q) for p, q in zip(part, mean) if p) / n
    return entropy, information


def test_against_loops():
    entropy, information = target_information(TARGETS, LABELS)
    assert entropy.shape == information.shape == (2,)
    for i in range(2):
        assert (entropy[i].item(), information[i].item()) == pytest.approx(by_hand(TARGETS[i], LABELS[i]), rel=1e-9)


def test_targets_that_depend_on_the_label_alone():
    entropy, information = target_information(uniform_targets(LABELS, 4, peak=0.9), LABELS)
    expected = -0.9 * math.log(0.9) - 0.1 * math.log(0.1 / 3)
    torch.testing.assert_close(entropy, torch.full((2,), expected, dtype=torch.float64), rtol=1e-5, atol=0)
    assert information.abs().max() < 1e-6
    certain = target_information(torch.nn.functional.one_hot(LABELS, 4).float(), LABELS)
    assert all(value.abs().max() < 1e-12 for value in certain)


@pytest.mark.parametrize(
    "arguments",
    [
        (TARGETS[..., :2], LABELS), (TARGETS, LABELS[0]), (TARGETS, LABELS.double()), (2 * TARGETS, LABELS),
        (TARGETS - 0.5, LABELS), (TARGETS.tolist(), LABELS), (TARGETS[:, :0], LABELS[:, :0]), (TARGETS / 0, LABELS),
    ],
)  # fmt: skip
def test_refuses(arguments):
    with pytest.raises(ValueError, match="must"):
        target_information(*arguments)
