"""Bars and quotes to try a feature on: valid, repeatable from a seed, and with every column that a feature may read."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.data.facts import PER_SHARE
from fairlead.features.definition import Unit
from fairlead.features.inputs import FACT

BARS_PER_SESSION: Final = 26
_MINUTES: Final = 15.0
_FIRST_SESSION: Final = 19_000
_PRICES: Final = ("open", "high", "low", "close", "benchmark", "bid", "ask", *(f"{FACT}{name}" for name in PER_SHARE))
_VOLUMES: Final = ("volume", "bid_size", "ask_size")
_BARS_PER_REPORT: Final = 60


def unit_of(column: str) -> Unit:
    """Return what an input column is multiplied by when the unit of prices or of volumes changes."""
    if column in _PRICES:
        return "price"
    return "volume" if column in _VOLUMES else "none"


def trial_bars(names: Iterable[str], symbols: int, bars: int, seed: int) -> dict[str, FloatArray]:
    """Return columns of random bars of 15 minutes, 26 to a session.

    Facts are numbers around 5 that change every 60 bars, and whole numbers under ``fact.sector``.

    Parameters
    ----------
    names : iterable of str
        Input columns. What a column holds does not depend on the others that are asked for.
    symbols, bars : int
    seed : int

    Returns
    -------
    dict of str to float64 array of shape (symbols, bars)
    """
    each = [_one(np.random.default_rng([seed, symbol]), bars) for symbol in range(symbols)]
    columns = {name: np.array([one[name] for one in each]) for name in each[0]}
    columns["benchmark"] = np.repeat(columns["close"][-1:] * 0.5, symbols, axis=0)
    return {name: columns[name] if name in columns else _fact(name, symbols, bars, seed) for name in names}


def _one(rng: np.random.Generator, bars: int) -> dict[str, FloatArray]:
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, bars)))
    opened = close * np.exp(rng.normal(0.0, 0.01, bars))
    half_spread = 1e-4 * rng.integers(1, 4, (2, bars))
    bid_size, ask_size = rng.integers(1, 50, (2, bars)).astype(np.float64)
    t = np.arange(bars)
    session = _FIRST_SESSION + t // BARS_PER_SESSION
    return {
        "open": opened,
        "high": np.maximum(opened, close) * (1.0 + 0.02 * rng.random(bars)),
        "low": np.minimum(opened, close) * (1.0 - 0.02 * rng.random(bars)),
        "close": close,
        "volume": rng.integers(1, 1000, bars).astype(np.float64),
        "session": session.astype(np.float64),
        "minute": session * 1440.0 + 870.0 + _MINUTES * (t % BARS_PER_SESSION),
        "bid": close * (1.0 - half_spread[0]),
        "ask": close * (1.0 + half_spread[1]),
        "bid_size": bid_size,
        "ask_size": ask_size,
        "bar": (t // 4).astype(np.float64),
    }


def _fact(name: str, symbols: int, bars: int, seed: int) -> FloatArray:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    reports = -(-bars // _BARS_PER_REPORT)
    if name == f"{FACT}sector":
        return np.repeat(rng.integers(0, 3, (symbols, 1)).astype(np.float64), bars, axis=1)
    return np.repeat(rng.uniform(4.0, 6.0, (symbols, reports)), _BARS_PER_REPORT, axis=1)[:, :bars]
