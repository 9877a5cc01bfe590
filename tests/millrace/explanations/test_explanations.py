"""Which number of an answer is explained, what it is called, and what it is: for every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch

from millrace.explanations.attribution import explained_words, is_share, score
from millrace.explanations.integrated_gradients import EntryAttributions, integrated_gradients, output_scores
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
from millrace.models.catalogue import FAMILIES
from millrace.models.entrance import EVERYWHERE, Entrance, watched
from millrace.models.predictor import Predictor
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.tasks.regression import Regression
from millrace.tasks.task import Task
from millrace.workload.declaration import Explanations
from tests.millrace.models.test_families import CONSTANT, fitted, make_rows, signature_of
from tests.millrace.tasks.test_tasks import Case, case_of


@pytest.fixture(params=TASKS, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def test_every_number_of_an_output_has_a_name_of_its_own(case: Case) -> None:
    names = case.task.output_names
    assert len(set(names)) == len(names) == case.task.objective.width
    for at, name in enumerate(names):
        assert explained_words(case.task, at) == ("log odds of " if is_share(case.task.objective) else "") + name


def test_gradients_and_answers_have_the_same_score(case: Case) -> None:
    class Raw(torch.nn.Module):
        def forward(self, numbers: torch.Tensor) -> torch.Tensor:
            return numbers

    predictor = Predictor(Raw(), case.task.objective)
    raw_NW = torch.randn(20, case.task.objective.width, generator=torch.Generator().manual_seed(0))
    output_NW = predictor(numbers=raw_NW).numpy()
    at_N = case.task.explained_output(output_NW)
    expected_N = [score(case.task, output_NW[row : row + 1], at)[0] for row, at in enumerate(at_N.tolist())]
    found_N = output_scores(predictor, {"numbers": raw_NW}, torch.from_numpy(at_N))
    np.testing.assert_allclose(found_N.numpy(), expected_N, rtol=1e-4, atol=1e-5)


ROWS = 4
NODES = Explanations().nodes
MOST_ERROR = 0.03
"""Of the completeness, as a share of the largest change; NEAR holds all but the steepest rows to 0.02."""


@pytest.fixture(params=sorted(FAMILIES), scope="module")
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def predictor(family: str) -> Predictor:
    """Untrained; its first numbers say much, its categories little."""
    return fitted(family)


def references(family: str) -> dict[str, torch.Tensor]:
    """Means of amounts, 0 for a category; the words of a text become the word 1."""
    found = {}
    for spec in signature_of(family):
        value = make_rows()[spec.name]
        if spec.dtype == "int64":
            found[spec.name] = torch.from_numpy((value[:ROWS] > 0).astype(np.int64) * (spec.name != "categories"))
        else:
            axes = tuple(range(value.ndim - 1)) if spec.dtype == "float32" else (0, 2, 3)
            mean = np.nanmean(value, axis=axes, keepdims=True).astype(spec.dtype)
            found[spec.name] = torch.from_numpy(np.broadcast_to(mean, value[:ROWS].shape).copy())
    return found


def given(family: str) -> dict[str, torch.Tensor]:
    return {spec.name: torch.from_numpy(make_rows()[spec.name][:ROWS]) for spec in signature_of(family)}


@pytest.fixture(scope="module")
def found(family: str, predictor: Predictor) -> EntryAttributions:
    at = np.arange(ROWS, dtype=np.int64) % 3
    return integrated_gradients(predictor, given(family), references(family), at, nodes=NODES)


def test_what_the_entries_add_is_the_change_of_the_score(found: EntryAttributions) -> None:
    change = np.abs(found.output_N - found.base_N)
    assert change.max() > 0.01
    assert found.completeness_error.max() < MOST_ERROR * change.max()


def test_a_column_that_never_varied_in_training_adds_nothing(family: str, found: EntryAttributions) -> None:
    if "numbers" in found.entries:
        assert not found.entries["numbers"][:, CONSTANT].any()
        assert np.abs(found.entries["numbers"]).max() > 0


def _explained(predictor: Predictor, family: str) -> EntryAttributions:
    at = np.zeros(ROWS, np.int64)
    return integrated_gradients(predictor, given(family), references(family), at, nodes=NODES)


def test_the_answers_are_the_same_bits_after_an_explanation(family: str) -> None:
    predictor = fitted(family)
    with torch.no_grad():
        before = predictor(**given(family))
    _explained(predictor, family)
    with torch.no_grad():
        assert torch.equal(predictor(**given(family)), before)
    assert not any(module._forward_hooks for module in predictor.modules())


@pytest.mark.filterwarnings("ignore:Multiple layers provided:UserWarning")
def test_captum_says_the_same(family: str, predictor: Predictor) -> None:
    captum: Any = pytest.importorskip("captum.attr")
    names = [spec.name for spec in signature_of(family)]
    here, there = given(family), references(family)

    def log_odds(*tensors: torch.Tensor) -> torch.Tensor:
        p = predictor(**dict(zip(names, tensors, strict=True)))[:, 1].double()
        return torch.log(p / (1 - p))

    with watched(predictor) as entrances:
        used = [one for one in entrances if one.tensor or one.owners]
        reference = captum.LayerIntegratedGradients(log_odds, used).attribute(
            tuple(here[name] for name in names),
            baselines=tuple(there[name] for name in names),
            n_steps=24,
            method="gausslegendre",
        )
    sums = sum(one.detach().reshape(ROWS, -1).sum(1).double().numpy() for one in reference)
    at = np.ones(ROWS, np.int64)
    ours = integrated_gradients(predictor, here, there, at, nodes=NODES)
    np.testing.assert_allclose(
        sum(value.reshape(ROWS, -1).sum(1) for value in ours.entries.values()), sums, atol=2e-3 * np.abs(sums).max()
    )
    for entrance, one in zip(used, reference, strict=True):
        if entrance.axes == 2 and entrance.tensor:
            # A history enters twice, as what is known and as what is missing.
            continue
        if entrance.tensor:
            folded = one.detach().flatten(1 + entrance.axes).sum(-1) if one.ndim > 1 + entrance.axes else one.detach()
            folded = folded + _of_all_cells(
                entrance.tensor, used, reference, here[entrance.tensor] != there[entrance.tensor]
            )
            np.testing.assert_allclose(ours.entries[entrance.tensor], folded.numpy(), atol=2e-3 * np.abs(sums).max())


def _of_all_cells(
    name: str, used: Sequence[Entrance], reference: Sequence[torch.Tensor], differs: torch.Tensor
) -> torch.Tensor:
    """What belongs to all cells of the tensor alike, spread over those that differ."""
    whole_N = torch.zeros(ROWS)
    for entrance, one in zip(used, reference, strict=True):
        for place, owner in enumerate(entrance.owners):
            if owner == (name, EVERYWHERE):
                whole_N += one.detach()[:, place]
    share = differs / differs.flatten(1).sum(1).view(-1, *[1] * (differs.ndim - 1))
    return whole_N.view(-1, *[1] * (differs.ndim - 1)) * share


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
    document = found.document(explains="value", method="shapley")
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
