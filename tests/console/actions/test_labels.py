"""A batch of labels that was held is accepted by a person, and learnt by one run."""

import pytest

from millrace.console.actions.approve import decide
from millrace.console.environment import Environment
from millrace.console.queries.versions import audit_of, state_of
from millrace.errors import EnvironmentNotFoundError, RunError
from millrace.messages.audit import AuditEvent
from millrace.state.held_drops import HeldDrop
from tests.console.actions.test_rollback import NAMES
from tests.console.actions.test_rollback import environment as environment
from tests.console.conftest import make_machines
from tests.millrace.state.test_holdings import BATCH


def test_an_accepted_batch_whose_run_did_not_start_is_accepted_again(environment: Environment) -> None:
    state = state_of(environment, NAMES)
    BATCH.put(state)
    with pytest.raises(EnvironmentNotFoundError, match="expected the machine"):
        decide(environment, NAMES, "june.csv", "accepted", reason="a new tariff")
    assert [one.status for one in HeldDrop.every(state).values()] == ["accepted"]

    make_machines(environment, NAMES, "ingest")
    _, run = decide(environment, NAMES, "june.csv", "accepted", reason="once more")
    assert run == f"held-{BATCH.object.drop_id}"
    with pytest.raises(RunError, match="one was started before"):
        decide(environment, NAMES, "june.csv", "accepted", reason="and again")
    with pytest.raises(RunError, match="none waits"):
        decide(environment, NAMES, "june.csv", "refused", reason="late")
    decided = [one for one in audit_of(environment, NAMES) if one.event is AuditEvent.LABELS_ACCEPTED]
    assert [one.details.model_dump()["reason"] for one in decided] == ["a new tariff"]
