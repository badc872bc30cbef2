"""Instruments, market data and history at the TWS server, asked for by the client that everybody uses."""

import asyncio

import pytest
from ib_async import LimitOrder, Stock

from fairlead.core.time import BarSize
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws.pacing import HistoryPacing
from servers.alpaca import flat_bars
from servers.tws import tws
from servers.tws_client import codes, connected, until

ACME, TGT, ZED = (Stock(symbol, "SMART", "USD") for symbol in ("ACME", "TGT", "ZED"))


def session():
    return PracticeMarket(flat_bars(), bar_size=BarSize.M1, calendar="XNYS")


def run(body, **options):
    async def whole(server):
        async with asyncio.timeout(30), connected(server) as (ib, heard):
            await ib.qualifyContractsAsync(ACME, TGT)
            await body(ib, heard, server)

    with tws(market=session, **options) as server:
        asyncio.run(whole(server))


def step(server, count=1):
    server.call(lambda s: s.market.step(count))


def test_orders_meet_the_bars_of_the_session_before_those_are_told():
    async def body(ib, heard, server):
        step(server)
        bars = ib.reqRealTimeBars(ACME, 5, "TRADES", False)
        trade = ib.placeOrder(ACME, LimitOrder("BUY", 10, 100.2, orderRef="a"))
        await until(lambda: trade.orderStatus.status == "Submitted")
        filled_at_bar = []
        bars.updateEvent += lambda *_: filled_at_bar.append(trade.orderStatus.filled)
        step(server)
        await until(lambda: filled_at_bar)
        assert filled_at_bar == [10]
        bar = bars[-1]
        assert (bar.open_, bar.high, bar.low, bar.close, bar.volume) == (100.0, 100.5, 99.5, 100.0, 10_000.0)
        assert bar.time.timestamp() + 5 == server.call(lambda s: s.market.now_ns) / 1e9
        (fill,) = await ib.reqExecutionsAsync()
        assert fill.execution.time.timestamp() == server.call(lambda s: s.market.now_ns) / 1e9

    run(body)


def test_a_line_of_market_data_is_told_prices_sizes_and_the_day():
    async def body(ib, heard, server):
        ticker = ib.reqMktData(ACME, "233,236")
        step(server, 2)
        await until(lambda: ticker.volume == 20_000)
        assert (ticker.last, ticker.lastSize, ticker.high, ticker.low) == (100.0, 10_000, 100.5, 99.5)
        assert ticker.shortable == 3.0
        assert ticker.rtVolume == 20_000
        assert ticker.marketDataType == 1
        ib.cancelMktData(ACME)
        await ib.reqCurrentTimeAsync()
        step(server)
        await ib.reqCurrentTimeAsync()
        assert ticker.volume == 20_000

    run(body)


def test_market_data_that_nobody_pays_for_is_refused_or_late():
    async def body(ib, heard, server):
        server.call(lambda s: setattr(s.switches, "market_data_error", 354))
        ib.reqMktData(ACME)
        await until(lambda: codes(heard) == [354])
        ib.reqMarketDataType(3)
        ticker = ib.reqMktData(TGT)
        step(server)
        await until(lambda: ticker.last == 100.0)
        assert (ticker.marketDataType, codes(heard)) == (3, [354, 10167])
        ib.reqRealTimeBars(ACME, 5, "TRADES", False)
        await until(lambda: codes(heard) == [354, 10167, 420])

    run(body)


def test_more_lines_than_there_are_and_contracts_that_are_none():
    async def body(ib, heard, server):
        (found,) = await ib.qualifyContractsAsync(ZED)
        for contract in (ACME, TGT, ZED):
            ib.reqMktData(contract)
        await until(lambda: codes(heard) == [101])
        assert await ib.reqContractDetailsAsync(Stock("NOPE", "SMART", "USD")) == []
        assert codes(heard) == [101, 200]
        assert found.conId == (await ib.reqContractDetailsAsync(Stock(conId=found.conId)))[0].contract.conId

    run(body, tickers=2)


@pytest.mark.parametrize(("size", "count", "volume"), [("1 min", 30, 10_000), ("5 mins", 6, 50_000), ("1 day", 1, 300_000)])
def test_history_is_what_has_happened_so_far_in_bars_of_a_size(size, count, volume):
    async def body(ib, heard, server):
        step(server, 30)
        bars = await ib.reqHistoricalDataAsync(ACME, "", "1 D", size, "TRADES", True, 2)
        assert (len(bars), bars[-1].volume, bars[0].open, bars[0].high) == (count, volume, 100.0, 100.5)
        if count > 1:
            assert str(bars[0].date) == "2024-01-02 14:30:00+00:00"

    run(body)


def test_history_goes_on_as_bars_come():
    async def body(ib, heard, server):
        step(server, 7)
        bars = await ib.reqHistoricalDataAsync(ACME, "", "1 D", "5 mins", "TRADES", True, 1, True)
        assert [bar.volume for bar in bars] == [50_000, 20_000]
        step(server)
        await until(lambda: bars[-1].volume == 30_000)
        step(server, 3)
        await until(lambda: len(bars) == 3)
        assert (bars[-2].volume, bars[-1].volume) == (50_000, 10_000)
        ib.cancelHistoricalData(bars)
        await ib.reqCurrentTimeAsync()
        step(server)
        await ib.reqCurrentTimeAsync()
        assert bars[-1].volume == 10_000

    run(body)


def test_history_is_refused_to_who_asks_too_often_and_where_there_is_none():
    async def body(ib, heard, server):
        step(server, 10)
        ask = (ACME, "", "1 D", "1 min")
        assert len(await ib.reqHistoricalDataAsync(*ask, "TRADES", True)) == 10
        assert len(await ib.reqHistoricalDataAsync(*ask, "TRADES", True)) == 0
        assert len(await ib.reqHistoricalDataAsync(*ask, "MIDPOINT", True)) == 0
        assert codes(heard) == [162, 162]
        assert "pacing violation: the same request" in heard[-2][2]
        assert "no data" in heard[-1][2]
        assert str(await ib.reqHeadTimeStampAsync(ACME, "TRADES", True, 2)) == "2024-01-02 14:30:00+00:00"

    run(body)


@pytest.mark.parametrize(
    ("gap_s", "what", "contracts", "allowed"),
    [(10.0, "TRADES", 100, 60), (0.1, "TRADES", 1, 5), (10.0, "BID_ASK", 100, 30), (0.1, "BID_ASK", 1, 2)],
)
def test_the_rules_of_history_count_as_they_are_written(gap_s, what, contracts, allowed):
    """Sixty in ten minutes, five of one contract within two seconds, BID_ASK twice; the next is refused, and later not."""
    now = [0.0]
    pacing = HistoryPacing(lambda: now[0])
    taken = 0
    while not pacing.refusal(taken % contracts, what, taken, 0):
        taken += 1
        now[0] += min(gap_s, 590 / 60)
    assert taken == allowed
    now[0] += 600
    assert pacing.refusal(0, what, "later", 0) == ""
    assert "at once" in pacing.refusal(1, what, "another", 50)
    assert pacing.violations == 2
