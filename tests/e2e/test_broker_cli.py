"""An operator at a broker without a session: every verb, twice, and what stands in the journal afterwards."""

import json
from contextlib import closing
from decimal import Decimal

import pytest

from fairlead.control import Command, ControlServer, Mailbox
from fairlead.control.hours import MarketHours
from fairlead.core.orders import OrderType, Side
from fairlead.core.time import NS_PER_MINUTE, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.engine.clock import WallClock
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import OrderRequest
from fairlead.journal import open_store, verify
from fairlead.risk.monitors.latchfile import read_state
from support_account import write_config
from support_cli import fairlead

NOW = 1_800_000_000_000_000_000


def order(reference, symbol, side, quantity, limit=None):
    limit = None if limit is None else Decimal(limit)
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    return OrderRequest(
        reference=reference, symbol=symbol, side=side, quantity=Decimal(quantity), order_type=kind, limit_price=limit
    )


@pytest.fixture
def desk(tmp_path):
    """A folder with a configuration and an account that is long, short, and has an order that rests."""
    write_config(tmp_path)
    account = SimulatedAccount("DU1", symbols=["ACME", "BOLT"], now_ns=lambda: NOW)
    for name, side, quantity in (("ACME", Side.BUY, 100), ("BOLT", Side.SELL, 40)):
        (made,) = account.submit([order(f"open-{name}", name, side, quantity)])
        account.execute(made.broker_id, quantity, 100.0)
    account.submit([order("rest-1", "ACME", Side.SELL, 30, "120.00")])
    (tmp_path / "account.json").write_text(json.dumps(account.to_dict()))
    return tmp_path


def verb(desk, *args, **more):
    return fairlead("broker", *args, "--config", "desk.yaml", "-w", desk / "work", "--who", "ann", cwd=desk, **more)


def records(desk):
    with closing(open_store(desk / "work" / "sessions" / "desk.operator" / "journal.db")) as store:
        assert verify(store).whole
        return [record.data for record in store.read()]


def test_to_look_changes_nothing_and_is_on_record(desk):
    before = (desk / "account.json").read_text()
    shown = verb(desk, "account", "--json", "--why", "morning check").json["account"]
    assert (shown["account_id"], shown["is_paper"]) == ("DU1", True)
    held = verb(desk, "positions", "--json").json
    assert [(one["symbol"], one["quantity"]) for one in held["positions"]] == [("ACME", 100.0), ("BOLT", -40.0)]
    working = verb(desk, "orders", "--json").json
    assert [(one["reference"], one["status"], one["limit_price"]) for one in working["orders"]] == [
        ("rest-1", "ACKNOWLEDGED", 120.0)
    ]
    for name in ("account", "positions", "orders"):
        assert verb(desk, name).code == 0
    assert json.loads((desk / "account.json").read_text()) == json.loads(before)
    told = records(desk)
    assert [one["command"] for one in told] == ["account", "positions", "orders"] * 2
    assert {one["who"] for one in told} == {"ann"}
    assert told[0]["reason"] == "morning check"


def test_tables_for_people(desk):
    assert "paper trading: no money moves, account DU1 at 127.0.0.1:9" in verb(desk, "account").out
    assert "ACME" in verb(desk, "positions").out
    assert "rest-1" in verb(desk, "orders").out


def test_flatten_then_verify_then_disconnect(desk):
    """Domain rule 7.4, by hand, and again: the second time there is nothing to do."""
    first = verb(desk, "verify", "--json")
    assert (first.code, first.json["is_flat"], first.json["change_today"]) == (1, False, None)
    done = verb(desk, "flatten", "--why", "prices look wrong", "--json")
    assert done.code == 0, done.err
    assert (done.json["is_done"], done.json["cancels"], done.json["orders"]) == (True, 1, 2)
    again = verb(desk, "flatten", "--why", "to be sure", "--json")
    assert (again.code, again.json["cancels"], again.json["orders"]) == (0, 0, 0)
    found = verb(desk, "verify", "--json")
    assert (found.code, found.json["is_flat"], found.json["positions"], found.json["orders"]) == (0, True, 0, 0)
    assert found.json["change_today"] == found.json["account"]["nav"] - first.json["account"]["nav"]
    assert "flat DU1: 0 positions, 0 open orders" in verb(desk, "verify").out
    assert verb(desk, "disconnect", "--why", "flat", "--json").json == {
        "title": "Desk",
        "outcome": "disconnected",
        "stopped": [],
    }
    assert verb(desk, "disconnect", "--why", "flat", "--json").json["outcome"] == "disconnected before"
    assert verb(desk, "disconnect", "--lift", "--why", "mended", "--json").json["outcome"] == "lifted"
    assert verb(desk, "disconnect", "--lift", "--why", "mended", "--json").json["outcome"] == "was not disconnected"
    flattened = [one for one in records(desk) if one["command"] == "flatten"]
    assert [one["outcome"] for one in flattened] == ["begun", "done", "begun", "done"]
    assert flattened[0]["reason"] == "prices look wrong"


def test_cancel_all_leaves_positions(desk):
    done = verb(desk, "cancel-all", "--why", "moving", "--json")
    assert (done.code, done.json["is_done"], done.json["cancels"], done.json["orders"]) == (0, True, 1, 0)
    assert verb(desk, "orders", "--json").json["orders"] == []
    assert len(verb(desk, "positions", "--json").json["positions"]) == 2
    assert verb(desk, "cancel-all", "--why", "again", "--json").json["cancels"] == 0


def test_a_market_that_takes_nothing(desk):
    """It ends when it was told to, says what is left, and exit code 1 says that it is not done."""
    write_config(desk, trades=False)
    done = verb(desk, "flatten", "--why", "x", "--limit", "1.5", "--json")
    assert (done.code, done.json["is_done"], done.json["residual"]) == (1, False, {"ACME": 100.0, "BOLT": -40.0})


def test_a_closed_market_is_told_and_nothing_is_sent(desk):
    """The hours are those of the data's calendar."""
    now_ns, calendar = to_ns(WallClock().now()), ExchangeCalendar.get("XNYS")
    if any(MarketHours(calendar, lambda ahead=ahead: now_ns + ahead).is_open for ahead in (0, NS_PER_MINUTE)):
        pytest.skip("the exchange is open, or about to")
    done = verb(desk, "flatten", "--why", "x", "--limit", "1.5", "--json", "-o", "data.calendar=XNYS")
    assert (done.code, done.json["orders"], done.json["cancels"]) == (1, 0, 1)
    assert "ACME waits for its market to open: 100 units" in done.json["alerts"]


def test_halt_latches_the_title(desk):
    assert verb(desk, "flatten", "--halt", "--why", "enough", "--json").code == 0
    (trip,) = read_state(desk / "work" / "sessions" / "desk.latch.json").trips
    assert (trip.switch, trip.action, trip.reason) == ("KS_MANUAL", "HALT_AND_FLATTEN", "ann: enough")
    assert verb(desk, "flatten", "--halt", "--why", "enough", "--json").code == 0
    assert [one["outcome"] for one in records(desk) if one["command"] == "halt"] == ["latched", "latched before"]


@pytest.mark.parametrize("name", ["flatten", "cancel-all", "disconnect"])
def test_what_acts_needs_a_reason(desk, name):
    found = verb(desk, name)
    assert (found.code, found.out) == (2, "")
    assert "'--why' must say the reason" in found.err


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "LiveKind"}, "- address: live.example is live, and the configuration is paper."),
        ({"account": "U1"}, "- account: U1 is a live account, and the configuration is paper"),
        ({"mode": "live", "account": "U1"}, "- account: U1 is a live account, and a rehearsal takes a paper account"),
        ({"mode": "live", "kind": "LiveKind"}, "- account: DU1 is a paper account, and live.example is live"),
        ({"kind": "Nothing"}, "'execution.broker': broker 'support_account:Nothing' cannot be imported"),
    ],
)
def test_what_does_not_agree_is_refused(desk, changes, text):
    write_config(desk, **changes)
    for name in ("positions", "flatten"):
        found = verb(desk, name, "--why", "x")
        assert (found.code, found.out) == (2, "")
        assert text in " ".join(found.err.split())


def test_the_account_that_shows_decides(desk):
    """A broker that says live behind a paper configuration: nothing is asked of it."""
    held = json.loads((desk / "account.json").read_text())
    (desk / "account.json").write_text(json.dumps({**held, "is_paper": False}))
    for name in ("positions", "flatten"):
        found = verb(desk, name, "--why", "x")
        assert found.code == 1
        assert "the broker says that DU1 is live, and it must be paper" in " ".join(found.err.split())


def test_a_configuration_without_a_broker(desk):
    found = verb(desk, "positions", "-o", "execution={type: simulated}")
    assert found.code == 2
    assert "'execution.type' must be 'broker' here, was 'simulated'" in found.err


class Session:
    """What is asked of a session that runs."""

    def __init__(self, folder):
        self.asked = []
        self.mailbox = Mailbox(lambda _ts_ns, _record: None)
        self.server = ControlServer(folder, self.mailbox, lambda _told: None)

    def __getattr__(self, name):
        def answer(command: Command):
            self.asked.append((name, command.who, command.why, dict(command.args)))
            return {"state": "done"}

        return answer


@pytest.fixture
def running(desk):
    """A session of the title that runs, in a thread of its own."""
    import threading

    session = Session(desk / "work" / "sessions" / "live_alpaca_2026-11-27_desk")
    over = threading.Event()

    def serve():
        while not over.wait(0.01):
            session.mailbox.serve(session)

    thread = threading.Thread(target=serve)
    with session.server:
        thread.start()
        yield session
        over.set()
        thread.join()


def test_a_session_that_runs_does_it_itself(desk, running):
    assert verb(desk, "flatten", "--why", "wrong").code == 0
    assert verb(desk, "flatten", "--halt", "--why", "wrong").code == 0
    assert verb(desk, "disconnect", "--why", "over", "--json").json["stopped"] == ["live_alpaca_2026-11-27_desk"]
    assert running.asked == [
        ("flatten", "ann", "wrong", {}),
        ("halt", "ann", "wrong", {"flatten": True}),
        ("stop", "ann", "over", {}),
    ]
    assert len(verb(desk, "positions", "--json").json["positions"]) == 2
    assert records(desk)[0]["outcome"] == "session live_alpaca_2026-11-27_desk was asked: flatten"


def test_beside_a_session_that_does_not_answer(desk, running):
    refused = verb(desk, "cancel-all", "--why", "x")
    assert refused.code == 2
    assert "session live_alpaca_2026-11-27_desk runs, and its strategies would send again" in " ".join(refused.err.split())
    assert verb(desk, "cancel-all", "--alone", "--why", "x", "--json").json["cancels"] == 1
    assert verb(desk, "flatten", "--alone", "--why", "x", "--json").json["is_done"]
    assert running.asked == []


def checked(desk, *args, **environ):
    return fairlead("doctor", "--broker", "desk.yaml", "--json", *args, cwd=desk, **environ)


def test_doctor(desk):
    found = checked(desk, DESK_KEY="hunter2-key")
    verdicts = {one["check"]: one["verdict"] for one in found.json}
    assert found.code == 0
    assert verdicts == {
        "address": "ok",
        "environment": "ok",
        "keys": "ok",
        "account": "ok",
        "trading": "ok",
        "shorting": "ok",
        "market data": "unknown",
        "read-only interface": "unknown",
        "clock": "unknown",
    }
    assert "hunter2-key" not in found.out
    assert "Nothing failed." in fairlead("doctor", "--broker", "desk.yaml", cwd=desk).out


def test_doctor_asks_a_broker_that_says_more(desk):
    write_config(desk, kind="ToldKind")
    told = {one["check"]: one for one in checked(desk).json}
    assert (told["market data"]["verdict"], told["market data"]["remedy"]) == ("warning", "Subscribe.")
    assert told["clock"]["verdict"] == "ok"
    write_config(desk, kind="LateKind")
    late = {one["check"]: one for one in checked(desk).json}["clock"]
    assert late["verdict"] == "warning"
    assert "more than 50 ms is too much" in late["remedy"]


def test_doctor_says_what_is_wrong(desk):
    held = json.loads((desk / "account.json").read_text())
    (desk / "account.json").write_text(json.dumps({**held, "blocked": "margin call", "can_short": False}))
    told = {one["check"]: one for one in checked(desk, TR_MODE="live").json}
    assert (told["trading"]["verdict"], told["trading"]["found"]) == ("failed", "margin call")
    assert told["shorting"]["verdict"] == "warning"
    assert (told["environment"]["verdict"], told["environment"]["remedy"]) == (
        "warning",
        "A session will be refused: set TR_MODE=paper.",
    )
    (desk / "account.json").write_text(json.dumps({**held, "is_paper": False}))
    found = checked(desk)
    assert found.code == 1
    assert "the broker says that DU1 is live" in found.json[-1]["found"]
    write_config(desk, account="U1")
    (only,) = checked(desk).json
    assert (only["check"], only["verdict"]) == ("configuration and keys", "failed")
