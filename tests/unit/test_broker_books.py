"""Ledger, broker and executions held against each other: what counts, when, and what is done about it."""

from types import SimpleNamespace

import pytest

from fairlead.control.brokerbooks import BrokerBooks
from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderStatus, OrderType, OrderUpdate, Side
from fairlead.execution.brokers.words import BrokerAccount, BrokerOrder, BrokerPosition, Execution, Snapshot
from fairlead.execution.reconciliation import ReconciliationSettings


class Session:
    """A desk's lists, a broker's answer, and what comes of holding them against each other."""

    def __init__(self, mode="strict", stands_s=0.0):
        self.desk = SimpleNamespace(orders=[], updates=[], fills=[])
        self.asked, self.told, self.cancelled, self.clock = [], [], [], 0
        self.adopted, self.adopts = [], True
        self.books = BrokerBooks(
            ReconciliationSettings(mode=mode, stands_s=stands_s),
            lambda found, fresh: self.told.append([difference.text for difference in fresh]),
            self.asked.append,
            self.cancelled.append,
            self.adopt,
        )
        self.names = {}
        self.ending = set()
        heard = SimpleNamespace(booked_as=lambda name: self.names.get(name, name), is_ending=lambda name: name in self.ending)
        self.books.begin(SimpleNamespace(desk=self.desk), {}, heard)
        self.positions, self.orders, self.executions, self.cash = [], [], [], 1_000.0

    def adopt(self, symbol, units, price):
        self.adopted.append((symbol, units, price))
        if self.adopts:
            side = Side.BUY if units > 0 else Side.SELL
            name = f"adopted_{len(self.adopted)}"
            self.desk.fills.append(Fill(name, "one", "alpha", symbol, side, abs(units), price, price, 0.0, 1, 0))

    def order(self, name, status=OrderStatus.ACKNOWLEDGED, units=10.0):
        made = Order(name, name, name, "alpha", "A", Side.BUY, units, OrderType.LIMIT, 1, 1, limit_price=5.0)
        self.desk.orders.append(made)
        self.desk.updates.append(OrderUpdate(name, 1, 1, OrderStatus.PENDING, status, 0.0, None))
        made.status = status

    def fill(self, name, units=10.0, price=5.0, strategy="alpha", ts_ns=1):
        self.desk.fills.append(Fill(name, "one", strategy, "A", Side.BUY, units, price, price, 0.0, ts_ns, 0))

    def works(self, name, units=10.0, filled=0.0):
        self.orders.append(
            BrokerOrder(name, f"b{name}", "A", Side.BUY, OrderType.LIMIT, units, filled, None, OrderStatus.ACKNOWLEDGED, 5.0)
        )

    def executed(self, name, units=10.0, price=5.0, **changes):
        self.executions.append(Execution(name, "one", "b1", "A", Side.BUY, units, price, 0.0, 1)._replace(**changes))

    def compare(self, why="schedule"):
        account = BrokerAccount("DU1", is_paper=True, currency="USD", nav=0.0, cash=self.cash, buying_power=0.0)
        self.clock += 10
        shown = Snapshot(self.clock, account, tuple(self.positions), tuple(self.orders), tuple(self.executions))
        self.books.compare(shown, why, self.desk, self.clock + 1)

    @property
    def found(self):
        return [difference.kind.value for difference in self.books.last.differences]


def begun(mode="strict", stands_s=0.0):
    session = Session(mode, stands_s)
    session.compare("start")
    assert session.books.is_known
    return session


def test_books_that_agree_say_nothing():
    session = begun()
    session.order("one")
    session.fill("x1")
    session.executed("x1")
    session.works("one", filled=0.0)
    session.positions, session.cash = [BrokerPosition("A", 10.0, 5.0)], 950.0
    session.compare()
    assert (session.found, session.told, session.books.mismatches) == ([], [], 0)


def test_strategies_share_one_account():
    session = begun()
    session.order("one")
    session.fill("x1", 10.0, 5.0, "alpha")
    session.fill("x2", 30.0, 7.0, "beta")
    session.positions, session.cash = [BrokerPosition("A", 40.0, 6.5)], 1_000.0 - 50.0 - 210.0
    session.works("one")
    session.compare()
    assert session.found == []


def test_a_difference_counts_when_it_is_found_twice():
    session = begun()
    session.positions = [BrokerPosition("A", 3.0, 5.0)]
    session.compare()
    assert (session.found, session.asked) == ([], ["again"])
    session.compare("again")
    assert session.found == ["MISSING_LOCAL"]
    assert session.told == [["MISSING_LOCAL A: 0 in our books, 3 at the broker"]]
    assert (session.books.mismatches, session.books.is_strict) == (1, True)


def test_an_answer_that_crossed_an_execution_is_forgotten():
    session = begun()
    session.positions, session.cash = [BrokerPosition("A", 10.0, 5.0)], 950.0
    session.compare()
    session.order("one")
    session.works("one")
    session.fill("x1")
    session.executed("x1")
    session.compare("again")
    assert (session.found, session.told) == ([], [])


def test_what_is_there_at_the_start_counts_at_once():
    session = Session("warn")
    session.positions = [BrokerPosition("A", 3.0, 5.0)]
    session.compare("start")
    assert (session.found, session.books.is_strict) == (["MISSING_LOCAL"], True)


@pytest.mark.parametrize(("mode", "halts"), [("strict", True), ("auto_sync", True), ("warn", False)])
def test_the_mode_decides_whether_it_halts(mode, halts):
    session = begun(mode)
    session.positions = [BrokerPosition("A", 3.0, 5.0)]
    session.compare()
    session.compare("again")
    assert session.books.is_strict is halts
    session.compare()
    assert session.books.is_strict


@pytest.mark.parametrize(("mode", "taken_back"), [("strict", ["elsewhere"]), ("warn", []), ("auto_sync", [])])
def test_an_order_in_nobodys_books_is_taken_back_in_strict_mode(mode, taken_back):
    session = begun(mode)
    session.works("elsewhere")
    session.compare()
    session.compare("again")
    assert session.found == ["ORPHAN_ORDER"]
    assert session.cancelled == taken_back


def test_an_order_that_works_here_alone_is_lost_once_it_was_heard_of():
    session = begun()
    session.order("unheard", OrderStatus.SUBMITTED)
    session.order("going", OrderStatus.PENDING_CANCEL)
    session.order("one")
    session.compare()
    session.compare("again")
    assert [difference.subject for difference in session.books.last.differences] == ["order one"]


def test_an_order_that_is_over_and_waits_for_its_executions_is_not_lost():
    session = begun()
    session.order("one")
    session.ending.add("one")
    for why in ("schedule", "again"):
        session.compare(why)
    assert (session.found, session.asked) == ([], [])


def test_an_execution_that_is_not_booked_is_missed_and_one_that_was_corrected_is_not():
    session = begun()
    session.order("one")
    session.works("one")
    session.executed("x1", replaces="x0")
    session.executed("x0", 7.0)
    session.fill("x1")
    session.positions, session.cash = [BrokerPosition("A", 10.0, 5.0)], 950.0
    session.compare()
    assert session.found == []
    session.executed("x2", 1.0)
    session.compare()
    session.compare("again")
    assert session.found == ["MISSED_FILL"]


def test_an_execution_is_the_one_that_it_is_booked_as():
    session = begun()
    session.order("one")
    session.works("one")
    session.fill("x=10@5")
    session.executed("x")
    session.positions, session.cash = [BrokerPosition("A", 10.0, 5.0)], 950.0
    session.names = {"x": "x=10@5"}
    session.compare()
    session.names = {"x": None}
    session.compare()
    assert session.found == []
    session.executed("y")
    session.compare()
    session.compare("again")
    assert session.found == ["MISSED_FILL"]


def test_an_execution_that_was_taken_back_is_no_fill():
    session = begun()
    session.order("one")
    session.works("one")
    session.fill("x1")
    session.desk.fills.append(session.desk.fills[0]._replace(execution_id="x1/bust", side=Side.SELL))
    session.compare()
    assert session.found == []


def test_cash_is_counted_from_what_was_there_at_the_start():
    session = begun()
    session.cash = 998.0
    session.compare()
    session.compare("again")
    assert session.found == ["CASH_MISMATCH"]
    session.cash = 999.5
    session.compare()
    assert session.found == []


def test_a_re_arm_needs_books_that_were_seen_and_agree():
    session = Session()
    assert not session.books.agrees()
    session.compare("start")
    assert session.books.agrees()
    assert session.asked == ["re-arm", "re-arm"]


def test_the_last_word_is_waited_for_once():
    session = begun()
    assert session.books.is_last_awaited()
    assert session.books.is_last_awaited()
    assert session.asked == ["end"]
    session.compare("end")
    assert not session.books.is_last_awaited()


def test_with_auto_sync_what_is_held_at_the_start_is_adopted():
    session = Session("auto_sync")
    session.positions = [BrokerPosition("A", 10.0, 5.0), BrokerPosition("B", -3.0, 20.0)]
    session.compare("start")
    assert session.adopted == [("A", 10.0, 5.0), ("B", -3.0, 20.0)]
    assert session.found == []
    assert [d.kind.value for d in session.books.last.settled] == ["MISSING_LOCAL", "MISSING_LOCAL"]
    assert len(session.told) == 1
    session.compare()
    assert (len(session.told), session.books.mismatches) == (1, 0)


def test_with_auto_sync_a_position_that_changed_by_itself_is_believed_when_it_is_seen_twice():
    session = begun("auto_sync")
    session.order("one", OrderStatus.FILLED)
    session.fill("x1")
    session.executed("x1")
    session.positions, session.cash = [BrokerPosition("A", 4.0, 5.0)], 982.0  # somebody has sold six of them
    session.compare()
    assert (session.adopted, session.asked) == ([], ["again"])
    session.compare("again")
    assert session.adopted == [("A", -6.0, 5.0)]
    assert session.found == []
    session.positions, session.cash = [], 1_002.0
    session.compare()
    session.compare("again")
    assert session.adopted[1:] == [("A", -4.0, 5.0)]
    # What was paid in or out is nobody's, and is counted from anew.
    session.cash = 1_500.0
    session.compare()
    session.compare("again")
    assert (session.found, session.books.is_strict, len(session.adopted)) == ([], True, 2)
    assert [d.kind.value for d in session.books.last.settled] == ["CASH_MISMATCH"]


def sold_elsewhere(stands_s=60.0):
    """Ten units are in the books, and six at the broker: not for long."""
    session = begun("auto_sync", stands_s)
    session.order("one", OrderStatus.FILLED)
    session.fill("x1")
    session.executed("x1")
    session.positions, session.cash = [BrokerPosition("A", 4.0, 5.0)], 982.0
    for why in ("schedule", "again"):
        session.compare(why)
    assert (session.adopted, session.found, session.told, session.asked) == ([], [], [], ["again"])
    return session


def test_with_auto_sync_a_position_is_believed_when_it_has_differed_for_a_minute():
    session = sold_elsewhere()
    begun_ns = session.clock - 10 + 1
    assert not session.books.is_due(begun_ns + 60_000_000_000 - 1)
    assert session.books.is_due(begun_ns + 60_000_000_000)
    session.clock = begun_ns + 60_000_000_000
    session.books.pass_time(session.clock)
    assert session.asked == ["again", "again"]
    assert not session.books.is_due(session.clock)
    session.compare("again")
    assert (session.adopted, session.found) == ([("A", -6.0, 5.0)], [])
    assert not session.books.is_due(session.clock + 10**12)


def test_with_auto_sync_what_an_execution_explains_that_is_told_late_is_not_booked_before():
    session = sold_elsewhere()
    session.desk.fills.append(Fill("x2", "one", "alpha", "A", Side.SELL, 6.0, 5.3, 5.3, 0.0, 1, 0))
    session.executed("x2", 6.0, 5.3, side=Side.SELL)
    session.cash = 1_000.0 - 50.0 + 31.8
    session.compare()
    assert (session.adopted, session.found) == ([], [])
    assert not session.books.is_due(session.clock + 10**12)


def test_a_position_that_is_not_believed_yet_lifts_no_halt_and_is_believed_at_the_end():
    session = sold_elsewhere()
    assert not session.books.agrees()
    assert session.books.is_last_awaited()
    session.compare("end")
    assert session.adopted == [("A", -6.0, 5.0)]
    assert not session.books.is_last_awaited()


def test_with_auto_sync_positions_that_differ_otherwise_each_time_halt_in_the_end():
    session = sold_elsewhere()
    for units in range(20, 30):
        session.clock += 40_000_000_000
        session.positions = [BrokerPosition("A", float(units), 5.0)]
        session.compare()
        session.compare("again")
    assert (session.adopted, session.books.is_strict) == ([], True)
    assert "QUANTITY_MISMATCH" in session.found


def test_with_auto_sync_what_cannot_be_booked_halts():
    session = Session("auto_sync")
    session.adopts = False
    session.positions = [BrokerPosition("A", 10.0, 5.0)]
    session.compare("start")
    assert (session.found, session.books.is_strict) == (["MISSING_LOCAL"], True)


@pytest.mark.parametrize("stands_s", [0.0, 60.0])
def test_with_auto_sync_what_an_execution_explains_is_not_explained_away_nor_waited_for(stands_s):
    session = begun("auto_sync", stands_s)
    session.order("one")
    session.works("one")
    session.executed("x1")
    session.positions, session.cash = [BrokerPosition("A", 10.0, 5.0)], 950.0
    session.compare()
    session.compare("again")
    assert session.adopted == []
    assert session.found == ["MISSING_LOCAL", "CASH_MISMATCH", "MISSED_FILL"]


@pytest.mark.parametrize("mode", ["strict", "warn"])
def test_otherwise_nothing_is_adopted(mode):
    session = Session(mode)
    session.positions = [BrokerPosition("A", 10.0, 5.0)]
    session.compare("start")
    assert (session.adopted, session.found) == ([], ["MISSING_LOCAL"])


def test_an_answer_that_crossed_an_execution_says_nothing_and_is_asked_for_again():
    session = begun()
    session.order("one", OrderStatus.FILLED)
    for number in range(20):
        session.fill(f"x{number}", 1.0, ts_ns=session.clock + 11)  # after the answer that comes now was asked for
        session.executed(f"x{number}", 1.0)
        session.compare("again" if number else "schedule")
        assert (session.found, session.told) == ([], [])
    assert session.asked == ["again"] * 20
    session.positions, session.cash = [BrokerPosition("A", 20.0, 5.0)], 900.0
    session.compare("again")
    assert (session.books.is_known, session.found) == (True, [])


def test_where_something_happens_all_the_time_a_difference_counts_all_the_same():
    session = begun()
    session.order("one", OrderStatus.FILLED)
    for number in range(60):
        session.fill(f"x{number}", 1.0, ts_ns=session.clock + 11)
        session.executed(f"x{number}", 1.0)
        session.positions = [BrokerPosition("A", number + 1.0, 5.0), BrokerPosition("B", 7.0, 5.0)]
        session.cash = 995.0 - 5.0 * number
        session.compare("again")
        if session.found:
            break
    assert session.found == ["MISSING_LOCAL"]
    assert 20 < number < 50


def test_cash_waits_for_a_commission_that_may_still_come():
    session = begun()
    session.books.commission_s = 60.0
    session.order("one", OrderStatus.FILLED)
    session.fill("x1")
    session.executed("x1")
    session.positions, session.cash = [BrokerPosition("A", 10.0, 5.0)], 947.0  # fifty, and a commission of three
    for why in ("schedule", "again"):
        session.compare(why)
        assert (session.found, session.told) == ([], [])
    session.clock += 61_000_000_000
    session.compare()
    session.compare("again")
    assert session.found == ["CASH_MISMATCH"]
