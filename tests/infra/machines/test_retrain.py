"""What the retrain machine promises, read from its definition."""

from __future__ import annotations

from millrace.infra.machines import retrain, states


def test_retrain_waits_for_its_training(context):
    state = retrain.definition(context())["States"]["Train"]
    assert state["Resource"] == "arn:aws:states:::states:startExecution.sync:2"
    assert state["Parameters"]["Name.$"] == states.NAME
