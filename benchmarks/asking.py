"""Asks an engine: writes the data to files, runs the engine's script in its own environment, and reads what it answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from contenders import PEERS, Contender
from parity.engines import HOME, NotInstalled, bare_environ, environment
from workloads import Columns

FIELDS = ("open", "high", "low", "close", "volume")
STAMPS = ("label_ns", "known_ns", "session")


class Unanswered(Exception):
    """An engine gave no answer; the text tells why, in a line."""


class Limits(NamedTuple):
    """How often and for how long.

    Parameters
    ----------
    runs : int
        Timed runs.
    budget_s : float
        No run is begun that would end after so many seconds of timed runs, but for the first.
    timeout_s : float
        A process that takes longer is ended.
    """

    runs: int
    budget_s: float
    timeout_s: float


def write_data(folder: Path, columns: Columns, terms: dict[str, Any]) -> Path:
    """Write the bars as files that every engine reads: one column each, little-endian, in the order of bars, then symbols."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"symbols": columns.symbols, "bars": len(columns.close), "bar_size": str(columns.bar_size), "terms": terms}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    for name in STAMPS:
        (folder / f"{name}.bin").write_bytes(np.asarray(getattr(columns, name), "<i8").tobytes())
    for name in FIELDS:
        (folder / f"{name}.bin").write_bytes(np.asarray(getattr(columns, name), "<f8").tobytes())
    return folder


def interpreter_of(contender: Contender, home: Path = HOME, pythons: tuple[str, ...] = ()) -> Path:
    """Return the Python that runs a contender; its environment is made if it is not there.

    Raises
    ------
    Unanswered
        If there can be none.
    """
    if contender.is_own:
        return Path(sys.executable)
    try:
        return environment(PEERS[contender.engine], home, pythons)
    except NotInstalled as failure:
        raise Unanswered(f"not installed: {failure}") from failure


def ask(contender: Contender, python: Path, data: Path, limits: Limits) -> dict[str, Any]:
    """Return what a contender answers: version, python, fills, equity, seconds of each run, processes and peak_mb.

    Raises
    ------
    Unanswered
        If its process fails or takes too long.
    """
    request, answer = (data / f"{contender.engine}-{contender.task}-{kind}.json" for kind in ("request", "answer"))
    asked = {"workload": contender.task, "data": str(data), "runs": limits.runs, "budget_s": limits.budget_s}
    request.write_text(json.dumps(asked), encoding="utf-8")
    answer.unlink(missing_ok=True)
    # Fairlead's own process finds the package where this one does.
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)} if contender.is_own else bare_environ()
    command = [python, contender.script, request, answer]
    # A session of its own, so that what it started ends with it.
    with subprocess.Popen(
        command, env=environ, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            printed, _ = process.communicate(timeout=limits.timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Unanswered(f"no answer within {limits.timeout_s:g} s") from None
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0 or not answer.exists():
        last = printed.strip().rpartition("\n")[2][:300] or f"exit code {process.returncode}"
        raise Unanswered(f"failed: {last}")
    told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return told
