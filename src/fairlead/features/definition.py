"""What a feature is: one pure step function, and the declaration that drivers, checks and documentation read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.features.inputs import INPUT_COLUMNS, is_input
from fairlead.sdk.parameters import Parameter, resolve

Step: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray, FloatArray], None]
Params: TypeAlias = Mapping[str, Any]
Unit: TypeAlias = Literal["none", "price", "volume", "other"]
Caching: TypeAlias = Literal["memory", "disk", "never"]

_NUMERIC: Final = (int, float, bool)


@dataclass(frozen=True, slots=True)
class Output:
    """One named output.

    Parameters
    ----------
    name : str
    low, high : float
        The declared range, both ends included.
    unit : {'none', 'price', 'volume', 'other'}
        What the output is multiplied by when the unit of prices or volumes changes, as at a split: nothing, the factor of
        prices, the factor of volumes, or nothing that could be said. It decides how a value survives a corporate action.
    """

    name: str = "value"
    low: float = -math.inf
    high: float = math.inf
    unit: Unit = "none"


class Uses:
    """An input that is an output of another feature.

    Parameters
    ----------
    feature : str
        Its registered name, or ``package.module:NAME``.
    output : str, optional
        Which output; the first one if it is not given.
    **params : str, int, float or bool
        Its parameters: a text names a parameter of the feature that is being declared, anything else is a constant.
    """

    __slots__ = ("feature", "output", "params")

    def __init__(self, feature: str, output: str = "", **params: str | float) -> None:
        self.feature, self.output, self.params = feature, output, params

    def bound(self, params: Params) -> dict[str, Any]:
        """Return the parameters of the input for these parameters of its user."""
        return {name: params[value] if isinstance(value, str) else value for name, value in self.params.items()}


@dataclass(frozen=True, eq=False)
class Feature:
    """A declared feature; `feature` makes one.

    Attributes
    ----------
    name : str
    version : int
        Counts the changes of meaning, from 1.
    kernel : callable
        ``step(state, params, inputs, outputs)`` over float64 arrays of shapes (state_size,), (parameters,), (inputs,) and
        (outputs,). `state` is zeros before the first call. `outputs` is NaN at every call: a step that has no value yet
        returns. It is called only with finite inputs.
    inputs : tuple of str or Uses
        Columns (see `fairlead.features.inputs`) and outputs of other features.
    parameters : dict of str to Parameter
        Numbers and flags, in the order of `params`. A look-back length is called ``n``.
    outputs : tuple of Output
    warm_up : callable
        Parameters -> steps without a value before the first one. What the inputs need comes on top.
    state_size : callable
        Parameters -> length of `state`.
    formula, reference : str
        For the catalogue.
    compiled : bool
        False for a kernel that stays plain Python: slower, and held to the same checks.
    cross_section : bool
        True for a kernel that sees all symbols of an instant at once and remembers nothing: `inputs` then holds the symbols'
        values of the first input, then of the second, ...; NaN where a symbol has none; `outputs` is one value per symbol.
    caching : {'memory', 'disk', 'never'}
        What a store keeps: values while it lives, values between runs, or nothing.
    """

    name: str
    version: int
    kernel: Step
    inputs: tuple[str | Uses, ...]
    parameters: Mapping[str, Parameter]
    outputs: tuple[Output, ...]
    warm_up: Callable[[Params], int]
    state_size: Callable[[Params], int]
    formula: str = ""
    reference: str = ""
    compiled: bool = True
    cross_section: bool = False
    caching: Caching = "memory"
    doc: str = field(default="", repr=False)

    def resolve(self, given: Params) -> dict[str, Any]:
        """Return all parameters: those that are given, checked, and the defaults of the others.

        Raises
        ------
        UnknownName
            If a given name is not declared.
        ConfigurationError
            If a value breaks its declaration.
        """
        return resolve(self.parameters, plain(given), f"feature {self.name!r}")

    def output_index(self, name: str) -> int:
        """Return the position of an output; an empty name is the first.

        Raises
        ------
        UnknownName
            If there is no such output.
        """
        names = [output.name for output in self.outputs]
        if name and name not in names:
            raise UnknownName.among(f"output of feature {self.name!r}", name, names)
        return names.index(name) if name else 0


def feature(
    name: str,
    *,
    version: int = 1,
    inputs: Sequence[str | Uses] = ("close",),
    parameters: Mapping[str, Parameter] | None = None,
    outputs: Sequence[Output] = (Output(),),
    warm_up: Callable[[Params], int] = lambda _: 0,
    state_size: Callable[[Params], int] = lambda _: 0,
    formula: str = "",
    reference: str = "",
    compiled: bool = True,
    cross_section: bool = False,
    caching: Caching = "memory",
) -> Callable[[Step], Feature]:
    """Declare the decorated step function as a feature; see `Feature` for the arguments.

    Raises
    ------
    ConfigurationError
        If the declaration contradicts itself.
    """
    declared = dict(parameters or {})
    for key, parameter in declared.items():
        parameter.name = key
    _check_declaration(name, version, inputs, declared, outputs)
    if cross_section and len(outputs) != 1:
        raise ConfigurationError.of(name, "have one output as a cross-section", [o.name for o in outputs])

    def declare(kernel: Step) -> Feature:
        return Feature(
            name=name,
            version=version,
            kernel=kernel,
            inputs=tuple(inputs),
            parameters=declared,
            outputs=tuple(outputs),
            warm_up=warm_up,
            state_size=state_size,
            formula=formula,
            reference=reference,
            compiled=compiled,
            cross_section=cross_section,
            caching=caching,
            doc=(kernel.__doc__ or "").strip(),
        )

    return declare


def _check_declaration(
    name: str, version: int, inputs: Sequence[str | Uses], declared: Mapping[str, Parameter], outputs: Sequence[Output]
) -> None:
    if version < 1:
        raise ConfigurationError.of(f"{name}.version", "be at least 1", version)
    if not inputs or not outputs or len({output.name for output in outputs}) != len(outputs):
        raise ConfigurationError.of(name, "have inputs, and outputs with different names", [o.name for o in outputs])
    for key, parameter in declared.items():
        if parameter.kind not in _NUMERIC:
            raise ConfigurationError.of(
                f"{name}.{key}", "be a number or a flag", parameter.default, "Kernels see float64 only."
            )
    for item in inputs:
        if isinstance(item, str) and not is_input(item):
            raise UnknownName.among(f"input column of feature {name!r}", item, INPUT_COLUMNS, "Another feature: Uses(name).")
        for value in item.params.values() if isinstance(item, Uses) else ():
            if isinstance(value, str) and value not in declared:
                raise UnknownName.among(f"parameter of feature {name!r}", value, declared)


def plain(params: Params) -> dict[str, Any]:
    """Return parameters with numpy's numbers, as a loop over an array gives them, made Python's."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}


def lookback(default: int, *, ge: int = 1, doc: str = "Bars in the window.") -> Parameter:
    """Return the declaration of a look-back length, at most 100 000 bars."""
    return Parameter(default, ge=ge, le=100_000, doc=doc)


def ring_size(n: int) -> int:
    """Return the state that a window of `n` values takes: the families' `_push` writes each value twice."""
    return 2 * n + 2
