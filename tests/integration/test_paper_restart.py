"""A paper session that goes on after a crash: what was bought, halted, paused and asked is as it was."""

from __future__ import annotations

from collections import Counter

import pytest

from fairlead.config.restarting import TAPE
from fairlead.core.errors import ConfigurationError, FairleadError, StorageError
from fairlead.core.orders import TimeInForce
from fairlead.core.time import NS_PER_MINUTE
from fairlead.data.live import NoticeKind
from fairlead.journal import Kind
from fairlead.journal.retrace import Diverged
from fairlead.sdk import OrderIntent
from support_operated import RUN, Planned, buy, journal_of, of_kind, operated, orders_of, sell


@pytest.fixture
def plan():
    Planned.plan.clear()
    yield Planned.plan
    Planned.plan.clear()


def planned(folder, **given):
    return operated(folder, strategy="Planned", **given)


def going_on(folder, **given):
    return planned(folder, goes_on=True, **given)


def crashed(tmp_path, *prices, asked=(), **given):
    """Let a session pass minutes and be asked things, and return what a crash then leaves."""
    (tmp_path / "first").mkdir()
    with planned(tmp_path / "first", **given) as session:
        for price in prices:
            session.minute(price)
        for command, args in asked:
            session.ask(command, **args)
        return session.left_by_a_crash(tmp_path / "second")


def go_on(session, minutes):
    """Let the market go on after what a session has seen."""
    session.now += minutes * NS_PER_MINUTE
    session.clock_ns = session.now


def test_positions_orders_and_cash_are_as_they_were(tmp_path, plan):
    plan.update({0: buy(100), 3: sell(40)})
    with planned(tmp_path) as whole:
        for price in (100.0, 101.0, 102.0, 103.0, 104.0):
            whole.minute(price)
        expected = whole.end()
    home = crashed(tmp_path, 100.0, 101.0, 102.0)
    with going_on(home) as session:
        go_on(session, 3)
        for price in (103.0, 104.0):
            session.minute(price)
        assert session.held() == 60.0
        found = session.end()
    assert session.feed.since_ns == session.before.last_instant_ns
    assert orders_of(found) == orders_of(expected)
    assert [fill[1:] for fill in found.record.fills] == [fill[1:] for fill in expected.record.fills]
    assert found.record.account.equity.tolist() == expected.record.account.equity.tolist()
    records = journal_of(session.folder)
    assert (
        Counter(record.order_id for record in records if record.kind == Kind.FILL and record.order_id).most_common(1)[0][1] == 1
    )
    assert [data["event"] for data in of_kind(records, "session")] == ["start", "resume", "stop"]
    (resumed,) = [data for data in of_kind(records, "session") if data["event"] == "resume"]
    assert (resumed["found"] > 3, resumed["added"]) == (True, 0)


def test_what_the_feed_tells_again_is_not_taken_twice(tmp_path, plan):
    plan[0] = buy(100)
    home = crashed(tmp_path, 100.0, 101.0)
    with going_on(home) as session:
        session.bar(55.0, "A")
        go_on(session, 2)
        session.minute(102.0)
        found = session.end()
    assert found.record.bars == 3
    assert found.record.account.equity[-1] == pytest.approx(100_000 + 100 * 1.0)


def test_a_halt_holds_and_exits_still_pass(tmp_path, plan):
    plan.update({0: buy(100), 3: buy(5), 4: lambda context: sell(context.portfolio.quantity("A"))})
    home = crashed(tmp_path, 100.0, 100.0, asked=[("halt", {"why": "news"})])
    latch = (home / "sessions" / "operated.latch.json").read_bytes()
    with going_on(home) as session:
        assert session.latch["trips"][0]["reason"] == "ann: news"
        go_on(session, 2)
        for _ in range(3):
            session.minute(100.0)
        session.minute(100.0)
        assert (session.status["state"], session.held()) == ("halted", 0.0)
        result = session.end()
    assert session.latch_file.read_bytes() == latch
    assert [(q, status, why[:12]) for _, q, status, why in orders_of(result)] == [
        (100.0, "FILLED", ""),
        (5.0, "REJECTED", "halted since"),
        (100.0, "FILLED", ""),
    ]
    commands = [
        data["command"]["name"] for data in of_kind(journal_of(session.folder), "command") if data["stage"] == "accepted"
    ]
    assert commands.count("halt") == 1


def test_a_halt_that_another_session_latched_meanwhile_is_added(tmp_path, plan):
    home = crashed(tmp_path, 100.0)
    with planned(home, run_id=f"{RUN}_2") as other:
        other.minute(100.0)
        other.ask("halt", why="meanwhile")
        other.minute(100.0)
        other.end()
    (home / "sessions" / f"{RUN}_2" / TAPE).unlink()
    with going_on(home) as session:
        go_on(session, 1)
        session.minute(100.0)
        assert session.status["state"] == "halted"
        session.end()
    assert [trip["reason"] for trip in session.latch["trips"]] == ["ann: meanwhile"]


def test_a_rearm_is_not_undone(tmp_path, plan):
    plan[3] = buy(7)
    asked = [("halt", {"why": "news"}), ("rearm", {"why": "looked at"})]
    home = crashed(tmp_path, 100.0, 100.0, asked=asked, switches="{lock_hours: 0, cool_off_minutes: 0}")
    with going_on(home, switches="{lock_hours: 0, cool_off_minutes: 0}") as session:
        go_on(session, 2)
        for _ in range(3):
            session.minute(100.0)
        assert (session.status["state"], session.held()) == ("running", 7.0)
        session.end()
    assert session.latch["trips"] == []


def test_a_paused_strategy_stays_paused(tmp_path, plan):
    plan[2] = buy(7)
    home = crashed(tmp_path, 100.0, asked=[("pause", {"why": "lunch"})])
    with going_on(home) as session:
        go_on(session, 1)
        for _ in range(3):
            session.minute(100.0)
        assert (session.status["state"], session.held()) == ("paused", 0.0)
        session.end()


def test_a_flattening_that_was_under_way_goes_on(tmp_path, plan):
    plan[0] = buy(100)
    home = crashed(tmp_path, 100.0, 100.0, asked=[("stop", {"flatten": True})])
    with going_on(home) as session:
        go_on(session, 2)
        session.minute(100.0)
        result = session.ended()
    assert [(side, q, status) for side, q, status, _ in orders_of(result)] == [
        ("BUY", 100.0, "FILLED"),
        ("SELL", 100.0, "FILLED"),
    ]


def test_stale_data_of_before_does_not_keep_it_from_trading(tmp_path, plan):
    plan[1] = buy(7)
    (tmp_path / "first").mkdir()
    with planned(tmp_path / "first") as session:
        session.minute(100.0)
        session.notice(NoticeKind.STALE, "old")
        home = session.left_by_a_crash(tmp_path / "second")
    with going_on(home) as session:
        go_on(session, 1)
        session.minute(100.0)
        session.minute(100.0)
        assert session.held() == 7.0
        session.end()


def test_a_strategy_that_decides_otherwise_stops_it(tmp_path, plan):
    plan[0] = buy(100)
    home = crashed(tmp_path, 100.0, 100.0)
    plan[0] = buy(50)
    text = "record 2 of the journal does not come again.*Code, data or settings have changed"
    with pytest.raises(Diverged, match=text), going_on(home) as session:
        session.ended()
    assert [data["event"] for data in of_kind(journal_of(home / "sessions" / RUN), "session")] == ["start"]


def test_other_settings_are_not_gone_on_with(tmp_path, plan):
    home = crashed(tmp_path, 100.0)
    with (
        pytest.raises(ConfigurationError, match=r"was interrupted at .*, and has another configuration than this one.*--anew"),
        going_on(home, switches="{pnl: {warning_pct: 1, critical_pct: 2}}"),
    ):
        pass


def test_a_damaged_tape_is_not_gone_on_with(tmp_path, plan):
    home = crashed(tmp_path, 100.0, 101.0)
    tape = home / "sessions" / RUN / TAPE
    tape.write_bytes(tape.read_bytes().replace(b"100.0", b"900.0", 1))
    with pytest.raises(StorageError, match="is damaged at line"), going_on(home):
        pass


def test_one_that_is_finished_or_never_had_data_is_left(tmp_path, plan):
    with planned(tmp_path) as session:
        session.minute(100.0)
        session.end()
        session._session.finish(RUN, session.clock_ns)
    with planned(tmp_path, goes_on=True) as session:
        assert session.before is None
        assert (session.folder / f"{TAPE}.1").exists()
        session.ask("stop")
        with pytest.raises(FairleadError, match="stopped before it had any data"):
            session.ended()
    with planned(tmp_path, goes_on=True) as session:
        assert session.before is None
        session.minute(100.0)
        session.end()


def test_what_a_strategy_remembers_must_come_again(tmp_path, plan, monkeypatch):
    monkeypatch.setattr("fairlead.control.conductor.CHECKPOINT_EVERY", 2)
    home = crashed(tmp_path, 100.0, 101.0, 102.0)
    (checkpoint,) = [d for d in of_kind(journal_of(home / "sessions" / RUN), "session") if d["event"] == "checkpoint"]
    assert (checkpoint["instants"], checkpoint["working"]) == (2, [])
    assert checkpoint["strategies"]["alpha"] | {"state": ""} == {"cash": 100_000.0, "positions": {}, "state": ""}
    monkeypatch.setattr(Planned, "save_state", lambda self: {"other": True})
    with (
        pytest.raises(Diverged, match=r"the journal does not come again.*It says session .*checkpoint"),
        going_on(home) as session,
    ):
        session.ended()


def test_capital_that_was_changed_is_what_it_was_changed_to(tmp_path, plan):
    plan[0] = buy(100)
    home = crashed(tmp_path, 100.0, 100.0, asked=[("set_capital", {"strategy": "alpha", "amount": 150_000.0})])
    with going_on(home) as session:
        go_on(session, 2)
        session.minute(110.0)
        (alpha,) = session.status["strategies"]
        assert (alpha["capital"], alpha["equity"]) == (150_000.0, 151_000.0)
        found = session.end()
    assert [(flow.strategy, flow.amount) for flow in found.record.cash_flows] == [("alpha", 50_000.0)]


def test_what_was_missed_is_caught_up_on_without_more_risk(tmp_path, plan):
    """Bars that a feed still has from while nobody was there: exits work in them, and what would add risk is too late."""
    plan.update({0: buy(100), 2: buy(5), 3: sell(40), 9: buy(7)})
    home = crashed(tmp_path, 100.0, 100.0)
    with going_on(home) as session:
        go_on(session, 2)
        session.passes(hours=10 / 60)
        for _ in range(9):
            session.minute(100.0)
        result = session.end()
    assert [(side, q, status, why[:23]) for side, q, status, why in orders_of(result)] == [
        ("BUY", 100.0, "FILLED", ""),
        ("BUY", 5.0, "REJECTED", "this bar is 540 s old: "),
        ("SELL", 40.0, "FILLED", ""),
        ("BUY", 7.0, "FILLED", ""),
    ]


def test_a_cooldown_of_before_holds(tmp_path, plan):
    """An order that left before the crash is what the next one waits for, though it was never filled."""
    resting = OrderIntent.limit("A", 5, 90.0, time_in_force=TimeInForce.IOC)
    plan.update({1: [resting], 3: buy(5), 5: buy(7)})
    guards = "disabled: [G1, G2, G3, G4, G5, G6, G7, G8, G9, G10, G11, G12], cooldown_s: 180"
    home = crashed(tmp_path, 100.0, 100.0, 100.0, guards=guards)
    with going_on(home, guards=guards) as session:
        go_on(session, 3)
        for _ in range(4):
            session.minute(100.0)
        result = session.end()
    assert [(q, status, why[:12]) for _, q, status, why in orders_of(result)] == [
        (5.0, "CANCELLED", "not_marketab"[:12]),
        (5.0, "REJECTED", "G13 Cooldown"),
        (7.0, "FILLED", ""),
    ]
