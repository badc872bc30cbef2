"""What guards look at, made by hand: ledgers, orders and markets in which nothing is wrong unless a test says so."""

from __future__ import annotations

from typing import Any

from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.risk.guards import Counters, MarketView, OrderView, PortfolioView
from fairlead.risk.pretrade import ProjectedExposure

MARKS = {"A": 100.0, "B": 50.0, "C": 10.0, "N": float("nan")}
"""Last prices; C has a multiplier of 10, and N has no price."""
MULTIPLIERS = {"C": 10.0}
NOW = 1_704_205_860_000_000_000


def a_ledger(cash: float = 100_000.0, **held: float) -> Portfolio:
    """Return a ledger that bought `held` at the marks out of `cash`."""
    ledger = Portfolio(cash, dict(MARKS), MULTIPLIERS)
    for symbol, units in held.items():
        ledger.apply(Fill("f", "o", "s", symbol, Side.of(units), abs(units), MARKS[symbol], MARKS[symbol], 0.0, 0, 0))
    return ledger


def working(symbol: str, units: float, kind: OrderType = OrderType.LIMIT, **fields: Any) -> Order:
    """Return an order that works already."""
    return Order(
        order_id="w",
        idempotency_key="w",
        group_id="g",
        strategy="s",
        symbol=symbol,
        side=Side.of(units),
        quantity=abs(units),
        order_type=kind,
        created_ns=NOW,
        arrives_ns=NOW,
        **fields,
    )


def asked(units: float, symbol: str = "A", **fields: Any) -> OrderView:
    """Return an order to be judged; the kind follows from the prices given."""
    kinds = {(True, False): OrderType.LIMIT, (False, True): OrderType.STOP, (True, True): OrderType.STOP_LIMIT}
    kind = kinds.get(("limit_price" in fields, "stop_price" in fields), OrderType.MARKET)
    return OrderView(
        **{"symbol": symbol, "signed_quantity": units, "order_type": kind, "strategy": "s", "created_ns": NOW, **fields}
    )


def market(symbol: str = "A", *, shortable: bool = True, **changes: Any) -> MarketView:
    """Return a market that is open, quoted and calm."""
    price = MARKS.get(symbol, float("nan"))
    instrument = Instrument(symbol=symbol, multiplier=MULTIPLIERS.get(symbol, 1.0), shortable=shortable)
    fields: dict[str, Any] = {
        "now_ns": NOW,
        "instrument": instrument,
        "last": price,
        "age_s": 0.0,
        "in_session": True,
        "bid": price,
        "ask": price,
        "reference": price,
    }
    return MarketView(**{**fields, **changes})


def account(ledger: Portfolio, *orders: Order, others: tuple[Portfolio, ...] = (), **counters: Any) -> PortfolioView:
    """Return the view of a ledger with working orders; equity began the session where it stands, unless told otherwise."""
    known = {"session_start_equity": ledger.equity, "peak_equity": ledger.equity, **counters}
    return PortfolioView(
        own=ProjectedExposure(ledger, orders),
        others=tuple(ProjectedExposure(other, ()) for other in others),
        counters=Counters(**known),
    )
