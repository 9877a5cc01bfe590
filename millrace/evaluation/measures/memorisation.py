"""Measures the error on training rows beside the error on test rows."""

from __future__ import annotations

from millrace.datasets.split import spread
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.gates.bounds import Memorisation, MemorisationEvidence
from millrace.evaluation.measures.case import Case
from millrace.features.catalogue import encode


def measure(gate: Memorisation, case: Case) -> MemorisationEvidence:  # noqa: ARG001 - one shape for all measures
    """The gap between both errors, on as many training rows as there are test rows.

    The interval of the gap is the interval of the test error, moved by the train error."""
    rows = spread(case.parts.train, len(case.errors))
    output_NW = case.outputs(encode(case.features, case.table.take(rows)))
    train = float(case.task.errors(output_NW, case.target_N[rows]).mean())
    test = case.bootstrap.mean(case.errors)
    gap = Estimate(value=test.value - train, low=test.low - train, high=test.high - train)
    return MemorisationEvidence(rows=len(rows), train_error=train, gap=gap)
