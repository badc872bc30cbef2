"""The scorecard: definitions of domain rule 6.10 on hand-made runs."""

import numpy as np
import pytest

from fairlead.backtest.scorecard import score
from fairlead.backtest.trades import ledger_of
from fairlead.core.orders import OrderStatus, OrderType
from support_records import Ask, Market, constant_market, simulate, weekdays


def scored(record, **kwargs):
    return score(record, ledger_of(record, kwargs.get("multipliers")))


def free(market, asks, **kwargs):
    return simulate(market, asks, commission_bps=0, slippage_bps=0, **kwargs)


def test_a_run_without_trades_has_the_neutral_values_of_the_domain():
    """0 trades: win rate and profit per trade 0.0, ratios null, nothing raised."""
    k = scored(simulate(constant_market(), []))
    assert (k["num_trades"], k["win_rate"], k["pnl_per_trade"], k["turnover"], k["exposure"]) == (0, 0.0, 0.0, 0.0, 0.0)
    for name in ("sharpe", "sortino", "calmar", "profit_factor", "avg_trade", "avg_win", "avg_loss", "fill_rate", "cost_bps"):
        assert k[name] is None, name
    assert k["final_cash"] == k["initial_cash"] == 100_000.0
    assert k["max_drawdown"] == k["max_drawdown_pct"] == 0.0


def test_trade_statistics():
    """Two winners of 100 and 300 and a loser of 100: win rate 2/3, profit factor 4, 100 per trade."""
    market = Market({"AAA": [10, 10, 11, 11, 10, 10, 13]}, weekdays("2024-01-02", 7))
    asks = [
        Ask(0, "AAA", 100),
        Ask(1, "AAA", -100),
        Ask(2, "AAA", 100),
        Ask(3, "AAA", -100),
        Ask(4, "AAA", 100),
        Ask(5, "AAA", -100),
    ]
    k = scored(free(market, asks))
    assert (k["num_trades"], k["open_trades"]) == (3, 0)
    assert k["net_pnl"] == k["gross_pnl"] == pytest.approx(300.0)
    assert k["win_rate"] == pytest.approx(2 / 3)
    assert k["pnl_per_trade"] == pytest.approx(100.0)
    assert (k["avg_win"], k["avg_loss"]) == (pytest.approx(200.0), pytest.approx(-100.0))
    assert (k["best_trade"], k["worst_trade"]) == (pytest.approx(300.0), pytest.approx(-100.0))
    assert k["profit_factor"] == pytest.approx(4.0)
    assert k["avg_trade"] == pytest.approx((0.1 - 1 / 11 + 0.3) / 3)
    assert k["turnover"] == pytest.approx((2100 + 2100 + 2300) / 100_000)
    assert k["avg_holding_minutes"] == pytest.approx((1 + 3 + 1) * 1440 / 3)  # the second over a weekend


def test_profit_factor_without_losers_is_null():
    """It would be infinite, and a null fails every threshold."""
    k = scored(free(Market({"AAA": [10, 10, 11]}, weekdays("2024-01-02", 3)), [Ask(0, "AAA", 1), Ask(1, "AAA", -1)]))
    assert k["profit_factor"] is None
    assert k["win_rate"] == 1.0


def test_exposure_is_holding_time_over_the_span_of_trades():
    """Held one of four days from the first entry to the last exit, twice: 2 of 4 days."""
    market = constant_market(count=6)
    asks = [Ask(0, "AAA", 1), Ask(1, "AAA", -1), Ask(3, "AAA", 1), Ask(4, "AAA", -1)]
    market.days[:] = np.arange(19_724, 19_730)
    k = scored(free(market, asks))
    assert k["exposure"] == pytest.approx(2 / 4)
    assert k["time_in_market"] == pytest.approx(2 / 6)


def test_costs_are_evidence_and_deducted_once():
    """Slippage of 2 bps and commission of 1 bp on 20,000 traded: 4 and 2, and the loss is their sum."""
    k = scored(simulate(constant_market(), [Ask(0, "AAA", 100), Ask(1, "AAA", -100)]))
    assert k["total_slippage"] == pytest.approx(4.0)
    assert k["total_fees"] == pytest.approx(2.0)
    assert k["cost_bps"] == pytest.approx(3.0)
    assert k["net_pnl"] == pytest.approx(-6.0)
    assert k["gross_pnl"] == pytest.approx(0.0)
    assert k["final_cash"] == pytest.approx(100_000 - 6.0)


def test_leverage_and_exposure_keep_the_sign_of_shorts():
    """Short 50,000 of 100,000: leverage 0.5, largest exposure -0.5."""
    k = scored(free(constant_market(count=2), [Ask(0, "AAA", -500)]))
    assert (k["max_leverage"], k["max_exposure"]) == (0.5, -0.5)
    assert (k["avg_leverage"], k["avg_exposure"]) == (0.25, -0.25)


def test_leverage_of_a_ruined_account_is_null():
    """Holdings without equity are infinite leverage."""
    market = Market({"AAA": [10.0, 10.0, 1.0]}, weekdays("2024-01-02", 3))
    k = scored(free(market, [Ask(0, "AAA", 200)], cash=1000.0))
    assert k["final_cash"] == -800.0
    for name in ("max_leverage", "avg_exposure", "annualised_return", "cagr", "calmar"):
        assert k[name] is None, name


def test_fill_rate_leaves_out_passive_orders_that_expired_by_design():
    """100 filled of 200 marketable; a limit that was never reached does not count, a rejected order does."""
    asks = [
        Ask(0, "AAA", 100),
        Ask(0, "AAA", 50, order_type=OrderType.LIMIT, price=1.0, ends=OrderStatus.EXPIRED),
        Ask(1, "AAA", 100, ends=OrderStatus.REJECTED, reason="insufficient_funds"),
    ]
    k = scored(simulate(constant_market(), asks))
    assert k["fill_rate"] == pytest.approx(0.5)
    assert (k["num_orders"], k["num_fills"], k["num_rejections"]) == (3, 1, 1)


def test_returns_come_from_every_session_and_the_benchmark_is_aligned():
    """Fully invested without costs from the first fill on: beta 1 against itself from then on."""
    closes = [100.0, 100.0, 110.0, 99.0, 108.9]
    k = scored(free(Market({"AAA": closes}, weekdays("2024-01-02", 5)), [Ask(0, "AAA", 1000)]))
    assert k["sessions"] == 5
    assert k["total_return"] == k["benchmark_return"] == pytest.approx(0.089)
    assert k["beta"] == pytest.approx(1.0)
    assert k["alpha"] == pytest.approx(0.0, abs=1e-9)
    assert k["correlation"] == pytest.approx(1.0)
    assert k["information_ratio"] is None
    assert k["max_drawdown_pct"] == k["benchmark_max_drawdown_pct"] == pytest.approx(10.0)
    assert k["max_drawdown"] == pytest.approx(11_000.0)
    assert k["recovery_factor"] == pytest.approx(8_900 / 11_000)
    assert (k["best_day"], k["worst_day"]) == (pytest.approx(0.10), pytest.approx(-0.10))
    assert k["positive_days"] == pytest.approx(2 / 5)


def test_slippage_counts_the_multiplier():
    """A contract of 50 per point pays its slippage fifty times."""
    record = simulate(constant_market(), [Ask(0, "AAA", 1)])
    assert scored(record, multipliers={"AAA": 50.0})["total_slippage"] == pytest.approx(50 * 0.02)
