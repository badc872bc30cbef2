"""The feature store: the same bits wherever values come from, kept under who they are, and refused where they could lie."""

from __future__ import annotations

import datetime as dt
import json
import math
import multiprocessing
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataGap, DataNotFound, StorageError, UnknownName
from fairlead.core.time import date_to_day, day_to_date
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.facts import Facts
from fairlead.data.memory import source_from_frames
from fairlead.features import feature
from fairlead.features.feed import SideData, open_feed
from fairlead.features.history import FeatureHistory
from fairlead.features.locking import LOCK_FILE
from fairlead.features.store import FeatureStore, forget
from fairlead.features.values import Aligned, MemoryValues
from support_feature_store import (
    Counted,
    _third,
    bundled,
    record_often,
    share,
    share_changed,
    share_elsewhere,
    share_raised,
    uses_share,
)

HERE = "support_feature_store:"
KEPT = HERE + "kept_mean"
UTC = dt.UTC
FEATURES = {
    "mean": ("sma", {"n": 20}),
    "bands": "bollinger",
    "strength": "rsi",
    "balance": "obv",
    "rank": "cross_rank",
    "kept": KEPT,
}
CLOSE = dt.datetime(2010, 1, 5, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def source() -> Counted:
    return bundled()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


def names_of(store: FeatureStore) -> list[str]:
    return [entry.manifest.feature for entry in store.materialised()]


def only_file(folder):
    (path,) = folder.glob("*/*/*/values.parquet")
    return path


def spoil(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# The same numbers


@pytest.mark.parametrize("request_", FEATURES.values(), ids=FEATURES)
def test_what_is_read_from_disk_is_what_is_computed(source, folder, request_):
    """To the bit, at every instant and symbol, with the same gaps, through splits and dividends."""
    name, params = (request_, {}) if isinstance(request_, str) else request_
    fresh = FeatureStore(source).get_range(name, **params)
    FeatureStore(source, folder=folder).materialise([request_])
    read = FeatureStore(source, folder=folder, compute_on_demand=False).get_range(name, **params)
    pd.testing.assert_frame_equal(read, fresh, check_exact=True)
    assert fresh.notna().to_numpy().sum() > 10_000


@pytest.mark.parametrize("start", [dt.date(2005, 3, 1), dt.date(2012, 6, 1), None])
def test_a_run_reads_what_it_would_have_computed(source, folder, start):
    """Whatever block history is cut in, and wherever the run begins: the feed from disk equals the one that computes."""
    FeatureStore(source, folder=folder).materialise(FEATURES)
    chosen = source.select(None, start)
    first = next(chosen.blocks(carry=30))
    store = FeatureStore(chosen, folder=folder, compute_on_demand=False)
    read, computed = store.feed(FEATURES, first), open_feed(FEATURES, chosen, first)
    assert set(read.plan.asked) == set(FEATURES)
    for block in chosen.blocks(carry=30):
        read.take(block)
        computed.take(block)
        for label in FEATURES:
            for a, b in zip(read.values(label), computed.values(label), strict=True):
                assert a.shape == (len(block) - block.start, len(block.symbols))
                np.testing.assert_array_equal(a, b)


def test_a_feed_mixes_what_is_kept_with_what_is_not(source, folder):
    FeatureStore(source, folder=folder).materialise(["rsi"])
    (first, *_) = source.blocks(carry=0)
    requests = {"a": "rsi", "b": ("sma", {"n": 5}), "same as a": "rsi"}
    read, computed = FeatureStore(source, folder=folder).feed(requests, first), open_feed(requests, source, first)
    read.take(first)
    computed.take(first)
    for label in requests:
        np.testing.assert_array_equal(read.values(label)[0], computed.values(label)[0])


def test_an_instant_that_is_not_kept_is_an_error_and_no_gap(source):
    """Between two kept rows, after the last one, and nothing where all is there."""
    parts = [parts[""] for parts in FeatureHistory(source, SideData()).parts({"": "rsi"})]
    known = np.concatenate([part.known_ns for part in parts])
    values = MemoryValues(parts)
    whole = Aligned(values, "rsi").rows(known, (len(known), 5))[0]
    np.testing.assert_array_equal(whole, np.concatenate([arrays[0] for _, _, arrays in parts]))
    for strange in (known[10] + 1, known[-1] + 1):
        with pytest.raises(DataGap, match=r"feature 'rsi' have no row at .* fairlead features invalidate rsi"):
            Aligned(values, "rsi").rows(np.array([known[3], strange]), (2, 5))


# When things were known


def test_a_value_is_that_of_the_last_bar_known_by_then(source):
    """At the close of a bar it counts; a microsecond earlier the one before does; at night the last one."""
    store = FeatureStore(source)
    frame = store.get_range("rsi")
    row = frame.index.get_loc(CLOSE)
    assert store.get("rsi", time=CLOSE)["IBM"] == frame["IBM"].iloc[row]
    assert store.get("rsi", time=CLOSE - dt.timedelta(microseconds=1))["IBM"] == frame["IBM"].iloc[row - 1]
    assert store.get("rsi", time=CLOSE + dt.timedelta(hours=9))["IBM"] == frame["IBM"].iloc[row]
    new_york = CLOSE.astimezone(dt.timezone(dt.timedelta(hours=-5)))
    assert store.get("rsi", "IBM", new_york) == {"IBM": frame["IBM"].iloc[row]}
    assert store.get("rsi", "IBM") == {"IBM": frame["IBM"].iloc[-1]}


def test_before_the_first_bar_and_in_the_warm_up_there_is_no_value(source):
    store = FeatureStore(source)
    assert all(math.isnan(value) for value in store.get("rsi", time=dt.datetime(1999, 1, 1, tzinfo=UTC)).values())
    assert all(math.isnan(value) for value in store.get("rsi", time=dt.datetime(2000, 3, 3, tzinfo=UTC)).values())
    assert math.isnan(store.get("rsi", "FB", CLOSE)["FB"])


def test_a_symbol_that_stopped_trading_keeps_its_last_value_even_if_that_is_none():
    """A gap in trading is bridged, however long and over whatever block; a bar without a value is not."""
    sessions = ExchangeCalendar.get("XNYS").sessions(date_to_day(dt.date(2019, 1, 2)), date_to_day(dt.date(2023, 12, 29)))
    stamps = pd.to_datetime([day_to_date(int(day)) for day in sessions]).tz_localize("UTC")

    def frame(stop: int, volume: float) -> pd.DataFrame:
        close = 10.0 + np.arange(stop, dtype=float)
        columns = dict.fromkeys(("open", "high", "low", "close"), close)
        return pd.DataFrame({**columns, "volume": np.full(stop, volume)}, index=stamps[:stop])

    data = source_from_frames({"GONE": frame(40, 5.0), "LIVE": frame(len(stamps), 5.0), "IDLE": frame(60, 0.0)}, bar_size="1d")
    source = Counted(data._table, bar_size=data.bar_size)
    store = FeatureStore(source)
    assert store.get("sma", n=2)["GONE"] == 10.0 + 38.5
    assert math.isnan(store.get_range("sma", n=2)["GONE"].iloc[-1])
    assert store.get("volume_ratio", n=5)["GONE"] == 1.0
    assert math.isnan(store.get("volume_ratio", n=5)["IDLE"])


@pytest.mark.parametrize("time", [dt.datetime(2010, 1, 5, 21), dt.date(2010, 1, 5), "2010-01-05", pd.Timestamp("2010-01-05")])  # noqa: DTZ001  what is refused
def test_an_instant_without_a_time_zone_is_refused(source, time):
    store = FeatureStore(source)
    with pytest.raises(ContractError, match=r"'time' must be a datetime with a time zone, was '2010-01-05"):
        store.get("rsi", time=time)
    with pytest.raises(ContractError, match="'start' must be a datetime with a time zone"):
        store.get_range("rsi", start=time)


def test_a_range_is_bounded_on_both_sides_and_reads_as_a_table(source, folder):
    """Ends included; one column per symbol, or per symbol and output; outside of history it is empty."""
    for store in (FeatureStore(source), FeatureStore(source, folder=folder)):
        whole = store.get_range(KEPT)
        part = store.get_range(KEPT, ["MSFT", "IBM"], CLOSE - dt.timedelta(days=900), CLOSE)
        assert list(part.columns) == ["IBM", "MSFT"]
        assert part.index[-1] == CLOSE
        assert part.index.name == "known"
        expected = whole.loc[CLOSE - dt.timedelta(days=900) : CLOSE, ["IBM", "MSFT"]]
        pd.testing.assert_frame_equal(part, expected, check_exact=True)
        assert store.get_range(KEPT, end=dt.datetime(1999, 1, 1, tzinfo=UTC)).shape == (0, 5)
    bands = FeatureStore(source).get_range("bollinger", "IBM")
    assert bands.columns.names == ["symbol", "output"]
    at = FeatureStore(source).get("bollinger", "IBM", CLOSE)["IBM"]
    assert at == bands.loc[CLOSE, "IBM"].to_dict()


# Whose values they are


def test_each_thing_that_decides_the_numbers_keeps_its_own(source, folder):
    """Parameter, version, kernel, unit, symbols, bars' corporate actions: another one is another set of values."""
    store = FeatureStore(source, folder=folder)
    store.materialise([KEPT, (KEPT, {"n": 4})])
    assert sorted(entry.manifest.params["n"] for entry in store.materialised()) == [3, 4]
    keys = {}
    for name, made, where in [
        ("itself", share, source),
        ("kernel", share_changed, source),
        ("version", share_raised, source),
        ("unit", share_elsewhere, source),
        ("symbols", share, source.select(["AAPL", "IBM"])),
        ("actions", share, bundled(actions=source.actions[1:])),
        ("calendar", share, bundled(calendar="XLON")),
    ]:
        history = FeatureHistory(where, SideData())
        history.register(made)
        keys[name] = history.key("share").path
    assert len(set(keys.values())) == len(keys)


def test_dates_and_what_a_feature_does_not_read_change_nothing(source):
    """A run from the middle of history uses the same values, and a benchmark is part of those that read it only."""
    published = pd.Timestamp("2005-02-01", tz="UTC")
    rows = [("IBM", "eps", 4.0, "2004-12-31", published)]
    facts = Facts.from_frame(pd.DataFrame(rows, columns=["symbol", "field", "value", "period_end", "published"]))
    sides = [SideData(), SideData("IBM", facts), SideData("MSFT", facts.known_by(0))]
    plain, with_ibm, with_msft = (FeatureHistory(source, side) for side in sides)
    later = FeatureHistory(source.select(None, dt.date(2008, 1, 2)), sides[0])
    assert plain.key("rsi") == with_ibm.key("rsi") == with_msft.key("rsi") == later.key("rsi")
    assert with_ibm.key("beta").data_sha256 != with_msft.key("beta").data_sha256
    assert with_ibm.key("eps").data_sha256 != with_msft.key("eps").data_sha256


def test_values_of_another_identity_are_not_taken_for_those_that_are_asked_for(source, folder, caplog):
    """The folder's name is an abbreviation: the manifest has to agree in full."""
    store = FeatureStore(source, folder=folder)
    store.materialise(["rsi"])
    path = only_file(folder).with_name("manifest.json")
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "identity": manifest["identity"][:12] + "0" * 52}))
    with pytest.raises(DataError, match=r"identity in .* must be .*fairlead features invalidate rsi"):
        FeatureStore(source, folder=folder, compute_on_demand=False).get("rsi")
    FeatureStore(source, folder=folder).materialise(["rsi"])
    assert "identity in" in caplog.text
    assert json.loads(path.read_text()) == manifest


def test_a_manifest_says_what_the_file_holds(source, folder):
    store = FeatureStore(source, folder=folder)
    (entry,) = store.materialise(KEPT)
    manifest = entry.manifest
    assert (manifest.feature, manifest.version, manifest.params, manifest.outputs) == ("kept_mean", 1, {"n": 3}, ("value",))
    assert (manifest.rows, manifest.symbols, manifest.schema_version) == (3270, source.symbols, "1.0")
    assert (manifest.first_known, manifest.last_known) == (source_bound(source, 0), source_bound(source, -1))
    assert manifest.dataset_sha256 == source.content_hash
    assert entry.size == only_file(folder).stat().st_size
    assert entry.folder.relative_to(folder).parts[:2] == ("us_equities", "1d")
    assert entry.folder.name == f"kept_mean-{manifest.identity[:12]}-{manifest.data_sha256[:12]}"
    table = pq.read_table(only_file(folder)).to_pandas()
    assert list(table.columns) == ["known", "symbol", "has_bar", "value"]
    one = table[(table.symbol == "IBM") & (table.known == CLOSE)]
    assert one["value"].item() == store.get(KEPT, "IBM", CLOSE)["IBM"]


def source_bound(source: Counted, at: int) -> dt.datetime:
    return FeatureStore(source).get_range("rsi").index[at].to_pydatetime()


# What is kept, and for how long


def test_values_are_computed_once_and_kept_as_the_feature_says(folder):
    """``memory``: in the store. ``disk``: for the next one. ``never``: not at all."""
    source = bundled()
    first, second = (FeatureStore(source, folder=folder) for _ in range(2))
    passes = []
    for store in (first, first, second):
        for name in (HERE + "share", KEPT, HERE + "fleeting"):
            before = source.passes
            store.get(name)
            passes.append(source.passes - before)
    assert passes == [1, 1, 1, 0, 0, 1, 1, 0, 1]
    assert names_of(first) == ["kept_mean"]
    pd.testing.assert_frame_equal(
        first.get_range(HERE + "fleeting", start=CLOSE), first.get_range(HERE + "share", start=CLOSE), check_exact=True
    )


def test_without_a_cache_nothing_is_read_or_written(source, folder):
    FeatureStore(source, folder=folder, cache=False).get(KEPT)
    FeatureStore(source).get(KEPT)
    assert not folder.exists()
    with pytest.raises(ConfigurationError, match=r"keeps nothing on disk. Make it with a folder and cache=True"):
        FeatureStore(source, folder=folder, cache=False).materialise([KEPT])
    with pytest.raises(ConfigurationError, match="'compute_on_demand' must be true where cache is false"):
        FeatureStore(source, folder=folder, cache=False, compute_on_demand=False)


def test_materialising_holds_one_block_at_a_time_and_writes_it_as_one_row_group(folder):
    source = bundled()
    told = []
    store = FeatureStore(source, folder=folder)
    store.materialise(["rsi", "bollinger", KEPT], told.append)
    assert told == [700, 1400, 2100, 2800, 3270]
    assert (source.passes, source.most_held) == (1, 1)
    for path in folder.glob("*/*/*/values.parquet"):
        assert pq.ParquetFile(path).metadata.num_row_groups == 5
    store.materialise(["rsi"], told.append)
    assert source.passes == 1


def test_what_is_invalidated_is_computed_again(folder):
    source = bundled()
    store = FeatureStore(source, folder=folder)
    store.materialise([KEPT, (KEPT, {"n": 9}), "rsi"])
    assert store.invalidate("kept_mean") == 2
    assert names_of(store) == ["rsi"]
    before = source.passes
    store.get("rsi")
    assert source.passes == before
    store.get(KEPT)
    assert (source.passes, names_of(store)) == (before + 1, ["kept_mean", "rsi"])
    assert forget(folder) == 2
    assert names_of(store) == []
    assert json.loads((folder / LOCK_FILE).read_text()) == {}


def test_what_is_still_being_written_is_not_invalidated(folder):
    """Another process renames its folder to its place when all is in it: until then nobody else may touch it."""
    store = FeatureStore(bundled(), folder=folder)
    store.materialise("rsi")
    own = only_file(folder).parent
    other = own.with_name(f".{own.name}.staging-1")
    shutil.copytree(own, other)
    assert store.invalidate() == 1
    assert sorted(path.name for path in own.parent.iterdir()) == [other.name]
    assert sorted(path.name for path in other.iterdir()) == ["manifest.json", "values.parquet"]


def test_of_no_symbols_there_are_no_values(source):
    """A screen that nothing passed is not a wish for everything."""
    store = FeatureStore(source)
    assert store.get("rsi", []) == store.get("macd", ()) == {}
    assert store.get_range("macd", []).shape == (len(store.get_range("macd")), 0)


def test_what_is_held_in_memory_is_invalidated_too():
    source = bundled()
    store = FeatureStore(source)
    store.get("rsi")
    store.get("rsi")
    assert source.passes == 1
    assert store.invalidate("rsi") == 0
    store.get("rsi")
    assert source.passes == 2


@pytest.mark.parametrize("name", ["values.parquet", "manifest.json"])
@pytest.mark.parametrize("harm", ["changed", "cut short", "gone"])
def test_damaged_values_are_not_used(folder, caplog, name, harm):
    """They are computed again and the log says so; where nothing may be computed they are refused, with the remedy."""
    source = bundled()
    expected = FeatureStore(source, folder=folder).get_range(KEPT)
    path = only_file(folder).with_name(name)
    if harm == "changed":
        path.write_text("{}") if name == "manifest.json" else spoil(path)
    elif harm == "cut short":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    known_as_absent = (name, harm) == ("manifest.json", "gone")
    error = DataNotFound if known_as_absent else DataError
    with pytest.raises(error, match=r"fairlead features (invalidate kept_mean|compute support_feature_store:kept_mean)"):
        FeatureStore(source, folder=folder, compute_on_demand=False).get(KEPT)
    pd.testing.assert_frame_equal(FeatureStore(source, folder=folder).get_range(KEPT), expected, check_exact=True)
    assert ("damaged, and are computed again" in caplog.text) != known_as_absent
    pd.testing.assert_frame_equal(
        FeatureStore(source, folder=folder, compute_on_demand=False).get_range(KEPT), expected, check_exact=True
    )


def test_what_is_not_materialised_is_named_all_at_once(source, folder):
    store = FeatureStore(source.select(["AAPL", "IBM"]), folder=folder, compute_on_demand=False)
    (first, *_) = source.select(["AAPL", "IBM"]).blocks(carry=0)
    with pytest.raises(DataNotFound) as caught:
        store.feed({"a": "rsi", "b": ("sma", {"n": 7}), "c": HERE + "fleeting"}, first)
    command, rest = "fairlead features compute", "--symbols AAPL,IBM --materialise"
    assert str(caught.value).splitlines() == [
        "features.compute_on_demand is false, and over dataset 'us_equities' (1d; AAPL, IBM):",
        f"feature 'rsi' is not materialised. Run: {command} rsi --dataset us_equities {rest}",
        f"feature 'sma' with n=7 is not materialised. Run: {command} sma --dataset us_equities -p n=7 {rest}",
        f"feature '{HERE}fleeting' is not materialised. Nothing is ever kept of it: set features.compute_on_demand to true.",
    ]
    store.materialise(["rsi"])
    assert store.get("rsi", "IBM", CLOSE)["IBM"] > 0
    with pytest.raises(ConfigurationError, match=r"'fleeting\.caching' must be 'disk' or 'memory' to be materialised"):
        store.materialise([HERE + "fleeting"])


@pytest.mark.parametrize("policy", ["feed", "get"])
def test_a_disk_that_refuses_stops_no_run(tmp_path, source, caplog, policy):
    """Values are computed and the log says why none are kept; only who asks for them to be kept gets the error."""
    (tmp_path / "file").write_text("")
    store = FeatureStore(source, folder=tmp_path / "file" / "features")
    if policy == "get":
        assert store.get(KEPT, "IBM", CLOSE) == FeatureStore(source).get(KEPT, "IBM", CLOSE)
    else:
        (first, *_) = source.blocks(carry=0)
        store.prepare([KEPT])
        feed = store.feed({"a": KEPT, "b": "rsi"}, first)
        feed.take(first)
        assert np.isfinite(feed.values("a")[0]).any()
    assert caplog.text.count("features are computed and not kept: cannot write") == 1
    with pytest.raises((StorageError, ConfigurationError)):
        store.materialise([KEPT])


# Names and versions


def test_a_feature_of_a_notebook_is_known_to_its_store(source, folder):
    store = FeatureStore(source, folder=folder)
    assert store.register(share) is share
    store.register(share)
    assert store.get("share", "IBM", CLOSE) == store.get(HERE + "share", "IBM", CLOSE)
    with pytest.raises(UnknownName, match="no feature named 'share'"):
        FeatureStore(source).get("share")
    with pytest.raises(
        ConfigurationError, match=r"'share' version 1 is registered with another kernel. Raise its version to 2"
    ):
        store.register(share_changed)
    halved = store.get("share", "IBM", CLOSE)["IBM"]
    store.register(share_raised)
    assert store.get("share", "IBM", CLOSE)["IBM"] == pytest.approx(halved * 2 / 3)
    with pytest.raises(ConfigurationError, match=r"'name' must not be one of a feature that is installed, was 'rsi'"):
        store.register(feature("rsi")(_third))


def test_a_changed_kernel_of_the_same_version_is_refused(source, folder):
    """In another process too, for the feature and for what uses it; a raised version and a forgotten one are not."""

    def ask(made, name="share"):
        store = FeatureStore(source, folder=folder)
        store.register(made)
        return store.get(name, "IBM", CLOSE)["IBM"]

    before = ask(share)
    with pytest.raises(ContractError) as caught:
        ask(share_changed)
    assert str(caught.value) == (
        f"feature 'share' has another kernel than version 1 had before ({folder / LOCK_FILE}): kept values would not be what "
        "this code computes. Raise its version to 2; or, if version 1 was never released, forget it: "
        "fairlead features invalidate share."
    )
    assert ask(share_raised) == pytest.approx(before * 2 / 3)
    assert ask(share) == before
    with pytest.raises(ContractError, match="Raise its version to 3"):
        ask(share_changed)
    forget(folder, "share")
    assert ask(share_changed) == pytest.approx(before * 2 / 3)
    with pytest.raises(ContractError, match="feature 'share' has another kernel"):
        ask(uses_share, "uses_share")
    with pytest.raises(ContractError, match="feature 'share' has another kernel"):
        FeatureStore(source, folder=folder).materialise([HERE + "share"])
    FeatureStore(source, folder=folder, cache=False).get(HERE + "share")


def test_a_lock_file_that_cannot_be_read_is_refused_until_all_is_forgotten(source, folder):
    folder.mkdir()
    (folder / LOCK_FILE).write_text("{")
    with pytest.raises(DataError, match=r"cannot read .*kernels\.json.*Forget all kept features: fairlead features inv"):
        FeatureStore(source, folder=folder).get("rsi")
    forget(folder)
    FeatureStore(source, folder=folder).get("rsi")


def test_several_processes_may_write_the_lock(folder):
    """It can be read at every moment, and whatever was lost to the other is there once it is asked for again."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=record_often, args=(folder, name)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    for name in ("a", "b"):
        record_often(folder, name)
    names = {f"{name}_{i}" for name in ("a", "b") for i in range(1, 10)}
    assert set(json.loads((folder / LOCK_FILE).read_text())) == names
    assert [path.name for path in folder.iterdir()] == [LOCK_FILE]


def test_a_request_that_is_wrong_is_refused_in_known_words(source, folder):
    store = FeatureStore(source, folder=folder)
    with pytest.raises(UnknownName, match="no symbol in dataset 'us_equities' named 'XYZ'"):
        store.get("rsi", "XYZ")
    with pytest.raises(UnknownName, match="no parameter of feature 'rsi' named 'm'"):
        store.get("rsi", m=3)
    with pytest.raises(ConfigurationError, match=r"Set features\.benchmark to a symbol of the run"):
        store.materialise(["beta"])
    with pytest.raises(ConfigurationError, match=r"Set features\.facts to a file of them"):
        store.get("eps")
    assert not list(folder.glob("*/*"))
