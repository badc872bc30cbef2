"""From data settings to a source: paths, names, and the prices that ship."""

from __future__ import annotations

import datetime as dt

import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, UnknownName
from fairlead.core.events import ActionKind
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.bundled import BUNDLED_SOURCE, BUNDLED_SYMBOLS, bundled_bars, ensure_bundled
from fairlead.data.opening import open_source, store_of
from fairlead.data.settings import DataSettings
from support_bars import bar_table

DAY = date_to_day(dt.date(2024, 1, 1))
CSV = """Date,Open,High,Low,Close,Volume
2024-01-02,10,11,9,10.5,100
2024-01-03,10,11,9,10.6,100
2024-01-04,10,11,9,10.7,100
"""


@pytest.fixture
def workspace(tmp_path):
    store = store_of(tmp_path)
    store.write("eq", bar_table(40, ("A", "B"), first_day=DAY), bar_size="1d", calendar="XNYS")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "AAPL.csv").write_text(CSV)
    (tmp_path / "files" / "MSFT.csv").write_text(CSV)
    return tmp_path


def opened(workspace, *, start=None, end=None, **settings):
    return open_source(DataSettings(**settings), start=start, end=end, workspace=workspace)


def test_a_name_is_looked_up_in_the_workspace(workspace):
    source = opened(workspace, dataset="eq", symbols=["B"], start=dt.date(2024, 1, 20), end=dt.date(2024, 1, 21))
    (block,) = source.blocks(carry=0)
    assert (source.symbols, len(block)) == (("B",), 2)
    with pytest.raises(UnknownName, match="no dataset named 'eqs'; did you mean 'eq'"):
        opened(workspace, dataset="eqs")


@pytest.mark.parametrize("path", ["data/bars/eq", "data/bars/eq/1d"])
@pytest.mark.parametrize("source", ["parquet", "store"])
def test_a_path_to_a_dataset_opens_it(workspace, path, source):
    assert opened(workspace, path=str(workspace / path), source=source).name == "eq"


def test_a_path_to_another_store_and_a_name_open_the_dataset_there(workspace, tmp_path):
    assert opened(tmp_path / "elsewhere", path=str(workspace / "data" / "bars"), dataset="eq").name == "eq"


def test_files_are_imported_on_the_way(workspace):
    one = opened(workspace, source="csv", path=str(workspace / "files" / "AAPL.csv"))
    assert (one.name, one.symbols, one.bar_size) == ("AAPL", ("AAPL",), BarSize.D1)
    both = opened(workspace, source="csv", path=str(workspace / "files"), start=dt.date(2024, 1, 3))
    (block,) = both.blocks(carry=0)
    assert both.symbols == ("AAPL", "MSFT")
    assert block.close.tolist() == [[10.6, 10.6], [10.7, 10.7]]
    assert opened(workspace, source="csv", path=str(workspace / "files"), bar_size="D1").bar_size is BarSize.D1


def test_a_missing_path_says_what_is_there(workspace):
    with pytest.raises(DataNotFound, match=r"'data.path' .*no/such does not exist\. .* holds: data, files\. Correct the path"):
        opened(workspace, path=str(workspace / "no" / "such"))
    with pytest.raises(DataNotFound, match=r"holds: eq\."):
        opened(workspace, path=str(workspace / "data" / "bars" / "qe"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "live"}, "'data.type' must be 'historical' in this release, was 'live'"),
        ({}, "'data' must name a path or a dataset, was 'parquet'. Or use source: bundled"),
        ({"source": "store"}, "'data' must name a path or a dataset"),
        ({"dataset": "eq", "source": "bundled"}, "'data.dataset' must be 'us_equities' or absent"),
        ({"dataset": "eq", "source": "synthetic"}, "'data.source' must not be 'synthetic': dataset 'eq' holds real prices"),
        ({"path": "data/bars/eq/1d", "bar_size": "5min"}, "'data.bar_size' must be '1d' as in .*, was '5min'"),
        ({"path": "files", "source": "store"}, "'data.source' must be 'parquet' or 'csv' for files, was 'store'"),
    ],
)
def test_settings_that_contradict_are_refused(workspace, monkeypatch, settings, message):
    monkeypatch.chdir(workspace)
    with pytest.raises(ConfigurationError, match=message):
        opened(workspace, **settings)


def test_synthetic_data_is_opened_as_what_it_is(workspace):
    store_of(workspace).write("made", bar_table(5, first_day=DAY), bar_size="1d", calendar="XNYS", synthetic=True, seed=1)
    assert opened(workspace, source="synthetic", dataset="made").is_synthetic


def test_the_bundled_prices_are_imported_once(tmp_path):
    source = opened(tmp_path, source="bundled")
    assert source.symbols == BUNDLED_SYMBOLS
    assert source.expected_rows == 3270
    assert not source.is_synthetic
    store = store_of(tmp_path)
    (manifest,) = store.datasets()
    assert (manifest.dataset, manifest.rows, manifest.source) == ("us_equities", 12_154, BUNDLED_SOURCE)
    assert "Public domain" in manifest.source
    first = [str(span.first_session) for span in manifest.symbols]
    assert first == ["2000-03-01", "2012-05-18", "2004-08-19", "2000-03-01", "2000-03-01"]
    splits = [(a.symbol, a.value) for a in source.actions if a.kind is ActionKind.SPLIT]
    assert splits == [("AAPL", 2.0), ("MSFT", 2.0), ("AAPL", 2.0)]
    stamp = (store.root / "us_equities" / "1d" / "manifest.json").stat().st_mtime_ns
    again = opened(tmp_path, dataset="us_equities")
    assert again.content_hash == source.content_hash
    assert (store.root / "us_equities" / "1d" / "manifest.json").stat().st_mtime_ns == stamp


def test_bundled_bars_are_raw():
    """AAPL falls from 101.25 to 55.63 over its two-for-one split of 2000-06-21: nothing is adjusted."""
    table, actions = bundled_bars()
    rows = [row for row in table.to_pylist() if row["symbol"] == "AAPL" and str(row["session"])[:7] == "2000-06"]
    close = {str(row["session"]): row["close"] for row in rows}
    assert (close["2000-06-20"], close["2000-06-21"]) == (101.25, 55.63)
    assert len(actions) == 95


def test_another_dataset_of_the_same_name_is_not_taken_for_the_bundled_one(tmp_path):
    store = store_of(tmp_path)
    store.write("us_equities", bar_table(5, first_day=DAY), bar_size="1d", calendar="XNYS", source="mine")
    with pytest.raises(ContractError, match="is not the bundled one: its source is 'mine'"):
        ensure_bundled(store)
    assert opened(tmp_path, dataset="us_equities").symbols == ("A",)


def test_the_bundled_prices_can_be_asked_for_by_name(tmp_path):
    assert opened(tmp_path, dataset="us_equities", symbols=("FB",)).symbols == ("FB",)
