"""Alpaca's market data by REST: what was, page by page, and what is newest."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from fairlead.core.errors import ContractError
from fairlead.core.events import Bar, CorporateAction, Quote, Trade
from fairlead.core.instruments import check_symbol
from fairlead.core.time import NS_PER_DAY, date_to_day, to_datetime
from fairlead.data.live.feed import MarketEvent
from fairlead.practice.alpaca.announcements import announcements
from fairlead.practice.alpaca.broker import AlpacaBroker
from fairlead.practice.alpaca.http import Request, Response
from fairlead.practice.alpaca.prices import adjusted, bars_of, event_json, frame_minutes, stamp_text
from fairlead.practice.alpaca.refusals import Refusal, not_found
from fairlead.practice.alpaca.words import read_count, read_instant

_PAGE: Final = 1_000
_MOST: Final = 10_000
_KINDS: Final[Mapping[str, type]] = {"bars": Bar, "quotes": Quote, "trades": Trade}


class _Row(NamedTuple):
    symbol: str
    ts_ns: int
    event: MarketEvent


class DataApi:
    """Answers what is asked below ``/v2/stocks`` and ``/v1/corporate-actions``. Nothing of it is newer than the market.

    Parameters
    ----------
    broker : AlpacaBroker
    actions : sequence of CorporateAction
    """

    def __init__(self, broker: AlpacaBroker, actions: Sequence[CorporateAction] = ()) -> None:
        self._broker = broker
        self._actions = tuple(actions)

    def answer(self, request: Request) -> Response:
        """Return the answer.

        Raises
        ------
        Refusal
            If there is none that was hoped for.
        """
        if request.path == "/v1/corporate-actions":
            return Response.of(announcements(self._actions, request.query, self._broker.now_ns()))
        parts = request.path.removeprefix("/v2/stocks/").split("/")
        kind = _KINDS.get(parts[0])
        if request.method != "GET" or kind is None or parts[1:] not in ([], ["latest"]):
            raise not_found("endpoint not found")
        symbols = _symbols(request.query)
        self._check_feed(request.query)
        if parts[1:]:
            return Response.of({parts[0]: self._latest(symbols, kind)})
        return Response.of(self._page(request.query, symbols, parts[0]))

    def _latest(self, symbols: Sequence[str], kind: type) -> dict[str, Any]:
        found: dict[str, Any] = {}
        wanted = set(symbols)
        for event in reversed(self._broker.market.events[: self._broker.market.count]):
            if len(found) == len(wanted):
                break
            if isinstance(event, kind) and event.symbol in wanted and event.symbol not in found:
                found[event.symbol] = event_json(event, stamp_text)
        return found

    def _page(self, query: Mapping[str, str], symbols: Sequence[str], name: str) -> dict[str, Any]:
        size = read_count(query.get("limit"), "limit", _PAGE, _MOST)
        now = self._broker.now_ns()
        start = read_instant(query["start"], "start") if "start" in query else now // NS_PER_DAY * NS_PER_DAY
        end = read_instant(query["end"], "end", end=True) if "end" in query else now
        is_down = query.get("sort", "asc") == "desc"
        make = self._bars(query) if name == "bars" else self._ticks(_KINDS[name])
        after = _read_token(query["page_token"]) if query.get("page_token") else None
        rows: list[_Row] = []
        for symbol in sorted(set(symbols)):
            if after is not None and symbol < after[0]:
                continue
            found = [row for row in make(symbol) if start <= row.ts_ns <= end]
            if is_down:
                found.reverse()
            if after is not None and symbol == after[0]:
                found = found[after[1] :]
            rows += found
            if len(rows) > size:
                break
        page: dict[str, list[dict[str, Any]]] = {}
        for row in rows[:size]:
            page.setdefault(row.symbol, []).append(event_json(row.event, stamp_text))
        token = None
        if len(rows) > size:
            last = rows[size - 1].symbol
            seen = len(page[last]) + (after[1] if after is not None and after[0] == last else 0)
            token = _write_token(last, seen)
        return {name: page, "next_page_token": token}

    def _bars(self, query: Mapping[str, str]) -> Callable[[str], list[_Row]]:
        minutes = frame_minutes(query.get("timeframe", ""))
        market = self._broker.market
        known = market.events[: market.count]

        def made(symbol: str) -> list[_Row]:
            bars = [event for event in known if isinstance(event, Bar) and event.symbol == symbol]
            # What takes effect later is not known yet.
            today = date_to_day(to_datetime(market.now_ns).date())
            actions = [one for one in self._actions if one.symbol == symbol and one.ex_session <= today]
            whole = adjusted(bars_of(bars, minutes, market.bar_size), actions, query.get("adjustment", "raw"))
            return [_Row(symbol, bar.label_ns, bar) for bar in whole]

        return made

    def _ticks(self, kind: type) -> Callable[[str], list[_Row]]:
        market = self._broker.market
        known = market.events[: market.count]
        return lambda symbol: [
            _Row(symbol, event.known_ns, event) for event in known if isinstance(event, kind) and event.symbol == symbol
        ]

    def _check_feed(self, query: Mapping[str, str]) -> None:
        feed = query.get("feed", "iex")
        if feed not in ("iex", "sip", "delayed_sip", "otc", "boats", "overnight"):
            raise _bad(f"invalid feed: {feed}")
        if feed not in self._broker.feed.feeds:
            text = "subscription does not permit querying recent SIP data"
            raise Refusal(HTTPStatus.FORBIDDEN, 42210000, text)


def _symbols(query: Mapping[str, str]) -> list[str]:
    names = [name for name in query.get("symbols", "").split(",") if name]
    if not names:
        raise _bad("symbols is required")
    try:
        return [check_symbol(name) for name in names]
    except ContractError as exc:
        raise _bad("invalid symbol") from exc


def _bad(text: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, 40010000, text)


def _write_token(symbol: str, seen: int) -> str:
    return base64.urlsafe_b64encode(f"{symbol}|{seen}".encode()).decode()


def _read_token(text: str) -> tuple[str, int]:
    try:
        symbol, _, seen = base64.urlsafe_b64decode(text).decode().partition("|")
        return symbol, int(seen)
    except (binascii.Error, ValueError) as exc:
        raise _bad("invalid page token") from exc
