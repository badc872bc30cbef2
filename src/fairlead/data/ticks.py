"""Quotes and trades as market data: files merged in order of time and symbol, streamed in bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np

from fairlead.contracts.files import canonical_json, sha256_bytes, sha256_file
from fairlead.core.errors import ContractError, DataError, DataNotFound
from fairlead.core.events import Quote, Trade
from fairlead.data.tick_files import SUFFIXES, TickBatch, TickFile

Tick: TypeAlias = Quote | Trade


class TickSource:
    """The quotes and trades of some symbols, in a file or a folder of files.

    Parameters
    ----------
    path : path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file, or a folder that is searched for them, subfolders included.
    symbols : sequence of str
        Rows of other symbols are passed over.
    trades : bool
        Whether trades are wanted; quotes always are, where there are any.

    Raises
    ------
    DataNotFound
        If there is no such file, or none of a known kind in the folder.
    DataError
        If a file holds no row or cannot be read.
    ContractError
        If columns are missing, the first rows break the contract, or there is no file of the kind that is wanted.
    """

    def __init__(self, path: str | Path, symbols: Sequence[str], *, trades: bool) -> None:
        self.symbols = tuple(sorted(symbols))
        self.trades = trades
        root = Path(path)
        self.name = root.name
        self._files: list[tuple[int, TickFile]] = []
        for name, found in _find(root):
            file = TickFile.open(found, name)
            if trades or file.quotes:
                self._files.append((file.first_ns(), file))
        kind = "trades" if trades else "quotes"
        if not any(file.trades if trades else file.quotes for _, file in self._files):
            columns = "price and size" if trades else "bid, bid_size, ask and ask_size"
            raise ContractError.of(f"{root}", f"hold {kind}", "none", f"They have the columns {columns}.")

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the files' names and contents."""
        return sha256_bytes(canonical_json({file.name: sha256_file(file.path) for _, file in self._files}).encode())

    def stream(self) -> TickStream:
        """Return a new pass over the data, from its beginning."""
        return TickStream([_Reader(file, first_ns, self.symbols, trades=self.trades) for first_ns, file in self._files])


class TickStream:
    """One pass over quotes and trades; it never goes back."""

    def __init__(self, readers: Sequence[_Reader]) -> None:
        self._readers = list(readers)

    def until(self, instant_ns: int) -> Iterator[Tick]:
        """Yield what is stamped at or before an instant and was not yielded or skipped before.

        In order of time; what has one stamp in order of symbols; of one symbol trades before quotes, which show what the trades
        have left, if they are of different files, and else as the file has them. The iterator must be used up.
        """
        due = [reader.until(instant_ns) for reader in self._due(instant_ns)]
        if len(due) == 1:
            return due[0]
        return heapq.merge(*due, key=_order)

    def skip(self, instant_ns: int) -> list[Quote]:
        """Pass over what is stamped at or before an instant; return the last quote of each symbol in it."""
        last: dict[str, Quote] = {}
        for reader in self._due(instant_ns):
            for quote in reader.skip(instant_ns):
                before = last.get(quote.symbol)
                if before is None or before.known_ns <= quote.known_ns:
                    last[quote.symbol] = quote
        return [last[symbol] for symbol in sorted(last)]

    def _due(self, instant_ns: int) -> list[_Reader]:
        if any(reader.is_done for reader in self._readers):
            self._readers = [reader for reader in self._readers if not reader.is_done]
        return [reader for reader in self._readers if reader.next_ns <= instant_ns]


class _Reader:
    """One file, at most a batch of it in memory."""

    def __init__(self, file: TickFile, first_ns: int, symbols: Sequence[str], *, trades: bool) -> None:
        self.next_ns = first_ns
        """No row that is left has an earlier stamp."""
        self.is_done = False
        self._symbols = symbols
        self._batches = file.batches(symbols, trades=trades)
        self._batch: TickBatch | None = None
        self._at = 0

    def until(self, instant_ns: int) -> Iterator[Tick]:
        for batch, rows in self._pass(instant_ns):
            yield from batch.events(rows, self._symbols)

    def skip(self, instant_ns: int) -> Iterator[Quote]:
        for batch, rows in self._pass(instant_ns):
            yield from batch.last_quotes(rows, self._symbols)

    def _pass(self, instant_ns: int) -> Iterator[tuple[TickBatch, slice]]:
        while not self.is_done:
            if self._batch is None:
                self._batch, self._at = next(self._batches, None), 0
                if self._batch is None:
                    self.is_done = True
                    return
            batch, start = self._batch, self._at
            self._at = int(np.searchsorted(batch.ts_ns, instant_ns, side="right"))
            if self._at > start:
                yield batch, slice(start, self._at)
            if self._at < len(batch.ts_ns):
                self.next_ns = int(batch.ts_ns[self._at])
                return
            self._batch = None


def _order(tick: Tick) -> tuple[int, str, bool]:
    return tick.known_ns, tick.symbol, isinstance(tick, Quote)


def _find(root: Path) -> list[tuple[str, Path]]:
    if not root.exists():
        raise DataNotFound(f"there is no file or folder of ticks named {root}. Check the path.")
    if not root.is_dir():
        if not root.name.lower().endswith(SUFFIXES):
            raise DataError.of(
                f"{root}: file name", f"end in one of {', '.join(SUFFIXES)}", root.suffix, "Convert or rename it."
            )
        return [(root.name, root)]
    inner = sorted(p for p in root.rglob("*") if p.is_file() and p.name.lower().endswith(SUFFIXES))
    named = [(p.relative_to(root).as_posix(), p) for p in inner]
    found = [(name, p) for name, p in named if not any(part.startswith((".", "_")) for part in name.split("/"))]
    if not found:
        raise DataNotFound(f"folder {root} holds no file named {', '.join('*' + s for s in SUFFIXES)}. Check the path.")
    return found
