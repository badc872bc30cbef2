"""Fills from quotes and prints by hand: crossing, queues, and what is taken once is gone."""

from __future__ import annotations

import inspect
import math

import numba
import pytest

from fairlead.core.events import Quote
from fairlead.execution import tick_kernels as rules
from fairlead.execution.book import Book, Place, near_of, touch_of

BUY, SELL = 1, -1
NAN, UNKNOWN = float("nan"), rules.UNKNOWN_QUEUE


@pytest.mark.parametrize(
    ("side", "limit", "touch", "expected"),
    [
        (BUY, 10.00, 9.99, True),
        (BUY, 10.00, 10.00, True),
        (BUY, 10.00, 10.01, False),
        (SELL, 10.00, 10.01, True),
        (SELL, 10.00, 10.00, True),
        (SELL, 10.00, 9.99, False),
        # A market order takes what there is, and nothing where nobody stands.
        (BUY, NAN, 1e9, True),
        (SELL, NAN, 0.01, True),
        (BUY, NAN, NAN, False),
        (BUY, 10.00, NAN, False),
    ],
)
def test_what_trades_at_once(side, limit, touch, expected):
    assert rules.is_marketable(side, limit, touch) is expected


@pytest.mark.parametrize(
    ("side", "stop", "price", "expected"),
    [
        (BUY, 10.00, 10.00, True),
        (BUY, 10.00, 10.50, True),
        (BUY, 10.00, 9.99, False),
        (SELL, 10.00, 10.00, True),
        (SELL, 10.00, 9.00, True),
        (SELL, 10.00, 10.01, False),
        (BUY, 10.00, NAN, False),
        (SELL, 10.00, NAN, False),
    ],
)
def test_what_triggers_a_stop(side, stop, price, expected):
    assert rules.stop_reached(side, stop, price) is expected


@pytest.mark.parametrize(
    ("side", "limit", "touch", "through", "on_touch"),
    [
        (BUY, 10.00, 9.99, True, True),
        (BUY, 10.00, 10.00, False, True),
        (BUY, 10.00, 10.01, False, False),
        (SELL, 10.00, 10.01, True, True),
        (SELL, 10.00, 10.00, False, True),
        (SELL, 10.00, 9.99, False, False),
        (BUY, 10.00, NAN, False, False),
    ],
)
def test_a_quote_must_cross_through_a_resting_limit(side, limit, touch, through, on_touch):
    assert rules.is_crossed(side, limit, touch, False) is through
    assert rules.is_crossed(side, limit, touch, True) is on_touch


@pytest.mark.parametrize(
    ("side", "limit", "near", "size", "ahead"),
    [
        (BUY, 10.00, 10.00, 700, 700),  # joins the best bid
        (BUY, 10.01, 10.00, 700, 0),  # improves it
        (BUY, 9.99, 10.00, 700, UNKNOWN),  # deep in the book
        (SELL, 10.00, 10.00, 300, 300),
        (SELL, 9.99, 10.00, 300, 0),
        (SELL, 10.01, 10.00, 300, UNKNOWN),
        (BUY, 10.00, NAN, 0, UNKNOWN),  # no book to look at
    ],
)
def test_the_queue_at_the_arrival(side, limit, near, size, ahead):
    assert rules.queue_ahead(side, limit, near, size) == ahead


def test_a_queue_is_never_longer_than_what_is_displayed():
    assert rules.queue_at_quote(500, BUY, 10.00, 10.00, 300) == 300  # somebody before us went away
    assert rules.queue_at_quote(200, BUY, 10.00, 10.00, 900) == 200  # who came later stands behind us
    assert rules.queue_at_quote(200, BUY, 10.00, 9.99, 900) == 0  # our price is the best
    assert rules.queue_at_quote(200, BUY, 10.00, 10.01, 900) == 200  # our price is not shown
    assert rules.queue_at_quote(UNKNOWN, BUY, 10.00, 10.00, 900) == 900  # now it is: all of it came before us


def test_a_print_works_off_the_queue_first():
    assert rules.left_for(300, 200, 0) == 0
    assert rules.queue_after_print(300, BUY, 10.00, 10.00, 200) == 100
    assert rules.left_for(100, 250, 0) == 150
    assert rules.queue_after_print(100, BUY, 10.00, 10.00, 250) == 0
    # An earlier order of ours at the same price had 40 of what is left.
    assert rules.left_for(100, 250, 40) == 110
    assert rules.left_for(UNKNOWN, 250, 0) == 0


def test_a_print_through_the_price_leaves_no_queue_and_one_elsewhere_changes_none():
    assert rules.queue_after_print(UNKNOWN, BUY, 10.00, 9.99, 1) == 0
    assert rules.queue_after_print(300, SELL, 10.00, 10.01, 1) == 0
    assert rules.queue_after_print(300, BUY, 10.00, 10.01, 1) == 300
    assert rules.queue_after_print(300, SELL, 10.00, 9.99, 1) == 300


@pytest.mark.parametrize(
    ("taken", "size", "is_same_price", "replenishes", "expected"),
    [
        (60, 100, True, False, 60),  # what stands there still has been taken still
        (60, 40, True, False, 40),  # others took the rest
        (60, 100, False, False, 0),  # another price is another offer
        (60, 100, True, True, 0),
        (0, 100, True, False, 0),
    ],
)
def test_what_a_repeated_quote_has_given_already(taken, size, is_same_price, replenishes, expected):
    assert rules.still_taken(taken, size, is_same_price, replenishes) == expected


def test_a_book_forgets_what_was_taken_when_the_price_moves():
    book = Book(Quote("A", 0, 10.00, 10.02, 100, 200))
    book.take(BUY, 150)
    book.take(SELL, 30)
    assert (book.free(BUY), book.free(SELL)) == (50, 70)
    book.show(Quote("A", 1, 10.01, 10.02, 100, 260), replenishes=False)
    assert (book.free(BUY), book.free(SELL)) == (110, 100)  # 60 were added to the offer; the bid is another
    book.show(Quote("A", 2, 10.01, 10.03, 100, 260), replenishes=False)
    assert book.free(BUY) == 260
    assert not book.is_touched


def test_sides_are_seen_from_the_order():
    quote = Quote("A", 0, 10.00, 10.02, 100, 200)
    assert (touch_of(quote, BUY), touch_of(quote, SELL)) == (10.02, 10.00)
    assert (near_of(quote, BUY), near_of(quote, SELL)) == ((10.00, 100), (10.02, 200))
    place = Place(0)
    place.rest(BUY, 10.00, quote)
    assert (place.is_resting, place.queue) == (True, 100)
    place.rest(BUY, 10.00, None)
    assert math.isinf(place.queue)


def test_machine_code_agrees():
    """Compiled loops inline the same functions."""
    cases = {
        "is_marketable": [(BUY, 10.0, 9.0), (SELL, NAN, 9.0), (BUY, 10.0, NAN)],
        "stop_reached": [(BUY, 10.0, 10.0), (SELL, 10.0, NAN)],
        "is_crossed": [(BUY, 10.0, 10.0, True), (SELL, 10.0, 9.0, False)],
        "queue_ahead": [(BUY, 10.0, 10.0, 7.0), (SELL, 10.0, 9.0, 7.0), (BUY, 10.0, NAN, 0.0)],
        "left_for": [(1.0, 5.0, 2.0), (UNKNOWN, 5.0, 0.0)],
        "queue_after_print": [(5.0, BUY, 10.0, 10.0, 3.0), (5.0, BUY, 10.0, 9.0, 3.0), (5.0, SELL, 10.0, 9.0, 3.0)],
        "still_taken": [(5.0, 3.0, True, False), (5.0, 3.0, True, True)],
    }
    public = {name for name, found in inspect.getmembers(rules, inspect.isfunction)}
    assert set(cases) == public - {"queue_at_quote"}  # it calls another one
    for name, arguments in cases.items():
        function = getattr(rules, name)
        compiled = numba.njit(function)
        for given in arguments:
            assert compiled(*given) == function(*given)
