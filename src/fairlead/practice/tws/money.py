"""What clients ask about the account and its positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerPosition
from fairlead.practice.tws.asked import Fields
from fairlead.practice.tws.client import Client
from fairlead.practice.tws.codes import Asked, Code, Told
from fairlead.practice.tws.listings import Listings

_LEDGER: Final = "$LEDGER"
_SUMMARIES: Final = 2


class MoneyDesk:
    """Answers everything about money and positions.

    Parameters
    ----------
    account : SimulatedAccount
    listings : Listings
    clock : callable
        The time of day, as account updates write it.
    """

    def __init__(self, account: SimulatedAccount, listings: Listings, clock: Callable[[], str]) -> None:
        self._account, self._listings, self._clock = account, listings, clock
        self.shown_id = account.account_id
        """The number that clients are told; another than the account's own where a test wants that."""
        self._flat: dict[str, BrokerPosition] = {}
        self.answers: dict[int, Callable[[Client, Fields], None]] = {
            Asked.MANAGED_ACCOUNTS: lambda client, _fields: self.tell_accounts(client),
            Asked.ACCOUNT_UPDATES: self._updates,
            Asked.ACCOUNT_UPDATES_MULTI: self._updates_multi,
            Asked.CANCEL_ACCOUNT_UPDATES_MULTI: lambda _client, _fields: None,
            Asked.POSITIONS: self._positions,
            Asked.CANCEL_POSITIONS: self._no_positions,
            Asked.ACCOUNT_SUMMARY: self._summary,
            Asked.CANCEL_ACCOUNT_SUMMARY: self._no_summary,
        }

    def values(self) -> dict[str, tuple[str, str]]:
        """Return the tags of an account with what they stand for and its currency, which some have not."""
        state = self._account.account()
        maintenance = state.maintenance_margin or 0.0
        excess = state.nav - maintenance
        gross = sum(abs(held.quantity) * self._mark(held) for held in self._held())
        amounts = {
            "NetLiquidation": state.nav,
            "TotalCashValue": state.cash,
            "SettledCash": state.cash,
            "AccruedCash": 0.0,
            "BuyingPower": state.buying_power,
            "EquityWithLoanValue": state.nav,
            "GrossPositionValue": gross,
            "InitMarginReq": maintenance,
            "MaintMarginReq": maintenance,
            "AvailableFunds": excess,
            "ExcessLiquidity": excess,
        }
        plain = {
            "AccountType": "INDIVIDUAL",
            "Cushion": f"{excess / state.nav if state.nav else 0.0:.6f}",
            "Leverage": f"{gross / state.nav if state.nav else 0.0:.2f}",
        }
        told = {tag: (f"{amount:.2f}", state.currency) for tag, amount in amounts.items()}
        return told | {tag: (value, "") for tag, value in plain.items()}

    def tell_accounts(self, client: Client) -> None:
        """Tell which accounts the user has."""
        client.send(Told.MANAGED_ACCOUNTS, 1, self.shown_id)

    def tell_changes(self, clients: Iterable[Client]) -> None:
        """Tell whoever wants to know how the account stands now."""
        held = {position.symbol: position for position in self._held()}
        gone = [BrokerPosition(symbol, 0.0, 0.0) for symbol in self._flat if symbol not in held]
        self._flat = held
        for client in clients:
            if client.wants_positions:
                for position in [*held.values(), *gone]:
                    self._tell_position(client, position)
            if client.wants_account:
                self._tell_account(client, [*held.values(), *gone])
            for request_id, tags in client.summaries.items():
                self._tell_summary(client, request_id, tags)

    def _held(self) -> list[BrokerPosition]:
        return self._account.positions()

    def _mark(self, position: BrokerPosition) -> float:
        return self._account.marks.get(position.symbol) or position.average_price

    def _updates(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        client.wants_account, account = fields.truth(), fields.text()
        if account not in ("", self.shown_id):
            client.wants_account = False
            client.error(-1, Code.INVALID, f"Error validating request.-'bN' : cause - Invalid account code '{account}'")
        elif client.wants_account:
            self._tell_account(client, self._held())
            client.send(Told.ACCOUNT_DOWNLOAD_END, 1, self.shown_id)

    def _tell_account(self, client: Client, positions: Iterable[BrokerPosition]) -> None:
        for tag, (value, currency) in {"AccountReady": ("true", ""), **self.values()}.items():
            client.send(Told.ACCOUNT_VALUE, 2, tag, value, currency, self.shown_id)
        for held in positions:
            mark, listing = self._mark(held), self._listings.of(held.symbol)
            contract = (*listing.short[:7], "NASDAQ", *listing.short[8:])
            worth = held.quantity * mark * listing.instrument.multiplier
            open_profit = held.quantity * (mark - held.average_price) * listing.instrument.multiplier
            money = (mark, worth, held.average_price, open_profit, 0.0, self.shown_id)
            client.send(Told.PORTFOLIO_VALUE, 8, *contract, held.quantity, *money)
        client.send(Told.ACCOUNT_TIME, 1, self._clock())

    def _updates_multi(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id, account = fields.whole(), fields.text()
        if account not in ("", self.shown_id):
            client.error(request_id, Code.INVALID, f"Error validating request.-'bN' : cause - Invalid account '{account}'")
            return
        for tag, (value, currency) in self.values().items():
            client.send(Told.ACCOUNT_UPDATE_MULTI, 1, request_id, self.shown_id, "", tag, value, currency)
        client.send(Told.ACCOUNT_UPDATE_MULTI_END, 1, request_id)

    def _positions(self, client: Client, _fields: Fields) -> None:
        client.wants_positions = True
        for position in self._held():
            self._tell_position(client, position)
        client.send(Told.POSITION_END, 1)

    def _tell_position(self, client: Client, held: BrokerPosition) -> None:
        listing = self._listings.of(held.symbol)
        contract = (*listing.short[:7], "NASDAQ", *listing.short[8:])
        cost = held.average_price * listing.instrument.multiplier
        client.send(Told.POSITION, 3, self.shown_id, *contract, held.quantity, cost)

    def _no_positions(self, client: Client, _fields: Fields) -> None:
        client.wants_positions = False

    def _summary(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id, _group, tags = fields.whole(), fields.text(), fields.text()
        if len(client.summaries) >= _SUMMARIES and request_id not in client.summaries:
            client.error(request_id, 322, "Error processing request.-'bN' : cause - Maximum number of account summary requests")
            return
        client.summaries[request_id] = tuple(tag for tag in tags.split(",") if tag)
        self._tell_summary(client, request_id, client.summaries[request_id])
        client.send(Told.ACCOUNT_SUMMARY_END, 1, request_id)

    def _tell_summary(self, client: Client, request_id: int, tags: tuple[str, ...]) -> None:
        values = self.values()
        told: dict[str, tuple[str, str]] = {tag: values[tag] for tag in tags if tag in values}
        if any(tag.startswith(_LEDGER) for tag in tags):
            cash, currency = values["TotalCashValue"]
            told |= {"CashBalance": (cash, currency), "Currency": (currency, currency), "ExchangeRate": ("1.00", currency)}
        for tag, (value, currency) in told.items():
            client.send(Told.ACCOUNT_SUMMARY, 1, request_id, self.shown_id, tag, value, currency)

    def _no_summary(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        client.summaries.pop(fields.whole(), None)


def merged(*desks: Mapping[int, Callable[[Client, Fields], None]]) -> dict[int, Callable[[Client, Fields], None]]:
    """Return the answers of several desks as one."""
    return {asked: answer for desk in desks for asked, answer in desk.items()}
