"""Measure the journal on this machine: `python benchmarks/journal.py [--records N] [--seconds S] [--url URL] [--write NAME]`.

How many records become durable in a second: by how many wait for the disk together, and at a steady load, where as many go
together as have come meanwhile. And whether the last of a million records is appended as fast as the thousandth. The chain is
verified against its head first and last. Exits 1 if it does not hold, or one of the targets is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fairlead.core.fills import Fill
from fairlead.core.orders import Side
from fairlead.journal import Journal, JournalSettings, Ticket, entries, open_store, read_head, verify
from fairlead.telemetry import QuantileSummary
from machine import describe_machine
from timing import GateFailed

START_NS = 1_700_000_000_000_000_000
TARGET = 5_000
"""Durable records in a second: what is offered at the steady load."""
SLOWER = 1.2
"""Most that a record may cost late, against early."""
BLOCK = 500
BLOCKS = 60
GROUPS = (1, 10, 100, 512)
EARLY = 1_000


def main() -> int:
    """Measure, print, and write the results if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="length at which appending is timed again (default 1e6)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the steady load (default 30)")
    parser.add_argument(
        "--url", default="", help="a journal that does not exist yet; default an SQLite file that is thrown away"
    )
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    if arguments.write and not arguments.write.isidentifier():
        parser.error(f"--write must be a plain name, was {arguments.write!r}")
    if arguments.records < 2 * (EARLY + BLOCK * BLOCKS):
        parser.error(f"--records must be at least {2 * (EARLY + BLOCK * BLOCKS)}, was {arguments.records}")
    if not arguments.seconds > 0:
        parser.error(f"--seconds must be above 0, was {arguments.seconds}")
    results: dict[str, Any] = {"machine": describe_machine(), "database": arguments.url.partition(":")[0] or "sqlite"}
    try:
        # Beside the results, not in /tmp: that may be memory, which makes everything durable at once.
        with tempfile.TemporaryDirectory(prefix=".journal-", dir=Path(__file__).parent) as folder:
            results |= measure(JournalSettings(url=arguments.url), Path(folder), arguments.records, arguments.seconds)
    except GateFailed as exc:
        print(exc, file=sys.stderr)
        return 1
    text = json.dumps(results, indent=2, sort_keys=True)
    print(text)
    if arguments.write:
        target = Path(__file__).parent / "results" / f"{arguments.write}.json"
        target.write_text(text + "\n", encoding="utf-8")
    misses = missed(results)
    print("\n".join(misses), file=sys.stderr, end="\n" if misses else "")
    return 1 if misses else 0


def missed(results: dict[str, Any]) -> list[str]:
    """Return the targets that do not hold, each as a sentence."""
    ratio, steady = results["append"]["late_over_early"], results["steady"]
    texts = []
    if ratio > SLOWER:
        texts.append(f"a late record takes {ratio:.2f} times as long as an early one, and may take {SLOWER:g} times")
    if steady["achieved_per_s"] < 0.99 * TARGET:
        texts.append(f"{steady['achieved_per_s']:,.0f} records a second became durable, and {TARGET:,} were offered")
    return texts


def measure(settings: JournalSettings, folder: Path, records: int, seconds: float) -> dict[str, object]:
    """Time appends early and late, groups of several sizes, a steady load, and verification."""
    young_folder = folder / "young"
    young_folder.mkdir()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.open(settings, "benchmark", folder))
        write(journal, EARLY)
        check(settings, folder, EARLY)
        early = windows(journal)[0] if settings.url else None
        groups = {str(size): group(journal, size) for size in GROUPS}
        load = steady(journal, seconds)
        write(journal, max(0, records - journal.last_seq))
        from_late = journal.last_seq
        if early is None:
            # Window by window beside a journal that is young: whatever else the machine does then, it does to both.
            young = stack.enter_context(Journal.open(settings, "benchmark", young_folder))
            write(young, EARLY)
            early, late = windows(young, journal)
        else:
            (late,) = windows(journal)
        length = journal.last_seq
    with timer() as taken:
        check(settings, folder, length)
    return {
        "append": {
            "what": f"us per record, in {BLOCKS} windows of {BLOCK} that each end on the disk: append alone, and with the wait",
            f"from_record_{EARLY}": early,
            f"from_record_{from_late}": late,
            "late_over_early": late["append_median_us"] / early["append_median_us"],
            "late_over_early_with_wait": late["durable_median_us"] / early["durable_median_us"],
        },
        "steady": load,
        "durable_records_per_s": {"what": "fills, by how many wait for the disk together", **groups, "target": TARGET},
        "verify_records_per_s": length / taken[0],
    }


def write(journal: Journal, count: int) -> None:
    """Append `count` fills; return when they are durable."""
    if count:
        journal.durable(append(journal, count))


def append(journal: Journal, count: int) -> Ticket:
    """Append `count` fills, and return the place of the last."""
    for _ in range(count):
        seq = journal.last_seq
        fill = Fill(
            str(seq),
            "5b3c2f6e-0000-5000-8000-000000000000",
            "trend",
            "ACME",
            Side.BUY,
            10.0,
            101.01,
            101.02,
            0.35,
            START_NS,
            START_NS,
        )
        ticket = journal.append(entries.fill(START_NS + seq, fill))
    return ticket


def windows(*journals: Journal) -> list[dict[str, float]]:
    """Return of each journal the microseconds per record of windows that end on the disk; of several they take turns."""
    appended: list[list[float]] = [[] for _ in journals]
    durable: list[list[float]] = [[] for _ in journals]
    for _ in range(BLOCKS):
        for i, journal in enumerate(journals):
            with timer() as whole:
                with timer() as taken:
                    ticket = append(journal, BLOCK)
                journal.durable(ticket)
            appended[i].append(taken[0] / BLOCK * 1e6)
            durable[i].append(whole[0] / BLOCK * 1e6)
    return [
        {
            "append_median_us": statistics.median(own),
            "append_min_us": min(own),
            "durable_median_us": statistics.median(waited),
            "durable_min_us": min(waited),
        }
        for own, waited in zip(appended, durable, strict=True)
    ]


def steady(journal: Journal, seconds: float) -> dict[str, object]:
    """Offer `TARGET` records a second, evenly, and let those that have come meanwhile wait for the disk together."""
    waits, groups, done = QuantileSummary(), QuantileSummary(low=1.0), 0
    whole = round(TARGET * seconds)
    began = time.perf_counter()
    while done < whole:
        due = min(whole, int((time.perf_counter() - began) * TARGET) + 1)
        if due == done:
            time.sleep(max(0.0, began + done / TARGET - time.perf_counter()))
            continue
        journal.durable(append(journal, due - done))
        now = time.perf_counter() - began
        for place in range(done, due):
            waits.add(now - place / TARGET)
        groups.add(due - done)
        done = due
    elapsed = time.perf_counter() - began
    return {
        "what": f"{TARGET} records a second for {seconds:g} s; seconds from when a record is due until it is on the disk",
        "offered_per_s": TARGET,
        "achieved_per_s": whole / elapsed,
        "wait_s": waits.summary().to_dict(),
        "records_in_a_group": groups.summary().to_dict(),
    }


def group(journal: Journal, size: int) -> float:
    """Return how many records become durable in a second if `size` of them wait together."""
    rounds = max(20, 5_000 // size)
    with timer() as taken:
        for _ in range(rounds):
            write(journal, size)
    return rounds * size / taken[0]


def check(settings: JournalSettings, folder: Path, length: int) -> None:
    """Refuse a chain that does not hold or does not have the length that was written."""
    store = open_store(settings.place(folder))
    try:
        verdict = verify(store, read_head(settings.head_path(folder)))
    finally:
        store.close()
    if not verdict.whole or verdict.records != length:
        raise GateFailed(verdict.text or f"{length} records were written, and {verdict.records} are there")


@contextmanager
def timer() -> Iterator[list[float]]:
    """Give a list that holds the seconds of the block once it is over."""
    taken: list[float] = []
    began = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
