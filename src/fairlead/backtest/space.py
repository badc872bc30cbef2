"""Parameter spaces: which values a study may give to which parameters, and how people write them.

``5:50:5`` is a range with a step, both ends included; ``5:50`` has step 1 for whole numbers and is continuous otherwise;
``1e-4:1:log`` is continuous in orders of magnitude; ``a,b,c`` is a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

import numpy as np
import yaml

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.sdk.parameters import Parameter

_FORMS: Final = "Write a range lo:hi:step, lo:hi or lo:hi:log, or a list a,b,c."
_OPENING, _CLOSING, _QUOTES = "[{(", "]})", "'\""
# A list of so many values is a mistake of the step, and would not fit anywhere.
MAX_VALUES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Values:
    """A finite set of values in the order given.

    Parameters
    ----------
    values : tuple
    """

    values: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.values)

    def draw(self, random: np.random.Generator) -> Any:
        """Return one of the values."""
        return self.values[int(random.integers(len(self.values)))]

    def __str__(self) -> str:
        return ",".join(str(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers from `low` to `high`; for random and Optuna search.

    Parameters
    ----------
    low, high : float
    log : bool
        Uniform in the logarithm.
    whole : bool
        Whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigurationError.of("interval", "go from low to high, both finite", (self.low, self.high))
        if self.log and self.low <= 0:
            raise ConfigurationError.of("interval", "begin above 0 to be one of orders of magnitude", self.low)

    def draw(self, random: np.random.Generator) -> Any:
        """Return one number."""
        # A whole number owns the half-open unit around it, so that both ends are as likely as the rest.
        margin = 0.5 if self.whole else 0.0
        low, high = self.low - margin, self.high + margin
        value = math.exp(random.uniform(math.log(low), math.log(high))) if self.log else random.uniform(low, high)
        if not self.whole:
            return min(max(float(value), self.low), self.high)
        return int(min(max(math.floor(value + 0.5), self.low), self.high))

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}{':log' if self.log else ''}"


Axis: TypeAlias = Values | Interval


@dataclass(frozen=True, slots=True)
class ParameterSpace:
    """The parameters of a study and their values; the last one varies fastest.

    Parameters
    ----------
    axes : mapping of str to Values or Interval
    """

    axes: Mapping[str, Axis]

    @classmethod
    def parse(cls, texts: Sequence[str], declared: Mapping[str, Parameter], owner: str) -> ParameterSpace:
        """Return the space that ``name=values`` texts describe.

        Parameters
        ----------
        texts : sequence of str
            ``fast=5:50:5``, ``slow=50,100,200``, ``decay=0.001:1:log``.
        declared : mapping of str to Parameter
            What the strategy declares: every value is checked against it.
        owner : str
            The strategy's name, for messages.

        Raises
        ------
        UnknownName
            If the strategy has no such parameter.
        ConfigurationError
            If a text has no ``=``, a range is empty or inverted, or a value breaks the parameter's declaration.
        """
        given: dict[str, str] = {}
        for text in texts:
            name, equals, values = text.partition("=")
            name = name.strip()
            if not equals or not name:
                raise ConfigurationError.of("--param", "have the form name=values", text, _FORMS)
            if name in given:
                raise ConfigurationError.of(f"--param {name}", "be given once", text, "Put all values in one list.")
            given[name] = values.strip()
        return cls.of(given, declared, owner)

    @classmethod
    def of(cls, given: Mapping[str, Any], declared: Mapping[str, Parameter], owner: str) -> ParameterSpace:
        """Return the space of ``{"fast": range(5, 51, 5), "slow": "50:200:25", "decay": [0.1, 0.2]}``.

        Raises
        ------
        UnknownName, ConfigurationError
            As `parse`.
        """
        if not given:
            raise ConfigurationError.of("parameters", "name at least one", {}, "For example fast=5:50:5.")
        for name in given:
            if name not in declared:
                raise UnknownName.among(f"parameter of {owner}", name, declared)
        return cls({name: _axis(name, value, declared[name]) for name, value in given.items()})

    @property
    def size(self) -> int | None:
        """How many parameter sets there are; None if there is no end of them."""
        counts = [_count(axis) for axis in self.axes.values()]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def at(self, index: int) -> dict[str, Any]:
        """Return parameter set `index` of a finite space, counted from 0."""
        params: dict[str, Any] = {}
        for name, axis in reversed(list(self.axes.items())):
            count = _count(axis)
            assert count is not None
            index, place = divmod(index, count)
            params[name] = axis.values[place] if isinstance(axis, Values) else int(axis.low) + place
        return dict(reversed(params.items()))

    def draw(self, random: np.random.Generator) -> dict[str, Any]:
        """Return a random parameter set."""
        return {name: axis.draw(random) for name, axis in self.axes.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data, from which `from_dict` makes it again."""
        return {
            name: {"values": list(axis.values)}
            if isinstance(axis, Values)
            else {"low": axis.low, "high": axis.high, "log": axis.log, "whole": axis.whole}
            for name, axis in self.axes.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ParameterSpace:
        """Return the space that `to_dict` described; a list in it, a value of several names say, is a tuple again."""
        axes: dict[str, Axis] = {}
        for name, item in data.items():
            if "values" in item:
                axes[name] = Values(tuple(tuple(v) if isinstance(v, list) else v for v in item["values"]))
            else:
                axes[name] = Interval(**item)
        return cls(axes)

    def __str__(self) -> str:
        return " ".join(f"{name}={axis}" for name, axis in self.axes.items())


def _count(axis: Axis) -> int | None:
    if isinstance(axis, Values):
        return len(axis)
    return int(axis.high - axis.low) + 1 if axis.whole else None


def _axis(name: str, value: Any, declared: Parameter) -> Axis:
    axis: Axis
    if isinstance(value, Interval):
        if declared.kind not in (int, float):
            raise ConfigurationError.of(name, f"have values of type {declared.kind.__name__}", str(value), "Give a list.")
        axis = replace(value, whole=declared.kind is int)
    elif isinstance(value, Values):
        axis = value
    elif isinstance(value, str):
        axis = _parsed(name, value, declared.kind)
    elif isinstance(value, Iterable):
        axis = Values(tuple(item.item() if isinstance(item, np.generic) else item for item in value))
    else:
        axis = Values((value,))
    if isinstance(axis, Interval):
        declared.check(axis.low)
        declared.check(axis.high)
        return axis
    if not axis.values:
        raise ConfigurationError.of(name, "have at least one value", value, _FORMS)
    checked = tuple(declared.check(item) for item in axis.values)
    seen: list[Any] = []
    for item in checked:
        if item in seen[-1:] or (len(checked) <= 10_000 and item in seen):
            raise ConfigurationError.of(name, "not repeat a value", item)
        seen.append(item)
    return Values(checked)


def _parsed(name: str, text: str, kind: type) -> Axis:
    if not text:
        raise ConfigurationError.of(name, "have at least one value", text, _FORMS)
    if ":" in text and "," not in text and kind in (int, float):
        return _range(name, text, kind)
    values = []
    for part in _split(text):
        if not part.strip():
            raise ConfigurationError.of(name, "have a value between commas", text, _FORMS)
        values.append(part.strip() if kind is str else _scalar(name, part.strip()))
    return Values(tuple(values))


def _range(name: str, text: str, kind: type) -> Axis:
    parts = [part.strip() for part in text.split(":")]
    if len(parts) > 3 or not all(parts):
        raise ConfigurationError.of(name, "be a range lo:hi, lo:hi:step or lo:hi:log", text, _FORMS)
    low, high = (_number(name, part, text) for part in parts[:2])
    if low > high:
        raise ConfigurationError.of(
            name, "be a range from low to high", text, f"Did you mean {':'.join([parts[1], parts[0], *parts[2:]])}?"
        )
    whole = kind is int
    if whole and (low != low.to_integral_value() or high != high.to_integral_value()):
        raise ConfigurationError.of(name, "be a range of whole numbers", text)
    last = parts[2] if len(parts) == 3 else ""
    if last == "log" and low <= 0:
        raise ConfigurationError.of(name, "begin above 0 to be a range of orders of magnitude", text)
    if last in ("", "log"):
        if low == high:
            raise ConfigurationError.of(name, "be a range of more than one number", text, f"Write {name}={parts[0]}.")
        cast = int if whole else float
        return Interval(cast(low), cast(high), log=last == "log", whole=whole)
    step = _number(name, last, text)
    if step <= 0:
        raise ConfigurationError.of(name, "have a step above 0", text)
    if whole and step != step.to_integral_value():
        raise ConfigurationError.of(name, "have a whole step", text)
    count = int((high - low) / step) + 1
    if count > MAX_VALUES:
        raise ConfigurationError.of(name, f"have at most {MAX_VALUES:,} values", text, "Take a larger step.")
    # In decimals: 0.1 + 0.1 + 0.1 is not the 0.3 that was meant.
    return Values(tuple(int(low + i * step) if whole else float(low + i * step) for i in range(count)))


def _number(name: str, part: str, text: str) -> Decimal:
    try:
        number = Decimal(part)
    except InvalidOperation as exc:
        raise ConfigurationError.of(name, f"have a number instead of {part!r}", text, _FORMS) from exc
    if not number.is_finite():
        raise ConfigurationError.of(name, f"have a finite number instead of {part!r}", text)
    return number


def _split(text: str) -> list[str]:
    # A comma inside brackets or quotes belongs to one value: symbols=[IBM,MSFT],[GOOG].
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in _QUOTES:
            quote = sign
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign == "," and depth <= 0 and not quote:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _scalar(name: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ConfigurationError.of(name, "be a list of values", text, _FORMS) from exc
    if isinstance(value, str):
        # YAML takes 1e-4 for text; nobody who writes it does.
        try:
            return float(value)
        except ValueError:
            return value
    return value
