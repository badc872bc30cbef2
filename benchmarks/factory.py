"""Measure the signal factory: `python benchmarks/factory.py [--config FILE] [--override K=V] [--write NAME]`.

The command of the shipped configuration (a year of synthetic minutes of 20 symbols, from bars to trades) runs twice, each time
in a new process and into a new folder. Every file of the two must have the same bytes, but for the instant of creation and
durations; if not, the script says which differ and exits 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_machine

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "factory_insidebar.yaml"
RUN_ID = "bench"
TARGET_S = 120.0
TARGET_BARS_PER_MINUTE = 5e6


def main() -> int:
    """Run twice, compare, print, and write the results if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--override", action="append", default=[], metavar="K=V", help="as -o of the command")
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    if arguments.write and not arguments.write.isidentifier():
        parser.error(f"--write must be a plain name, was {arguments.write!r}")
    with tempfile.TemporaryDirectory(prefix="fairlead-factory-") as folder:
        runs = [run(arguments.config, Path(folder) / name, arguments.override) for name in ("first", "second")]
        differing = compare(Path(folder) / "first", Path(folder) / "second")
    if differing:
        print(f"two runs of one configuration differ in: {', '.join(differing)}", file=sys.stderr)
        return 1
    results = {"machine": describe_machine(), **measured(runs)}
    text = json.dumps(results, indent=2, sort_keys=True)
    print(text)
    if arguments.write:
        target = Path(__file__).parent / "results" / f"{arguments.write}.json"
        target.write_text(text + "\n", encoding="utf-8")
    return 0


def run(config: Path, workspace: Path, overrides: list[str]) -> dict[str, Any]:
    """Run the command in a process of its own and return what it printed, with its seconds."""
    command = [sys.executable, "-m", "fairlead", "factory", "run", str(config), "--json", "-w", str(workspace)]
    for override in [f"run_id={RUN_ID}", *overrides]:
        command += ["-o", override]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return {**json.loads(done.stdout), "wall_s": time.perf_counter() - begin, "inner": inner_steps(workspace)}


def inner_steps(workspace: Path) -> dict[str, float]:
    """Return the seconds of every line of the run's steps."""
    lines = (workspace / "runs" / RUN_ID / "run_steps.jsonl").read_text(encoding="utf-8").splitlines()
    return {step["step"]: step["seconds"] for step in map(json.loads, lines)}


def compare(first: Path, second: Path) -> list[str]:
    """Return the names of the files that differ in more than they may."""
    trees = [{p.relative_to(root).as_posix(): content(p) for p in root.rglob("*") if p.is_file()} for root in (first, second)]
    return sorted(name for name in trees[0].keys() | trees[1].keys() if trees[0].get(name) != trees[1].get(name))


def content(path: Path) -> str:
    """Return a hash of what may not differ: all bytes, or all but the instant of creation and durations."""
    data = path.read_bytes()
    if path.name == "manifest.json":
        data = json.dumps({**json.loads(data), "created_at": None}, sort_keys=True).encode()
    if path.name == "run_steps.jsonl":
        steps = [{**json.loads(line), "seconds": None} for line in data.decode().splitlines()]
        data = json.dumps(steps, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def measured(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the faster of two runs stage by stage, with its rates."""
    best = min(runs, key=lambda one: one["wall_s"])
    stages = {step["step"]: {k: step[k] for k in ("rows_in", "rows_out", "seconds")} for step in best["steps"]}
    minutes = stages["data"]["rows_in"]
    replay = best["inner"]["replay"]
    return {
        "what": "fairlead factory run, in a new process: bars, candidates, signals, orders, replay, artefacts",
        "minutes": minutes,
        "trades": best["metrics"]["num_trades"],
        "wall_s": [one["wall_s"] for one in runs],
        "target_s": TARGET_S,
        "stages": stages,
        "replay": {
            "bars_per_minute": 60 * minutes / replay,
            "bars_per_minute_with_reading_and_artefacts": 60 * minutes / stages["replay"]["seconds"],
            "target_bars_per_minute": TARGET_BARS_PER_MINUTE,
        },
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "byte_identical": True,
    }


if __name__ == "__main__":
    sys.exit(main())
