"""State machines, models, endpoints and groups of the model registry, applications of Spark."""

from __future__ import annotations

import json
import time
from dataclasses import replace

from localcloud.cloudformation.resources.kind import Made, Wanted, arn, as_text, dropped, named


def _put_machine(wanted: Wanted) -> Made:
    name = wanted.name("StateMachineName", longest=80)
    own = arn("states", wanted, f"stateMachine:{name}")
    settings = wanted.get("RoleArn", "LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration")
    definition = as_text(wanted.properties.get("DefinitionString") or wanted.properties["Definition"])
    for key, value in wanted.properties.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace(f"${{{key}}}", as_text(value))
    settings["definition"] = definition
    if wanted.before is None:
        kind = wanted.properties.get("StateMachineType", "STANDARD")
        wanted.call("stepfunctions", "CreateStateMachine", name=name, type=kind, **settings, **wanted.get("Tags"))
    else:
        wanted.call("stepfunctions", "UpdateStateMachine", stateMachineArn=own, **settings)
    return Made(ref=own, attributes={"Arn": own, "Name": name, "StateMachineRevisionId": "INITIAL"})


def _put_package_group(wanted: Wanted) -> Made:
    name = wanted.properties["ModelPackageGroupName"]
    own = arn("sagemaker", wanted, f"model-package-group/{name}")
    if wanted.before is None:
        wanted.call("sagemaker", "CreateModelPackageGroup", **wanted.rest("ModelPackageGroupPolicy"))
    if policy := wanted.properties.get("ModelPackageGroupPolicy"):
        wanted.call(
            "sagemaker", "PutModelPackageGroupPolicy", ModelPackageGroupName=name, ResourcePolicy=json.dumps(policy)
        )
    elif wanted.before is not None and "ModelPackageGroupPolicy" in wanted.before.properties:
        wanted.call("sagemaker", "DeleteModelPackageGroupPolicy", ModelPackageGroupName=name)
    return Made(ref=own, attributes={"ModelPackageGroupArn": own})


def _wait_in_service(wanted: Wanted, name: str) -> None:
    while (found := wanted.call("sagemaker", "DescribeEndpoint", EndpointName=name))["EndpointStatus"] != "InService":
        if found["EndpointStatus"] == "Failed":
            raise ValueError(found["FailureReason"])
        time.sleep(0.1)


def _drop_endpoint(wanted: Wanted, made: Made) -> None:
    """Delete the endpoint and wait until it is gone, as AWS's handler does."""
    place = {"EndpointName": made.attributes["EndpointName"]}
    wanted.call("sagemaker", "DeleteEndpoint", **place)
    gone = wanted.cloud.client("sagemaker").get_waiter("endpoint_deleted")
    gone.wait(**place, WaiterConfig={"Delay": 0.1, "MaxAttempts": 36_000})


def _put_spark(wanted: Wanted) -> Made:
    if wanted.before is None:
        made = wanted.call("emr-serverless", "CreateApplication", **wanted.properties)
        return Made(ref=made["applicationId"], attributes={"ApplicationId": made["applicationId"], "Arn": made["arn"]})
    settings = wanted.rest("Name", "Type", "Tags")
    wanted.call("emr-serverless", "UpdateApplication", applicationId=wanted.before.ref, **settings)
    return wanted.before


KINDS = {
    "AWS::EMRServerless::Application": dropped(
        _put_spark, "emr-serverless:DeleteApplication", "applicationId", "Name", "Type"
    ),
    "AWS::StepFunctions::StateMachine": dropped(
        _put_machine, "stepfunctions:DeleteStateMachine", "stateMachineArn", "StateMachineName", "StateMachineType"
    ),
    "AWS::SageMaker::Endpoint": replace(
        named("sagemaker", "Endpoint", "EndpointName", ref="Arn", wait=_wait_in_service), drop=_drop_endpoint
    ),
    "AWS::SageMaker::EndpointConfig": named(
        "sagemaker", "EndpointConfig", "EndpointConfigName", fixed=("*",), ref="Arn"
    ),
    "AWS::SageMaker::Model": named("sagemaker", "Model", "ModelName", fixed=("*",), ref="Arn"),
    "AWS::SageMaker::ModelPackageGroup": dropped(
        _put_package_group, "sagemaker:DeleteModelPackageGroup", "ModelPackageGroupName", "ModelPackageGroupName"
    ),
}
