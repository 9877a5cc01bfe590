"""Permissions that calls to the other services require: one short function each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from infra.local.iam.policies import Request
from infra.local.iam.required_permissions.permission import Asked, grant_of, key_arn, need, resource_arn
from infra.local.kernel.cloud import ACCOUNT, REGION


def of_kms(action: str, asked: Asked) -> Iterator[Request]:
    key = asked.get("KeyId", "TargetKeyId")
    yield need(action, key_arn(key)) if key else need(action)


def of_dynamodb(action: str, asked: Asked) -> Iterator[Request]:
    batches = asked.parameters.get("RequestItems") or {}
    for table in batches:
        yield need(action, _table(table))
    for one in asked.parameters.get("TransactItems") or []:
        for kind, item in one.items():
            operation = {"Put": "PutItem", "Get": "GetItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
            name = operation.get(kind, "ConditionCheckItem")
            yield need(f"dynamodb:{name}", _table(item["TableName"]))
    table = asked.get("TableName", "ResourceArn")
    if table:
        index = asked.get("IndexName")
        yield need(action, _table(table) + (f"/index/{index}" if index else ""))
        yield from _table_key(table)
    elif not batches and not asked.parameters.get("TransactItems"):
        yield need(action)


def _table_key(name: str) -> Iterator[Request]:
    """DynamoDB decrypts the table's key in the name of each caller, and keeps it for him for minutes.

    https://docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html"""
    from moto.dynamodb.models import dynamodb_backends

    table = dynamodb_backends[ACCOUNT][REGION].tables.get(name.rpartition("/")[2])
    key = (getattr(table, "sse_specification", None) or {}).get("KMSMasterKeyId")
    if key:
        via = {"kms:viaservice": (f"dynamodb.{REGION}.amazonaws.com",)}
        yield Request(action="kms:Decrypt", resources=(key_arn(key),), context=via)


def _table(name: str) -> str:
    return name if name.startswith("arn:") else resource_arn("dynamodb", f"table/{name}")


def of_states(action: str, asked: Asked) -> Iterator[Request]:
    named = asked.get("stateMachineArn", "executionArn", "mapRunArn", "activityArn", "resourceArn")
    if named is None and asked.get("name"):
        named = resource_arn("states", f"stateMachine:{asked.get('name')}")
    yield need(action, named) if named else need(action)


def of_lambda(action: str, asked: Asked) -> Iterator[Request]:
    function = asked.get("FunctionName")
    if function:
        name = function.split(":function:")[-1]
        qualifier = asked.get("Qualifier")
        plain = resource_arn("lambda", f"function:{name}")
        yield need(action, f"{plain}:{qualifier}" if qualifier and ":" not in name else plain)
    elif asked.get("UUID"):
        yield need(action, resource_arn("lambda", f"event-source-mapping:{asked.get('UUID')}"))
    elif asked.get("LayerName"):
        yield need(action, resource_arn("lambda", f"layer:{asked.get('LayerName')}"))
    else:
        yield need(action)


def of_logs(action: str, asked: Asked) -> Iterator[Request]:
    group = asked.get("logGroupName", "logGroupIdentifier", "logGroupNamePrefix")
    stream = asked.get("logStreamName")
    if group is None:
        yield need(action, "*", resource_arn("logs", "log-group:*"))
        return
    own = group if group.startswith("arn:") else resource_arn("logs", f"log-group:{group}")
    names = (f"{own}:log-stream:{stream}",) if stream and action.endswith("LogEvents") else (own, f"{own}:*")
    yield need(action, *names)


def of_cloudwatch(action: str, asked: Asked) -> Iterator[Request]:
    names = asked.get("AlarmNames") or ([asked.get("AlarmName")] if asked.get("AlarmName") else [])
    for name in names:
        yield need(action, resource_arn("cloudwatch", f"alarm:{name}"))
    if not names:
        yield need(action, "*", *([resource_arn("cloudwatch", "alarm:*")] if "Alarm" in action else []))


def of_ssm(action: str, asked: Asked) -> Iterator[Request]:
    names = asked.get("Names") or [name for name in [asked.get("Name", "Path")] if name]
    for name in names:
        yield need(action, name if name.startswith("arn:") else resource_arn("ssm", f"parameter/{name.lstrip('/')}"))
    if not names:
        yield need(action)


def of_athena(action: str, asked: Asked) -> Iterator[Request]:
    group = asked.get("WorkGroup") or _workgroup_of(asked.get("QueryExecutionId")) or "primary"
    yield need(action, resource_arn("athena", f"workgroup/{group}"))


def _workgroup_of(query: str | None) -> str | None:
    from moto.athena.models import athena_backends

    kept: Any = athena_backends[ACCOUNT][REGION].executions.get(query or "")
    return str(kept.workgroup.name) if kept and kept.workgroup else None


def of_scaling(action: str, _: Asked) -> Iterator[Request]:
    yield need(action, "*", resource_arn("application-autoscaling", "scalable-target/*"))


def of_ecr(action: str, asked: Asked) -> Iterator[Request]:
    name = asked.get("repositoryName")
    yield need(action, resource_arn("ecr", f"repository/{name}")) if name else need(action)


def of_iam(action: str, asked: Asked) -> Iterator[Request]:
    name = asked.get("RoleName")
    yield need(action, resource_arn("iam", f"role/{name}", "")) if name else need(action)


def of_sts(action: str, asked: Asked) -> Iterator[Request]:
    yield need(action, asked.get("RoleArn") or "*")


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


def of_sagemaker(action: str, asked: Asked) -> Iterator[Request]:
    """SageMaker's ARNs are in lower case. Creating or changing an endpoint needs the configuration too; what is made
    with tags needs AddTags, a volume under a customer key a grant."""
    if asked.get("Tags") and asked.call.operation.startswith("Create"):
        yield from (replace(one, action="sagemaker:AddTags") for one in _of_sagemaker(action, asked))
    if asked.call.operation == "CreateEndpointConfig" and asked.get("KmsKeyId"):
        yield grant_of(asked.get("KmsKeyId"))
    yield from _of_sagemaker(action, asked)


def _of_sagemaker(action: str, asked: Asked) -> Iterator[Request]:
    operation = asked.call.operation
    if operation == "CreateModelPackage" and asked.get("ModelPackageGroupName"):
        group = asked.get("ModelPackageGroupName").rpartition("/")[2].lower()
        yield need(action, resource_arn("sagemaker", f"model-package/{group}/1"))
        yield need(action, resource_arn("sagemaker", f"model-package-group/{group}"))
        return
    if operation.startswith("List") and operation != "ListTags":
        yield need(action)
        return
    names = ["EndpointName", "EndpointConfigName"] if operation in {"CreateEndpoint", "UpdateEndpoint"} else []
    if operation == "CreateEndpointConfig":
        names = ["EndpointConfigName"]
    if operation == "CreateTransformJob":
        names = ["TransformJobName"]
    found = names or [name for name in _SAGEMAKER if asked.get(name)][:1]
    for name in found:
        given = str(asked.get(name))
        own = given if given.startswith("arn:") else resource_arn("sagemaker", f"{_SAGEMAKER[name]}/{given.lower()}")
        yield need(action, own)
    if not found:
        named = asked.get("ResourceArn", "ModelPackageArn")
        yield need(action, named) if named else need(action)


def of_glue(action: str, asked: Asked) -> Iterator[Request]:
    """A table call needs the catalogue, the database and the table."""
    database = asked.get("DatabaseName") or (asked.get("Name") if "Database" in action else None)
    if database is None:
        database = (asked.get("DatabaseInput") or {}).get("Name")
    table = asked.get("TableName") or (asked.get("TableInput") or {}).get("Name")
    if table is None and action in {"glue:GetTable", "glue:DeleteTable"}:
        table = asked.get("Name")
    if table is None and action in {"glue:GetTables", "glue:BatchDeleteTable"}:
        table = "*"
    yield need(action, resource_arn("glue", "catalog"))
    if database:
        yield need(action, resource_arn("glue", f"database/{database}"))
    if database and table:
        yield need(action, resource_arn("glue", f"table/{database}/{table}"))
