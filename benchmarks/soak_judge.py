"""What a soak must hold, judged from what was measured; and the table that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

EVENT_TO_DECISION_S = 0.010
PIPELINE_S = 0.200
ORDER_MEDIAN_S = 0.250
ORDER_P95_S = 0.600
RSS_TREND_PCT = 3.0
RSS_SPREAD_PCT = 8.0
QUEUE = 65_536
"""What may wait between the feed and the loop: the default of a session."""


@dataclass(frozen=True)
class Check:
    """One thing that was asked.

    Attributes
    ----------
    found, limit : str
        In the words of the table.
    """

    name: str
    found: str
    limit: str
    is_met: bool


def trend(seconds: Sequence[float], rss_mb: Sequence[float]) -> dict[str, float]:
    """Return how memory went in the second half of a run: the first is the warm-up.

    Returns
    -------
    dict
        ``slope_mb_per_hour`` of the line of least squares, what it adds over that half in percent of where it begins
        (``trend_pct``), and how far the highest sample lies above the half's first tenth, in percent of it (``spread_pct``).
    """
    half = len(seconds) // 2
    x, y = np.array(seconds[half:]), np.array(rss_mb[half:])
    if len(x) < 2 or x[-1] == x[0]:
        return {"slope_mb_per_hour": 0.0, "trend_pct": 0.0, "spread_pct": 0.0, "start_mb": float(y[0]) if len(y) else 0.0}
    slope, intercept = np.polyfit(x - x[0], y, 1)
    start = float(np.median(y[: max(1, len(y) // 10)]))
    return {
        "slope_mb_per_hour": float(slope * 3600),
        "trend_pct": float(100 * slope * (x[-1] - x[0]) / intercept),
        "spread_pct": float(100 * (y.max() / start - 1)),
        "start_mb": start,
    }


def checks(results: Mapping[str, Any], *, timed: bool = True) -> list[Check]:
    """Return what is asked of a soak, with what was found.

    Parameters
    ----------
    results : mapping
        As `soak.measure` gives them.
    timed : bool
        Whether times and memory count too; on a machine that does other work they say nothing.
    """
    feed, log, ends, events = results["feed"], results["log"], results["end"], results["plan"]["events"]
    fills, strategies, instants = results["fills"], results["plan"]["strategies"], results["plan"]["instants"]
    found = [
        Check("events that came", f"{feed['events']:,}", f"{events:,}", feed["events"] == events),
        Check("and are in the recording", f"{results['recorded']:,}", f">= {events:,}", results["recorded"] >= events),
        Check("late bars", str(feed["late_bars"]), "0", feed["late_bars"] == 0),
        Check("events lost or malformed", str(feed["lost"] + feed["malformed"]), "0", feed["lost"] + feed["malformed"] == 0),
        Check("most events waiting", f"{feed['most_waiting']:,}", f"< {QUEUE:,}", feed["most_waiting"] < QUEUE),
        Check("producers that had to wait", str(feed["refused"]), "0", feed["refused"] == 0),
        Check("instants decided on", f"{results['cycles']:,}", f"{instants:,}", results["cycles"] == instants),
        Check("fills of each strategy", _names(fills), "> 0", set(fills) == set(strategies)),
        Check("errors in session.log", str(len(log["errors"])), "0", not log["errors"]),
        Check("standard error", log["stderr"][:60] or "empty", "empty", not log["stderr"]),
        Check("exit code", str(ends["exit_code"]), "0", ends["exit_code"] == 0),
        Check("journal holds together", f"{ends['journal_records']:,} records", "verified", ends["journal_whole"]),
    ]
    return found + (_timed(results) if timed else [])


def _timed(results: Mapping[str, Any]) -> list[Check]:
    latency, memory = results["latency_s"], results["memory"]
    decision, whole, order = latency["event_to_decision"], latency["event_processing"], latency["decision_to_ack"]
    return [
        Check(
            "event to decision, p95",
            _ms(decision["p95"]),
            f"< {_ms(EVENT_TO_DECISION_S)}",
            decision["p95"] < EVENT_TO_DECISION_S,
        ),
        Check("signal pipeline, p95", _ms(whole["p95"]), f"< {_ms(PIPELINE_S)}", whole["p95"] < PIPELINE_S),
        Check("order latency, median", _ms(order["p50"]), f"< {_ms(ORDER_MEDIAN_S)}", order["p50"] < ORDER_MEDIAN_S),
        Check("order latency, p95", _ms(order["p95"]), f"< {_ms(ORDER_P95_S)}", order["p95"] < ORDER_P95_S),
        Check(
            "memory, trend of the second half",
            f"{memory['trend_pct']:+.2f} %",
            f"< {RSS_TREND_PCT:g} %",
            memory["trend_pct"] < RSS_TREND_PCT,
        ),
        Check(
            "memory, highest over its start",
            f"{memory['spread_pct']:+.2f} %",
            f"< {RSS_SPREAD_PCT:g} %",
            memory["spread_pct"] < RSS_SPREAD_PCT,
        ),
    ]


def _below(name: str, seconds: float, limit: float) -> Check:
    return Check(name, _ms(seconds), f"< {_ms(limit)}", seconds < limit)


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def table(results: Mapping[str, Any], found: Sequence[Check]) -> str:
    """Return what was found beside what was asked."""
    plan, memory, feed = results["plan"], results["memory"], results["feed"]
    rows = [("", "found", "asked", ""), *((c.name, c.found, c.limit, "yes" if c.is_met else "NO") for c in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    latency = [
        f"{name}: {summary['count']:,} times, median {_ms(summary['p50'])}, p95 {_ms(summary['p95'])}, "
        f"p99 {_ms(summary['p99'])}, most {_ms(summary['max'])}"
        for name, summary in results["latency_s"].items()
        if summary["count"]
    ]
    shown = results["metrics"]
    stages = [name for name in ("execution", "monitors", "market") if shown.get(f"stage_duration_seconds_count|{name}")]
    means = [shown[f"stage_duration_seconds_sum|{name}"] / shown[f"stage_duration_seconds_count|{name}"] for name in stages]
    spent = "stages, mean: " + ", ".join(f"{name} {_ms(mean)}" for name, mean in zip(stages, means, strict=True))
    counts = f"{sum(results['orders'].values()):,} orders, {sum(results['fills'].values()):,} fills"
    about = (
        f"{plan['symbols']} symbols, {plan['updates_per_s']:g} updates/s each, {plan['instants']:,} instants in "
        f"{results['seconds'] / 60:.1f} min; {counts}"
    )
    held = (
        f"memory: {memory['rss_mb'][0]:.0f} MB at first, {memory['start_mb']:.0f} MB at half time, "
        f"{memory['rss_mb'][-1]:.0f} MB at last, {memory['slope_mb_per_hour']:+.2f} MB/h; conflated {feed['conflated']}, "
        f"gaps {feed['gaps']}, reconnects {feed['reconnects']}"
    )
    return "\n".join([about, *latency, spent, held, "", *lines])
