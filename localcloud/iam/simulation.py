"""SimulatePrincipalPolicy: what the policies of a role say of calls that nobody makes.

Only what the request gives counts: no policy of a resource, and of condition keys those in ContextEntries. A key that
no entry gives is absent, and named in MissingContextValues. It tells no MatchedStatements.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import InvalidInput
from moto.iam.responses import IamResponse

from localcloud.iam.identity import boundary_of, policies_of
from localcloud.iam.policies import Request, statements, verdict
from localcloud.kernel.cloud import moto_backend
from localcloud.kernel.patching import replace

COVERED = {"PolicySourceArn", "ActionNames", "ResourceArns", "ContextEntries"}
"""The members of a request that are read. One with another is refused."""
_DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny", None: "implicitDeny"}


def serve_simulation() -> None:
    replace(IamResponse, simulate_principal_policy=lambda response: ActionResult(_simulated(response._get_params())))


def _simulated(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer. Raises InvalidInput for what is not covered, NotFoundException if there is no such role."""
    if others := sorted({name for name, value in asked.items() if value} - COVERED):
        raise InvalidInput(f"the local cloud does not cover {', '.join(others)} of SimulatePrincipalPolicy")
    if ":role/" not in asked["PolicySourceArn"]:
        raise InvalidInput(f"the local cloud simulates the policies of roles alone, got {asked['PolicySourceArn']}")
    role = moto_backend("iam", "aws").get_role_by_arn(asked["PolicySourceArn"])
    documents, boundary = [*policies_of(role)], boundary_of(role)
    given = {one["ContextKeyName"].lower(): tuple(one["ContextKeyValues"]) for one in asked.get("ContextEntries", [])}
    every = [one for text in [*documents, *filter(None, [boundary])] for one in statements(text)]
    named = {key for one in every for keys in one.get("Condition", {}).values() for key in keys}
    missing = sorted(key for key in named if key.lower() not in given)
    context = {**{key.lower(): () for key in named}, **given}
    found = []
    for action, resource in itertools.product(asked["ActionNames"], asked.get("ResourceArns") or ["*"]):
        request = Request(action=action, resources=(resource,), context=context)
        decision = verdict(documents, request)
        result = {"EvalActionName": action, "EvalResourceName": resource, "MissingContextValues": missing}
        if boundary:
            within = verdict([boundary], request)
            decision = within if decision == "Allow" else decision
            result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": within == "Allow"}
        found.append({**result, "EvalDecision": _DECISIONS[decision]})
    return {"EvaluationResults": found, "IsTruncated": False}
