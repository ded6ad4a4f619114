"""Held-out likelihood against Gaussian densities; scales, nested samples, the sweep by hand; the table of nuclei."""

import math

import pytest
import torch

from litrepro import ConvergenceWarning, data, graphs

F64 = torch.float64


def random_precision(*shape, seed=0):
    A = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return A @ A.mT + 0.5 * torch.eye(shape[-1], dtype=F64)


def test_contrast_loss_is_a_gaussian_likelihood_of_differences():
    p = 5
    theta, S = random_precision(3, p, p), random_precision(3, p, p, seed=1)
    # Differences to the last variable are contrasts too; another basis only adds a constant log determinant.
    D = torch.cat([torch.eye(p - 1, dtype=F64), -torch.ones(p - 1, 1, dtype=F64)], -1)
    covariance = D @ torch.linalg.inv(theta) @ D.T
    expected = (torch.linalg.inv(covariance) * (D @ S @ D.T)).sum((-1, -2)) + torch.logdet(covariance)
    expected = expected - torch.logdet(D @ D.T)
    assert torch.allclose(graphs.contrast_loss(theta, S), expected, atol=1e-9)


def test_contrast_loss_of_a_laplacian():
    w = torch.rand(2, 10, generator=torch.Generator().manual_seed(2), dtype=F64) + 0.1
    L, S = graphs.laplacian(w), random_precision(5, 5, seed=3)
    expected = (L * S).sum((-1, -2)) - graphs.log_gdet(L)
    assert torch.allclose(graphs.contrast_loss(L, S), expected, atol=1e-9)
    split = torch.zeros(10, dtype=F64)
    split[0] = 1.0
    assert graphs.contrast_loss(graphs.laplacian(split), S) == torch.inf


def test_contrast_loss_of_a_disconnected_graph_in_single_precision():
    weights = torch.tensor([0.1, 0, 0, 0, 0, 0, 0, 0.7, 0.3, 0.9])  # 0 - 1 and a triangle
    L, S = graphs.laplacian(weights), torch.eye(5)
    assert graphs.contrast_loss(L, S) == torch.inf
    joined = graphs.laplacian(weights + 0.1)
    expected = joined.trace() - torch.logdet(joined.double() + 0.2)
    assert torch.isclose(graphs.contrast_loss(joined, S), expected.float())


def test_common_scale_gives_the_complete_graph_its_weight():
    S = random_precision(4, 6, 6)
    c = graphs.common_scale(S, 0.25)
    best = 5 / graphs.laplacian_adjoint(S * c[:, None, None]).sum(-1)
    assert torch.allclose(best, torch.full((4,), 0.25, dtype=F64))


def test_nested_covariances():
    groups = [torch.randn(9, 3, generator=torch.Generator().manual_seed(k), dtype=F64) for k in range(2)]
    S = graphs.nested_covariances(groups, [2, 5])
    assert torch.allclose(S[1, 0], groups[0][:5].T @ groups[0][:5] / 5)
    assert S.shape == (2, 2, 3, 3)
    with pytest.raises(ValueError, match="every group needs 10 samples, the smallest has 9"):
        graphs.nested_covariances(groups, [10])


def test_held_out_sweep_by_hand():
    groups = [torch.randn(30, 5, generator=torch.Generator().manual_seed(k), dtype=F64) for k in range(2)]
    S = graphs.nested_covariances(groups, [10, 20])
    test = graphs.nested_covariances(groups, [30])[0]
    mu = torch.linspace(0, 5, 5, dtype=F64).repeat(2, 1)
    settings = [{"prior": "b", "mu": mu[0], "alpha": 0.3}, {"prior": "a", "mu": mu, "gamma": 0.2}]  # one batch
    frame = graphs.held_out_sweep(S, [10, 20], {"test": test}, settings, classic=[0.1], max_iter=3000, tol=1e-6)
    assert len(frame) == 12
    assert frame[frame.prior == "b"][["alpha", "gamma", "beta"]].drop_duplicates().values.tolist() == [[0.3, 0.0, 0.5]]
    other = graphs.spectral_graphical_lasso(S[0, 1], mu[0], alpha=0.3, beta=0.5, max_iter=3000, tol=1e-6)
    seen = frame[(frame.prior == "b") & (frame.n == 10) & (frame.trial == 1)]["test"].item()
    assert math.isclose(seen, graphs.contrast_loss(graphs.laplacian(other.w), test[1]).item(), rel_tol=1e-5)
    row = frame[(frame.n == 20) & (frame.trial == 1) & (frame.prior != "b")].set_index("method")
    ours = graphs.spectral_graphical_lasso(S[1, 1], mu[1], gamma=0.2, beta=0.5, max_iter=3000, tol=1e-6)
    expected = graphs.contrast_loss(graphs.laplacian(ours.w), test[1]).item()
    assert math.isclose(row.loc["laplacian", "test"], expected, rel_tol=1e-5)
    scale = S[1, 1].diagonal().mean()
    theta = graphs.classic_graphical_lasso(S[1, 1] / scale + 2.0, 0.1, tol=1e-4).precision / scale
    assert math.isclose(row.loc["classic", "test"], graphs.contrast_loss(theta, test[1]).item(), rel_tol=1e-4)


def test_held_out_sweep_names_the_method_that_keeps_few_edges():
    S = torch.eye(4, dtype=F64).expand(1, 1, 4, 4)
    frame = graphs.held_out_sweep(S, [9], {"test": S[0]}, [{"mu": torch.arange(4.0)}], edges=3, max_iter=5)
    assert frame.method.tolist() == ["iht"]


def test_held_out_sweep_solves_with_the_numbers_that_it_was_given():
    groups = [torch.randn(30, 5, generator=torch.Generator().manual_seed(k), dtype=F64) for k in range(2)]
    S, mu = graphs.nested_covariances(groups, [10, 20]), torch.linspace(0, 5, 5, dtype=F64)
    numbers = {"alpha": 0.03, "beta": 7.1, "gamma": 2.3}
    frame = graphs.held_out_sweep(S, [10, 20], {"train": S[1]}, [{"mu": mu, **numbers}], max_iter=3000)
    alone = graphs.spectral_graphical_lasso(S, mu, **numbers, max_iter=3000)
    expected = graphs.contrast_loss(graphs.laplacian(alone.w), S[1]).flatten().tolist()
    assert all(map(math.isfinite, expected))
    assert frame["train"].tolist() == pytest.approx(expected, rel=1e-12)


def test_table_of_nuclei():
    x, y = table = data.breast_cancer()
    assert x.shape == (569, 30)
    assert x.dtype == torch.float32
    assert torch.bincount(y).tolist() == [212, 357]
    assert table.classes == ("malignant", "benign")
    assert table.feature_names[0] == "mean radius"
    assert x[y == 0, 0].mean() > x[y == 1, 0].mean()  # malignant nuclei are larger


def test_bad_input():
    with pytest.raises(ValueError, match="one size"):
        graphs.contrast_loss(torch.eye(3, dtype=F64), torch.eye(4, dtype=F64))
    with pytest.raises(ValueError, match="symmetric"):
        graphs.contrast_loss(torch.ones(3, 3).triu(), torch.eye(3))


def test_the_table_names_penalties_and_residuals():
    groups = [torch.randn(30, 5, generator=torch.Generator().manual_seed(k), dtype=F64) for k in range(2)]
    S, mu = graphs.nested_covariances(groups, [10, 20]), torch.linspace(0, 5, 5, dtype=F64)
    frame = graphs.held_out_sweep(S, [10, 20], {"own": S[1]}, [{"mu": mu}], classic=[0.1, 0.4], max_iter=30)
    classic = frame[frame.method == "classic"]
    assert classic.alpha.tolist() == [0.1] * 4 + [0.4] * 4
    assert (classic.residual <= 1e-4).all()
    with pytest.warns(ConvergenceWarning):
        alone = graphs.spectral_graphical_lasso(S, mu, beta=0.5, max_iter=30)
    rows = frame[frame.method == "laplacian"]
    assert rows.residual.tolist() == pytest.approx(alone.residual.flatten().tolist(), rel=1e-6)


def test_float32_keeps_small_eigenvalues_that_are_none_of_rounding():
    P = torch.stack([torch.eye(4), torch.diag(torch.tensor([1.0, 1.0, 1.0, 1e-6]))])
    expected = graphs.contrast_loss(P.double(), torch.eye(4).double())
    assert graphs.contrast_loss(P, torch.eye(4)).tolist() == pytest.approx(expected.tolist(), rel=1e-3)
    path = torch.diag(torch.ones(399), 1)
    L = torch.diag((path + path.mT).sum(-1)) - path - path.mT
    assert graphs.log_gdet(L).item() == pytest.approx(math.log(400), rel=0.02)  # by the matrix-tree theorem
