"""The rules of our own bus match fields that exist, those of the account's bus events of their stage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.messages.events import DatasetCommitted
from millrace.operations.notices import _ours
from tests.infra.conftest import of_type

Templates = dict[str, dict[str, dict[str, Any]]]


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_a_rule_on_awss_events_is_of_its_own_stage(templates: Templates, stage: str) -> None:
    """The default bus is that of the account: what it tells of another stage must start and call nothing here."""
    rules = [one for one in of_type(templates[stage], "AWS::Events::Rule") if "EventBusName" not in one]
    assert rules
    assert [one["Name"] for one in rules if f"millrace-{stage}-" not in json.dumps(one["EventPattern"])] == []


def test_a_notice_of_a_field_that_no_event_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dataset\.committed: expected fields among .*, got \['rowz'\]"):
        _ours(DatasetCommitted, description="", sentence="<rowz> rows")
