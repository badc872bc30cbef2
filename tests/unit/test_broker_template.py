"""The template of a broker adapter, where it stands by itself: words that nobody knows, and orders that belong together."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_adapter.adapter import TemplateBroker
from broker_adapter.exchange import Exchange
from fairlead.core.errors import OrderRejected, OrderUnresolved
from fairlead.core.orders import OrderType, Side
from fairlead.execution.brokers.words import LinkKind, LinkNotice, OrderRequest
from support_brokers import Ear
from support_feeds import run


def connected():
    exchange = Exchange(["AAPL"], funds=1_000.0, now_ns=lambda: 1)
    return exchange, TemplateBroker(exchange, now_ns=lambda: 1)


def limit(reference, quantity):
    return OrderRequest(
        reference=reference,
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(90),
    )


def test_a_word_that_nobody_knows_is_told_and_not_guessed():
    exchange, broker = connected()

    async def played():
        await broker.connect()
        ear = Ear(broker)
        (order,) = await broker.submit([limit("r", 1)])
        exchange.orders[order.broker_id]["state"] = "frozen"
        exchange._changed(exchange.orders[order.broker_id])
        exchange.tell({"type": "fill"})
        remarks = await ear.until(lambda: [e for e in ear.heard if isinstance(e, LinkNotice) and e.kind is LinkKind.REMARK][:2])
        with pytest.raises(OrderUnresolved, match="'state' must be one of open, part"):
            await broker.find("r")
        await broker.disconnect()
        await ear.close()
        return remarks

    assert "'frozen'" in run(played())[0].text


def test_of_orders_that_belong_together_all_or_none_are_taken():
    exchange, broker = connected()

    async def played():
        await broker.connect()
        with pytest.raises(OrderRejected, match="buying power"):
            await broker.submit([limit("first", 1), limit("second", 100)])
        open_orders = await broker.open_orders()
        await broker.disconnect()
        return open_orders

    assert run(played()) == []
    assert [order["state"] for order in exchange.orders.values()] == ["gone"]
