"""From a name to a pool of workers."""

from __future__ import annotations

import os
from typing import Final, Literal, TypeAlias, get_args

from fairlead.backtest.pools.compiled import CompiledPool
from fairlead.backtest.pools.contract import TrialPool, check_workers
from fairlead.backtest.pools.inline import InlinePool
from fairlead.backtest.pools.processes import ProcessPool
from fairlead.backtest.pools.raycluster import RayPool
from fairlead.backtest.trials import TrialSetup
from fairlead.core.errors import ConfigurationError, UnknownName

Backend: TypeAlias = Literal["processes", "ray"]
BACKENDS: Final[tuple[Backend, ...]] = get_args(Backend)
LOCAL: Final = "processes"


def open_pool(setup: TrialSetup, *, workers: int | None = None, backend: str = LOCAL, address: str | None = None) -> TrialPool:
    """Return workers for the trials of one study, to be used in a ``with`` statement.

    Parameters
    ----------
    setup : TrialSetup
    workers : int, optional
        Processes on this machine; 1, the default there, runs in this process. Of a kernel strategy, threads: by default one for
        each processor. With Ray, how many trials are under way at a
        time; by default as many as the cluster has CPUs.
    backend : {'processes', 'ray'}
    address : str, optional
        Of a Ray cluster: ``host:port`` or ``auto``. Without it Ray is started on this machine, and stopped at the end.

    Raises
    ------
    UnknownName
        If there is no such backend.
    ConfigurationError
        If the arguments do not fit together, the setup cannot be sent to the workers, or the cluster cannot be reached.
    """
    if backend not in BACKENDS:
        raise UnknownName.among("backend", backend, BACKENDS)
    if workers is not None:
        check_workers(workers)
    if backend == "ray":
        return RayPool(setup, workers, address=address)
    if address is not None:
        raise ConfigurationError.of("address", "be left out unless the backend is ray", address, "Add --backend ray.")
    if type(setup) is TrialSetup and CompiledPool.fits(setup):
        return CompiledPool(setup, workers or os.cpu_count() or 1)
    return InlinePool(setup) if workers in (None, 1) else ProcessPool(setup, workers)
