"""The JSON schemas of workload.yaml and contract.yaml, for editors: what the structure of a file must be."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from millrace.contract.kinds import DECLARED_TYPES
from millrace.contract.load import COLUMN_PROPERTIES, TABLE_PROPERTIES
from millrace.contract.odcs import API_VERSIONS
from millrace.models.catalogue import FAMILIES
from millrace.tasks.catalogue import TASKS
from millrace.workload.declaration import SET_BY_PREDICTION, SET_ELSEWHERE, Workload
from millrace.workload.places import models_in

Schema = dict[str, Any]


def write_schemas(workloads: Path) -> list[Path]:
    """Write both into the folder of the workloads: a comment in what `millrace new` writes names them."""
    folder = workloads / ".schemas"
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in SCHEMAS.items():
        (folder / f"{name}.json").write_text(json.dumps(schema(), indent=1) + "\n")
    return [folder / f"{name}.json" for name in SCHEMAS]


def declaration_schema() -> Schema:
    """The schema of workload.yaml, with what is said of each key. How parts fit each other it does not say."""
    models: list[type[BaseModel]] = [Workload, *FAMILIES.values()]
    _, schema = models_json_schema([(model, "validation") for model in models])
    definitions = schema["$defs"]
    for model in _with_parts(models):
        told, keys = field_docstrings(model), definitions[model.__name__].get("properties", {})
        for name, field in model.model_fields.items():
            if name in told:
                keys[field.alias or name]["description"] = told[name]
    feature, prediction, training = (definitions[name] for name in ("Feature", "Prediction", "Training"))
    for key in (*SET_BY_PREDICTION, *SET_ELSEWHERE):
        (feature if key in SET_BY_PREDICTION else prediction)["properties"].pop(key)
    # What validators bring into another form before pydantic sees it.
    definitions["Feature"] = {"anyOf": [{"type": "string"}, feature]}
    hours = {"type": ["number", "array"], "minimum": 0, "items": {"type": "number", "minimum": 0}, "minItems": 1}
    ahead = {"column": {"type": "string"}, "horizon_hours": hours}
    prediction["properties"]["label"] = {
        "description": "The column of the label; with horizon_hours that of a later row; a list for several labels.",
        "anyOf": [
            {"type": "string"},
            {"type": "object", "properties": ahead, "required": [*ahead], "additionalProperties": False},
            {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
        ],
    }
    prediction["properties"]["task"]["enum"], training["properties"]["family"]["enum"] = [*TASKS], [*FAMILIES]
    training["allOf"] = [
        _if("family", name, {"properties": {"parameters": {"$ref": f"#/$defs/{family.__name__}"}}})
        for name, family in FAMILIES.items()
    ]
    for each in _patterned(definitions):
        each["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "#/$defs/Workload", **schema}


def contract_schema() -> Schema:
    """The Open Data Contract Standard's schema, and the tables, types and properties that a contract of ours has.

    Which options and rules a column may have, `millrace contract check` says."""
    standard: Schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())
    column = {
        "required": ["name", "logicalType"],
        "properties": {
            "logicalType": {"enum": [*DECLARED_TYPES]},
            "customProperties": _custom(COLUMN_PROPERTIES),
        },
    }
    table = {
        "required": ["name", "properties"],
        "properties": {
            "properties": {"minItems": 1, "items": column},
            "customProperties": _custom(TABLE_PROPERTIES),
        },
    }
    tables = [{"contains": {"properties": {"name": {"const": name}}}} for name in ("rows", "labels")]
    own = {"apiVersion": {"enum": [*API_VERSIONS]}, "schema": {"items": table, "allOf": tables}}
    return standard | {"allOf": [{"required": ["schema"], "properties": own}]}


SCHEMAS = {"workload": declaration_schema, "contract": contract_schema}
"""The schema of each file of a workload."""


def _custom(names: Sequence[str]) -> Schema:
    return {"items": {"properties": {"property": {"enum": [*names]}}}}


def _if(key: str, value: str, then: Schema) -> Schema:
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then}


def _patterned(schema: Any) -> Iterator[Schema]:
    """The objects in a schema whose keys have a pattern: pydantic refuses other keys and does not say so."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and "patternProperties" in schema:
        yield schema
    yield from chain(*map(_patterned, inner))


def _with_parts(models: Sequence[type[BaseModel]]) -> Sequence[type[BaseModel]]:
    """The models with all that stand in their fields, each once."""
    found = list(models)
    for model in found:  # grows while it is read
        inner = (each for field in model.model_fields.values() for each in models_in(field.annotation))
        found += [each for each in dict.fromkeys(inner) if each not in found]
    return found


def field_docstrings(owner: type[Any]) -> dict[str, str]:
    """The docstring beneath each field or member of the class and of the classes that it extends."""
    return {name: " ".join(text.split()) for each in reversed(owner.__mro__) for name, text in _docstrings(each)}


def _docstrings(owner: type[Any]) -> Iterator[tuple[str, str]]:
    if owner.__module__.split(".")[0] in ("builtins", "pydantic", "enum", "typing", "abc"):
        return
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(node, ast.ClassDef)
    for field, after in zip(node.body, node.body[1:], strict=False):
        target = field.target if isinstance(field, ast.AnnAssign) else getattr(field, "targets", [None])[0]
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield target.id, str(after.value.value).split("\n\n    ")[0]
