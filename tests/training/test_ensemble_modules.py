"""Members of an ensemble whose modules are less plain: each is still the run of ``fit`` with its seed."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro import ConvergenceWarning
from litrepro.nets import mlp
from litrepro.training import fit, fit_ensemble

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
WAYS = [None, False, True]


def seeded(build):
    """``model_fn(seed=)`` of a builder that draws from the global generator."""

    def model_fn(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build()

    return model_fn


class Apply(nn.Module):
    """A layer, a function of its output, a head."""

    def __init__(self, layer, function, width):
        super().__init__()
        self.layer, self.function, self.head = layer, function, nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.function(self, x))

    def extra_repr(self):
        return repr(self.function)


class Features(nn.Module):
    """Random features, which are not saved, and a head."""

    def __init__(self):
        super().__init__()
        self.register_buffer("w", torch.randn(4, 8), persistent=False)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head((x @ self.w).relu())


class Centred(nn.Module):
    """Subtracts a running mean, which is written anew, and counts in place."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(4, 5), nn.Linear(5, 2)
        self.register_buffer("mu", torch.zeros(5))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        h = self.first(x).tanh()
        if self.training:
            self.mu = 0.9 * self.mu + 0.1 * h.detach().mean(0)
            self.count += 1
        return self.head((h - self.mu) * (1 + self.mu))


def recurrent(model, x):
    return model.layer(x[..., None])[0][:, -1]


def attention(model, x):
    sequence = x[:, None].expand(-1, 3, -1) * torch.arange(1.0, 4)[:, None]
    return model.layer(sequence, sequence, sequence, need_weights=False)[0].mean(1)


def masked(model, x):
    return functional.dropout(model.layer(x).tanh(), 0.3, model.training)


def norm(layer):
    return lambda: nn.Sequential(nn.Linear(4, 6), layer(), nn.ReLU(), nn.Linear(6, 2))


MODELS = {
    "features": Features,
    "centred": Centred,
    "functional dropout": lambda: Apply(nn.Linear(4, 4), masked, 4),
    "attention": lambda: Apply(nn.MultiheadAttention(4, 2, dropout=0.2, batch_first=True), attention, 4),
    "lstm": lambda: Apply(nn.LSTM(1, 5, 2, batch_first=True, dropout=0.5), recurrent, 5),
    "gru": lambda: Apply(nn.GRU(1, 5, batch_first=True), recurrent, 5),
    "random slopes": norm(nn.RReLU),
    "cumulative": norm(lambda: nn.BatchNorm1d(6, momentum=None)),
    "spectral": lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 6)), nn.Linear(6, 2)),
}
SETTINGS = {"epochs": 2, "batch_size": 16, "evaluate_on": {"test": (X[:9] + 0.1, Y[:9])}}


def check(build, seeds, **options):
    ensemble = fit_ensemble(build, seeds, (X, Y), **SETTINGS, **options)
    for m, seed in enumerate(seeds):
        model = build(seed=seed)
        history = fit(model, (X, Y), seed=seed, **SETTINGS)
        found = ensemble.history.query("member == @m").value
        assert found.tolist() == pytest.approx(history.value.tolist(), abs=1e-5, rel=1e-4)
        torch.testing.assert_close(ensemble(X)[m], model(X), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ensemble.member(m)(X), model(X), atol=1e-5, rtol=1e-4)
        for name, value in model.named_buffers():
            torch.testing.assert_close(ensemble.buffers[name][m], value, atol=1e-5, rtol=1e-4)
    return ensemble


@pytest.mark.parametrize("vectorize", [None, False])
@pytest.mark.parametrize("name", MODELS)
def test_members_are_single_runs(name, vectorize):
    check(seeded(MODELS[name]), [3, 1], vectorize=vectorize)


@pytest.mark.parametrize("name", ["features", "centred"])
def test_vectorized_by_order(name):
    check(seeded(MODELS[name]), [3, 1], vectorize=True)


@pytest.mark.parametrize("vectorize", WAYS)
def test_buffers_that_are_replaced_stay_with_a_stopped_member(vectorize):
    x, kept = torch.stack([X, X]), {}
    x[1, 7] = torch.inf
    with pytest.warns(ConvergenceWarning):
        fit_ensemble(
            seeded(Centred), [0, 1], (x, Y), epochs=3, batch_size=10, per_member=["x"], vectorize=vectorize,
            callback=lambda epoch, ensemble: kept.update({epoch: ensemble.buffers["mu"].clone()}),
        )  # fmt: skip
    assert torch.equal(kept[3][1].nan_to_num(), kept[1][1].nan_to_num())
    assert not torch.equal(kept[3][0], kept[1][0])


@pytest.mark.parametrize("name", ["lstm", "cumulative", "spectral"])
def test_what_vmap_cannot_run_names_the_way_out(name):
    with pytest.raises(ValueError, match="vectorize=False"):
        fit_ensemble(seeded(MODELS[name]), [0, 1], (X, Y), epochs=1, vectorize=True)


def test_a_loss_that_vmap_cannot_run_and_the_global_generator():
    def loss(outputs, y):
        scale = 1.0 if outputs.detach().abs().max().item() < 1e9 else 0.0
        return scale * functional.cross_entropy(outputs, y, reduction="none")

    build, state = lambda seed: mlp(4, [5], 2, seed=seed), torch.random.get_rng_state()
    found = fit_ensemble(build, [0, 1], (X, Y), loss=loss, **SETTINGS)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(found(X), fit_ensemble(build, [0, 1], (X, Y), **SETTINGS)(X), atol=1e-6, rtol=1e-5)


def test_a_trial_on_the_first_batch_leaves_no_traces():
    build = seeded(norm(lambda: nn.BatchNorm1d(6)))
    for vectorize in WAYS:
        counts = fit_ensemble(build, [0, 1], (X, Y), epochs=2, batch_size=16, vectorize=vectorize).buffers
        assert counts["1.num_batches_tracked"].tolist() == [6, 6]


def test_a_trial_leaves_the_state_of_a_module_alone():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.calls = nn.Linear(4, 2), 0

        def forward(self, x):
            if self.training:
                self.calls += 1
            return self.layer(x) * (1.0 if self.calls <= 2 else 0.5)

    alone = seeded(Counting)(0)
    fit(alone, (X, Y), epochs=2, batch_size=20, seed=0, lr=0.5)
    found = fit_ensemble(seeded(Counting), [0], (X, Y), epochs=2, batch_size=20, lr=0.5)
    torch.testing.assert_close(found(X)[0], alone(X))
