"""The journal's benchmark, small: it writes what it says, and names a target that is missed."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("machine", "timing", "journal")


@pytest.fixture
def bench(monkeypatch):
    """The script, with windows of ten records."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    script = importlib.import_module("journal")
    for name, value in {"EARLY": 20, "BLOCK": 10, "BLOCKS": 3, "GROUPS": (1, 5), "TARGET": 200}.items():
        monkeypatch.setattr(script, name, value)
    yield script
    for name in MODULES:
        sys.modules.pop(name, None)


def run(bench, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["journal.py", *arguments])
    code = bench.main()
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_it_measures_early_and_late_groups_and_a_steady_load(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench, "SLOWER", 1e9)
    code, results, err = run(bench, monkeypatch, capsys, "--records", "400", "--seconds", "0.2")
    assert code == 0 or "became durable" in err  # a disk that is busy elsewhere is slow
    late = max(int(name.rpartition("_")[2]) for name in results["append"] if name.startswith("from_record_"))
    assert late >= 400
    assert results["append"]["from_record_20"]["append_median_us"] > 0
    steady = results["steady"]
    assert steady["wait_s"]["count"] == 40
    assert 0 < steady["achieved_per_s"] <= 200 * 1.05
    assert 1 <= steady["records_in_a_group"]["p50"] <= 40
    assert set(results["durable_records_per_s"]) == {"1", "5", "target", "what"}


def test_a_missed_target_is_named(bench):
    results = {"append": {"late_over_early": 1.5}, "steady": {"achieved_per_s": 100.0}}
    assert bench.missed(results) == [
        "a late record takes 1.50 times as long as an early one, and may take 1.2 times",
        "100 records a second became durable, and 200 were offered",
    ]
    assert bench.missed({"append": {"late_over_early": 1.0}, "steady": {"achieved_per_s": 200.0}}) == []
