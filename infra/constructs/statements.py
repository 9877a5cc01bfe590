"""IAM statements as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OBJECTS = {
    "training": "Who drops a file names it; the feed's folder is all that is known before",
    "labels": "Labels come late in files that their sender names; the feed's folder is all that is known before",
    "scoring": "A file to score is named by who asks; the feed's folder is all that is known before",
    "objects": "A manifest names the objects of its images; the folder is all that is known before",
    "staging": "What one run hands to its next step lies below the execution's name, which is new each time",
    "iceberg": "pyiceberg names the files of a table by a UUID, anew at every commit",
    "quarantine": "Refused rows lie below the date of the drop that held them",
    "decisions": "Decisions lie below the date of their event, in objects named by their first id",
    "predictions": "A delivery lies below the run that made it",
    "windows": "What a monitor run judges lies below the execution's name, which is new each time",
    "monitor": "The report of a monitor run lies below the execution's name, which is new each time",
    "runs": "Data, model and report of a training lie below the execution's name, which is new each time",
}
"""Why nobody can name the objects below `<workload>/<folder>/` beforehand."""


WRITING = ("s3:PutObject", "scheduler:UpdateSchedule", "sqs:SendMessage")
"""Actions for which the service makes a data key in the caller's name."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """An Allow statement of a role; `allow` makes it."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By resource that holds a wildcard: why nothing narrower does."""

    def document(self) -> dict[str, Any]:
        """The statement as a policy holds it."""
        conditions = {operator: dict(values) for operator, values in self.conditions.items()}
        return {
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
            **({"Condition": conditions} if conditions else {}),
        }


def allow(
    *actions: str,
    on: str | Sequence[str],
    where: Mapping[str, Mapping[str, Any]] | None = None,
    because: str | Mapping[str, str] = "",
) -> Statement:
    """An Allow statement; actions never hold a wildcard, a resource only `because` of something.

    The reason is one for all such resources, or one for each. Raises ValueError for a wildcard without a reason."""
    if wild := [action for action in actions if "*" in action]:
        raise ValueError(f"statement: expected whole action names, got {wild}")
    resources = (on,) if isinstance(on, str) else tuple(on)
    open_ended = [resource for resource in resources if "*" in resource]
    reasons = dict.fromkeys(open_ended, because) if isinstance(because, str) else dict(because)
    if unexplained := [resource for resource in open_ended if not reasons.get(resource)]:
        raise ValueError(f"statement of {actions}: expected a reason (because=…) for the wildcard in {unexplained}")
    return Statement(actions=tuple(sorted(actions)), resources=resources, conditions=where or {}, reasons=reasons)


def read_objects(bucket: str, *prefixes: str) -> Statement:
    """Get the newest version of objects below the prefixes; `bucket` is a name."""
    return _objects(bucket, prefixes, "s3:GetObject")


def read_versions(bucket: str, *prefixes: str) -> Statement:
    """Get a version of an object that is named by its id."""
    return _objects(bucket, prefixes, "s3:GetObjectVersion")


def list_objects(bucket: str, *prefixes: str) -> Statement:
    return allow(
        "s3:ListBucket",
        on=f"arn:aws:s3:::{bucket}",
        where={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
    )


def write_objects(bucket: str, *prefixes: str) -> Statement:
    """Put objects below the prefixes; the parts of an upload that nobody finished are the bucket's lifecycle's."""
    return _objects(bucket, prefixes, "s3:PutObject")


def _objects(bucket: str, prefixes: Sequence[str], *actions: str) -> Statement:
    """On what lies below `<workload>/<folder>/…`; raises ValueError for a folder that OBJECTS does not explain."""
    folders = {f"arn:aws:s3:::{bucket}/{prefix}*": prefix.split("/")[1] for prefix in prefixes}
    if unknown := sorted(set(folders.values()) - OBJECTS.keys()):
        raise ValueError(f"statement of {actions}: expected folders of {sorted(OBJECTS)}, got {unknown}")
    return allow(*actions, on=list(folders), because={arn: OBJECTS[folder] for arn, folder in folders.items()})


def own_items(table_arn: str, workload: str, *actions: str) -> Statement:
    """On the workload's own items of a table that all workloads share; `actions` are DynamoDB's (`GetItem`)."""
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [workload]}}
    return allow(*(f"dynamodb:{action}" for action in actions), on=table_arn, where=own)


def trace() -> Statement:
    """What sending segments to X-Ray takes."""
    return allow(
        "xray:PutTraceSegments", "xray:PutTelemetryRecords", on="*", because="Segments have no ARN; X-Ray asks for all"
    )


def use_key(key_arn: str, statements: Sequence[Statement]) -> Statement:
    """What the customer key is needed for: reading under it, and writing if one of the statements lets write."""
    writes = not {action for one in statements for action in one.actions}.isdisjoint(WRITING)
    return allow("kms:Decrypt", *(["kms:GenerateDataKey"] if writes else []), on=key_arn)


def trusted(service: str, account: str) -> dict[str, Any]:
    """The trust policy of a role that one AWS service of this account takes."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }


def policy(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
