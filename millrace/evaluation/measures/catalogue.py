"""The measures: of each gate that names its evidence, the function `measure` of the file here with the gate's name.

It takes the declared gate and the case, and returns the evidence."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from millrace.evaluation.evidence import GateEvidence
from millrace.evaluation.gates.catalogue import Gates
from millrace.evaluation.measures.case import Case


def measure(gates: Gates, case: Case) -> dict[str, GateEvidence]:
    """The evidence of every declared gate that needs some, by the gate's name, which is a part of the report."""
    return {name: measure_of(name)(gate, case) for name, gate in gates.declared().items() if gate.evidence}


def measure_of(gate: str) -> Callable[[Any, Case], GateEvidence]:
    """The measure of the gate with this name."""
    return import_module(f"{__package__}.{gate}").measure  # type: ignore[no-any-return]
