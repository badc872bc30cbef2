"""Cancels and replacements travel for themselves; what has no spread draws nothing."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fairlead.core.identity import random_stream
from fairlead.execution.latency import Latency, LatencyKind, LatencySettings

SUBMIT, CANCEL, REPLACE = LatencyKind


def a_latency(opened=None, **settings):
    def stream(name):
        if opened is not None:
            opened.append(name)
        return random_stream(42, name)

    return Latency(LatencySettings(**settings), stream)


def drawn(latency, kind, strategy="alpha", n=3_000):
    return np.array([latency.draw_ns(strategy, kind) for _ in range(n)]) / 1e6


def test_cancel_and_replace_are_as_fast_as_an_order_unless_told():
    latency = a_latency(mean_ms=100, std_ms=10)
    for kind in LatencyKind:
        assert drawn(latency, kind).mean() == pytest.approx(100, abs=1)


def test_each_kind_has_its_own_delay():
    latency = a_latency(mean_ms=100, std_ms=10, cancel={"mean_ms": 30, "std_ms": 2}, replace={"mean_ms": 7, "std_ms": 0})
    assert drawn(latency, SUBMIT).mean() == pytest.approx(100, abs=1)
    assert drawn(latency, CANCEL).mean() == pytest.approx(30, abs=0.3)
    assert drawn(latency, CANCEL).std() == pytest.approx(2, abs=0.2)
    assert set(drawn(latency, REPLACE)) == {7.0}


def test_cancels_do_not_change_the_delays_of_orders():
    """Nor do those of one strategy change another's."""
    alone = [drawn(a_latency(), SUBMIT), drawn(a_latency(), CANCEL), drawn(a_latency(), CANCEL, "beta")]
    latency = a_latency()
    together = [[], [], []]
    for i in range(3_000):
        together[0].append(latency.draw_ns("alpha") / 1e6)
        together[1].append(latency.draw_ns("alpha", CANCEL) / 1e6)
        for _ in range(i % 2):
            latency.draw_ns("alpha", REPLACE)
        together[2].append(latency.draw_ns("beta", CANCEL) / 1e6)
    np.testing.assert_array_equal(alone, together)
    assert not np.array_equal(alone[0], alone[1])


def test_the_streams_of_two_strategies_cannot_meet():
    opened = []
    latency = a_latency(opened)
    for strategy in ("a", "a.cancel", "a cancel"):
        for kind in LatencyKind:
            latency.draw_ns(strategy, kind)
    assert len(opened) == len(set(opened)) == 9
    assert {name for name in opened if "|" not in name} == {"a", "a.cancel", "a cancel"}


def test_without_a_spread_nothing_is_drawn():
    opened = []
    latency = a_latency(opened, mean_ms=12.5, std_ms=0)
    assert {latency.draw_ns("alpha", kind) for kind in LatencyKind for _ in range(2_000)} == {12_500_000}
    assert opened == []


def test_a_cancel_without_a_spread_beside_orders_with_one():
    opened = []
    latency = a_latency(opened, cancel={"mean_ms": 1, "std_ms": 0})
    latency.draw_ns("alpha", CANCEL)
    assert opened == []
    latency.draw_ns("alpha")
    latency.draw_ns("alpha", REPLACE)
    assert opened == ["alpha", "alpha|replace"]


@pytest.mark.parametrize("wrong", [{"cancel": {"mean_ms": -1}}, {"replace": {"mean": 1}}, {"submit": {"mean_ms": 1}}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LatencySettings(**wrong)
