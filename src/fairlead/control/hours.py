"""The market's hours by the real clock: what a session says of them, and when they begin and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.contracts.sessions import SessionCalendar
from fairlead.core.time import NS_PER_DAY, format_utc

_AHEAD: Final = 14 * NS_PER_DAY
"""No market is closed for longer."""


class MarketHours:
    """Watches the clock for openings and closes.

    Parameters
    ----------
    calendar : SessionCalendar
    now_ns : callable
        The real time.
    """

    def __init__(self, calendar: SessionCalendar, now_ns: Callable[[], int]) -> None:
        self._calendar, self._now_ns = calendar, now_ns
        self._is_open: bool | None = None
        self._until_ns: int | None = 0

    @property
    def is_open(self) -> bool:
        """Whether the market is open now."""
        self._look()
        return bool(self._is_open)

    @property
    def text(self) -> str:
        """``open until ...`` or ``closed until ...``."""
        self._look()
        until = f" until {format_utc(self._until_ns)}" if self._until_ns is not None else ""
        return f"{'open' if self._is_open else 'closed'}{until}"

    def change(self) -> str | None:
        """Return what has happened since the last call, ``market_opened`` or ``market_closed``; None if nothing has."""
        before = self._is_open
        self._look()
        if before is None or before == self._is_open:
            return None
        return "market_opened" if self._is_open else "market_closed"

    def _look(self) -> None:
        now_ns = self._now_ns()
        if self._is_open is not None and self._until_ns is not None and now_ns < self._until_ns:
            return
        parts = self._calendar.segments_between(now_ns, now_ns + _AHEAD)
        bounds = [(int(o), int(c)) for o, c in zip(parts.open_ns, parts.close_ns, strict=True) if c > now_ns]
        self._is_open = bool(bounds) and bounds[0][0] <= now_ns
        self._until_ns = bounds[0][int(self._is_open)] if bounds else None
