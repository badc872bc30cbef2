# ruff: noqa: E501  one row per rule, with the whole message, reads best
"""Every kind of rule that a settings class can state reads as a sentence."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from fairlead.config.document import parse_yaml
from fairlead.config.problems import Origin
from fairlead.config.translation import problems_of
from fairlead.contracts.settings import Settings


class Fixed(Settings):
    """One member of a union; its tag is also the name of a field."""

    type: Literal["fixed"]
    fixed: int = 0


class Varied(Settings):
    """Another."""

    type: Literal["varied"]
    level: float = Field(default=0.5, ge=0)


class Component(Settings):
    """A field for every rule."""

    low: float = Field(default=1.0, gt=0)
    high: float = Field(default=1.0, le=9.5)
    share: float = Field(default=0.5, ge=0, lt=1)
    step: int = Field(default=5, multiple_of=5)
    pair: tuple[Annotated[int, Field(gt=0)], str] = (1, "a")
    few: tuple[int, ...] = Field(default=(), max_length=2)
    short: str = Field(default="a", max_length=2)
    number_or_max: float | Literal["max"] = "max"
    table: dict[str, Varied] = Field(default_factory=dict)
    part: Annotated[Fixed | Varied, Field(discriminator="type")] = Fixed(type="fixed")
    upper: str = "A"
    first: int = 0
    last: int = 0

    @field_validator("upper")
    @classmethod
    def _is_upper(cls, value: str) -> str:
        if not value.isupper():
            raise ValueError("upper case is wanted")
        return value

    @field_validator("last")
    @classmethod
    def _ordered(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("first", 0):
            raise ValueError("last must not be below first")
        return value


def _problems(text):
    root = parse_yaml(text, lambda line: Origin.in_file("x", line))
    with pytest.raises(ValidationError) as caught:
        Component.model_validate(root.plain())
    return [str(problem) for problem in problems_of(caught.value, Component, root)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("low: 0", "'low' must be > 0, was 0."),
        ("high: 10", "'high' must be <= 9.5, was 10."),
        ("share: 1", "'share' must be in [0, 1), was 1."),
        ("share: 2.5", "'share' must be in [0, 1), was 2.5. It is a fraction: did you mean 0.025?"),
        ("share: -2", "'share' must be in [0, 1), was -2."),
        ("share: 101", "'share' must be in [0, 1), was 101."),
        ("step: 7", "'step' must be a multiple of 5, was 7."),
        ("pair: [0, a]", "'pair.0' must be > 0, was 0."),
        ("pair: [1, 2]", "'pair.1' must be text, was 2. Put it in quotes."),
        ("few: [1, 2, 3]", "'few' must hold at most 2 items, was a list of 3."),
        ("short: abc", "'short' must have at most 2 characters, was 'abc'."),
        ("number_or_max: fast", "'number_or_max' must be a number or 'max', was 'fast'."),
        ("table: {a: {type: varied, levl: 1}}", "'table.a.levl' must be a known key, was unknown. Did you mean 'level'? Known: level, type."),
        ("table: {a.b: {type: varied, level: -1}}", "'table.\"a.b\".level' must be >= 0, was -1."),
        ("part: {type: fixed, fixed: x}", "'part.fixed' must be a whole number, was 'x'."),
        ("part: {type: fixed, fixd: 1}", "'part.fixd' must be a known key, was unknown. Did you mean 'fixed'? Known: fixed, type."),
        ("part: {type: varied, fixed: 1}", "'part.fixed' must be a known key, was unknown. Known: level, type."),
        ("part: {type: fxed}", "'part.type' must be one of 'fixed', 'varied', was 'fxed'. Did you mean 'fixed'?"),
        ("part: {fixed: 1}", "'part.type' must be given, was missing."),
        ("upper: a", "'upper': upper case is wanted"),
        ("{first: 2, last: 1}", "'last': last must not be below first"),
    ],
)  # fmt: skip
def test_a_rule_in_words(text, message):
    assert _problems(text) == [f"x:1: {message}"]


def test_a_rule_without_words_of_its_own_keeps_those_of_pydantic():
    class Odd(Settings):
        when: Annotated[set[int], Field(max_length=1)] = Field(default_factory=set)
        kind: type[int] = int

    root = parse_yaml("kind: 5", lambda line: Origin.in_file("x", line))
    with pytest.raises(ValidationError) as caught:
        Odd.model_validate(root.plain())
    (problem,) = problems_of(caught.value, Odd, root)
    assert str(problem) == "x:1: 'kind' must be valid (Input should be a subclass of int), was 5."
