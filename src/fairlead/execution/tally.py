"""What one side has of an account, summed up from what it was told: where orders stand, executions, positions and cash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order, OrderUpdate, Side
from fairlead.core.portfolio import Portfolio

Key: TypeAlias = tuple[str, str]
"""Whose, and in what: strategy and symbol. The strategy is empty where one account is kept for all."""


class Holding(NamedTuple):
    """A position: signed units, and what one has cost on average."""

    quantity: float
    average_price: float


class WorkingOrder(NamedTuple):
    """An order that can still fill, as one side has it; quantities are unsigned units."""

    strategy: str
    symbol: str
    side: Side
    quantity: float
    filled: float
    limit_price: float | None = None
    stop_price: float | None = None

    def __str__(self) -> str:
        named = (("limit", self.limit_price), ("stop", self.stop_price))
        prices = "".join(f", {name} {price:.12g}" for name, price in named if price is not None)
        return f"{self.side} {self.quantity:.12g}, {self.filled:.12g} filled{prices}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """An account, as one side has it.

    Parameters
    ----------
    positions : mapping of Key to Holding
        What is flat may be left out.
    cash : mapping of str to float
        By strategy, in currency; of two books that are compared, both count it from the same moment.
    orders : mapping of str to WorkingOrder
        By our reference.
    fills : mapping of str to Fill
        By `Fill.fill_id`; of two books that are compared, both from the same moment.
    """

    positions: Mapping[Key, Holding] = field(default_factory=dict)
    cash: Mapping[str, float] = field(default_factory=dict)
    orders: Mapping[str, WorkingOrder] = field(default_factory=dict)
    fills: Mapping[str, Fill] = field(default_factory=dict)


class Tally:
    """Adds up what is told of orders.

    Positions and cash are sums of fills: what corporate actions, interest and payments add is not in them, and has no part in a
    comparison of two tallies that are told of the same fills.

    Parameters
    ----------
    multipliers : mapping of str to float, optional
        Currency value of one unit at price 1; 1.0 where absent.

    Attributes
    ----------
    last : dict of str to OrderUpdate
        The last word on every order: its status and what it has filled.
    fills : dict of str to Fill
        Every execution by its `fill_id`, in the order in which it was told.
    """

    def __init__(self, multipliers: Mapping[str, float] | None = None) -> None:
        self.last: dict[str, OrderUpdate] = {}
        self.fills: dict[str, Fill] = {}
        self._recent: dict[str, Fill] = {}
        self._multipliers = multipliers or {}
        self._working: dict[str, Order] = {}
        self._ledgers: dict[str, Portfolio] = {}

    def sent(self, order: Order) -> None:
        """Take in an order of which nothing has been heard yet: it may fill."""
        self._working[order.order_id] = order

    def changed(self, order: Order, update: OrderUpdate) -> None:
        """Take in what has become of an order."""
        self.last[order.order_id] = update
        if update.status in TERMINAL:
            self._working.pop(order.order_id, None)
        else:
            self._working[order.order_id] = order

    def filled(self, fill: Fill) -> None:
        """Take in an execution."""
        fill_id = fill.fill_id
        self.fills[fill_id] = self._recent[fill_id] = fill
        ledger = self._ledgers.get(fill.strategy)
        if ledger is None:
            ledger = self._ledgers[fill.strategy] = Portfolio(0.0, {}, self._multipliers)
        ledger.apply(fill)

    def agreed(self) -> None:
        """Leave every fill so far out of the next books: the other side has the same."""
        self._recent.clear()

    def books(self) -> Books:
        """Return the account as it stands, with the fills since both sides had the same."""
        return Books(
            positions={
                (strategy, symbol): Holding(position.quantity, position.average_price)
                for strategy, ledger in self._ledgers.items()
                for symbol, position in ledger.positions.items()
                if position.quantity
            },
            cash={strategy: ledger.cash for strategy, ledger in self._ledgers.items()},
            orders={order_id: self._stands(order) for order_id, order in self._working.items()},
            fills=dict(self._recent),
        )

    def _stands(self, order: Order) -> WorkingOrder:
        # Filled is what was told; an order that lives in this process has filled more by the time that it is told.
        told = self.last.get(order.order_id)
        filled = 0.0 if told is None else told.filled_quantity
        return WorkingOrder(
            order.strategy, order.symbol, order.side, order.quantity, filled, order.limit_price, order.stop_price
        )
