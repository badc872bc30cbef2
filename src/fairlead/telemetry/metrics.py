"""Numbers for Prometheus (domain rule 16.1): families are declared here, and whoever measures asks for the one it fills."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest, write_to_textfile

from fairlead.core.errors import ConfigurationError, StorageError

_SUFFIX: Final = ".prom"


@dataclass(frozen=True, slots=True)
class GaugeFamily:
    """A number that goes up and down.

    Parameters
    ----------
    name : str
        As in domain rule 16.1.
    help : str
        One sentence for the reader of a dashboard.
    labels : tuple of str
        What tells its series apart. Few values each: never an order, an instant or a run.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()


FEATURE_DRIFT_PSI: Final = GaugeFamily(
    "feature_drift_psi",
    "Population stability index of a feature's values against the reference window; NaN where there are too few values.",
    ("feature",),
)


class Metrics:
    """The families in use, in one registry.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are registered; a registry of its own keeps two sessions of one process apart.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._gauges: dict[GaugeFamily, Gauge] = {}
        self._lock = threading.Lock()

    def gauge(self, family: GaugeFamily) -> Gauge:
        """Return the gauge of a family, registered at the first call.

        Raises
        ------
        ConfigurationError
            If the registry holds another family of that name, or the name or a label is none that Prometheus takes.
        """
        with self._lock:
            if family not in self._gauges:
                try:
                    self._gauges[family] = Gauge(family.name, family.help, family.labels, registry=self._registry)
                except ValueError as exc:
                    raise ConfigurationError(f"metric {family.name!r} cannot be registered: {exc}.") from exc
            return self._gauges[family]

    def render(self) -> bytes:
        """Return all of the registry in the text format of Prometheus."""
        return generate_latest(self._registry)

    def write_textfile(self, path: str | Path) -> None:
        """Write all of the registry for the node exporter's textfile collector, which sees the old file or the new one whole.

        Missing parent folders are created. Nothing waits for the disk: after a power cut the numbers would be old anyway.

        Parameters
        ----------
        path : path
            It ends in ``.prom``; the collector reads no other files.

        Raises
        ------
        ConfigurationError
            If `path` ends in something else.
        StorageError
            If the disk refuses; the file is what it was and no temporary one is left.
        """
        target = Path(path)
        if target.suffix != _SUFFIX:
            raise ConfigurationError.of(
                "path", f"end in {_SUFFIX}", str(path), "The node exporter's textfile collector reads no other files."
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(target), self._registry)
        except OSError as exc:
            raise StorageError(f"cannot write {target}: {exc.strerror or exc}. Check the path and the disk.") from exc
