"""Decides whether a service of AWS may deliver to a queue, a topic or a function.

On AWS EventBridge, SNS and CloudWatch act as service principals. The receiver's own policy must allow them, and so must
the policy of the customer key that encrypts the receiver. If one of them does not, messages are lost without an error.

Weaker than AWS: a queue without any policy takes what services of the account send (`OPEN_WITHOUT_POLICY`)."""

from __future__ import annotations

import json
from typing import Any

from localcloud.iam.identity import GLOBAL_KEYS
from localcloud.iam.policies import Request, verdict
from localcloud.kernel.cloud import ACCOUNT, moto_backend

OPEN_WITHOUT_POLICY = True
_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}


def refusal(arn: str, service: str, source_arn: str) -> str:
    """The reason why the service may not deliver to `arn`; empty if it may.

    `service` is for example `events.amazonaws.com`, `source_arn` the rule, topic or alarm that it acts for. If there is
    nothing under `arn`, nothing is refused: the delivery itself says that better."""
    receiver = _receiver(arn)
    if receiver is None or _is_open(arn, receiver):
        return ""
    context = _context(arn, service, source_arn)
    action = _ACTIONS[arn.split(":")[2]]
    if not _allows(_policy(receiver), action, arn, service, context):
        return f"the policy of {arn} does not allow {service} {action} for {source_arn}"
    return key_refusal(getattr(receiver, "kms_master_key_id", None), arn, service, source_arn)


def key_refusal(name: str | None, arn: str, service: str, source_arn: str) -> str:
    """The reason why the service may not use the key `name`, which encrypts `arn`; empty if it may.

    A key of AWS's own asks nobody."""
    key = _customer_key(name or "", region=arn.split(":")[3])
    if key is None:
        return ""
    if not key.enabled:
        return f"{key.arn}, which encrypts {arn}, is not enabled"
    context = _context(arn, service, source_arn)
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        if not _allows(key.policy, action, key.arn, service, context):
            return f"the policy of {key.arn}, which encrypts {arn}, does not allow {service} {action}"
    return ""


def _is_open(arn: str, receiver: Any) -> bool:
    return OPEN_WITHOUT_POLICY and ":sqs:" in arn and not receiver.policy


def _allows(document: Any, action: str, resource: str, service: str, context: dict[str, tuple[str, ...]]) -> bool:
    request = Request(action=action, resources=(resource,), context=context, principal=(service,))
    text = document if isinstance(document, str) else json.dumps(document or {})
    return verdict([text], request, with_principal=True) == "Allow"


def _context(arn: str, service: str, source_arn: str) -> dict[str, tuple[str, ...]]:
    # To a topic EventBridge names neither its rule nor its account. So a condition on them, in the policy of the topic
    # or of its key, is never met. https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    is_silent = service == "events.amazonaws.com" and ":sns:" in arn
    # Alarms publish in the name of the account. The default policy of a topic asks for that.
    owner = (ACCOUNT,) if service == "cloudwatch.amazonaws.com" else ()
    return {
        **dict.fromkeys(GLOBAL_KEYS, ()),
        "aws:sourcearn": () if is_silent else (source_arn,),
        "aws:sourceaccount": () if is_silent else (ACCOUNT,),
        "aws:sourceowner": owner,
        "aws:principalisawsservice": ("true",),
        "aws:securetransport": ("true",),
        "kms:encryptioncontext:aws:sqs:arn": (arn,),
        "kms:encryptioncontext:aws:sns:topicarn": (arn,),
    }


def _receiver(arn: str) -> Any:
    """moto's queue, topic or function, or None if there is none in this account."""
    _, _, service, region, account, name = arn.split(":", 5)
    if account != ACCOUNT:
        return None
    match service:
        case "sqs":
            return moto_backend("sqs", region, account=account).queues.get(name)
        case "sns":
            return moto_backend("sns", region, account=account).topics.get(arn)
        case "lambda":
            function = name.removeprefix("function:").split(":")[0]
            backend = moto_backend("lambda", region, account=account)
            return backend._lambdas._functions.get(function, {}).get("latest")
    return None


def _policy(receiver: Any) -> Any:
    """The receiver's policy as text or as a document: moto keeps that of a function as an object."""
    statements = getattr(receiver.policy, "statements", None)
    return receiver.policy if statements is None else {"Statement": statements}


def _customer_key(name: str, *, region: str) -> Any:
    """moto's customer key of this id, ARN or alias, or None if it is AWS's own (`alias/aws/sns`)."""
    backend = moto_backend("kms", region)
    if not name or name.startswith("alias/aws/"):
        return None
    return backend.keys.get(backend.get_key_id_from_alias(name) or name.rpartition("/")[2])
