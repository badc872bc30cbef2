"""Who a feature is: a hash of all that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from fairlead.core.kernel_code import code_of
from fairlead.features.definition import Feature, Uses


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
    return code_of(feature.kernel, feature.name, compiled=feature.compiled)


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


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
