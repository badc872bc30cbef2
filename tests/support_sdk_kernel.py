"""Kernel strategies for the probes of the SDK: one compiled function for each thing that it may return."""

from __future__ import annotations

from typing import Any, ClassVar

from fairlead.sdk import HOLD, KernelStrategy, parameter, target_position, target_weight


class Kernel(KernelStrategy):
    """Turns with the price: long below its mean, flat above, and counts."""

    shares: float = parameter(10.0, gt=0)
    state_size: ClassVar[int] = 1

    def required_features(self) -> dict[str, Any]:
        return {"mean": ("sma", {"n": 5})}

    @staticmethod
    def decide(close, mean, position, shares, state):
        state[0] += 1.0
        if close < mean and position == 0.0:
            return target_position(shares)
        if close > mean and position != 0.0 and state[0] > 20.0:
            return target_position(0.0)
        return HOLD


class Weighed(Kernel):
    """Wants shares of equity."""

    @staticmethod
    def decide(close, mean, position):
        if position == 0.0 and close < mean:
            return target_weight(0.02)
        return HOLD


class Protected(Kernel):
    """Protects a position by a stop, and has a target for it."""

    @staticmethod
    def decide(close, mean, position, shares):
        if position == 0.0 and close < mean:
            return target_position(shares, close * 0.95, close * 1.02)
        return HOLD


class WeighedAndProtected(Kernel):
    """The same with a share of equity."""

    @staticmethod
    def decide(close, mean, position):
        if position == 0.0 and close < mean:
            return target_weight(0.02, close * 0.95, close * 1.02)
        return HOLD
