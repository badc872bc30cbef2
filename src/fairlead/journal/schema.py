"""The tables of a journal, and the triggers with which the database itself refuses all but an addition at the end."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 1

METADATA: Final = sa.MetaData()
_SEQ: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's own row number then, without a second index
RECORDS: Final = sa.Table(
    "journal_records",
    METADATA,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
    sa.Column("ts_ns", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
"""No other index: the cost of an addition must not grow with what is there."""
SCHEMA: Final = sa.Table("journal_schema", METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))

# Written out, without names put in: a statement that is put together from parts is one that a reader has to check.
_SQLITE: Final = (
    """CREATE TRIGGER journal_records_no_update BEFORE UPDATE ON journal_records
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER journal_records_no_delete BEFORE DELETE ON journal_records
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    # INSERT OR REPLACE deletes without asking the trigger above; this one does not let it come so far.
    """CREATE TRIGGER journal_records_at_end BEFORE INSERT ON journal_records
    WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM journal_records)
    BEGIN SELECT RAISE(ABORT, 'a record must stand one after the last'); END""",
)
_POSTGRES: Final = (
    """CREATE FUNCTION journal_records_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$""",
    """CREATE FUNCTION journal_records_check_end() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
        IF NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM journal_records) THEN
            RAISE EXCEPTION 'a record must stand one after the last';
        END IF;
        RETURN NEW;
    END $$""",
    """CREATE TRIGGER journal_records_no_change BEFORE UPDATE OR DELETE ON journal_records
    FOR EACH ROW EXECUTE FUNCTION journal_records_refuse()""",
    """CREATE TRIGGER journal_records_no_truncate BEFORE TRUNCATE ON journal_records
    FOR EACH STATEMENT EXECUTE FUNCTION journal_records_refuse()""",
    """CREATE TRIGGER journal_records_at_end BEFORE INSERT ON journal_records
    FOR EACH ROW EXECUTE FUNCTION journal_records_check_end()""",
)


def create_schema(connection: sa.Connection) -> None:
    """Make tables and triggers, in the transaction that is open on `connection`."""
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver begins nothing for a CREATE by itself
    METADATA.create_all(connection, checkfirst=False)
    for statement in _SQLITE if is_sqlite else _POSTGRES:
        connection.exec_driver_sql(statement)
    connection.execute(SCHEMA.insert(), [{"version": SCHEMA_VERSION}])


def schema_version(connection: sa.Connection) -> int | None:
    """Return the version of the schema; None if there is none."""
    if not sa.inspect(connection).has_table(SCHEMA.name):
        return None
    return connection.execute(sa.select(sa.func.max(SCHEMA.c.version))).scalar()
