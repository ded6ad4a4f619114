"""What a notebook runs on: profile, device, versions, provenance."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from litrepro import _validate

PROFILES = ("quick", "full")
PAUSED = 75  # exit status of a full command that has more to do: "temporary failure" in sysexits.h
# The packages whose version can change a result, in the order in which they are shown.
VERSIONED = ("torch", "numpy", "pandas", "scipy", "scikit-learn")


def resolve_profile(profile: str) -> str:
    """The profile in force: ``LITREPRO_PROFILE`` if set, else ``profile``. ``ValueError`` if it is not known."""
    name = os.environ.get("LITREPRO_PROFILE") or profile
    if name not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}; got {name!r}")
    return name


def smoke() -> bool:
    """Whether ``LITREPRO_SMOKE`` asks for the full code path at a thousandth of its size."""
    return os.environ.get("LITREPRO_SMOKE", "") not in ("", "0")


def in_kernel() -> bool:
    """Whether this process is a Jupyter kernel (and not a plain script or a test)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def calling_script() -> Path | None:
    """The script that runs, None in a kernel and in an interactive interpreter."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(path).absolute() if path and not in_kernel() else None


def command_minutes() -> float:
    """How long a full command lasts: ``LITREPRO_MINUTES``, else seven. ``ValueError`` unless a number from 0 on."""
    text = os.environ.get("LITREPRO_MINUTES") or "7"
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not minutes >= 0:
        raise ValueError(f"LITREPRO_MINUTES must be a number of minutes, got {text!r}")
    return minutes


def executed_by_build() -> bool:
    """Whether the book's build runs this notebook: progress bars stay silent, so that outputs are stable."""
    return os.environ.get("LITREPRO_BUILD", "") not in ("", "0")


def progress_bar(iterable: Iterable, **options: Any) -> Iterable:
    """``iterable`` with tqdm's bar, which goes when it is through; without tqdm as it is."""
    try:
        # Without ipywidgets tqdm.auto warns in a kernel before it falls back to text.
        tqdm = importlib.import_module("tqdm.auto" if importlib.util.find_spec("ipywidgets") else "tqdm").tqdm
    except ImportError:
        return iterable
    return tqdm(iterable, leave=False, **options)


def pick_device(profile: str):
    """``LITREPRO_DEVICE`` if set; else a CUDA device in the full profile where there is one; else the CPU.

    Raises ``ValueError`` for an unknown profile, and for a device that is none or cannot be had.
    """
    import torch

    _validate.choice("profile", profile, PROFILES)
    name = os.environ.get("LITREPRO_DEVICE")
    if name:
        device = _validate.device("LITREPRO_DEVICE", name)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"LITREPRO_DEVICE={name!r}, but torch sees no CUDA device")
        return device
    return torch.device("cuda" if profile == "full" and torch.cuda.is_available() else "cpu")


def device_name(device) -> str:
    """A name for people: the GPU's model, or the processor architecture and the number of threads."""
    import torch

    device = _validate.device("device", device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def stream_seed(seed: int, index: int) -> int:
    """Seed of the ``index``-th of the independent streams that one seed stands for: of a trial, of an epoch."""
    return (seed * 1_000_003 + index) % 2**63


def stream(seed: int, index: int, device: Any = "cpu"):
    """A ``torch.Generator`` on ``device`` for one stream of a seed."""
    import torch

    return torch.Generator(device).manual_seed(stream_seed(seed, index))


def streams(seed: int, count: int) -> list:
    """One CPU generator for each of ``count`` trials: a trial's draws do not depend on its neighbours."""
    return [stream(seed, trial) for trial in range(count)]


def versions(packages: Iterable[str] = VERSIONED) -> dict[str, str]:
    """Versions of Python, of this library and of those ``packages`` that are installed, without importing them."""
    from importlib import metadata

    from litrepro import __version__

    packages = _validate.sequence("packages", packages, 0)
    found = {"python": platform.python_version(), "litrepro": __version__}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(root: str | Path) -> str | None:
    """The commit of the checkout at ``root``, "+dirty" added when the library or a notebook differs from it.

    ``LITREPRO_COMMIT`` stands in where the sources travel without their repository; None if nothing is known.
    """
    if not isinstance(root, str | Path):
        raise ValueError(f"root must be a path, got {root!r}")
    if os.environ.get("LITREPRO_COMMIT"):
        return os.environ["LITREPRO_COMMIT"]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        head = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--", "src", "book/**/*.py")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+dirty" if changed else "")


def find_book(start: str | Path | None = None) -> Path:
    """The ``book`` folder: ``LITREPRO_BOOK``, else the nearest one at or above ``start``, else the checkout's.

    Raises
    ------
    FileNotFoundError
        If there is none; the message says what was tried.
    """
    if not isinstance(start, str | Path | None):
        raise ValueError(f"start must be a path, got {start!r}")
    if os.environ.get("LITREPRO_BOOK"):
        folder = Path(os.environ["LITREPRO_BOOK"]).resolve()
        if not folder.is_dir():
            raise FileNotFoundError(f"LITREPRO_BOOK={folder} is not a folder")
        return folder
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if folder.name == "book" and (folder / "../_toc.yml").resolve().is_file():
            return folder
        if (folder / "book").is_dir() and (folder / "_toc.yml").is_file():
            return folder / "book"
    checkout = Path(__file__).resolve().parents[2] / "book"
    if checkout.is_dir():
        return checkout
    raise FileNotFoundError(f"no folder 'book' beside a _toc.yml at or above {here}; set LITREPRO_BOOK")


def digest(value: Any) -> str:
    """A short SHA-256 of a JSON-ready value; the same value gives the same digest on every machine.

    Raises ``ValueError`` for what has no stable text, and for mappings whose keys are neither all text nor all numbers.
    """
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_describe)
    except TypeError as error:  # of keys: values go through _describe
        raise ValueError(
            f"{value!r} has no stable description ({error}): pick plain values, with text as the keys of mappings"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """``value`` as its JSON text is read back: lists for tuples, text for keys."""
    return json.loads(json.dumps(value, default=_describe))


def _describe(value: Any) -> Any:
    """Tensors, arrays, ranges, sets and paths as plain values; anything without a stable text is refused."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, range | tuple):
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    text = getattr(value, "__qualname__", None) or repr(value)
    if " at 0x" in text:
        raise ValueError(f"{value!r} has no stable description: pick plain values")
    return text
