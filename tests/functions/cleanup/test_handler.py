"""The closing function: what an execution held is free after its end."""

from __future__ import annotations

from datetime import timedelta

import boto3
import pytest

from millrace.timestamps import moment

AS_OF = moment("1997-06-01T06:01:00Z")


def test_a_failed_execution_holds_nothing_any_more(aws, load, event):
    ended = event("cleanup")
    holder = ended["detail"]["executionArn"]
    aws.state.take_lease("retrain", holder=holder, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    aws.state.take_slot("ingest", holder=holder, limit=2)
    aws.state.take_lease("release", holder="another", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    handler = load("cleanup")
    assert sorted(handler(ended)["freed"]) == ["lease#retrain", "slots#ingest"]
    assert handler(ended) == {"freed": []}
    assert aws.state.lease("release").holder == "another"


@pytest.fixture
def challenger(aws):
    """An endpoint that a release left behind."""
    aws.sagemaker.create_model(
        ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/x", PrimaryContainer={"Image": "i"}
    )
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[
            {"VariantName": "main", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ],
    )
    aws.sagemaker.create_endpoint(EndpointName=aws.names.challenger, EndpointConfigName="c")


def release_ended(aws, event, status):
    ended = event("cleanup")
    ended["detail"] |= {"stateMachineArn": aws.names.machine_arn("release"), "status": status}
    return ended


def test_a_failed_release_leaves_no_challenger(aws, load, event, challenger):
    config = f"{aws.names.prefix}-v2-5d2c7e-0-0-live"
    for name in (f"{config}-errors", f"{config}-latency", f"{aws.names.prefix}-v2-input-drift"):
        boto3.client("cloudwatch").put_metric_alarm(
            AlarmName=name, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=0, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
    freed = load("cleanup")(release_ended(aws, event, "FAILED"))["freed"]
    assert freed == [
        f"endpoint {aws.names.challenger}",
        f"alarm {config}-errors",
        f"alarm {config}-latency",
    ]
    assert aws.sagemaker.list_endpoints()["Endpoints"] == []
    assert load("cleanup")(release_ended(aws, event, "FAILED")) == {"freed": []}


def test_a_failed_release_is_audited_once(aws, load, event):
    handler = load("cleanup")
    assert handler(release_ended(aws, event, "FAILED")) == handler(release_ended(aws, event, "FAILED"))
    handler(event("cleanup"))
    (record,) = aws.audit()
    assert (record["what"], record["as_of"]) == ("release.failed", event("cleanup")["as_of"])
    assert record["who"].endswith("electricity-retrain:c4c1c1c9")
    assert record["details"] == {
        "status": "FAILED", "error": "States.TaskFailed", "cause": "the training job failed", "input": "{}",
    }  # fmt: skip


def test_a_release_that_succeeded_cleans_up_itself(aws, load, event, challenger):
    assert load("cleanup")(release_ended(aws, event, "SUCCEEDED")) == {"freed": []}
    assert aws.audit() == []


def test_the_challenger_of_a_release_that_runs_stays(aws, load, event, challenger):
    aws.state.take_lease("release", holder="redriven", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    assert load("cleanup")(release_ended(aws, event, "TIMED_OUT")) == {"freed": []}


def test_a_running_execution_is_no_end(load, event):
    running = event("cleanup")
    running["detail"]["status"] = "RUNNING"
    with pytest.raises(ValueError, match="status"):
        load("cleanup")(running)
