"""Which clock, data and execution fit a paper session."""

from __future__ import annotations

import pytest

from fairlead.config.settings import SessionSettings
from fairlead.core.time import BarSize
from fairlead.data.live import AggregationSettings, LiveDataSettings, ReplayDataSettings

STRATEGIES = [{"name": "rsi", "capital": 1000}]
LIVE = {"type": "live", "feed": "websocket", "url": "ws://127.0.0.1:8765", "symbols": ["IBM"]}


def session(**changes):
    return SessionSettings.model_validate({"mode": "paper", "strategies": STRATEGIES, **changes})


def test_a_backtest_becomes_a_paper_session_over_its_bars():
    found = session(data={"type": "replay", "source": "bundled"}, clock={"speed": "max"})
    assert isinstance(found.data, ReplayDataSettings)
    assert (found.clock.type, found.clock.speed, found.execution.type) == ("historical", 0.0, "simulated")
    recorded = session(data={"type": "replay", "recording": "kept", "jitter_s": 2}, clock={"speed": "60x"})
    assert recorded.data.recording == "kept"


def test_a_paper_session_over_a_live_feed():
    data = {**LIVE, "bar_size": "5min", "aggregate": {"source": "quotes", "late": "amend"}}
    found = session(data=data, clock={"type": "realtime"})
    assert isinstance(found.data, LiveDataSettings)
    assert found.data.bar_size is BarSize.M5
    assert found.data.aggregate == AggregationSettings(source="quotes", late="amend")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"data": LIVE}, "'clock.type' must be 'realtime' with data.type live, was 'historical'"),
        (
            {"data": {"type": "replay"}, "clock": {"type": "realtime"}},
            "'clock.type' must be 'historical' with data.type replay, was 'realtime'",
        ),
        ({"data": {"type": "historical"}}, "'data.type' must be one of 'live', 'replay' in mode paper, was 'historical'"),
        ({"data": {**LIVE, "url": None}, "clock": {"type": "realtime"}}, "'url' must be given for feed: websocket"),
        ({"data": LIVE, "mode": "backtest"}, "'data.type' must be 'historical' in mode backtest, was 'live'"),
        ({"data": {**LIVE, "jitter_s": 1}, "clock": {"type": "realtime"}}, "jitter_s"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        session(**changes)
