"""The bars of a replay: read, refused if they break a rule, and laid out in columns by symbol and time."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from fairlead.backtest.replay import layout as at
from fairlead.backtest.replay.settings import ReplaySettings
from fairlead.contracts.files import canonical_json, sha256_bytes, sha256_file
from fairlead.contracts.frames import IntradayFrameSpec
from fairlead.contracts.frames.violation import contract_error
from fairlead.core.arrays import BoolArray, DayArray, FloatArray, IntArray
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound
from fairlead.core.time import BarSize, date_to_day, day_to_date, format_utc, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import MANIFEST_FILE, Dataset, read_month
from fairlead.data.fingerprint import bars_sha256, symbol_ranks
from fairlead.data.ingest import import_bars
from fairlead.data.merging import column_ns, session_days
from fairlead.data.readers import bar_files
from fairlead.data.spacing import infer_bar_size
from fairlead.data.store import BarStore

_PRICES: Final = ("open", "high", "low", "close")
_NEVER: Final = np.iinfo(np.int64).max
_MONTH: Final = 31


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Bars of one size; arrays of shape (n,), ordered by symbol and time.

    Attributes
    ----------
    symbol : int64
        Place in `symbols`.
    prices : float64 array of shape (n, 4)
        Open, high, low, close.
    sha256 : str
        Of what was read.
    """

    symbols: tuple[str, ...]
    size: BarSize
    symbol: IntArray
    label_ns: IntArray
    known_ns: IntArray
    session: DayArray
    prices: FloatArray
    paths: tuple[str, ...]
    sha256: str

    def chosen(self, mask: BoolArray) -> Columns:
        """Return the bars at which `mask` is true."""
        if mask.all():
            return self
        return replace(
            self,
            symbol=self.symbol[mask],
            label_ns=self.label_ns[mask],
            known_ns=self.known_ns[mask],
            session=self.session[mask],
            prices=self.prices[mask],
        )


@dataclass(frozen=True, slots=True, eq=False)
class ReplayBars:
    """What orders meet: one-minute bars where there are any, else signal bars, session by session.

    Attributes
    ----------
    floats, ints : arrays of shape (n, BAR_FLOATS) and (n, BAR_INTS)
        See `layout`; ordered by symbol and time.
    starts : int64 array of shape (symbols + 1,)
        Where the bars of each symbol begin.
    session : int32 array of shape (n,)
    signal : Columns
        The signal bars themselves.
    minutes : Columns or None
        One-minute bars, if some were given.
    """

    symbols: tuple[str, ...]
    floats: FloatArray
    ints: IntArray
    starts: IntArray
    session: DayArray
    signal: Columns
    minutes: Columns | None

    @property
    def finest(self) -> BarSize:
        """The shortest bar that orders meet."""
        return self.signal.size if self.minutes is None else self.minutes.size

    @property
    def span_ns(self) -> tuple[int, int]:
        """When the first bar opens and the last one closes."""
        return int(self.ints[:, at.LABEL].min()), int(self.ints[:, at.KNOWN].max())


def load_bars(data: Any, data_m1: Any, settings: ReplaySettings, *, bar_size: BarSize | str | None = None) -> ReplayBars:
    """Return the bars of a replay.

    Parameters
    ----------
    data, data_m1 : path, frame, or mapping of str to frame
        Signal bars, and one-minute bars or None. A path is a file, a folder of files, or the folder of a stored dataset.
    bar_size : BarSize or str, optional
        Of the signal bars, if their spacing does not show it.

    Raises
    ------
    ContractError
        Listing every rule of its contract that a table breaks.
    DataError
        If there is no such path, or it cannot be read, or a stored file was changed.
    ConfigurationError
        If the bars are not intraday, or of another calendar.
    """
    calendar = ExchangeCalendar.get(settings.calendar)
    signal = _read(data, bar_size, calendar, settings.tz)
    minutes = None if data_m1 is None else _read(data_m1, BarSize.M1, calendar, settings.tz)
    end = end_ns(settings, calendar)
    if end is not None:
        signal = signal.chosen(signal.known_ns <= end)
        minutes = None if minutes is None else minutes.chosen(minutes.known_ns <= end)
    bars = _merged(signal, minutes)
    if len(bars.ints) == 0:
        raise DataNotFound(f"there is no bar that closes by {format_utc(end or 0)}. Choose a later requested_end.")
    if settings.exit_policy == "window_end" and settings.windows:
        bars.ints[:, at.CLOSES] = _window_ends(bars, settings)
    if not settings.allow_same_bar_exit and bars.finest is not BarSize.M1:
        remedy = "Give one-minute bars, or let it be true."
        raise ConfigurationError.of("allow_same_bar_exit", "be true without one-minute bars (R6)", False, remedy)
    return bars


def end_ns(settings: ReplaySettings, calendar: ExchangeCalendar) -> int | None:
    """Return the instant that `requested_end` means: of a date, the close of its session, or of the last one before it."""
    asked = settings.requested_end
    if asked is None or isinstance(asked, dt.datetime):
        return None if asked is None else to_ns(asked)
    day = date_to_day(asked)
    # Of its own session, not of the day in UTC: east of it the next one may begin before midnight.
    sessions = calendar.sessions(day - _MONTH, day)
    return int(calendar.bounds(sessions[-1:])[1][0])


def _read(data: Any, size: BarSize | str | None, calendar: ExchangeCalendar, tz: str) -> Columns:
    if isinstance(data, str | Path):
        path = Path(data)
        if (path / MANIFEST_FILE).is_file():
            return _from_dataset(Dataset.load(path), size, calendar, tz)
        if any(path.glob(f"*/{MANIFEST_FILE}")):
            return _from_dataset(BarStore(path.parent).open(path.name, size), size, calendar, tz)
        files = bar_files(path)
        found = BarSize.parse(size) if size is not None else infer_bar_size(files[0])
        hashes = [[file.relative_to(path).as_posix() if path.is_dir() else file.name, sha256_file(file)] for file in files]
        content = hashes[0][1] if len(hashes) == 1 else sha256_bytes(canonical_json(hashes).encode())
        _check_size(found)
        table = import_bars(path, bar_size=found, calendar=calendar).table
        return _columns(table, found, (path.name,), content)
    found = BarSize.parse(size) if size is not None else infer_bar_size(data)
    _check_size(found)
    table = import_bars(data, bar_size=found, calendar=calendar).table
    return _columns(table, found, (), bars_sha256(table))


def _from_dataset(dataset: Dataset, size: BarSize | str | None, calendar: ExchangeCalendar, tz: str) -> Columns:
    manifest, folder = dataset.manifest, dataset.folder
    dataset.verify()
    _check_size(dataset.bar_size)
    if size is not None and BarSize.parse(size) is not dataset.bar_size:
        raise ConfigurationError.of("bar_size", f"be {dataset.bar_size.value} as in {folder}", str(size))
    if ExchangeCalendar.get(manifest.calendar) != calendar:
        raise ConfigurationError.of("calendar", f"be {manifest.calendar} as in {folder}", calendar.name)
    table = pa.concat_tables([read_month(dataset.folder, file) for file in manifest.files])
    columns = _columns(table, dataset.bar_size, (f"{dataset.name}/{dataset.bar_size.value}",), manifest.content_sha256)
    _check_contract(table, columns, calendar, tz)
    return columns


def _check_size(size: BarSize) -> None:
    if not size.is_intraday:
        raise ConfigurationError.of("bar_size", "be intraday in a replay", size.value, "Give five-minute or one-minute bars.")


def _check_contract(table: pa.Table, columns: Columns, calendar: ExchangeCalendar, tz: str) -> None:
    # What comes from files has passed the same rules at the door.
    frames = pl.DataFrame(pl.from_arrow(table.select(["symbol", "label", *_PRICES, "volume"])))
    frames = frames.rename({"label": "ts"} | {name: name.upper() for name in (*_PRICES, "volume")})
    for symbol in columns.symbols:
        frame = frames.filter(pl.col("symbol") == symbol).drop("symbol")
        _, found = IntradayFrameSpec(columns.size).validate(frame, calendar, tz)
        # Where it trades little, minutes are missing, and their usual spacing then says nothing about the bar size.
        barring = [violation for violation in found if violation.code != "I03"]
        if barring:
            raise contract_error(f"intraday frame of {symbol} ({columns.size})", barring)


def _columns(table: pa.Table, size: BarSize, paths: tuple[str, ...], content: str) -> Columns:
    names, ranks = symbol_ranks(table)
    order = np.argsort(ranks, kind="stable")  # the table is in order of time
    prices = np.empty((len(ranks), at.BAR_FLOATS))
    for place, name in enumerate(_PRICES):
        prices[:, place] = table.column(name).to_numpy()[order]
    label, known, session = column_ns(table, "label")[order], column_ns(table, "known")[order], session_days(table)[order]
    return Columns(tuple(names), size, ranks[order].astype(np.int64), label, known, session, prices, paths, content)


def _merged(signal: Columns, minutes: Columns | None) -> ReplayBars:
    parts = [signal] if minutes is None else [minutes, signal]
    symbols = tuple(sorted({symbol for part in parts for symbol in part.symbols}))
    ranked = [np.searchsorted(symbols, part.symbols)[part.symbol] for part in parts]
    if minutes is not None:
        # A session of a symbol that has minutes is theirs alone.
        keys = [rank * (1 << 32) + part.session for rank, part in zip(ranked, parts, strict=True)]
        kept = ~np.isin(keys[1], _distinct(keys[0]))
        parts, ranked = [minutes, signal.chosen(kept)], [ranked[0], ranked[1][kept]]
    rank = np.concatenate(ranked)
    ints = np.empty((len(rank), at.BAR_INTS), np.int64)
    ints[:, at.LABEL] = np.concatenate([part.label_ns for part in parts])
    ints[:, at.KNOWN] = np.concatenate([part.known_ns for part in parts])
    ints[:, at.MINUTE] = np.concatenate([np.full(len(part.symbol), part.size is BarSize.M1) for part in parts])
    ints[:, at.CLOSES] = _NEVER
    prices, session = np.concatenate([part.prices for part in parts]), np.concatenate([part.session for part in parts])
    if len(parts) > 1 and len(parts[1].symbol):
        order = np.lexsort((ints[:, at.LABEL], rank))
        ints, prices, session, rank = np.ascontiguousarray(ints[order]), prices[order], session[order], rank[order]
    ints[:, at.LAST] = _last_of_session(rank, session)
    starts = np.searchsorted(rank, np.arange(len(symbols) + 1))
    return ReplayBars(symbols, np.ascontiguousarray(prices), ints, starts, session, signal, minutes)


def _distinct(values: IntArray) -> IntArray:
    # Of sorted values: much quicker than to look at all of them.
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def _last_of_session(rank: IntArray, session: DayArray) -> IntArray:
    ends = np.flatnonzero(np.append((rank[1:] != rank[:-1]) | (session[1:] != session[:-1]), True)) if len(rank) else rank
    return np.repeat(ends, np.diff(np.append(-1, ends)))


def _window_ends(bars: ReplayBars, settings: ReplaySettings) -> IntArray:
    zone = zoneinfo.ZoneInfo(settings.tz)
    windows = [tuple(dt.time.fromisoformat(end) for end in text.split("-")) for text in sorted(settings.windows)]
    days = [day_to_date(day) for day in np.unique(bars.session)]
    spans = [[to_ns(dt.datetime.combine(day, clock, zone)) for clock in window] for day in days for window in windows]
    begins, ends = np.array(spans, np.int64).reshape(-1, 2).T
    label = bars.ints[:, at.LABEL]
    place = np.maximum(np.searchsorted(begins, label, side="right") - 1, 0)
    return np.where((begins[place] <= label) & (label < ends[place]), ends[place], _NEVER)


def require_symbols(bars: ReplayBars, wanted: set[str]) -> None:
    """Refuse orders of symbols that have no bars.

    Raises
    ------
    ContractError
        Naming them.
    """
    missing = sorted(wanted - set(bars.symbols))
    if missing:
        remedy = f"The data has {', '.join(bars.symbols[:10])}{', ...' if len(bars.symbols) > 10 else ''}."
        raise ContractError.of("symbols of the orders", "have bars", missing, remedy)
