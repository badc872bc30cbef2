"""Orders at the TWS server, sent by the client that everybody uses."""

import asyncio

import pytest
from ib_async import IB, ExecutionFilter, LimitOrder, MarketOrder, Order, StopOrder, TagValue

from servers.tws import ACCOUNT_ID, tws
from servers.tws_client import AAPL, MSFT, codes, connected, until


def run(server, body, **options):
    async def whole():
        async with asyncio.timeout(30), connected(server, **options) as (ib, heard):
            await body(ib, heard)

    asyncio.run(whole())


def fill(server, reference, quantity, price, commission=0.0):
    return server.call(lambda s: s.account.execute(s.book.find(reference).broker_id, quantity, price, commission))


@pytest.mark.parametrize("version", [157, 163, 165, 169, 176, 178])
def test_every_version_of_the_protocol_is_spoken(version):
    """An order with everything comes back as it was sent, also as a completed one, and the contract by its details."""

    async def body(ib, heard):
        assert ib.client.serverVersion() == version
        assert ib.managedAccounts() == [ACCOUNT_ID]
        (details,) = await ib.reqContractDetailsAsync(AAPL)
        assert (details.contract.symbol, details.minTick, details.stockType) == ("AAPL", 0.01, "COMMON")
        order = LimitOrder("SELL", 7, 191.25, tif="GTC", orderRef="mine", ocaGroup="g", ocaType=1, account=ACCOUNT_ID)
        order.algoStrategy, order.algoParams = "Adaptive", [TagValue("adaptivePriority", "Patient")]
        trade = ib.placeOrder(details.contract, order)
        await until(lambda: trade.orderStatus.status == "Submitted")
        other = IB()
        await other.connectAsync(server.host, server.port, clientId=4, timeout=5)
        (seen,) = await other.reqAllOpenOrdersAsync()
        sent = ("SELL", 7, "LMT", 191.25, "GTC", "mine", "g", 1, "Adaptive", trade.order.permId, ACCOUNT_ID)
        got = seen.order
        assert sent == (
            *(got.action, got.totalQuantity, got.orderType, got.lmtPrice, got.tif, got.orderRef, got.ocaGroup, got.ocaType),
            *(got.algoStrategy, got.permId, got.account),
        )
        assert [(p.tag, p.value) for p in got.algoParams] == [("adaptivePriority", "Patient")]
        ib.cancelOrder(order)
        await until(lambda: codes(heard) == [202])
        (done,) = await other.reqCompletedOrdersAsync(False)
        assert (done.order.orderRef, done.order.permId, done.orderStatus.status) == ("mine", got.permId, "Cancelled")
        assert done.order.lmtPrice == 191.25
        fill_of = LimitOrder("BUY", 5, 10.0, orderRef="second")
        bought = ib.placeOrder(AAPL, fill_of)
        await until(lambda: bought.orderStatus.status == "Submitted")
        fill(server, "second", 5, 9.5, 1.25)
        await until(lambda: bought.fills and bought.fills[0].commissionReport.commission == 1.25)
        (execution,) = await other.reqExecutionsAsync()
        assert (execution.execution.shares, execution.execution.price, execution.execution.side) == (5, 9.5, "BOT")
        other.disconnect()

    with tws(version=version) as server:
        run(server, body)


def test_an_order_lives_as_at_tws():
    """PreSubmitted, Submitted, a part, the rest; each comes more than once, and there is one fill for each execution."""

    async def body(ib, heard):
        told = []
        trade = ib.placeOrder(AAPL, MarketOrder("BUY", 100, orderRef="a"))
        trade.statusEvent += lambda t: told.append((t.orderStatus.status, t.orderStatus.filled))
        await until(lambda: trade.orderStatus.status == "Submitted")
        fill(server, "a", 40, 10.0, 0.5)
        fill(server, "a", 60, 11.0, 0.5)
        await until(lambda: len(trade.fills) == 2 and trade.fills[1].commissionReport.commission)
        assert told == [("PreSubmitted", 0), ("Submitted", 0), ("Submitted", 40), ("Filled", 100)]
        assert trade.orderStatus.avgFillPrice == pytest.approx(10.6)
        first, second = (one.execution for one in trade.fills)
        assert (first.cumQty, second.cumQty, second.avgPrice) == (40, 100, pytest.approx(10.6))
        assert first.orderRef == second.orderRef == "a"
        await until(lambda: [p.position for p in ib.positions()] == [100])
        values = {value.tag: value.value for value in await ib.accountSummaryAsync()}
        assert float(values["TotalCashValue"]) == pytest.approx(1_000_000 - 1_060 - 1)
        assert codes(heard) == []

    with tws() as server:
        run(server, body)


def test_a_change_keeps_the_order_and_refuses_what_it_cannot_become():
    async def body(ib, heard):
        order = LimitOrder("BUY", 10, 10.0, orderRef="a")
        trade = ib.placeOrder(AAPL, order)
        await until(lambda: trade.orderStatus.status == "Submitted")
        order.lmtPrice, order.totalQuantity = 11.0, 20
        ib.placeOrder(AAPL, order)
        await until(lambda: server.call(lambda s: s.account.find("a").limit_price) == 11.0)
        assert server.call(lambda s: (s.account.find("a").quantity, len(s.account.orders()))) == (20, 1)
        ib.client.placeOrder(order.orderId, MSFT, order)
        await until(lambda: codes(heard) == [105])
        order.lmtPrice = 11.00001
        ib.client.placeOrder(order.orderId, AAPL, order)
        await until(lambda: codes(heard) == [105, 110])
        order.orderType = "MKT"
        ib.client.placeOrder(order.orderId, AAPL, order)
        await until(lambda: codes(heard) == [105, 110, 329])
        fill(server, "a", 20, 11.0)
        ib.client.placeOrder(order.orderId, AAPL, order)
        await until(lambda: codes(heard) == [105, 110, 329, 104])
        assert server.call(lambda s: len(s.account.orders())) == 1

    with tws() as server:
        run(server, body)


def test_a_bracket_waits_for_its_last_order_and_then_for_its_entry():
    async def body(ib, heard):
        entry, profit, loss = ib.bracketOrder("BUY", 10, 10.0, 12.0, 9.0)
        for order, name in ((entry, "entry"), (profit, "profit"), (loss, "loss")):
            order.orderRef = name
        trades = [ib.placeOrder(AAPL, order) for order in (entry, profit)]
        await ib.reqCurrentTimeAsync()
        assert server.call(lambda s: s.account.orders()) == []
        trades.append(ib.placeOrder(AAPL, loss))
        await until(lambda: [t.orderStatus.status for t in trades][::2] == ["Submitted", "PreSubmitted"])
        assert [t.orderStatus.status for t in trades] == ["Submitted", "PreSubmitted", "PreSubmitted"]
        assert (trades[1].orderStatus.whyHeld, trades[1].orderStatus.parentId) == ("child", entry.orderId)
        assert [o.reference for o in server.call(lambda s: s.account.orders())] == ["entry"]
        fill(server, "entry", 10, 10.0)
        await until(lambda: trades[1].orderStatus.status == "Submitted")
        await until(lambda: trades[2].orderStatus.whyHeld == "trigger")
        fill(server, "profit", 10, 12.0)
        await until(lambda: trades[1].orderStatus.status == "Filled" and trades[2].orderStatus.status == "Cancelled")
        assert codes(heard) == [202]
        assert server.call(lambda s: s.account.positions()) == []

    with tws() as server:
        run(server, body)


def test_children_end_with_an_entry_that_never_filled():
    async def body(ib, heard):
        orders = ib.bracketOrder("BUY", 10, 10.0, 12.0, 9.0)
        trades = [ib.placeOrder(AAPL, order) for order in orders]
        await until(lambda: trades[2].orderStatus.status == "PreSubmitted")
        ib.cancelOrder(orders[0])
        await until(lambda: codes(heard) == [202, 202, 202])
        assert [t.orderStatus.status for t in trades] == ["Cancelled"] * 3
        assert len(server.call(lambda s: s.account.orders())) == 1

    with tws() as server:
        run(server, body)


@pytest.mark.parametrize(("kind", "left"), [(1, None), (2, 60), (3, 60)])
def test_a_group_cancels_or_reduces_the_others(kind, left):
    async def body(ib, heard):
        sell = {"ocaGroup": "exit", "ocaType": kind}
        trades = [
            ib.placeOrder(AAPL, LimitOrder("BUY", 100, 10.0, orderRef="a", **sell)),
            ib.placeOrder(MSFT, LimitOrder("BUY", 100, 10.0, orderRef="b", **sell)),
        ]
        await until(lambda: all(t.orderStatus.status == "Submitted" for t in trades))
        fill(server, "a", 40, 10.0)
        if left is None:
            await until(lambda: trades[1].orderStatus.status == "Cancelled")
        else:
            await until(lambda: trades[1].order.totalQuantity == left)
            fill(server, "a", 60, 10.0)
            await until(lambda: trades[1].orderStatus.status == "Cancelled")

    with tws() as server:
        run(server, body)


def test_a_correction_has_the_stem_of_what_it_replaces_and_a_bust_no_shares():
    async def body(ib, heard):
        trade = ib.placeOrder(AAPL, LimitOrder("BUY", 100, 10.0, orderRef="a"))
        await until(lambda: trade.orderStatus.status == "Submitted")
        first = fill(server, "a", 40, 10.0)
        second = server.call(lambda s: s.account.correct(first.execution_id, 30, 9.0))
        await until(lambda: trade.orderStatus.filled == 30)
        server.call(lambda s: s.account.bust(second.execution_id))
        await until(lambda: trade.orderStatus.filled == 0)
        told = [f.execution for f in await ib.reqExecutionsAsync()]
        assert [(e.shares, e.price, e.cumQty) for e in told] == [(40, 10, 40), (30, 9, 30), (0, 9, 0)]
        stems, versions = zip(*(e.execId.rsplit(".", 1) for e in told), strict=True)
        assert (len(set(stems)), versions) == (1, ("01", "02", "03"))
        await until(lambda: ib.positions() == [])

    with tws() as server:
        run(server, body)


def test_executions_are_found_by_what_is_asked_for():
    async def body(ib, heard):
        for contract, reference, side in ((AAPL, "a", "BUY"), (MSFT, "m", "SELL")):
            trade = ib.placeOrder(contract, MarketOrder(side, 5, orderRef=reference))
            await until(lambda t=trade: t.orderStatus.status == "Submitted")
            fill(server, reference, 5, 10.0)

        async def found(**wanted):
            fills = await ib.reqExecutionsAsync(ExecutionFilter(**wanted))
            return [f.execution.orderRef for f in fills]

        assert await found() == ["a", "m"]
        assert await found(symbol="MSFT") == ["m"]
        assert await found(side="BUY") == ["a"]
        assert await found(clientId=3) == ["a", "m"]
        assert await found(clientId=9) == []
        assert await found(acctCode="DU9") == []
        assert await found(time="20200101-00:00:00") == ["a", "m"]
        assert await found(time="20990101 00:00:00 US/Eastern") == []
        ib.client.reqExecutions(ib.client.getReqId(), ExecutionFilter(time="yesterday"))
        await until(lambda: codes(heard) == [321])

    with tws() as server:
        run(server, body)


@pytest.mark.parametrize(
    ("contract", "order", "code"),
    [
        (AAPL, LimitOrder("BUY", 0, 10.0), 434),
        (AAPL, LimitOrder("BUY", 1, 10.001), 110),
        (AAPL, LimitOrder("BUY", 1, 10.0, account="DU9"), 321),
        (AAPL, Order(action="BUY", totalQuantity=1, orderType="REL", auxPrice=0.1), 321),
        (AAPL, Order(action="HOLD", totalQuantity=1, orderType="MKT"), 321),
        (AAPL, LimitOrder("BUY", 1, 10.0, tif="WHENEVER"), 201),
        (AAPL, LimitOrder("BUY", 1, 10.0, algoStrategy="Vwap"), 201),
        (AAPL, LimitOrder("BUY", 1e9, 10.0), 201),
        (AAPL, LimitOrder("BUY", 1, 10.0, parentId=77), 135),
        (AAPL, LimitOrder("BUY", 1, 10.0, whatIf=True), 321),
        (AAPL.__class__("NOPE", "SMART", "USD"), LimitOrder("BUY", 1, 10.0), 200),
        (AAPL.__class__("AAPL", "SMART", "EUR"), LimitOrder("BUY", 1, 10.0), 200),
        (AAPL.__class__(conId=5), LimitOrder("BUY", 1, 10.0), 200),
    ],
    ids=str,
)
def test_what_is_no_order_is_refused_by_its_code(contract, order, code):
    async def body(ib, heard):
        ib.placeOrder(contract, order)
        await until(lambda: codes(heard))
        assert codes(heard) == [code]
        assert server.call(lambda s: s.account.open_orders()) == []

    with tws() as server:
        run(server, body)


def test_cancels_of_what_is_not_there_or_is_over():
    async def body(ib, heard):
        ib.client.cancelOrder(4711)
        await until(lambda: codes(heard) == [10147])
        trade = ib.placeOrder(AAPL, LimitOrder("BUY", 5, 10.0, orderRef="a"))
        await until(lambda: trade.orderStatus.status == "Submitted")
        fill(server, "a", 5, 10.0)
        ib.client.cancelOrder(trade.order.orderId)
        await until(lambda: codes(heard) == [10147, 10148])

    with tws() as server:
        run(server, body)


def test_all_orders_are_taken_back_at_once_and_those_by_hand_are_seen():
    async def body(ib, heard):
        from fairlead.core.orders import OrderType, Side
        from fairlead.execution.brokers.words import OrderRequest

        by_hand = OrderRequest(reference="", symbol="MSFT", side=Side.BUY, quantity=3, order_type=OrderType.MARKET)
        server.call(lambda s: s.account.submit([by_hand]))
        trades = [ib.placeOrder(AAPL, LimitOrder("BUY", 5, 10.0 + i)) for i in range(3)]
        await until(lambda: all(t.orderStatus.status == "Submitted" for t in trades))
        assert len(await ib.reqOpenOrdersAsync()) == 3
        seen = await ib.reqAllOpenOrdersAsync()
        assert min((t.order.orderId, t.contract.symbol) for t in seen) == (0, "MSFT")
        ib.reqGlobalCancel()
        await until(lambda: server.call(lambda s: s.account.open_orders()) == [])
        await until(lambda: all(t.orderStatus.status == "Cancelled" for t in trades))

    with tws() as server:
        run(server, body)


def test_a_stop_waits_for_its_trigger_and_a_trail_is_one():
    async def body(ib, heard):
        stop = ib.placeOrder(AAPL, StopOrder("SELL", 5, 9.0, orderRef="s"))
        trail = ib.placeOrder(AAPL, Order(action="SELL", totalQuantity=5, orderType="TRAIL", trailingPercent=2, orderRef="t"))
        await until(lambda: stop.orderStatus.whyHeld == trail.orderStatus.whyHeld == "trigger")
        assert stop.orderStatus.status == trail.orderStatus.status == "PreSubmitted"
        fill(server, "s", 2, 9.0)
        await until(lambda: stop.orderStatus.status == "Submitted" and stop.orderStatus.filled == 2)

    with tws() as server:
        run(server, body)
