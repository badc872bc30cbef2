"""Fill prices by hand: domain rules 6.8 R2 and R3, and the same-bar rule of stop-limits."""

from __future__ import annotations

import pytest

from fairlead.core.orders import Order, OrderType, Side
from fairlead.execution.fills import BarFillModel, FillPhase, limit_fill, stop_fill

OPEN, STOP, LIMIT = FillPhase.OPEN, FillPhase.STOP, FillPhase.LIMIT


def an_order(side: Side, limit: float | None = None, stop: float | None = None) -> Order:
    kinds = {(0, 0): OrderType.MARKET, (1, 0): OrderType.LIMIT, (0, 1): OrderType.STOP, (1, 1): OrderType.STOP_LIMIT}
    return Order(
        order_id="o",
        idempotency_key="k",
        group_id="g",
        strategy="s",
        symbol="A",
        side=side,
        quantity=1.0,
        order_type=kinds[(int(limit is not None), int(stop is not None))],
        created_ns=0,
        arrives_ns=0,
        limit_price=limit,
        stop_price=stop,
    )


def found(order: Order, open_: float, high: float, low: float, *, on_touch: bool = False):
    """Return the fill in a bar that closes in its middle: no rule may look at the close."""
    return BarFillModel(limit_fill_on_touch=on_touch).price(order, open_, high, low, (high + low) / 2)


@pytest.mark.parametrize("side", Side)
def test_a_market_order_takes_the_open(side):
    assert found(an_order(side), 10.0, 11.0, 9.0) == (10.0, OPEN)


# Each row: the order's price, then open, high, low; then the fill by the strict rule, then with `limit_fill_on_touch`.
@pytest.mark.parametrize(
    ("side", "limit", "bar", "strict", "on_touch"),
    [
        # Traded through: the limit price.
        (Side.BUY, 10.0, (10.5, 11.0, 9.9), (10.0, LIMIT), (10.0, LIMIT)),
        (Side.SELL, 10.0, (9.5, 10.1, 9.0), (10.0, LIMIT), (10.0, LIMIT)),
        # Only touched: no fill, unless touching is enough.
        (Side.BUY, 10.0, (10.5, 11.0, 10.0), None, (10.0, LIMIT)),
        (Side.SELL, 10.0, (9.5, 10.0, 9.0), None, (10.0, LIMIT)),
        # Not reached.
        (Side.BUY, 10.0, (10.5, 11.0, 10.01), None, None),
        (Side.SELL, 10.0, (9.5, 9.99, 9.0), None, None),
        # Opens beyond the limit: the open, which is better than the limit.
        (Side.BUY, 10.0, (9.8, 11.0, 9.5), (9.8, OPEN), (9.8, OPEN)),
        (Side.SELL, 10.0, (10.2, 10.4, 9.0), (10.2, OPEN), (10.2, OPEN)),
        # The whole bar lies beyond the limit.
        (Side.BUY, 10.0, (9.0, 9.5, 8.5), (9.0, OPEN), (9.0, OPEN)),
        (Side.SELL, 10.0, (11.0, 11.5, 10.5), (11.0, OPEN), (11.0, OPEN)),
        # Opens at the limit: at the open if touching is enough; else it still has to trade through.
        (Side.BUY, 10.0, (10.0, 11.0, 9.9), (10.0, LIMIT), (10.0, OPEN)),
        (Side.SELL, 10.0, (10.0, 10.1, 9.0), (10.0, LIMIT), (10.0, OPEN)),
        (Side.BUY, 10.0, (10.0, 11.0, 10.0), None, (10.0, OPEN)),
        (Side.SELL, 10.0, (10.0, 10.0, 9.0), None, (10.0, OPEN)),
        # A bar of one price.
        (Side.BUY, 10.0, (10.0, 10.0, 10.0), None, (10.0, OPEN)),
        (Side.SELL, 10.0, (10.0, 10.0, 10.0), None, (10.0, OPEN)),
    ],
)
def test_limits(side, limit, bar, strict, on_touch):
    assert limit_fill(side, limit, *bar, on_touch=False) == strict
    assert limit_fill(side, limit, *bar, on_touch=True) == on_touch
    assert found(an_order(side, limit), *bar) == strict
    assert found(an_order(side, limit), *bar, on_touch=True) == on_touch


@pytest.mark.parametrize(
    ("side", "stop", "bar", "expected"),
    [
        # Reached inside the bar: the stop price.
        (Side.BUY, 10.0, (9.5, 10.2, 9.0), (10.0, STOP)),
        (Side.SELL, 10.0, (10.5, 11.0, 9.8), (10.0, STOP)),
        # A touch triggers: rule R2 says HIGH >= E.
        (Side.BUY, 10.0, (9.5, 10.0, 9.0), (10.0, STOP)),
        (Side.SELL, 10.0, (10.5, 11.0, 10.0), (10.0, STOP)),
        # Not reached.
        (Side.BUY, 10.0, (9.5, 9.99, 9.0), None),
        (Side.SELL, 10.0, (10.5, 11.0, 10.01), None),
        # A gap beyond the stop: the open, which is worse.
        (Side.BUY, 10.0, (10.7, 11.0, 9.0), (10.7, OPEN)),
        (Side.SELL, 10.0, (9.3, 11.0, 9.0), (9.3, OPEN)),
        # Opens at the stop.
        (Side.BUY, 10.0, (10.0, 11.0, 9.0), (10.0, OPEN)),
        (Side.SELL, 10.0, (10.0, 11.0, 9.0), (10.0, OPEN)),
    ],
)
@pytest.mark.parametrize("on_touch", [False, True])
def test_stops(side, stop, bar, expected, on_touch):
    """The option for limits has no say here."""
    assert stop_fill(side, stop, *bar) == expected
    assert found(an_order(side, stop=stop), *bar, on_touch=on_touch) == expected


@pytest.mark.parametrize(
    ("side", "stop", "limit", "bar", "expected", "triggered"),
    [
        # Not triggered, though the limit was traded through.
        (Side.BUY, 10.0, 10.5, (9.5, 9.9, 9.0), None, False),
        (Side.SELL, 10.0, 9.5, (10.5, 11.0, 10.1), None, False),
        # Opens between stop and limit: a certain fill, at the open.
        (Side.BUY, 10.0, 10.5, (10.2, 11.0, 9.0), (10.2, OPEN), True),
        (Side.SELL, 10.0, 9.5, (9.8, 11.0, 9.0), (9.8, OPEN), True),
        (Side.BUY, 10.0, 10.5, (10.0, 11.0, 9.0), (10.0, OPEN), True),
        (Side.SELL, 10.0, 9.5, (10.0, 11.0, 9.0), (10.0, OPEN), True),
        # Opens exactly at the limit: it must trade through.
        (Side.BUY, 10.0, 10.5, (10.5, 11.0, 10.4), (10.5, LIMIT), True),
        (Side.BUY, 10.0, 10.5, (10.5, 11.0, 10.5), None, True),
        (Side.SELL, 10.0, 9.5, (9.5, 9.6, 9.0), (9.5, LIMIT), True),
        (Side.SELL, 10.0, 9.5, (9.5, 9.5, 9.0), None, True),
        # Triggered inside the bar: the path after the trigger is unknown, so no fill in this bar.
        (Side.BUY, 10.0, 10.5, (9.5, 11.0, 9.0), None, True),
        (Side.SELL, 10.0, 9.5, (10.5, 11.0, 9.0), None, True),
        # A gap beyond the limit: triggered, no fill in this bar even though it traded back.
        (Side.BUY, 10.0, 10.5, (10.8, 11.0, 10.0), None, True),
        (Side.SELL, 10.0, 9.5, (9.2, 10.0, 9.0), None, True),
    ],
)
def test_stop_limits_in_the_bar_that_triggers_them(side, stop, limit, bar, expected, triggered):
    order = an_order(side, limit, stop)
    assert found(order, *bar) == expected
    assert order.stop_triggered is triggered


@pytest.mark.parametrize(
    ("side", "stop", "limit", "triggering", "bar", "expected"),
    [
        (Side.BUY, 10.0, 10.5, (9.5, 11.0, 9.0), (10.8, 11.0, 10.4), (10.5, LIMIT)),
        (Side.BUY, 10.0, 10.5, (9.5, 11.0, 9.0), (9.2, 9.5, 9.0), (9.2, OPEN)),  # below the stop again: a plain limit now
        (Side.BUY, 10.0, 10.5, (9.5, 11.0, 9.0), (10.8, 11.0, 10.5), None),
        (Side.SELL, 10.0, 9.5, (10.5, 11.0, 9.0), (9.2, 9.6, 9.0), (9.5, LIMIT)),
        (Side.SELL, 10.0, 9.5, (10.5, 11.0, 9.0), (10.8, 11.0, 10.5), (10.8, OPEN)),
        (Side.SELL, 10.0, 9.5, (10.5, 11.0, 9.0), (9.2, 9.5, 9.0), None),
    ],
)
def test_a_triggered_stop_limit_is_a_limit(side, stop, limit, triggering, bar, expected):
    order = an_order(side, limit, stop)
    assert found(order, *triggering) is None
    assert found(order, *bar) == expected


def test_touching_is_an_option_of_the_limit_part_of_a_stop_limit_too():
    order = an_order(Side.BUY, limit=10.5, stop=10.0)
    order.stop_triggered = True
    assert found(order, 10.8, 11.0, 10.5, on_touch=True) == (10.5, LIMIT)


def test_an_order_without_the_prices_of_its_type_never_fills():
    order = an_order(Side.BUY, limit=10.0)
    order.limit_price = None
    assert found(order, 1.0, 100.0, 0.5) is None
