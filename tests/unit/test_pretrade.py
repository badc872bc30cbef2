"""Checks before an order leaves: what is refused, why, and what may always leave."""

from __future__ import annotations

import pytest

from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.risk.pretrade import ProjectedExposure, check_order
from fairlead.risk.rejection import Rejection
from fairlead.sdk.limits import RiskLimits

MARKS = {"A": 100.0, "B": 50.0, "C": 10.0, "N": float("nan")}
INSTRUMENTS = {
    "A": Instrument(symbol="A"),
    "B": Instrument(symbol="B"),
    "C": Instrument(symbol="C", multiplier=10.0),
    "N": Instrument(symbol="N"),
}
NO_SHORTS = {**INSTRUMENTS, "A": Instrument(symbol="A", shortable=False)}
MARKET, LIMIT, STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP


def a_ledger(cash=10_000.0, **held):
    """Return a ledger that bought `held` at the marks out of `cash`."""
    ledger = Portfolio(cash, MARKS, {"C": 10.0})
    for symbol, units in held.items():
        ledger.apply(Fill("f", "o", "s", symbol, Side.of(units), abs(units), MARKS[symbol], MARKS[symbol], 0.0, 0, 0))
    return ledger


def working(symbol, units, kind=LIMIT, filled=0.0):
    return Order(
        order_id="w",
        idempotency_key="k",
        group_id="g",
        strategy="s",
        symbol=symbol,
        side=Side.of(units),
        quantity=abs(units),
        order_type=kind,
        created_ns=0,
        arrives_ns=0,
        filled_quantity=filled,
    )


def check(units, symbol="A", kind=MARKET, *, ledger=None, orders=(), size=None, leverage=1.0, instruments=INSTRUMENTS):
    ledger = ledger or a_ledger()
    return check_order(
        symbol,
        units,
        kind,
        exposure=ProjectedExposure(ledger, orders),
        limits=RiskLimits(max_position_size=size, max_leverage=leverage),
        instruments=instruments,
        price=MARKS.get(symbol, float("nan")),
    )


def reason(*args, **kwargs):
    found = check(*args, **kwargs)
    return None if found is None else found.reason


def test_the_whole_of_equity_may_be_invested_and_no_more():
    assert reason(100) is None
    assert str(check(101)) == "insufficient_buying_power: 10100 > 10000"
    assert reason(-100) is None
    assert reason(-101) == "insufficient_buying_power"
    assert reason(150, leverage=1.5) is None


def test_the_multiplier_counts():
    assert reason(100, "C") is None
    assert reason(101, "C") == "insufficient_buying_power"
    assert reason(11, "C", size=0.1) == "max_position_size"


def test_the_size_of_one_position():
    assert reason(10, size=0.1) is None
    assert str(check(11, size=0.1)) == "max_position_size: 1100 > 1000"
    assert reason(5, ledger=a_ledger(A=6), size=0.1) == "max_position_size"
    assert reason(4, ledger=a_ledger(A=6), size=0.1) is None


@pytest.mark.parametrize("symbol", ["N", "X"])
@pytest.mark.parametrize("units", [1, -1])
def test_what_is_not_known_is_refused(symbol, units):
    """Fail closed: without an instrument or a price no check can be made."""
    assert reason(units, symbol) == {"N": "no_market_data", "X": "unknown_symbol"}[symbol]


def test_a_reduction_passes_every_limit():
    """Shares of 100 after a fall: gross 5,000 on equity of 1,000."""
    ledger = a_ledger(cash=5_000.0, A=50)
    ledger.cash -= 4_000.0
    assert reason(-50, ledger=ledger, size=0.01) is None
    assert reason(-1, ledger=ledger, size=0.01) is None
    assert reason(1, ledger=ledger) == "insufficient_buying_power"
    assert reason(-50, kind=STOP, ledger=ledger, size=0.01) is None


def test_a_reduction_of_a_short_passes_too():
    ledger = a_ledger(A=-50)
    ledger.cash -= 9_000.0
    assert reason(50, ledger=ledger) is None
    assert reason(51, ledger=ledger, leverage=0.001) == "insufficient_buying_power"


def test_without_equity_only_reductions_leave():
    ledger = a_ledger(A=50)
    ledger.cash -= 10_000.0
    assert reason(-50, ledger=ledger) is None
    assert reason(1, "B", ledger=ledger) == "no_equity"
    assert reason(-60, ledger=ledger) == "no_equity"


def test_crossing_zero_is_not_a_reduction():
    assert reason(-150, ledger=a_ledger(A=100), size=0.4) == "max_position_size"
    assert reason(-150, ledger=a_ledger(A=100), size=0.5) is None


def test_what_cannot_be_borrowed_is_not_sold_short():
    assert reason(-1, instruments=NO_SHORTS) == "not_shortable"
    assert reason(-11, ledger=a_ledger(A=10), instruments=NO_SHORTS) == "not_shortable"
    assert reason(-10, ledger=a_ledger(A=10), instruments=NO_SHORTS) is None
    assert reason(-10, kind=LIMIT, ledger=a_ledger(A=10), instruments=NO_SHORTS) is None
    assert reason(1, instruments=NO_SHORTS) is None


def test_what_cannot_be_borrowed_is_not_sold_twice():
    """A stop and a target on the same shares could both fill; a market order is the exit itself."""
    resting = [working("A", -10, STOP)]
    assert reason(-10, kind=LIMIT, ledger=a_ledger(A=10), orders=resting, instruments=NO_SHORTS) == "not_shortable"
    assert reason(-10, ledger=a_ledger(A=10), orders=resting, instruments=NO_SHORTS) is None


# --- orders under way


def test_market_orders_under_way_count_as_filled():
    assert reason(60, orders=[working("A", 40, MARKET)]) is None
    assert reason(61, orders=[working("A", 40, MARKET)]) == "insufficient_buying_power"
    # What was sold but not yet filled frees its money.
    assert reason(200, "B", ledger=a_ledger(A=100), orders=[working("A", -100, MARKET)]) is None
    assert reason(-1, ledger=a_ledger(A=100), orders=[working("A", -100, MARKET)], instruments=NO_SHORTS) == "not_shortable"


def test_only_what_remains_of_an_order_counts():
    assert reason(70, orders=[working("A", 40, MARKET, filled=10)]) is None
    assert reason(71, orders=[working("A", 40, MARKET, filled=10)]) == "insufficient_buying_power"


def test_resting_orders_count_at_their_worst():
    """A resting sale frees nothing; a resting purchase costs its money; both sides of one symbol do not add."""
    assert reason(1, "B", ledger=a_ledger(A=100), orders=[working("A", -100)]) == "insufficient_buying_power"
    assert reason(1, "B", orders=[working("A", 100)]) == "insufficient_buying_power"
    assert reason(100, "B", orders=[working("A", 50), working("A", -50, STOP)]) is None
    assert reason(101, "B", orders=[working("A", 50), working("A", -50, STOP)]) == "insufficient_buying_power"


def test_a_bracket_of_exits_passes_at_full_investment():
    ledger = a_ledger(A=100)
    assert reason(-100, kind=LIMIT, ledger=ledger) is None
    assert reason(-100, kind=STOP, ledger=ledger, orders=[working("A", -100)]) is None


def test_resting_exits_cannot_pile_up_into_a_short():
    """Each alone only reduces; together they could turn the position round, three times over."""
    ledger = a_ledger(A=100)
    resting = [working("A", -100), working("A", -100, STOP)]
    assert reason(-100, kind=LIMIT, ledger=ledger, orders=resting) == "insufficient_buying_power"
    assert reason(-100, kind=MARKET, ledger=ledger, orders=resting) is None


def test_an_exposure_grows_with_the_batch():
    exposure = ProjectedExposure(a_ledger(A=100), [])
    assert exposure.after("B", 200, MARKET) == (200, 20_000)
    exposure.add("A", -100, MARKET)
    assert exposure.held("A") == 0
    assert exposure.after("B", 200, MARKET) == (200, 10_000)
    exposure.add("B", 200, MARKET)
    assert exposure.after("A", 1, LIMIT) == (1, 10_100)
    assert exposure.held("B") == 200


@pytest.mark.parametrize(
    ("held", "units", "reduces"),
    [(10, -10, True), (10, -11, False), (10, 1, False), (-10, 10, True), (-10, -1, False), (0, 1, False), (0, -1, False)],
)
def test_what_a_reduction_is(held, units, reduces):
    exposure = ProjectedExposure(a_ledger(**({"A": held} if held else {})), [])
    assert exposure.reduces("A", units) is reduces


def test_the_last_bit_of_a_sum_breaches_nothing():
    ledger = a_ledger(cash=0.1 + 0.2)
    ledger.marks = {"A": 0.1}
    assert (
        check_order(
            "A",
            3,
            MARKET,
            exposure=ProjectedExposure(ledger, []),
            limits=RiskLimits(max_position_size=1.0),
            instruments=INSTRUMENTS,
            price=0.1,
        )
        is None
    )


def test_a_rejection_says_what_was_measured():
    assert str(Rejection("unknown_symbol")) == "unknown_symbol"
    assert str(Rejection("max_position_size", 12.5, 10.0)) == "max_position_size: 12.5 > 10"


def test_the_last_bit_of_a_sum_is_no_short_sale():
    """0.3 less 0.1 and 0.2 is a trifle below zero to a computer; it is all that is held, and may be sold."""
    instruments = {"A": Instrument(symbol="A", shortable=False, lot_step=0.1, min_quantity=0.1)}
    assert reason(-0.2, ledger=a_ledger(A=0.3), orders=[working("A", -0.1, MARKET)], instruments=instruments) is None
    assert reason(-0.3, ledger=a_ledger(A=0.3), orders=[working("A", -0.1, MARKET)], instruments=instruments) == "not_shortable"


def test_the_last_bit_of_a_sum_makes_no_exit_a_new_position():
    """Over every limit, the rest of a position may still be closed."""
    ledger = a_ledger(A=0.3)
    ledger.cash = -100.0
    assert reason(-0.2, ledger=ledger, orders=[working("A", -0.1, MARKET)]) is None
    assert reason(-0.4, ledger=ledger, orders=[working("A", -0.1, MARKET)]) == "no_equity"
