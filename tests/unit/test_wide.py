"""The wide form of a month: the same numbers to the last bit, and never others."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fairlead.core.errors import DataError, StorageError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import date_to_day, day_to_date
from fairlead.data import wide
from fairlead.data.checking import check_dataset
from fairlead.data.fingerprint import bars_sha256
from fairlead.data.packing import pack_dataset, packed_files, unpack_dataset
from fairlead.data.selection import DateRange
from fairlead.data.store import BarStore
from fairlead.data.wide import WIDE_FILE, WideMonth, check_wide, write_wide
from support_bars import bar_table

DAY = date_to_day(dt.date(2024, 1, 1))
FIELDS = ("label_ns", "known_ns", "session", "open", "high", "low", "close", "volume", "mark")
PRESENT = np.random.default_rng(4).random((9_000, 3)) > 0.2
PRESENT[:2_000, 2] = False  # C is listed later
PRESENT[5_000:5_100] = [True, False, False]  # and there are instants at which B and C have no bar
GAPPY = bar_table(9_000, ("A", "B", "C"), daily=False, first_day=DAY + 20, present=PRESENT)
ACTIONS = (CorporateAction("A", DAY + 25, ActionKind.SPLIT, 2.0), CorporateAction("B", DAY + 33, ActionKind.DIVIDEND, 0.25))


def month_of(table, tmp_path):
    digest = bars_sha256(table)
    assert write_wide(tmp_path / WIDE_FILE, table, digest)
    month = WideMonth.open(tmp_path / WIDE_FILE, digest)
    assert month is not None
    return month


def stored(tmp_path, table=GAPPY, **options):
    store = BarStore(tmp_path / "bars")
    store.write("eq", table, **{"bar_size": "1min", "calendar": "24/7", "actions": ACTIONS, **options})
    return store.open("eq")


def same_blocks(left, right):
    left, right = list(left), list(right)
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert (a.symbols, a.start, a.actions) == (b.symbols, b.start, b.actions)
        for name in FIELDS:
            mine, other = getattr(a, name), getattr(b, name)
            assert mine.dtype == other.dtype
            assert not mine.flags.writeable
            assert mine.flags.c_contiguous
            np.testing.assert_array_equal(mine, other, strict=True)
    return len(left)


def with_column(table, name, values):
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values))


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([101.25, 99.5, 0.01, 12345.67], 100.0),
        ([3.0, 0.0, 2_147_483_647.0, -5.0], 1.0),
        ([0.000001, 1.5, 2.25, 1000.0], 1e6),
        ([0.1 + 0.2, 1.0, 2.0, 3.0], None),
        ([-0.0, 1.0, 2.0, 3.0], None),
        ([2_147_483_648.0, 1.0, 2.0, 3.0], None),
        ([np.inf, 1.0, 2.0, 3.0], None),
        ([1e-300, 1e308, 5e-324, 1.0], None),
        ([np.nan, 1.0, 2.0, 3.0], 1.0),
    ],
)
def test_numbers_come_back_to_the_last_bit(tmp_path, values, scale):
    """Four bytes where they say it all, eight where they do not."""
    table = with_column(bar_table(4, daily=False), "volume", values)
    month = month_of(table, tmp_path)
    assert month.header.scales[-1] == scale
    (piece,) = month.pieces(("A",), DateRange())
    found = wide.Panel._make(
        np.empty((4, 1) if kind is float else 4, kind) for kind in [np.int64, np.int64, np.int32] + 5 * [float]
    )
    piece.fill(found, 0)
    assert found.volume.tobytes() == np.array(values).tobytes()
    assert found.close.tobytes() == table.column("close").to_numpy().tobytes()


@pytest.mark.parametrize("symbols", [None, ["A"], ["B"], ["B", "C"], ["A", "C"]])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, None),
        (day_to_date(DAY + 30), day_to_date(DAY + 36)),
        (dt.datetime(2024, 1, 24, 11, 3, tzinfo=dt.UTC), dt.datetime(2024, 2, 3, 10, 5, tzinfo=dt.UTC)),
        (day_to_date(DAY + 40), None),
    ],
)
def test_blocks_of_a_packed_dataset_are_those_of_its_parquet_files(tmp_path, symbols, start, end):
    """Names that are listed later, early ends, splits and dividends, whichever names and dates are chosen."""
    dataset = stored(tmp_path)
    source = dataset.select(symbols, start, end)
    plain = list(source.blocks(carry=50))
    done = pack_dataset(dataset)
    assert (done.made, done.kept, done.unfit) == (2, 0, ())
    assert done.size == sum(path.stat().st_size for path in packed_files(dataset)) > 0
    assert same_blocks(plain, source.blocks(carry=50)) == 1
    assert source.content_hash == dataset.select(symbols, start, end).content_hash


def test_packed_and_unpacked_months_make_one_history(tmp_path):
    """Marks, carried rows and corporate actions cross from one form into the other, both ways."""
    table = bar_table(
        30_000, ("A", "B", "C"), daily=False, first_day=DAY, present=np.random.default_rng(1).random((30_000, 3)) > 0.4
    )
    dataset = stored(tmp_path, table)
    plain = list(dataset.select().blocks(carry=2_000))
    pack_dataset(dataset)
    assert len(packed_files(dataset)) == 3
    packed_files(dataset)[1].unlink()
    assert same_blocks(plain, dataset.select().blocks(carry=2_000)) == 1


def test_dates_read_from_a_packed_dataset_are_a_part_of_the_whole(tmp_path):
    dataset = stored(tmp_path)
    pack_dataset(dataset)
    (whole,) = dataset.select().blocks(carry=0)
    (early,) = dataset.select(end=day_to_date(DAY + 31)).blocks(carry=0)
    assert 0 < len(early) < len(whole)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(early, name), getattr(whole, name)[: len(early)])


def test_what_is_packed_is_left_alone_and_what_is_damaged_is_made_again(tmp_path):
    dataset = stored(tmp_path)
    pack_dataset(dataset)
    first, second = packed_files(dataset)
    before, size = first.stat().st_mtime_ns, second.stat().st_size
    second.write_bytes(second.read_bytes()[:-1000])
    told = []
    done = pack_dataset(dataset, told.append)
    assert (done.made, done.kept, told) == (1, 1, [1, 2])
    assert (first.stat().st_mtime_ns, second.stat().st_size) == (before, size)


def test_unpacking_deletes_the_wide_files_and_nothing_else(tmp_path):
    dataset = stored(tmp_path)
    plain = list(dataset.select().blocks(carry=5))
    size = pack_dataset(dataset).size
    assert unpack_dataset(dataset) == size
    assert packed_files(dataset) == []
    assert unpack_dataset(dataset) == 0
    dataset.verify()
    same_blocks(plain, dataset.select().blocks(carry=5))


def test_every_changed_byte_is_refused_or_without_effect(tmp_path):
    """A flipped bit, wherever it is, never changes what a run reads: an error, or padding that nobody looks at."""
    table = bar_table(60, ("A", "B"), daily=False, present=np.random.default_rng(2).random((60, 2)) > 0.1)
    month = month_of(table, tmp_path)
    good = month.path.read_bytes()
    digest = month.header.content_sha256
    told = []
    for place in range(0, len(good), 7):
        month.path.write_bytes(good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :])
        try:
            check_wide(month.path, table, digest)
        except DataError as exc:
            told.append(str(exc))
    assert len(told) > len(good) / 7 / 2
    assert all(text.startswith(f"{month.path} cannot be used: ") for text in told)
    assert all(text.endswith("make it again with fairlead data pack, or delete it.") for text in told)


@pytest.mark.parametrize("kept", [0, 10, 1000, -9])
def test_a_file_that_is_cut_off_is_refused(tmp_path, kept):
    dataset = stored(tmp_path)
    pack_dataset(dataset)
    path = packed_files(dataset)[1]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"wide\.arrow cannot be used"):
        list(dataset.select().blocks(carry=5))


def test_a_sum_that_does_not_fit_stops_the_run_before_the_bars_are_seen(tmp_path):
    dataset = stored(tmp_path)
    pack_dataset(dataset)
    path = packed_files(dataset)[0]
    content = bytearray(path.read_bytes())
    place = content.find(GAPPY.column("close").to_numpy()[0].tobytes())
    assert place > 0
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="batch 0 is not what was written"):
        next(dataset.select().blocks(carry=5))


def test_a_wide_file_of_other_bars_is_not_read(tmp_path):
    dataset = stored(tmp_path)
    plain = list(dataset.select().blocks(carry=5))
    other = bar_table(9_000, ("A", "B", "C"), daily=False, first_day=DAY + 20, seed=8)
    for file in dataset.manifest.files:
        write_wide(dataset.wide_path(file), other, bars_sha256(other))
    same_blocks(plain, dataset.select().blocks(carry=5))
    with pytest.raises(DataError, match="it was made from other bars"):
        list(check_dataset(dataset))
    assert pack_dataset(dataset).made == 2
    same_blocks(plain, dataset.select().blocks(carry=5))


def test_check_compares_the_wide_form_number_by_number(tmp_path):
    table = bar_table(40, ("A", "B"), daily=False)
    month = month_of(table, tmp_path)
    check_wide(month.path, table, month.header.content_sha256)
    raised = with_column(table, "high", pc.add(table.column("high"), 0.25).combine_chunks())
    with pytest.raises(DataError, match="its bars are not those of the month"):
        check_wide(month.path, raised, month.header.content_sha256)
    with pytest.raises(DataError, match="it is not whole"):
        check_wide(month.path, bar_table(41, ("A", "B"), daily=False), month.header.content_sha256)


@pytest.mark.parametrize("change", ["session", "label", "close"])
def test_a_month_that_does_not_fit_the_form_is_read_as_it_is(tmp_path, change):
    """Two symbols with one closing instant and different stamps, or a bar whose close is NaN."""
    table = bar_table(6, ("A", "B"), first_day=DAY)
    values = table.column(change).to_numpy().copy()
    values[-1] = np.nan if change == "close" else values[-1] + 1
    changed = with_column(table, change, pa.array(values).cast(table.schema.field(change).type))
    dataset = stored(tmp_path, changed, bar_size="1d", calendar="XNYS", actions=())
    plain = list(dataset.select().blocks(carry=2))
    done = pack_dataset(dataset)
    assert (done.made, done.unfit) == (0, ("year=2024/month=01/bars.parquet",))
    same_blocks(plain, dataset.select().blocks(carry=2))


def test_a_packed_dataset_stays_packed_when_months_are_added(tmp_path):
    table = bar_table(60, ("A", "B"), first_day=DAY)
    dataset = stored(tmp_path, table.slice(0, 70), bar_size="1d", calendar="XNYS")
    pack_dataset(dataset)
    january = packed_files(dataset)[0].read_bytes()
    inode = (dataset.folder / dataset.manifest.files[0].path).stat().st_ino
    grown = stored(tmp_path, table, bar_size="1d", calendar="XNYS")
    assert len(packed_files(grown)) == len(grown.manifest.files) == 2
    assert packed_files(grown)[0].read_bytes() == january
    assert (grown.folder / grown.manifest.files[0].path).stat().st_ino == inode, "a month that stays is not copied"
    assert len(list(check_dataset(grown))) == 4
    (block,) = grown.select().blocks(carry=0)
    np.testing.assert_array_equal(block.close.reshape(-1), table.column("close").to_numpy())


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path):
    table = bar_table(4, ("A",), daily=False)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        write_wide(tmp_path / "taken" / WIDE_FILE, table, bars_sha256(table))
