"""Graphons against closed forms; sampling against its probabilities; signals against their covariance."""

import math

import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics import average_precision_score, f1_score

from litrepro import graphs

F64 = torch.float64
BLOCKS = {"boundaries": [0.3, 0.6], "probs": [[0.8, 0.1, 0.2], [0.1, 0.5, 0.0], [0.2, 0.0, 1.0]]}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def grid(n=11):
    return torch.linspace(0, 1, n, dtype=F64)


def test_graphons_are_their_formulas():
    x, y = grid()[:, None], grid()[None]
    assert torch.allclose(graphs.graphon("quadratic")(x, y), (x**2 + y**2) / 2)
    assert torch.allclose(graphs.graphon("band", phi=3.0)(x, y), torch.exp(-3 * (x - y) ** 2))
    assert torch.equal(graphs.graphon("constant", prob=0.25)(x, y), torch.full((11, 11), 0.25, dtype=F64))
    assert graphs.graphon("quadratic")(1.0, 1.0) == 1.0


def test_blocks_contain_their_left_end():
    W = graphs.graphon("blocks", **BLOCKS)
    x = torch.tensor([0.0, 0.29, 0.3, 0.59, 0.6, 1.0], dtype=F64)
    block = torch.tensor([0, 0, 1, 1, 2, 2])
    table = torch.tensor(BLOCKS["probs"], dtype=F64)
    assert torch.equal(W(x[:, None], x[None]), table[block][:, block])


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_positions_may_be_integers(dtype):
    x, y = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])
    for kind, params in (("constant", {"prob": 0.25}), ("blocks", BLOCKS), ("quadratic", {}), ("band", {"phi": 2.0})):
        W = graphs.graphon(kind, **params)
        assert torch.equal(W(x.to(dtype), y.to(dtype)), W(x.double(), y.double()))


def test_degree_functions_are_integrals():
    x = grid().reshape(1, 11)
    closed = {
        "quadratic": x**2 / 2 + 1 / 6,
        "constant": torch.full_like(x, 0.25),
        "band": math.sqrt(math.pi / 12) * (torch.erf(math.sqrt(3) * x) + torch.erf(math.sqrt(3) * (1 - x))),
    }
    params = {"quadratic": {}, "constant": {"prob": 0.25}, "band": {"phi": 3.0}}
    for kind, expected in closed.items():
        degree = graphs.degree_function(graphs.graphon(kind, **params[kind]), x)
        assert degree.shape == x.shape
        assert torch.allclose(degree, expected, atol=1e-6)
    blocks = graphs.degree_function(graphs.graphon("blocks", **BLOCKS), x, nodes=1000)
    lengths = torch.tensor([0.3, 0.3, 0.4], dtype=F64)
    assert torch.allclose(blocks[0, 0], (torch.tensor(BLOCKS["probs"], dtype=F64) @ lengths)[0])
    assert torch.allclose(graphs.degree_function(lambda x, y: 0.5, x), torch.full_like(x, 0.5))


def test_many_points_go_in_parts():
    x = torch.rand(5000, generator=seeded(), dtype=F64)
    W = graphs.graphon("quadratic")
    whole = graphs.degree_function(W, x, nodes=2048)
    assert torch.allclose(whole, x**2 / 2 + 1 / 6, atol=1e-6)


def test_prior_is_the_scaled_sorted_degree_function():
    mu = graphs.spectral_prior(graphs.graphon("quadratic"), 30)
    x = (torch.arange(30, dtype=F64) + 0.5) / 30
    expected = 30 * (x**2 / 2 + 1 / 6)
    assert mu[0] == 0
    assert torch.allclose(mu[1:], expected[1:], atol=1e-5)
    falling = graphs.spectral_prior(lambda x, y: 1 - (x**2 + y**2) / 2, 10)
    assert bool((falling.diff() >= 0).all())


def test_samples_are_simple_graphs_with_the_right_density():
    sample = graphs.sample_graph(graphs.graphon("quadratic"), 40, batch=(25, 2), generator=seeded(3))
    A = sample.adjacency
    assert A.shape == (25, 2, 40, 40)
    assert sample.latents.shape == (25, 2, 40)
    assert A.dtype == F64
    assert torch.equal(A, A.mT)
    assert bool(((A == 0) | (A == 1)).all())
    assert A.diagonal(dim1=-2, dim2=-1).eq(0).all()
    density = A.sum((-1, -2)) / (40 * 39)
    assert abs(density.mean().item() - 1 / 3) < 4 * density.std().item() / math.sqrt(50)


def test_given_positions_decide_the_edges():
    latents = torch.tensor([[0.1, 0.2, 0.5, 0.7], [0.9, 0.4, 0.1, 0.6]], dtype=F64)
    W = graphs.graphon("blocks", boundaries=[0.5], probs=[[1.0, 0.0], [0.0, 1.0]])
    sample = graphs.sample_graph(W, 4, latents=latents, generator=seeded())
    side = latents >= 0.5
    expected = (side[..., :, None] == side[..., None, :]).to(F64) - torch.eye(4, dtype=F64)
    assert torch.equal(sample.adjacency, expected)
    assert torch.equal(sample.latents, latents)
    again = graphs.sample_graph(W, 4, batch=(2,), latents=latents)
    assert torch.equal(again.adjacency, expected)


def test_shared_positions_are_those_of_every_graph():
    latents = torch.tensor([0.1, 0.9, 0.4, 0.6, 0.2], dtype=F64)
    W = graphs.graphon("blocks", boundaries=[0.5], probs=[[0.5, 0.4], [0.4, 0.6]])
    shared = graphs.sample_graph(W, 5, batch=(3,), latents=latents)
    assert torch.equal(shared.latents, latents.repeat(3, 1))
    assert torch.equal(shared.adjacency, graphs.sample_graph(W, 5, latents=latents.repeat(3, 1)).adjacency)
    assert (shared.adjacency != shared.adjacency[0]).any()
    pair = latents.repeat(2, 1, 1)  # (2, 1, 5)
    assert graphs.sample_graph(W, 5, batch=(2, 3), latents=pair).adjacency.shape == (2, 3, 5, 5)


def test_edge_frequencies_are_the_graphon():
    latents = torch.tensor([0.2, 0.6, 0.9], dtype=F64).expand(4000, 3)
    W = graphs.graphon("quadratic")
    mean = graphs.sample_graph(W, 3, latents=latents, generator=seeded(1)).adjacency.mean(0)
    expected = W(latents[0][:, None], latents[0][None]).fill_diagonal_(0)
    assert (mean - expected).abs().max() < 4 * 0.5 / math.sqrt(4000)


def test_spectrum_distance_of_a_complete_graph():
    # Eigenvalues 0 and p (p - 1 times) against the constant degree function 1: only the first cell is off, by 1.
    A = torch.ones(2, 8, 8, dtype=F64) - torch.eye(8, dtype=F64)
    distance = graphs.spectrum_distance(A, graphs.graphon("constant", prob=1.0))
    assert torch.allclose(distance, torch.full((2,), math.sqrt(1 / 8), dtype=F64))


def test_spectrum_distance_is_an_integral():
    A = graphs.sample_graph(graphs.graphon("quadratic"), 12, generator=seeded(2)).adjacency
    values = torch.linalg.eigvalsh(torch.diag(A.sum(-1)) - A) / 12
    x = (torch.arange(120_000, dtype=F64) + 0.5) / 120_000
    exact = (values.repeat_interleave(10_000) - x**2 / 2 - 1 / 6).square().mean().sqrt()
    assert abs(graphs.spectrum_distance(A, graphs.graphon("quadratic"), cells=64) - exact) < 1e-4


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_an_adjacency_may_be_of_integers(dtype):
    W = graphs.graphon("quadratic")
    A = graphs.sample_graph(W, 9, batch=(2,)).adjacency
    assert torch.equal(graphs.spectrum_distance(A.to(dtype), W), graphs.spectrum_distance(A, W))


def test_signals_in_single_precision_have_no_level():
    L = graphs.laplacian((torch.randn(435, generator=seeded(), dtype=F64) > 1).to(F64) + 0.001)
    X = graphs.sample_signals(L.float(), 200, generator=seeded(1))
    noise = torch.randn(200, 30, generator=seeded(1))
    expected = noise.double() @ torch.from_numpy(sqrtm(torch.linalg.pinv(L).numpy()).real)
    assert X.dtype == torch.float32
    assert (X - expected).abs().max() < 1e-4 * expected.abs().max()


def test_signals_have_the_pseudoinverse_as_covariance():
    w = torch.tensor([1.0, 0.5, 0.0, 2.0, 0.0, 0.0], dtype=F64)  # node 3 (0-based) is alone
    L = graphs.laplacian(torch.stack([w, w.flip(0)]))
    X = graphs.sample_signals(L, 20_000, generator=seeded(5))
    assert X.shape == (2, 20_000, 4)
    S = graphs.sample_covariance(X)
    expected = torch.linalg.pinv(L)
    assert (S - expected).abs().max() < 6 * expected.abs().max() * math.sqrt(2 / 20_000)
    assert X.sum(-1).abs().max() < 1e-9
    assert X[0, :, 3].abs().max() < 1e-9
    assert torch.equal(graphs.sample_covariance(X[0, :2]), X[0, :2].T @ X[0, :2] / 2)


def test_signals_do_not_depend_on_the_basis_of_an_eigenspace():
    """Of a complete graph any basis is one of eigenvectors, and which of them is found differs between machines."""
    p, g = 6, seeded(3)
    L = graphs.laplacian(torch.ones(p * (p - 1) // 2, dtype=F64))
    noise = torch.randn(9, p, generator=seeded(3), dtype=F64)
    X = graphs.sample_signals(L, 9, generator=g)
    assert torch.allclose(X, (noise - noise.mean(-1, keepdim=True)) / math.sqrt(p))  # L = p (I - 11'/p)


def test_signals_record_no_gradients():
    L = graphs.laplacian(torch.ones(6, dtype=F64))
    X = graphs.sample_signals(L.clone().requires_grad_(), 3)
    assert not X.requires_grad
    assert torch.equal(X, graphs.sample_signals(L, 3))


def test_average_precision_is_that_of_scikit_learn():
    g = seeded(7)
    scores = torch.rand(6, 40, generator=g, dtype=F64).round(decimals=1)  # many ties
    scores[3] = 0.0
    support = torch.rand(6, 40, generator=g) < 0.3
    ours = graphs.edge_average_precision(scores, support)
    theirs = [average_precision_score(t.numpy(), s.numpy()) for s, t in zip(scores, support)]
    assert torch.allclose(ours, torch.tensor(theirs, dtype=F64))
    chosen = torch.where(scores > 0.5, scores, 0.0)
    f1 = [f1_score(t.numpy(), s.numpy() > 0, zero_division=0.0) for s, t in zip(chosen, support)]
    assert torch.allclose(graphs.support_f1(chosen, support), torch.tensor(f1, dtype=F64))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: graphs.graphon("ring"), "kind must be one of"),
        (lambda: graphs.graphon("constant"), "takes prob"),
        (lambda: graphs.graphon("quadratic", prob=0.1), "takes no parameters"),
        (lambda: graphs.graphon("constant", prob=1.5), "prob must be"),
        (lambda: graphs.graphon("band", phi=-1), "phi must be"),
        (lambda: graphs.graphon("blocks", boundaries=[0.5], probs=[[0.1, 0.2], [0.3, 0.1]]), "symmetric"),
        (lambda: graphs.graphon("blocks", boundaries=[0.5], probs=[[0.1, 1.2], [1.2, 0.1]]), "symmetric with entries"),
        (lambda: graphs.graphon("blocks", boundaries=[0.5], probs=[[0.1]]), "2 x 2"),
        (lambda: graphs.graphon("blocks", boundaries=[0.7, 0.5], probs=[[0.1] * 3] * 3), "increase strictly"),
        (lambda: graphs.sample_graph(lambda x, y: x + y + 1, 4), r"values in \[0, 1\]"),
        (lambda: graphs.sample_graph(lambda x, y: x + 0 * y, 4), "W must be symmetric"),
        (lambda: graphs.sample_graph("quadratic", 4), "callable"),
        (lambda: graphs.sample_graph(graphs.graphon("quadratic"), 4, latents=torch.rand(3)), "latents must have shape"),
        (lambda: graphs.sample_graph(graphs.graphon("quadratic"), 4, latents=torch.rand(1)), "latents must have shape"),
        (lambda: graphs.sample_graph(lambda x, y: x * y, 2, batch=(2,), latents=torch.rand(3, 2)), "broadcast to it"),
        (
            lambda: graphs.sample_graph(lambda x, y: x * y, 2, batch=(3,), latents=torch.rand(2, 3, 2)),
            "broadcast to it",
        ),
        (lambda: graphs.sample_graph(graphs.graphon("quadratic"), 2, latents=torch.tensor([0.5, 2.0])), "lie in"),
        (lambda: graphs.spectrum_distance(torch.ones(2, 3), graphs.graphon("quadratic")), "square"),
        (lambda: graphs.sample_signals(torch.eye(3), 0), "n must be"),
        (lambda: graphs.sample_signals(-torch.eye(3), 2), "semidefinite, got an eigenvalue of -1"),
        (lambda: graphs.sample_signals(graphs.laplacian(torch.tensor([[1.0, 1, 1], [1, 1, -1]])), 2), "semidefinite"),
        (lambda: graphs.sample_covariance(torch.ones(3)), "dimension"),
        (lambda: graphs.edge_average_precision(torch.ones(3), torch.ones(4)), "support must be"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_another_seed_is_another_draw():
    W, L = graphs.graphon("quadratic"), graphs.laplacian(torch.ones(6, dtype=F64))
    for draw in (
        lambda g: graphs.sample_graph(W, 9, generator=g).latents,
        lambda g: graphs.sample_signals(L, 3, generator=g),
    ):
        assert torch.equal(draw(4), draw(seeded(4)))
        assert not torch.equal(draw(4), draw(5))
