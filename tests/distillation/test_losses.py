"""Losses against torch's own, autograd and closed forms; batches against loops; vmap; bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from litrepro.distillation import (
    distillation_loss,
    kl_divergence,
    mimic_loss,
    regularized_loss,
    soft_cross_entropy,
)


def problem(*shape, K=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z, v = (3 * torch.randn(*shape, K, generator=generator, dtype=torch.float64) for _ in range(2))
    y = torch.randint(K, shape, generator=generator)
    return z, v, y


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.floats(0.3, 50), st.floats(0, 1))
def test_losses_equal_those_of_torch(seed, T, alpha):
    z, v, y = problem(7, seed=seed)
    t = (v / T).softmax(-1)
    peer = functional.kl_div((z / T).log_softmax(-1), t, reduction="none").sum(-1)
    assert torch.allclose(kl_divergence(z, t, temperature=T), peer, atol=1e-10)
    entropy = -(t * t.log()).sum(-1)
    assert torch.allclose(soft_cross_entropy(z, t, temperature=T), peer + entropy, atol=1e-10)
    hard = functional.cross_entropy(z, y, reduction="none")
    soft = functional.cross_entropy(z / T, t, reduction="none")
    expected = alpha * hard + (1 - alpha) * T**2 * soft
    assert torch.allclose(distillation_loss(z, y, v, alpha=alpha, temperature=T), expected)
    expected = (1 - alpha) * hard + alpha * 3.0 * peer
    assert torch.allclose(regularized_loss(z, y, t, alpha=alpha, temperature=T, scale=3.0), expected)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7, 1.0])
def test_label_smoothing_up_to_a_constant(epsilon):
    z, _, y = problem(9)
    ours = regularized_loss(z, y, torch.full((5,), 0.2, dtype=torch.float64), alpha=epsilon)
    peer = functional.cross_entropy(z, y, label_smoothing=epsilon, reduction="none")
    assert torch.allclose(peer - ours, torch.full_like(ours, epsilon * math.log(5)))


def test_one_hot_targets_have_no_nan_and_no_entropy():
    z, _, y = problem(6)
    hot = functional.one_hot(y, 5).double().requires_grad_()
    z.requires_grad_()
    found = kl_divergence(z, hot)
    assert torch.allclose(found, functional.cross_entropy(z, y, reduction="none"))
    found.sum().backward()
    assert bool(z.grad.isfinite().all())
    assert bool(hot.grad.isfinite().all())


def test_mimic_loss_gradient_and_centering():
    z, v, _ = problem(4)
    z.requires_grad_()
    mimic_loss(z, v).sum().backward()
    assert torch.allclose(z.grad, z.detach() - v)
    shifted = mimic_loss(z + 3, v - torch.arange(4)[:, None], center=True)
    assert torch.allclose(shifted, mimic_loss(z, v, center=True))
    assert bool((mimic_loss(z, v, center=True) <= mimic_loss(z, v) + 1e-12).all())


def test_high_temperature_gradient_is_that_of_centred_logits():
    z, v, y = problem(50, K=10)
    z.requires_grad_()
    limit = (z - z.mean(-1, keepdim=True) - v + v.mean(-1, keepdim=True)).detach() / 10
    errors = []
    for T in (1e2, 1e3, 1e4):
        (g,) = torch.autograd.grad(distillation_loss(z, y, v, alpha=0.0, temperature=T).sum(), z)
        errors.append(float((g - limit).norm() / limit.norm()))
    assert errors[-1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.1)


def test_a_batch_is_a_loop_and_vmap_takes_tensor_weights():
    z, v, y = problem(3, 4)
    alpha, T = torch.tensor([0.0, 0.3, 1.0]).double(), torch.tensor([1.0, 4.0, 20.0]).double()
    both = {"distil": (distillation_loss, v), "regularized": (regularized_loss, v.softmax(-1))}
    for function, target in both.values():
        run = torch.func.vmap(lambda a, b, c, w, t, f=function: f(a, b, c, alpha=w, temperature=t))
        found = run(z, y, target, alpha, T)
        assert found.shape == (3, 4)
        for m in range(3):
            for i in range(4):
                options = {"alpha": alpha[m].item(), "temperature": T[m].item()}
                assert torch.allclose(found[m, i], function(z[m, i], y[m, i], target[m, i], **options))


def test_one_temperature_and_one_weight_for_each_example():
    z, v, y = problem(4, 5)  # as many examples as classes
    t, generator = v.softmax(-1), torch.Generator().manual_seed(1)
    T, alpha, scale = (torch.rand(4, 5, generator=generator, dtype=torch.float64) + 0.5 * (i == 0) for i in range(3))
    losses = (
        lambda i, a, w, s: soft_cross_entropy(z[i], t[i], temperature=a),
        lambda i, a, w, s: kl_divergence(z[i], t[i], temperature=a),
        lambda i, a, w, s: distillation_loss(z[i], y[i], v[i], temperature=a, alpha=w),
        lambda i, a, w, s: regularized_loss(z[i], y[i], t[i], temperature=a, alpha=w, scale=s),
    )
    for loss in losses:
        single = [
            [loss((i, j), T[i, j].item(), alpha[i, j].item(), scale[i, j].item()) for j in range(5)] for i in range(4)
        ]
        alone = torch.stack([torch.stack(row) for row in single])
        torch.testing.assert_close(loss(slice(None), T, alpha, scale), alone)
        torch.testing.assert_close(loss(slice(None), T[..., None], alpha, scale), alone)
        shared = loss(slice(None), T[:, :1], alpha, scale)  # one for a row
        torch.testing.assert_close(shared[:, 0], alone[:, 0])
        over_rows = torch.func.vmap(lambda i, a, w, s, f=loss: f(i, a, w, s))
        torch.testing.assert_close(over_rows(torch.arange(4), T, alpha, scale), alone)


def test_dtype_follows_the_logits_and_values_are_per_example():
    z, v, y = problem(2, 3)
    found = regularized_loss(z.float(), y, v.softmax(-1), alpha=0.5)
    assert found.dtype == torch.float32
    assert found.shape == (2, 3)
    assert soft_cross_entropy(z[0, 0], v[0, 0].softmax(-1)).shape == ()


@pytest.mark.parametrize("T", [0, -1.0, float("nan"), float("inf"), "4", True])
def test_bad_temperature(T):
    z, v, y = problem(3)
    for call in (
        lambda: soft_cross_entropy(z, v.softmax(-1), temperature=T),
        lambda: kl_divergence(z, v.softmax(-1), temperature=T),
        lambda: distillation_loss(z, y, v, temperature=T),
        lambda: regularized_loss(z, y, v.softmax(-1), temperature=T),
    ):
        with pytest.raises(ValueError, match="temperature"):
            call()


def test_bad_input():
    z, v, y = problem(3)
    t = v.softmax(-1)
    bad = [
        lambda: soft_cross_entropy(z, t[:, :4]),
        lambda: kl_divergence(z, t[:2]),
        lambda: mimic_loss(z, v[:2]),
        lambda: mimic_loss(z, v[:, :4]),
        lambda: distillation_loss(z, y, v, alpha=1.5),
        lambda: distillation_loss(z, y, v, alpha=-0.1),
        lambda: distillation_loss(z, y, v[:, :3]),
        lambda: distillation_loss(z, y[:2], v),
        lambda: distillation_loss(z, y.double(), v),
        lambda: regularized_loss(z, y, t, alpha=2),
        lambda: regularized_loss(z, y, t, scale=-1.0),
        lambda: regularized_loss(z, y, t[:, :4]),
        lambda: regularized_loss(z, y[:, None], t),
        lambda: regularized_loss(z, y + 5, t),
        lambda: distillation_loss(z, y - 5, v),
        lambda: soft_cross_entropy(z, t, temperature=torch.ones(5)),
        lambda: kl_divergence(z, t, temperature=torch.ones(3, 5)),
        lambda: distillation_loss(z, y, v, temperature=torch.ones(2)),
        lambda: distillation_loss(z, y, v, alpha=torch.ones(2)),
        lambda: regularized_loss(z, y, t, temperature=torch.ones(2, 3)),
        lambda: regularized_loss(z, y, t, scale=torch.ones(4)),
    ]
    for call in bad:
        with pytest.raises(ValueError, match=r"got|must"):
            call()
