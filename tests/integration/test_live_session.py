"""A live session: its orders go to a broker, and what the broker says becomes of them."""

from decimal import Decimal

from fairlead.backtest.rundir import write_run
from fairlead.core.orders import OrderStatus, OrderType, Side
from fairlead.data.live import NoticeKind
from fairlead.execution.brokers.words import OrderRequest
from fairlead.sdk import CancelIntent, OrderIntent
from support_live import account_of, live
from support_operated import Planned, buy, sell


def market(reference: str, units: int) -> OrderRequest:
    return OrderRequest(reference=reference, symbol="A", side=Side.BUY, quantity=Decimal(units), order_type=OrderType.MARKET)


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


def test_a_position_that_nobody_here_has_halts_at_the_start(tmp_path):
    account = account_of()
    (order,) = account.submit([market("elsewhere", 25)])
    account.execute(order.broker_id, 25.0, 100.0)
    with live(tmp_path, account=account) as session:
        session.minute(100.0, alpha=buy(10))
        status = session.until(lambda status: status["halted_by"])
        assert [halt["switch"] for halt in status["halted_by"]] == ["KS_RECON"]
        assert status["broker_books"]["differences"] == [
            "MISSING_LOCAL A: 0 in our books, 25 at the broker",
        ]
        session.end()
    assert [p.quantity for p in account.positions()] == [25.0]


def test_fills_that_came_while_the_line_was_down_are_booked_once(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=buy(10))
        session.at_broker(lambda: setattr(session.broker.switches, "is_silent", True))
        session.at_broker(session.broker.drop)
        session.until(lambda status: "cannot be reached" in status["broker"])
        session.minute(101.0, alpha=buy(5))
        assert session.held() == 0.0
        session.at_broker(lambda: setattr(session.broker.switches, "is_silent", False))
        session.until(lambda status: status["broker"] == "ok")
        assert session.held() == 10.0
        session.minute(102.0)
        assert session.held() == 10.0
        result = session.end()
    refused = [order for order in result.record.orders if order.status is OrderStatus.REJECTED]
    assert len(refused) == 1
    assert "cannot be reached" in refused[0].reason
    assert [(f.quantity, f.price) for f in result.record.fills] == [(10.0, 101.0)]


def test_an_order_whose_answer_was_lost_is_looked_up_and_not_sent_again(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.broker.switches.loses_answers = 1
        session.minute(100.0, alpha=buy(10))
        session.until(lambda status: status["broker"] == "ok" and status["working_orders"] == 1)
        session.minute(101.0)
        assert session.until(lambda status: status["strategies"][0]["positions"])["strategies"][0]["positions"] == {"A": 10.0}
        session.end()
    assert session.broker.switches.calls.count("submit") == 1
    assert len(session.account.orders()) == 1


def test_an_order_that_never_arrived_is_rejected_and_not_sent_again(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.broker.switches.loses_orders = 1
        session.minute(100.0, alpha=buy(10))
        session.until(lambda status: status["broker"] == "ok" and status["working_orders"] == 0)
        result = session.end()
    assert session.account.orders() == []
    (order,) = result.record.orders
    assert (order.status, order.reason) == (OrderStatus.REJECTED, "not_at_broker")


def test_a_correction_replaces_a_fill_and_a_bust_takes_one_back(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=buy(10))
        session.minute(101.0)
        (first,) = session.account.executions()
        second = session.at_broker(lambda: session.account.correct(first.execution_id, 8.0, 100.5))
        session.until(lambda status: status["strategies"][0]["positions"] == {"A": 8.0})
        session.at_broker(lambda: session.account.bust(second.execution_id))
        session.until(lambda status: not status["strategies"][0]["positions"])
        session.minute(102.0)
        assert session.status["halted_by"] == []
        assert session.status["equity"] == 100_000.0
        session.end()


def test_a_restart_with_a_position_and_a_working_order_neither_doubles_nor_loses_them(tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()
    account = account_of()
    monkeypatch.setattr(Planned, "plan", {1: buy(10), 2: [OrderIntent.limit("A", 7, 90.0)]})
    with live(tmp_path / "first", account=account, strategy="Planned") as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0)
        session.minute(101.0)
        session.until(lambda status: status["working_orders"] == 1)
        left = session.left_by_a_crash(tmp_path / "second")
        # What happens while nobody is there: part of the limit is filled.
        (order,) = account.open_orders()
        session.at_broker(session.broker.drop)
        session.at_broker(lambda: account.execute(order.broker_id, 3.0, 90.0))
        with live(left, account=account, goes_on=True, strategy="Planned") as again:
            again.clock_ns = session.clock_ns
            again.now = session.now
            status = again.until(lambda status: status.get("broker") == "ok")
            assert status["strategies"][0]["positions"] == {"A": 13.0}
            assert status["working_orders"] == 1
            again.minute(89.0)
            assert again.held() == 17.0
            result = again.end()
    assert [f.quantity for f in result.record.fills] == [10.0, 3.0, 4.0]
    assert len(account.orders()) == 2


def test_a_fill_that_is_told_after_the_last_bar_is_part_of_the_run(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=buy(10))
        (order,) = session.account.open_orders()
        session.broker.switches.is_silent = True  # neither the fill is told nor the cancel of the end answered
        session.at_broker(lambda: session.account.execute(order.broker_id, 10.0, 101.0))
        session.notice(NoticeKind.ENDED)
        session.broker.switches.is_silent = False
        result = session.ended()
        folder = write_run(result, tmp_path, report=True, plots=False)
    assert [(f.quantity, f.price) for f in result.record.fills] == [(10.0, 101.0)]
    assert result.record.orders[0].status is OrderStatus.FILLED
    assert result.record.account.equity[-1] == 99_990.0  # at the last price, 100
    assert result.record.account.net[-1] == 1_000.0
    assert result.ledger_error < 1e-12
    assert (folder / "filled_orders.csv").read_text().count("101") >= 1


def test_a_correction_of_an_entry_does_not_make_its_exits_larger(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=[OrderIntent.market("A", 10).with_exits(stop_loss=95.0, take_profit=105.0)])
        session.minute(100.0)
        session.until(lambda status: status["working_orders"] == 2)
        (entry,) = session.account.executions()
        session.at_broker(lambda: session.account.correct(entry.execution_id, 10.0, 100.5))
        session.until(lambda status: status["equity"] < 100_000.0)
        session.minute(106.0)
        result = session.end()
    filled = [order for order in result.record.orders if order.filled_quantity]
    assert [(order.quantity, order.filled_quantity) for order in filled] == [(10.0, 10.0), (10.0, 10.0)]
    assert session.account.positions() == []


def test_an_order_that_ended_while_nobody_listened_is_not_taken_for_lost(tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()
    account = account_of()
    monkeypatch.setattr(Planned, "plan", {1: [OrderIntent.limit("A", 7, 90.0)]})
    with live(tmp_path / "first", account=account, strategy="Planned") as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0)
        session.until(lambda status: status["working_orders"] == 1)
        session.minute(100.0)
        left = session.left_by_a_crash(tmp_path / "second")
        (order,) = account.open_orders()
        session.at_broker(session.broker.drop)
        session.at_broker(lambda: account.cancel(order.broker_id))
        with live(left, account=account, goes_on=True, strategy="Planned") as again:
            again.clock_ns = session.clock_ns
            again.now = session.now
            status = again.until(lambda status: status.get("broker") == "ok" and not status["working_orders"])
            assert status["halted_by"] == []
            again.minute(100.0)
            result = again.end()
    assert [order.status for order in result.record.orders] == [OrderStatus.CANCELLED]


def test_an_order_is_taken_back_when_the_broker_can_be_reached_again(tmp_path):
    with live(tmp_path) as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.minute(100.0, alpha=[OrderIntent.limit("A", 7, 90.0)])
        session.until(lambda status: status["working_orders"] == 1)
        session.at_broker(lambda: setattr(session.broker.switches, "is_silent", True))
        session.at_broker(session.broker.drop)
        session.until(lambda status: "cannot be reached" in status["broker"])
        session.minute(100.0, alpha=lambda context: [CancelIntent(context.open_orders[0].order_id)])
        assert len(session.account.open_orders()) == 1
        session.at_broker(lambda: setattr(session.broker.switches, "is_silent", False))
        session.until(lambda status: status["broker"] == "ok" and not status["working_orders"])
        assert session.account.open_orders() == []
        result = session.end()
    assert [order.status for order in result.record.orders] == [OrderStatus.CANCELLED]


def test_an_order_that_was_to_be_taken_back_before_it_had_left_is_over_after_a_restart(tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()
    account = account_of()
    take_back = {2: lambda context: [CancelIntent(order.order_id) for order in context.open_orders]}
    monkeypatch.setattr(Planned, "plan", {1: [OrderIntent.limit("A", 7, 90.0)], **take_back})
    with live(tmp_path / "first", account=account, strategy="Planned") as session:
        session.minute(100.0)
        session.until(lambda status: status["broker"] == "ok")
        session.broker.switches.loses_orders = 1
        session.broker.switches.is_silent = True
        session.minute(100.0)
        session.minute(100.0)
        left = session.left_by_a_crash(tmp_path / "second")
        session.broker.switches.is_silent = False
        assert account.orders() == []
        with live(left, account=account, goes_on=True, strategy="Planned") as again:
            again.clock_ns = session.clock_ns
            again.now = session.now
            again.until(lambda status: status.get("broker") == "ok" and not status["working_orders"])
            again.minute(100.0)
            result = again.end()
    assert [(order.status, order.reason) for order in result.record.orders] == [
        (OrderStatus.CANCELLED, "never sent: not_at_broker")
    ]
