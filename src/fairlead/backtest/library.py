"""The runs of a workspace: listing them, finding one, and naming a new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from fairlead.backtest.manifest import MANIFEST
from fairlead.backtest.result import Result
from fairlead.backtest.rundir import MODES, RUNS, is_order_replay, read_directory, read_manifest
from fairlead.core.errors import DataError, DataNotFound

LATEST: Final = "latest"
DAMAGED: Final = "DAMAGED"
_SHOWN: Final = 5


def list_runs(workspace: str | Path) -> list[dict[str, Any]]:
    """Return the runs of a workspace in short, the newest first.

    Each has run_id, title, mode, created_at, status, synthetic, dataset, start, end, digest, metrics and path. A directory
    without a readable manifest has status ``DAMAGED`` and is listed last: a list must not fail because of one run.
    """
    folder = Path(workspace) / RUNS
    if not folder.is_dir():
        return []
    runs = [_brief(path) for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return sorted(runs, key=lambda run: (run["created_at"], run["run_id"]), reverse=True)


def run_folder(workspace: str | Path, name: str | Path) -> Path:
    """Return the directory of a run.

    Parameters
    ----------
    name : str or Path
        A run id, the beginning of exactly one, ``latest``, the title of exactly one, or the path of a run directory.

    Raises
    ------
    DataNotFound
        If there is no such run, or the beginning fits several; the message says which there are.
    """
    runs, text = Path(workspace) / RUNS, str(name)
    # Walk-forwards and replays of order files are listed with the runs, and are none: they have no record to show.
    found = [run for run in list_runs(workspace) if run["status"] != DAMAGED and run["mode"] in MODES]
    if text == LATEST and found:
        return Path(found[0]["path"])
    for folder in (runs / text, Path(name)):
        if (folder / MANIFEST).is_file():
            return folder
    fitting = [run for run in found if text and str(run["run_id"]).startswith(text)]
    titled = [run for run in found if text and run["title"] == text]
    what = "several runs begin with" if fitting else "several runs are titled" if titled else "no run named"
    fitting = fitting or titled
    if len(fitting) == 1:
        return Path(fitting[0]["path"])
    names = [str(run["run_id"]) for run in fitting or found]
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "") if names else "(none)"
    raise DataNotFound(f"{what} {text!r} in {runs}. Newest: {shown}.")


def find_run(workspace: str | Path, name: str | Path) -> Result:
    """Return the result of a run; `name` as in `run_folder`.

    Raises
    ------
    DataNotFound
        If there is no such run.
    DataError
        If its directory is damaged.
    """
    return read_directory(run_folder(workspace, name))


def free_run_id(workspace: str | Path, run_id: str) -> str:
    """Return `run_id`, or with ``_2``, ``_3``, ... if the workspace has a run of that name: two may start in one second."""
    folder, name, ordinal = Path(workspace) / RUNS, run_id, 1
    while (folder / name).exists():
        ordinal += 1
        name = f"{run_id}_{ordinal}"
    return name


def _brief(path: Path) -> dict[str, Any]:
    blank = {
        "title": "",
        "mode": "",
        "created_at": "",
        "synthetic": False,
        "dataset": "",
        "start": "",
        "end": "",
        "digest": "",
        "metrics": {},
    }
    try:
        data = read_manifest(path)
        if is_order_replay(data):
            return {**blank, **_brief_replay(path, data), "path": str(path)}
        info, result = data["info"], data["result"]
        metrics = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
        shown = {key: info[key] for key in ("title", "mode", "created_at", "synthetic", "dataset", "start", "end")}
        brief = {"run_id": data["run_id"], **shown, "status": result["status"], "digest": result["digest"], "metrics": metrics}
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return {"run_id": path.name, **blank, "synthetic": False, "metrics": {}, "status": DAMAGED, "path": str(path)}
    return {**brief, "path": str(path)}


def _brief_replay(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    measured, covered = path / "metrics.json", data["data"]["range_effective"]
    return {
        "run_id": data["run_id"],
        "title": (path / "label.txt").read_text(encoding="utf-8").partition("\n")[0],
        "mode": data["mode"],
        "created_at": data["created_at"],
        "dataset": ", ".join(data["data"]["paths"]),
        "start": covered[0][:10] if covered else "",
        "end": covered[1][:10] if covered else "",
        "status": data["result"]["status"],
        # A replay that failed measured nothing.
        "metrics": json.loads(measured.read_text(encoding="utf-8")) if measured.is_file() else {},
    }
