"""Paper sessions whose journal is on a real PostgreSQL server: one after another, and gone on with after a crash."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from fairlead.config.loading import load_settings
from fairlead.config.papering import wire_paper
from fairlead.config.problems import ConfigurationProblems
from fairlead.control.inputs import INSTANT
from fairlead.core.errors import ConfigurationError, StorageError
from fairlead.core.time import NS_PER_MINUTE
from fairlead.journal import Kind, open_store, read_head, verify
from fairlead.journal.retrace import Diverged
from fairlead.journal.settings import FILE
from support_journal import PostgresServer, why_no_postgres
from support_operated import RUN, Planned, buy, journal_of, of_kind, operated, orders_of, sell
from support_paper import NOW

_names = (f"paper_{i}" for i in itertools.count())
PRICES = (100.0, 101.0, 102.0, 103.0, 104.0)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with PostgresServer() as started:
        yield started


@pytest.fixture
def place(server) -> str:
    return server.new_place(next(_names))


@pytest.fixture
def plan():
    Planned.plan.clear()
    Planned.plan.update({0: buy(100), 3: sell(40)})
    yield Planned.plan
    Planned.plan.clear()


def on_server(folder, place, **given):
    folder.mkdir(exist_ok=True)
    return operated(folder, strategy="Planned", more=f"journal: {{url: '{place}'}}\n", **given)


def records_at(place, run_id=""):
    """The records of a session, in a journal that holds together."""
    with closing(open_store(place)) as store:
        assert verify(store).whole
        return [record for record in store.read() if run_id in {"", record.run_id}]


def told(records):
    return [(r.ts_ns, r.kind, r.run_id, r.strategy, r.symbol, r.order_id, r.payload) for r in records]


def crashed(folder, server, place, *prices, **given):
    """Let a session pass minutes, cut it off from its database, and return what is left of both."""
    with on_server(folder / "first", place, **given) as session:
        for price in prices:
            session.minute(price)
        home = session.left_by_a_crash(folder / "second")
        server.execute(
            """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
        )
    return home


def go_on(session, minutes):
    session.now += minutes * NS_PER_MINUTE
    session.clock_ns = session.now


def test_a_server_holds_what_a_file_would(tmp_path, place, plan):
    (tmp_path / "file").mkdir()
    with operated(tmp_path / "file", strategy="Planned") as session:
        for price in PRICES:
            session.minute(price)
        expected = session.end()
    kept = journal_of(session.folder)
    with on_server(tmp_path / "server", place) as session:
        for price in PRICES:
            session.minute(price)
        found = session.end()
    assert orders_of(found) == orders_of(expected)
    assert len(told(records_at(place))) == len(told(kept)) > 10
    assert Counter(r.kind for r in records_at(place)) == Counter(r.kind for r in kept)
    assert not (session.folder / FILE).exists()
    (head,) = (tmp_path / "server").glob("journal-*.head")
    with closing(open_store(place)) as store:
        assert verify(store, read_head(head)).whole
        assert read_head(head).seq == store.count


def test_one_that_was_interrupted_goes_on(tmp_path, server, place, plan):
    with on_server(tmp_path / "whole", server.new_place(next(_names))) as whole:
        for price in PRICES:
            whole.minute(price)
        expected = whole.end()
    # The chain is not new: another session is on it.
    with on_server(tmp_path / "first", place, run_id=f"{RUN}_before") as before:
        before.minute(99.0)
        before.end()
        before._session.finish(f"{RUN}_before", before.clock_ns)
    home = crashed(tmp_path, server, place, *PRICES[:3])
    at_crash = len(records_at(place))
    with on_server(home, place, goes_on=True) as session:
        assert session.before.run_id == RUN
        go_on(session, 3)
        for price in PRICES[3:]:
            session.minute(price)
        found = session.end()
    assert orders_of(found) == orders_of(expected)
    assert [fill[1:] for fill in found.record.fills] == [fill[1:] for fill in expected.record.fills]
    assert found.record.account.equity.tolist() == expected.record.account.equity.tolist()
    records = records_at(place, RUN)
    assert [data["event"] for data in of_kind(records, "session")] == ["start", "resume", "stop"]
    (resumed,) = [data for data in of_kind(records, "session") if data["event"] == "resume"]
    assert (resumed["found"] > 3, resumed["added"]) == (True, 0)
    assert {count for _, count in Counter(r.order_id for r in records if r.kind == Kind.FILL).items()} == {1}
    assert 0 < len(records_at(place)) - len(records) < at_crash


def test_a_session_in_between_is_not_taken_for_its_own(tmp_path, server, place, plan):
    home = crashed(tmp_path, server, place, *PRICES[:3])
    plan.clear()
    plan[1] = buy(7)
    with on_server(tmp_path / "other", place, run_id="paper_sim_2024-06-03_other") as other:
        for price in PRICES[:3]:
            other.minute(price)
        other.end()
    plan.clear()
    plan.update({0: buy(100), 3: sell(40)})
    # The head in this workspace is older than the journal, whose chain goes on.
    with on_server(home, place, goes_on=True) as session:
        go_on(session, 3)
        for price in PRICES[3:]:
            session.minute(price)
        assert session.held() == 60.0
        session.end()
    (resumed,) = [data for data in of_kind(records_at(place, RUN), "session") if data["event"] == "resume"]
    assert (resumed["found"] > 3, resumed["added"]) == (True, 0)


def test_what_its_records_say_must_come_again(tmp_path, server, place, plan):
    home = crashed(tmp_path, server, place, *PRICES[:2])
    plan[0] = buy(50)
    with pytest.raises(Diverged, match="of the journal does not come again"), on_server(home, place, goes_on=True) as session:
        session.ended()


def test_a_halt_is_missed_though_no_journal_is_in_the_folder(tmp_path, place, plan):
    with on_server(tmp_path / "one", place) as session:
        session.minute(100.0)
        session.end()
        session._session.finish(RUN, session.clock_ns)
        session.latch_file.unlink()
    with on_server(tmp_path / "one", place, run_id=f"{RUN}_2") as session:
        session.minute(100.0)
        assert session.status["state"] == "halted"
        session.end()


def test_a_second_session_on_it_is_refused(tmp_path, place, plan):
    with on_server(tmp_path / "one", place) as session:
        session.minute(100.0)
        with pytest.raises(StorageError, match="has a writer already"), on_server(tmp_path / "two", place) as other:
            other.ended()
        session.end()


def test_a_database_that_is_lost_lets_exits_pass_and_is_gone_on_with_later(tmp_path, server, place, plan):
    plan.update({2: buy(5), 3: sell(40)})
    with on_server(tmp_path / "one", place) as session:
        session.minute(100.0)
        session.minute(100.0)
        server.execute(
            """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
        )
        for _ in range(3):
            session.minute(100.0)
        assert session.status["journal"] != "ok"
        assert session.held() == 60.0
        with pytest.raises(StorageError, match=r"could not be written down to its end.*give the same command again"):
            session.end()
    before = len(records_at(place))
    with on_server(tmp_path / "one", place, goes_on=True) as session:
        assert session.before is not None
        known = sum(taken.kind == INSTANT for taken in session.before.past())
        go_on(session, known)  # what the tape has not, the feed tells again
        for _ in range(6 - known):
            session.minute(100.0)
        assert session.status["journal"] == "ok"
        assert session.held() == 65.0
        session.end()
    assert len(records_at(place)) > before
    assert sorted(d["quantity"] for d in of_kind(records_at(place), Kind.FILL)) == [5.0, 40.0, 100.0]


SECRET = "s3cr-et-of-9"
CONFIG = """\
mode: paper
clock: {type: realtime}
data: {type: live, feed: by_hand, symbols: [A], bar_size: 1min, calendar: 24/7}
strategies:
  - {name: alpha, capital: 100_000, strategy: 'support_operated:Told'}
journal: {url: 'URL'}
"""


@pytest.mark.parametrize(
    ("url", "environ", "shown"),
    [
        ("postgresql://me:${DB_PASSWORD}@/name?host=FOLDER", {"DB_PASSWORD": SECRET}, "(redacted)"),
        ("${DB}", {"DB": f"postgresql://me:{SECRET}@/name?host=FOLDER"}, "postgresql://me:(redacted)@/name?host=FOLDER"),
        (
            "${DB}",
            {"DB": f"postgresql://me@/name?host=FOLDER&password={SECRET}"},
            "postgresql://me@/name?host=FOLDER&password=",
        ),
    ],
)
def test_a_password_is_shown_nowhere(tmp_path, url, environ, shown):
    pytest.importorskip("psycopg")
    config = tmp_path / "paper.yaml"
    config.write_text(CONFIG.replace("URL", url.replace("FOLDER", str(tmp_path))))
    environ = {name: value.replace("FOLDER", str(tmp_path)) for name, value in environ.items()}
    loaded = load_settings(config, environ=environ)
    assert SECRET in loaded.settings.journal.url
    assert loaded.effective["journal"]["url"].startswith(shown.replace("FOLDER", str(tmp_path)))
    assert SECRET not in str(loaded.effective)
    session = wire_paper(loaded, {}, lambda: 0, tmp_path)
    assert SECRET not in str(session._circumstances)
    with pytest.raises(StorageError, match="cannot open postgresql://") as caught:
        session.run(RUN, now=NOW, now_ns=lambda: 0)
    assert SECRET not in str(caught.value)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path != config]
    assert kept
    assert not [path for path in kept if SECRET.encode() in path.read_bytes() or SECRET in path.name]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (
            "postgresql://me:a/b9@host/name",
            r"'journal\.url' must have no plain / or @ .*, was '\(redacted\)'",
        ),
        ("postgresql://me:a@b9@host/name", r"Write / as %2F and @ as %40 there\."),
    ],
)
def test_a_password_that_would_be_cut_is_refused_unseen(tmp_path, url, text):
    config = tmp_path / "paper.yaml"
    config.write_text(CONFIG.replace("URL", "${DB}"))
    with pytest.raises(ConfigurationProblems, match=text) as caught:
        load_settings(config, environ={"DB": url})
    assert "b9" not in str(caught.value)
    assert f"{config}:6" in str(caught.value)


def test_a_head_alone_belongs_to_no_journal(tmp_path):
    config = tmp_path / "paper.yaml"
    config.write_text(CONFIG.replace("url: 'URL'", "head: my.head"))
    with pytest.raises(ConfigurationProblems, match=r"'journal.head' must stand beside a url, was 'my.head'"):
        load_settings(config, environ={})


def test_it_is_not_gone_on_with_on_another_server(tmp_path, server, place, plan):
    home = crashed(tmp_path, server, place, 100.0)
    there = {"journal_place": place, "another": server.new_place(next(_names))}
    config = home / "paper.yaml"
    config.write_text(CONFIG.replace("URL", "${DB_TOKEN}"))
    of_here, elsewhere = (load_settings(config, environ={"DB_TOKEN": url}) for url in there.values())
    assert of_here.hash == elsewhere.hash  # a secret is in no hash
    with on_server(home, place, goes_on=True) as session:
        before = session.before
        go_on(session, 1)
        session.minute(100.0)
        session.end()
    known = session._session._circumstances
    before.check(known)
    with pytest.raises(ConfigurationError, match=r"was interrupted at .*, and has another journal than this one"):
        before.check(replace(known, journal=wire_paper(elsewhere, {}, lambda: 0, home)._circumstances.journal))
