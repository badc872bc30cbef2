"""Limits in percent points: a fraction where a percentage is meant is a hundredfold error, and is refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import ValidationInfo

from fairlead.core.errors import ConfigurationError

NumberT = TypeVar("NumberT", float, Decimal)


def no_switch(value: Any, info: ValidationInfo) -> Any:
    """Refuse a boolean: to Python it is a number, to whoever reads a limit it never is."""
    if isinstance(value, bool):
        raise ConfigurationError.of(str(info.field_name), "be a number", value)
    return value


def percent(low: str, high: str) -> Callable[[NumberT, ValidationInfo], NumberT]:
    """Return the check of a limit in percent points, which offers the percentage if a fraction was written."""
    lowest, highest = Decimal(low), Decimal(high)

    def check(value: NumberT, info: ValidationInfo) -> NumberT:
        exact = Decimal(str(value))  # of a float the shortest text that gives it back
        if lowest <= exact <= highest:
            return value
        meant = (exact * 100).normalize()
        remedy = f"Write {meant:f} for {meant:f} percent." if 0 < exact < lowest <= meant <= highest else ""
        raise ConfigurationError.of(str(info.field_name), f"be in [{low}, {high}], in percent", float(value), remedy)

    return check
