"""The bar store: atomic, idempotent, merging, and refusing what contradicts."""

from __future__ import annotations

import datetime as dt
import errno
import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fairlead.contracts import files
from fairlead.contracts.manifests import BarManifest
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, StorageError, UnknownName
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.store import BarStore
from support_bars import bar_table

DAY = date_to_day(dt.date(2024, 1, 1))
SPLIT = CorporateAction("A", DAY + 5, ActionKind.SPLIT, 2.0)
DIVIDEND = CorporateAction("B", DAY + 40, ActionKind.DIVIDEND, 0.25)


def table(first: int, count: int, symbols=("A", "B")) -> pa.Table:
    """Bars for `count` days from the given day of 2024, cut from one fixed history."""
    whole = bar_table(200, symbols, first_day=DAY)
    return whole.slice(first * len(symbols), count * len(symbols))


def write(store: BarStore, bars: pa.Table, **options) -> BarManifest:
    return store.write("eq", bars, **{"bar_size": "1d", "calendar": "XNYS", **options})


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def closes(dataset, **selection):
    return np.concatenate([b.close[b.start :] for b in dataset.select(**selection).blocks(carry=3)])


@pytest.fixture
def store(tmp_path) -> BarStore:
    return BarStore(tmp_path / "bars")


def test_layout_and_manifest(store):
    manifest = write(store, table(0, 60), actions=[DIVIDEND, SPLIT], source="made for a test", synthetic=True, seed=7)
    folder = store.root / "eq" / "1d"
    assert sorted(snapshot(folder)) == [
        "actions.json",
        "manifest.json",
        "year=2024/month=01/bars.parquet",
        "year=2024/month=02/bars.parquet",
    ]
    assert manifest.rows == 120
    assert [(f.rows, f.instants, f.first_session, f.last_session) for f in manifest.files] == [
        (62, 31, dt.date(2024, 1, 1), dt.date(2024, 1, 31)),
        (58, 29, dt.date(2024, 2, 1), dt.date(2024, 2, 29)),
    ]
    assert [f.sha256 for f in manifest.files] == [files.sha256_file(folder / f.path) for f in manifest.files]
    assert [(s.symbol, s.rows, s.last_session) for s in manifest.symbols] == [
        ("A", 60, dt.date(2024, 2, 29)),
        ("B", 60, dt.date(2024, 2, 29)),
    ]
    assert (manifest.synthetic, manifest.seed, manifest.source) == (True, 7, "made for a test")
    assert (manifest.timezone, manifest.adjustment, manifest.actions) == ("America/New_York", "none", 2)
    assert manifest.first_label == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert manifest.last_label == dt.datetime(2024, 2, 29, tzinfo=dt.UTC)
    opened = store.open("eq", verify=True)
    assert opened.manifest == manifest
    assert opened.actions == (SPLIT, DIVIDEND)
    assert "content_sha256" in BarManifest.model_json_schema()["properties"]
    assert store.datasets() == [manifest]


def test_what_is_read_is_what_was_written(store):
    bars = table(0, 100)
    write(store, bars)
    expected = np.reshape(bars.column("close").to_pylist(), (100, 2))
    np.testing.assert_array_equal(closes(store.open("eq")), expected)


def test_writing_the_same_again_touches_no_file(store):
    bars = table(0, 60)
    refused = [{"row": 3, "reason": "high below low"}]
    first = write(store, bars, actions=[SPLIT], quarantined=refused, source="a.csv")
    before = snapshot(store.root)
    assert write(store, bars, actions=[SPLIT], quarantined=refused, source="b.csv") == first
    assert write(store, bars.slice(10, 20)) == first
    assert snapshot(store.root) == before


def test_the_same_data_gives_the_same_bytes_in_another_folder(store, tmp_path):
    other = BarStore(tmp_path / "other")
    for s in (store, other):
        write(s, table(0, 60), actions=[SPLIT], quarantined=[{"row": 3}])
    strip = {name: content for name, (content, _, _) in snapshot(store.root).items()}
    assert strip == {name: content for name, (content, _, _) in snapshot(other.root).items()}


def test_a_merge_adds_months_rows_symbols_and_actions(store):
    """Parts written in any order end in the dataset that one write of everything gives."""
    write(store, table(20, 30), actions=[SPLIT], source="part one")
    kept = snapshot(store.root)["eq/1d/year=2024/month=02/bars.parquet"][0]
    merged = write(store, table(0, 25), actions=[DIVIDEND], source="part two")
    assert snapshot(store.root)["eq/1d/year=2024/month=02/bars.parquet"][0] == kept
    merged = write(store, table(45, 55))
    whole = BarStore(store.root.parent / "whole").write(
        "eq", table(0, 100), bar_size="1d", calendar="XNYS", actions=[SPLIT, DIVIDEND], source="part one; part two"
    )
    assert merged == whole
    assert merged.content_sha256 == whole.content_sha256
    store.open("eq", verify=True)
    np.testing.assert_array_equal(closes(store.open("eq")), np.reshape(table(0, 100).column("close").to_pylist(), (100, 2)))


def test_a_new_symbol_joins_the_months_that_exist(store):
    both = table(0, 40)
    for symbol in ("A", "B"):
        write(store, both.filter(pc.equal(both.column("symbol"), symbol)))
    assert [(s.symbol, s.rows) for s in store.open("eq").manifest.symbols] == [("A", 40), ("B", 40)]
    np.testing.assert_array_equal(closes(store.open("eq")), np.reshape(both.column("close").to_pylist(), (40, 2)))


def changed(bars: pa.Table, row: int, name: str, value: float) -> pa.Table:
    values = bars.column(name).to_pylist()
    values[row] = value
    return bars.set_column(bars.schema.get_field_index(name), bars.schema.field(name), pa.array(values, pa.float64()))


def test_a_bar_with_other_values_is_refused_and_nothing_changes(store):
    write(store, table(0, 40))
    before = snapshot(store.root)
    with pytest.raises(ContractError, match=r"bar of B labelled 2024-01-03 .* close 10\.\d+ -> 99\.0; 1 bar.*--replace"):
        write(store, changed(table(0, 60), 5, "close", 99.0))
    with pytest.raises(ContractError, match=r"volume .* -> 1\.0"):
        write(store, changed(table(0, 60), 5, "volume", 1.0))
    assert snapshot(store.root) == before


def test_replace_writes_the_dataset_anew(store):
    write(store, table(0, 60), actions=[SPLIT], quarantined=[{"row": 1}])
    manifest = write(store, changed(table(35, 5), 5, "close", 10.5), replace=True)
    assert (manifest.rows, manifest.actions, manifest.quarantined, len(manifest.files)) == (10, 0, 0, 1)
    assert sorted(snapshot(store.root)) == [
        "eq/1d/actions.json",
        "eq/1d/manifest.json",
        "eq/1d/year=2024/month=02/bars.parquet",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calendar": "XLON"}, "'calendar of dataset eq' must be 'XNYS' as in the stored data, was 'XLON'"),
        ({"synthetic": True}, "'synthetic of dataset eq' must be False as in the stored data, was True"),
        ({"seed": 3}, "'seed of dataset eq' must be None"),
        (
            {"actions": [CorporateAction("A", DAY + 5, ActionKind.SPLIT, 3.0)]},
            "split of A on 2024-01-06 .* the value 2.0, was the value 3.0",
        ),
    ],
)
def test_data_of_another_kind_is_not_merged(store, options, message):
    write(store, table(0, 20), actions=[SPLIT])
    with pytest.raises(ContractError, match=f"{message}.*--replace"):
        write(store, table(0, 40), **options)


def test_a_full_disk_leaves_nothing(store, monkeypatch):
    """The refusal is injected where bytes reach the disk: before it nothing is visible, after it nothing is left."""

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_sync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write(store, table(0, 40))
    assert list(store.root.rglob("*")) == []
    assert store.datasets() == []


@pytest.mark.parametrize("attempt", range(1, 8))
def test_a_disk_that_fills_up_during_a_merge_leaves_the_dataset_as_it_was(store, monkeypatch, attempt):
    write(store, table(0, 40))
    before = snapshot(store.root)
    real, calls = files._sync, []

    def full(path, flags):
        calls.append(path)
        if len(calls) >= attempt:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, flags)

    monkeypatch.setattr(files, "_sync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write(store, table(30, 40))
    assert snapshot(store.root) == before
    assert [path.name for path in (store.root / "eq").iterdir()] == ["1d"]


def test_unknown_names_get_a_suggestion(store):
    write(store, table(0, 5))
    with pytest.raises(UnknownName, match=r"no dataset named 'eqq'; did you mean 'eq'\? Known: eq\. Import one"):
        store.open("eqq")
    with pytest.raises(UnknownName, match="no bar size in dataset 'eq' named '1min'"):
        store.open("eq", "M1")
    with pytest.raises(UnknownName, match=r"no symbol in dataset 'eq' named 'a'; did you mean 'A'\?"):
        store.open("eq").select(["a"])
    with pytest.raises(UnknownName, match=r"Known: \(none\)"):
        BarStore(store.root / "nowhere").open("eq")


def test_several_bar_sizes_need_a_choice(store):
    write(store, table(0, 5))
    write(store, bar_table(20, first_day=DAY, daily=False), bar_size=BarSize.M1)
    with pytest.raises(ConfigurationError, match="'bar_size' must be one of 1d, 1min for dataset 'eq'"):
        store.open("eq")
    assert store.open("eq", "1min").select().expected_rows == 20
    assert [m.bar_size for m in store.datasets()] == [BarSize.M1, BarSize.D1]


@pytest.mark.parametrize("name", ["", "../eq", "a/b", ".eq", "x" * 65])
def test_a_name_that_is_no_folder_is_refused(store, name):
    with pytest.raises(ConfigurationError, match="'dataset' must be up to 64 letters"):
        store.write(name, table(0, 5), bar_size="1d", calendar="XNYS")


def test_tables_that_are_not_canonical_are_refused(store):
    bars = table(0, 5)
    with pytest.raises(ContractError, match=r"'bar table' must have the columns .*\['volume'\]"):
        write(store, bars.drop_columns(["volume"]))
    with pytest.raises(ContractError, match="types of the canonical bar table"):
        write(store, bars.set_column(4, "open", pa.array(["x"] * 10)))
    with pytest.raises(ContractError, match=r"be sorted by \(known, symbol\).*was 'B at 2024-01-02T16"):
        write(store, bars.take([0, 1, 3, 3]))
    with pytest.raises(ContractError, match="sessions in the order"):
        write(store, bars.set_column(3, "session", bars.column("session").take(list(range(10))[::-1])))
    with pytest.raises(DataNotFound, match="nothing to write"):
        write(store, bars.slice(0, 0))
    assert not store.root.exists()


def test_tampering_is_named(store):
    write(store, table(0, 40))
    folder = store.root / "eq" / "1d"
    victim = folder / "year=2024/month=01/bars.parquet"
    pq.write_table(changed(table(0, 31), 3, "close", 50.0), victim)
    store.open("eq")
    with pytest.raises(DataError, match=r"month=01/bars.parquet' must have the SHA-256 .*--replace"):
        store.open("eq", verify=True)
    with pytest.raises(DataError, match="must have the SHA-256"):
        write(store, table(0, 40))
    pq.write_table(table(0, 30), victim)
    with pytest.raises(DataError, match=r"'rows in .* must be 62 as in the manifest, was 60"):
        closes(store.open("eq"))
    victim.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"cannot read .*bars.parquet"):
        closes(store.open("eq"))
    victim.unlink()
    with pytest.raises(DataError, match=r"bars.parquet is missing"):
        closes(store.open("eq"))
    with pytest.raises(DataError, match=r"bars.parquet is missing"):
        store.open("eq", verify=True)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("actions.json", b"[]\n", "actions.json' must have the SHA-256"),
        ("actions.json", None, "actions.json is missing"),
        ("manifest.json", b"{", "cannot read .*manifest.json"),
        ("manifest.json", b'{"schema_version": "2.0"}', r"'schema_version in .*' must be 1\.1, was '2\.0'"),
        ("manifest.json", b'{"schema_version": "1.0"}', "manifest.json is not a manifest: 'dataset' Field required"),
    ],
)
def test_damaged_side_files_are_named(store, file, content, message):
    write(store, table(0, 5), actions=[SPLIT])
    path = store.root / "eq" / "1d" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        store.open("eq")


def test_leftovers_of_a_power_cut_are_not_datasets(store):
    write(store, table(0, 5))
    (store.root / "eq" / "1d").rename(store.root / "eq" / ".1d.staging-0123")
    assert store.datasets() == []
    with pytest.raises(UnknownName, match="no dataset named 'eq'"):
        store.open("eq")


@dataclass
class Refused:
    row: int
    reason: str
    note: str | None = None


def test_refused_rows_are_kept_with_their_reason_and_merged(store):
    path = store.root / "eq" / "1d" / "quarantine.csv"
    write(store, table(0, 5), quarantined=[Refused(3, 'high "below" low,\nreally'), Refused(4, "NaN", "x")])
    assert path.read_text() == 'row,reason,note\n3,"high ""below"" low,\nreally",\n4,NaN,x\n'
    manifest = write(store, table(0, 5), quarantined=[Refused(3, 'high "below" low,\nreally'), Refused(9, "NaN")])
    assert manifest.quarantined == 3
    assert path.read_text().endswith("4,NaN,x\n9,NaN,\n")
    manifest = write(store, table(0, 5), quarantined=[{"row": "10", "reason": "late"}])
    assert manifest.quarantined == 4
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"cannot read .*quarantine\.csv"):
        write(store, table(0, 9))
    with pytest.raises(ContractError, match="'quarantined row' must be a mapping, a dataclass or a named tuple, was 'int'"):
        write(store, table(0, 5), quarantined=[1], replace=True)


def test_a_replacement_cut_off_between_its_two_renames_is_undone(store):
    """The power goes when the old copy is set aside and the new one is not in its place yet: the old one comes back."""
    write(store, table(0, 5))
    folder = store.root / "eq" / "1d"
    before = snapshot(folder)
    for _ in range(2):
        folder.rename(folder.with_name(".1d.old-0123456789ab"))
        assert store.open("eq").manifest.rows == 10
        assert snapshot(folder) == before
    folder.rename(folder.with_name(".1d.old-0123456789ab"))
    assert write(store, table(0, 5)).rows == 10
    assert snapshot(folder) == before
