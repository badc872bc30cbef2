"""However numbered events arrive, they are released once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.data.live import Sequencer
from fairlead.data.live.sequencing import Missing


@given(st.data())
def test_lost_doubled_and_reordered_events_come_once_and_in_order(data):
    count = data.draw(st.integers(1, 30))
    arrivals = data.draw(st.lists(st.integers(0, count - 1), max_size=60))
    sequencer: Sequencer[int] = Sequencer()
    out: list[int] = []
    for number in arrivals:
        out += sequencer.accept(number, number)
        assert out == list(range(sequencer.expected))
        missing = sequencer.missing
        if missing is None:
            assert sequencer.held == 0
        else:
            assert missing.first == sequencer.expected
    assert sequencer.duplicates == len(arrivals) - len(set(arrivals))
    sequencer.announce(count)
    while (missing := sequencer.missing) is not None:
        for number in range(missing.first, missing.last + 1):
            assert number not in arrivals
            out += sequencer.accept(number, number)
    assert out == list(range(count))
    assert sequencer.lost == 0
    assert sequencer.held == 0


@given(st.sets(st.integers(0, 19)), st.integers(0, 19))
def test_what_is_given_up_is_counted_and_the_rest_is_released(arrived, last):
    sequencer: Sequencer[int] = Sequencer()
    out = [n for number in sorted(arrived) for n in sequencer.accept(number, number)]
    out += sequencer.give_up(last)
    assert out == [n for n in sorted(arrived) if n < sequencer.expected]
    assert sequencer.lost == len(set(range(sequencer.expected)) - arrived)
    assert sequencer.expected >= last + 1


def test_a_gap_is_counted_once_while_it_is_open():
    sequencer: Sequencer[str] = Sequencer(5)
    assert sequencer.accept(7, "h") == []
    assert sequencer.accept(8, "i") == []
    assert sequencer.missing == Missing(5, 6)
    assert sequencer.gaps == 1
    assert sequencer.accept(5, "f") == ["f"]
    assert sequencer.accept(6, "g") == ["g", "h", "i"]
    sequencer.announce(10)
    assert sequencer.missing == Missing(9, 9)
    assert sequencer.gaps == 2


def test_a_new_session_counts_anew_and_loses_what_never_came():
    sequencer: Sequencer[str] = Sequencer()
    sequencer.accept(2, "c")
    sequencer.announce(5)
    assert sequencer.restart(100) == ["c"]
    assert sequencer.lost == 4
    assert sequencer.missing is None
    assert sequencer.accept(100, "x") == ["x"]
    assert sequencer.accept(99, "w") == []
    assert sequencer.duplicates == 1
