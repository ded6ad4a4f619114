"""Drift of training from the end-to-end rule, and networks of several widths in one batch."""

import numpy as np
import pytest
import torch

from litrepro import linearnets as ln

DOUBLE = torch.float64


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def by_hand(start, target, lr, steps, decay):
    """Depth 2 in numpy: descent on two balanced factors, and the rule by matrix square roots."""
    u, s, vh = np.linalg.svd(start)
    second, first = u * np.sqrt(s), np.sqrt(s)[:, None] * vh
    rule = start.copy()
    for _ in range(steps):
        g = second @ first - target
        second, first = (
            (1 - lr * decay) * second - lr * g @ first.T,
            (1 - lr * decay) * first - lr * second.T @ g,
        )
        left, singular, right = np.linalg.svd(rule)
        slope = rule - target
        moved = (left * singular) @ left.T @ slope + slope @ (right.T * singular) @ right
        rule = (1 - 2 * lr * decay) * rule - lr * moved
    product = second @ first
    return np.linalg.norm(second.T @ second - first @ first.T), np.linalg.norm(product - rule), product


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_errors_are_those_of_the_two_processes(decay):
    start, target = 0.6 * draw(3, 3, seed=1), draw(3, 3, seed=2)
    gap, distance, trained = ln.emulation_errors(lambda w: w - target, start, 2, lrs=[0.1, 0.02], weight_decay=decay)
    for index, (lr, steps) in enumerate(((0.1, 10), (0.02, 50))):
        expected = by_hand(start.numpy(), target.numpy(), lr, steps, decay)
        assert gap[index].item() == pytest.approx(expected[0], rel=1e-9)
        assert distance[index].item() == pytest.approx(expected[1], rel=1e-6)
        assert np.allclose(trained[index].numpy(), expected[2], atol=1e-12)


def test_errors_are_batched_and_proportional_to_the_step():
    start, target = 0.6 * draw(4, 3, 5, seed=3), draw(3, 5, seed=4)
    errors = ln.emulation_errors(lambda w: w - target, start, 3, lrs=[1e-2, 1e-3], time=0.5)
    assert errors.gap.shape == errors.distance.shape == (2, 4)
    for each in (errors.gap, errors.distance):
        assert ((each[0] / each[1] - 10).abs() < 1).all()
    alone = ln.emulation_errors(lambda w: w - target, start[1], 3, lrs=[1e-2], time=0.5)
    assert alone.distance.item() == pytest.approx(errors.distance[0, 1].item(), rel=1e-9)


def test_padding_changes_neither_the_product_nor_what_training_does():
    start, target = [draw(2, 4, seed=5), draw(3, 2, seed=6), draw(2, 3, seed=7)], draw(2, 4, seed=8)
    padded = ln.pad_factors(start, 5)
    assert [tuple(factor.shape) for factor in padded] == [(5, 4), (5, 5), (2, 5)]
    paths = [
        ln.train_factors(lambda w: w - target, factors, lr=0.01, steps=50, weight_decay=0.1)[0]
        for factors in (start, padded)
    ]
    assert torch.allclose(*paths, atol=1e-12)
    assert not torch.allclose(paths[0][0], paths[0][-1], atol=1e-2)
    assert torch.equal(ln.pad_factors([target], 9)[0], target)
    assert ln.pad_factors([draw(6, 1, 4), draw(6, 2, 1)], 3)[0].shape == (6, 3, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ln.emulation_errors(None, torch.ones(2, 2), 2, lrs=[0.1]), "grad"),
        (lambda: ln.emulation_errors(lambda w: w, torch.ones(2, 2), 2, lrs=[]), "lrs"),
        (lambda: ln.emulation_errors(lambda w: w, torch.ones(2, 2), 2, lrs=[0.1, -0.1]), "lrs"),
        (lambda: ln.emulation_errors(lambda w: w, torch.ones(2, 2), 2, lrs=[0.1], time=0.0), "time"),
        (lambda: ln.emulation_errors(lambda w: w, torch.ones(2, 2), 0, lrs=[0.1]), "depth"),
        (lambda: ln.emulation_errors(lambda w: w, torch.ones(2), 2, lrs=[0.1]), "W"),
        (lambda: ln.emulation_errors(lambda w: w, torch.ones(2, 2), 2, lrs=[0.1], weight_decay=-1.0), "weight_decay"),
        (lambda: ln.pad_factors([torch.ones(3, 2), torch.ones(1, 3)], 2), "width must be at least"),
        (lambda: ln.pad_factors([torch.ones(3, 2), torch.ones(1, 3)], 3.5), "width"),
        (lambda: ln.pad_factors([torch.ones(3, 2), torch.ones(1, 2)], 3), "factors"),
        (lambda: ln.pad_factors([], 3), "factors"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
