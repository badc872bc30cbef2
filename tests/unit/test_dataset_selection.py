"""Selections of a dataset: symbols, dates, hashes, and bounded memory."""

from __future__ import annotations

import datetime as dt
import pickle
import shutil

import numpy as np
import pytest

from fairlead.core.errors import ConfigurationError, DataError, DataNotFound, StorageError, UnknownName
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import date_to_day, day_to_date
from fairlead.data.memory import MemorySource
from fairlead.data.store import BarStore
from support_bars import bar_table

DAY = date_to_day(dt.date(2024, 1, 1))
ACTIONS = (
    CorporateAction("A", DAY + 5, ActionKind.SPLIT, 2.0),
    CorporateAction("B", DAY + 40, ActionKind.DIVIDEND, 0.25),
    CorporateAction("A", DAY + 70, ActionKind.SPLIT, 2.0),
)
PRESENT = np.ones((100, 2), bool)
PRESENT[:50, 1] = False
TABLE = bar_table(100, ("A", "B"), first_day=DAY, present=PRESENT)


@pytest.fixture(params=["stored", "memory"])
def history(request, tmp_path):
    """The same 100 days, once from disk and once in memory; B is listed on day 50."""
    if request.param == "memory":
        return MemorySource.from_table(TABLE, bar_size="1d", actions=ACTIONS, name="eq")
    store = BarStore(tmp_path)
    store.write("eq", TABLE, bar_size="1d", calendar="XNYS", actions=ACTIONS)
    return store.open("eq")


def sessions(source):
    return np.concatenate([b.session[b.start :] for b in source.blocks(carry=4)]) - DAY


def test_all_of_it(history):
    source = history.select()
    assert (source.name, source.bar_size, source.calendar, source.is_synthetic) == ("eq", "1d", "XNYS", False)
    assert source.symbols == ("A", "B")
    assert source.expected_rows == 100
    assert source.actions == ACTIONS
    (block,) = source.blocks(carry=0)
    assert [(e.row, e.column) for e in block.actions] == [(5, 0), (40, 1), (70, 0)]
    assert np.isnan(block.close[:50, 1]).all()
    assert not np.isnan(block.close[50:]).any()


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (10, 20, 10, 20),
        (None, 35, 0, 35),
        (35, None, 35, 99),
        (99, 400, 99, 99),
        (31, 31, 31, 31),
    ],
)
def test_dates_are_inclusive(history, start, end, first, last):
    start, end = (None if day is None else day_to_date(DAY + day) for day in (start, end))
    assert sessions(history.select(None, start, end)).tolist() == list(range(first, last + 1))


def test_instants_bound_labels(history):
    start = dt.datetime(2024, 1, 11, tzinfo=dt.UTC)
    end = dt.datetime(2024, 1, 20, 23, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    assert sessions(history.select(start=start, end=end)).tolist() == list(range(10, 21))
    late = start + dt.timedelta(microseconds=1)
    assert sessions(history.select(start=late, end=end))[0] == 11


def test_symbols_are_sorted_and_unknown_ones_named(history):
    assert history.select(["B", "A", "B"]).symbols == ("A", "B")
    assert history.select([]).symbols == ("A", "B")
    only = history.select(["B"])
    assert sessions(only).tolist() == list(range(50, 100))
    assert only.actions == (ACTIONS[1],)
    with pytest.raises(UnknownName, match=r"no symbol in dataset 'eq' named 'b'; did you mean 'B'\?"):
        history.select(["b"])


def test_a_symbol_without_a_bar_in_the_dates_keeps_its_column(history):
    source = history.select(["A", "B"], end=day_to_date(DAY + 9))
    (block,) = source.blocks(carry=0)
    assert block.symbols == ("A", "B")
    assert np.isnan(block.mark[:, 1]).all()
    assert source.actions == (ACTIONS[0],)


def test_dates_without_bars_name_the_span_that_exists(history):
    with pytest.raises(DataNotFound, match=r"no bars of .* from 2025-01-01 to the end\. It .* 2024-01-01 to 2024-04-09"):
        history.select(start=dt.date(2025, 1, 1))
    with pytest.raises(DataNotFound, match="'eq' has no bars of B from the beginning to 2024-02-19"):
        history.select(["B"], end=day_to_date(DAY + 49))


def test_bad_bounds_are_refused(history):
    with pytest.raises(ConfigurationError, match=r"'end' must not be before start \(2024-02-02\), was '2024-02-01'"):
        history.select(start=dt.date(2024, 2, 2), end=dt.date(2024, 2, 1))
    with pytest.raises(ConfigurationError, match="'start' must be a date or carry a time zone, was '2024-01-01T00:00:00'"):
        history.select(start=dt.datetime(2024, 1, 1))  # noqa: DTZ001  the missing zone is the point


def test_a_gap_inside_the_span_is_found_when_it_streams(tmp_path):
    store = BarStore(tmp_path)
    for first in (0, 90):
        store.write("eq", TABLE.filter(session_between(first, first + 9)), bar_size="1d", calendar="XNYS")
    source = store.open("eq").select(start=day_to_date(DAY + 40), end=day_to_date(DAY + 50))
    with pytest.raises(DataNotFound, match=r"dataset 'eq' has no bars of the 2 selected symbols from 2024-02-10 to 2024-02-20"):
        list(source.blocks(carry=0))


def session_between(first, last):
    days = TABLE.column("session").to_numpy().astype(np.int32) - DAY
    return (days >= first) & (days <= last)


def test_files_can_be_carried_to_where_they_are_not(tmp_path):
    """The same bars and hash, pickled too, after the folder is gone; what is too large is not carried."""
    store = BarStore(tmp_path / "store")
    store.write("eq", TABLE, bar_size="1d", calendar="XNYS", actions=ACTIONS)
    source = store.open("eq").select(["A"], dt.date(2024, 2, 1), dt.date(2024, 3, 1))
    expected = [block.close.tobytes() for block in source.blocks(carry=3)]
    size = sum(path.stat().st_size for path in source.folder.rglob("*.parquet"))
    assert source.carried(size - 1) is None
    carried = pickle.loads(pickle.dumps(source.carried(size)))
    shutil.rmtree(tmp_path / "store")
    assert [block.close.tobytes() for block in carried.blocks(carry=3)] == expected
    assert [block.session[0] for block in carried.whole().blocks(carry=0)] == [DAY]
    assert carried.content_hash == source.content_hash
    with pytest.raises(StorageError, match=r"cannot read .*eq.*\. Import the data again"):
        source.carried(size)


def test_the_hash_tells_selections_data_and_actions_apart(tmp_path):
    def stored(folder, table=TABLE, actions=ACTIONS):
        store = BarStore(tmp_path / folder)
        store.write("eq", table, bar_size="1d", calendar="XNYS", actions=actions)
        return store.open("eq")

    base = stored("a")
    assert base.select().content_hash == stored("b").select().content_hash
    other = bar_table(100, ("A", "B"), first_day=DAY, present=PRESENT, seed=9)
    hashes = [
        base.select().content_hash,
        base.select(["A"]).content_hash,
        base.select(end=dt.date(2024, 2, 1)).content_hash,
        base.select(end=dt.date(2024, 2, 2)).content_hash,
        stored("c", other).select().content_hash,
        stored("d", actions=ACTIONS[:1]).select().content_hash,
    ]
    assert len(set(hashes)) == len(hashes)
    assert all(len(digest) == 64 for digest in hashes)


def test_the_hash_of_a_table_in_memory_covers_data_symbols_and_actions():
    def digest(table=TABLE, **options):
        return MemorySource.from_table(table, **{"bar_size": "1d", "actions": ACTIONS, **options}).content_hash

    assert digest() == digest(TABLE.combine_chunks()) == digest(name="other name")
    shifted = bar_table(100, ("A", "B"), first_day=DAY + 1, present=PRESENT)
    renamed = bar_table(100, ("A", "C"), first_day=DAY, present=PRESENT)
    changed = [digest(actions=()), digest(TABLE.slice(1)), digest(shifted), digest(renamed), digest(calendar="XLON")]
    assert len({digest(), *changed}) == 6


def test_a_long_dataset_streams_in_pieces_that_are_read_when_they_are_needed(tmp_path):
    """No piece is larger than one batch, and months that are not yet due are not touched: the last one may even be missing."""
    symbols = tuple("ABCDE")
    store = BarStore(tmp_path)
    manifest = store.write(
        "long", bar_table(100_000, symbols, daily=False, first_day=DAY), bar_size="1min", calendar="24/7", synthetic=True
    )
    assert len(manifest.files) == 9
    source = store.open("long").select()
    assert source.is_synthetic
    batches = [batch.num_rows for batch in source.batches()]
    assert sum(batches) == 500_000
    assert max(batches) <= 65_536
    (store.open("long").folder / manifest.files[-1].path).unlink()
    stream = source.blocks(carry=100)
    first = next(stream)
    assert first.close.size == 250_000
    with pytest.raises(DataError, match=r"month=09/bars.parquet is missing"):
        list(stream)


def test_blocks_from_disk_equal_blocks_from_memory(tmp_path):
    table = bar_table(9_000, ("A", "B"), daily=False, first_day=DAY, present=np.random.default_rng(5).random((9_000, 2)) > 0.2)
    store = BarStore(tmp_path)
    store.write("eq", table, bar_size="1min", calendar="24/7", actions=ACTIONS[:2])
    stored = list(store.open("eq").select().blocks(carry=10))
    memory = list(MemorySource.from_table(table, bar_size="1min", actions=ACTIONS[:2]).blocks(carry=10))
    assert len(stored) == len(memory) == 1
    for name in ("label_ns", "known_ns", "session", "open", "high", "low", "close", "volume", "mark"):
        np.testing.assert_array_equal(getattr(stored[0], name), getattr(memory[0], name))
    assert stored[0].actions == memory[0].actions
