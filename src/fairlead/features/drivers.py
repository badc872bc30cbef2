"""The two drivers, compiled: history in a loop, live one slice at a time.

A slice is a history of one bar, so that both are one loop with one guard around one step. The guard is the numeric policy
(domain §1): a row with an input that is NaN or infinite gives NaN and is not shown to the kernel, so that a gap neither
advances nor spoils its window; an infinite output becomes NaN.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba as nb
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.features.definition import Feature, Step
from fairlead.features.identity import helpers_of

_VECTOR = types.Array(types.float64, 1, "C")
_MATRIX = types.Array(types.float64, 2, "C")
_CUBE = types.Array(types.float64, 3, "C")
_INDEX = types.Array(types.int64, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_STEP = types.void(_VECTOR, _VECTOR, _VECTOR, _VECTOR)
_FUNCTION = types.FunctionType(_STEP)


@cache
def compiled(feature: Feature) -> Any:
    """Return the kernel as machine code, from the disk cache where it is there.

    Raises
    ------
    ConfigurationError
        If numba cannot compile it.
    """
    kernel = feature.kernel
    for helper in helpers_of(kernel):
        register_jitable(helper)
    try:
        try:
            return nb.njit(_STEP, cache=True)(kernel)
        except RuntimeError:  # a kernel that was typed in has no file that a cache could watch
            return nb.njit(_STEP)(kernel)
    except nb.core.errors.NumbaError as exc:
        first = str(exc).strip().splitlines()
        raise ConfigurationError(
            f"feature {feature.name!r} cannot be compiled: {' '.join(first[:3])}. Use float64 arithmetic, loops and `math`, or "
            "declare it with compiled=False."
        ) from exc


@intrinsic  # type: ignore[untyped-decorator]
def _address_of(_typing: Any, function: Any) -> Any:
    """Return the address of a compiled step: a slice calls many steps, and numba has no arrays of functions."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        made = cgutils.create_struct_proxy(_FUNCTION)(context, builder, value=args[0])
        return builder.ptrtoint(made.jit_addr, context.get_value_type(types.int64))

    return types.int64(function), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _function_at(_typing: Any, address: Any) -> Any:
    """Return the compiled step at an address that `_address_of` gave."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        made = cgutils.create_struct_proxy(_FUNCTION)(context, builder)
        null = cgutils.get_null_value(cgutils.voidptr_t)
        made.jit_addr, made.c_addr, made.py_addr = builder.inttoptr(args[0], cgutils.voidptr_t), null, null
        return made._getvalue()  # noqa: SLF001  the way numba's own lowering reads a struct

    return _FUNCTION(address), codegen


@nb.njit(types.int64(_FUNCTION), cache=True)  # type: ignore[untyped-decorator]
def address(step: Any) -> Any:
    """Return the address of a compiled step; it holds for as long as the step is kept."""
    return _address_of(step)


@nb.njit(  # type: ignore[untyped-decorator]
    types.void(_FUNCTION, _VECTOR, _VECTOR, _MATRIX, _INDEX, types.int64, _VECTOR, _VECTOR), cache=True, nogil=True
)
def run_history(step: Any, state: Any, params: Any, table: Any, rows: Any, first: int, inputs: Any, outputs: Any) -> None:
    """Run one step over all bars of `table` (slots, bars): read `rows`, write one row per output from `first` on.

    `inputs` and `outputs` are room to work in.
    """
    # The guard stands in the loop itself: as a function of its own it would count references at every bar.
    for t in range(table.shape[1]):
        known = True
        for i in range(inputs.shape[0]):
            value = table[rows[i], t]
            inputs[i] = value
            known &= value - value == 0.0  # NaN and infinity are not
        for i in range(outputs.shape[0]):
            outputs[i] = np.nan
        if known:
            step(state, params, inputs, outputs)
        for i in range(outputs.shape[0]):
            value = outputs[i]
            table[first + i, t] = value if value - value == 0.0 else np.nan


@nb.njit(  # type: ignore[untyped-decorator]
    types.void(_INDEX, _TABLE, _INDEX, _VECTOR, _MATRIX, _CUBE), cache=True, nogil=True
)
def run_slice(steps: Any, layout: Any, rows: Any, params: Any, states: Any, values: Any) -> None:
    """Run all steps once for every symbol: each as a history of one bar.

    Parameters
    ----------
    steps : int64 array of shape (nodes,)
        Addresses.
    layout : int64 array of shape (nodes, 8)
        Per node: state, parameters and inputs as start and stop, first output slot and one past the last; see `Stream`.
    rows : int64 array
        Input slots of all nodes, one after the other.
    params : float64 array
        Parameters of all nodes, one after the other.
    states : float64 array of shape (symbols, state)
    values : float64 array of shape (symbols, slots, 1)
    """
    room = np.empty(rows.shape[0])
    results = np.empty(values.shape[1])
    for k in range(steps.shape[0]):
        step = _function_at(steps[k])
        first, last = layout[k, 6], layout[k, 7]
        own, read = params[layout[k, 2] : layout[k, 3]], rows[layout[k, 4] : layout[k, 5]]
        inputs, outputs = room[layout[k, 4] : layout[k, 5]], results[first:last]
        for s in range(values.shape[0]):
            run_history(step, states[s, layout[k, 0] : layout[k, 1]], own, values[s], read, first, inputs, outputs)


def run_history_slowly(
    step: Step,
    state: FloatArray,
    params: FloatArray,
    table: FloatArray,
    rows: IntArray,
    first: int,
    inputs: FloatArray,
    outputs: FloatArray,
) -> None:
    """Run a kernel that stays Python: what `run_history` does."""
    for t in range(table.shape[1]):
        inputs[:] = table[rows, t]
        outputs[:] = math.nan
        if np.isfinite(inputs).all():
            step(state, params, inputs, outputs)
        outputs[~np.isfinite(outputs)] = math.nan
        table[first : first + len(outputs), t] = outputs
