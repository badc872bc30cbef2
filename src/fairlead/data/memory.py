"""History held in memory: frames passed from Python, and files that are not imported first."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairlead.contracts.files import canonical_json
from fairlead.contracts.frames.reading import library_of
from fairlead.core.bars import BarBlock
from fairlead.core.errors import DataNotFound, FairleadError
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize
from fairlead.data.blocks import assemble
from fairlead.data.columns import map_columns
from fairlead.data.fingerprint import bars_sha256
from fairlead.data.ingest import import_bars
from fairlead.data.merging import canonical, column_ns, session_days
from fairlead.data.selection import DateRange, choose_actions, choose_symbols, span_text
from fairlead.data.spacing import infer_bar_size


class MemorySource:
    """A canonical bar table as a `DataSource`.

    Parameters
    ----------
    table : pyarrow Table
        Canonical bars (`fairlead.data.table.BAR_SCHEMA`), sorted by (known, symbol). Blocks are views of its memory where they
        can be, so it must not be changed.
    bar_size : BarSize
    calendar : str
    actions : sequence of CorporateAction
    name : str
    synthetic : bool
    symbols : sequence of str, optional
        Columns of the blocks. Default: those that have a bar.
    cut_from : MemorySource, optional
        What it is a part of in time.

    Raises
    ------
    DataNotFound
        If the table is empty.
    """

    def __init__(
        self,
        table: pa.Table,
        *,
        bar_size: BarSize,
        calendar: str = "XNYS",
        actions: Sequence[CorporateAction] = (),
        name: str = "memory",
        synthetic: bool = False,
        symbols: Sequence[str] | None = None,
        cut_from: MemorySource | None = None,
    ) -> None:
        if table.num_rows == 0:
            raise DataNotFound(f"{name!r} has no bars.")
        self._table = table
        self._cut_from = cut_from
        self.name = name
        self.bar_size = bar_size
        self.calendar = calendar
        self.is_synthetic = synthetic
        self.symbols = tuple(sorted(pc.unique(table.column("symbol")).to_pylist() if symbols is None else symbols))
        self.actions = choose_actions(actions, self.symbols)

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        *,
        bar_size: BarSize | str,
        calendar: str = "XNYS",
        actions: Sequence[CorporateAction] = (),
        name: str = "memory",
        synthetic: bool = False,
    ) -> MemorySource:
        """Return the source of a table made elsewhere, after a check of its columns, types and order.

        Raises
        ------
        ContractError
            If `table` is not canonical.
        DataNotFound
            If it is empty.
        """
        return cls(
            canonical(table),
            bar_size=BarSize.parse(bar_size),
            calendar=calendar,
            actions=actions,
            name=name,
            synthetic=synthetic,
        )

    def select(
        self,
        symbols: Sequence[str] | None = None,
        start: dt.date | dt.datetime | None = None,
        end: dt.date | dt.datetime | None = None,
    ) -> MemorySource:
        """Choose symbols and dates, both ends included; see `Dataset.select`.

        Raises
        ------
        UnknownName
            If there is no such symbol.
        DataNotFound
            If no selected symbol has a bar in the range.
        """
        chosen = choose_symbols(symbols, self.symbols, self.name)
        dates = DateRange(start, end)
        table = dates.cut(self._table)
        if chosen != self.symbols:
            table = table.filter(pc.is_in(table.column("symbol"), value_set=pa.array(chosen, pa.string())))
        if table.num_rows == 0:
            days = session_days(self._table)
            raise DataNotFound(
                f"{self.name!r} has no bars of {', '.join(chosen)} from {dates}. It holds {span_text(days[0], days[-1])}."
            )
        return MemorySource(
            table,
            bar_size=self.bar_size,
            calendar=self.calendar,
            actions=choose_actions(self.actions, chosen, dates),
            name=self.name,
            synthetic=self.is_synthetic,
            symbols=chosen,
            cut_from=None if dates == DateRange() else self.whole(),
        )

    def whole(self) -> MemorySource:
        """Return the same symbols over all dates there are; itself if no dates were chosen."""
        if self._cut_from is None:
            return self
        return self._cut_from if self._cut_from.symbols == self.symbols else self._cut_from.select(self.symbols)

    @cached_property
    def expected_rows(self) -> int:
        """How many instants there are."""
        return 1 + int(np.count_nonzero(np.diff(column_ns(self._table, "known"))))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the bars and their corporate actions."""
        facts = {
            "actions": [action.facts for action in self.actions],
            "bar_size": self.bar_size.value,
            "bars": bars_sha256(self._table),
            "calendar": self.calendar,
            "symbols": list(self.symbols),
        }
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield history in order; see `DataSource.blocks`."""
        return assemble([self._table], self.symbols, carry=carry, actions=self.actions)


def source_from_frames(
    data: Any,
    *,
    bar_size: BarSize | str | None = None,
    calendar: str = "XNYS",
    symbol: str | None = None,
    timezone: str | None = None,
    actions: Sequence[CorporateAction] = (),
    name: str = "memory",
) -> MemorySource:
    """Return frames as a source, after all checks of an import; one bad row refuses the whole.

    Parameters
    ----------
    data : pandas.DataFrame, polars.DataFrame, or mapping of str to either frame
        One symbol; or several, told apart by a symbol column or by the mapping's keys. Column names in any vendor's spelling;
        stamps are the bars' openings.
    bar_size : BarSize or str, optional
        Default: judged by the spacing of the stamps.
    calendar : str
        The exchange whose sessions the bars lie in.
    symbol : str, optional
        The symbol of a frame without a symbol column. Default: ``"ASSET"``.
    timezone : str, optional
        IANA zone of stamps that carry none.
    actions : sequence of CorporateAction
    name : str
        What messages and artefacts call the data.

    Raises
    ------
    ContractError
        If rows break the rules of `fairlead.data.ingest.import_bars`, or `data` is no frame.
    ConfigurationError
        If an argument is unknown, or no bar size fits the stamps.
    """
    if symbol is None and not _names_its_symbols(data):
        symbol = "ASSET"
    size = infer_bar_size(data, symbol=symbol, timezone=timezone) if bar_size is None else BarSize.parse(bar_size)

    def checked(source: Any) -> pa.Table:
        return import_bars(source, bar_size=size, calendar=calendar, timezone=timezone, symbol=symbol).table

    table: pa.Table | None = None
    long = _stacked(data) if isinstance(data, Mapping) and symbol is None else None
    if long is not None:
        # Hundreds of frames are read several times faster as one; if that fails, one by one tells which frame is at fault.
        with contextlib.suppress(FairleadError):
            table = checked(long)
    table = checked(data) if table is None else table
    return MemorySource(table, bar_size=size, calendar=calendar, actions=actions, name=name)


def _stacked(frames: Mapping[Any, Any]) -> Any | None:
    """Return frames of one kind and one set of columns as a single long one; None if they differ."""
    names = sorted(frames)
    parts = [frames[name] for name in names]
    if len({str(name) for name in names}) < 2 or any(library_of(part) != "pandas" for part in parts):
        return None
    first = parts[0]
    same = all(
        part.columns.equals(first.columns) and part.index.names == first.index.names and part.index.dtype == first.index.dtype
        for part in parts
    )
    if not same or _names_its_symbols(first):
        return None
    import pandas as pd  # noqa: PLC0415  heavy, and here only if the caller uses it

    long = pd.concat(parts)
    symbols = pd.array([str(name) for name in names], dtype="string")
    return long.assign(symbol=symbols.take(np.repeat(np.arange(len(parts)), [len(part) for part in parts])))


def _names_its_symbols(data: Any) -> bool:
    if isinstance(data, Mapping):
        return True
    index = getattr(getattr(data, "index", None), "names", None) or ()
    names = [str(name) for name in (*index, *getattr(data, "columns", ())) if name is not None]
    return "symbol" in map_columns(names, where="frame", required=())
