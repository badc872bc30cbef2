"""The door: whatever comes from outside is checked here once, and either becomes canonical bars or is refused with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fairlead.contracts.frames.checks import bad_volume, disordered, intraday_faults, price_faults, repeated, spacings
from fairlead.contracts.frames.violation import RULES, contract_error
from fairlead.core.arrays import BoolArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize
from fairlead.data.batch import Batch, QuarantinedRow, read_part
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.columns import BAR_FIELDS
from fairlead.data.readers import read_tables
from fairlead.data.stamps import Reading
from fairlead.data.table import BAR_SCHEMA

OnBad = Literal["refuse", "quarantine"]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What came through the door.

    Attributes
    ----------
    table : pyarrow.Table
        The good rows in `fairlead.data.table.BAR_SCHEMA`, sorted by (known, symbol).
    quarantined : tuple of QuarantinedRow
        The others, in the order of the source.
    rows_in, rows_ok : int
        Rows read, and rows in `table`; the difference is the number quarantined.
    """

    table: pa.Table
    quarantined: tuple[QuarantinedRow, ...]
    rows_in: int
    rows_ok: int


def import_bars(
    source: Any,
    *,
    bar_size: BarSize | str,
    calendar: ExchangeCalendar | str = "XNYS",
    timezone: str | None = None,
    symbol: str | None = None,
    on_bad: OnBad = "refuse",
    stamp_format: str | None = None,
    is_answer: bool = False,
) -> ImportResult:
    """Read bars from files or frames and check every row.

    Parameters
    ----------
    source : path, pandas.DataFrame, polars.DataFrame, or mapping of str to either frame
        See `fairlead.data.readers.read_tables`. Stamps are the bars' openings; of daily bars, their dates.
    bar_size : BarSize or str
        Length of a bar.
    calendar : ExchangeCalendar or str
        The exchange whose sessions the bars must lie in.
    timezone : str, optional
        IANA zone of stamps that carry none; without it they are refused, except the dates of daily bars.
    symbol : str, optional
        The symbol of everything in `source`.
    on_bad : {"refuse", "quarantine"}
        Whether one bad row refuses everything, or bad rows are put aside with their reasons. Of rows with the same stamp the
        first is kept; a row whose stamp lies before an earlier row's is put aside, never sorted in.
    stamp_format : str, optional
        A strptime pattern for stamps that are not ISO 8601.
    is_answer : bool
        Whether the rows are what a vendor answered when it was asked for bars of this size. They may then be few and far apart,
        and all of them may be put aside.

    Raises
    ------
    ContractError
        If a column is missing, stamps lack a time zone, the bars are of another size than declared, or rows break rules and
        `on_bad` is ``"refuse"``, or no row is good.
    DataError
        If a source is missing, empty or unreadable.
    ConfigurationError
        If an argument is unknown: the bar size, the calendar, the time zone.
    """
    if on_bad not in {"refuse", "quarantine"}:
        raise ConfigurationError.of("on_bad", "be 'refuse' or 'quarantine'", on_bad)
    size = BarSize.parse(bar_size)
    exchange = calendar if isinstance(calendar, ExchangeCalendar) else ExchangeCalendar.get(calendar)
    reading = Reading(size, timezone, stamp_format)
    batch = Batch.of([read_part(raw, reading) for raw in read_tables(source, symbol)])
    _check_stamps(batch, size, exchange, is_answer=is_answer)
    _check_order(batch)
    batch.blame(price_faults(*(batch.values[:, i] for i in range(4))))
    batch.blame({"D08": bad_volume(batch.values[:, 4])})
    bad = batch.bad()
    if bad.any() and (on_bad == "refuse" or (bad.all() and not is_answer)):
        raise contract_error(batch.describe(), [*batch.findings()])
    table = _table(batch, ~bad, size, exchange)
    return ImportResult(table, tuple(batch.quarantined(bad)), len(bad), table.num_rows)


def _check_stamps(batch: Batch, size: BarSize, calendar: ExchangeCalendar, *, is_answer: bool) -> None:
    outside_code = "I02" if size.is_intraday else "D11"
    readable = ~(batch.faults["D02"] | batch.faults["D03"])
    days = batch.label_ns // NS_PER_DAY
    known = readable & (days >= calendar.first_day) & (days <= calendar.last_day)
    batch.blame({outside_code: readable & ~known})
    stamps = batch.label_ns[known]
    if len(stamps) == 0:
        return
    if not size.is_intraday:
        batch.blame({"D11": _spread(~calendar.locate(stamps, size).inside, known)})
        return
    segments = calendar.segments_between(int(stamps.min()), int(stamps.max()))
    faults = intraday_faults(stamps, size.ns, segments)
    batch.blame({"I01": _spread(faults.off_grid, known), "I02": _spread(faults.outside, known)})
    batch.blame({"I04": _spread(faults.straddles, known), "I05": _spread(faults.overnight, known)})
    for name, rows in batch.by_symbol():
        steps = spacings(batch.label_ns[rows[known[rows]]], segments)
        # Bars may be missing, so most of an illiquid symbol's may be farther apart; but none of another size may pass as this.
        if len(steps) and (np.median(steps) < size.ns or (steps.min() > size.ns and not is_answer)):
            found = f"{np.median(steps) / NS_PER_SECOND:g} s at the median, {steps.min() / NS_PER_SECOND:g} s at least"
            where = batch.place(int(rows[0]))
            finding = f"I03 {RULES['I03'][0]}: {RULES['I03'][1]}, {size}; {name} has bars {found} apart (from {where})"
            raise contract_error(batch.describe(), [finding])


def _check_order(batch: Batch) -> None:
    readable = ~(batch.faults["D02"] | batch.faults["D03"])
    unsorted, duplicate = np.zeros_like(readable), np.zeros_like(readable)
    for _, all_rows in batch.by_symbol():
        rows = all_rows[readable[all_rows]]
        duplicate[rows] = repeated(batch.label_ns[rows])
        # Files are read in the order of their names, which need not be that of their dates: order counts within a file.
        for part in np.split(rows, np.flatnonzero(np.diff(batch.table_of[rows])) + 1):
            unsorted[part] = disordered(batch.label_ns[part])
    batch.blame({"D04": unsorted, "D05": duplicate})


def _spread(mask: BoolArray, onto: BoolArray) -> BoolArray:
    wide = np.zeros_like(onto)
    wide[onto] = mask
    return wide


def _table(batch: Batch, good: BoolArray, size: BarSize, calendar: ExchangeCalendar) -> pa.Table:
    label_ns, symbol_of, values = batch.label_ns[good], batch.symbol_of[good], batch.values[good]
    known_ns, session = calendar.closing_instants(label_ns, size)
    order = np.lexsort((symbol_of, known_ns))
    stamp = pa.timestamp("ns", tz="UTC")
    columns = [
        pa.array(known_ns[order]).cast(stamp),
        pa.array(batch.symbols, pa.string()).take(pa.array(symbol_of[order])),
        pa.array(label_ns[order]).cast(stamp),
        pa.array(session[order], pa.int32()).cast(pa.date32()),
        *(pa.array(values[order, i]) for i in range(len(BAR_FIELDS))),
    ]
    return pa.Table.from_arrays(columns, schema=BAR_SCHEMA)
