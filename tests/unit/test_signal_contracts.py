"""Signals, their files, and the list of candidates that bounds them (domain rules 3.1, 3.2)."""

from __future__ import annotations

import datetime as dt
import logging
import math
from dataclasses import replace
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest

from fairlead.contracts import CandidateList, Signal, read_signals, signals_from_frame, write_signals
from fairlead.contracts.signals import SIGNAL_COLUMNS, check_signals, refuse_lookahead, signal_id
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound
from fairlead.core.identity import short_hash
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar

NOON = dt.datetime(2025, 1, 6, 14, 40, tzinfo=dt.UTC)
D = Decimal


def signal(**changes):
    values = {
        "symbol": "AAPL",
        "timestamp": NOON,
        "timeframe": BarSize.M5,
        "long_entry": D("101.00"),
        "sl_long": D("100.60"),
        "tp_long": D("101.80"),
        "short_entry": D("100.20"),
        "sl_short": D("100.60"),
        "tp_short": D("99.40"),
        "setup": "inside_bar",
        "score": 0.75,
        "score_components": {"volume": 0.5, "size": 1.0},
        "strategy": "insidebar",
        "strategy_version": "1.0.0",
        "signal_id": signal_id(run_id="bt_demo", symbol="AAPL", timestamp=NOON, setup="inside_bar"),
        "metadata": {"mother": "2025-01-06T14:30:00Z", "note": 'a "quoted", one'},
    }
    return Signal(**values | changes)


BARE = signal(
    symbol="BRK.B",
    short_entry=None,
    sl_short=None,
    tp_short=None,
    sl_long=None,
    tp_long=None,
    setup=None,
    score=None,
    score_components=None,
    metadata=None,
)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_give_back_what_was_written(tmp_path, ending):
    """Exact prices, null and all, in the columns of the schema."""
    path = tmp_path / f"signals.{ending}"
    write_signals(path, [signal(), BARE])
    assert read_signals(path) == [signal(), BARE]
    frame = pl.read_csv(path) if ending == "csv" else pl.read_parquet(path)
    assert tuple(frame.columns) == SIGNAL_COLUMNS
    write_signals(path, [])
    assert read_signals(path) == []


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_read_like_files(tmp_path, library):
    """A frame in memory is held to the same rules."""
    path = tmp_path / "signals.parquet"
    write_signals(path, [signal(), BARE])
    frame = pl.read_parquet(path) if library == "polars" else pd.read_parquet(path)
    assert signals_from_frame(frame) == [signal(), BARE]
    later = frame.assign(exit_price=1.0) if library == "pandas" else frame.with_columns(exit_price=1.0)
    with pytest.raises(ContractError, match="exit_price"):
        signals_from_frame(later)
    with pytest.raises(ContractError, match="data frame"):
        signals_from_frame([1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"long_entry": None, "sl_long": None, "tp_long": None, "short_entry": None, "sl_short": None, "tp_short": None},
            "entry",
        ),
        ({"sl_long": D("101.00")}, "stop_loss < entry < take_profit"),
        ({"tp_long": D("100.90")}, "stop_loss < entry < take_profit"),
        ({"sl_short": D("100.10")}, "take_profit < entry < stop_loss"),
        ({"tp_short": D("100.20")}, "take_profit < entry < stop_loss"),
        ({"long_entry": None}, "come with a long_entry"),
        ({"timeframe": BarSize.D1}, "long or short, not both"),
        ({"timeframe": BarSize.H4}, "timeframe"),
        ({"long_entry": D("NaN")}, "long_entry"),
        ({"long_entry": 101.0}, "Instrument.price_to_decimal"),
        ({"sl_long": D(0)}, "sl_long"),
        ({"score": 1.01}, "score"),
        ({"score": math.nan}, "score"),
        ({"score_components": {"a": math.inf}}, "score_components a"),
        ({"score_components": {"a": True}}, "score_components a"),
        ({"metadata": {"exit_price": 1}}, "exit_price"),
        ({"metadata": {"inner": [{"PnL_day": 1}]}}, "PnL_day"),
        ({"score_components": {"fill_rate": 1.0}}, "fill_rate"),
        ({"symbol": "aapl"}, "upper case"),
        ({"symbol": "A|B"}, "symbol"),
        ({"strategy": "Inside Bar"}, "strategy"),
        ({"strategy_version": "1.0"}, "semantic version"),
        ({"signal_id": ""}, "signal_id"),
        ({"schema_version": "2.0"}, "schema_version"),
        ({"timestamp": NOON.replace(tzinfo=None)}, "timestamp"),
        ({"setup": "two\nlines"}, "setup"),
    ],
)
def test_a_signal_that_breaks_a_rule_is_refused(changes, message):
    """Every rule of the schema, one at a time."""
    with pytest.raises(ContractError, match=message):
        signal(**changes)


@pytest.mark.parametrize("name", ["exit_ts", "Fill_price", "pnl", "pnl_pct", "trade_id", "realized_return", "trigger_ts"])
def test_a_name_that_tells_of_the_future_is_refused(tmp_path, name):
    """In a file too, and whether or not the schema knows the column."""
    with pytest.raises(ContractError, match=name):
        refuse_lookahead(["Symbol", name], "columns")
    path = tmp_path / "signals.csv"
    write_signals(path, [BARE])
    head, row = path.read_text().splitlines()
    path.write_text(f"{head},{name}\n{row},\n")
    with pytest.raises(ContractError, match=name):
        read_signals(path)
    refuse_lookahead(["Symbol", "entry", "existing", "strategy", "trigger"], "columns")


def test_signals_are_unique_and_have_stops_where_risk_sizes_them():
    """Another setup, strategy or instant is another signal."""
    others = [signal(), signal(setup="gap"), signal(strategy="other"), signal(timestamp=NOON + dt.timedelta(minutes=5))]
    assert check_signals(others, risk_based=True) == others
    with pytest.raises(ContractError, match=r"unique.*AAPL 2025-01-06T14:40:00.000000Z insidebar inside_bar"):
        check_signals([signal(), signal(score=0.1)])
    with pytest.raises(ContractError, match=r"sl_long.*sized by risk"):
        check_signals([BARE], risk_based=True)


def test_versions_and_columns_of_files(tmp_path):
    """Minor versions and unknown columns pass; a later major, a missing column and a torn line do not."""
    path = tmp_path / "signals.csv"
    write_signals(path, [BARE])
    text = path.read_text()
    head, row = text.splitlines()
    path.write_text(f"{head},colour\n{row.replace(',1.0,', ',1.7,')},red\n")
    assert read_signals(path) == [replace(BARE, schema_version="1.7")]
    for content, error, message in [
        (text.replace(",1.0,", ",2.0,"), ContractError, "line 2.*schema_version.*later release"),
        (text.replace(",1.0,", ",,"), ContractError, "schema_version"),
        (text.replace("Symbol", "symbol"), ContractError, "lacks the columns Symbol.*'symbol' may be meant for 'Symbol'"),
        (text.replace("M5", "M2"), ContractError, "line 2.*timeframe"),
        (text.replace("101.00", "1e2"), ContractError, "line 2.*long_entry.*exponent"),
        (text.replace("Z,", ","), ContractError, "line 2.*time zone"),
        (text[:-1], DataError, "ends within a line"),
        ("", ContractError, "column names"),
    ]:
        path.write_text(content)
        with pytest.raises(error, match=message):
            read_signals(path)
    with pytest.raises(DataNotFound, match="there is no file"):
        read_signals(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match="Parquet"):
        read_signals(tmp_path / "bad.parquet")
    with pytest.raises(ContractError, match="end in"):
        read_signals(tmp_path / "signals.txt")


def test_the_identifier_is_that_of_the_rule():
    """h(run, symbol, timestamp, setup, schema version)."""
    expected = short_hash("r", "AAPL", "2025-01-06T14:40:00.000000Z", "", "1.0")
    assert signal_id(run_id="r", symbol="AAPL", timestamp=NOON, setup=None) == expected


# ------------------------------------------------------------------------------------------------------------------ candidates

FRIDAY, MONDAY = dt.date(2025, 1, 3), dt.date(2025, 1, 6)


def select(scores, **changes):
    values = {
        "asof_session": FRIDAY,
        "calendar": ExchangeCalendar.get("XNYS"),
        "strategy": "insidebar",
        "strategy_version": "1.0.0",
    }
    return CandidateList.select(scores, **values | changes)


def test_candidates_are_the_best_of_the_scores(caplog):
    """By score, then by symbol; what is cut is said."""
    with caplog.at_level(logging.INFO):
        found = select({"C": 1.0, "A": 1.0, "B": 2.0, "D": 0.5}, max_candidates=3)
    assert found.symbols == ("B", "A", "C")
    assert [item.rank for item in found.items] == [1, 2, 3]
    assert "1 of 4 candidates cut" in caplog.text
    assert found.valid_session == MONDAY
    assert len(select({f"S{i}": i for i in range(60)}).items) == 50


def test_only_candidates_have_signals_and_only_in_their_session():
    """Another symbol, session or strategy is refused; an empty list allows none."""
    found = select({"AAPL": 1.0})
    assert found.check(signal(), MONDAY) == signal()
    for given, session, message in [
        (signal(symbol="MSFT"), MONDAY, "one of the 1 candidates.*MSFT"),
        (signal(), FRIDAY, "session of the AAPL signal"),
        (signal(strategy="other"), MONDAY, "strategy of the AAPL signal"),
    ]:
        with pytest.raises(ContractError, match=message):
            found.check(given, session)
    with pytest.raises(ContractError, match="one of the 0 candidates"):
        select({}).check(signal(), MONDAY)


def test_candidate_lists_survive_their_file(tmp_path):
    """Written, read, and refused where damaged or of a later version."""
    path = tmp_path / "candidates.json"
    found = select({"AAPL": 1.0, "MSFT": 0.5})
    found.write(path)
    assert CandidateList.read(path) == found
    text = path.read_text()
    for content, error in [
        (text.replace('"1.0"', '"2.0"'), ContractError),
        (text.replace('"rank": 2', '"rank": 3'), ContractError),
        (text[:40], DataError),
    ]:
        path.write_text(content)
        with pytest.raises(error, match=r"candidates.json"):
            CandidateList.read(path)
    with pytest.raises(DataNotFound):
        CandidateList.read(tmp_path / "none.json")


def test_candidates_that_break_a_rule_are_refused():
    """No session, no number, no room, the wrong order."""
    for scores, changes, error in [
        ({"A": math.nan}, {}, ContractError),
        ({"A": 1.0}, {"asof_session": dt.date(2025, 1, 4)}, ContractError),
        ({"A": 1.0}, {"max_candidates": 0}, ConfigurationError),
        ({"a": 1.0}, {}, ContractError),
        ({"A": 1.0}, {"strategy_version": "1"}, ContractError),
    ]:
        with pytest.raises(error):
            select(scores, **changes)
    found = select({"A": 1.0, "B": 0.5})
    for changes in ({"items": found.items[::-1]}, {"valid_session": FRIDAY}, {"items": found.items + found.items}):
        with pytest.raises(ContractError):
            replace(found, **changes)
