"""Titles of runs."""

from dataclasses import replace

from console.queries.report import WorkloadReport
from console.queries.run_title import titled


def test_a_run_has_its_machine_and_its_subject(report: WorkloadReport) -> None:
    found = {titled(report.names, run) for run in report.runs}
    assert {"ingest labels/1997-05.csv", "train alarm", "release version 2", "retrain schedule"} < found


def test_a_machine_without_words_has_its_name(report: WorkloadReport) -> None:
    assert titled(report.names, replace(report.of("train")[0], machine="audit")) == "audit"
