"""`context.historical_data`: windows, missing bars, adjustment by hand, and the reach."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.core.bars import BarBlock, Cursor, effective_actions, forward_fill
from fairlead.core.errors import ConfigurationError, DataNotFound, StrategyError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import NS_PER_DAY
from fairlead.sdk.history import MIN_HISTORY, HistoricalData

NAN = float("nan")


def history(close, *, actions=(), row=None, limit=0, symbols=("A", "B")) -> HistoricalData:
    """Daily bars with the given closes; open is one below, volume is 1000 times the close."""
    table = np.array(close, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    days = np.arange(len(table))
    used = symbols[: table.shape[1]]
    mark = forward_fill(table)
    block = BarBlock(
        used,
        days.astype(np.int64) * NS_PER_DAY,
        days.astype(np.int64) * NS_PER_DAY + 1,
        days.astype(np.int32),
        table - 1,
        table + 1,
        table - 2,
        table,
        table * 1000,
        mark,
        actions=effective_actions(actions, {s: i for i, s in enumerate(used)}, days.astype(np.int32), mark),
    )
    return HistoricalData(Cursor(block, len(table) - 1 if row is None else row), limit)


def split(day, ratio, symbol="A"):
    return CorporateAction(symbol, day, ActionKind.SPLIT, ratio)


def dividend(day, cash, symbol="A"):
    return CorporateAction(symbol, day, ActionKind.DIVIDEND, cash)


def test_the_last_values_come_oldest_first():
    data = history([10, 11, 12, 13])
    assert data.closes("A", 2).tolist() == [12, 13]
    assert data.values("A", 3, "open").tolist() == [10, 11, 12]
    assert data.values("A", 1, "high").tolist() == [14]
    assert data.values("A", 1, "low").tolist() == [11]
    assert data.values("A", 2, "volume").tolist() == [12_000, 13_000]


def test_rows_after_the_cursor_do_not_exist():
    data = history([10, 11, 12, 13], row=1)
    assert data.closes("A", 10).tolist() == [10, 11]
    assert data.panel(10).tolist() == [[10], [11]]
    assert [bar.close for bar in data.bars("A", 10)] == [10, 11]


def test_history_is_short_at_the_start():
    assert history([10, 11, 12], row=0).closes("A", 5).tolist() == [10]


def test_missing_bars_are_left_out_and_reached_over():
    """Three closes are asked for; the window reaches back as far as it takes."""
    data = history([10, 11, NAN, NAN, 12, NAN])
    assert data.closes("A", 3).tolist() == [10, 11, 12]
    assert data.closes("A", 1).tolist() == [12]
    assert [bar.close for bar in data.bars("A", 2)] == [11, 12]
    assert history([NAN, NAN]).closes("A", 2).tolist() == []


def test_a_panel_keeps_its_gaps():
    np.testing.assert_array_equal(history([[10, NAN], [11, 20], [NAN, 21]]).panel(2), [[11, 20], [NAN, 21]])


def test_a_split_is_not_a_crash():
    """Two for one before day 2: earlier prices halve, earlier volume doubles."""
    data = history([100, 102, 51, 52], actions=[split(2, 2.0)])
    assert data.closes("A", 4).tolist() == [50, 51, 51, 52]
    assert data.values("A", 4, "volume").tolist() == [200_000, 204_000, 51_000, 52_000]
    assert data.closes("A", 4, adjusted=False).tolist() == [100, 102, 51, 52]
    assert data.panel(3)[:, 0].tolist() == [51, 51, 52]
    assert data.panel(3, adjusted=False)[:, 0].tolist() == [102, 51, 52]
    assert [bar.close for bar in data.bars("A", 4)] == [100, 102, 51, 52], "bars are raw"


def test_a_dividend_scales_earlier_prices_and_no_volume():
    """5.00 on a close of 100 before: factor 0.95."""
    data = history([80, 100, 96], actions=[dividend(2, 5.0)])
    assert data.closes("A", 3).tolist() == pytest.approx([76, 95, 96])
    assert data.values("A", 3, "volume").tolist() == [80_000, 100_000, 96_000]


def test_two_actions_compound():
    """Day 0 is before both: 100 * 0.95 / 2."""
    data = history([100, 100, 48, 24], actions=[dividend(2, 5.0), split(3, 2.0)])
    assert data.closes("A", 4).tolist() == pytest.approx([47.5, 47.5, 24, 24])


def test_an_action_is_unknown_before_its_day():
    data = history([100, 102, 51, 52], actions=[split(2, 2.0)], row=1)
    assert data.closes("A", 2).tolist() == [100, 102]


def test_a_window_that_begins_at_the_ex_session_is_raw():
    data = history([100, 102, 51, 52], actions=[split(2, 2.0)])
    assert data.closes("A", 2).tolist() == [51, 52]
    assert data.panel(2)[:, 0].tolist() == [51, 52]


def test_an_action_adjusts_its_own_symbol_alone():
    data = history([[100, 7], [50, 8]], actions=[split(1, 2.0)])
    assert data.closes("B", 2).tolist() == [7, 8]
    assert data.panel(2).tolist() == [[50, 7], [50, 8]]


def test_adjustment_reaches_over_missing_bars():
    """The close before the dividend is the last known one, two rows earlier."""
    data = history([100, NAN, NAN, 95], actions=[dividend(3, 5.0)])
    assert data.closes("A", 2).tolist() == [95, 95]


def test_what_is_returned_is_a_copy():
    """Writing into a window changes neither history nor the next window."""
    data = history([[10, 20], [11, 21]])
    for take in (lambda: data.closes("A", 2), lambda: data.closes("A", 2, adjusted=False), lambda: data.panel(2)):
        take()[:] = 0
        assert data.closes("A", 2).tolist() == [10, 11]
        assert take().base is None, "no array leads back to the future"


@pytest.mark.parametrize("n", [0, -1, MIN_HISTORY + 1])
@pytest.mark.parametrize("take", ["closes", "bars"])
def test_reaching_too_far_names_the_remedy(n, take):
    with pytest.raises(StrategyError, match=rf"'n' must be from 1 to 1000 bars, was {n}. Override Strategy.lookback\(\)"):
        getattr(history([10]), take)("A", n)
    with pytest.raises(StrategyError, match="'n' must be from 1 to 1000"):
        history([10]).panel(n)


def test_lookback_widens_the_reach_and_never_narrows_it():
    assert len(history(np.arange(1.0, 1502.0), limit=1500).closes("A", 1500)) == 1500
    assert len(history(np.arange(1.0, 1502.0), limit=5).closes("A", 1000)) == 1000


def test_missing_bars_do_not_extend_the_reach():
    """Beyond the limit the engine may have dropped the rows: results must not depend on it."""
    closes = np.full(MIN_HISTORY + 1, NAN)
    closes[0], closes[-1] = 1.0, 2.0
    assert history(closes).closes("A", 2).tolist() == [2.0]
    assert [bar.close for bar in history(closes).bars("A", 2)] == [2.0]


def test_unknown_fields_and_symbols_are_refused():
    with pytest.raises(ConfigurationError, match="'field' must be one of open, high, low, close, volume, was 'vwap'"):
        history([10]).values("A", 1, "vwap")
    with pytest.raises(DataNotFound, match="no symbol named 'Z' in this run"):
        history([10]).closes("Z", 1)
