"""Checks whether a role trusts the service that wants to assume it."""

from __future__ import annotations

from localcloud.iam.policies import Request, text_of, verdict


def check_trust(role_arn: str, service: str) -> None:
    """Raise PermissionError unless the role's trust policy lets the service (`lambda.amazonaws.com`) assume the role.

    Raises moto's NotFoundException if there is no such role."""
    from moto.iam.models import iam_backends

    account = role_arn.split(":")[4]
    role = iam_backends[account]["aws"].get_role_by_arn(role_arn)
    sources = _machines(role_arn, account) if service == "states.amazonaws.com" else ()
    context = {"aws:sourceaccount": (account,), "aws:sourcearn": sources, "aws:principalisawsservice": ("true",)}
    request = Request(action="sts:AssumeRole", resources=("*",), context=context, principal=(service,))
    if verdict([text_of(role.assume_role_policy_document)], request, with_principal=True) != "Allow":
        raise PermissionError(f"the trust policy of {role_arn} does not let {service} assume the role")


def _machines(role_arn: str, account: str) -> tuple[str, ...]:
    """The ARN of the state machine for which Step Functions assumes the role.

    https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html (confused deputy)"""
    from moto.stepfunctions.models import stepfunctions_backends

    found = (one for each in list(stepfunctions_backends[account].values()) for one in each.state_machines)
    return tuple(one.arn for one in found if one.roleArn == role_arn)[:1]
