"""Dropped objects with their counts, in an order that people expect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millrace.console.environment import Environment
from millrace.console.pages.page import page
from millrace.console.queries.drops import Drop, ReasonCount, count_reasons, find_drops
from millrace.console.queries.executions import Execution, drops_of
from millrace.console.queries.report import WorkloadReport, read_report
from millrace.console.queries.versions import registry_of
from millrace.contract.reasons import Reason
from millrace.contract.violation import QuarantinedRow, of_line
from millrace.datasets.quarantine import QuarantineFile
from millrace.names import MACHINES, WorkloadNames
from tests import builders
from tests.console.conftest import DEV, make_machines, make_stores
from tests.console.executions import together


def test_drops_are_in_the_order_in_which_they_came_whatever_run_began_first(report: WorkloadReport) -> None:
    first, second = report.of("ingest")[:2]
    one, two = replace(first, started=second.started), replace(second, started=first.started)
    names = [drop.name for drop in find_drops([one, two], {})]
    assert names == [drop.name for drop in find_drops([first, second], {})] == [drops_of(first)[0].name, *names[1:]]


def test_each_drop_of_a_run_is_one(report: WorkloadReport) -> None:
    found = find_drops([together(report)], {"b": (ReasonCount(reason="foreign", rows=1, example=""),)})
    assert [(drop.name, drop.accepted, drop.quarantined, drop.rejected) for drop in found] == [
        ("training/a.csv", 1440, 0, ""),
        ("training/b.csv", 0, 0, "foreign"),
    ]


def test_a_drop_that_was_run_again_is_one(report: WorkloadReport) -> None:
    """As the last run that says something left it: also where a third one failed before it could."""
    (first,) = (run for run in report.of("score") if run.input["detail"]["objects"])
    (delivered,) = first.output["delivery"]["answer"]["drops"]

    def again(hours: int, **output: object) -> Execution:
        later = timedelta(hours=hours)
        return replace(first, started=first.started + later, stopped=first.stopped + later, output=output)

    second = again(1, **first.output | {"delivery": {"answer": {"drops": [delivered | {"rows": 334}]}}})
    (drop,) = find_drops([first, again(2), second], {})
    assert drop.accepted == 334
    assert len(find_drops([again(2)], {})) == 1


def test_a_drop_that_adds_no_row_for_another_quarantines_none(report: WorkloadReport) -> None:
    """Also where its bad rows lie in the lake: they count with the object that was judged."""
    run = report.of("ingest")[-1]
    reasons = {
        run.input["detail"]["objects"][0].get("drop_id") or run.name: (
            ReasonCount(reason="type", rows=429, example=""),
        )
    }
    (committed,) = run.output["validation"]["answer"]["drops"]

    def found(**facts: object) -> Drop:
        answer = {"drops": [committed | facts]}
        (drop,) = find_drops([replace(run, output={**run.output, "validation": {"answer": answer}})], reasons)
        return drop

    again = found(duplicate=True, duplicate_of="s3://landing/electricity/training/may.csv?versionId=1", rows_accepted=0)
    assert (again.quarantined, again.reasons, again.repeats) == (0, (), "may.csv")
    late = found(superseded_by="s3://landing/electricity/training/may.csv?versionId=2", rows_accepted=0)
    assert (late.quarantined, late.reasons, late.is_superseded) == (0, (), True)
    assert found().quarantined == 429


def test_reasons_are_counted_by_drop_and_the_most_frequent_is_first(tmp_path: Path) -> None:
    def file(run: str, *came: Reason) -> bytes:
        at, said = datetime(2026, 1, 1, tzinfo=UTC), [of_line(one, "x", str(n)) for n, one in enumerate(came)]
        with QuarantineFile(tmp_path / run, drop_id=run, source="s3://landing/w/a", as_of=at) as kept:
            kept.add(QuarantinedRow(line=2, violations=(one,), raw="{}") for one in said)
        return (tmp_path / run).read_bytes()

    files = [file("a", Reason.RANGE, Reason.TYPE, Reason.TYPE), file("b", Reason.RANGE)]
    said = [(one.reason, one.rows, one.example) for one in count_reasons(files)["a"]]
    assert said == [("type", 2, "expected x, got 1"), ("range", 1, "expected x, got 0")]
    assert {one.reason: one.rows for one in count_reasons(files, by_drop=False)[""]} == {"range": 2, "type": 2}


NAMES = WorkloadNames(platform=DEV, workload="electricity")
CANDIDATE = builders.candidate()


@pytest.fixture
def deployed(environment: Environment) -> Environment:
    make_stores(environment, "lake", "artefacts")
    environment.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    make_machines(environment, NAMES, *MACHINES)
    return environment


def test_a_version_without_its_files_has_a_page(deployed: Environment) -> None:
    """Registered, and its evaluation and artefact expired since."""
    registry_of(deployed, NAMES).register(CANDIDATE)
    (model,) = read_report(deployed, NAMES, question="?").models
    assert (model.version.version, model.evaluation, model.epochs) == ("1", None, ())
    assert "Version 1" in page(read_report(deployed, NAMES, question="?"))
