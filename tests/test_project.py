"""The project's own files agree with each other."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from litrepro.build import notebooks, pages

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

# The part of GitHub's workflow syntax that we use; anything else is a misspelling.
STEP = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "id": {"type": "string"},
        "if": {"type": "string"},
        "uses": {"type": "string", "pattern": r"^[\w.-]+/[\w./-]+@[\w.]+$"},
        "run": {"type": "string"},
        "with": {"type": "object"},
        "env": {"type": "object"},
    },
    "oneOf": [{"required": ["uses"]}, {"required": ["run"]}],
}
JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["runs-on", "steps"],
    "properties": {
        "runs-on": {"type": "string"},
        "needs": {"type": ["string", "array"]},
        "timeout-minutes": {"type": "integer", "minimum": 1},
        "environment": {"type": "object"},
        "permissions": {"type": "object"},
        "steps": {"type": "array", "minItems": 1, "items": STEP},
    },
}
WORKFLOW = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "on", "permissions", "jobs"],
    "properties": {
        "name": {"type": "string"},
        "on": {"type": "object"},
        "permissions": {"type": "object"},
        "concurrency": {"type": "object"},
        "jobs": {"type": "object", "minProperties": 1, "additionalProperties": JOB},
    },
}


def requirement_name(text):
    return re.match(r"[\w.-]+", text).group(0).lower().replace("_", "-")


def requirements(*extras):
    return {requirement_name(r) for r in PROJECT["dependencies"]} | {
        requirement_name(r) for extra in extras for r in PROJECT["optional-dependencies"][extra]
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_follow_the_schema(path):
    # YAML 1.1 reads the key `on` as true.
    workflow = {("on" if key is True else key): value for key, value in yaml.safe_load(path.read_text()).items()}
    jsonschema.validate(workflow, WORKFLOW)
    assert "pull_request_target" not in workflow["on"]


def test_the_workflow_of_pull_requests_runs_what_ci_runs():
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["book-and-tests"]["steps"]
    assert any(step.get("run") == "bash .ci/run" for step in steps)
    script = (ROOT / ".ci" / "run").read_text()
    assert all(f"make {target}" in script for target in ("book", "test", "compare"))
    # Papermill executes and compares everything; nbval's plugin at least one experiment of every chapter.
    named = [ROOT / "book" / f"{key}.ipynb" for key in re.findall(r"\d\d-[\w-]+/[\w-]+", script)]
    assert all(path.is_file() and path.stem != "review" for path in named)
    assert {path.parent for path in named} == {path for path in (ROOT / "book").glob("[0-9]*") if path.is_dir()}


def test_conda_and_pip_install_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert "--constraint constraints.txt" in pip
    (editable,) = [line for line in pip if line.startswith("--editable")]
    makefile = (ROOT / "Makefile").read_text()
    extras = re.search(r"\.\[([\w,]+)\]", editable).group(1)
    assert f"'.[{extras}]'" in makefile
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    python = next(entry for entry in environment["dependencies"] if str(entry).startswith("python"))
    assert python == f"python{PROJECT['requires-python']}"


def test_every_dependency_is_pinned():
    pins = {requirement_name(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert requirements("book", "build", "test") <= pins
    assert not re.search(r"file:|\+cpu|https?:", (ROOT / "constraints.txt").read_text())


def test_jupyter_book_stays_at_version_one():
    (requirement,) = [r for r in PROJECT["optional-dependencies"]["build"] if r.startswith("jupyter-book")]
    assert requirement.endswith("<2")


def test_every_notebook_is_in_the_table_of_contents():
    toc = (ROOT / "_toc.yml").read_text()
    listed = set(re.findall(r"(?:file|root): ([\w/.-]+)", toc))
    assert {pair.key for pair in notebooks.discover(ROOT / "book")} <= listed
    assert all((ROOT / "book" / f"{name}{end}").exists() for name in listed for end in [".md"] if name.count("/") == 0
               and not (ROOT / "book" / f"{name}.ipynb").exists())  # fmt: skip


def test_every_chapter_has_a_title_and_a_review():
    for folder in (ROOT / "book").glob("[0-9]*"):
        assert folder.name in pages.TITLES
        assert (folder / "review.py").is_file()


def test_modules_stay_small():
    large = {
        path.relative_to(ROOT).as_posix(): lines
        for path in (ROOT / "src").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not large


def test_scratch_scripts_stay_out():
    assert {path.name for path in ROOT.glob("*.py")} <= {"conftest.py"}


def test_the_index_of_methods_names_functions_that_exist():
    text = (ROOT / "book" / "methods.md").read_text()
    named = re.findall(r"`([a-z][\w.]*\.\w+)(?:\([^`]*\))?`", text)
    missing = []
    for path in named:
        package, name = path.rsplit(".", 1)
        if not hasattr(importlib.import_module(f"litrepro.{package}"), name):
            missing.append(path)
    assert len(named) > 60
    assert not missing


def test_every_chapter_has_a_row_in_the_index_of_methods():
    rows = re.findall(r"\| ([\d, ]+) \|$", (ROOT / "book" / "methods.md").read_text(), re.MULTILINE)
    found = {number.strip() for row in rows for number in row.split(",")}
    chapters = {path.name[:2] for path in (ROOT / "book").glob("[0-9][0-9]-*") if path.is_dir()}
    assert chapters <= found


def test_citations_have_an_entry_and_entries_are_unique():
    entries = re.findall(r"^@\w+\{([^,]+),", (ROOT / "book" / "references.bib").read_text(), re.MULTILINE)
    assert len(entries) == len(set(entries))
    sources = [
        path for path in (ROOT / "book").rglob("*") if path.suffix in {".py", ".md"} and "_build" not in path.parts
    ]
    cited = {
        key.strip()
        for path in sources
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", path.read_text())
        for key in group.split(",")
    }
    assert cited <= set(entries)


def test_a_clone_with_other_line_endings_keeps_recorded_tables(tmp_path):
    """As git for Windows checks out, with core.autocrlf: bytes under results stay, others are translated."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    names = ("book/01-toy/results/a.csv", "constraints.txt", "book/lessons.yml", "other.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"n\n1\n")
    shutil.copy(ROOT / ".gitattributes", tmp_path)

    def git(*words):
        variables = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", "-C", tmp_path, *words], env=variables, check=True, capture_output=True)

    git("init")
    git("config", "core.autocrlf", "true")
    git("add", ".")
    for name in names:
        (tmp_path / name).unlink()
    git("checkout-index", "--all", "--force")
    assert [(tmp_path / name).read_bytes() for name in names] == [b"n\n1\n"] * 3 + [b"n\r\n1\r\n"]


def commands_at_full_scale():
    texts = [(ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "book/intro.md")]
    return {
        page for text in texts for page in re.findall(r"LITREPRO_PROFILE=full[ \\\n]+python book/([\w/-]+)\.py", text)
    }


def test_the_page_of_the_instructions_needs_only_the_core(tmp_path):
    """Its imports, with every package outside the core refused, from a folder that is not the checkout."""
    (page,) = commands_at_full_scale()
    tree = ast.parse((ROOT / "book" / f"{page}.py").read_text())
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    core = {requirement_name(text) for text in PROJECT["dependencies"]}
    others = {requirement_name(text) for extra in ("book", "build") for text in PROJECT["optional-dependencies"][extra]}
    modules = {"scikit-learn": "sklearn", "pillow": "PIL"}
    refused = sorted(modules.get(name, name.replace("-", "_")) for name in others - core)
    code = f"import sys\nsys.modules.update(dict.fromkeys({refused!r}))\n" + "\n".join(imports)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
