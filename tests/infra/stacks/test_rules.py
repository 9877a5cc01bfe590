"""The rules of our own bus match events and fields that exist."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.messages.events import EVENTS
from tests.infra.conftest import of_type

Templates = dict[str, dict[str, dict[str, Any]]]


def patterns(stacks: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    found = [rule.get("EventPattern", {}) for rule in of_type(stacks, "AWS::Events::Rule")]
    return [pattern for pattern in found if "millrace" in pattern.get("source", ())]


def unknown(pattern: dict[str, Any]) -> list[str]:
    """The detail types and fields of a pattern that are no event's."""
    found = [kind for kind in pattern["detail-type"] if kind not in EVENTS]
    known = [EVENTS[kind].model_fields for kind in pattern["detail-type"] if kind in EVENTS]
    return found + [field for field in pattern.get("detail", {}) if any(field not in fields for fields in known)]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_rules_match_events_of_the_catalogue(templates: Templates, stage: str) -> None:
    found = patterns(templates[stage])
    started_on = {"dataset.committed", "model.registered", "retrain.requested"}
    assert started_on <= {kind for pattern in found for kind in pattern["detail-type"]}
    assert [wrong for pattern in found for wrong in unknown(pattern)] == []


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_a_rule_on_awss_events_is_of_its_own_stage(templates: Templates, stage: str) -> None:
    """The default bus is that of the account: what it tells of another stage must start and call nothing here."""
    rules = [one for one in of_type(templates[stage], "AWS::Events::Rule") if "EventBusName" not in one]
    assert rules
    assert [one["Name"] for one in rules if f"millrace-{stage}-" not in json.dumps(one["EventPattern"])] == []


def test_a_field_or_an_event_that_does_not_exist_is_seen() -> None:
    assert unknown({"detail-type": ["model.registred"], "detail": {"workload": ["w"]}}) == ["model.registred"]
    assert unknown({"detail-type": ["dataset.committed"], "detail": {"rows": [1]}}) == ["rows"]
