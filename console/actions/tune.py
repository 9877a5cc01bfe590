"""A search for hyperparameters that a person starts: a tuning job with the image, the role and the rows of `train`.

The parameters of a training job are read from the deployed machine, so that a tuning trains as the machine does. The
rows are those that another run has pinned. The trainings have no checkpoints, since each would find those of another
training. So they do not use spot instances either."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from millrace.aws.objects import split_uri
from millrace.console.environment import Environment
from millrace.contract.load import digest, read_document
from millrace.errors import RunError
from millrace.messages.training_job import CONFIG_CHANNEL, DATA_CHANNEL, PRETRAINED_CHANNEL, WEIGHTS_CHANNEL
from millrace.messages.training_run import Run
from millrace.models.catalogue import FAMILIES
from millrace.names import WorkloadNames
from millrace.state.budget import MonthlyBudget
from millrace.state.table import StateTable
from millrace.workload.declaration import Workload
from millrace.workload.tuning import METRICS, SearchRange, Tuning, tuning_usd, usual_tuning

COPIED = ("AlgorithmSpecification", "RoleArn", "VpcConfig", "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption")  # fmt: skip
"""Fields of the machine's training job that every other training job of the workload has too."""
SCALES = {"linear": "Linear", "log": "Logarithmic"}
"""SageMaker's names of the declared scales."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A tuning job that has been created."""

    name: str
    arn: str
    source: str
    """The run whose rows it trains on."""
    jobs: int
    """How many trainings there are at most."""
    most_usd: float
    """What all its trainings cost at most."""


def tune(
    environment: Environment,
    names: WorkloadNames,
    workload: Workload,
    *,
    folder: Path,
    source: Run,
    chosen: Mapping[str, Any] | None = None,
) -> Started:
    """Create the tuning job. `folder` is the workload's folder, `source` the run whose rows it trains on.

    With `chosen` it is one training with these hyperparameters. A workload that declares no tuning gets the usual one.
    Raises RunError if the family does not take what is chosen, if the deployed machine starts from another model than
    the declaration names, if the deployed instances make the tuning dearer than its own budget, and if the month's
    budget has no room."""
    check_taken(workload, chosen or {})
    monthly_usd = workload.budget.monthly_usd
    if chosen:
        one_try = {name: (value,) for name, value in chosen.items()}
        tuning = Tuning(parameters=one_try, max_jobs=1, budget_usd=monthly_usd)
    else:
        tuning = workload.tuning or usual_tuning(workload.training.family_parameters(), budget_usd=monthly_usd)
    workload = workload.model_copy(update={"tuning": tuning})
    states = environment.client("stepfunctions")
    try:
        described = states.describe_state_machine(stateMachineArn=names.machine_arn("train"))
    except states.exceptions.StateMachineDoesNotExist:
        raise RunError(f"expected the machine {names.machine('train')}, got none: is it deployed?") from None
    # One state of the machine creates a training job: its resource is `arn:…:sagemaker:createTrainingJob.sync`.
    steps = json.loads(described["definition"])["States"].values()
    jobs: list[dict[str, Any]] = [one["Parameters"] for one in steps if "createTrainingJob" in str(one.get("Resource"))]
    training = jobs[0]
    check_weights(workload, training)
    name = names.tuning(environment.now())
    # All checks come before the reservation, and the reservation before anything is written or started.
    usd = _cost(tuning, training)
    request = tuning_request(names, workload, training, name=name, source=source)
    arn = names.platform.arn("sagemaker", f"hyper-parameter-tuning-job/{name}")
    reserve(environment, names, workload, usd, arn=arn)
    _, _, image = training["AlgorithmSpecification"]["TrainingImage"].partition("@sha256:")
    own = source.model_copy(
        update={
            "run": name,
            "reason": "command",
            "config_digest": digest(read_document(folder / "workload.yaml")),
            "code_digest": image or source.code_digest,  # the local cloud runs no image
        }
    )
    write_configuration(environment, names, name, folder=folder, source=source, own=own)
    made = environment.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    return Started(
        name=name,
        arn=made["HyperParameterTuningJobArn"],
        source=source.run,
        jobs=tuning.max_jobs,
        most_usd=usd,
    )


def check_taken(workload: Workload, chosen: Mapping[str, Any]) -> None:
    """Check that the family takes the hyperparameters; raises RunError for the first one that it does not."""
    training = workload.training
    try:
        training.model_validate(training.model_dump() | {"parameters": {**training.parameters, **chosen}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]).removeprefix("parameters.") or "training"
        raise RunError(f"--parameter: {where}: {first['msg']}, got {dict(chosen)}") from None


def reserve(environment: Environment, names: WorkloadNames, workload: Workload, usd: float, *, arn: str) -> None:
    """Reserve `usd` US dollars of the month's budget for the job with this ARN; raises RunError if there is no room."""
    budget = MonthlyBudget(StateTable(environment.client("dynamodb"), names))
    now, monthly = environment.now(), workload.budget.monthly_usd
    if not budget.reserve(usd, arn=arn, as_of=now, monthly_usd=monthly):
        spent = budget.spent_usd(now)
        raise RunError(
            f"expected room for {usd:.2f} USD in the month's budget, got {spent} of {monthly:g} USD reserved"
        )


def _cost(tuning: Tuning, training: dict[str, Any]) -> float:
    """The most that the tuning costs in US dollars, on the deployed instances: the deployment may be older than the
    declaration.

    Raises RunError if that is more than the tuning's budget."""
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
    """The arguments of CreateHyperParameterTuningJob."""
    tuning = workload.tuning
    assert tuning is not None
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
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
    """The parts of a training job that are as in the machine's, on the rows of `source` and with the configuration of
    `name`.

    There are no checkpoints and no spot instances."""
    resources = {key: value for key, value in training["ResourceConfig"].items() if key != "VolumeSizeInGB.$"}
    return {
        **{key: training[key] for key in COPIED if key in training},
        "ResourceConfig": {"VolumeSizeInGB": source.volume_gb, **resources},
        "InputDataConfig": [_channel(one, names, name=name, source=source) for one in training["InputDataConfig"]],
        "OutputDataConfig": {
            "S3OutputPath": names.run_uri(name, "training"),
            "KmsKeyId": training["OutputDataConfig"]["KmsKeyId"],
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": training["StoppingCondition"]["MaxRuntimeInSeconds"]},
    }


def _channel(deployed: dict[str, Any], names: WorkloadNames, *, name: str, source: Run) -> dict[str, Any]:
    """One input channel of the machine's training job. If its address differs from run to run, it is this job's."""
    # The state machine names a fixed address `S3Uri`, and one that it takes from its state `S3Uri.$`.
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
    """Check that the deployed training job starts from the weights and vectors that the declaration names.

    Raises RunError otherwise, since every training would fail without them."""
    found = {one["ChannelName"]: one["DataSource"]["S3DataSource"].get("S3Uri") for one in training["InputDataConfig"]}
    weights, pretrained = workload.training.weights, workload.training.pretrained
    wanted = {WEIGHTS_CHANNEL: weights.source} if weights else {}
    if pretrained:
        wanted[PRETRAINED_CHANNEL] = pretrained.deployed
    for channel, source in wanted.items():
        # The URI of a deployed file has its bucket and folder before the name.
        came = found.get(channel) or ""
        if came != source and (source.startswith("s3://") or not came.endswith(f"/{source}")):
            raise RunError(
                f"{workload.name}/workload.yaml: {channel}: expected {source} as deployed, got {came or 'none'}: "
                "deploy the workload first"
            )


def _ranges(workload: Workload, tuning: Tuning) -> dict[str, list[dict[str, Any]]]:
    """The parameter ranges by SageMaker's three kinds: integer, continuous, categorical.

    The values of a list are written as JSON, since the training job reads every hyperparameter as JSON."""
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


def write_configuration(
    environment: Environment, names: WorkloadNames, name: str, *, folder: Path, source: Run, own: Run
) -> None:
    """Write the files that the job `name` reads: contract.yaml and schema.json of `source`, the folder's workload.yaml,
    and `own` as run.json."""
    s3 = environment.client("s3")
    written = {"workload.yaml": (folder / "workload.yaml").read_bytes(), "run.json": own.model_dump_json().encode()}
    for file, content in written.items():
        bucket, key = split_uri(names.run_uri(name, "config", file))
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    for file in ("contract.yaml", "schema.json"):
        bucket, key = split_uri(names.run_uri(name, "config", file))
        _, origin = split_uri(names.run_uri(source.run, "config", file))
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": origin})
