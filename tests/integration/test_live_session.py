"""A live session: its orders go to a broker, and what the broker says becomes of them."""

from fairlead.core.orders import OrderStatus
from fairlead.sdk import OrderIntent
from support_live import live
from support_operated import buy, sell


def test_an_order_goes_to_the_broker_and_its_fill_comes_back(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=buy(10))
        assert [order.quantity for order in session.account.open_orders()] == [10.0]
        session.minute(101.0)
        assert session.held() == 10.0
        assert [p.quantity for p in session.account.positions()] == [10.0]
        session.minute(102.0, alpha=sell(10))
        session.minute(103.0)
        result = session.end()
    assert [(f.side, f.quantity, f.price) for f in result.record.fills] == [("BUY", 10.0, 101.0), ("SELL", 10.0, 103.0)]
    assert [order.status for order in result.record.orders] == [OrderStatus.FILLED] * 2
    assert result.info.mode == "live"
    assert session.account.positions() == []


def test_what_works_is_taken_back_at_the_end(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=[OrderIntent.limit("A", 10, 90.0)])
        assert len(session.account.open_orders()) == 1
        result = session.end()
    assert session.account.open_orders() == []
    (order,) = result.record.orders
    assert (order.status, order.reason) == (OrderStatus.CANCELLED, "end_of_run")
