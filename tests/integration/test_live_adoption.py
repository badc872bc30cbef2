"""`auto_sync` at real adapters: what the account holds and no execution explains is the session's, and is written down so."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fairlead.core.orders import OrderStatus, OrderType, Side, TimeInForce
from fairlead.execution.brokers.words import OrderRequest
from support_operated import Planned, buy, sell
from support_places import at_place, place_of, trading

BOTH = pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
FILLED = OrderStatus.FILLED
SYNC = "{mode: auto_sync, every: 1, stands_s: 0}"


def traded_elsewhere(account, name, side, units, price):
    """Trade in the account as somebody does who is not the session."""
    terms = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "limit_price": Decimal(price)}
    request = OrderRequest(reference=name, symbol="A", side=side, quantity=Decimal(units), **terms)
    (order,) = account.submit([request])
    account.acknowledge(order.broker_id)
    account.execute(order.broker_id, float(units), float(price))


def looks_at(place):
    """How often the account's positions have been asked for."""
    return sum("positions" in call for call in place.calls)


@BOTH
def test_a_new_session_takes_over_what_the_last_one_held(tmp_path, broker):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with place_of(broker) as place:
        with trading(tmp_path / "first", place) as session:
            session.ready()
            session.minute(100.0, alpha=buy(10))
            session.until_working(1)
            session.meet(101.0)
            session.until_held(10.0)
            session.minute(101.0)
            session.end()
        assert at_place(place) == 10.0
        with trading(tmp_path / "second", place, reconciliation=SYNC) as session:
            session.now = session.clock_ns
            session.ready(102.0)
            status = session.until_held(10.0)
            assert status["halted_by"] == []
            assert status["equity"] == pytest.approx(100_010.0)
            session.minute(102.0, alpha=sell(4))
            session.until_working(1)
            session.meet(103.0)
            session.until_held(6.0)
            session.agrees(103.0)
            assert "settled by the broker's word: MISSING_LOCAL A: 0 in our books, 10 at the broker" in session.log
            result = session.end()
        adopted, sold = result.record.orders
        assert (adopted.tag, adopted.status, adopted.filled_quantity) == ("auto_sync_1", FILLED, 10.0)
        assert adopted.average_price == pytest.approx(101.0)
        assert sold.filled_quantity == 4.0
        assert at_place(place) == 6.0
        assert place.sends == 2


@BOTH
def test_otherwise_what_the_last_one_held_halts(tmp_path, broker):
    with place_of(broker) as place:
        place.do(lambda account: traded_elsewhere(account, "before", Side.BUY, 10, 100))
        with trading(tmp_path, place) as session:
            session.minute(100.0)
            status = session.until(lambda status: status["halted_by"])
            assert [trip["switch"] for trip in status["halted_by"]] == ["KS_RECON"]
            assert status["broker_books"]["differences"] == ["MISSING_LOCAL A: 0 in our books, 10 at the broker"]
            session.end()
        assert at_place(place) == 10.0
        assert place.sends == 0


@BOTH
def test_what_somebody_else_trades_is_taken_over_once_and_again_after_a_restart(tmp_path, monkeypatch, broker):
    monkeypatch.setattr(Planned, "plan", {1: buy(10)})
    (tmp_path / "first").mkdir()
    sections = {"strategy": "Planned", "reconciliation": SYNC}
    with place_of(broker) as place, trading(tmp_path / "first", place, **sections) as session:
        session.ready()
        session.minute(100.0)
        session.until_working(1)
        session.meet(101.0)
        session.until_held(10.0)
        session.agrees(101.0)
        place.do(lambda account: traded_elsewhere(account, "elsewhere", Side.SELL, 4, 101))
        session.minute(101.0)
        session.until_held(6.0)
        left = session.die(tmp_path / "second")
        with trading(left, place, goes_on=True, **sections) as again:
            again.now = session.now
            again.until(lambda status: status.get("broker") == "ok")
            again.until_held(6.0)
            again.agrees(101.0)
            place.do(lambda account: traded_elsewhere(account, "again", Side.SELL, 6, 101))
            again.minute(101.0)
            again.until_held(0.0)
            again.agrees(101.0)
            assert again.status["halted_by"] == []
            result = again.end()
        assert [(o.tag, o.side, o.filled_quantity) for o in result.record.orders[1:]] == [
            ("auto_sync_1", Side.SELL, 4.0),
            ("auto_sync_2", Side.SELL, 6.0),
        ]
        assert place.sends == 1
        assert at_place(place) == 0.0


@BOTH
def test_what_somebody_else_trades_is_taken_over_when_it_has_stood_for_a_minute(tmp_path, monkeypatch, broker):
    monkeypatch.setattr(Planned, "plan", {1: buy(10)})
    with place_of(broker) as place:
        with trading(tmp_path, place, strategy="Planned", reconciliation="{mode: auto_sync, every: 1}") as session:
            session.ready()
            session.minute(100.0)
            session.until_working(1)
            session.meet(101.0)
            session.until_held(10.0)
            session.agrees(101.0)
            place.do(lambda account: traded_elsewhere(account, "elsewhere", Side.SELL, 4, 101))
            asked = looks_at(place)
            session.minute(101.0)
            session.until(lambda _: looks_at(place) >= asked + 2)
            assert session.until_held(10.0)["broker_books"]["differences"] == []
            place.seconds(60)  # and no bar comes
            assert session.until_held(6.0)["halted_by"] == []
            result = session.end()
        assert [(o.tag, o.filled_quantity) for o in result.record.orders[1:]] == [("auto_sync_1", 4.0)]
        assert at_place(place) == 6.0


@BOTH
def test_what_two_strategies_might_hold_is_nobodys(tmp_path, broker):
    with place_of(broker) as place:
        place.do(lambda account: traded_elsewhere(account, "before", Side.BUY, 10, 100))
        with trading(tmp_path, place, "alpha", "beta", reconciliation=SYNC) as session:
            session.minute(100.0)
            session.until(lambda status: status["halted_by"])
            session.end()
        assert place.sends == 0
