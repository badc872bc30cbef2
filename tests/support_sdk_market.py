"""A small market in which everything of the SDK can happen, and one configuration run on it in every mode that runs.

Half hours of nine sessions: prices in waves, a symbol with holes, and a corporate action of every kind.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from fairlead.backtest.result import Result
from fairlead.backtest.run import run_backtest
from fairlead.backtest.rundir import read_directory, write_run
from fairlead.config.papering import wire_paper
from fairlead.config.realtime import RealtimeSession
from fairlead.config.replaying import wire_replay
from fairlead.config.wire import WiredSession, wire
from fairlead.core.events import ActionKind
from fairlead.core.time import date_to_day
from fairlead.data.live import ReplayFeed
from fairlead.engine.session import SessionPlan
from fairlead.sdk import Strategy
from support_cli import fairlead
from support_paper import NOW, loaded, now_ns, paper_session, run_paper

MODES: Final = ("backtest", "replay", "paper", "feed")
"""A run, its replay, its bars played again on paper, and the same bars on paper as a live feed brings them."""
RUN_ID: Final = "bt_every_mode"
"""The same in every mode: orders are named after it."""
DATASET: Final = "everything"
BARS: Final = 13
"""Of a session."""
DAYS: Final = tuple(dt.date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11, 12))
BASES: Final = {
    "ACQ": 40.0,
    "GONE": 8.0,
    "HOLE": 60.0,
    "KID": 20.0,
    "MAIN": 100.0,
    "NEW": 30.0,
    "OLD": 30.0,
    "PAR": 80.0,
    "PAY": 50.0,
    "SPL": 200.0,
    "TGT": 45.0,
}
HELD: Final = tuple(sorted(BASES))
ACTIONS: Final[tuple[tuple[str, int, ActionKind, dict[str, object]], ...]] = (
    ("PAY", 2, ActionKind.DIVIDEND, {"value": 0.5}),
    ("SPL", 3, ActionKind.SPLIT, {"value": 2}),
    ("PAY", 4, ActionKind.STOCK_DIVIDEND, {"value": 0.05}),
    ("PAR", 4, ActionKind.SPIN_OFF, {"value": 0.2, "other": "KID", "basis": 0.05}),
    ("OLD", 5, ActionKind.RENAME, {"other": "NEW"}),
    ("TGT", 6, ActionKind.MERGER, {"value": 0.5, "other": "ACQ", "cash": 12.5}),
    ("GONE", 7, ActionKind.DELISTING, {"cash": 0.5}),
)
"""Symbol, session, kind, and what the kind needs."""
THIN: Final = "HOLE"
"""Has bars with holes between them, and little volume."""
_LIVES: Final = {"KID": (4, 9), "NEW": (5, 9), "OLD": (0, 5), "TGT": (0, 6), "GONE": (0, 7)}
_HISTORY: Final = "mode: backtest\ndata: {{type: historical, source: store, dataset: {dataset}}}"
_FEED: Final = """\
mode: paper
clock: {{type: realtime}}
data: {{type: live, feed: by_hand, symbols: [{symbols}], bar_size: 30min, actions: {actions}, record: false}}"""
_CONFIG: Final = """\
{origin}
name: Every mode
record: true
execution: {{type: simulated, latency: {{mean_ms: 10, std_ms: 5}}}}
risk: {{guards: {{disabled: [{guards}]}}, kill_switches: {{disabled: [KS_PNL, KS_DD, KS_PSR]}}}}
universe: {{path: {members}, min_history: 2}}
strategies:
"""


Entries = Sequence[tuple[str, str, dict[str, Any]]]
"""Of each strategy its name, reference and parameters."""


@dataclasses.dataclass(frozen=True)
class Probed:
    """What one mode has shown: its result, and the strategies that took part, by name."""

    result: Result
    strategies: Mapping[str, Strategy]


def plain(value: Any) -> Any:
    """Return a value as what can be compared exactly: arrays as lists, records as mappings, NaN as a word."""
    match value:
        case enum.Enum():
            return value.value
        case float() if value != value:
            return "nan"
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case Mapping():
            return {key: plain(one) for key, one in value.items()}
        case list() | tuple() if not hasattr(value, "_asdict"):
            return [plain(one) for one in value]
    fields = _fields_of(value)
    return value if fields is None else plain(fields)


def _fields_of(record: Any) -> Mapping[str, Any] | None:
    if isinstance(record, BaseModel):
        return record.model_dump()
    if hasattr(record, "_asdict"):
        return record._asdict()
    if dataclasses.is_dataclass(record):
        return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return None


def make_market(folder: Path) -> None:
    """Store the dataset in a new workspace, and the list of its universe beside it."""
    rows = ["timestamp,symbol,open,high,low,close,volume"]
    for symbol in HELD:
        rows += _bars(symbol)
    (folder / "bars.csv").write_text("\n".join(rows) + "\n")
    fields = ("value", "other", "cash", "basis")
    lines = [
        ",".join([symbol, DAYS[day].isoformat(), kind.value, *(str(given.get(name, "")) for name in fields)])
        for symbol, day, kind, given in ACTIONS
    ]
    (folder / "actions.csv").write_text("\n".join(["symbol,ex_session,kind,value,other,cash,basis", *lines]) + "\n")
    members = [f"{symbol},2024-01-02," for symbol in HELD if symbol != "ACQ"] + [f"ACQ,{DAYS[3]},{DAYS[8]}"]
    (folder / "members.csv").write_text("\n".join(["symbol,entry,exit", *members]) + "\n")
    where = ("--dataset", DATASET, "--bar-size", "30min", "--timezone", "America/New_York", "--actions", "actions.csv")
    done = fairlead("data", "import", "bars.csv", *where, cwd=folder, FAIRLEAD_HOME=str(folder))
    assert done.code == 0, done.err


def _bars(symbol: str) -> list[str]:
    first, end = _LIVES.get(symbol, (0, len(DAYS)))
    base, phase = BASES[symbol], sum(map(ord, symbol)) % 7 if symbol != "MAIN" else 0
    rows, before = [], base
    for i in range(first * BARS, end * BARS):
        day, bar = divmod(i, BARS)
        factor = 0.5 if symbol == "SPL" and day >= 3 else 1.0
        close = base * factor * (1 + 0.04 * math.sin(2 * math.pi * (i + phase) / 11) + 0.002 * day)
        opened = before * (0.5 if symbol == "SPL" and i == 3 * BARS else 1.0)
        high, low = max(opened, close) * 1.0025, min(opened, close) * 0.9975
        before = close
        if symbol == THIN and i % 5 == 3:
            continue
        begins = dt.datetime.combine(DAYS[day], dt.time(9, 30)) + dt.timedelta(minutes=30 * bar)
        numbers = ",".join(f"{price:.2f}" for price in (opened, high, low, close))
        rows.append(f"{begins:%Y-%m-%d %H:%M},{symbol},{numbers},{2_000 if symbol == THIN else 2_000_000}")
    return rows


def ex_session(day: int) -> int:
    """Return the session date of a day of the market, in days since the epoch."""
    return date_to_day(DAYS[day])


def write_configs(folder: Path, entries: Entries) -> tuple[Path, Path]:
    """Write the configuration of strategies, each with name, reference and parameters: on history, and on a live feed."""
    sizing = {"mode": "risk", "risk_pct": 1, "max_pos_pct": 20}
    lines = [
        json.dumps({"name": name, "strategy": reference, "capital": 100_000, "sizing": sizing, "params": params})
        for name, reference, params in entries
    ]
    guards = ", ".join(f"G{i}" for i in range(1, 13))
    paths = []
    for name, origin in (("history", _HISTORY), ("feed", _FEED)):
        where = origin.format(dataset=DATASET, symbols=", ".join(HELD), actions=folder / "actions.csv")
        text = _CONFIG.format(origin=where, guards=guards, members=folder / "members.csv")
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(text + "".join(f"  - {line}\n" for line in lines))
    return paths[0], paths[1]


@dataclasses.dataclass(frozen=True, slots=True)
class _Watched(WiredSession):
    """Keeps the plans that are made of it, whose strategies a test asks what they saw."""

    plans: list[SessionPlan] = dataclasses.field(default_factory=list)

    @classmethod
    def over(cls, wired: WiredSession) -> _Watched:
        return cls(**{field.name: getattr(wired, field.name) for field in dataclasses.fields(wired)})

    def plan(self, run_id: str = "", *, profile: bool = False) -> SessionPlan:
        plan = WiredSession.plan(self, run_id, profile=profile)
        self.plans.append(plan)
        return plan

    def probed(self, result: Result) -> Probed:
        return Probed(result, {a.name: a.strategy for a in self.plans[-1].allocations})


def backtest_of(workspace: Path, entries: Entries, *overrides: str) -> Probed:
    """Run strategies over history."""
    history, _ = write_configs(workspace, entries)
    wired = _Watched.over(wire(loaded(history, *overrides), {}, workspace))
    given = {"title": wired.title, "config": wired.loaded.effective, "created_at": NOW}
    return wired.probed(run_backtest(wired.plan(RUN_ID), **given))


def replay_of(workspace: Path, original: Result) -> Probed:
    """Run what the run directory of a run says, on the same data."""
    recorded = read_directory(write_run(original, workspace, report=False, plots=False))
    session = wire_replay(recorded.info, workspace)
    wired = _Watched.over(session.session)
    given = {"title": original.info.title, "config": original.info.config, "created_at": NOW}
    plan = dataclasses.replace(session, session=wired).plan(RUN_ID)
    return wired.probed(run_backtest(plan, mode="replay", **given))


def on_paper(session: RealtimeSession, workspace: Path) -> Probed:
    """Run a paper session to its end, in a workspace of its own: orders are named after the run, which is the same for all."""
    wired = dataclasses.replace(_Watched.over(session.wired), workspace=workspace)
    return wired.probed(run_paper(dataclasses.replace(session, wired=wired), RUN_ID))


def run_everywhere(workspace: Path, entries: Entries) -> dict[str, Probed]:
    """Run strategies in every mode."""
    history, feed = write_configs(workspace, entries)
    first = backtest_of(workspace, entries)
    papered = paper_session(history, workspace)
    fed = wire_paper(loaded(feed), {}, now_ns, workspace)
    fed = dataclasses.replace(fed, feed=lambda: ReplayFeed.of_source(papered.wired.source))
    return {
        "backtest": first,
        "replay": replay_of(workspace, first.result),
        "paper": on_paper(papered, workspace / "paper"),
        "feed": on_paper(fed, workspace / "feed"),
    }
