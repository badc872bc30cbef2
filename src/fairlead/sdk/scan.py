"""The `decide` of a kernel strategy, compiled into a loop over bars that stops where something is wanted.

The event loop calls it with one row, a compiled run with many: one function, one machine code, equal bits.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from functools import cache
from types import FunctionType
from typing import Any, Final, NamedTuple, TypeAlias

from fairlead.contracts.files import canonical_json, sha256_bytes
from fairlead.core import kernel_code, machine_code
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.sdk import decisions
from fairlead.sdk.compile_errors import not_compiled
from fairlead.sdk.parameters import Parameter

Scan: TypeAlias = Callable[..., int]
"""Compiled: see `_TEMPLATE`. Returns the first row in which something is wanted, or the row at which it was to stop."""

FIELDS: Final = ("open", "high", "low", "close", "volume")
"""What the market array has of a bar; behind them stands the last known price."""
CLOSE: Final = FIELDS.index("close")
MARK: Final = len(FIELDS)
QUANTITY: Final = 0
AVERAGE: Final = 1
MULTIPLIER: Final = 2
LARGEST: Final = 3
BOOK_ROWS: Final = 4
"""Of the array that holds a position by symbol: signed units, average cost, multiplier, the most units it had."""

_ACCOUNT: Final = {"position": "book[0, c]", "average_price": "book[1, c]", "cash": "cash", "equity": "equity"}
_STATE: Final = "state"

# One row of it for each instant, one pass of the inner loop for each symbol with a bar. `net` is the value of what is held
# where the caller knows it; else it is summed over `sequence`, in the order in which the ledger sums. A target that is held
# already is passed over where `least` is above 0, unless it is less than that: what is no lot closes what a split has left.
_TEMPLATE: Final = """\
def scan(
    first, stop, market, features, chosen, params, states, cash, net, book, sequence, positions, least, decisions, found
):
    width = market.shape[1]
{parameters}
    found[width] = 0
    for row in range(first, stop):
        count = 0
{equity}
        for c in range(width):
            if market[row, c, 3] != market[row, c, 3]:
                continue
{features}
            kind, amount, stop_loss, take_profit = decide({arguments})
            if kind == 0.0:
                continue
            bare = stop_loss != stop_loss and take_profit != take_profit
            if least > 0.0 and kind == 1.0 and amount == book[0, c] and bare and (amount == 0.0 or abs(amount) >= least):
                continue
            decisions[count, 0] = kind
            decisions[count, 1] = amount
            decisions[count, 2] = stop_loss
            decisions[count, 3] = take_profit
            found[count] = c
            count += 1
        if count > 0:
            found[width] = count
            return row
    return stop
"""
_EQUITY: Final = """\
        held = 0.0
        for i in range(positions):
            c = sequence[i]
            if book[0, c] != 0.0:
                held += book[0, c] * market[row, c, 5] * book[2, c]
        equity = cash + (net + held)
"""


class Arguments(NamedTuple):
    """Where the arguments of `decide` come from.

    Attributes
    ----------
    names : tuple of str
        In their order.
    features : tuple of (label, output)
        Those that it reads, each once; an empty output is the only one.
    parameters : tuple of str
        Those that it reads.
    kinds : tuple of str
        ``int``, ``float`` or ``bool`` by parameter.
    sources : tuple of str
        By argument, the expression that gives it.
    """

    names: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    parameters: tuple[str, ...]
    kinds: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def reads_equity(self) -> bool:
        """Whether positions have to be valued for it."""
        return "equity" in self.names


def arguments_of(owner: str, decide: Any, parameters: Mapping[str, Parameter], features: Collection[str]) -> Arguments:
    """Return where each argument of a `decide` comes from; `features` are the labels of those that are declared.

    Raises
    ------
    UnknownName
        If a name stands for nothing.
    ConfigurationError
        If it stands for two things, or for a parameter that is neither a number nor a flag.
    """
    names = tuple(inspect.signature(decide).parameters)
    used: list[tuple[str, str]] = []
    read: list[str] = []
    sources: list[str] = []
    for name in names:
        feature = _feature(name, features)
        column = name.rstrip("_")  # `open_` leaves Python's own `open` alone
        meanings = [column in FIELDS, name in _ACCOUNT, name == _STATE, name in parameters, feature is not None]
        if sum(meanings) > 1:
            remedy = "Give the feature another label, or the parameter another name."
            raise ConfigurationError.of(f"{owner}.decide({name})", "mean one thing", name, remedy)
        if column in FIELDS:
            sources.append(f"market[row, c, {FIELDS.index(column)}]")
        elif name in _ACCOUNT:
            sources.append(_ACCOUNT[name])
        elif name == _STATE:
            sources.append("states[c]")
        elif name in parameters:
            _check_number(owner, name, parameters[name])
            sources.append(f"p_{name}")
            read.append(name)
        elif feature is not None:
            sources.append(f"f{used.index(feature) if feature in used else len(used)}")
            used += [feature] if feature not in used else []
        else:
            known = (*FIELDS, *_ACCOUNT, _STATE, *parameters, *features)
            remedy = "Declare it as a parameter or in required_features()."
            raise UnknownName.among(f"argument of {owner}.decide", name, known, remedy)
    kinds = tuple(parameters[name].kind.__name__ for name in read)
    return Arguments(names, tuple(used), tuple(read), kinds, tuple(sources))


def compiled_scan(owner: str, decide: Any, arguments: Arguments) -> Scan:
    """Return `decide` compiled into its loop, from the disk cache where it is there.

    Raises
    ------
    ConfigurationError
        If numba cannot compile it; the text names the line.
    """
    return _compiled(owner, decide, arguments)


def signature() -> Any:
    """Return the numba type that every compiled scan has."""
    from numba import types  # noqa: PLC0415  imported where something is compiled

    number, whole = types.float64, types.int64
    vector, matrix, cube = (types.Array(number, n, "C") for n in (1, 2, 3))
    index = types.Array(whole, 1, "C")
    return whole(
        *(whole, whole, cube, cube, index, vector, matrix, number, number, matrix, index, whole, number, matrix, index)
    )


@cache
def _compiled(owner: str, decide: Any, arguments: Arguments) -> Scan:
    import numba as nb  # noqa: PLC0415  imported where something is compiled
    from numba.extending import register_jitable  # noqa: PLC0415

    for helper in kernel_code.helpers_of(decide):
        register_jitable(forceinline=True)(helper)
    for made in (decisions.target_position, decisions.target_weight):
        register_jitable(forceinline=True)(made)
    kept = kernel_code.has_source(decide)
    described = [
        kernel_code.code_of(decide, owner) if kept else [],
        kernel_code.bytecode_of(decide),
        list(map(list, arguments)),
        machine_code.files_hash(decisions, sys.modules[__name__]),
    ]
    space = {"decide": nb.njit(decide, forceinline=True)}
    scan = machine_code.placed(_written(arguments), decide, space, sha256_bytes(canonical_json(described).encode()))
    try:
        found: Scan = machine_code.machine_code(signature(), kept=kept)(scan)
    except (nb.core.errors.NumbaError, nb.core.errors.UnsupportedBytecodeError) as exc:
        raise not_compiled(owner, decide, str(exc)) from exc
    return found


def _written(arguments: Arguments) -> FunctionType:
    casts = {"int": "int(params[{}])", "bool": "params[{}] != 0.0", "float": "params[{}]"}
    parameters = [
        f"    p_{name} = {casts[kind].format(i)}"
        for i, (name, kind) in enumerate(zip(arguments.parameters, arguments.kinds, strict=True))
    ]
    features = [
        line
        for i in range(len(arguments.features))
        for line in (
            f"            f{i} = features[chosen[{i}], row, c]",
            f"            if f{i} != f{i}:",
            "                continue",
        )
    ]
    text = _TEMPLATE.format(
        parameters="\n".join(parameters),
        equity=_EQUITY if arguments.reads_equity else "",
        features="\n".join(features),
        arguments=", ".join(arguments.sources),
    )
    space: dict[str, Any] = {}
    exec(compile(text, __file__, "exec"), space)  # noqa: S102  our own text; names in it are identifiers
    written = space["scan"]
    assert isinstance(written, FunctionType)
    return written


def _feature(name: str, features: Collection[str]) -> tuple[str, str] | None:
    if name in features:
        return name, ""
    found = [(label, name.removeprefix(f"{label}_")) for label in features if name.startswith(f"{label}_")]
    return max(found, key=lambda pair: len(pair[0])) if found else None


def _check_number(owner: str, name: str, declared: Parameter) -> None:
    if declared.kind not in (int, float, bool):
        remedy = "Machine code sees numbers: turn it into one in a parameter of its own."
        raise ConfigurationError.of(f"{owner}.decide({name})", "be a number or a flag", declared.default, remedy)
