"""What a paper session knows of its orders is held against what the venue knows: what is found, and what follows."""

from __future__ import annotations

import dataclasses
import json

import pytest

from fairlead.control import RefusedCommand
from fairlead.core.orders import OrderStatus
from fairlead.data.live import NoticeKind
from fairlead.journal import Kind
from fairlead.sdk import OrderIntent
from support_operated import buy, journal_of, of_kind, operated, orders_of, sell
from support_paper import paper_session, run_paper
from support_reports import Losing, Scrambled, same_life

AT_ONCE = "{lock_hours: 0, cool_off_minutes: 0, disabled: [KS_PNL, KS_DD, KS_PSR]}"
EVERY = "{{mode: {}, every: 2}}"
NEVER = "{{mode: {}, every: 1000}}"
S = OrderStatus


def loses(quantity=50.0):
    """A channel that loses the fill of an order of such a size."""
    return Losing(lambda report: report.order.quantity == quantity and report.update.status is S.FILLED)


def switched(session):
    return [(d["switch"], d["state"], d.get("action")) for d in of_kind(journal_of(session.folder), Kind.SWITCH)]


def logged(session, event):
    lines = [json.loads(line) for line in (session.folder / "session.log").read_text().splitlines()]
    return [(line["level"], line["message"]) for line in lines if line["event"] == event]


def kinds(found):
    return [(difference["type"], difference["ours"], difference["theirs"]) for difference in found]


def test_a_fill_that_nobody_heard_of_halts_and_exits_still_pass(tmp_path):
    channel = loses()
    with operated(tmp_path, switches=AT_ONCE, reconciliation=EVERY.format("strict"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(100))
        session.minute(100.0, alpha=[*buy(50), OrderIntent.limit("A", 7, 50.0)])
        assert session.status["reconciliation"]["differences"] == []
        session.minute(100.0)
        assert session.status["state"] == "running"
        session.minute(100.0)
        told = session.status
        assert [(trip["switch"], trip["action"]) for trip in told["halted_by"]] == [("KS_RECON", "HALT_AND_INVESTIGATE")]
        assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_RECON"]
        assert (session.held(), told["working_orders"]) == (100.0, 0)
        assert told["reconciliation"]["mode"] == "strict"
        assert told["reconciliation"]["at"] == "2024-01-02T14:34:00.000000Z"
        assert [text.partition(":")[0].split()[0] for text in told["reconciliation"]["differences"]] == [
            "QUANTITY_MISMATCH",
            "CASH_MISMATCH",
            "LOST_ORDER",
            "MISSED_FILL",
        ]
        session.minute(100.0, alpha=buy(1))
        session.minute(100.0, alpha=sell(60))
        session.minute(100.0)
        assert session.held() == 40.0
        with pytest.raises(RefusedCommand, match="reconcile with the broker first, without a mismatch"):
            session.ask("rearm", why="it looks fine")
        assert session.status["state"] == "halted"
        result = session.end()
    assert [(side, units, status) for side, units, status, _ in orders_of(result)] == [
        ("BUY", 100.0, "FILLED"),
        ("BUY", 50.0, "FILLED"),
        ("BUY", 7.0, "CANCELLED"),
        ("BUY", 1.0, "REJECTED"),
        ("SELL", 60.0, "FILLED"),
    ]
    assert [(str(f.side), f.quantity) for f in result.record.fills] == [("BUY", 100.0), ("SELL", 60.0)]
    assert switched(session) == [("KS_RECON", "critical", None), ("KS_RECON", "tripped", "HALT_AND_INVESTIGATE")]

    first, *_ = found = of_kind(journal_of(session.folder), Kind.RECONCILIATION)
    assert [(one["why"], one["mode"], one["is_strict"], one["settled"]) for one in found[:1]] == [
        ("schedule", "strict", True, [])
    ]
    (lost,) = channel.lost
    order = "BUY 50, 0 filled"
    execution = "BUY 50 at 100, 2024-01-02T14:33:00.000000Z"
    assert kinds(first["differences"]) == [
        ("QUANTITY_MISMATCH", "100", "150"),
        ("CASH_MISMATCH", "-10000.00", "-15000.00"),
        ("LOST_ORDER", order, "not working"),
        ("MISSED_FILL", "nothing", execution),
    ]
    assert first["differences"][3]["subject"] == f"fill {lost.fill.fill_id} of order {lost.order.order_id}"
    level, message = logged(session, "reconciliation")[0]
    assert (level, message.partition(";")[0]) == ("ERROR", "QUANTITY_MISMATCH alpha A: 100 in our books, 150 at the broker")

    # It outlives the session; the next one begins with empty books, which are the venue's.
    with operated(tmp_path, switches=AT_ONCE) as session:
        session.passes(hours=1)
        session.minute(100.0, alpha=buy(1))
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_RECON"]
        assert session.ask("rearm", why="the wire was mended")["state"] == "running"
        session.minute(100.0, alpha=buy(2))
        session.minute(100.0)
        assert session.held() == 2.0
        session.end()


def test_a_halt_is_not_lifted_while_a_difference_lasts(tmp_path):
    """A re-arm looks itself: nobody had noticed yet. When what was late has come, it goes through."""
    channel = loses()
    with operated(tmp_path, switches=AT_ONCE, reconciliation=NEVER.format("warn"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(50))
        session.minute(100.0)
        session.ask("halt", why="a drill")
        assert session.status["reconciliation"]["differences"] == []
        with pytest.raises(RefusedCommand, match="reconcile with the broker first"):
            session.ask("rearm", why="the drill is over")
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_MANUAL"]
        assert len(session.status["reconciliation"]["differences"]) == 4
        channel.late += channel.lost
        assert session.ask("rearm", why="the drill is over")["state"] == "running"
        assert session.held() == 50.0
        session.minute(100.0, alpha=buy(5))
        session.minute(100.0)
        assert session.held() == 55.0
        session.end()
    found = of_kind(journal_of(session.folder), Kind.RECONCILIATION)
    assert [(one["why"], len(one["differences"]), one["in_a_row"]) for one in found] == [("re-arm", 4, 1), ("re-arm", 0, 0)]
    assert logged(session, "reconciliation")[-1] == ("INFO", "the books agree again")


def test_a_warning_becomes_a_halt_when_it_is_there_twice_in_a_row(tmp_path):
    channel = loses()
    with operated(tmp_path, switches=AT_ONCE, reconciliation=EVERY.format("warn"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(50))
        session.minute(100.0)
        assert (session.status["state"], session.status["halted_by"]) == ("running", [])
        assert len(session.status["reconciliation"]["differences"]) == 4
        session.minute(100.0, alpha=buy(1))
        assert session.status["state"] == "running"
        session.minute(100.0)
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_RECON"]
        assert session.held() == 1.0
        session.end()
    assert switched(session) == [
        ("KS_RECON", "warning", None),
        ("KS_RECON", "critical", None),
        ("KS_RECON", "tripped", "HALT_AND_INVESTIGATE"),
    ]
    found = of_kind(journal_of(session.folder), Kind.RECONCILIATION)
    assert [(one["is_strict"], one["in_a_row"]) for one in found] == [(False, 1), (True, 2)]
    assert [level for level, _ in logged(session, "reconciliation")] == ["WARNING", "ERROR"]


def test_a_warning_that_passes_halts_nobody(tmp_path):
    channel = loses()
    with operated(tmp_path, switches=AT_ONCE, reconciliation=EVERY.format("warn"), channel=lambda: channel) as session:
        for quantity in (50, 50):
            session.minute(100.0, alpha=buy(quantity))
            session.minute(100.0)
            assert len(session.status["reconciliation"]["differences"]) == 4
            channel.late += channel.lost[-1:]
            session.minute(100.0)
            session.minute(100.0)
            assert session.status["reconciliation"]["differences"] == []
        assert (session.status["state"], session.held()) == ("running", 100.0)
        session.end()
    assert [state for _, state, _ in switched(session)] == ["warning", "warning"]


def test_the_brokers_word_is_booked_and_written_down(tmp_path):
    channel = Losing(lambda report: report.order.quantity == 50 and report.update.status in {S.ACKNOWLEDGED, S.FILLED})
    sizes = [buy(100), buy(50), sell(30)]
    with operated(tmp_path, switches=AT_ONCE, reconciliation=EVERY.format("auto_sync"), channel=lambda: channel) as session:
        for wish, price in zip(sizes, (100.0, 101.0, 102.0), strict=True):
            session.minute(price, alpha=wish)
        assert session.held() == 100.0
        session.minute(103.0)
        assert (session.status["state"], session.held()) == ("running", 120.0)
        session.minute(104.0)
        result = session.end()
    found, *_ = of_kind(journal_of(session.folder), Kind.RECONCILIATION)
    # Which was booked last decides what a share has cost on average, and that halts nobody.
    assert [kind for kind, _, _ in kinds(found["differences"])] == ["PRICE_MISMATCH"]
    assert (found["why"], found["in_a_row"]) == ("schedule", 0)
    settled = kinds(found["settled"])
    assert [kind for kind, _, _ in settled] == ["QUANTITY_MISMATCH", "CASH_MISMATCH", "LOST_ORDER", "MISSED_FILL"]
    assert settled[3] == ("MISSED_FILL", "nothing", "BUY 50 at 102, 2024-01-02T14:33:00.000000Z")
    (level, message), *_ = logged(session, "reconciliation")
    assert level == "WARNING"
    assert message.startswith("settled by the broker's word: QUANTITY_MISMATCH alpha A: ")
    assert of_kind(journal_of(session.folder), Kind.SWITCH) == []

    (session_folder := tmp_path / "undisturbed").mkdir()
    with operated(session_folder, switches=AT_ONCE) as session:
        for wish, price in zip(sizes, (100.0, 101.0, 102.0), strict=True):
            session.minute(price, alpha=wish)
        session.minute(103.0)
        session.minute(104.0)
        expected = session.end()
    same_life(result.record, expected.record)
    assert result.record.account.cash[-1] == expected.record.account.cash[-1]
    assert result.record.account.equity[-1] == expected.record.account.equity[-1]
    booked = [record for record in journal_of(session.folder) if record.kind == Kind.FILL]
    assert len(booked) == 3


def test_what_cannot_be_settled_halts(tmp_path, monkeypatch):
    """Believing the broker does not help where the broker's word does not come."""
    channel = loses()
    monkeypatch.setattr("fairlead.engine.reportline.ReportLine.resend", lambda _line: None)
    with operated(tmp_path, switches=AT_ONCE, reconciliation=EVERY.format("auto_sync"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(50))
        session.minute(100.0)
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_RECON"]
        session.end()


def test_flattening_closes_what_the_broker_holds(tmp_path):
    """And not what the books say: a position that nobody knows of would be left."""
    channel = loses()
    with operated(tmp_path, switches=AT_ONCE, reconciliation=NEVER.format("strict"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(100))
        session.minute(100.0, alpha=buy(50))
        session.minute(100.0)
        assert session.held() == 100.0
        session.ask("flatten", why="lunch")
        session.minute(100.0)
        session.minute(100.0)
        result = session.end()
    assert [(str(f.side), f.quantity) for f in result.record.fills] == [("BUY", 100.0), ("SELL", 150.0)]
    notes = [data["text"] for data in of_kind(journal_of(session.folder), Kind.NOTE)]
    assert any("flat and verified" in text for text in notes)


def test_after_the_feed_was_gone_the_books_are_looked_at_before_anything_is_decided(tmp_path):
    channel = loses()
    with operated(tmp_path, switches=AT_ONCE, reconciliation=NEVER.format("strict"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(50))
        session.minute(100.0)
        session.notice(NoticeKind.DISCONNECTED, "the wire")
        session.notice(NoticeKind.CONNECTED, "the wire")
        session.minute(100.0, alpha=buy(5))
        session.minute(100.0)
        assert [trip["switch"] for trip in session.status["halted_by"]] == ["KS_RECON"]
        result = session.end()
    assert [status for _, _, status, _ in orders_of(result)] == ["FILLED", "REJECTED"]
    assert of_kind(journal_of(session.folder), Kind.RECONCILIATION)[0]["why"] == "the feed is back"


def test_what_is_lost_at_the_end_is_found_at_the_end(tmp_path):
    """Trading is halted then, and the next session begins so: someone is to look."""
    channel = loses()
    with operated(tmp_path, switches=AT_ONCE, reconciliation=NEVER.format("strict"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(50))
        session.minute(100.0)
        assert session.status["state"] == "running"
        session.end()
    assert [one["why"] for one in of_kind(journal_of(session.folder), Kind.RECONCILIATION)] == ["end"]
    assert [trip["switch"] for trip in session.latch["trips"]] == ["KS_RECON"]


def test_without_kill_switches_a_difference_is_told_and_halts_nobody(tmp_path):
    channel = loses()
    switches = "{disabled: [KS_PNL, KS_DD, KS_PSR, KS_RECON]}"
    with operated(tmp_path, switches=switches, reconciliation=EVERY.format("strict"), channel=lambda: channel) as session:
        session.minute(100.0, alpha=buy(50))
        session.minute(100.0)
        assert (session.status["state"], len(session.status["reconciliation"]["differences"])) == ("running", 4)
        session.end()
    assert len(of_kind(journal_of(session.folder), Kind.RECONCILIATION)) == 1


def test_before_its_first_bar_the_books_of_a_session_are_empty_and_agree(tmp_path):
    with operated(tmp_path, switches=AT_ONCE) as session:
        session.ask("halt", why="a drill")
        assert session.ask("rearm", why="the drill is over")["state"] == "running"
        session.minute(100.0)
        assert session.status["reconciliation"] == {
            "mode": "strict",
            "at": "2024-01-02T14:30:00.000000Z",
            "differences": [],
            "waiting": {},
        }
        session.end()


SPLIT = """\
mode: backtest
name: overtaken
clock: {type: historical, start_date: 2004-12-01, end_date: 2005-04-29}
data: {type: historical, source: bundled, symbols: [AAPL]}
strategies: [{name: buy_and_hold, capital: 100_000}]
risk: {kill_switches: {disabled: [KS_PNL, KS_DD, KS_PSR]}}
enforcement: {guards: warn}
"""


@pytest.mark.parametrize(("every", "booked"), [(40, 1), (80, 0)], ids=["before the split", "after it"])
def test_a_fill_that_a_split_has_overtaken_is_not_booked_as_it_was(tmp_path, every, booked):
    """Of 100 shares that nobody heard of there are 200 now: to book 100 would be to lose the others for good."""
    config = tmp_path / "overtaken.yaml"
    config.write_text(SPLIT + f"reconciliation: {{mode: auto_sync, every: {every}}}\n")
    channel = Losing(lambda report: report.update.status is S.FILLED)
    session = dataclasses.replace(paper_session(config, tmp_path), channel=lambda: channel)
    result = run_paper(session, "paper_overtaken")
    assert len(result.record.market_actions) == 1
    assert len(channel.lost) == 1
    assert len(result.record.fills) == len(result.record.applied_actions) == booked
    folder = session.folder("paper_overtaken")
    tripped = [d["switch"] for d in of_kind(journal_of(folder), Kind.SWITCH) if d["state"] == "tripped"]
    assert tripped == ([] if booked else ["KS_RECON"])


def trades(session):
    """Brackets, partial fills, cancels, sales beyond what is held, of two strategies."""
    bracket = OrderIntent.market("A", 300).with_exits(take_profit=104.0, stop_loss=96.0)
    beta = [OrderIntent.limit("A", 40, 99.0), OrderIntent.stop("A", 25, 103.0)]
    session.minute(100.0, alpha=[bracket], beta=beta)
    session.minute(101.0, alpha=buy(20))
    session.minute(98.0, beta=sell(60))
    session.minute(103.0, alpha=sell(10), beta=buy(200))
    session.minute(105.0)
    session.minute(94.0, alpha=sell(50), beta=sell(100))
    session.minute(95.0, beta=[OrderIntent.market("A", 1)])
    session.minute(95.0)
    return {one["name"]: (one["equity"], one["positions"]) for one in session.status["strategies"]}, session.end()


@pytest.mark.parametrize("seed", range(8))
def test_reports_that_come_twice_and_out_of_order_change_nothing(tmp_path, seed):
    found = []
    for name, channel in (("straight", None), ("scrambled", Scrambled(seed))):
        (tmp_path / name).mkdir()
        changes = {} if channel is None else {"channel": lambda channel=channel: channel}
        with operated(tmp_path / name, "alpha", "beta", reconciliation="{every: 1}", switches=AT_ONCE, **changes) as session:
            found.append(trades(session))
            differences = [one["differences"] for one in of_kind(journal_of(session.folder), Kind.RECONCILIATION)]
            # What a share has cost on average depends on which of two orders is booked first.
            assert {kind for some in differences for kind, _, _ in kinds(some)} <= {"PRICE_MISMATCH"}
            counted = [(r.kind, r.strategy) for r in journal_of(session.folder) if r.kind != Kind.RECONCILIATION]
            found[-1] += (sorted(counted),)
    (books, straight, journalled), (other_books, scrambled, other_journalled) = found
    assert len(straight.record.fills) >= 8
    assert channel.again > 10
    same_life(scrambled.record, straight.record)
    assert other_books == books
    assert other_journalled == journalled
    assert scrambled.record.account.equity.tolist() == pytest.approx(straight.record.account.equity.tolist(), rel=1e-12)
