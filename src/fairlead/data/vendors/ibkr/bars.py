"""Bars of history as the protocol has them, and how they are asked for: pure."""

from __future__ import annotations

import datetime as dt
from types import MappingProxyType
from typing import Final

from fairlead.core.errors import DataError
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_SECOND, BarSize, to_datetime
from fairlead.data.vendors.ibkr.messages import BarTold

SIZES: Final = MappingProxyType(
    {
        BarSize.M1: "1 min",
        BarSize.M5: "5 mins",
        BarSize.M15: "15 mins",
        BarSize.M30: "30 mins",
        BarSize.H1: "1 hour",
        BarSize.D1: "1 day",
    }
)
SESSIONS_PER_PAGE: Final = MappingProxyType(
    {BarSize.M1: 1, BarSize.M5: 5, BarSize.M15: 5, BarSize.M30: 20, BarSize.H1: 20, BarSize.D1: 250}
)
"""What one request may span, by the vendor's own table of steps."""
_DAY_S: Final = 86_400
_MOST_DAYS: Final = 365
_SHORTEST_S: Final = 60


def end_text(end_ns: int) -> str:
    """Return an instant as a request of history names its end, in UTC."""
    return to_datetime(end_ns).strftime("%Y%m%d-%H:%M:%S")


def days_text(days: int) -> str:
    """Return a number of sessions as a request spans them: beyond a year only whole years are taken."""
    return f"{days} D" if days <= _MOST_DAYS else f"{-(-days // _MOST_DAYS)} Y"


def seconds_text(since_ns: int, until_ns: int) -> str:
    """Return the time between two instants as a request spans it, rounded up."""
    seconds = max(-(-(until_ns - since_ns) // NS_PER_SECOND), _SHORTEST_S)
    return f"{seconds} S" if seconds <= _DAY_S else f"{-(-seconds // _DAY_S) + 1} D"


def opening_ns(told: BarTold) -> int:
    """Return the opening of a bar of the day, which is told in seconds since the epoch.

    Raises
    ------
    DataError
        If it is told as anything else.
    """
    try:
        return int(told.stamp) * NS_PER_SECOND
    except ValueError as exc:
        raise DataError(f"a bar's stamp must be seconds since the epoch, was {told.stamp!r}.") from exc


def session_of(told: BarTold) -> dt.date:
    """Return the session of a daily bar, told as YYYYMMDD.

    Raises
    ------
    DataError
        If it is told as anything else.
    """
    try:
        return dt.datetime.strptime(told.stamp, "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError as exc:
        raise DataError(f"a daily bar's stamp must be YYYYMMDD, was {told.stamp!r}.") from exc


def bar_of(told: BarTold, symbol: str, length_ns: int) -> Bar:
    """Return a bar that lasts `length_ns`, in our words."""
    label = opening_ns(told)
    return Bar(symbol, label, label + length_ns, told.open, told.high, told.low, told.close, max(told.volume, 0.0))
