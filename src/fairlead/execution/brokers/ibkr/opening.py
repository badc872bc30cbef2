"""Interactive Brokers, opened from settings; and what stands behind its ports and account ids (domain rule 14.3)."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.contracts.settings import build_settings
from fairlead.core.errors import ConfigurationError
from fairlead.data.vendors.ibkr.endpoint import PORTS, is_paper
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind, is_loopback
from fairlead.execution.brokers.ibkr.settings import IbkrSettings
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.seam import Broker


class IbkrKind(IbkrSettings, BrokerKind):
    """An account behind a gateway or TWS on this machine. It takes no keys: whoever started the gateway has logged in."""

    def endpoint(self) -> Endpoint:
        """Return what stands behind the port."""
        return ibkr_endpoint(self.host, self.port, self.kind)

    def kind_of(self, account_id: str) -> AccountKind:
        """Return what an account's id says."""
        return ibkr_account(account_id)

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> Broker:
        """Return the broker; in an emergency with the client id that is kept free for it. See `BrokerKind.open`."""
        if keys.api_key or keys.api_secret:
            raise ConfigurationError(
                "Interactive Brokers takes no api_key and no api_secret: log in at the gateway. Leave them out."
            )
        try:
            from fairlead.execution.brokers.ibkr.broker import IbkrBroker  # noqa: PLC0415  its library is an extra
        except ImportError as exc:
            raise ConfigurationError("Interactive Brokers needs a library: pip install 'fairlead[ibkr]'.") from exc
        values = {name: getattr(self, name) for name in IbkrSettings.model_fields}
        values["account"] = keys.account or self.account
        if is_emergency:
            values |= {"client_id": self.emergency_client_id, "emergency_client_id": self.client_id, "client_id_s": 0.0}
        settings = build_settings(IbkrSettings, values, "execution.params")
        return IbkrBroker(settings, now_ns=now_ns, is_emergency=is_emergency)


def ibkr_endpoint(host: str, port: int, kind: str | None = None) -> Endpoint:
    """Return what stands behind a gateway's or a workstation's socket.

    The four ports that they are installed with say what it is. Behind another one on this machine is what `kind` says if it
    is live, and otherwise a practice server, or a paper gateway that was moved: no money moves either way, and the account
    that shows after connecting must be a paper one. Elsewhere than here neither is ever exposed.

    Parameters
    ----------
    host : str
    port : int
    kind : {'paper', 'live'}, optional
        What the settings say of a port that says nothing.
    """
    address = f"{host}:{port}"
    if not is_loopback(host):
        return Endpoint(EndpointKind.UNKNOWN, f"{address}, which is not this machine")
    if port in PORTS:
        return Endpoint(EndpointKind(PORTS[port]), address)
    return Endpoint(EndpointKind.LIVE if kind == "live" else EndpointKind.PRACTICE, address)


def ibkr_account(account_id: str) -> AccountKind:
    """Return what an account at Interactive Brokers is: those of paper begin with DU, or DF."""
    return AccountKind.PAPER if is_paper(account_id.upper()) else AccountKind.LIVE
