"""A teardown's steps: what is ours goes, what only looks like it stays, and twice does no harm."""

from __future__ import annotations

import json
from types import SimpleNamespace

import boto3
from botocore.exceptions import ClientError

from millrace.functions.teardown.steps import stop_running
from millrace.state.pointers import Pointers
from tests.builders import version

ROLE = "arn:aws:iam::123456789012:role"
STRANGER = "millrace-local-electricity-v2"
"""The prefix of a workload `electricity_v2`: its models begin as ours do."""


def model(aws, prefix, number):
    """A model, its configuration and an alarm, as a release of that workload makes them."""
    name = f"{prefix}-v{number}-0-0"
    aws.model(name, f"{name}-live", role=f"{prefix}-model")
    dimensions = [{"Name": "EndpointName", "Value": prefix}]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocation5XXErrors", "Dimensions": dimensions}
    query = {"Id": "m0", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}}
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{name}-live-errors",
        Metrics=[query],
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    return name


def versions(aws):
    models = {one["ModelName"] for one in aws.sagemaker.list_models()["Models"]}
    configs = {one["EndpointConfigName"] for one in aws.sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    return models, configs, {one["AlarmName"] for one in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]}


def until_nothing(handler, event):
    """How often the machine has to come."""
    for turn in range(20):
        if handler(event("teardown"))["found"] == 0:
            return turn
    raise AssertionError("a teardown is never done")


def test_models_of_this_workload_go_and_those_of_a_like_named_stay(aws, load, event):
    ours, theirs = model(aws, aws.names.prefix, 1), model(aws, STRANGER, 1)
    assert until_nothing(load("teardown"), event) == 2, "configurations first, then models"
    assert versions(aws) == ({theirs}, {f"{theirs}-live"}, {f"{theirs}-live-errors"})
    assert ours not in str(versions(aws))


def test_more_than_one_call_can_hold_are_taken_in_turns(aws, load, event, monkeypatch):
    for number in range(1, 6):
        model(aws, aws.names.prefix, number)
    handler = load("teardown")
    monkeypatch.setattr("millrace.functions.teardown.steps.AT_MOST", 2)
    assert until_nothing(handler, event) == 6
    assert versions(aws) == (set(), set(), set())


def test_nobody_is_live_afterwards_and_the_audit_knows_who_was(aws, load, event):
    aws.pointers.move(Pointers(champion=version("2")))
    assert until_nothing(load("teardown"), event) == 1
    assert aws.pointers.read() == Pointers(revision=2)
    (record,) = aws.audit()
    found = ["pointers to version 2"]
    assert (record["event"], record["details"]) == ("teardown.step", {"step": "versions", "found": found})
    assert (record["actor"], record["execution"]) == ("teardown", event("teardown")["execution"])


def test_a_schedule_that_calls_a_function_is_off_too(aws, load, event):
    """The sweep could start a release in the middle; another workload's goes on, though its name begins alike."""
    scheduler = boto3.client("scheduler")
    hourly = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    name, others = (f"{aws.names.prefix}-{function}" for function in ("sweep", "two-sweep"))
    for one, function in ((name, "sweep"), (others, "two-sweep")):
        at = {"Arn": aws.names.function_arn(function), "RoleArn": f"{ROLE}/s"}
        scheduler.create_schedule(Name=one, Target=at, **hourly)
    assert until_nothing(load("teardown"), event) == 1
    assert [scheduler.get_schedule(Name=one)["State"] for one in (name, others)] == ["DISABLED", "ENABLED"]
    (record,) = aws.audit()
    assert record["details"]["found"] == [f"schedule {name}"]


def test_where_nothing_was_ever_made_it_is_done_at_once(aws, load, event, monkeypatch):
    monkeypatch.setenv("MILLRACE_WORKLOAD", "income")
    assert until_nothing(load("teardown"), event) == 0
    assert aws.audit() == []


class Jobs:
    """SageMaker as the role of the function sees it: of another deployment a job may be listed, not stopped."""

    def __init__(self, **jobs):
        self.jobs, self.stopped = jobs, []

    def get_paginator(self, operation):
        kind = operation.removeprefix("list_").removesuffix("_jobs").title().replace("_", "")
        return SimpleNamespace(paginate=lambda StatusEquals: [self._page(kind, StatusEquals)])

    def _page(self, kind, status):
        found = [name for name, job in self.jobs.items() if (job["kind"], job["status"]) == (kind, status)]
        return {f"{kind}JobSummaries": [{f"{kind}JobName": name, f"{kind}JobArn": f"arn:{name}"} for name in found]}

    def list_tags(self, ResourceArn):
        job = self.jobs[ResourceArn[4:]]
        return {"Tags": [{"Key": f"millrace:{key}", "Value": job[key]} for key in ("workload", "deployment")]}

    def stop_training_job(self, TrainingJobName):
        assert self.jobs[TrainingJobName]["deployment"] == "millrace-local-electricity", "AccessDenied"
        self.stopped.append(TrainingJobName)
        if TrainingJobName == "drift":
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": "it has ended"}}, "StopProcessingJob"
            )

    def stop_processing_job(self, ProcessingJobName):
        self.stop_training_job(ProcessingJobName)

    def stop_transform_job(self, TransformJobName):
        self.stop_training_job(TransformJobName)

    def stop_hyper_parameter_tuning_job(self, HyperParameterTuningJobName):
        self.stop_training_job(HyperParameterTuningJobName)


def test_jobs_of_this_workload_and_stage_are_stopped_and_no_other(aws):
    def job(kind, status="InProgress", workload="electricity", stage="local"):
        return {"kind": kind, "status": status, "workload": workload, "deployment": f"millrace-{stage}-{workload}"}

    sagemaker = Jobs(
        ours=job("Training"),
        search=job("HyperParameterTuning"),
        searched=job("HyperParameterTuning", "Completed"),
        searches=job("HyperParameterTuning", workload="income"),
        ending=job("Training", "Stopping"),
        done=job("Training", "Completed"),
        theirs=job("Training", workload="income"),
        prods=job("Training", stage="prod"),
        drift=job("Processing"),
        prods_scores=job("Transform", stage="prod"),
        scores=job("Transform"),
    )
    found = stop_running(lambda service: sagemaker if service == "sagemaker" else boto3.client(service), aws.names)
    # A search first: it would start another training for each that is stopped.
    assert found == [
        "hyper parameter tuning job search",
        "training job ours",
        "training job ending",
        "processing job drift",
        "transform job scores",
    ]
    assert sagemaker.stopped == ["search", "ours", "drift", "scores"]


def test_rules_and_schedules_that_start_a_machine_are_off_others_stay_on(aws, load, event):
    events, scheduler, machine = boto3.client("events"), boto3.client("scheduler"), aws.names.machine_arn("train")
    bus = aws.names.platform.bus
    wanted = {("default", "drop"): aws.names.queue_arn("drops"), (bus, "first"): machine, (bus, "cleanup"): f"{ROLE}/f"}
    for (where, rule), target in wanted.items():
        events.put_rule(Name=rule, EventBusName=where, EventPattern=json.dumps({"source": ["millrace"]}))
        events.put_targets(Rule=rule, EventBusName=where, Targets=[{"Id": "target", "Arn": target}])
    whole = {
        "ScheduleExpression": "cron(0 6 1 * ? *)",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/k",
    }
    for name, target in (("train", machine), ("v2-train", machine.replace("electricity", "electricity-v2"))):
        at = {"Arn": target, "RoleArn": f"{ROLE}/s", "Input": '{"cause": "x"}'}
        scheduler.create_schedule(Name=f"{aws.names.prefix}-{name}", Target=at, **whole)
    assert until_nothing(load("teardown"), event) == 1
    states = {rule: events.describe_rule(Name=rule, EventBusName=where)["State"] for where, rule in wanted}
    assert states == {"drop": "DISABLED", "first": "DISABLED", "cleanup": "ENABLED"}
    after = scheduler.get_schedule(Name=f"{aws.names.prefix}-train")
    assert after["State"] == "DISABLED"
    assert {name: after[name] for name in whole} == whole, "an update that does not name a setting loses it"
    target = {"Arn": machine, "RoleArn": f"{ROLE}/s", "Input": '{"cause": "x"}'}
    assert {name: after["Target"][name] for name in target} == target
    assert scheduler.get_schedule(Name=f"{aws.names.prefix}-v2-train")["State"] == "ENABLED"
