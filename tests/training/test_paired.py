"""Paired training: equal seeds see equal data, and an interrupted run continues exactly."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from litrepro.nets import StackedMLP
from litrepro.training import train_paired_psgd

G = torch.Generator().manual_seed(0)
X, Y = torch.randn(60, 5, generator=G), torch.randint(3, (60,), generator=G)
OPTIONS = {"seeds": [0, 1], "hidden": (8, 6), "lr": 0.1, "batch": 10, "steps": 12, "eval_every": 4}


def run(conditions, train=(X[:40], Y[:40]), **keywords):
    return train_paired_psgd(train, (X[40:], Y[40:]), conditions, **(OPTIONS | keywords))


def test_pairs_differ_by_the_noise_alone():
    table = run([("none", 0.0), ("gaussian", 0.0), ("gaussian", 0.5)])
    wide = table.pivot_table(index=["seed", "step"], columns=["kind", "r"], values="test_loss")
    assert (wide["none", 0.0] == wide["gaussian", 0.0]).all()
    late = wide[wide.index.get_level_values("step") > 0]
    assert (late["none", 0.0] != late["gaussian", 0.5]).all()
    assert sorted(table.step.unique()) == [0, 4, 8, 12]
    first = table[(table.step == 12) & (table.kind == "none")].set_index("seed").test_loss
    assert first[0] != first[1]


def test_losses_and_accuracy_are_those_of_a_network_trained_by_hand():
    """Without hidden layers, dropout and noise a member is logistic regression on its seed's batches."""
    options = OPTIONS | {"hidden": (), "activation": (), "dropout": (), "seeds": [3], "steps": 4, "eval_every": 4}
    options.pop("batch")
    table = run([("none", 0.0)], batch=40, **options)  # one batch is all data: its order does not matter
    model = StackedMLP((5, 3), generator=torch.Generator().manual_seed(3), activation=(), dropout=(), init="glorot")
    start, optimizer = table.iloc[0], torch.optim.SGD(model.parameters(), lr=OPTIONS["lr"])
    assert start.train_loss == pytest.approx(cross_entropy(model(X[:40])[0], Y[:40]).item(), rel=1e-5)
    for _ in range(4):
        optimizer.zero_grad()
        cross_entropy(model(X[:40])[0], Y[:40]).backward()
        optimizer.step()
    end, scores = table.iloc[1], model(X[40:])[0]
    assert end.test_loss == pytest.approx(cross_entropy(scores, Y[40:]).item(), rel=1e-5)
    assert end.test_accuracy == pytest.approx((scores.argmax(-1) == Y[40:]).double().mean().item())
    norm = sum(parameter.grad.square().sum() for parameter in model.parameters()).sqrt().item()
    assert end.gradient_norm == pytest.approx(norm, rel=1e-5)


def test_both_scalings_are_one():
    count = 5 * 8 + 8 + 8 * 6 + 6 + 6 * 3 + 3
    a, b = run([("coordinate", 0.01)]), run([("gaussian", 0.01 * count**0.5)])
    torch.testing.assert_close(torch.tensor(a.test_loss), torch.tensor(b.test_loss))


def test_an_interrupted_run_continues_exactly(tmp_path):
    conditions = [("none", 0.0), ("gaussian", 0.3)]
    whole = run(conditions)

    def cut(steps):
        for step in steps:
            if step == 7:
                raise KeyboardInterrupt
            yield step

    with pytest.raises(KeyboardInterrupt):
        run(conditions, checkpoint=tmp_path / "run.pt", progress=cut)
    resumed = run(conditions, checkpoint=tmp_path / "run.pt")
    assert resumed.equals(whole)  # the norm of the gradient before the record included


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 20}, {"lr": 0.05}, {"seeds": [5, 7]}, {"hidden": (8, 5)}, {"batch": 9}, {"dropout": (0.1, 0.0)},
        {"conditions": [("none", 0.0), ("gaussian", 0.2)]}, {"train": (1 - X[:40], Y[:40])},
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_run_is_refused(other, tmp_path):
    same = {"conditions": [("none", 0.0), ("gaussian", 0.3)], "checkpoint": tmp_path / "run.pt"}
    run(**same)
    with pytest.raises(ValueError, match="must belong to this run"):
        run(**same | other)


@pytest.mark.parametrize("conditions", [[("ball", 1.0)], [("gaussian", -1.0)]])
def test_bad_conditions(conditions):
    with pytest.raises(ValueError):
        run(conditions)
