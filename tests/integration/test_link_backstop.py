"""The link asks for what a stream has lost, of orders that are over too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal

from fairlead.core.orders import OrderType
from fairlead.execution.brokers.alpaca.broker import AlpacaBroker
from fairlead.execution.brokers.calls import Submit
from fairlead.execution.brokers.link import BrokerLink, LinkSettings
from fairlead.execution.brokers.reports import BrokerReport, ReportKind
from fairlead.practice.faults import Fault
from servers.alpaca import alpaca_server
from support_alpaca import request, settings_of

QUICK = LinkSettings.model_validate({"attempt_s": 5, "silence_s": 60, "looks_s": [0.05], "reconnect": {"base_s": 0.01}})


async def until(condition) -> None:
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110  a server in another thread tells of it
            await asyncio.sleep(0.005)


async def executed(server) -> list[float]:
    """Units of the executions that are told of an order whose first execution the stream loses."""
    reports: list[BrokerReport] = []
    broker = AlpacaBroker(settings_of(server, poll_s=0.1), now_ns=lambda: server.market.now_ns)
    link = BrokerLink(
        broker, QUICK, reports.append, now_ns=lambda: server.market.now_ns, monotonic=time.monotonic, uniform=lambda: 0.5
    )
    running = asyncio.create_task(link.run())

    def statuses() -> list[str]:
        return [report.data["status"] for report in reports if report.kind is ReportKind.ORDER]

    def units() -> list[float]:
        return sorted(report.data["quantity"] for report in reports if report.kind is ReportKind.EXECUTION)

    try:
        await until(lambda: any(report.kind is ReportKind.BOOKS for report in reports))
        terms = {"symbol": "ACME", "quantity": Decimal(10), "order_type": OrderType.LIMIT, "limit_price": Decimal(1)}
        link.begin(Submit((request(**terms),)))
        await until(lambda: "ACKNOWLEDGED" in statuses())
        (order,) = server.do(lambda broker: broker.account.open_orders())
        server.do(lambda broker: broker.stream.telling.order(Fault.GAP))
        server.do(lambda broker: broker.account.execute(order.broker_id, 4.0, 1.0))
        server.do(lambda broker: broker.account.execute(order.broker_id, 6.0, 1.0))
        await until(lambda: "FILLED" in statuses())
        await until(lambda: len(units()) > 1)
        return units()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def test_the_execution_that_the_stream_lost_is_asked_for_although_its_order_is_over():
    with alpaca_server(calls_per_minute=0) as server:
        assert asyncio.run(executed(server)) == [4.0, 6.0]
