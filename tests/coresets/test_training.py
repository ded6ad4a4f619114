"""Gradients of examples, training on coresets, and the convex case."""

import copy
import math
import warnings

import pandas as pd
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional

from litrepro import ConvergenceWarning
from litrepro.coresets import (
    craig,
    glister,
    importance_variance,
    incremental_gradient,
    last_layer_gradients,
    last_layer_refresh,
    logistic_optimum,
    per_sample_gradients,
    rank_correlation,
    train_on_coresets,
)
from litrepro.coresets._coreset import LONG, total
from litrepro.nets import cnn5, mlp
from litrepro.training import evaluate, fit


def data(n=60, d=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    centres = 2 * torch.randn(classes, d, generator=generator)
    return centres[y] + torch.randn(n, d, generator=generator), y


def by_autograd(model, x, y, parameters):
    rows = []
    for i in range(len(x)):
        loss = functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    return torch.stack(rows)


# --- gradients ------------------------------------------------------------------------------------------------------


def test_gradients_are_autograds():
    x, y = data(12)
    model = mlp(6, [5, 4], 3)
    for bias in (True, False):
        parameters = list(model.head.parameters())[: 1 + bias]
        found = last_layer_gradients(model, x, y, bias=bias, batch_size=5)
        torch.testing.assert_close(found, by_autograd(model, x, y, parameters))
    found = per_sample_gradients(model, x, y, batch_size=5)
    torch.testing.assert_close(found, by_autograd(model, x, y, list(model.parameters())))


def test_batch_norm_does_not_mix_examples():
    model = cnn5(2, in_channels=1, size=16, num_classes=3).train()
    before = copy.deepcopy(model.state_dict())
    x, y = torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    last, every = last_layer_gradients(model, x, y), per_sample_gradients(model, x, y)
    torch.testing.assert_close(last[2:3], last_layer_gradients(model, x[2:3], y[2:3]))
    torch.testing.assert_close(every[2:3], per_sample_gradients(model, x[2:3], y[2:3]), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(every[:, -last.shape[1] :], last, atol=1e-6, rtol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model.training


def test_refresh_is_the_gradient_after_the_step():
    x, y = data(20)
    model = mlp(6, [5], 3)
    g = last_layer_gradients(model, x, y)
    refresh = last_layer_refresh(model, x, y, step=0.3)
    torch.testing.assert_close(refresh(torch.tensor([], dtype=torch.int64)), g.sum(0), atol=1e-5, rtol=1e-4)
    chosen = torch.tensor([4, 11, 2])
    moved = copy.deepcopy(model)
    step = 0.3 * g[chosen].sum(0)
    with torch.no_grad():
        moved.head.weight -= step[:15].reshape(3, 5)
        moved.head.bias -= step[15:]
    torch.testing.assert_close(refresh(chosen), last_layer_gradients(moved, x, y).sum(0), atol=1e-5, rtol=1e-4)
    assert not torch.equal(glister(g, 8).indices, glister(g, 8, refresh=refresh).indices)


@pytest.mark.parametrize("gradients", [last_layer_gradients, per_sample_gradients])
def test_bad_labels_are_named(gradients):
    x, y = data(6)
    model = mlp(6, [4], 3)
    for bad in (y + 1, y - 1, y[:-1], y.float()):
        with pytest.raises(ValueError):
            gradients(model, x, bad)
    with pytest.raises(ValueError):
        last_layer_gradients(torch.nn.Linear(6, 3), x, y)
    with pytest.raises(ValueError):
        last_layer_refresh(model, x, y, step=-1.0)


# --- training -------------------------------------------------------------------------------------------------------

SETTINGS = {"fraction": 0.2, "every": 2, "epochs": 5, "batch_size": 5, "lr": 0.1, "momentum": 0.5, "seed": 3}


def final(history, metric="loss", split="train"):
    return history[(history.metric == metric) & (history.split == split)].value.iloc[-1]


@pytest.mark.parametrize("n", [30, 32])  # the last batch of an epoch is full, or not
def test_full_is_fit(n):
    train, test = data(n), data(seed=1)
    a, b = mlp(6, [5], 3), mlp(6, [5], 3)
    ours, chosen = train_on_coresets(a, train, method="full", evaluate_on={"test": test}, weight_decay=0.01, **SETTINGS)
    from litrepro.training import cosine

    theirs = fit(
        b, train, epochs=5, batch_size=5, lr=0.1, momentum=0.5, weight_decay=0.01, schedule=cosine, seed=3,
        evaluate_on={"test": test},
    )  # fmt: skip
    assert len(chosen) == 0
    columns = ["epoch", "step", "split", "metric", "value"]
    pd.testing.assert_frame_equal(ours[columns], theirs[columns], rtol=1e-4)
    assert list(ours.columns) == [*theirs.columns, "selection_seconds"]
    assert (ours.selection_seconds == 0).all()


@pytest.mark.parametrize("method", ["craig", "glister", "weighted-glister", "grad-match", "random", "glister-online"])
def test_every_method_trains_and_reports(method):
    train = data(90)
    model = mlp(6, [8], 3)
    history, chosen = train_on_coresets(model, train, method=method, warm_start=1, eval_every=2, **SETTINGS)
    assert chosen.epoch.tolist() == [1, 3]
    assert (chosen["size"] == 18).all()
    assert (chosen.gradient_error >= 0).all()
    assert history.epoch.unique().tolist() == [0, 2, 4, 5]
    # One epoch of 18 steps, then four of ceil(18 / 5).
    assert history.step.unique().tolist() == [0, 18 + 4, 18 + 12, 18 + 16]
    assert final(history) < 0.6 * history.value.iloc[0]
    assert 0 < history.selection_seconds.iloc[-1] < history.seconds.iloc[-1]
    assert history.selection_seconds.iloc[-1] == pytest.approx(chosen.seconds.sum())
    assert not model.training


@pytest.mark.parametrize("method", ["random", "craig", "glister-online"])
def test_a_record_and_the_selection_after_it_share_one_pass(method):
    train, runs = data(), []
    for look in (3, 12):
        model, seen = mlp(6, [5], 3, seed=1), []
        start = evaluate(model, train)
        model.body.register_forward_hook(lambda module, args, out, seen=seen: seen.append(args[0]))
        options = {
            "fraction": 0.2,
            "every": 3,
            "epochs": 12,
            "batch_size": 4,
            "lr": 0.02,
            "eval_every": look,
            "seed": 3,
        }
        history, chosen = train_on_coresets(model, train, method=method, **options)
        assert history[history.epoch == 0].value.tolist() == pytest.approx(list(start.values()), rel=1e-6)
        assert (history.seconds.diff().dropna() >= 0).all()
        runs.append((history[history.epoch == 12].value.tolist(), chosen.drop(columns="seconds"), seen))
    (often, first, some), (rarely, second, others) = runs
    assert often == rarely
    pd.testing.assert_frame_equal(first, second)
    assert [len(part) for part in some if len(part) > 4] == [len(part) for part in others if len(part) > 4]


def test_the_total_in_float64_is_that_of_long_and_of_short_gradients():
    for shape in ((7, LONG + 5), (2, 7, LONG), (3, 7, 4)):
        g = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(total(g), g.double().sum(-2), rtol=1e-12, atol=1e-12)


def test_a_run_is_repeated_by_its_seed_and_leaves_the_global_generator_alone():
    runs = []
    for _ in range(2):
        torch.manual_seed(len(runs))
        before = torch.get_rng_state()
        model = mlp(6, [5], 3)
        runs.append(train_on_coresets(model, data(), method="random", **SETTINGS)[0].value.tolist())
        assert torch.equal(before, torch.get_rng_state())
    assert runs[0] == runs[1]


def test_first_step_follows_the_weights():
    train = data()
    start = mlp(6, [5], 3)
    model = copy.deepcopy(start)
    train_on_coresets(
        model, train, method="craig", fraction=0.2, every=1, epochs=1, batch_size=12, lr=0.1, per_class=False
    )
    found = craig(last_layer_gradients(start, *train), 12)
    weights = found.weights / found.weights.mean()
    x, y = train[0][found.indices], train[1][found.indices]
    loss = (functional.cross_entropy(start(x), y, reduction="none") * weights).mean()
    for after, before, g in zip(
        model.parameters(), start.parameters(), torch.autograd.grad(loss, list(start.parameters()))
    ):
        torch.testing.assert_close(after, before - 0.1 * g)


def test_all_layers_and_online_quotas():
    train = data(60)
    _, chosen = train_on_coresets(mlp(6, [5], 3), train, method="grad-match", gradients="all", **SETTINGS)
    assert chosen.epoch.tolist() == [0, 2, 4]
    with pytest.raises(ValueError):
        train_on_coresets(mlp(6, [5], 3), train, method="glister-online", gradients="all", **SETTINGS)


@pytest.mark.parametrize(
    "change",
    [
        {"fraction": 0.0},
        {"fraction": 1.5},
        {"every": 0},
        {"warm_start": -1},
        {"method": "best"},
        {"fraction": 0.02},
        {"batch_size": 0},
        {"gradients": "some"},
        {"evaluate_on": {"train": data()}},
        {"evaluate_on": 3},
        {"evaluate_on": [data()]},
        {"evaluate_on": {"test": 3}},
        {"lr": -1.0},
        {"method": "grad-match", "ridge": -1.0, "warm_start": 1},
        {"method": "glister-online", "step": -1.0, "warm_start": 1},
        {"method": "random", "ridge": 1.0},
        {"train": (data()[0], data()[1] + 1), "method": "full"},
        {"model": torch.nn.Linear(6, 3)},
    ],
)
def test_bad_settings_are_named_before_any_work(change):
    settings = {"model": mlp(6, [5], 3), "train": data(), "method": "craig"} | SETTINGS | change
    model = settings["model"]
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError):
        train_on_coresets(**settings)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "change", [{"method": "full"}, {"gradients": "all"}, {"train": (torch.tensor(1.0), data()[1])}]
)
def test_examples_that_the_model_does_not_take(change):
    settings = {"model": mlp(5, [5], 3), "train": data(), "method": "craig"} | SETTINGS | change
    with pytest.raises(ValueError, match="must"):
        train_on_coresets(**settings)


class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 3)

    def features(self, x):
        return self.embedding(x).mean(1)

    def forward(self, x):
        return self.head(self.features(x))


@pytest.mark.parametrize("per_batch", [False, True])
def test_random_coresets_of_integers(per_batch):
    y = data()[1]
    words = 3 * y[:, None] + torch.randint(3, (len(y), 5), generator=torch.Generator().manual_seed(0))
    settings = SETTINGS | {"method": "random", "fraction": 0.5, "lr": 1.0, "batch_size": 10, "per_batch": per_batch}
    history, chosen = train_on_coresets(Words(), (words, y), **settings)
    assert set(chosen["size"]) == {30}
    loss = history[history.metric == "loss"].value
    assert loss.iloc[-1] < loss.iloc[0]


def test_divergence_is_said():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history, _ = train_on_coresets(
            mlp(6, [5], 3), data(), method="random", **(SETTINGS | {"lr": 1e30, "epochs": 50})
        )
    assert any(issubclass(w.category, ConvergenceWarning) for w in caught)
    assert history.epoch.max() < 50


@pytest.mark.parametrize("method", ["craig", "random", "full"])
@pytest.mark.parametrize(
    "changes", [{"epochs": 1}, {"epochs": 9, "every": 1}, {"epochs": 9, "every": 1, "eval_every": 9}]
)
def test_divergence_in_the_last_step_of_an_epoch_is_said(method, changes):
    # One batch an epoch: its loss is finite, what its step leaves behind is not.
    settings = SETTINGS | {"lr": 1e38, "batch_size": len(data()[1]), "fraction": 0.5} | changes
    with pytest.warns(ConvergenceWarning, match="not finite"):
        history, _ = train_on_coresets(mlp(6, [5], 3), data(), method=method, **settings)
    losses = history[history.metric == "loss"].groupby("epoch").value.last()
    assert math.isfinite(losses.iloc[0])
    assert not math.isfinite(losses.iloc[-1])
    assert losses.index[-1] <= 2


# --- the convex case, importance sampling, ranks --------------------------------------------------------------------


def test_logistic_optimum_is_scipys_and_incremental_gradient_approaches_it():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 40, 3, generator=generator, dtype=torch.float64)
    y = torch.sign(x[..., 0] + torch.randn(2, 40, generator=generator, dtype=torch.float64))
    w = torch.rand(2, 40, generator=generator, dtype=torch.float64)
    found = logistic_optimum(x, y, w, ridge=0.1)
    for b in range(2):

        def loss(theta, b=b):
            margins = y[b] * (x[b] @ torch.as_tensor(theta))
            return float((w[b] * functional.softplus(-margins)).sum() / w[b].sum() + 0.05 * (theta**2).sum())

        expected = minimize(loss, [0.0] * 3, tol=1e-12).x
        torch.testing.assert_close(found[b], torch.as_tensor(expected), atol=1e-4, rtol=1e-3)
    table = incremental_gradient(
        x[:1], y[:1], torch.ones_like(y[:1]), (x[0], y[0]), ridge=0.1, step=4.0, epochs=60, generator=generator
    )
    assert table.epoch.tolist() == list(range(61))
    assert table.excess.iloc[-1] < 1e-3 * table.excess.iloc[0]
    assert table.distance.iloc[-1] < 0.05 * table.distance.iloc[0]
    for bad in ({"y": 0 * y}, {"weights": -w}, {"weights": w[0]}):
        arguments = {"x": x, "y": y, "weights": w} | bad
        with pytest.raises(ValueError):
            logistic_optimum(**arguments, ridge=0.1)


def test_importance_variance_is_that_of_draws():
    generator = torch.Generator().manual_seed(0)
    g = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    scores = torch.rand(8, generator=generator, dtype=torch.float64) + 0.1
    mean, variance = importance_variance(g, scores)
    torch.testing.assert_close(mean, g.mean(0))
    p = scores / scores.sum()
    drawn = torch.multinomial(p, 200_000, replacement=True, generator=generator)
    sample = g[drawn] / (8 * p[drawn, None])
    assert variance.item() == pytest.approx(sample.var(0).sum().item(), rel=0.03)
    best = importance_variance(g, g.norm(dim=1))[1]
    assert best < variance
    assert best <= importance_variance(g, g.norm(dim=1) * (1 + 0.3 * scores))[1]
    with pytest.raises(ValueError):
        importance_variance(g, torch.zeros(8))


def test_rank_correlation_is_pandas():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 6, (3, 20), generator=generator).double() for _ in range(2))
    expected = [pd.Series(u).corr(pd.Series(v), method="spearman") for u, v in zip(a.numpy(), b.numpy())]
    assert rank_correlation(a, b).tolist() == pytest.approx(expected)
    with pytest.raises(ValueError):
        rank_correlation(a, b[:, :-1])


def test_training_on_whole_batches():
    x, y = data(60)
    settings = {"fraction": 0.4, "every": 2, "epochs": 4, "batch_size": 6, "per_batch": True}
    history, chosen = train_on_coresets(mlp(6, [5], 3), (x, y), method="grad-match", warm_start=1, **settings)
    assert chosen["epoch"].tolist() == [1, 3]
    assert chosen["size"].tolist() == [24, 24]
    assert history.step.max() == 10 + 3 * 4
    for method in ("random", "craig"):
        train_on_coresets(mlp(6, [5], 3), (x, y), method=method, **settings)
    for bad in ({"fraction": 0.35}, {"batch_size": 7}, {"method": "glister-online"}):
        with pytest.raises(ValueError):
            train_on_coresets(mlp(6, [5], 3), (x, y), **{"method": "craig"} | settings | bad)


def test_tables_have_the_types_of_numbers_even_without_rows():
    x, y = data(20)
    settings = {"fraction": 0.5, "every": 1, "epochs": 1}
    tables = [train_on_coresets(mlp(6, [5], 3), (x, y), method=m, **settings)[1] for m in ("full", "craig")]
    assert len(tables[0]) == 0
    assert all(pd.api.types.is_numeric_dtype(kind) for table in tables for kind in table.dtypes)
    assert tables[0].dtypes.equals(tables[1].dtypes)


def test_bad_problems_are_named():
    x, ones = torch.ones(3, 2, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    problem = {"ridge": 1.0, "step": 1.0, "epochs": 1}
    for call in (
        lambda: logistic_optimum(x * torch.nan, ones, ones, ridge=1.0),
        lambda: logistic_optimum(x, ones, ones, ridge=1.0, max_iter=0),
        lambda: incremental_gradient(x, ones, ones, (x, ones), generator=None, **problem),
        lambda: incremental_gradient(x, ones, ones, (x[:, :1], ones), generator=0, **problem),
        lambda: incremental_gradient(x, ones, ones, x, generator=0, **problem),
        lambda: importance_variance(x, 0 * ones),
        lambda: importance_variance(x, torch.inf * ones),
        lambda: rank_correlation([1.0, 2.0], [1.0, 2.0]),
        lambda: per_sample_gradients(3, x, torch.zeros(3, dtype=torch.int64)),
    ):
        with pytest.raises(ValueError):
            call()
