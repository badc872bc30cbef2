"""Outliers, clock drift and stale feeds, each on both sides of its limit; and the levels of enforcement."""

import datetime as dt

import numpy as np
import pytest

from fairlead.contracts import Enforcement, EnforcementSettings
from fairlead.contracts.quality import ClockDrift, clock_drift, is_stale
from fairlead.contracts.quality.outliers import DEVIATIONS, OutlierWatch
from fairlead.core.errors import ConfigurationError, GateError
from fairlead.core.time import NS_PER_SECOND, BarSize, to_ns
from fairlead.data.calendars import ExchangeCalendar


def closes(returns) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.concatenate([[0.0], returns])))


def slow(close: np.ndarray) -> np.ndarray:
    """The rule as it is written, window by window."""
    returns = np.diff(np.log(close))
    mask = np.zeros(len(close), bool)
    for t, size in enumerate(np.abs(returns)):
        window = returns[max(0, t - 500) : t]
        mad = np.median(np.abs(window - np.median(window))) if len(window) >= 30 else 0.0
        mask[t + 1] = size > 0.5 or (mad > 0 and size > 10 * 1.4826 * mad)
    return mask


@pytest.mark.parametrize("seed", range(4))
def test_outliers_are_those_of_the_rule_as_written(seed):
    """Heavy tails, long runs of no change, even and odd windows."""
    rng = np.random.default_rng([3000, seed])
    returns = rng.standard_t(1.5, 1300) * 1e-4
    returns[rng.random(1300) < 0.15 * seed] = 0.0
    returns = np.clip(returns, -1, 1)
    close = closes(returns)
    expected = slow(close)
    assert expected.sum() > 0
    assert np.array_equal(OutlierWatch().add(close), expected)
    watch = OutlierWatch()
    pieces = [watch.add(piece) for piece in np.array_split(close, 7)]
    assert np.array_equal(np.concatenate(pieces), expected)


def test_ten_deviations_are_the_limit():
    returns = np.where(np.arange(500) % 2, 1e-3, -1e-3)  # a median of 0 and a MAD of 0.001
    at_the_limit = DEVIATIONS * 1e-3
    for factor, found in ((0.999, False), (1.001, True), (-0.999, False), (-1.001, True)):
        assert OutlierWatch().add(closes([*returns, factor * at_the_limit]))[-1] == found


def test_half_a_log_unit_is_an_outlier_whatever_came_before():
    """An unrecorded split of two to one is; with the action on record it is excused."""
    assert OutlierWatch().add(np.array([100.0, 50.0])).tolist() == [False, True]
    assert OutlierWatch().add(np.array([100.0, 61.0])).tolist() == [False, False]
    assert OutlierWatch().add(np.array([100.0, 50.0]), np.array([False, True])).tolist() == [False, False]
    assert OutlierWatch().add(np.array([100.0, np.nan, 0.0, 50.0])).tolist() == [False, False, False, True]
    assert OutlierWatch().add(np.empty(0)).tolist() == []


def test_where_prices_do_not_move_the_deviation_says_nothing():
    assert not OutlierWatch().add(closes([0.0] * 100 + [0.01])).any()


@pytest.mark.parametrize(
    ("drift", "verdict"),
    [
        (0.0, "ok"),
        (50.0, "ok"),
        (-50.1, "warning"),
        (250.0, "warning"),
        (250.1, "reject"),
        (-1e9, "reject"),
        (float("nan"), "reject"),
    ],
)
def test_clock_drift(drift, verdict):
    assert clock_drift(drift) is ClockDrift(verdict)


@pytest.mark.parametrize(
    ("last", "now", "size", "stale"),
    [
        ("2024-07-01T14:00:00", "2024-07-01T14:04:59", BarSize.M1, False),
        ("2024-07-01T14:00:00", "2024-07-01T14:05:00", BarSize.M1, True),
        ("2024-07-01T14:00:00", "2024-07-01T14:24:59", BarSize.M5, False),
        ("2024-07-01T14:00:00", "2024-07-01T14:25:00", BarSize.M5, True),
        ("2024-06-28T19:59:00", "2024-07-01T13:34:59", BarSize.M1, False),  # the session is 5 minutes old
        ("2024-06-28T19:59:00", "2024-07-01T13:35:00", BarSize.M1, True),
        ("2024-06-28T19:00:00", "2024-06-30T12:00:00", BarSize.M1, False),  # no session
        ("2024-07-01T14:00:00", "2024-07-01T20:00:00", BarSize.M1, False),  # closed
    ],
)
def test_a_feed_is_stale_after_five_bars_of_silence_in_session(last, now, size, stale):
    stamps = [to_ns(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)) for text in (last, now)]
    assert is_stale(*stamps, size, ExchangeCalendar.get("XNYS")) is stale


def test_lunch_is_not_silence():
    noon = to_ns(dt.datetime(2024, 7, 2, 4, 0, tzinfo=dt.UTC))
    calendar = ExchangeCalendar.get("XHKG")
    resumed = noon + 3600 * NS_PER_SECOND
    assert not is_stale(noon, noon + 1800 * NS_PER_SECOND, BarSize.M1, calendar)
    assert not is_stale(noon, resumed + 299 * NS_PER_SECOND, BarSize.M1, calendar)
    assert is_stale(noon, resumed + 300 * NS_PER_SECOND, BarSize.M1, calendar)


def test_everything_is_enforced_unless_the_environment_says_otherwise():
    assert EnforcementSettings() == EnforcementSettings(contracts="enforce", slas="enforce", guards="enforce")
    given = {"ENABLE_CONTRACTS": "Warn", "ENABLE_SLA_CHECKS": "0", "ENABLE_RISK_GUARDS": "true", "OTHER": "off"}
    assert EnforcementSettings().switched(given) == EnforcementSettings(contracts="warn", slas="off", guards="enforce")
    assert EnforcementSettings(guards="off").switched({"ENABLE_RISK_GUARDS": ""}).guards is Enforcement.OFF
    assert EnforcementSettings(guards="off").switched({"ENABLE_RISK_GUARDS": "1"}).guards is Enforcement.ENFORCE


def test_a_misspelt_switch_turns_nothing_off():
    with pytest.raises(ConfigurationError, match="'ENABLE_CONTRACTS' must be off, warn, enforce, 1 or 0, was 'of'"):
        EnforcementSettings().switched({"ENABLE_CONTRACTS": "of"})


def test_a_level_skips_warns_or_refuses():
    asked, told = [], []

    def check():
        asked.append(1)
        return GateError("late")

    Enforcement.OFF.apply(check, told.append)
    assert (asked, told) == ([], [])
    Enforcement.WARN.apply(check, told.append)
    assert (asked, told) == ([1], ["late"])
    with pytest.raises(GateError, match="late"):
        Enforcement.ENFORCE.apply(check, told.append)
    Enforcement.ENFORCE.apply(lambda: None, told.append)
    assert told == ["late"]
