"""Every kill switch at, below and beyond its levels, and the settings that state them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.contracts.settings import build_settings
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_MINUTE
from fairlead.risk.monitors import (
    DrawdownGrade,
    EquityWatch,
    HaltAction,
    KillSwitchSettings,
    Level,
    MonitorView,
    critical,
    drawdown_grade,
    evaluate,
    warnings,
)
from fairlead.risk.monitors.watch import NS_PER_HOUR

FLATTEN, INVESTIGATE = HaltAction.HALT_AND_FLATTEN, HaltAction.HALT_AND_INVESTIGATE
OPTED = KillSwitchSettings.model_validate({"daily": {"strategies": ["ml"]}, "drawdown_ml": {"strategies": ["ml"]}})


def view(**values) -> MonitorView:
    return MonitorView(
        **{"equity": 100.0, "epoch_equity": 100.0, "peak_equity": 100.0, "session_start_equity": 100.0, **values}
    )


def reading(switch, settings=OPTED, **values):
    return {r.switch.value: r for r in evaluate(view(**values), settings)}[switch]


def daily(sharpe: float, n: int = 40) -> tuple[float, ...]:
    """Returns of two values whose Sharpe ratio per observation is `sharpe`."""
    deviation = math.sqrt(n / (n - 1))
    return tuple(sharpe * deviation + (1.0 if i % 2 else -1.0) for i in range(n))


# With skewness 0 and kurtosis 1 the ratio is Phi(SR sqrt(T - 1)); 0.52440 and 0.84162 are the quantiles of 0.30 and 0.20.
ROOT = math.sqrt(39)


@pytest.mark.parametrize(
    ("switch", "action", "values", "level"),
    [
        ("KS_PNL", FLATTEN, {"equity": 97.0}, Level.OK),
        ("KS_PNL", FLATTEN, {"equity": 96.99}, Level.WARNING),
        ("KS_PNL", FLATTEN, {"equity": 95.0}, Level.WARNING),
        ("KS_PNL", FLATTEN, {"equity": 94.99}, Level.CRITICAL),
        ("KS_DD", FLATTEN, {"equity": 180.0, "peak_equity": 200.0}, Level.OK),
        ("KS_DD", FLATTEN, {"equity": 179.9, "peak_equity": 200.0}, Level.WARNING),
        ("KS_DD", FLATTEN, {"equity": 170.0, "peak_equity": 200.0}, Level.WARNING),
        ("KS_DD", FLATTEN, {"equity": 169.9, "peak_equity": 200.0}, Level.CRITICAL),
        ("KS_PSR", INVESTIGATE, {"daily_returns": daily(-0.52 / ROOT)}, Level.OK),
        ("KS_PSR", INVESTIGATE, {"daily_returns": daily(-0.53 / ROOT)}, Level.WARNING),
        ("KS_PSR", INVESTIGATE, {"daily_returns": daily(-0.84 / ROOT)}, Level.WARNING),
        ("KS_PSR", INVESTIGATE, {"daily_returns": daily(-0.85 / ROOT)}, Level.CRITICAL),
        ("KS_PSR", INVESTIGATE, {"daily_returns": daily(-0.85 / ROOT)[:29]}, Level.OK),
        ("KS_PSR", INVESTIGATE, {"daily_returns": (-0.01,) * 60}, Level.OK),
        ("KS_DAILY", FLATTEN, {"equity": 98.4, "strategy": "ml"}, Level.OK),
        ("KS_DAILY", FLATTEN, {"equity": 98.39, "strategy": "ml"}, Level.WARNING),
        ("KS_DAILY", FLATTEN, {"equity": 98.0, "strategy": "ml"}, Level.WARNING),
        ("KS_DAILY", FLATTEN, {"equity": 97.99, "strategy": "ml"}, Level.CRITICAL),
        ("KS_DD_ML", FLATTEN, {"equity": 92.0, "strategy": "ml"}, Level.OK),
        ("KS_DD_ML", FLATTEN, {"equity": 91.9, "strategy": "ml"}, Level.WARNING),
        ("KS_DD_ML", FLATTEN, {"equity": 90.0, "strategy": "ml"}, Level.WARNING),
        ("KS_DD_ML", FLATTEN, {"equity": 89.9, "strategy": "ml"}, Level.CRITICAL),
        ("KS_CONN", FLATTEN, {"connection_failures": 1}, Level.OK),
        ("KS_CONN", FLATTEN, {"connection_failures": 2}, Level.WARNING),
        ("KS_CONN", FLATTEN, {"connection_failures": 3}, Level.WARNING),
        ("KS_CONN", FLATTEN, {"connection_failures": 4}, Level.CRITICAL),
        ("KS_RECON", INVESTIGATE, {}, Level.OK),
        ("KS_RECON", INVESTIGATE, {"position_mismatches": 1, "is_strict": False}, Level.WARNING),
        ("KS_RECON", INVESTIGATE, {"position_mismatches": 1}, Level.CRITICAL),
        ("KS_MANUAL", INVESTIGATE, {}, Level.OK),
        ("KS_MANUAL", FLATTEN, {"command": FLATTEN}, Level.CRITICAL),
        ("KS_MANUAL", INVESTIGATE, {"command": INVESTIGATE}, Level.CRITICAL),
    ],
)
def test_levels(switch, action, values, level):
    """Exactly at a level is not beyond it; connection failures warn from their level on."""
    found = reading(switch, **values)
    assert (found.level, found.action) == (level, action)
    assert found.strategy == values.get("strategy", "")


def test_quiet_day_trips_nothing():
    found = evaluate(view(), KillSwitchSettings())
    assert [r.switch.value for r in found] == ["KS_PNL", "KS_DD", "KS_PSR", "KS_CONN", "KS_RECON", "KS_MANUAL"]
    assert critical(found) == warnings(found) == ()


def test_readings_are_sorted_into_those_that_halt_and_those_that_warn():
    found = evaluate(view(equity=94.0, connection_failures=2), KillSwitchSettings())
    assert [r.text for r in critical(found)] == ["KS_PNL CRITICAL: 6, warning 3, critical 5"]
    assert [r.switch.value for r in warnings(found)] == ["KS_CONN"]


def test_strategies_opt_in():
    """A strategy's book is watched by the switches that name it, and by no other."""
    assert evaluate(view(strategy="other", equity=1.0), OPTED) == ()
    assert [r.switch.value for r in evaluate(view(strategy="ml"), OPTED)] == ["KS_DAILY", "KS_DD_ML"]
    assert OPTED.watched_strategies == ("ml",)


def test_a_session_can_opt_in_too():
    settings = KillSwitchSettings.model_validate({"daily": {"session": True}})
    assert reading("KS_DAILY", settings, equity=97.0).level is Level.CRITICAL


def test_disabled_switches_are_not_asked():
    settings = KillSwitchSettings(disabled=("KS_PSR", "KS_PNL"))
    assert {"KS_PSR", "KS_PNL"}.isdisjoint(r.switch.value for r in evaluate(view(equity=1.0), settings))


@pytest.mark.parametrize(
    "values",
    [{"equity": math.nan}, {"equity": math.inf}, {"epoch_equity": 0.0}, {"epoch_equity": -5.0}, {"epoch_equity": math.nan}],
)
def test_what_cannot_be_measured_is_unknown(values):
    """Neither a halt nor all clear: someone hears of it, and no new risk is taken."""
    found = reading("KS_PNL", **values)
    assert found.level is Level.UNKNOWN
    assert "not known" in found.text
    assert found in warnings([found])


def test_returns_that_are_not_known_make_the_psr_unknown():
    assert reading("KS_PSR", daily_returns=(*daily(0.1), math.nan)).level is Level.UNKNOWN


def test_only_the_last_252_returns_count():
    assert reading("KS_PSR", daily_returns=(*daily(-1.0, 300), *daily(1.0, 252))).measured > 0.99


@pytest.mark.parametrize(
    ("equity", "grade", "factor"),
    [(90.0, "NORMAL", 1.0), (89.9, "REDUCE", 0.5), (85.0, "REDUCE", 0.5), (84.9, "HALT", 0.0), (math.nan, "HALT", 0.0)],
)
def test_graded_drawdown(equity, grade, factor):
    settings = KillSwitchSettings.model_validate({"graded_drawdown": {"enabled": True}})
    found = drawdown_grade(view(equity=equity), settings)
    assert (found.value, found.gross_factor) == (grade, factor)


def test_without_the_option_nothing_is_reduced():
    assert drawdown_grade(view(equity=86.0), KillSwitchSettings()) is DrawdownGrade.NORMAL


@given(base=st.integers(1, 10**9), loss=st.integers(0, 10**9), level=st.sampled_from([1, 2, 3, 5, 10, 15]))
def test_inequality_is_strict_in_cents(base, loss, level):
    """Whole cents, and the rule in whole numbers: no rounding decides about a halt."""
    settings = KillSwitchSettings.model_validate({"pnl": {"warning_pct": level, "critical_pct": level}})
    equity = base - min(loss, base)
    found = reading("KS_PNL", settings, equity=equity / 100, epoch_equity=base / 100)
    assert (found.level is Level.CRITICAL) == (100 * (base - equity) > level * base)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"pnl": {"critical_pct": 0.05}}, "'critical_pct' must be in [0.1, 100], in percent, was 0.05. Write 5 for 5 percent"),
        ({"pnl": {"warning_pct": 6}}, "'warning_pct' must be at most critical_pct (5), was 6"),
        ({"drawdown": {"critical_pct": 101}}, "in percent"),
        ({"drawdown": {"critical_pct": True}}, "'critical_pct' must be a number, was True"),
        ({"psr": {"critical": 20}}, "less than 1"),
        ({"psr": {"critical": 0.4}}, "'warning' must be at least critical (0.4), was 0.3"),
        ({"connection": {"warning": 9}}, "'warning' must be at most one above critical (3), was 9"),
        ({"lock_hours": -1}, "lock_hours"),
        ({"cool_off_minutes": 2000}, "cool_off_minutes"),
        ({"disabled": ["KS_MANUAL"]}, "disabled"),
        ({"graded_drawdown": {"enabled": True, "reduce_pct": 15}}, "must be below drawdown.critical_pct (15), was 15"),
        ({"pln": {}}, "pln"),
    ],
)
def test_settings_out_of_range_are_refused(values, text):
    with pytest.raises(ConfigurationError) as raised:
        build_settings(KillSwitchSettings, values, "monitors")
    assert text in str(raised.value)


def test_one_level_can_be_changed_alone():
    settings = build_settings(KillSwitchSettings, {"daily": {"critical_pct": 3}}, "monitors")
    assert (settings.daily.warning_pct, settings.daily.critical_pct, settings.daily.session) == (1.6, 3.0, False)


def test_a_watch_keeps_epoch_peak_and_returns():
    watch = EquityWatch(1000.0)
    for session, equity in [(1, 1010.0), (1, 1100.0), (2, 990.0), (3, 1089.0)]:
        watch.mark(session, equity)
    seen = watch.view(0)
    assert (seen.epoch_equity, seen.peak_equity, seen.session_start_equity, seen.equity) == (1000.0, 1100.0, 990.0, 1089.0)
    assert seen.daily_returns == pytest.approx((0.10, -0.10))


def test_money_paid_in_or_out_is_no_profit():
    watch = EquityWatch(1000.0)
    watch.mark(1, 1000.0)
    watch.cash_flow(-500.0)
    watch.mark(1, 500.0)
    watch.mark(2, 500.0)
    assert watch.view(0).daily_returns == (0.0,)
    assert critical(evaluate(watch.view(0), KillSwitchSettings())) == ()


def test_failures_are_those_of_the_last_hour():
    watch = EquityWatch(1000.0)
    for minute in (0, 10, 59, 60):
        watch.connection_failed(minute * NS_PER_MINUTE)
    assert watch.view(NS_PER_HOUR).connection_failures == 3
    assert watch.view(3 * NS_PER_HOUR).connection_failures == 0


def test_a_missing_price_moves_no_peak_and_no_session():
    watch = EquityWatch(1000.0)
    watch.mark(1, 1100.0)
    watch.mark(1, math.nan)
    assert reading_of(watch) is Level.UNKNOWN
    watch.mark(2, math.nan)
    assert watch.view(0).session_start_equity == 1100.0
    watch.mark(2, 1100.0)
    assert reading_of(watch) is Level.OK


def reading_of(watch: EquityWatch) -> Level:
    return evaluate(watch.view(0), KillSwitchSettings())[0].level


def test_rearm_begins_an_epoch_but_no_session():
    watch = EquityWatch(1000.0)
    watch.mark(1, 1200.0)
    watch.mark(2, 900.0)
    watch.rearm()
    seen = watch.view(0)
    assert (seen.epoch_equity, seen.peak_equity, seen.session_start_equity, seen.daily_returns) == (900.0, 900.0, 1200.0, ())


def test_a_watch_survives_a_restart():
    watch = EquityWatch(1000.0, "ml")
    for session in range(5):
        watch.mark(session, 1000.0 + 7 * session)
    watch.connection_failed(5)
    other = EquityWatch(1.0, "ml")
    other.load_state(watch.save_state())
    assert other.view(9) == watch.view(9)
