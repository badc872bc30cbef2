"""How long the broker must have held something else before it is believed."""

from fairlead.control.gaps import StandingGaps
from fairlead.core.time import NS_PER_SECOND

S = NS_PER_SECOND


def test_a_gap_is_waited_for_until_it_has_stood():
    gaps = StandingGaps(60.0)
    gaps.seen([("A", -4.0)], 100 * S)
    assert gaps.are_awaited(100 * S)
    assert (gaps.look_ns, gaps.is_due(160 * S - 1), gaps.is_due(160 * S)) == (160 * S, False, True)
    gaps.seen([("A", -4.0)], 160 * S)
    assert gaps.have_stood(160 * S)
    assert not gaps.are_awaited(160 * S)
    assert (gaps.look_ns, gaps.is_due(999 * S)) == (0, False)


def test_one_of_another_size_or_that_was_gone_meanwhile_is_another():
    gaps = StandingGaps(60.0)
    for second, units in ((0, -4.0), (50, -6.0), (100, -4.0)):
        gaps.seen([("A", units)], second * S)
        assert gaps.are_awaited(second * S)
        assert gaps.look_ns == (second + 60) * S
    gaps.seen([], 120 * S)
    assert not gaps.are_awaited(120 * S)
    gaps.seen([("A", -4.0)], 160 * S)
    assert gaps.are_awaited(160 * S)


def test_what_comes_and_goes_is_not_waited_for_without_end():
    gaps = StandingGaps(60.0)
    for second in range(0, 300, 30):
        gaps.seen([("A", -4.0), ("B", float(second))], second * S)
        assert gaps.are_awaited(second * S)
    gaps.seen([("A", -4.0), ("B", 300.0)], 300 * S)
    assert not gaps.are_awaited(300 * S)
    assert not gaps.have_stood(300 * S)


def test_where_no_answer_comes_it_is_asked_for_again():
    gaps = StandingGaps(60.0)
    gaps.seen([("A", 1.0)], 0)
    assert gaps.are_awaited(0)
    gaps.asked(60 * S)
    assert not gaps.is_due(119 * S)
    assert gaps.is_due(120 * S)


def test_nothing_is_waited_for_where_nothing_differs_or_no_time_is_asked_for():
    for gaps, seen in ((StandingGaps(60.0), []), (StandingGaps(0.0), [("A", 1.0)])):
        gaps.seen(seen, 5)
        assert not gaps.are_awaited(5)
        assert gaps.have_stood(5)
