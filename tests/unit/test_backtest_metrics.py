"""Every formula against a number worked out by hand."""

import math

import numpy as np
import pytest

from fairlead.backtest import metrics as m
from fairlead.core.time import NS_PER_DAY, date_to_day

R = np.array([0.01, -0.02, 0.03, 0.00])
# mean 0.005, deviations .005 -.025 .025 -.005, sum of squares 0.0013
STD = math.sqrt(0.0013 / 3)


def days(*texts):
    return np.array([date_to_day(np.datetime64(t, "D").item()) for t in texts], dtype=np.int32)


def test_session_closes_takes_the_last_value_of_each_session():
    """Three bars on one day and one on the next give two closes."""
    dates, closes = m.session_closes(np.array([5, 5, 5, 6], dtype=np.int32), np.array([1.0, 2.0, 3.0, 4.0]))
    assert dates.tolist() == [5, 6]
    assert closes.tolist() == [3.0, 4.0]


def test_the_first_return_is_measured_against_the_initial_cash():
    """100 -> 110 -> 99 is +10 % and -10 %."""
    assert m.simple_returns(np.array([110.0, 99.0]), 100.0) == pytest.approx([0.10, -0.10])


def test_returns_after_ruin_are_undefined():
    """From an equity of 0 nothing can be measured."""
    returns = m.simple_returns(np.array([0.0, 50.0]), 100.0)
    assert returns[0] == -1.0
    assert np.isnan(returns[1])
    assert m.sharpe(returns) is None
    assert m.value_at_risk(returns) is None


def test_monthly_returns_chain_month_ends():
    """100 -> 120 in January, -> 90 in March: +20 % and -25 %."""
    months, returns = m.monthly_returns(days("2024-01-02", "2024-01-31", "2024-03-01"), np.array([110.0, 120.0, 90.0]), 100.0)
    assert months.tolist() == [54 * 12, 54 * 12 + 2]
    assert returns == pytest.approx([0.20, -0.25])


def test_growth():
    """Doubling in 126 sessions is +300 % per 252; doubling in 365.25 days is a CAGR of 100 %."""
    assert m.total_return(100.0, 150.0) == 0.5
    assert m.annualised_return(100.0, 200.0, 126) == pytest.approx(3.0)
    assert m.cagr(100.0, 200.0, 0, int(365.25 * NS_PER_DAY)) == pytest.approx(1.0)


@pytest.mark.parametrize(("final", "sessions"), [(0.0, 10), (-5.0, 10), (100.0, 0)])
def test_growth_is_undefined_when_nothing_is_left_or_no_time_passed(final, sessions):
    """A ruined account has no geometric growth."""
    assert m.annualised_return(100.0, final, sessions) is None
    assert m.cagr(100.0, final, 0, sessions * NS_PER_DAY) is None


def test_growth_beyond_float_is_undefined():
    """A hundredfold gain in a minute has no yearly rate."""
    assert m.annualised_return(1.0, 1e6, 1) is None


def test_volatility_and_sharpe():
    """Sample deviation (ddof 1), times the root of 252."""
    assert m.annualised_vol(R) == pytest.approx(STD * math.sqrt(252))
    assert m.sharpe(R) == pytest.approx(math.sqrt(252) * 0.005 / STD)
    assert m.sharpe(R, risk_free=0.252) == pytest.approx(math.sqrt(252) * 0.004 / STD)


def test_sortino_divides_by_the_downside_of_all_sessions():
    """One shortfall of 0.02 in four sessions: downside deviation 0.01."""
    assert m.sortino(R) == pytest.approx(math.sqrt(252) * 0.005 / 0.01)
    assert m.sortino(np.array([0.01, 0.02])) is None


@pytest.mark.parametrize("returns", [np.array([]), np.array([0.01]), np.full(50, 0.1)])
def test_ratios_are_undefined_below_two_returns_or_without_deviation(returns):
    """Equal returns have a deviation near 1e-17, which must count as none."""
    assert m.sharpe(returns) is None
    assert m.sortino(returns) is None
    assert m.information_ratio(returns, np.zeros(len(returns))) is None


def test_volatility_needs_two_returns():
    """One return has no deviation; equal ones have a deviation of 0."""
    assert m.annualised_vol(np.array([0.1])) is None
    assert m.annualised_vol(np.array([0.5, 0.5])) == 0.0


def test_the_largest_relative_drawdown_is_not_the_largest_currency_drawdown_over_the_global_peak():
    """100 -> 50 is 50 %; 1000 -> 900 is the larger loss but 10 %."""
    below, percent = m.drawdowns(np.array([100.0, 50.0, 1000.0, 900.0]), 100.0)
    assert below.max() == 100.0
    assert percent.max() == 50.0


def test_drawdown_counts_from_the_initial_cash():
    """An account that only falls is below its start."""
    below, percent = m.drawdowns(np.array([90.0, 80.0]), 100.0)
    assert below.tolist() == [10.0, 20.0]
    assert percent.tolist() == [10.0, 20.0]


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        ([100.0, 100.0, 101.0], 0.0),
        ([100.0, 90.0, 95.0, 100.0, 99.0], 3.0),  # peak at day 0, recovered on day 3
        ([100.0, 110.0, 105.0, 100.0, 90.0], 3.0),  # peak at day 1, never recovered
        ([90.0, 90.0, 90.0], 2.0),  # below the start from the first instant
        ([90.0, 100.0, 101.0], 1.0),
        ([100.0, 110.0, 109.0], 1.0),
        ([100.0, 110.0, 109.0, 110.0, 109.0, 109.0, 108.0], 3.0),
    ],
)
def test_longest_drawdown_runs_from_peak_to_recovery_or_end(equity, expected):
    """In calendar days."""
    stamps = np.arange(len(equity), dtype=np.int64) * NS_PER_DAY
    assert m.longest_drawdown_days(stamps, np.array(equity), 100.0) == expected


def test_longest_drawdown_of_nothing_is_none():
    """A run without an instant has no drawdown."""
    assert m.longest_drawdown_days(np.array([], dtype=np.int64), np.array([]), 100.0) == 0.0


def test_calmar_and_ulcer():
    """12 % per year over a drawdown of 6 % is 2; drawdowns of 0, 10 and 20 % have a root mean square of sqrt(500/3)."""
    assert m.calmar(0.12, 6.0) == pytest.approx(2.0)
    assert m.calmar(0.12, 0.0) is None
    assert m.calmar(None, 6.0) is None
    assert m.ulcer_index(np.array([100.0, 90.0, 80.0]), 100.0) == pytest.approx(math.sqrt(500 / 3))
    assert m.ulcer_index(np.array([]), 100.0) is None


def test_skew_and_kurtosis():
    """Values 0, 0, 0, 4: mean 1, m2 3, m3 6, m4 21, so skew 6/3^1.5 and excess kurtosis 21/9 - 3."""
    values = np.array([0.0, 0.0, 0.0, 4.0])
    assert m.skewness(values) == pytest.approx(6 / 3**1.5)
    assert m.kurtosis(values) == pytest.approx(21 / 9 - 3)
    assert m.skewness(values[:2]) is None
    assert m.kurtosis(values[:3]) is None
    assert m.kurtosis(np.zeros(9)) is None


def test_value_at_risk_and_expected_shortfall():
    """Of -10 ... +10 % in steps of 1 %, the 5 % quantile is -9 %; the tail is -10 and -9."""
    returns = np.arange(-10, 11) / 100
    assert m.value_at_risk(returns) == pytest.approx(0.09)
    assert m.conditional_value_at_risk(returns) == pytest.approx(0.095)
    assert m.value_at_risk(np.array([])) is None
    assert str(m.value_at_risk(np.zeros(5))) == "0.0"
    assert m.conditional_value_at_risk(np.array([])) is None


def test_tail_ratio():
    """Gains twice as long as losses have a ratio of 2; without a lower tail there is none."""
    assert m.tail_ratio(np.concatenate([np.full(50, -0.01), np.full(50, 0.02)])) == pytest.approx(2.0)
    assert m.tail_ratio(np.zeros(10)) is None
    assert m.tail_ratio(np.array([])) is None


def test_beta_alpha_correlation_and_information_ratio():
    """Twice the benchmark plus 1 % a day: beta 2, alpha 2.52, correlation 1."""
    benchmark = np.array([0.01, -0.01, 0.02, 0.00])
    mine = 2 * benchmark + 0.01
    assert m.beta(mine, benchmark) == pytest.approx(2.0)
    assert m.alpha(mine, benchmark) == pytest.approx(2.52)
    assert m.alpha(mine, benchmark, risk_free=0.252) == pytest.approx(2.52 + 0.252)
    assert m.correlation(mine, benchmark) == pytest.approx(1.0)
    assert m.correlation(-mine, benchmark) == pytest.approx(-1.0)
    active = benchmark + 0.01  # mean 0.015, sum of squared deviations 0.0005
    assert m.information_ratio(mine, benchmark) == pytest.approx(math.sqrt(252) * active.mean() / math.sqrt(0.0005 / 3))


def test_nothing_is_said_about_a_benchmark_that_does_not_move():
    """Beta divides by its variance."""
    flat = np.zeros(4)
    assert m.beta(R, flat) is None
    assert m.alpha(R, flat) is None
    assert m.correlation(R, flat) is None
    assert m.correlation(R[:1], R[:1]) is None
    assert m.beta(R[:1], R[:1]) is None


def test_rolling_sharpe_equals_sharpe_of_each_window():
    """Batch and window agree; a window without deviation is NaN; too short a run gives nothing."""
    rolled = m.rolling_sharpe(R, 3)
    assert rolled == pytest.approx([m.sharpe(R[:3]), m.sharpe(R[1:])])
    assert np.isnan(m.rolling_sharpe(np.zeros(5), 3)).all()
    assert len(m.rolling_sharpe(R, 5)) == 0


def test_empty_inputs_give_empty_outputs():
    """Zero sessions are legal."""
    nothing = np.array([])
    no_days = np.array([], dtype=np.int32)
    assert len(m.session_closes(no_days, nothing)[1]) == 0
    assert len(m.simple_returns(nothing, 1.0)) == 0
    assert len(m.monthly_returns(no_days, nothing, 1.0)[1]) == 0
    assert len(m.running_peak(nothing, 1.0)) == 0
