"""The book's theme is seaborn's, without seaborn."""

import subprocess
import sys

import matplotlib as mpl
import pytest

from litrepro.plotting import _theme, theme


@pytest.fixture(autouse=True)
def untouched():
    with mpl.rc_context():
        yield


def test_settings_are_those_of_seaborn():
    sns = pytest.importorskip("seaborn")
    sizes = {key: value for key, value in _theme.OURS.items() if key not in ("image.cmap", "axes.formatter.useoffset")}
    mpl.rcdefaults()
    sns.set_theme(context="notebook", style="whitegrid", palette=list(_theme.PALETTE), rc=sizes)
    expected = dict(mpl.rcParams)
    mpl.rcdefaults()
    theme()
    found = dict(mpl.rcParams)
    differing = {key for key in found if key != "axes.prop_cycle" and found[key] != expected[key]}
    assert differing == {"image.cmap", "axes.formatter.useoffset"}
    colours, wanted = (
        [mpl.colors.to_hex(entry["color"]) for entry in settings["axes.prop_cycle"]] for settings in (found, expected)
    )
    assert colours == wanted == [colour.lower() for colour in _theme.PALETTE]


def test_the_theme_brings_neither_seaborn_nor_scipy_along():
    code = (
        "import sys; from litrepro.plotting import theme; theme(); print({'seaborn', 'scipy.stats'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
