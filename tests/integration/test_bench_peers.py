"""`make bench-peers` without the peers: Fairlead's rows, what the peers once answered, and every way to get no time."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from parity.engines import ENGINES, Engine, NotInstalled, environment, interpreter

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("machine", "workloads", "reference", "contenders", "agreement", "asking", "peertable", "compare")
PROTOCOL = ("peers", "peers.protocol")
pytestmark = pytest.mark.xdist_group("bench_peers")  # Fairlead's answers are asked for once


@pytest.fixture(scope="module")
def bench():
    """Import the scripts as they import each other, and leave nothing behind."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        found = {name: importlib.import_module(name) for name in MODULES}
        yield SimpleNamespace(protocol=importlib.import_module("peers.protocol"), **found)
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in (*MODULES, *PROTOCOL):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def recorded(bench):
    return json.loads(bench.compare.RECORDED.read_text())


@pytest.fixture(scope="module")
def alone(bench, tmp_path_factory):
    """Fairlead's answers to the small workloads, each from a process of its own, by task."""
    limits, told, data = bench.asking.Limits(1, 0.0, 120.0), {}, {}
    for contender in bench.contenders.CONTENDERS:
        if contender.is_own:
            work = bench.contenders.WORKLOADS[contender.workload]
            folder = tmp_path_factory.mktemp(contender.task)
            data[contender.task] = bench.asking.write_data(folder, *work.quick())
            told[contender.task] = bench.asking.ask(contender, Path(sys.executable), folder, limits)
    return SimpleNamespace(told=told, data=data)


def one(bench, engine, workload):
    return next(c for c in bench.contenders.CONTENDERS if (c.engine, c.workload) == (engine, workload))


def wanted(bench, key):
    work = bench.contenders.WORKLOADS[key]
    return bench.agreement.Outcome(*work.expect(*work.quick()))


@pytest.mark.parametrize("task", ["W1", "W1 compiled", "W2", "W3", "W3 compiled", "W3 recorded"])
def test_fairlead_comes_to_what_the_reference_comes_to(bench, alone, task):
    """In a process of its own, from the files that the peers get."""
    told = alone.told[task]
    assert bench.agreement.disagreement(bench.compare.outcome_of(told), wanted(bench, task.split()[0])) == ""
    assert len(told["seconds"]) == 1
    assert told["seconds"][0] > 0
    assert told["peak_mb"] > 20


def test_every_peer_came_to_what_fairlead_comes_to(bench, alone, recorded):
    """All answers recorded by `compare.py --quick --record`, held against Fairlead's of now."""
    peers = [c for c in bench.contenders.CONTENDERS if not c.is_own]
    assert {key: sorted(entry["answers"]) for key, entry in recorded.items()} == {
        key: sorted(c.engine for c in peers if c.workload == key) for key in bench.contenders.WORKLOADS
    }
    for contender in peers:
        answer = recorded[contender.workload]["answers"][contender.engine]
        own = bench.compare.outcome_of(alone.told[contender.workload])
        assert bench.agreement.disagreement(bench.compare.outcome_of(answer), own) == "", contender


def test_recorded_answers_belong_to_the_workloads_as_they_are(bench, alone, recorded):
    """A workload that was changed after the recording has no answer yet: run `compare.py --quick --record`."""
    assert {key: entry["asked"] for key, entry in recorded.items()} == {
        key: bench.compare.hash_of(folder) for key, folder in alone.data.items() if key in bench.contenders.WORKLOADS
    }


def test_every_peer_has_a_script_and_pins():
    pinned = {engine.key for engine in ENGINES} | {"ml4t_backtest", "pybroker"}
    assert {path.stem.removeprefix("peer_") for path in (BENCHMARKS / "peers").glob("peer_*.py")} == pinned


def test_every_peer_is_pinned_to_the_version_it_answered_with(bench, recorded):
    for key, entry in recorded.items():
        for engine, answer in entry["answers"].items():
            peer = bench.contenders.PEERS[engine]
            assert f"{peer.distribution}=={answer['version']}\n" in peer.pins.read_text(), (key, engine)


def test_any_difference_of_a_run_is_told_with_its_number(bench):
    Outcome, differs = bench.agreement.Outcome, bench.agreement.disagreement  # noqa: N806  a class
    fills = [(3, 0, 100.0, 10.0), (5, 0, -100.0, 12.0)]
    right = Outcome(fills, 1_000.0)
    assert differs(Outcome([list(fill) for fill in reversed(fills)], 1_000.0 + 1e-8), right) == ""
    assert differs(Outcome(fills[:1], 1_000.0), right) == "1 fills, not 2"
    first = "the first other fill is +100 of column 0 at bar 4 for 10.0, not +100 of column 0 at bar 3 for 10.0"
    assert differs(Outcome([(4, 0, 100.0, 10.0), fills[1]], 1_000.0), right) == first
    assert "at bar 5 for 12.0001, not" in differs(Outcome([fills[0], (5, 0, -100.0, 12.0001)], 1_000.0), right)
    assert differs(Outcome(fills, 998.0), right) == "final equity is 998.0000, not 1,000.0000 (-2.0000, -2.00e-03)"
    assert differs(Outcome(fills, float("nan")), right).startswith("final equity is nan")


def test_any_difference_of_a_sweep_is_told_with_its_number(bench):
    Outcome, differs = bench.agreement.Outcome, bench.agreement.disagreement  # noqa: N806  a class
    right = Outcome([10, 12, 8], [1_000.0, 1_001.0, 1_002.0])
    assert differs(Outcome([10, None, 8], [1_000.0, 1_001.0, 1_002.0]), right) == ""
    wrong = "1 of 2 numbers of fills differ, the first is 9, not 8; 1 of 3 final equities differ, by up to 0.5000"
    assert differs(Outcome([10, None, 9], [1_000.0, 1_001.5, 1_002.0]), right) == wrong
    assert differs(Outcome([10, 12], [1_000.0, 1_001.0]), right) == "2 parameter sets, not 3"


def test_the_sweep_has_a_thousand_pairs_and_is_w1_for_each(bench):
    pairs = bench.workloads.sweep_pairs()
    assert (len(pairs), pairs[0], pairs[-1]) == (1_000, (5, 30), (24, 79))
    columns = bench.workloads.minute_walk(3_000)
    swept = bench.reference.sweep(columns, 100_000.0, [(5, 30), (20, 50)])
    single = bench.reference.crossover(columns, 100_000.0)
    assert (swept.fills[1], swept.equity[1]) == (len(single.price), single.equity)
    assert swept.fills[0] > swept.fills[1]


def session(bench, alone, answers):
    """A session of W2 in which the peers answer what is given: an answer, or why there is none."""

    def asks(contender, data, limits):
        told = alone.told["W2"] if contender.is_own else answers[contender.engine]
        if isinstance(told, str):
            raise bench.asking.Unanswered(told)
        return {**told, "seconds": list(told["seconds"])}

    chosen = [c for c in bench.contenders.CONTENDERS if c.workload == "W2" and (c.is_own or c.engine in answers)]
    return bench.compare.session(chosen, bench.asking.Limits(1, 60.0, 60.0), asks, quick=True)


@pytest.fixture(scope="module")
def mixed(bench, alone):
    """One peer agrees, one differs, one is not installed, one takes too long."""
    told = alone.told["W2"]
    fills = [*told["fills"][:-1], [*told["fills"][-1][:3], 1.0]]
    answers = {
        "bt": {**told, "version": "1.0", "seconds": [7.0, 8.0, 9.0]},
        "vectorbt": {**told, "version": "2.0", "fills": fills, "seconds": [0.001]},
        "ml4t_backtest": "not installed: it needs Python 3.12 or later, and none was found",
        "backtrader": "no answer within 60 s",
    }
    return session(bench, alone, answers)


def test_only_a_peer_that_agrees_gets_a_time(mixed):
    rows = {row["engine"]: row for row in mixed["workloads"]["W2"]["rows"]}
    own = rows.pop("fairlead")
    assert own["times"] == 1.0
    assert len(own["seconds"]) == 2, "Fairlead is timed before and after the others"
    agrees = rows.pop("bt")
    assert (agrees["median_s"], agrees["min_s"], agrees["max_s"]) == (8.0, 7.0, 9.0)
    assert agrees["times"] == pytest.approx(8.0 / own["median_s"])
    assert agrees["rate"] == 60 * 400 / 8.0
    for row in rows.values():
        assert not {"seconds", "median_s", "times", "rate"} & set(row), row
    assert rows["vectorbt"]["note"].startswith("differs: the first other fill is")
    assert {engine: row["status"] for engine, row in rows.items()} == {
        "vectorbt": "differs",
        "ml4t_backtest": "not installed",
        "backtrader": "no answer within 60 s",
    }


def test_every_row_is_told_in_text_page_and_readme(bench, mixed):
    """The fastest first, then those without a time, with the reason."""
    text, page = bench.peertable.told_as_text(mixed), bench.peertable.page(mixed)
    for told in (text, page):
        assert "not installed: it needs Python 3.12 or later" in told
        assert "differs: the first other fill is" in told
        assert "8 s (7 s to 9 s)" in told
        places = [told.index(name) for name in ("| Fairlead |" if told is page else "  Fairlead", "8 s (7 s", "differs: the")]
        assert places == sorted(places)
    assert "Small sizes: no measure of speed." in text
    assert "| bt | 1.0 | " in page
    table = bench.peertable.readme_table(mixed)
    assert "| vectorbt | differs |" in table
    assert "| **Fairlead**, a Python class | " in table
    assert "| bt | 8 s (" in table


def test_numbers_are_short(bench):
    assert [bench.peertable.seconds(value) for value in (0.000_123, 0.0621, 0.99949, 1.0, 8.123, 38.14, 212.4)] == [
        "0.123 ms",
        "62.1 ms",
        "999 ms",
        "1 s",
        "8.12 s",
        "38.1 s",
        "212 s",
    ]
    assert [bench.peertable.times(value) for value in (0.0712, 1.0, 4.91, 9.96, 12.34, 99.6, 1_234.5)] == [
        "0.071",
        "1",
        "4.9",
        "9.96",
        "12.3",
        "100",
        "1,234",
    ]


def test_page_and_readme_say_what_was_measured(bench):
    """Nobody edits them by hand: `python benchmarks/compare.py --page` makes them."""
    results = json.loads(bench.compare.MEASURED.read_text()) if bench.compare.MEASURED.exists() else None
    assert bench.peertable.PAGE.read_text() == bench.peertable.page(results)
    text = bench.peertable.README.read_text()
    assert bench.peertable.readme(text, results) == text
    with pytest.raises(ValueError, match="no markers"):
        bench.peertable.readme("# Fairlead\n", results)


def test_without_results_page_and_readme_say_so(bench):
    assert bench.peertable.NOT_YET in bench.peertable.page(None)
    marked = "a\n<!-- bench-peers -->\nold\n<!-- /bench-peers -->\nb\n"
    assert "old" not in bench.peertable.readme(marked, None)
    assert bench.peertable.NOT_YET in bench.peertable.readme(marked, None)


@dataclasses.dataclass(frozen=True)
class Scripted:
    """A contender with a script of the test's own."""

    script: Path
    engine: str = "scripted"
    task: str = "W1"
    is_own: bool = False


def asked(bench, tmp_path, code, timeout_s=60.0):
    script = tmp_path / "peer.py"
    script.write_text(code)
    return bench.asking.ask(Scripted(script), Path(sys.executable), tmp_path, bench.asking.Limits(1, 1.0, timeout_s))


def test_a_peer_is_asked_through_files(bench, tmp_path):
    code = "import sys, pathlib; a, b = map(pathlib.Path, sys.argv[1:]); b.write_text(a.read_text())"
    answer = asked(bench, tmp_path, code)
    assert answer == {"workload": "W1", "data": str(tmp_path), "runs": 1, "budget_s": 1.0}


def test_nothing_of_our_environment_reaches_a_peer(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS))
    code = "import sys, os, json; json.dump(sorted(os.environ), open(sys.argv[2], 'w'))"
    answer = asked(bench, tmp_path, code)
    assert "PYTHONPATH" not in answer
    assert "ZIPLINE_ROOT" in answer


def test_a_peer_that_fails_says_why(bench, tmp_path):
    with pytest.raises(bench.asking.Unanswered, match=r"^failed: ValueError: no data$"):
        asked(bench, tmp_path, "print('so far'); raise ValueError('no data')")
    with pytest.raises(bench.asking.Unanswered, match=r"^failed: exit code 3$"):
        asked(bench, tmp_path, "raise SystemExit(3)")
    with pytest.raises(bench.asking.Unanswered, match=r"^failed: done$"):
        asked(bench, tmp_path, "print('done')")


def test_a_peer_that_hangs_is_ended_with_all_that_it_started(bench, tmp_path):
    """The grandchild holds the pipe: were it left alone, this test would wait for it."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
    code = code.replace("subprocess.run(", "subprocess.Popen(").replace("PIPE)", "PIPE).wait()")
    with pytest.raises(bench.asking.Unanswered, match=r"^no answer within 0\.5 s$"):
        asked(bench, tmp_path, code, timeout_s=0.5)


def test_an_engine_that_cannot_be_installed_says_why(bench, tmp_path):
    """A requirement that no index is asked about, and a Python that nobody has."""
    (tmp_path / "requirements-none.txt").write_text("./nothing-here\n")
    engine = Engine("none", "None", "none", "MIT", tmp_path)
    with pytest.raises(NotInstalled, match="nothing-here"):
        environment(engine, tmp_path / "home")
    with pytest.raises(NotInstalled, match=r"needs Python 3\.99 or later, and none was found"):
        environment(engine._replace(python=(3, 99)), tmp_path / "home", [sys.executable, "no-such-python"])
    peer = dataclasses.replace(one(bench, "bt", "W2"), engine="ml4t_backtest")
    newer = {"ml4t_backtest": engine._replace(python=(3, 99))}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bench.asking, "PEERS", newer)
        with pytest.raises(bench.asking.Unanswered, match=r"^not installed: it needs Python 3\.99"):
            bench.asking.interpreter_of(peer, tmp_path / "home")


def test_the_interpreter_is_ours_if_it_is_new_enough():
    engine = Engine("x", "X", "x", "MIT")
    assert interpreter(engine) == sys.executable


def test_runs_are_repeated_as_far_as_the_budget_goes(bench):
    """The first warms up; if there is no time for that it is the one that counts, unless it compiled."""
    calls = []
    work = bench.protocol.Prepared(lambda: calls.append(1), lambda _: ([], 1.0))
    told, seconds = bench.protocol.timed(work, 3, 60.0)
    assert (told, len(seconds), len(calls)) == (([], 1.0), 3, 4)
    calls.clear()
    _, seconds = bench.protocol.timed(work, 3, 0.0)
    assert (len(seconds), len(calls)) == (1, 1)
    calls.clear()
    _, seconds = bench.protocol.timed(work._replace(compiles=True), 3, 0.0)
    assert (len(seconds), len(calls)) == (1, 2)


def test_the_rule_of_the_peers_is_that_of_the_strategy(bench):
    """Nothing on the first bar, nothing to sell before a first cross up, then in turn."""
    cross = bench.protocol.Cross()
    assert [cross.turn(is_above) for is_above in (True, False, True, True, False, False, True)] == [0, 0, 1, 0, -1, 0, 1]


def test_the_script_measures_fairlead_alone(bench, capsys):
    assert bench.compare.main(["--quick", "--only", "fairlead", "--runs", "1", "--budget", "0.001", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert {key: {row["status"] for row in work["rows"]} for key, work in results["workloads"].items()} == {
        key: {"agrees"} for key in ("W1", "W2", "W3")
    }


def test_the_script_refuses_to_compare_with_a_wrong_engine(bench, monkeypatch, capsys):
    """The reference with another rule: Fairlead is the one that differs, and nobody is timed."""
    work = bench.contenders.WORKLOADS["W2"]
    other = dataclasses.replace(work, expect=lambda columns, terms: work.expect(columns, {**terms, "every": 20}))
    monkeypatch.setitem(bench.compare.WORKLOADS, "W2", other)
    monkeypatch.setattr(bench.compare, "CONTENDERS", (one(bench, "fairlead", "W2"), one(bench, "bt", "W2")))
    assert bench.compare.main(["--quick", "--runs", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Not timed: Fairlead and the reference disagree. W2:" in captured.err


def test_who_takes_part(bench):
    """Whoever is named, and Fairlead with them."""
    chosen = bench.compare.chosen
    assert chosen() == list(bench.contenders.CONTENDERS)
    own = [c for c in bench.contenders.CONTENDERS if c.is_own]
    assert [c for c in chosen(["backtesting"]) if c.is_own] == [c for c in own if c.workload != "W2"]
    assert [(c.workload, c.engine) for c in chosen(["backtesting"]) if not c.is_own] == [
        ("W1", "backtesting"),
        ("W3", "backtesting"),
    ]
    assert [c.engine for c in chosen(["bt", "backtesting"], ["W2"])] == ["fairlead", "bt"]
    assert {c.workload for c in chosen(works=["W3"])} == {"W3"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "0"], "--runs must be at least 1, was 0"),
        (["--budget", "0"], "--budget must be above 0 seconds, was 0"),
        (["--timeout", "nan"], "--timeout must be above 0 seconds, was nan"),
        (["--only", "lean"], "invalid choice: 'lean'"),
        (["--write", "--quick"], "--write keeps whole sessions at full size"),
        (["--write", "--workload", "W1"], "--write keeps whole sessions at full size"),
        (["--record"], "--record keeps the answers of every engine"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(bench, capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        bench.compare.main(arguments)
    assert message in capsys.readouterr().err
