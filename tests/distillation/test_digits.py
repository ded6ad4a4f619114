"""Digits as pairs, builders of perceptrons, a teacher's targets, last values."""

import pandas as pd
import pytest
import torch

from litrepro.data import ImageSet
from litrepro.distillation import SoftTargets, _digits, digit_sets, last_values, perceptrons
from litrepro.nets import mlp


def test_digit_sets_asks_mnist_for_both_parts(monkeypatch):
    asked = []

    def fake(split, **options):
        asked.append((split, options))
        labels = torch.arange(20 if split == "train" else 30) % 10
        return ImageSet(torch.rand(len(labels), 1, 7, 7), labels, tuple("0123456789"), "mnist", split, "bundled")

    monkeypatch.setattr(_digits, "mnist", fake)
    train, (x, y) = digit_sets(20, size=7, source="auto", device="meta", seed=3)
    same = {"source": "auto", "size": 7}
    first = ("train", same | {"n": 20, "balanced": True, "seed": 3})
    assert asked == [first, ("test", same)]
    assert [tuple(part.shape) for part in (*train, x, y)] == [(20, 1, 7, 7), (20,), (30, 1, 7, 7), (30,)]
    assert {part.device.type for part in (*train, x, y)} == {"meta"}

    asked.clear()
    (x, y), test = digit_sets(20, size=7, source="auto", seed=[3, 5])
    assert [options.get("seed") for _, options in asked] == [3, 5, None]
    assert [tuple(part.shape) for part in (x, y, *test)] == [(2, 20, 1, 7, 7), (2, 20), (30, 1, 7, 7), (30,)]
    with pytest.raises(ValueError, match="at least 1"):
        digit_sets(20, seed=[])


def test_perceptrons_are_mlps_of_the_shifted_seed():
    x = torch.rand(3, 1, 5, 5)
    expected = mlp(25, [6, 4], 10, seed=12)
    assert torch.equal(perceptrons(5, 6, 4, shift=10)(seed=2)(x), expected(x))
    assert not torch.equal(perceptrons(5, 6, 4)(seed=2)(x), expected(x))
    assert len(list(perceptrons(5)(seed=0).parameters())) == 2


def test_targets_from_logits():
    logits, labels = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    kind = SoftTargets.from_logits(logits, 2.0, 0.7, labels=labels)
    powers = logits.double().exp().sqrt()
    assert torch.allclose(kind.targets.double(), powers / powers.sum(-1, keepdim=True), atol=1e-6)
    assert (kind.alpha, kind.temperature, kind.scale) == (0.7, 2.0, None)
    assert kind.labels is labels


def test_last_values_of_every_member():
    value = {"train": 5.0, "test": 0.0}
    rows = [(m, e, s, "accuracy", value[s] + m + e / 10) for e in (3, 1, 2) for m in (0, 1) for s in value]
    history = pd.DataFrame(rows, columns=["member", "epoch", "split", "metric", "value"])
    assert last_values(history).sort_values("member")["value"].tolist() == [0.3, 1.3]
    named = history.assign(variant="a", seed=7 * history.member)
    assert last_values(named, split="train").set_index("seed")["value"].to_dict() == {0: 5.3, 7: 6.3}
    assert last_values(history, metric="loss").empty


@pytest.mark.parametrize(
    "call",
    [
        lambda: digit_sets(20, source="elsewhere"),
        lambda: perceptrons(0, 5),
        lambda: perceptrons(5, 0),
        lambda: perceptrons(5, 5, shift=-1),
        lambda: SoftTargets.from_logits(torch.zeros(2, 3), 0.0),
        lambda: SoftTargets.from_logits(torch.zeros(2, 3), 1.0, 1.5),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"got|must"):
        call()
