"""Whatever a feed brings, and however long the loop waits in between: what was kept of it gives the same instants once more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.events import Trade
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, BarSize
from fairlead.data.live import AggregationSettings, FeedNotice, NoticeKind, Received, RecordedSession, SessionRecorder
from fairlead.data.live.gathering import Gathering, GatheringRule
from support_feeds import OPEN_NS, minute_bar, quote

SYMBOLS = ("A", "B", "C")
SOURCES = (None, "trades", "quotes", "bars")
SECONDS = st.integers(0, 900)
WHO = st.sampled_from([*SYMBOLS, "Z"])

# What happens next: something comes, which took so long to come, or nothing comes for so long.
BAR = st.tuples(st.just("bar"), WHO, st.integers(0, 14))
TICK = st.tuples(st.sampled_from(["trade", "quote"]), WHO, SECONDS)
NOTICE = st.tuples(st.sampled_from([NoticeKind.DISCONNECTED, NoticeKind.CONNECTED, NoticeKind.STALE]), st.just(""), SECONDS)
SILENCE = st.tuples(st.just("silence"), st.just(""), st.integers(0, 200))
STEPS = st.lists(st.tuples(st.one_of(BAR, BAR, TICK, TICK, NOTICE, SILENCE), st.integers(-2, 4)), max_size=60)


def event_of(kind, symbol, at):
    if kind == "bar":
        return minute_bar(at, symbol, 10.0 + at)
    if kind == "trade":
        return Trade(symbol, OPEN_NS + at * NS_PER_SECOND, 10.0 + at / 100, float(at))
    if kind == "quote":
        return quote(at, symbol, 10.0 + at / 100)
    return FeedNotice(kind, OPEN_NS + at * NS_PER_SECOND, "the line")


def lived(steps, rule, tape):
    """Go through it as a session does, and keep on the tape what came and the marks of silences."""
    gathering, found = Gathering(rule), []
    for (kind, symbol, at), delay in steps:
        received = gathering.silence(at / 10) if kind == "silence" else None
        if kind != "silence":
            event = event_of(kind, symbol, at)
            received = Received(event, event.known_ns + delay * NS_PER_SECOND)
        if received is not None:
            tape.append(received)
            found += gathering.take(received)
    end = gathering.closed()
    if end is not None:
        tape.append(end)
        found += gathering.take(end)
    return found


@given(
    steps=STEPS,
    source=st.sampled_from(SOURCES),
    grace_s=st.sampled_from([0.0, 2.0, 60.0]),
    late_s=st.sampled_from([0.0, 3.0]),
    is_ordered=st.booleans(),
)
@settings(max_examples=300)
def test_what_was_kept_gives_the_same_once_more(tmp_path_factory, steps, source, grace_s, late_s, is_ordered):
    if is_ordered:
        steps = sorted(steps, key=lambda step: step[0][2] * (60 if step[0][0] == "bar" else 1))
    aggregate = None if source is None else AggregationSettings(source=source, grace_s=late_s)
    size = BarSize.M5 if source == "bars" else BarSize.M1
    given = {"bar_size": size, "calendar": "XNYS", "symbols": SYMBOLS, "grace_s": grace_s, "aggregate": aggregate}
    tape = []
    found = lived(steps, GatheringRule(**given), tape)
    again = Gathering(GatheringRule(**given))
    assert [one for received in tape for one in again.take(received)] == found

    instants = [one for one in found if isinstance(one, dict)]
    stamps = [{bar.known_ns for bar in instant.values()} for instant in instants]
    assert all(len(stamp) == 1 for stamp in stamps)
    flat = [stamp for (stamp,) in stamps]
    assert flat == sorted(set(flat)), "nothing happens twice, or in the past"
    assert all(SYMBOLS[column] == bar.symbol for instant in instants for column, bar in instant.items())

    folder = tmp_path_factory.mktemp("s")
    with SessionRecorder(folder, chunk=7, **given) as recorder:
        for received in tape:
            recorder.append(received)
    if instants:
        session = RecordedSession(folder)
        history = session.source()
        rows = [
            {c: bar for c in range(len(SYMBOLS)) if (bar := block.bar(row, c)) is not None}
            for block in history.blocks(carry=0)
            for row in range(block.start, len(block))
        ]
        assert rows == instants
        played = [event for event in session.played(history) if type(event).__name__ == "Bar"]
        assert played == [instant[column] for instant in instants for column in sorted(instant)]


@given(steps=STEPS, cut=st.integers(0, 60), source=st.sampled_from(["trades", None]))
@settings(max_examples=60)
def test_after_a_restart_nothing_of_the_past_is_used(tmp_path_factory, steps, cut, source):
    """A second process begins anew behind the last instant; the recording of both is read as each had gathered."""
    aggregate = None if source is None else AggregationSettings(source=source)
    given = {"bar_size": BarSize.M1, "calendar": "XNYS", "symbols": SYMBOLS, "grace_s": 2.0, "aggregate": aggregate}
    folder = tmp_path_factory.mktemp("s")
    found = []
    over_ns = 0
    for part in (steps[:cut], steps[cut:]):
        tape = []
        gathering = Gathering(GatheringRule(**given))
        gathering.over_ns = over_ns
        for (kind, symbol, at), delay in part:
            if kind == "silence":
                continue
            event = event_of(kind, symbol, at)
            received = Received(event, event.known_ns + delay * NS_PER_SECOND)
            tape.append(received)
            found += [one for one in gathering.take(received) if isinstance(one, dict)]
        over_ns = gathering.over_ns
        with SessionRecorder(folder, chunk=7, **given) as recorder:
            for received in tape:
                recorder.append(received)
    if found:
        assert [block.known_ns.tolist() for block in RecordedSession(folder).source().blocks(carry=0)] == [
            [next(iter(instant.values())).known_ns for instant in found]
        ]
        assert found[0][min(found[0])].known_ns >= OPEN_NS + NS_PER_MINUTE
