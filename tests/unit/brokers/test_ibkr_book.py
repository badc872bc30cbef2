"""The book of orders of Interactive Brokers: by reference and permanent id, whatever comes again or too late."""

from __future__ import annotations

from fairlead.core.orders import OrderStatus
from fairlead.data.vendors.ibkr.messages import ExecutionTold, OrderTold, StatusTold
from fairlead.execution.brokers.ibkr.book import OrderBook

TERMS = {"action": "BUY", "totalQuantity": 100.0, "orderType": "LMT", "lmtPrice": 10.0, "tif": "DAY", "orderRef": "r1"}
OURS = "0b0e5e3c-1111-5222-8333-444455556666"


def order(order_id=7, perm_id=99, reference="r1", client_id=1, status="Submitted", **more):
    return OrderTold(order_id, client_id, perm_id, reference, "DU1", "AAPL", 1, TERMS | more.pop("terms", {}), status, **more)


def status(theirs="Submitted", filled=0.0, perm_id=99, order_id=7, client_id=1, why=""):
    return StatusTold(order_id, client_id, perm_id, theirs, filled, 100.0 - filled, 10.0 if filled else 0.0, why)


def test_what_is_told_again_is_no_news():
    book = OrderBook(1)
    known = book.take_order(order(), 5)
    assert book.news(known, 5).status is OrderStatus.ACKNOWLEDGED
    book.take_order(order(), 6)
    book.take_status(status(), 6)
    assert book.news(known, 6) is None
    book.take_status(status(filled=40.0), 7)
    news = book.news(known, 7)
    assert (news.status, news.filled, news.average_price, news.ts_ns) == (OrderStatus.PARTIALLY_FILLED, 40.0, 10.0, 7)


def test_what_was_overtaken_changes_nothing():
    book = OrderBook(1)
    known = book.take_order(order(), 1)
    book.take_status(status(filled=40.0), 2)
    assert book.take_status(status(filled=10.0), 3) is None
    assert known.filled == 40.0
    book.take_status(status("Filled", 100.0), 4)
    book.take_status(status("Submitted", 100.0), 5)
    assert known.status is OrderStatus.FILLED


def test_after_a_correction_less_may_be_filled():
    book = OrderBook(1)
    known = book.take_order(order(), 1)
    book.take_status(status(filled=40.0), 2)
    book.take_execution(ExecutionTold("a.02", 7, 1, 99, "r1", "DU1", "AAPL", "BOT", 0.0, 10.0, 0), is_correction=True)
    book.take_status(status(filled=0.0), 3)
    assert known.filled == 0.0


def test_a_status_that_comes_before_its_order_is_kept():
    book = OrderBook(1)
    assert book.take_status(status("Filled", 100.0), 1) is None
    known = book.take_order(order(), 2)
    assert (known.status, known.filled) == (OrderStatus.FILLED, 100.0)


def test_a_number_that_comes_again_is_another_order():
    book = OrderBook(1)
    first = book.take_order(order(), 1)
    second = book.take_order(order(perm_id=100, reference="r2"), 2)
    assert first is not second
    assert book.by_order_id(1, 7) is second
    assert book.find("r1") is first
    book.take_status(status("Cancelled", perm_id=99), 3)
    assert (first.status, second.status) == (OrderStatus.CANCELLED, OrderStatus.ACKNOWLEDGED)


def test_an_order_that_was_sent_is_known_by_its_number_until_it_has_a_permanent_one():
    book = OrderBook(1)
    sent = book.send("r1", 7, 1, "AAPL", dict(TERMS), 1)
    assert (sent.is_heard, book.word(sent, 1).status, book.word(sent, 1).broker_id) == (False, OrderStatus.SUBMITTED, "")
    assert book.take_order(order(status="PendingSubmit"), 2) is sent
    assert not sent.is_heard
    book.take_status(status(), 3)
    assert (sent.is_heard, sent.perm_id) == (True, 99)


def test_numbers_begin_behind_all_that_were_heard_of():
    book = OrderBook(1)
    assert book.least_id(1) == 1
    book.take_order(order(order_id=17), 1)
    book.take_order(order(order_id=500, client_id=2, perm_id=5, reference=""), 1)
    book.take_execution(ExecutionTold("a.01", 23, 1, 98, "r0", "DU1", "AAPL", "BOT", 1.0, 10.0, 0), is_correction=False)
    assert (book.least_id(1), book.least_id(2)) == (24, 501)
    book.forget()
    assert book.least_id(1) == 24


def test_whose_an_order_is():
    book = OrderBook(1)
    assert book.reference_of(book.take_order(order(), 1)) == "r1"
    foreign = book.take_order(order(client_id=5, perm_id=7, reference="theirs"), 1)
    assert book.reference_of(foreign) == ""
    former = book.take_order(order(client_id=6, perm_id=8, reference=OURS), 1)
    assert book.reference_of(former) == OURS
    by_hand = book.take_order(order(order_id=0, client_id=0, perm_id=9, reference=""), 1)
    assert book.reference_of(by_hand) == ""
    book.claim("theirs")
    assert book.reference_of(foreign) == "theirs"


def test_a_reference_that_was_sent_stays_so_when_the_broker_forgets():
    book = OrderBook(1)
    book.send("r1", 7, 1, "AAPL", dict(TERMS), 1)
    known = book.take_order(order(), 1)
    book.news(known, 1)
    book.forget()
    assert book.find("r1") is None
    assert book.was_sent("r1")
    again = book.take_order(order(), 2)
    assert book.news(again, 2) is None  # it was told before


def test_a_day_order_that_nobody_took_back_and_whose_session_is_over_has_expired():
    closed = []
    book = OrderBook(1, has_closed=lambda since, until: since < 10 <= until)
    for name, perm_id, terms, asked in (
        ("day", 1, {}, False),
        ("till cancelled", 2, {"tif": "GTC"}, False),
        ("taken back", 3, {}, True),
    ):
        known = book.take_order(order(order_id=perm_id, perm_id=perm_id, reference=name, terms=terms), 5)
        known.is_being_cancelled = asked
        book.take_status(status("Cancelled", perm_id=perm_id, order_id=perm_id), 11)
        closed.append(known.status)
    assert closed == [OrderStatus.EXPIRED, OrderStatus.CANCELLED, OrderStatus.CANCELLED]
    early = book.take_order(order(order_id=4, perm_id=4, reference="early"), 5)
    book.take_status(status("Cancelled", perm_id=4, order_id=4), 6)
    assert early.status is OrderStatus.CANCELLED


def test_an_order_among_the_completed_has_its_end_and_what_it_filled():
    book = OrderBook(1)
    known = book.take_order(order(order_id=0, client_id=0, status="Cancelled", filled=40.0, reason="Cancelled by Trader"), 1)
    word = book.word(known, 1)
    assert (word.status, word.filled, word.reason) == (OrderStatus.CANCELLED, 40.0, "Cancelled by Trader")
