"""Where an adapter connects to, and whose account is there, told before anything is sent (domain rules 14.3, 14.4)."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import NamedTuple


class EndpointKind(StrEnum):
    """What stands behind an address."""

    LIVE = "live"
    """Real money."""
    PAPER = "paper"
    """The broker's own paper trading."""
    PRACTICE = "practice"
    """A server on this machine, or none at all: no broker is reached."""
    UNKNOWN = "unknown"


class AccountKind(StrEnum):
    """What an account's id says of it."""

    LIVE = "live"
    PAPER = "paper"
    UNKNOWN = "unknown"
    """Its id says nothing: the broker's own word is all that there is."""


class Endpoint(NamedTuple):
    """Where an adapter connects to, without a key or a password in it."""

    kind: EndpointKind
    address: str


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, told without asking anyone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
