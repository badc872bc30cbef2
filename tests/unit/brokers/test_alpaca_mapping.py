"""Alpaca's words and ours: every status, every field, and what cannot be read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fairlead.core.errors import ContractError, OrderRejected
from fairlead.core.orders import OrderStatus, OrderType, Side, TimeInForce
from fairlead.data.vendors.alpaca.stamps import stamp_ns, stamp_text
from fairlead.execution.brokers.alpaca.executions import ExecutionBook, Told, of_activity, of_amendment, of_update
from fairlead.execution.brokers.alpaca.mapping import (
    change_fields,
    in_pair_order,
    order_fields,
    pair_fields,
    read_account,
    read_order,
    read_position,
    status_of,
)
from fairlead.execution.brokers.alpaca.naming import Name, read_name, write_name
from fairlead.execution.brokers.words import BrokerPosition, ChangeRequest, Execution
from support_alpaca import raw_order, request

S = OrderStatus
OPEN_NS = 1_735_828_200_000_000_000
"""2025-01-02T14:30:00Z."""


@pytest.mark.parametrize(
    ("told", "ours"),
    [
        *[("accepted", S.SUBMITTED), ("pending_new", S.SUBMITTED), ("pending_review", S.SUBMITTED)],
        *[("new", S.ACKNOWLEDGED), ("accepted_for_bidding", S.ACKNOWLEDGED), ("held", S.ACKNOWLEDGED)],
        *[("partially_filled", S.PARTIALLY_FILLED), ("filled", S.FILLED), ("canceled", S.CANCELLED)],
        *[("replaced", S.CANCELLED), ("expired", S.EXPIRED), ("rejected", S.REJECTED), ("done_for_day", S.EXPIRED)],
    ],
)
def test_every_status_of_the_table(told, ours):
    raw = read_order(raw_order(status=told))
    assert status_of(raw, None) is ours
    assert status_of(raw, S.ACKNOWLEDGED) is ours


@pytest.mark.parametrize("told", ["pending_cancel", "pending_replace", "stopped", "suspended", "calculated", "teleported"])
@pytest.mark.parametrize("before", [S.SUBMITTED, S.ACKNOWLEDGED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED])
def test_what_changes_nothing_and_what_nobody_knows_leaves_an_order_where_it_stands(told, before):
    assert status_of(read_order(raw_order(status=told)), before) is before


def test_an_order_that_is_done_for_the_day_goes_on_tomorrow_if_it_is_good_till_cancelled():
    raw = read_order(raw_order(status="done_for_day", time_in_force="gtc", filled_qty="5", filled_avg_price="107"))
    assert status_of(raw, S.PARTIALLY_FILLED) is S.PARTIALLY_FILLED
    assert status_of(raw, None) is S.PARTIALLY_FILLED


def test_what_an_order_has_filled_tells_where_it_stands_if_its_word_does_not():
    assert status_of(read_order(raw_order(status="calculated", filled_qty="15")), None) is S.FILLED
    assert status_of(read_order(raw_order(status="pending_cancel", filled_qty="5")), S.ACKNOWLEDGED) is S.PARTIALLY_FILLED
    assert status_of(read_order(raw_order(status="new", filled_qty="5")), None) is S.PARTIALLY_FILLED


def test_an_order_is_read_whole():
    raw = read_order(
        raw_order(
            type="stop_limit",
            side="sell",
            qty="15.5",
            filled_qty="5.25",
            filled_avg_price="106.123456",
            stop_price="106",
            replaces="older",
            order_class="oco",
            legs=[raw_order(id="leg", client_order_id="theirs", status="held")],
        )
    )
    assert (raw.name, raw.replaces, raw.replaced_by, raw.is_linked) == ("r-1", "older", "", True)
    assert (raw.side, raw.order_type, raw.quantity, raw.filled) == (Side.SELL, OrderType.STOP_LIMIT, 15.5, 5.25)
    assert (raw.average_price, raw.limit_price, raw.stop_price) == (106.123456, 107.0, 106.0)
    assert raw.ts_ns == OPEN_NS + 500_000_000
    assert [leg.broker_id for leg in raw.legs] == ["leg"]


@pytest.mark.parametrize(
    "broken",
    [
        *[
            None,
            [],
            "order",
            {},
            raw_order(id=None),
            raw_order(client_order_id=""),
            raw_order(status=7),
            raw_order(status=None),
        ],
        *[raw_order(qty="many"), raw_order(filled_qty="NaN"), raw_order(filled_avg_price="Infinity")],
        *[raw_order(side="sideways"), raw_order(updated_at="yesterday"), raw_order(legs=[{}])],
    ],
)
def test_what_is_no_order_is_refused(broken):
    with pytest.raises(ContractError):
        read_order(broken)


def test_what_is_sent_for_each_kind_of_order():
    assert order_fields(request(), "r-1") == {
        "symbol": "AAPL",
        "qty": "15",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "client_order_id": "r-1",
        "limit_price": "107",
    }
    sent = order_fields(
        request(side=Side.SELL, order_type=OrderType.STOP_LIMIT, stop_price=Decimal("0.0001"), time_in_force=TimeInForce.GTC),
        "n",
    )
    assert (sent["side"], sent["type"], sent["time_in_force"]) == ("sell", "stop_limit", "gtc")
    assert (sent["limit_price"], sent["stop_price"]) == ("107", "0.0001")
    trail = order_fields(
        request(order_type=OrderType.TRAILING_STOP, limit_price=None, trail_percent=Decimal("1.5"), quantity=Decimal("0.125")),
        "n",
    )
    assert (trail["type"], trail["trail_percent"], trail["qty"]) == ("trailing_stop", "1.5", "0.125")
    assert "limit_price" not in trail
    assert order_fields(request(quantity=Decimal("1E+3")), "n")["qty"] == "1000"


@pytest.mark.parametrize("changed", [{"order_type": OrderType.ADAPTIVE}, {"time_in_force": TimeInForce.GTD}])
def test_what_alpaca_has_no_word_for_is_refused_before_it_is_sent(changed):
    with pytest.raises(OrderRejected, match=r"Alpaca has no (ADAPTIVE|GTD) orders\."):
        order_fields(request(**changed), "r-1")


def test_two_exits_are_one_order():
    profit = request("tp", side=Side.SELL)
    stop = request("sl", side=Side.SELL, order_type=OrderType.STOP, limit_price=None, stop_price=Decimal(95))
    assert in_pair_order(stop, profit) == (profit, stop)
    sent = pair_fields(profit, stop, "tp+sl")
    assert (sent["order_class"], sent["type"], sent["client_order_id"]) == ("oco", "limit", "tp+sl")
    assert (sent["take_profit"], sent["stop_loss"]) == ({"limit_price": "107"}, {"stop_price": "95"})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"quantity": Decimal(14)}, "one quantity"),
        ({"symbol": "MSFT"}, "one symbol"),
        ({"side": Side.BUY}, "one side"),
        ({"time_in_force": TimeInForce.GTC}, "one time_in_force"),
        ({"order_type": OrderType.LIMIT}, "a limit and a stop"),
        ({"order_type": OrderType.MARKET}, "a limit and a stop"),
    ],
)
def test_exits_that_alpaca_cannot_link_are_refused_before_they_are_sent(changed, why):
    stop = {"side": Side.SELL, "order_type": OrderType.STOP, "stop_price": Decimal(95), **changed}
    with pytest.raises(OrderRejected, match=why):
        in_pair_order(request("tp", side=Side.SELL), request("sl", **stop))


def test_what_is_sent_to_replace_an_order():
    change = ChangeRequest(reference="r-1", limit_price=Decimal("106.50"))
    assert change_fields(change, None, "r-1~1") == {"client_order_id": "r-1~1", "limit_price": "106.5"}
    assert change_fields(change, Decimal(10), "r-1~2")["qty"] == "10"


@pytest.mark.parametrize(
    ("name", "text"),
    [(Name("r-1"), "r-1"), (Name("r-1", number=3), "r-1~3"), (Name("tp", "sl"), "tp+sl"), (Name("tp", "sl", 12), "tp+sl~12")],
)
def test_names_say_what_they_were_made_of(name, text):
    assert write_name(name) == text
    assert read_name(text) == name


def test_names_of_others_are_read_as_they_are():
    assert read_name("a~b") == Name("a~b")
    assert read_name("~1") == Name("~1")


@pytest.mark.parametrize("name", [Name("a+b"), Name("a~b"), Name("tp", "s~l"), Name(""), Name("r" * 128)])
def test_references_that_would_be_read_otherwise_are_refused(name):
    with pytest.raises(OrderRejected, match="name"):
        write_name(name)


def test_an_execution_has_one_name_on_the_stream_and_in_the_activities():
    row = {
        "id": "20250102093000123::8efc7b9a-8b2b-4000-9955-d36e7db0df74",
        "order_id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "symbol": "AAPL",
        "side": "sell_short",
        "qty": "10",
        "price": "107.25",
        "cum_qty": "15.0",
        "transaction_time": "2025-01-02T14:30:00.123456789Z",
    }
    update = {
        "event": "fill",
        "execution_id": "other",
        "qty": "10",
        "price": "107.25",
        "timestamp": "2025-01-02T14:30:00.123456789Z",
        "order": raw_order(filled_qty="15", side="sell", status="filled"),
    }
    listed, heard = of_activity(row, "r-1"), of_update(update, read_order(update["order"]), "r-1")
    assert listed.execution == heard.execution
    assert listed.execution.execution_id == "61e69015-8549-4bfd-b9c3-01e75843f47d:15"
    assert (listed.execution.quantity, listed.execution.price, listed.execution.side) == (10.0, 107.25, Side.SELL)
    assert listed.execution.ts_ns == OPEN_NS + 123_456_789
    assert (listed.number, heard.number) == ("8efc7b9a-8b2b-4000-9955-d36e7db0df74", "other")


@pytest.mark.parametrize("changed", [{"qty": "0"}, {"price": None}, {"cum_qty": "x"}, {"side": "up"}, {"transaction_time": 7}])
def test_an_execution_that_cannot_be_one_is_refused(changed):
    row = {"id": "a::b", "order_id": "o", "symbol": "A", "side": "buy", "qty": "1", "price": "2", "cum_qty": "1"}
    with pytest.raises(ContractError):
        of_activity({**row, "transaction_time": "2025-01-02T14:30:00Z", **changed}, "r-1")


def told(quantity=10.0, price=100.0, number="n-1", **changed):
    return Told(Execution("o:10", "r-1", "o", "A", Side.BUY, quantity, price, 0.0, 5)._replace(**changed), number)


def test_a_correction_and_a_bust_say_what_they_amend():
    book = ExecutionBook()
    first = book.heard(told())
    assert book.heard(told(number="")) == first
    corrected = book.amend(told(9.0, 101.0, "n-2", execution_id=""), "n-1")
    assert (corrected.replaces, corrected.quantity, corrected.price) == ("o:10", 9.0, 101.0)
    assert book.amend(told(9.0, 101.0, "n-2", execution_id=""), "n-1") == corrected
    assert book.listed(told(9.0, 101.0)) == [first, corrected]
    busted = book.amend(told(0.0, 0.0, "n-3", is_bust=True), "n-2")
    assert (busted.replaces, busted.is_bust) == (corrected.execution_id, True)
    assert book.amend(told(0.0, 0.0, "n-3", is_bust=True), "n-2") == busted
    assert len({first.execution_id, corrected.execution_id, busted.execution_id}) == 3


def test_a_correction_that_nobody_told_shows_in_the_activities():
    book = ExecutionBook()
    first = book.heard(told())
    listed = book.listed(told(9.0))
    assert [one.quantity for one in listed] == [10.0, 9.0]
    assert (listed[0], listed[1].replaces) == (first, "o:10")
    assert book.listed(told(9.0)) == listed
    assert book.amend(told(9.0, 100.0, "n-2", execution_id=""), "n-1") == listed[1]  # the stream comes late


def test_a_correction_is_told_though_the_activities_have_it_already():
    book = ExecutionBook()
    book.listed(told(9.0))
    corrected = book.amend(told(9.0, 100.0, "n-2", execution_id=""), "n-1")
    assert (corrected.replaces, corrected.quantity) == ("o:10", 9.0)


def test_what_an_amendment_says_must_be_readable():
    data = {"event": "trade_correct", "execution_id": "new", "qty": "9", "price": "100", "timestamp": "2025-01-02T14:30:00Z"}
    assert of_amendment(data, read_order(raw_order()), "r-1").execution.quantity == 9.0
    assert of_amendment({**data, "event": "trade_bust", "qty": None}, read_order(raw_order()), "r-1").execution.is_bust
    for changed in ({"qty": "0"}, {"execution_id": None}, {"timestamp": 5}):
        with pytest.raises(ContractError):
            of_amendment({**data, **changed}, read_order(raw_order()), "r-1")


def test_the_account():
    raw = {
        "account_number": "PA3ABC",
        "status": "ACTIVE",
        "currency": "USD",
        "equity": "100500.5",
        "cash": "-200",
        "buying_power": "250000",
        "maintenance_margin": "3000",
        "shorting_enabled": False,
    }
    account = read_account(raw)
    assert (account.account_id, account.is_paper, account.currency) == ("PA3ABC", True, "USD")
    assert (account.nav, account.cash, account.buying_power, account.maintenance_margin) == (100500.5, -200.0, 250000.0, 3000.0)
    assert (account.can_short, account.is_blocked, account.reason) == (False, False, "")
    assert not read_account({**raw, "account_number": "123456789"}).is_paper


@pytest.mark.parametrize("block", ["trading_blocked", "account_blocked", "trade_suspended_by_user"])
def test_an_account_that_takes_no_orders_says_why(block):
    account = read_account({"account_number": "1", "equity": "1", block: True})
    assert account.is_blocked
    assert account.reason == block


def test_an_account_that_is_not_active_takes_no_orders():
    account = read_account({"account_number": "1", "equity": "0", "status": "ACCOUNT_CLOSED"})
    assert (account.is_blocked, account.reason) == (True, "status ACCOUNT_CLOSED")


@pytest.mark.parametrize(("quantity", "side"), [("-5", "short"), ("5", "short")])
def test_a_short_position_is_negative_however_it_is_written(quantity, side):
    raw = {"symbol": "AAPL", "qty": quantity, "side": side, "avg_entry_price": "100.5"}
    assert read_position(raw) == BrokerPosition("AAPL", -5.0, 100.5)


def test_instants_keep_their_nanoseconds():
    assert stamp_ns("2025-01-02T14:30:00.123456789Z") == OPEN_NS + 123_456_789
    assert stamp_ns("2025-01-02T09:30:00.5-05:00") == OPEN_NS + 500_000_000
    assert stamp_text(OPEN_NS) == "2025-01-02T14:30:00Z"
    assert stamp_ns(stamp_text(OPEN_NS + 7)) == OPEN_NS + 7
    for broken in (None, 7, "2025-01-02", "2025-13-02T14:30:00Z", "2025-01-02T14:30:00"):
        with pytest.raises(ContractError, match="timestamp"):
            stamp_ns(broken)
