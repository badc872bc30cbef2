"""How a peer is asked to run a workload and how it answers. Runs inside the peer's environment: nothing here imports Fairlead.

``python peer_<engine>.py request.json answer.json`` reads which workload to run, on which data and how often, and writes what
the engine came to and how long each run took. The data are files of little-endian columns, so that a reader needs no library.
"""

from __future__ import annotations

import json
import platform
import resource
import sys
import time
from array import array
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

Fills = list[tuple[int, int, float, float]]
"""Bar, column, signed quantity, price."""


class Prepared(NamedTuple):
    """A workload, ready to run.

    Parameters
    ----------
    run : callable
        One whole run, from an engine that knows nothing to its final equity. This is what is timed.
    tell : callable
        What a run came to: fills and final equity, or, of a sweep, the number of fills and the final equity of each pair.
    compiles : bool
        The first run compiles, so it is never counted.
    processes : int
        How many processes a run uses beside this one.
    """

    run: Callable[[], Any]
    tell: Callable[[Any], tuple[Any, Any]]
    compiles: bool = False
    processes: int = 0


class Data:
    """The bars of a workload and its terms.

    Attributes
    ----------
    symbols : list of str
    bars : int
    bar_size : str
    terms : dict
        `cash`, `bps` of commission, and the parameters of the rule.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "about.json").read_text())
        self.folder = folder
        self.symbols: list[str] = about["symbols"]
        self.bars: int = about["bars"]
        self.bar_size: str = about["bar_size"]
        self.terms: dict[str, Any] = about["terms"]

    def column(self, name: str) -> array:
        """Return one field of every bar, in the order of bars and then of symbols."""
        return self._read("d", name)

    def stamps(self, name: str) -> array:
        """Return `label_ns` or `known_ns`: when each bar opens or closes, in nanoseconds since the epoch."""
        return self._read("q", name)

    def _read(self, kind: str, name: str) -> array:
        values = array(kind)
        values.frombytes((self.folder / f"{name}.bin").read_bytes())
        if sys.byteorder != "little":
            values.byteswap()
        return values


class Cross:
    """The rule of W1 and W3 from one bar to the next: what to do when two averages change places."""

    __slots__ = ("is_long", "was_above")

    def __init__(self) -> None:
        self.was_above: bool | None = None
        self.is_long = False

    def turn(self, is_above: bool) -> int:  # noqa: FBT001  called for every bar
        """Return 1 to buy, -1 to sell, 0 for nothing: nothing is held that could be sold before the first cross up."""
        if is_above == self.was_above:
            return 0
        is_first, self.was_above = self.was_above is None, is_above
        if is_first or is_above == self.is_long:
            return 0
        self.is_long = is_above
        return 1 if is_above else -1


def answer(distribution: str, workloads: dict[str, Callable[[Data], Prepared]]) -> None:
    """Run what is asked for, and write the answer.

    Parameters
    ----------
    distribution : str
        The package whose version is told.
    workloads : mapping of str to callable
        By name, what makes it ready.
    """
    request, target = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    prepared = workloads[request["workload"]](Data(Path(request["data"])))
    told, seconds = timed(prepared, request["runs"], request["budget_s"])
    target.write_text(
        json.dumps(
            {
                "version": version(distribution),
                "python": platform.python_version(),
                "fills": told[0],
                "equity": told[1],
                "seconds": seconds,
                "processes": prepared.processes,
                "peak_mb": peak_memory_mb(prepared.processes),
            }
        )
    )


def timed(prepared: Prepared, runs: int, budget_s: float) -> tuple[tuple[Any, Any], list[float]]:
    """Return what the first run came to, and the wall time of each run that counts.

    The first run warms up and does not count, unless so many runs would take longer than the budget: then it counts, and no run
    is begun that would end after it.
    """
    began = time.perf_counter()
    result = prepared.run()
    first = time.perf_counter() - began
    told = prepared.tell(result)
    del result
    seconds = [] if prepared.compiles or first * (runs + 1) <= budget_s else [first]
    while len(seconds) < runs and (not seconds or sum(seconds) + seconds[-1] <= budget_s):
        began = time.perf_counter()
        result = prepared.run()
        seconds.append(time.perf_counter() - began)
        del result
    return told, seconds


def peak_memory_mb(processes: int) -> float:
    """Return the peak resident memory of this process and, of each that it started, as much as the largest of them had."""
    try:
        # On Linux a child inherits the peak of the process that started it in `ru_maxrss`; VmHWM is its own.
        own = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1e3
    except (OSError, IndexError, ValueError):
        own = _megabytes(resource.RUSAGE_SELF)
    return own + processes * _megabytes(resource.RUSAGE_CHILDREN)


def _megabytes(who: int) -> float:
    peak = resource.getrusage(who).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, KiB elsewhere
