"""Measure long and wide history: `python benchmarks/wide.py [--months N] [--symbols N] [--folder DIR] [--write NAME]`.

One-minute bars of many symbols go into a dataset, are packed, and stream through the engine to a strategy that reads every
slice. It is timed only after counts, sums and the equity of a holder agree with the numbers that the bars were made from; if
they do not, the script says so and exits 1. A month of 500 symbols takes about 135 MB of disk, deleted at the end.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import Dataset
from fairlead.data.packing import pack_dataset, packed_files, unpack_dataset
from fairlead.data.store import BarStore
from fairlead.data.table import BAR_SCHEMA
from fairlead.engine.record import RunRecord
from fairlead.engine.session import Allocation, SessionPlan, run_session
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk import BarSlice, Context, Intents, OrderIntent, Strategy
from machine import describe_machine

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"[a-z][a-z0-9_\-]*")
CALENDAR = "XNYS"
FIRST = dt.date(2020, 1, 1)
CASH = 1e7
TARGET_BARS_PER_S = 20e6
TARGET_RSS_MB = 2000.0
TARGET_GROWTH = 0.02
SAMPLES = 100


class ReadCloses(Strategy):
    """Counts the slices and adds up every symbol's closes."""

    event_type = BarSlice

    def on_start(self, context: Context) -> None:
        """Begin at nothing."""
        self.slices = 0
        self.sums = np.zeros(len(context.symbols))

    def on_market_event(self, event: BarSlice, context: Context) -> None:  # noqa: ARG002  the hook's signature
        """Read one column."""
        self.slices += 1
        self.sums += event.close

    def generate_orders(self, context: Context) -> Intents:  # noqa: ARG002  the hook's signature
        """Want nothing."""
        return ()


class HoldOne(ReadCloses):
    """Buys one share of everything at the first slice, and keeps it."""

    def generate_orders(self, context: Context) -> Intents:
        """Buy once."""
        return [OrderIntent.market(symbol, 1.0) for symbol in context.symbols] if self.slices == 1 else ()


@dataclass
class Made:
    """What the bars were made from, month by month, in cents: the reference that knows nothing of the package.

    Attributes
    ----------
    sums, last, second_open : int64 arrays of shape (k,)
        Sum of all closes, the last close, and the opening price of the second minute.
    """

    instants: int
    sums: np.ndarray
    last: np.ndarray
    second_open: np.ndarray


class GateFailed(Exception):
    """The engine and the reference disagree, so there is nothing to time."""


def months_from(first: dt.date, count: int) -> Iterator[tuple[dt.date, dt.date]]:
    """Yield the first and the last day of `count` months."""
    for i in range(first.month - 1, first.month - 1 + count):
        begin, after = (dt.date(first.year + j // 12, j % 12 + 1, 1) for j in (i, i + 1))
        yield begin, after - dt.timedelta(days=1)


def make(store: BarStore, months: int, symbols: int) -> Made:
    """Write random walks in whole cents, a bar of every symbol at every minute, and return what they add up to."""
    calendar, rng = ExchangeCalendar.get(CALENDAR), np.random.default_rng(2001)
    names = pa.array([f"S{i:04d}" for i in range(symbols)])
    level = rng.integers(3_000, 30_000, symbols)
    made = Made(0, np.zeros(symbols, np.int64), level, level)
    for begin, end in months_from(FIRST, months):
        label = calendar.labels(date_to_day(begin), date_to_day(end), BarSize.M1)
        known, session = calendar.closing_instants(label, BarSize.M1)
        shape = (len(label), symbols)
        close = np.abs(made.last + np.cumsum(rng.integers(-3, 4, shape), axis=0) - 500) + 500
        opened = np.vstack([made.last, close[:-1]])
        high = np.maximum(opened, close) + rng.integers(0, 4, shape)
        low = np.minimum(opened, close) - rng.integers(0, 4, shape)
        prices = {"open": opened, "high": high, "low": low, "close": close}
        stamps = {"known": known, "label": label, "session": session}
        columns = {
            **{name: pa.array(np.repeat(values, symbols)).view(BAR_SCHEMA.field(name).type) for name, values in stamps.items()},
            "symbol": names.take(pa.array(np.tile(np.arange(symbols), len(label)))),
            **{name: pa.array((cents / 100.0).ravel()) for name, cents in prices.items()},
            "volume": pa.array(rng.integers(1_000, 5_000, shape).astype(float).ravel()),
        }
        table = pa.table({name: columns[name] for name in BAR_SCHEMA.names}).cast(BAR_SCHEMA)
        store.write("wide", table, bar_size="1min", calendar=CALENDAR, synthetic=True, seed=2001, source="benchmark")
        second = opened[1] if made.instants == 0 else made.second_open
        made = Made(made.instants + len(label), made.sums + close.sum(axis=0), close[-1], second)
    return made


def run(dataset: Dataset, strategy: Strategy, progress: Callable[[int], None] | None = None) -> RunRecord:
    """Run a strategy over the whole dataset, without costs."""
    free = ExecutionSettings(
        slippage=SlippageSettings(model="none"),
        commission=CommissionSettings(model="none"),
    )
    allocation = Allocation(name="reader", strategy=strategy, capital=CASH)
    return run_session(SessionPlan(run_id="wide", allocations=(allocation,), source=dataset.select(), execution=free), progress)


def gate(dataset: Dataset, made: Made) -> None:
    """Compare what the engine delivered with what was made.

    Raises
    ------
    GateFailed
        Naming what differs.
    """
    strategy = HoldOne()
    record = run(dataset, strategy)
    equity = CASH + (made.last - made.second_open).sum() / 100.0
    for what, found, expected in (
        ("instants", strategy.slices, made.instants),
        ("bars", record.bars, made.instants * len(made.sums)),
        ("fills", len(record.fills), len(made.sums)),
    ):
        if found != expected:
            raise GateFailed(f"{what}: {found} delivered, {expected} made")
    if not np.allclose(strategy.sums, made.sums / 100.0, rtol=1e-11, atol=0.0):
        raise GateFailed("the sums of the closes differ")
    found = float(record.account.equity[-1])
    if abs(found - equity) > 1e-6:
        raise GateFailed(f"final equity: {found} in the engine, {equity} by hand")


def resident_mb() -> float:
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def probe(folder: Path) -> dict[str, Any]:
    """Run once in this process, and return times and the curve of resident memory by instants done."""
    dataset = BarStore(folder).open("wide")
    curve: list[tuple[int, float]] = []
    before = resident_mb()
    began, used = time.perf_counter(), time.process_time()
    record = run(dataset, ReadCloses(), lambda done: curve.append((done, resident_mb())))
    took = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - used}
    half = next(mb for done, mb in curve if done * 2 >= curve[-1][0])
    later = [mb for done, mb in curve if done * 2 >= curve[-1][0]]
    thin = curve[:: max(1, len(curve) // SAMPLES)]
    return {
        **took,
        "bars": record.bars,
        "rss_mb": {"start": before, "half": half, "end": curve[-1][1], "peak": max(mb for _, mb in curve)},
        "growth_in_last_half": max(later) / half - 1.0,
        "rss_curve": [[done, round(mb, 1)] for done, mb in thin],
    }


def drop_from_cache(dataset: Dataset) -> None:
    """Ask the operating system to forget the packed files, so that the next run reads the disk."""
    for path in packed_files(dataset):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def measured(folder: Path, runs: int, prepare: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return the rates of `runs` runs, each in a process of its own, and the memory of the last."""
    found = []
    for _ in range(runs):
        prepare()
        answer = subprocess.run(
            [sys.executable, str(HERE / "wide.py"), "--probe", str(folder)], check=True, capture_output=True, text=True
        )
        found.append(json.loads(answer.stdout))
    bars, wall, cpu = found[-1]["bars"], [one["wall_s"] for one in found], [one["cpu_s"] for one in found]
    return {
        "bars_per_s": bars / statistics.median(wall),
        "best_bars_per_s": bars / min(wall),
        "bars_per_cpu_s": bars / statistics.median(cpu),
        "wall_s": wall,
        "cpu_s": cpu,
        "growth_in_last_half": max(one["growth_in_last_half"] for one in found),
        "peak_rss_mb": max(one["rss_mb"]["peak"] for one in found),
        **{name: found[-1][name] for name in ("rss_mb", "rss_curve")},
    }


def measure(folder: Path, months: int, symbols: int, runs: int) -> dict[str, Any]:
    """Make, pack, check and time.

    Raises
    ------
    GateFailed
        If the engine and the reference disagree, on the packed bars or on the Parquet files.
    """
    store = BarStore(folder)
    began = time.perf_counter()
    made = make(store, months, symbols)
    written = time.perf_counter()
    dataset = store.open("wide")
    parquet = sum((dataset.folder / file.path).stat().st_size for file in dataset.manifest.files)
    gate(dataset, made)
    plain = measured(folder, 1)
    began_packing = time.perf_counter()
    packed = pack_dataset(dataset).size
    packing = time.perf_counter() - began_packing
    gate(dataset, made)
    warm = measured(folder, runs)
    cold = measured(folder, runs, lambda: drop_from_cache(dataset)) if hasattr(os, "posix_fadvise") else None
    unpack_dataset(dataset)
    return {
        "what": f"one-minute bars of {symbols} symbols over {months} months, a bar in every cell; a strategy reads every close",
        "months": months,
        "symbols": symbols,
        "instants": made.instants,
        "bars": made.instants * symbols,
        "disk_mb": {"parquet": parquet / 1e6, "packed": packed / 1e6},
        "make_s": written - began,
        "pack_s": packing,
        "packed": warm,
        "packed_not_in_cache": cold,
        "parquet": plain,
        "targets": {"bars_per_s": TARGET_BARS_PER_S, "peak_rss_mb": TARGET_RSS_MB, "growth_in_last_half": TARGET_GROWTH},
    }


def table(results: dict[str, Any]) -> str:
    """Return the results as text."""
    about, work = results["machine"], results["wide"]
    lines = [
        f"{about['cpu']}, {about['cores']} core(s), {about['memory_gb']} GiB, {about['os']}",
        f"{work['bars']:,} {work['what']}; counts, sums and equity agree with the reference.",
        f"Parquet {work['disk_mb']['parquet']:,.0f} MB, packed {work['disk_mb']['packed']:,.0f} MB in {work['pack_s']:.0f} s.",
        "",
        f"{'':36}{'bars/s':>14}{'best':>14}{'per cpu s':>14}{'MB start':>10}{'half':>7}{'end':>7}{'peak':>7}{'growth':>9}",
    ]
    rows = {"packed": "packed", "packed_not_in_cache": "packed, read from the disk", "parquet": "Parquet files"}
    for key, name in rows.items():
        one = work[key]
        if one is None:
            continue
        rates = "".join(f"{one[rate]:14,.0f}" for rate in ("bars_per_s", "best_bars_per_s", "bars_per_cpu_s"))
        memory = (
            f"{one['rss_mb']['start']:10.0f}{one['rss_mb']['half']:7.0f}{one['rss_mb']['end']:7.0f}{one['peak_rss_mb']:7.0f}"
        )
        lines.append(f"{name:36}{rates}{memory}{one['growth_in_last_half']:9.2%}")
    lines.append(f"{'target':36}{TARGET_BARS_PER_S:14,.0f}{'':52}{TARGET_RSS_MB:7.0f}{TARGET_GROWTH:9.2%}")
    return "\n".join(lines)


def main() -> int:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure long and wide history on this machine.")
    parser.add_argument("--months", type=int, default=3, help="months of bars (default 3; 60 take about 8 GB of disk)")
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each measurement (default 3)")
    parser.add_argument("--folder", type=Path, help="where to make the data (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    parser.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        print(json.dumps(probe(options.probe)))
        return 0
    for name in ("months", "symbols", "runs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, was {getattr(options, name)}")
    if options.write and not NAME.fullmatch(options.write):
        parser.error(f"--write must be lower-case letters, digits, '-' and '_', starting with a letter, was {options.write!r}")
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": describe_machine(), "runs": options.runs}
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="wide-") as folder:
        try:
            results["wide"] = measure(Path(folder), options.months, options.symbols, options.runs)
        except GateFailed as failure:
            print(f"Not timed: engine and reference disagree. {failure}", file=sys.stderr)
            return 1
    text = json.dumps(results, indent=2, sort_keys=True)
    print(text if options.json else table(results))
    if options.write:
        target = HERE / "results" / f"{options.write}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
