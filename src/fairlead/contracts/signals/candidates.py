"""Two stages: what a closed session selects, and what the next may trade (domain rule 3.2)."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from fairlead.contracts import cells
from fairlead.contracts.files import storage_error, write_json
from fairlead.contracts.sessions import SessionCalendar
from fairlead.contracts.signals.row import Signal
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound
from fairlead.core.identity import slug
from fairlead.core.instruments import check_symbol
from fairlead.core.time import date_to_day, day_to_date

SCHEMA_VERSION: Final = "1.0"
MAX_CANDIDATES: Final = 50
# No exchange is closed for longer.
_LONGEST_REST_DAYS: Final = 40

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One symbol of a list.

    Parameters
    ----------
    score : float
        The higher, the better.
    rank : int
        1 for the best.
    """

    symbol: str
    score: float
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """What the first stage hands to the second; an empty one is valid, and brings no signals. Use `select`.

    Parameters
    ----------
    asof_session : date
        The closed session whose data it was made from.
    valid_session : date
        The session after it, the only one in which it may be used.
    items : tuple of Candidate
        By score, the highest first, then by symbol.

    Raises
    ------
    ContractError
        Naming the first rule that is broken.
    """

    asof_session: dt.date
    valid_session: dt.date
    strategy: str
    strategy_version: str
    items: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        if self.valid_session <= self.asof_session:
            raise ContractError.of("valid_session", f"be after asof_session, {self.asof_session}", str(self.valid_session))
        if slug(self.strategy) != self.strategy:
            raise ContractError.of("strategy", "be lower case letters, digits and single underscores", self.strategy)
        cells.check_semver("strategy_version", self.strategy_version)
        for item in self.items:
            if check_symbol(item.symbol) != item.symbol:
                raise ContractError.of("symbol", "be in upper case, without space around it", item.symbol)
            if not math.isfinite(item.score):
                raise ContractError.of(f"{item.symbol} score", "be a finite number", item.score)
        if len({item.symbol for item in self.items}) != len(self.items):
            raise ContractError.of("candidates", "hold each symbol once", [item.symbol for item in self.items])
        if [item.rank for item in self.items] != list(range(1, len(self.items) + 1)) or list(self.items) != _sorted(self.items):
            raise ContractError.of("candidates", "be ranked by score, then symbol", [item.symbol for item in self.items])

    @classmethod
    def select(
        cls,
        scores: Mapping[str, float],
        *,
        asof_session: dt.date,
        calendar: SessionCalendar,
        strategy: str,
        strategy_version: str,
        max_candidates: int = MAX_CANDIDATES,
    ) -> Self:
        """Return the best of `scores`, valid in the session that follows `asof_session`; say in the log how many were cut.

        Raises
        ------
        ContractError
            If a score is not finite, or `asof_session` is no session.
        ConfigurationError
            If `max_candidates` is below 1.
        """
        if max_candidates < 1:
            raise ConfigurationError.of("max_candidates", "be at least 1", max_candidates)
        for symbol, score in scores.items():
            if not math.isfinite(score):
                raise ContractError.of(f"{symbol} score", "be a finite number", score)
        ranked = _sorted(Candidate(symbol, float(score), 0) for symbol, score in scores.items())
        if len(ranked) > max_candidates:
            _log.info("%s: %d of %d candidates cut", strategy, len(ranked) - max_candidates, len(ranked))
        items = tuple(Candidate(item.symbol, item.score, i) for i, item in enumerate(ranked[:max_candidates], start=1))
        return cls(
            asof_session=asof_session,
            valid_session=_next_session(calendar, asof_session),
            strategy=strategy,
            strategy_version=strategy_version,
            items=items,
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, the best first."""
        return tuple(item.symbol for item in self.items)

    def check(self, signal: Signal, session: dt.date) -> Signal:
        """Return a signal of the second stage, if it may be.

        Parameters
        ----------
        session : date
            The exchange's session of the signal.

        Raises
        ------
        ContractError
            If the list is not of this session or strategy, or does not hold the signal's symbol.
        """
        if session != self.valid_session:
            name = f"session of the {signal.symbol} signal"
            raise ContractError.of(name, f"be {self.valid_session}, for which its candidates are valid", str(session))
        if signal.strategy != self.strategy:
            raise ContractError.of(f"strategy of the {signal.symbol} signal", f"be {self.strategy}", signal.strategy)
        if signal.symbol not in self.symbols:
            rule = f"be one of the {len(self.items)} candidates of {self.valid_session}"
            raise ContractError.of("symbol of a signal", rule, signal.symbol)
        return signal

    def to_dict(self) -> dict[str, Any]:
        """Return the list as plain JSON-able data."""
        return {
            "schema_version": SCHEMA_VERSION,
            "asof_session": self.asof_session.isoformat(),
            "valid_session": self.valid_session.isoformat(),
            "strategy": self.strategy,
            "strategy_version": self.strategy_version,
            "items": [{"symbol": item.symbol, "score": item.score, "rank": item.rank} for item in self.items],
        }

    def write(self, path: str | Path) -> None:
        """Write the list as JSON, as a whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return the list of a file.

        Raises
        ------
        DataNotFound, DataError
            If there is no such file, or it is damaged.
        ContractError
            If it breaks a rule or is of another major version.
        """
        file = Path(path)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            cells.check_schema(data["schema_version"], SCHEMA_VERSION)
            return cls(
                asof_session=dt.date.fromisoformat(data["asof_session"]),
                valid_session=dt.date.fromisoformat(data["valid_session"]),
                strategy=data["strategy"],
                strategy_version=data["strategy_version"],
                items=tuple(Candidate(item["symbol"], float(item["score"]), int(item["rank"])) for item in data["items"]),
            )
        except FileNotFoundError as exc:
            raise DataNotFound(f"there is no file {file}. Check the path.") from exc
        except OSError as exc:
            raise storage_error("read", file, exc) from exc
        except ContractError as exc:
            raise ContractError(f"{file}: {exc}") from exc
        except (KeyError, TypeError, ValueError) as exc:
            raise DataError(f"cannot read {file}: {exc!r}. It is damaged; write it again.") from exc


def _sorted(items: Any) -> list[Candidate]:
    return sorted(items, key=lambda item: (-item.score, item.symbol))


def _next_session(calendar: SessionCalendar, asof: dt.date) -> dt.date:
    first = date_to_day(asof)
    sessions = calendar.sessions(first, first + _LONGEST_REST_DAYS).tolist()
    if not sessions or sessions[0] != first:
        raise ContractError.of("asof_session", f"be a session of {calendar.name}", str(asof))
    if len(sessions) < 2:
        raise ContractError.of("asof_session", f"have a session after it in {calendar.name}", str(asof))
    return day_to_date(sessions[1])
