"""A declared stream has a function that reads it alone, dead letters and alarms; without one there is nothing new."""

from __future__ import annotations

import json
from typing import Any

from localcloud.kinesis.streams import ACTIONS
from millrace.infra.constructs.notifications import NOTIFYING
from millrace.operations.alarms import STREAM_ALARMS
from tests.infra.stacks.test_consumers import NAMES, named, permissions, resources

__all__ = ["resources"]
Resources = dict[str, list[dict[str, Any]]]


def test_a_record_that_fails_is_isolated_tried_and_at_last_named(resources: Resources) -> None:
    mapping = named(resources["AWS::Lambda::EventSourceMapping"], "FunctionName", NAMES.function_arn("stream"))
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] >= 1
    assert 3600 <= mapping["MaximumRecordAgeInSeconds"] < 24 * 3600, "the stream keeps a record for a day"
    landing = NAMES.platform.bucket("landing")
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == f"arn:aws:s3:::{landing}", "with the records"
    rule = named(resources["AWS::Events::Rule"], "Name", f"{NAMES.prefix}-given-up")
    assert rule["EventPattern"]["detail"]["bucket"]["name"] == [landing]
    assert [one["Arn"] for one in rule["Targets"]] == [NAMES.queue_arn("rows-dead")]


def test_the_function_reads_its_stream_and_writes_decisions_and_dead_letters(resources: Resources) -> None:
    found = permissions(resources, "stream")
    of_streams = {one for one in found if one[0].startswith("kinesis:")}
    assert of_streams == {
        *((f"kinesis:{action}", NAMES.stream_arn) for action in ACTIONS),
        ("kinesis:ListStreams", "*"),
    }
    sent = {arn for action, arn in found if action == "sqs:SendMessage"}
    assert sent == {NAMES.queue_arn("rows-dead"), NAMES.queue_arn("decisions")}
    landing = NAMES.platform.bucket_arn("landing")
    kept = {("s3:PutObject", f"{landing}/aws/lambda/*"), ("s3:ListBucket", landing)}
    assert kept <= found
    requests = {one for one in permissions(resources, "prediction") if one not in found}
    others = {one for one in requests if "/aws/lambda/" not in one[1] and "jobs" not in one[1]}
    lake = NAMES.platform.bucket_arn("lake")
    looks_up = {("s3:ListBucket", lake), ("s3:GetObject", f"{lake}/electricity/decisions/*")}
    assert others <= looks_up, "it may decide rows as requests do"


def test_its_alarms_read_its_dead_letters_and_its_age(resources: Resources) -> None:
    for name, alarm in STREAM_ALARMS.items():
        made = named(resources["AWS::CloudWatch::Alarm"], "AlarmName", NAMES.alarm(name))
        read_metrics = [query["MetricStat"]["Metric"] for query in made["Metrics"]]
        assert [one["MetricName"] for one in read_metrics] == [one.name for one in alarm.metrics(NAMES)]
        assert name in NOTIFYING


def test_a_workload_without_a_stream_has_nothing_of_it(templates: dict[str, Any]) -> None:
    for stage in ("local", "dev", "prod"):
        said = json.dumps(templates[stage])
        assert "AWS::Kinesis" not in said
        assert "-rows-dead" not in said
