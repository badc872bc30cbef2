"""Who a feature is: a hash of all that decides its numbers."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import tokenize
from collections.abc import Iterable, Mapping
from types import CodeType, FunctionType
from typing import Any, Final

from fairlead.core.errors import ConfigurationError
from fairlead.features.definition import Feature, Uses

_LAYOUT: Final = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_SIMPLE: Final = (int, float, bool, str, type(None))


def helpers_of(kernel: Any) -> tuple[FunctionType, ...]:
    """Return the functions of its own file that a kernel calls, directly or not, by name.

    Raises
    ------
    ConfigurationError
        If the kernel is no plain function, closes over variables, or calls a Python function of another file.
    """
    if not isinstance(kernel, FunctionType) or kernel.__code__.co_freevars:
        raise ConfigurationError.of("kernel", "be a plain function without closed-over variables", kernel, "Pass a parameter.")
    found: dict[str, FunctionType] = {}
    waiting = [kernel]
    while waiting:
        for value in _globals_of(waiting.pop()).values():
            if not isinstance(value, FunctionType) or value.__name__ in found:
                continue
            if value.__code__.co_filename != kernel.__code__.co_filename:
                raise ConfigurationError.of(
                    f"kernel {kernel.__name__}",
                    "call only functions of its own file",
                    f"{value.__module__}.{value.__name__}",
                    "Compiled code is kept on disk for as long as that one file does not change.",
                )
            found[value.__name__] = value
            waiting.append(value)
    return tuple(found[name] for name in sorted(found))


def kernel_hash(feature: Feature) -> str:
    """Return the SHA-256 of the kernel's code, its helpers, constants and inputs; comments and layout do not count.

    Raises
    ------
    ConfigurationError
        If the source cannot be read, or the kernel uses what cannot be hashed.
    """
    functions = (feature.kernel, *helpers_of(feature.kernel))
    constants = {
        name: value
        for f in functions
        for name, value in _globals_of(f).items()
        if not (callable(value) or inspect.ismodule(value))
    }
    for name, value in constants.items():
        if not isinstance(value, _SIMPLE):
            raise ConfigurationError.of(f"{feature.name}: global {name}", "be a number, a text or None", value)
    inputs = [[i.feature, i.output, i.params] if isinstance(i, Uses) else i for i in feature.inputs]
    outputs = [[output.name, output.unit] for output in feature.outputs]
    declared = [inputs, list(feature.parameters), outputs, feature.cross_section]
    return _digest([[_tokens(f, feature.name) for f in functions], constants, declared])


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


def _names(code: CodeType) -> set[str]:
    nested = [_names(c) for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*nested)


def _tokens(function: Any, owner: str) -> list[str]:
    try:
        lines, _ = inspect.getsourcelines(function)
    except (OSError, TypeError) as exc:
        raise ConfigurationError(f"feature {owner!r}: the source of {function.__name__!r} cannot be read: {exc}.") from exc
    margin = len(lines[0]) - len(lines[0].lstrip())
    text = "".join(line[margin:] if line.strip() else line for line in lines)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in _LAYOUT]
    # Decorators declare; they are hashed by what they declare. `def` stands first on its line.
    start = next(i for i, t in enumerate(tokens) if t.string == "def" and t.start[1] == 0)
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
