"""`fairlead paper` as a process: stored bars played again, a feed over a websocket, and one clear error for what is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairlead.control import SESSIONS, ControlClient, find_session
from fairlead.core.errors import FairleadError
from fairlead.core.time import BarSize
from fairlead.data.live import Received, RecordedSession, SessionRecorder
from support_cli import fairlead, write_desk
from support_feeds import minute_bar, quote
from support_operated import journal_of, of_kind
from support_paper import CONFIGS

DAYS = (
    "-o",
    "clock.start_date=2004-01-02",
    "-o",
    "clock.end_date=2005-06-30",
    "-o",
    "report.html=false",
    "-o",
    "report.plots=false",
)
PAPER = ("-o", "mode=paper", "-o", "data.type=replay", "-o", "clock.speed=max")
LIVE = """\
mode: paper
name: Eight days
clock: {{type: realtime, hours: 24/7}}
data: {{type: live, feed: websocket, url: '{url}', symbols: [ACME], bar_size: 1min, calendar: 24/7}}
execution: {{type: simulated}}
strategies:
  - {{name: buyer, strategy: buyer.py, capital: 100_000, params: {{shares: 10}}}}
report: {{html: false, plots: false}}
"""


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "fairlead", *map(str, args)]


def environ_of(folder) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD")}
    return {**ours, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "FAIRLEAD_HOME": str(folder)}


def process(folder, *args):
    return subprocess.run(
        command(*args), cwd=folder, env=environ_of(folder), capture_output=True, text=True, timeout=60, check=False
    )


@contextlib.contextmanager
def market_server(folder, *args) -> Iterator[tuple[dict, subprocess.Popen]]:
    serve = command("dev", "market-server", "--port", "0", "--once", "--json", "--speed", "max", *args)
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environ_of(folder)) as served:
        try:
            text = ""
            for line in served.stdout:
                text += line
                if line == "}\n":
                    break
            yield json.loads(text), served
        finally:
            served.kill()


def test_stored_bars_on_paper_give_what_a_backtest_gives(tmp_path):
    config = CONFIGS / "rsi.yaml"
    tested = fairlead("backtest", config, *DAYS, "--json", cwd=tmp_path, FAIRLEAD_HOME=str(tmp_path))
    found = process(tmp_path, "paper", config, *DAYS, *PAPER, "--json")
    assert (found.returncode, found.stderr) == (0, "")
    expected, told = tested.json, json.loads(found.stdout)
    assert told["digest"] == expected["digest"]
    assert told["metrics"] == expected["metrics"]
    assert told.keys() == expected.keys()
    assert told["run_id"].startswith("paper_sim_")
    saved = json.loads((tmp_path / "runs" / told["run_id"] / "manifest.json").read_text())
    assert saved["mode"] == "paper"
    records = journal_of(tmp_path / SESSIONS / told["run_id"])
    assert [data["event"] for data in of_kind(records, "session")] == ["start", "stop"]
    verified = fairlead("journal", "verify", "--journal", tmp_path / SESSIONS / told["run_id"] / "journal.db", cwd=tmp_path)
    assert verified.code == 0, verified.err


def test_a_market_over_a_websocket_to_its_end(tmp_path):
    write_desk(tmp_path)
    with market_server(tmp_path, "--symbols", "ACME", "--from-now") as (facts, served):
        (tmp_path / "live.yaml").write_text(LIVE.format(url=facts["url"]))
        found = process(tmp_path, "paper", "live.yaml", "--json")
        assert (found.returncode, found.stderr) == (0, "")
        assert served.wait(20) == 0
    told = json.loads(found.stdout)
    folder = tmp_path / SESSIONS / told["run_id"]
    for verb, data in (
        ("backtest", f"data={{recording: '{folder / 'recording'}'}}"),
        ("backtest", f"data={{path: '{folder / 'recording'}'}}"),
        ("backtest", f"data={{path: '{folder}'}}"),
        ("paper", f"data={{type: replay, recording: '{folder / 'recording'}', jitter_s: 20}}"),
    ):
        once_more = ("-o", f"mode={verb}", "-o", "clock={type: historical, speed: 100000x}", "-o", data)
        again = fairlead(verb, "live.yaml", *once_more, "--json", cwd=tmp_path, FAIRLEAD_HOME=str(tmp_path))
        assert (again.code, again.json["digest"]) == (0, told["digest"])
        manifest = json.loads((tmp_path / "runs" / again.json["run_id"] / "manifest.json").read_text())
        assert manifest["data"]["paths"] == [told["run_id"]]
        assert len(manifest["data"]["sha256"]) == 64
    saved = json.loads((tmp_path / "runs" / told["run_id"] / "manifest.json").read_text())
    assert (saved["mode"], saved["data"]["paths"]) == ("paper", ["websocket"])
    assert told["metrics"]["num_orders"] == told["metrics"]["num_fills"] == 1
    kinds = [record.kind for record in journal_of(folder)]
    assert kinds.count("intent") == kinds.count("fill") == 1
    assert kinds.index("intent") < kinds.index("order") < kinds.index("fill")
    recorded = list(RecordedSession(folder / "recording").events())
    assert len(recorded) == facts["events"] == 390
    logged = [json.loads(line) for line in (folder / "session.log").read_text().splitlines()]
    names = ["feed_notice", "session_started", "feed_notice", "session_ended", "feed_counts", "session_latency"]
    assert [line["event"] for line in logged] == names
    assert [line["data"] for line in logged[:4]] == [{"kind": "connected"}, {"strategies": ["buyer"]}, {"kind": "ended"}, {}]
    counts, latency = logged[4]["data"], logged[5]["data"]
    assert (counts["events"], counts["late_bars"], counts["lost"], counts["waiting"]) == (390, 0, 0, 0)
    timed = {stage: summary["count"] for stage, summary in latency.items()}
    assert timed == {
        "event_to_decision": 390,
        "decision_to_submit": 1,
        "submit_to_ack": 1,
        "decision_to_ack": 1,
        "event_processing": 390,
    }
    assert all(0 < summary["p50"] <= summary["max"] < 60 for summary in latency.values())


def wait_for_a_fill(session, workspace):
    """Return when a running session holds something."""
    until = time.monotonic() + 30.0
    while time.monotonic() < until:
        with contextlib.suppress(FairleadError):
            told = ControlClient(find_session(workspace).folder).ask("status", who="ann")
            if any(one["positions"] for one in told.get("strategies", ())):
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {session.wait(0.1)}")
    pytest.fail("no order was filled")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_run_directory_and_recording(tmp_path, number):
    write_desk(tmp_path)
    with market_server(tmp_path, "--symbols", "ACME", "--from-now", "--speed", "300x") as (facts, _):
        (tmp_path / "live.yaml").write_text(LIVE.format(url=facts["url"]))
        live = command("paper", "live.yaml", "--json")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(live, cwd=tmp_path, env=environ_of(tmp_path), **pipes) as session:
            try:
                wait_for_a_fill(session, tmp_path)
                session.send_signal(number)
                out, err = session.communicate(timeout=30)
            finally:
                session.kill()
    assert (session.returncode, err) == (0, "")
    run_id = json.loads(out)["run_id"]
    assert (tmp_path / "runs" / run_id / "manifest.json").is_file()
    assert list(RecordedSession(tmp_path / SESSIONS / run_id / "recording").events())


def test_after_a_kill_the_same_command_goes_on(tmp_path):
    write_desk(tmp_path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with market_server(tmp_path, "--symbols", "ACME", "--from-now", "--speed", "300x") as (facts, _):
        (tmp_path / "live.yaml").write_text(LIVE.format(url=facts["url"]))
        for end in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            live = command("paper", "live.yaml")
            with subprocess.Popen(live, cwd=tmp_path, env=environ_of(tmp_path), **pipes) as session:
                try:
                    wait_for_a_fill(session, tmp_path)
                    session.send_signal(end)
                    out, err = session.communicate(timeout=30)
                finally:
                    session.kill()
            assert session.returncode == (0 if end == signal.SIGTERM else -end), err
    assert "goes on where it was interrupted" in err
    (run,) = (tmp_path / "runs").iterdir()
    assert f"paper {run.name}" in out
    records = journal_of(tmp_path / SESSIONS / run.name)
    assert [data["event"] for data in of_kind(records, "session")] == ["start", "resume", "resume", "stop"]
    assert len(of_kind(records, "intent")) == len(of_kind(records, "fill")) == 1
    again = process(tmp_path, "paper", "live.yaml", "--json")
    assert again.returncode != 0  # the market is gone, and this is another session
    assert run.name not in again.stderr


def test_an_interrupted_session_with_other_settings(tmp_path):
    write_desk(tmp_path)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with market_server(tmp_path, "--symbols", "ACME", "--from-now", "--speed", "300x") as (facts, _):
        (tmp_path / "live.yaml").write_text(LIVE.format(url=facts["url"]))
        with subprocess.Popen(command("paper", "live.yaml"), cwd=tmp_path, env=environ_of(tmp_path), **pipes) as session:
            wait_for_a_fill(session, tmp_path)
            session.kill()
        (tmp_path / "live.yaml").write_text(LIVE.format(url=facts["url"]).replace("shares: 10", "shares: 20"))
        refused = process(tmp_path, "paper", "live.yaml")
        anew = command("paper", "live.yaml", "--anew", "--json")
        pipes = {"stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(anew, cwd=tmp_path, env=environ_of(tmp_path), **pipes) as session:
            wait_for_a_fill(session, tmp_path)
            session.terminate()
            out, _ = session.communicate(timeout=30)
    assert refused.returncode == 2
    assert "was interrupted at" in refused.stderr
    assert "start another session: --anew" in " ".join(refused.stderr.split())
    assert (session.returncode, json.loads(out)["metrics"]["num_fills"]) == (0, 1)


def test_nobody_listens(tmp_path):
    write_desk(tmp_path)
    (tmp_path / "live.yaml").write_text(LIVE.format(url="ws://127.0.0.1:9"))
    quick = ("-o", "data.reconnect.base_s=0.001", "-o", "data.reconnect.first_attempts=1")
    found = fairlead("paper", "live.yaml", *quick, "--json", cwd=tmp_path, FAIRLEAD_HOME=str(tmp_path))
    assert found.code == 2
    assert found.out == ""
    assert "127.0.0.1:9" in " ".join(found.err.split())
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("run.yaml",), "'mode' must be paper here, was 'backtest'. Or turn it into one: -o mode=paper -o data.type=replay"),
        (("run.yaml", "-o", "mode=paper"), "'data.type' must be"),
        (("run.yaml", *PAPER, "-o", "data.jitter_s=-1"), "jitter_s"),
        (
            ("run.yaml", *PAPER, "-o", "data.recording=x", "-o", "data.path=null"),
            "x holds no recorded session: session.json is missing. Check the path.",
        ),
        (
            ("run.yaml", *PAPER, "-o", "data.recording=x"),
            "'data.recording' must be the only origin, was 'x'. Leave out 'ACME.csv'.",
        ),
        (("live.yaml", "-o", "data.feed=nothing"), "no feed named 'nothing'"),
        (
            ("live.yaml", "-o", "data.aggregate.source=trades", "-o", "data.bar_size=1d"),
            "'data.bar_size' must be intraday to be made of ticks, was '1d'",
        ),
        (
            ("live.yaml", "-o", "data.aggregate.late=amend"),
            "'data.aggregate.late' must be 'drop' in a session: a bar that was decided on stays what it was, was 'amend'.",
        ),
        (
            ("live.yaml", "-o", "data.aggregate.source=quotes"),
            "'data.aggregate.volume' must be 'displayed' for bars of quotes in a session, where nothing fills in a bar without",
        ),
        (
            ("live.yaml", "-o", "data.aggregate.volume=displayed"),
            "'data.aggregate.volume' must be 'none' for source: trades, which brings its own, was 'displayed'. Leave it out",
        ),
        (("live.yaml", "-o", "data.calendar=XXXX"), "no exchange calendar named 'XXXX'"),
        (
            ("live.yaml", "-o", "mode=live", "-o", "execution={type: broker, broker: toy}"),
            "'mode' must be paper here, was 'live'",
        ),
        (
            ("live.yaml", "-o", "risk.kill_switches.graded_drawdown.enabled=true", "-o", "risk.guards.disabled=[G1]"),
            "graded_drawdown halves the limit of guard G1, which holds nothing back here. Enforce it, or leave this out.",
        ),
        (
            ("live.yaml", "-o", "risk.kill_switches.graded_drawdown.enabled=true", "-o", "enforcement.guards=warn"),
            "graded_drawdown halves the limit of guard G1",
        ),
        (("nowhere.yaml",), "nowhere.yaml"),
    ],
)
def test_a_wrong_configuration_is_one_error(tmp_path, args, text):
    write_desk(tmp_path)
    (tmp_path / "live.yaml").write_text(LIVE.format(url="ws://127.0.0.1:9"))
    found = fairlead("paper", *args, "--json", cwd=tmp_path, FAIRLEAD_HOME=str(tmp_path))
    assert (found.code, found.out) == (2, "")
    assert text in " ".join(found.err.split())
    assert "Traceback" not in found.err


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Nine bars and nine quotes in chunks of six."""
    folder = tmp_path_factory.mktemp("kept") / "recording"
    with SessionRecorder(folder, bar_size=BarSize.M1, calendar="XNYS", symbols=("A",), chunk=6) as recorder:
        for minute in range(9):
            for event in (quote(60 * minute + 1), minute_bar(minute)):
                recorder.append(Received(event, event.known_ns))
    return folder


def _without(name):
    return lambda folder: (folder / name).unlink()


def _with(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def _emptied(folder):
    for path in folder.glob("events-*"):
        path.unlink()


def _another_schema(folder):
    pq.write_table(pa.table({"kind": ["bar"]}), folder / "events-000001.parquet")


def _head(**changes):
    return _with("session.json", json.dumps(HEAD | changes).encode())


HEAD = {"schema_version": "1.1", "bar_size": "1min", "calendar": "XNYS", "symbols": ["A"], "grace_s": 2.0, "aggregate": None}


@pytest.mark.parametrize("verb", ["backtest", "paper"])
@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_without("session.json"), "holds no recorded session: session.json is missing"),
        (_with("session.json", b"{}"), "session.json is not the head of a recorded session of version 1.1: 'bar_size'"),
        (_with("session.json", b"\x00"), "session.json is not the head of a recorded session of version 1.1"),
        (
            _with("session.json", json.dumps({**HEAD, "schema_version": "2.0"}).encode()),
            "is of version 2.0, and 1.1 can be read",
        ),
        (_with("session.json", json.dumps({**HEAD, "calendar": "XXXX"}).encode()), "no exchange calendar named 'XXXX'"),
        (_with("session.json", json.dumps({**HEAD, "bar_size": "7min"}).encode()), "session.json is not the head"),
        (_with("session.json", json.dumps({**HEAD, "bar_size": "1d"}).encode()), "calendar"),
        (_with("session.json", json.dumps({**HEAD, "symbols": ["B"]}).encode()), "holds no bars: none of its 18 events"),
        (_with("events-000001.parquet", b"PAR1 is what it begins with"), "events-000001.parquet cannot be read"),
        (_with("events-000002.parquet", b""), "events-000002.parquet cannot be read"),
        (_another_schema, "events-000001.parquet is no chunk of a recorded session"),
        (_without("events-000001.parquet"), "events-000001.parquet is missing: "),
        (_emptied, "holds no bars: it is empty"),
    ],
)
def test_a_recording_that_is_damaged_or_empty_is_one_error(tmp_path, recording, verb, damage, text):
    write_desk(tmp_path)
    copy = shutil.copytree(recording, tmp_path / "recording")
    damage(copy)
    kind = "replay" if verb == "paper" else "historical"
    given = ("-o", f"mode={verb}", "-o", f"data={{type: {kind}, recording: recording}}", "--json")
    found = fairlead(verb, "run.yaml", *given, cwd=tmp_path, FAIRLEAD_HOME=str(tmp_path))
    assert (found.code, found.out) == (2, "")
    assert text in " ".join(found.err.split())
    assert found.err.count("error:") == 1
    assert "Traceback" not in found.err
    assert not (tmp_path / SESSIONS).exists()
