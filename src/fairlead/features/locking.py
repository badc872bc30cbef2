"""The version lock of a workspace: under one version a feature has one kernel, or kept values would lie.

Unlike the lock file of the features that ship (`fairlead.features.versions`) it covers every feature that was used here, and
remembers all its versions, so that an older checkout may come back to its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from fairlead.contracts.files import write_json
from fairlead.core.errors import ContractError, DataError
from fairlead.features.definition import Feature
from fairlead.features.identity import kernel_hash

LOCK_FILE: Final = "kernels.json"
_Kernels: TypeAlias = dict[str, dict[str, str]]


class KernelLock:
    """The lock file of a workspace's features: name -> version -> hash of the kernel.

    Several processes may write it at once: each replaces the file as a whole. An entry that is lost to another writer is made
    again by the next use.

    Parameters
    ----------
    folder : Path
        Usually ``<workspace>/features``.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_FILE

    def check(self, features: Iterable[Feature]) -> None:
        """Refuse a kernel that is not the one that its version had before.

        Raises
        ------
        ContractError
            Naming each such feature.
        DataError
            If the lock file cannot be read.
        """
        kernels = self._read()
        faults = [fault for feature in features if (fault := self._fault(feature, kernels.get(feature.name, {})))]
        if faults:
            raise ContractError("\n".join(faults))

    def record(self, features: Iterable[Feature]) -> None:
        """Note the kernels of `features`; the file is touched only if one is new.

        Raises
        ------
        ContractError, DataError
            As `check` does.
        StorageError
            If the disk refuses.
        """
        features = list(features)
        self.check(features)
        kernels = self._read()
        if all(str(f.version) in kernels.get(f.name, {}) for f in features):
            return
        for f in features:
            kernels.setdefault(f.name, {})[str(f.version)] = _kernel_of(f)
        write_json(self.path, kernels)

    def forget(self, name: str | None = None) -> None:
        """Forget the kernels of a feature, or of all.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        if name is None:
            if self.path.exists():
                write_json(self.path, {})
        elif name in (kernels := self._read()):
            del kernels[name]
            write_json(self.path, kernels)

    def _read(self) -> _Kernels:
        try:
            kernels: _Kernels = json.loads(self.path.read_bytes())
            return {str(name): {str(v): str(k) for v, k in versions.items()} for name, versions in kernels.items()}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, AttributeError) as exc:
            raise DataError(f"cannot read {self.path}: {exc}. Forget all kept features: fairlead features invalidate.") from exc

    def _fault(self, feature: Feature, versions: dict[str, str]) -> str:
        if versions.get(str(feature.version), _kernel_of(feature)) == _kernel_of(feature):
            return ""
        following = max(map(int, versions)) + 1
        now = feature.version
        return (
            f"feature {feature.name!r} has another kernel than version {now} had before ({self.path}): kept values would not "
            f"be what this code computes. Raise its version to {following}; or, if version {now} was never released, forget "
            f"it: fairlead features invalidate {feature.name}."
        )


@cache
def _kernel_of(feature: Feature) -> str:
    return kernel_hash(feature)
