"""The error tree, and the text that every error carries."""

from __future__ import annotations

import inspect
import re

import pytest

from fairlead.core import errors
from fairlead.core.errors import ConfigurationError, ContractError, FairleadError, UnknownName

EVERY = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, FairleadError)]


def _drawn_tree() -> dict[str, str]:
    """Child -> parent, read from the drawing in the module's docstring."""
    parents: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([\s│├└─]*)([A-Z]\w+)", line)
        if match is None or match[2] not in vars(errors):
            continue
        depth = len(match[1])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            parents[match[2]] = stack[-1][1]
        stack.append((depth, match[2]))
    return parents


def test_the_drawing_is_the_tree():
    """Every class is drawn, under the base it really has."""
    real = {cls.__name__: cls.__bases__[0].__name__ for cls in EVERY if cls is not FairleadError}
    assert _drawn_tree() == real


@pytest.mark.parametrize("cls", EVERY, ids=lambda c: c.__name__)
def test_every_error_is_built_from_its_four_parts(cls):
    error = cls.of("cash", "be above 0", -5, "Give money.")
    assert type(error) is cls
    assert str(error) == "'cash' must be above 0, was -5. Give money."


def test_a_remedy_is_optional():
    assert str(FairleadError.of("a", "be b", "c")) == "'a' must be b, was 'c'"


@pytest.mark.parametrize("cls", [ConfigurationError, ContractError, UnknownName])
def test_wrong_input_is_also_a_value_error(cls):
    assert issubclass(cls, ValueError)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_known():
    error = UnknownName.among("strategy", "SMA_crosover", ["rsi", "sma_crossover"], "Or write one.")
    assert str(error) == (
        "no strategy named 'SMA_crosover'; did you mean 'sma_crossover'? Known: rsi, sma_crossover. Or write one."
    )


def test_no_guess_is_made_when_nothing_is_near():
    assert str(UnknownName.among("symbol", "QQQ", ["b", "a"])) == "no symbol named 'QQQ'. Known: a, b."


def test_an_empty_registry_says_so():
    assert str(UnknownName.among("symbol", "QQQ", [])).endswith("Known: (none).")
