"""A contract against the whole standard, at synth: JSON schema, the standard's model, then ours."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from millrace.contract.load import load_contract, read_document
from millrace.contract.schema import Column, Contract
from millrace.errors import WorkloadError
from millrace.features.encoding import encoding
from millrace.workload.declaration import Workload

API_VERSIONS = ("v3.1.0", "v3.2.0")


def check_contract(folder: Path, workload: Workload) -> Contract:
    """The contract of `folder`, valid against the standard and fitting to its workload.

    Both the JSON schema and the model are asked: the model alone lets wrong words in enumerations pass.
    Raises WorkloadError that says file, field, what was expected and what came."""
    path = folder / "contract.yaml"
    where = f"{folder.name}/{path.name}"
    document = read_document(path)
    if document.get("apiVersion") not in API_VERSIONS:
        came = document.get("apiVersion")
        raise WorkloadError(where=where, field="apiVersion", expected=" or ".join(API_VERSIONS), came=came)
    _check_schema(where, document)
    _check_model(where, document)
    contract = load_contract(folder)
    _check_surface(where, contract, workload)
    return contract


def _check_schema(where: str, document: dict[str, Any]) -> None:
    from jsonschema import Draft201909Validator
    from jsonschema.exceptions import best_match

    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())
    error = best_match(Draft201909Validator(schema).iter_errors(json.loads(json.dumps(document, default=str))))
    if error is not None:
        field = ".".join(str(part) for part in error.absolute_path) or "(file)"
        expected = f"what the Open Data Contract Standard allows ({error.message[:200]})"
        raise WorkloadError(where=where, field=field, expected=expected, came=error.instance)


def _check_model(where: str, document: dict[str, Any]) -> None:
    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError

    try:
        OpenDataContractStandard.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise WorkloadError(where=where, field=field, expected=first["msg"], came=first.get("input")) from None


def _check_surface(where: str, contract: Contract, workload: Workload) -> None:
    """What `workload.yaml` predicts from is what the contract holds."""
    prediction = workload.prediction
    _expect(where, "the label", {prediction.label}, {contract.label.name})
    _check_label(where, contract.label, prediction.positive)
    _expect(where, "the features", set(prediction.features), set(contract.rows.names))
    encoding(contract.rows, prediction.features)
    for table in (contract.rows, contract.labels):
        _expect(where, f"the key in {table.name}", {*prediction.key, prediction.event_time}, set(table.names))
        if tuple(prediction.key) not in table.keys:
            raise WorkloadError(
                where=where,
                field=f"schema.{table.name}",
                expected=f"the key {prediction.key}",
                came=table.keys,
            )
    kind = contract.rows.column(prediction.event_time).kind
    if not kind.startswith("timestamp"):
        raise WorkloadError(where=where, field=prediction.event_time, expected="a timestamp", came=kind)


def _check_label(where: str, label: Column, positive: str | int | bool) -> None:
    """Two classes, one of them the positive one."""
    classes = (False, True) if label.kind == "boolean" else label.allowed
    if len(classes) != 2 or positive not in [value for value in classes if type(value) is type(positive)]:
        expected = f"two validValues (or a boolean), one of them the positive class {positive!r} of workload.yaml"
        raise WorkloadError(where=where, field=label.name, expected=expected, came=list(classes))


def _expect(where: str, field: str, wanted: set[str], held: set[str]) -> None:
    if missing := sorted(wanted - held):
        raise WorkloadError(
            where=where, field=field, expected=f"{missing} as workload.yaml names them", came=sorted(held)
        )
