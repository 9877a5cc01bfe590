"""The steps of a release on SageMaker endpoints: model, configuration, endpoint.

Models and configurations are named by version, execution, retry and redrive, so a call that comes twice never
collides; their names are read back from the ARN in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from infra.context import Context
from infra.instances import has_own_disk
from infra.machines import jobs, states
from infra.machines.calls import call
from infra.machines.paths import Result, path
from infra.machines.release_alarms import ERRORS_ALARM, LATENCY_ALARM
from infra.machines.states import State
from millrace.aws.endpoints import BROKEN, CHANGING
from millrace.messages.release import LiveState, ReleaseStarted, UpdateState
from millrace.names import VARIANT

EndpointKind = Literal["challenger", "live"]
"""What a configuration serves."""
CREATION_S = 60 * 60
SHORT = 5
"""Letters of a kind in the name of a configuration, which has room for no more."""
RELEASE = Result("start_release", ReleaseStarted)
VERSION = RELEASE.path("version")
LABEL = RELEASE.path("label")
"""`v<version>-<execution>`: a version that is released again, by a rollback, gets names of its own."""


def model(context: Context, *, role_arn: str, next_state: str) -> State:
    """CreateModel from the package's image and artefact; the name lands at `$.model.name`.

    By image and not by package name: a package may be used by its name only after its approval, which comes last."""
    parameters = {
        "ModelName.$": _named(context, ""),
        "ExecutionRoleArn": role_arn,
        "EnableNetworkIsolation": True,
        "VpcConfig": jobs.vpc(context),
        "PrimaryContainer": {
            "Image.$": RELEASE.path("image"),
            "ModelDataUrl.$": RELEASE.path("model_data_url"),
            "Environment": {
                "MILLRACE_MODEL_VERSION.$": VERSION,
                "MILLRACE_MODEL_DIGEST.$": RELEASE.path("model_digest"),
            },
        },
        "Tags": jobs.tags(context),
    }
    selected = {"name.$": "States.ArrayGetItem(States.StringSplit($.ModelArn, '/'), 1)"}
    return _sagemaker("createModel", "The model that the package describes", parameters, "model", next_state, selected)


def instance(context: Context) -> str:
    """The declared type of the live fleet's instances, and of the challenger's."""
    return context.workload.rollout.instance[jobs.stage(context)]


def config(
    context: Context, *, instances: int, result: str, next_state: str, kind: EndpointKind = "challenger"
) -> State:
    """CreateEndpointConfig with one variant; its name lands at `$.<result>.name`."""
    parameters = {
        "EndpointConfigName.$": _named(context, f"-{kind[:SHORT]}"),
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName.$": path(LiveState, "model", "name"),
                "InitialInstanceCount": instances,
                "InstanceType": instance(context),
                "InitialVariantWeight": 1,
            }
        ],
        **({} if has_own_disk(instance(context)) else {"KmsKeyId": context.key_arn}),
        "Tags": jobs.tags(context),
    }
    selected = {"name.$": "States.ArrayGetItem(States.StringSplit($.EndpointConfigArn, '/'), 1)"}
    return _sagemaker("createEndpointConfig", f"How the {kind} is served", parameters, result, next_state, selected)


def create(context: Context, name: str, *, config: str, comment: str, next_state: str) -> State:
    """CreateEndpoint; its instances are billed under its own tags, not under those of its configuration."""
    parameters = {"EndpointName": name, "EndpointConfigName.$": f"$.{config}.name", "Tags": jobs.tags(context)}
    return _sagemaker("createEndpoint", comment, parameters, None, next_state)


def update(
    name: str, *, config: str, comment: str, next_state: str, deployment: Mapping[str, Any] | None = None
) -> State:
    """UpdateEndpoint; with a deployment the counts that scaling has set are kept, but for what `take_from_config` says.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html"""
    parameters: dict[str, Any] = {"EndpointName": name, "EndpointConfigName.$": f"$.{config}.name"}
    if deployment:
        parameters |= {
            "RetainAllVariantProperties": True,
            "ExcludeRetainedVariantProperties.$": path(UpdateState, "from_config", "properties"),
            "DeploymentConfig": dict(deployment),
        }
    return _sagemaker("updateEndpoint", comment, parameters, None, next_state)


def fleet(name: str, *, result: str, next_state: str) -> State:
    """DescribeEndpoint; its status, its configuration and its desired count land at `$.<result>`."""
    seen = {
        "status.$": "$.EndpointStatus",
        "config.$": "$.EndpointConfigName",
        "instances.$": _of_variant("DesiredInstanceCount"),
    }
    return _sagemaker("describeEndpoint", "What serves now", {"EndpointName": name}, result, next_state, seen)


def is_changing(status: str) -> dict[str, Any]:
    """Whether the status at this path is one in which SageMaker refuses an update, and which ends by itself."""
    return {"Or": [{"Variable": status, "StringEquals": one} for one in CHANGING]}


def instance_type(*, config: str, result: str, next_state: str) -> State:
    """DescribeEndpointConfig of the path `config`; its instance type lands at `$.<result>.instance`."""
    parameters, seen = {"EndpointConfigName.$": config}, {"instance.$": _of_variant("InstanceType")}
    return _sagemaker("describeEndpointConfig", "On which instances it serves", parameters, result, next_state, seen)


def _of_variant(field: str) -> str:
    """Of the only variant; interpreters differ in whether a path with an index gives a value or a list of one."""
    return f"States.ArrayGetItem($.ProductionVariants[*].{field}, 0)"


def take_from_config(*properties: str, next_state: str) -> State:
    """What of a variant the following `update` takes from the new configuration instead of keeping it."""
    return {
        "Type": "Pass",
        "Comment": f"Of the live fleet, the configuration decides: {', '.join(properties) or 'nothing'}",
        "Result": {"properties": [{"VariantPropertyType": one} for one in properties]},
        "ResultPath": "$.from_config",
        "Next": next_state,
    }


def delete(name: str, *, comment: str, next_state: str) -> State:
    """Its absence is as good: a redrive may come here after the clean-up of the failed release."""
    state = _sagemaker("deleteEndpoint", comment, {"EndpointName": name}, None, next_state)
    return {**state, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.absent", "Next": next_state}]}


def until_in_service(
    context: Context, name: str, *, prefix: str, config: str, ready: str, failed: str
) -> dict[str, State]:
    """Wait, look, decide: ready is the endpoint InService with this configuration; with another it was rolled back."""
    status, wanted = "$.endpoint.status", {"Variable": "$.endpoint.config", "StringEqualsPath": f"$.{config}.name"}
    in_service = {"Variable": status, "StringEquals": "InService"}
    bad = [{"Variable": status, "StringEquals": one} for one in BROKEN]
    seen = {"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"}
    return {
        f"{prefix} wait": states.wait(
            "Endpoints take minutes", seconds=context.settings.poll_s, next_state=f"{prefix} look"
        ),
        f"{prefix} look": _sagemaker(
            "describeEndpoint",
            "How far is it?",
            {"EndpointName": name},
            "endpoint",
            f"{prefix} in service?",
            seen,
        ),
        f"{prefix} in service?": states.choice(
            "Does it serve what this release asked for?",
            [({"And": [in_service, wanted]}, ready), (in_service, failed), ({"Or": bad}, failed)],
            otherwise=f"{prefix} wait",
        ),
    }


def canary_percent(instances: int) -> int:
    """Of a fleet of so many instances or more. Rounded up it is at most the half that SageMaker allows: 50 % of three
    would be two."""
    return 33 if instances < 10 else 10


def blue_green(context: Context, *, canary: bool) -> dict[str, Any]:
    """A new fleet beside the old one, watched by the release's alarms before the old one goes."""
    bake_s = context.settings.bake_s
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    if canary:
        size = {"Type": "CAPACITY_PERCENT", "Value": canary_percent(context.workload.rollout.min_instances)}
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": bake_s, "CanarySize": size}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": bake_s,
            "MaximumExecutionTimeoutInSeconds": CREATION_S + 2 * bake_s,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName.$": ERRORS_ALARM}, {"AlarmName.$": LATENCY_ALARM}]},
    }


def _named(context: Context, suffix: str) -> str:
    """`<prefix>-v<version>-<execution>-<retry>-<redrive><suffix>`."""
    name = f"{context.names.prefix}-{{}}-{{}}-{{}}{suffix}"
    return f"States.Format('{name}', {LABEL}, $$.State.RetryCount, $$.Execution.RedriveCount)"


def _sagemaker(
    action: str,
    comment: str,
    parameters: Mapping[str, Any],
    result: str | None,
    next_state: str,
    selected: Mapping[str, str] | None = None,
) -> State:
    """A call by `aws-sdk:`: Step Functions' own integration with SageMaker does not take every field."""
    return call(f"sagemaker:{action}", comment, parameters, next_state=next_state, result=result, selected=selected)
