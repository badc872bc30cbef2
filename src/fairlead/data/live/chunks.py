"""How a recorded session lies on the disk: a head that says how it was gathered, and chunks of Parquet with its events."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from fairlead.contracts.files import atomic_write_bytes, write_json
from fairlead.contracts.settings import problem_texts
from fairlead.core.errors import DataError, DataNotFound, FairleadError
from fairlead.core.events import Bar, Quote, Trade
from fairlead.data.live.feed import FeedNotice, MarketEvent, NoticeKind, Received
from fairlead.data.live.gathering import GatheringRule

VERSION: Final = "1.1"
HEAD_FILE: Final = "session.json"
_STAMP: Final = pa.timestamp("ns", tz="UTC")
_PRICES: Final = ("open", "high", "low", "close", "volume")
_NUMBERS: Final = (*_PRICES, *("bid", "ask", "bid_size", "ask_size"), *("price", "size"))
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
_KINDS: Final = {"bar", *_TICKS, *(kind.value for kind in NoticeKind)}
_PART: Final = b"fairlead.part"
_REMEDY: Final = "Update Fairlead, or record anew."


class RecordingHead(GatheringRule):
    """What a recording says of itself: by what rule its events became instants.

    Parameters
    ----------
    schema_version : str
        Those of version 1.0 know bar size and calendar alone; they were gathered as the defaults say.
    """

    schema_version: str = Field(default=VERSION)


def write_head(folder: Path, head: RecordingHead) -> None:
    """Write the head of a new recording.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    write_json(folder / HEAD_FILE, head.model_dump(mode="json"))


def read_head(folder: Path) -> RecordingHead:
    """Return the head of a recording.

    Raises
    ------
    DataNotFound
        If there is no recorded session.
    DataError
        If it cannot be read, or is of another version.
    """
    path = folder / HEAD_FILE
    if not path.is_file():
        raise DataNotFound(f"{folder} holds no recorded session: {HEAD_FILE} is missing. Check the path.")
    try:
        head = RecordingHead.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise DataError(f"{path} cannot be read: {exc}.") from exc
    except (ValidationError, FairleadError) as exc:
        why = problem_texts(exc)[0] if isinstance(exc, ValidationError) else str(exc)
        raise DataError(f"{path} is not the head of a recorded session of version {VERSION}: {why}. {_REMEDY}") from exc
    if head.schema_version.partition(".")[0] != VERSION.partition(".")[0]:
        raise DataError(f"{path} is of version {head.schema_version}, and {VERSION} can be read. {_REMEDY}")
    return head


def chunk_path(folder: Path, number: int) -> Path:
    """Return where chunk `number` lies."""
    return folder / f"events-{number:06d}.parquet"


def chunk_paths(folder: Path) -> list[Path]:
    """Return the chunks of a recording, in order."""
    return sorted(folder.glob("events-*.parquet"))


def write_chunk(path: Path, rows: list[Received], part: int) -> None:
    """Write events beside their place, flush and rename them: a chunk that has its name is whole.

    Parameters
    ----------
    path : Path
    rows : list of Received
    part : int
        Those of another part were taken by another process, which gathered anew.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    sink = io.BytesIO()
    table = _table(rows)
    pq.write_table(table.replace_schema_metadata({_PART: str(part).encode()}), sink, compression="zstd")
    atomic_write_bytes(path, sink.getvalue())


def read_chunk(path: Path) -> tuple[int, Iterator[Received]]:
    """Return the part that a chunk belongs to, and its events.

    Raises
    ------
    DataError
        If it cannot be read or is none.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as exc:
        raise DataError(f"{path} cannot be read: {exc}. Restore it from a copy, or move it away.") from exc
    kinds = table.column("kind").unique().to_pylist() if "kind" in table.column_names else ()
    if not table.schema.equals(EVENT_SCHEMA) or not set(kinds) <= _KINDS:
        raise DataError(f"{path} is no chunk of a recorded session. Move it away.")
    part = (table.schema.metadata or {}).get(_PART, b"0")
    return int(part), _rows(table)


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
    prices = list(zip(*(lists[name] for name in _PRICES), strict=True))
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
