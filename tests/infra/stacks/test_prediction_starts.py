"""The prediction function behind its alias: what is another version."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from millrace.infra.images import image_tags
from millrace.infra.options import options_of
from millrace.infra.settings import settings_for
from millrace.infra.stacks.serving import ServingStack
from millrace.workload.load import SUITE, load_workload
from tests.infra.conftest import ELECTRICITY


def versions(provisioned: int, **more: Any) -> set[str]:
    """Those of the room's template with so many environments kept started, and more options of the stage."""
    options = options_of({"dev": {"prediction_provisioned": provisioned, **more}}, "dev")
    settings = settings_for("dev", account="123456789012", region="eu-west-1", options=options)
    stack = ServingStack(
        cdk.App(analytics_reporting=False, context={"aws:cdk:disable-asset-staging": True}),
        settings=settings,
        workload=load_workload(ELECTRICITY),
        folder=ELECTRICITY,
        tags=image_tags(SUITE, settings.platform),
    )
    return set(Template.from_stack(stack).find_resources("AWS::Lambda::Version"))


def test_what_is_deployed_is_another_version_and_the_same_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    first = versions(2)
    assert versions(3, tags={"cost-centre": "4711"}) == first
    monkeypatch.setattr("millrace.infra.stacks.serving.ServingStack._host", lambda _: {"memory_mb": 2048})
    assert versions(2) != first
