"""Kernel strategies for tests: one that wants anything at all, and plain ones."""

# ruff: noqa: PLR0917  a decision asks for what it reads

from __future__ import annotations

import math

from fairlead.sdk import HOLD, KernelStrategy, parameter, target_position, target_weight


def draw(state):
    """Return a number in [0, 1) of a generator that lives in `state`."""
    state[0] = (state[0] * 16807.0 + 11.0) % 2147483647.0
    return state[0] / 2147483647.0


class Anything(KernelStrategy):
    """Wants random targets, with and without exits, long and short; each symbol has its own dice."""

    state_size = 1
    seed: int = parameter(1, ge=1, le=100_000, doc="Of the dice.")
    activity: float = parameter(0.4, ge=0, le=1, doc="Share of the bars at which something is wanted.")
    brackets: float = parameter(0.5, ge=0, le=1, doc="Share of the wishes that have exits.")
    width: float = parameter(0.02, gt=0, lt=0.5, doc="Distance of the exits, as a share of price.")

    @staticmethod
    def decide(seed, activity, brackets, width, state, close, high, low, volume, position, average_price, cash, equity):
        if state[0] == 0.0:
            state[0] = seed + math.floor(close * 100.0)
        if draw(state) > activity:
            return HOLD
        kind = draw(state)
        side = 1.0 if draw(state) < 0.6 else -1.0
        stop = close * (1.0 - side * width * (0.2 + draw(state)))
        target = close * (1.0 + side * width * (0.2 + draw(state)))
        if draw(state) > brackets:
            stop = math.nan
        if draw(state) > brackets:
            target = math.nan
        if kind < 0.15:
            return target_position(0.0)
        if kind < 0.3 and average_price > 0.0 and position > 0.0:
            return target_position(math.floor(position / 2.0) + 1.0)
        if kind < 0.4:
            return target_position(position + side * (high - low + volume % 7.0))
        if kind < 0.5 and equity > 0.0:
            return target_weight(0.2 * side * min(1.0, cash / equity if cash > 0.0 else 0.5), stop, target)
        if kind < 0.75:
            return target_weight(side * 0.4 * draw(state) + side * 0.01, stop, target)
        return target_position(side * math.floor(1.0 + 300.0 * draw(state)), stop, target)


class Cross(KernelStrategy):
    """Hold shares while the fast average is above the slow one."""

    fast: int = parameter(5, ge=1, le=500, doc="Bars in the fast average.")
    slow: int = parameter(20, ge=2, le=500, doc="Bars in the slow average.")
    shares: float = parameter(100.0, gt=0, doc="What to hold.")

    def required_features(self):
        return {"quick": ("sma", {"n": self.fast}), "calm": ("sma", {"n": self.slow})}

    @staticmethod
    def decide(quick, calm, shares):
        return target_position(shares if quick > calm else 0.0)


class Share(KernelStrategy):
    """Keep a share of equity in each symbol, whatever it costs."""

    weight: float = parameter(0.3, ge=-2, le=2, doc="Share of equity.")

    @staticmethod
    def decide(weight):
        return target_weight(weight)
