"""What a frame lacks and what is wrong with it, counted in one pass; a frame may come in pieces, in order of time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlead.contracts.frames.checks import repeated
from fairlead.contracts.quality.expected import ExpectedBars, bars_between, bars_of_sessions
from fairlead.contracts.sessions import SessionCalendar
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_MINUTE, BarSize, day_to_date, format_utc


class QualityTally:
    """The counts behind the service levels of one symbol over the sessions of a range.

    Parameters
    ----------
    calendar : SessionCalendar
    bar_size : BarSize
    first_day, last_day : int
        The sessions asked for, both included, in days since the epoch.
    reference_ns : int, optional
        Bars that close later are not expected.

    Attributes
    ----------
    rows, expected, present : int
        Bars that came; bars of the calendar; those of them that came.
    bad_cells : int or None
        Cells of open, high, low and close that are no finite number; None if a column was missing.
    repeats : int
        Rows whose stamp an earlier row has too.
    last_ns : int or None
        The last stamp.

    Raises
    ------
    ConfigurationError
        If the range ends before it starts.
    """

    def __init__(
        self, calendar: SessionCalendar, bar_size: BarSize, first_day: int, last_day: int, *, reference_ns: int | None = None
    ) -> None:
        if last_day < first_day:
            raise ConfigurationError.of("end", f"not be before start ({day_to_date(first_day)})", str(day_to_date(last_day)))
        self.calendar = calendar
        self.bar_size = bar_size
        self.first_day, self.last_day = first_day, last_day
        self.reference_ns = reference_ns
        self.rows = self.expected = self.present = self.repeats = 0
        self.bad_cells: int | None = 0
        self.last_ns: int | None = None
        self._next_day = first_day
        self._absent: list[ExpectedBars] = []

    def add(self, label_ns: IntArray, prices: Sequence[FloatArray], through_day: int) -> None:
        """Count the rows of the sessions up to `through_day`, of which none has been counted before.

        Parameters
        ----------
        label_ns : int64 array of shape (n,)
        prices : sequence of float64 arrays of shape (n,)
            Open, high, low and close.

        Raises
        ------
        DataError
            If the range is beyond the dates for which the calendar is known.
        """
        self.rows += len(label_ns)
        self.repeats += int(np.count_nonzero(repeated(label_ns)))
        if len(prices) < 4:
            self.bad_cells = None
        elif self.bad_cells is not None:
            self.bad_cells += sum(int(np.count_nonzero(~np.isfinite(column))) for column in prices)
        if len(label_ns):
            last = int(label_ns.max())
            self.last_ns = last if self.last_ns is None else max(self.last_ns, last)
        self._expect(label_ns, min(through_day, self.last_day))

    def finish(self) -> None:
        """Count the sessions at the end of the range for which nothing came."""
        self._expect(np.empty(0, np.int64), self.last_day)

    @property
    def asof_ns(self) -> int | None:
        """The reference time, else when the last bar became known; None if there is neither."""
        if self.reference_ns is not None or self.last_ns is None:
            return self.reference_ns
        near = bars_between(self.calendar, self.last_ns, self.last_ns, self.bar_size)
        at = np.flatnonzero(near.label_ns <= self.last_ns)
        # A stamp outside every session has no bar of its own.
        return max(self.last_ns, int(near.known_ns[at[-1]])) if len(at) else self.last_ns

    def absent(self) -> ExpectedBars:
        """Return the bars of the calendar that did not come, ascending."""
        if not self._absent:
            return ExpectedBars(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
        return ExpectedBars(*(np.concatenate(arrays) for arrays in zip(*self._absent, strict=True)))

    def gaps(self) -> list[dict[str, object]]:
        """Return the stamps that did not come, by session, as plain data."""
        labels, _, session = self.absent()
        return [
            {"session": day_to_date(day).isoformat(), "missing": [format_utc(ns) for ns in labels[session == day].tolist()]}
            for day in np.unique(session).tolist()
        ]

    def overdue_minutes(self) -> float | None:
        """Return since when the next bar is due at the reference time, in minutes; None if that cannot be said."""
        if self.last_ns is None or self.reference_ns is None:
            return None
        if self.reference_ns <= self.last_ns:
            return 0.0
        following = bars_between(self.calendar, self.last_ns, self.reference_ns, self.bar_size)
        due = following.known_ns[following.label_ns > self.last_ns]
        return max(0, self.reference_ns - int(due[0])) / NS_PER_MINUTE if len(due) else 0.0

    def recent_gaps(self, bars: int) -> IntArray:
        """Return the labels missing among the last `bars` that the calendar has in the range, up to the last stamp."""
        if self.last_ns is None:
            return np.empty(0, np.int64)
        last, days = self.last_day, 8
        while True:
            first = max(self.first_day, last - days)
            labels = bars_of_sessions(self.calendar, first, last, self.bar_size).label_ns
            labels = labels[labels <= self.last_ns][-bars:]
            if len(labels) == bars or first == self.first_day:
                missing: IntArray = labels[np.isin(labels, self.absent().label_ns)]
                return missing
            days *= 4

    def _expect(self, label_ns: IntArray, through_day: int) -> None:
        if through_day < self._next_day:
            return
        bars = bars_of_sessions(self.calendar, self._next_day, through_day, self.bar_size)
        if self.reference_ns is not None:
            bars = bars.where(bars.known_ns <= self.reference_ns)
        present = np.isin(bars.label_ns, label_ns)
        self.expected += len(present)
        self.present += int(np.count_nonzero(present))
        if not present.all():
            self._absent.append(bars.where(~present))
        self._next_day = through_day + 1
