"""Alpaca's history for a pull: raw bars of one symbol, page by page, and what companies did to their shares."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from fairlead.contracts.sessions import find_segment
from fairlead.core.errors import (
    BrokerAccess,
    BrokerConnection,
    ConfigurationError,
    ContractError,
    DataError,
    FairleadError,
    PacingViolation,
)
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.vendors.alpaca.rest import FailureKind, Rest, RestFailure
from fairlead.data.vendors.alpaca.stamps import stamp_ns
from fairlead.data.vendors.history import HistoryPage, HistoryTraits, PageRequest
from fairlead.data.vendors.pace import PaceLimit
from fairlead.data.vendors.sources import HistoryKind

KEY, SECRET = "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"
"""Where Alpaca's own tools look for the keys."""

# Longer ones count from full hours there, not from the opening.
_FRAMES: Final = {BarSize.M1: "1Min", BarSize.M5: "5Min", BarSize.M15: "15Min", BarSize.M30: "30Min", BarSize.D1: "1Day"}
_PAGE: Final = 10_000
_FIELDS: Final = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}

TRAITS: Final = HistoryTraits(
    # So that a page of these, the hours before and after the session included, has no more than Alpaca sends at once.
    sessions_per_page={BarSize.M1: 10, BarSize.M5: 50, BarSize.M15: 150, BarSize.M30: 300, BarSize.D1: 5_000},
    limits=(PaceLimit(180, 60.0),),
    has_actions=True,
)


class AlpacaHistoryKind(HistoryKind):
    """Alpaca, with the keys of an account in ``APCA_API_KEY_ID`` and ``APCA_API_SECRET_KEY``.

    Parameters
    ----------
    feed : {'iex', 'sip'}
        The trades of one exchange, or of all; the second must be paid for, except for what is older than a quarter of an hour.
    url : str
        Where the data is asked for.
    timeout_s : float
        Seconds that a request may take.
    """

    feed: Literal["iex", "sip"] = "iex"
    url: str = Field(
        default="https://data.alpaca.markets", pattern=r"^(https://[^/\s]+|http://(127\.0\.0\.1|localhost)(:\d+)?)$"
    )
    timeout_s: float = Field(default=30.0, gt=0, le=300)

    def open(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> AlpacaHistory:  # noqa: ARG002  it has no clock
        """Return the source."""
        for name in (KEY, SECRET):
            if not environ.get(name):
                remedy = "Make a key of a paper account at alpaca.markets: it is free, and enough."
                raise ConfigurationError(f"'--source alpaca' needs the variable {name} in the environment. {remedy}")
        return AlpacaHistory(Rest(self.url, environ[KEY], environ[SECRET], timeout_s=self.timeout_s, workers=1), self.feed)


class AlpacaHistory:
    """Raw bars and corporate actions of US equities.

    Parameters
    ----------
    rest : Rest
    feed : {'iex', 'sip'}
    """

    name = "alpaca"
    traits = TRAITS

    def __init__(self, rest: Rest, feed: str) -> None:
        self._rest = rest
        self._feed = feed

    async def page(self, request: PageRequest) -> HistoryPage:
        """Return one page of bars, those outside of the sessions left out."""
        query = {
            "symbols": request.symbol,
            "timeframe": _FRAMES[request.bar_size],
            "start": _midnight(request.first, request.calendar),
            "end": _midnight(request.last + dt.timedelta(days=1), request.calendar, before=1),
            "adjustment": "raw",
            "feed": self._feed,
            "sort": "asc",
            "limit": _PAGE,
            **({"page_token": request.token} if request.token else {}),
        }
        answer = await self._ask("/stocks/bars", query, request)
        try:
            rows = (answer.get("bars") or {}).get(request.symbol) or []
            return HistoryPage(_frame(rows, request), str(answer.get("next_page_token") or ""))
        except (AttributeError, KeyError, TypeError, ContractError) as exc:
            raise _unreadable(request, exc) from exc

    async def actions(self, request: PageRequest) -> Sequence[CorporateAction]:
        """Return the corporate actions of some sessions."""
        found: list[CorporateAction] = []
        query = {"symbols": request.symbol, "start": request.first, "end": request.last, "limit": 1_000, "page_token": ""}
        while True:
            sent = {name: str(value) for name, value in query.items() if value}
            answer = await self._ask("/corporate-actions", sent, request, version="v1")
            try:
                for kind, rows in (answer.get("corporate_actions") or {}).items():
                    found += [action for row in rows for action in _actions(kind, row, request.symbol)]
                query["page_token"] = answer.get("next_page_token") or ""
            except (AttributeError, KeyError, TypeError, ValueError) as exc:
                raise _unreadable(request, exc) from exc
            if not query["page_token"]:
                return sorted(found, key=lambda action: action.sort_key)

    def close(self) -> None:
        """Close the connection."""
        self._rest.close()

    async def _ask(self, path: str, query: Mapping[str, Any], request: PageRequest, *, version: str = "v2") -> Any:
        try:
            return await self._rest.ask("GET", path, query, version=version)
        except RestFailure as exc:
            raise _told(exc, request) from exc


def _frame(rows: Sequence[Mapping[str, Any]], request: PageRequest) -> Any:
    import pandas as pd  # noqa: PLC0415  slow to import

    stamps = np.array([stamp_ns(row["t"]) for row in rows], np.int64)
    if len(stamps) == 0:
        return None
    # Before the opening and after the close there are bars too; that is no fault of theirs. A daily bar is labelled by
    # midnight in New York, and the door knows what to make of it.
    kept = np.ones(len(rows), np.bool_)
    if request.bar_size.is_intraday:
        kept = find_segment(request.calendar.segments_between(int(stamps.min()), int(stamps.max())), stamps)[0]
    index = pd.DatetimeIndex(stamps.astype("datetime64[ns]"), tz="UTC", name="ts")
    frame = pd.DataFrame({name: [row.get(letter) for row in rows] for letter, name in _FIELDS.items()}, index=index)
    return frame[kept]


def _actions(kind: str, row: Mapping[str, Any], symbol: str) -> Iterator[CorporateAction]:
    """Yield the action that a row of one of Alpaca's lists states of `symbol`; nothing if the list has none that we apply."""
    day = date_to_day(dt.date.fromisoformat(row.get("ex_date") or row.get("effective_date") or row["process_date"]))
    own = row.get("symbol") or row.get("source_symbol") or row.get("old_symbol") or row.get("acquiree_symbol")
    if own != symbol:
        return
    match kind:
        case "cash_dividends":
            yield CorporateAction(symbol, day, ActionKind.DIVIDEND, float(row["rate"]))
        case "forward_splits" | "reverse_splits":
            yield CorporateAction(symbol, day, ActionKind.SPLIT, float(row["new_rate"]) / float(row["old_rate"]))
        case "stock_dividends":
            yield CorporateAction(symbol, day, ActionKind.STOCK_DIVIDEND, float(row["rate"]))
        case "spin_offs":
            rate = float(row["new_rate"]) / float(row["source_rate"])
            yield CorporateAction(symbol, day, ActionKind.SPIN_OFF, rate, row["new_symbol"])
        case "name_changes" if row["new_symbol"] != symbol:  # not of another cusip alone
            yield CorporateAction(symbol, day, ActionKind.RENAME, other=row["new_symbol"])
        case "cash_mergers" | "stock_mergers" | "stock_and_cash_mergers":
            yield _merger(row, symbol, day)
        case "worthless_removals":
            yield CorporateAction(symbol, day, ActionKind.DELISTING, cash=0.0)


def _merger(row: Mapping[str, Any], symbol: str, day: int) -> CorporateAction:
    cash = row.get("cash_rate", row.get("rate"))
    paid = None if cash is None else float(cash)
    if "acquirer_rate" not in row:
        return CorporateAction(symbol, day, ActionKind.MERGER, cash=paid)
    rate = float(row["acquirer_rate"]) / float(row["acquiree_rate"])
    return CorporateAction(symbol, day, ActionKind.MERGER, rate, row["acquirer_symbol"], paid)


def _midnight(day: dt.date, calendar: ExchangeCalendar, before: int = 0) -> str:
    """Return the beginning of a day where the exchange is, or some seconds before, in UTC."""
    local = dt.datetime.combine(day, dt.time(), zoneinfo.ZoneInfo(calendar.timezone))
    return (local.astimezone(dt.UTC) - dt.timedelta(seconds=before)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(exc: RestFailure, request: PageRequest) -> FairleadError:
    whom = f"alpaca ({request.symbol}, {request.first} to {request.last})"
    match exc.kind:
        case FailureKind.NOT_SENT | FailureKind.UNANSWERED:
            return BrokerConnection(f"{whom} does not answer: {exc.text}.")
        case FailureKind.PACING:
            return PacingViolation(f"{whom} says that too much was asked: {exc.text}.")
        case FailureKind.ACCESS:
            if "subscription" in exc.text.lower():
                return BrokerAccess(f"{whom}: the keys do not cover this data: {exc.text}. Ask for it with --option feed=iex.")
            return BrokerAccess(f"{whom} does not accept the keys: {exc.text}. Check {KEY} and {SECRET}.")
    if "subscription" in exc.text.lower():
        return BrokerAccess(f"{whom}: the keys do not cover this data: {exc.text}. Ask for it with --option feed=iex.")
    return DataError(f"{whom} refuses: {exc.text}.")


def _unreadable(request: PageRequest, exc: Exception) -> DataError:
    return DataError(
        f"the answer of alpaca ({request.symbol}, {request.first} to {request.last}) cannot be understood: {exc!r}."
    )
