"""The family of models that suits the features, with hyperparameters for so many rows."""

from __future__ import annotations

from dataclasses import dataclass

SMALL_ROWS = 5_000
LARGE_ROWS = 20_000
SIDE_OF_THREE_BLOCKS = 48
"""Pixels from which on an image is worth a third block of convolutions."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Its name and its parameters, as YAML has them."""

    name: str
    parameters: str
    why: str
    max_mb: int = 10
    """The largest artefact that passes its gate."""


def suited(*, rows: int, image_side: int = 0, has_history: bool = False, texts: int = 0) -> Family:
    """A convolutional network for images, a recurrent one for a history, a bag for free text, else a feedforward one.

    `image_side` is the shorter side in pixels; 0 without an image. `texts` are the columns of free text."""
    if image_side:
        channels = "[8, 16, 32]" if image_side >= SIDE_OF_THREE_BLOCKS else "[8, 16]"
        words = f"channels: {channels}, hidden: 32, epochs: 12, batch_size: 32, learning_rate: 0.003"
        return Family(name="cnn", parameters=f"{{{words}, seed: 7}}", why="convolutions, as there is an image")
    if has_history:
        epochs = 4 if rows > LARGE_ROWS else 12
        words = f"units: 32, hidden: 32, epochs: {epochs}, batch_size: {64 if rows < SMALL_ROWS else 256}"
        words += ", learning_rate: 0.003, weight_decay: 0.01, dropout: 0.1, patience: 3, seed: 7"
        return Family(name="gru", parameters=f"{{{words}}}", why="recurrent, as there is a history")
    small = rows < SMALL_ROWS
    if texts:
        words = f"dimension: 32, hidden: 32, epochs: {12 if small else 6}, batch_size: {64 if small else 128}"
        words += ", learning_rate: 0.008, schedule: cosine, dropout: 0.2, patience: 3, seed: 7"
        why = "words and pairs of words, as there is free text"
        # Each text has a table of 65,536 vectors, once as weights and once in the graph.
        return Family(name="bag", parameters=f"{{{words}}}", why=why, max_mb=20 * texts + 5)
    words = f"hidden: [64, 64], epochs: {60 if small else 30}, batch_size: {64 if small else 256}"
    words += ", learning_rate: 0.002, weight_decay: 0.01, dropout: 0.1, patience: 6, seed: 7"
    return Family(name="feedforward", parameters=f"{{{words}}}", why="dense layers, as there are columns only")
