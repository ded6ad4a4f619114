"""Which elements a text names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from litrepro import _validate
from litrepro.materials._elements import SYMBOLS
from litrepro.materials._formulas import parse_formula

_NAMES = {
    "H": "hydrogen",
    "Li": "lithium",
    "C": "carbon",
    "N": "nitrogen",
    "O": "oxygen",
    "F": "fluorine",
    "Na": "sodium",
    "Mg": "magnesium",
    "Al": "aluminium|aluminum|alumina",
    "Si": "silicon|silica",
    "P": "phosphorus",
    "S": "sulfur|sulphur",
    "K": "potassium",
    "Ca": "calcium",
    "Sc": "scandium|scandia",
    "Ti": "titanium|titania",
    "V": "vanadium",
    "Cr": "chromium|chromia",
    "Mn": "manganese",
    "Fe": "iron",
    "Co": "cobalt",
    "Ni": "nickel",
    "Cu": "copper",
    "Zn": "zinc",
    "Ga": "gallium",
    "Sr": "strontium",
    "Y": "yttrium|yttria",
    "Zr": "zirconium|zirconia",
    "Nb": "niobium",
    "Mo": "molybdenum",
    "Ru": "ruthenium",
    "Pd": "palladium",
    "Ag": "silver",
    "In": "indium",
    "Sn": "tin",
    "Ba": "barium",
    "La": "lanthanum",
    "Ce": "cerium|ceria",
    "Pr": "praseodymium",
    "Nd": "neodymium",
    "Sm": "samarium|samaria",
    "Gd": "gadolinium|gadolinia",
    "Yb": "ytterbium",
    "Ta": "tantalum",
    "W": "tungsten",
    "Pt": "platinum",
    "Au": "gold",
    "Bi": "bismuth",
}
# Symbols that are words, units or initials more often than elements when they stand alone.
_WORDS = frozenset(
    ("In", "As", "At", "He", "No", "Be", "Pa", "Ac", "Am", "Cm", "Es", "Fm", "Md", "Lr", "Mt", "Pm", "Po", "Np", "Ho")
    + ("Th", "Os")
)
_PLURAL = re.compile(r"\(?[A-Z]{2,}s(\)\d*)?\Z")  # SOFCs holds no caesium, nor does (SOFCs)12 with a reference
_WORD = re.compile(r"\w+")
_FOLDED = re.compile("[\u0130\u0131\u017f\u212a]")  # equal to i, s or k where case is ignored, and not lower case of it
_FORMULA = re.compile(r"\(*[A-Z][A-Za-z0-9.()]*")


def element_mentions(texts: Sequence[str]) -> tuple[torch.Tensor, list[str]]:
    """Which elements each text names, by English name or oxide name, by symbol, or inside a formula.

    A formula counts if it parses and holds a digit or a symbol of two letters (so that SOFC is no compound); a symbol
    that is also a common word or a unit does not count alone. Abbreviations (YSZ, LSCF) are not resolved.

    Returns
    -------
    (N, 118) bool and the symbols of the columns.

    Raises ``ValueError`` if ``texts`` is a single text, or holds something else.

    Examples
    --------
    >>> found, symbols = element_mentions(["sintering of zirconia", "LaMnO3 was calcined"])
    >>> [[symbol for symbol, named in zip(symbols, row) if named] for row in found]
    [['Zr'], ['O', 'Mn', 'La']]
    """
    if isinstance(texts, str):
        raise ValueError("texts must be a sequence of texts, got a single one")
    texts = _validate.sequence("texts", texts, 0)
    strange = [type(text).__name__ for text in texts if not isinstance(text, str)]
    if strange:
        raise ValueError(f"texts must hold text, got {strange[0]}")
    words = {re.compile(rf"\b(?:{names})\b", re.IGNORECASE): symbol for symbol, names in _NAMES.items()}
    plain = {name: symbol for symbol, names in _NAMES.items() for name in names.split("|")}
    formulas: dict[str, set[str]] = {}  # tokens come again
    place = {symbol: column for column, symbol in enumerate(SYMBOLS)}
    named = torch.zeros(len(texts), len(SYMBOLS), dtype=torch.bool)
    for row, text in enumerate(texts):
        if _FOLDED.search(text):
            found = {symbol for pattern, symbol in words.items() if pattern.search(text)}
        else:
            found = {plain[word] for word in plain.keys() & _WORD.findall(text.lower())}
        for token in _FORMULA.findall(text):
            if token not in formulas:
                formulas[token] = _elements_of(_without_text(token))
            found |= formulas[token]
        for symbol in found:
            named[row, place[symbol]] = True
    return named, list(SYMBOLS)


def _without_text(token: str) -> str:
    """The token without full stops at its end and brackets that belong to the text around it."""
    token = token.rstrip(".")
    while token.endswith(")") and token.count(")") > token.count("("):
        token = token[:-1].rstrip(".")
    return token[max(0, token.count("(") - token.count(")")) :] if token.startswith("(") else token


def _elements_of(token: str) -> set[str]:
    """The elements of a token that reads as a formula, else none."""
    if token.strip("()") in _WORDS or _PLURAL.match(token):
        return set()
    try:
        parts = set(parse_formula(token))
    except ValueError:
        return set()
    long = any(len(symbol) == 2 for symbol in parts)
    digits = any(character.isdigit() for character in token)
    return parts if long or (digits and len(parts) > 1) else set()
