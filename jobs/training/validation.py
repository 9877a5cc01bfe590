"""Judges an epoch by its loss and its error on the validation rows.

Axes: N validation rows, W numbers of a row's answer."""

from __future__ import annotations

import math

import torch

from millrace.errors import TrainingError
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loss import Loss
from millrace.jobs.training.processes import Processes
from millrace.models.predictor import Predictor
from millrace.tasks.task import Task


class Validation:
    """Called after each epoch. The loss chooses the best epoch, the error is for people."""

    def __init__(self, predictor: Predictor, objective: Loss, task: Task, held: Resident, together: Processes) -> None:
        self._predictor, self._objective, self._task, self._held = predictor, objective, task, held
        self._together, self._target_N = together, held.target_N.to(together.device)

    def __call__(self, epoch: int) -> tuple[float, float]:
        """The validation loss and the mean error of the answers. Raises TrainingError if the loss is not finite."""
        self._predictor.eval()
        with torch.no_grad():
            raw_NW = torch.cat([self._predictor.raw(**piece.tensors) for piece in self._held.pieces()])
            own_loss = float(self._objective.validation(raw_NW, self._target_N))
            answers = self._predictor.answer(raw_NW).cpu().numpy()
        errors_N = self._task.errors(answers, self._target_N.cpu().numpy())
        # With batch normalisation the processes differ: each has the statistics of its own part of the steps. The model
        # has those of the first process, so its loss and error count.
        loss, error = self._together.follow_first([own_loss, float(errors_N.mean())])
        if not math.isfinite(loss):
            raise TrainingError(f"epoch {epoch}: expected a finite validation loss, got {loss}")
        return loss, error
