"""Rights on the SageMaker endpoints of a workload, on their models and configurations, and on their scaling."""

from __future__ import annotations

from millrace.infra.iam.resource import Resource, Statement, every, resource
from millrace.names import WorkloadNames

SCALING = "sagemaker.application-autoscaling.amazonaws.com"


def live(names: WorkloadNames) -> Resource:
    return _sagemaker(names, f"endpoint/{names.endpoint}")


def challenger(names: WorkloadNames) -> Resource:
    return _sagemaker(names, f"endpoint/{names.challenger}")


def both(names: WorkloadNames) -> Resource:
    return live(names) + challenger(names)


def models(names: WorkloadNames) -> Resource:
    return _sagemaker(names, f"model/{names.prefix}-v*", "A model is named by the version and release that it serves")


def configs(names: WorkloadNames) -> Resource:
    named = "An endpoint's configuration is named by the version and the release that it serves"
    return _sagemaker(names, f"endpoint-config/{names.prefix}-v*", named)


def scalable_targets(names: WorkloadNames) -> Resource:
    arn = names.platform.arn("application-autoscaling", "scalable-target/*")
    return resource(
        "application-autoscaling", arn, because="A scalable target is named by an id that Auto Scaling gives"
    )


def scale(names: WorkloadNames) -> list[Statement]:
    """The rights that a caller needs to scale the live endpoint, beside those on its alarms.

    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html"""
    linked = f"role/aws-service-role/{SCALING}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    by_name = {"StringEquals": {"iam:AWSServiceName": SCALING}}
    return [
        scalable_targets(names).may("RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy"),
        live(names).may("UpdateEndpointWeightsAndCapacities"),
        configs(names).may("DescribeEndpointConfig"),
        resource("iam", names.platform.arn("iam", linked), where=by_name).may("CreateServiceLinkedRole"),
    ]


def find_scaling() -> Statement:
    because = "DescribeScalableTargets takes no resource"
    return every("application-autoscaling", because=because).may("DescribeScalableTargets")


def list_released(names: WorkloadNames) -> list[Statement]:
    """The rights that `millrace.aws.released_models` needs."""
    lists = every("sagemaker", because="These lists take no resource; what they name is asked for by its own ARN")
    return [
        lists.may("ListModels", "ListEndpointConfigs"),
        models(names).may("DescribeModel"),
        configs(names).may("DescribeEndpointConfig"),
    ]


def _sagemaker(names: WorkloadNames, path: str, because: str = "") -> Resource:
    return resource("sagemaker", names.platform.arn("sagemaker", path), because=because)
