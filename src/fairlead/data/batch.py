"""All rows of an import as arrays, with what is wrong with each and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from fairlead.contracts.frames.violation import RULES
from fairlead.core.arrays import BoolArray, FloatArray, IntArray
from fairlead.core.errors import ContractError
from fairlead.core.instruments import check_symbol
from fairlead.data.columns import BAR_FIELDS
from fairlead.data.readers import RawTable
from fairlead.data.stamps import Reading, read_labels

_SHOWN_PLACES: Final = 3


class QuarantinedRow(NamedTuple):
    """A row that was put aside.

    Attributes
    ----------
    symbol, ts : str
        As the source wrote them.
    code : str
        The first rule it breaks, e.g. ``"D06"``.
    reason : str
        All rules it breaks, in words.
    origin : str
        The file, inside the folder that was read, or the frame it came from.
    line : int
        Its line in the file, counted from 1, or its row in the frame, counted from 0.
    """

    symbol: str
    ts: str
    code: str
    reason: str
    origin: str
    line: int


@dataclass(slots=True)
class Part:
    """The rows of one table as arrays of shape (n,).

    Attributes
    ----------
    symbols : list of str
        The distinct symbols in canonical form, empty where a name is no symbol; `symbol_of` counts into it.
    label_ns : int64
        Opening instants; 0 where the stamp is at fault.
    values : float64 array of shape (n, 5)
        Open, high, low, close, volume; NaN where there is no number.
    text : polars.DataFrame
        ``symbol``, ``ts`` and ``line`` as the source has them.
    faults : dict of str to bool array
        Rule code -> rows that break it.
    """

    raw: RawTable
    symbols: list[str]
    symbol_of: IntArray
    label_ns: IntArray
    values: FloatArray
    text: pl.DataFrame
    faults: dict[str, BoolArray]


@dataclass(slots=True)
class Batch:
    """All rows of an import, as arrays of shape (n,), and what is wrong with them."""

    tables: Sequence[RawTable]
    table_of: IntArray
    symbols: tuple[str, ...]
    symbol_of: IntArray
    label_ns: IntArray
    values: FloatArray
    text: pl.DataFrame
    faults: dict[str, BoolArray] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Batch:
        """Return the rows of all `parts`, one after the other."""
        symbols = tuple(sorted({name for part in parts for name in part.symbols if name}))
        rank = {name: i for i, name in enumerate(symbols)} | {"": -1}
        batch = cls(
            [part.raw for part in parts],
            np.repeat(np.arange(len(parts)), [len(part.label_ns) for part in parts]),
            symbols,
            np.concatenate([np.array([rank[name] for name in part.symbols], np.int64)[part.symbol_of] for part in parts]),
            np.concatenate([part.label_ns for part in parts]),
            np.concatenate([part.values for part in parts]),
            pl.concat([part.text for part in parts]),
        )
        for code in sorted({code for part in parts for code in part.faults}):
            batch.faults[code] = np.concatenate([part.faults[code] for part in parts])
        batch.blame({"S01": batch.symbol_of < 0})
        return batch

    def blame(self, masks: dict[str, BoolArray]) -> None:
        """Add rows that break rules, by code."""
        for code, mask in masks.items():
            # A cell that is not a number was blamed as D10; that it is not finite follows from it.
            own = mask & ~self.faults["D10"] if code in {"D06", "D08"} else mask
            self.faults[code] = self.faults.get(code, False) | own

    def bad(self) -> BoolArray:
        """Return which rows break any rule."""
        mask: BoolArray = np.logical_or.reduce(list(self.faults.values()))
        return mask

    def by_symbol(self) -> Iterator[tuple[str, IntArray]]:
        """Yield each symbol with the positions of its rows, in the order of the source."""
        order = np.argsort(self.symbol_of, kind="stable")
        starts = np.searchsorted(self.symbol_of[order], np.arange(len(self.symbols) + 1))
        for i, name in enumerate(self.symbols):
            yield name, order[starts[i] : starts[i + 1]]

    def describe(self) -> str:
        """Return what an error calls these rows."""
        more = f" and {len(self.tables) - 1} more" if len(self.tables) > 1 else ""
        return f"{self.tables[0].origin}{more} ({len(self.label_ns)} rows)"

    def place(self, row: int) -> str:
        """Return where a row is to be found in the source."""
        table = self.tables[self.table_of[row]]
        return f"{table.origin} {table.place} {self.text['line'][row]}"

    def findings(self) -> Iterator[str]:
        """Yield a line for each broken rule, by code, with the first places."""
        for code, mask in sorted(self.faults.items()):
            rows = np.flatnonzero(mask)
            if len(rows):
                shown = "; ".join(f"{self.place(r)} ({self._cells(r)})" for r in rows[:_SHOWN_PLACES].tolist())
                more = f"; and {len(rows) - _SHOWN_PLACES} more" if len(rows) > _SHOWN_PLACES else ""
                yield f"{code} {RULES[code][0]}: {RULES[code][1]}; at {shown}{more}"

    def quarantined(self, bad: BoolArray) -> Iterator[QuarantinedRow]:
        """Yield the rows marked in `bad` with their reasons, in the order of the source."""
        codes = sorted(self.faults)
        for row in np.flatnonzero(bad).tolist():
            own = [code for code in codes if self.faults[code][row]]
            reason = "; ".join(f"{code} {RULES[code][0]}: {RULES[code][1]}" for code in own)
            symbol, ts, line = (self.text[name][row] for name in ("symbol", "ts", "line"))
            yield QuarantinedRow(symbol or "", ts or "", own[0], reason, self.tables[self.table_of[row]].name, line)

    def _cells(self, row: int) -> str:
        return f"{self.text['symbol'][row] or '?'} {self.text['ts'][row] or '?'}"


def read_part(raw: RawTable, reading: Reading) -> Part:
    """Return a raw table as arrays: stamps as labels, texts as numbers, symbols in canonical form.

    Raises
    ------
    ContractError
        If the stamps cannot be understood, see `fairlead.data.stamps.read_labels`.
    """
    rows = raw.rows
    own = reading if raw.naive_remedy is None else replace(reading, remedy=raw.naive_remedy)
    labels = read_labels(rows["ts"], own, where=raw.origin)
    columns, not_numbers = zip(*(_numbers(rows[name]) for name in BAR_FIELDS), strict=True)
    names = rows["symbol"].cast(pl.String) if raw.symbol is None else pl.repeat(raw.symbol, rows.height, eager=True)
    unique = names.unique(maintain_order=True)
    position = {name: i for i, name in enumerate(unique)}
    return Part(
        raw,
        [_canonical_symbol(name) for name in unique],
        names.replace_strict(position, return_dtype=pl.Int64).to_numpy(),
        labels.label_ns,
        np.column_stack(columns),
        pl.DataFrame({"symbol": names, "ts": rows["ts"].cast(pl.String), "line": rows["line"]}),
        {"D02": labels.unreadable, "D03": labels.ambiguous, "D10": np.logical_or.reduce(not_numbers)},
    )


def _canonical_symbol(name: str | None) -> str:
    try:
        return check_symbol(name or "")
    except ContractError:
        return ""


def _numbers(column: pl.Series) -> tuple[FloatArray, BoolArray]:
    source = column.str.strip_chars() if column.dtype == pl.String else column
    if not (source.dtype == pl.String or source.dtype.is_numeric() or source.dtype == pl.Null):
        source = source.cast(pl.String)
    values = source.cast(pl.Float64, strict=False)
    empty = source.is_null() if source.dtype != pl.String else source.is_null() | (source == "")
    return values.fill_null(np.nan).to_numpy(), (values.is_null() & ~empty).to_numpy()
