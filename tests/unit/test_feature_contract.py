"""The contract check finds each fault that a feature can have, and passes what has none."""

import json
import re

import numpy as np
import pytest

from fairlead.core.errors import ConfigurationError, ContractError, UnknownName
from fairlead.features import Output, Uses, feature, known_features, lookback
from fairlead.features.contract import check_feature
from fairlead.features.trial_bars import BARS_PER_SESSION, trial_bars, unit_of

CHECKS = [
    "declaration",
    "state size",
    "machine code",
    "batch equals streaming",
    "truncation",
    "warm-up",
    "range",
    "units",
    "gaps",
    "no infinity",
]


def broken(found):
    return {check.name for check in found.failures}


def step_scaled(state, params, inputs, outputs):
    outputs[0] = inputs[0] * 2.0


def step_growth(state, params, inputs, outputs):
    if state[0] > 0.0:
        outputs[0] = inputs[0] / state[1] - 1.0 if state[1] > 0.0 else 0.0
    state[0] = 1.0
    state[1] = inputs[0]


def step_remembering(state, params, inputs, outputs, highest=[0.0]):  # noqa: B006  the fault that is to be found
    highest[0] = max(highest[0], inputs[0])
    outputs[0] = inputs[0] / highest[0] if highest[0] > 0.0 else 0.0


def step_counting(state, params, inputs, outputs, calls=[0.0]):  # noqa: B006  the fault that is to be found
    calls[0] += 1.0
    outputs[0] = calls[0]


def step_beyond(state, params, inputs, outputs):
    state[int(params[0])] = inputs[0]
    outputs[0] = 1.0


def step_beyond_at_high_prices(state, params, inputs, outputs):
    state[1 if inputs[0] > 1e6 else 0] = 1.0
    outputs[0] = 1.0


def step_two(state, params, inputs, outputs):
    if inputs[0] == inputs[0]:
        outputs[0] = 1.0
    state[0] += 1.0
    if state[0] > 1.0:
        outputs[1] = 1.0


def step_clock(state, params, inputs, outputs):
    state[0] += 1.0
    outputs[0] = inputs[1] - state[0]


def step_overflowing(state, params, inputs, outputs):
    outputs[0] = inputs[0] * 1e308 if state[0] > 20.0 else 1.0
    state[0] += 1.0


def step_dividing(state, params, inputs, outputs):
    outputs[0] = inputs[1] / (inputs[0] - inputs[1])


def step_share_of_range(state, params, inputs, outputs):
    if inputs[0] > inputs[1]:
        outputs[0] = (inputs[2] - inputs[1]) / (inputs[0] - inputs[1])


def step_above_mean(state, params, inputs, outputs):
    for i in range(len(outputs)):
        outputs[i] = 0.0


def step_wrong_in_python(state, params, inputs, outputs):
    outputs[0] = float(int(inputs[0] * 1e17) % 7)  # Python's integers have no end, the machine's have


GOOD = feature("growth", outputs=(Output(low=-1.0),), warm_up=lambda _: 1, state_size=lambda _: 2, formula="P_t / P_{t-1} - 1")(
    step_growth
)


@pytest.mark.parametrize("name", known_features())
def test_every_known_feature_keeps_its_contract(name):
    found = check_feature(name)
    assert found.passed, found
    assert [check.name for check in found.checks] == CHECKS


def test_a_feature_that_is_registered_nowhere_can_be_checked():
    found = check_feature(GOOD)
    assert found.passed, found
    assert (found.feature, found.warm_up, found.state_size) == ("growth", 1, 2)


@pytest.mark.parametrize(
    ("made", "fault", "text"),
    [
        (
            feature("x", outputs=(Output(unit="volume"),))(step_scaled),
            {"units"},
            "value times 1 gives .*prices times 7 and volumes times 1",
        ),
        (
            feature("x", outputs=(Output(unit="price", high=150.0),))(step_scaled),
            {"range"},
            r"beyond the declared \[-inf, 150\]",
        ),
        (feature("x", warm_up=lambda _: 2, state_size=lambda _: 2)(step_growth), {"warm-up"}, "declared 2 .*bar 1 has one"),
        (feature("x", warm_up=lambda _: 0, state_size=lambda _: 2)(step_growth), {"warm-up"}, "declared 0 .*bar 0 has none"),
        (
            feature("x", outputs=(Output("a"), Output("b")), state_size=lambda _: 1)(step_two),
            {"warm-up"},
            "b: declared 0 .*bar 0 has none",
        ),
        (
            feature("x", compiled=False)(step_remembering),
            {"machine code", "units"},
            "the first run gives 1.0, a later one",
        ),
        (
            feature("x", compiled=False)(step_counting),
            {"machine code", "batch equals streaming", "truncation", "units", "gaps"},
            "history gives .*, 1 bars at a time",
        ),
        (feature("x", inputs=("high", "low"))(step_dividing), {"range", "no infinity"}, "ZeroDivisionError"),
        (
            feature("x", outputs=(Output(unit="other"),), state_size=lambda _: 1)(step_overflowing),
            {"warm-up", "no infinity"},
            "the kernel gives an infinity",
        ),
        (
            feature("x", inputs=("high", "low", "close"))(step_share_of_range),
            {"no infinity"},
            "no value on bars that do not move",
        ),
        (feature("x")(step_wrong_in_python), {"machine code", "units"}, "plain Python gives .*machine code"),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_each_fault_is_found_and_named(made, fault, text):
    found = check_feature(made)
    assert fault <= broken(found)
    assert broken(found) <= fault | {"no infinity"}
    assert any(re.search(text, check.detail) for check in found.failures), found


def test_a_value_for_a_missing_bar_of_a_comparison_is_found():
    made = feature("x", cross_section=True)(step_above_mean)
    found = check_feature(made)
    assert broken(found) == {"gaps"}
    assert "a bar that is missing has a value" in str(found)


@pytest.mark.parametrize("step", [step_beyond, step_beyond_at_high_prices])
def test_machine_code_is_not_run_where_python_leaves_the_state(step):
    made = feature("x", parameters={"n": lookback(5)}, state_size=lambda _: 1)(step)
    found = check_feature(made)
    assert broken(found) == set(CHECKS) - {"declaration"}
    assert "IndexError" in found.checks[1].detail
    assert found.checks[2].detail == "not run: plain Python fails first"


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (feature("x", inputs=(Uses("no_such_feature"),))(step_scaled), "no feature named 'no_such_feature'"),
        (feature("x", inputs=(Uses("support_features:chicken"),))(step_scaled), "in a circle"),
        (feature("x", warm_up=lambda p: p["m"])(step_scaled), "KeyError: 'm'"),
    ],
)
def test_a_declaration_that_cannot_be_planned_is_a_finding(made, text):
    found = check_feature(made)
    assert broken(found) == {"declaration"}
    assert text in str(found)
    assert (found.warm_up, found.state_size) == (None, None)


@pytest.mark.parametrize("name", ["raising", "untranslatable", "dividing", "infinite"])
def test_no_failing_feature_raises(name):
    assert not check_feature(f"support_features:{name}").passed


def test_what_the_caller_got_wrong_raises():
    with pytest.raises(UnknownName, match="no feature named 'rsii'; did you mean 'rsi'"):
        check_feature("rsii")
    with pytest.raises(UnknownName, match="no parameter"):
        check_feature("rsi", {"m": 3})
    with pytest.raises(ConfigurationError, match="must be >= 1"):
        check_feature("rsi", {"n": 0})
    with pytest.raises(ContractError, match="'columns' must have volume, was"):
        check_feature("obv", columns={"close": np.ones(50)})
    with pytest.raises(ContractError, match="'columns' must have one shape"):
        check_feature("obv", columns={"close": np.ones(50), "volume": np.ones(40)})


def test_bars_of_the_caller_are_used():
    """A fault that ordinary prices do not show."""
    made = feature("x", outputs=(Output(unit="price", low=0.0),))(step_scaled)
    assert "range" not in broken(check_feature(made))
    negative = {"close": np.linspace(-5.0, 5.0, 60)}
    assert "range" in broken(check_feature(made, columns=negative))


def test_the_report_can_be_printed_and_stored():
    found = check_feature("macd", {"n_fast": 3, "n_slow": 6, "n_signal": 2})
    assert str(found).splitlines()[0] == "macd(n_fast=3, n_slow=6, n_signal=2): keeps its contract"
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["passed"] is True
    assert stored["warm_up"] == 6
    assert [check["name"] for check in stored["checks"]] == CHECKS


def test_the_check_repeats_itself():
    assert check_feature("atr") == check_feature("atr")


def test_trial_bars_are_valid_and_depend_on_the_seed_alone():
    names = (
        "open",
        "high",
        "low",
        "close",
        "volume",
        "bid",
        "ask",
        "session",
        "minute",
        "benchmark",
        "fact.eps",
        "fact.sector",
    )
    bars = trial_bars(names, 3, 100, seed=5002)
    assert (bars["high"] >= np.maximum(bars["open"], bars["close"])).all()
    assert (bars["low"] <= np.minimum(bars["open"], bars["close"])).all()
    assert (bars["bid"] < bars["ask"]).all()
    assert (np.diff(bars["minute"]) > 0).all()
    assert (bars["session"][:, BARS_PER_SESSION] == bars["session"][:, 0] + 1).all()
    assert (bars["fact.sector"] % 1.0 == 0.0).all()
    np.testing.assert_array_equal(trial_bars(["close"], 3, 100, seed=5002)["close"], bars["close"])
    assert (trial_bars(["close"], 3, 100, seed=5003)["close"] != bars["close"]).any()
    assert [unit_of(name) for name in ("bid", "fact.eps", "bid_size", "minute")] == ["price", "price", "volume", "none"]
