"""The inside bar as a signal plug-in: the scan of the strategy, session by session."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, Field, model_validator

from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_MINUTE, BarSize, to_datetime
from fairlead.factory.plugin import Found, Frame, SessionView, SignalPlugin
from fairlead.factory.scoring import range_scores
from fairlead.strategies.inside_bar import InsideBar, scan

# The shortest session of the calendars that strategies trade on: an early close of New York.
_SHORT_SESSION_MINUTES: Final = 210


class InsideBarSignals(SignalPlugin):
    """Finds inside bars as the strategy `InsideBar` does, and rejects as it does.

    Its settings are `score_sessions` and the parameters of the strategy. What an order file cannot say is refused: an
    entry that waits for a close (``close_confirm``), and a stop that moves (``trailing_enabled``).

    Parameters
    ----------
    score_sessions : int
        How many daily bars the score needs.
    """

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True, allow_inf_nan=False)

    name: ClassVar[str] = InsideBar.name
    version: ClassVar[str] = InsideBar.version

    score_sessions: int = Field(default=5, ge=1, le=250)

    @model_validator(mode="before")
    @classmethod
    def _are_the_strategy_s(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        own = {name: value for name, value in values.items() if name in cls.model_fields}
        rules = InsideBar(**{name: value for name, value in values.items() if name not in own}).params
        if rules["entry_trigger"] != "stop_cross":
            remedy = "An order file holds stop orders; run the strategy itself to enter on closes."
            raise ConfigurationError.of("entry_trigger", "be stop_cross in a factory", rules["entry_trigger"], remedy)
        if rules["trailing_enabled"]:
            remedy = "An order file holds fixed stops; run the strategy itself to move them."
            raise ConfigurationError.of("trailing_enabled", "be false in a factory", rules["trailing_enabled"], remedy)
        return {**own, **rules}

    @cached_property
    def strategy(self) -> InsideBar:
        """The strategy whose parameters these are."""
        return InsideBar(**(self.__pydantic_extra__ or {}))

    @property
    def history_sessions(self) -> int:
        """As many as hold the bars of the warm-up and of the average range, even if they close early."""
        rules = self.strategy.rules
        bars = max(rules.required_warmup_bars, rules.atr_period + 2)
        return math.ceil(bars / max(1, _SHORT_SESSION_MINUTES // rules.timeframe_minutes))

    def require(self, bar_size: BarSize) -> None:
        """Refuse bars of another length than `timeframe_minutes`."""
        minutes = bar_size.ns // NS_PER_MINUTE
        if minutes != self.strategy.timeframe_minutes:
            rule = f"be {minutes}, as timeframe: {bar_size.value} makes its bars"
            raise ConfigurationError.of("timeframe_minutes", rule, self.strategy.timeframe_minutes)

    def scores(self, daily: Mapping[str, Frame]) -> Mapping[str, float]:
        """Return the mean daily range of each symbol, as a fraction."""
        return range_scores(daily, self.score_sessions)

    def signals(self, view: SessionView) -> Found:
        """Return what the scan finds in the session; the bars before it warm it up."""
        found = scan(
            view.symbol,
            view.bars,
            self.strategy,
            view.calendar,
            run_id=view.run_id,
            strategy=view.strategy,
            strategy_version=view.strategy_version,
        )
        opening, _ = view.bounds
        return Found(
            signals=tuple(signal for signal in found.signals if signal.timestamp > opening),
            rejects=tuple(
                view.reject(reject.reason.value, view.end_of(reject.ts_ns))
                for reject in found.rejects
                if to_datetime(reject.ts_ns) >= opening
            ),
        )
