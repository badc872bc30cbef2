"""The other engines: what they are, and an environment for each in which its scripts run.

An environment is made once under ``.parity/`` and kept until its requirements change. `make parity` and `make bench-peers`
share them.
"""

# ruff: noqa: T201  it tells what it installs

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
HOME = HERE.parents[1] / ".parity"


class Engine(NamedTuple):
    """Another backtester.

    Parameters
    ----------
    key : str
        By which its script, its requirements and its environment are named.
    title, distribution, licence : str
        What it is called, by its authors and by the package index, and under which terms it is published.
    requirements : Path
        The folder of its pinned requirements.
    python : tuple of int
        The oldest Python that it runs on, if Fairlead's is older.
    """

    key: str
    title: str
    distribution: str
    licence: str
    requirements: Path = HERE
    python: tuple[int, int] = (3, 11)

    @property
    def pins(self) -> Path:
        """The file of its pinned requirements."""
        return self.requirements / f"requirements-{self.key}.txt"


ENGINES = (
    Engine("backtesting", "backtesting.py", "backtesting", "AGPL-3.0"),
    Engine("backtrader", "backtrader", "backtrader", "GPL-3.0"),
    Engine("bt", "bt", "bt", "MIT"),
    Engine("nautilus_trader", "NautilusTrader", "nautilus_trader", "LGPL-3.0"),
    Engine("vectorbt", "vectorbt", "vectorbt", "Apache-2.0 with Commons Clause"),
    Engine("zipline", "zipline-reloaded", "zipline-reloaded", "Apache-2.0"),
)


class NotInstalled(Exception):
    """There is no environment for an engine, and none can be made; the text tells why, in a line."""


def environment(engine: Engine, home: Path = HOME, pythons: Sequence[str] = ()) -> Path:
    """Return the interpreter of an engine's environment, which is made if it is not there.

    Parameters
    ----------
    pythons : sequence of str
        Interpreters to try before those on the path, for an engine that needs a newer one than Fairlead's.

    Raises
    ------
    NotInstalled
    """
    folder = home / engine.key
    python = folder / "bin" / "python"
    stamp = folder / f"installed-{hashlib.sha256(engine.pins.read_bytes()).hexdigest()[:16]}"
    if not stamp.exists():
        base = interpreter(engine, pythons)
        print(f"Installing {engine.title} into {home.name}/{engine.key} ...", flush=True)
        home.mkdir(exist_ok=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "-r", engine.pins]
        for command in ([base, "-m", "venv", "--clear", folder], pip):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise NotInstalled((done.stderr or done.stdout).strip().rpartition("\n")[2][:300])
        stamp.touch()
    return python


def interpreter(engine: Engine, pythons: Sequence[str] = ()) -> str:
    """Return an interpreter that is new enough for an engine: Fairlead's own, if it is.

    Raises
    ------
    NotInstalled
    """
    if sys.version_info[:2] >= engine.python:
        return sys.executable
    for candidate in (*pythons, *(f"python3.{minor}" for minor in range(engine.python[1], 20))):
        found = shutil.which(candidate)
        # It has to run: a name on the path may lead to a version manager that has none such.
        check = f"import sys; sys.exit(sys.version_info < {engine.python})"
        if found and subprocess.run([found, "-c", check], capture_output=True, check=False).returncode == 0:
            return found
    wanted = ".".join(str(part) for part in engine.python)
    raise NotInstalled(f"it needs Python {wanted} or later, and none was found")


def bare_environ(home: Path = HOME) -> dict[str, str]:
    """Return the variables that a peer gets: nothing of Fairlead's environment, and a home for what it leaves behind."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return environ | {"ZIPLINE_ROOT": str(home / "zipline-home"), "MPLBACKEND": "Agg"}
