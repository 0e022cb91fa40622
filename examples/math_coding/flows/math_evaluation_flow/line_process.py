"""Was a number computed, and is it the right one?"""

from __future__ import annotations

import math

from genaiops.flows import tool


@tool
def line_process(groundtruth: str, prediction: str) -> dict[str, int]:
    try:
        found = float(prediction)
    except ValueError:
        return {"computed": 0, "correct": 0}
    return {"computed": 1, "correct": int(math.isclose(found, float(groundtruth), rel_tol=1e-9))}
