"""The benchmarks' correctness gate: engine and reference agree on small workloads, and a difference stops the timing."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fairlead.core.time import BarSize
from fairlead.data.packing import pack_dataset
from fairlead.data.store import BarStore

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("machine", "workloads", "reference", "run", "wide", "replay")


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
def crossover(bench):
    """A short W1: its columns, the engine's record and the reference."""
    columns = bench.workloads.minute_walk(5_000)
    record = bench.workloads.run(bench.workloads.as_source(columns), bench.workloads.SmaCrossover(), 100_000.0)
    return columns, record, bench.reference.crossover(columns, 100_000.0)


def hand_made(bench, opened, close):
    """Return minute columns of one symbol with stamps 0, 1, 2, ..."""
    stamps = np.arange(len(close))
    prices = [np.array(values, float)[:, None] for values in (opened, opened, opened, close, opened)]
    return bench.workloads.Columns(("A",), BarSize.M1, stamps, stamps + 1, stamps, *prices)


def test_the_reference_of_w1_equals_a_hand_computation(bench):
    """SMA(1) against SMA(2): down (nothing to sell), up at bar 3, down at bar 5; fills at the opens of bars 4 and 6.

    Cash 1000, buy 100 at 13, sell 100 at 11, commission 1 bp of 1300 and of 1100: 1000 - 200 - 0.24.
    """
    columns = hand_made(bench, [10, 10, 11, 10, 13, 14, 11, 12], [10, 11, 10, 12, 14, 11, 10, 9])
    expected = bench.reference.crossover(columns, 1000.0, fast=1, slow=2)
    assert expected.label_ns.tolist() == [4, 6]
    assert expected.quantity.tolist() == [100.0, -100.0]
    assert expected.price.tolist() == [13.0, 11.0]
    assert expected.equity == pytest.approx(799.76, abs=1e-9)


def test_the_reference_of_w1_marks_what_is_held_and_skips_a_cross_without_a_next_bar(bench):
    """Up at bar 2, filled at 11 and marked at the last close, 9; the cross down on the last bar can no longer fill."""
    columns = hand_made(bench, [10, 10, 10, 11, 12], [10, 9, 10, 12, 9])
    expected = bench.reference.crossover(columns, 2000.0, fast=1, slow=2)
    assert expected.price.tolist() == [11.0]
    assert expected.equity == pytest.approx(2000 - 1100 - 0.11 + 900, abs=1e-9)


def test_the_reference_of_w2_equals_a_hand_computation(bench):
    """Hold the best of two by one-bar momentum, every second bar.

    Bar 1: B leads, 1000 / 12 is 83 units, filled at 13. Bar 3: A leads, equity is 1000 - 1079.1079 + 83 * 12 = 916.8921;
    91 of A at 10 are bought at 11 and B is sold at 12; the end marks A at 12.
    """
    opened = np.array([[10, 10], [10, 10], [10, 13], [10, 12], [11, 12]], float)
    close = np.array([[10, 10], [10, 12], [9, 13], [10, 12], [12, 12]], float)
    stamps = np.arange(5)
    columns = bench.workloads.Columns(("A", "B"), BarSize.D1, stamps, stamps, stamps, opened, opened, opened, close, opened)
    expected = bench.reference.momentum(columns, 1000.0, window=1, every=2, count=1)
    assert expected.label_ns.tolist() == [2, 4, 4]
    assert expected.column.tolist() == [1, 0, 1]
    assert expected.quantity.tolist() == [83.0, 91.0, -83.0]
    cash = 1000 - 83 * 13 * 1.0001 - 91 * 11 * 1.0001 + 83 * 12 * 0.9999
    assert expected.equity == pytest.approx(cash + 91 * 12, abs=1e-9)


def test_engine_and_reference_agree_on_w1(bench, crossover):
    columns, record, expected = crossover
    assert len(expected.price) > 80
    assert bench.reference.disagreement(record, columns, expected) == ""


def test_blocks_made_beforehand_give_the_same_run(bench, crossover):
    """What is timed as the engine alone is the same work."""
    columns, record, _ = crossover
    made = bench.workloads.BlockSource.of(bench.workloads.as_source(columns), 1001)
    assert bench.workloads.run(made, bench.workloads.SmaCrossover(), 100_000.0).digest == record.digest


def test_engine_and_reference_agree_on_w2(bench):
    columns = bench.workloads.daily_walks(60, 400)
    record = bench.workloads.run(bench.workloads.as_source(columns), bench.workloads.TopMomentum(count=6), 10_000_000.0)
    expected = bench.reference.momentum(columns, 10_000_000.0, count=6)
    assert len(expected.price) > 50
    assert bench.reference.disagreement(record, columns, expected) == ""


def test_any_difference_is_found(bench, crossover):
    """A missing fill, another price by one tick, the other side, and a cent of equity."""
    columns, record, expected = crossover
    price, quantity = expected.price.copy(), expected.quantity.copy()
    price[7] += 1 / 64
    quantity[9] *= -1
    wrong = {
        f"{len(price)} fills, expected {len(price) - 1}": expected._replace(price=price[:-1]),
        "fill 7 is": expected._replace(price=price),
        "fill 9 is": expected._replace(quantity=quantity),
        "final equity is": expected._replace(equity=expected.equity + 0.01),
    }
    for message, other in wrong.items():
        assert bench.reference.disagreement(record, columns, other).startswith(message)


def test_a_strategy_that_stopped_is_a_difference(bench, crossover):
    """Otherwise a crash before the first order would be the fastest run of all."""
    columns, record, expected = crossover
    stopped = dataclasses.replace(record.strategies[0], error="ValueError: no")
    changed = dataclasses.replace(record, strategies=(stopped,))
    assert bench.reference.disagreement(changed, columns, expected) == "the strategy stopped: ValueError: no"


def test_the_walk_of_w1_has_about_eleven_thousand_crosses(bench):
    columns = bench.workloads.minute_walk()
    assert columns.close.shape == (500_000, 1)
    assert 10_800 < len(bench.reference.crossover(columns, 100_000.0).price) < 11_500
    assert columns.low.min() > 80
    assert columns.high.max() < 125
    assert (columns.volume >= 10 * bench.workloads.SHARES_PER_CROSS).all(), "the participation cap must not bind"


def small(bench, monkeypatch, **changes):
    work = dataclasses.replace(bench.run.WORKLOADS["W2"], make=lambda: bench.workloads.daily_walks(60, 200), **changes)
    monkeypatch.setattr(bench.run, "WORKLOADS", {"W2": work})
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "W2", "--runs", "1", "--json"])


def test_the_script_prints_measurements_and_machine_as_json(bench, monkeypatch, capsys):
    small(bench, monkeypatch)
    assert bench.run.main() == 0
    printed = capsys.readouterr().out
    results = json.loads(printed)
    assert results["workloads"]["W2"]["bars"] == 60 * 200
    assert results["workloads"]["W2"]["engine"]["bars_per_s"] > 0
    assert results["machine"]["libraries"]["numpy"] == np.__version__
    assert "bars/s" in bench.run.table(results)


def test_the_script_refuses_to_time_a_wrong_engine(bench, monkeypatch, capsys):
    small(bench, monkeypatch, expect=lambda columns, cash: bench.reference.momentum(columns, cash, every=20))
    assert bench.run.main() == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Not timed: engine and reference disagree. W2:" in captured.err


@pytest.mark.parametrize("name", ["2024", "a/b", "../x", "A"])
def test_result_names_are_plain(bench, monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", ["run.py", "--write", name])
    with pytest.raises(SystemExit, match="2"):
        bench.run.main()
    assert "--write must be lower-case letters" in capsys.readouterr().err


def test_the_machine_is_described_without_names_or_paths(bench):
    about = bench.machine.describe_machine()
    assert set(about) == {"cpu", "cores", "memory_gb", "os", "python", "libraries"}
    for private in (str(Path.home()), str(BENCHMARKS), sys.prefix):
        assert private not in json.dumps(about)
    assert bench.machine.library_version("no-such-library") is None


def test_the_gate_of_wide_history_passes_what_was_made_and_names_what_differs(bench, tmp_path):
    """Counts, sums and equity of the engine against the cents that the bars were made from, packed and not."""
    store = BarStore(tmp_path)
    made = bench.wide.make(store, months=2, symbols=3)
    dataset = store.open("wide")
    assert dataset.manifest.rows == made.instants * 3
    bench.wide.gate(dataset, made)
    assert pack_dataset(dataset).made == 2
    bench.wide.gate(dataset, made)
    for wrong, text in (
        ({"instants": made.instants + 1}, f"instants: {made.instants} delivered, {made.instants + 1} made"),
        ({"sums": made.sums + 1}, "the sums of the closes differ"),
        ({"last": made.last + 1}, "final equity"),
        ({"second_open": made.second_open - 1}, "final equity"),
    ):
        with pytest.raises(bench.wide.GateFailed, match=text):
            bench.wide.gate(dataset, dataclasses.replace(made, **wrong))


def test_the_probe_of_wide_history_tells_rate_and_memory(bench, tmp_path):
    store = BarStore(tmp_path)
    made = bench.wide.make(store, months=1, symbols=3)
    found = bench.wide.measured(tmp_path, 2)
    assert len(found["wall_s"]) == 2
    assert found["bars_per_s"] <= found["best_bars_per_s"] == made.instants * 3 / min(found["wall_s"])
    assert 0 < found["rss_mb"]["start"] < found["rss_mb"]["end"] <= found["peak_rss_mb"] < 1000
    assert found["rss_curve"][-1][0] == made.instants


def test_the_replay_is_timed_only_if_the_slow_one_agrees(bench, tmp_path, monkeypatch):
    """Other trades, and nothing is measured."""
    bench.replay.make_desk(tmp_path, 2, 3)
    assert bench.replay.gate(tmp_path) == ""

    class Blind(bench.replay.SlowReplay):
        def _leave(self, bar) -> None:
            self._close_if_last(bar)

    monkeypatch.setattr(bench.replay, "SlowReplay", Blind)
    assert "not the same" in bench.replay.gate(tmp_path)
