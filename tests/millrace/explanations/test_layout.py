"""What each entry of a row's tensors says, in the contract's words."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from millrace.explanations.layout import lay_out
from millrace.explanations.permutation import column_masks, permuted
from millrace.explanations.reference import fit_reference
from millrace.features import catalogue
from millrace.features.boolean import Boolean
from millrace.features.calendar import Calendar
from millrace.features.category import Category
from millrace.features.history import History
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.features.parts import NOWHERE
from millrace.features.text import Text
from millrace.features.tokens import UNKNOWN, Tokens

TEXTS = ["the film was good", "good good film, not late", "a late film"] * 3
PAST = History(name="past", history=("load", "wind"), entity=(), event_time="at", steps=3, every_hours=1.0)
ROWS = pa.table({
    "at": pa.array([datetime(2026, 3, 2, 13)] * 9, pa.timestamp("us")),  # noqa: DTZ001 the contract's times have no zone
    "load": [1.0, 2.0, None] * 3,
    "hue": ["red", "blue", None] * 3,
    "open": [True, False, None] * 3,
    "note": TEXTS,
    "word": TEXTS,
    "scan": [bytes(range(64))] * 9,
    "past": pa.array([[0.5, 1, None, 2, 3, 4.0]] * 9, pa.list_(pa.float32(), 6)),
})  # fmt: skip
FEATURES = catalogue.fit(
    (
        Number(name="load", optional=True),
        Category(name="hue", optional=True, words=("blue", "red")),
        Boolean(name="open", optional=True),
        Calendar(name="when", calendar="at", parts=("hour", "weekday")),
        PAST,
        Image(name="scan", encoding="raw", shape=(1, 8, 8)),
        Tokens(name="note"),
        Text(name="word"),
    ),
    ROWS,
)


def test_every_encoder_has_a_feature() -> None:
    assert {type(one) for one in FEATURES} == set(catalogue.ENCODERS.values()), "add one of it to FEATURES"


def words(row: int = 0) -> list[tuple[str, str]]:
    return [(part.name, part.value) for part in lay_out(FEATURES, ROWS.slice(row, 1).to_pylist()[0]).parts]


def test_parts_are_columns_hours_patches_and_words() -> None:
    found = words()
    assert found[:3] == [("load", "1"), ("hue", "red"), ("open", "true")]
    assert found[3:5] == [("at, hour", "13"), ("at, weekday", "1")]
    assert found[5:11] == [
        ("load, -2 h", "0.5"), ("wind, -2 h", "1"), ("load, -1 h", "missing"),
        ("wind, -1 h", "2"), ("load, 0 h", "3"), ("wind, 0 h", "4"),
    ]  # fmt: skip
    assert found[11] == ("scan, rows 1-2, columns 1-2", "")
    for text in ("note", "word"):
        told = [f"{text}, {word}" for word in ("the", "film", "was", "good")]
        assert [name for name, _ in found if name.startswith(f"{text}, ")] == told
    assert words(2)[:3] == [("load", "missing"), ("hue", "missing"), ("open", "missing")]


def test_every_entry_of_every_tensor_is_of_a_part_or_padding() -> None:
    tensors, row = catalogue.encode(FEATURES, ROWS), ROWS.slice(0, 1).to_pylist()[0]
    layout = lay_out(FEATURES, row)
    for spec in catalogue.signature(FEATURES):
        places = layout.of_entry[spec.name]
        assert places.shape == spec.shape
        padding = tensors[spec.name][0] == 0 if spec.name in ("note", "word") else np.zeros(spec.shape, np.bool_)
        np.testing.assert_array_equal(places == NOWHERE, padding)
    used = set(np.concatenate([places.ravel() for places in layout.of_entry.values()]).tolist()) - {NOWHERE}
    assert used == set(range(len(layout.parts)))


def test_the_row_kept_whole_is_the_row_and_without_any_part_the_reference() -> None:
    tensors = catalogue.encode(FEATURES, ROWS)
    one = {name: value[:1] for name, value in tensors.items()}
    reference = fit_reference(FEATURES, tensors).tensors(catalogue.signature(FEATURES), one)
    layout = lay_out(FEATURES, ROWS.slice(0, 1).to_pylist()[0])
    row, base = ({name: value[0] for name, value in some.items()} for some in (one, reference))
    kept = layout.keep(row, base, np.array([[True] * len(layout.parts), [False] * len(layout.parts)]))
    for name in tensors:
        np.testing.assert_array_equal(kept[name][0], row[name])
        np.testing.assert_array_equal(kept[name][1], base[name])
    assert base["numbers"][0] == 1.5  # the mean of what is known
    assert base["scan"].min() == base["scan"].max() == 32
    assert set(base["note"][row["note"] > 0]) == {UNKNOWN}
    np.testing.assert_array_equal(base["past"][:, 1], np.float32([7 / 3] * 3))
    assert not base["categories"].any()


@pytest.mark.parametrize("text", ["The film was good, and GOOD again: not late", "é", "  ", "a b a b a"])
def test_each_id_of_a_text_has_its_word(text: str) -> None:
    table = pa.table({"note": TEXTS})
    for encoder in (Text(name="note").fit(table), Tokens(name="note").fit(table)):
        named, origins = encoder.origins(text)
        assert len(origins) == len(encoder.ids(text))
        assert all(0 <= origin < len(named) for origin in origins)
    whole = Text(name="note", is_short=False, length=512)
    named, origins = whole.origins(text)
    singles = [(whole.ids(word)[0], word) for word in named]
    for one, word in singles:
        assert named[origins[whole.ids(text).index(one)]] == word


def test_a_column_is_exchanged_in_every_tensor_that_it_fills() -> None:
    masks = column_masks(FEATURES, ROWS.slice(0, 1).to_pylist()[0])
    assert set(masks) == {column for one in FEATURES for column in one.columns}
    assert masks["load"]["numbers"][0]
    np.testing.assert_array_equal(masks["load"]["past"], [[True, False]] * 3)
    assert masks["note"]["note"].all()
    assert not masks["hue"]["numbers"].any()
    tensors = catalogue.encode(FEATURES, ROWS)
    mixed = permuted(tensors, masks["note"])
    assert sorted(map(tuple, mixed["note"].tolist())) == sorted(map(tuple, tensors["note"].tolist()))
    assert (mixed["note"] != tensors["note"]).any()
    np.testing.assert_array_equal(mixed["categories"], tensors["categories"])
