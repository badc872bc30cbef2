"""The settings of the synthetic market: what they accept, and what they say about themselves."""

import datetime as dt

import pytest
from pydantic import ValidationError

from fairlead.core.time import BarSize
from fairlead.data.synthetic import JumpSettings, RegimeSettings, SyntheticSettings, describe

SPAN = {"start": "2024-01-02", "end": "2024-01-31"}


def test_a_count_names_the_symbols():
    assert SyntheticSettings(symbols=3, **SPAN).names == ("SYN001", "SYN002", "SYN003")


def test_a_large_count_gets_wider_names_that_still_sort():
    names = SyntheticSettings(symbols=1200, **SPAN).names
    assert names[0] == "SYN0001"
    assert list(names) == sorted(names)


def test_names_are_normalised():
    assert SyntheticSettings(symbols=(" abc", "BRK.B"), **SPAN).names == ("ABC", "BRK.B")


def test_aliases_of_the_bar_size_are_understood():
    assert SyntheticSettings(bar_size="daily", **SPAN).bar_size is BarSize.D1
    assert SyntheticSettings(bar_size=BarSize.M5, **SPAN).bar_size is BarSize.M5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbols": ("ABC", "abc")}, r"'symbols' must name each symbol once, was \['ABC'\]. Drop the repetition."),
        ({"symbols": ()}, "'symbols' must have from 1 to 10000 names, was 0"),
        ({"symbols": ("A B",)}, "'symbol' must match"),
        ({"symbols": 0}, "greater than or equal to 1"),
        ({"bar_size": "7min"}, "'bar_size' must be one of"),
        ({"end": "2024-01-01"}, r"'end' must not be before start \(2024-01-02\), was '2024-01-01'"),
        ({"volatility": (0.4, 0.2)}, r"be \(low, high\) with low <= high, was \(0.4, 0.2\)"),
        ({"volatility": (15, 45)}, "'volatility' must be at most 5 per year.*0.3 means 30 % per year"),
        ({"sector_correlation": 0.1}, r"'sector_correlation' must be at least the correlation \(0.3\), was 0.1"),
        ({"sector_correlation": 0.95}, "be at most 0.9, because jumps are independent.*Lower jumps.variance_frac"),
        ({"overnight_frac": 0.9}, "'overnight_frac' must leave variance for the session"),
        ({"tick": 25.0}, r"'tick' must not exceed the lowest start_price \(20.0\), was 25.0"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused_with_the_rule(change, message):
    with pytest.raises(ValidationError, match=message):
        SyntheticSettings(**{**SPAN, **change})


def test_without_arrivals_jumps_take_no_variance():
    """Otherwise switching jumps off would lower a symbol's volatility."""
    assert JumpSettings(per_session=0).share == 0.0
    assert JumpSettings(per_session=0.1).share == 0.10


def test_stationary_shares_solve_the_chain():
    """One step of the chain leaves its long-run shares as they are."""
    rule = RegimeSettings(stay=(0.9, 0.8, 0.7), storm_frac=0.25)
    calm, normal, storm = rule.stationary()
    assert calm == pytest.approx(0.9 * calm + 0.2 * 0.75 * normal)
    assert storm == pytest.approx(0.7 * storm + 0.2 * 0.25 * normal)
    assert calm + normal + storm == pytest.approx(1.0)


def test_regimes_keep_the_long_run_variance():
    rule = RegimeSettings()
    square = sum(p * m**2 for p, m in zip(rule.stationary(), rule.multipliers(), strict=True))
    assert square == pytest.approx(1.0)
    assert rule.multipliers()[2] / rule.multipliers()[0] == pytest.approx(2.2 / 0.6)


def test_the_description_says_synthetic_seed_and_model():
    text = describe(SyntheticSettings(symbols=12, seed=7, **SPAN))
    assert text.startswith("SYNTHETIC")
    for part in ("Seed 7", "12 symbol(s) (SYN001 ... SYN012)", "1min bars", "XNYS", "2024-01-02 to 2024-01-31", "Student-t"):
        assert part in text


def test_the_description_lists_few_symbols_and_absent_jumps():
    text = describe(SyntheticSettings(symbols=("ABC", "XYZ"), jumps={"per_session": 0}, **SPAN))
    assert "(ABC, XYZ)" in text
    assert "jumps: none" in text


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        SyntheticSettings(**SPAN).seed = 1
    assert SyntheticSettings(**SPAN).start == dt.date(2024, 1, 2)
