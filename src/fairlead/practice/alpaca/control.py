"""The address at which a practice Alpaca is told to misbehave by whoever runs it as a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from fairlead.core.errors import FairleadError
from fairlead.data.live.faults import Fault
from fairlead.practice.alpaca.broker import AlpacaBroker
from fairlead.practice.alpaca.refusals import Refusal, invalid
from fairlead.practice.faults import PracticeFaults

PATH: Final = "/practice"
_SWITCHES: Final = frozenset(
    {
        *("is_silent", "refuses_keys", "holds_answers", "loses_answers", "loses_orders", "too_many", "refuses_orders"),
        *("fails", "fails_after", "fail_status", "garbles"),
    }
)
_BOOK: Final = frozenset({"holds_cancels", "holds_replaces", "ends_days"})


def state_json(broker: AlpacaBroker) -> dict[str, Any]:
    """Return how everything stands."""
    switches = {name: getattr(broker.switches, name) for name in sorted(_SWITCHES)}
    return {
        "switches": {**switches, **{name: getattr(broker.book, name) for name in sorted(_BOOK)}},
        "calls": len(broker.switches.calls),
        "listeners": {"orders": broker.stream.listeners, "market": broker.feed.listeners},
        "market": {"count": broker.market.count, "is_over": broker.market.is_over},
        "open_orders": [broker.book.json(record, nested=False) for record in broker.book.open_records()],
        "positions": {position.symbol: position.quantity for position in broker.account.positions()},
    }


def obey(broker: AlpacaBroker, asked: Any) -> dict[str, Any]:
    """Do what is asked for, and return how everything stands then.

    Parameters
    ----------
    broker : AlpacaBroker
    asked : mapping
        ``do`` names it, the rest says how: see `COMMANDS`.

    Raises
    ------
    Refusal
        If it cannot be understood or done.
    """
    command = COMMANDS.get(str(asked.get("do"))) if isinstance(asked, Mapping) else None
    if command is None:
        raise invalid(f"'do' must be one of {', '.join(sorted(COMMANDS))}")
    try:
        command(broker, asked)
    except (FairleadError, ValidationError, KeyError, TypeError, ValueError) as exc:
        raise invalid(f"{asked['do']}: {exc}") from exc
    broker.settle()
    return state_json(broker)


def _turn(broker: AlpacaBroker, asked: Mapping[str, Any]) -> None:
    wanted = {name: value for name, value in asked.items() if name != "do"}
    for name, value in wanted.items():
        holder = broker.switches if name in _SWITCHES else broker.book if name in _BOOK else None
        if holder is None:
            raise ValueError(f"there is no switch {name!r}; there are {', '.join(sorted(_SWITCHES | _BOOK))}")
        if type(value) is not type(getattr(holder, name)):
            raise ValueError(f"{name} must be like {getattr(holder, name)!r}, was {value!r}")
    for name, value in wanted.items():
        setattr(broker.switches if name in _SWITCHES else broker.book, name, value)


def _misbehave(broker: AlpacaBroker, asked: Mapping[str, Any]) -> None:
    faults = PracticeFaults.model_validate({name: value for name, value in asked.items() if name not in ("do", "on")})
    for stream in _streams(broker, asked):
        stream.misbehave(faults)


def _fault(broker: AlpacaBroker, asked: Mapping[str, Any]) -> None:
    for stream in _streams(broker, asked):
        stream.telling.order(Fault(asked["fault"]), int(asked.get("count", 1)))


def _streams(broker: AlpacaBroker, asked: Mapping[str, Any]) -> list[Any]:
    known: dict[str, list[Any]] = {"orders": [broker.stream], "market": [broker.feed], "both": [broker.stream, broker.feed]}
    on = str(asked.get("on", "both"))
    if on not in known:
        raise ValueError(f"'on' must be one of {', '.join(known)}, was {on!r}")
    return known[on]


def _drop(broker: AlpacaBroker, asked: Mapping[str, Any]) -> None:
    for stream in _streams(broker, asked):
        stream.drop()


def _execute(broker: AlpacaBroker, asked: Mapping[str, Any]) -> None:
    broker.account.execute(_broker_id(broker, asked), float(asked["quantity"]), float(asked["price"]))


def _correct(broker: AlpacaBroker, asked: Mapping[str, Any]) -> None:
    last = _last(broker, asked)
    broker.account.correct(last, float(asked["quantity"]), float(asked["price"]))


def _last(broker: AlpacaBroker, asked: Mapping[str, Any]) -> str:
    """Return the id of the last execution of an order that counts."""
    broker_id = _broker_id(broker, asked)
    told = [one for one in broker.account.executions() if one.broker_id == broker_id]
    replaced = {one.replaces for one in told}
    counting = [one for one in told if one.execution_id not in replaced and not one.is_bust]
    if not counting:
        raise ValueError("nothing of this order was executed")
    return counting[-1].execution_id


def _broker_id(broker: AlpacaBroker, asked: Mapping[str, Any]) -> str:
    try:
        name = asked.get("client_order_id")
        return (broker.book.named(str(name)) if name else broker.book.find(str(asked["order_id"]))).broker_id
    except Refusal as exc:
        raise ValueError(str(exc)) from exc


def _tell(broker: AlpacaBroker, asked: Mapping[str, Any]) -> None:
    record = broker.book.named(str(asked["client_order_id"]))
    broker.tell(str(asked["event"]), record, order=dict(asked.get("order", {})))


COMMANDS: Final[Mapping[str, Callable[[AlpacaBroker, Mapping[str, Any]], Any]]] = {
    "turn": _turn,
    "misbehave": _misbehave,
    "fault": _fault,
    "drop": _drop,
    "release": lambda broker, _: broker.book.release(),
    "acknowledge": lambda broker, asked: broker.account.acknowledge(_broker_id(broker, asked)),
    "hold_acknowledgements": lambda broker, asked: setattr(
        broker.account, "holds_acknowledgements", bool(asked.get("on", True))
    ),
    "reject": lambda broker, asked: broker.account.reject(_broker_id(broker, asked), str(asked.get("reason", "rejected"))),
    "execute": _execute,
    "correct": _correct,
    "bust": lambda broker, asked: broker.account.bust(_last(broker, asked)),
    "revoke_keys": lambda broker, _: broker.revoke_keys(),
    "tell": _tell,
    "tell_raw": lambda broker, asked: broker.stream.tell_raw(str(asked["text"]).encode()),
    "step": lambda broker, asked: broker.market.step(int(asked.get("count", 1))),
}
"""What can be asked for: ``turn`` sets switches; ``misbehave``, ``fault`` and ``drop`` act ``on`` orders, market or both."""
