"""Decides each call with the keys of an assumed role (`ASIA…`) before moto sees it.

The session's token must belong to the key. Loopback counts as secure transport. A condition key that is not decided
here makes an Allow void and lets a Deny apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

from localcloud.iam.condition_keys import KEYS
from localcloud.iam.decision import Case, why_not
from localcloud.iam.passed_role_permissions import passed_role_permissions
from localcloud.iam.policies import FAMILIES, Request, text_of
from localcloud.iam.recording import Recording
from localcloud.iam.required_permissions.catalogue import required_permissions
from localcloud.kernel import patching
from localcloud.kernel.calls import Call, Refusal, error_answer
from localcloud.kernel.cloud import ACCOUNT, REGION, Cloud, moto_backend
from localcloud.kernel.control import json_answer

# Finds the policy of a resource itself: of a bucket, a queue, a topic, a key, a bus, an API or a group of versions.

KEPT = {"s3": "buckets", "sqs": "queues", "sns": "topics", "kms": "keys", "events": "event_buses"}
"""By service what moto keeps its resources in."""


def resource_policies(cloud: Cloud, request: Request) -> Iterator[str]:
    """The policy of the resource that the request names, as JSON text; nothing if it has none."""
    name = request.resources[0]
    service = name.split(":")[2] if name.startswith("arn:") else ""
    document = None
    if service in KEPT:
        backends = getattr(import_module(f"moto.{service}.models"), f"{service}_backends")
        kept = getattr(backends[owner_of(request)]["aws" if service == "s3" else REGION], KEPT[service])
        own = {"s3": name.rpartition(":")[2].partition("/")[0], "sns": name}.get(service, re.split("[:/]", name)[-1])
        document = getattr(kept.get(own), "policy", None)
    if service == "sagemaker" and ":model-package" in name:
        from localcloud.sagemaker.registry import policy_of

        document = policy_of(cloud, name.split("/")[1])
    if service == "execute-api":
        from localcloud.apigateway.documents import policy_of_stage

        document = policy_of_stage(cloud, *name.split(":")[5].split("/")[:2])
    if document:
        yield text_of(document)


# Accounts beside the cloud's own: to which one the resource of a request belongs.
#
# Such an account has no stacks, functions or events. It has what its operator makes by the API: buckets, keys,
# versions, and roles, which may be assumed and then call.

HEADER = "HTTP_X_MOTO_ACCOUNT_ID"
"""The variable of WSGI by which moto answers out of another account than that of the keys."""


def account_of(arn: str, other: str = ACCOUNT) -> str:
    """The account that the ARN names; the other one if it names none, or is no ARN."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 and parts[4].isdigit() else other


def owner_of(request: Request, caller: str = ACCOUNT) -> str:
    """The account of the resource that the request names; that of the caller if the name does not tell."""
    name = request.resources[0]
    if name.startswith("arn:aws:s3:::"):
        from moto.s3.models import s3_backends

        bucket = name.removeprefix("arn:aws:s3:::").partition("/")[0]
        return s3_backends.bucket_accounts.get(bucket, ("", caller))[1]
    return account_of(name, caller)


def assumed_role(access_key: str) -> Any:
    """moto's session of a role with these temporary keys; None if there is none."""
    from moto.iam.models import get_account_id_from

    account = get_account_id_from(access_key)
    return moto_backend("sts", "aws", account=account).get_assumed_role_from_access_key(access_key)


def role_of(arn: str) -> Any:
    """moto's role in the account that its ARN names. Raises moto's NotFoundException if there is none."""
    return moto_backend("iam", "aws", account=account_of(arn)).get_role_by_arn(arn)


GLOBAL_KEYS: dict[str, str] = {
    "aws:principalarn": "the role's ARN",
    "aws:principalaccount": "the account of the role",
    "aws:principaltype": "AssumedRole",
    "aws:principalisawsservice": "false; in a service's delivery true",
    "aws:userid": "the role's id and the session's name",
    "aws:requestedregion": "the cloud's region",
    "aws:resourceaccount": "the account of the resource",
    "aws:currenttime": "the cloud's clock",
    "aws:epochtime": "the cloud's clock",
    "aws:securetransport": "true: the loopback interface counts as TLS",
    "aws:sourceip": "127.0.0.1",
    "aws:viaawsservice": "true for what S3, SQS and SNS ask of KMS for the caller, else false",
    "aws:calledvia": "absent",
    "aws:sourcearn": "absent in a role's call; in a service's delivery what it acts for",
    "aws:sourceaccount": "absent in a role's call; in a service's delivery the account",
    "aws:sourceowner": "absent in a role's call; in an alarm's notification the account",
    "aws:principalorgid": "absent: there is no organisation",
    "aws:sourcevpc": "absent: there is no network",
    "aws:sourcevpce": "absent but in a request to `/_aws/execute-api/<api>-<vpce-…>/…`: the endpoint that it names",
    "kms:viaservice": "the service that uses the key for the caller; absent in a direct call",
    "kms:calleraccount": "the account of the role",
    "kms:grantisforawsresource": "true for the volumes of jobs and endpoints, else false",
    "iam:passedtoservice": "the service that is handed the role",
    "aws:tagkeys": "the tags of the request",
}
"""The condition keys that every call has, and how each is decided. The ledger prints these texts.

A key whose text begins with "absent" has no value in a role's call."""

DECIDED = frozenset(GLOBAL_KEYS) | KEYS
"""All condition keys that are decided, in lower case, except those of `policies.FAMILIES`."""


def is_decided(key: str) -> bool:
    """Whether a condition key is decided here. An Allow under any other key does not count."""
    return key.lower() in DECIDED or key.lower().startswith(FAMILIES)


@dataclass(frozen=True, kw_only=True)
class Denial:
    """A call of a role that was refused."""

    role: str
    operation: str
    action: str
    resource: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The role behind temporary keys."""

    role: Any
    """moto's role."""
    session: str

    @property
    def account(self) -> str:
        return str(self.role.account_id)

    @property
    def arn(self) -> str:
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role.name}/{self.session}"

    @property
    def user_id(self) -> str:
        return f"{self.role.id}:{self.session}"


def guard_calls(cloud: Cloud) -> None:
    from moto.iam.access_control import PermissionResult

    buckets: Any = import_module("moto.s3.models")
    identity = Identity(cloud)
    cloud.guards.append(identity.refusal)
    cloud.parts[Identity] = identity
    cloud.watchers.append(identity.recording.start)
    cloud.routes["/_millrace/denials"] = lambda _, start: json_answer(start, "200 OK", [*map(asdict, cloud.denials)])
    cloud.routes["/_millrace/permissions"] = identity.recording.serve
    # moto ignores the conditions of a bucket policy, so that a Deny without TLS would refuse everything. The guard
    # decides these policies. May go when moto decides conditions.
    patching.replace(buckets.FakeBucket, get_permission=lambda *_: PermissionResult.NEUTRAL)


def refused(cloud: Cloud, role_arn: str, operation: str, request: Request) -> Denial | None:
    """The denial of what a service does in the role's name, or None if it is allowed.

    None also in a cloud without the filler of IAM."""
    identity: Identity | None = cloud.parts.get(Identity)
    return identity.decide(role_arn, operation, request) if identity else None


class Identity:
    """The guard of the cloud's calls."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        # By access key: the caller and the session token that belongs to the key.
        self._callers: dict[str, tuple[Caller, str]] = {}
        self.recording = Recording()

    def refusal(self, call: Call) -> Refusal | None:
        """The answer to a call that is not allowed, or None if the call may pass."""
        return self._refusal_of_caller(call) or self._refusal_of_service(call)

    def _refusal_of_service(self, call: Call) -> Refusal | None:
        """Refuse a call that passes on a role without the permissions that its service will use, whoever calls."""
        from moto.iam.exceptions import NotFoundException

        for role_arn, request in passed_role_permissions(self._cloud, call):
            with suppress(NotFoundException):  # the call itself fails for a role that does not exist
                denial = self.decide(role_arn, call.name, request)
                if denial is not None:
                    return error_answer(call, "AccessDenied", _described(role_arn, denial))
        return None

    def _refusal_of_caller(self, call: Call) -> Refusal | None:
        """Refuse a call of a role that lacks one of the permissions which the call requires."""
        # Only assumed roles have such keys. The operator's may do everything.
        if not call.access_key.startswith("ASIA"):
            return None
        caller = self.caller(call)
        if caller is None:
            return error_answer(call, "InvalidClientTokenId", "The security token included in the request is invalid.")
        for request in required_permissions(call):
            denial = self._decide(caller, request, call.name)
            if denial is not None:
                return error_answer(call, "AccessDenied", _described(caller.arn, denial))
            # S3's names are the same in all accounts, so moto finds the bucket itself.
            if (owner := owner_of(request, caller.account)) != caller.account and call.service != "s3":
                call.environ[HEADER] = owner
        return None

    def decide(self, role_arn: str, operation: str, request: Request) -> Denial | None:
        """The denial of what a service does in the role's name, or None if it is allowed."""
        return self._decide(Caller(role=role_of(role_arn), session="service"), request, operation)

    def _decide(self, caller: Caller, request: Request, operation: str) -> Denial | None:
        """The denial of the request, or None if it is allowed. Keeps denials, and allowed requests while recording."""
        # The values of the call itself come last: they override those that hold for every call (`kms:viaservice`).
        context = {**self._context(caller, request), **self._resource_tags(request), **request.context}
        full = replace(request, context=context, principal=(caller.role.arn, caller.arn))
        case = Case(
            request=full,
            of_role=tuple(policies_of(caller.role)),
            of_resource=tuple(resource_policies(self._cloud, full)),
            boundary=boundary_of(caller.role),
            owner=owner_of(full, caller.account),
            account=caller.account,
        )
        reason = why_not(case)
        if reason is None:
            self.recording.allow(caller.role.name, operation, case, request.context)
            return None
        denial = Denial(
            role=caller.role.name,
            operation=operation,
            action=full.action,
            resource=full.resources[0],
            reason=reason,
        )
        self._cloud.denials.append(denial)
        return denial

    def caller(self, call: Call) -> Caller | None:
        """The role whose keys signed the call, or None if key and token do not belong together."""
        # moto's list of assumed roles has no index, so what was found is kept: a key belongs to one session for as long
        # as the cloud runs.
        if call.access_key not in self._callers and (assumed := assumed_role(call.access_key)):
            caller = Caller(role=role_of(assumed.role_arn), session=assumed.session_name)
            self._callers[call.access_key] = (caller, assumed.session_token)
        known = self._callers.get(call.access_key)
        return known[0] if known and known[1] == call.session_token else None

    def _resource_tags(self, request: Request) -> dict[str, tuple[str, ...]]:
        """The tags of a resource of SageMaker as condition values.

        Tags of other services' resources are not read, so a condition on them finds no value."""
        from localcloud.sagemaker.api import records

        tags = [one for arn in request.resources for one in records(self._cloud).tags.get(arn, [])]
        return {f"aws:resourcetag/{one['Key']}".lower(): (one["Value"],) for one in tags}

    def _context(self, caller: Caller, request: Request) -> dict[str, tuple[str, ...]]:
        """The values of the condition keys that every call has (GLOBAL_KEYS), and of the role's tags."""
        now = self._cloud.clock.now()
        inner = request.context.get("kms:viaservice")
        tags = {f"aws:principaltag/{key}".lower(): (tag,) for key, tag in _tags(caller.role)}
        absent = dict.fromkeys((key for key in GLOBAL_KEYS if GLOBAL_KEYS[key].startswith("absent")), ())
        return {
            **absent,
            **tags,
            "aws:principalarn": (caller.role.arn,),
            "aws:principalaccount": (caller.account,),
            "aws:principaltype": ("AssumedRole",),
            "aws:principalisawsservice": ("false",),
            "aws:userid": (caller.user_id,),
            "aws:requestedregion": (REGION,),
            "aws:resourceaccount": (owner_of(request, caller.account),),
            "aws:currenttime": (now.isoformat(),),
            "aws:epochtime": (str(now.timestamp()),),
            "aws:securetransport": ("true",),
            "aws:sourceip": ("127.0.0.1",),
            "aws:viaawsservice": ("true" if inner else "false",),
            "kms:viaservice": (),
            "kms:calleraccount": (caller.account,),
            "kms:grantisforawsresource": ("false",),
            "iam:passedtoservice": (),
        }


def _described(who: str, denial: Denial) -> str:
    return f"User: {who} is not authorized to perform: {denial.action} on resource: {denial.resource} {denial.reason}"


def policies_of(role: Any) -> Iterator[str]:
    yield from (text_of(document) for document in role.policies.values())
    for policy in role.managed_policies.values():
        yield _default_version(policy)


def _default_version(policy: Any) -> str:
    return next(text_of(version.document) for version in policy.versions if version.is_default)


def boundary_of(role: Any) -> str | None:
    if not role.permissions_boundary_arn:
        return None
    kept = moto_backend("iam", "aws", account=role.account_id).managed_policies
    return _default_version(kept[role.permissions_boundary_arn])


def _tags(role: Any) -> list[tuple[str, str]]:
    """The role's tags as pairs. moto keeps them as a list, or by their keys."""
    tags = role.tags.values() if isinstance(role.tags, dict) else role.tags
    return [(tag["Key"], tag["Value"]) for tag in tags]
