"""Explain a kept decision with the model version that answered it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from console.environment import Environment
from console.queries.decisions import find_decision
from console.queries.scored_pasts import scored_pasts
from console.queries.stored import unpack
from console.queries.versions import registry_of
from millrace.artefact.inference import Model
from millrace.aws.objects import read_object
from millrace.contract.kinds import from_base64
from millrace.decisions import captured
from millrace.decisions.store import LocatedDecision
from millrace.errors import EnvironmentNotFoundError
from millrace.explanations.requested import explanation_of
from millrace.explanations.shapley import ROWS
from millrace.features.catalogue import images
from millrace.names import WorkloadNames

TIMES = 8
"""How many times as many rows are answered as the endpoint answers for an explanation: nobody waits for this one."""


def explain_decision(
    environment: Environment, names: WorkloadNames, wanted: str, *, version: str = ""
) -> dict[str, Any]:
    """The explanation as the endpoint would give it, but from more drawn orders of the row's parts.

    `version` explains what this version says to the row, and not the one that has answered it.

    Raises EnvironmentNotFoundError if no decision has the id, if no model answered it, and if its version, or the past
    of a file's row, is gone; ArtefactError if the model has no explanations."""
    kept = find_decision(environment, names, wanted)
    if kept is None:
        raise EnvironmentNotFoundError(f"ID: expected the id of a model's decision, got {wanted!r}, which no line has")
    # A fallback has no version: there is no model to explain it with.
    if not (version := version or kept.decision.model_version or ""):
        came = f"{kept.decision.id!r}, the fallback's"
        raise EnvironmentNotFoundError(f"ID: expected the id of a model's decision, got {came}")
    model, row = _model_and_row(environment, names, kept, version)
    return explanation_of(model, row, rows=TIMES * ROWS)


def _model_and_row(
    environment: Environment, names: WorkloadNames, kept: LocatedDecision, version: str
) -> tuple[Model, Mapping[str, Any]]:
    """The model of the version, and the decision's input as JSON holds it; images have been read back."""
    try:
        package = registry_of(environment, names).describe(names.package_arn(version))
    except ClientError as error:
        raise EnvironmentNotFoundError(f"version {version}: expected it in the registry, got {error}") from None
    client = environment.client("s3")
    model = Model(unpack(read_object(client, package.model_data_url)))
    row: dict[str, Any] = json.loads(kept.decision.input)
    # A long cell is kept as an object. The decision has its URI in place of the cell.
    long = captured.LongCells(columns=tuple(row), under=names.lake_uri(captured.FOLDER, ""))
    row |= {name: captured.read(client, uri) for name, uri in captured.references(row, long).items()}
    # An image of a scored file is in the row itself.
    columns = [name for encoder in images(model.description.features) for name in encoder.columns]
    row |= {name: from_base64(row[name]) for name in columns if isinstance(row.get(name), str)}
    row |= scored_pasts(environment, names, kept, model.description.features)
    return model, row
