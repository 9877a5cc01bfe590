"""The training rows nearest to the newest decision, for the report: those that `millrace why ID --nearest` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from console.environment import Environment
from console.queries.decision_explanation import answered
from console.queries.nearest_examples import NearestExamples, nearest_to
from console.queries.pinned_rows import pinned_files
from millrace.aws.objects import split_uri
from millrace.contract.load import load_contract
from millrace.errors import EnvironmentNotFoundError, SnapshotError, WorkloadError
from millrace.names import WorkloadNames
from millrace.workload.load import workloads_folder

if TYPE_CHECKING:
    from millrace.decisions.store import LocatedDecision

MOST_BYTES = 2**28
"""The largest size of the pinned files: nobody waits for a page that fetches more."""
UNREADABLE = {"NoSuchKey", "404", "AccessDenied", "403"}
"""Errors of S3 for a file that has expired, or that the caller may not read."""


def examples_of_newest(
    environment: Environment, names: WorkloadNames, decision: LocatedDecision | None, run: str
) -> NearestExamples | None:
    """The nearest training rows of the decision, whose version the train execution `run` has made.

    None if the contract does not allow it, if a file is gone or may not be read, if nothing is left to compare, and if
    the files are larger than MOST_BYTES."""
    if decision is None or not run:
        return None
    try:
        contract = load_contract(workloads_folder() / names.workload)
        if not contract.rows.may_be_shown or _pinned_bytes(environment, names, run) > MOST_BYTES:
            return None
        return nearest_to(environment, names, answered(environment, names, decision.decision), contract)
    except (EnvironmentNotFoundError, SnapshotError, WorkloadError):
        return None
    except ClientError as error:
        if error.response["Error"]["Code"] in UNREADABLE:
            return None
        raise


def _pinned_bytes(environment: Environment, names: WorkloadNames, run: str) -> int:
    """The size in bytes of all data files that the run has pinned."""
    s3 = environment.client("s3")
    places = [split_uri(uri) for uri in pinned_files(s3, names, run)]
    return sum(s3.head_object(Bucket=bucket, Key=key)["ContentLength"] for bucket, key in places)
