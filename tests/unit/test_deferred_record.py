"""What a run leaves: put together when it is read, the same as if it had been at once; and of the run itself nothing."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlead.core.bars import BarBlock
from fairlead.core.errors import ContractError
from fairlead.core.identity import idempotency_key, order_namer
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import Side
from fairlead.engine.digest import run_digest
from fairlead.engine.record import EquityCurve, RunRecord
from fairlead.engine.session import run_session
from fairlead.execution.margin import AccountSettings
from fairlead.risk.settings import RiskSettings
from support_sessions import Scripted, ScriptedSlices, allocate, free, minutes, plan, run, steady
from support_ticks import at, on_ticks, quiet_bars, quote, write_ticks


class Trader(Scripted):
    """Buys, asks for an exit that rests, and sells again."""

    def __init__(self, offset: int = 0) -> None:
        buy = OrderIntent.market("A", 10).with_exits(stop_loss=50.0, take_profit=500.0)
        more = [OrderIntent.target_position("A", 3), OrderIntent.limit("A", 1, 40.0)]
        super().__init__({2 + offset: [buy], 6 + offset: more, 9 + offset: [OrderIntent.target_position("A", 0)]})


class Fails(Scripted):
    """Raises while an order of its own works."""

    def __init__(self) -> None:
        super().__init__({1: [OrderIntent.limit("A", 1, 40.0)], 5: lambda *_: 1 / 0})


def two_traders() -> RunRecord:
    source = minutes({"A": steady(40, step=0.25)}, rows=7)
    return run(source, allocate(Trader(), "first"), allocate(Trader(3), "second"))


def test_curves_are_the_same_whenever_they_are_read() -> None:
    record = two_traders()
    first, second = record.by_strategy["first"], record.by_strategy["second"]
    assert np.array_equal(record.account.equity, first.equity + second.equity)
    assert np.array_equal(record.account.equity, record.account.cash + record.account.net)
    assert record.account.equity is record.account.equity
    assert len(record.account.ts_ns) == len(record.account.session) == 40
    assert first.cash[0] == 100_000.0 != first.cash[-1]
    assert record.prices.mark[-1, 0] == 100.0 + 39 * 0.25


def test_digest_is_that_of_what_happened() -> None:
    record = two_traders()
    assert record.digest == run_digest(record.orders, record.updates, record.fills)
    assert len(record.fills) > 4


@pytest.mark.parametrize("again", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy, copy.copy, dataclasses.replace])
def test_a_copy_of_what_was_not_read_yet_is_whole(again: Any) -> None:
    record, other = two_traders(), again(two_traders())
    assert isinstance(other, RunRecord)
    assert other.digest == record.digest
    assert np.array_equal(other.account.equity, record.account.equity)
    assert isinstance(other.by_strategy["first"], EquityCurve)
    assert np.array_equal(other.by_strategy["first"].net, record.by_strategy["first"].net)
    assert other.prices.symbols == ("A",)


def test_a_name_that_nothing_has_is_an_error() -> None:
    with pytest.raises(AttributeError, match="equities"):
        _ = two_traders().account.equities  # type: ignore[attr-defined]


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def plans(folder: Path) -> dict[str, Any]:
    """Return sessions of every kind, by what is special about them."""
    bars = minutes({"A": steady(40, step=0.25), "B": steady(40)}, rows=7)
    ticks = write_ticks(folder / "ticks.parquet", [quote(at(m + 0.5), 99.0, 100.0) for m in range(40)])
    margin = free(account=AccountSettings(type="reg_t"))
    return {
        "one strategy": plan(minutes({"A": steady(40)}), Trader()),
        "two strategies": plan(bars, allocate(Trader(), "first"), allocate(Trader(1), "second")),
        "slices": plan(bars, ScriptedSlices({3: [OrderIntent.market("A", 5)]})),
        "one fails": plan(bars, Fails()),
        "recorded": plan(bars, Trader(), record=True),
        "timed": plan(bars, Trader(), profile=True),
        "with an account": plan(bars, Trader(), execution=margin),
        "guarded": plan(bars, Trader(), risk=RiskSettings()),
        "on ticks": plan(quiet_bars(40), Trader(), execution=on_ticks(ticks)),
    }


KINDS = ["one strategy", "two strategies", "slices", "one fails", "recorded", "timed", "with an account", "guarded", "on ticks"]


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_gone_when_it_is_over(kind: str, tmp_path: Path) -> None:
    """A history that waits for the collector would be in memory several times over in a sweep."""
    asked = plans(tmp_path)[kind]
    strategies = [weakref.ref(allocation.strategy) for allocation in asked.allocations]
    closes: list[weakref.ref[np.ndarray]] = []
    blocks = asked.source.blocks

    def watched(*, carry: int) -> Iterator[BarBlock]:
        for block in blocks(carry=carry):
            closes.append(weakref.ref(block.close))
            yield block

    asked.source.blocks = watched
    record = run_session(asked)
    del asked
    assert len(closes) > 0
    assert all(close() is None for close in closes)
    assert all(strategy() is None for strategy in strategies)
    assert len(record.account.equity) == 40


def test_an_order_is_named_the_same_by_its_fields_and_by_its_namer() -> None:
    named = order_namer("bt", "alpha", "1.0.0", "A", Side.BUY)
    assert named("A_20240102_150000") == idempotency_key("bt", "alpha", "1.0.0", "A", Side.BUY, "A_20240102_150000")
    with pytest.raises(ContractError, match="not contain"):
        named("A|B")
    with pytest.raises(ContractError, match="not contain"):
        order_namer("bt", "al|pha", "1.0.0", "A", Side.BUY)


def test_the_collector_is_left_as_it_was() -> None:
    before = gc.get_threshold()
    run(minutes({"A": steady(5)}), Scripted())
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_what_somebody_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        run(minutes({"A": steady(5)}), Scripted())
        assert 0 < gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()
