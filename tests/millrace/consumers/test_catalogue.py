"""Every kind of consumer is declared, has its rights at its target alone, and refuses what cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from millrace.consumers.catalogue import Kind
from millrace.errors import WorkloadError
from millrace.names import LONGEST_PREFIX, Platform
from millrace.workload.load import load_workload
from tests.consumers import DECLARED, with_consumers

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
KINDS = {get_args(kind.model_fields["to"].annotation)[0]: kind for kind in get_args(Kind)}


@pytest.mark.parametrize("kind", KINDS)  # a kind without an example in `tests.consumers` fails
def test_a_kind_is_read_and_reaches_no_pattern_of_names(kind: str, tmp_path: Path) -> None:
    found = load_workload(with_consumers(tmp_path)).consumers[kind]
    assert type(found) is KINDS[kind]
    rights = found.rights(PLATFORM)
    assert rights
    assert [one for one in rights if "*" in one.arn or any("*" in action for action in one.actions)] == []


def refused(folder: Path, consumers: dict[str, Any]) -> str:
    """The field that is refused."""
    with pytest.raises(WorkloadError) as error:
        load_workload(with_consumers(folder, consumers))
    return error.value.field


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("url", {"url": "http://crm.example.com/"}),
        ("url", {"url": "http://localhost:8000/"}),
        ("url", {"url": "http://localhost:8000/", "stages": ["local", "dev"]}),
        ("url", {"url": "https://user:word@crm.example.com/"}),
        ("secret", {"secret": "arn:aws:x y"}),  # pragma: allowlist secret
        ("batch", {"batch": 101}),
        ("actions", {"actions": []}),
        ("actions.0", {"actions": ["everything"]}),
        ("at_once", {"at_once": 1}),
        ("queue", {"queue": "x"}),
    ],
)
def test_what_cannot_work_is_refused(field: str, wrong: dict[str, Any], tmp_path: Path) -> None:
    place = refused(tmp_path, {"crm": {"to": "webhook", **DECLARED["webhook"], **wrong}})
    assert place.startswith("consumers.crm")
    assert place.endswith(field)


@pytest.mark.parametrize("name", ["CRM", "c_r_m", "-crm", "crm-", "a" * 17])
def test_a_name_that_no_resource_takes_is_refused(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path, {name: {"to": "queue", "queue": "x"}}).startswith("consumers")
    assert LONGEST_PREFIX + len("-consumer-") + 16 == 64
