"""Point-in-time universes: which names one could have chosen from in a session, as lists with entry and exit dates."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from fairlead.contracts.frames.reading import library_of
from fairlead.core.arrays import BoolArray, DayArray
from fairlead.core.errors import ContractError, DataError, DataNotFound, UnknownName
from fairlead.core.instruments import check_symbol
from fairlead.core.time import NS_PER_DAY, BarSize, date_to_day, day_to_date, to_ns
from fairlead.data.fact_table import COLUMNS as FACT_COLUMNS
from fairlead.data.facts import Facts
from fairlead.data.readers import SUFFIXES
from fairlead.data.stamps import Reading, read_labels

METADATA: Final = ("sector", "market_cap")
"""Columns that say more about a name; each value counts from its row's `published` on."""
_OPEN_END: Final = np.iinfo(np.int32).max


class Membership(NamedTuple):
    """A stay of one name: sessions from `entry` up to, not including, `exit`; in days since the epoch."""

    symbol: str
    entry: int
    exit: int

    def __str__(self) -> str:
        end = "now" if self.exit == _OPEN_END else day_to_date(self.exit)
        return f"{self.symbol} from {day_to_date(self.entry)} to {end}"


class Universe:
    """Names with the sessions in which they belonged.

    A name belongs from the session of its entry on, and no more in the session of its exit. It may come back.

    Parameters
    ----------
    memberships : iterable of Membership
    facts : Facts, optional
        What else is known of the names, as it was published: `sector` and `market_cap` read it.

    Raises
    ------
    ContractError
        If a stay ends before it begins, or two stays of one name overlap.
    """

    def __init__(self, memberships: Iterable[Membership], facts: Facts | None = None) -> None:
        self.memberships = tuple(sorted(memberships))
        self.facts = facts
        _check(self.memberships)
        self._symbols = np.array([m.symbol for m in self.memberships], dtype=object)
        self._entry = np.array([m.entry for m in self.memberships], np.int64)
        self._exit = np.array([m.exit for m in self.memberships], np.int64)

    @classmethod
    def from_frame(cls, frame: Any, facts: Facts | None = None) -> Universe:
        """Return the universe of a frame.

        Parameters
        ----------
        frame : pandas.DataFrame or polars.DataFrame
            One row per stay: ``symbol``, ``entry``, a date, and ``exit``, a date or empty while it lasts. Optional: ``sector``
            and ``market_cap`` with ``published``, an instant with a time zone; a row that only says more about a name leaves
            ``entry`` empty.
        facts : Facts, optional
            Instead of those columns.

        Raises
        ------
        ContractError
            If a column is missing or a row breaks a rule.
        """
        library = library_of(frame)
        if not library:
            raise ContractError.of("universe", "be a pandas or polars DataFrame", type(frame).__name__)
        if library == "pandas":
            frame = pl.DataFrame({str(name): pl.from_pandas(frame[name]) for name in frame.columns})
        return cls._of(frame, "frame", facts)

    @classmethod
    def load(cls, path: str | Path, facts: Facts | None = None) -> Universe:
        """Return the universe of a CSV (comma, UTF-8) or Parquet file; see `from_frame`.

        Raises
        ------
        DataNotFound, DataError
            If the file is not there or cannot be read.
        ContractError
            As `from_frame` does.
        """
        path = Path(path)
        if not path.is_file():
            raise DataNotFound(f"there is no file named {path}. Check the path.")
        if not path.name.lower().endswith(SUFFIXES):
            raise DataError.of(
                f"{path}: file name", f"end in one of {', '.join(SUFFIXES)}", path.suffix, "Convert or rename it."
            )
        try:
            if path.name.lower().endswith(".parquet"):
                frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
            else:
                frame = pl.read_csv(path, infer_schema=False, glob=False)
        except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as exc:
            reason = str(exc).partition("\n")[0]
            raise DataError(f"{path} cannot be read: {reason}. Export it again, or check that it is complete.") from exc
        return cls._of(frame, str(path), facts)

    @classmethod
    def _of(cls, frame: pl.DataFrame, origin: str, facts: Facts | None) -> Universe:
        frame = frame.rename({name: name.strip("\ufeff ").lower() for name in frame.columns})
        known = ("symbol", "entry", "exit", *METADATA, "published")
        missing = [name for name in ("symbol", "entry", "exit") if name not in frame.columns]
        if missing:
            raise ContractError.of(
                f"{origin}: columns", f"have {', '.join(missing)}", frame.columns, "One row per stay of a name."
            )
        for name in frame.columns:
            if name not in known:
                raise ContractError(f"{origin}: {UnknownName.among('column of a universe', name, known)}")
        told = [name for name in METADATA if name in frame.columns]
        if told and "published" not in frame.columns:
            remedy = "What is known of a name counts from the instant at which it became known."
            raise ContractError.of(f"{origin}: columns", "have published", frame.columns, remedy)
        if told and facts is not None:
            raise ContractError.of(f"{origin}: columns", "not have what the facts are there for", told)
        entry, exit_ = (_days(frame[name], f"{origin}: {name}") for name in ("entry", "exit"))
        says_more = np.zeros(frame.height, np.bool_)
        for name in told:
            says_more |= frame[name].is_not_null().to_numpy()
        _refuse_empty(entry, says_more, origin)
        rows = zip(frame["symbol"].cast(pl.String).to_list(), entry, exit_, strict=True)
        stays = [
            Membership(check_symbol(name or ""), first, _OPEN_END if last is None else last)
            for name, first, last in rows
            if first is not None
        ]
        return cls(stays, facts if not told else _facts(frame, told))

    def __len__(self) -> int:
        return len(self.memberships)

    def __repr__(self) -> str:
        return f"Universe({len(self.symbols)} symbols, {len(self)} stays)"

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Every name that ever belonged, sorted."""
        return tuple(sorted({m.symbol for m in self.memberships}))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the stays and of what else is known, whatever file or order they came in."""
        text = "\n".join(f"{m.symbol} {m.entry} {m.exit}" for m in self.memberships)
        return hashlib.sha256(f"{text}\n{self.facts.content_hash if self.facts else ''}".encode()).hexdigest()

    def members(self, session: int | dt.date) -> tuple[str, ...]:
        """Return the names that belong in a session, sorted.

        Parameters
        ----------
        session : int or date
            The session's date, in days since the epoch if a number.
        """
        day = date_to_day(session) if isinstance(session, dt.date) else session
        found: tuple[str, ...] = tuple(self._symbols[(self._entry <= day) & (day < self._exit)])
        return found

    def mask(self, symbols: Sequence[str], sessions: DayArray) -> BoolArray:
        """Return which of `symbols` belong in which of `sessions`, shape (n, k).

        Parameters
        ----------
        symbols : sequence of str
            Columns, length k; a name that never belonged is False throughout.
        sessions : int32 array of shape (n,)
            Session dates in days since the epoch, in any order.
        """
        columns = {symbol: i for i, symbol in enumerate(symbols)}
        days = np.asarray(sessions, np.int64)
        inside = np.zeros((len(days), len(symbols)), np.bool_)
        for stay in self.memberships:
            column = columns.get(stay.symbol)
            if column is not None:
                inside[:, column] |= (stay.entry <= days) & (days < stay.exit)
        return inside

    def without_data(self, symbols: Iterable[str], first: int, last: int) -> tuple[str, ...]:
        """Return the names that belonged at some time from session `first` to `last` and are not among `symbols`, sorted."""
        known = set(symbols)
        found = {m.symbol for m in self.memberships if m.entry <= last and m.exit > first and m.symbol not in known}
        return tuple(sorted(found))

    def sector(self, symbol: str, known: int | dt.datetime) -> str | None:
        """Return the sector that was published for a name by an instant (a number is UTC nanoseconds), None if none was."""
        value = self._fact("sector", symbol, known)
        return None if value is None or self.facts is None else self.facts.categories("sector")[int(value)]

    def market_cap(self, symbol: str, known: int | dt.datetime) -> float | None:
        """Return the market capitalisation that was published for a name by an instant, None if there was none."""
        return self._fact("market_cap", symbol, known)

    def _fact(self, field: str, symbol: str, known: int | dt.datetime) -> float | None:
        if self.facts is None or field not in self.facts.fields:
            return None
        instant = to_ns(known) if isinstance(known, dt.datetime) else known
        value = float(self.facts.asof(field, symbol, np.array([instant], np.int64))[0])
        return None if value != value else value


def _check(memberships: Sequence[Membership]) -> None:
    for stay in memberships:
        if stay.exit <= stay.entry:
            raise ContractError.of(
                f"{stay.symbol} exit", "be after its entry", str(stay), "The exit is the first session without it."
            )
    for before, after in itertools.pairwise(memberships):
        if before.symbol == after.symbol and after.entry < before.exit:
            raise ContractError.of(f"stays of {after.symbol}", "not overlap", f"{before}; {after}", "Join the two rows.")


def _refuse_empty(entry: Sequence[int | None], says_more: BoolArray, origin: str) -> None:
    for row, (first, more) in enumerate(zip(entry, says_more, strict=True)):
        if first is None and not more:
            raise ContractError.of(
                f"{origin}, row {row}: entry", "be given", None, "A row is a stay, or says more about a name."
            )


def _days(column: pl.Series, where: str) -> list[int | None]:
    if column.dtype == pl.String:
        column = column.str.strip_chars().replace("", None)
    given = column.is_not_null()
    days: list[int | None] = [None] * len(column)
    if not given.any():
        return days
    labels = read_labels(column.filter(given), Reading(BarSize.D1, timezone="UTC"), where=where)
    rows = np.flatnonzero(given.to_numpy())
    for row, label, bad in zip(rows.tolist(), labels.label_ns.tolist(), labels.unreadable.tolist(), strict=True):
        if bad or label % NS_PER_DAY:
            raise ContractError.of(f"{where}, row {row}", "be a date such as 2024-01-31", column[row])
        days[row] = label // NS_PER_DAY
    return days


def _facts(frame: pl.DataFrame, told: Sequence[str]) -> Facts:
    parts: list[Mapping[str, Any]] = []
    for row in frame.iter_rows(named=True):
        parts += [
            {
                "symbol": row["symbol"],
                "field": name,
                "value": str(row[name]),
                "period_end": str(row["published"])[:10],
                "published": row["published"],
            }
            for name in told
            if row[name] is not None and str(row[name]).strip()
        ]
    return Facts.from_frame(pl.DataFrame(parts, infer_schema_length=None) if parts else pl.DataFrame(schema=FACT_COLUMNS))
