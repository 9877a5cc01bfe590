"""What the context of the CDK says of a stage: taken as an object or as JSON, and refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from millrace.errors import ConfigurationError
from millrace.infra.app import build, settings_of, warn_of_unread
from millrace.infra.aws_images import training_base
from millrace.infra.cdk_context import unread
from millrace.workload.load import SUITE


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")


def context(**keys: object) -> Any:
    return cdk.App(context={"stage": "dev", **keys}, analytics_reporting=False).node


VALUES: dict[str, str] = {"tracking": "app", "alarm_email": "team@example.com", "alarm_webhook": "chat/url"}


@pytest.mark.parametrize(("key", "value"), VALUES.items())
def test_a_value_is_the_stage_s_also_as_json(key: str, value: str) -> None:
    said = {"prod": "none", "dev": value}
    for given in (said, json.dumps(said)):
        assert getattr(settings_of(context(**{key: given})), key) == value
    for given in ({"prod": value}, {"dev": None}, "", None, {}):
        assert getattr(settings_of(context(**{key: given})), key) in ("", "none")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("tracking", "app", """tracking: expected values by stage, such as {"dev": "app"}, got 'app'"""),
        ("tracking", ["app"], """tracking: expected values by stage, such as {"dev": "app"}, got ['app']"""),
        ("tracking", {"dev": {}}, """tracking.dev: expected a text, such as {"dev": "app"}, got {}"""),
        (
            "alarm_email",
            "team@example.com",
            """alarm_email: expected values by stage, such as {"prod": "team@example.com"}, got 'team@example.com'""",
        ),
        ("alarm_email", '{"dev": "team"}', "alarm_email: expected an e-mail address, got 'team'"),
        ("alarm_webhook", 7, """alarm_webhook: expected values by stage, such as {"prod": "chat/url"}, got """),
        ("stages", "{", "stages: expected values by stage, such as {"),
    ],
)
def test_another_value_is_one_sentence(key: str, value: object, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_of(context(**{key: value}))
    assert str(refused.value).startswith(f"context: {told}")


@pytest.mark.parametrize("value", ["https://chat.example.com/hooks/7f", {"dev": ["https://chat.example.com/hooks/7f"]}])
def test_no_message_repeats_a_chat_s_url(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r'alarm_webhook.* such as {"prod": "chat/url"}') as refused:
        settings_of(context(alarm_webhook=value))
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
        ({"alarm_emial": {"dev": "team@example.com"}}, {"alarm_emial": "did you mean 'alarm_email'?"}),
        (
            {"colour": "red"},
            {"colour": "expected one of stage, account, region, workloads, bases, stages, tracking, alarm_"},
        ),
        ({"stages": {"dve": {"machine_log": "errors"}}}, {"stages.dve": "did you mean 'dev'?"}),
        ({"alarm_email": '{"pord": "team@example.com"}'}, {"alarm_email.pord": "did you mean 'prod'?"}),
        (
            {"stages": {"staging": {"like": "prod"}}, "tracking": {"stagign": "app", "staging": "app"}},
            {"tracking.stagign": "did you mean 'staging'?"},
        ),
        ({"tracking": {"staging": "app"}, "stages": {"staging": {}}}, {"tracking.staging": "", "stages.staging": ""}),
        ({"stages": {"prod": {"machine_log": "errors"}}, "alarm_email": {"local": "a@b.co", "prod": "a@b.co"}}, {}),
        ({"@aws-cdk/core:aFlag": True, "aws:cdk:enable-path-metadata": True, "cli-telemetry": False}, {}),
        ({"availability-zones:account=123456789012:region=eu-west-1": ["eu-west-1a"]}, {}),
        ({"workloads": "electricity", "account": "123456789012", "region": "eu-west-1", "tracking": None}, {}),
    ],
)
def test_what_takes_no_effect_is_named(said: dict[str, Any], told: dict[str, str]) -> None:
    found = unread({"stage": "dev", **said})
    assert found.keys() == told.keys()
    for name, part in told.items():
        assert found[name].startswith(f"{name} in the context: expected ")
        assert part in found[name]


def test_the_repository_s_own_context_is_read() -> None:
    assert unread(json.loads((SUITE / "cdk.json").read_text())["context"]) == {}


def test_synthesis_warns_of_it(tmp_path: Path) -> None:
    node = context(alarm_emial={"dev": "team@example.com"})
    app = build(settings_of(node), workloads=[], outdir=str(tmp_path))
    warn_of_unread(app, node.get_all_context())
    app.synth()
    entries = json.loads((tmp_path / "millrace-dev-platform.metadata.json").read_text())["/millrace-dev-platform"]
    warned = [str(entry["data"]) for entry in entries if entry["type"] == "aws:cdk:warning"]
    assert ["did you mean 'alarm_email'?" in one for one in warned] == [True]
