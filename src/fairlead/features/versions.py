"""The lock that ties kernels to versions: a changed kernel has to say so, or stored values would lie.

``python -m fairlead.features.versions`` brings the lock file up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fairlead.core.errors import ContractError
from fairlead.features.definition import Feature
from fairlead.features.identity import kernel_hash
from fairlead.features.registry import shipped_features

LOCK_FILE: Final = Path(__file__).with_name("versions.json")
_COMMAND: Final = "`python -m fairlead.features.versions`"


def locked(features: Iterable[Feature]) -> dict[str, dict[str, Any]]:
    """Return what a lock file says of `features`: name -> version and kernel hash."""
    return {f.name: {"version": f.version, "kernel": kernel_hash(f)} for f in sorted(features, key=lambda f: f.name)}


def read_lock(path: Path = LOCK_FILE) -> dict[str, dict[str, Any]]:
    """Return a lock file's content; empty if there is none yet."""
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return entries


def check_versions(features: Iterable[Feature], lock: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a kernel that changed while its version did not.

    Raises
    ------
    ContractError
        Naming each feature whose kernel changed under its version, whose version went down, or that the lock does not hold.
    """
    faults = _broken(features, lock) + _behind(features, lock)
    if faults:
        raise ContractError("\n".join(faults))


def write_lock(features: Iterable[Feature], path: Path = LOCK_FILE) -> None:
    """Bring a lock file up to date.

    Raises
    ------
    ContractError
        If a kernel changed while its version did not.
    """
    features = list(features)
    if faults := _broken(features, read_lock(path)):
        raise ContractError("\n".join(faults))
    path.write_text(json.dumps(locked(features), indent=2) + "\n", encoding="utf-8")


def _broken(features: Iterable[Feature], lock: Mapping[str, Mapping[str, Any]]) -> list[str]:
    faults = []
    for name, now in locked(features).items():
        then = lock.get(name, {"version": 0, "kernel": ""})
        if now["version"] < then["version"]:
            faults.append(f"feature {name!r} has version {now['version']}, but version {then['version']} is already locked.")
        elif now["version"] == then["version"] and now["kernel"] != then["kernel"]:
            faults.append(
                f"feature {name!r} has another kernel than version {now['version']} in the lock: stored values would no "
                f"longer be what this code computes. Raise its version to {now['version'] + 1}, then run {_COMMAND}."
            )
    return faults


def _behind(features: Iterable[Feature], lock: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"feature {f.name!r} version {f.version} is not in the lock file. Run {_COMMAND}."
        for f in features
        if f.version > lock.get(f.name, {"version": 0})["version"]
    ]


if __name__ == "__main__":
    try:
        write_lock(shipped_features().values())
    except ContractError as error:
        sys.exit(str(error))
