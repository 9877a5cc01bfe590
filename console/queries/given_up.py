"""Puts records that the stream's function gave up back into the stream.

Lambda keeps them in an object, as text within text, and S3's event about the object is their dead letter:

{"requestContext": {"condition": "RecordAgeExceeded", …}, "KinesisBatchInfo": …, "payload": "{\\"Records\\": […]}"}

https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from console.environment import Environment
from millrace.errors import QueueError
from millrace.names import WorkloadNames

ATTEMPTS = 3
"""So often a record is put before the call fails."""


def put_back(environment: Environment, names: WorkloadNames, message: Mapping[str, Any]) -> bool:
    """Put the records that the dead letter is about into the stream, each with its partition key.

    False if the message is about something else. Raises QueueError if the stream takes a record not."""
    event = json.loads(message["Body"])
    if event.get("detail-type") != "Object Created":
        return False
    bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    kept = environment.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    events = [one["kinesis"] for one in json.loads(json.loads(kept)["payload"])["Records"]]
    records = [{"Data": base64.b64decode(one["data"]), "PartitionKey": one["partitionKey"]} for one in events]
    _put(environment.client("kinesis"), names.stream, records)
    return True


def _put(kinesis: Any, stream: str, records: list[dict[str, Any]]) -> None:
    # What Lambda gave to one call of the function, 500 records and 6 MB in base64, fits into one call of PutRecords.
    for _ in range(ATTEMPTS):
        answer = kinesis.put_records(StreamName=stream, Records=records)["Records"]
        failed = [one.get("ErrorCode") for one in answer]
        records = [record for record, error in zip(records, failed, strict=True) if error]
        if not records:
            return
    raise QueueError(f"{stream}: {len(records)} records refused {ATTEMPTS} times: {next(filter(None, failed))}")
