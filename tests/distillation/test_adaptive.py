"""Residual labels against explicit loops; which loss moves what; the matrix stays stochastic."""

import pytest
import torch
from torch import nn

from litrepro.distillation import AdaptiveLabels, adaptive_objective, residual_distribution
from litrepro.training import fit


def problem(n=6, K=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, K, generator=generator), torch.randint(K, (n,), generator=generator)


def test_residual_distribution_by_hand():
    z, y = problem()
    found = residual_distribution(z, y)
    for i in range(6):
        wrong = [k for k in range(4) if k != y[i]]
        assert torch.allclose(found[i, wrong], z[i, wrong].softmax(0))
        assert found[i, y[i]] == 0
    batched = residual_distribution(z.view(2, 3, 4), y.view(2, 3))
    assert torch.equal(batched.view(6, 4), found)
    assert residual_distribution(torch.tensor([5.0, 1.0]), torch.tensor(0)).tolist() == [0, 1]


def test_losses_by_hand_and_gradients_kept_apart():
    z, y = problem()
    z.requires_grad_()
    labels = AdaptiveLabels(4)
    with torch.no_grad():
        labels.scores.copy_(torch.randn(4, 4, generator=torch.Generator().manual_seed(5)))
    residual, update = labels(z, y)
    p, Q = residual_distribution(z, y), labels.matrix
    for i in range(6):
        wrong = [k for k in range(4) if k != y[i]]
        assert residual[i].item() == pytest.approx(-(Q[y[i], wrong] * p[i, wrong].log()).sum().item() / 3, rel=1e-5)
        assert update[i].item() == pytest.approx(-(p[i, wrong] * Q[y[i], wrong].log()).sum().item() / 3, rel=1e-5)
    grads = torch.autograd.grad(residual.sum(), [z, labels.scores], allow_unused=True, retain_graph=True)
    assert grads[1] is None
    assert bool(grads[0].isfinite().all())
    assert grads[0].abs().max() > 0
    assert bool((grads[0].gather(1, y[:, None]) == 0).all())  # the label's own logit is not touched
    grads = torch.autograd.grad(update.sum(), [z, labels.scores], allow_unused=True)
    assert grads[0] is None
    assert bool(grads[1].isfinite().all())
    assert grads[1].abs().max() > 0


def test_starts_uniform_and_stays_stochastic_under_any_optimizer():
    labels = AdaptiveLabels(5)
    off = ~torch.eye(5, dtype=torch.bool)
    assert torch.allclose(labels.matrix[off], torch.tensor(0.25))
    optimizer = torch.optim.SGD(labels.parameters(), lr=50.0)
    z, y = problem(40, 5)
    for _ in range(10):
        optimizer.zero_grad()
        labels(z, y)[1].sum().backward()
        optimizer.step()
    Q = labels.matrix
    assert torch.allclose(Q.sum(1), torch.ones(5), atol=1e-5)
    assert bool((Q >= 0).all())
    assert bool((Q.diagonal() == 0).all())


def test_update_learns_the_mean_residual():
    """At the optimum of the update loss a row is the mean residual distribution of its class."""
    z, y = problem(60, 4, seed=2)
    labels = AdaptiveLabels(4)
    optimizer = torch.optim.LBFGS(labels.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = labels(z, y)[1].mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    p = residual_distribution(z, y)
    expected = torch.stack([p[y == k].mean(0) for k in range(4)])
    assert torch.allclose(labels.matrix, expected, atol=2e-3)


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.labels = nn.Linear(3, 4), AdaptiveLabels(4)

    def forward(self, x):
        return self.net(x)


def test_objective_trains_network_and_matrix():
    model = Both()
    x = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    fit(model, (x, torch.arange(30) % 4), epochs=2, lr=1.0, objective=adaptive_objective(1.0))
    off = ~torch.eye(4, dtype=torch.bool)
    assert (model.labels.matrix[off] - 1 / 3).abs().max() > 1e-4


def test_objective_weighs_both_losses_of_the_matrix():
    model, (x, y) = Both(), (torch.rand(30, 3, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 4)
    torch.nn.init.normal_(model.labels.scores, generator=torch.Generator().manual_seed(1))
    logits = model.net(x)
    hard, (residual, update) = nn.functional.cross_entropy(logits, y), model.labels(logits, y)
    for weight in (0.0, 0.5, 10.0):
        found = adaptive_objective(weight)(model, x, y, 0.0, None)
        assert found.item() == pytest.approx((hard + weight * (residual + update).mean()).item(), rel=1e-5)


def test_bad_input():
    z, y = problem()
    bad = [
        lambda: AdaptiveLabels(2),
        lambda: AdaptiveLabels(2.5),
        lambda: AdaptiveLabels(5)(z, y),
        lambda: AdaptiveLabels(4)(z, y[:2]),
        lambda: residual_distribution(z[:, :1], torch.zeros(6, dtype=torch.int64)),
        lambda: residual_distribution(z, y.float()),
        lambda: residual_distribution(z, y + 4),
        lambda: AdaptiveLabels(4)(z, y - 4),
        lambda: adaptive_objective(-1.0),
    ]
    for call in bad:
        with pytest.raises(ValueError, match=r"got|must"):
            call()
