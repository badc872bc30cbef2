"""The seam to a database: what a journal needs of one, and which one a URL means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from fairlead.core.errors import ConfigurationError
from fairlead.journal.records import Record


class JournalStore(Protocol):
    """Keeps records. One writer at a time, any number of readers; nothing that was written ever changes.

    An implementation passes ``tests/conformance/test_journal_stores.py``.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages; without a password."""
        ...

    def append(self, batch: Sequence[Record]) -> range:
        """Write all of `batch` or nothing, and return its places; when it returns, the records are on the disk.

        Raises
        ------
        StorageError
            If the database refuses, or the records do not follow its last one. The store then takes no others: whether
            they are there is known to whoever opens it anew.
        """
        ...

    def read(self, from_seq: int = 1) -> Iterator[Record]:
        """Give the records from `from_seq` on, in order, in bounded memory: those that were there at the first."""
        ...

    def last(self) -> Record | None:
        """Return the newest record; None if there is none."""
        ...

    @property
    def count(self) -> int:
        """How many records there are."""
        ...

    def close(self) -> None:
        """Let go of the database. A second time does nothing."""
        ...


def open_store(place: str | Path, *, write: bool = False) -> JournalStore:
    """Open the journal at a URL or path.

    Parameters
    ----------
    place : str or path
        ``postgresql://user@host/name``, ``sqlite:///path`` or the path of an SQLite file.
    write : bool
        As its one writer: it is made if there is none. Otherwise only to read.

    Raises
    ------
    ConfigurationError
        If the URL is none that there is a store for, or the driver is not installed.
    DataNotFound
        If there is no journal to read.
    StorageError
        If another writes to it, a newer version of Fairlead made it, or the database refuses.
    """
    text = str(place)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "sqlite", f"/{text}"
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        from fairlead.journal.sqlite import SqliteStore  # noqa: PLC0415  loads the database library

        return SqliteStore(Path(rest[1:]).expanduser(), write=write)
    if scheme.partition("+")[0] in {"postgresql", "postgres"}:
        from fairlead.journal.postgres import PostgresStore  # noqa: PLC0415  loads the database library

        return PostgresStore(text, write=write)
    raise ConfigurationError.of("journal url", "be postgresql://..., sqlite:///... or a path", f"{scheme}://...")
