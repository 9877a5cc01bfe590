"""`make prune`: delete the images of a stage that nothing runs and nothing may run again.

An image is in use if a deployed machine, a model or a model version names its digest, or if this checkout would deploy
it. An image younger than a month is kept too, so that a commit of today can still be deployed tomorrow. ECR's own
lifecycle knows nothing of this. The digest's parameter is deleted before the image: then a deployment that needs the
image says which command builds it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from millrace.infra.bases import DIGEST
from millrace.infra.images import image_tags, wanted
from millrace.infra.options import declared_options
from millrace.names import Platform

KEPT = timedelta(days=30)
"""A younger image is kept, used or not."""
MOST_PARAMETERS = 10
"""Of one call: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """An image in a repository of the stage."""

    image: str
    digest: str
    tags: tuple[str, ...]
    pushed: datetime
    size_gb: float


def held(client: Callable[[str], Any], platform: Platform) -> list[Held]:
    """Every image with a tag. ECR's lifecycle deletes images without one."""
    pages = client("ecr").get_paginator("describe_images")
    return [
        Held(
            image=image,
            digest=one["imageDigest"],
            tags=tuple(one["imageTags"]),
            pushed=one["imagePushedAt"],
            size_gb=one.get("imageSizeInBytes", 0) / 1e9,
        )
        for image in wanted(declared_options(platform.stage))
        for page in pages.paginate(repositoryName=platform.repository(image))
        for one in page["imageDetails"]
        if one.get("imageTags")
    ]


def _texts(client: Callable[[str], Any], platform: Platform) -> Iterator[str]:
    """Everything in which an image may be named: definitions of machines, descriptions of models and of versions."""
    states, sagemaker, prefix = client("stepfunctions"), client("sagemaker"), f"{platform.prefix}-"
    for page in states.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            if machine["name"].startswith(prefix):
                yield states.describe_state_machine(stateMachineArn=machine["stateMachineArn"])["definition"]
    for page in sagemaker.get_paginator("list_models").paginate(NameContains=prefix):
        for model in page["Models"]:
            yield str(sagemaker.describe_model(ModelName=model["ModelName"]))
    for page in sagemaker.get_paginator("list_model_package_groups").paginate(NameContains=prefix):
        for group in page["ModelPackageGroupSummaryList"]:
            yield from _versions(sagemaker, group["ModelPackageGroupName"])


def _versions(sagemaker: Any, group: str) -> Iterator[str]:
    for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
        for version in page["ModelPackageSummaryList"]:
            yield str(sagemaker.describe_model_package(ModelPackageName=version["ModelPackageArn"]))


def unused(client: Callable[[str], Any], platform: Platform, *, root: Path, now: datetime) -> list[Held]:
    """The images that nothing needs, oldest first."""
    # An image goes only if all three hold: no digest is named, it is old, and this checkout would not deploy it.
    used = {digest for text in _texts(client, platform) for digest in DIGEST.findall(text)}
    current = set(image_tags(root, platform, wanted(declared_options(platform.stage))).items())
    found = [
        one
        for one in held(client, platform)
        if one.digest not in used
        and now - one.pushed > KEPT
        and current.isdisjoint((one.image, tag) for tag in one.tags)
    ]
    return sorted(found, key=lambda one: one.pushed)


def delete(client: Callable[[str], Any], platform: Platform, image: Held) -> None:
    """Delete the parameters of the image's tags, then the image."""
    names = [platform.digest_parameter(image.image, tag) for tag in image.tags]
    for first in range(0, len(names), MOST_PARAMETERS):
        client("ssm").delete_parameters(Names=names[first : first + MOST_PARAMETERS])
    client("ecr").batch_delete_image(
        repositoryName=platform.repository(image.image), imageIds=[{"imageDigest": image.digest}]
    )


def main() -> None:
    """List what nothing needs in the named stage; with `--yes` delete it."""
    import boto3

    from millrace.workload.load import SUITE

    parser = argparse.ArgumentParser(prog="python -m millrace.infra.prune", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--yes", action="store_true")
    given = parser.parse_args()
    account, region = boto3.client("sts").get_caller_identity()["Account"], boto3.session.Session().region_name
    platform = Platform(stage=given.stage, account=account, region=region)
    for image in unused(boto3.client, platform, root=SUITE, now=datetime.now(UTC)):
        print(f"{image.image} {','.join(image.tags)}, {image.pushed:%Y-%m-%d}, {image.size_gb:.1f} GB")
        if given.yes:
            delete(boto3.client, platform, image)


if __name__ == "__main__":
    main()
