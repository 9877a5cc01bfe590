"""The monitoring room as it is deployed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from millrace.infra.rules.assembly import read
from millrace.monitoring.alarms import RATIO_ALARMS
from tests.infra.conftest import ELECTRICITY, synthesized

ALARM = "AWS::CloudWatch::Alarm"


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
