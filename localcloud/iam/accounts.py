"""Accounts beside the cloud's own: to which one the resource of a request belongs.

Such an account has no stacks, functions or events. It has what its operator makes by the API: buckets, keys, versions.
"""

from __future__ import annotations

from localcloud.iam.policies import Request
from localcloud.kernel.cloud import ACCOUNT

HEADER = "HTTP_X_MOTO_ACCOUNT_ID"
"""The variable of WSGI by which moto answers out of another account than that of the keys."""


def owner_of(request: Request) -> str:
    """The account of the resource that the request names; the cloud's own if the name does not tell."""
    parts = request.resources[0].split(":")
    if len(parts) < 6:
        return ACCOUNT
    if parts[2] == "s3":
        from moto.s3.models import s3_backends

        return s3_backends.bucket_accounts.get(parts[5].partition("/")[0], ("", ACCOUNT))[1]
    return parts[4] if parts[4].isdigit() else ACCOUNT
