"""Money that is paid in and taken out: no profit and no loss, worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from fairlead.backtest.flows import gains, growth, paid_at
from fairlead.backtest.result import Result
from fairlead.backtest.scorecard import score
from fairlead.backtest.trades import ledger_of
from fairlead.core.flows import NetOfFlows
from fairlead.core.portfolio import Portfolio
from fairlead.engine.record import CashFlow, EquityCurve
from fairlead.execution.margin import AccountSettings, Holding, withdrawable
from fairlead.risk.guards import PortfolioView
from fairlead.risk.monitors import EquityWatch, KillSwitchSettings, critical, evaluate
from support_records import Market, info_for, simulate, weekdays

# Of 100,000: a gain of 10 %, 90,000 paid in; a loss of 5 %, a gain of 10 %, 109,000 taken out; a loss of 5 %.
EQUITY = [200_000.0, 190_000.0, 100_000.0, 95_000.0]
FLOWS = [(0, 90_000.0), (2, -109_000.0)]
GROWTH = [110_000.0, 104_500.0, 114_950.0, 109_202.5]
GAINS = [110_000.0, 100_000.0, 119_000.0, 114_000.0]


def with_flows(equity=EQUITY, flows=FLOWS, strategy="alpha"):
    """A run with that equity after each close, and with flows after some of them."""
    record = simulate(Market({"AAA": [100.0] * len(equity)}, weekdays("2024-01-02", len(equity))), [])
    values = np.array(equity)
    curve = dataclasses.replace(record.account, equity=values, cash=values)
    paid = [CashFlow(int(curve.ts_ns[row]), strategy, amount) for row, amount in flows]
    return dataclasses.replace(record, account=curve, by_strategy={strategy: curve}, cash_flows=paid)


def test_growth_counts_a_flow_in_proportion_and_gains_in_money():
    record = with_flows()
    assert growth(record.account, record.cash_flows, 100_000.0) == pytest.approx(GROWTH)
    assert gains(record.account, record.cash_flows, 100_000.0) == pytest.approx(GAINS)
    assert paid_at(record.account.ts_ns, record.cash_flows).tolist() == [90_000.0, 0.0, -109_000.0, 0.0]


def test_without_flows_the_curves_are_the_equity_itself():
    curve = with_flows(flows=[]).account
    assert growth(curve, [], 100_000.0) is curve.equity
    assert gains(curve, [], 100_000.0) is curve.equity


def test_metrics_net_of_flows():
    """Returns are 10, -5, 10 and -5 %, whatever was paid in and taken out."""
    record = with_flows()
    k = score(record, ledger_of(record))
    assert (k["initial_cash"], k["final_cash"], k["cash_flows"]) == (100_000.0, 95_000.0, -19_000.0)
    assert k["total_return"] == pytest.approx(0.092025)
    assert k["annualised_return"] == pytest.approx(1.092025 ** (252 / 4) - 1)
    assert k["cagr"] == pytest.approx(1.092025 ** (365.25 / 3) - 1)
    assert k["sharpe"] == pytest.approx(math.sqrt(252) * 0.025 / math.sqrt(0.0075))
    assert k["sortino"] == pytest.approx(math.sqrt(252) * 0.025 / math.sqrt(0.005 / 4))
    assert k["annualised_vol"] == pytest.approx(math.sqrt(252 * 0.0075))
    assert k["max_drawdown_pct"] == pytest.approx(5.0)
    assert k["max_drawdown"] == pytest.approx(10_000.0)
    assert k["recovery_factor"] == pytest.approx(1.4)
    assert k["longest_drawdown_days"] == 2.0  # from the first close to the third
    assert k["ulcer_index"] == pytest.approx(math.sqrt((25 + 25) / 4))
    assert (k["best_day"], k["worst_day"]) == (pytest.approx(0.10), pytest.approx(-0.05))
    assert k["best_month"] == pytest.approx(0.092025)
    assert k["positive_days"] == 0.5


def test_without_flows_nothing_is_said_of_them(tmp_path):
    record = with_flows(flows=[])
    result = Result(record, info_for(record))
    assert "cash_flows" not in result.metrics
    assert list(result.equity) == ["equity", "cash", "gross", "net", "drawdown", "drawdown_pct"]
    folder = result.save(tmp_path / "run")
    told = "".join(path.read_text() for path in sorted(folder.iterdir()) if path.suffix in {".json", ".csv", ".html"})
    for word in ("cash_flow", "Net of cash flows", "Paid in, less taken out", "Capital paid in"):
        assert word not in told


def test_the_files_of_a_run_tell_of_its_flows(tmp_path):
    record = with_flows()
    result = Result(record, info_for(record))
    folder = result.save(tmp_path / "run")
    head, *rows = [line.split(",") for line in (folder / "equity_curve.csv").read_text().splitlines()]
    assert head == ["ts", "equity", "drawdown", "drawdown_pct", "cash_flow"]
    assert [[float(cell) for cell in row[1:]] for row in rows] == [
        pytest.approx([200_000.0, 0.0, 0.0, 90_000.0]),
        pytest.approx([190_000.0, 10_000.0, 5.0, 0.0]),
        pytest.approx([100_000.0, 0.0, 0.0, -109_000.0]),
        pytest.approx([95_000.0, 5_000.0, 5.0, 0.0]),
    ]
    page = (folder / "report.html").read_text()
    for text in ("Net of cash flows", "Paid in, less taken out", "Capital paid in and taken out", "2024-01-04 21:00", "+9.2%"):
        assert text in page
    assert any("-19,000.00 in all" in note for note in result.warnings)
    again = Result.load(folder)
    assert again.record.cash_flows == record.cash_flows
    assert again.metrics == result.metrics
    assert again.equity["cash_flow"].tolist() == [90_000.0, 0.0, -109_000.0, 0.0]
    for kind in ("equity", "drawdown", "returns"):
        assert result.plot(kind).axes


def test_the_ledger_of_a_run_adds_up_with_its_flows():
    record = with_flows(equity=[100_000.0, 150_000.0, 120_000.0], flows=[(1, 50_000.0), (2, -30_000.0)])
    assert Result(record, info_for(record)).ledger_error == 0.0
    assert Result(dataclasses.replace(record, cash_flows=[]), info_for(record)).ledger_error > 0.1


@pytest.mark.parametrize(
    ("equity", "flows", "grown"),
    [
        # Emptied, and filled with ten times as much: what it had grown to stands, and half of the new is half of it.
        ([0.0, 0.0, 1_000_000.0, 500_000.0], [(0, -90_000.0), (2, 1_000_000.0)], [90_000.0, 90_000.0, 90_000.0, 45_000.0]),
        # Ruined: what is paid in then is no growth, and what is made of it counts in money.
        ([-20_000.0, 30_000.0, 40_000.0], [(1, 50_000.0)], [-20_000.0, -20_000.0, -10_000.0]),
        # In the first instant, and twice in one.
        ([150_000.0, 75_000.0], [(0, 80_000.0), (0, -30_000.0)], [100_000.0, 50_000.0]),
        ([100_000.0, 75_000.0], [(0, 80_000.0), (0, -80_000.0)], [100_000.0, 75_000.0]),
    ],
    ids=["emptied", "ruined", "first", "nothing"],
)
def test_growth_at_the_edges(equity, flows, grown):
    record = with_flows(equity, flows)
    assert growth(record.account, record.cash_flows, 100_000.0) == pytest.approx(grown)


def test_a_growth_that_ruin_has_ended_has_no_returns():
    record = with_flows([-20_000.0, 30_000.0, 40_000.0], [(1, 50_000.0)])
    k = score(record, ledger_of(record))
    assert (k["sharpe"], k["annualised_return"]) == (None, None)
    assert k["total_return"] == pytest.approx(-1.1)


def test_a_flow_of_one_strategy_is_net_in_its_own_curve_and_in_the_account():
    record = with_flows()
    other = dataclasses.replace(record.account, equity=np.full(4, 100_000.0), cash=np.full(4, 100_000.0))
    both = {name: getattr(record.account, name) + getattr(other, name) for name in ("equity", "cash", "gross", "net")}
    account = EquityCurve(record.account.ts_ns, record.account.session, **both)
    # Of 200,000: 5 % made, then 10,000 of 300,000 lost, 19,000 of 290,000 made, and 5,000 of 200,000 lost.
    factors = [1.05, 290 / 300, 309 / 290, 195 / 200]
    assert growth(account, record.cash_flows, 200_000.0) == pytest.approx(200_000.0 * np.cumprod(factors))


def test_net_of_nothing_is_the_worth_to_the_last_bit():
    net = NetOfFlows()
    assert net.of(0.1 + 0.2) == 0.1 + 0.2
    assert math.isnan(net.of(math.nan))


def test_a_book_at_rest_stays_at_rest_to_the_last_bit():
    """Else the rounding of a flow would be a drawdown that lasts for ever."""
    book, net = Portfolio(100_000.1, {}), NetOfFlows()
    amounts = (131_022.33, 0.7, 33_333.333333, 100_000.1, 7e9 + 0.01, 100_000.1)
    equity, paid = [book.equity], []
    for row, amount in enumerate(amounts):
        before = book.equity
        paid.append((row, book.set_capital(amount)))
        net.paid(before, book.equity)
        assert net.of(book.equity) == 100_000.1
        equity[-1] = book.equity
        equity += [book.equity] * 2
    record = dataclasses.replace(with_flows(equity, [(2 * row, amount) for row, amount in paid]), initial_cash=100_000.1)
    assert set(growth(record.account, record.cash_flows, 100_000.1)) == {100_000.1}
    assert set(gains(record.account, record.cash_flows, 100_000.1)) == {100_000.1}
    k = score(record, ledger_of(record))
    assert (k["max_drawdown"], k["longest_drawdown_days"], k["calmar"], k["sharpe"]) == (0.0, 0.0, None, None)


# --- the books


def test_another_capital_changes_cash_and_nothing_else():
    ledger = Portfolio(10_000.0, {"A": 12.0})
    ledger.book("A", 500.0, 10.0, 5.0)
    before = (ledger.quantity("A"), ledger.realised_pnl, ledger.unrealised_pnl, ledger.commissions)
    assert ledger.set_capital(14_000.0) == 4_000.0
    assert (ledger.cash, ledger.equity, ledger.capital, ledger.initial_cash) == (8_995.0, 14_995.0, 14_000.0, 10_000.0)
    assert ledger.set_capital(6_000.0) == -8_000.0
    assert (ledger.cash, ledger.equity, ledger.capital) == (995.0, 6_995.0, 6_000.0)
    assert (ledger.quantity("A"), ledger.realised_pnl, ledger.unrealised_pnl, ledger.commissions) == before
    assert ledger.equity == ledger.capital + ledger.realised_pnl + ledger.unrealised_pnl - ledger.commissions
    assert ledger.set_capital(6_000.0) == 0.0


def test_guards_that_are_asked_of_a_bare_ledger_begin_with_its_capital():
    ledger = Portfolio(10_000.0, {})
    ledger.set_capital(4_000.0)
    counters = PortfolioView.of(ledger).counters
    assert (counters.session_start_equity, counters.peak_equity) == (4_000.0, 4_000.0)


# --- what may be taken out

REG_T = AccountSettings(type="reg_t")


@pytest.mark.parametrize(
    ("settings", "cash", "holdings", "options", "free"),
    [
        (AccountSettings(type="cash"), 50_000.0, [(100.0, 300.0)], {}, 50_000.0),
        (AccountSettings(type="cash"), 50_000.0, [], {"working": 20_000.0, "unsettled": 25_000.0}, 5_000.0),
        (AccountSettings(type="cash"), 10_000.0, [], {"unsettled": 25_000.0}, 0.0),
        # 100,000 of equity, 60,000 of it held.
        (AccountSettings(), 40_000.0, [(600.0, 100.0)], {}, 40_000.0),
        (AccountSettings(leverage=2.0), 40_000.0, [(600.0, 100.0)], {}, 70_000.0),
        (AccountSettings(leverage=2.0), 40_000.0, [(600.0, 100.0)], {"working": 20_000.0}, 60_000.0),
        # A short of 60,000: its proceeds are in cash, and the equity of 100,000 stands for it.
        (AccountSettings(), 160_000.0, [(-600.0, 100.0)], {}, 40_000.0),
        # Half of what is held must be there, and half of what works.
        (REG_T, 40_000.0, [(600.0, 100.0)], {}, 70_000.0),
        (REG_T, 40_000.0, [(600.0, 100.0)], {"working": 20_000.0}, 60_000.0),
        # 2,400 of equity of which 600 are margin: 400 may go, so that 2,000 stay.
        (REG_T, 1_200.0, [(12.0, 100.0)], {}, 1_200.0),
        (REG_T, 600.0, [(18.0, 100.0)], {}, 600.0),
        (REG_T, -300.0, [(27.0, 100.0)], {}, 400.0),
        (REG_T, -900.0, [(27.0, 100.0)], {}, 0.0),
    ],
)
def test_what_can_be_taken_out(settings, cash, holdings, options, free):
    held = [Holding("A", *holding) for holding in holdings]
    assert withdrawable(cash, held, settings, **options) == pytest.approx(free)


# --- the kill switches


def test_a_drawdown_in_percent_is_not_made_by_taking_money_out():
    """With 12 % lost of 100,000, half of the rest taken out: still 12 %. Of what is left 4 % more are 15.52 %."""
    watch = EquityWatch(100_000.0)
    watch.mark(1, 88_000.0)
    watch.cash_flow(-44_000.0)
    watch.mark(1, 44_000.0)
    settings = KillSwitchSettings.model_validate({"disabled": ["KS_PNL"]})
    reading = evaluate(watch.view(0), settings)[0]
    assert (reading.measured, reading.level.value) == (pytest.approx(12.0), "WARNING")
    assert critical(evaluate(watch.view(0), settings)) == ()
    watch.mark(1, 44_000.0 * 0.96)
    (reading,) = critical(evaluate(watch.view(0), settings))
    assert reading.measured == pytest.approx(100 * (1 - 0.88 * 0.96))


def test_a_loss_is_not_made_small_by_paying_money_in():
    watch = EquityWatch(100_000.0)
    watch.mark(1, 96_000.0)
    watch.cash_flow(904_000.0)
    for equity in (1_000_000.0, 990_000.0):
        watch.mark(1, equity)
    assert evaluate(watch.view(0), KillSwitchSettings())[0].measured == pytest.approx(100 * (1 - 0.96 * 0.99))


def test_returns_by_day_are_time_weighted_and_the_start_of_the_session_is_money():
    watch = EquityWatch(100_000.0)
    watch.mark(1, 110_000.0)
    watch.mark(2, 121_000.0)
    watch.cash_flow(1_000_000.0)
    assert watch.session_start == 1_110_000.0
    watch.mark(2, 1_121_000.0)
    watch.mark(3, 1_121_000.0)
    assert watch.view(0).daily_returns == (pytest.approx(0.10), pytest.approx(0.10))
    assert watch.session_start == 1_121_000.0
    again = EquityWatch(1.0)
    again.load_state(watch.save_state())
    assert (again.view(0), again.session_start) == (watch.view(0), watch.session_start)
    for each in (watch, again):
        each.cash_flow(-121_000.0)
        each.mark(3, 900_000.0)
    assert again.view(0) == watch.view(0)


def test_an_emptied_book_remembers_what_it_had_lost():
    watch = EquityWatch(100_000.0)
    watch.mark(1, 92_000.0)
    watch.cash_flow(-92_000.0)
    watch.mark(1, 0.0)
    settings = KillSwitchSettings.model_validate({"disabled": ["KS_PNL"]})
    assert evaluate(watch.view(0), settings)[0].measured == pytest.approx(8.0)
    watch.cash_flow(500_000.0)
    watch.mark(1, 500_000.0)
    assert evaluate(watch.view(0), settings)[0].measured == pytest.approx(8.0)
