"""What the two databases have in common: statements, the single writer, and how a failure ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from fairlead.core.errors import ConfigurationError, DataNotFound, StorageError
from fairlead.journal.records import Record, make_record
from fairlead.journal.schema import RECORDS, SCHEMA_VERSION, create_schema, schema_version

_ROWS_AT_ONCE: Final = 1_000
_COLUMNS: Final = tuple(column.name for column in RECORDS.columns)
_INSERT: Final = RECORDS.insert()


class SqlStore(ABC):
    """A `JournalStore` in a database that SQLAlchemy speaks to.

    A writer keeps one connection for its life, and no other may write as long as it is open: whoever loses it writes nothing
    more, and does not find out on a second connection that somebody else has the place.
    """

    def __init__(self, engine: sa.Engine, place: str, *, write: bool) -> None:
        self._engine = engine
        self._place = place
        self._writer: sa.Connection | None = None
        self._broken = ""
        try:
            with self._translated("open"):
                if write:
                    self._writer = engine.connect()
                    self._prepare(self._writer)
                    self._create_or_check(self._writer)
                else:
                    with engine.connect() as connection:
                        self._check(schema_version(connection))
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        return self._place

    def append(self, batch: Sequence[Record]) -> range:
        """Write all of `batch` or nothing; see `JournalStore.append`."""
        writer = self._writer
        if self._broken or writer is None:
            raise StorageError(f"{self._place} takes no records: {self._broken or 'it was opened to be read'}.")
        if not batch:
            return range(0)
        try:
            with self._translated("write to"), writer.begin():
                writer.execute(_INSERT, [dict(zip(_COLUMNS, record, strict=True)) for record in batch])
        except BaseException as exc:
            # Whether the records are there is not known any more, nor whether the connection still holds its place.
            self._broken = f"an earlier write failed ({exc})" if str(exc) else "an earlier write was cut off"
            raise
        return range(batch[0].seq, batch[-1].seq + 1)

    def read(self, from_seq: int = 1) -> Iterator[Record]:
        """Give the records from `from_seq` on; see `JournalStore.read`."""
        wanted = sa.select(RECORDS).where(RECORDS.c.seq >= from_seq).order_by(RECORDS.c.seq)
        with (
            self._translated("read"),
            self._engine.connect() as connection,
            connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(wanted) as rows,
        ):
            for part in rows.partitions():
                yield from map(make_record, part)

    def last(self) -> Record | None:
        """Return the newest record; None if there is none."""
        wanted = sa.select(RECORDS).order_by(RECORDS.c.seq.desc()).limit(1)
        with self._translated("read"), self._engine.connect() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else Record(*row)

    @property
    def count(self) -> int:
        """How many records there are."""
        with self._translated("read"), self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(RECORDS)).scalar_one()

    def close(self) -> None:
        """Let go of the database."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except SQLAlchemyError:
                writer.invalidate()
        self._engine.dispose()

    @abstractmethod
    def _prepare(self, writer: sa.Connection) -> None:
        """Take the writer's place and have every commit wait for the disk."""

    def _create_or_check(self, writer: sa.Connection) -> None:
        with writer.begin():
            found = schema_version(writer)
            if found is None:
                create_schema(writer)
                return
        self._check(found)

    def _check(self, found: int | None) -> None:
        if found is None:
            raise DataNotFound(f"{self._place} holds no journal. A paper session makes one; --journal names another.")
        if found > SCHEMA_VERSION:
            raise StorageError(
                f"{self._place} was made by a newer version of Fairlead: its schema is {found}, this one reads up to "
                f"{SCHEMA_VERSION}. Update Fairlead."
            )

    def _refuse_second(self, whose: str = "") -> NoReturn:
        raise StorageError(
            f"{self._place} has a writer already{whose}. End that session first, or give this one a journal of its own."
        )

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as exc:
            reason = str(getattr(exc, "orig", None) or exc).strip().splitlines()
            text = reason[0].rstrip(".") if reason else type(exc).__name__
            raise StorageError(f"cannot {verb} {self._place}: {text}. Check the disk and the database.") from exc


def new_engine(url: sa.URL | str, **options: object) -> sa.Engine:
    """Return an engine.

    Raises
    ------
    ConfigurationError
        If the URL cannot be understood, or its driver is not installed.
    """
    try:
        return sa.create_engine(url, **options)
    except ModuleNotFoundError as exc:
        raise ConfigurationError(
            f'the journal\'s database needs the package {exc.name}. Install the extra: pip install "fairlead[postgres]"'
        ) from exc
    except (SQLAlchemyError, ValueError) as exc:
        raise ConfigurationError.of("journal url", "be a database URL", str(exc)) from exc
