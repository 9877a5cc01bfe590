"""How an epoch is judged: by loss and error on the validation rows."""

from __future__ import annotations

import math

import torch

from jobs.training.loader import Resident
from jobs.training.loss import Loss
from jobs.training.processes import Processes
from millrace.errors import TrainingError
from millrace.models.predictor import Predictor
from millrace.tasks.task import Task


class Validation:
    """Called after each epoch; gives loss and mean error: the loss chooses the best epoch, the error is for people."""

    def __init__(self, predictor: Predictor, objective: Loss, task: Task, held: Resident, together: Processes) -> None:
        self._predictor, self._objective, self._task, self._held = predictor, objective, task, held
        self._together, self._target_N = together, held.target_N.to(together.device)

    def __call__(self, epoch: int) -> tuple[float, float]:
        """Raises TrainingError where the loss is not a finite number."""
        self._predictor.eval()
        with torch.no_grad():
            raw_NW = torch.cat([self._predictor.network(**piece.tensors) for piece in self._held.pieces()])
            own_loss = float(self._objective.validation(raw_NW, self._target_N))
            answers = self._predictor.answer(raw_NW).cpu().numpy()
        errors_N = self._task.errors(answers, self._target_N.cpu().numpy())
        # Each process normalises its batches by its own part of them: the first one's statistics are the model's.
        loss, error = self._together.follow_first([own_loss, float(errors_N.mean())])
        if not math.isfinite(loss):
            raise TrainingError(f"epoch {epoch}: expected a finite validation loss, got {loss}")
        return loss, error
