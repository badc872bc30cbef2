"""Kernel strategies: what `decide` may ask for, what it is told of its mistakes, and how it runs one event at a time."""

# ruff: noqa: PLR0917  a decision asks for what it reads

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.sdk import HOLD, KernelStrategy, find_strategy, lint_strategy, parameter, target_position, target_weight
from fairlead.sdk.scan import FIELDS
from support_kernels import Anything, Cross, Share
from support_sessions import FIRST_DAY, days, flat, minutes, random_bars, run


def of(decide, **members):
    """Return a kernel strategy class with this `decide`."""
    return type("Made", (KernelStrategy,), {"decide": staticmethod(decide), "__module__": __name__, **members})


def test_arguments_are_found_by_their_names():
    def decide(
        open_, high, low, close, volume, position, average_price, cash, equity, state, n, share, flag, fast, bands_upper
    ):
        return HOLD

    made = of(
        decide,
        n=parameter(3),
        share=parameter(0.5),
        flag=parameter(True),
        unused=parameter("text"),
        required_features=lambda self: {"fast": ("sma", {"n": self.n}), "bands": "bollinger"},
    )
    found = made(n=7).arguments()
    assert found.names == tuple(inspect.signature(decide).parameters)
    assert found.features == (("fast", ""), ("bands", "upper"))
    assert dict(zip(found.parameters, found.kinds, strict=True)) == {"n": "int", "share": "float", "flag": "bool"}
    assert made(n=7).numbers().tolist() == [7.0, 0.5, 1.0]
    assert found.reads_equity


def test_the_whole_bar_and_the_account_arrive():
    """What `decide` sees is written into its state, and is what the bar and the ledger say."""

    def decide(open_, high, low, close, volume, position, average_price, cash, equity, state):
        for i, value in enumerate((open_, high, low, close, volume, position, average_price, cash, equity)):
            state[i] = value
        return target_position(7.0)

    strategy = of(decide, state_size=9)()
    bars = random_bars(np.random.default_rng(3), 5, volume=9_000.0)
    bars[-1] = (*bars[-1][:4], 777.0)
    record = run(days({"A": bars}), strategy)
    seen = strategy.save_state()["states"][0]
    assert tuple(seen[:5]) == bars[-1]
    assert seen[5] == 7.0
    assert seen[6] == record.fills[0].price
    assert seen[7] == record.account.cash[-1]
    assert seen[8] == record.account.equity[-1]
    assert len(FIELDS) == 5


def test_whole_numbers_and_flags_arrive_as_what_they_are():
    def decide(n, flag, state):
        state[n] = 5.0 // n if flag else -1.0
        return HOLD

    made = of(decide, n=parameter(2), flag=parameter(True), state_size=4)
    for flag, expected in ((True, [0.0, 0.0, 2.0, 0.0]), (False, [0.0, 0.0, -1.0, 0.0])):
        strategy = made(flag=flag)
        run(days({"A": [flat(10.0)]}), strategy)
        assert strategy.save_state()["states"] == [expected]


def test_it_waits_for_its_features_and_for_a_bar():
    def decide(slow, state):
        state[0] += 1.0
        return HOLD

    made = of(decide, state_size=1, required_features=lambda self: {"slow": ("sma", {"n": 4})})
    bars = {"A": [flat(10.0)] * 10, "B": [None if i in (5, 6) else flat(20.0) for i in range(10)]}
    strategy = made()
    run(minutes(bars), strategy)
    assert strategy.save_state()["states"] == [[7.0], [5.0]]


def test_state_is_carried():
    strategy = Anything(seed=5)
    source = minutes({"A": random_bars(np.random.default_rng(1), 60)})
    run(source, strategy)
    state = strategy.save_state()
    strategy._states[:] = 0.0
    strategy.load_state(state)
    assert strategy.save_state() == state != {"states": [[0.0]]}


def test_two_runs_of_one_strategy_begin_anew():
    source = minutes({"A": random_bars(np.random.default_rng(1), 60)})
    strategy = Anything(seed=5)
    assert run(source, strategy).digest == run(source, strategy).digest


def test_weights_and_exits_become_intents():
    def decide(close, position):
        if position == 0.0:
            return target_weight(0.5, close - 1.0, close + 2.0)
        return HOLD

    record = run(days({"A": [flat(100.0), flat(100.0), flat(103.0), flat(103.0)]}), of(decide)())
    entry, stop, target = record.orders[:3]
    assert (entry.quantity, stop.stop_price, target.limit_price) == (500.0, 99.0, 102.0)
    assert str(target.status) == "FILLED"
    assert target.created_ns // 86_400_000_000_000 == FIRST_DAY


@pytest.mark.parametrize(
    ("decide", "members", "text"),
    [
        (lambda clos: HOLD, {}, r"no argument of Made\.decide named 'clos'; did you mean 'close'\?"),
        (lambda word: HOLD, {"word": parameter("x")}, r"'Made\.decide\(word\)' must be a number or a flag, was 'x'"),
        (lambda close: HOLD, {"close": parameter(1.0)}, r"'Made\.decide\(close\)' must mean one thing"),
    ],
)
def test_an_argument_that_means_nothing_or_too_much_is_refused(decide, members, text):
    with pytest.raises(ConfigurationError, match=text):
        of(decide, **members)().arguments()


def test_unknown_names_are_unknown_names():
    with pytest.raises(UnknownName, match=r"Declare it as a parameter or in required_features\(\)"):
        of(lambda fastt: HOLD, required_features=lambda self: {"fast": "sma"})().arguments()


@pytest.mark.parametrize("name", ["on_start", "on_market_event", "generate_orders", "on_order_update", "on_stop", "event_type"])
def test_the_engines_own_methods_are_not_for_kernel_strategies(name):
    with pytest.raises(ConfigurationError, match=rf"'Made\.{name}' must not be written for a kernel strategy.*Write `decide`"):
        of(lambda close: HOLD, **{name: lambda *_: None})


def test_without_a_decision_there_is_no_strategy():
    with pytest.raises(ConfigurationError, match=r"'Nothing\.decide' must be written"):
        type("Nothing", (KernelStrategy,), {"__module__": __name__})().arguments()


def decide_with_text(close):
    label = {"a": close}
    return target_position(label)


def decide_of_two_kinds(close):
    if close > 1.0:
        return HOLD
    return 5.0


def decide_of_the_unknown(close):
    twice = close * 2.0
    return target_position(undefined_thing(twice))  # noqa: F821


def decide_with_an_import(close):
    import os

    return target_position(len(os.name))


def decide_of_an_attribute(close):
    return target_position(close.mean())


@pytest.mark.parametrize(
    ("decide", "line", "text"),
    [
        (decide_of_two_kinds, "return 5.0", r"it returns different kinds of things; return HOLD, target_position\(\.\.\.\)"),
        (
            decide_with_text,
            "return target_position(label)",
            r"No implementation of function `target_position` found .*DictType",
        ),
        (decide_of_the_unknown, "return target_position(undefined_thing(twice))", "name 'undefined_thing' is not defined"),
        (decide_with_an_import, "import os", r"a statement in it has no machine code \(import name\)"),
        (decide_of_an_attribute, "return target_position(close.mean())", "Unknown attribute 'mean' of type float64"),
    ],
)
def test_what_cannot_be_compiled_is_told_with_the_line(decide, line, text):
    with pytest.raises(ConfigurationError, match=text) as caught:
        of(decide)().scan()
    told = str(caught.value)
    number = next(i for i, own in enumerate(inspect.getsourcelines(decide)[0]) if line in own) + decide.__code__.co_firstlineno
    assert told.startswith(f"Made.decide cannot be compiled ({__file__}, line {number}: {line}")
    assert told.endswith("or derive from Strategy.")
    assert "nopython" not in told
    assert "\x1b" not in told


def test_a_kernel_that_does_not_compile_stops_its_strategy_and_says_so():
    record = run(days({"A": [flat(10.0)] * 3}), of(decide_of_two_kinds)())
    (outcome,) = record.strategies
    assert outcome.status == "stopped"
    assert "decide cannot be compiled" in outcome.error


def test_decisions_are_the_same_in_python():
    assert target_position(3) == (1.0, 3.0, pytest.approx(math.nan, nan_ok=True), pytest.approx(math.nan, nan_ok=True))
    assert target_weight(0.5, 9.0, 11.0) == (2.0, 0.5, 9.0, 11.0)
    assert HOLD[:2] == (0.0, 0.0)


@pytest.mark.parametrize("strategy", [Anything, Cross, Share])
def test_shipped_in_a_file_they_are_found_and_pass_the_lint(strategy):
    path = inspect.getfile(strategy)
    assert find_strategy(f"{path}:{strategy.__name__}").__name__ == strategy.__name__
    assert [str(fault) for fault in lint_strategy(strategy)] == []


@pytest.mark.parametrize("name", ["on_start", "on_order_update", "on_corporate_action", "event_type"])
def test_what_is_inherited_from_elsewhere_counts_too(name):
    mixin = type("Mixin", (), {name: lambda *_: None})
    with pytest.raises(ConfigurationError, match=rf"'Mixed\.{name}' must not be written for a kernel strategy"):
        type("Mixed", (mixin, KernelStrategy), {"decide": staticmethod(lambda close: HOLD), "__module__": __name__})


def test_an_inherited_decision_is_one():
    child = type("Child", (Cross,), {"__module__": __name__})
    source = minutes({"A": random_bars(np.random.default_rng(1), 60)})
    assert len(run(source, child(fast=2, slow=3)).fills) == len(run(source, Cross(fast=2, slow=3)).fills) > 0


TYPED = """
from fairlead.sdk import KernelStrategy, target_position

class Typed(KernelStrategy):
    @staticmethod
    def decide(close):
        return target_position(3.0)
"""


def test_what_was_typed_in_runs_without_a_disk_cache():
    space = {"__name__": "__main__"}
    exec(compile(TYPED, "<stdin>", "exec"), space)
    strategy = space["Typed"]()
    assert [fill.quantity for fill in run(days({"A": [flat(10.0)] * 3}), strategy).fills] == [3.0]
    assert strategy.scan().stats.cache_path is None


SEVERAL_PROCESSES = """
import sys
from fairlead.sdk import find_strategy
from support_sessions import days, flat, run

strategy = find_strategy(sys.argv[1] + ":Held")
for text in sys.argv[2:]:  # the file changes after it was imported
    open(sys.argv[1], "w").write(text)
print([fill.quantity for fill in run(days({"A": [flat(10.0)] * 3}), strategy()).fills])
"""
HELD = """
from fairlead.sdk import KernelStrategy, target_position

UNITS = {units}

def amount():
    return UNITS * {factor}

class Held(KernelStrategy):
    @staticmethod
    def decide(close):
        return target_position(amount())
"""


def test_machine_code_on_disk_is_never_that_of_another_text(tmp_path):
    """Constants and helpers change, and a file is edited between its import and the first run: each text gives its own."""
    path = tmp_path / "held.py"
    source = str(Path(__file__).parents[1])
    known = os.environ | {"PYTHONPATH": os.pathsep.join([source, *sys.path]), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def told(*later):
        command = [sys.executable, "-B", "-c", SEVERAL_PROCESSES, str(path), *later]
        return subprocess.run(command, env=known, check=True, capture_output=True, text=True).stdout.strip()

    one, two, three = (HELD.format(units=units, factor=factor) for units, factor in ((1.0, 1), (2.0, 1), (1.0, 3)))
    path.write_text(one)
    assert told() == "[1.0]"
    assert told(two) == "[1.0]"  # what it imported
    assert told() == "[2.0]"
    path.write_text(three)
    assert told() == "[3.0]"
    assert list((tmp_path / "cache").rglob("*.nbi"))
