"""Published facts, point in time: what was known at an instant is what had been published by then (domain rule 9.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ConfigurationError, DataError, UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.time import day_to_date
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.fact_table import read_fact_file, read_fact_frame

PER_SHARE: Final = ("book_per_share", "dividend_per_share", "eps", "revenue_per_share")
"""Fields that count per share if nothing else is declared."""
_LAYOUT: Final = 1
_LONGEST_PAUSE: Final = 31  # days; no exchange that has a calendar stayed closed for longer


class _Line(NamedTuple):
    """What was the current value of one field of one symbol, in order of time; arrays of shape (n,)."""

    published: IntArray
    value: FloatArray


class _Splits(NamedTuple):
    """The splits of one symbol: when they took effect, and how many shares one share had become by then."""

    instants: IntArray  # shape (n,)
    shares: FloatArray  # shape (n + 1,), the first one before all splits

    @classmethod
    def of(cls, splits: Sequence[tuple[int, float]]) -> _Splits:
        instants = np.array([instant for instant, _ in splits], np.int64)
        return cls(instants, np.cumprod([1.0, *(ratio for _, ratio in splits)], dtype=np.float64))

    def new_per_old(self, then: IntArray, now: IntArray) -> FloatArray:
        """Return how many shares of `now` were one share `then`."""
        held: FloatArray = self.shares[np.searchsorted(self.instants, now, side="right")]
        held /= self.shares[np.searchsorted(self.instants, then, side="right")]
        return held


class Facts:
    """A table of (symbol, field, value, period end, publication) that answers only with what was public.

    The current value at t is that of the latest period among those published at or before t, in its latest revision by then.
    So a revision counts from its own publication, and what is published late about an older period changes nothing. At or
    before: `known_ns` of a bar is the instant at which it became known, a decision at t may use that bar, and a fact is
    treated like one. A source that cuts its stamps to seconds or minutes has to round them up instead.

    Make one with `from_frame` or `load`.

    Attributes
    ----------
    fields : tuple of str
        What is known of some symbol, sorted.
    symbols : tuple of str
        Of whom something is known, sorted.
    per_share : tuple of str
        Fields whose values are per share and so change with a split.
    """

    def __init__(self, rows: pl.DataFrame, fields: tuple[str, ...], per_share: tuple[str, ...]) -> None:
        self._rows = rows
        self.fields = fields
        self.symbols = tuple(rows["symbol"].unique().sort())
        self.per_share = per_share
        self._categories = _number_names(rows)
        self._lines = _lines(rows, self._categories)

    @classmethod
    def from_frame(cls, frame: Any, *, per_share: Sequence[str] | None = None) -> Facts:
        """Return the facts of a frame.

        Parameters
        ----------
        frame : pandas.DataFrame or polars.DataFrame
            One row per published value: ``symbol``; ``field``, in small letters, digits and underscores; ``value``, for each
            field either numbers or names; ``period_end``, a date; ``published``, an instant with a time zone.
        per_share : sequence of str, optional
            Fields that are per share; by default those of `PER_SHARE` that are there.

        Raises
        ------
        ContractError
            If a column is missing or a row breaks a rule: a publication without a time zone, without a time of day or before
            its period's end; a value that is missing, not finite, or a name among numbers; a row that is there twice.
        ConfigurationError
            If a field in `per_share` is not there or holds names.
        """
        return cls._of(read_fact_frame(frame), per_share)

    @classmethod
    def load(cls, path: str | Path, *, per_share: Sequence[str] | None = None) -> Facts:
        """Return the facts of a CSV (comma, UTF-8) or Parquet file; see `from_frame`.

        Raises
        ------
        DataNotFound, DataError
            If the file is not there or cannot be read.
        ContractError, ConfigurationError
            As `from_frame` does.
        """
        return cls._of(read_fact_file(path), per_share)

    @classmethod
    def _of(cls, rows: pl.DataFrame, per_share: Sequence[str] | None) -> Facts:
        fields = tuple(rows["field"].unique().sort())
        if per_share is None:
            return cls(rows, fields, tuple(name for name in PER_SHARE if name in fields))
        if isinstance(per_share, str):
            raise ConfigurationError.of("per_share", "be a sequence of fields", per_share, f"Write ({per_share!r},).")
        names = set(rows.filter(pl.col("text").is_not_null())["field"])
        for field in per_share:
            if field not in fields:
                raise UnknownName.among("fact", field, fields)
            if field in names:
                raise ConfigurationError.of("per_share", "name fields that hold numbers", field)
        return cls(rows, fields, tuple(sorted(set(per_share))))

    def __len__(self) -> int:
        return self._rows.height

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the rows and of which fields are per share, whatever file or order they came in."""
        digest = hashlib.sha256(f"facts {_LAYOUT} {len(self)} {' '.join(self.per_share)}\n".encode())
        for name in ("symbol", "field", "text"):
            digest.update("\n".join(text or "" for text in self._rows[name]).encode() + b"\0")
        for name, kind in (("value", "<f8"), ("period_end", "<i4"), ("published", "<i8")):
            digest.update(np.ascontiguousarray(self._rows[name].fill_null(0).to_numpy() + 0, dtype=kind).data)
        return digest.hexdigest()

    def categories(self, field: str) -> tuple[str, ...]:
        """Return the names that a field has had, each at the place that `asof` gives for it; empty for a field of numbers.

        Names are counted in the order of their first publication, those of one instant by alphabet: what is published later
        does not renumber what was there.

        Raises
        ------
        UnknownName
            If there is no such field.
        """
        self._require(field)
        return self._categories.get(field, ())

    def asof(
        self,
        field: str,
        symbol: str,
        known_ns: IntArray,
        *,
        actions: Sequence[CorporateAction] = (),
        calendar: str = "XNYS",
    ) -> FloatArray:
        """Return the current values of a field at given instants.

        Parameters
        ----------
        field, symbol : str
        known_ns : int64 array of shape (n,)
            UTC nanoseconds, in any order.
        actions : sequence of CorporateAction
            A field that is per share is restated by the splits and stock dividends that took effect after its publication and
            by the instant of the answer, so that it is in the shares of that instant. Other symbols' actions and dividends do
            nothing. Without actions, values are as they were published.
        calendar : str
            The exchange whose opening makes a split effective.

        Returns
        -------
        float64 array of shape (n,)
            NaN before the first publication, and for a symbol of which nothing is known. A name is its place in `categories`.

        Raises
        ------
        UnknownName
            If there is no such field or calendar.
        ConfigurationError
            If `known_ns` does not hold integers.
        """
        splits = _splits(actions, calendar) if field in self.per_share else {}
        return self._asof(field, symbol, known_ns, splits)

    def _asof(self, field: str, symbol: str, known_ns: IntArray, splits: Mapping[str, _Splits]) -> FloatArray:
        self._require(field)
        known = np.asarray(known_ns)
        if known.ndim != 1 or known.dtype.kind not in "iu":
            found = f"{known.dtype} of shape {known.shape}"
            raise ConfigurationError.of(
                "known_ns", "be int64 nanoseconds of shape (n,)", found, "See fairlead.core.time.to_ns."
            )
        values = np.full(len(known), np.nan)
        line = self._lines.get((field, symbol))
        if line is None:
            return values
        at = np.searchsorted(line.published, known, side="right") - 1
        seen = at >= 0
        at = at[seen]
        values[seen] = line.value[at]
        if symbol in splits:
            values[seen] /= splits[symbol].new_per_old(line.published[at], known[seen])
        return values

    def panel(
        self,
        field: str,
        symbols: Sequence[str],
        known_ns: IntArray,
        *,
        actions: Sequence[CorporateAction] = (),
        calendar: str = "XNYS",
    ) -> FloatArray:
        """Return the current values of a field for several symbols, shape (n, k); see `asof`."""
        splits = _splits(actions, calendar) if field in self.per_share else {}
        columns = [self._asof(field, symbol, known_ns, splits) for symbol in symbols]
        return np.stack(columns, axis=1) if columns else np.empty((len(known_ns), 0))

    def known_by(self, known_ns: int) -> Facts:
        """Return the facts that were public at an instant: its answers for earlier ones are the same."""
        return Facts(self._rows.filter(pl.col("published") <= int(known_ns)), self.fields, self.per_share)

    def _require(self, field: str) -> None:
        if field not in self.fields:
            raise UnknownName.among("fact", field, self.fields)


def _number_names(rows: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    names = rows.filter(pl.col("text").is_not_null())
    first = names.group_by("field", "text").agg(pl.col("published").min()).sort("field", "published", "text")
    return {str(key[0]): tuple(part["text"]) for key, part in first.partition_by("field", as_dict=True).items()}


def _lines(rows: pl.DataFrame, categories: dict[str, tuple[str, ...]]) -> dict[tuple[str, str], _Line]:
    codes = {field: {name: float(i) for i, name in enumerate(names)} for field, names in categories.items()}
    lines: dict[tuple[str, str], _Line] = {}
    for key, part in rows.partition_by("field", "symbol", as_dict=True, maintain_order=True).items():
        field, symbol = map(str, key)
        value = np.array([codes[field][name] for name in part["text"]]) if field in codes else part["value"].to_numpy()
        end = part["period_end"].to_numpy()
        current = end == np.maximum.accumulate(end)
        lines[field, symbol] = _Line(part["published"].to_numpy()[current], value[current])
    return lines


def _splits(actions: Sequence[CorporateAction], calendar: str) -> dict[str, _Splits]:
    found: dict[str, list[tuple[int, float]]] = {}
    for action in actions:
        if action.share_factor != 1.0:
            found.setdefault(action.symbol, []).append((_opening(action.ex_session, calendar), action.share_factor))
    return {symbol: _Splits.of(sorted(splits)) for symbol, splits in found.items()}


def _opening(ex_session: int, calendar: str) -> int:
    exchange = ExchangeCalendar.get(calendar)
    days = exchange.sessions(ex_session, min(ex_session + _LONGEST_PAUSE, exchange.last_day))
    if len(days) == 0:
        raise DataError.of("ex-session", f"be within the calendar {exchange.name!r}", str(day_to_date(ex_session)))
    return int(exchange.bounds(days[:1])[0][0])
