"""Figures behind a slider: self-contained HTML with one image visible."""

import pytest

from litrepro.plotting import frames

plt = pytest.importorskip("matplotlib.pyplot")


def test_frames_are_self_contained():
    plt.switch_backend("Agg")
    pages = {}
    for value in ("m = 1", "m < 2"):
        pages[value], ax = plt.subplots(figsize=(1, 1))
        ax.plot([0, 1])
    shown = frames(pages, label="width", alt="A line.", name="a-b")
    html = shown._repr_html_()
    assert html.count("<img ") == 2
    assert html.count(" hidden>") == 1
    assert "http" not in html.split("base64")[0]
    assert "m &lt; 2" in html
    assert 'max="1"' in html
    assert not plt.get_fignums()
    assert repr(shown) == "<figures behind a slider>"


def test_bad_input():
    with pytest.raises(ValueError):
        frames({}, label="width", alt="", name="a")
    with pytest.raises(ValueError):
        frames({"1": None}, label="width", alt="", name="a b")
