"""The benchmark, split adjustment and thinning."""

import numpy as np
import pytest

from fairlead.backtest.benchmark import buy_and_hold, split_adjustment
from fairlead.backtest.curves import thin
from fairlead.core.time import NS_PER_DAY
from fairlead.engine.record import SessionPrices
from support_records import dividend, split, weekdays

DAYS = weekdays("2024-01-02", 4)
NAN = float("nan")


def prices(**marks):
    return SessionPrices(
        tuple(marks), DAYS, DAYS.astype(np.int64) * NS_PER_DAY, np.column_stack(list(marks.values())).astype(float)
    )


def test_equal_weights_are_bought_at_the_first_close_and_held():
    """Half doubles, half stands still: +50 %."""
    held = buy_and_hold(prices(AAA=[10, 15, 20, 20], BBB=[50, 50, 50, 50]), [], 1000.0)
    assert held.tolist() == [1000.0, 1250.0, 1500.0, 1500.0]


def test_a_split_is_not_a_loss():
    """100 -> 50 with two shares for one is flat."""
    assert buy_and_hold(prices(AAA=[100, 100, 50, 50]), [split("AAA", DAYS[2], 2.0)], 1000.0).tolist() == [1000.0] * 4


def test_dividends_are_reinvested_at_the_close_of_the_ex_session():
    """10 units get 5 each at a price of 50: one more unit, which doubles with the rest."""
    held = buy_and_hold(prices(AAA=[100, 100, 50, 100]), [dividend("AAA", DAYS[2], 5.0)], 1000.0)
    assert held == pytest.approx([1000.0, 1000.0, 550.0, 1100.0])


def test_dividend_and_split_on_one_day_pay_on_the_old_shares():
    """10 shares get 4 each, then become 20 at 48: 960 + 40."""
    actions = [dividend("AAA", DAYS[1], 4.0), split("AAA", DAYS[1], 2.0)]
    assert buy_and_hold(prices(AAA=[100, 48, 48, 48]), actions, 1000.0) == pytest.approx([1000.0] * 4)


def test_a_late_symbol_waits_in_cash_and_gaps_hold_the_last_price():
    """BBB is bought at its first close; AAA keeps its price over a missing day."""
    held = buy_and_hold(prices(AAA=[10, NAN, 10, 20], BBB=[NAN, NAN, 5, 10]), [], 100.0)
    assert held.tolist() == [100.0, 100.0, 100.0, 200.0]


def test_a_symbol_without_prices_stays_cash_and_unknown_actions_are_left_out():
    """An action of another symbol, or before the run, changes nothing."""
    actions = [split("ZZZ", DAYS[1], 2.0), split("AAA", DAYS[0], 2.0), dividend("AAA", DAYS[3] + 5, 1.0)]
    assert buy_and_hold(prices(AAA=[10, 10, 10, 20], BBB=[NAN] * 4), actions, 100.0).tolist() == [100.0, 100.0, 100.0, 150.0]


def test_no_symbols_or_sessions_is_cash():
    """The benchmark of nothing does nothing."""
    empty = SessionPrices((), DAYS, DAYS.astype(np.int64), np.empty((4, 0)))
    assert buy_and_hold(empty, [], 7.0).tolist() == [7.0] * 4
    none = SessionPrices(("AAA",), DAYS[:0], DAYS[:0].astype(np.int64), np.empty((0, 1)))
    assert len(buy_and_hold(none, [], 7.0)) == 0
    assert split_adjustment(none, []).shape == (0, 1)


def test_split_adjustment_leaves_today_as_it_is_and_scales_the_past():
    """Before a 2:1 and a later 4:1 split prices are divided by 8, between them by 4; dividends do not count."""
    actions = [split("AAA", DAYS[1], 2.0), split("AAA", DAYS[3], 4.0), dividend("AAA", DAYS[2], 1.0)]
    assert split_adjustment(prices(AAA=[800, 400, 400, 100]), actions)[:, 0].tolist() == [0.125, 0.25, 0.25, 1.0]


def test_thinning_keeps_ends_peak_and_trough():
    """A spike of one point among 100,000 survives."""
    values = np.sin(np.arange(100_000) / 9_000)
    values[43_210], values[77_777] = 9.0, -9.0
    kept = thin(values, 500)
    assert len(kept) <= 500
    assert {0, 43_210, 77_777, 99_999} <= set(kept.tolist())
    assert np.all(np.diff(kept) > 0)


def test_short_curves_are_left_alone_and_nan_is_neither_peak_nor_trough():
    """Up to the limit every point is drawn; NaN does not hide the values beside it."""
    assert thin(np.arange(10.0), 10).tolist() == list(range(10))
    values = np.full(1000, NAN)
    values[::7] = 1.0
    values[504] = 5.0
    assert 504 in thin(values, 50)
