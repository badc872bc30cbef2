"""InsideBar in the engine: it orders what the scan finds, and what becomes of that."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

import fairlead
from fairlead.backtest.canonical import canonical_orders
from fairlead.core.errors import StrategyError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.identity import group_id
from fairlead.core.orders import OrderRole, OrderStatus, TimeInForce
from fairlead.core.time import BarSize, format_utc, to_datetime, to_ns
from fairlead.data.memory import source_from_frames
from fairlead.data.resampling import resample_m1_to_m5
from fairlead.engine.session import Allocation, SessionPlan
from fairlead.evidence.lookahead import check_lookahead
from fairlead.execution.settings import ExecutionSettings
from fairlead.sdk import StrategyHarness
from fairlead.strategies.inside_bar import InsideBar, scan
from support_cli import fairlead as type_in
from support_inside_bar import CALENDAR, EASY, frame, labels, session, walk
from support_sessions import FREE

DAY = "2024-02-01"
MOTHER = (100.30, 101.00, 100.20, 100.90)
INSIDE = (100.80, 100.90, 100.40, 100.50)
CALM = (100.60, 100.70, 100.50, 100.60)
"""Touches neither entry nor exits."""
MORNING = {"session_windows": ("09:30-11:00",)}


def bars_of(after, *, mother=2):
    """The pattern, then these bars, then calm ones to the close."""
    bars = {mother: MOTHER, mother + 1: INSIDE} | dict.fromkeys(range(mother + 2, 78), CALM)
    return bars | {mother + 2 + i: bar for i, bar in enumerate(after)}


def run(data, *, cash=10_000.0, execution=None, sizing=None, actions=(), **params):
    strategy = InsideBar(**EASY | MORNING | params)
    result = fairlead.backtest(
        strategy, {"AAPL": data}, cash=cash, execution=execution or ExecutionSettings(**FREE), sizing=sizing, actions=actions
    )
    return result, strategy


def entries(result):
    return [o for o in result.record.orders if not o.reduce_only]


def fills(result):
    """When, where and how much, signed."""
    return [(to_datetime(f.bar_ns).strftime("%H:%M"), round(f.price, 2), f.quantity * f.side.sign) for f in result.record.fills]


def ns(text, day=DAY):
    return to_ns(dt.datetime.fromisoformat(f"{day}T{text}+00:00"))


# What it orders.


def test_it_orders_a_pair_with_exits_at_the_levels_of_the_rule():
    """The golden of domain rules 5 and 6.4: 250 shares by risk, 19 by the cap of a fifth of 10,000."""
    result, _ = run(session(DAY, bars_of([])))
    buy, sell = entries(result)
    assert (buy.side, buy.order_type, buy.stop_price, buy.quantity) == ("BUY", "STOP", 101.0, 19)
    assert (sell.side, sell.order_type, sell.stop_price, sell.quantity) == ("SELL", "STOP", 100.2, 19)
    assert buy.oco_id == sell.oco_id == "AAPL_20240201_145000" == group_id("AAPL", buy.created_ns)
    assert buy.created_ns == ns("14:50")
    assert buy.expires_ns == ns("16:00")
    exits = {
        (o.parent_id, o.role): (o.stop_price, o.limit_price)
        for o in result.record.orders
        if o.role in ("stop_loss", "take_profit")
    }
    assert exits == {
        (buy.order_id, OrderRole.STOP_LOSS): (100.6, None),
        (buy.order_id, OrderRole.TAKE_PROFIT): (None, 101.8),
        (sell.order_id, OrderRole.STOP_LOSS): (100.6, None),
        (sell.order_id, OrderRole.TAKE_PROFIT): (None, 99.4),
    }
    assert [(o.status, o.reason) for o in (buy, sell)] == [(OrderStatus.EXPIRED, "expired")] * 2
    assert result.record.fills == []


def test_it_orders_what_the_scan_finds():
    """Three months of two stocks: the same setups with the same levels, but where a position was open."""
    data = {name: walk("2024-02-01", "2024-04-30", seed=seed) for name, seed in (("AAPL", 1), ("MSFT", 2))}
    strategy = InsideBar()
    result = fairlead.backtest(strategy, data, cash=1e6, execution=ExecutionSettings(**FREE))
    signals = {s.metadata["oco_id"]: s for name in data for s in scan(name, data[name], {}, CALENDAR, run_id="t").signals}
    ordered: dict[str, list] = {}
    for order in entries(result):
        ordered.setdefault(order.oco_id, []).append(order)
    assert len(ordered) > 80
    for name, (buy, sell) in ordered.items():
        signal = signals[name]
        assert (buy.stop_price, sell.stop_price) == (float(signal.long_entry), float(signal.short_entry))
        assert buy.created_ns == sell.created_ns == to_ns(signal.timestamp)
        assert format_utc(buy.expires_ns) == signal.metadata["valid_to"]
    trades = result.ledger.trades
    for name in signals.keys() - ordered.keys():
        symbol, at = signals[name].symbol, to_ns(signals[name].timestamp)
        assert any(trade.symbol == symbol and trade.entry_ns <= at < trade.exit_ns for trade in trades)


def test_minutes_give_the_same_orders_as_the_bars_they_make_up():
    """The strategy builds its signal bars itself; entries and exits then meet minutes."""
    minutes = walk("2024-03-07", "2024-03-14", size=BarSize.M1, swing=0.05)
    five = resample_m1_to_m5(minutes, CALENDAR)[["OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"]]
    often = {"max_trades_per_session": 9, "order_validity_policy": "one_bar"}
    (by_minutes, _), (by_five, _) = run(minutes, **often), run(five, **often)
    found = scan("AAPL", five, EASY | MORNING | often, CALENDAR, run_id="t")
    names = {signal.metadata["oco_id"] for signal in found.signals}
    for result in (by_minutes, by_five):
        assert {order.oco_id for order in entries(result)} <= names
    common = {o.oco_id for o in entries(by_minutes)} & {o.oco_id for o in entries(by_five)}
    assert len(common) > 5
    assert min(f.bar_ns % 300_000_000_000 for f in by_minutes.record.fills if f.bar_ns % 300_000_000_000) > 0


def test_a_minute_that_is_missing_delays_the_orders_not_the_setup():
    """The last minute of the inside bar never comes: the orders leave a minute later, under the name of the setup."""
    stamps = labels(DAY, DAY, BarSize.M1)
    rows = [(100.6, 100.7 + 0.001 * (i // 5), 100.5 - 0.001 * (i // 5), 100.6) for i in range(len(stamps))]
    for i in range(10, 15):
        rows[i] = MOTHER
    for i in range(15, 20):
        rows[i] = INSIDE
    data = frame(stamps, rows)
    whole, _ = run(data)
    holed, _ = run(data.drop(data.index[19]))
    assert [o.created_ns for o in entries(whole)] == [ns("14:50")] * 2
    assert [o.created_ns for o in entries(holed)] == [ns("14:51")] * 2
    assert {o.oco_id for o in [*entries(whole), *entries(holed)]} == {"AAPL_20240201_145000"}


def test_orders_of_the_next_bar_are_named_after_their_setup():
    """They leave a bar later; a setup that is found meanwhile does not take their place."""
    for bars in (bars_of([]), bars_of([(100.6, 100.7, 100.5, 100.6)])):
        result, _ = run(session(DAY, bars), valid_from_policy="next_bar", max_trades_per_session=9)
        assert [(o.created_ns, o.oco_id) for o in entries(result)] == [(ns("14:55"), "AAPL_20240201_145000")] * 2


# What becomes of it.


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # Entered at the level, target in the same bar.
        ([(100.9, 101.9, 100.85, 101.5)], [("14:50", 101.0, 19), ("14:50", 101.8, -19)]),
        # Entered at the level, then the stop, then nothing of the other leg.
        ([(100.9, 101.1, 100.8, 101.05), (101.0, 101.0, 100.0, 100.1)], [("14:50", 101.0, 19), ("14:55", 100.6, -19)]),
        # The short side.
        ([(100.5, 100.55, 100.1, 100.15), (100.1, 100.1, 99.3, 99.4)], [("14:50", 100.2, -19), ("14:55", 99.4, 19)]),
        # A gap over the level.
        ([(101.3, 101.4, 101.2, 101.3), (101.3, 102.0, 101.2, 101.9)], [("14:50", 101.3, 19), ("14:55", 101.8, -19)]),
    ],
)
def test_one_leg_fills_and_one_exit_leaves(after, expected):
    """By the rules R2 to R7."""
    result, _ = run(session(DAY, bars_of(after)))
    assert fills(result) == expected
    assert result.ledger.trades[0].oco_id
    statuses = {o.status for o in result.record.orders}
    assert statuses <= {OrderStatus.FILLED, OrderStatus.CANCELLED}


def test_what_is_open_leaves_at_the_close_of_its_session():
    """Rule R8: at the close of the last bar, whatever the next day brings."""
    calm = dict.fromkeys(range(5, 78), (101.1, 101.3, 100.9, 101.1))
    day = session(DAY, bars_of([(100.9, 101.2, 100.8, 101.1)]) | calm | {77: (101.1, 101.4, 100.9, 101.37)})
    data = pd.concat([day, session("2024-02-02", {}, filler=(90.0, 90.2, 89.8, 90.0))])
    result, _ = run(data)
    assert fills(result) == [("14:50", 101.0, 19), ("20:55", 101.37, -19)]
    assert [trade.exit_reason for trade in result.ledger.trades] == ["session_end"]


def test_an_early_close_is_a_close():
    """At one o'clock."""
    calm = dict.fromkeys(range(5, 42), (101.1, 101.3, 100.9, 101.1))
    bars = {i: bar for i, bar in bars_of([(100.9, 101.2, 100.8, 101.1)]).items() if i < 42} | calm
    result, _ = run(session("2024-11-29", bars))
    assert fills(result)[-1] == ("17:55", 101.1, -19)


def test_what_is_entered_in_the_last_bar_leaves_in_it():
    """Its way out follows it at the venue, without a way back to the strategy."""
    bars = bars_of([], mother=74) | {76: (100.6, 100.7, 100.5, 100.6), 77: (100.9, 101.2, 100.8, 101.1)}
    result, _ = run(session(DAY, bars), session_windows=("15:30-16:00",))
    assert fills(result) == [("20:55", 101.0, 19), ("20:55", 101.1, -19)]
    assert result.ledger.trades[0].exit_reason == "session_end"


def test_what_an_auction_leaves_open_is_closed_at_the_next_open():
    """The last bar trades too little; and a part of an entry is closed by an order of its own."""
    calm = dict.fromkeys(range(5, 78), (101.1, 101.3, 100.9, 101.1))
    day = session(DAY, bars_of([(100.9, 101.2, 100.8, 101.1)]) | calm)
    day.iloc[4, day.columns.get_loc("VOLUME")] = 12.0
    day.iloc[5:78, day.columns.get_loc("VOLUME")] = 0.0
    day.iloc[77, day.columns.get_loc("VOLUME")] = 5.0
    data = pd.concat([day, session("2024-02-02", {}, filler=(101.0, 101.1, 100.9, 101.0))])
    result, _ = run(data, required_warmup_bars=4, session_windows=("09:30-09:55",))
    assert fills(result) == [("14:50", 101.0, 12), ("20:55", 101.1, -5), ("14:30", 101.0, -7)]
    closing = [o for o in result.record.orders if o.tag == "session_end"]
    assert {o.time_in_force for o in closing if o.status is OrderStatus.FILLED} == {TimeInForce.DAY}


def test_no_setup_is_acted_on_while_a_position_is_open():
    """The second window finds a position, and passes its setup over; without one it trades."""
    calm = dict.fromkeys(range(5, 78), (101.1, 101.3, 100.9, 101.1))
    second = {56: (101.0, 101.4, 100.8, 101.35), 57: (101.2, 101.3, 101.1, 101.2)}
    both = {"session_windows": ("09:30-11:00", "14:00-15:00")}
    held, _ = run(session(DAY, bars_of([(100.9, 101.2, 100.8, 101.1)]) | calm | second), **both)
    assert len(entries(held)) == 2
    free, _ = run(session(DAY, bars_of([]) | {55: (100, 110, 90, 100)} | second), **both)
    assert len(entries(free)) == 4


def test_a_second_trade_of_a_window_waits_for_the_first_pair():
    """While a pair works nothing is added; once it is over there may be another."""
    bars = bars_of([(100.9, 101.9, 100.85, 101.5), (100, 110, 90, 100)]) | {8: MOTHER, 9: INSIDE}
    assert len(entries(run(session(DAY, bars), max_trades_per_session=2)[0])) == 4
    assert len(entries(run(session(DAY, bars), max_trades_per_session=1)[0])) == 2
    # Calm bars are inside of each other, and there would be a setup at every one of them.
    assert len(entries(run(session(DAY, bars_of([])), max_trades_per_session=9)[0])) == 2


ENTERED = (100.9, 101.2, 100.8, 101.1)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # 101.56 is reached in the bar at 14:55: from the next bar on the stop is at 100.80.
        ([ENTERED, (101.1, 101.56, 101.0, 101.2), (101.2, 101.2, 100.7, 100.75)], ("15:00", 100.8)),
        # One tick less, and it stays at 100.60.
        ([ENTERED, (101.1, 101.55, 101.0, 101.2), (101.2, 101.2, 100.5, 100.75)], ("15:00", 100.6)),
        # In the bar in which it is reached the old stop holds.
        ([ENTERED, (101.1, 101.56, 100.7, 101.2), (101.2, 101.2, 100.7, 100.75)], ("15:00", 100.8)),
        # In the bar of the entry as well.
        ([(100.9, 101.6, 100.8, 101.1), (101.2, 101.2, 100.7, 100.75)], ("14:55", 100.8)),
    ],
)
def test_a_trailing_stop_is_moved_once_from_the_next_bar_on(after, expected):
    """Rule 6.6 with its defaults: entry 101.00, target 101.80, risk 0.40."""
    result, _ = run(session(DAY, bars_of(after)), trailing_enabled=True)
    assert fills(result) == [("14:50", 101.0, 19), (*expected, -19)]
    fixed, _ = run(session(DAY, bars_of(after)))
    assert fills(fixed)[1:] != [(*expected, -19)] or expected[1] == 100.6


def test_a_short_position_trails_as_well():
    """Entry 100.20, target 99.40: 99.64 moves the stop to 100.40."""
    after = [(100.4, 100.5, 100.1, 100.15), (100.1, 100.2, 99.64, 99.9), (99.9, 100.5, 99.8, 100.4)]
    result, _ = run(session(DAY, bars_of(after)), trailing_enabled=True)
    assert fills(result) == [("14:50", 100.2, -19), ("15:00", 100.4, 19)]
    found = canonical_orders(result)
    assert "moved on its way" in found.refused[0].reason


def test_a_close_beyond_the_level_enters_at_the_next_open():
    """At the market, sized by the last price, with the exits of the setup and under its name."""
    after = [(100.6, 101.3, 100.55, 101.0), (100.9, 101.2, 100.8, 101.01), (101.05, 101.9, 101.0, 101.8)]
    result, _ = run(session(DAY, bars_of(after)), entry_trigger="close_confirm")
    assert fills(result) == [("15:00", 101.05, 19), ("15:00", 101.8, -19)]
    (order,) = entries(result)
    assert (order.order_type, order.group_id) == ("MARKET", "AAPL_20240201_145000")
    assert canonical_orders(result).orders[0].oco_id == "AAPL_20240201_145000"
    nothing, _ = run(session(DAY, bars_of([])), entry_trigger="close_confirm")
    assert entries(nothing) == []


def test_what_is_too_small_is_refused_as_such():
    """A share costs more than the cap; both legs are refused, and none is left out of an export."""
    result, _ = run(session(DAY, bars_of([ENTERED])), cash=500.0)
    assert [(o.status, o.reason) for o in entries(result)] == [(OrderStatus.REJECTED, "below_min_qty")] * 2
    assert run(session(DAY, bars_of([ENTERED])), cash=510.0)[0].record.fills
    # 505 buys one of five at 100.20, and none at 101.00: then there is no pair.
    result, _ = run(session(DAY, bars_of([ENTERED])), cash=503.0)
    assert {(o.status, o.reason) for o in entries(result)} == {
        (OrderStatus.REJECTED, "below_min_qty"),
        (OrderStatus.CANCELLED, "oco_refused"),
    }
    found = canonical_orders(result)
    assert (found.orders, found.refused, len(found.unsent)) == ((), (), 2)


@pytest.mark.parametrize(("cash", "noted"), [(500.0, {"below_min_qty": 2}), (510.0, {})])
def test_a_size_of_nothing_is_noted_among_the_rejects(cash, noted):
    """Once for each leg."""
    harness = StrategyHarness(InsideBar(**EASY | MORNING), cash=cash, bar_size=BarSize.M5)
    harness.start()
    for row in session(DAY, bars_of([])).iloc[:4].itertuples():
        at = (row.Index + pd.Timedelta(minutes=5)).to_pydatetime()
        harness.bar("AAPL", row.CLOSE, open=row.OPEN, high=row.HIGH, low=row.LOW, at=at)
    assert len(harness.orders) == 2
    assert harness.context.metadata["rejects"] == noted


def test_it_sees_nothing_of_the_future():
    """The look-ahead check of the house, with everything that it can do."""
    data = walk("2024-03-06", "2024-03-20", size=BarSize.M1, swing=0.05)
    for extra in ({"trailing_enabled": True}, {"entry_trigger": "close_confirm"}):
        params = EASY | {"max_trades_per_session": 5, "order_validity_policy": "fixed_minutes"} | extra
        source = source_from_frames({"AAPL": data}, bar_size=None, calendar="XNYS", actions=())

        def plan(params=params, source=source):
            allocation = Allocation(name="insidebar", strategy=InsideBar(**params), capital=10_000.0)
            return SessionPlan(run_id="t", allocations=(allocation,), source=source, execution=ExecutionSettings(**FREE))

        report = check_lookahead(plan, cuts=6)
        assert report.passed, report


def test_a_split_between_two_days_breaks_nothing():
    """The average goes on in the new prices."""
    before = session("2024-01-31", {})
    after = session(DAY, {i: tuple(p / 2 for p in bar) for i, bar in bars_of([]).items()}, filler=(50.0, 50.1, 49.9, 50.0))
    action = CorporateAction("AAPL", int(ns("00:00") // 86_400_000_000_000), ActionKind.SPLIT, 2.0)
    sizes = {"min_mother_bar_size": 0.5, "atr_period": 14}
    result, _ = run(pd.concat([before, after]), actions=[action], **sizes)
    assert [o.stop_price for o in entries(result)] == [50.5, 50.1]
    # In the old prices the average would be twice as high, and the gap of the split in it.
    unaware, _ = run(pd.concat([before, after]), **sizes)
    assert ns("14:50") not in [o.created_ns for o in entries(unaware)]


def test_its_state_survives_a_restart_at_any_bar():
    """Through JSON, with a pair waiting, a position open and a stop that was moved."""
    data = session(DAY, bars_of([ENTERED, (101.1, 101.7, 101.0, 101.2), (101.2, 101.3, 101.1, 101.2)]))
    params = EASY | {"trailing_enabled": True, "valid_from_policy": "next_bar"}

    def drive(*, restart):
        harness = StrategyHarness(InsideBar(**params), cash=10_000.0, bar_size=BarSize.M5)
        harness.start()
        said = []
        for i, row in enumerate(data.iloc[:12].itertuples()):
            at = (row.Index + pd.Timedelta(minutes=5)).to_pydatetime()
            intents = harness.bar("AAPL", row.CLOSE, open=row.OPEN, high=row.HIGH, low=row.LOW, at=at)
            said.append([repr(intent) for intent in intents])
            if len(intents) == 2:
                harness.fill(intents[0], 101.0)
                harness.cancel(intents[1], "oco")
            if restart:
                harness.save_and_restore()
            assert i < 12
        return said

    whole = drive(restart=False)
    assert [len(intents) for intents in whole].count(2) == 1
    assert drive(restart=True) == whole


def test_the_orders_of_a_run_are_exported_without_a_rest(tmp_path):
    """The pairs alone, and exit code 0: that everything leaves at the end of a session is a rule of whoever fills them."""
    data = walk("2024-02-01", "2024-02-29", seed=3)
    result, _ = run(data, session_windows=("09:30-11:00", "14:00-16:00"))
    result.save(tmp_path / "runs" / result.run_id)
    done = type_in("orders", "export", result.run_id, "--json", "--workspace", str(tmp_path), cwd=tmp_path)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["refused"] == []
    assert told["orders"] == len(entries(result)) > 20
    assert len(told["implied"]) >= told["orders"]
    rows = canonical_orders(result).orders
    assert all(row.valid_from == row.created_at and row.take_profit_price and row.stop_loss_price for row in rows)
    shown = type_in("orders", "export", result.run_id, "--workspace", str(tmp_path), cwd=tmp_path)
    assert "it only closes at the end of its session" in " ".join(shown.out.split())


def test_bars_that_are_too_long_stop_it():
    """With the reason, and what to run it on."""
    data = walk("2024-02-01", "2024-02-02", size=BarSize.M15)
    with pytest.raises(StrategyError, match="'timeframe_minutes' must be at least the length of the bars"):
        run(data)
    assert np.isfinite(data.to_numpy()).all()
