"""The encoders by name, and all features of a model together. Add an encoder: one file and one line in ENCODERS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from millrace.errors import ArtefactError, WorkloadError
from millrace.features.boolean import Boolean
from millrace.features.calendar import Calendar
from millrace.features.category import Category
from millrace.features.encoder import Encoder
from millrace.features.free_text import FreeText
from millrace.features.history import History
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.features.signature import Signature, TensorSpec
from millrace.features.text import Text
from millrace.features.tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.schema import Table
    from millrace.workload.declaration import Feature

ENCODERS: dict[str, type[Encoder]] = {
    "number": Number,
    "category": Category,
    "boolean": Boolean,
    "image": Image,
    "history": History,
    "calendar": Calendar,
    "text": Text,
    "tokens": Tokens,
}

Features = tuple[Encoder, ...]


def declare(features: Sequence[Feature], table: Table) -> Features:
    """The encoder of each declared feature, not fitted yet: the one it names, else the default for its column's kind.

    `table` is the contract's table with the columns. Raises WorkloadError for an unknown column, for a feature that its
    encoder cannot encode, and for a feature without an encoder."""
    return tuple(_declare(feature, table) for feature in features)


def _declare(feature: Feature, table: Table) -> Encoder:
    if missing := [name for name in feature.columns if name not in table.names]:
        came = ", ".join(missing)
        raise WorkloadError(where="workload.yaml", field="prediction.features", expected="columns", came=came)
    if feature.encoder is not None:
        return _declare_by(feature.encoder, feature, table)
    # Without a named encoder the form of the feature decides (`history`, `calendar`), or the kind of its column.
    kind = feature.form or table.column(feature.name).kind
    encoder = next((encoder for encoder in ENCODERS.values() if kind in encoder.default_for), None)
    if encoder is not None and (declared := declared_by(encoder, feature, table)) is not None:
        return declared
    expected = f"{encoder.takes_features}, or another encoder of" if encoder else "a feature for one of the encoders"
    raise WorkloadError(
        where="contract.yaml", field=feature.name, expected=f"{expected} {', '.join(ENCODERS)}", came=f"a {kind}"
    )


def _declare_by(name: str, feature: Feature, table: Table) -> Encoder:
    where, field = "workload.yaml", f"prediction.features.{feature.name}.encoder"
    if name not in ENCODERS:
        raise WorkloadError(where=where, field=field, expected=f"one of {', '.join(ENCODERS)}", came=name)
    declared = declared_by(ENCODERS[name], feature, table)
    if declared is None:
        came = f"a {feature.form}" if feature.form else f"a column of the kind {table.column(feature.name).kind}"
        expected = f"{ENCODERS[name].takes_features} for the encoder {name}"
        raise WorkloadError(where=where, field=field, expected=expected, came=came)
    return declared


def declared_by(encoder: type[Encoder], feature: Feature, table: Table) -> Encoder | None:
    """The encoder of this class for the feature; None if the class encodes no such form or no such column."""
    return encoder.declare(feature, table) if feature.form in encoder.forms else None


def fit(features: Features, rows: pa.Table) -> Features:
    """The encoders with what they have learnt from the training rows."""
    return tuple(encoder.fit(rows) for encoder in features)


def signature(features: Features) -> Signature:
    """The tensors of these features, in declared order.

    Features with the same name of tensor share one: their parts are joined along its first axis. So five numbers are
    one tensor `numbers` of shape (5,)."""
    joined: dict[str, TensorSpec] = {}
    for encoder in features:
        spec, before = encoder.spec, joined.get(encoder.spec.name)
        joined[spec.name] = spec if before is None else _joined(before, spec)
    return tuple(joined.values())


def _joined(a: TensorSpec, b: TensorSpec) -> TensorSpec:
    first = None if a.shape[0] is None or b.shape[0] is None else a.shape[0] + b.shape[0]
    return replace(
        a,
        shape=(first, *a.shape[1:]),
        cardinalities=(*a.cardinalities, *b.cardinalities),
        optional=(*a.optional, *b.optional),
    )


def histories(features: Features) -> tuple[History, ...]:
    """The histories among the features. They alone need other rows than the row itself."""
    return tuple(encoder for encoder in features if isinstance(encoder, History))


def add_histories(features: Features, rows: pa.Table, before: pa.Table | None = None) -> pa.Table:
    """`rows` with the past of each row, looked up in `before` and in `rows` themselves.

    Call it before rows are cut into parts or encoded: afterwards a row may lack its past."""
    for encoder in histories(features):
        rows = encoder.add_steps(rows, before)
    return rows


def images(features: Features) -> tuple[Image, ...]:
    """The images among the features. Their cells can only be judged by decoding: the contract looks at headers."""
    return tuple(encoder for encoder in features if isinstance(encoder, Image))


def measured(features: Features) -> tuple[Image | FreeText, ...]:
    """The images and texts among the features.

    Monitors watch numbers that are measured on their tensors, such as brightness: the cells themselves are neither
    numbers nor words."""
    return tuple(encoder for encoder in features if isinstance(encoder, Image | FreeText))


def measure(features: Features, tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float64]]:
    """The watched columns of images and texts, such as `scan.brightness` (N), from the tensors of the rows."""
    found: dict[str, npt.NDArray[np.float64]] = {}
    for encoder in measured(features):
        found |= encoder.measure(tensors[encoder.spec.name])
    return found


def encode(features: Features, rows: pa.Table) -> dict[str, npt.NDArray[Any]]:
    """The tensors (N, …) of `rows` by name. The rows must have the columns of the features."""
    return _together(features, [encoder.encode(rows) for encoder in features])


def decodable(features: Features, rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether all images of each row can be decoded (N); true for features without images."""
    import numpy as np

    found = np.ones(rows.num_rows, np.bool_)
    for encoder in images(features):
        found &= encoder.takes(rows)
    return found


def encode_taken(
    features: Features, rows: pa.Table
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[np.bool_]]]:
    """The tensors (T, …) of the T rows that all encoders take, and for each encoder which of the N rows it takes (N).

    The tensors have the same bits as those of `encode`. If no row is taken, there are no tensors: a column may have a
    type that its encoder cannot read at all."""
    import numpy as np
    import pyarrow as pa

    # `takes` would decode each image, and `encode` again. Here each image is decoded once, for both.
    decoded = {image.name: image.decode(rows) for image in images(features)}
    taken = {
        encoder.name: decoded[encoder.name][1] if encoder.name in decoded else encoder.takes(rows)
        for encoder in features
    }
    # Everything else is encoded for the good rows alone: `encode` is not defined for others.
    good_N = np.logical_and.reduce([*taken.values()])
    if rows.num_rows and not good_N.any():
        return {}, taken
    good = rows if good_N.all() else rows.filter(pa.array(good_N))
    parts = [
        decoded[encoder.name][0][... if good_N.all() else good_N] if encoder.name in decoded else encoder.encode(good)
        for encoder in features
    ]
    return _together(features, parts), taken


def _together(features: Features, encoded: Sequence[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The tensors by name, from the part of each feature; parts of the same tensor are joined."""
    import numpy as np

    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for encoder, part in zip(features, encoded, strict=True):
        parts.setdefault(encoder.spec.name, []).append(part)
    # Arrow's memory is read-only, of which torch warns. Joined parts are a copy anyway; a part that is alone in its
    # tensor is copied if it is read-only.
    return {
        name: np.concatenate(found, axis=1) if len(found) > 1 else np.require(found[0], requirements="W")
        for name, found in parts.items()
    }


def stack(features: Features, encoded: Sequence[Sequence[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The tensors (N, …) of rows that `encode_one` has encoded; they have the same bits as those of `encode`.

    `encoded[row][feature]` is the part of one feature of one row."""
    import numpy as np

    parts = [
        np.array([row[place] for row in encoded], np.dtype(encoder.spec.dtype))
        for place, encoder in enumerate(features)
    ]
    return _together(features, parts)


def columns(features: Features) -> tuple[str, ...]:
    """The contract's columns that the features read, each once, in declared order."""
    return tuple(dict.fromkeys(column for encoder in features for column in encoder.columns))


def inputs(features: Features) -> tuple[str, ...]:
    """The names of what a row carries to a model of these features, each once, in declared order."""
    return tuple(dict.fromkeys(name for encoder in features for name in encoder.inputs))


def summarise(features: Features, rows: pa.Table) -> pa.Table:
    """The table of the columns that the monitors watch, each once: numbers, text or booleans."""
    import pyarrow as pa

    found: dict[str, pa.ChunkedArray] = {}
    for encoder in features:
        summary = encoder.summarise(rows)
        found |= {name: summary.column(name) for name in encoder.watched}
    return pa.table(found)


def to_documents(features: Features) -> list[dict[str, Any]]:
    """The fitted encoders as JSON for model.json: `[{"encoder": "number", "name": "a", "optional": false}, …]`."""
    return [{"encoder": encoder.kind, **asdict(encoder)} for encoder in features]


def from_documents(documents: Sequence[Mapping[str, Any]]) -> Features:
    """The encoders of model.json. Raises ArtefactError for an unknown encoder or a wrong field."""
    return tuple(_from_document(document) for document in documents)


def _from_document(document: Mapping[str, Any]) -> Encoder:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    kind = fields.pop("encoder", None)
    if kind not in ENCODERS:
        raise ArtefactError(f"model.json: features: expected an encoder of {', '.join(ENCODERS)}, got {kind!r}")
    try:
        return ENCODERS[kind](**fields)
    except TypeError as error:
        raise ArtefactError(f"model.json: features: expected the fields of {kind}, got {error}") from None
