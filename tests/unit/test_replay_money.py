"""Costs, equity and metrics of the replay, worked out by hand (domain rules 6.9 to 6.11)."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from fairlead.backtest.replay import ReplayCosts, ReplaySettings, simulate_insidebar_from_orders
from fairlead.backtest.replay.bars import end_ns
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderType
from fairlead.core.time import format_utc
from fairlead.data.calendars import ExchangeCalendar
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from support_replay import OPENING, at, bars, replayed, row

QUIET = (100.5, 100.7, 100.4, 100.5)
WON = [QUIET, (100.8, 101.1, 100.7, 101.05), (101.2, 101.9, 101.0, 101.5), QUIET]
"""In at 101.00 in bar 1, out at 101.80 in bar 2."""
LOST = [QUIET, (100.8, 101.1, 100.7, 101.05), (101.0, 101.1, 100.5, 100.9), QUIET]
"""Out at 100.60 instead."""


def days(*sessions):
    """Sessions on consecutive days."""
    parts = [bars(*rows).with_columns(ts=bars(*rows)["ts"] + dt.timedelta(days=i)) for i, rows in enumerate(sessions)]
    return parts[0].vstack(parts[1]) if len(parts) == 2 else parts[0].vstack(parts[1]).vstack(parts[2])


def orders_on(*numbers):
    shift = [dt.timedelta(days=number) for number in numbers]
    return [row(oco_id=f"day{i}", valid_from=at(1) + step, valid_to=at(12) + step) for i, step in enumerate(shift)]


def test_costs_of_a_winner(tmp_path):
    """10 units, 101.00 to 101.80, slippage 10 bps, commission 20 bps."""
    result = replayed(tmp_path, [row()], bars(*WON), costs={"commission_bps": 20, "slippage_bps": 10})
    (trade,) = result.trades.to_dict("records")
    bought, sold = 101.0 * 1.001, 101.8 * 0.999
    commission = 10 * (bought + sold) * 0.002
    assert trade["entry_exec_price"] == pytest.approx(101.101, rel=1e-12)
    assert trade["exit_exec_price"] == pytest.approx(101.6982, rel=1e-12)
    assert trade["gross_pnl"] == pytest.approx(8.0, rel=1e-12)
    assert trade["commission_cost"] == pytest.approx(commission, rel=1e-12) == pytest.approx(4.055984, rel=1e-9)
    assert trade["net_pnl"] == pytest.approx(5.972 - 4.055984, rel=1e-9)
    assert trade["slippage_cost"] == pytest.approx(8.0 - 5.972, rel=1e-9)
    # Cash changes by the net profit and nothing else.
    assert result.metrics["final_cash"] == pytest.approx(10_000 + trade["net_pnl"], rel=1e-14)
    fills = result.filled_orders
    assert fills["fill_type"].tolist() == ["ENTRY", "EXIT"]
    assert fills["commission"].sum() == pytest.approx(commission)
    assert fills["slippage"].tolist() == pytest.approx([1.01, 1.018])


def test_slippage_may_spare_limits(tmp_path):
    """A take-profit is a limit order; a stop is none."""
    costs = {"commission_bps": 0, "slippage_bps": 10, "slippage_on_limits": False}
    won = replayed(tmp_path, [row()], bars(*WON), costs=costs).trades
    assert (won["entry_exec_price"][0], won["exit_exec_price"][0]) == (pytest.approx(101.101), 101.8)
    lost = replayed(tmp_path, [row()], bars(*LOST), costs=costs).trades
    assert lost["exit_exec_price"][0] == pytest.approx(100.6 * 0.999)
    entry = row(order_type=OrderType.LIMIT, stop_price=None, limit_price="100.65", take_profit_price="101.80")
    limited = replayed(tmp_path, [entry], bars(QUIET, *WON[1:2], (100.9, 101.0, 100.6, 100.8)), costs=costs)
    assert limited.trades["entry_exec_price"][0] == 100.65


@pytest.mark.parametrize(
    ("commission", "expected"),
    [
        ({"model": "per_share", "params": {"per_share": 0.01, "minimum": 1.0}}, 2.0),
        ({"model": "per_share", "params": {"per_share": 0.2, "minimum": 1.0}}, 4.0),
        ({"model": "per_order", "params": {"amount": 0.75}}, 1.5),
        ({"model": "tiered", "params": {"tiers": [{"per_unit": 0.1, "up_to": 10}, {"per_unit": 0.05}]}}, 1.5),
        ({"model": "none"}, 0.0),
    ],
)
def test_commission_models(tmp_path, commission, expected):
    """Entry and exit are two orders; the second meets the volume of the first."""
    costs = {"commission": commission, "slippage_bps": 0}
    assert replayed(tmp_path, [row()], bars(*WON), costs=costs).trades["commission_cost"][0] == pytest.approx(expected)


def test_the_multiplier_scales_money_and_not_prices(tmp_path):
    """Profit, commission and turnover are those of the value."""
    grid = {"AAPL": Instrument(symbol="AAPL", multiplier=100.0)}
    result = replayed(tmp_path, [row()], bars(*WON), costs={"commission_bps": 10, "slippage_bps": 0}, instruments=grid)
    assert result.trades["gross_pnl"][0] == pytest.approx(800.0)
    assert result.trades["commission_cost"][0] == pytest.approx(10 * 100 * 202.8 * 0.001)
    assert result.metrics["turnover"] == pytest.approx(10 * 100 * 202.8 / 10_000)


def test_equity_is_marked_at_every_bar_of_every_symbol(tmp_path):
    """Two symbols: the mark of one stands while only the other trades. The first point is the start."""
    other = bars(QUIET, QUIET, QUIET, QUIET, QUIET, symbol="ZION")
    mine = bars(QUIET, (100.8, 101.1, 100.7, 101.05))
    late = bars((101.2, 101.9, 101.0, 101.5), first=4)
    result = replayed(tmp_path, [row()], other.vstack(mine).vstack(late), costs={"commission_bps": 100, "slippage_bps": 0})
    fee = 10 * 101.0 * 0.01
    open_ = 10_000 + 10 * (101.05 - 101.0) - fee
    closed = 10_000 + 8.0 - fee - 10 * 101.8 * 0.01
    assert result.equity.index[0] == OPENING
    assert result.equity["equity"].tolist() == pytest.approx([10_000, 10_000, open_, open_, open_, closed])
    assert result.equity.index.tolist()[1:] == [at(i) for i in range(1, 6)]
    assert result.equity["drawdown"].tolist() == pytest.approx(
        [0, 0, 10_000 - open_] + [10_000 - open_] * 2 + [10_000 - closed]
    )
    assert result.equity["drawdown_pct"].iloc[-1] == pytest.approx(100 * (10_000 - closed) / 10_000)


def test_metrics_of_three_sessions(tmp_path):
    """A winner of 8, a loser of 4 and a session without a trade; every session counts for Sharpe."""
    result = replayed(tmp_path, orders_on(0, 1), days(WON, LOST, [QUIET] * 2), initial_cash=1000.0)
    found = result.metrics
    returns = np.array([0.008, -4 / 1008, 0.0])
    expected = {
        "initial_cash": 1000.0,
        "final_cash": 1004.0,
        "net_pnl": 4.0,
        "gross_pnl": 4.0,
        "num_trades": 2,
        "win_rate": 0.5,
        "pnl_per_trade": 2.0,
        "avg_trade": (8 - 4) / 1010 / 2,
        "avg_win": 8.0,
        "avg_loss": -4.0,
        "profit_factor": 2.0,
        # From the mark at 101.05 on the second day, 8.5 above the start.
        "max_drawdown": 4.5,
        "max_drawdown_pct": 100 * 4.5 / 1008.5,
        "sharpe": math.sqrt(252) * returns.mean() / returns.std(ddof=1),
        "sortino": math.sqrt(252) * returns.mean() / math.sqrt((returns[1] ** 2) / 3),
        "annualised_return": 1.004 ** (252 / 3) - 1,
        "annualised_vol": returns.std(ddof=1) * math.sqrt(252),
        "calmar": (1.004**84 - 1) / (4.5 / 1008.5),
        "exposure": 10 / (24 * 60 + 5),
        "turnover": (10 * 202.8 + 10 * 201.6) / 1000,
        "total_fees": 0.0,
        "total_slippage": 0.0,
        "avg_holding_minutes": 5.0,
        "fill_rate": 1.0,
    }
    assert set(found) == set(expected)
    assert found == {name: pytest.approx(value, rel=1e-9, abs=1e-9) for name, value in expected.items()}
    assert result.metrics["sharpe"] != pytest.approx(math.sqrt(252) * returns[:2].mean() / returns[:2].std(ddof=1))


def test_the_largest_relative_drawdown_is_not_the_largest_over_the_peak(tmp_path):
    """Both are measured against the peak of their time."""
    result = replayed(tmp_path, orders_on(0, 1), days(LOST, WON, [QUIET]), initial_cash=100.0)
    assert result.metrics["max_drawdown"] == pytest.approx(4.5)
    assert result.metrics["max_drawdown_pct"] == pytest.approx(100 * 4.5 / 100.5)
    assert result.metrics["final_cash"] == pytest.approx(104.0)


@pytest.mark.parametrize(
    ("options", "instant"),
    [
        ({"requested_end": "2025-01-06"}, dt.datetime(2025, 1, 6, 21, tzinfo=dt.UTC)),
        ({"requested_end": at(3)}, at(3)),
        ({}, at(12)),
    ],
)
def test_no_fill_is_one_point(tmp_path, options, instant):
    """At the requested end, else when the last order ends; metrics that need trades are null or 0."""
    result = replayed(tmp_path, [row()], bars(QUIET, QUIET, QUIET), **options)
    assert result.equity.index.tolist() == [instant]
    assert result.equity["equity"].tolist() == [10_000.0]
    assert result.trades.empty
    assert result.filled_orders["reason"].tolist() == ["order_expired"]
    zeros = ("net_pnl", "win_rate", "pnl_per_trade", "max_drawdown", "max_drawdown_pct", "exposure", "turnover", "fill_rate")
    nulls = ("sharpe", "sortino", "calmar", "profit_factor", "avg_trade", "avg_win", "avg_loss", "avg_holding_minutes")
    assert [result.metrics[name] for name in zeros] == [0.0] * len(zeros)
    assert [result.metrics[name] for name in nulls] == [None] * len(nulls)


def test_an_empty_order_file_is_one_point_at_the_last_bar(tmp_path):
    """The header alone is a file."""
    replayed(tmp_path, [row()], bars(QUIET))
    path = tmp_path / "orders.csv"
    path.write_text(path.read_text().split("\n")[0] + "\n")
    result = simulate_insidebar_from_orders(path, bars(QUIET, QUIET), bar_size="5min")
    assert result.equity.index.tolist() == [at(2)]
    assert (len(result.orders), len(result.filled_orders), result.metrics["fill_rate"]) == (0, 0, None)


def test_bars_after_the_requested_end_are_left_out(tmp_path):
    """The position is closed in the last bar that is left."""
    result = replayed(tmp_path, [row()], bars(*WON), requested_end=at(2))
    assert result.trades["exit_reason"].tolist() == ["session_end"]
    assert result.equity.index[-1] == at(2)
    with pytest.raises(DataNotFound, match="no bar that closes by"):
        replayed(tmp_path, [row()], bars(*WON), requested_end=at(0))


@pytest.mark.parametrize(
    ("calendar", "day", "close"),
    [
        ("XNYS", "2025-01-06", "2025-01-06T21:00"),
        ("XNYS", "2025-01-05", "2025-01-03T21:00"),
        ("XNYS", "2024-11-29", "2024-11-29T18:00"),
        # Monday's session begins in Sydney while it is Sunday in UTC.
        ("XASX", "2025-01-05", "2025-01-03T05:00"),
        ("XASX", "2025-01-06", "2025-01-06T05:00"),
    ],
)
def test_a_date_ends_with_its_session_or_the_last_one_before_it(calendar, day, close):
    found = end_ns(ReplaySettings(calendar=calendar, requested_end=day), ExchangeCalendar.get(calendar))
    assert format_utc(found).startswith(close)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tz": "Mars"}, "tz"),
        ({"calendar": "MARS"}, "exchange calendar"),
        ({"initial_cash": 0}, "initial_cash"),
        ({"requested_end": "soon"}, "requested_end"),
        ({"requested_end": "2025-01-06T10:00"}, "requested_end"),
        ({"windows": ("9-10",)}, "windows"),
        ({"windows": ("09:30-11:00", "10:00-12:00")}, "windows"),
        ({"windows": ("09:30-11:00",)}, "'windows' must be empty with exit_policy 'session_end'"),
        ({"exit_policy": "never"}, "exit_policy"),
        ({"nonsense": 1}, "nonsense"),
        ({"costs": {"commission_bps": 1, "commission": {"model": "none"}}}, "commission_bps"),
        ({"costs": {"slippage": {"model": "square_root"}}}, "slippage"),
        ({"costs": {"commission_bps": -1}}, "bps"),
        ({"bar_size": "1d"}, "bar_size"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path, options, named):
    """Before anything is replayed."""
    with pytest.raises(ConfigurationError, match=named):
        replayed(tmp_path, [row()], bars(*WON), **options)


def test_refused_bars_stop_everything(tmp_path):
    """Every broken rule is named; so are orders without bars."""
    with pytest.raises(ContractError, match="D09"):
        replayed(tmp_path, [row()], bars(QUIET, (100.8, 100.0, 100.7, 101.05)))
    with pytest.raises(ContractError, match="I02"):
        replayed(tmp_path, [row()], bars(QUIET, first=-3))
    with pytest.raises(ContractError, match="time zone"):
        replayed(tmp_path, [row()], bars(QUIET).with_columns(ts=bars(QUIET)["ts"].dt.replace_time_zone(None)))
    with pytest.raises(ContractError, match="MSFT"):
        replayed(tmp_path, [row(symbol="MSFT")], bars(QUIET))


def test_settings_like_those_of_a_backtest():
    """Costs and switches are taken over; the rest can be given."""
    execution = ExecutionSettings(
        slippage=SlippageSettings(params={"bps": 3}), limit_fill_on_touch=True, oco_same_bar="no_fill", slippage_on_limits=False
    )
    found = ReplaySettings.like(execution, initial_cash=5.0)
    assert found.costs == ReplayCosts(slippage={"model": "fixed", "params": {"bps": 3}}, slippage_on_limits=False)
    assert (found.limit_fill_on_touch, found.target_fill_on_touch, found.oco_same_bar_policy) == (True, True, "no_fill")
    assert found.initial_cash == 5.0
    assert not ReplaySettings.like(ExecutionSettings()).target_fill_on_touch


@pytest.mark.parametrize(
    ("given", "code", "status"),
    [
        ({}, "LOOKAHEAD_SUSPECTED", None),
        ({"oco_id": "AAPL_20250106_143600"}, "LOOKAHEAD_SUSPECTED", "FAIL"),
        ({"valid_from": at(1) - dt.timedelta(minutes=1)}, "SIGNAL_GRID_VIOLATION", "FAIL"),
    ],
)
def test_evidence_against_a_trade(tmp_path, given, code, status):
    """An order that is valid before its setup is known, or off the grid of the signal bars."""
    given = {"oco_id": "AAPL_20250106_143000", **given} if "valid_from" in given else given
    (trade,) = replayed(tmp_path, [row(**given)], bars(*WON)).trades.to_dict("records")
    assert (code in trade["evidence_codes"].split(";")) == (status is not None)
    assert trade["evidence_status"] == (status or "WARN")


def test_minutes_that_do_not_fit_the_signal_bars_are_suspected_of_another_zone(tmp_path):
    """The minute of the entry lies outside its signal bar."""
    minutes = bars((100.9, 101.3, 100.85, 101.2), (101.2, 101.3, 101.1, 101.2), first=5, minutes=1)
    (trade,) = replayed(tmp_path, [row()], bars(*WON), minutes).trades.to_dict("records")
    assert trade["evidence_codes"].endswith("TZ_MIXED_DETECTED")
    assert trade["evidence_status"] == "WARN"
