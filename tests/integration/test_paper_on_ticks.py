"""Paper sessions on a market server that goes wrong: on its bars, on bars made of its ticks, and on what was missed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from fairlead.config.papering import wire_paper
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import BarSize
from fairlead.data.live import AggregationSettings, BarBuilder, FaultSettings, RecordedSession
from fairlead.data.live.serving import synthetic_session
from fairlead.data.synthetic import QuoteSettings, SyntheticSettings
from support_feeds import XNYS
from support_paper import CONFIGS, NOW, loaded, now_ns, run_paper, same
from support_recordings import ID, RISK, backtest_of, notes_of, replay_of_it
from support_served import served

MARKET = SyntheticSettings(
    symbols=("ACME", "TGT"),
    bar_size=BarSize.M1,
    start=dt.date(2024, 7, 2),
    end=dt.date(2024, 7, 3),  # closes early
    seed=5001,
    quotes=QuoteSettings(per_minute=4),
)
FAULTS = FaultSettings(gap_rate=0.02, duplicate_rate=0.02, reorder_rate=0.02, malformed_rate=0.01, drop_every=700, seed=3)
SYMBOLS = ("ACME", "TGT")
RSI = CONFIGS / "rsi.yaml"


@pytest.fixture(scope="module")
def market() -> list[Bar | Quote | Trade]:
    """Two days, the second a short one: quotes, a trade at the middle of every other, and bars."""
    events = []
    for event in synthetic_session(MARKET, quotes=True):
        events.append(event)
        if isinstance(event, Quote) and event.known_ns % 2_000 == 0:
            events.append(Trade(event.symbol, event.known_ns, round(event.mid, 2), event.bid_size))
    return events


def live(folder: Path, url: str, aggregate: str = "", *, goes_on: bool = False, **given):
    """Run a live session and return its result and its recording."""
    made = f", aggregate: {{{aggregate}}}" if aggregate else ""
    feed = f"type: live, feed: websocket, url: '{url}', reconnect: {{base_s: 0.001, cap_s: 0.001}}"
    data = f"data={{{feed}, symbols: [{', '.join(SYMBOLS)}], bar_size: 1min{made}}}"
    session = wire_paper(loaded(RSI, "mode=paper", "clock={type: realtime}", data, RISK), {}, now_ns, folder)
    run_id = given.pop("run_id", ID)
    before = session.interrupted() if goes_on else None
    result = session.run(run_id, now=NOW, now_ns=now_ns, before=before, **given)
    return result, RecordedSession(session.folder(run_id) / "recording")


def made_of(market, **aggregate):
    """The bars that are made of a whole market at once."""
    builder = BarBuilder(BarSize.M1, XNYS, AggregationSettings(**aggregate))
    bars = [bar for event in market for bar in builder.add(event)]
    return bars + builder.advance(2**62)


def bars_of(session: RecordedSession) -> list[Bar]:
    return [
        bar
        for block in session.source().blocks(carry=0)
        for row in range(block.start, len(block))
        for column in range(len(block.symbols))
        if (bar := block.bar(row, column)) is not None
    ]


def test_after_gaps_and_lost_lines_every_bar_comes_once_and_in_order(tmp_path, market):
    with served(market, faults=FAULTS) as server:
        result, session = live(tmp_path, server.url)
    bars = [event for event in market if isinstance(event, Bar)]
    assert bars_of(session) == bars
    assert [event for event in session.events() if isinstance(event, Bar)] == bars
    assert result.record.bars == len(bars) == 2 * (390 + 210)
    told = notes_of(tmp_path, ID)
    assert told.count(server.url) > 1  # lost, and found again; how often depends on how quickly it reads
    assert not [text for text in told if "used" in text or "lost" in text]
    assert result.record.fills
    expected = backtest_of(RSI, tmp_path, session.folder, RISK)
    same(result, expected)
    same(replay_of_it(RSI, tmp_path, session.folder, RISK, jitter_s=30.0), expected)


@pytest.mark.parametrize("aggregate", [{"source": "trades"}, {"source": "quotes", "volume": "displayed"}], ids=str)
def test_bars_of_ticks(tmp_path, market, aggregate):
    with served(market, faults=FAULTS) as server:
        result, session = live(tmp_path, server.url, ", ".join(f"{key}: {value}" for key, value in aggregate.items()))
    kind = Trade if aggregate["source"] == "trades" else Quote
    ticks = [event for event in market if isinstance(event, kind)]
    assert [event for event in session.events() if isinstance(event, kind)] == ticks
    bars = bars_of(session)
    assert sorted(bars) == sorted(made_of(market, **aggregate))
    assert len(bars) > 1000
    assert max(bar.known_ns for bar in bars) == market[-1].known_ns
    assert result.record.fills
    expected = backtest_of(RSI, tmp_path, session.folder, RISK)
    same(result, expected)
    same(replay_of_it(RSI, tmp_path, session.folder, RISK), expected)
    waits = []
    same(replay_of_it(RSI, tmp_path, session.folder, RISK, jitter_s=30.0, waits=waits), expected)
    assert len({round(wait, 3) for wait in waits}) > 100


def test_longer_bars_of_shorter_ones(tmp_path, market):
    data = "symbols: [ACME, TGT], bar_size: 30min, aggregate: {source: bars}"
    with served(market, faults=FAULTS) as server:
        given = f"data={{type: live, feed: websocket, url: '{server.url}', {data}, reconnect: {{base_s: 0.001, cap_s: 0.001}}}}"
        session = wire_paper(loaded(RSI, "mode=paper", "clock={type: realtime}", given, RISK), {}, now_ns, tmp_path)
        result = run_paper(session, ID)
    recording = session.folder(ID) / "recording"
    assert result.record.bars == 2 * (13 + 7)
    same(result, backtest_of(RSI, tmp_path, recording, RISK))


class Crash(BaseException):
    """Ends a session as nothing does that it could catch."""


def test_one_that_goes_on_after_a_crash_has_every_bar_once(tmp_path, market):
    """Nobody listened between its two lives, and what was told then is asked for."""
    decided, run_id = [], "paper_sim_2024-06-03_rsi"

    def crash() -> str:
        if len(decided) >= 5:
            raise Crash
        return ""

    with served(market, is_told=True) as server:
        server.let(200)
        with pytest.raises(Crash):
            live(tmp_path, server.url, run_id=run_id, progress=decided.append, stop_asked=crash)
    with served(market, port=int(server.url.rpartition(":")[2])) as server:  # it has begun anew too
        result, recorded = live(tmp_path, server.url, run_id=run_id, goes_on=True)
    bars = [event for event in market if isinstance(event, Bar)]
    assert 5 <= len(decided) < result.record.bars / 2
    assert result.record.bars == len(bars)
    assert bars_of(recorded) == bars
    same(result, backtest_of(RSI, tmp_path, recorded.folder, RISK))
    assert not [text for text in notes_of(tmp_path, run_id) if "used" in text or "lost" in text]
