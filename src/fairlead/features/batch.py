"""History: features over whole arrays, symbols side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.features.plan import Plan, Request, make_plan
from fairlead.features.program import Program

# Numbers that one worker holds at a time: what the next kernel reads is then still in the processor's cache.
_CELLS_AT_WORK: Final = 131_072
_MIN_ROWS: Final = 256


def compute_symbols(
    requests: Mapping[str, Request], columns: Mapping[str, FloatArray], *, threads: int | None = None
) -> dict[str, FloatArray]:
    """Return features of many symbols.

    Parameters
    ----------
    requests : mapping of str to str or (str, mapping)
        Label -> a feature's name, or its name and parameters.
    columns : mapping of str to float64 array of shape (symbols, bars)
        Those of `fairlead.features.inputs` that are needed; NaN where there is no bar.
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
    program = Program(plan)
    workers = max(1, min(threads or os.cpu_count() or 1, symbols))
    with ThreadPoolExecutor(workers) as pool:
        if program.compares_symbols:
            _run(program, arrays, results, slice(0, symbols), _Room(program, symbols), pool, workers)
            return results
        rooms: SimpleQueue[_Room] = SimpleQueue()  # fresh memory for every symbol would cost as much as a kernel
        for _ in range(workers):
            rooms.put(_Room(program, 1))

        def one(symbol: int) -> None:
            room = rooms.get()
            try:
                _run(program, arrays, results, slice(symbol, symbol + 1), room)
            finally:  # a kernel that raises must not leave the others waiting
                rooms.put(room)

        for _ in pool.map(one, range(symbols)):  # raises what a kernel raised
            pass
    return results


class _Room:
    """Memory for some rows of all slots of some symbols."""

    def __init__(self, program: Program, symbols: int) -> None:
        cells = max(1, symbols * program.plan.width)
        self.rows = max(_MIN_ROWS, _CELLS_AT_WORK // cells)
        self._shape = (symbols, program.plan.width)
        self._memory = np.empty(cells * self.rows)

    def tiles(self, bars: int) -> Iterator[tuple[slice, FloatArray]]:
        """Yield successive rows, and memory of shape (symbols, slots, rows) for them."""
        for begin in range(0, bars, self.rows):
            count = min(self.rows, bars - begin)
            shape = (*self._shape, count)
            yield slice(begin, begin + count), self._memory[: shape[0] * shape[1] * count].reshape(shape)


def _run(
    program: Program,
    arrays: list[FloatArray],
    results: dict[str, FloatArray],
    symbols: slice,
    room: _Room,
    pool: ThreadPoolExecutor | None = None,
    workers: int = 1,
) -> None:
    state = program.new_state(symbols.stop - symbols.start)
    asked = [(results[label], node.first, len(node.feature.outputs)) for label, node in program.plan.asked.items()]
    for rows, values in room.tiles(arrays[0].shape[1]):
        for slot, array in enumerate(arrays):
            values[:, slot] = array[symbols, rows]
        program.run(state, values, pool, workers)
        for result, first, count in asked:
            for i in range(count):
                result[i, symbols, rows] = values[:, first + i]


def _checked(plan: Plan, columns: Mapping[str, FloatArray]) -> list[FloatArray]:
    missing = [name for name in plan.columns if name not in columns]
    if missing:
        raise ContractError.of("columns", f"have {', '.join(missing)}", sorted(columns))
    arrays = [np.asarray(columns[name], np.float64) for name in plan.columns]
    for name, array in zip(plan.columns, arrays, strict=True):
        if array.ndim != 2 or array.shape != arrays[0].shape:
            raise ContractError.of(f"columns[{name!r}]", "have the shape (symbols, bars) of the others", array.shape)
    return arrays
