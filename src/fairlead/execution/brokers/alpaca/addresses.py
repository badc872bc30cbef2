"""What stands behind Alpaca's addresses and account numbers (domain rule 14.4)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind, is_loopback

_HOSTS: Final = MappingProxyType({"api.alpaca.markets": EndpointKind.LIVE, "paper-api.alpaca.markets": EndpointKind.PAPER})
_TLS: Final = 443


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
    return Endpoint(_HOSTS.get(host, EndpointKind.UNKNOWN) if is_theirs else EndpointKind.UNKNOWN, address)


def alpaca_account(account_id: str) -> AccountKind:
    """Return what Alpaca's account number says: those of paper begin with PA."""
    return AccountKind.PAPER if account_id.upper().startswith("PA") else AccountKind.LIVE
