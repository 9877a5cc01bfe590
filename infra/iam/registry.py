"""Rights on model versions in SageMaker's registry, on their cards, and on images in ECR."""

from __future__ import annotations

from millrace.infra.iam.resource import Resource, Statement, every, resource
from millrace.names import WorkloadNames
from millrace.release.registry import REJECTED

COUNTED = "The registry counts the versions of the workload's own group"


def group(names: WorkloadNames) -> Resource:
    return resource("sagemaker", names.platform.arn("sagemaker", f"model-package-group/{names.package_group}"))


def versions(names: WorkloadNames) -> Resource:
    return resource("sagemaker", names.package_arn("*"), because=COUNTED)


def find_versions() -> Statement:
    return every("sagemaker", because="ListModelPackages takes no resource").may("ListModelPackages")


def refuse(names: WorkloadNames) -> Statement:
    """Refuse versions, and change nothing else of their approval.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html"""
    only = {"StringEquals": {"sagemaker:ModelApprovalStatus": REJECTED}}
    return resource("sagemaker", names.package_arn("*"), where=only, because=COUNTED).may("UpdateModelPackage")


def cards(names: WorkloadNames) -> Resource:
    named = "The card of a version is named by a hash of the run that made it"
    return resource("sagemaker", names.platform.arn("sagemaker", f"model-card/{names.model_card('*')}"), because=named)


def repository(names: WorkloadNames, image: str) -> Resource:
    """The repository of `containers/<image>`."""
    return resource("ecr", names.platform.arn("ecr", f"repository/{names.platform.repository(image)}"))


def pull(names: WorkloadNames, image: str) -> list[Statement]:
    """Pull the image, to run containers of it."""
    return [
        every("ecr", because="The action takes no resource").may("GetAuthorizationToken"),
        repository(names, image).may("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"),
    ]
