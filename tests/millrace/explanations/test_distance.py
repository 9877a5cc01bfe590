"""Gower's distance of rows by hand, for every kind of tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.explanations.distance import BLOCK, RANKED, nearest, weights
from millrace.explanations.explained import Explained, MeanContribution
from millrace.explanations.reference import Reference
from millrace.features import catalogue as encoders
from millrace.features.boolean import Boolean
from millrace.features.category import Category
from millrace.features.encoder import Encoder
from millrace.features.history import History
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.features.text import Text
from millrace.features.tokens import Tokens


def apart(encoder: Encoder, table: pa.Table, row: dict[str, Any]) -> list[float]:
    """The distance of each row of the table, in its order."""
    [fitted] = encoders.fit((encoder,), table)
    found = nearest(table, row, (fitted,), np.ones(1), count=table.num_rows)
    return [one.apart[encoder.name] for one in sorted(found, key=lambda one: one.place)]


def test_numbers_are_apart_by_the_share_of_rows_between_them() -> None:
    table = pa.table({"load": [1.0, 2.0, 3.0, 1e30, None]})
    encoder = Number(name="load", optional=True)
    # Of the four known ones, one lies between the middles of 2 and 3, however far the last is out.
    assert apart(encoder, table, {"load": 2.0}) == [0.25, 0.0, 0.25, 0.5, 1.0]
    assert apart(encoder, table, {"load": None}) == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert apart(encoder, table, {"load": 2.5}) == pytest.approx([0.375, 0.125, 0.125, 0.375, 1.0])


def test_a_number_beyond_all_training_rows_is_apart_from_each_of_them() -> None:
    constant = pa.table({"load": [3.0, 3.0, 3.0, 3.0]})
    assert apart(Number(name="load"), constant, {"load": 2.9}) == [0.5] * 4
    assert apart(Number(name="load"), constant, {"load": 3.0}) == [0.0] * 4
    assert apart(Number(name="load", optional=True), pa.table({"load": pa.nulls(2, pa.float64())}), {"load": 1.0}) == [
        1,
        1,
    ]


def test_a_category_is_the_same_or_it_is_not() -> None:
    table = pa.table({"kind": ["pump", "fan", None], "open": [True, False, None]})
    assert apart(Category(name="kind", optional=True, words=("fan", "pump")), table, {"kind": "fan"}) == [1, 0, 1]
    assert apart(Boolean(name="open", optional=True), table, {"open": None}) == [1, 1, 0]


@pytest.mark.parametrize("encoder", [Text(name="note"), Tokens(name="note")], ids=["text", "tokens"])
def test_texts_are_apart_by_the_pieces_that_one_of_them_lacks(encoder: Encoder) -> None:
    table = pa.table({"note": ["late again", "late late again", "xylophone", "late", ""]})
    same, twice, other, part, nothing = apart(encoder, table, {"note": "late again"})
    assert same == 0
    assert twice < part < other
    assert nothing == 1
    assert apart(encoder, table, {"note": ""})[-1] == 0


def test_images_are_apart_by_their_mean_pixel() -> None:
    encoder = Image(name="scan", encoding="raw", shape=(1, 1, 2))
    table = pa.table({"scan": [bytes([0, 255]), bytes([0, 0]), bytes([255, 0])]})
    assert apart(encoder, table, {"scan": "AP8="}) == [0.0, 0.5, 1.0]


def test_histories_are_apart_by_their_steps() -> None:
    encoder = History(name="past", history=("load",), entity=(), event_time="at", steps=2, every_hours=1.0)
    table = pa.table({"past": pa.array([[1, 2], [3, 4], [1, None]], pa.list_(pa.float32(), 2))})
    # Five known steps: 1, 1, 2, 3, 4; from 1 to 3 lie half of the ones, the 2 and half of the 3.
    assert apart(encoder, table, {"past": [1.0, 2.0]}) == pytest.approx([0, (2.5 / 5 + 2 / 5) / 2, 0.5])


def test_features_count_by_their_weights_and_the_newest_of_equal_rows_comes_first() -> None:
    table = pa.table({"load": [1.0, 2.0, 1.0], "kind": ["fan", "pump", "fan"]})
    features = (Number(name="load"), Category(name="kind", words=("fan", "pump")))
    row = {"load": 1.0, "kind": "pump"}
    assert [one.place for one in nearest(table, row, features, np.array([3.0, 1.0]), count=3)] == [2, 0, 1]
    first, *_ = nearest(table, row, features, np.array([1.0, 3.0]), count=1)
    assert (first.place, first.distance) == (1, pytest.approx(0.25 * 0.5))
    assert first.apart == {"load": 0.5, "kind": 0.0}


def test_the_nearest_of_many_blocks_is_found() -> None:
    table = pa.table({"load": np.random.default_rng(0).permutation(5 * BLOCK + 7).astype(np.float64)})
    assert table.num_rows > RANKED
    [one] = nearest(table, {"load": 2711.5}, (Number(name="load"),), np.ones(1), count=1)
    assert table["load"][one.place].as_py() in (2711, 2712)
    assert 0 < one.distance < 1 / table.num_rows


def test_weights_are_the_contributions_of_a_feature_s_columns() -> None:
    past = History(name="past", history=("load", "heat"), entity=("site",), event_time="at", steps=2, every_hours=1.0)
    features = (Number(name="load"), past, Number(name="unused"))
    assert weights(features, None).tolist() == [1, 1, 1]
    means = (MeanContribution(column="load", mean=0.5), MeanContribution(column="heat", mean=0.25))
    explained = Explained(
        method="shapley",
        reference=Reference(means={}, blanks={}),
        rows=1,
        completeness_error=0,
        columns=means,
        places=(),
        compared=(),
    )
    assert weights(features, explained).tolist() == [0.5, 0.75, 0]
    assert weights(features[2:], explained).tolist() == [1]
