"""Checks whether a role trusts the service that wants to assume it."""

from __future__ import annotations

from localcloud.iam.policies import Request, text_of, verdict


def check_trust(role_arn: str, service: str) -> None:
    """Raise PermissionError unless the role's trust policy lets the service (`lambda.amazonaws.com`) assume the role.

    Raises moto's NotFoundException if there is no such role."""
    from moto.iam.models import iam_backends

    account = role_arn.split(":")[4]
    role = iam_backends[account]["aws"].get_role_by_arn(role_arn)
    context = {"aws:sourceaccount": (account,), "aws:sourcearn": (), "aws:principalisawsservice": ("true",)}
    request = Request(action="sts:AssumeRole", resources=("*",), context=context, principal=(service,))
    if verdict([text_of(role.assume_role_policy_document)], request, with_principal=True) != "Allow":
        raise PermissionError(f"the trust policy of {role_arn} does not let {service} assume the role")
