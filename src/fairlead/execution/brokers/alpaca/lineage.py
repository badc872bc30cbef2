"""Which of Alpaca's orders are one order to us: what replaces another goes on for it, and legs are found by their parent."""

from __future__ import annotations

from typing import NamedTuple

from fairlead.core.orders import TERMINAL, OrderStatus
from fairlead.execution.brokers.alpaca.mapping import STATUSES, RawOrder, status_of
from fairlead.execution.brokers.alpaca.naming import Name, first_name, is_alpacas, read_name, write_name
from fairlead.execution.brokers.words import BrokerOrder


class Filled(NamedTuple):
    """What was filled, and what that cost."""

    quantity: float
    value: float


class Lineage:
    """What has been heard of Alpaca's orders. It asks nothing: it says what must be asked.

    An order that is not known yet may be a leg, which does not say whose: it has no reference until its parent was heard of.
    """

    def __init__(self) -> None:
        self._orders: dict[str, RawOrder] = {}
        self._names: dict[str, str] = {}
        self._legs: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._reasons: dict[str, str] = {}
        self._newest: dict[str, str] = {}
        self._stood: dict[str, OrderStatus] = {}
        self._strangers: set[str] = set()

    def expect(self, name: Name) -> None:
        """Learn under what name an order is about to be sent."""
        self._expect(name, write_name(name))

    def _expect(self, name: Name, text: str) -> None:
        self._names[name.reference] = text
        if name.leg:
            self._names[name.leg] = text

    def learn(self, raw: RawOrder) -> None:
        """Take in an order as it was told, with its legs."""
        known = self._orders.get(raw.broker_id)
        legs = raw.legs or (known.legs if known is not None else ())
        if known is None or not self._is_older(raw, known):
            self._orders[raw.broker_id] = raw._replace(legs=legs)
        name = read_name(raw.name)
        for each in raw.legs:
            if each.broker_id not in self._legs and not each.replaces:
                self._legs[each.broker_id] = name.leg
            self.learn(each)
        if raw.broker_id in self._legs and raw.replaced_by:
            self._legs.setdefault(raw.replaced_by, self._legs[raw.broker_id])
        if name.leg:
            self._expect(name, first_name(raw.name))
        reference = self.reference(raw.broker_id)
        if name.number and reference:
            self._numbers[reference] = max(self._numbers.get(reference, 0), name.number)
        if not reference:
            return
        if self._follows(raw, reference):
            self._newest[reference] = raw.broker_id
        if raw.status == "rejected" and raw.replaces and self._newest.get(reference) == raw.broker_id:
            # A replacement that was refused leaves the order before it as it is.
            self._newest[reference] = raw.replaces

    def explain(self, broker_id: str, reason: str) -> None:
        """Learn why an order is as it is: only the stream says so."""
        self._reasons[broker_id] = reason

    def give_up(self, broker_id: str) -> None:
        """Learn that a leg has no parent that is ours."""
        self._strangers.add(broker_id)

    def holds(self, broker_id: str) -> bool:
        """Whether an order was heard of."""
        return broker_id in self._orders

    def name(self, reference: str) -> str:
        """Return the name that an order was first sent under."""
        return self._names.get(reference, reference)

    def newest(self, reference: str) -> str | None:
        """Return the id of the order that stands for a reference now, as far as was heard."""
        return self._newest.get(reference)

    def raw(self, broker_id: str) -> RawOrder:
        """Return an order as it was last told."""
        return self._orders[broker_id]

    def next_name(self, broker_id: str) -> str:
        """Return a name that nothing of an order was sent under yet, as far as was heard."""
        reference = self.reference(broker_id) or ""
        first = read_name(self.name(reference))
        # A leg that is replaced gets a name of its own.
        name = first if first.reference == reference else Name(reference)
        return write_name(name._replace(number=self._numbers.get(reference, 0) + 1))

    def is_orphan(self, broker_id: str) -> bool:
        """Whether an order is a leg, and it is not known whose."""
        raw = self._orders.get(broker_id)
        return raw is not None and raw.is_linked and self.reference(broker_id) is None

    def predecessor(self, broker_id: str) -> str | None:
        """Return the id of an order before this one that must be asked for; None if all are known."""
        raw = self._orders.get(broker_id)
        while raw is not None and raw.replaces:
            if raw.replaces not in self._orders:
                return raw.replaces
            raw = self._orders[raw.replaces]
        return None

    def reference(self, broker_id: str) -> str | None:
        """Return our reference for one of Alpaca's orders; empty if it is somebody else's, None if that is not known."""
        if broker_id in self._legs:
            return self._legs[broker_id]
        raw = self._orders.get(broker_id)
        if raw is None:
            return None
        name = read_name(raw.name)
        if name.number or name.leg or name.reference in self._names:
            return name.reference
        if raw.replaces:  # by hand, at Alpaca's own screens: the name is Alpaca's
            return self.reference(raw.replaces)
        if raw.is_linked and not raw.legs:
            return "" if broker_id in self._strangers else None
        return "" if raw.is_linked or is_alpacas(raw.name) else name.reference

    def filled_before(self, broker_id: str) -> Filled:
        """Return what the orders before this one have filled."""
        quantity = value = 0.0
        before = self._orders[broker_id].replaces
        while before in self._orders:
            raw = self._orders[before]
            quantity += raw.filled
            value += raw.filled * (raw.average_price or 0.0)
            before = raw.replaces
        return Filled(quantity, value)

    def order(self, broker_id: str) -> BrokerOrder:
        """Return the order that one of Alpaca's is to us, with what those before it have filled."""
        raw = self._orders[broker_id]
        reference = self.reference(broker_id) or ""
        before = self.filled_before(broker_id)
        filled = before.quantity + raw.filled
        value = before.value + raw.filled * (raw.average_price or 0.0)
        status = status_of(raw, self._stood.get(broker_id))
        if before.quantity and status in {OrderStatus.SUBMITTED, OrderStatus.ACKNOWLEDGED}:
            status = OrderStatus.PARTIALLY_FILLED
        self._stood[broker_id] = status
        return BrokerOrder(
            reference=reference,
            broker_id=broker_id,
            symbol=raw.symbol,
            side=raw.side,
            order_type=raw.order_type,
            quantity=before.quantity + raw.quantity,
            filled=filled,
            average_price=value / filled if filled else None,
            status=status,
            limit_price=raw.limit_price,
            stop_price=raw.stop_price,
            reason=self._reasons.get(broker_id, "") if raw.status in STATUSES else f"Alpaca calls it {raw.status!r}",
            ts_ns=raw.ts_ns,
        )

    def _follows(self, raw: RawOrder, reference: str) -> bool:
        """Whether an order stands for its reference rather than the one that does so far."""
        newest = self._newest.get(reference)
        if newest is None or newest == raw.broker_id:
            return True
        return raw.replaces == newest and raw.status != "rejected"

    def _is_older(self, raw: RawOrder, known: RawOrder) -> bool:
        """Whether what was told now was so before what is known: things come late and out of order."""
        if raw.filled != known.filled:
            return raw.filled < known.filled and raw.ts_ns <= known.ts_ns
        was, now = STATUSES.get(known.status), STATUSES.get(raw.status)
        if was in TERMINAL and now not in TERMINAL:
            return True
        # An answer may come after what the stream said of the same instant; nothing goes back to where it began.
        return (now is OrderStatus.SUBMITTED and was is not now) or raw.ts_ns < known.ts_ns
