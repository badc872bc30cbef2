"""A paper session's recording: written when nothing else is under way, at least once a minute, and never the session's end."""

from __future__ import annotations

import json

import pytest

from fairlead.config import keeping
from fairlead.config.keeping import FLUSH_S, Keeper
from fairlead.core.errors import StorageError
from fairlead.core.time import NS_PER_SECOND, BarSize
from fairlead.data.live import Received, RecordedSession, SessionRecorder
from fairlead.telemetry import Logs, LogSettings
from support_feeds import minute_bar


class Kept:
    """A keeper over a real recorder, and the clock that a test turns."""

    def __init__(self, folder) -> None:
        self.ns, self.folder, self.log_file = 0, folder / "kept", folder / "session.log"
        self.logs = Logs(LogSettings(path=self.log_file, console="off"), lambda: self.ns)
        self.recorder = SessionRecorder(self.folder, bar_size=BarSize.M1, calendar="XNYS", chunk=1_000)
        self.keeper = Keeper(self.recorder, self.logs.logger("session"), lambda: self.ns)

    def take(self, count: int, first: int = 0) -> None:
        for minute in range(first, first + count):
            bar = minute_bar(minute, "A")
            self.keeper.take(Received(bar, bar.known_ns))

    @property
    def written(self) -> int:
        return len(list(RecordedSession(self.folder).events()))


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "CHUNK", 10)
    kept = Kept(tmp_path)
    yield kept
    kept.logs.close()


def test_enough_is_written_once_an_instant_is_over_and_not_in_the_middle_of_one(kept):
    kept.take(9)
    kept.keeper.idle(is_calm=True)
    kept.take(1, 9)
    kept.keeper.idle()
    assert kept.written == 0
    kept.keeper.idle(is_calm=True)
    assert kept.written == 10
    kept.take(9, 10)
    kept.keeper.idle(is_calm=True)
    assert kept.written == 10


def test_a_minute_is_all_that_a_crash_may_cost(kept):
    kept.take(1)
    kept.ns = FLUSH_S * NS_PER_SECOND - 1
    kept.keeper.idle()
    assert kept.written == 0
    kept.ns += 1
    kept.keeper.idle()
    assert kept.written == 1
    kept.take(1, 1)
    kept.keeper.close()
    assert kept.written == 2


def test_a_disk_that_refuses_ends_the_recording_and_is_told_once(kept):
    kept.take(1)
    kept.recorder.folder = kept.folder / "session.json"  # a file, where a folder is needed
    kept.ns = FLUSH_S * NS_PER_SECOND
    kept.keeper.idle()
    kept.take(20, 1)
    kept.keeper.idle(is_calm=True)
    (line,) = map(json.loads, kept.log_file.read_text().splitlines())
    assert (line["event"], line["level"]) == ("recording_failed", "ERROR")
    with pytest.raises(StorageError):
        kept.recorder.flush()
