"""What an operator may ask of a running session, and the lines in which it is asked and answered."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from fairlead.contracts.files import canonical_json
from fairlead.core.errors import ContractError, FairleadError, UnknownName

MOST_BYTES: Final = 16_384
"""Of one line, its end included."""
_MOST_TEXT: Final = 1_000


class CommandName(StrEnum):
    """The commands."""

    STATUS = "status"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    FLATTEN = "flatten"
    HALT = "halt"
    REARM = "rearm"
    SET_CAPITAL = "set_capital"


EASING: Final = frozenset({CommandName.RESUME, CommandName.REARM, CommandName.SET_CAPITAL})
"""Those after which more risk may be taken: they are not carried out late, nor without a record."""


class RefusedCommand(FairleadError):
    """A line on the control socket that is not carried out; `code` says why, for machines."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What an operator asks.

    Parameters
    ----------
    args : mapping
        ``strategy`` (pause, resume, rearm: of one alone; set_capital), ``flatten`` (stop, halt), ``amount`` (set_capital,
        in currency).
    who, why : str
        The operator and the reason; only `status` needs no reason.
    """

    name: CommandName
    who: str
    why: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def strategy(self) -> str:
        """The strategy it is for; empty for the session."""
        return str(self.args.get("strategy", ""))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for a journal."""
        return {**asdict(self), "name": self.name.value, "args": dict(self.args)}

    @classmethod
    def of(cls, held: Mapping[str, Any]) -> Self:
        """Return the command that `to_dict` gave."""
        return cls(**{**held, "name": CommandName(held["name"])})


class Operated(Protocol):
    """A running session, as far as an operator reaches it.

    Every method is called in the session's own thread, between two of its events, and returns what to tell the operator, or
    raises a `FairleadError` that says why it is not done.
    """

    def status(self, command: Command) -> Mapping[str, Any]:
        """Tell how things stand: mode, strategies, positions, orders, switches."""

    def pause(self, command: Command) -> Mapping[str, Any]:
        """Let strategies, or one, decide nothing more; exits keep working."""

    def resume(self, command: Command) -> Mapping[str, Any]:
        """Let paused strategies decide again; a halt stays."""

    def stop(self, command: Command) -> Mapping[str, Any]:
        """End the session; with ``flatten`` after everything is closed."""

    def flatten(self, command: Command) -> Mapping[str, Any]:
        """Cancel what works, close every position, and pause the strategies, which would open them again."""

    def halt(self, command: Command) -> Mapping[str, Any]:
        """Trip the manual kill switch: with ``flatten`` positions are closed too, otherwise they keep their protection."""

    def rearm(self, command: Command) -> Mapping[str, Any]:
        """Lift a halt."""

    def set_capital(self, command: Command) -> Mapping[str, Any]:
        """Give the strategy ``strategy`` the capital ``amount``, in currency."""


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_TEXT


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


_Checks = Mapping[str, tuple[Callable[[Any], bool], str]]
_STRATEGY: Final[_Checks] = {"strategy": (_text, "be the name of a strategy")}
_FLATTEN: Final[_Checks] = {"flatten": (_flag, "be true or false")}
_ARGS: Final[Mapping[CommandName, _Checks]] = {
    CommandName.STATUS: {},
    CommandName.PAUSE: _STRATEGY,
    CommandName.RESUME: _STRATEGY,
    CommandName.STOP: _FLATTEN,
    CommandName.FLATTEN: {},
    CommandName.HALT: _FLATTEN,
    CommandName.REARM: _STRATEGY,
    CommandName.SET_CAPITAL: {**_STRATEGY, "amount": (_amount, "be a finite number of at least 0, in currency")},
}


def parse_request(line: bytes, token: str) -> Command:
    """Return the command of one line.

    The token is looked at before anything else is: who has none learns nothing.

    Raises
    ------
    RefusedCommand
        With code ``malformed``, ``token``, ``command``, ``args`` or ``reason``.
    """
    try:
        held = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise RefusedCommand("malformed", "the line is not JSON.") from exc
    if not isinstance(held, dict):
        raise RefusedCommand("malformed", "the line is not a JSON object.")
    given = held.pop("token", None)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode()):
        raise RefusedCommand("token", "the token is wrong.")
    return command_of(held)


def command_of(held: Mapping[str, Any]) -> Command:
    """Return a command from plain data: ``command``, ``args``, ``who`` and ``why``.

    Raises
    ------
    RefusedCommand
        As `parse_request`.
    """
    if unknown := sorted(set(held) - {"command", "args", "who", "why"}):
        raise RefusedCommand("malformed", f"unknown: {', '.join(unknown)[:_MOST_TEXT]}.")
    try:
        name = CommandName(str(held.get("command")))
    except ValueError as exc:
        known = [item.value for item in CommandName]
        text = str(UnknownName.among("command", str(held.get("command"))[:_MOST_TEXT], known))
        raise RefusedCommand("command", text) from exc
    who, why = held.get("who"), held.get("why", "")
    if not _text(who) or not str(who).strip():
        raise RefusedCommand("reason", f"'who' must name the operator, in at most {_MOST_TEXT} characters.")
    if not isinstance(why, str) or len(why) > _MOST_TEXT or (not why.strip() and name is not CommandName.STATUS):
        raise RefusedCommand("reason", f"'why' must say the reason for '{name}', in at most {_MOST_TEXT} characters.")
    return Command(name=name, who=str(who).strip(), why=why.strip(), args=_checked_args(name, held.get("args", {})))


def _checked_args(name: CommandName, args: Any) -> dict[str, Any]:
    if not isinstance(args, dict):
        raise RefusedCommand("args", "'args' must be an object.")
    checks = _ARGS[name]
    for key, value in args.items():
        if key not in checks:
            known = ", ".join(checks) or "(none)"
            raise RefusedCommand("args", f"'{name}' has no argument {key[:_MOST_TEXT]!r}. Known: {known}.")
        holds, rule = checks[key]
        if not holds(value):
            raise RefusedCommand("args", f"'{key}' must {rule}.")
    if name is CommandName.SET_CAPITAL and (lacking := sorted(set(checks) - set(args))):
        raise RefusedCommand("args", f"'{name}' needs {' and '.join(lacking)}.")
    return args


def line_of(value: Mapping[str, Any]) -> bytes:
    """Return plain data as one line."""
    return canonical_json(value).encode() + b"\n"


def answer_line(result: Mapping[str, Any]) -> bytes:
    """Return the line that says that a command was carried out, and what came of it."""
    try:
        return line_of({"ok": True, "result": result})
    except ContractError as exc:
        return refusal_line("failed", f"carried out, but the answer cannot be told: {exc}")


def refusal_line(code: str, text: str) -> bytes:
    """Return the line that says why a command was not carried out."""
    return line_of({"ok": False, "error": {"code": code, "message": text}})
