"""The CDK app: the platform and every workload, in one stage (`cdk deploy --all -c stage=dev`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk

from infra.context import REPOSITORY
from infra.settings import StageSettings, settings_for
from infra.stacks.platform import IMAGES, PlatformStack
from infra.stacks.rooms import ROOMS
from millrace.errors import ConfigurationError
from millrace.workload import load_workload


def build(
    settings: StageSettings, *, workloads: Sequence[Path], images: dict[str, str], outdir: str | None = None
) -> cdk.App:
    """The app with the platform stack and, for each workload's folder, its rooms."""
    app = cdk.App(outdir=outdir, context={"aws:cdk:disable-asset-staging": True}, analytics_reporting=False)
    platform = PlatformStack(app, settings=settings)
    for folder in workloads:
        workload = load_workload(folder)
        for room in ROOMS:
            stack = room(app, settings=settings, workload=workload, folder=folder, images=images)
            stack.add_stack_dependency(platform)
    return app


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
    settings = settings_for(stage, account=account, region=region)
    digests = (context.try_get_context("images") or {}).get(stage, {})
    build(settings, workloads=workload_folders(), images=images_of(settings, digests)).synth()


def workload_folders(root: Path = REPOSITORY / "workloads") -> list[Path]:
    """The folders that hold a `workload.yaml`, by name."""
    return sorted(path.parent for path in root.glob("*/workload.yaml"))


if __name__ == "__main__":
    main()
