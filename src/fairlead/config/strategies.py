"""The strategies of a file, checked against the parameters that their classes declare."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.config.document import KeyPath, Node
from fairlead.config.problems import Problem
from fairlead.config.rules import did_you_mean
from fairlead.config.translation import dotted, named_problem, origin_of
from fairlead.core.errors import ConfigurationError
from fairlead.sdk.strategy import Strategy

FindStrategy = Callable[[str], type[Strategy]]


def check_strategies(root: Node, find: FindStrategy) -> tuple[dict[int, dict[str, object]], list[Problem]]:
    """Return the complete parameters of each strategy in `root`, by its index, and everything that is wrong with them.

    The document may be invalid otherwise: what has no usable name or params is passed over, since validation reports it.

    Parameters
    ----------
    root : Node
        The document.
    find : callable
        From a reference to a strategy class.
    """
    complete: dict[int, dict[str, object]] = {}
    problems: list[Problem] = []
    strategies = root.child("strategies")
    for i, entry in enumerate(strategies.items if strategies is not None else ()):
        key = "strategy" if (ref := entry.child("strategy")) is not None and ref.value is not None else "name"
        reference = entry.child(key)
        params = entry.child("params")
        if reference is None or not isinstance(reference.value, str) or not reference.value:
            continue
        try:
            strategy = find(reference.value)
        except ConfigurationError as exc:
            problems.append(named_problem(root, ("strategies", i, key), str(exc)))
            continue
        given = params if params is not None else Node(None, entry.origin)
        if given.value is not None and not isinstance(given.value, dict):
            continue
        wrong = _params_problems(root, ("strategies", i, "params"), given, strategy)
        problems.extend(wrong)
        if not wrong:
            values = {name: node.plain() for name, node in given.mapping.items()}
            try:
                # Rules between parameters stand in the constructor; only building one finds them.
                complete[i] = strategy(**values).params
            except ConfigurationError as exc:
                problems.append(named_problem(root, ("strategies", i, "params"), str(exc), strategy.parameters))
    return complete, problems


def _params_problems(root: Node, above: KeyPath, given: Node, strategy: type[Strategy]) -> list[Problem]:
    problems = []
    for name, node in given.mapping.items():
        path = (*above, name)
        declared = strategy.parameters.get(name)
        if declared is None:
            known = sorted(strategy.parameters)
            guess = did_you_mean(name, known)
            remedy = f"{guess} Known: {', '.join(known) or '(none)'}.".strip()
            text = f"'{dotted(path)}' must be a parameter of {strategy.name}, was unknown. {remedy}"
            problems.append(Problem(origin_of(root, path), text))
            continue
        try:
            declared.check(node.plain())
        except ConfigurationError as exc:
            problems.append(named_problem(root, path, str(exc)))
    return problems
