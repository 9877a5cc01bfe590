"""Lambda functions with their versions, aliases, layers, permissions and event sources, and log groups.

Stages that choose how `prediction` starts have aliases and versions. People make them to roll a function back.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

from localcloud.awslambda import cfnresponse
from localcloud.cloudformation.resources.kind import Kind, Made, Wanted, arn, dropped

_CONCURRENCY = "ReservedConcurrentExecutions"
# Properties that CreateFunction does not take.
_OWN = ("FunctionName", "Code", _CONCURRENCY, "RecursiveLoop", "RuntimeManagementConfig")


def _put_function(wanted: Wanted) -> Made:
    name = wanted.name("FunctionName")
    if wanted.before is None:
        wanted.call("lambda", "CreateFunction", FunctionName=name, Code=_code(wanted), **wanted.rest(*_OWN))
    else:
        if wanted.changed("Code"):
            wanted.call("lambda", "UpdateFunctionCode", FunctionName=name, **_code(wanted))
        settings = wanted.rest(*_OWN, "Tags", "Architectures", "PackageType")
        wanted.call("lambda", "UpdateFunctionConfiguration", FunctionName=name, **settings)
    if wanted.changed(_CONCURRENCY) and _CONCURRENCY in wanted.properties:
        wanted.call("lambda", "PutFunctionConcurrency", FunctionName=name, **wanted.get(_CONCURRENCY))
    return Made(ref=name, attributes={"Arn": arn("lambda", wanted, f"function:{name}")})


def _code(wanted: Wanted) -> dict[str, Any]:
    """The function's code. Source text of a template becomes a zip with `index.py`, as CloudFormation makes it."""
    code = dict(wanted.properties["Code"])
    if "ZipFile" in code:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("index.py", code["ZipFile"])
            archive.write(cfnresponse.__file__, "cfnresponse.py")
        code["ZipFile"] = packed.getvalue()
    return code


def _put_version(wanted: Wanted) -> Made:
    made = wanted.call("lambda", "PublishVersion", **wanted.get("FunctionName", "Description", "CodeSha256"))
    return Made(
        ref=made["FunctionArn"], attributes={"Version": str(made["Version"]), "FunctionArn": made["FunctionArn"]}
    )


def _put_alias(wanted: Wanted) -> Made:
    function = wanted.properties["FunctionName"].split(":function:")[-1].split(":")[0]
    if unknown := wanted.get("RoutingConfig", "ProvisionedConcurrencyConfig"):
        raise ValueError(f"AWS::Lambda::Alias: {sorted(unknown)} is not known to the local cloud")
    settings = wanted.get("Name", "FunctionVersion", "Description")
    made = wanted.settle("lambda", "Alias", FunctionName=function, **settings)
    return Made(ref=made["AliasArn"], attributes={"AliasArn": made["AliasArn"]})


def _put_layer(wanted: Wanted) -> Made:
    name = wanted.name("LayerName", longest=140)
    made = wanted.call("lambda", "PublishLayerVersion", LayerName=name, **wanted.rest("LayerName"))
    own = made["LayerVersionArn"]
    return Made(ref=own, attributes={"LayerVersionArn": own})


def _drop_layer(wanted: Wanted, made: Made) -> None:
    layer, _, version = made.ref.rpartition(":")
    wanted.call("lambda", "DeleteLayerVersion", LayerName=layer.rpartition(":")[2], VersionNumber=version)


def _put_permission(wanted: Wanted) -> Made:
    function, qualifier = _qualified(wanted.properties["FunctionName"])
    # No property names a permission, so CloudFormation makes the statement's id.
    statement = wanted.name("", longest=100)
    wanted.call(
        "lambda",
        "AddPermission",
        FunctionName=function,
        Qualifier=qualifier,
        StatementId=statement,
        **wanted.rest("FunctionName"),
    )
    return Made(ref=statement, attributes={"Id": statement})


def _drop_permission(wanted: Wanted, made: Made) -> None:
    function, qualifier = _qualified(made.properties["FunctionName"])
    wanted.call("lambda", "RemovePermission", FunctionName=function, Qualifier=qualifier, StatementId=made.ref)


def _qualified(name_or_arn: str) -> tuple[str, str | None]:
    """The function's name and the alias or version, from `name`, `name:alias` or an ARN with or without alias."""
    name, _, qualifier = name_or_arn.split(":function:")[-1].partition(":")
    return name, qualifier or None


def _put_mapping(wanted: Wanted) -> Made:
    if wanted.before is None:
        made = wanted.call("lambda", "CreateEventSourceMapping", **wanted.properties)["UUID"]
    else:
        made = wanted.before.ref
        settings = wanted.rest("EventSourceArn", "StartingPosition", "Tags")
        wanted.call("lambda", "UpdateEventSourceMapping", UUID=made, **settings)
    own = arn("lambda", wanted, f"event-source-mapping:{made}")
    return Made(ref=made, attributes={"Id": made, "EventSourceMappingArn": own})


def _put_url(wanted: Wanted) -> Made:
    function, qualifier = _qualified(wanted.properties["TargetFunctionArn"])
    qualifier = wanted.properties.get("Qualifier", qualifier)
    settings = wanted.rest("TargetFunctionArn", "Qualifier")
    made = wanted.settle("lambda", "FunctionUrlConfig", FunctionName=function, Qualifier=qualifier, **settings)
    own = made["FunctionArn"]
    return Made(ref=own, attributes={"FunctionUrl": made["FunctionUrl"], "FunctionArn": own})


def _by_arn(operation: str, key: str = "Qualifier") -> Callable[[Wanted, Made], Any]:
    """A `drop` that makes one call, with the function of the physical id, and its version or alias as the `key`."""

    def drop(wanted: Wanted, made: Made) -> None:
        function, qualifier = _qualified(made.ref)
        wanted.call("lambda", operation, FunctionName=function, **{key: qualifier})

    return drop


def _put_log_group(wanted: Wanted) -> Made:
    name = wanted.name("LogGroupName", longest=512)
    if wanted.before is None:
        settings = wanted.rest("LogGroupName", "RetentionInDays")
        wanted.call("logs", "CreateLogGroup", logGroupName=name, **settings)
    if "RetentionInDays" in wanted.properties:
        wanted.call("logs", "PutRetentionPolicy", logGroupName=name, **wanted.get("RetentionInDays"))
    return Made(ref=name, attributes={"Arn": arn("logs", wanted, f"log-group:{name}:*")})


def _kept(key: str) -> Kind:
    """A type that is kept by its stack alone: an alias moves at once, whatever it says."""
    return Kind(put=lambda wanted: Made(ref=wanted.name(key, longest=100)), fixed=(key,))


KINDS = {
    "AWS::CodeDeploy::Application": _kept("ApplicationName"),
    "AWS::CodeDeploy::DeploymentGroup": _kept("DeploymentGroupName"),
    "AWS::Lambda::Function": dropped(
        _put_function, "lambda:DeleteFunction", "FunctionName", "FunctionName", "PackageType"
    ),
    "AWS::Lambda::Version": Kind(put=_put_version, drop=_by_arn("DeleteFunction"), fixed=("*",)),
    "AWS::Lambda::Alias": Kind(put=_put_alias, drop=_by_arn("DeleteAlias", "Name"), fixed=("FunctionName", "Name")),
    "AWS::Lambda::LayerVersion": Kind(put=_put_layer, drop=_drop_layer, fixed=("*",)),
    "AWS::Lambda::Permission": Kind(put=_put_permission, drop=_drop_permission, fixed=("*",)),
    "AWS::Lambda::EventSourceMapping": dropped(
        _put_mapping, "lambda:DeleteEventSourceMapping", "UUID", "EventSourceArn", "StartingPosition"
    ),
    "AWS::Lambda::Url": Kind(
        put=_put_url, drop=_by_arn("DeleteFunctionUrlConfig"), fixed=("TargetFunctionArn", "Qualifier")
    ),
    "AWS::Logs::LogGroup": dropped(_put_log_group, "logs:DeleteLogGroup", "logGroupName", "LogGroupName"),
}
