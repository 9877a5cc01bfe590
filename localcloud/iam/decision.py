"""Decides one request by a role's policies, its permissions boundary and the resource's own policy."""

from __future__ import annotations

from dataclasses import dataclass, replace

from localcloud.iam.policies import Request, undecided, verdict
from localcloud.kernel.cloud import ACCOUNT


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request of a role, and the policy documents that decide it. `request.principal` is the role."""

    request: Request
    of_role: tuple[str, ...]
    """The role's own policies, as JSON texts."""
    of_resource: tuple[str, ...] = ()
    """The policy of the resource, if it has one."""
    boundary: str | None = None
    """The role's permissions boundary, if it has one."""
    owner: str = ACCOUNT
    """The account of the resource."""
    account: str = ACCOUNT
    """The account of the role."""


def why_not(case: Case) -> str | None:
    """The reason of a refusal in AWS's words, or None if the request is allowed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    # In AWS's order. An explicit Deny wins over everything. The boundary, if there is one, must allow. Then, within one
    # account, an Allow by the role or by the resource is enough. Only for a key its own policy must agree in any case,
    # and for a resource of another account both must.
    request = case.request
    by_role = verdict(case.of_role, request)
    by_resource = verdict(case.of_resource, request, with_principal=True)
    if "Deny" in (by_role, by_resource):
        kind = "an identity-based" if by_role == "Deny" else "a resource-based"
        return f"with an explicit deny in {kind} policy{_open(case.of_role + case.of_resource, request)}"
    if case.boundary is not None and verdict([case.boundary], request) != "Allow":
        return "because no permissions boundary allows the action"
    if by_resource != "Allow" and _must_agree(case) and not _lets_account(case):
        return "because no resource-based policy allows the action"
    if by_role == "Allow" or (case.owner == case.account and by_resource == "Allow"):
        return None
    return f"because no identity-based policy allows the {request.action} action{_open(case.of_role, request)}"


def _must_agree(case: Case) -> bool:
    """Whether the resource's own policy must agree, whatever the role's policies say.

    An action that names no key, as CreateKey does, has no such policy."""
    is_on_key = case.request.action.startswith("kms:") and case.request.resources != ("*",)
    return case.owner != case.account or is_on_key


def _lets_account(case: Case) -> bool:
    """Whether the resource's policy names the role's account: that leaves the decision to the role's policies."""
    account = replace(case.request, principal=(f"arn:aws:iam::{case.account}:root", case.account))
    return verdict(case.of_resource, account, with_principal=True) == "Allow"


def _open(documents: tuple[str, ...], request: Request) -> str:
    """The end of a refusal's message: what the local cloud could not decide, so that the reader knows where to look."""
    reasons = sorted(set(undecided(documents, request)))
    return f" (not decided by the local cloud: {', '.join(reasons)})" if reasons else ""
