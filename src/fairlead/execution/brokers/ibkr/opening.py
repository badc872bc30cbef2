"""How Interactive Brokers is opened as a broker."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.contracts.settings import build_settings
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, ibkr_account, ibkr_endpoint
from fairlead.execution.brokers.ibkr.settings import IbkrSettings
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.seam import Broker


class IbkrKind(IbkrSettings, BrokerKind):
    """Interactive Brokers; its fields are those of `IbkrSettings`. There are no keys: the gateway is logged in."""

    def endpoint(self) -> Endpoint:
        """Return where it would connect to."""
        return ibkr_endpoint(self.host, self.port)

    def account_kind(self, account_id: str) -> AccountKind:
        """Return what an account's number says."""
        return ibkr_account(account_id)

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> Broker:
        """Return a broker that is not connected yet; in an emergency under the client id that is kept for it.

        Raises
        ------
        ConfigurationError
            If the account does not fit the port, or the library is not installed.
        """
        from fairlead.execution.brokers.ibkr.broker import IbkrBroker  # noqa: PLC0415  its library is an extra

        fields = {name: getattr(self, name) for name in IbkrSettings.model_fields}
        if keys.account is not None:
            fields["account"] = keys.account
        if is_emergency:
            fields |= {"client_id": self.emergency_client_id, "emergency_client_id": self.client_id}
        settings = build_settings(IbkrSettings, fields, "execution.params")
        return IbkrBroker(settings, now_ns=now_ns, is_emergency=is_emergency)
