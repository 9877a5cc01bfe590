"""Runs that ended before drops went together are read as those of today."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.pages.timeline import timeline
from console.presenters.outcome import outcome
from console.queries.answers import drops_of
from console.queries.report import WorkloadReport
from tests.console.conftest import renewed


@pytest.fixture(scope="module")
def former() -> Any:
    """The answers that two runs of the stored report gave at that time, by the name of the drop."""
    return json.loads(Path(__file__).with_name("former_answers.json").read_text())


def test_a_report_of_former_runs_is_the_same(report: WorkloadReport, former: Any) -> None:
    def as_before(run: Any) -> Any:
        names = [drop.name for drop in drops_of(run)]
        return replace(run, output={**run.output, **former[names[0]]}) if names and names[0] in former else run

    old = renewed(replace(report, runs=[as_before(run) for run in report.runs]))
    assert sum(before != now for before, now in zip(old.runs, report.runs, strict=True)) == len(former)
    assert old.drops == report.drops
    assert timeline(old) == timeline(report)
    assert [outcome(run) for run in old.runs] == [outcome(run) for run in report.runs]


def test_a_former_drop_that_was_rejected_says_why(report: WorkloadReport, former: Any) -> None:
    run = next(run for run in report.of("ingest") if "1997-05" in str(run.input))
    read = former["labels/1997-05.csv"]["ingestion"]["answer"]
    words = {"expected": "Parquet or CSV", "got": "PNG"}
    rejected = {**read, "rejected": True, "reason": "foreign", "parsed": 0}
    for answer, detail in ((rejected, ""), (rejected | words, "expected Parquet or CSV, got PNG")):
        found = outcome(replace(run, output={"ingestion": {"answer": answer}}))
        assert found.text == "nothing accepted, the whole file quarantined (foreign)"
        assert (found.detail, found.is_refused) == (detail, True)
