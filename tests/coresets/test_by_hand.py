"""Selections and descent against plain loops: the online greedy, the errors that a run records, weighted steps."""

import copy
import math

import pytest
import torch
from torch import nn

from litrepro.coresets import (
    class_quotas,
    glister,
    grad_match,
    gradient_error,
    incremental_gradient,
    last_layer_gradients,
    last_layer_refresh,
    logistic_optimum,
    per_sample_gradients,
    select,
    train_on_coresets,
)
from litrepro.coresets._facility import distances
from litrepro.nets import mlp

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def data(n=40, d=5, seed=0):
    """Classes of 20, 12 and 8 examples."""
    y = torch.tensor([0] * 20 + [1] * 12 + [2] * 8)
    return (3 * normal(3, d, seed=seed)[y] + normal(n, d, seed=seed + 1)).float(), y


def greedy(gradients, k, refresh, labels=None, quotas=None):
    """Indices of the online greedy: the target is that after a step on what has been chosen."""
    chosen, target = [], gradients.sum(0)
    for _ in range(k):
        open_to = [
            i
            for i in range(len(gradients))
            if i not in chosen and (labels is None or sum(labels[j] == labels[i] for j in chosen) < quotas[labels[i]])
        ]
        chosen.append(max(open_to, key=lambda i: float(gradients[i] @ target)))
        target = refresh(torch.tensor(chosen))
    return torch.tensor(chosen)


def test_online_greedy_chooses_every_example_once():
    g = normal(9, 3)
    steady = glister(g, 9, refresh=lambda chosen: g.sum(0)).indices  # the target always points at the same example
    assert steady.tolist() == (g @ g.sum(0)).argsort(descending=True).tolist()
    pull = lambda chosen: g.sum(0) - 2 * g[chosen].sum(0)  # noqa: E731
    assert torch.equal(glister(g, 6, refresh=pull).indices, greedy(g, 6, pull))


@pytest.mark.parametrize("per_class", [True, False])
def test_online_runs_record_the_error_of_the_greedy(per_class):
    (x, y), model = data(), mlp(5, [4], 3, seed=1)
    g, refresh = last_layer_gradients(model, x, y), last_layer_refresh(model, x, y, step=0.3)
    quotas = class_quotas(y, 10)[1].tolist()
    chosen = greedy(g, 10, refresh, y.tolist(), quotas) if per_class else greedy(g, 10, refresh)
    sizes = torch.tensor([20, 12, 8])
    weights = (sizes / torch.tensor(quotas))[y[chosen]] if per_class else torch.full((10,), 4.0)
    expected = ((weights[:, None] * g[chosen]).sum(0) - g.sum(0)).norm() / g.sum(0).norm()
    options = {"fraction": 0.25, "every": 5, "epochs": 1, "per_class": per_class, "step": 0.3}
    _, selections = train_on_coresets(model, (x, y), method="glister-online", **options)
    assert selections["gradient_error"].tolist() == pytest.approx([expected.item()], rel=1e-4)


@pytest.mark.parametrize("kind", ["last", "all"])
def test_runs_select_on_the_gradients_they_are_told_to(kind):
    (x, y), model = data(), mlp(5, [4], 3, seed=1)
    compute = {"last": last_layer_gradients, "all": per_sample_gradients}[kind]
    g = compute(model, x, y)
    expected = gradient_error(g, select(g, y, 10, method="craig")) / g.sum(0).norm()
    options = {"fraction": 0.25, "every": 5, "epochs": 1}
    _, selections = train_on_coresets(model, (x, y), method="craig", gradients=kind, **options)
    assert selections["gradient_error"].tolist() == pytest.approx([expected.item()], rel=1e-4)


def test_gradients_are_those_of_a_network_in_use():
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))
    nn.init.uniform_(model[1].running_mean, generator=torch.Generator().manual_seed(0))
    x, y = data()
    expected = per_sample_gradients(copy.deepcopy(model).eval(), x, y)
    torch.testing.assert_close(per_sample_gradients(model.train(), x, y), expected)


def test_incremental_gradient_is_a_loop_over_weighted_examples():
    x, y, w = normal(6, 2), torch.tensor([1.0, -1, 1, 1, -1, -1], dtype=F64), torch.arange(1, 7).double()
    all_x, all_y = normal(30, 2, seed=1), torch.sign(normal(30, seed=2))
    ridge, step = 0.3, 2.0
    found = incremental_gradient(
        x[None], y[None], w[None], (all_x, all_y), ridge=ridge, step=step, epochs=3, generator=5
    )
    best = logistic_optimum(all_x, all_y, torch.ones(30, dtype=F64), ridge=ridge)

    def loss(theta):
        return nn.functional.softplus(-all_y * (all_x @ theta)).mean() + ridge / 2 * theta @ theta

    theta, source, rows = torch.zeros(2, dtype=F64), torch.Generator().manual_seed(5), []
    for epoch in range(4):
        rows.append((0, epoch, (loss(theta) - loss(best)).item(), (theta - best).norm().item()))
        for i in torch.randperm(6, generator=source):
            pull = w[i] / w.sum() * y[i] * x[i] / (1 + math.exp(y[i] * (x[i] @ theta)))
            theta = theta - step / (1 + epoch) * (ridge * theta / 6 - pull)
    for row, expected in zip(found.itertuples(index=False), rows, strict=True):
        assert tuple(row) == pytest.approx(expected, abs=1e-12)


def test_weights_are_exact_where_the_match_is():
    rows = torch.linalg.qr(normal(5, 5))[0] * torch.tensor([1.0, 10.0, 0.1, 3.0, 1.0], dtype=F64)[:, None]
    found = grad_match(rows, 5)
    torch.testing.assert_close(found.weights, torch.ones(5, dtype=F64), rtol=1e-10, atol=0)


def test_equal_rows_are_at_no_distance():
    g = normal(40, 57)
    found = distances(torch.cat([g, g]))
    assert (found[:40, 40:].diagonal() == 0).all()
    torch.testing.assert_close(found[:40, :40], torch.cdist(g, g, compute_mode="donot_use_mm_for_euclid_dist"))
