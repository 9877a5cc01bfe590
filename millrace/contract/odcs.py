"""Checks a contract against the whole standard, at synth: by its JSON schema, then by our reader."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from millrace.contract.load import ODCS, load_contract, read_document
from millrace.contract.places import named_places
from millrace.contract.schema import Contract
from millrace.errors import WorkloadError

API_VERSIONS = ("v3.1.0", "v3.2.0")


def check_contract(folder: Path) -> Contract:
    """The contract in `folder/contract.yaml`, checked against the Open Data Contract Standard.

    Raises WorkloadError for a contract that is not valid; it says file, field, what was expected and what came."""
    path = folder / "contract.yaml"
    where = f"{folder.name}/{path.name}"
    document = read_document(path)
    if document.get("apiVersion") not in API_VERSIONS:
        came = document.get("apiVersion")
        raise WorkloadError(where=where, field="apiVersion", expected=" or ".join(API_VERSIONS), came=came)
    with named_places(document):
        _check_schema(where, document)
    contract = load_contract(folder)
    _check_rules(where, contract)
    return contract


def _check_schema(where: str, document: dict[str, Any]) -> None:
    from jsonschema import Draft201909Validator
    from jsonschema.exceptions import best_match

    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())
    # YAML makes dates of some values; the JSON schema knows only texts, so the document goes through JSON.
    error = best_match(Draft201909Validator(schema).iter_errors(json.loads(json.dumps(document, default=str))))
    if error is not None:
        field = ".".join(str(part) for part in error.absolute_path) or "(file)"
        expected = f"{ODCS} ({error.message[:200]})"
        raise WorkloadError(where=where, field=field, expected=expected, came=error.instance)


def _check_rules(where: str, contract: Contract) -> None:
    """Raise WorkloadError for a rule whose parameters make no rule, such as an expression that RE2 cannot read."""
    for table in (contract.rows, contract.labels):
        for column in table.columns:
            for rule in column.rules:
                try:
                    rule.check()
                except ValueError as error:
                    field = f"schema.{table.name}, column `{column.name}`"
                    raise WorkloadError(where=where, field=field, expected=str(error), came=rule) from None
