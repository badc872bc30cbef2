"""Intents and orders: constructors, refusals, the transition table, and an order's life."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import math

import pytest

from fairlead.core.errors import ContractError, InvalidTransition
from fairlead.core.intents import CancelIntent, OrderIntent
from fairlead.core.orders import TERMINAL, TRANSITIONS, AmountKind, Order, OrderStatus, OrderType, Side, TimeInForce

UNTIL = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
S = OrderStatus


def an_order(quantity: float = 100.0, status: OrderStatus = S.ACKNOWLEDGED) -> Order:
    return Order(
        order_id="o-1",
        idempotency_key="k",
        group_id="g",
        strategy="s",
        symbol="AAPL",
        side=Side.BUY,
        quantity=quantity,
        order_type=OrderType.MARKET,
        created_ns=0,
        arrives_ns=0,
        status=status,
    )


@pytest.mark.parametrize(
    ("intent", "fields"),
    [
        (OrderIntent.market("AAPL", -5, tag="t"), {"amount": -5, "tag": "t"}),
        (
            OrderIntent.market("AAPL", 5, time_in_force=TimeInForce.IOC),
            {"amount": 5, "time_in_force": TimeInForce.IOC},
        ),
        (
            OrderIntent.limit("AAPL", 5, 99.5, time_in_force=TimeInForce.GTD, expires_at=UNTIL, tag="t"),
            {
                "amount": 5,
                "order_type": OrderType.LIMIT,
                "limit_price": 99.5,
                "time_in_force": TimeInForce.GTD,
                "expires_at": UNTIL,
                "tag": "t",
            },
        ),
        (
            OrderIntent.stop("AAPL", -5, 90.0, time_in_force=TimeInForce.GTD, expires_at=UNTIL, tag="t"),
            {
                "amount": -5,
                "order_type": OrderType.STOP,
                "stop_price": 90.0,
                "time_in_force": TimeInForce.GTD,
                "expires_at": UNTIL,
                "tag": "t",
            },
        ),
        (
            OrderIntent.stop_limit("AAPL", 5, 101.0, 102.0, time_in_force=TimeInForce.GTD, expires_at=UNTIL, tag="t"),
            {
                "amount": 5,
                "order_type": OrderType.STOP_LIMIT,
                "stop_price": 101.0,
                "limit_price": 102.0,
                "time_in_force": TimeInForce.GTD,
                "expires_at": UNTIL,
                "tag": "t",
            },
        ),
        (OrderIntent.notional("AAPL", -1e4, tag="t"), {"amount": -1e4, "amount_kind": AmountKind.NOTIONAL, "tag": "t"}),
        (
            OrderIntent.target_position("AAPL", 0, tag="t"),
            {"amount": 0, "amount_kind": AmountKind.TARGET_POSITION, "tag": "t"},
        ),
        (
            OrderIntent.target_weight("AAPL", -0.5, tag="t"),
            {"amount": -0.5, "amount_kind": AmountKind.TARGET_WEIGHT, "tag": "t"},
        ),
    ],
    ids=["market", "market-ioc", "limit", "stop", "stop_limit", "notional", "target_position", "target_weight"],
)
def test_a_constructor_sets_what_it_says_and_nothing_else(intent, fields):
    default = dataclasses.asdict(OrderIntent(symbol="AAPL", amount=1))
    assert dataclasses.asdict(intent) == {**default, **fields}


def test_an_intent_is_a_day_market_order_in_units_by_default():
    intent = OrderIntent(symbol="AAPL", amount=1)
    assert (intent.order_type, intent.time_in_force, intent.amount_kind) == ("MARKET", "DAY", "quantity")


def test_the_symbol_of_an_intent_is_put_into_its_canonical_form():
    """Every mapping by symbol has upper-case keys."""
    assert OrderIntent.market(" aapl ", 1).symbol == "AAPL"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: OrderIntent.market("A B", 1), "'symbol' must match"),
        (lambda: OrderIntent.market("AAPL", math.nan), "'AAPL amount' must be a finite number, was nan"),
        (lambda: OrderIntent.target_weight("AAPL", math.inf), "'AAPL amount' must be a finite number, was inf"),
        (lambda: OrderIntent.market("AAPL", 0), r"'AAPL quantity' must not be 0, was 0. Return no intent instead\."),
        (lambda: OrderIntent.notional("AAPL", 0.0), r"'AAPL notional' must not be 0, was 0.0"),
        (
            lambda: OrderIntent(symbol="AAPL", amount=1, order_type=OrderType.LIMIT),
            "'AAPL limit_price' must be given for a LIMIT order, was None",
        ),
        (
            lambda: OrderIntent(symbol="AAPL", amount=1, order_type=OrderType.STOP_LIMIT, stop_price=9.0),
            "'AAPL limit_price' must be given for a STOP_LIMIT order, was None",
        ),
        (
            lambda: OrderIntent(symbol="AAPL", amount=1, order_type=OrderType.STOP),
            "'AAPL stop_price' must be given for a STOP order, was None",
        ),
        (
            lambda: OrderIntent(symbol="AAPL", amount=1, order_type=OrderType.STOP_LIMIT, limit_price=9.0),
            "'AAPL stop_price' must be given for a STOP_LIMIT order, was None",
        ),
        (
            lambda: OrderIntent(symbol="AAPL", amount=1, limit_price=9.0),
            "'AAPL limit_price' must not be given for a MARKET order, was 9.0",
        ),
        (
            lambda: OrderIntent(symbol="AAPL", amount=1, order_type=OrderType.LIMIT, limit_price=9.0, stop_price=8.0),
            "'AAPL stop_price' must not be given for a LIMIT order, was 8.0",
        ),
        (lambda: OrderIntent.limit("AAPL", 1, 0.0), "'AAPL limit_price' must be a finite price above 0, was 0.0"),
        (lambda: OrderIntent.limit("AAPL", 1, math.nan), "'AAPL limit_price' must be a finite price above 0, was nan"),
        (lambda: OrderIntent.stop("AAPL", 1, -1.0), "'AAPL stop_price' must be a finite price above 0, was -1.0"),
        (lambda: OrderIntent.stop("AAPL", 1, math.inf), "'AAPL stop_price' must be a finite price above 0, was inf"),
        (
            lambda: OrderIntent.limit("AAPL", 1, 9.0, time_in_force=TimeInForce.GTD),
            "'AAPL expires_at' must be given for GTD orders, and only for them, was None",
        ),
        (
            lambda: OrderIntent.limit("AAPL", 1, 9.0, expires_at=UNTIL),
            "'AAPL expires_at' must be given for GTD orders, and only for them, was datetime",
        ),
        (
            lambda: OrderIntent.limit("AAPL", 1, 9.0, time_in_force=TimeInForce.GTD, expires_at=UNTIL.replace(tzinfo=None)),
            "'timestamp' must carry a time zone",
        ),
    ],
)
def test_an_intent_that_makes_no_sense_is_refused(make, text):
    with pytest.raises(ContractError, match=text):
        make()


def test_intents_are_facts():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OrderIntent.market("AAPL", 1).amount = 2  # type: ignore[misc]
    assert CancelIntent("a") == CancelIntent("a")


def test_sides():
    assert [(Side.of(q), Side.of(q).sign) for q in (2.0, -2.0)] == [(Side.BUY, 1), (Side.SELL, -1)]


# The table once more, by hand from domain rule 4.5: rows are "from", columns are "to".
ALLOWED = {
    S.PENDING: "SUBMITTED REJECTED CANCELLED EXPIRED",
    S.SUBMITTED: "ACKNOWLEDGED PARTIALLY_FILLED FILLED PENDING_CANCEL CANCELLED REJECTED EXPIRED",
    S.ACKNOWLEDGED: "ACKNOWLEDGED PARTIALLY_FILLED FILLED PENDING_CANCEL CANCELLED REJECTED EXPIRED",
    S.PARTIALLY_FILLED: "PARTIALLY_FILLED FILLED PENDING_CANCEL CANCELLED EXPIRED",
    S.PENDING_CANCEL: "PENDING_CANCEL PARTIALLY_FILLED FILLED CANCELLED EXPIRED",
}


@pytest.mark.parametrize(("start", "end"), list(itertools.product(S, S)), ids=lambda s: s.value)
def test_every_pair_of_statuses(start, end):
    order = an_order(status=start)
    if end.value in ALLOWED.get(start, "").split():
        update = order.move_to(end, 7, "why")
        assert order.status is end
        assert (update.previous, update.status, update.ts_ns, update.seq, update.reason) == (start, end, 7, 1, "why")
        assert order.reason == "why"
    else:
        with pytest.raises(InvalidTransition, match=f"order o-1 cannot go from {start} to {end}. Allowed: "):
            order.move_to(end, 7)
        assert (order.status, order.update_count, order.reason) == (start, 0, "")


def test_the_table_names_every_status_and_cannot_be_changed():
    assert set(TRANSITIONS) == set(S)
    assert {S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED} == TERMINAL
    with pytest.raises(TypeError):
        TRANSITIONS[S.FILLED] = frozenset()  # type: ignore[index]


def test_a_final_order_says_that_it_is_final():
    with pytest.raises(InvalidTransition, match="Allowed: nothing: it is final"):
        an_order(status=S.FILLED).move_to(S.CANCELLED, 0)


def test_the_allowed_statuses_are_listed():
    with pytest.raises(InvalidTransition, match="Allowed: CANCELLED, EXPIRED, REJECTED, SUBMITTED"):
        an_order(status=S.PENDING).move_to(S.FILLED, 0)


def test_partial_fills_average_their_prices_and_add_their_commissions():
    """40 at 10 and 60 at 11 is 100 at 10.6."""
    order = an_order()
    first = order.record_fill(40, 10.0, 1.0, 5)
    assert (order.status, order.remaining, order.is_terminal) == (S.PARTIALLY_FILLED, 60, False)
    assert (first.previous, first.status, first.filled_quantity, first.average_price) == (
        S.ACKNOWLEDGED,
        S.PARTIALLY_FILLED,
        40,
        10.0,
    )
    last = order.record_fill(60, 11.0, 2.0, 6)
    assert (order.status, order.remaining, order.is_terminal) == (S.FILLED, 0, True)
    assert order.average_price == pytest.approx(10.6, rel=1e-15)
    assert (order.commission, last.seq, last.ts_ns) == (3.0, 2, 6)


@pytest.mark.parametrize(("quantity", "parts"), [(0.3, [0.1, 0.2]), (0.9, [0.7, 0.1, 0.1])], ids=["above", "below"])
def test_sums_of_fractional_lots_complete_an_order(quantity, parts):
    """To a computer 0.1 + 0.2 is more than 0.3, and 0.7 + 0.1 + 0.1 is less than 0.9."""
    order = an_order(quantity=quantity)
    for part in parts:
        order.record_fill(part, 10.0, 0.0, 0)
    assert (order.status, order.filled_quantity) == (S.FILLED, quantity)


@pytest.mark.parametrize("quantity", [101.0, 0.0, -1.0, math.nan])
def test_an_impossible_fill_is_refused(quantity):
    order = an_order()
    with pytest.raises(InvalidTransition, match=f"order o-1 has 100.0 left and cannot fill {quantity}"):
        order.record_fill(quantity, 10.0, 1.0, 0)


@pytest.mark.parametrize("status", [S.PENDING, S.CANCELLED, S.REJECTED, S.EXPIRED])
def test_a_refused_fill_leaves_no_trace(status):
    """Quantity, price and commission move only if the status may."""
    order = an_order(status=status)
    with pytest.raises(InvalidTransition, match=f"cannot go from {status} to PARTIALLY_FILLED"):
        order.record_fill(40, 10.0, 1.0, 0)
    assert (order.filled_quantity, order.average_price, order.commission, order.update_count) == (0.0, None, 0.0, 0)


def test_a_lot_short_of_a_large_order_is_not_complete():
    """One part in a billion of two million units is two lots of 0.001, and they are still to be bought."""
    order = an_order(quantity=2_000_000.001)
    order.record_fill(2_000_000.0, 1.1, 0.0, 0)
    assert order.status is S.PARTIALLY_FILLED
    assert order.remaining == pytest.approx(0.001, rel=1e-6)
    with pytest.raises(InvalidTransition, match=r"cannot fill 0\.002"):
        order.record_fill(0.002, 1.1, 0.0, 0)
