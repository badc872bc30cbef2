"""How tests start an Alpaca of their own: the practice server over a session of known bars."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairlead.core.events import Bar
from fairlead.core.instruments import Instrument
from fairlead.core.time import NS_PER_MINUTE, BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.feed import MarketEvent
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.alpaca.server import AlpacaServer
from fairlead.practice.market import PracticeMarket

DAY = "2024-01-02"
SYMBOLS = ("ACME", "TGT", "ZED")


def flat_bars(symbols: Sequence[str] = SYMBOLS, count: int = 60, price: float = 100.0, day: str = DAY) -> list[Bar]:
    """Return minutes of a morning in which nothing moves but by hand: all at one price, 10,000 units each."""
    import datetime as dt

    opens, _ = ExchangeCalendar.get("XNYS").bounds(
        ExchangeCalendar.get("XNYS").sessions(date_to_day(dt.date.fromisoformat(day)), date_to_day(dt.date.fromisoformat(day)))
    )
    start = int(opens[0])
    return [
        Bar(
            symbol, start + i * NS_PER_MINUTE, start + (i + 1) * NS_PER_MINUTE, price, price + 0.5, price - 0.5, price, 10_000.0
        )
        for i in range(count)
        for symbol in symbols
    ]


@contextlib.contextmanager
def alpaca_server(
    events: Sequence[MarketEvent] | None = None,
    *,
    symbols: Sequence[str] = SYMBOLS,
    instruments: Mapping[str, Instrument] | None = None,
    cash: float = 1_000_000.0,
    now_ns: Callable[[], int] | None = None,
    **options: Any,
) -> Iterator[AlpacaServer]:
    """Run a server over `events`, or over an hour of `flat_bars`, of which the first minute has happened."""
    market = PracticeMarket(list(events) if events is not None else flat_bars(symbols), bar_size=BarSize.M1, calendar="XNYS")
    clock = now_ns or (lambda: market.now_ns)
    account = SimulatedAccount("PA0001", symbols=market.symbols, now_ns=clock, cash=cash, instruments=instruments)
    with AlpacaServer(market, account, now_ns=clock, **options) as server:
        server.step()
        yield server
