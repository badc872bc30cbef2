"""Declared parameters: types, ranges, choices, schemas, and how a strategy takes them."""

from __future__ import annotations

import json
import math

import pytest

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.sdk import Strategy, parameter
from fairlead.sdk.parameters import Parameter


class Sample(Strategy):
    """A strategy with one parameter of each kind."""

    fast: int = parameter(20, ge=2, le=500, doc="Bars in the fast average.")
    width: float = parameter(2, gt=0, lt=10.0)
    side: str = parameter("long", choices=("long", "short"))
    strict: bool = parameter(default=True)
    symbols: tuple[str, ...] = parameter(("A", "B"))
    weights: dict[str, float] = parameter({"A": 0.5})


class Float(Strategy):
    share: float = parameter(0.5, ge=0.0, le=1.0, doc="A share.")


def test_defaults_are_plain_attributes():
    sample = Sample()
    assert (sample.fast, sample.width, sample.side, sample.strict, sample.symbols) == (20, 2, "long", True, ("A", "B"))
    assert sample.weights == {"A": 0.5}
    assert list(sample.params) == ["fast", "width", "side", "strict", "symbols", "weights"]


def test_given_values_replace_defaults_for_this_instance_alone():
    assert Sample(fast=5, symbols=["C"]).params["fast"] == 5
    assert Sample(symbols=["C"]).symbols == ("C",), "a list from YAML becomes a tuple"
    assert Sample().fast == 20


def test_a_whole_number_is_a_number():
    share = Float(share=1).share
    assert (share, type(share)) == (1.0, float)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"fast": 1}, r"'fast' must be >= 2, was 1. Bars in the fast average\."),
        ({"fast": 501}, "'fast' must be <= 500, was 501"),
        ({"fast": 20.0}, r"'fast' must be of type int, was 20.0"),
        ({"fast": "20"}, "'fast' must be of type int, was '20'"),
        ({"fast": True}, "'fast' must be of type int, was True"),
        ({"fast": None}, "'fast' must be of type int, was None"),
        ({"width": 0}, "'width' must be > 0, was 0"),
        ({"width": 10}, "'width' must be < 10.0, was 10"),
        ({"side": "flat"}, r"'side' must be one of \['long', 'short'\], was 'flat'"),
        ({"side": 1}, "'side' must be of type str, was 1"),
        ({"strict": 1}, "'strict' must be of type bool, was 1"),
        ({"symbols": "AB"}, "'symbols' must be of type tuple, was 'AB'"),
        ({"weights": [1]}, r"'weights' must be of type dict, was \[1\]"),
    ],
)
def test_a_value_that_breaks_its_declaration_is_refused(given, text):
    with pytest.raises(ConfigurationError, match=text):
        Sample(**given)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_finite_numbers_are_taken(value):
    with pytest.raises(ConfigurationError, match=f"'share' must be finite, was {value}"):
        Float(share=value)


def test_booleans_are_no_floats():
    with pytest.raises(ConfigurationError, match="'share' must be of type float, was True"):
        Float(share=True)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_closed_bounds_belong_to_the_range(share):
    assert Float(share=share).share == share


def test_an_unknown_parameter_is_answered_with_the_known():
    with pytest.raises(UnknownName, match=r"no parameter of Sample named 'fats'; did you mean 'fast'\? Known: fast, side,"):
        Sample(fats=3)


def test_a_default_outside_its_own_range_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="'default' must be >= 2, was 1"):
        parameter(1, ge=2)


def test_a_default_of_no_known_type_is_refused():
    with pytest.raises(ConfigurationError, match=r"'parameter default' must be one of \['bool', 'dict', 'float', 'int',"):
        parameter(object())


def test_instances_share_no_mutable_default():
    """Changing one strategy's dict changes neither the declaration nor the next strategy."""
    first = Sample()
    first.weights["B"] = 0.5
    assert Sample().weights == {"A": 0.5}
    assert Sample.schema()["properties"]["weights"]["default"] == {"A": 0.5}


def test_a_given_dict_is_copied():
    given = {"A": 1.0}
    sample = Sample(weights=given)
    given["A"] = 2.0
    assert sample.weights == {"A": 1.0}


def test_the_schema_describes_every_parameter():
    schema = Sample.schema()
    assert (schema["title"], schema["type"], schema["additionalProperties"]) == ("sample", "object", False)
    assert schema["properties"]["fast"] == {
        "type": "integer",
        "default": 20,
        "minimum": 2,
        "maximum": 500,
        "description": "Bars in the fast average.",
    }
    assert schema["properties"]["width"] == {
        "type": "integer",
        "default": 2,
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 10.0,
    }
    assert schema["properties"]["side"] == {"type": "string", "default": "long", "enum": ["long", "short"]}
    types = {name: entry["type"] for name, entry in schema["properties"].items()}
    assert (types["strict"], types["symbols"], types["weights"]) == ("boolean", "array", "object")
    json.dumps(schema)


def test_parameters_are_inherited_and_can_be_declared_anew():
    class Child(Sample):
        fast: int = parameter(5, ge=1)
        slow: int = parameter(50)

    assert (Child().fast, Child().slow, Child().side) == (5, 50, "long")
    assert Sample().fast == 20
    assert "slow" not in Sample.parameters
    assert isinstance(Child.parameters["fast"], Parameter)


def test_a_strategy_is_named_after_its_class_unless_it_says_otherwise():
    class SmaCross(Strategy):
        pass

    class Other(Strategy):
        name = "my_own"

    class Grandchild(Other):
        pass

    assert (SmaCross.name, Other.name, Grandchild.name) == ("sma_cross", "my_own", "grandchild")
