"""Exchange sessions: opens, closes, lunch breaks, holidays, early closes, and when a bar becomes known (domain rules 1.1, 1.4).

Hours come from the `exchange_calendars` library alone; nothing here knows an opening hour or a rule of daylight saving time.
"""

from __future__ import annotations

import datetime as dt
import functools
import threading
import warnings
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from fairlead.contracts.sessions import Segments, find_segment, grid_labels
from fairlead.core.arrays import BoolArray, DayArray, IntArray
from fairlead.core.errors import ContractError, DataError, UnknownName
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize, date_to_day, day_to_date, format_utc

# Beyond these no market data exists, and a stamp there is a unit error (milliseconds read as seconds, say).
_EARLIEST: Final = date_to_day(dt.date(1900, 1, 1))
_LATEST: Final = date_to_day(dt.date(2099, 12, 31))


class Located(NamedTuple):
    """Where bar labels fall; arrays of shape (n,).

    Attributes
    ----------
    inside : bool
        Whether the label belongs to the calendar; where it is false the other arrays have no meaning.
    session : int32
        Session date, in days since the epoch.
    open_ns, close_ns : int64
        UTC bounds of the segment an intraday label falls into, or of the session a daily label names.
    """

    inside: BoolArray
    session: DayArray
    open_ns: IntArray
    close_ns: IntArray


@dataclass(frozen=True, slots=True)
class ExchangeCalendar:
    """The sessions of one exchange, over whatever span is asked for. Obtain one with `get`.

    Attributes
    ----------
    name : str
        Canonical code, e.g. ``XNYS``, ``XHKG``, ``24/7``.
    timezone : str
        IANA zone of the exchange; used to display and to evaluate local windows, never to compute hours.
    """

    name: str
    timezone: str
    first_day: int
    last_day: int

    @classmethod
    def get(cls, name: str) -> ExchangeCalendar:
        """Return the calendar called `name`; aliases such as ``NYSE`` are known.

        Raises
        ------
        UnknownName
            If there is no such calendar.
        """
        return _open_calendar(name)

    def sessions(self, first_day: int, last_day: int) -> DayArray:
        """Return the session dates from `first_day` to `last_day`, both included.

        Parameters
        ----------
        first_day, last_day : int
            Days since the epoch.

        Raises
        ------
        DataError
            If the range is beyond the dates for which the calendar is known.
        """
        if last_day < first_day:
            return np.empty(0, np.int32)
        days = self._table(first_day, last_day).session
        return days[np.searchsorted(days, first_day) : np.searchsorted(days, last_day, side="right")]

    def bounds(self, days: DayArray) -> tuple[IntArray, IntArray]:
        """Return the opening and closing instants of the sessions `days`, int64 UTC nanoseconds of shape (n,).

        Raises
        ------
        ContractError
            If a day is not a session.
        """
        located = self.locate(days.astype(np.int64) * NS_PER_DAY, BarSize.D1)
        self._require_inside(located, days.astype(np.int64) * NS_PER_DAY, BarSize.D1)
        return located.open_ns, located.close_ns

    def segments(self, first_day: int, last_day: int) -> Segments:
        """Return the segments of the sessions dated `first_day` to `last_day`, both included, in order.

        Raises
        ------
        DataError
            If the range is beyond the dates for which the calendar is known.
        """
        if last_day < first_day:
            return Segments(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))
        parts = self._table(first_day, last_day).segments
        chosen = slice(np.searchsorted(parts.session, first_day), np.searchsorted(parts.session, last_day, side="right"))
        return Segments(parts.session[chosen], parts.open_ns[chosen], parts.close_ns[chosen])

    def segments_between(self, start_ns: int, end_ns: int) -> Segments:
        """Return every segment that holds an instant of [start_ns, end_ns], and possibly some neighbours.

        Raises
        ------
        DataError
            If the range is beyond the dates for which the calendar is known.
        """
        first, last = start_ns // NS_PER_DAY, end_ns // NS_PER_DAY
        self._require_known(first, last)
        # A session's date and the UTC dates of its hours differ by a day where trading starts on the evening before.
        return self.segments(max(first - 1, self.first_day), min(last + 1, self.last_day))

    def session_minutes(self, days: DayArray) -> IntArray:
        """Return how many minutes are traded in each of the sessions `days`, lunch breaks left out.

        Raises
        ------
        ContractError
            If a day is not a session.
        """
        self.bounds(days)
        if len(days) == 0:
            return np.empty(0, np.int64)
        parts = self.segments(int(days.min()), int(days.max()))
        known, position = np.unique(parts.session, return_inverse=True)
        minutes = np.zeros(len(known), np.int64)
        np.add.at(minutes, position, (parts.close_ns - parts.open_ns) // NS_PER_MINUTE)
        chosen: IntArray = minutes[np.searchsorted(known, days)]
        return chosen

    def labels(self, first_day: int, last_day: int, bar_size: BarSize) -> IntArray:
        """Return the label of every bar that the sessions `first_day` to `last_day` can have, int64 nanoseconds.

        Daily bars are labelled by their session date at 00:00 UTC. Intraday bars count from the opening of their segment; the
        last one of a segment may be cut short by its close.

        Raises
        ------
        DataError
            If the range is beyond the dates for which the calendar is known.
        """
        if not bar_size.is_intraday:
            return self.sessions(first_day, last_day).astype(np.int64) * NS_PER_DAY
        return grid_labels(self.segments(first_day, last_day), bar_size.ns)[0]

    def locate(self, label_ns: IntArray, bar_size: BarSize) -> Located:
        """Return where bar labels fall: inside a session or not, which one, and its bounds.

        A daily label is inside if it is 00:00 UTC of a session's date; an intraday label if it lies in a segment, half-open.

        Parameters
        ----------
        label_ns : int64 array of shape (n,)
            Opening instants, in any order.

        Raises
        ------
        DataError
            If a label is beyond the dates for which the calendar is known.
        """
        if len(label_ns) == 0:
            return Located(np.empty(0, np.bool_), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))
        first, last = int(label_ns.min()), int(label_ns.max())
        if bar_size.is_intraday:
            parts = self.segments_between(first, last)
            inside, found = find_segment(parts, label_ns)
            if len(parts.session) == 0:
                return _nowhere(len(label_ns))
            return Located(inside, parts.session[found], parts.open_ns[found], parts.close_ns[found])
        table = self._table(first // NS_PER_DAY, last // NS_PER_DAY)
        if len(table.session) == 0:
            return _nowhere(len(label_ns))
        days = label_ns // NS_PER_DAY
        found = np.minimum(np.searchsorted(table.session, days), len(table.session) - 1)
        inside = (table.session[found] == days) & (label_ns % NS_PER_DAY == 0)
        return Located(inside, table.session[found], table.open_ns[found], table.close_ns[found])

    def closing_instants(self, label_ns: IntArray, bar_size: BarSize) -> tuple[IntArray, DayArray]:
        """Return when each bar becomes known, and its session: the only place where a bar's start becomes its end.

        A daily bar is known at its session's close. An intraday bar is known one bar length after its label, or at the close
        of its segment if that comes first.

        Parameters
        ----------
        label_ns : int64 array of shape (n,)
            Opening instants, in any order.

        Returns
        -------
        known_ns : int64 array of shape (n,)
        session : int32 array of shape (n,)
            Session dates, in days since the epoch.

        Raises
        ------
        ContractError
            If a label is outside the calendar's sessions.
        DataError
            If a label is beyond the dates for which the calendar is known.
        """
        located = self.locate(label_ns, bar_size)
        self._require_inside(located, label_ns, bar_size)
        if not bar_size.is_intraday:
            return located.close_ns, located.session
        return np.minimum(label_ns + bar_size.ns, located.close_ns), located.session

    def opening_instants(self, known_ns: IntArray, bar_size: BarSize) -> IntArray:
        """Return the label of the bar that becomes known at each instant: the inverse of `closing_instants`.

        Parameters
        ----------
        known_ns : int64 array of shape (n,)
            Closing instants, in any order.

        Returns
        -------
        int64 array of shape (n,)

        Raises
        ------
        ContractError
            If no bar of this size ends at an instant.
        DataError
            If an instant is beyond the dates for which the calendar is known.
        """
        if len(known_ns) == 0:
            return np.empty(0, np.int64)
        if bar_size.is_intraday:
            located = self.locate(known_ns - 1, bar_size)
            label = located.open_ns + (known_ns - 1 - located.open_ns) // bar_size.ns * bar_size.ns
            ends = located.inside & (np.minimum(label + bar_size.ns, located.close_ns) == known_ns)
        else:
            day = known_ns // NS_PER_DAY
            first, last = max(int(day.min()) - 1, self.first_day), min(int(day.max()) + 1, self.last_day)
            sessions = self.sessions(first, last)
            if len(sessions) == 0:
                raise self._no_bar_ends(bar_size, int(known_ns[0]))
            _, closes = self.bounds(sessions)
            found = np.minimum(np.searchsorted(closes, known_ns), len(sessions) - 1)
            label = sessions[found].astype(np.int64) * NS_PER_DAY
            ends = closes[found] == known_ns
        if not ends.all():
            raise self._no_bar_ends(bar_size, int(known_ns[np.argmin(ends)]))
        return label

    def _no_bar_ends(self, bar_size: BarSize, instant_ns: int) -> ContractError:
        remedy = "Check the calendar and the bar size."
        return ContractError.of("bar end", f"be where a bar of {bar_size} of {self.name} ends", format_utc(instant_ns), remedy)

    def _require_inside(self, located: Located, label_ns: IntArray, bar_size: BarSize) -> None:
        if located.inside.all():
            return
        rule = f"be inside a session of {self.name}" if bar_size.is_intraday else f"be the date of a session of {self.name}"
        bad = int(np.argmin(located.inside))
        raise ContractError.of("bar label", rule, format_utc(int(label_ns[bad])), "Check the calendar and the time zone.")

    def _require_known(self, first_day: int, last_day: int) -> None:
        if first_day < self.first_day or last_day > self.last_day:
            raise DataError(
                f"calendar {self.name!r} is known from {_date_text(self.first_day)} to {_date_text(self.last_day)}, and "
                f"{_date_text(first_day)} to {_date_text(last_day)} was asked for. Cut the range, or check the stamps' unit."
            )

    def _table(self, first_day: int, last_day: int) -> _SessionTable:
        self._require_known(first_day, last_day)
        # Whole decades, so that neighbouring requests share one table.
        start = dt.date(day_to_date(first_day).year // 10 * 10, 1, 1)
        end = dt.date(day_to_date(last_day).year // 10 * 10 + 9, 12, 31)
        return _session_table(self.name, max(date_to_day(start), self.first_day), min(date_to_day(end), self.last_day))


class _SessionTable(NamedTuple):
    session: DayArray
    open_ns: IntArray
    close_ns: IntArray
    segments: Segments


def _nowhere(size: int) -> Located:
    return Located(np.zeros(size, np.bool_), np.zeros(size, np.int32), np.zeros(size, np.int64), np.zeros(size, np.int64))


def _date_text(day: int) -> str:
    try:
        return day_to_date(day).isoformat()
    except OverflowError:
        return f"day {day}"


@functools.lru_cache(maxsize=64)
def _open_calendar(name: str) -> ExchangeCalendar:
    import exchange_calendars as library  # noqa: PLC0415  heavy: loaded when a calendar is first needed

    known = library.get_calendar_names(include_aliases=True)
    if name not in known:
        raise UnknownName.among("exchange calendar", name, known)
    canonical = library.resolve_alias(name)
    probe = _build(canonical, "2024-01-01", "2024-12-31")  # any span will do to ask for its bounds; a short one is quick
    lower, upper = probe.bound_min(), probe.bound_max()
    return ExchangeCalendar(
        canonical,
        str(probe.tz),
        _EARLIEST if lower is None else date_to_day(lower.date()),
        _LATEST if upper is None else date_to_day(upper.date()),
    )


@functools.lru_cache(maxsize=64)
def _session_table(name: str, first_day: int, last_day: int) -> _SessionTable:
    schedule = _build(name, day_to_date(first_day).isoformat(), day_to_date(last_day).isoformat()).schedule
    session = schedule.index.to_numpy().astype("datetime64[D]").astype(np.int32)
    opens, closes = _stamps(schedule["open"]), _stamps(schedule["close"])
    pause, resume = _stamps(schedule["break_start"]), _stamps(schedule["break_end"])
    has_lunch = pause != np.iinfo(np.int64).min  # NaT
    segments = Segments(
        np.concatenate([session, session[has_lunch]]),
        np.concatenate([opens, resume[has_lunch]]),
        np.concatenate([np.where(has_lunch, pause, closes), closes[has_lunch]]),
    )
    order = np.argsort(segments.open_ns, kind="stable")
    segments = Segments(segments.session[order], segments.open_ns[order], segments.close_ns[order])
    table = _SessionTable(session, opens, closes, segments)
    for array in (*table[:3], *table.segments):
        array.setflags(write=False)  # the table is shared through the cache
    return table


def _stamps(column: Any) -> IntArray:
    stamps: IntArray = column.dt.tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    return stamps


_BUILDING: Final = threading.Lock()


def _build(name: str, start: str, end: str) -> Any:
    import exchange_calendars as library  # noqa: PLC0415  heavy: loaded when a calendar is first needed

    # The filters of warnings are the process's: two threads that build at once would undo each other's.
    with _BUILDING, warnings.catch_warnings():
        # The library uses parts of pandas that announce their removal; its user can do nothing about it.
        warnings.simplefilter("ignore")
        try:
            return library.get_calendar(name, start=start, end=end)
        except Exception as exc:  # some holiday rules fail with some versions of pandas, in ways of their own
            raise DataError(
                f"calendar {name!r} cannot be built from {start} to {end} by the installed versions of exchange_calendars and "
                f"pandas: {exc}. Try other versions of the two."
            ) from exc
