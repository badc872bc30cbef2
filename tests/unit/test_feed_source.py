"""A feed as a source: the blocks of a backtest of the same bars, each as soon as its instant is complete."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_SECOND, BarSize
from fairlead.data.live import AggregationSettings, EventQueue, FeedNotice, NoticeKind, Received, session_events
from fairlead.data.live import rows as feed_rows
from fairlead.data.live.source import FeedFacts, FeedSource
from support_feeds import minute_bar, quote, trade
from support_sessions import ArraySource, days, dividend, minutes, random_bars, split

FACTS = FeedFacts(name="toy", symbols=("A", "B"), bar_size=BarSize.M1, calendar="XNYS")
END = FeedNotice(NoticeKind.ENDED, 0, "over")
FIELDS = ("label_ns", "known_ns", "session", "open", "high", "low", "close", "volume", "mark")


def source_of(events, facts=FACTS, *, closes=True, **options):
    """A source over a queue that holds these events, and what it says; waits are over at once."""
    queue, said = EventQueue(conflate=False), []
    for event in events:
        queue.put(Received(event, event.known_ns))
    if closes:
        queue.close()
    return FeedSource(facts, queue, told=said.append, **{"poll_s": 0.0, "grace_s": 0.0, **options}), queue, said


def instants(source, carry=0):
    """Of every new row its minute and which symbols have a bar."""
    found = []
    for block in source.blocks(carry=carry):
        assert block.start == len(block) - 1
        row = block.close[block.start]
        found.append("".join(s for s, close in zip(block.symbols, row.tolist(), strict=True) if close == close))
    return found


def test_bars_of_one_stamp_are_one_instant():
    bars = [minute_bar(m, s, 10.0 + m) for m in range(3) for s in "BA"]
    source, _, said = source_of([*bars, END])
    assert instants(source) == ["AB", "AB", "AB"]
    assert source.late == 0
    assert [notice.kind for notice in said] == [NoticeKind.ENDED]


def test_an_instant_is_complete_when_a_later_bar_comes():
    source, queue, _ = source_of([minute_bar(0, "A"), minute_bar(1, "B"), minute_bar(1, "A")], closes=False, grace_s=math.inf)
    blocks = source.blocks(carry=1)
    first, second = next(blocks), next(blocks)
    assert np.isnan(first.close[0, 1])
    assert second.close.tolist()[1] == [10.125, 10.125]
    assert len(queue) == 0


def test_an_instant_is_complete_when_every_symbol_has_its_bar_and_nothing_is_waited_for():
    source, queue, _ = source_of([minute_bar(0, "A"), minute_bar(0, "B"), minute_bar(1, "A")], closes=False, grace_s=math.inf)
    next(source.blocks(carry=0))
    assert len(queue) == 1


def test_the_rest_of_an_instant_is_waited_for_so_long_and_is_late_then():
    waits = []
    source, queue, said = source_of(
        [minute_bar(0, "A")], closes=False, poll_s=1e-6, grace_s=3e-6, idle=lambda: waits.append(len(waits)) or False
    )
    blocks = source.blocks(carry=0)
    assert next(blocks).close[0, 0] == 10.125
    assert len(waits) in {4, 5}  # once for the bar, and once for each wait; sums of floats may need one more
    late = minute_bar(0, "B")
    queue.put(Received(late, late.known_ns + 7 * NS_PER_SECOND))
    queue.put(Received(minute_bar(1, "B"), late.known_ns))
    block = next(blocks)
    assert np.isnan(block.close[block.start, 0])
    assert source.late == 1
    assert [(n.kind, n.known_ns) for n in said] == [(NoticeKind.GAP, late.known_ns)]
    assert said[0].text == "B: a bar came 7.0 s after its end, when its instant was over; it is not used"


def test_quotes_that_never_pause_do_not_keep_an_instant_open():
    events = [minute_bar(0, "A"), *(quote(60 + second) for second in range(1, 6))]
    source, queue, _ = source_of(events, closes=False, grace_s=2.0)
    assert next(source.blocks(carry=0)).close[0, 0] == 10.125
    assert len(queue) == 3


def test_bars_of_the_past_are_late_each():
    past = [
        minute_bar(1, "A"),
        minute_bar(1, "B"),
        minute_bar(2, "A"),
        minute_bar(0, "B"),
        minute_bar(1, "A"),
        minute_bar(2, "B"),
    ]
    source, _, said = source_of([*past, END])
    assert instants(source) == ["AB", "AB"]
    assert source.late == 2
    assert len(said) == 3


def test_a_bar_that_comes_again_within_its_instant_takes_the_place_of_the_first():
    source, _, _ = source_of([minute_bar(0, "A"), minute_bar(0, "A", 20.0), minute_bar(0, "B")])
    assert next(source.blocks(carry=0)).open.tolist() == [[20.0, 10.0]]


@pytest.mark.parametrize("end", [[], [END]])
def test_what_there_is_of_the_last_instant_comes_at_the_end(end):
    source, _, _ = source_of([minute_bar(0, "A"), *end, minute_bar(5, "A")] if end else [minute_bar(0, "A")], grace_s=math.inf)
    assert instants(source) == ["A"]


def test_an_operator_ends_it():
    stops = []
    source, queue, _ = source_of([minute_bar(m, s) for m in range(3) for s in "AB"], idle=lambda: bool(stops))
    blocks = source.blocks(carry=0)
    next(blocks)
    next(blocks)
    stops.append("now")
    assert next(blocks, None) is None
    assert len(queue) == 2


def test_what_an_operator_cuts_short_is_no_instant():
    events = [minute_bar(0, "A"), minute_bar(0, "B"), minute_bar(1, "A")]
    source, queue, _ = source_of(events, closes=False, grace_s=math.inf, idle=lambda: not len(queue))
    assert instants(source) == ["AB"]


def test_everything_is_seen_before_it_is_used():
    seen = []
    source, _, _ = source_of([minute_bar(0, "A"), quote(61), END], seen=seen.append, grace_s=math.inf)
    for block in source.blocks(carry=0):
        assert len(seen) == 3
        assert len(block) == 1
    assert [type(one.event).__name__ for one in seen] == ["Bar", "Quote", "FeedNotice"]


def test_a_wait_that_ends_an_instant_stands_among_what_was_seen():
    seen = []
    source, _, said = source_of([minute_bar(0, "A")], closes=False, poll_s=1e-6, grace_s=3e-6, seen=seen.append)
    assert next(source.blocks(carry=0)).close[0, 0] == 10.125
    (bar, mark) = seen
    assert (bar.event, mark.event.kind, mark.event.known_ns) == (minute_bar(0), NoticeKind.QUIET, minute_bar(0).known_ns)
    assert 3_000 <= mark.received_ns - bar.received_ns <= 4_000
    assert said == []
    seen.clear()  # a feed that ends without a word is noted as well
    assert instants(source_of([minute_bar(0), minute_bar(1, "B")], grace_s=math.inf, seen=seen.append)[0]) == ["A", "B"]
    assert [one.event.kind for one in seen if isinstance(one.event, FeedNotice)] == [NoticeKind.QUIET]


def test_a_source_of_trades():
    facts = dataclasses.replace(FACTS, aggregate=AggregationSettings(source="trades"))
    events = [trade(0, "A"), trade(30, "B"), trade(65, "A"), trade(40, "B"), minute_bar(1, "A"), trade(125, "B"), END]
    source, _, said = source_of(events, facts, grace_s=2.0)
    assert instants(source) == ["AB", "A", "B"]
    assert said[0].text == "B: a trade came when its bar was over; it is not in it (1 so far)"
    assert (source.late, source.gathering.late_parts) == (0, 1)
    with pytest.raises(ConfigurationError, match="must be intraday to be made of ticks"):
        source_of([], dataclasses.replace(facts, bar_size=BarSize.D1))


def test_a_bar_of_trades_is_there_when_its_end_has_passed_in_silence():
    facts, seen = dataclasses.replace(FACTS, aggregate=AggregationSettings()), []
    events = [trade(1, "B"), trade(59.999999, "A")]
    source, queue, _ = source_of(events, facts, closes=False, poll_s=1e-6, grace_s=3e-6, seen=seen.append)
    block = next(source.blocks(carry=0))
    assert block.close.tolist() == [[10.0, 10.0]]
    assert not len(queue)
    assert [one.event.kind for one in seen[2:]] == [NoticeKind.QUIET]
    assert seen[2].event.known_ns == block.known_ns[0]
    assert 4_000 <= seen[2].received_ns - events[-1].known_ns <= 6_000


def test_a_symbol_that_was_not_asked_for_is_told_once_and_keeps_no_instant_open():
    events = [minute_bar(0, "C"), minute_bar(0, "A"), *(minute_bar(minute, "C") for minute in (1, 2)), minute_bar(1, "B"), END]
    source, _, said = source_of(events, grace_s=60.0)
    assert instants(source) == ["A", "B"]
    assert (said[0].kind, said[0].known_ns, source.late) == (NoticeKind.GAP, minute_bar(0).known_ns, 0)
    assert said[0].text == "C: a bar came, and it is not one of the session's 2 symbols; none is used"
    assert [notice.kind for notice in said[1:]] == [NoticeKind.ENDED]


def test_history_is_what_came_before():
    source, _, _ = source_of([])
    assert source.whole() is source
    before = minutes({"A": random_bars(np.random.default_rng(1), 3)})
    assert source_of([], history=before)[0].whole() is before


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 40),
    width=st.integers(1, 3),
    gaps=st.sampled_from([0.0, 0.3, 0.8]),
    carry=st.integers(0, 6),
    room=st.integers(1, 9),
    per_session=st.sampled_from([None, 3, 7]),
    acted=st.lists(st.tuples(st.integers(-1, 20), st.integers(0, 2), st.booleans()), max_size=4),
)
def test_its_blocks_are_those_of_a_backtest(seed, n, width, gaps, carry, room, per_session, acted):
    random, names = np.random.default_rng(seed), "ABC"[:width]
    bars = {name: random_bars(random, n, gaps=gaps) for name in names}
    lacking = {i for i in range(n) if all(bars[name][i] is None for name in names)}
    actions = [
        split(names[which % width], day, 2.0) if splits else dividend(names[which % width], day, 0.5)
        for day, which, splits in acted
    ]
    whole = days(bars) if per_session is None else minutes(bars, per_session=per_session)
    kept = [i for i in range(n) if i not in lacking]
    source = ArraySource(
        whole.symbols,
        {name: values[kept] for name, values in whole.arrays.items()},
        session=whole.session[kept],
        label_ns=whole.label_ns[kept],
        known_ns=whole.known_ns[kept],
        actions=actions,
        bar_size=whole.bar_size,
        rows=1,
    )
    source.calendar = "24/7"
    feed, _, _ = source_of(session_events(source), FeedFacts.of(source), grace_s=math.inf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_rows, "_ROOM", room)
        found = list(feed.blocks(carry=carry))
    expected = list(source.blocks(carry=carry))
    assert len(found) == len(expected) == len(kept)
    for one, other in zip(found, expected, strict=True):
        assert (one.start, one.symbols, one.actions) == (other.start, other.symbols, other.actions)
        assert one.actions_of == other.actions_of
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
