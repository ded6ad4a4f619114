"""Every package's export table: each name can be imported, nothing is exported twice."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import litrepro
from litrepro._lazy import lazy_exports

PACKAGES = ["litrepro"] + [
    f"litrepro.{m.name}" for m in pkgutil.iter_modules(litrepro.__path__) if m.ispkg and m.name != "build"
]


@pytest.mark.parametrize("name", PACKAGES)
def test_exports_exist_and_are_documented(name):
    package = importlib.import_module(name)
    assert package.__doc__
    for export in package.__all__:
        value = getattr(package, export)
        assert export in dir(package)
        assert not callable(value) or value.__doc__, f"{name}.{export} has no docstring"


def test_unknown_names_and_collisions():
    with pytest.raises(AttributeError, match="nothing_there"):
        _ = litrepro.nothing_there
    with pytest.raises(ValueError, match="twice"):
        lazy_exports("p", {"a": ["x"], "b": ["x"]})
    with pytest.raises(ValueError, match="name of a module"):
        lazy_exports("p", {"a": ["a"]})


def test_importing_the_library_is_cheap():
    code = (
        "import sys, litrepro, litrepro.optim, litrepro.data;"
        "print(sorted({'torch', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
