"""The ``litrepro`` command: run, check, status, build, record, data."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from litrepro import runtime
from litrepro.build import check as checks
from litrepro.build import environment, execute, notebooks

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Execute, check and render the book.", rich_markup_mode=None
)
console = Console(highlight=False, soft_wrap=True)

Patterns = Annotated[list[str] | None, typer.Argument(help="Chapters or notebooks: 02, 02-momentum/iris, '*/review'.")]
_NUMBER = re.compile(r"[+-]?(?:\d+|(?P<real>(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+))", re.ASCII)
_CLOCK = re.compile(r"[+-]?\d+(?::\d+)+(?:\.\d*)?")  # 12:30 is a number to base sixty in YAML, a text to people
_LAST_WORDS = 12  # lines of what went wrong with a notebook, in the summary
_STYLE = {
    "fresh": "dim",
    "reworded": "green",
    "executed": "green",
    "same": "green",
    "differs": "red",
    "failed": "red",
    "paused": "yellow",
    "interrupted": "yellow",
}


@app.callback()
def _start() -> None:
    # A relative path means the folder in which the command is typed, for the pages as well.
    environment.make_absolute(os.environ)


def _book_and_pairs(patterns: list[str] | None) -> tuple[Path, list[notebooks.Pair]]:
    try:
        book = runtime.find_book()
        return book, notebooks.discover(book, patterns or ())
    except (ValueError, FileNotFoundError) as error:
        console.print(f"[red]{escape(str(error))}")
        raise typer.Exit(2) from None


@app.command()
def run(
    patterns: Patterns = None,
    profile: Annotated[str, typer.Option(help="quick, or full (the review's own scale).")] = "quick",
    workers: Annotated[int, typer.Option(min=1, help="Notebooks at a time.")] = max(1, os.cpu_count() or 1),
    force: Annotated[bool, typer.Option("--force", help="Execute also what is fresh.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Execute, write nothing, fail when an output or a verdict changed.")
    ] = False,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds for one notebook.")] = 900,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", help="NAME=VALUE, written to a copy under book/_build/runs."),
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask.distributed scheduler.")] = None,
) -> None:
    """Execute what is stale. A failed notebook leaves its previous copy; the others go on; the exit status says so."""
    book, pairs = _book_and_pairs(patterns)
    _handle_signals(execute.interrupt)
    try:
        settings = execute.Settings(
            profile=profile,
            workers=workers,
            force=force,
            timeout=timeout,
            parameters=_parameters(parameter or []),
            compare=compare,
            scheduler=scheduler,
        )
        outcomes = _run_with_progress(book, pairs, settings)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted. Finished notebooks are kept; run the same command again to go on.")
        raise typer.Exit(130) from None
    except (ValueError, OSError) as error:
        console.print(f"[red]{escape(str(error))}")
        raise typer.Exit(2) from None
    bad = [outcome for outcome in outcomes if not outcome.good]
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
    cpu = sum(outcome.cpu_seconds for outcome in outcomes)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()) + f"; {cpu:.0f} CPU-seconds")
    # Once more at the end: of a long log on a CI server this is the part that is read.
    for outcome in bad:
        said = outcome.error["reason"] if outcome.error else "\n".join(outcome.problems)
        console.print(f"[{_STYLE[outcome.state]}]{outcome.state:>11}[/] {outcome.pair.key}")
        console.print(escape(_indent("\n".join(said.splitlines()[:_LAST_WORDS]))))
    raise typer.Exit(1 if bad else 0)


def _handle_signals(handler: Any) -> None:
    """A shell that starts us in the background has SIGINT ignored; a CI runner stops us with SIGTERM, a terminal that
    is closed with SIGHUP, unless it was told not to."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):
            signal.signal(number, handler)


def _run_with_progress(book: Path, pairs: list[notebooks.Pair], settings: execute.Settings) -> list[execute.Outcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("notebooks", total=len(pairs))

        def report(outcome: execute.Outcome) -> None:
            progress.advance(task)
            _print_outcome(outcome)

        return execute.run(book, pairs, settings, report)


def _print_outcome(outcome: execute.Outcome) -> None:
    style = _STYLE[outcome.state]
    times = f"  {outcome.seconds:.1f} s, {outcome.cpu_seconds:.1f} CPU-s" if outcome.seconds else ""
    console.print(f"[{style}]{outcome.state:>11}[/] {outcome.pair.key}{times}")
    for problem in outcome.problems:
        console.print(f"            {escape(problem)}")
    if outcome.error and outcome.state in ("failed", "paused"):
        error = outcome.error
        place = f"chapter {outcome.pair.folder or 'book'}, notebook {outcome.pair.name}"
        place += f", cell {error['cell']}" if error["cell"] else ""
        console.print(f"[red]{escape(place)}: {escape(error['reason'])}[/]")
        if error["source"]:
            console.print(escape(_indent(error["source"])), style="dim")
        if error["traceback"]:
            console.print(Text.from_ansi(_indent(error["traceback"][-6000:])))


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _parameters(assignments: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` with a number, or YAML's text, true, false or null: what papermill can write into a notebook."""
    import yaml

    found: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name.isidentifier():
            raise ValueError(f"a parameter is NAME=VALUE, got {assignment!r}")
        if number := _NUMBER.fullmatch(text):
            # As Python reads it: in YAML 1e3 is text and 010 is eight.
            found[name] = float(text) if number["real"] else int(text)
            continue
        try:
            found[name] = text if _CLOCK.fullmatch(text) else yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):  # the latter for a date that is none
            found[name] = ...
        if not isinstance(found[name], str | int | float | None):
            raise ValueError(
                f"parameter {name} must be a plain value (a number, true, false, null, text), got {text!r}; "
                f"quotes make it text: -p '{name}=\"...\"'"
            )
    return found


@app.command()
def check(patterns: Patterns = None) -> None:
    """Check pairs, claims, verdicts, tags, recorded tables and outputs; nothing is executed."""
    book, pairs = _book_and_pairs(patterns)
    problems = checks.check(book, pairs)
    for problem in problems:
        style = "red" if problem.level == "error" else "yellow"
        console.print(f"[{style}]{problem.level:>8}[/] {escape(problem.where)}: {escape(problem.what)}")
    errors = sum(problem.level == "error" for problem in problems)
    console.print(f"{len(pairs)} notebooks checked, {errors} errors, {len(problems) - errors} warnings")
    raise typer.Exit(1 if errors else 0)


@app.command()
def status(patterns: Patterns = None) -> None:
    """Show every notebook's state, its claims by verdict and its recorded tables."""
    from litrepro.build import harvest

    book, pairs = _book_and_pairs(patterns)
    table = Table("Notebook", "State", "Claims", "Verdicts", "Full-scale tables")
    del book
    for pair in pairs:
        try:
            state = execute.state_of(pair)
            judged = harvest.claims_in(pair) if pair.executed.is_file() else []
            tables = harvest.tables_in(pair) if pair.executed.is_file() else []
        except (OSError, ValueError):  # `check` says why
            state, judged, tables = "unreadable", [], []
        verdicts: dict[str, int] = {}
        for payload in judged:
            verdicts[payload["verdict"]] = verdicts.get(payload["verdict"], 0) + 1
        table.add_row(
            pair.key,
            state,
            str(len(judged)),
            ", ".join(f"{count} {name}" for name, count in verdicts.items()),
            ", ".join(f"{payload['table']} ({payload['state']})" for payload in tables),
        )
    console.print(table)


@app.command()
def record(
    patterns: Patterns = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Say what is recorded, stale or missing; run nothing.")
    ] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="The full code path at a thousandth of its size.")] = False,
    limit: Annotated[float | None, typer.Option(min=1, help="Seconds for one notebook; a later run continues.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask.distributed scheduler.")] = None,
) -> None:
    """Record full-scale tables: the notebooks' .py, one process each, without Jupyter.

    Of the chapters asked for, notebooks that save a table are run; one that a pattern names alone is run in any case.
    The exit status is 75 where a notebook has paused and none failed: the same command goes on from there.
    """
    from litrepro.build import record as recorder

    _, pairs = _book_and_pairs(patterns)
    found = recorder.recordings([pair for pair in pairs if not pair.is_scoreboard])
    if listing:
        table = Table("Notebook", "Table", "State", "Minutes", "Device")
        for each in found:
            minutes = "?" if each.minutes is None else f"{each.minutes:.1f}"
            table.add_row(each.pair.key, each.table, each.state, minutes, each.device)
        console.print(table)
        return
    failed = paused = 0
    # A smoke run covers every notebook: its full code path has to work even where no table is saved.
    saving = {each.pair for each in found} | _named_alone(patterns)
    pages = [pair for pair in pairs if not pair.is_scoreboard]
    chosen = [pair for pair in pages if smoke or pair in saving]
    if not chosen or (patterns and len(chosen) < len(pairs)):
        left = [pair.key for pair in pairs if pair not in chosen]
        console.print(f"no table to record: {', '.join(left)}", style="dim")
    _handle_signals(signal.default_int_handler)
    if scheduler:
        done = recorder.record_on_cluster(chosen, scheduler, smoke=smoke, limit=limit)
    else:
        done = ((pair, *recorder.record(pair, smoke=smoke, limit=limit)) for pair in chosen)
    try:
        for pair, status, seconds in done:
            waits = status == runtime.PAUSED
            paused += waits
            failed += status != 0 and not waits
            words = "[green]recorded[/]" if status == 0 else f"[red]failed with {status}[/]"
            words = "[yellow]paused: run again[/]" if waits else words
            console.print(f"{words} {pair.key}  {seconds:.0f} s")
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted. What was recorded is kept; run the same command again to go on.")
        raise typer.Exit(130) from None
    except OSError as error:
        console.print(f"[red]{escape(str(error))}")
        raise typer.Exit(2) from None
    raise typer.Exit(1 if failed else runtime.PAUSED if paused else 0)


def _named_alone(patterns: list[str] | None) -> set[notebooks.Pair]:
    """Notebooks that are the only one that a pattern matches."""
    book = runtime.find_book()
    hits = [notebooks.discover(book, [pattern]) for pattern in patterns or ()]
    return {pair for pairs in hits if len(pairs) == 1 for pair in pairs}


@app.command()
def build(
    lenient: Annotated[bool, typer.Option("--lenient", help="Warnings of the renderer do not fail the build.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Render again although nothing has changed.")] = False,
) -> None:
    """Render the site from the executed notebooks to book/_build/html."""
    from litrepro.build import site

    book, _ = _book_and_pairs(None)
    try:
        index = site.build(book.parent, strict=not lenient, force=force)
    except (RuntimeError, ValueError, OSError) as error:
        console.print(f"[red]{escape(str(error))}")
        raise typer.Exit(1) from None
    console.print(
        f"The book is at {escape(os.path.relpath(index))}: open it in a browser (no server, no network needed)."
    )


@app.command()
def pdf() -> None:
    """Print the book from the executed notebooks to book/_build/litrepro.pdf; needs Chromium."""
    from litrepro.build import pdf as printer

    book, _ = _book_and_pairs(None)
    try:
        target = printer.build(book.parent)
    except (RuntimeError, ValueError, OSError) as error:
        console.print(f"[red]{escape(str(error))}")
        raise typer.Exit(1) from None
    console.print(f"The book is at {escape(os.path.relpath(target))} ({target.stat().st_size / 1e6:.1f} MB).")


@app.command()
def data(
    verify: Annotated[bool, typer.Option("--verify", help="Compute checksums of what is there.")] = False,
) -> None:
    """List the data sets: what is there, where it was found, what it would take to get the rest."""
    from litrepro.data import inventory

    records = inventory(verify=verify)
    columns = ["dataset", "state", "where", "size_mb", "licence"] + (["checksum"] if verify else [])
    table = Table(*(name.replace("_mb", " (MB)").capitalize() for name in columns))
    for record in records:
        table.add_row(*(escape(str(record[name])) for name in columns))
    console.print(table)
    for record in records:
        if record["state"] != "complete":
            console.print(f"[bold]{record['dataset']}[/]: {escape(record['remedy'])}")
    found = os.environ.get("LITREPRO_DATA")
    if found and not Path(found).is_dir():
        console.print(f"[yellow]LITREPRO_DATA is {escape(found)}, which does not exist or is no folder")
    else:
        console.print(f"LITREPRO_DATA is {escape(found)}" if found else "LITREPRO_DATA is not set", style="dim")


def main() -> None:
    """Entry point of the ``litrepro`` command."""
    app()
