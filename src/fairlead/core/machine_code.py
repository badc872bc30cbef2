"""Machine code that is kept on disk: functions compiled by numba, whose cache is told of every change."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CellType, FunctionType
from typing import Any


def machine_code(signature: Any, *, kept: bool = True, **options: Any) -> Callable[[Any], Any]:
    """Return a decorator that compiles a function, and keeps the machine code on disk where that is possible.

    Parameters
    ----------
    signature
        A numba type.
    kept : bool
        Use the disk at all.
    **options
        As `numba.njit` takes them.
    """
    nb = _open_numba()

    def make(function: Any) -> Any:
        try:
            return nb.njit(signature, cache=kept, nogil=True, **options)(function)
        except RuntimeError:  # it was typed in and has no file to watch, or no folder for a cache may be written
            return nb.njit(signature, nogil=True, **options)(function)

    return make


def _open_numba() -> Any:
    """Return numba, ready to compile, without scipy.linalg: loading that takes longer than loading our own code.

    numba imports it once, only to see that there is a BLAS; where one is called, it asks again. Fairlead requires scipy,
    so what is left of the question is how wide the integers of that BLAS are.
    """
    numba = importlib.import_module("numba")
    if "numba.np.arraymath" not in sys.modules and "scipy.linalg" not in sys.modules:
        linalg: Any = importlib.import_module("numba.np.linalg")
        ask = getattr(linalg, "ensure_blas", None)
        width = getattr(linalg, "_check_lapack_int_width", None)
        if ask is not None and width is not None:
            linalg.ensure_blas = width
            try:
                arrays: Any = importlib.import_module("numba.np.arraymath")
                arrays.ensure_blas = ask
            finally:
                linalg.ensure_blas = ask
    return numba


def placed(function: Any, beside: Any, space: Mapping[str, Any], identity: str) -> FunctionType:
    """Return `function` with other globals, as if it stood in the file of another one.

    numba's disk cache watches the file of a function and keeps one entry for each place in it. Its keys hold what a function
    closes over, and nothing else of what it reads: the identity that is closed over here stands for all that does not stand in
    that file.

    Parameters
    ----------
    function : function
        Without closed-over variables.
    beside : function
        Whose file is watched.
    space : mapping
        Globals.
    identity : str
        Hash of what the result consists of.
    """
    code, own = function.__code__, beside.__code__
    name = f"{beside.__name__}{function.__name__}"
    moved = code.replace(
        co_filename=own.co_filename,
        co_firstlineno=own.co_firstlineno,
        co_name=name,
        co_qualname=name,
        co_freevars=("identity",),
    )
    made = FunctionType(moved, {**space, "__name__": beside.__module__}, name, None, (CellType(identity),))
    made.__module__ = beside.__module__
    return made


def files_hash(*modules: Any) -> str:
    """Return the SHA-256 of the files of some modules: what compiled code is made of when it inlines their functions."""
    hasher = hashlib.sha256()
    for module in modules:
        hasher.update(Path(module.__file__).read_bytes())
    return hasher.hexdigest()
