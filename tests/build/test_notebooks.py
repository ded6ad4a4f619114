"""Pairs: discovery, stable ids, cleaning."""

import pytest

from litrepro.build import notebooks


def test_discovery_orders_chapters_and_puts_the_scoreboard_last(toy):
    (toy.book / "scoreboard.py").write_text("# %%\n")
    toy.notebook("review", "# %%\n1\n")
    other = toy.book / "02-other"
    other.mkdir()
    (other / "a.py").write_text("# %%\n")
    keys = [pair.key for pair in notebooks.discover(toy.book)]
    assert keys == ["01-toy/review", "01-toy/toy", "02-other/a", "scoreboard"]


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("01", ["01-toy/toy"]),
        ("01-toy/toy", ["01-toy/toy"]),
        ("book/01-toy/toy.ipynb", ["01-toy/toy"]),
        ("*/toy", ["01-toy/toy"]),
    ],
)
def test_patterns(toy, pattern, keys):
    assert [pair.key for pair in notebooks.discover(toy.book, [pattern])] == keys


def test_a_pattern_without_match_lists_what_there_is(toy):
    with pytest.raises(ValueError, match=r"no notebook matches 'x'; there are: 01-toy/toy"):
        notebooks.discover(toy.book, ["x"])


def test_ids_are_stable_and_unique(toy):
    (pair,) = notebooks.discover(toy.book)
    pair.source.write_text(pair.source.read_text() + "\n# %%\n1\n\n# %%\n1\n")
    first, second = notebooks.read_source(pair), notebooks.read_source(pair)
    ids = [cell.id for cell in first.cells]
    assert ids == [cell.id for cell in second.cells]
    assert len(set(ids)) == len(ids)
    assert notebooks.dump(first) == notebooks.dump(second)


def test_parameters(toy):
    (pair,) = notebooks.discover(toy.book)
    assert notebooks.parameters_of(notebooks.read_source(pair)) == {"profile": "quick", "seed": 0}
    pair.source.write_text(pair.source.read_text().replace('tags=["parameters"]', ""))
    with pytest.raises(ValueError, match="found 0"):
        notebooks.parameters_of(notebooks.read_source(pair))


def test_a_parameter_is_a_literal(toy):
    (pair,) = notebooks.discover(toy.book)
    pair.source.write_text(pair.source.read_text().replace("seed = 0", "seed = int(0)"))
    with pytest.raises(ValueError, match=r"parameter seed must be set to .* literal, got int\(0\)"):
        notebooks.parameters_of(notebooks.read_source(pair))


def test_a_parameter_with_its_type(toy):
    (pair,) = notebooks.discover(toy.book)
    pair.source.write_text(pair.source.read_text().replace("seed = 0", "seed: int = 0\nlate: float"))
    assert notebooks.parameters_of(notebooks.read_source(pair)) == {"profile": "quick", "seed": 0}


def test_claim_calls_are_found_in_order_and_magics_ignored():
    source = "%matplotlib inline\nif x:\n    ch.claim('b', value=1, holds=True)\nch.not_run('a', 'why')\nch.claim(name)"
    assert notebooks.claim_calls(source) == ["b", "a"]


@pytest.mark.parametrize(
    ("source", "claims"),
    [
        ("if x:\n    %time f()\nch.claim('a', value=1, holds=True)", ["a"]),
        ("%%time\n%matplotlib inline\nch.claim('a', value=1, holds=True)", ["a"]),
        ("%%bash\necho hi | cat", []),
        ("%%time\nf(", []),  # a magic of the whole cell may take any text
        ("!echo hi\nfiles = !ls", []),
        ("x = (7\n% 4)\nch.claim('a', value=x, holds=True)", ["a"]),  # no magic, although a line begins like one
    ],
)
def test_magics_of_every_sort_are_read(source, claims):
    assert notebooks.claim_calls(source) == claims


@pytest.mark.parametrize("source", ["x = = 2", "%matplotlib inline\nx = = 2"])
def test_what_is_neither_python_nor_a_magic_is_a_syntax_error(source):
    with pytest.raises(SyntaxError):
        notebooks.claim_calls(source)
