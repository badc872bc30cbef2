"""`fairlead dev market-server` as a process: it serves what it says, and says what is wrong in one error."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fairlead.core.events import Bar, Quote
from fairlead.core.time import BarSize
from fairlead.data.live import Received, RecordedSession, SessionRecorder, session_events
from fairlead.data.opening import store_of
from support_cli import fairlead
from support_feeds import HandTime, everything, feed_of, market, morning, run

SERVE = ("dev", "market-server")
FAULTS = (
    *("--gap-rate", ".02", "--duplicate-rate", ".02", "--reorder-rate", ".02", "--malformed-rate", ".01"),
    *("--drop-every", "700", "--silence-after", "100", "--silence-events", "30"),
)


def served(folder, *args, symbols=None, **options):
    """What a feed receives from a server that was started with these arguments, and what the server said of itself."""
    command = [sys.executable, "-m", "fairlead", *SERVE, "--port", "0", "--once", "--json", "--speed", "max", *args]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FAIRLEAD_HOME": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        try:
            facts = json.loads(text)
            feed = feed_of(facts["url"], HandTime(), **options)
            received = run(everything(feed, symbols or facts["symbols"]))
            assert process.wait(20) == 0, process.stderr.read()
        finally:
            process.kill()
    return facts, market(received), feed.state


def test_synthetic_quotes_and_bars_with_every_fault(tmp_path):
    facts, events, state = served(tmp_path, "--symbols", "TGT,ACME", "--quotes", *FAULTS)
    assert facts["symbols"] == ["ACME", "TGT"]
    assert facts["events"] == len(events)
    assert {type(event) for event in events} == {Bar, Quote}
    assert sum(isinstance(event, Bar) for event in events) == 2 * 390
    assert state.lost == 0
    assert state.reconnects > 0
    assert state.malformed > 0


def test_a_dataset_and_a_recording(tmp_path):
    made = fairlead(
        *("data", "synth", "toy", "--symbols", "3", "--bar-size", "30min", "--end", "2024-01-03"),
        cwd=tmp_path,
        FAIRLEAD_HOME=str(tmp_path),
    )
    assert made.code == 0
    facts, events, _ = served(tmp_path, "toy", "--start", "2024-01-03", "--symbols", "SYN001", bar_size="30min")
    source = store_of(tmp_path).open("toy").select(("SYN001",))
    assert (facts["bar_size"], facts["calendar"], facts["events"]) == ("30min", "XNYS", 13)
    assert events == list(session_events(source))[13:]
    with SessionRecorder(tmp_path / "kept", bar_size=BarSize.M1, calendar="XNYS") as recorder:
        for event in morning(3):
            recorder.append(Received(event, event.known_ns))
    _, events, _ = served(tmp_path, "--recording", str(tmp_path / "kept"))
    assert events == list(RecordedSession(tmp_path / "kept").events())


def test_stamps_can_be_moved_to_the_present(tmp_path):
    facts, events, _ = served(tmp_path, "--symbols", "ACME", "--from-now", calendar="24/7")
    assert facts["calendar"] == "24/7"
    assert events[0].timestamp.year >= 2025
    assert len(events) == 390


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("nothing",), "no dataset named 'nothing'"),
        (("--recording", "nowhere"), "holds no recorded session"),
        (("toy", "--recording", "x"), "'--recording' must not be given with a dataset"),
        (("toy", "--quotes"), "'--quotes' must be given with synthetic prices alone"),
        (("--symbols", "a b"), "symbol"),
        (("--start", "soon"), "'--start' must be a date like 2024-01-31, was 'soon'"),
        (("--start", "2024-01-06"), "no session"),
        (("--speed", "fast"), "'speed' must be 'max' or a multiple of real time"),
        (("--gap-rate", "1.5"), "--gap-rate"),
        (("--heartbeat", "0"), "'heartbeat_s' must be above 0 seconds"),
        (("--drop-every", "0"), "'--drop-every' must be >= 1, was 0"),
        (("--bar-size", "1d", "--from-now"), "'bar_size' must be intraday to be moved to the present"),
        (("--host", "256.0.0.1"), "cannot listen on 256.0.0.1"),
    ],
)
def test_wrong_use_is_one_error(tmp_path, args, text):
    found = fairlead(*SERVE, "--port", "0", *args, cwd=tmp_path, FAIRLEAD_HOME=str(tmp_path))
    assert found.code == 2
    assert text in " ".join(found.err.split())
    assert found.out == ""
