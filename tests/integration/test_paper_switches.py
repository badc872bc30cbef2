"""Kill switches and the journal's failures in a paper session: what trips, what is durable before it, and what still passes."""

from __future__ import annotations

import json

import pytest

from fairlead.control import RefusedCommand
from fairlead.core.errors import StorageError
from fairlead.core.time import NS_PER_MINUTE
from fairlead.data.live import NoticeKind, SessionRecorder
from fairlead.engine.desk import OrderDesk
from fairlead.execution.simulated import SimulatedExecution
from fairlead.journal import Kind, open_store
from fairlead.journal.settings import FILE
from fairlead.journal.sqlite import SqliteStore
from fairlead.sdk import OrderIntent
from support_operated import buy, journal_of, of_kind, operated, orders_of, sell

PNL = "{pnl: {warning_pct: 1, critical_pct: 2}, disabled: [KS_DD, KS_PSR]}"
DD = "{drawdown: {warning_pct: 1, critical_pct: 2}, disabled: [KS_PNL, KS_PSR]}"
ALONE = "{pnl: {session: false, strategies: [alpha], warning_pct: 1, critical_pct: 2}, disabled: [KS_DD, KS_PSR]}"


@pytest.fixture
def seen(monkeypatch):
    """What the latch on the disk says whenever a halt takes an order back or closes a position."""
    found: list[tuple[str, list[str]]] = []
    folders = []

    def spied(kind, name, tells):
        plain = getattr(kind, name)

        def spy(self, *args, **kwargs):
            if folders and tells(*args):
                held = json.loads((folders[0].parent / "operated.latch.json").read_text())
                found.append((name, [trip["switch"] for trip in held["trips"]]))
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, spy)

    spied(SimulatedExecution, "cancel", lambda *args: args[2:] == ("halted",))
    spied(OrderDesk, "liquidate", lambda *_: True)
    found_in = folders.append
    return found, found_in


def switched(session):
    return [(d["switch"], d["state"], d.get("action")) for d in of_kind(journal_of(session.folder), Kind.SWITCH)]


# The price falls from 100: of 500 shares, 2 are 1 % of the capital of 100,000.
@pytest.mark.parametrize(
    ("switches", "switch", "prices", "peak"),
    [(PNL, "KS_PNL", (), 100.0), (DD, "KS_DD", (110.0,), 110.0)],
    ids=["loss", "drawdown"],
)
def test_a_loss_warns_once_and_then_closes_everything(tmp_path, seen, switches, switch, prices, peak):
    found, watch = seen
    with operated(tmp_path, switches=switches) as session:
        watch(session.folder)
        session.minute(100.0, alpha=[*buy(500), OrderIntent.limit("A", 1, 50.0)])
        for price in (100.0, *prices):
            session.minute(price)
        session.minute(peak - 1.0)
        assert session.status["halted_by"] == []
        for price in (2.5, 3.0, 2.8):
            session.minute(peak - price)
        assert session.status["state"] == "running"
        assert found == []
        session.minute(peak - 6.0, alpha=buy())
        told = session.status
        assert [trip["switch"] for trip in told["halted_by"]] == [switch]
        session.minute(peak - 6.0, alpha=buy())
        assert (session.held(), session.status["working_orders"]) == (0.0, 0)
        session.minute(peak - 6.0, alpha=sell())
        session.minute(peak - 6.0)
        with pytest.raises(RefusedCommand, match="locked until"):
            session.ask("rearm")
        result = session.end()
    assert [name for name, _ in found] == ["cancel", "liquidate"]
    assert all(trips == [switch] for _, trips in found)
    assert switched(session) == [
        (switch, "warning", None),
        (switch, "critical", None),
        (switch, "tripped", "HALT_AND_FLATTEN"),
    ]
    reason = f"halted since 2024-01-02T14:{37 + len(prices):02}:00.000000Z by {switch} CRITICAL"
    refused = [(side, quantity) for side, quantity, status, why in orders_of(result) if status == "REJECTED" and reason in why]
    assert refused == [("BUY", 100.0), ("BUY", 100.0), ("SELL", 100.0)]
    assert [(str(f.side), f.quantity) for f in result.record.fills] == [("BUY", 500.0), ("SELL", 500.0)]


def test_a_switch_of_one_strategy_halts_that_one_alone(tmp_path):
    with operated(tmp_path, "alpha", "beta", switches=ALONE) as session:
        session.minute(100.0, alpha=buy(500), beta=buy(500))
        session.minute(100.0)
        session.minute(94.0, beta=buy(1))
        session.minute(94.0, alpha=buy(1))
        session.minute(94.0)
        assert [one["state"] for one in session.status["strategies"]] == ["halted", "running"]
        assert (session.held(), session.held("beta")) == (0.0, 501.0)
        assert session.status["state"] == "running"
        session.end()
    tripped = [r for r in journal_of(session.folder) if r.kind == Kind.SWITCH and r.data["state"] == "tripped"]
    assert [(r.strategy, r.data["switch"]) for r in tripped] == [("alpha", "KS_PNL")]


DAILY = "{daily: {strategies: [alpha], warning_pct: 1, critical_pct: 2}, disabled: [KS_PNL, KS_DD, KS_PSR]}"
DD_ML = "{drawdown_ml: {strategies: [alpha], warning_pct: 1, critical_pct: 2}, disabled: [KS_PNL, KS_DD, KS_PSR]}"


@pytest.mark.parametrize(("switches", "switch"), [(DAILY, "KS_DAILY"), (DD_ML, "KS_DD_ML")])
def test_a_switch_that_a_strategy_opted_in_to(tmp_path, switches, switch):
    with operated(tmp_path, "alpha", "beta", switches=switches) as session:
        session.minute(100.0, alpha=buy(500), beta=buy(500))
        session.minute(100.0)
        session.minute(97.5)
        session.minute(97.0)
        session.minute(94.0)
        session.minute(94.0, alpha=buy(1), beta=buy(1))
        session.minute(94.0)
        assert (session.held(), session.held("beta")) == (0.0, 501.0)
        if switch == "KS_DAILY":
            with pytest.raises(RefusedCommand, match="locked until the session after 2024-01-02"):
                session.ask("rearm", strategy="alpha")
        session.end()
    assert switched(session) == [
        (switch, "warning", None),
        (switch, "critical", None),
        (switch, "tripped", "HALT_AND_FLATTEN"),
    ]


def test_the_loss_of_a_day_is_measured_from_its_start(tmp_path):
    with operated(tmp_path, switches=DAILY) as session:
        session.minute(100.0, alpha=buy(500))
        for price in (100.0, 97.5, 95.5, 93.5):
            session.minute(price)
            session.night()
        assert session.status["state"] == "running"
        session.end()
    assert switched(session) == [("KS_DAILY", "warning", None)]


PSR = "{psr: {warning: 0.3, critical: 0.2}, disabled: [KS_PNL, KS_DD]}"


def test_a_strategy_that_probably_loses_is_halted_with_what_it_holds(tmp_path):
    with operated(tmp_path, switches=PSR) as session:
        price = 100.0
        session.minute(price, alpha=buy(500))
        for day in range(80):
            session.night()
            price += (0.4, -0.35, -0.1)[day % 3] if day < 40 else (0.3, -0.5)[day % 2]
            session.minute(price)
            if session.latch["trips"]:
                break
        told = session.status
        assert [(trip["switch"], trip["action"]) for trip in told["halted_by"]] == [("KS_PSR", "HALT_AND_INVESTIGATE")]
        session.minute(price, alpha=buy(1))
        session.minute(price, alpha=sell(100))
        session.minute(price)
        assert session.held() == 400.0
        session.end()
    states = [state for _, state, _ in switched(session)]
    assert states.count("tripped") == 1
    assert states[-3:] == ["warning", "critical", "tripped"]


def test_the_halt_of_a_switch_outlives_the_session(tmp_path):
    with operated(tmp_path, switches=PNL) as session:
        session.minute(100.0, alpha=buy(500))
        session.minute(100.0)
        session.minute(90.0)
        session.minute(90.0)
        session.end()
    with operated(tmp_path, switches=PNL) as session:
        session.minute(90.0, alpha=buy())
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_PNL"]
        result = session.end()
    assert [status for _, _, status, _ in orders_of(result)] == ["REJECTED"]


def test_a_halt_goes_on_when_the_latch_cannot_be_written(tmp_path, monkeypatch):
    with operated(tmp_path, switches=PNL) as session:
        session.minute(100.0, alpha=buy(500))
        session.minute(100.0)
        with monkeypatch.context() as patch:

            def full(*_):
                raise StorageError("the disk is full.")

            patch.setattr("fairlead.risk.monitors.latch.write_state", full)
            session.minute(90.0)
            session.minute(90.0, alpha=buy())
            assert session.held() == 0.0
            assert session.latch["trips"] == []
        session.minute(90.0)
        assert session.status["state"] == "halted"
        assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_PNL"]
        result = session.end()
    assert [status for _, _, status, _ in orders_of(result)] == ["FILLED", "FILLED", "REJECTED"]


def test_without_a_journal_only_what_reduces_leaves(tmp_path, monkeypatch):
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        assert session.held() == 100.0  # and is written down by now
        plain = SqliteStore.append
        monkeypatch.setattr(SqliteStore, "append", _full)
        session.minute(100.0, alpha=buy(1))
        monkeypatch.setattr(SqliteStore, "append", plain)
        session.minute(100.0, alpha=sell(60))
        session.minute(100.0, alpha=buy(2))
        assert session.held() == 40.0
        assert "the disk is full" in session.status["journal"]
        with pytest.raises(RefusedCommand, match="could not be journalled"):
            session.ask("resume")
        answer = session.ask("flatten")
        assert "not journalled" in answer["warning"]
        session.minute(100.0)
        assert session.held() == 0.0
        with pytest.raises(
            StorageError, match=r"could not be written down to its end: the disk is full\. .* goes on from where"
        ):
            session.end()
    assert [data["quantity"] for data in of_kind(journal_of(session.folder), "fill")] == [100.0]


def _full(*_):
    raise StorageError("the disk is full.")


def test_a_wish_that_cannot_be_written_down_stops_its_strategy_alone(tmp_path):
    with operated(tmp_path, "alpha", "beta") as session:
        session.minute(100.0, alpha=[OrderIntent.market("A", 10), OrderIntent.market("A", 10, tag="\ud800")], beta=buy(5))
        session.minute(100.0, beta=buy(5))
        session.minute(100.0)
        assert (session.held(), session.held("beta")) == (0.0, 10.0)
        assert [one["state"] for one in session.status["strategies"]] == ["stopped", "running"]
        result = session.end()
    assert "be valid Unicode" in result.record.strategies[0].error
    notes = [(r.strategy, r.data["text"]) for r in journal_of(session.folder) if r.kind == Kind.NOTE]
    assert [(who, "be valid Unicode" in text) for who, text in notes if text.startswith("strategy failed")] == [("alpha", True)]


def test_a_recording_that_the_disk_refuses_is_no_end_of_the_session(tmp_path, monkeypatch):
    monkeypatch.setattr(SessionRecorder, "append", _full)
    monkeypatch.setattr(SessionRecorder, "close", _full)
    with operated(tmp_path, record="true") as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        assert session.held() == 100.0
        assert session.end().status == "completed"
    logged = [json.loads(line) for line in (session.folder / "session.log").read_text().splitlines()]
    assert [line["message"] for line in logged if line["event"] == "recording_failed"] == ["the disk is full."] * 2


def test_a_loss_that_was_looked_at_does_not_halt_again(tmp_path):
    switches = PNL.replace("{pnl", "{lock_hours: 0, cool_off_minutes: 0, pnl")
    with operated(tmp_path, switches=switches) as session:
        session.minute(100.0, alpha=buy(500))
        session.minute(100.0)
        session.minute(94.0)
        session.minute(94.0)
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_PNL"]
        assert session.ask("rearm", why="a split was not told")["state"] == "running"
        session.minute(94.0, alpha=buy(10))
        session.minute(94.0)
        assert (session.status["state"], session.held()) == ("running", 10.0)
        session.end()


def test_a_book_that_cannot_be_measured_takes_on_no_risk(tmp_path):
    """From an epoch that began with debts, no loss in percent can be told."""
    switches = PNL.replace("{pnl", "{lock_hours: 0, cool_off_minutes: 0, pnl")
    with operated(tmp_path, switches=switches) as session:
        session.minute(100.0, alpha=sell(990))
        session.minute(100.0)
        session.minute(250.0)
        assert session.ask("rearm", why="capital is on its way")["state"] == "running"
        session.minute(90.0, alpha=buy(7))
        session.minute(90.0)
        assert session.held() == 0.0
        result = session.end()
    assert [(quantity, status, why) for _, quantity, status, why in orders_of(result)] == [
        (990.0, "FILLED", ""),
        (990.0, "FILLED", ""),
        (7.0, "REJECTED", "kill switches cannot be measured: KS_PNL"),
    ]


CONN = "{lock_hours: 0, cool_off_minutes: 0, disabled: [KS_PNL, KS_DD, KS_PSR]}"


def drops(session, times=1, minutes=1):
    """Let the feed be gone and come back so many times, so many minutes apart."""
    for _ in range(times):
        session.now += minutes * NS_PER_MINUTE
        session.clock_ns = max(session.clock_ns, session.now)
        session.notice(NoticeKind.DISCONNECTED, "the wire")
        session.notice(NoticeKind.CONNECTED, "the wire")


def heard(session, times):
    """How it stands when so many returns of the feed have been heard of."""
    for _ in range(1000):
        store = open_store(session.folder / FILE)  # it goes on being written to
        notes = [record.data["text"] for record in store.read() if record.kind == Kind.NOTE]
        store.close()
        if sum(text.startswith("feed connected") for text in notes) == times:
            return session.status
    raise AssertionError(notes)


def test_a_feed_that_breaks_off_warns_twice_and_the_fourth_time_closes_everything(tmp_path):
    with operated(tmp_path, switches=CONN) as session:
        session.minute(100.0, alpha=[*buy(100), OrderIntent.limit("A", 1, 50.0)])
        session.minute(100.0)
        drops(session)
        session.minute(100.0)
        assert switched(session) == []
        drops(session)
        session.minute(100.0, alpha=buy(1))
        session.minute(100.0)
        assert (session.status["state"], session.held()) == ("running", 101.0)
        drops(session)
        assert (heard(session, 3)["state"], switched(session)) == ("running", [("KS_CONN", "warning", None)])
        # No bar comes any more: it halts all the same, at once, and closes with the first bar that does.
        drops(session)
        told = heard(session, 4)
        assert [(trip["switch"], trip["action"]) for trip in told["halted_by"]] == [("KS_CONN", "HALT_AND_FLATTEN")]
        assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_CONN"]
        assert (session.held(), told["working_orders"]) == (101.0, 1)
        session.minute(100.0, alpha=buy(2))
        assert (session.held(), session.status["working_orders"]) == (0.0, 0)
        assert session.ask("rearm", why="another line")["state"] == "running"
        drops(session)
        session.minute(100.0, alpha=buy(3))
        session.minute(100.0)
        assert (session.status["state"], session.held()) == ("running", 3.0)
        result = session.end()
    assert [(side, units, status) for side, units, status, _ in orders_of(result)] == [
        ("BUY", 100.0, "FILLED"),
        ("BUY", 1.0, "CANCELLED"),
        ("BUY", 1.0, "FILLED"),
        ("SELL", 101.0, "FILLED"),
        ("BUY", 2.0, "REJECTED"),
        ("BUY", 3.0, "FILLED"),
    ]
    assert switched(session)[:3] == [
        ("KS_CONN", "warning", None),
        ("KS_CONN", "critical", None),
        ("KS_CONN", "tripped", "HALT_AND_FLATTEN"),
    ]


def test_failures_of_more_than_an_hour_ago_are_forgotten(tmp_path):
    with operated(tmp_path, switches=CONN) as session:
        session.minute(100.0)
        drops(session, times=12, minutes=25)
        session.minute(100.0, alpha=buy(5))
        session.minute(100.0)
        assert (session.status["state"], session.held()) == ("running", 5.0)
        session.end()
    # Three at most in any hour: a warning that stays one.
    assert switched(session) == [("KS_CONN", "warning", None)]


def test_a_feed_that_breaks_off_before_its_first_bar_counts(tmp_path):
    with operated(tmp_path, switches=CONN) as session:
        drops(session, times=4)
        session.minute(100.0, alpha=buy(5))
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_CONN"]
        result = session.end()
    assert [status for _, _, status, _ in orders_of(result)] == ["REJECTED"]


def test_levels_of_the_connection_are_a_sessions_own(tmp_path):
    switches = CONN.replace("disabled", "connection: {warning: 1, critical: 1}, disabled")
    with operated(tmp_path, switches=switches) as session:
        session.minute(100.0)
        drops(session, times=2)
        session.minute(100.0)
        assert session.status["state"] == "halted"
        session.end()
    assert [state for _, state, _ in switched(session)] == ["warning", "critical", "tripped"]
