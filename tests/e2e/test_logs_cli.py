"""`fairlead logs` shows what a session wrote, older files first, and says what it could not read."""

import io
import json

import pytest

from fairlead.telemetry import Logs, LogSettings
from support_cli import fairlead

NS = 1_700_000_000_000_000_000


@pytest.fixture
def folder(tmp_path):
    """A log in several files: 40 fills, a warning and an error."""
    ticks = iter(range(NS, NS + 10**12, 10**9))
    settings = LogSettings(path=tmp_path / "session.log", max_bytes=2_000, backups=20, console="off")
    with Logs(settings, lambda: next(ticks), stream=io.StringIO()) as logs:
        log = logs.logger("execution", run_id="paper_x", mode="paper")
        for i in range(40):
            log.info("filled", strategy=("sma", "rsi")[i % 2], order_id=f"o{i}", symbol="AAPL", i=i)
        log.warning("feed_stalled", message="No data of MSFT.", symbol="MSFT", trace_id="t1")
        log.error("submit_failed", error=OSError("reset"))
    assert len(list(tmp_path.iterdir())) > 3
    return tmp_path


def test_all_of_it_in_order_with_older_files_first(folder):
    lines = [json.loads(line) for line in fairlead("logs", "session.log", "--json", cwd=folder).out.splitlines()]
    assert [line["data"]["i"] for line in lines[:40]] == list(range(40))
    assert len(lines) == 42
    text = fairlead("logs", "session.log", cwd=folder)
    assert (text.code, text.err) == (0, "")
    assert text.out.splitlines()[0].startswith("22:13:20.000 [info     ] filled ")
    assert "OSError: reset" in text.out
    assert "\x1b" not in text.out


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--level", "warning"), 2),
        (("--level", "ERROR"), 1),
        (("--strategy", "rsi"), 20),
        (("--strategy", "rsi", "--limit", "3"), 3),
        (("--order", "o7"), 1),
        (("--event", "filled", "--symbol", "AAPL", "--component", "execution"), 40),
        (("--trace", "t1"), 1),
        (("--component", "risk"), 0),
        (("-n", "5"), 5),
    ],
)
def test_only_what_is_asked_for(folder, options, count):
    assert len(fairlead("logs", "session.log", "--json", *options, cwd=folder).out.splitlines()) == count


def test_the_last_ones_are_the_last(folder):
    lines = fairlead("logs", "session.log", "--json", "-n", "2", cwd=folder).out.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["feed_stalled", "submit_failed"]


def test_lines_that_are_none_are_counted_not_shown(folder):
    with (folder / "session.log").open("ab") as handle:
        handle.write(b'{"ts":1}\n\xff\xfe\n[]\n{"ts":"2023')
    done = fairlead("logs", "session.log", cwd=folder)
    assert done.code == 0
    assert len(done.out.splitlines()) == 43  # an error's stack has a line of its own
    assert "4 lines are none of a log and were left out" in done.err


def test_a_file_that_cannot_be_read_is_one_error(folder):
    (folder / "session.log.99").mkdir()
    done = fairlead("logs", "session.log", cwd=folder)
    assert done.code == 2
    assert "cannot read session.log.99: Is a directory. Check the path and the disk." in done.err


def test_bad_input_is_one_error(folder):
    done = fairlead("logs", "sesion.log", cwd=folder)
    assert (done.code, done.err) == (2, "error: there is no log file sesion.log. Did you mean session.log?\n")
    done = fairlead("logs", "session.log", "--level", "loud", cwd=folder)
    assert done.code == 2
    assert "'--level' must be one of debug, info, warning, error, critical, was 'loud'" in done.err
