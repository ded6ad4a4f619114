"""The library's reference: every public name has a page entry, and no docstring breaks it."""

from pathlib import Path

import pytest

from litrepro.build import reference

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_has_a_page():
    written = {path.stem for path in (ROOT / "book" / "reference").glob("*.md")}
    assert written == set(reference.packages(ROOT))
    for path in (ROOT / "book" / "reference").glob("*.md"):
        assert f"_generated/reference-{path.stem}.md" in path.read_text()


@pytest.mark.parametrize("package", reference.packages(ROOT))
def test_every_public_name_is_documented(package):
    import importlib
    import inspect

    module = importlib.import_module(f"litrepro.{package}")
    text = reference.page(package)
    for name in module.__all__:
        value = getattr(module, name)
        assert f"## `{name}`" in text
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"litrepro.{package}.{name} has no docstring"


def test_a_docstring_becomes_markdown():
    doc = """Norms ||x||_2 of *rows*, ``x (..., d)``.

    Parameters
    ----------
    x, y
        (..., d) with a_i <= 1
        and more.
    Raises ``ValueError`` for nothing.

    Examples
    --------
    >>> 1 + 1
    2
    """
    import inspect

    text = "\n".join(reference.markdown(inspect.cleandoc(doc)))
    assert r"Norms \|\|x\|\|\_2 of \*rows\*, `x (..., d)`." in text
    assert r"- `x, y`: (..., d) with a\_i \<= 1 and more." in text
    assert "\nRaises `ValueError` for nothing.\n" in text
    assert "```python\n>>> 1 + 1\n2\n```" in text


def test_a_formula_stays_one_and_has_no_bars():
    text = "\n".join(reference.markdown(r"The norm :math:`\|w_j\|` of |b_i|, at most :math:`\max_j |g_j|`."))
    assert text.startswith(r"The norm $\Vert w_j\Vert$ of \|b\_i\|, at most $\max_j \vert g_j\vert$.")


def test_long_signatures_break_at_their_parameters():
    def function(first, second=(1, 2), *, third="a long default, with a comma", fourth=None, fifth=0.5, sixth=True):
        pass

    lines = reference._signature("function", function)
    assert lines[0] == "function("
    assert lines[2] == "    second=(1, 2),"
    assert lines[-1] == ")"
    assert len(lines) == 9
