"""Quotes and trades from files: a strict contract, one order for all files, and memory for a batch."""

from __future__ import annotations

import datetime as dt
import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound
from fairlead.core.events import Quote, Trade
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic.quotes import generate_quotes, quote_events
from fairlead.data.synthetic.settings import SyntheticSettings
from fairlead.data.tick_files import BATCH_ROWS
from fairlead.data.ticks import TickSource
from fairlead.execution.settings import ExecutionSettings

FOREVER = 1 << 62
QUOTES = "symbol,timestamp,bid,bid_size,ask,ask_size\n"
TRADES = "symbol,timestamp,price,size\n"
T0 = 1_704_205_800_000_000_000
"""2024-01-02T14:30:00Z."""
STAMP = "2024-01-02T14:30:00.00000000{}Z"


def stamp(ns):
    return STAMP.format(ns)


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return tmp_path

    return write


def everything(path, symbols=("A", "B"), *, trades=True):
    return list(TickSource(path, symbols, trades=trades).stream().until(FOREVER))


def test_files_are_one_stream_in_order_of_time_and_symbol(folder):
    """Of one symbol and instant the trade comes first: the quote shows what it has left."""
    path = folder(
        quotes=QUOTES
        + f"B,{stamp(1)},10,100,10.5,200\nA,{stamp(1)},20,1,20.5,2\nC,{stamp(2)},1,1,2,1\nA,{stamp(3)},21,1,21.5,2\n",
        trades=TRADES + f"A,{stamp(1)},20.5,7\nB,{stamp(2)},10,8\n",
    )
    a1, b1, a3 = Quote("A", T0 + 1, 20, 20.5, 1, 2), Quote("B", T0 + 1, 10, 10.5, 100, 200), Quote("A", T0 + 3, 21, 21.5, 1, 2)
    assert everything(path) == [Trade("A", T0 + 1, 20.5, 7), a1, b1, Trade("B", T0 + 2, 10, 8), a3]
    assert everything(path, trades=False) == [a1, b1, a3]
    assert everything(path, ("B",)) == [b1, Trade("B", T0 + 2, 10, 8)]


def test_a_stream_goes_on_where_it_stopped(folder):
    path = folder(trades=TRADES + "".join(f"A,{stamp(i)},{i + 1},1\n" for i in range(9)))
    stream = TickSource(path, ("A",), trades=True).stream()
    assert [t.price for t in stream.until(T0 + 2)] == [1, 2, 3]
    assert list(stream.until(T0 + 2)) == []
    assert stream.skip(T0 + 5) == []
    assert [t.price for t in stream.until(FOREVER)] == [7, 8, 9]
    assert list(stream.until(FOREVER)) == []


def test_skipping_leaves_the_last_quote_of_each_symbol(folder):
    rows = [f"{symbol},{stamp(i)},{i + 1},1,{i + 2},1\n" for i in range(8) for symbol in "BA" if (symbol, i) != ("A", 4)]
    stream = TickSource(folder(quotes=QUOTES + "".join(rows)), ("A", "B"), trades=False).stream()
    assert [(q.symbol, q.known_ns, q.bid) for q in stream.skip(T0 + 4)] == [("A", T0 + 3, 4), ("B", T0 + 4, 5)]
    assert [(q.symbol, q.bid) for q in stream.until(T0 + 5)] == [("A", 6), ("B", 6)]


def test_one_file_may_hold_both_kinds_and_an_empty_side(folder):
    text = f"symbol,timestamp,bid,bid_size,ask,ask_size,price,size,venue\nA,{stamp(0)},10,5,,,,,X\nA,{stamp(1)},,,,,10,3,Y\n"
    bid, print_ = everything(folder(both=text))
    assert (bid.bid, bid.bid_size, bid.ask_size) == (10, 5, 0)
    assert np.isnan(bid.ask)
    assert print_ == Trade("A", T0 + 1, 10, 3)


def test_parquet_and_compressed_text_are_read_alike(tmp_path):
    text = QUOTES + f"A,{stamp(1)},10,100,10.5,200\nA,{stamp(2)},10,100,10.25,200\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.encode()))
    stamps = pa.array([T0 + 1, T0 + 2], pa.timestamp("ns", "America/New_York"))
    columns = {"symbol": pa.array(["A", "A"]).dictionary_encode(), "timestamp": stamps, "bid": [10, 10], "bid_size": [100, 100]}
    pq.write_table(pa.table({**columns, "ask": [10.5, 10.25], "ask_size": [200, 200]}), tmp_path / "c.parquet")
    a, b, c = (everything(tmp_path / name, trades=False) for name in ("a.csv", "b.csv.gz", "c.parquet"))
    assert a == b == c
    assert [q.ask for q in a] == [10.5, 10.25]


def test_an_instant_that_lies_across_two_batches_is_still_in_order(tmp_path):
    """Thousands of rows have one stamp; the symbols of each instant come sorted."""
    n = BATCH_ROWS + 1000
    ts = T0 + np.arange(n) // 5000
    symbols = np.array(["B", "A"])[np.arange(n) % 2]
    rows = {
        "symbol": symbols,
        "timestamp": pa.array(ts, pa.timestamp("ns", "UTC")),
        "price": np.arange(1.0, n + 1),
        "size": np.ones(n),
    }
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    source = TickSource(tmp_path / "t.parquet", ("A", "B"), trades=True)
    found = list(source.stream().until(FOREVER))
    assert [(t.known_ns, t.symbol, t.price) for t in found] == sorted((t.known_ns, t.symbol, t.price) for t in found)
    assert len(found) == n
    pieces, stream = [], source.stream()
    for instant in range(T0, T0 + n // 5000 + 1):
        pieces += list(stream.until(instant))
    assert pieces == found


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            "A,{t},-1,1,2,1",
            r"q\.csv: row 2: bid' must be a finite price above 0, or empty as bid_size where there is none, was -1",
        ),
        ("A,{t},,1,2,1", "row 2: bid' must be a finite price above 0, or empty"),
        ("A,{t},1,1,inf,1", "row 2: ask' must be a finite price above 0"),
        ("A,{t},1,-1,2,1", "row 2: bid_size' must be a finite size of 0 or more, was -1"),
        ("A,{t},1,,2,1", "row 2: bid_size' must be a finite size"),
        ("A,{t},3,1,2,1", "row 2: bid' must not be above the ask, was 3"),
        ("a,{t},1,1,2,1", "row 2: symbol' must be a symbol in capitals, was 'a'"),
        (",{t},1,1,2,1", "row 2: symbol' must be a symbol in capitals"),
        ("A,,1,1,2,1", "row 2: timestamp' must be given"),
        ("A,2024-01-01T00:00:00Z,1,1,2,1", "row 2: timestamp' must not be before that of the row above.*Sort the file"),
        ("A,2024-01-02T15:00:00,1,1,2,1", "q.csv cannot be read.*expected a zone offset.*Stamps need a zone, such as"),
        ("A,{t},x,1,2,1", "q.csv cannot be read.*invalid value 'x'"),
    ],
)
def test_a_row_that_breaks_the_contract_is_named(folder, row, text):
    path = folder(q=QUOTES + f"A,{stamp(0)},1,1,2,1\n" + row.format(t=stamp(1)) + "\n")
    with pytest.raises((ContractError, DataError), match=text):
        everything(path)


@pytest.mark.parametrize(("price", "size"), [("0", "1"), ("1", "0"), ("", "1"), ("1", ""), ("nan", "1"), ("1", "inf")])
def test_a_trade_has_a_price_and_a_size(folder, price, size):
    with pytest.raises(ContractError, match=r"row 1: (price|size)' must be a finite number above 0"):
        everything(folder(t=TRADES + f"A,{stamp(0)},{price},{size}\n"))


def test_a_breach_far_inside_a_file_is_found_when_it_is_reached(tmp_path):
    n = BATCH_ROWS + 10
    price = np.ones(n)
    price[-1] = -1.0
    stamps = pa.array(T0 + np.arange(n), pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"symbol": ["A"] * n, "timestamp": stamps, "price": price, "size": price}), tmp_path / "t.parquet")
    stream = TickSource(tmp_path, ("A",), trades=True).stream()
    assert len(list(stream.until(T0 + 10))) == 11
    with pytest.raises(ContractError, match=rf"t\.parquet: row {n}: price' must"):
        list(stream.until(FOREVER))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol,timestamp,bid,ask\n", r"have bid, bid_size, ask, ask_size or none of them.*Missing: bid_size, ask_size\."),
        ("symbol,price,size\n", "have columns symbol and timestamp, and bid, bid_size, ask and ask_size, or price and size"),
        ("symbol,timestamp\n", "have columns symbol and timestamp, and"),
        (QUOTES, "q.csv holds no row"),
        ("", "have columns symbol and timestamp"),
    ],
)
def test_a_file_that_is_no_ticks_is_refused_before_the_run(folder, text, message):
    with pytest.raises((ContractError, DataError), match=message):
        TickSource(folder(q=text), ("A",), trades=False)


def test_what_is_not_there_is_said(folder, tmp_path):
    with pytest.raises(DataNotFound, match="there is no file or folder of ticks named"):
        TickSource(tmp_path / "nowhere", ("A",), trades=True)
    with pytest.raises(DataNotFound, match="holds no file named"):
        TickSource(tmp_path, ("A",), trades=True)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="must end in one of"):
        TickSource(tmp_path / "x.json", ("A",), trades=True)
    (tmp_path / "x.parquet").write_text("{}")
    with pytest.raises(DataError, match=r"x\.parquet cannot be read"):
        TickSource(tmp_path / "x.parquet", ("A",), trades=True)
    quotes = folder(q=QUOTES + f"A,{stamp(0)},1,1,2,1\n") / "q.csv"
    with pytest.raises(ContractError, match=r"hold trades.*columns price and size"):
        TickSource(quotes, ("A",), trades=True)
    trades = folder(t=TRADES + f"A,{stamp(0)},1,1\n") / "t.csv"
    with pytest.raises(ContractError, match=r"hold quotes.*columns bid, bid_size, ask and ask_size"):
        TickSource(trades, ("A",), trades=False)


def test_naive_stamps_in_parquet_are_refused(tmp_path):
    stamps = pa.array([T0], pa.timestamp("ns"))
    pq.write_table(pa.table({"symbol": ["A"], "timestamp": stamps, "price": [1.0], "size": [1.0]}), tmp_path / "t.parquet")
    with pytest.raises(ContractError, match=r"be instants with a time zone.*Attach UTC"):
        TickSource(tmp_path, ("A",), trades=True)


def test_the_hash_is_that_of_the_contents(folder):
    path = folder(t=TRADES + f"A,{stamp(0)},1,1\n")
    first = TickSource(path, ("A",), trades=True)
    assert first.content_hash == TickSource(path, ("A", "B"), trades=True).content_hash
    folder(t=TRADES + f"A,{stamp(0)},1,2\n")
    assert TickSource(path, ("A",), trades=True).content_hash != first.content_hash
    assert (len(first.content_hash), first.name) == (64, path.name)


def test_generated_quotes_go_through_the_file(tmp_path):
    """What the generator makes is what the venue reads, but for the name of the stamp."""
    settings = SyntheticSettings(symbols=1, start=dt.date(2024, 1, 2), end=dt.date(2024, 1, 3), bar_size="1min")
    table = generate_quotes(settings, ExchangeCalendar.get("XNYS"), settings.names[0], dt.date(2024, 1, 2))
    pq.write_table(
        table.rename_columns(["timestamp" if n == "known" else n for n in table.column_names]), tmp_path / "q.parquet"
    )
    assert everything(tmp_path, settings.names, trades=False) == list(quote_events(table))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"fidelity": "quotes"}, "'ticks' must be given with fidelity: quotes"),
        ({"ticks": "x.csv"}, "'ticks' must not be given with fidelity: bars"),
        ({"fidelity": "level3", "ticks": "x.csv"}, "fidelity"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given, text):
    with pytest.raises((ConfigurationError, ValueError), match=text):
        ExecutionSettings(**given)
