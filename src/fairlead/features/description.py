"""A feature in words: what a reader of a table, a page or a listing wants to know of it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from fairlead.core.errors import UnknownName
from fairlead.core.kernel_code import helpers_of
from fairlead.features.definition import Feature, Output, Params, Uses
from fairlead.features.plan import Find, make_plan
from fairlead.features.registry import FAMILIES, find_feature, shipped_features
from fairlead.sdk.parameters import Parameter

UNITS: Final = {"none": "", "price": "price", "volume": "volume", "other": "of its own"}


@dataclass(frozen=True, slots=True)
class ParameterInWords:
    """A parameter: its value, the values it may take, and what it means."""

    name: str
    value: float
    default: float
    allowed: str
    doc: str


@dataclass(frozen=True, slots=True)
class OutputInWords:
    """An output: its declared range, None where it has no end, and its unit."""

    name: str
    low: float | None
    high: float | None
    range: str
    unit: str


@dataclass(frozen=True, slots=True)
class Dependency:
    """What a feature reads: a column, which reads nothing, or another feature with its parameters."""

    label: str
    inputs: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """All there is to say about a feature with certain parameters.

    Attributes
    ----------
    name : str
        As it was asked for.
    family : str
        The family of a feature that ships; for any other one the module it comes from.
    ships : bool
    version : int
    identity : str
        See `definition_hash`.
    doc, formula, reference : str
    inputs : tuple of str
        As declared.
    columns : tuple of str
        The columns that it and what it uses read.
    parameters : tuple of ParameterInWords
    outputs : tuple of OutputInWords
    warm_up : int
        Bars without a value before the first one, with these parameters.
    compiled, cross_section : bool
    caching : str
    helpers : tuple of str
        Functions of its file that the kernel calls.
    tree : Dependency
    source : str
        Of the kernel.
    """

    name: str
    family: str
    ships: bool
    version: int
    identity: str
    doc: str
    formula: str
    reference: str
    inputs: tuple[str, ...]
    columns: tuple[str, ...]
    parameters: tuple[ParameterInWords, ...]
    outputs: tuple[OutputInWords, ...]
    warm_up: int
    compiled: bool
    cross_section: bool
    caching: str
    helpers: tuple[str, ...]
    tree: Dependency
    source: str

    @property
    def summary(self) -> str:
        """The first line of `doc`."""
        return self.doc.partition("\n")[0].strip()

    def to_dict(self) -> dict[str, Any]:
        """Return it as mappings, lists, texts and numbers, for JSON."""
        return asdict(self)


def describe(name: str, params: Params | None = None, *, find: Find = find_feature) -> Description:
    """Return a feature in words.

    Parameters
    ----------
    name : str
        A known name, or ``package.module:NAME``.
    params : mapping, optional
        The defaults where not given.
    find : callable
        Name -> feature.

    Raises
    ------
    UnknownName, ConfigurationError
        If the feature, a parameter, or something it uses is wrong.
    """
    feature = find(name)
    values = feature.resolve(params or {})
    plan = make_plan({name: (name, values)}, find)
    node = plan.asked[name]
    ships = shipped_features().get(feature.name) is feature
    return Description(
        name=name,
        family=family_of(feature),
        ships=ships,
        version=feature.version,
        identity=node.identity,
        doc=feature.doc,
        formula=feature.formula,
        reference=feature.reference,
        inputs=tuple(input_text(item) for item in feature.inputs),
        columns=plan.columns,
        parameters=tuple(
            ParameterInWords(key, values[key], p.default, allowed_text(p), p.doc)  # type: ignore[arg-type]  # kernels take numbers only
            for key, p in feature.parameters.items()
        ),
        outputs=tuple(_output(output) for output in feature.outputs),
        warm_up=node.warm_up,
        compiled=feature.compiled,
        cross_section=feature.cross_section,
        caching=feature.caching,
        helpers=tuple(helper.__name__ for helper in helpers_of(feature.kernel)),
        tree=_tree(name, values, find),
        source=inspect.getsource(feature.kernel),
    )


def family_of(feature: Feature) -> str:
    """Return the family of a feature that ships; for any other one the module of its kernel."""
    module: str = feature.kernel.__module__
    return module.rpartition(".")[2] if shipped_features().get(feature.name) is feature else module


def features_by_family(family: str | None = None) -> dict[str, tuple[Feature, ...]]:
    """Return the features that ship: family -> features, both in the order of their names.

    Raises
    ------
    UnknownName
        If there is no such family.
    """
    if family is not None and family not in FAMILIES:
        raise UnknownName.among("family of features", family, FAMILIES)
    found: dict[str, list[Feature]] = {name: [] for name in sorted(FAMILIES) if family in {None, name}}
    for feature in shipped_features().values():
        if (own := family_of(feature)) in found:
            found[own].append(feature)
    return {name: tuple(members) for name, members in found.items()}


def input_text(item: str | Uses) -> str:
    """Return an input as one would write it: a column, or ``feature.output(n=value)``."""
    return item if isinstance(item, str) else _call(item.feature, item.output, item.params)


def allowed_text(parameter: Parameter) -> str:
    """Return the values that a parameter may take: an interval, or the choices."""
    if parameter.choices is not None:
        return ", ".join(map(str, parameter.choices))
    if parameter.kind is bool:
        return "True, False"
    low = f"[{parameter.ge:g}" if parameter.ge is not None else f"({-math.inf if parameter.gt is None else parameter.gt:g}"
    high = f"{parameter.le:.6g}]" if parameter.le is not None else f"{math.inf if parameter.lt is None else parameter.lt:g})"
    return f"{low}, {high}"


def range_text(low: float, high: float) -> str:
    """Return a declared range in words; empty where it has no end on either side."""
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f">= {low:g}"
    return f"<= {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def _output(output: Output) -> OutputInWords:
    low, high = (bound if math.isfinite(bound) else None for bound in (output.low, output.high))
    return OutputInWords(output.name, low, high, range_text(output.low, output.high), output.unit)


def _tree(name: str, params: Params, find: Find, output: str = "") -> Dependency:
    feature = find(name)
    values = feature.resolve(params)
    children = [
        Dependency(item) if isinstance(item, str) else _tree(item.feature, item.bound(values), find, item.output)
        for item in feature.inputs
    ]
    return Dependency(_call(name, output, values), tuple(children))


def _call(name: str, output: str, params: Mapping[str, Any]) -> str:
    given = ", ".join(f"{key}={value}" for key, value in params.items())
    return f"{name}{'.' if output else ''}{output}" + (f"({given})" if given else "")
