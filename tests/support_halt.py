"""A broker for halts: slow, forgetful, and with no idea of what "reduce only" means, so that it hides no mistake."""

import random
from collections import defaultdict
from dataclasses import replace

from fairlead.core.orders import TERMINAL, OrderStatus, Side
from fairlead.core.time import NS_PER_SECOND
from fairlead.risk.monitors import (
    AskOrders,
    AskPositions,
    CancelOrders,
    Disconnect,
    HaltPlan,
    OpenOrder,
    RaiseAlert,
    SubmitFlatten,
)

S = OrderStatus


class SlowBroker:
    """Holds the truth; what it is told and what it tells wait in queues until someone lets them through."""

    def __init__(self, positions: dict[str, float], orders: list[OpenOrder]) -> None:
        self.positions = defaultdict(float, positions)
        self.untouched = defaultdict(float, positions)
        """Positions as they would be without the plan."""
        self.orders = {order.order_id: replace(order) for order in orders if order.status is not S.PENDING}
        self.arriving = [replace(order) for order in orders if order.status is S.PENDING]
        self.ours: set[str] = set()
        self.asked: list[AskOrders | AskPositions] = []
        self.cancels: list[str] = []
        self.news: list[tuple] = []
        self.alerts: list[RaiseAlert] = []
        self.sent: list[SubmitFlatten] = []
        self.disconnected = False

    def do(self, steps) -> None:
        """Take in what the plan asks for; nothing happens yet."""
        for step in steps:
            match step:
                case CancelOrders(order_ids):
                    self.cancels += order_ids
                case SubmitFlatten(order_id, symbol, side, quantity):
                    assert quantity > 0
                    self.sent.append(step)
                    self.ours.add(order_id)
                    self.arriving.append(OpenOrder(order_id=order_id, symbol=symbol, side=side, remaining=quantity))
                case AskOrders() | AskPositions():
                    self.asked.append(step)
                case RaiseAlert():
                    self.alerts.append(step)
                case Disconnect():
                    self.disconnected = True

    @property
    def working(self) -> list[OpenOrder]:
        return [order for order in self.orders.values() if not order.is_final]

    def arrive(self, at: int = 0) -> None:
        order = self.arriving.pop(at)
        order.status = S.ACKNOWLEDGED
        self.orders[order.order_id] = order
        self._tell(order)

    def refuse(self, at: int = 0) -> None:
        order = self.arriving.pop(at)
        order.status = S.REJECTED
        self.orders[order.order_id] = order
        self._tell(order)

    def fill(self, order: OpenOrder, quantity: float) -> None:
        quantity = min(quantity, order.remaining)
        before = self.positions[order.symbol]
        self.positions[order.symbol] += order.side.sign * quantity
        if order.order_id in self.ours:
            assert abs(self.positions[order.symbol]) <= abs(before), "a flatten added to a position, or turned it round"
            assert self.positions[order.symbol] * before >= 0, "a flatten turned a position round"
        else:
            self.untouched[order.symbol] += order.side.sign * quantity
        order.remaining -= quantity
        order.status = S.FILLED if order.remaining <= 0 else S.PARTIALLY_FILLED
        self._tell(order)
        self.check()

    def check(self) -> None:
        """Whatever happens: the plan never leaves more than there would be without it, nor on the other side of zero."""
        for symbol, position in self.positions.items():
            alone = self.untouched[symbol]
            assert position * alone >= 0, f"{symbol} was turned round: {position}, without the plan {alone}"
            assert abs(position) <= abs(alone)

    def cancel(self, at: int = 0, *, ignore: bool = False) -> None:
        order = self.orders.get(self.cancels.pop(at))
        if order is None or order.is_final or ignore:
            return
        order.status = S.CANCELLED
        self._tell(order)

    def look(self, at: int = 0) -> None:
        """Answer a question with what is so now; the answer is on its way."""
        match self.asked.pop(at):
            case AskOrders(ticket):
                self.news.append(("orders", ticket, [replace(order) for order in self.working]))
            case AskPositions(ticket):
                self.news.append(("positions", ticket, {name: units for name, units in self.positions.items() if units}))

    def deliver(self, plan: HaltPlan, at: int = 0, *, keep: bool = False) -> None:
        kind, what, value = self.news[at] if keep else self.news.pop(at)
        if kind == "orders":
            plan.on_open_orders(what, [replace(order) for order in value])
        elif kind == "positions":
            plan.on_positions(what, value)
        else:
            remaining = 0.0 if value.status in TERMINAL else value.remaining
            plan.on_order_update(what, value.status, remaining, replace(value))

    def _tell(self, order: OpenOrder) -> None:
        self.news.append(("update", order.order_id, replace(order)))


def run_to_end(plan: HaltPlan, broker: SlowBroker, now_s: float, *, limit_s: float, chance: random.Random) -> float:
    """Let a fair broker work on until the plan ends; return the second, or `limit_s`."""
    while now_s < limit_s:
        broker.do(plan.next(round(now_s * NS_PER_SECOND)))
        if broker.disconnected or plan.phase == "HELD":
            return now_s
        while broker.arriving:
            broker.refuse() if broker.arriving[0].order_id in broker.ours and chance.random() < 0.3 else broker.arrive()
        for order in broker.working:
            if order.order_id in broker.ours and chance.random() < 0.5:
                broker.fill(order, max(1.0, order.remaining // 2))
            elif order.order_id not in broker.ours and order.order_id in broker.cancels and chance.random() < 0.3:
                broker.fill(order, 1.0)
        while broker.cancels:
            broker.cancel(ignore=chance.random() < 0.2)
        while broker.asked:
            broker.look()
        while broker.news:
            broker.deliver(plan)
        now_s += 0.25
    return limit_s


def order(order_id: str, symbol: str, side: Side, remaining: float, **more) -> OpenOrder:
    return OpenOrder(order_id=order_id, symbol=symbol, side=side, remaining=remaining, **more)
