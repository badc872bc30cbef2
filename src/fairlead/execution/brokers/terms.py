"""What of an order a broker cannot be asked for at all: found out before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.core.errors import OrderRejected
from fairlead.execution.brokers.seam import BrokerTraits
from fairlead.execution.brokers.words import OrderRequest


def check_terms(requests: Sequence[OrderRequest], traits: BrokerTraits, broker: str) -> None:
    """Refuse orders of a kind that a broker does not take.

    Parameters
    ----------
    requests : sequence of OrderRequest
    traits : BrokerTraits
    broker : str
        Its name, for the error.

    Raises
    ------
    OrderRejected
        Naming what is taken instead.
    """
    for request in requests:
        name = request.reference or f"of {request.symbol}"
        if request.order_type not in traits.order_types:
            known = ", ".join(sorted(traits.order_types))
            raise OrderRejected(f"order {name}: {broker} takes no {request.order_type} orders. It takes {known}.")
        if request.time_in_force not in traits.times_in_force:
            known = ", ".join(sorted(traits.times_in_force))
            raise OrderRejected(f"order {name}: {broker} takes no {request.time_in_force} orders. It takes {known}.")
        if not traits.is_fractional and request.quantity != request.quantity.to_integral_value():
            raise OrderRejected.of(f"quantity of {name}", f"be whole at {broker}", str(request.quantity))
