"""What a broker's venue finds is told: in the journal, and loudly in the log."""

from types import SimpleNamespace

from fairlead.control.brokerside import BrokerSide
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderRole, OrderType, Side
from fairlead.execution.brokers.seam import BrokerTraits
from fairlead.execution.reconciliation import ReconciliationSettings


def order(name, role=OrderRole.NONE):
    return Order(name, name, name, "alpha", "A", Side.SELL, 10.0, OrderType.STOP, 1, 1, stop_price=9.0, role=role)


def test_what_cannot_leave_is_journalled_and_an_error():
    written, errors = [], []
    log = SimpleNamespace(error=lambda event, **told: errors.append((event, told["message"], told["strategy"])))
    scribe = SimpleNamespace(write=written.append, log=log)
    port = SimpleNamespace(traits=BrokerTraits(), ask_books=None, begin=None)
    side = BrokerSide(port, ReconciliationSettings(), lambda *_: None, scribe, lambda: 5)
    venue = side.open_venue({"A": Instrument(symbol="A", calendar="24/7")}, lambda *_: None, lambda *_: 0.0)
    venue.stuck(order("stop", OrderRole.STOP_LOSS), [order("other")])
    ((event, text, strategy),) = errors
    assert (event, strategy) == ("order_waits", "alpha")
    assert text.startswith("A: stop_loss stop has waited for over 30 s: the broker holds its units for other, and has not said")
    assert len(written) == 1
