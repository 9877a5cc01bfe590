"""The names that a training job shares with whoever starts it: its input channels, and the metrics that it prints.

SageMaker finds the metrics in the line that the job prints after each epoch, by the expression of `pattern`:

    epoch=0 train_loss=0.475613 validation_loss=0.775699 validation_error=0.34375 kept_loss=0.775699 kept_error=0.34375
"""

from __future__ import annotations

from collections.abc import Mapping

DATA_CHANNEL, CONFIG_CHANNEL, WEIGHTS_CHANNEL, PRETRAINED_CHANNEL = "data", "config", "weights", "pretrained"
"""The channels with the pinned rows, the run's configuration, the model that a training starts from, and its vectors of
words."""
TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_ERROR = "train:loss", "validation:loss", "validation:error"
KEPT_LOSS, KEPT_ERROR = "kept:loss", "kept:error"
"""The loss and error of the best epoch so far on the validation rows. The job keeps the weights of this epoch."""
TRAINING_METRICS = (TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_ERROR, KEPT_LOSS, KEPT_ERROR)


def printed(metrics: Mapping[str, float]) -> str:
    """The metrics as the job prints them: `train_loss=0.51 validation_loss=0.55`."""
    return " ".join(f"{_word(name)}={value:.6g}" for name, value in metrics.items())


def pattern(name: str) -> str:
    """The regular expression that finds the metric in a line of the log. Its group is the number."""
    return f"{_word(name)}=([0-9.eE+-]+)"


def _word(name: str) -> str:
    return name.replace(":", "_")
