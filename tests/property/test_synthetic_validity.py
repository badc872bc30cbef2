"""Whatever the settings, synthetic bars are valid bars on their calendar."""

import datetime as dt

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic import SyntheticSettings, generate_bars

MODELS = st.fixed_dictionaries(
    {
        "symbols": st.integers(1, 4),
        "bar_size": st.sampled_from(["5min", "30min", "4h", "1d"]),
        "calendar": st.sampled_from(["XNYS", "XHKG", "24/7"]),
        "seed": st.integers(0, 2**32),
        "smile": st.floats(0, 20),
        "overnight_frac": st.floats(0, 0.5),
        "tick": st.sampled_from([0.0001, 0.01, 0.25, 1.0]),
        "volatility": st.sampled_from([(0.01, 0.02), (0.1, 0.5), (2.0, 5.0)]),
        "jumps": st.fixed_dictionaries({"per_session": st.floats(0, 5), "variance_frac": st.floats(0, 0.4)}),
    }
)


@settings(max_examples=30, deadline=None)
@given(model=MODELS, start=st.dates(dt.date(2023, 1, 2), dt.date(2024, 12, 1)), days=st.integers(5, 12))
def test_every_bar_passes_the_frame_checks(model, start, days):
    """Sorted and unique, high and low around open and close, on tick, whole volumes from 1, inside the session."""
    chosen = SyntheticSettings(**model, start=start, end=start + dt.timedelta(days), sector_correlation=0.4)
    calendar = ExchangeCalendar.get(chosen.calendar)
    table = generate_bars(chosen, calendar)
    prices = {name: table[name].to_numpy() for name in ("open", "high", "low", "close")}
    known, label = (table[name].combine_chunks().view(pa.int64()).to_numpy() for name in ("known", "label"))
    symbols = table["symbol"].to_pylist()
    keys = list(zip(known.tolist(), symbols, strict=True))
    assert keys == sorted(set(keys))
    assert (prices["high"] >= np.maximum(prices["open"], prices["close"])).all()
    assert (prices["low"] <= np.minimum(prices["open"], prices["close"])).all()
    for values in prices.values():
        assert (values >= chosen.tick).all()
        ticks = values / chosen.tick
        assert (np.abs(ticks - np.rint(ticks)) <= 1e-9 * ticks).all()
    volume = table["volume"].to_numpy()
    assert (volume >= 1).all()
    assert (volume == np.rint(volume)).all()
    closing, session = calendar.closing_instants(label, chosen.bar_size)
    assert (closing == known).all()
    assert (session == table["session"].combine_chunks().view(pa.int32()).to_numpy()).all()
    days_generated = np.unique(session)
    assert len(keys) == len(calendar.labels(int(days_generated[0]), int(days_generated[-1]), chosen.bar_size)) * len(
        set(symbols)
    )
