"""When the market is open, as Alpaca writes it: the clock, and the calendar of sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from fairlead.core.time import NS_PER_DAY, date_to_day, day_to_date, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from fairlead.practice.alpaca.broker import AlpacaBroker
from fairlead.practice.alpaca.refusals import invalid

_NEW_YORK: Final = ZoneInfo("America/New_York")
_AHEAD: Final = 15
_FIRST: Final = dt.date(1970, 1, 1)
_LAST: Final = dt.date(2029, 12, 31)


def clock_json(broker: AlpacaBroker) -> dict[str, Any]:
    """Return the time, and when the market opens and closes next; stamps are in the time of New York."""
    now = broker.now_ns()
    calendar = ExchangeCalendar.get(broker.market.calendar)
    day = now // NS_PER_DAY
    days = calendar.sessions(max(calendar.first_day, day - 2), min(calendar.last_day, day + _AHEAD))
    opens, closes = calendar.bounds(days)
    is_open = bool(((opens <= now) & (now < closes)).any())
    return {
        "timestamp": _local(now).isoformat(),
        "is_open": is_open,
        "next_open": _local(int(opens[opens > now][0])).isoformat(),
        "next_close": _local(int(closes[closes > now][0])).isoformat(),
    }


def calendar_json(broker: AlpacaBroker, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the sessions between two dates, both included."""
    calendar = ExchangeCalendar.get(broker.market.calendar)
    first, last = (_date(query, name, default) for name, default in (("start", _FIRST), ("end", _LAST)))
    days = calendar.sessions(max(calendar.first_day, date_to_day(first)), min(calendar.last_day, date_to_day(last)))
    opens, closes = calendar.bounds(days)
    return [
        {
            "date": day_to_date(int(day)).isoformat(),
            "open": f"{_local(int(start)):%H:%M}",
            "close": f"{_local(int(end)):%H:%M}",
            "session_open": "0400",
            "session_close": "2000",
        }
        for day, start, end in zip(days, opens, closes, strict=True)
    ]


def _date(query: Mapping[str, str], name: str, default: dt.date) -> dt.date:
    if not query.get(name):
        return default
    try:
        return min(max(dt.datetime.fromisoformat(query[name]).date(), _FIRST), _LAST)
    except ValueError as exc:
        raise invalid(f"invalid {name}: {query[name]}") from exc


def _local(ns: int) -> dt.datetime:
    return to_datetime(ns).astimezone(_NEW_YORK)
