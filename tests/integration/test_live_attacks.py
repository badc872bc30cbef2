"""Bad input and attack at a live session's broker: what is refused, what is told, and that no order comes of it."""

from __future__ import annotations

import struct

import pytest

from fairlead.core.errors import BrokerAccess
from fairlead.core.orders import OrderStatus
from fairlead.sdk import OrderIntent
from support_operated import buy, orders_of
from support_places import at_place, orders_at, place_of, trading

BOTH = pytest.mark.parametrize("broker", ["alpaca", "ibkr"])
REJECTED = OrderStatus.REJECTED


def refused_for_good(session, text):
    """Wait until the broker is refused; every order that adds risk is refused from then on, and the session goes on."""
    session.minute(100.0)
    session.until(lambda status: "not accepted" in status["broker"])
    session.minute(100.0, alpha=buy(5))
    session.minute(100.0, alpha=buy(5))
    status = session.status
    assert text in status["broker"]
    assert status["working_orders"] == 0
    assert text in session.log


@pytest.mark.parametrize("wrong", ["PRACTICE_KEY", "PRACTICE_SECRET"])
def test_a_wrong_key(tmp_path, wrong):
    with place_of("alpaca") as place:
        secret, place.environ[wrong] = place.environ[wrong], "not-the-one"
        with trading(tmp_path, place) as session:
            refused_for_good(session, "key")
            calls = [call for call in place.calls if not call.startswith("GET")]
            result = session.end_alone()
            log = session.log
        assert calls == []
        assert [order[2] for order in orders_of(result)] == ["REJECTED", "REJECTED"]
        assert orders_at(place) == []
        assert secret not in log
        assert "not-the-one" not in log


@BOTH
@pytest.mark.parametrize("shown", ["another", "live"])
def test_an_account_of_another_id_or_kind(tmp_path, broker, shown):
    ids = {"alpaca": {"another": "PA9999", "live": "123456789"}, "ibkr": {"another": "DU9999999", "live": "U9999999"}}
    with place_of(broker, account_id=ids[broker][shown]) as place:
        place.account_id = {"alpaca": "PA0001", "ibkr": "DU1234567"}[broker]
        with trading(tmp_path, place) as session:
            refused_for_good(session, ids[broker][shown])
            result = session.end_alone()
        assert [order[2] for order in orders_of(result)] == ["REJECTED", "REJECTED"]
        assert orders_at(place) == []
        assert place.sends == 0


def test_a_key_that_is_revoked_while_an_order_works(tmp_path):
    with place_of("alpaca") as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=[OrderIntent.limit("A", 10, 90.0)])
        session.until_working(1)
        place.server.do(lambda broker: broker.revoke_keys())
        session.until(lambda status: "not accepted" in status["broker"])
        sent = place.sends
        session.minute(100.0, alpha=buy(5))
        assert session.status["working_orders"] == 1  # as far as anybody knows
        assert place.sends == sent == 1
        assert place.environ["PRACTICE_SECRET"] not in session.log
        result = session.end_alone()
        assert [order.status for order in result.record.orders][1] is REJECTED
        assert len(orders_at(place)) == 1


def test_an_interface_that_becomes_read_only(tmp_path):
    """What was on its way then stays what it is, as far as anybody knows, until a restart looks it up: it is not sent again."""
    with place_of("ibkr") as place, trading(tmp_path, place) as session:
        session.ready()
        place.turn(is_read_only=True)
        session.minute(100.0, alpha=buy(5))
        session.until(lambda status: "not accepted" in status["broker"])
        assert "read-only" in session.status["broker"]
        place.turn(is_read_only=False)
        session.minute(100.0, alpha=buy(7))
        result = session.end_alone()
        assert result.record.orders[-1].status is REJECTED
        assert orders_at(place) == []
        assert place.sends <= 1


GARBAGE = {
    "alpaca": [
        b"\x00\xff\xfe no text",
        b"[]",
        b"{",
        b'{"stream": "trade_updates"}',
        b'{"stream": "trade_updates", "data": {"event": "fill", "order": {"id": 7, "qty": "NaN"}}}',
        b'{"stream": "trade_updates", "data": {"event": "fill", "qty": "1e999", "order": null}}',
        b"[" * 100_000,
        b'"' + b"x" * 2_000_000 + b'"',
    ],
    "ibkr": [
        struct.pack(">I", 3) + b"3\0\0",  # a status without anything
        struct.pack(">I", 5) + b"999\0\0",  # no such message
        struct.pack(">I", 12) + b"11\0\xff\xfe\xfd\xfc\0\0\0\0\0",
        struct.pack(">I", 9) + b"5\0x\0y\0z\0\0",
        struct.pack(">I", 0xFFFFFFF0) + b"never so much",
        b"\xff" * 4096,
    ],
}


@pytest.mark.parametrize(("broker", "number"), [(name, i) for name, frames in GARBAGE.items() for i in range(len(frames))])
def test_frames_that_are_none_change_nothing(tmp_path, broker, number):
    """It goes on, or connects anew; what works is there once, and what is filled is booked once."""
    frame = GARBAGE[broker][number]
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        session.minute(100.0, alpha=buy(10))
        session.until_working(1)
        if broker == "alpaca":
            place.server.do(lambda there: there.stream.tell_raw(frame))
        else:
            place.running.call(lambda server: server.send_raw(frame))
        session.meet(101.0)
        session.until_held(10.0)
        session.until(lambda status: status["broker"] == "ok")
        session.agrees(101.0)
        assert session.status["halted_by"] == []
        result = session.end()
        assert [(fill.quantity, fill.price) for fill in result.record.fills] == [(10.0, 101.0)]
        assert at_place(place) == 10.0
        assert place.sends == 1


@BOTH
def test_a_symbol_that_the_broker_does_not_know(tmp_path, broker):
    with place_of(broker) as place:
        place.symbols = ("A", "ZZZ")
        with trading(tmp_path, place) as session:
            session.bar(50.0, "ZZZ")
            session.ready()
            session.bar(50.0, "ZZZ")
            session.minute(100.0, alpha=[OrderIntent.market("ZZZ", 5), *buy(10)])
            session.until_working(1)
            place.symbols = ("A",)
            session.meet(101.0)
            session.until_held(10.0)
            result = session.end()
        unknown, known = result.record.orders
        assert (unknown.symbol, unknown.status) == ("ZZZ", REJECTED)
        assert "ZZZ" in unknown.reason
        assert known.status is OrderStatus.FILLED
        assert [order.symbol for order in orders_at(place)] == ["A"]


@BOTH
def test_a_status_that_nobody_knows(tmp_path, broker):
    """It is told, and leaves the order where it stood; what is filled counts."""
    with place_of(broker) as place, trading(tmp_path, place) as session:
        session.ready()
        if broker == "ibkr":
            place.turn(unknown_status="Marinating")
            session.minute(100.0, alpha=buy(10))
            session.until(lambda _: len(orders_at(place)) == 1)
        else:
            session.minute(100.0, alpha=buy(10))
            session.until_working(1)
            told = {"event": "marinating", "order": {"status": "marinating"}}
            place.server.do(lambda there: there.tell(told["event"], *there.book.records.values(), order=told["order"]))
        session.until(lambda _: "arinating" in session.log)
        place.turn(**({"unknown_status": ""} if broker == "ibkr" else {}))
        session.meet(101.0)
        session.until_held(10.0)
        session.agrees(101.0)
        assert session.status["halted_by"] == []
        (order,) = session.end().record.orders
        assert order.status is OrderStatus.FILLED
        assert place.sends == 1


def test_what_a_refusal_is(tmp_path):
    """The error that ends the way to the broker names what was refused, and is no reason to try again."""
    with place_of("alpaca") as place:
        place.environ["PRACTICE_KEY"] = "not-the-one"
        with trading(tmp_path, place) as session:
            session.minute(100.0)
            session.until(lambda status: "not accepted" in status["broker"])
            (thread,) = session._threads
            thread.stop()
            assert isinstance(thread.error, BrokerAccess)
            calls = len(place.calls)
            session.minute(100.0)
            session.minute(100.0)
            assert len(place.calls) == calls
            session.end_alone()


def test_an_adapter_that_fails_for_good_is_told_and_nothing_leaves(tmp_path, monkeypatch):
    """A third party's broker may raise anything: the session hears that there is no way to it any more."""
    with place_of("alpaca") as place, trading(tmp_path, place) as session:
        session.ready()
        (thread,) = session._threads

        async def broken():
            raise RuntimeError("a mistake of the adapter")

        monkeypatch.setattr(thread._broker, "connect", broken)
        place.drop()
        session.until(lambda status: "a mistake of the adapter" in status["broker"])
        session.minute(100.0, alpha=buy(5))
        assert [order[2] for order in orders_of(session.end_alone())] == ["REJECTED"]
        assert orders_at(place) == []
