"""A market that is practised on, and misbehaviour on demand."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from fairlead.core.errors import DataError
from fairlead.core.orders import OrderType, Side
from fairlead.core.time import BarSize
from fairlead.data.live.faults import Fault
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import OrderRequest
from fairlead.practice.faults import PracticeFaults, Switches, Telling
from fairlead.practice.market import PracticeMarket
from support_feeds import OPEN_NS, minute_bar, morning, run


def market_of(events=None, **changes):
    return PracticeMarket(morning(5) if events is None else events, bar_size=BarSize.M1, calendar="XNYS", **changes)


def account_of(market, **changes):
    account = SimulatedAccount("DU1", symbols=market.symbols, now_ns=lambda: market.now_ns, **changes)
    market.serve(account)
    return account


def bought(account, reference="r"):
    return account.submit(
        [OrderRequest(reference=reference, symbol="A", side=Side.BUY, quantity=Decimal(1), order_type=OrderType.MARKET)]
    )


def test_orders_meet_the_bars_before_anybody_is_told_of_them():
    market = market_of()
    account = account_of(market)
    told = []
    account.listen(told.append)
    bought(account)
    told.clear()
    market.listen(told.append)
    assert market.now_ns == market.events[0].known_ns - 1
    while not account.executions():
        assert market.step()
    assert account.executions()[0].ts_ns == market.now_ns
    kinds = [type(news).__name__ for news in told]
    assert kinds.index("Execution") < kinds.index("Bar")


def test_it_ends_and_can_be_asked_for_what_is_known():
    events = [minute_bar(i, symbol) for i in range(3) for symbol in ("A", "B")]
    market = market_of(events)
    assert market.now_ns == OPEN_NS
    assert market.last("A") is None
    assert market.bars("A", 0, 2**62) == []
    assert market.step(2)
    assert [bar.label_ns for bar in market.bars("A", 0, 2**62)] == [events[0].label_ns, events[2].label_ns]
    assert market.bars("B", events[2].label_ns, events[4].label_ns) == [events[3]]
    assert market.last("B") == events[3]
    assert not market.step(5)
    assert market.is_over
    assert market.count == len(events)


def test_at_a_pace_it_waits_between_instants():
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    market = market_of([minute_bar(i) for i in range(4)], speed=60.0, sleep=sleep, elapsed=lambda: sum(waits))
    run(market.run())
    assert market.is_over
    assert waits == pytest.approx([1.0, 1.0, 1.0])


def test_at_full_speed_others_get_their_turn():
    async def both():
        market = market_of([minute_bar(i) for i in range(300)])
        turns = []

        async def other():
            while not market.is_over:
                turns.append(market.count)
                await asyncio.sleep(0)

        await asyncio.gather(market.run(), other())
        return turns

    assert len(run(both())) > 3


def test_an_account_that_was_restarted_takes_the_place_of_the_old_one():
    market = market_of([minute_bar(i) for i in range(4)])
    old = account_of(market)
    bought(old)
    new = SimulatedAccount.of(old.to_dict(), now_ns=lambda: market.now_ns)
    market.serve(new)
    market.step(2)
    assert (old.executions(), len(new.executions())) == ([], 1)


def test_a_session_without_events_is_refused():
    with pytest.raises(DataError, match="no events"):
        market_of([])


def test_without_faults_everything_is_told_once_and_in_order():
    telling = Telling()
    assert [telling.deliver(i) for i in range(5)] == [([i], 0.0, "", False) for i in range(5)]


def test_the_same_seed_does_the_same():
    settings = PracticeFaults(gap_rate=0.1, duplicate_rate=0.2, reorder_rate=0.2, delay_rate=0.3, drop_every=7, seed=3)
    one, other = Telling[int](settings), Telling[int](settings)
    assert [one.deliver(i) for i in range(200)] == [other.deliver(i) for i in range(200)]


def test_nothing_is_lost_or_made_up_but_by_a_gap():
    telling = Telling[int](PracticeFaults(duplicate_rate=0.3, reorder_rate=0.3, delay_rate=0.5, delay_s=0.1))
    found = [telling.deliver(i) for i in range(500)]
    told = [message for delivery in found for message in delivery.messages] + telling.rest()
    assert set(told) == set(range(500))
    assert told != sorted(told)
    assert 500 < len(told) <= 1_000
    assert set(Counter(told).values()) == {1, 2}
    assert {delivery.delay_s > 0 for delivery in found} == {True, False}
    assert max(delivery.delay_s for delivery in found) <= 0.1


def test_faults_are_ordered_one_by_one():
    telling = Telling[int]()
    for fault in (Fault.GAP, Fault.MALFORMED, "drop"):
        telling.order(fault)
        delivery = telling.deliver(1)
        assert (delivery.messages, bool(delivery.garbage), delivery.breaks) == (
            [1] if fault == "drop" else [],
            fault is Fault.MALFORMED,
            fault == "drop",
        )
    assert telling.deliver(2).messages == [2]


def test_counted_switches_count_down():
    switches = Switches(too_many=2)
    assert [switches.take("too_many") for _ in range(4)] == [True, True, False, False]
    assert not switches.take("loses_orders")
