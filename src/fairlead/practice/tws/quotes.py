"""What a market-data line is told: the newest prices and sizes of one instrument, and the day's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import to_datetime
from fairlead.data.live.feed import MarketEvent
from fairlead.practice.tws.client import Client
from fairlead.practice.tws.codes import Told
from fairlead.practice.tws.listings import Listing

_LIVE: Final = {"bid": 1, "ask": 2, "last": 4, "high": 6, "low": 7, "close": 9, "open": 14}
_LIVE_SIZES: Final = {"bid": 0, "ask": 3, "last": 5, "volume": 8}
_LATE: Final = {"bid": 66, "ask": 67, "last": 68, "high": 72, "low": 73, "close": 75, "open": 76}
_LATE_SIZES: Final = {"bid": 69, "ask": 70, "last": 71, "volume": 74}
_STAMP, _LATE_STAMP = 45, 88
_RT_VOLUME: Final = "233"
_SHORTABLE: Final = "236"
_VERSION: Final = 6


@dataclass(slots=True)
class Day:
    """What a day has brought so far; 0 for what is not known. A bar is told as one trade of its volume, at its close."""

    date: str = ""
    bid: float = 0.0
    ask: float = 0.0
    bid_size: float = 0.0
    ask_size: float = 0.0
    last: float = 0.0
    last_size: float = 0.0
    open: float = 0.0
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    """Of the day before."""
    volume: float = 0.0
    value: float = 0.0
    last_ns: int = 0

    def take(self, event: MarketEvent, zone: str) -> None:
        """Take what has become known."""
        match event:
            case Quote():
                self.bid, self.ask, self.bid_size, self.ask_size = event.bid, event.ask, event.bid_size, event.ask_size
            case Trade():
                self._trade(event.known_ns, zone, event.price, event.price, event.price, event.price, event.size)
            case Bar():
                self._trade(event.known_ns, zone, event.open, event.high, event.low, event.close, event.volume)

    def _trade(self, ts_ns: int, zone: str, first: float, high: float, low: float, last: float, size: float) -> None:
        date = f"{to_datetime(ts_ns).astimezone(ZoneInfo(zone)):%Y%m%d}"
        if date != self.date:
            self.date, self.close, self.volume, self.value = date, self.last, 0.0, 0.0
            self.open, self.high, self.low = first, high, low
        self.high, self.low = max(self.high, high), min(self.low, low)
        self.last, self.last_size, self.last_ns = last, size, ts_ns
        self.volume += size
        self.value += size * last


@dataclass(slots=True)
class Line:
    """One market-data subscription."""

    listing: Listing
    generic: tuple[str, ...]
    is_late: bool

    def begin(self, client: Client, request_id: int, day: Day) -> None:
        """Tell what a subscription begins with."""
        client.send(Told.MARKET_DATA_TYPE, 1, request_id, 3 if self.is_late else 1)
        client.send(Told.TICK_PARAMETERS, request_id, self.listing.min_tick, "9c0001", 3)
        if _SHORTABLE in self.generic:
            client.send(Told.TICK_GENERIC, _VERSION, request_id, 46, 3.0 if self.listing.instrument.shortable else 1.0)
        price = self._teller(client, request_id, day)
        for name in ("bid", "ask", "last", "open", "high", "low", "close"):
            price(name)
        self._volume(client, request_id, day)

    def tell(self, client: Client, request_id: int, day: Day, event: MarketEvent) -> None:
        """Tell what an event has changed."""
        price = self._teller(client, request_id, day)
        if isinstance(event, Quote):
            price("bid")
            price("ask")
            return
        price("last")
        price("high")
        price("low")
        self._volume(client, request_id, day)

    def _teller(self, client: Client, request_id: int, day: Day) -> Callable[[str], None]:
        prices, sizes = (_LATE, _LATE_SIZES) if self.is_late else (_LIVE, _LIVE_SIZES)

        def tell(name: str) -> None:
            value: float = getattr(day, name)
            if not value:
                return
            size: float = getattr(day, f"{name}_size", 0.0)
            client.tell(Told.TICK_PRICE, _VERSION, request_id, prices[name], value, size, 1)
            if name in sizes:
                client.tell(Told.TICK_SIZE, _VERSION, request_id, sizes[name], size)

        return tell

    def _volume(self, client: Client, request_id: int, day: Day) -> None:
        if not day.last_ns:
            return
        client.tell(Told.TICK_SIZE, _VERSION, request_id, (_LATE_SIZES if self.is_late else _LIVE_SIZES)["volume"], day.volume)
        seconds = day.last_ns // 1_000_000_000
        client.tell(Told.TICK_STRING, _VERSION, request_id, _LATE_STAMP if self.is_late else _STAMP, seconds)
        if _RT_VOLUME in self.generic:
            worth = day.value / day.volume if day.volume else 0.0
            stamp = f"{day.last_ns // 1_000_000};{day.volume:g};{worth}"
            client.tell(Told.TICK_STRING, _VERSION, request_id, 48, f"{day.last};{day.last_size:g};{stamp};false")
