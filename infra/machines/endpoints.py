"""The steps of a release on SageMaker endpoints: model, configuration, endpoint, alarms, scaling.

Models and configurations are named by version, execution, retry and redrive, so a call that comes twice never
collides; their names are read back from the ARN in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from infra.context import Context
from infra.instances import has_own_disk
from infra.machines import jobs, states
from infra.machines.parameters import checked
from infra.machines.paths import Result, path
from infra.machines.states import State
from millrace.messages.release import LiveState, ReleaseStarted
from millrace.names import VARIANT

EndpointKind = Literal["challenger", "live"]
"""What a configuration serves."""
CREATION_S = 60 * 60
MOST_ERRORS = 0.05
"""Share of the requests of a minute that a new fleet may fail."""
SHORT = 5
"""Letters of a kind in the name of a configuration, which has room for no more."""
RELEASE = Result("start_release", ReleaseStarted)
VERSION = RELEASE.path("version")
LABEL = RELEASE.path("label")
"""`v<version>-<execution>`: a version that is released again, by a rollback, gets names of its own."""
ERRORS_ALARM = "States.Format('{}-errors', $.live_config.name)"
LATENCY_ALARM = "States.Format('{}-latency', $.live_config.name)"
"""Made for one release: without the dimension EndpointConfigName an alarm mixes the old fleet with the new one."""


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


def config(
    context: Context, *, instances: int, result: str, next_state: str, kind: EndpointKind = "challenger"
) -> State:
    """CreateEndpointConfig with one variant; its name lands at `$.<result>.name`."""
    instance = context.workload.rollout.instance[jobs.stage(context)]
    parameters = {
        "EndpointConfigName.$": _named(context, f"-{kind[:SHORT]}"),
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName.$": path(LiveState, "model", "name"),
                "InitialInstanceCount": instances,
                "InstanceType": instance,
                "InitialVariantWeight": 1,
            }
        ],
        **({} if has_own_disk(instance) else {"KmsKeyId": context.key_arn}),
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
    """UpdateEndpoint; with a deployment the counts that scaling has set are kept."""
    parameters: dict[str, Any] = {"EndpointName": name, "EndpointConfigName.$": f"$.{config}.name"}
    if deployment:
        parameters |= {"RetainAllVariantProperties": True, "DeploymentConfig": dict(deployment)}
    return _sagemaker("updateEndpoint", comment, parameters, None, next_state)


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
    bad = [{"Variable": status, "StringEquals": one} for one in ("Failed", "UpdateRollbackFailed", "OutOfService")]
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


def blue_green(context: Context, *, canary: bool) -> dict[str, Any]:
    """A new fleet beside the old one, watched by the release's alarms before the old one goes."""
    bake_s = context.settings.bake_s
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    if canary:
        size = {"Type": "CAPACITY_PERCENT", "Value": 50 if context.workload.rollout.min_instances < 10 else 10}
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": bake_s, "CanarySize": size}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": bake_s,
            "MaximumExecutionTimeoutInSeconds": CREATION_S + 2 * bake_s,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName.$": ERRORS_ALARM}, {"AlarmName.$": LATENCY_ALARM}]},
    }


def error_alarm(context: Context, *, next_state: str) -> State:
    """Bad input is answered with 4xx, so a 5xx of the new fleet is the version's own.

    The average is the share of requests that failed; one of few is a large share, so two minutes must be bad."""
    share = _query(context, "m0", "Invocation5XXErrors", "Average", judged=True)
    return _alarm(context, ERRORS_ALARM, [share], MOST_ERRORS, "The new fleet answers with 5xx", next_state)


def latency_alarm(context: Context, *, next_state: str) -> State:
    """ModelLatency comes in microseconds; a minute with few requests is not judged: p99 is the slowest of them."""
    bound_us = context.workload.gates.latency.max_p99_ms * 1000
    queries = [
        _query(context, "m0", "ModelLatency", "p99"),
        _query(context, "m1", "ModelLatency", "SampleCount"),
        {
            "Id": "judged",
            "Expression": f"IF(m1 >= {context.settings.judged_requests}, m0, 0)",
            "ReturnData": True,
        },
    ]
    comment = "The new fleet is slower than the gate allows"
    return _alarm(context, LATENCY_ALARM, queries, bound_us, comment, next_state)


def delete_alarms(*, next_state: str) -> State:
    parameters = {"AlarmNames.$": f"States.Array({ERRORS_ALARM}, {LATENCY_ALARM})"}
    return sdk("cloudwatch:deleteAlarms", "The release is over, so are its alarms", parameters, next_state)


def scalable_target(context: Context, *, next_state: str) -> State:
    rollout = context.workload.rollout
    parameters = {**_dimension(context), "MinCapacity": rollout.min_instances, "MaxCapacity": rollout.max_instances}
    return sdk(
        "applicationautoscaling:registerScalableTarget", "How few and how many instances", parameters, next_state
    )


def scaling_policy(context: Context, *, next_state: str) -> State:
    parameters = {
        **_dimension(context),
        "PolicyName": f"{context.names.prefix}-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": context.workload.rollout.invocations_per_instance,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": 60,
            "ScaleInCooldown": 300,
        },
    }
    return sdk(
        "applicationautoscaling:putScalingPolicy", "Instances follow the requests a minute", parameters, next_state
    )


def _named(context: Context, suffix: str) -> str:
    """`<prefix>-v<version>-<execution>-<retry>-<redrive><suffix>`."""
    name = f"{context.names.prefix}-{{}}-{{}}-{{}}{suffix}"
    return f"States.Format('{name}', {LABEL}, $$.State.RetryCount, $$.Execution.RedriveCount)"


def _dimension(context: Context) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{context.names.endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def _query(context: Context, query_id: str, metric: str, statistic: str, *, judged: bool = False) -> dict[str, Any]:
    """A metric of the new fleet, by the minute; `judged` is what the alarm compares."""
    dimensions = [
        {"Name": "EndpointName", "Value": context.names.endpoint},
        {"Name": "VariantName", "Value": VARIANT},
        {"Name": "EndpointConfigName", "Value.$": "$.live_config.name"},
    ]
    named = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
    stat = {"Metric": named, "Period": 60, "Stat": statistic}
    return {"Id": query_id, "ReturnData": judged, "MetricStat": stat}


def _alarm(
    context: Context, name: str, queries: Sequence[Mapping[str, Any]], threshold: float, comment: str, next_state: str
) -> State:
    bad, of = context.settings.bad_minutes
    parameters = {
        "AlarmName.$": name,
        "AlarmDescription": comment,
        "Metrics": [dict(query) for query in queries],
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "DatapointsToAlarm": bad,
        "EvaluationPeriods": of,
        "TreatMissingData": "notBreaching",
    }
    return sdk("cloudwatch:putMetricAlarm", comment, parameters, next_state)


def _sagemaker(
    action: str,
    comment: str,
    parameters: Mapping[str, Any],
    result: str | None,
    next_state: str,
    selected: Mapping[str, str] | None = None,
) -> State:
    """A task on SageMaker by `aws-sdk:`: Step Functions' own integration does not take every field of these calls."""
    return _task(f"aws-sdk:sagemaker:{action}", comment, parameters, result, next_state, selected)


def sdk(action: str, comment: str, parameters: Mapping[str, Any], next_state: str) -> State:
    """A task by `aws-sdk:` whose answer nobody reads."""
    return _task(f"aws-sdk:{action}", comment, parameters, None, next_state, None)


def _task(
    resource: str,
    comment: str,
    parameters: Mapping[str, Any],
    result: str | None,
    next_state: str,
    selected: Mapping[str, str] | None,
) -> State:
    return checked(
        {
            "Type": "Task",
            "Comment": comment,
            "Resource": states.integration(resource),
            "Parameters": dict(parameters),
            **({"ResultSelector": dict(selected)} if selected else {}),
            "ResultPath": f"$.{result or 'called'}",  # never null: CDK would drop it, and the answer the state
            "Retry": [states.retry("States.TaskFailed", interval_s=5, attempts=3)],
            "Next": next_state,
        }
    )
