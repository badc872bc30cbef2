"""Secrets: how their names and their values are known, and what stands in their place wherever something is shown or kept.

One rule for configurations, logs and whatever else leaves the process (domain rule 16.4): by the name of a key, by the value of
a secret that is known, and by the shape of a value that is a secret wherever it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

REDACTED: Final = "(redacted)"
# Shorter ones occur in innocent text; they are hidden where they are the whole of a value.
SHORTEST_IN_TEXT: Final = 5
_NAMES: Final = r"passw(?:or)?d|passphrase|secret|token|(?:api|private|access)[_-]?key|credential|authorization"
_SECRET: Final = re.compile(_NAMES, re.IGNORECASE)
_SCHEMES: Final = r"(?:Bearer|Basic|Token|Api-?Key|Key|Digest|Negotiate|NTLM)\s{1,4}"
# Repetitions are bounded or give nothing back: a text of a stranger must not cost more than its length.
_ASSIGNED: Final = re.compile(
    rf"""
    (?P<name>(?:{_NAMES})[\w-]{{0,40}}(?:\\{{0,16}}["'])?\s{{0,4}}[=:]\s{{0,4}})
    (?P<scheme>{_SCHEMES})?
    (?!(?:{_SCHEMES})?\(redacted\)|[=\s])
    (?:
        (?:[bru]{{1,2}}(?=\\{{0,16}}["']))?                    # Python's prefixes: b'...'
        (?:
            (?P<quote>["'])(?:(?!(?P=quote))[^\\\n]|\\[^\n])*+(?P=quote)?
            # Text inside of text. Its quotes have backslashes, and the quotes in it more of them; a bare one ends all.
          | (?P<depth>\\{{1,16}}+)(?P<inner>["'])
            (?:(?!(?P=inner))[^\\\n]|(?!(?P=depth)(?P=inner))\\++(?P=inner)?+)*+(?:(?P=depth)(?P=inner))?
        )
      | [^\s"',;&}}\])]+
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SHAPES: Final = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    (re.compile(r"(://[^\s/@:]{0,200}:)[^\s/]{1,400}@"), rf"\g<1>{REDACTED}@"),
    (re.compile(r"\b(Bearer\s)(?!\(redacted\))[\w.~+/=-]{8,}"), rf"\g<1>{REDACTED}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), REDACTED),
)
# No shape and no assignment is without one of these; most texts are.
_HINT: Final = re.compile(r"[:=]|-----|eyJ|AKIA|ASIA|Bearer")


def is_secret(names: Iterable[object]) -> bool:
    """Return whether any of `names`, the parts of a key path or an environment variable's name, says "secret"."""
    return any(isinstance(name, str) and _SECRET.search(name) for name in names)


class Secrets:
    """What must not be shown.

    Parameters
    ----------
    values : iterable
        Known secrets: text, or numbers that stand for it. They are also known as a URL, JSON or Python's `repr` writes them.
    """

    __slots__ = ("_in_text", "_whole")

    def __init__(self, values: Iterable[object] = ()) -> None:
        whole = {str(value) for value in values if value is not None and not isinstance(value, bool)} - {""}
        self._whole: Final = frozenset(whole)
        spelled = {form for value in whole if len(value) >= SHORTEST_IN_TEXT for form in _spellings(value)}
        # The longest first: a secret that begins with another must not leave its end behind.
        ordered = sorted(spelled, key=lambda form: (-len(form), form))
        self._in_text: Final = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __repr__(self) -> str:
        return f"Secrets(<{len(self._whole)} values>)"

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Secrets:
        """Return the values of the variables whose names say that they are secret."""
        return cls(value for name, value in environ.items() if is_secret((name,)))

    def also(self, other: Secrets) -> Secrets:
        """Return what hides the secrets of both."""
        return Secrets(self._whole | other._whole)

    def hide(self, text: str) -> str:
        """Return `text` without the known values in it, what follows ``password=``, passwords in URLs, keys and tokens."""
        if text in self._whole:
            return REDACTED
        if self._in_text is not None:
            text = self._in_text.sub(REDACTED, text)
        if not _HINT.search(text):
            return text
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return _ASSIGNED.sub(rf"\g<name>\g<scheme>{REDACTED}", text)

    def leaf(self, path: Iterable[object], value: object, *, known: bool = False) -> object:
        """Return a scalar as it may be shown.

        Parameters
        ----------
        path : iterable
            The keys above it. "Not given" and switches reveal nothing and stay, whatever they are called.
        value : scalar
        known : bool
            Whether it is known to be secret from elsewhere.
        """
        if value is None or isinstance(value, bool):
            return value
        if known or is_secret(path):
            return REDACTED
        if isinstance(value, str):
            return self.hide(value)
        return REDACTED if str(value) in self._whole else value


def _spellings(value: str) -> set[str]:
    return {value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
