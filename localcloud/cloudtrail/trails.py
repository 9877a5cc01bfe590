"""Delivers the reads of objects that a trail selects, as log files in the trail's bucket.

A file has the records of one second; on AWS of about five minutes. It lies where CloudTrail puts it:

    AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/31/123456789012_CloudTrail_eu-west-1_20260131T0955Z_2f1c….json.gz

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-record-contents.html"""

from __future__ import annotations

import gzip
import json
import logging
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from itertools import chain
from typing import Any

from localcloud.iam.service_permissions import trail_refusal
from localcloud.kernel.cloud import ACCOUNT, REGION, Cloud, moto_backend
from localcloud.kernel.dispatcher import dispatcher
from localcloud.kernel.patching import replace

LOG = logging.getLogger(__name__)
DELIVERED_AFTER_S = 1.0
"""Real seconds from the first record of a file to its delivery."""
NOT_COVERED = ("is_multi_region", "is_org_trail", "s3_key_prefix", "sns_topic_name", "cw_log_group_arn")
"""moto's names of the settings of a trail that are refused."""
SELECTED = {"eventCategory": ["Data"], "resources.type": ["AWS::S3::Object"], "eventName": ["GetObject"]}
"""What a selector says that is covered, beside the beginnings of the objects' ARNs."""
ARN = "resources.ARN"
FOLDER = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}"


@dataclass(kw_only=True)
class Trails:
    """The records that wait for their delivery, by the trail's name."""

    cloud: Cloud
    waiting: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Guards `waiting`: a record comes while others are delivered."""

    def keep(self, response: Any) -> None:
        """Keep the record of the object that the request has just got, for each trail that selects it."""
        key = response.parse_key_name()
        arn = f"arn:aws:s3:::{response.bucket_name}/{key}"
        for trail in moto_backend("cloudtrail").trails.values():
            selected = [_fields(one).get(ARN, {}).get("StartsWith", []) for one in trail.advanced_event_selectors]
            if trail.status.is_logging and arn.startswith(tuple(chain(*selected))):
                record = self._record(response, key, arn)
                with self.lock:
                    self.waiting[trail.trail_name].append(record)
                    is_first = len(self.waiting[trail.trail_name]) == 1
                if is_first:
                    label = f"delivery of trail {trail.trail_name}"
                    dispatcher(self.cloud).submit(label, partial(self.deliver, trail), after_s=DELIVERED_AFTER_S)

    def _record(self, response: Any, key: str, arn: str) -> dict[str, Any]:
        bucket, version = response.bucket_name, response.querystring.get("versionId")
        asked = {"bucketName": bucket, "Host": f"{bucket}.s3.{REGION}.amazonaws.com", "key": key}
        if version:
            asked["versionId"] = version[0]
        return event_record(response, "s3.amazonaws.com", "GetObject", at=self.cloud.clock.now(), asked=asked) | {
            "readOnly": True,
            "resources": [
                {"type": "AWS::S3::Object", "ARN": arn},
                {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": arn.partition("/")[0]},
            ],
            "managementEvent": False,
            "eventCategory": "Data",
        }

    def deliver(self, trail: Any) -> None:
        """Put a file with the records that wait. They are lost if the bucket's policy or the key's refuses it."""
        with self.lock:
            records = self.waiting.pop(trail.trail_name)
        now = self.cloud.clock.now()
        name = f"{ACCOUNT}_CloudTrail_{REGION}_{now:%Y%m%dT%H%MZ}_{uuid.uuid4().hex[:16]}.json.gz"
        key = f"{FOLDER}/{now:%Y/%m/%d}/{name}"
        if why := "; ".join(trail_refusal(trail, key).values()):
            LOG.error("trail %s: nothing is delivered: %s", trail.trail_name, why)
            return
        given: dict[str, str] = {"ServerSideEncryption": "AES256"}
        if trail.kms_key_id:
            given = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": trail.kms_key_id}
        body = gzip.compress(json.dumps({"Records": records}).encode())
        # A bucket with Object Lock takes no object without a checksum.
        given["ChecksumAlgorithm"] = "SHA256"
        self.cloud.client("s3").put_object(Bucket=trail.bucket_name, Key=key, Body=body, **given)


def event_record(call: Any, source: str, name: str, *, at: datetime, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the records of all events have. `call` is moto's response, `asked` the parameters of the request."""
    credential = call.querystring.get("X-Amz-Credential", [""])[0].partition("/")[0]
    return {
        "eventVersion": "1.11",
        "userIdentity": user_identity(credential or call.get_access_key(), call.current_account),
        # CloudTrail's times have no fractions of a second.
        "eventTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": source,
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": f"[{call.headers.get('User-Agent', '')}]",
        "requestParameters": asked,
        "responseElements": None,
        "eventID": str(uuid.uuid4()),
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
    }


def user_identity(access_key: str, account: str) -> dict[str, Any]:
    """Who of the account signed with the key, as CloudTrail's records say it."""
    principal, arn, _ = moto_backend("sts", "aws", account=account).get_caller_identity(access_key, REGION)
    identity = {"type": "IAMUser", "principalId": principal, "arn": arn, "accountId": account}
    if ":assumed-role/" not in arn:
        return identity
    role = arn.split("/")[1]
    issuer = {"type": "Role", "principalId": principal.partition(":")[0], "accountId": account, "userName": role}
    issuer["arn"] = f"arn:aws:iam::{account}:role/{role}"
    return identity | {"type": "AssumedRole", "accessKeyId": access_key, "sessionContext": {"sessionIssuer": issuer}}


def _fields(selector: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Its operators by field."""
    return {one["Field"]: {name: values for name, values in one.items() if name != "Field"}
            for one in selector["FieldSelectors"]}  # fmt: skip


def _check_selectors(trail: Any) -> None:
    """Raise NotImplementedError, which names it, for a selection that is not covered."""
    wanted = {name: {"Equals": values} for name, values in SELECTED.items()}
    given = trail.advanced_event_selectors
    for fields in [_fields(one) for one in given if not trail.event_selectors] or [{}]:
        if list(fields.pop(ARN, {})) != ["StartsWith"] or fields != wanted:
            expected = f"advanced selectors of {SELECTED} and beginnings of {ARN}"
            raise NotImplementedError(f"cloudtrail: expected {expected}, got {trail.event_selectors or given}")


def _check_trail(trail: Any) -> None:
    """Raise CloudTrail's errors for a bucket or a key that does not let it in.

    Raises NotImplementedError for a setting that is not covered."""
    from moto.core.exceptions import JsonRESTError

    if uncovered := [name for name in NOT_COVERED if getattr(trail, name)]:
        raise NotImplementedError(f"cloudtrail: expected a trail without {', '.join(NOT_COVERED)}, got {uncovered}")
    for code, why in trail_refusal(trail, f"{FOLDER}/").items():
        raise JsonRESTError(code, why)


def deliver_reads(cloud: Cloud) -> None:
    """Record and deliver the reads that trails select. May go when moto delivers them."""
    trails = Trails(cloud=cloud)
    _then(import_module("moto.s3.responses").S3Response, "get_object", trails.keep)
    trail = import_module("moto.cloudtrail.models").Trail
    for name in ("check_bucket_exists", "update"):
        _then(trail, name, _check_trail)
    for name in ("put_event_selectors", "start_logging"):
        _then(trail, name, _check_selectors)


def _then(owner: Any, name: str, act: Callable[[Any], None]) -> None:
    """Let the method be followed by `act`."""
    method = getattr(owner, name)

    def followed(self: Any, *arguments: Any, **named: Any) -> Any:
        answer = method(self, *arguments, **named)
        act(self)
        return answer

    replace(owner, **{name: followed})
