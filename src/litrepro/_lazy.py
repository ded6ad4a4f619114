"""Lazy package exports: a name is imported from its module when it is first asked for.

Two reasons. Starting a notebook kernel is a line in the book's budget, so a package must not drag in what a
notebook does not use. And the build's digest follows imports: with one mapping from module to names it can tell
that ``from litrepro.optim import Uniform`` depends on ``optim/uniform.py`` and on nothing else in the package.

The mapping has to be a literal dictionary (``litrepro.build.digest`` reads it without importing), and a module must
not have the name of something that the package exports.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``(__getattr__, __dir__, __all__)`` for the ``__init__`` of ``package``.

    Parameters
    ----------
    package
        ``__name__`` of the package.
    modules
        From a module, relative to the package (``"uniform"``, ``"_lanczos"``) or absolute (``"litrepro.solvers"``),
        to the names that the package exports from it.

    Raises
    ------
    ValueError
        If two modules export one name, or a name is also the name of a module of the mapping.
    """
    origin: dict[str, str] = {}
    for module, names in modules.items():
        for name in names:
            if name in origin or name in modules:
                raise ValueError(f"{package} exports {name!r} twice, or it is the name of a module")
            origin[name] = module

    def __getattr__(name: str) -> Any:
        if name not in origin:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = origin[name]
        target = module if module.split(".")[0] == package.split(".")[0] else f"{package}.{module}"
        value = getattr(importlib.import_module(target), name)
        globals_of_package = importlib.import_module(package).__dict__
        globals_of_package[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(set(importlib.import_module(package).__dict__) | set(origin))

    return __getattr__, __dir__, sorted(origin)
