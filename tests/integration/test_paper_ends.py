"""How a paper session ends, and what its latch holds to while no bar comes: real time, a second session, and the last word."""

from __future__ import annotations

import json

import pytest

from fairlead.control import Command, CommandName, Mailbox, RefusedCommand
from fairlead.control.conductor import Conductor
from fairlead.core.errors import ConfigurationError, DataError, FairleadError, StorageError
from fairlead.data.live import NoticeKind, RecordedSession
from fairlead.journal import Kind
from support_operated import RUN, buy, journal_of, of_kind, operated, orders_of, sell

OTHER = f"{RUN}_2"
COOLS = "{lock_hours: 0, cool_off_minutes: 30}"


def test_a_lock_runs_in_real_time_while_no_bar_comes(tmp_path):
    """A halt on a Saturday, a day after the last bar, is locked until Sunday; its cool-off outlasts Monday's first bar."""
    with operated(tmp_path, switches="{lock_hours: 24, cool_off_minutes: 30}") as session:
        session.minute(100.0)
        session.passes(hours=25)
        session.ask("halt", why="the news")
        session.passes(hours=23)
        with pytest.raises(RefusedCommand, match=r"locked until 2024-01-04T15:31:00.000000Z"):
            session.ask("rearm")
        session.passes(hours=1)
        session.ask("rearm")
        session.minute(100.0, alpha=buy())
        session.passes(hours=1)
        session.minute(100.0, alpha=buy(7))
        session.minute(100.0)
        result = session.end()
    assert [(quantity, status, why) for _, quantity, status, why in orders_of(result)] == [
        (100.0, "REJECTED", "cooling off after a re-arm"),
        (7.0, "FILLED", ""),
    ]
    stamps = [r.ts_ns for r in journal_of(session.folder) if r.kind == Kind.SWITCH]
    assert stamps[1] - stamps[0] == 24 * 3600 * 10**9


def test_a_daily_halt_is_lifted_on_the_next_day_though_no_bar_has_come(tmp_path):
    switches = "{daily: {strategies: [alpha], warning_pct: 1, critical_pct: 2}, disabled: [KS_PNL, KS_DD, KS_PSR]}"
    with operated(tmp_path, switches=switches) as session:
        session.minute(100.0, alpha=buy(500))
        session.minute(100.0)
        session.minute(90.0)
        with pytest.raises(RefusedCommand, match="locked until the session after 2024-01-02"):
            session.ask("rearm", strategy="alpha")
        session.passes(hours=24)
        session.ask("rearm", strategy="alpha")
        session.end()


def test_after_a_rearm_nothing_is_risked_until_limits_have_grown_back(tmp_path):
    with operated(tmp_path, switches=COOLS) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        session.ask("halt")
        session.ask("rearm")
        session.passes(hours=0.75)
        session.minute(100.0, alpha=buy(1))
        session.minute(100.0, alpha=sell(40))
        session.passes(hours=0.25)
        session.minute(100.0, alpha=buy(2))
        session.minute(100.0)
        assert session.held() == 62.0
        result = session.end()
    assert [why for _, _, status, why in orders_of(result) if status == "REJECTED"] == ["cooling off after a re-arm"]


def test_a_second_session_of_a_title_does_not_begin_while_one_runs(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        with (
            pytest.raises(ConfigurationError, match="a session named 'operated' runs already"),
            operated(tmp_path, run_id=OTHER),
        ):
            pass
        session.ask("halt")
        session.minute(100.0)
        assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_MANUAL"]
        session.end()
    with operated(tmp_path, run_id=OTHER) as session:
        assert session.status["state"] == "halted"


def test_a_feed_that_fails_costs_no_result(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        session.feed.fail(DataError("the wire was cut."))
        result = session.ended()
    assert (result.record.bars, [str(error) for error in session.failures]) == (2, ["the wire was cut."])
    with operated(tmp_path, run_id=OTHER) as session:
        session.minute(100.0)
        session.feed.fail(RuntimeError("a third party's"))
        assert session.ended().record.bars == 1
    assert [str(error) for error in session.failures] == ["the feed failed: RuntimeError: a third party's."]


def test_a_bar_of_another_symbol_is_told_once_and_not_used(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        session.bar(5.0, "ZZZ")
        session.bar(5.0, "ZZZ")
        session.minute(101.0)
        assert session.end().record.bars == 2
    notes = [data["text"] for data in of_kind(journal_of(session.folder), Kind.NOTE)]
    assert notes[0] == "feed gap: ZZZ: a bar came, and it is not one of the session's 1 symbols; none is used"
    assert len([text for text in notes if "ZZZ" in text]) == 1


def test_a_recording_is_on_the_disk_after_a_minute(tmp_path):
    with operated(tmp_path, record="true") as session:

        def kept():
            assert session.status["state"] == "running"
            assert session.status["state"] == "running"  # served after what the loop does between two events
            return len(list(RecordedSession(session.folder / "recording").events()))

        session.minute(100.0)
        session.notice(NoticeKind.FRESH)
        session.bar(5.0, "ZZZ")
        before = kept()
        session.passes(hours=59 / 3600)
        assert kept() == before < 2
        session.passes(hours=1 / 3600)
        assert kept() == 2
        session.end()


def test_a_signal_is_a_stop(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0, alpha=buy())
        session.minute(100.0)
        session.stop_asked = "SIGTERM"
        assert session.ended().record.bars == 2
    told = [one["command"] for one in of_kind(journal_of(session.folder), Kind.COMMAND) if one["stage"] == "accepted"]
    assert [(one["name"], one["who"], one["why"]) for one in told] == [("stop", "the system", "SIGTERM")]


def _at_the_end(monkeypatch, *commands):
    """Let commands arrive when the loop is over, and one more when all is."""
    found = {}
    plain, plain_end = Conductor.over, Mailbox.end

    def over(self):
        for command in commands:
            self._mailbox.leave(command)
        plain(self)

    def end(self, session):
        plain_end(self, session)
        with pytest.raises(RefusedCommand, match="the session has ended") as refused:
            self.ask(Command(name=CommandName.HALT, who="ann", why="too late"), 1.0)
        found["late"] = refused.value.code

    monkeypatch.setattr(Conductor, "over", over)
    monkeypatch.setattr(Mailbox, "end", end)
    return found


def test_what_is_asked_at_the_very_end_is_done_or_refused(tmp_path, monkeypatch):
    asked = [
        Command(name=name, who="ann", why="at the end", args=args)
        for name, args in (
            (CommandName.FLATTEN, {}),
            (CommandName.STOP, {"flatten": True}),
            (CommandName.STATUS, {}),
            (CommandName.HALT, {"flatten": True}),
        )
    ]
    with monkeypatch.context() as patch:
        found = _at_the_end(patch, *asked)
        with operated(tmp_path) as session:
            session.minute(100.0, alpha=buy())
            session.minute(100.0)
            session.end()
    assert found == {"late": "refused"}
    assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_MANUAL"]
    told = [one for one in of_kind(journal_of(session.folder), Kind.COMMAND) if one["stage"] == "answered"]
    assert [(one["command"]["name"], one["ok"]) for one in told] == [
        ("flatten", False),
        ("stop", False),
        ("status", True),
        ("halt", True),
    ]
    assert {one["answer"]["message"] for one in told[:2]} == {"the session has ended."}
    assert told[2]["answer"]["state"] == "ended"
    with operated(tmp_path, run_id=OTHER) as session:
        assert session.status["state"] == "halted"


def test_stopped_before_any_data(tmp_path):
    with operated(tmp_path) as session:
        assert session.ask("stop") == {"state": "stopping"}
        with pytest.raises(FairleadError, match="was stopped before it had any data") as told:
            session.ended()
    assert type(told.value) is FairleadError


def test_a_halt_before_the_first_bar_that_the_disk_refuses_is_tried_again(tmp_path, monkeypatch):
    def full(*_):
        raise StorageError("the disk is full.")

    with operated(tmp_path) as session:
        with monkeypatch.context() as patch:
            patch.setattr("fairlead.risk.monitors.latch.write_state", full)
            session.ask("halt")
            assert session.latch["trips"] == []
        for _ in range(2):  # the second is served after the first's turn is over
            assert session.status["state"] == "halted"
        assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_MANUAL"]


def test_what_a_session_logs_of_a_feed_that_failed(tmp_path):
    with operated(tmp_path) as session:
        session.minute(100.0)
        session.feed.fail(DataError("the wire was cut."))
        session.ended()
    logged = [json.loads(line) for line in (session.folder / "session.log").read_text().splitlines()]
    assert [line["message"] for line in logged if line["event"] == "feed_failed"] == ["the wire was cut."]
