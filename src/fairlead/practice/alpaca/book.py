"""The orders of an account as Alpaca keeps them: legs that are held, orders that replace others, and what is told of each."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from fairlead.core.errors import OrderRejected
from fairlead.core.orders import OrderStatus
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerOrder, ChangeRequest, Execution
from fairlead.practice.alpaca.holdings import check_available
from fairlead.practice.alpaca.making import exact, maybe_exact, maybe_float, new_leg, new_order, order_requests
from fairlead.practice.alpaca.placing import read_order
from fairlead.practice.alpaca.records import Record
from fairlead.practice.alpaca.refusals import NOT_UNIQUE, forbidden, invalid, not_found
from fairlead.practice.alpaca.replacing import read_change
from fairlead.practice.alpaca.words import EVENTS, STATUSES

_ORDERS: Final = uuid.UUID("0f6a3b7e-9b0e-4f0f-8f39-4b5d5d2f3c11")
_FILLED: Final = frozenset({OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED})
_STAMPS: Final = {
    "filled": "filled_ns",
    "expired": "expired_ns",
    "done_for_day": "expired_ns",
    "canceled": "canceled_ns",
    "rejected": "failed_ns",
    "replaced": "replaced_ns",
}
_UNSETTLED: Final = frozenset({"accepted", "pending_new", "pending_cancel", "pending_replace"})


class OrderBook:
    """The orders, over an account that does the trading. After whatever the account did, `settle` brings the book up to it.

    Parameters
    ----------
    account : SimulatedAccount
    epoch : str
        Names the life of this book: no id of one comes again in another.
    now_ns : callable
    tell : callable
        Told of every event in order: its name, the order, the execution if it is of one, and what was held after it.

    Attributes
    ----------
    holds_cancels, holds_replaces : bool
        What is asked for stays pending until it is released, and a fill may come before it.
    ends_days : bool
        An order for the day is told to be done for the day instead of expired.
    duplicates : int
        How often a name was sent that an order had already.
    extra : dict
        What every order that is told has besides, or instead of what it would have.
    """

    def __init__(
        self,
        account: SimulatedAccount,
        *,
        epoch: str,
        now_ns: Callable[[], int],
        tell: Callable[[str, Record, Execution | None, float], None],
    ) -> None:
        self.account = account
        self.records: dict[str, Record] = {}
        self.holds_cancels = False
        self.holds_replaces = False
        self.ends_days = False
        self.duplicates = 0
        self.extra: dict[str, Any] = {}
        self._epoch = epoch
        self._now_ns = now_ns
        self._tell = tell
        self._names: dict[str, Record] = {}
        self._by_broker: dict[str, Record] = {}
        self._heard: deque[BrokerOrder | Execution] = deque()
        self._untold: dict[str, list[Execution]] = {}
        self._ready: deque[Record] = deque()
        self._cancels: list[Record] = []
        self._ids = 0
        self._replaces: list[tuple[Record, Record]] = []
        self._held = {position.symbol: position.quantity for position in account.positions()}
        account.listen(self._heard.append)

    # What is asked for.

    def place(self, body: Any) -> dict[str, Any]:
        """Take an order, and return it as it was when it was taken; `settle` tells of the rest.

        Raises
        ------
        Refusal
        """
        asked = read_order(body, self.account.instruments)
        if asked.client_order_id in self._names:
            self.duplicates += 1
            raise invalid("client_order_id must be unique", NOT_UNIQUE)
        if self.account.blocked:
            raise forbidden(f"account is blocked: {self.account.blocked}")
        check_available(
            self.account, self.open_records(), asked.symbol, asked.side, asked.quantity, is_exit=asked.order_class == "oco"
        )
        record = new_order(asked, self._new_id(), self._new_id(), self._now_ns())
        legs = [new_leg(record, way_out, self._new_id(), self._new_id()) for way_out in asked.legs]
        record.leg_ids = [leg.order_id for leg in legs]
        self._keep(record, *legs)
        try:
            self._submit([record, *legs] if asked.order_class == "oco" else [record])
        except OrderRejected as exc:
            for each in (record, *legs):
                del self.records[each.order_id], self._names[each.client_order_id]
            if "buying power" in str(exc):
                raise forbidden("insufficient buying power", reason=str(exc)) from exc
            raise forbidden(str(exc)) from exc
        self._move(record, "pending_new")
        return self.json(record, nested=True)

    def cancel(self, record: Record) -> None:
        """Take an order back, with those that hang together with it.

        Raises
        ------
        Refusal
            If it has ended.
        """
        if not record.is_open:
            raise invalid(f'order is already in "{record.status}" state')
        if record.status == "pending_cancel":
            return
        if self.holds_cancels:
            self._move(record, "pending_cancel")
            self._cancels.append(record)
            return
        for each in self._group(record):
            self._end(each)

    def replace(self, record: Record, body: Any) -> dict[str, Any]:
        """Put another order in the place of one, and return it.

        Raises
        ------
        Refusal
            If it cannot be replaced (so): it is what it was.
        """
        if not record.is_open:
            raise invalid(f'order is already in "{record.status}" state')
        if record.status in _UNSETTLED:
            raise invalid(f"cannot replace order in {record.status} status")
        change = read_change(body, record, self.account.instruments[record.symbol])
        if change.client_order_id in self._names:
            self.duplicates += 1
            raise invalid("client_order_id must be unique", NOT_UNIQUE)
        if record.sign < 0 or self._held.get(record.symbol, 0.0) < 0:
            own = self._group(record)
            others = [each for each in self.open_records() if each not in own]
            check_available(self.account, others, record.symbol, record.side, change.quantity, is_exit=False)
        new = Record.of(record.to_dict())
        new.order_id = self._new_id()
        new.client_order_id = change.client_order_id or self._new_id()
        new.quantity = float(change.quantity)
        new.limit_price, new.stop_price = maybe_float(change.limit_price), maybe_float(change.stop_price)
        new.replaces, new.fills, new.status, new.broker_id = record.order_id, {}, "accepted", ""
        new.created_ns = new.updated_ns = self._now_ns()
        self._keep(new)
        if self.holds_replaces:
            self._move(record, "pending_replace")
            self._replaces.append((record, new))
        else:
            try:
                self._exchange(record, new)
            except OrderRejected as exc:
                del self.records[new.order_id], self._names[new.client_order_id]
                raise invalid(str(exc)) from exc
        return {**self.json(new, nested=True), "status": "accepted", **self.extra}

    def release(self) -> None:
        """Do what was held: cancels and replacements, unless what they are about has ended meanwhile."""
        cancels, self._cancels = self._cancels, []
        for record in cancels:
            if record.is_open:
                for each in self._group(record):
                    self._end(each)
        replaces, self._replaces = self._replaces, []
        for record, new in replaces:
            if not self._exchanged(record, new):
                if record.status == "pending_replace":
                    self._move(record, "partially_filled" if record.filled else "new", tells=False)
                self._tell("order_replace_rejected", record, None, self.held(record.symbol))
                if new.is_open:
                    self._move(new, "rejected")

    def settle(self) -> None:
        """Take in everything that the account has told, and do what follows from it."""
        while self._heard or self._ready:
            while self._heard:
                news = self._heard.popleft()
                if isinstance(news, Execution):
                    self._untold.setdefault(news.broker_id, []).append(news)
                else:
                    self._take(news)
            if self._ready:
                self._activate(self._ready.popleft())

    # What is asked.

    def find(self, order_id: str) -> Record:
        """Return an order.

        Raises
        ------
        Refusal
            If there is none.
        """
        record = self.records.get(order_id)
        if record is None:
            raise not_found(f"order not found for {order_id}")
        return record

    def named(self, client_order_id: str) -> Record:
        """Return the order that a client has called so.

        Raises
        ------
        Refusal
            If there is none.
        """
        record = self._names.get(client_order_id)
        if record is None:
            raise not_found(f"order not found for {client_order_id}")
        return record

    def open_records(self) -> list[Record]:
        """Return the orders that Alpaca lists as open, oldest first."""
        return [record for record in self.records.values() if record.is_open]

    def json(self, record: Record, *, nested: bool) -> dict[str, Any]:
        """Return an order as Alpaca writes it, with its legs if they are wanted and it has any."""
        legs = [self.records[leg].to_json() for leg in record.leg_ids] if nested else []
        return {**record.to_json(legs or None), **self.extra}

    def held(self, symbol: str) -> float:
        """Return signed units held after all that was told."""
        return self._held.get(symbol, 0.0)

    # What survives a restart.

    def to_dict(self) -> dict[str, Any]:
        """Return the orders as plain data."""
        return {"ids": self._ids, "records": [record.to_dict() for record in self.records.values()]}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back what `to_dict` made plain; what was pending there is not done any more."""
        self._ids = data["ids"]
        for one in data["records"]:
            record = Record.of(one)
            if record.status in ("pending_cancel", "pending_replace"):
                record.status = "partially_filled" if record.filled else "new"
            if record.status == "accepted":
                record.status = "rejected"
            self._keep(record)
            if record.broker_id and record.status != "replaced":
                self._by_broker[record.broker_id] = record

    # Inside.

    def _new_id(self) -> str:
        self._ids += 1
        return str(uuid.uuid5(_ORDERS, f"{self._epoch}/{self._ids}"))

    def _keep(self, *records: Record) -> None:
        for record in records:
            self.records[record.order_id] = record
            self._names[record.client_order_id] = record

    def _submit(self, records: list[Record]) -> None:
        told = self.account.submit(order_requests(records))
        for record, order in zip(records, told, strict=True):
            record.broker_id = order.broker_id
            self._by_broker[order.broker_id] = record

    def _activate(self, parent: Record) -> None:
        legs = [self.records[leg] for leg in parent.leg_ids if self.records[leg].status == "held"]
        if not legs:
            return
        # Of two exits Alpaca sends the limit to the market, and holds the stop until its price is reached.
        legs[0].status = "pending_new"
        try:
            self._submit(legs)
        except OrderRejected:
            for leg in legs:
                self._move(leg, "rejected")

    def _take(self, order: BrokerOrder) -> None:
        record = self._by_broker.get(order.broker_id)
        if record is None:
            return  # not through this door
        record.quantity = order.quantity - record.filled_before
        status = STATUSES[order.status]
        executions = self._untold.pop(order.broker_id, [])
        for execution in executions:
            self._fill(record, execution, status)
        if executions or order.status in _FILLED or status == record.status:
            return
        if record.status == "held" and status in ("pending_new", "new"):
            return
        if status == "new" and record.status not in ("pending_new", "accepted"):
            return
        if status == "expired" and self.ends_days and record.time_in_force == "day":
            status = "done_for_day"
        self._move(record, status)
        if not record.is_open and record.filled == 0:
            for leg in (self.records[leg] for leg in record.leg_ids):
                if leg.is_open and not leg.broker_id:
                    self._move(leg, "canceled")

    def _fill(self, record: Record, execution: Execution, status: str) -> None:
        place = execution.execution_id.rpartition(".")[0]
        sign = record.sign
        if execution.replaces:
            # It counts for the order that it was told of, though another may have replaced that since.
            record = next((each for each in self.records.values() if place in each.fills), record)
            was = record.fills.pop(place, (0.0, 0.0))
            self._held[record.symbol] = self._held.get(record.symbol, 0.0) - sign * was[0]
        if not execution.is_bust:
            record.fills[place] = (execution.quantity, execution.price)
            self._held[record.symbol] = self._held.get(record.symbol, 0.0) + sign * execution.quantity
        record.updated_ns = execution.ts_ns
        if execution.replaces:
            event = "trade_bust" if execution.is_bust else "trade_correct"
        else:
            event = "fill" if status == "filled" else "partial_fill"
            if status == "filled" or record.status not in ("pending_cancel", "pending_replace"):
                record.status = status
            if status == "filled":
                record.filled_ns = execution.ts_ns
        self._tell(event, record, execution, self.held(record.symbol))
        if event == "fill" and record.order_class in ("bracket", "oto") and not record.parent_id:
            self._ready.append(record)

    def _move(self, record: Record, status: str, *, tells: bool = True) -> None:
        record.status = status
        record.updated_ns = self._now_ns()
        if status in _STAMPS:
            setattr(record, _STAMPS[status], record.updated_ns)
        if tells:
            self._tell(EVENTS[status], record, None, self.held(record.symbol))

    def _group(self, record: Record) -> list[Record]:
        parent = self.records.get(record.parent_id, record)
        return [each for each in (parent, *(self.records[leg] for leg in parent.leg_ids)) if each.is_open]

    def _end(self, record: Record) -> None:
        if record.broker_id:
            try:
                self.account.cancel(record.broker_id)
            except OrderRejected:
                return  # its sibling took it along
            self.settle()
        elif record.is_open:
            self._move(record, "canceled")

    def _exchanged(self, old: Record, new: Record) -> bool:
        if not (old.is_open and new.is_open):
            return False
        try:
            self._exchange(old, new)
        except OrderRejected:
            return False
        return True

    def _exchange(self, old: Record, new: Record) -> None:
        filled = old.filled_before + old.filled
        was = old.status
        if old.broker_id:
            total = filled + new.quantity
            now = self.account.order(old.broker_id)
            change = ChangeRequest(
                reference=old.client_order_id,
                quantity=None if total == now.quantity else exact(total),
                limit_price=None if new.limit_price == now.limit_price else maybe_exact(new.limit_price),
                stop_price=None if new.stop_price == now.stop_price else maybe_exact(new.stop_price),
            )
            if (change.quantity, change.limit_price, change.stop_price) != (None, None, None):
                self.account.replace(old.broker_id, change)
            self._by_broker[old.broker_id] = new
        new.broker_id, new.filled_before, new.leg_ids = old.broker_id, filled, list(old.leg_ids)
        for leg in new.leg_ids:
            self.records[leg].parent_id = new.order_id
        parent = self.records.get(old.parent_id)
        if parent is not None:
            parent.leg_ids = [new.order_id if leg == old.order_id else leg for leg in parent.leg_ids]
        old.replaced_by, old.leg_ids = new.order_id, []
        self._move(old, "replaced")
        if was == "held":
            new.status = "held"
        else:
            self._move(new, "new")
