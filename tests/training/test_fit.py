"""One model: against a loop written out here, and what the history, the batches and the schedules promise."""

import functools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro import ConvergenceWarning
from litrepro.nets import allconv_resnet, cnn5, mlp
from litrepro.optim import AdaHessian, Uniform
from litrepro.training import batches, constant, cosine, evaluate, fit, fit_ensemble, step_decay


def toy(n=50, d=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator)
    return x, x[:, :classes].argmax(1)


def values(history, split="train", metric="loss"):
    return history[(history.split == split) & (history.metric == metric)].value.tolist()


class Flat:
    """A schedule without a name."""

    def __init__(self, function):
        self.function = function

    def __call__(self, t):
        return self.function(t)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_fit_is_the_loop_written_out(optimizer):
    x, y = toy()
    weights = torch.rand(50, generator=torch.Generator().manual_seed(1))
    model, twin = mlp(6, [5], 3, seed=2), mlp(6, [5], 3, seed=2)
    choice = (lambda params: torch.optim.RMSprop(params, 0.01)) if optimizer == "rmsprop" else optimizer
    settings = {"lr": 0.05, "weight_decay": 0.01}
    history = fit(model, (x, y), epochs=3, batch_size=16, optimizer=choice, momentum=0.8, schedule=cosine, seed=7,
                  weights=weights, **settings)  # fmt: skip
    own = {
        "sgd": lambda p: torch.optim.SGD(p, momentum=0.8, **settings),
        "adam": lambda p: torch.optim.Adam(p, **settings),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01),
    }[optimizer](twin.parameters())
    base, step, losses = own.param_groups[0]["lr"], 0, [functional.cross_entropy(twin(x), y).item()]
    for epoch in range(3):
        for chosen in batches(50, 16, 7, epoch):
            own.param_groups[0]["lr"] = base * 0.5 * (1 + math.cos(math.pi * step / 12))
            own.zero_grad()
            (weights[chosen] * functional.cross_entropy(twin(x[chosen]), y[chosen], reduction="none")).mean().backward()
            own.step()
            step += 1
        losses.append(functional.cross_entropy(twin(x), y).item())
    torch.testing.assert_close(model(x), twin(x))
    assert values(history) == pytest.approx(losses, abs=1e-6)
    assert losses[-1] < losses[0] or optimizer == "sgd"


def test_history_is_tidy():
    x, y = toy()
    model = mlp(6, [5], 3)
    history = fit(model, (x, y), epochs=5, batch_size=16, eval_every=2, evaluate_on={"test": toy(20, seed=1)})
    assert history.columns.tolist() == ["epoch", "step", "split", "metric", "value", "seconds"]
    assert history.epoch.unique().tolist() == [0, 2, 4, 5]
    assert history.step.unique().tolist() == [0, 8, 16, 20]
    assert set(history.split) == {"train", "test"}
    assert set(history.metric) == {"loss", "accuracy"}
    assert len(history) == 4 * 2 * 2
    seconds = history.groupby("epoch").seconds.first()
    assert seconds.is_monotonic_increasing
    assert seconds[0] == 0
    last = history[history.epoch == 5].set_index(["split", "metric"]).value
    found = evaluate(model, toy(20, seed=1), batch_size=7)
    assert last["test"].to_dict() == pytest.approx(found, abs=1e-6)
    assert found["accuracy"] == (model(toy(20, seed=1)[0]).argmax(1) == toy(20, seed=1)[1]).float().mean()
    assert fit(model, (x, y), epochs=0).epoch.unique().tolist() == [0]


def test_batches_are_permutations():
    parts = batches(10, 4, 3, 2)
    assert [len(part) for part in parts] == [4, 4, 2]
    assert torch.cat(parts).sort().values.tolist() == list(range(10))
    assert torch.equal(torch.cat(parts), torch.cat(batches(10, 3, 3, 2)))
    assert not torch.equal(torch.cat(parts), torch.cat(batches(10, 4, 3, 3)))
    assert not torch.equal(torch.cat(parts), torch.cat(batches(10, 4, 4, 2)))
    assert [len(part) for part in batches(3, 8, 0, 0)] == [3]


def test_schedules():
    assert constant(0.7) == 1
    assert [cosine(t) for t in (0, 0.5)] == pytest.approx([1, 0.5])
    decay = step_decay({0.9: 0.01, 0.6: 0.1})
    assert [decay(t) for t in (0, 0.59, 0.6, 0.89, 0.95)] == [1, 1, 0.1, 0.1, 0.01]
    seen = []
    fit(mlp(6, [], 3), toy(), epochs=2, batch_size=20, schedule=lambda t: seen.append(t) or 1.0)
    assert seen == pytest.approx([k / 6 for k in range(6)])


def test_losses_targets_and_metrics():
    x, y = toy()
    hot = functional.one_hot(y, 3).float()
    model = mlp(6, [5], 3)
    brier = ((model(x) - hot) ** 2).mean().item()
    assert evaluate(model, (x, y), loss="mse")["loss"] == pytest.approx(brier, abs=1e-6)
    assert evaluate(model, (x, hot), loss="mse") == {"loss": pytest.approx(brier, abs=1e-6)}
    soft = -(hot * model(x).log_softmax(1)).sum(1).mean().item()
    assert evaluate(model, (x, hot))["loss"] == pytest.approx(soft, abs=1e-6)
    custom = evaluate(model, (x, (y, hot)), loss=lambda outputs, y: (outputs - y[1]).square().sum(1))
    assert custom["loss"] == pytest.approx(3 * brier, abs=1e-5)
    assert custom["accuracy"] == evaluate(model, (x, y))["accuracy"]

    def top(outputs, y):
        return outputs.max(1).values

    assert evaluate(model, (x, y), metrics=("loss", top))["top"] == pytest.approx(model(x).max(1).values.mean().item())
    regression = fit(mlp(6, [], 1), (x, x[:, 0]), epochs=40, batch_size=50, lr=0.1, loss="mse")
    assert values(regression)[-1] < 1e-2 * values(regression)[0]


def test_eval_mode_frozen_head_and_global_state():
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(40) % 10
    model = allconv_resnet(1, widths=(4,), stem=2, in_channels=1, head="fixed", batchnorm=True)
    head, stem = model.head.weight.clone(), model.stem.weight.clone()
    state = torch.random.get_rng_state()
    fit(model, (x, y), epochs=1, batch_size=16)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(model.head.weight, head)
    assert not torch.equal(model.stem.weight, stem)
    assert not model.training
    assert int(model.blocks[0].bn1.num_batches_tracked) == 3  # evaluation does not count
    network = cnn5(2, in_channels=1, size=8)
    network.train()
    assert evaluate(network, (x, y)) == pytest.approx(evaluate(network, (x, y), batch_size=3), abs=1e-6)
    assert network.training


def test_dropout_follows_the_seed():
    x, y = toy()
    runs = []
    for seed in (1, 1, 2):
        model = nn.Sequential(nn.Linear(6, 20), nn.Dropout(0.5), nn.Linear(20, 3))
        with torch.no_grad():
            for index, p in enumerate(model.parameters()):
                p.copy_(torch.linspace(-1, 1 + index, p.numel()).reshape(p.shape))
        torch.rand(len(runs))  # whatever the global state is
        fit(model, (x, y), epochs=1, seed=seed, batch_size=64)
        runs.append(model(x))
    assert torch.equal(runs[0], runs[1])
    assert not torch.allclose(runs[0], runs[2])


def test_augment_objective_and_callback():
    x, y = toy()
    seen = []

    def augment(inputs, generator):
        return inputs + torch.randn(inputs.shape, generator=generator)

    def objective(model, inputs, targets, t, generator):
        return functional.cross_entropy(model(augment(inputs, generator)), targets)

    first, second, plain = (mlp(6, [5], 3) for _ in range(3))
    fit(
        first,
        (x, y),
        epochs=2,
        batch_size=20,
        augment=augment,
        callback=lambda epoch, model: seen.append((epoch, model)),
    )
    fit(second, (x, y), epochs=2, batch_size=20, objective=objective)
    fit(plain, (x, y), epochs=2, batch_size=20)
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert seen[0][1] is first
    torch.testing.assert_close(first(x), second(x))
    assert not torch.allclose(first(x), plain(x))


def test_divergence_stops_the_run():
    x, y = toy()
    with pytest.warns(ConvergenceWarning, match="epoch"):
        history = fit(mlp(6, [50, 50], 3), (x, y), epochs=30, batch_size=10, lr=1e6)
    assert math.isnan(values(history)[-1])
    assert history.epoch.max() < 30
    assert isinstance(history, pd.DataFrame)


def test_a_last_step_that_diverges():
    x, _ = toy()
    with pytest.warns(ConvergenceWarning, match="not finite at the end"):
        history = fit(mlp(6, [5], 4), (10 * x, torch.zeros(50, 4)), epochs=1, loss="mse", lr=1e30, metrics=("loss",))
    assert [math.isfinite(value) for value in values(history)] == [True, False]


def test_no_accuracy_without_numbers():
    x, y = toy()
    x[0] = math.inf
    found = evaluate(mlp(6, [5], 3), (x, y))
    assert math.isnan(found["accuracy"])
    assert math.isnan(found["loss"])
    with pytest.warns(ConvergenceWarning):
        history = fit(mlp(6, [5], 3), (x, y), epochs=1)
    assert all(map(math.isnan, values(history, metric="accuracy")))


def test_the_epoch_of_a_stop_is_recorded(tmp_path):
    options = {"epochs": 10, "eval_every": 4, "checkpoint": tmp_path / "run.pt"}
    stopped = fit(mlp(6, [], 3), toy(), callback=lambda epoch, model: epoch == 6, **options)
    assert stopped.epoch.unique().tolist() == [0, 4, 6]
    assert fit(mlp(6, [], 3), toy(), **options).epoch.unique().tolist() == [0, 4, 8, 10]


def test_a_stopped_run_goes_on(tmp_path):
    x, y = toy()
    common = {
        "epochs": 4,
        "batch_size": 16,
        "momentum": 0.9,
        "augment": lambda x, g: x + torch.randn(x.shape, generator=g),
    }
    build = lambda: nn.Sequential(mlp(6, [8], 8, seed=1), nn.Dropout(0.3), mlp(8, [], 3, seed=2))  # noqa: E731
    whole, parts, file = build(), build(), tmp_path / "run.pt"
    expected = fit(whole, (x, y), **common)
    first = fit(parts, (x, y), checkpoint=file, callback=lambda epoch, model: epoch == 2, **common)
    assert first.epoch.max() == 2
    fresh = build()
    history = fit(fresh, (x, y), checkpoint=file, **common)
    torch.testing.assert_close(fresh(x), whole(x))
    assert history.drop(columns="seconds").equals(expected.drop(columns="seconds"))
    again = build()
    finished = fit(again, (x, y), checkpoint=file, callback=lambda epoch, model: pytest.fail("trained again"), **common)
    assert finished.equals(history)
    torch.testing.assert_close(again(x), whole(x))
    with pytest.raises(ValueError, match="must belong"):
        fit(build(), (x, y), checkpoint=file, **(common | {"epochs": 5}))


def flat(t):
    return 1.0


@pytest.mark.parametrize(
    "other",
    [
        {"lr": 0.2},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"batch_size": 25},
        {"loss": "mse"},
        {"schedule": cosine},
        {"optimizer": "adam"},
        {"seed": 1},
        {"train": (toy()[0] + 1, toy()[1])},
        {"train": (toy()[0], toy()[1].flip(0))},
        {"weights": torch.ones(50)},
    ],
)
def test_a_checkpoint_of_another_run(tmp_path, other):
    def run(**changed):
        options = {"model": mlp(6, [], 3), "train": toy(), "epochs": 2, "schedule": flat} | changed
        return fit(options.pop("model"), options.pop("train"), checkpoint=tmp_path / "run.pt", **options)

    run()
    assert run().epoch.max() == 2
    with pytest.raises(ValueError, match="must belong to this run, but was written by one with other"):
        run(**other)


def test_a_checkpoint_goes_on_with_the_model_at_hand_and_targets_computed_again(tmp_path):
    # As in a session at a desk: interrupted, and called again with the same network.
    x, y = toy()
    soft = torch.nn.functional.one_hot(y, 3) * 0.9 + 0.1 / 3
    whole = mlp(6, [4], 3)
    fit(whole, (x, soft), epochs=6)
    model, file = mlp(6, [4], 3), tmp_path / "run.pt"
    fit(model, (x, soft), epochs=6, checkpoint=file, callback=lambda epoch, _: epoch == 3)
    again = torch.nextafter(soft, torch.ones(()))  # a teacher's answers on another machine
    history = fit(model, (x, again), epochs=6, checkpoint=file)
    assert history.epoch.max() == 6
    torch.testing.assert_close(model(x), whole(x))
    with pytest.raises(ValueError, match="other data"):
        fit(model, (x, soft.roll(1, 0)), epochs=6, checkpoint=file)


@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial, lambda f: lambda t: f(t), Flat])
def test_a_checkpoint_and_functions_of_all_kinds(tmp_path, wrap):
    for _ in range(2):
        options = {"schedule": wrap(flat), "optimizer": functools.partial(torch.optim.SGD, lr=0.1)}
        history = fit(mlp(6, [], 3), toy(), epochs=1, checkpoint=tmp_path / "run.pt", **options)
        assert history.epoch.max() == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": -1},
        {"batch_size": 0},
        {"eval_every": 0},
        {"optimizer": "lion"},
        {"lr": -0.1},
        {"momentum": math.nan},
        {"lr": [0.1, 0.2]},
        {"loss": "hinge"},
        {"loss": lambda outputs, y: outputs.mean()},
        {"metrics": ("auc",)},
        {"weights": torch.ones(3)},
        {"weights": torch.full((50,), math.nan)},
        {"weights": -torch.ones(50)},
        {"metrics": ("loss", "loss")},
        {"metrics": (functools.partial(functional.cross_entropy, reduction="none"),) * 2},
        {"train": (toy()[0].double(), toy()[1])},
        {"train": (toy()[0][:, :4], toy()[1])},
        {"train": (toy()[0], toy()[1][:, None])},
        {"train": (toy()[0], toy()[0][:, :1])},
        {"train": (toy(3)[0], toy(3)[0][:, 0])},  # as many numbers as classes: they would broadcast
        {"optimizer": torch.optim.LBFGS},
        {"optimizer": lambda params: None},
        {"weights": torch.ones(50), "objective": lambda *args: None},
        {"schedule": 0.5},
        {"evaluate_on": {"train": toy()}},
        {"evaluate_on": {"test": (torch.ones(3, 6), torch.zeros(4, dtype=torch.int64))}},
        {"train": (torch.ones(3, 6), torch.zeros(4, dtype=torch.int64))},
        {"train": (torch.ones(3, 6), (torch.zeros(3, dtype=torch.int64), torch.zeros(2)))},
        {"train": (torch.ones(0, 6), torch.zeros(0, dtype=torch.int64))},
        {"train": torch.ones(3, 6)},
        {"train": (toy()[0], toy()[1] + 1)},
        {"train": (toy()[0], toy()[1] - 1), "loss": "mse"},
        {"evaluate_on": {"test": (toy()[0], toy()[1] + 1)}},
        {"model": mlp(6, [], 3).requires_grad_(False)},
    ],
)
def test_bad_input(bad):
    arguments = {"model": mlp(6, [], 3), "train": toy(), "epochs": 1} | bad
    with pytest.raises(ValueError, match=r"must|needs|same"):
        fit(arguments.pop("model"), arguments.pop("train"), **arguments)


def test_bad_input_elsewhere():
    with pytest.raises(ValueError, match="batch_size"):
        evaluate(mlp(6, [], 3), toy(), batch_size=0)
    with pytest.raises(ValueError, match=r"lr must .* '0\.1'"):
        fit(mlp(6, [], 3), toy(), epochs=1, lr="0.1")
    scores = lambda outputs, y: outputs.sum(-1)  # noqa: E731
    scores.__name__ = "loss"
    with pytest.raises(ValueError, match="must have names of their own"):
        evaluate(mlp(6, [], 3), toy(), metrics=("loss", scores))
    with pytest.raises(ValueError, match="time"):
        step_decay({1.0: 0.1})
    with pytest.raises(ValueError, match="seed"):
        batches(3, 1, -1, 0)


def test_seeds_of_numpy_and_callers_without_gradients():
    data = toy()
    expected = values(fit(mlp(6, (4,), 3), data, epochs=2, seed=1))
    with torch.no_grad():
        found = values(fit(mlp(6, (4,), 3), data, epochs=2, seed=np.int64(1)))
    assert found == expected
    with pytest.raises(ValueError, match="seed"):
        fit(mlp(6, (4,), 3), data, epochs=1, seed=1.5)
    for seed in (np.int64(3), 2**64 - 1):
        allconv_resnet(1, widths=(2,), stem=2, seed=seed)


def test_data_with_a_graph_is_left_alone():
    x, y = toy()
    x.requires_grad_()
    fit(mlp(6, (4,), 3), (x, y), epochs=1)
    fit_ensemble(lambda seed: mlp(6, (4,), 3, seed=seed), [0, 1], (x, y), epochs=1, seed=np.int64(0))
    assert x.grad is None


class Running(nn.Module):
    """A perceptron behind a running mean that is not saved with it."""

    def __init__(self):
        super().__init__()
        self.body = mlp(6, [5], 3, seed=1)
        self.register_buffer("mu", torch.zeros(6), persistent=False)
        self.register_buffer("seen", None, persistent=False)

    def forward(self, x):
        if self.training:
            self.mu.lerp_(x.mean(0), 0.3)
            self.seen = x.abs().amax(0)
        return self.body(x - self.mu)


def test_a_checkpoint_keeps_buffers_that_are_not_saved(tmp_path):
    data, whole, part, fresh = toy(), Running(), Running(), Running()
    options = {"epochs": 5, "batch_size": 16}
    fit(whole, data, **options)
    fit(part, data, checkpoint=tmp_path / "run.pt", callback=lambda epoch, model: epoch == 2, **options)
    fit(fresh, data, checkpoint=tmp_path / "run.pt", **options)
    assert torch.equal(fresh.mu, whole.mu)
    assert torch.equal(fresh.seen, whole.seen)
    assert torch.equal(fresh(data[0]), whole(data[0]))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_a_checkpoint_of_an_optimizer_with_numbers_of_numpy(tmp_path, kind):
    options = {
        "epochs": 4, "schedule": cosine, "checkpoint": tmp_path / "run.pt",
        "optimizer": lambda params: torch.optim.AdamW(params, lr=kind(1), betas=(np.float64(0.5), 0.9)),
    }  # fmt: skip
    fit(mlp(6, [], 3), toy(), callback=lambda epoch, model: epoch == 2, **options)
    found, whole = mlp(6, [], 3), mlp(6, [], 3)
    assert fit(found, toy(), **options).epoch.max() == 4
    fit(whole, toy(), **options | {"checkpoint": None})
    torch.testing.assert_close(found(toy()[0]), whole(toy()[0]))


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_knows_what_was_recorded(tmp_path, old):
    file = tmp_path / "run.pt"

    def run(**changed):
        return fit(
            mlp(6, [], 3), toy(), epochs=2, checkpoint=file, **{"evaluate_on": {"val": toy(9, seed=1)}} | changed
        )

    first = run()
    assert run().equals(first)
    if old:  # written before it said what it records
        state = torch.load(file, weights_only=True)
        state["run"] = {
            name: value for name, value in state["run"].items() if "evaluate" not in name and name != "metrics"
        }
        torch.save({name: value for name, value in state.items() if name != "buffers"}, file)
        assert run().equals(first)
        return
    for other in (
        {"evaluate_on": {"val": toy(9, seed=2)}},
        {"evaluate_on": {"test": toy(9, seed=1)}},
        {"evaluate_on": {"val": toy(9, seed=1), "test": toy(9, seed=1)}},
        {"evaluate_on": None},
        {"metrics": ("loss",)},
    ):
        with pytest.raises(ValueError, match=r"other .*(evaluate_on|metrics)"):
            run(**other)


def test_evaluate_puts_back_the_mode_of_every_module():
    model = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Dropout(0.5)))
    model.train()
    model[1].eval()
    model[2].eval().training = True
    modes = [module.training for module in model.modules()]
    evaluate(model, toy())
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ValueError, match="must"):
        evaluate(model, (toy()[0][:, :2], toy()[1]))
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("true", [True, np.bool_(True), torch.tensor(True)])
def test_callbacks_stop_with_any_true(true):
    assert fit(mlp(6, [], 3), toy(), epochs=5, callback=lambda epoch, _: true).epoch.max() == 0
    for answer in (not true, None, 1, "yes", np.array([True, True]), torch.ones(2, dtype=torch.bool), 1.0):
        assert fit(mlp(6, [], 3), toy(), epochs=1, callback=lambda epoch, _, a=answer: a).epoch.max() == 1


def test_accuracy_is_left_out_where_labels_are_no_classes():
    x, y = toy()
    several = torch.stack([y % 2, y // 2, y % 2], 1)

    def binary(outputs, y):
        return functional.binary_cross_entropy_with_logits(outputs, y.float(), reduction="none").mean(1)

    for targets, loss in (
        (several, binary),
        (torch.complex(x[:, :3], x[:, 3:]), lambda outputs, y: (outputs - y).abs().square().sum(1)),
    ):
        expected = loss(mlp(6, [], 3)(x), targets).mean().item()
        assert evaluate(mlp(6, [], 3), (x, targets), loss=loss) == {"loss": pytest.approx(expected, abs=1e-6)}
        history = fit(mlp(6, [], 3), (x, targets), epochs=1, loss=loss, evaluate_on={"test": (x, targets)})
        assert set(history.metric) == {"loss"}
        build = lambda seed: mlp(6, [], 3, seed=seed)  # noqa: E731
        stacked = torch.stack([targets, targets])
        history = fit_ensemble(build, [0, 1], (x, stacked), epochs=1, loss=loss, per_member=["y"]).history
        assert history.value[0] == pytest.approx(expected, abs=1e-6)
        assert set(history.metric) == {"loss"}
    with pytest.raises(ValueError, match="labels must be integers or real"):
        evaluate(mlp(6, [], 3), (x, torch.complex(x, x)), loss="mse")


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", lambda outputs, y: outputs.square()])
def test_outputs_without_classes(loss):
    model, (x, y) = nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)), toy()
    with pytest.raises(ValueError, match=r"needs outputs of shape \(B, K\)"):
        fit(model, (x, y), epochs=1, loss=loss)
    if callable(loss):
        assert len(fit(model, (x, y), epochs=1, loss=loss, metrics=("loss",))) == 2


@pytest.mark.parametrize("build", [lambda p: Uniform(p, "nag", 0.1), lambda p: AdaHessian(p, 0.1)])
def test_optimizers_that_need_a_closure_are_refused_at_once(build):
    seen = []
    with pytest.raises(ValueError, match="must step without a closure"):
        fit(mlp(6, [], 3), toy(), epochs=1, optimizer=build, callback=lambda epoch, model: seen.append(epoch))
    assert not seen
    assert len(fit(mlp(6, [], 3), toy(), epochs=1, optimizer=lambda p: Uniform(p, "adam", 0.1))) == 4


@pytest.mark.parametrize("settings", [{"metrics": ()}, {"metrics": (), "evaluate_on": None}])
def test_a_checkpoint_of_a_run_that_records_nothing(tmp_path, settings):
    calls = [
        fit(
            mlp(6, [], 3),
            toy(),
            checkpoint=tmp_path / "run.pt",
            **{"epochs": 2, "evaluate_on": {"val": toy(9)}} | settings,
        )
        for _ in range(2)
    ]
    assert calls[0].equals(calls[1])


def test_sparse_gradients():
    words = torch.arange(40) % 7

    def build(sparse):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(nn.Embedding(7, 3, sparse=sparse), nn.Linear(3, 7))

    models = [build(True), build(False)]
    for model in models:
        fit(model, (words, words), epochs=2, batch_size=16, lr=0.5)
    torch.testing.assert_close(models[0](words), models[1](words))
    for call in (
        lambda: fit(build(True), (words, words), epochs=1, optimizer="adam"),
        lambda: fit_ensemble(lambda seed: build(True), [0, 1], (words, words), epochs=1),
    ):
        with pytest.raises(ValueError, match="sparse"):
            call()


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_labels_in_unsigned_integers(dtype, loss):
    x, y = toy()
    found = [
        values(fit(mlp(6, (4,), 3, seed=0), (x, labels), epochs=1, loss=loss), metric=metric)
        for labels in (y, y.to(dtype))
        for metric in ("loss", "accuracy")
    ]
    assert found[:2] == found[2:]
    assert evaluate(mlp(6, (4,), 3, seed=0), (x, y.to(dtype))) == evaluate(mlp(6, (4,), 3, seed=0), (x, y))


def test_a_step_size_may_be_an_array_without_dimensions():
    found = [values(fit(mlp(6, (4,), 3, seed=0), toy(), epochs=1, lr=lr)) for lr in (0.1, np.array(0.1))]
    assert found[0] == found[1]
