"""The codes of the frame contracts, and a finding under one of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fairlead.core.errors import ContractError
from fairlead.core.time import format_utc, to_ns

RULES: Final = {
    "D01": ("missing_columns", "the columns OPEN, HIGH, LOW, CLOSE and VOLUME must be present, once each"),
    "D02": ("index_type", "the index must hold a time stamp in every row"),
    "D03": ("index_tz", "the time zone of the index must be UTC"),
    "D04": ("not_monotonic", "stamps must increase"),
    "D05": ("duplicates", "no stamp may occur twice"),
    "D06": ("nan_ohlc", "open, high, low and close must be finite numbers"),
    "D07": ("nonpositive_price", "prices must be above 0"),
    "D08": ("bad_volume", "volume must be a finite number, 0 or more"),
    "D09": ("high_low", "high must be the highest price of the bar and low the lowest"),
    "D10": ("dtype", "prices and volume must be numeric columns"),
    "D11": ("session_label", "a daily stamp must be the date of a session, at 00:00 UTC"),
    "I01": ("off_grid", "a stamp must be a whole number of bars after the opening of its session or of its part of it"),
    "I02": ("outside_session", "a stamp must be inside a trading session, opening included, close excluded"),
    "I03": ("wrong_timeframe", "the spacing of the bars must be the declared bar size"),
    "I04": ("straddles", "a bar must end by the close of its session or of its part of it"),
    "I05": ("overnight", "a bar must belong to one session"),
    "I06": ("gaps", "every bar between the first and the last of a session must be present"),
    "S01": (
        "bad_symbol",
        "a symbol must be 1 to 20 capital letters, digits, dots or hyphens, and start with a letter or digit",
    ),
}
"""Code -> (name, rule). S01 concerns tables of several symbols, at import."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that a frame breaks.

    Attributes
    ----------
    code : str
        One of `RULES`, e.g. ``"D05"``.
    message : str
        What was found.
    count : int
        How many rows break the rule; columns for D01 and D10, missing bars for I06, 1 for what concerns the whole frame.
    first_ts : datetime or None
        UTC stamp of the first such row, where it has one.
    """

    code: str
    message: str
    count: int = 1
    first_ts: dt.datetime | None = None

    @property
    def name(self) -> str:
        """The rule's name, e.g. ``"duplicates"``."""
        return RULES[self.code][0]

    def as_json(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        first = None if self.first_ts is None else format_utc(to_ns(self.first_ts))
        return {"code": self.code, "name": self.name, "message": self.message, "count": self.count, "first_ts": first}

    def __str__(self) -> str:
        return f"{self.code} {self.name}: {self.message}"


def contract_error(subject: str, findings: Sequence[object]) -> ContractError:
    """Return the error that lists all `findings` about `subject`, one per line."""
    count = len(findings)
    head = f"{subject} breaks {count} rule{'s' if count != 1 else ''} of its contract:"
    return ContractError("\n".join([head, *(f"  - {finding}" for finding in findings)]))
