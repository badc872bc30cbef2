"""Which bars a calendar has: what completeness, lateness and gaps are measured against."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fairlead.contracts.sessions import SessionCalendar, find_segment, grid_labels
from fairlead.core.arrays import BoolArray, DayArray, IntArray
from fairlead.core.time import NS_PER_DAY, BarSize


class ExpectedBars(NamedTuple):
    """Bars of a calendar, ascending: opening and closing instants in nanoseconds, and session dates; arrays of shape (n,)."""

    label_ns: IntArray
    known_ns: IntArray
    session: DayArray

    def where(self, mask: BoolArray) -> ExpectedBars:
        """Return the bars that `mask` chooses."""
        return ExpectedBars(self.label_ns[mask], self.known_ns[mask], self.session[mask])


def bars_between(calendar: SessionCalendar, start_ns: int, end_ns: int, bar_size: BarSize) -> ExpectedBars:
    """Return every bar whose session holds an instant of [start_ns, end_ns], and possibly some neighbours.

    Raises
    ------
    DataError
        If the range is beyond the dates for which the calendar is known.
    """
    if bar_size.is_intraday:
        labels, session = grid_labels(calendar.segments_between(start_ns, end_ns), bar_size.ns)
    else:
        session = calendar.sessions(start_ns // NS_PER_DAY, end_ns // NS_PER_DAY)
        labels = session.astype(np.int64) * NS_PER_DAY
    return ExpectedBars(labels, calendar.closing_instants(labels, bar_size)[0], session)


def bars_of_sessions(calendar: SessionCalendar, first_day: int, last_day: int, bar_size: BarSize) -> ExpectedBars:
    """Return every bar of the sessions dated `first_day` to `last_day`, both included, in days since the epoch.

    Raises
    ------
    DataError
        If the range is beyond the dates for which the calendar is known.
    """
    bars = bars_between(calendar, first_day * NS_PER_DAY, max(first_day, last_day) * NS_PER_DAY, bar_size)
    return bars.where((bars.session >= first_day) & (bars.session <= last_day))


def sessions_spanned(calendar: SessionCalendar, label_ns: IntArray, bar_size: BarSize) -> tuple[int, int]:
    """Return the first and the last session date that labels fall into; of labels outside every session, their UTC dates.

    Parameters
    ----------
    label_ns : int64 array of shape (n,), n > 0

    Raises
    ------
    DataError
        If a label is beyond the dates for which the calendar is known.
    """
    first, last = int(label_ns.min()), int(label_ns.max())
    if bar_size.is_intraday:
        segments = calendar.segments_between(first, last)
        inside, position = find_segment(segments, label_ns)
        if inside.any():
            days = segments.session[position[inside]]
            return int(days.min()), int(days.max())
    return first // NS_PER_DAY, last // NS_PER_DAY
