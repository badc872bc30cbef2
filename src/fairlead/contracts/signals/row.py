"""A signal: levels that were known at one instant, and nothing that was known later (domain rule 3.1)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from fairlead.contracts import cells
from fairlead.contracts.files import canonical_json
from fairlead.core.errors import ContractError
from fairlead.core.exits import Exits
from fairlead.core.identity import short_hash, slug
from fairlead.core.instruments import check_symbol
from fairlead.core.time import BarSize

SCHEMA_VERSION: Final = "1.0"
SIGNAL_COLUMNS: Final = (
    "Symbol",
    "timestamp",
    "timeframe",
    "long_entry",
    "short_entry",
    "sl_long",
    "sl_short",
    "tp_long",
    "tp_short",
    "setup",
    "score",
    "score_components",
    "strategy",
    "strategy_version",
    "signal_id",
    "schema_version",
    "metadata",
)
"""The columns, in file order."""

PRICE_COLUMNS: Final = SIGNAL_COLUMNS[3:9]
TIMEFRAMES: Final = MappingProxyType({size.name: size for size in BarSize if size is not BarSize.H4})
"""Bar sizes that a signal may have, by their names in a file."""

_FUTURE: Final = ("exit_", "fill_", "pnl", "trade_", "realized_", "trigger_ts")


def refuse_lookahead(names: Iterable[str], where: str) -> None:
    """Refuse fields whose names tell of what only the future can know.

    Raises
    ------
    ContractError
        If a name begins with ``exit_``, ``fill_``, ``pnl``, ``trade_``, ``realized_`` or ``trigger_ts``, in any case.
    """
    later = [name for name in names if str(name).strip().lower().startswith(_FUTURE)]
    if later:
        rule = f"not have fields that begin with {', '.join(_FUTURE)}"
        raise ContractError.of(where, rule, later, "A signal holds what was known at its timestamp.")


def signal_id(
    *, run_id: str, symbol: str, timestamp: dt.datetime, setup: str | None, schema_version: str = SCHEMA_VERSION
) -> str:
    """Return the identifier of a signal: 16 hex digits (domain rule 1.6)."""
    return short_hash(run_id, symbol, cells.instant_text(timestamp), setup or "", schema_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal.

    Parameters
    ----------
    symbol : str
        The column is called ``Symbol``.
    timestamp : datetime
        UTC instant at which the signal becomes known: the end of its bar.
    timeframe : BarSize
        M1, M5, M15, M30, H1 or D1.
    long_entry, short_entry : Decimal, optional
        Entry triggers, in currency; at least one. A daily signal has one only.
    sl_long, sl_short, tp_long, tp_short : Decimal, optional
        Protective stop and target of an entry that is there, on its two sides.
    score : float, optional
        Confidence, in [0, 1].
    score_components : mapping of str to float, optional
    strategy : str
        Lower case letters, digits and underscores.
    strategy_version : str
        Semantic version.
    metadata : mapping, optional
        Only what was known at `timestamp`.

    Raises
    ------
    ContractError
        Naming the first rule that is broken; that a name in `metadata` or `score_components` tells of the future is one.
    """

    symbol: str
    timestamp: dt.datetime
    timeframe: BarSize
    long_entry: Decimal | None = None
    short_entry: Decimal | None = None
    sl_long: Decimal | None = None
    sl_short: Decimal | None = None
    tp_long: Decimal | None = None
    tp_short: Decimal | None = None
    setup: str | None = None
    score: float | None = None
    score_components: Mapping[str, float] | None = field(default=None, hash=False)
    strategy: str
    strategy_version: str
    signal_id: str
    schema_version: str = SCHEMA_VERSION
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("symbol", "strategy", "signal_id", *(["setup"] if self.setup is not None else [])):
            cells.check_text(name, getattr(self, name))
        if check_symbol(self.symbol) != self.symbol:
            raise ContractError.of("Symbol", "be in upper case, without space around it", self.symbol)
        if slug(self.strategy) != self.strategy:
            raise ContractError.of("strategy", "be lower case letters, digits and single underscores", self.strategy)
        cells.check_utc("timestamp", self.timestamp)
        if self.timeframe not in TIMEFRAMES.values():
            raise ContractError.of("timeframe", f"be one of {', '.join(TIMEFRAMES)}", self.timeframe)
        cells.check_semver("strategy_version", self.strategy_version)
        cells.check_schema(self.schema_version, SCHEMA_VERSION)
        for name in PRICE_COLUMNS:
            if getattr(self, name) is not None:
                cells.check_amount(name, getattr(self, name))
        self._check_levels()
        self._check_score()
        if self.metadata is not None:
            refuse_lookahead(_names(self.metadata), "metadata")
            canonical_json(self.metadata)

    def _check_levels(self) -> None:
        if self.long_entry is None and self.short_entry is None:
            raise ContractError.of(f"{self.symbol} signal", "have a long_entry or a short_entry", None)
        if self.timeframe is BarSize.D1 and self.long_entry is not None and self.short_entry is not None:
            raise ContractError.of(f"{self.symbol} daily signal", "be long or short, not both", "both")
        for side, sign in (("long", 1), ("short", -1)):
            entry, stop, target = (getattr(self, name) for name in (f"{side}_entry", f"sl_{side}", f"tp_{side}"))
            if stop is None and target is None:
                continue
            if entry is None:
                raise ContractError.of(f"{self.symbol} sl_{side} and tp_{side}", f"come with a {side}_entry", (stop, target))
            exits = Exits(*(None if level is None else float(level) for level in (target, stop)))
            exits.check(f"{self.symbol} {side}", sign, float(entry))

    def _check_score(self) -> None:
        if self.score is not None and not 0 <= self.score <= 1:
            raise ContractError.of("score", "be in [0, 1]", self.score)
        parts: Mapping[str, Any] | None = self.score_components
        if parts is None:
            return
        refuse_lookahead(_names(parts), "score_components")
        for name, value in parts.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ContractError.of(f"score_components {name}", "be a finite number", value)

    @property
    def key(self) -> tuple[str, dt.datetime, str, str]:
        """What no two signals may share: symbol, timestamp, strategy, setup."""
        return self.symbol, self.timestamp, self.strategy, self.setup or ""

    def require_stops(self) -> None:
        """Refuse a signal without the protective stops that sizing by risk needs.

        Raises
        ------
        ContractError
            If an entry has no stop.
        """
        for side in ("long", "short"):
            if getattr(self, f"{side}_entry") is not None and getattr(self, f"sl_{side}") is None:
                raise ContractError.of(f"{self.symbol} sl_{side}", "be given: positions are sized by risk", None)


def check_signals(signals: Iterable[Signal], *, risk_based: bool = False) -> list[Signal]:
    """Return the signals; refuse two with one key and, for sizing by risk, those without a stop.

    Raises
    ------
    ContractError
        Naming the first that breaks a rule.
    """
    found = list(signals)
    seen: set[tuple[str, dt.datetime, str, str]] = set()
    for signal in found:
        if signal.key in seen:
            name, instant, strategy, setup = signal.key
            value = f"{name} {cells.instant_text(instant)} {strategy} {setup}".rstrip()
            raise ContractError.of("signals", "be unique in symbol, timestamp, strategy and setup", value)
        seen.add(signal.key)
        if risk_based:
            signal.require_stops()
    return found


def _names(value: Any) -> Iterable[str]:
    """Yield the names in a JSON object, those inside of it too."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name)
            yield from _names(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _names(item)
