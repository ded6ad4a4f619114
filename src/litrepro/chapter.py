"""``Chapter``: what a notebook opens first. Profile, seed and device; claims; recorded tables."""

from __future__ import annotations

import copy
import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from litrepro import _timing, _validate, claims, results, runtime, show

if TYPE_CHECKING:
    import pandas as pd
    import torch


class Chapter:
    """One chapter of the book, as seen from one of its notebooks.

    Parameters
    ----------
    slug
        Folder of the chapter under ``book/``, e.g. ``"03-escaping-saddle-points"``.
    profile
        ``"quick"`` (two CPU cores, minutes) or ``"full"`` (the review's own scale); ``LITREPRO_PROFILE`` overrides it.
    seed
        Non-negative integer from which every random draw of the notebook derives.
    notebook
        Name of the notebook without its ending; found out by itself where that is possible.
    full_minutes
        Estimated minutes of the full profile on one H200-class GPU, for ``litrepro record --list``.

    Raises
    ------
    ValueError
        Unknown profile, a seed that is not a non-negative integer, names that are no text, or a ledger
        that is missing or broken.
    """

    def __init__(
        self,
        slug: str,
        profile: str = "quick",
        seed: int = 0,
        *,
        notebook: str | None = None,
        full_minutes: float | None = None,
    ):
        seed = _validate.seed("seed", seed)
        for name, value in (("slug", slug), ("notebook", "" if notebook is None else notebook)):
            if not isinstance(value, str):
                raise ValueError(f"{name} must be text, got {value!r}")
        if full_minutes is not None:
            _validate.real("full_minutes", full_minutes, 0)
        self.slug = slug
        self.profile = runtime.resolve_profile(profile)
        self.seed = seed
        script = runtime.calling_script()
        self.notebook = notebook or os.environ.get("LITREPRO_NOTEBOOK") or (script.stem if script else "notebook")
        self.full_minutes = full_minutes
        self.smoke = runtime.smoke() and self.profile == "full"
        # A page that runs as a script belongs to its own book, wherever it is called from.
        own = script.parent if script and (script.parent / "claims.yml").is_file() else None
        self.folder = runtime.find_book(own) / slug
        self.claims = claims.load_ledger(self.folder / "claims.yml")
        self._picks: list[Any] = []
        self._saved: dict[str, str] = {}
        self._judged: dict[str, dict[str, Any]] = {}
        self._started = time.perf_counter()

    def __repr__(self) -> str:
        return f"Chapter({self.slug!r}, profile={self.profile!r}, seed={self.seed}, notebook={self.notebook!r})"

    # --- sizes, devices, randomness -----------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether this runs at the review's own scale (the smoke run included)."""
        return self.profile == "full"

    def pick(self, *, quick: Any, full: Any, smoke: Any = None) -> Any:
        """The value for the profile in force: ``quick``, ``full``, or ``smoke`` (default: ``quick``) in a smoke run.

        The values for ``full`` are the configuration of recorded tables: pick sizes before saving results.
        Raises ``ValueError`` for a value of ``full`` that has no stable description as JSON.
        """
        runtime.digest(full)
        self._picks.append(copy.deepcopy(full))
        if self.smoke:
            return quick if smoke is None else smoke
        return full if self.full else quick

    @property
    def device(self) -> torch.device:
        """CPU in quick; in full a CUDA device where there is one. ``LITREPRO_DEVICE`` overrides both."""
        return runtime.pick_device(self.profile)

    def generator(self, offset: int = 0) -> torch.Generator:
        """A CPU generator seeded by the notebook's seed and ``offset``: other offsets, independent streams."""
        try:
            offset = operator.index(offset)
        except TypeError:
            raise ValueError(f"offset must be an integer, got {offset!r}") from None
        return runtime.stream(self.seed, offset)

    def progress(self, iterable: Iterable, description: str = "", total: int | None = None) -> Iterator:
        """``iterable`` with a progress bar on a terminal or in JupyterLab; plain when the build executes it."""
        try:
            iter(iterable)
        except TypeError:
            raise ValueError(f"progress needs something to iterate over, got {type(iterable).__name__}") from None
        if runtime.executed_by_build():
            return iter(iterable)
        return iter(runtime.progress_bar(iterable, desc=description, total=total))

    def clock(self) -> float:
        """A stopwatch: CPU seconds where this runs on a CPU, which neighbours disturb less; wall seconds on a GPU."""
        return _timing.clock(self.device)()

    def seconds(self, function: Callable[[], Any], repeats: int = 3) -> float:
        """Seconds of a call by ``clock``: the best of ``repeats`` calls after one that warms up."""
        return self.race({"function": function}, repeats)["function"]

    def race(self, functions: Mapping[str, Callable[[], Any]], repeats: int = 3) -> dict[str, float]:
        """Seconds of a call of each of several functions, as ``seconds``, to compare them: they take turns.

        What slows the machine for a while slows all of them. Raises ``ValueError`` for no functions and no repeats.
        """
        return _timing.race(functions, self.clock, repeats)

    def elapsed(self) -> float:
        """Seconds since the chapter was opened."""
        return time.perf_counter() - self._started

    def out_of_time(self, minutes: float = 7.0) -> bool:
        """Whether a full command should end and leave the rest to the next one; never in quick.

        It has run for ``minutes`` since the chapter was opened. ``LITREPRO_MINUTES`` is how long a command lasts where
        that is not seven minutes; every limit changes in proportion. Raises ``ValueError`` where that is no number.
        """
        minutes = _validate.real("minutes", minutes, 0)
        return self.full and self.elapsed() > 60 * minutes * runtime.command_minutes() / 7

    def pause(self) -> NoReturn:
        """End a full command whose time is up: what is finished lies in ``scratch``."""
        print("time is up: the same command goes on from here")
        raise SystemExit(runtime.PAUSED)

    def scratch(self, name: str) -> Path:
        """A path for checkpoints of this notebook, outside the tracked files; its folder exists."""
        if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"name must be that of a file in the scratch folder, got {name!r}")
        base = os.environ.get("LITREPRO_SCRATCH") or self.folder.parent / "_build" / "scratch"
        kind = "smoke" if self.smoke else self.profile
        path = Path(base) / kind / self.slug / self.notebook / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def kept(self, name: str, make: Callable[[], pd.DataFrame], minutes: float = 7.0) -> pd.DataFrame:
        """``make()``; a full command reads it from ``scratch`` where an earlier one of its configuration finished it.

        The configuration is what was picked before. Where the part is not there yet and the command is ``out_of_time``,
        it ends here. A smoke run makes everything anew. A full command gets the table as it is read back from a CSV
        file, types included, whether it has just been made or not.

        Raises ``ValueError`` for a name that is no file's, no function, a frame that cannot be a table
        (``results.check_frame``), and a kept file that cannot be read.
        """
        path = self.scratch(name)
        path = path.with_name(f"{path.name}-{self._configuration_digest()[:8]}.csv")
        _validate.function("make", make)
        if self.full and not self.smoke and path.is_file():
            return results.read_kept(path)
        if self.out_of_time(minutes):
            self.pause()
        frame = make()
        results.check_frame(path.stem, frame)
        if not self.full:
            return frame
        results.write_atomically(path, results.to_csv(frame))
        return results.read_kept(path)

    @property
    def plots(self) -> bool:
        """Whether to draw: True in a Jupyter kernel, False in a plain script. The first look sets the book's theme."""
        if not (runtime.in_kernel() or os.environ.get("LITREPRO_PLOTS")):
            return False
        from litrepro import plotting

        plotting.theme()
        return True

    # --- recorded tables ----------------------------------------------------------------------------------------

    def save(self, name: str, frame: pd.DataFrame) -> None:
        """Keep ``frame`` as the full-scale table ``name`` with its provenance; in quick only its configuration counts.

        Raises ``ValueError`` for a bad name or a frame that cannot be a table, whatever the profile.
        """
        results.check_frame(results.check_name(name), frame)
        self._saved[name] = self._configuration_digest()
        if not self.full:
            return
        path = results.save_table(self._results_folder(), name, frame, self._provenance())
        print(f"saved {path.name}: {len(frame)} rows")

    def paper(self, name: str) -> pd.DataFrame | None:
        """The recorded full-scale table ``name``, or None; shows one line that says which, and whether it is stale.

        Raises ``litrepro.results.ResultsError`` if the table does not match its provenance.
        """
        written = self.full and not self.smoke and name in self._saved
        recorded = results.load_table(self._results_folder() if written else self.folder / "results", name)
        payload: dict[str, Any] = {"chapter": self.slug, "notebook": self.notebook, "table": name}
        if recorded is None:
            payload["state"] = "missing"
            show.table(payload)
            return None
        stale = recorded.stale(self._saved.get(name, self._configuration_digest()))
        about = {key: recorded.provenance.get(key) for key in ("device", "date", "commit", "seconds", "rows")}
        payload.update(about, state="stale" if stale else "recorded")
        show.table(payload)
        return recorded.frame

    def table(self, name: str, frame: pd.DataFrame) -> pd.DataFrame | None:
        """``save`` and the frame itself in the full profile; in quick what was recorded, or None."""
        self.save(name, frame)
        return frame if self.full else self.paper(name)

    def scales(self, frame: pd.DataFrame, recorded: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
        """What a figure draws side by side: this run, and the recorded full-scale table where there is one.

        ``recorded`` is what ``table`` returned; in the full profile that is this run itself, and it is drawn once.
        """
        if self.full:
            return {"full scale": frame}
        return {"quick": frame} | ({} if recorded is None else {"full scale": recorded})

    # --- claims -------------------------------------------------------------------------------------------------

    def claim(self, claim_id: str, value: Any = None, holds: Any = None, *, table: str | None = None) -> None:
        """Record what was measured for a claim and show the verdict.

        Parameters
        ----------
        claim_id
            Id of an entry of the chapter's ledger.
        value
            What was measured: a finite number, or a list or mapping of numbers and words.
        holds
            True, False or ``"partly"``, computed from what the notebook measured.
        table
            Name of the recorded table that ``value`` and ``holds`` were computed from. It lets quick judge a claim
            that needs the full profile; without the table the claim is shown as not run.

        Notes
        -----
        A claim that only the full profile can judge, and that was not computed from a recorded table, ignores what
        quick measured: it shows the verdict of the recorded full run, or "not run". Where quick can judge and a
        recorded full run came to another verdict, both are shown. A recorded verdict of this notebook is said to be
        stale where that run had another seed, or had picked something else by then.

        Raises
        ------
        ValueError
            An id that is not in the ledger, a bad name of a table, a value that is not finite, a verdict outside the
            vocabulary.
        """
        entry = self.claims[claim_id]
        if table is not None:
            results.check_name(table)
        needs_record = entry.profile == "full" and not self.full
        if needs_record and table is not None and results.load_table(self.folder / "results", table) is None:
            return self.not_run(claim_id, f"the full-scale table {table} is not recorded")
        verdict = claims.verdict_of(holds)
        value = claims.plain_value(value)
        if needs_record and table is None:
            return self._recorded_claim(entry)
        judged = {
            "verdict": verdict,
            "value": value,
            "profile": "full" if self.full or needs_record else "quick",
            "recorded": needs_record,
        }
        if self.full:
            self._record_verdict(entry, judged)
        elif not needs_record:
            recorded = self._recorded(claim_id) or {}
            judged |= {"at_full_scale": recorded.get("verdict"), "stale": recorded.get("stale", False)}
        self._show_claim(entry, judged)
        return None

    def not_run(self, claim_id: str, reason: str) -> None:
        """Say that a claim could not be judged, and why (its data cannot be had, its table is not recorded)."""
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"a claim that is not run needs a reason, got {reason!r}")
        judged = {"verdict": claims.NOT_RUN, "value": None, "profile": self.profile, "recorded": False}
        self._show_claim(self.claims[claim_id], judged | {"reason": str(reason)})

    def require(self, condition: Any, message: str) -> None:
        """A control without which a verdict means nothing: methods that train, arms that differ, a solver that arrives.

        Raises ``ValueError(message)`` unless ``condition`` holds or the run is smoke; and for bad arguments always.
        """
        if not isinstance(message, str) or not message.strip():
            raise ValueError(f"message must say what did not work, got {message!r}")
        try:
            holds = bool(condition)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"condition must be true or false, got {type(condition).__name__}") from None
        if not (holds or self.smoke):
            raise ValueError(message)

    def ledger(self) -> None:
        """Show the chapter's ledger: every claim with what was reported, its criterion and the verdict it stands by."""
        show.ledger(self.claims, claims.pages_of(self.folder))

    # --- inside -------------------------------------------------------------------------------------------------

    def _configuration(self) -> list[Any]:
        return [self.slug, self.notebook, self.seed, self._picks]

    def _configuration_digest(self) -> str:
        return runtime.digest(self._configuration())

    def _provenance(self) -> dict[str, Any]:
        return {
            "chapter": self.slug,
            "notebook": self.notebook,
            "seed": self.seed,
            "configuration": runtime.plain(self._picks),
            "configuration_digest": self._configuration_digest(),
            "device": runtime.device_name(self.device),
            "versions": runtime.versions(),
            "commit": runtime.commit(self.folder.parent.parent),
            "seconds": round(self.elapsed(), 1),
        }

    def _results_folder(self) -> Path:
        if self.smoke:  # must never be mistaken for a recorded run
            return self.scratch("results")
        # Where the build runs a page with other parameters, or only compares: a folder relative to the book.
        aside = os.environ.get("LITREPRO_RESULTS")
        return self.folder.parent / aside if aside else self.folder / "results"

    def _record_verdict(self, entry: claims.Claim, judged: dict[str, Any]) -> None:
        self._judged[entry.id] = {"id": entry.id, "verdict": judged["verdict"], "value": judged["value"]}
        path = results.verdicts_path(self._results_folder(), self.notebook)
        results.save_verdicts(path, self._provenance(), self._judged, self.claims)

    def _recorded(self, claim_id: str) -> dict[str, Any] | None:
        """Verdict and value of a run at full scale, where one is recorded, and whether the page has left it behind."""
        record = results.load_verdicts(self.folder / "results", self.notebook).get(claim_id)
        if record is None:
            return None
        comparable = record["notebook"] == self.notebook and record["configuration"] is not None
        stale = comparable and not results.same_run(record, self.seed, runtime.plain(self._picks))
        return {"verdict": record["verdict"], "value": record["value"], "stale": stale}

    def _recorded_claim(self, entry: claims.Claim) -> None:
        recorded = self._recorded(entry.id)
        if recorded is None:
            return self.not_run(entry.id, "no run at full scale is recorded")
        return self._show_claim(entry, recorded | {"profile": "full", "recorded": True})

    def _show_claim(self, entry: claims.Claim, judged: dict[str, Any]) -> None:
        payload = {
            "chapter": self.slug,
            "notebook": self.notebook,
            "id": entry.id,
            "kind": entry.kind,
            "claim": entry.claim,
            "source": entry.source,
            "reported": entry.reported,
            "criterion": entry.criterion,
            "profile_needed": entry.profile,
            "ledger": entry.verdict,
            "note": entry.note,
            "seed": self.seed,
            "versions": runtime.versions(),
            **judged,
        }
        show.claim(payload)
