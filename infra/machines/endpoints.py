"""The states of a release that make SageMaker endpoints: model, configuration, endpoint.

Models and configurations are named by version, execution, retry and redrive, so a repeated call never collides with an
earlier one. Their names are read back from the ARN in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from millrace.aws.endpoints import BROKEN, CHANGING
from millrace.infra.context import Context
from millrace.infra.instances import has_own_disk
from millrace.infra.machines import jobs, states
from millrace.infra.machines.calls import call
from millrace.infra.machines.paths import Result, path
from millrace.infra.machines.release_alarms import ERRORS_ALARM, LATENCY_ALARM
from millrace.infra.machines.states import State
from millrace.messages.release import LiveState, ReleaseStarted, UpdateState
from millrace.names import VARIANT

EndpointKind = Literal["challenger", "live"]
CREATION_S = 60 * 60
"""Seconds in which SageMaker must have made a new fleet."""
SHORT = 5
"""Letters of the kind in the name of a configuration, which has no room for more."""
RELEASE = Result(
    "start_release",
    ReleaseStarted,
    "One release at a time; read the package and the two endpoints, wait until neither changes",
)
VERSION = RELEASE.path("version")
LABEL = RELEASE.path("label")
"""`v<version>-<execution>`. A rollback releases a version again, and then the version gets new names."""


def model(context: Context, *, role_arn: str, next_state: str) -> State:
    """CreateModel from the package's image and artefact. The model's name is then at `$.model.name`.

    The package itself could only be named after its approval, which comes last in a release."""
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
    # An ARN ends with `…:model/<name>`.
    selected = {"name.$": "States.ArrayGetItem(States.StringSplit($.ModelArn, '/'), 1)"}
    return _sagemaker("createModel", "The model that the package describes", parameters, "model", next_state, selected)


def config(
    context: Context, *, instances: int, result: str, next_state: str, kind: EndpointKind = "challenger"
) -> State:
    """CreateEndpointConfig with one variant. The configuration's name is then at `$.<result>.name`."""
    parameters = {
        "EndpointConfigName.$": _named(context, f"-{kind[:SHORT]}"),
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName.$": path(LiveState, "model", "name"),
                "InitialInstanceCount": instances,
                "InstanceType": jobs.instance(context),
                "InitialVariantWeight": 1,
            }
        ],
        **({} if has_own_disk(jobs.instance(context)) else {"KmsKeyId": context.key_arn}),
        "Tags": jobs.tags(context),
    }
    selected = {"name.$": "States.ArrayGetItem(States.StringSplit($.EndpointConfigArn, '/'), 1)"}
    return _sagemaker("createEndpointConfig", f"How the {kind} is served", parameters, result, next_state, selected)


def create(context: Context, name: str, *, config: str, comment: str, next_state: str) -> State:
    """CreateEndpoint. Its instances are billed under the endpoint's tags, not under those of its configuration."""
    parameters = {"EndpointName": name, "EndpointConfigName.$": f"$.{config}.name", "Tags": jobs.tags(context)}
    return _sagemaker("createEndpoint", comment, parameters, None, next_state)


def update(
    name: str, *, config: str, comment: str, next_state: str, deployment: Mapping[str, Any] | None = None
) -> State:
    """UpdateEndpoint. With a `deployment` it keeps what scaling has set, except the properties of `take_from_config`.

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
    """DescribeEndpoint. Status, configuration and desired count are then at `$.<result>`."""
    seen = {
        "status.$": "$.EndpointStatus",
        "config.$": "$.EndpointConfigName",
        "instances.$": _of_variant("DesiredInstanceCount"),
    }
    return _sagemaker("describeEndpoint", "What serves now", {"EndpointName": name}, result, next_state, seen)


def is_changing(status: str) -> dict[str, Any]:
    """The condition that the endpoint changes: SageMaker refuses an update then, and the change ends by itself.

    `status` is the path of the endpoint's status."""
    return {"Or": [{"Variable": status, "StringEquals": one} for one in CHANGING]}


def instance_type(*, config: str, result: str, next_state: str) -> State:
    """DescribeEndpointConfig of the name at the path `config`. The instance type is then at `$.<result>.instance`."""
    parameters, seen = {"EndpointConfigName.$": config}, {"instance.$": _of_variant("InstanceType")}
    return _sagemaker("describeEndpointConfig", "On which instances it serves", parameters, result, next_state, seen)


def _of_variant(field: str) -> str:
    """An intrinsic function that gives a field of the only variant.

    Interpreters of JSONPath differ in whether a path with an index gives a value or a list of one. This fits both."""
    return f"States.ArrayGetItem($.ProductionVariants[*].{field}, 0)"


def take_from_config(*properties: str, next_state: str) -> State:
    """Note the properties of a variant that the following `update` takes from the new configuration.

    All other properties are kept."""
    comment = f"Of the live fleet, the configuration decides: {', '.join(properties) or 'nothing'}"
    result = {"properties": [{"VariantPropertyType": one} for one in properties]}
    return states.put(comment, "$.from_config", Result=result, next_state=next_state)


def delete(name: str, *, comment: str, next_state: str) -> State:
    """DeleteEndpoint. It may be gone already: a redrive may come here after the cleanup of the failed release."""
    state = _sagemaker("deleteEndpoint", comment, {"EndpointName": name}, None, next_state)
    return {**state, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.absent", "Next": next_state}]}


def until_in_service(
    context: Context, name: str, *, prefix: str, config: str, ready: str, failed: str, poll_s: int = 0
) -> dict[str, State]:
    """Three states in a loop: wait, look, decide. `poll_s`: seconds between two looks, if nobody waits for the answer.

    An endpoint in service with this release's configuration is `ready`. With another configuration, SageMaker has
    rolled it back, and that is `failed`, as are the statuses of BROKEN.

        <prefix> wait ──> <prefix> look ──> <prefix> in service? ──> ready or failed
             ^────────────────────────────────────┘
    """
    status, wanted = "$.endpoint.status", {"Variable": "$.endpoint.config", "StringEqualsPath": f"$.{config}.name"}
    in_service = {"Variable": status, "StringEquals": "InService"}
    bad = [{"Variable": status, "StringEquals": one} for one in BROKEN]
    seen = {"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"}
    # The order of the branches matters: `(in_service, failed)` is only reached with another configuration.
    return {
        f"{prefix} wait": states.wait(
            "Endpoints take minutes", seconds=pause_s(context, poll_s), next_state=f"{prefix} look"
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


def pause_s(context: Context, seconds: int) -> int:
    """Seconds between two looks. The local cloud is quicker."""
    return context.settings.poll_s if context.platform.stage == "local" else seconds or context.settings.poll_s


def blue_green(context: Context) -> dict[str, Any]:
    """A deployment that makes a new fleet beside the old one. The release's alarms watch it before the old one goes.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html"""
    bake_s = context.settings.bake_s
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": bake_s,
            "MaximumExecutionTimeoutInSeconds": CREATION_S + 2 * bake_s,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName.$": ERRORS_ALARM}, {"AlarmName.$": LATENCY_ALARM}]},
    }


def _named(context: Context, suffix: str) -> str:
    """An intrinsic function for the name `<prefix>-v<version>-<execution>-<retry>-<redrive><suffix>`."""
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
    """A call by `aws-sdk:`, since Step Functions' own integration with SageMaker does not take every field."""
    return call(f"sagemaker:{action}", comment, parameters, next_state=next_state, result=result, selected=selected)
