"""The names that a training job shares with those who start it: its channels, and the metrics that it prints.

SageMaker reads the metrics out of the line that the job prints after each epoch."""

from __future__ import annotations

from collections.abc import Mapping

DATA_CHANNEL, CONFIG_CHANNEL, WEIGHTS_CHANNEL = "data", "config", "weights"
"""The pinned rows, the run's configuration, and the model that a training starts from."""
TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_ERROR = "train:loss", "validation:loss", "validation:error"
KEPT_LOSS, KEPT_ERROR = "kept:loss", "kept:error"
"""On the validation rows, of the best epoch so far, whose weights are kept."""
TRAINING_METRICS = (TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_ERROR, KEPT_LOSS, KEPT_ERROR)


def printed(metrics: Mapping[str, float]) -> str:
    """For example `train_loss=0.51 validation_loss=0.55`."""
    return " ".join(f"{_word(name)}={value:.6g}" for name, value in metrics.items())


def pattern(name: str) -> str:
    """The regular expression whose group is the metric in a line of the log."""
    return f"{_word(name)}=([0-9.eE+-]+)"


def _word(name: str) -> str:
    return name.replace(":", "_")
