"""A journal in PostgreSQL."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from fairlead.core.errors import ConfigurationError, StorageError
from fairlead.core.redaction import Secrets
from fairlead.journal.sql import SqlStore, new_engine

_TAKE_PLACE: Final = "SELECT pg_try_advisory_lock(hashtext('fairlead.journal'), hashtext(current_schema()))"


class PostgresStore(SqlStore):
    """A journal in a PostgreSQL database; see `open_store`.

    The writer's place is an advisory lock of the connection that writes: whoever loses the one has lost the other. A pooler
    between the two that hands a session's connection to others (pgbouncer in transaction mode) cannot be used.

    Parameters
    ----------
    url : str
    write : bool
    """

    def __init__(self, url: str, *, write: bool = False) -> None:
        scheme, _, rest = url.partition("://")
        try:
            parsed = sa.make_url(f"{'postgresql+psycopg' if '+' not in scheme else scheme}://{rest}")
        except (ArgumentError, ValueError) as exc:
            raise ConfigurationError.of("journal url", "be like postgresql://user@host/name", f"{scheme}://...") from exc
        # libpq takes a password from the query too.
        place = Secrets().hide(parsed.set(drivername="postgresql").render_as_string(hide_password=True))
        # A connection that was lost is not replaced behind the writer's back, and a reader leaves none open.
        super().__init__(new_engine(parsed, poolclass=NullPool), place, write=write)

    def _prepare(self, writer: sa.Connection) -> None:
        with writer.begin():
            if not writer.exec_driver_sql(_TAKE_PLACE).scalar_one():
                self._refuse_second()
            if writer.exec_driver_sql("SHOW fsync").scalar_one() != "on":
                raise StorageError(
                    f"{self._place} does not flush to its disk (fsync is off), so nothing in it is durable. Set fsync = on."
                )
            writer.exec_driver_sql("SET synchronous_commit TO on")
