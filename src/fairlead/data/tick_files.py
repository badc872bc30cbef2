"""One file of quotes or trades, batch by batch: a strict contract, whose breach names the row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fairlead.core.arrays import BoolArray, FloatArray, IntArray
from fairlead.core.errors import ContractError, DataError
from fairlead.core.events import Quote, Trade
from fairlead.core.instruments import SYMBOL_PATTERN

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
QUOTE_COLUMNS: Final = ("bid", "bid_size", "ask", "ask_size")
TRADE_COLUMNS: Final = ("price", "size")
BATCH_ROWS: Final = 65_536
_KEY_COLUMNS: Final = ("symbol", "timestamp")
_INSTANT: Final = pa.timestamp("ns", tz="UTC")
_CSV_BYTES: Final = 4 << 20
_UNKNOWN: Final = float("nan")
# Made in C: a Python-level constructor would cost as much as all the rest of reading.
_make_quote: Final = partial(tuple.__new__, Quote)
_make_trade: Final = partial(tuple.__new__, Trade)


@dataclass(frozen=True, slots=True)
class TickFile:
    """A file and what kind of rows it has.

    Attributes
    ----------
    path : Path
    name : str
        Its path inside the folder that was named: what messages and hashes call it.
    quotes, trades : bool
        Which columns it has.
    """

    path: Path
    name: str
    quotes: bool
    trades: bool

    @classmethod
    def open(cls, path: Path, name: str) -> TickFile:
        """Look at the header of a file.

        Raises
        ------
        DataError
            If it cannot be read.
        ContractError
            If columns are missing.
        """
        try:
            columns = _csv_header(path) if _is_csv(path) else pq.ParquetFile(path).schema_arrow.names
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, csv.Error) as exc:
            raise _unreadable(name, exc) from exc
        quotes, trades = (_has(columns, wanted, name) for wanted in (QUOTE_COLUMNS, TRADE_COLUMNS))
        missing = [column for column in _KEY_COLUMNS if column not in columns]
        if missing or not (quotes or trades):
            rule = "have columns symbol and timestamp, and bid, bid_size, ask and ask_size, or price and size"
            raise ContractError.of(name, rule, list(columns))
        return cls(path, name, quotes, trades)

    def first_ns(self) -> int:
        """Return the stamp of the first row.

        Raises
        ------
        DataError
            If there is none, or it cannot be read.
        ContractError
            If the first rows break the contract.
        """
        for raw in self._raw_batches():
            return int(self._checked(raw, 1, -1).ts_ns[0])
        raise DataError(f"{self.name} holds no row. Give a file with quotes or trades.")

    def batches(self, symbols: Sequence[str], *, trades: bool) -> Iterator[TickBatch]:
        """Yield rows in order of time and, within an instant, of symbol; no instant lies in two batches.

        Parameters
        ----------
        symbols : sequence of str
            Sorted. Rows of others are checked and left out.
        trades : bool
            Whether trades are wanted.

        Raises
        ------
        DataError
            If the file cannot be read to its end.
        ContractError
            If a row breaks the contract.
        """
        code_of = {symbol: code for code, symbol in enumerate(symbols)}
        held: TickBatch | None = None
        row, last_ns = 1, -1
        for raw in self._raw_batches():
            checked = self._checked(raw, row, last_ns)
            row, last_ns = row + raw.num_rows, int(checked.ts_ns[-1])
            chosen = checked.chosen(_codes(raw, code_of), trades=trades)
            whole = chosen if held is None else held.and_then(chosen)
            cut = int(np.searchsorted(whole.ts_ns, last_ns))
            if cut:
                yield whole.rows(slice(0, cut)).in_order()
            held = whole.rows(slice(cut, None))
        if held is not None and len(held.ts_ns):
            yield held.in_order()

    def _raw_batches(self) -> Iterator[pa.RecordBatch]:
        wanted = [*_KEY_COLUMNS, *(QUOTE_COLUMNS if self.quotes else ()), *(TRADE_COLUMNS if self.trades else ())]
        try:
            batches = _csv_batches(self.path, wanted) if _is_csv(self.path) else _parquet_batches(self.path, wanted)
            for batch in batches:
                if batch.num_rows:
                    yield batch
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as exc:
            raise _unreadable(self.name, exc) from exc

    def _checked(self, raw: pa.RecordBatch, row: int, last_ns: int) -> TickBatch:
        refuse = partial(self._refuse, raw, row)
        ts_ns = self._stamps(raw)
        refuse(ts_ns < 0, "timestamp", "be given")
        before = np.concatenate([[last_ns], ts_ns[:-1]])
        refuse(ts_ns < before, "timestamp", "not be before that of the row above", "Sort the file by timestamp.")
        codes, names = _dictionary(raw)
        malformed = [code for code, name in enumerate(names) if not SYMBOL_PATTERN.match(name or "")]
        refuse(np.isin(codes, [-1, *malformed]), "symbol", "be a symbol in capitals")
        number = {name: _numbers(raw, name) for name in (*QUOTE_COLUMNS, *TRADE_COLUMNS)}
        is_quote, is_trade = _any_given(number, QUOTE_COLUMNS), _any_given(number, TRADE_COLUMNS)
        if self.quotes != self.trades:
            is_quote[:], is_trade[:] = self.quotes, self.trades
        refuse(is_quote == is_trade, "row", "be a quote or a trade, one of them")
        for side in ("bid", "ask") if self.quotes else ():
            price, size = number[side], number[f"{side}_size"]
            absent = np.isnan(price) & (np.isnan(size) | (size == 0.0))
            stated = is_quote & ~absent
            rule = f"be a finite price above 0, or empty as {side}_size where there is none"
            refuse(stated & ~(np.isfinite(price) & (price > 0.0)), side, rule)
            refuse(stated & ~(np.isfinite(size) & (size >= 0.0)), f"{side}_size", "be a finite size of 0 or more")
            size[absent] = 0.0
        refuse(is_quote & (number["bid"] > number["ask"]), "bid", "not be above the ask")
        for name in TRADE_COLUMNS if self.trades else ():
            refuse(is_trade & ~(np.isfinite(number[name]) & (number[name] > 0.0)), name, "be a finite number above 0")
        first = np.where(is_quote, number["bid"], number["price"])
        second = np.where(is_quote, number["ask"], number["size"])
        return TickBatch(ts_ns, codes, is_quote, first, second, number["bid_size"], number["ask_size"])

    def _stamps(self, raw: pa.RecordBatch) -> IntArray:
        stamps = raw.column("timestamp")
        if not pa.types.is_timestamp(stamps.type) or stamps.type.tz is None:
            raise ContractError.of(f"{self.name}: timestamp", "be instants with a time zone", str(stamps.type), "Attach UTC.")
        ts_ns: IntArray = stamps.cast(_INSTANT).view(pa.int64()).fill_null(-1).to_numpy()
        return ts_ns

    def _refuse(self, raw: pa.RecordBatch, row: int, mask: BoolArray, column: str, rule: str, remedy: str = "") -> None:
        if mask.any():
            at = int(np.argmax(mask))
            found = raw.column(column if column in raw.schema.names else "symbol")[at]
            value = str(found) if column == "timestamp" else found.as_py()
            raise ContractError.of(f"{self.name}: row {row + at}: {column}", rule, value, remedy)


class TickBatch(NamedTuple):
    """Rows of a file as columns; arrays of shape (n,).

    Attributes
    ----------
    ts_ns : int64
        Nanoseconds, never falling.
    code : int64
        Place of the symbol in the list that was asked for.
    is_quote : bool
    first, second : float64
        Bid and ask of a quote, price and size of a trade.
    bid_size, ask_size : float64
    """

    ts_ns: IntArray
    code: IntArray
    is_quote: BoolArray
    first: FloatArray
    second: FloatArray
    bid_size: FloatArray
    ask_size: FloatArray

    def rows(self, which: slice | BoolArray | IntArray) -> TickBatch:
        """Return some of the rows."""
        columns: Any = (column[which] for column in self)
        return TickBatch(*columns)

    def and_then(self, other: TickBatch) -> TickBatch:
        """Return the rows of both."""
        columns: Any = (np.concatenate(pair) for pair in zip(self, other, strict=True))
        return TickBatch(*columns)

    def chosen(self, code: IntArray, *, trades: bool) -> TickBatch:
        """Return the rows whose new code is not -1, with or without the trades."""
        keep = code >= 0 if trades else (code >= 0) & self.is_quote
        return self._replace(code=code).rows(keep)

    def in_order(self) -> TickBatch:
        """Return the rows with the symbols of one instant in their order; rows of one symbol stay as they come."""
        if not (self.ts_ns[1:] == self.ts_ns[:-1]).any():
            return self
        return self.rows(np.lexsort((self.code, self.ts_ns)))

    def events(self, rows: slice, symbols: Sequence[str]) -> Iterator[Quote | Trade]:
        """Yield rows as events."""
        columns = (column[rows].tolist() for column in self)
        for ts_ns, code, is_quote, first, second, bid_size, ask_size in zip(*columns, strict=True):
            if is_quote:
                yield _make_quote((symbols[code], ts_ns, first, second, bid_size, ask_size))
            else:
                yield _make_trade((symbols[code], ts_ns, first, second))

    def last_quotes(self, rows: slice, symbols: Sequence[str]) -> Iterator[Quote]:
        """Yield the last quote of each symbol among some rows."""
        quotes = np.arange(rows.start, rows.stop)[self.is_quote[rows]][::-1]
        _, found = np.unique(self.code[quotes], return_index=True)
        for at in quotes[found].tolist():
            values = (float(column[at]) for column in (self.first, self.second, self.bid_size, self.ask_size))
            yield Quote(symbols[int(self.code[at])], int(self.ts_ns[at]), *values)


def _is_csv(path: Path) -> bool:
    return not path.name.lower().endswith(".parquet")


def _csv_header(path: Path) -> list[str]:
    with pa.input_stream(str(path), compression="detect") as stream:
        first = stream.read(_CSV_BYTES).partition(b"\n")[0].decode("utf-8-sig")
    return next(csv.reader([first]), [])


def _csv_batches(path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
    types = {name: pa.float64() for name in wanted} | {"symbol": pa.string(), "timestamp": _INSTANT}
    convert = pa_csv.ConvertOptions(column_types=types, include_columns=wanted, null_values=["", "NaN", "nan"])
    read = pa_csv.ReadOptions(use_threads=False, block_size=_CSV_BYTES)
    with (
        pa.input_stream(str(path), compression="detect") as stream,
        pa_csv.open_csv(stream, read, convert_options=convert) as reader,
    ):
        for batch in reader:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)


def _parquet_batches(path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=wanted)


def _has(columns: Sequence[str], wanted: tuple[str, ...], name: str) -> bool:
    found = [column for column in wanted if column in columns]
    if found and len(found) < len(wanted):
        missing = [column for column in wanted if column not in columns]
        raise ContractError.of(name, f"have {', '.join(wanted)} or none of them", found, f"Missing: {', '.join(missing)}.")
    return bool(found)


def _numbers(raw: pa.RecordBatch, name: str) -> FloatArray:
    if name not in raw.schema.names:
        return np.full(raw.num_rows, np.nan)
    column = raw.column(name).cast(pa.float64()).fill_null(_UNKNOWN)
    # A copy: Arrow's own memory must not be written to.
    return np.array(column.to_numpy(zero_copy_only=False), np.float64)


def _dictionary(raw: pa.RecordBatch) -> tuple[IntArray, list[str | None]]:
    encoded = raw.column("symbol").cast(pa.string()).dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _codes(raw: pa.RecordBatch, code_of: Mapping[str, int]) -> IntArray:
    indices, names = _dictionary(raw)
    found: IntArray = np.array([code_of.get(name or "", -1) for name in names], dtype=np.int64)[indices]
    return found


def _any_given(number: dict[str, FloatArray], names: tuple[str, ...]) -> BoolArray:
    given: BoolArray = np.logical_or.reduce([~np.isnan(number[name]) for name in names])
    return given


def _unreadable(name: str, exc: Exception) -> DataError:
    reason = str(exc).partition("\n")[0].rstrip(".")
    remedy = "Stamps need a zone, such as 2024-01-02T14:30:00.123456789Z; prices and sizes are plain numbers."
    return DataError(f"{name} cannot be read: {reason}. {remedy}")
