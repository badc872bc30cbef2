"""Declared parameters: typed, ranged, and able to describe themselves.

A parameter is declared once, as a class attribute, and read as an ordinary attribute::

    class SmaCross(Strategy):
        fast: int = parameter(20, ge=2, le=500, doc="Bars in the fast average.")
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from fairlead.core.errors import ConfigurationError, UnknownName

T = TypeVar("T")

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", tuple: "array", dict: "object"}


class Parameter:
    """The declaration behind `parameter`: default, type, range and text."""

    __slots__ = ("choices", "default", "doc", "ge", "gt", "kind", "le", "lt", "name")

    def __init__(
        self,
        default: object,
        *,
        ge: float | None = None,
        gt: float | None = None,
        le: float | None = None,
        lt: float | None = None,
        choices: Sequence[object] | None = None,
        doc: str = "",
    ) -> None:
        self.name = ""
        self.kind: type = tuple if isinstance(default, (list, tuple)) else type(default)
        if self.kind not in _JSON_TYPES:
            raise ConfigurationError.of("parameter default", f"be one of {sorted(t.__name__ for t in _JSON_TYPES)}", default)
        self.ge, self.gt, self.le, self.lt = ge, gt, le, lt
        self.choices = tuple(choices) if choices is not None else None
        self.doc = doc
        self.default = self.check(default)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def check(self, value: object) -> object:
        """Return `value` in the declared type.

        Raises
        ------
        ConfigurationError
            If type, range or choice does not hold.
        """
        name = self.name or "default"
        value = self._coerced(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise ConfigurationError.of(name, "be finite", value)
            for bound, holds, text in (
                (self.ge, operator.ge, ">="),
                (self.gt, operator.gt, ">"),
                (self.le, operator.le, "<="),
                (self.lt, operator.lt, "<"),
            ):
                if bound is not None and not holds(value, bound):
                    raise ConfigurationError.of(name, f"be {text} {bound}", value, self.doc)
        if self.choices is not None and value not in self.choices:
            raise ConfigurationError.of(name, f"be one of {list(self.choices)}", value, self.doc)
        return value

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of this parameter."""
        schema: dict[str, object] = {"type": _JSON_TYPES[self.kind], "default": self.default}
        bounds = {"minimum": self.ge, "exclusiveMinimum": self.gt, "maximum": self.le, "exclusiveMaximum": self.lt}
        schema.update({key: bound for key, bound in bounds.items() if bound is not None})
        if self.choices is not None:
            schema["enum"] = list(self.choices)
        if self.doc:
            schema["description"] = self.doc
        return schema

    def _coerced(self, value: object) -> object:
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if self.kind is tuple and isinstance(value, (list, tuple)):
            return tuple(value)
        if self.kind is dict and isinstance(value, Mapping):
            return dict(value)
        # bool is an int to Python, and never to a reader.
        if not isinstance(value, self.kind) or (self.kind is not bool and isinstance(value, bool)):
            raise ConfigurationError.of(self.name or "default", f"be of type {self.kind.__name__}", value, self.doc)
        return value


def parameter(
    default: T,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Sequence[object] | None = None,
    doc: str = "",
) -> T:
    """Declare a parameter of a strategy; its type is that of `default`."""
    return cast("T", Parameter(default, ge=ge, gt=gt, le=le, lt=lt, choices=choices, doc=doc))


def resolve(declared: Mapping[str, Parameter], given: Mapping[str, Any], owner: str) -> dict[str, object]:
    """Return every declared parameter's value: the given one, checked, or the default.

    Raises
    ------
    UnknownName
        If a given name is not declared.
    ConfigurationError
        If a value breaks its declaration.
    """
    for name in given:
        if name not in declared:
            raise UnknownName.among(f"parameter of {owner}", name, declared)
    # Checking copies dicts: no instance may change the default of the next.
    return {name: p.check(given.get(name, p.default)) for name, p in declared.items()}
