"""The words of two classes beside the value 0 or 1."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.actions.class_names import class_names, with_class
from millrace.contract.load import load_contract
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import declare
from millrace.workload.load import load_workload


def label(*allowed: str | int, kind: str = "string") -> Any:
    return SimpleNamespace(kind=kind, allowed=allowed)


@pytest.mark.parametrize(
    ("positive", "column", "names"),
    [
        ("Yes", label("No", "Yes"), {1: "Yes", 0: "No"}),
        ("No", label("No", "Yes"), {1: "No", 0: "Yes"}),
        (True, label(kind="boolean"), {1: "True", 0: "False"}),
        (1, label(1, 2, kind="int32"), {1: "1", 0: "2"}),
        (1, label(0, 1, kind="int32"), {}),
        (0, label(0, 1, kind="int32"), {1: "0", 0: "1"}),
    ],
)
def test_each_value_has_the_contracts_word(positive: str | int | bool, column: Any, names: dict[int, str]) -> None:
    assert class_names(Binary(positive=positive), column) == names


def test_another_task_has_none() -> None:
    folder = Path("workloads/air_quality")
    column = load_contract(folder).label
    assert class_names(declare(load_workload(folder).prediction, column), column) == {}


def test_the_word_stands_behind_its_value() -> None:
    names = {1: "Yes", 0: "No"}
    answered = with_class({"line": 2, "value": 0, "probability": 0.2}, names)
    assert list(answered.items()) == [("line", 2), ("value", 0), ("class", "No"), ("probability", 0.2)]
    assert with_class({"line": 3, "value": None}, names) == {"line": 3, "value": None, "class": None}
    assert with_class({"line": 2, "value": 0}, {}) == {"line": 2, "value": 0}
