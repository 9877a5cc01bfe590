"""Clarify's bias metrics: equal to its library's on recorded tables, by its own configuration and in its own form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fairlearn import metrics as fairlearn
from pyarrow import csv
from typer.testing import CliRunner

from benchmarks.bias import differences, figures, ours, random_table
from millrace.console.cli.app import app
from millrace.console.sagemaker.clarify import AnalysisConfig, analyse
from millrace.errors import ConfigurationError
from millrace.evaluation.measures.bias import POST_TRAINING, PRE_TRAINING, GroupRows, value_of

RECORDED = Path(__file__).parent / "smclarify.jsonl"
"""What smclarify 0.5 said of the first tables of `benchmarks.bias`, which compares a thousand."""


@pytest.mark.parametrize("seed", range(24))
def test_each_figure_is_the_librarys(seed: int) -> None:
    recorded = json.loads(RECORDED.read_text().splitlines()[seed])
    mine = ours(random_table(seed))
    assert differences(mine, recorded) == []


def test_a_figure_that_is_off_by_a_hundred_millionth_is_told() -> None:
    mine = ours(random_table(0))
    mine["pre_training"][0]["metrics"][1]["value"] += 1e-8
    assert len(differences(mine, json.loads(RECORDED.read_text().splitlines()[0]))) == 1


def test_the_recorded_tables_have_every_metric() -> None:
    names = {name for line in RECORDED.read_text().splitlines() for _, _, name in figures(json.loads(line))}
    assert names - {""} == PRE_TRAINING.keys() | POST_TRAINING.keys()


def test_the_gates_measures_are_the_same_by_other_names() -> None:
    """The gate `fairness` has fairlearn's definitions: of two groups each is one of Clarify's metrics."""
    draw = np.random.default_rng(0)
    facet_N, label_N, predicted_N = (draw.random(400) < share for share in (0.3, 0.5, 0.4))
    rows = GroupRows(facet_N=facet_N, label_N=label_N, predicted_N=predicted_N)
    found = {name: value_of(POST_TRAINING[name], rows) for name in ("DPPL", "DI", "RD", "SD")}
    three = (label_N, predicted_N)
    assert abs(found["DPPL"]) == pytest.approx(
        fairlearn.demographic_parity_difference(*three, sensitive_features=facet_N)
    )
    assert min(found["DI"], 1 / found["DI"]) == pytest.approx(
        fairlearn.demographic_parity_ratio(*three, sensitive_features=facet_N)
    )
    assert max(abs(found["RD"]), abs(found["SD"])) == pytest.approx(
        fairlearn.equalized_odds_difference(*three, sensitive_features=facet_N)
    )


def written(folder: Path, **changes: Any) -> list[str]:
    table = random_table(0)
    csv.write_csv(pa.table(table["columns"]), folder / "rows.csv")
    (folder / "analysis_config.json").write_text(json.dumps(table["config"] | changes))
    return ["sagemaker", "clarify", str(folder / "rows.csv"), "--config", str(folder / "analysis_config.json")]


def test_the_command_writes_an_analysis_and_compares_with_one(tmp_path: Path) -> None:
    words = written(tmp_path)
    result = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "analysis.json")])
    assert result.exit_code == 0, result.exception
    document = json.loads((tmp_path / "analysis.json").read_text())
    assert document["pre_training_bias_metrics"]["facets"] == {"facet": ours(random_table(0))["pre_training"]}
    result = CliRunner().invoke(app, [*words, "--beside", str(tmp_path / "analysis.json"), "--json"])
    lines = json.loads(result.output)
    assert {line["metric"] for line in lines} == PRE_TRAINING.keys() | POST_TRAINING.keys()
    assert [line["theirs"] for line in lines if line["metric"] == "CI"] == [
        line["value"] for line in lines if line["metric"] == "CI"
    ]


@pytest.mark.parametrize(
    ("changes", "field", "came"),
    [
        ({"label": "target"}, "label", "target"),
        ({"facet": [{"name_or_index": "sex"}]}, "facet", "sex"),
        ({"facet": [{"name_or_index": "x0"}]}, "x0", "none"),
        ({"group_variable": "county"}, "group_variable", "county"),
        ({"predicted_label": None, "methods": {"post_training_bias": {"methods": "all"}}}, "predicted_label", "none"),
        ({"methods": {"pre_training_bias": {"methods": ["CI", "XYZ"]}}}, "methods", "XYZ"),
    ],
)
def test_a_configuration_that_does_not_fit_the_rows_is_refused(changes: dict[str, Any], field: str, came: str) -> None:
    table = random_table(0)
    with pytest.raises(ConfigurationError) as found:
        analyse(pa.table(table["columns"]), AnalysisConfig.model_validate(table["config"] | changes), where="rows.csv")
    assert (found.value.where, found.value.field, found.value.came) == ("rows.csv", field, came)
