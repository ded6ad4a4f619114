#!/usr/bin/env python3
"""Carry full-scale runs to a bare machine and their tables back; the standard library is all it needs.

    python scripts/bundle.py pack out.tar.gz --notebooks 03 08-residual-networks/cifar --data mnist --limit 60
    tar xzf out.tar.gz && python3 litrepro-bundle/bundle.py run --minutes 9      # there: torch, numpy, pandas, PyYAML
    python scripts/bundle.py collect results.tar.gz                              # here again

``pack`` writes sources, ledgers, recorded tables and the chosen data below a size limit. ``run`` executes the notebooks
as plain scripts in the full profile, within a time limit and as many at a time as asked for, and packs what they
recorded since ``pack``, with their logs; called again it continues from their checkpoints. Scripts named by ``--cpu``
leave the GPU to the others. ``collect`` checks every table against its provenance before it lies in the book.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "litrepro-bundle"
STATE = "bundle.json"
LOGS = "logs"
SITE = "site"
MIB = 2**20
PAUSED = 75  # exit status of a script that has more to do, as litrepro.runtime says


# --- here: pack ---------------------------------------------------------------------------------------------------


def pack(root: Path, target: Path, notebooks: list[str], data: list[str], wheels: Path | None, limit: float) -> int:
    """Write the bundle and return its size in bytes.

    Parameters
    ----------
    root
        The checkout.
    target
        The ``.tar.gz`` to write.
    notebooks
        Chapters or notebooks, ``03`` or ``03-escaping-saddle-points/octopus``; none: a bundle of data alone.
    data
        Files, folders or shell patterns below ``LITREPRO_DATA``, e.g. ``mnist`` or ``cifar-10/data_batch_[12].zip``.
    wheels
        A folder of wheels to put on the path of the scripts, or None.
    limit
        MiB that the bundle may have.

    Raises ``ValueError`` for a pattern that matches nothing and for a bundle over the limit (nothing is written then).
    """
    chosen = _scripts(root, notebooks)
    files = _sources(root, chosen) if chosen else {}
    files |= {f"data/{name}": path for name, path in _data_files(data).items()}
    for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
        files[f"wheels/{wheel.name}"] = wheel
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
        for name, path in sorted(files.items()):
            archive.add(path, f"{NAME}/{name}", recursive=False, filter=_anonymous)
        archive.add(Path(__file__), f"{NAME}/bundle.py", filter=_anonymous)
        if chosen:
            state = {"commit": _commit(root), "scripts": [path.relative_to(root).as_posix() for path in chosen]}
            state["recorded"] = {name: _sha256(path) for name, path in files.items() if "/results/" in name}
            _add_text(archive, f"{NAME}/{STATE}", json.dumps(state, indent=1))
    size = buffer.tell()
    if size > limit * MIB:
        raise ValueError(f"the bundle has {size / MIB:.1f} MiB, over the limit of {limit:g}: choose less data")
    target.write_bytes(buffer.getvalue())
    return size


def _scripts(root: Path, patterns: list[str]) -> list[Path]:
    known = sorted((root / "book").glob("[0-9]*/*.py"))
    chosen: list[Path] = []
    for pattern in patterns:
        keys = {f"{path.parent.name}/{path.stem}": path for path in known}
        hits = [path for key, path in keys.items() if key.startswith(pattern) or fnmatch.fnmatch(key, pattern)]
        if not hits:
            raise ValueError(f"no notebook matches {pattern!r}; there are: {', '.join(keys)}")
        chosen += [path for path in hits if path not in chosen]
    return chosen


def _sources(root: Path, scripts: list[Path]) -> dict[str, Path]:
    """The library and, of every chapter chosen, scripts, ledger and recorded tables."""
    found = [root / "_toc.yml", *sorted((root / "src" / "litrepro").rglob("*.py"))]
    for folder in dict.fromkeys(path.parent for path in scripts):
        found += [*sorted(folder.glob("*.py")), folder / "claims.yml"]
        found += [path for path in sorted((folder / "results").glob("*")) if path.suffix in (".csv", ".json")]
    return {path.relative_to(root).as_posix(): path for path in found}


def _data_files(patterns: list[str]) -> dict[str, Path]:
    if not patterns:
        return {}
    base = os.environ.get("LITREPRO_DATA")
    if not base:
        raise ValueError("set LITREPRO_DATA to the folder that --data chooses from")
    found: dict[str, Path] = {}
    for pattern in patterns:
        hits = [path for path in Path(base).glob(pattern) if path.name[0] != "."]
        files = [each for hit in hits for each in (sorted(hit.rglob("*")) if hit.is_dir() else [hit]) if each.is_file()]
        if not files:
            raise ValueError(f"nothing below LITREPRO_DATA matches {pattern!r}")
        found |= {path.relative_to(base).as_posix(): path for path in files}
    if any(name.startswith("cifar-10/") and name.endswith(".zip") for name in found):
        found["unpack.py"] = Path(base) / "unpack.py"
    return found


def _commit(root: Path) -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (
            "+dirty" if git("status", "--porcelain", "--", "src", "book/**/*.py") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    archive.addfile(member, io.BytesIO(text.encode()))


# --- there: run ---------------------------------------------------------------------------------------------------


def run(
    folder: Path,
    minutes: float,
    out: Path,
    smoke: bool = False,
    *,
    jobs: int = 1,
    cpu_jobs: int = 1,
    only: list[str] | None = None,
    cpu: list[str] | None = None,
) -> int:
    """Execute the bundle's scripts until the time is up; returns how many failed. Results are packed in any case.

    Parameters
    ----------
    folder
        The unpacked bundle.
    minutes
        Time limit for all scripts together.
    out
        The archive of results to write.
    smoke
        The same code at a thousandth of its size.
    jobs, cpu_jobs
        Scripts at a time on the default device, and beside them on the CPU.
    only, cpu
        Patterns of the scripts to execute (default: all), and of those to execute on the CPU (default: none).
    """
    state = json.loads((folder / STATE).read_text())
    _unpack_shards(folder / "data")
    for wheel in sorted((folder / "wheels").glob("*.whl")):  # a package with data files does not run from the archive
        shutil.unpack_archive(wheel, folder / SITE, "zip")
    scripts = [name for name in state["scripts"] if only is None or _matches(name, only)]
    on_cpu = [name for name in scripts if _matches(name, cpu or [])]
    deadline = time.monotonic() + 60 * minutes
    threads = str(max(1, (os.cpu_count() or 1) // (jobs + (cpu_jobs if on_cpu else 0))))
    environment = {"OMP_NUM_THREADS": threads} | _environment(folder, state, smoke)

    def execute(script: str) -> dict:
        device = {"LITREPRO_DEVICE": "cpu"} if script in on_cpu else {}
        return _execute(folder, script, environment | device, deadline)

    with ThreadPoolExecutor(jobs) as pool, ThreadPoolExecutor(cpu_jobs) as beside:
        waiting = [(beside if script in on_cpu else pool).submit(execute, script) for script in scripts]
        log = [each.result() for each in waiting]
    with tarfile.open(out, "w:gz") as archive:
        _add_text(archive, "run.json", json.dumps({"commit": state["commit"], "smoke": smoke, "log": log}, indent=1))
        for path in sorted([*_new_results(folder, state.get("recorded", {})), *(folder / LOGS).glob("*.txt")]):
            archive.add(path, path.relative_to(folder).as_posix(), filter=_anonymous)
    return sum(entry["state"].startswith("failed") for entry in log)


def _new_results(folder: Path, packed: dict[str, str]) -> list[Path]:
    """Recorded files that differ from what was packed, each table with its provenance.

    What only travelled stays here: where it came from it may have been recorded again in the meantime.
    """
    found = sorted((folder / "book").glob("*/results/*"))
    new = {path.with_suffix("") for path in found if packed.get(path.relative_to(folder).as_posix()) != _sha256(path)}
    return [path for path in found if path.with_suffix("") in new]


def _matches(script: str, patterns: list[str]) -> bool:
    key = script.removeprefix("book/").removesuffix(".py")
    return any(key.startswith(pattern) or fnmatch.fnmatch(key, pattern) for pattern in patterns)


def _execute(folder: Path, script: str, environment: dict[str, str], deadline: float) -> dict:
    """One script with its output in a log; what became of it."""
    left = deadline - time.monotonic()
    if left < 5:
        return {"script": script, "state": "no time left"}
    log = folder / LOGS / (script.removeprefix("book/").removesuffix(".py").replace("/", ".") + ".txt")
    log.parent.mkdir(exist_ok=True)
    started = time.monotonic()
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                [sys.executable, str(folder / script)],
                env=environment,
                cwd=(folder / script).parent,
                timeout=left,
                check=False,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            words = {0: "done", PAUSED: "paused: run again to continue"}
            word = words.get(done.returncode, f"failed with {done.returncode}")
        except subprocess.TimeoutExpired:
            word = "cut off: run again to continue"
    seconds = round(time.monotonic() - started, 1)
    print(f"{word:>12} {script} {seconds:.0f} s", flush=True)
    if word.startswith("failed"):
        print(log.read_text(errors="replace")[-1500:], flush=True)
    return {"script": script, "state": word, "seconds": seconds}


def _environment(folder: Path, state: dict, smoke: bool) -> dict[str, str]:
    paths = [folder / "src", folder / SITE, os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path),
        "PYTHONUNBUFFERED": "1",
        "LITREPRO_PROFILE": "full",
        "LITREPRO_SMOKE": "1" if smoke else "",
        "LITREPRO_BOOK": str(folder / "book"),
        "LITREPRO_DATA": str(folder / "data"),
        "LITREPRO_SCRATCH": str(folder / "scratch"),
        "LITREPRO_COMMIT": state["commit"],
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


def _unpack_shards(data: Path) -> None:
    """CIFAR-10 may travel as lossless shards; the loaders read the official binary batches."""
    for shard in sorted((data / "cifar-10").glob("*_batch*.zip")):
        target = data / "cifar-10" / "cifar-10-batches-bin" / f"{shard.stem}.bin"
        if target.exists():
            continue
        spec = importlib.util.spec_from_file_location("unpack", data / "unpack.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        images, labels = module.load_batch(shard.stem)
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for label, row in zip(labels, rows):
                file.write(bytes([int(label)]) + row.tobytes())


# --- here again: collect ------------------------------------------------------------------------------------------


def collect(root: Path, archive: Path) -> list[str]:
    """Unpack recorded tables into ``book/*/results``; returns their names.

    Raises ``ValueError`` if a table does not match the checksum in its provenance, a member lies elsewhere, or the run
    was a smoke run; nothing is written then.
    """
    with tarfile.open(archive, "r:gz") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}
    about = json.loads(members.pop("run.json", b"{}"))
    if about.get("smoke"):
        raise ValueError("this is a smoke run: its tables are no results")
    members = {name: content for name, content in members.items() if not name.startswith(f"{LOGS}/")}
    for name, content in members.items():
        if (
            not fnmatch.fnmatch(name, "book/[0-9]*/results/*")
            or ".." in name
            or Path(name).suffix not in (".csv", ".json")
        ):
            raise ValueError(f"{name} is no recorded table")
        if name.endswith(".csv"):
            provenance = members.get(name.removesuffix(".csv") + ".json")
            if provenance is None:
                raise ValueError(f"{name} has no provenance beside it")
            if json.loads(provenance)["sha256"] != hashlib.sha256(content).hexdigest():
                raise ValueError(f"{name} is not the table that its provenance describes")
    for name, content in members.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        shutil.move(part, path)
    return sorted(name for name in members if name.endswith(".csv"))


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write a bundle")
    packing.add_argument("target", type=Path)
    packing.add_argument("--notebooks", nargs="*", default=[], metavar="PATTERN")
    packing.add_argument("--data", nargs="*", default=[], metavar="PATTERN")
    packing.add_argument("--wheels", type=Path)
    packing.add_argument("--limit", type=float, default=60, metavar="MIB")
    running = commands.add_parser("run", help="execute an unpacked bundle")
    running.add_argument("--minutes", type=float, default=9)
    running.add_argument("--out", type=Path, default=Path("results.tar.gz"))
    running.add_argument("--smoke", action="store_true", help="the same code at a thousandth of its size")
    running.add_argument("--jobs", type=int, default=1, help="scripts at a time")
    running.add_argument("--cpu-jobs", type=int, default=1, help="scripts at a time on the CPU, beside the others")
    running.add_argument("--only", nargs="*", metavar="PATTERN", help="the scripts to execute")
    running.add_argument("--cpu", nargs="*", metavar="PATTERN", help="the scripts to execute on the CPU")
    collecting = commands.add_parser("collect", help="unpack recorded tables into the book")
    collecting.add_argument("archive", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "pack":
            size = pack(HERE.parent, given.target, given.notebooks, given.data, given.wheels, given.limit)
            print(f"{given.target}: {size / MIB:.1f} MiB")
        elif given.command == "run":
            options = {"jobs": given.jobs, "cpu_jobs": given.cpu_jobs, "only": given.only, "cpu": given.cpu}
            return 1 if run(HERE, given.minutes, given.out, given.smoke, **options) else 0
        else:
            print("\n".join(collect(HERE.parent, given.archive)))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
