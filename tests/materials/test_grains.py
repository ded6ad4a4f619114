"""Microstructures and their growth against brute force and the laws that they must obey."""

import math

import numpy as np
import pytest
import torch

from litrepro import ConvergenceWarning
from litrepro import materials as lm


def random_labels(b=2, n=12, grains=5, seed=0):
    return torch.randint(0, grains, (b, n, n), generator=torch.Generator().manual_seed(seed))


def circle(n, r):
    axis = torch.arange(n) - n // 2
    return ((axis[:, None] ** 2 + axis[None] ** 2) < r**2).long()[None]


@pytest.mark.parametrize("periodic", [True, False])
def test_voronoi_against_brute_force(periodic):
    n, grains, batch = 11, 7, 3
    labels = lm.voronoi_labels(n, grains, batch, seed=4, periodic=periodic)
    assert labels.dtype == torch.int64
    seeds = n * torch.rand(batch, grains, 2, generator=torch.Generator().manual_seed(4))
    for b in range(batch):
        for i in range(n):
            for j in range(n):
                gap = (torch.tensor([float(i), float(j)]) - seeds[b]).abs()
                gap = torch.minimum(gap, n - gap) if periodic else gap
                assert labels[b, i, j] == gap.square().sum(-1).argmin()
    assert not torch.equal(labels[0], labels[1])
    assert torch.equal(labels, lm.voronoi_labels(n, grains, batch, seed=4, periodic=periodic))
    assert torch.equal(lm.voronoi_labels(n, grains, batch, seeds=seeds, periodic=periodic), labels)


def test_clustered_seeds():
    seeds = lm.clustered_seeds(40, 50, 3, generator=1)
    assert seeds.shape == (3, 50, 2)
    assert (seeds >= 0).all()
    assert (seeds < 40).all()
    areas = lm.grain_areas(lm.voronoi_labels(40, 50, 3, seeds=seeds), 50).double()
    uniform = lm.grain_areas(lm.voronoi_labels(40, 50, 3), 50).double()
    assert (areas.std(1) / areas.mean(1)).min() > 1.3 * (uniform.std(1) / uniform.mean(1)).max()


def test_measures_against_loops():
    labels = random_labels()
    n = labels.shape[-1]
    for image, energy, count, mask in zip(
        labels, lm.boundary_energy(labels), lm.grain_count(labels), lm.boundaries(labels)
    ):
        pairs, edge = 0, torch.zeros(n, n, dtype=torch.bool)
        for i in range(n):
            for j in range(n):
                around = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
                pairs += sum(int(image[i, j] != image[(i + a) % n, (j + b) % n]) for a, b in around)
                edge[i, j] = any(
                    image[i, j] != image[(i + a) % n, (j + b) % n] for a, b in around if abs(a) + abs(b) == 1
                )
        assert int(energy) * 2 == pairs
        assert int(count) == len(image.unique())
        assert torch.equal(mask, edge)
    assert lm.boundary_energy(labels[0]).shape == ()
    torch.testing.assert_close(lm.mean_grain_area(labels), n * n / lm.grain_count(labels))
    areas = lm.grain_areas(labels, 5)
    assert areas.sum(1).tolist() == [n * n] * 2
    assert int(areas[1, 3]) == int((labels[1] == 3).sum())


def test_sides_of_bricks():
    rows = torch.arange(12) // 3
    brick = rows[:, None] * 3 + ((torch.arange(12)[None] + 2 * (rows[:, None] % 2)) % 12) // 4
    sides = lm.grain_sides(brick[None], 12)
    assert sides.tolist() == [[6] * 12]
    with pytest.raises(ValueError, match=r"0 \.\. 3"):
        lm.grain_sides(brick[None], 4)


def site_by_site(labels, site, choice):
    """Energy change of giving one site the label of one of its neighbours."""
    changed = labels.clone()
    n = labels.shape[-1]
    changed[0, site[0], site[1]] = labels[0, (site[0] + choice[0]) % n, (site[1] + choice[1]) % n]
    return changed, int(lm.boundary_energy(changed)[0] - lm.boundary_energy(labels)[0])


def test_one_potts_sweep_against_loop(monkeypatch):
    """Replay the sweep site by site with the same draws: proposals, energies and acceptance must agree."""
    around = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    temperature, labels = 0.7, random_labels(1, 8, 4, seed=3)
    g = torch.Generator().manual_seed(9)
    state = labels.clone()
    for p in (0, 1):
        for q in (0, 1):
            choice = torch.randint(8, (1, 4, 4), generator=g)
            draw = torch.rand(1, 4, 4, generator=g)
            before = state.clone()
            for i in range(4):
                for j in range(4):
                    site = (2 * i + p, 2 * j + q)
                    changed, energy = site_by_site(before, site, around[int(choice[0, i, j])])
                    if float(draw[0, i, j]) < math.exp(-energy / temperature):
                        state[0, site[0], site[1]] = changed[0, site[0], site[1]]
    assert not torch.equal(state, labels)
    assert torch.equal(lm.potts_growth(labels, 1, temperature=temperature, seed=9), state)


def test_potts_energy_never_rises_at_zero_temperature():
    labels = lm.voronoi_labels(24, 40, 3)
    energies = lm.boundary_energy(lm.potts_growth(labels, 20, temperature=0.0, record=1))
    assert energies.shape == (20, 3)
    assert (energies.diff(dim=0) <= 0).all()
    assert (energies[-1] < 0.8 * lm.boundary_energy(labels)).all()


def test_a_vanishing_temperature_accepts_what_costs_nothing():
    # One diagonal boundary: every move of it is free.
    labels = (torch.arange(8)[:, None] > torch.arange(8)).long()[None]
    found = [lm.potts_growth(labels, 3, temperature=temperature, seed=1) for temperature in (1e-50, 1e-20)]
    assert torch.equal(*found)
    assert not torch.equal(found[0], labels)


def test_potts_records_and_repeats():
    labels = lm.voronoi_labels(16, 20, 2)
    kept = labels.clone()
    whole = lm.potts_growth(labels, 10, seed=5)
    parts = lm.potts_growth(labels, 10, record=3, seed=5)
    assert parts.shape == (3, 2, 16, 16)
    assert torch.equal(lm.potts_growth(labels, 10, record=5, seed=5)[-1], whole)
    assert torch.equal(lm.potts_growth(labels, 9, seed=5), parts[-1])
    assert torch.equal(labels, kept)
    assert whole.dtype == torch.int64
    assert not torch.equal(whole, lm.potts_growth(labels, 10, seed=6))
    assert set(whole.unique().tolist()) <= set(labels.unique().tolist())
    assert torch.equal(lm.potts_growth(labels, 0), labels)
    assert lm.potts_growth(labels, 2, record=3).shape == (0, 2, 16, 16)
    huge = labels + (1 << 40)
    assert torch.equal(lm.potts_growth(huge, 10, seed=5), whole + (1 << 40))
    one = torch.full((2, 8, 8), 7)
    assert torch.equal(lm.potts_growth(one, 5), one)


def test_hot_potts_accepts_everything():
    labels = random_labels(1, 32, 2, seed=1)
    hot = lm.potts_growth(labels, 3, temperature=1e6)
    cold = lm.potts_growth(labels, 3, temperature=0.0)
    assert lm.boundary_energy(hot) > 2 * lm.boundary_energy(cold)


def test_circle_shrinks_at_its_rate_and_pins_below_it():
    areas = (lm.threshold_growth(circle(80, 30), 10, tau=8.0, record=1) == 1).sum((-1, -2))[:, 0].double()
    rate = (areas[-1] - areas[0]) / (9 * 8.0)
    assert rate / (-2 * math.pi) == pytest.approx(1.0, abs=0.05)
    slow = lm.threshold_growth(circle(80, 30), 40, tau=2.0, record=20)
    assert torch.equal(slow[0], slow[1])  # only stray corners of the digital circle went
    assert (slow[1] == 1).sum() > 0.97 * circle(80, 30).sum()


def test_threshold_step_against_direct_convolution():
    labels, tau, n = lm.voronoi_labels(16, 6, 2, seed=1), 3.0, 16
    offset = torch.arange(n, dtype=torch.float64)
    wave = sum(
        torch.cos(2 * math.pi * k * offset / n) * math.exp(-tau * (2 * math.pi * k / n) ** 2)
        for k in range(-n // 2, n // 2)
    )
    ring = wave / n  # the heat kernel on the circle
    matrix = torch.stack([ring.roll(i) for i in range(n)])
    blurred = torch.stack([matrix @ (labels == g).double() @ matrix for g in range(6)], 1)
    top = blurred.sort(1, descending=True).values
    clear = top[:, 0] - top[:, 1] > 1e-5
    stepped = lm.threshold_growth(labels, 1, tau=tau)
    assert clear.double().mean() > 0.98
    assert torch.equal(stepped[clear], blurred.argmax(1)[clear])


def test_threshold_chunks_names_and_records(monkeypatch):
    labels = lm.voronoi_labels(24, 30, 3, seed=2)
    whole = lm.threshold_growth(labels, 6, tau=4.0)
    names = torch.randperm(500, generator=torch.Generator().manual_seed(0))[:30].sort().values - 250
    assert torch.equal(lm.threshold_growth(names[labels], 6, tau=4.0), names[whole])
    parts = lm.threshold_growth(labels, 6, tau=4.0, record=2)
    assert parts.shape == (3, 3, 24, 24)
    assert torch.equal(parts[-1], whole)
    assert torch.equal(lm.threshold_growth(labels[1:2], 6, tau=4.0)[0], whole[1])
    monkeypatch.setattr("litrepro.materials._threshold._NUMBERS", 3 * 24 * 24 * 4)
    assert torch.equal(lm.threshold_growth(labels, 6, tau=4.0), whole)
    one = torch.full((2, 9, 9), 3)
    assert torch.equal(lm.threshold_growth(one, 4), one)


def test_growth_law():
    t = torch.linspace(0, 10, 12)
    for m in (2.0, 3.0, 4.5):
        fit = lm.fit_growth_law(t, (1.7**m + 2.2 * t) ** (1 / m))
        assert fit["R0"] == pytest.approx(1.7, rel=1e-3)
        assert fit["rate"] == pytest.approx(2.2, rel=1e-2)
        assert fit["exponent"] == pytest.approx(1 / m, rel=1e-3)
        assert fit["residual"] < 1e-4
    g = torch.Generator().manual_seed(0)
    noisy = (4 + 3 * t).sqrt() * (1 + 0.01 * torch.randn(12, generator=g))
    fit = lm.fit_growth_law(t.tolist(), noisy.tolist())
    assert fit["exponent"] == pytest.approx(0.5, abs=0.06)
    assert 0 < fit["residual"] < 0.1


@pytest.mark.parametrize(("grow", "end"), [(torch.exp, 0.5), (lambda t: (1 + t) ** 0.01, 20.0)])
def test_a_growth_law_beyond_the_powers_is_said(grow, end):
    t = torch.arange(6, dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match="end of"):
        fit = lm.fit_growth_law(t, grow(t))
    assert fit["exponent"] == pytest.approx(1 / end)


def test_hall_petch():
    d = torch.tensor([1.0, 4.0, 25.0])
    torch.testing.assert_close(lm.hall_petch(d, 100.0, 50.0), torch.tensor([150.0, 125.0, 110.0]))
    assert lm.hall_petch(4.0, 100.0, 50.0) == 125.0
    assert lm.hall_petch(1e-300, 0.0, 1.0) == pytest.approx(1e150)
    fit = lm.fit_hall_petch(d, lm.hall_petch(d, 100.0, 50.0))
    assert fit["sigma0"] == pytest.approx(100)
    assert fit["k"] == pytest.approx(50)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_pile_up_at_the_least_energy(count):
    """Rest found by minimizing the energy; by Newton's third law the head bears the stress on all dislocations."""
    optimize = pytest.importorskip("scipy.optimize")
    found = lm.pile_up(count)

    def positions(logs):
        return np.cumsum(np.exp(logs))  # gaps are positive

    def energy(logs):
        x = np.concatenate([[0.0], positions(logs)])
        rows, columns = np.triu_indices(count, 1)
        return 0.5 * x.sum() - np.log(x[columns] - x[rows]).sum()

    x = positions(optimize.minimize(energy, np.zeros(count - 1), tol=1e-10).x)
    head = 0.5 + (1 / x).sum()
    assert found.length == pytest.approx(x.max() * head, rel=1e-4)
    assert found.stress == pytest.approx(0.5 / head, rel=1e-4)
    assert found.stress == pytest.approx(1 / count, rel=1e-9)
    assert found.left_over < 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lm.voronoi_labels(0, 3, 1), "n must"),
        (lambda: lm.voronoi_labels(8, 0, 1), "grains"),
        (lambda: lm.voronoi_labels(8, 3, -1), "batch"),
        (lambda: lm.voronoi_labels(8, 3, 1, seeds=torch.zeros(3, 2)), "seeds"),
        (lambda: lm.boundary_energy(torch.zeros(4, 4)), "integer"),
        (lambda: lm.boundaries(torch.zeros(4, 5, dtype=torch.int64)), "shape"),
        (lambda: lm.potts_growth(random_labels(1, 7), 2), "even"),
        (lambda: lm.potts_growth(random_labels(), 2, temperature=-0.1), "temperature"),
        (lambda: lm.potts_growth(random_labels()[0], 2), "shape"),
        (lambda: lm.potts_growth(random_labels(), 2, record=0), "record"),
        (lambda: lm.threshold_growth(random_labels(), 2, tau=0.0), "tau"),
        (lambda: lm.threshold_growth(random_labels(), -1), "steps"),
        (lambda: lm.fit_growth_law([0, 1, 2], [1, 2, 3]), "length"),
        (lambda: lm.fit_growth_law([0, 1, 2, 3], [1, 2, 3, -1]), "positive"),
        (lambda: lm.fit_growth_law([0, 1, 2, math.nan], [1, 2, 3, 4]), "finite"),
        (lambda: lm.hall_petch(0.0, 1.0, 1.0), "positive"),
        (lambda: lm.fit_hall_petch([1.0, -1.0], [1.0, 2.0]), "positive"),
        (lambda: lm.fit_hall_petch([1.0, 1.0], [1.0, 2.0]), "distinct"),
        (lambda: lm.pile_up(1), "count"),
        (lambda: lm.pile_up(3.0), "count"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
