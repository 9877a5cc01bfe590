"""SageMaker's control plane: keeps resources as AWS describes them.

AWS answers a Describe with the whole request plus status and times. moto keeps a selection of the fields, and accepts
the name of a job twice.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore import xform_name
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.sagemaker.responses import SageMakerResponse

from localcloud.kernel.cloud import ACCOUNT, Cloud, moto_backend
from localcloud.kernel.patching import replace

Fields = dict[str, Any]
"""A request, or a resource as its Describe operation answers it. Members are named as in the API."""


class RefusedError(ServiceException):
    """An error answer of the API: the first argument is AWS's error code, the second is the message."""


def invalid(message: str) -> RefusedError:
    """SageMaker's error for a request that it does not accept."""
    return RefusedError("ValidationException", message)


@dataclass(kw_only=True)
class Records:
    """Every SageMaker resource of one cloud.

    `kinds` is `{"training-job": {"nightly": {"TrainingJobStatus": "Completed", …}}}`."""

    kinds: dict[str, dict[str, Fields]] = field(default_factory=dict)
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """The tags of each resource, by its ARN."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def of(self, kind: str) -> dict[str, Fields]:
        """The resources of one kind (`training-job`), by name. A change of this dictionary is kept."""
        return self.kinds.setdefault(kind, {})


def records(cloud: Cloud) -> Records:
    """The one store of this cloud, made at the first call."""
    return cloud.part(Records)


def existing(cloud: Cloud, kind: str, name: str, missing: str) -> Fields:
    """The resource of this name. Raises RefusedError, whose message is `missing`, if there is none."""
    found = records(cloud).of(kind).get(name)
    if found is None:
        raise invalid(missing)
    return found


def arn(cloud: Cloud, kind: str, name: str, account: str = ACCOUNT) -> str:
    """`arn:aws:sagemaker:REGION:ACCOUNT:KIND/name`. SageMaker writes the name in lower case."""
    return f"arn:aws:sagemaker:{cloud.region}:{account}:{kind}/{name.lower()}"


def answer(operation: str, respond: Callable[..., Mapping[str, Any]], *, tells_caller: bool = False) -> None:
    """Let moto's SageMaker endpoint answer `operation` (`CreateModel`) with what `respond` makes of the request.

    With `tells_caller`, `respond` also gets the ARN of the identity that asks, as STS names it."""

    def method(response: Any) -> ActionResult:
        request = json.loads(response.body or "{}")
        return ActionResult(respond(request, _caller(response)) if tells_caller else respond(request))

    # moto finds the handler of an operation by its name in snake case; one that it lacks is added.
    replace(SageMakerResponse, **{xform_name(operation): method})


def _caller(response: Any) -> str:
    _, caller, _ = moto_backend("sts", "aws", account=response.current_account).get_caller_identity(
        response.get_access_key(), response.region
    )
    return str(caller)


def page(found: Iterable[Fields], request: Fields, key: str, *, time: str = "CreationTime") -> Fields:
    """The answer of a List operation: `{key: rows, "NextToken": "100"}`, the token only if rows are left.

    The rows are filtered, sorted and cut as the request says. Without a word of the request they are sorted by time,
    newest first; names ascend. Each resource in `found` has `Name` and `Status` for the filters beside its own
    members. `time` names the member with its time."""
    rows = [row for row in found if _wanted(row, request, time)]
    by_name = request.get("SortBy") == "Name"
    rows.sort(
        key=lambda row: row["Name"] if by_name else row[time],
        reverse=request.get("SortOrder", "Ascending" if by_name else "Descending") == "Descending",
    )
    # The token is the index of the first row of the next page.
    start = int(request.get("NextToken") or 0)
    end = start + int(request.get("MaxResults") or 100)
    return {key: rows[start:end], **({"NextToken": str(end)} if end < len(rows) else {})}


def _wanted(row: Fields, request: Fields, time: str) -> bool:
    created: datetime = row[time]
    return (
        request.get("NameContains", "").lower() in row["Name"].lower()
        and request.get("StatusEquals", row["Status"]) == row["Status"]
        and created.timestamp() >= float(request.get("CreationTimeAfter", created.timestamp()))
        and created.timestamp() <= float(request.get("CreationTimeBefore", created.timestamp()))
    )


def check_role(role_arn: str, service: str = "sagemaker.amazonaws.com") -> None:
    """Raises RefusedError if the role does not exist or does not trust the service, as every Create operation does."""
    from moto.iam.exceptions import NotFoundException

    from localcloud.kernel.trust import check_trust

    try:
        check_trust(role_arn, service)
    except (PermissionError, NotFoundException) as error:
        raise invalid(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            f"'{service}' to assume the role."
        ) from error


def tag(cloud: Cloud, resource_arn: str, tags: Iterable[Mapping[str, str]]) -> None:
    """Add tags to a resource. A key that it already has takes the new value."""
    kept = records(cloud)
    with kept.lock:
        merged = {one["Key"]: one["Value"] for one in [*kept.tags.get(resource_arn, []), *tags]}
        kept.tags[resource_arn] = [{"Key": key, "Value": value} for key, value in merged.items()]


def new_fields(cloud: Cloud, request: Fields, member: str, resource_arn: str) -> Fields:
    """What Describe answers of a new resource from the start: its request, its ARN as this member, and the time.

    The request's tags are added to the resource's."""
    tag(cloud, resource_arn, request.get("Tags", []))
    given = {key: value for key, value in request.items() if key not in {"Tags", "ClientToken"}}
    return {**given, member: resource_arn, "CreationTime": cloud.clock.now()}


def serve_tags(cloud: Cloud) -> None:
    """ListTags, AddTags and DeleteTags for every resource that is kept here."""
    kept = records(cloud)

    def add(request: Fields) -> Fields:
        tag(cloud, request["ResourceArn"], request["Tags"])
        return {"Tags": kept.tags[request["ResourceArn"]]}

    def delete(request: Fields) -> Fields:
        left = kept.tags.get(request["ResourceArn"], [])
        kept.tags[request["ResourceArn"]] = [one for one in left if one["Key"] not in request["TagKeys"]]
        return {}

    answer("ListTags", lambda request: {"Tags": kept.tags.get(request["ResourceArn"], [])})
    answer("AddTags", add)
    answer("DeleteTags", delete)


def in_milliseconds(value: Any) -> Any:
    """`value` with every time in milliseconds since the epoch, as SageMaker's events and `.sync` results have them."""
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, Mapping):
        return {key: in_milliseconds(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [in_milliseconds(item) for item in value]
    return value
