"""Who answers in place of the model: the first answerer of the chain that can, and nobody without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.decisions.chain import Instead, answer_instead, answerers
from millrace.tasks.answer import empty_answer
from millrace.tasks.catalogue import TASKS
from millrace.workload.declaration import ConstantAnswer
from tests.plant import plant_label, write_plant


@pytest.mark.parametrize("kind", TASKS)
def test_the_rule_comes_before_the_constant_and_nobody_after(kind: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path, kind)
    prediction, task, expected = plant.workload.prediction, plant.task, plant_label(kind).fallback_answer
    constant = ConstantAnswer(constant=prediction.constant)  # type: ignore[arg-type]
    rule = {field.name: 7 for field in task.answer}

    def answer(*declared: object, known: bool = True) -> Instead:
        asked = prediction.model_copy(update={"fallback": declared})
        [found] = answer_instead([{}], answerers(asked, task, rule=rule if known else None), task)
        return found

    assert answer("rule", constant) == Instead(output=rule, answered_by="rule")
    assert answer("rule", constant, known=False) == Instead(output=expected, answered_by="constant")
    assert answer(constant) == Instead(output=expected, answered_by="constant")
    for nobody in (answer(), answer("rule", known=False)):
        assert nobody == Instead(output=empty_answer(task.answer), answered_by=None)
