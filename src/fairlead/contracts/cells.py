"""Cells of canonical files: exact numbers, instants and names as text, and the text back (domain rules 1.1, 1.3, 4.4)."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from fairlead.core.errors import ContractError
from fairlead.core.time import format_utc, to_ns

EnumT = TypeVar("EnumT", bound=StrEnum)

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(?P<zone>Z|[+-]\d\d:?\d\d)?")
_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


def line_of(cells: Iterable[str]) -> str:
    """Return cells as one line of RFC 4180 text, its line end included."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def decimal_text(value: Decimal | None) -> str:
    """Return a number without an exponent; empty for None."""
    return "" if value is None else format(value, "f")


def instant_text(value: dt.datetime) -> str:
    """Return an instant as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    return format_utc(to_ns(value))


def read_decimal(name: str, text: str) -> Decimal:
    """Return the number that a cell holds, digit by digit.

    Raises
    ------
    ContractError
        If it holds none, or one with an exponent.
    """
    if not _NUMBER.fullmatch(text):
        raise ContractError.of(name, "be a number without an exponent", text)
    return Decimal(text)


def read_instant(name: str, text: str) -> dt.datetime:
    """Return the UTC instant that a cell holds.

    Raises
    ------
    ContractError
        If it holds none, or one without a time zone.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ContractError.of(name, "be an instant like 2025-01-06T14:40:00.000000Z", text)
    if match["zone"] is None:
        raise ContractError.of(name, "carry a time zone", text, "Write instants in UTC, with a Z at the end.")
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError) as exc:
        raise ContractError.of(name, "be an instant that exists", text) from exc


def read_member(name: str, kind: type[EnumT], text: str) -> EnumT:
    """Return the member of `kind` whose value is `text`.

    Raises
    ------
    ContractError
        If there is none; the message lists those that there are.
    """
    try:
        return kind(text)
    except ValueError as exc:
        raise ContractError.of(name, f"be one of {', '.join(kind)}", text) from exc


def check_text(name: str, text: object) -> None:
    """Refuse what is no name: empty text, space at an end, control characters and line breaks, which would tear a row.

    Raises
    ------
    ContractError
        Naming `name`.
    """
    if not isinstance(text, str) or not text or text != text.strip() or _CONTROL.search(text):
        raise ContractError.of(name, "be text on one line, without space at its ends", text)


def check_utc(name: str, instant: object) -> None:
    """Refuse what is no UTC instant.

    Raises
    ------
    ContractError
        Naming `name`.
    """
    if not isinstance(instant, dt.datetime) or instant.utcoffset() != dt.timedelta(0):
        raise ContractError.of(name, "be a datetime in UTC", instant, "Convert it: astimezone(datetime.UTC).")


def check_amount(name: str, value: object) -> None:
    """Refuse what is no finite Decimal above 0.

    Raises
    ------
    ContractError
        Naming `name`.
    """
    if not (isinstance(value, Decimal) and value.is_finite() and value > 0):
        remedy = "Cross over in ticks: Instrument.price_to_decimal." if isinstance(value, float) else ""
        raise ContractError.of(name, "be a finite Decimal above 0", value, remedy)


def check_semver(name: str, text: object) -> None:
    """Refuse what is no semantic version.

    Raises
    ------
    ContractError
        Naming `name`.
    """
    if not isinstance(text, str) or not _SEMVER.fullmatch(text):
        raise ContractError.of(name, "be a semantic version like 1.0.0", text)


def is_higher_major(text: str, known: str) -> bool:
    """Whether `text` is a schema version of a later major than `known`: a form that this reader does not understand."""
    match, ours = _VERSION.fullmatch(text), _VERSION.fullmatch(known)
    return match is not None and ours is not None and int(match[1]) > int(ours[1])


def check_schema(text: object, known: str) -> None:
    """Refuse a schema version that is not of the major of `known`.

    Raises
    ------
    ContractError
        If it is another major, or no version.
    """
    match = _VERSION.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[1] != known.partition(".")[0]:
        raise ContractError.of("schema_version", f"be of the major version of {known}", text)
