"""A live session on disk, as it reached the loop: chunks of Parquet that a crash cannot spoil, and their way back."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.contracts.files import atomic_write_bytes, storage_error, sync_folder, write_json
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.feed import FeedNotice, MarketEvent, NoticeKind, Received
from fairlead.data.memory import MemorySource
from fairlead.data.table import BAR_SCHEMA

_LOG: Final = logging.getLogger(__name__)

VERSION: Final = "1.0"
HEAD_FILE: Final = "session.json"
TORN: Final = ".torn"
DEFAULT_CHUNK: Final = 10_000
_STAMP: Final = pa.timestamp("ns", tz="UTC")
_NUMBERS: Final = (
    *("open", "high", "low", "close", "volume"),
    *("bid", "ask", "bid_size", "ask_size"),
    *("price", "size"),
)
EVENT_SCHEMA: Final = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("symbol", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("known", _STAMP, nullable=False),
        pa.field("received", _STAMP, nullable=False),
        pa.field("label", _STAMP),
        *(pa.field(name, pa.float64()) for name in _NUMBERS),
        pa.field("text", pa.string()),
    ]
)
"""One row per event, in the order in which it was taken; ``kind`` is bar, quote, trade, or that of a notice."""
_COLUMN_OF: Final[Mapping[str, str]] = {"label_ns": "label", "known_ns": "known"}
_TICKS: Final[Mapping[str, type[Quote | Trade]]] = {"quote": Quote, "trade": Trade}


class SessionRecorder:
    """Appends the events of a session to a folder, in chunks.

    A chunk is written beside its place, flushed and renamed, so a crash costs what was not flushed and nothing else. A
    recorder that finds a session in its folder goes on with it.

    Parameters
    ----------
    folder : path
        Made, with its parents, if it is not there.
    bar_size : BarSize
        Of the bars.
    calendar : str
        The exchange's.
    chunk : int
        Events after which a chunk is written.

    Raises
    ------
    ContractError
        If the folder holds a session of another bar size or calendar.
    StorageError
        If the disk refuses.
    """

    def __init__(self, folder: str | Path, *, bar_size: BarSize, calendar: str, chunk: int = DEFAULT_CHUNK) -> None:
        if chunk < 1:
            raise ConfigurationError.of("chunk", "be 1 or more events", chunk)
        self.folder = Path(folder)
        self._chunk = chunk
        self._rows: list[Received] = []
        head = {"schema_version": VERSION, "bar_size": bar_size.value, "calendar": calendar}
        if (self.folder / HEAD_FILE).is_file():
            found = _read_head(self.folder)
            if found != head:
                raise ContractError.of(f"{self.folder}", f"hold a session of {bar_size} and {calendar}", found)
        else:
            write_json(self.folder / HEAD_FILE, head)
        put_torn_aside(self.folder)
        self._next = len(_chunks(self.folder))

    def append(self, received: Received) -> None:
        """Take an event; every `chunk` events they are on the disk.

        Raises
        ------
        StorageError
            If the disk refuses; what was taken is kept and written with the next flush.
        """
        self._rows.append(received)
        if len(self._rows) >= self._chunk:
            self.flush()

    def flush(self) -> None:
        """Write what was taken since the last chunk; when it returns, that is on the disk.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        if not self._rows:
            return
        sink = io.BytesIO()
        pq.write_table(_table(self._rows), sink, compression="zstd")
        atomic_write_bytes(_chunk_path(self.folder, self._next), sink.getvalue())
        self._rows.clear()
        self._next += 1

    def close(self) -> None:
        """Write what is left."""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class RecordedSession:
    """A recorded session, opened for reading. The folder is not changed.

    Parameters
    ----------
    folder : path

    Raises
    ------
    DataNotFound
        If there is no recorded session.
    DataError
        If it cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        head = _read_head(self.folder)
        self.bar_size = BarSize.parse(head["bar_size"])
        self.calendar = head["calendar"]
        self._paths = _chunks(self.folder)
        if self._paths and not _is_whole(self._paths[-1]):
            self._paths = self._paths[:-1]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol that it has an event of, sorted."""
        return tuple(sorted({event.symbol for event in self.events()}))

    def received(self) -> Iterator[Received]:
        """Yield events and notices with their stamps of receipt, as they were taken.

        Raises
        ------
        DataError
            If a chunk that is not the last cannot be read.
        """
        for path in self._paths:
            yield from _rows(_read_chunk(path))

    def events(self) -> Iterator[MarketEvent]:
        """Yield the market events, as they were taken."""
        for received in self.received():
            if not isinstance(received.event, FeedNotice):
                yield received.event

    def course(self) -> Iterator[MarketEvent | FeedNotice]:
        """Yield what a replay delivers: the market events, and what befell the feed between its beginning and its end."""
        began = False
        for event, _ in self.received():
            if not isinstance(event, FeedNotice):
                began = True
                yield event
            elif began and event.kind is not NoticeKind.ENDED:
                yield event

    def source(self) -> MemorySource:
        """Return the bars as history for a backtest; of an amended bar its last form.

        Raises
        ------
        DataNotFound
            If there are none.
        """
        bars = {(event.known_ns, event.symbol): event for event in self.events() if isinstance(event, Bar)}
        if not bars:
            raise DataNotFound(f"the recorded session in {self.folder} holds no bars.")
        calendar = ExchangeCalendar.get(self.calendar)
        return MemorySource.from_table(
            bar_table([bars[key] for key in sorted(bars)], calendar, self.bar_size),
            bar_size=self.bar_size,
            calendar=self.calendar,
            name=self.folder.name,
        )


def bar_table(bars: list[Bar], calendar: ExchangeCalendar, bar_size: BarSize) -> pa.Table:
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


def put_torn_aside(folder: Path) -> list[Path]:
    """Rename what a crash left unfinished, so that it is neither read nor lost, and return the new names.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    paths = _chunks(folder)
    torn = sorted(folder.glob(".events-*.part-*"))
    if paths and not _is_whole(paths[-1]):
        torn.append(paths[-1])
    aside = []
    for path in torn:
        new = path.with_name(f"{path.name.removeprefix('.')}{TORN}")
        try:
            path.rename(new)
            sync_folder(folder)
        except OSError as exc:
            raise storage_error("rename", path, exc) from exc
        _LOG.warning("%s was not finished and is put aside as %s", path.name, new.name)
        aside.append(new)
    return aside


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"events-{number:06d}.parquet"


def _chunks(folder: Path) -> list[Path]:
    return sorted(folder.glob("events-*.parquet"))


def _read_head(folder: Path) -> dict[str, str]:
    path = folder / HEAD_FILE
    if not path.is_file():
        raise DataNotFound(f"{folder} holds no recorded session: {HEAD_FILE} is missing. Check the path.")
    try:
        head = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise DataError(f"{path} cannot be read: {exc}.") from exc
    texts = isinstance(head, dict) and all(isinstance(head.get(k), str) for k in ("schema_version", "bar_size", "calendar"))
    if not texts or head["schema_version"].partition(".")[0] != VERSION.partition(".")[0]:
        raise DataError(f"{path} is not the head of a recorded session of version {VERSION}. Update Fairlead, or record anew.")
    return {str(key): str(value) for key, value in head.items()}


def _is_whole(path: Path) -> bool:
    try:
        _read_chunk(path)
    except DataError:
        return False
    return True


def _read_chunk(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as exc:
        raise DataError(f"{path} cannot be read: {exc}. Restore it from a copy, or move it away.") from exc
    if table.column_names != EVENT_SCHEMA.names:
        raise DataError(f"{path} is no chunk of a recorded session. Move it away.")
    return table


def _table(rows: list[Received]) -> pa.Table:
    # By kind, so that the columns of each are made at once: a session waits while its recording is written.
    columns: dict[str, list[Any]] = {name: [None] * len(rows) for name in EVENT_SCHEMA.names}
    columns["known"] = [event.known_ns for event, _ in rows]
    columns["received"] = [received_ns for _, received_ns in rows]
    places: dict[type, list[int]] = {}
    for place, (event, _) in enumerate(rows):
        places.setdefault(type(event), []).append(place)
    for cls, found in places.items():
        events: list[Any] = [rows[place].event for place in found]
        if cls is FeedNotice:
            values = {"kind": [e.kind.value for e in events], "symbol": [""] * len(events), "text": [e.text for e in events]}
        else:
            fields = zip(cls._fields, zip(*events, strict=True), strict=True)  # type: ignore[attr-defined]  # a named tuple
            values = {_COLUMN_OF.get(name, name): list(column) for name, column in fields}
            values["kind"] = [cls.__name__.lower()] * len(events)
        for name, column in values.items():
            if len(events) == len(rows):
                columns[name] = column
                continue
            into = columns[name]
            for place, value in zip(found, column, strict=True):
                into[place] = value
    return pa.Table.from_arrays([_array(field, columns[field.name]) for field in EVENT_SCHEMA], schema=EVENT_SCHEMA)


def _array(field: pa.Field, values: list[Any]) -> pa.Array:
    if pa.types.is_dictionary(field.type):
        return pa.array(values, pa.string()).dictionary_encode().cast(field.type)
    if pa.types.is_timestamp(field.type):
        return pa.array(values, pa.int64()).cast(field.type)
    return pa.array(values, field.type)


def _rows(table: pa.Table) -> Iterator[Received]:
    columns = {name: table.column(name) for name in table.column_names}
    for name in ("known", "received", "label"):
        columns[name] = columns[name].cast(pa.int64())
    lists = {name: column.to_pylist() for name, column in columns.items()}
    prices = list(zip(*(lists[name] for name in ("open", "high", "low", "close", "volume")), strict=True))
    for i, kind in enumerate(lists["kind"]):
        symbol, known_ns = lists["symbol"][i], lists["known"][i]
        event: MarketEvent | FeedNotice
        if kind == "bar":
            event = Bar(symbol, lists["label"][i], known_ns, *prices[i])
        elif kind in _TICKS:
            cls = _TICKS[kind]
            event = cls(symbol, known_ns, *(lists[name][i] for name in cls._fields[2:]))
        else:
            event = FeedNotice(NoticeKind(kind), known_ns, lists["text"][i])
        yield Received(event, lists["received"][i])
