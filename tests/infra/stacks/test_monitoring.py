"""The monitoring room as it is deployed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

from millrace.infra.rules.assembly import read
from millrace.monitoring.alarms import COUNT_ALARMS, FLOOR, RATIO_ALARMS, monitor_alarms
from tests.infra.conftest import ELECTRICITY, statements_of, synthesized

Templates = dict[str, dict[str, dict[str, Any]]]
STAGES = ("local", "dev", "prod")
ALARM = "AWS::CloudWatch::Alarm"


def resources(templates: Templates, stage: str, kind: str) -> list[dict[str, Any]]:
    template = templates[stage][f"millrace-{stage}-electricity-monitoring"]
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]


@pytest.mark.parametrize("stage", STAGES)
def test_alarms_on_ratios_have_the_threshold_1(templates: Templates, stage: str) -> None:
    """So no alarm depends on the version that is live: what a monitor publishes is divided by its version's bound."""
    made = {one["AlarmName"]: one for one in resources(templates, stage, ALARM)}
    ours = {name: made[f"millrace-{stage}-electricity-{name}"] for name in monitor_alarms(None)}
    thresholds = {name: alarm["Threshold"] for name, alarm in ours.items()}
    assert thresholds == dict.fromkeys(RATIO_ALARMS, 1) | dict.fromkeys(COUNT_ALARMS.keys() - {FLOOR}, 0)
    read = [alarm["Metrics"][0]["MetricStat"]["Metric"]["Namespace"] for alarm in ours.values()]
    assert set(read) == {f"Millrace/{stage}"}


@pytest.mark.parametrize("stage", STAGES)
def test_the_windows_know_which_lines_were_absorbed(templates: Templates, stage: str) -> None:
    """Who lists the decisions of a day reads the references to files of absorbed lines."""
    statements = statements_of(templates, stage)["plan_windows"]
    read = str([one["Resource"] for one in statements if "s3:GetObject" in one["Action"]])
    assert "/electricity/decisions/date=*/_*.absorbed" in read


def test_an_alarm_that_is_added_is_deployed_and_starts_the_retraining(
    unlabelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry of the table: the monitor may look at the alarm, and its state change matches a rule.

    One that starts no retraining is deployed and nothing else."""
    quiet = replace(RATIO_ALARMS[unlabelled], metric="Quiet", starts_retraining=False)
    monkeypatch.setitem(RATIO_ALARMS, "quiet", quiet)
    synthesized("dev", [ELECTRICITY], tmp_path)
    found = {stack.name: stack for stack in read(tmp_path)}
    monitoring, training = (
        found[f"millrace-dev-electricity-{room}"].template["Resources"].values() for room in ("monitoring", "training")
    )
    name = f"millrace-dev-electricity-{unlabelled}"
    made = {one["Properties"]["AlarmName"]: one["Properties"] for one in monitoring if one["Type"] == ALARM}
    alarm = made[name]
    assert alarm["Metrics"][0]["MetricStat"]["Metric"]["MetricName"] == "Unlabelled"
    assert alarm["AlarmDescription"].startswith("electricity: more than half of the decisions have no label (look; ")
    policies = [policy for one in monitoring for policy in one["Properties"].get("Policies", [])]
    allowed = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    (describe,) = (one["Resource"] for one in allowed if "cloudwatch:DescribeAlarms" in one["Action"])
    assert any(arn.endswith(f":alarm:{name}") for arn in describe)
    patterns = [one["Properties"]["EventPattern"] for one in training if one["Type"] == "AWS::Events::Rule"]
    started = {alarm for pattern in patterns for alarm in pattern.get("detail", {}).get("alarmName", [])}
    assert name in started
    silent = "millrace-dev-electricity-quiet"
    assert silent in made
    assert silent not in started
    assert not any(arn.endswith(f":alarm:{silent}") for arn in describe)


@pytest.mark.parametrize("stage", STAGES)
def test_the_schedule_says_when_it_was_due(template_of: Callable[[str, str], Template], stage: str) -> None:
    due = Match.serialized_json(Match.object_like({"as_of": "<aws.scheduler.scheduled-time>"}))
    schedule = {
        "Name": f"millrace-{stage}-electricity-monitor",
        "ScheduleExpression": "cron(0 6 1,15 * ? *)",
        "Target": {"Input": due},
    }
    template_of(stage, "electricity-monitoring").has_resource_properties("AWS::Scheduler::Schedule", schedule)


@pytest.mark.parametrize("stage", STAGES)
def test_every_data_permission_is_below_the_workload_s_prefix(templates: Templates, stage: str) -> None:
    objects = [
        one
        for role in resources(templates, stage, "AWS::IAM::Role")
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for one in (statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]])
        if isinstance(one, str) and one.startswith("arn:aws:s3:::") and "/" in one
    ]
    assert objects
    assert {one for one in objects if "/electricity/" not in one} == set()
