"""`fairlead data pull --source ibkr`, against a server that speaks TWS's protocol."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from fairlead.core.errors import BrokerConnection
from fairlead.core.time import BarSize
from fairlead.data.store import BarStore
from fairlead.data.vendors.pull import PullOrder, opened_pull
from fairlead.data.vendors.sources import open_history
from fairlead.practice.market import PracticeMarket
from servers.alpaca import DAY, flat_bars
from servers.tws import tws
from support_pulls import XNYS, World, state

SYMBOLS = ("ACME", "ZED")


def _market() -> PracticeMarket:
    market = PracticeMarket(flat_bars(SYMBOLS, count=390), bar_size=BarSize.M1, calendar="XNYS")
    while market.step():
        pass
    return market


def test_minutes_and_days_come_through_a_gateway(tmp_path: Path) -> None:
    with tws(market=_market) as server:
        world = World(_market().now_ns)
        for size, rows in ((BarSize.M5, 2 * 78), (BarSize.D1, 2)):
            source = open_history("ibkr", {"port": server.port, "kind": "paper"}, {}, lambda: world.now_ns)
            day = dt.date.fromisoformat(DAY)
            what = PullOrder(dataset="pulled", symbols=SYMBOLS, bar_size=size, start=day, calendar=XNYS)
            with opened_pull(BarStore(tmp_path), what, source, world.around()) as pull:
                result = pull.run()
            assert (result.added, sum(one.gaps for one in result.symbols)) == (rows, 0)
            assert state(tmp_path, size)["rows"] == rows
    stored = pl.read_parquet(tmp_path / "pulled" / "5min" / "year=2024/month=01/bars.parquet")
    assert str(stored["label"][0]) == f"{DAY} 14:30:00+00:00"


def test_no_gateway_is_told_after_the_last_attempt(tmp_path: Path) -> None:
    with tws(market=_market) as server:
        port = server.port
    world = World(_market().now_ns)
    source = open_history("ibkr", {"port": port, "kind": "paper"}, {}, lambda: world.now_ns)
    what = PullOrder(dataset="pulled", symbols=SYMBOLS, bar_size=BarSize.D1, start=dt.date.fromisoformat(DAY), calendar=XNYS)
    with pytest.raises(BrokerConnection), opened_pull(BarStore(tmp_path), what, source, world.around()) as pull:
        pull.run()
    assert sum(world.slept) > 300
