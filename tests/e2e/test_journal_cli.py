"""`fairlead journal`: verify, show, export, and what is told where something is wrong."""

import json
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fairlead.core.fills import Fill
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import OrderStatus, Side
from fairlead.journal import Journal, JournalSettings, entries, open_store
from support_cli import fairlead
from support_journal import NS, made_order


@pytest.fixture
def written(tmp_path) -> Path:
    """A folder with a journal in its workspace."""
    order = made_order()
    with Journal.open(JournalSettings(), "paper_x", tmp_path / "artifacts") as journal:
        journal.append(entries.session(NS, "start"))
        journal.append(entries.intent(NS, "trend", OrderIntent.market("ACME", 5)))
        journal.append(entries.order(NS, order))
        journal.append(entries.update(NS + 1, order.move_to(OrderStatus.ACKNOWLEDGED, NS + 1)))
        journal.append(entries.fill(NS + 10**9, Fill("7", "id-1", "trend", "ACME", Side.BUY, 5, 1.5, 1.5, 0.0, NS, NS)))
    return tmp_path


def test_verify_says_whole_or_what_is_broken(written):
    done = fairlead("journal", "verify", cwd=written)
    assert done.code == 0
    assert "5 records" in done.out
    with closing(open_store(written / "artifacts" / "journal.db", write=True)) as store:
        for statement in ("DROP TRIGGER journal_records_no_update", "UPDATE journal_records SET payload = '{}' WHERE seq = 4"):
            store._writer.exec_driver_sql(statement)
            store._writer.commit()
    done = fairlead("journal", "verify", cwd=written)
    assert done.code == 1
    assert "is broken at record 4: its content does not give its hash" in done.err
    done = fairlead("journal", "verify", "--json", cwd=written)
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["whole"], found["fault"], found["seq"], found["records"]) == (False, "changed", 4, 3)


def test_show_filters_and_speaks(written):
    done = fairlead("journal", "show", "--kind", "fill", cwd=written)
    assert "fill BUY 5 ACME at 1.5" in done.out
    assert "session" not in done.out
    done = fairlead("journal", "show", "--strategy", "trend", "--symbol", "acme", "--json", "--last", "2", cwd=written)
    assert [row["kind"] for row in json.loads(done.out)] == ["order", "fill"]
    done = fairlead("journal", "show", "--since", "2001-09-09T01:46:41Z", "--json", cwd=written)
    assert [row["seq"] for row in json.loads(done.out)] == [5]
    assert len(json.loads(fairlead("journal", "show", "--since", "2001-09-09", "--json", cwd=written).out)) == 5
    whole = fairlead("journal", "show", cwd=written).out
    assert "PENDING" not in whole
    assert "order id-1: SUBMITTED to ACKNOWLEDGED" in whole
    assert "intent ACME quantity 5 MARKET" in whole


def test_export_writes_what_is_asked_for(written):
    done = fairlead("journal", "export", str(written / "x.parquet"), "--kind", "order", "--json", cwd=written)
    assert json.loads(done.out)["records"] == 2
    assert pq.read_table(written / "x.parquet")["seq"].to_pylist() == [3, 4]


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.head", "../artifacts/journal.db", "link.db"])
def test_an_export_does_not_overwrite_the_journal(written, name):
    folder = written / "artifacts"
    (folder / "link.db").hardlink_to(folder / "journal.db")
    before = (folder / "journal.db").read_bytes()
    done = fairlead("journal", "export", str(folder / name), cwd=written)
    assert (done.code, done.out) == (2, "")
    assert "'FILE' must not be a file of the journal itself" in done.err
    assert (folder / "journal.db").read_bytes() == before
    assert fairlead("journal", "verify", cwd=written).code == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("show", "--kind", "fil"), "'--kind' must be one of decision, intent"),
        (("show", "--since", "yesterday"), "'--since' must be an instant like"),
        (("show", "--since", "2025-13-01"), "'--since' must be a date like"),
        (("show", "--symbol", "??"), "'symbol' must match"),
        (("show", "--journal", "nosuch.db"), "there is no journal nosuch.db"),
        (("verify", "--journal", "mysql://u:s3cret@host/name"), "'journal url' must be postgresql"),
        (("verify", "--head", "nosuch.head"), "there is no head nosuch.head"),
    ],
)
def test_bad_input_is_told_in_one_line(written, line, told):
    done = fairlead("journal", *line, cwd=written)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "s3cret" not in done.err
