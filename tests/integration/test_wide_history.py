"""Long and wide history: the same run from either form of a dataset, equal to plain numpy, at flat memory."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import fairlead
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.packing import pack_dataset
from fairlead.data.store import BarStore
from fairlead.data.synthetic import SyntheticSettings, generate_bar_batches
from fairlead.sdk import BarSlice, OrderIntent, Strategy
from support_bars import bar_table

START, END = dt.date(2024, 11, 27), dt.date(2024, 12, 6)  # with the early close of 29 November
SPLIT_DAY = dt.date(2024, 12, 3)
CASH = 100_000.0


class HoldOne(Strategy):
    """One share of everything from the first slice on, and a sum of all closes."""

    event_type = BarSlice

    def on_start(self, context):
        self.slices = 0
        self.counts = np.zeros(len(context.symbols), int)
        self.sums = np.zeros(len(context.symbols))

    def on_market_event(self, event, context):
        self.slices += 1
        self.counts += event.present
        self.sums += np.where(event.present, event.close, 0.0)

    def generate_orders(self, context):
        return [OrderIntent.market(symbol, 1.0) for symbol in context.symbols] if self.slices == 1 else ()


@pytest.fixture(scope="module")
def table():
    """Minutes of three names in two months, one bar in eight missing, but none of the first two instants."""
    settings = SyntheticSettings(symbols=("AAA", "BBB", "CCC"), bar_size="1min", start=START, end=END, seed=11)
    whole = pa.concat_tables(generate_bar_batches(settings, ExchangeCalendar.get("XNYS")))
    kept = np.random.default_rng(3).random(whole.num_rows) > 0.125
    kept[:6] = True
    return whole.filter(pa.array(kept))


def dataset_of(folder, table, *, packed):
    split = CorporateAction("BBB", date_to_day(SPLIT_DAY), ActionKind.SPLIT, 2.0)
    store = BarStore(folder)
    store.write("wide", table, bar_size="1min", calendar="XNYS", actions=[split], synthetic=True, seed=11)
    dataset = store.open("wide")
    if packed:
        assert pack_dataset(dataset).made == 2
    return dataset


@pytest.mark.parametrize("packed", [False, True])
def test_a_run_equals_what_numpy_says_of_the_table(tmp_path, table, packed):
    """Counts, sums and the equity of a holder through gaps, an early close and a split, from a table that is read by itself."""
    strategy = HoldOne()
    source = dataset_of(tmp_path, table, packed=packed).select()
    result = fairlead.backtest(strategy, source, cash=CASH, commission=0, slippage=0)

    rows = table.to_pandas()
    by_symbol = rows.groupby("symbol", observed=True)
    assert strategy.slices == rows["known"].nunique() == len(result.record.account.ts_ns)
    assert strategy.counts.tolist() == by_symbol.size().tolist()
    np.testing.assert_allclose(strategy.sums, by_symbol["close"].sum(), rtol=1e-12)
    assert result.record.bars == len(rows)
    shares = np.array([1.0, 2.0, 1.0])
    paid = by_symbol["open"].nth(1).sum()
    expected = CASH - paid + (shares * by_symbol["close"].last()).sum()
    assert result.record.account.equity[-1] == pytest.approx(expected, abs=1e-8)


def test_both_forms_give_the_same_run(tmp_path, table):
    runs = [
        fairlead.backtest(HoldOne(), dataset_of(tmp_path / str(packed), table, packed=packed).select(), cash=CASH).record
        for packed in (False, True)
    ]
    assert runs[0].digest == runs[1].digest
    assert len(runs[0].fills) == 3
    np.testing.assert_array_equal(runs[0].account.equity, runs[1].account.equity)
    np.testing.assert_array_equal(runs[0].account.session, runs[1].account.session)
    np.testing.assert_array_equal(runs[0].prices.mark, runs[1].prices.mark)


def test_a_name_of_a_packed_dataset_is_all_that_a_backtest_needs(tmp_path, table):
    """A dataset that is packed is read as such by whoever names it."""
    dataset = dataset_of(tmp_path / "data" / "bars", table, packed=True)
    for file in dataset.manifest.files:
        (dataset.folder / file.path).unlink()  # the Parquet files are not touched by a run
    result = fairlead.backtest(HoldOne(), "wide", cash=CASH, workspace=tmp_path)
    assert result.record.bars == table.num_rows


FLAT = """
import json, os, sys, tracemalloc
from pathlib import Path
import pyarrow as pa
from fairlead.data import blocks, windows
from fairlead.data.store import BarStore
from fairlead.engine.session import Allocation, SessionPlan, run_session
from fairlead.sdk import BarSlice, Strategy

blocks.CELLS_PER_BLOCK = 5_000  # many small blocks in little history
windows.BUFFER_CELLS = 60_000

class Read(Strategy):
    event_type = BarSlice
    def on_market_event(self, event, context):
        self.last = event.close
    def generate_orders(self, context):
        return ()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

source = BarStore(sys.argv[1]).open("flat").select()
seen = []
def progress(done):
    seen.append((done, tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory(), resident()))
tracemalloc.start()
plan = SessionPlan(run_id="flat", allocations=(Allocation(name="r", strategy=Read(), capital=1e6),), source=source)
bars = run_session(plan, progress).bars
half = [entry for entry in seen if entry[0] * 2 <= seen[-1][0]]
print(json.dumps({"bars": bars, "blocks": len(seen), "half": half[-1], "end": seen[-1]}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_memory_is_bounded_by_the_chunk_and_not_by_the_span(tmp_path, packed, gaps):
    """60 MB of history pass through a process whose peak does not rise after the first half of it."""
    width, minutes = 20, 60_000
    rng = np.random.default_rng(5)
    present = rng.random((minutes, width)) > 0.1 if gaps else np.ones((minutes, width), bool)
    store = BarStore(tmp_path)
    names = tuple(f"S{i:02d}" for i in range(width))
    table = bar_table(minutes, names, daily=False, first_day=19_800, present=present)
    store.write("flat", table, bar_size="1min", calendar="24/7")
    if packed:
        pack_dataset(store.open("flat"))
    script = tmp_path / "flat.py"
    script.write_text(FLAT)
    answer = subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True, text=True)
    told = json.loads(answer.stdout)
    assert told["bars"] == table.num_rows
    assert told["blocks"] > 200
    (_, peak_half, rss_half), (_, peak_end, rss_end) = told["half"], told["end"]
    # The second half alone, were it kept, would take half of this; what a run records of it is next to nothing.
    history = table.num_rows * 48
    assert peak_end - peak_half < history / 50
    assert rss_end - rss_half < history / (20 if packed else 3)  # Arrow's threads come and go while Parquet is decoded
