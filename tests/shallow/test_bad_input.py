"""Bad input is a ValueError that says what was expected, never an error of torch."""

import sys

import pytest
import torch

from litrepro import shallow

f64 = torch.float64
Z, y = torch.ones(4, 2, 3, dtype=f64), torch.ones(4, dtype=f64)
w, a = torch.ones(3, dtype=f64), torch.ones(2, dtype=f64)
X = torch.eye(4, 3, dtype=f64)
NAN = torch.full((), torch.nan, dtype=f64)
DATA = (torch.eye(4), torch.arange(4) % 2)
MEMBER = ("he", True, 0.1, 0)


def study(train=DATA, test=DATA, members=(MEMBER,), **options):
    return shallow.depth_study(
        train, test, members, **{"depth": 2, "batch_size": 2, "classes": 2, "epochs": 0} | options
    )


def recover(sample):
    return shallow.rank_one_recovery(sample, 3, 1, iterations=1)


def learn(samples=(20,), conditions=(1.0,), **options):
    return shallow.learnability_map(samples, conditions, neurons=2, d=3, trials=1, iterations=1, **options)


def filters(**changed):
    return shallow.patch_descent(**{"Z": Z, "y": y, "w0": w, "a0": a, "step": 0.1, "iterations": 1} | changed)


BAD = {
    "train": lambda: study(train=None),
    "train no tensor": lambda: study(train=([[1.0]], DATA[1])),
    "train integers": lambda: study(train=(DATA[0].long(), DATA[1])),
    "train empty": lambda: study(train=(DATA[0][:0], DATA[1][:0])),
    "train too few labels": lambda: study(train=(DATA[0], DATA[1][:-1])),
    "train float labels": lambda: study(train=(DATA[0], DATA[1].float())),
    "train labels": lambda: study(classes=1),
    "test negative labels": lambda: study(test=(DATA[0], DATA[1] - 1)),
    "test dtype": lambda: study(test=(DATA[0].double(), DATA[1])),
    "test dimension": lambda: study(test=(DATA[0][:, :3], DATA[1])),
    "test batch": lambda: study(test=(DATA[0].expand(2, 4, 4), DATA[1])),
    "members": lambda: study(members=3),
    "member": lambda: study(members=[("he", True)]),
    "member's residual": lambda: study(members=[("he", None, 0.1, 0)]),
    "member's rate": lambda: study(members=[("he", True, "fast", 0)]),
    "member's seed": lambda: study(members=[("he", True, 0.1, 0.5)]),
    "width": lambda: study(width=0),
    "classes": lambda: study(classes=None),
    "moments batch": lambda: shallow.cross_patch_moments(Z[None], w, w),
    "moments none": lambda: shallow.cross_patch_moments(Z[:0], w, w),
    "moments nan": lambda: shallow.cross_patch_moments(Z * NAN, w, w),
    "moments dtypes": lambda: shallow.cross_patch_moments(Z, w.float(), w),
    "moments half": lambda: shallow.cross_patch_moments(Z.half(), w.half(), w.half()),
    "moments teacher": lambda: shallow.cross_patch_moments(Z, w, w.tolist()),
    "convotron": lambda: shallow.convotron(Z.float(), y, step=0.1),
    "filters Z": lambda: filters(Z=Z.float()),
    "filters w0": lambda: filters(w0=w.float()),
    "filters a0": lambda: filters(a0=a.half()),
    "tensor X": lambda: shallow.tensor_initialization(X * NAN, y, 2),
    "tensor y": lambda: shallow.tensor_initialization(X, y / 0, 2),
    "sample": lambda: recover(3),
    "sample's value": lambda: recover(lambda t: None),
    "sample's dtype": lambda: recover(lambda t: (X.half(), y.half())),
    "batch": lambda: shallow.planted_teacher(2, 3, batch=3),
    "sample's other dtype": lambda: shallow.rank_one_recovery(
        lambda t: (X, y) if t == 0 else (X.float(), y.float()), 3, 1, iterations=2
    ),
    "tensor zero": lambda: shallow.tensor_initialization(X, 0 * y, 2),
    "project": lambda: shallow.relu_projected_gradient(X, y, "l1", iterations=1),
    "project's value": lambda: shallow.relu_projected_gradient(X, y, lambda w: None, iterations=1),
    "kernel half": lambda: shallow.relu_kernel(X.half(), X.half()),
    "population loss half": lambda: shallow.population_loss(X.half(), X.half()),
    "population gradient half": lambda: shallow.population_gradient(X.bfloat16(), X.bfloat16()),
    "population descent half": lambda: shallow.population_descent(X.half(), X.half(), step=0.1, iterations=0),
    "teacher's dtype": lambda: shallow.planted_teacher(2, 3, dtype="float64"),
    "teacher of integers": lambda: shallow.planted_teacher(2, 3, dtype=torch.int64),
    "batch negative": lambda: shallow.planted_teacher(2, 3, batch=(-1,)),
    "map samples": lambda: learn(samples=20),
    "map conditions": lambda: learn(conditions=None),
    "map tolerance": lambda: learn(tolerance=torch.ones(2)),
    "complex step": lambda: shallow.relu_projected_gradient(
        X, y, iterations=1, step=torch.ones(1, dtype=torch.complex64)
    ),
    "eigenvalues": lambda: shallow.keep_largest_eigenvalues(torch.eye(2).half(), 1),
    "gram batches": lambda: shallow.relu_gram(torch.ones(2, 5, 3), torch.ones(3, 4, 3)),
    "training nan": lambda: shallow.train_relu_output(X, y * NAN, X, y, lr=0.1, momentum=0.0, steps=1),
    "training inf": lambda: shallow.train_relu_output(X / 0, y, X, y, lr=0.1, momentum=0.0, steps=1),
    "gram": lambda: shallow.relu_gram_expected(X.half()),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD.keys())
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()


def test_messages_name_the_shape():
    with pytest.raises(ValueError, match=r"at least 2 dimension\(s\), got shape \(6,\)"):
        shallow.extract_patches(torch.arange(6), (2, 2), (1, 1))


def test_many_neurons_are_matched_by_scipy_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    W = torch.eye(13)
    with pytest.raises(ImportError, match="more than 12 neurons needs scipy"):
        shallow.permutation_distance(W, W)
    assert shallow.permutation_distance(W[:12], W[:12]) == 0
