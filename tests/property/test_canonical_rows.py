"""Whatever a canonical row can say survives its text, and the two ways to a size agree."""

from __future__ import annotations

import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.contracts import CanonicalOrder, Signal, read_signals, write_signals
from fairlead.contracts.cells import line_of
from fairlead.contracts.lines import CsvLines
from fairlead.contracts.orders import ORDER_COLUMNS, OrderSource, TradingHours
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import OrderType, Side, TimeInForce
from fairlead.core.time import BarSize
from fairlead.risk import PositionSizer, SizingConfig, SizingMode
from fairlead.risk.sizing import size_intent
from fairlead.sdk.limits import RiskLimits

RUNS = settings(max_examples=200, deadline=None)
TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="|"), min_size=1, max_size=12)
NAMES = TEXT.filter(lambda text: text == text.strip())
TICKS = st.integers(1, 10**12)
INSTANTS = st.integers(631_152_000, 6_900_000_000).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC)) | st.just(
    dt.datetime(2025, 1, 6, 14, 40, 0, 123456, dt.UTC)
)


@st.composite
def orders(draw):
    kind = draw(st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT]))
    side = draw(st.sampled_from(list(Side)))
    # In the order of a buy: stop loss, stop, limit, target; a sell is the mirror of it.
    levels = sorted(draw(st.sets(TICKS, min_size=4, max_size=4)), reverse=side is Side.SELL)
    loss, stop, limit, target = (Decimal(level) / 10_000 for level in levels)
    start = draw(INSTANTS)
    return CanonicalOrder.new(
        run_id=draw(NAMES),
        strategy=draw(NAMES),
        strategy_version=draw(st.sampled_from(["0.0.1", "1.2.3-rc.1", "10.0.0+build.5"])),
        symbol=draw(st.from_regex(r"[A-Z0-9][A-Z0-9.\-]{0,19}", fullmatch=True)),
        side=side,
        oco_id=draw(st.none() | NAMES),
        qty=Decimal(draw(TICKS)) / draw(st.sampled_from([1, 1000])),
        order_type=kind,
        limit_price=limit if "LIMIT" in kind else None,
        stop_price=stop if "STOP" in kind else None,
        take_profit_price=draw(st.none() | st.just(target)),
        stop_loss_price=draw(st.none() | st.just(loss)),
        valid_from=start,
        valid_to=start + draw(st.timedeltas(dt.timedelta(microseconds=1), dt.timedelta(days=30))),
        session=draw(st.sampled_from(list(TradingHours))),
        time_in_force=draw(st.sampled_from([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])),
        source=draw(st.sampled_from(list(OrderSource))),
        created_at=draw(INSTANTS),
    )


@RUNS
@given(orders())
def test_an_order_survives_its_line(order):
    """One line, whatever its names hold, and the same order from it."""
    line = line_of(order.to_cells())
    assert line.count("\n") == 1
    read = CanonicalOrder.from_cells(CsvLines(ORDER_COLUMNS, (), None).row(line.removesuffix("\n")))
    assert read == order
    assert line_of(read.to_cells()) == line


@st.composite
def signals(draw):
    low, entry, high = (Decimal(level) / 10_000 for level in sorted(draw(st.sets(TICKS, min_size=3, max_size=3))))
    side, other = draw(st.sampled_from([("long", False), ("short", True)]))
    stop, target = (high, low) if other else (low, high)
    return Signal(
        symbol="A",
        timestamp=draw(INSTANTS),
        timeframe=draw(st.sampled_from([BarSize.M1, BarSize.H1, BarSize.D1])),
        **{
            f"{side}_entry": entry,
            f"sl_{side}": draw(st.none() | st.just(stop)),
            f"tp_{side}": draw(st.none() | st.just(target)),
        },
        setup=draw(st.none() | NAMES),
        score=draw(st.none() | st.floats(0, 1)),
        score_components=draw(
            st.none() | st.dictionaries(st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False))
        ),
        strategy="alpha",
        strategy_version="1.0.0",
        signal_id="0123456789abcdef",
        metadata=draw(st.none() | st.dictionaries(st.sampled_from("xyz"), st.none() | st.integers() | TEXT)),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(signals(), max_size=5, unique_by=lambda signal: signal.key))
def test_signals_survive_both_kinds_of_file(found):
    """CSV and Parquet give back the same rows."""
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("csv", "parquet"):
            path = Path(folder) / f"signals.{ending}"
            write_signals(path, found)
            assert read_signals(path) == found


@RUNS
@given(st.integers(1, 10**9), st.integers(1, 10**7), st.integers(1, 1000), st.sampled_from([1.0, 0.001, 100.0]))
def test_a_share_of_equity_is_the_weight_of_the_engine(cents, ticks, tenths, lot):
    """Both ways give one quantity; only where the engine forgives the last digit of a float is it a lot less here."""
    grid = Instrument(symbol="A", lot_step=lot, min_quantity=lot, tick_size=0.01)
    config = SizingConfig(
        equity=Decimal(cents) / 100,
        mode=SizingMode.PCT_EQUITY,
        pos_pct=Decimal(tenths) / 10,
        max_pos_pct=1000,
        tick_size=Decimal("0.01"),
        lot_step=Decimal(repr(lot)),
        min_qty=Decimal(repr(lot)),
    )
    exact = PositionSizer(config).calculate(Decimal(ticks) / 100).quantity
    intent = OrderIntent.target_weight("A", tenths / 1000)
    engine = size_intent(intent, grid, price=ticks / 100, equity=cents / 100, held=0.0, limits=RiskLimits(max_leverage=20))
    assert exact in (grid.quantity_to_decimal(engine.quantity), grid.quantity_to_decimal(engine.quantity - lot))
    units = Decimal(cents) * tenths / 1000 / ticks / Decimal(repr(lot))
    if abs(units - round(units)) > Decimal("1e-6"):
        assert exact == grid.quantity_to_decimal(engine.quantity)
