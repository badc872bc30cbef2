"""Paths of prices: the bars that the scenarios play on."""

from __future__ import annotations

import random

from parity.scenario import Bar

VOLUME = 1_000_000.0


def bars(*rows: tuple[float, float, float, float]) -> list[Bar]:
    """Return bars with so much volume that it does not matter."""
    return [(*row, VOLUME) for row in rows]


CALM = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.70, 102.00, 100.20, 101.50),
    (101.20, 103.00, 101.00, 102.80),
    (103.10, 103.50, 100.90, 101.10),
    (100.80, 101.40, 98.70, 99.00),
    (98.50, 99.90, 97.50, 99.50),
    (99.80, 100.60, 99.10, 100.20),
    (100.40, 101.00, 99.90, 100.90),
)
"""Up, down through the start, and back; no bar opens far from the close before it."""

GAP_DOWN = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (101.20, 101.80, 100.40, 100.70),
    (95.00, 96.50, 94.20, 96.00),
    (96.30, 97.00, 95.80, 96.60),
)
GAP_UP = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (101.20, 101.80, 100.40, 101.30),
    (107.00, 108.50, 106.20, 108.00),
    (107.70, 108.10, 105.40, 106.60),
    (106.20, 107.30, 104.10, 105.00),
)
TOUCH = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (100.90, 101.10, 99.50, 100.20),  # the low is the limit, to the cent
    (100.30, 100.80, 99.70, 100.10),
    (100.00, 100.40, 99.20, 99.60),  # the low is below it
    (99.70, 100.20, 99.30, 100.00),
)
UP_AND_BACK = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.70, 101.60, 100.20, 101.50),
    (101.80, 103.40, 101.60, 103.20),  # up through 103.00
    (103.30, 103.80, 102.20, 102.60),  # and back to 102.50
    (102.40, 103.10, 101.90, 102.90),
)
WIDE = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (101.20, 105.00, 97.00, 99.00),  # from 101.20 both 104.00 and 98.00 are reached
    (99.20, 100.10, 98.60, 99.50),
)
RISE_AND_FALL = bars(
    (100.00, 101.00, 99.00, 100.00),
    (100.00, 103.00, 99.80, 103.00),  # bars that end at their high: the best price is the close
    (103.00, 105.00, 101.50, 105.00),
    (105.00, 107.00, 104.40, 107.00),
    (106.50, 106.80, 102.00, 102.50),
    (102.60, 103.20, 101.70, 102.20),
)
SEAMLESS_A = bars(
    (50.00, 51.00, 49.00, 50.00),
    (50.00, 53.00, 49.50, 52.00),
    (52.00, 60.50, 51.00, 60.00),
    (60.00, 62.00, 59.00, 61.00),
    (61.00, 61.50, 58.00, 59.00),
)
"""Every bar opens at the close before it, so that a weight comes to the same number of shares by either price."""
SEAMLESS_B = bars(
    (100.00, 102.00, 98.00, 100.00),
    (100.00, 104.00, 99.00, 103.00),
    (103.00, 104.00, 99.50, 100.00),
    (100.00, 101.00, 97.00, 98.00),
    (98.00, 99.00, 96.00, 97.00),
)
OPEN_IS_CLOSE = [
    (100.00, 101.00, 99.00, 100.00, 5_000.0),
    (100.50, 101.50, 99.50, 100.50, 2_000.0),
    (101.00, 102.00, 100.00, 101.00, 3_000.0),
    (100.20, 101.00, 99.00, 100.20, 1_500.0),
    (99.80, 100.50, 99.00, 99.80, 4_000.0),
    (100.10, 101.00, 99.50, 100.10, 5_000.0),
]
"""Bars that end where they began, for engines that fill at the close; with little volume."""


def wandering(n: int, seed: int) -> list[Bar]:
    """Return `n` bars of a random walk in cents, the same on every machine."""
    draw = random.Random(seed)
    close, rows = 5_000, []
    for _ in range(n):
        opened = max(500, close + draw.randint(-40, 40))
        close = max(500, opened + draw.randint(-120, 120))
        high = max(opened, close) + draw.randint(0, 60)
        low = min(opened, close) - draw.randint(0, 60)
        rows.append((opened / 100, high / 100, low / 100, close / 100, VOLUME))
    return rows


def one(rows: list[Bar]) -> dict[str, list[Bar]]:
    """Return bars of the one symbol that most scenarios trade."""
    return {"A": rows}
