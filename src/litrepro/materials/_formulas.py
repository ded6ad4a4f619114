"""Chemical formulas: from text to amounts."""

from __future__ import annotations

import functools
import math
import re

from litrepro.materials._elements import SYMBOLS

_TOKEN = re.compile(r"([A-Z][a-z]?)|([(\[{])|([)\]}])")
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_PARTNER = {")": "(", "]": "[", "}": "{"}
_KNOWN = frozenset(SYMBOLS)


def parse_formula(formula: str) -> dict[str, float]:
    """Amounts by element: ``"Fe2(SO4)3"`` gives ``{"Fe": 2.0, "S": 3.0, "O": 12.0}``.

    Decimals and nested parentheses (round, square or curly) are read; elements come in the order of their first
    mention.

    Raises
    ------
    ValueError
        An empty formula, an unknown element, one that starts with a lower-case letter, a number without anything before
        it, an amount that is zero or too large for a float, empty parentheses or ones that do not match.

    Examples
    --------
    >>> parse_formula("Fe2(SO4)3")
    {'Fe': 2.0, 'S': 3.0, 'O': 12.0}
    """
    if not isinstance(formula, str) or not formula.strip():
        raise ValueError(f"a formula must be text such as 'Fe2O3', got {formula!r}")
    text = formula.strip()
    open_groups: list[tuple[str, dict[str, float]]] = [("", {})]
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"formula {formula!r}: no element or parenthesis where {text[place:]!r} begins")
        element, opening, closing = match.groups()
        place = match.end()
        if opening is not None:
            open_groups.append((opening, {}))
            continue
        group = {element: 1.0} if element is not None else _close(formula, open_groups, closing)
        if element is not None and element not in _KNOWN:
            raise ValueError(f"formula {formula!r}: unknown element {element!r}")
        number = _NUMBER.match(text, place)
        amount = 1.0
        if number is not None:
            amount, place = float(number.group()), number.end()
            if not 0 < amount < math.inf:
                raise ValueError(f"formula {formula!r}: amounts must be positive and finite, got {number.group()}")
        total = open_groups[-1][1]
        for name, value in group.items():
            total[name] = total.get(name, 0.0) + amount * value
    if len(open_groups) > 1:
        raise ValueError(f"formula {formula!r}: {open_groups[-1][0]!r} is never closed")
    if not math.isfinite(sum(open_groups[0][1].values())):  # fsum raises OverflowError
        raise ValueError(f"formula {formula!r}: amounts must be finite, got {open_groups[0][1]}")
    return open_groups[0][1]


def _close(formula: str, open_groups: list[tuple[str, dict[str, float]]], closing: str) -> dict[str, float]:
    """Take the innermost group off the stack; it must have been opened by the partner of ``closing``."""
    opening, group = open_groups[-1]
    if opening != _PARTNER[closing]:
        raise ValueError(f"formula {formula!r}: {closing!r} does not match {opening or 'anything'!r}")
    if not group:
        raise ValueError(f"formula {formula!r}: empty parentheses")
    open_groups.pop()
    return group


def reduced_composition(formula: str) -> str:
    """A name that all multiples and orderings of a composition share, e.g. ``"Fe:0.4 O:0.6"`` for Fe2O3 and O6Fe4.

    Fractions are rounded to five digits. Raises ``ValueError`` as ``parse_formula`` does.

    Examples
    --------
    >>> reduced_composition("Fe2O3"), reduced_composition("O6Fe4") == reduced_composition("Fe2O3")
    ('Fe:0.4 O:0.6', True)
    """
    return _reduced(formula) if isinstance(formula, str) else _reduced.__wrapped__(formula)


@functools.lru_cache(maxsize=100_000)
def _reduced(formula: str) -> str:
    amounts = parse_formula(formula)
    total = math.fsum(amounts.values())
    return " ".join(f"{name}:{round(amounts[name] / total, 5):g}" for name in sorted(amounts))
