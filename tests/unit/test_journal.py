"""Journal: entries and back, the chain, groups of records that wait once, and what happens when the disk refuses."""

import datetime as dt
import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fairlead.contracts.files import canonical_json, sha256_bytes
from fairlead.core.errors import ConfigurationError, ContractError, DataError, StorageError
from fairlead.core.events import Command, CommandKind
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order, OrderStatus, Side, TimeInForce
from fairlead.journal import (
    Head,
    Journal,
    JournalSettings,
    Kind,
    Ticket,
    entries,
    export_parquet,
    open_store,
    read_head,
    verify,
)
from fairlead.journal.records import GENESIS, seal
from fairlead.journal.verification import Fault
from support_journal import NS, made_order, numbered

NOON = dt.datetime(2025, 1, 6, 12, tzinfo=dt.UTC)


def sealed(entry):
    return seal(entry, "paper_x", 1, GENESIS)


def fields(order: Order) -> dict[str, object]:
    return {name: getattr(order, name) for name in Order.__slots__}


@pytest.fixture
def opened(tmp_path):
    """A journal in a folder of its own, with its head beside it."""
    with Journal.open(JournalSettings(batch=4), "paper_x", tmp_path) as journal:
        yield journal


# ------------------------------------------------------------------------------------------------------------- entries and back


@pytest.mark.parametrize(
    "wish",
    [
        OrderIntent.market("ACME", -5, tag="exit|of 'it'"),
        OrderIntent.limit("ACME", 0.30000000000000004, 1e-7, time_in_force=TimeInForce.GTD, expires_at=NOON),
        OrderIntent.target_weight("ACME", 0.0),
        OrderIntent.stop("ACME", 10, 99.5).with_exits(take_profit=120.0, trail_percent=2.5),
        OrderIntent.trailing_stop("ACME", -1, amount=0.05),
        OrderIntent.market("ACME", 1).then(OrderIntent.limit("ACME", -1, 130.0), OrderIntent.on_close("BRK.B", 2)),
        CancelIntent("id-1"),
        ReplaceIntent("id-1", limit_price=3.3),
    ],
    ids=lambda wish: type(wish).__name__,
)
def test_an_intent_comes_back_as_it_was(wish):
    record = sealed(entries.intent(NS, "trend", wish))
    assert entries.intent_of(record) == wish
    assert (record.kind, record.strategy) == ("intent", "trend")
    assert (record.symbol or record.order_id) in {"ACME", "id-1"}


def test_an_order_its_change_and_its_fill_come_back_as_they_were():
    order = made_order()
    whole = sealed(entries.order(NS, order))
    assert fields(entries.order_of(whole)) == fields(order)
    assert entries.update_of(whole) is None
    change = order.move_to(OrderStatus.CANCELLED, NS + 9, "operator")
    told = sealed(entries.update(NS + 10, change, symbol="ACME"))
    assert entries.update_of(told) == change
    assert entries.order_of(told) is None
    fill = Fill("7", "id-1", "trend", "ACME", Side.SELL, 0.1 + 0.2, 100.1, 1 / 3, 0.0, NS + 8, NS, "tag")
    record = sealed(entries.fill(NS + 11, fill))
    assert entries.fill_of(record) == fill
    assert (record.ts_ns, record.order_id, record.symbol, record.strategy) == (NS + 11, "id-1", "ACME", "trend")


def test_the_other_kinds_say_who_and_why():
    command = Command(CommandKind.FLATTEN, NS, "trend", "drill")
    assert entries.command_of(sealed(entries.command(command, "ana", outcome="done"))) == command
    refused = entries.guard_rejection(NS, made_order(), "G1", "too much", measured=float("nan"), limit=5.0)
    assert fields(entries.refused_of(sealed(refused))) == fields(made_order())
    assert sealed(refused).data["measured"] is None  # JSON has no NaN
    found = {
        entry.kind: sealed(entry).data
        for entry in (
            entries.decision(NS, "trend", {"why": np.float64(0.5)}),
            entries.switch(NS, "KS_DD", "tripped", {"measured": 0.2}),
            entries.config_change(NS, "capital", 1, 2, who="ana", reason="more"),
            entries.session(NS, "checkpoint", {"file": "x"}),
            entries.reconciliation(NS, {"type": "QUANTITY_MISMATCH"}, symbol="ACME"),
            entries.note(NS, "hello"),
        )
    }
    assert found == {
        Kind.DECISION: {"why": 0.5},
        Kind.SWITCH: {"switch": "KS_DD", "state": "tripped", "measured": 0.2},
        Kind.CONFIG_CHANGE: {"setting": "capital", "before": 1, "after": 2, "who": "ana", "reason": "more"},
        Kind.SESSION: {"event": "checkpoint", "file": "x"},
        Kind.RECONCILIATION: {"type": "QUANTITY_MISMATCH"},
        Kind.NOTE: {"text": "hello"},
    }


def test_a_record_is_not_read_as_something_else():
    with pytest.raises(ContractError, match="'record 1' must be of kind fill, was 'note'"):
        entries.fill_of(sealed(entries.note(NS, "hello")))


def test_the_hash_is_that_of_the_canonical_json_of_all_other_fields():
    """Whoever has a JSON library and SHA-256 can check a journal."""
    record = seal(numbered(39), 'pa"per\\é', 7, "ab" * 32)
    stated = {**record._asdict(), "payload": record.data}
    assert record.hash == stated.pop("hash")
    assert record.hash == sha256_bytes(canonical_json(stated).encode())


# ----------------------------------------------------------------------------------------------------- verification


def chain(count):
    records, link = [], GENESIS
    for i in range(count):
        records.append(seal(numbered(i), "run", i + 1, link))
        link = records[-1].hash
    return records


def test_what_a_store_cannot_hold_is_named_too():
    """Of a list, such as an export: a record twice, two in the wrong order, a link to another chain."""
    records = chain(6)
    other = seal(numbered(3), "run", 4, "f" * 64)
    for damaged, fault, seq in (
        ([*records[:3], records[2], *records[3:]], Fault.DUPLICATE, 3),
        ([*records[:3], records[1], *records[3:]], Fault.OUT_OF_ORDER, 2),
        ([*records[:3], other, *records[4:]], Fault.LINK, 4),
        ([*records[:2], *records[3:]], Fault.GAP, 3),
        ([*records[:2], records[2]._replace(hash="0" * 64), *records[3:]], Fault.CHANGED, 3),
        ([*records[:2], records[2]._replace(seq=4), *records[3:]], Fault.GAP, 3),
    ):
        verdict = verify(damaged)
        assert (verdict.fault, verdict.seq, verdict.whole) == (fault, seq, False)
        assert verdict.head == Head(verdict.records, records[verdict.records - 1].hash)
    assert verify(records) == verify(iter(records))
    assert verify(records[3:], after=Head(3, records[2].hash)).records == 3


# ----------------------------------------------------------------------------------------------------- groups, and the disk


def test_records_wait_together(opened):
    """Held back until somebody waits, or the batch is full; then one transaction takes all."""
    sizes = []
    write = opened._store.append
    opened._store.append = lambda batch: (sizes.append(len(batch)), write(batch))[1]
    tickets = [opened.append(numbered(i)) for i in range(3)]
    assert (sizes, opened.durable_seq, opened.last_seq) == ([], 0, 3)
    opened.durable(tickets[0])
    assert (sizes, opened.durable_seq) == ([3], 3)
    opened.durable(tickets[2])
    opened.flush()
    for i in range(9):
        opened.append(numbered(3 + i))
    assert sizes == [3, 4, 4]
    assert [record.data["i"] for record in opened.read()] == list(range(11))


def test_threads_share_a_chain(tmp_path):
    with Journal.open(JournalSettings(), "run", tmp_path) as journal:

        def tell(name: str) -> None:
            for i in range(50):
                journal.durable(journal.append(entries.note(NS + i, name)))

        threads = [threading.Thread(target=tell, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.durable_seq == 200
        found = [(record.data["text"], record.ts_ns) for record in journal.read()]
        assert verify(journal._store).records == 200
    assert all([ts for name, ts in found if name == told] == [NS + i for i in range(50)] for told in "abcd")


def test_a_full_disk_ends_the_writing_and_leaves_no_gap(tmp_path):
    settings = JournalSettings()
    with Journal.open(settings, "run", tmp_path) as journal:
        for i in range(100):
            journal.append(numbered(i))
    journal = Journal.open(settings, "run", tmp_path)
    pages = journal._store._writer.exec_driver_sql("PRAGMA page_count").scalar_one()
    journal._store._writer.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    journal._store._writer.commit()

    def go_on() -> None:
        for i in range(100, 5_000):
            journal.append(numbered(i))

    with pytest.raises(StorageError, match=r"cannot write to .*journal\.db: database or disk is full\. Check the disk"):
        go_on()
    reported = journal.durable_seq
    assert 100 <= reported < 5_000
    for refused in (lambda: journal.append(numbered(0)), journal.flush, lambda: journal.durable(Ticket(reported + 1, ""))):
        with pytest.raises(StorageError, match=r"the journal takes nothing since a write failed: .* disk is full"):
            refused()
    assert "disk is full" in journal.failure
    journal.close()
    with Journal.open(settings, "run", tmp_path) as again:
        assert again.last_seq == reported
        again.append(numbered(reported))
    with closing(open_store(tmp_path / "journal.db")) as store:
        assert [record.data["i"] for record in store.read()] == list(range(reported + 1))
        assert verify(store, read_head(tmp_path / "journal.head")).whole


def test_a_head_that_cannot_be_written_ends_the_writing_too(tmp_path):
    settings = JournalSettings(head=str(tmp_path / "later" / "head"), head_every=2)
    journal = Journal.open(settings, "run", tmp_path)
    (tmp_path / "later").touch()
    journal.append(numbered(0))
    last = journal.append(numbered(1))
    with pytest.raises(StorageError, match="cannot write"):
        journal.durable(last)
    with pytest.raises(StorageError, match="takes nothing"):
        journal.append(numbered(2))
    journal.close()


def test_the_ticket_of_another_journal_is_not_durable(tmp_path, monkeypatch):
    monkeypatch.setattr("fairlead.journal.journal._REMEMBERED", 2)
    other = Journal.open(JournalSettings(), "other", tmp_path / "b")
    with other, Journal.open(JournalSettings(), "run", tmp_path / "a") as journal:
        own = [journal.append(numbered(i)) for i in range(8)]
        foreign = [other.append(numbered(i)) for i in range(9)]
        journal.flush()
        for ticket in (*foreign, Ticket(0, GENESIS)):
            assert not journal.is_durable(ticket)
            with pytest.raises(StorageError, match=f"does not hold record {ticket.seq} with the hash"):
                journal.durable(ticket)
        assert other.durable_seq == 0
        assert journal.is_durable(own[-1])
        assert not journal.is_durable(own[0])  # forgotten, and found on the disk
        journal.durable(own[0])
        assert journal.is_durable(own[0])
    with Journal.open(JournalSettings(), "again", tmp_path / "a") as journal:
        journal.durable(own[3])


def test_a_closed_journal_takes_nothing(tmp_path):
    journal = Journal.open(JournalSettings(), "run", tmp_path)
    journal.close()
    journal.close()
    with pytest.raises(StorageError, match=r"the journal .*journal\.db is closed\."):
        journal.append(numbered(0))


def test_what_was_appended_before_an_error_is_kept(tmp_path):
    def session() -> None:
        with Journal.open(JournalSettings(), "run", tmp_path) as journal:
            journal.append(numbered(0))
            raise KeyError("of the session")

    with pytest.raises(KeyError):
        session()
    with closing(open_store(tmp_path / "journal.db")) as store:
        assert store.count == 1


# -------------------------------------------------------------------------------------------------------------- files beside it


def test_the_head_is_written_now_and_then_and_at_the_end(tmp_path):
    with Journal.open(JournalSettings(head_every=10), "run", tmp_path) as journal:
        for i in range(9):
            journal.durable(journal.append(numbered(i)))
        assert read_head(tmp_path / "journal.head") is None
        ticket = journal.append(numbered(9))
        journal.durable(ticket)
        assert read_head(tmp_path / "journal.head") == Head(*ticket)
        last = journal.append(numbered(10))
    assert read_head(tmp_path / "journal.head") == Head(*last)


def test_the_head_advances_over_sessions_that_crash(tmp_path):
    """It may lag behind by `head_every` records, over however many sessions they came."""
    settings, path = JournalSettings(head_every=10), tmp_path / "journal.head"
    with Journal.open(settings, "run", tmp_path) as journal:
        journal.append(numbered(0))
    for part in range(4):
        journal = Journal.open(settings, f"run-{part}", tmp_path)
        for i in range(6):
            journal.durable(journal.append(numbered(1 + part * 6 + i)))
        journal._store.close()  # as if the process had died
        head = read_head(path)
        assert head is not None
        assert journal.durable_seq - head.seq < 10
    assert head.seq == 21
    Journal.open(settings, "run", tmp_path).close()
    assert read_head(path).seq == 25
    with closing(open_store(tmp_path / "journal.db", write=True)) as store:
        for statement in ("DROP TRIGGER journal_records_no_delete", "DELETE FROM journal_records WHERE seq > 20"):
            store._writer.exec_driver_sql(statement)
            store._writer.commit()
        verdict = verify(store, read_head(path))
    assert (verdict.fault, verdict.seq) == (Fault.TRUNCATED, 21)
    with pytest.raises(StorageError, match="damaged at record 21"):
        Journal.open(settings, "run", tmp_path)


def test_two_journals_in_one_folder_have_a_head_each(tmp_path):
    for name, count in (("a.db", 3), ("b.db", 2)):
        with Journal.open(JournalSettings(url=str(tmp_path / name)), name, tmp_path) as journal:
            for i in range(count):
                journal.append(numbered(i))
    for name, count in (("a.db", 3), ("b.db", 2)):
        with Journal.open(JournalSettings(url=str(tmp_path / name)), "again", tmp_path) as journal:
            assert journal.last_seq == count


@pytest.mark.parametrize("text", ["", "[]", '{"seq": 0, "hash": "x"}', '{"seq": 1, "hash": "zz"}', "\udcff"])
def test_a_head_that_is_none_is_told(tmp_path, text):
    path = tmp_path / "journal.head"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="is no head of a journal"):
        read_head(path)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "journal.db").write_text("not a database at all, only some text that is long enough" * 20)
    for write in (False, True):
        with pytest.raises(StorageError, match="file is not a database"):
            open_store(tmp_path / "journal.db", write=write)


def test_without_a_driver_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r'Install the extra: pip install "fairlead\[postgres\]"'):
        open_store("postgresql://user@host/name")


def test_a_password_in_a_query_is_not_shown():
    pytest.importorskip("psycopg")
    url = "postgresql://me:s3cret@/name?host=/nosuch-folder&password=hunter22&sslpassword=hunter%2022"
    with pytest.raises(StorageError, match=r"cannot open postgresql://me:.*@/name\?host=.*nosuch-folder") as caught:
        open_store(url)
    assert "hunter" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_writer_has_the_disk_flushed_at_every_commit(tmp_path):
    with closing(open_store(tmp_path / "journal.db", write=True)) as store:
        found = [store._writer.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("synchronous", "journal_mode")]
    assert found == [2, "wal"]


def test_a_lock_that_cannot_be_written_is_let_go(tmp_path):
    """A full disk, for which a limit on the size of files stands."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*journal\.db\.lock: "):
            open_store(tmp_path / "journal.db", write=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    open_store(tmp_path / "journal.db", write=True).close()
    assert (tmp_path / "journal.db.lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_is_let_go_where_there_is_no_driver(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sqlite3", None)
        with pytest.raises(ConfigurationError, match="needs the package sqlite3"):
            open_store(tmp_path / "journal.db", write=True)
    open_store(tmp_path / "journal.db", write=True).close()


def test_paths_may_hold_what_urls_may_not(tmp_path):
    settings = JournalSettings(url=str(tmp_path / "a b?#%20" / "j.db"))
    with Journal.open(settings, "run", tmp_path) as journal:
        journal.append(numbered(0))
    assert sorted(path.name for path in (tmp_path / "a b?#%20").iterdir()) == ["j.db", "j.db.lock", "j.head"]


@pytest.mark.parametrize(
    ("url", "head", "expected"),
    [
        ("", "", "ws/journal.head"),
        ("deep/journal.db", "", "deep/journal.head"),
        ("deep/x.db", "", "deep/x.head"),
        ("deep/x.head", "", "deep/x.head.head"),
        ("sqlite:///deep/x.db", "", "deep/x.head"),
        ("postgresql://host/name", "", "ws/journal-host-name.head"),
        ("postgresql://me:p/w@host:5432/name?sslmode=require&password=pw", "", "ws/journal-host-5432-name.head"),
        ("postgresql:///name?host=/run/pg&options=-csearch_path%3Da", "", "ws/journal-name-run-pg-csearch_path-a.head"),
        ("", "else/where", "else/where"),
    ],
)
def test_the_head_stands_beside_the_database(tmp_path, url, head, expected):
    assert JournalSettings(url=url, head=head).head_path(Path("ws")) == Path(expected)


def test_an_export_has_every_record(tmp_path):
    records = chain(25_000)
    assert export_parquet(records, tmp_path / "x.parquet") == 25_000
    table = pq.read_table(tmp_path / "x.parquet")
    assert verify([type(records[0])(**row) for row in table.to_pylist()]) == verify(records)
    assert pq.ParquetFile(tmp_path / "x.parquet").num_row_groups == 3


def test_an_export_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_text("before")

    def records():
        yield from chain(3)
        raise KeyError("gone")

    with pytest.raises(KeyError):
        export_parquet(records(), path)
    assert [item.name for item in tmp_path.iterdir()] == ["x.parquet"]
    assert path.read_text() == "before"


def test_to_name_a_kind_loads_no_database():
    script = "import sys, fairlead.journal.entries, fairlead.cli.main; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, env={**os.environ}).returncode == 0
