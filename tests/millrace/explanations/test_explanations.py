"""Which number of an answer is explained, what it is called, and what it is: for every task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from millrace.explanations.attribution import explained_words, is_share
from millrace.explanations.layout import Layout, lay_out
from millrace.explanations.permutation import column_masks, permuted
from millrace.explanations.reference import fit_reference
from millrace.explanations.shapley import Game, explain
from millrace.features import catalogue
from millrace.features.boolean import Boolean
from millrace.features.calendar import Calendar
from millrace.features.category import Category
from millrace.features.history import History
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.features.parts import NOWHERE, Part
from millrace.features.text import Text
from millrace.features.tokens import UNKNOWN, Tokens
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task
from tests.millrace.tasks.test_tasks import Case, case_of


@pytest.fixture(params=TASKS, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def test_every_number_of_an_output_has_a_name_of_its_own(case: Case) -> None:
    names = case.task.output_names
    assert len(set(names)) == len(names) == case.task.objective.width
    for at, name in enumerate(names):
        assert explained_words(case.task, at) == ("log odds of " if is_share(case.task.objective) else "") + name


Tensors = Mapping[str, npt.NDArray[Any]]


def game(outputs: Any, row: list[float], *, task: Task | None = None) -> Game:
    """Each number is a part; the reference is 0."""
    count = len(row)
    layout = Layout(
        parts=tuple(Part(column=f"x{place}") for place in range(count)), of_entry={"numbers": np.arange(count)}
    )
    return Game(
        outputs=outputs,
        task=task or Regression(),
        layout=layout,
        row={"numbers": np.array(row, np.float32)},
        reference={"numbers": np.zeros(count, np.float32)},
        at=0,
    )


def tangled(tensors: Tensors) -> npt.NDArray[Any]:
    x = tensors["numbers"].astype(np.float64)
    return (np.tanh(x @ np.sin(np.arange(x.shape[1]))) + x[:, 0] * np.maximum(x[:, 3], x[:, 5]))[:, None]


def test_few_parts_have_the_mean_over_all_orders() -> None:
    row = [0.5, -1.0, 2.0, 1.5, 0.3, 0.9]
    of = game(tangled, row)
    expected, orders = np.zeros(6), list(permutations(range(6)))
    for order in orders:
        kept = np.zeros((7, 6), np.bool_)
        for after, player in enumerate(order, start=1):
            kept[after:, player] = True
        expected[list(order)] += np.diff(of.answers(kept)) / len(orders)
    np.testing.assert_allclose(explain(of).contributions, expected, atol=1e-9)


def test_many_parts_are_sampled_within_their_standard_error() -> None:
    """Twelve parts, six of them without a say: without those the exact values are known."""
    row, asked = [0.5, -1.0, 2.0, 1.5, 0.3, 0.9], list[bytes]()

    def of_six(tensors: Tensors) -> npt.NDArray[Any]:
        asked.extend(map(bytes, tensors["numbers"]))
        return tangled({"numbers": tensors["numbers"][:, :6]})

    exact = explain(game(tangled, row)).contributions
    many, again = (explain(game(of_six, [*row, *[1.0] * 6]), rows=6000) for _ in range(2))
    assert 0 < many.standard_error < 0.05
    assert np.abs(many.contributions[:6] - exact).max() < 5 * many.standard_error
    assert np.abs(many.contributions[6:]).max() < 1e-12
    assert many.completeness_error < 1e-9
    np.testing.assert_array_equal(again.contributions, many.contributions)
    assert len(asked) == 2 * (2 + len({*asked})), "but for both ends, no row is answered twice"


def test_a_probability_is_taken_apart_in_log_odds() -> None:
    def sigmoid(tensors: Tensors) -> npt.NDArray[Any]:
        return 1 / (1 + np.exp(-tensors["numbers"].astype(np.float64) @ np.array([1.0, -2.0, 0.0])))[:, None]

    found = explain(game(sigmoid, [1.0, 1.0, 1.0], task=Binary()))
    assert found.contributions == pytest.approx([1.0, -2.0, 0.0])


def test_a_document_lists_the_largest_first_and_sums_the_others() -> None:
    count = 30
    found = explain(
        game(lambda tensors: tensors["numbers"].sum(axis=1, keepdims=True), [1.0 + n for n in range(count)])
    )
    document = found.document(explains="value")
    assert document["contributions"][0] == {"column": "x29", "contribution": 30.0}
    assert len(document["contributions"]) == 24
    assert document["others"] == pytest.approx(1 + 2 + 3 + 4 + 5 + 6)
    assert document["completeness_error"] < 1e-3


TEXTS = ["the film was good", "good good film, not late", "a late film"] * 3
PAST = History(name="past", history=("load", "wind"), entity=(), event_time="at", steps=3, every_hours=1.0)
ROWS_LAYOUT = pa.table({
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
    ROWS_LAYOUT,
)


def test_every_encoder_has_a_feature() -> None:
    assert {type(one) for one in FEATURES} == set(catalogue.ENCODERS.values()), "add one of it to FEATURES"


def words(row: int = 0) -> list[tuple[str, str]]:
    return [(part.name, part.value) for part in lay_out(FEATURES, ROWS_LAYOUT.slice(row, 1).to_pylist()[0]).parts]


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
    tensors, row = catalogue.encode(FEATURES, ROWS_LAYOUT), ROWS_LAYOUT.slice(0, 1).to_pylist()[0]
    layout = lay_out(FEATURES, row)
    for spec in catalogue.signature(FEATURES):
        places = layout.of_entry[spec.name]
        assert places.shape == spec.shape
        padding = tensors[spec.name][0] == 0 if spec.name in ("note", "word") else np.zeros(spec.shape, np.bool_)
        np.testing.assert_array_equal(places == NOWHERE, padding)
    used = set(np.concatenate([places.ravel() for places in layout.of_entry.values()]).tolist()) - {NOWHERE}
    assert used == set(range(len(layout.parts)))


def test_the_row_kept_whole_is_the_row_and_without_any_part_the_reference() -> None:
    tensors = catalogue.encode(FEATURES, ROWS_LAYOUT)
    one = {name: value[:1] for name, value in tensors.items()}
    reference = fit_reference(FEATURES, tensors).tensors(catalogue.signature(FEATURES), one)
    layout = lay_out(FEATURES, ROWS_LAYOUT.slice(0, 1).to_pylist()[0])
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


@pytest.mark.parametrize("text", ["The film was good, and GOOD again: not late", "é", "  ", "a b \ud83d b a"])
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
    masks = column_masks(FEATURES, ROWS_LAYOUT.slice(0, 1).to_pylist()[0])
    assert set(masks) == {column for one in FEATURES for column in one.columns}
    assert masks["load"]["numbers"][0]
    np.testing.assert_array_equal(masks["load"]["past"], [[True, False]] * 3)
    assert masks["note"]["note"].all()
    assert not masks["hue"]["numbers"].any()
    tensors = catalogue.encode(FEATURES, ROWS_LAYOUT)
    mixed = permuted(tensors, masks["note"])
    assert sorted(map(tuple, mixed["note"].tolist())) == sorted(map(tuple, tensors["note"].tolist()))
    assert (mixed["note"] != tensors["note"]).any()
    np.testing.assert_array_equal(mixed["categories"], tensors["categories"])
