"""Networks trained side by side are the networks trained alone."""

import pytest
import torch

from litrepro.nets import allconv_resnet, cnn5
from litrepro.training import evaluate, fit, fit_grouped

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(24, 1, 8, 8, generator=GENERATOR)
LABELS = torch.randint(3, (24, 2), generator=GENERATOR)
SETTINGS = {"epochs": 3, "batch_size": 7, "optimizer": "adam", "lr": 0.01, "seed": 4}


def networks(count=2):
    return [cnn5(2, num_classes=3, in_channels=1, size=8, seed=s) for s in range(count)]


def test_every_member_trains_as_it_would_alone():
    before = [model.head.weight.clone() for model in networks()]
    models = networks()
    table = fit_grouped(models, (X, LABELS), evaluate_on={"test": (X[:9], LABELS[:9])}, eval_every=2, **SETTINGS)
    assert table.columns.tolist() == ["epoch", "member", "train_error", "test_error"]
    assert list(zip(table.epoch, table.member)) == [(e, m) for e in (0, 2, 3) for m in (0, 1)]
    for m, model in enumerate(models):
        torch.testing.assert_close(model.head.weight, before[m], rtol=0, atol=0)  # the models are left as they are
        fit(model, (X, LABELS[:, m]), **SETTINGS)
        last = table[(table.epoch == 3) & (table.member == m)].iloc[0]
        for name, count in (("train", 24), ("test", 9)):
            alone = 1 - evaluate(model, (X[:count], LABELS[:count, m]))["accuracy"]
            assert last[f"{name}_error"] == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"models": []},
        {"models": [None, None]},
        {"train": (X, LABELS[:, 0])},
        {"train": (X, LABELS[:, :1])},
        {"train": (X, LABELS.float())},
        {"train": (X.flatten(1), LABELS)},
        {"evaluate_on": {"test": (X, LABELS[:5])}},
        {"loss": "mse"},
        {"metrics": ("loss",)},
        {"epochs": -1},
    ],
)
def test_refuses(change):
    good = {"models": networks(), "train": (X, LABELS), "epochs": 1}
    with pytest.raises(ValueError, match=r"must|got"):
        fit_grouped(**(good | change))


def test_frozen_parameters_stay():
    def build(seed):
        return allconv_resnet(1, widths=(2, 3), stem=2, in_channels=1, num_classes=3, head="fixed", seed=seed)

    seen, settings = {}, SETTINGS | {"optimizer": "sgd", "lr": 0.5}
    fit_grouped(
        [build(0), build(1)], (X, LABELS), **settings,
        callback=lambda epoch, model: seen.update(
            {epoch: {name: value.clone() for name, value in model.body.named_parameters()}}
        ),
    )  # fmt: skip
    for m in range(2):
        alone = build(m)
        fit(alone, (X, LABELS[:, m]), **settings)
        torch.testing.assert_close(seen[3]["head.weight"][m], build(m).head.weight.mT, rtol=0, atol=0)
        torch.testing.assert_close(seen[3]["stem.weight"].chunk(2)[m], alone.stem.weight)
