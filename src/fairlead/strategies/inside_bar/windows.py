"""The hours of a session in which the pattern is looked for (domain rule 1.4)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fairlead.contracts.sessions import SessionHours
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import date_to_day, to_datetime, to_ns

_WINDOW: Final = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")
_RULE: Final = "be windows such as '09:30-11:00', each with its start before its end, in order and not overlapping"


class Window(NamedTuple):
    """One window of one session, half-open.

    Attributes
    ----------
    day : int
        Local date, in days since the epoch.
    ordinal : int
        Which of the windows it is; with the day, its key.
    open_ns, close_ns : int
        UTC bounds, the session's where they are narrower.
    """

    day: int
    ordinal: int
    open_ns: int
    close_ns: int


class SessionWindows:
    """Windows in local time, put on the sessions of an exchange.

    Parameters
    ----------
    timezone : str
        IANA zone.
    windows : sequence of str
        ``HH:MM-HH:MM``, at least one.

    Raises
    ------
    ConfigurationError
        If the zone is unknown, or the windows are none.
    """

    def __init__(self, timezone: str, windows: Sequence[str]) -> None:
        try:
            self._zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            remedy = "Give a zone such as America/New_York."
            raise ConfigurationError.of("session_timezone", "be an IANA time zone", timezone, remedy) from exc
        self._windows = [_times(window, windows) for window in windows]
        edges = [edge for window in self._windows for edge in window]
        if not edges or any(a > b for a, b in pairwise(edges)) or any(a == b for a, b in self._windows):
            raise ConfigurationError.of("session_windows", _RULE, tuple(windows))
        self._known: tuple[int, tuple[Window, ...]] = (-1, ())

    def of(self, hours: SessionHours) -> tuple[Window, ...]:
        """Return the windows of a session, in order; those that lie outside of it are left out."""
        if self._known[0] != hours.open_ns:
            self._known = (hours.open_ns, tuple(self._cut(hours)))
        return self._known[1]

    def _cut(self, hours: SessionHours) -> list[Window]:
        first = to_datetime(hours.open_ns).astimezone(self._zone).date()
        last = to_datetime(hours.close_ns - 1).astimezone(self._zone).date()
        found = []
        for offset in range((last - first).days + 1):
            date = first + dt.timedelta(days=offset)
            for index, bounds in enumerate(self._windows):
                start, end = (to_ns(dt.datetime.combine(date, time, self._zone)) for time in bounds)
                start, end = max(start, hours.open_ns), min(end, hours.close_ns)
                if start < end:
                    found.append(Window(date_to_day(date), index, start, end))
        return found


def _times(window: object, windows: Sequence[str]) -> tuple[dt.time, dt.time]:
    match = _WINDOW.match(window) if isinstance(window, str) else None
    if match is None:
        raise ConfigurationError.of("session_windows", _RULE, tuple(windows))
    a, b, c, d = map(int, match.groups())
    return dt.time(a, b), dt.time(c, d)
