"""Whether data still comes, judged by the data's age and not by what a socket says of itself (domain rule 2.7)."""

from __future__ import annotations

from typing import Final

from fairlead.contracts.sessions import SessionCalendar
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize

BARS: Final = 5
SECONDS: Final = 60.0


def oldest_ns(bar_size: BarSize, max_age_s: float = SECONDS) -> int:
    """Return how old data may be, in nanoseconds: five bars, or so many seconds if that is longer."""
    return max(BARS * bar_size.ns, round(max_age_s * NS_PER_SECOND))


class DataAge:
    """How old the newest data is, counted in sessions alone.

    Parameters
    ----------
    calendar : SessionCalendar
        Between its sessions nothing is expected.
    bar_size : BarSize
        Five bars of it may be missing.
    max_age_s : float
        Seconds that data may be old in any case.
    """

    def __init__(self, calendar: SessionCalendar, bar_size: BarSize, max_age_s: float = SECONDS) -> None:
        self.limit_ns: Final = oldest_ns(bar_size, max_age_s)
        self._calendar = calendar
        self._open_ns = self._close_ns = self._until_ns = 0

    def age_ns(self, now_ns: int, last_event_ns: int | None) -> int:
        """Return how long data has been due: since the newest event or the opening, whichever is later; 0 out of session.

        Parameters
        ----------
        now_ns : int
        last_event_ns : int or None
            The exchange's stamp of the newest event.
        """
        open_ns = self._opening(now_ns)
        if open_ns is None:
            return 0
        since = open_ns if last_event_ns is None else max(open_ns, last_event_ns)
        return max(0, now_ns - since)

    def is_stale(self, now_ns: int, last_event_ns: int | None) -> bool:
        """Return whether data is older than it may be."""
        return self.age_ns(now_ns, last_event_ns) > self.limit_ns

    def _opening(self, now_ns: int) -> int | None:
        """Return when the segment that `now_ns` lies in opened; None between segments."""
        if not self._open_ns <= now_ns < self._until_ns:
            parts = self._calendar.segments_between(now_ns - NS_PER_DAY, now_ns + NS_PER_DAY)
            opened = [(int(o), int(c)) for o, c in zip(parts.open_ns, parts.close_ns, strict=True) if o <= now_ns]
            later = [int(o) for o in parts.open_ns if o > now_ns]
            if not opened:
                return None
            self._open_ns, self._close_ns = opened[-1]
            self._until_ns = later[0] if later else self._close_ns
        return self._open_ns if now_ns < self._close_ns else None
