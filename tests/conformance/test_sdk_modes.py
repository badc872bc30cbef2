"""Everything of the SDK works alike in a backtest, in the replay of one, and on paper: name by name, and no name is left out.

Whoever adds a name to the SDK adds its probe to `support_sdk_reads` or `support_sdk_orders`; without one this file fails.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import Any, Final

import pytest

from fairlead.core.events import PositionChange
from fairlead.sdk import Context, OrderIntent
from support_paper import facts_of
from support_sdk_market import MODES, Probed, backtest_of, make_market, plain, run_everywhere
from support_sdk_orders import KERNELS, ORDERS
from support_sdk_reads import ACTION, BAR, CONTEXT, HOOKS, KINDS, ORDER, PURE, SLICE
from support_sdk_surface import surface

pytestmark = pytest.mark.xdist_group("sdk_modes")  # what all modes have shown is made once

NOT_FOR_STRATEGIES: Final = {
    "Exits.check": "asked by an intent when it is made",
    "FeatureView.enter": "called by whoever drives a strategy",
    "Order.move_to*": "the engine's: a strategy reads its orders",
    "Order.record_fill": "the engine's",
    "Order.record_late_fill*": "the engine's",
    "Order.take_back_fill*": "the engine's",
    "OrderUpdate.*": "what `Order.move_to` gives the engine",
    "Position.split": "the ledger's: a strategy reads its positions",
    "Position.trade": "the ledger's",
    "RiskLimits.model_config": "pydantic's",
    "StrategyHarness.*": "drives a strategy in a unit test, outside of every mode",
}
"""Names that can be reached and that no strategy of a session uses, each with the reason."""
READS: Final = (*CONTEXT, *BAR, *SLICE, *ORDER, *ACTION, *KINDS, *HOOKS, *PURE)
OF_KERNELS: Final = {name: kernel for kernel, names in KERNELS.items() for name in names}
READERS: Final = {"bar_reader": "BarReader", "slice_reader": "SliceReader"}
PROBED: Final = (*READS, *ORDERS, *OF_KERNELS)


def unprobed(names: set[str]) -> list[str]:
    """The public names that no probe stands for and no reason excuses."""
    excused = {name for pattern in NOT_FOR_STRATEGIES for name in fnmatch.filter(names, pattern)}
    return sorted(names - excused - set(PROBED))


def asker(name: str) -> str:
    """Under which name the probe of an order takes part."""
    return f"asks_{list(ORDERS).index(name):03}"


@pytest.fixture(scope="module")
def modes(tmp_path_factory) -> dict[str, Probed]:
    """Every probe in every mode, all at once: each is a strategy of its own, or a look that the two readers take."""
    folder = tmp_path_factory.mktemp("every_mode")
    make_market(folder)
    readers = [(name, f"support_sdk_reads:{cls}", {}) for name, cls in READERS.items()]
    askers = [(asker(name), "support_sdk_orders:Asker", {"probe": name}) for name in ORDERS]
    kernels = [(name.lower(), f"support_sdk_kernel:{name}", {}) for name in KERNELS]
    return run_everywhere(folder, [*readers, *askers, *kernels])


def shown(probed: Probed, name: str) -> Any:
    """What the probe of a name has seen in one mode."""
    if name in ORDERS:
        return plain(facts_of(probed.result, asker(name))), probed.strategies[asker(name)].heard
    if name in OF_KERNELS:
        return plain(facts_of(probed.result, OF_KERNELS[name].lower()))
    return [probed.strategies[reader].seen.get(name, []) for reader in READERS if reader in probed.strategies]


def words(value: Any) -> Iterator[Any]:
    """Every text and number in what was seen."""
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list | tuple):
            yield from words(part)
        elif part not in {None, ""}:
            yield part


def test_every_public_name_has_a_probe():
    assert unprobed(surface()) == [], "give each of them a probe: see the head of this file"


def test_no_probe_and_no_excuse_outlives_its_name():
    names = surface()
    assert sorted(set(PROBED) - names) == []
    assert len(PROBED) == len(set(PROBED))
    assert [pattern for pattern in NOT_FOR_STRATEGIES if not fnmatch.filter(names, pattern)] == []


def test_a_new_name_without_a_probe_is_found(monkeypatch):
    """A field of the context and what it gives, a helper of the intent, an argument of an old one: each is missed by name."""

    def last_change(self: Context) -> PositionChange:
        raise NotImplementedError

    def iceberg(cls: type[OrderIntent], symbol: str, *, peak: float = 1.0) -> OrderIntent:
        raise NotImplementedError

    def market(cls: type[OrderIntent], symbol: str, quantity: float, *, urgent: bool = False) -> OrderIntent:
        raise NotImplementedError

    last_change.__annotations__ = {"return": PositionChange}
    monkeypatch.setattr(Context, "last_change", property(last_change), raising=False)
    monkeypatch.setattr(OrderIntent, "iceberg", classmethod(iceberg), raising=False)
    monkeypatch.setattr(OrderIntent, "market", classmethod(market))
    given = [f"PositionChange.{name}" for name in PositionChange._fields]
    helpers = ["OrderIntent.iceberg", "OrderIntent.iceberg(peak)", "OrderIntent.market(urgent)"]
    assert unprobed(surface()) == sorted(["Context.last_change", *helpers, *given])


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_the_same_in_every_mode(modes, name):
    expected = shown(modes["backtest"], name)
    assert any(True for _ in words(expected)), "the probe has seen nothing"
    for mode in MODES[1:]:
        assert shown(modes[mode], name) == expected, mode


@pytest.mark.parametrize("name", ORDERS)
def test_what_is_asked_for_becomes_the_same_in_every_mode(modes, name):
    expected = shown(modes["backtest"], name)
    missing = set(ORDERS[name].shows) - {word for word in words(expected) if isinstance(word, str)}
    assert not missing
    for mode in MODES[1:]:
        assert shown(modes[mode], name) == expected, mode


@pytest.mark.parametrize("name", OF_KERNELS)
def test_what_a_kernel_decides_is_the_same_in_every_mode(modes, name):
    expected = shown(modes["backtest"], name)
    assert expected["fills"]
    for mode in MODES[1:]:
        assert shown(modes[mode], name) == expected, mode


@pytest.mark.parametrize("mode", MODES)
def test_no_probe_has_failed_and_all_events_came_in_the_same_order(modes, mode):
    record, expected = modes[mode].result.record, modes["backtest"].result.record
    assert [outcome.error for outcome in record.strategies if outcome.error] == []
    assert record.digest == expected.digest
    assert record.events == expected.events
    assert record.market_actions == expected.market_actions
    assert record.applied_actions == expected.applied_actions
    assert record.account.equity.tolist() == expected.account.equity.tolist()


def test_a_name_that_differs_is_told_by_name(tmp_path):
    """Of two runs with another seed: the one thing that a strategy reads of it is what differs."""
    make_market(tmp_path)
    reader = [("slice_reader", "support_sdk_reads:SliceReader", {})]
    one, other = (backtest_of(tmp_path, reader, f"seed={seed}", "execution.latency.std_ms=0") for seed in (1, 2))
    assert [name for name in READS if shown(one, name) != shown(other, name)] == ["Context.random"]
