"""`fairlead session` against a running session."""

import pytest

from support_cli import fairlead
from support_control import running, session_folder

NAMES = ("paper_main_20250106_momentum", "paper_main_20250107_momentum")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder in whose workspace one session runs."""
    folder = tmp_path_factory.mktemp("desk")
    with running(session_folder(folder / "artifacts", NAMES[0])) as live:
        live.cwd = folder
        yield live


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (("status",), {"capital": {"momentum": 10_000.0}, "halted": False, "mode": "paper", "open_orders": []}),
        (("pause", "--why", "x", "-s", "momentum"), {"paused": ["momentum"]}),
        (("resume", "--why", "x"), {"resumed": ["all"]}),
        (("stop", "--why", "x", "--flatten"), {"flatten": True}),
        (("flatten", "--why", "x"), {"closing": 3}),
        (("halt", "--why", "x", "--flatten"), {"action": "flatten"}),
    ],
)
def test_verbs(desk, args, answer):
    done = fairlead("session", *args, "--who", "ann", "--json", cwd=desk.cwd)
    assert done.code == 0, done.err
    assert done.json == {"session": NAMES[0], "command": args[0], "answer": answer}
    assert desk.journalled[-1]["command"]["who"] == "ann"


def test_set_capital(desk):
    done = fairlead("session", "set-capital", "rsi", "2500", "paper_main", "--why", "second week", cwd=desk.cwd)
    assert done.code == 0, done.err
    assert desk.session.capital["rsi"] == 2500.0
    assert desk.session.done[-1].who
    del desk.session.capital["rsi"]


def test_for_people(desk):
    done = fairlead("session", "status", cwd=desk.cwd)
    assert done.code == 0
    assert done.out.splitlines() == [
        f"ok status {NAMES[0]}",
        "  capital: momentum 10000.0",
        "  halted: no",
        "  mode: paper",
        "  open orders: none",
    ]


def test_list(desk):
    assert "running" in fairlead("session", "ls", cwd=desk.cwd).out
    assert [place["session"] for place in fairlead("session", "ls", "--json", cwd=desk.cwd).json] == [NAMES[0]]


def test_what_the_session_refuses_exits_with_1(desk):
    done = fairlead("session", "rearm", "--why", "now", cwd=desk.cwd)
    assert (done.code, done.out) == (1, "")
    assert f"{NAMES[0]}: the session stays halted: it is locked until noon." in done.err


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("halt",), "'--why' must say the reason"),
        (("status", "paper_mian_20250106_momentum"), f"did you mean '{NAMES[0]}'?"),
        (("set-capital", "rsi", "-1", "--why", "x"), ""),
        (("set-capital", "rsi", "nan", "--why", "x"), "'amount' must be a finite number"),
        (("pause", "--why", "x" * 2000), "at most 1000 characters"),
    ],
)
def test_bad_input_exits_with_2(desk, args, error):
    before = len(desk.session.done)
    done = fairlead("session", *args, cwd=desk.cwd)
    assert (done.code, done.out) == (2, "")
    assert error in done.err
    assert len(desk.session.done) == before


def test_no_session(tmp_path):
    done = fairlead("session", "status", cwd=tmp_path)
    assert done.code == 2
    assert "no session runs in artifacts. Running: (none)." in done.err
    assert "No session runs" in fairlead("session", "ls", cwd=tmp_path).out


def test_of_several_one_is_named(desk):
    with running(session_folder(desk.cwd / "artifacts", NAMES[1])):
        for args, error in (((), "several sessions run; name one"), (("paper",), "several sessions begin with 'paper'")):
            done = fairlead("session", "status", *args, cwd=desk.cwd)
            assert done.code == 2
            assert error in done.err
        assert fairlead("session", "status", NAMES[1][:19], "--json", cwd=desk.cwd).json["session"] == NAMES[1]
