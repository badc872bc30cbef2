"""Vendors' column names become one set."""

import pandas as pd
import polars as pl
import pytest

from fairlead.core.errors import ContractError
from fairlead.data.columns import map_columns, normalise_frame

REQUIRED = ("ts", "open", "high", "low", "close", "volume")


@pytest.mark.parametrize(
    "names",
    [
        ["Date", "Open", "High", "Low", "Close", "Volume"],
        ["datetime", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"],
        ["t", "o", "h", "l", "c", "v"],
        ["<DATE>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>"],
        ["timestamp", "1. open", "2. high", "3. low", "4. close", "5. volume"],
        ["", "open price", "High_Price", "low-price", "Close/Last", "Total Volume"],
    ],
)
def test_vendors_names_are_understood(names):
    assert list(map_columns(names, where="x", required=REQUIRED).values()) == names


def test_optional_fields_are_found_and_the_rest_is_left_out():
    names = ["Date", "Ticker", "Open", "High", "Low", "Close", "Adj Close", "Volume", "Dividends"]
    fields = map_columns(names, where="x", required=REQUIRED)
    assert (fields["symbol"], fields["adj_close"], fields["close"]) == ("Ticker", "Adj Close", "Close")
    assert "Dividends" not in fields.values()


def test_the_more_exact_of_two_names_wins():
    names = ["date", "timestamp", "open", "high", "low", "last", "close", "volume"]
    fields = map_columns(names, where="x", required=REQUIRED)
    assert (fields["ts"], fields["close"]) == ("timestamp", "close")


def test_a_missing_column_is_named_with_what_was_found():
    with pytest.raises(
        ContractError, match=r"prices\.csv: no column for low, volume; the columns are 'Date', 'Open', 'High', 'Close'"
    ):
        map_columns(["Date", "Open", "High", "Close"], where="prices.csv", required=REQUIRED)


def test_one_name_in_two_spellings_is_refused():
    with pytest.raises(ContractError, match="columns 'Close' and 'close' both mean 'close'"):
        map_columns(["Open", "High", "Low", "Close", "close", "Volume"], where="x")


def test_pandas_frames_get_canonical_names_and_keep_the_rest():
    df = pd.DataFrame([[1, 2, 3, 4, 5, 6]], columns=["o", "h", "l", "c", "Dividends", "v"])
    assert list(normalise_frame(df).columns) == ["OPEN", "HIGH", "LOW", "CLOSE", "Dividends", "VOLUME"]
    assert next(iter(df.columns)) == "o"


def test_polars_frames_get_canonical_names_and_a_stamp_column():
    df = pl.DataFrame([[1], [2], [3], [4], [5], [6]], schema=["Date", "Open", "High", "Low", "Close", "Volume"])
    assert normalise_frame(df).columns == ["ts", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"]


def test_a_frame_with_two_levels_of_names_says_how_to_pick_one_symbol():
    df = pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_tuples([("Open", "AAPL"), ("Open", "MSFT")]))
    with pytest.raises(ContractError, match=r"df\.xs\('AAPL', axis=1, level=1\)"):
        normalise_frame(df)


def test_what_is_no_frame_is_refused():
    with pytest.raises(ContractError, match="must be a pandas or polars DataFrame, was 'list'"):
        normalise_frame([1])
