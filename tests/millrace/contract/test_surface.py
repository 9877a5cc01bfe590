"""What `workload.yaml` predicts from must be what the contract holds: at synth, before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from millrace.contract.odcs import check_contract
from millrace.errors import WorkloadError
from millrace.workload.declaration import load_workload

SHIPPED = Path(__file__).resolve().parents[3] / "workloads" / "electricity"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped workload, to be changed."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "electricity", ignore=shutil.ignore_patterns("sample")))


def change(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def check(folder: Path) -> None:
    check_contract(folder, load_workload(folder))


def test_a_label_in_words_fits_where_the_positive_class_is_one_of_them(folder: Path) -> None:
    path = folder / "contract.yaml"
    document = yaml.safe_load(path.read_text())
    for table in document["schema"]:
        label = next(column for column in table["properties"] if column["name"] == "class")
        label |= {"logicalType": "string", "physicalType": "STRING"}
        label["quality"][0]["arguments"]["validValues"] = ["up", "down"]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(
        WorkloadError, match=r"class: expected two validValues .* positive class 1 .*got \['up', 'down'\]"
    ):
        check(folder)
    change(folder, "workload.yaml", "label: class\n", "label: class\n  positive: up\n")
    check(folder)


@pytest.mark.parametrize("valid", ["[0, 1, 2]", "[0]", "[0, 2]"])
def test_a_label_of_other_than_two_classes_is_refused(folder: Path, valid: str) -> None:
    change(folder, "contract.yaml", "validValues: [0, 1]", f"validValues: {valid}")
    with pytest.raises(WorkloadError, match="class: expected two validValues"):
        check(folder)


def test_true_is_not_the_number_one(folder: Path) -> None:
    change(folder, "workload.yaml", "label: class\n", "label: class\n  positive: true\n")
    with pytest.raises(WorkloadError, match="the positive class True"):
        check(folder)


def test_a_feature_that_has_no_encoding_is_refused(folder: Path) -> None:
    change(folder, "workload.yaml", "features: [day_of_week,", "features: [timestamp, day_of_week,")
    with pytest.raises(WorkloadError, match="timestamp: expected a feature that is a number"):
        check(folder)


def test_the_base_rate_needs_no_lag_and_the_season_does(folder: Path) -> None:
    change(
        folder,
        "workload.yaml",
        "{kind: seasonal_naive, lag_hours: 24, margin: 0.01}",
        "{kind: base_rate, margin: 0.02}",
    )
    assert load_workload(folder).gates.baseline.kind == "base_rate"
    change(folder, "workload.yaml", "{kind: base_rate, margin: 0.02}", "{kind: seasonal_naive, margin: 0.02}")
    with pytest.raises(WorkloadError, match="lag_hours"):
        load_workload(folder)
