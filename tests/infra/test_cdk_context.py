"""What the context of the CDK says of a stage: taken as an object or as JSON, and refused in one line."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest

from millrace.errors import ConfigurationError
from millrace.infra.app import settings_of
from millrace.infra.aws_images import training_base
from millrace.infra.cdk_context import unread
from millrace.workload.load import SUITE


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")


def context(**keys: object) -> Any:
    return cdk.App(context={"stage": "dev", **keys}, analytics_reporting=False).node


def test_options_are_the_stage_s_also_as_json() -> None:
    said = {"prod": {"alarm_email": "other@example.com"}, "dev": {"alarm_email": "team@example.com"}}
    for given in (said, json.dumps(said)):
        assert settings_of(context(stages=given)).alarm_email == "team@example.com"
    for none in ({"prod": said["prod"]}, {"dev": None}, "", None, {}):
        assert settings_of(context(stages=none)).alarm_email is None


@pytest.mark.parametrize("value", ["{", ["dev"]])
def test_options_that_are_not_by_stage_are_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="context: stages: expected values by stage, such as"):
        settings_of(context(stages=value))


@pytest.mark.parametrize("value", ["https://chat.example.com/hooks/7f", ["https://chat.example.com/hooks/7f"]])
def test_no_message_repeats_a_chat_s_url(value: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"stages\.dev\.alarm_webhook: expected .* got 'another text'"
    ) as refused:
        settings_of(context(stages={"dev": {"alarm_webhook": value}}))
    assert "https" not in str(refused.value)


def test_a_region_without_the_image_is_named() -> None:
    said = (
        r"context: region: expected a region with SageMaker's image of torch \(did you mean 'eu-west-\d'\?\): af-south"
    )
    with pytest.raises(ConfigurationError, match=said):
        training_base(SUITE, "dev", "eu-west-99")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("account", "1234", "a text of 12 digits, got '1234'"),
        ("account", 123456789012, "a text of 12 digits, got 123456789012"),
        ("region", "Ireland", "a region such as eu-west-1, got 'Ireland'"),
        ("region", "eu-west_1", "a region such as eu-west-1, got 'eu-west_1'"),
    ],
)
def test_no_account_and_no_region_is_refused(key: str, value: object, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^context: {key}: expected {told}$"):
        settings_of(context(**{key: value}))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"alarm_email": {"dev": "team@example.com"}}, {"alarm_email": "expected one of stage, account, region, work"}),
        ({"stagess": {}}, {"stagess": "did you mean 'stages'?"}),
        ({"stages": {"dve": {"machine_log": "errors"}}}, {"stages.dve": "did you mean 'dev'?"}),
        ({"stages": '{"pord": {}}'}, {"stages.pord": "did you mean 'prod'?"}),
        ({"stages": {"staging": {}}}, {"stages.staging": ""}),
        ({"stages": {"prod": {"machine_log": "errors"}, "local": {}}}, {}),
        ({"@aws-cdk/core:aFlag": True, "aws:cdk:enable-path-metadata": True, "cli-telemetry": False}, {}),
        ({"availability-zones:account=123456789012:region=eu-west-1": ["eu-west-1a"]}, {}),
        ({"workloads": "electricity", "account": "123456789012", "region": "eu-west-1", "stages": None}, {}),
    ],
)
def test_what_takes_no_effect_is_named(said: dict[str, Any], told: dict[str, str]) -> None:
    found = unread({"stage": "dev", **said})
    assert found.keys() == told.keys()
    for name, part in told.items():
        assert found[name].startswith(f"{name} in the context: expected ")
        assert part in found[name]
