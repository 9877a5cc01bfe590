"""Numbers come back from Label Studio as they were typed, however many digits they have."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from millrace.console.actions.label_studio import Annotation, given_value
from millrace.console.queries.reviews import Question
from millrace.contract.load import load_contract
from millrace.errors import ReviewError
from millrace.workload.policy import Policy
from tests.plant import write_plant


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
