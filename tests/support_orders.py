"""Canonical orders of a test, and a process that writes them until it dies."""

import datetime as dt
import json
import os
import random
import signal
import sys
from decimal import Decimal
from pathlib import Path

from fairlead.contracts.orders import CanonicalOrder, OrderSource, OrderWriter
from fairlead.core.orders import OrderType, Side

NOON = dt.datetime(2025, 1, 6, 14, 40, tzinfo=dt.UTC)
ENDLESS = 1 << 30
YIELDS = 200


def order(number: int = 0, **changes) -> CanonicalOrder:
    """A bracket with a stop entry; each number is another order."""
    values = {
        "run_id": "bt_demo",
        "strategy": "insidebar",
        "strategy_version": "1.0.0",
        "symbol": "AAPL",
        "side": Side.BUY,
        "oco_id": f"AAPL_{number:06}",
        "qty": Decimal(19),
        "stop_price": Decimal("101.00"),
        "take_profit_price": Decimal("101.80"),
        "stop_loss_price": Decimal("100.60"),
        "valid_from": NOON,
        "valid_to": NOON + dt.timedelta(minutes=80),
        "source": OrderSource.BACKTEST,
        "order_type": OrderType.STOP,
        "created_at": NOON,
    }
    return CanonicalOrder.new(**values | changes)


def die_after(calls: int, seed: int) -> None:
    """Let this process be killed at its n-th call that reaches the disk, a write perhaps half done."""
    left, chance = calls, random.Random(seed)

    def deadly(real):
        def call(descriptor, *args):
            nonlocal left
            left -= 1
            for _ in range(YIELDS):  # the others have their chance between a look-up and its write
                os.sched_yield()
            if left <= 0:
                if real is write and args:
                    real(descriptor, args[0][: chance.randrange(len(args[0]) + 1)])
                elif chance.random() < 0.5:
                    real(descriptor, *args)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(descriptor, *args)

        return call

    write = os.write
    for name in ("write", "fsync", "ftruncate"):
        setattr(os, name, deadly(getattr(os, name)))


def main(path: Path, numbers: list[int], batch: int, calls: int, seed: int) -> None:
    """Write orders, and say of each that it is written once the writer has said so."""
    say = os.write
    sys.stdin.readline()  # all begin at once
    die_after(calls, seed)
    writer = OrderWriter(path)
    for start in range(0, len(numbers), batch):
        part = numbers[start : start + batch]
        writer.extend([order(number) for number in part])
        say(1, "".join(f"{number}\n" for number in part).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), *json.loads(sys.argv[2]))
