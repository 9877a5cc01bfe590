"""The prediction function behind its alias: how requests move to another version, and how it is kept ready."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Match, Template

from millrace.errors import ConfigurationError
from millrace.infra.images import image_tags
from millrace.infra.options import options_of
from millrace.infra.settings import settings_for
from millrace.infra.stacks.serving import ServingStack
from millrace.workload.load import SUITE, load_workload
from tests.infra.conftest import ELECTRICITY

REF = {"Ref": Match.string_like_regexp("prediction")}


def serving(starts: dict[str, Any] | None, **options_: Any) -> Template:
    """The room's template with these starts and more options of the stage."""
    options = options_of({"dev": {"prediction_starts": starts, **options_}}, "dev")
    settings = settings_for("dev", account="123456789012", region="eu-west-1", options=options)
    stack = ServingStack(
        cdk.App(analytics_reporting=False, context={"aws:cdk:disable-asset-staging": True}),
        settings=settings,
        workload=load_workload(ELECTRICITY),
        folder=ELECTRICITY,
        tags=image_tags(SUITE, settings.platform),
    )
    return Template.from_stack(stack)


@pytest.fixture(scope="module")
def snapstart() -> Template:
    return serving({"snapstart": True})


@pytest.fixture(scope="module")
def provisioned() -> Template:
    return serving({"provisioned": 2})


def test_less_concurrency_is_not_reserved_than_is_kept_started() -> None:
    with pytest.raises(ConfigurationError, match="prediction_reserved of at least 2"):
        options_of({"dev": {"prediction_starts": {"provisioned": 2}, "prediction_reserved": 1}}, "dev")


def test_a_snapshot_is_taken_of_the_version_that_the_url_calls(snapstart: Template) -> None:
    only = {"SnapStart": {"ApplyOn": "PublishedVersions"}, "FunctionName": "millrace-dev-electricity-prediction"}
    snapstart.has_resource_properties("AWS::Lambda::Function", only)
    snapstart.resource_properties_count_is("AWS::Lambda::Function", {"SnapStart": Match.any_value()}, 1)
    snapstart.has_resource_properties(
        "AWS::Lambda::Alias", {"Name": "live", "FunctionName": REF, "ProvisionedConcurrencyConfig": Match.absent()}
    )
    alias = next(iter(snapstart.find_resources("AWS::Lambda::Alias")))
    snapstart.has_resource(
        "AWS::Lambda::Url", {"Properties": {"Qualifier": "live"}, "DependsOn": Match.array_with([alias])}
    )


def versions(made: Template) -> set[str]:
    return set(made.find_resources("AWS::Lambda::Version"))


def test_what_is_deployed_is_another_version_and_the_same_is_not(
    provisioned: Template, snapstart: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert versions(serving({"provisioned": 3}, tags={"cost-centre": "4711"})) == versions(provisioned)
    assert versions(snapstart) != versions(provisioned)
    monkeypatch.setattr("millrace.infra.stacks.serving.ServingStack._host", lambda _: {"memory_mb": 2048})
    assert versions(serving({"provisioned": 2})) != versions(provisioned)


@pytest.mark.parametrize("starts", [{}, {"snapstart": True, "provisioned": 1}, {"provisioned": -1}, {"warm": True}])
def test_what_is_none_of_the_two_is_refused(starts: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"stages.dev.prediction_starts"):
        options_of({"dev": {"prediction_starts": starts}}, "dev")


def test_where_it_cannot_be_it_is_refused() -> None:
    options = options_of(json.dumps({"local": {"prediction_starts": {"snapstart": True}}}), "local")
    with pytest.raises(ConfigurationError, match=r"stages.local.prediction_starts: expected none: the local cloud"):
        settings_for("local", account="123456789012", region="eu-west-1", options=options)
