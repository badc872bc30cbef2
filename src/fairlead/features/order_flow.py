"""Quotes become bars of order flow: a day of them at once, or one as it comes, with equal bits."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from fairlead.contracts.frames.reading import library_of
from fairlead.contracts.sessions import find_segment
from fairlead.core.arrays import BoolArray, DayArray, FloatArray, IntArray
from fairlead.core.errors import ContractError
from fairlead.core.events import Quote
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize, format_utc
from fairlead.data.calendars import ExchangeCalendar
from fairlead.features.batch import compute_symbols
from fairlead.features.definition import Params
from fairlead.features.frame_columns import read_columns
from fairlead.features.plan import make_plan
from fairlead.features.stream import Stream

_PRICES_AND_SIZES: Final = ("bid", "bid_size", "ask", "ask_size")
_STAMPS: Final = ("known", "ts", "timestamp", "datetime", "time")
# In the order of `FlowBar`; each of them is NaN at a quote that does not count.
_RUNNING: Final = {name: name for name in ("ofi", "bar_imbalance", "bar_spread", "microprice", "bar_variance")}
_SIGN_OF_LIFE: Final = "bar_imbalance"  # the one that has a value at every quote that counts


class FlowBar(NamedTuple):
    """What the quotes of one bar said; NaN where they said nothing.

    Attributes
    ----------
    label_ns, known_ns : int
        Opening instant (of a daily bar: its session date at 00:00 UTC), and when the bar is known; UTC.
    ofi, ofi_z : float
        Order flow imbalance in units of the mean depth, and in standard deviations from its mean over the last n bars.
    volume_imbalance, spread, relative_spread : float
        Means over the quotes that count, each once; the relative spread in basis points.
    microprice : float
        Of the last quote that counts.
    realised_variance : float
        Sum of squared log returns of the middle, from the last quote before the bar on if the session has one.
    quotes, dropped : int
        Quotes that count, and those that are crossed, not positive or incomplete.
    """

    label_ns: int
    known_ns: int
    ofi: float
    ofi_z: float
    volume_imbalance: float
    spread: float
    relative_spread: float
    microprice: float
    realised_variance: float
    quotes: int
    dropped: int


class QuoteTable(NamedTuple):
    """Quotes of one symbol inside its exchange's sessions, ready for `compute_symbols` and `Stream`.

    Attributes
    ----------
    label_ns : int64 array of shape (quotes,)
        Label of the bar that each falls into.
    columns : dict of str to float64 array of shape (quotes,)
        ``bid``, ``bid_size``, ``ask``, ``ask_size``, ``session`` and ``bar``.
    """

    label_ns: IntArray
    columns: dict[str, FloatArray]


def read_quotes(quotes: Any, bar_size: BarSize | str, *, calendar: str = "XNYS") -> QuoteTable:
    """Return the quotes of a frame with the bar and the session of each; those outside the sessions are left out.

    Parameters
    ----------
    quotes : pandas.DataFrame or polars.DataFrame
        One symbol, the oldest first: ``bid``, ``bid_size``, ``ask``, ``ask_size``, and when each was known: a pandas
        DatetimeIndex or a column ``known`` or ``ts``, with a time zone. Any letter case; other columns are not read.
    bar_size : BarSize or str
        A bar covers [label, label + length): a quote at the very close belongs to no bar.
    calendar : str
        Exchange. Bars count from the opening of the session, and anew after a lunch break.

    Raises
    ------
    ContractError
        If `quotes` is no such frame, lacks a column, goes back in time, or lies wholly outside the sessions.
    ConfigurationError, UnknownName, DataError
        If the bar size or the calendar is not known, or the calendar not for these dates.
    """
    size = BarSize.parse(str(bar_size))
    exchange = ExchangeCalendar.get(calendar)
    values = read_columns(quotes, _PRICES_AND_SIZES, calendar)
    known = _known_instants(quotes)
    places = _locate(known, size, exchange)
    if len(known) and not places.inside.any():
        raise ContractError.of(
            "quotes",
            f"lie in sessions of {exchange.name}",
            f"{format_utc(int(known[0]))} to {format_utc(int(known[-1]))}",
            "Check the time zone, or name the exchange: calendar='XLON', or '24/7'.",
        )
    label = places.label_ns[places.inside]
    columns = {name: array[places.inside] for name, array in values.items()}
    columns["session"] = places.session[places.inside].astype(np.float64)
    columns["bar"] = _number(label)
    return QuoteTable(label, columns)


def bars_of_quotes(quotes: Any, bar_size: BarSize | str, *, calendar: str = "XNYS", n: int = 20) -> Any:
    """Return one row per bar that has a quote.

    Parameters
    ----------
    quotes, bar_size, calendar
        See `read_quotes`.
    n : int
        Bars in the window of ``ofi_z``, which runs on over the night; a bar without ``ofi`` is left out of it.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        The library of `quotes`. Opening instants, in UTC, are the index in pandas and a column in polars, called ``ts``; then
        ``known``, when the bar is known, and the values of `FlowBar`.

    Raises
    ------
    ContractError, ConfigurationError, UnknownName, DataError
        As `read_quotes`; ConfigurationError also if `n` is below 2.
    """
    params = {"n": n}
    make_plan({"ofi_z": ("zscore", params)})  # a wrong n is told before the work
    size = BarSize.parse(str(bar_size))
    exchange = ExchangeCalendar.get(calendar)
    table = read_quotes(quotes, size, calendar=calendar)
    running = compute_symbols(_RUNNING, {name: array[None] for name, array in table.columns.items()}, threads=1)
    counts = np.isfinite(running[_SIGN_OF_LIFE][0, 0])
    first = np.flatnonzero(np.diff(table.label_ns, prepend=-1))  # no label is a nanosecond before a minute
    last = _last_of_each(counts, first)
    values = [row[0] for label in _RUNNING for row in running[label]]
    carried = [np.where(last >= 0, row[last], np.nan) for row in values]
    total = np.diff(first, append=len(counts))
    kept = np.add.reduceat(counts.astype(np.int64), first)
    label = table.label_ns[first]
    known = exchange.closing_instants(label, size)[0]
    z = compute_symbols({"z": ("zscore", params)}, {"close": carried[0][None]}, threads=1)["z"][0, 0]
    names = FlowBar._fields[2:]
    columns = dict(zip(names, [carried[0], z, *carried[1:], kept, total - kept], strict=True))
    return _as_frame(library_of(quotes), label, known, columns)


class OrderFlow:
    """The bars of one symbol's quotes as they come: what `bars_of_quotes` returns, to the last bit.

    Parameters
    ----------
    bar_size, calendar, n
        See `bars_of_quotes`.

    Raises
    ------
    ConfigurationError, UnknownName
        If the bar size, `n` or the calendar is wrong.
    """

    def __init__(self, bar_size: BarSize | str, *, calendar: str = "XNYS", n: int = 20) -> None:
        self._size = BarSize.parse(str(bar_size))
        self._exchange = ExchangeCalendar.get(calendar)
        self._quotes = Stream(_RUNNING, symbols=1)
        params: Params = {"n": n}
        self._scores = Stream({"z": ("zscore", params)}, symbols=1)
        self._last_ns = np.iinfo(np.int64).min
        self._label_ns: int | None = None
        self._known_ns = 0
        self._values = [math.nan] * 6
        self._kept = self._dropped = 0

    def update(self, quote: Quote) -> FlowBar | None:
        """Take in one quote; if it begins a bar, return the bar before it.

        A quote outside the sessions is left out and ends no bar.

        Raises
        ------
        ContractError
            If the quote is older than the last one, or falls into a bar that was ended.
        """
        if quote.known_ns < self._last_ns:
            raise ContractError.of("quote", f"not be older than {format_utc(self._last_ns)}", format_utc(quote.known_ns))
        self._last_ns = quote.known_ns
        places = _locate(np.array([quote.known_ns], np.int64), self._size, self._exchange)
        if not places.inside[0]:
            return None
        ended = None
        if places.label_ns[0] != self._label_ns:
            ended = self.finish()
            self._label_ns = int(places.label_ns[0])
            self._known_ns = int(self._exchange.closing_instants(places.label_ns, self._size)[0][0])
        row = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        columns = {name: np.array([value]) for name, value in zip(_PRICES_AND_SIZES, row, strict=True)}
        columns["session"], columns["bar"] = places.session.astype(np.float64), _number(places.label_ns)
        self._quotes.update(columns)
        if math.isfinite(self._quotes.values(_SIGN_OF_LIFE)[0, 0]):
            self._values = [float(value) for label in _RUNNING for value in self._quotes.values(label)[0]]
            self._kept += 1
        else:
            self._dropped += 1
        return ended

    @property
    def current(self) -> FlowBar | None:
        """The bar so far, None before its first quote: what it would be if no other quote came."""
        before = self._scores.state.copy()
        bar = self._ended()
        self._scores.state[:] = before
        return bar

    def finish(self) -> FlowBar | None:
        """End the current bar and return it, None if it has no quote; for when the clock says that it is known."""
        bar = self._ended()
        self._last_ns = max(self._last_ns, self._known_ns)  # a quote that comes later must not change what was returned
        self._label_ns = None
        self._values = [math.nan] * len(self._values)
        self._kept = self._dropped = 0
        return bar

    def _ended(self) -> FlowBar | None:
        if self._label_ns is None:
            return None
        self._scores.update({"close": np.array(self._values[:1])})
        z = float(self._scores.values("z")[0, 0])
        ofi, *others = self._values
        return FlowBar._make([self._label_ns, self._known_ns, ofi, z, *others, self._kept, self._dropped])


class _Places(NamedTuple):
    inside: BoolArray
    session: DayArray
    label_ns: IntArray


def _locate(known_ns: IntArray, size: BarSize, exchange: ExchangeCalendar) -> _Places:
    if len(known_ns) == 0:
        return _Places(np.empty(0, np.bool_), np.empty(0, np.int32), np.empty(0, np.int64))
    segments = exchange.segments_between(int(known_ns[0]), int(known_ns[-1]))
    inside, position = find_segment(segments, known_ns)
    if len(segments.session) == 0:
        return _Places(inside, np.zeros(len(known_ns), np.int32), np.zeros(len(known_ns), np.int64))
    session = segments.session[position]
    if not size.is_intraday:
        return _Places(inside, session, session.astype(np.int64) * NS_PER_DAY)
    opened = segments.open_ns[position]
    return _Places(inside, session, opened + (known_ns - opened) // size.ns * size.ns)


def _number(label_ns: IntArray) -> FloatArray:
    return label_ns / NS_PER_MINUTE


def _last_of_each(counts: BoolArray, first: IntArray) -> IntArray:
    """Return the position of each bar's last quote that counts, -1 where there is none."""
    if len(first) == 0:
        return first
    position = np.maximum.accumulate(np.where(counts, np.arange(len(counts)), -1))
    last = position[np.append(first[1:], len(counts)) - 1]
    return np.where(last >= first, last, -1)


def _known_instants(quotes: Any) -> IntArray:
    library = library_of(quotes)
    folded = {str(name).lower(): name for name in reversed(list(quotes.columns))}
    name = next((folded[stamp] for stamp in _STAMPS if stamp in folded), None)
    if name is not None:
        stamps, where = quotes[name], f"quotes[{name!r}]"
    elif library == "pandas" and type(quotes.index).__name__ == "DatetimeIndex":
        stamps, where = quotes.index.to_series(), "quotes.index"
    else:
        raise ContractError.of("quotes", "say when each was known", list(quotes.columns), "Add a column 'known', in UTC.")
    if library == "pandas":
        zone, missing = getattr(stamps.dtype, "tz", None), stamps.isna().any()
    else:
        zone, missing = getattr(stamps.dtype, "time_zone", None), stamps.has_nulls()
    if zone is None:
        raise ContractError.of(where, "hold instants with a time zone", str(stamps.dtype), "Attach the zone they are in.")
    if missing:
        raise ContractError.of(where, "have a stamp in every row", "missing stamps", "Drop these rows.")
    if library == "pandas":
        known: IntArray = stamps.dt.tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    else:
        known = stamps.dt.cast_time_unit("ns").to_physical().to_numpy()
    if (np.diff(known) < 0).any():
        raise ContractError.of(
            "quotes", "have their rows in order of time", "rows that go back", "Sort them, the oldest first."
        )
    return known


def _as_frame(library: str, label_ns: IntArray, known_ns: IntArray, columns: dict[str, Any]) -> Any:
    if library == "pandas":
        import pandas as pd  # noqa: PLC0415  only for a caller who has imported it

        stamps = pd.DatetimeIndex(label_ns.astype("datetime64[ns]"), tz="UTC", name="ts")
        known = pd.DatetimeIndex(known_ns.astype("datetime64[ns]"), tz="UTC")
        return pd.DataFrame({"known": known, **columns}, index=stamps)
    import polars as pl  # noqa: PLC0415  only for a caller who has imported it

    kind = pl.Datetime("ns", "UTC")
    return pl.DataFrame({"ts": pl.Series(label_ns, dtype=kind), "known": pl.Series(known_ns, dtype=kind), **columns})
