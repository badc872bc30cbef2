"""The feature store: values of features over a source's history, computed when they are first asked for and kept."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from fairlead.core.bars import BarBlock
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, StorageError
from fairlead.core.time import to_ns
from fairlead.data.selection import choose_symbols
from fairlead.data.source import DataSource
from fairlead.features.caching import FeatureCache, KeptFeature
from fairlead.features.definition import Feature
from fairlead.features.feed import RunFeed, SideData
from fairlead.features.history import BEGINNING, END, FeatureHistory, split
from fairlead.features.inputs import BENCHMARK, FACT
from fairlead.features.locking import KernelLock
from fairlead.features.plan import Node, Request, make_plan
from fairlead.features.value_files import ValueKey
from fairlead.features.values import KeptFeed, MemoryValues, Values, between, last_known

Progress: TypeAlias = Callable[[int], None]

_SHOWN: Final = 10
_LOG: Final = logging.getLogger(__name__)


class FeatureStore:
    """Values of features over the whole history of a source's symbols.

    A value is looked up by who the feature is (kernel, parameters, version, and those of what it uses) and what it was computed
    on (bars, symbols, corporate actions, benchmark, facts); where one of these differs it is another value. What is kept
    follows `Feature.caching`: ``memory`` for as long as the store lives; ``disk`` in the workspace, for later runs; ``never``,
    nothing. `materialise` puts any but the last on disk. Plain Python features are no exception: their kernels may call
    libraries whose versions are no part of their identity, so that only their author can tell whether values may outlive a
    run; slow ones should declare ``disk``.

    Parameters
    ----------
    source : DataSource
        Its dates do not matter.
    folder : Path, optional
        ``<workspace>/features``. Without it nothing is kept on disk.
    cache : bool
        Whether `folder` is read and written.
    compute_on_demand : bool
        Compute what is not there; else refuse. `materialise` computes in any case.
    side : SideData
        What features may read beside the bars.

    Raises
    ------
    ConfigurationError
        If values could come from nowhere.
    """

    def __init__(
        self,
        source: DataSource,
        *,
        folder: Path | None = None,
        cache: bool = True,
        compute_on_demand: bool = True,
        side: SideData | None = None,
    ) -> None:
        if not (cache or compute_on_demand):
            raise ConfigurationError.of("compute_on_demand", "be true where cache is false", compute_on_demand)
        self._side = side or SideData()
        self._history = FeatureHistory(source, self._side)
        self._on_demand = compute_on_demand
        self._cache = FeatureCache(folder) if cache and folder is not None else None
        self._lock = KernelLock(folder) if cache and folder is not None else None
        self._memory: dict[str, Values] = {}
        self._files: dict[Path, Values] = {}
        self._checked: set[str] = set()

    def register(self, feature: Feature) -> Feature:
        """Make a feature of your own known to this store under its name, and return it.

        Raises
        ------
        ConfigurationError
            If the name belongs to a feature that ships or is installed, or to another kernel of the same version.
        """
        self._history.register(feature)
        return feature

    def get(
        self, feature: str, symbols: str | Sequence[str] | None = None, time: dt.datetime | None = None, **params: Any
    ) -> dict[str, Any]:
        """Return what a feature was at an instant, as known then.

        Parameters
        ----------
        feature : str
        symbols : str or sequence of str, optional
            All by default.
        time : aware datetime, optional
            The end of history by default.
        **params : number
            The feature's parameters.

        Returns
        -------
        dict of str to float, or to a dict of outputs
            For each symbol the value at its last bar that was known at or before `time`, in units of that bar's day. However
            old that bar is: a symbol that stopped trading keeps its last value. NaN before its first bar and without a value
            there.

        Raises
        ------
        UnknownName, ConfigurationError
            If there is no such feature, parameter or symbol, or a parameter is out of range.
        ContractError
            If `time` has no time zone; or if a kernel was changed and its version was not.
        DataNotFound
            If nothing may be computed and nothing is kept.
        """
        until = END if time is None else _instant("time", time)
        chosen = self._symbols(symbols)
        columns = [self._history.whole.symbols.index(symbol) for symbol in chosen]
        outputs = self._history.find(feature).outputs
        found = last_known(self._values((feature, params), until), columns, until, len(outputs)).tolist()
        if len(outputs) == 1:
            return {symbol: row[0] for symbol, row in zip(chosen, found, strict=True)}
        names = [output.name for output in outputs]
        return {symbol: dict(zip(names, row, strict=True)) for symbol, row in zip(chosen, found, strict=True)}

    def get_range(
        self,
        feature: str,
        symbols: str | Sequence[str] | None = None,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        **params: Any,
    ) -> Any:
        """Return the values of a feature over a range of instants.

        Parameters
        ----------
        feature, symbols, **params
            As in `get`.
        start, end : aware datetime, optional
            Bound the instants at which rows became known, both included. Open by default.

        Returns
        -------
        pandas.DataFrame
            One row per instant, indexed by it in UTC; one column per symbol, or per symbol and output. What a run sees at that
            instant, in units of its day.

        Raises
        ------
        As `get` does.
        """
        import pandas as pd  # noqa: PLC0415  heavy, and here only if a frame is asked for

        first = BEGINNING if start is None else _instant("start", start)
        last = END if end is None else _instant("end", end)
        chosen = self._symbols(symbols)
        columns = [self._history.whole.symbols.index(symbol) for symbol in chosen]
        names = [output.name for output in self._history.find(feature).outputs]
        parts = list(between(self._values((feature, params), last, first), first, last))
        known = np.concatenate([np.empty(0, np.int64), *(part.known_ns for part in parts)])
        table = np.empty((len(known), len(chosen), len(names)))
        row = 0
        for known_ns, _, arrays in parts:
            for i, array in enumerate(arrays):
                table[row : row + len(known_ns), :, i] = array[:, columns]
            row += len(known_ns)
        header = pd.Index(chosen, name="symbol")
        if len(names) > 1:
            header = pd.MultiIndex.from_product([chosen, names], names=["symbol", "output"])
        index = pd.DatetimeIndex(known.view("M8[ns]"), name="known").tz_localize("UTC")
        return pd.DataFrame(table.reshape(len(known), len(header)), index=index, columns=header)

    def materialise(
        self, requests: Iterable[Request] | Mapping[str, Request], progress: Progress | None = None
    ) -> tuple[KeptFeature, ...]:
        """Compute what is not on disk yet, in one pass over history that holds one block at a time.

        Parameters
        ----------
        requests : a name, or several names or (name, parameters)
            Of a mapping, its values.
        progress : callable, optional
            Told after every block how many instants are done.

        Returns
        -------
        tuple of KeptFeature
            Those that were asked for.

        Raises
        ------
        ConfigurationError
            If the store keeps nothing on disk, or a feature declares that nothing is kept of it.
        StorageError
            If the disk refuses.
        UnknownName, ContractError
            As `get` does.
        """
        if self._cache is None:
            raise ConfigurationError("this store keeps nothing on disk. Make it with a folder and cache=True.")
        keys: dict[str, ValueKey] = {}
        absent: dict[str, Request] = {}
        for request in _listed(requests):
            node = self._node(request)
            if node.feature.caching == "never":
                rule = "be 'disk' or 'memory' to be materialised"
                raise ConfigurationError.of(f"{node.feature.name}.caching", rule, "never", "Leave it to be computed.")
            keys[node.identity] = self._history.key(request)
            if self._opened(keys[node.identity]) is None:
                absent[node.identity] = request
        if absent:
            done = 0
            with self._cache.writing({identity: keys[identity] for identity in absent}) as writers:
                for parts in self._history.parts(absent):
                    for identity, part in parts.items():
                        writers[identity].add(part)
                    done += len(part.known_ns)
                    if progress is not None:
                        progress(done)
        folders = {self._cache.folder / key.path for key in keys.values()}
        return tuple(entry for entry in self._cache.kept() if entry.folder in folders)

    def materialised(self) -> tuple[KeptFeature, ...]:
        """Return everything that is kept under the store's folder, over any dataset."""
        return self._cache.kept() if self._cache is not None else ()

    def invalidate(self, feature: str | None = None) -> int:
        """Forget the values of a feature, or of all, over any dataset, and the kernels that their versions are locked to.

        Nothing is lost but time: what is forgotten is computed again.

        Returns
        -------
        int
            How many were removed from the disk.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        for kept in (self._memory, self._files, self._checked):
            kept.clear()
        if self._cache is None or self._lock is None:
            return 0
        return forget(self._cache.folder, feature)

    def prepare(self, requests: Iterable[Request] | Mapping[str, Request], progress: Progress | None = None) -> None:
        """Materialise those of `requests` that ask to be kept on disk; see `materialise`.

        Nothing happens where nothing may be computed or kept; a disk that refuses is told to the log.
        """
        self._on_disk({str(i): request for i, request in enumerate(_listed(requests))}, progress)

    def feed(self, requests: Mapping[str, Request], first: BarBlock) -> RunFeed:
        """Return what a run over the source takes its features from.

        Features that ask to be kept on disk are materialised now. What is on disk is read block by block; the rest is computed
        as the run goes, after all history before the run has been taken in. The numbers are the same.

        Parameters
        ----------
        requests : mapping of str to str or (str, mapping)
            Label -> a feature's name, or its name and parameters.
        first : BarBlock
            The first block of the run.

        Raises
        ------
        As `get` does.
        """
        found = self._on_disk(requests)
        missing = {label: request for label, request in requests.items() if label not in found}
        if missing and not self._on_demand:
            raise self._not_kept(missing.values())
        computed = self._history.feed(missing, first) if missing else None
        if computed is not None and not found:
            return computed
        return KeptFeed(make_plan(requests, self._history.find), found, computed)

    def _node(self, request: Request) -> Node:
        """Return what is asked for, after a look at the lock."""
        plan = self._history.plan(request)
        asked = plan.asked[""]
        if self._lock is not None and asked.identity not in self._checked:
            try:
                self._lock.record(node.feature for node in plan.nodes)
            except StorageError as exc:
                self._without_disk(exc)
            self._checked.add(asked.identity)
        return asked

    def _values(self, request: Request, until_ns: int = END, from_ns: int = BEGINNING) -> Values:
        node = self._node(request)
        values = self._memory.get(node.identity) or self._on_disk({"": request}).get("")
        if values is None:
            if not self._on_demand:
                raise self._not_kept([request])
            if node.feature.caching == "never":
                return MemoryValues([parts[""] for parts in self._history.parts({"": request}, from_ns, until_ns)])
            values = MemoryValues([parts[""] for parts in self._history.parts({"": request})])
            self._memory[node.identity] = values
        return values

    def _on_disk(self, requests: Mapping[str, Request], progress: Progress | None = None) -> dict[str, Values]:
        """Return what is on disk, and what belongs there and is put there now, by label."""
        found: dict[str, Values] = {}
        absent: dict[str, Request] = {}
        for label, request in requests.items() if self._cache is not None else ():
            policy = self._node(request).feature.caching
            values = None if policy == "never" else self._opened(self._history.key(request))
            if values is not None:
                found[label] = values
            elif policy == "disk" and self._on_demand:
                absent[label] = request
        if not absent or self._cache is None:
            return found
        refusal = None
        try:
            self.materialise(absent, progress)
        except StorageError as exc:
            refusal = exc
        # Another process may have written the same values at the same time, and stood in the way: they are as good.
        opened = {label: self._opened(self._history.key(request)) for label, request in absent.items()}
        if refusal is not None and None in opened.values():
            self._without_disk(refusal)
        return found | {label: values for label, values in opened.items() if values is not None}

    def _opened(self, key: ValueKey) -> Values | None:
        if self._cache is None:
            return None
        try:
            if key.path not in self._files and (values := self._cache.open(key)) is not None:
                self._files[key.path] = values
        except DataError as exc:
            if not self._on_demand:
                remedy = f"Remove them: fairlead features invalidate {key.feature}."
                raise DataError(f"the kept values of feature {key.feature!r} are damaged: {exc} {remedy}") from exc
            _LOG.warning("the kept values of feature %r are damaged, and are computed again: %s", key.feature, exc)
        return self._files.get(key.path)

    def _without_disk(self, exc: StorageError) -> None:
        # A run in a workspace that cannot be written computes what it needs, and says why nothing is kept.
        _LOG.warning("features are computed and not kept: %s", exc)
        self._cache = self._lock = None

    def _symbols(self, symbols: str | Sequence[str] | None) -> tuple[str, ...]:
        whole = self._history.whole
        if symbols is not None and not isinstance(symbols, str) and len(symbols) == 0:
            return ()  # a screen that nothing passed; to settings no symbols are all symbols
        return choose_symbols((symbols,) if isinstance(symbols, str) else symbols, whole.symbols, whole.name)

    def _not_kept(self, requests: Iterable[Request]) -> DataNotFound:
        whole, lines = self._history.whole, []
        for request in requests:
            name, params = split(request)
            remedy = f"Run: {self._command(request)}"
            if self._history.find(name).caching == "never":
                remedy = "Nothing is ever kept of it: set features.compute_on_demand to true."
            given = f" with {', '.join(f'{key}={value}' for key, value in sorted(params.items()))}" if params else ""
            lines.append(f"feature {name!r}{given} is not materialised. {remedy}")
        symbols = ", ".join(whole.symbols[:_SHOWN]) + (" and others" if len(whole.symbols) > _SHOWN else "")
        head = f"features.compute_on_demand is false, and over dataset {whole.name!r} ({whole.bar_size.value}; {symbols}):"
        return DataNotFound("\n".join([head, *lines]))

    def _command(self, request: Request) -> str:
        name, params = split(request)
        whole = self._history.whole
        options = [f"--dataset {whole.name}", *(f"-p {key}={value}" for key, value in sorted(params.items()))]
        if len(whole.symbols) <= _SHOWN:
            options.append(f"--symbols {','.join(whole.symbols)}")
        columns = self._history.plan(request).columns
        options += [f"--benchmark {self._side.benchmark}"] if BENCHMARK in columns else []
        options += ["--facts FILE"] if any(column.startswith(FACT) for column in columns) else []
        return f"fairlead features compute {name} {' '.join(options)} --materialise"


def forget(folder: Path, feature: str | None = None) -> int:
    """Forget what ``<workspace>/features`` keeps of a feature, or everything; see `FeatureStore.invalidate`.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    removed = FeatureCache(folder).remove(feature)
    KernelLock(folder).forget(feature)
    return removed


def _listed(requests: Iterable[Request] | Mapping[str, Request]) -> list[Request]:
    if isinstance(requests, str):
        return [requests]
    return list(requests.values() if isinstance(requests, Mapping) else requests)


def _instant(name: str, time: Any) -> int:
    if not isinstance(time, dt.datetime) or time.tzinfo is None:
        raise ContractError.of(name, "be a datetime with a time zone", str(time), "Attach one: tz_localize('UTC').")
    return to_ns(time)
