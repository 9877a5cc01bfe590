"""A workload's context without a stack: plain values where a deploy-time token would stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.context import Context
from infra.settings import settings_for
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload

FOLDER = Path(__file__).resolve().parents[3] / "workloads" / "electricity"


@pytest.fixture(scope="session")
def workload() -> Workload:
    return load_workload(FOLDER)


@pytest.fixture(scope="session")
def context(workload: Workload) -> Callable[..., Context]:
    """`context("dev", rollout={"min_instances": 2})`: prod and the workload as shipped, but for what is given."""

    def make(stage: str = "prod", **parts: dict[str, object]) -> Context:
        changes = {name: getattr(workload, name).model_copy(update=values) for name, values in parts.items()}
        registry = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-{stage}"
        return Context(
            settings=settings_for(stage, account="123456789012", region="eu-west-1"),
            workload=workload.model_copy(update=changes),
            folder=FOLDER,
            key_arn="arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000",
            subnet_ids=("subnet-0a1b2c3d", "subnet-1a2b3c4d"),
            security_group_id="sg-0a1b2c3d",
            component="training",
            images={image: f"{registry}-{image}:local" for image in ("training", "processing", "inference")},
        )

    return make
