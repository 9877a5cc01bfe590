"""State machines, SageMaker's resources and autoscaling."""

from __future__ import annotations

import json
from typing import Any

from infra.local.cloudformation.resources.kind import Kind, Made, Wanted, arn, by_ref


def _put_machine(wanted: Wanted) -> Made:
    name = wanted.name("StateMachineName", longest=80)
    own = arn("states", wanted, f"stateMachine:{name}")
    settings: dict[str, Any] = {
        "definition": _definition(wanted),
        "loggingConfiguration": wanted.properties.get("LoggingConfiguration"),
        "tracingConfiguration": wanted.properties.get("TracingConfiguration"),
        "encryptionConfiguration": wanted.properties.get("EncryptionConfiguration"),
    }
    if wanted.before is None:
        wanted.call(
            "stepfunctions",
            "CreateStateMachine",
            name=name,
            type=wanted.properties.get("StateMachineType", "STANDARD"),
            tags=wanted.properties.get("Tags"),
            **settings,
            **wanted.get("RoleArn"),
        )
    else:
        wanted.call("stepfunctions", "UpdateStateMachine", stateMachineArn=own, **settings, **wanted.get("RoleArn"))
    return Made(ref=own, attributes={"Arn": own, "Name": name, "StateMachineRevisionId": "INITIAL"})


def _definition(wanted: Wanted) -> str:
    if "DefinitionS3Location" in wanted.properties:
        place = wanted.properties["DefinitionS3Location"]
        answer = wanted.cloud.client("s3").get_object(Bucket=place["Bucket"], Key=place["Key"])
        text = answer["Body"].read().decode()
    elif "DefinitionString" in wanted.properties:
        text = wanted.properties["DefinitionString"]
    else:
        text = json.dumps(wanted.properties["Definition"])
    for key, value in wanted.properties.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{key}}}", str(value))
    return str(text)


def _put_package_group(wanted: Wanted) -> Made:
    name = wanted.properties["ModelPackageGroupName"]
    own = arn("sagemaker", wanted, f"model-package-group/{name}")
    if wanted.before is None:
        own = wanted.call("sagemaker", "CreateModelPackageGroup", **wanted.rest("ModelPackageGroupPolicy"))[
            "ModelPackageGroupArn"
        ]
    return Made(ref=own, attributes={"ModelPackageGroupArn": own})


def _drop_package_group(wanted: Wanted, made: Made) -> None:
    name = made.properties["ModelPackageGroupName"]
    wanted.call("sagemaker", "DeleteModelPackageGroup", ModelPackageGroupName=name)


def _put_named(operation: str, key: str, path: str, attribute: str) -> Any:
    def put(wanted: Wanted) -> Made:
        name = wanted.name(key, longest=63)
        wanted.call("sagemaker", operation, **{key: name}, **wanted.rest(key))
        return Made(ref=arn("sagemaker", wanted, f"{path}/{name}"), attributes={attribute: name})

    return put


def _drop_named(operation: str, key: str) -> Any:
    return lambda wanted, made: wanted.call("sagemaker", operation, **{key: made.attributes[key]})


def _put_endpoint(wanted: Wanted) -> Made:
    name = wanted.name("EndpointName", longest=63)
    config = wanted.properties["EndpointConfigName"].rpartition("/")[2]
    operation = "CreateEndpoint" if wanted.before is None else "UpdateEndpoint"
    settings = wanted.rest("EndpointName", "EndpointConfigName", *(["Tags"] if wanted.before else []))
    wanted.call("sagemaker", operation, EndpointName=name, EndpointConfigName=config, **settings)
    return Made(ref=arn("sagemaker", wanted, f"endpoint/{name}"), attributes={"EndpointName": name})


def _put_target(wanted: Wanted) -> Made:
    wanted.call("application-autoscaling", "RegisterScalableTarget", **wanted.properties)
    parts = [wanted.properties[key] for key in ("ResourceId", "ScalableDimension", "ServiceNamespace")]
    return Made(ref="|".join(parts), attributes={"Id": "|".join(parts)})


def _drop_target(wanted: Wanted, made: Made) -> None:
    resource, dimension, namespace = made.ref.split("|")
    wanted.call(
        "application-autoscaling",
        "DeregisterScalableTarget",
        ResourceId=resource,
        ScalableDimension=dimension,
        ServiceNamespace=namespace,
    )


def _put_scaling(wanted: Wanted) -> Made:
    made = wanted.call(
        "application-autoscaling", "PutScalingPolicy", **_scaled(wanted.properties), **wanted.rest(*_SCALED)
    )
    return Made(ref=made["PolicyARN"], attributes={"Arn": made["PolicyARN"]})


_SCALED = ("ScalingTargetId", "ResourceId", "ScalableDimension", "ServiceNamespace")


def _scaled(properties: Any) -> dict[str, str]:
    keys = _SCALED[1:]
    if "ScalingTargetId" in properties:
        return dict(zip(keys, properties["ScalingTargetId"].split("|"), strict=True))
    return {key: properties[key] for key in keys}


def _drop_scaling(wanted: Wanted, made: Made) -> None:
    name = made.properties["PolicyName"]
    wanted.call("application-autoscaling", "DeleteScalingPolicy", PolicyName=name, **_scaled(made.properties))


KINDS = {
    "AWS::StepFunctions::StateMachine": Kind(
        put=_put_machine,
        drop=by_ref("stepfunctions", "DeleteStateMachine", "stateMachineArn"),
        fixed=("StateMachineName", "StateMachineType"),
    ),
    "AWS::SageMaker::ModelPackageGroup": Kind(
        put=_put_package_group, drop=_drop_package_group, fixed=("ModelPackageGroupName",)
    ),
    "AWS::SageMaker::Model": Kind(
        put=_put_named("CreateModel", "ModelName", "model", "ModelName"),
        drop=_drop_named("DeleteModel", "ModelName"),
        fixed=("*",),
    ),
    "AWS::SageMaker::EndpointConfig": Kind(
        put=_put_named("CreateEndpointConfig", "EndpointConfigName", "endpoint-config", "EndpointConfigName"),
        drop=_drop_named("DeleteEndpointConfig", "EndpointConfigName"),
        fixed=("*",),
    ),
    "AWS::SageMaker::Endpoint": Kind(
        put=_put_endpoint, drop=_drop_named("DeleteEndpoint", "EndpointName"), fixed=("EndpointName",)
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Kind(
        put=_put_target, drop=_drop_target, fixed=("ResourceId", "ScalableDimension", "ServiceNamespace")
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Kind(
        put=_put_scaling, drop=_drop_scaling, fixed=("PolicyName", *_SCALED)
    ),
}
