"""The kind of a label, guessed from its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.console.new.kinds import LABEL_KINDS, label_scale, likely_kind
from millrace.errors import ConfigurationError
from millrace.tasks.catalogue import TASKS
from tests.console.new.conftest import Row, observed, proposed

Writer = Callable[..., Path]


@pytest.mark.parametrize(
    ("cells", "scale"),
    [
        (np.random.default_rng(5).lognormal(6, 1.0, 500), "log"),
        ([0.0, *np.random.default_rng(5).lognormal(6, 1.0, 500)], "log"),
        ([-0.1, *np.random.default_rng(5).lognormal(6, 1.0, 500)], "identity"),
        (np.random.default_rng(5).normal(100, 9, 500), "identity"),
        (-np.random.default_rng(5).lognormal(6, 1.0, 500) + 1e6, "identity"),
        ([7.0] * 300, "identity"),
    ],
    ids=["amounts", "amounts and 0", "one below 0", "normal", "skewed to the left", "all equal"],
)
def test_amounts_with_a_few_far_above_are_learnt_as_logarithms(cells: Any, scale: str) -> None:
    assert label_scale(observed(cells)) == scale


COUNTED = np.random.default_rng(5).poisson(2.5, 800).tolist()
"""Ten different numbers, of which the largest have a row or two."""


def test_every_kind_is_a_task() -> None:
    assert LABEL_KINDS.keys() <= TASKS.keys()


def test_a_task_that_is_no_kind_of_label_is_declared_by_hand(
    market: list[Row], as_csv: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "counts", TASKS["regression"])
    by_hand = (
        r"expected binary \(.*regression \(a column of numbers\), .*; .* got 'counts, a task that only a workload.yaml"
    )
    with pytest.raises(ConfigurationError, match=by_hand):
        proposed(as_csv(market), label="demand", kind="counts")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a", "b"] * 10, "binary"),
        ([True, False] * 10, "binary"),
        ([0, 1] * 10, "binary"),
        (["a", "b", "c"] * 10, "multiclass"),
        ([1, 2, 3, 4, 5] * 10, "multiclass"),
        (list(range(21)), "regression"),
        ([1.5, 2.5, 3.5] * 9, "regression"),
        (["same"] * 9, None),
        ([f"text {at}" for at in range(201)], None),
    ],
)
def test_a_label_is_taken_for_the_kind_that_its_values_suit(cells: list[object], kind: str | None) -> None:
    found = likely_kind(observed(cells))
    assert (found.name if found else None) == kind


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("visits_count", [0, 1, 2, 3] * 10, "regression"),
        ("visits_count", [0, 1] * 10, "binary"),
        ("stars", [1, 2, 3, 4] * 10, "multiclass"),
        ("no_shows", COUNTED, "regression"),
        ("class", COUNTED, "multiclass"),
        ("digit", list(range(10)) * 80, "multiclass"),
        ("quality", [3 + number for number in COUNTED], "multiclass"),
        ("code", [0] * 300 + [1] * 20 + [2] * 200 + [3] * 5 + [4] * 90 + [5] * 9, "multiclass"),
    ],
)
def test_a_number_that_counts_is_an_amount(name: str, cells: list[int], kind: str) -> None:
    found = likely_kind(replace(observed(cells), name=name))
    assert found is not None
    assert found.name == kind


@pytest.mark.parametrize(
    ("cells", "is_told"), [(["low", "high", "medium"], True), ([1, 2, 3], True), (["cat", "dog", "eel"], False)]
)
def test_an_order_that_is_not_used_is_told(cells: list[object], is_told: bool) -> None:
    column = observed(cells * 10)
    kind = likely_kind(column)
    assert kind is not None
    assert ("order" in kind.reason(column)) is is_told


@pytest.mark.parametrize(
    ("hours", "every", "listed"),
    [(3, 1, [1, 2, 3]), (2, 0.5, [0.5, 1, 1.5, 2]), (96, 1, [*range(2, 97, 2)]), (97, 1, [*range(1, 98, 3)])],
)
def test_a_forecast_is_asked_at_every_step_up_to_its_horizon(hours: float, every: float, listed: list[float]) -> None:
    assert LABEL_KINDS["forecast"].horizon(hours, every) == listed
    assert LABEL_KINDS["interval"].horizon(hours, every) == hours


def test_a_label_of_words_may_lack_some() -> None:
    column = observed(["low", "high", None, "mid"] * 50)
    assert "words" in LABEL_KINDS["multiclass"].reason(column)
