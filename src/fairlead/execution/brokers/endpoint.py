"""Where an adapter connects to, and whose account is there, told before anything is sent (domain rules 14.3, 14.4)."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_ALPACA_HOSTS: Final = MappingProxyType({"api.alpaca.markets": "live", "paper-api.alpaca.markets": "paper"})
_TLS: Final = 443


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


def alpaca_endpoint(base_url: str) -> Endpoint:
    """Return what stands behind a base URL of Alpaca's trading interface.

    Only Alpaca's own two hosts are live and paper, over TLS and at its port; a server of this machine is practice.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return Endpoint(EndpointKind.UNKNOWN, "an address that is none")
    address = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}"
    if is_loopback(host):
        return Endpoint(EndpointKind.PRACTICE, address)
    is_theirs = parts.scheme == "https" and port in {None, _TLS}
    return Endpoint(EndpointKind(_ALPACA_HOSTS.get(host, "unknown") if is_theirs else "unknown"), address)


def alpaca_account(account_id: str) -> AccountKind:
    """Return what Alpaca's account number says: those of paper begin with PA."""
    return AccountKind.PAPER if account_id.upper().startswith("PA") else AccountKind.LIVE
