"""Answers with parts: labels, horizons and gates of a declaration that do not go together are refused at synth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.contract.load import load_contract
from millrace.errors import ConfigurationError
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.plant import write_plant

Change = Callable[[dict[str, Any]], Any]


def check(root: Path, task: str, file: str, change: Change) -> None:
    folder = write_plant(root, task).folder
    document = yaml.safe_load((folder / file).read_text())
    change(document)
    (folder / file).write_text(yaml.safe_dump(document))
    check_fit(load_workload(folder), load_contract(folder))


def unmark(document: dict[str, Any]) -> None:
    """The second label is a plain column."""
    for table in document["schema"]:
        next(column for column in table["properties"] if column["name"] == "low").pop("customProperties", None)


def number(document: dict[str, Any]) -> None:
    for table in document["schema"]:
        column = next(column for column in table["properties"] if column["name"] == "low")
        column |= {"logicalType": "number", "physicalType": "DOUBLE"}


def drop(document: dict[str, Any]) -> None:
    labels = document["schema"][1]["properties"]
    labels.remove(next(column for column in labels if column["name"] == "low"))


def gate(name: str, **bounds: Any) -> Change:
    return lambda document: document["gates"].update({name: bounds})


@pytest.mark.parametrize(
    ("task", "file", "change", "message"),
    [
        ("multilabel", "contract.yaml", unmark, r"prediction\.label: expected high, hot, .*, got 'high, hot, low'$"),
        ("multilabel", "contract.yaml", number, "role: label, or several booleans"),
        ("multilabel", "contract.yaml", drop, "the label 'low'"),
        ("binary", "workload.yaml", gate("parts", margin=0.1), "no such gate, as a row's answer is one"),
        ("forecast", "workload.yaml", gate("parts", margin=0.1, only=["3 h"]), "some of 1 h, 2 h, and none called 3 h"),
        ("multilabel", "workload.yaml", gate("parts", margin=0, max_coverage_gap=0.1), "no max_coverage_gap"),
        (
            "forecast",
            "workload.yaml",
            gate("value", unit="EUR", decisions=1, worth={"above": -1, "below": -1}),
            "a row's answer has several parts",
        ),
        (
            "multilabel",
            "workload.yaml",
            gate("leakage", max_feature=0.9),
            "max_duplicates alone, as a row's answer has",
        ),
        ("forecast", "workload.yaml", gate("simple", kind="linear"), "a row's answer has several numbers"),
    ],
)
def test_it_is_refused(tmp_path: Path, task: str, file: str, change: Change, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check(tmp_path, task, file, change)


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("forecast", gate("parts", margin=0.1, only=["1 h"], max_coverage_gap=0.1)),
        ("forecast", gate("baseline", kind="seasonal_naive", margin=0.1, lag_hours=1)),
        ("multilabel", gate("parts", margin=0.1, only=["low"])),
    ],
)
def test_it_fits(tmp_path: Path, task: str, change: Change) -> None:
    check(tmp_path, task, "workload.yaml", change)


def test_a_scoring_row_has_no_label_unless_it_is_one_ahead(tmp_path: Path) -> None:
    names = load_contract(write_plant(tmp_path, "multilabel").folder).table("scoring").names
    assert set(names).isdisjoint({"high", "low", "hot"})
    assert "truth" in load_contract(write_plant(tmp_path, "forecast").folder).table("scoring").names
