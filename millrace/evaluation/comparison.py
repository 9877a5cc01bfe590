"""Compares the errors of challenger and champion on the same rows, with a bound by a bootstrap over blocks of rows.

Axes: N rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from millrace.evaluation.bootstrap import Bootstrap
from millrace.evaluation.report import Comparison

Errors = npt.NDArray[np.float64]
Blocks = npt.NDArray[np.intp]


def compare(
    champion_N: Errors, challenger_N: Errors, block_N: Blocks, *, confidence: float, rows_N: Errors | None = None
) -> Comparison:
    """The comparison of both models' errors, row by row; or of sums of errors, each over so many rows.

    The bound is the percentile bootstrap over the blocks of the rows: days, entities, or successive rows. With fewer
    than five blocks it is NaN. The seed is fixed: equal rows have an equal bound."""
    improvement_N = champion_N - challenger_N
    bootstrap = Bootstrap(block_N)
    rows = len(improvement_N) if rows_N is None else int(rows_N.sum())
    return Comparison(
        rows=rows,
        error=float(champion_N.sum() / rows),
        challenger_error=float(challenger_N.sum() / rows),
        difference=float(improvement_N.sum() / rows),
        lower_bound=bootstrap.lower_bound(improvement_N, rows_N, confidence=confidence),
        blocks=bootstrap.blocks,
    )
