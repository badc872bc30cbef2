"""An account, its positions and what it may trade, as Alpaca writes them."""

from __future__ import annotations

from typing import Any

from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerPosition
from fairlead.practice.alpaca.broker import PAPER_PREFIX, AlpacaBroker
from fairlead.practice.alpaca.holdings import held_for_orders
from fairlead.practice.alpaca.making import asset_id
from fairlead.practice.alpaca.words import number_text


def account_json(broker: AlpacaBroker) -> dict[str, Any]:
    """Return the account."""
    account = broker.account
    state = account.account()
    values = [(position.quantity, position.quantity * _price(broker, position)) for position in account.positions()]
    longs = sum(value for quantity, value in values if quantity > 0)
    shorts = sum(value for quantity, value in values if quantity < 0)
    money = {
        "cash": state.cash,
        "equity": state.nav,
        "portfolio_value": state.nav,
        "last_equity": state.nav,
        "buying_power": state.buying_power,
        "regt_buying_power": state.buying_power,
        "non_marginable_buying_power": max(0.0, state.cash),
        "options_buying_power": max(0.0, state.cash),
        "long_market_value": longs,
        "short_market_value": shorts,
        "position_market_value": longs - shorts,
        "initial_margin": (longs - shorts) / 2,
        "maintenance_margin": state.maintenance_margin or 0.0,
        "last_maintenance_margin": state.maintenance_margin or 0.0,
        "sma": 0.0,
        "accrued_fees": 0.0,
    }
    return {
        "id": asset_id(f"account {account.account_id}"),
        "account_number": account_number(account),
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": account.currency,
        **{name: number_text(round(value, 2)) for name, value in money.items()},
        "multiplier": "2",
        "shorting_enabled": account.can_short,
        "trading_blocked": state.is_blocked and account.blocked != "suspended by user",
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": account.blocked == "suspended by user",
        "created_at": "2020-01-01T00:00:00.000000Z",
        "options_approved_level": 0,
        "options_trading_level": 0,
    }


def account_number(account: SimulatedAccount) -> str:
    """Return what the account is called: paper accounts have a prefix."""
    number = account.account_id
    if account.is_paper and not number.startswith(PAPER_PREFIX):
        return f"{PAPER_PREFIX}{number}"
    return number


def configurations(account: SimulatedAccount) -> dict[str, Any]:
    """Return how the account is set up."""
    return {
        "fractional_trading": True,
        "max_margin_multiplier": "2",
        "no_shorting": not account.can_short,
        "suspend_trade": account.blocked == "suspended by user",
        "trade_confirm_email": "none",
        "ptp_no_exception_entry": False,
        "max_options_trading_level": 0,
    }


def position_json(broker: AlpacaBroker, position: BrokerPosition) -> dict[str, Any]:
    """Return a position."""
    price = _price(broker, position)
    value, basis = position.quantity * price, position.quantity * position.average_price
    gain = value - basis
    kept = held_for_orders(broker.book.open_records(), position.symbol, position.quantity)
    share = gain / abs(basis) if basis else 0.0
    sign = 1 if position.quantity > 0 else -1
    return {
        "asset_id": asset_id(position.symbol),
        "symbol": position.symbol,
        "exchange": "NASDAQ",
        "asset_class": "us_equity",
        "asset_marginable": True,
        "qty": number_text(position.quantity),
        "qty_available": number_text(sign * max(0.0, abs(position.quantity) - kept)),
        "avg_entry_price": number_text(round(position.average_price, 9)),
        "side": "long" if sign > 0 else "short",
        "market_value": number_text(round(value, 4)),
        "cost_basis": number_text(round(basis, 4)),
        "unrealized_pl": number_text(round(gain, 4)),
        "unrealized_plpc": number_text(round(share, 9)),
        "unrealized_intraday_pl": number_text(round(gain, 4)),
        "unrealized_intraday_plpc": number_text(round(share, 9)),
        "current_price": number_text(price),
        "lastday_price": number_text(price),
        "change_today": "0",
    }


def asset_json(account: SimulatedAccount, symbol: str) -> dict[str, Any]:
    """Return something that can be traded."""
    instrument = account.instruments[symbol]
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": f"{symbol} Common Stock",
        "status": "active",
        "tradable": True,
        "marginable": True,
        "maintenance_margin_requirement": 30,
        "shortable": instrument.shortable,
        "easy_to_borrow": instrument.shortable,
        "fractionable": instrument.lot_step < 1,
        "attributes": [],
    }


def _price(broker: AlpacaBroker, position: BrokerPosition) -> float:
    return broker.price(position.symbol) or position.average_price
