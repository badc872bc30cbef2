"""Measure the engine on this machine: `python benchmarks/run.py [--runs N] [--json] [--write NAME]`.

A workload is timed only after its fills and final equity agree with an independent computation; if they do not, the script
says where and exits 1.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reference
import workloads
from compiled import measure_kernels, sweep_once
from fairlead.sdk import Strategy
from fairlead.sdk.history import MIN_HISTORY
from machine import describe_machine
from timing import GateFailed, timed

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"[a-z][a-z0-9_\-]*")


@dataclass(frozen=True)
class Workload:
    """How one workload is made, run and checked."""

    title: str
    cash: float
    make: Callable[[], workloads.Columns]
    strategy: type[Strategy]
    expect: Callable[[workloads.Columns, float], reference.Expected]
    target: str


WORKLOADS = {
    "W1": Workload(
        "W1  SMA crossover, 1 symbol x 500,000 one-minute bars",
        100_000.0,
        workloads.minute_walk,
        workloads.SmaCrossover,
        reference.crossover,
        ">= 1,000,000 bars/s",
    ),
    "W2": Workload(
        "W2  momentum, 500 symbols x 2,520 daily bars",
        10_000_000.0,
        workloads.daily_walks,
        workloads.TopMomentum,
        reference.momentum,
        "<= 0.15 s",
    ),
}


def measure(key: str, runs: int) -> dict[str, Any]:
    """Check one workload, then time it.

    Raises
    ------
    GateFailed
        If fills or equity differ from the reference.
    """
    work = WORKLOADS[key]
    columns = work.make()
    source = workloads.as_source(columns)
    made = workloads.BlockSource.of(source, MIN_HISTORY + 1)
    expected = work.expect(columns, work.cash)
    for checked in (source, made):
        record = workloads.run(checked, work.strategy(), work.cash)
        difference = reference.disagreement(record, columns, expected)
        if difference:
            raise GateFailed(f"{key}: {difference}")
    bars = columns.close.size
    engine = timed(runs, lambda: workloads.run(made, work.strategy(), work.cash))
    read = timed(runs, lambda: workloads.read_all(workloads.run(made, work.strategy(), work.cash)))
    whole = timed(runs, lambda: workloads.run(source, work.strategy(), work.cash))
    return {
        "title": work.title,
        "target": work.target,
        "bars": bars,
        "fills": len(expected.price),
        "final_equity": expected.equity,
        "engine": {**engine, "bars_per_s": bars / engine["median_s"]},
        "and_read": {**read, "bars_per_s": bars / read["median_s"]},
        "with_assembly": {**whole, "bars_per_s": bars / whole["median_s"]},
    }


def peak_memory_mb(workload: str) -> float:
    """Return the peak resident memory, in MB, of a process that makes a workload's data and runs it once."""
    answer = subprocess.run(
        [sys.executable, str(HERE / "run.py"), "--memory-probe", workload], check=True, capture_output=True, text=True
    )
    return float(answer.stdout)


def memory_probe(workload: str) -> float:
    """Run W1, or W3 as a kernel strategy, once and return this process's peak resident memory in MB."""
    work = WORKLOADS["W1"]
    if workload == "W3":
        sweep_once(work.cash)
    else:
        workloads.run(workloads.as_source(work.make()), work.strategy(), work.cash)
    try:
        # On Linux a child inherits the peak of the process that started it in `ru_maxrss`; VmHWM is its own.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1e3
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, KiB elsewhere


def start_up(runs: int) -> dict[str, dict[str, float]]:
    """Return wall times of fresh processes: the bare interpreter, `import fairlead` and `fairlead --help`."""
    commands = {
        "python": ["-c", "pass"],
        "import fairlead": ["-c", "import fairlead"],
        "fairlead --help": ["-c", "from fairlead.cli.main import main; main()", "--help"],
    }
    found = {}
    for name, arguments in commands.items():
        command = [sys.executable, *arguments]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:  # also warms the file cache
            found[name] = timed(runs, lambda command=command: subprocess.run(command, check=True, capture_output=True))
    return found


def table(results: dict[str, Any]) -> str:
    """Return the results as text."""
    about = results["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    lines = [
        f"{about['cpu']}, {about['cores']} core(s), {about['memory_gb']} GiB, {about['os']}",
        f"{about['python']}; {libraries}",
        f"Median and minimum of {results['runs']} runs, one core; fills and equity agree with the reference.",
        "",
        f"{'':56}{'median':>10}{'min':>10}{'bars/s':>14}  target",
    ]
    for work in results["workloads"].values():
        parts = {
            "engine": work["title"],
            "and_read": "    and its curve, prices and digest read",
            "with_assembly": "    with assembly of its bars from a table",
        }
        for part, name in parts.items():
            one = work.get(part)
            if one is None:
                continue
            target = work["target"] if part == "engine" else ""
            lines.append(f"{name:56}{one['median_s']:9.3f}s{one['min_s']:9.3f}s{one['bars_per_s']:14,.0f}  {target}".rstrip())
        if "peak_memory_mb" in work:
            lines.append(f"{'    peak memory, data included':56}{work['peak_memory_mb']:7.0f} MB{'':26}< 300 MB")
    if "w1_peak_memory_mb" in results:
        lines.append(f"{'W1  peak memory, data included':56}{results['w1_peak_memory_mb']:7.0f} MB{'':26}< 300 MB")
    targets = {"import fairlead": "< 0.3 s", "fairlead --help": "< 0.3 s"}
    for name, one in results.get("start_up", {}).items():
        lines.append(f"{name:56}{one['median_s']:9.3f}s{one['min_s']:9.3f}s{'':16}{targets.get(name, '')}".rstrip())
    return "\n".join(lines)


def main() -> int:  # noqa: C901  one branch for each thing that can be asked for
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the speed of the engine on this machine.")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each measurement (default 5)")
    parser.add_argument("--only", choices=[*WORKLOADS, "kernels", "start"], help="measure this alone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    parser.add_argument("--memory-probe", choices=["W1", "W3"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.runs < 1:
        parser.error(f"--runs must be at least 1, was {options.runs}")
    if options.write and not NAME.fullmatch(options.write):
        parser.error(f"--write must be lower-case letters, digits, '-' and '_', starting with a letter, was {options.write!r}")
    if options.memory_probe:
        print(memory_probe(options.memory_probe))
        return 0
    results: dict[str, Any] = {"machine": describe_machine(), "runs": options.runs, "workloads": {}}
    try:
        for key in WORKLOADS:
            if options.only in (None, key):
                results["workloads"][key] = measure(key, options.runs)
        if options.only in (None, "kernels"):
            results["workloads"] |= measure_kernels(options.runs, WORKLOADS["W1"].cash)
            results["workloads"]["W3 kernel"]["peak_memory_mb"] = peak_memory_mb("W3")
    except GateFailed as failure:
        print(f"Not timed: engine and reference disagree. {failure}", file=sys.stderr)
        return 1
    if options.only in (None, "W1"):
        results["w1_peak_memory_mb"] = peak_memory_mb("W1")
    if options.only in (None, "start"):
        results["start_up"] = start_up(options.runs)
    text = json.dumps(results, indent=2, sort_keys=True)
    print(text if options.json else table(results))
    if options.write:
        target = HERE / "results" / f"{options.write}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
