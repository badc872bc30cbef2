"""The simulated broker as a configuration names it: its market is a server's, and its account outlives it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.orders import OrderStatus, OrderType, Side
from fairlead.core.time import BarSize
from fairlead.data.live import MarketServer
from fairlead.execution.brokers import opening
from fairlead.execution.brokers.endpoint import AccountKind, EndpointKind
from fairlead.execution.brokers.opening import AccountKeys, broker_kind
from fairlead.execution.brokers.simulated.following import FollowingBroker
from fairlead.execution.brokers.words import LinkKind, LinkNotice, OrderRequest
from support_brokers import Ear
from support_feeds import OPEN_NS, XNYS, minute_bar, run

PARAMS = {
    "symbols": ["A"],
    "time": "market",
    "latency": {"mean_ms": 0, "std_ms": 0},
    "venue": {"slippage": {"model": "none"}, "commission": {"model": "none"}},
}


def opened(url, keys=None, **params):
    kind = broker_kind("simulated", {"url": url, **PARAMS, **params})
    return kind.open(AccountKeys(keys), lambda: OPEN_NS)


def request(reference="r1", quantity=10, side=Side.BUY):
    return OrderRequest(reference=reference, symbol="A", side=side, quantity=Decimal(quantity), order_type=OrderType.MARKET)


def server_of(count=5):
    # A whole minute of the market passes in a hundredth of a second.
    return MarketServer([minute_bar(i) for i in range(count)], bar_size=BarSize.M1, calendar=XNYS, speed=6_000.0)


def test_orders_meet_the_bars_of_its_market():
    async def played():
        async with server_of() as server:
            broker = opened(server.url)
            await broker.connect()
            ear = Ear(broker)
            await broker.submit([request()])
            await ear.until(lambda: ear.executions("r1"), "the execution")
            await server.finished()
            positions = await broker.positions()
            await broker.disconnect()
            await broker.disconnect()
            await ear.until(lambda: ear.is_over)
            return positions, ear.executions("r1")

    positions, executions = run(played())
    assert [(p.symbol, p.quantity) for p in positions] == [("A", 10.0)]
    assert sum(e.quantity for e in executions.values()) == 10.0


def test_the_account_outlives_the_process(tmp_path):
    state = str(tmp_path / "account.json")

    async def played(reference):
        async with server_of() as server:
            broker = opened(server.url, state=state)
            await broker.connect()
            ear = Ear(broker)
            await broker.submit([request(reference)])
            found = await broker.find("first")
            if reference == "first":
                await ear.until(lambda: ear.executions(reference), "the execution")
            await broker.disconnect()
            await ear.until(lambda: ear.is_over)
            return found

    run(played("first"))
    found = run(played("second"))
    assert found.status is OrderStatus.FILLED
    assert [order["tag"] for order in json.loads((tmp_path / "account.json").read_text())["orders"]] == ["first", "second"]
    with pytest.raises(ConfigurationError, match=r"'account' must be the one that .* was 'OTHER'. That is SIM1"):
        opened("ws://127.0.0.1:1", keys="OTHER", state=state)
    with pytest.raises(ConfigurationError, match=r"'symbols' must be those that .*: A, was 'A, B'"):
        opened("ws://127.0.0.1:1", state=state, symbols=["A", "B"])
    (tmp_path / "account.json").write_text("{")
    with pytest.raises(ConfigurationError, match="keeps no simulated account"):
        opened("ws://127.0.0.1:1", state=state)


def test_an_order_meets_no_bar_that_was_over_when_it_came():
    """The bars of now may be heard of later by the broker than by whoever decided on them."""
    kind = broker_kind("simulated", {"url": "ws://127.0.0.1:1", **PARAMS, "time": "real"})
    now = minute_bar(1).known_ns + 5_000_000
    broker = kind.open(AccountKeys(), lambda: now)
    account = broker._account
    account.step({"A": minute_bar(0)})
    account.submit([request()])
    account.step({"A": minute_bar(1)})
    assert account.executions() == []
    account.step({"A": minute_bar(2)})
    assert [e.price for e in account.executions()] == [minute_bar(2).open]


def test_a_market_that_cannot_be_reached_is_told():
    async def played():
        broker = opened("ws://127.0.0.1:1")
        await broker.connect()
        ear = Ear(broker)
        (notice,) = await ear.until(lambda: [n for n in ear.heard if isinstance(n, LinkNotice) and n.kind is LinkKind.DEGRADED])
        await broker.disconnect()
        await ear.until(lambda: ear.is_over)
        return notice

    assert "no market" in run(played()).text


def test_it_says_what_it_is_before_it_is_opened():
    kind = broker_kind("simulated", {"url": "ws://127.0.0.1:1", **PARAMS})
    assert kind.endpoint().kind is EndpointKind.PRACTICE
    assert kind.kind_of("X") is AccountKind.PAPER
    assert isinstance(kind.open(AccountKeys(), lambda: 0), FollowingBroker)
    alone = broker_kind("simulated", {"symbols": ["A"]}).open(AccountKeys(), lambda: 0)
    assert not isinstance(alone, FollowingBroker)
    with pytest.raises(ConfigurationError, match="'symbols'"):
        broker_kind("simulated", {"url": "ws://127.0.0.1:1"})


def test_a_broker_by_its_path_or_by_no_name_at_all():
    kind = broker_kind("broker_adapter.adapter:TemplateKind", {"funds": 5_000.0})
    assert kind.open(AccountKeys(), lambda: 0).name == "template"
    with pytest.raises(UnknownName, match="Known: alpaca, ibkr, simulated"):
        broker_kind("alpacca", {})


def test_a_missing_library_is_named_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    (tmp_path / "kind_without_library.py").write_text("import a_library_that_is_not_here\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    shipped = opening._Shipped({"alpaca": "kind_without_library:Kind", "ibkr": "fairlead.nowhere:Kind"})
    with pytest.raises(ConfigurationError, match=r'needs the package .a_library.* pip install "fairlead\[alpaca\]"'):
        shipped["alpaca"]
    with pytest.raises(ModuleNotFoundError):  # a part of ours that is missing is no library
        shipped["ibkr"]
