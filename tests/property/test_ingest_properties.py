"""The door lets a row through or puts it aside: never both, never neither."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.contracts.frames import DailyFrameSpec
from fairlead.core.errors import ContractError
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.ingest import import_bars

PRICES = st.sampled_from([9.0, 10.0, 11.0, 12.0, 10.5, -1.0, 0.0, float("nan"), float("inf"), None])
ROWS = st.tuples(
    st.integers(0, 12).map(lambda d: dt.date(2024, 11, 22) + dt.timedelta(days=d)),
    st.sampled_from(["A", "B", "b ", "??"]),
    *([PRICES] * 4),
    st.sampled_from([0.0, 1.0, 5.0, -1.0, None]),
)
COLUMNS = ("date", "symbol", "open", "high", "low", "close", "volume")
GOOD = (dt.date(2024, 11, 21), "A", 1.0, 1.0, 1.0, 1.0, 1.0)


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(ROWS, max_size=12))
def test_good_and_quarantined_rows_partition_the_input(rows):
    frame = pl.DataFrame([GOOD, *rows], schema=COLUMNS, orient="row", strict=False)
    result = import_bars(frame, bar_size="1d", on_bad="quarantine")
    assert result.rows_in == len(rows) + 1
    assert result.rows_ok == result.table.num_rows == result.rows_in - len(result.quarantined)
    aside = {row.line for row in result.quarantined}
    assert len(aside) == len(result.quarantined)
    kept = sorted((row["session"], row["symbol"], *(row[name] for name in COLUMNS[2:])) for row in result.table.to_pylist())
    expected = sorted((r[0], r[1].strip().upper(), *r[2:]) for i, r in enumerate([GOOD, *rows]) if i not in aside)
    assert kept == expected


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(ROWS, max_size=12))
def test_what_is_let_through_keeps_the_contract_and_passes_again(rows):
    """Quarantine is a projection: what it kept has nothing left to put aside, and strict mode accepts it."""
    frame = pl.DataFrame([GOOD, *rows], schema=COLUMNS, orient="row", strict=False)
    table = import_bars(frame, bar_size="1d", on_bad="quarantine").table
    kept = pl.DataFrame(table).select(pl.col("label").alias("date"), *COLUMNS[1:])
    again = import_bars(kept, bar_size="1d")
    assert again.table.equals(table)
    for _, part in kept.group_by("symbol"):
        named = part.rename({name: name.upper() for name in COLUMNS[2:]})
        assert DailyFrameSpec().validate(named, ExchangeCalendar.get("XNYS")) == (True, [])


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(ROWS, max_size=8))
def test_strict_mode_refuses_exactly_what_quarantine_would_put_aside(rows):
    frame = pl.DataFrame([GOOD, *rows], schema=COLUMNS, orient="row", strict=False)
    aside = import_bars(frame, bar_size="1d", on_bad="quarantine").quarantined
    if aside:
        with pytest.raises(ContractError) as caught:
            import_bars(frame, bar_size="1d")
        assert all(row.code in str(caught.value) for row in aside)
    else:
        assert import_bars(frame, bar_size="1d").rows_ok == len(rows) + 1
