"""Figures behind a slider: self-contained HTML with one image visible."""

import html
import json
import re

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
    text = shown._repr_html_()
    assert text.count("<img ") == 2
    assert text.count(" hidden>") == 1
    assert "http" not in text.split("base64")[0]
    assert "m &lt; 2" in text
    assert 'max="1"' in text
    assert 'data-values="[&quot;m = 1&quot;,&quot;m &lt; 2&quot;]"' in text
    assert not plt.get_fignums()
    assert repr(shown) == "<figures behind a slider>"


def test_values_with_backslashes_and_quotes_reach_the_slider():
    plt.switch_backend("Agg")
    values = [r"$\alpha$", 'a "b"', "1 < 2", "é"]
    shown = frames({v: plt.figure(figsize=(1, 1)) for v in values}, label="x", alt="A line.", name="c")._repr_html_()
    (listed,) = re.findall('data-values="([^"]*)"', shown)
    assert json.loads(html.unescape(listed)) == values


def test_bad_input():
    with pytest.raises(ValueError):
        frames({}, label="width", alt="", name="a")
    with pytest.raises(ValueError):
        frames({"1": None}, label="width", alt="", name="a b")
