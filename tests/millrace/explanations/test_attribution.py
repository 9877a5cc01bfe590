"""Which number of an answer is explained, what it is called, and what it is: for every task."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from millrace.explanations.attribution import explained_words, is_share, score
from millrace.explanations.integrated_gradients import output_scores
from millrace.models.predictor import Predictor
from millrace.tasks.catalogue import TASKS
from tests.millrace.tasks.test_tasks import Case, case_of


@pytest.fixture(params=TASKS, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def test_every_number_of_an_output_has_a_name_of_its_own(case: Case) -> None:
    names = case.task.output_names
    assert len(set(names)) == len(names) == case.task.objective.width
    for at, name in enumerate(names):
        assert explained_words(case.task, at) == ("log odds of " if is_share(case.task.objective) else "") + name


def test_gradients_and_answers_have_the_same_score(case: Case) -> None:
    class Raw(torch.nn.Module):
        def forward(self, numbers: torch.Tensor) -> torch.Tensor:
            return numbers

    predictor = Predictor(Raw(), case.task.objective)
    raw_NW = torch.randn(20, case.task.objective.width, generator=torch.Generator().manual_seed(0))
    output_NW = predictor(numbers=raw_NW).numpy()
    at_N = case.task.explained_output(output_NW)
    expected_N = [score(case.task, output_NW[row : row + 1], at)[0] for row, at in enumerate(at_N.tolist())]
    found_N = output_scores(predictor, {"numbers": raw_NW}, torch.from_numpy(at_N))
    np.testing.assert_allclose(found_N.numpy(), expected_N, rtol=1e-4, atol=1e-5)
