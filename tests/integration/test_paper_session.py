"""A paper session operated over its own control socket while the market goes on."""

from __future__ import annotations

import json

import pytest

from fairlead.control import RefusedCommand
from fairlead.core.errors import FairleadError
from fairlead.core.intents import CancelIntent
from fairlead.data.live import NoticeKind
from fairlead.journal import Kind
from fairlead.sdk import OrderIntent
from support_control import Line
from support_operated import RUN, buy, journal_of, of_kind, operated, orders_of, sell

CALM = "{lock_hours: 24}"
AT_ONCE = "{lock_hours: 0, cool_off_minutes: 0}"


def test_status_from_the_first_moment_on(tmp_path):
    with operated(tmp_path) as session:
        assert session.status["state"] == "waiting for data"
        for command in ("pause", "resume", "flatten"):
            with pytest.raises(RefusedCommand, match="waits for its first data"):
                session.ask(command)
        session.minute(100.0, alpha=buy())
        session.minute(101.0)
        told = session.status
        assert (told["run_id"], told["mode"], told["state"], told["now"]) == (
            RUN,
            "paper",
            "running",
            "2024-01-02T14:32:00.000000Z",
        )
        assert told["strategies"] == [
            {"name": "alpha", "state": "running", "capital": 100_000.0, "equity": 100_000.0, "positions": {"A": 100.0}}
        ]
        assert (told["equity"], told["working_orders"], told["halted_by"]) == (100_000.0, 0, [])
        assert (told["feed"], told["journal"]) == ("ok", "ok")
        session.end()


def test_pause_stops_decisions_and_not_exits_and_resume_lets_them_on(tmp_path):
    with operated(tmp_path, "alpha", "beta") as session:
        session.minute(100.0, alpha=[OrderIntent.market("A", 100).with_exits(stop_loss=95.0)])
        session.minute(100.0)
        assert session.held() == 100.0
        assert session.ask("pause", strategy="alpha") == {"paused": ["alpha"]}
        assert [one["state"] for one in session.status["strategies"]] == ["paused", "running"]
        session.minute(100.0, alpha=buy(), beta=buy(50))
        session.minute(94.0)
        assert (session.held(), session.held("beta")) == (0.0, 50.0)
        with pytest.raises(RefusedCommand, match=r"no strategy named 'gamma'. Known: alpha, beta"):
            session.ask("pause", strategy="gamma")
        assert session.ask("resume") == {"paused": []}
        session.minute(94.0, alpha=buy(10))
        session.minute(94.0)
        assert session.held() == 10.0
        result = session.end()
    assert [o.quantity for o in result.record.orders if o.strategy == "alpha"] == [100.0, 100.0, 10.0]
    wished = [record.strategy for record in journal_of(session.folder) if record.kind == Kind.INTENT]
    assert wished == ["alpha", "alpha", "beta", "alpha"]  # what a paused one wanted is known, and went nowhere


def test_a_paused_strategy_may_still_take_its_orders_back(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=[OrderIntent.limit("A", 10, 50.0)])
        session.minute(100.0)
        session.ask("pause")
        assert (session.status["state"], session.status["working_orders"]) == ("paused", 1)
        session.minute(100.0, alpha=lambda context: [CancelIntent(order.order_id) for order in context.open_orders])
        session.minute(100.0)
        assert session.status["working_orders"] == 0
        session.end()


def test_flatten_closes_everything_and_pauses(tmp_path):
    with operated(tmp_path, "alpha", "beta") as session:
        session.minute(100.0, alpha=[*buy(), OrderIntent.limit("A", 10, 50.0)], beta=sell(30))
        session.minute(100.0)
        assert (session.held(), session.held("beta"), session.status["working_orders"]) == (100.0, -30.0, 1)
        answer = session.ask("flatten", why="lunch")
        assert answer == {"paused": ["alpha", "beta"], "positions": 2}
        session.minute(99.0, alpha=buy())
        assert (session.held(), session.held("beta"), session.status["working_orders"]) == (0.0, 0.0, 0)
        assert session.status["state"] == "paused"
        session.minute(99.0)
        result = session.end()
    assert [(str(f.side), f.quantity) for f in result.record.fills] == [("BUY", 100), ("SELL", 30), ("SELL", 100), ("BUY", 30)]
    assert len(result.record.orders) == 5


def test_a_halt_is_latched_lets_reducing_orders_pass_and_outlives_the_session(tmp_path):
    with operated(tmp_path, switches=CALM) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        answer = session.ask("halt", why="it looks wrong")
        assert answer == {"state": "halted", "halted_by": ["KS_MANUAL"]}
        (trip,) = session.latch["trips"]
        assert (trip["switch"], trip["reason"]) == ("KS_MANUAL", "ann: it looks wrong")
        session.minute(100.0, alpha=buy())
        session.minute(100.0, alpha=sell(60))
        session.minute(100.0, alpha=sell(60))
        session.minute(100.0)
        assert session.held() == 40.0
        with pytest.raises(RefusedCommand, match=r"stays halted: it is locked until 2024-01-03T14:32:00.000000Z"):
            session.ask("rearm", why="all is well")
        first = session.end()
    reason = "halted since 2024-01-02T14:32:00.000000Z by ann: it looks wrong"
    assert [(side, quantity, status) for side, quantity, status, _ in orders_of(first)] == [
        ("BUY", 100.0, "FILLED"),
        ("BUY", 100.0, "REJECTED"),
        ("SELL", 60.0, "FILLED"),
        ("SELL", 60.0, "REJECTED"),
    ]
    assert all(reason in why for _, _, status, why in orders_of(first) if status == "REJECTED")

    with operated(tmp_path, switches=CALM) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        told = session.status
        assert (told["state"], told["strategies"][0]["state"]) == ("halted", "halted")
        assert told["halted_by"] == [{"switch": "KS_MANUAL", "action": "HALT_AND_INVESTIGATE", "reason": "ann: it looks wrong"}]
        second = session.end()
    assert [(status, reason in why) for _, _, status, why in orders_of(second)] == [("REJECTED", True)]
    starts = [data["event"] for data in of_kind(journal_of(session.folder), Kind.SESSION)]
    assert starts == ["start", "stop", "start", "stop"]


def test_a_halt_is_not_lifted_by_a_session_of_another_day_or_name(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        session.ask("halt", why="not again before I have looked")
        session.end()
    for run_id in ("paper_sim_2024-06-03_operated_2", "paper_sim_2024-06-04_operated"):
        with operated(tmp_path, run_id=run_id) as session:
            session.minute(100.0, alpha=buy())
            assert session.status["state"] == "halted"
            result = session.end()
        assert [status for _, _, status, _ in orders_of(result)] == ["REJECTED"]


def test_a_rearm_begins_the_peak_of_the_guards_anew(tmp_path):
    """Else every entry after it is refused for the drawdown that the operator has looked at."""
    limits = (
        "max_drawdown: 500, max_symbol_qty: 1000, max_pos_pct: 1000, max_gross_exposure: 1000000, disabled: [G4, G7, G8, G10]"
    )
    switches = "{disabled: [KS_PNL, KS_DD, KS_PSR], lock_hours: 0, cool_off_minutes: 0}"
    with operated(tmp_path, switches=switches, guards=limits) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        session.minute(90.0, alpha=buy(1))
        session.ask("halt", why="it fell")
        session.minute(90.0)
        session.ask("rearm", why="looked at")
        session.minute(90.0, alpha=buy(2))
        session.minute(90.0)
        result = session.end()
    found = [(quantity, status, why.partition(":")[0]) for _, quantity, status, why in orders_of(result)]
    assert found == [(100.0, "FILLED", ""), (1.0, "REJECTED", "G5 MaxDrawdown"), (2.0, "FILLED", "")]


def test_a_lost_latch_means_halted(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        session.end()
    session.latch_file.unlink()
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=buy())
        told = session.status
        result = session.end()
    assert told["state"] == "halted"
    assert [status for _, _, status, _ in orders_of(result)] == ["REJECTED"]


def test_a_halt_before_the_first_bar_is_latched(tmp_path):
    with operated(tmp_path) as session:
        assert session.ask("halt", why="not today")["state"] == "halted"
        assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_MANUAL"]
        session.minute(100.0, alpha=buy())
        result = session.end()
    assert [status for _, _, status, _ in orders_of(result)] == ["REJECTED"]


def test_a_rearm_after_the_lock_lets_orders_pass_again(tmp_path):
    with operated(tmp_path, switches=AT_ONCE) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        session.ask("halt", flatten=True)
        session.minute(100.0)
        assert session.held() == 0.0
        session.minute(100.0)
        assert session.ask("rearm", why="looked at it")["state"] == "running"
        assert session.latch["trips"] == []
        session.minute(100.0, alpha=buy(5))
        session.minute(100.0)
        assert session.held() == 5.0
        with pytest.raises(RefusedCommand, match="not halted"):
            session.ask("rearm")
        session.end()
    switched = [(data["switch"], data["state"]) for data in of_kind(journal_of(session.folder), Kind.SWITCH)]
    assert switched == [("KS_MANUAL", "tripped"), ("latch", "armed")]


def test_stop_ends_it_as_it_stands(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=[*buy(), OrderIntent.limit("A", 10, 50.0)])
        session.minute(100.0)
        assert session.ask("stop") == {"state": "stopping"}
        result = session.ended()
    assert [(status, why) for _, _, status, why in orders_of(result)] == [("FILLED", ""), ("CANCELLED", "end_of_run")]
    assert result.record.account.equity[-1] == 100_000.0


def test_stop_and_flatten_ends_it_when_nothing_is_held(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        assert session.ask("stop", flatten=True) == {"state": "stopping"}
        assert session.status["state"] == "stopping"
        session.minute(100.0, alpha=buy())
        result = session.ended()
    assert [(side, status) for side, _, status, _ in orders_of(result)] == [("BUY", "FILLED"), ("SELL", "FILLED")]


def test_stop_and_flatten_with_nothing_held_is_over_at_once(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        session.ask("stop", flatten=True)
        assert orders_of(session.ended()) == []


def test_every_command_is_in_the_journal_with_who_and_why(tmp_path):
    with operated(tmp_path, switches=CALM) as session:
        session.minute(100.0)
        session.ask("pause", why="one")
        session.ask("resume", why="two")
        session.ask("halt", why="three")
        with pytest.raises(RefusedCommand):
            session.ask("rearm", why="four")
        with pytest.raises(RefusedCommand, match=r"not grow beyond 100,000.00 while trading is halted"):
            session.ask("set_capital", why="five", strategy="alpha", amount=100_001)
        session.ask("stop", why="six")
        session.ended()
    told = of_kind(journal_of(session.folder), Kind.COMMAND)
    assert [(one["command"]["name"], one["command"]["why"]) for one in told if one["stage"] == "accepted"] == [
        ("pause", "one"),
        ("resume", "two"),
        ("halt", "three"),
        ("rearm", "four"),
        ("set_capital", "five"),
        ("stop", "six"),
    ]
    assert {one["command"]["who"] for one in told} == {"ann"}
    assert [one["ok"] for one in told if one["stage"] == "answered"] == [True, True, True, False, False, True]


def test_a_wish_is_in_the_journal_before_its_order_and_all_that_follows(tmp_path):
    with operated(tmp_path) as session:
        for minute in range(4):
            session.minute(100.0 + minute, alpha=buy(10 + minute))
        result = session.end()
    records = journal_of(session.folder)
    wished = [record.seq for record in records if record.kind == Kind.INTENT]
    ordered = {record.order_id: record.seq for record in reversed(records) if record.kind == Kind.ORDER}
    assert len(wished) == len(ordered) == 4
    assert all(wish < ordered[o.order_id] for wish, o in zip(wished, result.record.orders, strict=True))
    assert len(of_kind(records, Kind.FILL)) == len(result.record.fills) == 3
    changes = [record for record in records if record.kind == Kind.ORDER and "update" in record.data]
    assert len(changes) == len(result.record.updates)


def test_stale_data_stops_new_risk_until_it_is_fresh(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=buy())
        session.notice(NoticeKind.STALE, "61 s old")
        session.minute(100.0, alpha=buy())
        assert session.status["feed"] == "61 s old"
        session.minute(100.0, alpha=sell(40))
        session.notice(NoticeKind.DISCONNECTED, "broken off")
        session.notice(NoticeKind.CONNECTED)
        session.minute(100.0, alpha=buy(7))
        session.notice(NoticeKind.FRESH)
        session.minute(100.0, alpha=buy(1))
        session.minute(100.0)
        assert session.held() == 61.0
        result = session.end()
    assert [(quantity, status, why) for _, quantity, status, why in orders_of(result)] == [
        (100.0, "FILLED", ""),
        (100.0, "REJECTED", "market data is not to be relied on: 61 s old"),
        (40.0, "FILLED", ""),
        (7.0, "REJECTED", "market data is not to be relied on: 61 s old"),
        (1.0, "FILLED", ""),
    ]


def test_a_session_that_runs_is_not_begun_again(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        with pytest.raises(FairleadError, match=r"writes|runs"), operated(tmp_path):
            pass
        session.minute(100.0)
        assert session.status["state"] == "running"
        assert session.end().record.bars == 2


def test_who_has_no_token_is_refused_and_logged_and_disturbs_nothing(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        with Line(session.folder) as line:
            assert line.ask(token="guessed", command="halt", why="mischief")["error"]["code"] == "token"
        with Line(session.folder) as line:
            line.send(b"{nonsense\n")
            assert line.answer()["error"]["code"] == "malformed"
        with Line(session.folder) as line:
            assert line.ask(command="sell everything", why="mischief")["error"]["code"] == "command"
            session.minute(100.0, alpha=buy())
        session.minute(100.0)
        assert (session.status["state"], session.held()) == ("running", 100.0)
        session.end()
    told = of_kind(journal_of(session.folder), Kind.COMMAND)
    assert {one["command"]["name"] for one in told} == {"status"}
    logged = [json.loads(line) for line in (session.folder / "session.log").read_text().splitlines()]
    refused = [line for line in logged if line["event"] == "command_refused"]
    assert [(line["level"], line["data"]["code"]) for line in refused] == [
        ("WARNING", "token"),
        ("WARNING", "malformed"),
        ("WARNING", "command"),
    ]


def test_status_tells_the_hours_of_the_market(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        assert session.status["market"].startswith("open until")
        session.end()


def test_paper_is_the_simulator(tmp_path):
    """A limit away from the market rests, a stop waits for its price, and a cash account buys what it can pay for."""
    wishes = [OrderIntent.limit("A", 10, 50.0, time_in_force="GTC"), OrderIntent.stop("A", 20, 110.0, time_in_force="GTC")]
    with operated(tmp_path, account="{type: cash}") as session:
        session.minute(100.0, alpha=wishes)
        for _ in range(5):
            session.minute(100.0)
        assert (session.status["working_orders"], session.held()) == (2, 0.0)
        session.minute(112.0)
        assert (session.status["working_orders"], session.held()) == (1, 20.0)
        session.minute(112.0, alpha=buy(2_000))
        session.minute(112.0)
        assert session.held() == 20.0
        result = session.end()
    orders = orders_of(result)
    assert [(quantity, status) for _, quantity, status, _ in orders] == [
        (10.0, "CANCELLED"),
        (20.0, "FILLED"),
        (2_000.0, "REJECTED"),
    ]
    assert "insufficient" in orders[2][3]
    assert [(fill.quantity, fill.price) for fill in result.record.fills] == [(20.0, 112.0)]
    assert result.record.account.cash.min() == 100_000.0 - 20 * 112.0
