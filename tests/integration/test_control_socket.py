"""The control socket over real sockets: what an operator may do, and what nobody may."""

import contextlib
import json
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.control import ControlClient, ControlLimits, ControlServer, Mailbox, RefusedCommand, find_session, list_sessions
from fairlead.control.commands import MOST_BYTES, Command, CommandName, parse_request
from fairlead.control.places import ADDRESS, SOCKET, TOKEN
from fairlead.core.errors import ConfigurationError, DataNotFound
from support_control import Line, Running, running, session_folder

QUICK = ControlLimits(answer_s=0.1)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """One session for every attack: each must leave it as it was."""
    folder = session_folder(tmp_path_factory.mktemp("live"))
    with running(folder) as session:
        session.folder = folder
        yield session


@pytest.fixture
def unharmed(live):
    """After the test the session still turns and answers, and has done nothing but that."""
    before = len(live.session.done)
    yield live
    cycles = live.cycles
    assert ControlClient(live.folder).ask("status", who="ann")["mode"] == "paper"
    assert live.cycles > cycles
    assert [command.name for command in live.session.done[before:]] == ["status"]


@pytest.mark.parametrize(
    ("command", "args", "answer"),
    [
        ("status", {}, {"mode": "paper", "capital": {"momentum": 10_000.0}, "halted": False, "open_orders": []}),
        ("pause", {}, {"paused": ["all"]}),
        ("pause", {"strategy": "momentum"}, {"paused": ["momentum"]}),
        ("resume", {}, {"resumed": ["all"]}),
        ("stop", {"flatten": True}, {"flatten": True}),
        ("flatten", {}, {"closing": 3}),
        ("halt", {}, {"action": "investigate"}),
        ("halt", {"flatten": True}, {"action": "flatten"}),
        ("set_capital", {"strategy": "momentum", "amount": 5}, {"capital": {"momentum": 5}}),
    ],
)
def test_commands(tmp_path, command, args, answer):
    """Each is carried out in the session's thread, and journalled before and after with who and why."""
    folder = session_folder(tmp_path)
    with running(folder) as live:
        assert ControlClient(folder).ask(command, who="ann", why="drill", args=args) == answer
        asked = {"name": command, "who": "ann", "why": "drill", "args": args}
        assert live.journalled == [
            {"stage": "accepted", "command": asked},
            {"stage": "answered", "command": asked, "ok": True, "answer": live.journalled[1]["answer"]},
        ]
        assert live.session.thread == live.loop.ident
        assert live.refused == []


def test_what_the_session_refuses_is_told_and_journalled(tmp_path):
    folder = session_folder(tmp_path)
    with running(folder) as live:
        with pytest.raises(RefusedCommand, match="locked until noon") as raised:
            ControlClient(folder).ask("rearm", who="ann", why="now")
        assert raised.value.code == "refused"
        assert live.journalled[-1]["ok"] is False
        assert [entry["code"] for entry in live.refused] == ["refused"]


def test_a_mistake_of_the_session_ends_nothing(tmp_path):
    folder = session_folder(tmp_path)
    with running(folder):
        with pytest.raises(RefusedCommand, match="ZeroDivisionError: a mistake of the session"):
            ControlClient(folder).ask("set_capital", who="ann", why="x", args={"strategy": "broken", "amount": 1})
        assert ControlClient(folder).ask("status", who="ann")["mode"] == "paper"


def test_only_the_owner_can_open_it(tmp_path):
    folder = session_folder(tmp_path)
    with running(folder):
        path = (folder / ADDRESS).read_text()
        for file in (folder / TOKEN, folder / ADDRESS, path):
            assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
        assert stat.S_ISSOCK(Path(path).stat().st_mode)
    assert list(folder.iterdir()) == []


def test_every_start_has_another_token(tmp_path):
    tokens = set()
    for _ in range(3):
        with running(session_folder(tmp_path)):
            tokens.add((session_folder(tmp_path) / TOKEN).read_text())
    assert len(tokens) == 3


@pytest.mark.parametrize("token", ["", "x", None, 5, [], "\ud800", "é" * 43])
def test_wrong_token(unharmed, token):
    """Refused, logged, and the connection is over: a second guess needs a second one."""
    with Line(unharmed.folder) as line:
        answer = line.ask(token=token, command="stop", why="gotcha")
        assert answer == {"ok": False, "error": {"code": "token", "message": "the token is wrong."}}
        assert line.answer() is None
    assert unharmed.refused[-1]["code"] == "token"


def test_without_the_token_nothing_is_learnt(unharmed):
    """Whatever else is wrong, the answer is the same."""
    with Line(unharmed.folder) as line:
        assert line.ask(token="wrong", command="nonsense", args=5, who=None)["error"]["code"] == "token"


def test_half_a_token_is_none(unharmed):
    with Line(unharmed.folder) as line:
        assert line.ask(token=line.token[:-1])["error"]["code"] == "token"


@pytest.mark.parametrize(
    "data",
    [b"\n", b"{\n", b"null\n", b"[]\n", b'"stop"\n', b"\xff\xfe\x00\n", b"[" * 9000 + b"\n", b"GET / HTTP/1.1\r\n", b"NaN\n"],
)
def test_malformed_lines(unharmed, data):
    with Line(unharmed.folder) as line:
        line.send(data)
        assert line.answer()["error"]["code"] == "malformed"
        assert line.answer() is None
    assert unharmed.refused[-1]["code"] == "malformed"


@pytest.mark.parametrize(
    ("values", "code", "text"),
    [
        ({"command": "sotp", "why": "x"}, "command", "did you mean 'stop'?"),
        ({"command": None}, "command", "no command named"),
        ({"command": ["stop"]}, "command", "no command named"),
        ({"who": ""}, "reason", "'who' must name the operator"),
        ({"who": None}, "reason", "'who'"),
        ({"who": "x" * 2000}, "reason", "at most 1000"),
        ({"command": "halt"}, "reason", "'why' must say the reason for 'halt'"),
        ({"command": "halt", "why": " "}, "reason", "'why'"),
        ({"command": "stop", "why": "x", "args": []}, "args", "must be an object"),
        ({"command": "stop", "why": "x", "args": {"flatten": 1}}, "args", "'flatten' must be true or false"),
        (
            {"command": "stop", "why": "x", "args": {"strategy": "m"}},
            "args",
            "'stop' has no argument 'strategy'. Known: flatten.",
        ),
        ({"command": "pause", "why": "x", "args": {"strategy": ""}}, "args", "'strategy' must be the name"),
        ({"command": "set_capital", "why": "x", "args": {"strategy": "m"}}, "args", "needs amount"),
        ({"command": "set_capital", "why": "x", "args": {"strategy": "m", "amount": True}}, "args", "finite number"),
        ({"command": "set_capital", "why": "x", "args": {"strategy": "m", "amount": float("nan")}}, "args", "finite number"),
        ({"command": "set_capital", "why": "x", "args": {"strategy": "m", "amount": -1}}, "args", "at least 0"),
        ({"sudo": True}, "malformed", "unknown: sudo"),
    ],
)
def test_bad_requests(unharmed, values, code, text):
    """Refused with what is wrong; the operator may try again on the same connection."""
    with Line(unharmed.folder) as line:
        error = line.ask(**values)["error"]
        assert error["code"] == code
        assert text in error["message"]
    assert unharmed.refused[-1]["code"] == code


def test_oversize_line(unharmed):
    """It is refused before its end is seen: memory is bounded."""
    with Line(unharmed.folder) as line:
        line.send(b"x" * MOST_BYTES)
        assert line.answer()["error"]["code"] == "oversize"


def test_flood_on_one_connection(unharmed):
    """The first lines are read, the rest ends the connection."""
    with Line(unharmed.folder) as line:
        line.send(line.request(command="nonsense", why="x") * 200)
        codes = []
        while (answer := line.answer()) is not None:
            codes.append(answer["error"]["code"])
    assert 20 <= len(codes) <= 30
    assert set(codes[:-1]) == {"command"}
    assert codes[-1] == "flood"
    assert unharmed.refused[-1]["code"] == "flood"


def test_flood_of_connections(live):
    """Too many at once are turned away; when they have gone, the operator is heard."""
    held = [Line(live.folder) for _ in range(8)]
    turned_away = []
    for _ in range(4):
        with Line(live.folder) as line:
            turned_away.append(line.answer())
    for line in held:
        line.__exit__()
    assert {answer["error"]["code"] for answer in turned_away if answer} == {"busy"}
    heard_again(live.folder)


def heard_again(folder):
    for _ in range(100):
        with contextlib.suppress(RefusedCommand, DataNotFound):
            assert ControlClient(folder).ask("status", who="ann")["mode"] == "paper"
            return
    pytest.fail("the operator was not heard again")


def test_who_only_connects_and_goes_is_forgotten(live):
    """Two hundred who hang up in the middle of a line; then the operator is heard."""
    for _ in range(200):
        with Line(live.folder) as line:
            line.send(b'{"token"')
    heard_again(live.folder)


def test_idle_connections_are_closed(tmp_path):
    folder = session_folder(tmp_path)
    with running(folder, ControlLimits(idle_s=0.05)), Line(folder) as line:
        line.send(b"{")
        assert line.answer() is None


def test_a_log_that_fails_ends_nothing(tmp_path):
    folder = session_folder(tmp_path)

    def refuse(_entry):
        raise OSError("disk full")

    live = Running(folder)
    live.server._refused = refuse
    try:
        with Line(folder) as line:
            assert line.ask(command="nonsense", why="x")["error"]["code"] == "command"
            assert line.ask()["ok"]
    finally:
        live.close()


@pytest.mark.parametrize(
    ("command", "args", "is_done"),
    [("halt", {}, True), ("flatten", {}, True), ("resume", {}, False), ("set_capital", {"strategy": "m", "amount": 1}, False)],
)
def test_late_answers(tmp_path, command, args, is_done):
    """A busy session: what protects is carried out late, what adds risk is withdrawn, and the operator is told which."""
    folder = session_folder(tmp_path)
    with running(folder, QUICK, serves=False) as live:
        with pytest.raises(RefusedCommand, match="It stands" if is_done else "It was withdrawn") as raised:
            ControlClient(folder).ask(command, who="ann", why="x", args=args)
        assert raised.value.code == "timeout"
        assert live.mailbox.serve(live.session) == is_done
        assert [c.name for c in live.session.done] == ([command] if is_done else [])


def test_a_full_mailbox_refuses(tmp_path):
    mailbox = Mailbox([].append)
    command = Command(name=CommandName.HALT, who="ann", why="x")
    for _ in range(32):
        with pytest.raises(RefusedCommand, match="did not answer"):
            mailbox.ask(command, 0.0)
    with pytest.raises(RefusedCommand, match="waiting already") as raised:
        mailbox.ask(command, 0.0)
    assert raised.value.code == "busy"


def test_a_journal_that_fails_stops_what_adds_risk_and_not_what_protects(tmp_path):
    folder = session_folder(tmp_path)

    def full(_record):
        raise OSError("disk full")

    with running(folder, journal=full) as live:
        with pytest.raises(RefusedCommand, match="could not be journalled: disk full"):
            ControlClient(folder).ask("resume", who="ann", why="x")
        answer = ControlClient(folder).ask("halt", who="ann", why="x")
        assert answer["warning"] == "carried out, but not journalled: disk full"
        assert [command.name for command in live.session.done] == ["halt"]


def test_two_operators_at_once(tmp_path):
    folder = session_folder(tmp_path)
    with running(folder) as live:
        asked = [
            threading.Thread(target=ControlClient(folder).ask, args=("pause",), kwargs={"who": f"op{i}", "why": "x"})
            for i in range(6)
        ]
        for thread in asked:
            thread.start()
        for thread in asked:
            thread.join()
        assert sorted(command.who for command in live.session.done) == [f"op{i}" for i in range(6)]


def test_one_session_a_folder(tmp_path):
    folder = session_folder(tmp_path)
    with running(folder):
        with pytest.raises(ConfigurationError, match="'session' must not run already"):
            ControlServer(folder, Mailbox([].append), [].append)
        assert ControlClient(folder).ask("status", who="ann")["mode"] == "paper"


def test_what_a_crash_left_behind_is_no_hindrance(tmp_path):
    """Socket, address and token of a session that was killed: it does not count as running, and the next may start."""
    folder = session_folder(tmp_path)
    live = Running(folder)
    left = {name: (folder / name).read_bytes() for name in (ADDRESS, TOKEN)}
    live.close()
    for name, data in left.items():
        (folder / name).write_bytes(data)
    (folder / SOCKET).write_bytes(b"")
    assert [place.is_running for place in list_sessions(tmp_path)] == [False]
    with pytest.raises(DataNotFound, match="does not run"):
        ControlClient(folder).ask("status", who="ann")
    with running(folder):
        assert find_session(tmp_path).folder == folder


def test_a_long_path_has_its_socket_elsewhere(tmp_path):
    """The system cuts the paths of sockets at about a hundred bytes."""
    folder = session_folder(tmp_path, "x" * 120)
    with running(folder):
        path = (folder / ADDRESS).read_text()
        assert not path.startswith(str(tmp_path))
        assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
        assert ControlClient(folder).ask("status", who="ann")["mode"] == "paper"
    assert not Path(path).parent.exists()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_without_the_token_are_a_command(data):
    with pytest.raises(RefusedCommand):
        parse_request(data, "secret")


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(["command", "args", "who", "why", "x"]), VALUES | st.sampled_from(list(CommandName))))
def test_whatever_is_asked_is_a_command_or_refused(held):
    """No other error, whatever the types."""
    line = json.dumps({**held, "token": "secret"}).encode()
    with contextlib.suppress(RefusedCommand):
        command = parse_request(line, "secret")
        assert command.who
        assert command.why or command.name is CommandName.STATUS
