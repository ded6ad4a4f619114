"""Scores of regressions against scikit-learn's, and learning curves by hand."""

import numpy as np
import pytest
import torch

from litrepro import materials as lm

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(60, 3, generator=GENERATOR, dtype=torch.float64)
NOISE = 0.1 * torch.randn(60, generator=GENERATOR, dtype=torch.float64)
TARGETS = {"K": 0.3 * X[:, 0] - 0.2 * X[:, 1] + NOISE, "G": 0.2 * X[:, 2] + 2 * NOISE}
GROUPS = [i // 2 for i in range(60)]


def least_squares(x, y):
    """Linear regression with an intercept."""
    weights = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
    return lambda new: np.c_[new, np.ones(len(new))] @ weights


def mean(x, y):
    return lambda new: np.full(len(new), y.mean())


FITS = {"linear": least_squares, "mean": mean}


def test_scores_against_scikit_learn():
    model_selection = pytest.importorskip("sklearn.model_selection")
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import r2_score

    scores, first = lm.cross_validated_scores(FITS, X, TARGETS, GROUPS, deals=2, seed=3, top=10)
    assert scores.columns.tolist() == ["target", "method", "deal", "r2", "within", "top10"]
    assert len(scores) == 2 * 2 * 2
    for deal in range(2):
        folds = lm.grouped_folds(GROUPS, 5, seed=3 + deal).numpy()
        for target, y in TARGETS.items():
            split = model_selection.PredefinedSplit(folds)
            predicted = model_selection.cross_val_predict(LinearRegression(), X.numpy(), y.numpy(), cv=split)
            row = scores.query("target == @target and method == 'linear' and deal == @deal").iloc[0]
            assert row.r2 == pytest.approx(r2_score(y.numpy(), predicted), rel=1e-9)
            assert row.within == pytest.approx(np.mean(abs(10**predicted / 10 ** y.numpy() - 1) <= 0.2))
            highest = set(np.argsort(-y.numpy())[:3])
            assert row.top10 == pytest.approx(len(highest & set(np.argsort(-predicted)[:10])) / 10)
            if deal == 0:
                np.testing.assert_allclose(first[target, "linear"], predicted)
    by_method = scores.groupby("method").r2.mean()
    assert by_method["linear"] > 0.3 > 0 > by_method["mean"]


def test_learning_curve_by_hand():
    test = torch.arange(60) >= 40
    orders = [torch.randperm(40, generator=torch.Generator().manual_seed(s)) for s in range(2)]
    table = lm.learning_curve(FITS, X, TARGETS, test, [5, 40], orders)
    assert len(table) == 2 * 2 * 2 * 2
    rows = orders[1][:5]
    predicted = least_squares(X[rows].numpy(), TARGETS["G"][rows].numpy())(X[40:].numpy())
    off = np.sort(abs(predicted - TARGETS["G"][40:].numpy()))
    row = table.query("n == 5 and method == 'linear' and target == 'G' and deal == 1").iloc[0]
    assert row.error == pytest.approx(10 ** off[9] - 1)  # the lower median of twenty, as torch has it
    means = table.groupby(["method", "n"]).error.mean()
    assert means["linear", 40] < means["linear", 5]
    whole = table.query("n == 40 and method == 'linear'").groupby("target").error.nunique()
    assert (whole == 1).all() or np.allclose(table.query("n == 40").groupby(["target", "method"]).error.std(), 0)


@pytest.mark.parametrize(
    "change",
    [{"fits": {}}, {"fits": [mean]}, {"targets": {}}, {"deals": 0}, {"seed": -1}, {"top": 100},
     {"targets": {"K": X[:5, 0]}}, {"groups": [0] * 60}],
)  # fmt: skip
def test_scores_refuse(change):
    good = {"fits": FITS, "x": X, "targets": TARGETS, "groups": GROUPS, "top": 5}
    with pytest.raises(ValueError, match="must"):
        lm.cross_validated_scores(**(good | change))


@pytest.mark.parametrize(
    "change",
    [{"fits": {}}, {"targets": {"K": X[:5, 0]}}, {"sizes": []}, {"sizes": [0]}, {"sizes": [50]}, {"orders": []},
     {"orders": [torch.arange(60)]}, {"test": torch.arange(60)}, {"x": X[:9]}],
)  # fmt: skip
def test_learning_curve_refuses(change):
    good = {"fits": FITS, "x": X, "targets": TARGETS, "test": torch.arange(60) >= 40, "sizes": [5]}
    good |= {"orders": [torch.arange(40)]}
    with pytest.raises(ValueError, match="must"):
        lm.learning_curve(**(good | change))
