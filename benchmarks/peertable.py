"""What `make bench-peers` measured, as text, as the page of the documentation, and as the table of the README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from contenders import PEERS, WORKLOADS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
README = ROOT / "README.md"
MARKED = re.compile(r"(<!-- bench-peers -->\n).*?(<!-- /bench-peers -->)", re.DOTALL)
NOT_YET = "Not measured yet: `make bench-peers` does it.\n"

_INTRODUCTION = """\
<!-- Made by `make bench-peers` from benchmarks/results/peers.json; a test holds it current. -->
# Fairlead beside other engines

`make bench-peers` installs each engine in an environment of its own under `.parity/`, the same that `make parity` uses, and
runs the same workloads on the same files, one engine after the other, each in a process of its own. It takes about half an
hour and 4 GB of disk. No engine is a dependency of the package, and none is ever imported by it.

**A time counts only for the same work.** Fairlead has to come to the fills and the final equity of an independent computation
(`benchmarks/reference.py`), and every engine to Fairlead's: the same fills, bar by bar, in the same quantities, with prices and
equity to a relative 1e-9. An engine that does not is listed with the difference and without a time.

What is timed is one run, from an engine that knows nothing to its final equity, in wall time. Loading of data, imports and
what is compiled once are left out, for Fairlead as for the others: each finds the bars in memory, in the form that it takes
them in. What it does with them in every run counts, such as backtrader's preloading, ml4t-backtest's index of stamps and
zipline's reading from its store. Fairlead is timed before and after the others, unless a run takes long. What takes long is
repeated less often; the tables say how often. Memory is the peak of the process, with the data; where a run uses more
processes, as much again for each of them as the largest had, and pages that they share count in each.

The scripts in `benchmarks/peers/` are meant to be what someone who knows the library would write. If you know a faster way that
comes to the same fills, it is a welcome change.

`python benchmarks/compare.py --help` lists the options; `--quick` shows in a minute whether they agree. ml4t-backtest needs
Python 3.12 or later: `make bench-peers PEER_PYTHON=/path/to/python3.12` names one that is not on the path.
"""

_NOTES = """\
## How each engine runs

- **W1**: buy 100 shares when the average of 20 closes rises above that of 50, sell them when it falls below; filled at the next
  open, with a commission of 1 bp. Prices are multiples of 1/64, so that every way to keep an average gives the same float.
- **W2**: every 21 bars hold the tenth with the highest return over 126 bars, at equal weights of the equity at the decision, in
  whole shares; filled at the next open, with a commission of 1 bp.
- **W3**: W1 with every pair of a fast average of 5 to 24 bars and a slow one of 30 to 79.
- **NautilusTrader** fills a market order at the last price that the venue knows, which on a bar's close is that close. To be
  filled at the next open, the venue is shown each open as a quote: two events a bar. Two deques took less time than its own
  averages.
- **backtesting.py**, **backtrader** and **PyBroker** get their averages as indicators, worked out over the whole history before
  the first bar. zipline-reloaded, ml4t-backtest, NautilusTrader and Fairlead update them bar by bar.
- **zipline-reloaded** reads minutes from its bcolz store and days from memory; a slippage model of its own fills at the open.
- **ml4t-backtest** gets stamps in microseconds: in nanoseconds it takes twice as long.
- **vectorbt** has no bar by bar. W2 is a compiled order function, since whole shares of the equity at the decision need it.
- **backtrader**, **ml4t-backtest**, **NautilusTrader**, **PyBroker** and **vectorbt** refuse or cut an order that cash does not
  pay for, as where prices gap up between decision and open. In W2 they have a credit line of the same size as their cash, which
  is taken off the equity again.
- **backtesting.py** trades one symbol a run, and **bt** knows one price a bar: the one is not in W2, the other not in W1.
- **W3**: Fairlead's `sweep` judges every trial by the metrics of a run and records it in a database. `optimize` of
  backtesting.py keeps one number of each run, so all equities are compared, and the fills of eight pairs.
"""


def seconds(value: float) -> str:
    """Return a time with three digits that matter."""
    if value >= 99.95:
        return f"{value:.0f} s"
    if value >= 0.9995:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms"


def times(value: float) -> str:
    """Return a ratio with at least two digits that matter."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.2g}" if value < 9.95 else f"{value:.3g}"


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows: Fairlead, then the fastest first, then those without a time."""
    return sorted(rows, key=lambda row: (not row["is_own"], "median_s" not in row, row.get("median_s", 0.0)))


def cells(row: dict[str, Any]) -> list[str]:
    """Return time, runs, ratio, rate and memory of one row; of a row without a time, why."""
    if "median_s" not in row:
        return [row["note"], "", "", "", ""]
    spread = f"{seconds(row['median_s'])} ({seconds(row['min_s'])} to {seconds(row['max_s'])})"
    return [spread, str(len(row["seconds"])), times(row["times"]), f"{row['rate']:,.0f}", f"{row['peak_mb']:,.0f} MB"]


def told_as_text(results: dict[str, Any]) -> str:
    """Return everything as text for a terminal."""
    lines = [*about(results), ""]
    for key, work in results["workloads"].items():
        lines += [
            f"{key}  {work['title']}",
            f"{'':44}{'median (min to max)':34}{'runs':>4}{'/ Fairlead':>12}{work['unit']:>13}",
        ]
        for row in ordered(work["rows"]):
            name = f"{row['title']} {row.get('version', '')}".strip() + (f", {row['kind']}" if row["is_own"] else "")
            time, runs, ratio, rate, memory = cells(row)
            lines.append(f"  {name:42}{time:34}{runs:>4}{ratio:>12}{rate:>13}{memory:>11}".rstrip())
        lines.append("")
    return "\n".join(lines).rstrip()


def about(results: dict[str, Any]) -> list[str]:
    """Return when and on what it was measured."""
    machine = results["machine"]
    cores = f"{machine['cores']} core" + ("s" if machine["cores"] != 1 else "")
    size = " Small sizes: no measure of speed." if results["quick"] else ""
    where = f"{machine['cpu']}, {cores}, {machine['memory_gb']} GiB, {machine['os']}, {machine['python']}"
    return [f"Measured on {results['date']}, on {where}; load average at the beginning {results['load']:.1f}.{size}"]


def page(results: dict[str, Any] | None) -> str:
    """Return the page of the documentation; without results it says that there are none."""
    if results is None:
        return f"{_INTRODUCTION}\n{NOT_YET}\n{_NOTES}"
    return "\n".join([_INTRODUCTION, *about(results), "", *_tables(results), _engines(results), _NOTES])


def _tables(results: dict[str, Any]) -> list[str]:
    lines = []
    for key, work in results["workloads"].items():
        lines += [
            f"## {key}: {work['title']}",
            "",
            f"{work['outcome']}",
            "",
            f"| engine | how | time of a run: median (min to max) | runs | time / Fairlead's | {work['unit']} | memory |",
            "|---|---|---|--:|--:|--:|--:|",
        ]
        for row in ordered(work["rows"]):
            lines.append(f"| {row['title']} | {row['style']} | {' | '.join(cells(row))} |")
        lines.append("")
    return lines


def _engines(results: dict[str, Any]) -> str:
    lines = ["## Versions", "", "| engine | version | Python | licence |", "|---|---|---|---|"]
    seen = set()
    for work in results["workloads"].values():
        for row in work["rows"]:
            if row["engine"] not in seen and "version" in row:
                seen.add(row["engine"])
                licence = PEERS[row["engine"]].licence if row["engine"] in PEERS else "Apache-2.0"
                lines.append(f"| {row['title']} | {row['version']} | {row['python']} | {licence} |")
    return "\n".join(lines) + "\n"


def readme_table(results: dict[str, Any] | None) -> str:
    """Return the table of the README: a row for each engine, a column for each workload."""
    if results is None:
        return NOT_YET
    works = results["workloads"]
    lines = [
        f"| time of a run (times Fairlead's) | {' | '.join(f'{key}: {WORKLOADS[key].short}' for key in works)} |",
        "|---|" + "--:|" * len(works),
    ]
    names: dict[tuple[str, str], dict[str, str]] = {}
    for key, work in works.items():
        for row in ordered(work["rows"]):
            # Fairlead has a row for each way to write a strategy.
            name = (row["title"], row["kind"] if row["is_own"] else "")
            names.setdefault(name, {})[key] = _cell(row)
    for (title, kind), found in names.items():
        label = f"**{title}**, {kind}" if kind else title
        lines.append(f"| {label} | " + " | ".join(found.get(key, "") for key in works) + " |")
    note = "Same fills and same equity in every cell with a time. "
    return "\n".join([*lines, "", note + " ".join(about(results)), ""])


def _cell(row: dict[str, Any]) -> str:
    if "median_s" not in row:
        return row["status"]
    return seconds(row["median_s"]) + ("" if row["times"] == 1.0 else f" ({times(row['times'])})")


def readme(text: str, results: dict[str, Any] | None) -> str:
    """Return the text of the README with the table between its markers.

    Raises
    ------
    ValueError
        If the markers are not there.
    """
    if not MARKED.search(text):
        raise ValueError("README.md has no markers <!-- bench-peers --> and <!-- /bench-peers -->")
    return MARKED.sub(lambda match: match[1] + readme_table(results) + match[2], text)
