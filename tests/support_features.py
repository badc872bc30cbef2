"""Bars for feature tests, and features that are not registered: plain Python, circular, broken."""

from __future__ import annotations

import numpy as np

from fairlead.features import Output, Uses, feature, lookback

COLUMNS = ("open", "high", "low", "close", "volume")
PRICES = ("open", "high", "low", "close", "benchmark", "bid", "ask", "fact.eps", "fact.book_per_share")
VOLUMES = ("volume", "bid_size", "ask_size")
BARS_PER_SESSION = 26


def random_bars(bars: int, seed: int = 2001, gap_share: float = 0.0) -> dict[str, np.ndarray]:
    """Valid bars, sessions and quotes as columns of shape (bars,); a share of all cells is NaN or infinite."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, bars)))
    opened = close * np.exp(rng.normal(0, 0.01, bars))
    high = np.maximum(opened, close) * (1 + rng.random(bars) * 0.02)
    low = np.minimum(opened, close) * (1 - rng.random(bars) * 0.02)
    columns = dict(zip(COLUMNS, (opened, high, low, close, rng.integers(0, 1000, bars).astype(float)), strict=True))
    t = np.arange(bars)
    columns["session"] = 19_000.0 + t // BARS_PER_SESSION
    columns["minute"] = columns["session"] * 1440 + 14 * 60 + 30 + 15.0 * (t % BARS_PER_SESSION)
    columns["benchmark"] = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, bars)))
    columns["bid"], columns["ask"] = (
        close * (1 - 1e-4 * rng.integers(1, 4, bars)),
        close * (1 + 1e-4 * rng.integers(1, 4, bars)),
    )
    columns["bid_size"], columns["ask_size"] = rng.integers(1, 50, (2, bars)).astype(float)
    columns["fact.eps"] = np.repeat(rng.normal(5, 1, bars // 60 + 1), 60)[:bars]
    columns["fact.book_per_share"] = 8.0 * columns["fact.eps"]
    columns["fact.sector"] = np.full(bars, float(seed % 3))
    columns["bar"] = columns["session"] * BARS_PER_SESSION + t % BARS_PER_SESSION // 4  # several quotes in most
    for values in columns.values():
        values[rng.random(bars) < gap_share] = rng.choice([np.nan, np.inf, -np.inf])
    return columns


@feature(
    "slow_mean",
    parameters={"n": lookback(3)},
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: p["n"] + 1,
    outputs=(Output(unit="price"),),
    compiled=False,
)
def slow_mean(state, params, inputs, outputs):
    n = int(params[0])
    state[:n] = [*state[1:n], inputs[0]]
    state[n] += 1
    if state[n] >= n:
        outputs[0] = sum(state[:n]) / n


@feature(
    "after_slow",
    inputs=(Uses("support_features:slow_mean", n="n"), "close"),
    parameters={"n": lookback(3)},
    outputs=(Output(unit="price"),),
)
def after_slow(state, params, inputs, outputs):
    outputs[0] = inputs[1] - inputs[0]


def _above_mean(state, params, inputs, outputs):
    total = 0.0
    count = 0.0
    for value in inputs:
        if value == value:
            total += value
            count += 1.0
    for i in range(len(outputs)):
        outputs[i] = inputs[i] - total / count if count > 0.0 else inputs[i]


above_mean = feature("above_mean", inputs=(Uses("roc"),), cross_section=True)(_above_mean)
above_mean_slowly = feature("above_mean_slowly", inputs=(Uses("roc"),), cross_section=True, compiled=False)(_above_mean)


@feature("chicken", inputs=(Uses("support_features:egg"),))
def chicken(state, params, inputs, outputs):
    outputs[0] = inputs[0]


@feature("egg", inputs=(Uses("support_features:chicken"),))
def egg(state, params, inputs, outputs):
    outputs[0] = inputs[0]


@feature("untranslatable")
def untranslatable(state, params, inputs, outputs):
    outputs[0] = {}.no_such_thing(inputs)


@feature("raising", compiled=False)
def raising(state, params, inputs, outputs):
    outputs[0] = {}.no_such_thing(inputs)


@feature("dividing")
def dividing(state, params, inputs, outputs):
    outputs[0] = 1.0 / inputs[0]


@feature("infinite")
def infinite(state, params, inputs, outputs):
    outputs[0] = inputs[0] * 1e308 * 1e308


NOT_A_FEATURE = 7
