"""Market data as messages: bars and ticks in JSON (domain rule 12.1).

A bar's `timestamp` is its end. Stamps are text with microseconds; numbers are in shortest round-trip form, so that a price that
was sent is the price that arrives.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ContractError
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.instruments import check_symbol
from fairlead.core.time import BarSize, format_utc, to_ns


def _utc(value: dt.datetime) -> dt.datetime:
    if value.utcoffset() != dt.timedelta(0):
        raise ContractError.of("timestamp", "be UTC", value.isoformat(), "End it with Z.")
    return value


Symbol = Annotated[str, AfterValidator(check_symbol)]
Utc = Annotated[dt.datetime, AfterValidator(_utc)]
Price = Annotated[float, Field(gt=0)]
Size = Annotated[float, Field(ge=0)]
Source = Literal["ibkr_realtime", "ibkr_historical", "alpaca", "cache", "synthetic"]


class Metadata(Settings):
    """Who sent a message, and which one of its messages it is."""

    producer_id: str | None = None
    sequence_number: int | None = Field(default=None, ge=0)
    trace_id: str | None = None


class DataQuality(Settings):
    """How far market data may be relied on."""

    completeness_score: float | None = Field(default=None, ge=0, le=1)
    freshness_ms: float | None = Field(default=None, ge=0)
    source: Source | None = None


class MarketMessage(Settings):
    """What bars and ticks have in common."""

    schema_version: str = "1.0"
    symbol: Symbol
    timestamp: Utc
    metadata: Metadata | None = None
    data_quality: DataQuality | None = None

    @property
    def known_ns(self) -> int:
        """The instant of `timestamp`, nanoseconds."""
        return to_ns(self.timestamp)

    @property
    def sequence_number(self) -> int:
        """Which message of its producer it is.

        Raises
        ------
        ContractError
            If it does not say so.
        """
        if self.metadata is None or self.metadata.sequence_number is None:
            raise ContractError.of("metadata.sequence_number", "be given on a live feed", None)
        return self.metadata.sequence_number


class BarMessage(MarketMessage):
    """A bar; `timestamp` is its end."""

    event_type: Literal["bar_event"]
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size
    bar_size: BarSize = BarSize.M1
    asset_class: str | None = None
    exchange: str | None = None
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= min(self.open, self.close) or not max(self.open, self.close) <= self.high:
            prices = (self.open, self.high, self.low, self.close)
            raise ContractError.of("open, high, low, close", "have low <= open, close <= high", prices)
        return self

    def bar(self, label_ns: int) -> Bar:
        """Return the bar, labelled by its opening."""
        return Bar(self.symbol, label_ns, self.known_ns, self.open, self.high, self.low, self.close, self.volume)


class TickMessage(MarketMessage):
    """A trade, a quote, or one side of a quote."""

    event_type: Literal["tick_event"]
    tick_type: Literal["TRADE", "BID", "ASK", "LAST", "QUOTE"]
    price: Price | None = None
    size: Size | None = None
    bid: Price | None = None
    bid_size: Size | None = None
    ask: Price | None = None
    ask_size: Size | None = None
    level2: Any = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in _NEEDED[self.tick_type]:
            if getattr(self, name) is None:
                raise ContractError.of(name, f"be given with tick_type {self.tick_type}", None)
        if self.tick_type == "QUOTE" and self.bid is not None and self.ask is not None and self.ask < self.bid:
            raise ContractError.of("ask", f"not be below the bid ({self.bid})", self.ask)
        return self

    def trade(self) -> Trade | None:
        """Return the trade that it tells of; None if it tells of a quote."""
        if self.price is None or self.size is None or self.tick_type not in ("TRADE", "LAST"):
            return None
        return Trade(self.symbol, self.known_ns, self.price, self.size)

    def quote(self, before: Quote | None) -> Quote | None:
        """Return the quote that it makes.

        Parameters
        ----------
        before : Quote or None
            The symbol's quote so far, with NaN for a side that is not known: what tells of one side keeps the other.

        Returns
        -------
        Quote or None
            With NaN for a side that is not known yet. None if it tells of a trade.
        """
        if self.tick_type in ("TRADE", "LAST"):
            return None
        bid, ask, bid_size, ask_size = (_UNKNOWN,) * 4 if before is None else before[2:]
        if self.bid is not None and self.bid_size is not None and self.tick_type != "ASK":
            bid, bid_size = self.bid, self.bid_size
        if self.ask is not None and self.ask_size is not None and self.tick_type != "BID":
            ask, ask_size = self.ask, self.ask_size
        return Quote(self.symbol, self.known_ns, bid, ask, bid_size, ask_size)


_UNKNOWN = float("nan")
_PRINT = ("price", "size")
_NEEDED = {
    "TRADE": _PRINT,
    "LAST": _PRINT,
    "BID": ("bid", "bid_size"),
    "ASK": ("ask", "ask_size"),
    "QUOTE": ("bid", "ask", "bid_size", "ask_size"),
}


def market_message(
    event: Bar | Quote | Trade, number: int, *, producer_id: str, bar_size: BarSize, source: str | None = None
) -> dict[str, Any]:
    """Return the message of an event as plain data.

    Parameters
    ----------
    event : Bar, Quote or Trade
    number : int
        Its sequence number.
    producer_id : str
    bar_size : BarSize
        Of bars.
    source : str, optional
        Where the data comes from; see `DataQuality`.
    """
    message: dict[str, Any] = {
        "symbol": event.symbol,
        "timestamp": format_utc(event.known_ns),
        "metadata": {"producer_id": producer_id, "sequence_number": number},
    }
    if source is not None:
        message["data_quality"] = {"source": source}
    match event:
        case Bar():
            message |= {
                "event_type": "bar_event",
                "open": event.open,
                "high": event.high,
                "low": event.low,
                "close": event.close,
                "volume": event.volume,
                "bar_size": bar_size.value,
            }
        case Quote():
            message |= {
                "event_type": "tick_event",
                "tick_type": "QUOTE",
                "bid": event.bid,
                "ask": event.ask,
                "bid_size": event.bid_size,
                "ask_size": event.ask_size,
            }
        case Trade():
            message |= {"event_type": "tick_event", "tick_type": "TRADE", "price": event.price, "size": event.size}
    return message
