"""What the functions on graphs refuse before any work, and batches of no graphs."""

import math

import pandas as pd
import pytest
import torch

from litrepro import graphs as gr

EYE, MU = torch.eye(4, dtype=torch.float64), torch.arange(4, dtype=torch.float64)
W = gr.graphon("constant", prob=0.9)
TRIALS = gr.recovery_trials(W, 4, 2, [3, 20], generator=0)
SETTING = {"prior": "a", "mu": MU, "gamma": 0.1}
FRAME = pd.DataFrame({"n": 10, "graph": [0, 0, 1, 1], "gamma": [0.0, 1.0] * 2, "error": [3.0, 2.0, 4.0, 1.0]})
X = torch.rand(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
S = gr.nested_covariances([X], [10, 30])


def objective(of=gr.spectral_objective, **changed):
    at = {"w": torch.ones(6).double(), "U": EYE, "lam": MU + 1, "S": EYE, "mu": MU}
    return of(**(at | changed), alpha=0.0, beta=1.0, gamma=0.0)


def sweep(**changed):
    return gr.spectral_sweep(TRIALS, [SETTING | changed], max_iter=2)


def held_out(train=S, sizes=(10, 30), held={"test": S[1]}, settings=(SETTING,), **options):  # noqa: B006
    return gr.held_out_sweep(train, sizes, held, settings, **options)


def gain(frame=FRAME, better={"gamma": 1.0}, value="error"):  # noqa: B006
    return gr.paired_gain(frame, better, {"gamma": 0.0}, value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gr.classic_graphical_lasso(EYE.half(), 0.1),
        lambda: gr.classic_graphical_lasso(EYE, torch.tensor(0.1j)),
        lambda: gr.spectral_graphical_lasso(EYE.half(), MU.half()),
        lambda: gr.log_gdet(EYE.half()),
        lambda: gr.spectrum_distance(EYE.half(), W),
        lambda: gr.spectrum_distance(EYE, None),
        lambda: gr.contrast_loss(EYE, EYE.float()),
        lambda: gr.contrast_loss(EYE.expand(2, 4, 4), EYE.expand(3, 4, 4)),
        lambda: gr.relative_error(X[:2, :3], X[:3, :3]),
        lambda: gr.relative_error(X[:2, :3], X[:2, :3].float()),
        lambda: gr.edge_average_precision(X[:2], torch.ones(3, 4)),
        lambda: objective(U=EYE.float()),
        lambda: objective(w=torch.full((6,), math.nan).double()),
        lambda: objective(U=EYE * math.nan),
        lambda: objective(gr.kkt_residuals, w=torch.ones(6)),
        lambda: gr.sample_signals(EYE.half(), 3),
        lambda: gr.sample_signals(EYE, 3, generator="x"),
        lambda: gr.sample_graph(W, 4, batch=5),
        lambda: gr.sample_graph(W, 4, generator=2.5),
        lambda: gr.sample_graph(lambda x, y: None, 4),
        lambda: gr.sample_graph(lambda x: x, 4),
        lambda: gr.sample_graph(lambda x, y: torch.ones(3), 4),
        lambda: gr.degree_function(lambda x, y: x * 1j, MU),
        lambda: gr.graphon("blocks", boundaries="x", probs=[[0.1]]),
        lambda: gr.graphon("blocks", boundaries=torch.tensor([0.5j]), probs=[[0.1, 0.2], [0.2, 0.1]]),
        lambda: gr.graphon("blocks", boundaries=[0.5], probs=[[0.1, 0.2], [0.2]]),
        lambda: gr.common_scale(EYE, 0),
        lambda: gr.nested_covariances(5, [3]),
        lambda: gr.nested_covariances([X, X[:, :2]], [3]),
        lambda: gr.nested_covariances([X], None),
        lambda: gr.recovery_trials(W, 5, 2, 5, generator=0),
        lambda: gr.recovery_trials(W, 1, 2, [5], generator=0),
        lambda: gr.recovery_trials(W, 5, 2, [5], generator="x"),
        lambda: gr.recovery_trials(W, 5, 2, [5], generator=0, device="nowhere"),
        lambda: gr.spectral_sweep(None, [SETTING]),
        lambda: gr.spectral_sweep(TRIALS, []),
        lambda: gr.spectral_sweep(TRIALS, [-1]),
        lambda: gr.spectral_sweep(TRIALS, [{"prior": "a", "mu": MU}]),
        lambda: sweep(mu=MU[:3]),
        lambda: sweep(mu=MU.expand(3, 4)),
        lambda: sweep(gamma="x"),
        lambda: gr.classic_sweep("x", [0.1]),
        lambda: gr.classic_sweep(TRIALS, 5),
        lambda: gr.classic_sweep(TRIALS, [0.1], level="x"),
        lambda: gr.largest(None, torch.tensor(2)),
        lambda: gr.largest(X, 2),
        lambda: gr.largest(X[:2], torch.tensor([1, 2, 3])),
        lambda: held_out(train=S[0]),
        lambda: held_out(train=S.half()),
        lambda: held_out(sizes=(10,)),
        lambda: held_out(held=None),
        lambda: held_out(held={"test": S[1].float()}),
        lambda: held_out(settings=[-1]),
        lambda: held_out(settings=()),
        lambda: held_out(classic=["x"]),
        lambda: gain(frame=None),
        lambda: gain(better="x"),
        lambda: gain(better={"alpha": 0.0}),
        lambda: gain(value=3),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_a_penalty_that_is_nan_is_told_its_range(name):
    with pytest.raises(ValueError, match=f"{name} must be finite and >=? 0, got nan"):
        gr.spectral_graphical_lasso(EYE, MU, **{name: math.nan})


def test_the_objective_is_infinite_outside_its_domain():
    lam = torch.stack([MU, MU * torch.tensor([1, 1, -1, 1]), MU * torch.tensor([1, 1, 0, 1])])
    assert objective(lam=lam).isfinite().tolist() == [True, False, False]
    assert (objective(lam=lam)[1:] == math.inf).all()


def test_a_nan_score_spoils_its_member_alone():
    scores = torch.tensor([[0.9, 0.8, 0.1], [0.9, math.nan, 0.1]])
    found = gr.edge_average_precision(scores, torch.tensor([1, 0, 1]))
    assert found.isnan().tolist() == [False, True]
    assert gr.support_f1(torch.zeros(3), torch.zeros(3)).isnan()
    assert gr.relative_error(torch.zeros(3), torch.zeros(3)).isnan()


def test_batches_of_no_graphs():
    empty = EYE.expand(0, 4, 4)
    assert gr.spectral_graphical_lasso(empty, MU, inner=2, history=True).w.shape == (0, 6)
    assert gr.classic_graphical_lasso(empty, 0.1).precision.shape == (0, 4, 4)
    assert gr.contrast_loss(empty, EYE).shape == (0,)


def test_without_a_generator_the_seed_is_zero():
    assert torch.equal(gr.sample_graph(W, 8).adjacency, gr.sample_graph(W, 8, generator=0).adjacency)
    state = torch.random.get_rng_state()
    assert torch.equal(gr.sample_signals(EYE, 3), gr.sample_signals(EYE, 3, generator=0))
    assert torch.equal(state, torch.random.get_rng_state())
