"""How numbers read in the report."""

from __future__ import annotations

from html import escape
from typing import Final

from fairlead.core.time import to_datetime

NOT_DEFINED: Final = "n/a"
_MINUS: Final = "\N{MINUS SIGN}"


def percent(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return a fraction as percent."""
    return NOT_DEFINED if value is None else _sign(f"{100 * value:{'+' if signed else ''},.{digits}f}") + "%"


def points(value: float | None, digits: int = 2) -> str:
    """Return a number that is in percent already."""
    return NOT_DEFINED if value is None else _sign(f"{value:,.{digits}f}") + "%"


def money(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return an amount of currency."""
    return NOT_DEFINED if value is None else _sign(f"{value:{'+' if signed else ''},.{digits}f}")


def ratio(value: float | None, digits: int = 2) -> str:
    """Return a plain number."""
    return NOT_DEFINED if value is None else _sign(f"{value:,.{digits}f}")


def whole(value: float | None) -> str:
    """Return a count."""
    return NOT_DEFINED if value is None else f"{int(value):,}"


def minutes(value: float | None) -> str:
    """Return a duration in the unit in which people would say it."""
    if value is None:
        return NOT_DEFINED
    if value < 120:
        return f"{value:,.0f} min"
    return f"{value / 60:,.1f} h" if value < 2_880 else f"{value / 1_440:,.1f} d"


def seconds(value: float | None) -> str:
    """Return a duration that may be as short as a latency."""
    if value is None:
        return NOT_DEFINED
    if value < 1:
        return f"{1e3 * value:,.3g} ms" if value else "0 ms"
    return f"{value:,.1f} s" if value < 120 else minutes(value / 60)


def days(value: float | None) -> str:
    """Return calendar days."""
    return NOT_DEFINED if value is None else f"{value:,.0f} d"


def stamp(ns: int, *, with_time: bool) -> str:
    """Return a date, or a date with hours and minutes in UTC."""
    return to_datetime(ns).strftime("%Y-%m-%d %H:%M" if with_time else "%Y-%m-%d")


def tone(value: float | None) -> str:
    """Return the style class of a gain or a loss."""
    if value is None or value == 0:
        return ""
    return "gain" if value > 0 else "loss"


def cell(text: object, css: str = "", *, head: bool = False) -> str:
    """Return a table cell with `text` escaped."""
    name = "th" if head else "td"
    attribute = f' class="{css}"' if css else ""
    return f"<{name}{attribute}>{escape(str(text))}</{name}>"


def row(cells: list[str], css: str = "") -> str:
    """Return a table row."""
    attribute = f' class="{css}"' if css else ""
    return f"<tr{attribute}>{''.join(cells)}</tr>"


def _sign(text: str) -> str:
    # A figure that rounds to zero has no sign.
    if not any(digit in text for digit in "123456789"):
        return text.lstrip("+-")
    return text.replace("-", _MINUS)
