"""Orders, statuses and accounts in the words of Interactive Brokers, by example."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fairlead.core.errors import OrderRejected
from fairlead.core.orders import OrderRole, OrderStatus, OrderType, Side, TimeInForce
from fairlead.data.vendors.ibkr.endpoint import contract_fields, our_spelling, spelled
from fairlead.data.vendors.ibkr.messages import ValueTold
from fairlead.execution.brokers.ibkr.mapping import (
    CANCEL_ALL,
    REDUCE,
    account_of,
    agrees,
    changed,
    group_of,
    held_as,
    limit_of,
    side_of,
    status_of,
    stop_of,
    terms_of,
    type_of,
)
from fairlead.execution.brokers.words import ChangeRequest, OrderRequest

D = Decimal
S = OrderStatus
BASE = {"action": "BUY", "totalQuantity": D(100), "account": "DU1", "orderRef": "r1", "transmit": True}


def request(kind=OrderType.MARKET, **given):
    fields = {"reference": "r1", "symbol": "AAPL", "side": Side.BUY, "quantity": D(100), "order_type": kind}
    return OrderRequest(**fields | given)


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (request(), {"orderType": "MKT", "tif": "DAY"}),
        (request(side=Side.SELL), {"action": "SELL", "orderType": "MKT", "tif": "DAY"}),
        (request(OrderType.LIMIT, limit_price=D("10.5")), {"orderType": "LMT", "lmtPrice": D("10.5"), "tif": "DAY"}),
        (request(OrderType.STOP, stop_price=D(9)), {"orderType": "STP", "auxPrice": D(9), "tif": "DAY"}),
        (
            request(OrderType.STOP_LIMIT, limit_price=D(8), stop_price=D(9)),
            {"orderType": "STP LMT", "lmtPrice": D(8), "auxPrice": D(9), "tif": "DAY"},
        ),
        (request(OrderType.TRAILING_STOP, trail_amount=D(2)), {"orderType": "TRAIL", "auxPrice": D(2), "tif": "DAY"}),
        (
            request(OrderType.TRAILING_STOP, trail_percent=D("1.5"), stop_price=D(95)),
            {"orderType": "TRAIL", "trailingPercent": D("1.5"), "trailStopPrice": D(95), "tif": "DAY"},
        ),
        (
            request(OrderType.ADAPTIVE, urgency="Urgent"),
            {"orderType": "MKT", "algoStrategy": "Adaptive", "algoParams": (("adaptivePriority", "Urgent"),), "tif": "DAY"},
        ),
        (
            request(OrderType.ADAPTIVE, limit_price=D(10)),
            {
                "orderType": "LMT",
                "lmtPrice": D(10),
                "algoStrategy": "Adaptive",
                "algoParams": (("adaptivePriority", "Normal"),),
                "tif": "DAY",
            },
        ),
        *((request(time_in_force=one), {"orderType": "MKT", "tif": one.value}) for one in list(TimeInForce)[:4]),
        (request(time_in_force=TimeInForce.OPG), {"orderType": "MKT", "tif": "OPG"}),
        (request(time_in_force=TimeInForce.CLS), {"orderType": "MOC", "tif": "DAY"}),
        (
            request(OrderType.LIMIT, limit_price=D(10), time_in_force=TimeInForce.CLS),
            {"orderType": "LOC", "lmtPrice": D(10), "tif": "DAY"},
        ),
        (
            request(time_in_force=TimeInForce.GTD, expires_ns=1_704_205_800_000_000_000),
            {"orderType": "MKT", "tif": "GTD", "goodTillDate": "20240102-14:30:00"},
        ),
        (request(quantity=D("1E+2")), {"orderType": "MKT", "tif": "DAY"}),
    ],
)
def test_what_is_sent(asked, fields):
    assert terms_of(asked, account="DU1") == BASE | fields
    assert "E" not in str(terms_of(asked, account="DU1")["totalQuantity"])


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (request(OrderType.LIMIT), "'limit_price' must be given for a LIMIT order"),
        (request(OrderType.STOP), "'stop_price' must be given for a STOP order"),
        (request(OrderType.TRAILING_STOP), "'trail_percent' must be given"),
        (request(OrderType.ADAPTIVE, urgency="Frantic"), "'urgency' must be one of Patient, Normal, Urgent"),
        (request(time_in_force=TimeInForce.GTD), "'expires_ns' must be given for GTD"),
        (request(OrderType.STOP, stop_price=D(1), time_in_force=TimeInForce.CLS), "must be MARKET or LIMIT in an auction"),
    ],
)
def test_what_cannot_be_sent_is_refused(asked, rule):
    with pytest.raises(OrderRejected, match=rule):
        terms_of(asked, account="DU1")


def test_sets_cancel_and_exits_reduce_each_other():
    assert group_of([request(oco_id="set_1")]) == ("set_1", CANCEL_ALL)
    assert group_of([request()])[0] == ""
    exits = [request(reference=name, role=role) for name, role in (("t", OrderRole.TAKE_PROFIT), ("s", OrderRole.STOP_LOSS))]
    assert group_of(exits) == ("exits-t", REDUCE)
    sent = terms_of(exits[0], account="DU1", group="exits-t", group_type=REDUCE)
    assert (sent["ocaGroup"], sent["ocaType"]) == ("exits-t", 2)
    assert "ocaGroup" not in terms_of(request(), account="DU1")


# The table of 14.3, and what is between its lines.
@pytest.mark.parametrize(
    ("theirs", "filled", "before", "ours"),
    [
        *((one, 0, None, S.SUBMITTED) for one in ("ApiPending", "PendingSubmit", "PreSubmitted")),
        ("Submitted", 0, None, S.ACKNOWLEDGED),
        ("Submitted", 40, S.ACKNOWLEDGED, S.PARTIALLY_FILLED),
        ("Filled", 100, S.ACKNOWLEDGED, S.FILLED),
        ("Cancelled", 0, S.ACKNOWLEDGED, S.CANCELLED),
        ("Cancelled", 40, S.PARTIALLY_FILLED, S.CANCELLED),
        ("ApiCancelled", 0, S.SUBMITTED, S.CANCELLED),
        ("PendingCancel", 0, S.ACKNOWLEDGED, S.ACKNOWLEDGED),
        ("PendingCancel", 40, S.PARTIALLY_FILLED, S.PARTIALLY_FILLED),
        ("PendingCancel", 0, None, S.SUBMITTED),
        ("Inactive", 0, None, S.REJECTED),
        ("Inactive", 0, S.SUBMITTED, S.REJECTED),
        ("Inactive", 0, S.ACKNOWLEDGED, S.ACKNOWLEDGED),
        ("Inactive", 40, S.PARTIALLY_FILLED, S.PARTIALLY_FILLED),
        ("PreSubmitted", 0, S.ACKNOWLEDGED, S.ACKNOWLEDGED),
        ("NobodyKnows", 0, S.ACKNOWLEDGED, S.ACKNOWLEDGED),
        ("NobodyKnows", 0, None, S.SUBMITTED),
    ],
)
def test_each_status(theirs, filled, before, ours):
    assert status_of(theirs, filled, 100, before) is ours


def test_a_stop_that_the_broker_holds_until_its_trigger_is_working():
    assert held_as("PreSubmitted", "trigger") == "Submitted"
    assert held_as("PreSubmitted", "child") == "PreSubmitted"
    assert held_as("Filled", "trigger") == "Filled"


@pytest.mark.parametrize(
    ("terms", "ours", "limit", "stop"),
    [
        ({"orderType": "MKT"}, OrderType.MARKET, None, None),
        ({"orderType": "MOC"}, OrderType.MARKET, None, None),
        ({"orderType": "LMT", "lmtPrice": 10.0}, OrderType.LIMIT, 10.0, None),
        ({"orderType": "STP", "auxPrice": 9.0}, OrderType.STOP, None, 9.0),
        ({"orderType": "STP LMT", "lmtPrice": 8.0, "auxPrice": 9.0}, OrderType.STOP_LIMIT, 8.0, 9.0),
        ({"orderType": "TRAIL", "auxPrice": 2.0, "trailStopPrice": 95.0}, OrderType.TRAILING_STOP, None, 95.0),
        ({"orderType": "TRAIL LIMIT", "trailStopPrice": 95.0}, OrderType.TRAILING_STOP, None, 95.0),
        ({"orderType": "STP PRT", "auxPrice": 9.0}, OrderType.STOP, None, 9.0),
        ({"orderType": "MIT", "auxPrice": 9.0}, OrderType.STOP, None, 9.0),
        ({"orderType": "REL", "lmtPrice": 10.0, "auxPrice": 0.01}, OrderType.LIMIT, 10.0, None),
        ({"orderType": "MKT", "algoStrategy": "Adaptive"}, OrderType.ADAPTIVE, None, None),
    ],
)
def test_what_is_told_of_an_order(terms, ours, limit, stop):
    assert (type_of(terms), limit_of(terms), stop_of(terms)) == (ours, limit, stop)


def test_sides():
    assert [side_of(one) for one in ("BUY", "BOT", "SELL", "SLD", "SSHORT")] == [Side.BUY] * 2 + [Side.SELL] * 3


def test_a_change_keeps_what_it_does_not_name():
    terms = {"orderType": "STP LMT", "lmtPrice": 8.0, "auxPrice": 9.0, "totalQuantity": 100.0, "tif": "GTC", "ocaGroup": "g"}
    new = changed(terms, ChangeRequest(reference="r", stop_price=D("9.5"), quantity=D(120)))
    assert new == terms | {"auxPrice": D("9.5"), "totalQuantity": D(120)}
    assert terms["auxPrice"] == 9.0
    assert agrees(terms | {"auxPrice": 9.5, "totalQuantity": 120.0}, ChangeRequest(reference="r", stop_price=D("9.5")))
    assert not agrees(terms, ChangeRequest(reference="r", stop_price=D("9.5")))
    trail = {"orderType": "TRAIL", "trailStopPrice": 95.0}
    assert changed(trail, ChangeRequest(reference="r", stop_price=D(96)))["trailStopPrice"] == D(96)


def test_a_price_that_an_order_has_not_got_cannot_be_changed():
    with pytest.raises(OrderRejected, match="'limit_price' must not be given"):
        changed({"orderType": "MKT"}, ChangeRequest(reference="r", limit_price=D(1)))
    with pytest.raises(OrderRejected, match="'stop_price' must not be given"):
        changed({"orderType": "LMT"}, ChangeRequest(reference="r", stop_price=D(1)))


def test_an_account_by_its_tags():
    tags = {"NetLiquidation": "1000.5", "TotalCashValue": "400", "BuyingPower": "2000", "MaintMarginReq": "150", "Cushion": ""}
    values = [ValueTold("DU1", tag, value, "EUR") for tag, value in tags.items()] + [
        ValueTold("DU2", "NetLiquidation", "7", "USD")
    ]
    account = account_of("DU1", values, is_paper=True)
    assert (account.nav, account.cash, account.buying_power, account.maintenance_margin) == (1000.5, 400.0, 2000.0, 150.0)
    assert (account.account_id, account.is_paper, account.currency, account.can_short) == ("DU1", True, "EUR", True)
    assert account_of("DU2", values, is_paper=True) is None
    assert account_of("DU1", [ValueTold("DU1", "NetLiquidation", "n/a", "")], is_paper=True) is None


def test_symbols_and_contracts():
    assert (spelled("BRK.B"), our_spelling("BRK B")) == ("BRK B", "BRK.B")
    assert contract_fields("BRK.B", None) == {
        "symbol": "BRK B",
        "secType": "STK",
        "exchange": "SMART",
        "primaryExchange": "",
        "currency": "USD",
    }
