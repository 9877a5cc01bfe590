"""Explain a kept decision with the model version that answered it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from millrace.artefact.inference import Model
from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.console.queries.kept_rows import read_row, require_decision
from millrace.console.queries.stored import unpack
from millrace.console.queries.versions import registry_of
from millrace.contract.kinds import from_base64
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
    kept = require_decision(environment, names, wanted)
    # A fallback has no version: there is no model to explain it with.
    if not (version := version or kept.decision.model_version or ""):
        came = f"{kept.decision.id!r}, the fallback's"
        raise EnvironmentNotFoundError(f"ID: expected the id of a model's decision, got {came}")
    try:
        package = registry_of(environment, names).describe(names.package_arn(version))
    except ClientError as error:
        raise EnvironmentNotFoundError(f"version {version}: expected it in the registry, got {error}") from None
    model = Model(unpack(read_object(environment.client("s3"), package.model_data_url)))
    row = read_row(environment, names, kept, model.description.features)
    # An image of a scored file is in the row itself.
    columns = [name for encoder in images(model.description.features) for name in encoder.columns]
    row |= {name: from_base64(row[name]) for name in columns if isinstance(row.get(name), str)}
    return explanation_of(model, row, rows=TIMES * ROWS)
