"""The wide form of a month of bars: what the Parquet file holds, laid out as the engine reads it.

An Arrow file beside the Parquet file: one row per instant, one column of k values for each of open, high, low, close and
volume, in four bytes each where those say it all (`fairlead.data.scaling`). It is a copy that can be made again at any time,
it belongs to one content hash, and every batch of it carries a sum that is compared when it is read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from fairlead.contracts.files import atomic_write_bytes, canonical_json
from fairlead.contracts.manifests import Count, Sha256
from fairlead.contracts.settings import Settings
from fairlead.core.arrays import IntArray
from fairlead.core.errors import DataError
from fairlead.data.blocks import block_rows, panels_of
from fairlead.data.merging import column_ns, session_days
from fairlead.data.scaling import decode, encode, present
from fairlead.data.selection import DateRange
from fairlead.data.table import BAR_SCHEMA
from fairlead.data.windows import Panel

WIDE_FILE: Final = "wide.arrow"

_KEY: Final = b"fairlead.wide"
_STAMPS: Final = ("label", "known", "session")
_STAMP_KINDS: Final = (pa.int64(), pa.int64(), pa.int32())
_VALUES: Final = ("open", "high", "low", "close", "volume")


class WideHeader(Settings):
    """What a wide file says about itself.

    Parameters
    ----------
    content_sha256 : str
        Of the bars it holds, as the manifest states it.
    symbols : tuple of str
        Column order.
    scales : tuple of float or None
        Of open, high, low, close and volume: what the stored integers are divided by, or None where numbers are stored.
    gaps : bool
        Whether a number is missing: some symbol has no bar at some instant.
    sums : tuple of int
        Of every batch; they cover this header too.
    """

    version: int = 1
    content_sha256: Sha256
    symbols: tuple[str, ...]
    instants: Count
    scales: tuple[float | None, ...]
    gaps: bool
    sums: tuple[Count, ...] = ()

    @property
    def seed(self) -> int:
        """What the sum of every batch begins with: a number of this header."""
        stated = canonical_json(self.model_dump(mode="json", exclude={"sums"})).encode()
        return int.from_bytes(hashlib.sha256(stated).digest()[:8], "little")


def write_wide(path: Path, table: pa.Table, content_sha256: str) -> bool:
    """Write the wide form of a canonical table of one month; return false, and write nothing, if it has none.

    It has none if a close is NaN, or if two symbols have bars at one instant with different labels or sessions.

    Parameters
    ----------
    path : Path
        Replaced if it is there.
    content_sha256 : str
        Of the table: `fairlead.data.fingerprint.bars_sha256`.

    Raises
    ------
    StorageError
        If the disk refuses; `path` is what it was.
    """
    if not _has_wide_form(table):
        return False
    symbols = tuple(sorted(pc.unique(table.column("symbol")).to_pylist()))
    width, rows = len(symbols), block_rows(len(symbols))
    panel = _whole(table, symbols)
    stamps = (panel.label_ns, panel.known_ns, panel.session)
    values, scales = zip(*(encode(getattr(panel, name)) for name in _VALUES), strict=True)
    header = WideHeader(
        content_sha256=content_sha256,
        symbols=symbols,
        instants=panel.height,
        scales=scales,
        gaps=any(bool(np.isnan(getattr(panel, name)).any()) for name in _VALUES),
    )
    batches = [[array[first : first + rows] for array in (*stamps, *values)] for first in range(0, panel.height, rows)]
    seed = header.seed
    header = header.model_copy(update={"sums": tuple(_sum(seed, arrays) for arrays in batches)})
    lists = [pa.list_(pa.from_numpy_dtype(array.dtype), width) for array in values]
    fields = [pa.field(name, kind, nullable=False) for name, kind in zip(_VALUES, lists, strict=True)]
    schema = pa.schema([*(BAR_SCHEMA.field(name) for name in _STAMPS), *fields], {_KEY: header.model_dump_json()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for arrays in batches:
            flat = [pa.array(array.reshape(-1)) for array in arrays]
            columns = [column.view(schema.field(name).type) for name, column in zip(_STAMPS, flat, strict=False)]
            columns += [pa.FixedSizeListArray.from_arrays(column, width) for column in flat[len(_STAMPS) :]]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    atomic_write_bytes(path, sink.getvalue())
    return True


def check_wide(path: Path, table: pa.Table, content_sha256: str) -> None:
    """Compare a wide file, number by number, with the month that it was made from.

    Raises
    ------
    DataError
        If it differs, or cannot be read.
    """
    month = WideMonth.open(path, content_sha256)
    if month is None:
        raise _damaged(path, "it was made from other bars")
    symbols = tuple(sorted(pc.unique(table.column("symbol")).to_pylist()))
    expected = _whole(table, symbols)
    done = 0
    for piece in month.pieces(symbols, DateRange()):
        found = Panel._make(np.empty_like(array) for array in expected.part(done, done + piece.height))
        piece.fill(found, 0)
        if not _equal(found, expected.part(done, done + piece.height)):
            raise _damaged(path, "its bars are not those of the month")
        done += piece.height
    if done != expected.height:
        raise _damaged(path, "it is not whole")


@dataclass(frozen=True, slots=True)
class WideMonth:
    """The wide form of one month. Obtain it with `open`."""

    path: Path
    header: WideHeader

    @classmethod
    def open(cls, path: Path, content_sha256: str) -> Self | None:
        """Return the wide form at `path`; None if there is none, or if it was made from other bars.

        Raises
        ------
        DataError
            If the file is no wide form, or cannot be read.
        """
        if not path.is_file():
            return None
        with _reading(path), pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
            header = _header(path, reader)
        return cls(path, header) if header.content_sha256 == content_sha256 else None

    def pieces(self, symbols: Sequence[str], dates: DateRange) -> Iterator[WideRows]:
        """Yield the instants at which one of `symbols` has a bar; one piece is in memory at a time.

        Raises
        ------
        DataError
            If the file was changed, is cut off, or cannot be read.
        """
        header, choice = self.header, _Choice.of(self.header.symbols, symbols)
        if choice is not None and len(choice.taken) == 0:
            return
        with _reading(self.path), pa.OSFile(str(self.path)) as source, pa.ipc.open_file(source) as reader:
            if _header(self.path, reader) != header or reader.num_record_batches != len(header.sums):
                raise _damaged(self.path, "it is not whole")
            _announce(self.path)
            seed = header.seed
            for number, stated in enumerate(header.sums):
                batch = reader.get_batch(number)
                if _sum(seed, _arrays(batch)) != stated:
                    raise _damaged(self.path, f"batch {number} is not what was written")
                part = dates.cut(batch)
                if part.num_rows:
                    yield WideRows(_arrays(part), header, choice).with_bars()
                del batch, part  # the memory of one batch is that of the next


@dataclass(frozen=True, slots=True)
class _Choice:
    """Some of a file's columns, and where they go."""

    taken: IntArray
    places: IntArray

    @classmethod
    def of(cls, stored: Sequence[str], wanted: Sequence[str]) -> Self | None:
        """Return None if they are all the same."""
        if tuple(stored) == tuple(wanted):
            return None
        column = {symbol: i for i, symbol in enumerate(stored)}
        pairs = [(column[symbol], place) for place, symbol in enumerate(wanted) if symbol in column]
        return cls(np.array([a for a, _ in pairs], np.int64), np.array([b for _, b in pairs], np.int64))


@dataclass(frozen=True, slots=True)
class WideRows:
    """Consecutive instants of a wide file, still as they are stored; a `Piece`."""

    arrays: Sequence[Any]
    header: WideHeader
    choice: _Choice | None

    @property
    def height(self) -> int:
        """How many instants there are."""
        return len(self.arrays[0])

    def fill(self, into: Panel, first: int) -> None:
        """Write the rows from `first` on into `into`, as many as it has."""
        rows = slice(first, first + into.height)
        stamps, values = self.arrays[: len(_STAMPS)], self.arrays[len(_STAMPS) :]
        into.label_ns[:], into.known_ns[:], into.session[:] = (stamp[rows] for stamp in stamps)
        prices = (into.open, into.high, into.low, into.close, into.volume)
        gaps = self.header.gaps
        for target, stored, scale in zip(prices, values, self.header.scales, strict=True):
            if self.choice is None:
                decode(stored[rows], scale, target, gaps=gaps)
                continue
            chosen = stored[rows][:, self.choice.taken]
            numbers = np.empty(chosen.shape)
            decode(chosen, scale, numbers, gaps=gaps)
            target[:] = np.nan
            target[:, self.choice.places] = numbers

    def with_bars(self) -> WideRows:
        """Return the rows in which one of the chosen symbols has a bar."""
        if self.choice is None or not self.header.gaps:
            return self
        close = self.arrays[len(_STAMPS) + _VALUES.index("close")][:, self.choice.taken]
        rows = present(close).any(axis=1)
        return self if rows.all() else WideRows([array[rows] for array in self.arrays], self.header, self.choice)


def _has_wide_form(table: pa.Table) -> bool:
    if table.num_rows == 0 or np.isnan(table.column("close").to_numpy()).any():
        return False
    known = column_ns(table, "known")
    starts = np.flatnonzero(np.diff(known, prepend=known[0] - 1))
    counts = np.diff(starts, append=len(known))
    return all(
        (values == np.repeat(values[starts], counts)).all() for values in (column_ns(table, "label"), session_days(table))
    )


def _whole(table: pa.Table, symbols: Sequence[str]) -> Panel:
    panels = list(panels_of([table], symbols, rows=block_rows(len(symbols))))
    return panels[0] if len(panels) == 1 else Panel._make(np.concatenate(arrays) for arrays in zip(*panels, strict=True))


def _equal(found: Iterable[Any], expected: Iterable[Any]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(np.array_equal(a, b, equal_nan=a.dtype == np.float64) for a, b in pairs)


def _sum(seed: int, arrays: Sequence[np.ndarray]) -> int:
    """Return a number that another is next to certain to replace if a byte of `arrays` changes; no defence against malice."""
    total = seed
    for i, array in enumerate(arrays):
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        words = len(raw) // 8 * 8
        part = int(np.add.reduce(raw[:words].view(np.uint64))) + int.from_bytes(raw[words:].tobytes(), "little")
        total += (2 * i + 1) * part
    return total % 2**64


def _arrays(batch: pa.RecordBatch) -> list[np.ndarray]:
    stamps = [batch.column(name).view(kind).to_numpy() for name, kind in zip(_STAMPS, _STAMP_KINDS, strict=True)]
    return stamps + [batch.column(name).flatten().to_numpy().reshape(batch.num_rows, -1) for name in _VALUES]


def _header(path: Path, reader: Any) -> WideHeader:
    try:
        header = WideHeader.model_validate_json((reader.schema.metadata or {})[_KEY])
    except (KeyError, ValidationError) as exc:
        raise _damaged(path, "it has no header that can be read") from exc
    if header.version != 1 or len(header.scales) != len(_VALUES):
        raise _damaged(path, f"it is of version {header.version}")
    return header


def _announce(path: Path) -> None:
    """Ask the system to fetch a file while the first of it is being worked on; a system that cannot reads it when it is due."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as handle, suppress(OSError):
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, pa.ArrowException) as exc:
        raise _damaged(path, str(exc)) from exc


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} cannot be used: {why}. It is a copy: make it again with fairlead data pack, or delete it.")
