"""Recorded sessions: what was taken comes back, and a crash costs what was not flushed and nothing else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, StorageError
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.data.live import AggregationSettings, FeedNotice, NoticeKind, Received, RecordedSession, SessionRecorder
from fairlead.data.live.recording import put_torn_aside
from support_feeds import OPEN_NS, minute_bar, morning, quote, trade

RECEIVED = [Received(event, event.known_ns + i) for i, event in enumerate(morning(5))]
RECEIVED.insert(7, Received(FeedNotice(NoticeKind.GAP, OPEN_NS, "3 events are lost"), OPEN_NS + 5))


def record(folder, rows, **options):
    with SessionRecorder(folder, bar_size=BarSize.M1, calendar="XNYS", **options) as recorder:
        for row in rows:
            recorder.append(row)
    return RecordedSession(folder)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_what_was_taken_comes_back(tmp_path, chunk):
    session = record(tmp_path / "s", RECEIVED, chunk=chunk)
    assert list(session.received()) == RECEIVED
    assert list(session.events()) == [r.event for r in RECEIVED if not isinstance(r.event, FeedNotice)]
    assert (session.symbols, session.bar_size, session.calendar) == (("A", "B"), BarSize.M1, "XNYS")


FINITE = st.floats(allow_nan=False, allow_infinity=False)
STAMPS = st.integers(0, 2**62)


@settings(max_examples=15)
@given(st.lists(st.tuples(STAMPS, STAMPS, FINITE, FINITE, FINITE, FINITE), max_size=20))
def test_numbers_and_stamps_come_back_to_the_bit(tmp_path_factory, rows):
    events = []
    for known, received, *numbers in rows:
        events.append(Received(quote(1)._replace(known_ns=known, bid=numbers[0], ask=numbers[1]), received))
        events.append(Received(trade(1)._replace(known_ns=known, price=numbers[2], size=numbers[3]), received))
        events.append(Received(minute_bar(1)._replace(label_ns=received, known_ns=known, open=numbers[0]), received))
    session = record(tmp_path_factory.mktemp("s"), events, chunk=11)
    assert list(session.received()) == events


def test_what_the_session_used_becomes_history(tmp_path):
    """A bar that comes again takes the place of the first while its instant is not over; later it is late, as it was then."""
    again, amended = minute_bar(0)._replace(high=50.0), minute_bar(0)._replace(high=99.0)
    bars = [minute_bar(0), again, minute_bar(0, "B"), minute_bar(1), amended, minute_bar(2), minute_bar(1, "B")]
    source = record(tmp_path / "live", [Received(bar, bar.known_ns) for bar in bars]).source()
    (block,) = source.blocks(carry=0)
    assert (source.name, source.symbols) == ("live", ("A", "B"))
    assert block.known_ns.tolist() == [OPEN_NS + NS_PER_MINUTE, OPEN_NS + 2 * NS_PER_MINUTE]
    assert block.high[:, 0].tolist() == [50.0, minute_bar(1).high]
    assert np.isnan(block.close[1, 1])
    with pytest.raises(DataNotFound, match=r"holds no bars: none of its 1 events is one that was used \(it is of bars\)"):
        record(tmp_path / "quotes", [Received(quote(1), 0)]).source()
    with pytest.raises(DataNotFound, match="holds no bars: it is empty"):
        record(tmp_path / "empty", []).source()


def test_a_session_knows_its_symbols_and_its_name(tmp_path):
    """Also one that nothing came of; and it is found in the folder of its paper session."""
    bars = [Received(minute_bar(minute), 0) for minute in range(3)]
    record(tmp_path / "paper_1" / "recording", bars, symbols=("Z", "A"))
    session = RecordedSession(tmp_path / "paper_1")
    assert (session.name, session.symbols) == ("paper_1", ("A", "Z"))
    source = session.source()
    assert (source.name, source.symbols, source.expected_rows) == ("paper_1", ("A", "Z"), 2)
    assert source.select(["A"]).content_hash != source.content_hash
    whole = record(tmp_path / "other", bars, symbols=("A", "Z"), chunk=1).source()
    assert (whole.name, whole.content_hash) == ("other", source.content_hash), "the data has a name of its own"


def test_a_replay_delivers_what_was_used_as_a_whole_and_tells_of_the_rest(tmp_path):
    lost = FeedNotice(NoticeKind.GAP, OPEN_NS, "3 events are lost")
    line = FeedNotice(NoticeKind.DISCONNECTED, OPEN_NS, "the line")
    events = [
        *(quote(-1), quote(2)),
        *(minute_bar(0, "B"), quote(61), minute_bar(0, "A")),
        *(minute_bar(1, "A"), lost, line, minute_bar(2, "B"), minute_bar(1, "B"), trade(170), minute_bar(2, "A")),
        *(trade(200), minute_bar(3, "A")),
    ]
    session = record(tmp_path, [Received(event, OPEN_NS) for event in events])
    source = session.source()
    *played, late, tick, first, second = session.played(source)
    first_instant = [quote(2), quote(61), minute_bar(0, "A"), minute_bar(0, "B")]
    assert played == [*first_instant, lost, minute_bar(1, "A")]
    assert (late.kind, late.text.partition(":")[0], "is not used" in late.text) == (NoticeKind.GAP, "B", True)
    assert (tick, first, second) == (trade(170), minute_bar(2, "A"), minute_bar(2, "B"))
    chosen = [event for event in session.played(source.select(["B"])) if not isinstance(event, FeedNotice)]
    assert chosen == [minute_bar(0, "B"), minute_bar(2, "B")]


def test_a_recording_of_an_earlier_version_is_gathered_as_the_defaults_say(tmp_path):
    bars = [minute_bar(0, "B"), minute_bar(0, "A"), minute_bar(1, "A"), minute_bar(1, "B")]
    record(tmp_path, [Received(bar, bar.known_ns + 3_000_000_000 * (bar.symbol == "B")) for bar in bars])
    (tmp_path / "session.json").write_text('{"schema_version": "1.0", "bar_size": "1min", "calendar": "XNYS"}')
    chunk = tmp_path / "events-000000.parquet"
    pq.write_table(pq.read_table(chunk).replace_schema_metadata(None), chunk)
    (block,) = RecordedSession(tmp_path).source().blocks(carry=0)
    assert np.isnan(block.close).tolist() == [[False, False], [False, True]]


def test_a_recorder_goes_on_with_a_session_and_refuses_another(tmp_path):
    record(tmp_path / "s", RECEIVED[:10])
    session = record(tmp_path / "s", RECEIVED[10:])
    assert list(session.received()) == RECEIVED
    for other in ({"bar_size": BarSize.M5}, {"symbols": ["A"]}, {"aggregate": AggregationSettings()}, {"grace_s": 9.0}):
        given = {"bar_size": BarSize.M1, "calendar": "XNYS", **other}
        with pytest.raises(ContractError, match=rf"must hold a session of {given['bar_size']} and XNYS that was gathered as"):
            SessionRecorder(tmp_path / "s", **given)
    with pytest.raises(ConfigurationError, match="'chunk' must be 1 or more events, was 0"):
        SessionRecorder(tmp_path / "t", bar_size=BarSize.M5, calendar="XNYS", chunk=0)


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -9])
def test_a_torn_last_chunk_is_put_aside(tmp_path, cut, caplog):
    record(tmp_path, RECEIVED[:20], chunk=10)
    last = tmp_path / "events-000001.parquet"
    whole = last.read_bytes()
    last.write_bytes(whole[:cut])
    (tmp_path / ".events-000002.parquet.part-abcdef").write_bytes(b"half")
    assert list(RecordedSession(tmp_path).received()) == RECEIVED[:10], "reading changes nothing"
    assert last.exists()
    session = record(tmp_path, RECEIVED[20:])
    assert list(session.received()) == RECEIVED[:10] + RECEIVED[20:]
    assert (tmp_path / "events-000001.parquet.torn").read_bytes() == whole[:cut]
    assert (tmp_path / "events-000002.parquet.part-abcdef.torn").read_bytes() == b"half"
    assert "is put aside" in caplog.text
    assert put_torn_aside(tmp_path) == []


def test_a_damaged_chunk_in_the_middle_is_an_error(tmp_path):
    session = record(tmp_path, RECEIVED[:30], chunk=10)
    (tmp_path / "events-000000.parquet").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"events-000000\.parquet cannot be read"):
        list(session.received())


def test_a_killed_recorder_leaves_whole_chunks(tmp_path):
    """SIGKILL in the middle of recording: every chunk that has its name is whole, in order, from the beginning."""
    code = """
        import itertools, sys
        from fairlead.core.time import BarSize
        from fairlead.data.live import Received, SessionRecorder
        from support_feeds import quote
        recorder = SessionRecorder(sys.argv[1], bar_size=BarSize.M1, calendar="XNYS", chunk=20)
        for i in itertools.count():
            recorder.append(Received(quote(1)._replace(known_ns=i), i))
            if i == 100:
                print("on the way", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout.readline() == "on the way\n"
        process.kill()
    session = record(tmp_path / "s", [Received(quote(2), -1)])
    *found, last = [r.received_ns for r in session.received()]
    assert found == list(range(len(found)))
    assert len(found) >= 100
    assert len(found) % 20 == 0
    assert last == -1


def test_a_full_disk_is_told_and_costs_nothing(tmp_path, monkeypatch):
    recorder = SessionRecorder(tmp_path, bar_size=BarSize.M1, calendar="XNYS", chunk=2)
    recorder.append(RECEIVED[0])

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match="the disk is full"):
            recorder.append(RECEIVED[1])
    recorder.append(RECEIVED[2])
    recorder.close()
    assert list(RecordedSession(tmp_path).received()) == RECEIVED[:3]


def test_what_is_no_session_is_refused(tmp_path):
    with pytest.raises(DataNotFound, match="holds no recorded session"):
        RecordedSession(tmp_path)
    for head in (b"{", b"[]", b'{"schema_version": "2.0", "bar_size": "1min", "calendar": "XNYS"}'):
        (tmp_path / "session.json").write_bytes(head)
        with pytest.raises(DataError, match=r"session\.json"):
            RecordedSession(tmp_path)
