"""Let a paper session run on a market for a long time, and see that it stays as it began: `python benchmarks/soak.py`.

Two processes: the project's market server, and `fairlead paper` on it over the websocket, with journal, recording, guards, kill
switches, metrics and three strategies that trade. Memory is sampled and `/metrics` read once a second; quantiles of latency
come from the session's closing log line, which counts every event. Exits 1 if something that is asked does not hold.

A minute bar is the smallest there is, so the market plays at sixty times its own speed: one update a second for each symbol.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prometheus_client.parser import text_string_to_metric_families

import soak_judge
from fairlead.backtest.rundir import read_directory
from machine import describe_machine

HERE = Path(__file__).resolve().parent
DAY = 86_400
"""Updates of a symbol in a day of one a second."""
SERIOUS = ("ERROR", "CRITICAL")
START_S = 120.0
END_S = 300.0
STRATEGIES: dict[str, dict[str, Any]] = {
    "insidebar": {
        "params": {
            "session_windows": ["09:30-15:30"],
            "required_warmup_bars": 10,
            "atr_period": 5,
            "min_mother_bar_size": 1.7,
            "min_mother_body_fraction": 0.7,
            "min_inside_body_fraction": 0.7,
        },
        "sizing": {"mode": "fixed", "fixed_qty": 10, "max_pos_pct": 5},
    },
    "mean_reversion": {"params": {"window": 60, "entry": 3.6, "exit": 0.5, "weight": 0.5}},
    "momentum": {"params": {"lookback_bars": 30, "top": 3, "every": 30, "weight": 0.1}},
}
WIDE: dict[str, Any] = {
    "max_gross_exposure": 1e8,
    "max_symbol_qty": 1e6,
    "max_pos_pct": 100,
    "max_daily_loss": 1e6,
    "max_drawdown": 1e6,
    "max_move_pct": 50,
    "max_open_positions": 1_000,
    "max_consecutive_losses": 100_000,
}
"""Every guard is asked, and none of them ends a session of which nothing is wanted but that it goes on."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run.

    Parameters
    ----------
    symbols : int
    updates_per_s : float
        Of each symbol.
    instants : int
        Updates of each symbol, all told.
    burst_every_s, burst : float, int
        So often so many updates of every symbol come at once: that many times the usual rate. 0 for never.
    strategies : mapping
        Name in the session, which is that of a strategy that ships, and what its entry says.
    """

    symbols: int = 200
    updates_per_s: float = 1.0
    instants: int = 1_800
    burst_every_s: float = 600.0
    burst: int = 20
    strategies: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: STRATEGIES)

    @property
    def events(self) -> int:
        """How many bars there will be."""
        return self.symbols * self.instants

    def to_dict(self) -> dict[str, Any]:
        """Return the plan for the results."""
        return {**asdict(self), "events": self.events}


def main() -> int:
    """Run, judge, print, and write the results if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long, by the clock on the wall (default 30)")
    parser.add_argument("--symbols", type=int, default=200, help="default 200")
    parser.add_argument("--rate", type=float, help="updates a second of each symbol (default 1; 10 with --compressed)")
    parser.add_argument("--burst-every", type=float, default=600.0, help="seconds between bursts (default 600; 0 for none)")
    parser.add_argument("--burst", type=int, default=20, help="updates of each symbol that come at once (default 20)")
    parser.add_argument("--compressed", action="store_true", help=f"{DAY:,} updates, a day of one a second, at a higher rate")
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep the workspace in this new folder")
    given = parser.parse_args()
    if given.write and not given.write.isidentifier():
        parser.error(f"--write must be a plain name, was {given.write!r}")
    rate = given.rate if given.rate is not None else 10.0 if given.compressed else 1.0
    if not (rate > 0 and given.symbols > 0 and given.burst > 0 and given.burst_every >= 0):
        parser.error("--rate, --symbols and --burst must be above 0, and --burst-every 0 or more")
    instants = DAY if given.compressed else round(given.minutes * 60 * rate)
    if instants < 60:
        parser.error(f"--minutes must give at least 60 updates of each symbol, was {given.minutes:g} at {rate:g}/s")
    plan = Plan(
        symbols=given.symbols, updates_per_s=rate, instants=instants, burst_every_s=given.burst_every, burst=given.burst
    )
    # Who ends this process ends the two that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with workspace(given.keep) as folder:
        results = {"machine": describe_machine(), **measure(plan, folder, progress=sys.stderr.isatty())}
    found = soak_judge.checks(results)
    results["checks"] = [asdict(check) for check in found]
    print(soak_judge.table(results, found))
    if given.write:
        target = HERE / "results" / f"{given.write}.json"
        target.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return 0 if all(check.is_met for check in found) else 1


@contextlib.contextmanager
def workspace(kept: Path | None) -> Iterator[Path]:
    """Give a folder beside the results: what is in /tmp may be in memory, which makes everything durable at once."""
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=".soak-", dir=HERE) as folder:
        yield Path(folder)


def measure(plan: Plan, folder: Path, *, progress: bool = False) -> dict[str, Any]:
    """Run market and session to their end, and return what was seen.

    Raises
    ------
    SystemExit
        If one of them does not begin, or does not end.
    """
    with market(plan) as served:
        facts = json.loads(served.stdout.readline() or "{}") if served.stdout is not None else {}
        if "url" not in facts:
            raise SystemExit("the market server did not begin.")
        (folder / "soak.yaml").write_text(json.dumps(configuration(plan, facts)), encoding="utf-8")
        with (folder / "out.json").open("w+") as out, (folder / "err.txt").open("w+") as err:
            began = time.monotonic()
            command = [sys.executable, "-m", "fairlead", "paper", "soak.yaml", "--json", "--metrics-port", "0", "-w", "."]
            with subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, text=True, env=_environ()) as session:
                try:
                    watch = _watched(plan, session, folder, began, progress=progress)
                finally:
                    session.kill()
            seconds = time.monotonic() - began
            out.seek(0)
            told = json.loads(out.read() or "{}")
    return {"plan": plan.to_dict(), "seconds": seconds, **watch, **_aftermath(folder, told, session.returncode)}


@contextlib.contextmanager
def market(plan: Plan) -> Iterator[subprocess.Popen[str]]:
    """Start the market server."""
    every = round(plan.burst_every_s * plan.updates_per_s)
    given = {"symbols": plan.symbols, "instants": plan.instants, "speed": 60 * plan.updates_per_s, "burst-every": every}
    command = [sys.executable, str(HERE / "soak_market.py"), "--burst", str(plan.burst)]
    command += [text for name, value in given.items() for text in (f"--{name}", str(value))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environ()) as served:
        try:
            yield served
        finally:
            served.kill()


def configuration(plan: Plan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the session's: everything is on that a session on live data has."""
    return {
        "mode": "paper",
        "name": "soak",
        "clock": {"type": "realtime"},
        "data": {
            "type": "live",
            "feed": "websocket",
            "url": facts["url"],
            "symbols": facts["symbols"],
            "bar_size": "1min",
            "calendar": "XNYS",
        },
        "execution": {"type": "simulated", "latency": {"mean_ms": 50, "std_ms": 20}},
        # A market of chance has no Sharpe ratio to defend.
        "risk": {"guards": WIDE, "kill_switches": {"disabled": ["KS_PSR"]}},
        "report": {"html": False, "plots": False},
        "strategies": [{"name": name, "capital": 1_000_000, **entry} for name, entry in plan.strategies.items()],
    }


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD")}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _watched(plan: Plan, session: subprocess.Popen[str], folder: Path, began: float, *, progress: bool) -> dict[str, Any]:
    """Sample a session once a second until it ends."""
    seconds: list[float] = []
    rss: list[float] = []
    shown: dict[str, float] = {}
    url = ""
    limit = began + START_S + plan.instants / plan.updates_per_s + END_S
    while session.poll() is None:
        if time.monotonic() > limit:
            raise SystemExit(f"the session does not end: {(folder / 'err.txt').read_text()}")
        url = url or _address(folder)
        latest = _metrics(url) if url else {}
        resident = _rss_mb(session.pid)
        if latest and resident is not None and latest.get("cycles_total", 0) < plan.instants:
            # What the writing of the results takes at the end is no part of a session's life.
            shown = latest
            seconds.append(time.monotonic() - began)
            rss.append(resident)
            if progress:
                print(f"\r{latest.get('cycles_total', 0):,.0f} instants, {resident:.0f} MB ", end="", file=sys.stderr)
        elif latest:
            shown = latest
        with contextlib.suppress(subprocess.TimeoutExpired):
            session.wait(1.0)
    if progress:
        print(file=sys.stderr)
    memory = {**soak_judge.trend(seconds, rss), "seconds": _thinned(seconds), "rss_mb": _thinned(rss)}
    return {"memory": memory, "metrics": {name: value for name, value in sorted(shown.items()) if "_bucket" not in name}}


def _thinned(values: Sequence[float], most: int = 240) -> list[float]:
    step = max(1, len(values) // most)
    return [round(value, 2) for value in values[::step]] or [0.0]


def _address(folder: Path) -> str:
    found = re.search(r"http://[\d.:]+/metrics", (folder / "err.txt").read_text())
    return found.group() if found else ""


def _metrics(url: str) -> dict[str, float]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  the session's own address
            text = answer.read().decode()
    except OSError:  # it has ended meanwhile
        return {}
    return {
        "|".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _rss_mb(pid: int) -> float | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        command = ["/bin/ps", "-o", "rss=", "-p", str(pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return int(done.stdout) / 1024 if done.stdout.strip() else None


def _aftermath(folder: Path, told: dict[str, Any], exit_code: int) -> dict[str, Any]:
    """Return what a session has left behind."""
    (place,) = [path for path in (folder / "sessions").iterdir() if path.is_dir()]
    if not told:
        raise SystemExit(f"the session ended without a result: {(folder / 'err.txt').read_text()}")
    logs = sorted(place.glob("session.log*"), reverse=True)
    lines = [json.loads(line) for path in logs for line in path.read_text().splitlines()]
    last = {line["event"]: line["data"] for line in lines}
    check = ["journal", "verify", "--journal", str(place / "journal.db"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", *check], cwd=folder, capture_output=True, text=True, env=_environ(), check=False
    )
    verdict = json.loads(done.stdout or "{}")
    noise = [line for line in (folder / "err.txt").read_text().splitlines() if line.strip() and "/metrics" not in line]
    record = read_directory(folder / told["path"]).record
    orders, fills = (Counter(one.strategy for one in ones) for ones in (record.orders, record.fills))
    latency = last.get("session_latency", {})
    return {
        "feed": last.get("feed_counts", {}),
        "latency_s": {name: {k: v if v is not None else 0.0 for k, v in s.items()} for name, s in latency.items()},
        "cycles": int(latency.get("event_processing", {}).get("count", 0)),
        "orders": dict(sorted(orders.items())),
        "fills": dict(sorted(fills.items())),
        "recorded": sum(pq.read_metadata(path).num_rows for path in (place / "recording").glob("events-*.parquet")),
        "log": {
            "errors": [f"{line['event']}: {line['message']}" for line in lines if line["level"] in SERIOUS][:20],
            "warnings": sum(line["level"] == "WARNING" for line in lines),
            "stderr": "\n".join(noise)[:2_000],
        },
        "end": {
            "exit_code": exit_code,
            "journal_whole": done.returncode == 0,
            "journal_records": int(verdict.get("records", 0)),
            "status": told.get("status", "none"),
        },
    }


if __name__ == "__main__":
    sys.exit(main())
