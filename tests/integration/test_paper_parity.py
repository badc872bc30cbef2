"""A strategy decides on paper what it decides in a backtest of the same bars: the same orders, updates and fills, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.sdk.registry import known_strategies
from support_cli import fairlead
from support_paper import CONFIGS, backtest, facts_of, jittered, paper_session, run_paper, same

DAILY = ("buy_and_hold", "fixed_weights", "mean_reversion", "momentum", "rsi", "sma_crossover")
SHORT = ("clock.start_date=2004-05-03", "clock.end_date=2005-04-29")
"""A split of AAPL, and dividends of the others."""

SEVERAL = """\
mode: backtest
name: Several
clock: {type: historical, start_date: 2004-05-03, end_date: 2005-04-29}
data: {type: historical, source: bundled, symbols: [AAPL, GOOG, IBM, MSFT]}
execution: {type: simulated}
strategies:
"""
ENTRY = "  - {{name: {name}, capital: 100_000, strategy: {strategy}}}\n"
RAISER = '''\
"""Raises whenever it is called."""

from fairlead.sdk import Strategy


class Raiser(Strategy):
    """Is wrong about everything."""

    def on_market_event(self, event, context):
        raise ValueError("on purpose")
'''


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A workspace with a few days of five-minute bars of two symbols."""
    folder = tmp_path_factory.mktemp("toy")
    size = ("--bar-size", "5min", "--start", "2024-01-02", "--end", "2024-01-08")
    made = fairlead("data", "synth", "toy", "--symbols", "AAA,BBB", *size, cwd=folder, FAIRLEAD_HOME=str(folder))
    assert made.code == 0, made.err
    return folder


def several(folder: Path, *names: str) -> Path:
    (folder / "raiser.py").write_text(RAISER)
    config = folder / "several.yaml"
    lines = [ENTRY.format(name=name, strategy=folder / "raiser.py" if name == "raiser" else name) for name in names]
    config.write_text(SEVERAL + "".join(lines))
    return config


def test_every_shipped_strategy_is_here():
    assert {*DAILY, "insidebar"} == set(known_strategies())
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(known_strategies())


@pytest.mark.parametrize("name", DAILY)
def test_a_daily_strategy(tmp_path, name):
    config = CONFIGS / f"{name}.yaml"
    expected = backtest(config, tmp_path, *SHORT)
    found = run_paper(paper_session(config, tmp_path, *SHORT))
    assert expected.record.fills
    assert expected.record.market_actions
    same(found, expected)
    assert (found.info.mode, expected.info.mode) == ("paper", "backtest")


def test_an_intraday_strategy(toy):
    config = CONFIGS / "insidebar.yaml"
    expected = backtest(config, toy)
    assert len(expected.record.fills) > 10
    same(run_paper(paper_session(config, toy)), expected)


def test_late_delivery_changes_nothing(toy):
    config, waits = CONFIGS / "insidebar.yaml", []
    session = jittered(paper_session(config, toy), speed=60.0, jitter_s=240.0, waits=waits)
    same(run_paper(session, "paper_late"), backtest(config, toy))
    assert len(waits) > 100
    assert len({round(wait, 3) for wait in waits}) > 100


def test_late_delivery_as_a_file_asks_for_it(toy):
    config = CONFIGS / "insidebar.yaml"
    found = run_paper(paper_session(config, toy, "data.jitter_s=60", "clock.speed=1000000x"), "paper_jittered")
    same(found, backtest(config, toy))


def test_several_at_once_and_one_that_raises_on_every_event(tmp_path):
    names = ("sma_crossover", "rsi", "mean_reversion")
    config = several(tmp_path, *names)
    alone = backtest(config, tmp_path)
    assert {fill.strategy for fill in alone.record.fills} == set(names)
    same(run_paper(paper_session(config, tmp_path)), alone)

    config = several(tmp_path, "raiser", *names)
    found = run_paper(paper_session(config, tmp_path), "paper_raising")
    assert found.status == "stopped"
    assert [outcome.status for outcome in found.record.strategies] == ["stopped", *["completed"] * 3]
    assert "on purpose" in found.record.strategies[0].error
    # The one that raises wants nothing, so the whole is what it is without it.
    assert found.record.digest == alone.record.digest
    for name in names:
        assert facts_of(found, name) == facts_of(alone, name)
