"""A stage with `bulk` has an application of Spark for each workload, and a machine that runs its jobs."""

from __future__ import annotations

import json

import pytest

from millrace.errors import ConfigurationError
from millrace.infra.options import options_of
from millrace.infra.rules.assembly import Stack, machines, read, resources
from millrace.infra.rules.catalogue import findings
from tests.infra.conftest import ELECTRICITY, synthesized


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> list[Stack]:
    options = options_of({"dev": {"bulk": {"vcpus": 32}}}, "dev")
    return list(read(synthesized("dev", [ELECTRICITY], tmp_path_factory.mktemp("bulk"), options)))


def test_no_rule_is_broken(stacks: list[Stack]) -> None:
    assert not list(findings(stacks))


def test_the_application_is_as_large_as_the_option_says_and_reaches_s3_alone(stacks: list[Stack]) -> None:
    (application,) = (one.properties for one in resources(stacks, "AWS::EMRServerless::Application"))
    assert application["MaximumCapacity"] == {"Cpu": "32 vCPU", "Memory": "128 GB"}
    assert "InitialCapacity" not in application
    assert len(application["NetworkConfiguration"]["SubnetIds"]) == 3
    roles = [one.properties for one in resources(stacks, "AWS::IAM::Role")]
    (role,) = [one for one in roles if one.get("RoleName", "").endswith("-bulk")]
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert {action.partition(":")[0] for one in statements for action in one["Action"]} == {"s3", "kms"}
    (written,) = [json.dumps(one["Resource"]) for one in statements if "s3:PutObject" in one["Action"]]
    assert (written.count("/iceberg/"), written.count("/iceberg/electricity_rows/data/*")) == (1, 1)


def test_a_large_drop_goes_through_a_job_and_is_judged_again_if_its_table_has_moved(stacks: list[Stack]) -> None:
    (machine,) = [one for one in machines(stacks) if "Bulk" in one.definition["States"]]
    states = machine.definition["States"]
    assert states["Validation"]["Catch"][0]["ErrorEquals"] == ["TableMovedError"]
    assert [one["Next"] for one in states["Readable?"]["Choices"]] == ["Validation", "Bulk"]
    assert {states["Bulk"]["Next"], states["Moved"]["Next"]} == {"Ingestion"}
    given = states["Bulk"]["Parameters"]
    assert given["ExecutionTimeoutMinutes"] == 720
    assert "executor.disk=200G" in given["JobDriver"]["SparkSubmit"]["SparkSubmitParameters"]


@pytest.mark.parametrize("bulk", [{"above_mb": 513}, {"above_mb": 0}, {"vcpus": 4}, {"vcpus": 18}, {"instances": 2}])
def test_an_application_that_could_run_no_job_is_refused(bulk: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError) as error:
        options_of({"dev": {"bulk": bulk}}, "dev")
    assert next(iter(bulk)) in str(error.value)
