"""What holds of the service levels of every frame, on every calendar."""

import datetime as dt
from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.contracts import DataQualitySLA
from fairlead.contracts.quality.tally import QualityTally
from fairlead.core.time import BarSize, day_to_date, to_datetime
from fairlead.data.calendars import ExchangeCalendar

CALENDARS = st.sampled_from(["XNYS", "XHKG", "XTKS", "24/7", "CMES"])
SIZES = st.sampled_from([BarSize.M5, BarSize.M30, BarSize.H4, BarSize.D1])
FIRST_DAYS = st.sampled_from([19_790, 19_905, 20_027, 20_055]) | st.integers(18_000, 20_500)
CASES = {"name": CALENDARS, "size": SIZES, "first": FIRST_DAYS, "seed": st.integers(0, 999)}


def some_labels(calendar: ExchangeCalendar, first: int, size: BarSize, seed: int) -> np.ndarray:
    rng = np.random.default_rng([5001, seed])
    labels = calendar.labels(first, first + 20, size)
    return labels[rng.random(len(labels)) < rng.choice([0.2, 0.9, 1.0])]


def counted(tally: QualityTally, pieces: list[tuple[np.ndarray, int]]) -> QualityTally:
    for labels, through in pieces:
        tally.add(labels, [np.ones(len(labels))] * 4, through)
    tally.finish()
    return tally


@settings(deadline=None, max_examples=60)
@given(**CASES, cuts=st.lists(st.integers(0, 20), max_size=3).map(sorted))
def test_a_frame_in_pieces_is_the_frame(name, size, first, seed, cuts):
    """Wherever sessions are cut, present and absent bars are those of the whole, and together they are the calendar's."""
    calendar = ExchangeCalendar.get(name)
    labels = some_labels(calendar, first, size, seed)
    session = calendar.closing_instants(labels, size)[1]
    bounds = [-1, *cuts, 20]
    pieces = [(labels[(session > first + low) & (session <= first + high)], first + high) for low, high in pairwise(bounds)]
    whole = counted(QualityTally(calendar, size, first, first + 20), [(labels, first + 20)])
    parts = counted(QualityTally(calendar, size, first, first + 20), pieces)
    assert (parts.rows, parts.expected, parts.present) == (whole.rows, whole.expected, whole.present)
    assert parts.gaps() == whole.gaps()
    assert DataQualitySLA(size).results_of(parts) == DataQualitySLA(size).results_of(whole)
    both = np.sort(np.concatenate([labels, whole.absent().label_ns]))
    assert np.array_equal(both, calendar.labels(first, first + 20, size))


@settings(deadline=None, max_examples=60)
@given(**CASES, minute=st.integers(0, 21 * 1440))
def test_a_feed_that_is_on_time_is_never_late_and_never_incomplete(name, size, first, seed, minute):
    """At any instant, a feed that has delivered every bar that has closed meets every level."""
    calendar = ExchangeCalendar.get(name)
    labels = calendar.labels(first, first + 20, size)
    known = calendar.closing_instants(labels, size)[0]
    now = first * 86_400_000_000_000 + minute * 60_000_000_000
    index = pd.DatetimeIndex(labels[known <= now].astype("datetime64[ns]"), tz="UTC")
    df = pd.DataFrame({"OPEN": 1.0, "HIGH": 1.0, "LOW": 1.0, "CLOSE": 1.0, "VOLUME": 1.0}, index=index)
    results = DataQualitySLA(size).check_all(
        df, calendar, to_datetime(now), start=day_to_date(first), end=day_to_date(first) + dt.timedelta(days=20)
    )
    assert [name for name, r in results.items() if not r.passed] == ([] if len(df) else list(results))
    if len(df):
        assert results["lateness_minutes"].measured_value == 0.0
        assert results[f"{size.name.lower()}_completeness"].measured_value == 1.0
