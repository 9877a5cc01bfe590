"""Take rows out of the tables again: a person calls the function `withdrawal`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from millrace.aws.objects import keys_below
from millrace.console.environment import Environment
from millrace.console.queries.stored import object_of
from millrace.contract.schema import Feed
from millrace.datasets.table_versions import TableVersion
from millrace.errors import WithdrawalError
from millrace.messages.withdrawal import WithdrawalRequest, Withdrawn
from millrace.names import WorkloadNames

MOST_NAMED = 5
"""How many objects an error names."""
TABLED: tuple[Feed, ...] = ("training", "labels")
"""The feeds whose rows go into tables."""


def find_drop(environment: Environment, names: WorkloadNames, drop: str) -> str:
    """The landing key that `drop` is, or that it is the end of.

    Raises WithdrawalError if no object or several objects match. A whole key is taken as it is: its object may have
    expired, but its rows are still in the tables."""
    key = drop.removeprefix(f"s3://{names.platform.bucket('landing')}/")
    if "?versionId=" in key:
        raise WithdrawalError(f"--drop: expected a key without a version, as all rows below the key go, got {drop!r}")
    whole = tuple(f"{names.workload}/{feed}/" for feed in TABLED)
    if key.startswith(whole):
        return key
    client, bucket = environment.client("s3"), names.platform.bucket("landing")
    found = [one for prefix in whole for one in keys_below(client, bucket, prefix) if one.endswith(f"/{key}")]
    if len(found) == 1:
        return found[0]
    came = f"which {len(found)} are: {', '.join(found[:MOST_NAMED])}" if found else "which none is"
    raise WithdrawalError(
        f"--drop: expected the key of one object below {' or '.join(whole)} in {bucket}, or its end, got {drop!r}, "
        f"{came}"
    )


def request_of(environment: Environment, *, reason: str, key: Mapping[str, str | int], drop: str) -> WithdrawalRequest:
    """The request of this person, with an id of its own.

    Raises WithdrawalError for an empty reason, unless exactly one of `key` and `drop` is given."""
    if not reason.strip():
        raise WithdrawalError("--reason: expected a sentence for the audit table, got an empty one")
    if bool(key) is bool(drop):
        raise WithdrawalError(f"expected --key or --drop, got {'both' if key else 'neither'}")
    return WithdrawalRequest(
        cause=f"withdraw-{secrets.token_hex(8)}",
        as_of=environment.now(),
        by=environment.identity(),
        reason=reason,
        key=key,
        drop=drop,
    )


def check_revertible(version: TableVersion) -> None:
    """Raise WithdrawalError unless a drop brought rows with this version and the table has them."""
    came = f"{version.version}: they left with {version.left_with}" if version.left_with else version.what
    if version.left_with or not version.source or not version.added:
        raise WithdrawalError(f"VERSION: expected one that a drop made, whose rows are in the table, got {came}")


def drop_again(s3: Any, version: TableVersion) -> None:
    """Put the object of the version over the later one, which drops it. `s3` is boto3's client."""
    earlier = object_of(version.source)
    s3.copy_object(Bucket=earlier["Bucket"], Key=earlier["Key"], CopySource=earlier)


def withdraw(environment: Environment, names: WorkloadNames, request: WithdrawalRequest) -> Withdrawn:
    """How many rows left each table, or would leave it: see `WithdrawalRequest.is_preview`.

    Raises WithdrawalError in the function's own words if the function refuses."""
    # botocore repeats a call that takes longer than a minute. The request has an id of its own in `cause`, so the
    # function recognises the repetition and answers the same.
    answer = environment.client("lambda").invoke(
        FunctionName=names.function("withdrawal"), Payload=request.model_dump_json().encode()
    )
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise WithdrawalError(str(document.get("errorMessage", document)))
    return Withdrawn.model_validate(document)
