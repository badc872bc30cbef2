"""Where a gateway of Interactive Brokers listens, and what kind of account must be behind it (domain rule 14.3)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import BrokerAccess, ConfigurationError

AccountKind: TypeAlias = Literal["paper", "live"]
PORTS: Final[MappingProxyType[int, AccountKind]] = MappingProxyType({4001: "live", 7496: "live", 4002: "paper", 7497: "paper"})
"""What the gateway and TWS listen on unless they are told otherwise."""
PAPER_PREFIXES: Final = ("DU", "DF")
"""Of accounts in which no real money moves: a single one, and an adviser's."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class ContractSettings(Settings):
    """What a symbol stands for, where the plain US stock of that name is not meant.

    Parameters
    ----------
    symbol : str, optional
        As Interactive Brokers spells it.
    sec_type, exchange, primary_exchange, currency : str
    con_id : int, optional
        The one contract, whatever else is said.
    """

    symbol: str | None = None
    sec_type: str = "STK"
    exchange: str = "SMART"
    primary_exchange: str = ""
    currency: str = "USD"
    con_id: int | None = Field(default=None, gt=0)


class EndpointSettings(Settings):
    """A gateway or TWS on this machine.

    Parameters
    ----------
    host : str
        The loopback, and nothing else: the interface has no password.
    port : int
        4001 or 7496 for a live account, 4002 or 7497 for a paper account; any other needs `kind`.
    client_id : int
        One of 1 to 32, of its own for each connection at a time.
    account : str, optional
        Needed if the login has more than one.
    kind : {'paper', 'live'}, optional
        None for what the port says.
    connect_s, answer_s : float
        Seconds that connecting, and an answer, may take.
    timezone : str
        Of stamps that come without one.
    contracts : mapping of symbol to ContractSettings
    """

    host: str = "127.0.0.1"
    port: int = Field(default=4002, ge=1, le=65_535)
    client_id: int = Field(default=1, ge=1, le=32)
    account: str | None = Field(default=None, pattern=r"^[A-Z]{1,3}\d{3,12}[A-Z]?$")
    kind: AccountKind | None = None
    connect_s: float = Field(default=10.0, gt=0, le=300)
    answer_s: float = Field(default=5.0, gt=0, le=300)
    timezone: str = Field(default="America/New_York", min_length=1)
    contracts: dict[str, ContractSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.host not in LOOPBACK:
            remedy = "The interface has no password: tunnel it, and connect to this machine."
            raise ConfigurationError.of("host", f"be one of {', '.join(LOOPBACK)}", self.host, remedy)
        told = PORTS.get(self.port)
        if told is None and self.kind is None:
            known = ", ".join(f"{port} ({kind})" for port, kind in PORTS.items())
            raise ConfigurationError.of("port", f"be one of {known}, or kind: be given", self.port, "Say kind: paper or live.")
        if told is not None and self.kind not in {None, told}:
            raise ConfigurationError.of("kind", f"be {told}, as port {self.port} is", self.kind)
        if self.account is not None and is_paper(self.account) != self.is_paper:
            raise ConfigurationError.of("account", f"be of the kind of port {self.port}, {self.kind_of_account}", self.account)
        return self

    @property
    def kind_of_account(self) -> AccountKind:
        """What kind of account must be there."""
        return self.kind or PORTS[self.port]

    @property
    def is_paper(self) -> bool:
        """Whether no real money may move."""
        return self.kind_of_account == "paper"

    def choose_account(self, managed: tuple[str, ...]) -> str:
        """Return the account of a login that is meant.

        Raises
        ------
        BrokerAccess
            If it is not there, or of the other kind.
        """
        shown = ", ".join(managed) or "(none)"
        if self.account is None and len(managed) != 1:
            raise BrokerAccess(f"this login has the accounts {shown}. Say which one: account.")
        chosen = managed[0] if self.account is None else self.account
        if chosen not in managed:
            raise BrokerAccess(
                f"this login does not have account {chosen}; it has {shown}. Correct account, or log in with another user."
            )
        if is_paper(chosen) != self.is_paper:
            kind = "a paper" if is_paper(chosen) else "a live"
            raise BrokerAccess(
                f"port {self.port} is for a {self.kind_of_account} account, and {chosen} is {kind} one. "
                "Nothing was sent. Correct port and kind, or log in with the other user."
            )
        return chosen


def is_paper(account: str) -> bool:
    """Return whether an account's number is one of those with which no real money moves."""
    return account.startswith(PAPER_PREFIXES)


def spelled(symbol: str) -> str:
    """Return our symbol as Interactive Brokers spells it: classes of shares behind a space."""
    return symbol.replace(".", " ")


def our_spelling(symbol: str) -> str:
    """Return their symbol as we spell it."""
    return symbol.replace(" ", ".")


def contract_fields(symbol: str, settings: ContractSettings | None) -> dict[str, Any]:
    """Return the fields of a contract that a symbol stands for."""
    given = settings or ContractSettings()
    fields: dict[str, Any] = {
        "symbol": given.symbol or spelled(symbol),
        "secType": given.sec_type,
        "exchange": given.exchange,
        "primaryExchange": given.primary_exchange,
        "currency": given.currency,
    }
    return fields if given.con_id is None else {**fields, "conId": given.con_id}
