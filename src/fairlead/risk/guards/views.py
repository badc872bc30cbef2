"""What a guard may look at: one order, the market of its symbol, and the account; all of it frozen."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, NamedTuple, Self, TypeAlias

from fairlead.contracts.orders.row import CanonicalOrder
from fairlead.core.errors import DataError
from fairlead.core.exits import Exits
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, TimeInForce
from fairlead.core.portfolio import Portfolio
from fairlead.core.time import to_ns
from fairlead.risk.pretrade import ProjectedExposure

Number: TypeAlias = Decimal | int | float

UNKNOWN: Final = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order as guards and validator see it, whatever form it came in; `order_view` makes one.

    Parameters
    ----------
    signed_quantity : float
        Units, negative for a sale. Of a replacement, what it adds.
    limit_price, stop_price, trail_amount : float, optional
        Currency.
    trail_percent : float, optional
        Percent points.
    expires_ns, created_ns : int
        Instants; `created_ns` is that from which on the order may work.
    exits : Exits, optional
        Those of its bracket.
    mode : str
        Where it was made to go: ``backtest``, ``paper`` or ``live``; empty for nowhere in particular.
    """

    symbol: str
    signed_quantity: float
    order_type: OrderType = OrderType.MARKET
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    created_ns: int = 0
    expires_ns: int | None = None
    reduce_only: bool = False
    exits: Exits | None = None
    strategy: str = ""
    oco_id: str = ""
    key: str = ""
    mode: str = ""

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sale."""
        return 1 if self.signed_quantity > 0 else -1


AnyOrder: TypeAlias = Order | CanonicalOrder | OrderView


def order_view(order: AnyOrder) -> OrderView:
    """Return the view of an order of the engine, or of a canonical row."""
    if isinstance(order, OrderView):
        return order
    if isinstance(order, Order):
        return OrderView(
            symbol=order.symbol,
            signed_quantity=order.side.sign * order.remaining,
            order_type=order.order_type,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            trail_amount=order.trail_amount,
            trail_percent=order.trail_percent,
            time_in_force=order.time_in_force,
            created_ns=order.created_ns,
            expires_ns=order.expires_ns,
            reduce_only=order.reduce_only,
            strategy=order.strategy,
            oco_id=order.oco_id,
            key=order.idempotency_key,
        )
    intent = order.intent()
    return OrderView(
        symbol=order.symbol,
        signed_quantity=intent.amount,
        order_type=order.order_type,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        time_in_force=order.time_in_force,
        created_ns=to_ns(order.valid_from),
        expires_ns=to_ns(order.valid_to),
        exits=intent.exits,
        strategy=order.strategy,
        oco_id=order.oco_id or "",
        key=order.idempotency_key,
        mode=order.source.value,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """What is known of one symbol's market now. What is NaN is missing, and a check that needs it refuses.

    Parameters
    ----------
    now_ns : int
    instrument : Instrument, optional
        None: nothing of that name can be traded.
    last : number
        Last price, in currency.
    age_s : number
        Since the last quote or trade.
    in_session : bool, optional
        Whether the exchange is open; None if that is not known.
    is_halted : bool
    is_quoted : bool
        Whether the feed gives best bids and offers; bars have none.
    bid, ask : number
        In currency; looked at if `is_quoted`.
    reference : number, optional
        Price of five minutes ago, in currency; None if the feed is too coarse to have one.
    """

    now_ns: int
    instrument: Instrument | None
    last: Number = UNKNOWN
    age_s: Number = UNKNOWN
    in_session: bool | None = None
    is_halted: bool = False
    is_quoted: bool = True
    bid: Number = UNKNOWN
    ask: Number = UNKNOWN
    reference: Number | None = UNKNOWN

    def __post_init__(self) -> None:
        for name in ("last", "age_s", "bid", "ask"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.reference is not None:
            object.__setattr__(self, "reference", float(self.reference))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What has happened so far, as a `RiskTracker` counts it.

    Parameters
    ----------
    session_start_equity, peak_equity : number
        Currency, corrected for money paid in and out since; NaN if not known.
    losers_in_a_row : int
        Positions closed at a loss one after the other, this session.
    orders_of_pair, orders_of_all : int
        New orders of the last minute: of the order's strategy in its symbol, and of all.
    keys : container of str
        Idempotency keys of the orders that have left.
    last_sent_ns : int, optional
        When the last order of the order's strategy in its symbol left; None if none has.
    busy : container of str
        Symbols in which an order of that strategy works that does more than reduce.
    sets : container of str
        Of which orders of that strategy work.
    """

    session_start_equity: Number = UNKNOWN
    peak_equity: Number = UNKNOWN
    losers_in_a_row: int = 0
    orders_of_pair: int = 0
    orders_of_all: int = 0
    keys: Container[str] = frozenset()
    last_sent_ns: int | None = None
    busy: Container[str] = frozenset()
    sets: Container[str] = frozenset()

    def while_working(self, orders: Iterable[Order]) -> Self:
        """Return the counters while such orders of the strategy work."""
        adding = [order for order in orders if not order.reduce_only]
        busy, sets = frozenset(o.symbol for o in adding), frozenset(o.oco_id for o in adding if o.oco_id)
        return replace(self, busy=busy, sets=sets)


class LimitScale(NamedTuple):
    """What limits on how much may be held are multiplied with, 0 to 1; see `fairlead.risk.monitors` for why they should be.

    Parameters
    ----------
    size : float
        G1, G2 and G3.
    gross : float
        G1 besides.
    """

    size: float = 1.0
    gross: float = 1.0


FULL: Final = LimitScale()


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioView:
    """The account before an order leaves, working orders at their worst.

    Every strategy has a book of its own. What one is long does not cover what another is short: exposures of books add up.

    Parameters
    ----------
    own : ProjectedExposure
        The book that the order belongs to.
    others : sequence of ProjectedExposure
        Those of the account's other strategies.
    counters : Counters
    is_priced : bool
        Whether everything that is held has a price; without, equity is not known.
    scale : LimitScale
        Of the limits, for the strategy of the order.
    market : MarketView, optional
        Of the order's symbol, for who is asked without one.
    """

    own: ProjectedExposure
    others: Sequence[ProjectedExposure] = ()
    counters: Counters = field(default_factory=Counters)
    is_priced: bool = True
    scale: LimitScale = FULL
    market: MarketView | None = None

    @classmethod
    def of(
        cls,
        ledger: Portfolio,
        working: Iterable[Order] = (),
        counters: Counters | None = None,
        market: MarketView | None = None,
    ) -> Self:
        """Return the view of a ledger that is the whole account.

        Parameters
        ----------
        working : iterable of Order
            What is not final.
        counters : Counters, optional
            By default the ledger's session began with its capital, its peak so far is that or what it is worth now, and nothing
            else has happened.
        market : MarketView, optional
            Of the order's symbol.
        """
        working, is_priced = list(working), True
        try:
            own = ProjectedExposure(ledger, working)
        except DataError:
            own, is_priced = ProjectedExposure(_without_unknown(ledger), working), False
        if counters is None:
            counters = Counters(session_start_equity=ledger.capital, peak_equity=max(ledger.capital, own.equity))
            counters = counters.while_working(working)
        return cls(own=own, counters=counters, is_priced=is_priced, market=market)

    @property
    def equity(self) -> float:
        """Of the account, in currency; NaN if not known."""
        return self.own.equity + sum(book.equity for book in self.others) if self.is_priced else UNKNOWN

    def price(self, symbol: str) -> float:
        """Last known price of `symbol`, in currency; NaN if there is none."""
        try:
            return self.own.price(symbol)
        except KeyError:
            return UNKNOWN

    def added(self, order: OrderView) -> float:
        """Return the signed units by which an order exceeds what its set counts already: one of a set fills."""
        quantity = order.signed_quantity
        return self.own.beyond_set(order.symbol, quantity, order.oco_id) if order.oco_id and quantity else quantity

    def only_reduces(self, order: OrderView) -> bool:
        """Whether an order lowers |position|, with all that rests on its side, without crossing zero."""
        if order.reduce_only:
            return True
        quantity = self.added(order)
        if quantity:
            return self.own.surely_exits(order.symbol, quantity, order.order_type)
        return bool(order.signed_quantity) and self.own.rests_within(order.symbol, order.sign)

    def adds_nothing(self, order: OrderView) -> bool:
        """Whether an order takes on no more than there is: it only reduces, or another of its set counts already."""
        return self.only_reduces(order) or self.added(order) == 0.0


class _PricedOnly(Mapping[str, float]):
    """Marks in which what is not known is worth nothing."""

    def __init__(self, marks: Mapping[str, float]) -> None:
        self._marks = marks

    def __getitem__(self, symbol: str) -> float:
        mark = self._marks.get(symbol, UNKNOWN)
        return mark if mark == mark else 0.0

    def __iter__(self) -> Iterator[str]:
        return iter(self._marks)

    def __len__(self) -> int:
        return len(self._marks)


def _without_unknown(ledger: Portfolio) -> Portfolio:
    known = Portfolio(ledger.cash, _PricedOnly(ledger.marks), ledger.multipliers)
    known.positions = ledger.positions
    return known
