"""Formulas, features, elastic constants, cross-validation by composition, elements in texts."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import materials as lm


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("NaCl", {"Na": 1, "Cl": 1}),
        ("Fe2(SO4)3", {"Fe": 2, "S": 3, "O": 12}),
        ("Ca10(PO4)6(OH)2", {"Ca": 10, "P": 6, "O": 26, "H": 2}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("La0.6Sr.4CoO3", {"La": 0.6, "Sr": 0.4, "Co": 1, "O": 3}),
        ("((W)2)3", {"W": 6}),
        ("CoO", {"Co": 1, "O": 1}),
        (" COOH ", {"C": 1, "O": 2, "H": 1}),
    ],
)
def test_formulas(formula, expected):
    assert lm.parse_formula(formula) == pytest.approx(expected)
    assert list(lm.parse_formula(formula)) == list(expected)


@pytest.mark.parametrize(
    "formula",
    ["", "  ", "Xx2", "fe2O3", "Fe2(SO4", "Fe2SO4)3", "(Fe]2", "2Fe", "Fe2O3!", "()2", "Fe0", "Fe-2", None, 3],
)
def test_broken_formulas(formula):
    with pytest.raises(ValueError, match="formula"):
        lm.parse_formula(formula)


AMOUNTS = st.dictionaries(st.sampled_from(["H", "Fe", "O", "W", "Re", "Si", "C"]), st.integers(1, 9), min_size=1)


@settings(max_examples=40, deadline=None)
@given(amounts=AMOUNTS, factor=st.integers(2, 5))
def test_features_of_multiples_and_orders(amounts, factor):
    plain = "".join(f"{name}{count}" for name, count in amounts.items())
    turned = "".join(f"{name}{factor * amounts[name]}" for name in reversed(list(amounts)))
    grouped = f"({plain}){factor}"
    x, _ = lm.composition_features([plain, turned, grouped])
    torch.testing.assert_close(x[1], x[0])
    torch.testing.assert_close(x[2], x[0])
    assert len({lm.reduced_composition(text) for text in (plain, turned, grouped)}) == 1


def test_features_by_hand():
    x, names = lm.composition_features(["Fe2O3", "W"])
    assert x.dtype == torch.float64
    assert x.shape == (2, 5 * len(lm.element_table().columns))
    row = dict(zip(names, x[0].tolist()))
    mean = 0.4 * 26 + 0.6 * 8
    assert row["mean atomic_number"] == pytest.approx(mean)
    assert row["deviation atomic_number"] == pytest.approx(0.4 * (26 - mean) + 0.6 * (mean - 8))
    assert (row["min atomic_number"], row["max atomic_number"], row["range atomic_number"]) == (8, 26, 18)
    single = dict(zip(names, x[1].tolist()))
    assert single["deviation atomic_number"] == single["range atomic_number"] == 0
    assert row["mean electronegativity"] == pytest.approx(0.4 * 1.83 + 0.6 * 3.44)
    assert lm.composition_features([])[0].shape == (0, len(names))


def test_features_with_a_table():
    table = pd.DataFrame({"element": ["H", "O", "Fe"], "a": [1.0, np.nan, 3.0], "b": [1, 2, 3], "word": list("xyz")})
    x, names = lm.composition_features(["H2O", "Fe"], table)
    assert names == [f"{s} {p}" for s in ("mean", "deviation", "min", "max", "range") for p in ("a", "b")]
    assert x[0, 0].item() == pytest.approx((2 * 1 + 2) / 3)  # the gap is filled by the column's mean, 2
    assert torch.equal(lm.composition_features(["H2O", "Fe"], table.set_index("element"))[0], x)
    with pytest.raises(ValueError, match=r"'W2C'.*W, C"):
        lm.composition_features(["H2O", "W2C"], table)
    with pytest.raises(ValueError, match="Lv"):
        lm.composition_features(["Lv"])
    for bad, message in (
        (table[["element", "word"]], "numeric"),
        (table.assign(a=np.nan), "without any value: a"),
        (pd.concat([table, table]), "once"),
        ({"H": 1}, "DataFrame"),
    ):
        with pytest.raises(ValueError, match=message):
            lm.composition_features(["H"], bad)
    with pytest.raises(ValueError, match="single text"):
        lm.composition_features("H2O")


def test_packaged_table():
    table = lm.element_table()
    assert table.shape == (97, 22)
    assert not table.isna().any().any()
    assert (table["atomic_number"] == np.arange(1, 98)).all()
    assert table.loc["Na", "atomic_weight"] == pytest.approx(22.98977, abs=1e-4)
    assert table.loc["W", "melting_temperature"] == pytest.approx(3695, abs=5)


def test_hardness_of_diamond_and_isotropic_identities():
    assert lm.vickers_chen(443.0, 536.0) == pytest.approx(95.7, abs=2)  # Chen et al.: 95.7 for diamond
    assert lm.vickers_chen(400.0, 409.0) == pytest.approx(65, abs=3)  # cubic boron nitride
    K, G = torch.tensor([100.0, 250.0]), torch.tensor([60.0, 150.0])
    E, nu = lm.moduli_to_young(K, G)
    torch.testing.assert_close(E / (2 * (1 + nu)), G)
    torch.testing.assert_close(E / (3 * (1 - 2 * nu)), K)
    series = lm.vickers_chen(pd.Series([100.0]), pd.Series([60.0]))
    assert series.iloc[0] == pytest.approx(lm.vickers_chen(K, G)[0].item())
    for bad in ((0.0, 1.0), (1.0, -1.0), (torch.tensor([math.nan]), torch.tensor([1.0])), (np.array([1.0, 0.0]), 1.0)):
        with pytest.raises(ValueError, match="positive"):
            lm.vickers_chen(*bad)
        with pytest.raises(ValueError, match="positive"):
            lm.moduli_to_young(*bad)


def test_clean_moduli():
    frame = pd.DataFrame({"K_VRH": [1.0, np.nan, -3, 4, np.inf, 2], "G_VRH": [1.0, 2, 3, 0, 5, 6], "z": range(6)})
    kept, dropped = lm.clean_moduli(frame)
    assert kept.z.tolist() == [0, 5]
    assert dropped == 4
    with pytest.raises(ValueError, match="G_VRH"):
        lm.clean_moduli(frame[["K_VRH"]])
    assert lm.within_share(torch.tensor([1.19, 0.81, 1.21, 0.5]), torch.ones(4)) == 0.5
    with pytest.raises(ValueError, match="shape"):
        lm.within_share(torch.ones(3), torch.ones(4))


def test_grouped_folds_keep_groups_together():
    groups = [g for g in range(40) for _ in range(1 + g % 3)]
    folds = lm.grouped_folds(groups, 5, seed=1)
    for g in range(40):
        assert len({int(f) for f, name in zip(folds, groups) if name == g}) == 1
    sizes = torch.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= 3
    assert torch.equal(folds, lm.grouped_folds(groups, 5, seed=1))
    with pytest.raises(ValueError, match="groups"):
        lm.grouped_folds([0, 0, 1], 5)
    with pytest.raises(ValueError, match="folds"):
        lm.grouped_folds(groups, 1)


def test_out_of_fold_predictions_never_see_their_row():
    x = torch.arange(12, dtype=torch.float64)[:, None]
    y = x[:, 0] ** 2
    folds = torch.arange(12) % 3

    def memory(seen, targets):
        known = dict(zip(seen[:, 0].tolist(), targets.tolist()))
        return lambda new: np.array([known.get(value, -1.0) for value in new[:, 0].tolist()])

    assert (lm.grouped_predictions(memory, x, y, folds) == -1).all()
    mean = lm.grouped_predictions(lambda a, b: lambda new: np.full(len(new), b.mean()), x, y, folds)
    assert mean[0].item() == pytest.approx(y[folds != 0].mean().item())
    with pytest.raises(ValueError, match="length"):
        lm.grouped_predictions(memory, x, y[:5], folds)
    with pytest.raises(ValueError, match="numpy"):
        lm.grouped_predictions(memory, x, y.bfloat16(), folds)


def test_top_precision():
    true = torch.arange(100.0)
    assert lm.top_precision(true, true, 5) == 1
    assert lm.top_precision(-true, true, 5) == 0
    assert lm.top_precision(true, true, 10) == 0.5
    with pytest.raises(ValueError, match="length"):
        lm.top_precision(true, true[:4], 5)


def test_conformal_lower_covers():
    g = torch.Generator().manual_seed(0)
    below = []
    for _ in range(300):
        residual = torch.randn(40, generator=g).exp() - 1
        bound = lm.conformal_lower(residual, torch.zeros(200), 0.9)
        below.append(((torch.randn(200, generator=g).exp() - 1) >= bound).double().mean().item())
    assert 0.895 < sum(below) / len(below) < 0.94
    assert (lm.conformal_lower(torch.randn(5, generator=g), torch.zeros(3)) == -torch.inf).all()
    with pytest.raises(ValueError, match="level"):
        lm.conformal_lower(residual, torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="residual"):
        lm.conformal_lower(torch.zeros(0), torch.zeros(3))


def test_elements_in_texts():
    texts = [
        "The La0.6Sr0.4CoO3 cathode was fired in air at 1000 C.",
        "SOFC stacks, SOFCs show less degradation (Fig. 3). As In He said, No CO.",
        "Ni-YSZ and yttria were milled; NiO powder.",
        "Iron, tin and CO2 at 3 Pa",
    ]
    named, symbols = lm.element_mentions(texts)
    found = [{symbols[j] for j in row.nonzero()[:, 0].tolist()} for row in named]
    assert found[0] == {"La", "Sr", "Co", "O"}
    assert found[1] == set()
    assert found[2] == {"Ni", "Y", "O"}
    assert found[3] == {"Fe", "Sn", "C", "O"}
    with pytest.raises(ValueError, match="sequence"):
        lm.element_mentions("iron")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The precursor (ZnS) was dried", "Zn S"),
        ("lanthanum manganite (LaMnO3) was used", "La Mn O"),
        ("(La0.8Sr0.2)MnO3 was calcined", "La Sr Mn O"),
        ("a cathode (that is, (La0.8Sr0.2)MnO3).", "La Sr Mn O"),
        ("salts (Ni(NO3)2, Ca(OH)2.)", "Ni N O Ca H"),
        ("(Ba, Sr) and (Fe2O3.)", "Ba Sr Fe O"),
        ("steam (In) and (As) used in cells (SOFCs) and others (PCFCs)12", ""),
        ("(Fig. 1(b), see (XRD))", ""),
    ],
)
def test_formulas_in_brackets(text, expected):
    named, symbols = lm.element_mentions([text])
    assert {symbols[j] for j in named[0].nonzero()[:, 0].tolist()} == set(expected.split())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.float16])
def test_moduli_in_small_dtypes(dtype):
    bulk, shear = [200, 250], [120, 210]
    young = [9 * K * G / (3 * K + G) for K, G in zip(bulk, shear)]
    poisson = [(3 * K - 2 * G) / (2 * (3 * K + G)) for K, G in zip(bulk, shear)]
    hardness = [2 * ((G / K) ** 2 * G) ** 0.585 - 3 for K, G in zip(bulk, shear)]
    tensors = torch.tensor(bulk, dtype=dtype), torch.tensor(shear, dtype=dtype)
    margin = 2e-2 if dtype == torch.float16 else 1e-6
    for K, G in (tensors, [column.numpy() for column in tensors]):
        found = [*lm.moduli_to_young(K, G), lm.vickers_chen(K, G)]
        for values, expected in zip(found, (young, poisson, hardness)):
            np.testing.assert_allclose(values, expected, rtol=margin)
        assert lm.within_share(K, G, 0.1) == 0
        assert lm.within_share(G, K, 0.2) == 0.5
