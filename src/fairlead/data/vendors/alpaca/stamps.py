"""Alpaca's instants: RFC 3339, down to the nanosecond."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from fairlead.core.errors import ContractError
from fairlead.core.time import NS_PER_SECOND, to_ns

_FORM: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:\d\d)")


def stamp_ns(text: object) -> int:
    """Return nanoseconds since the epoch.

    Raises
    ------
    ContractError
        If `text` is no such instant.
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ContractError.of("timestamp", "be an instant such as 2025-01-02T14:30:00Z", text)
    date, time, fraction, zone = found.groups()
    try:
        whole = dt.datetime.fromisoformat(f"{date}T{time}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError as exc:
        raise ContractError.of("timestamp", "be an instant such as 2025-01-02T14:30:00Z", text) from exc
    return to_ns(whole) + int((fraction or "").ljust(9, "0"))


def stamp_text(ns: int) -> str:
    """Return the text of an instant, with all its nanoseconds."""
    seconds, rest = divmod(ns, NS_PER_SECOND)
    whole = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09d}Z" if rest else f"{whole}Z"
