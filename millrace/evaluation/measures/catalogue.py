"""The measures by the name of the gate that judges them. Add a measure: one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millrace.evaluation.measures import (
    cases,
    fairness,
    leakage,
    mean_cost,
    memorisation,
    plausibility,
    robustness,
    selective,
    slices,
    value,
)

if TYPE_CHECKING:
    from millrace.evaluation.evidence import Figures
    from millrace.evaluation.gates.catalogue import Gates
    from millrace.evaluation.measures.case import Case

MEASURES: dict[str, Callable[[Any, Case], Figures]] = {
    "slices": slices.measure,
    "fairness": fairness.measure,
    "value": value.measure,
    "selective": selective.measure,
    "robustness": robustness.measure,
    "memorisation": memorisation.measure,
    "leakage": leakage.measure,
    "plausibility": plausibility.measure,
    "cases": cases.measure,
    "mean_cost": mean_cost.measure,
}
"""Each function takes the declared gate and the case, and returns the gate's evidence."""


def measure(gates: Gates, case: Case) -> dict[str, Figures]:
    """The evidence of every declared gate that needs some, by the gate's name, which is a field of the report."""
    return {name: MEASURES[name](gate, case) for name, gate in gates.declared().items() if name in MEASURES}
