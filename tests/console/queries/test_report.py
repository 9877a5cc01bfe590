"""The report of a workload of which little or nothing exists yet, on moto."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.environment import Environment
from millrace.console.pages.page import page
from millrace.console.queries.report import question_of, read_report
from millrace.console.queries.versions import registry_of
from millrace.errors import EnvironmentNotFoundError
from millrace.names import MACHINES, Platform, WorkloadNames
from tests import builders
from tests.console.conftest import make_machines, make_stores, stage_of

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
CANDIDATE = builders.candidate()


@pytest.fixture
def environment(account: None) -> Environment:
    return stage_of(PLATFORM)


@pytest.fixture
def deployed(environment: Environment) -> Environment:
    make_stores(environment, "lake", "artefacts")
    environment.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    make_machines(environment, NAMES, *MACHINES)
    return environment


def test_a_workload_that_is_not_deployed_is_an_error(environment: Environment) -> None:
    with pytest.raises(
        EnvironmentNotFoundError, match=r"expected the machines of millrace-dev-electricity .* got none"
    ):
        read_report(environment, NAMES, question="?")


def test_a_workload_without_anything_has_a_page(deployed: Environment) -> None:
    report = read_report(deployed, NAMES, question="Who earns more than 50,000?")
    assert (report.runs, report.models, report.drops, report.lineage, report.usage) == ((), (), (), (), ())
    html = page(report)
    assert "Millrace · electricity · stage dev" in html
    assert "No model has been trained yet." in html
    assert "<section" not in html


def test_the_command_writes_the_page(deployed: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", PLATFORM.region)
    assert "report-electricity-dev.html" in run("--build", str(tmp_path))
    path = tmp_path / "folder" / "page.html"
    assert run("--output", str(path)).strip() == str(path)
    assert "Will the price of electricity" in path.read_text()


def run(*words: str) -> str:
    return CliRunner().invoke(app, ["report", "--stage", "dev", *words], catch_exceptions=False).stdout


def test_a_version_without_its_files_has_a_page(deployed: Environment) -> None:
    """Registered, and its evaluation and artefact expired since."""
    registry_of(deployed, NAMES).register(CANDIDATE)
    (model,) = read_report(deployed, NAMES, question="?").models
    assert (model.version.version, model.evaluation, model.epochs) == ("1", None, ())
    assert "Version 1" in page(read_report(deployed, NAMES, question="?"))


def test_the_question_is_the_first_comment_of_the_declaration(tmp_path: Path) -> None:
    assert question_of(Path("workloads/electricity/workload.yaml")).startswith("Will the price of electricity")
    bare = tmp_path / "trees" / "workload.yaml"
    bare.parent.mkdir()
    bare.write_text("name: trees\n")
    assert question_of(bare) == "trees"
