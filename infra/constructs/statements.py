"""IAM statements as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Statement = dict[str, Any]


def allow(*actions: str, on: str | Sequence[str], where: Mapping[str, Mapping[str, Any]] | None = None) -> Statement:
    """An Allow statement; actions never hold a wildcard."""
    wild = [action for action in actions if "*" in action]
    if wild:
        raise ValueError(f"statement: expected whole action names, got {wild}")
    statement: Statement = {
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": [on] if isinstance(on, str) else list(on),
    }
    if where:
        statement["Condition"] = {operator: dict(values) for operator, values in where.items()}
    return statement


def read_objects(bucket: str, *prefixes: str) -> list[Statement]:
    """Get objects (and their versions) below the prefixes and list them; `bucket` is a name."""
    return [
        allow("s3:GetObject", "s3:GetObjectVersion", on=[f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes]),
        list_objects(bucket, *prefixes),
    ]


def list_objects(bucket: str, *prefixes: str) -> Statement:
    return allow(
        "s3:ListBucket",
        on=f"arn:aws:s3:::{bucket}",
        where={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
    )


def write_objects(bucket: str, *prefixes: str) -> Statement:
    return allow(
        "s3:PutObject", "s3:AbortMultipartUpload", on=[f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes]
    )


def use_key(key_arn: str) -> Statement:
    """What reading and writing under the customer key takes."""
    return allow("kms:Decrypt", "kms:GenerateDataKey", on=key_arn)


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


def policy(statements: Sequence[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
