"""Parameter spaces: every form in which values are written, what is refused, and the order and seeds of each search."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairlead.backtest.search import BATCH, search_of
from fairlead.backtest.space import Interval, ParameterSpace, Values
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.sdk import Strategy, parameter


class Many(Strategy):
    """One parameter of each kind."""

    n: int = parameter(5, ge=1, le=1000, doc="Bars.")
    m: int = parameter(5, ge=-50, le=1000)
    x: float = parameter(0.5, gt=0, le=10)
    on: bool = parameter(default=True)
    mode: str = parameter("fast", choices=("fast", "slow", "1:2"))
    symbols: tuple = parameter(())


def parsed(*texts: str) -> ParameterSpace:
    return ParameterSpace.parse(texts, Many.parameters, "many")


def drawn(search):
    """Everything a search proposes if nothing comes of it."""
    found = []
    while batch := search.ask():
        found.extend(batch)
        search.tell([None] * len(batch))
    return found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("n=5:20:5", (5, 10, 15, 20)),
        ("n=5:19:5", (5, 10, 15)),
        ("n=7:7:1", (7,)),
        ("n=3,1,2", (3, 1, 2)),
        ("n=4", (4,)),
        ("m=-10:10:10", (-10, 0, 10)),
        ("x=0.1:0.7:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        ("x=1e-3,1,0.25", (0.001, 1.0, 0.25)),
        ("on=true,false", (True, False)),
        ("mode=slow,fast", ("slow", "fast")),
        ("mode=1:2", ("1:2",)),
        ("symbols=[IBM,MSFT],[GOOG]", (("IBM", "MSFT"), ("GOOG",))),
    ],
)
def test_written_values_are_these_in_this_order_and_type(text, values):
    axis = parsed(text).axes[text.partition("=")[0]]
    assert isinstance(axis, Values)
    assert axis.values == values
    assert [type(v) for v in axis.values] == [type(v) for v in values]


def test_a_step_in_decimals_does_not_drift():
    """0.1 + 0.1 + 0.1 is not 0.3 in binary; the values must be the ones that were written."""
    values = parsed("x=0.1:9.9:0.1").axes["x"].values
    assert values == tuple(float(f"{i / 10:.1f}") for i in range(1, 100))


def test_ranges_without_a_step_are_intervals():
    assert parsed("n=5:50").axes["n"] == Interval(5, 50, whole=True)
    assert parsed("x=0.1:1").axes["x"] == Interval(0.1, 1.0)
    assert parsed("x=1e-4:1:log").axes["x"] == Interval(1e-4, 1.0, log=True)
    assert parsed("n=1:100:log").axes["n"] == Interval(1, 100, log=True, whole=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n", "'--param' must have the form name=values, was 'n'"),
        ("=5", "'--param' must have the form name=values"),
        ("n=", "'n' must have at least one value"),
        ("n=50:5:5", r"'n' must be a range from low to high, was '50:5:5'. Did you mean 5:50:5\?"),
        ("n=5:50:0", "'n' must have a step above 0"),
        ("n=5:50:-5", "'n' must have a step above 0"),
        ("n=5:50:2.5", "'n' must have a whole step"),
        ("n=1.5:5:1", "'n' must be a range of whole numbers"),
        ("n=1:2:3:4", "'n' must be a range lo:hi"),
        ("n=1::3", "'n' must be a range lo:hi"),
        ("n=a:b:c", "'n' must have a number instead of 'a'"),
        ("n=1:nan:1", "'n' must have a finite number instead of 'nan'"),
        ("x=1:inf", "'x' must have a finite number instead of 'inf'"),
        ("x=1:1", "'x' must be a range of more than one number"),
        ("m=0:10:log", "'m' must begin above 0"),
        ("x=0.00000001:10:0.000001", "'x' must have at most 1,000,000 values"),
        ("n=5,,6", "'n' must have a value between commas"),
        ("n=5,6,5", "'n' must not repeat a value, was 5"),
        ("n=0:10:5", "'n' must be >= 1, was 0. Bars."),
        ("x=0.5:20", "'x' must be <= 10"),
        ("n=2.5,3", "'n' must be of type int"),
        ("on=1,0", "'on' must be of type bool"),
        ("mode=fast,medium", "'mode' must be one of"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_rule(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parsed(text)


def test_unknown_and_doubled_parameters_are_named():
    with pytest.raises(UnknownName, match="no parameter of many named 'symbls'; did you mean 'symbols'"):
        parsed("symbls=1,2")
    with pytest.raises(ConfigurationError, match="'--param n' must be given once"):
        parsed("n=1,2", "n=3")
    with pytest.raises(ConfigurationError, match="'parameters' must name at least one"):
        parsed()


def test_python_values_are_taken_as_they_are():
    space = ParameterSpace.of({"n": range(5, 16, 5), "x": np.array([0.5, 1.0]), "m": 3}, Many.parameters, "many")
    assert space.size == 6
    assert space.at(1) == {"n": 5, "x": 1.0, "m": 3}
    assert type(space.at(0)["x"]) is float
    with pytest.raises(ConfigurationError, match="'n' must have at least one value"):
        ParameterSpace.of({"n": []}, Many.parameters, "many")
    with pytest.raises(ConfigurationError, match="interval"):
        Interval(5, 1)
    with pytest.raises(ConfigurationError, match="'mode' must have values of type str"):
        ParameterSpace.of({"mode": Interval(0, 1)}, Many.parameters, "many")


def test_a_grid_is_the_product_with_the_last_parameter_fastest():
    found = drawn(search_of("grid", parsed("n=1:3:1", "mode=fast,slow"), trials=None, seed=1))
    assert [(p["n"], p["mode"]) for p in found] == [(n, m) for n in (1, 2, 3) for m in ("fast", "slow")]


def test_a_grid_longer_than_a_batch_is_whole():
    space = parsed("n=1:50:1", "m=1:30:1")
    found = drawn(search_of("grid", space, trials=None, seed=1))
    assert len(found) == space.size == 1500 > 2 * BATCH
    assert len({tuple(p.values()) for p in found}) == 1500


def test_a_space_written_down_and_read_again_is_the_same():
    space = parsed("n=5:50:5", "x=1e-4:1:log", "symbols=[IBM,MSFT],[GOOG]")
    assert ParameterSpace.from_dict(space.to_dict()) == space


@pytest.mark.parametrize("texts", [("n=1:40:1", "m=1:40:1"), ("n=1:1000", "x=0.1:1"), ("n=1:1000:log", "x=1e-3:1:log")])
def test_random_sets_follow_the_seed_and_never_repeat(texts):
    space = parsed(*texts)
    first, again, other = (drawn(search_of("random", space, trials=600, seed=seed)) for seed in (7, 7, 8))
    assert first == again != other
    assert len({tuple(p.values()) for p in first}) == 600
    for params in first:
        for name, value in params.items():
            assert Many.parameters[name].check(value) == value


def test_random_search_of_a_small_space_ends_with_the_space():
    search = search_of("random", parsed("n=1:4"), trials=100, seed=1)
    assert search.count == 4
    assert sorted(p["n"] for p in drawn(search)) == [1, 2, 3, 4]


def test_draws_of_an_interval_reach_both_ends_alike_and_spread_by_magnitude():
    random = np.random.default_rng(1)
    counts = np.bincount([Interval(1, 4, whole=True).draw(random) for _ in range(4000)], minlength=5)
    assert counts[0] == 0
    assert counts[1:].min() > 900
    logs = [math.log10(Interval(1e-4, 1.0, log=True).draw(random)) for _ in range(4000)]
    assert np.histogram(logs, bins=4, range=(-4, 0))[0].min() > 900


@pytest.mark.parametrize(
    ("kind", "text", "trials", "message"),
    [
        ("grid", "x=0.1:1", None, "'x' must have a finite list of values in a grid, was '0.1:1'"),
        ("grid", "n=1:100:log", None, "'n' must have a finite list of values in a grid"),
        ("grid", "n=1:5", 10, "'trials' must not be given with a grid"),
        ("random", "n=1:5", None, "'trials' must be given with a random search"),
        ("random", "n=1:5", 0, "'trials' must be at least 1"),
        ("rndom", "n=1:5", 3, "no search named 'rndom'; did you mean 'random'"),
    ],
)
def test_a_search_that_does_not_fit_says_so(kind, text, trials, message):
    with pytest.raises(ConfigurationError, match=message):
        search_of(kind, parsed(text), trials=trials, seed=1)


def test_optuna_improves_on_what_it_is_told_and_repeats_itself():
    """Two runs with one seed propose the same; the later half is nearer to the optimum than the first."""
    pytest.importorskip("optuna")
    space = parsed("x=0.01:10", "n=1:1000")

    def distances():
        search, found = search_of("optuna", space, trials=64, seed=3), []
        while batch := search.ask():
            found.extend(abs(p["x"] - 7) for p in batch)
            search.tell([-abs(p["x"] - 7) for p in batch])
        return found

    first = distances()
    assert first == distances()
    assert len(first) == 64
    assert np.mean(first[32:]) < 0.5 * np.mean(first[:16])


def test_optuna_ends_when_a_space_has_nothing_new():
    pytest.importorskip("optuna")
    found = drawn(search_of("optuna", parsed("mode=fast,slow", "on=true,false"), trials=50, seed=3))
    assert len(found) == 4
    assert len({tuple(p.values()) for p in found}) == 4


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(
        ConfigurationError, match=r"without the library Optuna, was 'optuna'. Install the extra: .*fairlead\[ml\]"
    ):
        search_of("optuna", parsed("n=1:5"), trials=3, seed=1)
