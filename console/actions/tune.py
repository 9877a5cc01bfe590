"""A search for hyperparameters, started by a person: a tuning job with the image, the role and the rows of `train`.

What a training job gets is read from the deployed machine, so that a tuning trains as the machine does; the rows are
those of a run that pinned them. Its trainings have no checkpoints (each would find those of another one), so they are
not on spot either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.environment import Environment
from console.queries.usage import now_at
from millrace.aws.objects import split_uri
from millrace.contract.load import digest, read_document
from millrace.errors import RunError
from millrace.messages.training_job import CONFIG_CHANNEL, DATA_CHANNEL, WEIGHTS_CHANNEL
from millrace.messages.training_run import Run
from millrace.models.catalogue import FAMILIES
from millrace.names import WorkloadNames
from millrace.state.budget import MonthlyBudget
from millrace.state.table import StateTable
from millrace.workload.declaration import Workload
from millrace.workload.tuning import METRICS, SearchRange, Tuning, tuning_usd

COPIED = ("AlgorithmSpecification", "RoleArn", "ResourceConfig", "VpcConfig", "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption")  # fmt: skip
"""Of the machine's training job, what every other one of the workload has too."""
STRATEGIES = {"bayesian": "Bayesian", "random": "Random"}
SCALES = {"linear": "Linear", "log": "Logarithmic"}


@dataclass(frozen=True, kw_only=True)
class Started:
    """A tuning job that has been created."""

    name: str
    arn: str
    source: str
    """The run whose rows it trains on."""
    jobs: int
    most_usd: float
    """What its trainings cost at most."""


def tune(environment: Environment, names: WorkloadNames, workload: Workload, *, folder: Path, source: Run) -> Started:
    """The tuning job, created; `folder` is the workload's, `source` the run whose rows it trains on.

    Raises RunError where nothing is declared, the machine starts from another model than declared, its instances make
    the tuning dearer than its budget, or the month's budget has no room."""
    if (tuning := workload.tuning) is None:
        raise RunError(f"{workload.name}/workload.yaml: expected the key tuning, got none")
    training = deployed_training(environment, names)
    check_weights(workload, training)
    name = names.by_hand("tune", now_at(environment))
    usd = _cost(tuning, training)
    request = tuning_request(names, workload, training, name=name, source=source)
    arn = names.platform.arn("sagemaker", f"hyper-parameter-tuning-job/{name}")
    reserve(environment, names, workload, usd, arn=arn)
    own = own_run(name, training, folder, source)
    write_configuration(environment, names, name, folder=folder, source=source, own=own)
    made = environment.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    return Started(
        name=name,
        arn=made["HyperParameterTuningJobArn"],
        source=source.run,
        jobs=tuning.max_jobs,
        most_usd=usd,
    )


def reserve(environment: Environment, names: WorkloadNames, workload: Workload, usd: float, *, arn: str) -> None:
    """Take the cost of the job with this ARN out of the month's budget; raises RunError where it has no room."""
    budget = MonthlyBudget(StateTable(environment.client("dynamodb"), names))
    now, monthly = now_at(environment), workload.budget.monthly_usd
    if not budget.reserve(usd, arn=arn, as_of=now, monthly_usd=monthly):
        spent = budget.spent_usd(now)
        raise RunError(
            f"expected room for {usd:.2f} USD in the month's budget, got {spent} of {monthly:g} USD reserved"
        )


def deployed_training(environment: Environment, names: WorkloadNames) -> dict[str, Any]:
    """The parameters of the training job in the deployed machine; raises RunError without a machine."""
    states = environment.client("stepfunctions")
    try:
        described = states.describe_state_machine(stateMachineArn=names.machine_arn("train"))
    except states.exceptions.StateMachineDoesNotExist:
        raise RunError(f"expected the machine {names.machine('train')}, got none: is it deployed?") from None
    steps = json.loads(described["definition"])["States"].values()
    found: dict[str, Any] = next(
        step["Parameters"] for step in steps if "createTrainingJob" in str(step.get("Resource", ""))
    )
    return found


def _cost(tuning: Tuning, training: dict[str, Any]) -> float:
    """By what is deployed, which may be older than the declaration."""
    resources = training["ResourceConfig"]
    usd = tuning_usd(
        tuning,
        instance=resources["InstanceType"],
        instances=resources["InstanceCount"],
        max_minutes=training["StoppingCondition"]["MaxRuntimeInSeconds"] / 60,
    )
    if usd > tuning.budget_usd:
        what = f"{tuning.max_jobs} trainings on {resources['InstanceCount']} {resources['InstanceType']}"
        raise RunError(f"expected budget_usd of {usd:.2f} at least for {what}, as deployed, got {tuning.budget_usd:g}")
    return usd


def tuning_request(
    names: WorkloadNames, workload: Workload, training: dict[str, Any], *, name: str, source: Run
) -> dict[str, Any]:
    """What CreateHyperParameterTuningJob is called with."""
    tuning = workload.tuning
    assert tuning is not None
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": STRATEGIES[tuning.strategy],
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": METRICS[tuning.objective]},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": tuning.max_jobs,
                "MaxParallelTrainingJobs": tuning.max_parallel,
            },
            "ParameterRanges": _ranges(workload, tuning),
            "TrainingJobEarlyStoppingType": "Auto" if tuning.early_stopping else "Off",
            "RandomSeed": workload.training.family_parameters().seed,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"workload": workload.name, "run": name},
            **job_parts(names, training, name=name, source=source),
        },
        "Tags": names.tag_list("training"),
    }


def job_parts(names: WorkloadNames, training: dict[str, Any], *, name: str, source: Run) -> dict[str, Any]:
    """A training job as the machine's, on the rows of `source` and with the configuration of `name`; no spot."""
    return {
        **{key: training[key] for key in COPIED if key in training},
        "InputDataConfig": [_channel(one, names, name=name, source=source) for one in training["InputDataConfig"]],
        "OutputDataConfig": {
            "S3OutputPath": names.run_uri(name, "training"),
            "KmsKeyId": training["OutputDataConfig"]["KmsKeyId"],
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": training["StoppingCondition"]["MaxRuntimeInSeconds"]},
    }


def _channel(deployed: dict[str, Any], names: WorkloadNames, *, name: str, source: Run) -> dict[str, Any]:
    """One input of the machine's training job; those that differ from run to run have an address of this job's."""
    s3 = deployed["DataSource"]["S3DataSource"]
    if "S3Uri" in s3:
        return deployed
    of_run = {
        DATA_CHANNEL: names.run_uri(source.run, "manifest.json"),
        CONFIG_CHANNEL: names.run_uri(name, "config", ""),
    }
    found = {key: value for key, value in s3.items() if key != "S3Uri.$"}
    return {**deployed, "DataSource": {"S3DataSource": {**found, "S3Uri": of_run[deployed["ChannelName"]]}}}


def check_weights(workload: Workload, training: dict[str, Any]) -> None:
    """Nothing, where the deployed training job has the model that the declaration starts from; else RunError, since
    each training would fail without it."""
    if (declared := workload.training.weights) is None:
        return
    found = {one["ChannelName"]: one["DataSource"]["S3DataSource"].get("S3Uri") for one in training["InputDataConfig"]}
    if (came := found.get(WEIGHTS_CHANNEL)) != declared.source:
        raise RunError(
            f"{workload.name}/workload.yaml: weights: expected {declared.source} as deployed, got {came or 'none'}: "
            "deploy the workload first"
        )


def _ranges(workload: Workload, tuning: Tuning) -> dict[str, list[dict[str, Any]]]:
    """By SageMaker's three kinds; values of a list are JSON, as the training job reads every hyperparameter."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, values in tuning.parameters.items():
        if isinstance(values, SearchRange):
            kind = "Integer" if tuning.is_whole(name, FAMILIES[workload.training.family]) else "Continuous"
            limits: dict[str, Any] = {
                "MinValue": str(values.min),
                "MaxValue": str(values.max),
                "ScalingType": SCALES[values.scale],
            }
        else:
            kind, limits = "Categorical", {"Values": [json.dumps(value) for value in values]}
        found.setdefault(f"{kind}ParameterRanges", []).append({"Name": name, **limits})
    return found


def own_run(name: str, training: dict[str, Any], folder: Path, source: Run) -> Run:
    """What run.json says of a job by hand: the rows and the contract of `source`, declaration and code of its own."""
    _, _, image = training["AlgorithmSpecification"]["TrainingImage"].partition("@sha256:")
    return source.model_copy(
        update={
            "run": name,
            "reason": "command",
            "config_digest": digest(read_document(folder / "workload.yaml")),
            "code_digest": image or source.code_digest,  # the local cloud runs no image
        }
    )


def write_configuration(
    environment: Environment, names: WorkloadNames, name: str, *, folder: Path, source: Run, own: Run
) -> None:
    """Put the configuration of `source` below `name`, with the folder's workload.yaml and a run.json of its own."""
    s3 = environment.client("s3")
    written = {"workload.yaml": (folder / "workload.yaml").read_bytes(), "run.json": own.model_dump_json().encode()}
    for file, content in written.items():
        bucket, key = split_uri(names.run_uri(name, "config", file))
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    for file in ("contract.yaml", "schema.json"):
        bucket, key = split_uri(names.run_uri(name, "config", file))
        _, origin = split_uri(names.run_uri(source.run, "config", file))
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": origin})
