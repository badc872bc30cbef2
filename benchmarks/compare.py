"""Measure Fairlead beside other engines: `make bench-peers`, or `python benchmarks/compare.py [--quick] [--only ENGINE]`.

Fairlead is compared with an independent computation first, and every engine with Fairlead: one that comes to something else
gets no time, only the difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import peertable
from agreement import Outcome, disagreement
from asking import Limits, Unanswered, ask, interpreter_of, write_data
from contenders import CONTENDERS, OWN, PEERS, WORKLOADS, Contender
from fairlead.engine.clock import WallClock
from machine import describe_machine

RESULTS = Path(__file__).resolve().parent / "results"
MEASURED = RESULTS / "peers.json"
RECORDED = RESULTS / "peers-quick.json"

Asks = Callable[[Contender, Path, Limits], dict[str, Any]]
"""Asks a contender about the data in a folder; raises `Unanswered`."""


class GateFailed(Exception):
    """Fairlead and the reference disagree, so there is nothing to compare with."""


def outcome_of(told: dict[str, Any]) -> Outcome:
    """Return what a contender came to."""
    return Outcome(told["fills"], told["equity"])


def measure(
    key: str, contenders: Sequence[Contender], folder: Path, limits: Limits, asks: Asks, *, quick: bool
) -> dict[str, Any]:
    """Run one workload with Fairlead and with each of the peers, then with Fairlead again.

    Returns
    -------
    dict
        ``title``, ``unit``, ``outcome``, ``asked`` (a hash of the data and the terms), ``rows``, and ``answers`` by engine.

    Raises
    ------
    GateFailed
        If Fairlead gives no answer, or another than the reference.
    """
    work = WORKLOADS[key]
    columns, terms = work.quick() if quick else work.make()
    data = write_data(folder / key, columns, terms)
    reference = Outcome(*work.expect(columns, terms))
    amount = work.per_run(columns, terms)
    own, peers = ([c for c in contenders if c.workload == key and c.is_own is is_own] for is_own in (True, False))
    told: dict[Contender, dict[str, Any]] = {}
    for contender in own:
        told[contender] = _gated(contender, data, limits, asks, reference)
    failures: dict[Contender, tuple[str, str]] = {}
    standard = outcome_of(told[own[0]])
    for contender in peers:
        try:
            answer = asks(contender, data, limits)
        except Unanswered as failure:
            failures[contender] = (str(failure).partition(":")[0], str(failure))
            continue
        told[contender] = answer
        difference = disagreement(outcome_of(answer), standard)
        if difference:
            failures[contender] = ("differs", f"differs: {difference}")
    # The machine may have become slower or faster in the meantime: half of Fairlead's runs are before, half after.
    for contender in own:
        seconds = told[contender]["seconds"]
        if peers and len(seconds) == limits.runs and sum(seconds) < limits.budget_s / 2:
            told[contender]["seconds"] = seconds + _gated(contender, data, limits, asks, reference)["seconds"]
    base = statistics.median(told[own[0]]["seconds"])
    return {
        "title": work.title.format(symbols=len(columns.symbols), bars=len(columns.close), pairs=len(terms.get("pairs", ()))),
        "unit": work.unit,
        "outcome": _said(standard),
        "asked": hash_of(data),
        "rows": [row_of(c, told.get(c), failures.get(c), base, amount) for c in (*own, *peers)],
        "answers": {c.engine: {k: told[c][k] for k in ("version", "fills", "equity")} for c in told if not c.is_own},
    }


def _gated(contender: Contender, data: Path, limits: Limits, asks: Asks, reference: Outcome) -> dict[str, Any]:
    try:
        told = asks(contender, data, limits)
    except Unanswered as failure:
        raise GateFailed(f"{contender.workload}: Fairlead {failure}") from failure
    difference = disagreement(outcome_of(told), reference)
    if difference:
        raise GateFailed(f"{contender.workload}: {difference}")
    return told


def _said(outcome: Outcome) -> str:
    if isinstance(outcome.equity, list):
        least, most = min(outcome.equity), max(outcome.equity)
        return f"{sum(outcome.fills):,} fills in all; final equity between {least:,.2f} and {most:,.2f}."
    return f"{len(outcome.fills):,} fills; final equity {outcome.equity:,.2f}."


def row_of(
    contender: Contender, told: dict[str, Any] | None, failure: tuple[str, str] | None, base: float, amount: int
) -> dict[str, Any]:
    """Return one row: with times if the contender agrees, with the reason if not.

    Parameters
    ----------
    base : float
        Fairlead's median, in seconds.
    amount : int
        What a run gets done, in the unit of the workload.
    """
    row: dict[str, Any] = {
        "engine": contender.engine,
        "title": contender.title,
        "style": contender.style,
        "kind": contender.kind,
        "is_own": contender.is_own,
        "status": failure[0] if failure else "agrees",
    }
    if told:
        row |= {name: told[name] for name in ("version", "python")}
    if failure:
        return row | {"note": failure[1]}
    assert told is not None, "who did not fail has answered"
    middle = statistics.median(told["seconds"])
    return row | {
        "seconds": told["seconds"],
        "median_s": middle,
        "min_s": min(told["seconds"]),
        "max_s": max(told["seconds"]),
        "times": middle / base,
        "rate": amount / middle,
        "peak_mb": told["peak_mb"],
    }


def hash_of(data: Path) -> str:
    """Return the hash of the files that the engines get: a recorded answer belongs to this question and no other."""
    whole = hashlib.sha256()
    for path in sorted([data / "about.json", *data.glob("*.bin")]):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


def session(contenders: Sequence[Contender], limits: Limits, asks: Asks, *, quick: bool) -> dict[str, Any]:
    """Run every workload that the contenders take part in."""
    results = {
        "date": WallClock().now().date().isoformat(),
        "machine": describe_machine(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        "quick": quick,
        "limits": limits._asdict(),
        "workloads": {},
    }
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as folder:
        for key in WORKLOADS:
            if any(c.workload == key for c in contenders):
                results["workloads"][key] = measure(key, contenders, Path(folder), limits, asks, quick=quick)
    return results


def chosen(engines: Sequence[str] = (), works: Sequence[str] = ()) -> list[Contender]:
    """Return who takes part: everyone, or the engines named and Fairlead wherever they run; in all workloads or those named."""
    named = [c for c in CONTENDERS if (not engines or c.engine in engines) and (not works or c.workload in works)]
    where = {c.workload for c in named}
    return [c for c in CONTENDERS if c in named or (c.is_own and c.workload in where)]


def write(results: dict[str, Any]) -> None:
    """Keep the results, and bring the page and the README up to date."""
    kept = {
        **results,
        "workloads": {key: {k: v for k, v in w.items() if k != "answers"} for key, w in results["workloads"].items()},
    }
    MEASURED.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_pages() -> None:
    """Make the page and the table of the README again, from what was measured last."""
    results = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else None
    peertable.PAGE.write_text(peertable.page(results), encoding="utf-8")
    text = peertable.readme(peertable.README.read_text(encoding="utf-8"), results)
    peertable.README.write_text(text, encoding="utf-8")


def record(results: dict[str, Any]) -> None:
    """Keep the peers' answers to the small workloads, for the tests."""
    kept = {key: {"asked": work["asked"], "answers": work["answers"]} for key, work in results["workloads"].items()}
    RECORDED.write_text(json.dumps(kept, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options; a mistake in them ends here with exit code 2."""
    parser = argparse.ArgumentParser(
        description="Measure Fairlead beside other engines, on the same data and with the same fills."
    )
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each (default 5; fewer where a run takes long)")
    parser.add_argument(
        "--only", action="append", default=[], choices=[OWN, *PEERS], help="this engine, and Fairlead; repeatable"
    )
    parser.add_argument("--workload", action="append", default=[], choices=[*WORKLOADS], help="this workload; repeatable")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether they agree, not how fast they are")
    parser.add_argument("--budget", type=float, default=120.0, help="seconds of timed runs of one engine (default 120)")
    parser.add_argument(
        "--timeout", type=float, default=1800.0, help="seconds after which an engine is given up (default 1800)"
    )
    parser.add_argument(
        "--python", action="append", default=[], metavar="PATH", help="interpreter for engines that need a newer one"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write", action="store_true", help="keep the results, and bring the page and the README up to date")
    parser.add_argument("--record", action="store_true", help="with --quick: keep the answers, which the tests compare with")
    parser.add_argument("--page", action="store_true", help="measure nothing: make the page and the README again")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"--runs must be at least 1, was {options.runs}")
    for name in ("budget", "timeout"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name} must be above 0 seconds, was {getattr(options, name):g}")
    is_part = bool(options.only or options.workload)
    if options.write and (options.quick or is_part):
        parser.error("--write keeps whole sessions at full size: leave out --quick, --only and --workload")
    if options.record and (not options.quick or is_part):
        parser.error("--record keeps the answers of every engine to the small workloads: use --quick and no other choice")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and keep what is to be kept."""
    options = parsed(arguments)
    if options.page:
        write_pages()
        return 0

    def asks(contender: Contender, data: Path, limits: Limits) -> dict[str, Any]:
        python = interpreter_of(contender, pythons=tuple(options.python))
        print(f"{contender.workload}  {contender.title} ...", file=sys.stderr, flush=True)
        return ask(contender, python, data, limits)

    limits = Limits(options.runs, options.budget, options.timeout)
    try:
        results = session(chosen(options.only, options.workload), limits, asks, quick=options.quick)
    except GateFailed as failure:
        print(f"Not timed: Fairlead and the reference disagree. {failure}", file=sys.stderr)
        return 1
    print(json.dumps(results, indent=1, sort_keys=True) if options.json else peertable.told_as_text(results))
    if options.write:
        write(results)
        write_pages()
    if options.record:
        record(results)
    return 0


if __name__ == "__main__":
    # A peer runs in a session of its own: it is ended where this process unwinds, and a plain SIGTERM would not unwind it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
