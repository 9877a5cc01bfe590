"""The report of a workload of which little or nothing exists yet, on moto."""

import pytest

from millrace.console.environment import Environment
from millrace.console.pages.page import page
from millrace.console.queries.report import read_report
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


def test_a_version_without_its_files_has_a_page(deployed: Environment) -> None:
    """Registered, and its evaluation and artefact expired since."""
    registry_of(deployed, NAMES).register(CANDIDATE)
    (model,) = read_report(deployed, NAMES, question="?").models
    assert (model.version.version, model.evaluation, model.epochs) == ("1", None, ())
    assert "Version 1" in page(read_report(deployed, NAMES, question="?"))
