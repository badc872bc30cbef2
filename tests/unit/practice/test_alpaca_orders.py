"""Orders at the practice Alpaca, as its official client sends and sees them."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

import pytest

from servers.alpaca import DAY
from servers.alpaca_clients import TradingClient  # first: it keeps the warnings of what follows to itself

# isort: split
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderClass, OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
)

BUY, SELL = OrderSide.BUY, OrderSide.SELL


def market(side=BUY, qty=10, symbol="ACME", **more):
    return MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.DAY, **more)


def limit(price, side=BUY, qty=10, symbol="ACME", **more):
    return LimitOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.GTC, limit_price=price, **more)


def stop(price, side=SELL, qty=10, symbol="ACME", **more):
    return StopOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.GTC, stop_price=price, **more)


def exits(profit=101.0, loss=98.0):
    return {"take_profit": TakeProfitRequest(limit_price=profit), "stop_loss": StopLossRequest(stop_price=loss)}


def hold(server, client, qty=10):
    client.submit_order(market(qty=qty))
    server.step()


def refused(status, text):
    """Expect a refusal with a status and a text."""

    class Caught:
        def __enter__(self):
            self.raises = pytest.raises(APIError, match=text)
            self.info = self.raises.__enter__()
            return self.info

        def __exit__(self, *exc):
            done = self.raises.__exit__(*exc)
            assert self.info.value.status_code == status
            return done

    return Caught()


def execute(server, order, quantity, price):
    """Let an order be executed by hand."""
    return server.do(lambda b: b.account.execute(b.book.find(str(order.id)).broker_id, quantity, price))


def test_the_account_is_told(server, client):
    account = client.get_account()
    assert (account.account_number, account.status, account.currency) == ("PA0001", "ACTIVE", "USD")
    assert float(account.equity) == float(account.cash) == 1_000_000
    hold(server, client)
    account = client.get_account()
    assert float(account.long_market_value) == 1_000
    assert float(account.cash) == pytest.approx(1_000_000 - 1_000.1)


def test_a_market_order_lives_and_fills(server, client):
    order = client.submit_order(market(client_order_id="a-1"))
    assert (order.status, order.order_class) == ("pending_new", "simple")
    assert client.get_order_by_client_id("a-1").status == "new"
    server.step()
    filled = client.get_order_by_id(order.id)
    assert (filled.status, float(filled.filled_qty), float(filled.filled_avg_price)) == ("filled", 10, 100.01)
    assert filled.filled_at == dt.datetime(2024, 1, 2, 14, 32, tzinfo=dt.UTC)
    (position,) = client.get_all_positions()
    assert (position.symbol, float(position.qty), position.side) == ("ACME", 10, "long")


def test_the_same_name_is_refused(client):
    client.submit_order(limit(90, client_order_id="a-1"))
    with refused(422, "client_order_id must be unique") as caught:
        client.submit_order(limit(90, client_order_id="a-1"))
    assert caught.value.code == 40010001
    assert len(client.get_orders()) == 1


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 422, "asset"),
        ({"symbol": "NONE"}, 422, "asset .*NONE.* not found"),
        ({"side": "hold"}, 422, "invalid side"),
        ({"type": "iceberg"}, 422, "invalid type"),
        ({"time_in_force": "gtd"}, 422, "invalid time_in_force"),
        ({"qty": "ten"}, 422, "qty must be a number"),
        ({"qty": "-1"}, 422, "qty must be > 0"),
        ({"qty": "NaN"}, 422, "qty must be a number"),
        ({"qty": None}, 422, "qty or notional is required"),
        ({"qty": "0.5"}, 403, "is not fractionable"),
        ({"notional": "100", "qty": None}, 422, "notional"),
        ({"type": "limit"}, 422, "limit orders require limit price"),
        ({"limit_price": "10"}, 422, "must not have limit price"),
        ({"type": "limit", "limit_price": "10.001"}, 422, "sub-penny"),
        ({"type": "trailing_stop"}, 422, "trail_price or trail_percent"),
        ({"order_class": "mleg"}, 422, "invalid order_class"),
        ({"order_class": "bracket"}, 422, "bracket orders require take_profit"),
        ({"client_order_id": "x" * 129}, 422, "128"),
        ({"extended_hours": True}, 422, "extended hours order must be DAY limit orders"),
        ({"qty": "100000000"}, 403, "insufficient buying power"),
    ],
)
def test_what_is_no_order_is_refused(client, body, status, text):
    whole = {"symbol": "ACME", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", **body}
    with refused(status, text):
        client.post("/orders", whole if body else {})
    assert client.get_orders() == []


def test_a_body_that_is_no_json_is_refused(client):
    headers = client._get_auth_headers()
    answer = client._session.post(f"{client._base_url}/v2/orders", data="{", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, 40010000)


def test_wrong_keys_are_refused(server):
    other = TradingClient("x", "y", url_override=server.url)
    with refused(401, "request is not authorized") as caught:
        other.get_account()
    assert caught.value.code == 40110000
    other._session.close()


def test_unknown_things_are_not_found(client):
    with refused(404, "order not found"):
        client.get_order_by_id(uuid4())
    with refused(404, "order not found"):
        client.get_order_by_client_id("nobody")
    with refused(404, "order not found"):
        client.cancel_order_by_id(uuid4())
    with refused(404, "position does not exist"):
        client.get_open_position("ACME")
    with refused(404, "asset not found"):
        client.get_asset("NONE")
    with refused(404, "endpoint not found"):
        client.get("/nothing")


def test_an_order_is_cancelled_once(client):
    order = client.submit_order(limit(90))
    assert client.cancel_order_by_id(order.id) is None
    told = client.get_order_by_id(order.id)
    assert told.status == "canceled"
    assert told.canceled_at is not None
    with refused(422, "order is already in .*canceled.* state"):
        client.cancel_order_by_id(order.id)


def test_all_orders_are_cancelled(client):
    orders = {client.submit_order(limit(price)).id for price in (90, 91)}
    answers = client.cancel_orders()
    assert {answer.id for answer in answers} == orders
    assert {answer.status for answer in answers} == {200}
    assert client.get_orders() == []


def test_what_replaces_an_order_is_another(client):
    first = client.submit_order(limit(90, client_order_id="a-1"))
    second = client.replace_order_by_id(first.id, ReplaceOrderRequest(limit_price=91, client_order_id="a-2"))
    assert (second.replaces, second.status, float(second.limit_price)) == (first.id, "accepted", 91)
    old = client.get_order_by_id(first.id)
    assert (old.status, old.replaced_by, float(old.limit_price)) == ("replaced", second.id, 90)
    assert client.get_order_by_client_id("a-2").status == "new"
    assert [order.id for order in client.get_orders()] == [second.id]
    with refused(422, "already in .*replaced.* state"):
        client.cancel_order_by_id(first.id)
    client.cancel_order_by_id(second.id)
    assert client.get_orders() == []


def test_a_replacement_has_a_quantity_of_its_own(server, client):
    """What an order filled before it was replaced is not in the next: to leave the quantity out asks for the whole again."""
    first = client.submit_order(limit(90, qty=10))
    execute(server, first, 4, 90)
    second = client.replace_order_by_id(first.id, ReplaceOrderRequest(qty=6, limit_price=91))
    assert (float(second.qty), float(second.filled_qty)) == (6, 0)
    assert float(client.get_order_by_id(first.id).filled_qty) == 4
    execute(server, second, 6, 91)
    assert client.get_order_by_id(second.id).status == "filled"
    assert float(client.get_open_position("ACME").qty) == 10

    third = client.submit_order(limit(90, qty=10))
    execute(server, third, 4, 90)
    fourth = client.replace_order_by_id(third.id, ReplaceOrderRequest(limit_price=91))
    assert float(fourth.qty) == 10


def test_a_replacement_that_is_none_is_refused(server, client):
    order = client.submit_order(limit(90))
    with refused(403, "order parameters are not changed"):
        client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=90))
    with refused(422, "must not have stop price"):
        client.replace_order_by_id(order.id, ReplaceOrderRequest(stop_price=80))
    execute(server, order, 10, 90)
    with refused(422, "already in .*filled.* state"):
        client.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=91))


def test_a_bracket_comes_to_life_with_its_entry(server, client):
    entry = client.submit_order(limit(90, order_class=OrderClass.BRACKET, **exits(profit=95, loss=85)))
    assert [(leg.type, leg.status) for leg in entry.legs] == [("limit", "held"), ("stop", "held")]
    execute(server, entry, 4, 90)
    assert client.get_order_by_id(entry.legs[0].id).status == "held"
    execute(server, entry, 6, 90)
    told = client.get_order_by_id(entry.id, GetOrderByIdRequest(nested=True))
    assert [leg.status for leg in told.legs] == ["new", "held"]
    execute(server, entry.legs[0], 10, 95)
    told = client.get_order_by_id(entry.id, GetOrderByIdRequest(nested=True))
    assert [leg.status for leg in told.legs] == ["filled", "canceled"]
    assert client.get_all_positions() == []


def test_a_bracket_ends_with_its_entry(client):
    entry = client.submit_order(limit(90, order_class=OrderClass.BRACKET, **exits(profit=95, loss=85)))
    client.cancel_order_by_id(entry.id)
    told = client.get_order_by_id(entry.id, GetOrderByIdRequest(nested=True))
    assert told.status == "canceled"
    assert [leg.status for leg in told.legs] == ["canceled", "canceled"]


def test_one_triggers_the_other(server, client):
    entry = client.submit_order(market(order_class=OrderClass.OTO, stop_loss=StopLossRequest(stop_price=85)))
    server.step()
    (leg,) = client.get_order_by_id(entry.id, GetOrderByIdRequest(nested=True)).legs
    assert (leg.type, leg.status, leg.side) == ("stop", "new", "sell")


def test_one_cancels_the_other(server, client):
    hold(server, client)
    pair = client.submit_order(limit(110, side=SELL, order_class=OrderClass.OCO, **exits(profit=110, loss=99.8)))
    assert (pair.type, [leg.status for leg in pair.legs]) == ("limit", ["held"])
    server.step()
    told = client.get_order_by_id(pair.id, GetOrderByIdRequest(nested=True))
    assert (told.status, told.legs[0].status) == ("canceled", "filled")
    assert client.get_all_positions() == []


def test_exits_need_a_position(client):
    with refused(422, "oco orders must be exit orders"):
        client.submit_order(limit(110, side=SELL, order_class=OrderClass.OCO, **exits(profit=110)))


def test_a_leg_can_be_replaced(server, client):
    hold(server, client)
    pair = client.submit_order(limit(110, side=SELL, order_class=OrderClass.OCO, **exits(profit=110)))
    leg = client.replace_order_by_id(pair.legs[0].id, ReplaceOrderRequest(stop_price=97))
    told = client.get_order_by_id(pair.id, GetOrderByIdRequest(nested=True))
    assert [(one.id, float(one.stop_price), one.status) for one in told.legs] == [(leg.id, 97, "held")]
    with refused(422, "qty of a complex order"):
        client.replace_order_by_id(leg.id, ReplaceOrderRequest(qty=5))
    client.cancel_order_by_id(pair.id)
    assert client.get_orders() == []


def test_what_is_held_for_orders_cannot_be_sold_again(server, client):
    hold(server, client)
    client.submit_order(limit(110, side=SELL, qty=6))
    assert float(client.get_open_position("ACME").qty_available) == 4
    with refused(403, r"insufficient qty available for order \(requested: 5, available: 4\)") as caught:
        client.submit_order(stop(90, qty=5))
    assert caught.value.code == 40310000
    client.submit_order(stop(90, qty=4))


def test_two_exits_hold_the_same_units(server, client):
    hold(server, client)
    client.submit_order(limit(110, side=SELL, order_class=OrderClass.OCO, **exits(profit=110)))
    assert float(client.get_open_position("ACME").qty_available) == 0
    with refused(403, "available: 0"):
        client.submit_order(market(side=SELL, qty=1))


def test_no_order_crosses_zero(server, client):
    hold(server, client)
    with refused(403, "requested: 15, available: 10"):
        client.submit_order(market(side=SELL, qty=15))


def test_short_sales_are_what_the_account_allows(server, client):
    client.submit_order(market(side=SELL))
    server.step()
    (position,) = client.get_all_positions()
    assert (float(position.qty), position.side) == (-10, "short")
    server.do(lambda broker: setattr(broker.account, "can_short", False))
    assert client.get_account().shorting_enabled is False
    with refused(403, "not allowed to short"):
        client.submit_order(market(side=SELL, symbol="TGT"))


def test_orders_are_listed_as_asked_for(server, client):
    names = []
    for number, symbol in enumerate(("ACME", "TGT", "ACME", "TGT")):
        client.submit_order(limit(90, symbol=symbol, client_order_id=f"a-{number}"))
        names.append(f"a-{number}")
        server.step()
    client.cancel_order_by_id(client.get_order_by_client_id("a-0").id)

    def listed(**query):
        return [order.client_order_id for order in client.get_orders(GetOrdersRequest(**query))]

    assert listed() == names[:0:-1]
    assert listed(status=QueryOrderStatus.CLOSED) == ["a-0"]
    assert listed(status=QueryOrderStatus.ALL, direction="asc") == names
    assert listed(symbols=["TGT"]) == ["a-3", "a-1"]
    assert listed(limit=2) == ["a-3", "a-2"]
    assert listed(side=SELL) == []
    second = client.get_order_by_client_id("a-1").submitted_at
    assert listed(after=second) == ["a-3", "a-2"]
    assert listed(status=QueryOrderStatus.ALL, until=second) == ["a-0"]


def test_legs_are_listed_below_their_order_or_beside_it(client):
    client.submit_order(limit(90, order_class=OrderClass.BRACKET, **exits(profit=95, loss=85)))
    assert len(client.get_orders()) == 3
    (whole,) = client.get_orders(GetOrdersRequest(nested=True))
    assert len(whole.legs) == 2


def test_a_position_is_closed(server, client):
    hold(server, client)
    half = client.close_position("ACME", ClosePositionRequest(percentage="50"))
    assert (half.side, float(half.qty)) == ("sell", 5)
    server.step()
    client.close_position("ACME", ClosePositionRequest(qty="2"))
    server.step()
    assert float(client.get_open_position("ACME").qty) == 3


def test_all_positions_are_closed(server, client):
    hold(server, client)
    client.submit_order(market(side=SELL, symbol="TGT"))
    server.step()
    client.submit_order(limit(110, side=SELL))
    blocked, closed = client.close_all_positions()
    assert (blocked.symbol, blocked.status, blocked.body.code) == ("ACME", 403, 40310000)
    assert (closed.symbol, closed.status) == ("TGT", 200)
    assert all(answer.status == 200 for answer in client.close_all_positions(cancel_orders=True))
    server.step()
    assert client.get_all_positions() == []


def test_assets_say_what_can_be_done_with_them(client):
    assets = client.get_all_assets()
    assert [asset.symbol for asset in assets] == ["ACME", "TGT", "ZED"]
    one = client.get_asset("ACME")
    assert (one.tradable, one.shortable, one.easy_to_borrow, one.fractionable) == (True, True, True, False)
    assert client.get_asset(one.id).symbol == "ACME"


def test_the_clock_and_the_calendar_are_those_of_the_exchange(client):
    clock = client.get_clock()
    assert clock.is_open
    assert clock.timestamp == dt.datetime(2024, 1, 2, 14, 31, tzinfo=dt.UTC)
    assert clock.next_close == dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC)
    days = client.get_calendar(GetCalendarRequest(start=dt.date.fromisoformat(DAY), end=dt.date(2024, 1, 16)))
    assert [day.date.day for day in days] == [2, 3, 4, 5, 8, 9, 10, 11, 12, 16]
    assert (days[0].open.hour, days[0].open.minute, days[0].close.hour) == (9, 30, 16)


def test_the_owner_stops_the_account(client):
    configuration = client.get_account_configurations()
    configuration.suspend_trade = True
    assert client.set_account_configurations(configuration).suspend_trade is True
    assert client.get_account().trade_suspended_by_user is True
    with refused(403, "account is blocked"):
        client.submit_order(market())


def test_executions_are_listed_page_by_page(server, client):
    orders = [client.submit_order(limit(90, qty=3)) for _ in range(2)]
    for order in orders:
        for _ in range(3):
            execute(server, order, 1, 90)
    rows = client.get("/account/activities/FILL", {"direction": "asc", "page_size": 4})
    assert [(row["order_id"], row["cum_qty"], row["type"]) for row in rows] == [
        (str(orders[0].id), "1", "partial_fill"),
        (str(orders[0].id), "2", "partial_fill"),
        (str(orders[0].id), "3", "fill"),
        (str(orders[1].id), "1", "partial_fill"),
    ]
    rest = client.get("/account/activities", {"direction": "asc", "page_token": rows[-1]["id"], "activity_types": "FILL"})
    assert [row["cum_qty"] for row in rest] == ["2", "3"]
    newest = client.get("/account/activities/FILL")
    assert [row["id"] for row in newest] == [row["id"] for row in (rows + rest)[::-1]]
    assert client.get("/account/activities/FILL", {"date": DAY}) == newest
    assert client.get("/account/activities/FILL", {"date": "2024-01-03"}) == []
    assert client.get("/account/activities/DIV") == []
    assert client.get("/account/activities/FILL", {"after": "2024-01-02T14:31:00Z"}) == []
    with refused(422, "page_size"):
        client.get("/account/activities/FILL", {"page_size": 101})
