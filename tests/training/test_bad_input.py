"""What the training loops refuse before any work."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from litrepro import training as T
from litrepro.nets import StackedMLP
from litrepro.optim import rule

X, Y = torch.ones(6, 2), torch.arange(6) % 2
DATA = (X, Y)
MODEL, WIDTHS = StackedMLP((2, 2)), (2, 2)
SGD, RATE = rule("sgd"), torch.tensor([0.1])
SPLITS = T.draw_splits(6, [0], train=4, batch=2, steps=1)
LEVEL = {"target": 0.1, "batch": 2, "max_steps": 1, "seeds": [0]}
PAIRED = {"seeds": [0], "hidden": (3, 3), "lr": 0.1, "batch": 2, "steps": 1, "eval_every": 1}
WIDE = {"seeds": [0], "lr": lambda width: 0.1, "batch": 2, "steps": 1}
TEXT = {"context": 1, "hidden": [2], "batch": 2, "steps": 1, "eval_every": 1}
RUNS = pd.DataFrame({"rule": ["a", "b"] * 2, "seed": [0, 0, 1, 1], "loss": 1.0})


@pytest.mark.parametrize(
    "call",
    [
        lambda: T.constant("x"),
        lambda: T.cosine(math.nan),
        lambda: T.step_decay({0.5: 0.1})(None),
        lambda: T.step_decay([0.5, 0.1]),
        lambda: T.draw_splits(6, 5, train=4, batch=2, steps=1),
        lambda: T.draw_splits(6, [], train=4, batch=2, steps=1),
        lambda: T.evaluate(lambda x: x, DATA),
        lambda: T.evaluate(nn.Identity(), DATA, metrics=5),
        lambda: T.evaluate(nn.Identity(), DATA, loss=["mse"]),
        lambda: T.evaluate(nn.Identity(), DATA, loss=lambda outputs, y: 3.0),
        lambda: T.fit(None, DATA, epochs=1),
        lambda: T.fit(nn.Linear(2, 2), DATA, epochs=1, callback=5),
        lambda: T.fit(nn.Linear(2, 2), DATA, epochs=1, seed=2**64),
        lambda: T.fit(nn.Linear(2, 2), DATA, epochs=1, evaluate_on=[DATA]),
        lambda: T.fit(nn.Linear(2, 2), DATA, epochs=1, checkpoint=5),
        lambda: T.fit(nn.Linear(2, 2), DATA, epochs=1, objective=lambda model, x, y, t, generator: 3.0),
        lambda: T.fit(nn.Linear(2, 2), DATA, epochs=1, objective=lambda model, x, y, t, generator: model(x)),
        lambda: T.fit_ensemble(None, [0], DATA, epochs=1),
        lambda: T.fit_ensemble(lambda: nn.Linear(2, 2), [0], DATA, epochs=1),
        lambda: T.fit_ensemble(lambda seed: nn.Linear(2, 2), [0], DATA, epochs=1, objective=lambda *given: 3.0),
        lambda: T.fit_ensemble(lambda seed: nn.Linear(2, 2), 5, DATA, epochs=1),
        lambda: T.flat_weights(nn.Linear(2, 2)),
        lambda: T.mlp_scores(5, torch.ones(6), X),
        lambda: T.mlp_scores(WIDTHS, torch.ones(6).double(), X),
        lambda: T.mlp_scores(WIDTHS, torch.ones(()), X),
        lambda: T.mlp_objective(WIDTHS, X, Y.tolist()),
        lambda: T.mlp_objective(WIDTHS, X, Y + 1),  # a class that no output stands for
        lambda: T.sharpness(torch.sum, None, generator=None),
        lambda: T.sharpness(lambda w: (w * torch.ones(3)).sum(-1), torch.ones(2), generator=0),
        lambda: T.sharpness(lambda w: w.sum(-1), torch.ones(2), generator=2.5),
        lambda: T.summarize_runs(RUNS),
        lambda: T.summarize_runs(None),
        lambda: T.paired_difference(RUNS, "bogus", {"rule": "a"}, {"rule": "b"}),
        lambda: T.paired_difference(RUNS, "loss", "a", {"rule": "b"}),
        lambda: T.paired_difference(RUNS, "loss", {"lr": 1}, {"lr": 2}),
        lambda: T.train_paired_psgd(DATA, DATA, [("none", 0)], **PAIRED, checkpoint=5),
        lambda: T.train_stacked(X.long(), Y, SPLITS, SGD, [0.1], WIDTHS),
        lambda: T.train_stacked(X, Y - 100, SPLITS, SGD, [0.1], WIDTHS),  # -100 means "ignored" to the cross-entropy
        lambda: T.train_stacked(X[:3], Y[:3], SPLITS, SGD, [0.1], WIDTHS),
        lambda: T.train_stacked(X, Y, SPLITS, SGD, [0.1], (3, 2)),
        lambda: T.train_stacked(X, Y, (0, 1, 2), SGD, [0.1], WIDTHS),
        lambda: T.train_stacked(X, Y, SPLITS, SGD, [], WIDTHS),
        lambda: T.train_stacked(X, Y, SPLITS, SGD, [0.1], WIDTHS, record_every=0),
        lambda: T.seconds_per_step(X, Y.float(), SPLITS, SGD, 0.1, WIDTHS),
        lambda: T.seconds_per_step(X, Y, SPLITS, SGD, 0.1, WIDTHS, repeats=0),
        lambda: T.train_to_level(None, X, Y, SGD, RATE, **LEVEL),
        lambda: T.train_to_level(MODEL, X.double(), Y, SGD, RATE, **LEVEL),
        lambda: T.train_to_level(MODEL, X, Y + 1, SGD, RATE, **LEVEL),
        lambda: T.train_to_level(MODEL, X, Y, SGD, RATE * 1j, **LEVEL),
        lambda: T.train_to_level(MODEL, X, Y, SGD, RATE, **(LEVEL | {"seeds": ["x"]})),
        lambda: T.train_paired_psgd((), DATA, [("none", 0)], **PAIRED),
        lambda: T.train_paired_psgd(DATA, (X, Y + 1), [("none", 0)], **PAIRED),
        lambda: T.train_paired_psgd(DATA, DATA, [-1], **PAIRED),
        lambda: T.train_paired_psgd(DATA, DATA, [("none", 0)], **(PAIRED | {"hidden": 5})),
        lambda: T.train_widths(DATA, (X[:, :1], Y), [2], **WIDE),
        lambda: T.train_widths(DATA, (X.double(), Y), [2], **WIDE),
        lambda: T.train_widths(DATA, DATA, 5, **WIDE),
        lambda: T.train_widths(DATA, DATA, [2], **(WIDE | {"lr": 0.1})),
        lambda: T.train_characters(None, {"a": (SGD, [0.1])}, **TEXT),
        lambda: T.train_characters("ab" * 20, [SGD], **TEXT),
        lambda: T.train_characters("ab" * 20, {"a": (SGD, [])}, **TEXT),
        lambda: T.train_characters("ab" * 20, {"a": (SGD, [0.1])}, **(TEXT | {"device": "x"})),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must|need|got"):
        call()


def test_what_else_is_welcome():
    """Labels in small integers, numpy's seeds, a seed for a generator, layouts that are not contiguous."""
    one = T.train_stacked(X, Y, SPLITS, SGD, [0.1], WIDTHS)
    assert one.equals(T.train_stacked(X.T.contiguous().T, Y.to(torch.uint8), SPLITS, SGD, (0.1,), WIDTHS))
    same = T.draw_splits(6, np.array([0]), train=4, batch=2, steps=1)
    assert all(torch.equal(a, b) for a, b in zip(same, SPLITS))
    w = torch.ones(2, 3, dtype=torch.float64)
    seeded = T.sharpness(lambda v: v.pow(3).sum(-1), w, generator=1)
    assert torch.equal(seeded, T.sharpness(lambda v: v.pow(3).sum(-1), w, generator=torch.Generator().manual_seed(1)))
