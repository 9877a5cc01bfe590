"""The family of models that suits the features, with hyperparameters for so many rows.

Each recipe belongs to a kind of data: a workload below `workloads` that has data of this kind declares the same, and
`tests/console/new/test_families.py` compares the two. Fewer or more rows change its epochs and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.new.prediction import word

SMALL_ROWS = 5_000
LARGE_ROWS = 20_000
SMALL_IMAGES = 3_000
"""Rows below which half the channels are nearly as good, in a quarter of the time."""
ROWS_LEARNT = 1_500_000
"""Of a table, over all epochs: half a minute on two cores."""
TABLE_INPUTS = 800
"""Of the first layer, about: each of many columns is cut into fewer pieces."""
SIDE_OF_THREE_BLOCKS = 16
"""Pixels from which on an image is large enough for a third block of convolutions."""
LARGE_SIDE = 48
"""Pixels from which on an image takes long, and one pixel is too little of it to move it by for another answer."""
VECTORS = 65_536
"""In the table of each text."""

COLUMNS_ONLY = "dense layers, as there are columns only"
COSINE = {"schedule": "cosine", "seed": 7}


@dataclass(frozen=True, kw_only=True)
class Family:
    """Its name and its hyperparameters."""

    name: str
    values: Mapping[str, Any] = field(repr=False)
    why: str
    max_mb: int = 10
    """The largest artefact that passes its gate."""

    @property
    def parameters(self) -> str:
        """As YAML has them."""
        return word(dict(self.values))


def suited(
    *,
    rows: int,
    image_side: int = 0,
    has_history: bool = False,
    texts: int = 0,
    columns: int = 0,
    is_ordered: bool = False,
    has_even_classes: bool = False,
) -> Family:
    """A multimodal network for free text or images beside other inputs, else a convolutional one for images, a
    recurrent one for a history, a bag for free text alone, a feedforward one for columns alone.

    `image_side` is the shorter side in pixels; 0 without an image. `texts` are the columns of free text, `columns` all
    others but the image's. `is_ordered` says that later rows test and earlier ones train, `has_even_classes` that the
    label is a class and none has nearly all rows."""
    others = bool(columns) + has_history
    if (image_side and (texts or others)) or (texts and others):
        return _several(rows, image_side, texts)
    if image_side:
        return _images(rows, image_side, has_even_classes=has_even_classes)
    if has_history:
        return _series(rows)
    if texts:
        return _texts(rows, texts)
    return _table_in_time(rows) if is_ordered else _table(rows, columns)


def _table(rows: int, columns: int) -> Family:
    """Intervals that a tree finds, and eight heads on one layer; as `income`.

    A batch of a quarter takes a quarter of the learning rate; few rows have too few steps in larger ones."""
    small, epochs = rows < SMALL_ROWS, max(5, min(25, ROWS_LEARNT // rows))
    values = {
        "numbers": "piecewise_linear",
        "pieces": max(4, min(32, TABLE_INPUTS // max(columns, 1))),
        "embed_categories": True,
        "heads": 8,
        "hidden": [128],
        "dropout": 0.1,
        "epochs": epochs,
        "batch_size": 128 if small else 512,
        "learning_rate": 0.005 if small else 0.02,
        "weight_decay": 0.01,
        "patience": epochs,
    }
    return Family(name="feedforward", values=values | COSINE, why=COLUMNS_ONLY)


def _table_in_time(rows: int) -> Family:
    """Numbers as they are; as `electricity`.

    Later ones go beyond those of the training, where a tree's intervals end: on stretches of 16 weeks of `electricity`
    these had an AUC of .87, .95 and .72, plain numbers one of .90, .94 and .91."""
    small = rows < SMALL_ROWS
    values = {
        "hidden": [64, 64],
        "epochs": 60 if small else 30,
        "batch_size": 64 if small else 256,
        "learning_rate": 0.002,
        "weight_decay": 0.01,
        "dropout": 0.1,
        "patience": 6,
        "seed": 7,
    }
    return Family(name="feedforward", values=values, why=COLUMNS_ONLY)


def _texts(rows: int, texts: int) -> Family:
    """A linear layer over the mean of the n-grams' vectors; as `intents`."""
    small, dimension = rows < SMALL_ROWS, 128
    values = {
        "dimension": dimension,
        "dropout": 0.2,
        "epochs": 12 if small else 6,
        "batch_size": 64 if small else 128,
        "learning_rate": 0.008,
    }
    why = "words and pairs of words, as there is free text"
    return Family(name="bag", values=values | COSINE, why=why, max_mb=_megabytes(texts, dimension))


def _images(rows: int, side: int, *, has_even_classes: bool) -> Family:
    """Residual blocks; of few or of large images as `xray`, of more with the recipe of its quality benchmark.

    Classes of equal weight are better found where later rows have other shares of them; the probabilities of a rare
    class would be far above its share."""
    if rows < SMALL_IMAGES or side >= LARGE_SIDE:
        values: dict[str, Any] = {"channels": _channels(side), "hidden": 32, "batch_size": 32, "learning_rate": 0.003}
    else:
        values = {"channels": [2 * channels for channels in _channels(side)], "hidden": 64, "batch_size": 64}
        values |= {"learning_rate": 0.002, "answer_shift": 1}
        values |= {"label_smoothing": 0.05, "class_balance": True} if has_even_classes else {}
    return Family(name="cnn", values=values | {"epochs": 12} | COSINE, why="convolutions, as there is an image")


def _series(rows: int) -> Family:
    values = {
        "units": 32,
        "hidden": 32,
        "epochs": 4 if rows > LARGE_ROWS else 12,
        "batch_size": 64 if rows < SMALL_ROWS else 256,
        "learning_rate": 0.003,
        "weight_decay": 0.01,
        "dropout": 0.1,
        "patience": 3,
        "seed": 7,
    }
    return Family(name="gru", values=values, why="recurrent, as there is a history")


def _several(rows: int, image_side: int, texts: int) -> Family:
    """A trunk for each input; as `reviews`. An image takes more epochs than a text, and the channels of few images."""
    small, dimension = rows < SMALL_ROWS, 32
    values: dict[str, Any] = {"dimension": dimension, "hidden": 0, "left_out": 0.1, "dropout": 0.2}
    values |= {"batch_size": 32 if small else 128, "epochs": 12 if small or image_side else 3}
    values |= {"learning_rate": 0.003, "channels": _channels(image_side)} if image_side else {"learning_rate": 0.004}
    why = "several inputs, of which a row may lack some"
    return Family(name="multimodal", values=values | COSINE, why=why, max_mb=_megabytes(texts, dimension))


def _channels(image_side: int) -> list[int]:
    return [8, 16, 32] if image_side >= SIDE_OF_THREE_BLOCKS else [8, 16]


def _megabytes(texts: int, dimension: int) -> int:
    """Each text's vectors are there twice, as weights and in the graph; a fifth is left for all else."""
    return 10 + round(1.2 * texts * 2 * VECTORS * dimension * 4 / 1e6)
