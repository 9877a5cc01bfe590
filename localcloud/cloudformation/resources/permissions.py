"""Roles and their policies. `cdk bootstrap` deploys policies as resources of their own, and managed policies."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.resources.kind import Kind, Made, Wanted, arn
from localcloud.kernel.cloud import ACCOUNT, moto_backend


def _put_role(wanted: Wanted) -> Made:
    if "PermissionsBoundary" in wanted.properties:
        raise ValueError("AWS::IAM::Role: a permissions boundary is not decided by the local cloud")
    name = wanted.name("RoleName")
    trust = json.dumps(wanted.properties["AssumeRolePolicyDocument"])
    own = ("RoleName", "AssumeRolePolicyDocument", "ManagedPolicyArns", "Policies")
    if wanted.before is None:
        made = wanted.call("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=trust, **wanted.rest(*own))
        role = made["Role"]
    else:
        wanted.call("iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=trust)
        wanted.call("iam", "UpdateRole", RoleName=name, **wanted.get("Description", "MaxSessionDuration"))
        role = wanted.call("iam", "GetRole", RoleName=name)["Role"]
    _attach(wanted, name)
    _inline(wanted, name)
    return Made(ref=name, attributes={"Arn": role["Arn"], "RoleId": role["RoleId"]})


def _attach(wanted: Wanted, role: str) -> None:
    """Attach the managed policies that the template has, and detach those that it no longer has.

    moto begins without AWS's own policies. One that a template names is taken from moto's copy of them."""
    before = set(wanted.before.properties.get("ManagedPolicyArns", []) if wanted.before else [])
    now = set(wanted.properties.get("ManagedPolicyArns", []))
    for policy in sorted(now - before):
        if policy.startswith("arn:aws:iam::aws:policy/"):
            _know_managed(policy)
        wanted.call("iam", "AttachRolePolicy", RoleName=role, PolicyArn=policy)
    for policy in before - now:
        wanted.call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=policy)


def _know_managed(policy_arn: str) -> None:
    """Add a managed policy of AWS to moto's. Raises ValueError if moto's copy does not have it."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data
    from moto.iam.models import AWSManagedPolicy

    policies = moto_backend("iam", "aws").managed_policies
    if policy_arn in policies:
        return
    data = json.loads(aws_managed_policies_data)
    name = policy_arn.rpartition("/")[2]
    if name not in data:
        raise ValueError(f"AWS has no managed policy {policy_arn}, or moto's copy is older than it")
    policies[policy_arn] = AWSManagedPolicy.from_data(name, ACCOUNT, "eu-west-1", data[name])


def _inline(wanted: Wanted, role: str) -> None:
    """Put the inline policies that the template has, and delete those that it no longer has."""
    before = {one["PolicyName"] for one in (wanted.before.properties.get("Policies", []) if wanted.before else [])}
    now = wanted.properties.get("Policies", [])
    for policy in now:
        document = json.dumps(policy["PolicyDocument"])
        wanted.call("iam", "PutRolePolicy", RoleName=role, PolicyName=policy["PolicyName"], PolicyDocument=document)
    for name in before - {policy["PolicyName"] for policy in now}:
        wanted.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=name)


def _drop_role(wanted: Wanted, made: Made) -> None:
    # A role that still has policies cannot be deleted.
    for policy in made.properties.get("ManagedPolicyArns", []):
        wanted.call("iam", "DetachRolePolicy", RoleName=made.ref, PolicyArn=policy)
    for policy in made.properties.get("Policies", []):
        wanted.call("iam", "DeleteRolePolicy", RoleName=made.ref, PolicyName=policy["PolicyName"])
    wanted.call("iam", "DeleteRole", RoleName=made.ref)


def _roles(wanted: Wanted) -> list[str]:
    if wanted.properties.get("Users") or wanted.properties.get("Groups"):
        raise ValueError("policies of users and groups are not known to the local cloud")
    return list(wanted.properties.get("Roles", []))


def _give(wanted: Wanted, attach: str, detach: str, document: dict[str, str] | None = None, **policy: str) -> None:
    """Give the policy to the roles that are to have it, and take it from those that are not to have it any more."""
    for role in _roles(wanted):
        wanted.call("iam", attach, RoleName=role, **policy, **(document or {}))
    for role in wanted.before.properties.get("Roles", []) if wanted.before else []:
        if role not in _roles(wanted):
            wanted.call("iam", detach, RoleName=role, **policy)


def _put_policy(wanted: Wanted) -> Made:
    name = wanted.properties["PolicyName"]
    document = {"PolicyDocument": json.dumps(wanted.properties["PolicyDocument"])}
    _give(wanted, "PutRolePolicy", "DeleteRolePolicy", document, PolicyName=name)
    return Made(ref=name, attributes={"Id": name})


def _drop_policy(wanted: Wanted, made: Made) -> None:
    for role in made.properties.get("Roles", []):
        wanted.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=made.ref)


def _put_managed_policy(wanted: Wanted) -> Made:
    name = wanted.name("ManagedPolicyName", longest=128)
    path = wanted.properties.get("Path", "/")
    document = json.dumps(wanted.properties["PolicyDocument"])
    own = arn("iam", wanted, f"policy{path}{name}").replace(f":{wanted.cloud.region}:", "::")
    if wanted.before is None:
        rest: dict[str, Any] = wanted.get("Path", "Description", "Tags")
        wanted.call("iam", "CreatePolicy", PolicyName=name, PolicyDocument=document, **rest)
    elif wanted.changed("PolicyDocument"):
        _make_room(wanted, own)
        wanted.call("iam", "CreatePolicyVersion", PolicyArn=own, PolicyDocument=document, SetAsDefault=True)
    _give(wanted, "AttachRolePolicy", "DetachRolePolicy", PolicyArn=own)
    return Made(ref=own, attributes={"PolicyArn": own})


def _make_room(wanted: Wanted, policy: str) -> None:
    """Delete all versions but the default one: a policy has at most five, and can only be deleted with one."""
    versions = wanted.call("iam", "ListPolicyVersions", PolicyArn=policy)["Versions"]
    for version in versions:
        if not version["IsDefaultVersion"]:
            wanted.call("iam", "DeletePolicyVersion", PolicyArn=policy, VersionId=version["VersionId"])


def _drop_managed_policy(wanted: Wanted, made: Made) -> None:
    for role in made.properties.get("Roles", []):
        wanted.call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=made.ref)
    _make_room(wanted, made.ref)
    wanted.call("iam", "DeletePolicy", PolicyArn=made.ref)


KINDS = {
    "AWS::IAM::Role": Kind(put=_put_role, drop=_drop_role, fixed=("RoleName", "Path")),
    "AWS::IAM::Policy": Kind(put=_put_policy, drop=_drop_policy, fixed=("PolicyName",)),
    "AWS::IAM::ManagedPolicy": Kind(
        put=_put_managed_policy, drop=_drop_managed_policy, fixed=("ManagedPolicyName", "Path", "Description")
    ),
}
