"""A recorded session is data: a backtest of it, a replay of it, and the session itself decide the same, order by order."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from fairlead.core.events import Bar
from fairlead.core.time import BarSize
from fairlead.data.bundled import ensure_bundled
from fairlead.data.live import RecordedSession, session_events
from fairlead.data.memory import MemorySource
from fairlead.data.opening import store_of
from fairlead.data.synthetic import SyntheticSettings, generate_bars
from fairlead.sdk.registry import known_strategies
from support_feeds import XNYS
from support_paper import CONFIGS, same
from support_recordings import ID, RISK, backtest_of, notes_of, recorded, replay_of_it, untidy

DAILY = ("buy_and_hold", "fixed_weights", "mean_reversion", "momentum", "rsi", "sma_crossover")
OWN = {"buy_and_hold": ("strategies.buy_and_hold.params.weight=0.9",)}
"""All of its equity is more than the check of its buying power lets through, costs included."""
MINUTES = SyntheticSettings(
    symbols=("AAA", "BBB"), bar_size=BarSize.M5, start=dt.date(2024, 1, 2), end=dt.date(2024, 1, 19), seed=42
)


def daily_market(folder: Path):
    source = ensure_bundled(store_of(folder)).select(("AAPL", "IBM"), dt.date(2004, 5, 3), dt.date(2005, 9, 30))
    return list(session_events(source))


def in_all_ways(config, folder, script, *overrides, **options):
    """The session itself, and what a backtest and two replays make of its recording: four results of one thing."""
    live, recording = recorded(config, folder, script, *overrides, **options)
    expected = backtest_of(config, folder, recording, *overrides)
    same(live, expected)
    same(replay_of_it(config, folder, recording, *overrides), expected)
    waits = []
    same(replay_of_it(config, folder, recording, *overrides, jitter_s=240.0, waits=waits), expected)
    return expected, recording, waits


def test_every_shipped_strategy_is_here():
    assert {*DAILY, "insidebar"} == set(known_strategies())


@pytest.mark.parametrize("name", DAILY)
def test_a_daily_strategy(tmp_path, name):
    script = untidy(daily_market(tmp_path), seed=3, rare="IBM")
    given = (RISK, *OWN.get(name, ()))
    result, _, _ = in_all_ways(CONFIGS / f"{name}.yaml", tmp_path, script, *given, bar_size="1d", symbols=("AAPL", "IBM"))
    assert result.record.fills
    late = [text for text in notes_of(tmp_path, ID) if "it is not used" in text]
    assert len(late) > 10
    assert [text for text in notes_of(tmp_path, "paper_again") if "it is not used" in text] == late


def test_an_intraday_strategy(tmp_path):
    market = list(session_events(MemorySource(generate_bars(MINUTES, XNYS), bar_size=BarSize.M5)))
    script = untidy(market, seed=4, rare="BBB")
    result, recording, waits = in_all_ways(
        CONFIGS / "insidebar.yaml", tmp_path, script, RISK, bar_size="5min", symbols=("AAA", "BBB")
    )
    assert len(result.record.fills) > 10
    assert len({round(wait, 3) for wait in waits}) > 100
    bars = [event for event, _ in script if isinstance(event, Bar)]
    assert [event for event in RecordedSession(recording).events() if isinstance(event, Bar)] == bars
