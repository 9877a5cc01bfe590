"""Custom resources: a function of the app makes them, and answers CloudFormation by an object at a signed address.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from localcloud.cloudformation.resources.kind import Kind, Made, Wanted, as_text
from localcloud.kernel.cloud_time import machine_time

PREFIXES = ("AWS::CloudFormation::CustomResource", "Custom::")
LONGEST_S = 3600
"""How long AWS waits for the answer, if the resource names no ServiceTimeout."""
POLL_S = 0.05


def _put(wanted: Wanted) -> Made:
    before = wanted.before
    if before is None:
        return _asked(wanted, "Create")
    old = {"PhysicalResourceId": before.ref, "OldResourceProperties": _texts(before.properties)}
    made = _asked(wanted, "Update", **old)
    # Another physical id is another resource: CloudFormation then deletes the one before.
    if made.ref != before.ref:
        _drop(wanted, before)
    return made


def _drop(wanted: Wanted, made: Made) -> None:
    _asked(wanted, "Delete", PhysicalResourceId=made.ref)


def _asked(wanted: Wanted, request_type: str, **more: Any) -> Made:
    """What the function makes of a request. Raises ValueError, with the function's reason, if it failed."""
    s3, request_id, function = wanted.cloud.client("s3"), str(uuid.uuid4()), wanted.properties["ServiceToken"]
    place = {"Bucket": f"custom-resource-response-{request_id}", "Key": "answer.json"}
    s3.create_bucket(Bucket=place["Bucket"], CreateBucketConfiguration={"LocationConstraint": wanted.cloud.region})
    request = {
        "RequestType": request_type,
        "ServiceToken": function,
        "ResponseURL": s3.generate_presigned_url("put_object", Params=place),
        "StackId": wanted.stack_id,
        "RequestId": request_id,
        "LogicalResourceId": wanted.logical_id,
        "ResourceType": wanted.type_name,
        "ResourceProperties": _texts(wanted.properties),
        **more,
    }
    said = wanted.call("lambda", "Invoke", FunctionName=function, Payload=json.dumps(request).encode())
    if "FunctionError" in said:
        raise ValueError(f"{function} failed: {said['Payload'].read().decode()[:300]}")
    # A function may answer after its end: by a machine that it has started.
    until = machine_time() + float(wanted.properties.get("ServiceTimeout", LONGEST_S))
    while not s3.list_objects_v2(Bucket=place["Bucket"]).get("Contents"):
        if machine_time() > until or wanted.cloud.stopping.is_set():
            raise ValueError(f"{function} did not answer in time")
        time.sleep(POLL_S)
    answer = json.loads(s3.get_object(**place)["Body"].read())
    s3.delete_object(**place)
    s3.delete_bucket(Bucket=place["Bucket"])
    if answer["Status"] != "SUCCESS":
        raise ValueError(f"Received response status [FAILED] from custom resource. {answer.get('Reason', '')}")
    return Made(ref=answer["PhysicalResourceId"], attributes=answer.get("Data") or {})


def _texts(value: Any) -> Any:
    """The properties as a function gets them: each number and truth as text."""
    if isinstance(value, dict):
        return {key: _texts(one) for key, one in value.items()}
    return [_texts(one) for one in value] if isinstance(value, list) else as_text(value)


KIND = Kind(put=_put, drop=_drop)
