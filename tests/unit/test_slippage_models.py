"""Impact models: goldens of the specification and of the paper, what is unknown, what is passed on, and the daily history."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from fairlead.core.events import CorporateAction
from fairlead.core.orders import Order, OrderType, Side
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE
from fairlead.execution.commission import BpsCommission
from fairlead.execution.costs import ExecutionCosts
from fairlead.execution.liquidity import DailyLiquidity, session_share
from fairlead.execution.slippage import (
    SLIPPAGE_MODELS,
    AlmgrenSlippage,
    FixedSlippage,
    NoSlippage,
    SlippageContext,
    SlippageSettings,
    SquareRootSlippage,
    VolumeSlippage,
)
from support_sessions import FIRST_DAY, days, dividend, flat, minutes, random_bars, split

NAN = float("nan")


def context(quantity, sigma, adv, **fields):
    return SlippageContext(quantity, 1e6, 50.0, sigma, adv, **fields)


# --- square root


@pytest.mark.parametrize(
    ("sigma", "share", "bps"),
    [
        # Domain 8.7: sigma 1 % and a participation of 1 % cost 10 bps; its golden of 1.5 % and 1e-3 costs 4.743.
        (0.01, 0.01, 10.0),
        (0.015, 1e-3, 4.743416),
        (0.02, 0.25, 100.0),
        # More than a day's volume counts as a day's volume.
        (0.02, 4.0, 200.0),
        (0.0, 0.5, 0.0),
    ],
)
def test_square_root_goldens(sigma, share, bps):
    trade = context(share * 1e6, sigma, 1e6)
    assert SquareRootSlippage(half_spread_bps=0).fraction(trade) * 1e4 == pytest.approx(bps, rel=1e-6)
    assert SquareRootSlippage(half_spread_bps=3).fraction(trade) * 1e4 == pytest.approx(bps + 3, rel=1e-6)
    assert SquareRootSlippage(half_spread_bps=0, impact_factor=0.5).fraction(trade) * 1e4 == pytest.approx(bps / 2, rel=1e-6)


# --- Almgren et al. 2005: the example of the paper, which prints whole basis points and three digits.

IBM = {"adv": 6.561e6, "shares": 1728e6, "sigma": 0.0157, "permanent": 0.126, "permanent_bps": 20}
DRI = {"adv": 1.929e6, "shares": 168e6, "sigma": 0.0226, "permanent": 0.096, "permanent_bps": 22}


@pytest.mark.parametrize(
    ("stock", "duration", "temporary", "temporary_bps", "paid_bps"),
    [
        (IBM, 0.1, 0.142, 22, 32),
        (IBM, 0.2, 0.094, 15, 25),
        (IBM, 0.5, 0.054, 8, 18),
        (DRI, 0.1, 0.142, 32, 43),
        (DRI, 0.2, 0.094, 21, 32),
        (DRI, 0.5, 0.054, 12, 23),
    ],
)
def test_the_example_of_almgren_thum_hauptmann_and_li(stock, duration, temporary, temporary_bps, paid_bps):
    """Buying a tenth of the daily volume of IBM and of DRI within a tenth, a fifth and half of a day."""
    trade = context(0.1 * stock["adv"], stock["sigma"], stock["adv"], duration_frac=duration, symbol="X")
    of = {"half_spread_bps": 0, "shares_outstanding": {"X": stock["shares"]}}
    permanent = AlmgrenSlippage(**of, eta=0).impact_in_sigma(trade) * 2
    assert permanent == pytest.approx(stock["permanent"], abs=0.0005)
    assert round(permanent * stock["sigma"] * 1e4) == stock["permanent_bps"]
    rate_part = AlmgrenSlippage(**of, gamma=0).impact_in_sigma(trade)
    assert rate_part == pytest.approx(temporary, abs=0.0005)
    assert round(rate_part * stock["sigma"] * 1e4) == temporary_bps
    assert round(AlmgrenSlippage(**of).fraction(trade) * 1e4) == paid_bps


def test_shares_outstanding_that_are_not_known_are_assumed():
    """A company whose shares change hands once a year."""
    trade = context(1e5, 0.02, 1e6, symbol="X")
    named = AlmgrenSlippage(shares_outstanding={"X": 252e6}).fraction(trade)
    assert AlmgrenSlippage().fraction(trade) == pytest.approx(named, rel=1e-12)
    assert AlmgrenSlippage(shares_outstanding={"Y": 1e12}).fraction(trade) == pytest.approx(named, rel=1e-12)
    assert AlmgrenSlippage(inverse_turnover=16 * 252).fraction(trade) > named


@pytest.mark.parametrize("model", [SquareRootSlippage, AlmgrenSlippage])
@pytest.mark.parametrize(("sigma", "adv"), [(NAN, 1e6), (0.02, NAN), (NAN, NAN), (0.02, 0.0)])
def test_what_is_not_known_is_not_free(model, sigma, adv):
    assert model().fraction(context(100, sigma, adv)) == pytest.approx((5 + 50) / 1e4)
    assert model(half_spread_bps=1, unknown_bps=80).fraction(context(100, sigma, adv)) == pytest.approx(81 / 1e4)


@pytest.mark.parametrize("shares", [0, -1e6])
def test_shares_outstanding_are_a_number_above_0(shares):
    with pytest.raises(ValidationError, match="shares_outstanding"):
        SlippageSettings(model="almgren2005", params={"shares_outstanding": {"X": shares}})


def test_models_say_whether_they_need_history():
    assert {name for name, model in SLIPPAGE_MODELS.items() if model.needs_history} == {"square_root", "almgren2005"}


# --- daily history


def known(source, session, column=0, **kwargs):
    liquidity = DailyLiquidity(source.symbols, **kwargs)
    found = None
    for block in source.blocks(carry=3):
        liquidity.enter(block)
        if session in block.session[block.start :]:
            found = liquidity.at(session, column)
    return found


def test_volatility_and_volume_by_hand():
    """Closes of 100, 110, 99, ...: the last 20 returns before the session, with ddof 1; and the mean of 20 volumes."""
    random = np.random.default_rng(7)
    rows = random_bars(random, 40)
    source = days({"A": rows})
    closes, volumes = (np.array([row[i] for row in rows]) for i in (3, 4))
    for i in (30, 39):
        found = known(source, FIRST_DAY + i)
        assert found.sigma_daily == pytest.approx(np.diff(np.log(closes[i - 21 : i])).std(ddof=1), rel=1e-12)
        assert found.adv == pytest.approx(volumes[i - 20 : i].mean(), rel=1e-12)


def test_ten_returns_are_the_least():
    """Ten sessions make an average volume, eleven closes make ten returns."""
    source = days({"A": random_bars(np.random.default_rng(1), 15)})
    states = [(s == s, a == a) for s, a in (known(source, FIRST_DAY + i) for i in (9, 10, 11))]
    assert states == [(False, False), (False, True), (True, True)]


@pytest.mark.parametrize("make", [days, lambda bars, **kwargs: minutes(bars, per_session=4, **kwargs)])
def test_what_comes_later_changes_nothing(make):
    """Cut the data after the first bar of a session, or make the rest absurd: what was known is the same to the bit."""
    rows = random_bars(np.random.default_rng(3), 120, gaps=0.1)
    source = make({"A": rows, "B": rows[::-1] if rows[-1] else rows})
    for session in (FIRST_DAY + 14, FIRST_DAY + 25):
        first = int(np.searchsorted(source.session, session))
        whole, cut = known(source, session), known(source.until(first + 1), session)
        assert whole == cut
        assert whole.sigma_daily > 0
        wild = {name: values.copy() for name, values in source.arrays.items()}
        for values in wild.values():
            values[first:] *= 100.0
        assert known(source.changed(arrays=wild), session) == whole


def test_blocks_make_no_difference():
    """To the bit, with volumes that do not add exactly."""
    rows = [None if row is None else (*row[:4], row[4] / 7) for row in random_bars(np.random.default_rng(5), 200, gaps=0.1)]
    source = minutes({"A": rows}, per_session=6, actions=[split("A", 20, 3.0), dividend("A", 24, 0.5)])
    for session in range(FIRST_DAY + 15, FIRST_DAY + 33):
        one = known(source, session)
        assert one == known(source.changed(rows=7), session) == known(source.changed(rows=1), session)
        assert one.sigma_daily > 0


def test_a_split_changes_the_units_and_not_the_volatility():
    rows = random_bars(np.random.default_rng(9), 30)
    plain = days({"A": rows})
    halved = [row if i < 25 else (*(x / 2 for x in row[:4]), row[4] * 2) for i, row in enumerate(rows)]
    after = days({"A": halved}, actions=[split("A", 25, 2.0)])
    before = known(plain, FIRST_DAY + 24)
    assert known(after, FIRST_DAY + 24) == before
    for i in (25, 28):
        expected, found = known(plain, FIRST_DAY + i), known(after, FIRST_DAY + i)
        assert found.sigma_daily == pytest.approx(expected.sigma_daily, rel=1e-9)
        assert found.adv == pytest.approx(expected.adv * 2, rel=1e-9)


def test_a_dividend_is_no_volatility():
    """A price that falls by its dividend has not moved."""
    source = days({"A": [flat(100.0)] * 15 + [flat(90.0)] * 10}, actions=[dividend("A", 15, 10.0)])
    assert known(source, FIRST_DAY + 20).sigma_daily == pytest.approx(0.0, abs=1e-12)


def test_a_session_without_a_bar_has_no_volume_and_one_before_the_listing_does_not_count():
    late = [None] * 8 + [flat(100.0 + i % 2, 1_000.0) for i in range(12)]
    idle = [flat(100.0 + i % 2, 1_000.0) if i % 2 == 0 else None for i in range(20)]
    source = days({"A": late, "B": idle, "C": [flat(100.0)] * 20})
    assert known(source, FIRST_DAY + 17).adv != known(source, FIRST_DAY + 17).adv
    assert known(source, FIRST_DAY + 19).adv == pytest.approx(1_000.0)
    assert known(source, FIRST_DAY + 19, column=1).adv == pytest.approx(1_000.0 * 10 / 19)


def test_a_new_name_keeps_its_history():
    rows = random_bars(np.random.default_rng(11), 40)
    plain = days({"A": rows})
    renamed = days(
        {"A": [*rows[:30], *[None] * 10], "B": [*[None] * 30, *rows[30:]]},
        actions=[CorporateAction.rename("A", FIRST_DAY + 30, "B")],
    )
    for i in (30, 35):
        assert known(renamed, FIRST_DAY + i, column=1) == known(plain, FIRST_DAY + i)


def test_the_share_of_a_session():
    assert session_share(0, NS_PER_MINUTE) == pytest.approx(1 / 390)
    assert session_share(0, 390 * NS_PER_MINUTE) == 1.0
    assert session_share(0, NS_PER_DAY) == 1.0
    assert session_share(0, NS_PER_MINUTE, session_minutes=1440) == pytest.approx(1 / 1440)


# --- what the venue passes on


def an_order(side=Side.BUY, **fields):
    return Order(
        order_id="o", idempotency_key="k", group_id="g", strategy="s", symbol="A", side=side, quantity=1e4,
        order_type=OrderType.MARKET, created_ns=0, arrives_ns=0, **fields,
    )  # fmt: skip


class Doubled(FixedSlippage):
    """A third party's, derived from a plain one."""

    def fraction(self, trade: SlippageContext) -> float | None:
        return 2 * self.bps / 1e4


class Told(VolumeSlippage):
    """Remembers what it was told."""

    def fraction(self, trade: SlippageContext) -> float | None:
        seen.append(trade)
        return 0.0


class ToldOfHistory(Told):
    """The same, with history."""

    needs_history = True


seen: list[SlippageContext] = []


def test_the_context_is_that_of_the_bar_and_the_order():
    source = minutes({"A": [flat(10.0, 500.0)] * 4})
    block = next(iter(source.blocks(carry=1)))
    order = an_order(Side.SELL, filled_quantity=30.0)
    seen.clear()
    ExecutionCosts(Told(), BpsCommission()).slip(order, 20.0, 9.5, block, 2)
    ExecutionCosts(ToldOfHistory(), BpsCommission()).slip(order, 20.0, 9.5, block, 2)
    assert seen[0][:3] == (20.0, 500.0, 9.5)
    assert math.isnan(seen[0].sigma_daily)
    assert math.isnan(seen[0].adv)
    assert (seen[0].duration_frac, seen[1].duration_frac) == (1.0, pytest.approx(1 / 390))
    assert seen[0][6:] == (-1, 30.0, "A")


def test_a_model_that_needs_history_is_given_it():
    source = days({"A": random_bars(np.random.default_rng(2), 30)})
    block = next(iter(source.blocks(carry=1)))
    costs = ExecutionCosts(SquareRootSlippage(half_spread_bps=0), BpsCommission())
    assert costs.needs_history
    assert costs.slip(an_order(), 100.0, 50.0, block, 25) == pytest.approx(50 / 1e4)
    costs.enter(block)
    sigma, adv = known(source, FIRST_DAY + 25)
    assert costs.slip(an_order(), 100.0, 50.0, block, 25) == pytest.approx(sigma * math.sqrt(100 / adv))


@pytest.mark.parametrize("model", [NoSlippage(), FixedSlippage(), FixedSlippage(bps=7), VolumeSlippage(), Doubled(bps=7)])
def test_plain_models_ask_for_nothing(model):
    """And what the venue is told is what the model says, also of one derived from a plain one."""
    block = next(iter(minutes({"A": [flat(10.0, 500.0)] * 4}).blocks(carry=1)))
    costs = ExecutionCosts(model, BpsCommission())
    assert not costs.needs_history
    assert costs.slip(an_order(), 20.0, 9.5, block, 2) == model.fraction(SlippageContext(20.0, 500.0, 9.5))
