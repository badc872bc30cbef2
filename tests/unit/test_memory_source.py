"""Frames from Python become a source, checked like any import."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.memory import MemorySource, source_from_frames
from fairlead.data.spacing import infer_bar_size, typical_spacing
from support_bars import bar_table

XNYS = ExchangeCalendar.get("XNYS")
FIRST, LAST = date_to_day(dt.date(2024, 1, 2)), date_to_day(dt.date(2024, 1, 31))


def frame(size=BarSize.D1, *, seed=1) -> pd.DataFrame:
    """January 2024 on the New York exchange."""
    index = pd.DatetimeIndex(XNYS.labels(FIRST, LAST, size), tz="UTC")
    close = 50 + np.random.default_rng(seed).random(len(index))
    return pd.DataFrame({"Open": close, "High": close + 1, "Low": close - 1, "Close": close, "Volume": 10.0}, index=index)


def closes(source):
    return np.concatenate([block.close[block.start :] for block in source.blocks(carry=0)])


def test_one_frame_is_one_symbol():
    df = frame()
    action = CorporateAction("ASSET", LAST, ActionKind.SPLIT, 2.0)
    source = source_from_frames(df, actions=[action, CorporateAction("OTHER", LAST, ActionKind.SPLIT, 2.0)])
    assert (source.symbols, source.bar_size, source.calendar, source.is_synthetic) == (("ASSET",), BarSize.D1, "XNYS", False)
    assert source.expected_rows == 21
    assert source.actions == (action,)
    np.testing.assert_array_equal(closes(source)[:, 0], df["Close"])
    (block,) = source.blocks(carry=0)
    assert block.known_ns[0] == dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC).timestamp() * 1e9
    assert source_from_frames(df, symbol="aapl").symbols == ("AAPL",)


def test_pandas_polars_dicts_and_long_frames_are_the_same_data():
    frames = {"B": frame(seed=1), "A": frame(seed=2)}
    long = pd.concat([df.assign(symbol=name) for name, df in frames.items()])
    long.index.name = "timestamp"
    stacked = pd.concat(frames, names=["ticker", "date"])
    forms = [
        frames,
        {name: pl.from_pandas(df.reset_index(names="ts")) for name, df in frames.items()},
        long,
        pl.from_pandas(long.reset_index()),
        stacked,
    ]
    sources = [source_from_frames(form) for form in forms]
    assert {source.symbols for source in sources} == {("A", "B")}
    assert len({source.content_hash for source in sources}) == 1
    np.testing.assert_array_equal(closes(sources[0]), np.column_stack([frames["A"]["Close"], frames["B"]["Close"]]))


@pytest.mark.parametrize("size", list(BarSize))
def test_the_bar_size_is_judged_by_the_spacing(size):
    df = frame(size)
    assert infer_bar_size(df, symbol="X") is size
    assert infer_bar_size({"X": df, "Y": "never looked at"}) is size
    assert infer_bar_size(df.iloc[1:], symbol="X") is size
    assert source_from_frames(df).bar_size is size


def test_dates_are_daily_and_holes_do_not_hide_the_size():
    dates = pl.from_pandas(frame().reset_index(names="date")).with_columns(pl.col("date").dt.date())
    assert infer_bar_size(dates, symbol="X") is BarSize.D1
    thinned = frame(BarSize.M5).sample(frac=0.7, random_state=3).sort_index()
    assert infer_bar_size(thinned, symbol="X") is BarSize.M5


def test_a_spacing_of_no_bar_size_asks_for_one():
    df = frame(BarSize.M1).iloc[::7].iloc[:50]
    with pytest.raises(ConfigurationError, match=r"'bar_size' must be given: .* frame are 7 minutes apart, .* 1min, 5min"):
        source_from_frames(df)
    with pytest.raises(ConfigurationError, match="are fewer than two stamps apart"):
        source_from_frames(frame().iloc[:1])
    weekly = frame().iloc[[0, 5, 9, 14]]
    with pytest.raises(ConfigurationError, match="are 7 days apart"):
        source_from_frames(weekly)
    assert source_from_frames(frame().iloc[:1], bar_size="1d").expected_rows == 1


def test_typical_spacing_is_the_lower_quartile():
    assert typical_spacing(np.array([0, 4, 24, 28, 48, 52])) == 4
    assert typical_spacing(np.array([5, 5, 5])) is None


def test_of_several_frames_the_one_at_fault_is_named():
    """Frames of one form are read together; the message is still about the frame and its own row."""
    frames = {"A": frame(), "B": frame(), "C": frame()}
    frames["B"].iloc[3, 1] = 0.0
    with pytest.raises(ContractError, match=r"frame 'B' row 3 \(B 2024-01-05"):
        source_from_frames(frames)
    assert source_from_frames({name: df.assign(ticker=name) for name, df in frames.items() if name != "B"}).symbols == (
        "A",
        "C",
    )
    assert source_from_frames({"A": frame(), "C": frame().rename(columns=str.lower)}).symbols == ("A", "C")


def test_bad_frames_are_refused():
    bad = frame()
    bad.iloc[3, 1] = 0.0
    with pytest.raises(ContractError, match="D07"):
        source_from_frames(bad)
    naive = frame(BarSize.M5)
    naive.index = naive.index.tz_localize(None)
    with pytest.raises(ContractError, match="time zone"):
        source_from_frames(naive)
    with pytest.raises(ContractError, match="pandas or polars"):
        source_from_frames([1, 2, 3])


def test_naive_stamps_may_be_declared():
    local = frame(BarSize.M5)
    local.index = local.index.tz_convert("America/New_York").tz_localize(None)
    declared = source_from_frames(local, timezone="America/New_York")
    assert declared.content_hash == source_from_frames(frame(BarSize.M5)).content_hash


def test_precomputed_tables_are_checked_for_their_form():
    table = bar_table(3, ("A", "B"))
    assert MemorySource.from_table(table, bar_size="1d", synthetic=True, name="x").is_synthetic
    with pytest.raises(ContractError, match="be sorted by"):
        MemorySource.from_table(table.take([2, 3, 0, 1, 4, 5]), bar_size="1d")
    with pytest.raises(DataNotFound, match="'x' has no bars"):
        MemorySource.from_table(table.slice(0, 0), bar_size="1d", name="x")
