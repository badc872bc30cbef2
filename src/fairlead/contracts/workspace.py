"""Where a workspace is: the folder that holds data, runs and registries (architecture §6)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOME_VARIABLE: Final = "FAIRLEAD_HOME"
DEFAULT_FOLDER: Final = "artifacts"


def workspace_folder(environ: Mapping[str, str], chosen: str | Path | None = None) -> Path:
    """Return `chosen`, else ``$FAIRLEAD_HOME``, else ``artifacts`` in the current folder."""
    if chosen is not None:
        return Path(chosen).expanduser()
    return Path(environ.get(HOME_VARIABLE) or DEFAULT_FOLDER).expanduser()
