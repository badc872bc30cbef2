"""History of Interactive Brokers over a socket, page by page."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager

import pytest

from fairlead.core.errors import BrokerAccess, BrokerConnection, ConfigurationError, DataNotFound, PacingViolation
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.data.vendors.history import PageRequest, require_size
from fairlead.data.vendors.ibkr.history import IbkrHistory, IbkrHistoryKind
from fairlead.data.vendors.sources import open_history
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws import TwsServer, TwsSettings
from support_feeds import OPEN_NS, XNYS, run

DAY = dt.date(2024, 1, 2)


def bars(minutes=390):
    label = OPEN_NS
    return [
        Bar("A", label + i * NS_PER_MINUTE, label + (i + 1) * NS_PER_MINUTE, 10.0 + i, 11.0 + i, 9.0 + i, 10.5 + i, 100.0 + i)
        for i in range(minutes)
    ]


def asked(symbol="A", size=BarSize.M1, first=DAY, last=DAY):
    return PageRequest(symbol=symbol, bar_size=size, first=first, last=last, calendar=XNYS)


@asynccontextmanager
async def served(**settings):
    market = PracticeMarket(bars(), bar_size=BarSize.M1, calendar="XNYS")
    market.step(390)
    account = SimulatedAccount("DU1234567", symbols=("A",), now_ns=lambda: market.now_ns)
    server = TwsServer(account, TwsSettings(**settings), now_ns=lambda: market.now_ns, market=market)
    await server.start()
    source = IbkrHistory(IbkrHistoryKind(port=server.port, kind="paper", answer_s=1.0), lambda: market.now_ns)
    try:
        yield source, server
    finally:
        await source.close()
        await server.stop()


def play(body, **settings):
    async def played():
        async with served(**settings) as (source, server):
            await body(source, server)

    run(played())


def test_a_page_has_the_bars_of_its_sessions():
    async def body(source, _server):
        page = await source.page(asked())
        assert page.next_token == ""
        assert len(page.frame) == 390
        assert [int(stamp) for stamp in page.frame.index.as_unit("ns").asi8[:2]] == [OPEN_NS, OPEN_NS + NS_PER_MINUTE]
        assert page.frame.iloc[5].to_dict() == {"open": 15.0, "high": 16.0, "low": 14.0, "close": 15.5, "volume": 105.0}

    play(body)


def test_daily_bars_have_dates():
    async def body(source, _server):
        page = await source.page(asked(size=BarSize.D1))
        assert [stamp.date() for stamp in page.frame.index] == [DAY]
        assert (page.frame.open.iloc[0], page.frame.close.iloc[0]) == (10.0, 399.5)

    play(body)


def test_no_bars_are_an_empty_page_and_an_unknown_symbol_is_told():
    async def body(source, _server):
        earlier = dt.date(2023, 12, 28)
        assert (await source.page(asked(first=earlier, last=earlier))).frame is None
        sunday = dt.date(2023, 12, 31)
        assert (await source.page(asked(first=sunday, last=sunday))).frame is None
        with pytest.raises(DataNotFound, match="NOSUCH"):
            await source.page(asked("NOSUCH"))
        assert source.actions(asked()) == ()

    play(body)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("API historical data query pacing violation", PacingViolation),
        ("No market data permissions for NASDAQ STK", BrokerAccess),
        ("Query failed", BrokerConnection),
    ],
)
def test_what_is_refused_is_told_as_what_it_is(text, error):
    async def body(source, server):
        server.switches.history_error = text
        with pytest.raises(error, match=text):
            await source.page(asked())

    play(body)


def test_more_than_is_allowed_is_told_by_the_server_as_pacing():
    """The limits of the traits are those that the gateway has: the same request again at once breaks one."""

    async def body(source, server):
        await source.page(asked())
        with pytest.raises(PacingViolation):
            await source.page(asked())
        assert server.feeds.violations == 1

    play(body)


def test_another_client_id_is_taken_and_a_lost_connection_made_again():
    async def body(source, server):
        other = IbkrHistory(IbkrHistoryKind(port=server.port, kind="paper"), lambda: 0)
        await asyncio.gather(source.page(asked()), source.page(asked(size=BarSize.D1)))
        await other.page(asked(size=BarSize.M5))
        assert sorted(server.clients) == [21, 22]
        server.drop()
        with pytest.raises(BrokerConnection, match="was lost"):
            await source.page(asked(size=BarSize.M30))
        assert len((await source.page(asked(size=BarSize.M30))).frame) == 13
        await other.close()

    play(body, paces_history=False)


def test_the_wrong_account_is_refused():
    async def body(source, server):
        server.money.shown_id = "U1234567"
        with pytest.raises(BrokerAccess, match="is a live one"):
            await source.page(asked())

    play(body)


def test_the_source_is_opened_by_its_name():
    source = open_history("ibkr", {"port": "4002"}, {}, lambda: 0)
    assert (source.name, require_size(source, BarSize.M1)) == ("ibkr", 1)
    with pytest.raises(ConfigurationError, match="bar_size"):
        require_size(source, BarSize.H4)
