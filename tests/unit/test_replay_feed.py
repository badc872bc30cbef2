"""The replay feed: the backtest's events in the backtest's order, at any speed, late but never early."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, DataError, DataNotFound, UnknownName
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_SECOND, BarSize
from fairlead.data.live import (
    EventQueue,
    FeedNotice,
    FeedThread,
    NoticeKind,
    Received,
    RecordedSession,
    ReplayDataSettings,
    ReplayFeed,
    SessionRecorder,
    open_replay,
    session_events,
)
from fairlead.data.memory import MemorySource
from fairlead.data.synthetic import SyntheticSettings, generate_bars
from fairlead.data.ticks import TickSource
from support_feeds import XNYS, everything, market, minute_bar, morning, notices, quote, run, trade
from support_ticks import write_ticks

MARKET = SyntheticSettings(
    symbols=("A", "B", "C"), bar_size=BarSize.M30, start=dt.date(2024, 1, 2), end=dt.date(2024, 1, 4), seed=5001
)
SOURCE = MemorySource(generate_bars(MARKET, XNYS), bar_size=BarSize.M30)


class PacedTime:
    """Seconds that pass only while someone sleeps."""

    def __init__(self):
        self.now = 0.0
        self.waits = []

    def elapsed(self):
        return self.now

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


def of_blocks(source):
    """What the blocks of a backtest hold, cell by cell."""
    return [
        bar
        for block in source.blocks(carry=3)
        for row in range(block.start, len(block))
        for column in range(len(block.symbols))
        if (bar := block.bar(row, column)) is not None
    ]


@pytest.mark.parametrize("jitter_s", [0.0, 5.0, 3600.0])
def test_a_dataset_is_replayed_as_a_backtest_meets_it(jitter_s):
    received = run(everything(ReplayFeed.of_source(SOURCE, jitter_s=jitter_s), SOURCE.symbols))
    assert market(received) == of_blocks(SOURCE)
    assert len(market(received)) == 3 * 3 * 13


def test_holes_and_choice_of_symbols():
    table = generate_bars(MARKET, XNYS)
    holes = MemorySource(table.take([i for i in range(table.num_rows) if i % 4]), bar_size=BarSize.M30)
    received = run(everything(ReplayFeed.of_source(holes), ["A", "C"]))
    assert market(received) == [bar for bar in of_blocks(holes) if bar.symbol != "B"]


@given(jitter_s=st.floats(0, 7200), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_jitter_is_late_by_no_more_than_it_says_and_before_the_next_instant(jitter_s, seed):
    received = run(everything(ReplayFeed.of_source(SOURCE, jitter_s=jitter_s, seed=seed), SOURCE.symbols))[1:-1]
    instants = sorted({r.event.known_ns for r in received})
    following = dict(zip(instants, [*instants[1:], 2**63], strict=True))
    for one in received:
        assert 0 <= one.received_ns - one.event.known_ns <= jitter_s * NS_PER_SECOND
        assert one.received_ns < following[one.event.known_ns]
    assert [r.received_ns for r in received] == sorted(r.received_ns for r in received)
    again = run(everything(ReplayFeed.of_source(SOURCE, jitter_s=jitter_s, seed=seed), SOURCE.symbols))
    assert again[1:-1] == received


def test_ticks_come_before_the_bar_that_closes_with_them(tmp_path):
    ticks = [quote(-5), quote(1), trade(30, price=10.5), quote(60, bid=11.0), trade(200)]
    path = write_ticks(tmp_path / "ticks.parquet", ticks)
    bars = [minute_bar(0), minute_bar(1)]
    with SessionRecorder(tmp_path / "s", bar_size=BarSize.M1, calendar="XNYS") as recorder:
        for received in _received(bars):
            recorder.append(received)
    source = RecordedSession(tmp_path / "s").source()
    events = list(session_events(source, TickSource(path, ["A"], trades=True)))
    assert events == [*ticks[1:4], *bars]  # nothing from before the first bar's opening or after the last's close
    assert events.index(bars[0]) == 3
    assert not isinstance(events[2], Bar)


def _received(events):
    async def all_of():
        return await everything(
            ReplayFeed(lambda: events, sorted({e.symbol for e in events})), sorted({e.symbol for e in events})
        )

    return run(all_of())


def test_speed_is_a_multiple_of_real_time_and_nights_are_skipped():
    time = PacedTime()
    feed = ReplayFeed(
        lambda: of_blocks(SOURCE), SOURCE.symbols, speed=60.0, calendar=XNYS, sleep=time.sleep, elapsed=time.elapsed
    )
    assert market(run(everything(feed, SOURCE.symbols))) == of_blocks(SOURCE)
    # Three sessions of thirteen half hours; the first instant of each comes at once.
    assert time.waits == pytest.approx([30.0] * 36)
    sat_out = PacedTime()
    feed = ReplayFeed(lambda: of_blocks(SOURCE), SOURCE.symbols, speed=60.0, sleep=sat_out.sleep, elapsed=sat_out.elapsed)
    run(everything(feed, SOURCE.symbols))
    assert sat_out.now == pytest.approx((of_blocks(SOURCE)[-1].known_ns - of_blocks(SOURCE)[0].known_ns) / 60 / NS_PER_SECOND)


def test_waits_do_not_add_up():
    """A consumer that takes its time finds the next events due at once."""
    time = PacedTime()
    bars = [minute_bar(i) for i in range(10)]

    async def body():
        feed = ReplayFeed(lambda: bars, ["A"], speed=1.0, sleep=time.sleep, elapsed=time.elapsed)
        await feed.connect()
        await feed.subscribe(["A"])
        async for received in feed:
            if received.event == bars[2]:
                time.now += 150.0

    run(body())
    assert time.now == pytest.approx(9 * 60)
    assert time.waits == pytest.approx([60, 60, 30, 60, 60, 60, 60])


def test_the_same_replay_gives_the_same_stamps():
    first, second = (run(everything(ReplayFeed.of_source(SOURCE, jitter_s=9.0), SOURCE.symbols)) for _ in range(2))
    assert first == second
    assert notices(first) == [NoticeKind.CONNECTED, NoticeKind.ENDED]


def test_settings_open_a_dataset_or_a_recording(tmp_path):
    events = morning(3)
    with SessionRecorder(tmp_path / "kept", bar_size=BarSize.M1, calendar="XNYS") as recorder:
        for received in _received(events):
            recorder.append(received)
    given = ReplayDataSettings(type="replay", recording=str(tmp_path / "kept"), symbols=("B",), jitter_s=1.0)
    feed = open_replay(given, start=None, end=None, workspace=tmp_path)
    assert market(run(everything(feed, ["B"]))) == [event for event in events if event.symbol == "B"]
    with pytest.raises(UnknownName, match="no symbol"):
        open_replay(given.model_copy(update={"symbols": ("X",)}), start=None, end=None, workspace=tmp_path)
    bundled = ReplayDataSettings(type="replay", source="bundled")
    feed = open_replay(bundled, start=dt.date(2012, 1, 3), end=dt.date(2012, 1, 5), workspace=tmp_path)
    bars = market(run(everything(feed, ["IBM"])))
    assert [bar.label.date().isoformat() for bar in bars] == ["2012-01-03", "2012-01-04", "2012-01-05"]
    missing = ReplayDataSettings(type="replay", recording=str(tmp_path / "none"))
    with pytest.raises(DataNotFound, match=r"holds no recorded session: session\.json is missing"):
        open_replay(missing, start=None, end=None, workspace=tmp_path)


def test_what_befell_a_recorded_feed_befalls_its_replay(tmp_path):
    """A session in which the line was lost is replayed with the loss in its place."""
    bars = [minute_bar(i) for i in range(3)]
    lost = FeedNotice(NoticeKind.DISCONNECTED, bars[0].known_ns + 5, "the line")
    back = FeedNotice(NoticeKind.CONNECTED, bars[0].known_ns + 9, "the line")
    stale = FeedNotice(NoticeKind.STALE, bars[1].known_ns, "no data")
    taken = _received(bars)
    taken[2:2] = [Received(notice, notice.known_ns) for notice in (lost, back, stale)]
    with SessionRecorder(tmp_path, bar_size=BarSize.M1, calendar="XNYS") as recorder:
        for received in taken:
            recorder.append(received)
    session = RecordedSession(tmp_path)
    states = []

    async def body():
        feed = ReplayFeed(session.course, session.symbols)
        await feed.connect()
        await feed.subscribe(["A"])
        states.extend([(r.event, feed.state.connected, feed.state.stale) async for r in feed])

    run(body())
    first, *course, last = states
    assert (first[0].kind, last[0].kind) == (NoticeKind.CONNECTED, NoticeKind.ENDED)
    assert course == [
        (bars[0], True, False),
        (lost, False, False),
        (back, True, False),
        (stale, True, True),
        (bars[1], True, True),
        (bars[2], True, True),
    ]
    assert not last[1]


def test_a_thread_fills_a_queue_that_the_loop_drains():
    bars = [minute_bar(i) for i in range(500)]
    queue = EventQueue(4)
    thread = FeedThread([(ReplayFeed(lambda: bars, ["A"]), ["A"])], queue)
    thread.start()
    taken = []
    while (received := queue.take()) is not None:
        taken.append(received)
    thread.stop()
    assert market(taken) == bars
    assert thread.error is None
    assert queue.counts.most_waiting <= 4


def test_a_thread_can_be_stopped_while_its_queue_is_full():
    bars = [minute_bar(i) for i in range(50)]
    queue = EventQueue(2)
    thread = FeedThread([(ReplayFeed(lambda: bars, ["A"]), ["A"])], queue)
    thread.start()
    assert queue.take().event.kind is NoticeKind.CONNECTED
    thread.stop()
    assert thread.error is None
    assert queue.is_closed
    thread.stop()
    never = FeedThread([], EventQueue())
    never.stop()


def test_a_feed_that_fails_ends_the_others_and_is_told():
    class Broken(ReplayFeed):
        async def connect(self):
            raise OSError("the cable is cut")

    async def never(seconds):
        await asyncio.Event().wait()

    endless = ReplayFeed(lambda: [minute_bar(0), minute_bar(1)], ["A"], speed=1.0, sleep=never)
    for feed, kind in ((Broken(list, []), OSError), (ReplayFeed(list, []), UnknownName)):
        queue = EventQueue()
        thread = FeedThread([(endless, ["A"]), (feed, ["A"])], queue)
        thread.start()
        while queue.take() is not None:
            pass
        thread.stop()
        assert isinstance(thread.error, kind)


def test_wrong_use_is_refused():
    with pytest.raises(ConfigurationError, match="'jitter_s' must be 0 or more seconds, was -1"):
        ReplayFeed(list, [], jitter_s=-1)
    with pytest.raises(ConfigurationError, match="'speed' must be 0"):
        ReplayFeed(list, [], speed=-2.0)
    with pytest.raises(DataError, match="not connected"):
        run(ReplayFeed(list, ["A"]).subscribe(["A"]))
