"""When sessions close: asked only for what has to end with one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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


def _close_of(calendar: str, session: int) -> int | None:
    try:
        _, closes = ExchangeCalendar.get(calendar).bounds(np.array([session], np.int32))
    except FairleadError:
        return None
    return int(closes[0])
