"""The fill rules compiled: the event loop calls them as Python, compiled loops inline them, and they are the same rules."""

from __future__ import annotations

import inspect
import math

import numba as nb
import numpy as np
import pytest
from numba.extending import register_jitable

from fairlead.execution import kernels

RULES = [f for name, f in sorted(vars(kernels).items()) if inspect.isfunction(f) and not name.startswith("_")]


def arguments(rule, random):
    """Random arguments by the names of the parameters; prices on a coarse grid, so that ties happen."""
    low, open_, close, high = sorted(np.round(random.uniform(95, 105, 4) * 2) / 2)
    if random.random() < 0.5:
        open_, close = close, open_
    known = {"open_": open_, "high": high, "low": low, "close": close, "side": int(random.choice([-1, 1]))}
    known |= {"phase": int(random.integers(0, 4)), "moved": int(random.integers(-1, 2))}
    given = []
    for name in inspect.signature(rule).parameters:
        if name in known:
            given.append(known[name])
        elif name in ("on_touch", "certain", "is_limit"):
            given.append(bool(random.random() < 0.5))
        elif (
            name in ("amount", "percent", "level", "limit", "stop")
            and random.random() < 0.2
            and rule.__name__ != "limit_in_bar"
        ):
            given.append(math.nan)
        else:
            given.append(float(np.round(random.uniform(94, 106) * 2) / 2))
    return given


def same(left, right):
    return all(a == b or (a != a and b != b) for a, b in zip(np.atleast_1d(left), np.atleast_1d(right), strict=True))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_gives_the_same_compiled(rule):
    for other in RULES:
        register_jitable(other)
    compiled = nb.njit(rule)
    random = np.random.default_rng(2001)
    drawn = [arguments(rule, random) for _ in range(2000)]
    results = [rule(*given) for given in drawn]
    for given, expected in zip(drawn, results, strict=True):
        assert same(compiled(*given), expected), given
    assert len({str(result) for result in results}) > (2 if rule is kernels.moved_by else 3)


@pytest.mark.parametrize(("open_", "step"), [(100.0, 0.1), (10.01, 0.04), (10.13, 0.11), (33.33, 0.04)])
def test_as_many_ticks_above_as_below_the_open_are_as_near(open_, step):
    """Floats are not: 10.05 is farther from 10.01 than 9.97 is, by their last bits."""
    above, below = round(open_ + step, 2), round(open_ - step, 2)
    assert kernels.distance_rank(above, open_) == kernels.distance_rank(below, open_)
    assert kernels.distance_rank(round(above + 0.01, 2), open_) > kernels.distance_rank(below, open_)
    assert kernels.distance_rank(open_, open_) == kernels.distance_rank(kernels.NO_FILL, open_) == 0
