"""The runs of a workspace: finding one, and naming a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fairlead.backtest.result import Result
from fairlead.backtest.rundir import MANIFEST, RUNS, list_runs, read_directory
from fairlead.core.errors import DataNotFound

LATEST: Final = "latest"


def run_folder(workspace: Path, run: str) -> Path:
    """Return the directory of a run.

    Parameters
    ----------
    workspace : Path
    run : str
        A run id, the beginning of exactly one, ``latest``, or the path of a run directory.

    Raises
    ------
    DataNotFound
        If there is no such run, or the beginning fits several; the message names the newest.
    """
    if (Path(run) / MANIFEST).is_file():
        return Path(run)
    known = [str(item["run_id"]) for item in list_runs(workspace)]
    if run == LATEST and known:
        return workspace / RUNS / known[0]
    if run in known:
        return workspace / RUNS / run
    fitting = [name for name in known if name.startswith(run)]
    if len(fitting) == 1:
        return workspace / RUNS / fitting[0]
    shown = ", ".join((fitting or known)[:5]) or "(none)"
    what = "several runs begin with" if fitting else "no run named"
    raise DataNotFound(f"{what} {run!r} in {workspace / RUNS}. Newest: {shown}. List them with `fairlead runs ls`.")


def find_run(workspace: Path, run: str) -> Result:
    """Return a finished run; see `run_folder` for how it may be named."""
    return read_directory(run_folder(workspace, run))


def free_run_id(workspace: Path, wanted: str) -> str:
    """Return `wanted`, or the first of ``wanted_2``, ``wanted_3``, ... that no run has: two runs may start in one second."""
    taken = workspace / RUNS
    if not (taken / wanted).exists():
        return wanted
    ordinal = 2
    while (taken / f"{wanted}_{ordinal}").exists():
        ordinal += 1
    return f"{wanted}_{ordinal}"
