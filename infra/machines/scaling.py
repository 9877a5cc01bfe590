"""The states of a release that set the scaling of the live endpoint."""

from __future__ import annotations

from millrace.infra.context import Context
from millrace.infra.machines.calls import call
from millrace.infra.machines.states import State
from millrace.names import VARIANT


def register(context: Context, *, next_state: str) -> State:
    most = context.workload.rollout.max_instances
    parameters = {**_dimension(context), "MinCapacity": context.least_instances, "MaxCapacity": most}
    action = "applicationautoscaling:registerScalableTarget"
    return call(action, "How few and how many instances", parameters, next_state=next_state)


def put_policy(context: Context, *, next_state: str) -> State:
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
    action = "applicationautoscaling:putScalingPolicy"
    return call(action, "Instances follow the requests a minute", parameters, next_state=next_state)


def deregister(context: Context, *, next_state: str) -> State:
    """Stop the scaling. A variant without scaling is fine, so a failure is caught.

    If the variant is still scaled, SageMaker refuses the following update with an error that names the cause."""
    action = "applicationautoscaling:deregisterScalableTarget"
    state = call(action, "Its policies go with it", _dimension(context), next_state=next_state)
    return {**state, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.absent", "Next": next_state}]}


def _dimension(context: Context) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{context.names.endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
