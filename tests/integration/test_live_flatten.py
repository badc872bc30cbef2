"""A live session with fifty positions is flat within two minutes, though orders are refused and fill in parts."""

from __future__ import annotations

import time

import pytest

from fairlead.core.time import NS_PER_SECOND
from fairlead.sdk import OrderIntent
from servers.waiting import wait_for
from support_places import place_of, trading

SYMBOLS = ["A", *(f"S{number:02d}" for number in range(1, 50))]
LIMIT_S = 120


def in_parts(account):
    """Fill a third of what each order still asks for, whole units at least."""
    for order in account.open_orders():
        left = order.quantity - order.filled
        account.execute(order.broker_id, min(left, max(1.0, left // 3)), 100.0)


def positions(place):
    return place.do(lambda account: account.positions())


PATIENT = {
    "alpaca": {"timeout_s": 10.0},
    "ibkr": {"answer_s": 10.0, "acknowledge_s": 10.0, "commission_s": 10.0},
}


@pytest.mark.parametrize("by", ["flatten", "halt"])
@pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
def test_fifty_positions_are_closed_within_two_minutes(tmp_path, broker, by):
    with place_of(broker, ",".join(SYMBOLS)) as place, trading(tmp_path, place, params=PATIENT[broker]) as session:

        def minute(**wishes):
            for name in SYMBOLS[1:]:
                session.bar(100.0, name)
            session.minute(100.0, **wishes)

        minute()
        session.until(lambda status: status["broker"] == "ok")
        minute(alpha=[OrderIntent.market(name, 10) for name in SYMBOLS])
        wait_for(lambda: len(place.do(lambda account: account.open_orders())) == 50, 30.0)
        place.do(lambda account: [account.execute(o.broker_id, o.quantity, 100.0) for o in account.open_orders()])
        session.until(lambda status: len(status["strategies"][0]["positions"]) == 50, seconds=30)
        session.now += 2 * 60 * NS_PER_SECOND
        minute(alpha=[OrderIntent.limit(name, -10, 120.0) for name in SYMBOLS[:20]])
        wait_for(lambda: len(place.do(lambda account: account.open_orders())) == 20, 30.0)
        place.turn(refuses_orders="not now")
        began_ns = place.clock_ns
        session.ask(by, **({"flatten": True} if by == "halt" else {}))
        for passed in range(LIMIT_S):
            if not positions(place):
                break
            time.sleep(0.15)  # its clock may run ahead of ours, but not of the answers
            place.seconds(1)
            if passed == 9:
                place.turn(refuses_orders="")
            place.do(in_parts)
            assert session.status["run_id"]  # whoever looks on does not stop it
        took_s = (place.clock_ns - began_ns) / NS_PER_SECOND
        assert took_s < LIMIT_S, session.status
        print(f"{broker} by {by}: flat after {took_s:.0f} s")  # noqa: T201  what is measured, for whoever asks with -s
        session.until(lambda status: not status["strategies"][0]["positions"] and status["working_orders"] == 0, seconds=30)
        assert place.do(lambda account: account.open_orders()) == []
        assert positions(place) == []
        session.end()
