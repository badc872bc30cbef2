"""A line of the log, to the byte; who may read it; and what it does when the disk or a value misbehaves."""

import datetime as dt
import io
import json
import threading
from collections import UserDict
from contextlib import ExitStack
from decimal import Decimal
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from fairlead.core.errors import ConfigurationError, DataGap, StorageError
from fairlead.core.redaction import Secrets
from fairlead.telemetry.logs import Logs, LogSettings
from fairlead.telemetry.record import MAX_TEXT
from fairlead.telemetry.rotation import RotatingFile

NS = 1_700_000_000_123_456_789
KEYS = [  # domain rule 16.4
    *("ts", "level", "component", "event", "message"),
    *("run_id", "strategy", "symbol", "order_id", "intent_id", "trace_id", "mode"),
    *("data", "error"),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Desk:
    """Logs with a clock that stands still, in a file and on a screen."""

    def __init__(self, folder, secrets=(), stream=None, **settings):
        self.path = folder / "logs" / "session.log"
        self.screen = stream if stream is not None else io.StringIO()
        self.ns = NS
        chosen = LogSettings(path=self.path, **{"console": "off", **settings})
        self.logs = Logs(chosen, lambda: self.ns, Secrets(secrets), self.screen)
        self.log = self.logs.logger("risk", run_id="paper_DU1_2024-01-02_sma", mode="paper")

    @property
    def lines(self):
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


@pytest.fixture
def opened(tmp_path):
    """Opens desks in folders of their own, and closes them."""
    with ExitStack() as stack:

        def open_desk(*args, **settings):
            desk = Desk(tmp_path / f"desk{len(list(tmp_path.iterdir()))}", *args, **settings)
            stack.enter_context(desk.logs)
            return desk

        yield open_desk


@pytest.fixture
def desk(opened):
    return opened()


@pytest.fixture
def rotating(tmp_path):
    """Opens files that step aside, and closes them."""
    with ExitStack() as stack:

        def open_file(path=tmp_path / "x.log", **sizes):
            file = RotatingFile(path, **sizes)
            stack.callback(file.close)
            return file

        yield open_file


def test_a_line_to_the_byte(desk):
    desk.log.bind(strategy="sma").info(
        "order_sent", message="Bought 5.", symbol="AAPL", order_id="o1", price=1.5, lot=Decimal("0.10")
    )
    assert desk.path.read_bytes() == (
        b'{"ts":"2023-11-14T22:13:20.123456Z","level":"INFO","component":"risk","event":"order_sent","message":"Bought 5.",'
        b'"run_id":"paper_DU1_2024-01-02_sma","strategy":"sma","symbol":"AAPL","order_id":"o1","intent_id":null,"trace_id":null,'
        b'"mode":"paper","data":{"lot":"0.10","price":1.5},"error":null}\n'
    )


def test_every_line_has_every_field_in_one_order(desk):
    desk.log.warning("a")
    desk.log.error("b", error=ValueError("x"), level="z", ts=1, component="guards")
    assert [list(line) for line in desk.lines] == [KEYS, KEYS]
    assert desk.lines[1]["data"] == {"level": "z", "ts": 1}
    assert [line["level"] for line in desk.lines] == ["WARNING", "ERROR"]
    assert desk.lines[1]["component"] == "guards"


def test_time_is_the_sessions(desk):
    for ns in (0, NS + 1_000):
        desk.ns = ns
        desk.log.info("tick")
    assert [line["ts"] for line in desk.lines] == ["1970-01-01T00:00:00.000000Z", "2023-11-14T22:13:20.123457Z"]


def test_what_is_bound_is_in_each_line_and_in_no_other_logger(desk):
    bound = desk.log.bind(strategy="sma", trace_id="t1", attempt=2)
    bound.info("a")
    bound.unbind("attempt").info("b", symbol="MSFT")
    desk.log.info("c")
    a, b, c = desk.lines
    assert (a["strategy"], a["trace_id"], a["data"]) == ("sma", "t1", {"attempt": 2})
    assert (b["strategy"], b["symbol"], b["data"]) == ("sma", "MSFT", {})
    assert (c["strategy"], c["trace_id"], c["data"]) == (None, None, {})


def test_an_error_says_its_type_message_and_where(desk):
    def fail():
        raise DataGap("3 bars of AAPL are missing.") from OSError("reset")

    try:
        fail()
    except DataGap:
        desk.log.exception("feed_failed")
    error = desk.lines[0]["error"]
    assert (error["type"], error["message"]) == ("DataGap", "3 bars of AAPL are missing.")
    assert "OSError: reset" in error["stack"]
    assert "test_logs.py" in error["stack"]
    assert error["stack"].endswith("DataGap: 3 bars of AAPL are missing.\n")


def test_levels(opened):
    desk = opened(level="WARNING", console="text", console_level="ERROR")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(desk.log, level)(f"at_{level}")
    assert [line["level"] for line in desk.lines] == ["WARNING", "ERROR", "CRITICAL"]
    assert "at_warning" not in desk.screen.getvalue()
    assert "at_error" in desk.screen.getvalue()


def test_secrets_are_hidden_by_key_by_value_nested_and_in_exceptions(opened):
    desk = opened(["hunter22"], console="text")

    def fail():
        raise OSError("login hunter22 failed at https://u:pw1@host/?token=abc")

    try:
        fail()
    except OSError:
        desk.log.exception(
            "login_failed hunter22",
            message="With hunter22.",
            symbol="hunter22",
            api_key="k1",
            nested={"deep": [{"password": "k2", "ok": 1}, "hunter22"], "tokens": [1, "k3"], "hunter22": 1},
            switch_token=True,
            pair=("url postgresql://u:pw2@h/x", b"hunter22", UserDict(secret="k4")),
        )
    for text in (desk.path.read_text(), desk.screen.getvalue()):
        assert not [secret for secret in ("hunter22", "pw1", "pw2", "abc", "k1", "k2", "k3", "k4") if secret in text]
    (line,) = desk.lines
    assert line["data"]["nested"]["deep"][0] == {"password": "(redacted)", "ok": 1}
    assert line["data"]["switch_token"] is True
    assert line["error"]["message"] == "login (redacted) failed at https://u:(redacted)@host/?token=(redacted)"
    assert line["event"] == "login_failed_redacted"


class Side(Enum):
    BUY = "BUY"


class Hostile:
    def __str__(self):
        raise RuntimeError("no")


def test_values_become_what_json_can_hold(desk):
    loop = []
    loop.append(loop)
    desk.log.info(
        "values",
        nan=float("nan"),
        inf=-np.inf,
        scalar=np.float64(1.5),
        count=np.int64(3),
        array=np.array([1.0, np.nan]),
        large=np.zeros((1000, 3)),
        when=dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
        side=Side.BUY,
        path=Path("a/b"),
        group={"b", "a"},
        hostile=Hostile(),
        huge=10**5000,
        surrogate="\ud800\u2028",
        loop=loop,
        raised={1: None},
    )
    data = desk.lines[0]["data"]
    assert data.pop("hostile") == "(Hostile: RuntimeError when it was asked for its text)"
    assert data.pop("huge").startswith("(int: ValueError")
    assert "(too deep)" in json.dumps(data.pop("loop"))
    assert data == {
        "nan": None,
        "inf": None,
        "scalar": 1.5,
        "count": 3,
        "array": [1.0, None],
        "large": "(array of shape (1000, 3))",
        "when": "2024-01-02T19:30:00.000000Z",
        "side": "BUY",
        "path": "a/b",
        "group": ["a", "b"],
        "surrogate": "\ud800\u2028",
        "raised": {"1": None},
    }
    assert desk.path.read_bytes().count(b"\n") == 1
    assert desk.logs.lost == 0


def test_a_line_is_bounded(desk):
    desk.log.info(
        "long", message="x" * 10**6, many=list(range(10**5)), keys={i: i for i in range(10**4)}, wide=["y" * 10**5] * 300
    )
    line = desk.lines[0]
    assert line["message"] == f"{'x' * MAX_TEXT}... ({15 * MAX_TEXT} more)"
    assert len(desk.path.read_bytes()) < 2_000_000


def test_a_long_list_is_cut(desk):
    desk.log.info("many", items=list(range(1_000)))
    items = desk.lines[0]["data"]["items"]
    assert items[:-1] == list(range(len(items) - 1))
    assert items[-1] == "(more was left out)"


class StrangerError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_errors_of_others_say_whose_they_are(desk):
    desk.log.error("a", error=json.JSONDecodeError("bad", "x", 0))
    desk.log.error("b", error="no exception, token=abc")
    desk.log.error("c", error=StrangerError())
    first, second, third = (line["error"] for line in desk.lines)
    assert first["type"] == "json.decoder.JSONDecodeError"
    assert second == {"type": "str", "message": "no exception, token=(redacted)", "stack": ""}
    assert third["message"] == "(StrangerError: RuntimeError when it was asked for its text)"


def test_a_line_that_cannot_be_made_is_counted_and_said(desk):
    class Broken(dict):
        def items(self):
            raise RuntimeError("no")

    desk.log.info("strange", values=Broken())
    assert desk.logs.lost == 1
    line = desk.lines[0]
    assert (line["event"], line["data"]) == ("log_line_failed", {"failed_event": "strange", "failed_with": "RuntimeError"})


def test_a_clock_that_raises_stops_nobody(opened):
    desk = opened()
    desk.ns = None
    desk.log.info("tick")
    assert desk.logs.lost == 1
    assert desk.lines == []


def test_an_event_is_a_name(desk):
    for event in ("Order Sent!", "order_sent", "OrderSent"):
        desk.log.info(event)
    assert [line["event"] for line in desk.lines] == ["order_sent", "order_sent", "ordersent"]


def test_a_terminal_shows_text_and_a_pipe_json(opened):
    terminal = opened(console="auto", stream=Terminal())
    pipe = opened(console="auto")
    for desk in (terminal, pipe):
        desk.log.info("order_sent", message="Bought.", symbol="AAPL")
    assert "\x1b[" in terminal.screen.getvalue()
    assert pipe.screen.getvalue().encode() == pipe.path.read_bytes()


def test_text_for_people_to_the_letter(opened):
    desk = opened(console="text")
    desk.log.info("order_sent", message="Bought 5.", symbol="AAPL", qty=5)
    desk.log.unbind("run_id").warning("feed_stalled", age_s=6.0)
    desk.log.error("x", error=ValueError("wrong \x1b[2J\n2nd"), name="a\x1b[31mb\nc")
    first, second, third, *stack = desk.screen.getvalue().splitlines()
    assert first == (
        "22:13:20.123 [info     ] Bought 5.                        [risk] event=order_sent "
        "run_id=paper_DU1_2024-01-02_sma symbol=AAPL mode=paper qty=5"
    )
    assert second == "22:13:20.123 [warning  ] feed_stalled                     [risk] mode=paper age_s=6.0"
    assert "\x1b" not in desk.screen.getvalue()
    assert "a\\x1b[31mb\\x0ac" in third
    assert stack == ["ValueError: wrong \\x1b[2J", "2nd"]


def test_a_stream_that_is_closed_stops_nobody(opened):
    for console in ("text", "json"):
        desk = opened(console=console)
        desk.screen.close()
        desk.log.info("tick")
        assert len(desk.lines) == 1


def test_the_file_steps_aside_and_the_oldest_goes(opened):
    desk = opened(max_bytes=1_000, backups=5)
    for i in range(60):
        desk.log.info("tick", i=i)
    desk.logs.close()
    names = sorted(path.name for path in desk.path.parent.iterdir())
    assert names == ["session.log", *(f"session.log.{n}" for n in range(1, 6))]
    assert all(path.stat().st_size <= 1_000 for path in desk.path.parent.iterdir())
    kept = [
        json.loads(line)["data"]["i"]
        for name in [*reversed(names[1:]), names[0]]
        for line in (desk.path.parent / name).read_bytes().splitlines()
    ]
    assert kept == list(range(60 - len(kept), 60))
    assert len(kept) > 12


def test_the_default_is_ten_megabytes_and_five_older_ones():
    assert (LogSettings().max_bytes, LogSettings().backups) == (10_000_000, 5)


def test_a_file_is_continued_after_a_torn_line(tmp_path, rotating):
    path = tmp_path / "session.log"
    path.write_bytes(b'{"whole":1}\n{"torn":')
    file = rotating(path, max_bytes=1_000, backups=0)
    file.write(b'{"next":2}\n')
    file.close()
    file.write(b'{"again":3}\n')
    assert path.read_bytes() == b'{"whole":1}\n{"torn":\n{"next":2}\n{"again":3}\n'


def test_without_backups_the_file_begins_anew(tmp_path, rotating):
    file = rotating(max_bytes=10, backups=0)
    for line in (b"123456\n", b"abcdef\n"):
        file.write(line)
    assert (tmp_path / "x.log").read_bytes() == b"abcdef\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_line_longer_than_the_file_is_written_whole(tmp_path, rotating):
    file = rotating(max_bytes=10, backups=1)
    for line in (b"1\n", b"a" * 50 + b"\n", b"2\n"):
        file.write(line)
    assert (tmp_path / "x.log").read_bytes() == b"2\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"a" * 50 + b"\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_disk_costs_lines_and_raises_nothing(rotating):
    file = rotating("/dev/full", max_bytes=1_000, backups=1)
    for _ in range(3):
        file.write(b"line\n")
    assert file.lost == 3
    assert Path("/dev/full").exists()


def test_a_file_that_cannot_step_aside_costs_lines_until_it_can(tmp_path, rotating):
    file = rotating(max_bytes=10, backups=1)
    file.write(b"123456\n")
    obstacle = tmp_path / "x.log.1"
    obstacle.mkdir()
    file.write(b"lost\n" * 2)
    assert file.lost == 1
    obstacle.rmdir()
    file.write(b"abcdef\n")
    assert (tmp_path / "x.log").read_bytes() == b"abcdef\n"


def test_a_file_that_cannot_be_opened_is_one_clear_error(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*: Is a directory. Check the path and the disk."):
        RotatingFile(tmp_path, max_bytes=1_000, backups=1)


def test_threads_write_whole_lines(opened):
    desk = opened(max_bytes=20_000, backups=100)

    def chatter(name):
        for i in range(200):
            desk.log.info("tick", name=name, i=i)

    threads = [threading.Thread(target=chatter, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = [json.loads(line)["data"] for path in desk.path.parent.iterdir() for line in path.read_bytes().splitlines()]
    assert sorted((d["name"], d["i"]) for d in seen) == [(n, i) for n in range(4) for i in range(200)]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"level": "info"}, "'logs.level' must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, was 'info'"),
        ({"console": "loud"}, "'logs.console' must be one of auto, text, json, off, was 'loud'"),
        ({"max_bytes": 10}, "'logs.max_bytes' must be at least 1000, was 10"),
        ({"backups": -1}, "'logs.backups' must be from 0 to 1000, was -1"),
    ],
)
def test_settings_are_checked(wrong, text):
    with pytest.raises(ConfigurationError, match=text):
        LogSettings(**wrong)
