from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from millrace.errors import WorkloadError
from millrace.features.signature import TensorSpec
from millrace.jobs.training import loss
from millrace.jobs.training.loss import Loss
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.predictor import build
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task

SIGNATURE = (TensorSpec(name="numbers", dtype="float32", shape=(3,), optional=(False,) * 3),)
THREE = Multiclass(classes=("a", "b", "c"))
RAW_NW = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(40) % 7 % 3  # 17, 12 and 11 of the classes


def losses(task: Task, target_N: Tensor, **parameters: object) -> Loss:
    declared = Feedforward(**parameters)
    return loss.declare(declared, build(declared, SIGNATURE, task.objective), target_N)


def test_without_more_it_is_the_loss_of_the_predictor() -> None:
    for task, target_N in ((Binary(), (LABELS > 0).float()), (THREE, LABELS), (Regression(), RAW_NW[:, 1])):
        given, raw_NW = losses(task, target_N), RAW_NW[:, : task.objective.width]
        expected = given.predictor.loss(raw_NW, target_N)
        assert torch.equal(given.training(raw_NW, target_N), expected)
        assert torch.equal(given.validation(raw_NW, target_N), expected)


def test_classes_of_different_size_count_alike() -> None:
    given = losses(THREE, LABELS, class_balance=True)
    of_class = [functional.cross_entropy(RAW_NW[LABELS.eq(k)], LABELS[LABELS.eq(k)]) for k in range(3)]
    torch.testing.assert_close(given.training(RAW_NW, LABELS), torch.stack(of_class).mean())
    assert torch.equal(given.training(RAW_NW, LABELS), given.validation(RAW_NW, LABELS))


def test_a_class_that_does_not_occur_has_no_weight() -> None:
    given = losses(THREE, LABELS.clamp(max=1), class_balance=True)
    assert given.class_weights is not None
    assert given.class_weights[2] == 0
    assert float(given.class_weights[LABELS.clamp(max=1)].mean()) == pytest.approx(1)


def test_smoothed_labels_are_in_training_alone() -> None:
    smoothed_NW = 0.85 * functional.one_hot(LABELS, 3) + 0.05
    expected = -(smoothed_NW * functional.log_softmax(RAW_NW, 1)).sum(1).mean()
    given = losses(THREE, LABELS, label_smoothing=0.15)
    torch.testing.assert_close(given.training(RAW_NW, LABELS), expected)
    torch.testing.assert_close(given.validation(RAW_NW, LABELS), functional.cross_entropy(RAW_NW, LABELS))


def test_two_classes_are_smoothed_as_two_of_many_are() -> None:
    """The sigmoid of one number is the softmax over it and 0."""
    target_N = (LABELS > 0).float()
    raw_NW = torch.cat([torch.zeros(40, 1), RAW_NW[:, :1]], dim=1)
    expected = functional.cross_entropy(raw_NW, target_N.long(), label_smoothing=0.2)
    found = losses(Binary(), target_N, label_smoothing=0.2).training(RAW_NW[:, :1], target_N)
    torch.testing.assert_close(found, expected)


def test_each_of_several_labels_is_smoothed_as_the_only_one_is() -> None:
    target_NP = torch.stack([(k == LABELS).float() for k in range(2)], dim=1)
    of_label = [losses(Binary(), y, label_smoothing=0.2).training(RAW_NW[:, [k]], y) for k, y in enumerate(target_NP.T)]
    given = losses(Multilabel(labels=("a", "b"), thresholds=(0.5, 0.5)), target_NP, label_smoothing=0.2)
    torch.testing.assert_close(given.training(RAW_NW[:, :2], target_NP), torch.stack(of_label).mean())


def test_probabilities_are_judged_by_the_log_loss_whatever_trained_them() -> None:
    for task, target_N in ((Binary(), (LABELS > 0).float()), (THREE, LABELS)):
        other = replace(task.objective, loss="mse_loss")
        predictor, raw_NW = build(Feedforward(), SIGNATURE, other), RAW_NW[:, : other.width]
        assert torch.equal(
            predictor.log_loss(raw_NW, target_N), losses(task, target_N).predictor.loss(raw_NW, target_N)
        )


@pytest.mark.parametrize("more", [{}, {"class_balance": True, "label_smoothing": 0.1}])
def test_each_head_has_its_own_loss(more: dict[str, object]) -> None:
    raw_NKW = torch.stack([RAW_NW, RAW_NW.flip(0), 2 * RAW_NW], dim=1)
    given = losses(THREE, LABELS, **more)
    of_head = [given.training(raw_NKW[:, k], LABELS) for k in range(3)]
    torch.testing.assert_close(given.training(raw_NKW, LABELS), torch.stack(of_head).mean())


@pytest.mark.parametrize(("field", "value"), [("label_smoothing", 0.1), ("class_balance", True)])
def test_what_is_for_classes_is_refused_for_other_tasks(field: str, value: object) -> None:
    for task in (Binary(), THREE):
        Feedforward(**{field: value}).suits(task, ())
    Feedforward().suits(Regression(), ())
    with pytest.raises(WorkloadError, match=rf"training\.parameters\.{field}: expected no such parameter for the task"):
        Feedforward(**{field: value}).suits(Regression(), ())
