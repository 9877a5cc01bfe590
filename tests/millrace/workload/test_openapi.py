"""The OpenAPI document of each workload: it is valid, and a row that keeps it keeps the contract."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.contract.kinds import KINDS
from millrace.contract.load import load_contract
from millrace.contract.row import check_row
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.length import Length
from millrace.contract.rules.multiple_of import MultipleOf
from millrace.contract.rules.range import Range
from millrace.contract.rules.rule import Rule
from millrace.contract.schema import Column, Table
from millrace.decisions import online
from millrace.decisions.road import Admitted
from millrace.tasks.catalogue import declare
from millrace.workload.load import load_workload
from millrace.workload.openapi import CELLS, cell_schema, openapi
from tests.millrace.decisions.test_record import DECISION
from tests.shipped import SHIPPED


def document(folder: Path) -> dict[str, Any]:
    return openapi(load_workload(folder), load_contract(folder))


def validator(made: dict[str, Any], schema: str) -> Any:
    return OAS30Validator({"$ref": f"#/components/schemas/{schema}", "components": made["components"]})


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_document_is_valid_and_the_command_prints_it(folder: Path) -> None:
    made = document(folder)
    validate(made)
    assert next(iter(made["paths"])) == f"/{folder.name}/predictions"
    done = CliRunner().invoke(app, ["openapi", "--workload", folder.name])
    assert json.loads(done.output) == made


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_every_field_of_an_answer_is_in_the_document(folder: Path) -> None:
    """Of a fallback that the rule has answered, under a policy, with an explanation."""
    made, workload = document(folder), load_workload(folder)
    task = declare(workload.prediction, load_contract(folder).label)
    output, ahead = (
        dict.fromkeys(one.name for one in task.answer),
        workload.prediction.predicted_for(DECISION.event_time),
    )
    decision = replace(DECISION, output=output, predicted_for=ahead, answered_by="rule")
    explained = {0: None} if workload.explanations.rows else None
    row = Admitted(number=0, cells={})
    said = online.document([(row, decision)], [], explained, acts=workload.policy is not None)["predictions"][0]
    assert said.keys() == made["components"]["schemas"]["Prediction"]["properties"].keys()
    assert validator(made, "Prediction").is_valid(said | {"answered_by": "constant"})
    assert not validator(made, "Prediction").is_valid(said | {"answered_by": "a guess"})


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_decision_is_looked_up_with_its_action_where_there_is_a_policy(folder: Path) -> None:
    made, acts = document(folder), load_workload(folder).policy is not None
    found = made["paths"][f"/{folder.name}/decisions/{{id}}"]["get"]
    assert {(one["name"], one["in"], one.get("required", False)) for one in found["parameters"]} == {
        ("id", "path", True),
        ("from", "query", False),
        ("to", "query", False),
    }
    assert found["responses"].keys() == {"200", "400", "403", "404", "429", "504"}
    fields = made["components"]["schemas"]["Decision"]["properties"]
    assert ("action" in fields, "reason" in fields) == (acts, acts)
    operations = [one for methods in made["paths"].values() for one in methods.values()]
    assert {json.dumps(one["security"]) for one in operations} == {'[{"sigv4": []}]'}, "each says so for itself"


def test_every_kind_of_column_has_a_schema() -> None:
    assert set(CELLS) == set(KINDS)


RULED: list[tuple[str, Rule, list[Any]]] = [
    ("int64", Range(minimum=1, exclusive_maximum=5), [0, 1, 4, 5]),
    ("float64", Range(exclusive_minimum=0.5), [0.5, 0.6, None, "0.6", True]),
    ("int32", MultipleOf(3), [0, 3, 4, 2**40]),
    ("string", Length(minimum=1, maximum=2), ["", "a", "abc", 3]),
    ("string", Allowed(("a", "b"), strict=True), ["a", "c", None]),
    ("boolean", Allowed(()), [True, "true", None]),
]


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(("kind", "rule", "cells"), RULED)
def test_a_cell_that_keeps_the_schema_keeps_the_contract(
    kind: Any, rule: Rule, cells: list[Any], required: bool
) -> None:
    rules = () if kind == "boolean" else (rule,)
    column = Column(name="a", kind=kind, required=required, rules=rules)
    for cell in cells:
        keeps = not check_row({"a": cell}, Table(name="rows", columns=(column,)))
        by_schema = OAS30Validator(cell_schema(column)).is_valid(cell)
        # What no schema of OpenAPI 3.0 says by itself: the range of an integer's format.
        assert by_schema == keeps or cell == 2**40, (cell, cell_schema(column))
