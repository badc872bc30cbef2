"""What an execution costs: the slippage and commission models of a run, and what they need to know."""

from __future__ import annotations

from typing import Final

from fairlead.core.bars import BarBlock
from fairlead.core.orders import Order, Side
from fairlead.execution.commission import CommissionContext, CommissionModel, MonthVolume
from fairlead.execution.cost_kernels import BPS
from fairlead.execution.liquidity import DailyLiquidity, Liquidity, session_share
from fairlead.execution.slippage import FixedSlippage, NoSlippage, SlippageContext, SlippageModel

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_BUY: Final = Side.BUY
_UNKNOWN: Final = Liquidity()


class ExecutionCosts:
    """Slippage and commission of each execution, with the history that the models ask for and no other.

    Parameters
    ----------
    slippage : SlippageModel
    commission : CommissionModel

    Attributes
    ----------
    needs_history : bool
        Whether every block must be shown to `enter`. If none is, volatility and daily volume stay unknown.
    flat_slippage : float or None
        What `slip` returns for every execution, as a fraction of price; None if it has to be asked.
    plain_charge : callable or None
        The charge of a commission model that looks at the execution alone; None if `charge` has to be asked.
    """

    def __init__(self, slippage: SlippageModel, commission: CommissionModel) -> None:
        self.needs_history = slippage.needs_history
        self._slippage = slippage
        self.flat_slippage = _flat_of(slippage)
        self._commission = commission
        self.plain_charge = None if commission.needs_context else commission.charge
        self._liquidity: DailyLiquidity | None = None
        self._volume = MonthVolume()

    def enter(self, block: BarBlock) -> None:
        """Take in the next block of history, before any of its rows is matched."""
        if self._liquidity is None:
            self._liquidity = DailyLiquidity(block.symbols)
        self._liquidity.enter(block)

    def slip(self, order: Order, quantity: float, price: float, block: BarBlock, row: int) -> float | None:
        """Return the adverse price change as a fraction of `price`, None if the bar cannot fill the order."""
        if self.flat_slippage is not None:
            return self.flat_slippage
        column = block.columns[order.symbol]
        known, share = _UNKNOWN, 1.0
        if self.needs_history:
            share = session_share(block.cells.label_ns[row], block.cells.known_ns[row])
            if self._liquidity is not None:
                known = self._liquidity.at(block.cells.session[row], column)
        return self._slippage.fraction(
            SlippageContext(
                quantity,
                block.cells.volume[row, column],
                price,
                known.sigma_daily,
                known.adv,
                share,
                1 if order.side is _BUY else -1,
                order.filled_quantity,
                order.symbol,
            )
        )

    def charge(self, order: Order, quantity: float, price: float, multiplier: float, session: int) -> float:
        """Return the commission of an execution that is not booked yet, in currency, and count its volume.

        Parameters
        ----------
        price : float
            Slippage included.
        session : int
            Session date in days since the epoch.
        """
        plain = self.plain_charge
        if plain is not None:
            return plain(quantity, price, multiplier, order.executed, order.commission)
        commission = self.quote(order, quantity, price, multiplier, session)
        self._volume.add(order.strategy, session, quantity)
        return commission

    def quote(self, order: Order, quantity: float, price: float, multiplier: float, session: int) -> float:
        """Return the commission that an execution would cost; see `charge`."""
        model = self._commission
        if not model.needs_context:
            return model.charge(quantity, price, multiplier, order.executed, order.commission)
        # A split scales units and price of an order the other way, and leaves its value.
        value = 0.0 if order.average_price is None else order.filled_quantity * order.average_price * multiplier
        volume = self._volume.of(order.strategy, session)
        side = 1 if order.side is _BUY else -1
        return model.charge_in(
            CommissionContext(quantity, price, multiplier, order.executed, order.commission, side, value, volume)
        )


def _flat_of(slippage: SlippageModel) -> float | None:
    # What is the same for every execution is not asked for at each.
    if type(slippage) is NoSlippage:
        return 0.0
    return slippage.bps / BPS if type(slippage) is FixedSlippage else None
