"""Splits and dividends out of adjusted closes, and back."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import date_to_day
from fairlead.data.adjustments import adjusted_closes, derive_actions

DAYS = np.arange(5, dtype=np.int32)
SPLIT, DIVIDEND = ActionKind.SPLIT, ActionKind.DIVIDEND


def bundled(symbol):
    from bokeh_sampledata import stocks

    columns = getattr(stocks, symbol)
    session = np.array(columns["date"], "datetime64[D]").astype(np.int32)
    return session, np.array(columns["close"]), np.array(columns["adj_close"])


@pytest.mark.parametrize(
    ("symbol", "date", "kind", "value"),
    [
        ("AAPL", dt.date(2000, 6, 21), SPLIT, 2.0),
        ("AAPL", dt.date(2005, 2, 28), SPLIT, 2.0),
        ("MSFT", dt.date(2003, 2, 18), SPLIT, 2.0),
        ("AAPL", dt.date(2012, 8, 9), DIVIDEND, 2.65),
        ("MSFT", dt.date(2004, 11, 15), DIVIDEND, 3.08),
    ],
)
def test_known_actions_of_the_bundled_prices(symbol, date, kind, value):
    """The events are public record; the values are those that the companies announced."""
    assert CorporateAction(symbol, date_to_day(date), kind, value) in derive_actions(symbol, *bundled(symbol))


@pytest.mark.parametrize(
    ("symbol", "splits", "dividends"), [("AAPL", 2, 3), ("FB", 0, 0), ("GOOG", 0, 0), ("IBM", 0, 52), ("MSFT", 1, 37)]
)
def test_nothing_else_is_found_in_the_bundled_prices(symbol, splits, dividends):
    kinds = [action.kind for action in derive_actions(symbol, *bundled(symbol))]
    assert (kinds.count(SPLIT), kinds.count(DIVIDEND)) == (splits, dividends)


@pytest.mark.parametrize("symbol", ["AAPL", "IBM", "MSFT"])
def test_back_adjustment_comes_near_the_source_which_prices_dividends_on_the_ex_day(symbol):
    """The two conventions differ by dividend times overnight return: some tenths of a percent over 13 years."""
    session, close, adjusted = bundled(symbol)
    ours = adjusted_closes(close, session, derive_actions(symbol, session, close, adjusted))
    ratio = (ours / ours[-1]) / (adjusted / adjusted[-1])
    assert np.abs(ratio - 1).max() < 0.003
    assert ours[-1] == close[-1]


@pytest.mark.parametrize("value", [2.0, 3.0, 1.5, 0.1, 1 / 30, 1.05, 7.0, 20.0])
def test_splits_snap_to_simple_ratios(value):
    factor = np.array([1 / value, 1 / value, 1, 1, 1]) * 0.123456789
    close = np.array([10.0, 11, 12 / value, 13, 12])
    (action,) = derive_actions("X", DAYS, close, (close * factor).round(12))
    assert (action.ex_session, action.kind) == (2, SPLIT)
    assert action.value == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("cash", [0.0001, 0.47, 1.2345])
def test_dividends_are_rounded_to_a_hundredth_of_a_cent(cash):
    close = np.array([100.0, 101, 99.5, 98, 100])
    factor = np.where(DAYS < 3, close[3] / (close[3] + cash), 1.0)
    assert derive_actions("X", DAYS, close, close * factor) == (CorporateAction("X", 3, DIVIDEND, cash),)


@pytest.mark.parametrize("step", [1.003, 0.99123456])
def test_a_step_that_is_neither_is_refused(step):
    close = np.full(5, 100.0)
    with pytest.raises(DataError, match=r"'X adjustment on 1970-01-04' must be a split .* or a dividend .*, was "):
        derive_actions("X", DAYS, close, close * np.where(DAYS < 3, step, 1.0))


def test_bad_prices_are_refused():
    close = np.full(5, 100.0)
    with pytest.raises(DataError, match=r"'X close on 1970-01-02' must be a finite number above 0, was 0.0"):
        derive_actions("X", DAYS, np.where(DAYS == 1, 0.0, close), close)
    with pytest.raises(DataError, match="'X adjusted close on 1970-01-03' must be a finite number above 0, was nan"):
        derive_actions("X", DAYS, close, np.where(DAYS == 2, np.nan, close))
    with pytest.raises(DataError, match="be of equal length"):
        derive_actions("X", DAYS, close, close[1:])


def test_the_factor_of_rule_2_7():
    """f = 1/2 for the split on day 2, times 1 - 5/50 for the dividend on day 4 after a close of 50."""
    close = np.array([100.0, 98, np.nan, 50, 46])
    actions = [CorporateAction("X", 2, SPLIT, 2.0), CorporateAction("X", 4, DIVIDEND, 5.0)]
    expected = [100 * 0.5 * 0.9, 98 * 0.5 * 0.9, np.nan, 50 * 0.9, 46]
    np.testing.assert_allclose(adjusted_closes(close, DAYS, actions), expected, rtol=1e-15)


def test_without_actions_nothing_changes_and_actions_of_two_symbols_are_refused():
    close = np.array([1.0, 2, 3, 4, 5])
    np.testing.assert_array_equal(adjusted_closes(close, DAYS, ()), close)
    with pytest.raises(ConfigurationError, match=r"'actions' must belong to one symbol, was \['A', 'B'\]"):
        adjusted_closes(close, DAYS, [CorporateAction(s, 2, SPLIT, 2.0) for s in "AB"])
