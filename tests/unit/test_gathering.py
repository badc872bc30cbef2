"""How what a feed brings becomes instants: by what came and in which order, by stamps, and by waits that are noted."""

from __future__ import annotations

import pytest

from fairlead.core.errors import ConfigurationError
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, BarSize
from fairlead.data.live import AggregationSettings, FeedNotice, NoticeKind, Received
from fairlead.data.live.gathering import Gathering, GatheringRule
from support_feeds import OPEN_NS, minute_bar, quote, trade

TRADES = AggregationSettings(source="trades")
END = FeedNotice(NoticeKind.ENDED, 0, "over")
LOST = FeedNotice(NoticeKind.DISCONNECTED, 0, "the line")
BACK = FeedNotice(NoticeKind.CONNECTED, 0, "the line")
A_MINUTE = OPEN_NS + NS_PER_MINUTE


def gathering_of(aggregate=None, size=BarSize.M1, grace_s=2.0, symbols=("A", "B")):
    return Gathering(GatheringRule(bar_size=size, calendar="XNYS", symbols=symbols, grace_s=grace_s, aggregate=aggregate))


def give(gathering, *events, after_s=0.0):
    """Let events come, each so long after its stamp, and return what is over: instants as text, notices as they are."""
    found = []
    for event in events:
        received_ns = event.known_ns + round(after_s * NS_PER_SECOND)
        found += gathering.take(Received(event, received_ns))
    return [text_of(one) for one in found]


def text_of(found):
    if isinstance(found, FeedNotice):
        return found.text
    minute = (next(iter(found.values())).known_ns - OPEN_NS) // NS_PER_MINUTE
    return f"{minute}{''.join(bar.symbol for _, bar in sorted(found.items()))}"


def wait(gathering, seconds):
    """Let nothing come for so long, and return what is over by that."""
    mark = gathering.silence(seconds)
    if mark is None:
        return []
    assert mark.event.kind is NoticeKind.QUIET
    return [text_of(found) for found in gathering.take(mark)]


def test_a_bar_that_is_received_long_after_the_others_is_late_though_nobody_waited():
    gathering = gathering_of()
    assert give(gathering, minute_bar(0, "A")) == []
    assert give(gathering, minute_bar(0, "B"), after_s=1.999) == ["1AB"]
    assert give(gathering, minute_bar(1, "A")) == []
    late = "B: a bar came 2.0 s after its end, when its instant was over; it is not used"
    assert give(gathering, minute_bar(1, "B"), after_s=2.0) == ["2A", late]
    assert (gathering.late, gathering.over_ns) == (1, OPEN_NS + 2 * NS_PER_MINUTE)


def test_a_clock_that_is_put_back_ends_nothing():
    gathering = gathering_of()
    give(gathering, minute_bar(0, "A"), after_s=3600.0)
    assert give(gathering, minute_bar(0, "B")) == ["1AB"]


def test_while_the_feed_is_disconnected_a_wait_says_nothing():
    gathering = gathering_of()
    assert give(gathering, minute_bar(0, "A"), LOST._replace(known_ns=A_MINUTE)) == []
    assert wait(gathering, 3600.0) == []
    assert give(gathering, BACK._replace(known_ns=A_MINUTE), after_s=3600.0) == []
    assert wait(gathering, 1.9) == []
    assert give(gathering, minute_bar(0, "B"), after_s=3601.9) == ["1AB"]
    assert gathering.late == 0


def test_what_was_over_before_the_line_was_lost_is_over():
    gathering = gathering_of()
    give(gathering, minute_bar(0, "A"))
    assert give(gathering, LOST._replace(known_ns=A_MINUTE), after_s=2.0) == ["1A"]


def test_what_another_process_had_gathered_is_forgotten():
    gathering = gathering_of(TRADES)
    give(gathering, trade(0, "A"), trade(61, "A"), trade(62, "A", size=5.0))
    gathering.begin_anew()
    assert gathering.over_ns == A_MINUTE
    (instant,) = gathering.take(Received(trade(61, "A"), 0)) + gathering.take(Received(trade(120, "B"), 0))
    assert instant[0].volume == 100.0


def test_bars_of_trades_are_there_when_a_trade_of_a_later_bar_is():
    gathering = gathering_of(TRADES)
    assert give(gathering, trade(0, "A"), trade(59.9, "B", 11.0)) == []
    assert give(gathering, minute_bar(0, "A"), quote(60.5)) == ["1AB"]  # what is no trade moves the time on alone
    assert give(gathering, trade(61, "B"), trade(120, "B")) == ["2B"]  # nobody waits for a symbol that was not traded
    assert give(gathering, trade(400, "A")) == ["3B"]


def test_a_silence_ends_a_bar_when_its_end_has_passed_and_not_before():
    gathering = gathering_of(TRADES)
    give(gathering, trade(30, "A"))
    assert wait(gathering, 29.0) == []
    assert wait(gathering, 2.9) == []  # the end, and the grace for what is on its way
    assert wait(gathering, 0.1) == ["1A"]
    assert wait(gathering, 3600.0) == []
    late = "A: a trade came when its bar was over; it is not in it (1 so far)"
    assert give(gathering, trade(59.9, "A")) == [late]
    assert give(gathering, trade(60, "A"), trade(120, "A")) == ["2A"]


def test_a_wait_counts_from_what_came_last_whatever_clock_there_is():
    gathering = gathering_of(TRADES)
    give(gathering, trade(30, "A"), after_s=-86_400.0)
    wait(gathering, 31.0)
    give(gathering, quote(31, "B"), after_s=-86_400.0)
    assert wait(gathering, 30.9) == []
    assert wait(gathering, 0.1) == ["1A"]


def test_a_bar_that_waits_for_late_trades_waits_by_stamp_and_by_clock():
    gathering = gathering_of(AggregationSettings(grace_s=5.0))
    assert give(gathering, trade(30, "A"), trade(64, "B"), trade(59, "A")) == []
    assert give(gathering, trade(65, "B")) == ["1A"]
    assert wait(gathering, 120.0 - 65 + 5 + 1.9) == []
    assert wait(gathering, 0.1) == ["2B"]


def test_a_lost_line_does_not_cut_a_bar_in_two():
    """What was traded meanwhile is brought later, and is in its bar."""
    gathering = gathering_of(TRADES)
    give(gathering, trade(30, "A"), LOST._replace(known_ns=OPEN_NS))
    assert wait(gathering, 600.0) == []
    give(gathering, BACK._replace(known_ns=OPEN_NS))
    give(gathering, trade(45, "A", size=11.0), trade(59, "B"))
    (instant,) = gathering.take(Received(trade(300, "B"), 0))
    assert instant[0].volume == 111.0
    assert set(instant) == {0, 1}
    assert gathering.late_parts == 0


def test_when_the_feed_has_ended_all_bars_are_over_and_when_it_has_failed_those_that_are():
    for is_told in (True, False):
        gathering = gathering_of(TRADES)
        assert give(gathering, trade(30, "A"), trade(59, "B")) == []
        if is_told:
            assert give(gathering, END) == ["1AB"]
        else:
            assert gathering.closed() is None
    plain = gathering_of()
    give(plain, minute_bar(0, "A"))
    assert [text_of(found) for found in plain.take(plain.closed())] == ["1A"]


def test_late_trades_are_told_at_the_1st_2nd_4th():
    gathering = gathering_of(TRADES)
    give(gathering, trade(0, "A"), trade(60, "A"))
    told = give(gathering, *(trade(30, "B") for _ in range(9)))
    assert [text.rpartition("(")[2] for text in told] == ["1 so far)", "2 so far)", "4 so far)", "8 so far)"]
    assert gathering.late_parts == 9
    gathering.begin_anew()
    assert gathering.late_parts == 9


FIVE = AggregationSettings(source="bars")


def test_longer_bars_are_there_with_the_last_of_the_shorter():
    gathering = gathering_of(FIVE, BarSize.M5)
    minutes = [minute_bar(minute, symbol) for minute in range(5) for symbol in "AB"]
    assert give(gathering, *minutes[:-1]) == []
    assert give(gathering, minutes[-1]) == ["5AB"]


@pytest.mark.parametrize("how", ["wait", "bar", "quote"])
def test_a_longer_bar_whose_last_part_does_not_come_belongs_to_its_instant(how):
    gathering = gathering_of(FIVE, BarSize.M5)
    minutes = [minute_bar(minute, symbol) for minute in range(5) for symbol in "BA"]
    minutes.remove(minute_bar(4, "B"))
    assert give(gathering, *minutes) == []
    if how == "wait":
        assert wait(gathering, 1.9) == []
        assert wait(gathering, 0.1) == ["5AB"]
    elif how == "bar":
        assert give(gathering, minute_bar(5, "B")) == ["5AB"]
    else:
        assert give(gathering, quote(301), after_s=1.0) == ["5AB"]


def test_quotes_make_bars():
    gathering = gathering_of(AggregationSettings(source="quotes"), symbols=("A",))
    quotes = [quote(1), quote(3, bid=12.0)]
    give(gathering, quotes[0], trade(2, price=500.0), quotes[1])
    (instant,) = gathering.take(Received(quote(60), 0))
    low, high = (one.mid for one in quotes)
    assert instant == {0: Bar("A", OPEN_NS, A_MINUTE, low, high, low, high, 0.0)}


def test_a_foreign_symbol_makes_time_and_no_bar():
    gathering = gathering_of(TRADES, symbols=("A",))
    told = give(gathering, trade(1, "A"), trade(2, "Z"), trade(60, "Z"), trade(120, "Z"))
    assert told == ["1A", "Z: a bar came, and it is not one of the session's 1 symbols; none is used"]


def test_daily_bars_are_not_made():
    with pytest.raises(ConfigurationError, match="'bar_size' must be intraday to be made of ticks, was '1d'"):
        gathering_of(TRADES, BarSize.D1)
