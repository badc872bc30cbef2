"""The line between venue and desk, step by step: what is lost, late or asked for again, and what the venue goes by."""

from __future__ import annotations

import pytest

from fairlead.core.bars import Cursor
from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.core.time import NS_PER_DAY
from fairlead.engine.accounts import Accounts
from fairlead.engine.runner import StrategyRunner
from fairlead.engine.session import run_session
from fairlead.execution.financing import FinancingSettings
from fairlead.execution.margin import AccountSettings
from fairlead.sdk import OrderIntent, ReplaceIntent, TimeInForce
from fairlead.sdk.harness import StrategyHarness
from fairlead.strategies.buy_and_hold import BuyAndHold
from support_reports import Losing, Onlooker, by_order
from support_sessions import Scripted, allocate, flat, free, minutes, plan, steady

GTC = TimeInForce.GTC
S = OrderStatus


def watched(script, channel=None, bars=None, onlooker=None, **changes):
    onlooker = onlooker or Onlooker(channel)
    strategy = Scripted(script)
    record = run_session(
        plan(minutes({"A": bars or steady(8)}), allocate(strategy), execution=free(**changes)), attendant=onlooker
    )
    assert not record.strategies[0].error
    return record, onlooker


def lose(*statuses, of=1):
    """Lose the first so many reports of such statuses."""
    left = [of]

    def is_lost(report):
        left[0] -= report.update.status in statuses
        return report.update.status in statuses and left[0] >= 0

    return Losing(is_lost)


def test_a_fill_that_was_lost_is_not_in_our_books_and_is_at_the_venue():
    record, onlooker = watched({0: [OrderIntent.market("A", 50)]}, lose(S.FILLED))
    assert record.fills == []
    assert onlooker.ledgers["alpha"] == (100_000.0, {})
    assert [(f.side, f.quantity) for f in onlooker.line.account.fills.values()] == [(Side.BUY, 50.0)]
    (order,) = record.orders
    # The order itself is the venue's word, as it lives in this process; what was told is not.
    assert (order.status, record.updates[-1].status) == (S.FILLED, S.ACKNOWLEDGED)


def test_an_exit_reduces_what_the_venue_holds_whatever_our_books_say():
    script = {0: [OrderIntent.market("A", 50)], 3: [OrderIntent(symbol="A", amount=-80, reduce_only=True)]}
    record, onlooker = watched(script, lose(S.FILLED))
    assert [(f.side, f.quantity) for f in record.fills] == [(Side.SELL, 50.0)]
    assert onlooker.ledgers["alpha"][1] == {"A": -50.0}
    assert onlooker.line.account.books().positions == {}


def test_what_comes_late_closes_its_gap_and_is_booked_once():
    channel = lose(S.PARTIALLY_FILLED)
    thin = [flat(100.0, volume=30.0)] * 8

    class Late(Onlooker):
        waited = ()

        def instant(self, row):
            super().instant(row)
            if row == 4:
                self.waited = dict(self.line.inlet.waiting)
                assert [f.quantity for f in self.parts.desk.fills] == []
                assert self.parts.desk.held("alpha") == {"A": 70.0}
                channel.late += channel.lost * 2
                self.line.settle()
                assert [f.quantity for f in self.parts.desk.fills] == [30.0, 30.0, 10.0]

    onlooker = Late(channel)
    record, _ = watched({0: [OrderIntent.market("A", 70, time_in_force=GTC)]}, bars=thin, onlooker=onlooker)
    assert list(onlooker.waited.values()) == [3]
    assert onlooker.line.inlet.duplicates == 1
    assert onlooker.ledgers["alpha"] == (93_000.0, {"A": 70.0})
    assert [u.status for u in record.updates] == [S.SUBMITTED, S.ACKNOWLEDGED, S.PARTIALLY_FILLED, S.PARTIALLY_FILLED, S.FILLED]


def test_what_is_asked_for_again_comes_in_its_order_and_no_second_time():
    channel = lose(S.ACKNOWLEDGED)

    class Asking(Onlooker):
        def instant(self, row):
            super().instant(row)
            if row == 3:
                assert self.parts.desk.fills == []
                self.line.resend()
                self.line.resend()
                channel.late += channel.lost

    record, onlooker = watched({0: [OrderIntent.market("A", 50)]}, onlooker=Asking(channel))
    assert [u.seq for u in record.updates] == [1, 2, 3]
    assert onlooker.line.inlet.duplicates == 1  # the one that was late comes after it was asked for
    assert onlooker.ledgers["alpha"] == (95_000.0, {"A": 50.0})


@pytest.mark.parametrize("lost", [False, True])
def test_what_the_desk_itself_says_of_an_order_has_its_place_among_the_reports(lost):
    """A replacement that is refused takes a number of its order: the inlet must not wait for it for ever."""

    class Refusing(Onlooker):
        refuses = False

        def instant(self, row):
            super().instant(row)
            self.refuses = row >= 2

        def veto(self, strategy, *, only_reduces):
            return "no more risk" if self.refuses else None

        def end(self):
            self.line.resend()
            super().end()

    def replace(_strategy, context):
        return [ReplaceIntent(order.order_id, quantity=90) for order in context.open_orders]

    script = {0: [OrderIntent.limit("A", 50, 90.0, time_in_force=GTC)], 2: replace}
    bars = [*steady(5), flat(89.0), flat(89.0)]
    record, _ = watched(script, bars=bars, onlooker=Refusing(lose(S.ACKNOWLEDGED) if lost else None))
    (told,) = by_order(record.updates).values()
    assert [(u.seq, str(u.status), u.reason) for u in told] == [
        (1, "SUBMITTED", ""),
        (2, "ACKNOWLEDGED", ""),
        (3, "ACKNOWLEDGED", "replace_rejected: no more risk"),
        (4, "FILLED", ""),
    ]
    assert [f.quantity for f in record.fills] == [50.0]


def runner_of(ledger: Portfolio) -> StrategyRunner:
    strategy = BuyAndHold()
    context = StrategyHarness(strategy).context
    return StrategyRunner("alpha", strategy, ledger, context, strategy.risk_limits, submit=print, failed=print)


def a_fill(number: int, side: Side, quantity: float, price: float, symbol: str = "A") -> Fill:
    return Fill(str(number), f"o{number}", "alpha", symbol, side, quantity, price, price, 1.5, 0, 0)


@pytest.mark.parametrize("settlement", [0, 1])
@pytest.mark.parametrize("ahead", [0, 1, 2, 3])
def test_what_can_be_paid_is_the_same_whether_fills_are_booked_or_still_on_their_way(settlement, ahead):
    fills = [a_fill(1, Side.BUY, 30, 100.0), a_fill(2, Side.BUY, 5, 50.0, "B"), a_fill(3, Side.SELL, 20, 110.0)]
    block = next(iter(minutes({"A": steady(3), "B": steady(3)}).blocks(carry=1)))
    answers = []
    for booked in (len(fills), len(fills) - ahead):
        cursor = Cursor(block)
        cursor.row = 1
        runner = runner_of(Portfolio(10_000.0, {"A": 100.0, "B": 50.0}, {"B": 10.0}))
        accounts = Accounts(AccountSettings(type="cash", settlement_days=settlement), FinancingSettings(), cursor)
        for fill in fills[:booked]:
            runner.ledger.apply(fill)
            accounts.book(runner, fill)
        answers.append(
            [
                accounts.affordable(runner, order, 500.0, 100.0, 1.0, lambda units: 0.01 * units, fills[booked:])
                for order in (an_order(Side.BUY), an_order(Side.SELL))
            ]
        )
    assert answers[0] == answers[1]
    assert answers[0][1] == 10.0
    assert answers[0][0] == (66.0 if settlement == 0 else 44.0)


def an_order(side: Side) -> Order:
    return Order("o", "k", "g", "alpha", "A", side, 500.0, OrderType.MARKET, 0, NS_PER_DAY)
