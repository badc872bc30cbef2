"""Who a feature is: a hash of all that decides its numbers."""

from __future__ import annotations

import dis
import hashlib
import inspect
import io
import json
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

from fairlead.core.errors import ConfigurationError
from fairlead.features.definition import Feature, Uses

_LAYOUT: Final = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_SIMPLE: Final = (int, float, bool, str, type(None))
_KNOWN: Final = {"cmath", "math", "numba", "numpy"}
"""Modules whose functions and constants machine code knows."""


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
            if helper is None or found.get(helper.__name__) is helper:
                continue
            if helper.__code__.co_filename != kernel.__code__.co_filename:
                raise _foreign(kernel, f"{helper.__module__}.{helper.__name__}")
            if helper.__code__.co_freevars or helper.__name__ in found:
                rule = "call functions with names of their own and without closed-over variables"
                raise ConfigurationError.of(f"kernel {kernel.__name__}", rule, helper.__qualname__, "Pass an argument.")
            found[helper.__name__] = helper
            waiting.append(helper)
    return tuple(found[name] for name in sorted(found))


def kernel_hash(feature: Feature) -> str:
    """Return the SHA-256 of the kernel's code, its helpers, constants and inputs; comments and layout do not count.

    Constants are the globals that the code names, its own file's and those it reads as ``module.NAME``, and the defaults of
    arguments. What a plain Python kernel calls in another module is not followed.

    Raises
    ------
    ConfigurationError
        If the source cannot be read, or the kernel uses what cannot be hashed.
    """
    inputs = [[i.feature, i.output, i.params] if isinstance(i, Uses) else i for i in feature.inputs]
    outputs = [[output.name, output.unit] for output in feature.outputs]
    return _digest([*_code(feature), [inputs, list(feature.parameters), outputs, feature.cross_section]])


def code_hash(feature: Feature) -> str:
    """Return the SHA-256 of what machine code is made of: as `kernel_hash`, whatever the inputs and outputs are called."""
    return _digest(_code(feature))


def _code(feature: Feature) -> list[Any]:
    functions: tuple[Any, ...] = (feature.kernel, *helpers_of(feature.kernel))
    constants = {
        name: value
        for f in functions
        for name, value in _globals_of(f).items()
        if not (callable(value) or inspect.ismodule(value))
    }
    constants |= {
        name: value for f in functions for name, value in _read_in_modules(f, f.__code__) if feature.compiled or _simple(value)
    }
    for name, value in constants.items():
        if callable(value):
            raise _foreign(feature.kernel, name)
        if not _simple(value):
            raise ConfigurationError.of(f"{feature.name}: global {name}", "be a number, a text or None", value)
    return [[_function_code(f, feature) for f in functions], constants]


def definition_hash(feature: Feature, params: Mapping[str, Any], dependencies: Iterable[str]) -> str:
    """Return the identity of a feature with these parameters.

    Parameters
    ----------
    feature : Feature
    params : mapping of str to number
        All of them, as `Feature.resolve` returns them.
    dependencies : iterable of str
        Identities of the features it uses, in the order of its inputs.
    """
    return _digest([feature.name, feature.version, kernel_hash(feature), dict(params), list(dependencies)])


def _globals_of(function: Any) -> dict[str, Any]:
    names = _names(function.__code__)
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}


def _function(value: object) -> FunctionType | None:
    # What numba has wrapped is known by the function inside.
    inside = getattr(value, "py_func", value)
    return inside if isinstance(inside, FunctionType) else None


def _simple(value: object) -> bool:
    return isinstance(value, _SIMPLE)


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


def _function_code(function: Any, feature: Feature) -> list[Any]:
    # A default is computed when its function is made: the source may not say what it is.
    defaults = [*(function.__defaults__ or ()), *(value for _, value in sorted((function.__kwdefaults__ or {}).items()))]
    for value in defaults:
        if feature.compiled and not _simple(value):
            raise ConfigurationError.of(f"{feature.name}: default of an argument", "be a number, a text or None", value)
    words = _tokens(function, feature.name)
    return [words, [value for value in defaults if _simple(value)]] if defaults else words


def _tokens(function: Any, owner: str) -> list[str]:
    try:
        words = _words(function)
    except (OSError, TypeError) as exc:
        raise ConfigurationError(f"feature {owner!r}: the source of {function.__name__!r} cannot be read: {exc}.") from exc
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


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
