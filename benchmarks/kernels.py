"""W1 and W3 as a kernel strategy, as its author would write it: two incremental averages in a ring of closes."""

from __future__ import annotations

from fairlead.core.arrays import FloatArray
from fairlead.sdk import HOLD, Decision, KernelStrategy, parameter, target_position

_RING = 128
_MASK = _RING - 1


class KernelCrossover(KernelStrategy):
    """Hold 100 shares while the fast average is above the slow one; the first view alone is no cross.

    `state` holds the number of bars seen, the sum of each window, the last view (+1 above, -1 not), and the ring.
    """

    state_size = 4 + _RING
    fast: int = parameter(20, ge=1, le=_RING, doc="Bars in the fast average.")
    slow: int = parameter(50, ge=2, le=_RING, doc="Bars in the slow average.")
    shares: float = parameter(100.0, gt=0, doc="What to hold.")

    @staticmethod
    def decide(close: float, fast: int, slow: int, shares: float, state: FloatArray) -> Decision:
        """Update both sums, and trade when they change places."""
        seen = int(state[0])
        state[0] += 1.0
        ring = state[4:]
        state[1] += close - ring[(seen - fast) & _MASK]
        state[2] += close - ring[(seen - slow) & _MASK]
        ring[seen & _MASK] = close
        if seen + 1 < slow:
            return HOLD
        # Averages compared without a division: sums of prices on the grid are exact.
        view = 1.0 if state[1] * slow > state[2] * fast else -1.0
        before = state[3]
        state[3] = view
        if before in (0.0, view):
            return HOLD
        return target_position(shares if view > 0.0 else 0.0)
