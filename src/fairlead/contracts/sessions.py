"""What a contract needs to know of an exchange calendar; `fairlead.data.calendars` implements it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from fairlead.core.arrays import BoolArray, DayArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import BarSize


class Segments(NamedTuple):
    """Uninterrupted stretches of trading: a session, or the parts before and after its lunch break.

    Attributes
    ----------
    session : int32 array of shape (m,)
        Session date of each, in days since the epoch.
    open_ns, close_ns : int64 arrays of shape (m,)
        UTC bounds, half-open; strictly increasing and not overlapping.
    """

    session: DayArray
    open_ns: IntArray
    close_ns: IntArray


class SessionHours(NamedTuple):
    """The session that an instant lies in, and its part of it where the session has a break.

    Attributes
    ----------
    session : int
        Its date, in days since the epoch.
    open_ns, close_ns : int
        UTC bounds of the session, half-open.
    segment_open_ns, segment_close_ns : int
        UTC bounds of the part before or after a lunch break; without one, those of the session.
    """

    session: int
    open_ns: int
    close_ns: int
    segment_open_ns: int
    segment_close_ns: int


HoursOf: TypeAlias = Callable[[int], SessionHours | None]
"""From an instant, in nanoseconds, to the session around it; None outside of sessions."""


class SessionCalendar(Protocol):
    """The sessions of one exchange."""

    @property
    def name(self) -> str:
        """The exchange's code, e.g. ``XNYS``."""

    def sessions(self, first_day: int, last_day: int) -> DayArray:
        """Return the session dates from `first_day` to `last_day`, both included, in days since the epoch.

        Raises
        ------
        DataError
            If the range is beyond the dates for which the calendar is known.
        """

    def segments_between(self, start_ns: int, end_ns: int) -> Segments:
        """Return every segment that holds an instant of [start_ns, end_ns], and possibly some neighbours.

        Raises
        ------
        DataError
            If the range is beyond the dates for which the calendar is known.
        """

    def closing_instants(self, label_ns: IntArray, bar_size: BarSize) -> tuple[IntArray, DayArray]:
        """Return when each bar becomes known, and its session, as arrays of shape (n,).

        Raises
        ------
        ContractError
            If a label is outside the calendar's sessions.
        DataError
            If a label is beyond the dates for which the calendar is known.
        """


def require_calendar(calendar: object) -> None:
    """Refuse what is not a calendar of this house, such as its name or another library's calendar.

    Raises
    ------
    ConfigurationError
        Saying where to obtain one.
    """
    if not hasattr(calendar, "segments_between"):
        remedy = "Obtain one with fairlead.data.calendars.ExchangeCalendar.get('XNYS')."
        raise ConfigurationError.of("calendar", "be a SessionCalendar", calendar, remedy)


def find_segment(segments: Segments, label_ns: IntArray) -> tuple[BoolArray, IntArray]:
    """Return whether each label lies in a segment, half-open, and the position of that segment.

    Parameters
    ----------
    label_ns : int64 array of shape (n,)
        Instants, in any order.

    Returns
    -------
    inside : bool array of shape (n,)
    position : int64 array of shape (n,)
        Where `inside` is false: of the segment before, or 0. Not to be used if there are no segments.
    """
    if len(segments.session) == 0:
        return np.zeros(len(label_ns), np.bool_), np.zeros(len(label_ns), np.int64)
    position = np.maximum(np.searchsorted(segments.open_ns, label_ns, side="right") - 1, 0)
    inside = (label_ns >= segments.open_ns[position]) & (label_ns < segments.close_ns[position])
    return inside, position


def hours_of(calendar: SessionCalendar) -> HoursOf:
    """Return the function from an instant to the session around it. Hours are published ahead: they tell nothing of prices."""
    last: SessionHours | None = None

    def hours(instant_ns: int) -> SessionHours | None:
        nonlocal last
        if last is not None and last.segment_open_ns <= instant_ns < last.segment_close_ns:
            return last
        segments = calendar.segments_between(instant_ns, instant_ns)
        inside, position = find_segment(segments, np.array([instant_ns], np.int64))
        if not inside[0]:
            return None
        at = position[0]
        same = segments.session == segments.session[at]
        bounds = (segments.open_ns[same][0], segments.close_ns[same][-1], segments.open_ns[at], segments.close_ns[at])
        last = SessionHours(int(segments.session[at]), *map(int, bounds))
        return last

    return hours


def grid_labels(segments: Segments, length_ns: int) -> tuple[IntArray, DayArray]:
    """Return the label of every bar of `length_ns` that the segments can have, and its session.

    Bars count from the opening of their segment; the last one of a segment may be cut short by its close.
    """
    counts = -((segments.open_ns - segments.close_ns) // length_ns)
    ordinal = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(segments.open_ns, counts) + ordinal * length_ns, np.repeat(segments.session, counts)
