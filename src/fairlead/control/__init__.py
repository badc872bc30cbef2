"""Operating a running session: commands over a local socket that only its owner can open, each journalled with who and why."""

from fairlead.control.client import ControlClient
from fairlead.control.commands import EASING, Command, CommandName, Operated, RefusedCommand
from fairlead.control.mailbox import Journal, Mailbox
from fairlead.control.places import SESSIONS, SessionPlace, find_session, list_sessions
from fairlead.control.server import ControlLimits, ControlServer, Refused

__all__ = [
    "EASING",
    "SESSIONS",
    "Command",
    "CommandName",
    "ControlClient",
    "ControlLimits",
    "ControlServer",
    "Journal",
    "Mailbox",
    "Operated",
    "Refused",
    "RefusedCommand",
    "SessionPlace",
    "find_session",
    "list_sessions",
]
