"""The error on damaged test rows: noise on numbers and pixels, cells that are missing. The seed is fixed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from millrace.evaluation.evidence import PerturbedFigures, RobustnessEvidence
from millrace.features.catalogue import encode, signature
from millrace.features.tensors.catalogue import ENTRIES

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.evaluation.gates.robustness import Robustness
    from millrace.evaluation.measures.case import Case, Tensors

    Array = npt.NDArray[Any]

MOST_ROWS = 5_000
"""Training rows that the standard deviations are of."""
SEED = 7


def measure(gate: Robustness, case: Case) -> RobustnessEvidence:
    """One entry for each declared damage."""
    return RobustnessEvidence(damaged=tuple(_figures(case, name, tensors) for name, tensors in _damaged(gate, case)))


def _figures(case: Case, name: str, tensors: Tensors) -> PerturbedFigures:
    errors_T = case.task.errors(case.outputs(tensors), case.test_targets)
    return PerturbedFigures(
        damage=name, error=case.bootstrap.mean(errors_T), rise=case.bootstrap.mean(errors_T - case.errors)
    )


def _damaged(gate: Robustness, case: Case) -> Iterator[tuple[str, Tensors]]:
    specs = {spec.name: spec for spec in signature(case.features)}
    if gate.noise is not None:
        rng, spread = np.random.default_rng(SEED), _spread(case)
        noisy = {
            name: ENTRIES[specs[name].kind].noisy(x, spread.get(name), gate.noise, rng)
            for name, x in case.test_tensors.items()
        }
        yield f"noise of {gate.noise:g} standard deviations", noisy
    if gate.missing is not None:
        rng = np.random.default_rng(SEED)
        emptied = {
            name: ENTRIES[spec.kind].emptied(x, spec, rng.random(x.shape) < gate.missing)
            for name, x in case.test_tensors.items()
            for spec in (specs[name],)
        }
        yield f"{gate.missing:.0%} missing cells", emptied


def _spread(case: Case) -> dict[str, Array]:
    """The standard deviation of each number in the training rows."""
    rows = case.spread(case.parts.train, MOST_ROWS)
    tensors = encode(case.features, case.table.take(rows))
    floats = {name: x.astype(np.float64) for name, x in tensors.items() if x.dtype == np.float32}
    return {name: np.sqrt(np.nanmean((x - np.nanmean(x, axis=0)) ** 2, axis=0)) for name, x in floats.items()}
