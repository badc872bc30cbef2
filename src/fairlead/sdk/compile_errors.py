"""What numba says of a `decide` that it cannot compile, in the words of its author and with the line."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, Final

from fairlead.core.errors import ConfigurationError

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_FUNCTION: Final = re.compile(r"Function\(<(?:built-in )?(?:function|class) '?([\w.]+)'?[^)]*\)")
_PLACE: Final = re.compile(r'File "([^"]+)", line (\d+)|at (\S+) \((\d+)\)|Raised from (\S+) \((\d+)\)')
_UNDEFINED: Final = re.compile(r"name '(\w+)' is not defined")
_RETURN: Final = re.compile(r"Return of: IR name '[^']*', type '([^\n]*)', location: *\nFile \"[^\"]+\", line (\d+)")
_DECISION: Final = "UniTuple(float64 x 4)"
_OPCODE: Final = re.compile(r"unsupported opcode \((\w+)\)")
_NOISE: Final = ("Failed in", "During:", "File ", "<source")


def not_compiled(owner: str, decide: Any, text: str) -> ConfigurationError:
    """Return what is wrong with `decide`.

    Parameters
    ----------
    owner : str
        The strategy's class.
    decide : function
    text : str
        numba's message.
    """
    text = _COLOUR.sub("", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = next((i for i, line in enumerate(lines) if not line.startswith(_NOISE)), 0)
    number = _line_of(decide, text, lines[said])
    source = _source(decide, number)
    where = f"{decide.__code__.co_filename}, line {number}{': ' + source if source else ''}"
    return ConfigurationError(
        f"{owner}.decide cannot be compiled ({where}): {_plainly(lines, said)}. Use numbers, `if`, loops, `math` and functions "
        "of the same file, or derive from Strategy."
    )


def _plainly(lines: list[str], said: int) -> str:
    first = lines[said]
    if first.startswith("Can't unify return type"):
        return "it returns different kinds of things; return HOLD, target_position(...) or target_weight(...) everywhere"
    found = _OPCODE.search(first)
    if found:
        return f"a statement in it has no machine code ({found[1].replace('_', ' ').lower()})"
    first = _FUNCTION.sub(r"`\1`", first).rstrip(".:")
    call = next((line.removeprefix(">>>").strip() for line in lines[said : said + 4] if line.startswith(">>>")), "")
    return f"{first}: {call}" if call else first


def _line_of(decide: Any, text: str, said: str) -> int:
    own = Path(decide.__code__.co_filename).name
    code = decide.__code__
    undefined = _UNDEFINED.search(said)
    if undefined:
        lines, first = _lines(decide)
        return next((first + i for i, line in enumerate(lines) if re.search(rf"\b{undefined[1]}\b", line)), first)
    for match in _RETURN.finditer(text):
        if match[1] != _DECISION:
            return int(match[2])
    for match in _PLACE.finditer(text):
        file, number = next((match[i], match[i + 1]) for i in (1, 3, 5) if match[i])
        if Path(file).name == own and int(number) > code.co_firstlineno:
            return int(number)
    return int(code.co_firstlineno)


def _source(decide: Any, number: int) -> str:
    lines, first = _lines(decide)
    return lines[number - first].strip() if 0 <= number - first < len(lines) else ""


def _lines(decide: Any) -> tuple[list[str], int]:
    try:
        return inspect.getsourcelines(decide)
    except (OSError, TypeError):
        return [], int(decide.__code__.co_firstlineno)
