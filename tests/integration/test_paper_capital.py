"""Capital that is paid in and taken out while a paper session trades, over its own control socket."""

from __future__ import annotations

import json
from urllib.request import urlopen

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.backtest.result import LEDGER_TOLERANCE, Result
from fairlead.backtest.rundir import write_directory
from fairlead.config.realtime import RealtimeSession
from fairlead.control import RefusedCommand
from fairlead.core.time import NS_PER_MINUTE
from fairlead.engine.record import CashFlow
from fairlead.journal import Kind
from fairlead.sdk import OrderIntent, RiskLimits
from support_feeds import OPEN_NS
from support_operated import Told, buy, journal_of, of_kind, operated, orders_of, sell

CALM = "{disabled: [KS_PNL, KS_DD, KS_PSR]}"
CASH = "{type: cash}"
LIMITS = "max_symbol_qty: 100000, max_pos_pct: 1000, max_gross_exposure: 10000000, "


def set_capital(session, amount, name="alpha", why="a test"):
    return session.ask("set_capital", why, strategy=name, amount=amount)


def of_strategy(session, name="alpha"):
    (found,) = [one for one in session.status["strategies"] if one["name"] == name]
    return found


def test_money_is_paid_in_and_taken_out_while_it_trades(tmp_path):
    """9,000 made of 100,000; with 100,000 more, 9,450 lost of 209,000; with 60,000 less, 12,555 made of 139,550."""
    with operated(tmp_path, "alpha", "beta", switches=CALM) as session:
        session.minute(100.0, alpha=buy(900))
        session.minute(100.0)
        session.minute(110.0)
        assert set_capital(session, 200_000.0, why="second week") == {
            "strategy": "alpha",
            "before": 100_000.0,
            "after": 200_000.0,
            "paid": 100_000.0,
            "cash": 110_000.0,
        }
        assert of_strategy(session) == {
            "name": "alpha",
            "state": "running",
            "capital": 200_000.0,
            "equity": 209_000.0,
            "positions": {"A": 900.0},
        }
        assert (of_strategy(session, "beta")["capital"], session.status["equity"]) == (100_000.0, 309_000.0)
        session.minute(99.5)
        assert of_strategy(session)["equity"] == 199_550.0
        set_capital(session, 140_000.0, why="too much")
        session.minute(113.45)
        assert of_strategy(session)["equity"] == pytest.approx(152_105.0)
        result = session.end()
    record = result.record
    known = [OPEN_NS + minute * NS_PER_MINUTE for minute in (3, 4)]
    assert record.cash_flows == [CashFlow(known[0], "alpha", 100_000.0), CashFlow(known[1], "alpha", -60_000.0)]
    alpha = record.by_strategy["alpha"]
    assert alpha.equity == pytest.approx([100_000.0, 100_000.0, 209_000.0, 139_550.0, 152_105.0])
    np.testing.assert_array_equal(alpha.equity, alpha.cash + alpha.net)
    assert record.account.equity == pytest.approx(alpha.equity + 100_000.0)
    assert [(trade.net_pnl, trade.status) for trade in result.ledger.trades] == [(pytest.approx(12_105.0), "open")]
    assert result.ledger_error <= LEDGER_TOLERANCE
    # Both strategies together: of 200,000, of 309,000, and of 239,550.
    grown = (209 / 200) * (299.55 / 309) * (252.105 / 239.55) - 1
    k = result.metrics
    assert k["total_return"] == pytest.approx(grown)
    assert (k["initial_cash"], k["final_cash"], k["cash_flows"]) == (200_000.0, pytest.approx(252_105.0), 40_000.0)
    assert k["max_drawdown_pct"] == pytest.approx(100 * 9.45 / 309)
    assert k["max_drawdown"] == pytest.approx(9_450.0)
    changes = [(r.strategy, r.data) for r in journal_of(session.folder) if r.kind == Kind.CONFIG_CHANGE]
    assert changes == [
        ("alpha", {"setting": "capital", "before": b, "after": a, "who": "ann", "reason": why})
        for b, a, why in ((100_000.0, 200_000.0, "second week"), (200_000.0, 140_000.0, "too much"))
    ]
    again = Result.load(write_directory(result, tmp_path / "run", report=False, plots=False))
    assert (again.record.cash_flows, again.metrics) == (record.cash_flows, k)


def test_more_capital_is_bought_with_and_less_is_not(tmp_path):
    """Orders are sized by what is there: the same share of equity is another number of shares."""
    with operated(tmp_path, switches=CALM) as session:
        weight = [OrderIntent.target_weight("A", 0.5)]
        session.minute(100.0, alpha=weight)
        session.minute(100.0)
        assert session.held() == 500.0
        set_capital(session, 300_000.0)
        session.minute(100.0, alpha=weight)
        session.minute(100.0)
        assert session.held() == 1500.0
        set_capital(session, 160_000.0)
        session.minute(100.0, alpha=weight)
        session.minute(100.0)
        assert session.held() == 800.0
        assert session.end().metrics["total_return"] == 0.0


def test_what_is_taken_out_is_what_can_be_spared(tmp_path):
    with operated(tmp_path, switches=CALM, account=CASH) as session:
        session.minute(100.0, alpha=[*buy(600), OrderIntent.limit("A", 100, 90.0)])
        session.minute(100.0)
        # 40,000 of cash, of which the order that waits may spend 10,000.
        rule = "'capital of alpha' must be at least 70,000.00, as no more than 30,000.00 can be taken out, was 69999.0. "
        remedy = "The rest is held, bound by working orders or not settled yet. Take out less, or close positions first."
        with pytest.raises(RefusedCommand) as refused:
            set_capital(session, 69_999.0)
        assert (refused.value.code, str(refused.value)) == ("refused", rule + remedy)
        assert of_strategy(session)["capital"] == 100_000.0
        assert set_capital(session, 70_000.0)["cash"] == 10_000.0
        with pytest.raises(RefusedCommand, match=r"as no more than 0.00 can be taken out"):
            set_capital(session, 69_999.0)
        session.minute(89.0)
        assert session.held() == 700.0  # what it may spend was left for it
        result = session.end()
    assert [flow.amount for flow in result.record.cash_flows] == [-30_000.0]
    assert float(result.record.account.cash[-1]) == 1_100.0
    assert len(of_kind(journal_of(session.folder), Kind.CONFIG_CHANGE)) == 1


def test_what_has_not_settled_stays(tmp_path):
    with operated(tmp_path, switches=CALM, account="{type: cash, settlement_days: 1}") as session:
        session.minute(100.0, alpha=buy(600))
        session.minute(100.0, alpha=sell(600))
        session.minute(100.0)
        with pytest.raises(RefusedCommand, match=r"at least 60,000.00, as no more than 40,000.00"):
            set_capital(session, 50_000.0)
        session.night()
        session.minute(100.0)
        assert set_capital(session, 0.0)["cash"] == 0.0
        set_capital(session, 5_000.0)
        session.minute(100.0, alpha=buy(49))
        session.minute(100.0)
        assert (session.held(), of_strategy(session)["equity"]) == (49.0, 5_000.0)
        session.end()


def test_a_margin_account_lets_go_what_its_margin_leaves(tmp_path, monkeypatch):
    """Of 100,000 of equity half the position of 60,000 must stay, and the strategy may owe more."""
    monkeypatch.setattr(Told, "risk_limits", RiskLimits(max_leverage=3))
    with operated(tmp_path, switches=CALM, account="{type: reg_t}") as session:
        session.minute(100.0, alpha=buy(600))
        session.minute(100.0)
        with pytest.raises(RefusedCommand, match=r"at least 30,000.00, as no more than 70,000.00"):
            set_capital(session, 29_999.0)
        assert set_capital(session, 30_000.0)["cash"] == -30_000.0
        session.minute(100.0, alpha=buy(1))
        session.minute(100.0)
        assert session.held() == 600.0
        result = session.end()
    assert orders_of(result)[-1][2:] == ("REJECTED", "insufficient_margin")


def test_a_strategy_that_may_owe_nothing_keeps_what_it_has_bought(tmp_path):
    """The margin would let more go, and the strategy's own leverage of 1 does not."""
    with operated(tmp_path, switches=CALM, account="{type: reg_t}") as session:
        session.minute(100.0, alpha=buy(600))
        session.minute(100.0)
        with pytest.raises(RefusedCommand, match=r"at least 60,000.00, as no more than 40,000.00"):
            set_capital(session, 59_999.0)
        session.end()


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [
        ("gamma", 5.0, "no strategy named 'gamma'. Known: alpha, beta"),
        ("beta", 200_000.0, "'capital of beta' must stay 100,000.00, as the strategy has stopped"),
        ("beta", 50_000.0, "'capital of beta' must stay 100,000.00, as the strategy has stopped"),
    ],
)
def test_who_is_not_there_or_has_stopped_has_no_other_capital(tmp_path, name, amount, text):
    def fails(_):
        raise ZeroDivisionError("a mistake")

    with operated(tmp_path, "alpha", "beta", switches=CALM) as session:
        with pytest.raises(RefusedCommand, match="waits for its first data"):
            set_capital(session, 5.0)
        session.minute(100.0, beta=fails)
        session.minute(100.0)
        with pytest.raises(RefusedCommand) as refused:
            set_capital(session, amount, name)
        assert text in str(refused.value)
        result = session.end()
    assert result.record.cash_flows == []
    assert "cash_flows" not in result.metrics
    assert of_kind(journal_of(session.folder), Kind.CONFIG_CHANGE) == []


def test_who_is_halted_may_have_less_and_not_more(tmp_path):
    switches = "{pnl: {session: false, strategies: [alpha], warning_pct: 1, critical_pct: 2}, disabled: [KS_DD, KS_PSR]}"
    with operated(tmp_path, "alpha", "beta", switches=switches) as session:
        session.minute(100.0, alpha=buy(500))
        for price in (100.0, 90.0, 90.0):
            session.minute(price)
        assert (of_strategy(session)["state"], session.held()) == ("halted", 0.0)
        with pytest.raises(RefusedCommand, match=r"not grow beyond 100,000.00 while trading is halted, was 100001.* rearm"):
            set_capital(session, 100_001.0)
        set_capital(session, 100_001.0, "beta")
        assert set_capital(session, 50_000.0)["cash"] == 45_000.0
        session.ask("halt", why="all of it")
        with pytest.raises(RefusedCommand, match="while trading is halted"):
            set_capital(session, 200_000.0, "beta")
        set_capital(session, 99_000.0, "beta")
        session.minute(90.0)
        assert [flow.amount for flow in session.end().record.cash_flows] == [1.0, -50_000.0, -1_001.0]


def test_the_same_capital_again_is_no_flow(tmp_path):
    with operated(tmp_path, switches=CALM) as session:
        session.minute(100.0)
        assert set_capital(session, 100_000.0)["paid"] == 0.0
        assert session.end().record.cash_flows == []


def test_a_kill_switch_does_not_take_it_for_a_loss_or_a_gain(tmp_path):
    """4 % lost of what was there halts nothing at 5 %, whatever is taken out then; of what is left, 1.1 % more do."""
    switches = "{pnl: {warning_pct: 3, critical_pct: 5}, disabled: [KS_DD, KS_PSR]}"
    with operated(tmp_path, switches=switches) as session:
        session.minute(100.0, alpha=buy(400))
        session.minute(100.0)
        session.minute(90.0)
        set_capital(session, 44_000.0)  # 40,000 of 96,000 are left, and 400 shares are 36,000 of them
        for price in (90.0, 89.0):
            session.minute(price)
        assert session.status["state"] == "running"
        set_capital(session, 1_000_000.0)
        session.minute(89.0)
        assert session.status["state"] == "running"
        set_capital(session, 44_000.0)
        session.minute(88.8)
        assert session.status["state"] == "halted"
        session.end()
    measured = [d["measured"] for d in of_kind(journal_of(session.folder), Kind.SWITCH)]
    assert measured == [
        pytest.approx(4.0),
        pytest.approx(100 * (1 - 0.96 * 39_520 / 40_000)),
        pytest.approx(100 * (1 - 0.96 * 39_520 / 40_000)),
    ]


def test_guards_do_not_take_it_for_a_loss_or_a_gain(tmp_path):
    """G4 and G5 count in currency: 900 lost are 900, with half of the money or with ten times as much."""
    guards = LIMITS + "max_daily_loss: 1000, max_drawdown: 1000, disabled: [G7, G8, G10, G11]"
    with operated(tmp_path, switches=CALM, guards=guards) as session:
        session.minute(100.0, alpha=buy(100))
        session.minute(100.0)
        session.minute(91.0)
        for capital in (50_000.0, 1_000_000.0, 20_000.0):
            set_capital(session, capital)
            session.minute(91.0, alpha=buy(1))
        session.minute(89.0)
        set_capital(session, 1_000_000.0)
        session.minute(89.0, alpha=buy(2))
        session.minute(89.0)
        assert session.held() == 103.0
        result = session.end()
    refused = [(quantity, why) for _, quantity, status, why in orders_of(result) if status == "REJECTED"]
    assert refused == [(2.0, "G4 MaxDailyLoss: daily_loss 1104, limit 1000")]


def test_what_comes_after_the_last_bar_is_in_the_books_of_the_run(tmp_path):
    with operated(tmp_path, switches=CALM) as session:
        session.minute(100.0, alpha=buy(100))
        session.minute(110.0)
        set_capital(session, 250_000.0)
        session.ask("stop")
        result = session.ended()
    assert (result.metrics["final_cash"], result.metrics["cash_flows"]) == (250_000.0, 150_000.0)
    assert result.metrics["total_return"] == 0.0
    assert result.ledger_error == 0.0


def test_without_a_journal_no_capital_is_changed(tmp_path, monkeypatch):
    from fairlead.core.errors import StorageError
    from fairlead.journal.sqlite import SqliteStore

    def full(*_):
        raise StorageError("the disk is full.")

    with operated(tmp_path, switches=CALM) as session:
        session.minute(100.0)
        monkeypatch.setattr(SqliteStore, "append", full)
        with pytest.raises(RefusedCommand, match="'set_capital' could not be journalled"):
            set_capital(session, 1.0)
        assert of_strategy(session)["capital"] == 100_000.0
        with pytest.raises(StorageError, match="could not be written down to its end"):
            session.end()
    assert not of_kind(journal_of(session.folder), "config_change")


def test_the_session_s_numbers_are_net_of_it(tmp_path, monkeypatch):
    urls: list[str] = []
    plain = RealtimeSession.run
    monkeypatch.setattr(
        RealtimeSession, "run", lambda self, name, **given: plain(self, name, metrics_port=0, serving=urls.append, **given)
    )
    with operated(tmp_path, switches=CALM) as session:
        session.minute(100.0, alpha=buy(500))
        session.minute(100.0)
        session.minute(110.0)
        session.minute(104.0)
        set_capital(session, 149_000.0)
        session.minute(104.0)
        assert session.status["equity"] == 151_000.0
        with urlopen(f"{urls[0]}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        session.end()
    shown = {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}
    assert shown["portfolio_value"] == 151_000.0
    assert (shown["strategy_pnl"], shown["daily_pnl"]) == (2_000.0, 2_000.0)
    assert shown["pnl_current"] == pytest.approx(0.02)
    assert shown["drawdown_current"] == pytest.approx(3 / 105)
    logged = [json.loads(line) for line in (session.folder / "session.log").read_text().splitlines()]
    assert [line["strategy"] for line in logged if line["event"] == "capital_changed"] == ["alpha"]
