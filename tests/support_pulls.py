"""Vendors of history for tests; run as a program, a nursery of pulls that are killed.

The nursery forks one pull for every line it reads, which dies by SIGKILL at a chosen call or return of a function, those of the
system included.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from fairlead.core.errors import BrokerConnection, DataNotFound, FairleadError, PacingViolation
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize, date_to_day, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.coverage import Coverage
from fairlead.data.store import BarStore
from fairlead.data.vendors.asking import Surroundings
from fairlead.data.vendors.history import HistoryPage, HistoryTraits, PageRequest
from fairlead.data.vendors.pace import PaceLimit
from fairlead.data.vendors.planning import AskFor
from fairlead.data.vendors.pull import PullOrder, opened_pull
from fairlead.data.vendors.pulled import PullResult

XNYS = ExchangeCalendar.get("XNYS")
LONG_AFTER = to_ns(dt.datetime(2025, 1, 2, 12, tzinfo=dt.UTC))
COLUMNS = ("open", "high", "low", "close", "volume")


class World:
    """A clock and its waiting, without any."""

    def __init__(self, now_ns: int = LONG_AFTER) -> None:
        self.now_ns = now_ns
        self.slept: list[float] = []

    def around(self) -> Surroundings:
        """Return what a pull takes of it."""
        return Surroundings(lambda: self.now_ns, lambda: self.now_ns / NS_PER_SECOND, self._sleep, lambda: 0.5)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += round(seconds * NS_PER_SECOND)


class DiedError(BaseException):
    """The process is gone."""


@dataclass
class Vendor:
    """A vendor that has bars by symbol and label, and says so page by page."""

    bars: dict[str, dict[int, tuple[float, ...]]]
    """By symbol and label in nanoseconds: open, high, low, close, volume."""
    dividends: dict[str, dict[int, float]] = field(default_factory=dict)
    bar_size: BarSize = BarSize.D1
    per_page: int = 5
    rows_per_answer: int = 1_000_000
    limits: tuple[PaceLimit, ...] = ()
    failures: list[FairleadError | None] = field(default_factory=list)
    """What the next requests fail with; None for one that does not."""
    dies_at: int | None = None
    """The request in which everything ends."""
    asked: list[tuple[AskFor, PageRequest]] = field(default_factory=list)
    answered: list[tuple[AskFor, PageRequest]] = field(default_factory=list)
    is_closed: bool = False
    name: str = "stored"

    @property
    def traits(self) -> HistoryTraits:
        """What it serves: one bar size."""
        pages = {self.bar_size: self.per_page}
        return HistoryTraits(sessions_per_page=pages, limits=self.limits, has_actions=True, reach_days={self.bar_size: 20_000})

    def page(self, request: PageRequest) -> HistoryPage:
        """Return the bars of a page, or a part of it."""
        self._meet(AskFor.BARS, request)
        days = date_to_day(request.first), date_to_day(request.last)
        known = self._bars_of(request.symbol)
        inside = [label for label in sorted(known) if days[0] <= label // NS_PER_DAY <= days[1]]
        start = int(request.token or 0)
        shown = inside[start : start + self.rows_per_answer]
        more = str(start + len(shown)) if start + len(shown) < len(inside) else ""
        self.answered.append((AskFor.BARS, request))
        if not shown:
            return HistoryPage()
        index = pd.DatetimeIndex(np.array(shown, "datetime64[ns]"), tz="UTC", name="ts")
        return HistoryPage(pd.DataFrame([known[label] for label in shown], index=index, columns=list(COLUMNS)), more)

    async def actions(self, request: PageRequest) -> Sequence[CorporateAction]:
        """Return the dividends; a coroutine, as those of IBKR are."""
        self._meet(AskFor.ACTIONS, request)
        self.answered.append((AskFor.ACTIONS, request))
        return [
            CorporateAction(request.symbol, day, ActionKind.DIVIDEND, value)
            for day, value in self.dividends.get(request.symbol, {}).items()
        ]

    def was_last(self, kind: AskFor, request: PageRequest) -> bool:
        """Return whether an answer was the last part of what was asked for."""
        if kind is AskFor.ACTIONS:
            return True
        days = date_to_day(request.first), date_to_day(request.last)
        count = sum(days[0] <= label // NS_PER_DAY <= days[1] for label in self.bars[request.symbol])
        return int(request.token or 0) + self.rows_per_answer >= count

    def close(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True

    def _bars_of(self, symbol: str) -> dict[int, tuple[float, ...]]:
        if symbol not in self.bars:
            raise DataNotFound(f"stored knows no symbol {symbol!r}.")
        return self.bars[symbol]

    def _meet(self, kind: AskFor, request: PageRequest) -> None:
        self.asked.append((kind, request))
        if self.dies_at is not None and len(self.asked) >= self.dies_at:
            raise DiedError
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure


def daily_bars(seed: int, first: dt.date, last: dt.date) -> dict[int, tuple[float, ...]]:
    """Return bars of every session, by label."""
    labels = XNYS.labels(date_to_day(first), date_to_day(last), BarSize.D1)
    return _bars(seed, labels)


def minute_bars(seed: int, first: dt.date, last: dt.date) -> dict[int, tuple[float, ...]]:
    """Return bars of half an hour, by label."""
    return _bars(seed, XNYS.labels(date_to_day(first), date_to_day(last), BarSize.M30))


def _bars(seed: int, labels: np.ndarray) -> dict[int, tuple[float, ...]]:
    rng = np.random.default_rng(seed)
    close = 100 + np.round(np.cumsum(rng.normal(0, 1, len(labels))), 2)
    close = np.maximum(close, 5.0)
    return {
        int(label): (float(c), float(c) + 0.5, float(c) - 0.5, float(c) + 0.25, float(100 + i))
        for i, (label, c) in enumerate(zip(labels, close, strict=True))
    }


def order(symbols: Sequence[str], start: str, end: str | None, bar_size: BarSize = BarSize.D1) -> PullOrder:
    """Return what is to be pulled."""
    return PullOrder(
        dataset="pulled",
        symbols=tuple(symbols),
        bar_size=bar_size,
        start=dt.date.fromisoformat(start),
        end=None if end is None else dt.date.fromisoformat(end),
        calendar=XNYS,
    )


def pulled(root: Path, what: PullOrder, vendor: Vendor, world: World | None = None, fold_rows: int = 1_000_000) -> PullResult:
    """Pull, and return what came."""
    around = (world or World()).around()
    with opened_pull(BarStore(root), what, vendor, around, fold_rows=fold_rows) as pull:
        return pull.run()


def state(root: Path, bar_size: BarSize = BarSize.D1) -> dict[str, object]:
    """Return all that a dataset is: its content, what it put aside, and what need not be asked again."""
    dataset = BarStore(root).open("pulled", bar_size, verify=True)
    coverage = Coverage.read(dataset.folder)
    quarantine = dataset.folder / "quarantine.csv"
    leftovers = sorted(path.name for path in (root / "pulled").rglob("*.page"))
    return {
        "content": dataset.manifest.content_sha256,
        "rows": dataset.manifest.rows,
        "symbols": [span.model_dump(mode="json") for span in dataset.manifest.symbols],
        "labels": [str(dataset.manifest.first_label), str(dataset.manifest.last_label)],
        "coverage": None if coverage is None else coverage.to_json(),
        "quarantine": sorted(quarantine.read_text().splitlines()) if quarantine.is_file() else [],
        "leftovers": leftovers,
    }


def market() -> Vendor:
    """Return a vendor of three symbols: one listed later, one with bad bars, and one that pays."""
    first, last = dt.date(2023, 11, 1), dt.date(2024, 3, 28)
    bars = {
        "AAA": daily_bars(1, first, last),
        "BBB": daily_bars(2, dt.date(2024, 1, 10), last),
        "CCC": daily_bars(3, first, last),
    }
    for place, bad in ((20, (10.0, 9.0, 8.0, 9.5, 5.0)), (41, (float("nan"), 12.0, 8.0, 9.5, 5.0))):
        bars["CCC"][sorted(bars["CCC"])[place]] = bad
    days = [label // NS_PER_DAY for label in sorted(bars["AAA"])]
    return Vendor(bars, {"AAA": {days[10]: 0.24, days[70]: 0.25}})


MARKET = order(["AAA", "BBB", "CCC"], "2023-11-01", "2024-03-28")


class _Doom:
    """Kills the process at a chosen call or return."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _live(root: Path, at: int) -> None:
    vendor, doom = market(), _Doom(at)
    sys.setprofile(doom)
    pulled(root, MARKET, vendor, fold_rows=120)
    sys.setprofile(None)


def _nursery() -> None:
    """Read ``[folder, at]`` a line; answer how the life ended: 0, or minus the signal."""
    # Nothing is computed before: polars and arrow have threads then, which a fork does not take along.
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        folder, at = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _live(Path(folder), at)
                code = 0
            finally:
                os._exit(code)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def too_many(after_s: float | None = None) -> PacingViolation:
    """Return what a vendor says when it was asked too much."""
    exc = PacingViolation("too many requests")
    if after_s is not None:
        exc.retry_after_s = after_s  # type: ignore[attr-defined]
    return exc


def down() -> BrokerConnection:
    """Return what is said of a vendor that does not answer."""
    return BrokerConnection("stored cannot be reached")


if __name__ == "__main__":
    _nursery()
