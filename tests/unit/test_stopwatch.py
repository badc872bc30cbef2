"""A session's times, by a clock that the test turns: what an event is counted from, and what an order's way is."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from fairlead.control.stopwatch import EVENT_PROCESSED, Stopwatch
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.data.live import FeedNotice, NoticeKind, Received
from fairlead.telemetry import Metrics
from fairlead.telemetry.latency import DECISION_TO_ACK, DECISION_TO_SUBMIT, EVENT_TO_DECISION, SUBMIT_TO_ACK
from support_feeds import minute_bar

MS = 1_000_000
NOW = minute_bar(0, "A").known_ns


class Timed:
    """A stopwatch of a live session, and the clock that stamps what arrives."""

    def __init__(self) -> None:
        self.ns = 0
        self.metrics = Metrics(CollectorRegistry())
        self.watch = Stopwatch(self.metrics, lambda: self.ns)

    def after(self, ms: float) -> None:
        self.ns += round(ms * MS)

    def bar(self, minute: int, symbol: str) -> int:
        """Let a bar arrive now, and be taken at once."""
        bar = minute_bar(minute, symbol)
        self.watch.seen(Received(bar, self.ns))
        return bar.known_ns

    def instant(self, known_ns: int, *, market: float = 1, monitors: float = 2, strategies: float = 3) -> None:
        """Let an instant pass that takes so many milliseconds in each stage."""
        self.after(market)
        self.watch.entered(known_ns)
        self.after(monitors)
        self.watch.watched()
        self.after(strategies)
        self.watch.idle()

    def of(self, stage: str) -> tuple[int, float]:
        """How many times were taken of a stage, and the longest in milliseconds."""
        found = self.watch.report()[stage]
        return found["count"], pytest.approx(found["max"] * 1e3)

    def order(self, order_id: str = "a") -> Order:
        return Order(order_id, order_id, "g", "trend", "A", Side.BUY, 5.0, OrderType.MARKET, NOW, NOW + 50 * MS)


@pytest.fixture
def timed() -> Timed:
    return Timed()


def test_a_decision_is_counted_from_the_bar_that_completed_its_instant_and_the_whole_from_the_first(timed):
    timed.bar(0, "A")
    timed.after(100)
    known_ns = timed.bar(0, "B")
    timed.instant(known_ns)
    assert timed.of(EVENT_TO_DECISION) == (1, 6)
    assert timed.of(EVENT_PROCESSED) == (1, 106)
    shown = {
        (sample.name, sample.labels.get("stage")): sample.value
        for family in text_string_to_metric_families(timed.metrics.render().decode())
        for sample in family.samples
    }
    sums = {stage: shown["stage_duration_seconds_sum", stage] for stage in ("execution", "monitors", "market")}
    assert sums == pytest.approx({"execution": 0.001, "monitors": 0.002, "market": 0.003})
    assert shown["cycle_duration_seconds_sum", None] == pytest.approx(0.005)
    assert shown["event_processing_seconds_count", None] == 1


def test_each_decision_is_counted_and_what_nobody_decides_on_is_when_it_is_over(timed):
    known_ns = timed.bar(0, "A")
    timed.after(1)
    timed.watch.entered(known_ns)
    timed.watch.watched()
    for ms in (2, 7):
        timed.after(ms)
        timed.watch.decided("trend")
    timed.after(20)  # until the wishes are on the disk, and the orders have left
    timed.watch.idle()
    found = timed.watch.report()[EVENT_TO_DECISION]
    assert (found["count"], found["max"]) == (2, pytest.approx(0.010))
    assert found["mean"] == pytest.approx(0.0065)
    assert timed.of(EVENT_PROCESSED) == (1, 30)
    timed.instant(timed.bar(1, "A"))
    assert timed.of(EVENT_TO_DECISION)[0] == 3


def test_a_bar_of_the_next_instant_completes_one_and_begins_its_own(timed):
    first = timed.bar(0, "A")
    timed.after(1_000)
    second = timed.bar(1, "A")
    timed.instant(first)
    assert timed.of(EVENT_TO_DECISION) == (1, 6)
    assert timed.of(EVENT_PROCESSED) == (1, 1_006)
    timed.after(10)
    timed.bar(1, "B")
    timed.instant(second)
    assert timed.of(EVENT_PROCESSED) == (2, 1_006)
    assert timed.of(EVENT_TO_DECISION) == (2, 6)
    assert timed.watch.report()[EVENT_PROCESSED]["mean"] * 1e3 == pytest.approx((1_006 + 22) / 2)


def test_an_instant_that_silence_completed_has_no_event_to_count_its_decision_from(timed):
    known_ns = timed.bar(0, "A")
    for _ in range(20):
        timed.watch.idle()
        timed.after(100)
    timed.instant(known_ns)
    assert timed.of(EVENT_TO_DECISION)[0] == 0
    assert timed.of(EVENT_PROCESSED) == (1, 2_006)


def test_what_is_late_opens_no_instant_and_is_forgotten(timed):
    for minute in range(100):
        known_ns = timed.bar(minute, "A")
        timed.instant(known_ns)
        timed.bar(minute, "B")
    assert timed.of(EVENT_PROCESSED) == (100, 6)
    assert len(timed.watch._first) == 1


def test_a_notice_is_no_bar_and_a_clock_set_back_gives_no_time_below_zero(timed):
    timed.after(100)
    known_ns = timed.bar(0, "A")
    timed.watch.seen(Received(FeedNotice(NoticeKind.FRESH, NOW), timed.ns))
    timed.ns = 0
    timed.instant(known_ns)
    assert timed.of(EVENT_PROCESSED) == (1, 0)


def test_history_that_is_played_again_arrives_when_it_is_taken():
    ticks = iter(range(0, 10_000_000, MS))
    watch = Stopwatch(counter=lambda: next(ticks))
    bar = minute_bar(0, "A")
    watch.seen(Received(bar, bar.known_ns))
    watch.entered(bar.known_ns)
    watch.watched()
    watch.idle()
    assert watch.report()[EVENT_PROCESSED]["max"] == pytest.approx(0.003)


def test_the_way_of_an_order_is_ours_up_to_the_venue_and_then_the_venues(timed):
    order = timed.order()
    timed.watch.decided("trend")
    timed.after(4)
    submitted = order.move_to(OrderStatus.SUBMITTED, NOW)
    timed.watch.acted("trend", [order])
    timed.after(1_000)  # the venue is looked at again with the next bar
    acknowledged = order.move_to(OrderStatus.ACKNOWLEDGED, NOW + 50 * MS)
    for fact in (order, submitted, acknowledged):
        timed.watch.heard(fact)
    assert timed.of(DECISION_TO_SUBMIT) == (1, 4)
    assert timed.of(SUBMIT_TO_ACK) == (1, 50)
    assert timed.of(DECISION_TO_ACK) == (1, 54)


def test_what_never_left_or_ended_before_it_arrived_is_not_timed_and_not_kept(timed):
    refused, cancelled, unknown = timed.order("r"), timed.order("c"), timed.order("u")
    rejected = refused.move_to(OrderStatus.REJECTED, NOW)
    timed.watch.decided("trend")
    cancelled.move_to(OrderStatus.SUBMITTED, NOW)
    timed.watch.acted("trend", [refused, cancelled])
    timed.watch.heard(rejected)
    timed.watch.heard(cancelled.move_to(OrderStatus.CANCELLED, NOW))
    unknown.move_to(OrderStatus.SUBMITTED, NOW)
    timed.watch.heard(unknown.move_to(OrderStatus.ACKNOWLEDGED, NOW))
    assert timed.of(DECISION_TO_SUBMIT)[0] == 1
    assert timed.of(DECISION_TO_ACK)[0] == timed.of(SUBMIT_TO_ACK)[0] == 0
    assert timed.watch._created == {}
    assert timed.watch._latency.pending == 0
