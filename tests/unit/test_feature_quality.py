"""Computed values against what their feature declares and what they were in training."""

import json

import numpy as np
import pytest

from fairlead.core.errors import ContractError, UnknownName
from fairlead.features import Output, feature
from fairlead.features.quality import QualitySettings, check_quality

RNG = np.random.default_rng(5004)
RSI = RNG.uniform(20.0, 80.0, 400)


def status(report, check, output="value"):
    return next(c.status for c in report.checks if c.name == f"{output}: {check}")


def detail(report, check, output="value"):
    return next(c.detail for c in report.checks if c.name == f"{output}: {check}")


def with_nans(values, count):
    return np.concatenate([np.full(count, np.nan), values[count:]])


def test_good_values_pass():
    report = check_quality("rsi", RSI, RSI[::-1])
    assert report.passed
    assert report.warnings == ()


@pytest.mark.parametrize(("bad", "shown"), [(100.0000001, "100"), (-1.0, "-1"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_value_beyond_the_range_fails(bad, shown):
    values = RSI.copy()
    values[[7, 9]] = bad
    report = check_quality("rsi", values, RSI)
    assert not report.passed
    assert status(report, "range") == "failed"
    assert detail(report, "range") == f"2 of 400 values beyond [0, 100], first {shown} at 7"


def test_the_ends_of_the_range_belong_to_it():
    values = RSI.copy()
    values[:2] = 0.0, 100.0
    assert check_quality("rsi", values, RSI).passed


def test_the_place_in_a_panel_is_told():
    values = RSI.reshape(4, 100).copy()
    values[2, 30] = 101.0
    assert detail(check_quality("rsi", values), "range").endswith("at (2, 30)")


@pytest.mark.parametrize(
    ("trained", "missing", "expected"),
    [(10, 20, "passed"), (10, 21, "failed"), (0, 0, "passed"), (0, 2, "passed"), (0, 3, "failed"), (300, 400, "passed")],
)
def test_the_nan_rate_may_double_and_a_rate_of_zero_counts_as_one_value(trained, missing, expected):
    report = check_quality("rsi", with_nans(RSI, missing), with_nans(RSI, trained))
    assert status(report, "NaN rate") == expected


def test_a_nan_rate_that_cannot_be_judged_is_not_passed():
    alone = check_quality("rsi", RSI)
    assert status(alone, "NaN rate") == "warning"
    assert alone.passed
    for values, reference, where in ((RSI, RSI[:29], "reference"), (RSI[:29], RSI, "values")):
        short = check_quality("rsi", values, reference)
        assert not short.passed
        assert detail(short, "NaN rate") == f"not judged: {where} has 29 rows, 30 needed"


@pytest.mark.parametrize("dtype", ["float32", "int64", "object", "U8", "bool"])
def test_another_type_fails(dtype):
    report = check_quality("rsi", RSI.astype(dtype), RSI)
    assert status(report, "type") == "failed"
    assert "declared float64" in detail(report, "type")


def test_what_does_not_move_is_a_warning():
    report = check_quality("rsi", np.full(60, 50.0), RSI)
    assert report.passed
    assert [check.detail for check in report.warnings] == ["all 60 values are 50"]


def test_a_value_that_stands_longer_than_usual_is_a_warning():
    values = RSI.copy()
    values[50:151] = 50.0
    assert status(check_quality("rsi", values, RSI), "moves") == "warning"
    assert status(check_quality("rsi", values, values[::-1]), "moves") == "passed"
    values[150] = 51.0
    assert status(check_quality("rsi", values, RSI), "moves") == "passed"
    trained = RSI.copy()
    trained[:60] = 50.0
    for rows, expected in ((120, "passed"), (121, "warning")):
        values = RSI.copy()
        values[:rows] = 50.0
        assert status(check_quality("rsi", values, trained), "moves") == expected
    panel = np.full((200, 2), 50.0) * [1.0, 1.2]
    assert status(check_quality("rsi", panel), "moves") == "passed"


def test_each_output_is_checked_against_its_own_declaration():
    two = feature("two", outputs=(Output("low", high=1.0), Output("high", low=1.0)))(
        lambda state, params, inputs, outputs: None
    )
    report = check_quality(two, {"low": RSI, "high": RSI})
    assert status(report, "range", "low") == "failed"
    assert status(report, "range", "high") == "passed"


def test_wrong_outputs_and_names_are_refused():
    with pytest.raises(ContractError, match=r"'values' must hold the outputs k, d of stochastic, was \['k'\]"):
        check_quality("stochastic", {"k": RSI})
    with pytest.raises(ContractError, match="'reference' must hold the outputs value of rsi"):
        check_quality("rsi", RSI, {"values": RSI})
    with pytest.raises(UnknownName, match="no feature named 'rsx'"):
        check_quality("rsx", RSI)


def test_the_report_can_be_printed_and_stored():
    report = check_quality("rsi", RSI, RSI, QualitySettings(nan_ratio=3.0))
    assert str(report).splitlines()[0] == "rsi: passed"
    assert "3 times 0 of 400, counted as 1" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


def test_no_values_do_not_pass():
    assert not check_quality("rsi", np.empty(0), RSI).passed
