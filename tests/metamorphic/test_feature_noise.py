"""Noise far below a tick moves a feature's values little, unless its definition asks which of two values is larger."""

import numpy as np
import pytest

from fairlead.features import compute_symbols, find_feature, known_features
from fairlead.features.plan import make_plan
from fairlead.features.trial_bars import trial_bars, unit_of

NOISE = 1e-9
TOLERANCE = 1e-5  # of the value or of the output's spread: a return of 2 % is a small difference of large prices
BARS = 400
SYMBOLS = 12
TICK = 0.5
JUMPS = {
    "adx": "counts the larger of the two directional moves alone, and neither where they are equal",
    "cross_rank": "symbols with equal returns share a place",
    "mfi": "a typical price that stands counts on neither side, one that moves counts with its whole volume",
    "obv": "a close that stands adds nothing, one that moves its whole volume",
    "ofi": "sums ofi_event",
    "ofi_event": "a bid or ask that stands counts on both sides, one that moves on one",
    "rolling_rank": "equal closes share a rank",
}
"""Features that step where two values are equal, which on a price grid they often are."""


def bars_on_a_grid(names):
    """Prices in halves and sizes in tens, so that neighbours are often equal: where a step function would jump."""
    columns = trial_bars(names, SYMBOLS, BARS, seed=2003)
    grid = {"price": TICK, "volume": 10.0}
    for name, values in columns.items():
        if not name.startswith("fact.") and unit_of(name) in grid:
            step = grid[unit_of(name)]
            rounded = np.round(values / step) * step
            columns[name] = rounded + step if name in ("ask", "volume", "bid_size", "ask_size") else rounded
    return columns


def moved(name):
    """Per output, the largest move in units of what may be expected."""
    rng = np.random.default_rng(2004)
    columns = bars_on_a_grid(make_plan({"it": name}).columns)
    noisy = {k: v * (1.0 + NOISE * rng.uniform(-1, 1, v.shape)) if unit_of(k) != "none" else v for k, v in columns.items()}
    before, after = (compute_symbols({"it": name}, c)["it"] for c in (columns, noisy))
    found = {}
    for output, old, new in zip(find_feature(name).outputs, before, after, strict=True):
        known = np.isfinite(old)
        assert (known == np.isfinite(new)).all()
        assert known.any()
        allowed = TOLERANCE * np.maximum(np.abs(old[known]), old[known].std())
        found[output.name] = float(np.max(np.abs(new[known] - old[known]) / np.where(allowed > 0.0, allowed, TOLERANCE)))
    return found


@pytest.mark.parametrize("name", sorted(set(known_features()) - set(JUMPS)))
def test_small_noise_moves_values_little(name):
    """A feature that fails here steps where values are equal: give the reason in JUMPS, or make its definition continuous."""
    assert max(moved(name).values()) <= 1.0, moved(name)


@pytest.mark.parametrize("name", JUMPS)
def test_features_that_are_excused_do_jump(name):
    """Otherwise the excuse hides a fault."""
    assert max(moved(name).values()) > 1000.0
