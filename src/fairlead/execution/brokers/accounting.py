"""The books of an account, as a broker shows them and as a session has them, made alike so that they can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order
from fairlead.execution.brokers.words import BrokerOrder, Execution, Snapshot
from fairlead.execution.tally import Books, Holding, Key, WorkingOrder

EVERYBODY = ""
"""A broker has one account, and knows nothing of strategies."""


def together(books: Books) -> Books:
    """Return books kept by strategy as those of one account; fills by the execution that a broker knows them by."""
    positions: dict[Key, Holding] = {}
    for (_, symbol), holding in books.positions.items():
        before = positions.get((EVERYBODY, symbol), Holding(0.0, 0.0))
        positions[EVERYBODY, symbol] = _sum(before, holding)
    return Books(
        positions={key: holding for key, holding in positions.items() if holding.quantity},
        cash={EVERYBODY: sum(books.cash.values())} if books.cash else {},
        orders={reference: order._replace(strategy=EVERYBODY) for reference, order in books.orders.items()},
        fills={fill.execution_id: fill for fill in books.fills.values()},
    )


def books_of(snapshot: Snapshot, order_of: Callable[[str], Order | None], cash: float, since_ns: int) -> Books:
    """Return what a broker shows.

    Parameters
    ----------
    snapshot : Snapshot
    order_of : callable
        Our order with a reference, if it is this session's.
    cash : float
        The account's, less what was there before the session, in currency.
    since_ns : int
        Executions before are not compared.
    """
    known = [(one, order_of(one.reference)) for one in _last_words(snapshot.executions) if one.ts_ns >= since_ns]
    return Books(
        positions={(EVERYBODY, p.symbol): Holding(p.quantity, p.average_price) for p in snapshot.positions if p.quantity},
        cash={EVERYBODY: cash},
        orders={order.reference or order.broker_id: _works(order) for order in snapshot.orders if order.status not in TERMINAL},
        fills={one.execution_id: _fill(one, order) for one, order in known if order is not None},
    )


def _works(order: BrokerOrder) -> WorkingOrder:
    return WorkingOrder(EVERYBODY, order.symbol, order.side, order.quantity, order.filled, order.limit_price, order.stop_price)


def _last_words(executions: Iterable[Execution]) -> list[Execution]:
    """Return executions without those that were corrected or never were."""
    told = {execution.execution_id: execution for execution in executions}
    gone = {execution.replaces for execution in told.values() if execution.replaces}
    return [execution for name, execution in told.items() if name not in gone and not execution.is_bust]


def _fill(execution: Execution, order: Order) -> Fill:
    return Fill(
        execution_id=execution.execution_id,
        order_id=order.order_id,
        strategy=EVERYBODY,
        symbol=execution.symbol,
        side=execution.side,
        quantity=execution.quantity,
        price_ideal=execution.price,
        price=execution.price,
        commission=execution.commission,
        ts_ns=execution.ts_ns,
        bar_ns=0,
    )


def standing(fills: Mapping[str, Fill]) -> dict[str, Fill]:
    """Return fills without those that were taken back, and without what took them back."""
    gone = {name.removesuffix("/bust") for name in fills if name.endswith("/bust")}
    return {name: fill for name, fill in fills.items() if name not in gone and not name.endswith("/bust")}


def _sum(one: Holding, other: Holding) -> Holding:
    quantity = one.quantity + other.quantity
    if not quantity:
        return Holding(0.0, 0.0)
    if one.quantity * other.quantity < 0:
        # Strategies that hold against each other: what is left has the price of the larger of the two.
        return Holding(quantity, (one if abs(one.quantity) > abs(other.quantity) else other).average_price)
    value = one.quantity * one.average_price + other.quantity * other.average_price
    return Holding(quantity, value / quantity)
