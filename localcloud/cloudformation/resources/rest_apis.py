"""REST APIs with their deployments and stages, and the account's role for their logs."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.resources.kind import Kind, Made, Wanted, by_ref, dropped

_OWN = ("Body", "Name", "Description", "EndpointConfiguration", "Tags")


def _put_api(wanted: Wanted) -> Made:
    """Import the document. Other properties than these are refused: nothing here would carry them out."""
    if unknown := wanted.rest(*_OWN):
        raise ValueError(f"AWS::ApiGateway::RestApi: the local cloud does not know {sorted(unknown)}")
    if "Body" not in wanted.properties:
        return _put_kept_api(wanted)
    body = json.dumps(wanted.properties["Body"]).encode()
    if wanted.before is None:
        api = wanted.call("apigateway", "ImportRestApi", body=body)["id"]
    else:
        api = wanted.before.ref
        wanted.call("apigateway", "PutRestApi", restApiId=api, mode="overwrite", body=body)
    named = {"name": wanted.properties.get("Name"), "description": wanted.properties.get("Description")}
    (kind,) = wanted.properties.get("EndpointConfiguration", {}).get("Types", ["EDGE"])
    patches = _patches({**named, "endpointConfiguration/types/EDGE": kind})
    for verb, properties in (("remove", wanted.before.properties if wanted.before else {}), ("add", wanted.properties)):
        endpoints = properties.get("EndpointConfiguration", {}).get("VpcEndpointIds", [])
        patches += [{"op": verb, "path": "/endpointConfiguration/vpcEndpointIds", "value": one} for one in endpoints]
    wanted.call("apigateway", "UpdateRestApi", restApiId=api, patchOperations=patches)
    return Made(ref=api, attributes={"RestApiId": api})


def _put_kept_api(wanted: Wanted) -> Made:
    """An API without a document answers nothing: its resources and methods are types of their own, which moto keeps."""
    if wanted.before is not None:
        return wanted.before
    api = wanted.call("apigateway", "CreateRestApi", **wanted.rest("Tags"))["id"]
    (root,) = wanted.call("apigateway", "GetResources", restApiId=api)["items"]
    return Made(ref=api, attributes={"RestApiId": api, "RootResourceId": root["id"]})


def _put_deployment(wanted: Wanted) -> Made:
    made = wanted.call("apigateway", "CreateDeployment", **wanted.get("RestApiId", "Description"))["id"]
    return Made(ref=made, attributes={"DeploymentId": made})


def _put_stage(wanted: Wanted) -> Made:
    api, name = wanted.properties["RestApiId"], wanted.properties["StageName"]
    if wanted.before is None:
        rest = wanted.rest("AccessLogSetting", "MethodSettings")
        wanted.call("apigateway", "CreateStage", **rest)
    settings = {
        "deploymentId": wanted.properties["DeploymentId"],
        "accessLogSettings/destinationArn": wanted.properties.get("AccessLogSetting", {}).get("DestinationArn"),
        "accessLogSettings/format": wanted.properties.get("AccessLogSetting", {}).get("Format"),
        **{name: value for one in wanted.properties.get("MethodSettings", []) for name, value in _of_method(one)},
    }
    wanted.call("apigateway", "UpdateStage", restApiId=api, stageName=name, patchOperations=_patches(settings))
    return Made(ref=name)


_METHOD = {
    "LoggingLevel": "logging/loglevel",
    "DataTraceEnabled": "logging/dataTrace",
    "ThrottlingRateLimit": "throttling/rateLimit",
    "ThrottlingBurstLimit": "throttling/burstLimit",
    "MetricsEnabled": "metrics/enabled",
}


def _of_method(setting: dict[str, Any]) -> list[tuple[str, Any]]:
    # As paths of a patch name resources: `/` is written as `~1`, so `/*` of every method is `~1*/*`. `/*` alone is `*`.
    resource = setting["ResourcePath"].replace("/", "~1").removeprefix("~1")
    where = f"{resource}/{setting['HttpMethod']}"
    return [(f"{where}/{path}", setting[name]) for name, path in _METHOD.items() if name in setting]


def _drop_stage(wanted: Wanted, made: Made) -> None:
    wanted.call("apigateway", "DeleteStage", restApiId=made.properties["RestApiId"], stageName=made.ref)


def _put_account(wanted: Wanted) -> Made:
    role = {"cloudwatchRoleArn": wanted.properties.get("CloudWatchRoleArn")}
    wanted.call("apigateway", "UpdateAccount", patchOperations=_patches(role))
    return Made(ref=wanted.logical_id)


def _patches(values: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"op": "replace", "path": f"/{name}", "value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in values.items()
        if value is not None
    ]


KINDS = {
    "AWS::ApiGateway::Account": Kind(put=_put_account),
    "AWS::ApiGateway::Deployment": Kind(
        put=_put_deployment, drop=by_ref("apigateway", "DeleteDeployment", "deploymentId", "RestApiId"), fixed=("*",)
    ),
    "AWS::ApiGateway::RestApi": dropped(_put_api, "apigateway:DeleteRestApi", "restApiId"),
    "AWS::ApiGateway::Stage": Kind(put=_put_stage, drop=_drop_stage, fixed=("RestApiId", "StageName")),
}
