"""A batch of labels that was held is accepted by a person, and learnt by one run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from millrace.console.actions.approve import decide
from millrace.console.actions.label_studio import Annotation, given_value
from millrace.console.environment import Environment
from millrace.console.queries.reviews import Question
from millrace.console.queries.versions import audit_of, state_of
from millrace.contract.load import load_contract
from millrace.errors import EnvironmentNotFoundError, ReviewError, RunError
from millrace.messages.audit import AuditEvent
from millrace.state.held_labels import HeldLabels
from millrace.workload.policy import Policy
from tests.console.actions.test_rollback import NAMES
from tests.console.actions.test_rollback import environment as environment
from tests.console.conftest import make_machines
from tests.millrace.state.test_holdings import BATCH
from tests.plant import write_plant


def test_an_accepted_batch_whose_run_did_not_start_is_accepted_again(environment: Environment) -> None:
    held = HeldLabels(state_of(environment, NAMES))
    held.hold(BATCH)
    with pytest.raises(EnvironmentNotFoundError, match="expected the machine"):
        decide(environment, NAMES, "june.csv", "accepted", reason="a new tariff")
    assert [one.status for one in held.every()] == ["accepted"]

    make_machines(environment, NAMES, "ingest")
    _, run = decide(environment, NAMES, "june.csv", "accepted", reason="once more")
    assert run == f"held-{BATCH.object.drop_id}"
    with pytest.raises(RunError, match="one was started before"):
        decide(environment, NAMES, "june.csv", "accepted", reason="and again")
    with pytest.raises(RunError, match="none waits"):
        decide(environment, NAMES, "june.csv", "refused", reason="late")
    decided = [one for one in audit_of(environment, NAMES) if one.event is AuditEvent.LABELS_ACCEPTED]
    assert [one.details.model_dump()["reason"] for one in decided] == ["a new tariff"]


def annotation(number: str) -> Annotation:
    text = f'{{"result": [{{"from_name": "label", "value": {{"number": {number}}}}}]}}'
    return TypeAdapter(Annotation).validate_json(text)


@pytest.fixture
def question(tmp_path: Path) -> Question:
    plant = write_plant(tmp_path, "regression")
    return Question(
        prediction=plant.workload.prediction, labels=load_contract(plant.folder).labels, policy=Policy(held_out=0.1)
    )


@pytest.mark.parametrize("number", ["12", "1000001", "-12345678.0", "1234567.25", "0.1", "1e-7", "9007199254740992"])
def test_a_number_keeps_its_digits(number: str, question: Question) -> None:
    assert given_value(annotation(number), question) == json.loads(number)


@pytest.mark.parametrize("number", ["1000001", "1000001.0", "9007199254740993"])
def test_so_does_an_integer(number: str, question: Question) -> None:
    column = replace(question.labels.column(question.prediction.label), kind="int64")
    others = [one for one in question.labels.columns if one.name != column.name]
    whole: Any = given_value(
        annotation(number), replace(question, labels=replace(question.labels, columns=(*others, column)))
    )
    assert (type(whole), str(whole)) == (int, number.removesuffix(".0"))
    with pytest.raises(ReviewError, match=r"12\.5"):
        given_value(annotation("12.5"), replace(question, labels=replace(question.labels, columns=(*others, column))))
