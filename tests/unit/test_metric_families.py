"""The families are those of domain rule 16.1, their series few, and an update costs next to nothing."""

import math
import re
import subprocess
import sys
import threading

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from fairlead.core.errors import ConfigurationError
from fairlead.telemetry import families
from fairlead.telemetry.families import (
    FAMILIES,
    FILLS,
    MAX_SERIES,
    ORDER_LATENCY,
    ORDERS_SENT,
    QUOTE_AGE,
    REJECTS,
    CounterFamily,
    GaugeFamily,
    HistogramFamily,
)
from fairlead.telemetry.metrics import OTHER, Metrics

# Copied from domain rule 16.1.
COUNTERS = """orders_sent_total{strategy,side}, fills_total, rejects_total{reason}, cancels_total, order_duplicates_total,
order_timeouts_total{stage}, guard_rejections_total{guard}, kill_switch_triggered_total{type}, dlq_messages_total{topic},
validation_errors_total{event_type}, pacing_violations_total, reconnects_total, reconciliation_mismatch_total{type},
decisions_total{decision}, cycles_total, errors_total{component}, trades_total, data_gaps_total"""
GAUGES = """strategy_pnl{strategy}, pnl_current, drawdown_current, psr_current, daily_pnl, portfolio_value, cash_balance,
positions_count, gross_exposure, net_exposure, regime{state}, kill_switch_state{type}, data_completeness{symbol},
quote_age_seconds{symbol}, pacing_tokens, order_intents_pending, bandit_weight{arm}, effective_blend,
feature_drift_psi{feature}, build_info"""
HISTOGRAMS = """order_latency_seconds{stage}, cycle_duration_seconds, stage_duration_seconds{stage}, data_fetch_latency_seconds,
event_processing_seconds, slippage_bps, fill_delay_seconds"""


@pytest.fixture
def metrics():
    return Metrics(CollectorRegistry())


def parsed(metrics):
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def value(metrics, name, **labels):
    (found,) = (
        sample.value
        for family in parsed(metrics).values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )
    return found


@pytest.mark.parametrize(("kind", "text"), [(CounterFamily, COUNTERS), (GaugeFamily, GAUGES), (HistogramFamily, HISTOGRAMS)])
def test_the_families_are_those_of_the_rule(kind, text):
    declared = {f.name: f.labels for f in FAMILIES if isinstance(f, kind)}
    assert declared.pop("build_info", None) in (None, ("version", "python"))
    wanted = {}
    for name, labels in re.findall(r"(\w+)(?:\{([\w,]+)\})?", text):
        wanted[name] = tuple(labels.split(",")) if labels else ()
    wanted.pop("build_info", None)
    assert declared == wanted


def test_no_family_is_without_a_sentence():
    assert all(family.help.endswith(".") and len(family.help) > 10 for family in FAMILIES)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES) == 45


def test_buckets_are_those_of_the_rule():
    assert ORDER_LATENCY.buckets == (0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 0.6, 1, 2, 5)
    assert families.CYCLE_DURATION.buckets == (0.1, 0.5, 1, 2, 5, 10)


def test_all_declared_at_the_start_show_zero_and_not_nothing(metrics):
    metrics.declare()
    found = parsed(metrics)
    assert {f.name.removesuffix("_total") for f in FAMILIES} == set(found)
    assert value(metrics, "fills_total") == 0.0
    assert not [s.name for f in found.values() for s in f.samples if s.name.endswith("_created")]
    metrics.declare()
    assert parsed(metrics).keys() == found.keys()


def test_each_kind_is_read_back_by_prometheus(metrics):
    metrics.counter(ORDERS_SENT).labels("sma", "BUY").inc()
    metrics.counter(ORDERS_SENT).labels(side="BUY", strategy="sma").inc(2)
    metrics.counter(FILLS).inc()
    metrics.gauge(QUOTE_AGE).labels('BRK.B"\n').set(1.5)
    for seconds in (0.01, 0.3, 7.0):
        metrics.histogram(ORDER_LATENCY).labels("submit_to_ack").observe(seconds)
    assert value(metrics, "orders_sent_total", strategy="sma", side="BUY") == 3.0
    assert value(metrics, "fills_total") == 1.0
    assert value(metrics, "quote_age_seconds", symbol='BRK.B"\n') == 1.5
    bucket = {"stage": "submit_to_ack"}
    assert value(metrics, "order_latency_seconds_bucket", **bucket, le="0.01") == 1.0
    assert value(metrics, "order_latency_seconds_bucket", **bucket, le="0.5") == 2.0
    assert value(metrics, "order_latency_seconds_bucket", **bucket, le="+Inf") == 3.0
    assert value(metrics, "order_latency_seconds_count", **bucket) == 3.0
    assert math.isclose(value(metrics, "order_latency_seconds_sum", **bucket), 7.31)


def test_labels_that_never_end_are_folded(metrics):
    """A broker's free text as a reason costs a thousand series and no more; nothing is left uncounted."""
    rejects = metrics.counter(REJECTS)
    for i in range(MAX_SERIES + 500):
        rejects.labels(f"order {i} refused").inc()
    (family,) = parsed(metrics).values()
    assert len(family.samples) == MAX_SERIES + 1
    assert sum(s.value for s in family.samples) == MAX_SERIES + 500
    assert value(metrics, "rejects_total", reason=OTHER) == 500.0


@pytest.mark.parametrize("label", ["order_id", "run_id", "trace_id", "ts", "message"])
def test_a_label_that_names_one_thing_is_refused(label):
    with pytest.raises(ConfigurationError, match=f"'label of my_total' must have few values, was '{label}'. Log it instead"):
        CounterFamily("my_total", "Mine.", (label,))


def test_wrong_families_are_refused(metrics):
    with pytest.raises(ConfigurationError, match="'name of a counter' must end in _total, was 'fills'"):
        CounterFamily("fills", "Mine.")
    for buckets in ((), (1.0, 1.0), (2.0, 1.0), (1.0, math.inf)):
        with pytest.raises(ConfigurationError, match="'buckets of mine' must be finite and rise"):
            HistogramFamily("mine", "Mine.", (), buckets)
    metrics.counter(FILLS)
    with pytest.raises(ConfigurationError, match="metric 'fills_total' cannot be registered: Duplicated timeseries"):
        metrics.counter(CounterFamily("fills_total", "Another meaning."))


def test_threads_lose_no_count(metrics):
    fills, sent = metrics.counter(FILLS), metrics.counter(ORDERS_SENT)

    def work():
        for i in range(2_000):
            fills.inc()
            sent.labels(f"s{i % 5}", "BUY").inc()

    threads = [threading.Thread(target=work) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert value(metrics, "fills_total") == 8_000.0
    assert sum(value(metrics, "orders_sent_total", strategy=f"s{i}", side="BUY") for i in range(5)) == 8_000.0


def test_a_backtest_loads_neither_logs_nor_prometheus():
    """The command line and a run start without what only a session needs."""
    code = (
        "import sys, fairlead, fairlead.cli.main, fairlead.engine.session; from fairlead.telemetry import StageTimers;"
        "sys.exit(' '.join({'structlog', 'prometheus_client', 'asyncio', 'http.server'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    import fairlead.telemetry as room

    assert sorted(room.__all__) == dir(room)
    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError, match=r"module 'fairlead.telemetry' has no attribute 'Nothing'"):
        _ = room.Nothing
