"""Patches, Convotron, output weights, set splitting, residual blocks."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import shallow
from litrepro.data import correlated_patches

f64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=f64)


def selections(size, patch, stride):
    """All P_i, from the patches of the identity."""
    entries = size if isinstance(size, int) else size[0] * size[1]
    identity = torch.eye(entries, dtype=f64).reshape(entries, *((size,) if isinstance(size, int) else size))
    return shallow.extract_patches(identity, patch, stride).permute(1, 2, 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
def test_patch_gram_one_dimension(n, r, s):
    if r > n:
        with pytest.raises(ValueError, match="patch must"):
            shallow.patch_gram(n, r, s)
        return
    P = selections(n, r, s)
    torch.testing.assert_close(shallow.patch_gram(n, r, s), torch.einsum("iab,jcb->ac", P, P))


@pytest.mark.parametrize("case", [((4, 5), (2, 3), (1, 1)), ((6, 6), (3, 2), (2, 1)), ((3, 4), (3, 4), (1, 1))])
def test_patch_gram_two_dimensions(case):
    P = selections(*case)
    torch.testing.assert_close(shallow.patch_gram(*case), torch.einsum("iab,jcb->ac", P, P))


def test_extract_patches_against_slices():
    X = normal(3, 7)
    expected = torch.stack([X[:, start : start + 3] for start in (0, 2, 4)], dim=1)
    assert torch.equal(shallow.extract_patches(X, 3, 2), expected)
    images = normal(2, 5, 6)
    patches = shallow.extract_patches(images, (2, 3), (1, 2))
    assert patches.shape == (2, 8, 6)
    assert torch.equal(patches[:, 3], images[:, 1:3, 2:5].flatten(1))
    unfolded = torch.nn.functional.unfold(images[:, None], (2, 3), stride=(1, 2)).mT
    assert torch.equal(patches, unfolded)
    for size in (3, 7):
        shallow.extract_patches(X, size, size).zero_()
    shallow.extract_patches(images, (5, 6), (1, 1)).zero_()
    assert torch.equal(X, normal(3, 7))  # patches are copies
    assert torch.equal(images, normal(2, 5, 6))


def test_convotron_against_the_formula():
    Z, y, w0 = normal(6, 3, 4), normal(6, seed=1), normal(4, seed=2)
    for leak, batch in ((0.0, 1), (0.3, 2), (1.0, 3)):
        path = shallow.convotron(Z, y, step=0.1, w0=w0, leak=leak, batch=batch)
        w = w0
        for t in range(6 // batch):
            change = torch.zeros(4, dtype=f64)
            for i in range(t * batch, (t + 1) * batch):
                output = torch.nn.functional.leaky_relu(Z[i] @ w, leak).mean()
                change += 0.1 * (y[i] - output) * Z[i].sum(0) / batch
            w = w + change
            torch.testing.assert_close(path[t + 1], w)


def test_convotron_learns_without_overlap_and_batches():
    X, w = normal(3, 1500, 12), normal(3, 4, seed=1)
    Z = shallow.extract_patches(X, 4, 4)
    y = torch.einsum("btkr,br->btk", Z, w).relu().mean(-1)
    path = shallow.convotron(Z, y, step=0.1)
    assert path.shape == (1501, 3, 4)
    assert (path[-1] - w).norm(dim=-1).max() < 1e-8
    torch.testing.assert_close(path[:, 1], shallow.convotron(Z[1], y[1], step=0.1))
    steps = torch.tensor([0.02, 0.1], dtype=f64)[:, None]
    swept = shallow.convotron(Z, y.expand(2, *y.shape), step=steps)
    torch.testing.assert_close(swept[:, 1], path)


def test_patch_descent_is_autograd():
    Z, y = normal(20, 3, 4), normal(20, seed=1)
    w, a = normal(5, 4, seed=2).requires_grad_(), normal(5, 3, seed=3).requires_grad_()
    loss = ((torch.einsum("nkr,br->bnk", Z, w).relu() * a[:, None]).sum(-1) - y).square().mean(-1) / 2
    gradients = torch.autograd.grad(loss.sum(), (w, a))
    run = shallow.patch_descent(Z, y, w.detach(), a.detach(), step=0.1, iterations=1)
    torch.testing.assert_close(run.loss[0], loss.detach())
    torch.testing.assert_close(run.w[1], w.detach() - 0.1 * gradients[0])
    torch.testing.assert_close(run.a[1], a.detach() - 0.1 * gradients[1])
    fixed = shallow.patch_descent(Z, y, w.detach(), a.detach(), step=0.1, iterations=3, train_output=False)
    assert torch.equal(fixed.a, a.detach().expand(4, 5, 3))
    assert (fixed.loss[1:] < fixed.loss[:-1]).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 12), st.integers(0, 10), st.integers(0, 1000))
def test_set_splitting(d, subsets, seed):
    inputs = shallow.set_splitting_inputs(d, subsets, seed=seed)
    assert inputs._fields == ("Z", "y", "signs")
    Z, y, signs = inputs
    assert Z.shape == (d + subsets, 2, d)
    assert Z.dtype == y.dtype == signs.dtype == f64
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert torch.equal(Z[:, 0], -Z[:, 1])
    assert torch.equal(Z[:d, 0], torch.eye(d, dtype=f64))
    assert (Z[d:, 0].sum(-1) == 3).all()
    assert torch.equal((Z @ signs).relu().sum(-1), y)


def test_set_splitting_zero_loss_means_a_splitting():
    Z, y, _ = shallow.set_splitting_inputs(6, 8, seed=3)
    for candidate in itertools.product((-1.0, 1.0), repeat=6):
        w = torch.tensor(candidate, dtype=f64)
        splits = all(set(w[row.bool()].tolist()) == {-1.0, 1.0} for row in Z[6:, 0])
        assert ((Z @ w).relu().sum(-1) == y).all() == splits


def test_cross_moments_against_a_loop():
    Z, w_star = correlated_patches(50, 4, 3, 0.7, generator=generator()), normal(3, seed=1)
    directions = normal(2, 3, seed=2)
    values = shallow.cross_patch_moments(Z, directions, w_star)
    for value, w in zip(values, directions):
        averages = []
        for first, second in ((1, 1), (1, -1), (-1, 1)):
            ahead = (Z @ w >= 0) if first == 1 else ~(Z @ w >= 0)
            truth = (Z @ w_star >= 0) if second == 1 else ~(Z @ w_star >= 0)
            averages.append((Z * (ahead & truth)[..., None]).mean(1))
        pairs = ((0, 1), (0, 2), (1, 2))
        expected = sum(torch.linalg.svdvals(averages[i].T @ averages[j] / 50).max() for i, j in pairs)
        torch.testing.assert_close(value, expected)
    assert shallow.cross_patch_moments(Z, w_star, w_star) == 0


def test_residual_linear_is_autograd():
    A, R = 0.2 * normal(2, 4, 3, 3), normal(3, 3, seed=1)
    half = normal(3, 3, seed=2)
    Sigma = half @ half.T
    A.requires_grad_()
    product = torch.eye(3, dtype=f64)
    for i in range(4):
        product = (torch.eye(3, dtype=f64) + A[:, i]) @ product
    error = product - R
    risk = (error @ Sigma @ error.mT).diagonal(dim1=-2, dim2=-1).sum(-1)
    (gradient,) = torch.autograd.grad(risk.sum(), A)
    result = shallow.residual_linear(A.detach(), R, Sigma)
    assert result._fields == ("excess", "gradient")
    ours, our_gradient = result
    torch.testing.assert_close(ours, risk.detach())
    torch.testing.assert_close(our_gradient, gradient)
    X = normal(200_000, 3, seed=3) @ half.T
    sampled = (X @ error[0].detach().T).square().sum(-1).mean()
    torch.testing.assert_close(sampled, risk[0].detach(), rtol=0.02, atol=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: shallow.patch_gram(5, 6, 1),
        lambda: shallow.patch_gram(5, 2, 0),
        lambda: shallow.patch_gram((5, 5), (2, 2), 1),
        lambda: shallow.patch_gram((5, 5, 5), (2, 2, 2), (1, 1, 1)),
        lambda: shallow.extract_patches(normal(5), 6, 1),
        lambda: shallow.extract_patches(normal(5), (2, 2), (1, 1)),
        lambda: shallow.convotron(normal(5, 2, 3), normal(4), step=0.1),
        lambda: shallow.convotron(normal(5, 2, 3), normal(5), step=0.1, batch=2),
        lambda: shallow.convotron(normal(5, 2, 3), normal(5), step=0.1, leak=1.5),
        lambda: shallow.convotron(normal(5, 2, 3), normal(5), step=0.1, w0=normal(2)),
        lambda: shallow.patch_descent(normal(5, 2, 3), normal(5), normal(2), normal(2), step=0.1, iterations=1),
        lambda: shallow.set_splitting_inputs(2, 1, seed=0),
        lambda: shallow.set_splitting_inputs(3, -1, seed=0),
        lambda: shallow.set_splitting_inputs(3, 1, seed=2**64),
        lambda: shallow.cross_patch_moments(normal(5, 2, 3), normal(2), normal(3)),
        lambda: shallow.residual_linear(normal(3, 3), normal(3, 3), normal(3, 3)),
        lambda: shallow.residual_linear(normal(2, 3, 3), normal(2, 2), normal(3, 3)),
        lambda: shallow.residual_linear(normal(2, 3, 3), normal(3, 3), normal(3, 3)),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()
