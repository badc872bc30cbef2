"""Features of every caching policy, one in two versions of its kernel, and a source that can be counted."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fairlead.core.bars import BarBlock
from fairlead.core.time import BarSize
from fairlead.data.blocks import assemble
from fairlead.data.bundled import bundled_bars
from fairlead.data.memory import MemorySource
from fairlead.features import Output, Uses, feature, lookback
from fairlead.features.locking import KernelLock


def _half(state, params, inputs, outputs):
    outputs[0] = inputs[0] / 2.0


def _third(state, params, inputs, outputs):
    outputs[0] = inputs[0] / 3.0


PRICE = (Output(unit="price"),)
share = feature("share", outputs=PRICE)(_half)
share_changed = feature("share", outputs=PRICE)(_third)
share_raised = feature("share", outputs=PRICE, version=2)(_third)
share_elsewhere = feature("share", outputs=(Output(unit="none"),))(_half)
uses_share = feature("uses_share", inputs=(Uses("support_feature_store:share"),), outputs=PRICE)(_third)
fleeting = feature("fleeting", outputs=PRICE, caching="never")(_half)


@feature(
    "kept_mean",
    parameters={"n": lookback(3)},
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: p["n"] + 1,
    outputs=PRICE,
    caching="disk",
)
def kept_mean(state, params, inputs, outputs):
    n = int(params[0])
    for i in range(n - 1):
        state[i] = state[i + 1]
    state[n - 1] = inputs[0]
    state[n] += 1.0
    if state[n] >= n:
        total = 0.0
        for i in range(n):
            total += state[i]
        outputs[0] = total / n


def record_often(folder: Path, name: str) -> None:
    """Write to a workspace's lock again and again; for several processes at once."""
    lock = KernelLock(folder)
    for i in range(100):
        lock.record([feature(f"{name}_{i % 10}")(_third)])
        if i % 10 == 9:
            lock.forget(f"{name}_0")


class Counted(MemorySource):
    """A source that counts how often it is read, and how many of its blocks are held at once."""

    per_block = 700

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.passes = 0
        self.most_held = 0

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        self.passes += 1
        held: list[weakref.ref[np.ndarray]] = []
        for block in assemble([self._table], self.symbols, carry=carry, actions=self.actions, rows=self.per_block):
            held.append(weakref.ref(block.volume))
            yield block
            del block
            self.most_held = max(self.most_held, sum(ref() is not None for ref in held))


def bundled(**changes) -> Counted:
    """The prices that come with Fairlead, in blocks of 700 days; they have splits and dividends."""
    table, actions = bundled_bars()
    return Counted(table, **{"bar_size": BarSize.D1, "calendar": "XNYS", "actions": actions, "name": "us_equities", **changes})
