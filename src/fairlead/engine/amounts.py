"""How much of what: the signed units that the intents of a strategy ask for, one by one or as a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fairlead.core.errors import ContractError
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import AmountKind, OrderType
from fairlead.engine.runner import StrategyRunner
from fairlead.risk.pretrade import ProjectedExposure
from fairlead.risk.sizing import Sized, size_intent

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_MARKET: Final = OrderType.MARKET
_TARGET_POSITION: Final = AmountKind.TARGET_POSITION
_TARGET_WEIGHT: Final = AmountKind.TARGET_WEIGHT
_SIZED: Final = AmountKind.SIZED
_UNKNOWN: Final = float("nan")


class Amounts:
    """Sizes intents by the instruments of a run.

    Parameters
    ----------
    instruments : mapping of symbol to Instrument
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = instruments

    def batch(
        self, wanted: Sequence[OrderIntent], exposure: ProjectedExposure, runner: StrategyRunner
    ) -> list[tuple[OrderIntent, float]]:
        """Return the intents that have something to do, each with its signed units as if those before it were filled."""
        sized: list[tuple[OrderIntent, float]] = []
        planned: dict[str, float] = {}
        for intent in wanted:
            symbol = intent.symbol
            quantity = self.units(intent, exposure, runner, planned.get(symbol, 0.0))
            if quantity is None:
                if symbol in planned:
                    # Reached if what comes before it leaves: seen again when that is known.
                    sized.append((intent, 0.0))
                continue
            if intent.order_type is _MARKET:
                planned[symbol] = planned.get(symbol, 0.0) + quantity
            sized.append((intent, quantity))
        return sized

    def units(
        self, intent: OrderIntent, exposure: ProjectedExposure, runner: StrategyRunner, planned: float = 0.0
    ) -> float | None:
        """Return signed units, 0.0 if less than the smallest order is wanted, None if there is nothing to do.

        Parameters
        ----------
        planned : float
            Signed units of the same batch that are not part of `exposure` yet.
        """
        symbol = intent.symbol
        instrument = self._instruments.get(symbol)
        price = exposure.price(symbol) if instrument is not None else _UNKNOWN
        if instrument is None or not price > 0.0:
            # Left for the check, which refuses and records why. But to hold nothing of what has no price yet is no order.
            return None if instrument is not None and is_target(intent) and intent.amount == 0 else intent.amount
        if intent.amount_kind is _SIZED:
            return self._by_rule(intent, instrument, exposure, runner).quantity
        try:
            held, limits = exposure.held(symbol) + planned, runner.limits
            quantity, note = size_intent(intent, instrument, price=price, equity=exposure.equity, held=held, limits=limits)
        except (ContractError, OverflowError):
            # Beyond any number of units: left for the check, which refuses it.
            return intent.amount
        return None if quantity == 0.0 and note != "below_min_qty" else quantity

    def why_none(self, intent: OrderIntent, exposure: ProjectedExposure, runner: StrategyRunner) -> str:
        """Return why an intent of a symbol that has a price comes to no units."""
        if intent.amount_kind is not _SIZED:
            return "below_min_qty"
        return self._by_rule(intent, self._instruments[intent.symbol], exposure, runner).note

    @staticmethod
    def _by_rule(intent: OrderIntent, instrument: Instrument, exposure: ProjectedExposure, runner: StrategyRunner) -> Sized:
        try:
            return runner.sizer.size(
                intent,
                instrument,
                price=exposure.price(intent.symbol),
                equity=exposure.equity,
                buying_power=exposure.buying_power(runner.limits.max_leverage),
            )
        except (ContractError, OverflowError):
            return Sized(0.0, "not_sizable")


def is_target(intent: OrderIntent) -> bool:
    """Whether an intent names what is to be held, and not what is to be traded."""
    return intent.amount_kind in (_TARGET_POSITION, _TARGET_WEIGHT)
