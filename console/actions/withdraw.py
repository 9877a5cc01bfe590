"""Take out rows or a person: somebody calls the function `withdrawal` or `erasure`."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any, TypeVar

from millrace.console.actions.approve import check_reason
from millrace.console.environment import Environment
from millrace.console.queries.stored import object_of
from millrace.datasets.table_versions import TableVersion
from millrace.errors import WithdrawalError
from millrace.messages.withdrawal import ErasureAnswer, ErasureRequest, PersonsRequest, Withdrawn
from millrace.names import WorkloadNames

AnswerT = TypeVar("AnswerT", Withdrawn, ErasureAnswer)
PAUSE_S = 5
"""Seconds between two calls, while the function still works on the one before."""


def by_person(environment: Environment, kind: str, reason: str) -> dict[str, Any]:
    """The fields of this person's request, with an id of its own. Raises ConfigurationError for an empty reason."""
    check_reason(kind, reason)
    cause = f"{kind}-{secrets.token_hex(8)}"
    return {"cause": cause, "as_of": environment.now(), "by": environment.identity(), "reason": reason}


def check_revertible(version: TableVersion) -> None:
    """Raise WithdrawalError unless a drop brought rows with this version and the table has them."""
    came = f"{version.version}: they left with {version.left_with}" if version.left_with else version.what
    if version.left_with or not version.source or not version.added:
        raise WithdrawalError(f"VERSION: expected one that a drop made, whose rows are in the table, got {came}")


def drop_again(s3: Any, version: TableVersion) -> None:
    """Put the object of the version over the later one, which drops it. `s3` is boto3's client."""
    earlier = object_of(version.source)
    s3.copy_object(Bucket=earlier["Bucket"], Key=earlier["Key"], CopySource=earlier)


def erase(environment: Environment, names: WorkloadNames, request: ErasureRequest) -> ErasureAnswer:
    """What the function `erasure` did in as many calls as it takes."""
    while not (answer := call(environment, names.function("erasure"), request, ErasureAnswer)).is_done:
        time.sleep(PAUSE_S)
    return answer


def call(environment: Environment, function: str, request: PersonsRequest, answers: type[AnswerT]) -> AnswerT:
    """What a call of the function did, or would do: see `PersonsRequest.is_preview`.

    Raises WithdrawalError in the function's own words if it refuses."""
    # botocore repeats a call that takes longer than a minute. The request has an id of its own in `cause`, so the
    # function recognises the repetition and answers the same.
    answer = environment.client("lambda").invoke(FunctionName=function, Payload=request.model_dump_json().encode())
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise WithdrawalError(str(document.get("errorMessage", document)))
    return answers.model_validate(document)
