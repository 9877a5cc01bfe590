"""A card is filled from the records, fits AWS's schema, and is refused where a field is empty."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from millrace.artefact.artefact import EXTERNAL, Digests
from millrace.errors import ArtefactError, WorkloadError
from millrace.evaluation.report import Evaluation
from millrace.features.number import Number
from millrace.messages.train import GateVerdict
from millrace.messages.training_run import Run
from millrace.release.card import Records, card_of
from millrace.workload.declaration import check_card
from millrace.workload.load import load_workload
from tests import builders
from tests.shipped import WORKLOADS

SCHEMA = json.loads(Path(__file__).with_name("model_card_schema.json").read_text())
ESTIMATE = {"value": 0.13, "low": 0.11, "high": 0.15}
SCORED = {"rows": 1344, "scores": {"error": ESTIMATE}, "improvements": {"error": ESTIMATE}}
REPORT = builders.REPORT | {
    "metrics": {"error": 0.13, "auc": 0.93, "ece": None},
    "naive": {"rule": "seasonal_naive", "rows": 1344, "metrics": {"error": 0.4}},
    "contenders": [SCORED | {"who": who, "name": who} for who in ("candidate", "beside")],
    "intervals": {"error": ESTIMATE},
    "automation": {
        "promised_error": 0.05,
        "threshold": 0.8,
        "calibration_rows": 900,
        "coverage": ESTIMATE,
        "error": {"value": float("nan"), "low": float("nan"), "high": float("nan")},
    },
    "costs": {
        "digest": "c0" * 32,
        "currency": "EUR",
        "review": 2,
        "coverage": ESTIMATE,
        "by_policy": {"expected": 900, "measured": {"value": 950, "low": 900, "high": 1000}},
        "all_automated": {"expected": 1400, "measured": {"value": 1450, "low": 1300, "high": 1600}},
        "all_reviewed": 2000,
    },
    "slices": {
        "slices": [
            {"column": "sex", "value": "a", "rows": 9},
            {"column": "sex", "value": "b", "rows": 90, "error": ESTIMATE},
        ]
    },
    "fairness": {
        "groups": [{"column": "sex", "value": "b", "rows": 90, "error": 0.2}],
        "disparities": [
            {
                "column": "sex",
                "measure": "error",
                "figure": {"value": 0.1, "low": float("nan"), "high": 0.2},
                "lowest": "a",
                "highest": "b",
            }
        ],
    },
}


def records(**changes: Any) -> Records:
    digests = Digests(data="d", contract="c", config="f", code="a", weights="w", onnx="o")
    description = builders.description(
        parameters={"hidden": [64, 64], "note": ""}, features=(Number(name="x"),), label="income", digests=digests
    )
    pinned = {"run": "7c1b", "snapshot_id": 4, "tag": "run-7c1b", "rows": 11424, "as_of": "1997-01-01T00:00:00Z"}
    links = {"data_digest": "d" * 64, "contract_digest": "c", "config_digest": "f", "code_digest": "a" * 64}
    found = Records(
        workload=load_workload(WORKLOADS / "income"),
        run=Run.model_validate(pinned | links | {"reason": "first", "gate": "baseline"}),
        evaluation=Evaluation.model_validate(REPORT),
        verdicts=(GateVerdict(name="latency", passed=True, measured=0.08, bound=50, sentence="p99 0.08 ms"),),
        description=description,
        image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-dev-inference@sha256:" + "ab" * 32,
        evaluation_image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-dev-processing@sha256:" + "cd" * 32,
        model_data_url="s3://b/model.tar.gz",
        manifest_uri="s3://b/manifest.json",
        digests={"data_digest": "d" * 64, "artefact_digest": "f" * 64},
    )
    return replace(found, **changes)


def external() -> Records:
    """Of a version whose model was trained elsewhere."""
    made = records()
    return replace(
        made, description=replace(made.description, family=EXTERNAL, parameters={"digest": "e" * 64}, torch="")
    )


def document(made: Records) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(card_of(made))
    return found


def test_a_card_fits_the_schema_of_aws() -> None:
    made = document(records())
    Draft202012Validator.check_schema(SCHEMA)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(made)] == []
    wrong = made | {"owner": "somebody"}
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(wrong)]


def test_the_card_of_an_external_model_claims_no_training() -> None:
    made = document(external())
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(made)] == []
    assert made["training_details"] == {
        "training_observations": f"Trained elsewhere, on rows that are not known; the files have the digest {'e' * 64}"
    }
    assert made["model_overview"]["model_creator"] == "not known; registered by millrace, run 7c1b"
    observed = made["evaluation_details"][0]["evaluation_observation"]
    assert observed.startswith("1,344 rows, whether the model has seen them in training is not known: ")
    assert "rows that the model never saw" not in json.dumps(made)
    assert document(records())["evaluation_details"][0]["evaluation_observation"].startswith(
        "1,344 rows that the model never saw: "
    )


def test_a_figure_that_is_no_number_is_left_out_of_the_card() -> None:
    nan = {"value": float("nan"), "low": 0.1, "high": 0.2}
    slices = {"slices": [{"column": "sex", "value": "b", "rows": 9, "error": nan}]}
    report = REPORT | {"intervals": {"auc": nan, "error": ESTIMATE}, "slices": slices, "fairness": None}
    made = document(records(evaluation=Evaluation.model_validate(report)))
    groups = {group["name"]: group["metric_data"] for group in made["evaluation_details"][0]["metric_groups"]}
    assert [metric["name"] for metric in groups["intervals"]] == ["error"]
    assert [metric["name"] for metric in groups["better than"]] == ["beside"]
    assert "error by slice" not in groups


def test_a_card_needs_what_only_people_can_say() -> None:
    lacking = load_workload(WORKLOADS / "income").model_copy(update={"card": None})
    with pytest.raises(ArtefactError, match="card: expected intended_use and the other fields"):
        card_of(records(workload=lacking))
    with pytest.raises(WorkloadError, match=r"card: expected intended_use, .* cards of dev, got 'nothing'"):
        check_card(lacking, "dev")
    with pytest.raises(WorkloadError, match="owner: expected a name, for the model cards of prod"):
        check_card(load_workload(WORKLOADS / "income").model_copy(update={"owner": " "}), "prod")
    check_card(lacking, "local")
