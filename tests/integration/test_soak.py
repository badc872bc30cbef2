"""The soak, small: a session on a market over the websocket, in processes of their own, and what is asked of it.

Nothing is timed here: that is `make soak`, on a machine that does nothing else.
"""

from __future__ import annotations

import copy
import importlib
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND
from fairlead.data.calendars import ExchangeCalendar

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("machine", "soak", "soak_judge", "soak_market")
AFTER_NS = 1_704_844_800 * NS_PER_SECOND
"""2024-01-10."""

pytestmark = pytest.mark.xdist_group("soak")


@pytest.fixture(scope="module")
def bench():
    """Import the scripts as they import each other, and leave nothing behind."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def soaked(bench, tmp_path_factory):
    """Twenty seconds: forty symbols, more than one session of minutes, and bursts."""
    # So few symbols in so short a time need strategies that ask for less.
    strategies = copy.deepcopy(bench.soak.STRATEGIES)
    strategies["insidebar"]["params"]["min_mother_bar_size"] = 0.5
    strategies["mean_reversion"]["params"]["entry"] = 2.8
    plan = bench.soak.Plan(symbols=40, updates_per_s=22.0, instants=440, burst_every_s=5.0, strategies=strategies)
    return bench.soak.measure(plan, tmp_path_factory.mktemp("soak"))


@pytest.mark.slow
def test_a_session_on_a_market_holds_everything_but_time(bench, soaked):
    found = bench.soak_judge.checks(soaked, timed=False)
    assert [check for check in found if not check.is_met] == []
    assert soaked["metrics"]["cycles_total"] > 100
    assert soaked["feed"]["most_waiting"] >= 20 * 40 // 2, "no burst has come"
    assert soaked["end"]["status"] == "completed"
    assert {name: summary["count"] > 0 for name, summary in soaked["latency_s"].items()} == dict.fromkeys(
        ("event_to_decision", "decision_to_submit", "submit_to_ack", "decision_to_ack", "event_processing"), True
    )
    assert len(soaked["memory"]["rss_mb"]) > 5
    printed = bench.soak_judge.table(soaked, bench.soak_judge.checks(soaked))
    assert "440 instants" in printed
    assert "journal holds together" in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "value", "missed"),
    [
        (("feed", "events"), 17_599, "events that came"),
        (("recorded",), 17_000, "and are in the recording"),
        (("feed", "late_bars"), 1, "late bars"),
        (("feed", "malformed"), 1, "events lost or malformed"),
        (("feed", "most_waiting"), 65_536, "most events waiting"),
        (("feed", "refused"), 1, "producers that had to wait"),
        (("cycles",), 439, "instants decided on"),
        (("fills",), {"momentum": 3}, "fills of each strategy"),
        (("log", "errors"), ["journal_failed: full"], "errors in session.log"),
        (("log", "stderr"), "Traceback", "standard error"),
        (("end", "exit_code"), 1, "exit code"),
        (("end", "journal_whole"), False, "journal holds together"),
    ],
)
def test_what_does_not_hold_is_named(bench, soaked, where, value, missed):
    changed = copy.deepcopy(soaked)
    *path, last = where
    inner = changed
    for key in path:
        inner = inner[key]
    inner[last] = value
    assert [check.name for check in bench.soak_judge.checks(changed, timed=False) if not check.is_met] == [missed]


def results_of(bench, **changes):
    """What a soak that holds everything has measured."""
    plan = bench.soak.Plan(symbols=2, instants=100)
    times = {"count": 100, "mean": 0.001, "p50": 0.002, "p95": 0.004, "p99": 0.005, "max": 0.1}
    stages = ("event_to_decision", "event_processing", "decision_to_ack")
    feed = dict.fromkeys(("late_bars", "lost", "malformed", "most_waiting", "refused"), 0)
    return {
        "plan": plan.to_dict(),
        "feed": {**feed, "events": 200},
        "recorded": 202,
        "cycles": 100,
        "fills": dict.fromkeys(plan.strategies, 1),
        "log": {"errors": [], "stderr": ""},
        "end": {"exit_code": 0, "journal_whole": True, "journal_records": 9},
        "latency_s": {stage: {**times, **changes.get(stage, {})} for stage in stages},
        "memory": {"trend_pct": 0.1, "spread_pct": 0.2, **changes.get("memory", {})},
    }


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"event_to_decision": {"p95": 0.010}}, ["event to decision, p95"]),
        ({"event_processing": {"p95": 0.2}}, ["signal pipeline, p95"]),
        ({"decision_to_ack": {"p50": 0.25}}, ["order latency, median"]),
        ({"decision_to_ack": {"p95": 0.6}}, ["order latency, p95"]),
        ({"memory": {"trend_pct": 3.0}}, ["memory, trend of the second half"]),
        ({"memory": {"spread_pct": 8.0}}, ["memory, highest over its start"]),
    ],
)
def test_every_limit_of_time_and_memory_is_held(bench, changes, missed):
    found = bench.soak_judge.checks(results_of(bench, **changes))
    assert [check.name for check in found if not check.is_met] == missed


def test_memory_is_judged_by_its_second_half(bench):
    seconds = list(range(0, 3_600, 10))
    warm = [100.0 + second / 10 if second < 1_500 else 250.0 for second in seconds]
    flat = bench.soak_judge.trend(seconds, warm)
    assert (flat["slope_mb_per_hour"], flat["start_mb"]) == (pytest.approx(0, abs=1e-9), 250.0)
    assert flat["trend_pct"] == pytest.approx(0, abs=1e-9)
    leaking = bench.soak_judge.trend(seconds, [mb + 0.01 * second for mb, second in zip(warm, seconds, strict=True)])
    assert leaking["slope_mb_per_hour"] == pytest.approx(36.0)
    assert leaking["trend_pct"] == pytest.approx(100 * 0.01 * 1_790 / 268.0, rel=1e-3)
    spike = bench.soak_judge.trend(seconds, [*warm[:-1], 300.0])
    assert spike["spread_pct"] == pytest.approx(20.0)


def test_the_market_lies_on_real_sessions_and_its_prices_do_not_jump(bench):
    market = bench.soak_market.RepeatedSession(3, 1_000, AFTER_NS)
    assert len(market) == 3_000
    assert market.symbols == ("SYN001", "SYN002", "SYN003")
    bars = list(market)
    assert bars == market[0:3_000]
    assert market[-1] == bars[-1]
    assert [bar.known_ns for bar in bars] == sorted(bar.known_ns for bar in bars)
    assert bars[0].label_ns // NS_PER_DAY == AFTER_NS // NS_PER_DAY + 1
    labels = np.array([bar.label_ns for bar in bars[::3]], np.int64)
    known, _ = ExchangeCalendar.get("XNYS").closing_instants(labels, bench.soak_market.SIZE)
    assert known.tolist() == [bar.known_ns for bar in bars[::3]]
    own = bars[::3]
    steps = [abs(after.open / before.close - 1) for before, after in itertools.pairwise(own)]
    assert max(steps) < 0.005
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)


def test_bursts_come_in_the_middle_of_their_stretches(bench):
    market = bench.soak_market.RepeatedSession(2, 60, AFTER_NS)
    plan = bench.soak_market.server_of(market, 60.0, 20, 5).plan
    held = [plan.held_back(index) for index in range(80)]
    assert held == [0] * 20 + [*range(9, -1, -1)] + [0] * 30 + [*range(9, -1, -1)] + [0] * 10
    assert not any(map(bench.soak_market.server_of(market, 60.0, 0, 5).plan.held_back, range(80)))


def test_a_place_behind_the_end_is_none(bench):
    market = bench.soak_market.RepeatedSession(2, 60, AFTER_NS)
    with pytest.raises(IndexError):
        _ = market[120]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--minutes", "0.1"], "--minutes must give at least 60 updates"),
        (["--rate", "0"], "must be above 0"),
        (["--write", "../x"], "--write must be a plain name"),
    ],
)
def test_wrong_use_is_one_error(bench, monkeypatch, capsys, arguments, text):
    monkeypatch.setattr(sys, "argv", ["soak.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        bench.soak.main()
    assert text in capsys.readouterr().err
