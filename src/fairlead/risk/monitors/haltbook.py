"""What a halt knows: the broker's positions, the orders that may still fill, and how old that knowledge is.

Age is counted in events, not in time: an answer is fresh if nothing has happened to its symbol since it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from fairlead.core.errors import ContractError
from fairlead.core.orders import TERMINAL, OrderStatus, Side
from fairlead.risk.monitors.haltsteps import OpenOrder

NOTHING: Final = 1e-9
_UNHEARD: Final = frozenset({OrderStatus.PENDING, OrderStatus.SUBMITTED})


@dataclass(slots=True)
class SymbolState:
    """One symbol: its position as the broker last said, and the order of ours that flattens it."""

    position: float = 0.0
    changed_at: int = 0
    asked_at: int = -1
    flatten_id: str = ""
    sent_ns: int = 0
    ordinal: int = 0

    @property
    def is_fresh(self) -> bool:
        """Whether the position was asked for after the last thing that happened."""
        return self.asked_at >= self.changed_at

    @property
    def is_held(self) -> bool:
        """Whether there is a position."""
        return abs(self.position) > NOTHING


@dataclass(slots=True)
class Question:
    """Something that the broker is asked again and again; one answer is awaited at a time."""

    answered_at: int = -1
    asked_ns: int | None = None
    pending: int = 0
    asked: dict[int, tuple[int, int]] = field(default_factory=dict)

    def is_due(self, events: int, now_ns: int, retry_ns: int, *, is_repeated: bool = False) -> bool:
        """Whether to ask: never asked, no answer for too long, or something has happened since the last one.

        Parameters
        ----------
        is_repeated : bool
            Ask again after `retry_ns` though nothing has happened: news may have been lost.
        """
        if self.asked_ns is None:
            return True
        if self.pending or (is_repeated and self.answered_at >= events):
            return now_ns - self.asked_ns >= retry_ns
        return self.answered_at < events

    def ask(self, ticket: int, events: int, now_ns: int) -> None:
        """Note that it is asked now."""
        self.asked[ticket] = (events, now_ns)
        self.pending, self.asked_ns = ticket, now_ns

    def answer(self, ticket: int) -> tuple[int, int] | None:
        """Return when a question was asked, in events and in time; None for one that was not asked, or is answered."""
        found = self.asked.pop(ticket, None)
        if found is not None:
            self.answered_at = max(self.answered_at, found[0])
            if ticket >= self.pending:
                self.pending = 0
        return found


class HaltBook:
    """Orders and positions during a halt.

    Parameters
    ----------
    started_ns : int
    arrival_ns : int
        How long an order may be on its way before the broker's not knowing it means that there is none.
    """

    def __init__(self, started_ns: int, arrival_ns: int) -> None:
        self.orders: dict[str, OpenOrder] = {}
        self.ours: set[str] = set()
        self.events = 0
        self._symbols: dict[str, SymbolState] = {}
        self._inferred: set[str] = set()
        self._started_ns, self._arrival_ns = started_ns, arrival_ns

    @property
    def symbols(self) -> Mapping[str, SymbolState]:
        """What is known, by symbol."""
        return self._symbols

    @property
    def is_fresh(self) -> bool:
        """Whether every position was asked for after the last thing that happened to it."""
        return all(held.is_fresh for held in self._symbols.values())

    def symbol(self, name: str) -> SymbolState:
        """Return what is known of one symbol."""
        return self._symbols.setdefault(name, SymbolState())

    def learn(self, order: OpenOrder) -> OpenOrder:
        """Take an order in, as a copy: whose it was may go on changing it."""
        known = self.orders[order.order_id] = replace(order)
        self.happened(order.symbol)
        return known

    def happened(self, symbol: str) -> None:
        """Note that something may have changed a position."""
        self.events += 1
        self.symbol(symbol).changed_at = self.events

    def happened_to_all(self) -> None:
        """Note that something may have changed any position."""
        self.events += 1
        for held in self._symbols.values():
            held.changed_at = self.events

    def may_take(self, symbol: str, side: Side) -> float:
        """Return the unsigned units that orders whose end is not known may still fill on one side."""
        open_orders = (order for order in self.orders.values() if order.symbol == symbol and not order.is_final)
        return sum(order.remaining for order in open_orders if order.side is side)

    def update(self, order_id: str, status: OrderStatus, remaining: float, order: OpenOrder | None) -> None:
        """Take in the broker's news of one order; see `HaltPlan.on_order_update`."""
        known = self.orders.get(order_id)
        if known is None:
            if order is None:
                self.happened_to_all()
                return
            known = self.learn(order)
        self.happened(known.symbol)
        if known.is_final and status not in TERMINAL and order_id in self._inferred:
            self._reopen(known, status, remaining)
        elif not known.is_final:
            known.status = status
            known.remaining = 0.0 if status in TERMINAL else min(known.remaining, remaining)

    def listing(self, asked_at: int, asked_ns: int, orders: Iterable[OpenOrder]) -> None:
        """Take in all that works at the broker; see `HaltPlan.on_open_orders`."""
        listed = {order.order_id: order for order in orders}
        for known in list(self.orders.values()):
            if known.order_id not in listed and not known.is_final and self._would_be_listed(known, asked_at, asked_ns):
                known.status, known.remaining = OrderStatus.CANCELLED, 0.0
                self._inferred.add(known.order_id)
                self.happened(known.symbol)
        for order in listed.values():
            mine = self.orders.get(order.order_id)
            if mine is None:
                self.learn(order)
            elif mine.is_final and order.order_id in self._inferred:
                self._reopen(mine, order.status, order.remaining)
            elif not mine.is_final:
                if mine.status in _UNHEARD:
                    mine.status = order.status
                if order.remaining < mine.remaining:
                    mine.remaining = order.remaining
                    self.happened(mine.symbol)

    def place(self, asked_at: int, positions: Mapping[str, float]) -> None:
        """Take in every position; one that was asked for earlier than what is known changes nothing.

        Raises
        ------
        ContractError
            If one is not a number: nothing is taken in.
        """
        if wrong := sorted(symbol for symbol, units in positions.items() if units != units):
            raise ContractError.of("positions", "be numbers", wrong)
        for name in {*self._symbols, *positions}:
            held = self.symbol(name)
            if asked_at > held.asked_at:
                held.position, held.asked_at = float(positions.get(name, 0.0)), asked_at

    def _would_be_listed(self, order: OpenOrder, asked_at: int, asked_ns: int) -> bool:
        held = self.symbol(order.symbol)
        if held.changed_at > asked_at:
            # What happened after the question says nothing of before: the next answer decides.
            return False
        sent_ns = held.sent_ns if order.order_id in self.ours else self._started_ns
        return order.status not in _UNHEARD or asked_ns - sent_ns >= self._arrival_ns

    def _reopen(self, order: OpenOrder, status: OrderStatus, remaining: float) -> None:
        # It was on its way while the broker did not know it.
        self._inferred.discard(order.order_id)
        order.status, order.remaining = status, remaining
        self.happened(order.symbol)
