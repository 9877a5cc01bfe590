"""Fits how far a row is from the training rows, and measures it of the validation rows, which no step learns from."""

from __future__ import annotations

import torch

from millrace.errors import TrainingError
from millrace.jobs.training.loader import Resident
from millrace.models.likeness import MOST_FITTED, kept, states
from millrace.models.predictor import Predictor


def check_held_out(share: float, rows: int) -> None:
    """Raise TrainingError if so few validation rows cannot tell a row that is among the `share` farthest ones."""
    if (least := int(1 / share)) > rows:
        expected = f"at least {least} validation rows, so that {share:g} of them is one row"
        raise TrainingError(f"policy.unlike_training: expected {expected}, got {rows}")


def measure_held_out(predictor: Predictor, *, train: Resident, validation: Resident) -> tuple[float, ...]:
    """Fit the predictor's distance on the training rows. Returns the distances of validation rows, in order.

    The predictor is on the CPU and in evaluation mode. () for one that measures no distance."""
    if predictor.likeness is None:
        return ()
    pieces = train.spread(MOST_FITTED).pieces()
    predictor.likeness.fit(states(predictor.network, (piece.tensors for piece in pieces)))
    held = states(predictor.network, (piece.tensors for piece in validation.pieces()))
    with torch.no_grad():
        return kept(predictor.likeness(held)[:, 0].tolist())
