"""`fairlead data pull --source alpaca`, against a server that speaks Alpaca's protocol."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from fairlead.core.errors import BrokerAccess, ConfigurationError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.store import BarStore
from fairlead.data.vendors.alpaca_history import KEY, SECRET
from fairlead.data.vendors.pull import PullOrder, opened_pull
from fairlead.data.vendors.pulled import PullResult
from fairlead.data.vendors.sources import open_history
from fairlead.practice.alpaca.server import AlpacaServer
from servers.alpaca import DAY, alpaca_server, flat_bars
from support_pulls import XNYS, World, state

DAY_2 = "2024-01-03"
SYMBOLS = ("ACME", "ZED")


def _pulled(server: AlpacaServer, root: Path, world: World, size: BarSize = BarSize.M1, **keys: str) -> PullResult:
    environ = {KEY: server.keys.key, SECRET: server.keys.secret, **keys}
    source = open_history("alpaca", {"url": server.url}, environ, lambda: world.now_ns)
    day = dt.date.fromisoformat(DAY)
    what = PullOrder(dataset="pulled", symbols=(*SYMBOLS, "NOPE"), bar_size=size, start=day, end=None, calendar=XNYS)
    with opened_pull(BarStore(root), what, source, world.around()) as pull:
        return pull.run()


def test_minutes_come_with_the_actions_and_the_rest_of_them_later(tmp_path: Path) -> None:
    bars = [*flat_bars(SYMBOLS), *flat_bars(SYMBOLS, day=DAY_2)]
    split = CorporateAction("ACME", date_to_day(dt.date.fromisoformat(DAY)), ActionKind.DIVIDEND, 0.25)
    with alpaca_server(sorted(bars, key=lambda bar: bar.known_ns), symbols=SYMBOLS, actions=[split]) as server:
        while server.market.count < 2 * 40:
            server.step()
        result = _pulled(server, tmp_path, World(server.market.now_ns))
        assert [(one.symbol, one.rows, one.days, one.actions) for one in result.symbols] == [
            ("ACME", 40, 1, 1),
            ("NOPE", 0, 0, 0),
            ("ZED", 40, 1, 0),
        ]
        assert list(result.unknown) == ["NOPE"]
        while server.market.count < len(bars):
            server.step()
        later = _pulled(server, tmp_path, World(server.market.now_ns))
        assert (later.added, later.revised) == (160, 0)
    assert state(tmp_path, BarSize.M1)["rows"] == 240
    assert BarStore(tmp_path).open("pulled").actions == (split,)


def test_days_are_labelled_by_their_session(tmp_path: Path) -> None:
    with alpaca_server(flat_bars(SYMBOLS, count=390), symbols=SYMBOLS) as server:
        while server.market.count < 2 * 390:
            server.step()
        _pulled(server, tmp_path, World(server.market.now_ns), BarSize.D1)
    manifest = BarStore(tmp_path).open("pulled").manifest
    assert (manifest.rows, manifest.first_label) == (2, dt.datetime.fromisoformat(f"{DAY}T00:00:00Z"))


def test_keys_are_needed_and_must_be_right(tmp_path: Path) -> None:
    with alpaca_server(symbols=SYMBOLS) as server:
        world = World(server.market.now_ns)
        with pytest.raises(BrokerAccess, match="does not accept the keys"):
            _pulled(server, tmp_path, world, **{SECRET: "wrong"})
        with pytest.raises(ConfigurationError, match=f"needs the variable {KEY}"):
            _pulled(server, tmp_path, world, **{KEY: ""})
    assert not (tmp_path / "pulled").exists()


def test_a_429_is_waited_out(tmp_path: Path) -> None:
    with alpaca_server(symbols=SYMBOLS, calls_per_minute=3) as server:
        world = World(server.market.now_ns)
        with pytest.raises(Exception, match="too much was asked"):
            _pulled(server, tmp_path, world)
    # Five failures in a row, five minutes of peace, and one more attempt.
    assert sum(world.slept) > 300
