"""Measures the error on damaged test rows: with noise on numbers and pixels, and with cells that are missing.

The seed of the damage is fixed: equal rows are damaged equally."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from millrace.datasets.split import spread
from millrace.evaluation.gates.robustness import PerturbedFigures, Robustness, RobustnessEvidence
from millrace.evaluation.measures.case import Case, Tensors
from millrace.features.catalogue import encode, signature
from millrace.features.tensors import ENTRIES

Array = npt.NDArray[Any]

MOST_ROWS = 5_000
"""The most training rows that the standard deviations are taken from."""
SEED = 7


def measure(gate: Robustness, case: Case) -> RobustnessEvidence:
    """The error and its rise for each declared damage."""
    return RobustnessEvidence(damaged=tuple(_figures(case, name, tensors) for name, tensors in _damaged(gate, case)))


def _figures(case: Case, name: str, tensors: Tensors) -> PerturbedFigures:
    errors_T = case.task.errors(case.outputs(tensors), case.test_targets)
    # The rise is paired: the same rows, damaged and undamaged, in the same draws.
    return PerturbedFigures(
        damage=name, error=case.bootstrap.mean(errors_T), rise=case.bootstrap.mean(errors_T - case.errors)
    )


def _damaged(gate: Robustness, case: Case) -> Iterator[tuple[str, Tensors]]:
    """The name of each declared damage, and the tensors of the test rows with that damage.

    Each kind of tensor says itself what noise and emptying do to its entries (`millrace/features/tensors.py`)."""
    specs = {spec.name: spec for spec in signature(case.features)}
    if gate.noise is not None:
        rng, spread = np.random.default_rng(SEED), _spread(case)
        noisy = {
            name: ENTRIES[specs[name].kind].noisy(x, spread.get(name), gate.noise, rng)
            for name, x in case.test_tensors.items()
        }
        yield f"noise of {gate.noise:g} standard deviations", noisy
    if gate.missing is not None:
        # One generator for all tensors, in their order: the seed fixes every draw. The second `for` only names `spec`.
        rng = np.random.default_rng(SEED)
        emptied = {
            name: ENTRIES[spec.kind].emptied(x, spec, rng.random(x.shape) < gate.missing)
            for name, x in case.test_tensors.items()
            for spec in (specs[name],)
        }
        yield f"{gate.missing:.0%} missing cells", emptied


def _spread(case: Case) -> dict[str, Array]:
    """The standard deviation of each number over training rows, by tensor; only float32 tensors have one."""
    rows = spread(case.parts.train, MOST_ROWS)
    tensors = encode(case.features, case.table.take(rows))
    floats = {name: x.astype(np.float64) for name, x in tensors.items() if x.dtype == np.float32}
    return {name: np.sqrt(np.nanmean((x - np.nanmean(x, axis=0)) ** 2, axis=0)) for name, x in floats.items()}
