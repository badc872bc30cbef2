"""Opening numba: quickly, and with everything that it can do."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap


def told_by(code: str) -> dict[str, object]:
    """Run code in a process of its own, which has imported nothing, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=120
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_a_first_feature_does_not_wait_for_linear_algebra_which_is_there_when_it_is_called() -> None:
    told = told_by(
        """
        import json, sys
        import numpy as np
        import fairlead.features as features
        found = features.compute_symbols({"s": "sma"}, {"close": np.ones((1, 50))})
        before = "scipy.linalg" in sys.modules
        import numba as nb
        import numba.np.arraymath, numba.np.linalg
        product = nb.njit(lambda a, b: np.dot(a, b))(np.arange(4.0), np.arange(4.0))
        same = numba.np.arraymath.ensure_blas is numba.np.linalg.ensure_blas
        print(json.dumps({"sma": found["s"][0, 0, -1], "before": before, "product": float(product), "same": same,
                          "asked": numba.np.linalg.ensure_blas.__name__, "after": "scipy.linalg" in sys.modules}))
        """
    )
    assert told == {"sma": 1.0, "before": False, "product": 14.0, "same": True, "asked": "ensure_blas", "after": True}


def test_linear_algebra_that_is_there_already_stays_as_it_is() -> None:
    told = told_by(
        """
        import json
        import scipy.linalg
        from fairlead.core.machine_code import machine_code
        import numba as nb
        import numpy as np
        double = machine_code(nb.float64(nb.float64), kept=False)(lambda x: 2.0 * x)
        inverse = nb.njit(lambda m: np.linalg.inv(m))(np.array([[2.0, 0.0], [0.0, 4.0]]))
        print(json.dumps({"double": double(21.0), "inverse": inverse.tolist()}))
        """
    )
    assert told == {"double": 42.0, "inverse": [[0.5, 0.0], [0.0, 0.25]]}
