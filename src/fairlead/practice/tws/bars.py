"""Bars as history tells them: longer ones made of those of the session, and how their sizes, spans and stamps are written."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from fairlead.contracts.sessions import HoursOf
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize, to_datetime, to_ns

_NS_PER_S: Final = 1_000_000_000
_SIZE: Final = re.compile(r"(\d+) (secs?|mins?|hours?|day)")
_SPAN: Final = re.compile(r"(\d+) ([SDWMY])")
_UNITS: Final = {"sec": _NS_PER_S, "min": NS_PER_MINUTE, "hour": 60 * NS_PER_MINUTE, "day": NS_PER_DAY}
_KNOWN: Final = {"sec": (1, 5, 10, 15, 30), "min": (1, 2, 3, 5, 10, 15, 20, 30), "hour": (1, 2, 3, 4, 8), "day": (1,)}


def size_ns(text: str) -> int | None:
    """Return how long bars of a size are that clients may ask for, in nanoseconds; None for any other."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    count, unit = int(found[1]), found[2].rstrip("s")
    return count * _UNITS[unit] if count in _KNOWN[unit] else None


def start_of(span: str, end_ns: int, days: Sequence[int]) -> int | None:
    """Return the instant at which a span before `end_ns` begins; None if it is not written as one.

    Parameters
    ----------
    span : str
        ``600 S``, ``2 D``, ``1 W``, ``3 M`` or ``1 Y``. Days are days with bars.
    days : sequence of int
        The openings of the days with bars before the end, oldest first, in nanoseconds.
    """
    found = _SPAN.fullmatch(span)
    if found is None or int(found[1]) == 0:
        return None
    count, unit = int(found[1]), found[2]
    match unit:
        case "S":
            return end_ns - count * _NS_PER_S
        case "D":
            return days[-count] if len(days) >= count else 0
        case _:
            back = {"W": 7, "M": 30, "Y": 365}[unit]
            return end_ns - count * back * NS_PER_DAY


def gathered(bars: Iterable[Bar], length_ns: int, base: BarSize, hours: HoursOf) -> list[Bar]:
    """Return the bars of a length that shorter ones make up, counted from the opening of their session.

    The last may be unfinished.
    """
    made: list[Bar] = []
    for bar in bars:
        label_ns = label_of(bar, length_ns, base, hours)
        if made and made[-1].label_ns == label_ns:
            made[-1] = joined(made[-1], bar)
        else:
            made.append(bar._replace(label_ns=label_ns))
    return made


def joined(first: Bar, more: Bar) -> Bar:
    """Return a bar with what comes after it."""
    return first._replace(
        known_ns=more.known_ns,
        high=max(first.high, more.high),
        low=min(first.low, more.low),
        close=more.close,
        volume=first.volume + more.volume,
    )


def label_of(bar: Bar, length_ns: int, base: BarSize, hours: HoursOf) -> int:
    """Return the opening of the longer bar that a bar is part of."""
    if not base.is_intraday or length_ns == base.ns:
        return bar.label_ns
    session = hours(bar.label_ns)
    if session is None:
        return bar.label_ns
    if length_ns >= NS_PER_DAY:
        return session.open_ns
    return session.open_ns + (bar.label_ns - session.open_ns) // length_ns * length_ns


def stamp(label_ns: int, zone: str, *, is_days: bool, is_epoch: bool) -> str:
    """Return the opening of a bar as history writes it: a date for days, else a time with its zone, or seconds since 1970."""
    local = to_datetime(label_ns).astimezone(ZoneInfo(zone))
    if is_days:
        return f"{local:%Y%m%d}"
    return str(label_ns // _NS_PER_S) if is_epoch else f"{local:%Y%m%d %H:%M:%S} {zone}"


def day_openings(bars: Iterable[Bar], zone: str) -> list[int]:
    """Return the midnights, in a zone, of the days with bars, oldest first, in nanoseconds."""
    days = sorted({to_datetime(bar.label_ns).astimezone(ZoneInfo(zone)).date() for bar in bars})
    return [to_ns(dt.datetime.combine(day, dt.time(), ZoneInfo(zone))) for day in days]
