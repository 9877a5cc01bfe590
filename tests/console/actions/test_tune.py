"""What a tuning job is created with: the machine's training job, the declared ranges, the rows of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from localcloud.kernel.cloud import Cloud
from millrace.aws.objects import read_object
from millrace.console.actions.tune import check_weights, job_parts, tune, tuning_request
from millrace.console.environment import Environment
from millrace.console.queries.tunings import list_tunings, pinned_run, read_tuning
from millrace.errors import RunError
from millrace.infra.machines import train
from millrace.infra.machines.states import Definition
from millrace.messages.training_run import Run
from millrace.workload.load import load_workload
from millrace.workload.training import InitialWeights
from millrace.workload.tuning import Tuning
from tests.console.conftest import NAMES
from tests.infra.machines.conftest import context
from tests.infra.machines.contexts import FOLDER
from tests.localcloud import tiny_images
from tests.localcloud.waiting import until
from tests.state_table import create_table

__all__ = ["context"]
AT = datetime(2026, 11, 21, tzinfo=UTC)
DECLARED = Tuning.model_validate(
    {
        "parameters": {
            "learning_rate": {"min": 0.0003, "max": 0.01, "scale": "log"},
            "epochs": {"min": 2, "max": 6},
            "hidden": [[16], [64, 64]],
        },
        "max_jobs": 3,
        "max_parallel": 2,
        "early_stopping": True,
        "budget_usd": 20,
    }
)
WORKLOAD = load_workload(FOLDER).model_copy(update={"tuning": DECLARED})
INITIAL = InitialWeights(source="s3://models/electricity/7/model.tar.gz", digest=f"sha256:{'0' * 64}")
SOURCE = Run(run="run-1", snapshot_id=1, tag="run-1", data_digest="rows", contract_digest="contract",
             config_digest="config", code_digest="code", rows=9, as_of=AT, reason="first", gate="baseline")  # fmt: skip


@pytest.fixture(scope="session")
def workload() -> Any:
    return WORKLOAD


@pytest.fixture
def deployed(context: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of the training job in the machine of `dev`, which trains on spot."""
    definition: Definition = train.definition(context("dev"))
    found: dict[str, Any] = definition["States"]["Training"]["Parameters"]
    return found


def test_a_tuning_trains_as_the_machine_does(deployed: dict[str, Any]) -> None:
    request = tuning_request(NAMES, WORKLOAD, deployed, name=NAMES.tuning(AT), source=SOURCE)
    shape = botocore.session.get_session().get_service_model("sagemaker")
    operation = shape.operation_model("CreateHyperParameterTuningJob").input_shape
    assert not ParamValidator().validate(request, operation).generate_report()
    assert len(request["HyperParameterTuningJobName"]) <= 32
    definition, config = request["TrainingJobDefinition"], request["HyperParameterTuningJobConfig"]
    for key in ("AlgorithmSpecification", "RoleArn", "VpcConfig", "EnableNetworkIsolation"):
        assert definition[key] == deployed[key]
    of_run = {"VolumeSizeInGB.$": "$.snapshot.answer.volume_gb"}
    assert definition["ResourceConfig"] | of_run == deployed["ResourceConfig"] | {"VolumeSizeInGB": SOURCE.volume_gb}
    assert not {"CheckpointConfig", "EnableManagedSpotTraining"} & definition.keys()
    assert "MaxWaitTimeInSeconds" not in definition["StoppingCondition"]
    uris = [one["DataSource"]["S3DataSource"]["S3Uri"] for one in definition["InputDataConfig"]]
    assert uris == [
        NAMES.run_uri("run-1", "manifest.json"),
        NAMES.run_uri(request["HyperParameterTuningJobName"], "config", ""),
    ]
    objective = config["HyperParameterTuningJobObjective"]["MetricName"]
    assert objective in {one["Name"] for one in definition["AlgorithmSpecification"]["MetricDefinitions"]}
    assert config["ParameterRanges"] == {
        "ContinuousParameterRanges": [
            {"Name": "learning_rate", "MinValue": "0.0003", "MaxValue": "0.01", "ScalingType": "Logarithmic"}
        ],
        "IntegerParameterRanges": [{"Name": "epochs", "MinValue": "2", "MaxValue": "6", "ScalingType": "Linear"}],
        "CategoricalParameterRanges": [{"Name": "hidden", "Values": ["[16]", "[64, 64]"]}],
    }
    assert config["TrainingJobEarlyStoppingType"] == "Auto"


def uris(parts: dict[str, Any]) -> dict[str, str]:
    """By channel; a fixed address, where the machine's job has an intrinsic function."""
    return {one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in parts["InputDataConfig"]}


def test_its_trainings_start_from_the_model_that_the_machine_s_do(context: Callable[..., Any]) -> None:
    deployed = train.definition(context("dev", training={"weights": INITIAL}))["States"]["Training"]["Parameters"]
    parts = job_parts(NAMES, deployed, name="tune-1", source=SOURCE)
    assert {one["ChannelName"] for one in deployed["InputDataConfig"]} == {"data", "config", "weights"}
    assert uris(parts) == {
        "data": NAMES.run_uri("run-1", "manifest.json"),
        "config": NAMES.run_uri("tune-1", "config", ""),
        "weights": INITIAL.source,
    }
    assert "S3Uri.$" not in str(parts)


def test_a_model_to_start_from_that_is_not_deployed_is_refused_before_it_costs(
    context: Callable[..., Any], deployed: dict[str, Any]
) -> None:
    changed = WORKLOAD.model_copy(update={"training": WORKLOAD.training.model_copy(update={"weights": INITIAL})})
    with pytest.raises(RunError, match=f"weights: expected {INITIAL.source} as deployed, got none.*deploy"):
        check_weights(changed, deployed)
    check_weights(WORKLOAD, deployed)
    check_weights(
        changed, train.definition(context("dev", training={"weights": INITIAL}))["States"]["Training"]["Parameters"]
    )


@pytest.fixture(scope="module")
def environment(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A cloud with the workload's bucket, its table of states and a run that has pinned its rows."""
    bucket = tiny_images.bucket(cloud, NAMES.platform.bucket("artefacts"), tmp_path_factory.mktemp("repository"))
    s3 = cloud.client("s3")
    for name, content in (("manifest.json", f'[{{"prefix": "s3://{bucket}/"}}, "row"]'), ("config/schema.json", "{}"),
                          ("config/contract.yaml", ""), ("config/run.json", SOURCE.model_dump_json())):  # fmt: skip
        s3.put_object(Bucket=bucket, Key=f"electricity/runs/run-1/{name}", Body=content.encode())
    s3.put_object(Bucket=bucket, Key="row", Body=b"1")
    create_table(cloud.client("dynamodb"), NAMES.platform.state_table)
    return Environment(platform=NAMES.platform, client=cloud.client)


def test_a_tuning_is_paid_recorded_and_found(
    environment: Environment, cloud: Cloud, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    with pytest.raises(RunError, match="none: is it deployed"):
        tune(environment, NAMES, WORKLOAD, folder=FOLDER, source=SOURCE)
    role = tiny_images.role(cloud.client("iam"), NAMES.role("job"), "s3:*", "kms:*")
    parameters = {
        "AlgorithmSpecification": {
            "TrainingImage": tiny_images.uri("train"),
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "kept:error", "Regex": r"loss=(\S+);"}],
        },
        "RoleArn": role,
        "InputDataConfig": [
            {"ChannelName": channel, "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri.$": "$"}}}
            for channel, kind in (("data", "ManifestFile"), ("config", "S3Prefix"))
        ],
        "OutputDataConfig": {"KmsKeyId": cloud.client("kms").create_key()["KeyMetadata"]["Arn"]},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    resource = "arn:aws:states:::sagemaker:createTrainingJob.sync"
    steps = {"Training": {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}}
    machine("train", {"Start": {"Type": "Pass", "End": True}, **steps})
    with pytest.raises(RunError, match="that has pinned its rows, got none"):
        pinned_run(environment, NAMES)
    ran(NAMES.machine_arn("train"), name="run-1")
    assert pinned_run(environment, NAMES) == SOURCE

    started = tune(environment, NAMES, WORKLOAD, folder=FOLDER, source=SOURCE)
    assert started.most_usd == pytest.approx(3 * 0.115 * 1.2)
    sagemaker = environment.client("sagemaker")
    found = until(lambda: (one := read_tuning(sagemaker, NAMES)).status != "RUNNING" and one)
    assert (found.name, found.status, len(found.trainings)) == (started.name, "SUCCEEDED", 3), found
    assert found.best is not None
    assert found.best.hyperparameters.keys() == DECLARED.parameters.keys()
    assert [one.name for one in list_tunings(sagemaker, NAMES, limit=5)] == [started.name]
    run = json.loads(read_object(environment.client("s3"), NAMES.run_uri(started.name, "config", "run.json")))
    assert (run["run"], run["data_digest"]) == (started.name, "rows")


def test_neither_its_own_budget_nor_the_month_s_is_exceeded(environment: Environment) -> None:
    dear = WORKLOAD.model_copy(update={"tuning": DECLARED.model_copy(update={"budget_usd": 0.1})})
    with pytest.raises(RunError, match=r"budget_usd of 0\.41 at least for 3 trainings on 1 ml\.m5\.large, as deployed"):
        tune(environment, NAMES, dear, folder=FOLDER, source=SOURCE)
    month = WORKLOAD.model_copy(update={"budget": WORKLOAD.budget.model_copy(update={"monthly_usd": 0.5})})
    with pytest.raises(RunError, match=r"room for 0\.41 USD in the month's budget, got 0\.42 of 0\.5 USD reserved"):
        tune(environment, NAMES, month, folder=FOLDER, source=SOURCE)
    usual = month.model_copy(update={"tuning": None})
    with pytest.raises(RunError, match=r"budget_usd of 1\.10 at least for 8 trainings"):
        tune(environment, NAMES, usual, folder=FOLDER, source=SOURCE)


def test_one_try_is_one_training_beside_the_machine_s(environment: Environment) -> None:
    given = {"learning_rate": 0.005, "hidden": [8]}
    started = tune(environment, NAMES, WORKLOAD, folder=FOLDER, source=SOURCE, chosen=given)
    sagemaker = environment.client("sagemaker")
    found = until(lambda: (one := read_tuning(sagemaker, NAMES)).status != "RUNNING" and one)
    assert (found.name, found.status, started.jobs) == (started.name, "SUCCEEDED", 1), found
    assert [(one.hyperparameters, one.value) for one in found.trainings] == [(given, 0.25)]
    with pytest.raises(RunError, match="expected the name of a tuning, got 'nobody'"):
        read_tuning(sagemaker, NAMES, "nobody")


@pytest.mark.parametrize("given", [{"layers": 3}, {"epochs": 0}])
def test_what_the_family_cannot_train_is_refused(environment: Environment, given: Any) -> None:
    with pytest.raises(RunError, match=f"--parameter: .*{next(iter(given))}"):
        tune(environment, NAMES, WORKLOAD, folder=FOLDER, source=SOURCE, chosen=given)
