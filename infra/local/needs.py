"""Which permissions a call needs: action, resource and condition values, by service.

Source: Service Authorization Reference, the tables of actions and resource types of each service. A call of a service
that is not listed here needs its action on `*`: only a statement with `"Resource": "*"` can allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.local.calls import Call
from infra.local.cloud import ACCOUNT
from infra.local.policies import Request

REGION = "eu-west-1"

_PREFIX = {"stepfunctions": "states", "sagemaker-runtime": "sagemaker"}
"""Where the service's prefix in actions is not botocore's name of it."""

_ACTION = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "lambda:InvokeAsync": "lambda:InvokeFunction",
    "events:PutPartnerEvents": "events:PutPartnerEvents",
}

FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
"""What every caller may ask."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call with its parameters parsed once."""

    call: Call
    parameters: Mapping[str, Any]

    def get(self, *names: str) -> Any:
        """The first of the parameters that is given, in whatever case."""
        lowered = {key.lower(): value for key, value in self.parameters.items()}
        return next((lowered[name.lower()] for name in names if lowered.get(name.lower()) not in (None, "")), None)


def needs(call: Call) -> list[Request]:
    """The permissions that the call needs, all of them; none for what every caller may do."""
    asked = Asked(call=call, parameters=call.parameters())
    action = f"{_PREFIX.get(call.service, call.service)}:{call.operation}"
    if action in FREE:
        return []
    name = _ACTION.get(action, action)
    found = list(_BY_SERVICE.get(call.service, _anything)(name, asked))
    return [replace(one, context={**_context(asked), **one.context}) for one in [*found, *_passed_roles(asked)]]


def _arn(service: str, rest: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{rest}"


def _need(action: str, *resources: str, **context: tuple[str, ...]) -> Request:
    return Request(action=action, resources=resources or ("*",), context=context)


def _anything(action: str, asked: Asked) -> Iterator[Request]:
    yield _need(action)


def _context(asked: Asked) -> dict[str, tuple[str, ...]]:
    """The condition values that the parameters give, for the keys of the services we use."""
    tags = asked.get("Tags") or []
    pairs = tags.items() if isinstance(tags, dict) else [_tag(tag) for tag in tags if isinstance(tag, dict)]
    values = {f"aws:requesttag/{key}".lower(): (str(value),) for key, value in pairs}
    values["aws:tagkeys"] = tuple(str(key) for key, _ in pairs)
    for key, read in _KEYS.get(asked.call.service, {}).items():
        found = read(asked)
        listed = found if isinstance(found, list) else [] if found is None else [found]
        values[key] = tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in listed)
    return values


def _tag(tag: Mapping[str, Any]) -> tuple[Any, Any]:
    lowered = {key.lower(): value for key, value in tag.items()}
    return lowered.get("key", lowered.get("tagkey")), lowered.get("value", lowered.get("tagvalue"))


def _inner(*path: str) -> Callable[[Asked], Any]:
    """Reads a nested parameter, through lists too."""

    def read(asked: Asked) -> Any:
        values: list[Any] = [asked.parameters]
        for name in path:
            values = [value[name] for value in values if isinstance(value, Mapping) and name in value]
            values = [item for value in values for item in (value if isinstance(value, list) else [value])]
        return values or None

    return read


_KEYS: Mapping[str, Mapping[str, Callable[[Asked], Any]]] = {
    "s3": {
        "s3:prefix": lambda asked: asked.parameters.get("Prefix", "") if "List" in asked.call.operation else None,
        "s3:delimiter": _inner("Delimiter"),
        "s3:max-keys": _inner("MaxKeys"),
        "s3:versionid": _inner("VersionId"),
        "s3:x-amz-server-side-encryption": _inner("ServerSideEncryption"),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": _inner("SSEKMSKeyId"),
        "s3:x-amz-acl": _inner("ACL"),
        "s3:x-amz-storage-class": _inner("StorageClass"),
        "s3:object-lock-mode": _inner("ObjectLockMode"),
        "s3:resourceaccount": lambda asked: ACCOUNT,
    },
    "dynamodb": {
        "dynamodb:leadingkeys": lambda asked: _leading_keys(asked),
        "dynamodb:select": _inner("Select"),
        "dynamodb:returnvalues": _inner("ReturnValues"),
    },
    "cloudwatch": {"cloudwatch:namespace": _inner("Namespace")},
    "events": {
        "events:source": _inner("Entries", "Source"),
        "events:detail-type": _inner("Entries", "DetailType"),
    },
    "sns": {"sns:protocol": _inner("Protocol"), "sns:endpoint": _inner("Endpoint")},
    "sagemaker": {
        "sagemaker:networkisolation": _inner("EnableNetworkIsolation"),
        "sagemaker:intercontainertrafficencryption": _inner("EnableInterContainerTrafficEncryption"),
        "sagemaker:instancetypes": lambda asked: (
            (_inner("ResourceConfig", "InstanceType")(asked) or [])
            + (_inner("TransformResources", "InstanceType")(asked) or [])
            + (_inner("ProcessingResources", "ClusterConfig", "InstanceType")(asked) or [])
            + (_inner("ProductionVariants", "InstanceType")(asked) or [])
        ),
        "sagemaker:volumekmskey": lambda asked: (
            (_inner("ResourceConfig", "VolumeKmsKeyId")(asked) or [])
            + (_inner("TransformResources", "VolumeKmsKeyId")(asked) or [])
            + (_inner("ProcessingResources", "ClusterConfig", "VolumeKmsKeyId")(asked) or [])
            + (_inner("KmsKeyId")(asked) or [])
        ),
        "sagemaker:outputkmskey": lambda asked: (
            (_inner("OutputDataConfig", "KmsKeyId")(asked) or [])
            + (_inner("TransformOutput", "KmsKeyId")(asked) or [])
        ),
        "sagemaker:vpcsubnets": lambda asked: (
            (_inner("VpcConfig", "Subnets")(asked) or [])
            + (_inner("NetworkConfig", "VpcConfig", "Subnets")(asked) or [])
        ),
        "sagemaker:vpcsecuritygroupids": lambda asked: (
            (_inner("VpcConfig", "SecurityGroupIds")(asked) or [])
            + (_inner("NetworkConfig", "VpcConfig", "SecurityGroupIds")(asked) or [])
        ),
        "sagemaker:modelapprovalstatus": _inner("ModelApprovalStatus"),
    },
}
"""Condition keys by service and how each is read from the call; a key that is not here is not decided."""


def _leading_keys(asked: Asked) -> list[str]:
    """The partition keys that the request touches: the first value of `Key`, `Item`, or of each batch entry."""
    found = []
    for key in ("Key", "Item"):
        if isinstance(asked.parameters.get(key), Mapping):
            found.append(_first_value(asked.parameters[key], asked))
    values = asked.parameters.get("ExpressionAttributeValues") or {}
    condition = str(asked.parameters.get("KeyConditionExpression") or "")
    found += [next(iter(value.values())) for name, value in values.items() if f"= {name}" in f"{condition} "]
    return [str(one) for one in found if one is not None]


def _first_value(item: Mapping[str, Any], asked: Asked) -> Any:
    from moto.dynamodb.models import dynamodb_backends

    table = dynamodb_backends[ACCOUNT][REGION].tables.get(asked.parameters.get("TableName", ""))
    value = item.get(table.hash_key_attr) if table else None
    return next(iter(value.values())) if isinstance(value, Mapping) else None


# --- what each service's calls touch -----------------------------------------------------------------------------


_S3_ACTIONS = {
    "HeadObject": "GetObject",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "ListBuckets": "ListAllMyBuckets",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
}
_VERSIONED = {"GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"}


def _s3(action: str, asked: Asked) -> Iterator[Request]:
    operation = asked.call.operation
    name = _S3_ACTIONS.get(operation, operation)
    if name in _VERSIONED and asked.parameters.get("VersionId"):
        name = name.replace("Object", "ObjectVersion", 1)
    bucket, key = asked.parameters.get("Bucket"), asked.parameters.get("Key")
    if bucket is None:
        yield _need(f"s3:{name}")
        return
    if operation == "DeleteObjects":
        for one in asked.parameters.get("Delete", {}).get("Objects", []):
            version = "Version" if one.get("VersionId") else ""
            yield _need(f"s3:DeleteObject{version}", f"arn:aws:s3:::{bucket}/{one['Key']}")
        return
    yield _need(f"s3:{name}", f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""))
    if operation == "GetObjectAttributes":
        yield _need("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    if asked.parameters.get("CopySource"):
        source = asked.parameters["CopySource"].lstrip("/").partition("?")[0]
        yield _need("s3:GetObject", f"arn:aws:s3:::{source}")
    if asked.parameters.get("Tagging") and operation in {"PutObject", "CopyObject", "CreateMultipartUpload"}:
        yield _need("s3:PutObjectTagging", f"arn:aws:s3:::{bucket}/{key}")
    if asked.parameters.get("ObjectLockRetainUntilDate"):
        yield _need("s3:PutObjectRetention", f"arn:aws:s3:::{bucket}/{key}")
    yield from _s3_keys(asked, bucket, key)


def _s3_keys(asked: Asked, bucket: str, key: str | None) -> Iterator[Request]:
    """S3 uses the customer key with the caller's permissions."""
    from moto.s3.models import s3_backends

    via = {"kms:viaservice": (f"s3.{REGION}.amazonaws.com",)}
    kept = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    if kept is None or not key:
        return
    if asked.call.operation in {"PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart"}:
        own = asked.parameters.get("SSEKMSKeyId") or _default_key(kept)
        if own:
            yield Request(action="kms:GenerateDataKey", resources=(_key_arn(own),), context=via)
    if asked.call.operation == "GetObject":
        stored = kept.keys.get(key)
        own = getattr(stored, "kms_key_id", None) or (
            _default_key(kept) if getattr(stored, "encryption", None) == "aws:kms" else None
        )
        if own:
            yield Request(action="kms:Decrypt", resources=(_key_arn(own),), context=via)


def _default_key(bucket: Any) -> str | None:
    """The customer key that the bucket encrypts with by default."""
    encryption = getattr(bucket, "encryption", None) or {}
    rule = encryption.get("Rule") or encryption.get("Rules") or {}
    rule = rule[0] if isinstance(rule, list) and rule else rule
    default = rule.get("ApplyServerSideEncryptionByDefault", {}) if isinstance(rule, dict) else {}
    return default.get("KMSMasterKeyID") if default.get("SSEAlgorithm") == "aws:kms" else None


def _key_arn(key: str) -> str:
    """The ARN of a key named by id, ARN or alias."""
    from moto.kms.models import kms_backends

    backend = kms_backends[ACCOUNT][REGION]
    return _arn("kms", f"key/{backend.get_key_id_from_alias(key) or key.rpartition('/')[2]}")


def _kms(action: str, asked: Asked) -> Iterator[Request]:
    key = asked.get("KeyId", "TargetKeyId")
    yield _need(action, _key_arn(key)) if key else _need(action)


def _dynamodb(action: str, asked: Asked) -> Iterator[Request]:
    batches = asked.parameters.get("RequestItems") or {}
    for table in batches:
        yield _need(action, _table(table))
    for one in asked.parameters.get("TransactItems") or []:
        for kind, item in one.items():
            operation = {"Put": "PutItem", "Get": "GetItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
            name = operation.get(kind, "ConditionCheckItem")
            yield _need(f"dynamodb:{name}", _table(item["TableName"]))
    table = asked.get("TableName", "ResourceArn")
    if table:
        index = asked.get("IndexName")
        yield _need(action, _table(table) + (f"/index/{index}" if index else ""))
    elif not batches and not asked.parameters.get("TransactItems"):
        yield _need(action)


def _table(name: str) -> str:
    return name if name.startswith("arn:") else _arn("dynamodb", f"table/{name}")


def _sqs(action: str, asked: Asked) -> Iterator[Request]:
    url, name = asked.get("QueueUrl"), asked.get("QueueName")
    operation = action.removesuffix("Batch")
    if not url and not name:
        yield _need(operation)
        return
    queue = name or url.rpartition("/")[2]
    yield _need(operation, _arn("sqs", queue))
    yield from _queue_keys(operation, queue)


def _queue_keys(action: str, queue: str) -> Iterator[Request]:
    from moto.sqs.models import sqs_backends

    kept = sqs_backends[ACCOUNT][REGION].queues.get(queue)
    key = getattr(kept, "kms_master_key_id", None)
    if not key or key == "alias/aws/sqs":
        return
    via = {"kms:viaservice": (f"sqs.{REGION}.amazonaws.com",)}
    actions = {"sqs:SendMessage": ("GenerateDataKey", "Decrypt"), "sqs:ReceiveMessage": ("Decrypt",)}
    for name in actions.get(action, ()):
        yield Request(action=f"kms:{name}", resources=(_key_arn(key),), context=via)


def _sns(action: str, asked: Asked) -> Iterator[Request]:
    from moto.sns.models import sns_backends

    topic = asked.get("TopicArn", "TargetArn", "ResourceArn")
    if topic is None and asked.get("Name"):
        topic = _arn("sns", asked.get("Name"))
    if topic is None and asked.get("SubscriptionArn"):
        topic = asked.get("SubscriptionArn").rpartition(":")[0]
    yield _need(action.removesuffix("Batch"), topic) if topic else _need(action)
    kept = sns_backends[ACCOUNT][REGION].topics.get(topic)
    key = getattr(kept, "kms_master_key_id", None)
    if key and key != "alias/aws/sns" and action.startswith("sns:Publish"):
        via = {"kms:viaservice": (f"sns.{REGION}.amazonaws.com",)}
        for name in ("GenerateDataKey", "Decrypt"):
            yield Request(action=f"kms:{name}", resources=(_key_arn(key),), context=via)


def _events(action: str, asked: Asked) -> Iterator[Request]:
    if action == "events:PutEvents":
        for entry in asked.parameters.get("Entries") or []:
            bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
            own = {
                "events:source": (str(entry.get("Source", "")),),
                "events:detail-type": (str(entry.get("DetailType", "")),),
            }
            yield Request(action=action, resources=(_arn("events", f"event-bus/{bus}"),), context=own)
        return
    bus = str(asked.get("EventBusName") or "default").rpartition("/")[2]
    rule = asked.get("Rule") or (asked.get("Name") if "Rule" in action else None)
    if rule:
        yield _need(action, _arn("events", f"rule/{rule}" if bus == "default" else f"rule/{bus}/{rule}"))
    elif "EventBus" in action:
        yield _need(action, _arn("events", f"event-bus/{asked.get('Name') or bus}"))
    else:
        yield _need(action)


def _states(action: str, asked: Asked) -> Iterator[Request]:
    named = asked.get("stateMachineArn", "executionArn", "mapRunArn", "activityArn", "resourceArn")
    if named is None and asked.get("name"):
        named = _arn("states", f"stateMachine:{asked.get('name')}")
    yield _need(action, named) if named else _need(action)


def _lambda(action: str, asked: Asked) -> Iterator[Request]:
    function = asked.get("FunctionName")
    if function:
        name = function.split(":function:")[-1]
        qualifier = asked.get("Qualifier")
        plain = _arn("lambda", f"function:{name}")
        yield _need(action, f"{plain}:{qualifier}" if qualifier and ":" not in name else plain)
    elif asked.get("UUID"):
        yield _need(action, _arn("lambda", f"event-source-mapping:{asked.get('UUID')}"))
    elif asked.get("LayerName"):
        yield _need(action, _arn("lambda", f"layer:{asked.get('LayerName')}"))
    else:
        yield _need(action)


_SAGEMAKER = {
    "TrainingJobName": "training-job",
    "TransformJobName": "transform-job",
    "ProcessingJobName": "processing-job",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
    "ModelPackageGroupName": "model-package-group",
    "ModelPackageName": "model-package",
    "ExperimentName": "experiment",
}


def _sagemaker(action: str, asked: Asked) -> Iterator[Request]:
    """SageMaker's ARNs are in lower case. Creating or changing an endpoint needs the configuration too."""
    operation = asked.call.operation
    if operation == "CreateModelPackage" and asked.get("ModelPackageGroupName"):
        group = asked.get("ModelPackageGroupName").rpartition("/")[2].lower()
        yield _need(action, _arn("sagemaker", f"model-package/{group}/1"))
        return
    if operation.startswith("List") and operation != "ListTags":
        yield _need(action)
        return
    names = ["EndpointName", "EndpointConfigName"] if operation in {"CreateEndpoint", "UpdateEndpoint"} else []
    if operation == "CreateEndpointConfig":
        names = ["EndpointConfigName"]
    if operation == "CreateTransformJob":
        names = ["TransformJobName"]
    found = names or [name for name in _SAGEMAKER if asked.get(name)][:1]
    for name in found:
        given = str(asked.get(name))
        own = given if given.startswith("arn:") else _arn("sagemaker", f"{_SAGEMAKER[name]}/{given.lower()}")
        yield _need(action, own)
    if not found:
        named = asked.get("ResourceArn", "ModelPackageArn")
        yield _need(action, named) if named else _need(action)


def _glue(action: str, asked: Asked) -> Iterator[Request]:
    """A table call needs the catalogue, the database and the table."""
    database = asked.get("DatabaseName") or (asked.get("Name") if "Database" in action else None)
    if database is None:
        database = (asked.get("DatabaseInput") or {}).get("Name")
    table = asked.get("TableName") or (asked.get("TableInput") or {}).get("Name")
    if table is None and action in {"glue:GetTable", "glue:DeleteTable"}:
        table = asked.get("Name")
    if table is None and action in {"glue:GetTables", "glue:BatchDeleteTable"}:
        table = "*"
    yield _need(action, _arn("glue", "catalog"))
    if database:
        yield _need(action, _arn("glue", f"database/{database}"))
    if database and table:
        yield _need(action, _arn("glue", f"table/{database}/{table}"))


def _logs(action: str, asked: Asked) -> Iterator[Request]:
    group = asked.get("logGroupName", "logGroupIdentifier", "logGroupNamePrefix")
    stream = asked.get("logStreamName")
    if group is None:
        yield _need(action, "*", _arn("logs", "log-group:*"))
        return
    own = group if group.startswith("arn:") else _arn("logs", f"log-group:{group}")
    names = (f"{own}:log-stream:{stream}",) if stream and action.endswith("LogEvents") else (own, f"{own}:*")
    yield _need(action, *names)


def _cloudwatch(action: str, asked: Asked) -> Iterator[Request]:
    names = asked.get("AlarmNames") or ([asked.get("AlarmName")] if asked.get("AlarmName") else [])
    for name in names:
        yield _need(action, _arn("cloudwatch", f"alarm:{name}"))
    if not names:
        yield _need(action, "*", *([_arn("cloudwatch", "alarm:*")] if "Alarm" in action else []))


def _ssm(action: str, asked: Asked) -> Iterator[Request]:
    names = asked.get("Names") or [name for name in [asked.get("Name", "Path")] if name]
    for name in names:
        yield _need(action, name if name.startswith("arn:") else _arn("ssm", f"parameter/{name.lstrip('/')}"))
    if not names:
        yield _need(action)


def _scheduler(action: str, asked: Asked) -> Iterator[Request]:
    group, name = asked.get("GroupName") or "default", asked.get("Name")
    if "ScheduleGroup" in action:
        yield _need(action, _arn("scheduler", f"schedule-group/{name}")) if name else _need(action)
    else:
        yield _need(action, _arn("scheduler", f"schedule/{group}/{name or '*'}"))


def _athena(action: str, asked: Asked) -> Iterator[Request]:
    group = asked.get("WorkGroup") or _workgroup_of(asked.get("QueryExecutionId")) or "primary"
    yield _need(action, _arn("athena", f"workgroup/{group}"))


def _workgroup_of(query: str | None) -> str | None:
    from moto.athena.models import athena_backends

    kept = athena_backends[ACCOUNT][REGION].executions.get(query)
    return str(kept.workgroup.name if hasattr(kept.workgroup, "name") else kept.workgroup) if kept else None


def _scaling(action: str, asked: Asked) -> Iterator[Request]:
    yield _need(action, "*", _arn("application-autoscaling", "scalable-target/*"))


def _ecr(action: str, asked: Asked) -> Iterator[Request]:
    name = asked.get("repositoryName")
    yield _need(action, _arn("ecr", f"repository/{name}")) if name else _need(action)


def _iam(action: str, asked: Asked) -> Iterator[Request]:
    name = asked.get("RoleName")
    yield _need(action, _arn("iam", f"role/{name}", "")) if name else _need(action)


def _sts(action: str, asked: Asked) -> Iterator[Request]:
    yield _need(action, asked.get("RoleArn") or "*")


_BY_SERVICE: Mapping[str, Callable[[str, Asked], Iterator[Request]]] = {
    "application-autoscaling": _scaling,
    "athena": _athena,
    "cloudwatch": _cloudwatch,
    "dynamodb": _dynamodb,
    "ecr": _ecr,
    "events": _events,
    "glue": _glue,
    "iam": _iam,
    "kms": _kms,
    "lambda": _lambda,
    "logs": _logs,
    "s3": _s3,
    "sagemaker": _sagemaker,
    "sagemaker-runtime": _sagemaker,
    "scheduler": _scheduler,
    "sns": _sns,
    "sqs": _sqs,
    "ssm": _ssm,
    "stepfunctions": _states,
    "sts": _sts,
}
SERVICES = frozenset(_BY_SERVICE)
"""Services whose calls are checked against the resource that they name."""

KEYS = frozenset(key for keys in _KEYS.values() for key in keys)
"""Condition keys of services that are decided from the parameters of a call."""


def _passed_roles(asked: Asked) -> Iterator[Request]:
    """`iam:PassRole` for each role that the call hands to a service."""
    service = _RECEIVER.get(asked.call.service, f"{asked.call.service}.amazonaws.com")
    if asked.call.service in {"sts", "iam", "s3"}:
        return
    for role in sorted(_roles_in(asked.parameters)):
        yield Request(action="iam:PassRole", resources=(role,), context={"iam:passedtoservice": (service,)})


_RECEIVER = {"stepfunctions": "states.amazonaws.com"}


def _roles_in(value: Any, name: str = "") -> set[str]:
    if isinstance(value, Mapping):
        return set().union(*(_roles_in(item, key) for key, item in value.items())) if value else set()
    if isinstance(value, list):
        return set().union(*(_roles_in(item, name) for item in value)) if value else set()
    is_role = name.lower() == "role" or name.lower().endswith("rolearn")
    return {value} if is_role and isinstance(value, str) and ":role/" in value else set()
