"""Kernel strategies for tests: one that wants anything at all, and plain ones."""

# ruff: noqa: C901, PLR0911, PLR0917  a decision asks for what it reads, and a test for many

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


class Wild(KernelStrategy):
    """Wants what few want: what it holds already, parts of it, both sides in turn, far too much, far exits."""

    state_size = 2
    seed: int = parameter(1, ge=1, le=100_000, doc="Of the dice.")
    activity: float = parameter(0.4, ge=0, le=1, doc="Share of the bars at which something is wanted.")

    @staticmethod
    def decide(seed, activity, state, close, position, average_price, cash, equity):
        if state[0] == 0.0:
            state[0] = seed + math.floor(close * 100.0)
            state[1] = 1.0
        if draw(state) > activity:
            return HOLD
        kind = math.floor(draw(state) * 12.0)
        state[1] = -state[1]
        far = draw(state)
        if kind == 0:
            return target_position(position)
        if kind == 1:
            return target_position(position * 0.37)
        if kind == 2:
            return target_weight(state[1] * 0.9)
        if kind == 3:
            return target_weight(state[1] * 12.0)
        if kind == 4:
            return target_weight(0.0)
        if kind == 5:
            return target_position(-position, close * 1.5 if position > 0.0 else math.nan)
        if kind == 6:
            return target_weight(0.5, close * 0.2, close * 1e3)
        if kind == 7:
            return target_weight(-0.5, close * (1.0 + 0.02 * far), close * (1.0 - 0.02 * far))
        if kind == 8 and average_price > 0.0:
            return target_position(cash / average_price, average_price * 0.97)
        if kind == 9:
            return target_position(position + state[1] * 0.4)
        if kind == 10:
            return target_position(state[1] * 3.0, math.nan, close * (1.0 + state[1] * 0.01 * far))
        return target_position(equity / close * state[1] * far)


class AtTheEnd(KernelStrategy):
    """Wants nothing before a certain bar of its symbol."""

    state_size = 1
    bar: int = parameter(1, ge=1, le=100_000, doc="Which one.")

    @staticmethod
    def decide(bar, state, close):
        state[0] += 1.0
        return target_weight(0.3, close * 0.98, close * 1.02) if state[0] >= bar else HOLD


class ManyFeatures(KernelStrategy):
    """Reads features with several outputs, of all symbols at once, of a benchmark and of facts."""

    n: int = parameter(5, ge=2, le=50, doc="Bars.")

    def required_features(self):
        return {
            "bands": ("bollinger", {"n": self.n}),
            "mean": ("sma", {"n": self.n}),
            "rank": ("cross_rank", {"n": self.n}),
            "beta": ("beta", {"n": self.n}),
            "yield_": "earnings_yield",
        }

    @staticmethod
    def decide(bands_upper, bands_lower, mean, rank, beta, yield_, close):
        if close > bands_upper or rank > 0.8 or yield_ < 0.0:
            return target_weight(-0.2, mean * 1.2)
        if close < bands_lower:
            return target_weight(0.3 if beta > 0.0 else 0.1, close * 0.9)
        return HOLD
