"""Instants that are kept small come back as they were."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairlead.engine.stamps import Stamps

STEPS = st.lists(st.sampled_from([1, 60_000_000_000, 60_000_000_000, 60_000_000_000, 63_000_000_000_000]), max_size=40)


@given(start=st.integers(0, 2**61), steps=STEPS, is_empty=st.booleans())
def test_they_come_back(start, steps, is_empty):
    stamps = np.array([] if is_empty else np.cumsum([start, *steps]), np.int64)
    kept = Stamps.of(stamps).array()
    assert kept.dtype == np.int64
    assert kept.tolist() == stamps.tolist()


def test_a_session_of_minutes_is_one_stretch_and_keeps_nothing_of_the_array():
    minutes = np.arange(390, dtype=np.int64) * 60_000_000_000
    days = np.concatenate([minutes + day * 86_400_000_000_000 for day in range(5)])
    kept = Stamps.of(days)
    assert kept.counts.tolist() == [390] * 5
    assert not np.shares_memory(kept.first, days)
