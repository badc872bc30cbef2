"""Alpaca, opened from settings."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from fairlead.core.errors import ConfigurationError
from fairlead.execution.brokers.alpaca.addresses import alpaca_account, alpaca_endpoint
from fairlead.execution.brokers.alpaca.settings import AlpacaSettings, AlpacaTerms
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.seam import Broker


class AlpacaKind(AlpacaTerms, BrokerKind):
    """An account at Alpaca. Its keys stand beside ``params``, in ``api_key`` and ``api_secret``."""

    def endpoint(self) -> Endpoint:
        """Return what stands behind the base URL."""
        return alpaca_endpoint(self.base_url)

    def kind_of(self, account_id: str) -> AccountKind:
        """Return what an account number says."""
        return alpaca_account(account_id)

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> Broker:  # noqa: ARG002  any number may connect
        """Return the broker; see `BrokerKind.open`."""
        api_key, api_secret = keys.api_key or "", keys.api_secret or ""
        for name, key in (("api_key", api_key), ("api_secret", api_secret)):
            if not key:
                remedy = f"Write execution.{name}: ${{NAME}}, file:PATH or keyring:SERVICE/NAME."
                raise ConfigurationError(f"Alpaca needs {name}, was not given. {remedy}")
        try:
            from fairlead.execution.brokers.alpaca.broker import AlpacaBroker  # noqa: PLC0415  its library is an extra
        except ImportError as exc:
            raise ConfigurationError("Alpaca needs its library: pip install 'fairlead[alpaca]'.") from exc
        terms = {name: getattr(self, name) for name in AlpacaTerms.model_fields}
        settings = AlpacaSettings(**terms, api_key=SecretStr(api_key), api_secret=SecretStr(api_secret))
        return AlpacaBroker(settings, now_ns=now_ns)
