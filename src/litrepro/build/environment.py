"""Folders named by environment variables."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

FOLDERS = ("LITREPRO_BOOK", "LITREPRO_DATA", "LITREPRO_SCRATCH")


def make_absolute(variables: MutableMapping[str, str]) -> None:
    """Paths of ``FOLDERS`` as absolute ones, in place: a page runs in its chapter's folder, not in the command's."""
    for name in FOLDERS:
        if variables.get(name):
            variables[name] = os.path.abspath(variables[name])
