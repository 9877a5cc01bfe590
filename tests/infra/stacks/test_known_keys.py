"""What a workload with known keys gets in its templates, and that one without gets nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.workload.load import SUITE
from tests.infra.conftest import synthesized

WRITERS = {"tables": "ingestion", "snapshot": "training"}
"""The roles that write what is known, with their rooms: validation and withdrawal share one."""


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of each template of `dev` by its stack: `air_quality` has known keys, `electricity` has none."""
    folders = [SUITE / "workloads" / name for name in ("air_quality", "electricity")]
    out = synthesized("dev", folders, tmp_path_factory.mktemp("known") / "assembly")
    return {file.name.removesuffix(".template.json"): file.read_text() for file in out.glob("*.template.json")}


def statements(templates: dict[str, str], room: str, owner: str) -> list[dict[str, Any]]:
    """The statements of a role about known keys."""
    resources = json.loads(templates[f"millrace-dev-air-quality-{room}"])["Resources"].values()
    [role] = [one for one in resources if one["Properties"].get("RoleName") == f"millrace-dev-air-quality-{owner}"]
    found = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return [one for one in found if "known#" in json.dumps(one)]


def test_the_prediction_function_reads_its_own_keys_only(templates: dict[str, str]) -> None:
    [one] = statements(templates, "serving", "prediction")
    assert one["Action"] == ["dynamodb:BatchGetItem"]
    assert one["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["known#air_quality#*"]}}
    assert json.dumps(one["Resource"]).count("table/millrace-dev-state") == 1


@pytest.mark.parametrize("owner", WRITERS)
def test_who_changes_the_table_writes_what_is_known(owner: str, templates: dict[str, str]) -> None:
    found = statements(templates, WRITERS[owner], owner)
    assert {action for one in found for action in one["Action"]} >= {
        "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"
    }  # fmt: skip
    for one in found:
        [keys] = one["Condition"].values()
        assert {*keys["dynamodb:LeadingKeys"]} <= {"known#air_quality#*", "air_quality"}
        assert set(one["Action"]) <= {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}


def test_a_workload_without_known_keys_gets_nothing(templates: dict[str, str]) -> None:
    others = {stack: text for stack, text in templates.items() if "electricity" in stack}
    assert others
    assert [stack for stack, text in others.items() if "known#" in text or "BatchGetItem" in text] == []
