"""Which sessions of which symbols a vendor was asked for and has answered: what a pull need not ask again.

Bars alone do not tell: a symbol may have none in a session, and before it was listed it has none at all.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError

from fairlead.contracts.settings import Settings
from fairlead.core.errors import DataError
from fairlead.core.time import date_to_day, day_to_date

COVERAGE_FILE: Final = "pulled.json"

Days = tuple[int, int]
"""First and last of a stretch of days since the epoch, both included."""


class _SymbolRecord(Settings):
    bars: tuple[tuple[dt.date, dt.date], ...] = ()
    actions: tuple[tuple[dt.date, dt.date], ...] = ()


class _Record(Settings):
    schema_version: str
    source: str
    symbols: Mapping[str, _SymbolRecord]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was pulled for good, from one vendor.

    Attributes
    ----------
    source : str
        The vendor's name.
    bars, actions : mapping of str to tuple of (first, last)
        By symbol, stretches of days in order; neither touching nor overlapping.
    """

    source: str
    bars: Mapping[str, tuple[Days, ...]] = field(default_factory=dict)
    actions: Mapping[str, tuple[Days, ...]] = field(default_factory=dict)

    def joined(self, other: Coverage) -> Coverage:
        """Return what both cover; they are of one vendor."""
        return Coverage(self.source, _joined(self.bars, other.bars), _joined(self.actions, other.actions))

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        symbols = {
            name: {
                kind: [[day_to_date(first).isoformat(), day_to_date(last).isoformat()] for first, last in stretches]
                for kind, stretches in (("bars", self.bars.get(name, ())), ("actions", self.actions.get(name, ())))
                if stretches
            }
            for name in sorted({*self.bars, *self.actions})
        }
        return {"schema_version": "1.0", "source": self.source, "symbols": symbols}

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return what the file in a dataset's folder says; None if there is none.

        Raises
        ------
        DataError
            If it cannot be read.
        """
        path = folder / COVERAGE_FILE
        try:
            record = _Record.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError) as exc:
            remedy = "Remove it: the next pull then asks for everything again."
            raise DataError(f"cannot read {path}: {str(exc).partition(chr(10))[0]}. {remedy}") from exc
        found = {name: (symbol.bars, symbol.actions) for name, symbol in record.symbols.items()}
        return cls(
            record.source,
            {name: _days(bars) for name, (bars, _) in found.items() if bars},
            {name: _days(actions) for name, (_, actions) in found.items() if actions},
        )


def add_days(stretches: tuple[Days, ...], first: int, last: int) -> tuple[Days, ...]:
    """Return the stretches with another one; those that touch become one."""
    kept: list[Days] = []
    for low, high in stretches:
        if high + 1 < first or last + 1 < low:
            kept.append((low, high))
        else:
            first, last = min(first, low), max(last, high)
    return tuple(sorted([*kept, (first, last)]))


def missing_days(stretches: tuple[Days, ...], first: int, last: int) -> Iterator[Days]:
    """Yield the stretches from `first` to `last` that are not in `stretches`, in order."""
    for low, high in stretches:
        if high < first:
            continue
        if low > last:
            break
        if low > first:
            yield first, low - 1
        first = high + 1
    if first <= last:
        yield first, last


def _joined(one: Mapping[str, tuple[Days, ...]], other: Mapping[str, tuple[Days, ...]]) -> dict[str, tuple[Days, ...]]:
    joined = dict(one)
    for name, stretches in other.items():
        for first, last in stretches:
            joined[name] = add_days(joined.get(name, ()), first, last)
    return {name: joined[name] for name in sorted(joined)}


def _days(stretches: tuple[tuple[dt.date, dt.date], ...]) -> tuple[Days, ...]:
    joined: tuple[Days, ...] = ()
    for first, last in stretches:
        joined = add_days(joined, date_to_day(first), date_to_day(last))
    return joined
