"""The straight way from an intent to a working order, for market orders with nothing around them.

Most orders of most runs are such. What the desk asks about every order has one answer for all of them: nothing works that could
get in the way, no symbol comes twice, and there is no price, no family and no account to look at. So they are sized, checked
and sent in one go, by the rules of `fairlead.risk` and in the order of the desk. Whatever else comes up is left to the desk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from fairlead.core.bars import Cursor
from fairlead.core.errors import ContractError
from fairlead.core.fills import Fill
from fairlead.core.identity import group_id
from fairlead.core.instruments import Instrument
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import AmountKind, Order, OrderStatus, OrderType, OrderUpdate
from fairlead.engine.ordering import OrderMaker
from fairlead.engine.runner import StrategyRunner
from fairlead.risk.kernels import only_reduces
from fairlead.risk.pretrade import check_market
from fairlead.risk.sizing import market_units

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_MARKET: Final = OrderType.MARKET
_REJECTED: Final = OrderStatus.REJECTED
_QUANTITY: Final = AmountKind.QUANTITY
_NOTIONAL: Final = AmountKind.NOTIONAL
_SIZED: Final = AmountKind.SIZED

Intent: TypeAlias = OrderIntent | CancelIntent | ReplaceIntent
_Sized: TypeAlias = tuple[OrderIntent, float, Instrument, float, float, bool]
"""An intent, signed units, instrument, price, signed units held, and whether the order only reduces."""
_REDUCES: Final = itemgetter(5)


class StraightWay:
    """Takes batches of plain market orders.

    Parameters
    ----------
    cursor : Cursor
        Where the run stands.
    maker : OrderMaker
    instruments : mapping of symbol to Instrument
    gone : mapping of str to str
        Symbols in which no order is possible any more.
    orders : list of Order
        What is made is appended to it.
    submit : callable
        Sends an order off.
    hear : callable
        Told of what is refused.
    """

    def __init__(
        self,
        cursor: Cursor,
        maker: OrderMaker,
        instruments: Mapping[str, Instrument],
        gone: Mapping[str, str],
        orders: list[Order],
        submit: Callable[[Order], None],
        hear: Callable[[Order, OrderUpdate, Fill | None], None],
    ) -> None:
        self._cursor = cursor
        self._maker = maker
        self._instruments = instruments
        self._gone = gone
        self._orders = orders
        self._submit = submit
        self._hear = hear

    def take(self, runner: StrategyRunner, intents: Sequence[Intent], now: int) -> bool:
        """Take a batch while no order works, or return False and leave everything as it was.

        Parameters
        ----------
        intents : sequence
            At least one.
        now : int
            The instant of the decision.
        """
        ledger = runner.ledger
        net, gross = ledger.exposures()
        equity = ledger.cash + net
        batch = self._sized(runner, intents, equity)
        if batch is None:
            return False
        if len(batch) > 1:
            batch.sort(key=_REDUCES, reverse=True)
        strategy, name, limits, make = runner.strategy, runner.name, runner.limits, self._maker.at_market
        for intent, quantity, instrument, price, held, reduces in batch:
            if runner.error is not None:
                # Hearing of an order made it fail.
                break
            unit = price * instrument.multiplier
            before, units = abs(held) * unit if held else 0.0, abs(held + quantity)
            worth = units * unit
            rejection = check_market(instrument, quantity, held, price, reduces, equity, gross - before + worth, limits)
            order = make(strategy, name, intent, quantity, group_id(intent.symbol, now), now)
            self._orders.append(order)
            if rejection is None:
                gross += worth - before
                submit = self._submit
                submit(order)
            else:
                hear = self._hear
                hear(order, order.move_to(_REJECTED, now, str(rejection)), None)
        return True

    def _sized(self, runner: StrategyRunner, intents: Sequence[Intent], equity: float) -> list[_Sized] | None:
        """Return what is to be ordered; None if it is not for this way."""
        instruments, gone, size = self._instruments, self._gone, runner.limits.max_position_size
        positions, cursor = runner.ledger.positions, self._cursor
        # Read from the row itself: the view of the ledger finds row and column anew for every price.
        row, mark, columns = cursor.row, cursor.block.cells.mark, cursor.block.columns
        seen: set[str] = set()
        batch: list[_Sized] = []
        for intent in intents:
            if not (isinstance(intent, OrderIntent) and _is_plain(intent)):
                return None
            symbol = intent.symbol
            instrument = instruments.get(symbol)
            if instrument is None or symbol in gone or symbol in seen:
                return None
            seen.add(symbol)
            price = mark[row, columns[symbol]]
            if not price > 0.0:
                return None
            position = positions.get(symbol)
            held = 0.0 if position is None else position.quantity
            try:
                quantity = market_units(intent.amount_kind, intent.amount, instrument, price, equity, held, size)
            except (ContractError, OverflowError):
                return None
            if quantity:
                batch.append((intent, quantity, instrument, price, held, only_reduces(held, quantity)))
            elif intent.amount_kind is _QUANTITY or intent.amount_kind is _NOTIONAL:
                return None
        return batch


def _is_plain(intent: OrderIntent) -> bool:
    return (
        intent.order_type is _MARKET
        and not (intent.reduce_only or intent.followers or intent.oco)
        and intent.amount_kind is not _SIZED
        and intent.setup_at is None
        and intent.exits is None
        and intent.expires_at is None
    )
