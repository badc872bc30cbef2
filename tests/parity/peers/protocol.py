"""How a peer is asked and answers. Runs inside the peer's environment: nothing here imports Fairlead.

``python <peer>.py questions.json answers.json`` reads a list of scenarios and writes, for each by name, either its fills as
``[bar, symbol, signed quantity, price]`` with the last cash and equity, or why the engine cannot express it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Scenario = dict[str, Any]
Fills = list[tuple[int, str, float, float]]


class Inexpressible(Exception):
    """The engine has no way to say this; the text tells why."""


FEATURES = {
    "resting": lambda s: any(ask["limit"] is not None or ask["stop"] is not None for ask in s["asks"]),
    "exits": lambda s: any(ask["take_profit"] is not None or ask["stop_loss"] is not None for ask in s["asks"]),
    "oco": lambda s: any(ask["oco"] for ask in s["asks"]),
    "trailing": lambda s: any(ask["trail_percent"] is not None for ask in s["asks"]),
    "at_close": lambda s: any(ask["at_close"] for ask in s["asks"]),
    "day": lambda s: any(ask["day"] for ask in s["asks"]),
    "weights": lambda s: bool(s["weights"]),
    "several": lambda s: len(s["bars"]) > 1,
    "participation": lambda s: s["participation"] < 1,
    "slippage": lambda s: s["slippage_bps"] > 0,
    "fractions": lambda s: s["lot"] != 1.0,
    "per_share": lambda s: s["commission"].get("kind") == "per_share",
}
"""What a scenario can ask for beyond market orders of whole units: name -> whether it does."""


def answer(
    distribution: str, run: Callable[[Scenario], tuple[Fills, float, float]], *, can: set[str], cannot: dict[str, str]
) -> None:
    """Run every question and write the answers, with the version of the engine.

    Parameters
    ----------
    can : set of str
        The features that `run` attends to.
    cannot : mapping of str to str
        The others, with the reason: nothing that a scenario asks for is passed over in silence.
    """
    if can ^ set(cannot) != set(FEATURES):
        raise SystemExit(f"say of each feature whether {distribution} has it: {sorted((can ^ set(cannot)) ^ set(FEATURES))}")
    questions, target = Path(sys.argv[1]), Path(sys.argv[2])
    answers: dict[str, Any] = {}
    for scenario in json.loads(questions.read_text()):
        try:
            refuse(scenario, cannot)
            fills, cash, equity = run(scenario)
        except Inexpressible as reason:
            answers[scenario["name"]] = {"inexpressible": str(reason)}
        else:
            plain = [[int(bar), symbol, float(quantity), float(price)] for bar, symbol, quantity, price in fills]
            answers[scenario["name"]] = {"fills": plain, "cash": float(cash), "equity": float(equity)}
    target.write_text(json.dumps({"version": version(distribution), "scenarios": answers}))


def refuse(scenario: Scenario, cannot: dict[str, str]) -> None:
    """Raise `Inexpressible` if the scenario asks for something that the engine has not."""
    for feature, reason in cannot.items():
        if FEATURES[feature](scenario):
            raise Inexpressible(reason)


def rows(scenario: Scenario, symbol: str) -> list[list[float]]:
    """Return the bars of a symbol: open, high, low, close, volume."""
    found: list[list[float]] = scenario["bars"][symbol]
    return found


def column(scenario: Scenario, symbol: str, name: str) -> list[float]:
    """Return one field of every bar."""
    place = ("open", "high", "low", "close", "volume").index(name)
    return [row[place] for row in rows(scenario, symbol)]


def only_symbol(scenario: Scenario) -> str:
    """Return the one symbol of a scenario, for engines that trade one."""
    return next(iter(scenario["bars"]))


def at(steps: list[dict[str, Any]], bar: int) -> list[dict[str, Any]]:
    """Return the steps of one bar."""
    return [step for step in steps if step["bar"] == bar]


def price_of_all(scenario: Scenario, by_default: str = "open") -> str:
    """Return the one price of a bar at which everything happens, for engines that know one: open or close."""
    kinds = {"close" if ask["at_close"] else by_default for ask in scenario["asks"]} or {by_default}
    if len(kinds) > 1:
        raise Inexpressible("one price a bar")
    return kinds.pop()


def commission_of(scenario: Scenario, quantity: float, price: float) -> float:
    """Return what an execution costs, for engines whose commission is a function of the user's."""
    terms = scenario["commission"]
    if not terms:
        return 0.0
    if terms["kind"] == "bps":
        return abs(quantity) * price * terms["bps"] / 1e4
    return max(terms["minimum"], abs(quantity) * terms["per_share"]) if quantity else 0.0


def crossover_sides(scenario: Scenario, fast: list[float], slow: list[float]) -> dict[int, float]:
    """Return the signed position wanted after each bar, from averages that the engine has worked out."""
    rule = scenario["rule"]
    wanted = {}
    for bar, (quick, steady) in enumerate(zip(fast, slow, strict=True)):
        if steady == steady and quick == quick:
            wanted[bar] = rule["quantity"] if quick > steady else -rule["quantity"]
    return wanted
