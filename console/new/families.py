"""Chooses the family of models that suits the features, with hyperparameters for the number of rows.

Each recipe belongs to a kind of data. Of tables and histories the validation rows end the training: `epochs` is a bound
that few trainings reach. Texts and images have a fixed number of epochs, along which the learning rate falls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from millrace.artefact.pretrained import PretrainedFile, read_pretrained
from millrace.models.parameters import Scale

SMALL_ROWS = 5_000
SMALL_IMAGES = 3_000
"""With fewer images, half the channels are nearly as good, in a quarter of the time."""
ROWS_LEARNT = 1_500_000
"""Rows that a training of a table or a history reads at most in all epochs together: two minutes on one core."""
EPOCHS = (5, 400)
"""The fewest and the most epochs that ROWS_LEARNT is divided into."""
PATIENT_STEPS = 300
"""A training goes on for so many steps without a better validation loss. Few rows have few steps in an epoch."""
TRAINED = 0.65
"""The share of the rows that train, about."""
TABLE_INPUTS = 512
"""Inputs of the first layer, about. If there are many columns, each is cut into fewer pieces."""
SIDE_OF_THREE_BLOCKS = 16
"""An image whose shorter side has 16 pixels is large enough for a third block of convolutions."""
PIXELS_LEARNT = 20_500_000
"""Pixels of images that a training reads at most in all epochs together, half a minute on one core: 12 epochs of
`xray`'s sample. Fewer or smaller images are read more often."""
EPOCHS_OF_IMAGES = (12, 48)
"""The fewest and the most epochs that PIXELS_LEARNT is divided into. Of 1,500 digits of 8 x 8 pixels a model of 12
epochs has 84 % right, of 48 epochs 97 %, and with all channels 99.6 %."""
LARGE_SIDE = 48
"""An image of 48 pixels or more takes long. To move it by one pixel is too little for another answer."""
VECTORS = 65_536
"""Vectors in the table of each text."""
COLUMNS_ONLY = "dense layers, as there are columns only"
COSINE = {"schedule": "cosine", "seed": 7}


@dataclass(frozen=True, kw_only=True)
class PartAtHand:
    """A frozen encoder that a person has: a file that `millrace part` wrote."""

    path: Path

    @cached_property
    def header(self) -> PretrainedFile:
        return read_pretrained(self.path.read_bytes(), where=str(self.path))

    @property
    def declared(self) -> dict[str, str]:
        """The key `pretrained` of workload.yaml; the file is copied into the workload's folder."""
        digest, licence = f"sha256:{self.header.origin.digest}", self.header.origin.licence
        return {"from": f"parts/{self.path.name}", "digest": digest, "licence": licence}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models: its name, its hyperparameters, and why it was chosen."""

    name: str
    values: Mapping[str, Any] = field(repr=False)
    why: str
    max_mb: int = 10
    """The size in megabytes of the largest artefact that passes the gate `size`."""
    part: PartAtHand | None = None
    """The frozen encoder that it takes; None where texts and images are read by what is learnt alone."""


def suited(
    *,
    rows: int,
    image_side: int = 0,
    has_history: bool = False,
    texts: int = 0,
    columns: int = 0,
    is_ordered: bool = False,
    has_trees: bool = False,
    label_scale: Scale = "identity",
    has_even_classes: bool = False,
) -> Family:
    """The family for these inputs:

    | inputs | family |
    |---|---|
    | free text or images beside other inputs | `multimodal` |
    | an image alone | `cnn` |
    | a history, with or without columns | `gru` |
    | free text alone | `bag` |
    | columns alone | `feedforward` |

    `image_side` is the shorter side in pixels, 0 without an image. `texts` is the number of columns of free text,
    `columns` that of all other inputs but images and histories. `is_ordered` says that later rows test and earlier
    rows train. `has_trees` says that boosted trees can answer this label from these inputs. `has_even_classes` says
    that the label is a class, and that no class has nearly all rows."""
    # Two kinds of inputs need a network with a trunk for each. Columns beside a history do not: `gru` reads both.
    others = bool(columns) + has_history
    if (image_side and (texts or others)) or (texts and others):
        family = _several(rows, image_side, texts)
    elif image_side:
        family = _images(rows, image_side, has_even_classes=has_even_classes)
    elif has_history:
        family = _series(rows)
    elif texts:
        family = _texts(rows, texts)
    elif is_ordered:
        family = _table_in_time(rows)
    else:
        family = with_intervals(rows, columns)
    family = with_trees(family, has_trees=has_trees)
    # Later labels go beyond the earlier ones, where a logarithm errs most: there a trial decides.
    return family if is_ordered else on_scale(family, label_scale)


def with_trees(of: Family, *, has_trees: bool) -> Family:
    """The same family, with or without boosted trees and a linear model beside its network.

    Of 24 tables the mean of network and trees is within 1 % of the best of linear models, boosted trees and AutoGluon
    on 20; the network alone is on 17. Where one of the three alone is certainly better, it answers."""
    others = {name: value for name, value in of.values.items() if name != "trees"}
    return replace(of, values={**others, "trees": "best"} if has_trees else others)


def on_scale(of: Family, scale: Scale) -> Family:
    """The same family, which learns the label on this scale."""
    others = {name: value for name, value in of.values.items() if name != "label_scale"}
    return replace(of, values=others if scale == "identity" else {**others, "label_scale": scale})


def with_intervals(rows: int, columns: int) -> Family:
    """Intervals that a tree finds, and eight heads on one layer, as in `income`.

    The average of the weights is validated and kept, so a constant learning rate ends as low as a falling one."""
    values = {
        "numbers": "piecewise_linear",
        "pieces": max(4, min(32, TABLE_INPUTS // max(columns, 1))),
        "embed_categories": True,
        "heads": 8,
        "hidden": [128],
        "dropout": 0.1,
        "learning_rate": 0.003,
        "ema": 0.99,
        "weight_decay": 0.01,
    }
    trained = TRAINED * rows
    stop = _until_it_stops(rows, batch_size=64 if trained < 1_000 else 128 if trained < 3_000 else 256, patience=12)
    return Family(name="feedforward", values=values | stop, why=COLUMNS_ONLY)


def _table_in_time(rows: int) -> Family:
    """Numbers as they are, as in `electricity`.

    Later numbers go beyond the numbers of the training, where a tree's intervals end. On three stretches of 16 weeks of
    `electricity`, intervals had an AUC of .87, .95 and .72, and plain numbers had .90, .94 and .91."""
    values = {"hidden": [64, 64], "learning_rate": 0.002, "weight_decay": 0.01, "dropout": 0.1}
    stop = _until_it_stops(rows, batch_size=64 if rows < SMALL_ROWS else 256, patience=6)
    return Family(name="feedforward", values=values | stop, why=COLUMNS_ONLY)


def _until_it_stops(rows: int, *, batch_size: int, patience: int) -> dict[str, Any]:
    """The hyperparameters of a training that ends when its validation loss no longer falls.

    `patience` is the least number of epochs that it waits for that. The bound on the epochs is counted in rows and not
    in seconds, so equal rows give an equal model."""
    steps = max(1, int(TRAINED * rows) // batch_size)
    epochs = max(EPOCHS[0], min(EPOCHS[1], ROWS_LEARNT // rows))
    waited = max(patience, math.ceil(PATIENT_STEPS / steps))
    return {"epochs": epochs, "batch_size": batch_size, "patience": min(waited, epochs), "seed": 7}


def _texts(rows: int, texts: int) -> Family:
    """A linear layer over the mean of the n-grams' vectors, as in `intents`."""
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


def with_part(of: Family, part: PartAtHand, texts: int) -> Family:
    """The same family, whose last layers also read what the encoder says of each text, or of the image."""
    # The graph and the weights have each number of the file, in four bytes in place of two.
    max_mb = of.max_mb + round(1.2 * 4 * max(1, texts) * part.path.stat().st_size / 1e6)
    own, read = ("word pieces", "text") if texts else ("convolutions", "image")
    return replace(of, why=f"{own}, and what {part.header.origin.name} says of the {read}", max_mb=max_mb, part=part)


def _images(rows: int, side: int, *, has_even_classes: bool) -> Family:
    """Residual blocks. Few or large images are learnt as in `xray`, others with the recipe of its quality benchmark.

    Equal weights help if later rows have other shares of the classes. They are not given to a rare class: its
    probabilities would be far above its share."""
    fewest, most = EPOCHS_OF_IMAGES
    epochs = max(fewest, min(most, PIXELS_LEARNT // (rows * side**2)))
    if rows < SMALL_IMAGES or side >= LARGE_SIDE:
        values: dict[str, Any] = {"channels": _channels(side), "hidden": 32, "batch_size": 32, "learning_rate": 0.003}
        # Twice the channels take four times as long.
        if 4 * most * rows * side**2 <= PIXELS_LEARNT:
            values |= {"channels": [2 * channels for channels in _channels(side)], "hidden": 64}
    else:
        values = {"channels": [2 * channels for channels in _channels(side)], "hidden": 64, "batch_size": 64}
        values |= {"learning_rate": 0.002, "answer_shift": 1}
        values |= {"label_smoothing": 0.05, "class_balance": True} if has_even_classes else {}
    return Family(name="cnn", values=values | {"epochs": epochs} | COSINE, why="convolutions, as there is an image")


def two_layers(of: Family) -> Family:
    """The same family with a second hidden layer, as large as the first."""
    return replace(of, values={**of.values, "hidden": [*of.values["hidden"], of.values["hidden"][-1]]})


def multiscale(rows: int) -> Family:
    """Dense layers over means of a history, as in `air_quality`."""
    values = {"hidden": [128], "learning_rate": 0.0005, "ema": 0.99, "weight_decay": 0.1, "dropout": 0.5}
    stop = _until_it_stops(rows, batch_size=64 if rows < SMALL_ROWS else 256, patience=8)
    return Family(name="multiscale", values=values | stop, why="means of the last steps, as there is a history")


def _series(rows: int) -> Family:
    values = {"units": 32, "hidden": 32, "learning_rate": 0.003, "ema": 0.99, "weight_decay": 0.01, "dropout": 0.1}
    stop = _until_it_stops(rows, batch_size=64 if rows < SMALL_ROWS else 256, patience=6)
    return Family(name="gru", values=values | stop, why="recurrent, as there is a history")


def _several(rows: int, image_side: int, texts: int) -> Family:
    """A trunk for each input, as in `reviews`. An image takes more epochs than a text, and has as many channels as one
    of few images."""
    small, dimension = rows < SMALL_ROWS, 32
    values: dict[str, Any] = {"dimension": dimension, "hidden": 0, "left_out": 0.1, "dropout": 0.2}
    values |= {"batch_size": 32 if small else 128, "epochs": 12 if small or image_side else 3}
    values |= {"learning_rate": 0.003, "channels": _channels(image_side)} if image_side else {"learning_rate": 0.004}
    why = "several inputs, of which a row may lack some"
    return Family(name="multimodal", values=values | COSINE, why=why, max_mb=_megabytes(texts, dimension))


def _channels(image_side: int) -> list[int]:
    return [8, 16, 32] if image_side >= SIDE_OF_THREE_BLOCKS else [8, 16]


def _megabytes(texts: int, dimension: int) -> int:
    """The bound on the size of the artefact, in megabytes.

    It holds the vectors of each text twice, as weights and in the graph, each number in four bytes. A fifth more and
    10 MB are left for all else."""
    return 10 + round(1.2 * texts * 2 * VECTORS * dimension * 4 / 1e6)
