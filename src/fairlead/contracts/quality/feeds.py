"""Whether a live feed can be trusted at an instant: its clock, and whether it still speaks (domain 2.7)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np

from fairlead.contracts.sessions import SessionCalendar, find_segment
from fairlead.core.time import NS_PER_SECOND, BarSize

DRIFT_WARNING_MS: Final = 50.0
DRIFT_REJECT_MS: Final = 250.0
STALE_BARS: Final = 5
STALE_LEAST_NS: Final = 60 * NS_PER_SECOND


class ClockDrift(StrEnum):
    """What the distance between two clocks leads to."""

    OK = "ok"
    WARNING = "warning"
    REJECT = "reject"


def clock_drift(drift_ms: float) -> ClockDrift:
    """Return what a clock that is `drift_ms` off, either way, leads to: beyond 250 ms its ticks are refused.

    A drift that is not a number is not known, and refused.
    """
    size = abs(drift_ms)
    if not size <= DRIFT_REJECT_MS:
        return ClockDrift.REJECT
    return ClockDrift.WARNING if size > DRIFT_WARNING_MS else ClockDrift.OK


def is_stale(last_update_ns: int, now_ns: int, bar_size: BarSize, calendar: SessionCalendar) -> bool:
    """Return whether a feed has been silent for max(5 bars, 60 s) or longer while its exchange trades.

    Time counts from the last update, or from the opening of the running segment if that came later: what was silent over the
    night is not stale in the first minute of the day.

    Raises
    ------
    DataError
        If `now_ns` is beyond the dates for which the calendar is known.
    """
    segments = calendar.segments_between(now_ns, now_ns)
    inside, position = find_segment(segments, np.array([now_ns], np.int64))
    if not inside[0]:
        return False
    silent_since = max(last_update_ns, int(segments.open_ns[position[0]]))
    return now_ns - silent_since >= max(STALE_BARS * bar_size.ns, STALE_LEAST_NS)
