"""Measure the journal on this machine: `python benchmarks/journal.py [--records N] [--url URL]`.

The chain is verified against its head first and last; if it does not hold, the script says so and exits 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairlead.core.fills import Fill
from fairlead.core.orders import Side
from fairlead.journal import Journal, JournalSettings, entries, open_store, read_head, verify
from machine import describe_machine
from timing import GateFailed

START_NS = 1_700_000_000_000_000_000
TARGET = 5_000
BLOCK = 1_000
BLOCKS = 50
GROUPS = (1, 10, 100, 512)
EARLY = 10 * BLOCK


def main() -> int:
    """Measure, print, and write the results if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="length at which appending is timed again (default 1e6)")
    parser.add_argument(
        "--url", default="", help="a journal that does not exist yet; default an SQLite file that is thrown away"
    )
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    if arguments.write and not arguments.write.isidentifier():
        parser.error(f"--write must be a plain name, was {arguments.write!r}")
    if arguments.records < 2 * (EARLY + BLOCK * BLOCKS):
        parser.error(f"--records must be at least {2 * (EARLY + BLOCK * BLOCKS)}, was {arguments.records}")
    results: dict[str, object] = {"machine": describe_machine(), "database": arguments.url.partition(":")[0] or "sqlite"}
    try:
        # Beside the results, not in /tmp: that may be memory, which makes everything durable at once.
        with tempfile.TemporaryDirectory(prefix=".journal-", dir=Path(__file__).parent) as folder:
            results |= measure(JournalSettings(url=arguments.url), Path(folder), arguments.records)
    except GateFailed as exc:
        print(exc, file=sys.stderr)
        return 1
    text = json.dumps(results, indent=2, sort_keys=True)
    print(text)
    if arguments.write:
        target = Path(__file__).parent / "results" / f"{arguments.write}.json"
        target.write_text(text + "\n", encoding="utf-8")
    return 0


def measure(settings: JournalSettings, folder: Path, records: int) -> dict[str, object]:
    """Time appends early and late, groups of several sizes, and verification."""
    with Journal.open(settings, "benchmark", folder) as journal:
        write(journal, EARLY)
        check(settings, folder, EARLY)
        early = blocks(journal)
        groups = {str(size): group(journal, size) for size in GROUPS}
        write(journal, records - journal.last_seq)
        late = blocks(journal)
        length = journal.last_seq
    with timer() as taken:
        check(settings, folder, length)
    return {
        "append": {
            "what": f"append and wait in one group of {BLOCK}, us per record: least and median of {BLOCKS} blocks",
            f"from_record_{EARLY}": early,
            f"from_record_{records}": late,
            "late_over_early": late["min_us"] / early["min_us"],
        },
        "durable_records_per_s": {"what": "fills, by how many wait for the disk together", **groups, "target": TARGET},
        "verify_records_per_s": length / taken[0],
    }


def write(journal: Journal, count: int) -> None:
    """Append `count` fills; return when they are durable."""
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
    journal.durable(ticket)


def blocks(journal: Journal) -> dict[str, float]:
    """Return microseconds per record of blocks that each end on the disk."""
    seconds = []
    for _ in range(BLOCKS):
        with timer() as taken:
            write(journal, BLOCK)
        seconds.append(taken[0] / BLOCK)
    return {"min_us": min(seconds) * 1e6, "median_us": statistics.median(seconds) * 1e6}


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
