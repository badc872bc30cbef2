"""The drivers: a kernel is compiled into one loop over bars; history calls it with many bars, live with one.

So that both are one loop with one guard around one step. The guard is the numeric policy (domain §1): a row with an input
that is NaN or infinite gives NaN and is not shown to the kernel, so that a gap neither advances nor spoils its window; an
infinite output becomes NaN.
"""

from __future__ import annotations

import math
from functools import cache
from types import FunctionType
from typing import Any, Final

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable
from numba.np.arrayobj import populate_array

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.kernel_code import helpers_of
from fairlead.core.machine_code import machine_code, placed
from fairlead.features.definition import Feature, Step
from fairlead.features.identity import code_hash

_VECTOR = types.Array(types.float64, 1, "C")
_MATRIX = types.Array(types.float64, 2, "C")
_CUBE = types.Array(types.float64, 3, "C")
_INDEX = types.Array(types.int64, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_LOOP = types.void(_VECTOR, _VECTOR, _MATRIX, _INDEX, types.int64)
_CROSS_LOOP = types.void(_VECTOR, _CUBE, _INDEX, types.int64, types.int64, types.int64)
_FUNCTION = types.FunctionType(_LOOP)
_EDITION: Final = 2
"""Raise it when loops are to be compiled otherwise than before: numba's disk cache does not watch this file."""


@cache
def compiled(feature: Feature) -> Any:
    """Return the loop around a kernel as machine code, from the disk cache where it is there.

    Raises
    ------
    ConfigurationError
        If numba cannot compile it.
    """
    kernel = feature.kernel
    for helper in helpers_of(kernel):
        register_jitable(forceinline=True)(helper)  # called with arrays, a step costs as much again
    width = len(feature.inputs), len(feature.outputs)
    loop = _around(_cross_history if feature.cross_section else _history, kernel, code_hash(feature), width)
    signature = _CROSS_LOOP if feature.cross_section else _LOOP
    try:
        return machine_code(signature)(loop)
    except nb.core.errors.NumbaError as exc:
        first = str(exc).strip().splitlines()
        raise ConfigurationError(
            f"feature {feature.name!r} cannot be compiled: {' '.join(first[:3])}. Use float64 arithmetic, loops and `math`, or "
            "declare it with compiled=False."
        ) from exc


def _around(loop: Any, kernel: Any, identity: str, width: tuple[int, int]) -> FunctionType:
    # In a loop of its own the kernel is inlined; called through a pointer it costs twice the time. How many inputs and outputs
    # there are is part of the code: numbers that the compiler knows to be few stay in registers.
    ins, outs = width
    known = {"np": np, "local_array": _local_array, "n_inputs": ins, "n_outputs": outs}
    space = {**known, "step": nb.njit(kernel, forceinline=True)}
    return placed(loop, kernel, space, f"{_EDITION} {identity} {ins} {outs}")


def step(state: Any, params: Any, inputs: Any, outputs: Any) -> None:
    """Stand in for the kernel; `_around` puts the real one here."""
    raise NotImplementedError


def local_array(count: int) -> FloatArray:
    """Stand in for `_local_array` likewise."""
    raise NotImplementedError


n_inputs = n_outputs = 0


def _history(state: Any, params: Any, table: Any, rows: Any, first: int) -> None:
    inputs, outputs = local_array(n_inputs), local_array(n_outputs)
    for t in range(table.shape[1]):
        known = True
        for i in range(n_inputs):
            value = table[rows[i], t]
            inputs[i] = value
            known &= value - value == 0.0  # NaN and infinity are not
        for i in range(n_outputs):
            outputs[i] = np.nan
        if known:
            step(state, params, inputs, outputs)
        for i in range(n_outputs):
            value = outputs[i]
            table[first + i, t] = value if value - value == 0.0 else np.nan


def _cross_history(params: Any, values: Any, rows: Any, first: int, begin: int, end: int) -> None:
    symbols = values.shape[0]
    state, outputs = np.empty(0), np.empty(symbols)
    inputs = np.empty(rows.shape[0] * symbols)
    for t in range(begin, end):
        for i in range(rows.shape[0]):
            for s in range(symbols):
                value = values[s, rows[i], t]
                inputs[i * symbols + s] = value if value - value == 0.0 else np.nan
        outputs[:] = np.nan
        step(state, params, inputs, outputs)
        for s in range(symbols):
            value = outputs[s]
            values[s, first, t] = value if value - value == 0.0 else np.nan


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _local_array(_typing: Any, count: Any) -> Any:
    """Return room for a few numbers on the stack: where the compiler sees that nothing else points at it."""
    length = int(count.literal_value)

    def codegen(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        number, size = context.get_value_type(types.float64), context.get_constant(types.intp, 8)
        with builder.goto_entry_block():
            room = builder.alloca(ir.ArrayType(number, max(1, length)))
        made = context.make_array(_VECTOR)(context, builder)
        shape = [context.get_constant(types.intp, length)]
        data = builder.bitcast(room, number.as_pointer())
        populate_array(made, data=data, shape=shape, strides=[size], itemsize=size, meminfo=None)
        return made._getvalue()  # noqa: SLF001  the way numba's own lowering reads a struct

    return _VECTOR(count), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _address_of(_typing: Any, function: Any) -> Any:
    """Return the address of a compiled loop: a slice calls many of them, and numba has no arrays of functions."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        made = cgutils.create_struct_proxy(_FUNCTION)(context, builder, value=args[0])
        return builder.ptrtoint(made.jit_addr, context.get_value_type(types.int64))

    return types.int64(function), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _function_at(_typing: Any, address: Any) -> Any:
    """Return the compiled loop at an address that `_address_of` gave."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        made = cgutils.create_struct_proxy(_FUNCTION)(context, builder)
        null = cgutils.get_null_value(cgutils.voidptr_t)
        made.jit_addr, made.c_addr, made.py_addr = builder.inttoptr(args[0], cgutils.voidptr_t), null, null
        return made._getvalue()  # noqa: SLF001  the way numba's own lowering reads a struct

    return _FUNCTION(address), codegen


@machine_code(types.int64(_FUNCTION))
def address(loop: Any) -> Any:
    """Return the address of a compiled loop; it holds for as long as the loop is kept."""
    return _address_of(loop)


@machine_code(types.void(_INDEX, _TABLE, _INDEX, _VECTOR, _MATRIX, _CUBE))
def run_nodes(loops: Any, layout: Any, rows: Any, params: Any, states: Any, values: Any) -> None:
    """Run all loops over all bars of every symbol.

    Parameters
    ----------
    loops : int64 array of shape (nodes,)
        Addresses.
    layout : int64 array of shape (nodes, 7)
        Per node: state, parameters and inputs as start and stop, and the first output slot; see `Program`.
    rows : int64 array
        Input slots of all nodes, one after the other.
    params : float64 array
        Parameters of all nodes, one after the other.
    states : float64 array of shape (symbols, state)
    values : float64 array of shape (symbols, slots, bars)
    """
    for k in range(loops.shape[0]):
        loop = _function_at(loops[k])
        own, read = params[layout[k, 2] : layout[k, 3]], rows[layout[k, 4] : layout[k, 5]]
        for s in range(values.shape[0]):
            loop(states[s, layout[k, 0] : layout[k, 1]], own, values[s], read, layout[k, 6])


def run_history_slowly(
    step: Step, state: FloatArray, params: FloatArray, table: FloatArray, rows: IntArray, first: int, outputs: int
) -> None:
    """Run a kernel that stays Python over one symbol's `table` of shape (slots, bars): the compiled loop's rule."""
    room = np.empty(outputs)
    for t in range(table.shape[1]):
        inputs = table[rows, t]
        room[:] = math.nan
        if np.isfinite(inputs).all():
            step(state, params, inputs, room)
        table[first : first + outputs, t] = np.where(np.isfinite(room), room, math.nan)


def run_cross_section_slowly(step: Step, params: FloatArray, values: FloatArray, rows: IntArray, first: int) -> None:
    """Run a cross-section that stays Python over `values` of shape (symbols, slots, bars)."""
    state, outputs = np.empty(0), np.empty(len(values))
    for t in range(values.shape[2]):
        inputs = values[:, rows, t].T.reshape(-1)
        outputs[:] = math.nan
        step(state, params, np.where(np.isfinite(inputs), inputs, math.nan), outputs)
        values[:, first, t] = np.where(np.isfinite(outputs), outputs, math.nan)
