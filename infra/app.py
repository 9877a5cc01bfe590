"""The CDK app: the platform and every workload, in one stage (`cdk deploy --all -c stage=dev`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import aws_cdk as cdk

from infra.context import REPOSITORY
from infra.settings import StageSettings, settings_for
from infra.stacks.catalogue import ROOMS
from infra.stacks.platform import IMAGES, PlatformStack
from millrace.errors import ConfigurationError
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload, workload_folders, workloads_folder


def build(
    settings: StageSettings, *, workloads: Sequence[Path], images: dict[str, str], outdir: str | None = None
) -> cdk.App:
    """The app with the platform stack and, for each workload's folder, its rooms."""
    app = cdk.App(outdir=outdir, context={"aws:cdk:disable-asset-staging": True}, analytics_reporting=False)
    loaded = [(folder, load_workload(folder)) for folder in workloads]
    _check_names([WorkloadNames(platform=settings.platform, workload=workload.name) for _, workload in loaded])
    platform = PlatformStack(app, settings=settings, workloads=[workload.name for _, workload in loaded])
    for folder, workload in loaded:
        for room in ROOMS:
            stack = room(app, settings=settings, workload=workload, folder=folder, images=images)
            stack.add_stack_dependency(platform)
    return app


def _check_names(workloads: Sequence[WorkloadNames]) -> None:
    """Raise ConfigurationError where one name begins with another and a dash: roles may touch what their workload has
    made by the beginning of its name, and that would be the other's too."""
    for one, other in permutations(workloads, 2):
        if other.slug.startswith(f"{one.slug}-"):
            raise ConfigurationError(
                where=f"workloads/{other.workload}",
                field="name",
                expected=f"a name that does not begin with {one.workload}_, the name of another workload",
                came=other.workload,
            )


def images_of(settings: StageSettings, digests: dict[str, str]) -> dict[str, str]:
    """The image URIs by container; a digest that `make images` has not written yet stands as the tag `unbuilt`."""
    names = settings.platform
    registry = f"{names.account}.dkr.ecr.{names.region}.amazonaws.com"
    return {
        image: f"{registry}/{names.repository(image)}" + (f"@{digests[image]}" if image in digests else ":unbuilt")
        for image in IMAGES
    }


def main() -> None:
    """Synthesize for the stage that the context names; the account and region come from the CLI's environment."""
    context = cdk.App().node
    stage = context.try_get_context("stage") or "local"
    account = context.try_get_context("account") or os.environ.get("CDK_DEFAULT_ACCOUNT")
    region = context.try_get_context("region") or os.environ.get("CDK_DEFAULT_REGION")
    if not account or not region:
        raise ConfigurationError(
            where="context",
            field="account, region",
            expected="credentials of the target account, or -c account=… -c region=…",
            came=(account, region),
        )
    tracking = (context.try_get_context("tracking") or {}).get(stage, "")
    settings = settings_for(stage, account=account, region=region, tracking_arn=tracking)
    digests = (context.try_get_context("images") or {}).get(stage, {})
    build(
        settings, workloads=workload_folders(workloads_folder(REPOSITORY)), images=images_of(settings, digests)
    ).synth()


if __name__ == "__main__":
    main()
