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


def suited(*, rows: int, image_side: int = 0, has_history: bool = False, texts: int = 0, columns: int = 0) -> Family:
    """A multimodal network for free text or images beside other inputs, else a convolutional one for images, a
    recurrent one for a history, a bag for free text alone, a feedforward one for columns alone.

    `image_side` is the shorter side in pixels; 0 without an image. `texts` are the columns of free text, `columns` all
    others but the image's."""
    small = rows < SMALL_ROWS
    others = bool(columns) + has_history
    if (image_side and (texts or others)) or (texts and others):
        return _multimodal(small=small, image_side=image_side, texts=texts)
    if image_side:
        words = f"channels: {_channels(image_side)}, hidden: 32, epochs: 12, batch_size: 32, learning_rate: 0.003"
        return Family(name="cnn", parameters=f"{{{words}, seed: 7}}", why="convolutions, as there is an image")
    if has_history:
        epochs = 4 if rows > LARGE_ROWS else 12
        words = f"units: 32, hidden: 32, epochs: {epochs}, batch_size: {64 if rows < SMALL_ROWS else 256}"
        words += ", learning_rate: 0.003, weight_decay: 0.01, dropout: 0.1, patience: 3, seed: 7"
        return Family(name="gru", parameters=f"{{{words}}}", why="recurrent, as there is a history")
    if texts:
        words = f"dimension: 32, hidden: 32, epochs: {12 if small else 6}, batch_size: {64 if small else 128}"
        words += ", learning_rate: 0.008, schedule: cosine, dropout: 0.2, patience: 3, seed: 7"
        why = "words and pairs of words, as there is free text"
        return Family(name="bag", parameters=f"{{{words}}}", why=why, max_mb=_megabytes(texts))
    words = f"hidden: [64, 64], epochs: {60 if small else 30}, batch_size: {64 if small else 256}"
    words += ", learning_rate: 0.002, weight_decay: 0.01, dropout: 0.1, patience: 6, seed: 7"
    return Family(name="feedforward", parameters=f"{{{words}}}", why="dense layers, as there are columns only")


def _multimodal(*, small: bool, image_side: int, texts: int) -> Family:
    """Of an image the convolutions are those of the family cnn; a text alone learns in fewer epochs than an image."""
    words = f"dimension: 32, hidden: 0, left_out: 0.1, dropout: 0.2, batch_size: {32 if small else 128}"
    if image_side:
        words += f", channels: {_channels(image_side)}, epochs: 12"
    else:
        words += f", epochs: {12 if small else 4}"
    words += f", learning_rate: {0.003 if image_side else 0.004}, schedule: cosine, seed: 7"
    why = "several inputs, of which a row may lack some"
    return Family(name="multimodal", parameters=f"{{{words}}}", why=why, max_mb=_megabytes(texts))


def _channels(image_side: int) -> str:
    return "[8, 16, 32]" if image_side >= SIDE_OF_THREE_BLOCKS else "[8, 16]"


def _megabytes(texts: int) -> int:
    """Each text has a table of 65,536 vectors of 32 numbers, once as weights and once in the graph."""
    return 20 * texts + 10
