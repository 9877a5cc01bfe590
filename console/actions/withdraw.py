"""Rows out of the tables again: an operator's call of the function `withdrawal`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from console.environment import Environment
from millrace.errors import WithdrawalError
from millrace.messages.withdrawal import WithdrawalRequest, Withdrawn
from millrace.names import WorkloadNames


def withdraw(
    environment: Environment, names: WorkloadNames, *, reason: str, key: Mapping[str, str | int], drop: str
) -> Withdrawn:
    """How many rows left each table. Raises WithdrawalError with the function's own words where it refused."""
    if not reason.strip():
        raise WithdrawalError("--reason: expected a sentence for the audit table, got an empty one")
    if bool(key) is bool(drop):
        raise WithdrawalError(f"expected --key or --drop, got {'both' if key else 'neither'}")
    request = WithdrawalRequest(
        cause=f"withdraw-{secrets.token_hex(8)}",
        as_of=datetime.now(UTC),
        by=environment.client("sts").get_caller_identity()["Arn"],
        reason=reason,
        key=key,
        drop=drop,
    )
    # A call that botocore repeats after a minute is the same request: the function says the same again.
    answer = environment.client("lambda").invoke(
        FunctionName=names.function("withdrawal"), Payload=request.model_dump_json().encode()
    )
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise WithdrawalError(str(document.get("errorMessage", document)))
    return Withdrawn.model_validate(document)
