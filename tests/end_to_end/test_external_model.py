"""An external model goes through the machine `train`: judged by its gates, or refused for what it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from millrace.console.actions.start import read_model, register
from tests.end_to_end.conftest import Lived
from tests.external_models import logistic, write

WORKLOAD = Path(__file__).resolve().parents[2] / "workloads" / "electricity"


def registered(lived: Lived, folder: Path, model: onnx.ModelProto) -> dict[str, Any]:
    s3, states = (lived.cloud.client(service) for service in ("s3", "stepfunctions"))
    run = register(s3, states, lived.names, read_model(write(folder, model), WORKLOAD))
    lived.rest()
    ended: dict[str, Any] = states.describe_execution(executionArn=run.arn)
    return ended


def test_a_model_that_answers_the_opposite_is_refused_by_the_gates_of_every_model(lived: Lived, tmp_path: Path) -> None:
    ended = registered(lived, tmp_path, logistic(sign=-1))
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    verdicts = {verdict["name"]: verdict["passed"] for verdict in output["gating"]["answer"]["verdicts"]}
    assert verdicts["non_inferiority"] is False
    assert verdicts["finite_weights"] is verdicts["latency"] is True
    assert output["training"]["model_data_url"].endswith("/training/model.tar.gz")
    assert "registration" not in output


def test_a_model_whose_answers_are_no_probabilities_fails_its_run(lived: Lived, tmp_path: Path) -> None:
    ended = registered(lived, tmp_path, logistic(end="Identity"))
    assert ended["status"] == "FAILED"
    assert "expected probabilities, the graph's end is a sigmoid" in ended["cause"]
