"""What the owner of a stage may choose: each wrong choice is named with what is there instead."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.errors import ConfigurationError
from millrace.infra.options import Options, options_of
from tests.infra.conftest import OWN

NETWORK: dict[str, Any] = OWN["network"]
ONE: str = NETWORK["subnets"][0]
KEYS = ", ".join(Options.model_fields)
TWO = "stages.dev.network.subnets: expected two to six subnets, each in a zone of its own, got "


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"network": {**NETWORK, "subnets": []}}, f"{TWO}[]"),
        ({"network": {**NETWORK, "subnets": [ONE]}}, f"{TWO}['{ONE}']"),
        ({"network": {**NETWORK, "subnets": [ONE, ONE]}}, f"{TWO}['{ONE}', '{ONE}']"),
        ({"network": {**NETWORK, "subnets": ONE}}, f"{TWO}'{ONE}'"),
        (
            {"network": {"subnets": NETWORK["subnets"]}},
            "stages.dev.network.security_group: expected a value, got 'none'",
        ),
        (
            {"network": {**NETWORK, "sg": "x"}},
            "stages.dev.network.sg: expected one of subnets, security_group, got 'sg'",
        ),
        ({"network": ONE}, f"stages.dev.network: expected an object with some of subnets, security_group, got '{ONE}'"),
        ({"keyarn": "x"}, f"stages.dev.keyarn: expected one of {KEYS} (did you mean 'key_arn'?), got 'keyarn'"),
        ({"event_bus": "a b"}, "stages.dev.event_bus: expected a text that matches ^[A-Za-z0-9._-]+$, got 'a b'"),
        ({"machine_log": "all"}, "stages.dev.machine_log: expected 'data', 'events' or 'errors', got 'all'"),
        ({"prediction_starts": {}}, "stages.dev.prediction_starts: expected snapstart or provisioned, one of the two,"),
        ({"tags": ["a"]}, "stages.dev.tags: expected an object, got ['a']"),
        ([], f"stages.dev: expected an object with some of {KEYS}, got []"),
    ],
)
def test_a_wrong_choice_is_one_sentence(chosen: object, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        options_of({"dev": chosen}, "dev")
    assert str(refused.value).startswith(f"context: {told}")


@pytest.mark.parametrize("stages", [{"dev": OWN}, {"dev": {}}, {"dev": None}, {}])
def test_a_right_one_is_taken(stages: dict[str, Any]) -> None:
    assert options_of(stages, "dev") == Options.model_validate(stages.get("dev") or {})
