"""Which symbols and which dates of a dataset: the part that stored and in-memory sources share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.time import NS_PER_DAY, date_to_day, day_to_date, to_ns


@dataclass(frozen=True, slots=True)
class DateRange:
    """A range of history, both ends included; None is open.

    A date bounds sessions. An aware datetime bounds bar labels, that is opening instants.
    """

    start: dt.date | dt.datetime | None = None
    end: dt.date | dt.datetime | None = None

    def __post_init__(self) -> None:
        for name, bound in (("start", self.start), ("end", self.end)):
            if isinstance(bound, dt.datetime) and bound.tzinfo is None:
                raise ConfigurationError.of(name, "be a date or carry a time zone", bound.isoformat())
        first, last = self.sessions
        if first > last:
            raise ConfigurationError.of("end", f"not be before start ({self.start})", str(self.end))

    @property
    def sessions(self) -> tuple[int, int]:
        """First and last session that can hold a bar of the range, in days since the epoch; wider where instants bound it."""
        first = date_to_day(dt.date.min) if self.start is None else _session(self.start, -1)
        last = date_to_day(dt.date.max) if self.end is None else _session(self.end, 1)
        return first, last

    def cut(self, chunk: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        """Return the rows of a part of a canonical table that lie in the range, without copying."""
        first, stop = 0, chunk.num_rows
        if self.start is not None:
            values, bound = _sorted_values(chunk, self.start)
            first = int(np.searchsorted(values, bound, side="left"))
        if self.end is not None:
            values, bound = _sorted_values(chunk, self.end)
            stop = int(np.searchsorted(values, bound, side="right"))
        return chunk if stop - first == chunk.num_rows else chunk.slice(first, max(0, stop - first))

    def __str__(self) -> str:
        return f"{self.start or 'the beginning'} to {self.end or 'the end'}"


def _session(bound: dt.date | dt.datetime, slack: int) -> int:
    if isinstance(bound, dt.datetime):
        # A session's date and the UTC date of its hours differ by up to a day.
        return to_ns(bound) // NS_PER_DAY + slack
    return date_to_day(bound)


def _sorted_values(chunk: pa.Table | pa.RecordBatch, bound: dt.date | dt.datetime) -> tuple[Any, Any]:
    if isinstance(bound, dt.datetime):
        return chunk.column("label").to_numpy(zero_copy_only=False), np.datetime64(to_ns(bound), "ns")
    return chunk.column("session").to_numpy(zero_copy_only=False), np.datetime64(bound, "D")


def choose_symbols(symbols: Sequence[str] | None, known: Iterable[str], dataset: str) -> tuple[str, ...]:
    """Return the selected symbols, sorted and without repetition; all if None or empty.

    Raises
    ------
    UnknownName
        If the dataset has no such symbol.
    """
    names = sorted(set(known))
    if not symbols:
        return tuple(names)
    for symbol in symbols:
        if symbol not in names:
            raise UnknownName.among(f"symbol in dataset {dataset!r}", symbol, names)
    return tuple(sorted(set(symbols)))


def choose_actions(
    actions: Iterable[CorporateAction], symbols: Iterable[str], dates: DateRange | None = None
) -> tuple[CorporateAction, ...]:
    """Return the actions of `symbols` within `dates`, ordered by `CorporateAction.sort_key`."""
    names = set(symbols)
    first, last = (dates or DateRange()).sessions
    chosen = (a for a in actions if a.symbol in names and first <= a.ex_session <= last)
    return tuple(sorted(chosen, key=lambda action: action.sort_key))


def span_text(first_session: int, last_session: int) -> str:
    """Return ``2000-03-01 to 2013-03-01`` for two sessions in days since the epoch."""
    return f"{day_to_date(first_session)} to {day_to_date(last_session)}"
