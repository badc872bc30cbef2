"""What holds of every guard, whatever the account, the market and the order."""

from __future__ import annotations

import dataclasses
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.orders import OrderType
from fairlead.core.portfolio import Portfolio
from fairlead.core.time import NS_PER_SECOND
from fairlead.risk import OrderValidator, create_default_guards
from fairlead.risk.guards import FULL, Counters, LimitScale, MarketView, PortfolioView, RiskTracker
from fairlead.risk.pretrade import ProjectedExposure
from support_risk import NOW, a_ledger, account, asked, market, working

RUNS = settings(max_examples=200, deadline=None)
SPARED = ("G1", "G2", "G3", "G4", "G5", "G9", "G10", "G13")
UNITS = st.integers(-500, 500).map(float).filter(bool)
MAYBE = st.sampled_from([float("nan"), 0.0, -1e9, 1e9, 100_000.0])
KINDS = st.sampled_from([OrderType.LIMIT, OrderType.STOP, OrderType.MARKET])


def tight(data):
    """Return limits of which many are broken by anything."""
    return create_default_guards(
        max_gross_exposure=data.draw(st.sampled_from([1, 50_000])),
        max_symbol_qty=data.draw(st.sampled_from([1, 100])),
        max_pos_pct=data.draw(st.sampled_from([1, 20])),
        max_daily_loss=1,
        max_drawdown=1,
        max_open_positions=1,
        max_consecutive_losses=1,
        cooldown_s=60,
    )


@RUNS
@given(st.data())
def test_an_order_that_only_reduces_is_never_held_up_by_a_limit(data):
    """G1-G5, G9, G10 and G13 let it pass, whatever has been lost, whatever else works, and whatever is not known."""
    held, other = data.draw(UNITS), data.draw(UNITS)
    share = data.draw(st.floats(0.01, 1.0))
    ledger = a_ledger(data.draw(st.sampled_from([0.0, 1_000.0, 100_000.0])), A=held, B=other)
    counters = Counters(
        session_start_equity=data.draw(MAYBE),
        peak_equity=data.draw(MAYBE),
        losers_in_a_row=data.draw(st.integers(0, 9)),
        last_sent_ns=data.draw(st.none() | st.integers(0, NOW)),
        busy=data.draw(st.sets(st.sampled_from("AB"))),
    )
    elsewhere = [working("B", units, data.draw(KINDS)) for units in data.draw(st.lists(UNITS, max_size=2))]
    view = PortfolioView(
        own=ProjectedExposure(ledger, elsewhere),
        others=(ProjectedExposure(a_ledger(A=data.draw(UNITS)), ()),),
        counters=counters,
    )
    order = asked(-held * share, **data.draw(st.sampled_from([{}, {"limit_price": 100.0}, {"stop_price": 90.0}])))
    sees = data.draw(st.sampled_from([None, market(), market(last=float("nan"))]))
    assert [r.guard for r in tight(data).only(*SPARED).check_all_detailed(order, view, sees) if r.reason] == []


@RUNS
@given(
    st.floats(0.01, 1.0),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from([20_000.0, 50_000.0]),
    st.sampled_from([50.0, 100.0]),
    UNITS,
    st.integers(-300, 300).map(float),
)
def test_scaled_limits_are_smaller_limits(size, gross, money, units, ordered, held):
    """A guard with a scale finds what one with limits so much smaller finds; the others find the same with any."""
    # In percent points a position needs at least 1 of equity.
    share = max(size, 1 / 20)
    limits = {"max_gross_exposure": money, "max_symbol_qty": units, "max_pos_pct": 20}
    smaller = {"max_gross_exposure": money * share * gross, "max_symbol_qty": units * share, "max_pos_pct": 20 * share}
    view = account(a_ledger(100_000.0, **({"A": held} if held else {})))
    order = asked(ordered)
    scaled = create_default_guards(**limits).check_all_detailed(
        order, dataclasses.replace(view, scale=LimitScale(share, gross)), market()
    )
    other = create_default_guards(**smaller).check_all_detailed(order, view, market())
    for one, two in zip(scaled, other, strict=True):
        assert (one.guard, one.reason, one.is_exempt) == (two.guard, two.reason, two.is_exempt)
        assert one.limit == two.limit or abs(one.limit - two.limit) <= 1e-9 * abs(two.limit) or one.limit != one.limit
    whole = create_default_guards(**limits).check_all_detailed(order, dataclasses.replace(view, scale=FULL), market())
    assert repr(whole) == repr(create_default_guards(**limits).check_all_detailed(order, view, market()))


@RUNS
@given(held=UNITS, orders=st.lists(st.tuples(UNITS, KINDS), max_size=3), units=UNITS, kind=KINDS)
def test_the_worst_case_is_never_below_what_comes_true(held, orders, units, kind):
    """Whichever of the resting orders fill: the exposure then is at most what was measured before the order left."""
    resting = [working("A", n, k) for n, k in orders]
    portfolio = account(a_ledger(1e9, A=held), *resting)
    order = asked(units, order_type=kind)
    guards = create_default_guards(max_gross_exposure=1e12, max_symbol_qty=1e12, max_pos_pct=1_000, slip_buffer_bps=0)
    units_after, gross_after = portfolio.own.after("A", units, kind)
    measured = {r.guard.partition(" ")[0]: r for r in guards.check_all_detailed(order, portfolio, market())}
    # Market orders under way count as filled, as the engine has it; what rests may fill or not.
    sure = held + sum(n for n, k in orders if k is OrderType.MARKET) + (units if kind is OrderType.MARKET else 0.0)
    unsure = [n for n, k in orders if k is not OrderType.MARKET] + ([units] if kind is not OrderType.MARKET else [])
    for count in range(len(unsure) + 1):
        for filled in itertools.combinations(unsure, count):
            actual = abs(sure + sum(filled))
            assert actual <= units_after + 1e-9
            assert actual * 100.0 <= gross_after + 1e-6
            if not measured["G1"].is_exempt:
                assert actual * 100.0 <= measured["G1"].measured + 1e-6
                assert actual * 100.0 <= measured["G3"].measured + 1e-6
    if not measured["G2"].is_exempt:
        assert measured["G2"].measured >= abs(sure + sum(n for n in unsure if n * units > 0)) - 1e-9


@RUNS
@given(st.data())
def test_what_is_not_known_refuses_whatever_opens(data):
    """Any one number that is missing is enough, for every order that does not only reduce."""
    nan = float("nan")
    gap = data.draw(st.sampled_from(["last", "age_s", "bid", "ask", "reference", "market", "session", "start", "peak"]))
    counters = {"start": {"session_start_equity": nan}, "peak": {"peak_equity": nan}}.get(gap, {})
    portfolio = account(a_ledger(), **counters)
    sees: MarketView | None = market()
    if gap in ("last", "age_s", "bid", "ask", "reference"):
        sees = market(**{gap: nan})
    elif gap == "session":
        sees = market(in_session=None)
    elif gap == "market":
        sees = None
    order = asked(data.draw(st.integers(-50, 50).filter(bool)))
    assert create_default_guards().check_all(order, account(a_ledger()), market()) is None
    assert create_default_guards().check_all(order, portfolio, sees) is not None


@RUNS
@given(held=UNITS, units=UNITS, cash=st.sampled_from([1e3, 1e5, 1e7]))
def test_checks_are_pure(held, units, cash):
    """The same order, account and market are judged alike, however often, and nothing is changed by it."""
    ledger = a_ledger(cash, A=held)
    portfolio, order = account(ledger, working("A", 10)), asked(units)
    guards, validator = create_default_guards(), OrderValidator()
    before = (ledger.cash, ledger.quantity("A"), portfolio.own.gross)
    first = (guards.check_all_detailed(order, portfolio, market()), validator.check_all(order, portfolio, market()))
    again = (guards.check_all_detailed(order, portfolio, market()), validator.check_all(order, portfolio, market()))
    assert repr(first) == repr(again)
    assert (ledger.cash, ledger.quantity("A"), portfolio.own.gross) == before


@RUNS
@given(units=st.integers(1, 2_000), limit=st.integers(1, 2_000))
def test_a_limit_is_kept_to_the_unit(units, limit):
    """G2 refuses from the first unit beyond the limit, and not before."""
    guard = create_default_guards(max_symbol_qty=limit).only("G2")
    rejection = guard.check_all(asked(units), PortfolioView.of(Portfolio(1e9, {"A": 100.0})), market())
    assert (rejection is not None) == (units > limit)


@RUNS
@given(
    waits_s=st.integers(1, 600),
    wishes=st.lists(st.tuples(st.integers(0, 300), st.sampled_from("AB"), UNITS), max_size=30).map(sorted),
)
def test_a_cooldown_keeps_orders_that_add_apart(waits_s, wishes):
    """Whatever is wanted and when: between two orders of a symbol that left, the second of which adds, lies the cooldown."""
    (guard,) = create_default_guards(cooldown_s=waits_s).only("G13").guards
    tracker, held, left = RiskTracker(1e9), {"A": 0.0, "B": 0.0}, []
    for second, symbol, units in wishes:
        now = second * NS_PER_SECOND
        view = PortfolioView(
            own=ProjectedExposure(a_ledger(**{name: n for name, n in held.items() if n}), ()),
            counters=tracker.counters("s", symbol, now),
        )
        exits = view.only_reduces(asked(units, symbol))
        if guard.check(asked(units, symbol, created_ns=now), view, market(symbol)) is None:
            last = max((at for at, name in left if name == symbol), default=None)
            assert exits or last is None or second - last >= waits_s
            tracker.sent("s", symbol, f"{len(left)}", now)
            left.append((second, symbol))
            held[symbol] += units
        else:
            assert not exits
