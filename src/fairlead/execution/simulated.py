"""The simulated venue: working orders meet bars (architecture §4, domain rule 6.13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.bars import BarBlock
from fairlead.core.errors import UnknownName
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderStatus, OrderType, OrderUpdate, Side, TimeInForce
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.fills import BarFillModel, FillPrice
from fairlead.execution.latency import Latency, LatencySettings
from fairlead.execution.slippage import SlippageSettings

Heard = Callable[[Order, OrderUpdate, Fill | None], None]
# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_SUBMITTED: Final = OrderStatus.SUBMITTED
_ACKNOWLEDGED: Final = OrderStatus.ACKNOWLEDGED
_CANCELLED: Final = OrderStatus.CANCELLED
_EXPIRED: Final = OrderStatus.EXPIRED
_IOC: Final = TimeInForce.IOC
_FOK: Final = TimeInForce.FOK
_DAY: Final = TimeInForce.DAY
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_LIMIT: Final = OrderType.LIMIT
_STOP_LIMIT: Final = OrderType.STOP_LIMIT


class ExecutionSettings(Settings):
    """How the simulated venue treats orders. Every assumption is a field.

    Parameters
    ----------
    slippage, commission, latency : settings of the cost models
    max_bar_participation : float
        Largest share of a bar's volume that all orders together may take; the rest keeps working.
    limit_fill_on_touch : bool
        Fill limits that are only touched. Off: the price must trade through.
    slippage_on_limits : bool
        Charge slippage on limit fills too, as a cost. Off: a limit fill is at its price.
    """

    type: Literal["simulated"] = "simulated"
    slippage: SlippageSettings = SlippageSettings()
    commission: CommissionSettings = CommissionSettings()
    latency: LatencySettings = LatencySettings()
    max_bar_participation: float = Field(default=0.10, gt=0, le=1)
    limit_fill_on_touch: bool = False
    slippage_on_limits: bool = True


class SimulatedExecution:
    """Keeps working orders and fills them from bars.

    Parameters
    ----------
    settings : ExecutionSettings
    instruments : mapping of symbol to Instrument
    latency : Latency
    hear : callable
        Called with every change: the order, the update, and the fill that caused it, if one did.
    one_bar_sessions : bool
        Every row is a whole session (daily bars), so a DAY order ends with the first row it could fill in. Otherwise it ends
        when the first row of a later session shows that its own is over.

    Attributes
    ----------
    working : dict of str to Order
        Orders that are not final, oldest first.
    """

    def __init__(
        self,
        settings: ExecutionSettings,
        instruments: Mapping[str, Instrument],
        latency: Latency,
        hear: Heard,
        *,
        one_bar_sessions: bool = False,
    ) -> None:
        self.working: dict[str, Order] = {}
        self._fill_model = BarFillModel(limit_fill_on_touch=settings.limit_fill_on_touch)
        self._slippage = settings.slippage.build()
        self._commission = settings.commission.build()
        self._participation = settings.max_bar_participation
        self._slip_limits = settings.slippage_on_limits
        self._instruments = instruments
        self._latency = latency
        self._hear = hear
        self._one_bar_sessions = one_bar_sessions

    def submit(self, order: Order) -> None:
        """Take an order: it starts to travel now and arrives after its latency."""
        order.arrives_ns = order.created_ns + self._latency.draw_ns(order.strategy)
        self.working[order.order_id] = order
        self._hear(order, order.move_to(_SUBMITTED, order.created_ns), None)

    def cancel(self, order_id: str, ts_ns: int, reason: str = "cancelled_by_strategy") -> None:
        """Take an order back.

        Raises
        ------
        UnknownName
            If no such order is working.
        """
        order = self.working.get(order_id)
        if order is None:
            raise UnknownName.among("working order", order_id, self.working, "It may have been filled already.")
        self._end(order, _CANCELLED, ts_ns, reason)

    def match(self, block: BarBlock, row: int) -> None:
        """Let every working order meet the bars of one row.

        Orders that could fill are served by phase (open, stops, limits) and then by age; what one takes from a bar's volume
        is gone for the next.
        """
        now, session = int(block.known_ns[row]), int(block.session[row])
        candidates: list[tuple[int, int, Order, FillPrice]] = []
        for age, order in enumerate(list(self.working.values())):
            # Hearing of one order may make a strategy fail, which takes its others back.
            if order.is_terminal or not self._has_arrived(order, now, session):
                continue
            found = self._price(order, block, row)
            if found is not None:
                candidates.append((found.phase, age, order, found))
        if len(candidates) > 1:
            candidates.sort(key=_phase_then_age)
        consumed: dict[int, float] = {}
        for _, _, order, found in candidates:
            if not order.is_terminal:
                self._serve(order, found, block, row, consumed)
        if self._one_bar_sessions:
            self._end_day(now)

    def _end_day(self, now: int) -> None:
        # Before the strategies decide: what the session left unfilled is no longer under way.
        for order in list(self.working.values()):
            if order.time_in_force is _DAY and order.day_session is not None and not order.is_terminal:
                self._end(order, _EXPIRED, now, "day_end")

    def _has_arrived(self, order: Order, now: int, session: int) -> bool:
        if self._has_expired(order, now, session) or order.created_ns >= now or order.arrives_ns > now:
            return False
        if order.status is _SUBMITTED:
            self._hear(order, order.move_to(_ACKNOWLEDGED, order.arrives_ns), None)
        if order.day_session is None:
            order.day_session = session
        return not order.is_terminal

    def _price(self, order: Order, block: BarBlock, row: int) -> FillPrice | None:
        column = block.columns[order.symbol]
        close = float(block.close[row, column])
        if close != close:
            return None
        found = self._fill_model.price(
            order, float(block.open[row, column]), float(block.high[row, column]), float(block.low[row, column]), close
        )
        if found is None and order.time_in_force in (_IOC, _FOK):
            self._end(order, _CANCELLED, int(block.known_ns[row]), "not_marketable")
        return found

    def _serve(self, order: Order, found: FillPrice, block: BarBlock, row: int, consumed: dict[int, float]) -> None:
        now = int(block.known_ns[row])
        column = block.columns[order.symbol]
        instrument = self._instruments[order.symbol]
        volume = float(block.volume[row, column])
        available = instrument.floor_quantity(max(0.0, self._participation * volume - consumed.get(column, 0.0)))
        quantity = min(order.remaining, available)
        if order.time_in_force is _FOK and quantity < order.remaining:
            self._end(order, _CANCELLED, now, "fok_not_filled")
            return
        slip = self._slip(order, quantity, volume) if quantity > 0 else None
        if slip is not None:
            consumed[column] = consumed.get(column, 0.0) + quantity
            price = found.price * (1.0 + slip) if order.side is _BUY else found.price * max(0.0, 1.0 - slip)
            commission = self._commission.charge(quantity, price, instrument.multiplier, order.executed, order.commission)
            self._fill(order, quantity, found.price, price, commission, now, int(block.label_ns[row]))
        if order.time_in_force is _IOC and not order.is_terminal:
            self._end(order, _CANCELLED, now, "ioc_remainder")

    def _fill(self, order: Order, quantity: float, ideal: float, price: float, commission: float, now: int, label: int) -> None:
        update = order.record_fill(quantity, price, commission, now)
        fill = Fill(
            str(order.update_count),
            order.order_id,
            order.strategy,
            order.symbol,
            order.side,
            quantity,
            ideal,
            price,
            commission,
            now,
            label,
            order.tag,
        )
        if order.is_terminal:
            del self.working[order.order_id]
        self._hear(order, update, fill)

    def _slip(self, order: Order, quantity: float, volume: float) -> float | None:
        is_limit = order.order_type in (_LIMIT, _STOP_LIMIT)
        if is_limit and not self._slip_limits:
            return 0.0
        return self._slippage.fraction(quantity, volume)

    def _has_expired(self, order: Order, now: int, session: int) -> bool:
        if order.expires_ns is not None and now > order.expires_ns:
            self._end(order, _EXPIRED, now, "expired")
            return True
        if order.time_in_force is _DAY and order.day_session is not None and session > order.day_session:
            self._end(order, _EXPIRED, now, "day_end")
            return True
        return False

    def _end(self, order: Order, status: OrderStatus, ts_ns: int, reason: str) -> None:
        del self.working[order.order_id]
        self._hear(order, order.move_to(status, ts_ns, reason), None)

    def apply_split(self, action: CorporateAction, ts_ns: int) -> None:
        """Scale the quantity up and the prices down of every working order in the split symbol."""
        if action.kind is not ActionKind.SPLIT:
            return
        instrument = self._instruments[action.symbol]
        for order in [o for o in self.working.values() if o.symbol == action.symbol]:
            # Hearing of one order may make a strategy fail, which takes its others back.
            if order.is_terminal:
                continue
            order.decided_quantity, order.decided_limit, order.decided_stop = order.decision
            # What was filled is as odd as the position it made; only what remains goes back on the lot grid.
            remaining = instrument.floor_quantity(order.remaining * action.value)
            order.filled_quantity *= action.value
            order.quantity = order.filled_quantity + remaining
            if order.average_price is not None:
                order.average_price /= action.value
            if order.limit_price is not None:
                order.limit_price = on_tick(instrument, order.limit_price / action.value, up=order.side is _SELL)
            if order.stop_price is not None:
                order.stop_price = on_tick(instrument, order.stop_price / action.value, up=order.side is _BUY)
            if remaining == 0.0:
                self._end(order, _CANCELLED, ts_ns, "nothing_left_after_split")


def on_tick(instrument: Instrument, price: float, *, up: bool) -> float:
    """Return `price` on the tick grid, rounded `up` or down."""
    return instrument.ceil_price(price) if up else instrument.floor_price(price)


def _phase_then_age(candidate: tuple[int, int, Order, FillPrice]) -> tuple[int, int]:
    return candidate[0], candidate[1]
