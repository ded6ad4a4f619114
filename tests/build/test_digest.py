"""What makes an executed copy stale."""

import pytest

from litrepro.build import digest, notebooks


def test_imports_are_followed_through_lazy_exports():
    found = digest.module_closure(digest.imported_modules("from litrepro import Chapter"))
    assert {"litrepro", "litrepro.chapter", "litrepro.claims", "litrepro.runtime", "litrepro.show"} <= set(found)
    assert not any(name.startswith("litrepro.build") for name in found)


def test_one_name_of_a_package_is_one_module():
    found = digest.imported_modules("from litrepro.plotting import heatmap")
    assert "litrepro.plotting._maps" in found
    assert "litrepro.plotting._curves" not in found
    through_attribute = digest.imported_modules("import litrepro.plotting as p\np.heatmap()")
    assert "litrepro.plotting._maps" in through_attribute
    everything = digest.imported_modules("from litrepro.plotting import *")
    assert {"litrepro.plotting._maps", "litrepro.plotting._curves", "litrepro.plotting._theme"} <= everything


def test_relative_imports():
    assert digest.imported_modules("from . import _maps", "litrepro.plotting") >= {"litrepro.plotting._maps"}
    assert digest.imported_modules("from ..claims import MIME", "litrepro.plotting") >= {"litrepro.claims"}


@pytest.fixture
def digest_of(toy):
    def compute(parameters=None):
        (pair,) = notebooks.discover(toy.book)
        return digest.notebook_digest(pair, notebooks.read_source(pair), parameters or {})

    return compute


def test_same_sources_same_digest(digest_of):
    assert digest_of() == digest_of()


@pytest.mark.parametrize("cell", ["# %matplotlib inline", "# !echo hi", "# %%bash\n# echo hi | cat", "x = = 2"])
def test_a_cell_with_a_magic_or_a_mistake_hides_nothing_of_the_others(toy, digest_of, cell):
    (pair,) = notebooks.discover(toy.book)
    pair.source.write_text(f"{pair.source.read_text()}\n# %%\n{cell}\n")
    before = digest_of()
    (toy.chapter / "results").mkdir()
    (toy.chapter / "results" / "runs.csv").write_text("n\n1\n")
    assert digest_of() != before


@pytest.mark.parametrize("part", ["source", "caption", "ledger", "table", "pins", "parameters", "library"])
def test_whatever_a_notebook_is_made_from_changes_its_digest(toy, digest_of, part, tmp_path, monkeypatch):
    package = tmp_path / "package" / "litrepro"
    package.mkdir(parents=True)
    for name in ("__init__", "chapter", "claims"):
        (package / f"{name}.py").write_text(
            digest.module_path("litrepro." + name).read_text() if name[0] != "_" else ""
        )
    (package / "__init__.py").write_text("from litrepro.chapter import Chapter\n")
    monkeypatch.setattr(digest, "package_root", lambda: package)
    before = digest_of()
    source = toy.chapter / "toy.py"
    if part == "source":
        source.write_text(source.read_text() + "\n# %%\n1\n")
    elif part == "caption":
        source.write_text(source.read_text().replace("# %%\nch.paper", '# %% mystnb={"a": 1}\nch.paper'))
    elif part == "ledger":
        ledger = toy.chapter / "claims.yml"
        ledger.write_text(ledger.read_text().replace("Two is two.", "Two is two!"))
    elif part == "table":
        (toy.chapter / "results").mkdir()
        (toy.chapter / "results" / "runs.csv").write_text("n\n1\n")
    elif part == "pins":
        (toy.root / "constraints.txt").write_text("torch==2.14.0\n")
    elif part == "library":
        (package / "claims.py").write_text("VERSION = 2\n")
    assert digest_of({"seed": 1} if part == "parameters" else None) != before


def test_the_clock_does_not_matter(toy, digest_of):
    before = digest_of()
    (toy.chapter / "toy.py").touch()
    (toy.chapter / "claims.yml").touch()
    assert digest_of() == before


def test_documentation_and_exports_make_nothing_stale():
    code = 'def f(x):\n    """{doc}"""\n    return x  # {comment}\n'
    assert digest.code_of(code.format(doc="a", comment="c")) == digest.code_of(
        code.format(doc="b\n\n  more", comment="c")
    )
    assert digest.code_of(code.format(doc="a", comment="c")) != digest.code_of(code.format(doc="a", comment="d"))
    package = (
        "from litrepro._lazy import lazy_exports\n\n__all__ = lazy_exports(\n    __name__, {{'_m': [{names}]}}\n)\n"
    )
    assert digest.code_of(package.format(names="'a'")) == digest.code_of(package.format(names="'a', 'b'"))
    assert "return x" in digest.code_of("class A:\n    '''doc'''\n    x = 1\n    def f(self): return x\n")
    assert digest.code_of('x = """kept"""\n') == 'x = """kept"""'


def test_what_another_notebook_judges_or_draws_does_not_matter(toy, digest_of):
    before = digest_of()
    ledger = toy.chapter / "claims.yml"
    ledger.write_text(ledger.read_text() + "- id: of-another-notebook\n  kind: statement\n")
    (toy.chapter / "results").mkdir()
    (toy.chapter / "results" / "of-another-notebook.csv").write_text("n\n1\n")
    (toy.chapter / "results" / "another.verdicts.json").write_text("{}")
    assert digest_of() == before
    (toy.chapter / "results" / "toy.verdicts.json").write_text("{}")
    assert digest_of() != before


@pytest.mark.parametrize(
    "text",
    [
        "- kind: theorem\n  id: two-is-two\n  criterion: {}\n",
        "- id: two-is-two  # a remark\n  criterion: {}\n",
        "-   id: two-is-two\n    criterion: {}\n",
        "  - id: two-is-two\n    criterion: {}\n",
        '- {{id: "two-is-two", criterion: {}}}\n',
    ],
)
def test_an_entry_counts_however_it_is_written(toy, digest_of, text):
    ledger, rest = toy.chapter / "claims.yml", "  claim: c\n" if not text.startswith(("  -", "-   ", "- {")) else ""
    found = []
    for criterion in ("x < 1", "x < 2"):
        ledger.write_text(text.format(criterion) + rest)
        found.append(digest_of())
    assert found[0] != found[1]
    ledger.write_text(f"# a remark\n{text.format('x < 2')}{rest}")
    assert digest_of() == found[1]


def test_a_ledger_that_is_no_yaml_is_named(toy, digest_of):
    (toy.chapter / "claims.yml").write_text("- id: [\n")
    with pytest.raises(ValueError, match=r"claims\.yml: not valid YAML"):
        digest_of()
