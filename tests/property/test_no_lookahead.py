"""The past does not depend on the future: cut or change what is to come, and nothing that was decided changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.bars import BarSlice
from fairlead.core.intents import CancelIntent, OrderIntent
from fairlead.core.orders import OrderStatus, TimeInForce
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_sessions import (
    Scripted,
    allocate,
    days,
    dividend,
    free,
    minutes,
    random_bars,
    random_intents,
    run,
    split,
)

ROWS = 60
SYMBOLS = ("A", "B")
COSTS = free(
    slippage=SlippageSettings(model="volume_based"),
    commission=CommissionSettings(model="per_share"),
    latency=LatencySettings(mean_ms=40_000, std_ms=40_000),
    max_bar_participation=0.2,
)


class Noting(Scripted):
    """Writes down every decision with its instant."""

    def generate_orders(self, context):
        wanted = self.decide(context)
        self.heard.append(("decided", context.current_ns, repr(wanted), context.portfolio.equity))
        return wanted


class Anything(Noting):
    """Random orders of every kind around the last price."""

    def decide(self, context):
        marks = {}
        for symbol in context.symbols:
            closes = context.historical_data.closes(symbol, 1)
            marks[symbol] = float(closes[-1]) if len(closes) else math.nan
        return random_intents(context.random, context.symbols, marks, context.open_orders)


class Historian(Noting):
    """Targets by adjusted moving averages, panels and past bars."""

    def decide(self, context):
        wanted = []
        history = context.historical_data
        panel = history.panel(10)
        for i, symbol in enumerate(context.symbols):
            closes, volume = history.closes(symbol, 20), history.values(symbol, 5, "volume")
            if len(closes) < 5:
                continue
            high = max(bar.high for bar in history.bars(symbol, 5))
            score = closes[-5:].mean() / closes.mean() - 1 + (closes[-1] - high) / high + 1e-9 * float(volume.sum())
            score += 0 if np.isnan(panel[:, i]).all() else float(np.nanstd(panel[:, i]) / 1e4)
            wanted.append(OrderIntent.target_weight(symbol, float(np.clip(50 * score, -1, 1) / 2)))
        return wanted


class SliceReader(Noting):
    """Weights by the moves inside the current slice."""

    event_type = BarSlice

    def on_market_event(self, event, context):
        self.move = np.where(event.present, event.close / event.open - 1, 0.0)
        self.heard.append(("slice", event.known_ns, repr(self.move.tolist())))

    def decide(self, context):
        return [
            OrderIntent.target_weight(s, float(np.clip(20 * m, -0.5, 0.5)))
            for s, m in zip(context.symbols, self.move, strict=True)
        ]


class Bracketeer(Noting):
    """Enters on stops, exits by stop and target, and takes back what is old."""

    def decide(self, context):
        wanted = [CancelIntent(o.order_id) for o in context.open_orders if context.current_ns - o.created_ns > 3e11]
        for symbol in context.symbols:
            bars = context.historical_data.bars(symbol, 3)
            if len(bars) < 3:
                continue
            top, bottom = max(b.high for b in bars), min(b.low for b in bars)
            held = context.portfolio.quantity(symbol)
            if held:
                wanted += [
                    OrderIntent.stop(symbol, -held, bottom),
                    OrderIntent.limit(symbol, -held, top * 1.01, time_in_force=TimeInForce.GTC),
                ]
            else:
                wanted += [OrderIntent.stop(symbol, 50, top), OrderIntent.stop_limit(symbol, -50, bottom, bottom * 0.99)]
        return wanted


HONEST = (Anything, Historian, SliceReader, Bracketeer)


class PeeksThroughHistory(Noting):
    """Cheats: reads the next close from the block behind the history."""

    def decide(self, context):
        cursor = context.historical_data._cursor
        block, row = cursor.block, cursor.row
        if row + 1 >= len(block):
            return ()
        return [OrderIntent.target_position("A", 100 if block.close[row + 1, 0] > block.close[row, 0] else -100)]


class PeeksThroughTheSlice(Noting):
    """Cheats: follows the slice's array to the one it is a view of."""

    event_type = BarSlice

    def on_market_event(self, event, context):
        self.future = event.close.base[event._row + 1 :, 0]

    def decide(self, context):
        rises = self.future > context.portfolio._ledger.marks["A"] * 1.02
        return [OrderIntent.market("A", 5)] if rises.any() else ()


CHEATS = (PeeksThroughHistory, PeeksThroughTheSlice)


def a_history(random, *, daily, rows):
    bars = {"A": random_bars(random, ROWS), "B": random_bars(random, ROWS, gaps=0.4)}
    span = ROWS if daily else ROWS // 10
    actions = [
        split("A", int(random.integers(1, span)), 2.0),
        split("B", int(random.integers(1, span)), 0.5),
        dividend("A", int(random.integers(1, span)), 0.3),
        dividend("B", int(random.integers(1, span)), 0.3),
    ]
    return days(bars, actions=actions, rows=rows) if daily else minutes(bars, per_session=10, actions=actions, rows=rows)


def another_future(source, cut, random):
    """Return `source` with everything from row `cut` on made anew: prices, volumes, holes, and actions of later sessions."""
    scale = random.lognormal(0, 0.5)
    bars = {"A": random_bars(random, ROWS, gaps=0.2), "B": random_bars(random, ROWS, gaps=0.5)}
    made = minutes(bars).arrays
    arrays = {}
    for name, values in source.arrays.items():
        mixed = values.copy()
        mixed[cut:] = made[name][cut:] * (1.0 if name == "volume" else scale)
        arrays[name] = mixed
    last = int(source.session[cut - 1])
    past = [a for a in source.actions if a.ex_session <= last]
    future = [
        split("A", day, 4.0) for day in range(last - source.session[0] + 1, source.session[-1] - source.session[0] + 1, 3)
    ]
    return source.changed(arrays=arrays, actions=[*past, *future])


def the_past(kind, source, until_ns):
    """Return all that a strategy and its account lived through up to an instant."""
    strategy = kind()
    record = run(source, allocate(strategy, max_leverage=2.0), execution=COSTS)
    assert record.strategies[0].error == ""
    rows = int(np.searchsorted(source.known_ns, until_ns, side="right"))
    decided = [h for h in strategy.heard if h[0] in ("decided", "slice") and h[1] <= until_ns]
    # An arrival is noted when the next bar is known, with its own earlier instant.
    updates = [
        u
        for u in record.updates
        if u.ts_ns <= until_ns
        and u.reason != "end_of_run"
        and not (u.status is OrderStatus.ACKNOWLEDGED and u.ts_ns >= until_ns)
    ]
    curve = record.account
    return {
        "decided": decided,
        "updates": updates,
        "fills": [f for f in record.fills if f.ts_ns <= until_ns],
        "actions": [a for a in record.applied_actions if a.ts_ns <= until_ns],
        "curve": [getattr(curve, name)[:rows].tolist() for name in ("equity", "cash", "gross", "net")],
    }


def differs(kind, source, cut, random):
    """Return what of the past changes when the future is cut, or made anew."""
    until = int(source.known_ns[cut - 1])
    whole = the_past(kind, source, until)
    found = []
    for how, other in (("cut", source.until(cut)), ("changed", another_future(source, cut, random))):
        past = the_past(kind, other, until)
        found += [(how, what) for what in whole if past[what] != whole[what]]
    return found


@pytest.mark.parametrize("kind", HONEST)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.integers(1, ROWS - 1), daily=st.booleans(), rows=st.sampled_from([None, 1, 13]))
def test_the_future_changes_nothing_that_was(kind, seed, cut, daily, rows):
    random = np.random.default_rng(seed)
    assert differs(kind, a_history(random, daily=daily, rows=rows), cut, random) == []


@pytest.mark.parametrize("kind", CHEATS)
@pytest.mark.parametrize("daily", [False, True])
def test_the_same_check_catches_a_cheat(kind, daily):
    """Both by cutting the future and by changing it."""
    random = np.random.default_rng(2000)
    source = a_history(random, daily=daily, rows=None)
    found = {how for cut in range(5, ROWS, 5) for how, what in differs(kind, source, cut, random) if what == "decided"}
    assert found == {"cut", "changed"}


@pytest.mark.parametrize("kind", HONEST)
def test_the_honest_ones_do_trade(kind):
    """Else there would be nothing to change."""
    source = a_history(np.random.default_rng(1), daily=False, rows=None)
    past = the_past(kind, source, int(source.known_ns[-1]))
    assert len(past["fills"]) > 5
    assert len({tuple(row) for row in past["curve"]}) == 4
