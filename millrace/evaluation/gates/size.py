"""The artefact is small enough to be loaded quickly."""

from __future__ import annotations

from millrace.evaluation.gates.verdict import Verdict
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Gates


def judge(report: Evaluation, gates: Gates) -> Verdict:
    """Passed when model.tar.gz is not empty and at most the workload's bound, in MB."""
    measured, bound = report.size_mb, gates.size.max_mb
    return Verdict(
        name="size",
        passed=0 < measured <= bound,
        measured=measured,
        bound=bound,
        sentence=f"model.tar.gz is {measured:.3f} MB; at most {bound} MB asked",
    )
