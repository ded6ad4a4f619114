"""Flat training against torch's optimizers, problems, rate intervals, and the full-scale models at toy size."""

import math

import numpy as np
import pytest
import torch
from torch.func import vmap

from litrepro import secondorder
from litrepro.optim.curvature import AdaHessian, sqgn
from litrepro.secondorder import rate_width, train_flat

f64 = torch.float64


def toy(n=12):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator, dtype=f64)
    w0 = torch.randn(2, 2, 3, generator=generator, dtype=f64)
    return x, torch.tanh(x.sum(1, keepdim=True)), w0


def model(w, x):
    return torch.tanh((x * w).sum(-1, keepdim=True))


def loss(outputs, y):
    return ((outputs - y) ** 2).mean()


def reference(method, w, x, y, lr, decay):
    """One trial with the whole set as batch: no shuffling to reproduce."""
    p = torch.nn.Parameter(w.clone())
    closure = lambda: loss(model(p, x), y)  # noqa: E731
    if method == "adahessian":
        optimizer = AdaHessian([p], lr=lr, weight_decay=decay, samples=300)
    elif method == "adamw":
        optimizer = torch.optim.AdamW([p], lr=lr, weight_decay=decay)
    else:
        optimizer = torch.optim.SGD([p], lr=lr, momentum=0.9)
    for _ in range(4):
        if method != "adahessian":
            optimizer.zero_grad()
            closure().backward()
            optimizer.step()
        else:
            optimizer.step(closure)
    return p.detach()


@pytest.mark.parametrize("method", ["sgd", "adamw", "adahessian"])
def test_flat_training_is_torchs(method):
    x, y, w0 = toy()
    decay = 0.0 if method == "sgd" else 0.1
    options = {"samples": 300} if method == "adahessian" else {}
    rates = torch.tensor([[0.01, 0.02], [0.05, 0.1]], dtype=f64)
    seen = []
    run = train_flat(
        method, model, loss, w0, (x, y), lr=rates, epochs=4, batch=20, weight_decay=decay, **options,
        on_epoch=lambda epoch, w: seen.append(w.shape),
    )  # fmt: skip
    assert run.losses.shape == (5, 2, 2)
    assert seen == [w0.shape] * 5
    for i, j in ((0, 0), (1, 1)):
        expected = reference(method, w0[i, j], x, y, rates[i, j].item(), decay)
        tolerance = 0.05 if method == "adahessian" else 1e-9  # other signs, averaged over 300 draws
        assert (run.w[i, j] - expected).abs().max() < tolerance * (expected - w0[i, j]).abs().max() + 1e-12
        torch.testing.assert_close(run.losses[-1, i, j], loss(model(run.w[i, j], x), y))


def test_trials_are_independent_and_sqgn_is_sqgn():
    x, y, w0 = toy()
    data = (x, y)
    for method in secondorder.METHODS:
        lr = torch.tensor([0.01, 1e12], dtype=f64)
        run = train_flat(method, model, loss, w0[0], data, lr=lr, epochs=2, batch=5)
        alone = train_flat(method, model, loss, w0[0, :1], data, lr=0.01, epochs=2, batch=5)
        if method != "adahessian":  # its signs are drawn for the whole stack; the first row's come first
            torch.testing.assert_close(run.w[0], alone.w[0])
        assert not torch.isnan(run.losses).any()
        assert run.seconds >= 0
    same = sqgn(model, loss, w0[0], data, lr=torch.tensor([0.01, 1e12]).double(), epochs=2, batch=5)
    torch.testing.assert_close(run.w, same.w)
    assert run.oracle_calls == same.oracle_calls
    hessian = train_flat("adahessian", model, loss, w0[0], data, lr=0.1, epochs=2, batch=5, update_every=4)
    assert hessian.oracle_calls == 6 + 2 * 2
    assert train_flat("adamw", model, loss, w0[0], data, lr=0.1, epochs=2, batch=5).oracle_calls == 6


@pytest.mark.parametrize(
    "change",
    [{"method": "lion"}, {"lr": 0.0}, {"lr": torch.ones(3)}, {"epochs": 0}, {"batch": 0}, {"weight_decay": -1.0},
     {"data": (torch.ones(3, 3), torch.ones(2, 1))}],
)  # fmt: skip
def test_bad_flat_training(change):
    arguments = {"method": "adamw", "w0": torch.zeros(2, 3), "data": (torch.ones(3, 3), torch.ones(3, 1)), "lr": 0.1}
    arguments = arguments | {"epochs": 1} | change
    method, w0, data = (arguments.pop(name) for name in ("method", "w0", "data"))
    with pytest.raises(ValueError):
        train_flat(method, None, None, w0, data, **arguments)


def test_problems_score_what_they_say():
    for problem in (secondorder.digits_problem(n=50), secondorder.breast_cancer_problem()):
        w = problem.start([3, 4])
        assert torch.equal(problem.start([4])[0], w[1])
        x, y = problem.test
        outputs = vmap(problem.model, in_dims=(0, None))(w, x)
        expected = (outputs.argmax(-1) == y.argmax(-1)).float().mean(1)
        torch.testing.assert_close(problem.score(w, x, y), expected)
        assert problem.score(w * math.nan, x, y).tolist() == [0.0, 0.0]
        torch.testing.assert_close(
            problem.loss(outputs[0], y), torch.nn.functional.cross_entropy(outputs[0], y.argmax(-1))
        )
    for bad in ({"n": 0}, {"n": 2000}, {"widths": (64, 9)}):
        with pytest.raises(ValueError):
            secondorder.digits_problem(**bad)
    for bad in ({"train": 0}, {"train": 569}, {"widths": (30, 3)}):
        with pytest.raises(ValueError):
            secondorder.breast_cancer_problem(**bad)


def test_rate_width_of_a_tent():
    rates = np.logspace(-3, 0, 31)
    tent = (1 - np.abs(np.log10(rates) + 1.5))[:, None]
    found = rate_width(rates, np.repeat(tent, 4, 1), tolerance=0.25, bootstrap=20)
    assert abs(found["width"] - 0.5) < 1e-9
    assert abs(math.log10(found["from"]) + 1.75) < 1e-9
    assert found["low"] == found["high"] == pytest.approx(0.5)
    assert found["censored"] == 0
    cut = rate_width(rates[15:], tent[15:], tolerance=0.25)
    assert cut["censored"] == 1
    assert abs(cut["width"] - 0.25) < 1e-9
    broken = np.array([[0.9], [1.0], [np.nan], [1.0]])
    assert rate_width([1, 10, 100, 1000], broken, tolerance=0.05)["to"] < 100  # a hole ends the interval
    rng = np.random.default_rng(0)
    noisy = rate_width(rates, tent + 0.1 * rng.standard_normal((31, 5)), tolerance=0.25, bootstrap=200)
    assert noisy["low"] < noisy["high"]
    for bad in (
        ([1.0], [[1.0]]),
        ([2.0, 1.0], [[1.0], [1.0]]),
        ([1.0, 2.0], [1.0, 1.0]),
        ([1, 2], [[np.nan], [np.nan]]),
    ):
        with pytest.raises(ValueError):
            rate_width(*bad, tolerance=0.1)
    with pytest.raises(ValueError):
        rate_width([1.0, 2.0], [[1.0], [1.0]], tolerance=0.0)


def test_sweep_of_rates_is_a_loop_over_them():
    problem = secondorder.digits_problem(n=60, widths=(64, 10))
    options = {"epochs": 2, "batch": 20}
    frame = secondorder.sweep_rates("adamw", problem, [0.001, 0.02, 0.1], [3, 4], chunk=2, weight_decay=0.01, **options)
    assert frame.columns.tolist() == ["problem", "method", "lr", "seed", "score", "train_loss"]
    assert frame.lr.tolist() == [0.001, 0.001, 0.02, 0.02, 0.1, 0.1]
    assert frame.seed.tolist() == [3, 4] * 3
    for rate, rows in ((0.001, [0, 1]), (0.1, [4, 5])):  # the first of a chunk has the first streams
        w0 = problem.start([3, 4])
        run = train_flat("adamw", problem.model, problem.loss, w0, problem.train, lr=rate, weight_decay=0.01, **options)
        assert frame.train_loss[rows].tolist() == pytest.approx(run.losses[-1].tolist(), rel=1e-4)
        assert frame.score[rows].tolist() == pytest.approx(problem.score(run.w, *problem.test).tolist(), abs=0.01)
    for bad in ({"rates": []}, {"seeds": []}, {"chunk": 0}, {"rates": [0.0]}, {"method": "lion"}):
        arguments = {"method": "sgd", "problem": problem, "rates": [0.1], "seeds": [0]} | options | bad
        with pytest.raises(ValueError):
            secondorder.sweep_rates(**arguments)


def test_transformer_is_causal_and_learns():
    text = "abcdefgh" * 40
    problem = secondorder.character_problem(text, context=8, width=16, layers=2, heads=2, train=40, test=10)
    w = problem.start([0])
    x, y = problem.train
    changed = x.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 8
    a, b = problem.model(w[0], x), problem.model(w[0], changed)
    torch.testing.assert_close(a[:, :5], b[:, :5])
    assert (a[:, 5:] - b[:, 5:]).abs().max() > 1e-4
    assert (y[:, :-1] == x[:, 1:]).all()
    torch.testing.assert_close(problem.loss(a, y), torch.nn.functional.cross_entropy(a.flatten(0, 1), y.flatten()))
    for method, lr in (("adamw", 0.01), ("adahessian", 0.1)):
        run = train_flat(method, problem.model, problem.loss, w, problem.train, lr=lr, epochs=8, batch=8)
        assert run.losses[-1, 0] < 0.5 * run.losses[0, 0]
        assert problem.score(run.w, *problem.test)[0] > problem.score(w, *problem.test)[0]
    for bad in ({"heads": 3}, {"context": 0}, {"context": 100}):
        with pytest.raises(ValueError):
            secondorder.character_problem(text, **({"context": 8, "width": 16, "layers": 1, "heads": 2} | bad))


def test_convnet_shapes_gradients_and_batching():
    run, start = secondorder.inversion_convnet((2, 6, 8), 8, width=2, depth=3)
    w = start([0, 1])
    x = torch.randn(3, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    outputs = vmap(run, in_dims=(0, None))(w, x)
    assert outputs.shape == (2, 3, 64)
    torch.testing.assert_close(outputs[1], run(w[1], x))
    slope = torch.func.grad(lambda v: run(v, x).square().sum())(w[0])
    assert (slope != 0).float().mean() > 0.9
    with pytest.raises(ValueError):
        secondorder.inversion_convnet((2, 6, 8), 10, depth=3)
