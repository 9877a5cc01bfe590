"""Upload an external model and start the run of `train` that judges it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from millrace.artefact import external
from millrace.artefact.external import ExternalModel, RunDigests
from millrace.artefact.inference import Model
from millrace.aws.objects import split_uri
from millrace.console.actions.start import start
from millrace.console.queries.runs import Run
from millrace.contract.load import load_contract
from millrace.errors import RunError
from millrace.names import WorkloadNames
from millrace.tasks import catalogue as tasks
from millrace.workload.load import load_workload


def read_model(folder: Path, workload: Path) -> ExternalModel:
    """The model in `folder`, checked against the declaration and the contract in the folder `workload`.

    Raises RunError if there is no such folder, and ArtefactError for a graph that the machine would refuse too. What
    only rows can show is checked by the machine."""
    if not folder.is_dir():
        raise RunError(f"FOLDER: expected a folder with {external.GRAPH} and {external.SIGNATURE}, got {folder}")
    declared, contract = load_workload(workload), load_contract(workload)
    found = external.read(folder)
    task = tasks.declare(declared.prediction, contract.label)
    features = external.features_of(found, declared, contract)
    external.check_output(found, task)
    label = declared.prediction.label
    # Loads the graph as an endpoint would; the session itself is not needed.
    Model(external.artefact_of(found, features=features, task=task, label=label, links=RunDigests()))
    return found


def register(s3: Any, states: Any, names: WorkloadNames, model: ExternalModel, *, as_of: datetime | None = None) -> Run:
    """Start the run that judges the model. `s3` and `states` are boto3's clients.

    The model lies below its digest, so the same model is always at the same place."""
    uri = names.external_model_uri(model.digest)
    for name, content in model.contents.items():
        bucket, key = split_uri(f"{uri}{name}")
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    more = {"external_model": {"uri": uri, "digest": model.digest}}
    return start(states, names, "train", as_of=as_of, more=more)
