"""An order's life under any sequence of requests and executions."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead.core.errors import InvalidTransition
from fairlead.core.orders import TERMINAL, TRANSITIONS, Order, OrderStatus, OrderType, Side


class OrderLife(RuleBasedStateMachine):
    """Sends an order everything, legal or not, and keeps a second set of books."""

    @initialize(quantity=st.sampled_from([1.0, 0.3, 100.0, 1e6]), side=st.sampled_from(Side))
    def born(self, quantity, side):
        self.order = Order(
            order_id="o",
            idempotency_key="k",
            group_id="g",
            strategy="s",
            symbol="AAPL",
            side=side,
            quantity=quantity,
            order_type=OrderType.MARKET,
            created_ns=0,
            arrives_ns=0,
        )
        self.fills: list[tuple[float, float, float]] = []
        self.updates = 0
        self.final = None

    def _snapshot(self):
        order = self.order
        return (order.status, order.filled_quantity, order.average_price, order.commission, order.reason, order.update_count)

    def _count(self, update, before):
        self.updates += 1
        assert update.seq == self.updates
        assert (update.previous, update.status) == (before, self.order.status)
        assert (update.filled_quantity, update.average_price) == (self.order.filled_quantity, self.order.average_price)
        if self.order.is_terminal:
            self.final = self._snapshot()

    @rule(status=st.sampled_from(OrderStatus))
    def asked_to_move(self, status):
        # Only executions may claim that an order is filled.
        if status in (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED):
            return
        before, snapshot = self.order.status, self._snapshot()
        try:
            update = self.order.move_to(status, 1, "asked")
        except InvalidTransition:
            assert status not in TRANSITIONS[before]
            assert self._snapshot() == snapshot
        else:
            assert status in TRANSITIONS[before]
            self._count(update, before)

    @rule(share=st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.5]), price=st.floats(0.01, 1e4), commission=st.floats(0, 10))
    def executed(self, share, price, commission):
        quantity = share * self.order.quantity
        before, snapshot = self.order.status, self._snapshot()
        fits = sum(q for q, _, _ in self.fills) + quantity <= self.order.quantity * (1 + 1e-9)
        can_fill = OrderStatus.FILLED in TRANSITIONS[before]
        try:
            update = self.order.record_fill(quantity, price, commission, 1)
        except InvalidTransition:
            assert not (fits and can_fill)
            assert self._snapshot() == snapshot
        else:
            assert fits
            assert can_fill
            self.fills.append((quantity, price, commission))
            self._count(update, before)

    @invariant()
    def never_more_than_was_ordered(self):
        assert 0 <= self.order.filled_quantity <= self.order.quantity
        assert self.order.remaining >= 0

    @invariant()
    def the_books_agree(self):
        total = sum(q for q, _, _ in self.fills)
        assert abs(self.order.filled_quantity - total) <= 1e-9 * self.order.quantity
        assert abs(self.order.commission - sum(c for _, _, c in self.fills)) <= 1e-9
        if self.fills:
            mean = sum(q * p for q, p, _ in self.fills) / total
            assert abs(self.order.average_price - mean) <= 1e-9 * mean
        else:
            assert self.order.average_price is None

    @invariant()
    def filled_means_filled(self):
        is_whole = self.order.filled_quantity == self.order.quantity
        assert (self.order.status is OrderStatus.FILLED) == is_whole

    @invariant()
    @precondition(lambda self: self.final is not None)
    def a_final_order_never_changes(self):
        assert self._snapshot() == self.final
        assert self.order.status in TERMINAL


OrderLife.TestCase.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
test_order_life = OrderLife.TestCase
