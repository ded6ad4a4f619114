"""Agreement of gradients and errors by class, against scipy and plain loops."""

import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from litrepro.coresets import Coreset, class_gradient_errors, gradient_agreement, gradient_error, select

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("every", [1, 3])
def test_agreement_is_spearmans(every):
    g = normal(20, 6) * torch.logspace(-1, 1, 20, dtype=F64)[:, None]
    found = gradient_agreement(g, g[:, :2], every=every)
    norms = spearmanr(g.norm(dim=1), g[:, :2].norm(dim=1)).statistic
    distances = spearmanr(pdist(g[::every].numpy()), pdist(g[::every, :2].numpy())).statistic
    assert found.norms == pytest.approx(norms)
    assert found.distances == pytest.approx(distances)
    assert found.share == pytest.approx(float((g[:, :2] ** 2).sum() / (g**2).sum()))
    assert found.share < 1
    assert found.norms < 1


def test_part_need_not_be_columns():
    g = normal(9, 4)
    turned = torch.linalg.qr(normal(4, 4, seed=1))[0]
    assert gradient_agreement(g, g @ turned) == pytest.approx((1.0, 1.0, 1.0))


def test_errors_by_class_are_those_of_the_classes_alone():
    g, labels = normal(30, 5), torch.arange(30) % 3 * 2
    coreset = select(g, labels, 9, method="grad-match")
    found = class_gradient_errors(g, labels, coreset)
    for error, c in zip(found, (0, 2, 4), strict=True):
        inside = labels[coreset.indices] == c
        total = sum(w * g[i] for i, w in zip(coreset.indices[inside], coreset.weights[inside]))
        target = g[labels == c].sum(0)
        assert error.item() == pytest.approx(((total - target).norm() / target.norm()).item())
    only = class_gradient_errors(g, torch.zeros(30, dtype=torch.int64), coreset)
    assert only.item() == pytest.approx((gradient_error(g, coreset) / g.sum(0).norm()).item())


def test_a_class_without_examples_is_off_by_all():
    g, labels = normal(6, 3), torch.tensor([0, 0, 0, 1, 1, 1])
    assert class_gradient_errors(g, labels, Coreset(torch.arange(3), torch.ones(3))).tolist()[1] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (normal(4, 2), normal(5, 2)),
        (normal(2, 4, 2), normal(2, 4, 2)),
        (normal(2, 2), normal(2, 2)),
        (torch.zeros(4, 2), normal(4, 2)),
        (normal(4, 2), normal(4, 2) * torch.nan),
        ([[1.0]], normal(4, 2)),
    ],
)
def test_gradients_that_do_not_fit(arguments):
    with pytest.raises(ValueError, match=r"must|need"):
        gradient_agreement(*arguments)


@pytest.mark.parametrize("every", [0, 2, 1.5])
def test_too_few_for_distances(every):
    with pytest.raises(ValueError, match="every"):
        gradient_agreement(normal(4, 2), normal(4, 2), every=every)


@pytest.mark.parametrize(
    ("gradients", "labels", "coreset"),
    [
        (normal(2, 4, 2), torch.zeros(4, dtype=torch.int64), Coreset(torch.tensor([0]), torch.ones(1))),
        (normal(4, 2), torch.zeros(3, dtype=torch.int64), Coreset(torch.tensor([0]), torch.ones(1))),
        (normal(4, 2), torch.zeros(4), Coreset(torch.tensor([0]), torch.ones(1))),
        (normal(4, 2), [0, 0, 0, 0], Coreset(torch.tensor([0]), torch.ones(1))),
        (normal(4, 2), torch.zeros(4, dtype=torch.int64), Coreset(torch.tensor([4]), torch.ones(1))),
        (normal(4, 2), torch.zeros(4, dtype=torch.int64), None),
        (torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), Coreset(torch.tensor([0]), torch.ones(1))),
    ],
)
def test_errors_by_class_of_what_is_none(gradients, labels, coreset):
    with pytest.raises(ValueError, match=r"must|sum to 0"):
        class_gradient_errors(gradients, labels, coreset)
