"""Numbers for Prometheus (domain rule 16.1): families are declared once, and whoever measures asks for the one it fills."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, write_to_textfile
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from fairlead.core.errors import ConfigurationError, StorageError
from fairlead.telemetry.families import (
    FAMILIES,
    FEATURE_DRIFT_PSI,
    MAX_SERIES,
    CounterFamily,
    Family,
    GaugeFamily,
    HistogramFamily,
)

__all__ = ["CONTENT_TYPE", "FEATURE_DRIFT_PSI", "OTHER", "GaugeFamily", "Metrics"]

_SUFFIX: Final = ".prom"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OTHER: Final = "other"
MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


class Metrics:
    """The families in use, in one registry.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are registered; a registry of its own keeps two sessions of one process apart.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._shown = _WithoutBirthdays(registry)
        self._made: dict[Family, MetricWrapperBase] = {}
        self._lock = threading.Lock()

    def declare(self, families: Iterable[Family] = FAMILIES) -> None:
        """Register `families` before anything has happened, so that what was never counted is 0 and not missing."""
        for family in families:
            if isinstance(family, CounterFamily):
                self.counter(family)
            elif isinstance(family, GaugeFamily):
                self.gauge(family)
            elif isinstance(family, HistogramFamily):
                self.histogram(family)

    def counter(self, family: CounterFamily) -> Counter:
        """Return the counter of a family, registered at the first call; raises as `gauge`."""
        return self._of(family, _Counter)

    def gauge(self, family: GaugeFamily) -> Gauge:
        """Return the gauge of a family, registered at the first call.

        Of labels with more than `MAX_SERIES` combinations of values, those that come later are counted under ``other``.

        Raises
        ------
        ConfigurationError
            If the registry holds another family of that name, or the name or a label is none that Prometheus takes.
        """
        return self._of(family, _Gauge)

    def histogram(self, family: HistogramFamily) -> Histogram:
        """Return the histogram of a family, registered at the first call; raises as `gauge`."""
        return self._of(family, _Histogram, buckets=family.buckets)

    def render(self) -> bytes:
        """Return all of the registry in the text format of Prometheus."""
        return generate_latest(self._shown)

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
            write_to_textfile(str(target), self._shown)
        except OSError as exc:
            raise StorageError(f"cannot write {target}: {exc.strerror or exc}. Check the path and the disk.") from exc

    def _of(self, family: Family, kind: type[MetricT], **more: Any) -> MetricT:
        with self._lock:
            made = self._made.get(family)
            if made is None:
                try:
                    made = kind(family.name, family.help, family.labels, registry=self._registry, **more)
                except ValueError as exc:
                    raise ConfigurationError(f"metric {family.name!r} cannot be registered: {exc}.") from exc
                self._made[family] = made
        assert isinstance(made, kind)
        return made


class _Bounded(MetricWrapperBase):
    """Finds a series that is known without a lock, and opens no more than there may be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._known: dict[tuple[object, ...], Self] = {}
        super().__init__(*args, **kwargs)

    def labels(self, *labelvalues: object, **labelkwargs: object) -> Self:
        if labelkwargs:
            return super().labels(*labelvalues, **labelkwargs)
        known = self._known.get(labelvalues)
        if known is None:
            if len(self._known) >= MAX_SERIES:
                return super().labels(*(OTHER for _ in labelvalues))
            known = self._known[labelvalues] = super().labels(*labelvalues)
        return known


class _Counter(_Bounded, Counter):
    pass


class _Gauge(_Bounded, Gauge):
    pass


class _Histogram(_Bounded, Histogram):
    pass


class _WithoutBirthdays(CollectorRegistry):
    """A registry as it is shown: without the instant at which each counter began, which doubles the series for nobody."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
