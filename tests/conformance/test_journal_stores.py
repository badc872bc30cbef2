"""What every store of a journal keeps: SQLite in a file, and a real PostgreSQL server."""

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, StorageError
from fairlead.journal import Entry, Head, Journal, Kind, Record, open_store, read_head, verify
from fairlead.journal.records import GENESIS, seal
from fairlead.journal.verification import Fault
from support_journal import PostgresServer, numbered, why_no_postgres

_names = (f"journal_{i}" for i in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with PostgresServer() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path) -> str:
    """Where a journal of its own can be made."""
    if request.param == "sqlite":
        return str(tmp_path / "deep" / "journal.db")
    return request.getfixturevalue("server").new_place(next(_names))


def raw(place: str) -> Callable[..., list[tuple[object, ...]]]:
    """What runs statements on the database, as someone with a shell would."""

    def run(*statements: str) -> list[tuple[object, ...]]:
        if "://" not in place:
            with closing(sqlite3.connect(place, isolation_level=None)) as connection:
                return [connection.execute(statement).fetchall() for statement in statements][-1]
        import psycopg

        with psycopg.connect(place, autocommit=True) as connection:
            cursors = [connection.execute(statement) for statement in statements]
            return cursors[-1].fetchall() if cursors[-1].description else []

    return run


def free(place: str) -> None:
    """Take the triggers away, as someone would who may do everything."""
    if "://" in place:
        raw(place)("ALTER TABLE journal_records DISABLE TRIGGER USER")
        return
    names = raw(place)("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    raw(place)(*(f"DROP TRIGGER {name}" for (name,) in names))


def chain(count: int, start: int = 0, previous: str = GENESIS) -> list[Record]:
    records: list[Record] = []
    for i in range(start, start + count):
        records.append(seal(numbered(i), "paper_x", i + 1, previous))
        previous = records[-1].hash
    return records


def filled(place: str, count: int = 30) -> list[Record]:
    records = chain(count)
    with closing(open_store(place, write=True)) as store:
        store.append(records)
    return records


# ---------------------------------------------------------------------------------------------------------- keeping and reading


def test_a_new_journal_is_empty(place):
    with closing(open_store(place, write=True)) as store:
        assert (store.last(), store.count, list(store.read())) == (None, 0, [])
        assert store.append([]) == range(0)
        assert verify(store).whole


def test_what_was_written_is_read_as_it_was(place):
    records = chain(2_500)
    with closing(open_store(place, write=True)) as store:
        assert store.append(records[:7]) == range(1, 8)
        assert store.append(records[7:]) == range(8, 2_501)
    with closing(open_store(place)) as reader:
        assert list(reader.read()) == records
        assert list(reader.read(2_499)) == records[2_498:]
        assert list(reader.read(9_999)) == []
        assert (reader.last(), reader.count) == (records[-1], 2_500)
        assert reader.last().data == numbered(2_499).payload
        assert verify(reader) == verify(records)


def test_a_reader_reads_while_another_writes(place):
    records = chain(3_000)
    with closing(open_store(place, write=True)) as store:
        store.append(records[:2_000])
        with closing(open_store(place)) as reader:
            reading = reader.read()
            first = next(reading)
            store.append(records[2_000:])
            assert [first, *reading] == records[:2_000]
            assert reader.last() == records[-1]


def test_a_reader_cannot_write(place):
    filled(place)
    with closing(open_store(place)) as reader, pytest.raises(StorageError, match="it was opened to be read"):
        reader.append(chain(1))


def test_there_is_nothing_to_read_where_there_is_no_journal(place):
    with pytest.raises(DataNotFound, match=r"A paper session makes one; --journal names another\."):
        open_store(place)


def test_closing_twice_does_nothing(place):
    store = open_store(place, write=True)
    store.close()
    store.close()


# -------------------------------------------------------------------------------------------------------------- who may do what


def test_a_second_writer_is_refused(place):
    store = open_store(place, write=True)
    with pytest.raises(StorageError, match=r"has a writer already.* End that session first"):
        open_store(place, write=True)
    store.append(chain(3))
    store.close()
    with closing(open_store(place, write=True)) as heir:
        assert heir.count == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal_records SET payload = '{}' WHERE seq = 3",
        "DELETE FROM journal_records WHERE seq = 30",
        """INSERT INTO journal_records SELECT seq + 5, ts_ns, kind, run_id, strategy, symbol, order_id, payload, previous, hash
        FROM journal_records WHERE seq = 30""",
    ],
    ids=["update", "delete", "gap"],
)
def test_the_database_itself_refuses_all_but_the_next_record(place, statement):
    records = filled(place)
    with pytest.raises(Exception, match=r"the journal is append-only|a record must stand one after the last"):
        raw(place)(statement)
    with closing(open_store(place)) as reader:
        assert list(reader.read()) == records


def test_no_statement_of_its_own_dialect_gets_around_it(place):
    records = filled(place)
    statement = "TRUNCATE journal_records" if "://" in place else "REPLACE INTO journal_records SELECT * FROM journal_records"
    with pytest.raises(Exception, match=r"the journal is append-only|a record must stand one after the last"):
        raw(place)(statement)
    with closing(open_store(place)) as reader:
        assert list(reader.read()) == records


def test_a_newer_schema_is_refused(place):
    filled(place)
    raw(place)("UPDATE journal_schema SET version = 99")
    for write in (False, True):
        with pytest.raises(StorageError, match=r"newer version of Fairlead: its schema is 99, .* Update Fairlead\."):
            open_store(place, write=write)
    raw(place)("UPDATE journal_schema SET version = 1")
    open_store(place, write=True).close()  # who was refused does not keep the writer's place


def test_records_that_do_not_follow_end_the_writing(place):
    records = chain(10)
    with closing(open_store(place, write=True)) as store:
        store.append(records[:5])
        with pytest.raises(StorageError, match="cannot write to"):
            store.append(records[6:])
        with pytest.raises(StorageError, match="an earlier write failed"):
            store.append(records[5:])
        assert list(store.read()) == records[:5]


# ----------------------------------------------------------------------------------------------------------------- verification

TAMPERINGS = {
    "payload": ("UPDATE journal_records SET payload = '{\"i\":6}' WHERE seq = 7", Fault.CHANGED, 7, 6),
    "stamp": ("UPDATE journal_records SET ts_ns = ts_ns + 1 WHERE seq = 1", Fault.CHANGED, 1, 0),
    "symbol": ("UPDATE journal_records SET symbol = 'OTHER' WHERE seq = 30", Fault.CHANGED, 30, 29),
    "gap": ("DELETE FROM journal_records WHERE seq IN (11, 12)", Fault.GAP, 11, 10),
    "first": ("DELETE FROM journal_records WHERE seq = 1", Fault.GAP, 1, 0),
    "end": ("DELETE FROM journal_records WHERE seq > 20", Fault.TRUNCATED, 21, 20),
    "all": ("DELETE FROM journal_records", Fault.TRUNCATED, 1, 0),
}


@pytest.mark.parametrize(("statement", "fault", "seq", "before"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_the_first_broken_record_is_named(place, statement, fault, seq, before):
    records = filled(place)
    free(place)
    raw(place)(statement)
    with closing(open_store(place)) as reader:
        verdict = verify(reader, Head(30, records[-1].hash))
        assert (verdict.fault, verdict.seq, verdict.records) == (fault, seq, before)
        assert verdict.text.startswith(f"record {seq}: ")
        assert verify(reader).whole == (fault is Fault.TRUNCATED)  # without a head a missing end does not show


def test_a_chain_that_was_made_anew_is_another(place):
    """Whoever changes a record and computes every hash after it is found out by the head alone."""
    records = filled(place)
    forged = seal(numbered(99), "paper_x", 10, records[8].hash)
    later = [forged]
    for i in range(10, 30):
        later.append(seal(numbered(i), "paper_x", i + 1, later[-1].hash))
    free(place)
    raw(place)("DELETE FROM journal_records WHERE seq >= 10")
    with closing(open_store(place, write=True)) as store:
        store.append(later)
        assert verify(store).whole
        verdict = verify(store, Head(30, records[-1].hash))
    assert (verdict.fault, verdict.seq) == (Fault.HEAD, 30)


# --------------------------------------------------------------------------------------------------------------- journal on top


def test_a_journal_goes_on_where_it_ended(place, tmp_path):
    head = tmp_path / "journal.head"
    for part in range(3):
        with Journal(open_store(place, write=True), f"run-{part}", head=head, batch=4) as journal:
            assert journal.last_seq == journal.durable_seq == part * 10
            tickets = [journal.append(numbered(part * 10 + i)) for i in range(10)]
            assert [journal.is_durable(ticket) for ticket in tickets] == [True] * 8 + [False] * 2
            journal.durable(tickets[-1])
            assert journal.durable_seq == part * 10 + 10
    with closing(open_store(place)) as reader:
        found = list(reader.read())
        assert [record.data["i"] for record in found] == list(range(30))
        assert {record.run_id for record in found} == {"run-0", "run-1", "run-2"}
        assert read_head(head) == Head(30, found[-1].hash)
        assert verify(reader, read_head(head)).whole


def test_a_journal_that_was_shortened_is_not_written_to(place, tmp_path):
    head = tmp_path / "journal.head"
    with Journal(open_store(place, write=True), "run", head=head) as journal:
        for i in range(30):
            journal.append(numbered(i))
    free(place)
    raw(place)("DELETE FROM journal_records WHERE seq > 20")
    with (
        closing(open_store(place, write=True)) as store,
        pytest.raises(StorageError, match="damaged at record 21: the journal"),
    ):
        Journal(store, "run", head=head)


def test_a_journal_whose_end_was_changed_is_not_written_to(place):
    filled(place)
    free(place)
    raw(place)("UPDATE journal_records SET strategy = 'other' WHERE seq = 30")
    with (
        closing(open_store(place, write=True)) as store,
        pytest.raises(StorageError, match="damaged at record 30: its content"),
    ):
        Journal(store, "run")


def test_what_cannot_be_written_down_leaves_the_journal_as_it_was(place):
    with Journal(open_store(place, write=True), "run") as journal:
        journal.append(numbered(0))
        for wrong in (
            Entry(0, Kind.NOTE, {"object": object()}),
            Entry(1 << 63, Kind.NOTE, {}),
            Entry(0, Kind.NOTE, {}, strategy="a\x00b"),
            Entry(0, Kind.NOTE, {"text": "\ud800"}),
        ):
            with pytest.raises(ContractError):
                journal.append(wrong)
        journal.append(numbered(1))
        journal.flush()
        assert [record.data["i"] for record in journal.read()] == [0, 1]


# --------------------------------------------------------------------------------------------------------- failures of a server


def test_a_connection_that_is_lost_ends_the_writing(server):
    """Fail closed: what was reported durable is there afterwards, and nothing after the failure."""
    place = server.new_place(next(_names))
    journal = Journal(open_store(place, write=True), "run")
    for i in range(10):
        journal.append(numbered(i))
    journal.flush()
    server.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
    )
    lost = journal.append(numbered(10))
    with pytest.raises(StorageError, match="cannot write to postgresql://fairlead@"):
        journal.durable(lost)
    for refused in (lambda: journal.append(numbered(11)), journal.flush, lambda: journal.durable(lost)):
        with pytest.raises(StorageError, match="takes nothing since a write failed: cannot write to"):
            refused()
    journal.close()
    with Journal(open_store(place, write=True), "run") as journal:
        assert journal.durable_seq == 10
        journal.append(numbered(10))
    with closing(open_store(place)) as reader:
        assert verify(reader).records == 11


def test_a_server_that_does_not_flush_is_refused(server):
    place = server.new_place(next(_names))
    server.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        with pytest.raises(StorageError, match=r"fsync is off.* Set fsync = on\."):
            open_store(place, write=True)
    finally:
        server.execute("ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()")


def test_a_server_that_is_not_there_is_told_without_its_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match=r"cannot open postgresql://u:\(redacted\)@") as caught:
        open_store(f"postgresql://u:s3cret@/name?host={tmp_path}")
    assert "s3cret" not in str(caught.value)


def test_a_url_that_means_no_store_is_told_without_its_password():
    for url in (
        "mysql://u:s3cret@host/name",
        "sqlite://",
        "postgresql+nosuch://u:s3cret@host/name",
        "postgresql://u:s3cret@host:x/n",
    ):
        with pytest.raises(ConfigurationError) as caught:
            open_store(url)
        assert "s3cret" not in str(caught.value)
