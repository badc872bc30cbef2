"""What comes through the door is canonical; what is not is refused or put aside with its reason."""

import datetime as dt
import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, UnknownName
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.ingest import import_bars
from fairlead.data.table import BAR_SCHEMA

HEADER = "Date,Open,High,Low,Close,Volume\n"
DAILY = ["2024-11-27,10,12,9,11,100", "2024-11-29,11,13,10,12,200", "2024-12-02,12,14,11,13,300"]
INTRADAY = [f"2024-11-29 09:{30 + i},10,12,9,11,{i}" for i in range(5)]


def text(rows, header=HEADER):
    return header + "\n".join(rows) + "\n"


@pytest.fixture
def write(tmp_path):
    def write_file(content: str | bytes, name: str = "AAPL.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def daily_frame() -> pd.DataFrame:
    index = pd.DatetimeIndex(["2024-11-27", "2024-11-29"], tz="UTC")
    return pd.DataFrame(
        {"Open": [10.0, 11], "High": [12.0, 13], "Low": [9.0, 10], "Close": [11.0, 12], "Volume": [1, 2]}, index=index
    )


def utc(text_: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text_ + "+00:00")


def test_daily_file_becomes_canonical_bars(write):
    """The symbol is the file's name, dates need no zone, and a bar is known at its session's close, early or not."""
    result = import_bars(write(text(DAILY), "aapl.csv"), bar_size="1d")
    assert result.table.schema == BAR_SCHEMA
    assert (result.rows_in, result.rows_ok, result.quarantined) == (3, 3, ())
    second = result.table.slice(1, 1).to_pylist()[0]
    assert second == {
        "known": pd.Timestamp("2024-11-29T18:00Z"),
        "symbol": "AAPL",
        "label": pd.Timestamp("2024-11-29", tz="UTC"),
        "session": dt.date(2024, 11, 29),
        "open": 11.0,
        "high": 13.0,
        "low": 10.0,
        "close": 12.0,
        "volume": 200.0,
    }


def test_intraday_file_with_a_declared_zone(write):
    table = import_bars(write(text(INTRADAY)), bar_size=BarSize.M1, timezone="America/New_York").table
    assert table["label"][0].as_py() == pd.Timestamp("2024-11-29T14:30Z")
    assert table["known"][0].as_py() == pd.Timestamp("2024-11-29T14:31Z")


def test_rows_are_sorted_by_closing_instant_then_symbol(write):
    rows = [f"{row},{symbol}" for symbol in ("MSFT", "brk.b") for row in DAILY]
    table = import_bars(write(text(rows, "Date,Open,High,Low,Close,Volume,Ticker\n")), bar_size="1d").table
    assert table["symbol"].to_pylist() == ["BRK.B", "MSFT"] * 3
    assert table["known"].to_pylist() == sorted(table["known"].to_pylist())


def test_all_forms_of_the_same_data_give_the_same_table(write, tmp_path):
    expected = import_bars(write(text(DAILY[:2])), bar_size="1d").table
    frame = daily_frame().assign(Volume=[100.0, 200.0])
    polars = pl.DataFrame({"ts": pl.from_pandas(frame.index), **{c: pl.from_pandas(frame[c]) for c in frame.columns}})
    polars.write_parquet(tmp_path / "AAPL.parquet")
    frame.rename_axis("Date").to_parquet(tmp_path / "pandas.parquet")
    semicolons = text(DAILY[:2]).replace(",", ";")
    forms = [
        import_bars(write(gzip.compress(text(DAILY[:2]).encode()), "zip/AAPL.csv.gz"), bar_size="1d"),
        import_bars(write(semicolons, "semi/AAPL.csv"), bar_size="1d"),
        import_bars(write("\ufeff" + text(DAILY[:2]), "bom/AAPL.csv"), bar_size="1d"),
        import_bars(tmp_path / "AAPL.parquet", bar_size="daily"),
        import_bars(str(tmp_path / "pandas.parquet"), bar_size="1d", symbol="AAPL"),
        import_bars(frame, bar_size="1d", symbol="aapl"),
        import_bars(polars, bar_size="1d", symbol="AAPL"),
        import_bars({"AAPL": frame}, bar_size="1d"),
        import_bars(frame.assign(Ticker="AAPL"), bar_size="1d"),
        import_bars(frame.reset_index().rename(columns={"index": "Date"}), bar_size="1d", symbol="AAPL"),
        import_bars(frame.astype(object), bar_size="1d", symbol="AAPL"),
        import_bars(write(text(DAILY[:2]), "name/x.csv"), bar_size="1d", symbol="AAPL", calendar=ExchangeCalendar.get("XNYS")),
    ]
    assert all(form.table.equals(expected) for form in forms)


def test_date_and_time_in_two_columns_are_one_stamp(write):
    rows = [row.replace(" ", ",", 1) for row in INTRADAY]
    result = import_bars(
        write(text(rows, "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n")), bar_size="1min", timezone="America/New_York"
    )
    assert result.table["label"][4].as_py() == pd.Timestamp("2024-11-29T14:34Z")


def test_folder_is_read_with_its_subfolders_and_without_hidden_files(write, tmp_path):
    write(text(DAILY), "in/AAPL.csv")
    write(text(DAILY), "in/more/MSFT.csv")
    write("junk", "in/.AAPL.csv")
    write("junk", "in/readme.txt")
    result = import_bars(tmp_path / "in", bar_size="1d")
    assert sorted(set(result.table["symbol"].to_pylist())) == ["AAPL", "MSFT"]


def test_files_of_one_symbol_may_come_in_any_order_but_not_overlap(write, tmp_path):
    header = "Date,Open,High,Low,Close,Volume,Symbol\n"
    write(text([f"{DAILY[2]},A"], header), "in/a.csv")
    write(text([f"{DAILY[0]},A", f"{DAILY[1]},A"], header), "in/b.csv")
    assert import_bars(tmp_path / "in", bar_size="1d").rows_ok == 3
    write(text([f"{DAILY[0]},A"], header), "in/c.csv")
    with pytest.raises(ContractError, match=r"D05 duplicates: .* at .*c\.csv line 2 \(A 2024-11-27\)"):
        import_bars(tmp_path / "in", bar_size="1d")


def test_blank_lines_are_no_rows_and_do_not_shift_line_numbers(write):
    path = write(text([DAILY[0], "", DAILY[1].replace(",11,13", ",nan,13"), ""]))
    with pytest.raises(ContractError, match=r"D06 nan_ohlc: .* at .*AAPL\.csv line 4 \(AAPL 2024-11-29\)$"):
        import_bars(path, bar_size="1d")


def faulty(row: int, old: str, new: str, rows=DAILY):
    return [r.replace(old, new, 1) if i == row else r for i, r in enumerate(rows)]


@pytest.mark.parametrize(
    ("code", "rows"),
    [
        ("D02", faulty(1, "2024-11-29", "soon")),
        ("D02", faulty(1, "2024-11-29", "")),
        ("D04", [DAILY[0], DAILY[2], DAILY[1]]),
        ("D05", [*DAILY, DAILY[2]]),
        ("D06", faulty(1, ",12,200", ",,200")),
        ("D06", faulty(1, ",12,200", ",inf,200")),
        ("D07", faulty(1, ",10,12,", ",-10,12,")),
        ("D07", faulty(1, ",10,12,", ",0,12,")),
        ("D08", faulty(1, ",200", ",-1")),
        ("D08", faulty(1, ",200", ",")),
        ("D09", faulty(1, ",13,10,", ",10,13,")),
        ("D10", faulty(1, ",13,10,", ",n/a,10,")),
        ("D10", faulty(1, ",200", ",many")),
        ("D11", faulty(1, "2024-11-29", "2024-11-28")),
        ("D11", faulty(1, "2024-11-29", "2024-11-30")),
        ("D11", faulty(0, "2024-11-27", "1824-11-27")),
    ],
)
def test_each_fault_of_a_daily_row_is_refused_and_put_aside_alone(write, code, rows):
    path = write(text(rows))
    with pytest.raises(ContractError, match=r"^[^\n]*breaks 1 rule of its contract:\n  - " + code + r" [^\n]*$"):
        import_bars(path, bar_size="1d")
    result = import_bars(path, bar_size="1d", on_bad="quarantine")
    assert [row.code for row in result.quarantined] == [code]
    assert result.rows_ok == result.rows_in - 1 == result.table.num_rows
    bad = result.quarantined[0]
    assert bad.symbol == "AAPL"
    assert rows[bad.line - 2].startswith(bad.ts)
    assert bad.reason.startswith(code)


@pytest.mark.parametrize(
    ("codes", "rows"),
    [
        ("I01", faulty(4, "09:34", "09:34:30", INTRADAY)),
        ("I02", faulty(0, "09:30", "09:29", INTRADAY)),
        ("I02", [*INTRADAY, "2024-11-29 13:00,10,12,9,11,5"]),
        ("I01 I04", [*INTRADAY, "2024-11-29 12:59:30,10,12,9,11,5"]),
        ("D03", [*INTRADAY, "2024-03-10 02:30,10,12,9,11,5"]),
    ],
)
def test_each_fault_of_an_intraday_stamp_is_put_aside(write, codes, rows):
    path = write(text(rows))
    with pytest.raises(ContractError, match=codes.split()[0]):
        import_bars(path, bar_size="1min", timezone="America/New_York")
    result = import_bars(path, bar_size="1min", timezone="America/New_York", on_bad="quarantine")
    assert len(result.quarantined) == 1
    assert [
        code for code in ("D03", "D04", "I01", "I02", "I04", "I05") if code in result.quarantined[0].reason
    ] == codes.split()


def test_of_duplicates_the_first_is_kept(write):
    rows = [*DAILY, DAILY[2].replace(",300", ",999")]
    result = import_bars(write(text(rows)), bar_size="1d", on_bad="quarantine")
    assert result.table["volume"].to_pylist() == [100.0, 200.0, 300.0]
    assert result.quarantined[0].line == 5


def test_put_aside_rows_name_their_file_inside_the_folder_and_no_path_of_the_machine(write, tmp_path):
    """The same folder at another place must give the same quarantine, or importing it again would change the dataset."""
    write(text(faulty(1, ",200", ",-1")), "in/deep/AAPL.csv")
    for source, name in ((tmp_path / "in", "deep/AAPL.csv"), (tmp_path / "in" / "deep" / "AAPL.csv", "AAPL.csv")):
        assert [row.origin for row in import_bars(source, bar_size="1d", on_bad="quarantine").quarantined] == [name]


def test_bad_symbols_are_put_aside(write):
    rows = [f"{DAILY[0]},AAPL", f"{DAILY[1]},", f"{DAILY[2]},BAD SYMBOL"]
    result = import_bars(write(text(rows, HEADER.strip() + ",Symbol\n")), bar_size="1d", on_bad="quarantine")
    assert [(row.code, row.symbol) for row in result.quarantined] == [("S01", ""), ("S01", "BAD SYMBOL")]


def test_every_broken_rule_is_listed_with_its_first_places(write):
    rows = [*DAILY, *(f"2024-12-0{d},-1,2,-1,1,-1" for d in range(3, 7))]
    with pytest.raises(ContractError, match="breaks 2 rules") as caught:
        import_bars(write(text(rows)), bar_size="1d")
    assert "D07 nonpositive_price: prices must be above 0; at " in str(caught.value)
    assert "line 7 (AAPL 2024-12-05); and 1 more" in str(caught.value)


def test_nothing_good_is_refused_even_in_quarantine(write):
    with pytest.raises(ContractError, match="D07"):
        import_bars(write(text(["2024-11-27,-1,2,-1,1,5"])), bar_size="1d", on_bad="quarantine")


@pytest.mark.parametrize(("declared", "actual"), [("1min", BarSize.M5), ("5min", BarSize.M1), ("30min", BarSize.H1)])
@pytest.mark.parametrize("on_bad", ["refuse", "quarantine"])
def test_bars_of_another_size_are_refused_whole(declared, actual, on_bad):
    """Read as M1, an M5 bar would be known four minutes early; read as M5, every fifth M1 bar would pass as one."""
    day = date_to_day(dt.date(2024, 5, 2))
    stamps = ExchangeCalendar.get("XNYS").labels(day, day, actual)
    frame = pl.DataFrame({"ts": pl.Series(stamps).cast(pl.Datetime("ns", "UTC"))}).with_columns(
        [pl.lit(1.0).alias(name) for name in ("open", "high", "low", "close", "volume")]
    )
    with pytest.raises(ContractError, match=r"I03 wrong_timeframe: .* A has bars"):
        import_bars(frame, bar_size=declared, symbol="A", on_bad=on_bad)


def test_a_symbol_that_trades_rarely_keeps_its_bar_size():
    stamps = [utc(f"2024-05-02T13:{m:02}") for m in (30, 31, 37, 45, 59)]
    frame = pl.DataFrame({"ts": stamps, "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 0}).with_columns(
        pl.col("ts").dt.cast_time_unit("ns")
    )
    assert import_bars(frame, bar_size="1min", symbol="A").rows_ok == 5


def test_naive_frames_are_refused_with_the_remedy_of_their_library():
    frame = daily_frame().tz_localize(None)
    with pytest.raises(ContractError, match=r'carry a time zone.*df\.index = df\.index\.tz_localize\("UTC"\)'):
        import_bars(frame, bar_size="1d", symbol="A")
    polars = pl.DataFrame({"ts": pl.from_pandas(frame.index), **{c: pl.from_pandas(frame[c]) for c in frame.columns}})
    with pytest.raises(ContractError, match=r'dt\.replace_time_zone\("UTC"\)'):
        import_bars(polars, bar_size="1d", symbol="A")
    assert import_bars(frame, bar_size="1d", symbol="A", timezone="UTC").rows_ok == 2


def test_naive_file_is_refused_with_the_remedy(write):
    with pytest.raises(ContractError, match=r"AAPL\.csv: stamps' must carry a time zone.*Declare the zone they are in"):
        import_bars(write(text(INTRADAY)), bar_size="1min")


@pytest.mark.parametrize(
    ("content", "name", "error", "message"),
    [
        ("", "A.csv", DataError, r"A\.csv is empty"),
        (HEADER, "A.csv", DataError, r"A\.csv is empty: it has a header but no row"),
        (b"\x00\x01\x02\xff" * 50, "A.csv", DataError, "it holds binary data"),
        (b"\xff\xfe\xfa\n\xff,2\n", "A.csv", DataError, "cannot be read as CSV text in UTF-8"),
        (HEADER.encode() + b"\xff\xfe,1,1,1,1,1\n", "A.csv", DataError, "cannot be read as CSV text in UTF-8"),
        (HEADER + "1,2,3,4,5,6,7,8\n", "A.csv", DataError, "cannot be read as CSV"),
        (b"junk", "A.csv.gz", DataError, "cannot be read as CSV"),
        (gzip.compress(text(DAILY).encode(), mtime=0)[:40], "A.csv.gz", DataError, "cannot be read as CSV"),
        (b"junk", "A.parquet", DataError, "cannot be read as Parquet"),
        (b"", "A.parquet", DataError, "cannot be read as Parquet"),
        ("x", "A.xlsx", DataError, r"must end in one of \.csv, \.csv\.gz, \.parquet, was '\.xlsx'"),
        (
            "Date,Open,High,Low,Close\n2024-11-27,1,1,1,1\n",
            "A.csv",
            ContractError,
            "no column for volume; the columns are 'Date'",
        ),
        ("1,2,3\n4,5,6\n", "A.csv", ContractError, "no column for ts, open"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(write, content, name, error, message):
    with pytest.raises(error, match=message):
        import_bars(write(content, name), bar_size="1d")


def test_missing_files_and_empty_folders_are_named(tmp_path):
    with pytest.raises(DataNotFound, match="there is no file or folder named"):
        import_bars(tmp_path / "nothing.csv", bar_size="1d")
    with pytest.raises(DataNotFound, match=r"holds no file named \*\.csv"):
        import_bars(tmp_path, bar_size="1d")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "the mapping of symbols to frames is empty"),
        ({"A": [1]}, "'frame 'A'' must be a pandas or polars DataFrame"),
        (42, "must be a pandas or polars DataFrame, a mapping"),
    ],
)
def test_what_is_no_source_is_refused(source, message):
    with pytest.raises((ContractError, DataError), match=message):
        import_bars(source, bar_size="1d")


def test_empty_frame_is_refused():
    with pytest.raises(DataError, match="frame is empty"):
        import_bars(daily_frame().iloc[:0], bar_size="1d", symbol="A")


def test_frame_without_any_symbol_says_how_to_give_one():
    with pytest.raises(ContractError, match="no symbol; pass symbol='AAPL'"):
        import_bars(daily_frame(), bar_size="1d")


def test_a_passed_symbol_must_agree_with_the_column():
    frame = daily_frame().assign(symbol="MSFT")
    assert import_bars(frame, bar_size="1d", symbol="msft").rows_ok == 2
    with pytest.raises(ContractError, match="must be 'AAPL' throughout, as was passed, was 'MSFT'"):
        import_bars(frame, bar_size="1d", symbol="AAPL")


def test_frame_with_two_levels_of_columns_says_how_to_pick_one():
    frame = pd.concat({"AAPL": daily_frame()}, axis=1).swaplevel(axis=1)
    with pytest.raises(ContractError, match=r"df\.xs\('AAPL', axis=1, level=1\)"):
        import_bars(frame, bar_size="1d")
    assert import_bars(frame.xs("AAPL", axis=1, level=1), bar_size="1d", symbol="AAPL").rows_ok == 2


def test_an_index_that_numbers_the_rows_is_no_stamp():
    frame = daily_frame().rename_axis("Date").reset_index()
    assert import_bars(frame[frame["Open"] > 10.5], bar_size="1d", symbol="A").table["open"].to_pylist() == [11.0]


def test_a_column_of_mixed_cells_becomes_numbers_or_is_blamed_by_row():
    frame = daily_frame().astype({"Volume": object})
    frame.iloc[0, 4] = "7"
    assert import_bars(frame, bar_size="1d", symbol="A").table["volume"].to_pylist() == [7.0, 2.0]


def test_a_column_of_truth_values_is_no_price():
    with pytest.raises(ContractError, match=r"D10 dtype: .* at frame row 0"):
        import_bars(daily_frame().astype({"Volume": bool}), bar_size="1d", symbol="A")


def test_stamps_that_cannot_be_placed_on_the_calendar_at_all_are_refused(write):
    with pytest.raises(ContractError, match="D11 session_label"):
        import_bars(write(text(["1824-11-27,10,12,9,11,100"])), bar_size="1d")


def test_a_frame_indexed_by_date_and_symbol_is_understood():
    frame = pd.concat({"A": daily_frame(), "B": daily_frame()}, names=["symbol", "date"]).swaplevel()
    assert import_bars(frame, bar_size="1d").table["symbol"].to_pylist() == ["A", "B", "A", "B"]


def test_a_frame_with_a_cell_that_is_no_number_names_its_row():
    frame = daily_frame().astype({"Open": object})
    frame.iloc[1, 0] = "abc"
    with pytest.raises(ContractError, match=r"D10 dtype: .* at frame row 1 \(A "):
        import_bars(frame, bar_size="1d", symbol="A")


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"bar_size": "7min"}, ConfigurationError, "bar_size"),
        ({"bar_size": "1d", "calendar": "XNYX"}, UnknownName, "did you mean 'XNYS'"),
        ({"bar_size": "1d", "timezone": "Mars"}, ConfigurationError, "IANA time zone"),
        ({"bar_size": "1d", "on_bad": "ignore"}, ConfigurationError, "must be 'refuse' or 'quarantine', was 'ignore'"),
    ],
)
def test_wrong_arguments_are_refused(kwargs, error, message):
    with pytest.raises(error, match=message):
        import_bars(daily_frame(), symbol="A", **kwargs)


def test_the_table_has_the_types_of_its_schema_after_quarantine(write):
    result = import_bars(write(text(faulty(1, ",200", ",-1"))), bar_size="1d", on_bad="quarantine")
    assert result.table.schema == BAR_SCHEMA
    assert pa.types.is_timestamp(result.table.schema.field("known").type)
    assert not np.isnan(result.table["close"].to_numpy()).any()
