"""Two books held against each other: what counts as a difference, in what, and what a person is told."""

from __future__ import annotations

import dataclasses

import pytest

from fairlead.contracts.settings import build_settings
from fairlead.core.errors import ConfigurationError
from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.execution.reconciliation import (
    Difference,
    DifferenceKind,
    Reconciliation,
    ReconciliationSettings,
    compare,
    is_strict,
)
from fairlead.execution.tally import Books, Holding, Tally, WorkingOrder

KEY = ("alpha", "A")
NAN = float("nan")
MISMATCH = "ORDER_MISMATCH alpha A order o1: BUY 100, 40 filled, limit 9.5 in our books"


def found(ours: Books, theirs: Books, quantity: float = 0.01, cash: float = 1.0) -> list[str]:
    return [d.text for d in compare(ours, theirs, quantity_tolerance=quantity, cash_tolerance=cash)]


def holding(units: float, price: float = 10.0) -> Books:
    return Books(positions={KEY: Holding(units, price)})


def a_fill(**changes) -> Fill:
    return Fill("1", "o1", "alpha", "A", Side.BUY, 5.0, 10.0, 10.0, 0.0, 0, 0)._replace(**changes)


def fills(*those: Fill) -> Books:
    return Books(fills={fill.fill_id: fill for fill in those})


def working(**changes) -> Books:
    order = WorkingOrder("alpha", "A", Side.BUY, 100.0, 40.0, limit_price=9.5)
    return Books(orders={"o1": order._replace(**changes)})


def test_equal_books_do_not_differ():
    books = Books(
        positions={KEY: Holding(100.0, 10.0)}, cash={"alpha": -1_000.0}, orders=working().orders, fills=fills(a_fill()).fills
    )
    assert found(books, dataclasses.replace(books)) == []
    assert found(Books(), Books()) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        (100.0, 150.0, "QUANTITY_MISMATCH alpha A: 100 in our books, 150 at the broker"),
        (100.0, -100.0, "QUANTITY_MISMATCH alpha A: 100 in our books, -100 at the broker"),
        (1_234_567.0, 1_234_568.0, "QUANTITY_MISMATCH alpha A: 1234567 in our books, 1234568 at the broker"),
        (0.0, 150.0, "MISSING_LOCAL alpha A: 0 in our books, 150 at the broker"),
        (-3.5, 0.0, "MISSING_BROKER alpha A: -3.5 in our books, 0 at the broker"),
        (100.0, NAN, "QUANTITY_MISMATCH alpha A: 100 in our books, nan at the broker"),
    ],
)
def test_positions(ours, theirs, text):
    assert found(holding(ours), holding(theirs)) == [text]


def test_a_position_of_one_side_alone():
    assert found(Books(), holding(7.0)) == ["MISSING_LOCAL alpha A: 0 in our books, 7 at the broker"]
    assert found(holding(7.0), Books()) == ["MISSING_BROKER alpha A: 7 in our books, 0 at the broker"]
    assert found(holding(0.0), Books()) == []


@pytest.mark.parametrize(
    ("apart", "tolerance", "differs"),
    [(0.01, 0.01, False), (0.011, 0.01, True), (1e-10, 0.0, False), (0.001, 0.0, True), (0.5, 0.6, False)],
)
def test_the_tolerance_of_a_quantity(apart, tolerance, differs):
    """Sums of the same fills in another order differ in their last bits, also where units are whole."""
    assert bool(found(holding(100.0), holding(100.0 + apart), quantity=tolerance)) == differs


def test_the_rounding_of_sums_is_no_difference():
    total = sum([0.1, 0.2, 0.3]), sum([0.3, 0.2, 0.1])
    assert total[0] != total[1]
    assert found(holding(total[0]), holding(total[1]), quantity=0.0) == []


@pytest.mark.parametrize(("apart", "differs"), [(1.0, False), (1.01, True), (-1.01, True)])
def test_cash(apart, differs):
    ours, theirs = Books(cash={"alpha": -500.0}), Books(cash={"alpha": -500.0 + apart})
    text = f"CASH_MISMATCH alpha: -500.00 in our books, {-500 + apart:.2f} at the broker"
    assert found(ours, theirs) == ([text] if differs else [])


def test_an_average_price_is_for_information():
    differences = compare(holding(100.0, 10.0), holding(100.0, 10.5), quantity_tolerance=0.0, cash_tolerance=1.0)
    assert [d.text for d in differences] == ["PRICE_MISMATCH alpha A: 10 in our books, 10.5 at the broker"]
    report = Reconciliation(ts_ns=0, why="start", mode="strict", differences=differences)
    assert (report.mismatches, report.is_clean) == (0, True)
    assert found(holding(100.0, 10.0), holding(100.0, 10.01)) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        (None, {}, "ORPHAN_ORDER alpha A order o1: not working in our books, BUY 100, 40 filled, limit 9.5 at the broker"),
        ({}, None, "LOST_ORDER alpha A order o1: BUY 100, 40 filled, limit 9.5 in our books, not working at the broker"),
        ({}, {"filled": 60.0}, f"{MISMATCH}, BUY 100, 60 filled, limit 9.5 at the broker"),
        ({}, {"quantity": 90.0}, f"{MISMATCH}, BUY 90, 40 filled, limit 9.5 at the broker"),
        ({}, {"limit_price": None, "stop_price": 9.5}, f"{MISMATCH}, BUY 100, 40 filled, stop 9.5 at the broker"),
        ({}, {"side": Side.SELL}, f"{MISMATCH}, SELL 100, 40 filled, limit 9.5 at the broker"),
    ],
)
def test_working_orders(ours, theirs, text):
    sides = [Books() if changes is None else working(**changes) for changes in (ours, theirs)]
    assert found(*sides) == [text]


def test_a_broker_need_not_know_whose_order_it_is():
    assert found(working(), working(strategy="")) == []


def test_fills():
    one, other = a_fill(), a_fill(execution_id="2", price=11.0, side=Side.SELL)
    told = "1970-01-01T00:00:00.000000Z"
    assert found(fills(one), fills(one, other)) == [
        f"MISSED_FILL alpha A fill {other.fill_id} of order o1: nothing in our books, SELL 5 at 11, {told} at the broker"
    ]
    assert found(fills(one, other), fills(other)) == [
        f"UNKNOWN_FILL alpha A fill {one.fill_id} of order o1: BUY 5 at 10, {told} in our books, nothing at the broker"
    ]
    (text,) = found(fills(one), fills(one._replace(price=10.25)))
    assert text.startswith(f"FILL_MISMATCH alpha A fill {one.fill_id} of order o1: BUY 5 at 10, ")
    assert text.endswith(f" in our books, BUY 5 at 10.25, {told} at the broker")
    # A stamp that the broker rounds, or its own id of the order, is no difference.
    assert found(fills(one), fills(one._replace(ts_ns=7, tag="x"))) == []


def test_differences_come_in_the_order_of_their_names():
    theirs = Books(positions={("beta", "A"): Holding(1, 1), ("alpha", "B"): Holding(1, 1), ("alpha", "A"): Holding(1, 1)})
    assert [(d.strategy, d.symbol) for d in compare(Books(), theirs, quantity_tolerance=0, cash_tolerance=0)] == [
        ("alpha", "A"),
        ("alpha", "B"),
        ("beta", "A"),
    ]


@pytest.mark.parametrize(
    ("mode", "in_a_row", "at_start", "strict"),
    [
        ("strict", 1, False, True),
        ("auto_sync", 1, False, True),
        ("warn", 1, False, False),
        ("warn", 2, False, True),
        ("warn", 3, False, True),
        ("warn", 1, True, True),
    ],
)
def test_when_a_difference_halts(mode, in_a_row, at_start, strict):
    assert is_strict(mode, in_a_row, at_start=at_start) is strict


def test_a_report_for_people_and_for_a_journal():
    left = Difference(DifferenceKind.CASH_MISMATCH, "alpha", "", "1.00", "3.00")
    gone = Difference(DifferenceKind.MISSING_LOCAL, "alpha", "A", "0", "5")
    report = Reconciliation(
        ts_ns=0, why="schedule", mode="auto_sync", differences=(left,), settled=(gone,), waiting={"o1": 3}, in_a_row=1
    )
    assert report.lines() == [
        "settled by the broker's word: MISSING_LOCAL alpha A: 0 in our books, 5 at the broker",
        "CASH_MISMATCH alpha: 1.00 in our books, 3.00 at the broker",
        "order o1 waits for its report 3",
    ]
    cash = {"type": "CASH_MISMATCH", "strategy": "alpha", "symbol": "", "subject": "", "ours": "1.00", "theirs": "3.00"}
    assert report.to_dict() == {
        "at": "1970-01-01T00:00:00.000000Z",
        "why": "schedule",
        "mode": "auto_sync",
        "is_strict": True,
        "in_a_row": 1,
        "differences": [cash],
        "settled": [{**cash, "type": "MISSING_LOCAL", "symbol": "A", "ours": "0", "theirs": "5"}],
        "waiting": {"o1": 3},
    }


def test_settings_say_what_is_wrong_with_them():
    assert build_settings(ReconciliationSettings, {}, "r") == ReconciliationSettings(
        mode="strict", every=100, cash_tolerance=1.0
    )
    for wrong in ({"mode": "strikt"}, {"every": 0}, {"every": 1.5}, {"cash_tolerance": -1}, {"quantity_tolerance": NAN}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            build_settings(ReconciliationSettings, wrong, "reconciliation")


def test_a_tally_adds_up_what_is_told():
    tally = Tally({"A": 10.0})
    order = Order("o1", "k", "g", "alpha", "A", Side.BUY, 8.0, OrderType.LIMIT, 0, 0, limit_price=9.5)
    tally.sent(order)
    assert tally.books().orders == {"o1": WorkingOrder("alpha", "A", Side.BUY, 8.0, 0.0, 9.5)}
    tally.changed(order, order.move_to(OrderStatus.SUBMITTED, 0))
    update = order.record_fill(5.0, 9.0, 2.0, 1)
    # The order has filled; as long as nobody has told, the books have not.
    assert tally.books().orders["o1"].filled == 0.0
    tally.changed(order, update)
    tally.filled(a_fill(price=9.0, commission=2.0))
    books = tally.books()
    assert books.positions == {KEY: Holding(5.0, 9.0)}
    assert books.cash == {"alpha": -(5.0 * 9.0 * 10.0 + 2.0)}
    assert books.orders["o1"].filled == 5.0
    assert len(books.fills) == 1
    tally.agreed()
    tally.changed(order, order.move_to(OrderStatus.CANCELLED, 2))
    tally.filled(a_fill(execution_id="2", price=9.5, side=Side.SELL))
    books = tally.books()
    assert (books.positions, books.orders) == ({}, {})
    assert [fill.execution_id for fill in books.fills.values()] == ["2"]
    assert tally.last["o1"].status is OrderStatus.CANCELLED
    assert len(tally.fills) == 2
