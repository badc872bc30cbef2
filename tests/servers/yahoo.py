"""A server on loopback that speaks what `yfinance` asks of Yahoo: the chart API, its cookie and its crumb."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar

_SIZES = {"1m": BarSize.M1, "5m": BarSize.M5, "15m": BarSize.M15, "30m": BarSize.M30, "1h": BarSize.H1, "1d": BarSize.D1}
_FIELDS = ("open", "high", "low", "close", "volume")


@dataclass
class Listing:
    """What was traded, by session date: rows of open, high, low, close and volume, raw."""

    bars: dict[str, tuple[float | None, ...]]
    splits: dict[str, float] = field(default_factory=dict)
    dividends: dict[str, float] = field(default_factory=dict)
    """Raw currency per share, of its day."""
    intraday: dict[int, tuple[float | None, ...]] = field(default_factory=dict)
    """By opening instant in seconds, of one bar size."""

    def factor(self, day: int, *, own_day: bool = False) -> float:
        """The product of the splits after a day: what Yahoo divides by."""
        later = (r for d, r in self.splits.items() if date_to_day_of(d) > day or (own_day and date_to_day_of(d) == day))
        return float(np.prod([*later, 1.0]))


class YahooServer:
    """Listings by Yahoo's symbol, and what goes wrong."""

    def __init__(self, listings: dict[str, Listing], calendar: str = "XNYS") -> None:
        self.listings = listings
        self.calendar = ExchangeCalendar.get(calendar)
        self.asked: list[tuple[str, str, int, int]] = []
        """Chart requests that were answered: symbol, interval, start, end."""
        self.too_many = 0
        """How many of the next chart requests are answered 429."""
        self.broken = 0
        """How many are answered 502 with a page that is no JSON."""
        self.url = ""

    def chart(self, symbol: str, query: dict[str, str]) -> tuple[int, object]:
        """Return status and body of a chart request."""
        if self.too_many:
            self.too_many -= 1
            return 429, "Too Many Requests\r\n"
        if self.broken:
            self.broken -= 1
            return 502, "<html>Bad gateway</html>"
        listing = self.listings.get(symbol)
        if listing is None:
            return 404, _error("Not Found", "No data found, symbol may be delisted")
        first, last = int(query.get("period1", 0)), int(query.get("period2", 2**40))
        self.asked.append((symbol, query["interval"], first, last))
        if "range" in query:  # only to learn of the time zone
            return 200, _chart({**self._meta(symbol), "tradingPeriods": []}, {}, [], [])
        size = _SIZES[query["interval"]]
        rows = self._daily(listing) if size is BarSize.D1 else sorted(listing.intraday.items())
        rows = [(stamp, self._adjusted(listing, stamp, row)) for stamp, row in rows if first <= stamp < last]
        if not rows:
            return 400, _error("Bad Request", f"Data doesn't exist for startDate = {first}, endDate = {last}")
        meta = self._meta(symbol)
        if size is not BarSize.D1:
            meta["tradingPeriods"] = self._periods([stamp for stamp, _ in rows])
        return 200, _chart(meta, self._events(listing, first, last), [stamp for stamp, _ in rows], [row for _, row in rows])

    def _daily(self, listing: Listing) -> list[tuple[int, tuple[float | None, ...]]]:
        return [(self._open(date_to_day_of(day)), row) for day, row in sorted(listing.bars.items())]

    def _open(self, day: int) -> int:
        sessions = self.calendar.sessions(day, day)
        # Of a date that is no session some hour of it: Yahoo has such bars now and then.
        opens = self.calendar.bounds(sessions)[0] if len(sessions) else np.array([day * NS_PER_DAY + 15 * 3600 * NS_PER_SECOND])
        return int(opens[0]) // NS_PER_SECOND

    def _adjusted(self, listing: Listing, stamp: int, row: tuple[float | None, ...]) -> tuple[float | None, ...]:
        factor = listing.factor(stamp // 86_400)
        prices = [None if price is None else float(np.float32(price / factor)) for price in row[:4]]
        return (*prices, None if row[4] is None else int(row[4] * factor))

    def _events(self, listing: Listing, first: int, last: int) -> dict[str, object]:
        splits, dividends = {}, {}
        for day, ratio in listing.splits.items():
            stamp = self._open(date_to_day_of(day))
            if first <= stamp < last:
                terms = (ratio, 1) if ratio >= 1 else (1, round(1 / ratio))
                splits[str(stamp)] = {"date": stamp, "numerator": terms[0], "denominator": terms[1], "splitRatio": "n:m"}
        for day, amount in listing.dividends.items():
            stamp = self._open(date_to_day_of(day))
            if first <= stamp < last:
                factor = listing.factor(date_to_day_of(day), own_day=True)
                dividends[str(stamp)] = {"amount": float(np.float32(amount / factor)), "date": stamp}
        return {name: found for name, found in (("dividends", dividends), ("splits", splits)) if found}

    def _periods(self, stamps: list[int]) -> list[list[dict[str, object]]]:
        days = sorted({stamp // 86_400 for stamp in stamps})
        opens, closes = self.calendar.bounds(np.array(days, np.int32))
        return [[_period(int(o) // NS_PER_SECOND, int(c) // NS_PER_SECOND)] for o, c in zip(opens, closes, strict=True)]

    def _meta(self, symbol: str) -> dict[str, object]:
        return {
            "currency": "USD",
            "symbol": symbol,
            "exchangeName": "NMS",
            "instrumentType": "EQUITY",
            "firstTradeDate": 0,
            "regularMarketTime": 1_700_000_000,
            "gmtoffset": -18_000,
            "timezone": "EST",
            "exchangeTimezoneName": self.calendar.timezone,
            "regularMarketPrice": 1.0,
            "priceHint": 2,
            "currentTradingPeriod": {name: _period(1_700_000_000, 1_700_023_400) for name in ("pre", "regular", "post")},
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        }


def date_to_day_of(text: str) -> int:
    """Return the day of an ISO date."""
    import datetime as dt

    return date_to_day(dt.date.fromisoformat(text))


def _period(start: int, end: int) -> dict[str, object]:
    return {"timezone": "EST", "start": start, "end": end, "gmtoffset": -18_000}


def _chart(meta: object, events: object, stamps: list[int], rows: list[tuple[float | None, ...]]) -> object:
    quote = {name: [row[i] for row in rows] for i, name in enumerate(_FIELDS)}
    indicators = {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]}
    result = {"meta": meta, "timestamp": stamps, "events": events, "indicators": indicators}
    return {"chart": {"result": [result], "error": None}}


def _error(code: str, text: str) -> object:
    return {"chart": {"result": None, "error": {"code": code, "description": text}}}


@contextmanager
def running_yahoo(listings: dict[str, Listing], calendar: str = "XNYS") -> Iterator[YahooServer]:
    """Run a server until the context ends."""
    yahoo = YahooServer(listings, calendar)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path.startswith("/v8/finance/chart/"):
                status, body = yahoo.chart(parts.path.rpartition("/")[2], query)
            elif parts.path == "/v1/test/getcrumb":
                status, body = 200, "crumb"
            else:
                status, body = 404, "nothing here"
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815  as the library wants it named

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    yahoo.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield yahoo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
