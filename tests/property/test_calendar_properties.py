"""What holds of every label on every calendar."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.errors import ContractError
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar

FIRST, LAST = 18_000, 20_500  # 2019-04-14 to 2026-02-16
CALENDARS = st.sampled_from(["XNYS", "XHKG", "XTKS", "24/7", "CMES"])
SIZES = st.sampled_from(list(BarSize))


@settings(deadline=None, max_examples=80)
@given(name=CALENDARS, size=SIZES, first=st.integers(FIRST, LAST), span=st.integers(0, 20))
def test_every_grid_label_closes_within_one_bar_and_no_later_than_the_next_one_opens(name, size, first, span):
    """Bars never overlap, none outlasts its session, and known instants strictly increase."""
    calendar = ExchangeCalendar.get(name)
    labels = calendar.labels(first, first + span, size)
    known, session = calendar.closing_instants(labels, size)
    assert np.all(np.diff(known) > 0)
    assert np.all(np.diff(session) >= 0)
    assert np.all((session >= first) & (session <= first + span))
    _, closes = calendar.bounds(session)
    assert np.all(known <= closes)
    if size.is_intraday:
        assert np.all(known > labels)
        assert np.all(known - labels <= size.ns)
        assert np.all(labels[1:] >= known[:-1])
        traded = calendar.session_minutes(np.unique(session)).sum() * 60_000_000_000
        assert (known - labels).sum() == traded
    else:
        assert np.array_equal(known, closes)


@settings(deadline=None, max_examples=80)
@given(name=CALENDARS, size=SIZES, seed=st.integers(0, 1000), first=st.integers(FIRST, LAST))
def test_closing_instants_do_not_depend_on_the_order_or_company_of_labels(name, size, seed, first):
    calendar = ExchangeCalendar.get(name)
    labels = calendar.labels(first, first + 9, size)
    some = np.random.default_rng(seed).permutation(len(labels))[: len(labels) // 2]
    whole, part = calendar.closing_instants(labels, size), calendar.closing_instants(labels[some], size)
    assert np.array_equal(whole[0][some], part[0])
    assert np.array_equal(whole[1][some], part[1])


@settings(deadline=None, max_examples=150)
@given(name=CALENDARS, size=SIZES, label=st.integers(FIRST * 86_400, LAST * 86_400).map(lambda s: s * 1_000_000_000))
def test_a_label_is_inside_or_refused(name, size, label):
    """`locate` and `closing_instants` agree on what lies in a session."""
    calendar = ExchangeCalendar.get(name)
    stamps = np.array([label], np.int64)
    inside = bool(calendar.locate(stamps, size).inside[0])
    try:
        calendar.closing_instants(stamps, size)
    except ContractError:
        assert not inside
    else:
        assert inside
