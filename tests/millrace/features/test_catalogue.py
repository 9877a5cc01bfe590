from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from millrace.contract.rules.allowed import Allowed
from millrace.contract.schema import Column, Table
from millrace.errors import ArtefactError, WorkloadError
from millrace.features import catalogue
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.features.signature import TensorSpec
from millrace.workload.declaration import Feature

TABLE = Table(
    name="rows",
    columns=(
        Column(name="n", kind="float64", required=True),
        Column(name="m", kind="int64"),
        Column(name="hue", kind="string", rules=(Allowed(("red", "blue")),), required=True),
        Column(name="city", kind="string"),
        Column(name="new", kind="boolean"),
        Column(name="at", kind="timestamp"),
        Column(name="raw", kind="binary"),
    ),
)
ROWS = pa.table({
    "n": [0.5, 1e-3],
    "m": pa.array([2**40, None], pa.int64()),
    "hue": ["blue", "red"],
    "city": ["Bonn", None],
    "new": [True, None],
})  # fmt: skip


def declared(*names: str) -> catalogue.Features:
    return catalogue.declare([Feature(name=name) for name in names], TABLE)


def test_features_of_one_tensor_lie_side_by_side_in_declared_order() -> None:
    fitted = catalogue.fit(declared("hue", "m", "new", "n", "city"), ROWS)
    assert catalogue.signature(fitted) == (
        TensorSpec(name="categories", dtype="int64", shape=(3,), cardinalities=(3, 3, 2)),
        TensorSpec(name="numbers", dtype="float32", shape=(2,), optional=(True, False)),
    )
    found = catalogue.encode(fitted, ROWS)
    assert found["categories"].tolist() == [[2, 2, 1], [1, 0, 0]]
    np.testing.assert_array_equal(found["numbers"], np.array([[2**40, 0.5], [np.nan, 1e-3]], np.float32))
    assert catalogue.columns(fitted) == ("hue", "m", "new", "n", "city")


@pytest.mark.parametrize(("name", "kind"), [("at", "timestamp"), ("raw", "binary")])
def test_a_column_that_no_encoder_takes_is_refused_by_name(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "ENCODERS", {"number": Number, "image": Image})
    with pytest.raises(WorkloadError, match=f"{name}: expected .* encoders? .*number, image, got 'a {kind}'"):
        declared("n", name)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (Feature(name="n", encoder="smell"), "n.encoder: expected one of number, .*, got 'smell'"),
        (
            Feature(name="n", encoder="category"),
            "n.encoder: expected a column of text for the encoder category, got 'a column of the kind float64'",
        ),
        (
            Feature(name="n", encoder="history"),
            "n.encoder: expected a feature with history and hours for the encoder history, got 'a column",
        ),
        (
            Feature(name="past", history=("n", "m"), hours=3, encoder="number"),
            "past.encoder: expected a column of integers or floats for the encoder number, got 'a history'",
        ),
    ],
)
def test_an_encoder_that_cannot_encode_its_feature_is_refused(feature: Feature, expected: str) -> None:
    with pytest.raises(WorkloadError, match=rf"workload.yaml: prediction.features.{expected}"):
        catalogue.declare([feature], TABLE)


def test_an_unknown_encoder_or_field_of_a_document_is_refused() -> None:
    with pytest.raises(ArtefactError, match=r"expected an encoder of number, category, boolean, .*, got 'smell'"):
        catalogue.from_documents([{"encoder": "smell", "name": "n"}])
    with pytest.raises(ArtefactError, match="expected the fields of number"):
        catalogue.from_documents([{"encoder": "number", "name": "n", "scale": 2}])
