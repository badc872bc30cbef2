"""The other engines: what they are, and an environment for each in which its scripts run.

An environment is made once under ``.parity/`` and kept until its requirements change. `make parity` and `make bench-peers`
share them.
"""

# ruff: noqa: T201  it tells what it installs

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
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
    """

    key: str
    title: str
    distribution: str
    licence: str
    requirements: Path = HERE

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


def environment(engine: Engine, home: Path = HOME) -> Path:
    """Return the interpreter of an engine's environment, which is made if it is not there.

    Raises
    ------
    subprocess.CalledProcessError
        If it cannot be made; `stderr` tells why.
    """
    folder = home / engine.key
    python = folder / "bin" / "python"
    stamp = folder / f"installed-{hashlib.sha256(engine.pins.read_bytes()).hexdigest()[:16]}"
    if not stamp.exists():
        print(f"Installing {engine.title} into {home.name}/{engine.key} ...", flush=True)
        home.mkdir(exist_ok=True)
        _checked([sys.executable, "-m", "venv", "--clear", folder])
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "-r", engine.pins]
        _checked(pip)
        stamp.touch()
    return python


def bare_environ(home: Path = HOME) -> dict[str, str]:
    """Return the variables that a peer gets: nothing of Fairlead's environment, and a home for what it leaves behind."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return environ | {"ZIPLINE_ROOT": str(home / "zipline-home"), "MPLBACKEND": "Agg"}


def _checked(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
