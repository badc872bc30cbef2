"""Stages of an order by a clock that the test turns, and quantiles within their bound."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from fairlead.core.errors import ConfigurationError
from fairlead.telemetry import Metrics, OrderLatency, QuantileSummary
from fairlead.telemetry.families import ORDER_LATENCY
from fairlead.telemetry.latency import DECISION_TO_ACK, DECISION_TO_SUBMIT, EVENT_TO_DECISION, STAGES, SUBMIT_TO_ACK

MS = 1_000_000
LATENCIES = st.floats(1e-6, 1e4)
QS = st.floats(0, 1)


class Tick:
    def __init__(self):
        self.ns = 0

    def __call__(self):
        return self.ns


@pytest.fixture
def tick():
    return Tick()


@pytest.fixture
def metrics():
    return Metrics(CollectorRegistry())


@pytest.fixture
def latency(metrics, tick):
    return OrderLatency(metrics, tick, max_pending=3)


def counts(latency):
    return {stage: summary.count for stage, summary in latency.report().items()}


def test_each_stage_is_timed_per_order(latency, metrics, tick):
    arrived = tick.ns
    tick.ns += 4 * MS
    latency.processed(arrived)
    latency.decided("a")
    latency.decided("b")
    tick.ns += 1 * MS
    latency.submitted("a")
    tick.ns += 1 * MS
    latency.submitted("b")
    tick.ns += 50 * MS
    latency.acknowledged("b")
    tick.ns += 100 * MS
    latency.acknowledged("a")
    report = latency.report()
    assert list(report) == list(STAGES)
    assert {stage: s.count for stage, s in report.items()} == {
        EVENT_TO_DECISION: 1,
        DECISION_TO_SUBMIT: 2,
        SUBMIT_TO_ACK: 2,
        DECISION_TO_ACK: 2,
    }
    assert {stage: round(s.max, 6) for stage, s in report.items()} == {
        EVENT_TO_DECISION: 0.004,
        DECISION_TO_SUBMIT: 0.002,
        SUBMIT_TO_ACK: 0.151,
        DECISION_TO_ACK: 0.152,
    }
    assert report[SUBMIT_TO_ACK].mean == pytest.approx(0.1005)
    assert latency.pending == 0
    text = metrics.render().decode()
    assert 'order_latency_seconds_bucket{le="0.05",stage="submit_to_ack"} 1.0\n' in text
    assert 'order_latency_seconds_bucket{le="0.2",stage="submit_to_ack"} 2.0\n' in text
    assert 'order_latency_seconds_count{stage="decision_to_ack"} 2.0\n' in text


def test_a_decision_may_be_told_later_and_a_simulated_venue_says_how_long_an_order_was_on_its_way(latency, tick):
    decided = tick.ns
    tick.ns += 3 * MS
    latency.decided("a", decided)
    latency.submitted("a")
    tick.ns += 60_000 * MS  # until the next bar
    latency.acknowledged("a", 50 * MS)
    found = {stage: round(summary.max, 6) for stage, summary in latency.report().items() if summary.count}
    assert found == {DECISION_TO_SUBMIT: 0.003, SUBMIT_TO_ACK: 0.05, DECISION_TO_ACK: 0.053}


def test_callbacks_out_of_order_twice_or_unknown_disturb_nothing(latency, tick):
    latency.decided("a")
    tick.ns += MS
    latency.acknowledged("a")
    latency.submitted("a")
    latency.acknowledged("a")
    latency.acknowledged("never seen")
    latency.decided("b")
    latency.submitted("b")
    latency.submitted("b")
    latency.forget("b")
    latency.forget("b")
    latency.acknowledged("b")
    assert counts(latency) == {EVENT_TO_DECISION: 0, DECISION_TO_SUBMIT: 1, SUBMIT_TO_ACK: 0, DECISION_TO_ACK: 1}
    assert (latency.pending, latency.lost) == (0, 0)


def test_orders_that_nobody_answers_do_not_pile_up(latency):
    for i in range(10):
        latency.decided(str(i))
    latency.decided("9")
    assert (latency.pending, latency.lost) == (3, 7)
    latency.acknowledged("0")
    assert counts(latency)[DECISION_TO_ACK] == 0
    latency.acknowledged("9")
    assert counts(latency)[DECISION_TO_ACK] == 1


def test_stages_are_in_the_text_before_the_first_order(latency, metrics):
    text = metrics.render().decode()
    assert all(f'{ORDER_LATENCY.name}_count{{stage="{stage}"}} 0.0\n' in text for stage in STAGES)


def test_wrong_arguments_are_refused(metrics):
    with pytest.raises(ConfigurationError, match="'max_pending' must be at least 1, was 0"):
        OrderLatency(metrics, max_pending=0)
    for accuracy in (0, 1, math.nan):
        with pytest.raises(ConfigurationError, match=r"'accuracy' must be in \(0, 1\)"):
            QuantileSummary(accuracy)
    with pytest.raises(ConfigurationError, match="'low, high' must be positive, finite and rise"):
        QuantileSummary(low=1.0, high=1.0)
    with pytest.raises(ConfigurationError, match=r"'q' must be in \[0, 1\], was 1.5"):
        QuantileSummary().quantile(1.5)
    with pytest.raises(ConfigurationError, match="'summary' must have the same accuracy and range"):
        QuantileSummary().merge(QuantileSummary(0.02))


def exact(values, q):
    return sorted(values)[math.floor(q * (len(values) - 1))]


@settings(max_examples=200)
@given(st.lists(LATENCIES, min_size=1, max_size=200), QS, st.sampled_from([0.001, 0.01, 0.1]))
def test_a_quantile_is_within_its_bound(values, q, accuracy):
    summary = QuantileSummary(accuracy)
    for value in values:
        summary.add(value)
    true = exact(values, q)
    assert abs(summary.quantile(q) - true) <= accuracy * true * (1 + 1e-9)
    assert summary.summary().max == max(values)
    assert summary.summary().mean == pytest.approx(math.fsum(values) / len(values))


@settings(max_examples=100)
@given(st.lists(LATENCIES), st.lists(LATENCIES, min_size=1), QS)
def test_two_merged_are_one_that_saw_both(first, second, q):
    left, right, both = QuantileSummary(), QuantileSummary(), QuantileSummary()
    for summary, values in ((left, first), (right, second), (both, first + second)):
        for value in values:
            summary.add(value)
    left.merge(right)
    assert left.quantile(q) == both.quantile(q)
    assert (left.count, left.min, left.max) == (both.count, both.min, both.max)


@given(st.lists(st.floats(0, 1e-7) | st.floats(1e5, 1e9) | LATENCIES, min_size=1), QS)
def test_beyond_the_range_a_quantile_is_an_end(values, q):
    summary = QuantileSummary()
    for value in values:
        summary.add(value)
    true, found = exact(values, q), summary.quantile(q)
    if true < 1e-6:
        assert found == min(values)
    elif true > 1e4:
        assert found == max(values)
    else:
        assert found == pytest.approx(true, rel=0.01 + 1e-9)


def test_memory_does_not_grow():
    summary = QuantileSummary()
    before = summary.memory_bytes
    for i in range(100_000):
        summary.add(1e-6 * (i + 1))
    assert summary.memory_bytes == before < 10_000
    assert summary.quantile(0.5) == pytest.approx(0.05, rel=0.011)


def test_what_is_not_available_is_left_out():
    summary = QuantileSummary()
    assert math.isnan(summary.quantile(0.5))
    assert summary.summary().count == 0
    summary.add(math.nan)
    assert summary.count == 0
    summary.add(0.25)
    assert summary.summary().to_dict() == {"count": 1, "mean": 0.25, "p50": 0.25, "p95": 0.25, "p99": 0.25, "max": 0.25}
