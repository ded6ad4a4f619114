"""The ledger: every checkable sentence, table, figure or formula of a review, with its verdict.

A chapter's ``claims.yml`` is a list of entries. They are validated when they are read: an unknown key, a duplicate id
or a word outside the vocabulary is an error that names the file and the entry.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KINDS = ("theorem", "figure", "table", "statement", "erratum")
PROFILES = ("quick", "full")
VERDICTS = ("reproduced", "partly", "not reproduced")
NOT_RUN = "not run"
LEDGER_VERDICTS = (*VERDICTS, "open")
MIME = "application/vnd.litrepro.claim+json"

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_REQUIRED = ("id", "kind", "claim", "source", "criterion", "profile", "verdict")
_OPTIONAL = ("reported", "note")


class LedgerError(ValueError):
    """A ledger that cannot be trusted; the message names the file and the entry."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """One entry of a ledger. ``verdict`` is what the book stands by; a notebook computes its own."""

    id: str
    kind: str
    claim: str
    source: str
    criterion: str
    profile: str
    verdict: str
    reported: str = ""
    note: str = ""


class Ledger(Mapping[str, Claim]):
    """The claims of one chapter by id, in the order of the file."""

    def __init__(self, chapter: str, path: Path, claims: list[Claim]):
        self.chapter = chapter
        self.path = path
        self._claims = {claim.id: claim for claim in claims}

    def __getitem__(self, claim_id: str) -> Claim:
        if not isinstance(claim_id, str) or claim_id not in self._claims:
            raise LedgerError(
                f"{self.path.name} of {self.chapter} has no claim {claim_id!r}; it has: {', '.join(self._claims)}"
            )
        return self._claims[claim_id]

    def __contains__(self, claim_id: object) -> bool:
        return isinstance(claim_id, str) and claim_id in self._claims

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)


def load_ledger(path: str | Path) -> Ledger:
    """Read and validate a chapter's ``claims.yml``.

    Raises
    ------
    LedgerError
        A missing file, broken YAML, an entry that is not a mapping, unknown, missing or repeated keys, duplicate ids,
        words outside the vocabulary, ``open`` for a claim that quick can judge, a verdict other than a plain
        "reproduced" without a note. The message names file, entry and what was expected.
    """
    if not isinstance(path, str | Path):
        raise LedgerError(f"a ledger is read from a path, got {path!r}")
    path = Path(path)
    entries = _read_yaml(path)
    if not isinstance(entries, list) or not entries:
        raise LedgerError(f"{path}: expected a non-empty list of claims, got {type(entries).__name__}")
    claims: list[Claim] = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        claim = _claim(entry, f"{path}: entry {number}")
        if claim.id in seen:
            raise LedgerError(f"{path}: entry {number}: duplicate id {claim.id!r}")
        seen.add(claim.id)
        claims.append(claim)
    return Ledger(path.parent.name, path, claims)


def _read_yaml(path: Path) -> Any:
    import yaml

    class UniqueKeys(yaml.SafeLoader):
        """PyYAML lets the last of two equal keys win in silence; a ledger must not."""

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict:
        keys = [loader.construct_object(key) for key, _ in node.value]
        repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
        if repeated:
            line = node.start_mark.line + 1
            raise LedgerError(f"{path}: line {line}: repeated key {', '.join(repeated)}")
        return {loader.construct_object(k): loader.construct_object(v, deep=True) for k, v in node.value}

    UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise LedgerError(f"{path}: not UTF-8 text ({error})") from error
    try:
        return yaml.load(text, Loader=UniqueKeys)
    except yaml.YAMLError as error:
        raise LedgerError(f"{path}: not valid YAML: {error}") from error


def _claim(entry: Any, where: str) -> Claim:
    if not isinstance(entry, dict):
        raise LedgerError(f"{where}: expected a mapping, got {type(entry).__name__}")
    if "id" in entry:
        where = f"{where} ({entry['id']})"
    unknown = sorted(str(key) for key in entry if key not in _REQUIRED + _OPTIONAL)
    if unknown:
        raise LedgerError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(_REQUIRED + _OPTIONAL)}")
    missing = [key for key in _REQUIRED if entry.get(key) in (None, "")]
    if missing:
        raise LedgerError(f"{where}: missing {', '.join(missing)}")
    wrong = [key for key, value in entry.items() if value is not None and not isinstance(value, str | int | float)]
    if wrong:
        raise LedgerError(f"{where}: {', '.join(wrong)} must be text")
    text = {key: str(value).strip() for key, value in entry.items() if value is not None}
    if not _ID.match(text["id"]):
        raise LedgerError(f"{where}: id must be lower-case words joined by hyphens, got {text['id']!r}")
    for key, vocabulary in (("kind", KINDS), ("profile", PROFILES), ("verdict", LEDGER_VERDICTS)):
        if text[key] not in vocabulary:
            raise LedgerError(f"{where}: {key} must be one of {', '.join(vocabulary)}; got {text[key]!r}")
    if text["verdict"] == "open" and text["profile"] != "full":
        raise LedgerError(f"{where}: verdict 'open' is for claims that only the full profile can judge")
    if text["verdict"] != "reproduced" and not text.get("note"):
        raise LedgerError(f"{where}: verdict {text['verdict']!r} needs a note that says why")
    return Claim(**text)


def pages_of(folder: Path) -> dict[str, str]:
    """From claim id to the notebook of a chapter's folder whose source judges it, for links in the ledger."""
    pages: dict[str, str] = {}
    for source in sorted(folder.glob("*.py")):
        for claim_id in re.findall(r"ch\.(?:claim|not_run)\(\s*[\"']([a-z0-9-]+)[\"']", source.read_text("utf-8")):
            pages.setdefault(claim_id, source.stem)
    return pages


def verdict_of(holds: Any) -> str:
    """The verdict for ``holds``: True, False (also numpy's and 0-dim torch's) or "partly"; else ``ValueError``."""
    if isinstance(holds, str) and holds == "partly":
        return "partly"
    if isinstance(holds, bool):
        return "reproduced" if holds else "not reproduced"
    scalar = getattr(holds, "item", None)
    if scalar is not None and str(getattr(holds, "dtype", "")) in {"bool", "torch.bool"} and holds.ndim == 0:
        return verdict_of(bool(scalar()))
    raise ValueError(f"holds must be True, False or 'partly', got {holds!r}")


def plain_value(value: Any, where: str = "value") -> Any:
    """``value`` as JSON-ready Python: numbers, text, lists and mappings, every number finite.

    Accepts numpy and torch scalars and arrays. Raises ``ValueError`` for anything else, for an empty container and for
    a number that is not finite, naming the place inside the value.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None:
        raise ValueError(f"{where} is None: a claim needs what was measured")
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is not finite: {value!r}")
        return value
    if isinstance(value, Mapping):
        if not value:
            raise ValueError(f"{where} is empty")
        return {str(key): plain_value(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"{where} is empty")
        return [plain_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise ValueError(f"{where} must be a number, text, a list or a mapping of these, got {type(value).__name__}")
