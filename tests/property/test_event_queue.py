"""The queue to the loop: nothing but quotes is lost, each symbol's order stays, and every count is exact."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.events import Bar, Quote
from fairlead.data.live import EventQueue, FeedNotice, NoticeKind, Received
from fairlead.data.live.queue import PATIENCE
from support_feeds import minute_bar, quote, run, trade

SYMBOLS = st.sampled_from("ABC")


class QueueBooks(RuleBasedStateMachine):
    """Puts and takes in any order, beside a plain list of what the queue must hold."""

    @initialize(capacity=st.integers(1, 12), conflate=st.booleans())
    def opened(self, capacity, conflate):
        self.queue: EventQueue[Received] = EventQueue(capacity, conflate=conflate)
        self.capacity, self.conflate = capacity, conflate
        self.clock = 0
        self.waiting: list[Received] = []
        self.given_way: dict[str, int] = {}
        self.put = self.taken = self.lost = self.refused = 0
        self.last_of: dict[str, int] = {}

    def _offer(self, received):
        event = received.event
        is_quote = isinstance(event, Quote) and self.conflate
        before = [r for r in self.waiting if isinstance(r.event, Quote) and r.event.symbol == getattr(event, "symbol", "")]
        replaces = is_quote and bool(before) and self.given_way[event.symbol] < PATIENCE
        fits = replaces or len(self.waiting) < self.capacity
        assert self.queue.offer(received) is fits
        if not fits:
            self.refused += 1
            return
        self.put += 1
        if replaces:
            self.waiting.remove(before[-1])
            self.lost += 1
        if is_quote:
            self.given_way[event.symbol] = self.given_way[event.symbol] + 1 if replaces else 0
        self.waiting.append(received)

    @rule(symbol=SYMBOLS, kind=st.sampled_from(["quote", "trade", "bar", "notice"]))
    def offered(self, symbol, kind):
        self.clock += 1
        event = {
            "quote": lambda: quote(self.clock, symbol),
            "trade": lambda: trade(self.clock, symbol),
            "bar": lambda: minute_bar(self.clock, symbol),
            "notice": lambda: FeedNotice(NoticeKind.STALE, self.clock),
        }[kind]()
        self._offer(Received(event, self.clock))

    @rule(symbol=SYMBOLS, count=st.integers(2, 2 * PATIENCE))
    def flooded(self, symbol, count):
        for _ in range(count):
            self.clock += 1
            self._offer(Received(quote(self.clock, symbol), self.clock))

    @rule(count=st.integers(1, 5))
    def taken_from(self, count):
        for _ in range(count):
            found = self.queue.take(0)
            if not self.waiting:
                assert found is None
                return
            expected = self.waiting.pop(0)
            assert found is expected
            self.taken += 1
            symbol = getattr(found.event, "symbol", "")
            assert self.last_of.get(symbol, -1) < found.received_ns, "a symbol's events come in the order of their arrival"
            self.last_of[symbol] = found.received_ns

    @invariant()
    def counts_are_exact(self):
        counts = self.queue.counts
        assert (counts.accepted, counts.taken, counts.conflated, counts.waiting, counts.refused) == (
            self.put,
            self.taken,
            self.lost,
            len(self.waiting),
            self.refused,
        )
        assert counts.accepted == counts.taken + counts.conflated + counts.waiting
        assert len(self.queue) <= counts.most_waiting <= self.capacity


TestQueueBooks = QueueBooks.TestCase
TestQueueBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_threads_and_tasks_hand_over_everything_but_quotes():
    """Two threads and two asyncio tasks put into a queue of eight while one thread takes."""
    queue: EventQueue[Received] = EventQueue(8)
    per_producer = 400
    found: list[Received] = []

    def stream(symbol):
        return [Received(quote(i, symbol) if i % 2 else trade(i, symbol), i) for i in range(per_producer)]

    def thread(symbol):
        assert all(queue.put(item) for item in stream(symbol))

    async def task(symbol):
        for item in stream(symbol):
            await queue.put_async(item)

    async def tasks():
        await asyncio.gather(task("C"), task("D"))

    taker = threading.Thread(target=lambda: found.extend(iter(queue.take, None)))
    producers = [threading.Thread(target=thread, args=(symbol,)) for symbol in "AB"]
    producers.append(threading.Thread(target=lambda: run(tasks())))
    for each in (taker, *producers):
        each.start()
    for each in producers:
        each.join(30)
    queue.close()
    taker.join(30)
    assert not taker.is_alive()
    counts = queue.counts
    assert counts.accepted == 4 * per_producer == counts.taken + counts.conflated
    assert (counts.taken, counts.waiting) == (len(found), 0)
    assert counts.most_waiting <= 8
    for symbol in "ABCD":
        check_stream([r for r in found if r.event.symbol == symbol], per_producer)


def check_stream(own, count):
    assert [r.received_ns for r in own] == sorted({r.received_ns for r in own})
    assert [r.received_ns for r in own if not isinstance(r.event, Quote)] == list(range(0, count, 2))
    assert own[-1].received_ns == count - 1, "the latest quote is never lost"


def test_a_symbol_whose_quotes_never_pause_is_heard():
    """A quote that gave way often enough keeps its place."""
    queue: EventQueue[Quote] = EventQueue(100)
    for i in range(3 * (PATIENCE + 1)):
        queue.offer(quote(i))
    waiting = [queue.take(0) for _ in range(len(queue))]
    assert waiting == [quote((k + 1) * (PATIENCE + 1) - 1) for k in range(3)]


def test_a_full_queue_makes_bars_wait_and_lets_go_when_closed():
    queue: EventQueue[Bar] = EventQueue(1)
    assert queue.put(minute_bar(0))
    assert not queue.put(minute_bar(1), timeout=0.001)
    assert not queue.offer(minute_bar(1))
    assert queue.take(0) == minute_bar(0)
    assert queue.put(minute_bar(2))

    async def waits_until_closed():
        waiting = [asyncio.create_task(queue.put_async(minute_bar(i))) for i in (3, 4)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
        assert queue.take(0) == minute_bar(2)
        await waiting[1]  # the room that the cancelled one was given goes to the next
        assert queue.take(0) == minute_bar(4)
        queue.offer(minute_bar(5))
        last = asyncio.create_task(queue.put_async(minute_bar(6)))
        await asyncio.sleep(0)
        queue.close()
        with pytest.raises(DataError, match="its session has ended"):
            await last

    run(waits_until_closed())
    assert queue.is_closed
    assert queue.take() == minute_bar(5)
    assert queue.take() is None
    with pytest.raises(DataError, match="the event queue is closed"):
        queue.offer(minute_bar(7))
    queue.close()


def test_taking_waits_no_longer_than_it_is_told():
    queue: EventQueue[Bar] = EventQueue()
    assert queue.take(0) is None
    assert queue.take(0.001) is None
    assert not queue.is_closed
    with pytest.raises(ConfigurationError, match="'capacity' must be 1 or more, was 0"):
        EventQueue(0)


def test_a_waiter_whose_loop_is_gone_disturbs_nobody():
    queue: EventQueue[Bar] = EventQueue(1)
    queue.offer(minute_bar(0))
    loop = asyncio.new_event_loop()
    gone: deque[asyncio.Task[None]] = deque()
    loop.call_soon(lambda: gone.append(loop.create_task(queue.put_async(minute_bar(1)))))
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    gone[0].cancel()
    loop.run_until_complete(asyncio.gather(*gone, return_exceptions=True))
    loop.close()
    assert queue.take(0) == minute_bar(0)
    assert queue.offer(minute_bar(2))
