"""What `make bench-peers` runs: the workloads with their data and terms, and who runs which of them, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reference
import workloads
from parity.engines import ENGINES, Engine
from workloads import COMMISSION_BPS, SHARES_PER_CROSS, Columns

SCRIPTS = Path(__file__).parent / "peers"
OWN = "fairlead"

PEERS = {
    **{engine.key: engine for engine in ENGINES},
    "ml4t_backtest": Engine("ml4t_backtest", "ml4t-backtest", "ml4t-backtest", "MIT", SCRIPTS, (3, 12)),
    "pybroker": Engine("pybroker", "PyBroker", "lib-pybroker", "Apache-2.0 with Commons Clause", SCRIPTS),
}

Expect = Callable[[Columns, dict[str, Any]], tuple[Any, Any]]
"""What the reference comes to: as a peer tells it, fills and equity."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One workload.

    Parameters
    ----------
    title, short : str
        What it is, to be filled in with sizes, and in two or three words.
    unit, per_run : str, callable
        What is counted, and how much of it a run does, given the data and the terms.
    make, quick : callable
        The bars and the terms of the rule, at full size and at the small one.
    expect : callable
        The independent computation.
    """

    title: str
    short: str
    unit: str
    per_run: Callable[[Columns, dict[str, Any]], int]
    make: Callable[[], tuple[Columns, dict[str, Any]]]
    quick: Callable[[], tuple[Columns, dict[str, Any]]]
    expect: Expect


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of the table of a workload.

    Parameters
    ----------
    engine : str
        Key of a peer, or `OWN`.
    task : str
        By which its script knows what to do.
    style : str
        How the rule is written.
    kind : str
        By which the rows of Fairlead are told apart from each other.
    """

    workload: str
    engine: str
    style: str
    task: str
    kind: str = "a Python class"

    @property
    def is_own(self) -> bool:
        """Whether it is Fairlead."""
        return self.engine == OWN

    @property
    def title(self) -> str:
        """What it is called."""
        return "Fairlead" if self.is_own else PEERS[self.engine].title

    @property
    def script(self) -> Path:
        """What runs it."""
        return SCRIPTS.parent / "own.py" if self.is_own else SCRIPTS / f"peer_{self.engine}.py"


def crossover_terms(**more: Any) -> dict[str, Any]:
    """Return the terms of W1 and W3."""
    return {"cash": 100_000.0, "bps": COMMISSION_BPS, "shares": SHARES_PER_CROSS, **more}


def w1(bars: int) -> tuple[Columns, dict[str, Any]]:
    """Return W1 of so many bars."""
    return workloads.minute_walk(bars), crossover_terms(fast=20, slow=50)


def w2(symbols: int, bars: int) -> tuple[Columns, dict[str, Any]]:
    """Return W2 of so many symbols and bars."""
    terms = {"cash": 10_000_000.0, "bps": COMMISSION_BPS, "window": 126, "every": 21, "count": symbols // 10}
    return workloads.daily_walks(symbols, bars), terms


def w3(bars: int, pairs: list[tuple[int, int]]) -> tuple[Columns, dict[str, Any]]:
    """Return W3 of so many bars and these pairs."""
    return workloads.minute_walk(bars), crossover_terms(pairs=pairs)


def fills_of(columns: Columns, expected: reference.Expected) -> tuple[Any, Any]:
    """Return what the reference expects, as a peer tells it."""
    bars = {label: bar for bar, label in enumerate(columns.label_ns.tolist())}
    rows = zip(*(array.tolist() for array in expected[:4]), strict=True)
    return [(bars[label], column, quantity, price) for label, column, quantity, price in rows], expected.equity


def expect_w1(columns: Columns, terms: dict[str, Any]) -> tuple[Any, Any]:
    """Return what W1 must come to."""
    return fills_of(columns, reference.crossover(columns, terms["cash"], terms["fast"], terms["slow"]))


def expect_w2(columns: Columns, terms: dict[str, Any]) -> tuple[Any, Any]:
    """Return what W2 must come to."""
    rule = {name: terms[name] for name in ("window", "every", "count")}
    return fills_of(columns, reference.momentum(columns, terms["cash"], **rule))


def expect_w3(columns: Columns, terms: dict[str, Any]) -> tuple[Any, Any]:
    """Return what W3 must come to."""
    swept = reference.sweep(columns, terms["cash"], terms["pairs"])
    return swept.fills.tolist(), swept.equity.tolist()


WORKLOADS = {
    "W1": Workload(
        title="SMA(20)/SMA(50) crossover on one symbol, {bars:,} one-minute bars",
        short="crossover, 1 symbol",
        unit="bars/s",
        per_run=lambda columns, _: columns.close.size,
        make=lambda: w1(500_000),
        quick=lambda: w1(5_000),
        expect=expect_w1,
    ),
    "W2": Workload(
        title="top tenth of {symbols} symbols by momentum, {bars:,} daily bars each",
        short="momentum, 500 symbols",
        unit="bars/s",
        per_run=lambda columns, _: columns.close.size,
        make=lambda: w2(500, 2_520),
        quick=lambda: w2(60, 400),
        expect=expect_w2,
    ),
    "W3": Workload(
        title="the rule of W1 with each of {pairs:,} pairs of averages, {bars:,} one-minute bars",
        short="sweep, 1,000 pairs",
        unit="runs/s",
        per_run=lambda _, terms: len(terms["pairs"]),
        make=lambda: w3(50_000, workloads.sweep_pairs()),
        quick=lambda: w3(5_000, workloads.sweep_pairs((5, 10, 20), (30, 50, 70))),
        expect=expect_w3,
    ),
}

PER_BAR = "Python, bar by bar"
AT_ONCE = "vectorised: arrays, no bar by bar"
CONTENDERS = (
    # The first row of Fairlead is what the others are compared with.
    Contender(workload="W1", engine=OWN, style=PER_BAR, task="W1"),
    Contender(workload="W1", engine=OWN, style="compiled strategy", task="W1 compiled", kind="a kernel strategy"),
    Contender(workload="W1", engine="nautilus_trader", style=PER_BAR, task="W1"),
    Contender(workload="W1", engine="backtesting", style=PER_BAR, task="W1"),
    Contender(workload="W1", engine="pybroker", style=PER_BAR, task="W1"),
    Contender(workload="W1", engine="ml4t_backtest", style=PER_BAR, task="W1"),
    Contender(workload="W1", engine="backtrader", style=PER_BAR, task="W1"),
    Contender(workload="W1", engine="zipline", style=PER_BAR, task="W1"),
    Contender(workload="W1", engine="vectorbt", style=AT_ONCE, task="W1"),
    Contender(workload="W2", engine=OWN, style=PER_BAR, task="W2"),
    Contender(workload="W2", engine="bt", style=PER_BAR, task="W2"),
    Contender(workload="W2", engine="ml4t_backtest", style=PER_BAR, task="W2"),
    Contender(workload="W2", engine="backtrader", style=PER_BAR, task="W2"),
    Contender(workload="W2", engine="nautilus_trader", style=PER_BAR, task="W2"),
    Contender(workload="W2", engine="pybroker", style=PER_BAR, task="W2"),
    Contender(workload="W2", engine="zipline", style=PER_BAR, task="W2"),
    Contender(workload="W2", engine="vectorbt", style="compiled order function", task="W2"),
    Contender(workload="W3", engine=OWN, style="compiled, on 2 threads", task="W3 compiled", kind="a kernel strategy"),
    Contender(
        workload="W3", engine=OWN, style="compiled, `sweep`: every trial recorded", task="W3 recorded", kind="a recorded sweep"
    ),
    Contender(workload="W3", engine=OWN, style="Python, `sweep` on 2 processes", task="W3"),
    Contender(workload="W3", engine="backtesting", style="Python, `optimize` on every core", task="W3"),
    Contender(workload="W3", engine="vectorbt", style="vectorised, on 2 processes", task="W3"),
)
