"""Titles of runs."""

from dataclasses import replace
from typing import Any

import pytest

from console.presenters.run_title import run_title, titled
from console.queries.report import WorkloadReport
from tests.console.conftest import NAMES


def test_a_run_has_its_machine_and_its_subject(report: WorkloadReport) -> None:
    found = {titled(report.names, run) for run in report.runs}
    assert {"ingest labels/1997-05.csv", "train alarm", "release version 2", "retrain schedule"} < found


def test_a_machine_without_words_has_its_name(report: WorkloadReport) -> None:
    assert titled(report.names, replace(report.of("train")[0], machine="audit")) == "audit"


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("ingest", {"detail": {"objects": [{"key": "electricity/labels/1997-05.csv"}]}}, "labels/1997-05.csv"),
        ("score", {"detail": {"objects": [{"key": "electricity/scoring/week.csv"}]}}, "scoring/week.csv"),
        ("score", {}, "the newest drop"),
        ("train", {"reason": "alarm"}, "alarm"),
        ("train", {"detail": {"rows_total": 7}}, "first"),
        ("train", {}, "command"),
        ("retrain", {"detail": {"alarmName": "millrace-local-electricity-input-drift"}}, "alarm input-drift"),
        ("retrain", {"detail": {"alarms": ["millrace-local-electricity-error"]}}, "alarm error"),
        ("retrain", {"detail": {"schedule": "retrain"}}, "schedule"),
        ("retrain", {"reason": "alarm"}, "alarm"),
        ("retrain", {"cause": "command"}, "command"),
        ("release", {"detail": {"version": "2", "package_arn": "arn/2"}}, "version 2"),
        ("release", {"detail": {"package_arn": "arn:aws:sagemaker:model-package/g/3"}}, "version 3"),
        ("release", {}, ""),
        ("monitor", {"as_of": "1997-05-15T06:00:00Z"}, "windows until 1997-05-15"),
        ("monitor", {}, ""),
        ("of tomorrow", {}, ""),
        ("train", {"detail": "text"}, "command"),
    ],
)
def test_what_a_run_is_about(name: str, given: dict[str, Any], told: str) -> None:
    assert run_title(NAMES, name, given) == told
