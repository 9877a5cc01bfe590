"""The permissions that calls to the other services require: one short function for each service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.permission import (
    ParsedCall,
    grant_of,
    key_arn,
    key_permissions,
    permission,
    resource_arn,
)
from localcloud.kernel.cloud import REGION, moto_backend


def of_api(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on the method and path of a REST API, which is called at `/_aws/execute-api/<api>/<stage>/<path>`."""
    environ = parsed.call.environ
    _, _, _, host, *rest = environ["PATH_INFO"].split("/", 4)
    api, _, endpoint = host.partition("-")
    stage, _, path = "/".join(rest).partition("/")
    asked = permission(action, resource_arn("execute-api", f"{api}/{stage}/{environ['REQUEST_METHOD']}/{path}"))
    yield replace(asked, context={"aws:sourcevpce": (endpoint,)}) if endpoint else asked


def of_apigateway(_: str, parsed: ParsedCall) -> Iterator[Request]:
    """The HTTP method on the path: actions of API Gateway are not the names of its operations."""
    environ = parsed.call.environ
    resource = f"arn:aws:apigateway:{REGION}::{environ['PATH_INFO']}"
    yield permission(f"apigateway:{environ['REQUEST_METHOD']}", resource)


def of_budgets(action: str, parsed: ParsedCall) -> Iterator[Request]:
    name = parsed.get("BudgetName") or (parsed.get("Budget") or {}).get("BudgetName", "")
    yield permission(action, resource_arn("budgets", f"budget/{name}", region=""))


def of_cloudformation(action: str, parsed: ParsedCall) -> Iterator[Request]:
    stack = parsed.get("StackName")
    yield permission(action, resource_arn("cloudformation", f"stack/{stack}/id")) if stack else permission(action)


def of_cloudtrail(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on a trail, by its name or its ARN."""
    trail = parsed.get("Name", "TrailName", "ResourceId") or (parsed.get("ResourceIdList") or [""])[0]
    yield permission(action, *([resource_arn("cloudtrail", f"trail/{trail.rpartition('/')[2]}")] if trail else []))


def of_ec2(action: str, _: ParsedCall) -> Iterator[Request]:
    """The action on some part of a network of this account; none has a name of its own. To describe takes none."""
    yield permission(action, *([] if ":Describe" in action else [resource_arn("ec2", "part/any")]))


def of_kms(action: str, parsed: ParsedCall) -> Iterator[Request]:
    key = parsed.get("KeyId", "TargetKeyId", "AliasName")
    yield permission(action, key_arn(key)) if key else permission(action)


def of_dynamodb(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """A batch needs its action on each table, a transaction the action of each of its items."""
    batches = parsed.parameters.get("RequestItems") or {}
    for table in batches:
        yield permission(action, _table(table))
    for one in parsed.parameters.get("TransactItems") or []:
        for kind, item in one.items():
            operation = {"Put": "PutItem", "Get": "GetItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
            name = operation.get(kind, "ConditionCheckItem")
            yield permission(f"dynamodb:{name}", _table(item["TableName"]))
    table = parsed.get("TableName", "ResourceArn")
    if table:
        index = parsed.get("IndexName")
        yield permission(action, _table(table) + (f"/index/{index}" if index else ""))
        yield from table_key(table)
    elif not batches and not parsed.parameters.get("TransactItems"):
        yield permission(action)


def table_key(name: str) -> Iterator[Request]:
    """The permission on a table's customer key: DynamoDB decrypts in the name of each caller.

    It keeps the result for this caller for minutes.

    https://docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html"""
    table = moto_backend("dynamodb").tables.get(name.rpartition("/")[2])
    key = (getattr(table, "sse_specification", None) or {}).get("KMSMasterKeyId")
    if key:
        yield from key_permissions(key, "dynamodb", "Decrypt")


def of_kinesis(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on the stream, and on its customer key: writers need a data key, readers decrypt.

    https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html"""
    arn = parsed.get("StreamARN", "ResourceARN")
    if arn is None and parsed.get("StreamName"):
        arn = resource_arn("kinesis", f"stream/{parsed.get('StreamName')}")
    yield permission(action, arn) if arn else permission(action)
    if arn and action.startswith("kinesis:PutRecord"):
        yield from stream_key(arn, "GenerateDataKey")


def stream_key(arn: str, verb: str) -> Iterator[Request]:
    """The permission on a stream's customer key."""
    stream = moto_backend("kinesis").streams.get(arn.rpartition("/")[2])
    if stream is not None and stream.key_id and stream.key_id != "alias/aws/kinesis":
        yield from key_permissions(stream.key_id, "kinesis", verb)


def _table(name: str) -> str:
    return name if name.startswith("arn:") else resource_arn("dynamodb", f"table/{name}")


def of_states(action: str, parsed: ParsedCall) -> Iterator[Request]:
    named = parsed.get("stateMachineArn", "executionArn", "mapRunArn", "activityArn", "resourceArn")
    if named is None and parsed.get("name"):
        named = resource_arn("states", f"stateMachine:{parsed.get('name')}")
    yield permission(action, named) if named else permission(action)


def of_lambda(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on a function (with its version or alias), on an event source mapping or on a layer."""
    function = parsed.get("FunctionName")
    if function:
        name = function.split(":function:")[-1]
        qualifier = parsed.get("Qualifier")
        plain = resource_arn("lambda", f"function:{name}")
        yield permission(action, f"{plain}:{qualifier}" if qualifier and ":" not in name else plain)
    elif parsed.get("UUID"):
        yield permission(action, resource_arn("lambda", f"event-source-mapping:{parsed.get('UUID')}"))
    elif parsed.get("LayerName"):
        yield permission(action, resource_arn("lambda", f"layer:{parsed.get('LayerName')}"))
    else:
        yield permission(action)


def of_logs(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on a log group. Policies write a group with and without `:*`, events belong to a stream."""
    group = parsed.get("logGroupName", "logGroupIdentifier", "logGroupNamePrefix")
    stream = parsed.get("logStreamName")
    if group is None:
        yield permission(action, "*", resource_arn("logs", "log-group:*"))
        return
    own = group if group.startswith("arn:") else resource_arn("logs", f"log-group:{group}")
    names = (f"{own}:log-stream:{stream}",) if stream and action.endswith("LogEvents") else (own, f"{own}:*")
    yield permission(action, *names)


def of_cloudwatch(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on each dashboard or alarm that the call names. Actions on metrics have no resource."""
    if action.endswith("CompositeAlarm"):
        # From AWS's page of PutCompositeAlarm: "You can't create a composite alarm if your permission has a narrower
        # scope" than all alarms.
        yield permission(action, "*")
        return
    if dashboards := parsed.get("DashboardNames") or ([parsed.get("DashboardName")] if "Dashboard" in action else []):
        for name in filter(None, dashboards):
            yield permission(action, resource_arn("cloudwatch", f"dashboard/{name}", region=""))
        if not any(dashboards):
            yield permission(action, "*")
        return
    names = parsed.get("AlarmNames") or ([parsed.get("AlarmName")] if parsed.get("AlarmName") else [])
    for name in names:
        yield permission(action, resource_arn("cloudwatch", f"alarm:{name}"))
    if not names:
        yield permission(action, "*", *([resource_arn("cloudwatch", "alarm:*")] if "Alarm" in action else []))


def of_ssm(action: str, parsed: ParsedCall) -> Iterator[Request]:
    names = parsed.get("Names") or [name for name in [parsed.get("Name", "Path", "ResourceId")] if name]
    for name in names:
        yield permission(
            action, name if name.startswith("arn:") else resource_arn("ssm", f"parameter/{name.lstrip('/')}")
        )
    if not names:
        yield permission(action)


def of_secrets(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on a secret, whose ARN has its name with six characters that Secrets Manager has added."""
    named = parsed.get("SecretId", "Name")
    kept: Any = moto_backend("secretsmanager").secrets.get(named) if named else None
    yield permission(action, kept.arn if kept else resource_arn("secretsmanager", f"secret:{named or '*'}"))


def of_athena(action: str, parsed: ParsedCall) -> Iterator[Request]:
    group = parsed.get("WorkGroup") or parsed.get("Name") or _workgroup_of(parsed.get("QueryExecutionId")) or "primary"
    yield permission(action, resource_arn("athena", f"workgroup/{group}"))


def _workgroup_of(query: str | None) -> str | None:
    """The workgroup in which a query runs: a call about the query names only the query."""
    kept: Any = moto_backend("athena").executions.get(query or "")
    return str(kept.workgroup.name) if kept and kept.workgroup else None


def of_scaling(action: str, _: ParsedCall) -> Iterator[Request]:
    yield permission(action, "*", resource_arn("application-autoscaling", "scalable-target/*"))


def of_ecr(action: str, parsed: ParsedCall) -> Iterator[Request]:
    name = parsed.get("repositoryName")
    yield permission(action, resource_arn("ecr", f"repository/{name}")) if name else permission(action)


def of_emr(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on the application or the run that the call names."""
    named = [parsed.get(name) for name in ("applicationId", "jobRunId")]
    path = "".join(f"/{kind}/{name}" for kind, name in zip(("applications", "jobruns"), named, strict=True) if name)
    yield permission(action, resource_arn("emr-serverless", path or "/*"))


def of_iam(action: str, parsed: ParsedCall) -> Iterator[Request]:
    name, simulated = parsed.get("RoleName"), parsed.get("PolicySourceArn")
    yield permission(action, resource_arn("iam", f"role/{name}", "")) if name else permission(action, simulated or "*")


def of_sts(action: str, parsed: ParsedCall) -> Iterator[Request]:
    yield permission(action, parsed.get("RoleArn") or "*")


# The parameter that names a resource, and the resource's type in its ARN. The first one that a call has counts.
_SAGEMAKER = {
    "HyperParameterTuningJobName": "hyper-parameter-tuning-job",
    "TrainingJobName": "training-job",
    "TransformJobName": "transform-job",
    "ProcessingJobName": "processing-job",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
    "ModelPackageGroupName": "model-package-group",
    "ModelPackageName": "model-package",
    "ModelCardName": "model-card",
    "ExperimentName": "experiment",
}


def of_sagemaker(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on the named resource, and further permissions:

    - `sagemaker:AddTags` on a resource that is made with tags
    - the action on the configuration, to make or change an endpoint
    - a grant on the customer key of a volume or of a model card

    SageMaker's ARNs are in lower case."""
    if parsed.get("Tags") and parsed.call.operation.startswith("Create"):
        yield from (replace(one, action="sagemaker:AddTags") for one in _of_sagemaker(action, parsed))
    if parsed.call.operation == "CreateEndpointConfig" and parsed.get("KmsKeyId"):
        yield grant_of(parsed.get("KmsKeyId"))
    card_key = (parsed.get("SecurityConfig") or {}).get("KmsKeyId")
    if parsed.call.operation == "CreateModelCard" and card_key:
        # The permissions of CloudFormation's handler of this type, since AWS's guide names none.
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-modelcard.html
        yield from key_permissions(card_key, "sagemaker", "DescribeKey", "GenerateDataKey")
        yield grant_of(card_key)
    yield from _of_sagemaker(action, parsed)


def _of_sagemaker(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on each resource that the call names."""
    operation = parsed.call.operation
    if operation == "CreateModelPackage" and parsed.get("ModelPackageGroupName"):
        # The version's number is not known before the call. 1 stands for it: a policy on `model-package/<group>/*`
        # allows it.
        group = parsed.get("ModelPackageGroupName").rpartition("/")[2].lower()
        yield permission(action, resource_arn("sagemaker", f"model-package/{group}/1"))
        yield permission(action, resource_arn("sagemaker", f"model-package-group/{group}"))
        return
    if operation.startswith("List") and operation not in {"ListTags", "ListTrainingJobsForHyperParameterTuningJob"}:
        yield permission(action)
        return
    names = ["EndpointName", "EndpointConfigName"] if operation in {"CreateEndpoint", "UpdateEndpoint"} else []
    if operation == "CreateEndpointConfig":
        names = ["EndpointConfigName"]
    if operation == "CreateTransformJob":
        names = ["TransformJobName"]
    found = names or [name for name in _SAGEMAKER if parsed.get(name)][:1]
    for name in found:
        given = str(parsed.get(name))
        own = given if given.startswith("arn:") else resource_arn("sagemaker", f"{_SAGEMAKER[name]}/{given.lower()}")
        yield permission(action, own)
    if not found:
        named = parsed.get("ResourceArn", "ModelPackageArn")
        yield permission(action, named) if named else permission(action)


def of_glue(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """A call to a table needs the action on the catalogue, on the database and on the table."""
    database = parsed.get("DatabaseName") or (parsed.get("Name") if "Database" in action else None)
    if database is None:
        database = (parsed.get("DatabaseInput") or {}).get("Name")
    table = parsed.get("TableName") or (parsed.get("TableInput") or {}).get("Name")
    if table is None and action in {"glue:GetTable", "glue:DeleteTable"}:
        table = parsed.get("Name")
    if table is None and action in {"glue:GetTables", "glue:BatchDeleteTable"}:
        table = "*"
    yield permission(action, resource_arn("glue", "catalog"))
    if database:
        yield permission(action, resource_arn("glue", f"database/{database}"))
    if database and table:
        yield permission(action, resource_arn("glue", f"table/{database}/{table}"))
