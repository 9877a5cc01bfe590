"""Refuses AssumeRole of a role that does not exist: moto 5.2.5 gives keys for any name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.kernel.calls import Call, Refusal, error_answer
from infra.local.kernel.cloud import ACCOUNT

if TYPE_CHECKING:
    from infra.local.kernel.cloud import Cloud


def refuse_missing_roles(cloud: Cloud) -> None:
    """Let a guard answer such calls before moto sees them. May go when moto refuses them."""
    cloud.guards.append(_refusal)


def _refusal(call: Call) -> Refusal | None:
    """The answer to AssumeRole of a role that does not exist; None for any other call.

    As on AWS it does not say whether the role does not exist or does not trust the caller."""
    if call.name != "sts:AssumeRole":
        return None
    role = str(call.parameters().get("RoleArn"))
    if role in _roles():
        return None
    message = f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: sts:AssumeRole on resource: {role}"
    return error_answer(call, "AccessDenied", message)


def _roles() -> set[str]:
    """The ARNs of all roles."""
    from moto.iam.models import iam_backends

    return {role.arn for role in iam_backends[ACCOUNT]["aws"].roles.values()}
