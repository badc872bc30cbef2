"""A run's orders in canonical form: what the columns can say, and why the others are left out (domain rules 4.1-4.5)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from fairlead.backtest.result import Result
from fairlead.backtest.tables import Row, Tables, number, price_text, quantity_text
from fairlead.contracts.orders import CanonicalOrder, OrderEvent, order_idempotency_key
from fairlead.core.errors import ContractError
from fairlead.core.identity import order_id
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderRole, OrderStatus, OrderType, OrderUpdate, TimeInForce
from fairlead.core.time import to_datetime

_EXITS: Final = {OrderRole.TAKE_PROFIT: "take_profit_price", OrderRole.STOP_LOSS: "stop_loss_price"}
_REPLACED: Final = "replaced"
_LINE_BREAK: Final = re.compile(r"\s+")


class LeftOut(NamedTuple):
    """An order of a run that has no row, and why."""

    order_id: str
    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class CanonicalRun:
    """The canonical form of a run's orders.

    Attributes
    ----------
    orders : tuple of CanonicalOrder
        As they were decided, in the order of the decisions. The exits of a bracket are columns of its entry.
    events : tuple of OrderEvent
        What became of them.
    unsent : tuple of LeftOut
        Orders that never left: a check of the house stopped them, or another order of their set.
    implied : tuple of LeftOut
        Orders that only close what is open at the end of its session: whoever fills these rows does that anyway (rule R8).
    refused : tuple of LeftOut
        Orders of which the columns cannot say all. Where one order of a set has no row, none has.
    """

    orders: tuple[CanonicalOrder, ...]
    events: tuple[OrderEvent, ...]
    unsent: tuple[LeftOut, ...]
    implied: tuple[LeftOut, ...]
    refused: tuple[LeftOut, ...]


def canonical_orders(result: Result) -> CanonicalRun:
    """Return the orders of a run as canonical rows, and those that cannot be such.

    Notes
    -----
    An order that belongs to a one-cancels-other set has the set as its `oco_id`; every other one has a group of its own. The
    identifiers follow from that, so in a set they are not those of the run's own files. An order is valid from its decision on:
    how long it travels is for the venue to say.
    """
    return _Exporter(result).export()


class _Exporter:
    def __init__(self, result: Result) -> None:
        record = result.record
        self._result = result
        self._orders = record.orders
        self._rows = list(Tables(record, result.info, result.ledger, result.instruments).orders())
        self._children: dict[str, list[Order]] = defaultdict(list)
        for order in self._orders:
            if order.parent_id:
                self._children[order.parent_id].append(order)
        self._sent = {update.order_id for update in record.updates if update.status is OrderStatus.SUBMITTED}
        self._updates: dict[str, list[OrderUpdate]] = defaultdict(list)
        for update in record.updates:
            self._updates[update.order_id].append(update)
        legs = [order for order in self._orders if order.oco_id and not order.parent_id]
        self._legs = Counter((order.oco_id, order.strategy, _symbol(order), order.side) for order in legs)

    def export(self) -> CanonicalRun:
        rows: list[tuple[Order, CanonicalOrder]] = []
        unsent: list[LeftOut] = []
        implied: list[LeftOut] = []
        refused: list[LeftOut] = []
        stopped = {o.oco_id: o.order_id for o in self._orders if o.oco_id and self._never_left(o)}
        broken: dict[str, str] = {}
        for order, row in zip(self._orders, self._rows, strict=True):
            if order.role in _EXITS:
                continue
            if self._never_left(order):
                unsent.append(_left_out(order, order.reason or "it never left"))
            elif order.oco_id in stopped and not order.parent_id:
                unsent.append(_left_out(order, _set_holds(stopped[order.oco_id], "never left")))
            elif _only_ends_session(order):
                implied.append(_left_out(order, "it only closes at the end of its session"))
            else:
                try:
                    self._check(order)
                    rows.append((order, self._row(order, row)))
                except ContractError as exc:
                    refused.append(_left_out(order, str(exc)))
                    broken |= {order.oco_id: order.order_id} if order.oco_id else {}
        kept = [(order, row) for order, row in rows if not order.oco_id or order.oco_id not in broken]
        for order, _ in rows:
            if order.oco_id in broken:
                refused.append(_left_out(order, _set_holds(broken[order.oco_id], "has no row")))
        events = tuple(self._events(kept))
        return CanonicalRun(tuple(row for _, row in kept), events, tuple(unsent), tuple(implied), tuple(refused))

    def _never_left(self, order: Order) -> bool:
        return order.order_id not in self._sent and not order.parent_id and order.role not in _EXITS

    def _check(self, order: Order) -> None:
        if order.role is OrderRole.FOLLOWER:
            raise ContractError("it follows another order, and no column says which")
        if order.reduce_only:
            raise ContractError("it is reduce-only, and no column says so")
        if order.order_type in (OrderType.TRAILING_STOP, OrderType.ADAPTIVE):
            raise ContractError(f"it is of type {order.order_type}, which the column does not know")
        if order.time_in_force in (TimeInForce.OPG, TimeInForce.CLS):
            raise ContractError(f"it is for an auction ({order.time_in_force}), which the column does not know")
        if any(child.order_type is OrderType.TRAILING_STOP for child in self._exits(order)):
            raise ContractError("its stop trails, and no column says how far")
        if any(update.reason == _REPLACED for child in self._exits(order) for update in self._updates[child.order_id]):
            raise ContractError("an exit of it was moved on its way, and what it was before is not on record")
        if any(update.reason == _REPLACED for update in self._updates[order.order_id]):
            raise ContractError("it was replaced on its way, and what it was before is not on record")
        if order.oco_id and self._legs[order.oco_id, order.strategy, _symbol(order), order.side] > 1:
            raise ContractError("another order of its one-cancels-other set has its symbol and side: both would have one key")

    def _exits(self, order: Order) -> list[Order]:
        return [child for child in self._children[order.order_id] if child.role in _EXITS]

    def _row(self, order: Order, row: Row) -> CanonicalOrder:
        symbol = _symbol(order)
        instrument = self._instrument(symbol)
        # What was asked for: splits and renames have changed the order since.
        quantity, limit, stop = order.decision
        changed = row | {
            "symbol": symbol,
            "oco_id": order.oco_id or order.group_id,
            "qty": quantity_text(instrument, quantity),
            "limit_price": price_text(instrument, limit),
            "stop_price": price_text(instrument, stop),
            "valid_from": row["created_at"],
        }
        for child in self._exits(order):
            _, target, protection = child.decision
            changed[_EXITS[child.role]] = price_text(instrument, target if target is not None else protection)
        names = ("run_id", "strategy", "strategy_version", "symbol", "side", "oco_id")
        key = order_idempotency_key(**{name: changed[name] for name in names})
        found = CanonicalOrder.from_cells(changed | {"idempotency_key": key, "order_id": order_id(key)})
        found.check_grid(instrument)
        return found

    def _instrument(self, symbol: str) -> Instrument:
        return self._result.instruments.get(symbol) or Instrument(symbol=symbol)

    def _events(self, rows: Iterable[tuple[Order, CanonicalOrder]]) -> Iterable[OrderEvent]:
        events = [
            OrderEvent(
                order_id=row.order_id,
                seq=update.seq,
                ts=to_datetime(update.ts_ns),
                previous=update.previous,
                status=update.status,
                filled_qty=Decimal(quantity_text(grid, update.filled_quantity)),
                avg_price=None if update.average_price is None else Decimal(number(update.average_price)),
                reason=_LINE_BREAK.sub(" ", update.reason).strip(),
            )
            for order, row in rows
            for grid in [self._instrument(order.symbol)]
            for update in self._updates[order.order_id]
        ]
        return sorted(events, key=lambda event: event.ts)


def _left_out(order: Order, reason: str) -> LeftOut:
    return LeftOut(order.order_id, _symbol(order), reason)


def _set_holds(order_id: str, what: str) -> str:
    return f"its one-cancels-other set holds {order_id}, which {what}"


def _only_ends_session(order: Order) -> bool:
    return order.reduce_only and order.time_in_force is TimeInForce.CLS and order.order_type is OrderType.MARKET


def _symbol(order: Order) -> str:
    return order.decided_symbol or order.symbol
