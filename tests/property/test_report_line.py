"""Reports that come twice and out of order within an instant change nothing of what a session does."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.orders import OrderRole
from fairlead.engine.reportline import Channel
from fairlead.engine.session import run_session
from fairlead.execution.margin import AccountSettings
from fairlead.execution.reconciliation import compare
from fairlead.execution.tally import Tally
from support_anything import SETTINGS, Anything, market
from support_reports import Losing, Onlooker, Scrambled, same_life
from support_sessions import allocate, days, free, plan, random_bars, split

modest = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32)


class Hearing(Anything):
    """Hears of its orders, too."""

    def __init__(self, seed, names):
        super().__init__(seed, names)
        self.heard = []

    def on_order_update(self, order, context):
        self.heard.append(order.order_id)


def attended(seed, execution, channel: Channel | None = None, kind=Anything, capital=100_000.0):
    """A run of two strategies whose reports take such a way, and who looked on."""
    onlooker = Onlooker(channel)
    strategies = [allocate(kind(seed + i, ("A", "B")), name, capital) for i, name in enumerate(("alpha", "beta"))]
    record = run_session(plan(market(seed), *strategies, execution=free(**execution)), attendant=onlooker)
    assert not any(outcome.error for outcome in record.strategies)
    return record, onlooker


@modest
@given(seed=SEEDS, scramble=SEEDS, execution=SETTINGS, capital=st.sampled_from([20_000.0, 100_000.0]))
def test_scrambled_reports_leave_orders_fills_and_ledgers_as_they_are(seed, scramble, execution, capital):
    expected, undisturbed = attended(seed, execution, capital=capital)
    channel = Scrambled(scramble)
    found, onlooker = attended(seed, execution, channel, capital=capital)
    same_life(found, expected)
    assert onlooker.line.inlet.duplicates == channel.again
    assert onlooker.line.inlet.waiting == {}
    for name, (cash, held) in undisturbed.ledgers.items():
        other_cash, other_held = onlooker.ledgers[name]
        assert held == other_held
        # The same sums, added up in another order.
        assert abs(cash - other_cash) < 1e-6


@modest
@given(seed=SEEDS, scramble=SEEDS, settlement=st.sampled_from([0, 1]))
def test_a_cash_account_pays_with_what_the_venue_knows(seed, scramble, settlement):
    """What the ledger has not heard of yet is bought all the same, and cannot be spent twice."""
    execution = {"account": AccountSettings(type="cash", settlement_days=settlement), "max_bar_participation": 1.0}
    expected, _ = attended(seed, execution)
    found, _ = attended(seed, execution, Scrambled(scramble))
    same_life(found, expected)


@modest
@given(seed=SEEDS, scramble=SEEDS, execution=SETTINGS)
def test_who_hears_of_its_orders_hears_the_same_of_each(seed, scramble, execution):
    _, undisturbed = attended(seed, execution, kind=Hearing)
    _, onlooker = attended(seed, execution, Scrambled(scramble), kind=Hearing)
    for one, other in zip(undisturbed.parts.runners, onlooker.parts.runners, strict=True):
        assert sorted(one.strategy.heard) == sorted(other.strategy.heard)


@modest
@given(seed=SEEDS, execution=SETTINGS)
def test_a_straight_line_is_no_line(seed, execution):
    """A session that is attended has the digest of one that is not, and its account is the sum of its fills."""
    strategies = [allocate(Anything(seed + i, ("A", "B")), name) for i, name in enumerate(("alpha", "beta"))]
    alone = run_session(plan(market(seed), *strategies, execution=free(**execution)))
    found, onlooker = attended(seed, execution)
    assert found.digest == alone.digest
    assert found.updates == alone.updates
    account = onlooker.line.account
    assert {order_id: u.status for order_id, u in account.last.items()}.items() <= {
        (order.order_id, order.status) for order in found.orders
    }
    books = account.books()
    assert {key: holding.quantity for key, holding in books.positions.items()} == {
        (name, symbol): units for name, (_, held) in onlooker.ledgers.items() for symbol, units in held.items()
    }
    assert books.orders == {}


@modest
@given(seed=SEEDS, lost=st.integers(1, 40), execution=SETTINGS)
def test_what_was_lost_can_be_asked_for_and_then_the_books_agree(seed, lost, execution):
    count = 0

    def is_lost(report):
        nonlocal count
        count += 1
        return count % lost == 0

    class Resending(Onlooker):
        def end(self):
            self.line.resend()
            super().end()

    onlooker, strategy = Resending(Losing(is_lost)), allocate(Anything(seed, ("A", "B")), "alpha")
    record = run_session(plan(market(seed), strategy, execution=free(**execution)), attendant=onlooker)
    ours, orders = Tally(), {order.order_id: order for order in record.orders}
    for update in record.updates:
        ours.changed(orders[update.order_id], update)
    for fill in record.fills:
        ours.filled(fill)
    theirs = onlooker.line.account
    differences = compare(ours.books(), theirs.books(), quantity_tolerance=0.0, cash_tolerance=1e-6)
    assert not [d.text for d in differences if d.kind.value != "PRICE_MISMATCH"]
    assert ours.fills.keys() == theirs.fills.keys()
    assert len(record.fills) == len(theirs.fills)
    assert onlooker.line.inlet.duplicates == 0
    told = {}
    for update in record.updates:
        told.setdefault(update.order_id, []).append(update.seq)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in told.values())


def test_exits_follow_the_venues_positions_while_a_split_passes():
    """A bracket over a split, with reports that wait for the end of the instant."""
    bars = {"A": random_bars(np.random.default_rng(5), 40, gaps=0.0, volume=1e6)}
    source = days(bars, actions=[split("A", 19_740, 2.0)])
    runs = []
    for channel in (None, Scrambled(3)):
        onlooker = Onlooker(channel)
        runs.append(run_session(plan(source, allocate(Anything(3, ("A",)), "alpha"), execution=free()), attendant=onlooker))
    same_life(*runs)
    assert any(order.role in {OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT} for order in runs[0].orders)
