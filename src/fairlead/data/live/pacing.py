"""When a stored event is due, at a multiple of real time or at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from fairlead.contracts.sessions import find_segment
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.calendars import ExchangeCalendar

MAX_SPEED: Final = 0.0


class Pace:
    """Turns stamps of a session into seconds to wait. Waits never add up: each is counted from the session's first stamp.

    Parameters
    ----------
    speed : float
        Multiple of real time; 0 for as fast as possible.
    elapsed : callable
        Seconds on a counter that never goes back, e.g. ``time.monotonic``.
    calendar : ExchangeCalendar, optional
        The time between its sessions is skipped; None sits it out.

    Raises
    ------
    ConfigurationError
        If `speed` is below 0.
    """

    def __init__(self, speed: float, elapsed: Callable[[], float], calendar: ExchangeCalendar | None = None) -> None:
        if not speed >= MAX_SPEED:
            raise ConfigurationError.of("speed", "be 0 (as fast as possible) or a multiple of real time", speed)
        self.speed = speed
        self._elapsed = elapsed
        self._calendar = calendar
        self._anchor: tuple[int, float] | None = None
        self._session: tuple[int, int] = (0, 0)

    def wait_s(self, due_ns: int) -> float:
        """Return how many seconds remain until the instant `due_ns` of the session; 0 or less if it is due."""
        if self.speed == MAX_SPEED:
            return 0.0
        # Of a session both ends count: a bar that closes with it is known at its close.
        if self._calendar is not None and not self._session[0] <= due_ns <= self._session[1]:
            self._session = _session_of(self._calendar, due_ns)
            self._anchor = None
        if self._anchor is None:
            self._anchor = due_ns, self._elapsed()
        since_ns, began = self._anchor
        return (due_ns - since_ns) / NS_PER_SECOND / self.speed - (self._elapsed() - began)


def _session_of(calendar: ExchangeCalendar, instant_ns: int) -> tuple[int, int]:
    """Return opening and close of the session that holds an instant; the instant alone if none does."""
    parts = calendar.segments_between(instant_ns, instant_ns)
    inside, found = find_segment(parts, np.array([instant_ns - 1]))
    if not inside[0]:
        return instant_ns, instant_ns
    opens, closes = calendar.bounds(parts.session[found])
    return int(opens[0]), int(closes[0])
