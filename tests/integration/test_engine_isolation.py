"""Several strategies in one session: one that raises stops alone."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from fairlead.core.errors import StrategyError
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import TimeInForce
from fairlead.execution.latency import LatencySettings
from support_sessions import (
    Random,
    Scripted,
    allocate,
    free,
    minutes,
    paid,
    random_bars,
    random_intents,
    run,
    split,
    steady,
)

market, limit = OrderIntent.market, OrderIntent.limit
GTC = TimeInForce.GTC


def test_a_strategy_sees_its_own_position_only():
    held = []
    buyer = Scripted({0: [market("A", 10)]})
    watcher = Scripted({2: lambda s, c: held.append((c.portfolio.quantity("A"), c.portfolio.cash, c.open_orders)) or ()})
    run(minutes({"A": steady(4)}), allocate(buyer, "buyer"), allocate(watcher, "watcher", 500))
    assert held == [(0.0, 500, [])]


class Fails(Scripted):
    """Buys, keeps a bid in the market, then raises in the hook it is told to."""

    hook = ""

    def _maybe(self, hook):
        if self.hook == hook and (hook in ("on_start", "on_stop", "on_corporate_action") or self.instant >= 4):
            raise RuntimeError("as told")

    def on_start(self, context):
        self._maybe("on_start")

    def on_market_event(self, event, context):
        self._maybe("on_market_event")

    def generate_orders(self, context):
        self._maybe("generate_orders")
        self.instant += 1
        return {1: [market("B", 7)], 2: [limit("B", 5, 1.0, time_in_force=GTC)] * 2, 6: [market("B", 1)] * 3}.get(
            self.instant, ()
        )

    def on_order_update(self, order, context):
        self._maybe("on_order_update")

    def on_corporate_action(self, action, context):
        self._maybe("on_corporate_action")

    def on_stop(self, context):
        self._maybe("on_stop")


HOOKS = ("on_start", "on_market_event", "generate_orders", "on_order_update", "on_corporate_action", "on_stop")


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("rows", [None, 4])
def test_a_strategy_that_raises_stops_alone(hook, place, rows):
    """Its neighbours trade exactly as in a run without it, wherever in the list it stands."""
    random = np.random.default_rng(11)
    bars = {"A": random_bars(random, 40), "B": steady(40, 20.0)}
    source = minutes(bars, per_session=10, actions=[split("B", 2, 2.0)], rows=rows)
    failing = Fails()
    failing.hook = hook
    settings = free(latency=LatencySettings(mean_ms=60_000, std_ms=60_000), max_bar_participation=0.1)

    def neighbours():
        class OnlyA(Random):
            def generate_orders(self, context):
                marks = {"A": context.portfolio._ledger.marks["A"]}
                return random_intents(context.random, "A", marks, context.open_orders)

        return [allocate(OnlyA(), "first"), allocate(OnlyA(), "second")]

    alone = neighbours()
    without = run(source, *alone, execution=settings)
    beside = neighbours()
    record = run(source, *beside[:place], allocate(failing, "failing"), *beside[place:], execution=settings)
    for name in ("first", "second"):
        assert paid(record, name) == paid(without, name)
        np.testing.assert_array_equal(record.by_strategy[name].equity, without.by_strategy[name].equity)
    assert [a.strategy.heard for a in beside] == [a.strategy.heard for a in alone]
    outcomes = {s.name: s for s in record.strategies}
    assert (outcomes["failing"].status, outcomes["first"].status) == ("stopped", "completed")
    assert outcomes["failing"].error.startswith("RuntimeError: as told (_maybe, line ")
    assert 'raise RuntimeError("as told")' in outcomes["failing"].error
    left = [o for o in record.orders if o.strategy == "failing" and not o.is_terminal]
    assert left == []
    if hook not in ("on_start", "on_stop"):
        assert {o.reason for o in record.orders if o.strategy == "failing" and o.order_type == "LIMIT"} == {"strategy_failed"}
        # The position stays, and is still marked.
        assert record.by_strategy["failing"].gross[-1] > 0


@pytest.mark.parametrize("rows", [None, 2])
def test_a_strategy_that_raised_is_never_called_again(rows):
    class RaisesOnce(Scripted):
        def generate_orders(self, context):
            if super().generate_orders(context) is None:
                raise RuntimeError("once")
            return ()

    strategy = RaisesOnce({1: None})
    actions = [split("A", 1, 2.0)]
    run(
        minutes({"A": steady(6)}, per_session=4, actions=actions, rows=rows), allocate(Scripted(), "a"), allocate(strategy, "b")
    )
    assert strategy.heard == [("start",), ("bar", "A", 100.0), ("bar", "A", 100.0)]


def test_a_strategy_that_fails_on_hearing_of_an_order_sends_no_more():
    class Fragile(Scripted):
        def on_order_update(self, order, context):
            raise RuntimeError("fragile")

    record = run(minutes({"A": steady(4)}), Fragile({0: [market("A", 1), market("A", 2), market("A", 3)]}))
    assert [(o.quantity, str(o.status), o.reason) for o in record.orders] == [(1, "CANCELLED", "strategy_failed")]


def test_a_strategy_that_fails_on_hearing_of_a_cancel_takes_nobody_with_it():
    class Fragile(Scripted):
        def on_order_update(self, order, context):
            if order.is_terminal:
                raise RuntimeError("fragile")

    fragile = Fragile({0: [limit("A", 1, 50, time_in_force=GTC)] * 3})
    record = run(minutes({"A": steady(4)}), allocate(fragile, "a"), allocate(Scripted(), "b"))
    assert [o.reason for o in record.orders] == ["end_of_run", "strategy_failed", "strategy_failed"]
    assert [s.status for s in record.strategies] == ["stopped", "completed"]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            market("A", 1),
            "'generate_orders' must return a list of OrderIntent, CancelIntent and ReplaceIntent, was OrderIntent",
        ),
        ([None], "must return a list of OrderIntent, CancelIntent and ReplaceIntent, was \\[None\\]"),
        (["buy"], "must return a list of OrderIntent"),
        (7, "must return a list of OrderIntent, CancelIntent and ReplaceIntent, was 7"),
        (np.ones(2), "ValueError: The truth value of an array"),
        (lambda s, c: (market("A", 1 / n) for n in (1, 0)), "ZeroDivisionError"),
    ],
)
def test_what_is_no_list_of_intents_stops_the_strategy_alone(wanted, text):
    other = Scripted({0: [market("A", 1)]})
    record = run(minutes({"A": steady(4)}), allocate(Scripted({0: wanted}), "a"), allocate(other, "b"))
    assert [s.status for s in record.strategies] == ["stopped", "completed"]
    with pytest.raises(StrategyError, match=text):
        raise StrategyError(record.strategies[0].error)
    assert [f.strategy for f in record.fills] == ["b"]


def test_a_generator_of_intents_is_as_good_as_a_list():
    record = run(minutes({"A": steady(4)}), Scripted({0: lambda s, c: (market("A", n) for n in (1, 2))}))
    assert [f.quantity for f in record.fills] == [1, 2]


def test_the_outcome_names_the_strategys_own_line_not_the_librarys():
    class Means(Scripted):
        def generate_orders(self, context):
            return statistics.mean([])

    error = run(minutes({"A": steady(3)}), Means()).strategies[0].error
    assert "(generate_orders, line " in error
    assert "return statistics.mean([])" in error


def test_the_outcome_names_the_line_wherever_the_strategy_lives():
    """Also in a folder whose name looks like ours."""
    code = "class Lives(Scripted):\n    def generate_orders(self, context):\n        return len(5)\n"
    space = {"Scripted": Scripted, "__name__": "theirs"}
    exec(compile(code, "/anywhere/fairlead/alpha.py", "exec"), space)
    assert "(generate_orders, line 3: " in run(minutes({"A": steady(3)}), space["Lives"]()).strategies[0].error


def test_when_all_have_stopped_the_run_still_ends_in_order():
    record = run(minutes({"A": steady(4)}), Scripted({1: [None]}))
    assert len(record.account.equity) == 4
    np.testing.assert_array_equal(record.account.equity, 100_000)
