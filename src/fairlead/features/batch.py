"""History: features over whole arrays, symbols side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.features.plan import Plan, Request, make_plan


def compute_symbols(
    requests: Mapping[str, Request], columns: Mapping[str, FloatArray], *, threads: int | None = None
) -> dict[str, FloatArray]:
    """Return features of many symbols.

    Parameters
    ----------
    requests : mapping of str to str or (str, mapping)
        Label -> a feature's name, or its name and parameters.
    columns : mapping of str to float64 array of shape (symbols, bars)
        ``open``, ``high``, ``low``, ``close``, ``volume``, as far as they are needed; NaN where there is no bar.
    threads : int, optional
        One per processor by default.

    Returns
    -------
    dict of str to float64 array of shape (outputs, symbols, bars)
        Label -> values; NaN where there is none.

    Raises
    ------
    UnknownName, ConfigurationError
        If a request is wrong.
    ContractError
        If a column is missing or of another shape than the others.
    """
    if threads is not None and threads < 1:
        raise ConfigurationError.of("threads", "be at least 1", threads)
    plan = make_plan(requests)
    arrays = _checked(plan, columns)
    symbols, bars = arrays[0].shape if arrays else (0, 0)
    results = {label: np.empty((len(node.feature.outputs), symbols, bars)) for label, node in plan.asked.items()}
    runner = prepare(plan)
    workers = max(1, min(threads or os.cpu_count() or 1, symbols))
    # Fresh memory for every symbol would cost as much as a kernel.
    tables: SimpleQueue[FloatArray] = SimpleQueue()
    for _ in range(workers):
        tables.put(np.empty((plan.width, bars)))

    def one(symbol: int) -> None:
        table = tables.get()
        try:
            for slot, array in enumerate(arrays):
                table[slot] = array[symbol]
            runner(table)
            for label, node in plan.asked.items():
                results[label][:, symbol] = table[node.first : node.first + len(node.feature.outputs)]
        finally:  # a kernel that raises must not leave the others waiting
            tables.put(table)

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(one, range(symbols)):  # raises what a kernel raised
            pass
    return results


def prepare(plan: Plan) -> Callable[[FloatArray], None]:
    """Return the function that fills a table of shape (slots, bars), whose first rows are the columns, for one symbol."""
    from fairlead.features import drivers  # noqa: PLC0415  numba is imported where something is compiled

    steps = [drivers.compiled(node.feature) if node.feature.compiled else node.feature.kernel for node in plan.nodes]

    def run(table: FloatArray) -> None:
        for node, step in zip(plan.nodes, steps, strict=True):
            driver = drivers.run_history if node.feature.compiled else drivers.run_history_slowly
            inputs, outputs = np.empty(len(node.inputs)), np.empty(len(node.feature.outputs))
            driver(step, np.zeros(node.state_size), node.params, table, node.inputs, node.first, inputs, outputs)

    return run


def _checked(plan: Plan, columns: Mapping[str, FloatArray]) -> list[FloatArray]:
    missing = [name for name in plan.columns if name not in columns]
    if missing:
        raise ContractError.of("columns", f"have {', '.join(missing)}", sorted(columns))
    arrays = [np.asarray(columns[name], np.float64) for name in plan.columns]
    for name, array in zip(plan.columns, arrays, strict=True):
        if array.ndim != 2 or array.shape != arrays[0].shape:
            raise ContractError.of(f"columns[{name!r}]", "have the shape (symbols, bars) of the others", array.shape)
    return arrays
