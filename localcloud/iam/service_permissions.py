"""Decides whether a service of AWS may deliver to a queue, a topic, a function or a bucket.

On AWS EventBridge, SNS and CloudWatch act as service principals. The receiver's own policy must allow them, and so must
the policy of the customer key that encrypts the receiver. If one of them does not, messages are lost without an error.

Weaker than AWS: a queue without any policy takes what services of the account send (`OPEN_WITHOUT_POLICY`)."""

from __future__ import annotations

from typing import Any

from localcloud.iam.identity import GLOBAL_KEYS
from localcloud.iam.policies import Request, text_of, verdict
from localcloud.kernel.cloud import ACCOUNT, REGION, moto_backend

OPEN_WITHOUT_POLICY = True
_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}


def refusal(arn: str, service: str, source_arn: str) -> str:
    """The reason why the service may not deliver to `arn`; empty if it may.

    `service` is for example `events.amazonaws.com`, `source_arn` the rule, topic or alarm that it acts for. If there is
    nothing under `arn`, nothing is refused: the delivery itself says that better."""
    receiver = _receiver(arn)
    if receiver is None or (OPEN_WITHOUT_POLICY and ":sqs:" in arn and not receiver.policy):
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


def trail_refusal(trail: Any, key: str) -> dict[str, str]:
    """Why CloudTrail may not put the object into the bucket of moto's trail, by the error of CreateTrail; else empty.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html"""
    bucket, service = f"arn:aws:s3:::{trail.bucket_name}", "cloudtrail.amazonaws.com"
    context = _context(bucket, service, trail.arn) | {
        "s3:x-amz-acl": ("bucket-owner-full-control",),
        "s3:if-none-match": (),
        "kms:encryptioncontext:aws:cloudtrail:arn": (trail.arn,),
    }
    policy = getattr(moto_backend("s3", "aws").buckets.get(trail.bucket_name), "policy", None)
    for action, resource in (("s3:GetBucketAcl", bucket), ("s3:PutObject", f"{bucket}/{key}")):
        if not _allows(policy, action, resource, service, context):
            why = f"Incorrect S3 bucket policy is detected for bucket: {trail.bucket_name} ({action} on {resource})"
            return {"InsufficientS3BucketPolicyException": why}
    own = _customer_key(trail.kms_key_id or "", region=REGION)
    # A bucket with a key of its own asks for Decrypt; here every one does.
    for action in ("kms:GenerateDataKey", "kms:DescribeKey", "kms:Decrypt") if trail.kms_key_id else ():
        if own is None or not own.enabled or not _allows(own.policy, action, own.arn, service, context):
            why = f"Insufficient permissions to access S3 bucket {trail.bucket_name} or KMS key {trail.kms_key_id}"
            return {"InsufficientEncryptionPolicyException": f"{why} ({action})"}
    return {}


def _allows(document: Any, action: str, resource: str, service: str, context: dict[str, tuple[str, ...]]) -> bool:
    request = Request(action=action, resources=(resource,), context=context, principal=(service,))
    return verdict([text_of(document or {})], request, with_principal=True) == "Allow"


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
