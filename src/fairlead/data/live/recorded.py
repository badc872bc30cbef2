"""A recorded session, read: as it was taken, as history for a backtest, and as what a replay delivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fairlead.core.errors import DataError, DataNotFound
from fairlead.core.events import Bar, CorporateAction
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.chunks import HEAD_FILE, chunk_path, chunk_paths, read_chunk, read_head
from fairlead.data.live.feed import FeedNotice, MarketEvent, NoticeKind, Received
from fairlead.data.live.gathering import Gathering, GatheringRule, Instant
from fairlead.data.memory import MemorySource
from fairlead.data.merging import canonical
from fairlead.data.source import DataSource
from fairlead.data.table import BAR_SCHEMA

RECORDING: Final = "recording"
"""The folder of a paper session in which its recording lies."""
_STAMP: Final = pa.timestamp("ns", tz="UTC")


def recording_in(folder: Path) -> Path | None:
    """Return the folder of the recorded session that a folder is, or that of the paper session holds; None if there is none."""
    return next((place for place in (folder, folder / RECORDING) if (place / HEAD_FILE).is_file()), None)


class RecordedSession:
    """A recorded session, opened for reading. The folder is not changed.

    Parameters
    ----------
    folder : path
        Its own, or that of the paper session that was recorded.

    Raises
    ------
    DataNotFound
        If there is no recorded session.
    DataError
        If a chunk is missing, or one that is not the last cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = recording_in(Path(folder)) or Path(folder)
        self._head = read_head(self.folder)
        self.bar_size: Final[BarSize] = self._head.bar_size
        self.calendar: Final = self._head.calendar
        self._paths = chunk_paths(self.folder)
        self._torn: DataError | None = None
        for number, path in enumerate(self._paths):
            if path != chunk_path(self.folder, number):
                raise DataError(f"{chunk_path(self.folder, number)} is missing: {path} comes after it. Restore it from a copy.")
        if self._paths:
            try:
                read_chunk(self._paths[-1])
            except DataError as exc:
                self._torn = exc
                self._paths = self._paths[:-1]

    @property
    def name(self) -> str:
        """The folder's name; of a paper session's recording the session's."""
        folder = self.folder.absolute()
        return folder.parent.name if folder.name == RECORDING else folder.name

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Those of the session, sorted; of one that did not say them, those that have an event."""
        return self._head.symbols or tuple(sorted({event.symbol for event in self.events()}))

    def received(self) -> Iterator[Received]:
        """Yield events and notices with their stamps of receipt, as they were taken.

        Raises
        ------
        DataError
            If a chunk that is not the last cannot be read.
        """
        for _, rows in self._parts():
            yield from rows

    def events(self) -> Iterator[MarketEvent]:
        """Yield the market events, as they were taken."""
        for received in self.received():
            if not isinstance(received.event, FeedNotice):
                yield received.event

    def course(self) -> Iterator[MarketEvent | FeedNotice]:
        """Yield the market events as they were taken, and what befell the feed between its beginning and its end."""
        began = False
        for event, _ in self.received():
            if not isinstance(event, FeedNotice):
                began = True
                yield event
            elif began and event.kind not in {NoticeKind.ENDED, NoticeKind.QUIET}:
                yield event

    def source(self, actions: Sequence[CorporateAction] = ()) -> MemorySource:
        """Return the bars that the session used, as history for a backtest: those that came late are not among them.

        Parameters
        ----------
        actions : sequence of CorporateAction
            A recording has none of its own.

        Raises
        ------
        DataNotFound
            If it used none.
        DataError
            If a chunk cannot be read.
        ContractError
            If a bar does not lie in the calendar's sessions.
        """
        if self._torn is not None:
            raise self._torn
        instants = [found for found in self._gathered() if isinstance(found, dict)]
        if not instants:
            raise self._no_bars()
        calendar = ExchangeCalendar.get(self.calendar)
        return MemorySource(
            canonical(bar_table([bar for instant in instants for bar in _in_order(instant)], calendar, self.bar_size)),
            bar_size=self.bar_size,
            calendar=self.calendar,
            actions=actions,
            name=self.name,
            symbols=self.symbols,
        )

    def played(self, source: DataSource) -> Iterator[MarketEvent | FeedNotice]:
        """Yield what a replay of the session delivers: the bars of a source of it, and what came between them.

        Each instant comes as a whole, where it was complete. In the place of what was not used stands the notice of that, and
        gaps are told again; what else the feed said of its connection then is not true of a replay.

        Parameters
        ----------
        source : DataSource
            What `source` returned, or a selection of it.
        """
        chosen = frozenset(source.symbols)
        blocks = list(source.blocks(carry=0))
        kept = frozenset(np.concatenate([block.known_ns[block.start :] for block in blocks]).tolist())
        # As `session_events`: what is from before the first bar, or after the last, is left out.
        first_ns, last_ns = int(blocks[0].label_ns[blocks[0].start]), max(kept)
        for found in self._gathered():
            if isinstance(found, dict):
                for bar in _in_order(found):
                    if bar.known_ns in kept and bar.symbol in chosen:
                        yield bar
            elif isinstance(found, FeedNotice):
                if found.kind is NoticeKind.GAP:
                    yield found
            elif found.symbol in chosen and first_ns <= found.known_ns <= last_ns:
                yield found

    def _gathered(self) -> Iterator[Instant | MarketEvent | FeedNotice]:
        """Yield the instants of the session, and all that came and is no bar."""
        gathering = Gathering(
            GatheringRule(**self._head.model_dump(exclude={"schema_version", "symbols"}), symbols=self.symbols)
        )
        before = None
        for part, rows in self._parts():
            if before not in {None, part}:
                gathering.begin_anew()
            before = part
            for received in rows:
                yield from gathering.take(received)
                if not isinstance(received.event, Bar):
                    yield received.event

    def _parts(self) -> Iterator[tuple[int, Iterator[Received]]]:
        return (read_chunk(path) for path in self._paths)

    def _no_bars(self) -> DataNotFound:
        count = sum(1 for _ in self.events())
        wanted = "bars" if self._head.aggregate is None else f"{self._head.aggregate.source} of which bars are made"
        why = f"none of its {count} events is one that was used (it is of {wanted})" if count else "it is empty"
        return DataNotFound(f"the recorded session in {self.folder} holds no bars: {why}.")


def bar_table(bars: Sequence[Bar], calendar: ExchangeCalendar, bar_size: BarSize) -> pa.Table:
    """Return bars, sorted by closing instant and symbol, as a canonical table.

    Raises
    ------
    ContractError
        If a bar does not lie in the calendar's sessions.
    """
    label = np.array([bar.label_ns for bar in bars], np.int64)
    _, session = calendar.closing_instants(label, bar_size)
    columns: dict[str, Any] = {
        "known": pa.array([bar.known_ns for bar in bars], pa.int64()).cast(_STAMP),
        "symbol": pa.array([bar.symbol for bar in bars], pa.string()),
        "label": pa.array(label).cast(_STAMP),
        "session": pa.array(session).cast(pa.date32()),
    }
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = pa.array([getattr(bar, name) for bar in bars], pa.float64())
    return pa.table(columns, schema=BAR_SCHEMA)


def _in_order(instant: Instant) -> list[Bar]:
    return [instant[column] for column in sorted(instant)]
