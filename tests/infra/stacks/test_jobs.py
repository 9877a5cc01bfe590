"""Declared jobs have a queue and a function; without them there is nothing new."""

from __future__ import annotations

import json
from typing import Any

from millrace.contract.load import load_contract
from millrace.operations.alarms import JOB_ALARMS
from millrace.workload.ends import EndJobs
from millrace.workload.load import load_workload
from millrace.workload.openapi import openapi
from tests.infra.conftest import ELECTRICITY
from tests.infra.stacks.test_consumers import NAMES, named, permissions, resources

__all__ = ["resources"]
Resources = dict[str, list[dict[str, Any]]]


def test_the_functions_reach_jobs_of_their_workload_alone(resources: Resources) -> None:
    for owner in ("prediction", "jobs"):
        objects = {arn for action, arn in permissions(resources, owner) if action in ("s3:GetObject", "s3:PutObject")}
        told = {"decisions"} if owner == "prediction" else set()  # to callers of the REST API
        assert {arn.partition(":::")[2] for arn in objects} == {
            f"{NAMES.platform.bucket('lake')}/electricity/{folder}/*" for folder in {"staging/jobs", *told}
        }
    sent = {arn for action, arn in permissions(resources, "prediction") if action == "sqs:SendMessage"}
    assert sent == {NAMES.queue_arn("jobs"), NAMES.queue_arn("decisions")}
    assert {one[1] for one in permissions(resources, "jobs") if one[0] == "events:PutEvents"} == {
        NAMES.platform.bus_arn
    }


def test_its_alarms_read_its_queues(resources: Resources) -> None:
    for name, alarm in JOB_ALARMS.items():
        made = named(resources["AWS::CloudWatch::Alarm"], "AlarmName", NAMES.alarm(name))
        read = [query["MetricStat"]["Metric"]["Dimensions"][0]["Value"] for query in made["Metrics"]]
        assert read == [one.dimensions["QueueName"] for one in alarm.metrics(NAMES)]


def test_a_workload_without_jobs_has_nothing_of_them(templates: dict[str, Any]) -> None:
    for stage in ("local", "dev", "prod"):
        assert "-jobs" not in json.dumps(templates[stage][f"millrace-{stage}-electricity-serving"])


def test_the_document_has_jobs_where_they_are_declared() -> None:
    workload, contract = load_workload(ELECTRICITY), load_contract(ELECTRICITY)
    assert list(openapi(workload, contract)["paths"]) == ["/electricity/predictions", "/electricity/decisions/{id}"]
    declared = openapi(workload.model_copy(update={"jobs": EndJobs()}), contract)
    assert {path: list(methods) for path, methods in declared["paths"].items()} == {
        "/electricity/predictions": ["post"],
        "/electricity/jobs": ["post"],
        "/electricity/jobs/{id}": ["get"],
        "/electricity/decisions/{id}": ["get"],
    }
