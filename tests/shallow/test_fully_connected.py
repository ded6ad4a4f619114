"""Fully connected networks: one ReLU, population gradients, matching, alternating minimization, tensor starts."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import shallow

f64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=f64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def one_relu(*batch, n=200, d=5, seed=0):
    X, w = normal(*batch, n, d, seed=seed), normal(*batch, d, seed=seed + 1)
    return X, (X @ w[..., None])[..., 0].relu(), w


# --- one ReLU ---------------------------------------------------------------------------------------------------------


def test_projected_gradient_against_the_formula():
    X, y, _ = one_relu(n=20)
    path = shallow.relu_projected_gradient(X, y, iterations=3, first_step=1.7, step=0.4)
    w = torch.zeros(5, dtype=f64)
    for t in range(3):
        g = sum((max(x @ w, 0) - target) * (1 + torch.sign(x @ w)) * x for x, target in zip(X, y)) / 20
        w = w - (0.4 if t else 1.7) * g
        torch.testing.assert_close(path[t + 1], w)


def test_projected_gradient_recovers_and_projects():
    X, y, w = one_relu(3, n=640, d=10)
    path = shallow.relu_projected_gradient(X, y, iterations=60)
    assert path.shape == (61, 3, 10)
    assert (path[0] == 0).all()
    torch.testing.assert_close(path[-1], w, atol=1e-8, rtol=0)
    capped = shallow.relu_projected_gradient(
        X, y, lambda v: v / (v.norm(dim=-1, keepdim=True) / 0.5).clamp(min=1), iterations=60
    )
    torch.testing.assert_close(capped[-1].norm(dim=-1), torch.full((3,), 0.5, dtype=f64))


def test_projected_gradient_batches_shared_inputs_steps_and_weights():
    X, y, _ = one_relu(2, 3, n=30)
    full = shallow.relu_projected_gradient(X, y, iterations=5)
    single = shallow.relu_projected_gradient(X[1, 2], y[1, 2], iterations=5)
    torch.testing.assert_close(full[:, 1, 2], single)
    steps = torch.tensor([0.3, 0.9], dtype=f64)[:, None]
    several = shallow.relu_projected_gradient(X[0], y[0].expand(2, 3, 30), iterations=5, step=steps)
    assert several.shape == (6, 2, 3, 5)
    torch.testing.assert_close(several[:, 1], shallow.relu_projected_gradient(X[0], y[0], iterations=5, step=0.9))
    weights = torch.zeros(2, 1, 30, dtype=f64)
    weights[0, :, :12], weights[1] = 1 / 12, 1 / 30
    masked = shallow.relu_projected_gradient(X[0], y[0], iterations=5, weights=weights)
    torch.testing.assert_close(masked[:, 0], shallow.relu_projected_gradient(X[0, :, :12], y[0, :, :12], iterations=5))
    torch.testing.assert_close(masked[:, 1], full[:, 0])


def test_projected_gradient_with_fewer_samples_than_dimensions():
    X, y, _ = one_relu(n=3, d=8)
    path = shallow.relu_projected_gradient(X, y, iterations=400, step=0.2)
    assert path.isfinite().all()
    loss = ((path @ X.T).relu() - y).square().sum(-1)
    assert loss[-1] < 0.9 * loss[0]
    row_space = torch.linalg.qr(X.T).Q  # every step stays in the span of the inputs
    torch.testing.assert_close(path @ row_space @ row_space.T, path)


# --- population -------------------------------------------------------------------------------------------------------


def test_kernel_closed_forms():
    u = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0]], dtype=f64)
    kernel = shallow.relu_kernel(u, u)
    expected = torch.zeros(4, 4, dtype=f64)
    expected[0, 0], expected[1, 1], expected[2, 2] = 4 / 2, 9 / 2, 1 / 2
    expected[0, 1] = expected[1, 0] = 6 / (2 * math.pi)
    expected[1, 2] = expected[2, 1] = 3 / (2 * math.pi)
    torch.testing.assert_close(kernel, expected, atol=1e-12, rtol=0)


def test_population_loss_against_monte_carlo():
    W, W_star, X = normal(3, 4, seed=1), normal(2, 4, seed=2), normal(200_000, 4, seed=3)
    errors = (shallow.relu_network(X, W) - shallow.relu_network(X, W_star)).square() / 2
    standard_error = errors.std() / len(X) ** 0.5
    assert abs(errors.mean() - shallow.population_loss(W, W_star)) < 5 * standard_error


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4), st.integers(2, 6))
def test_population_gradient_is_the_gradient(seed, k, m, d):
    W, W_star = normal(2, k, d, seed=seed).requires_grad_(), normal(m, d, seed=seed + 1)
    loss = shallow.population_loss(W, W_star)
    assert (loss >= 0).all()
    (gradient,) = torch.autograd.grad(loss.sum(), W)
    torch.testing.assert_close(shallow.population_gradient(W.detach(), W_star), gradient, atol=1e-9, rtol=1e-7)


def test_population_gradient_finite_differences():
    W, W_star, h = normal(3, 4, seed=4), normal(3, 4, seed=5), 1e-5
    gradient = shallow.population_gradient(W, W_star)
    for index in itertools.product(range(3), range(4)):
        shift = torch.zeros(3, 4, dtype=f64)
        shift[index] = h
        up, down = (shallow.population_loss(W + s * shift, W_star) for s in (1, -1))
        assert abs((up - down) / (2 * h) - gradient[index]) < 1e-8


def test_population_at_the_teacher_and_at_zero():
    W = normal(3, 5, seed=6)
    order = torch.tensor([2, 0, 1])
    assert shallow.population_loss(W[order], W) < 1e-14
    assert shallow.population_gradient(W[order], W).abs().max() < 1e-12
    dead = W.clone()
    dead[1] = 0
    assert shallow.population_gradient(dead, W).isfinite().all()
    duplicate = torch.stack([W[0], W[0], 2 * W[0]])
    assert shallow.population_gradient(duplicate, W).isfinite().all()


@pytest.mark.parametrize("size", [1e-38, 1e-25, 1e20, 1e37])
def test_population_gradient_at_any_scale(size):
    W, W_star = (size * normal(3, 4, seed=seed) for seed in (6, 7))
    gradient = shallow.population_gradient(W.float(), W_star.float()).double() / size
    torch.testing.assert_close(gradient, shallow.population_gradient(W, W_star) / size, atol=1e-6, rtol=1e-6)


def test_population_descent_one_neuron_converges_linearly():
    W_star, W0 = normal(8, 1, 5, seed=7), 0.1 * normal(8, 1, 5, seed=8)
    path = shallow.population_descent(W0, W_star, step=1.0, iterations=200, every=20)
    assert path.shape == (11, 8, 1, 5)
    assert (path[-1] - W_star).abs().max() < 1e-6
    one = W0[2] - 0.3 * shallow.population_gradient(W0[2], W_star[2])
    torch.testing.assert_close(shallow.population_descent(W0[2], W_star[2], step=0.3, iterations=1)[1], one)


# --- matching ---------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_permutation_distance_against_brute_force(seed, k):
    A, B = normal(3, k, 4, seed=seed), normal(3, k, 4, seed=seed + 1)
    orders = [A[:, list(order)] for order in itertools.permutations(range(k))]
    expected = torch.stack([(each - B).norm(dim=(-2, -1)) for each in orders]).amin(0)
    torch.testing.assert_close(shallow.permutation_distance(A, B), expected)


def test_permutation_distance_two_solvers_agree():
    from litrepro.shallow import _matching

    cost = normal(6, 9, 9, seed=9).square()
    torch.testing.assert_close(_matching._over_subsets(cost), _matching._one_by_one(cost))
    A = normal(2, 14, 3, seed=10)
    shuffled = A[:, torch.randperm(14, generator=generator(1))]
    assert shallow.permutation_distance(shuffled, A).max() < 1e-12
    broken = A.clone()
    broken[1, 0, 0] = math.inf
    assert shallow.permutation_distance(broken, A).isnan().tolist() == [False, True]


@pytest.mark.parametrize("k", [3, 13])
def test_permutation_distance_has_a_gradient(k):
    A, order = normal(2, 1, k, 4, seed=11), torch.randperm(k, generator=generator(1))
    B = A[0, :, order] + 1e-3 * normal(3, k, 4, seed=12)  # so near that the best order is the given one
    A = A.requires_grad_()
    distance = shallow.permutation_distance(A, B)
    expected = (A[0][:, order] - B).norm(dim=(-2, -1))
    torch.testing.assert_close(distance[0], expected)
    (found,) = torch.autograd.grad(distance[0].sum(), A, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(expected.sum(), A)[0])
    (at_zero,) = torch.autograd.grad(shallow.permutation_distance(A, A.detach()).sum(), A)
    assert not at_zero.any()


# --- alternating minimization -----------------------------------------------------------------------------------------


def test_state_matrix_is_the_network():
    X, W = normal(2, 30, 4), normal(2, 3, 4, seed=1)
    B = shallow.state_matrix(X, W)
    torch.testing.assert_close((B @ W.flatten(-2)[..., None])[..., 0], shallow.relu_network(X, W), atol=1e-13, rtol=0)


def test_alternating_minimization_step_is_the_pseudo_inverse():
    for n in (40, 6):  # over- and underdetermined: K d = 12
        X, W, y = normal(2, n, 4), normal(2, 3, 4, seed=1), normal(2, n, seed=2)
        path = shallow.alternating_minimization(X, y, W, iterations=1)
        expected = torch.linalg.pinv(shallow.state_matrix(X, W)) @ y[..., None]
        torch.testing.assert_close(path[1].flatten(-2), expected[..., 0], atol=1e-9, rtol=1e-9)


def test_alternating_minimization_recovers_from_a_close_start():
    W = normal(5, 3, 6, seed=1)
    X = normal(5, 200, 6)
    noise = normal(5, 3, 6, seed=2)
    W0 = W + 0.2 * noise * W.norm(dim=(-2, -1), keepdim=True) / noise.norm(dim=(-2, -1), keepdim=True)
    y = shallow.relu_network(X, W)
    path = shallow.alternating_minimization(X, y, W0, iterations=15)
    assert shallow.permutation_distance(path[-1], W).max() < 1e-10
    padded_X, padded_y = torch.nn.functional.pad(X, (0, 0, 0, 7)), torch.nn.functional.pad(y, (0, 7))
    torch.testing.assert_close(shallow.alternating_minimization(padded_X, padded_y, W0, iterations=15), path)
    alone = shallow.alternating_minimization(X[3], y[3], W0[3], iterations=15)
    torch.testing.assert_close(path[:, 3], alone)


def test_alternating_minimization_with_duplicate_and_dead_neurons():
    X, W = normal(50, 4), normal(3, 4, seed=1)
    W0 = torch.stack([W[0], W[0], torch.zeros(4, dtype=f64)])
    y = shallow.relu_network(X, W)
    path = shallow.alternating_minimization(X, y, W0, iterations=3)
    assert path.isfinite().all()
    expected = torch.linalg.pinv(shallow.state_matrix(X, W0)) @ y
    torch.testing.assert_close(path[1].flatten(), expected, atol=1e-9, rtol=1e-9)


def test_a_dead_neuron_stays_dead():
    """The rounding of a singular pattern must not wake it up."""
    X, W0 = normal(200, 12, 3), normal(200, 2, 3, seed=2)
    y = shallow.relu_network(X, normal(200, 2, 3, seed=1))
    W0[:, 0] = 0
    path = shallow.alternating_minimization(X, y, W0, iterations=4)
    assert (path[:, :, 0] == 0).all()
    assert path.isfinite().all()
    X[3, 5] = torch.nan
    assert shallow.alternating_minimization(X, y, W0, iterations=1)[1, 3, 1].isnan().all()


# --- gradient descent and tensor start --------------------------------------------------------------------------------


def test_gradient_descent_is_autograd():
    X, W, W0 = normal(2, 30, 4), normal(2, 3, 4, seed=1), normal(2, 3, 4, seed=2).requires_grad_()
    y = shallow.relu_network(X, W)
    loss = (torch.einsum("bnd,bkd->bnk", X, W0).relu().sum(-1) - y).square().mean(-1) / 2
    (gradient,) = torch.autograd.grad(loss.sum(), W0)
    path = shallow.relu_gradient_descent(X, y, W0.detach(), step=0.1, iterations=1)
    torch.testing.assert_close(path[1], W0.detach() - 0.1 * gradient)
    starts = normal(5, 1, 3, 4, seed=3)
    many = shallow.relu_gradient_descent(X, y, starts.expand(5, 2, 3, 4), step=0.1, iterations=4)
    torch.testing.assert_close(
        many[:, 2, 1], shallow.relu_gradient_descent(X[1], y[1], starts[2, 0], step=0.1, iterations=4)
    )


def test_inputs_with_gradients_leave_no_graph():
    X, y, W = (tensor.requires_grad_() for tensor in (normal(10, 4), normal(10, seed=1), normal(3, 4, seed=2)))
    assert not shallow.relu_projected_gradient(X, y, lambda w: 2 * w, iterations=3, step=0.1).requires_grad
    assert not shallow.relu_gradient_descent(X, y, W, step=0.1, iterations=3).requires_grad
    found = shallow.rank_one_recovery(lambda t: (X, y), 4, 1, iterations=2, weights=y.exp())
    assert not found.requires_grad
    wide = normal(500, 3).requires_grad_()
    start = shallow.tensor_initialization(wide, shallow.relu_network(wide, shallow.planted_teacher(2, 3)), 2)
    assert not start.requires_grad
    path = shallow.convotron(X[:, None], y, step=0.1, w0=W[0])
    assert torch.equal(path, shallow.convotron(X.detach()[:, None], y.detach(), step=0.1, w0=W[0].detach()))
    assert not path.requires_grad


@pytest.mark.parametrize("k", [1, 3])
def test_tensor_start_falls_near_the_teacher(k):
    lengths = torch.tensor([1.0, 0.8, 1.2], dtype=f64)[:k, None]
    teacher = lengths * shallow.planted_teacher(k, 6, generator=1)
    X = normal(40_000, 6, seed=3)
    y = shallow.relu_network(X, teacher)
    W = shallow.tensor_initialization(X, y, k, generator=0)
    assert W.shape == (k, 6)
    assert shallow.permutation_distance(W, teacher) < 0.3 * teacher.norm()
    assert shallow.permutation_distance(-W, teacher) > 1.2 * teacher.norm()  # signs are found, too
    pairs = shallow.tensor_initialization(X.reshape(2, -1, 6), y.reshape(2, -1), k, generator=0)
    assert pairs.shape == (2, k, 6)


def test_tensor_start_of_a_member_is_its_own():
    X, teacher = normal(3, 2000, 5), normal(3, 3, 5, seed=1)
    y = shallow.relu_network(X, teacher)
    options = {"iterations": 20, "restarts": 2, "generator": 0}
    together = shallow.tensor_initialization(X, y, 3, **options)
    for member in range(3):
        alone = shallow.tensor_initialization(X[member], y[member], 3, **options)
        torch.testing.assert_close(together[member], alone, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size", [1e-30, 1e-7, 1e30])
def test_tensor_start_is_linear_in_the_targets(size):
    X, teacher = normal(2, 2000, 4, dtype=torch.float32), normal(2, 2, 4, seed=1, dtype=torch.float32)
    y, sizes = shallow.relu_network(X, teacher), torch.tensor([1.0, size])[:, None]
    start, scaled = (shallow.tensor_initialization(X, each, 2, iterations=20, restarts=2) for each in (y, y * sizes))
    torch.testing.assert_close(scaled / sizes[..., None], start, rtol=1e-3, atol=1e-3)


def test_tensor_start_needs_a_positive_second_moment():
    X = normal(500, 5)
    with pytest.raises(ValueError, match="positive eigenvalues"):
        shallow.tensor_initialization(X, -shallow.relu_network(X, normal(2, 5, seed=1)), 5)


def test_planted_teacher():
    W = shallow.planted_teacher(3, 7, condition=10.0, batch=(4,), generator=2)
    singular = torch.linalg.svdvals(W)
    torch.testing.assert_close(singular, torch.tensor([1.0, 10**-0.5, 0.1], dtype=f64).expand(4, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda X, y, W: shallow.relu_projected_gradient(X, y[:-1], iterations=2),
        lambda X, y, W: shallow.relu_projected_gradient(X, y, lambda w: w[..., :2], iterations=2),
        lambda X, y, W: shallow.relu_projected_gradient(X, y, iterations=-1),
        lambda X, y, W: shallow.relu_projected_gradient(X, y, iterations=1, weights=y[:-1]),
        lambda X, y, W: shallow.relu_projected_gradient(X, y, iterations=1, step=float("nan")),
        lambda X, y, W: shallow.relu_kernel(W, W[:, :2]),
        lambda X, y, W: shallow.population_loss(W[0], W),
        lambda X, y, W: shallow.permutation_distance(W, W[:2]),
        lambda X, y, W: shallow.permutation_distance(W, W.float()),
        lambda X, y, W: shallow.alternating_minimization(X, y, W[:, :2], iterations=1),
        lambda X, y, W: shallow.relu_gradient_descent(X, y, W[:, :2], step=0.1, iterations=1),
        lambda X, y, W: shallow.relu_gradient_descent(X.long(), y, W, step=0.1, iterations=1),
        lambda X, y, W: shallow.alternating_minimization(X, y, W.float(), iterations=1),
        lambda X, y, W: shallow.tensor_initialization(X, y, 5),
        lambda X, y, W: shallow.planted_teacher(5, 4),
        lambda X, y, W: shallow.planted_teacher(2, 4, condition=0.5),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must|needs"):
        call(normal(10, 4), normal(10), normal(3, 4))


def test_first_step_is_twice_as_long_by_default():
    X, y, _ = one_relu(n=40)
    path = shallow.relu_projected_gradient(X, y, iterations=3)
    torch.testing.assert_close(
        path, shallow.relu_projected_gradient(X, y, iterations=3, first_step=2.0, step=1.0), atol=0, rtol=0
    )


def test_least_squares_of_nearly_dependent_columns_and_of_targets_that_are_not_finite():
    from litrepro.shallow._least_squares import minimum_norm

    for shape in ((30, 4), (4, 30)):
        B, y = normal(3, *shape), normal(3, shape[0], seed=1)
        tall = shape[0] > shape[1]
        first, second = (B[1, :, 0], B[1, :, 1]) if tall else (B[1, 0], B[1, 1])
        second.copy_(first + 1e-7 * second)
        B[2] = 1.0
        y[2, 0] = math.inf
        found = minimum_norm(B, y)
        expected = (torch.linalg.pinv(B[:2], rtol=1e-12) @ y[:2, :, None])[..., 0]
        torch.testing.assert_close(found[:2], expected, rtol=1e-6, atol=0)
        assert found[2].isnan().all()


def test_fourth_moment_is_that_of_the_hermite_polynomial():
    from litrepro.shallow._tensor import _fourth_moment

    X, y, values = normal(7, 4), normal(7, seed=1), torch.tensor([0.5, 2.0], dtype=f64)
    whitening = normal(4, 2, seed=2)
    S, expected = torch.diag(1 / values), torch.zeros(2, 2, 2, 2, dtype=f64)
    for x, target in zip(X, y):
        z = x @ whitening
        for index in itertools.product(range(2), repeat=4):
            term = z[list(index)].prod()
            for a, b in itertools.combinations(range(4), 2):
                c, d = (each for each in range(4) if each not in (a, b))
                # Every pair of pairs comes up twice in the sum over six: its product of S counts by halves.
                term = term - z[index[a]] * z[index[b]] * S[index[c], index[d]]
                term = term + S[index[a], index[b]] * S[index[c], index[d]] / 2
            expected[index] += target * term / 7
    torch.testing.assert_close(_fourth_moment(X, y, whitening, values), expected)


def test_another_seed_is_another_teacher():
    one, again, other = (shallow.planted_teacher(2, 5, generator=seed) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
