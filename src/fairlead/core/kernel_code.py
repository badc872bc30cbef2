"""What a compiled function consists of: its own code, that of the helpers it calls, and the constants they read."""

from __future__ import annotations

import dis
import inspect
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

from fairlead.core.errors import ConfigurationError

_LAYOUT: Final = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_SIMPLE: Final = (int, float, bool, str, type(None))
_KNOWN: Final = {"cmath", "math", "numba", "numpy"}
"""Modules whose functions and constants machine code knows."""
_OURS: Final = {"fairlead.sdk.decisions"}
"""Modules of ours that kernels may call: every compiled function is compiled anew when they change."""


def helpers_of(kernel: Any) -> tuple[FunctionType, ...]:
    """Return the functions of its own file that a kernel calls, directly or not, by name.

    Raises
    ------
    ConfigurationError
        If the kernel is no plain function, closes over variables, or calls a Python function of another file; or if one that
        it calls closes over variables, or two of them have one name.
    """
    if not isinstance(kernel, FunctionType) or kernel.__code__.co_freevars:
        raise ConfigurationError.of("kernel", "be a plain function without closed-over variables", kernel, "Pass a parameter.")
    found: dict[str, FunctionType] = {}
    waiting = [kernel]
    while waiting:
        for value in _globals_of(waiting.pop()).values():
            helper = _function(value)
            if helper is None or _is_ours(helper) or found.get(helper.__name__) is helper:
                continue
            if helper.__code__.co_filename != kernel.__code__.co_filename:
                raise _foreign(kernel, f"{helper.__module__}.{helper.__name__}")
            if helper.__code__.co_freevars or helper.__name__ in found:
                rule = "call functions with names of their own and without closed-over variables"
                raise ConfigurationError.of(f"kernel {kernel.__name__}", rule, helper.__qualname__, "Pass an argument.")
            found[helper.__name__] = helper
            waiting.append(helper)
    return tuple(found[name] for name in sorted(found))


def code_of(kernel: Any, owner: str, *, compiled: bool = True) -> list[Any]:
    """Return the code of a kernel and its helpers, and their constants, as plain data; comments and layout do not count.

    Parameters
    ----------
    kernel : function
    owner : str
        Whose it is, for messages.
    compiled : bool
        Whether it becomes machine code, which freezes every constant that it reads.

    Raises
    ------
    ConfigurationError
        If the source cannot be read, or the kernel uses what cannot be hashed.
    """
    functions: tuple[Any, ...] = (kernel, *helpers_of(kernel))
    constants = {
        name: value
        for f in functions
        for name, value in _globals_of(f).items()
        if not (callable(value) or inspect.ismodule(value) or _is_ours(value))
    }
    constants |= {
        name: value for f in functions for name, value in _read_in_modules(f, f.__code__) if compiled or _simple(value)
    }
    for name, value in constants.items():
        if callable(value):
            raise _foreign(kernel, name)
        if not _simple(value):
            raise ConfigurationError.of(f"{owner}: global {name}", "be a number, a text or None", value)
    return [[_function_code(f, owner, compiled=compiled) for f in functions], constants]


def has_source(kernel: Any) -> bool:
    """Whether the text of a function can be read: that of one which was typed in cannot."""
    try:
        inspect.getsourcelines(kernel)
    except (OSError, TypeError):
        return False
    return True


def bytecode_of(kernel: Any) -> list[Any]:
    """Return what a kernel and its helpers are in memory, as plain data.

    The text of a file that was edited after it was imported is not that of the functions that came from it.
    """
    return [_instructions(function.__code__) for function in (kernel, *helpers_of(kernel))]


def _instructions(code: CodeType) -> list[Any]:
    constants = [_instructions(c) if isinstance(c, CodeType) else f"{type(c).__name__} {c!r}" for c in code.co_consts]
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames)]


def _globals_of(function: Any) -> dict[str, Any]:
    names = _names(function.__code__)
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}


def _function(value: object) -> FunctionType | None:
    # What numba has wrapped is known by the function inside.
    inside = getattr(value, "py_func", value)
    return inside if isinstance(inside, FunctionType) else None


def _simple(value: object) -> bool:
    return isinstance(value, _SIMPLE) or (isinstance(value, tuple) and all(_simple(item) for item in value))


def _is_ours(value: object) -> bool:
    return getattr(value, "__module__", "") in _OURS


def _foreign(kernel: Any, name: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"kernel {kernel.__name__}",
        "call only functions of its own file",
        name,
        "Compiled code is kept on disk for as long as that one file does not change.",
    )


def _read_in_modules(function: Any, code: CodeType) -> Iterator[tuple[str, object]]:
    """Yield what the code reads as ``module.NAME``, but for the modules that machine code knows."""
    name, value = "", None
    for step in dis.get_instructions(code):
        if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            name, value = str(step.argval), function.__globals__.get(step.argval)
        elif step.opname in {"LOAD_ATTR", "LOAD_METHOD"} and inspect.ismodule(value):
            name, value = f"{name}.{step.argval}", getattr(value, step.argval, None)
            if not inspect.ismodule(value):
                yield name, value
        elif step.opname not in {"EXTENDED_ARG", "PUSH_NULL"}:
            value = None
        if inspect.ismodule(value) and value.__name__.partition(".")[0] in _KNOWN:
            value = None
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _read_in_modules(function, inner)


def _names(code: CodeType) -> set[str]:
    nested = [_names(c) for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*nested)


def _function_code(function: Any, owner: str, *, compiled: bool) -> list[Any]:
    # A default is computed when its function is made: the source may not say what it is.
    defaults = [*(function.__defaults__ or ()), *(value for _, value in sorted((function.__kwdefaults__ or {}).items()))]
    for value in defaults:
        if compiled and not _simple(value):
            raise ConfigurationError.of(f"{owner}: default of an argument", "be a number, a text or None", value)
    words = _tokens(function, owner)
    return [words, [value for value in defaults if _simple(value)]] if defaults else words


def _tokens(function: Any, owner: str) -> list[str]:
    try:
        words = _words(function)
    except (OSError, TypeError) as exc:
        raise ConfigurationError(f"{owner}: the source of {function.__name__!r} cannot be read: {exc}.") from exc
    if not words:
        raise ConfigurationError.of(f"{owner}: {function.__name__}", "be written with def", "another kind of function")
    return words


@cache
def _words(function: Any) -> list[str]:
    # Empty without a def. A helper is read once, however many kernels call it.
    lines, _ = inspect.getsourcelines(function)
    margin = len(lines[0]) - len(lines[0].lstrip())
    text = "".join(line[margin:] if line.strip() else line for line in lines)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in _LAYOUT]
    # Decorators declare; they are hashed by what they declare. `def` stands first on its line.
    start = next((i for i, t in enumerate(tokens) if t.string == "def" and t.start[1] == 0), len(tokens))
    words: list[str] = []
    statement_begins = in_docstring = False
    for token in tokens[start:]:
        if (token.type == tokenize.STRING and statement_begins) or (in_docstring and token.type == tokenize.NEWLINE):
            in_docstring = token.type == tokenize.STRING
            continue
        statement_begins = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
        # Depth is told by the marks, whatever it is made of.
        mark = {tokenize.NEWLINE: "\n", tokenize.INDENT: "{", tokenize.DEDENT: "}"}.get(token.type)
        words.append(token.string if mark is None else mark)
    return words
