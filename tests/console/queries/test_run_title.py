"""Titles of runs."""

from dataclasses import replace

import pytest

from console.queries.report import WorkloadReport
from console.queries.run_title import SUBJECTS, titled
from millrace.names import MACHINES


@pytest.mark.parametrize("machine", MACHINES)
def test_every_machine_has_its_words(machine: str) -> None:
    assert machine in SUBJECTS, f"add to SUBJECTS what an execution of {machine!r} is about"


def test_a_machine_without_words_has_its_name(report: WorkloadReport) -> None:
    assert titled(report.names, replace(report.of("train")[0], machine="audit")) == "audit"
