"""The schemas for editors: they take what the commands take, and refuse what is refused for its structure."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for
from pydantic import ValidationError

from millrace.console.schemas import SCHEMAS
from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.errors import WorkloadError
from millrace.workload.declaration import Workload
from tests.millrace.contract.test_validate import places
from tests.shipped import SHIPPED

Takes = Callable[[Any], bool]
VALUES: tuple[Any, ...] = ({"no_key": 1}, [], [{"no_key": 1}], "no word", -0.5, None)
"""What takes the place of a value, and is the value of a key that there is not."""


@pytest.fixture(scope="module")
def takes() -> dict[str, Takes]:
    return {file: taking(json.loads(json.dumps(schema()))) for file, schema in SCHEMAS.items()}


def taking(schema: Any) -> Takes:
    kind = validator_for(schema)
    kind.check_schema(schema)
    return lambda document: kind(schema).is_valid(json.loads(json.dumps(document, default=str)))


def read(folder: Path, file: str) -> Any:
    return yaml.safe_load((folder / f"{file}.yaml").read_text())


def altered(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = parent = copy.deepcopy(document)
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return changed


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_declaration_is_taken_or_refused_as_the_commands_do(folder: Path, takes: dict[str, Takes]) -> None:
    document = read(folder, "workload")
    assert takes["workload"](document)
    keys = {(*place[:-1], "no_key") for place in places(document) if isinstance(place[-1], str)}
    for place, value in product([*places(document), *keys], VALUES):
        changed, kinds = altered(document, place, value), set()
        try:
            Workload.model_validate(changed)
            refused = False
        except ValidationError as error:
            refused, kinds = True, {one["type"] for one in error.errors()} - {"value_error"}
        taken = takes["workload"](changed)
        assert taken or refused, (place, value)
        assert not (taken and kinds), (place, value, kinds)


def test_a_contract_that_is_refused_in_an_editor_is_refused_by_the_commands(
    takes: dict[str, Takes], tmp_path: Path
) -> None:
    assert all(takes["contract"](read(folder, "contract")) for folder in SHIPPED)
    document = read(SHIPPED[-1], "contract")
    for place, value in product(
        Random(0).sample([*places(document)], 20), (*VALUES, [[]], {"name": 5}, 10**400, "(((")
    ):
        changed = altered(document, place, value)
        (tmp_path / "contract.yaml").write_text(yaml.safe_dump(changed))
        with suppress(WorkloadError):
            load_contract(tmp_path)
        refused = False
        try:
            check_contract(tmp_path)
        except WorkloadError as error:
            refused = bool(error.field)
        assert refused or takes["contract"](changed), (place, value)
