"""Kinesis streams as event sources: order, partial failures, halves, retries, age, the place of what is given up."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.kinesis import install as streams
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import until

SOURCE = """
import base64, json
seen = []
def handler(event, context):
    records = event["Records"]
    words = [base64.b64decode(one["kinesis"]["data"]).decode() for one in records]
    print("BATCH", json.dumps(words))
    print("FIRST", json.dumps(records[0]))
    if "breaks" in words:
        raise RuntimeError("breaks")
    if "once" in words and "once" not in seen:
        seen.append("once")
        number = records[words.index("once")]["kinesis"]["sequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": number}]}
"""


DEFAULTS: dict[str, Any] = {"StartingPosition": "TRIM_HORIZON", "FunctionResponseTypes": ["ReportBatchItemFailures"]}


class Fed:
    """A stream, and a function to feed. Records of one partition key are of one shard."""

    def __init__(self, aws: Resources, *, reads: bool = True, lists: bool = True) -> None:
        self.cloud, self.stream, self._client = aws.cloud, aws.fresh("rows"), aws.client
        aws.client("kinesis").create_stream(StreamName=self.stream, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        self.arn = f"arn:aws:kinesis:eu-west-1:123456789012:stream/{self.stream}"
        self.letters, self.bucket = aws.queue(), aws.bucket()
        self.dead_arn, self.bucket_arn = self.letters.arn, f"arn:aws:s3:::{self.bucket}"
        actions = [f"kinesis:{one}" for one in streams.ACTIONS if reads or one != "GetRecords"]
        rights = [allow(actions, self.arn), allow("kinesis:ListStreams"), allow("sqs:SendMessage", self.dead_arn)]
        rights += [allow("s3:PutObject", f"{self.bucket_arn}/aws/lambda/*")]
        rights += [allow("s3:ListBucket", self.bucket_arn)] if lists else []
        self.name = aws.function(SOURCE, *rights)
        self.logged, self.dead = partial(aws.printed, self.name), self.letters.bodies

    def feed(self, **settings: Any) -> str:
        made = self._client("lambda").create_event_source_mapping(
            EventSourceArn=self.arn,
            FunctionName=self.name,
            **{name: value for name, value in (DEFAULTS | settings).items() if value is not None},
        )
        return str(made["UUID"])

    def put(self, *words: str, keyed: bool = False) -> None:
        """With `keyed` each record has a partition key of its first letter; without, all have one."""
        entries = [{"Data": word.encode(), "PartitionKey": word[0] if keyed else "one"} for word in words]
        self._client("kinesis").put_records(StreamName=self.stream, Records=entries)

    def batches(self) -> list[list[str]]:
        found: list[list[str]] = self.logged("BATCH")
        return found

    def rests(self) -> bool:
        return bool(self.batches()) and not self.cloud.part(streams.Streams).pending()

    def kept(self) -> dict[str, dict[str, Any]]:
        """The invocation records in the bucket, by their keys."""
        s3 = self._client("s3")
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]
        return {key: json.loads(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()) for key in keys}


@pytest.fixture
def fed(aws: Resources) -> Fed:
    return Fed(aws)


def test_records_come_in_order_with_their_place_and_time(fed: Fed) -> None:
    fed.put("a", "b", "c")
    fed.feed(BatchSize=2)
    until(fed.rests)
    assert fed.batches() == [["a", "b"], ["c"]]
    first = fed.logged("FIRST")[0]
    shard, _, number = first["eventID"].partition(":")
    assert shard.startswith("shardId-")
    assert number == first["kinesis"]["sequenceNumber"]
    assert abs(first["kinesis"]["approximateArrivalTimestamp"] - fed.cloud.clock.timestamp()) < 600


def test_what_follows_a_record_that_failed_comes_again_and_what_was_before_does_not(fed: Fed) -> None:
    fed.put("a", "once", "b")
    fed.feed(BisectBatchOnFunctionError=True)
    until(fed.rests)
    assert fed.batches() == [["a", "once", "b"], ["once", "b"]]


def test_a_record_at_which_the_function_breaks_is_found_by_halves_and_given_up_alone(fed: Fed) -> None:
    fed.put("a", "b", "breaks", "c")
    fed.feed(
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": fed.dead_arn}},
    )
    until(fed.rests)
    assert fed.batches() == [["a", "b", "breaks", "c"], ["a", "b"], ["breaks", "c"], ["breaks"], ["breaks"], ["c"]]
    (letter,) = fed.dead()
    said = letter["KinesisBatchInfo"]
    assert letter["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert said["startSequenceNumber"] == said["endSequenceNumber"] == "3"
    assert (said["batchSize"], said["streamArn"]) == (1, fed.arn)
    assert "breaks" not in json.dumps(letter), "the place, not the record"


def test_without_halves_its_whole_batch_is_given_up(fed: Fed) -> None:
    fed.put("a", "breaks")
    fed.feed(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": fed.dead_arn}})
    until(fed.rests)
    assert fed.batches() == [["a", "breaks"]]
    assert [one["KinesisBatchInfo"]["batchSize"] for one in fed.dead()] == [2]


def test_a_bucket_gets_the_records_too(fed: Fed) -> None:
    fed.put("a", "breaks")
    mapping = fed.feed(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": fed.bucket_arn}})
    until(fed.rests)
    ((key, said),) = fed.kept().items()
    assert re.fullmatch(rf"aws/lambda/{mapping}/shardId-\d+/\d{{4}}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[-0-9a-f]{{36}}", key)
    assert said["KinesisBatchInfo"]["batchSize"] == 2
    records = json.loads(said["payload"])["Records"]
    assert [base64.b64decode(one["kinesis"]["data"]) for one in records] == [b"a", b"breaks"]


def test_a_role_that_may_not_list_the_bucket_loses_the_records(aws: Resources) -> None:
    fed = Fed(aws, lists=False)
    fed.put("breaks")
    fed.feed(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": fed.bucket_arn}})
    until(fed.rests)
    assert fed.kept() == {}


def test_a_record_that_is_too_old_is_given_up_unseen(fed: Fed) -> None:
    fed.put("old")
    fed.cloud.clock.set(fed.cloud.clock.now() + timedelta(hours=2))
    fed.put("new")
    fed.feed(MaximumRecordAgeInSeconds=3600, DestinationConfig={"OnFailure": {"Destination": fed.dead_arn}})
    until(fed.rests)
    assert fed.batches() == [["new"]]
    assert [one["requestContext"]["condition"] for one in fed.dead()] == ["RecordAgeExceeded"]


def test_a_role_that_may_not_read_gets_no_mapping_and_a_setting_without_cover_is_refused(
    aws: Resources, fed: Fed
) -> None:
    with pytest.raises(ClientError, match="does not have permissions to call GetRecords on Kinesis"):
        Fed(aws, reads=False).feed()
    for settings, why in (
        ({"TumblingWindowInSeconds": 30}, "TumblingWindowInSeconds is not covered"),
        ({"ParallelizationFactor": 11}, "less than or equal to 10"),
        ({"MaximumRecordAgeInSeconds": 59}, "or 60 at least"),
        ({"ScalingConfig": {"MaximumConcurrency": 2}}, "Unsupported parameter"),
        ({"StartingPosition": None}, "startingPosition"),
    ):
        with pytest.raises(ClientError, match=why):
            fed.feed(**settings)


def test_with_several_calls_at_once_for_a_shard_only_a_partition_key_keeps_its_order(fed: Fed) -> None:
    words = [f"{key}-{number}" for number in range(3) for key in "abcd"]
    fed.put(*words, keyed=True)
    fed.feed(ParallelizationFactor=10)
    until(fed.rests)
    came = [word for batch in fed.batches() for word in batch]
    assert sorted(came) == sorted(words)
    assert came != words
    for key in "abcd":
        assert [word for word in came if word[0] == key] == [f"{key}-{number}" for number in range(3)]
