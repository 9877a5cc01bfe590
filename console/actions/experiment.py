"""One training by hand: the workload's image and rows with a person's own hyperparameters. Nothing is registered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.actions.tune import check_weights, deployed_training, job_parts, own_run, reserve, write_configuration
from console.environment import Environment
from millrace.errors import RunError
from millrace.messages.training_run import Run
from millrace.names import WorkloadNames
from millrace.workload.declaration import Workload
from millrace.workload.prices import Usage, projected_usd


def experiment(
    environment: Environment,
    names: WorkloadNames,
    workload: Workload,
    *,
    folder: Path,
    source: Run,
    parameters: Mapping[str, Any],
) -> str:
    """Create the training job; returns its name.

    `source` is the run whose pinned rows it trains on. `parameters` replace hyperparameters of the declaration.
    Raises RunError if the family does not have or accept a hyperparameter, if the deployed machine starts from another
    model than the declaration names, and if the month's budget has no room."""
    check(workload, parameters)
    training = deployed_training(environment, names)
    check_weights(workload, training)
    name = names.by_hand("experiment", environment.now())
    # The cost is reserved at the longest run time, before anything is written or started: if the budget refuses,
    # nothing is left behind.
    resources = training["ResourceConfig"]
    minutes = training["StoppingCondition"]["MaxRuntimeInSeconds"] / 60
    used = Usage(instance=resources["InstanceType"], count=resources["InstanceCount"], minutes=minutes)
    arn = names.platform.arn("sagemaker", f"training-job/{name}")
    reserve(environment, names, workload, projected_usd([used]), arn=arn)
    # The job reads its configuration from S3, so that must be there first.
    own = own_run(name, training, folder, source)
    write_configuration(environment, names, name, folder=folder, source=source, own=own)
    # The training job reads each hyperparameter as JSON.
    chosen = {key: json.dumps(value) for key, value in parameters.items()}
    environment.client("sagemaker").create_training_job(
        TrainingJobName=name,
        HyperParameters={"workload": workload.name, "run": name, **chosen},
        Tags=names.tag_list("training"),
        **job_parts(names, training, name=name, source=source),
    )
    return name


def check(workload: Workload, parameters: Mapping[str, Any]) -> None:
    """Check that the family accepts the hyperparameters; raises RunError for the first one that it does not."""
    from pydantic import ValidationError

    training = workload.training
    try:
        training.model_validate(training.model_dump() | {"parameters": {**training.parameters, **parameters}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]).removeprefix("parameters.") or "training"
        raise RunError(f"--parameter: {where}: {first['msg']}, got {dict(parameters)}") from None
