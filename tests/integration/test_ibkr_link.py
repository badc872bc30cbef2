"""A session's link to Interactive Brokers, through everything that breaks: what was missed is heard once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from fairlead.core.orders import OrderType, Side, TimeInForce
from fairlead.execution.brokers.calls import Submit
from fairlead.execution.brokers.link import BrokerLink
from fairlead.execution.brokers.reports import ReportKind
from fairlead.execution.brokers.settings import LinkSettings
from servers.tws import wall_ns
from support_brokers import AccountTerms, Stage
from support_ibkr import IbkrBench

FAST = {"attempt_s": 1.0, "silence_s": 0.2, "reconnect": {"base_s": 0.01, "cap_s": 0.05}}


def play(body):
    async def played():
        bench = IbkrBench(AccountTerms())
        await bench.open()
        reports = []
        link = BrokerLink(
            bench.broker,
            LinkSettings.model_validate(FAST),
            reports.append,
            now_ns=wall_ns,
            monotonic=time.monotonic,
            uniform=lambda: 1.0,
        )
        running = asyncio.ensure_future(link.run())
        try:
            async with asyncio.timeout(30):
                await until(lambda: notices(reports, "up"))
                await body(bench, link, reports)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await bench.close()

    asyncio.run(played())


async def until(condition):
    while not condition():  # noqa: ASYNC110  it is another's state, and nobody tells of it
        await asyncio.sleep(0.005)


def notices(reports, kind):
    return [one for one in reports if one.kind is ReportKind.LINK and one.data["kind"] == kind]


def executed(reports):
    return Counter(one.data["execution_id"] for one in reports if one.kind is ReportKind.EXECUTION)


def states(reports, reference):
    return [one.data["status"] for one in reports if one.kind is ReportKind.ORDER and one.data["reference"] == reference]


async def resting(bench, link, reports):
    request = Stage(bench, None).request(Side.BUY, 100, OrderType.LIMIT, limit_price=90.0, time_in_force=TimeInForce.GTC)
    link.begin(Submit((request,)))
    await until(lambda: "ACKNOWLEDGED" in states(reports, request.reference))
    return request.reference


@pytest.mark.parametrize("broken", ["drop", "1100", "silence"])
def test_what_fills_while_the_way_is_broken_is_heard_once_when_it_is_back(broken):
    async def body(bench, link, reports):
        reference = await resting(bench, link, reports)
        ups = len(notices(reports, "up"))
        if broken == "drop":
            bench.server.drop()
        elif broken == "1100":
            bench.switches.is_cut_off = True
            bench.server.notify(1100, "lost")
        else:
            bench.switches.is_silent = True
        await until(lambda: notices(reports, "down"))
        await bench.execute(reference, 100, 90.0)
        bench.switches.is_cut_off = bench.switches.is_silent = False
        if broken == "1100":
            bench.server.notify(1102, "restored")
        await until(lambda: len(notices(reports, "up")) > ups and "FILLED" in states(reports, reference))
        await until(lambda: executed(reports))
        assert list(executed(reports).values()) == [1]
        assert bench.switches.calls.count("place_order") == 1

    play(body)
