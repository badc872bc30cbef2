"""What Alpaca says of symbols and of sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fairlead.core.errors import ContractError
from fairlead.core.time import date_to_day, day_to_date, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from fairlead.execution.brokers.alpaca.mapping import number_of, text_of

_NEW_YORK: Final = ZoneInfo("America/New_York")


class Asset(NamedTuple):
    """A symbol at Alpaca.

    Parameters
    ----------
    is_shortable : bool
        Whether it may be sold short at all.
    is_easy_to_borrow : bool
        Whether shares to sell short are at hand.
    is_fractional : bool
        Whether parts of a share are traded.
    """

    symbol: str
    name: str
    exchange: str
    is_tradable: bool
    is_shortable: bool
    is_easy_to_borrow: bool
    is_fractional: bool
    is_marginable: bool
    maintenance_percent: float | None = None


class Session(NamedTuple):
    """A session: its date, and when it opens and closes by the clocks of New York."""

    date: dt.date
    opens: dt.time
    closes: dt.time


def read_asset(raw: Any) -> Asset:
    """Return the asset that was told.

    Raises
    ------
    ContractError
        If it is none.
    """
    if not isinstance(raw, Mapping):
        raise ContractError.of("asset", "be an object", raw)
    is_active = raw.get("status", "active") == "active"
    return Asset(
        text_of(raw, "symbol"),
        str(raw.get("name") or ""),
        str(raw.get("exchange") or ""),
        is_tradable=is_active and bool(raw.get("tradable")),
        is_shortable=bool(raw.get("shortable")),
        is_easy_to_borrow=bool(raw.get("easy_to_borrow")),
        is_fractional=bool(raw.get("fractionable")),
        is_marginable=bool(raw.get("marginable")),
        maintenance_percent=number_of(raw, "maintenance_margin_requirement", None),
    )


def read_sessions(rows: Any) -> list[Session]:
    """Return the sessions that were told.

    Raises
    ------
    ContractError
        If they are none.
    """
    try:
        return [
            Session(
                dt.date.fromisoformat(row["date"]),
                dt.time.fromisoformat(row["open"]),
                dt.time.fromisoformat(row["close"]),
            )
            for row in rows
        ]
    except (TypeError, KeyError, ValueError) as exc:
        raise ContractError.of("calendar", "be sessions with date, open and close", str(exc)) from exc


def session_differences(told: list[Session], calendar: ExchangeCalendar, first: dt.date, last: dt.date) -> list[str]:
    """Return where sessions differ from those of a calendar between two dates, both included; none if they agree."""
    theirs = {session.date: f"{session.opens:%H:%M} to {session.closes:%H:%M}" for session in told}
    days = calendar.sessions(date_to_day(first), date_to_day(last))
    opened, closed = calendar.bounds(days)
    ours = {
        day_to_date(int(day)): f"{_clock(int(begin)):%H:%M} to {_clock(int(end)):%H:%M}"
        for day, begin, end in zip(days, opened, closed, strict=True)
    }
    return [
        f"{date}: {theirs.get(date, 'no session')} at Alpaca, {ours.get(date, 'none')} in the calendar"
        for date in sorted({*theirs, *ours})
        if theirs.get(date) != ours.get(date)
    ]


def _clock(ns: int) -> dt.datetime:
    return to_datetime(ns).astimezone(_NEW_YORK)
