"""A live session kept on the disk as it reached the loop, in chunks that a crash cannot spoil."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fairlead.contracts.files import storage_error, sync_folder
from fairlead.core.errors import ConfigurationError, ContractError, DataError
from fairlead.core.time import BarSize
from fairlead.data.live.chunks import (
    HEAD_FILE,
    RecordingHead,
    chunk_path,
    chunk_paths,
    read_chunk,
    read_head,
    write_chunk,
    write_head,
)
from fairlead.data.live.feed import Received
from fairlead.data.live.gathering import GRACE_S
from fairlead.data.live.settings import AggregationSettings

_LOG: Final = logging.getLogger(__name__)

TORN: Final = ".torn"
DEFAULT_CHUNK: Final = 10_000


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
    symbols : sequence of str
        Those of the session; empty for those that have an event.
    grace_s, aggregate
        By what rule the session that took the events made instants of them; see `GatheringRule`.
    chunk : int
        Events after which a chunk is written.

    Raises
    ------
    ContractError
        If the folder holds a session of another bar size, calendar or rule.
    StorageError
        If the disk refuses.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        bar_size: BarSize,
        calendar: str,
        symbols: Sequence[str] = (),
        grace_s: float = GRACE_S,
        aggregate: AggregationSettings | None = None,
        chunk: int = DEFAULT_CHUNK,
    ) -> None:
        if chunk < 1:
            raise ConfigurationError.of("chunk", "be 1 or more events", chunk)
        self.folder = Path(folder)
        self._chunk = chunk
        self._rows: list[Received] = []
        head = RecordingHead(
            bar_size=bar_size, calendar=calendar, symbols=tuple(sorted(symbols)), grace_s=grace_s, aggregate=aggregate
        )
        if (self.folder / HEAD_FILE).is_file():
            found = read_head(self.folder)
            if found != head:
                rule = f"hold a session of {bar_size} and {calendar} that was gathered as this one is"
                raise ContractError.of(f"{self.folder}", rule, found.model_dump(mode="json"))
        else:
            write_head(self.folder, head)
        put_torn_aside(self.folder)
        # Of the first chunk of what is taken from now on: whatever an earlier process had gathered and not used is gone.
        self._part = self._next = len(chunk_paths(self.folder))

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
        write_chunk(chunk_path(self.folder, self._next), self._rows, self._part)
        self._rows.clear()
        self._next += 1

    def close(self) -> None:
        """Write what is left."""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def put_torn_aside(folder: Path) -> list[Path]:
    """Rename what a crash left unfinished, so that it is neither read nor lost, and return the new names.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    paths = chunk_paths(folder)
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


def _is_whole(path: Path) -> bool:
    try:
        read_chunk(path)
    except DataError:
        return False
    return True
