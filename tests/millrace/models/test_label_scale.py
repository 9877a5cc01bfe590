"""The scale of a label: there and back, its bounds, and the factor that corrects a mean."""

from __future__ import annotations

import pytest
import torch

from millrace.errors import TrainingError
from millrace.models.label_scale import LabelScale, correcting_factor

LABELS = torch.tensor([0.0, 1.0, 2.0, 5.0, 40.0, 900.0])
ONE = torch.tensor(1.0)


@pytest.mark.parametrize("kind", ["identity", "log", "sqrt"])
def test_a_label_comes_back_from_its_scale(kind: str) -> None:
    for labels in (LABELS, LABELS + 3):
        scale = LabelScale(kind)  # type: ignore[arg-type]
        scale.fit(labels)
        standard = scale.standardised(labels)
        assert float(standard.mean()) == pytest.approx(0, abs=1e-6)
        assert float(standard.std(correction=0)) == pytest.approx(1, rel=1e-5)
        torch.testing.assert_close(scale.answer(standard[:, None], ONE)[:, 0], labels, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["identity", "log", "sqrt"])
@pytest.mark.parametrize("raw", [-1e6, -40.0, 40.0, 1e6])
def test_no_answer_leaves_the_declared_bounds(kind: str, raw: float) -> None:
    scale = LabelScale(kind)  # type: ignore[arg-type]
    scale.bound(0.0, 1000.0)
    scale.fit(LABELS)
    assert 0 <= float(scale.answer(torch.tensor([[raw]]), torch.tensor(2.0))) <= 1000


@pytest.mark.parametrize("kind", ["log", "sqrt"])
def test_a_number_far_beyond_the_training_answers_within_reach_of_its_labels(kind: str) -> None:
    scale = LabelScale(kind)  # type: ignore[arg-type]
    scale.fit(LABELS)
    assert float(scale.answer(torch.tensor([[1e6]]), ONE)) < 2 * float(LABELS.max())


@pytest.mark.parametrize("kind", ["log", "sqrt"])
def test_a_negative_label_has_no_such_scale(kind: str) -> None:
    with pytest.raises(TrainingError, match=f"label_scale {kind}"):
        LabelScale(kind).fit(torch.tensor([3.0, -1.0]))  # type: ignore[arg-type]


def test_a_validation_label_below_all_others_has_a_finite_target() -> None:
    scale = LabelScale("log")
    scale.fit(LABELS + 5)
    assert torch.isfinite(scale.standardised(torch.tensor([0.0, -3.0]))).all()


def test_the_factor_is_the_one_of_least_squares_within_its_bounds() -> None:
    answers, labels = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.5, 2.0, 5.0])
    best = float((answers[:, 0] * labels).sum() / answers.square().sum())
    assert correcting_factor([(answers[:2], labels[:2]), (answers[2:], labels[2:])]) == pytest.approx(best)
    assert correcting_factor([(answers, 9 * labels)]) == 2.0
    assert correcting_factor([(answers, 0 * labels)]) == 0.5
    assert correcting_factor([(0 * answers, labels)]) == 1.0
