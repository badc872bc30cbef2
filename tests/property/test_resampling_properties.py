"""What holds of every resampled frame, on every calendar and through every clock change."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.contracts.frames import IntradayFrameSpec
from fairlead.contracts.sessions import find_segment
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.resampling import resample_bars, resample_m1_to_m5

CALENDARS = st.sampled_from(["XNYS", "XHKG", "XTKS", "24/7", "CMES"])
TARGETS = st.sampled_from([BarSize.M5, BarSize.M15, BarSize.M30, BarSize.H1, BarSize.H4])
# Around both clock changes, early closes (3 July, the day after Thanksgiving, Hong Kong's eves) and year's ends.
FIRST_DAYS = st.sampled_from([19_790, 19_791, 19_905, 20_027, 20_055, 20_078, 19_398, 19_762]) | st.integers(18_000, 20_500)
PRICES = ["OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"]


def random_minutes(calendar: ExchangeCalendar, first: int, seed: int, share: float) -> pd.DataFrame:
    """Whole-number volumes, so that their sums are exact; each minute is there with probability `share`."""
    rng = np.random.default_rng([5000, seed])
    stamps = calendar.labels(first, first + 3, BarSize.M1)
    stamps = stamps[rng.random(len(stamps)) < share]
    n = len(stamps)
    opens, closes = 100 + rng.normal(0, 1, n), 100 + rng.normal(0, 1, n)
    high, low = np.maximum(opens, closes) + rng.random(n), np.minimum(opens, closes) - rng.random(n)
    index = pd.DatetimeIndex(stamps.astype("datetime64[ns]"), tz="UTC")
    columns = {"OPEN": opens, "HIGH": high, "LOW": low, "CLOSE": closes, "VOLUME": rng.integers(0, 10_000, n)}
    return pd.DataFrame(columns, index=index)


def by_segment(df: pd.DataFrame, calendar: ExchangeCalendar) -> pd.DataFrame:
    stamps = df.index.asi8
    _, position = find_segment(calendar.segments_between(int(stamps[0]), int(stamps[-1])), stamps)
    rules = {"OPEN": "first", "HIGH": "max", "LOW": "min", "CLOSE": "last", "VOLUME": "sum"}
    # The neighbours that a calendar hands out may differ, the opening of a segment does not.
    opening = calendar.segments_between(int(stamps[0]), int(stamps[-1])).open_ns[position]
    return df.groupby(opening).agg(rules)


@settings(deadline=None, max_examples=60)
@given(name=CALENDARS, target=TARGETS, first=FIRST_DAYS, seed=st.integers(0, 999), share=st.sampled_from([1.0, 0.9, 0.3]))
def test_every_segment_keeps_its_volume_highs_lows_and_ends(name, target, first, seed, share):
    calendar = ExchangeCalendar.get(name)
    df = random_minutes(calendar, first, seed, share)
    found = resample_bars(df, calendar, target=target)
    assert found["N_M1"].sum() == len(df)
    if len(df) == 0:
        return
    pd.testing.assert_frame_equal(by_segment(found, calendar), by_segment(df, calendar))
    _, broken = IntradayFrameSpec(target).validate(found, calendar)
    # Of a market that hardly trades, the spacing is not that of its bars: the contract says so of any such frame.
    assert {violation.code for violation in broken} <= ({"I03"} if share < 0.9 or target.ns >= BarSize.H1.ns else set())


@settings(deadline=None, max_examples=40)
@given(name=CALENDARS, target=TARGETS, first=FIRST_DAYS, seed=st.integers(0, 999), share=st.sampled_from([1.0, 0.8]))
def test_resampling_to_the_same_size_changes_nothing_and_steps_may_be_taken_one_by_one(name, target, first, seed, share):
    calendar = ExchangeCalendar.get(name)
    df = random_minutes(calendar, first, seed, share)
    five = resample_m1_to_m5(df, calendar)
    pd.testing.assert_frame_equal(resample_bars(five, calendar, source="5min", target="5min"), five)
    bare = five[PRICES]
    pd.testing.assert_frame_equal(resample_bars(bare, calendar, source="5min", target="5min")[PRICES], bare)
    at_once = resample_bars(df, calendar, target=target)
    pd.testing.assert_frame_equal(resample_bars(five, calendar, source="5min", target=target), at_once)


@settings(deadline=None, max_examples=30)
@given(name=CALENDARS, target=TARGETS, first=FIRST_DAYS, seed=st.integers(0, 999))
def test_full_sessions_give_the_full_grid_without_partial_bars(name, target, first, seed):
    calendar = ExchangeCalendar.get(name)
    found = resample_bars(random_minutes(calendar, first, seed, 1.0), calendar, target=target)
    assert np.array_equal(found.index.asi8, calendar.labels(first, first + 3, target))
    assert not found["PARTIAL"].any()
