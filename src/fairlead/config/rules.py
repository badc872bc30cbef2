"""The rules that settings classes state in their types, in words that follow "must"."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import annotated_types
from pydantic.fields import FieldInfo

_OF_TYPE: Final = {
    "int_type": "be a whole number",
    "int_parsing": "be a whole number",
    "int_parsing_size": "be a whole number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "float_parsing": "be a number",
    "finite_number": "be a finite number",
    "decimal_type": "be a number",
    "decimal_parsing": "be a number",
    "bool_type": "be true or false",
    "bool_parsing": "be true or false",
    "string_type": "be text",
    "string_sub_type": "be text",
    "string_unicode": "be text",
    "date_type": "be a date such as 2020-01-31",
    "date_parsing": "be a date such as 2020-01-31",
    "date_from_datetime_parsing": "be a date such as 2020-01-31",
    "date_from_datetime_inexact": "be a date such as 2020-01-31",
    "datetime_type": "be an instant such as 2020-01-31T14:30:00Z",
    "datetime_parsing": "be an instant such as 2020-01-31T14:30:00Z",
    "datetime_from_date_parsing": "be an instant such as 2020-01-31T14:30:00Z",
    "timezone_aware": "carry a time zone, such as 2020-01-31T14:30:00Z",
    "time_type": "be a time of day such as 09:30",
    "time_parsing": "be a time of day such as 09:30",
    "path_type": "be a path",
    "list_type": "be a list",
    "tuple_type": "be a list",
    "set_type": "be a list",
    "frozen_set_type": "be a list",
    "dict_type": "be a mapping of keys to values",
    "mapping_type": "be a mapping of keys to values",
    "model_type": "be a mapping of keys to values",
    "model_attributes_type": "be a mapping of keys to values",
    "dataclass_type": "be a mapping of keys to values",
    "missing": "be given",
    "missing_argument": "be given",
    "union_tag_not_found": "be given",
}
_BOUNDS: Final = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
_BOUND_KEYS: Final = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_QUOTED: Final = re.compile(r"'([^']*)'")


def rule_of(error: Mapping[str, Any], field: FieldInfo | None) -> tuple[str, str]:
    """Return the rule that a pydantic error breaks, to follow "must", and what to do about it.

    Parameters
    ----------
    error : mapping
        One element of ``ValidationError.errors()``.
    field : FieldInfo or None
        The declaration of the field, where one is known.
    """
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind in _OF_TYPE:
        value = error.get("input")
        return _OF_TYPE[kind], _type_hint(kind, value)
    if kind in _BOUNDS:
        return _range(field) or f"be {_BOUNDS[kind]} {_number(context[_BOUND_KEYS[kind]])}", _percent_hint(error, field)
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        allowed = _QUOTED.findall(str(context.get("expected") or context["expected_tags"]))
        if allowed:
            given = context.get("tag", error.get("input"))
            return f"be {one_of(allowed)}", did_you_mean(str(given), allowed)
    if kind in ("too_short", "too_long"):
        bound, word = ("min_length", "at least") if kind == "too_short" else ("max_length", "at most")
        count = context[bound]
        return f"hold {word} {count} {'item' if count == 1 else 'items'}", ""
    if kind in ("string_too_short", "string_too_long"):
        bound, word = ("min_length", "at least") if kind == "string_too_short" else ("max_length", "at most")
        return f"have {word} {context[bound]} characters", ""
    if kind == "string_pattern_mismatch":
        return f"match {context['pattern']}", ""
    if kind == "multiple_of":
        return f"be a multiple of {_number(context['multiple_of'])}", ""
    return f"be valid ({error['msg']})", ""


def _type_hint(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return "Put it in quotes."
    if _OF_TYPE[kind] == "be a list" and isinstance(value, str):
        return f"Write [{value}]."
    if _OF_TYPE[kind] == "be a list" and isinstance(value, Mapping):
        return "Begin each item with a dash."
    return ""


def one_of(allowed: Iterable[str]) -> str:
    """Return ``'a'`` or ``one of 'a', 'b'``."""
    names = [repr(name) for name in allowed]
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question that offers the nearest of `known`, or nothing."""
    by_fold = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_fold, n=1)
    return f"Did you mean {by_fold[near[0]]!r}?" if near else ""


def _range(field: FieldInfo | None) -> str:
    """Return the whole range in interval notation if the field has both bounds."""
    low, high = _ends(field)
    if low is None or high is None:
        return ""
    return f"be in {'[' if low[1] else '('}{_number(low[0])}, {_number(high[0])}{']' if high[1] else ')'}"


def _ends(field: FieldInfo | None) -> tuple[tuple[Any, bool] | None, tuple[Any, bool] | None]:
    low: tuple[Any, bool] | None = None
    high: tuple[Any, bool] | None = None
    for part in field.metadata if field is not None else ():
        match part:
            case annotated_types.Gt(gt):
                low = (gt, False)
            case annotated_types.Ge(ge):
                low = (ge, True)
            case annotated_types.Lt(lt):
                high = (lt, False)
            case annotated_types.Le(le):
                high = (le, True)
            case _:
                pass
    return low, high


def _percent_hint(error: Mapping[str, Any], field: FieldInfo | None) -> str:
    # Limits written as 2.0 in one place and 0.02 in another are a 100-fold risk error (domain reading rules).
    _, high = _ends(field)
    value = error.get("input")
    if high is None or high[0] != 1 or not isinstance(value, (int, float)) or not 1 < value <= 100:
        return ""
    return f"It is a fraction: did you mean {_number(value / 100)}?"


def _number(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
