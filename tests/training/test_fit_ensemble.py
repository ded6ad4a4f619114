"""Ensembles: every member is the run of ``fit`` with its seed, data and hyperparameters, whoever its neighbours are."""

import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro import ConvergenceWarning
from litrepro.nets import allconv_resnet, cnn5, mlp, vgg3
from litrepro.training import Ensemble, cosine, fit, fit_ensemble

SEEDS = (3, 1, 4)


class Apply(nn.Module):
    """A function as a module, which describes itself by it."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)

    def extra_repr(self):
        return repr(self.function)


def images(n=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 8, 8, generator=generator)
    return x, x.flatten(1)[:, :10].argmax(1)


def perceptron(seed):
    return mlp(64, [9], 10, seed=seed)


def noisy(x, generator):
    return x + 0.3 * torch.randn(x.shape, generator=generator)


def noisy_objective(model, x, y, t, generator):
    return functional.cross_entropy(model(noisy(x, generator)), y) * (1 + t)


CASES = {
    "sgd": (perceptron, {"momentum": 0.9, "weight_decay": 0.01, "schedule": cosine}),
    "adam": (perceptron, {"optimizer": "adam", "lr": 0.01, "weight_decay": 0.01}),
    "custom": (perceptron, {"optimizer": lambda params: torch.optim.RMSprop(params, 0.01), "schedule": cosine}),
    "mse": (perceptron, {"loss": "mse"}),
    "weights": (perceptron, {"weights": torch.linspace(0, 2, 50)}),
    "augment": (perceptron, {"augment": noisy}),
    "objective": (perceptron, {"objective": noisy_objective}),
    "one class in a batch": (perceptron, {"batch_size": 1}),
    "batch larger than n": (perceptron, {"batch_size": 1000}),
    "batchnorm": (lambda seed: cnn5(2, in_channels=1, size=8, seed=seed), {}),
    "batchnorm, vmap": (lambda seed: cnn5(2, in_channels=1, size=8, seed=seed), {"vectorize": True}),
    "dropout": (lambda seed: vgg3((2, 2, 2), in_channels=1, size=8, seed=seed), {"lr": 0.02}),
    "frozen head": (lambda seed: allconv_resnet(1, widths=(3, 4), stem=2, in_channels=1, head="fixed", seed=seed), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_members_are_single_runs(name):
    build, options = CASES[name]
    data, test = images(), {"test": images(20, seed=1)}
    common = {"epochs": 2, "batch_size": 16, "evaluate_on": test} | options
    ensemble = fit_ensemble(build, SEEDS, data, **common)
    common.pop("vectorize", None)
    assert ensemble(test["test"][0]).shape == (3, 20, 10)
    for m, seed in enumerate(SEEDS):
        model = build(seed=seed)
        history = fit(model, data, seed=seed, **common)
        own = ensemble.history[ensemble.history.member == m].reset_index(drop=True)
        columns = ["epoch", "step", "split", "metric"]
        assert own[columns].equals(history[columns])
        torch.testing.assert_close(torch.tensor(own.value), torch.tensor(history.value), atol=2e-4, rtol=2e-4)
        expected = model(test["test"][0])
        torch.testing.assert_close(ensemble(test["test"][0])[m], expected, atol=2e-4, rtol=2e-4)
        torch.testing.assert_close(ensemble.member(m)(test["test"][0]), expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_hyperparameter_of_each_member(optimizer):
    data = images()
    hypers = {
        "lr": [0.01, 0.02, 0.05],
        "momentum": torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64),
        "weight_decay": (0.1, 0.0, 0.01),
    }
    common = {"epochs": 2, "batch_size": 16, "optimizer": optimizer, "schedule": cosine}
    ensemble = fit_ensemble(perceptron, SEEDS, data, **common, **hypers)
    for m, seed in enumerate(SEEDS):
        model = perceptron(seed)
        fit(model, data, seed=seed, **common, **{name: float(value[m]) for name, value in hypers.items()})
        torch.testing.assert_close(ensemble.member(m)(data[0]), model(data[0]), atol=1e-5, rtol=1e-4)


def test_data_of_each_member():
    x, y = images(3 * 50)
    x, y = x.unflatten(0, (3, 50)), y.unflatten(0, (3, 50))
    weights = torch.rand(3, 50, generator=torch.Generator().manual_seed(0))
    sets = {"own": (x[:, :20], y[:, :20]), "shared": images(20, seed=1)}
    common = {"epochs": 2, "batch_size": 16}
    both = fit_ensemble(perceptron, SEEDS, (x, y), per_member=("x", "y"), weights=weights, evaluate_on=sets, **common)
    labels = fit_ensemble(perceptron, SEEDS, (x[0], (y, y.float())), per_member={"y"}, **common)
    for m, seed in enumerate(SEEDS):
        model = perceptron(seed)
        own_sets = {"own": (x[m, :20], y[m, :20]), "shared": sets["shared"]}
        history = fit(model, (x[m], y[m]), seed=seed, weights=weights[m], evaluate_on=own_sets, **common)
        torch.testing.assert_close(both(x[m])[m], model(x[m]), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(both(x, per_member=True)[m], model(x[m]), atol=1e-5, rtol=1e-4)
        found = both.history[both.history.member == m].value.tolist()
        assert found == pytest.approx(history.value.tolist(), abs=1e-5)
        model = perceptron(seed)
        fit(model, (x[0], y[m]), seed=seed, **common)
        torch.testing.assert_close(labels(x[m])[m], model(x[m]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("members", [1, 2, 4])
def test_an_ensemble_refuses_data_of_other_members(members):
    ensemble = fit_ensemble(perceptron, SEEDS, images(), epochs=0)
    with pytest.raises(ValueError, match="leading dimension 3"):
        ensemble(images()[0].expand(members, 50, 1, 8, 8), per_member=True)


def mixed(outputs, y, alpha, temperature):
    hard = -outputs.log_softmax(-1).gather(-1, y[0][:, None])[:, 0]
    soft = -((y[1] / temperature).softmax(-1) * (outputs / temperature).log_softmax(-1)).sum(-1)
    return alpha * hard + (1 - alpha) * temperature**2 * soft


def test_parameters_of_the_loss():
    x, y = images()
    data = (x, (y, torch.randn(50, 10, generator=torch.Generator().manual_seed(0))))
    params = {"alpha": torch.tensor([0.0, 0.5, 1.0]), "temperature": [1.0, 2, 4]}
    table = {"alpha": [0.0, 0.5, 1.0], "name": list("abc")}
    ensemble = fit_ensemble(
        perceptron, SEEDS, data, epochs=2, batch_size=16, loss=mixed, loss_params=params, members=table
    )
    assert ensemble.history.columns.tolist() == [
        "member", "epoch", "step", "split", "metric", "value", "seconds", "alpha", "name",
    ]  # fmt: skip
    for m, seed in enumerate(SEEDS):
        own_loss = functools.partial(mixed, alpha=table["alpha"][m], temperature=params["temperature"][m])
        model = perceptron(seed)
        history = fit(model, data, epochs=2, batch_size=16, seed=seed, loss=own_loss)
        own = ensemble.history[ensemble.history.member == m]
        assert own.value.tolist() == pytest.approx(history.value.tolist(), abs=1e-4)
        assert set(own.name) == {table["name"][m]}


def test_neighbours_do_not_matter():
    data = images()
    alone = fit_ensemble(perceptron, [3], data, epochs=3, lr=0.1)
    with pytest.warns(ConvergenceWarning, match="member 1"):
        pair = fit_ensemble(perceptron, [3, 1], data, epochs=3, lr=[0.1, 1e12], batch_size=128)
    torch.testing.assert_close(alone(data[0])[0], pair(data[0])[0], atol=1e-6, rtol=1e-5)
    last = pair.history[(pair.history.epoch == 3) & (pair.history.metric == "loss")].value.tolist()
    assert math.isfinite(last[0])
    assert math.isnan(last[1])


def test_a_last_step_that_diverges():
    x, _ = images()
    data = (10 * x, torch.zeros(50, 10))
    with pytest.warns(ConvergenceWarning, match=r"not finite at the end: member 1$"):
        ensemble = fit_ensemble(perceptron, [0, 1], data, epochs=1, loss="mse", lr=[1e-3, 1e30])
    assert [math.isfinite(value) for value in ensemble.history.query("epoch == 1").value] == [True, False]


def test_accuracy_of_a_member_without_numbers():
    with pytest.warns(ConvergenceWarning):
        history = fit_ensemble(perceptron, [0, 1], images(), epochs=2, lr=[0.1, 1e30], batch_size=10).history
    last = history.query("epoch == 2 and metric == 'accuracy'").value.tolist()
    assert [math.isfinite(value) for value in last] == [True, False]


def test_members_may_hold_functions_of_one_name():
    def build(seed):
        return nn.Sequential(nn.Flatten(), mlp(64, [9], 10, seed=seed), Apply(lambda scores: 2 * scores))

    assert len(fit_ensemble(build, SEEDS, images(), epochs=1)) == 3


def test_a_stopped_member_keeps_its_weights():
    x, y = images()
    poisoned = torch.stack([x, x])
    poisoned[1, 7] = math.inf
    steps = {}

    def remember(epoch, ensemble):
        steps[epoch] = {name: value.clone() for name, value in ensemble.params.items()}

    with pytest.warns(ConvergenceWarning):
        fit_ensemble(perceptron, [0, 1], (poisoned, y), epochs=3, batch_size=10, per_member=["x"], callback=remember)
    for name, value in steps[1].items():
        assert torch.equal(steps[3][name][1].nan_to_num(), value[1].nan_to_num())
        assert not torch.equal(steps[3][name][0], value[0])


def test_all_diverged_ends_the_run():
    with pytest.warns(ConvergenceWarning):
        ensemble = fit_ensemble(perceptron, [0, 1], images(), epochs=50, lr=1e12, batch_size=10)
    assert ensemble.history.epoch.max() < 50


def test_frozen_stays_and_member_is_a_module():
    def build(seed):
        model = perceptron(seed)
        model.head.requires_grad_(False)
        return model

    data = images()
    ensemble = fit_ensemble(build, SEEDS, data, epochs=1)
    assert isinstance(ensemble, Ensemble)
    assert len(ensemble) == 3
    for m, seed in enumerate(SEEDS):
        assert torch.equal(ensemble.params["head.weight"][m], build(seed).head.weight)
        assert not torch.equal(ensemble.params["body.0.weight"][m], build(seed).body[0].weight)
        member = ensemble.member(m)
        assert isinstance(member, nn.Module)
        assert [p.requires_grad for p in member.parameters()] == [p.requires_grad for p in build(seed).parameters()]
    with pytest.raises(IndexError):
        ensemble.member(3)


def test_vectorized_objective_and_no_epochs():
    data = images()
    clean = lambda model, x, y, t, generator: functional.cross_entropy(model(x), y)  # noqa: E731
    fast = fit_ensemble(perceptron, SEEDS, data, epochs=2, objective=clean, vectorize=True)
    torch.testing.assert_close(fast(data[0]), fit_ensemble(perceptron, SEEDS, data, epochs=2)(data[0]))
    untouched = fit_ensemble(perceptron, [5], data, epochs=0)
    assert untouched.history.epoch.unique().tolist() == [0]
    torch.testing.assert_close(untouched(data[0])[0], perceptron(5)(data[0]))


@pytest.mark.parametrize(
    "bad",
    [
        {"seeds": []},
        {"lr": [0.1, 0.2]},
        {"momentum": torch.zeros(4)},
        {"epochs": -1},
        {"batch_size": 0},
        {"optimizer": "lion"},
        {"per_member": ["z"]},
        {"per_member": ["x"]},
        {"per_member": ["y"], "train": (images()[0], images()[1].expand(2, 50))},
        *(
            {
                "per_member": ["x"],
                "train": (images()[0].expand(3, 50, 1, 8, 8), images()[1]),
                "evaluate_on": {"test": (images()[0].expand(members, 50, 1, 8, 8), images()[1])},
            }
            for members in (1, 2, 4)
        ),
        {"seed": 2**64},
        {"seeds": [0, 1, 2**64]},
        {"loss_params": {"alpha": torch.ones(3)}},
        {"loss": mixed, "loss_params": {"alpha": torch.ones(2)}},
        {"members": {"a": [1, 2]}},
        {"members": {"epoch": [1, 2, 3]}},
        {"weights": torch.ones(2, 50)},
        {"model_fn": lambda seed: mlp(64, [seed], 10)},
        {"model_fn": lambda seed: None},
        {"model_fn": lambda seed: nn.Sequential(perceptron(seed), nn.ReLU() if seed == 1 else nn.Tanh())},
        {"model_fn": lambda seed: nn.Sequential(perceptron(seed), nn.Dropout(0.1 * seed))},
        {"model_fn": lambda seed: nn.Sequential(perceptron(seed), nn.BatchNorm1d(10, affine=False, eps=0.1 * seed))},
        {"model_fn": lambda seed: nn.Sequential(perceptron(seed), *[nn.BatchNorm1d(10, affine=False)] * (seed == 1))},
        {"per_member": None},
        {"evaluate_on": {"test": images()[0]}},
        {"train": (images()[0].double(), images()[1])},
        {"train": (images()[0], images()[1][:, None])},
        {"weights": torch.full((50,), math.nan)},
        {"metrics": ("accuracy", "accuracy")},
        {"optimizer": torch.optim.LBFGS},
        {"train": (images()[0], images()[1][:-1])},
        {"train": (images()[0], images()[1] + 5)},
        {"train": (images()[0], images()[1] - 1), "loss": "mse"},
    ],
)
def test_bad_input(bad):
    arguments = {"model_fn": perceptron, "seeds": SEEDS, "train": images(), "epochs": 1} | bad
    with pytest.raises(ValueError, match=r"must|need|same"):
        fit_ensemble(arguments.pop("model_fn"), arguments.pop("seeds"), arguments.pop("train"), **arguments)
