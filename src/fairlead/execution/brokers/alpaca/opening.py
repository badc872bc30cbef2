"""Alpaca, opened from settings; and what stands behind its addresses and account numbers (domain rule 14.4)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from fairlead.core.errors import ConfigurationError
from fairlead.execution.brokers.alpaca.settings import LIVE_HOST, PAPER_HOST, AlpacaSettings
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind, is_loopback
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.seam import Broker

_HOSTS: Final = MappingProxyType({LIVE_HOST: EndpointKind.LIVE, PAPER_HOST: EndpointKind.PAPER})
_TLS: Final = 443


class AlpacaKind(AlpacaSettings, BrokerKind):
    """An account at Alpaca. Its keys stand beside ``params``, in ``api_key`` and ``api_secret``."""

    api_key: SecretStr = SecretStr("")
    api_secret: SecretStr = SecretStr("")

    def endpoint(self) -> Endpoint:
        """Return what stands behind the base URL."""
        return alpaca_endpoint(self.base_url)

    def kind_of(self, account_id: str) -> AccountKind:
        """Return what an account number says."""
        return alpaca_account(account_id)

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> Broker:  # noqa: ARG002  any number may connect
        """Return the broker; see `BrokerKind.open`."""
        api_key = keys.api_key or self.api_key.get_secret_value()
        api_secret = keys.api_secret or self.api_secret.get_secret_value()
        for name, key in (("api_key", api_key), ("api_secret", api_secret)):
            if not key:
                remedy = f"Write execution.{name}: ${{NAME}}, file:PATH or keyring:SERVICE/NAME."
                raise ConfigurationError(f"Alpaca needs {name}, was not given. {remedy}")
        try:
            from fairlead.execution.brokers.alpaca.broker import AlpacaBroker  # noqa: PLC0415  its library is an extra
        except ImportError as exc:
            raise ConfigurationError("Alpaca needs its library: pip install 'fairlead[alpaca]'.") from exc
        values = {name: getattr(self, name) for name in AlpacaSettings.model_fields}
        settings = AlpacaSettings(**{**values, "api_key": SecretStr(api_key), "api_secret": SecretStr(api_secret)})
        return AlpacaBroker(settings, now_ns=now_ns)


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
