"""When sessions close: asked only for what has to end with one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fairlead.contracts.sessions import HoursOf, SessionHours, hours_of
from fairlead.core.errors import FairleadError
from fairlead.data.calendars import ExchangeCalendar


def session_closes(calendar: str) -> Callable[[int], int | None]:
    """Return the function from a session date, in days since the epoch, to its closing instant in nanoseconds.

    The calendar is opened at the first question. The answer is None for a day that it does not have.
    """
    known: dict[int, int | None] = {}

    def close(session: int) -> int | None:
        if session not in known:
            known[session] = _close_of(calendar, session)
        return known[session]

    return close


def session_hours(calendar: str) -> HoursOf:
    """Return the function from an instant, in nanoseconds, to its session; the calendar is opened at the first question."""
    found: list[HoursOf] = []

    def hours(instant_ns: int) -> SessionHours | None:
        if not found:
            found.append(hours_of(ExchangeCalendar.get(calendar)))
        return found[0](instant_ns)

    return hours


def _close_of(calendar: str, session: int) -> int | None:
    try:
        _, closes = ExchangeCalendar.get(calendar).bounds(np.array([session], np.int32))
    except FairleadError:
        return None
    return int(closes[0])
