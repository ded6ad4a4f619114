"""distill against fit by hand, the chain stage by stage, the ensemble against single runs."""

import pandas as pd
import pytest
import torch

from litrepro import ConvergenceWarning
from litrepro.distillation import (
    SoftTargets,
    distill,
    distill_chain,
    distillation_loss,
    paired_gains,
    random_shift,
    regularized_loss,
    smooth_labels,
    train_students,
)
from litrepro.nets import mlp
from litrepro.training import cosine, evaluate, fit


def data(n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return x, x[:, :3].argmax(1)


OPTIONS = {"epochs": 3, "batch_size": 20, "optimizer": "adam", "lr": 0.01, "seed": 4}


def test_distill_equals_fit_on_cached_logits():
    train, test = data(), data(30, 1)
    teacher = mlp(4, [32], 3, seed=1)
    teacher.train()
    with torch.no_grad():
        before = {name: value.clone() for name, value in teacher.state_dict().items()}
        logits = teacher(train[0])
    student, twin = mlp(4, [5], 3, seed=2), mlp(4, [5], 3, seed=2)
    history = distill(student, teacher, train, alpha=0.3, temperature=2.0, evaluate_on={"test": test}, **OPTIONS)
    loss = lambda z, y: distillation_loss(z, y[0], y[1], alpha=0.3, temperature=2.0)  # noqa: E731
    fit(twin, (train[0], (train[1], logits)), loss=loss, metrics=(), **OPTIONS)
    for a, b in zip(student.parameters(), twin.parameters()):
        assert torch.equal(a, b)
    assert teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    last = history[history.epoch == 3].set_index(["split", "metric"])["value"]
    for name, part in (("train", train), ("test", test)):
        for metric, value in evaluate(student, part).items():
            assert last[name, metric] == pytest.approx(value, abs=1e-6)


def test_teacher_runs_in_eval_mode_and_metrics_see_labels():
    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.drop = mlp(4, [8], 3), torch.nn.Dropout(0.5)
            self.calls = []

        def forward(self, x):
            self.calls.append((self.training, torch.is_grad_enabled(), len(x)))
            return self.drop(self.net(x))

    def share_of_first(outputs, y):
        return (y == 0).to(outputs.dtype)

    teacher, train = Dropping(), data()
    student = mlp(4, [2], 3)
    history = distill(student, teacher, train, alpha=0, temperature=4, epochs=2, metrics=(share_of_first, "loss"))
    assert teacher.calls == [(False, False, 60)]
    share = history[history.metric == "share_of_first"].value
    assert share.tolist() == pytest.approx([float((train[1] == 0).float().mean())] * 3)


def test_distill_chain_is_distill_stage_by_stage():
    train = data()
    teacher = mlp(4, [32], 3, seed=1)
    assistant, student = mlp(4, [8], 3, seed=2), mlp(4, [2], 3, seed=3)
    twins = mlp(4, [8], 3, seed=2), mlp(4, [2], 3, seed=3)
    history = distill_chain([teacher, assistant, student], train, alpha=0.1, temperature=4.0, **OPTIONS)
    first = distill(twins[0], teacher, train, alpha=0.1, temperature=4.0, **OPTIONS)
    second = distill(twins[1], twins[0], train, alpha=0.1, temperature=4.0, **OPTIONS)
    assert history.stage.unique().tolist() == [1, 2]
    for stage, expected in ((1, first), (2, second)):
        assert history[history.stage == stage].value.tolist() == pytest.approx(expected.value.tolist())


@pytest.mark.parametrize("same_models", [True, False])
def test_a_chain_goes_on_after_an_interruption_in_its_second_stage(tmp_path, monkeypatch, same_models):
    monkeypatch.setattr("litrepro.training._fit.CHECKPOINT_SECONDS", 0.0)
    train = data()
    make = lambda: [mlp(4, [width], 3, seed=width) for width in (32, 8, 2)]  # noqa: E731
    epochs = []

    def stop_in_stage_two(epoch, model):
        epochs.append(epoch)
        if len(epochs) == 4 + 3:  # epochs 0, 1 and 2 of the second stage
            raise KeyboardInterrupt

    options = {**OPTIONS, "alpha": 0.1, "temperature": 4.0}
    plain = make()
    expected = distill_chain(plain, train, **options)
    resumed = make()
    options["checkpoint"] = tmp_path / "chain.pt"
    with pytest.raises(KeyboardInterrupt):
        distill_chain(resumed, train, callback=stop_in_stage_two, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain-1.pt", "chain-2.pt"]
    resumed = resumed if same_models else make()
    epochs.clear()
    found = distill_chain(resumed, train, callback=lambda epoch, model: epochs.append(epoch), **options)
    assert epochs == [2, 3]
    pd.testing.assert_frame_equal(found.drop(columns="seconds"), expected.drop(columns="seconds"))
    for model, twin in zip(resumed, plain):
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters()))
    again = distill_chain(make(), train, **options | {"checkpoint": str(tmp_path / "chain.pt")})
    pd.testing.assert_frame_equal(again, found)


def test_a_checkpoint_belongs_to_one_weight_and_one_temperature(tmp_path):
    train, teacher, student = data(), mlp(4, [9], 3), mlp(4, [5], 3)
    options = {**OPTIONS, "checkpoint": tmp_path / "student.pt"}
    distill(student, teacher, train, alpha=0.1, temperature=4.0, **options)
    for other in ({"alpha": 0.2, "temperature": 4.0}, {"alpha": 0.1, "temperature": 5.0}):
        with pytest.raises(ValueError, match=r"must belong to this run.*functions"):
            distill(student, teacher, train, **other, **options)


def test_train_students_equals_single_runs():
    train, test = data(), data(30, 1)
    smooth = smooth_labels(train[1], 3, epsilon=0.5)
    noisy = (train[1] + 1) % 3
    kinds = {
        "hard": SoftTargets(),
        "soft": SoftTargets(smooth, alpha=0.7, temperature=3.0),
        "noisy": SoftTargets(torch.stack([smooth, smooth.flip(1)]), alpha=0.2, scale=2.0, labels=noisy),
    }
    options = {**OPTIONS, "evaluate_on": {"test": test}, "metrics": ("loss", "accuracy")}
    options.pop("seed")
    found = train_students(lambda seed: mlp(4, [5], 3, seed=seed), [3, 8], train, kinds, **options)
    assert len(found) == 6
    settings = [(0.0, 1.0, 1.0, smooth, train[1]), (0.7, 3.0, 9.0, smooth, train[1])]
    member = 0
    for variant in range(3):
        for number, seed in enumerate((3, 8)):
            if variant < 2:
                alpha, T, scale, target, labels = settings[variant]
            else:
                alpha, T, scale, target, labels = 0.2, 1.0, 2.0, (smooth, smooth.flip(1))[number], noisy
            model = mlp(4, [5], 3, seed=seed)
            loss = lambda z, y, a=alpha, t=T, s=scale: regularized_loss(z, *y, alpha=a, temperature=t, scale=s)  # noqa: E731
            fit(model, (train[0], (labels, target)), loss=loss, metrics=(), **{**OPTIONS, "seed": seed})
            with torch.no_grad():
                assert torch.allclose(found(test[0])[member], model(test[0]), atol=1e-4)
            rows = found.history[(found.history.member == member) & (found.history.epoch == 3)]
            value = rows[(rows.split == "test") & (rows.metric == "loss")].value.item()
            assert value == pytest.approx(evaluate(model, test)["loss"], abs=1e-4)
            assert (rows.variant.iloc[0], rows.seed.iloc[0]) == (list(kinds)[variant], seed)
            member += 1


def test_a_training_set_for_each_seed_equals_single_calls():
    sets = [data(60, 0), data(60, 5)]
    x, y = (torch.stack(parts) for parts in zip(*sets))
    soft = torch.stack([smooth_labels(labels, 3, epsilon=0.5) for labels in y])
    options = {**OPTIONS, "evaluate_on": {"test": data(30, 1)}}
    options.pop("seed")
    make = lambda seed: mlp(4, [5], 3, seed=seed)  # noqa: E731
    kinds = lambda part: {"hard": SoftTargets(), "soft": SoftTargets(part, 0.7, 3.0)}  # noqa: E731
    found = train_students(make, [3, 8], (x, y), kinds(soft), **options)
    for i, seed in enumerate((3, 8)):
        alone = train_students(make, [seed], sets[i], kinds(soft[i]), **options)
        for variant in range(2):
            for name, value in alone.params.items():
                assert torch.allclose(found.params[name][2 * variant + i], value[variant], atol=1e-6)
    swapped = train_students(make, [3, 8], (x.flip(0), y.flip(0)), kinds(soft.flip(0)), **options)
    assert not torch.allclose(found.params["head.weight"], swapped.params["head.weight"])
    for bad in ((x, y[:1]), (x[:, :9], y), (x[:1], y[:1]), (x, y.float()), (x[:, :0], y[:, :0]), (None, y)):
        with pytest.raises(ValueError, match=r"got|must"):
            train_students(make, [3, 8], bad, {"hard": SoftTargets()}, **options)


@pytest.mark.parametrize("hidden", [[5], [5, 6]])
def test_perceptrons_side_by_side_equal_an_ensemble(hidden):
    # Perceptrons are trained in closed form, but with metrics of one's own, as members of an ensemble under vmap.
    sets = [data(60, 0), data(60, 5)]
    x, y = (torch.stack(parts) for parts in zip(*sets))
    soft = torch.stack([smooth_labels(labels, 3, epsilon=0.5) for labels in y])
    kinds = {"hard": SoftTargets(), "noisy": SoftTargets(soft, 0.2, 2.0, labels=(y + 1) % 3)}
    kinds |= {f"T = {T}": SoftTargets(soft, 0.7, float(T), scale=1.5 if T == 3 else None) for T in range(1, 7)}
    shared = {k: SoftTargets(None if v.targets is None else v.targets[0], *v[1:4]) for k, v in kinds.items()}
    make = lambda seed: mlp(4, hidden, 3, seed=seed)  # noqa: E731
    augment = lambda part, generator: part + 0.1 * torch.randn(part.shape, generator=generator)  # noqa: E731
    options = OPTIONS | {"evaluate_on": {"test": data(30, 1)}, "augment": augment, "eval_every": 2}
    options |= {"batch_size": 25, "schedule": cosine}
    for train, variants in (((x, y), kinds), (sets[0], shared), (sets[0], {"hard": SoftTargets()})):
        found = train_students(make, [3, 8], train, variants, **options)
        expected = train_students(make, [3, 8], train, variants, **options, metrics=("accuracy",))
        assert len(found) == 2 * len(variants)
        assert found.params.keys() == expected.params.keys()
        for name, value in found.params.items():
            assert torch.allclose(value, expected.params[name], atol=1e-4)
        assert found.module.state_dict().keys() == expected.module.state_dict().keys()
        assert found.history.columns.tolist() == expected.history.columns.tolist()
        keys = ["member", "epoch", "step", "split", "metric", "variant", "seed"]
        pd.testing.assert_frame_equal(found.history[keys], expected.history[keys])
        assert (found.history.value - expected.history.value).abs().max() < 0.04  # one of thirty on the fence


@pytest.mark.parametrize("own_sets", [True, False])
def test_copies_that_are_looked_up_are_those_of_random_shift(own_sets):
    x = torch.rand(2, 30, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    y = x[:, :, 0, :3, 0].argmax(-1)
    train = (x, y) if own_sets else (x[0], y[0])
    make = lambda seed: mlp(40, [6], 3, seed=seed)  # noqa: E731
    # Both are the same function; only one of them is known.
    found, expected = (
        train_students(make, [3, 8], train, {"hard": SoftTargets()}, augment=shift, **OPTIONS | {"batch_size": 8})
        for shift in (random_shift, lambda images, generator: random_shift(images, generator))
    )
    for name, value in found.params.items():
        assert torch.equal(value, expected.params[name])


def test_one_of_many_kinds_that_diverges_leaves_the_others_alone():
    train = data()
    soft = smooth_labels(train[1], 3, epsilon=0.5)
    kinds = {str(k): SoftTargets(soft, 0.5, 1.0 + k) for k in range(8)}
    make = lambda seed: mlp(4, [5], 3, seed=seed)  # noqa: E731
    fine = train_students(make, [3, 8], train, kinds, **OPTIONS)
    bad, seen = SoftTargets(soft * torch.inf, 0.5), []
    options = OPTIONS | {"callback": lambda epoch, ensemble: seen.append((epoch, len(ensemble)))}
    with pytest.warns(ConvergenceWarning, match="member"):
        found = train_students(make, [3, 8], train, kinds | {"bad": bad}, **options)
    assert seen == [(epoch, 18) for epoch in range(4)]
    for name, value in fine.params.items():
        assert torch.allclose(found.params[name][:16], value, atol=1e-4)


def test_paired_gains_by_hand():

    values = {("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): 0.6, ("b", 1): 0.9}
    rows = [(v, s, e, "test", "accuracy", a + (e - 2)) for (v, s), a in values.items() for e in (1, 2)]
    table = paired_gains(pd.DataFrame(rows, columns=["variant", "seed", "epoch", "split", "metric", "value"]), "a")
    assert table.loc["b"].tolist() == pytest.approx([0.75, 0.15, 0.05])
    assert table.loc["a"].tolist() == pytest.approx([0.6, 0.0, 0.0])


def test_bad_input():
    train = data()
    small, big = mlp(4, [2], 3), mlp(4, [8], 3)
    good = {"alpha": 0.1, "temperature": 4.0, "epochs": 1}
    make = lambda seed: mlp(4, [2], 3, seed=seed)  # noqa: E731
    hard = {"a": SoftTargets()}
    bad = [
        lambda: distill(small, 3, train, **good),
        lambda: distill(small, big, (train[0], train[1] + 1), **good),
        lambda: distill(small, big, train, evaluate_on={"test": (train[0], train[0])}, **good),
        lambda: distill_chain([big, small, mlp(4, [2], 4)], train, **good),
        lambda: distill_chain(big, train, **good),
        lambda: train_students(make, [], train, hard, epochs=1),
        lambda: train_students(make, [0], train[0], hard, epochs=1),
        lambda: train_students(make, [0], train, [SoftTargets()], epochs=1),
        lambda: train_students(make, [0], train, {"a": torch.zeros(60, 3)}, epochs=1),
        lambda: train_students(make, [0], train, {"a": SoftTargets(torch.zeros(60, 4))}, epochs=1),
        lambda: train_students(make, [0], train, {"a": SoftTargets(torch.zeros(60, 3), scale=-1.0)}, epochs=1),
        lambda: train_students(make, [0], train, {"a": SoftTargets(labels=train[1] + 1)}, epochs=1),
        lambda: train_students(make, [0], train, hard, epochs=1, loss="mse"),
        lambda: distill(small, mlp(4, [8], 5), train, **good),
        lambda: distill(small, big, train, **good | {"alpha": 1.5}),
        lambda: distill(small, big, train, **good | {"temperature": 0}),
        lambda: distill(small, big, train, loss="mse", **good),
        lambda: distill(small, big, (train[0], (train[1], train[0])), **good),
        lambda: distill(small, big, (train[0][:5], train[1]), **good),
        lambda: distill_chain([big], train, **good),
        lambda: train_students(make, [0], train, {}, epochs=1),
        lambda: train_students(make, [0], train, {"a": SoftTargets(torch.zeros(5, 3))}, epochs=1),
        lambda: train_students(
            make, [0], train, {"a": SoftTargets(labels=torch.zeros(5, dtype=torch.int64))}, epochs=1
        ),
    ]
    for call in bad:
        with pytest.raises(ValueError, match=r"got|must"):
            call()


def test_a_class_without_examples_is_no_problem():
    x, y = data()
    few = (x[y != 2], y[y != 2])
    trained = train_students(lambda seed: mlp(4, [2], 3, seed=seed), [0, 1], few, {"hard": SoftTargets()}, epochs=1)
    assert trained(x).shape == (2, 60, 3)
