"""Where runs are recorded: nowhere unless an MLflow is named, then in that one, by a layer that can speak to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from millrace.errors import ConfigurationError
from millrace.infra.app import build
from millrace.infra.bundles import layer
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE

MLFLOW = "arn:aws:sagemaker:eu-west-1:123456789012"
APP, SERVER = f"{MLFLOW}:mlflow-app/app-ABCDEFGHIJKL", f"{MLFLOW}:mlflow-tracking-server/runs"
OF_AN_APP = pytest.mark.night("by day an app")
Resources = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Resources]:
    """The training room's resources of `dev`, where this MLflow is named."""

    @cache
    def synthesized(tracking: str) -> Path:
        settings = settings_for("dev", account="123456789012", region="eu-west-1", tracking=tracking)
        folder = tmp_path_factory.mktemp("dev")
        build(settings, workloads=[SUITE / "workloads" / "electricity"], outdir=str(folder)).synth()
        return folder

    def resources(tracking: str, stack: str = "electricity-training") -> Resources:
        template = json.loads((synthesized(tracking) / f"millrace-dev-{stack}.template.json").read_text())
        found: Resources = template["Resources"]
        return found

    return resources


def tracking(resources: Resources) -> Resources:
    """What is named after the recording of runs."""
    return {key: one for key, one in resources.items() if "racking" in key or "trainingended" in key.replace("-", "")}


def rights(resources: Resources, function: dict[str, Any]) -> list[dict[str, Any]]:
    """What the function may do."""
    role = resources[function["Properties"]["Role"]["Fn::GetAtt"][0]]
    statements: list[dict[str, Any]] = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return statements


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_without_an_mlflow_nothing_is_made_for_it(templates: dict[str, dict[str, Any]], stage: str) -> None:
    """A function without a server would fail thrice at each training and leave dead letters."""
    found = templates[stage][f"millrace-{stage}-electricity-training"]["Resources"]
    assert settings_for(stage, account="123456789012", region="eu-west-1").tracking == "none"
    assert tracking(found) == {}
    assert "mlflow" not in json.dumps(found).lower()
    assert len(tracking(templates["local"]["millrace-local-electricity-training"]["Resources"])) > 4


@pytest.mark.parametrize(
    ("arn", "more"),
    [pytest.param(SERVER, set(), marks=OF_AN_APP), (APP, {"sagemaker:CallMlflowAppApi"})],
    ids=["server", "app"],
)
def test_a_named_mlflow_is_what_the_function_records_in(
    training: Callable[..., Resources], arn: str, more: set[str]
) -> None:
    found = tracking(training(arn))
    of_type = {kind: [one for one in found.values() if one["Type"] == kind] for kind in
               ("AWS::Lambda::Function", "AWS::Events::Rule")}  # fmt: skip
    (function,) = of_type["AWS::Lambda::Function"]
    assert function["Properties"]["Environment"]["Variables"]["MILLRACE_TRACKING_URI"] == arn
    assert len(of_type["AWS::Events::Rule"]) == 3
    allowed = [one for one in rights(training(arn), function) if one["Resource"] == [arn]]
    actions = {action for one in allowed for action in one["Action"]}
    assert "sagemaker-mlflow:LogBatch" in actions
    assert {one for one in actions if not one.startswith("sagemaker-mlflow:")} == more


@pytest.mark.parametrize(
    ("word", "kind", "attribute"),
    [
        ("app", "AWS::SageMaker::MlflowApp", "Arn"),
        pytest.param("server", "AWS::SageMaker::MlflowTrackingServer", "TrackingServerArn", marks=OF_AN_APP),
    ],
)
def test_the_platform_makes_the_mlflow_that_is_asked_for(
    training: Callable[..., Resources], word: str, kind: str, attribute: str
) -> None:
    platform = training(word, "platform")
    [(name, made)] = [(key, one) for key, one in platform.items() if one["Type"].startswith("AWS::SageMaker::Mlflow")]
    assert (made["Type"], made["DeletionPolicy"]) == (kind, "RetainExceptOnCreate")
    store = made["Properties"]["ArtifactStoreUri"]
    assert store == "s3://millrace-dev-artefacts-123456789012-eu-west-1/mlflow-artifacts"
    [parameter] = [one for one in platform.values() if one["Properties"].get("Name") == "/millrace-dev/mlflow-arn"]
    assert parameter["Properties"]["Value"] == {"Fn::GetAtt": [name, attribute]}
    role = platform[made["Properties"]["RoleArn"]["Fn::GetAtt"][0]]
    assert role["DeletionPolicy"] == "RetainExceptOnCreate", "without it what outlives the stack reaches nothing"
    assert "RoleName" not in role["Properties"], "another one may be made beside it"
    [policy] = role["Properties"]["Policies"]
    reached = [one["Resource"] for one in policy["PolicyDocument"]["Statement"]]
    assert reached[:2] == [[f"{store.replace('s3://', 'arn:aws:s3:::')}/*"], ["arn:aws:s3:::" + store.split("/")[2]]]

    recorded = tracking(training(word))
    [function] = [one for one in recorded.values() if one["Type"] == "AWS::Lambda::Function"]
    uri = function["Properties"]["Environment"]["Variables"]["MILLRACE_TRACKING_URI"]
    assert "mlflowarn" in uri["Ref"], "the value of the parameter, when it is deployed"
    assert [uri] in [one["Resource"] for one in rights(training(word), function)]


def test_what_is_no_mlflow_is_refused() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"expected none, app, server .which the platform makes., or the ARN of a mlflow-app or a mlflow-tr",
    ):
        settings_for("dev", account="1", region="r", tracking=f"{MLFLOW}:endpoint/runs")


@pytest.mark.parametrize(("requirements", "speaks"), [("requirements-managed.txt", True), ("requirements.txt", False)])
@pytest.mark.parametrize("arn", [APP, pytest.param(SERVER, marks=OF_AN_APP)], ids=["app", "server"])
def test_the_layer_speaks_to_what_an_arn_names(arn: str, requirements: str, speaks: bool) -> None:
    """The layer of a file does not know ARNs: the control."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder, _ = layer(SUITE, SUITE / "functions" / "tracking" / requirements, "host", python)
    source = (
        f"import sys; sys.path[:0] = ['{folder}/python']\n"
        f"from mlflow.tracking import MlflowClient\nMlflowClient(tracking_uri='{arn}')\n"
    )
    words = [sys.executable, "-c", source]
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-west-1"}
    done = subprocess.run(words, env=keys, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == speaks, done.stderr
    assert speaks or "unsupported URI" in done.stderr
