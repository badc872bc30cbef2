"""Scores of the plug-ins that ship."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.factory.plugin import Frame


def range_scores(daily: Mapping[str, Frame], sessions: int) -> dict[str, float]:
    """Return the mean daily range as a fraction of the close over the last `sessions`, of symbols that have as many.

    A breakout needs room to run: symbols that move are preferred.
    """
    scores = {}
    for symbol, bars in daily.items():
        if bars.height >= sessions:
            last = bars.tail(sessions)
            scores[symbol] = float(((last["HIGH"] - last["LOW"]) / last["CLOSE"]).mean())  # type: ignore[arg-type]  # polars: Any
    return scores
