"""How Alpaca is opened as a broker."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from fairlead.core.errors import ConfigurationError
from fairlead.execution.brokers.alpaca.broker import AlpacaBroker
from fairlead.execution.brokers.alpaca.settings import AlpacaSettings, AlpacaTerms
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, alpaca_account, alpaca_endpoint
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind


class AlpacaKind(AlpacaTerms, BrokerKind):
    """Alpaca; its fields are those of `AlpacaTerms`."""

    def endpoint(self) -> Endpoint:
        """Return where it would connect to."""
        return alpaca_endpoint(self.base_url)

    def account_kind(self, account_id: str) -> AccountKind:
        """Return what an account's number says."""
        return alpaca_account(account_id)

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> AlpacaBroker:  # noqa: ARG002
        """Return a broker that is not connected yet. Alpaca allows a second connection beside a session's.

        Raises
        ------
        ConfigurationError
            If a key is missing.
        """
        if not keys.api_key or not keys.api_secret:
            remedy = "Give them as ${NAME}, file:PATH or keyring:SERVICE/NAME."
            raise ConfigurationError(f"Alpaca needs api_key and api_secret. {remedy}")
        terms = {name: getattr(self, name) for name in AlpacaTerms.model_fields}
        settings = AlpacaSettings(**terms, api_key=SecretStr(keys.api_key), api_secret=SecretStr(keys.api_secret))
        return AlpacaBroker(settings, now_ns=now_ns)
