"""Model Monitor's constraints: a published file goes through and back, and captures are judged by its rules."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.sagemaker.constraints import Constraints, category_distance, judge_by, numeric_distance
from tests.console.sagemaker.conftest import capture

PUBLISHED = Path(__file__).with_name("published_monitor.json")
"""`constraints.json`, `statistics.json` and `constraint_violations.json` of tests/data/monitor in
aws/sagemaker-python-sdk; and `guide`, the schema of the developer guide (Schema for Constraints), filled."""
DAY = datetime(2026, 11, 26, tzinfo=UTC)


def published(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(PUBLISHED.read_text())[name]
    return document


def run(folder: Path, captures: list[str], *words: str) -> list[dict[str, Any]]:
    """The rows that the command prints."""
    (folder / "captures.jsonl").write_text("\n".join(captures))
    result = CliRunner().invoke(app, ["sagemaker", "violations", str(folder / "captures.jsonl"), *words, "--json"])
    assert result.exit_code == 0, result.exception
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def write(folder: Path, **documents: Any) -> list[str]:
    """The options that name the files."""
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return [word for name in documents for word in (f"--{name}", str(folder / f"{name}.json"))]


def test_the_published_files_go_through_and_back(tmp_path: Path) -> None:
    text = published("statistics")["features"][0]["string_statistics"]["distribution"]["categorical"]["buckets"][0]
    calls = [capture(n, DAY, f"{text['value']},{text['value'] if n else ''}") for n in range(100)]
    files = {name: published(name) for name in ("constraints", "statistics")}
    options = write(tmp_path, **files, beside=published("constraint_violations"))
    rows = run(tmp_path, calls, *options, "--output", str(tmp_path / "back"))
    back = {one.stem: json.loads(one.read_text()) for one in (tmp_path / "back").iterdir()}
    assert back["constraints"] == files["constraints"]
    assert back["constraint_violations"]["violations"] == [
        {
            "feature_name": "second_message",
            "constraint_check_type": "completeness_check",
            "description": "Value: 0.99 does not meet the constraint requirement!",
        }
    ]
    # The 418 rows of theirs are 100 here, of which the second column is one that their statistics do not have.
    assert [one["name"] for one in back["statistics"]["features"]][:2] == ["message", "second_message"]
    assert [(row["feature"], row["check"]) for row in rows if row["theirs"]] == [
        (one["feature_name"], one["constraint_check_type"]) for one in published("constraint_violations")["violations"]
    ]
    words = ["sagemaker", "monitor", str(tmp_path / "statistics.json"), "--output", str(tmp_path / "suggested")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert json.loads((tmp_path / "suggested" / "statistics.json").read_text()) == files["statistics"]
    suggested = Constraints.model_validate_json((tmp_path / "suggested" / "constraints.json").read_text())
    found, expected = suggested.features[0], Constraints.model_validate(files["constraints"]).features[0]
    assert found.string_constraints is not None
    assert expected.string_constraints is not None
    assert found.string_constraints.domains == expected.string_constraints.domains
    assert (found.inferred_type, found.completeness) == (expected.inferred_type, expected.completeness)


CONFIG = {"datatype_check_threshold": 1.0, "domain_content_threshold": 0.9}


@pytest.mark.parametrize(
    ("constraint", "cells", "checks"),
    [
        ({"inferred_type": "Integral"}, ["1", "2", "-3", 4], []),
        ({"inferred_type": "Integral"}, ["1", "2.5"], ["data_type_check"]),
        ({"inferred_type": "Integral"}, [1, 2.5], ["data_type_check"]),
        ({"inferred_type": "Integral"}, ["1", "", None], []),
        ({"inferred_type": "Fractional"}, ["1", "2.5", "1e3"], []),
        ({"inferred_type": "Fractional"}, ["1", "yes"], ["data_type_check"]),
        ({"inferred_type": "Fractional"}, [True, 1.0], ["data_type_check"]),
        ({"inferred_type": "String"}, ["1", "yes"], []),
        ({"inferred_type": "String", "completeness": 0.75}, ["a", "b", "c", ""], []),
        ({"inferred_type": "String", "completeness": 0.76}, ["a", "b", "c", ""], ["completeness_check"]),
        ({"inferred_type": "String", "string_constraints": {"domains": ["a"]}}, ["a"] * 9 + ["b"], []),
        (
            {"inferred_type": "String", "string_constraints": {"domains": ["a"]}},
            ["a", "b"],
            ["categorical_values_check"],
        ),
        (
            {"inferred_type": "Integral", "monitoring_config_overrides": {"datatype_check_threshold": 0.5}},
            ["1", "a"],
            [],
        ),
        ({"inferred_type": "Integral", "monitoring_config_overrides": {"evaluate_constraints": "Disabled"}}, ["a"], []),
    ],
)
def test_a_column_meets_its_constraints_or_not(constraint: Any, cells: list[Any], checks: list[str]) -> None:
    document = {"features": [{"name": "x", **constraint}], "monitoring_config": CONFIG}
    judged = judge_by(Constraints.model_validate(document), None, [{"x": cell} for cell in cells])
    assert [one.constraint_check_type for one in judged.violations.violations] == checks


def test_columns_that_one_side_lacks_are_named() -> None:
    constraints = Constraints.model_validate({"features": [{"name": "gone", "inferred_type": "String"}]})
    found = judge_by(constraints, None, [{"new": 1}]).violations.violations
    assert [(one.feature_name, one.constraint_check_type) for one in found] == [
        ("gone", "missing_column_check"),
        ("new", "extra_column_check"),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_distance_is_that_of_kolmogorov_and_smirnov(seed: int) -> None:
    draw = np.random.default_rng(seed)
    before, now = draw.integers(0, 30, 400) / 10, draw.integers(3, 33, 150) / 10
    expected = float(ks_2samp(before, now).statistic)
    values, counts = np.unique(before, return_counts=True)
    assert numeric_distance(values, counts.astype(float), now, is_robust=False) == pytest.approx(expected)
    robust = expected - 1.8 * ((400 + 150) / (400 * 150)) ** 0.5
    assert numeric_distance(values, counts.astype(float), now, is_robust=True) == pytest.approx(max(0, robust))


def test_the_distance_of_categories_is_the_greatest_difference_of_a_share() -> None:
    assert category_distance({"a": 50, "b": 50}, {"a": 1, "c": 3}, is_robust=False) == pytest.approx(0.75)
    assert category_distance({"a": 50, "b": 50}, {"a": 1, "c": 3}, is_robust=True) == 0
    assert category_distance({}, {"a": 1}, is_robust=False) == 0
