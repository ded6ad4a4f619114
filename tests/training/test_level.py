"""Flat objectives, sharpness, training to a level, widths and characters, each against a plain loop or torch."""

import math

import pytest
import torch
from torch.nn import functional

import litrepro
from litrepro.nets import StackedMLP
from litrepro.optim import Uniform
from litrepro.training import (
    flat_weights,
    mlp_objective,
    mlp_scores,
    sharpness,
    train_characters,
    train_to_level,
    train_widths,
)

G = torch.Generator().manual_seed(0)
X = torch.randn(60, 4, generator=G, dtype=torch.float64)
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).long() + (X[:, 2] > 1).long()
WIDTHS = (4, 6, 5, 3)


def stack(trials, activation="relu", dtype=torch.float64):
    return StackedMLP(WIDTHS, trials=trials, activation=activation, generator=torch.Generator().manual_seed(1)).to(
        dtype
    )


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
def test_flat_weights_compute_what_the_stack_computes(activation):
    model = stack(3, activation)
    w = flat_weights(model)
    torch.testing.assert_close(mlp_scores(WIDTHS, w, X, activation), model(X))
    torch.testing.assert_close(mlp_scores(WIDTHS, w[1], X, activation), model(X)[1])
    risk = mlp_objective(WIDTHS, X, Y, activation=activation)(w)
    expected = torch.stack([functional.cross_entropy(s, Y) for s in model(X)])
    torch.testing.assert_close(risk, expected)
    squared = mlp_objective(WIDTHS, X, Y, activation=activation, loss="mse")(w)
    hot = functional.one_hot(Y, 3).double()
    torch.testing.assert_close(squared, (model(X) - hot).square().sum(-1).mean(-1) / 2)


def test_objectives_go_under_vmap():
    w = flat_weights(stack(1))[0]
    each = torch.func.vmap(lambda row, label: mlp_objective(WIDTHS, row[None], label[None])(w))(X, Y)
    torch.testing.assert_close(each.mean(), mlp_objective(WIDTHS, X, Y)(w))


def test_sharpness_by_the_dense_hessian():
    w = flat_weights(stack(2, "tanh"))
    fun = mlp_objective(WIDTHS, X, Y, activation="tanh")
    dense = torch.stack([torch.linalg.eigvalsh(torch.autograd.functional.hessian(fun, row))[-1] for row in w])
    found = sharpness(fun, w, steps=40, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, dense, rtol=1e-6, atol=1e-8)
    assert torch.equal(sharpness(fun, w), sharpness(fun, w, generator=0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: mlp_objective((4,), X, Y),
        lambda: mlp_objective(WIDTHS, X, Y[:5]),
        lambda: mlp_objective(WIDTHS, X, Y, loss="hinge"),
        lambda: mlp_objective(WIDTHS, X, Y, activation="swish"),
        lambda: mlp_scores(WIDTHS, torch.ones(3), X),
    ],
)
def test_bad_objectives(call):
    with pytest.raises(ValueError):
        call()


def plain_run(member, rule, lr, seed, target, batch, max_steps, every):
    """One network by itself: the weights and the step at which it first has the loss."""
    model = StackedMLP(WIDTHS).double()
    for target_p, source in zip(model.parameters(), stack(4).parameters()):
        target_p.data = source.data[member : member + 1].clone()
    optimizer = Uniform(model.parameters(), rule, lr)
    source, place, per_epoch = torch.Generator().manual_seed(seed), 0, len(X) // batch
    for step in range(max_steps + 1):
        if step % every == 0 and functional.cross_entropy(model(X)[0], Y) <= target:
            return flat_weights(model)[0], step
        if place % per_epoch == 0:
            order, place = torch.randperm(len(X), generator=source), 0
        rows = order[place * batch : (place + 1) * batch]
        place += 1
        optimizer.zero_grad()
        functional.cross_entropy(model(X[rows])[0], Y[rows]).backward()
        optimizer.step()
    return flat_weights(model)[0], max_steps


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_members_stop_where_they_would_alone(rule):
    rates = torch.tensor([0.3, 0.1, 0.05, 0.2], dtype=torch.float64) / (1 if rule == "sgd" else 10)
    seeds = [0, 0, 1, 1]
    level = train_to_level(
        stack(4), X, Y, rule, rates, target=0.5, batch=20, max_steps=400, seeds=seeds, check_every=10
    )
    assert level.reached.all()
    assert len(set(level.steps.tolist())) > 1
    for member in range(4):
        w, step = plain_run(member, rule, rates[member].item(), seeds[member], 0.5, 20, 400, 10)
        assert level.steps[member] == step
        torch.testing.assert_close(level.weights[member], w, rtol=1e-7, atol=1e-9)
        assert mlp_objective(WIDTHS, X, Y)(level.weights[member]).item() == pytest.approx(level.loss[member].item())


def test_members_may_have_training_sets_of_their_own():
    order = torch.stack([torch.randperm(60, generator=torch.Generator().manual_seed(k))[:50] for k in range(3)])
    options = {"target": 0.6, "batch": 25, "max_steps": 300}
    rates = torch.tensor([0.3, 0.2, 0.1])
    own = train_to_level(stack(3), X[order], Y[order], "sgd", rates, seeds=[4, 5, 6], **options)
    for member in range(3):
        model = stack(1)
        for target, source in zip(model.parameters(), stack(3).parameters()):
            target.data = source.data[member : member + 1].clone()
        rows = order[member]
        alone = train_to_level(model, X[rows], Y[rows], "sgd", rates[member, None], seeds=[4 + member], **options)
        torch.testing.assert_close(own.weights[member], alone.weights[0])
        assert own.steps[member] == alone.steps[0]
    sets = (X[order].float(), Y[order])
    settings = {"lr": lambda h: 0.2, "batch": 10, "steps": 20}
    frame = train_widths(sets, sets, [4], seeds=[0, 1, 2], **settings)
    alone = train_widths((sets[0][1], sets[1][1]), (sets[0][2], sets[1][2]), [4], seeds=[1], **settings)
    assert frame.train_loss[1] == pytest.approx(alone.train_loss[0], rel=1e-5)
    assert frame.train_error[2] == frame.test_error[2]
    with pytest.raises(ValueError, match="one set per"):
        train_widths(sets, sets, [4], seeds=[0], **settings)


def test_members_that_do_not_arrive_say_so():
    with pytest.warns(litrepro.ConvergenceWarning, match="1 of 2 members"):
        level = train_to_level(
            stack(2), X, Y, "sgd", torch.tensor([1e-6, 0.3]), target=0.5, batch=60, max_steps=300, seeds=[0, 1]
        )
    assert level.reached.tolist() == [False, True]
    with pytest.warns(litrepro.ConvergenceWarning):
        diverged = train_to_level(
            stack(1), X, Y, "sgd", torch.tensor([1e9]), target=0.5, batch=60, max_steps=50, seeds=[0]
        )
    assert not diverged.reached.any()


@pytest.mark.parametrize(
    "change", [{"target": 0.0}, {"batch": 61}, {"lr": torch.ones(3)}, {"seeds": [0]}, {"max_steps": 0}, {"y": Y[:4]}]
)
def test_bad_levels(change):
    good = {"x": X, "y": Y, "rule": "sgd", "lr": torch.ones(2), "target": 0.5, "batch": 5, "max_steps": 3}
    with pytest.raises(ValueError):
        train_to_level(stack(2), **(good | {"seeds": [0, 1]} | change))


def test_widths_one_member_is_the_network_alone():
    data = (X.float(), Y)
    frame = train_widths(data, data, [2, 8], seeds=[0, 5], lr=lambda h: 0.2, batch=20, steps=30)
    assert frame.width.tolist() == [2, 2, 8, 8]
    assert frame.parameters.tolist() == [2 * 5 + 9] * 2 + [8 * 5 + 27] * 2
    alone = train_widths(data, data, [8], seeds=[5], lr=lambda h: 0.2, batch=20, steps=30)
    assert alone.train_loss.iloc[0] == pytest.approx(frame.train_loss.iloc[3], rel=1e-5)
    assert (frame.train_error == frame.test_error).all()
    wide = train_widths(data, data, [64], seeds=[0], lr=lambda h: 0.3, batch=20, steps=600)
    assert wide.train_error.iloc[0] < 0.05
    for bad in ({"seeds": []}, {"batch": 61}, {"steps": 0}):
        with pytest.raises(ValueError):
            train_widths(data, data, [2], **({"seeds": [0], "lr": lambda h: 0.1, "batch": 5, "steps": 1} | bad))


def test_widths_are_those_of_networks_trained_by_hand():
    """One batch is all data, so that its order does not matter; the test set is another one than the training set."""
    train, test, rates = (X[:40].float(), Y[:40]), (X[40:].float(), Y[40:]), {3: 0.5, 6: 0.1}
    frame = train_widths(train, test, list(rates), seeds=[4], lr=rates.get, batch=40, steps=5)
    for (width, lr), row in zip(rates.items(), frame.itertuples()):
        model = StackedMLP((X.shape[1], width, int(Y.max()) + 1), generator=torch.Generator().manual_seed(4))
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        for _ in range(5):
            optimizer.zero_grad()
            functional.cross_entropy(model(train[0])[0], train[1]).backward()
            optimizer.step()
        errors = [(model(x)[0].argmax(-1) != y).double().mean().item() for x, y in (train, test)]
        assert row.train_loss == pytest.approx(functional.cross_entropy(model(train[0])[0], train[1]).item(), rel=1e-5)
        assert [row.train_error, row.test_error] == pytest.approx(errors)
        assert errors[0] != errors[1]


def test_a_character_model_without_hidden_layers_is_a_softmax_regression_by_hand():
    text, context, steps = "abracadabra, simsalabim " * 4, 2, 4
    table = train_characters(text, {"sgd": ("sgd", [0.1, 0.7])}, context=context, hidden=(), batch=8, steps=steps,
                             eval_every=steps, seed=3, held_out=0.25)  # fmt: skip
    alphabet, cut = sorted(set(text)), int(0.75 * len(text))
    codes = torch.tensor([alphabet.index(character) for character in text])
    hot = functional.one_hot(codes, len(alphabet)).float()
    model = StackedMLP((context * len(alphabet), len(alphabet)), generator=torch.Generator().manual_seed(3))
    optimizer, draws = torch.optim.SGD(model.parameters(), lr=0.7), torch.Generator().manual_seed(3)

    def loss(positions):
        inputs = torch.stack([hot[t - context : t].flatten() for t in positions])
        return functional.cross_entropy(model(inputs)[0], codes[positions])

    def perplexities():
        parts = range(context, cut), range(cut + context, len(text))
        return [math.exp(loss(torch.tensor(part)).item()) for part in parts]

    columns = ["train_perplexity", "dev_perplexity"]
    assert table[table.step == 0][columns].iloc[1].tolist() == pytest.approx(perplexities(), rel=1e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(torch.randint(context, cut, (8,), generator=draws)).backward()
        optimizer.step()
    assert table[table.step == steps][columns].iloc[1].tolist() == pytest.approx(perplexities(), rel=1e-4)


def test_characters_learn_a_periodic_text():
    options = {"context": 3, "hidden": (16,), "batch": 32, "steps": 150, "eval_every": 75}
    frame = train_characters("abcd" * 200, {"adam": ("adam", [0.01, 1e-5])}, **options)
    assert frame.step.tolist() == [0, 0, 75, 75, 150, 150]
    start, end = frame[frame.step == 0], frame[frame.step == 150]
    assert start.dev_perplexity.tolist() == pytest.approx([4.0, 4.0], rel=0.3)
    assert end.dev_perplexity.iloc[0] < 1.2 < end.dev_perplexity.iloc[1]
    single = train_characters("abcd" * 200, {"adam": ("adam", [0.01])}, **options)
    assert single.dev_perplexity.iloc[-1] == pytest.approx(end.dev_perplexity.iloc[0], rel=1e-3)
    blown = train_characters("abcd" * 200, {"sgd": ("sgd", [1e30])}, **options)
    assert math.isinf(blown.train_perplexity.iloc[-1])
    for bad in ({"context": 0}, {"steps": 0}, {"held_out": 1.0}, {"context": 100}):
        with pytest.raises(ValueError):
            train_characters("abcd" * 30, {"sgd": ("sgd", [0.1])}, **(options | bad))
