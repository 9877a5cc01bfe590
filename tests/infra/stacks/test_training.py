"""The training and release rooms as templates: what starts what, who may do what."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from millrace.messages import delivery
from millrace.names import MACHINES
from millrace.operations.notices import UNWANTED
from tests.infra.conftest import ELECTRICITY, synthesized

Templates = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture
def room(templates: Templates) -> Any:
    """`room("training", "AWS::Events::Rule")`: properties by name of the prod stage."""

    def properties(name: str, kind: str, key: str) -> dict[str, dict[str, Any]]:
        found = templates["prod"][f"millrace-prod-electricity-{name}"]["Resources"].values()
        return {one["Properties"][key]: one["Properties"] for one in found if one["Type"] == kind}

    return properties


def rules(room: Any, name: str) -> dict[str, dict[str, Any]]:
    found = room(name, "AWS::Events::Rule", "Name")
    return {rule.removeprefix("millrace-prod-electricity-"): properties for rule, properties in found.items()}


def statements(room: Any, name: str, role: str) -> list[dict[str, Any]]:
    properties = room(name, "AWS::IAM::Role", "RoleName")[f"millrace-prod-electricity-{role}"]
    return [one for policy in properties["Policies"] for one in policy["PolicyDocument"]["Statement"]]


def test_without_a_schedule_only_alarms_and_requests_start_retrain(tmp_path: Path) -> None:
    folder = tmp_path / "workloads" / "electricity"
    shutil.copytree(ELECTRICITY, folder)
    declared = (folder / "workload.yaml").read_text()
    with_schedule = "  schedule: cron(0 7 1 1,7 ? *)"
    assert with_schedule in declared
    (folder / "workload.yaml").write_text(declared.replace(with_schedule, "  # schedule"))
    synthesized("dev", [folder], tmp_path / "out")
    [made] = (tmp_path / "out").glob("*electricity-training.template.json")
    resources = json.loads(made.read_text())["Resources"].values()
    schedules = [one["Properties"]["Name"] for one in resources if one["Type"] == "AWS::Scheduler::Schedule"]
    assert schedules == ["millrace-dev-electricity-sweep"]


def test_every_rule_has_dead_letters_for_what_it_cannot_deliver(room: Any) -> None:
    targets = [
        target for name in ("training", "release") for rule in rules(room, name).values() for target in rule["Targets"]
    ]
    assert len(targets) >= 5
    assert all(target["DeadLetterConfig"] and target["RetryPolicy"] for target in targets)


def test_every_rule_and_every_schedule_tries_as_long_as_is_told(templates: Templates) -> None:
    """The lease of a first version and the claims of drops last as long as an event may still come."""
    found = [
        (resource["Type"].rpartition("::")[2], target["RetryPolicy"])
        for template in templates["prod"].values()
        for resource in template["Resources"].values()
        if resource["Type"] in {"AWS::Events::Rule", "AWS::Scheduler::Schedule"}
        for target in (resource["Properties"].get("Targets") or [resource["Properties"]["Target"]])
    ]
    told = {"MaximumEventAgeInSeconds": delivery.LONGEST.total_seconds(), "MaximumRetryAttempts": delivery.RETRIES}
    assert {kind for kind, _ in found} == {"Rule", "Schedule"}
    assert [policy for _, policy in found if policy != told] == []


def test_calls_that_are_due_at_once_come_spread(templates: Templates) -> None:
    """Schedules of all workloads name the same minute; what a call judges is the time that was due."""
    windows = {
        resource["Properties"]["Name"]: resource["Properties"]["FlexibleTimeWindow"]
        for template in templates["prod"].values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Scheduler::Schedule"
    }
    assert {"millrace-prod-electricity-monitor", "millrace-prod-electricity-sweep"} <= windows.keys()
    assert {(one["Mode"], one["MaximumWindowInMinutes"]) for one in windows.values()} == {("FLEXIBLE", 15)}


def test_whatever_ends_is_closed(room: Any) -> None:
    detail = rules(room, "training")["cleanup"]["EventPattern"]["detail"]
    assert detail["status"] == ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    assert {arn.rpartition("-")[2] for arn in detail["stateMachineArn"]} == set(MACHINES)


def test_the_sweep_hears_of_what_people_are_told(room: Any) -> None:
    """The same machines and statuses as the notice; what reached neither of the two rules it finds in the lists."""
    rule = rules(room, "training")["failed-runs"]
    detail = rule["EventPattern"]["detail"]
    assert rule["EventPattern"]["source"] == ["aws.states"]
    assert detail["status"] == list(UNWANTED)
    assert {arn.rpartition("-")[2] for arn in detail["stateMachineArn"]} == set(MACHINES)
    assert rule["Targets"][0]["Arn"].endswith("function:millrace-prod-electricity-sweep")
    listing = [one for one in statements(room, "training", "training") if "states:ListExecutions" in one["Action"]]
    listed = [arn.rpartition(":stateMachine:")[2] for one in listing for arn in one["Resource"]]
    assert {name.rpartition("-")[2] for name in listed} == set(MACHINES)


@pytest.mark.parametrize(("name", "role"), [("training", "training"), ("training", "snapshot"), ("release", "release")])
def test_a_function_reaches_only_its_workload_s_items(room: Any, name: str, role: str) -> None:
    for one in statements(room, name, role):
        if "table/millrace-prod-state" in json.dumps(one["Resource"]):
            assert one["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["electricity"]}}


def test_audit_records_can_only_be_added(room: Any) -> None:
    for name, role in (("training", "training"), ("training", "snapshot"), ("release", "release")):
        audit = [
            one for one in statements(room, name, role) if "table/millrace-prod-audit" in json.dumps(one["Resource"])
        ]
        actions = {action for one in audit for action in one["Action"]}
        assert {"dynamodb:PutItem"} <= actions <= {"dynamodb:PutItem", "dynamodb:Query"}
