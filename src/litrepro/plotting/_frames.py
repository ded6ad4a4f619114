"""Figures behind a slider: plain HTML, no widgets and no network, so that it works in the rendered book."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from html import escape
from typing import Any


def frames(figures: Mapping[str, Any], *, label: str, alt: str, name: str) -> Any:
    """One figure at a time, chosen by a slider.

    Parameters
    ----------
    figures
        From what the slider shows as its value to matplotlib figures of one size; they are closed.
    label
        What the slider chooses.
    alt
        Alternative text; the value is added.
    name
        Of the element, unique on its page (letters, digits and dashes).

    Returns
    -------
    An object that a notebook shows as HTML. Raises ``ValueError`` without figures, and for a bad name or text.
    """
    if not isinstance(figures, Mapping) or not all(hasattr(figure, "savefig") for figure in figures.values()):
        raise ValueError(f"figures must map values to matplotlib figures, got {type(figures).__name__}")
    for what, text in (("label", label), ("alt", alt), ("name", name)):
        if not isinstance(text, str):
            raise ValueError(f"{what} must be text, got {text!r}")
    if not figures or not name.replace("-", "").isalnum():
        raise ValueError(f"frames needs figures and a name of letters, digits and dashes, got {len(figures)}, {name!r}")
    import matplotlib.pyplot as plt

    images, values = [], [str(value) for value in figures]
    for index, (value, figure) in enumerate(figures.items()):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        plt.close(figure)
        data = base64.b64encode(buffer.getvalue()).decode()
        hidden = "" if index == 0 else " hidden"
        images.append(
            f'<img src="data:image/png;base64,{data}" alt="{escape(f"{alt} {label}: {value}.")}" '
            f'style="max-width:100%"{hidden}>'
        )
    script = (
        "const box=this.closest('.lr-frames');box.querySelectorAll('img').forEach((i,k)=>{i.hidden=k!=this.value});"
        "box.querySelector('output').textContent=JSON.parse(box.dataset.values)[this.value]"
    )
    listed = escape(json.dumps(values, ensure_ascii=False, separators=(",", ":")))
    return _Html(
        f'<div class="lr-frames" id="{name}" data-values="{listed}"><label>{escape(label)} '
        f'<input type="range" min="0" max="{len(values) - 1}" value="0" step="1" oninput="{script}" '
        f'aria-label="{escape(label)}"></label> <output>{escape(values[0])}</output><br>{"".join(images)}</div>'
    )


class _Html:
    """HTML that Jupyter shows, with words as its plain text."""

    def __init__(self, html: str):
        self._html = html

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return "<figures behind a slider>"
