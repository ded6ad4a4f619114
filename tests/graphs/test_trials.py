"""Recovery experiments: one batch is the loop over its problems; tables and paired gains by hand."""

import math

import pandas as pd
import pytest
import torch

from litrepro import ConvergenceWarning, graphs


def trials(**options):
    g = torch.Generator().manual_seed(0)
    return graphs.recovery_trials(graphs.graphon("quadratic"), 8, 3, [5, 40], generator=g, **options)


def test_trials_are_connected_graphs_with_nested_samples():
    found = trials()
    L = graphs.laplacian(found.weights)
    values = torch.linalg.eigvalsh(L)
    assert found.covariances.shape == (2, 3, 8, 8)
    assert bool((values[:, 1] > 1e-9).all())
    assert torch.allclose(found.eigenvalues[:, 1:], values[:, 1:])
    assert found.eigenvalues[:, 0].eq(0).all()
    assert found.degrees[:, 0].eq(0).all()
    assert bool((found.degrees.diff(dim=-1) >= 0).all())
    assert torch.linalg.matrix_rank(found.covariances[0]).tolist() == [5, 5, 5]
    with pytest.raises(ValueError, match="too sparse"):
        graphs.recovery_trials(
            graphs.graphon("constant", prob=0.0), 8, 2, [5], generator=torch.Generator().manual_seed(0)
        )


def test_a_sweep_is_the_loop_over_its_problems():
    found, mu = trials(), graphs.spectral_prior(graphs.graphon("quadratic"), 8)
    settings = [
        {"prior": "none", "mu": mu, "gamma": 0.0, "alpha": 0.1},
        {"prior": "sibling", "mu": found.degrees, "gamma": 0.3},
    ]
    frame = graphs.spectral_sweep(found, settings, max_iter=3000, tol=1e-6)
    assert len(frame) == 2 * 2 * 3
    for _, row in frame.iterrows():
        prior = mu if row["prior"] == "none" else found.degrees[row["graph"]]
        S = found.covariances[found.sizes.index(row["n"]), row["graph"]]
        alone = graphs.spectral_graphical_lasso(
            S, prior, alpha=row["alpha"], beta=0.5, gamma=row["gamma"], max_iter=3000, tol=1e-6
        )
        truth = found.weights[row["graph"]]
        assert math.isclose(row["error"], graphs.relative_error(alone.w, truth).item(), rel_tol=1e-4)
        assert math.isclose(row["ap"], graphs.edge_average_precision(alone.w, truth).item(), abs_tol=0.02)
    classic = graphs.classic_sweep(found, [0.1, 0.3], level=10.0, tol=1e-6)
    assert len(classic) == 12
    assert set(classic.columns) == set(frame.columns)


def test_a_sweep_solves_with_the_numbers_that_it_was_given():
    found = trials()
    setting = {"prior": "own", "mu": found.degrees, "gamma": 0.1, "alpha": 0.03, "beta": 0.7}
    frame = graphs.spectral_sweep(found, [setting], max_iter=20, tol=0.0)
    with pytest.warns(ConvergenceWarning):
        alone = graphs.spectral_graphical_lasso(
            found.covariances, found.degrees, alpha=0.03, beta=0.7, gamma=0.1, max_iter=20, tol=0.0
        )
    expected = graphs.relative_error(alone.w, found.weights).flatten().tolist()
    assert frame["error"].tolist() == pytest.approx(expected, rel=1e-12)
    scale = found.covariances.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    rival = graphs.classic_graphical_lasso(found.covariances / scale + 1 / 8, 0.3, tol=1e-6)
    error = graphs.relative_error(graphs.edge_weights(rival.precision / scale), found.weights).flatten().tolist()
    table = graphs.classic_sweep(found, [0.3], level=1.0, tol=1e-6)
    assert table["error"].tolist() == pytest.approx(error, rel=1e-12)


def test_a_sweep_names_hard_thresholding_only_where_it_is():
    found = trials()
    setting = {"prior": "own", "mu": found.degrees, "gamma": 0.1}
    for edges, method in ((None, "laplacian"), (9, "iht")):
        frame = graphs.spectral_sweep(found, [setting], edges=edges, max_iter=5)
        assert frame["method"].unique().tolist() == [method]


def test_largest_keeps_exactly_as_many_as_asked():
    w = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    kept = graphs.largest(w, torch.tensor([2, 1]))
    assert (kept > 0).sum(-1).tolist() == [2, 1]
    assert kept[0, 0] == 3
    assert kept[0, 1] == 0


def test_paired_gain_by_hand():
    frame = pd.DataFrame(
        {"n": [5] * 6, "graph": [0, 1, 2] * 2, "gamma": [0.0] * 3 + [1.0] * 3, "error": [1.0, 2.0, 3.0, 0.5, 1.0, 2.7]}
    )
    row = graphs.paired_gain(frame, {"gamma": 1.0}, {"gamma": 0.0}, "error").loc[5]
    differences = [0.5, 1.0, 0.3]
    mean = sum(differences) / 3
    sd = math.sqrt(sum((d - mean) ** 2 for d in differences) / 2)
    assert math.isclose(row["gain"], mean)
    assert math.isclose(row["z"], mean / (sd / math.sqrt(3)))
    with pytest.raises(ValueError, match="no rows"):
        graphs.paired_gain(frame, {"gamma": 7.0}, {"gamma": 0.0}, "error")


def test_graphs_that_fall_apart_are_counted_and_kept_where_asked():
    W = graphs.graphon("constant", prob=0.3)
    whole, every = (
        graphs.recovery_trials(W, 6, 12, [4, 9], generator=3, connected=connected) for connected in (True, False)
    )
    parts = torch.linalg.matrix_rank(graphs.laplacian(every.weights), atol=1e-9) < 5
    assert 0 < parts.sum() == every.isolated < 12
    assert whole.isolated >= every.isolated
    torch.testing.assert_close(whole.weights[: int((~parts).sum())], every.weights[~parts])
    assert (torch.linalg.matrix_rank(graphs.laplacian(whole.weights), atol=1e-9) == 5).all()


def test_siblings_are_other_graphs_and_samples_are_nested():
    found = trials()
    own = graphs.laplacian(found.weights).diagonal(dim1=-2, dim2=-1).sort(-1).values
    assert not torch.equal(found.degrees[:, 1:], own[:, 1:])
    g = torch.Generator().manual_seed(0)
    W = graphs.graphon("quadratic")
    kept = []
    while sum(map(len, kept)) < 3:
        A = graphs.sample_graph(W, 8, batch=(3,), generator=g).adjacency
        L = torch.diag_embed(A.sum(-1)) - A
        kept.append(L[torch.linalg.eigvalsh(L)[:, 1] > 1e-9])
    sibling = graphs.sample_graph(W, 8, batch=(3,), generator=g).adjacency.sum(-1).sort(-1).values
    signals = graphs.sample_signals(torch.cat(kept)[:3], 40, generator=g)
    torch.testing.assert_close(found.degrees[:, 1:], sibling[:, 1:])
    torch.testing.assert_close(found.covariances[0], graphs.sample_covariance(signals[:, :5]))
    assert not torch.equal(found.degrees, graphs.recovery_trials(W, 8, 3, [5], generator=1).degrees)


def test_a_sweep_scores_what_it_found(monkeypatch):
    found, mu = trials(), graphs.spectral_prior(graphs.graphon("quadratic"), 8)
    settings = [{"prior": str(gamma), "mu": mu, "gamma": gamma} for gamma in (0.0, 0.1, 3.0)]
    frame = graphs.spectral_sweep(found, settings, max_iter=40)
    for setting in settings:
        with pytest.warns(ConvergenceWarning):
            alone = graphs.spectral_graphical_lasso(
                found.covariances, mu, beta=0.5, gamma=setting["gamma"], max_iter=40
            )
        edges = (found.weights > 0).sum(-1)
        f1 = graphs.support_f1(graphs.largest(alone.w, edges), found.weights)
        rows = frame[frame.prior == setting["prior"]]
        assert rows.residual.tolist() == pytest.approx(alone.residual.flatten().tolist(), rel=1e-6)
        assert rows.f1.tolist() == pytest.approx(f1.flatten().tolist())
    from litrepro.graphs import _trials

    monkeypatch.setattr(_trials, "CHUNK", 1)  # one setting per call
    parts = graphs.spectral_sweep(found, settings, max_iter=40)
    pd.testing.assert_frame_equal(parts.drop(columns="iterations"), frame.drop(columns="iterations"))
