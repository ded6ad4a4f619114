"""Every public function and class has a short example, and every example of the library says what really happens."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import warnings
from pathlib import Path

import pytest

from litrepro import ConvergenceWarning
from litrepro.build import reference

PACKAGES = reference.packages(Path(__file__).resolve().parents[1])
# A figure has no short output; the chapters show what these functions draw.
FIGURES = {"plotting"}
# The data sets that no dependency bundles cannot be read everywhere; all other examples run.
SKIPS = {"data"}
# Whose smallest honest call is a training run of its own; the chapters show them.
LONG = {"fit_visual", "visual_accuracy", "predictions"}


def modules(package):
    """The package and all modules below it."""
    yield (top := importlib.import_module(f"litrepro.{package}"))
    for found in pkgutil.walk_packages(top.__path__, f"{top.__name__}."):
        yield importlib.import_module(found.name)


def examples(module):
    """Doctests of what a module defines; unlike the finder alone, of functions behind decorators too."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name, value in list(vars(module).items()):  # lazy packages grow as they are used
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and value.__name__ == name:
            yield from finder.find(value, f"{module.__name__}.{name}", module, dict(vars(module)))


def record(value):
    """Whether a class only holds results; the function that returns it shows its fields."""
    return inspect.isclass(value) and (dataclasses.is_dataclass(value) or hasattr(value, "_fields"))


def bare(package):
    """Public functions and classes of a package that have no example, or one without anything to see."""
    top, parser = importlib.import_module(f"litrepro.{package}"), doctest.DocTestParser()
    for name in top.__all__:
        value = getattr(top, name)
        if name in LONG:
            continue
        if (inspect.isclass(value) and not record(value)) or inspect.isroutine(value):
            found = parser.get_examples(inspect.getdoc(value) or "")
            if "Examples\n--------\n>>> " not in inspect.getdoc(value) or not any(example.want for example in found):
                yield name


@pytest.mark.parametrize("package", PACKAGES)
def test_examples_run(package):
    report, count = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        for module in modules(package):
            for test in examples(module):
                skipped = [example for example in test.examples if doctest.SKIP in example.options]
                assert not skipped or package in SKIPS, f"{test.name} skips its example"
                doctest.DocTestRunner(verbose=False).run(test, out=report.append)
                count += len(test.examples)
    assert not report, "".join(report)
    assert count or package in FIGURES


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in FIGURES])
def test_every_public_name_has_an_example(package):
    missing = list(bare(package))
    assert not missing, f"no example: {', '.join(missing)}"
